"""What the outcome means, edge by edge (docs/data-contract.md): the cohort, monitored households, labels,
maturity.
"""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.calendar import add_months
from riskmodel.tables import from_frames
from riskmodel.training.cohorts import audit_groups, cohort, monitored
from riskmodel.training.labels import labels, matures_on
from riskmodel.training.samples import interval_of

T = dt.date(2024, 3, 1)
LATER = dt.date(2026, 12, 31)


def county(verifications=(), *, households=("A",), members=None, **more):
    """Tables with these households, one grown-up each unless `members` says otherwise, and verification rows
    (household, occurred_on, known_on, outcome[, event_id])."""
    homes = [
        {
            "household_id": name,
            "known_on": dt.date(2022, 1, 1),
            "county_code": "522301",
            "township_code": "522301100",
            "village_code": "522301100201",
            "category": "general",
            "relocated": False,
            "distance_km": 1.0,
        }
        for name in households
    ]
    people = members if members is not None else [person(f"{name}1", name) for name in households]
    visits = [
        {
            "event_id": row[4] if len(row) > 4 else f"V{place}",
            "household_id": row[0],
            "occurred_on": dt.date.fromisoformat(row[1]),
            "known_on": dt.date.fromisoformat(row[2]),
            "origin": "sweep",
            "outcome": row[3],
        }
        for place, row in enumerate(verifications)
    ]
    empty = {
        "event_id": pl.String,
        "household_id": pl.String,
        "occurred_on": pl.Date,
        "known_on": pl.Date,
        "origin": pl.String,
        "outcome": pl.String,
    }
    frames = {
        "households": pl.DataFrame(homes),
        "members": pl.DataFrame(people),
        "verifications": pl.DataFrame(visits, schema=empty),
    }
    return from_frames({**frames, **more})


def person(name, household, **changes):
    row = {
        "member_id": name,
        "known_on": dt.date(2022, 1, 1),
        "household_id": household,
        "birth_date": dt.date(1980, 1, 1),
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
        "ethnic_minority": None,
        "left_on": None,
    }
    return row | changes


def label_of(tables, horizon=12, known_until=LATER, household="A", as_of=T):
    rows = labels(tables, as_of, horizon, known_until=known_until).filter(pl.col("household_id") == household)
    return rows["label"].item() if rows.height else "not in the cohort"


