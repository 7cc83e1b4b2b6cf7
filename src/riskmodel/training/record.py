"""The model record: where a model comes from, what it was measured at, and what it is not. JSON in the model,
prose beside it.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from riskmodel.features.catalogue import catalogue_files, load_catalogue
from riskmodel.project import Project
from riskmodel.training.fits import Fit
from riskmodel.training.fold_rows import PlanRows
from riskmodel.training.plan import PLAN_FOLDER, Plan
from riskmodel.training.samples import Floats
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH

STATEMENT = (
    "The figures were measured with a model trained on the evaluation fold, on as-of dates after everything "
    "it had learned from. The model that is kept was fitted again with the same recipe on all as-of dates "
    "whose labels were mature at the cut; it was not itself measured on later dates."
)


def usual_values(names: Sequence[str], values: Floats) -> dict[str, dict[str, float]]:
    """What is usual in the training rows, for the scoring gate. Of each feature the share known; of the known
    values that are not 0 the median size (`typical`) and the 1 and 99 % quantiles (`low`, `high`). values:
    shape (n, p).
    """
    usual = {}
    for place, name in enumerate(names):
        column = values[:, place]
        there = column[np.isfinite(column)]
        entry = {"known": float(len(there) / max(1, len(column)))}
        some = there[there != 0]
        if len(some):
            low, high = np.quantile(some, [0.01, 0.99])
            entry |= {"typical": float(np.median(np.abs(some))), "low": float(low), "high": float(high)}
        usual[name] = entry
    return usual


class Fitted(NamedTuple):
    """A plan with what it was fitted on and what came of it. evaluations: the fits of `rows.evaluations`;
    final: the one that is kept.
    """

    name: str
    plan: Plan
    rows: PlanRows
    evaluations: Sequence[Fit]
    final: Fit


def model_record(
    project: Project, fitted: Fitted, metrics: Mapping[str, float], *, commit: str, model_version: str
) -> dict[str, Any]:
    """Everything a reader of the record needs, as JSON: plan, hashes, folds, fits, figures, versions."""
    name, plan, plan_rows, evaluations, final = fitted
    catalogue = project.root / "features" / "catalogue.yaml"
    return {
        "plan": name,
        "title": plan.title.model_dump(),
        "learner": plan.learner.name,
        "source": plan.source,
        "horizon_months": plan.horizon_months,
        "signal": {"zh": SIGNAL_ZH, "en": SIGNAL_EN},
        "statement": STATEMENT,
        "model_version": model_version,
        "plan_hash": project.hash(PLAN_FOLDER / f"{name}.yaml"),
        "catalogue_hash": project.hash(*catalogue_files(project)) if catalogue.is_file() else "",
        "feature_meanings": _meanings(project, plan, plan_rows.names),
        "commit": commit,
        "facts": dict(plan_rows.facts),
        "plan_used": json.loads(plan.model_dump_json(exclude_none=True)),
        "folds": plan_rows.folds.rows(),
        "evaluation_fits": [dict(fit.notes) for fit in evaluations],
        "final_fit": dict(final.notes),
        "metrics": {key: value for key, value in metrics.items() if math.isfinite(value)},
        "profile": usual_values(plan_rows.names, plan_rows.final.train.features),
        "versions": {
            "python": platform.python_version(),
            **{
                package: version(package)
                for package in ("lightgbm", "numpy", "scipy", "scikit-learn", "polars")
            },
        },
        "waivers": [],
    }


def _meanings(project: Project, plan: Plan, names: Sequence[str]) -> dict[str, str]:
    """See `Catalogue.meanings`; empty for a model whose columns are not the catalogue's."""
    if plan.source == "table" or plan.learner.spec.features is None:
        return {}
    return load_catalogue(project).meanings(names)


def _unverified_text(lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    return ["## Policy figures behind it that nobody has verified", "", *(f"- {line}" for line in lines), ""]


def record_text(record: Mapping[str, Any]) -> str:
    """The record as a page to read (Markdown)."""
    figures = record["metrics"]

    def figure(name: str) -> str:
        if name not in figures:
            return "–"
        # A limit that is not finite (visits per confirmed household, when a draw confirmed none) is not kept.
        low, high = (
            f"{figures[name + end]:.4g}" if name + end in figures else "–" for end in ("_low", "_high")
        )
        span = "" if (low, high) == ("–", "–") else f" [{low}, {high}]"
        return f"{figures[name]:.4g}{span}"

    shown = [key for key in figures if not key.endswith(("_low", "_high"))]
    columns = list(record["folds"][0])
    final, facts = record["final_fit"], record["facts"]
    lines = [
        f"# {record['title']['en']} · {record['title']['zh']}",
        "",
        f"{record['signal']['zh']} · {record['signal']['en']}.",
        "",
        (
            f"Plan `{record['plan']}`, learner {record['learner']}, horizon {record['horizon_months']} "
            f"months, model {record['model_version']}."
        ),
        (
            f"Code {record['commit']}; tables {str(facts.get('tables_hash', ''))[:12]}, known until "
            f"{facts.get('until', '')}."
        ),
        "",
        record["statement"],
        "",
        (
            f"Final fit: {final['train_rows']:,} rows with {final['train_confirmed']:,} confirmed; "
            f"calibrated on {final['calibrate_rows']:,} rows with {final['calibrate_confirmed']:,} "
            "confirmed."
        ),
        "",
        "| figure | value [95 % interval] |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {figure(name)} |" for name in shown),
        "",
        "| " + " | ".join(name.replace("_", " ") for name in columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(row[name] for name in columns) + " |" for row in record["folds"]),
        "",
        *_unverified_text(facts.get("policy_not_verified", [])),
        "## Where it must not be used",
        "",
        (
            "It puts households in order ahead of a visit by a person; it decides nothing. It was not made "
            "for other counties, for persons, or for dates long after its cut. A low score closes nothing: "
            "leads and department rules are on the list whatever the score."
        ),
        "",
    ]
    return "\n".join(lines)
