"""Random checks: drawn with known chances above zero from everybody not listed, and not to be told from the
rest of the list.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodel.settings import Layer, RandomChecks, ScreeningSettings
from riskmodel.training.random_checks import recall_from_checks
from riskmodel.visits.draws import chance_of, chances, draw_checks
from riskmodel.visits.forms import READ
from riskmodel.visits.listing import screening_list
from riskmodel.visits.workbook import sheet_rows

AS_OF = dt.date(2025, 12, 31)
LAYERS = RandomChecks().layers


def draw_of(townships, visits, seed=1):
    names = [f"h{n:03d}" for n in range(len(townships))]
    return draw_checks(
        names, townships, np.arange(len(townships)), visits, LAYERS, seed=seed, cycle="2026-01"
    )


def test_the_draw_is_exact_and_every_chance_lies_above_zero(small_county, falling):
    visits = screening_list(falling(200), small_county(200), AS_OF, capacity=40)
    assert visits.counts["random_check"] == 4 == visits.drawn_from["drawn"].sum()
    assert visits.drawn_from["inclusion_probability"].min() > 0
    assert visits.drawn_from["inclusion_probability"].sum() == pytest.approx(4)
    assert (
        len(visits.drawn_from) + visits.counts["model"] == 200
    )  # everybody who is not listed could be drawn


def test_listed_households_carry_their_chance(small_county, falling):
    rows = screening_list(falling(200), small_county(200), AS_OF, capacity=40).rows
    sure = rows.filter(rows["listed_as"] != "random_check")["inclusion_probability"]
    drawn = rows.filter(rows["listed_as"] == "random_check")
    assert (
        (sure == 1).all()
        and (drawn["inclusion_probability"] < 1).all()
        and drawn["stratum"].null_count() == 0
    )


def test_households_are_drawn_as_often_as_their_chance_says():
    """1,500 draws of 12 out of 100 in 3 townships: every household within 5 standard errors of its chance."""
    townships = [f"t{n % 3}" for n in range(100)]
    hits = np.zeros(100)
    for seed in range(1500):
        draw = draw_of(townships, 12, seed)
        assert draw.drawn.sum() == 12
        hits += draw.drawn
    error = np.sqrt(draw.probability * (1 - draw.probability) / 1500)
    assert np.abs(hits / 1500 - draw.probability).max() < (5 * error).max()
    assert (np.abs(hits / 1500 - draw.probability) < 5 * error).all()


def test_each_township_and_layer_gets_its_share_to_within_a_visit():
    townships = [f"t{n % 4}" for n in range(400)]
    draw = draw_of(townships, 60)
    for stratum in set(draw.stratum):
        inside = np.array([name == stratum for name in draw.stratum])
        assert abs(draw.drawn[inside].sum() - draw.probability[inside].sum()) < 2


def test_better_scores_are_drawn_with_more_weight():
    draw = draw_of(["t"] * 100, 10)
    assert draw.probability[0] == pytest.approx(3 * draw.probability[99])


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=60), st.integers(0, 70))
@settings(max_examples=200, deadline=None)
def test_chances_add_up_and_never_exceed_one(weights, visits):
    chance = chances(np.array(weights), visits)
    assert chance.sum() == pytest.approx(min(visits, len(weights)))
    assert (chance <= 1 + 1e-12).all() and (chance >= 0).all()
    assert visits == 0 or (chance > 0).all()


def test_the_same_seed_and_cycle_draw_the_same_households_and_another_cycle_others(small_county, falling):
    def drawn(day, seed=20260101):
        rules = ScreeningSettings(random_checks=RandomChecks(share=0.2, seed=seed))
        visits = screening_list(
            falling(200).assign(as_of=day), small_county(200), day, capacity=40, settings=rules
        )
        return visits.rows.filter(visits.rows["listed_as"] == "random_check")["household_id"].to_list()

    assert drawn(AS_OF) == drawn(AS_OF)
    assert drawn(AS_OF) != drawn(dt.date(2026, 1, 31)) and drawn(AS_OF) != drawn(AS_OF, seed=2)


def test_a_visitor_cannot_tell_a_random_check_from_the_tail_of_the_list(small_county, falling):
    visits = screening_list(falling(200), small_county(200), AS_OF, capacity=40)
    shown = {row["household_id"]: row for row in sheet_rows(visits)}
    drawn = visits.rows.filter(visits.rows["listed_as"] == "random_check")["household_id"].to_list()
    tail = visits.rows.filter((visits.rows["listed_as"] == "model") & (visits.rows["grade"] == "none"))[
        "household_id"
    ].to_list()
    assert {shown[name]["because"] for name in drawn} == {shown[name]["because"] for name in tail}
    assert not {"listed_as", "stratum", "inclusion_probability"} & {column.name for column in READ}
    numbers = [shown[name]["number"] for name in drawn]
    assert numbers != sorted(shown[name]["number"] for name in shown)[-len(numbers) :]


def test_without_random_checks_the_list_says_what_cannot_be_estimated(small_county, falling):
    rules = ScreeningSettings(random_checks=RandomChecks(share=0))
    visits = screening_list(falling(40), small_county(40), AS_OF, capacity=10, settings=rules)
    assert any("not_estimable" in en for _, en in visits.notes)


def test_the_estimate_of_missed_confirmations_is_unbiased_over_draws():
    """300 households, 12 of them confirmed if visited: the mean of 1,000 estimates lies within 4 standard
    errors of 12.
    """
    confirmed = np.zeros(300, dtype=bool)
    confirmed[[3, 9, 14, 25, 40, 60, 90, 120, 150, 200, 250, 290]] = True
    townships = [f"t{n % 5}" for n in range(300)]
    found = []
    for seed in range(1000):
        draw = draw_of(townships, 40, seed)
        found.append((confirmed[draw.drawn] / draw.probability[draw.drawn]).sum())
    assert abs(np.mean(found) - 12) < 4 * np.std(found) / np.sqrt(1000)


def test_the_table_of_checks_fits_the_estimate_of_recall(small_county, falling):
    import polars as pl

    rules = ScreeningSettings(random_checks=RandomChecks(share=0.2, layers=(Layer(share=1.0, weight=1.0),)))
    visits = screening_list(falling(100), small_county(100), AS_OF, capacity=20, settings=rules)
    listed = visits.rows.filter(pl.col("listed_as") != "random_check").select(
        route=pl.lit("listed"), inclusion_probability=pl.lit(1.0), label=pl.lit(1), probability="probability"
    )
    others = visits.drawn_from.select(
        route=pl.when("drawn").then(pl.lit("random_check")).otherwise(pl.lit("none")),
        inclusion_probability="inclusion_probability",
        label=pl.when("drawn").then(0),
        probability="probability",
    )
    said = recall_from_checks(pl.concat([listed, others]))
    assert (
        said.checks == 4 and said.missed.value == 0 and said.recall.high == 1.0 and not said.recall.estimable
    )


def test_the_draw_does_not_depend_on_the_machine_or_the_order_of_rows():
    assert chance_of(20260101, "2026-01", "h001") == pytest.approx(0.9498943166650786, abs=1e-15)
    townships = [f"t{n % 3}" for n in range(60)]
    names = [f"h{n:03d}" for n in range(60)]
    first = draw_checks(names, townships, np.arange(60), 9, LAYERS, seed=1, cycle="c")
    back = draw_checks(names[::-1], townships[::-1], np.arange(60)[::-1], 9, LAYERS, seed=1, cycle="c")
    assert (first.drawn == back.drawn[::-1]).all()
