"""What a logistic regression says, told by trees: one part of a LightGBM member, beside the part that is grown on the outcomes.

With some hundred confirmations, trees and a ridge logistic regression err in different places: trees find thresholds and what works together, the regression adds
up many weak signs and goes on rising at the top of the list, where trees have the fewest rows. The mean of their margins orders households better than either on
nearly every county that was tried (docs/training.md has the table). So that the model stays one ensemble of trees, which is explained and served as such, the
regression's margin is first reproduced by trees (distillation: Buciluă, Caruana and Niculescu-Mizil, "Model compression", KDD 2006), and the trees on the
outcomes are grown apart from it. SHAP values sum to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from riskmodel.training.learners.base import Task
from riskmodel.training.learners.linear import LinearMember, fit_logistic
from riskmodel.training.plan import Logistic
from riskmodel.training.samples import Floats

# Trees that reproduce the regression, and how they are grown: their target has no noise, so that they may be bold. Draws of rows and features stay the plan's:
# turning LightGBM's bagging on while a Booster grows gave other trees from run to run (4.7).
TREES: Final = 200
GROWTH: Final[dict[str, Any]] = {
    "learning_rate": 0.2,
    "num_leaves": 8,
    "max_depth": 3,
    "min_data_in_leaf": 10,
    "min_sum_hessian_in_leaf": 1e-3,
    "lambda_l1": 0.0,
    "lambda_l2": 1.0,
    "path_smooth": 0.0,
}


@dataclass(frozen=True)
class Prior:
    """One regression for each member of the ensemble, of the same villages and household weights. penalty: how strong its ridge is. share: its
    part of the member's margin."""

    members: Sequence[LinearMember]
    penalty: float
    share: float


@dataclass
class TwoParts:
    """How one member grows: margin = share · regression, by trees, + (1 − share) · trees on the outcomes; both from the same base.

    regression: its margin of the n training rows, less `offset`'s own level for a hazard; label, weight, offset: shape (n,). base: where the trees on the
    outcomes begin.
    """

    share: float
    regression: Floats
    label: Floats
    weight: Floats
    offset: Floats
    base: float
    _told: Floats | None = None

    def to_regression(self, score: Floats, _: Any) -> tuple[Floats, Floats]:
        """Gradient and second derivative of half the squared distance to the regression's part and the base of the other."""
        return score - self.offset - self.share * self.regression - (1 - self.share) * self.base, np.ones(len(score))

    def to_outcomes(self, score: Floats, _: Any) -> tuple[Floats, Floats]:
        """Gradient and second derivative of the log loss of the second part alone, as if it were the whole model."""
        if self._told is None:
            self._told = np.array(score, dtype=np.float64)
        alone = self.offset + self.base + (score - self._told) / (1 - self.share)
        probability = 1 / (1 + np.exp(-np.clip(alone, -30, 30)))
        return self.weight * (probability - self.label), self.weight * probability * (1 - probability)


def fit_prior(task: Task) -> Prior | None:
    """The prior of a task whose parameters ask for one (`logistic_share` above 0). None, too, where a member has rows of one outcome only: there is
    nothing to regress on."""
    share = float(task.parameters.logistic_share)
    parts = task.parts(task.train)
    seen = [task.train.label[parts != number] for number in range(task.members)]
    if not share or any(len(set(label.tolist())) < 2 for label in seen):
        return None
    quiet = replace(task, parameters=Logistic(), progress=None)
    fitted = fit_logistic(quiet)
    members = [member for member in fitted.members if isinstance(member, LinearMember)]
    return Prior(members, float(fitted.notes["penalty"]), share)
