"""The clock: no label before its time, no training window in a test window, and words when the data are too short."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskmodel.calendar import add_months
from riskmodel.errors import PlanError
from riskmodel.training.folds import grid, make_folds
from riskmodel.training.labels import matures_on
from riskmodel.training.plan import Plan

FOUR_YEARS = {"first_day": dt.date(2022, 1, 1), "until": dt.date(2025, 12, 31)}


def plan(**changes):
    return Plan.model_validate({"title": {"zh": "试", "en": "t"}, "learner": {"lightgbm": {}}, **changes})


def test_four_years_are_enough_for_twelve_months():
    folds = make_folds(plan(), **FOUR_YEARS)
    # 2024-10-01 + 12 months + 60 days = 2025-11-30: mature; 2025-01-01 is not
    assert folds.evaluation.test == (dt.date(2024, 7, 1), dt.date(2024, 10, 1))
    # 2023-04-01 + 12 months + 60 days = 2024-05-31, before the first test date; 2023-07-01 would be known on 2024-08-30
    assert folds.evaluation.calibrate == (dt.date(2023, 4, 1),)
    assert folds.evaluation.train == (
        dt.date(2022, 4, 1),
        dt.date(2022, 7, 1),
        dt.date(2022, 10, 1),
        dt.date(2023, 1, 1),
    )
    assert folds.final.calibrate == (dt.date(2024, 10, 1),)
    assert folds.final.known_until == dt.date(2025, 12, 31)


def test_two_years_are_too_short_and_the_error_says_how_many_months_it_takes():
    with pytest.raises(PlanError) as refused:
        make_folds(plan(), first_day=dt.date(2024, 1, 1), until=dt.date(2025, 12, 31))
    text = str(refused.value)
    assert (
        "23 months" in text
        and "months of data at a horizon of 12 months" in text
        and "shorter horizon_months" in text
    )


def test_the_months_named_in_the_error_are_enough():
    short = plan(horizon_months=6)
    with pytest.raises(PlanError) as refused:
        make_folds(short, first_day=dt.date(2024, 9, 1), until=dt.date(2025, 12, 31))
    months = int(str(refused.value).split("takes about ")[1].split()[0])
    make_folds(short, first_day=add_months(dt.date(2026, 1, 1), -months), until=dt.date(2025, 12, 31))


@given(
    horizon=st.sampled_from([3, 6, 12]),
    lag=st.integers(0, 120),
    step=st.integers(1, 6),
    test=st.integers(1, 3),
    calibrate=st.integers(1, 2),
    day=st.sampled_from(["first", "last"]),
    until=st.dates(dt.date(2024, 1, 1), dt.date(2027, 12, 31)),
)
def test_no_window_reaches_into_a_test_window(horizon, lag, step, test, calibrate, day, until):
    chosen = plan(
        horizon_months=horizon,
        as_of={"every_months": step, "day": day, "test": test, "calibrate": calibrate},
        label={"reporting_lag_days": lag},
    )
    try:
        folds = make_folds(chosen, first_day=dt.date(2020, 1, 1), until=until)
    except PlanError:
        return
    first_test = folds.evaluation.test[0]
    for learned in folds.evaluation.train + folds.evaluation.calibrate:
        assert matures_on(learned, horizon, lag) <= first_test
    for tested in folds.evaluation.test:
        assert matures_on(tested, horizon, lag) <= until
    assert max(folds.evaluation.train) < min(folds.evaluation.calibrate)
    assert len(folds.evaluation.test) == test and len(folds.evaluation.calibrate) == calibrate
    assert all(
        matures_on(learned, horizon, lag) <= until for learned in folds.final.train + folds.final.calibrate
    )


def test_month_ends_are_month_ends():
    days = grid(plan(as_of={"every_months": 1, "day": "last"}), dt.date(2023, 1, 1), dt.date(2025, 12, 31))
    assert all((day + dt.timedelta(days=1)).day == 1 for day in days)
    assert dt.date(2024, 2, 29) in days


def test_dates_on_which_few_were_verified_are_left_out_and_named():
    def share(as_of, known_until):
        return 0.1 if as_of == dt.date(2024, 7, 1) else 0.9

    folds = make_folds(plan(), **FOUR_YEARS, labelled_share=share)
    assert dt.date(2024, 7, 1) not in folds.evaluation.test + folds.final.train
    assert folds.left_out == ((dt.date(2024, 7, 1), "10% verified"),)
    assert "left out: 10% verified" in folds.text()


def test_the_fold_table_names_every_date_with_its_window():
    text = make_folds(plan(), **FOUR_YEARS).text()
    assert "evaluation   test        2024-10-01   2025-10-01          2025-11-30" in text


def test_the_fold_picture_is_drawn():
    assert make_folds(plan(), **FOUR_YEARS).figure().axes


def test_tables_as_text_stay_text_in_a_notebook(monkeypatch):
    """rich draws into the page by itself there, and writes nothing to the file that it was given."""
    import rich.console

    from riskmodel.training.words import table_text

    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    assert "2025-01-01" in table_text("Folds", ["as of"], [["2025-01-01"]])
