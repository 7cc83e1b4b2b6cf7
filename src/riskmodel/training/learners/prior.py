"""What a logistic regression says, as a part of the outcome that trees learn from.

With some hundred confirmations a tree sees a lot of luck. A ridge logistic regression on the same rows sees less: it cannot bend, but it extrapolates well at
the top of the list, where trees have the fewest rows. A share of each training outcome is therefore replaced by the probability of that regression
(soft labels: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015; as pseudo-observations a prior, so that where data are few the
trees fall back on the regression and not on the base rate). The trees stay the whole model: nothing is added to their margin, SHAP values sum to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from riskmodel.training.learners.base import Task
from riskmodel.training.learners.linear import LinearMember, fit_logistic
from riskmodel.training.plan import Logistic
from riskmodel.training.samples import Floats


@dataclass(frozen=True)
class Prior:
    """One regression for each member of the ensemble, of the same villages and household weights. penalty: how strong its ridge is."""

    members: Sequence[LinearMember]
    penalty: float
    share: float

    def outcome(self, number: int, features: Floats, label: Floats, shift: Floats | float = 0.0) -> Floats:
        """What member `number` learns from, shape (n,): (1 − share) · label + share · probability. shift: added to the regression's margin."""
        margin = self.members[number].margin(features) + shift
        return np.asarray((1 - self.share) * label + self.share / (1 + np.exp(-np.clip(margin, -30, 30))))


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
