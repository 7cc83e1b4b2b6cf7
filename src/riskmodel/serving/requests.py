"""A scoring request for households of a data folder: what the case system would send, to try the service or
to check that it agrees.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.tables import Tables
from riskmodel.tables.schema import TABLES


def scores_request(
    tables: Tables, household_ids: Sequence[str], as_of: dt.date, horizon_months: int = 12
) -> dict[str, Any]:
    """The body of `POST /v1/scores`, ready for JSON: every row of the households known by the day, and of
    everybody who was ever a member.

    A table that the county has is a list, though it may be empty: it is known that there is no row. Raises
    DataError with every unknown household.
    """
    ours = tables.of_households(list(household_ids))
    versions = ours["households"].filter(pl.col("known_on") <= as_of)
    there = set(versions["household_id"].to_list())
    missing = [name for name in household_ids if name not in there]
    if missing:
        raise DataError(
            Fault(
                f"household {name}",
                f"not known on {as_of}",
                "a household of these tables",
                "Check the id and the date.",
            )
            for name in missing
        )
    villages = versions["village_code"].unique().to_list()
    body: dict[str, Any] = {}
    for name, frame in ours.frames.items():
        if TABLES[name].form == "values":
            continue
        known = frame.filter(pl.col("known_on") <= as_of).drop("replaced_on")
        if (
            name == "shocks"
        ):  # area events come for the whole county: keep those that reach one of the households
            reaches = pl.any_horizontal(
                [pl.lit(village).str.starts_with(pl.col("area_code")) for village in villages]
            )
            known = known.filter(
                pl.col("household_id").is_in(list(household_ids)).fill_null(False) | reaches.fill_null(False)
            )
        body[name] = [
            {column: _plain(value) for column, value in row.items() if value is not None}
            for row in known.to_dicts()
        ]
    return {"as_of": as_of.isoformat(), "horizon_months": horizon_months, "tables": body}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value
