"""Checks across tables and versions: events outside a life, ids that mean something else, households that
merge and split.

One row may be right in itself and still contradict another: a bill from before a birth, a correction that
belongs to another household, a member of two households. Each rule either refuses its rows (they are in no
frame) or keeps and reports them; `RULES` lists which, and why.

A rule judges the tables as a whole, not the knowledge of one day: a birth date that was corrected later
counts as corrected. What is refused is therefore the same for every as-of date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import polars as pl

from riskmodel.tables.checks import Sheet, in_two_households, whole
from riskmodel.tables.county import ROW
from riskmodel.tables.schema import EVENT_TABLES, TABLES, Table
from riskmodel.tables.values import Complaint

# Days between a household's first row and the beginning of its county's register, above which it is a new
# household; and how long before its first row an event may have happened, because new households are
# registered late. A quarter: registers are refreshed by quarter.
REGISTERED_LATE: Final = 92
# A household lives on where a child was on the way when the last of the others left.
PREGNANCY: Final = 280
# A newborn's stay is often booked on the mother's admission, and births are registered a few days off.
BEFORE_BIRTH_DAYS: Final[Mapping[str, int]] = {"medical": 31}
AT_WORK_FROM: Final = 16  # years
# A correction keeps its event; one that moves it further than this is rather another event of the same id.
MOVED_DAYS: Final = 183
# Corrections are 1 to 5 % of what a department delivers. Ids that begin again make nearly every row of a
# delivery a correction. The limit is well between. A delivery of corrections alone is usual where it is
# small: it counts only from a fifth of an average month on.
CORRECTED_SHARE: Final = 0.2
CORRECTED_AT_LEAST: Final = 10

OF_MEMBER: Final = ("medical", "disability", "employment", "income")
OF_HOUSEHOLD: Final = tuple(name for name in EVENT_TABLES if "household_id" in TABLES[name].names)
_FAR: Final = dt.date(9999, 12, 31)


@dataclass(frozen=True)
class Rule:
    """One rule across tables. level: rows are refused (error) or kept (warning); tables: those with the rows
    in question; column: the one that the finding names; why: reason for the level.
    """

    level: Literal["error", "warning"]
    tables: tuple[str, ...]
    column: str
    found: str
    expected: str
    remedy: str
    zh: str
    why: str


_KEPT: Final = "Nothing is changed. Ask the department; correct it at its source."

RULES: Final[Mapping[str, Rule]] = {
    "before_birth": Rule(
        level="error",
        tables=OF_MEMBER,
        column="occurred_on",
        found="an event of a member before the member's birth",
        expected="occurred_on on or after birth_date",
        remedy="Correct the date or the member_id that is wrong, in this table or in members.",
        zh="发生日期早于该成员的出生日期",
        why=(
            "nobody has a bill, a certificate or a wage before being born: the date or the person is wrong; "
            f"bills of the last {BEFORE_BIRTH_DAYS['medical']} days before are `near_birth`"
        ),
    ),
    "left_before_birth": Rule(
        level="error",
        tables=("members",),
        column="left_on",
        found="left before birth",
        expected="left_on on or after birth_date",
        remedy="Correct the date that is wrong.",
        zh="离开日期早于出生日期",
        why="such a person would be in no household on any day",
    ),
    "part_above_total": Rule(
        level="error",
        tables=("medical",),
        column="total_cost",
        found="reimbursed or self-paid alone exceeds the total cost",
        expected="parts of the total (one yuan of rounding is allowed)",
        remedy="Correct the amount that is wrong; are all amounts in the same unit, and no columns swapped?",
        zh="报销或个人自付金额大于总费用",
        why="a part is never more than the whole; a unit or two columns are confused",
    ),
    "owner_changed": Rule(
        level="error",
        tables=EVENT_TABLES,
        column="event_id",
        found=(
            "a correction that changes its owner: this event_id was first of another household, "
            "member or area"
        ),
        expected="an event_id for one event only, of one owner",
        remedy=(
            "If ids begin again (each year, in each office), put the year or the office in front of them. "
            "What was booked on the wrong owner is corrected to the amount 0, and delivered again under an "
            "event_id of its own."
        ),
        zh="同一记录编号先后属于不同的户、人员或地区（编号重复使用？）",
        why="a correction would take somebody else's row out of force",
    ),
    "household_reused": Rule(
        level="error",
        tables=("members",),
        column="household_id",
        found=(
            "a household id used again by strangers: everybody who had it had left before these members came"
        ),
        expected="a household_id of its own for every household",
        remedy=(
            "Give the household that lives there now a new id: the history under the old one belongs to "
            "those who left."
        ),
        zh="户编号被重复使用：原有成员全部离开之后，由另外的人员使用",
        why="status, visits and income of those who left would count as the newcomers'",
    ),
    "member_reused": Rule(
        level="error",
        tables=("members",),
        column="member_id",
        found=(
            "a member id used again: sex and birth are another person's, or one of them after this member "
            "had left"
        ),
        expected="a member_id of its own for every person",
        remedy=(
            "Give the other person a new id; if a mistake was corrected, correct it in the earlier "
            "rows as well."
        ),
        zh="人员编号被重复使用：性别和出生日期均与此前不同，或离开后再次出现时不同",
        why="bills and certificates of one person would count as another's",
    ),
    "two_households": Rule(
        level="error",
        tables=("members",),
        column="household_id",
        found=(
            "one member in two households at once: different households with the same member_id and known_on"
        ),
        expected="one household for each member and day",
        remedy="Keep the household in which the member lives; a move is a new row with a later known_on.",
        zh="同一成员在同一入库日期属于两个户",
        why="which of the two holds cannot be known",
    ),
    "near_birth": Rule(
        level="warning",
        tables=("medical",),
        column="occurred_on",
        found=f"a bill of a newborn dated up to {BEFORE_BIRTH_DAYS['medical']} days before the birth",
        expected="occurred_on on or after birth_date",
        remedy="Is it the mother's bill, or dated on her admission? " + _KEPT,
        zh=f"新生儿的医疗费用发生日期早于出生日期（{BEFORE_BIRTH_DAYS['medical']} 天以内）",
        why="a newborn's stay is often booked on the mother's admission: the household had the cost",
    ),
    "household_taken_over": Rule(
        level="warning",
        tables=("members",),
        column="household_id",
        found=(
            "a household id that people of other households of the register use after everybody who had it "
            "had left"
        ),
        expected="a household_id of its own for every household",
        remedy=(
            "Relatives who took the household over are right as they are. If not, keep their own "
            "household_id: status, visits and income under the old one count as theirs now."
        ),
        zh="户编号由已登记的其他户成员接用：原有成员已全部离开",
        why="relatives may take a household over with its number",
    ),
    "after_leaving": Rule(
        level="warning",
        tables=OF_MEMBER,
        column="occurred_on",
        found="an event of a member after the member had left",
        expected="occurred_on on or before left_on",
        remedy="Which date is wrong? A member who came back needs a new row without left_on. " + _KEPT,
        zh="发生日期晚于该成员的离开日期（去世、婚嫁或迁出）",
        why="who left by marriage or moving may still be treated and paid; left_on does not identify a death",
    ),
    "before_household": Rule(
        level="warning",
        tables=OF_HOUSEHOLD,
        column="occurred_on",
        found=(
            "an event of a household before it existed: before the birth of its oldest member, or more than "
            f"{REGISTERED_LATE} days before the first row of a new household"
        ),
        expected="occurred_on after the household began",
        remedy="Does the event belong to the household from which this one split? " + _KEPT,
        zh=f"发生日期早于该户成立（最年长成员出生之前，或新立户首次入库 {REGISTERED_LATE} 天以前）",
        why="parents of orphans may have had it, and new households are registered late",
    ),
    "after_household": Rule(
        level="warning",
        tables=OF_HOUSEHOLD,
        column="occurred_on",
        found="an event of a household after its last member had left or moved",
        expected="occurred_on while the household had members",
        remedy="Does the event belong to the household that took them in? " + _KEPT,
        zh="发生日期晚于该户最后一名成员离开或迁入他户",
        why=(
            "settlements come late; a household without members is in no cohort, so the row moves no score "
            "of its own"
        ),
    ),
    "not_a_member": Rule(
        level="warning",
        tables=("income",),
        column="member_id",
        found="income of a person who was never a member of that household",
        expected="a member_id of the household, or none",
        remedy="Correct the household_id or the member_id. " + _KEPT,
        zh="收入所列人员从未属于该户",
        why="the household received it, whoever earned it",
    ),
    "child_at_work": Rule(
        level="warning",
        tables=("employment",),
        column="employed",
        found=f"somebody under {AT_WORK_FROM} years in employment",
        expected=f"employed true from {AT_WORK_FROM} years on",
        remedy="Correct the birth_date or the member_id. " + _KEPT,
        zh=f"不满 {AT_WORK_FROM} 岁却有务工记录",
        why="unlawful, but it happens; the birth date may be a few weeks off",
    ),
    "came_back": Rule(
        level="warning",
        tables=("members",),
        column="left_on",
        found="a member who had left and is there again",
        expected="left_on in every later row",
        remedy=(
            "If the member died, the number is somebody else's: give that person a new one. Who moved back "
            "is right as it is."
        ),
        zh="已离开（可能去世）的成员再次出现",
        why="who moved away may come back; left_on does not identify a death",
    ),
    "back_and_forth": Rule(
        level="warning",
        tables=("members",),
        column="household_id",
        found="a member who moves between the same households again and again",
        expected="one household for each member",
        remedy=(
            "Two households list this member: take the member out of the one that is wrong. The "
            "newest row counts."
        ),
        zh="同一成员在几个户之间反复变动，可能同时登记在两个户",
        why="moving back once is usual; more often, two extracts hold the same person",
    ),
    "household_merged": Rule(
        level="warning",
        tables=("members",),
        column="household_id",
        found="households that ended because their members live in another one now (并户, or a new number)",
        expected="a visit and a decision for the household that took them in",
        remedy=(
            "Status, visits and income stay with the old id. Nothing is carried over: decide on the "
            "household that took them in."
        ),
        zh="并户（或更换户编号）：该户成员均已转入他户，原户的监测状态、走访和收入记录不随之转移",
        why="nobody becomes monitored, or stops being monitored, by a change of a register",
    ),
    "household_split": Rule(
        level="warning",
        tables=("members",),
        column="household_id",
        found="new households whose first members all came from another one that goes on (分户)",
        expected="a visit and a decision for the new household",
        remedy=(
            "Status, visits and income stay with the old id. The new household begins without: decide on it "
            "by itself."
        ),
        zh="分户：新户成员均来自仍然存在的他户，监测状态、走访和收入记录留在原户",
        why="nobody becomes monitored, or stops being monitored, by a change of a register",
    ),
    "many_corrections": Rule(
        level="warning",
        tables=EVENT_TABLES,
        column="event_id",
        found="a delivery that mostly corrects older rows",
        expected=f"corrections in under {CORRECTED_SHARE:.0%} of a delivery",
        remedy=(
            "Do the ids of events begin again each year? Then put the year in front of them: every such row "
            "takes an older one out of force."
        ),
        zh="一批数据中大部分是对旧记录的更正（编号是否每年重新开始？）",
        why="a department may settle a whole year again",
    ),
    "event_moved": Rule(
        level="warning",
        tables=EVENT_TABLES,
        column="event_id",
        found=(
            f"a correction that moves its event by more than {MOVED_DAYS} days: another event with "
            "the same id?"
        ),
        expected="a correction of the same event",
        remedy="If it is another event, give it an event_id of its own: it takes the older one out of force.",
        zh=f"更正使发生日期变动超过 {MOVED_DAYS} 天，可能是另一条记录使用了相同编号",
        why="a mistyped year may be corrected",
    ),
}


def refuse_across(sheets: Mapping[str, Sheet]) -> Register | None:
    """Add the errors of all rules across tables and versions to the sheets. Returns who lived where, None
    without usable `members`.
    """
    for sheet in sheets.values():
        if sheet.table.form == "event":
            _owners_changed(sheet)
    if "medical" in sheets:
        _parts_above_total(sheets["medical"])
    if "members" not in sheets or not _usable(sheets["members"], "member_id", "household_id", "known_on"):
        return None
    register = Register(sheets)
    _left_before_birth(sheets["members"])
    _ids_used_again(sheets["members"], register)
    _before_birth(sheets, register)
    return register


def warn_across(sheets: Mapping[str, Sheet], register: Register | None) -> None:
    """Add the warnings of all rules across tables and versions to the sheets. register: what `refuse_across`
    returned.
    """
    for sheet in sheets.values():
        if sheet.table.form == "event":
            _events_moved(sheet)
    if register is None:
        return
    _members_again(sheets["members"], register)
    _merged_and_split(sheets, register)
    for name, sheet in sheets.items():
        if name in OF_MEMBER:
            _outside_lives(sheet, register)
        if name in OF_HOUSEHOLD:
            _outside_households(sheet, register)


def _usable(sheet: Sheet, *columns: str) -> bool:
    """Whether the table has a value in each of these columns."""
    return all(sheet.frame[column].null_count() < sheet.frame.height for column in columns)


def _complain(sheet: Sheet, name: str, rows: pl.Series, found: str = "", zh: str = "") -> None:
    """Add the rule's complaint about these rows (positions), unless there are none; `found` and `zh`: more
    exactly.
    """
    if not rows.len():
        return
    rule = RULES[name]
    complaint = Complaint(
        check=name,
        rows=rows.sort(),
        found=found or rule.found,
        expected=rule.expected,
        remedy=rule.remedy,
        zh=zh or rule.zh,
    )
    sheet.add(rule.level, rule.column, complaint)


class Register:
    """Who lived in which household from when to when, worked out from all versions of `members`. Each part is
    made when it is asked for.
    """

    def __init__(self, sheets: Mapping[str, Sheet]) -> None:
        self.sheets = sheets

    @cached_property
    def versions(self) -> pl.DataFrame:
        """Every version with a member, a household and a day, by member and day.

        person: the member as a number; again: not the member's first version; moved_on: the day from which
        the member's next version names another household, null where it does not.
        """
        columns = [ROW, "member_id", "household_id", "known_on", "birth_date", "sex", "left_on"]
        again = pl.col("member_id") == pl.col("member_id").shift(1)
        elsewhere = again.shift(-1) & (pl.col("household_id") != pl.col("household_id").shift(-1))
        return (
            self.sheets["members"]
            .frame.lazy()
            .with_row_index(ROW)
            .select(columns)
            .drop_nulls(["member_id", "household_id", "known_on"])
            .sort("member_id", "known_on", ROW)
            .with_columns(
                again=again.fill_null(False), moved_on=pl.when(elsewhere).then(pl.col("known_on").shift(-1))
            )
            .with_columns(person=(~pl.col("again")).cast(pl.UInt32).cum_sum())
            .collect()
        )

    @cached_property
    def people(self) -> pl.DataFrame:
        """One row a member: member_id, person, born (earliest birth date of any version), left (of the newest
        version; null: still there).
        """
        return self.versions.group_by("person", maintain_order=True).agg(
            pl.col("member_id").first(), born=pl.col("birth_date").min(), left=pl.col("left_on").last()
        )

    @cached_property
    def stays(self) -> pl.DataFrame:
        """One row a member and household: member_id, household_id, person and home (the same as numbers),
        known (the first day there), begin, end (null: still there), moved (ended by a move), row (first
        version there), born, first (known of the household's first member).

        begin: known; for who was born into the household, the birth less a pregnancy. end: left_on, or the
        day from which another household is known.
        """
        # A run of versions with one household is a stay; who came back has several, which are put together.
        new = ~pl.col("again") | (pl.col("household_id") != pl.col("household_id").shift(1))
        runs = (
            self.versions.with_columns(run=new.fill_null(True).cast(pl.UInt32).cum_sum())
            .group_by("run", maintain_order=True)
            .agg(
                pl.col("person", "member_id", "household_id").first(),
                known=pl.col("known_on").first(),
                left=pl.col("left_on").last(),
                moved_on=pl.col("moved_on").last(),
                row=pl.col(ROW).first(),
                born=pl.col("birth_date").min(),
            )
            .sort("household_id", "person", "run")
        )
        same = (pl.col("person") == pl.col("person").shift(1)) & (
            pl.col("household_id") == pl.col("household_id").shift(1)
        )
        stays = (
            runs.with_columns(
                stay=(~same.fill_null(False)).cast(pl.UInt32).cum_sum(), home=pl.col("household_id").rle_id()
            )
            .group_by("stay", maintain_order=True)
            .agg(
                pl.col("person", "member_id", "household_id", "home", "known", "row").first(),
                pl.col("born").min(),
                pl.col("left", "moved_on").last(),
            )
            .with_columns(end=pl.min_horizontal("left", "moved_on"), moved=pl.col("moved_on").is_not_null())
            .with_columns(first=pl.col("known").min().over("home"))
        )
        conceived = pl.col("born") - pl.duration(days=PREGNANCY)
        begin = (
            pl.when(pl.col("born") > pl.col("first"))
            .then(pl.min_horizontal("known", conceived))
            .otherwise("known")
        )
        return stays.with_columns(begin=begin).sort("home", "begin", "row")

    @cached_property
    def homes(self) -> pl.DataFrame:
        """One row a household that has or had members: household_id, oldest (birth of its oldest member
        ever), ended (day on which its last member left or moved; null: goes on), first (day from which
        members are known).
        """
        end = pl.when(pl.col("end").is_not_null().all()).then(pl.col("end").max())
        return self.stays.group_by("home", maintain_order=True).agg(
            pl.col("household_id").first(),
            oldest=pl.col("born").min(),
            ended=end,
            first=pl.col("known").min(),
        )

    @cached_property
    def newcomers(self) -> pl.DataFrame:
        """Households that came into their county's register later than its beginning: household_id, began."""
        if "households" not in self.sheets:
            return pl.DataFrame(schema={"household_id": pl.String, "began": pl.Date})
        rows = self.sheets["households"].frame.select("household_id", "known_on", "county_code").drop_nulls()
        homes = rows.group_by("household_id").agg(
            pl.col("known_on").min().alias("began"), pl.col("county_code").first()
        )
        late = pl.col("began") > pl.col("began").min().over("county_code") + pl.duration(days=REGISTERED_LATE)
        return homes.filter(late).select("household_id", "began")


def _owners_changed(sheet: Sheet) -> None:
    """Add a finding for rows whose event_id was first that of another household, member or area."""
    if not sheet.versions.len():
        return
    rows = (
        sheet.frame[sheet.versions].with_columns(sheet.versions.alias(ROW)).sort("event_id", "known_on", ROW)
    )
    changed = pl.lit(False)
    for owner in _owners(sheet.table):
        value = pl.coalesce(owner)
        first = value.drop_nulls().first().over("event_id")
        # Who earned an income may be found out later; the household stays.
        changed = changed | (value != first).fill_null(False)
    other = rows.filter(changed)[ROW]
    rule, count = RULES["owner_changed"], f"{other.len():,} of the table's {sheet.frame.height:,} rows"
    _complain(sheet, "owner_changed", other, f"{rule.found} ({count})", f"{rule.zh}：共 {other.len():,} 行")


def _owners(table: Table) -> Iterator[list[str]]:
    """Columns with the owner of an event, one list an owner: of its columns the first that is filled
    counts."""
    if table.name == "shocks":
        yield ["household_id", "area_code"]
        return
    for name in ("household_id", "member_id"):
        if name in table.names:
            yield [name]


def _parts_above_total(medical: Sheet) -> None:
    most = pl.col("total_cost") + 1
    above = (pl.col("reimbursed") > most) | (pl.col("self_paid") > most)
    _complain(medical, "part_above_total", _rows(medical.frame, above))


def _left_before_birth(members: Sheet) -> None:
    _complain(members, "left_before_birth", _rows(members.frame, pl.col("left_on") < pl.col("birth_date")))


def _rows(frame: pl.DataFrame, condition: pl.Expr) -> pl.Series:
    return frame.select(condition.fill_null(False)).to_series().arg_true()


def _ids_used_again(members: Sheet, register: Register) -> None:
    """Add findings for member ids and household ids that were first those of other people."""
    if members.versions.len():
        clash = pl.col("again") & (pl.col("known_on") == pl.col("known_on").shift(1))
        if register.versions.select(
            (clash & (pl.col("household_id") != pl.col("household_id").shift(1))).any()
        ).item():
            _complain(
                members,
                "two_households",
                members.versions.filter(in_two_households(members.frame[members.versions])),
            )
        changed = pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in ("sex", "birth_date"))
        people = register.versions.filter(changed.fill_null(False) & pl.col("again"))["person"].unique()
        if people.len():
            suspects = register.versions.filter(pl.col("person").is_in(people.implode()))
            sex, born = (
                pl.col(name) != pl.col(name).drop_nulls().first().over("person")
                for name in ("sex", "birth_date")
            )
            gone = _returned().cast(pl.Int8).cum_max().over("person") == 1
            other = (sex & born) | (gone & (sex | born))
            _complain(members, "member_reused", suspects.filter(other.fill_null(False))[ROW])
    # Who was never in force (delivered as having left already) is nobody's predecessor.
    stays = register.stays.filter(pl.col("end").is_null() | (pl.col("end") > pl.col("begin")))
    until = pl.col("end").fill_null(_FAR).cum_max().shift(1).over("home")
    stays = stays.with_columns(stranger=(pl.col("begin") >= until).fill_null(False))
    if stays["stranger"].any():
        later = stays.filter(pl.col("stranger").cast(pl.Int8).cum_max().over("home") == 1)
        # People whom the register knows from another household may be relatives who took this one over.
        before = register.stays.select("person", "known").join(
            later.select("person", "home", came="known"), on="person"
        )
        known_before = before.filter(pl.col("known") < pl.col("came")).select("person", "home").unique()
        first = later.filter(pl.col("known") == pl.col("known").min().over("home"))
        strangers = first.join(known_before, on=["person", "home"], how="anti").select("home").unique()
        for name, how in (("household_reused", "semi"), ("household_taken_over", "anti")):
            newcomers = later.join(strangers, on="home", how=how)  # type: ignore[arg-type]
            versions = register.versions.join(newcomers, on=["person", "household_id"], how="semi")
            _complain(members, name, versions[ROW])


