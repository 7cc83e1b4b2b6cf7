"""Baselines as first-class models: an order by one figure, and a count of department rules. Nothing is
learned but the scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from riskmodel.declared import Strict
from riskmodel.training.learners.base import Ensemble, LearnerSpec, Positive, Task, Wanted
from riskmodel.training.samples import Floats

if TYPE_CHECKING:
    from riskmodel.features.catalogue import Catalogue
    from riskmodel.training.plan import FeatureChoice


class IncomeRule(Strict):
    """Order by one figure, lowest first: the income after compliant medical cost against the monitoring
    line."""

    feature: str = "income_gap_pp"
    riskier_when: Literal["lower", "higher"] = "lower"


class DepartmentRules(Strict):
    """Order by the number of department rules that a household meets, the graver counting `grave_weight`
    times.

    grave: rules that count more. A rule that cannot be checked (unknown) does not count as met.
    """

    grave: tuple[str, ...] = ()
    grave_weight: Positive = 2.0


class External(Strict):
    """A challenger that is not trained here: `predictions` is a Parquet or CSV file with household_id, as_of
    and margin, that the other model made for the same as-of dates. It is calibrated and compared like every
    plan; it cannot be promoted.
    """

    predictions: str


@dataclass(frozen=True)
class RuleMember:
    """margin = Σ weight · (value − centre) / scale. A missing value counts as `missing` (in the feature's own
    unit).
    """

    weight: Floats
    centre: Floats
    scale: Floats
    missing: Floats

    def margin(self, features: Floats) -> Floats:
        """Margin of each row: the sum of its contributions, shape (n,). features: shape (n, p), NaN
        unknown."""
        return np.asarray(self.contributions(features)[0].sum(axis=1))

    def contributions(self, features: Floats) -> tuple[Floats, float]:
        """Each feature's part of the margin, shape (n, p), and the rest, which is 0."""
        filled = np.where(np.isnan(features), self.missing, features)
        return (filled - self.centre) / self.scale * self.weight, 0.0

    def as_dict(self) -> dict[str, Any]:
        """The parameters as lists, for model.json."""
        return {name: getattr(self, name).tolist() for name in ("weight", "centre", "scale", "missing")}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RuleMember:
        """The member from what `as_dict` returned."""
        return cls(
            *(np.array(data[name], dtype=np.float64) for name in ("weight", "centre", "scale", "missing"))
        )


def fit_income_rule(task: Task) -> Ensemble:
    """A rule that orders households by one feature. Scale and centre (median, quartile range of the training
    rows) only make the margin readable.

    A household whose value is unknown gets margin 0, that of the median: the rule does not apply to it.
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
    """Count the rules that are met; the graver ones count `grave_weight` times. An unknown rule does not
    count as met.
    """
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


def _income_features(parameters: IncomeRule, _: FeatureChoice, __: Catalogue) -> Wanted:
    return Wanted([parameters.feature], [parameters.feature])


def _rule_features(parameters: DepartmentRules, _: FeatureChoice, catalogue: Catalogue) -> Wanted:
    flags = [name for name in catalogue.with_status("rule") if catalogue[name].unit == "flag"]
    return Wanted(flags, list(parameters.grave))


INCOME_RULE = LearnerSpec(
    name="income_rule",
    parameters=IncomeRule,
    fit=fit_income_rule,
    kind="rule",
    load=lambda stored, _: RuleMember.from_dict(dict(stored)),
    features=_income_features,
    one_feature=lambda parameters: str(parameters.feature),
    for_tables=True,
    baseline=True,
)
DEPARTMENT_RULES = LearnerSpec(
    name="department_rules",
    parameters=DepartmentRules,
    fit=fit_department_rules,
    kind="rule",
    load=lambda stored, _: RuleMember.from_dict(dict(stored)),
    features=_rule_features,
    baseline=True,
)
EXTERNAL = LearnerSpec(
    name="external",
    parameters=External,
    fit=fit_external,
    kind="rule",
    load=lambda stored, _: RuleMember.from_dict(dict(stored)),
    features=None,
)
