"""A day long after the newest data: a sentence, from the forty-sixth day on."""

from __future__ import annotations

import datetime as dt

import pytest

from riskmodel.tables.staleness import stale_note

NEWEST = dt.date(2025, 12, 31)


@pytest.mark.parametrize(("days", "stale"), [(0, False), (45, False), (46, True), (90, True)])
def test_a_delivery_that_is_missing_for_more_than_a_month_and_a_half_is_said(days, stale):
    as_of = NEWEST + dt.timedelta(days=days)
    note = stale_note({"medical": NEWEST}, as_of)
    assert (note is not None) == stale
    if note:
        assert f"相隔{days}天" in note[0] and f"{days} days earlier" in note[1] and "2025-12-31" in note[1]


def test_the_newest_of_the_monthly_tables_counts_and_not_the_visits_of_yesterday():
    dates = {
        "medical": dt.date(2025, 6, 30),
        "income": dt.date(2025, 9, 30),
        "verifications": NEWEST,
        "leads": NEWEST,
    }
    assert "2025-09-30" in stale_note(dates, NEWEST)[1]


def test_without_a_monthly_table_nothing_is_said():
    assert stale_note({"households": dt.date(2020, 1, 1)}, NEWEST) is None
    assert stale_note({}, NEWEST) is None
