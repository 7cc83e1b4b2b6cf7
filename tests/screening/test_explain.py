"""Contributions are exact: LightGBM's own calculation is the yardstick, on ordinary rows and on every odd one that can occur."""

from __future__ import annotations

import subprocess
import sys

import lightgbm as lgb
import numpy as np
import pytest

from riskmodel.errors import ModelError
from riskmodel.screening.explain import BLOCK, Explainer

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
    score = np.nan_to_num(X[:, 0]) + np.nan_to_num(X[:, 1] * X[:, 2]) + (np.nan_to_num(X[:, CATEGORY]) % 7 < 2)
    return X, (score + draw.normal(size=n) > 0.8).astype(float)


def odd_rows(p: int = 8):
    """Every value that a table can hold and a few that it cannot, in every column."""
    values = [
        np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, 1e-35, 5e-324, 1e300, -1e300, 1.7976931348623157e308,
        -0.5, -0.999999, -1.0, -3.0, 0.5, 3.7, 69.999, 70.0, 1000.0, 2147483647.0, 2147483648.0, -2147483649.0, 4e9, 1e19,
    ]  # fmt: skip
    base, _ = rows(len(values) * p, p, seed=9)
    for place, value in enumerate(values):
        for column in range(p):
            base[place * p + column, column] = value
    return np.vstack([base, np.tile(np.array(values)[:, None], (1, p))])


def train(X, y, *, categories: bool = True, trees: int = 30, **parameters):
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 15, "min_data_in_leaf": 5, "seed": 3}
    data = lgb.Dataset(X, y, categorical_feature=[CATEGORY] if categories else [], params={"verbose": -1, **parameters})
    return lgb.train(settings | parameters, data, trees)


def agrees(booster, X, explainer=None):
    """The largest difference to pred_contrib, and of the sums to the margin."""
    explainer = explainer or Explainer.from_booster_texts([booster.model_to_string()])
    given, base = explainer.contributions(X)
    wanted = booster.predict(X, pred_contrib=True, num_threads=1)
    margin = booster.predict(X, raw_score=True, num_threads=1)
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
    X = np.column_stack([np.r_[np.full(100, np.inf), np.full(100, 1e300), np.full(100, 3.0)], np.arange(300.0)])
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
    booster = train(X, np.sin(4 * X[:, 0]), categories=False, objective="regression", num_leaves=63, max_depth=-1)
    agrees(booster, np.vstack([X[:300], [[np.nan], [np.inf], [-np.inf], [0.0]]]))


def test_members_with_the_same_trees_are_trees_with_their_weights():
    X, y = rows(600)
    boosters = [train(X, y, seed=seed, feature_fraction=0.5) for seed in (1, 2, 2)]
    given, base = Explainer.from_booster_texts([booster.model_to_string() for booster in boosters]).contributions(X)
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
    booster = train(X, y, categories=False, objective="regression", num_leaves=60, min_data_in_leaf=1, max_depth=-1, trees=3)
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
    alone = np.vstack([explainer.contributions(X[[place]])[0] for place in (0, 1, BLOCK, BLOCK + 5, len(X) - 1)])
    assert np.array_equal(together, turned[::-1])
    assert np.array_equal(together[[0, 1, BLOCK, BLOCK + 5, len(X) - 1]], alone)
    assert explainer.contributions(X[:0])[0].shape == (0, X.shape[1])


def test_the_input_may_be_fortran_ordered_or_whole_numbers():
    X, y = rows(200)
    booster = train(X, y)
    explainer = Explainer.from_booster_texts([booster.model_to_string()])
    whole = np.nan_to_num(X).astype(int)
    assert np.array_equal(explainer.contributions(np.asfortranarray(X))[0], explainer.contributions(X)[0])
    agrees(booster, whole.astype(float), explainer)
    assert np.array_equal(explainer.contributions(whole)[0], explainer.contributions(whole.astype(float))[0])


def test_tables_come_back_from_a_folder_bit_for_bit_and_without_pickle(tmp_path):
    X, y = rows(500)
    explainer = Explainer.from_booster_texts([train(X, y).model_to_string()])
    path = explainer.save(tmp_path)
    assert path is not None
    with np.load(path, allow_pickle=False) as stored:
        assert "table" in stored.files
    given, base = Explainer.load(tmp_path).contributions(X)
    wanted, wanted_base = explainer.contributions(X)
    assert np.array_equal(given, wanted) and base == wanted_base
    first = path.read_bytes()
    explainer.save(tmp_path)
    assert path.read_bytes() == first, "the same tables, the same bytes: a release can be hashed"


def test_damaged_tables_are_refused_and_never_walked_through(tmp_path):
    X, y = rows(300)
    explainer = Explainer.from_booster_texts([train(X, y).model_to_string()])
    path = explainer.save(tmp_path)
    whole = path.read_bytes()
    for cut in np.linspace(0, len(whole) - 1, 15, dtype=int):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelError):
            Explainer.load(tmp_path)
    arrays = explainer.tables.arrays()
    for name in ("group_start", "condition", "table_start", "group_feature", "forest_feature", "forest_category_stop"):
        damaged = dict(arrays)
        damaged[name] = arrays[name].copy()
        damaged[name][-1] += 10_000_000
        np.savez(path, allow_pickle=False, **damaged)
        with pytest.raises(ModelError, match="do not fit"):
            Explainer.load(tmp_path)
    np.savez(path, allow_pickle=False, table=arrays["table"])
    with pytest.raises(ModelError, match="missing"):
        Explainer.load(tmp_path)


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


def test_importing_and_using_the_kernel_leaves_shap_and_pandas_alone(tmp_path):
    X, y = rows(300)
    Explainer.from_booster_texts([train(X, y, trees=3).model_to_string()]).save(tmp_path)
    code = (
        "import sys, pathlib; from riskmodel.screening.explain import Explainer;"
        f"assert 'numba' not in sys.modules; e = Explainer.load(pathlib.Path({str(tmp_path)!r}));"
        "import numpy as np; e.contributions(np.zeros((3, e.n_features)));"
        "print(sorted(set(sys.modules) & {'shap', 'lightgbm', 'pandas', 'sklearn'}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_second_start_does_not_wait_for_a_compiler(tmp_path):
    X, y = rows(300)
    Explainer.from_booster_texts([train(X, y, trees=3).model_to_string()]).save(tmp_path)  # fills the cache on disk
    code = (
        "import pathlib, numpy as np; from riskmodel.screening.explain import Explainer;"
        "from riskmodel.screening.kernels import contributions_into;"
        f"e = Explainer.load(pathlib.Path({str(tmp_path)!r})); e.contributions(np.zeros((3, e.n_features)));"
        "print(contributions_into.compilations)"
    )
    told = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert told[-1].stdout.strip() == "0"
