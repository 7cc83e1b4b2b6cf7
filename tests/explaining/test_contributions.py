"""Contributions are exact: LightGBM's own calculation is the yardstick, on ordinary rows and on every odd one
that can occur.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from riskmodel.errors import ModelError
from riskmodel.explaining.contributions import BLOCK, TABLES_FILE, Explainer
from riskmodel.explaining.margins import Walker
from riskmodel.explaining.trees import read_forest
from riskmodel.training.calibration import BetaCalibration
from riskmodel.training.learners.trees import TreeMember
from riskmodel.training.model import Model

TOLERANCE = 1e-9
CATEGORY = 4


def rows(n: int = 1500, p: int = 8, seed: int = 0):
    """Numbers, a share of them unknown, zeros, counts, and one column of categories."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, p))
    X[:, 1] = np.where(draw.random(n) < 0.5, 0.0, X[:, 1])
    X[:, 2] = np.round(X[:, 2] * 2)
    X[:, CATEGORY] = draw.integers(0, 70, n)
    X[draw.random((n, p)) < 0.08] = np.nan
    score = (
        np.nan_to_num(X[:, 0]) + np.nan_to_num(X[:, 1] * X[:, 2]) + (np.nan_to_num(X[:, CATEGORY]) % 7 < 2)
    )
    return X, (score + draw.normal(size=n) > 0.8).astype(float)


def odd_rows(p: int = 8):
    """Every value that a table can hold and a few that it cannot, in every column."""
    values = [
        np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, 1e-35, 5e-324, 1e300, -1e300,
        1.7976931348623157e308, -0.5, -0.999999, -1.0, -3.0, 0.5, 3.7, 69.999, 70.0, 1000.0,
        2147483647.0, 2147483648.0, -2147483649.0, 4e9, 1e19,
    ]  # fmt: skip
    base, _ = rows(len(values) * p, p, seed=9)
    for place, value in enumerate(values):
        for column in range(p):
            base[place * p + column, column] = value
    return np.vstack([base, np.tile(np.array(values)[:, None], (1, p))])


def train(X, y, *, categories: bool = True, trees: int = 30, **parameters):
    settings = {
        "objective": "binary",
        "verbose": -1,
        "num_threads": 1,
        "num_leaves": 15,
        "min_data_in_leaf": 5,
        "seed": 3,
    }
    data = lgb.Dataset(
        X, y, categorical_feature=[CATEGORY] if categories else [], params={"verbose": -1, **parameters}
    )
    return lgb.train(settings | parameters, data, trees)


def agrees(booster, X, explainer=None):
    """The largest difference to pred_contrib, and of the sums to the margin."""
    explainer = explainer or Explainer.from_booster_texts([booster.model_to_string()])
    given, base = explainer.contributions(X)
    wanted = booster.predict(X, pred_contrib=True, num_threads=1)
    margin = booster.predict(X, raw_score=True, num_threads=1)
    if explainer.tables is not None:
        walked = Walker.of(explainer.tables.forest)
        assert walked is not None and np.array_equal(walked.margins(X)[:, 0], margin), "to the bit"
    assert np.abs(given - wanted[:, :-1]).max(initial=0) < TOLERANCE
    assert np.abs(base - wanted[:, -1]).max(initial=0) < TOLERANCE
    assert np.abs(given.sum(axis=1) + base - margin).max(initial=0) < TOLERANCE
    return explainer


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"max_depth": 1, "num_leaves": 2},
        {"max_depth": 6, "num_leaves": 63},
        {"max_cat_to_onehot": 100},
        {"min_data_per_group": 1, "cat_smooth": 0.1, "max_cat_threshold": 64},
        {"boosting": "dart", "drop_rate": 0.5},
        {"extra_trees": True, "num_leaves": 31},
        {"objective": "regression", "linear_tree": False},
        {"feature_fraction": 0.3, "bagging_fraction": 0.5, "bagging_freq": 1},
        {"path_smooth": 5.0},
    ],
    ids=lambda chosen: ",".join(f"{name}={value}" for name, value in chosen.items()) or "defaults",
)
def test_contributions_are_those_of_lightgbm_on_ordinary_and_on_odd_rows(parameters):
    X, y = rows()
    booster = train(X, y, **parameters)
    explainer = agrees(booster, X[:400])
    agrees(booster, odd_rows(), explainer)
    assert explainer.method == "tables"


