"""What the lists missed, from the results in force: the table of listed and drawn households, and recall from
it.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, select

from riskmodel.casebook.results import in_force
from riskmodel.casebook.schema import drawn_from, list_rows, lists
from riskmodel.settings import ScreeningSettings
from riskmodel.visits.visit_list import cycle_length

COLUMNS: Final[dict[str, Any]] = {
    "cycle": pl.String,
    "as_of": pl.Date,
    "household_id": pl.String,
    "route": pl.String,
    "inclusion_probability": pl.Float64,
    "label": pl.Int64,
    "probability": pl.Float64,
    "stratum": pl.String,
}


def checks(
    connection: Connection,
    list_hash: str | None = None,
    *,
    county_code: str | None = None,
    since: dt.date | None = None,
) -> pl.DataFrame:
    """What was found on lists and in their random checks, for `recall_from_checks`: of one list, or of the
    one in force of every cycle.

    county_code, since: only lists of this county, and as of this day or later.

    Columns: COLUMNS. route: `listed`, `random_check` (drawn) or `none`. label: 1 confirmed, 0 no risk,
    missing: not visited, not reached, or results that contradict each other. The population is everybody who
    was listed or could be drawn; households left in peace after a recent visit, and checks carried over (they
    belong to the list that drew them), are not in it.
    """
    heads = connection.execute(select(lists).order_by(lists.c.issued_number)).all()
    newest = {(head.county_code, head.cycle): head for head in heads}.values()
    wanted = [
        head
        for head in (heads if list_hash else newest)
        if list_hash in (None, head.list_hash)
        and county_code in (None, head.county_code)
        and (since is None or head.as_of >= since)
    ]
    found = _decisive(connection)
    rows = [row for head in wanted for row in _of_list(connection, head, found.get(head.county_code, []))]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def last_day(as_of: dt.date, settings: ScreeningSettings) -> dt.date:
    """The last day on which a visit counts for a list: the end of the last cycle to which a visit of the list
    can be carried over.

    93 days after the list's day by the settings of a new project: its own month and two more.
    """
    return as_of + (1 + settings.carry_over.cycles) * cycle_length(settings.cycle)


def _decisive(connection: Connection) -> dict[str, list[Any]]:
    """County -> results in force that decide, earliest visit first; those of a household and cycle that
    disagree decide nothing.
    """
    rows = connection.execute(in_force().subquery().select()).all()
    rows = [row for row in rows if row.outcome in ("risk_confirmed", "no_risk", "risk_eliminated")]
    outcomes: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        outcomes.setdefault((row.county_code, row.cycle, row.household_id), set()).add(row.outcome)
    found: dict[str, list[Any]] = {}
    for row in sorted(rows, key=lambda row: (row.visited_on, row.number)):
        agreed = len(outcomes[row.county_code, row.cycle, row.household_id]) == 1
        if agreed and row.outcome != "risk_eliminated":
            found.setdefault(row.county_code, []).append(row)
    return found


def _of_list(connection: Connection, head: Any, found: list[Any]) -> list[tuple[Any, ...]]:
    """The rows of one list. found: decisive results of its county, earliest visit first."""
    settings = ScreeningSettings.model_validate_json(head.settings)
    ends = last_day(head.as_of, settings)
    rows = connection.execute(
        select(list_rows.c.household_id, list_rows.c.listed_as, list_rows.c.content).where(
            list_rows.c.list_hash == head.list_hash
        )
    )
    listed = {
        row.household_id: json.loads(row.content)["probability"]
        for row in rows
        if row.listed_as != "random_check"
    }
    label: dict[str, int] = {}
    checked: dict[str, int] = {}
    for visit in found:
        if head.as_of <= visit.visited_on <= ends:
            confirmed = int(visit.outcome == "risk_confirmed")
            label.setdefault(visit.household_id, confirmed)
            # A check that was carried over is met as a random check of a later list. Who was drawn and is met
            # for another reason (a lead, the order of a later model) was not met by chance: counted, he would
            # make the checks look worse than the households they represent.
            if visit.cycle == head.cycle or visit.listed_as == "random_check":
                checked.setdefault(visit.household_id, confirmed)
    table: list[tuple[Any, ...]] = [
        (head.cycle, head.as_of, name, "listed", 1.0, label.get(name), probability, "listed")
        for name, probability in sorted(listed.items())
    ]
    for name, probability, stratum, chance, drawn in population(connection, head.list_hash).iter_rows():
        route, found_by_check = ("random_check", checked.get(name)) if drawn else ("none", None)
        table.append((head.cycle, head.as_of, name, route, chance, found_by_check, probability, stratum))
    return table


def population(connection: Connection, list_hash: str) -> pl.DataFrame:
    """Everybody who could be drawn for a random check of a list: household_id, probability, stratum,
    inclusion_probability, drawn.
    """
    columns = (drawn_from.c.household_id, drawn_from.c.probability, drawn_from.c.stratum)
    chance = (drawn_from.c.inclusion_probability, drawn_from.c.drawn)
    rows = connection.execute(
        select(*columns, *chance)
        .where(drawn_from.c.list_hash == list_hash)
        .order_by(drawn_from.c.household_id)
    ).all()
    kinds = (pl.String, pl.Float64, pl.String, pl.Float64, pl.Boolean)
    names = ("household_id", "probability", "stratum", "inclusion_probability", "drawn")
    return pl.DataFrame(
        [tuple(row) for row in rows], schema=dict(zip(names, kinds, strict=True)), orient="row"
    )
