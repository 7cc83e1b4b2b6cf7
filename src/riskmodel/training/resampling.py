"""Village-cluster bootstrap: whole villages are resampled, since outcomes of neighbours are correlated.

A draw is a count for every village (how often it was drawn), not a new table. Rows are sorted once; every
statistic is then a weighted sum over the same order. Two models that are judged with the same seed on the
same villages get the same draws: their differences are paired.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from riskmodel.compiled import kept

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
# An interval from a handful of draws means nothing: at least this share of them must have a value.
USABLE_DRAWS = 0.8
# The log scale needs figures above 0; a stray draw without a hit is left out there, and counts in the
# percentiles.
POSITIVE_DRAWS = 0.99
MIN_VILLAGES = 2

# What `ranked_sums` gives for every draw and date, before the capacities.
PAIRS, POSITIVES, NEGATIVES, AVERAGE_PRECISION, TOTAL = range(5)
HEAD = 5
# What it gives for every draw, date and capacity.
LISTED, HITS, LABELLED, EXPECTED, HITS_BEST, LABELLED_BEST, HITS_WORST, LABELLED_WORST = range(8)
PER_CAPACITY = 8


def village_weights(villages: int, draws: int, seed: int) -> Floats:
    """Counts of each village in each draw, shape (draws + 1, villages). Row 0 is the county as it is: every
    village once.

    Each draw takes as many villages as there are, with replacement. Source: Field and Welsh, "Bootstrapping
    clustered data", J. R. Statist. Soc. B 69 (2007), the cluster bootstrap.
    """
    chance = np.random.default_rng(seed)
    weights = np.ones((draws + 1, villages))
    if villages and draws:
        weights[1:] = chance.multinomial(villages, np.full(villages, 1 / villages), size=draws)
    return weights


def ratio(over: Floats, under: Floats) -> Floats:
    """over / under, NaN where there is nothing to divide by."""
    result: Floats = np.full(np.broadcast(over, under).shape, np.nan)
    np.divide(over, under, out=result, where=under > 0)
    return result


def wilson(share: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a share of independent trials, also when it is 0 or 1. NaN without trials.

    Source: Wilson, "Probable inference", J. Am. Stat. Assoc. 22 (1927).
    """
    from scipy.special import ndtri

    if not trials > 0 or not np.isfinite(share):
        return float("nan"), float("nan")
    reach = float(ndtri((1 + level) / 2)) ** 2 / trials
    middle = (share + reach / 2) / (1 + reach)
    half = np.sqrt(share * (1 - share) * reach + reach * reach / 4) / (1 + reach)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def interval(
    draws: npt.ArrayLike,
    *,
    villages: int,
    value: float | None = None,
    most: float = np.inf,
    trials: float = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Low and high end of the bootstrap interval. NaN when fewer than 80 % of the draws have a value, or
    there are none.

    The percentile interval, expanded for the number of villages: Hesterberg, "What teachers should know about
    the bootstrap", Am. Stat. 69 (2015). For a figure that cannot be negative give its `value`: each end is
    then the farther one of the percentile interval and of the t interval on the log scale, because with few
    confirmations the percentile interval alone ends too low (at a capacity that reaches ten of them, 6 % of
    the truths were above it instead of 2.5 %; `benchmarks/evaluation.py coverage`). `most` is the largest the
    figure can be. A share whose draws are all equal (no hit at all) gets the Wilson interval of its `trials`.
    """
    from scipy.special import ndtr, stdtrit

    drawn = np.asarray(draws, dtype=np.float64)
    usable = drawn[np.isfinite(drawn)]
    if villages < MIN_VILLAGES or not len(drawn) or len(usable) < USABLE_DRAWS * len(drawn):
        return float("nan"), float("nan")
    factor = float(stdtrit(villages - 1, (1 + level) / 2))
    outside = float(ndtr(-factor * np.sqrt(villages / (villages - 1))))
    low, high = (float(end) for end in np.quantile(usable, [outside, 1 - outside]))
    if low == high and trials and value is not None:
        return wilson(value, trials, level)
    positive = usable[usable > 0]
    if value is not None and value > 0 and len(positive) >= POSITIVE_DRAWS * len(usable):
        reach = float(np.exp(factor * np.log(positive).std(ddof=1)))
        low, high = min(low, value / reach), min(most, max(high, value * reach))
    return low, high


@kept
@numba.njit(nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def ranked_sums(
    starts: npt.NDArray[np.int64],
    village: npt.NDArray[np.int32],
    label: npt.NDArray[np.int8],
    probability: Floats,
    ends_tie: npt.NDArray[np.bool_],
    weights: Floats,
    shares: Floats,
    order: npt.NDArray[np.int64],
) -> Floats:
    """Weighted counts along the order of the list, shape (draws, dates, 5 + 8 × capacities).

    Rows are sorted by date, then by margin, highest first. starts: (dates + 1,) first row of each date.
    label: 1, 0 or -1 (unlabelled). ends_tie: True on the last row of each group of equal margins. weights:
    (draws, villages). shares: (dates, capacities), the part of the date's households that is visited; order:
    (dates, capacities), the capacities from small to large.

    A cut inside a group of equal margins takes its share of the group (expected), and the luckiest and
    unluckiest choice beside it.
    """
    draws, dates, capacities = weights.shape[0], starts.shape[0] - 1, shares.shape[1]
    out = np.zeros((draws, dates, 5 + 8 * capacities))
    for date in range(dates):
        first, behind = starts[date], starts[date + 1]
        for draw in range(draws):
            weight_of = weights[draw]
            result = out[draw, date]
            total = 0.0
            for row in range(first, behind):
                total += weight_of[village[row]]
            listed = hits = clear = expected = 0.0
            pairs = average = 0.0
            tie_all = tie_hits = tie_clear = tie_expected = 0.0
            place = 0
            cut = shares[date, order[date, 0]] * total if capacities else np.inf
            for row in range(first, behind):
                weight = weight_of[village[row]]
                if weight > 0.0:
                    tie_all += weight
                    if label[row] == 1:
                        tie_hits += weight
                        tie_expected += weight * probability[row]
                    elif label[row] == 0:
                        tie_clear += weight
                        tie_expected += weight * probability[row]
                if not ends_tie[row] or tie_all == 0.0:
                    continue
                while place < capacities and cut <= listed + tie_all:
                    slots = cut - listed
                    part = slots / tie_all
                    tie_open = tie_all - tie_hits - tie_clear
                    at = 5 + 8 * order[date, place]
                    result[at] = cut
                    result[at + 1] = hits + part * tie_hits
                    result[at + 2] = hits + clear + part * (tie_hits + tie_clear)
                    result[at + 3] = expected + part * tie_expected
                    lucky = min(tie_hits, slots)
                    result[at + 4] = hits + lucky
                    result[at + 5] = hits + clear + slots - min(tie_open, slots - lucky)
                    unlucky_clear = min(tie_clear, slots)
                    unlucky = max(0.0, slots - tie_clear - tie_open)
                    result[at + 6] = hits + unlucky
                    result[at + 7] = hits + clear + unlucky_clear + unlucky
                    place += 1
                    cut = shares[date, order[date, place]] * total if place < capacities else np.inf
                pairs += tie_clear * (hits + 0.5 * tie_hits)
                listed += tie_all
                hits += tie_hits
                clear += tie_clear
                expected += tie_expected
                if tie_hits > 0.0:
                    average += tie_hits * hits / (hits + clear)
                tie_all = tie_hits = tie_clear = tie_expected = 0.0
            # A capacity that takes everybody may miss the last household by rounding.
            for late in range(place, capacities):
                at = 5 + 8 * order[date, late]
                result[at] = listed
                result[at + 1] = result[at + 4] = result[at + 6] = hits
                result[at + 2] = result[at + 5] = result[at + 7] = hits + clear
                result[at + 3] = expected
            result[0], result[1], result[2], result[3], result[4] = pairs, hits, clear, average, total
    return out