@pytest.mark.parametrize(
    ("visits", "expected", "why"),
    [
        ([("A", "2024-03-02", "2024-03-20", "risk_confirmed")], 1, "the first day of the window counts"),
        ([("A", "2025-03-01", "2025-03-20", "risk_confirmed")], 1, "the last day, T + 12 months, counts"),
        (
            [("A", "2025-03-02", "2025-03-20", "risk_confirmed")],
            None,
            "a day later it does not, and nobody cleared it",
        ),
        (
            [("A", "2025-02-20", "2025-03-20", "risk_confirmed")],
            1,
            "known after the window, but it happened in it",
        ),
        ([("A", "2024-09-01", "2024-09-20", "no_risk")], 0, "cleared in the window"),
        (
            [("A", "2024-02-01", "2024-02-20", "no_risk")],
            None,
            "cleared before the window says nothing about it",
        ),
        ([("A", "2024-03-01", "2024-03-20", "no_risk")], None, "cleared on T itself is not in (T, T + H]"),
        ([("A", "2025-03-01", "2025-03-20", "no_risk")], 0, "cleared on the last day"),
        ([("A", "2024-09-01", "2024-09-20", "unreachable")], None, "nobody was met"),
        (
            [
                ("A", "2024-05-01", "2024-05-20", "no_risk"),
                ("A", "2024-11-01", "2024-11-20", "risk_confirmed"),
            ],
            1,
            "confirmed later in the window",
        ),
        (
            [
                ("A", "2024-05-01", "2024-05-20", "risk_confirmed"),
                ("A", "2024-11-01", "2024-11-20", "risk_eliminated"),
            ],
            1,
            "eliminated again, still a relapse",
        ),
        (
            [
                ("A", "2024-05-01", "2024-05-20", "risk_confirmed"),
                ("A", "2024-11-01", "2024-11-20", "no_risk"),
            ],
            1,
            "a clearing does not undo a confirmation",
        ),
        ([("A", "2024-05-01", "2024-05-20", "risk_eliminated")], None, "an elimination is no clearing"),
        ([], None, "never visited is unlabelled, not 0"),
        (
            [
                ("A", "2024-02-20", "2024-03-10", "risk_confirmed"),
                ("A", "2024-10-01", "2024-10-20", "no_risk"),
            ],
            None,
            "confirmed before T, known only after T",
        ),
        (
            [
                ("A", "2024-03-01", "2024-03-10", "risk_confirmed"),
                ("A", "2024-10-01", "2024-10-20", "risk_confirmed"),
            ],
            None,
            "confirmed on T, known after T",
        ),
        ([("A", "2024-02-20", "2024-02-25", "risk_confirmed")], "not in the cohort", "monitored at T"),
        (
            [
                ("A", "2023-01-01", "2023-01-05", "risk_confirmed"),
                ("A", "2023-12-01", "2023-12-05", "risk_eliminated"),
                ("A", "2024-10-01", "2024-10-20", "risk_confirmed"),
            ],
            1,
            "eliminated, then confirmed again: it re-entered",
        ),
        (
            [
                ("A", "2023-01-01", "2023-01-05", "risk_confirmed"),
                ("A", "2024-02-01", "2024-03-05", "risk_eliminated"),
            ],
            "not in the cohort",
            "the elimination was not known at T",
        ),
    ],
)
def test_each_edge_of_the_label(visits, expected, why):
    assert label_of(county(visits)) == expected, why


def test_a_label_is_not_used_while_its_window_is_open():
    tables = county([("A", "2024-05-01", "2024-05-20", "risk_confirmed")])
    assert label_of(tables, known_until=dt.date(2025, 2, 28)) is None  # the window ends on 2025-03-01
    assert label_of(tables, known_until=dt.date(2025, 3, 1)) == 1


def test_a_confirmation_that_was_not_known_at_the_cut_is_not_used():
    tables = county(
        [("A", "2025-02-20", "2025-05-01", "risk_confirmed"), ("A", "2024-10-01", "2024-10-20", "no_risk")]
    )
    assert label_of(tables, known_until=dt.date(2025, 4, 30)) == 0  # why a reporting lag is waited for
    assert label_of(tables, known_until=dt.date(2025, 5, 1)) == 1


def test_a_corrected_outcome_counts_from_the_day_the_correction_is_known():
    tables = county(
        [
            ("A", "2024-10-01", "2024-10-20", "risk_confirmed", "V"),
            ("A", "2024-10-01", "2025-06-01", "no_risk", "V"),
        ]
    )
    assert label_of(tables, known_until=dt.date(2025, 5, 31)) == 1
    assert label_of(tables, known_until=dt.date(2025, 6, 1)) == 0


def test_a_confirmation_known_at_the_time_and_only_corrected_later_does_not_unlabel():
    # confirmed and eliminated long before T; a later correction repeats the old confirmation (say, with a
    # risk kind added)
    visits = [
        ("A", "2022-05-01", "2022-05-10", "risk_confirmed", "V"),
        ("A", "2023-05-01", "2023-05-10", "risk_eliminated", "W"),
        ("A", "2022-05-01", "2024-06-01", "risk_confirmed", "V"),
        ("A", "2024-10-01", "2024-10-20", "no_risk", "X"),
    ]
    assert label_of(county(visits)) == 0


