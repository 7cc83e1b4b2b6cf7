"""MLflow, and nothing else of MLflow anywhere: runs, artifacts, registered versions, the champion and its
history.

The store is `mlruns/` of the project (SQLite and files), or the database that the environment variable
RISKMODEL_MLFLOW names (`postgresql+psycopg://…`). It is made once, under a lock. Nothing is logged
automatically, nothing is pickled, nothing is reported home.

MLflow keeps absolute paths. A project may be moved, renamed, copied or restored elsewhere: when its SQLite
store is opened, its paths are set to where the project is now, so that no project reads or writes another
one's files.

A run that is being written holds a lock file in `mlruns/active/`, which the system releases when the process
dies, however it dies. A run that is RUNNING and not locked is marked FAILED when the store is opened the next
time.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from riskmodel.errors import Fault, ModelError, UserError
from riskmodel.files import in_plain_words
from riskmodel.project import Project

if TYPE_CHECKING:
    from mlflow import MlflowClient

ADDRESS: Final = "RISKMODEL_MLFLOW"
EXPERIMENT: Final = "riskmodel"
MODEL_NAME: Final = "riskmodel"
LOCK_SECONDS: Final = 120.0
ADVISORY_LOCK: Final = 720_915_001
HISTORY: Final = "promotion."
RESERVE_BYTES: Final = 262_144  # kept free by each run, so that its end can be written down on a full disk
ENDED: Final = "the process ended before the run did (killed, switched off, or no room on the disk)"


@contextmanager
def locked(project: Project) -> Iterator[None]:
    """One process at a time. An SQLite file in mlruns/ is the lock: it is let go when a process dies, on
    every system.

    With a database by address, an advisory lock there is taken as well, so that it holds between machines.
    Raises ModelError where another process keeps it, where the database does not answer, and UserError where
    the folder cannot be written.
    """
    try:
        project.mlruns.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(project.mlruns / "lock.db", timeout=LOCK_SECONDS, isolation_level=None)
    except (OSError, sqlite3.OperationalError) as error:
        raise in_plain_words(error, project.mlruns) or error from None
    with closing(lock):
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise in_plain_words(error, project.mlruns) or error from None
            found, expected = "another process keeps the store locked", "a free store"
            raise ModelError(
                Fault(str(project.mlruns), found, expected, "Wait for it, then try again.")
            ) from None
        address = os.environ.get(ADDRESS, "")
        if not address.startswith("postgresql"):
            yield
            return
        with _advisory(address):
            yield


@contextmanager
def _advisory(address: str) -> Iterator[None]:
    """The advisory lock of a PostgreSQL store. Raises ModelError when the database does not answer."""
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(address, connect_args={"connect_timeout": 10})
        connection = engine.connect()
    except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError):
            raise
        # The address may hold a password, so it is not repeated here.
        found = (str(getattr(error, "orig", None) or error).splitlines() or ["no answer"])[0]
        remedy = "Start it, or correct the address."
        raise ModelError(
            Fault(ADDRESS, f"the run store does not answer ({found})", "a running database", remedy)
        ) from None
    with connection:
        connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({ADVISORY_LOCK})"))
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})"))
    engine.dispose()


def _database(project: Project) -> Path:
    """The SQLite file of the project's own store."""
    return project.mlruns.resolve() / "mlflow.db"


def _artifacts(project: Project) -> Path:
    """The folder of the project's own artifacts: `<run id>/artifacts/…` below it."""
    return project.mlruns.resolve() / "artifacts"


def tracking_address(project: Project) -> str:
    """Where MLflow keeps its tables: RISKMODEL_MLFLOW, or SQLite in mlruns/ (with `?`, `%` and `#` of the
    path written so that they stay)."""
    named = os.environ.get(ADDRESS)
    if named:
        return named
    from sqlalchemy.engine import URL

    path = _database(project).as_posix()
    address = URL.create("sqlite", database=path).render_as_string(hide_password=False)
    # MLflow makes the folder that it reads from an address as it is; with the driver named, it leaves the
    # quoted path alone.
    return address if address.endswith(path) else address.replace("sqlite:", "sqlite+pysqlite:", 1)


