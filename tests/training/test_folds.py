"""The clock: no label before its time, no training window in a test window, and words when the data are too
short.
"""

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
    # 2023-04-01 + 12 months + 60 days = 2024-05-31, before the first test date; 2023-07-01 would be known on
    # 2024-08-30
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


# Edges of the clock, a day on each side.


def test_a_date_trains_when_its_label_is_usable_on_the_first_test_date_and_not_a_day_later():
    from riskmodel.training.folds import _mature

    chosen = plan()  # 12 months and 60 days
    # 2023-08-01 + 12 months + 60 days = 2024-09-30
    assert _mature(chosen, dt.date(2023, 8, 1), dt.date(2024, 9, 30))
    assert not _mature(chosen, dt.date(2023, 8, 1), dt.date(2024, 9, 29))


@pytest.mark.parametrize(("until", "newest"), [("2025-11-30", "2024-10-01"), ("2025-11-29", "2024-07-01")])
def test_the_newest_test_date_is_the_first_whose_label_is_usable_at_the_cut(until, newest):
    days = grid(plan(), dt.date(2022, 1, 1), dt.date.fromisoformat(until))
    assert days[0] == dt.date.fromisoformat(newest)


@pytest.mark.parametrize(
    ("first", "oldest"),
    [("2022-01-01", "2022-04-01"), ("2022-01-02", "2022-07-01"), ("2021-12-31", "2022-04-01")],
)
def test_the_oldest_date_has_three_months_of_history_before_it(first, oldest):
    assert grid(plan(), dt.date.fromisoformat(first), FOUR_YEARS["until"])[-1] == dt.date.fromisoformat(
        oldest
    )


@pytest.mark.parametrize(("known", "oldest"), [("2022-07-01", "2022-07-01"), ("2022-07-02", "2022-10-01")])
def test_no_date_lies_before_the_tables_were_known(known, oldest):
    days = grid(plan(), dt.date(2020, 1, 1), FOUR_YEARS["until"], dt.date.fromisoformat(known))
    assert days[-1] == dt.date.fromisoformat(oldest)


def test_no_grid_goes_back_before_1990():
    days = grid(plan(), dt.date(1900, 1, 1), dt.date(2000, 12, 31))
    assert days[-1] == dt.date(1990, 1, 1)


@pytest.mark.parametrize(
    ("step", "until", "months"),
    [
        (1, "2025-12-31", {10, 11}),
        (3, "2025-12-31", {7, 10}),
        (6, "2025-12-31", {1, 7}),
        (12, "2025-12-31", {1}),
    ],
)
def test_the_steps_of_the_grid_are_counted_from_january(step, until, months):
    days = grid(plan(as_of={"every_months": step}), dt.date(2022, 1, 1), dt.date.fromisoformat(until))
    assert {day.month for day in days[:2]} <= months
    assert all(
        (days[place].year * 12 + days[place].month) - (days[place + 1].year * 12 + days[place + 1].month)
        == step
        for place in range(len(days) - 1)
    )


@pytest.mark.parametrize(("share", "kept"), [(0.5, True), (0.499, False)])
def test_half_of_the_cohort_verified_is_enough(share, kept):
    day = dt.date(2024, 7, 1)
    folds = make_folds(plan(), **FOUR_YEARS, labelled_share=lambda as_of, _: share if as_of == day else 1.0)
    assert (day in folds.evaluation.test) is kept
    assert (folds.left_out == ()) is kept


def test_dates_left_out_are_named_oldest_first():
    few = {dt.date(2024, 7, 1), dt.date(2023, 7, 1)}
    folds = make_folds(plan(), **FOUR_YEARS, labelled_share=lambda as_of, _: 0.1 if as_of in few else 1.0)
    assert [day for day, _ in folds.left_out] == sorted(few)


@pytest.mark.parametrize(("most", "count"), [(2, 2), (3, 3), (4, 4)])
def test_no_more_dates_train_than_the_plan_allows_and_the_newest_are_taken(most, count):
    folds = make_folds(plan(as_of={"train_at_most": most, "train_at_least": 2}), **FOUR_YEARS)
    assert len(folds.final.train) == count
    assert folds.final.train[-1] == dt.date(2024, 7, 1) and folds.final.calibrate == (dt.date(2024, 10, 1),)


@pytest.mark.parametrize(("least", "enough"), [(4, True), (5, False)])
def test_a_plan_that_asks_for_more_training_dates_than_there_are_is_refused(least, enough):
    # The evaluation fold has 2022-04, -07, -10 and 2023-01 to train: four.
    chosen = plan(as_of={"train_at_least": least})
    if enough:
        assert len(make_folds(chosen, **FOUR_YEARS).evaluation.train) == 4
    else:
        with pytest.raises(PlanError):
            make_folds(chosen, **FOUR_YEARS)


def test_the_refusal_says_what_is_there_and_how_many_months_it_takes():
    with pytest.raises(PlanError) as refused:
        make_folds(plan(), first_day=dt.date(2024, 3, 15), until=dt.date(2025, 12, 31))
    text = str(refused.value)
    # 2024 March to 2025 December are 21 months; dates from 2024-07 (three months after 15 March: 15 June) to
    # 2024-10
    assert "tables known from 2024-03-15 to 2025-12-31 (21 months)" in text
    assert "2 as-of dates with a mature label, 0 of them mature before the first test date" in text
    assert "2 to test, and before them 1 to calibrate and 2 to train" in text
    # 3 of history, 3 × (2 + 1 - 1 + 2 - 1) = 9 of grid, twice 12 + 2 of windows and lag, 3 for the place in
    # the grid
    assert f"about {3 + 9 + 2 * (12 + 2) + 3} months" in text
    assert "left out because" not in text


