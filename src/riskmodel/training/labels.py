"""What happened afterwards: the label of each cohort household, and when it may be used.

`docs/data-contract.md`, "What the outcome means", is the specification; `tests/training/test_labels.py` holds
each edge.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from riskmodel.calendar import add_months
from riskmodel.tables import Tables
from riskmodel.training.cohorts import cohort, known_of


def matures_on(as_of: dt.date, horizon_months: int, reporting_lag_days: int) -> dt.date:
    """The first day on which a label of this as-of date may be used: as-of date plus horizon plus reporting
    lag.
    """
    return add_months(as_of, horizon_months) + dt.timedelta(days=reporting_lag_days)


def labels(tables: Tables, as_of: dt.date, horizon_months: int, *, known_until: dt.date) -> pl.DataFrame:
    """Whether each household of the cohort relapsed within the horizon, as far as it was known on
    `known_until`.

    One row a household of the cohort, sorted by household_id: household_id; label (Int8); first_confirmed_on
    (the earliest confirmation in the window, null without one).

    label 1: a `risk_confirmed` with occurred_on in (as_of, as_of + horizon]. label 0: none, and a `no_risk`
    in the same window. Null (unlabelled, never to be counted as 0): neither; or the window is still open on
    `known_until`; or the household had been confirmed on or before as_of but that became known only later, so
    that it should never have been in the cohort.
    """
    households = cohort(tables, as_of).select("household_id")
    ends = add_months(as_of, horizon_months)
    if ends > known_until:
        return households.with_columns(label=pl.lit(None, pl.Int8), first_confirmed_on=pl.lit(None, pl.Date))
    outcome = pl.col("outcome").cast(pl.String)
    seen = known_of(tables, known_until, "verifications").get("verifications")
    known_then = (
        known_of(tables, as_of, "verifications")
        .get("verifications")
        .filter(outcome == "risk_confirmed")
        .select("event_id")
    )
    late = (
        seen.filter(
            (outcome == "risk_confirmed") & (pl.col("occurred_on") <= as_of) & (pl.col("known_on") > as_of)
        )
        .join(known_then, on="event_id", how="anti")  # a mere correction of a confirmation known at the time
        .select("household_id")
        .unique()
    )
    window = seen.filter((pl.col("occurred_on") > as_of) & (pl.col("occurred_on") <= ends))
    confirmed = (
        window.filter(outcome == "risk_confirmed")
        .group_by("household_id")
        .agg(first_confirmed_on=pl.col("occurred_on").min())
    )
    cleared = window.filter(outcome == "no_risk").select("household_id", cleared=pl.lit(True)).unique()
    return (
        households.join(confirmed, on="household_id", how="left")
        .join(cleared, on="household_id", how="left")
        .join(late.with_columns(late=pl.lit(True)), on="household_id", how="left")
        .with_columns(
            label=pl.when(pl.col("late").is_not_null())
            .then(None)
            .when(pl.col("first_confirmed_on").is_not_null())
            .then(1)
            .when(pl.col("cleared").is_not_null())
            .then(0)
            .cast(pl.Int8)
        )
        .select("household_id", "label", "first_confirmed_on")
        .sort("household_id")
    )
