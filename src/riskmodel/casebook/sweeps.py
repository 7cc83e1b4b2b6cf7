"""Misses of lists as the yearly sweep shows them: where it went to everybody, they are counted, not
estimated.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import polars as pl

from riskmodel.tables import Tables

# A village counts as swept for a list when the sweep saw so many of its households that were not listed; the
# few others are taken to be like them.
SWEPT: Final = 0.9


def count_sweeps(checks: pl.DataFrame, tables: Tables, length: dt.timedelta) -> pl.DataFrame:
    """The table of `Casebook.checks`, with route `sweep` and chance 1 for households outside the list whose
    whole village was swept.

    length: how long after a list's as-of date a sweep speaks about it. In other villages nothing changes: who
    was met there by an unfinished sweep is no random look.
    """
    swept = (
        tables.get("verifications")
        .filter(pl.col("origin").cast(pl.String) == "sweep")
        .with_columns(pl.col("outcome").cast(pl.String))
        .filter(pl.col("outcome").is_in(["risk_confirmed", "no_risk"]))
        .select("household_id", "occurred_on", found=(pl.col("outcome") == "risk_confirmed").cast(pl.Int64))
    )
    newest = (
        tables.get("households").sort("known_on").unique("household_id", keep="last", maintain_order=True)
    )
    villages = newest.select("household_id", "village_code")
    numbered = checks.with_row_index("line")
    inside = (
        numbered.select("line", "household_id", "as_of")
        .join(swept, on="household_id")
        .filter(
            (pl.col("occurred_on") > pl.col("as_of")) & (pl.col("occurred_on") <= pl.col("as_of") + length)
        )
        .sort("line", "occurred_on")
        .unique("line", keep="first", maintain_order=True)
        .select("line", "found")
    )
    outside = pl.col("route") != "listed"
    here = [pl.col("cycle"), pl.col("village_code")]
    frame = (
        numbered.join(inside, on="line", how="left")
        .join(villages, on="household_id", how="left")
        .sort("line")
    )
    share = pl.col("found").is_not_null().cast(pl.Float64).filter(outside).mean().over(here)
    whole = outside & (share >= SWEPT) & pl.col("village_code").is_not_null()
    return frame.with_columns(
        route=pl.when(whole).then(pl.lit("sweep")).otherwise("route"),
        inclusion_probability=pl.when(whole).then(1.0).otherwise("inclusion_probability"),
        label=pl.when(whole).then(pl.coalesce("found", "label")).otherwise("label"),
        stratum=pl.when(whole).then(pl.lit("sweep/") + pl.col("village_code")).otherwise("stratum"),
    ).select(checks.columns)
