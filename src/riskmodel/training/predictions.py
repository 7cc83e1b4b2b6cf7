"""Frames of predictions: what they hold, how they are checked and sorted, and who is on a list of a given
capacity.

A frame of predictions holds one row a household and as-of date, for the **whole cohort** of each date:

================= =========
===================================================================================== household_id text the
household
village_code       text       12 digits; the cluster of the bootstrap
as_of              date       the day of the list; every as-of date is one list
margin             number     the order of the list, riskiest highest; never missing
probability        number     calibrated; missing for the whole frame when a model has none
label              1, 0, –    confirmed within the horizon, verified without risk, or unlabelled (missing)
================= =========
=====================================================================================

**Unlabelled households** (nobody looked, or not decisively) stay on the list: ranks and cuts are those of the
whole cohort, because the visitor goes to them too. They are never counted as 0. Precision is the share of
confirmed among the *labelled* households on the list; recall is the share of all *known* confirmed that are
on it. Neither covers households that nobody verified. The bounds beside them show how far that could move
them: every unlabelled household confirmed, or none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.training.resampling import Floats

if TYPE_CHECKING:
    import pandas as pd

    Frame = pl.DataFrame | pd.DataFrame


def capacity_name(capacity: float) -> str:
    """`600` for a number of visits a list, `1%` for a share of the cohort. Raises DataError for anything
    else.
    """
    whole = isinstance(capacity, (int, np.integer)) and not isinstance(capacity, (bool, np.bool_))
    if whole and capacity >= 1:
        return str(int(capacity))
    if isinstance(capacity, (float, np.floating)) and 0 < capacity <= 1:
        return f"{100 * capacity:.4g}%"
    raise DataError(
        Fault(
            "capacities",
            repr(capacity),
            "a whole number of visits a list, or a share above 0 and up to 1.0",
            "Write 600 for 600 visits, 0.01 for one household in a hundred.",
        )
    )


@dataclass(frozen=True)
class PreparedPredictions:
    """Predictions as sorted arrays: by date, then best margin first, then household_id.

    label is 1, 0 or -1 (unlabelled); probability is NaN throughout when the model has none.
    """

    frame: pl.DataFrame
    as_of: tuple[dt.date, ...]
    starts: npt.NDArray[np.int64]
    villages: tuple[str, ...]
    village: npt.NDArray[np.int32]
    label: npt.NDArray[np.int8]
    probability: Floats
    ends_tie: npt.NDArray[np.bool_]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Households of each date."""
        return np.diff(self.starts)


def prepare_predictions(predictions: Frame, *, name: str = "predictions") -> PreparedPredictions:
    """Check and sort a frame of predictions (see the module). Raises DataError with every fault at once."""
    frame = pl.from_pandas(predictions) if not isinstance(predictions, pl.DataFrame) else predictions
    missing = [
        column
        for column in ("household_id", "village_code", "as_of", "margin", "label")
        if column not in frame.columns
    ]
    if missing:
        raise DataError(
            Fault(
                name,
                f"no column {', '.join(missing)}",
                "the columns of a frame of predictions",
                "Add it; see docs/evaluation.md.",
            )
        )
    if "probability" not in frame.columns:
        frame = frame.with_columns(probability=pl.lit(None, pl.Float64))
    frame = _typed(frame, name)
    refuse(_faults(frame, name))
    frame = frame.sort(["as_of", "margin", "household_id"], descending=[False, True, False])
    new_date = frame["as_of"].ne_missing(frame["as_of"].shift(1)).to_numpy()
    starts = np.append(np.flatnonzero(new_date), frame.height).astype(np.int64)
    margin = frame["margin"].to_numpy()
    ends_tie = np.ones(frame.height, dtype=np.bool_)
    ends_tie[:-1] = (margin[1:] != margin[:-1]) | new_date[1:]
    villages = tuple(sorted(frame["village_code"].unique()))
    return PreparedPredictions(
        frame=frame,
        as_of=tuple(frame["as_of"].to_numpy()[starts[:-1]].astype("datetime64[D]").tolist()),
        starts=starts,
        villages=villages,
        village=np.searchsorted(np.array(villages), frame["village_code"].to_numpy().astype(str)).astype(
            np.int32
        ),
        label=frame["label"].fill_null(-1).cast(pl.Int8).to_numpy(),
        probability=frame["probability"].fill_null(float("nan")).to_numpy(),
        ends_tie=ends_tie,
    )


