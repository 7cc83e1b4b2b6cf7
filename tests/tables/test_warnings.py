"""What is strange is kept and reported: each contradiction, unit suspect, gap and changed lag with its
words.
"""

from __future__ import annotations

import datetime as dt
import random

import pytest

from riskmodel.tables import check_tables, checked_tables, read_tables
from riskmodel.tables.suspicions import AUDIT_RULES


def add_event(records, table, **values):
    records[table].append(
        {
            "event_id": f"X{len(records[table])}",
            "occurred_on": dt.date(2024, 1, 31),
            "known_on": dt.date(2024, 2, 20),
        }
        | values
    )


def person(records, role="head", /, **values):
    row = next(row for row in records["members"] if row["relation"] == role)
    row |= values
    return row


def _pupil(r):
    person(r, "child", labour="ordinary")


def _child(r):
    person(r, "child", labour="ordinary", schooling="none")


def _old(r):
    person(r, birth_date=dt.date(1890, 1, 1))


def _school(r):
    person(r, "head", schooling="primary", labour="none")


def _both(r):
    person(r, dibao=True, tekun=True)


def _uninsured(r):
    person(r, medical_insured=False, pension_insured=False)


def _guarantee(r):
    person(r, medical_insured=False)


def _two_persons(r):
    r["members"].append(
        r["members"][0] | {"known_on": dt.date(2024, 1, 1), "birth_date": dt.date(1960, 1, 1)}
    )


def _no_head(r):
    person(r, relation="other")


def _two_heads(r):
    person(r, "spouse", relation="head")


def _severe(r):
    add_event(r, "disability", member_id=person(r)["member_id"], kind="physical", level=2, valid_until=None)


def _wage(r):
    r["employment"][0]["monthly_wage"] = 50_000.0


def _idle(r):
    r["employment"][0] |= {"employed": False}


def _month_end(r):
    r["employment"][0] |= {"occurred_on": dt.date(2023, 1, 15)}


def _twice(r):
    r["employment"].append(r["employment"][0] | {"event_id": "again"})


def _cost(r):
    r["medical"][0] |= {
        "total_cost": 100.0,
        "reimbursed": 60.0,
        "self_paid": 50.0,
        "compliant_self_paid": 50.0,
    }


def _compliant(r):
    r["medical"][0]["compliant_self_paid"] = r["medical"][0]["self_paid"] + 1


def _days(r):
    r["medical"][0]["kind"] = "outpatient"


def _class(r):
    r["verifications"][0]["object_class"] = "sudden"


def _category(r):
    home = next(home["household_id"] for home in r["households"] if home["category"] == "general")
    add_event(
        r,
        "verifications",
        household_id=home,
        origin="lead",
        outcome="risk_confirmed",
        object_class="unstable_lifted",
        risk_kinds="illness",
    )


def _certificate(r):
    add_event(
        r,
        "verifications",
        household_id="000001",
        origin="lead",
        outcome="risk_confirmed",
        object_class="sudden",
        risk_kinds="disability",
    )


def _valid(r):
    r["disability"][0]["valid_until"] = dt.date(2000, 1, 1)


def _ended(r):
    r["assistance"][0]["ended_on"] = dt.date(2000, 1, 1)


def _revoked(r):
    r["authorisations"][0]["revoked_on"] = dt.date(2000, 1, 1)


BREAKS = {
    "pupil_labour": _pupil,
    "child_labour": _child,
    "school_age": _school,
    "too_old": _old,
    "dibao_and_tekun": _both,
    "no_insurance": _uninsured,
    "insurance_guarantee": _guarantee,
    "two_persons": _two_persons,
    "no_head": _no_head,
    "several_heads": _two_heads,
    "severe_labour": _severe,
    "wage_range": _wage,
    "wage_without_work": _idle,
    "month_end": _month_end,
    "month_twice": _twice,
    "cost_parts": _cost,
    "compliant_part": _compliant,
    "days_without_stay": _days,
    "class_without_risk": _class,
    "class_and_category": _category,
    "no_certificate": _certificate,
    "certificate_ended": _valid,
    "measure_ended": _ended,
    "revoked_before": _revoked,
}


def test_every_audit_rule_has_a_test():
    assert set(BREAKS) == set(AUDIT_RULES)


@pytest.mark.parametrize("rule", AUDIT_RULES)
def test_a_contradiction_is_kept_and_reported_with_its_rows(tmp_path, records, as_parquet, rule):
    BREAKS[rule](records)
    others = ("income", "expenditure", "policy", "leads", "assets", "shocks")
    folder = as_parquet(
        tmp_path / "tables", {name: rows for name, rows in records.items() if name not in others}
    )
    report = check_tables(folder)
    assert report.ok
    column, found, expected, zh = AUDIT_RULES[rule]
    hits = [finding for finding in report.warnings if finding.found == found]
    assert len(hits) == 1, report.text()
    assert (hits[0].check, hits[0].column, hits[0].expected, hits[0].zh) == (
        "contradiction",
        column,
        expected,
        zh,
    )
    assert hits[0].rows and hits[0].count >= 1


