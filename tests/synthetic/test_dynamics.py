"""Counties of other dynamics: what is changed changes, and nothing else."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.synthetic import Dynamics, make_county

END = dt.date(2025, 12, 31)
HOUSEHOLDS = 1500


def county(**changes):
    return make_county(HOUSEHOLDS, 2, END, 3, dynamics=Dynamics(**changes))


@pytest.fixture(scope="module")
def usual():
    return make_county(HOUSEHOLDS, 2, END, 3)


def confirmed(frames):
    return frames["verifications"].filter(pl.col("outcome") == "risk_confirmed")


def test_the_usual_dynamics_change_nothing(usual):
    frames, truth = county()
    assert all(frames[name].equals(usual[0][name]) for name in usual[0])
    assert truth.scores.equals(usual[1].scores) and "dynamics" not in truth.about


def test_an_illness_led_county_has_more_illness_among_its_risks(usual):
    frames, truth = county(illness=3.0, work=0.1, lack=0.2, gaps=0.2, rest=0.2)
    share = [confirmed(each)["risk_kinds"].str.contains("illness").mean() for each in (usual[0], frames)]
    assert share[1] > share[0] + 0.05
    assert truth.about["dynamics"]["illness"] == 3.0


def test_a_factor_on_every_level_moves_the_base_rate(usual):
    _, many = county(lack=2.0, sudden=2.0, gaps=2.0, rest=2.0)
    ratio = many.about["mean_true_probability_12m"] / usual[1].about["mean_true_probability_12m"]
    assert 1.4 < ratio < 2.1  # less than twice: who is found is monitored, and cannot fall again


def test_villages_without_a_sweep_have_fewer_visits(usual):
    frames, _ = county(swept=0.5)
    visits = [
        each["verifications"].filter(pl.col("outcome") == "no_risk", pl.col("origin") == "sweep").height
        for each in (usual[0], frames)
    ]
    assert 0.3 < visits[1] / visits[0] < 0.7


def test_records_are_absent_lost_late_and_misread_but_visits_are_not(usual):
    frames, _ = county(absent=("leads", "assets"), lost=0.2, later_days=60, misread=0.3)
    assert set(usual[0]) - set(frames) == {"leads", "assets"}
    assert frames["verifications"].equals(usual[0]["verifications"])
    before, after = usual[0]["income"].unique("event_id"), frames["income"].unique("event_id")
    assert after.height < 0.85 * before.height and after["known_on"].max() <= END
    both = before.join(after, on="event_id", suffix="_written")
    assert both.height == after.height
    moved = both.filter(pl.col("known_on_written") == pl.col("known_on") + dt.timedelta(60)).height
    assert moved > 0.9 * both.height  # some events have a correction, whose day `unique` may take
    assert (both["amount_written"] / both["amount"]).log().std() == pytest.approx(0.3, abs=0.05)


def test_the_amounts_of_a_bill_are_misread_together(usual):
    both = (
        usual[0]["medical"]
        .join(county(misread=0.5)[0]["medical"], on=["event_id", "known_on"], suffix="_written")
        .filter(pl.col("self_paid") > 100)
    )
    before, after = (both[f"total_cost{end}"] / both[f"self_paid{end}"] for end in ("", "_written"))
    assert (before / after - 1).abs().max() < 1e-3  # rounded to the fen
    assert (both["self_paid_written"] / both["self_paid"]).log().std() > 0.4


def test_all_faults_of_dynamics_are_named_at_once():
    with pytest.raises(DataError) as caught:
        Dynamics(lack=-1, swept=1.5, absent=("members",))
    assert len(caught.value.faults) == 3
