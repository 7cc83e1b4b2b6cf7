"""Runs side by side: the same tables, the same as-of dates, the same households, the same bootstrap draws."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from riskmodel.errors import DataError, Fault, ModelError, ProjectError
from riskmodel.project import Project
from riskmodel.training import registry
from riskmodel.training.learners import LEARNERS
from riskmodel.training.plan import Plan, capacities_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from riskmodel.training.comparison import ModelComparison

TRUTH = "true probability"
SHOWN_CHANGES = 3
TRUTH_NOTE = "The true probability includes chance events that no record shows: no model reaches it."


@dataclass(frozen=True)
class Comparison:
    """Several runs, judged on what they have in common. Make it with `compare`.

    details: lines on regret across as-of dates, months earlier than current practice, and who enters or
    leaves the champion's lists and why. runs: name -> run id. result: the figures, with `.value`, `.interval`
    and paired `.differences()`; the first run is the baseline.
    """

    runs: dict[str, str]
    result: ModelComparison = field(repr=False)
    predictions: dict[str, pl.DataFrame] = field(repr=False)
    capacity: float = 0.03
    notes: tuple[str, ...] = ()
    details: tuple[str, ...] = ()

    def table(self) -> pd.DataFrame:
        """A row a run, a column a figure: `value [low, high]`, 95 % village-cluster bootstrap."""
        return self.result.table()

    def numbers(self) -> pd.DataFrame:
        """The raw figures, a row a run, metric and capacity."""
        return self.result.numbers()

    def differences(self, baseline: str | None = None) -> pd.DataFrame:
        """Paired differences from a baseline run, with a verdict."""
        return self.result.differences(baseline)

    def document(self) -> dict[str, Any]:
        """The comparison for programs: run ids, figures with intervals, paired differences, notes."""
        return {
            "runs": self.runs,
            "figures": self.numbers(),
            "differences": self.differences() if len(self.runs) > 1 else [],
            "notes": [*self.notes, *self.details],
        }

    def text(self, *, width: int = 120) -> str:
        """The comparison for a terminal, with the run ids below."""
        listed = "\n".join(f"{run}  {name}" for name, run in self.runs.items())
        return "\n".join([self.result.text(width=width), *self.notes, *self.details, "Runs:", listed])

    def figure(self) -> Figure:
        """Recall against visits, all runs in one picture."""
        from riskmodel.training.plots import recall_plot

        return recall_plot(self.result, capacity=self.capacity)


def compare(
    project: Project,
    run_ids: Sequence[str] = (),
    *,
    truth: Path | pl.DataFrame | None = None,
    draws: int = 400,
    seed: int = 0,
) -> Comparison:
    """Judge runs on identical as-of dates and households.

    run_ids: finished runs; without them the newest of each plan on the newest run's tables. truth: the truth
    of a synthetic county (`truth.parquet` or its folder), shown as one more row. Raises ModelError: no runs,
    or nothing in common.
    """
    runs = [registry.find_run(project, run) for run in run_ids] or newest_of_each_plan(project)
    if not runs:
        raise ModelError(
            Fault(
                str(project.mlruns),
                "no finished run",
                "at least one",
                "Train a plan first: `riskmodel train PLAN --tables DIR`.",
            )
        )
    hashes = {run["tags"].get("riskmodel.tables_hash") for run in runs}
    horizons = {run["tags"].get("riskmodel.horizon_months") for run in runs}
    if len(hashes) > 1 or len(horizons) > 1:
        what = (
            "different tables"
            if len(hashes) > 1
            else f"different horizons ({', '.join(sorted(map(str, horizons)))} months)"
        )
        raise ModelError(
            Fault(
                ", ".join(run["id"][:8] for run in runs),
                f"the runs were made on {what}",
                "runs on the same tables and with the same horizon",
                "Train the plans on the same tables, then compare those runs.",
            )
        )
    names = _names(runs)
    predictions = {name: predictions_of(project, run["id"]) for name, run in zip(names, runs, strict=True)}
    _something_common(predictions)
    if truth is not None:
        true = true_predictions(truth, next(iter(predictions.values())))
        if true is not None:
            predictions[TRUTH] = true
    from riskmodel.training.comparison import compare_predictions

    plan = plan_of(project, runs[-1]["id"])
    result = compare_predictions(predictions, capacities=capacities_of(plan), draws=draws, seed=seed)
    notes = share_of_truth(result, names) if TRUTH in predictions else ()
    listed = {name: run["id"] for name, run in zip(names, runs, strict=True)}
    capacity = capacities_of(plan)[0]
    details = in_detail(project, result, predictions, listed, capacity)
    return Comparison(
        runs=listed, result=result, predictions=predictions, capacity=capacity, notes=notes, details=details
    )


def share_of_truth(result: ModelComparison, names: Sequence[str]) -> tuple[str, ...]:
    """Recall at 1, 2 and 5 % of each run as a share of what the true probability reaches, and of what the
    best run reaches; a line each.
    """
    lines = [
        TRUTH_NOTE,
        (
            "Recall at 1, 2 and 5 %, as a share of what the true probability reaches (of what the "
            "best run reaches):"
        ),
    ]
    reached = {
        name: [result[name].value("recall", share) for share in (0.01, 0.02, 0.05)]
        for name in (*names, TRUTH)
    }
    best = [max(reached[name][place] for name in names) for place in range(3)]
    for name in names:
        cells = [
            f"{value / true:.0%} ({value / most:.0%})" if true and most else "–"
            for value, true, most in zip(reached[name], reached[TRUTH], best, strict=True)
        ]
        lines.append(f"  {name}: {', '.join(cells)}")
    return tuple(lines)


def newest_of_each_plan(project: Project) -> list[dict[str, Any]]:
    """The newest finished run of each plan on the tables of the newest run, in the order of training;
    baselines first.

    Plans that were tested on other as-of dates than most are left out; name their runs to compare them with
    each other.
    """
    finished = registry.finished_runs(project)
    if not finished:
        return []
    wanted = [(finished[0]["tags"].get(f"riskmodel.{name}")) for name in ("tables_hash", "horizon_months")]
    newest: dict[str, dict[str, Any]] = {}
    for run in finished:
        if [run["tags"].get(f"riskmodel.{name}") for name in ("tables_hash", "horizon_months")] == wanted:
            newest.setdefault(run["plan"], run)
    # A plan with a grid of its own would leave nothing in common: the test dates that most plans share
    # decide.
    dates = [run["tags"].get("riskmodel.test_dates") for run in newest.values()]
    newest = {
        name: run
        for name, run in newest.items()
        if run["tags"].get("riskmodel.test_dates") == max(dates, key=dates.count)
    }
    baselines = {name for name, spec in LEARNERS.items() if spec.baseline}
    return sorted(
        newest.values(),
        key=lambda run: (run["tags"].get("riskmodel.learner") not in baselines, run["started"]),
    )


def predictions_of(project: Project, run_id: str) -> pl.DataFrame:
    """The predictions of a run on its test rows, one row a household and as-of date, sorted by as_of and
    household_id.

    Columns: household_id, village_code, township_code, as_of, margin (higher is riskier; where the run has
    several test folds, the log odds of `probability`, so that folds compare), probability (0 to 1, at the
    plan's longest horizon), label (1, 0, null: unlabelled), then one column for each group of the fairness
    audit. Raises ModelError when the run or its file is not there.
    """
    return pl.read_parquet(registry.artifact(project, run_id, "predictions.parquet"))


def plan_of(project: Project, run_id: str) -> Plan:
    """The plan as it was when the run was made, read from the copy kept with the run, not from
    `training/plans`.

    Raises ModelError when the run or its copy is not there, or when this version cannot read that plan.
    """
    from riskmodel.project import fit, read_document

    try:
        return fit(read_document(registry.artifact(project, run_id, "plan.yaml")), Plan)
    except ProjectError as error:
        raise ModelError(error.faults) from None


def _names(runs: Sequence[dict[str, Any]]) -> list[str]:
    plans = [run["plan"] for run in runs]
    return [
        name if plans.count(name) == 1 else f"{name} {run['id'][:8]}"
        for name, run in zip(plans, runs, strict=True)
    ]


def _something_common(predictions: dict[str, pl.DataFrame]) -> None:
    days: set[dt.date] = set.intersection(
        *(set(frame["as_of"].unique().to_list()) for frame in predictions.values())
    )
    if not days:
        listed = "; ".join(
            f"{name}: {', '.join(map(str, sorted(frame['as_of'].unique())))}"
            for name, frame in predictions.items()
        )
        raise ModelError(
            Fault(
                "test dates",
                listed,
                "at least one as-of date in common",
                "Give the plans the same as_of grid, and train again.",
            )
        )


def true_predictions(truth: Path | pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame | None:
    """The true probability as if it were a model, on the rows of `like`; None where the truth has none of
    these dates.
    """
    if isinstance(truth, Path):
        truth = pl.read_parquet(truth / "truth.parquet" if truth.is_dir() else truth)
    joined = like.join(
        truth.select(
            "household_id",
            pl.col("as_of").cast(pl.Date),
            true=pl.col("true_probability_12m").cast(pl.Float64),
        ),
        on=["household_id", "as_of"],
        how="inner",
    )
    if not joined.height:
        return None
    return joined.with_columns(margin=pl.col("true"), probability=pl.col("true")).drop("true")


def in_detail(
    project: Project,
    result: ModelComparison,
    predictions: Mapping[str, pl.DataFrame],
    runs: Mapping[str, str],
    capacity: float,
) -> tuple[str, ...]:
    """Lines for a person: regret, months earlier than current practice, and changes against the champion's
    lists, at one capacity.

    Runs that were made before confirmations and reasons were kept with a run, and wide tables, have no such
    lines.
    """
    from riskmodel.training.predictions import capacity_name

    at = capacity_name(capacity)
    lines = []
    if len(runs) > 1:
        table = result.regret("recall", capacity)
        lines.append(
            f"Recall at {at} lost against the best of each as-of date (regret, percentage points; even "
            "equals show some):"
        )
        for row in table[table["model"].isin(list(runs))].to_dict("records"):
            mean, low, high, worst = (
                f"{100 * float(row[name]):.1f}" for name in ("mean", "low", "high", "worst")
            )
            lines.append(
                f"  {row['model']}: {mean} [{low}, {high}], at worst {worst} as of {row['worst_as_of']}"
            )
    lines += _months_earlier(project, predictions, runs, capacity)
    return (*lines, *_against_champion(project, predictions, runs, capacity))


def _kept(project: Project, run_id: str, name: str) -> pl.DataFrame | None:
    """A table that a run may have kept."""
    try:
        return pl.read_parquet(registry.artifact(project, run_id, name))
    except ModelError:
        return None


def _months_earlier(
    project: Project, predictions: Mapping[str, pl.DataFrame], runs: Mapping[str, str], capacity: float
) -> list[str]:
    from riskmodel.training.lists import months_earlier

    lines = []
    for name, run in runs.items():
        confirmed, rules = (
            _kept(project, run, "confirmations.parquet"),
            _kept(project, run, "rule_hits.parquet"),
        )
        if confirmed is None or not confirmed.height:
            continue
        lines.append(
            f"  {name}: {months_earlier(predictions[name], confirmed, capacity=capacity, rules=rules).text()}"
        )
    return (
        ["Months earlier than current practice, had the test dates' lists been visited:", *lines]
        if lines
        else []
    )


def _against_champion(
    project: Project, predictions: Mapping[str, pl.DataFrame], runs: Mapping[str, str], capacity: float
) -> list[str]:
    """Who enters and who leaves the champion's lists, and which features put them there."""
    from riskmodel.training.lists import stability

    champion = registry.champion(project)
    if champion is None:
        return []
    lines = []
    for name, run in runs.items():
        if run == champion["run_id"]:
            continue
        try:
            lists = stability(
                predictions_of(project, champion["run_id"]), predictions[name], capacity=capacity
            )
        except (DataError, ModelError):
            continue
        lines.append(f"  {name}: {lists.text()}")
        for change, of_run, words in (
            ("enters", run, "puts them there"),
            ("leaves", champion["run_id"], "had put them there in the champion"),
        ):
            lines += _why(
                lists.changes.filter(pl.col("change") == change),
                _kept(project, of_run, "reasons.parquet"),
                change,
                words,
            )
    head = f"Against the lists of the champion (version {champion['version']}, run {champion['run_id'][:8]}):"
    return [head, *lines] if lines else []


def _why(changed: pl.DataFrame, reasons: pl.DataFrame | None, change: str, words: str) -> list[str]:
    """What most often puts the changed households on the list that has them, and the most moved of them."""
    if reasons is None or not changed.height:
        return []
    explained = changed.join(reasons, on=["household_id", "as_of"], how="inner")
    if not explained.height:
        return []
    most = (
        explained.explode("because")["because"]
        .drop_nulls()
        .value_counts(sort=True, name="households")
        .head(3)
    )
    often = ", ".join(
        f"{row['because']} ({row['households']} of {explained.height})" for row in most.iter_rows(named=True)
    )
    shown = "; ".join(
        (
            f"{row['household_id']} as of {row['as_of']}, place {row['rank_before']} to "
            f"{row['rank_after']}, {' + '.join(row['because'] or ['?'])}"
        )
        for row in explained.head(SHOWN_CHANGES).iter_rows(named=True)
    )
    return [f"    {change}: what {words} most often: {often}", f"      most moved: {shown}"]
