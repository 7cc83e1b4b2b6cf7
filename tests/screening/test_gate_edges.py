"""The scoring gate at its limits: a value, a share and a shift on each side of every bound, for a county and
for picked households.
"""

from __future__ import annotations

import datetime as dt
from typing import get_args

import numpy as np
import pytest

from riskmodel.errors import GateError
from riskmodel.features.catalogue import Catalogue, Unit
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.screening import gate
from riskmodel.screening.gate import pass_value_gate

WORDS = {"zh": "某", "en": "some"}


def entry(unit, source="income"):
    return {
        "label": WORDS,
        "family": "income",
        "topic": unit,
        "unit": unit,
        "manner": "amount",
        "sources": [source],
        "window": "12m",
        "missing": WORDS,
        "riskier_when": "unclear",
        "risk_kind": "other",
        "status": "active",
        "sentence": {"zh": {"value": "某{value}"}, "en": {"value": "some {value}"}},
    }


CATALOGUE = Catalogue.model_validate({unit: entry(unit) for unit in gate.RANGES})


def matrix(name, column):
    column = np.array(column, dtype=float)
    ids = np.array([f"h{place}" for place in range(len(column))], dtype=object)
    return FeatureMatrix(
        dt.date(2025, 12, 31),
        ids,
        np.array(["v"] * len(column), dtype=object),
        (name,),
        column.reshape(-1, 1),
    )


def faults(name, column, profile=None, **more):
    """What is refused, as texts; each answer of the fast path is compared with the slow one."""
    try:
        pass_value_gate(matrix(name, column), [name], CATALOGUE, profile=profile, **more)
    except GateError as error:
        return [str(fault) for fault in error.faults]
    return []


BOUNDS = {
    "yuan": (-1e8, 1e8),
    "yuan_per_person": (-1e8, 1e8),
    "share": (-1e4, 1e4),
    "ratio": (-1e6, 1e6),
    "times": (-1e4, 1e4),
    "items": (-1e4, 1e4),
    "visits": (-1e4, 1e4),
    "people": (-100, 100),
    "months": (-2400, 2400),
    "quarters": (0, 400),
    "days": (-80_000, 80_000),
    "years": (-150, 150),
    "level": (0, 10),
    "mu": (-1e5, 1e5),
    "km": (-1e4, 1e4),
    "flag": (0, 1),
    "households": (-1e7, 1e7),
}


@pytest.mark.parametrize("unit", list(BOUNDS))
def test_values_on_the_bounds_of_a_unit_pass_and_beyond_them_are_refused(unit):
    low, high = BOUNDS[unit]
    assert faults(unit, [low, high, np.nan]) == []
    for value in (low - 0.5, high + 0.5):
        [text] = faults(unit, [low, value])
        assert (
            f"feature {unit}, household h1" in text
            and ("0, 1 or unknown" if unit == "flag" else "between") in text
        )


@pytest.mark.parametrize(("value", "passes"), [(0.0, True), (1.0, True), (0.001, False), (0.999, False)])
def test_a_flag_is_zero_or_one_and_nothing_between(value, passes):
    assert (faults("flag", [value]) == []) is passes


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_one_fault_that_names_the_household(value):
    [text] = faults("yuan", [1.0, value])
    assert "household h1" in text and "an infinite value" in text


def test_every_unit_of_the_catalogue_has_a_least_and_a_greatest_value():
    assert set(gate.RANGES) == set(get_args(Unit)) == set(BOUNDS)


def test_of_several_wrong_values_that_of_the_household_named_first_is_shown():
    [text] = faults("level", [5.0, 11.0, 12.0])
    assert "household h1, h2" in text and "11; expected between 0 and 10 (level)" in text


def test_three_households_are_named_and_the_others_counted():
    assert "household h0, h1, h2 and 1 more" in faults("level", [11.0] * 4)[0]
    assert "household h0, h1, h2:" in faults("level", [11.0] * 3)[0]
    assert "11; expected between 0 and 10 (level)" in faults("level", [11.0])[0]


# Compared with what is usual.

USUAL = {"known": 1.0, "typical": 100.0}


def money(times, count=30, zeros=0, unknown=0):
    return [100.0 * times] * count + [0.0] * zeros + [np.nan] * unknown


@pytest.mark.parametrize(
    ("times", "picked", "passes"),
    [
        (30.0, False, True),
        (30.1, False, False),
        (1 / 30, False, True),
        (1 / 30.1, False, False),
        (3000.0, True, True),
        (3000.1, True, False),
        (1 / 3001, True, False),
        (1 / 2999, True, True),
        (1.0, False, True),
        (-31.0, False, False),  # sizes are compared, whatever the sign
        (-1.0, False, True),
    ],
)
def test_amounts_may_be_thirty_times_the_usual_and_three_thousand_times_for_picked_households(
    times, picked, passes
):
    found = faults("yuan", money(times), {"yuan": USUAL}, picked=picked)
    assert (found == []) is passes
    if found:
        assert (
            "times what the model learned from" in found[0]
            and "万元" in found[0]
            and "about 100 yuan" in found[0]
        )


