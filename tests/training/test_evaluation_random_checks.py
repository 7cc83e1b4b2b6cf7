"""Recall from random checks: sums worked out by hand, `not_estimable` where nothing was drawn, and a simulation with known truth."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.training.random_checks import NOT_ESTIMABLE, gamma_interval, recall_from_checks

SCHEMA = {"route": pl.String, "inclusion_probability": pl.Float64, "label": pl.Float64, "probability": pl.Float64}


def checks(*groups: tuple[int, str, float | None, float | None, float]) -> pl.DataFrame:
    """So many households, route, inclusion probability, label, probability."""
    rows = [group[1:] for group in groups for _ in range(group[0])]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def test_a_confirmed_check_stands_for_as_many_households_as_its_chance_says() -> None:
    table = checks(
        (6, "listed", None, 1, 0.3),
        (14, "listed", None, 0, 0.3),
        (1, "random_check", 0.25, 1, 0.05),  # stands for 4
        (9, "random_check", 0.25, 0, 0.05),
        (30, "none", 0.25, None, 0.05),
    )
    result = recall_from_checks(table)
    assert result.missed.value == pytest.approx(4)
    assert result.recall.value == pytest.approx(6 / (6 + 4))
    assert result.miss_rate.value == pytest.approx(4 / 40)
    assert result.observed_expected.value == pytest.approx((6 + 4) / (20 * 0.3 + 40 * 0.05))
    assert result.recall.low is not None and result.recall.low < 0.6 < result.recall.high


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (checks((5, "listed", None, 1, 0.3), (50, "none", 0.1, None, 0.01)), "by chance"),
        (checks((5, "listed", None, 1, 0.3), (2, "random_check", 0.1, None, 0.01), (50, "none", 0.1, None, 0.01)), "by chance"),
        (
            checks((5, "listed", None, 1, 0.3), (5, "random_check", 0.1, 0, 0.01), (50, "none", 0, None, 0.01)),
            "could not be drawn",
        ),
        (checks((5, "listed", None, None, 0.3), (5, "random_check", 0.1, 0, 0.01)), "Nobody on the list was reached"),
        (checks((5, "listed", None, 0, 0.3)), "nothing to miss"),
    ],
)
def test_without_a_look_by_chance_recall_is_not_estimable(table: pl.DataFrame, reason: str) -> None:
    result = recall_from_checks(table)
    assert not result.recall.estimable and result.recall.text() == NOT_ESTIMABLE
    assert result.recall.as_dict()["status"] == "not_estimable"
    assert reason in result.recall.why


def test_a_confirmation_found_through_a_lead_is_no_random_look() -> None:
    table = checks((5, "listed", None, 1, 0.3), (3, "none", 0.1, 1, 0.01), (50, "none", 0.1, None, 0.01))
    assert not recall_from_checks(table).recall.estimable


def test_no_miss_found_is_not_the_proof_of_no_miss() -> None:
    table = checks((6, "listed", None, 1, 0.3), (30, "random_check", 0.1, 0, 0.01), (270, "none", 0.1, None, 0.01))
    result = recall_from_checks(table)
    assert result.recall.value == 1.0
    assert result.recall.text() == "at least 14.0%"
    # 3.69 events is the 97.5 % end of a Poisson count of nothing, each standing for ten.
    assert result.missed.high == pytest.approx(36.9, abs=0.1)
    assert result.recall.low == pytest.approx(6 / 42.9, abs=0.01)


def test_a_sweep_that_reached_everybody_leaves_no_doubt() -> None:
    table = checks((6, "listed", None, 1, 0.3), (4, "sweep", 1, 1, 0.02), (96, "sweep", 1, 0, 0.02))
    result = recall_from_checks(table)
    assert (result.recall.value, result.recall.low, result.recall.high) == (0.6, 0.6, 0.6)


def test_those_reached_stand_for_those_of_their_layer_who_were_not() -> None:
    one = checks((1, "random_check", 0.5, 1, 0.0), (1, "random_check", 0.5, None, 0.0)).with_columns(layer=pl.lit("a"))
    two = checks((4, "random_check", 0.5, 0, 0.0)).with_columns(layer=pl.lit("b"))
    three = checks((2, "listed", None, 1, 0.0), (2, "listed", None, None, 0.0)).with_columns(layer=pl.lit("a"))
    result = recall_from_checks(pl.concat([one, two, three]), layers=["layer"])
    assert result.missed.value == pytest.approx(1 / 0.5 * 2)  # one reached of two drawn
    assert result.confirmed_listed == pytest.approx(4)


def test_faults_are_named_at_once() -> None:
    table = checks((1, "random_check", None, 1, 0.1), (1, "wandering", 0.5, 3, 0.1), (1, "none", 1.5, None, 0.1))
    with pytest.raises(DataError) as caught:
        recall_from_checks(table)
    for piece in ("route", "label", "outside 0 to 1", "without their chance"):
        assert piece in str(caught.value)


def test_the_gamma_interval_of_equal_weights_is_the_exact_poisson_interval() -> None:
    # 5 events: [1.62, 11.67] (Garwood, Biometrika 28 (1936)).
    low, high = gamma_interval(np.ones(5), 1.0)
    assert (low, high) == pytest.approx((1.623, 11.668), abs=0.002)


def test_recall_from_checks_is_unbiased_and_its_interval_holds_the_truth() -> None:
    # 12 monthly lists of 600 visits, a tenth or so of them random, in two score layers with different chances; 8 % not reached.
    chance = np.random.default_rng(5)
    gaps, covered, spreads = [], [], []
    for _ in range(300):
        households = 12 * 4000
        layer = (chance.random(households) < 0.1).astype(int)
        truth = np.where(layer == 1, 0.01, 0.0015)
        outcome = (chance.random(households) < truth).astype(float)
        listed = chance.random(households) < np.where(layer == 1, 0.4, 0.01)
        inclusion = np.where(layer == 1, 0.08, 0.012)
        drawn = ~listed & (chance.random(households) < inclusion)
        label = np.where((listed | drawn) & (chance.random(households) < 0.92), outcome, np.nan)
        table = pl.DataFrame(
            {
                "route": np.select([listed, drawn], ["listed", "random_check"], "none"),
                "inclusion_probability": np.where(listed, np.nan, inclusion),
                "label": label,
                "layer": layer,
            }
        )
        result = recall_from_checks(table, layers=["layer"])
        missed = outcome[~listed].sum()
        assert result.missed.value is not None and result.missed.low is not None and result.missed.high is not None
        gaps.append(result.missed.value - missed)
        spreads.append(result.missed.value)
        covered.append(result.missed.low <= missed <= result.missed.high)
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps))
    assert np.mean(covered) >= 0.93
