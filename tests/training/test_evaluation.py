"""What the figures of an evaluation mean, on tables small enough to count by hand and against scikit-learn on
larger ones.
"""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.training.comparison import compare_predictions
from riskmodel.training.evaluation import METRICS, evaluate
from riskmodel.training.predictions import capacity_name

DAY = dt.date(2024, 1, 1)


def lists(rows: list[tuple[str, str, float, float, float | None]], as_of: dt.date = DAY) -> pl.DataFrame:
    """household, village, margin, probability, label."""
    return pl.DataFrame(
        rows,
        schema={
            "household_id": pl.String,
            "village_code": pl.String,
            "margin": pl.Float64,
            "probability": pl.Float64,
            "label": pl.Float64,
        },
        orient="row",
    ).with_columns(as_of=pl.lit(as_of))


def invented(
    seed: int,
    *,
    households: int = 1500,
    dates: int = 2,
    villages: int = 40,
    noise: float = 0.5,
    decimals: int = 9,
) -> pl.DataFrame:
    """A county with a village effect, some households unlabelled, and margins that see the truth through
    noise.
    """
    chance = np.random.default_rng(seed)
    village = chance.integers(0, villages, households)
    effect = chance.normal(0, 0.4, villages)[village]
    frames = []
    for date in range(dates):
        truth = -4 + effect + 1.2 * chance.normal(size=households)
        margin = np.round(truth + noise * chance.normal(size=households), decimals)
        relapse = (chance.random(households) < 1 / (1 + np.exp(-truth))).astype(float)
        label = np.where((relapse == 0) & (chance.random(households) < 0.1), np.nan, relapse)
        frames.append(
            pl.DataFrame(
                {
                    "household_id": [f"h{number:05d}" for number in range(households)],
                    "village_code": [f"522301001{place:03d}" for place in village],
                    "margin": margin,
                    "probability": 1 / (1 + np.exp(-margin)),
                    "label": label,
                }
            ).with_columns(as_of=pl.lit(dt.date(2024, 1 + date, 1)), label=pl.col("label").fill_nan(None))
        )
    return pl.concat(frames)


def test_precision_is_among_the_labelled_and_recall_among_the_known_confirmed() -> None:
    # First three: confirmed, unlabelled, clear. One more confirmed further down.
    table = lists(
        [
            ("a", "v1", 9, 0.9, 1),
            ("b", "v1", 8, 0.8, None),
            ("c", "v2", 7, 0.5, 0),
            ("d", "v2", 6, 0.2, 1),
            ("e", "v2", 5, 0.1, 0),
        ]
    )
    result = evaluate(table, capacities=[3], draws=0)
    assert result.value("precision", 3) == pytest.approx(1 / 2)  # a of a, c: nobody knows about b
    assert result.value("recall", 3) == pytest.approx(1 / 2)  # a of a, d
    assert result.value("visits_per_confirmed", 3) == pytest.approx(2)
    assert result.value("lift", 3) == pytest.approx((1 / 2) / (2 / 4))
    assert result.value("observed_expected", 3) == pytest.approx(1 / (0.9 + 0.5))
    assert result.value("observed_expected") == pytest.approx(2 / (0.9 + 0.5 + 0.2 + 0.1))
    row = result.numbers().set_index(["metric", "capacity"]).loc[("precision", "3")]
    assert row["if_none_confirmed"] == pytest.approx(1 / 3)
    assert row["if_all_confirmed"] == pytest.approx(2 / 3)
    row = result.numbers().set_index(["metric", "capacity"]).loc[("recall", "3")]
    assert row["if_all_confirmed"] == pytest.approx(2 / 3)  # a, b of a, b, d
    assert np.isnan(row["low"])


def test_an_unlabelled_household_takes_its_place_on_the_list() -> None:
    table = lists([("a", "v1", 9, 0.9, None), ("b", "v1", 8, 0.8, 1), ("c", "v2", 7, 0.5, 0)])
    assert evaluate(table, capacities=[1], draws=0).value("recall", 1) == 0
    assert np.isnan(evaluate(table, capacities=[1], draws=0).value("precision", 1))
    assert evaluate(table, capacities=[2], draws=0).value("recall", 2) == 1


def test_a_cut_through_equal_margins_takes_its_share_and_names_worst_and_best() -> None:
    # One clear winner, then four equal households of which one is confirmed; three visits cut two of the
    # four.
    table = lists(
        [
            ("a", "v1", 9, 0.9, 1),
            ("b", "v1", 5, 0.5, 1),
            ("c", "v1", 5, 0.5, 0),
            ("d", "v2", 5, 0.5, 0),
            ("e", "v2", 5, 0.5, 0),
        ]
    )
    result = evaluate(table, capacities=[3], draws=0)
    row = result.numbers().set_index(["metric", "capacity"]).loc[("recall", "3")]
    assert row["value"] == pytest.approx((1 + 2 / 4) / 2)
    assert (row["worst_ties"], row["best_ties"]) == (1 / 2, 1.0)
    row = result.numbers().set_index(["metric", "capacity"]).loc[("precision", "3")]
    assert row["value"] == pytest.approx((1 + 2 / 4) / 3)
    assert (row["worst_ties"], row["best_ties"]) == pytest.approx((1 / 3, 2 / 3))


