"""The leak hunt: build features as of a day, alter everything that became known later, build them again.
Every bit must be the same.

Four hands are laid on the tables: later rows are taken away; later rows are put in (late bills that happened
before the day, corrections of old rows, new versions, visits that confirm a risk, measures that answer it,
dibao newly granted); later rows are altered; all rows are shuffled. A feature that looks past the day, or at
the order of a file, comes out differently.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from riskmodel.features.building import build
from riskmodel.features.catalogue import Catalogue
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.policy import Policy
from riskmodel.tables import Tables, from_frames
from riskmodel.tables.schema import TABLES

Builder = Callable[[Tables, dt.date], FeatureMatrix]
HANDS: Final = {
    "removed": "rows known later were taken away",
    "added": "rows known later were put in",
    "altered": "rows known later were altered",
    "shuffled": "all rows were shuffled",
}


@dataclass(frozen=True)
class Leak:
    """A feature that changed though nothing known on the day did."""

    feature: str
    as_of: dt.date
    hand: str
    households: int
    example: str

    def __str__(self) -> str:
        return (
            f"`{self.feature}` as of {self.as_of} changed for {self.households:,} households (first "
            f"{self.example}) when {HANDS[self.hand]}."
        )


@dataclass(frozen=True)
class LeakReport:
    """What the hunt found. households: how many feature rows were compared, over all days."""

    as_of: tuple[dt.date, ...]
    households: int
    features: int
    leaks: tuple[Leak, ...]

    @property
    def ok(self) -> bool:
        """Whether no value changed."""
        return not self.leaks

    def text(self) -> str:
        """For a terminal: one line a leak; without leaks, one line with what was compared."""
        days = ", ".join(str(day) for day in self.as_of)
        if self.ok:
            return (
                f"No leak: {self.features} features of {self.households:,} household rows as of {days} "
                "stayed the same, bit by bit, with later rows removed, added, altered and all rows shuffled."
            )
        return "\n".join(str(leak) for leak in self.leaks)


def leaks(
    tables: Tables,
    as_of: Sequence[dt.date],
    *,
    catalogue: Catalogue,
    policy: Policy,
    seed: int = 1,
    builder: Builder | None = None,
) -> LeakReport:
    """Hunt for features that look past the as-of date, on these tables and days.

    builder: what makes the features (by default `build` with this catalogue and policy). Choose days that
    leave at least some months of later rows. Compares values bit by bit, NaN included, and that the same
    households come out.
    """
    make = builder or (lambda these, day: build(these, day, catalogue=catalogue, policy=policy))
    found: list[Leak] = []
    rows = columns = 0
    for day in as_of:
        right = make(tables, day)
        rows, columns = rows + len(right), len(right.names)
        for hand, altered in _hands(tables, day, seed).items():
            found += _differences(right, make(altered, day), day, hand)
    return LeakReport(tuple(as_of), rows, columns, tuple(found))


def _differences(right: FeatureMatrix, other: FeatureMatrix, day: dt.date, hand: str) -> list[Leak]:
    if list(right.household_id) != list(other.household_id):
        apart = sorted(set(right.household_id) ^ set(other.household_id)) or list(right.household_id[:1])
        return [
            Leak(
                feature="the households themselves",
                as_of=day,
                hand=hand,
                households=len(apart),
                example=str(apart[0]),
            )
        ]
    differs = right.values.view(np.uint64) != other.values.view(np.uint64)
    differs &= ~(np.isnan(right.values) & np.isnan(other.values))
    return [
        Leak(
            feature=name,
            as_of=day,
            hand=hand,
            households=int(differs[:, place].sum()),
            example=str(right.household_id[differs[:, place].argmax()]),
        )
        for place, name in enumerate(right.names)
        if differs[:, place].any()
    ]


def _hands(tables: Tables, day: dt.date, seed: int) -> dict[str, Tables]:
    random = np.random.default_rng(seed)
    frames = {name: frame.drop("replaced_on", strict=False) for name, frame in tables.frames.items()}
    dated = {name: frame for name, frame in frames.items() if "known_on" in frame.columns}
    early = {name: frame.filter(pl.col("known_on") <= day) for name, frame in dated.items()}
    late = {name: frame.filter(pl.col("known_on") > day) for name, frame in dated.items()}
    rest = {name: frame for name, frame in frames.items() if name not in dated}
    added = {
        name: _with(name, frame, _later(name, early[name], day, random)) for name, frame in dated.items()
    }
    altered = {name: pl.concat([early[name], _altered(name, late[name], random)]) for name in dated}
    shuffled = {name: frame.sample(fraction=1.0, shuffle=True, seed=seed) for name, frame in frames.items()}
    return {
        "removed": from_frames({**rest, **early}),
        "added": from_frames({**rest, **added}),
        "altered": from_frames({**rest, **altered}),
        "shuffled": from_frames(shuffled),
    }


_WORSE: Final[Mapping[str, Mapping[str, object]]] = {
    "households": {"safe_water": False, "housing_grade": "D"},
    "members": {"dibao": True, "seriously_ill": True, "labour": "none", "medical_insured": False},
    "guarantees": {"housing_ok": False, "schooling_ok": False},
    "employment": {"employed": False},
    "verifications": {"outcome": "risk_confirmed", "origin": "sweep"},
    "assistance": {"measure": "safety_net"},
    "leads": {"channel": "self_declared"},
}


def _later(name: str, early: pl.DataFrame, day: dt.date, random: np.random.Generator) -> pl.DataFrame:
    """Rows that become known after the day about things of before: half as new rows, half as corrections;
    every state gets a new version.
    """
    table = TABLES[name]
    if not early.height:
        return early
    worse = early.with_columns(
        *(
            pl.lit(value).cast(early.schema[column]).alias(column)
            for column, value in _WORSE.get(name, {}).items()
        ),
        *(
            (pl.col(column.name) * 3 + 1000).alias(column.name)
            for column in table.columns
            if column.kind == "money"
        ),
        pl.Series(
            "known_on", [day + dt.timedelta(int(days)) for days in random.integers(1, 200, early.height)]
        ),
    )
    if name == "members":  # who left before the day, and nobody knew
        gone = pl.Series(random.random(worse.height) < 0.5)
        worse = worse.with_columns(left_on=pl.when(gone).then(pl.lit(day)).otherwise(pl.col("left_on")))
    if table.form == "state":
        return worse.sort("known_on").unique(subset=[table.key], keep="first", maintain_order=True)
    new = worse.with_columns(pl.col(table.key) + "-late")
    if name not in ("shocks", "assistance"):
        new = new.with_columns(occurred_on=pl.min_horizontal("occurred_on", pl.lit(day)))
    corrections = worse.unique(subset=[table.key], keep="first", maintain_order=True)
    half = pl.Series(random.random(corrections.height) < 0.5)
    return pl.concat([new, corrections.filter(half)]).unique(
        subset=[table.key, "known_on"], keep="first", maintain_order=True
    )


def _with(name: str, frame: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """Both, but only one row a key and known_on: rows that are there stay."""
    return pl.concat([frame, more.join(frame, on=[TABLES[name].key, "known_on"], how="anti")])


def _altered(name: str, late: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """Later rows with other content: amounts changed, and the values of each column permuted among the
    rows."""
    table = TABLES[name]
    if not late.height:
        return late
    keys = {table.key, "known_on", "household_id", "member_id", "occurred_on"}
    keys |= {"county_code", "township_code", "village_code", "birth_date", "area_code"}
    dealt = [
        pl.col(column.name).gather(random.permutation(late.height))
        for column in table.columns
        if column.name not in keys
    ]
    late = late.with_columns(dealt)
    return late.with_columns(
        (pl.col(column.name) * 2 + 7).alias(column.name) for column in table.columns if column.kind == "money"
    )
