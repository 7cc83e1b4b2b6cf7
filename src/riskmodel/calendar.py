"""Arithmetic with months: the one rule that features, labels, folds and exit reviews share."""

from __future__ import annotations

import datetime as dt
from calendar import monthrange


def add_months(day: dt.date, months: int) -> dt.date:
    """The same day of the month, `months` later (earlier if negative); the last day where that month is shorter.

    30 April minus one month is 30 March; 31 March minus one month is the last of February.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def months_before(day: dt.date, months: int) -> dt.date:
    """`add_months` backwards: the same day of the month, `months` earlier, or the last day of a shorter month."""
    return add_months(day, -months)
