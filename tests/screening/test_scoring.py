"""Scores of a county: order, words, hashes, replay and what changed, on a small synthetic county and a model
trained on its past.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from riskmodel.errors import DataError, GateError, ModelError
from riskmodel.features import build, load_catalogue
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.policy import Policy
from riskmodel.screening.changes import what_changed
from riskmodel.screening.replay import replay
from riskmodel.screening.scoring import ScreeningModel, feature_hashes, in_order
from riskmodel.tables import Tables
from riskmodel.training import Model, cohort, labels
from riskmodel.training.calibration import BetaCalibration
from riskmodel.training.learners.rules import RuleMember
from riskmodel.training.learners.trees import TreeMember
from riskmodel.training.record import usual_values
from riskmodel.vocabulary import RISK_KINDS, SIGNAL_EN, SIGNAL_ZH

NOW, BEFORE = dt.date(2025, 12, 31), dt.date(2025, 6, 30)
COLUMNS = [
    "household_id",
    "as_of",
    "horizon_months",
    "probability",
    "low",
    "high",
    "margin",
    "rank",
    "grade",
    "risk_kinds",
    "reasons_zh",
    "reasons_en",
    "model_version",
    "village_code",
    "township_code",
    "feature_hash",
    "catalogue_hash",
    "policy_hash",
]


@pytest.fixture(scope="module")
def trained(project, county) -> Model:
    """Two members on the features of two past days. Small, but a real model of a real matrix."""
    catalogue, policy = load_catalogue(project), Policy.load(project, county)
    names = catalogue.with_status("active")
    inputs, outcomes = [], []
    for day in (dt.date(2023, 12, 31), dt.date(2024, 12, 31)):
        known = labels(county, day, 12, known_until=NOW).drop_nulls("label")
        matrix = build(
            county, day, catalogue=catalogue, policy=policy, households=known["household_id"].to_list()
        )
        inputs.append(matrix.select(names).values)
        outcomes.append(known.sort("household_id")["label"].to_numpy())
    X, y = np.vstack(inputs), np.concatenate(outcomes)
    parameters = {
        "objective": "binary",
        "num_leaves": 8,
        "min_data_in_leaf": 20,
        "learning_rate": 0.1,
        "verbose": -1,
        "num_threads": 1,
        "feature_fraction": 0.5,
        "deterministic": True,
        "force_row_wise": True,
    }
    members = tuple(
        TreeMember(lgb.train(parameters | {"seed": seed}, lgb.Dataset(X, y), 40).model_to_string())
        for seed in (1, 2)
    )
    calibration = BetaCalibration(1.0, 1.0, (0.0,), (12,))
    return Model(
        "lightgbm",
        tuple(names),
        (12,),
        members,
        calibration,
        (0,) * len(names),
        {"profile": usual_values(names, X)},
    )


@pytest.fixture(scope="module")
def model(project, trained):
    return ScreeningModel.of(project, trained)


@pytest.fixture(scope="module")
def scores(model, county):
    return model.score(county, NOW)


def test_every_household_of_the_cohort_has_a_place_and_the_columns_of_the_contract(scores, county):
    frame = scores.pandas()
    assert set(COLUMNS) <= set(frame.columns)
    assert sorted(frame["household_id"]) == cohort(county, NOW)["household_id"].to_list()
    assert frame["rank"].tolist() == list(range(1, len(frame) + 1))
    assert (np.diff(frame["margin"]) <= 0).all(), "ranked by the raw margin"
    assert ((frame["low"] <= frame["probability"]) & (frame["probability"] <= frame["high"])).all()
    assert frame["probability"].between(0, 1, inclusive="neither").all()
    assert (frame["reasons_zh"].str.len() > 0).all() and (frame["reasons_en"].str.len() > 0).all()
    assert (frame["horizon_months"] == 12).all() and (frame["as_of"].astype(str) == NOW.isoformat()).all()


def test_contributions_and_base_sum_to_the_margin(scores, trained):
    given, base = scores.contributions()
    assert (
        np.abs(
            given.sum(axis=1) + base - trained.margin(scores.matrix.select(trained.feature_names).values)
        ).max()
        < 1e-9
    )


def test_the_order_of_rows_changes_nothing(model, scores):
    turn = np.random.default_rng(0).permutation(len(scores.matrix))
    again = model.score_matrix(scores.matrix.rows(turn), reference=scores.reference)
    assert again.frame.drop("policy_hash").equals(scores.frame.drop("policy_hash")), (
        "but for the county's own policy rows"
    )


def test_one_household_alone_reads_as_in_the_batch(model, scores):
    for place in (0, 17, len(scores) - 1):
        one = model.score_matrix(scores.matrix.rows(np.array([place])), reference=scores.reference)
        name = str(scores.matrix.household_id[place])
        alone, batch = one.row(name), scores.row(name)
        for column in (
            "margin",
            "probability",
            "low",
            "high",
            "feature_hash",
            "reasons_zh",
            "reasons_en",
            "notes_zh",
            "risk_kinds",
        ):
            assert alone[column] == batch[column], column


def test_equal_margins_are_put_in_order_by_a_keyed_hash_and_not_by_the_file():
    names = np.array([f"h{place}" for place in range(40)], dtype=object)
    margin = np.r_[np.full(20, 0.3), np.linspace(-1, 1, 20)]
    first = names[in_order(margin, names, "key")]
    turn = np.random.default_rng(1).permutation(40)
    assert first.tolist() == names[turn][in_order(margin[turn], names[turn], "key")].tolist()
    assert first.tolist() != names[in_order(margin, names, "another key")].tolist()
    tied = [name for name in first if int(name[1:]) < 20]
    assert tied != sorted(tied, key=lambda name: int(name[1:])), (
        "no household profits from its place in a file"
    )


def test_the_hash_of_a_feature_vector_knows_one_zero_and_one_nan():
    odd = np.frombuffer(np.array([0xFFF8_0000_0000_0001], dtype=np.uint64).tobytes(), dtype=np.float64)[0]
    hashes = feature_hashes(np.array([[0.0, np.nan], [-0.0, odd], [0.0, 1.0], [np.nan, 0.0]]))
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", text) for text in hashes)


def test_a_failed_guarantee_is_red_whatever_the_score(scores, model):
    assert model.settings.grades.leads["guarantee"] == "red"
    failed = scores.frame.filter(pl.col("rule_guarantee_failed") == 1)
    assert failed.height and (failed["grade"] == "red").all()
    assert set(scores.frame["grade"]) <= {"red", "orange", "yellow", "none"}


def test_what_a_household_reads_carries_the_sentence_and_no_verdict(scores):
    name = scores.frame["household_id"][0]
    told = scores.reasons(name)
    text = told.text()
    assert SIGNAL_ZH in text and SIGNAL_EN in text and name in text
    assert len(told.raising) <= 5 and len(told.lowering) <= 2 and len(list(told)) == len(told)
    assert all(kind in RISK_KINDS for kind in told.risk_kinds)
    everything = text + "".join(scores.frame["reasons_zh"]) + "".join(scores.frame["reasons_en"])
    assert not re.search(
        r"\b(eligib|determination|approv|reject|poor household|log-odds|SHAP|nan|None\b(?! of))", everything
    )
    assert not any(
        f"{feature} " in everything or f"{feature}，" in everything
        for feature in scores.table.names
        if "_" in feature
    )
    with pytest.raises(DataError, match="not in the cohort"):
        scores.reasons("nobody")


def test_no_reason_of_the_county_contradicts_the_catalogue(scores, model):
    """Told higher than most while riskier when lower (or the reverse) never stands among what raises the
    risk.
    """
    table = scores.table
    for slot in range(table.feature.shape[1]):
        raises = slot < 5
        for name in set(table.feature[:, slot].tolist()) - {-1}:
            riskier = model.catalogue[table.names[name]].riskier_when
            if riskier == "unclear":
                continue
            rows = table.feature[:, slot] == name
            wanted = 1 if (riskier == "higher") == raises else -1
            assert set(table.side[rows, slot].tolist()) <= {0, 2, wanted}, table.names[name]


def test_features_with_infinite_values_are_not_scored(model, scores):
    values = scores.matrix.values.copy()
    values[3, scores.matrix.names.index("self_paid_12m")] = np.inf
    matrix = scores.matrix
    with pytest.raises(GateError, match="infinite"):
        model.score_matrix(
            FeatureMatrix(matrix.as_of, matrix.household_id, matrix.village_code, matrix.names, values)
        )
    with pytest.raises(ModelError, match="no horizon of 7"):
        model.score_matrix(matrix, 7)


def test_a_day_before_the_county_begins_has_nobody_to_score(model, county):
    with pytest.raises(DataError, match="nobody"):
        model.score(county, dt.date(1999, 1, 1))


def test_models_without_trees_are_explained_by_their_own_contributions(project, trained, scores):
    names = ("income_gap_pp", "self_paid_12m")
    member = RuleMember(np.array([-1.0, 0.5]), np.zeros(2), np.array([1000.0, 1000.0]), np.zeros(2))
    rule = dataclasses.replace(
        trained, learner="department_rules", feature_names=names, members=(member,), signs=(-1, 1), record={}
    )
    told = ScreeningModel.of(project, rule).score_matrix(scores.matrix)
    given, base = told.contributions()
    ranked = np.sort(given.sum(axis=1) + base)[::-1]
    assert np.abs(ranked - told.frame["margin"].to_numpy()).max() < 1e-9
    assert "监测线" in told.frame["reasons_zh"][0]


def test_a_model_that_nobody_can_explain_is_not_scored_with(project, trained):
    with pytest.raises(ModelError, match="cannot be explained"):
        ScreeningModel.of(project, dataclasses.replace(trained, learner="boosting", members=()))


def test_columns_of_an_analysts_own_table_speak_under_their_own_names(project, trained, scores):
    names = ("earnings_last_year", "rooms")
    member = RuleMember(np.array([-1.0, -0.5]), np.zeros(2), np.ones(2), np.zeros(2))
    record = {"source": "table"}
    own = dataclasses.replace(
        trained,
        learner="department_rules",
        feature_names=names,
        members=(member,),
        signs=(-1, 0),
        record=record,
    )
    draw = np.random.default_rng(0)
    values = np.column_stack([draw.permutation(600) / 10, draw.integers(0, 5, 600)]).astype(float)
    groups = np.array(["group 1"] * 600, dtype=object)
    matrix = FeatureMatrix(
        NOW, np.array([f"u{place}" for place in range(600)], dtype=object), groups, names, values
    )
    told = ScreeningModel.of(project, own).score_matrix(matrix)
    assert (
        told.frame["household_id"][599]
        and "earnings last year" in told.reasons(str(told.frame["household_id"][599])).text()
    )


def test_stored_scores_come_out_again_bit_for_bit_reasons_included(project, county, model, scores, tmp_path):
    path = tmp_path / "scores.parquet"
    scores.frame.write_parquet(path)
    told = replay(project, path, county, most=1000, model_of=lambda version: model)
    assert told.ok and told.checked == told.same == min(1000, len(scores))
    assert "bit for bit" in told.text()


def test_a_replay_says_exactly_what_is_gone_or_different(project, county, model, scores, tmp_path):
    stored = scores.frame.head(50)

    def absent(version):
        raise ModelError(f"model {version} is in no run of the store")

    gone = replay(project, stored, county, model_of=absent)
    assert not gone.ok and gone.checked == 0 and gone.gone[0][1] == 50 and "in no run" in gone.text()

    other = dataclasses.replace(model, catalogue_hash="0" * 64)
    assert "features/catalogue.yaml" in replay(project, stored, county, model_of=lambda version: other).text()

    tampered = stored.with_columns(
        margin=pl.when(pl.col("rank") == 3).then(pl.col("margin") + 1e-12).otherwise(pl.col("margin"))
    )
    told = replay(project, tampered, county, model_of=lambda version: model)
    assert {row[1] for row in told.different} == {"margin"} and told.same == 49

    victim = stored["household_id"][0]
    income = county["income"]
    changed = income.with_columns(
        amount=pl.when(pl.col("household_id") == victim)
        .then(pl.col("amount") * 2)
        .otherwise(pl.col("amount"))
    )
    told = replay(
        project,
        stored,
        Tables({**county.frames, "income": changed}, county.hashes),
        model_of=lambda version: model,
    )
    assert (victim, "feature_hash") in {row[:2] for row in told.different}
    assert "altered" in told.text()

    nobody = county["households"].filter(pl.col("household_id") != victim)
    told = replay(
        project,
        stored,
        Tables({**county.frames, "households": nobody}, county.hashes),
        model_of=lambda version: model,
    )
    assert any("rows known by that day are gone" in sentence for sentence, _ in told.gone)

    with pytest.raises(DataError, match="no column margin"):
        replay(project, stored.drop("margin"), county, model_of=lambda version: model)
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"bad\.parquet"):
        replay(project, tmp_path / "bad.parquet", county, model_of=lambda version: model)


def test_what_changed_tells_the_move_and_the_values_that_made_it(model, county, scores):
    earlier = model.score(county, BEFORE)
    frame = what_changed(earlier, scores)
    assert frame["household_id"].to_list() == sorted(
        set(earlier.frame["household_id"]) | set(scores.frame["household_id"])
    )
    assert set(frame["moved"]) <= {"up", "down", "same", "new", "left"}
    up = frame.filter((pl.col("moved") == "up") & (pl.col("changes_zh") != ""))
    assert up.height and up["changes_zh"].str.contains("上次|现在").all()
    assert up["changes_en"].str.contains("last time|now:").all()
    assert (frame.filter(pl.col("moved") == "same")["changes_zh"] == "").all()
    assert (
        frame.filter(pl.col("moved") == "left")["rank_now"].null_count()
        == frame.filter(pl.col("moved") == "left").height
    )
    same = what_changed(scores, scores)
    assert set(same["moved"]) == {"same"}
    with pytest.raises(DataError, match="one model"):
        what_changed(dataclasses.replace(earlier, model_version="another"), scores)


def test_analysts_get_shaps_pictures_and_tables(scores, tmp_path):
    pytest.importorskip("shap")
    from riskmodel.screening import plots

    name = scores.frame["household_id"][0]
    for number, figure in enumerate(
        (
            scores.waterfall(name),
            scores.waterfall(name, "en"),
            plots.frequent_reasons(scores),
            plots.importance_plot(scores.table, "en"),
        )
    ):
        figure.savefig(tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 5000
    weights = plots.importance(scores.table)
    kinds = weights.filter(pl.col("kind") == "risk_kind")
    assert set(kinds["name"]) == set(RISK_KINDS)
    assert weights.filter(pl.col("kind") == "feature")["share"].sum() == pytest.approx(1.0)
    explanation = plots.explanation(scores.table, scores.base, "en", rows=[0, 1])
    assert explanation.values.shape == (2, len(scores.table.names))
    codes = [code[:9] for code in scores.matrix.village_code]
    towns = plots.reasons_by_township(scores.table, codes)
    assert towns["households"].min() >= 1
    plots.reasons_by_township_plot(scores.table, codes).savefig(tmp_path / "towns.png")
    with pytest.raises(DataError, match="townships"):
        plots.reasons_by_township_plot(scores.table, codes, fewest=len(scores) + 1)
    table, picture = plots.save_importance(scores.table, tmp_path)
    assert pl.read_csv(table).columns == weights.columns
    assert picture.stat().st_size > 5000


def test_analysts_see_what_pairs_of_features_do_together(model, scores, tmp_path):
    pytest.importorskip("shap")
    from riskmodel.screening import plots

    found = plots.interactions(scores.table, model.explainer, sample=60)
    assert np.abs(found.values.sum(axis=2) - scores.table.contributions[found.rows]).max() < 1e-9
    strongest = found.strongest(5)
    assert strongest["importance"].is_sorted(descending=True) and 0 < strongest["share"].sum() < 1
    first, second = strongest.row(0)[:2]
    together = 2 * found.values[:, scores.table.names.index(first), scores.table.names.index(second)]
    assert strongest["importance"][0] == pytest.approx(np.abs(together).mean())
    plots.pair_plot(found, first, second).savefig(tmp_path / "pair.png")
    assert (tmp_path / "pair.png").stat().st_size > 5000
    files = plots.save_importance(scores.table, tmp_path, explainer=model.explainer)
    assert [file.name for file in files] == [
        "importance.csv",
        "importance.png",
        "interactions.csv",
        "interactions.png",
    ]
    assert pl.read_csv(files[2]).columns == strongest.columns and files[3].stat().st_size > 5000


# A champion and the catalogue under it.


@pytest.fixture
def remembering(project, trained, own_project):
    """The module's model with the meaning of its features as they were at training, and a project whose
    catalogue can be changed.
    """
    from riskmodel.features import load_catalogue

    meanings = load_catalogue(project).meanings(trained.feature_names)
    return dataclasses.replace(trained, record={**trained.record, "feature_meanings": meanings}), own_project


def change_entry(project, name, line, other):
    """Replace a line of one entry of the project's catalogue."""
    path = project.root / "features" / "catalogue.yaml"
    before, start, rest = path.read_text(encoding="utf-8").partition(f"\n{name}:\n")
    assert start and line in rest
    path.write_text(before + start + rest.replace(line, other, 1), encoding="utf-8")


