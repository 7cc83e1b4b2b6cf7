"""The leak hunt, and performance expected before outcomes are known."""

from __future__ import annotations

import numpy as np
import pytest

from riskmodel.errors import DataError
from riskmodel.training.expected import expected_auc, expected_confusion, expected_performance
from riskmodel.training.leaks import feature_aucs, hunt_leaks, single_auc


def matrix(seed: int = 0, rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Honest features in column 0 and 1, and a label of 3 %, a tenth of it unlabelled."""
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(rows, 2))
    label = (chance.random(rows) < 1 / (1 + np.exp(4 - values[:, 0]))).astype(float)
    label[chance.random(rows) < 0.1] = np.nan
    return values, label


def test_honest_features_raise_no_suspicion() -> None:
    values, label = matrix()
    assert hunt_leaks(values, ["income", "age"], label) == []


def test_a_flag_written_after_identification_is_found_in_either_direction() -> None:
    values, label = matrix()
    leak = np.where(np.nan_to_num(label) == 1, 1.0, 0.0)
    for column, direction in ((leak, "higher"), (-leak, "lower")):
        suspects = hunt_leaks(np.column_stack([values, column]), ["income", "age", "aid_months"], label)
        assert [(suspect.feature, suspect.kind, suspect.riskier_when) for suspect in suspects] == [
            ("aid_months", "value", direction)
        ]
    assert "look for a leak" in str(suspects[0])


def test_a_code_for_missing_that_only_the_confirmed_have_is_found() -> None:
    values, label = matrix()
    values[np.nan_to_num(label) == 1, 1] = np.nan
    suspects = hunt_leaks(values, ["income", "age"], label)
    assert [(suspect.feature, suspect.kind, suspect.riskier_when) for suspect in suspects] == [
        ("age", "missing", "missing")
    ]


def test_the_order_of_the_rows_is_tried_when_it_is_given() -> None:
    values, label = matrix()
    order = np.argsort(-np.nan_to_num(label), kind="stable")
    suspects = hunt_leaks(
        values[order], ["income", "age"], label[order], extra={"row order": np.arange(len(label))}
    )
    assert [suspect.feature for suspect in suspects] == ["row order"]


def test_a_feature_that_hardly_anybody_has_is_not_judged() -> None:
    values, label = matrix()
    rare = np.full(len(label), np.nan)
    rare[np.flatnonzero(label == 1)[:5]] = 1.0
    rare[np.flatnonzero(label == 0)[:5]] = 0.0
    assert hunt_leaks(np.column_stack([values, rare]), ["income", "age", "rare"], label) == []


def test_the_auc_of_a_feature_agrees_with_scikit_learn_also_with_ties() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    values, label = matrix()
    keep = np.isfinite(label)
    rounded = np.round(values[:, 0])
    assert single_auc(rounded[keep], label[keep] == 1) == pytest.approx(
        metrics.roc_auc_score(label[keep], rounded[keep])
    )
    table = feature_aucs(values, ["income", "age"], label)
    assert table["feature"].tolist() == ["income", "age"] and table["riskier_when"].iloc[0] == "higher"


def test_names_that_do_not_fit_the_columns_are_refused() -> None:
    values, label = matrix()
    with pytest.raises(DataError, match="a column a name"):
        hunt_leaks(values, ["income"], label)


def test_the_expected_confusion_table_is_the_published_one() -> None:
    # CBPE: TP = sum of p where predicted 1, FP = sum of 1-p there; FN = sum of p where predicted 0, TN = sum
    # of 1-p there.
    expected = expected_confusion([0.9, 0.6, 0.3, 0.1], [1, 1, 0, 0])
    assert expected == pytest.approx(
        {"true_positive": 1.5, "false_positive": 0.5, "false_negative": 0.4, "true_negative": 1.6}
    )
    result = expected_performance([0.9, 0.6, 0.3, 0.1], [4, 3, 2, 1], visits=2)
    assert result.precision == pytest.approx(1.5 / 2)
    assert result.recall == pytest.approx(1.5 / 1.9)


def test_the_expected_auc_is_the_area_under_the_expected_curve() -> None:
    # Published as: at every cut the expected true and false positive rates, then the trapezoid area.
    chance = np.random.default_rng(1).beta(0.3, 3, size=300)
    order = np.argsort(-chance)
    true_rate = np.concatenate([[0], np.cumsum(chance[order])]) / chance.sum()
    false_rate = np.concatenate([[0], np.cumsum(1 - chance[order])]) / (1 - chance).sum()
    assert expected_auc(chance, chance) == pytest.approx(np.trapezoid(true_rate, false_rate))


def test_expected_and_realised_figures_agree_when_probabilities_are_true() -> None:
    chance = np.random.default_rng(2)
    probability = chance.beta(0.5, 20, size=40_000)
    outcome = chance.random(40_000) < probability
    result = expected_performance(probability, probability, visits=2000)
    top = np.argsort(-probability)[:2000]
    assert result.confirmed_low <= outcome[top].sum() <= result.confirmed_high
    assert result.recall == pytest.approx(outcome[top].sum() / outcome.sum(), abs=0.03)
    assert result.auc == pytest.approx(single_auc(probability, outcome), abs=0.02)
    assert result.brier == pytest.approx(((outcome - probability) ** 2).mean(), abs=0.002)


def test_equal_margins_at_the_cut_count_with_their_share() -> None:
    result = expected_performance([0.5, 0.4, 0.2], [2, 1, 1], visits=2)
    assert result.confirmed == pytest.approx(0.5 + (0.4 + 0.2) / 2)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        expected_performance([1.5], [1.0], visits=1)