def test_a_category_with_a_fraction_is_cut_and_unknown_and_negative_ones_go_right():
    X, y = rows()
    booster = train(X[:, [CATEGORY, 0]], y, categories=False, num_leaves=7)
    booster = lgb.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 7, "min_data_per_group": 5},
        lgb.Dataset(X[:, [CATEGORY, 0]], y, categorical_feature=[0]),
        20,
    )
    codes = np.array([0.0, -0.5, 0.9, -1.0, -7.0, 69.0, 70.0, 500.0, np.nan, np.inf, -np.inf, 3e9])
    agrees(booster, np.column_stack([codes, np.zeros(len(codes))]))
    given, _ = Explainer.from_booster_texts([booster.model_to_string()]).contributions(
        np.column_stack([[-0.5, 0.0, -1.0, np.nan], np.zeros(4)])
    )
    assert np.array_equal(given[0], given[1]), "LightGBM truncates -0.5 to 0"
    assert np.array_equal(given[2], given[3]), "negative and unknown go the same way"


def test_infinite_thresholds_are_read_as_infinite():
    X = np.column_stack(
        [np.r_[np.full(100, np.inf), np.full(100, 1e300), np.full(100, 3.0)], np.arange(300.0)]
    )
    y = np.r_[np.zeros(100), np.ones(100), np.zeros(100)]
    booster = train(X, y, categories=False, num_leaves=4)
    text = booster.model_to_string()
    agrees(booster, X)
    told = [line for line in text.splitlines() if line.startswith("threshold=")]
    changed = text.replace(told[0], "threshold=" + " ".join(["inf"] * len(told[0].split("=")[1].split())))
    sizes = next(line for line in changed.splitlines() if line.startswith("tree_sizes="))
    changed = changed.replace(sizes + "\n", "")  # LightGBM trusts the sizes where they are given
    explainer = Explainer.from_booster_texts([changed])
    reread = lgb.Booster(model_str=changed)
    agrees(reread, np.array([[np.inf, 1.0], [1e308, 1.0], [-np.inf, 2.0], [np.nan, 3.0]]), explainer)


def test_one_tree_and_trees_of_a_single_leaf():
    X, y = rows(300)
    agrees(train(X, y, trees=1), X)
    lonely = train(X, y, min_data_in_leaf=280, trees=3)
    assert "num_leaves=1" in lonely.model_to_string()
    given, _ = Explainer.from_booster_texts([lonely.model_to_string()]).contributions(X)
    assert not given.any()
    agrees(lonely, X)


def test_a_feature_that_is_asked_again_and_again_on_a_path_is_one_condition():
    draw = np.random.default_rng(2)
    X = draw.normal(size=(3000, 1))
    booster = train(
        X, np.sin(4 * X[:, 0]), categories=False, objective="regression", num_leaves=63, max_depth=-1
    )
    agrees(booster, np.vstack([X[:300], [[np.nan], [np.inf], [-np.inf], [0.0]]]))


def test_members_with_the_same_trees_are_trees_with_their_weights():
    X, y = rows(600)
    boosters = [train(X, y, seed=seed, feature_fraction=0.5) for seed in (1, 2, 2)]
    given, base = Explainer.from_booster_texts(
        [booster.model_to_string() for booster in boosters]
    ).contributions(X)
    margins = np.mean([booster.predict(X, raw_score=True) for booster in boosters], axis=0)
    wanted = np.mean([booster.predict(X, pred_contrib=True) for booster in boosters], axis=0)
    assert np.abs(given.sum(axis=1) + base - margins).max() < TOLERANCE
    assert np.abs(given - wanted[:, :-1]).max() < TOLERANCE


@pytest.mark.parametrize("bits", [1, 3, 6, 10])
def test_the_size_of_the_groups_does_not_matter(bits):
    X, y = rows(800)
    booster = train(X, y, num_leaves=31)
    agrees(booster, X, Explainer.from_booster_texts([booster.model_to_string()], bits=bits))


@pytest.mark.parametrize("bounds", [{"deepest": 3, "bits": 3}, {"most_bytes": 1000}])
def test_beyond_the_bounds_lightgbm_answers_and_that_is_said(bounds):
    X, y = rows(600)
    booster = train(X, y, num_leaves=40)
    explainer = agrees(booster, X, Explainer.from_booster_texts([booster.model_to_string()], **bounds))
    assert explainer.method == "pred_contrib"
    assert "slower and gives the same values" in explainer.note


def test_a_deep_chain_of_different_features_falls_back_with_the_same_answer():
    draw = np.random.default_rng(1)
    X = draw.normal(size=(4000, 18))
    y = np.cumprod(X > -2.0, axis=1).sum(axis=1).astype(float)
    booster = train(
        X,
        y,
        categories=False,
        objective="regression",
        num_leaves=60,
        min_data_in_leaf=1,
        max_depth=-1,
        trees=3,
    )
    explainer = agrees(booster, X[:200])
    assert explainer.method == "pred_contrib"
    assert "a path of more than" in explainer.note


