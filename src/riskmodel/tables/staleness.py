"""Warn when an as-of date is long after the newest data, so that scores of that day are out of date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

# Tables that get rows every month; visits and leads are written by the county itself and give no
# information about the extracts.
MONTHLY_TABLES: Final = ("income", "expenditure", "medical", "employment")
# A month and a half: one monthly delivery and its delay.
STALE_DAYS: Final = 45


def stale_note(newest: Mapping[str, dt.date], as_of: dt.date) -> tuple[str, str] | None:
    """A sentence in zh and en when the newest monthly data are more than `STALE_DAYS` days before the as-of
    date; None otherwise.

    newest: table -> newest `known_on` on or before the day. Without any of `MONTHLY_TABLES` there is nothing
    to compare with: None.
    """
    dates = [newest[name] for name in MONTHLY_TABLES if name in newest]
    if not dates or (days := (as_of - max(dates)).days) <= STALE_DAYS:
        return None
    last = max(dates).isoformat()
    return (
        (
            f"数据过旧：截止日{as_of.isoformat()}，而收入、支出、医疗、就业数据最新只到{last}，"
            f"相隔{days}天；请先补齐数据，再出清单。"
        ),
        (
            f"Stale data: the as-of date is {as_of.isoformat()}, but the newest monthly data were known on "
            f"{last}, {days} days earlier. Deliver newer tables before this list is used."
        ),
    )
