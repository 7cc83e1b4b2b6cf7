"""Why a household is not on a list: one answer for everybody in the register, in words and with its days."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from riskmodel.settings import RecentVisits
from riskmodel.visits.forms import OUTCOMES

# In the order in which they are looked at; the first that fits is the answer.
CODES: Final = ("gone", "monitored", "recent", "fallen", "waiting", "not_scored")

SCHEMA: Final[dict[str, Any]] = {
    "household_id": pl.String,
    "village_code": pl.String,
    "reason": pl.String,
    "since": pl.Date,
    "until": pl.Date,
    "last_visit": pl.Date,
    "last_outcome": pl.String,
}


def quiet_days(rules: RecentVisits) -> pl.Expr:
    """Days for which a household is left in peace after its last visit: a sweep has its own number. Reads
    last_origin."""
    return pl.when(pl.col("last_origin") == "sweep").then(rules.sweep_days).otherwise(rules.days)


def not_listed(
    now: pl.DataFrame, everybody: pl.DataFrame, rows: pl.DataFrame, fallen: pl.DataFrame, rules: RecentVisits
) -> pl.DataFrame:
    """Everybody of the county who is not on the list, and why: SCHEMA, sorted by household_id.

    now: what `standing` returns, of this county. everybody: household_id and fate of who was scored or has a
    lead. rows: the list. fallen: households that were on the last list and are not carried over any longer.
    since: first day of monitoring, or day of the visit; until: the first day on which a household that was
    visited can be listed without anything new.
    """
    still = quiet_days(rules)
    frame = (
        now.join(rows.select("household_id"), on="household_id", how="anti")
        .join(everybody.select("household_id", "fate"), on="household_id", how="left")
        .join(fallen.select("household_id", fell=pl.lit(True)), on="household_id", how="left")
        .with_columns(
            reason=pl.when(pl.col("people") == 0)
            .then(pl.lit("gone"))
            .when("monitored")
            .then(pl.lit("monitored"))
            .when(pl.col("fate").is_null())
            .then(pl.lit("not_scored"))
            .when(pl.col("fate") == "recent")
            .then(pl.lit("recent"))
            .when(pl.col("fell").fill_null(False))
            .then(pl.lit("fallen"))
            .otherwise(pl.lit("waiting"))
        )
    )
    recent = pl.col("reason") == "recent"
    frame = frame.with_columns(
        since=pl.when(pl.col("reason") == "monitored")
        .then("monitored_since")
        .when(recent)
        .then("last_visit"),
        until=pl.when(recent).then(pl.col("last_visit") + pl.duration(days=still)),
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()).sort("household_id")


@dataclass(frozen=True)
class NotListed:
    """Why one household is not on the list of a cycle. code: one of CODES; since, until: see `not_listed`."""

    code: str
    since: dt.date | None = None
    until: dt.date | None = None
    last_outcome: str | None = None

    def words(self, *, rank: int | None, capacity: int) -> tuple[str, str]:
        """In zh and en. rank: place in the model's order, None if not scored. capacity: visits of the
        list."""
        found = OUTCOMES.get(self.last_outcome or "", ("", ""))
        place_zh = f"评分排名第{rank}，" if rank else ""
        place_en = f"rank {rank}; " if rank else ""
        texts = {
            "gone": (
                "去世、迁出或无在册成员，不在筛查范围",
                "died, moved away, or no member in force: not in the cohort",
            ),
            "monitored": (
                f"{self.since}起为监测对象，由监测程序跟踪，不在筛查范围",
                f"monitored since {self.since}: followed by the procedure, not in the cohort",
            ),
            "recent": (
                f"{self.since}已走访（{found[0]}），{self.until}前无新情况不再上门",
                (
                    f"visited on {self.since} ({found[1]}); left in peace until {self.until} unless "
                    "something new is known"
                ),
            ),
            "fallen": (
                f"{place_zh}结转到期或排位已下降",
                f"{place_en}carried over long enough, or its score has fallen",
            ),
            "waiting": (
                f"{place_zh}超出本期走访能力（{capacity}户）；有线索时随时列入",
                f"{place_en}beyond the capacity of {capacity} visits; a lead lists it at any time",
            ),
            "not_scored": (
                "截止日未评分，也没有待核实线索",
                "not scored on that day, and no open lead",
            ),
        }
        return texts[self.code]