@pytest.mark.parametrize(("count", "seen"), [(29, False), (30, True)])
def test_a_shift_is_seen_among_thirty_amounts_or_more(count, seen):
    assert bool(faults("yuan", money(1000.0, count, zeros=10), {"yuan": USUAL})) is seen


@pytest.mark.parametrize(("large", "refused"), [(20, True), (19, False), (21, True)])
def test_it_is_the_median_of_the_amounts_that_shifts(large, refused):
    # With 20 of 40 beyond, the median lies between 100 and 100,000: far above 30 times.
    column = [100_000.0] * large + [100.0] * (40 - large)
    assert bool(faults("yuan", column, {"yuan": USUAL})) is refused


def test_only_money_has_a_unit_to_be_mistaken():
    assert faults("times", money(0.5) + money(40.0), {"times": {"known": 1.0, "typical": 1.0}}) == []
    assert faults("yuan", money(1000.0), {"yuan": {"known": 1.0}}) == []  # nothing typical was kept


@pytest.mark.parametrize(
    ("known", "of", "refused"),
    [(2, 40, True), (3, 40, False), (0, 40, True), (1, 30, True), (2, 30, False), (0, 29, False)],
)
def test_a_source_that_ran_dry_is_refused_where_five_per_cent_or_less_are_known(known, of, refused):
    column = [1.0] * known + [np.nan] * (of - known)
    found = faults("times", column, {"times": {"known": 0.5}})
    assert bool(found) is refused
    if found:
        assert (
            "unknown for" in found[0] and "known for about 50%" in found[0] and "Deliver income" in found[0]
        )


@pytest.mark.parametrize(("usual", "refused"), [(0.5, True), (0.49, False)])
def test_a_source_that_was_mostly_unknown_in_training_may_be_unknown_now(usual, refused):
    assert bool(faults("times", [np.nan] * 40, {"times": {"known": usual}})) is refused


def test_a_source_that_ran_dry_is_shown_with_both_shares():
    [text] = faults("times", [np.nan] * 39 + [1.0], {"times": {"known": 0.75}})
    assert "unknown for 98% of the households" in text  # 39 of 40
    assert "known for about 75%" in text


def test_twenty_nine_households_with_another_fault_are_not_compared_with_what_is_usual():
    [text] = faults("times", [np.inf] + [np.nan] * 28, {"times": {"known": 1.0}})
    assert "an infinite value" in text
    assert len(faults("times", [np.inf] + [np.nan] * 29, {"times": {"known": 1.0}})) == 2


def test_a_source_may_be_accepted_as_missing_and_picked_households_say_nothing_about_it():
    profile = {"times": {"known": 1.0}}
    assert faults("times", [np.nan] * 40, profile, accept_missing=("income",)) == []
    assert faults("times", [np.nan] * 40, profile, accept_missing=("medical",))
    assert faults("times", [np.nan] * 40, profile, picked=True) == []


def test_a_feature_that_the_catalogue_does_not_have_is_only_held_to_what_is_usual():
    assert faults("unheard", [1e300] * 40) == []
    [text] = faults("unheard", [np.nan] * 40, {"unheard": {"known": 1.0}})
    assert "Deliver its source" in text


# The features as a whole.


def test_features_that_are_absent_doubled_or_of_another_type_are_named_all_at_once():
    one = matrix("yuan", [1.0])
    names = ("yuan", "yuan", "flag")
    twice = FeatureMatrix(
        one.as_of, one.household_id, one.village_code, names, np.ones((1, 3), dtype=np.float32)
    )
    with pytest.raises(GateError) as caught:
        pass_value_gate(twice, ["yuan", "share"], CATALOGUE)
    texts = [str(fault) for fault in caught.value.faults]
    assert (
        len(texts) == 3
        and "type float32" in texts[0]
        and "feature share: not among" in texts[1]
        and "feature yuan: given twice" in texts[2]
    )


def test_limits_are_worked_out_anew_for_another_catalogue_or_profile():
    narrow = Catalogue.model_validate({"yuan": entry("flag")})
    profile, other = {"yuan": USUAL}, {"yuan": {"known": 1.0, "typical": 1e6}}
    for _ in range(2):
        assert faults("yuan", money(1.0), profile) == []
        assert faults("yuan", money(1.0), other)
        with pytest.raises(GateError, match="0, 1 or unknown"):
            pass_value_gate(matrix("yuan", money(1.0)), ["yuan"], narrow, profile=profile)
    assert len(gate._LIMITS) == 1


