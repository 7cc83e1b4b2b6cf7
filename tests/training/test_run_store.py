"""The run store with real processes: PostgreSQL over a connection, two trainings at once, and a training that is stopped."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
        "title: {zh: 久, en: long}\nlearner:\n  lightgbm: {rounds_at_most: 5000, patience: 5000, learning_rate: 0.001}\n",
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