def _returned() -> pl.Expr:
    """Whether a version takes back a departure that had happened when it became known."""
    left = pl.col("left_on").shift(1)
    return pl.col("left_on").is_null() & left.is_not_null() & (left <= pl.col("known_on")) & pl.col("again")


def _before_birth(sheets: Mapping[str, Sheet], register: Register) -> None:
    for name in OF_MEMBER:
        if name not in sheets or not _usable(sheets[name], "member_id", "occurred_on"):
            continue
        start = sheets[name].frame["occurred_on"].min()
        # Only who was born while the table runs can have an event before birth.
        late = register.people.filter(pl.col("born") > start)
        if late.height:
            early = _joined(sheets[name], late, "member_id").filter(pl.col("occurred_on") < _limit(name))
            _complain(sheets[name], "before_birth", early.select(ROW).collect().to_series())


def _limit(table: str) -> pl.Expr:
    """The day before which an event of a person who was `born` is refused."""
    return pl.col("born") - pl.duration(days=BEFORE_BIRTH_DAYS.get(table, 0))


def _joined(sheet: Sheet, owners: pl.DataFrame, key: str, *columns: str) -> pl.LazyFrame:
    """The sheet's rows of these owners, with their position, what is known of the owner, and some columns
    more.
    """
    rows = sheet.frame.lazy().select(key, "occurred_on", *columns).with_row_index(ROW)
    return rows.join(owners.lazy(), on=key, how="inner")


