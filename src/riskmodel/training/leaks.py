"""Too good to be true: single features that order later outcomes too well, and figures that an honest model
does not reach.

At a base rate of one in a hundred, an out-of-time AUC above 0.9 or a precision above 0.3 in the top 1 %
means: look for a leak. Most often it is something written at or after identification, a code for missing that
only confirmed households have, or the order of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from riskmodel.errors import DataError, Fault
from riskmodel.training.resampling import Floats

if TYPE_CHECKING:
    import pandas as pd

SUSPICIOUS_AUC: Final = 0.9
SUSPICIOUS_PRECISION: Final = 0.3  # in the top 1 %
FEWEST_OF_EACH: Final = 10


@dataclass(frozen=True)
class Suspect:
    """A feature, or a feature's being missing, that orders outcomes too well. auc: from 0.5 up, whatever the
    direction.
    """

    feature: str
    auc: float
    kind: str  # `value` or `missing`
    riskier_when: str  # `higher`, `lower`, `missing` or `known`

    def __str__(self) -> str:
        what = "being missing" if self.kind == "missing" else "alone"
        return (
            f"`{self.feature}` {what} has an out-of-time AUC of {self.auc:.3f} (riskier when "
            f"{self.riskier_when}): look for a leak."
        )


def hunt_leaks(
    values: npt.ArrayLike,
    names: Sequence[str],
    label: npt.ArrayLike,
    *,
    limit: float = SUSPICIOUS_AUC,
    extra: Mapping[str, npt.ArrayLike] | None = None,
) -> list[Suspect]:
    """Features whose values, or whose being missing, order the outcomes with an AUC above `limit`; the most
    suspicious first.

    values: (rows, features), NaN means missing; use rows of the **test** dates, later than training. label:
    (rows,), 1, 0 or NaN (unlabelled; left out). extra: further columns to try by name, e.g. the position of
    the row or the order of the ids. Values are judged among the rows that have one, given at least ten of
    each label; otherwise they are not judged. Raises DataError for shapes that do not fit.
    """
    matrix = np.asarray(values, dtype=np.float64)
    outcome = np.asarray(label, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape != (len(outcome), len(names)):
        raise DataError(
            Fault(
                "values",
                f"shape {matrix.shape}",
                f"({len(outcome)}, {len(names)}): a row a label, a column a name",
                "Align them.",
            )
        )
    columns = {name: matrix[:, place] for place, name in enumerate(names)}
    columns |= {name: np.asarray(column, dtype=np.float64) for name, column in (extra or {}).items()}
    labelled = np.isfinite(outcome)
    positive = outcome[labelled] == 1
    suspects = []
    for name, column in columns.items():
        column = column[labelled]
        known = ~np.isnan(column)
        for kind, value, truth in (
            ("value", column[known], positive[known]),
            ("missing", (~known).astype(np.float64), positive),
        ):
            auc = single_auc(value, truth)
            strength = max(auc, 1 - auc)
            if strength > limit:  # False for NaN
                words = {"value": ("higher", "lower"), "missing": ("missing", "known")}[kind]
                suspects.append(Suspect(name, float(strength), kind, words[0] if auc > 0.5 else words[1]))
    return sorted(suspects, key=lambda suspect: (-suspect.auc, suspect.feature))


def feature_aucs(values: npt.ArrayLike, names: Sequence[str], label: npt.ArrayLike) -> pd.DataFrame:
    """AUC of every feature alone, a row a feature, strongest first: feature, auc (from 0.5 up), riskier_when,
    known (share with a value).
    """
    import pandas as pd

    matrix, outcome = np.asarray(values, dtype=np.float64), np.asarray(label, dtype=np.float64)
    rows = []
    for place, name in enumerate(names):
        column = matrix[:, place]
        keep = np.isfinite(outcome) & ~np.isnan(column)
        auc = single_auc(column[keep], outcome[keep] == 1)
        direction = "higher" if auc > 0.5 else "lower" if auc < 0.5 else "unclear"
        rows.append(
            {
                "feature": name,
                "auc": max(auc, 1 - auc),
                "riskier_when": direction,
                "known": float((~np.isnan(column)).mean()),
            }
        )
    return pd.DataFrame(rows).sort_values(["auc", "feature"], ascending=[False, True], ignore_index=True)


def single_auc(value: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Chance that a positive has the higher value, ties counting one half. NaN with fewer than ten of either.
    Infinite values are ordered.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if min(positives, negatives) < FEWEST_OF_EACH:
        return float("nan")
    _, inverse, counts = np.unique(value, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(counts) - (counts - 1) / 2
    return float(
        (middle_rank[inverse][positive].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    )