@pytest.mark.parametrize("seed", range(8))
def test_tie_bounds_are_those_of_every_possible_order(seed: int) -> None:
    chance = np.random.default_rng(seed)
    outcomes = chance.choice([1.0, 0.0, np.nan], size=6, p=[0.35, 0.35, 0.3])
    outcomes[0], outcomes[1] = 1.0, 0.0  # something to find, and something else
    margins = np.array([3.0, 2.0, 2.0, 2.0, 2.0, 1.0])
    rows = [
        (f"h{place}", f"v{place}", margins[place], 0.5, None if np.isnan(label) else label)
        for place, label in enumerate(outcomes)
    ]
    numbers = evaluate(lists(rows), capacities=[3], draws=0).numbers().set_index(["metric", "capacity"])
    recalls, precisions = [], []
    for order in itertools.permutations(range(1, 5)):
        listed = outcomes[[0, *order[:2]]]
        recalls.append(np.nansum(listed) / np.nansum(outcomes))
        precisions.append(np.nanmean(listed))
    found = numbers.loc[("recall", "3")]
    assert found["value"] == pytest.approx(np.mean(recalls))
    assert (found["worst_ties"], found["best_ties"]) == pytest.approx((min(recalls), max(recalls)))
    found = numbers.loc[("precision", "3")]
    assert (found["worst_ties"], found["best_ties"]) == pytest.approx((min(precisions), max(precisions)))


def test_missing_labels_of_every_pandas_kind_are_unlabelled() -> None:
    import pandas as pd

    table = invented(21, households=200, dates=1).to_pandas()
    kinds = [
        table,
        table.assign(label=table["label"].astype("Int64")),
        table.assign(as_of=pd.to_datetime(table["as_of"])),
    ]
    kinds.append(table.assign(label=[None if pd.isna(label) else bool(label) for label in table["label"]]))
    one, *others = (evaluate(kind, capacities=[20], draws=5) for kind in kinds)
    assert one.counts["unlabelled"] > 0
    assert all(one.numbers().equals(other.numbers()) for other in others)


def test_dates_count_the_same_whatever_their_size() -> None:
    first = lists([("a", "v1", 9, 0.9, 1), ("b", "v2", 8, 0.8, 0)])
    second = lists(
        [("a", "v1", 9, 0.9, 0), ("b", "v2", 8, 0.8, 1), ("c", "v2", 7, 0.5, 1), ("d", "v2", 6, 0.5, 1)],
        dt.date(2024, 2, 1),
    )
    result = evaluate(pl.concat([first, second]), capacities=[1], draws=0)
    assert result.value("recall", 1) == pytest.approx((1 + 0) / 2)
    assert result.value("precision", 1) == pytest.approx((1 + 0) / 2)
    by_date = result.numbers(by_date=True)
    assert by_date[(by_date.metric == "recall") & by_date.as_of.notna()]["value"].tolist() == [1.0, 0.0]


def test_a_date_without_a_confirmation_says_nothing_about_recall() -> None:
    first = lists([("a", "v1", 9, 0.9, 1), ("b", "v2", 8, 0.8, 0)])
    second = lists([("a", "v1", 9, 0.9, 0), ("b", "v2", 8, 0.8, 0)], dt.date(2024, 2, 1))
    result = evaluate(pl.concat([first, second]), capacities=[1], draws=0)
    assert result.value("recall", 1) == 1.0
    assert result.value("precision", 1) == pytest.approx(1 / 2)
    assert result.value("auc") == 1.0


