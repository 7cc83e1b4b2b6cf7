"""The steps of the work, each one function: what the command line, a notebook and the demo call.

Every function takes `project` (a Project, a folder, or None for the project around the working folder).
Nothing here calculates; each step hands over to the room that does.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riskmodel import files
from riskmodel.calendar import day
from riskmodel.errors import Fault, UserError
from riskmodel.project import Project, start_project

if TYPE_CHECKING:
    import pandas as pd

    from riskmodel.casebook import Casebook, Recorded
    from riskmodel.casebook.audit import AuditFindings
    from riskmodel.casebook.credentials import Key, NewKey
    from riskmodel.casebook.cycles import Cycles
    from riskmodel.features import LeakReport, ValueTrace
    from riskmodel.screening.replay import Replay
    from riskmodel.screening.scoring import Scores, ScreeningModel
    from riskmodel.tables import CheckReport, Quarantined, Stored, Tables
    from riskmodel.training import Comparison, Promotion, Run
    from riskmodel.training.random_checks import CheckedRecall
    from riskmodel.visits.exits import ExitReview
    from riskmodel.visits.visit_list import VisitList

PathLike = str | os.PathLike[str]
ProjectLike = Project | PathLike | None


def open_project(folder: ProjectLike = None) -> Project:
    """The project folder: named, by RISKMODEL_PROJECT, or around the working folder. Raises ProjectError."""
    return folder if isinstance(folder, Project) else Project.find(folder)


def synthesise(folder: PathLike, *, households: int, years: int, end: dt.date | str, seed: int) -> Path:
    """Write a synthetic county as Parquet tables, and its truth into the sibling folder `<folder>_truth`.
    Returns the folder."""
    from riskmodel import synthetic

    target = Path(folder)
    with files.naming(target):
        synthetic.synthesise(target, households=households, years=years, end=day(end), seed=seed)
    return target


def synthetic_county(
    *, households: int = 2000, years: int = 4, end: dt.date | str = "2025-12-31", seed: int = 1
) -> tuple[Tables, pd.DataFrame]:
    """A synthetic county in memory: its tables, and the truth (household_id, as_of, true probability,
    outcome)."""
    from riskmodel import synthetic

    tables, truth = synthetic.synthetic_county(households=households, years=years, end=day(end), seed=seed)
    return tables, truth.to_pandas()


def read_tables(folder: PathLike, *, aside: PathLike | None = None) -> Tables:
    """The tables of a data folder, checked. Raises DataError with all faults.

    aside: a folder into which refused rows are written, each with its reason; the others are used, and
    `refused` counts what is missing.
    """
    from riskmodel import tables

    return tables.read_tables(Path(folder)) if aside is None else quarantine(folder, aside).tables


def check_tables(folder: PathLike, *, project: ProjectLike = None) -> CheckReport:
    """Everything that is wrong or odd in a data folder, at once.

    project: whose `timezone` decides which day is today; none is needed.
    """
    from riskmodel import tables

    return tables.check_tables(Path(folder), today=_county_day(project))


def quality_report(folder: PathLike, output: PathLike, *, project: ProjectLike = None) -> Path:
    """Write the quality report of a data folder (one HTML page, complete in itself) that a data officer sends
    back to a department. project: see `check_tables`."""
    from riskmodel import tables

    files.write_text(output, tables.quality_report(Path(folder), today=_county_day(project)))
    return Path(output)


def quarantine(folder: PathLike, into: PathLike, *, project: ProjectLike = None) -> Quarantined:
    """Write refused rows, with the reason of each, to files in `into`, and a usable copy of the others.

    project: see `check_tables`. Raises DataError where a whole table is at fault.
    """
    from riskmodel import tables

    with files.naming(into):
        return tables.quarantine(Path(folder), Path(into), today=_county_day(project))


def _county_day(project: ProjectLike) -> dt.date:
    """Today in the time zone of the project; without one that can be read, and none named, in China's."""
    from riskmodel.calendar import today
    from riskmodel.settings import load_settings

    try:
        return today(load_settings(open_project(project)).timezone)
    except UserError:
        if project is not None:
            raise
        return today()