def test_linear_trees_several_classes_and_damaged_texts_are_refused():
    X, y = rows(400)
    linear = train(X[:, :3], y, categories=False, objective="regression", linear_tree=True)
    with pytest.raises(ModelError, match="linear_tree"):
        Explainer.from_booster_texts([linear.model_to_string()])
    classes = train(X, np.arange(len(X)) % 3, objective="multiclass", num_class=3)
    with pytest.raises(ModelError, match="several classes"):
        Explainer.from_booster_texts([classes.model_to_string()])
    text = train(X, y).model_to_string()
    with pytest.raises(ModelError, match="not whole"):
        Explainer.from_booster_texts([text[: len(text) // 2]])
    first = next(line for line in text.splitlines() if line.startswith("left_child="))
    circle = text.replace(first, "left_child=0 " + first.split(" ", 1)[1], 1)
    with pytest.raises(ModelError, match="do not form a tree"):
        Explainer.from_booster_texts([circle])
    with pytest.raises(ModelError, match="features, where the first"):
        Explainer.from_booster_texts([text, train(X[:, :6], y).model_to_string()])
    with pytest.raises(ModelError, match="shape"):
        Explainer.from_booster_texts([text]).contributions(X[:, :5])


def test_what_a_household_gets_does_not_depend_on_its_neighbours():
    X, y = rows(2 * BLOCK + 37)
    explainer = Explainer.from_booster_texts([train(X, y).model_to_string()])
    together, _ = explainer.contributions(X)
    turned, _ = explainer.contributions(X[::-1])
    alone = np.vstack(
        [explainer.contributions(X[[place]])[0] for place in (0, 1, BLOCK, BLOCK + 5, len(X) - 1)]
    )
    assert np.array_equal(together, turned[::-1])
    assert np.array_equal(together[:300], explainer.contributions(X[:300])[0])
    assert np.array_equal(together[[0, 1, BLOCK, BLOCK + 5, len(X) - 1]], alone)
    assert explainer.contributions(X[:0])[0].shape == (0, X.shape[1])


def test_each_member_has_its_own_margin_and_a_random_forest_is_left_to_lightgbm():
    X, y = rows(700)
    members = [train(X, y, trees=trees, seed=trees, feature_fraction=0.5) for trees in (1, 12, 30)]
    walker = Walker.of(read_forest([member.model_to_string() for member in members]))
    assert walker is not None
    told = np.column_stack([member.predict(X, raw_score=True, num_threads=1) for member in members])
    assert np.array_equal(walker.margins(X), told) and np.array_equal(
        walker.margins(X[300:301]), told[300:301]
    )
    forest = train(X, y, boosting="rf", bagging_freq=1, bagging_fraction=0.5)
    assert Walker.of(read_forest([forest.model_to_string()])) is None


def test_the_input_may_be_fortran_ordered_or_whole_numbers():
    X, y = rows(200)
    booster = train(X, y)
    explainer = Explainer.from_booster_texts([booster.model_to_string()])
    whole = np.nan_to_num(X).astype(int)
    assert np.array_equal(explainer.contributions(np.asfortranarray(X))[0], explainer.contributions(X)[0])
    agrees(booster, whole.astype(float), explainer)
    assert np.array_equal(explainer.contributions(whole)[0], explainer.contributions(whole.astype(float))[0])


def model_of(*boosters) -> Model:
    """A model of these members, as the run store keeps it."""
    columns = boosters[0].num_feature()
    names = tuple(f"column_{place}" for place in range(columns))
    return Model(
        "lightgbm",
        names,
        (12,),
        tuple(TreeMember(booster.model_to_string()) for booster in boosters),
        BetaCalibration(1.0, 1.0, (0.0,), (12,)),
        (0,) * columns,
    )


def test_tables_come_back_from_a_folder_bit_for_bit_and_without_pickle(tmp_path):
    X, y = rows(500)
    model = model_of(train(X, y), train(X, y, seed=5))
    explainer = Explainer.from_booster_texts(model.booster_texts)
    path = explainer.save(tmp_path)
    with np.load(path, allow_pickle=False) as stored:
        assert "table" in stored.files
    given, base = Explainer.load(tmp_path, model.booster_texts).contributions(X)
    wanted, wanted_base = explainer.contributions(X)
    assert np.array_equal(given, wanted) and base == wanted_base
    first = path.read_bytes()
    explainer.save(tmp_path)
    assert path.read_bytes() == first, "the same tables, the same bytes: a release can be hashed"
    assert not [other.name for other in tmp_path.iterdir() if other != path], "no draft is left behind"


def test_beyond_the_bounds_that_fact_comes_back_from_the_folder(tmp_path):
    X, y = rows(500)
    model = model_of(train(X, y))
    explainer = Explainer.from_booster_texts(model.booster_texts, most_bytes=1000)
    explainer.save(tmp_path)
    again = Explainer.load(tmp_path, model.booster_texts)
    assert again.method == "pred_contrib" and again.note == explainer.note
    assert np.array_equal(again.contributions(X)[0], explainer.contributions(X)[0])


def test_tables_of_another_model_are_refused(tmp_path):
    X, y = rows(300)
    Explainer.from_booster_texts(model_of(train(X, y)).booster_texts).save(tmp_path)
    for other in (model_of(train(X, y, seed=4, extra_trees=True)), model_of(train(X, y), train(X, y))):
        with pytest.raises(ModelError, match="made of other trees"):
            Explainer.load(tmp_path, other.booster_texts)
    (tmp_path / TABLES_FILE).unlink()
    with pytest.raises(ModelError, match=TABLES_FILE):
        Explainer.load(tmp_path, model_of(train(X, y)).booster_texts)


def test_damaged_tables_are_refused_and_never_walked_through(tmp_path):
    X, y = rows(300)
    model = model_of(train(X, y))
    explainer = Explainer.from_booster_texts(model.booster_texts)
    path = explainer.save(tmp_path)
    whole = path.read_bytes()
    for cut in np.linspace(0, len(whole) - 1, 15, dtype=int):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelError):
            Explainer.load(tmp_path, model.booster_texts)
    for place in np.linspace(
        0, len(whole) - 1, 60, dtype=int
    ):  # one byte, anywhere: refused, or of no consequence
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        try:
            given, _ = Explainer.load(tmp_path, model.booster_texts).contributions(X)
        except ModelError:
            continue
        assert np.array_equal(given, explainer.contributions(X)[0])
    path.write_bytes(whole)
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    of_nodes = [("forest_nodes", name) for name in ("feature", "left", "right", "category_stop")]
    for name, field in [
        ("group_start", ...),
        ("condition", ...),
        ("table_start", ...),
        ("group_feature", ...),
        *of_nodes,
    ]:
        damaged = dict(arrays)
        damaged[name] = arrays[name].copy()
        damaged[name][field][-1] += 10_000_000
        np.savez(path, allow_pickle=False, **damaged)
        with pytest.raises(ModelError, match="do not fit"):
            Explainer.load(tmp_path, model.booster_texts)
    for kept in (["table"], ["table", "made_of", "note"]):
        np.savez(path, allow_pickle=False, **{name: arrays[name] for name in kept})
        with pytest.raises(ModelError, match="missing"):
            Explainer.load(tmp_path, model.booster_texts)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"max_depth": 7, "num_leaves": 60},
        {"max_depth": 1, "num_leaves": 2},
    ],
    ids=lambda chosen: ",".join(f"{name}={value}" for name, value in chosen.items()) or "defaults",
)
def test_interactions_are_symmetric_and_their_rows_sum_to_the_contributions(parameters):
    X, y = rows()
    explainer = Explainer.from_booster_texts([train(X, y, **parameters).model_to_string()])
    some = np.vstack([X[:60], odd_rows()[::17]])
    pairs = explainer.interactions(some)
    contributions, _ = explainer.contributions(some)
    assert pairs.shape == (len(some), X.shape[1], X.shape[1])
    assert np.array_equal(pairs, pairs.transpose(0, 2, 1))
    assert np.abs(pairs.sum(axis=2) - contributions).max() < TOLERANCE
    if parameters.get("max_depth") == 1:  # a tree that asks once lets nothing act together
        assert not pairs[:, ~np.eye(X.shape[1], dtype=bool)].any()


