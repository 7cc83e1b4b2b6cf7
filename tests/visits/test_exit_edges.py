"""The conditions of an exit review at their limits: a value or a day on each side."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.calendar import months_before
from riskmodel.errors import UserError
from riskmodel.settings import Exits
from riskmodel.visits.exits import Look, exit_review

AS_OF = dt.date(2025, 12, 31)
OK = dict.fromkeys(["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"], True)
MONITORED = {
    "household_id": "h000",
    "occurred_on": "2025-01-10",
    "origin": "lead",
    "outcome": "risk_confirmed",
}
AID = {
    "household_id": "h000",
    "occurred_on": "2025-02-01",
    "measure": "health",
    "ended_on": dt.date(2025, 9, 1),
}
SOLID = {"household_id": "h000", "known_on": "2025-03-01", **OK}


def look(day, probability=0.005, gap=900.0):
    schema = {"household_id": pl.String, "probability": pl.Float64, "income_gap_pp": pl.Float64}
    rows = {"household_id": ["h000"], "probability": [probability], "income_gap_pp": [gap]}
    return Look(day, pl.DataFrame(rows, schema=schema))


def looks(*changes):
    """Scorings as of the day and 1, 2 and 12 months before; a change is (months, keyword, value)."""
    given = {months: {} for months in (12, 2, 1, 0)}
    for months, key, value in changes:
        given[months][key] = value
    return [look(months_before(AS_OF, months), **values) for months, values in given.items()]


def review(small_county, given=None, rules=None, **changed):
    rows = {"verifications": [MONITORED], "assistance": [AID], "guarantees": [SOLID]} | changed
    return exit_review(small_county(2, **rows), AS_OF, given or looks(), rules).rows.row(0, named=True)


def test_all_conditions_met_is_a_review_with_five_sentences_and_nothing_against(small_county):
    row = review(small_county)
    assert row["proposal"] == "review" and row["against_en"] == "" and row["probability"] == 0.005
    assert len(row["for_en"].split("; ")) == 5 and row["monitored_since"] == dt.date(2025, 1, 10)
    assert "measures delivered since identification: 1" in row["for_en"]


@pytest.mark.parametrize(("probability", "low"), [(0.0199, True), (0.02, False), (0.0201, False)])
def test_the_score_is_low_below_the_limit(small_county, probability, low):
    row = review(small_county, looks((1, "probability", probability)))
    assert (row["proposal"] == "review") is low
    assert ("the last 3 scorings lie below 2%" in row["for_en"]) is low


@pytest.mark.parametrize(("days", "enough"), [((12, 2, 1, 0), True), ((2, 1, 0), True), ((1, 0), False)])
def test_three_scorings_are_asked_for(small_county, days, enough):
    given = [look(months_before(AS_OF, months)) for months in days]
    assert ("scored fewer than 3 times" in review(small_county, given)["against_en"]) is not enough


def test_a_household_that_one_of_the_scorings_lacks_was_scored_too_seldom(small_county):
    given = looks()
    given[2] = Look(given[2].as_of, given[2].frame.clear())
    assert "scored fewer than 3 times" in review(small_county, given)["against_en"]


@pytest.mark.parametrize(("gap", "above"), [(0.01, True), (0.0, False), (-0.01, False)])
def test_income_lies_above_the_line_and_not_on_it(small_county, gap, above):
    row = review(small_county, looks((2, "gap", gap)))
    assert ("income after compliant cost above the line for 12 months" in row["for_en"]) is above


@pytest.mark.parametrize(
    ("first", "whole"), [("2024-12-31", True), ("2025-01-31", True), ("2025-02-01", False)]
)
def test_income_is_known_from_a_month_after_the_beginning_of_the_period_at_the_latest(
    small_county, first, whole
):
    given = [look(dt.date.fromisoformat(first)), *looks()[1:]]
    assert (
        "income is known for less than 12 months" in review(small_county, given)["against_en"]
    ) is not whole


def test_a_look_before_the_period_does_not_count(small_county):
    given = [look(dt.date(2024, 12, 30), gap=-500.0), *looks()]
    assert review(small_county, given)["proposal"] == "review"
    on_the_first_day = [look(dt.date(2024, 12, 31), gap=-500.0), *looks()[1:]]
    row = review(small_county, on_the_first_day)
    assert (
        "was below the line by 500 yuan" in row["against_en"] and "收入曾低于监测线500元" in row["against_zh"]
    )


@pytest.mark.parametrize(
    ("since", "long_enough"), [("2025-06-30", True), ("2025-07-01", False), ("2025-06-29", True)]
)
def test_six_months_have_passed_since_identification(small_county, since, long_enough):
    row = review(
        small_county,
        verifications=[MONITORED | {"occurred_on": since}],
        assistance=[AID | {"occurred_on": "2025-08-01"}],
    )
    assert ("monitored for 6 months or more" in row["for_en"]) is long_enough


@pytest.mark.parametrize(
    ("day", "delivered"),
    [("2025-01-09", False), ("2025-01-10", True), ("2025-12-31", True), ("2026-01-01", False)],
)
def test_a_measure_counts_from_the_day_of_identification_to_the_day_of_the_review(
    small_county, day, delivered
):
    aid = AID | {"occurred_on": day, "known_on": dt.date(2025, 1, 2), "ended_on": None}
    assert ("no measure on record" in review(small_county, assistance=[aid])["against_en"]) is not delivered


@pytest.mark.parametrize(
    ("ended", "running"), [("2025-12-30", 0), ("2025-12-31", 0), ("2026-01-01", 1), (None, 1)]
)
def test_a_measure_runs_until_the_day_before_its_end(small_county, ended, running):
    aid = AID | {"ended_on": ended and dt.date.fromisoformat(ended)}
    assert ("measures still running: 1" in review(small_county, assistance=[aid])["against_en"]) is bool(
        running
    )


@pytest.mark.parametrize(
    ("day", "told"),
    [("2024-12-31", False), ("2025-01-01", True), ("2025-12-31", True), ("2026-01-01", False)],
)
def test_a_shock_of_the_last_twelve_months_is_a_doubt(small_county, day, told):
    shock = {"household_id": "h000", "occurred_on": day, "known_on": "2024-12-31", "kind": "fire"}
    row = review(small_county, shocks=[shock])
    assert ("shocks in the last 12 months: 1" in row["against_en"]) is told
    assert row["proposal"] == "review"  # a doubt is no condition


@pytest.mark.parametrize(
    ("known", "unanswered"), [("2025-01-09", False), ("2025-01-10", False), ("2025-01-11", True)]
)
def test_a_lead_after_the_last_visit_is_a_doubt(small_county, known, unanswered):
    lead = {"household_id": "h000", "occurred_on": "2025-01-01", "known_on": known, "channel": "cadre"}
    assert (
        "leads not answered by a visit: 1" in review(small_county, leads=[lead])["against_en"]
    ) is unanswered


@pytest.mark.parametrize(
    ("member", "able"),
    [
        ({"birth_date": dt.date(2009, 12, 31)}, True),  # 16 × 365.25 = 5,844 days before the day
        ({"birth_date": dt.date(2010, 1, 1)}, False),  # a day less
        ({"labour": "skilled"}, True),
        ({"labour": "ordinary"}, True),
        ({"labour": "weak"}, False),
        ({"schooling": "vocational"}, False),
    ],
)
def test_labour_is_an_able_member_from_sixteen_who_is_not_at_school(small_county, member, able):
    row = review(small_county, members=[{"household_id": "h000", **member}])
    assert (row["proposal"] == "keep_tracking") is not able
    assert ("no labour in the household" in row["against_en"]) is not able


@pytest.mark.parametrize("guarantee", list(OK))
def test_each_guarantee_can_fail_and_can_be_unknown(small_county, guarantee):
    assert "failed: " in review(small_county, guarantees=[SOLID | {guarantee: False}])["against_en"]
    assert "not known: " in review(small_county, guarantees=[SOLID | {"household_id": "h001"}])["against_en"]


def test_settings_move_the_limits(small_county):
    rules = Exits(low_scorings=1, probability=0.05, months_since_identified=12, months_above_line=2)
    given = [look(months_before(AS_OF, months)) for months in (2, 1)] + [look(AS_OF, 0.049)]
    row = review(small_county, given, rules)
    assert (
        "the last 1 scorings lie below 5%" in row["for_en"] and "above the line for 2 months" in row["for_en"]
    )
    assert "monitored for less than 12 months (since 2025-01-10)" in row["against_en"]


def test_proposals_for_review_come_first_then_those_without_labour(small_county):
    names = ("h000", "h001", "h002")
    rows = {
        "verifications": [MONITORED | {"household_id": name} for name in names],
        "assistance": [AID | {"household_id": name} for name in names[1:]],
        "guarantees": [SOLID | {"household_id": name} for name in names],
        "members": [{"household_id": "h001", "labour": "none"}],
    }
    schema = {"household_id": pl.String, "probability": pl.Float64, "income_gap_pp": pl.Float64}
    given = [
        Look(
            months_before(AS_OF, months),
            pl.DataFrame(
                {"household_id": names, "probability": [0.001] * 3, "income_gap_pp": [9.0] * 3}, schema=schema
            ),
        )
        for months in (12, 2, 1, 0)
    ]
    found = exit_review(small_county(3, **rows), AS_OF, given)
    assert found.rows.select("household_id", "proposal").rows() == [
        ("h002", "review"),
        ("h001", "keep_tracking"),
        ("h000", "not_yet"),
    ]
    assert found.of("review").height == 1 and "3 monitored households" in found.summary()


def test_the_newest_scoring_must_be_as_of_the_day(small_county):
    with pytest.raises(UserError, match="no scoring"):
        exit_review(small_county(2, verifications=[MONITORED]), AS_OF, [])
    with pytest.raises(UserError, match="the newest scoring is as of 2025-11-30"):
        exit_review(
            small_county(2, verifications=[MONITORED]),
            AS_OF,
            [look(dt.date(2025, month, 30)) for month in (9, 11, 10)],
        )


# Which scorings a review looks back at.


def looked_at(monkeypatch, tables, as_of, rules):
    """Days and households that were scored, oldest first, and the horizons; with scores that a test can
    foresee.
    """
    from types import SimpleNamespace as Row

    import numpy as np

    from riskmodel import features
    from riskmodel.policy import Policy
    from riskmodel.visits.exits import looks_back

    asked, horizons = [], []

    def build(_, day, *, households, **__):
        asked.append((day.isoformat(), households))
        ids = np.array(households, dtype=object)
        return Row(household_id=ids, column=lambda name: np.array([float("nan")] + [7.0] * (len(ids) - 1)))

    def score_matrix(matrix, horizon):
        horizons.append(horizon)
        return Row(
            frame=pl.DataFrame(
                {
                    "household_id": matrix.household_id.tolist(),
                    "probability": [0.25] * len(matrix.household_id),
                }
            )
        )

    monkeypatch.setattr(features, "build", build)
    monkeypatch.setattr(Policy, "load", lambda *_: None)
    model = Row(project=None, catalogue=None, score_matrix=score_matrix)
    found = looks_back(model, tables, as_of, rules)
    assert [look.as_of.isoformat() for look in found] == [day for day, _ in asked]
    return asked, horizons, found


def test_the_day_the_months_before_and_the_beginning_of_the_period_are_scored_oldest_first(
    small_county, monkeypatch
):
    tables = small_county(
        3,
        verifications=[MONITORED, MONITORED | {"household_id": "h001"}],
        members=[{"household_id": "h001", "left_on": dt.date(2025, 11, 15)}],
    )
    asked, horizons, found = looked_at(
        monkeypatch, tables, AS_OF, Exits(low_scorings=3, months_above_line=12)
    )
    # h001 is still monitored, but nobody lives there from 15 November on; h002 is not monitored
    assert asked == [
        ("2024-12-31", ["h000", "h001"]),
        ("2025-10-31", ["h000", "h001"]),
        ("2025-11-30", ["h000"]),
        ("2025-12-31", ["h000"]),
    ]
    assert horizons == [12] * 4
    assert found[0].frame.select("household_id", "probability", "income_gap_pp").rows() == [
        ("h000", 0.25, None),
        ("h001", 0.25, 7.0),
    ]


def test_days_before_a_household_was_there_are_passed_over_and_the_later_ones_are_scored(
    small_county, monkeypatch
):
    tables = small_county(1, verifications=[MONITORED | {"occurred_on": "2022-02-01"}])
    asked, _, _ = looked_at(
        monkeypatch, tables, dt.date(2022, 6, 30), Exits(low_scorings=2, months_above_line=12)
    )
    assert asked == [("2022-05-30", ["h000"]), ("2022-06-30", ["h000"])]  # known from 1 January 2022 on


def test_reviews_and_scorings_are_not_changed_after_they_were_made(small_county):
    from dataclasses import FrozenInstanceError

    made = exit_review(small_county(2, verifications=[MONITORED]), AS_OF, looks())
    for item in (made, looks()[0]):
        with pytest.raises(FrozenInstanceError):
            item.as_of = None
