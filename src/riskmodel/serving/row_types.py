"""What a scoring request is decoded into: one msgspec type for each table, made from the data contract
(`tables/schema.py`).

Decoding checks the types, the bounds of numbers, codes and area codes, and refuses unknown keys. What rows
must satisfy together, and the
rules for ids and texts, are checked afterwards on whole columns (`layout.py`).
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from riskmodel.tables.schema import TABLES, Column, Table

HOUSEHOLDS_AT_MOST: Final = 1_000
ROWS_AT_MOST: Final = 10_000  # of a request; more where it is of many households
ROWS_A_HOUSEHOLD: Final = 400
TEXT_AT_MOST: Final = 200
READ: Final = tuple(name for name, table in TABLES.items() if table.form != "values")
KEY_PATTERN: Final = r"^[A-Za-z0-9_-]{8,64}$"

ABSENT: Final = float("nan")  # what an optional column holds where its key did not come; compare by identity

Text = Annotated[str, Meta(min_length=1, max_length=TEXT_AT_MOST)]


class Code(float, enum.Enum):
    """A code of the contract. It is decoded from its text; as a number it is its position among the codes
    of its column."""

    def __new__(cls, text: str, position: int) -> Code:
        code = float.__new__(cls, position)
        code._value_ = text
        return code


def value_type(column: Column) -> Any:
    """The type of one value of a column, as msgspec checks it."""
    match column.kind:
        case "id" | "text" | "codes":
            return Text
        case "area":
            lengths = "|".join(f"[0-9]{{{digits}}}" for digits in column.digits)
            return Annotated[str, Meta(pattern=f"^(?:{lengths})$", max_length=max(column.digits))]
        case "date":
            return dt.date
        case "money" | "number":
            return Annotated[float, Meta(ge=column.at_least, le=column.at_most)]
        case "integer":
            assert column.at_least is not None and column.at_most is not None
            return Annotated[int, Meta(ge=int(column.at_least), le=int(column.at_most))]
        case "boolean":
            return bool
        case "code":
            assert column.codes is not None
            named = [(f"code_{place}", (code, place)) for place, code in enumerate(column.codes)]
            return Code(column.name, named)  # type: ignore[arg-type]  # the functional form


VALUES: Final[Mapping[str, Mapping[str, Any]]] = {
    name: {column.name: value_type(column) for column in TABLES[name].columns} for name in READ
}


def _row_type(table: Table) -> type[Struct]:
    """One row: required columns have a value, optional ones may be null (None) or absent (ABSENT)."""
    fields: list[Any] = []
    for column in table.columns:
        kind = VALUES[table.name][column.name]
        fields.append((column.name, kind | None, ABSENT) if column.optional else (column.name, kind))
    name = "".join(part.title() for part in table.name.split("_")) + "Row"
    # gc=False: rows refer to no other rows, so the garbage collector need not walk through thousands of them
    return defstruct(name, fields, kw_only=True, forbid_unknown_fields=True, gc=False)


ROW_TYPES: Final[Mapping[str, type[Struct]]] = {name: _row_type(TABLES[name]) for name in READ}


def _tables_type() -> type[Struct]:
    fields: list[Any] = []
    for name, row in ROW_TYPES.items():
        if TABLES[name].required:
            fields.append((name, Annotated[list[row], Meta(min_length=1)]))  # type: ignore[valid-type]
        else:
            fields.append((name, list[row] | None | UnsetType, UNSET))  # type: ignore[valid-type]
    return defstruct("TablesOfRequest", fields, kw_only=True, forbid_unknown_fields=True, gc=False)


TablesOfRequest: Final = _tables_type()


class RequestBody(Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The body of `POST /v1/scores`, decoded. tables: rows by table; household_ids: households that were
    scored in a batch run."""

    as_of: dt.date
    horizon_months: Literal[3, 6, 12] | UnsetType = UNSET
    idempotency_key: Annotated[str, Meta(pattern=KEY_PATTERN)] | UnsetType | None = UNSET
    tables: TablesOfRequest | UnsetType | None = UNSET  # type: ignore[valid-type]
    household_ids: Annotated[list[Text], Meta(min_length=1)] | UnsetType | None = UNSET


FIELDS: Final[Mapping[str, Any]] = {
    "as_of": dt.date,
    "horizon_months": Literal[3, 6, 12],
    "idempotency_key": Annotated[str, Meta(pattern=KEY_PATTERN)],
}
DECODER: Final = msgspec.json.Decoder(RequestBody)


def rows_at_most(households: int) -> int:
    """How many rows a request of so many households may hold."""
    return max(ROWS_AT_MOST, ROWS_A_HOUSEHOLD * households)
