"""The one place where look-ups are filtered by area: no query for somebody outside goes without it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, false, or_

from riskmodel.vocabulary import VILLAGE_DIGITS


def within(column: ColumnElement[str], areas: Sequence[str]) -> ColumnElement[bool]:
    """SQL condition: the area code begins with one of these prefixes. No areas: no rows; a row without an
    area code is in none.

    Written as ranges of digits, which an index can answer and which every collation orders in the same way.
    """
    inside = [and_(column >= area, column <= area.ljust(VILLAGE_DIGITS, "9")) for area in areas]
    return or_(*inside) if inside else false()


def touches(column: ColumnElement[str], areas: Sequence[str]) -> ColumnElement[bool]:
    """SQL condition: the county is within one of the prefixes, or contains one of them. Rows read of such a
    county have to pass `within` as well.
    """
    holding = [column == area[:6] for area in areas if len(area) > 6]
    return or_(within(column, areas), *holding)


def holds(areas: Sequence[str], code: str) -> bool:
    """Whether an area is wholly within one of the prefixes: figures about all of it may then be shown."""
    return code.startswith(tuple(areas))
