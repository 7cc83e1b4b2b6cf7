"""The exit review proposes that people look again; one condition missing and it does not, and never without
labour.
"""

from __future__ import annotations

import datetime as dt

import openpyxl
import polars as pl
import pytest

from riskmodel.calendar import months_before
from riskmodel.errors import UserError
from riskmodel.settings import Exits
from riskmodel.visits.exit_workbook import SHEETS, excel_bytes
from riskmodel.visits.exits import COLUMNS, PROPOSALS, Look, exit_review
from riskmodel.visits.writers import write_review
from riskmodel.vocabulary import SIGNAL_ZH

AS_OF = dt.date(2025, 12, 31)
OK = dict.fromkeys(["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"], True)


def confirmed(day="2025-01-10", household="h000"):
    return {"household_id": household, "occurred_on": day, "origin": "lead", "outcome": "risk_confirmed"}


def aid(day="2025-02-01", household="h000", **more):
    return {"household_id": household, "occurred_on": day, "measure": "health", **more}


def solid(household="h000", **changed):
    return {"household_id": household, "known_on": "2025-03-01", **OK, **changed}


def looks(probability=0.005, gap=900.0, days=(12, 2, 1, 0), household="h000", **at):
    made = []
    for months in days:
        values = at.get(f"m{months}", (probability, gap))
        frame = pl.DataFrame(
            {"household_id": [household], "probability": [values[0]], "income_gap_pp": [values[1]]},
            schema={"household_id": pl.String, "probability": pl.Float64, "income_gap_pp": pl.Float64},
        )
        made.append(Look(months_before(AS_OF, months), frame))
    return made


def proposal(tables, given=None, settings=None):
    row = exit_review(tables, AS_OF, given or looks(), settings).rows.row(0, named=True)
    return row["proposal"], row["for_en"], row["against_en"]


@pytest.fixture
def ready(small_county):
    """A county where h000 fulfils every condition; a test takes one away."""

    def make(**changed):
        rows = {
            "verifications": [confirmed()],
            "assistance": [aid(ended_on=dt.date(2025, 9, 1))],
            "guarantees": [solid()],
        } | changed
        return small_county(4, **rows)

    return make


def test_a_household_that_fulfils_everything_is_proposed_with_its_evidence(ready):
    found, evidence, against = proposal(ready())
    assert found == "review" and against == ""
    assert "below 2%" in evidence and "by 900 yuan at least" in evidence and "measures delivered" in evidence


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (looks(m1=(0.03, 900.0)), "highest of the last scorings is 3.0%"),
        (looks(m12=(0.5, 900.0), days=(12, 1, 0)), "the highest of the last scorings is 50.0%"),
        (looks(days=(1, 0)), "scored fewer than 3 times"),
        (looks(m12=(0.5, -300.0)), "below the line by 300 yuan"),
        (looks(m12=(0.5, None)), "income is not known at every look"),
        (looks(days=(2, 1, 0)), "income is known for less than 12 months"),
    ],
)
def test_high_scores_or_unsteady_or_unknown_income_speak_against_it(ready, given, reason):
    found, _, against = proposal(ready(), given)
    assert found == "not_yet" and reason in against


def test_a_high_score_before_the_counted_scorings_does_not_count(ready):
    assert proposal(ready(), looks(m12=(0.5, 900.0)))[0] == "review"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"guarantees": [solid(water_ok=False)]}, "failed: safe drinking water"),
        ({"guarantees": [solid(household="h001")]}, "not known: food and clothing"),
        ({"assistance": [aid("2024-12-01")]}, "no measure on record"),
        ({"assistance": [aid(known_on="2026-01-05")]}, "no measure on record"),
        (
            {"verifications": [confirmed("2025-07-15")], "assistance": [aid("2025-08-01")]},
            "monitored for less than 6 months",
        ),
    ],
)
def test_one_condition_missing_is_named(ready, changed, reason):
    found, _, against = proposal(ready(**changed))
    assert found == "not_yet" and reason in against


@pytest.mark.parametrize(
    "member",
    [
        {"labour": "none"},
        {"labour": "lost"},
        {"labour": "weak"},
        {"birth_date": dt.date(2012, 1, 1)},
        {"schooling": "senior"},
    ],
)
def test_a_household_without_labour_is_never_proposed(ready, member):
    found, evidence, against = proposal(ready(members=[{"household_id": "h000", **member}]))
    assert found == "keep_tracking" and "never marked as gone" in against and evidence


