"""Training: plans, dates, learners, calibration, comparison, promotion. The entry points are `train`,
`compare` and `promote`.
"""

from __future__ import annotations

from riskmodel.training.cohorts import cohort
from riskmodel.training.comparing import Comparison, compare
from riskmodel.training.labels import labels
from riskmodel.training.model import Model
from riskmodel.training.plan import Plan, load_plan, plan_names
from riskmodel.training.promotion import Promotion, examine, load_model_folder, promote, rollback
from riskmodel.training.running import Run, train, train_many
from riskmodel.training.samples import Workbench

__all__ = [
    "Comparison",
    "Model",
    "Plan",
    "Promotion",
    "Run",
    "Workbench",
    "cohort",
    "compare",
    "examine",
    "labels",
    "load_model_folder",
    "load_plan",
    "plan_names",
    "promote",
    "rollback",
    "train",
    "train_many",
]