def test_the_refusal_counts_the_dates_that_too_few_were_verified_on():
    with pytest.raises(PlanError, match="11 dates left out because too few households were verified"):
        make_folds(plan(), **FOUR_YEARS, labelled_share=lambda as_of, known: 0.2)


def folds_with(**changes):
    from dataclasses import replace

    folds = make_folds(plan(), **FOUR_YEARS)
    return replace(folds, evaluation=replace(folds.evaluation, **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # 2023-07-01 is usable on 2024-08-30, after the first test date 2024-07-01
        ({"calibrate": (dt.date(2023, 7, 1),)}, "a label is used only when"),
        ({"calibrate": (dt.date(2023, 1, 1),)}, "calibration is later than training"),
        ({"calibrate": (dt.date(2022, 10, 1),)}, "calibration is later than training"),
        (
            {"test": (dt.date(2024, 3, 31), dt.date(2024, 10, 1)), "known_until": dt.date(2026, 1, 1)},
            "no training window reaches",
        ),
        ({"test": (dt.date(2024, 7, 1), dt.date(2024, 11, 2))}, "test labels are mature"),
    ],
)
def test_the_rules_of_the_clock_are_checked_on_the_folds_themselves(changes, words):
    from riskmodel.training.folds import check_clock

    with pytest.raises(AssertionError, match=words):
        check_clock(folds_with(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "known_until": dt.date(2024, 5, 31)
        },  # the day on which the newest label that is used becomes usable
        {
            "test": (dt.date(2024, 4, 1), dt.date(2024, 10, 1)),
            "known_until": dt.date(2026, 1, 1),
        },  # the window of 2023-04-01 ends on it
        {"test": (dt.date(2024, 7, 1), dt.date(2024, 11, 1))},  # usable on 2025-12-31, the cut
    ],
)
def test_the_limits_themselves_keep_the_rules_of_the_clock(changes):
    from riskmodel.training.folds import check_clock

    check_clock(folds_with(**changes))


def test_the_rows_of_the_fold_table_are_complete():
    folds = make_folds(
        plan(), **FOUR_YEARS, labelled_share=lambda as_of, _: 0.2 if as_of == dt.date(2024, 4, 1) else 1.0
    )
    rows = folds.rows()
    assert rows[-1] == {
        "fold": "-",
        "use": "left out: 20% verified",
        "as_of": "2024-04-01",
        "window_ends": "",
        "usable_from": "",
    }
    counts = {(row["fold"], row["use"]): 0 for row in rows[:-1]}
    for row in rows[:-1]:
        counts[row["fold"], row["use"]] += 1
    assert (
        counts[("evaluation", "test")] == 2
        and counts[("evaluation", "calibrate")] == 1
        and ("final", "test") not in counts
    )


def test_the_picture_has_a_thick_and_a_thin_bar_for_every_date_and_a_line_for_each_cut():
    from matplotlib.dates import date2num

    folds = make_folds(plan(), **FOUR_YEARS)
    [axes] = folds.figure().axes
    dates = [row for row in folds.rows() if row["window_ends"]]
    assert len(axes.patches) == 2 * len(dates)
    first, lag = axes.patches[:2]
    start = dt.date.fromisoformat(dates[0]["as_of"])
    assert first.get_x() == date2num(start) and first.get_width() == (add_months(start, 12) - start).days
    assert lag.get_x() == date2num(add_months(start, 12)) and lag.get_width() == 60
    assert first.get_height() > lag.get_height()
    assert [line.get_linestyle() for line in axes.lines] == ["--", "-"]
    assert axes.lines[1].get_xdata()[0] == date2num(folds.until)


def test_an_as_of_date_or_a_wave_as_text():
    from riskmodel.training.folds import day_of

    assert day_of(dt.date(2025, 1, 31)) == "2025-01-31" and day_of(7) == "7"


@pytest.mark.parametrize(("until", "newest"), [("2025-12-30", "2024-10-31"), ("2025-12-29", "2024-07-31")])
def test_a_grid_of_month_ends_holds_the_last_day_of_its_months(until, newest):
    # 2024-10-31 + 12 months + 60 days = 2025-12-30
    days = grid(plan(as_of={"day": "last"}), dt.date(2022, 1, 1), dt.date.fromisoformat(until))
    assert days[0] == dt.date.fromisoformat(newest) and days[-1] == dt.date(2022, 4, 30)


@pytest.mark.parametrize(("lag", "months"), [(60, 2), (61, 3), (90, 3), (0, 0)])
def test_a_reporting_lag_counts_as_whole_months_of_thirty_days_in_the_refusal(lag, months):
    with pytest.raises(PlanError, match=f"about {3 + 9 + 2 * (12 + months) + 3} months"):
        make_folds(
            plan(label={"reporting_lag_days": lag}),
            first_day=dt.date(2024, 3, 15),
            until=dt.date(2025, 12, 31),
        )


def test_folds_are_not_changed_after_they_were_made():
    from dataclasses import FrozenInstanceError

    folds = make_folds(plan(), **FOUR_YEARS)
    for made, name in ((folds, "until"), (folds.final, "name")):
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, None)
