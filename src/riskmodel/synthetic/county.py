"""The door: a county in memory, or as a folder of Parquet with the truth beside it."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from riskmodel.synthetic import life, run
from riskmodel.synthetic.people import Calendar, make_people
from riskmodel.synthetic.records import Departments
from riskmodel.tables import Tables, from_frames
from riskmodel.tables.county import dtype_of
from riskmodel.tables.schema import TABLES

HORIZON = 12
Truth = pl.DataFrame
Progress = Callable[[str], None]


def synthetic_county(
    households: int, years: int, end: dt.date, seed: int, progress: Progress | None = None
) -> tuple[Tables, pl.DataFrame]:
    """A county of `households` over `years` years up to `end`, and the truth about it."""
    frames, truth, _ = _make(households, years, end, seed, progress)
    return from_frames(frames), truth


def synthesise(
    folder: str | os.PathLike[str], *, households: int, years: int, end: dt.date, seed: int, progress: Progress | None = None
) -> None:
    """Write every table of the contract to `folder` as Parquet, and the truth to the sibling `<folder>_truth`."""
    target = Path(folder)
    beside = target.with_name(target.name + "_truth")
    frames, truth, summary = _make(households, years, end, seed, progress)
    target.mkdir(parents=True, exist_ok=True)
    beside.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.write_parquet(target / f"{name}.parquet")
    truth.write_parquet(beside / "truth.parquet")
    (beside / "README.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _make(
    households: int, years: int, end: dt.date, seed: int, progress: Progress | None
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame, dict[str, Any]]:
    say = progress or (lambda text: None)
    calendar = Calendar.of(years, end)
    say("people")
    areas, people = make_people(households, calendar, seed, np.random.default_rng([seed, 1]))
    moy = calendar.month_of_year
    snaps = np.array([m for m in range(calendar.begin + 12, calendar.last + 2) if moy[m] % 3 == 0], dtype=np.int64)
    say("their lives")
    lived = run.live(areas, people, calendar, seed, snaps)
    say("what the departments wrote down")
    frames = {name: _typed(name, frame) for name, frame in Departments(lived, seed).tables().items()}
    say("the truth")
    truth, summary = _truth(lived, seed)
    return frames, truth, summary


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        pl.col(column.name).cast(dtype_of(column)) for column in TABLES[name].columns if column.name in frame.columns
    )


def _truth(lived: run.Lived, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    probability = run.true_probability(lived, seed)
    kind, month = lived.events[:, life.E_KIND].astype(int), lived.events[:, life.E_MONTH].astype(int)
    of = lived.events[:, life.E_HOUSEHOLD].astype(int)
    parts = []
    for k, start in enumerate(lived.snapshot_months):
        outcome = np.zeros(len(probability[k]), np.int8)
        outcome[of[(kind == life.FOUND) & (month >= start) & (month < start + HORIZON)]] = 1
        known = ~np.isnan(probability[k])
        parts.append(
            pl.DataFrame(
                {
                    "household_id": pl.Series(lived.people.household_id[known].tolist(), dtype=pl.String),
                    "as_of": pl.Series([lived.calendar.month_starts[start].astype(object)] * int(known.sum()), dtype=pl.Date),
                    "true_probability_12m": probability[k][known],
                    "outcome_12m": outcome[known],
                }
            )
        )
    truth = pl.concat(parts).sort("as_of", "household_id")
    p, o = truth["true_probability_12m"].to_numpy(), truth["outcome_12m"].to_numpy()
    return truth, {"true_auc_12m": round(auc(p, o), 4), "base_rate_12m": round(float(o.mean()), 5), "rows": truth.height}


def auc(score: np.ndarray[Any, Any], outcome: np.ndarray[Any, Any]) -> float:
    """Area under the ROC curve, ties counted half."""
    rank = pl.Series(score).rank("average").to_numpy()
    positive = outcome > 0
    ones, zeros = int(positive.sum()), int((~positive).sum())
    return float((rank[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros)) if ones and zeros else float("nan")