def _events_moved(sheet: Sheet) -> None:
    """Corrections that carry the event to another time of the year."""
    if not sheet.versions.len():
        return
    rows = (
        sheet.frame[sheet.versions]
        .select("event_id", "known_on", "occurred_on")
        .with_columns(sheet.versions.alias(ROW))
    )
    rows = rows.sort("event_id", "known_on", ROW)
    moved = (pl.col("occurred_on") - pl.col("occurred_on").first().over("event_id")).dt.total_days().abs()
    refused = sheet.refused_rows()
    far = rows.filter((moved > MOVED_DAYS).fill_null(False))[ROW]
    _complain(sheet, "event_moved", far.filter(~far.is_in(refused.implode())))


def warn_of_corrections(sheet: Sheet, counties: pl.Series) -> None:
    """Add a warning for each county with months in which most rows take older ones out of force. counties:
    the county of each row.
    """
    rule = RULES["many_corrections"]
    found = corrected_deliveries(sheet, counties)
    for (county,), months in found.group_by("county", maintain_order=True):
        rows, corrections = months["rows"].sum(), months["corrections"].sum()
        named = ", ".join(f"{month:%Y-%m}" for month in months["month"].head(6))
        more = f" and {months.height - 6} more months" if months.height > 6 else ""
        text = (
            f"{corrections:,} of the {rows:,} rows of county {county} that became known in {named}{more} "
            "correct older rows: the older ones are no longer in force"
        )
        zh = (
            f"{county}：{named} 等 {months.height} 个月入库的 {rows:,} 行中有 {corrections:,} "
            "行是对旧记录的更正，旧记录因此失效（编号是否每年重新开始？）"
        )
        sheet.add("warning", rule.column, whole("many_corrections", text, rule.expected, rule.remedy, zh))


