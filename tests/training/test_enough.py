"""Too little to learn from is a sentence with a remedy, never an abort of LightGBM or a traceback."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest

from riskmodel.errors import PlanError
from riskmodel.tables import Tables
from riskmodel.training import Workbench, train
from riskmodel.training.enough import faults_of_fold
from riskmodel.training.fold_rows import FoldRows
from riskmodel.training.plan import Plan
from riskmodel.training.samples import Sample, part_of

WHERE = {"train": "train dates 2023-01-01", "calibrate": "calibrate dates 2024-01-01"}


def plan(**changes):
    return Plan.model_validate({"title": {"zh": "试", "en": "t"}, "learner": {"lightgbm": {}}, **changes})


def rows(villages, label, features=None):
    """A sample of one row a village named, with these labels; by default one feature in which all rows
    differ.
    """
    n = len(villages)
    values = np.arange(n, dtype=float).reshape(-1, 1) if features is None else np.array(features, float)
    text = np.array([f"H{place}" for place in range(n)], dtype=object)
    return Sample(
        names=tuple(f"f{place}" for place in range(values.shape[1])),
        household_id=text,
        village=np.array(villages, dtype=object),
        township=np.array(villages, dtype=object),
        as_of=np.full(n, dt.date(2023, 1, 1), dtype=object),
        features=values,
        label=np.array(label, dtype=float),
        interval=np.full(n, -1, dtype=np.int8),
        groups=pl.DataFrame({"category": ["general"] * n}),
    )


def faults(villages, label, features=None, **changes):
    sample = rows(villages, label, features)
    return [
        str(fault) for fault in faults_of_fold("p", plan(**changes), FoldRows(sample, sample, None), WHERE)
    ]


def spread(count):
    """As many village names, no two in the same part of four members."""
    found, parts = [], set()
    for number in range(1000):
        name = f"V{number}"
        part = int(part_of(np.array([name], dtype=object), 4, 1)[0])
        if part not in parts:
            found.append(name)
            parts.add(part)
        if len(found) == count:
            return found
    raise AssertionError("four parts are found among a thousand names")


BOTH = [1, 1, 0, 0]


def test_three_villages_with_both_outcomes_are_enough():
    a, b, c = spread(3)
    assert not faults([a] * 4 + [b] * 4 + [c] * 4, BOTH * 3)


@pytest.mark.parametrize(("count", "found"), [(1, "1 village;"), (2, "2 villages;")])
def test_fewer_villages_are_refused_in_a_sentence(count, found):
    names = spread(count)
    [text] = faults([name for name in names for _ in range(4)], BOTH * count)
    assert found in text and "at least 3 villages" in text and "income_rule" in text


def test_rules_need_no_villages_and_no_features_that_differ():
    assert not faults(["A"] * 4, BOTH, [[0.0]] * 4, learner={"department_rules": {}})


@pytest.mark.parametrize(("confirmed", "refused"), [(1, True), (2, False)])
def test_a_fold_holds_two_confirmed_households_at_least(confirmed, refused):
    names = spread(3)
    label = [1] * confirmed + [0] * (12 - confirmed)
    found = faults((names * 4)[:12], label)
    assert bool(found) == refused
    if refused:
        assert "1 confirmed and 11 cleared" in found[0] and len(found) == 2  # train and calibrate alike


@pytest.mark.parametrize(("cleared", "refused"), [(1, True), (2, False)])
def test_a_fold_holds_two_cleared_households_at_least(cleared, refused):
    found = faults((spread(3) * 4)[:12], [0] * cleared + [1] * (12 - cleared))
    assert bool(found) == refused


def test_a_member_that_would_learn_from_one_outcome_only_is_named():
    # All confirmed households in one village: the member that leaves it out sees none of them.
    a, b, c = spread(3)
    [text] = faults([a] * 4 + [b] * 4 + [c] * 4, [1] * 4 + [0] * 8)
    member = int(part_of(np.array([a], dtype=object), 4, 1)[0]) + 1
    assert text.startswith(f"member {member} of 4") and "0 confirmed and 8 cleared" in text


def test_features_that_never_differ_are_refused_with_what_is_unknown():
    names = spread(3)
    [text] = faults((names * 4)[:12], BOTH * 3, [[7.0, float("nan")]] * 12)
    assert "each of the 2 features has one value throughout, 1 of them unknown" in text


@pytest.mark.parametrize("other", [8.0, float("nan")])
def test_one_row_that_differs_by_its_value_or_by_being_unknown_is_enough(other):
    values = [[7.0]] * 11 + [[other]]
    assert not faults((spread(3) * 4)[:12], BOTH * 3, values)


@pytest.mark.parametrize("name", ["lightgbm_12m", "logistic_12m"])
def test_a_county_of_one_village_is_refused_before_anything_is_fitted(own_project, county, name):
    one = pl.lit("522301100201")
    homes = county["households"].with_columns(village_code=one, township_code=one.str.head(9))
    village = Tables({**county.frames, "households": homes})
    with pytest.raises(PlanError, match="1 village; expected at least 3 villages"):
        train(own_project, name, village, bench=_bench(own_project, county, village))


def _bench(project, county, village):
    """A workbench of the village with a few cheap features, so that the test need not build all of them."""
    bench = Workbench(project, village)
    bench._loaded["catalogue"] = bench.catalogue.only(["distance_km", "land_pp", "days_since_visit"])
    return bench


def test_tables_without_a_confirmation_are_refused_by_fold(own_project, county):
    none = county["verifications"].with_columns(
        outcome=pl.lit("no_risk").cast(county["verifications"]["outcome"].dtype)
    )
    tables = dataclasses.replace(county, frames={**county.frames, "verifications": none})
    with pytest.raises(PlanError) as refused:
        train(own_project, "logistic_12m", tables, bench=_bench(own_project, county, tables))
    for use in ("train", "calibrate", "test"):
        assert f"{use} dates" in str(refused.value)
    assert "0 confirmed and" in str(refused.value)
