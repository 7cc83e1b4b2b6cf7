"""Which plots a run logs. The plots themselves are drawn in `plots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from riskmodel.training.evaluation import Evaluation
    from riskmodel.training.fairness import GroupAudit
    from riskmodel.training.plan import Plan


def run_pictures(evaluation: Evaluation, audit: GroupAudit | None) -> dict[str, Figure]:
    """Plots of one run, by file name: calibration, and who is missed by group (`group_audit`)."""
    from riskmodel.training.plots import calibration_plot, groups_plot

    pictures = {"calibration": calibration_plot(evaluation)}
    if audit is not None:
        pictures["groups"] = groups_plot(audit)
    return pictures


def group_audit(predictions: pl.DataFrame, plan: Plan, name: str) -> GroupAudit | None:
    """The audit by group (`fairness.audit_groups`, 200 draws) at the plan's first capacity; None when the
    predictions have none of the plan's group columns. name: of the model, for titles."""
    from riskmodel.training.fairness import audit_groups
    from riskmodel.training.plan import capacities_of

    groups = [group for group in plan.groups if group in predictions.columns]
    if not groups:
        return None
    return audit_groups(predictions, groups=groups, capacity=capacities_of(plan)[0], draws=200, name=name)
