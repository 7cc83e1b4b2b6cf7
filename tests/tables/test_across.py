"""Rules across tables and versions: what is refused is in no frame, what is kept is reported, in every form
of the tables.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.tables import check_tables, checked_tables, quarantine, read_tables, tables_of
from riskmodel.tables.across import CORRECTED_AT_LEAST, MOVED_DAYS, REGISTERED_LATE, RULES, may_contradict
from riskmodel.tables.findings import CHECKS

Records = dict[str, list[dict[str, Any]]]
# Households of the small county have numbers; household 000003 has four members, of whom the second left on
# 2024-08-01.
HEAD, SPOUSE, CHILD, PARENT = (f"000003-{place}" for place in (1, 2, 3, 4))


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def add(records: Records, table: str, like: dict[str, Any] | None = None, **values: Any) -> int:
    """Add a row (a copy of another with other values); its number in a Parquet file."""
    row = dict(like or records[table][0])
    if "event_id" in row and like is None:
        row["event_id"] = f"new-{len(records[table])}"
    records[table].append(row | values)
    return len(records[table])


def member(records: Records, number: str, **values: Any) -> dict[str, Any]:
    row = next(row for row in records["members"] if row["member_id"] == number)
    return row | values


def born_later(records: Records) -> int:
    add(
        records,
        "members",
        member(records, CHILD),
        member_id="000003-5",
        birth_date=day("2024-05-10"),
        known_on=day("2024-06-01"),
    )
    return add(
        records,
        "medical",
        member_id="000003-5",
        occurred_on=day("2024-04-08"),
        known_on=day("2024-06-20"),
        kind="outpatient",
        hospital_days=None,
    )


def left_before_birth(records: Records) -> int:
    return add(records, "members", member(records, CHILD), member_id="000003-5", left_on=day("2011-01-01"))


def part_above_total(records: Records) -> int:
    bill = records["medical"][0]
    return (
        add(
            records,
            "medical",
            event_id="b",
            total_cost=100.0,
            reimbursed=101.5,
            self_paid=0.0,
            compliant_self_paid=0.0,
        )
        if bill
        else 0
    )


def owner_changed(records: Records) -> int:
    bill = next(row for row in records["medical"] if row["member_id"].startswith("000003"))
    return add(
        records, "medical", bill, member_id="000004-1", known_on=bill["known_on"] + dt.timedelta(days=40)
    )


def household_reused(records: Records) -> int:
    records["medical"] = [row for row in records["medical"] if row["member_id"] != "000004-1"]
    gone = member(records, "000004-1")
    add(records, "members", gone, known_on=day("2024-02-10"), left_on=day("2024-02-01"))
    return add(
        records,
        "members",
        gone,
        member_id="stranger",
        known_on=day("2024-03-01"),
        birth_date=day("1990-01-01"),
    )


def member_reused(records: Records) -> int:
    return add(
        records,
        "members",
        member(records, HEAD),
        known_on=day("2024-01-05"),
        sex="female",
        birth_date=day("1999-09-09"),
    )


def two_households(records: Records) -> int:
    return add(records, "members", member(records, PARENT), household_id="000005")


def near_birth(records: Records) -> int:
    row = born_later(records)
    records["medical"][row - 1]["occurred_on"] = day("2024-04-09")  # 31 days before 10 May
    return row


def household_taken_over(records: Records) -> int:
    """The parent of 000003 moves in where the only member of 000004 had died."""
    household_reused(records)
    records["members"].pop()
    return add(
        records,
        "members",
        member(records, PARENT),
        household_id="000004",
        known_on=day("2024-03-01"),
        relation="head",
    )


def after_leaving(records: Records) -> int:
    return add(
        records, "medical", member_id=SPOUSE, occurred_on=day("2024-08-02"), known_on=day("2024-09-01")
    )


def before_household(records: Records) -> int:
    home = records["households"][0]
    add(records, "households", home, household_id="new", known_on=day("2024-06-01"))
    add(
        records,
        "members",
        member(records, HEAD),
        household_id="new",
        member_id="new-1",
        known_on=day("2024-06-01"),
    )
    began = day("2024-06-01") - dt.timedelta(days=REGISTERED_LATE + 1)
    return add(records, "assistance", household_id="new", occurred_on=began, known_on=day("2024-06-10"))


def after_household(records: Records) -> int:
    add(
        records, "members", member(records, "000004-1"), known_on=day("2024-02-10"), left_on=day("2024-02-01")
    )
    for table in (
        "income",
        "expenditure",
        "medical",
        "verifications",
        "leads",
        "assistance",
        "shocks",
        "employment",
    ):
        records[table] = [
            row
            for row in records[table]
            if "000004" not in (row.get("household_id"), str(row.get("member_id"))[:6])
        ]
    return add(
        records,
        "income",
        household_id="000004",
        member_id=None,
        occurred_on=day("2024-02-02"),
        known_on=day("2024-03-01"),
    )


def not_a_member(records: Records) -> int:
    return add(records, "income", household_id="000003", member_id="000004-1")


def child_at_work(records: Records) -> int:
    return add(
        records, "employment", member_id=CHILD, occurred_on=day("2024-01-31"), known_on=day("2024-02-20")
    )


def came_back(records: Records) -> int:
    records["medical"] = [row for row in records["medical"] if row["member_id"] != SPOUSE]
    return add(records, "members", member(records, SPOUSE), known_on=day("2024-11-01"), left_on=None)


def back_and_forth(records: Records) -> int:
    """Born in 000003, moved to 000005, back, and to 000005 again."""
    for number, (known, home) in enumerate(
        (("2023-03-01", "000005"), ("2023-06-01", "000003"), ("2023-09-01", "000005"))
    ):
        last = add(records, "members", member(records, PARENT), known_on=day(known), household_id=home)
        assert number < 3
    return last - 2


def household_merged(records: Records) -> int:
    """The only member of 000004 moves in with 000003."""
    for table in ("income", "expenditure", "verifications", "leads", "assistance", "shocks"):
        records[table] = [row for row in records[table] if row.get("household_id") != "000004"]
    return add(
        records,
        "members",
        member(records, "000004-1"),
        known_on=day("2024-12-20"),
        household_id="000003",
        relation="other",
    )


def household_split(records: Records) -> int:
    """The parent of 000003 founds a household."""
    add(records, "households", records["households"][0], household_id="new", known_on=day("2024-06-01"))
    return add(
        records,
        "members",
        member(records, PARENT),
        household_id="new",
        known_on=day("2024-06-01"),
        relation="head",
    )


def event_moved(records: Records) -> int:
    bill = next(row for row in records["income"] if row["occurred_on"] < day("2023-06-01"))
    moved = {name: bill[name] + dt.timedelta(days=MOVED_DAYS + 1) for name in ("occurred_on", "known_on")}
    return add(records, "income", bill, **moved)


# Rule -> table and the number of its first row in a Parquet file, and how many rows there are.
BREAKS: dict[str, tuple[str, Callable[[Records], int], int]] = {
    "before_birth": ("medical", born_later, 1),
    "left_before_birth": ("members", left_before_birth, 1),
    "part_above_total": ("medical", part_above_total, 1),
    "owner_changed": ("medical", owner_changed, 1),
    "household_reused": ("members", household_reused, 1),
    "member_reused": ("members", member_reused, 1),
    "two_households": ("members", two_households, 2),
    "near_birth": ("medical", near_birth, 1),
    "household_taken_over": ("members", household_taken_over, 1),
    "after_leaving": ("medical", after_leaving, 1),
    "before_household": ("assistance", before_household, 1),
    "after_household": ("income", after_household, 1),
    "not_a_member": ("income", not_a_member, 1),
    "child_at_work": ("employment", child_at_work, 1),
    "came_back": ("members", came_back, 1),
    "back_and_forth": ("members", back_and_forth, 3),
    "household_merged": ("members", household_merged, 1),
    "household_split": ("members", household_split, 1),
    "event_moved": ("income", event_moved, 1),
}
REFUSED = [name for name in BREAKS if RULES[name].level == "error"]
KEPT = [name for name in BREAKS if RULES[name].level == "warning"]


def of_rules(report):
    return [finding for finding in report.findings if finding.check in RULES]


def test_every_rule_has_a_test_and_is_among_the_checks():
    assert set(BREAKS) | {"many_corrections"} == set(RULES)
    assert {name: rule.level for name, rule in RULES.items()} == {name: CHECKS[name][0] for name in RULES}


def test_a_right_county_breaks_no_rule(clean_folder):
    assert of_rules(check_tables(clean_folder)) == []


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_rule_is_reported_with_its_rows_in_either_form(
    tmp_path, records, as_parquet, as_csv, name, form
):
    table, broken, count = BREAKS[name]
    row = broken(records)
    folder = (as_parquet if form == "parquet" else as_csv)(tmp_path / "tables", records)
    findings = of_rules(check_tables(folder))
    rule = RULES[name]
    assert [(finding.check, finding.level, finding.table, finding.count) for finding in findings] == [
        (name, rule.level, table, count)
    ]
    finding = findings[0]
    header = 1 if form == "csv" else 0  # in a CSV the header is row 1
    assert row + header in finding.rows
    assert (
        finding.column == rule.column
        and finding.remedy == rule.remedy
        and finding.in_chinese.startswith(rule.zh[:8])
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_in_no_frame_and_lies_in_quarantine_with_its_reason(
    tmp_path, records, as_csv, name
):
    table, broken, count = BREAKS[name]
    row = broken(records)
    folder = as_csv(tmp_path / "tables", records)
    with pytest.raises(DataError, match=f"{table}.csv"):
        read_tables(folder)
    result = quarantine(folder, tmp_path / "aside")
    with (tmp_path / "aside" / f"{table}.csv").open(encoding="utf-8") as stream:
        aside = list(csv.DictReader(stream))
    assert [line["(refused because)"] for line in aside] == [name] * count
    assert str(row + 1) in [line["(row)"] for line in aside]
    assert result.tables[table].height == len(records[table]) - count
    # What went on is a right county.
    again = tmp_path / "again"
    again.mkdir()
    for other, frame in result.tables.frames.items():
        frame.drop("replaced_on", strict=False).write_parquet(again / f"{other}.parquet")
    assert [finding.check for finding in of_rules(check_tables(again)) if finding.level == "error"] == []


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_is_in_the_frames(tmp_path, records, as_parquet, name):
    BREAKS[name][1](records)
    report, tables = checked_tables(as_parquet(tmp_path / "tables", records))
    assert report.ok
    assert {table: frame.height for table, frame in tables.frames.items()} == {
        table: len(rows) for table, rows in records.items()
    }


@pytest.mark.parametrize("name", BREAKS)
def test_records_in_memory_are_judged_by_the_same_rules(records, name):
    BREAKS[name][1](records)
    if name in REFUSED:
        with pytest.raises(DataError, match=RULES[name].found[:40]):
            tables_of(records)
    else:
        assert tables_of(records)["members"].height == len(records["members"])


def test_right_records_go_the_quick_way(records):
    assert not may_contradict(records)


@pytest.mark.parametrize("name", REFUSED)
def test_the_quick_way_never_passes_what_is_refused(records, name):
    BREAKS[name][1](records)
    if name != "two_households":  # the quick way refuses a key that is there twice before it looks at lives
        assert may_contradict(records)


# Ids that begin again ---------------------------------------------------------------------------------------


@pytest.fixture
def two_years(records):
    """Two years of bills, whose ids begin again in the second: bill 1 of 2023 is one person's, bill 1 of 2024
    another's.
    """
    people = [
        row["member_id"]
        for row in records["members"]
        if row["left_on"] is None and row["known_on"] == day("2023-01-01")
    ]
    like = records["medical"][0]
    records["medical"] = []
    for year in (2023, 2024):
        for number in range(30):
            occurred = dt.date(year, 1 + number % 12, 10)
            place = number if year == 2023 else number + 7
            add(
                records,
                "medical",
                like,
                event_id=f"B{number:04d}",
                member_id=people[place % len(people)],
                occurred_on=occurred,
                known_on=occurred + dt.timedelta(days=20),
            )
    return records


def test_ids_of_events_that_begin_again_each_year_are_refused_with_all_their_rows(
    tmp_path, two_years, as_parquet
):
    report = check_tables(as_parquet(tmp_path / "tables", two_years))
    finding = next(finding for finding in report.errors if finding.check == "owner_changed")
    assert finding.count == 30 and finding.rows == tuple(range(31, 41))
    assert "30 of the table's 60 rows" in finding.found and "put the year" in finding.remedy


def test_the_first_year_stays_in_force_when_the_second_is_set_aside(tmp_path, two_years, as_csv):
    result = quarantine(as_csv(tmp_path / "tables", two_years), tmp_path / "aside")
    assert result.refused == {"medical": 30}
    assert result.tables.known_by(day("2024-12-31"))["medical"][
        "occurred_on"
    ].dt.year().unique().to_list() == [2023]


@pytest.mark.parametrize(
    "table", ["verifications", "income", "expenditure", "assistance", "leads", "authorisations", "assets"]
)
def test_a_correction_that_goes_to_another_household_is_refused_in_every_table(
    tmp_path, records, as_parquet, table
):
    event = records[table][0]
    add(
        records,
        table,
        event,
        household_id="000004",
        member_id=None,
        known_on=event["known_on"] + dt.timedelta(days=9),
    )
    if table != "income":
        del records[table][-1]["member_id"]
    report = check_tables(as_parquet(tmp_path / "tables", records))
    assert [(finding.check, finding.table) for finding in report.errors] == [("owner_changed", table)]


def test_a_shock_to_an_area_that_becomes_a_households_is_refused(tmp_path, records, as_parquet):
    shock = next(row for row in records["shocks"] if row["area_code"])
    add(records, "shocks", shock, household_id="000004", known_on=shock["known_on"] + dt.timedelta(days=9))
    assert [finding.check for finding in check_tables(as_parquet(tmp_path / "tables", records)).errors] == [
        "owner_changed"
    ]


def test_who_earned_an_income_may_be_found_out_later(tmp_path, records, as_parquet):
    pay = next(row for row in records["income"] if row["member_id"] is None)
    earner = f"{pay['household_id']}-1"
    add(records, "income", pay, member_id=earner, known_on=pay["known_on"] + dt.timedelta(days=30))
    add(records, "income", pay, member_id=None, known_on=pay["known_on"] + dt.timedelta(days=60))
    assert of_rules(check_tables(as_parquet(tmp_path / "tables", records))) == []


def deliveries(records, corrected):
    """100 incomes known in March 2024, and 100 in April of which so many correct one of March."""
    like = records["income"][0]
    records["income"] = []
    for number in range(100):
        add(
            records,
            "income",
            like,
            event_id=f"A{number}",
            occurred_on=day("2024-02-29"),
            known_on=day("2024-03-10"),
        )
    for number in range(100):
        name = f"A{number}" if number < corrected else f"B{number}"
        add(
            records,
            "income",
            like,
            event_id=name,
            occurred_on=day("2024-02-29"),
            known_on=day("2024-04-10"),
            amount=9.0,
        )
    return records


def test_a_delivery_of_which_a_fifth_corrects_older_rows_is_reported(tmp_path, records, as_parquet):
    report = check_tables(as_parquet(tmp_path / "tables", deliveries(records, 20)))
    finding = next(finding for finding in report.warnings if finding.check == "many_corrections")
    assert (
        finding.table == "income"
        and "20 of the 100 rows of county 522301 that became known in 2024-04" in finding.found
    )
    assert "no longer in force" in finding.found and "2024-04" in finding.in_chinese


def test_a_delivery_with_fewer_corrections_is_usual(tmp_path, records, as_parquet):
    assert of_rules(check_tables(as_parquet(tmp_path / "tables", deliveries(records, 19)))) == []


def test_a_small_delivery_of_corrections_alone_is_usual(tmp_path, records, as_parquet):
    """Of 100 incomes, ten are corrected in a month without others: a tenth of the average month of 55."""
    records = deliveries(records, 0)
    for number in range(CORRECTED_AT_LEAST):
        add(records, "income", records["income"][number], known_on=day("2024-05-10"), amount=1.0)
    assert of_rules(check_tables(as_parquet(tmp_path / "tables", records))) == []


def test_a_correction_may_move_its_event_by_half_a_year(tmp_path, records, as_parquet):
    pay = records["income"][0]
    moved = {name: pay[name] + dt.timedelta(days=MOVED_DAYS) for name in ("occurred_on", "known_on")}
    add(records, "income", pay, **moved)
    assert of_rules(check_tables(as_parquet(tmp_path / "tables", records))) == []


# People and households --------------------------------------------------------------------------------------


def test_a_child_born_after_the_last_other_member_left_is_no_stranger(tmp_path, records, as_parquet):
    """The only member dies on 1 February, the child born on 20 January is registered in March."""
    gone = member(records, "000004-1")
    add(records, "members", gone, known_on=day("2024-02-10"), left_on=day("2024-02-01"))
    add(
        records,
        "members",
        gone,
        member_id="baby",
        known_on=day("2024-03-01"),
        birth_date=day("2024-01-20"),
        relation="child",
        labour="none",
    )
    report = check_tables(as_parquet(tmp_path / "tables", records))
    assert not [finding for finding in of_rules(report) if finding.level == "error"]


def test_who_had_left_before_the_tables_begin_is_nobodys_predecessor(tmp_path, records, as_parquet):
    """Delivered at the beginning together: one who had left in 2020, and those who live there."""
    add(
        records,
        "members",
        member(records, "000004-1"),
        member_id="before",
        left_on=day("2020-05-01"),
        relation="parent",
    )
    assert of_rules(check_tables(as_parquet(tmp_path / "tables", records))) == []


def test_a_member_who_comes_back_as_somebody_else_is_refused(tmp_path, records, as_parquet):
    """After leaving, sex or birth alone is enough."""
    add(
        records,
        "members",
        member(records, SPOUSE),
        known_on=day("2024-11-01"),
        left_on=None,
        birth_date=day("2001-01-01"),
    )
    report = check_tables(as_parquet(tmp_path / "tables", records))
    assert [finding.check for finding in report.errors] == ["member_reused"]


def test_a_birth_date_that_is_corrected_counts_as_corrected(tmp_path, records, as_parquet):
    """The bill of June 2023 comes before the birth date as first written, and after the right one."""
    bill = next(row for row in records["medical"] if row["member_id"].startswith("000003"))
    for row in records["members"]:
        if row["member_id"] == bill["member_id"]:
            right = row["birth_date"]
            row |= {
                "birth_date": bill["occurred_on"] + dt.timedelta(days=3),
                "known_on": bill["occurred_on"] + dt.timedelta(days=9),
            }
            fixed = row | {"birth_date": right, "known_on": row["known_on"] + dt.timedelta(days=30)}
    records["members"].append(fixed)
    assert check_tables(as_parquet(tmp_path / "tables", records)).ok


def test_an_announced_departure_that_did_not_happen_is_no_return(tmp_path, records, as_parquet):
    records["members"] = [
        row | {"left_on": day("2024-09-01")} if row["member_id"] == HEAD else row
        for row in records["members"]
    ]
    add(records, "members", member(records, HEAD), known_on=day("2024-08-15"), left_on=None)
    assert of_rules(check_tables(as_parquet(tmp_path / "tables", records))) == []


def test_the_last_month_of_work_of_somebody_who_left_is_right(tmp_path, records, as_parquet):
    """Left on 1 August: the month's row is dated 31 August; that of September is reported."""
    row = add(
        records, "employment", member_id=SPOUSE, occurred_on=day("2024-08-31"), known_on=day("2024-09-10")
    )
    folder = as_parquet(tmp_path / "tables", records)
    assert of_rules(check_tables(folder)) == []
    records["employment"][row - 1] |= {"occurred_on": day("2024-09-30"), "known_on": day("2024-10-10")}
    assert [finding.check for finding in of_rules(check_tables(as_parquet(folder, records)))] == [
        "after_leaving"
    ]


