"""The gate: every fault that a predictor would swallow is refused, with place, expectation and remedy, all at
once.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from riskmodel.errors import GateError
from riskmodel.features.catalogue import Catalogue
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.screening.gate import pass_value_gate
from riskmodel.training.record import usual_values

NAMES = ("income", "stays", "dropout", "wage")


def said(unit, sources):
    words = {"zh": "某", "en": "some"}
    return {
        "label": words,
        "family": "income",
        "topic": unit,
        "unit": unit,
        "manner": "amount",
        "sources": sources,
        "window": "12m",
        "missing": words,
        "riskier_when": "unclear",
        "risk_kind": "other",
        "status": "active",
        "sentence": {"zh": {"value": "某{value}"}, "en": {"value": "some {value}"}},
    }


CATALOGUE = Catalogue.model_validate(
    {
        "income": said("yuan", ["income"]),
        "stays": said("times", ["medical"]),
        "dropout": said("flag", ["members"]),
        "wage": said("yuan", ["employment"]),
        "other": said("yuan", ["income"]),
    }
)


def county(n=400, names=NAMES):
    draw = np.random.default_rng(0)
    columns = {
        "income": np.exp(draw.normal(9, 0.8, n)),
        "stays": draw.poisson(0.4, n).astype(float),
        "dropout": (draw.random(n) < 0.05).astype(float),
        "wage": np.where(draw.random(n) < 0.3, np.nan, np.exp(draw.normal(8, 0.5, n))),
        "other": draw.normal(size=n),
    }
    values = np.column_stack([columns[name] for name in names])
    ids = np.array([f"h{place:04d}" for place in range(n)], dtype=object)
    return FeatureMatrix(
        dt.date(2025, 12, 31), ids, np.array(["522301001001"] * n, dtype=object), tuple(names), values
    )


def changed(matrix, name, change):
    values = matrix.values.copy()
    place = matrix.names.index(name)
    values[:, place] = change(values[:, place].copy())
    return FeatureMatrix(matrix.as_of, matrix.household_id, matrix.village_code, matrix.names, values)


PROFILE = usual_values(NAMES, county().values)


def put(row, value):
    def change(column):
        column[row] = value
        return column

    return change


def test_columns_are_taken_by_name_whatever_their_order():
    matrix = county(names=("other", "wage", "dropout", "stays", "income"))
    values = pass_value_gate(matrix, NAMES, CATALOGUE, profile=PROFILE)
    assert np.array_equal(values, county().values, equal_nan=True)
    assert values.flags.c_contiguous and values.dtype == np.float64


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("income", put(3, np.inf), "infinite"),
        ("income", put(3, -np.inf), "infinite"),
        ("income", put(3, 1e12), "between"),
        ("stays", put(7, -1e6), "between"),
        ("dropout", put(1, 0.5), "0, 1 or unknown"),
        ("dropout", put(1, 2.0), "0, 1 or unknown"),
        ("income", lambda column: column / 10_000, "万元"),
        ("income", lambda column: column * 10_000, "times what the model learned from"),
        ("wage", lambda column: np.full(len(column), np.nan), "employment"),
    ],
)
def test_each_fault_is_refused_and_named(name, change, expected):
    with pytest.raises(GateError, match=expected) as caught:
        pass_value_gate(changed(county(), name, change), NAMES, CATALOGUE, profile=PROFILE)
    assert all(name in fault.where for fault in caught.value.faults)
    assert all(fault.found and fault.expected and fault.remedy for fault in caught.value.faults)


def test_all_faults_come_at_once_and_households_are_named():
    matrix = changed(
        changed(changed(county(), "income", put(3, np.inf)), "stays", put(7, 1e6)), "dropout", put(9, 7.0)
    )
    with pytest.raises(GateError) as caught:
        pass_value_gate(matrix, NAMES, CATALOGUE, profile=PROFILE)
    assert len(caught.value.faults) == 3
    assert "h0003" in str(caught.value) and "h0007" in str(caught.value) and "h0009" in str(caught.value)


def test_features_that_are_not_there_are_all_named():
    with pytest.raises(GateError) as caught:
        pass_value_gate(county(names=("dropout", "other")), NAMES, CATALOGUE)
    assert {fault.where for fault in caught.value.faults} == {
        "feature income",
        "feature stays",
        "feature wage",
    }


def test_unknown_values_pass_and_a_single_household_is_not_held_to_the_county():
    matrix = county()
    gaps = changed(matrix, "income", put(5, np.nan))
    assert np.isnan(pass_value_gate(gaps, NAMES, CATALOGUE, profile=PROFILE)[5, 0])
    one = changed(matrix.rows(np.array([4])), "wage", lambda column: np.array([np.nan]))
    assert pass_value_gate(one, NAMES, CATALOGUE, profile=PROFILE).shape == (1, 4)


def test_a_table_that_is_known_to_be_absent_can_be_accepted():
    dry = changed(county(), "wage", lambda column: np.full(len(column), np.nan))
    assert pass_value_gate(dry, NAMES, CATALOGUE, profile=PROFILE, accept_missing=("employment",)).shape == (
        400,
        4,
    )


def test_an_ordinary_year_later_passes():
    later = changed(county(), "income", lambda column: column * 1.3)
    assert pass_value_gate(later, NAMES, CATALOGUE, profile=PROFILE).shape == (400, 4)


@pytest.mark.parametrize("times", [400, 1 / 400])
def test_households_that_somebody_picked_may_be_far_from_the_county(times):
    far = changed(
        changed(county(), "income", lambda column: column * times),
        "wage",
        lambda column: np.full(len(column), np.nan),
    )
    with pytest.raises(GateError):
        pass_value_gate(far, NAMES, CATALOGUE, profile=PROFILE)
    assert pass_value_gate(far, NAMES, CATALOGUE, profile=PROFILE, picked=True).shape == (400, 4)


@pytest.mark.parametrize("times", [10_000, 1 / 10_000])
def test_another_unit_is_seen_among_picked_households_too(times):
    with pytest.raises(GateError, match="times what the model learned from"):
        pass_value_gate(
            changed(county(), "income", lambda column: column * times),
            NAMES,
            CATALOGUE,
            profile=PROFILE,
            picked=True,
        )