@pytest.mark.parametrize("decimals", [9, 0])
def test_the_figures_agree_with_scikit_learn(decimals: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    table = invented(5, decimals=decimals)
    result = evaluate(table, capacities=[30], draws=0)
    aucs, precisions = [], []
    for _, part in table.drop_nulls("label").group_by("as_of"):
        aucs.append(metrics.roc_auc_score(part["label"], part["margin"]))
        precisions.append(metrics.average_precision_score(part["label"], part["margin"]))
    labelled = table.drop_nulls("label")
    assert result.value("auc") == pytest.approx(np.mean(aucs))
    assert result.value("average_precision") == pytest.approx(np.mean(precisions))
    assert result.value("brier") == pytest.approx(
        metrics.brier_score_loss(labelled["label"], labelled["probability"])
    )
    assert result.value("log_loss") == pytest.approx(
        metrics.log_loss(labelled["label"], labelled["probability"])
    )


def test_ece_is_the_mean_gap_over_fifteen_bins_of_equal_size() -> None:
    table = invented(6, households=1500, dates=1).drop_nulls("label").head(1350)
    probability, label = (
        table.sort("probability")["probability"].to_numpy(),
        table.sort("probability")["label"].to_numpy(),
    )
    parts = np.array_split(np.arange(len(label)), 15)
    by_hand = sum(abs(label[part].sum() - probability[part].sum()) for part in parts) / len(label)
    assert evaluate(table, capacities=[30], draws=0).value("ece") == pytest.approx(by_hand)


def test_a_draw_of_the_bootstrap_equals_the_figures_of_the_rows_drawn() -> None:
    # The weights must be the same thing as copying the rows: a village that came up twice stands there twice.
    from riskmodel.training.resampling import village_weights

    table = invented(7, households=300, villages=8)
    result = evaluate(table, capacities=[0.1], draws=3, seed=4)
    villages = sorted(table["village_code"].unique())
    weights = village_weights(len(villages), 3, 4)
    average_precision = []
    for draw in range(3):
        copies = []
        for village, count in zip(villages, weights[draw + 1], strict=True):
            part = table.filter(pl.col("village_code") == village)
            copies += [
                part.with_columns(household_id=pl.col("household_id") + f"-{copy}")
                for copy in range(int(count))
            ]
        copied = evaluate(pl.concat(copies), capacities=[0.1], draws=0)
        average_precision.append(copied.value("average_precision"))
        for metric in ("auc", "brier", "log_loss", "observed_expected", "base_rate"):
            assert result.draws[metric, ""][draw] == pytest.approx(copied.value(metric)), metric
        # The cut of a draw is exactly a tenth, that of the copied table a whole number of visits: near, not
        # equal.
        assert result.draws["recall", "10%"][draw] == pytest.approx(copied.value("recall", 0.1), abs=0.02)
    # Average precision is centred: its draws keep their distances from each other.
    assert np.diff(result.draws["average_precision", ""]) == pytest.approx(np.diff(average_precision))
    assert result.draws["average_precision", ""].mean() == pytest.approx(result.value("average_precision"))


def test_a_list_without_a_hit_has_an_interval_that_reaches_above_zero() -> None:
    # Drawing villages again can never find a confirmation that is not there: the rule-of-three end comes from
    # Wilson.
    table = invented(20, noise=0.2).with_columns(margin=-pl.col("margin"))
    result = evaluate(table, capacities=[20], draws=100)
    assert result.value("precision", 20) == 0
    low, high = result.interval("precision", 20)
    assert low == 0 and 0.05 < high < 0.15  # 40 visits on two dates, no hit
    assert result.interval("visits_per_confirmed", 20)[1] == np.inf


def test_the_order_of_the_rows_changes_no_bit() -> None:
    table = invented(8)
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=3)
    one, two = (evaluate(item, capacities=[0.01], draws=20, seed=1) for item in (table, shuffled))
    assert one.numbers().equals(two.numbers())


def test_pandas_and_polars_give_the_same_figures() -> None:
    table = invented(9)
    one, two = (evaluate(item, capacities=[0.01], draws=20, seed=1) for item in (table, table.to_pandas()))
    assert one.numbers().equals(two.numbers())


def test_a_model_without_probabilities_is_ranked_and_not_judged_on_calibration() -> None:
    result = evaluate(invented(10).drop("probability"), capacities=[0.05], draws=20)
    assert result.value("auc") > 0.6
    assert (
        np.isnan(result.value("brier"))
        and np.isnan(result.value("ece"))
        and np.isnan(result.value("observed_expected", 0.05))
    )
    assert result.cell("brier") == "–"


def test_every_fault_of_a_frame_is_named_at_once() -> None:
    table = invented(11).with_columns(
        margin=pl.when(pl.col("household_id") == "h00001").then(float("nan")).otherwise(pl.col("margin")),
        probability=pl.col("probability") * 3,
        label=pl.lit(2.0),
    )
    with pytest.raises(DataError) as caught:
        evaluate(pl.concat([table, table.head(1)]), capacities=[0.01])
    text = str(caught.value)
    for piece in ("margin: 2 values", "probability", "label", "1 rows repeat"):
        assert piece in text
    with pytest.raises(DataError, match="as_of: type String"):
        evaluate(table.with_columns(as_of=pl.lit("first of May")), capacities=[0.01])
    with pytest.raises(DataError, match="no column village_code"):
        evaluate(table.drop("village_code"), capacities=[0.01])


