"""Leads are seen whatever the score; a visit after a lead answers it."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.features import load_catalogue
from riskmodel.settings import Leads
from riskmodel.visits.leads import RULE_TABLES, household_states, open_leads, rule_hits
from riskmodel.vocabulary import LEAD_KINDS

AS_OF = dt.date(2025, 12, 31)
NO_RULES = pl.DataFrame(schema={"household_id": pl.String, "rule": pl.String, "since": pl.Date})


def leads_of(tables, settings=None, hits=NO_RULES, as_of=AS_OF):
    now = household_states(tables, as_of)
    frame, counts = open_leads(tables, as_of, settings or Leads(), now=now, hits=hits, names={})
    assert counts.read == counts.open + counts.answered + counts.too_old + counts.not_asked + counts.unknown
    return {(row["household_id"], row["kind"]) for row in frame.iter_rows(named=True)}, counts.too_old


def visit(household, day, outcome="no_risk", origin="lead", **more):
    return {"household_id": household, "occurred_on": day, "origin": origin, "outcome": outcome, **more}


def lead(household, day, channel="self_declared", **more):
    return {"household_id": household, "occurred_on": day, "channel": channel, **more}


@pytest.mark.parametrize("channel", ["self_declared", "cadre", "department", "media", "petition"])
def test_a_lead_without_a_visit_is_open(small_county, channel):
    assert leads_of(small_county(4, leads=[lead("h001", "2025-12-01", channel)]))[0] == {("h001", channel)}


def test_a_visit_on_or_after_the_day_the_lead_was_known_answers_it(small_county):
    tables = small_county(4, leads=[lead("h001", "2025-12-01")], verifications=[visit("h001", "2025-12-01")])
    assert leads_of(tables)[0] == set()


def test_a_visit_before_the_lead_was_known_does_not_answer_it(small_county):
    tables = small_county(
        4,
        leads=[lead("h001", "2025-11-20", known_on="2025-12-01")],
        verifications=[visit("h001", "2025-11-30")],
    )
    assert leads_of(tables)[0] == {("h001", "self_declared")}


def test_a_visit_that_met_nobody_does_not_answer_a_lead(small_county):
    tables = small_county(
        4, leads=[lead("h001", "2025-12-01")], verifications=[visit("h001", "2025-12-05", "unreachable")]
    )
    assert leads_of(tables)[0] == {("h001", "self_declared")}


def test_a_visit_known_only_later_does_not_answer_a_lead_yet(small_county):
    tables = small_county(
        4,
        leads=[lead("h001", "2025-12-01")],
        verifications=[visit("h001", "2025-12-05", known_on="2026-01-10")],
    )
    assert leads_of(tables)[0] == {("h001", "self_declared")}
    assert leads_of(tables, as_of=dt.date(2026, 1, 10))[0] == set()


def test_a_lead_known_after_the_day_is_not_seen(small_county):
    assert leads_of(small_county(4, leads=[lead("h001", "2025-12-01", known_on="2026-01-02")]))[0] == set()


def test_leads_that_are_too_old_are_counted_and_not_listed(small_county):
    tables = small_county(4, leads=[lead("h001", "2024-06-01")])
    assert leads_of(tables) == (set(), 1)


def test_a_failed_guarantee_is_a_lead_that_names_what_failed(small_county):
    guarantees = {
        "household_id": "h002",
        "known_on": "2025-10-01",
        "food_clothing_ok": True,
        "schooling_ok": True,
    }
    guarantees |= {"insured_ok": False, "housing_ok": True, "water_ok": False}
    tables = small_county(4, guarantees=[guarantees])
    frame, _ = open_leads(
        tables, AS_OF, Leads(), now=household_states(tables, AS_OF), hits=NO_RULES, names={}
    )
    assert frame["kind"].to_list() == ["guarantee"]
    assert "基本医疗、饮水安全" in frame["zh"][0] and "medical cover, safe drinking water" in frame["en"][0]


def test_a_failed_guarantee_that_was_mended_is_no_lead(small_county):
    ok = dict.fromkeys(["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"], True)
    tables = small_county(
        4,
        guarantees=[
            {"household_id": "h002", "known_on": "2025-10-01", **ok, "water_ok": False},
            {"household_id": "h002", "known_on": "2025-11-01", **ok},
        ],
    )
    assert leads_of(tables)[0] == set()


def test_a_rule_met_is_a_lead_where_nobody_was_for_long(small_county):
    tables = small_county(4)
    scored = pl.DataFrame({"household_id": ["h000", "h001", "h002"], "rule_dropout": [1.0, 0.0, None]})
    hits = rule_hits(scored, tables, AS_OF)
    assert hits["household_id"].to_list() == ["h000"]
    assert leads_of(tables, hits=hits)[0] == {("h000", "rule")}


def test_a_rule_met_before_the_last_visit_is_not_told_twice(small_county):
    """The bill that made the rule true was known on 1 June, the visit was on 1 July: it is answered. A bill
    of August is not.
    """
    bill = {"member_id": "m000", "occurred_on": "2025-05-20", "known_on": "2025-06-01", "kind": "inpatient"}
    bill |= {"total_cost": 9e4, "reimbursed": 3e4, "self_paid": 6e4}
    scored = pl.DataFrame({"household_id": ["h000"], "rule_medical_burden": [1.0]})
    seen = small_county(4, medical=[bill], verifications=[visit("h000", "2025-07-01")])
    assert leads_of(seen, hits=rule_hits(scored, seen, AS_OF))[0] == set()
    again = small_county(
        4,
        medical=[bill, bill | {"occurred_on": "2025-07-20", "known_on": "2025-08-01"}],
        verifications=[visit("h000", "2025-07-01")],
    )
    assert leads_of(again, hits=rule_hits(scored, again, AS_OF))[0] == {("h000", "rule")}


def test_a_rule_newly_met_since_the_last_list_stays_open_until_a_visit(small_county):
    tables = small_county(4, verifications=[visit("h000", "2025-09-01")])
    scored = pl.DataFrame({"household_id": ["h000"], "rule_no_job_3m": [1.0]})
    first = rule_hits(scored.with_columns(rule_no_job_3m=0.0), tables, dt.date(2025, 10, 31))
    second = rule_hits(scored, tables, dt.date(2025, 11, 30), first)
    third = rule_hits(scored, tables, AS_OF, second)
    assert third["since"].to_list() == [dt.date(2025, 11, 30)]
    assert leads_of(tables, hits=third)[0] == {("h000", "rule")}


def test_the_rules_that_are_leads_can_be_named(small_county):
    tables = small_county(4)
    scored = pl.DataFrame(
        {"household_id": ["h000", "h001"], "rule_dropout": [1.0, 0.0], "rule_event": [0.0, 1.0]}
    )
    hits = rule_hits(scored, tables, AS_OF)
    assert leads_of(tables, Leads(rules=("rule_event",)), hits)[0] == {("h001", "rule")}


def test_monitored_means_that_the_newest_decisive_visit_confirmed(small_county):
    tables = small_county(
        4,
        verifications=[
            visit("h000", "2024-01-05", "risk_confirmed"),
            visit("h000", "2025-01-05", "risk_confirmed"),
            visit("h001", "2024-01-05", "risk_confirmed"),
            visit("h001", "2025-01-05", "risk_eliminated"),
            visit("h001", "2025-06-05", "no_risk"),
            visit("h002", "2025-03-03", "risk_confirmed"),
            visit("h002", "2025-03-03", "risk_eliminated"),  # on a tie a confirmation wins
        ],
    )
    now = household_states(tables, AS_OF)
    assert now.filter("monitored")["household_id"].to_list() == ["h000", "h002"]
    assert now["monitored_since"].to_list() == [dt.date(2024, 1, 5), None, dt.date(2025, 3, 3), None]


def test_every_kind_has_words_in_both_languages_and_every_rule_is_of_the_catalogue(project):
    for zh, en in LEAD_KINDS.values():
        assert zh and en and not zh.isascii() and en.isascii()
    assert set(RULE_TABLES) == {name for name in load_catalogue(project).names if name.startswith("rule_")}


def test_a_rule_is_called_what_the_catalogue_calls_it(small_county):
    """`names` is what the catalogue says; no second name for a rule is written in the code."""
    tables = small_county(4)
    scored = pl.DataFrame({"household_id": ["h000"], "rule_dropout": [1.0]})
    hits, now = rule_hits(scored, tables, AS_OF), household_states(tables, AS_OF)
    names = {"rule_dropout": ("教育规则：疑似辍学", "Education rule: a possible dropout")}
    frame, _ = open_leads(tables, AS_OF, Leads(), now=now, hits=hits, names=names)
    assert frame["zh"].to_list() == ["教育规则：疑似辍学（2022-01-01）"] and frame["en"].to_list() == [
        names["rule_dropout"][1] + " (2022-01-01)"
    ]


def test_every_row_of_the_leads_table_is_open_answered_too_old_not_asked_for_or_of_nobody(small_county):
    tables = small_county(
        4,
        leads=[
            lead("h000", "2025-12-01"),
            lead("h000", "2025-12-01"),  # the same lead from two rows: one lead in words, two rows counted
            lead("h001", "2025-11-01", "cadre"),
            lead("h001", "2024-11-01", "cadre"),
            lead("h002", "2023-12-01"),
            lead("h003", "2025-12-05", "media"),
            lead("h999", "2025-12-05"),
            lead("h003", "2025-12-30", known_on="2026-01-02"),  # known later: it is not read at all
        ],
        verifications=[visit("h001", "2025-11-01")],
    )
    settings = Leads(channels=("self_declared", "cadre"))
    frame, counts = open_leads(
        tables, AS_OF, settings, now=household_states(tables, AS_OF), hits=NO_RULES, names={}
    )
    assert frame["household_id"].to_list() == ["h000", "h999"]
    assert (counts.read, counts.open, counts.answered) == (7, 2, 2)
    assert (counts.too_old, counts.not_asked, counts.unknown) == (1, 1, 1)
