"""Learners: each fits an ensemble of members on a training sample, stops and chooses on a later slice, and
stores without pickle.

Every member is trained on all villages but its own part (see `samples.part_of`), each household weighted by
an exponential draw (the Bayesian form of the household-clustered bootstrap: Rubin, 1981). The part a member
never saw is where it is stopped and calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from riskmodel.training.learners.base import Ensemble, LearnerSpec, Member, Task
from riskmodel.training.learners.boosting import BOOSTING
from riskmodel.training.learners.linear import LOGISTIC
from riskmodel.training.learners.rules import DEPARTMENT_RULES, EXTERNAL, INCOME_RULE
from riskmodel.training.learners.trees import HAZARD, LIGHTGBM

# Every learner by its name. A new one is a file with its spec, and a line here.
LEARNERS: Final[Mapping[str, LearnerSpec]] = {
    spec.name: spec
    for spec in (INCOME_RULE, DEPARTMENT_RULES, LOGISTIC, LIGHTGBM, BOOSTING, HAZARD, EXTERNAL)
}

__all__ = ["LEARNERS", "Ensemble", "LearnerSpec", "Member", "Task"]