def test_a_model_is_scored_with_while_its_features_mean_the_same(remembering):
    model, own = remembering
    assert ScreeningModel.of(own, model).version == model.version


@pytest.mark.parametrize(
    ("line", "other"),
    [("unit: yuan_per_person", "unit: ratio"), ("riskier_when: lower", "riskier_when: unclear")],
)
def test_a_model_whose_feature_changed_in_the_catalogue_is_refused_with_its_name(remembering, line, other):
    model, own = remembering
    change_entry(own, "income_gap_pp", line, other)
    with pytest.raises(
        ModelError, match=r"changed since the model was trained: income_gap_pp;.*[Rr]estore the catalogue"
    ):
        ScreeningModel.of(own, model)


def test_a_corrected_label_does_not_stop_the_scoring(remembering):
    model, own = remembering
    path = own.root / "features" / "catalogue.yaml"
    text = path.read_text(encoding="utf-8")
    start = text.index("label: {zh: ", text.index("\nincome_gap_pp:\n")) + len("label: {zh: ")
    path.write_text(text[:start] + "改" + text[start:], encoding="utf-8")
    assert ScreeningModel.of(own, model).catalogue["income_gap_pp"].label.zh.startswith("改")


def test_a_feature_that_left_the_catalogue_is_named(remembering):
    model, own = remembering
    gone = dataclasses.replace(
        model, record={"feature_meanings": {**model.record["feature_meanings"], "vanished": "0" * 12}}
    )
    with pytest.raises(ModelError, match="trained: vanished;"):
        ScreeningModel.of(own, gone)


def test_a_model_from_before_meanings_were_kept_is_compared_by_the_whole_catalogue(
    project, trained, own_project
):
    from riskmodel.features.catalogue import catalogue_files

    stored = own_project.hash(*catalogue_files(own_project))
    old = dataclasses.replace(trained, record={"catalogue_hash": stored})
    assert ScreeningModel.of(own_project, old)
    path = own_project.root / "features" / "catalogue.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(ModelError, match="changed since the model was trained"):
        ScreeningModel.of(own_project, old)


# Scores long after the newest data.


def test_scores_of_a_day_long_after_the_newest_data_carry_a_note(model, county):
    fresh, stale = model.score(county, dt.date(2025, 12, 31)), model.score(county, dt.date(2026, 3, 31))
    assert fresh.stale is None
    zh, en = stale.stale
    assert "2025-12-31" in zh and "相隔90天" in zh and "90 days" in en
