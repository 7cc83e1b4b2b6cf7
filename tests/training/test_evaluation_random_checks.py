"""Recall from random checks: sums worked out by hand, `not_estimable` where nothing was drawn, and a
simulation with known truth.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.training.random_checks import (
    ENOUGH_CONFIRMED,
    NOT_ESTIMABLE,
    gamma_interval,
    recall_from_checks,
)

SCHEMA = {
    "route": pl.String,
    "inclusion_probability": pl.Float64,
    "label": pl.Float64,
    "probability": pl.Float64,
}


def checks(*groups: tuple[int, str, float | None, float | None, float]) -> pl.DataFrame:
    """So many households, route, inclusion probability, label, probability."""
    rows = [group[1:] for group in groups for _ in range(group[0])]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def test_a_confirmed_check_stands_for_as_many_households_as_its_chance_says() -> None:
    table = checks(
        (60, "listed", None, 1, 0.3),
        (140, "listed", None, 0, 0.3),
        (10, "random_check", 0.25, 1, 0.05),  # each stands for 4
        (90, "random_check", 0.25, 0, 0.05),
        (300, "none", 0.25, None, 0.05),
    )
    result = recall_from_checks(table)
    assert result.missed.value == pytest.approx(40)
    assert result.recall.value == pytest.approx(60 / (60 + 40))
    assert result.miss_rate.value == pytest.approx(40 / 400)
    assert result.observed_expected.value == pytest.approx((60 + 40) / (200 * 0.3 + 400 * 0.05))
    assert result.recall.low is not None and result.recall.low < 0.6 < result.recall.high


def found(confirmed: int) -> pl.DataFrame:
    """Six risks on the list; so many among 90 checks that were drawn with a chance of a tenth."""
    return checks(
        (6, "listed", None, 1, 0.3),
        (confirmed, "random_check", 0.1, 1, 0.01),
        (90 - confirmed, "random_check", 0.1, 0, 0.01),
        (810, "none", 0.1, None, 0.01),
    )


def test_too_few_confirmed_checks_give_no_single_figure_but_the_interval() -> None:
    few, enough = recall_from_checks(found(ENOUGH_CONFIRMED - 1)), recall_from_checks(found(ENOUGH_CONFIRMED))
    assert not few.recall.estimable and "9 confirmed among 90 checks are too few" in few.recall.why
    assert few.recall.low < 6 / (6 + 90) < few.recall.high
    assert few.recall.text() == f"not_estimable, between {few.recall.low:.1%} and {few.recall.high:.1%}"
    assert few.missed.value == pytest.approx(
        90
    )  # what is missed is a sum, not a ratio: unbiased however few were found
    assert enough.recall.value == pytest.approx(6 / (6 + 100)) and enough.recall.why == ""


def test_heavy_checks_count_for_less_than_their_number() -> None:
    """Ten confirmed, of which one stands for 100 households and nine for 2 each: (100 + 18)² / (100² + 9 ·
    2²), or 1.4 equal ones.
    """
    table = checks(
        (6, "listed", None, 1, 0.3),
        (1, "random_check", 0.01, 1, 0.0),
        (9, "random_check", 0.5, 1, 0.0),
        (90, "random_check", 0.5, 0, 0.0),
        (900, "none", 0.01, None, 0.0),
    )
    assert not recall_from_checks(table).recall.estimable


def test_cycles_pooled_give_the_figure_that_none_of_them_gives() -> None:
    cycles = [found(2).with_columns(cycle=pl.lit(f"2026-0{month}")) for month in range(1, 6)]
    assert not any(recall_from_checks(cycle).recall.estimable for cycle in cycles)
    pooled = recall_from_checks(pl.concat(cycles), layers=["cycle"])
    assert pooled.recall.value == pytest.approx(30 / (30 + 100)) and pooled.checks == 450


def test_the_words_say_what_the_figures_rest_on() -> None:
    assert recall_from_checks(found(1)).text() == "Too few checks."
    said = recall_from_checks(found(ENOUGH_CONFIRMED)).text()
    assert said.startswith("About 90 households outside the lists were looked at by chance, about 10 of them")
    assert "share of all risks that were on the lists: " in said and "%]" in said


@pytest.mark.parametrize("rate", [2, 15])
def test_where_a_figure_is_given_its_bias_is_below_a_standard_error(rate: int) -> None:
    """`benchmarks/random_checks.py` in small: at 2 risks a year the county waits for years, at 15 for ten
    months.
    """
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "random_checks.py"
    spec = importlib.util.spec_from_file_location("random_checks_benchmark", path)
    assert spec is not None and spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    row = benchmark.ask(rate, 0.2, 120)
    assert row["waiting_share"] > 0.9 and abs(row["waiting_bias"]) < 0.5
    assert row["coverage"] >= 0.93
    assert rate > 2 or (
        row["plain_ratio_mean"] > 0.3 and row["year_share"] == 0
    )  # what is withheld would have been far off


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (checks((5, "listed", None, 1, 0.3), (50, "none", 0.1, None, 0.01)), "by chance"),
        (
            checks(
                (5, "listed", None, 1, 0.3),
                (2, "random_check", 0.1, None, 0.01),
                (50, "none", 0.1, None, 0.01),
            ),
            "by chance",
        ),
        (
            checks(
                (5, "listed", None, 1, 0.3), (5, "random_check", 0.1, 0, 0.01), (50, "none", 0, None, 0.01)
            ),
            "could not be drawn",
        ),
        (
            checks((5, "listed", None, None, 0.3), (5, "random_check", 0.1, 0, 0.01)),
            "Nobody on the list was reached",
        ),
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
    table = checks(
        (6, "listed", None, 1, 0.3), (30, "random_check", 0.1, 0, 0.01), (270, "none", 0.1, None, 0.01)
    )
    result = recall_from_checks(table)
    assert result.recall.value is None
    assert result.recall.text() == "not_estimable, at least 14.0%"
    # 3.69 events is the 97.5 % end of a Poisson count of nothing, each standing for ten.
    assert result.missed.high == pytest.approx(36.9, abs=0.1)
    assert result.recall.low == pytest.approx(6 / 42.9, abs=0.01)


def test_a_sweep_that_reached_everybody_leaves_no_doubt() -> None:
    table = checks((6, "listed", None, 1, 0.3), (4, "sweep", 1, 1, 0.02), (96, "sweep", 1, 0, 0.02))
    result = recall_from_checks(table)
    assert (result.recall.value, result.recall.low, result.recall.high) == (0.6, 0.6, 0.6)


def test_those_reached_stand_for_those_of_their_layer_who_were_not() -> None:
    one = checks((1, "random_check", 0.5, 1, 0.0), (1, "random_check", 0.5, None, 0.0)).with_columns(
        layer=pl.lit("a")
    )
    two = checks((4, "random_check", 0.5, 0, 0.0)).with_columns(layer=pl.lit("b"))
    three = checks((2, "listed", None, 1, 0.0), (2, "listed", None, None, 0.0)).with_columns(
        layer=pl.lit("a")
    )
    result = recall_from_checks(pl.concat([one, two, three]), layers=["layer"])
    assert result.missed.value == pytest.approx(1 / 0.5 * 2)  # one reached of two drawn
    assert result.confirmed_listed == pytest.approx(4)


def test_faults_are_named_at_once() -> None:
    table = checks(
        (1, "random_check", None, 1, 0.1), (1, "wandering", 0.5, 3, 0.1), (1, "none", 1.5, None, 0.1)
    )
    with pytest.raises(DataError) as caught:
        recall_from_checks(table)
    for piece in ("route", "label", "outside 0 to 1", "without their chance"):
        assert piece in str(caught.value)


def test_the_gamma_interval_of_equal_weights_is_the_exact_poisson_interval() -> None:
    # 5 events: [1.62, 11.67] (Garwood, Biometrika 28 (1936)).
    low, high = gamma_interval(np.ones(5), 1.0)
    assert (low, high) == pytest.approx((1.623, 11.668), abs=0.002)


def test_recall_from_checks_is_unbiased_and_its_interval_holds_the_truth() -> None:
    # 12 monthly lists of 600 visits, a tenth or so of them random, in two score layers with different
    # chances; 8 % not reached.
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
        assert (
            result.missed.value is not None
            and result.missed.low is not None
            and result.missed.high is not None
        )
        gaps.append(result.missed.value - missed)
        spreads.append(result.missed.value)
        covered.append(result.missed.low <= missed <= result.missed.high)
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps))
    assert np.mean(covered) >= 0.93