def store_tables(folder: PathLike, store: PathLike) -> Stored:
    """Check a folder and keep its tables, sorted and by county, with content hashes; every command takes the
    store as its tables."""
    from riskmodel import tables

    with files.naming(store):
        return tables.store_tables(Path(folder), Path(store))


def propose_mapping(file: PathLike, table: str | None = None) -> str:
    """The text of a `tables.yaml` for an extract as it came, to be read by a person before it is used."""
    from riskmodel import tables

    return tables.propose_mapping(Path(file), table)


def build_features(
    tables: Tables | PathLike, as_of: dt.date | str, *, project: ProjectLike = None, everybody: bool = False
) -> pd.DataFrame:
    """The features of the cohort (or of everybody in force) on a day, one row a household; units and
    meanings: `features/catalogue.yaml`."""
    from riskmodel import features, training
    from riskmodel.policy import Policy

    here, data = open_project(project), _tables(tables)
    households = None if everybody else training.cohort(data, day(as_of))["household_id"].to_list()
    matrix = features.build(
        data,
        day(as_of),
        catalogue=features.load_catalogue(here),
        policy=Policy.load(here, data),
        households=households,
    )
    return matrix.pandas()


def policy_notes(
    tables: Tables | PathLike, as_of: dt.date | str, *, project: ProjectLike = None
) -> list[str]:
    """Policy values in force for the county on a day that nobody has compared with what was published, a line
    each."""
    from riskmodel.policy import Policy

    data = _tables(tables)
    return Policy.load(open_project(project), data).unverified(
        data["households"]["county_code"].unique(), [day(as_of)]
    )


def trace_features(
    tables: Tables | PathLike,
    household: str,
    as_of: dt.date | str,
    *,
    features: Sequence[str] = (),
    project: ProjectLike = None,
) -> list[ValueTrace]:
    """How a household's feature values came about: formula, window, rows, policy values. features: which; all
    by default."""
    from riskmodel.features import catalogue, tracing
    from riskmodel.policy import Policy

    here, data = open_project(project), _tables(tables)
    known = catalogue.load_catalogue(here)
    names = features or known.names
    return tracing.explain_values(
        data, household, names, day(as_of), catalogue=known, policy=Policy.load(here, data)
    )


def hunt_leaks(
    tables: Tables | PathLike,
    *,
    as_of: Sequence[dt.date | str] = (),
    seed: int = 1,
    project: ProjectLike = None,
) -> LeakReport:
    """Build features as of days, alter everything known later, build again: every bit must be the same.

    as_of: by default the days 18 and 6 months before the newest `known_on`.
    """
    from riskmodel import calendar, features
    from riskmodel.policy import Policy

    here, data = open_project(project), _tables(tables)
    days = [day(one) for one in as_of] or [
        calendar.months_before(data.newest_known_on, months) for months in (18, 6)
    ]
    return features.leaks(
        data, days, catalogue=features.load_catalogue(here), policy=Policy.load(here, data), seed=seed
    )


def train(
    plan: str,
    tables: Tables | PathLike,
    *,
    until: dt.date | str | None = None,
    project: ProjectLike = None,
    progress: Callable[[str, float], None] | None = None,
) -> Run:
    """Train one plan on what was known by `until` (default: the newest `known_on`), evaluate it on later
    dates, log the run.

    progress: called with a text and the share done, from 0 to 1.
    """
    from riskmodel import training

    # A folder goes on as it is: a plan with `source: table` reads its own file there.
    data = Path(tables) if isinstance(tables, (str, os.PathLike)) else tables
    return training.train(
        open_project(project), plan, data, until=None if until is None else day(until), progress=progress
    )


def compare(
    runs: Sequence[str | Run] = (), *, truth: PathLike | None = None, project: ProjectLike = None
) -> Comparison:
    """Runs side by side on identical as-of dates and households. Without runs: the newest of each plan.

    truth: `truth.parquet` of a synthetic county; its true probability, which includes chance events that no
    record shows, is one more row.
    """
    from riskmodel import training

    ids = [run if isinstance(run, str) else run.id for run in runs]
    return training.compare(open_project(project), ids, truth=None if truth is None else Path(truth))


