"""A county small enough to work its list out by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import polars as pl
import pytest

from riskmodel.tables import Tables, from_frames
from tests.serving.conftest import screened_county  # noqa: F401  (a fixture)

AS_OF = dt.date(2025, 12, 31)
START = dt.date(2022, 1, 1)


def place_of(number: int) -> tuple[str, str]:
    """Township and village of household h<number>: four townships, three villages each."""
    township = f"52230110{1 + number % 4}"
    return township, f"{township}{201 + number // 4 % 3}"


@pytest.fixture
def small_county(make_county: Callable[..., Tables]) -> Callable[..., Tables]:
    """`small_county(40, leads=[{…}], …)`: households h000 to h039 with one member each, and the rows that a
    test adds.
    """
    return make_county


@pytest.fixture(scope="session")
def make_county() -> Callable[..., Tables]:
    """The same for fixtures of a module."""

    def make(households: int, **rows: Sequence[Mapping[str, Any]]) -> Tables:
        numbers = range(households)
        frames: dict[str, pl.DataFrame] = {
            "households": pl.DataFrame(
                {
                    "household_id": [f"h{number:03d}" for number in numbers],
                    "known_on": [START] * households,
                    "county_code": ["522301"] * households,
                    "township_code": [place_of(number)[0] for number in numbers],
                    "village_code": [place_of(number)[1] for number in numbers],
                    "category": ["general"] * households,
                    "relocated": [False] * households,
                }
            ),
            "members": pl.DataFrame(
                {
                    "member_id": [f"m{number:03d}" for number in numbers],
                    "known_on": [START] * households,
                    "household_id": [f"h{number:03d}" for number in numbers],
                    "birth_date": [dt.date(1970, 1, 1)] * households,
                    "sex": ["male"] * households,
                    "relation": ["head"] * households,
                    "education": ["primary"] * households,
                    "schooling": ["none"] * households,
                    "chronic_ill": [False] * households,
                    "seriously_ill": [False] * households,
                    "labour": ["ordinary"] * households,
                    "medical_insured": [True] * households,
                    "pension_insured": [True] * households,
                    "dibao": [False] * households,
                    "tekun": [False] * households,
                    "left_on": pl.Series([None] * households, dtype=pl.Date),
                }
            ),
        }
        members = rows.pop("members", ())
        for name, given in rows.items():
            frames[name] = pl.DataFrame(_dated(name, given))
        for change in members:
            frames["members"] = frames["members"].with_columns(
                pl.when(pl.col("household_id") == change["household_id"])
                .then(pl.lit(value))
                .otherwise(pl.col(key))
                .alias(key)
                for key, value in change.items()
                if key != "household_id"
            )
        frames.setdefault(
            "verifications",
            pl.DataFrame(
                schema={
                    "event_id": pl.String,
                    "household_id": pl.String,
                    "occurred_on": pl.Date,
                    "known_on": pl.Date,
                    "origin": pl.String,
                    "outcome": pl.String,
                }
            ),
        )
        return from_frames(frames)

    return make


def _dated(name: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give every row an event_id and a known_on where a test does not care."""
    full = []
    for place, row in enumerate(rows):
        row = dict(row)
        for key in ("occurred_on", "known_on", "left_on"):
            if isinstance(row.get(key), str):
                row[key] = dt.date.fromisoformat(row[key])
        if name not in ("guarantees", "households"):
            row.setdefault("event_id", f"{name}{place:03d}")
            row.setdefault("known_on", row["occurred_on"])
        full.append(row)
    return full


@pytest.fixture(scope="session")
def scores_of() -> Callable[..., pd.DataFrame]:
    """`scores_of({"h001": 2.0, …})`: a frame as the scoring hands it over, margins as given, in the order of
    the margins.
    """

    def make(
        margins: Mapping[str, float], as_of: dt.date = AS_OF, **columns: Mapping[str, Any]
    ) -> pd.DataFrame:
        frame = pd.DataFrame({"household_id": list(margins), "margin": list(margins.values())})
        frame["as_of"] = as_of
        frame["horizon_months"] = 12
        frame["probability"] = 1 / (1 + 2.718281828 ** (3 - frame["margin"]))
        frame["low"], frame["high"] = frame["probability"] * 0.8, (frame["probability"] * 1.2).clip(upper=1)
        frame["risk_kinds"] = "illness;labour"
        frame["reasons_zh"] = "近12个月自付医疗费23,400元，占家庭收入的61%\n家中仅1名劳动力，供养4人"
        frame["reasons_en"] = (
            "Self-paid medical cost of 23,400 yuan in 12 months, 61% of income\nOne person works for four"
        )
        frame["model_version"] = "ab12cd34"
        for name, values in columns.items():
            frame[name] = [values.get(household) for household in frame["household_id"]]
        return frame.sort_values("margin", ascending=False, kind="stable").reset_index(drop=True)

    return make


@pytest.fixture
def falling(make_falling: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """`falling(40)`: h000 has the highest score, h039 the lowest."""
    return make_falling


@pytest.fixture(scope="session")
def make_falling(scores_of: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """The same for fixtures of a module."""

    def make(households: int, **columns: Mapping[str, Any]) -> pd.DataFrame:
        return scores_of({f"h{number:03d}": 3.0 - 0.1 * number for number in range(households)}, **columns)

    return make