def corrected_deliveries(sheet: Sheet, counties: pl.Series) -> pl.DataFrame:
    """County and month of `known_on` in which most rows correct older ones: county, month, rows, corrections.
    Refused rows do not count.

    counties: the county of each row. See CORRECTED_SHARE.
    """
    schema = {"county": pl.String, "month": pl.Date, "rows": pl.UInt32, "corrections": pl.UInt32}
    if sheet.table.form != "event" or sheet.versions.len() < 2 * CORRECTED_AT_LEAST:
        return pl.DataFrame(schema=schema)
    keys = (
        sheet.frame[sheet.versions]
        .select("event_id", "known_on")
        .with_columns(counties.gather(sheet.versions).alias("county"))
    )
    kept = ~sheet.versions.is_in(sheet.refused_rows().implode())
    later = keys.filter((pl.col("known_on") > pl.col("known_on").min().over("event_id")) & kept)
    if later.height < CORRECTED_AT_LEAST:
        return pl.DataFrame(schema=schema)
    month = pl.col("known_on").dt.truncate("1mo").alias("month")
    corrected = later.group_by("county", month).agg(corrections=pl.len())
    days = (
        sheet.frame.select("known_on", counties.alias("county")).group_by("county", "known_on").agg(pl.len())
    )
    whole = days.group_by("county", month).agg(rows=pl.col("len").sum())
    usual = whole.with_columns(usual=pl.col("rows").mean().over("county"))
    count = pl.col("corrections")
    much = (count >= CORRECTED_SHARE * pl.col("rows")) & (count >= CORRECTED_SHARE * pl.col("usual"))
    found = usual.join(corrected, on=["county", "month"]).filter(much & (count >= CORRECTED_AT_LEAST))
    return found.select(*schema).sort("county", "month")