@pytest.mark.parametrize("seed", range(40))
def test_the_fast_path_refuses_nothing_that_the_slow_one_accepts_and_the_other_way_round(seed, monkeypatch):
    """Random columns near the bounds: without the fast path the answer is the same."""
    draw = np.random.default_rng(seed)
    n = int(draw.choice([5, 29, 30, 31, 60]))
    unit = str(draw.choice(["yuan", "flag", "times"]))
    scale = float(draw.choice([0.03, 1.0, 29.0, 31.0, 3100.0]))
    column = np.where(
        draw.random(n) < draw.choice([0.0, 0.5, 0.95, 0.97]), np.nan, draw.choice([0.0, 1.0], n) * 100 * scale
    )
    column = np.where(draw.random(n) < 0.02, draw.choice([np.inf, 0.5, -1.0]), column)
    profile = {unit: {"known": float(draw.choice([0.4, 0.5, 1.0])), "typical": 100.0}}
    picked = bool(draw.random() < 0.5)
    fast = faults(unit, column, profile, picked=picked)
    monkeypatch.setattr(gate, "_quiet", lambda *_: False)
    assert fast == faults(unit, column, profile, picked=picked)


# The fast path: at a glance certain that nothing is to be refused. It may be too careful, but not so careful
# that it never holds.


def at_a_glance(name, column, profile=None, picked=False):
    values = np.array(column, dtype=float).reshape(-1, 1)
    return gate._quiet(values, gate._limits(CATALOGUE, (name,), profile), picked)


@pytest.mark.parametrize("unit", list(BOUNDS))
def test_values_on_the_bounds_are_accepted_at_a_glance_and_beyond_them_are_looked_at(unit):
    low, high = BOUNDS[unit]
    assert at_a_glance(unit, [low, high, np.nan])
    assert not at_a_glance(unit, [low - 0.5]) and not at_a_glance(unit, [high + 0.5])


@pytest.mark.parametrize(
    ("value", "sure"), [(0.0, True), (1.0, True), (0.5, False), (np.inf, False), (-np.inf, False)]
)
def test_flags_and_infinite_values_at_a_glance(value, sure):
    assert at_a_glance("flag", [value, 1.0, 0.0]) is sure


def test_a_feature_that_the_catalogue_does_not_have_is_within_all_bounds_at_a_glance():
    assert at_a_glance("unheard", [-1e300, 0.0, 1e300])


def test_a_fraction_is_no_fault_of_a_feature_that_is_no_flag():
    assert at_a_glance("times", [0.5, -0.5])


@pytest.mark.parametrize(
    ("times", "picked", "sure"),
    [
        (29.99, False, True),
        (30.0, False, False),
        (1 / 29.99, False, True),
        (1 / 30, False, False),
        (2999.0, True, True),
        (3000.0, True, False),
    ],
)
def test_a_shift_of_all_amounts_at_a_glance(times, picked, sure):
    assert at_a_glance("yuan", money(times), {"yuan": USUAL}, picked) is sure


@pytest.mark.parametrize(("beyond", "sure"), [(15, False), (14, True)])
@pytest.mark.parametrize("size", [1e5, 1e-3])
def test_less_than_half_of_the_amounts_beyond_a_bound_move_no_median(beyond, size, sure):
    assert at_a_glance("yuan", [size] * beyond + [100.0] * (30 - beyond), {"yuan": USUAL}) is sure


def test_zeros_and_few_amounts_say_nothing_about_the_unit():
    assert at_a_glance("yuan", [1e5] * 29 + [0.0] * 20, {"yuan": USUAL})
    assert at_a_glance("yuan", [100.0] * 30 + [0.0] * 200, {"yuan": USUAL})
    assert at_a_glance("yuan", [1e5] * 29, {"yuan": USUAL})


@pytest.mark.parametrize(
    ("known", "of", "picked", "sure"),
    [(3, 40, False, True), (2, 40, False, False), (0, 40, True, True), (0, 29, False, True)],
)
def test_a_source_that_ran_dry_at_a_glance(known, of, picked, sure):
    assert (
        at_a_glance("times", [1.0] * known + [np.nan] * (of - known), {"times": {"known": 1.0}}, picked)
        is sure
    )


@pytest.mark.parametrize(("usual", "sure"), [(0.5, False), (0.49, True)])
def test_a_source_that_was_mostly_unknown_at_a_glance(usual, sure):
    assert at_a_glance("times", [np.nan] * 40, {"times": {"known": usual}}) is sure
