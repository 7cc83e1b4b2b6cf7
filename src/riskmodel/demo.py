"""The main job from tables to a visit list, each step printed as it happens: what `make demo` and `riskmodel
demo` run.

Every step is a public function of `riskmodel`; this file calls them in order, prints what they did, and
writes the results to `out/`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from riskmodel import workflow
from riskmodel.errors import ProjectError, PromotionRefused
from riskmodel.files import replacing
from riskmodel.project import Project
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH

if TYPE_CHECKING:
    from rich.console import Console

    from riskmodel.screening.scoring import Scores
    from riskmodel.training import Comparison, Run
    from riskmodel.visits.visit_list import VisitList

PLANS: Final = ("income_rule", "department_rules", "logistic_12m", "lightgbm_12m")
SHARE_OF_COHORT: Final = 0.03  # visits on the list where no capacity is named
STEPS: Final = 7


def run(
    project: Project,
    *,
    tables: Path | None = None,
    households: int = 20_000,
    years: int = 4,
    end: str = "2025-12-31",
    seed: int = 1,
    capacity: int | None = None,
) -> None:
    """Synthesise (or take `tables`), check, train, compare, promote, score, list, plot, release. Raises
    UserError when a step cannot be done."""
    from rich.console import Console

    began = time.monotonic()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    out = project.root / "out"
    out.mkdir(exist_ok=True)
    steps = Steps(console)

    folder = tables
    with steps.step("Tables", "数据表"):
        if folder is None:
            folder = out / "county"
            _forget(folder)
            with console.status(f"synthesising {households:,} households, {years} years to {end}"):
                workflow.synthesise(folder, households=households, years=years, end=end, seed=seed)
            steps.note(
                f"a synthetic county of {households:,} households, {years} years to {end}, "
                f"seed {seed}: {folder}"
            )
            steps.note(
                "its people have ids, no names; docs/synthetic-county.md lists what it does not imitate"
            )
        else:
            steps.note(f"yours: {folder}")

    with steps.step("Check", "检查"):
        from riskmodel.settings import load_settings, today
        from riskmodel.tables import checked_tables

        report, county = checked_tables(folder, today=today(load_settings(project)))
        rows = sum(summary.rows for summary in report.tables)
        steps.note(
            f"{len(report.tables)} tables, {rows:,} rows: {len(report.errors)} errors, "
            f"{len(report.warnings)} warnings"
        )
        for finding in report.warnings[:4]:
            steps.note(f"[dim]{finding.where}: {finding.found}"[:150])
        if len(report.warnings) > 4:
            steps.note(f"[dim]... all of them: riskmodel check {folder}")

    with steps.step("Train", "训练"):
        from riskmodel.training import train_many

        with steps.progress() as progress:
            runs = train_many(project, PLANS, county, progress=progress)
        steps.note(runs[-1].folds)
        for trained in runs:
            steps.note(f"{trained.plan:<18} run {trained.id}  {trained.seconds:.0f} s")

    with steps.step("Compare", "比较"):
        comparison = workflow.compare(runs, project=project, truth=_truth_of(folder))
        console.print(comparison.text(width=console.width), soft_wrap=True, markup=False)

    with steps.step("Promote", "选用"):
        champion = _promote_best(project, steps, runs, comparison)

    with steps.step("Score, explain, list", "评分、理由、清单"):
        as_of = county.newest_known_on
        with console.status(f"scoring and explaining the cohort as of {as_of}"):
            scores = workflow.score(county, as_of, model=champion.id, project=project)
        visits = capacity or max(1, round(SHARE_OF_COHORT * len(scores)))
        from riskmodel.visits.grades import with_grades
        from riskmodel.visits.writers import list_files

        with list_files([out / "list.xlsx", out / "list.csv"]) as write:
            listed = workflow.screening_list(
                scores, county, as_of=as_of, capacity=visits, issue=True, write=write, project=project
            )
        scores = with_grades(scores, listed.grades)
        with replacing(out / "scores.parquet") as draft:
            scores.frame.write_parquet(draft)
        workflow.keep_importance(scores, run=champion.id, project=project)
        steps.note(listed.summary())
        _show_first(console, scores)

    with steps.step("Plots and release", "图与发布"):
        pictures = _plots(out, comparison, scores, listed)
        from riskmodel.serving.releases.seal import key_path

        if not key_path(project).exists():
            workflow.release_key(project=project)
        release = workflow.release(county, as_of, model=champion.id, project=project)

    seconds = time.monotonic() - began
    console.rule(f"Done in {seconds:.0f} s · 完成")
    console.print(
        f"The list for the team       {out / 'list.xlsx'}\n"
        f"The same as CSV             {out / 'list.csv'}\n"
        f"All scores with reasons     {out / 'scores.parquet'}\n"
        + "".join(f"{title:<28}{path}\n" for title, path in pictures)
        + f"Runs, for `mlflow ui`       {project.mlruns}\n"
        f"What the service loads      {release}\n\n"
        f"{SIGNAL_ZH} · {SIGNAL_EN}\n\n"
        f"{next_steps(project, listed.county_code)}",
        soft_wrap=True,
        markup=False,
    )


def next_steps(project: Project, county_code: str) -> str:
    """What to do after the demo, in the commands of the person who started it: those of `make` in a checkout,
    else those of the installed program.

    county_code: 6 digits, the area of the key that is proposed.
    """
    by_make = "MAKELEVEL" in os.environ and (project.root / "Makefile").is_file()
    program = str(Path(".venv", "bin", "riskmodel")) if by_make else _program()
    here = "" if by_make or _is_around(project) else f" --project {shlex.quote(str(project.root))}"
    notebook = project.root / "notebooks" / "01_a_county_in_ten_minutes.ipynb"
    again = "make demo TABLES=folder" if by_make else f"{program} demo --tables folder{here}"
    opened = [str(project.root / "out" / "list.xlsx"), *([str(notebook)] if notebook.is_file() else [])]
    return (
        f"Next: open {' · '.join(opened)}\n"
        f"On your own tables: {again} (docs/data-contract.md of the repository)\n"
        "The page and the API · 页面和接口: make a key, start the service, sign in at "
        "http://127.0.0.1:3000\n"
        f"  {program} keys add 'screening desk' --role screener --area {county_code} --purpose 'home "
        f"visits'{here}\n"
        f"  {'make serve' if by_make else f'{program} serve{here}'}"
    )


def _program() -> str:
    """The command that runs riskmodel here: its name where the shell finds it, otherwise its path."""
    started = Path(sys.argv[0])
    if started.stem != "riskmodel":
        return f"{shlex.quote(sys.executable)} -m riskmodel.cli"
    found = shutil.which("riskmodel")
    return "riskmodel" if found and Path(found).resolve() == started.resolve() else shlex.quote(str(started))


def _is_around(project: Project) -> bool:
    """Whether commands find the project without --project."""
    try:
        return Project.find().root.resolve() == project.root.resolve()
    except ProjectError:
        return False


class Steps:
    """Prints which step is under way, and how long it took."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.done = 0

    @contextmanager
    def step(self, en: str, zh: str) -> Iterator[None]:
        """Print the heading of the next step, run the body of the `with`, and print the seconds that it
        took."""
        self.done += 1
        self.console.rule(f"[bold]{self.done}/{STEPS}  {en} · {zh}", align="left")
        began = time.monotonic()
        yield
        self.note(f"[dim]{time.monotonic() - began:.1f} s")

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, float], None]]:
        """A bar for work that reports (text, share done)."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("  {task.description:<46}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda text, share: bar.update(task, description=text[:46], completed=share)

    def note(self, text: str) -> None:
        """Print a text below the heading of the step, indented."""
        for line in text.splitlines():
            self.console.print(f"  {line}", soft_wrap=True)


def _forget(folder: Path) -> None:
    """Take away what an earlier demo synthesised, and nothing else."""
    for old in (folder, folder.with_name(f"{folder.name}_truth")):
        shutil.rmtree(old, ignore_errors=True)


def _truth_of(folder: Path) -> Path | None:
    """`truth.parquet` beside a synthetic county, if there is one. The true probability includes chance events
    that no record shows: a model above it, or above AUC 0.9, would be leaking."""
    truth = folder.with_name(f"{folder.name}_truth") / "truth.parquet"
    return truth if truth.is_file() else None


def _promote_best(project: Project, steps: Steps, runs: Sequence[Run], comparison: Comparison) -> Run:
    """Try the runs in the order of the comparison under training/acceptance.yaml; the first that passes
    becomes champion.

    Where none passes (a small county, a county without signal), the best learned one is taken on for the
    demonstration with the failed checks waived by name. That is printed here and kept in the model's record.
    """
    order = sorted(runs, key=lambda run: -comparison.result[run.plan].value("average_precision"))
    learned = [run for run in order if not run.plan.endswith(("_rule", "_rules"))]
    refusals: dict[str, PromotionRefused] = {}
    for run in learned:
        try:
            promotion = workflow.promote(
                run,
                by="make demo",
                because="best of the demo's plans that passes every check",
                project=project,
            )
        except PromotionRefused as refusal:
            refusals[run.id] = refusal
            steps.note(f"{run.plan} is not taken on:")
            steps.note("\n".join(f"  {line}" for line in str(refusal).splitlines()))
            continue
        steps.note(promotion.text())
        return run
    best = learned[0]
    waive = {
        fault.where: "demonstration only, nobody is screened with it" for fault in refusals[best.id].faults
    }
    promotion = workflow.promote(
        best, by="make demo", because="no plan passes; shown for demonstration", waive=waive, project=project
    )
    steps.note(
        f"[bold red]No plan passes training/acceptance.yaml on these tables.[/] {best.plan} is shown for "
        "demonstration only:"
    )
    steps.note(promotion.text())
    return best


def _show_first(console: Console, scores: Scores) -> None:
    """The first household of the model's order, with its reasons in both languages."""
    from rich.panel import Panel
    from rich.text import Text

    first = scores.frame["household_id"][0]
    console.print(
        Panel(
            Text(scores.reasons(first).text()),
            title="First in the model's order · 模型排序第一户",
            title_align="left",
        )
    )


def _plots(out: Path, comparison: Comparison, scores: Scores, listed: VisitList) -> list[tuple[str, Path]]:
    from riskmodel.screening.frequency import frequent_reasons
    from riskmodel.training.plots import calibration_plot, reasons_plot, recall_plot

    households = listed.rows["household_id"].to_list()
    learned = [comparison.result[name] for name in comparison.runs if not name.endswith(("_rule", "_rules"))]
    figures = (
        ("Calibration", "calibration.png", calibration_plot(learned)),
        (
            "Recall against visits",
            "recall_against_visits.png",
            recall_plot(comparison.result, capacity=SHARE_OF_COHORT),
        ),
        (
            "Most frequent reasons",
            "most_frequent_reasons.png",
            reasons_plot(frequent_reasons(scores, households), households=len(households)),
        ),
    )
    written = []
    for title, name, figure in figures:
        with replacing(out / name) as draft:
            figure.savefig(draft, dpi=130, bbox_inches="tight")
        written.append((title, out / name))
    return written