def _members_again(members: Sheet, register: Register) -> None:
    """Members who came back, and who are listed now here and now there."""
    if not members.versions.len():
        return
    refused = members.refused_rows()
    returned = register.versions.filter(_returned())[ROW]
    _complain(members, "came_back", returned.filter(~returned.is_in(refused.implode())))
    changes = register.versions.filter(
        pl.col("again") & (pl.col("household_id") != pl.col("household_id").shift(1))
    )
    runs = changes.group_by("member_id").agg(runs=pl.len() + 1)
    often = runs.filter(pl.col("runs") > 3)
    if often.height:
        homes = (
            register.stays.join(often, on="member_id")
            .group_by("member_id")
            .agg(homes=pl.len(), runs=pl.col("runs").first())
        )
        restless = homes.filter(pl.col("runs") - pl.col("homes") >= 2)
        _complain(members, "back_and_forth", changes.join(restless, on="member_id", how="semi")[ROW])


def _merged_and_split(sheets: Mapping[str, Sheet], register: Register) -> None:
    """Households that ended in others, and households that came out of others."""
    members = sheets["members"]
    moves = register.versions.filter(
        pl.col("again") & (pl.col("household_id") != pl.col("household_id").shift(1))
    )
    if not moves.height:
        return
    refused = members.refused_rows()
    moves = moves.filter(~pl.col(ROW).is_in(refused.implode()))
    ended = register.homes.filter(pl.col("ended").is_not_null()).select("household_id", "ended")
    # Those whose move was the end of the household; who had moved out before left it as it was.
    last = (
        register.stays.filter("moved").join(ended, on="household_id").filter(pl.col("end") == pl.col("ended"))
    )
    gone = last.select("member_id", origin="household_id")
    if gone.height:
        merged = moves.join(gone, on="member_id").filter(pl.col("household_id") != pl.col("origin"))
        watched = _monitored(sheets, merged["origin"].unique())
        homes = merged["origin"].n_unique()
        found = f"{RULES['household_merged'].found}: {homes:,} households, {watched:,} of them monitored"
        zh = f"{RULES['household_merged'].zh}（{homes:,} 户，其中监测对象 {watched:,} 户）"
        _complain(members, "household_merged", merged[ROW].unique(), found, zh)
    first = register.stays.join(moves.select("household_id").unique(), on="household_id", how="semi")
    first = first.filter(pl.col("known") == pl.col("first"))
    came = moves.select("member_id", "household_id", moved_row=ROW)
    first = (
        first.join(came, on=["member_id", "household_id"], how="left")
        .group_by("household_id")
        .agg(new=pl.col("moved_row").is_not_null().all(), rows=pl.col("moved_row"))
    )
    new = first.filter("new").explode("rows")
    if new.height:
        before = register.stays.filter("moved").select("member_id", origin="household_id")
        origins = new.join(moves.select("member_id", rows=ROW), on="rows").join(before, on="member_id")
        living = origins.filter(pl.col("origin") != pl.col("household_id")).join(
            ended, left_on="origin", right_on="household_id", how="anti"
        )
        split = living["household_id"].n_unique()
        watched = _monitored(sheets, living["origin"].unique())
        found = f"{RULES['household_split'].found}: {split:,} households, out of {watched:,} monitored ones"
        zh = f"{RULES['household_split'].zh}（{split:,} 户，原户为监测对象的 {watched:,} 户）"
        _complain(members, "household_split", living["rows"].unique(), found, zh)


