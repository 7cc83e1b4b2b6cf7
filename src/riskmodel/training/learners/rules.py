"""Baselines as first-class models: an order by one figure, and a count of department rules. Nothing is learned but the scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from riskmodel.training.learners.base import Ensemble, Task
from riskmodel.training.samples import Floats


@dataclass(frozen=True)
class RuleMember:
    """margin = Σ weight · (value − centre) / scale. A missing value counts as `missing` (in the feature's own unit)."""

    weight: Floats
    centre: Floats
    scale: Floats
    missing: Floats

    def margin(self, features: Floats) -> Floats:
        return np.asarray(self.contributions(features)[0].sum(axis=1))

    def contributions(self, features: Floats) -> tuple[Floats, float]:
        """Each feature's part of the margin, shape (n, p), and the rest, which is 0."""
        filled = np.where(np.isnan(features), self.missing, features)
        return (filled - self.centre) / self.scale * self.weight, 0.0

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).tolist() for name in ("weight", "centre", "scale", "missing")}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RuleMember:
        return cls(
            *(np.array(data[name], dtype=np.float64) for name in ("weight", "centre", "scale", "missing"))
        )


def fit_income_rule(task: Task) -> Ensemble:
    """Order by the one feature. Scale and centre (median, quartile range of the training rows) only make the margin readable.

    A household whose figure is unknown stands in the middle: the rule has nothing to say about it.
    """
    column = task.train.features[:, 0]
    known = column[np.isfinite(column)]
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else (0.0, 0.0, 1.0)
    weight = -1.0 if task.parameters.riskier_when == "lower" else 1.0
    scale = float(high - low) or 1.0
    member = RuleMember(np.array([weight]), np.array([middle]), np.array([scale]), np.array([middle]))
    return Ensemble(
        (member,),
        {
            "centre": float(middle),
            "scale": scale,
            "unknown_share": float(1 - len(known) / max(1, len(column))),
        },
    )


def fit_department_rules(task: Task) -> Ensemble:
    """Count the rules that are met; the graver ones count `grave_weight` times. An unknown rule does not count as met."""
    names = task.train.names
    weight = np.array(
        [task.parameters.grave_weight if name in task.parameters.grave else 1.0 for name in names]
    )
    zeros, ones = np.zeros(len(names)), np.ones(len(names))
    return Ensemble((RuleMember(weight, zeros, ones, zeros),), {"rules": list(names)})


def fit_external(_: Task) -> Ensemble:
    """Nothing is fitted: the one column is the margin that another model wrote."""
    one, zero = np.ones(1), np.zeros(1)
    return Ensemble((RuleMember(one, zero, one, zero),), {})