def client(project: Project) -> MlflowClient:
    """The store's client; makes store and experiment on first use, under the lock. Raises UserError where the
    store cannot be opened."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    import logging

    import mlflow

    for name in ("mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(
            logging.CRITICAL
        )  # an error of the database is raised as well: one line, not two
    own = not os.environ.get(ADDRESS)
    with locked(project), _opening(project):
        if own:
            _settle(project)
        address = tracking_address(project)
        made = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
        if made.get_experiment_by_name(EXPERIMENT) is None:
            _artifacts(project).mkdir(parents=True, exist_ok=True)
            made.create_experiment(EXPERIMENT, artifact_location=_artifacts(project).as_uri())
        elif not own:
            _mark_ended(project, made)
    return made


@contextmanager
def _opening(project: Project) -> Iterator[None]:
    """Faults of the store itself in plain words: full disk, read-only, damaged, of another version of
    MLflow."""
    import mlflow.exceptions
    import sqlalchemy.exc

    try:
        yield
    except UserError:
        raise
    except (
        OSError,
        sqlite3.Error,
        sqlalchemy.exc.SQLAlchemyError,
        mlflow.exceptions.MlflowException,
    ) as error:
        plain = in_plain_words(error, project.mlruns)
        if plain is not None:
            raise plain from error
        where = ADDRESS if os.environ.get(ADDRESS) else str(_database(project))
        found = (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0]
        remedy = "Restore mlruns/ from a backup, or move it away and train again."
        raise ModelError(Fault(where, found, "a run store that MLflow can open", remedy)) from error


def _settle(project: Project) -> None:
    """Set the paths in the project's own store to where the project is now, and mark the runs whose process
    has gone.

    A store on a read-only disk keeps its old paths: reading finds the artifacts below the project all the
    same (see `artifact`).
    """
    path = _database(project)
    if not path.is_file():
        return
    here = _artifacts(project).as_uri()
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)) as store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"experiments", "runs", "model_versions", "tags"} <= tables:
            return
        found = store.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", (EXPERIMENT,)
        ).fetchone()
        if found is not None and found[0] != here:
            with suppress(sqlite3.OperationalError):
                _set_paths(store, here)
        ended = [
            run
            for (run,) in store.execute("SELECT run_uuid FROM runs WHERE status = 'RUNNING'")
            if not _at_work(project, run)
        ]
        now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
        for run in ended:
            with suppress(sqlite3.OperationalError):
                store.execute("BEGIN IMMEDIATE")
                store.execute(
                    "UPDATE runs SET status = 'FAILED', end_time = ? WHERE run_uuid = ?", (now, run)
                )
                store.execute(
                    "INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES ('riskmodel.error', ?, ?)",
                    (ENDED, run),
                )
                store.execute("COMMIT")
                _forget(project, run)


def _set_paths(store: sqlite3.Connection, here: str) -> None:
    """Write the artifact folder into every row that names it; each path ends in the id of its run."""
    store.execute("BEGIN IMMEDIATE")
    store.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", (here, EXPERIMENT))
    store.execute(
        (
            "UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts' WHERE "
            "artifact_uri LIKE 'file:%'"
        ),
        (here,),
    )
    for column in ("source", "storage_location"):
        store.execute(
            (
                f"UPDATE model_versions SET {column} = ? || '/' || run_id || '/artifacts/model' WHERE "
                f"{column} LIKE 'file:%'"
            ),
            (here,),
        )
    store.execute("COMMIT")


def _mark_ended(project: Project, store: MlflowClient) -> None:
    """The same for a store by address: of the runs that were started in this folder, those whose process has
    gone."""
    for mark in (project.mlruns / "active").glob("*.db"):
        if _at_work(project, mark.stem):
            continue
        run = store.get_run(mark.stem)
        if run.info.status == "RUNNING":
            store.set_tag(mark.stem, "riskmodel.error", ENDED)
            store.set_terminated(mark.stem, status="FAILED")
        _forget(project, mark.stem)


@contextmanager
def _working(project: Project, run_id: str) -> Iterator[None]:
    """Hold the lock file of a run, by which other processes see that it is being written, and reserve disk
    space to finish it."""
    folder = project.mlruns / "active"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{run_id}.reserve").write_bytes(bytes(RESERVE_BYTES))
    lock = sqlite3.connect(folder / f"{run_id}.db", isolation_level=None, check_same_thread=False)
    try:
        lock.execute("CREATE TABLE active (run TEXT)")
        lock.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        lock.close()


def _at_work(project: Project, run_id: str) -> bool:
    """Whether a process holds the lock file of a run."""
    path = project.mlruns / "active" / f"{run_id}.db"
    if not path.is_file():
        return False
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            return "locked" in str(error)
    return False


def _forget(project: Project, run_id: str) -> None:
    """Remove the lock file and the reserve of a run that has ended."""
    for path in (project.mlruns / "active").glob(f"{run_id}.*"):
        with suppress(OSError):
            path.unlink()


class Log:
    """A run that is being written. Leave the `logging_run` block well and it is FINISHED; by an error FAILED,
    by Ctrl-C KILLED."""

    def __init__(self, project: Project, store: MlflowClient, run_id: str, experiment_id: str) -> None:
        self.id = run_id
        self._project = project
        self._store = store
        self._experiment = experiment_id

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Write parameters to this run in MLflow: name -> value, as text cut at 500 characters, because some
        stores refuse longer ones. A nested value becomes one text.
        """
        from mlflow.entities import Param

        self._store.log_batch(
            self.id, params=[Param(name, str(value)[:500]) for name, value in values.items()]
        )

    def tags(self, values: Mapping[str, Any]) -> None:
        """Tags, by which runs are found again."""
        from mlflow.entities import RunTag

        self._store.log_batch(self.id, tags=[RunTag(name, str(value)) for name, value in values.items()])

    def metrics(self, values: Mapping[str, float]) -> None:
        """Figures. Those without a finite value are left out."""
        import math
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        kept = [
            Metric(_metric_name(name), float(value), now, 0)
            for name, value in values.items()
            if math.isfinite(value)
        ]
        for first in range(0, len(kept), 500):
            self._store.log_batch(self.id, metrics=kept[first : first + 500])

    def folder(self, folder: Path) -> None:
        """Everything below a local folder, as artifacts: all of it, or nothing where the disk is full."""
        try:
            self._store.log_artifacts(self.id, str(folder))
        except Exception:
            shutil.rmtree(_artifacts(self._project) / self.id, ignore_errors=True)
            raise

    @contextmanager
    def nested(self, name: str) -> Iterator[Log]:
        """A run below this one (a trial)."""
        tags = {"mlflow.parentRunId": self.id, "riskmodel.kind": "trial"}
        with _run(self._project, self._store, self._experiment, name, tags) as log:
            yield log


