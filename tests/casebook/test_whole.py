"""The list as a team gets it: real scores of the synthetic county, with reasons, what to check, exits; given
out and kept.
"""

from __future__ import annotations

import datetime as dt
import shutil

import lightgbm as lgb
import numpy as np
import openpyxl
import pytest

from riskmodel.casebook import Casebook, next_list
from riskmodel.features import build, load_catalogue
from riskmodel.policy import Policy
from riskmodel.project import Project
from riskmodel.screening.scoring import ScreeningModel
from riskmodel.settings import Exits
from riskmodel.training.calibration import BetaCalibration
from riskmodel.training.labels import labels
from riskmodel.training.learners.trees import TreeMember
from riskmodel.training.model import Model
from riskmodel.visits.exits import exit_review, looks_back
from riskmodel.visits.leads import household_states
from riskmodel.visits.workbook import write_excel

NOW = dt.date(2025, 12, 31)


@pytest.fixture(scope="module")
def model(project, county):
    catalogue = load_catalogue(project)
    day = dt.date(2024, 12, 31)
    known = labels(county, day, 12, known_until=NOW).drop_nulls("label").sort("household_id")
    names = catalogue.with_status("active")
    matrix = build(
        county,
        day,
        catalogue=catalogue,
        policy=Policy.load(project, county),
        households=known["household_id"].to_list(),
    )
    X, y = matrix.select(names).values, known["label"].to_numpy()
    parameters = {"objective": "binary", "num_leaves": 8, "verbose": -1, "num_threads": 1, "seed": 1}
    member = TreeMember(lgb.train(parameters, lgb.Dataset(X, np.asarray(y)), 30).model_to_string())
    return ScreeningModel.of(
        project,
        Model(
            "lightgbm",
            tuple(names),
            (12,),
            (member,),
            BetaCalibration(1.0, 1.0, (0.0,), (12,)),
            (0,) * len(names),
            {},
        ),
    )


@pytest.fixture(scope="module")
def own(project, tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    for name in ("features", "serving"):
        shutil.copytree(project.root / name, root / name)
    return Project(root)


@pytest.fixture(scope="module")
def visits(model, own, county):
    return next_list(own, model.score(county, NOW), county, NOW, capacity=60, issue=True)


def test_every_lead_by_people_is_on_the_list_and_every_visit_has_words(visits, county):
    assert len(visits) >= 60
    frame = visits.route
    assert (
        frame["reasons_zh"].drop_nulls().str.len_chars().min() > 4
        and frame.filter(frame["margin"].is_not_null())["check_zh"].drop_nulls().len() > 0
    )
    people = visits.rows.filter(
        visits.rows["lead_kinds"].fill_null("").str.contains("self_declared|cadre|petition|guarantee")
    )
    assert (people["listed_as"] == "lead").all()
    gone = household_states(county, NOW).filter(
        (household_states(county, NOW)["people"] == 0) | household_states(county, NOW)["monitored"]
    )
    assert not set(gone["household_id"]) & set(visits.rows["household_id"])


def test_the_workbook_has_the_guide_and_the_dates_of_the_data(visits, tmp_path):
    book = openpyxl.load_workbook(write_excel(visits, tmp_path / "list.xlsx"))
    assert "核实要点 What to check" in book.sheetnames
    notes = "".join(str(cell.value) for row in book["说明 Notes"].iter_rows() for cell in row)
    assert "2025-12" in notes and "医疗费用" in notes
    assert "数据截至" not in "".join(str(cell.value) for cell in book["核实清单"]["H"])


def test_the_casebook_holds_the_list_and_the_scores(visits, own):
    book = Casebook.of(own)
    assert book.last_list(visits.county_code, before=dt.date(2026, 1, 31)).hash == visits.hash
    scored = visits.rows.filter(visits.rows["margin"].is_not_null())["household_id"][0]
    assert book.history(scored).height == 1 and book.audit_faults() == []


def test_the_exit_review_covers_everybody_who_is_monitored(model, county):
    review = exit_review(county, NOW, looks_back(model, county, NOW, Exits()))
    now = household_states(county, NOW)
    assert (
        sorted(review.rows["household_id"])
        == now.filter(now["monitored"] & (now["people"] > 0))["household_id"].to_list()
    )
    assert review.of("keep_tracking").height > 0