def test_a_household_that_moved_away_is_unlabelled_and_one_that_died_out_leaves_the_cohort():
    gone_before = county(members=[person("A1", "A", left_on=dt.date(2024, 2, 1))])
    assert label_of(gone_before) == "not in the cohort"
    # It leaves in the window and nobody verifies it: unlabelled. (The contract has no "left" outcome.)
    gone_after = county(
        members=[
            person("A1", "A", known_on=dt.date(2022, 1, 1)),
            person("A1", "A", known_on=dt.date(2024, 6, 1), left_on=dt.date(2024, 5, 20)),
        ]
    )
    assert label_of(gone_after) is None


def test_three_and_six_months_end_earlier():
    tables = county(
        [("A", "2024-08-01", "2024-08-20", "risk_confirmed"), ("A", "2024-05-15", "2024-05-20", "no_risk")]
    )
    assert [label_of(tables, horizon) for horizon in (3, 6, 12)] == [0, 1, 1]


def test_a_tie_of_decisive_verifications_counts_as_monitored():
    same_day = [
        ("A", "2024-01-10", "2024-01-20", "risk_eliminated"),
        ("A", "2024-01-10", "2024-01-20", "risk_confirmed"),
    ]
    assert monitored(county(same_day), T)["household_id"].to_list() == ["A"]
    # Same day, but the elimination came in later: it is the newer one.
    later = [
        ("A", "2024-01-10", "2024-01-20", "risk_confirmed"),
        ("A", "2024-01-10", "2024-01-25", "risk_eliminated"),
    ]
    assert monitored(county(later), T).height == 0


def test_a_household_whose_row_comes_in_after_the_date_is_not_in_the_cohort():
    tables = county(
        households=("A", "B"), members=[person("A1", "A"), person("B1", "B", known_on=dt.date(2024, 3, 2))]
    )
    assert cohort(tables, T)["household_id"].to_list() == ["A"]


def test_rows_known_after_the_date_change_neither_cohort_nor_groups():
    early = county([("A", "2023-05-01", "2023-05-10", "no_risk")], households=("A", "B"))
    late = county(
        [("A", "2023-05-01", "2023-05-10", "no_risk"), ("B", "2024-02-01", "2024-03-02", "risk_confirmed")],
        households=("A", "B"),
        members=[
            person("A1", "A"),
            person("B1", "B"),
            person("B1", "B", known_on=dt.date(2024, 3, 2), sex="female"),
        ],
    )
    assert cohort(early, T).equals(cohort(late, T))
    assert audit_groups(early, T).equals(audit_groups(late, T))


def test_audit_groups_say_unknown_where_nothing_is_known():
    groups = audit_groups(county(households=("A",)), T).row(0, named=True)
    assert groups["ethnic_minority"] is None  # the optional column is absent
    assert groups["disability"] is None  # the optional table is absent
    assert (
        groups["female_head"] is False and groups["elderly_only"] is False and groups["category"] == "general"
    )


def test_months_end_where_the_month_ends():
    assert add_months(dt.date(2024, 1, 31), 1) == dt.date(2024, 2, 29)
    assert add_months(dt.date(2024, 2, 29), 12) == dt.date(2025, 2, 28)
    assert add_months(dt.date(2024, 1, 15), -2) == dt.date(2023, 11, 15)
    assert matures_on(dt.date(2024, 3, 1), 12, 60) == dt.date(2025, 4, 30)


def test_the_interval_of_a_confirmation_is_closed_at_its_end():
    days = [
        dt.date(2024, 6, 1),
        dt.date(2024, 6, 2),
        dt.date(2024, 9, 1),
        dt.date(2025, 3, 1),
        dt.date(2025, 3, 2),
        None,
    ]
    assert interval_of(pl.Series(days, dtype=pl.Date), T).tolist() == [0, 1, 1, 2, -1, -1]


# Audit groups, a row on each side of every limit.


def disability(*rows):
    """Certificates (member, known_on)."""
    return pl.DataFrame(
        [
            {
                "event_id": f"D{place}",
                "member_id": member,
                "occurred_on": dt.date(2022, 1, 1),
                "known_on": dt.date.fromisoformat(known),
                "kind": "physical",
                "level": 3,
            }
            for place, (member, known) in enumerate(rows)
        ]
    )