def _monitored(sheets: Mapping[str, Sheet], household_ids: pl.Series) -> int:
    """How many of these households are monitored by the newest verification."""
    if "verifications" not in sheets or not household_ids.len():
        return 0
    visits = sheets["verifications"].frame.filter(
        pl.col("household_id").is_in(household_ids.implode())
        & pl.col("outcome").is_in(["risk_confirmed", "risk_eliminated"])
    )
    visits = visits.sort("known_on").unique("event_id", keep="last", maintain_order=True)
    confirms = (pl.col("outcome") == "risk_confirmed").alias("confirms")
    newest = (
        visits.with_columns(confirms)
        .sort("occurred_on", "known_on", "confirms")
        .group_by("household_id")
        .agg(pl.col("confirms").last())
    )
    return int(newest["confirms"].sum())


def _outside_lives(sheet: Sheet, register: Register) -> None:
    """Events of members after they left, of children at work, and income of people who belong to other
    households.
    """
    if not _usable(sheet, "member_id", "occurred_on"):
        return
    name = sheet.table.name
    newest = sheet.frame["occurred_on"].max()
    left = register.people.filter(pl.col("left") < newest)
    if name == "medical":
        late = register.people.filter(pl.col("born") > sheet.frame["occurred_on"].min())
        if late.height:
            near = pl.col("occurred_on").is_between(_limit(name), pl.col("born"), closed="left")
            _complain(
                sheet,
                "near_birth",
                _joined(sheet, late, "member_id").filter(near).select(ROW).collect().to_series(),
            )
    if left.height:
        # A month of work is dated on its last day.
        until = pl.col("left").dt.month_end() if name == "employment" else pl.col("left")
        gone = _joined(sheet, left, "member_id").filter(pl.col("occurred_on") > until)
        _complain(sheet, "after_leaving", gone.select(ROW).collect().to_series())
    if name == "employment":
        grown = pl.col("born").dt.offset_by(f"{AT_WORK_FROM}y")
        young = register.people.with_columns(grown=grown).filter(
            pl.col("grown") > sheet.frame["occurred_on"].min()
        )
        if young.height:
            rows = _joined(sheet, young, "member_id", "employed")
            early = rows.filter(
                (pl.col("occurred_on") < pl.col("grown"))
                & (pl.col("occurred_on") >= pl.col("born"))
                & pl.col("employed")
            )
            _complain(sheet, "child_at_work", early.select(ROW).collect().to_series())
    if name == "income" and _usable(sheet, "household_id"):
        # Most people belong to one household ever: their rows are compared without looking at pairs of ids.
        homes = register.stays.group_by("member_id").agg(home=pl.col("household_id").first(), homes=pl.len())
        rows = sheet.frame.lazy().select("member_id", "household_id").with_row_index(ROW).drop_nulls()
        elsewhere = (
            rows.join(homes.lazy(), on="member_id").filter(pl.col("household_id") != pl.col("home")).collect()
        )
        pairs = register.stays.select("member_id", "household_id")
        never = elsewhere.join(pairs, on=["member_id", "household_id"], how="anti")
        _complain(sheet, "not_a_member", never[ROW])


