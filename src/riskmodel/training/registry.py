"""MLflow, and nothing else of MLflow anywhere: runs, artifacts, registered versions, the champion and its history.

The store is `mlruns/` of the project (SQLite and files), or the database that the environment variable RISKMODEL_MLFLOW names
(`postgresql+psycopg://…`). It is made once, under a lock. Nothing is logged automatically, nothing is pickled, nothing is reported home.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from riskmodel.errors import Fault, ModelError
from riskmodel.project import Project

if TYPE_CHECKING:
    from mlflow import MlflowClient

ADDRESS: Final = "RISKMODEL_MLFLOW"
EXPERIMENT: Final = "riskmodel"
MODEL_NAME: Final = "riskmodel"
LOCK_SECONDS: Final = 120.0
ADVISORY_LOCK: Final = 720_915_001
HISTORY: Final = "promotion."


@contextmanager
def locked(project: Project) -> Iterator[None]:
    """One process at a time. An SQLite file in mlruns/ is the lock: it is let go when a process dies, on every system.

    With a database by address, an advisory lock there is taken as well, so that it holds between machines.
    """
    project.mlruns.mkdir(parents=True, exist_ok=True)
    lock = sqlite3.connect(project.mlruns / "lock.db", timeout=LOCK_SECONDS, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        address = os.environ.get(ADDRESS, "")
        if address.startswith("postgresql"):
            import sqlalchemy

            engine = sqlalchemy.create_engine(address)
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({ADVISORY_LOCK})"))
                try:
                    yield
                finally:
                    connection.execute(sqlalchemy.text(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})"))
            engine.dispose()
        else:
            yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise ModelError(
            Fault(
                str(project.mlruns),
                "another process keeps the store locked",
                "a free store",
                "Wait for it, then try again.",
            )
        ) from None
    finally:
        lock.close()


def tracking_address(project: Project) -> str:
    """Where MLflow keeps its tables: RISKMODEL_MLFLOW, or SQLite in mlruns/."""
    return os.environ.get(ADDRESS) or f"sqlite:///{(project.mlruns / 'mlflow.db').resolve().as_posix()}"


def client(project: Project) -> MlflowClient:
    """The store's client; makes store and experiment on first use, under the lock."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    import logging

    import mlflow

    for name in ("mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    address = tracking_address(project)
    with locked(project):
        made = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
        if made.get_experiment_by_name(EXPERIMENT) is None:
            artifacts = (project.mlruns / "artifacts").resolve()
            artifacts.mkdir(parents=True, exist_ok=True)
            made.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())
    return made


class Log:
    """A run that is being written. Leave the `logging_run` block well and it is FINISHED; by an error FAILED, by Ctrl-C KILLED."""

    def __init__(self, store: MlflowClient, run_id: str, experiment_id: str) -> None:
        self.id = run_id
        self._store = store
        self._experiment = experiment_id

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Flat parameters; texts are cut at 500 characters, as MLflow would refuse longer ones in some stores."""
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
        """Everything below a local folder, as artifacts."""
        self._store.log_artifacts(self.id, str(folder))

    @contextmanager
    def nested(self, name: str) -> Iterator[Log]:
        """A run below this one (a trial)."""
        with _run(
            self._store, self._experiment, name, {"mlflow.parentRunId": self.id, "riskmodel.kind": "trial"}
        ) as log:
            yield log


def _metric_name(name: str) -> str:
    return name.replace("%", "pct").replace("[", "(").replace("]", ")")


@contextmanager
def _run(store: MlflowClient, experiment_id: str, name: str, tags: Mapping[str, str]) -> Iterator[Log]:
    run = store.create_run(experiment_id, run_name=name, tags=dict(tags))
    status = "FAILED"
    try:
        yield Log(store, run.info.run_id, experiment_id)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except BaseException as error:
        store.set_tag(run.info.run_id, "riskmodel.error", f"{type(error).__name__}: {error}"[:4000])
        raise
    finally:
        with _undisturbed():
            store.set_terminated(run.info.run_id, status=status)


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
    with _run(store, experiment.experiment_id, name, {"riskmodel.kind": "training", **tags}) as log:
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
    """One finished training run, by its id or an unambiguous beginning of at least 6 characters. Raises ModelError."""
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
    """A run's artifact as a local path (in the store itself where it is local). Raises ModelError if it is not there."""
    run = find_run(project, run_id)
    uri = run["artifacts"]
    if uri.startswith("file:"):
        from urllib.parse import unquote, urlparse
        from urllib.request import url2pathname

        local = Path(url2pathname(unquote(urlparse(uri).path))) / path
        if not local.exists():
            raise ModelError(
                Fault(
                    str(local),
                    "not there",
                    f"the artifact {path} of run {run['id']}",
                    "Restore mlruns/artifacts, or train again.",
                )
            )
        return local
    folder = tempfile.mkdtemp(prefix="riskmodel-")
    return Path(client(project).download_artifacts(run["id"], path, folder))


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
    """Make a registered version of a run's model, and call it challenger. The version's number; the same one if it was registered before."""
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
    """Compare and set: the champion becomes `version` only if it still is `expected` (None: there is none), and the entry joins the history.

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
    """Which version was in force from when, oldest first: version, run_id, plan, at (UTC), by, because, waivers, …"""
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