def promote(
    run: str | Run,
    *,
    by: str,
    because: str,
    waive: Mapping[str, str] | None = None,
    project: ProjectLike = None,
) -> Promotion:
    """Make a run the champion, if it passes `training/acceptance.yaml`. Raises PromotionRefused with every
    failed check."""
    from riskmodel import training

    return training.promote(
        open_project(project),
        run if isinstance(run, str) else run.id,
        by=by,
        because=because,
        waive=waive or {},
    )


def rollback(*, by: str, because: str, project: ProjectLike = None) -> str:
    """Give the place back to the champion before this one; who and why is kept. Returns a sentence. Raises
    ModelError when there was none."""
    from riskmodel import training

    entry = training.rollback(open_project(project), by=by, because=because)
    return f"Champion again: version {entry['version']}, run {entry['run_id']}, by {by}: {because}"


def replay(scores: PathLike, tables: Tables | PathLike, *, project: ProjectLike = None) -> Replay:
    """Compute 1,000 stored scores again and compare them bit for bit, reasons included.

    Raises UserError with every input that is no longer there.
    """
    from riskmodel.screening import replay

    return replay.replay(open_project(project), Path(scores), _tables(tables))


def load_model(which: str = "champion", *, project: ProjectLike = None) -> ScreeningModel:
    """The champion, or the model of a run, ready to score and explain. Raises ModelError."""
    from riskmodel.screening import scoring

    return scoring.ScreeningModel.load(open_project(project), which)


def run_file(run: str | Run, name: str, *, project: ProjectLike = None) -> Path:
    """A file that a run keeps, as a local path: `record.md`, `folds.json`, `plots/folds.png`, `metrics.csv`,
    … Raises ModelError."""
    from riskmodel.training import registry

    return registry.artifact(open_project(project), run if isinstance(run, str) else run.id, name)


def keep_importance(scores: Scores, *, run: str | Run = "champion", project: ProjectLike = None) -> Path:
    """Keep with a run, in MLflow, what weighs how much in these scores: `importance/importance.csv` and
    `.png`, by feature and risk kind; for trees also `interactions.csv` and `.png`, what pairs of features do
    together.

    Returns the folder. Raises ModelError when the scores were made by the model of another run.
    """
    import tempfile

    from riskmodel import training
    from riskmodel.errors import ModelError
    from riskmodel.explaining.contributions import Explainer
    from riskmodel.screening import plots
    from riskmodel.training import registry
    from riskmodel.training.model import Model

    here = open_project(project)
    name = run if isinstance(run, str) else run.id
    folder = training.load_model_folder(here, name)  # raises UserError without a champion or such a run
    now = registry.champion(here) if name == "champion" else None
    found = registry.find_run(here, now["run_id"] if now else name)
    if found["tags"].get("riskmodel.version") != scores.model_version:
        raise ModelError(
            Fault(
                f"run {found['id']}",
                f"model {found['tags'].get('riskmodel.version')}",
                f"model {scores.model_version}, which made the scores",
                "Name the run whose model made them.",
            )
        )
    texts = Model.load(folder).booster_texts
    explainer = Explainer.from_booster_texts(texts) if texts else None
    with tempfile.TemporaryDirectory() as draft:
        registry.attach(
            here,
            found["id"],
            plots.save_importance(scores.table, Path(draft), explainer=explainer),
            "importance",
        )
    return registry.artifact(here, found["id"], "importance")


def score(
    tables: Tables | PathLike,
    as_of: dt.date | str,
    *,
    model: str | ScreeningModel = "champion",
    horizon: int = 12,
    capacity: int | None = None,
    project: ProjectLike = None,
) -> Scores:
    """Score and explain the cohort of a day; for a run on a ready-made table, the rows of the day's wave.

    capacity: visits of the cycle, which decides grades; by default that of `serving/screening.yaml`.
    """
    if isinstance(model, str) and isinstance(tables, (str, os.PathLike)):
        from riskmodel.screening import ready_made

        here = open_project(project)
        if ready_made.is_ready_made(here, model):
            return ready_made.score_table(here, model, Path(tables), day(as_of))
    ready = load_model(model, project=project) if isinstance(model, str) else model
    data, date = _tables(tables), day(as_of)
    from riskmodel.visits import grades

    visits = ready.settings.capacity if capacity is None else capacity
    return grades.with_leads(ready.score(data, date, horizon=horizon), data, date, ready.settings, visits)


