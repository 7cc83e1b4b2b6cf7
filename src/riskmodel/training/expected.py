"""Expected performance before outcomes are known, from calibrated probabilities alone.

Confidence-based performance estimation (CBPE), as published by NannyML ("Performance estimation: how it
works"): if the probabilities are calibrated, each household is a true positive with its probability, and
every count of a confusion table has an expectation. It cannot detect concept drift: when the relation
between features and outcome changes, the estimate is wrong and nothing shows it. Compare it with what visits
and random checks find.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskmodel.errors import DataError, Fault
from riskmodel.training.resampling import Floats


@dataclass(frozen=True)
class ExpectedPerformance:
    """Expected figures of one list. confirmed: expected confirmations on it; recall: its share of those
    expected in the whole cohort.

    confirmed_low and confirmed_high: 95 % range of the count if outcomes were independent; outcomes of
    neighbours are correlated, so the true range is wider.
    """

    visits: int
    confirmed: float
    confirmed_low: float
    confirmed_high: float
    precision: float
    recall: float
    auc: float
    brier: float


def expected_performance(
    probability: npt.ArrayLike, margin: npt.ArrayLike, *, visits: int
) -> ExpectedPerformance:
    """Expected confirmations, precision, recall, AUC and Brier of the first `visits` households by margin.

    probability: calibrated, (n,), between 0 and 1; margin: (n,), the order of the list (higher first). Equal
    margins at the cut count with their share. Raises DataError for values that are no probabilities or
    lengths that do not fit.
    """
    chance, order = np.asarray(probability, dtype=np.float64), np.asarray(margin, dtype=np.float64)
    if (
        chance.shape != order.shape
        or not len(chance)
        or not ((chance >= 0) & (chance <= 1)).all()
        or visits < 1
    ):
        raise DataError(
            Fault(
                "probability",
                f"{chance.shape} probabilities, {order.shape} margins, {visits} visits",
                "as many calibrated probabilities between 0 and 1 as margins, and at least one visit",
                "Score the cohort first.",
            )
        )
    listed = _on_list(order, visits)
    confirmed, total = float(chance @ listed), float(chance.sum())
    spread = float(np.sqrt((chance * (1 - chance) * listed).sum()))
    return ExpectedPerformance(
        visits=min(visits, len(chance)),
        confirmed=confirmed,
        confirmed_low=max(0.0, confirmed - 1.96 * spread),
        confirmed_high=confirmed + 1.96 * spread,
        precision=confirmed / float(listed.sum()),
        recall=confirmed / total if total > 0 else float("nan"),
        auc=expected_auc(chance, order),
        brier=float((chance * (1 - chance)).mean()),
    )


def expected_confusion(probability: npt.ArrayLike, listed: npt.ArrayLike) -> dict[str, float]:
    """Expected counts of the confusion table: true and false positives, true and false negatives.

    probability: (n,), calibrated. listed: (n,), 1 for a household on the list, 0 for one that is not; a
    fraction where equal margins share a place.

    The published formula: a listed household adds p to the true and 1 − p to the false positives, one not
    listed p to the false and 1 − p to the true negatives.
    """
    chance, place = np.asarray(probability, dtype=np.float64), np.asarray(listed, dtype=np.float64)
    return {
        "true_positive": float((place * chance).sum()),
        "false_positive": float((place * (1 - chance)).sum()),
        "false_negative": float(((1 - place) * chance).sum()),
        "true_negative": float(((1 - place) * (1 - chance)).sum()),
    }


def expected_auc(probability: npt.ArrayLike, margin: npt.ArrayLike) -> float:
    """Expected ROC AUC: area under the curve of expected true against expected false positive rates over
    every cut.

    probability, margin: (n,); margins give the order. NaN when the probabilities are all 0 or all 1.
    """
    chance, order = np.asarray(probability, dtype=np.float64), np.asarray(margin, dtype=np.float64)
    _, group = np.unique(-order, return_inverse=True)
    hits = np.bincount(group, weights=chance)
    clear = np.bincount(group, weights=1 - chance)
    if hits.sum() <= 0 or clear.sum() <= 0:
        return float("nan")
    above = np.cumsum(hits) - hits
    return float((clear * (above + hits / 2)).sum() / (hits.sum() * clear.sum()))


def _on_list(margin: Floats, visits: int) -> Floats:
    """Share of each household that is listed: 1, 0, or its part of a group of equal margins that is cut."""
    _, group, size = np.unique(-margin, return_inverse=True, return_counts=True)
    before = np.cumsum(size) - size
    return np.clip((visits - before) / size, 0.0, 1.0)[group]
