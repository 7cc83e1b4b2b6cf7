"""No look into the future: the hunt finds nothing in our features, and finds each of five leaks that are
planted.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from riskmodel.features import FeatureMatrix, build
from riskmodel.features.leaks import leaks

DAYS = (dt.date(2024, 3, 10), dt.date(2025, 1, 31))


@pytest.fixture(scope="module")
def some_households(county):
    return county.of_households(county["households"]["household_id"].unique().sort()[:250].to_list())


@pytest.mark.parametrize("seed", range(3))
def test_nothing_known_later_changes_a_feature(some_households, catalogue, policy, seed):
    report = leaks(some_households, DAYS, catalogue=catalogue, policy=policy, seed=seed)
    assert report.ok, report.text()
    assert report.households > 400
    assert "No leak" in report.text()


def a_late_bill(tables, as_of):
    """Self-paid cost by the day it happened, whenever it became known."""
    people = (
        tables["members"]
        .select("member_id", "household_id")
        .unique("member_id", keep="first", maintain_order=True)
    )
    bills = tables["medical"].filter(pl.col("occurred_on") <= as_of).join(people, on="member_id")
    return bills.group_by("household_id").agg(value=pl.col("self_paid").sum())


def an_assistance_flag(tables, as_of):
    """Has the household any measure at all?"""
    return tables["assistance"].group_by("household_id").agg(value=pl.len().cast(pl.Float64))


def a_visit_count(tables, as_of):
    """Visits by the day of the visit: the visit that confirms the risk is among them."""
    visits = tables["verifications"].filter(pl.col("occurred_on") <= as_of)
    return visits.group_by("household_id").agg(value=pl.len().cast(pl.Float64))


def row_order(tables, as_of):
    """Where the household's first row stands in the table: rows are written when something happens."""
    placed = tables["verifications"].sort("event_id").with_row_index("place")
    return placed.group_by("household_id").agg(value=pl.col("place").min().cast(pl.Float64))


def a_missingness_code(tables, as_of):
    """Unknown where the newest version of the household, whenever known, has no grade of the house."""
    newest = tables["households"].sort("known_on").group_by("household_id").last()
    return newest.select("household_id", value=pl.when(pl.col("safe_water")).then(1.0))


def a_late_leaving(tables, as_of):
    """Members who left by the day, whenever that became known."""
    left = tables["members"].filter(pl.col("left_on") <= as_of)
    return left.group_by("household_id").agg(value=pl.col("member_id").n_unique().cast(pl.Float64))


@pytest.mark.parametrize(
    "planted", [a_late_bill, an_assistance_flag, a_visit_count, row_order, a_missingness_code, a_late_leaving]
)
def test_a_planted_leak_is_caught(some_households, catalogue, policy, planted):
    def builder(tables, as_of):
        honest = build(tables, as_of, catalogue=catalogue, policy=policy)
        ids = pl.DataFrame({"household_id": list(honest.household_id)}, schema={"household_id": pl.String})
        value = ids.join(planted(tables, as_of), on="household_id", how="left", maintain_order="left")[
            "value"
        ]
        column = value.cast(pl.Float64).fill_null(float("nan")).to_numpy()[:, None]
        values = np.ascontiguousarray(np.hstack([honest.values, column]))
        return FeatureMatrix(
            as_of, honest.household_id, honest.village_code, (*honest.names, "planted"), values
        )

    report = leaks(some_households, DAYS[:1], catalogue=catalogue, policy=policy, builder=builder)
    assert not report.ok
    assert {leak.feature for leak in report.leaks} == {"planted"}
    assert "planted" in report.text() and "2024-03-10" in report.text()