def test_doubts_are_told_with_a_proposal(ready):
    shock = {"household_id": "h000", "occurred_on": "2025-06-01", "kind": "hail"}
    lead = {"household_id": "h000", "occurred_on": "2025-12-01", "channel": "cadre"}
    tables = ready(shocks=[shock], leads=[lead], assistance=[aid()])
    found, _, against = proposal(tables)
    assert found == "review"
    for doubt in ("shocks in the last 12 months: 1", "leads not answered by a visit: 1", "still running: 1"):
        assert doubt in against


def test_households_that_are_not_monitored_or_gone_do_not_appear(ready):
    tables = ready(
        verifications=[confirmed(), confirmed(household="h001")],
        members=[{"household_id": "h001", "left_on": dt.date(2025, 5, 1)}],
    )
    assert exit_review(tables, AS_OF, looks()).rows["household_id"].to_list() == ["h000"]


def test_a_second_confirmation_does_not_restart_the_time_but_a_new_spell_does(ready):
    again = ready(verifications=[confirmed(), confirmed("2025-11-01")])
    assert proposal(again)[0] == "review"
    gone = {
        "household_id": "h000",
        "occurred_on": "2025-06-01",
        "origin": "lead",
        "outcome": "risk_eliminated",
    }
    assert (
        "less than 6 months" in proposal(ready(verifications=[confirmed(), gone, confirmed("2025-11-01")]))[2]
    )


def test_it_needs_a_scoring_of_the_day(ready):
    with pytest.raises(UserError, match="a scoring as of 2025-12-31"):
        exit_review(ready(), AS_OF, looks(days=(12, 2, 1)))


def test_nothing_in_it_decides():
    assert set(PROPOSALS) == {"review", "keep_tracking", "not_yet"}
    assert not {"outcome", "decision", "eliminated"} & set(COLUMNS)
    assert Exits().low_scorings >= 3


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2025-12-31", 1, "2025-11-30"),
        ("2025-12-31", 10, "2025-02-28"),
        ("2025-11-30", 1, "2025-10-30"),
        ("2025-03-15", 3, "2024-12-15"),
    ],
)
def test_the_look_back_uses_the_calendar_rule_of_the_features(day, months, expected):
    assert months_before(dt.date.fromisoformat(day), months) == dt.date.fromisoformat(expected)


def test_the_reviewers_get_a_workbook_with_both_sides_in_both_languages(ready, tmp_path):
    review = exit_review(ready(assistance=[aid()]), AS_OF, looks())
    book = openpyxl.load_workbook(write_review(review, tmp_path / "exits.xlsx"))
    assert set(SHEETS) == set(PROPOSALS) and book.sheetnames == [
        *(name for name, *_ in SHEETS.values()),
        "说明 Notes",
    ]
    sheet = book["建议复核 Review"]
    row = [cell.value for cell in sheet[4]]
    assert row[2] == "h000" and row[3] == dt.datetime(2025, 1, 10) and row[4] == pytest.approx(0.005)
    assert "最近3次评分概率均低于2% / the last 3 scorings lie below 2%" in row[5]
    assert "停止后风险可能回升 / measures still running: 1" in row[6]
    for sheet in book:
        assert sheet.protection.sheet and SIGNAL_ZH in sheet.oddHeader.center.text
    assert excel_bytes(review) == excel_bytes(review)


def test_a_household_without_labour_stands_on_the_sheet_of_those_to_be_kept_in_view(ready, tmp_path):
    review = exit_review(ready(members=[{"household_id": "h000", "labour": "none"}]), AS_OF, looks())
    book = openpyxl.load_workbook(write_review(review, tmp_path / "exits.xlsx"))
    assert (
        book["建议复核 Review"]["C4"].value is None and book["持续跟踪 Keep tracking"]["C4"].value == "h000"
    )


def test_the_review_as_csv_cannot_run_a_formula(ready, tmp_path):
    review = exit_review(ready(), AS_OF, looks())
    text = write_review(review, tmp_path / "exits.csv").read_text("utf-8-sig")
    assert text.startswith("household_id,") and "h000" in text and "\n=" not in text