def test_interactions_are_those_of_shap():
    shap = pytest.importorskip("shap")
    X, y = rows()
    booster = train(X, y, categories=False, num_leaves=31)
    ours = Explainer.from_booster_texts([booster.model_to_string()]).interactions(X[:50])
    theirs = shap.TreeExplainer(booster).shap_interaction_values(X[:50])
    assert np.abs(ours - theirs).max() < TOLERANCE
    beyond = Explainer.from_booster_texts([booster.model_to_string()], most_bytes=1000)
    assert np.array_equal(beyond.interactions(X[:50]), ours), "beyond the bounds of the tables too"


def test_a_product_of_two_features_shows_as_their_interaction():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(4000, 4))
    booster = train(
        X,
        X[:, 0] * X[:, 1] + 0.3 * X[:, 2],
        categories=False,
        objective="regression",
        num_leaves=31,
        trees=60,
    )
    size = np.abs(Explainer.from_booster_texts([booster.model_to_string()]).interactions(X[:300])).mean(
        axis=0
    )
    off = size.copy()
    np.fill_diagonal(off, 0.0)
    assert np.unravel_index(off.argmax(), off.shape) in ((0, 1), (1, 0))
    assert size[0, 1] > size[0, 0] and off[2].max() < 0.2 * size[2, 2]


