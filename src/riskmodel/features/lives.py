# mypy: disable-error-code="no-untyped-def"
"""Whether rows that are ready for the features contradict the lives of their members: the quick road of a
request asks this.

The rules are those of `riskmodel.tables.across` that refuse rows; ids of events are not in these rows, so
that corrections which change their owner are looked for where the ids are read.
"""

from __future__ import annotations

import numpy as np

from riskmodel.compiled import compiled
from riskmodel.features.prepared import Prepared
from riskmodel.features.rows import NEVER
from riskmodel.tables.across import BEFORE_BIRTH_DAYS, PREGNANCY


def may_contradict(prepared: Prepared) -> bool:
    """Fast check: whether the full checks are needed because a rule may refuse these rows as impossible for
    one life, such as an id that two persons share, an event before birth, or a part above its total.

    False: no rule refuses them, except possibly the rules on reused event ids, since the rows hold no event
    ids. True: one may; sometimes none does, as for a birth date that was corrected.
    """
    rows = prepared.rows
    people = int(rows["members"]["person"].max(initial=-1)) + 1
    born, sex = np.full(people, NEVER, np.int64), np.full(people, -1, np.int8)
    return bool(
        lives_contradict(rows["members"], prepared.starts["members"], born, sex)
        or events_before_birth(rows["medical"], born, BEFORE_BIRTH_DAYS["medical"])
        or events_before_birth(rows["disability"], born, 0)
        or events_before_birth(rows["employment"], born, 0)
        or events_before_birth(rows["income"], born, 0)
        or parts_above_total(rows["medical"])
    )


@compiled
def days_of(date):
    """Days since 1970-01-01 of a date that is written as yyyymmdd."""
    year, month, day = date // 10000, date // 100 % 100, date % 100
    if month <= 2:  # the year begins in March, so that the leap day is its last
        year -= 1
        month += 12
    return (
        365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - 719468
    )


@compiled
def lives_contradict(members, starts, born, sex):
    """Whether any member's id was used for two persons, left before birth, or joined a household that all
    others had left.

    members: rows sorted by household, member and known_on; starts: the first row of each household. Fills
    `born` and `sex`: of each person (NEVER and -1 before).
    """
    for home in range(len(starts) - 1):
        first, last = starts[home], starts[home + 1]
        if first == last:
            continue
        since = members[first].known_on
        for i in range(first, last):
            row = members[i]
            since = min(since, row.known_on)
            day = days_of(np.int64(row.birth_date))
            if born[row.person] != NEVER and (born[row.person] != day or sex[row.person] != row.sex):
                return True
            born[row.person], sex[row.person] = day, row.sex
            if row.left_on < day:
                return True
        begins, ends = np.empty(last - first, np.int64), np.empty(last - first, np.int64)
        stays = 0
        for i in range(first, last):
            row = members[i]
            if i == first or members[i - 1].person != row.person:
                begins[stays] = row.known_on
                if born[row.person] > since:
                    begins[stays] = min(row.known_on, born[row.person] - PREGNANCY)
                stays += 1
            ends[stays - 1] = min(row.left_on, row.replaced_on)
        for one in range(stays):
            before = False
            until = np.int64(0)
            for other in range(stays):
                if other != one and begins[other] <= begins[one] and ends[other] > begins[other]:
                    until = max(until, ends[other]) if before else ends[other]
                    before = True
            if before and begins[one] >= until:
                return True
    return False


@compiled
def events_before_birth(rows, born, days):
    """Whether an event comes more than so many days before the birth of its person."""
    for i in range(len(rows)):
        row = rows[i]
        if (
            row.person >= 0
            and row.person < len(born)
            and born[row.person] != NEVER
            and row.occurred_on < born[row.person] - days
        ):
            return True
    return False


@compiled
def parts_above_total(medical):
    """Whether what was reimbursed or paid alone exceeds the total cost by more than a yuan."""
    for i in range(len(medical)):
        row = medical[i]
        if max(row.reimbursed, row.self_paid) > row.total_cost + 1:
            return True
    return False
