"""The command line: it parses, calls one public function of riskmodel a command, and prints what came back.

Exit codes: 0 done, 1 something a person can mend (in plain words, no traceback), 2 the command was written
wrongly. Everything that calculates is imported by the command that needs it, so that `riskmodel --help`
answers at once. `main` is the one place where an error of the system (a full disk, a missing permission, a
missing extra) becomes a line for people.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import riskmodel as rm
from riskmodel.errors import Fault, UserError
from riskmodel.files import in_plain_words, replacing

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Puts rural households in order for human verification of the risk of (re)lapsing into poverty. "
    "A signal, never a verdict. 核实优先级信号，非认定结论",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"riskmodel {rm.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself; `--version` prints it and exits."""
    pass


keys = typer.Typer(
    help="Keys to the service: who may do what, for whom, for what purpose, until when.", no_args_is_help=True
)
app.add_typer(keys, name="keys")
audit = typer.Typer(help="The audit: who saw or did what. It cannot be changed unseen.", no_args_is_help=True)
app.add_typer(audit, name="audit")

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        help="The project folder; otherwise RISKMODEL_PROJECT, or the one around the working folder.",
    ),
]
TablesProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        help="This command needs none; a folder that is named must be a project.",
        callback=lambda folder: folder if folder is None else rm.open_project(folder).root,
    ),
]
CheckProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        help="Its `timezone` decides which day is today; without a project China's.",
        callback=lambda folder: folder if folder is None else rm.open_project(folder).root,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: one JSON document.")]
TablesOption = Annotated[
    Path, typer.Option("--tables", metavar="DIR", help="A data folder with the contract's tables.")
]
AsOfOption = Annotated[
    str, typer.Option("--as-of", metavar="DATE", help="YYYY-MM-DD; nothing known later is used.")
]


class Format(StrEnum):
    """How `check` answers."""

    text = "text"
    json = "json"


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def _note(text: str) -> None:
    """A line beside the answer, on standard error. That it cannot be printed is no reason to stop."""
    with suppress(OSError):
        _console(stderr=True).print(text, markup=False)


