"""Days and months: how a day may be written, which day is today, and the one rule for months that features,
labels, folds and exit reviews share."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from calendar import monthrange
from typing import Final

from riskmodel.errors import Fault, UserError


def day(text: dt.date | str) -> dt.date:
    """A day, given as a date or as text `YYYY-MM-DD`; of a time with hours the day. Raises UserError for
    anything else."""
    if isinstance(text, dt.datetime):
        return text.date()
    if isinstance(text, dt.date):
        return text
    try:
        return dt.date.fromisoformat(text)
    except (TypeError, ValueError):
        raise UserError(
            Fault("date", f"{text!r}", "a date such as 2025-12-31", "Write it as YYYY-MM-DD.")
        ) from None


COUNTY_ZONE: Final = "Asia/Shanghai"  # whose day is today, unless a project sets another


def today(zone: str = COUNTY_ZONE) -> dt.date:
    """The day in a time zone, whatever that of the machine: on a host in UTC the county's day begins eight
    hours earlier."""
    return dt.datetime.now(zoneinfo.ZoneInfo(zone)).date()


def add_months(day: dt.date, months: int) -> dt.date:
    """The same day of the month, `months` later (earlier if negative); the last day where that month is
    shorter.

    30 April minus one month is 30 March; 31 March minus one month is the last of February.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def months_before(day: dt.date, months: int) -> dt.date:
    """`add_months` backwards: the same day of the month, `months` earlier, or the last day of a shorter
    month."""
    return add_months(day, -months)