def write_scores(scores: Scores, output: PathLike) -> Path:
    """Write scores as .parquet, .csv or .xlsx, by the path's suffix. Returns the path. Raises DataError for
    another suffix."""
    from riskmodel.screening import score_files

    return score_files.write_scores(scores.frame, Path(output))


def screening_list(
    scores: Scores,
    tables: Tables | PathLike,
    *,
    as_of: dt.date | str,
    capacity: int | None = None,
    county: str | None = None,
    issue: bool = False,
    write: Callable[[VisitList], object] | None = None,
    project: ProjectLike = None,
) -> VisitList:
    """The visit list of a day: leads that must be seen, what was left over, the model's order, random checks,
    within the capacity.

    capacity: visits that can be given; by default that of `serving/screening.yaml`. county: code (6 digits),
    where the tables hold several. `issue`: keep it in the casebook as given out. Only then can its results be
    recorded, and what is not done be carried over. write: called with the list before it is kept, to write
    its files (`list_files`); where it raises, nothing is kept.
    """
    from riskmodel import casebook

    return casebook.next_list(
        open_project(project),
        scores,
        _tables(tables),
        day(as_of),
        capacity=capacity,
        county=county,
        issue=issue,
        write=write,
    )


def list_files(
    output: PathLike | None = None, *, by_township: PathLike | None = None
) -> AbstractContextManager[Callable[[VisitList], list[Path]]]:
    """For `screening_list(..., issue=True, write=...)`: a function that writes the files of a list. They
    replace older ones only when the block ends without an error.

    output: .xlsx, .csv, .html or .pdf. by_township: a folder, as in `write_list_by_township`. No list is
    kept in the casebook whose files could not be written. Raises UserError as `write_list`.
    """
    from riskmodel.visits import writers

    paths = [] if output is None else [Path(output)]
    return writers.list_files(paths, None if by_township is None else Path(by_township))


def write_list(visits: VisitList, path: PathLike, *, township: str | None = None) -> Path:
    """Write a visit list in the form that the path's ending names: .xlsx, .csv, .html or .pdf. Returns the
    path.

    township: only the rows of this township (.xlsx only). Raises UserError for another ending.
    """
    from riskmodel.visits import workbook, writers

    if township is not None:
        return workbook.write_excel(visits, Path(path), township=township)
    return writers.write_list(visits, Path(path))


def write_list_by_township(visits: VisitList, folder: PathLike) -> list[Path]:
    """Write one workbook for the county and one for each township into a folder. Returns the paths."""
    from riskmodel.visits import workbook

    return workbook.write_excels(visits, Path(folder))


def write_review(review: ExitReview, path: PathLike) -> Path:
    """Write an exit review as .xlsx or .csv, by the path's suffix. Returns the path. Raises UserError for
    another suffix."""
    from riskmodel.visits import writers

    return writers.write_review(review, Path(path))


def explain(
    household_id: str,
    tables: Tables | PathLike,
    as_of: dt.date | str,
    *,
    model: str = "champion",
    plot: PathLike | None = None,
    project: ProjectLike = None,
) -> Any:
    """The reasons behind a household's score, with values, periods and comparison. plot: a file to which a
    waterfall plot is written."""
    scores = score(tables, as_of, model=model, project=project)
    reasons = scores.reasons(household_id)
    if plot is not None:
        with files.replacing(plot) as draft:
            scores.waterfall(household_id).savefig(draft, dpi=150, bbox_inches="tight")
    return reasons


def changes(
    tables: Tables | PathLike,
    as_of: dt.date | str,
    since: dt.date | str,
    *,
    model: str = "champion",
    project: ProjectLike = None,
) -> pd.DataFrame:
    """What moved each household between two days, by one model: a row a household, sorted by household_id.

    moved: up, down, same, new or left; changes_zh, changes_en: the circumstances behind it. See
    `screening.changes.what_changed`.
    """
    from riskmodel.screening import changes

    data = _tables(tables)
    before, now = (score(data, date, model=model, project=project) for date in (since, as_of))
    return changes.what_changed(before, now).to_pandas()


def record(file: PathLike, *, by: str = "command line", project: ProjectLike = None) -> Recorded:
    """Import verification results from a filled list; refused rows are written to a file with their reasons.
    by: who records; kept in the audit."""
    from riskmodel import casebook

    return casebook.record(open_project(project), Path(file), by=by)


