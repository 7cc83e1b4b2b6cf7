"""Months before and after a day: one rule, tried on both sides of every month end."""

from __future__ import annotations

import datetime as dt

import pytest

from riskmodel.calendar import add_months, months_before


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2025-04-30", 1, "2025-05-30"),  # not the last of May: the day of the month is kept
        ("2025-03-31", 1, "2025-04-30"),  # April is shorter
        ("2025-03-30", 1, "2025-04-30"),
        ("2025-01-28", 1, "2025-02-28"),
        ("2025-01-29", 1, "2025-02-28"),
        ("2024-01-29", 1, "2024-02-29"),
        ("2024-01-30", 1, "2024-02-29"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2025-11-30", 1, "2025-12-30"),
        ("2025-12-01", 1, "2026-01-01"),
        ("2025-12-31", 2, "2026-02-28"),
        ("2025-06-15", 0, "2025-06-15"),
    ],
)
def test_a_later_day_keeps_its_day_of_the_month_or_is_the_last_of_a_shorter_one(day, months, expected):
    assert add_months(dt.date.fromisoformat(day), months) == dt.date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2025-04-30", 1, "2025-03-30"),  # the day on which two rules once disagreed
        ("2025-03-31", 1, "2025-02-28"),
        ("2024-03-31", 1, "2024-02-29"),
        ("2024-03-30", 1, "2024-02-29"),
        ("2024-03-29", 1, "2024-02-29"),
        ("2024-03-28", 1, "2024-02-28"),
        ("2025-01-31", 1, "2024-12-31"),
        ("2025-01-01", 1, "2024-12-01"),
        ("2025-12-31", 12, "2024-12-31"),
        ("2024-02-29", 12, "2023-02-28"),
        ("2025-05-31", 3, "2025-02-28"),
    ],
)
def test_an_earlier_day_keeps_its_day_of_the_month_or_is_the_last_of_a_shorter_one(day, months, expected):
    assert months_before(dt.date.fromisoformat(day), months) == dt.date.fromisoformat(expected)


def test_exit_reviews_features_and_folds_use_the_same_rule():
    from riskmodel.features import building
    from riskmodel.training import folds
    from riskmodel.visits import exits

    assert building.months_before is exits.months_before is months_before
    assert folds.add_months is add_months
