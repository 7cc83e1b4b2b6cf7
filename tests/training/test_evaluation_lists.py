"""Stability, months earlier and regret, on lists short enough to read."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.training.comparison import compare_predictions
from riskmodel.training.lists import months_earlier, rule_hits, stability


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def scores(as_of: str, **margins: float) -> pl.DataFrame:
    """Each household in a village of its own, unlabelled."""
    return pl.DataFrame(
        {
            "household_id": list(margins),
            "village_code": list(margins),
            "as_of": [day(as_of)] * len(margins),
            "margin": [float(margin) for margin in margins.values()],
            "label": [None] * len(margins),
        },
        schema_overrides={"label": pl.Float64},
    )


def test_stability_counts_who_is_on_both_lists_and_names_who_enters_and_leaves() -> None:
    before = scores("2024-01-01", a=9, b=8, c=7, d=6, e=5)
    after = scores("2024-01-01", a=9, b=5, c=7, d=6, e=8)
    result = stability(before, after, capacity=3)
    assert result.overlap == pytest.approx(2 / 3)  # a, c
    assert result.jaccard == pytest.approx(2 / 4)  # a, c of a, b, c, e
    assert result.changes.select("household_id", "change", "rank_before", "rank_after").rows() == [
        ("b", "leaves", 2, 5),
        ("e", "enters", 5, 2),
    ]
    assert "67%" in result.text()


def test_the_same_order_on_another_scale_is_the_same_list() -> None:
    before = scores("2024-01-01", a=9, b=8, c=7, d=6)
    result = stability(before, before.with_columns(margin=pl.col("margin") * 10 - 3), capacity=0.5)
    assert (result.overlap, result.jaccard, result.changes.height) == (1.0, 1.0, 0)
    assert result.rank_correlation == pytest.approx(1.0)


def test_lists_without_a_household_in_common_are_not_compared() -> None:
    with pytest.raises(DataError, match="in common"):
        stability(scores("2024-01-01", a=1), scores("2024-02-01", a=1), capacity=1)


LISTS = pl.concat(
    [
        scores("2024-01-01", a=9, b=1, c=2),
        scores("2024-02-01", a=1, b=9, c=2),
        scores("2024-03-01", a=9, b=1, c=2),
    ]
)
CONFIRMED = pl.DataFrame({"household_id": ["a", "c"], "confirmed_on": [day("2024-04-01"), day("2024-03-01")]})


def test_months_run_from_the_first_list_to_the_confirmation_and_are_none_for_those_never_listed() -> None:
    result = months_earlier(LISTS, CONFIRMED, capacity=1)
    months = 91 / (365.25 / 12)  # 1 January to 1 April 2024
    assert result.value("confirmed_reached")[0] == pytest.approx(1 / 2)
    assert result.value("months")[0] == pytest.approx((months + 0) / 2)
    assert result.value("months_when_reached")[0] == pytest.approx(months)
    assert result.cases["first_listed"].to_list() == [None, day("2024-01-01")]


def test_a_list_on_or_after_the_confirmation_or_before_the_look_back_does_not_count() -> None:
    on_the_day = pl.DataFrame({"household_id": ["a"], "confirmed_on": [day("2024-03-01")]})
    result = months_earlier(LISTS, on_the_day, capacity=1, lookback_months=1)
    assert result.value("months")[0] == 0  # the lists of 1 March and of 1 January are outside
    with pytest.raises(DataError, match="none falls after"):
        months_earlier(LISTS, on_the_day.with_columns(confirmed_on=pl.lit(day("2023-12-01"))), capacity=1)


def test_the_gain_against_the_rules_is_the_difference_of_the_months() -> None:
    rules = rule_hits(
        LISTS.with_columns(
            rule_dropout=pl.when(
                (pl.col("household_id") == "c") & (pl.col("as_of") == day("2024-02-01"))
            ).then(1.0),
            rule_event=pl.lit(0.0),
        ),
        ["rule_dropout", "rule_event"],
    )
    assert rules.rows() == [("c", day("2024-02-01"))]
    result = months_earlier(LISTS, CONFIRMED, capacity=1, rules=rules)
    by_model, by_rule = 91 / (365.25 / 12), 29 / (365.25 / 12)
    assert result.value("rules_months")[0] == pytest.approx((0 + by_rule) / 2)
    assert result.value("months_before_rules")[0] == pytest.approx((by_model - by_rule) / 2)
    assert "department rules" in result.text()


def test_regret_is_what_was_lost_against_the_best_of_each_date() -> None:
    def labelled(frame: pl.DataFrame, confirmed: str) -> pl.DataFrame:
        return frame.with_columns(label=(pl.col("household_id") == confirmed).cast(pl.Float64))

    steady = pl.concat(
        [
            labelled(scores("2024-01-01", a=9, b=8, c=7), "a"),
            labelled(scores("2024-02-01", a=9, b=8, c=7), "a"),
        ]
    )
    lucky = pl.concat(
        [
            labelled(scores("2024-01-01", a=9, b=8, c=7), "a"),
            labelled(scores("2024-02-01", a=7, b=8, c=9), "a"),
        ]
    )
    regret = (
        compare_predictions({"steady": steady, "lucky": lucky}, capacities=[1], draws=0)
        .regret("recall", 1)
        .set_index("model")
    )
    assert regret["mean"].to_dict() == {"steady": 0.0, "lucky": 0.5}
    assert regret.loc["lucky", "worst"] == 1.0 and regret.loc["lucky", "worst_as_of"] == day("2024-02-01")
    assert regret["best_on"].to_dict() == {"steady": 2, "lucky": 1}
