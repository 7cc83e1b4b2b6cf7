"""Leads and visits at their limits: a day on each side of every look-back and every quiet time."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.settings import Leads
from riskmodel.visits.leads import household_states, open_leads, rule_hits

AS_OF = dt.date(2025, 12, 31)
NAMES = {
    "rule_dropout": ("疑似失学辍学", "a possible dropout from school"),
    "rule_guarantee_failed": ("保障", "a guarantee or safe water has failed"),
}
NO_RULES = pl.DataFrame(schema={"household_id": pl.String, "rule": pl.String, "since": pl.Date})
OK = dict.fromkeys(["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"], True)


def leads_of(tables, settings=None, hits=NO_RULES):
    now = household_states(tables, AS_OF)
    frame, counts = open_leads(tables, AS_OF, settings or Leads(), now=now, hits=hits, names=NAMES)
    assert counts.read == counts.open + counts.answered + counts.too_old + counts.not_asked + counts.unknown
    return frame, counts.too_old


def visit(household, day, outcome="no_risk", origin="lead", **more):
    return {"household_id": household, "occurred_on": day, "origin": origin, "outcome": outcome, **more}


def lead(household, day, channel="self_declared", **more):
    return {"household_id": household, "occurred_on": day, "channel": channel, **more}


def ago(days):
    return (AS_OF - dt.timedelta(days=days)).isoformat()


@pytest.mark.parametrize(("days", "open_still"), [(364, True), (365, False), (366, False)])
def test_a_lead_is_open_for_less_than_365_days(small_county, days, open_still):
    frame, too_old = leads_of(small_county(4, leads=[lead("h001", ago(days))]))
    assert (frame.height, too_old) == ((1, 0) if open_still else (0, 1))


@pytest.mark.parametrize(
    ("known", "visited", "open_still"),
    [
        ("2025-12-10", "2025-12-09", True),
        ("2025-12-10", "2025-12-10", False),
        ("2025-12-10", "2025-12-11", False),
    ],
)
def test_a_visit_answers_a_lead_from_the_day_it_was_known(small_county, known, visited, open_still):
    tables = small_county(
        4, leads=[lead("h001", "2025-12-01", known_on=known)], verifications=[visit("h001", visited)]
    )
    assert leads_of(tables)[0].height == (1 if open_still else 0)


def test_a_lead_is_written_with_its_topic_and_its_day_or_without(small_county):
    frame, _ = leads_of(
        small_county(4, leads=[lead("h001", "2025-12-01", topic="医疗支出大"), lead("h002", "2025-12-02")])
    )
    assert frame["zh"].to_list() == ["农户自主申报：医疗支出大（2025-12-01）", "农户自主申报（2025-12-02）"]
    assert frame["en"].to_list() == ["self-declared: 医疗支出大 (2025-12-01)", "self-declared (2025-12-02)"]


@pytest.mark.parametrize(("days", "listed"), [(89, False), (90, False), (91, True)])
def test_a_failed_guarantee_is_quiet_for_90_days_after_a_visit(small_county, days, listed):
    failed = {"household_id": "h001", "known_on": "2025-01-05", **OK, "water_ok": False}
    tables = small_county(4, guarantees=[failed], verifications=[visit("h001", ago(days))])
    assert leads_of(tables)[0].height == (1 if listed else 0)


@pytest.mark.parametrize(("days", "listed"), [(364, False), (365, False), (366, True)])
def test_a_rule_met_since_long_is_quiet_for_365_days_after_a_visit(small_county, days, listed):
    hits = pl.DataFrame({"household_id": ["h001"], "rule": ["rule_dropout"], "since": [dt.date(2020, 1, 1)]})
    frame, _ = leads_of(small_county(4, verifications=[visit("h001", ago(days))]), hits=hits)
    assert frame.height == (1 if listed else 0)


@pytest.mark.parametrize(
    ("since", "listed"), [("2025-12-09", False), ("2025-12-10", False), ("2025-12-11", True)]
)
def test_a_visit_on_the_day_a_rule_was_met_answers_it(small_county, since, listed):
    hits = pl.DataFrame(
        {"household_id": ["h001"], "rule": ["rule_dropout"], "since": [dt.date.fromisoformat(since)]}
    )
    frame, _ = leads_of(small_county(4, verifications=[visit("h001", "2025-12-10")]), hits=hits)
    assert frame.height == (1 if listed else 0)


def test_a_rule_on_guarantees_is_one_lead_with_the_failed_guarantee_itself_and_stands_for_it_elsewhere(
    small_county,
):
    failed = {"household_id": "h001", "known_on": "2025-01-05", **OK, "water_ok": False}
    hits = pl.DataFrame(
        {
            "household_id": ["h001", "h002", "h003"],
            "rule": ["rule_guarantee_failed", "rule_guarantee_failed", "rule_dropout"],
            "since": [None] * 3,
        },
        schema_overrides={"since": pl.Date},
    )
    frame, _ = leads_of(small_county(4, guarantees=[failed]), hits=hits)
    assert frame.select("household_id", "kind").rows() == [
        ("h001", "guarantee"),
        ("h002", "guarantee"),
        ("h003", "rule"),
    ]
    assert frame["en"].to_list() == [
        "failed guarantee: safe drinking water (2025-01-05)",
        "failed guarantee: a guarantee or safe water has failed",
        "a possible dropout from school",
    ]


def test_leads_of_a_household_are_in_order_of_urgency_then_of_days_with_unknown_days_last(small_county):
    hits = pl.DataFrame(
        {
            "household_id": ["h001", "h001"],
            "rule": ["rule_dropout", "rule_event"],
            "since": [None, dt.date(2025, 12, 1)],
        },
        schema_overrides={"since": pl.Date},
    )
    tables = small_county(
        4, leads=[lead("h001", "2025-12-05", "media"), lead("h001", "2025-12-06"), lead("h001", "2025-12-02")]
    )
    frame, _ = leads_of(tables, hits=hits)
    assert frame.select("kind", "since").rows() == [
        ("self_declared", dt.date(2025, 12, 2)),
        ("self_declared", dt.date(2025, 12, 6)),
        ("media", dt.date(2025, 12, 5)),
        ("rule", dt.date(2025, 12, 1)),
        ("rule", None),
    ]


def test_settings_say_which_leads_count(small_county):
    failed = {"household_id": "h001", "known_on": "2025-01-05", **OK, "water_ok": False}
    tables = small_county(4, guarantees=[failed], leads=[lead("h002", "2025-12-01", "media")])
    assert leads_of(tables, Leads(guarantees=False, channels=("cadre",)))[0].height == 0


# Where a household stands.


def test_a_household_whose_members_left_has_nobody_and_who_never_was_visited_has_no_visit(small_county):
    now = household_states(
        small_county(2, members=[{"household_id": "h001", "left_on": dt.date(2025, 12, 31)}]), AS_OF
    )
    assert now["people"].to_list() == [1, 0] and now["last_visit"].to_list() == [None, None]
    assert now["monitored"].to_list() == [False, False]


def test_the_newest_visit_that_met_somebody_counts_and_on_a_tie_the_one_known_last(small_county):
    tables = small_county(
        2,
        verifications=[
            visit("h000", "2025-10-01", "no_risk", "sweep"),
            visit("h000", "2025-11-01", "unreachable", "screening"),
            visit("h001", "2025-10-01", "no_risk", "lead", known_on="2025-10-05"),
            visit("h001", "2025-10-01", "risk_confirmed", "sweep", known_on="2025-10-04"),
        ],
    )
    now = household_states(tables, AS_OF)
    assert now.select("last_visit", "last_outcome", "last_origin").rows() == [
        (dt.date(2025, 10, 1), "no_risk", "sweep"),
        (dt.date(2025, 10, 1), "no_risk", "lead"),
    ]


@pytest.mark.parametrize(
    ("again", "since"), [("2025-03-01", "2025-03-01"), ("2025-02-28", None), ("2025-03-02", "2025-03-02")]
)
def test_a_spell_begins_with_the_first_confirmation_on_or_after_the_last_elimination(
    small_county, again, since
):
    tables = small_county(
        1,
        verifications=[
            visit("h000", "2024-01-05", "risk_confirmed"),
            visit("h000", "2025-03-01", "risk_eliminated"),
            visit("h000", again, "risk_confirmed"),
            visit("h000", "2025-06-01", "risk_confirmed")
            if since
            else visit("h000", "2025-06-01", "no_risk"),
        ],
    )
    assert household_states(tables, AS_OF)["monitored_since"].to_list() == [
        since and dt.date.fromisoformat(since)
    ]


# Since when a rule is met.


def hits_of(tables, *, rule="rule_event", household="h001", **more):
    scored = pl.DataFrame({"household_id": [household], rule: [1.0]})
    return rule_hits(scored, tables, AS_OF, **more)["since"].to_list()


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("522301", True),
        ("522302", False),
        ("522301102", True),
        ("522301101", False),
        ("522301102201", True),
        ("522301102202", False),
    ],
)
def test_an_event_of_an_area_reaches_the_households_under_it_and_no_others(small_county, code, ours):
    # h001 lives in township 522301102, village 522301102201
    shock = {
        "area_code": code,
        "household_id": None,
        "occurred_on": "2025-11-01",
        "known_on": "2025-11-03",
        "kind": "hail",
    }
    assert hits_of(small_county(2, shocks=[shock])) == [dt.date(2025, 11, 3) if ours else None]


def test_the_newest_row_of_the_households_own_events_and_bills_counts(small_county):
    own = {"household_id": "h001", "area_code": None, "occurred_on": "2025-10-01", "kind": "fire"}
    other = {"household_id": "h000", "area_code": None, "occurred_on": "2025-12-01", "kind": "fire"}
    assert hits_of(small_county(2, shocks=[own, other])) == [dt.date(2025, 10, 1)]
    bill = {"member_id": "m001", "kind": "inpatient", "total_cost": 1.0, "reimbursed": 0.0, "self_paid": 1.0}
    bills = [bill | {"occurred_on": day} for day in ("2025-08-01", "2025-09-01")] + [
        bill | {"member_id": "m000", "occurred_on": "2025-12-01"}
    ]
    assert hits_of(small_county(2, medical=bills), rule="rule_medical_burden") == [dt.date(2025, 9, 1)]


def test_a_rule_met_before_keeps_its_day_a_rule_met_a_cycle_ago_has_none_and_a_new_one_has_todays(
    small_county,
):
    tables = small_county(2)
    previous = pl.DataFrame(
        {"household_id": ["h001"], "rule": ["rule_event"], "since": [dt.date(2025, 5, 5)]}
    )
    assert hits_of(tables, previous=previous) == [dt.date(2025, 5, 5)]
    assert hits_of(tables, previous=previous.with_columns(household_id=pl.lit("h000"))) == [AS_OF]
    before = pl.DataFrame({"household_id": ["h001"], "rule_event": [1.0]})
    assert hits_of(tables, before=before) == [None]
    assert hits_of(tables, before=before.with_columns(rule_event=0.0)) == [AS_OF]
    assert hits_of(tables) == [None]


@pytest.mark.parametrize(("value", "met"), [(1.0, 1), (0.0, 0), (None, 0), (float("nan"), 0)])
def test_a_rule_is_met_where_its_flag_is_above_zero(small_county, value, met):
    scored = pl.DataFrame(
        {"household_id": ["h001"], "rule_event": [value]}, schema_overrides={"rule_event": pl.Float64}
    )
    assert rule_hits(scored, small_county(2), AS_OF).height == met


def test_scores_without_rules_have_no_hits(small_county):
    assert rule_hits(pl.DataFrame({"household_id": ["h001"]}), small_county(2), AS_OF).height == 0
