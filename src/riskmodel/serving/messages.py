"""What the API takes and answers. Strict at every level: no extra keys, no numbers in quotes, no NaN, no infinity.

The row models are made from the data contract (`tables/schema.py`), so that a column is written down once.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from riskmodel.tables.schema import TABLES, Column, Table
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


def _type_of(column: Column) -> Any:
    match column.kind:
        case "id" | "text" | "codes":
            return Annotated[str, Field(min_length=1, max_length=200)]
        case "area":
            return Annotated[str, Field(pattern=r"^\d{6}(\d{3}(\d{3})?)?$")]
        case "date":
            return dt.date
        case "money" | "number":
            return Annotated[float, Field(ge=0, le=1e10)]
        case "integer":
            return Annotated[int, Field(ge=0, le=100_000)]
        case "boolean":
            return bool
        case "code":
            assert column.codes is not None
            return Literal[tuple(column.codes)]


def row_model(table: Table) -> type[BaseModel]:
    """The model of one row of a table: required columns have a value, optional ones may be null or absent."""
    fields: dict[str, Any] = {}
    for column in table.columns:
        kind = _type_of(column)
        described = Field(description=column.zh, default=None) if column.optional else Field(description=column.zh)
        fields[column.name] = (kind | None if column.optional else kind, described)
    name = "".join(part.title() for part in table.name.split("_")) + "Row"
    return create_model(name, __base__=Strict, **fields)


def _tables_model() -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for table in TABLES.values():
        if table.form == "values":  # policy values are the county's, not the caller's
            continue
        rows = Annotated[list[row_model(table)], Field(max_length=10_000)]  # type: ignore[misc, valid-type]
        needed = table.name in {"households", "members"}
        fields[table.name] = (
            (rows, Field(description=table.zh)) if needed else (rows | None, Field(default=None, description=table.zh))
        )
    return create_model("HouseholdTables", __base__=Strict, **fields)


HouseholdTables = _tables_model()


class ScoreRequest(Strict):
    """One household's rows, as the departments hold them, and the day as of which it is scored.

    A table that is left out is unknown; an empty list says that the department has no row for this household.
    """

    as_of: dt.date = Field(description="nothing known later is used", examples=["2025-12-31"])
    horizon_months: Literal[3, 6, 12] = 12
    tables: HouseholdTables  # type: ignore[valid-type]


class Reason(Strict):
    """One reason in words."""

    zh: str
    en: str
    risk_kind: str
    raises: bool = Field(description="true: raises the risk; false: lowers it")


class ScoreAnswer(Strict):
    """A priority signal for verification. It says nothing about what anybody is or gets."""

    household_id: str
    as_of: dt.date
    horizon_months: int
    probability: float = Field(description="of a confirmed risk within the horizon, given the help in place; calibrated")
    low: float = Field(description="10 % of the ensemble members lie below: model instability")
    high: float = Field(description="10 % of the ensemble members lie above")
    margin: float = Field(description="raw margin, by which lists are ordered")
    risk_kinds: list[str]
    reasons: list[Reason]
    notes_zh: str = Field(description="gaps and stale records in the data, empty when there are none")
    notes_en: str
    model_version: str
    feature_hash: str = Field(description="hash of the feature vector: the same bytes as in a batch run")
    context_as_of: dt.date = Field(description="day of the area figures and comparisons that the release carries")
    signal_not_determination: Literal[True] = True
    signal_zh: Literal["核实优先级信号，非认定结论"] = SIGNAL_ZH
    signal_en: str = SIGNAL_EN


class Problem(BaseModel):
    """RFC 9457 problem details: one shape for every refusal, all faults at once."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    faults: list[dict[str, str]] = []
