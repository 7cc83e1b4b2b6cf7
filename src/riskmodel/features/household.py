# mypy: disable-error-code="no-any-return"
"""The household: who lives together, who can work, the state of the dwelling. State in force at T; ages in
completed years at T."""

from riskmodel.features.common import NAN, Row, Rows, When, able, age, at_school, flag, of_working_age
from riskmodel.features.rows import (
    AT_COLLEGE,
    AT_SENIOR,
    GRADE_C,
    HEAD,
    LIFTED,
    LOST,
    NEVER,
    NO_LABOUR,
    NOT_AT_SCHOOL,
    PRESCHOOL,
    SPOUSE,
    WEAK,
)


def _able_members(members: Rows, when: When) -> int:
    """Skilled or ordinary labour of 16 years or more, not at school."""
    count = 0
    for member in members:
        if able(member, when):
            count += 1
    return count


def household_size(members: Rows) -> float:
    """Members in force at T."""
    return float(len(members))


def able_members(members: Rows, when: When) -> float:
    """Members who are skilled or ordinary labour, 16 or older and not at school."""
    return float(_able_members(members, when))


def no_labour(members: Rows, when: When) -> float:
    """No member is able to work."""
    return flag(_able_members(members, when) == 0)


def dependants_per_worker(members: Rows, when: When) -> float:
    """(members - able members) / able members; unknown when nobody is able to work."""
    workers = _able_members(members, when)
    if workers == 0:
        return NAN
    return (len(members) - workers) / workers


def weak_workers(members: Rows, when: When) -> float:
    """Members of 16 to 59 years whose labour is weak, lost or none, not at school."""
    count = 0
    for member in members:
        weak = member.labour == WEAK or member.labour == LOST or member.labour == NO_LABOUR
        if weak and of_working_age(member, when) and not at_school(member):
            count += 1
    return float(count)


def lost_labour_12m(members: Rows, when: When) -> float:
    """Members of 16 to 59 years whose labour was recorded as lost or none for the first time in the last 12
    months."""
    count = 0
    for member in members:
        unable = member.labour == LOST or member.labour == NO_LABOUR
        if unable and member.unable_since > when.back[12] and of_working_age(member, when):
            count += 1
    return float(count)


def children(members: Rows, when: When) -> float:
    """Members under 16 years."""
    count = 0
    for member in members:
        if age(member, when) < 16:
            count += 1
    return float(count)


def elderly(members: Rows, when: When) -> float:
    """Members of 60 years or more."""
    count = 0
    for member in members:
        if age(member, when) >= 60:
            count += 1
    return float(count)


def elderly_only(members: Rows, when: When) -> float:
    """Every member is 60 years or more."""
    found = True
    for member in members:
        if age(member, when) < 60:
            found = False
    return flag(found)


def single_elder(members: Rows, when: When) -> float:
    """One member only, 60 years or more."""
    found = False
    for member in members:
        found = len(members) == 1 and age(member, when) >= 60
    return flag(found)


def elders_with_children(members: Rows, when: When) -> float:
    """Children under 16 live with members of 60 or more and nobody between 16 and 59."""
    young = False
    old = False
    between = False
    for member in members:
        years = age(member, when)
        young = young or years < 16
        old = old or years >= 60
        between = between or (years >= 16 and years < 60)
    return flag(young and old and not between)


def head_age(members: Rows, when: When) -> float:
    """Age of the head; unknown without a head in force."""
    years = NAN
    for member in members:
        if member.relation == HEAD:
            years = float(age(member, when))
    return years


def best_education(members: Rows, when: When) -> float:
    """Highest education among members of 16 years or more, 0 illiterate to 4 college; unknown when there is
    none."""
    best = -1
    for member in members:
        if age(member, when) >= 16:
            best = max(best, member.education)
    if best < 0:
        return NAN
    return float(best)


def pupils(members: Rows) -> float:
    """Members at any school from primary on."""
    count = 0
    for member in members:
        if at_school(member):
            count += 1
    return float(count)


def students_after_junior(members: Rows) -> float:
    """Members at senior school, vocational school or college: those whose schooling costs most."""
    count = 0
    for member in members:
        if member.schooling >= AT_SENIOR and member.schooling <= AT_COLLEGE:
            count += 1
    return float(count)


def children_out_of_school(members: Rows, when: When) -> float:
    """Members of 7 to 15 years who are not at school."""
    count = 0
    for member in members:
        years = age(member, when)
        if (
            years >= 7
            and years <= 15
            and (member.schooling == NOT_AT_SCHOOL or member.schooling == PRESCHOOL)
        ):
            count += 1
    return float(count)


def dibao_members(members: Rows) -> float:
    """Members who receive dibao at T, as known at T."""
    count = 0
    for member in members:
        if member.dibao == 1:
            count += 1
    return float(count)


def dibao_lost_12m(members: Rows, when: When) -> float:
    """Members whose dibao was recorded as ended in the last 12 months."""
    count = 0
    for member in members:
        if member.dibao == 0 and member.dibao_since > when.back[12]:
            count += 1
    return float(count)


