"""Chance with a memory: random checks with known inclusion probabilities, and ties broken by a keyed hash."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.settings import Layer


def tie_order(key: str, cycle: str, household_ids: Sequence[str]) -> list[str]:
    """A hash a household, by which equal scores are put in order: HMAC-SHA256 of cycle and id under the
    county's key."""
    return [
        hmac.new(key.encode(), f"{cycle}\0{name}".encode(), hashlib.sha256).hexdigest()
        for name in household_ids
    ]


def chance_of(seed: int, cycle: str, name: str) -> float:
    """A number strictly between 0 and 1 for a name, evenly spread over seeds; the same on every machine and
    in every version of numpy."""
    digest = hashlib.sha256(f"{seed}\0{cycle}\0{name}".encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


@dataclass(frozen=True)
class Draw:
    """A draw of random checks. Arrays have one entry a household of the frame it was drawn from, in the order
    given.

    probability: chance of each household to be drawn, above 0 for all (0 for all if nothing was to be drawn).
    stratum: township and layer as text. drawn: who was drawn.
    """

    probability: npt.NDArray[np.float64]
    stratum: list[str]
    drawn: npt.NDArray[np.bool_]


def draw_checks(
    household_ids: Sequence[str],
    townships: Sequence[str],
    order: npt.NDArray[np.intp],
    visits: int,
    layers: Sequence[Layer],
    *,
    seed: int,
    cycle: str,
) -> Draw:
    """Draw `visits` households by township and score layer, each with a known chance above zero.

    household_ids, townships: one a household, in any order. order: place of each household in the model's
    order (0: highest score among them). A household's chance is proportional to the weight of its layer, and
    never above 1. The draw is systematic over the strata (township, layer), in random order within each: the
    number drawn is exact, and each stratum gets its share to within one visit. Source of the design:
    systematic sampling with unequal probabilities (Madow 1949).
    """
    count = len(household_ids)
    edges = np.cumsum([layer.share for layer in layers])
    layer = np.minimum(np.searchsorted(edges, (order + 0.5) / count), len(layers) - 1)
    stratum = [f"{town}/{place + 1}" for town, place in zip(townships, layer, strict=True)]
    chance = chances(np.array([layers[place].weight for place in layer]), visits)
    numbers = np.array([chance_of(seed, cycle, name) for name in household_ids])
    walk = np.lexsort((np.array(household_ids), numbers, np.array(stratum)))
    reached = np.cumsum(chance[walk])
    start = chance_of(seed, cycle, "")
    # Each whole number passed is a draw. The last sum may miss its whole number by a rounding error: then
    # nothing is lost, because start is strictly between.
    passed = np.floor(reached - start + 1).astype(np.int64)
    drawn = np.zeros(count, dtype=bool)
    drawn[walk[np.diff(passed, prepend=0) > 0]] = True
    return Draw(chance, stratum, drawn)


def chances(weights: npt.NDArray[np.float64], visits: int) -> npt.NDArray[np.float64]:
    """Chances proportional to the weights, at most 1, that add up to `visits`, 0 or more (or to everybody, if
    there are fewer)."""
    if visits >= len(weights):
        return np.ones(len(weights))
    certain = np.zeros(len(weights), dtype=bool)
    while True:
        rest = visits - certain.sum()
        chance = np.where(certain, 1.0, weights * (rest / weights[~certain].sum()))
        over = (chance > 1) & ~certain
        if not over.any():
            return chance
        certain |= over


def strata_of(drawn_from: pl.DataFrame) -> pl.DataFrame:
    """The draw by stratum (township/layer): households, drawn, inclusion_probability of each."""
    counts = {"households": pl.len().cast(pl.Int64), "drawn": pl.col("drawn").cast(pl.Int64).sum()}
    by_stratum = drawn_from.group_by("stratum").agg(
        **counts, inclusion_probability=pl.col("inclusion_probability").first()
    )
    return by_stratum.sort("stratum")
