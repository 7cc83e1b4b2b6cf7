"""The cycles of a casebook: which are open, how far their visits have come, and which results contradict each
other.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from riskmodel.casebook.results import Conflict, Window, conflicts_of_cycle
from riskmodel.casebook.schema import cycles, list_rows, lists
from riskmodel.casebook.store import reading
from riskmodel.settings import ScreeningSettings

if TYPE_CHECKING:
    from riskmodel.casebook.book import Casebook


@dataclass(frozen=True)
class Cycle:
    """A cycle of a county. as_of, capacity and households (on the list, those on standby left out) are of the
    list in force.

    visited: of these households, at how many somebody was met, in this cycle or before it (see
    `results.Window`); contradictory: households whose visitors disagree; closed_on: missing while it is open.
    """

    county_code: str
    cycle: str
    lists: int
    as_of: dt.date
    capacity: int
    households: int
    visited: int
    contradictory: tuple[Conflict, ...]
    closed_on: str | None

    def text(self) -> str:
        """For a terminal: one line with county, cycle, state, date of the list and visits made, and one
        line for each household whose results contradict each other."""
        state = f"closed on {self.closed_on}" if self.closed_on else "open"
        given = f", {self.lists} lists given out, the newest is in force" if self.lists > 1 else ""
        line = (
            f"{self.county_code} {self.cycle}: {state}; list as of {self.as_of.isoformat()}, "
            f"{self.visited} of {self.households} visited{given}"
        )
        return "\n".join(
            [line, *(f"  contradiction, please clear it up: {conflict}" for conflict in self.contradictory)]
        )


@dataclass(frozen=True)
class Cycles:
    """The cycles that were asked for, oldest first."""

    rows: Sequence[Cycle]

    def text(self) -> str:
        """In words."""
        return "\n".join(row.text() for row in self.rows) or "No list has been given out yet: riskmodel list"


def cycles_of(book: Casebook, *, closed: bool = False) -> Cycles:
    """The open cycles of a casebook; with `closed` the closed ones too."""
    with reading(book.engine) as connection:
        heads = connection.execute(select(lists).order_by(lists.c.issued_number)).all()
        ends = {(row.county_code, row.cycle): row.closed_at for row in connection.execute(select(cycles))}
        given = Counter((head.county_code, head.cycle) for head in heads)
        in_force = {(head.county_code, head.cycle): head for head in heads}
        found = []
        for key, head in sorted(in_force.items(), key=lambda item: (item[1].as_of, item[0])):
            if ends[key] and not closed:
                continue
            listed = select(list_rows.c.household_id).where(
                list_rows.c.list_hash == head.list_hash, list_rows.c.listed_as != "standby"
            )
            households = set(connection.execute(listed).scalars())
            settings = ScreeningSettings.model_validate_json(head.settings)
            counting = Window.of(*key, head.as_of, settings).results().subquery()
            met = select(counting.c.household_id).where(counting.c.outcome != "unreachable")
            found.append(
                Cycle(
                    county_code=key[0],
                    cycle=key[1],
                    lists=given[key],
                    as_of=head.as_of,
                    capacity=head.capacity,
                    households=len(households),
                    visited=len(households & set(connection.execute(met).scalars())),
                    contradictory=conflicts_of_cycle(connection, *key),
                    closed_on=ends[key][:10] if ends[key] else None,
                )
            )
    return Cycles(tuple(found))
