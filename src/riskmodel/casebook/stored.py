"""A list as it was given out, made again from the casebook: whole, or only the rows of some areas."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import polars as pl
from sqlalchemy import Engine, Row, select

from riskmodel.casebook.areas import holds, within
from riskmodel.casebook.lookups import VisitsFound, visits_found
from riskmodel.casebook.results import Window
from riskmodel.casebook.schema import list_rows, lists
from riskmodel.casebook.store import reading
from riskmodel.settings import ScreeningSettings
from riskmodel.visits.row_parts import RowParts
from riskmodel.visits.visit_list import COLUMNS, LISTED_AS, VisitList
from riskmodel.vocabulary import GRADES

PARTS: Final = "parts"  # key of a row's JSON, beside COLUMNS; rows of lists issued before 2026-12 have none


@dataclass(frozen=True)
class StoredList(VisitList):
    """A list under the hash with which it was given out, whichever of its rows are here."""

    given_out_as: str = ""

    @property
    def hash(self) -> str:
        """The hash with which the whole list was given out."""
        return self.given_out_as


def parts_of(row: Mapping[str, Any]) -> RowParts | None:
    """The reasons in parts of a stored row of a list; None: it was stored without."""
    stored = row.get(PARTS)
    return None if stored is None else RowParts.from_stored(stored)


def parts_from_json(contents: Sequence[str]) -> dict[str, RowParts]:
    """household_id -> the reasons in parts of rows of a list, from their JSON; rows without parts are not
    in it."""
    each = {row["household_id"]: parts_of(row) for row in (json.loads(text) for text in contents)}
    return {name: parts for name, parts in each.items() if parts is not None}


def rows_from_json(contents: Sequence[str]) -> pl.DataFrame:
    """Rows of a list (COLUMNS) from their JSON."""
    rows = [json.loads(text) for text in contents]
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    frame = pl.DataFrame(
        columns, schema={name: pl.String if kind == pl.Date else kind for name, kind in COLUMNS.items()}
    )
    return frame.with_columns(pl.col(name).str.to_date() for name, kind in COLUMNS.items() if kind == pl.Date)


def list_fields(head: Row[Any]) -> dict[str, Any]:
    """Fields of a VisitList from its row of `lists`."""
    return {
        "cycle": head.cycle,
        "as_of": head.as_of,
        "county_code": head.county_code,
        "capacity": head.capacity,
        "settings": ScreeningSettings.model_validate_json(head.settings),
        "notes": tuple((zh, en) for zh, en in json.loads(head.notes)),
        "model_version": head.model_version,
    }


def with_visits(rows: pl.DataFrame, visited: Mapping[str, VisitsFound]) -> pl.DataFrame:
    """Rows of a list with the visits that its making could not know: in words before the notes, and as the
    last visit.
    """
    if not visited:
        return rows
    marks = pl.DataFrame(
        [
            (name, *one.words, one.visited_on if one.met else None, one.outcome)
            for name, one in visited.items()
        ],
        schema={
            "household_id": pl.String,
            "_zh": pl.String,
            "_en": pl.String,
            "_day": pl.Date,
            "_outcome": pl.String,
        },
        orient="row",
    )
    marked = rows.join(marks, on="household_id", how="left", maintain_order="left")
    newer = pl.col("_day").is_not_null() & (
        pl.col("last_visit").is_null() | (pl.col("_day") > pl.col("last_visit"))
    )
    notes = {
        f"notes_{language}": pl.concat_str(
            [pl.col(f"_{language}"), pl.col(f"notes_{language}").replace("", None)],
            separator="\n",
            ignore_nulls=True,
        )
        for language in ("zh", "en")
    }
    kept = {
        name: pl.when(pl.col("_zh").is_null()).then(pl.col(name)).otherwise(text)
        for name, text in notes.items()
    }
    return marked.with_columns(
        **kept,
        last_visit=pl.when(newer).then("_day").otherwise("last_visit"),
        last_outcome=pl.when(newer).then("_outcome").otherwise("last_outcome"),
    ).select(rows.columns)


def marked_list(visit_list: VisitList, visited: Mapping[str, VisitsFound]) -> VisitList:
    """A list that was given out, with the visits that its making could not know; it keeps its name."""
    if not visited:
        return visit_list
    about = {item.name: getattr(visit_list, item.name) for item in fields(visit_list)}
    return StoredList(**about | {"rows": with_visits(visit_list.rows, visited)}, given_out_as=visit_list.hash)


def stored_list(
    engine: Engine, list_hash: str, areas: Sequence[str], *, township: str | None = None
) -> StoredList:
    """The rows of a list within the areas (and in one township), each with what its visits have found since.

    Random checks, the draw and the rules are not in it, nor the notes where the areas do not hold the whole
    county: they count its households.
    """
    with reading(engine) as connection:
        head: Row[Any] = connection.execute(select(lists).where(lists.c.list_hash == list_hash)).one()
        wanted = select(list_rows.c.content).where(
            list_rows.c.list_hash == list_hash, within(list_rows.c.village_code, areas)
        )
        if township:
            wanted = wanted.where(within(list_rows.c.village_code, [township]))
        contents = list(connection.execute(wanted.order_by(list_rows.c.place)).scalars())
        about = list_fields(head)
        window = Window.of(head.county_code, head.cycle, head.as_of, about["settings"])
        visited = visits_found(connection, window, areas)
    if not holds(areas, head.county_code):
        about["notes"] = ()
    rows = with_visits(rows_from_json(contents), visited)
    nothing = pl.DataFrame(
        schema=dict.fromkeys(
            ("household_id", "township_code", "village_code", "lead_kinds", "leads_zh", "leads_en"), pl.String
        )
    )
    visits = rows.filter(pl.col("listed_as") != "standby")
    counts = {kind: int((rows["listed_as"] == kind).sum()) for kind in LISTED_AS}
    counts |= {f"grade_{grade}": int((visits["grade"] == grade).sum()) for grade in GRADES}
    return StoredList(
        **about,
        rows=rows,
        monitored=nothing.with_columns(
            monitored_since=pl.lit(None, pl.Date), last_visit=pl.lit(None, pl.Date)
        ),
        left_out=pl.DataFrame(),
        strata=pl.DataFrame(),
        drawn_from=pl.DataFrame(),
        rules=pl.DataFrame(),
        guide=tuple(tuple(line) for line in json.loads(head.guide or "[]")),
        data_dates={
            name: dt.date.fromisoformat(day) for name, day in json.loads(head.data_dates or "{}").items()
        },
        counts=counts,
        given_out_as=list_hash,
        parts=parts_from_json(contents),
    )
