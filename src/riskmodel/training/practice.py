"""What a run's lists would have meant in practice: when they reached those whom current practice confirmed, and why a household stands on them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from riskmodel.training.keyed import in_list_order
from riskmodel.training.learners import Ensemble
from riskmodel.training.samples import Floats, Sample, Workbench

if TYPE_CHECKING:
    from riskmodel.training.fits import Fit

# Reasons are kept for the first households of each list: this share, or the plan's capacity if that is more.
REASONED_SHARE: Final = 0.05
REASONS: Final = 3


@dataclass(frozen=True)
class Practice:
    """What happened without the lists. confirmations: household_id, confirmed_on, each confirmation after a test date of a household that was
    scored then. rules: household_id, as_of of the households on which a department rule had struck by a test date."""

    confirmations: pl.DataFrame
    rules: pl.DataFrame

    def write(self, folder: Path) -> None:
        """Two Parquet files."""
        self.confirmations.write_parquet(folder / "confirmations.parquet")
        self.rules.write_parquet(folder / "rule_hits.parquet")


def practice_of(bench: Workbench, days: Sequence[dt.date], horizon_months: int, until: dt.date) -> Practice:
    """Confirmations within the horizon of the test dates, and department rules met on them, as known on `until` and on the dates."""
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
    return Practice(
        confirmed.sort("confirmed_on", "household_id"), pl.concat(struck).sort("as_of", "household_id")
    )


def reasons(fits: Sequence[Fit], tests: Sequence[Sample], capacity: float) -> pl.DataFrame | None:
    """The features that put the first households of each test date there, heaviest first.

    household_id, as_of, because (names of up to three features whose part of the margin is above 0). Parts are SHAP values for trees and
    terms for linear models and rules, means over members. None for learners that cannot tell parts (`boosting`, `external`).
    """
    frames = []
    for fit, test in zip(fits, tests, strict=True):
        order = pl.DataFrame(
            {
                "household_id": test.household_id.tolist(),
                "as_of": test.as_of.tolist(),
                "margin": fit.margin(test.features),
            }
        ).with_row_index("row")
        first = in_list_order(order).with_columns(size=pl.len().over("as_of"))
        wanted = pl.col("size") * max(REASONED_SHARE, capacity if capacity < 1 else 0.0)
        first = first.filter(
            pl.col("rank") <= pl.max_horizontal(wanted, pl.lit(capacity if capacity >= 1 else 0))
        )
        parts = parts_of(fit.ensemble, test.features[first["row"].to_numpy()])
        if parts is None:
            return None
        heaviest = np.argsort(-parts, axis=1, kind="stable")[:, :REASONS]
        because = [
            [test.names[place] for place in places if part[place] > 0]
            for places, part in zip(heaviest, parts, strict=True)
        ]
        told = pl.Series(because, dtype=pl.List(pl.String))
        frames.append(first.select("household_id", pl.col("as_of").cast(pl.Date)).with_columns(because=told))
    return pl.concat(frames)


def parts_of(ensemble: Ensemble, features: Floats) -> Floats | None:
    """Each feature's part of the mean margin, shape (n, p); None where the members cannot tell."""
    each = []
    for member in ensemble.members:
        tell: Any = getattr(member, "contributions", None)
        if tell is None:
            return None
        each.append(tell(features)[0])
    return np.asarray(np.mean(each, axis=0))
