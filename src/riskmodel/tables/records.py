"""Few records that are right in every respect become Tables without the machinery for files: a household's request takes milliseconds.

Nothing is decided here. Whatever is not plainly right (another form of a date, an id that needs a closer look, a duplicate, a text that might
hold an identity) is left to the full checks, which accept it or say what is wrong. Both ways give the same Tables; the tests compare them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

from riskmodel.tables.county import Tables, canonical_order, dtype_of, version_key
from riskmodel.tables.schema import TABLES, Column, Table
from riskmodel.tables.values import YEARS, area_lengths

FEW = 5_000
_PLAIN_ID = re.compile(r"(?!\d+[eE]\d+$)(?!(?:.{11}|.{18})$)[A-Za-z0-9_-]+|(?=.*[A-DF-WYZa-df-wyz_-])[A-Za-z0-9_-]+")
_PLAIN_TEXT = re.compile(r"(?!.*\d{11})(?=\S)[ -~]{0,39}[!-~]")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")


class NotPlain(Exception):
    """These records need the full checks."""


def plain_tables(records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Tables | None:
    """Tables of records that are plainly right; None where the full checks have to look."""
    if not {"households", "members"} <= set(records) or sum(map(len, records.values())) > FEW:
        return None
    try:
        rows = {name: _rows(TABLES[name], some) for name, some in records.items()}
        _owners(rows)
        return Tables({name: _frame(TABLES[name], some) for name, some in rows.items()}, dict.fromkeys(rows, ""))
    except (NotPlain, KeyError, TypeError, ValueError):
        return None


def _rows(table: Table, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    parse = _parsers(table.name)
    if not records and table.required:
        raise NotPlain
    version = version_key(table)
    seen = set()
    rows = []
    for record in records:
        if not record.keys() <= parse.keys():
            raise NotPlain
        row = {name: read(record.get(name)) for name, read in parse.items()}
        _row_is_right(table, row)
        key = tuple(row[name] for name in version)
        if key in seen:
            raise NotPlain
        seen.add(key)
        rows.append(row)
    return rows


def _row_is_right(table: Table, row: Mapping[str, Any]) -> None:
    wrong = table.form == "event" and not table.announced and row["known_on"] < row["occurred_on"]
    if table.name == "members":
        wrong = row["birth_date"] > row["known_on"]
    elif table.name == "households":
        nested = row["township_code"].startswith(row["county_code"]) and row["village_code"].startswith(row["township_code"])
        wrong = not nested
    elif table.name == "shocks":
        wrong = row["household_id"] is None and row["area_code"] is None
    if wrong:
        raise NotPlain


def _owners(rows: Mapping[str, list[dict[str, Any]]]) -> None:
    homes = {row["household_id"] for row in rows["households"]} | {None}
    people = {row["member_id"] for row in rows["members"]} | {None}
    for some in rows.values():
        for row in some:
            if row.get("household_id") not in homes or row.get("member_id") not in people:
                raise NotPlain


def _frame(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = _schema(table.name)
    if table.form == "values":
        rows.sort(key=lambda row: [row[name] for name in version_key(table)])
    else:
        later: dict[str, dt.date] = {}
        for row in sorted(rows, key=lambda row: row["known_on"], reverse=True):
            row["replaced_on"] = later.get(row[table.key])
            later[row[table.key]] = row["known_on"]
        order = canonical_order(table)
        rows.sort(key=lambda row: [(row[name] is None, row[name] if row[name] is not None else "") for name in order])
    return pl.DataFrame({name: [row[name] for row in rows] for name in schema}, schema=schema)


@cache
def _schema(name: str) -> pl.Schema:
    table = TABLES[name]
    schema = pl.Schema({column.name: dtype_of(column) for column in table.columns})
    if table.form != "values":
        schema["replaced_on"] = pl.Date()
    return schema


@cache
def _parsers(name: str) -> dict[str, Callable[[Any], Any]]:
    return {column.name: _parser(column, name) for column in TABLES[name].columns}


def _parser(column: Column, table: str) -> Callable[[Any], Any]:
    """A function that gives the value in its canonical type, or raises NotPlain."""
    kind, optional = column.kind, column.optional
    lengths = area_lengths(column, table) if kind == "area" else ()
    order = list(column.codes or ())

    def read(value: Any) -> Any:
        if value is None:
            if optional:
                return None
            raise NotPlain
        right: object
        match kind:
            case "id":
                right = type(value) is str and _PLAIN_ID.fullmatch(value)
            case "area":
                right = type(value) is str and value.isascii() and value.isdigit() and len(value) in lengths
            case "date":
                if type(value) is str and _ISO.fullmatch(value):
                    value = dt.date.fromisoformat(value)
                right = type(value) is dt.date and YEARS[0] <= value.year <= YEARS[1]
            case "money" | "number":
                value = float(value) + 0.0 if type(value) in (int, float) else None
                right = value is not None and 0 <= value < float("inf")
            case "integer":
                right = type(value) is int and 0 <= value < 2**31 and (column.name != "level" or 1 <= value <= 4)
            case "boolean":
                right = type(value) is bool
            case "code":
                right = type(value) is str and value in order
            case "codes":
                parts = value.split(";") if type(value) is str else []
                right = bool(parts) and all(part in order for part in parts)
                right = right and parts == sorted(set(parts), key=order.index)
            case _:
                right = type(value) is str and _PLAIN_TEXT.fullmatch(value)
        if not right:
            raise NotPlain
        return value

    return read
