"""Which function fits which learner."""

from __future__ import annotations

from riskmodel.training.learners.base import Ensemble, Task
from riskmodel.training.learners.boosting import fit_boosting
from riskmodel.training.learners.linear import fit_logistic
from riskmodel.training.learners.rules import fit_department_rules, fit_external, fit_income_rule
from riskmodel.training.learners.trees import fit_lightgbm


def fit_ensemble(learner: str, task: Task) -> Ensemble:
    """Fit the members of a plan's learner."""
    fitters = {
        "income_rule": fit_income_rule,
        "department_rules": fit_department_rules,
        "logistic": fit_logistic,
        "lightgbm": fit_lightgbm,
        "hazard": fit_lightgbm,
        "boosting": fit_boosting,
        "external": fit_external,
    }
    return fitters[learner](task)