def test_a_warning_changes_no_row(tmp_path, records, as_parquet):
    for break_rule in BREAKS.values():
        break_rule(records)
    tables = read_tables(as_parquet(tmp_path / "tables", records))
    assert {name: frame.height for name, frame in tables.frames.items()} == {
        name: len(rows) for name, rows in records.items()
    }


def test_households_without_members_are_pointed_out(tmp_path, records, as_parquet):
    records["households"].append(records["households"][0] | {"household_id": "lonely"})
    report = check_tables(as_parquet(tmp_path / "tables", records))
    finding = next(finding for finding in report.warnings if finding.check == "no_members")
    assert finding.rows == (29,) and "in no cohort" in finding.remedy


def test_a_day_of_knowledge_still_to_come_is_pointed_out(tmp_path, records, as_parquet):
    records["leads"][0]["known_on"] = dt.date(2099, 1, 1)
    report = check_tables(as_parquet(tmp_path / "tables", records))
    finding = one(report, "known_in_future")
    assert "2099-01-01" in finding.found and finding.rows == (1,) and "--until" in finding.remedy


@pytest.fixture
def five_to_midnight(monkeypatch):
    """23:00 UTC on 4 January 2026: 07:00 on the 5th in China, 18:00 on the 4th in New York."""

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2026, 1, 4, 23, 0, tzinfo=dt.UTC).astimezone(tz)

    class Machine(dt.date):  # a host in UTC
        @classmethod
        def today(cls):
            return dt.date(2026, 1, 4)

    monkeypatch.setattr("datetime.datetime", Clock)
    monkeypatch.setattr("datetime.date", Machine)


def test_what_came_this_morning_is_not_still_to_come_on_a_host_in_utc(tmp_path, records, as_parquet, request):
    records["leads"][0] |= {"occurred_on": dt.date(2026, 1, 4), "known_on": dt.date(2026, 1, 5)}
    folder = as_parquet(tmp_path / "tables", records)
    request.getfixturevalue("five_to_midnight")
    known = {finding.check for finding in check_tables(folder).warnings}
    assert "known_in_future" not in known
    report = check_tables(folder, today=dt.date(2026, 1, 4))
    assert "2026-01-05" in one(report, "known_in_future").found


def test_the_project_says_whose_day_it_is(tmp_path, records, as_parquet, own_project, request):
    import riskmodel as rm

    records["leads"][0] |= {"occurred_on": dt.date(2026, 1, 4), "known_on": dt.date(2026, 1, 5)}
    folder = as_parquet(tmp_path / "tables", records)
    settings = own_project.root / "serving" / "screening.yaml"
    text = settings.read_text("utf-8")
    assert "\ntimezone: Asia/Shanghai" in text
    request.getfixturevalue("five_to_midnight")
    assert "known_in_future" not in rm.check_tables(folder, project=own_project).text()
    settings.write_text(text.replace("Asia/Shanghai", "America/New_York"), "utf-8")
    assert "known_in_future" in rm.check_tables(folder, project=own_project).text()
    settings.write_text(text.replace("Asia/Shanghai", "Nowhere/At_all"), "utf-8")
    with pytest.raises(rm.UserError, match="no time zone"):
        rm.check_tables(folder, project=own_project)


def one(report, check):
    found = [finding for finding in report.warnings if finding.check == check]
    assert len(found) == 1, report.text()
    return found[0]


@pytest.fixture
def three_counties(records):
    """Households spread over three counties, with twenty-five bills each."""
    rng = random.Random(1)
    homes = {}
    for home in records["households"]:
        county = 522301 + int(home["household_id"]) % 3
        home |= {
            "county_code": str(county),
            "township_code": f"{county}001",
            "village_code": f"{county}001201",
        }
        homes[home["household_id"]] = county
    for number in range(90):
        member = rng.choice(records["members"])
        self_paid = round(rng.lognormvariate(6, 1), 2)
        add_event(
            records,
            "medical",
            event_id=f"B{number}",
            member_id=member["member_id"],
            kind="outpatient",
            total_cost=self_paid * 2,
            reimbursed=self_paid,
            self_paid=self_paid,
        )
    return records, homes


def test_a_county_whose_median_is_ten_thousand_times_its_neighbours_is_a_unit_suspect(
    tmp_path, three_counties, as_parquet
):
    records, homes = three_counties
    for bill in records["medical"]:
        if homes[bill["member_id"][:6]] == 522302:
            bill["self_paid"] /= 10_000
            bill["compliant_self_paid"] = None
    report = check_tables(as_parquet(tmp_path / "tables", records))
    finding = one(report, "unit_suspect")
    assert (
        finding.column == "self_paid"
        and "in county 522302" in finding.found
        and "other counties" in finding.expected
    )
    assert "unit: 万元" in finding.remedy


