"""From a plan to a champion on a small county: runs, records, comparison, promotion, two at once,
stopping.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from riskmodel.errors import ModelError, PlanError, PromotionRefused, UserError
from riskmodel.project import Project, start_project
from riskmodel.training import (
    Model,
    Workbench,
    compare,
    examine,
    load_model_folder,
    load_plan,
    plan_names,
    promote,
    registry,
    rollback,
    train,
    train_many,
)

QUICK = """
title: {zh: 试, en: quick}
learner:
  lightgbm: {rounds_at_most: 60, patience: 20, learning_rate: 0.1, rows_in_leaf_at_least: 30, bins: 31}
"""


@pytest.fixture(scope="module")
def own(project, tmp_path_factory):
    """A project of our own with a quick LightGBM plan; runs of this module share its store."""
    made = Project.find(start_project(tmp_path_factory.mktemp("own") / "project", project.root))
    (made.root / "training" / "plans" / "quick.yaml").write_text(QUICK, encoding="utf-8")
    (made.root / "training" / "plans" / "quick_other_seed.yaml").write_text(
        QUICK + "seed: 2\n", encoding="utf-8"
    )
    return made


@pytest.fixture(scope="module")
def bench(own, county):
    return Workbench(own, county)


@pytest.fixture(scope="module")
def runs(own, county, bench):
    return {
        run.plan: run
        for run in train_many(own, ["income_rule", "department_rules", "quick"], county, bench=bench)
    }


def test_every_shipped_plan_is_read(project):
    names = plan_names(project)
    assert {
        "income_rule",
        "department_rules",
        "logistic_12m",
        "lightgbm_12m",
        "lightgbm_monotone_12m",
        "boosting_12m",
        "hazard_12m",
    } <= set(names)
    for name in names:
        assert load_plan(project, name).title.zh


def test_a_misspelt_key_is_refused_with_its_line(own):
    path = own.root / "training" / "plans" / "misspelt.yaml"
    path.write_text(
        "title: {zh: 试, en: t}\nlearner:\n  lightgbm:\n    leafs: 8\n    learning_rate: 7\n",
        encoding="utf-8",
    )
    with pytest.raises(PlanError) as refused:
        load_plan(own, "misspelt")
    text = str(refused.value)
    assert "misspelt.yaml:4" in text and "leafs" in text
    assert "misspelt.yaml:5" in text  # all faults at once
    path.unlink()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"learner": {"lightgbm": {}, "logistic": {}}}, "exactly one of"),
        ({"learner": {"lightgbm": {}}, "source": "table"}, "belong together"),
        (
            {"learner": {"lightgbm": {}}, "tuning": {"trials": 3, "ranges": {"leafs": [2, 8]}}},
            "leafs is no parameter",
        ),
        ({"learner": {"lightgbm": {}}, "members": 1}, "at least 2"),
        ({"learner": {"hazard": {}}, "horizon_months": 6}, "12"),
    ],
)
def test_plans_that_cannot_be_carried_out_are_refused(own, changed, words):
    import yaml

    path = own.root / "training" / "plans" / "wrong.yaml"
    path.write_text(yaml.safe_dump({"title": {"zh": "试", "en": "t"}, **changed}), encoding="utf-8")
    with pytest.raises(PlanError, match=words):
        load_plan(own, "wrong")
    path.unlink()


def test_an_unknown_plan_is_answered_with_those_that_exist(own):
    with pytest.raises(PlanError, match=r"no plan `lightgbm`.*lightgbm_12m"):
        load_plan(own, "lightgbm")


def test_a_run_keeps_all_that_is_needed_to_judge_and_repeat_it(own, runs):
    folder = runs["quick"].folder.parent
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "model/model.json",
        "model/member_0.txt",
        "predictions.parquet",
        "plan.yaml",
        "catalogue.yaml",
        "folds.txt",
        "folds.json",
        "record.md",
        "metrics.csv",
        "plots/folds.png",
        "plots/calibration.png",
    } <= there
    assert not [name for name in there if name.endswith((".pkl", ".pickle", ".skops"))]
    record = Model.load(runs["quick"].folder).record
    for key in (
        "plan_hash",
        "catalogue_hash",
        "commit",
        "facts",
        "folds",
        "metrics",
        "profile",
        "versions",
        "statement",
    ):
        assert record[key], key
    assert record["facts"]["tables_hash"] and record["facts"]["until"] == "2025-12-31"


def test_a_run_keeps_confirmations_rules_and_reasons_of_its_test_dates(own, runs):
    run = runs["quick"].id
    predictions, confirmed, rules, reasons = (
        pl.read_parquet(registry.artifact(own, run, f"{name}.parquet"))
        for name in ("predictions", "confirmations", "rule_hits", "reasons")
    )
    days = set(predictions["as_of"])
    assert confirmed["confirmed_on"].min() > min(days)
    assert (
        confirmed["household_id"].n_unique()
        == predictions.filter(pl.col("label") == 1)["household_id"].n_unique()
    )
    assert set(rules["as_of"]) <= days and set(reasons["as_of"]) == days
    first = (
        predictions.sort("margin", descending=True).group_by("as_of").head(5).select("household_id", "as_of")
    )
    assert first.join(reasons, on=["household_id", "as_of"], how="anti").is_empty(), (
        "the first of each list have reasons"
    )
    assert reasons["because"].list.len().max() <= 3


def test_predictions_hold_the_whole_cohort_of_the_test_dates_and_nobody_else(own, runs, bench):
    predictions = pl.read_parquet(runs["quick"].folder.parent / "predictions.parquet")
    days = sorted(predictions["as_of"].unique().to_list())
    assert [str(day) for day in days] == ["2024-07-01", "2024-10-01"]
    for day in days:
        assert (
            predictions.filter(pl.col("as_of") == day)["household_id"].to_list()
            == bench.cohort(day)["household_id"].to_list()
        )
    assert predictions["label"].null_count() > 0  # the unlabelled are listed, and not as 0
    assert (
        predictions["margin"].is_finite().all()
        and predictions["probability"].is_between(0, 1, closed="none").all()
    )


def test_the_same_plan_on_the_same_tables_gives_the_same_trees(own, county, bench, runs):
    again = train(own, "quick", county, bench=bench)
    assert again.version == runs["quick"].version


def test_what_became_known_after_the_cut_changes_nothing(own, county, runs):
    # The county as it was known in mid-2025, against today's county cut there: the same model to the last
    # byte.
    import datetime as dt

    from riskmodel.tables import from_frames
    from riskmodel.tables.schema import TABLES

    until = dt.date(2025, 8, 31)
    (own.root / "training" / "plans" / "short.yaml").write_text(
        QUICK + "as_of: {test: 1, train_at_least: 1}\n", encoding="utf-8"
    )
    known = {
        name: (
            frame
            if TABLES[name].form == "values"
            else frame.filter(pl.col("known_on") <= until).drop("replaced_on")
        )
        for name, frame in county.frames.items()
    }
    then = train(own, "short", from_frames(known), until=until)
    now = train(own, "short", county, until=until)
    assert then.version == now.version
    assert then.metrics["auc"] == now.metrics["auc"]


def test_a_cut_after_the_newest_row_is_refused(own, county):
    import datetime as dt

    with pytest.raises(PlanError, match="the tables end on"):
        train(own, "quick", county, until=dt.date(2026, 6, 1))


def test_too_short_a_history_is_refused_in_words_and_the_run_is_failed(own, county):
    import datetime as dt

    before = {run["id"] for run in registry.finished_runs(own)}
    with pytest.raises(PlanError, match="which takes about"):
        train(own, "quick", county, until=dt.date(2024, 6, 30))
    assert {run["id"] for run in registry.finished_runs(own)} == before
    assert "FAILED" in statuses(own)


def statuses(project):
    store = registry.client(project)
    experiment = store.get_experiment_by_name(registry.EXPERIMENT)
    return [run.info.status for run in store.search_runs([experiment.experiment_id])]


def test_compare_sets_all_plans_on_the_same_rows(own, runs, truth_folder):
    side_by_side = compare(own, [run.id for run in runs.values()], truth=truth_folder, draws=60)
    table = side_by_side.table()
    assert list(table.index[:3]) == ["income_rule", "department_rules", "quick"]
    counts = {side_by_side.result[name].counts["rows"] for name in side_by_side.result.names}
    assert len(counts) == 1
    assert "includes chance events that no record shows" in side_by_side.text()
    assert runs["quick"].id in side_by_side.text()
    assert side_by_side.figure().axes


def test_compare_without_names_takes_the_newest_run_of_each_plan(own, runs):
    assert set(compare(own, draws=60).runs) >= {"income_rule", "department_rules"}


def test_an_unknown_run_is_refused(own, runs):
    with pytest.raises(ModelError, match="no finished run of that id"):
        compare(own, ["0123456789abcdef"])


def test_promotion_names_every_failed_check_and_takes_waivers_only_with_reasons(own, runs):
    run = runs["department_rules"].id
    failed = [check.name for check in examine(own, run) if not check.passed]
    assert "beats_income_gap" in failed
    with pytest.raises(PromotionRefused, match="better than income_rule"):
        promote(own, run, by="Li Na", because="we want it")
    assert registry.champion(own) is None
    with pytest.raises(UserError, match="no reason of its own"):
        promote(own, run, by="Li Na", because="we want it", waive={"beats_income_gap": "we want it"})
    with pytest.raises(UserError, match="Name a check"):
        promote(own, run, by="Li Na", because="we want it", waive={"beats_everything": "no"})
    with pytest.raises(UserError, match="who decides"):
        promote(own, run, by=" ", because="we want it")


def test_champion_history_and_rollback(own, runs):
    waive = {
        name: f"a county of 2,000 households is too small for {name}"
        for name in {
            check.name for run in runs.values() for check in examine(own, run.id) if not check.passed
        }
    }
    first = promote(own, runs["department_rules"].id, by="Li Na", because="a start", waive=waive)
    assert load_model_folder(own) == runs["department_rules"].folder
    assert set(first.waived) <= set(waive)  # only failed checks are recorded as waived
    second = promote(own, runs["quick"].id, by="Li Na", because="better", waive=waive)
    assert load_model_folder(own) == runs["quick"].folder
    assert "lists share" in second.list_changes
    again = promote(own, runs["quick"].id, by="Li Na", because="confirmed by the county", waive=waive)
    assert again.version == second.version  # promoted twice: the champion before it is still department_rules
    back = rollback(own, by="Wang Wei", because="a fault in the claims of May")
    assert back["version"] == first.version and load_model_folder(own) == runs["department_rules"].folder
    kinds = [(entry["kind"], entry["by"], entry["version"]) for entry in registry.history(own)]
    assert kinds == [
        ("promotion", "Li Na", first.version),
        ("promotion", "Li Na", second.version),
        ("promotion", "Li Na", second.version),
        ("rollback", "Wang Wei", first.version),
    ]
    with pytest.raises(ModelError, match="none before this one"):
        rollback(own, by="Wang Wei", because="once more")
    written = list((runs["quick"].folder.parent / "promotions").glob("*.json"))
    assert json.loads(written[0].read_text())["waived"] == dict(second.waived)


def test_compare_tells_regret_months_earlier_and_why_the_champions_list_changes(own, runs):
    """After the test above the department rules are the champion."""
    text = compare(own, [run.id for run in runs.values()], draws=60).text()
    assert "lost against the best of each as-of date" in text
    assert (
        "quick: Of " in text
        and "months earlier" in text
        and "Against the department rules the gain is" in text
    )
    assert "Against the lists of the champion" in text and "enters: what puts them there most often: " in text
    assert "leaves: what had put them there in the champion most often: rule_" in text
    assert "department_rules: At a capacity" not in text, "the champion is not compared with itself"


def test_the_champion_is_compared_and_set(own, runs):
    version = registry.register(own, runs["income_rule"].id)
    with pytest.raises(ModelError, match="Somebody promoted in the meantime"):
        registry.set_champion(own, version, expected=99, entry={"kind": "promotion"})


def test_two_trainings_with_other_seeds_give_much_the_same_list(own, county, bench, runs):
    other = train(own, "quick_other_seed", county, bench=bench)
    first, second = (
        pl.read_parquet(run.folder.parent / "predictions.parquet") for run in (runs["quick"], other)
    )
    day = first["as_of"].max()
    tops = [
        set(
            frame.filter(pl.col("as_of") == day)
            .sort("margin", descending=True)
            .head(200)["household_id"]
            .to_list()
        )
        for frame in (first, second)
    ]
    assert (
        len(tops[0] & tops[1]) / len(tops[0] | tops[1]) >= 0.5
    )  # a county of 2,000 with a quick plan; see benchmarks for 20,000


def test_tuning_logs_a_run_below_for_each_trial_and_keeps_to_its_budget(own, county, bench):
    tuned = QUICK + "tuning: {trials: 4, ranges: {leaves: [2, 8], penalty_l2: [1, 100]}}\n"
    (own.root / "training" / "plans" / "tuned.yaml").write_text(tuned, encoding="utf-8")
    run = train(own, "tuned", county, bench=bench)
    store = registry.client(own)
    experiment = store.get_experiment_by_name(registry.EXPERIMENT)
    below = store.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{run.id}'")
    assert len(below) == 4 and {item.info.status for item in below} == {"FINISHED"}
    used = Model.load(run.folder).record["plan_used"]["learner"]["lightgbm"]
    assert 2 <= used["leaves"] <= 8 and 1 <= used["penalty_l2"] <= 100


def test_an_external_challenger_is_compared_and_never_promoted(own, county, bench, runs):
    import datetime as dt

    days = sorted(
        {
            dt.date.fromisoformat(row["as_of"])
            for row in json.loads((runs["quick"].folder.parent / "folds.json").read_text())
        }
    )
    chance = np.random.default_rng(1)
    rows = [
        pl.DataFrame(
            {
                "household_id": (ids := bench.cohort(day)["household_id"]),
                "as_of": [day] * len(ids),
                "margin": chance.normal(size=len(ids)),
            }
        )
        for day in days
    ]
    (own.root / "out").mkdir(exist_ok=True)
    pl.concat(rows).write_parquet(own.root / "out" / "external_margins.parquet")
    run = train(own, "external_12m", county, bench=bench)
    assert 0.35 < run.metrics["auc"] < 0.65  # random margins
    assert set(compare(own, [runs["quick"].id, run.id], draws=60).runs) == {"quick", "external_12m"}
    with pytest.raises(PromotionRefused, match="cannot score a county"):
        promote(own, run.id, by="Li Na", because="no")
    pl.concat(rows).head(10).write_parquet(own.root / "out" / "external_margins.parquet")
    with pytest.raises(PlanError, match="without a margin"):
        train(own, "external_12m", county, bench=bench)


START = """
import sys
from pathlib import Path
from riskmodel.project import Project
from riskmodel.training import registry
project = Project(Path(sys.argv[1]))
with registry.logging_run(project, "plan", {"riskmodel.plan": "plan"}) as log:
    log.metrics({"auc": 0.7})
"""


def test_two_processes_on_a_fresh_store_both_succeed(project, tmp_path):
    fresh = Project.find(start_project(tmp_path / "fresh", project.root))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(fresh.root)], stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in both:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error.decode()
    assert statuses(fresh) == ["FINISHED", "FINISHED"]