def test_a_new_household_may_be_registered_a_quarter_late(tmp_path, records, as_parquet):
    row = before_household(records)
    records["assistance"][row - 1]["occurred_on"] += dt.timedelta(days=1)
    assert of_rules(check_tables(as_parquet(tmp_path / "tables", records))) == []


def test_a_measure_from_before_the_birth_of_the_oldest_member_is_reported(tmp_path, records, as_parquet):
    row = add(
        records,
        "assistance",
        household_id="000004",
        occurred_on=day("1975-01-01"),
        known_on=day("2023-02-01"),
    )
    finding = of_rules(check_tables(as_parquet(tmp_path / "tables", records)))
    assert [(one.check, one.rows) for one in finding] == [("before_household", (row,))]


def test_a_bill_of_the_day_of_birth_is_right_and_a_yuan_of_rounding_too(tmp_path, records, as_parquet):
    row = born_later(records)
    records["medical"][row - 1] |= {
        "occurred_on": day("2024-05-10"),
        "total_cost": 10.0,
        "reimbursed": 10.9,
        "self_paid": 0.0,
    }
    records["medical"][row - 1]["compliant_self_paid"] = 0.0
    assert of_rules(check_tables(as_parquet(tmp_path / "tables", records))) == []


def test_a_warning_says_how_many_of_the_merged_and_split_households_are_monitored(
    tmp_path, records, as_parquet
):
    household_merged(records)
    add(
        records,
        "verifications",
        event_id="found",
        household_id="000004",
        occurred_on=day("2024-10-01"),
        known_on=day("2024-10-03"),
        origin="lead",
        outcome="risk_confirmed",
        object_class="sudden",
        risk_kinds="illness",
    )
    finding = of_rules(check_tables(as_parquet(tmp_path / "tables", records)))[0]
    assert "1 households, 1 of them monitored" in finding.found and "监测对象 1 户" in finding.in_chinese


