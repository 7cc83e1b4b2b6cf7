"""Train a plan: learn, examine on later dates, refit on everything that is mature, keep the record."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodel.errors import Fault, PlanError
from riskmodel.project import Project
from riskmodel.tables import Tables
from riskmodel.training import registry
from riskmodel.training.fits import Fit, fit_fold, months_of, task_of
from riskmodel.training.fold_rows import PlanRows, county_rows, predictions_frame
from riskmodel.training.list_reasons import reasons
from riskmodel.training.model import Model
from riskmodel.training.pictures import group_audit, run_pictures
from riskmodel.training.plan import PLAN_FOLDER, Plan, capacities_of, load_plan
from riskmodel.training.record import Fitted, model_record, record_text
from riskmodel.training.samples import Workbench
from riskmodel.training.soundness import gain_shares, leak_hunt, signs_hold, stability

if TYPE_CHECKING:
    from riskmodel.training.evaluation import Evaluation
    from riskmodel.training.fairness import GroupAudit

Progress = Callable[[str, float], None]

METRIC_DRAWS = 200


@dataclass(frozen=True)
class Run:
    """A finished run: what was learned and how it did. id: MLflow's. folder: the model folder, for
    `Model.load`. notes: what to know beside it, such as policy figures that nobody has verified.
    """

    id: str
    plan: str
    folder: Path
    version: str
    metrics: Mapping[str, float]
    folds: str = field(repr=False)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """A few lines for a terminal: folds, figures, id."""
        keys = ("auc", "average_precision", "observed_expected", "brier")
        figures = ", ".join(f"{name} {self.metrics[name]:.4g}" for name in keys if name in self.metrics)
        notes = "".join(f"\nNote: {note}" for note in self.notes)
        return (
            f"{self.folds}\n"
            f"{self.plan} (model {self.version}): {figures}; {self.seconds:.0f} s{notes}\n"
            f"run {self.id}"
        )


def train(
    project: Project,
    plan_name: str,
    tables: Tables | Path,
    *,
    until: dt.date | None = None,
    progress: Progress | None = None,
    bench: Workbench | None = None,
) -> Run:
    """Train one plan on what was known by `until` (default: the newest known_on), judge it on later dates,
    log the run.

    tables: a county's tables; for a plan with `source: table` the folder that holds its file. progress:
    called with a text and the share done, from 0 to 1. bench: features and labels to share with other plans.
    Raises PlanError (a faulty plan, tables that are too short). Stopped by Ctrl-C the run is marked KILLED,
    by an error FAILED: it is never half of one.
    """
    plan = load_plan(project, plan_name)
    progress = progress or (lambda _, __: None)
    started = time.perf_counter()
    with registry.logging_run(project, plan_name, {"riskmodel.plan": plan_name}) as log:
        plan_rows = _rows_of_plan(
            project, plan_name, plan, tables, until, bench, lambda text, share: progress(text, 0.3 * share)
        )
        if plan.tuning is not None:
            from riskmodel.training.tuning import tune

            plan = tune(plan, plan_rows, log, lambda text, share: progress(text, 0.3 + 0.1 * share))
        evaluations, final = _fits(plan, plan_rows, lambda text, share: progress(text, 0.4 + 0.5 * share))
        predictions = _predictions(plan, plan_rows, evaluations)
        progress("evaluation", 0.92)
        evaluation = judge(predictions, plan, name=plan_name)
        metrics = flat_metrics(evaluation)
        model = Model(
            learner=plan.learner.name,
            feature_names=plan_rows.names,
            horizons=months_of(plan),
            members=final.ensemble.members,
            calibration=final.calibration,
            signs=plan_rows.signs,
        )
        fitted = Fitted(name=plan_name, plan=plan, rows=plan_rows, evaluations=evaluations, final=final)
        record = model_record(
            project, fitted, metrics, commit=code_commit(project), model_version=model.version
        )
        tests = [part.test for part in plan_rows.evaluations if part.test is not None]
        record["leak_hunt"] = leak_hunt(tests) | {"gain": gain_shares(final, plan_rows.final.train)}
        record["stability"] = stability(evaluations, tests)
        audit = group_audit(predictions, plan, plan_name)
        record["groups"] = [] if audit is None else audit.findings()
        record["monotone"] = signs_hold(
            final,
            plan_rows.final.train,
            plan_rows.signs,
            bool(getattr(plan.learner.parameters, "monotone", False)),
        )
        model = Model(**{**model.__dict__, "record": record})
        progress("writing the run", 0.96)
        draft = Path(tempfile.mkdtemp(prefix="riskmodel-"))
        try:
            model.save(draft / "model")
            _write(draft, project, fitted, predictions, evaluation, audit, record)
            because = reasons(evaluations, tests, capacities_of(plan)[0]) if plan.source == "county" else None
            if because is not None:
                because.write_parquet(draft / "reasons.parquet")
            log.folder(draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        log.parameters(_flat("", json.loads(plan.model_dump_json(exclude_none=True))))
        log.metrics({**metrics, "seconds": time.perf_counter() - started})
        log.tags(
            {
                "riskmodel.tables_hash": plan_rows.facts["tables_hash"],
                "riskmodel.plan_hash": record["plan_hash"],
                "riskmodel.catalogue_hash": record["catalogue_hash"],
                "riskmodel.commit": record["commit"],
                "riskmodel.version": model.version,
                "riskmodel.learner": plan.learner.name,
                "riskmodel.until": plan_rows.facts["until"],
                "riskmodel.source": plan.source,
                "riskmodel.test_dates": ",".join(map(str, predictions["as_of"].unique().sort())),
                "riskmodel.horizon_months": plan.horizon_months,
            }
        )
    progress("done", 1.0)
    folder = registry.artifact(project, log.id, "model")
    notes = tuple(plan_rows.facts.get("policy_not_verified", ()))
    return Run(
        id=log.id,
        plan=plan_name,
        folder=folder,
        version=model.version,
        metrics=metrics,
        folds=plan_rows.folds.text(),
        seconds=time.perf_counter() - started,
        notes=notes,
    )


def train_many(
    project: Project,
    plans: Sequence[str],
    tables: Tables,
    *,
    until: dt.date | None = None,
    progress: Progress | None = None,
    bench: Workbench | None = None,
) -> list[Run]:
    """Train several plans on the same county; features and labels are made once."""
    bench = bench or Workbench(project, tables)
    progress = progress or (lambda _, __: None)
    for name in plans:
        load_plan(project, name)  # a faulty plan is refused before hours of work on the others
    return [
        train(
            project,
            name,
            tables,
            until=until,
            bench=bench,
            progress=lambda text, share, place=place, name=name: progress(
                f"{name}: {text}", (place + share) / len(plans)
            ),  # type: ignore[misc]
        )
        for place, name in enumerate(plans)
    ]


def _rows_of_plan(
    project: Project,
    name: str,
    plan: Plan,
    tables: Tables | Path,
    until: dt.date | None,
    bench: Workbench | None,
    progress: Progress,
) -> PlanRows:
    if plan.source == "table":
        from riskmodel.training.wide import table_rows

        return table_rows(project, name, plan, tables if isinstance(tables, Path) else None)
    if isinstance(tables, Path):
        from riskmodel.tables import read_tables

        tables = read_tables(tables)
    newest = tables.newest_known_on
    if until is not None and until > newest:
        raise PlanError(
            Fault(
                f"until {until}",
                f"the tables end on {newest}",
                "a day on which the tables are known",
                (
                    "Leave --until out, or name an earlier day: outcomes after the newest known_on would "
                    "seem not to have happened."
                ),
            )
        )
    return county_rows(name, plan, bench or Workbench(project, tables), until or newest, progress)


def _fits(plan: Plan, plan_rows: PlanRows, progress: Progress) -> tuple[list[Fit], Fit]:
    rounds = [*plan_rows.evaluations, plan_rows.final]
    fits = []
    for place, part in enumerate(rounds):
        name = (
            "final model"
            if place == len(plan_rows.evaluations)
            else f"evaluation {place + 1} of {len(plan_rows.evaluations)}"
        )

        def step(text: str, share: float, place: int = place, name: str = name) -> None:
            progress(f"{name}: {text}", (place + share) / len(rounds))

        fits.append(fit_fold(plan, part, task_of(plan, part, plan_rows.signs, training_threads(), step)))
    return fits[:-1], fits[-1]


def _predictions(plan: Plan, plan_rows: PlanRows, evaluations: Sequence[Fit]) -> pl.DataFrame:
    tests = [part.test for part in plan_rows.evaluations if part.test is not None]
    margins = [fit.margin(test.features) for fit, test in zip(evaluations, tests, strict=True)]
    horizon = months_of(plan)[-1]
    probabilities = [
        fit.calibration.probability(margin, horizon) for fit, margin in zip(evaluations, margins, strict=True)
    ]
    if len(tests) > 1:
        # Margins of different fits are put on one scale, so that the pooled order is that of the probability.
        margins = [np.log(value) - np.log1p(-value) for value in probabilities]
    return predictions_frame(tests, margins, probabilities)


def training_threads() -> int:
    """Number of members of a LightGBM plan that are trained in parallel: RISKMODEL_THREADS, or one for each
    core that this process may use. The trees do not depend on it. Raises PlanError for a value that is not a
    number from 1 to 64.
    """
    value = os.environ.get("RISKMODEL_THREADS", str(usable_cores()))
    if not value.isdigit() or not 1 <= int(value) <= 64:
        raise PlanError(
            Fault("RISKMODEL_THREADS", repr(value), "a number from 1 to 64", "Correct it, or unset it.")
        )
    return int(value)


def usable_cores() -> int:
    """Cores that this process may run on, at most 64."""
    return min(64, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def judge(predictions: pl.DataFrame, plan: Plan, *, name: str, draws: int = METRIC_DRAWS) -> Evaluation:
    """The run's own evaluation, at its own capacity and the common shares."""
    from riskmodel.training.evaluation import evaluate

    return evaluate(predictions, capacities=capacities_of(plan), draws=draws, name=name)