def groups_of(tables):
    return {row["household_id"]: row for row in audit_groups(tables, T).iter_rows(named=True)}


@pytest.mark.parametrize(
    ("born", "elderly"),
    [("1964-03-01", True), ("1964-02-28", True), ("1964-03-02", False), ("1963-03-01", True)],
)
def test_elderly_only_begins_on_the_sixtieth_birthday_of_the_youngest(born, elderly):
    people = [
        person("A1", "A", birth_date=dt.date(1930, 1, 1)),
        person("A2", "A", birth_date=dt.date.fromisoformat(born)),
    ]
    assert groups_of(county(members=people))["A"]["elderly_only"] is elderly


def test_disability_is_true_where_anybody_is_certified_and_false_elsewhere():
    tables = county(
        households=("A", "B", "C"),
        members=[person("A1", "A"), person("A2", "A"), person("B1", "B"), person("C1", "C")],
        disability=disability(
            ("A2", "2024-03-01"), ("C1", "2024-03-02")
        ),  # C's certificate is known a day too late
    )
    assert [groups_of(tables)[name]["disability"] for name in "ABC"] == [True, False, False]


def test_the_remote_quarter_lies_beyond_three_quarters_of_the_distances():
    names = tuple("ABCDE")
    tables = county(households=names)
    far = tables["households"].with_columns(distance_km=pl.Series([0.0, 1.0, 2.0, 3.0, 4.0]))
    known = from_frames(
        {
            **{name: frame.drop("replaced_on") for name, frame in tables.frames.items()},
            "households": far.drop("replaced_on"),
        }
    )
    assert [groups_of(known)[name]["remote"] for name in names] == [False, False, False, False, True]


def test_a_minority_is_anybody_in_the_household_and_the_head_decides_female_head():
    people = [
        person("A1", "A", ethnic_minority=False, sex="female"),
        person("A2", "A", ethnic_minority=True, relation="spouse"),
        person("B1", "B", ethnic_minority=False),
        person("B2", "B", ethnic_minority=False, sex="female", relation="spouse"),
    ]
    groups = groups_of(county(households=("A", "B"), members=people))
    assert [groups[name]["ethnic_minority"] for name in "AB"] == [True, False]
    assert [groups[name]["female_head"] for name in "AB"] == [True, False]


@pytest.mark.parametrize(("known", "monitored_then"), [("2024-03-01", True), ("2024-03-02", False)])
def test_a_confirmation_counts_for_the_cohort_from_the_day_it_is_known(known, monitored_then):
    tables = county([("A", "2024-02-01", known, "risk_confirmed")])
    assert (monitored(tables, T).height == 1) is monitored_then
    assert (cohort(tables, T).height == 0) is monitored_then


@pytest.mark.parametrize(("left", "there"), [("2024-03-01", False), ("2024-03-02", True)])
def test_a_household_whose_last_member_leaves_on_the_day_is_not_in_the_cohort(left, there):
    members = [person("A1", "A", left_on=dt.date.fromisoformat(left))]
    assert (cohort(county(members=members), T).height == 1) is there


@pytest.mark.parametrize(
    ("day", "lag", "usable"),
    [("2024-03-01", 0, "2025-03-01"), ("2024-03-01", 1, "2025-03-02"), ("2024-02-29", 60, "2025-04-29")],
)
def test_a_label_is_usable_after_the_horizon_and_the_reporting_lag(day, lag, usable):
    assert matures_on(dt.date.fromisoformat(day), 12, lag) == dt.date.fromisoformat(usable)


@pytest.mark.parametrize(
    ("occurred", "expected"), [("2024-06-01", 0), ("2024-06-02", None), ("2024-09-01", None)]
)
def test_the_window_of_three_months_is_closed_at_its_end(occurred, expected):
    assert label_of(county([("A", occurred, "2024-10-01", "no_risk")]), 3) == expected
