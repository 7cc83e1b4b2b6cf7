"""What `POST /v1/scores` takes and answers, for /openapi.json. Strict at every level: no extra keys, no
numbers in quotes, no NaN, no infinity.

The row models are made from the data contract (`tables/schema.py`), as are the types with which a body is
decoded (`row_types.py`).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from riskmodel.tables.schema import ID_LENGTH, ID_PATTERN, TABLES, Column, Table

Id = Annotated[str, Field(max_length=ID_LENGTH, pattern=f"^{ID_PATTERN}$")]


class Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


def _type_of(column: Column) -> Any:
    match column.kind:
        case "id":
            return Id
        case "text" | "codes":
            return Annotated[str, Field(max_length=200, pattern="^[^\\x00-\\x1f\\x7f]+$")]
        case "area":
            return Annotated[
                str, Field(pattern="^(?:" + "|".join(f"[0-9]{{{digits}}}" for digits in column.digits) + ")$")
            ]
        case "date":
            return dt.date
        case "money" | "number":
            return Annotated[float, Field(ge=column.at_least, le=column.at_most)]
        case "integer":
            assert column.at_least is not None and column.at_most is not None
            return Annotated[int, Field(ge=int(column.at_least), le=int(column.at_most))]
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
        described = (
            Field(description=column.zh, default=None) if column.optional else Field(description=column.zh)
        )
        fields[column.name] = (kind | None if column.optional else kind, described)
    name = "".join(part.title() for part in table.name.split("_")) + "Row"
    return create_model(name, __base__=Message, **fields)


def _tables_model() -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for table in TABLES.values():
        if table.form == "values":  # policy values are the county's, not the caller's
            continue
        needed = table.name in {"households", "members"}
        rows: Any = Annotated[list[row_model(table)], Field(min_length=1 if needed else 0)]  # type: ignore[misc]
        fields[table.name] = (
            (rows, Field(description=table.zh))
            if needed
            else (rows | None, Field(default=None, description=table.zh))
        )
    return create_model("HouseholdTables", __base__=Message, **fields)


HouseholdTables = _tables_model()


class ScoresRequest(Message):
    """Households, and the day as of which they are scored: their rows (`tables`), or ids of households that
    were scored in a batch run.

    In `tables`, a table that is left out is unknown; an empty list: the department has no row for these
    households. At most 1,000 households, and 10,000 rows (400 a household where that is more).
    """

    as_of: dt.date = Field(description="nothing known later is used", examples=["2025-12-31"])
    horizon_months: Literal[3, 6, 12] = 12
    idempotency_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")] | None = Field(
        default=None,
        description=(
            "comes back in the answer and is in the audit; asking again is harmless, the answer is the same"
        ),
    )
    tables: HouseholdTables | None = None  # type: ignore[valid-type]
    household_ids: Annotated[list[Id], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> ScoresRequest:
        if (self.tables is None) == (self.household_ids is None):
            raise ValueError("give either `tables` or `household_ids`")
        return self


class JobRequest(Message):
    """Households to be scored as a job, by their rows, as in `ScoresRequest`: at most 20,000."""

    as_of: dt.date = Field(description="the day of the release in force", examples=["2025-12-31"])
    horizon_months: Literal[3, 6, 12] = 12
    idempotency_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")] | None = Field(
        default=None, description="the same request sent again gets the same job, until it expires"
    )
    tables: HouseholdTables  # type: ignore[valid-type]


class ReasonShape(Message):
    """One reason in words."""

    zh: str
    en: str
    risk_kind: str
    raises: bool = Field(description="true: raises the risk; false: lowers it")


class HouseholdScore(Message):
    """A priority signal for verification, and no statement of what anybody is or gets."""

    household_id: str
    probability: float = Field(
        description="of a confirmed risk within the horizon, given the help in place; calibrated"
    )
    low: float | None = Field(description="10 % of the ensemble members are below: model instability")
    high: float | None = Field(description="10 % of the ensemble members are above")
    margin: float | None = Field(
        description="raw margin, by which lists are ordered; null for a stored score"
    )
    risk_kinds: list[str]
    reasons: list[ReasonShape]
    notes_zh: str = Field(description="gaps and stale records in the data, empty when there are none")
    notes_en: str
    feature_hash: str | None = Field(
        description="hash of the feature vector: the same bytes as in a batch run"
    )