def cycles(*, closed: bool = False, project: ProjectLike = None) -> Cycles:
    """The open cycles of the casebook: how far their visits have come, and results that contradict each
    other. `closed`: the closed ones too."""
    from riskmodel.casebook import cycles

    with _casebook(project) as book:
        return cycles.cycles_of(book, closed=closed)


def close_cycle(
    cycle: str,
    *,
    by: str,
    county: str | None = None,
    waive: Mapping[str, str] | None = None,
    project: ProjectLike = None,
) -> str:
    """Close a cycle for good: its results are refused from now on. Returns a sentence. Raises UserError if it
    is not open.

    by: who decides; kept in the audit. county: 6 digits; needed only where the casebook holds several
    counties. waive: household_id -> reason, for every household whose results contradict each other; without
    it such a cycle is not closed.
    """
    with _casebook(project) as book:
        code = county or book.county(cycle)
        book.close_cycle(code, cycle, by=by, waive=waive)
    return (
        f"Cycle {cycle} of {code} is closed: results for it are refused from now on, what was recorded stays."
    )


def withdraw(
    household_id: str,
    cycle: str,
    *,
    because: str,
    by: str,
    team: str | None = None,
    county: str | None = None,
    project: ProjectLike = None,
) -> str:
    """Take back the result of a visit, with the reason: it was recorded on the wrong household. Returns a
    sentence. Raises UserError.

    The row stays in the casebook and no reader counts it any more. team, county: needed where several teams
    or counties have a result of the household in the cycle. by, because: kept; the reason names no person.
    """
    from riskmodel import settings

    here = open_project(project)
    with _casebook(here) as book:
        found = book.withdraw(
            household_id,
            cycle,
            reason=because,
            by=by,
            team=team,
            county_code=county,
            on=settings.today(settings.load_settings(here)),
        )
    return f"Withdrawn: {found}. The row is kept; it counts nowhere any more."


def disagreements(*, project: ProjectLike = None) -> pd.DataFrame:
    """Where visits disagreed with the reasons: kind, zh, en, count, most frequent first; of every list so
    far, by no village and no person."""
    import pandas as pd

    from riskmodel import settings

    here = open_project(project)
    words = settings.load_settings(here).disagreements
    with _casebook(here) as book:
        counts = book.disagreements()
    counted = [
        (kind, words[kind].zh if kind in words else kind, words[kind].en if kind in words else kind)
        for kind in counts
    ]
    columns = ["kind", "zh", "en"]
    return (
        pd.DataFrame(counted, columns=columns).assign(count=list(counts.values())).astype({"count": "int64"})
    )


def recall(
    *,
    tables: Tables | PathLike | None = None,
    county: str | None = None,
    since: dt.date | str | None = None,
    project: ProjectLike = None,
) -> CheckedRecall:
    """What the lists so far missed, from the random checks of all their cycles together; `not_estimable`
    where nobody was drawn or too few found.

    tables: of the county; villages that its yearly sweep saw whole in a list's cycle are counted instead of
    estimated. county: only lists of this county (6 digits). since: only lists as of this day or later.
    """
    from riskmodel import settings
    from riskmodel.visits import visit_list

    here = open_project(project)
    with _casebook(here) as book:
        return book.recall(
            county_code=county,
            since=None if since is None else day(since),
            sweeps=None if tables is None else _tables(tables),
            length=visit_list.cycle_length(settings.load_settings(here).cycle),
        )


def backup(target: PathLike, *, project: ProjectLike = None) -> str:
    """Copy a SQLite casebook to a file while it is in use, and check the copy. Returns what it holds. Raises
    UserError; the old file stays then."""
    from riskmodel.casebook import backup

    with _casebook(project) as book:
        return backup.backup(book, target)


def exit_review(
    tables: Tables | PathLike, as_of: dt.date | str, *, model: str = "champion", project: ProjectLike = None
) -> ExitReview:
    """Monitored households that people might review, with the evidence for and against. It closes nothing.

    Visits that the casebook knows count as well. Conditions: `exits` in `serving/screening.yaml`.
    """
    from riskmodel import settings
    from riskmodel.visits import exits

    here, date = open_project(project), day(as_of)
    rules = settings.load_settings(here).exits
    with _casebook(here) as book:
        known = book.with_results(_tables(tables))
    return exits.exit_review(
        known, date, exits.looks_back(load_model(model, project=here), known, date, rules), rules
    )


