"""Equal margins end in a keyed hash: not in the order of ids, rows or villages."""

from __future__ import annotations

import datetime as dt

import polars as pl

from riskmodel.training.keyed import in_list_order, keyed_numbers
from riskmodel.training.lists import stability

DAY = dt.date(2024, 7, 1)


def tied(count=400, days=(DAY,)):
    rows = [
        {"household_id": f"H{number:04d}", "as_of": day, "margin": float(number % 4 == 0)}
        for day in days
        for number in range(count)
    ]
    return pl.DataFrame(rows).with_columns(
        village_code=pl.col("household_id").str.slice(0, 3), label=pl.lit(0), probability=pl.lit(0.01)
    )


def test_the_order_of_the_rows_plays_no_part():
    frame = tied()
    assert in_list_order(frame).equals(in_list_order(frame.sample(fraction=1.0, shuffle=True, seed=3)))


def test_the_riskier_stand_first_and_ranks_count_from_one_on_each_date():
    ordered = in_list_order(tied(days=(DAY, dt.date(2024, 10, 1))))
    assert ordered["rank"].to_list() == [*range(1, 401)] * 2
    assert ordered.group_by("as_of").head(100)["margin"].min() == 1.0


def test_low_ids_are_not_preferred_among_equals():
    """100 tied households: the ids of the first 50 are a draw from all, not the 50 lowest (their mean place
    is 200; standard error 12).
    """
    first = in_list_order(tied()).head(50)["household_id"].str.slice(1).cast(pl.Int64)
    assert 150 < first.mean() < 250


def test_another_date_settles_ties_in_another_way():
    ordered = in_list_order(tied(days=(DAY, dt.date(2024, 10, 1))))
    first, second = (set(part.head(50)["household_id"]) for part in ordered.partition_by("as_of"))
    assert len(first & second) < 45


def test_a_rule_of_ties_agrees_with_itself():
    """Were ties settled by chance anew, two equal lists would share half of the tied only."""
    assert stability(tied(), tied(), capacity=50).overlap == 1.0


def test_numbers_hang_on_name_and_key_alone():
    assert (
        keyed_numbers(["a", "b"], "k")["a"]
        == keyed_numbers(["a"], "k")["a"]
        != keyed_numbers(["a"], "other")["a"]
    )
