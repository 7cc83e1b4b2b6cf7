"""Who is scored: the cohort at an as-of date, and the groups in which misses are counted."""

from __future__ import annotations

import datetime as dt
from typing import Final

import polars as pl

from riskmodel.tables import Tables

# A household counts as elderly-only from this age of its youngest member; an audit group, not a legal class.
ELDERLY_AGE: Final = 60
# Remote is the quarter of the cohort that lives farthest from its village road.
REMOTE_SHARE: Final = 0.75

DECISIVE: Final = ("risk_confirmed", "risk_eliminated")
GROUP_COLUMNS: Final = (
    "ethnic_minority",
    "female_head",
    "elderly_only",
    "disability",
    "remote",
    "relocated",
    "category",
)


def known_of(tables: Tables, as_of: dt.date, *names: str) -> Tables:
    """`Tables.known_by` of these tables alone: a cohort needs few of them, and is asked for often."""
    return Tables({name: tables[name] for name in names if name in tables}).known_by(as_of)


def cohort(tables: Tables, as_of: dt.date) -> pl.DataFrame:
    """Households in force on the day, with at least one member in force, that are not monitored then.

    Uses only rows known on the day. One row a household, sorted by household_id: household_id, county_code,
    township_code, village_code, category, relocated, distance_km. A missing distance stays missing.
    """
    known = known_of(tables, as_of, "households", "members")
    peopled = known.get("members").select("household_id").unique()
    return (
        known.get("households")
        .join(peopled, on="household_id", how="semi")
        .join(monitored(tables, as_of), on="household_id", how="anti")
        .select(
            "household_id",
            "county_code",
            "township_code",
            "village_code",
            "category",
            "relocated",
            "distance_km",
        )
        .sort("household_id")
    )


def monitored(tables: Tables, as_of: dt.date) -> pl.DataFrame:
    """Households (one column, household_id) whose newest decisive verification known on the day confirms the
    risk.

    Newest by occurred_on, then known_on; on a tie the confirmation wins.
    """
    return (
        known_of(tables, as_of, "verifications")
        .get("verifications")
        .filter(pl.col("outcome").cast(pl.String).is_in(DECISIVE))
        .with_columns(confirms=pl.col("outcome").cast(pl.String) == "risk_confirmed")
        .sort("household_id", "occurred_on", "known_on", "confirms")
        .group_by("household_id", maintain_order=True)
        .agg(pl.col("confirms").last())
        .filter("confirms")
        .select("household_id")
    )


def audit_groups(tables: Tables, as_of: dt.date) -> pl.DataFrame:
    """The groups of each cohort household, for the fairness audit only; never a predictor.

    One row a household of the cohort, sorted by household_id: household_id, category (text), relocated,
    ethnic_minority (any member), female_head, elderly_only (nobody under 60), disability (anybody certified),
    remote (the farthest quarter from the village road), all boolean. Null means not known.
    """
    known = known_of(tables, as_of, "members", "disability")
    people = known.get("members")
    born_before = pl.lit(as_of).dt.offset_by(f"-{ELDERLY_AGE}y")
    households = people.group_by("household_id").agg(
        ethnic_minority=pl.col("ethnic_minority").any(ignore_nulls=False),
        female_head=(pl.col("sex").cast(pl.String) == "female")
        .filter(pl.col("relation").cast(pl.String) == "head")
        .first(),
        elderly_only=(pl.col("birth_date") <= born_before).all(),
    )
    if "disability" in tables:
        certified = known.get("disability").select("member_id").unique()
        disabled = (
            people.join(certified, on="member_id", how="semi")
            .select("household_id", disability=pl.lit(True))
            .unique()
        )
        households = households.join(disabled, on="household_id", how="left").with_columns(
            pl.col("disability").fill_null(False)
        )
    else:
        households = households.with_columns(disability=pl.lit(None, pl.Boolean))
    far = pl.col("distance_km").quantile(REMOTE_SHARE)
    return (
        cohort(tables, as_of)
        .with_columns(remote=pl.col("distance_km") > far, category=pl.col("category").cast(pl.String))
        .join(households, on="household_id", how="left")
        .select("household_id", *GROUP_COLUMNS)
        .sort("household_id")
    )