def _typed(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Every column in its type; NaN is missing. Raises DataError with one fault a column that cannot be
    read."""
    types: dict[str, type[pl.DataType]] = {
        "household_id": pl.String,
        "village_code": pl.String,
        "as_of": pl.Date,
        "margin": pl.Float64,
        "probability": pl.Float64,
        "label": pl.Float64,
    }
    read, faults = {}, []
    for column, dtype in types.items():
        try:
            read[column] = frame[column].cast(dtype)
        except pl.exceptions.PolarsError:
            faults.append(
                Fault(f"{name}.{column}", f"type {frame[column].dtype}", str(dtype()), "Convert the column.")
            )
    refuse(faults)
    numbers = [read[column].fill_nan(None) for column in ("probability", "label")]
    return frame.with_columns(*read.values()).with_columns(*numbers)


def _faults(frame: pl.DataFrame, name: str) -> list[Fault]:
    if not frame.height:
        return [
            Fault(
                name,
                "no rows",
                "one row a household and as-of date",
                "Give the predictions of the whole cohort.",
            )
        ]
    faults: list[Fault] = []

    def count(condition: pl.Expr) -> int:
        return int(frame.select(condition.fill_null(value=False).sum()).item())

    for column in ("household_id", "village_code", "as_of"):
        empty = frame[column].null_count()
        faults += (
            [Fault(f"{name}.{column}", f"{empty} rows without a value", "a value in every row", "Fill it.")]
            if empty
            else []
        )
    if wrong := frame["margin"].null_count() + count(~pl.col("margin").is_finite()):
        faults.append(
            Fault(
                f"{name}.margin",
                f"{wrong} values are missing or infinite",
                "a number",
                "Give every household a margin.",
            )
        )
    bare = frame["probability"].null_count()
    if 0 < bare < frame.height:
        faults.append(
            Fault(
                f"{name}.probability",
                f"{bare} of {frame.height} are missing",
                "all or none",
                "Calibrate every margin, or leave the column out.",
            )
        )
    if wrong := count(~pl.col("probability").is_between(0, 1)):
        faults.append(
            Fault(
                f"{name}.probability",
                f"{wrong} values outside 0 to 1",
                "probabilities",
                "Calibrate the margin.",
            )
        )
    if wrong := count(~pl.col("label").is_in([0.0, 1.0])):
        faults.append(
            Fault(
                f"{name}.label",
                f"{wrong} values other than 1, 0 or missing",
                "1, 0 or missing",
                "Mend the labels.",
            )
        )
    if twice := frame.height - frame.select("as_of", "household_id").unique().height:
        faults.append(
            Fault(
                name,
                f"{twice} rows repeat a household and as-of date",
                "one row a household and date",
                "Keep one row of each.",
            )
        )
    return faults


def refuse(faults: Iterable[Fault]) -> None:
    """Raises DataError with all of these faults, if there are any."""
    faults = list(faults)
    if faults:
        raise DataError(faults)


def visits_of(capacities: Sequence[float], sizes: npt.NDArray[np.int64]) -> Floats:
    """Number of visits on each date's list at each capacity, shape (dates, capacities).

    capacities: an int is a number of visits, at most all households of the date; a float is a share (0 to 1)
    of the date's households, rounded (half to even), at least 1. sizes: households of each date, shape
    (dates,).
    """
    wanted = np.array(capacities, dtype=np.float64)[None, :]
    whole = np.array([isinstance(capacity, (int, np.integer)) for capacity in capacities])[None, :]
    households = sizes[:, None].astype(np.float64)
    return np.where(whole, np.minimum(wanted, households), np.maximum(1.0, np.round(wanted * households)))


def on_the_list(prepared: PreparedPredictions, capacity: float) -> Floats:
    """Chance of each row to be among the first of its date, shape (rows,): 1, 0, or the share of a group of
    equal margins that the cut divides.
    """
    capacity_name(capacity)
    visits = np.repeat(visits_of([capacity], prepared.sizes)[:, 0], prepared.sizes)
    place = np.arange(len(prepared.label)) - np.repeat(prepared.starts[:-1], prepared.sizes)
    tie = np.concatenate([[0], np.cumsum(prepared.ends_tie)[:-1]])
    size = np.bincount(tie)[tie]
    before = np.minimum.reduceat(place, np.flatnonzero(np.concatenate([[True], prepared.ends_tie[:-1]])))[tie]
    chance: Floats = np.clip((visits - before) / size, 0.0, 1.0)
    return chance