def _metric_name(name: str) -> str:
    return name.replace("%", "pct").replace("[", "(").replace("]", ")")


@contextmanager
def _run(
    project: Project, store: MlflowClient, experiment_id: str, name: str, tags: Mapping[str, str]
) -> Iterator[Log]:
    """A run, from its creation to its end. Its status is written whatever happens: now, or when the store is
    opened the next time."""
    with locked(project), _opening(project):  # nobody may look for the run's lock before it is there
        run = store.create_run(experiment_id, run_name=name, tags=dict(tags))
        held = ExitStack()
        held.enter_context(_working(project, run.info.run_id))
    status = "FAILED"
    try:
        yield Log(project, store, run.info.run_id, experiment_id)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except BaseException as error:
        _make_room(project, run.info.run_id)
        with suppress(Exception):
            store.set_tag(run.info.run_id, "riskmodel.error", f"{type(error).__name__}: {error}"[:4000])
        raise
    finally:
        with _undisturbed():
            try:
                _make_room(project, run.info.run_id)
                store.set_terminated(run.info.run_id, status=status)
                held.close()
                _forget(project, run.info.run_id)
            except Exception:
                held.close()  # still RUNNING, not locked: marked FAILED when the store is opened again
                if status == "FINISHED":
                    raise


def _make_room(project: Project, run_id: str) -> None:
    """Give up the room that a run kept free for its end."""
    with suppress(OSError):
        (project.mlruns / "active" / f"{run_id}.reserve").unlink(missing_ok=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C waits until the run's end is written down: or it would seem to run for ever."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def logging_run(project: Project, name: str, tags: Mapping[str, str]) -> Iterator[Log]:
    """A run in the project's store; see `Log`."""
    store = client(project)
    experiment = store.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    with _run(project, store, experiment.experiment_id, name, {"riskmodel.kind": "training", **tags}) as log:
        yield log


def finished_runs(project: Project) -> list[dict[str, Any]]:
    """Finished training runs, newest first: id, plan, tags, metrics, started (milliseconds)."""
    store = client(project)
    experiment = store.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs: list[dict[str, Any]] = []
    token = None
    while True:
        page = store.search_runs(
            [experiment.experiment_id],
            "attributes.status = 'FINISHED' and tags.`riskmodel.kind` = 'training'",
            max_results=500,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        runs.extend(_as_dict(run) for run in page)
        token = page.token
        if not token:
            return runs


def find_run(project: Project, run_id: str) -> dict[str, Any]:
    """One finished training run, by its id or an unambiguous beginning of at least 6 characters. Raises
    ModelError."""
    found = [
        run
        for run in finished_runs(project)
        if run["id"] == run_id or (len(run_id) >= 6 and run["id"].startswith(run_id))
    ]
    if len(found) != 1:
        raise ModelError(
            Fault(
                f"run {run_id}",
                f"{len(found)} finished runs of that id" if found else "no finished run of that id",
                "the id of a finished training run",
                "`riskmodel train` prints it last; `riskmodel compare` lists the newest of each plan.",
            )
        )
    return found[0]


def _as_dict(run: Any) -> dict[str, Any]:
    return {
        "id": run.info.run_id,
        "plan": run.data.tags.get("riskmodel.plan", ""),
        "tags": dict(run.data.tags),
        "metrics": dict(run.data.metrics),
        "started": run.info.start_time,
        "artifacts": run.info.artifact_uri,
    }


def artifact(project: Project, run_id: str, path: str) -> Path:
    """A run's artifact as a local path (in the store itself where it is local). Raises ModelError if it is
    not there."""
    run = find_run(project, run_id)
    local = _local_artifacts(project, run["id"], run["artifacts"])
    if local is not None:
        if not (local / path).exists():
            found, expected = "not there", f"the artifact {path} of run {run['id']}"
            raise ModelError(
                Fault(str(local / path), found, expected, "Restore mlruns/artifacts, or train again.")
            )
        return local / path
    folder = tempfile.mkdtemp(prefix="riskmodel-")
    return Path(client(project).download_artifacts(run["id"], path, folder))


def _local_artifacts(project: Project, run_id: str, uri: str) -> Path | None:
    """The folder of a run's artifacts; None where they are no files of this machine.

    The project's own store is always below the project, whatever path is written in it. A store by address
    names the folder itself.
    """
    if not uri.startswith("file:"):
        return None
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    own = _artifacts(project) / run_id / "artifacts"
    if not os.environ.get(ADDRESS) or own.is_dir():
        return own
    return Path(url2pathname(urlparse(uri).path))


# The champion


def champion(project: Project) -> dict[str, Any] | None:
    """The champion: {run_id, version}; None while there is none."""
    return _alias(client(project), "champion")


def _alias(store: MlflowClient, alias: str) -> dict[str, Any] | None:
    from mlflow.exceptions import MlflowException

    try:
        version = store.get_model_version_by_alias(MODEL_NAME, alias)
    except MlflowException:
        return None
    return {"run_id": version.run_id, "version": int(version.version)}


def register(project: Project, run_id: str) -> int:
    """Make a registered version of a run's model, and call it challenger. The version's number; the same one
    if it was registered before."""
    from mlflow.exceptions import MlflowException

    store = client(project)
    with locked(project):
        try:
            store.get_registered_model(MODEL_NAME)
        except MlflowException:
            store.create_registered_model(
                MODEL_NAME, description="Order of verification; a signal, never a verdict."
            )
        versions = [
            item for item in store.search_model_versions(f"name='{MODEL_NAME}'") if item.run_id == run_id
        ]
        if versions:
            number = min(int(item.version) for item in versions)
        else:
            source = f"{find_run_artifacts(store, run_id)}/model"
            number = int(store.create_model_version(MODEL_NAME, source=source, run_id=run_id).version)
        store.set_registered_model_alias(MODEL_NAME, "challenger", str(number))
        return number


def find_run_artifacts(store: MlflowClient, run_id: str) -> str:
    """The artifact address of a run."""
    return str(store.get_run(run_id).info.artifact_uri)


def set_champion(project: Project, version: int, *, expected: int | None, entry: Mapping[str, Any]) -> None:
    """Compare and set: the champion becomes `version` only if it still is `expected` (None: there is none),
    and the entry joins the history.

    Raises ModelError if somebody else changed the champion in between.
    """
    store = client(project)
    with locked(project):
        now = _alias(store, "champion")
        if (now["version"] if now else None) != expected:
            raise ModelError(
                Fault(
                    "champion",
                    f"version {now['version']}" if now else "no champion",
                    f"version {expected}, which the checks compared with" if expected else "none yet",
                    "Somebody promoted in the meantime. Look with `riskmodel compare`, then promote again.",
                )
            )
        number = len(_history(store))
        value = json.dumps(
            {**entry, "version": version, "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")},
            ensure_ascii=False,
        )
        store.set_registered_model_tag(MODEL_NAME, f"{HISTORY}{number:05d}", value)
        store.set_registered_model_alias(MODEL_NAME, "champion", str(version))
        challenger = _alias(store, "challenger")
        if challenger is not None and challenger["version"] == version:
            store.delete_registered_model_alias(MODEL_NAME, "challenger")


def _history(store: MlflowClient) -> list[dict[str, Any]]:
    from mlflow.exceptions import MlflowException

    try:
        tags = store.get_registered_model(MODEL_NAME).tags
    except MlflowException:
        return []
    return [json.loads(value) for name, value in sorted(tags.items()) if name.startswith(HISTORY)]


def history(project: Project) -> list[dict[str, Any]]:
    """Which version was in force from when, oldest first: version, run_id, plan, at (UTC), by, because,
    waivers, …"""
    return _history(client(project))


def annotate(project: Project, run_id: str, promotion: Mapping[str, Any]) -> None:
    """Keep the account of a promotion (checks, waivers, who, why) with the run."""
    store = client(project)
    with tempfile.TemporaryDirectory() as folder:
        name = dt.datetime.now(dt.UTC).strftime("promotion_%Y%m%dT%H%M%SZ.json")
        path = Path(folder) / name
        path.write_text(json.dumps(promotion, ensure_ascii=False, indent=1), encoding="utf-8")
        store.log_artifact(run_id, str(path), "promotions")


def attach(project: Project, run_id: str, files: Sequence[Path], folder: str) -> None:
    """Add files to a finished run, below `folder` of its artifacts; a file of that name there is replaced."""
    store = client(project)
    for file in files:
        store.log_artifact(run_id, str(file), folder)
