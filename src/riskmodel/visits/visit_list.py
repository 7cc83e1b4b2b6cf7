"""The visit list of one cycle as data: its columns, its hash, and what a reader is shown about it as a
whole."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from riskmodel.settings import ScreeningSettings
from riskmodel.visits.row_parts import RowParts
from riskmodel.vocabulary import GRADES

if TYPE_CHECKING:
    import pandas as pd

# Why a household is on the list; kept in the casebook, never shown to the visitor (leads are shown in words).
# `standby`: met by a department rule only, on the list beyond the capacity.
LISTED_AS: Final = ("lead", "carried", "model", "random_check", "standby")

# Columns of VisitList.frame, in order.
COLUMNS: Final[dict[str, Any]] = {
    "cycle": pl.String,
    "as_of": pl.Date,
    "number": pl.Int64,
    "household_id": pl.String,
    "township_code": pl.String,
    "village_code": pl.String,
    "team": pl.String,
    "grade": pl.String,
    "grade_reasons_zh": pl.String,
    "grade_reasons_en": pl.String,
    "probability": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "margin": pl.Float64,
    "rank": pl.Int64,
    "risk_kinds": pl.String,
    "reasons_zh": pl.String,
    "reasons_en": pl.String,
    "notes_zh": pl.String,
    "notes_en": pl.String,
    "check_zh": pl.String,
    "check_en": pl.String,
    "leads_zh": pl.String,
    "leads_en": pl.String,
    "lead_kinds": pl.String,
    "last_visit": pl.Date,
    "last_outcome": pl.String,
    "listed_as": pl.String,
    "times_carried": pl.Int64,
    "stratum": pl.String,
    "inclusion_probability": pl.Float64,
    "horizon_months": pl.Int64,
    "model_version": pl.String,
}


@dataclass(frozen=True)
class VisitList:
    """The list of one cycle. Polars inside; `frame` is pandas.

    rows: COLUMNS, one row a household on the list, in order of priority: leads, carried over, model, random
    checks; last, beyond the capacity, `standby`: households that only a department rule points to. `number`
    is the place in the route (township, village, urgency), by which files for visitors are sorted and which
    gives nothing away. inclusion_probability: chance with which the household came on the list: 1 but for
    random checks. monitored: monitored households with open leads (kept apart). left_out: who would have come
    but did not, and why. strata: random checks by stratum: households, drawn, inclusion_probability.
    drawn_from: everybody who could be drawn: household_id, probability, stratum, inclusion_probability,
    drawn; together with the list the population of every estimate. rules: department rules met, and since
    when, of everybody scored (the next list needs it). notes: what a reader must know, in zh and en. grades:
    grade and its reasons of everybody who was scored or has a lead, listed or not: household_id, grade,
    grade_reasons_zh, grade_reasons_en. not_listed: everybody else of the county and why (columns of
    `not_listed.SCHEMA`). guide: what to verify for each risk kind, and which measures belong to it once
    confirmed. data_dates: until when each table is known. parts: household_id -> the reasons of its row in
    parts, as far as they are known.
    """

    cycle: str
    as_of: dt.date
    county_code: str
    capacity: int
    settings: ScreeningSettings
    rows: pl.DataFrame
    monitored: pl.DataFrame
    left_out: pl.DataFrame
    strata: pl.DataFrame
    drawn_from: pl.DataFrame
    rules: pl.DataFrame
    notes: tuple[tuple[str, str], ...]
    model_version: str
    guide: tuple[tuple[str, ...], ...] = ()
    data_dates: Mapping[str, dt.date] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    grades: pl.DataFrame = field(default_factory=pl.DataFrame)
    not_listed: pl.DataFrame = field(default_factory=pl.DataFrame)
    parts: Mapping[str, RowParts] = field(default_factory=dict)

    @property
    def frame(self) -> pd.DataFrame:
        """The list as pandas, in order of priority. It has `listed_as` and inclusion probabilities: for
        analysts, not for visitors."""
        return self.rows.to_pandas()

    @property
    def route(self) -> pl.DataFrame:
        """The visits of this cycle in route order: township, village, urgency."""
        return self.rows.filter(pl.col("listed_as") != "standby").sort("number")

    @property
    def standby(self) -> pl.DataFrame:
        """Who is on the list beyond the capacity, in route order."""
        return self.rows.filter(pl.col("listed_as") == "standby").sort("number")

    @cached_property
    def hash(self) -> str:
        """SHA-256 over every value of the list, whatever the machine: the list's name in the casebook."""
        digest = hashlib.sha256()
        head = [
            self.cycle,
            self.as_of.isoformat(),
            self.county_code,
            str(self.capacity),
            self.model_version,
            self.settings.model_dump_json(exclude={"timezone"}),
        ]
        digest.update("\x1f".join(head).encode())
        for row in self.rows.sort("household_id").iter_rows():
            digest.update(
                "\x1f".join(value.hex() if isinstance(value, float) else str(value) for value in row).encode()
                + b"\x1e"
            )
        return digest.hexdigest()

    def __len__(self) -> int:
        """Visits of this cycle; households on standby are not counted."""
        return self.rows.height - self.counts.get("standby", 0)

    def summary(self) -> str:
        """What is on the list and what was left out, in English, one line each."""
        counts = self.counts
        lines = [
            (
                f"Visit list {self.cycle} of county {self.county_code}, as of {self.as_of.isoformat()}: "
                f"{len(self)} households, capacity {self.capacity}"
            ),
            (
                f"  leads that must be seen {counts['lead']}, carried over {counts['carried']}, model's "
                f"order {counts['model']}, random checks {counts['random_check']}; on standby "
                f"{counts['standby']}"
            ),
            "  grades: " + ", ".join(f"{grade} {counts['grade_' + grade]}" for grade in GRADES),
        ]
        lines += [f"  {en}" for _, en in self.notes]
        return "\n".join(lines)


def cycle_of(as_of: dt.date, length: str) -> str:
    """Name of the cycle whose visits begin the day after the as-of date: 2026-W05, 2026-01 or 2026-Q1."""
    as_of += dt.timedelta(days=1)
    if length == "week":
        year, week, _ = as_of.isocalendar()
        return f"{year}-W{week:02d}"
    if length == "quarter":
        return f"{as_of.year}-Q{(as_of.month + 2) // 3}"
    return f"{as_of.year}-{as_of.month:02d}"


def cycle_length(length: str) -> dt.timedelta:
    """The longest that a cycle lasts."""
    return dt.timedelta(days={"week": 7, "month": 31, "quarter": 92}[length])