def flat_metrics(evaluation: Evaluation) -> dict[str, float]:
    """`auc`, `recall_at_1%`, … with `_low` and `_high`, all as floats."""
    metrics = {}
    for metric, capacity in evaluation.values:
        key = metric + (f"_at_{capacity}" if capacity else "")
        metrics[key] = float(evaluation.value(metric, capacity))
        metrics[f"{key}_low"], metrics[f"{key}_high"] = map(float, evaluation.interval(metric, capacity))
    return metrics


def code_commit(project: Project) -> str:
    """The commit of the project's folder, `-changed` if files differ from it; `unknown` outside version
    control.
    """
    try:
        done = subprocess.run(
            [
                "git",
                "-C",
                str(project.root),
                "describe",
                "--always",
                "--dirty=-changed",
                "--abbrev=12",
                "--exclude=*",
            ],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            key: item
            for name, part in value.items()
            for key, item in _flat(f"{prefix}.{name}" if prefix else name, part).items()
        }
    return {prefix: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value}


def _write(
    folder: Path,
    project: Project,
    fitted: Fitted,
    predictions: pl.DataFrame,
    evaluation: Evaluation,
    audit: GroupAudit | None,
    record: Mapping[str, Any],
) -> None:
    """Everything that a run keeps beside its model and its reasons, as files of the folder."""
    name, plan, plan_rows = fitted.name, fitted.plan, fitted.rows
    predictions.write_parquet(folder / "predictions.parquet")
    shutil.copyfile(project.root / PLAN_FOLDER / f"{name}.yaml", folder / "plan.yaml")
    catalogue = project.root / "features" / "catalogue.yaml"
    if plan.source == "county" and catalogue.is_file():
        shutil.copyfile(catalogue, folder / "catalogue.yaml")
    if plan_rows.outcomes is not None:
        plan_rows.outcomes.write(folder)
    (folder / "folds.txt").write_text(plan_rows.folds.text(), encoding="utf-8")
    (folder / "folds.json").write_text(json.dumps(plan_rows.folds.rows(), indent=1), encoding="utf-8")
    (folder / "record.md").write_text(record_text(record), encoding="utf-8")
    evaluation.numbers(by_date=True).to_csv(folder / "metrics.csv", index=False)
    plots = folder / "plots"
    plots.mkdir()
    plan_rows.folds.figure().savefig(plots / "folds.png", dpi=110)
    if audit is not None:
        (folder / "groups.txt").write_text(audit.text(), encoding="utf-8")
    for title, picture in run_pictures(evaluation, audit).items():
        picture.savefig(plots / f"{title}.png", dpi=110)
