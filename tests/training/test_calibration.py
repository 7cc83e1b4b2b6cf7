"""Beta calibration: monotone, never 0 or 1, right on simulated data with known truth, coherent over
months.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskmodel.training.calibration import TINY, BetaCalibration, expected_ensemble, fit_beta, log_share


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def simulated(rows, seed, slope=1.0, shift=0.0):
    """Margins, true probabilities and outcomes at a base rate of about 1 %; the margin says slope · logit +
    shift.
    """
    chance = np.random.default_rng(seed)
    logit = -5.2 + 1.1 * chance.normal(size=rows)
    outcome = chance.random(rows) < sigmoid(logit)
    return slope * logit + shift, sigmoid(logit), np.where(outcome, 0, -1).astype(np.int8)


@given(
    a=st.floats(0.001, 5),
    b=st.floats(0.001, 5),
    c=st.floats(-20, 20),
    margin=st.floats(-800, 800),
    step=st.floats(1e-6, 50),
)
def test_a_higher_margin_never_has_a_lower_probability_and_none_is_0_or_1(a, b, c, margin, step):
    low, high = BetaCalibration(a, b, (c,), (12,)).probability(np.array([margin, margin + step]), 12)
    assert TINY <= low <= high <= 1 - TINY


def test_a_distorted_margin_is_put_right_on_later_data():
    margin, _, outcome = simulated(300_000, 1, slope=1.6, shift=2.0)
    fitted = fit_beta(margin, outcome, (12,))
    later, true, happened = simulated(200_000, 2, slope=1.6, shift=2.0)
    given_out = fitted.probability(later, 12)
    top = np.argsort(-later)[:4000]
    assert (happened >= 0).sum() / given_out.sum() == pytest.approx(1, abs=0.1)
    assert true[top].sum() / given_out[top].sum() == pytest.approx(1, abs=0.1)
    # ECE against the known truth, 15 bins of equal mass
    bins = np.array_split(np.argsort(given_out), 15)
    assert (
        sum(len(part) / len(true) * abs(true[part].mean() - given_out[part].mean()) for part in bins) < 0.003
    )


def test_identity_is_the_identity():
    margin = np.linspace(-8, 3, 50)
    assert BetaCalibration(1, 1, (0.0,), (12,)).probability(margin, 12) == pytest.approx(sigmoid(margin))


def test_an_order_turned_round_is_not_turned_back():
    # If the margin points the wrong way, calibration flattens it; it must not reorder the list.
    margin, _, outcome = simulated(30_000, 3)
    fitted = fit_beta(-margin, outcome, (12,))
    assert fitted.a > 0 and fitted.b > 0
    assert np.all(np.diff(fitted.probability(np.linspace(-10, 10, 200), 12)) >= 0)


def test_without_a_confirmation_the_probability_is_small_and_finite():
    fitted = fit_beta(np.linspace(-6, -3, 500), np.full(500, -1, dtype=np.int8), (12,))
    given_out = fitted.probability(np.linspace(-6, -3, 500), 12)
    assert 0 < given_out.sum() < 2


def test_the_curve_over_months_is_coherent_and_right():
    chance = np.random.default_rng(4)
    margin = -4 + chance.normal(size=40_000)
    hazards = [sigmoid(margin + shift) for shift in (-1.0, -0.5, 0.5)]
    interval = np.full(len(margin), -1, dtype=np.int8)
    for place, hazard in enumerate(hazards):
        interval[(interval < 0) & (chance.random(len(margin)) < hazard)] = place
    fitted = fit_beta(margin, interval, (3, 6, 12))
    three, six, twelve = (fitted.probability(margin, months) for months in (3, 6, 12))
    assert np.all(three <= six) and np.all(six <= twelve)
    for months, given_out, last in ((3, three, 0), (6, six, 1), (12, twelve, 2)):
        happened = ((interval >= 0) & (interval <= last)).sum()
        assert happened / given_out.sum() == pytest.approx(1, abs=0.08), months
    with pytest.raises(KeyError):
        fitted.probability(margin, 9)


def test_the_stored_numbers_are_the_numbers_used():
    margin, _, outcome = simulated(5_000, 5)
    fitted = fit_beta(margin, outcome, (12,))
    again = BetaCalibration.from_dict(fitted.as_dict())
    assert np.array_equal(again.probability(margin, 12), fitted.probability(margin, 12))


def test_calibrating_the_mean_on_one_noisy_member_is_put_right():
    # Four members = signal + own noise. Calibrated on one member as it is, the top of the mean's list would
    # be understated.
    chance = np.random.default_rng(6)
    signal = -4.6 + 0.9 * chance.normal(size=200_000)
    members = signal[:, None] + 0.6 * chance.normal(size=(len(signal), 4))
    outcome = np.where(chance.random(len(signal)) < sigmoid(signal), 0, -1).astype(np.int8)
    mean, one = members.mean(axis=1), members[:, 0]
    top = np.argsort(-mean)[:4000]
    naive = fit_beta(one, outcome, (12,)).probability(mean[top], 12)
    right = fit_beta(expected_ensemble(one, mean), outcome, (12,)).probability(mean[top], 12)
    happened = (outcome[top] >= 0).sum()
    assert happened / right.sum() == pytest.approx(1, abs=0.1)
    assert happened / naive.sum() > happened / right.sum()


def test_log_share_neither_overflows_nor_loses_the_small_end():
    assert log_share(np.array([-800.0, 0.0, 800.0])) == pytest.approx([-800.0, np.log(0.5), 0.0])
