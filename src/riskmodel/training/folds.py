"""The clock: which as-of dates train, calibrate and test, so that no label window reaches into a test window.

Two folds are made of the same grid. `evaluation`: the newest mature dates test; whatever trains or calibrates
for it had its label window and reporting lag behind it on the first test date. `final`: the same recipe moved
up to the cut, without a test; its model is the one that is kept. What is reported of a run was measured on
the evaluation fold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riskmodel.calendar import add_months
from riskmodel.errors import Fault, PlanError
from riskmodel.training.labels import matures_on
from riskmodel.training.plan import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A grid is never followed farther back than this.
OLDEST = dt.date(1990, 1, 1)


@dataclass(frozen=True)
class Fold:
    """As-of dates by use, oldest first. Labels of `train` and `calibrate` are those known on
    `known_until`."""

    name: str
    train: tuple[dt.date, ...]
    calibrate: tuple[dt.date, ...]
    test: tuple[dt.date, ...]
    known_until: dt.date


@dataclass(frozen=True)
class Folds:
    """The two folds of a run, with what a person needs to judge them."""

    horizon_months: int
    reporting_lag_days: int
    first_day: dt.date
    until: dt.date
    evaluation: Fold
    final: Fold
    left_out: tuple[tuple[dt.date, str], ...] = ()

    def rows(self) -> list[dict[str, str]]:
        """One row a fold and as-of date: fold, use, as_of, window_ends, usable_from. All text."""
        return [
            {
                "fold": fold.name,
                "use": use,
                "as_of": str(day),
                "window_ends": str(add_months(day, self.horizon_months)),
                "usable_from": str(matures_on(day, self.horizon_months, self.reporting_lag_days)),
            }
            for fold in (self.evaluation, self.final)
            for use in ("train", "calibrate", "test")
            for day in getattr(fold, use)
        ] + [
            {"fold": "-", "use": f"left out: {why}", "as_of": str(day), "window_ends": "", "usable_from": ""}
            for day, why in self.left_out
        ]

    def text(self) -> str:
        """The fold table, as a person reads it on a terminal."""
        from riskmodel.training.words import table_text

        title = (
            f"Folds: horizon {self.horizon_months} months, reporting lag {self.reporting_lag_days} days, "
            f"cut {self.until}"
        )
        rows = [
            [row["fold"], row["use"], row["as_of"], row["window_ends"], row["usable_from"]]
            for row in self.rows()
        ]
        return table_text(title, ["fold", "use", "as of", "label window ends", "label usable from"], rows)

    def figure(self) -> Figure:
        """The same as a picture: a bar is a label window, its thin end the reporting lag."""
        from matplotlib.figure import Figure

        colours = {"train": "#4C72B0", "calibrate": "#DD8452", "test": "#55A868"}
        rows = [row for row in self.rows() if row["use"] in colours]
        picture = Figure(figsize=(9, 1 + 0.28 * len(rows)), layout="constrained")
        axes = picture.subplots()
        for place, row in enumerate(rows):
            start, end, usable = (
                dt.date.fromisoformat(row[name]) for name in ("as_of", "window_ends", "usable_from")
            )
            axes.barh(place, (end - start).days, left=_number(start), color=colours[row["use"]], height=0.7)
            axes.barh(place, (usable - end).days, left=_number(end), color=colours[row["use"]], height=0.2)
        axes.set_yticks(
            range(len(rows)), [f"{row['fold']} · {row['use']} · {row['as_of']}" for row in rows], fontsize=8
        )
        axes.invert_yaxis()
        for fold, style in ((self.evaluation, "--"), (self.final, "-")):
            axes.axvline(_number(fold.known_until), color="black", linestyle=style, linewidth=1)
        axes.xaxis_date()
        axes.set_title(
            "Label windows (thick) and reporting lag (thin); dashed: first test date, solid: the cut",
            fontsize=9,
        )
        return picture


def _number(day: dt.date) -> float:
    from matplotlib.dates import date2num

    return float(date2num(day))


def grid(plan: Plan, first_day: dt.date, until: dt.date, known_from: dt.date | None = None) -> list[dt.date]:
    """The plan's as-of dates with a mature label on `until` and enough history behind them, newest first."""
    step = plan.as_of.every_months
    oldest = max(OLDEST, add_months(first_day, plan.as_of.history_months), known_from or OLDEST)
    # Steps are counted from January of the year 1, so that plans with other horizons still meet on the same
    # days.
    month = add_months(dt.date(until.year, until.month, 1), -((until.year * 12 + until.month - 1) % step))
    days = []
    while _day(plan, month) >= oldest:
        if matures_on(_day(plan, month), plan.horizon_months, plan.label.reporting_lag_days) <= until:
            days.append(_day(plan, month))
        month = add_months(month, -step)
    return days