def test_shap_takes_the_result_as_its_own():
    shap = pytest.importorskip("shap")
    X, y = rows(300)
    booster = train(X, y)
    explainer = Explainer.from_booster_texts([booster.model_to_string()])
    ours = explainer.explanation(X[:20], [f"column {place}" for place in range(X.shape[1])])
    theirs = shap.TreeExplainer(booster)(X[:20])
    assert isinstance(ours, shap.Explanation)
    assert np.abs(ours.values - theirs.values).max() < TOLERANCE
    assert np.abs(ours.base_values - theirs.base_values).max() < TOLERANCE


def saved_model(folder) -> None:
    """A model and its explanation tables in a folder, as a release keeps them."""
    X, y = rows(300)
    model = model_of(train(X, y, trees=3))
    model.save(folder / "model")
    Explainer.from_booster_texts(model.booster_texts).save(folder)


def in_a_process_of_its_own(code: str, **environment: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return told.stdout.strip()


LOAD = (
    "import sys, pathlib; from riskmodel.explaining.contributions import Explainer; from "
    "riskmodel.training.model import Model;folder = pathlib.Path({folder!r}); e = Explainer.load(folder, "
    "Model.load(folder / 'model').booster_texts);import numpy as np; e.contributions(np.zeros((3, "
    "e.n_features)));"
)


def test_importing_and_using_the_kernel_leaves_shap_and_pandas_alone(tmp_path):
    saved_model(tmp_path)
    told = in_a_process_of_its_own(
        "import riskmodel.explaining.contributions, sys; assert 'numba' not in sys.modules;"
        + LOAD.format(folder=str(tmp_path))
        + "print(sorted(set(sys.modules) & {'shap', 'lightgbm', 'pandas', 'sklearn', 'mlflow'}))"
    )
    assert told == "[]"


def test_after_the_warm_up_of_an_installation_no_explanation_waits_for_a_compiler(tmp_path):
    saved_model(tmp_path)
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    count = "from riskmodel.screening.warming import KERNELS; print(sum(one.compilations for one in KERNELS))"
    warm_up = "from riskmodel.screening.warming import warm_up; warm_up();"
    assert int(in_a_process_of_its_own(warm_up + count, **cache)) > 0, (
        "a fresh cache: this is where the time goes"
    )
    assert in_a_process_of_its_own(warm_up + count, **cache) == "0"
    # a real county, real reasons, in another process: everything that they call was compiled by the warm-up
    real = LOAD.format(folder=str(tmp_path)) + (
        "import datetime as dt; from riskmodel.project import Project; from "
        "riskmodel.features.catalogue import load_catalogue;from riskmodel.features.matrix import "
        "FeatureMatrix; from riskmodel.screening.reasons import Wordbook, give_reasons;from "
        f"riskmodel.screening.reference import Reference;project = Project.find({str(Path.cwd())!r}); "
        "catalogue = load_catalogue(project); names = tuple(catalogue.with_status('active'));draw = "
        "np.random.default_rng(0); X = draw.random((200, len(names))); day = dt.date(2025, 1, 1);"
        "villages = np.array(['522301101201'] * 200, dtype=object);matrix = FeatureMatrix(day, "
        "np.array([str(i) for i in range(200)], dtype=object), villages, names, X);reference = "
        "Reference.of(matrix); book = Wordbook.load(project, catalogue);table = give_reasons(book, "
        "names, X, draw.normal(size=X.shape), villages, reference, as_of=day); table.texts('zh');"
        "give_reasons(book, names, X[:1], draw.normal(size=(1, len(names))), villages[:1], "
        "Reference.nothing(day, names), as_of=day);"
    )
    assert in_a_process_of_its_own(real + count, **cache) == "0"


def test_set_up_warms_the_explanations_too():
    assert "riskmodel.screening.warming" in Path("Makefile").read_text()
