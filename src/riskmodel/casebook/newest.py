"""The newest list in force that has a row of a household: one query for the rows of lists and for those who
are not on them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, literal, select

from riskmodel.casebook.areas import within
from riskmodel.casebook.schema import cycles, lists


def newest_row(
    connection: Connection,
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    household_id: str,
    areas: Sequence[str],
    ends: dt.date | None = None,
) -> Row[Any] | None:
    """The household's row of `table` (`list_rows` or `not_listed`) of the newest list in force, inside the
    areas, as of a day before `ends`.

    The row has `columns`, the columns of `lists`, and `closed_at` of the list's cycle. In force is the list
    of a cycle that was given out last. None: no list in force has a row of the household.
    """
    newest = lists.alias("newest")
    same_cycle = and_(newest.c.county_code == lists.c.county_code, newest.c.cycle == lists.c.cycle)
    newer = select(literal(1)).where(same_cycle, newest.c.issued_number > lists.c.issued_number).exists()
    in_time = [] if ends is None else [lists.c.as_of < ends]
    wanted: list[Any] = [*columns, *lists.c, cycles.c.closed_at]
    return connection.execute(
        select(*wanted)
        .join(lists, lists.c.list_hash == table.c.list_hash)
        .join(cycles, and_(cycles.c.county_code == lists.c.county_code, cycles.c.cycle == lists.c.cycle))
        .where(table.c.household_id == household_id, within(table.c.village_code, areas), ~newer, *in_time)
        .order_by(lists.c.as_of.desc(), lists.c.issued_number.desc())
        .limit(1)
    ).first()