def _day(plan: Plan, month: dt.date) -> dt.date:
    return month if plan.as_of.day == "first" else add_months(month, 1) - dt.timedelta(days=1)


def make_folds(
    plan: Plan,
    *,
    first_day: dt.date,
    until: dt.date,
    known_from: dt.date | None = None,
    labelled_share: Callable[[dt.date, dt.date], float] = lambda _, __: 1.0,
) -> Folds:
    """The evaluation fold and the final fold of a plan.

    first_day: where the history begins; known_from: from when it was known (an as-of date has
    `history_months` of history before it, and is not before known_from). labelled_share(as_of, known_until):
    share of the cohort with an outcome.

    Raises PlanError with the number of months of data that are missing.
    """
    left_out: list[tuple[dt.date, str]] = []
    days = []
    for day in grid(plan, first_day, until, known_from):
        share = labelled_share(day, until)
        if share < plan.label.labelled_share_at_least:
            left_out.append((day, f"{share:.0%} verified"))
        else:
            days.append(day)
    test = tuple(reversed(days[: plan.as_of.test]))
    older = days[plan.as_of.test :]
    before = [day for day in older if test and _mature(plan, day, test[0])]
    evaluation = _fold(plan, "evaluation", before, test, test[0] if test else until)
    final = _fold(plan, "final", days, (), until)
    if evaluation is None or final is None:
        raise PlanError(_too_short(plan, first_day, until, days, before, left_out))
    folds = Folds(
        horizon_months=plan.horizon_months,
        reporting_lag_days=plan.label.reporting_lag_days,
        first_day=first_day,
        until=until,
        evaluation=evaluation,
        final=final,
        left_out=tuple(reversed(left_out)),
    )
    check_clock(folds)
    return folds


def _mature(plan: Plan, day: dt.date, cut: dt.date) -> bool:
    return matures_on(day, plan.horizon_months, plan.label.reporting_lag_days) <= cut


def _fold(
    plan: Plan, name: str, days: Sequence[dt.date], test: tuple[dt.date, ...], known_until: dt.date
) -> Fold | None:
    calibrate = tuple(reversed(days[: plan.as_of.calibrate]))
    train = tuple(reversed(days[plan.as_of.calibrate : plan.as_of.calibrate + plan.as_of.train_at_most]))
    if len(calibrate) < plan.as_of.calibrate or len(train) < plan.as_of.train_at_least:
        return None
    return Fold(name=name, train=train, calibrate=calibrate, test=test, known_until=known_until)


def check_clock(folds: Folds) -> None:
    """The rules of the clock, checked on the folds themselves. A fault here is a bug, not a user's
    mistake."""
    for fold in (folds.evaluation, folds.final):
        learned = fold.train + fold.calibrate
        assert all(
            matures_on(day, folds.horizon_months, folds.reporting_lag_days) <= fold.known_until
            for day in learned
        ), "a label is used only when its window and the reporting lag have passed"
        assert max(fold.train) < min(fold.calibrate), "calibration is later than training"
        assert all(
            add_months(day, folds.horizon_months) <= start for day in learned for start in fold.test[:1]
        ), "no training window reaches into a test window"
    newest = folds.evaluation.test[-1]
    assert matures_on(newest, folds.horizon_months, folds.reporting_lag_days) <= folds.until, (
        "test labels are mature"
    )


def _too_short(
    plan: Plan,
    first_day: dt.date,
    until: dt.date,
    days: Sequence[dt.date],
    before: Sequence[dt.date],
    left_out: Sequence[tuple[dt.date, str]],
) -> Fault:
    grid_months = plan.as_of.every_months * (
        plan.as_of.train_at_least + plan.as_of.calibrate - 1 + plan.as_of.test - 1
    )
    lag_months = -(-plan.label.reporting_lag_days // 30)
    needed = (
        plan.as_of.history_months
        + grid_months
        + 2 * (plan.horizon_months + lag_months)
        + plan.as_of.every_months
    )
    have = (until.year - first_day.year) * 12 + until.month - first_day.month
    seen = f"; {len(left_out)} dates left out because too few households were verified" if left_out else ""
    return Fault(
        f"tables known from {first_day} to {until} ({have} months)",
        (
            f"{len(days)} as-of dates with a mature label, {len(before)} of them mature before the first "
            f"test date{seen}"
        ),
        (
            f"{plan.as_of.test} to test, and before them {plan.as_of.calibrate} to calibrate and "
            f"{plan.as_of.train_at_least} to train, which takes about {needed} months of data at a horizon "
            f"of {plan.horizon_months} months"
        ),
        (
            "Bring older tables, or choose a shorter horizon_months, fewer test dates or a smaller "
            "every_months in the plan."
        ),
    )


def day_of(value: Any) -> str:
    """An as-of date or wave as text."""
    return value.isoformat() if isinstance(value, dt.date) else str(value)