def test_the_bills_of_a_member_who_died_stay_in_the_tables_and_only_later_ones_are_reported(
    tmp_path, records, as_parquet
):
    """Two bills before 1 August 2024 and one after it: all three are in force at the end of the year, one is
    named.
    """
    for number, (occurred, known) in enumerate(
        (("2024-06-01", "2024-07-01"), ("2024-08-01", "2024-10-01"), ("2024-08-20", "2024-10-01"))
    ):
        last = add(
            records,
            "medical",
            event_id=f"late{number}",
            member_id=SPOUSE,
            occurred_on=day(occurred),
            known_on=day(known),
        )
    report, tables = checked_tables(as_parquet(tmp_path / "tables", records))
    assert [(finding.check, finding.rows) for finding in of_rules(report)] == [("after_leaving", (last,))]
    known = tables.known_by(day("2024-12-31"))
    assert known["medical"].filter(pl.col("event_id").str.starts_with("late")).height == 3
    assert SPOUSE not in known["members"]["member_id"]


def test_rows_in_several_files_are_named_with_their_file(tmp_path, records, as_parquet):
    folder = as_parquet(tmp_path / "tables", records)
    born_later(records)
    frame = as_parquet(tmp_path / "other", records) / "medical.parquet"
    bills = pl.read_parquet(frame)
    (folder / "medical.parquet").unlink()
    (folder / "medical").mkdir()
    bills.head(bills.height - 1).write_parquet(folder / "medical" / "a.parquet")
    bills.tail(1).write_parquet(folder / "medical" / "b.parquet")
    (folder / "members.parquet").write_bytes((tmp_path / "other" / "members.parquet").read_bytes())
    finding = of_rules(check_tables(folder))[0]
    assert finding.file == "medical/b.parquet" and finding.rows == (1,)


def test_many_months_of_corrections_are_one_warning_a_county(tmp_path, records, as_parquet):
    """Ids that begin again each month, of the same household: from the second month on every row corrects one
    of the first.
    """
    like = records["income"][0]
    records["income"] = [
        like
        | {
            "event_id": f"A{number}",
            "occurred_on": dt.date(2024, month, 1),
            "known_on": dt.date(2024, month, 10),
            "amount": 1.0 * month,
        }
        for month in range(1, 10)
        for number in range(15)
    ]
    report = check_tables(as_parquet(tmp_path / "tables", records))
    (finding,) = [finding for finding in report.warnings if finding.check == "many_corrections"]
    assert "120 of the 120 rows" in finding.found and "2024-07 and 2 more months" in finding.found