def tekun_members(members: Rows) -> float:
    """Members in destitute support (tekun) at T."""
    count = 0
    for member in members:
        if member.tekun == 1:
            count += 1
    return float(count)


def without_pension(members: Rows, when: When) -> float:
    """Members of 60 years or more without pension insurance."""
    count = 0
    for member in members:
        if age(member, when) >= 60 and member.pension_insured == 0:
            count += 1
    return float(count)


def lifted(household: Row) -> float:
    """The household was registered as poor and lifted out."""
    return flag(household.category == LIFTED)


def relocated(household: Row) -> float:
    """The household was relocated."""
    return flag(household.relocated == 1)


def land_pp(household: Row, members: Rows) -> float:
    """Cultivated land / members; unknown where the land is not recorded."""
    return household.cultivated_land_mu / len(members)


def distance_km(household: Row) -> float:
    """Distance to the village trunk road; unknown where it is not recorded."""
    return float(household.distance_km)


def unsafe_housing(household: Row) -> float:
    """The dwelling is graded C or D; unknown without a grade."""
    if household.housing_grade < 0:
        return NAN
    return flag(household.housing_grade >= GRADE_C)


# Who joined and who left. `left_on` records that somebody left (death, marriage, moving out: the contract
# does not record which); a newer version in another household is a move there. The day of joining is not
# recorded, so the day on which a member first became known here is used.


def _gone_on(member_versions: Rows, place: int, when: When) -> int:
    """Day on which this person left or moved to another household, as known at T, if this is their newest
    version here; otherwise NEVER."""
    version = member_versions[place]
    if place + 1 < len(member_versions) and member_versions[place + 1].person == version.person:
        return NEVER
    gone = min(version.left_on, version.replaced_on)
    if gone > when.as_of:
        return NEVER
    return gone


def _left_since(member_versions: Rows, place: int, when: When) -> bool:
    """This is the newest version here of a person who left or moved away in the last 12 months."""
    gone = _gone_on(member_versions, place, when)
    return gone > when.back[12] and gone != NEVER


def _known_since(member_versions: Rows, day: int) -> bool:
    """Whether somebody was recorded in this household by that day, so that changes since then are known."""
    found = False
    for version in member_versions:
        found = found or version.known_on <= day
    return found


def _members_on(member_versions: Rows, day: int, when: When) -> int:
    """Members on an earlier day, as known at T: recorded here by then, and not gone by then. A leaving that
    was withdrawn never happened."""
    count = 0
    here = False
    for place in range(len(member_versions)):
        version = member_versions[place]
        if place == 0 or member_versions[place - 1].person != version.person:
            here = False
        here = here or (version.known_on <= day and day < version.replaced_on)
        newest = place + 1 == len(member_versions) or member_versions[place + 1].person != version.person
        if newest and here and _gone_on(member_versions, place, when) > day:
            count += 1
    return count


def members_left_12m(member_versions: Rows, when: When) -> float:
    """Persons who left (left_on) or moved to another household in the last 12 months; unknown for a household
    known for less than that."""
    if not _known_since(member_versions, when.back[12]):
        return NAN
    count = 0
    for place in range(len(member_versions)):
        if _left_since(member_versions, place, when):
            count += 1
    return float(count)


def workers_left_12m(member_versions: Rows, when: When) -> float:
    """Those of them who were skilled or ordinary labour, 16 or older and not at school; unknown for a
    household known for less than 12 months."""
    if not _known_since(member_versions, when.back[12]):
        return NAN
    count = 0
    for place in range(len(member_versions)):
        if _left_since(member_versions, place, when) and able(member_versions[place], when):
            count += 1
    return float(count)


def head_or_spouse_left_12m(member_versions: Rows, when: When) -> float:
    """The head or the head's spouse left or moved away in the last 12 months; unknown for a household known
    for less than that."""
    if not _known_since(member_versions, when.back[12]):
        return NAN
    found = False
    for place in range(len(member_versions)):
        version = member_versions[place]
        found = found or (
            (version.relation == HEAD or version.relation == SPOUSE)
            and _left_since(member_versions, place, when)
        )
    return flag(found)


def newborns_12m(members: Rows, when: When) -> float:
    """Members not yet 1 year old."""
    count = 0
    for member in members:
        if age(member, when) < 1:
            count += 1
    return float(count)


def members_joined_12m(member_versions: Rows, members: Rows, when: When) -> float:
    """Members of 1 year or more who first became known in this household in the last 12 months; unknown for a
    household known for less."""
    if not _known_since(member_versions, when.back[12]):
        return NAN
    count = 0
    for member in members:
        new = age(member, when) >= 1
        for version in member_versions:
            if version.person == member.person and version.known_on <= when.back[12]:
                new = False
        if new:
            count += 1
    return float(count)


def household_size_change_12m(member_versions: Rows, members: Rows, when: When) -> float:
    """Members at T - members 12 months before, as known at T; unknown for a household known for less than
    that."""
    if not _known_since(member_versions, when.back[12]):
        return NAN
    return float(len(members) - _members_on(member_versions, when.back[12], when))
