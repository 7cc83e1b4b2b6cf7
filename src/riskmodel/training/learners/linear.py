"""Ridge logistic regression whose every number can be read: medians, cuts, scales, coefficients, in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from riskmodel.declared import Strict
from riskmodel.training.learners.base import (
    Ensemble,
    LearnerSpec,
    Positive,
    SeparateTrials,
    Task,
    household_weights,
    log_loss,
)
from riskmodel.training.samples import Floats

# An indicator is kept for a feature that is unknown for at least this share of the training rows.
MISSING_SHARE = 0.005
# So many rows at once stay in the processor's cache.
ROWS_AT_ONCE = 1024


class Logistic(Strict):
    """Ridge logistic regression on imputed, winsorised and standardised features.

    penalties: strengths to choose from on the calibration slice (the sum of squared coefficients is weighted
    by penalty / 2). winsorise: share cut at both ends of each feature, on the training rows.
    """

    penalties: Annotated[tuple[Positive, ...], Field(min_length=1)] = (300.0, 1000.0, 3000.0, 10000.0)
    winsorise: Annotated[float, Field(ge=0, lt=0.2)] = 0.005


def parts_of_rows(count: int) -> Iterator[slice]:
    """All of so many rows, in parts of `ROWS_AT_ONCE`."""
    for start in range(0, count, ROWS_AT_ONCE):
        yield slice(start, start + ROWS_AT_ONCE)


@dataclass(frozen=True)
class Preparation:
    """How features become inputs of the regression, fitted on the training rows: clipped at low and high,
    missing replaced by the median, then (x − centre) / scale; and for each feature that is often missing one
    0/1 indicator, standardised in the same way.
    """

    low: Floats
    high: Floats
    median: Floats
    centre: Floats
    scale: Floats
    indicators: npt.NDArray[np.intp]
    share_missing: Floats

    def inputs(self, features: Floats) -> Floats:
        """Shape (n, p + indicators)."""
        count = features.shape[1]
        out = np.empty((len(features), count + len(self.indicators)))
        spread = np.sqrt(self.share_missing * (1 - self.share_missing))
        for rows in parts_of_rows(len(features)):
            unknown = np.isnan(features[rows])
            filled = np.where(unknown, self.median, np.clip(features[rows], self.low, self.high))
            out[rows, :count] = (filled - self.centre) / self.scale
            out[rows, count:] = (unknown[:, self.indicators] - self.share_missing) / spread
        return out


@dataclass(frozen=True)
class LinearMember:
    """margin = intercept + Σ coefficient · input."""

    preparation: Preparation
    coefficient: Floats
    intercept: float

    def margin(self, features: Floats) -> Floats:
        """Margin of each row, shape (n,). features: shape (n, p), NaN unknown."""
        margin = np.empty(len(features))
        # Summed row by row in one fixed order, so that one household alone gives the same bytes as in a
        # batch.
        for rows in parts_of_rows(len(features)):
            margin[rows] = self.intercept + (self.preparation.inputs(features[rows]) * self.coefficient).sum(
                axis=1
            )
        return margin

    def contributions(self, features: Floats) -> tuple[Floats, float]:
        """Each feature's part of the margin (its indicator's part included), shape (n, p), and the
        intercept."""
        parts = self.preparation.inputs(features) * self.coefficient
        count = features.shape[1]
        values = parts[:, :count].copy()
        values[:, self.preparation.indicators] += parts[:, count:]
        return values, self.intercept

    def as_dict(self) -> dict[str, Any]:
        """Preparation, coefficients and intercept as lists, for model.json."""
        names = ("low", "high", "median", "centre", "scale", "indicators", "share_missing")
        kept = {name: getattr(self.preparation, name).tolist() for name in names}
        return {**kept, "coefficient": self.coefficient.tolist(), "intercept": self.intercept}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LinearMember:
        """The member from what `as_dict` returned."""
        kept = {
            name: np.array(data[name], dtype=np.float64)
            for name in ("low", "high", "median", "centre", "scale", "share_missing")
        }
        preparation = Preparation(indicators=np.array(data["indicators"], dtype=np.intp), **kept)
        return cls(preparation, np.array(data["coefficient"], dtype=np.float64), float(data["intercept"]))


def prepare_inputs(features: Floats, winsorise: float) -> Preparation:
    """Learn medians, cuts and scales from the training rows, shape (n, p). A feature without any value
    becomes 0 throughout.
    """
    unknown = np.isnan(features)
    count = features.shape[1]
    low, high, median = np.zeros(count), np.zeros(count), np.zeros(count)
    for place in range(count):
        known = features[~unknown[:, place], place]
        if len(known):
            low[place], median[place], high[place] = np.quantile(known, [winsorise, 0.5, 1 - winsorise])
            if low[place] == high[place]:  # a rare flag: cutting would erase it
                low[place], high[place] = known.min(), known.max()
    filled = np.where(unknown, median, np.clip(features, low, high))
    scale = filled.std(axis=0)
    share = unknown.mean(axis=0)
    indicators = np.flatnonzero((share >= MISSING_SHARE) & (share <= 1 - MISSING_SHARE))
    # Features that are missing together (a whole table) would give the same column many times over; the first
    # one serves.
    distinct: dict[bytes, int] = {}
    for place in indicators.tolist():
        distinct.setdefault(np.packbits(unknown[:, place]).tobytes(), place)
    kept = np.array(sorted(distinct.values()), dtype=np.intp)
    return Preparation(
        low=low,
        high=high,
        median=median,
        centre=filled.mean(axis=0),
        scale=np.where(scale > 1e-12, scale, 1.0),
        indicators=kept,
        share_missing=share[kept],
    )


def fit_logistic(task: Task) -> Ensemble:
    """One member a part of the villages; the penalty is the one that does best on the parts the members did
    not see, at the later dates.
    """
    train, later = task.train, task.calibrate
    preparation = prepare_inputs(train.features, task.parameters.winsorise)
    inputs, later_inputs = preparation.inputs(train.features), preparation.inputs(later.features)
    parts, later_parts = task.parts(train), task.parts(later)
    seen = [(np.flatnonzero(parts != number), later_parts == number) for number in range(task.members)]
    weights = [
        household_weights(train.household_id[rows], task.seed * 1000 + number)
        for number, (rows, _) in enumerate(seen)
    ]
    losses: dict[float, float] = {}
    fitted: dict[tuple[float, int], Floats] = {}
    # From the strongest penalty to weaker ones, until it gets worse.
    for penalty in sorted(task.parameters.penalties, reverse=True):
        losses[penalty] = 0.0
        for number, (rows, unseen) in enumerate(seen):
            beta = fit_ridge(inputs[rows], train.label[rows], weights[number], penalty)
            fitted[penalty, number] = beta
            margin = beta[0] + later_inputs[unseen] @ beta[1:]
            losses[penalty] += float(log_loss(margin, later.label[unseen]).sum())
            done = (len(losses) - 1 + (number + 1) / task.members) / len(task.parameters.penalties)
            task.report(
                f"logistic regression, penalty {penalty:g}, member {number + 1} of {task.members}", done
            )
        if losses[penalty] > min(losses.values()):
            break
    best = min(losses, key=lambda penalty: (losses[penalty], -penalty))
    members = tuple(
        LinearMember(preparation, fitted[best, number][1:], float(fitted[best, number][0]))
        for number in range(task.members)
    )
    return Ensemble(
        members,
        {
            "penalty": best,
            "log_loss": losses[best] / max(1, len(later)),
            "log_loss_by_penalty": {str(key): value / max(1, len(later)) for key, value in losses.items()},
        },
    )


def fit_ridge(inputs: Floats, label: Floats, weight: Floats, penalty: float) -> Floats:
    """Coefficients of a ridge logistic regression, shape (1 + p,), the intercept (not penalised) first.

    Minimises Σ weight · log loss + penalty / 2 · Σ coefficient²: scikit-learn's LogisticRegression with C = 1
    / penalty.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # On one thread: several would sum in another order, and what trees learn from it (`prior`) would differ
    # in the last digits.
    with threadpool_limits(limits=1):
        fitted = LogisticRegression(C=1 / penalty, solver="lbfgs", tol=1e-5, max_iter=1000).fit(
            inputs, label, sample_weight=weight
        )
    return np.concatenate([fitted.intercept_, fitted.coef_[0]])


LOGISTIC = LearnerSpec(
    name="logistic",
    parameters=Logistic,
    fit=fit_logistic,
    kind="linear",
    load=lambda stored, _: LinearMember.from_dict(dict(stored)),
    learns=True,
    for_tables=True,
    trials=lambda: SeparateTrials(fit_logistic),
)