def _answer(text: Callable[[], str], document: Callable[[], Any], *, as_json: bool) -> None:
    """Print an answer: as text for people, or as one JSON document (dates as text, an unknown number as
    null).
    """
    if not as_json:
        print(text())
        return
    import json

    print(json.dumps(_plain(document()), ensure_ascii=False, indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    """A value for JSON: records and frames as objects and lists, dates and paths as text, numbers without a
    value as null.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return str(value) if isinstance(value, StrEnum) else value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if hasattr(value, "as_dict"):
        return _plain(value.as_dict())
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "to_dicts"):
        return _plain(value.to_dicts())
    if hasattr(value, "to_dict"):
        return _plain(value.to_dict(orient="records"))
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)


def _ending(path: Path | None, known: Sequence[str], option: str, what: str) -> None:
    """The ending decides the form of a file; an unknown one is a command that was written wrongly."""
    if path is not None and path.suffix.lower() not in known:
        raise typer.BadParameter(f"{path}: {what} is written as {', '.join(known)}.", param_hint=option)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error for work that reports (text, share done)."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<50}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda text, share: bar.update(task, description=text[:50], completed=share)


@app.command()
def demo(
    tables: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Your own tables; without it a county is synthesised.")
    ] = None,
    households: Annotated[int, typer.Option(help="Households of the synthetic county.")] = 20_000,
    years: Annotated[int, typer.Option(help="Years of its history.")] = 4,
    end: Annotated[str, typer.Option(metavar="DATE", help="Last day of its history.")] = "2025-12-31",
    seed: Annotated[int, typer.Option(help="Seed of the synthetic county.")] = 1,
    capacity: Annotated[
        int | None, typer.Option(help="Visits on the list; without it 3 % of the cohort.")
    ] = None,
    project: ProjectOption = None,
) -> None:
    """The main job from tables to a visit list, in one go; writes out/."""
    from riskmodel.demo import run

    run(
        rm.open_project(project),
        tables=tables,
        households=households,
        years=years,
        end=end,
        seed=seed,
        capacity=capacity,
    )


@app.command()
def synthesise(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the tables go; the truth goes to DIR_truth.")
    ],
    households: Annotated[int, typer.Option(help="How many households.")] = 20_000,
    years: Annotated[int, typer.Option(help="How many years of history.")] = 4,
    end: Annotated[str, typer.Option(metavar="DATE", help="The last day that is known.")] = "2025-12-31",
    seed: Annotated[int, typer.Option(help="The same seed makes the same bytes.")] = 1,
    project: TablesProjectOption = None,
) -> None:
    """Write a synthetic county with known truth: every table of the contract, as Parquet."""
    rm.synthesise(folder, households=households, years=years, end=end, seed=seed)
    _console().print(f"Tables: {folder}\nTruth:  {folder}_truth (never an input)")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data folder.")],
    format: Annotated[
        Format, typer.Option("--format", help="text for people, json for programs.")
    ] = Format.text,
    json: JsonOption = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE.html", help="Also write the quality report for the departments."
        ),
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(
            "--quarantine",
            metavar="DIR",
            help="Write refused rows to files here, each with its reason; the rest can be used.",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="DIR",
            help="Keep the checked tables here as Parquet; use the folder as tables from then on.",
        ),
    ] = None,
    project: CheckProjectOption = None,
) -> None:
    """Check the tables of a data folder: all faults at once. Exit code 1 with faults."""
    _ending(report, [".html"], "--report", "the report")
    found = rm.check_tables(folder, project=project)
    print(found.json() if json or format is Format.json else found.text())
    if report is not None:
        _note(f"Quality report: {rm.quality_report(folder, report, project=project)}")
    if quarantine is not None and not found.ok:
        _note(rm.quarantine(folder, quarantine, project=project).text())
    if store is not None and found.ok:
        _note(rm.store_tables(folder, store).text())
    raise typer.Exit(0 if found.ok else 1)


@app.command("map")
def propose(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An extract as it came: .csv, .csv.gz, .xlsx or .parquet.")
    ],
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="NAME", help="Which table it is, if its name does not show it."),
    ] = None,
    project: TablesProjectOption = None,
) -> None:
    """Propose a tables.yaml from the headings of an extract; read it, then put it into the data folder."""
    print(rm.propose_mapping(file, table))


@app.command()
def features(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data folder.")],
    as_of: AsOfOption,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE.parquet", help="One row a household of the cohort."),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="HOUSEHOLD", help="Show how this household's values came about: formula, window, rows."
        ),
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="With --explain: only this feature; repeatable.")
    ] = None,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Build the features of the cohort as of a day, or show how those of one household came about."""
    if (output is None) == (explain is None) or (feature and explain is None):
        raise typer.BadParameter(
            "give either --output FILE.parquet or --explain HOUSEHOLD (with --feature NAME, if you like)"
        )
    if explain is not None:
        traces = rm.trace_features(folder, explain, as_of, features=feature or (), project=project)
        _answer(lambda: "\n\n".join(trace.text() for trace in traces), lambda: traces, as_json=json)
        return
    if json:
        raise typer.BadParameter("--json goes with --explain; the features themselves are a file")
    assert output is not None
    _ending(output, [".parquet"], "--output", "the features")
    with replacing(output) as draft:
        tables = rm.read_tables(folder)
        frame = rm.build_features(tables, as_of, project=project)
        frame.to_parquet(draft, index=False)
    for note in rm.policy_notes(tables, as_of, project=project):
        _note(f"Note: {note}")
    _console().print(f"{len(frame):,} households × {frame.shape[1] - 3} features as of {as_of}: {output}")


@app.command()
def leaks(
    tables: TablesOption,
    as_of: Annotated[
        list[str] | None,
        typer.Option(metavar="DATE", help="Repeatable; default: 18 and 6 months before the newest known_on."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the alterations.")] = 1,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Hunt for features that look past the as-of date: later rows are removed, added and altered. Exit code 1
    when one does.
    """
    report = rm.hunt_leaks(tables, as_of=as_of or (), seed=seed, project=project)
    _answer(report.text, lambda: {"ok": report.ok} | _plain(report), as_json=json)
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def train(
    plan: Annotated[str, typer.Argument(help="A plan in training/plans/, without .yaml.")],
    tables: TablesOption,
    until: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Only what was known by this day; default: the newest known_on."),
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(
            "--quarantine",
            metavar="DIR",
            help="Set refused rows aside here and go on, as far as the plan allows it.",
        ),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Train a plan, evaluate it on later dates and log the run; prints the run's id last."""
    with _progress() as progress:
        data = tables if quarantine is None else rm.read_tables(tables, aside=quarantine)
        run = rm.train(plan, data, until=until, project=project, progress=progress)
    _note(run.text())
    print(run.id)


@app.command()
def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Run ids; without them the newest run of each plan."),
    ] = None,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Compare runs on identical as-of dates and households."""
    found = rm.compare(runs or (), project=project)
    _answer(found.text, found.document, as_json=json)


@app.command()
def promote(
    run: Annotated[str, typer.Argument(help="The run that is to become champion.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides.")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why.")],
    waive: Annotated[
        list[str] | None,
        typer.Option(
            "--waive",
            metavar="CHECK=REASON",
            help="Let one named check of training/acceptance.yaml pass, with its own reason.",
        ),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Make a run the champion, if it passes training/acceptance.yaml."""
    waivers = dict(_waiver(text) for text in waive or ())
    print(rm.promote(run, by=by, because=because, waive=waivers, project=project).text())


def _waiver(text: str, name: str = "CHECK") -> tuple[str, str]:
    check, separator, reason = text.partition("=")
    if not separator or not reason.strip():
        raise typer.BadParameter(
            f"{text!r}: write {name}=REASON, a waiver needs its own reason.", param_hint="--waive"
        )
    return check.strip(), reason.strip()


@app.command()
def rollback(
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides.")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why.")],
    project: ProjectOption = None,
) -> None:
    """Give the champion's place back to the one before it."""
    print(rm.rollback(by=by, because=because, project=project))


@app.command()
def replay(
    scores: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A file written by `riskmodel score`: .parquet, .csv or .xlsx."),
    ],
    tables: TablesOption,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Compute stored scores again, bit for bit. Exit code 1 if one differs or something is gone."""
    done = rm.replay(scores, tables, project=project)
    _answer(done.text, lambda: {"ok": done.ok} | _plain(done), as_json=json)
    raise typer.Exit(0 if done.ok else 1)


@app.command()
def score(
    tables: TablesOption,
    as_of: AsOfOption,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            metavar="FILE",
            help="One row a household, sorted by rank; as .parquet, .csv or .xlsx, which `replay` reads.",
        ),
    ],
    model: Annotated[str, typer.Option(metavar="RUN|champion", help="Whose scores.")] = "champion",
    horizon: Annotated[
        int, typer.Option(metavar="M", help="Months ahead: 3, 6 or 12, as the model offers.")
    ] = 12,
    project: ProjectOption = None,
) -> None:
    """Score and explain every household of the cohort."""
    _ending(output, SCORE_FORMS, "--output", "the file of scores")
    with replacing(output) as draft:
        scores = rm.score(tables, as_of, model=model, horizon=horizon, project=project)
        rm.write_scores(scores, draft)
    if scores.stale is not None:
        _note(f"Note: {scores.stale[1]}")
    print(f"{len(scores):,} households scored as of {as_of}: {output}")


SCORE_FORMS = (".parquet", ".csv", ".xlsx")


@app.command("list")
def visit_list(
    tables: TablesOption,
    as_of: AsOfOption,
    capacity: Annotated[
        int | None,
        typer.Option(min=1, help="How many visits can be given; without it that of serving/screening.yaml."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help=(
                "The list of the county as .xlsx or .csv, to be filled in; or as .html or .pdf, "
                "to be printed."
            ),
        ),
    ] = None,
    by_township: Annotated[
        Path | None,
        typer.Option(
            "--by-township",
            metavar="DIR",
            help="One workbook for the county and one for each township, into this folder.",
        ),
    ] = None,
    county: Annotated[
        str | None,
        typer.Option(
            "--county", metavar="CODE", help="6 digits; needed where the tables hold several counties."
        ),
    ] = None,
    model: Annotated[str, typer.Option(metavar="RUN|champion", help="Whose scores.")] = "champion",
    project: ProjectOption = None,
) -> None:
    """Give out the visit list of a day: it is kept in the casebook, and what is not done will be carried over
    to the next one.
    """
    if output is None and by_township is None:
        raise typer.BadParameter("give --output FILE, or --by-township DIR, or both")
    from riskmodel.visits.writers import LIST_WRITERS

    _ending(output, list(LIST_WRITERS), "--output", "the list")
    written: list[Path] = []
    with rm.list_files(output, by_township=by_township) as write:
        data = rm.read_tables(tables)
        scores = rm.score(data, as_of, model=model, project=project)
        visits = rm.screening_list(
            scores, data, as_of=as_of, capacity=capacity, county=county, issue=True,
            write=lambda made: written.extend(write(made)), project=project,
        )  # fmt: skip
    _console().print("\n".join([visits.summary(), *map(str, written)]))


@app.command()
def explain(
    household: Annotated[str, typer.Argument(help="A household_id.")],
    tables: TablesOption,
    as_of: AsOfOption,
    model: Annotated[str, typer.Option(metavar="RUN|champion", help="Whose score.")] = "champion",
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Also draw a waterfall.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Also show what moved it since this day.")
    ] = None,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Explain a household's score: its reasons, in Chinese and English."""
    _ending(plot, [".png", ".pdf", ".svg"], "--plot", "the waterfall")
    found = rm.explain(household, tables, as_of, model=model, plot=plot, project=project)
    moved: dict[str, Any] = {}
    if since is not None:
        frame = rm.changes(tables, as_of, since, model=model, project=project)
        rows = frame[frame["household_id"] == household].to_dict(orient="records")
        moved = {str(name): value for name, value in rows[0].items()}

    def text() -> str:
        lines = [found.text()]
        for title, name in ((f"自{since}以来", "changes_zh"), (f"Since {since}", "changes_en")):
            lines += [f"{title} ({moved['moved']}): {moved[name] or '–'}"] if moved else []
        return "\n".join(lines)

    _answer(text, lambda: _plain(found) | ({"since": moved} if moved else {}), as_json=json)


@app.command()
def record(
    file: Annotated[
        Path,
        typer.Argument(
            help="A filled visit list (.xlsx or .csv), or a file of returned rows after correction."
        ),
    ],
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who submits it; kept in the audit.")
    ] = "command line",
    project: ProjectOption = None,
) -> None:
    """Record verification results from a filled list. Refused rows are written to FILE-returned.xlsx with
    their reasons, and the exit code is 1; the same file twice changes nothing.
    """
    done = rm.record(file, by=by, project=project)
    print(done.text())
    raise typer.Exit(1 if done.refused else 0)


@app.command()
def cycles(
    closed: Annotated[bool, typer.Option("--closed", help="The closed ones too.")] = False,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Show the open cycles: how many visits have come back, and results of two teams that contradict each
    other.
    """
    found = rm.cycles(closed=closed, project=project)
    _answer(found.text, lambda: found.rows, as_json=json)


@app.command("close")
def close(
    cycle: Annotated[str, typer.Argument(help="Its name, such as 2026-01.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides; stands in the audit.")],
    county: Annotated[
        str | None,
        typer.Option(
            "--county", metavar="CODE", help="6 digits; needed where the casebook holds several counties."
        ),
    ] = None,
    waive: Annotated[
        list[str] | None,
        typer.Option(
            "--waive",
            metavar="HOUSEHOLD=REASON",
            help="Close in spite of results of this household that contradict each other.",
        ),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Close a cycle for good: results for it are refused from now on, also corrections. What was recorded
    stays.
    """
    waivers = dict(_waiver(text, "HOUSEHOLD") for text in waive or ())
    print(rm.close_cycle(cycle, by=by, county=county, waive=waivers, project=project))


@app.command()
def withdraw(
    household: Annotated[str, typer.Argument(help="A household_id.")],
    cycle: Annotated[str, typer.Option("--cycle", metavar="CYCLE", help="Of which list, such as 2026-01.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides; stands in the audit.")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why, without naming a person.")],
    team: Annotated[
        str | None, typer.Option("--team", metavar="CODE", help="Needed where several teams have a result.")
    ] = None,
    county: Annotated[
        str | None,
        typer.Option("--county", metavar="CODE", help="6 digits; needed where several counties have one."),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Take back the result of a visit that was recorded on the wrong household. The row is kept and counts
    nowhere any more.
    """
    print(rm.withdraw(household, cycle, because=because, by=by, team=team, county=county, project=project))


@app.command()
def recall(
    tables: Annotated[
        Path | None,
        typer.Option(
            "--tables",
            metavar="DIR",
            help="The county's tables: villages that its sweep saw whole are counted, too.",
        ),
    ] = None,
    county: Annotated[
        str | None, typer.Option("--county", metavar="CODE", help="Only lists of this county, 6 digits.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Only lists as of this day or later.")
    ] = None,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Estimate what the lists missed, from the random checks of all cycles together. With too few
    confirmations: only an interval, or not_estimable.
    """
    found = rm.recall(tables=tables, county=county, since=since, project=project)
    _answer(found.text, lambda: found, as_json=json)


@app.command()
def disagreements(json: JsonOption = False, project: ProjectOption = None) -> None:
    """Count where visits disagreed with the reasons, by kind and by nothing else: what the features lack."""
    found = rm.disagreements(project=project)
    lines = [f"{row.count:>6}  {row.zh} · {row.en}" for row in found.itertuples(index=False)]
    none = "No visit has disagreed with its reasons so far."
    _answer(lambda: "\n".join(lines) or none, lambda: found, as_json=json)


@app.command()
def exits(
    tables: TablesOption,
    as_of: AsOfOption,
    output: Annotated[
        Path,
        typer.Option("--output", metavar="FILE", help="The review as .xlsx for the reviewers, or as .csv."),
    ],
    model: Annotated[str, typer.Option(metavar="RUN|champion", help="Whose scores.")] = "champion",
    project: ProjectOption = None,
) -> None:
    """Propose monitored households for a review by people, with what speaks for and against it. It ends no
    monitoring.
    """
    from riskmodel.visits.writers import REVIEW_WRITERS

    _ending(output, list(REVIEW_WRITERS), "--output", "the review")
    with replacing(output) as draft:
        review = rm.exit_review(tables, as_of, model=model, project=project)
        rm.write_review(review, draft)
    _console().print(f"{review.summary()}\n{output}")


@app.command()
def backup(
    target: Annotated[
        Path, typer.Argument(metavar="FILE.db", help="Where the copy goes; best on another disk.")
    ],
    project: ProjectOption = None,
) -> None:
    """Copy a SQLite casebook while it is in use, and check the copy. An older backup of that name is replaced
    only when all is well.
    """
    print(rm.backup(target, project=project))


@app.command()
def release(
    tables: TablesOption,
    as_of: AsOfOption,
    model: Annotated[str, typer.Argument(help="champion, or a run.")] = "champion",
    project: ProjectOption = None,
) -> None:
    """Write and seal the folder that the service loads; a running service takes it within seconds."""
    print(rm.release(tables, as_of, model=model, project=project))


@app.command(name="release-key")
def release_key(project: ProjectOption = None) -> None:
    """Make the key that seals releases. Keep it where releases are made; the service needs its public half
    only (serving/trusted_keys.yaml).
    """
    path, name = rm.release_key(project=project)
    print(
        f"Private key: {path} (mode 0600; back it up, never copy it to the service)\n"
        f"Public key:  {name}, added to serving/trusted_keys.yaml"
    )


@app.command()
def export(
    households: Annotated[
        list[str], typer.Argument(metavar="HOUSEHOLD...", help="One household_id or several.")
    ],
    tables: TablesOption,
    as_of: AsOfOption,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE.json", help="The body of POST /v1/scores.")
    ],
    project: TablesProjectOption = None,
) -> None:
    """Write the scoring request of one household or of several, to try the service with."""
    _ending(output, [".json"], "--output", "the request")
    print(rm.export_households(households, tables, as_of, output))


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Keep to loopback; use a proxy in front in production.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 3000,
    project: ProjectOption = None,
) -> None:
    """Run the scoring service (BentoML) on the newest release."""
    rm.serve(host=host, port=port, project=project)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    project: ProjectOption = None,
) -> None:
    """Make a new project folder with features/, training/, serving/ and notebooks/, ready to edit."""
    _console().print(f"A new project: {rm.init_project(folder, project=project)}")


@keys.command("add")
def keys_add(
    name: Annotated[
        str, typer.Argument(help="The workplace or system that gets it, no person's name or number.")
    ],
    role: Annotated[
        str,
        typer.Option("--role", help="analyst, screener, case_system, auditor or operator (docs/access.md)."),
    ],
    purpose: Annotated[
        str, typer.Option("--purpose", metavar="TEXT", help="What it is for; kept in the audit.")
    ],
    area: Annotated[
        list[str] | None,
        typer.Option(
            "--area",
            metavar="CODE",
            help="Whose households: province, prefecture, county, township or village; repeatable.",
        ),
    ] = None,
    days: Annotated[int, typer.Option("--days", help="How long it is in force, at most 730.")] = 365,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who gives it out; kept in the audit.")
    ] = "command line",
    project: ProjectOption = None,
) -> None:
    """Make a key and show it this once."""
    print(
        rm.add_key(
            name, role=role, areas=area or (), purpose=purpose, days=days, by=by, project=project
        ).text()
    )


@keys.command("list")
def keys_list(json: JsonOption = False, project: ProjectOption = None) -> None:
    """Show all keys, newest first: id, state, role, areas, expiry, name, purpose. Never the secrets."""
    found = rm.list_keys(project=project)
    none = "No key has been made yet: `riskmodel keys add`."
    _answer(lambda: "\n".join(key.text() for key in found) or none, lambda: found, as_json=json)


@keys.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(metavar="KEY_ID", help="Its id, as `riskmodel keys list` shows it.")],
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who takes it back; kept in the audit.")
    ] = "command line",
    project: ProjectOption = None,
) -> None:
    """Take a key back at once, with its sessions."""
    print(rm.revoke_key(key, by=by, project=project).text())


