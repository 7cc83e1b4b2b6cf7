"""One round: fit the members, calibrate them on later rows of villages they never saw, predict the test
rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from riskmodel.training.calibration import BetaCalibration, expected_ensemble, fit_beta
from riskmodel.training.fold_rows import FoldRows
from riskmodel.training.learners import Ensemble, Task
from riskmodel.training.model import mean_of_members
from riskmodel.training.plan import Plan
from riskmodel.training.samples import Floats, Sample


@dataclass(frozen=True)
class Fit:
    """What one round gave."""

    ensemble: Ensemble
    calibration: BetaCalibration
    notes: Mapping[str, Any]

    def margin(self, features: Floats) -> Floats:
        """Mean margin, shape (n,)."""
        return mean_of_members(self.ensemble.margins(features))


def months_of(plan: Plan) -> tuple[int, ...]:
    """Ends of the intervals that the plan predicts: its horizon, or those that its learner always has
    (hazard: 3, 6 and 12).
    """
    return plan.learner.spec.months or (plan.horizon_months,)


def intervals_of(sample: Sample, months: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """For each row the index into `months` of the interval of its first confirmation, -1 without one,
    shape (n,); with a single horizon 0. Rows must be labelled."""
    if len(months) == 1:
        return np.where(sample.label == 1, 0, -1).astype(np.int8)
    return np.where(sample.label == 1, sample.interval, -1).astype(np.int8)


def task_of(
    plan: Plan,
    rows: FoldRows,
    signs: tuple[int, ...],
    threads: int = 1,
    progress: Callable[[str, float], None] | None = None,
) -> Task:
    """The learner's task of a round."""
    return Task(
        parameters=plan.learner.parameters,
        train=rows.train,
        calibrate=rows.calibrate,
        members=plan.members,
        seed=plan.seed,
        signs=signs,
        months=months_of(plan),
        threads=threads,
        progress=progress,
    )


def fit_fold(plan: Plan, rows: FoldRows, task: Task) -> Fit:
    """Fit and calibrate one round."""
    ensemble = plan.learner.spec.fit(task)
    later = rows.calibrate
    margins = ensemble.margins(later.features)
    mean = mean_of_members(margins)
    honest = mean
    if len(ensemble.members) > 1:
        honest = expected_ensemble(margins[np.arange(len(later)), task.parts(later)], mean)
    calibration = fit_beta(honest, intervals_of(later, task.months), task.months)
    expected = calibration.probability(honest, task.months[-1])
    notes = {
        **ensemble.notes,
        "train_rows": len(rows.train),
        "train_confirmed": int(rows.train.label.sum()),
        "calibrate_rows": len(later),
        "calibrate_confirmed": int(later.label.sum()),
        "calibrate_expected": float(expected.sum()),
        "calibration": calibration.as_dict(),
    }
    return Fit(ensemble, calibration, notes)
