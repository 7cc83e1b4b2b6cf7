"""Fast path: Tables from a few valid records (a request to the service), in milliseconds.

Nothing is refused here. Whatever is not certainly valid (another form of a date, an id that needs a closer
check, a duplicate, a text that might hold an identity) is left to the full checks, which accept it or report
the faults. Both paths give the same Tables; the tests compare them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

from riskmodel.tables.across import may_contradict
from riskmodel.tables.county import Tables, canonical_order, dtype_of, version_key
from riskmodel.tables.schema import FIRST_DAY, LAST_DAY, TABLES, Column, Table, is_id

FEW = 5_000
MAYBE_IDENTITY = re.compile(r"1[3-9]\d{9}|\d{17}[\dXx]")
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
        if may_contradict(rows):
            return None
        return Tables(
            {name: _frame(TABLES[name], some) for name, some in rows.items()}, dict.fromkeys(rows, "")
        )
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
    """Raise NotPlain for a row that breaks a rule of the contract between its columns."""
    in_order = all(row[first] <= row[second] for first, second in table.in_order)
    nested = all(row[inner].startswith(row[outer]) for outer, inner in table.nested)
    if not (in_order and nested) or (table.one_of and all(row[name] is None for name in table.one_of)):
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
        rows.sort(
            key=lambda row: [
                (row[name] is None, row[name] if row[name] is not None else "") for name in order
            ]
        )
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
    return {column.name: _parser(column) for column in TABLES[name].columns}


def _parser(column: Column) -> Callable[[Any], Any]:
    """A function that gives the value in its canonical type, or raises NotPlain."""
    kind, optional = column.kind, column.optional
    order = list(column.codes or ())
    least, most = column.at_least or 0, column.at_most or 0

    def read(value: Any) -> Any:
        if value is None:
            if optional:
                return None
            raise NotPlain
        right: object
        match kind:
            case "id":
                right = type(value) is str and is_id(value) and not MAYBE_IDENTITY.fullmatch(value)
            case "area":
                right = (
                    type(value) is str and value.isascii() and value.isdigit() and len(value) in column.digits
                )
            case "date":
                if type(value) is str and _ISO.fullmatch(value):
                    value = dt.date.fromisoformat(value)
                right = type(value) is dt.date and FIRST_DAY <= value <= LAST_DAY
            case "money" | "number":
                value = float(value) + 0.0 if type(value) in (int, float) else None
                right = value is not None and least <= value <= most
            case "integer":
                right = type(value) is int and least <= value <= most
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