@audit.command("verify")
def audit_verify(
    head: Annotated[
        Path | None,
        typer.Option(
            "--head",
            metavar="FILE.jsonl",
            help="An earlier export: only with it is a cut or rewritten tail found.",
        ),
    ] = None,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Look through the whole chain for entries that were changed, removed or cut off. Exit code 1 when
    something is wrong.
    """
    found = rm.verify_audit(head, project=project)
    _answer(found.text, lambda: {"ok": found.ok} | _plain(found), as_json=json)
    raise typer.Exit(0 if found.ok else 1)


@audit.command("export")
def audit_export(
    output: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.jsonl", help="The head of the chain, then one entry a line; keep it elsewhere."
        ),
    ],
    since: Annotated[
        int, typer.Option("--since", metavar="NUMBER", help="Only entries from this number on.")
    ] = 0,
    project: ProjectOption = None,
) -> None:
    """Write the audit to a file, and verify it in the same reading. Exit code 1 when something is wrong; the
    file is written all the same.
    """
    found = rm.export_audit(output, since=since, project=project)
    print(f"{found.text()}\n{output}")
    raise typer.Exit(0 if found.ok else 1)


# What an optional part of the installation brings: the module that is missing, and the extra that has it.
EXTRAS = {
    "train": ("matplotlib", "mlflow", "optuna", "shap", "sklearn", "threadpoolctl"),
    "print": ("weasyprint",),
    "postgres": ("psycopg",),
    "sso": ("authlib", "httpx", "joserfc"),
}


def main() -> None:
    """Run the command line. Errors that a person can mend are a line each, without a traceback, with exit
    code 1.
    """
    _standard_streams()
    code = _outcome()
    unwritten = _flushed()
    if unwritten is not None:
        _refuse(unwritten)
        code = code or 1
    sys.exit(code)


def _outcome() -> int:
    """Run the command. Returns its exit code."""
    try:
        app()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except UserError as error:
        _refuse(error)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        extra = next((extra for extra, modules in EXTRAS.items() if missing in modules), None)
        if extra is None:
            raise
        remedy = f"Install it: pip install 'relapse-riskmodel[{extra}]'."
        _refuse(UserError(Fault("riskmodel", f"{missing} is not installed", f"the extra `{extra}`", remedy)))
    except Exception as error:
        plain = in_plain_words(error) or _of_a_library(error)
        if plain is None:
            raise
        _refuse(plain)
    return 1


def _of_a_library(error: Exception) -> UserError | None:
    """What a library reports of the machine rather than of a file. None: another cause."""
    if isinstance(error, RuntimeError) and "no locator available" in str(
        error
    ):  # numba found no folder for its cache
        found = os.environ.get("NUMBA_CACHE_DIR", "not set, and no folder at hand")
        expected = "a folder for compiled code that this user may write to"
        remedy = "Set NUMBA_CACHE_DIR and RISKMODEL_CACHE to one (systemd: CacheDirectory=)."
        return UserError(Fault("NUMBA_CACHE_DIR", found, expected, remedy))
    return None


class _Printed(io.FileIO):
    """Standard output or error, whose errors name it, to distinguish them from those of files."""

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            where = "standard output" if self.fileno() == 1 else "standard error"
            raise OSError(error.errno, error.strerror, where) from None


def _standard_streams() -> None:
    """Streams that take every text: a closed one leads nowhere, an encoding without Chinese gets `\\u6838`
    instead of an error.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # Takes the lowest free number. Otherwise the next file that is opened would be printed into.
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is not None and getattr(stream, "buffer", None) is None:
            continue  # a test reads what is printed
        try:
            own = stream is None or stream.fileno() == number
        except OSError:
            own = False
        if own:
            raw = _Printed(number, "w", closefd=False)
            terminal = raw.isatty()
            buffered = io.BufferedWriter(raw)
            encoding = "utf-8" if stream is None else stream.encoding
            new = io.TextIOWrapper(
                buffered, encoding, "backslashreplace", line_buffering=terminal or number == 2
            )
            setattr(sys, name, new)


def _flushed() -> UserError | None:
    """Hand on what was printed. A UserError where it cannot be written: a full disk behind `>`, a reader that
    has gone (`| head`).
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(1)
        sys.exit(1)  # as the shell's own programs do: nobody is there to read a message
    except OSError as error:
        _discard(1)
        found = in_plain_words(error, "standard output")
        other = Fault(
            "standard output", error.strerror or str(error), "a place that takes it", "Look where it goes."
        )
        return found or UserError(other)
    return None


def _discard(number: int) -> None:
    """Send what is still to be printed nowhere, so that the interpreter does not try again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _refuse(error: UserError) -> None:
    try:
        for line in str(error).splitlines():
            _console(stderr=True).print(line, markup=False)
    except OSError:
        _discard(2)


if __name__ == "__main__":  # `python -m riskmodel.cli`: in a Bento's image nothing of ours is installed
    main()
