"""Households that merge and split (并户、分户): status and visits stay with the household's id, and nobody's
status changes by a move.
"""

from __future__ import annotations

import datetime as dt

import pytest

from riskmodel.tables import tables_of
from riskmodel.training.cohorts import cohort, monitored
from riskmodel.training.labels import labels

BEFORE, AFTER = dt.date(2024, 1, 1), dt.date(2024, 7, 1)
MOVE = "2024-06-01"


def home(name, known="2023-01-01"):
    return {
        "household_id": name,
        "known_on": known,
        "county_code": "522301",
        "township_code": "522301001",
        "village_code": "522301001201",
        "category": "lifted",
        "relocated": False,
    }


def person(name, household, known="2023-01-01"):
    return {
        "member_id": name,
        "household_id": household,
        "known_on": known,
        "birth_date": "1980-01-01",
        "sex": "male",
        "relation": "head",
        "education": "junior",
        "schooling": "none",
        "chronic_ill": False,
        "seriously_ill": False,
        "labour": "ordinary",
        "medical_insured": True,
        "pension_insured": True,
        "dibao": False,
        "tekun": False,
    }


def visit(household, day, outcome):
    classed = {"object_class": "sudden", "risk_kinds": "illness"} if outcome == "risk_confirmed" else {}
    return {
        "event_id": f"{household}-{day}",
        "household_id": household,
        "occurred_on": day,
        "known_on": day,
        "origin": "lead",
        "outcome": outcome,
    } | classed


def county(*moves, visits=(), homes=("old", "other")):
    """Two persons in `old`, one in `other`, and the moves."""
    return tables_of(
        {
            "households": [home(name) if name != "new" else home(name, MOVE) for name in homes],
            "members": [person("A", "old"), person("B", "old"), person("C", "other"), *moves],
            "verifications": list(visits),
        }
    )


def ids(frame):
    return frame["household_id"].to_list()


@pytest.fixture
def merged():
    """`old` is monitored since October 2023; in June 2024 both of its members move in with `other`."""
    return county(
        person("A", "other", MOVE),
        person("B", "other", MOVE),
        visits=[visit("old", "2023-10-01", "risk_confirmed")],
    )


def test_a_monitored_household_that_merges_into_another_keeps_its_status_under_its_id(merged):
    assert ids(cohort(merged, BEFORE)) == ["other"] and ids(monitored(merged, BEFORE)) == ["old"]
    assert ids(monitored(merged, AFTER)) == ["old"]


def test_the_household_that_took_them_in_is_in_the_cohort_until_a_visit_decides_on_it(merged):
    assert ids(cohort(merged, AFTER)) == ["other"]
    decided = county(
        person("A", "other", MOVE),
        person("B", "other", MOVE),
        visits=[visit("old", "2023-10-01", "risk_confirmed"), visit("other", "2024-06-20", "risk_confirmed")],
    )
    assert ids(cohort(decided, AFTER)) == [] and ids(monitored(decided, AFTER)) == ["old", "other"]


def test_a_household_that_ended_by_merging_is_unlabelled_and_never_counts_as_well(merged):
    """`old` was in the cohort in January and merged in June; in October the household that took it in is
    confirmed.
    """
    tables = county(
        person("A", "other", MOVE),
        person("B", "other", MOVE),
        visits=[visit("other", "2024-10-01", "risk_confirmed")],
    )
    found = labels(tables, BEFORE, 12, known_until=dt.date(2025, 12, 31))
    assert dict(found.select("household_id", "label").iter_rows()) == {"old": None, "other": 1}


def test_who_splits_off_a_monitored_household_begins_without_its_status():
    tables = county(
        person("B", "new", MOVE),
        visits=[visit("old", "2023-10-01", "risk_confirmed")],
        homes=("old", "other", "new"),
    )
    assert ids(monitored(tables, AFTER)) == ["old"]
    assert ids(cohort(tables, AFTER)) == ["new", "other"]


def test_who_splits_off_a_household_without_risk_does_not_take_its_visits_along():
    """`old` is found well in October: label 0. `new`, which was not visited, is unlabelled."""
    tables = county(
        person("B", "new", MOVE),
        visits=[visit("old", "2024-10-01", "no_risk")],
        homes=("old", "other", "new"),
    )
    found = labels(tables, AFTER, 12, known_until=dt.date(2025, 12, 31))
    assert dict(found.select("household_id", "label").iter_rows()) == {"new": None, "old": 0, "other": None}
