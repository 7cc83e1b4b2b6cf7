"""The run store with real processes: PostgreSQL over a connection, two trainings at once, and a training that
is stopped.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from riskmodel.errors import ModelError, UserError
from riskmodel.project import Project, start_project
from riskmodel.synthetic import synthesise
from riskmodel.training import compare, examine, load_model_folder, promote, registry

RISKMODEL = Path(sys.executable).with_name("riskmodel")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Tables of 700 households: enough for every step, learned in seconds."""
    folder = tmp_path_factory.mktemp("small") / "tables"
    synthesise(folder, households=700, years=4, end=dt.date(2025, 12, 31), seed=8)
    return folder


@pytest.fixture
def fresh(project, tmp_path):
    return Project.find(start_project(tmp_path / "fresh", project.root))


def started(project, plan, tables, **more):
    environment = {**os.environ, "RISKMODEL_PROJECT": str(project.root), **more}
    return subprocess.Popen(
        [RISKMODEL, "train", plan, "--tables", tables],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )


def statuses(project):
    """Plan and status of each run in the store, sorted."""
    store = registry.client(project)
    experiment = store.get_experiment_by_name(registry.EXPERIMENT)
    runs = store.search_runs([experiment.experiment_id])
    return sorted((run.data.tags.get("riskmodel.plan", "trial"), run.info.status) for run in runs)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_trainings_at_once_on_a_fresh_store_both_succeed(kind, fresh, small, request, monkeypatch):
    if kind == "postgresql":
        monkeypatch.setenv(registry.ADDRESS, request.getfixturevalue("postgres_database")())
    both = [started(fresh, plan, small) for plan in ("income_rule", "department_rules")]
    for process in both:
        out, error = process.communicate(timeout=500)
        assert process.returncode == 0, error
        assert registry.find_run(fresh, out.strip().splitlines()[-1])
    assert statuses(fresh) == [("department_rules", "FINISHED"), ("income_rule", "FINISHED")]
    assert (fresh.mlruns / "mlflow.db").exists() == (kind == "sqlite")

    # The rest of the work on the same store: compared, examined, promoted, loaded.
    compared = compare(fresh, draws=40)
    assert set(compared.runs) == {"income_rule", "department_rules"}
    run = compared.runs["income_rule"]
    failed = [check.name for check in examine(fresh, run) if not check.passed]
    promotion = promote(
        fresh, run, by="Wang Fang", because="first", waive=dict.fromkeys(failed, "a trial of the store")
    )
    assert registry.champion(fresh) == {"run_id": run, "version": promotion.version}
    assert (load_model_folder(fresh) / "model.json").is_file()


def test_ctrl_c_while_members_are_grown_leaves_a_run_that_is_marked_as_stopped(fresh, small):
    plan = fresh.root / "training" / "plans" / "long.yaml"
    plan.write_text(
        (
            "title: {zh: 久, en: long}\n"
            "learner:\n"
            "  lightgbm: {rounds_at_most: 5000, patience: 5000, learning_rate: 0.001}\n"
        ),
        encoding="utf-8",
    )
    process = started(fresh, "long", small)
    deadline = time.monotonic() + 300
    while (
        process.poll() is None and time.monotonic() < deadline and not (fresh.mlruns / "mlflow.db").exists()
    ):
        time.sleep(0.2)
    while process.poll() is None and time.monotonic() < deadline and statuses(fresh) != [("long", "RUNNING")]:
        time.sleep(0.5)
    time.sleep(2)
    assert process.poll() is None, "it is still at work"
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode != 0 and "Traceback" not in error
    assert not out.strip(), "no run id is given out for a run that was stopped"
    assert statuses(fresh) == [("long", "KILLED")]
    assert registry.finished_runs(fresh) == []


# Projects that are moved, renamed, copied, restored


def copied(source: Project, target: Path) -> Project:
    shutil.copytree(source.root, target)
    return Project.find(target)


def logged(project: Project, tmp_path: Path, **files: str) -> str:
    """A small finished run of the project: its id."""
    draft = tmp_path / f"draft-{len(list(tmp_path.iterdir()))}"
    draft.mkdir()
    for name, text in files.items():
        (draft / name).write_text(text)
    with registry.logging_run(project, "small", {"riskmodel.plan": "small"}) as log:
        log.folder(draft)
    return log.id


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_copied_project_reads_and_writes_its_own_files_and_never_the_originals(ruled, tmp_path):
    original, _, run = ruled
    one = copied(original, tmp_path / "one")
    registry.register(one, run)
    two = copied(one, tmp_path / "two")
    before = files_below(one.mlruns / "artifacts")
    assert registry.artifact(two, run, "model").is_relative_to(two.mlruns.resolve())
    mine = logged(two, tmp_path, new="mine")
    assert (two.mlruns / "artifacts" / mine / "artifacts" / "new").read_text() == "mine"
    assert files_below(one.mlruns / "artifacts") == before
    registry.attach(two, run, [registry.artifact(two, mine, "new")], "beside")
    assert files_below(one.mlruns / "artifacts") == before
    # What MLflow's own pages read: no path of the original is left in the copy's store.
    with sqlite3.connect(two.mlruns / "mlflow.db") as store:
        text = "\n".join(line for line in store.iterdump() if "file:" in line)
    assert "/two/mlruns/artifacts" in text and "/one/" not in text and str(original.root) not in text
    assert {item["id"] for item in registry.finished_runs(one)} == {run}


