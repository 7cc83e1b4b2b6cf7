"""A leak that no hunt through the tables can see, because the rows say that they were known early, stops at
the promotion.
"""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.errors import PromotionRefused
from riskmodel.project import Project, start_project
from riskmodel.tables import from_frames
from riskmodel.training import examine, promote, registry, train
from riskmodel.training.promotion import _leaks, load_acceptance

QUICK = """
title: {zh: 试, en: quick}
features: {groups: [income, illness, household, employment, history], leave_out: [leads_12m, open_lead]}
learner:
  lightgbm: {rounds_at_most: 30, patience: 10, learning_rate: 0.1, rows_in_leaf_at_least: 30, bins: 31}
members: 2
"""


@pytest.fixture(scope="module")
def own(project, tmp_path_factory):
    made = Project.find(start_project(tmp_path_factory.mktemp("leak") / "project", project.root))
    (made.root / "training" / "plans" / "quick.yaml").write_text(QUICK, encoding="utf-8")
    return made


def with_backdated_leads(tables):
    """Somebody filled in, after the visit, that the household had declared itself almost a year before, and
    the extract believes it.
    """
    confirmed = tables["verifications"].filter(pl.col("outcome") == "risk_confirmed")
    before = pl.col("occurred_on") - dt.timedelta(350)
    rows = confirmed.select(
        event_id="filled-in-" + pl.col("event_id"),
        household_id="household_id",
        occurred_on=before,
        known_on=before,
    )
    leads = tables["leads"].drop("replaced_on")
    rows = rows.with_columns(channel=pl.lit("self_declared").cast(leads.schema["channel"]))
    frames = {name: frame.drop("replaced_on", strict=False) for name, frame in tables.frames.items()}
    return from_frames({**frames, "leads": pl.concat([leads, rows], how="diagonal")})


@pytest.fixture(scope="module")
def leaking(own, county):
    return train(own, "quick", with_backdated_leads(county))


def leak_hunt(own, run):
    return next(check for check in examine(own, run.id) if check.name == "leak_hunt")


def test_a_planted_leak_is_stopped_at_the_promotion(own, leaking):
    check = leak_hunt(own, leaking)
    assert not check.passed
    assert "self_declared_12m (value) alone has AUC" in check.found
    assert "self_declared_12m brings" in check.found and "split gain" in check.found
    with pytest.raises(PromotionRefused, match="self_declared_12m"):
        promote(own, leaking.id, by="Li Na", because="the figures are splendid")
    assert registry.champion(own) is None


def test_without_the_leak_the_same_plan_raises_no_suspicion(own, county):
    check = leak_hunt(own, train(own, "quick", county))
    assert check.passed, check.found


@pytest.mark.parametrize(
    ("features", "share", "passed"),
    [([], 0.59, True), ([], 0.61, False), ([{"feature": "f", "what": "value", "auc": 0.91}], 0.2, False)],
)
def test_more_than_60_percent_of_the_gain_or_an_auc_above_0_9_alone_is_enough(own, features, share, passed):
    hunt = load_acceptance(own).leak_hunt
    found = {
        "features": features,
        "gain": {"measure": "split gain", "features": [{"feature": "f", "share": share}]},
    }
    check = _leaks(hunt, 0.7, (5.0, (2.0, 8.0)), found)
    assert check.passed == passed
    assert passed or "f " in check.found


def test_a_run_that_was_not_measured_does_not_pass(own):
    check = _leaks(load_acceptance(own).leak_hunt, 0.7, (5.0, (2.0, 8.0)), {"features": []})
    assert not check.passed and "not measured" in check.found
