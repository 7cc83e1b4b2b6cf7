"""What happened without the lists: who was confirmed after a test date, and which department rules had been
met by then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from riskmodel.training.samples import Workbench

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class CurrentOutcomes:
    """What happened without the lists. confirmations: household_id, confirmed_on, each confirmation after a
    test date of a household that was scored then. rules: household_id, as_of of the households on which a
    department rule had struck by a test date.
    """

    confirmations: pl.DataFrame
    rules: pl.DataFrame

    def write(self, folder: Path) -> None:
        """Two Parquet files."""
        self.confirmations.write_parquet(folder / "confirmations.parquet")
        self.rules.write_parquet(folder / "rule_hits.parquet")


def current_outcomes(
    bench: Workbench, days: Sequence[dt.date], horizon_months: int, until: dt.date
) -> CurrentOutcomes:
    """Confirmations within the horizon of the test dates, and department rules met on them, as known on
    `until` and on the dates.
    """
    from riskmodel.training.lists import rule_hits

    outcomes = [bench.labels(day, horizon_months, until).filter(pl.col("label") == 1) for day in days]
    confirmed = pl.concat(
        [frame.select("household_id", confirmed_on="first_confirmed_on") for frame in outcomes]
    ).unique()
    flags = [name for name in bench.catalogue.with_status("rule") if bench.catalogue[name].unit == "flag"]
    struck = []
    for day in days:
        matrix = bench.features(day).select(flags)
        table = pl.DataFrame(matrix.values, schema=flags).with_columns(
            household_id=pl.Series(matrix.household_id.tolist())
        )
        struck.append(rule_hits(table, flags, as_of=day))
    return CurrentOutcomes(
        confirmed.sort("confirmed_on", "household_id"), pl.concat(struck).sort("as_of", "household_id")
    )
