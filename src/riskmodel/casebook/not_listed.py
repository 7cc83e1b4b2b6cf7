"""Why a household is not on a list, kept with the list and looked up for a household: within the areas of who
asks, as of the day asked for."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, literal, select

from riskmodel.casebook.newest import newest_row
from riskmodel.casebook.schema import list_rows, lists, not_listed
from riskmodel.visits.not_listed import NotListed
from riskmodel.visits.visit_list import VisitList

_AT_ONCE = 5_000


@dataclass(frozen=True)
class Absence:
    """Why a household is not on the newest list in force of its county, and what that list holds about its
    county as a whole.

    last_visit: day of the last visit that met somebody, by the county's tables on the list's day; None: none
    is known.
    """

    list_hash: str
    county_code: str
    village_code: str
    cycle: str
    as_of: dt.date
    closed: bool
    capacity: int
    model_version: str
    data_dates: Mapping[str, str]
    why: NotListed
    last_visit: dt.date | None


def keep_not_listed(connection: Connection, visit_list: VisitList) -> None:
    """Keep why everybody else of the county is not on the list."""
    for some in visit_list.not_listed.iter_slices(_AT_ONCE):
        rows = [{"list_hash": visit_list.hash, **row} for row in some.iter_rows(named=True)]
        if rows:
            connection.execute(not_listed.insert(), rows)


def absence_of(
    connection: Connection, areas: Sequence[str], household_id: str, ends: dt.date | None = None
) -> Absence | None:
    """Why a household is on no list, from the newest list in force that left it out and recorded why.

    areas: area codes that the caller may see; a household elsewhere gives None. ends: only lists as of a day
    before it; None: all lists. Returns None when no such list left the household out, or when a list of a
    later as-of date has it.
    """
    row = newest_row(connection, not_listed, tuple(not_listed.c), household_id, areas, ends)
    if row is None:
        return None
    in_time = [] if ends is None else [lists.c.as_of < ends]
    listed_later = connection.execute(
        select(literal(1))
        .select_from(list_rows.join(lists, lists.c.list_hash == list_rows.c.list_hash))
        .where(list_rows.c.household_id == household_id, lists.c.as_of > row.as_of, *in_time)
        .limit(1)
    ).first()
    if listed_later is not None:
        return None
    return Absence(
        list_hash=row.list_hash,
        county_code=row.county_code,
        village_code=row.village_code,
        cycle=row.cycle,
        as_of=row.as_of,
        closed=bool(row.closed_at),
        capacity=row.capacity,
        model_version=row.model_version,
        data_dates=json.loads(row.data_dates or "{}"),
        why=NotListed(code=row.reason, since=row.since, until=row.until, last_outcome=row.last_outcome),
        last_visit=row.last_visit,
    )