@contextmanager
def _casebook(project: ProjectLike) -> Iterator[Casebook]:
    from riskmodel.casebook import Casebook

    book = Casebook.of(open_project(project))
    try:
        yield book
    finally:
        book.close()


def release(
    tables: Tables | PathLike, as_of: dt.date | str, *, model: str = "champion", project: ProjectLike = None
) -> Path:
    """Write the sealed folder that the service loads: model, catalogue, policy and the area context of the
    day, under a signed manifest."""
    from riskmodel.serving.releases import release

    here = open_project(project)
    return release.make_release(here, load_model(model, project=here), _tables(tables), day(as_of))


def release_key(*, project: ProjectLike = None) -> tuple[Path, str]:
    """Make the key that seals releases, and trust it. Returns its path and name. Raises ModelError when there
    is one already."""
    from riskmodel.serving.releases import seal

    return seal.make_key(open_project(project))


def export_households(
    household_ids: Sequence[str],
    tables: Tables | PathLike,
    as_of: dt.date | str,
    output: PathLike,
    *,
    horizon: int = 12,
) -> Path:
    """Write the body of `POST /v1/scores` for households of a data folder. Raises DataError with every
    unknown household."""
    import json

    from riskmodel.serving import requests

    body = requests.scores_request(_tables(tables), household_ids, day(as_of), horizon)
    files.write_text(output, json.dumps(body, ensure_ascii=False))
    return Path(output)


def serve(*, host: str = "127.0.0.1", port: int = 3000, project: ProjectLike = None) -> None:
    """Run the service in the foreground until it is stopped."""
    from riskmodel.serving import server

    server.run(open_project(project), host=host, port=port)


def add_key(
    name: str,
    *,
    role: str,
    areas: Sequence[str],
    purpose: str,
    days: int = 365,
    by: str = "command line",
    project: ProjectLike = None,
) -> NewKey:
    """Make a key to the service. Its secret is in the answer and nowhere else. Raises UserError with every
    fault of what it should carry."""
    from riskmodel.casebook import credentials

    with _casebook(project) as book:
        return credentials.add_key(
            book.engine, name=name, role=role, areas=areas, purpose=purpose, days=days, by=by
        )


def list_keys(*, project: ProjectLike = None) -> list[Key]:
    """All keys that were ever made, newest first, with their state. Never the secrets."""
    from riskmodel.casebook import credentials

    with _casebook(project) as book:
        return credentials.list_keys(book.engine)


def revoke_key(key_id: str, *, by: str = "command line", project: ProjectLike = None) -> Key:
    """Take a key back, with its sessions; a running service refuses it within seconds. Raises UserError for
    one that is not in force."""
    from riskmodel.casebook import credentials

    with _casebook(project) as book:
        return credentials.revoke_key(book.engine, key_id, by=by)


def verify_audit(head: PathLike | None = None, *, project: ProjectLike = None) -> AuditFindings:
    """Check the hash chain of the audit. head: an earlier file of `export_audit`, whose newest entry must
    still be in the chain."""
    from riskmodel.casebook import export

    exported = None if head is None else export.read_head(Path(head))
    with _casebook(project) as book:
        return book.audit_findings(exported)


def export_audit(output: PathLike, *, since: int = 0, project: ProjectLike = None) -> AuditFindings:
    """Write the audit from an entry on as JSON lines, the head of its chain first; the chain is verified in
    the same reading."""
    from riskmodel.casebook import export

    with _casebook(project) as book:
        return export.export(book.engine, Path(output), since=since)


def init_project(folder: PathLike, *, project: ProjectLike = None) -> Path:
    """A new project folder with features/, training/, serving/ and notebooks/, ready to edit; copied from the
    project at hand."""
    return start_project(Path(folder), None if project is None else open_project(project).root)


def _tables(tables: Tables | PathLike) -> Tables:
    return read_tables(tables) if isinstance(tables, (str, os.PathLike)) else tables