@pytest.mark.parametrize("capacity", [0, -1, 1.5, 0.0, True, "ten"])
def test_a_capacity_that_means_nothing_is_refused(capacity: object) -> None:
    with pytest.raises(DataError, match="600 visits"):
        capacity_name(capacity)  # type: ignore[arg-type]


def test_more_visits_than_households_visit_everybody() -> None:
    result = evaluate(invented(12, households=200), capacities=[5000], draws=10)
    assert result.value("recall", 5000) == pytest.approx(1.0)
    assert result.value("precision", 5000) == pytest.approx(result.value("base_rate"))


def test_models_are_compared_on_the_rows_they_share() -> None:
    good, poor = invented(13, noise=0.2), invented(13, noise=3)
    comparison = compare_predictions(
        {"poor": poor, "good": good.filter(pl.col("household_id") != "h00000")}, capacities=[0.05], draws=100
    )
    assert comparison.left_out == {"poor": 2, "good": 0}
    assert comparison["poor"].counts["rows"] == comparison["good"].counts["rows"]


def test_a_difference_is_paired_and_so_narrower_than_the_two_intervals_suggest() -> None:
    chance = np.random.default_rng(3)
    good = invented(14)
    close = good.with_columns(margin=pl.col("margin") + 0.1 * chance.normal(size=good.height))
    comparison = compare_predictions({"close": close, "good": good}, capacities=[0.05], draws=200)
    _, low, high = comparison.difference("good", "auc")
    alone = [np.diff(comparison[name].interval("auc"))[0] for name in ("close", "good")]
    assert high - low < 0.3 * min(alone)


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    table = invented(15)
    differences = compare_predictions({"a": table, "b": table}, capacities=[0.05, 20], draws=50).differences()
    assert (differences[["value", "low", "high"]].to_numpy() == 0).all()
    assert (differences["verdict"] == "not certain").all()


def test_a_share_of_what_the_truth_reaches_is_paired() -> None:
    truth, model = invented(19, noise=0.0), invented(19, noise=1.0)
    comparison = compare_predictions({"truth": truth, "model": model}, capacities=[0.05], draws=100)
    row = comparison.ratios("truth").set_index("metric").loc["recall"]
    assert row["value"] == pytest.approx(
        comparison["model"].value("recall", 0.05) / comparison["truth"].value("recall", 0.05)
    )
    assert 0.3 < row["low"] < row["value"] < row["high"]


def test_models_that_disagree_about_a_label_are_not_compared() -> None:
    table = invented(16)
    other = table.with_columns(label=1 - pl.col("label"))
    with pytest.raises(DataError, match="another label"):
        compare_predictions({"a": table, "b": other}, capacities=[0.05], draws=10)
    with pytest.raises(DataError, match="in common"):
        compare_predictions(
            {"a": table, "b": table.with_columns(household_id=pl.col("household_id") + "x")},
            capacities=[0.05],
            draws=10,
        )


def test_the_text_fits_120_columns_and_names_every_model() -> None:
    tables = {f"plan_{number}": invented(17, noise=number) for number in (1, 2, 3)}
    text = compare_predictions(tables, capacities=[0.01, 0.02, 0.05], draws=50).text()
    assert max(map(len, text.splitlines())) <= 120
    for name in tables:
        assert name in text
    assert "…" not in text


def test_intervals_hold_the_truth_and_figures_are_not_biased() -> None:
    # Reduced; `python benchmarks/evaluation.py coverage` draws 1,000 counties. Here 150 of 100 villages, so
    # one in fifty is noise.
    def county(seed: int, villages: int = 100) -> pl.DataFrame:
        return invented(seed, households=25 * villages, villages=villages, noise=0.7)

    large = [evaluate(county(10_000 + seed, villages=3000), capacities=[0.02], draws=0) for seed in range(3)]
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for seed in range(150):
        result = evaluate(county(seed), capacities=[0.02], draws=200, seed=seed)
        for key, value in result.values.items():
            found.setdefault(key, []).append((value, *result.interval(*key)))
    covered = {}
    for key, rows in found.items():
        value, low, high = np.array(rows).T
        # Average precision and ECE belong to a county of this size: their truth is the mean over such
        # counties.
        truth = (
            np.nanmean(value)
            if key[0] in ("average_precision", "ece")
            else np.mean([each.values[key] for each in large])
        )
        assert abs(np.nanmean(value) - truth) < np.nanstd(value), key
        covered[key] = np.mean((low <= truth) & (truth <= high))
    assert np.mean(list(covered.values())) >= 0.93, covered
    assert min(covered.values()) >= 0.88, covered


def test_every_metric_has_its_name_in_both_languages() -> None:
    result = evaluate(invented(18), capacities=[0.05], draws=0)
    assert {metric for metric, _ in result.values} == set(METRICS)
    assert all(metric.zh and metric.en for metric in METRICS.values())