def _outside_households(sheet: Sheet, register: Register) -> None:
    """Events of households before they existed or after they ended."""
    if not _usable(sheet, "household_id", "occurred_on"):
        return
    first, last = sheet.frame["occurred_on"].min(), sheet.frame["occurred_on"].max()
    homes = register.homes.join(
        register.newcomers, on="household_id", how="left", maintain_order="left"
    ).with_columns(began=pl.max_horizontal("oldest", pl.col("began") - pl.duration(days=REGISTERED_LATE)))
    some = homes.filter((pl.col("began") > first) | (pl.col("ended") < last))
    if not some.height:
        return
    rows = _joined(sheet, some, "household_id")
    sides = rows.select(
        ROW, early=pl.col("occurred_on") < pl.col("began"), late=pl.col("occurred_on") > pl.col("ended")
    )
    outside = sides.filter(pl.col("early") | pl.col("late")).collect()
    _complain(sheet, "before_household", outside.filter("early")[ROW])
    _complain(sheet, "after_household", outside.filter("late")[ROW])


def may_contradict(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    """Whether a refusing rule may apply to these few records (dates as dates, every column there): the full
    checks then decide.

    Never False where a rule applies; True now and then where none does, as for a birth date that was
    corrected.
    """
    return _lives_contradict(rows.get("members", ())) or any(
        _events_contradict(name, rows[name], rows.get("members", ())) for name in EVENT_TABLES if name in rows
    )


def _lives_contradict(members: Sequence[Mapping[str, Any]]) -> bool:
    persons: dict[str, tuple[Any, Any]] = {}
    known: dict[tuple[str, str], dt.date] = {}
    ends: dict[tuple[str, str], dt.date] = {}
    last: dict[str, Mapping[str, Any]] = {}
    for row in sorted(members, key=lambda row: row["known_on"]):
        member, home = row["member_id"], row["household_id"]
        if persons.setdefault(member, (row["sex"], row["birth_date"])) != (row["sex"], row["birth_date"]):
            return True
        if row["left_on"] is not None and row["left_on"] < row["birth_date"]:
            return True
        known.setdefault((member, home), row["known_on"])
        before = last.get(member)
        if before is not None and before["household_id"] != home:
            ends[member, before["household_id"]] = min(row["known_on"], ends[member, before["household_id"]])
        ends[member, home] = row["left_on"] or _FAR
        last[member] = row
    if all(end == _FAR for end in ends.values()):
        return False
    since: dict[str, dt.date] = {}
    for (_, home), day in known.items():
        since[home] = min(day, since.get(home, day))
    until: dict[str, dt.date] = {}
    stays = []
    for (member, home), day in known.items():
        born = persons[member][1]
        begin = min(day, born - dt.timedelta(days=PREGNANCY)) if born > since[home] else day
        stays.append((begin, home, ends[member, home]))
    for begin, home, end in sorted(stays):
        if home in until and begin >= until[home]:
            return True
        if end > begin:
            until[home] = max(end, until.get(home, end))
    return False


def _events_contradict(
    name: str, events: Sequence[Mapping[str, Any]], members: Sequence[Mapping[str, Any]]
) -> bool:
    born: dict[str, dt.date] = {}
    if name in OF_MEMBER:
        for row in members:
            born[row["member_id"]] = min(row["birth_date"], born.get(row["member_id"], row["birth_date"]))
    tolerance = dt.timedelta(days=BEFORE_BIRTH_DAYS.get(name, 0))
    owner_of: dict[str, tuple[Any, ...]] = {}
    for row in events:
        owner = (row.get("household_id"), row.get("member_id"), row.get("area_code"))
        if owner_of.setdefault(row["event_id"], owner) != owner:
            return True
        member = row.get("member_id")
        if member in born and row["occurred_on"] < born[member] - tolerance:
            return True
        if name == "medical" and max(row["reimbursed"], row["self_paid"]) > row["total_cost"] + 1:
            return True
    return False
