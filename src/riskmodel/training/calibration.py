"""From margins to probabilities: beta calibration, monotone, never exactly 0 or 1.

With p = sigmoid(margin): logit(probability) = c + a · log p − b · log(1 − p), a ≥ 0, b ≥ 0 (Kull, Silva Filho
and Flach, "Beta calibration", AISTATS 2017). a = b = 1, c = 0 leaves p as it is. With several intervals
(discrete-time hazard) each interval has its own c and they share a and b, so that the curve over months is
coherent: the longer horizon is never the less likely.

Calibrated on few confirmations (some hundreds), the numbers are uncertain themselves, b above all, which only
the top of the list knows anything about: a faint prior draws a towards 1 and b towards a, that is, towards a
straight line on the logit scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PRIOR = 5.0
LEAST_SLOPE = 1e-3
# Probabilities are kept inside (TINY, 1 - TINY): no exact 0 or 1, whatever the margin.
TINY = 1e-7


@dataclass(frozen=True)
class BetaCalibration:
    """a, b: slopes; c: one intercept an interval; months: where each interval ends."""

    a: float
    b: float
    c: tuple[float, ...]
    months: tuple[int, ...]

    def probability(self, margin: Floats, horizon: int) -> Floats:
        """Calibrated probability within `horizon` months of each margin, same shape. Monotone in the margin.

        Raises KeyError for a horizon that is not the end of an interval.
        """
        if horizon not in self.months:
            raise KeyError(horizon)
        base = self.a * log_share(margin) - self.b * log_share(-margin)
        log_none = np.zeros_like(base)
        for place in range(self.months.index(horizon) + 1):
            log_none += log_share(-(base + self.c[place]))
        return np.clip(-np.expm1(log_none), TINY, 1 - TINY)

    def as_dict(self) -> dict[str, Any]:
        """The parameters as plain data for model.json."""
        return {"method": "beta", "a": self.a, "b": self.b, "c": list(self.c), "months": list(self.months)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> BetaCalibration:
        """The calibration from what `as_dict` returned."""
        return cls(
            float(data["a"]), float(data["b"]), tuple(map(float, data["c"])), tuple(map(int, data["months"]))
        )


def log_share(margin: Floats) -> Floats:
    """log(sigmoid(margin)), without overflow."""
    margin = np.asarray(margin, dtype=np.float64)
    return np.minimum(margin, 0.0) - np.log1p(np.exp(-np.abs(margin)))


def fit_beta(
    margin: Floats, interval: npt.NDArray[np.int8], months: Sequence[int], *, weight: Floats | None = None
) -> BetaCalibration:
    """Fit on n rows with a known outcome: margin, shape (n,); interval, the place of the first confirmation,
    -1 without one.

    One interval (months=(12,)): ordinary beta calibration. Maximum likelihood with a faint prior; a, b ≥
    0.001, so that it never turns the order round. Without any confirmation among the rows the probability is
    that of half a confirmation.
    """
    from scipy.optimize import minimize

    margin = np.asarray(margin, dtype=np.float64)
    weight = np.ones(len(margin)) if weight is None else weight
    up, down = log_share(margin), log_share(-margin)
    intervals = len(months)
    # A row lives through the intervals before its confirmation, and through that one.
    lives = [np.flatnonzero((interval < 0) | (interval >= place)) for place in range(intervals)]
    falls = [(interval[rows] == place).astype(np.float64) for place, rows in enumerate(lives)]
    start = []
    for rows, outcome in zip(lives, falls, strict=True):
        confirmed = float((weight[rows] * outcome).sum()) + 0.5
        share = confirmed / (float(weight[rows].sum()) + 1.0)
        start.append(
            np.log(share / (1 - share)) - float(np.mean(up[rows] - down[rows])) if len(rows) else -5.0
        )

    def loss(parameters: Floats) -> tuple[float, Floats]:
        a, b, c = parameters[0], parameters[1], parameters[2:]
        total, slope = 0.5 * PRIOR * ((a - 1) ** 2 + (b - a) ** 2), np.zeros_like(parameters)
        slope[:2] = PRIOR * (a - 1 - (b - a)), PRIOR * (b - a)
        for place, (rows, outcome) in enumerate(zip(lives, falls, strict=True)):
            logit = a * up[rows] - b * down[rows] + c[place]
            total -= float(
                (weight[rows] * (outcome * log_share(logit) + (1 - outcome) * log_share(-logit))).sum()
            )
            error = weight[rows] * (np.exp(log_share(logit)) - outcome)
            slope[0] += float(error @ up[rows])
            slope[1] -= float(error @ down[rows])
            slope[2 + place] += float(error.sum())
        return total, slope

    bounds = [(LEAST_SLOPE, 20.0), (LEAST_SLOPE, 20.0)] + [(-60.0, 60.0)] * intervals
    best = minimize(
        loss,
        np.array([1.0, 1.0, *start]),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 500},
    )
    # Rounded so that the stored decimal number is the number that is used.
    a, b, *c = (round(float(value), 12) for value in best.x)
    return BetaCalibration(a, b, tuple(c), tuple(months))


def expected_ensemble(honest: Floats, ensemble: Floats) -> Floats:
    """The ensemble's margin that is to be expected, given the margin of the one member that never saw the
    household's village.

    honest, ensemble: shape (n,). A single member is noisier than the mean of all, so its margins are more
    spread out; calibrating on them as they are would flatten the probabilities. The mean is therefore
    regressed on the member (regression calibration for a covariate measured with error: Carroll, Ruppert and
    Stefanski, 1995). Labels play no part in it.
    """
    centre, spread = float(honest.mean()), float(honest.var())
    if spread == 0.0:
        return ensemble.copy()
    slope = float(((honest - centre) * (ensemble - ensemble.mean())).mean()) / spread
    return float(ensemble.mean()) + slope * (honest - centre)
