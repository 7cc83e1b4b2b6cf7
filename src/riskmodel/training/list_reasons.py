"""Which features put the first households of each test date on the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from riskmodel.training.fits import Fit
from riskmodel.training.keyed import in_list_order
from riskmodel.training.learners import Ensemble
from riskmodel.training.samples import Floats, Sample

# Reasons are kept for the first households of each list: this share, or the plan's capacity if that is more.
REASONED_SHARE: Final = 0.05
REASONS: Final = 3


def reasons(fits: Sequence[Fit], tests: Sequence[Sample], capacity: float) -> pl.DataFrame | None:
    """The features that put the first households of each test date on the list, heaviest first.

    household_id, as_of, because (names of up to three features whose part of the margin is above 0). Parts
    are SHAP values for trees and terms for linear models and rules, means over members. None for learners
    whose parts are not known (`boosting`).
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
        named = pl.Series(because, dtype=pl.List(pl.String))
        frames.append(first.select("household_id", pl.col("as_of").cast(pl.Date)).with_columns(because=named))
    return pl.concat(frames)


def parts_of(ensemble: Ensemble, features: Floats) -> Floats | None:
    """Each feature's part of the mean margin, shape (n, p); None where the members do not have them."""
    each = []
    for member in ensemble.members:
        contributions: Any = getattr(member, "contributions", None)
        if contributions is None:
            return None
        each.append(contributions(features)[0])
    return np.asarray(np.mean(each, axis=0))