def test_a_project_that_was_moved_goes_on_where_it_is(ruled, tmp_path):
    original, _, run = ruled
    one = copied(original, tmp_path / "one")
    (tmp_path / "elsewhere").mkdir()
    one.root.rename(tmp_path / "elsewhere" / "renamed")
    moved = Project.find(tmp_path / "elsewhere" / "renamed")
    assert (load_model_folder(moved, run) / "model.json").is_file()
    new = logged(moved, tmp_path, a="x")
    assert registry.artifact(moved, new, "a").read_text() == "x" and not one.root.exists()


@pytest.mark.parametrize("name", ["a?b=c", "a%41b", "a#b", "a b", "县 返贫", "a%2Fb"])
def test_a_project_works_whatever_characters_its_path_holds(name, ruled, tmp_path):
    original, _, run = ruled
    here = copied(original, tmp_path / "w" / name)
    assert (load_model_folder(here, run) / "model.json").is_file()
    new = logged(here, tmp_path, a="x")
    assert registry.artifact(here, new, "a").read_text() == "x"
    assert registry.register(here, new) == 1
    assert [path.name for path in (tmp_path / "w").iterdir()] == [name], "nothing is made beside the project"


@pytest.mark.parametrize("name", ["bk?x", "casebook-%20", "a%41b", "备份 #1"])
def test_a_backup_verifies_the_copy_that_it_wrote_whatever_its_path(name, fresh, tmp_path):
    import riskmodel as rm

    rm.add_key("desk", role="auditor", areas=[], purpose="a test", project=fresh)
    (tmp_path / "w" / name).mkdir(parents=True)
    said = rm.backup(tmp_path / "w" / name / f"{name}.db", project=fresh)
    assert "1 audit entries" in said
    assert [path.name for path in (tmp_path / "w").iterdir()] == [name]
    assert [path.name for path in (tmp_path / "w" / name).iterdir()] == [f"{name}.db"]


# Runs that end in another way than well


def test_a_run_killed_without_a_word_is_marked_when_the_store_is_opened_again(fresh):
    code = (
        "import os, sys; from riskmodel.project import Project; from riskmodel.training import registry\n"
        "with registry.logging_run(Project.find(sys.argv[1]), 'long', {'riskmodel.plan': 'long'}):\n"
        "    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, fresh.root], check=False)
    assert done.returncode == -signal.SIGKILL
    with sqlite3.connect(fresh.mlruns / "mlflow.db") as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("RUNNING",)]
    assert statuses(fresh) == [("long", "FAILED")]
    with sqlite3.connect(fresh.mlruns / "mlflow.db") as store:
        (why,) = store.execute("SELECT value FROM tags WHERE key = 'riskmodel.error'").fetchone()
    assert why.startswith("the process ended before the run did")
    assert list((fresh.mlruns / "active").iterdir()) == []


def test_a_run_that_is_at_work_stays_running_while_others_open_the_store(fresh):
    with registry.logging_run(fresh, "long", {"riskmodel.plan": "long"}):
        assert statuses(fresh) == [("long", "RUNNING")]
        other = (
            "import sys; from riskmodel.project import Project; from riskmodel.training import registry; "
            "registry.finished_runs(Project.find(sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", other, fresh.root], check=True)
        assert statuses(fresh) == [("long", "RUNNING")]
    assert statuses(fresh) == [("long", "FINISHED")]
    assert list((fresh.mlruns / "active").iterdir()) == []


def test_a_full_disk_while_artifacts_are_written_leaves_a_failed_run_and_no_half_of_it(
    fresh, tmp_path, monkeypatch
):
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft" / "a").write_text("x")

    def full(self, run_id, folder):
        (fresh.mlruns / "artifacts" / run_id / "artifacts").mkdir(parents=True)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    import mlflow

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifacts", full)
    with (
        pytest.raises(OSError, match="No space"),
        registry.logging_run(fresh, "p", {"riskmodel.plan": "p"}) as log,
    ):
        log.folder(tmp_path / "draft")
    assert statuses(fresh) == [("p", "FAILED")]
    assert list((fresh.mlruns / "artifacts").iterdir()) == []


def test_a_run_whose_end_could_not_be_written_is_failed_as_soon_as_it_can(fresh, monkeypatch):
    import mlflow

    def full(*_, **__):
        raise mlflow.exceptions.MlflowException("(sqlite3.OperationalError) database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_terminated", full)
        with (
            pytest.raises(mlflow.exceptions.MlflowException, match="full"),
            registry.logging_run(fresh, "p", {"riskmodel.plan": "p"}),
        ):
            pass
    assert statuses(fresh) == [("p", "FAILED")]


def test_a_store_that_cannot_be_opened_is_one_sentence(fresh, monkeypatch):
    logged_nothing = fresh.mlruns / "mlflow.db"
    logged_nothing.write_bytes(b"not a database at all, by far" * 100)
    with pytest.raises(ModelError, match=r"mlflow\.db: file is not a database; expected a run store"):
        registry.finished_runs(fresh)
    logged_nothing.unlink()
    monkeypatch.setenv(registry.ADDRESS, "postgresql+psycopg://nobody:secret@127.0.0.1:1/none")
    with pytest.raises(ModelError, match="the run store does not answer") as caught:
        registry.finished_runs(fresh)
    assert "secret" not in str(caught.value) and len(str(caught.value).splitlines()) == 1
    monkeypatch.delenv(registry.ADDRESS)
    shutil.rmtree(fresh.mlruns)
    fresh.mlruns.write_text("a file in the place of the folder")
    with pytest.raises(UserError):
        registry.finished_runs(fresh)
