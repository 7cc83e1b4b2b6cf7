"""Better parameters under a stated budget: Optuna on the calibration slice of the evaluation fold. The test
dates are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from riskmodel.training.fits import task_of
from riskmodel.training.fold_rows import PlanRows
from riskmodel.training.learners import Task
from riskmodel.training.plan import Learner, Plan

if TYPE_CHECKING:
    from riskmodel.training.registry import Log

# Ranges that span at least this factor are searched on a logarithmic scale.
LOG_FACTOR = 10.0


def tune(plan: Plan, plan_rows: PlanRows, log: Log, progress: Callable[[str, float], None]) -> Plan:
    """The plan with the parameters that had the lowest log loss on the unseen villages of the calibration
    slice.

    Each trial is a run below this one; a trial that falls behind the median of the others is pruned. LightGBM
    trials share one Dataset. The plan's own parameters are the first trial, so that tuning never does worse
    than no tuning on that slice.
    """
    import optuna

    budget, start = plan.tuning, plan.learner.spec.trials
    assert budget is not None and start is not None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    whole = {
        field
        for field, about in type(plan.learner.parameters).model_fields.items()
        if _is_whole(about.annotation)
    }
    evaluation = plan_rows.evaluations[0]
    trials = start()

    def parameters_of(trial: Any) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        for field, (low, high) in sorted(budget.ranges.items()):
            scale = low > 0 and high / low >= LOG_FACTOR
            if field in whole:
                chosen[field] = trial.suggest_int(field, int(low), int(high), log=scale)
            else:
                chosen[field] = trial.suggest_float(field, low, high, log=scale)
        return chosen

    def fitted(task: Task, trial: Any) -> Mapping[str, Any] | None:
        """The notes of a fit; None when it was pruned."""

        def report(trees: int, loss: float) -> None:
            trial.report(loss, trees)
            if trial.should_prune():
                raise _Pruned

        try:
            return trials.fit(task, report)
        except _Pruned:
            return None

    def objective(trial: Any) -> float:
        task = task_of(with_parameters(plan, parameters_of(trial)), evaluation, plan_rows.signs)
        with log.nested(f"trial {trial.number}") as below:
            below.parameters(trial.params)
            notes = fitted(task, trial)
            if notes is None:
                below.tags({"riskmodel.pruned": "yes"})
            else:
                below.metrics({"log_loss": float(notes["log_loss"]), "trees": float(notes.get("trees", 0))})
        progress(f"trial {trial.number + 1} of {budget.trials}", (trial.number + 1) / budget.trials)
        if notes is None:
            raise optuna.TrialPruned
        return float(notes["log_loss"])

    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(
            seed=plan.seed, n_startup_trials=min(10, max(3, budget.trials // 3))
        ),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=50),
    )
    own = {field: getattr(plan.learner.parameters, field) for field in budget.ranges}
    if all(low <= own[field] <= high for field, (low, high) in budget.ranges.items()):
        study.enqueue_trial(own)
    study.optimize(
        objective, n_trials=budget.trials, timeout=None if budget.minutes is None else 60 * budget.minutes
    )
    log.metrics({"tuning_trials": float(len(study.trials)), "tuning_log_loss": float(study.best_value)})
    log.parameters({f"tuned.{field}": value for field, value in study.best_params.items()})
    return with_parameters(plan, study.best_params)


class _Pruned(Exception):
    """A trial that is not worth finishing; the run below is closed well before Optuna hears of it."""


def with_parameters(plan: Plan, chosen: dict[str, Any]) -> Plan:
    """The plan with some of its learner's parameters replaced, checked again."""
    parameters = type(plan.learner.parameters).model_validate(
        {**plan.learner.parameters.model_dump(), **chosen}
    )
    return plan.model_copy(update={"learner": Learner(**{plan.learner.name: parameters})})


def _is_whole(annotation: Any) -> bool:
    return annotation is int or getattr(annotation, "__origin__", None) is int