def test_counties_of_different_wealth_are_no_unit_suspects(tmp_path, three_counties, as_parquet):
    records, homes = three_counties
    for bill in records["medical"]:
        if homes[bill["member_id"][:6]] == 522302:
            for column in ("total_cost", "self_paid", "reimbursed"):
                bill[column] *= 5
    report = check_tables(as_parquet(tmp_path / "tables", records))
    assert "unit_suspect" not in {finding.check for finding in report.warnings}


def test_a_single_county_in_ten_thousands_of_yuan_is_a_unit_suspect(tmp_path, records, as_parquet):
    for row in records["income"]:
        row["amount"] /= 10_000
    finding = one(check_tables(as_parquet(tmp_path / "tables", records)), "unit_suspect")
    assert finding.column == "amount" and "a median between" in finding.expected


def test_one_month_in_another_unit_is_a_unit_suspect(tmp_path, records, as_parquet):
    for row in records["employment"]:
        row["known_on"] = row["occurred_on"] + dt.timedelta(days=20)
        if row["occurred_on"].month == 5:
            row["monthly_wage"] /= 1000
    report = check_tables(as_parquet(tmp_path / "tables", records))
    finding = one(report, "unit_suspect")
    assert "the delivery of 2023-06" in finding.found and "its other months" in finding.expected


def monthly(records, months, lag=lambda month: 10, rows=40):
    """An income delivery of `rows` rows a month from 2021 on."""
    records["income"] = []
    for month in months:
        occurred = dt.date(2021 + month // 12, month % 12 + 1, 3)
        for number in range(rows):
            home = records["households"][number % len(records["households"])]["household_id"]
            row = {
                "event_id": f"I{month}-{number}",
                "household_id": home,
                "member_id": None,
                "source": "wage",
                "amount": 2000.0,
            }
            records["income"].append(
                row | {"occurred_on": occurred, "known_on": occurred + dt.timedelta(days=lag(month))}
            )
    return records


def test_a_missing_month_of_a_monthly_delivery_is_a_gap(tmp_path, records, as_parquet):
    monthly(records, [month for month in range(30) if month != 14])
    finding = one(check_tables(as_parquet(tmp_path / "tables", records)), "delivery_gap")
    assert (
        finding.table == "income"
        and "2022-03 (0 rows)" in finding.found
        and "about 40 rows" in finding.expected
    )


def test_a_month_that_is_thin_every_year_is_the_departments_calendar(tmp_path, records, as_parquet):
    monthly(records, [month for month in range(36) if month % 12 != 6])
    report = check_tables(as_parquet(tmp_path / "tables", records))
    assert "delivery_gap" not in {finding.check for finding in report.warnings}


def test_a_delivery_that_stopped_before_the_others_is_a_gap(tmp_path, records, as_parquet):
    monthly(records, range(20))
    for row in records["employment"]:
        row["known_on"] = row["occurred_on"] + dt.timedelta(days=20)
    finding = one(check_tables(as_parquet(tmp_path / "tables", records)), "delivery_gap")
    assert "nothing known after 2022-08" in finding.found and "2024-01" in finding.found


def test_a_yearly_sweep_has_no_gaps(tmp_path, records, as_parquet):
    monthly(records, [month for month in range(36) if month % 12 == 5])
    report = check_tables(as_parquet(tmp_path / "tables", records))
    assert "delivery_gap" not in {finding.check for finding in report.warnings}


def test_a_changed_reporting_lag_is_noticed(tmp_path, records, as_parquet):
    monthly(records, range(36), lag=lambda month: 10 if month < 24 else 75)
    finding = one(check_tables(as_parquet(tmp_path / "tables", records)), "lag_changed")
    assert (
        "since 2023-01" in finding.found
        and "75 days" in finding.found
        and "10 days before that" in finding.found
    )


def test_a_steady_lag_is_not(tmp_path, records, as_parquet):
    monthly(records, range(36), lag=lambda month: 40 + month % 5)
    assert "lag_changed" not in {
        finding.check for finding in check_tables(as_parquet(tmp_path / "tables", records)).warnings
    }


def test_many_missing_values_are_reported_only_where_a_value_is_due(tmp_path, records, as_parquet):
    for row in records["medical"][:12]:
        row["hospital_days"] = None
    for row in records["members"]:
        row["left_on"] = None
    report = check_tables(as_parquet(tmp_path / "tables", records))
    finding = one(report, "missing_share")
    assert finding.column == "hospital_days" and finding.found.startswith("50%")


def test_report_and_tables_in_one_pass_are_those_of_two(tmp_path, records, as_parquet):
    records["members"][0]["dibao"] = records["members"][0]["tekun"] = True
    folder = as_parquet(tmp_path / "tables", records)
    report, tables = checked_tables(folder)
    assert report.text() == check_tables(folder).text() and report.warnings
    for name, frame in read_tables(folder).frames.items():
        assert tables[name].equals(frame)
