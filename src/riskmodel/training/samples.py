"""Rows to learn from: features, labels and groups of one as-of date, and the workbench that makes each of
them once.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.calendar import add_months
from riskmodel.project import Project
from riskmodel.tables import Tables
from riskmodel.training.cohorts import audit_groups, cohort
from riskmodel.training.keyed import keyed_numbers
from riskmodel.training.labels import labels

if TYPE_CHECKING:
    from riskmodel.features.matrix import FeatureMatrix
    from riskmodel.policy import Policy

Floats = npt.NDArray[np.float64]
Strings = npt.NDArray[np.object_]

# Ends of the intervals of the discrete-time hazard, in months after the as-of date.
INTERVALS = (3, 6, 12)
# Tables that run on from month to month (and the two that everything hangs on): where they begin, the history
# begins.
RUNNING_TABLES = ("households", "members", "income", "expenditure", "medical", "employment")


@dataclass(frozen=True)
class Sample:
    """n rows (household and as-of date) with p features, sorted by as_of and household_id.

    features: shape (n, p), float64, NaN unknown. label: shape (n,), 1 relapsed, 0 not, NaN unlabelled.
    interval: shape (n,), the place in INTERVALS of the first confirmation, -1 without one. village: the
    cluster that is drawn, split and held out as one. groups: audit columns, one row a row, never predictors.
    as_of: day, or wave number of a wide table.
    """

    names: tuple[str, ...]
    household_id: Strings
    village: Strings
    township: Strings
    as_of: Strings
    features: Floats
    label: Floats
    interval: npt.NDArray[np.int8]
    groups: pl.DataFrame = field(repr=False)

    def __len__(self) -> int:
        return len(self.household_id)

    def __post_init__(self) -> None:
        assert self.features.shape == (len(self.household_id), len(self.names)), (
            "one row a household, one column a feature"
        )

    def rows(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Sample:
        """Only these rows (mask or positions)."""
        places = np.flatnonzero(keep) if keep.dtype == np.bool_ else keep
        return replace(
            self,
            household_id=self.household_id[places],
            village=self.village[places],
            township=self.township[places],
            as_of=self.as_of[places],
            features=np.ascontiguousarray(self.features[places]),
            label=self.label[places],
            interval=self.interval[places],
            groups=self.groups[places.tolist()],
        )

    def labelled(self) -> Sample:
        """Only the rows whose outcome is known."""
        return self.rows(np.isfinite(self.label))

    def select(self, names: Sequence[str]) -> Sample:
        """Only these features, in this order."""
        places = [self.names.index(name) for name in names]
        return replace(self, names=tuple(names), features=np.ascontiguousarray(self.features[:, places]))


def stack(samples: Sequence[Sample]) -> Sample:
    """Several as-of dates under each other, in the order given."""
    first = samples[0]
    if len(samples) == 1:
        return first
    return Sample(
        names=first.names,
        household_id=np.concatenate([sample.household_id for sample in samples]),
        village=np.concatenate([sample.village for sample in samples]),
        township=np.concatenate([sample.township for sample in samples]),
        as_of=np.concatenate([sample.as_of for sample in samples]),
        features=np.concatenate([sample.features for sample in samples]),
        label=np.concatenate([sample.label for sample in samples]),
        interval=np.concatenate([sample.interval for sample in samples]),
        groups=pl.concat([sample.groups for sample in samples]),
    )


class Workbench:
    """Cohorts, features and labels of one county, each made once and shared by all plans that ask for them.

    Keeps one feature matrix an as-of date in memory (20,000 households × 150 features: 24 MB).
    """

    def __init__(self, project: Project, tables: Tables) -> None:
        self.project = project
        self.tables = tables
        self._features: dict[dt.date, FeatureMatrix] = {}
        self._labels: dict[tuple[dt.date, int, dt.date], pl.DataFrame] = {}
        self._cohorts: dict[dt.date, pl.DataFrame] = {}
        self._groups: dict[dt.date, pl.DataFrame] = {}
        self._loaded: dict[str, Any] = {}
        self._hash: str | None = None

    @property
    def catalogue(self) -> Any:
        """The project's feature catalogue."""
        from riskmodel.features import load_catalogue

        if "catalogue" not in self._loaded:
            self._loaded["catalogue"] = load_catalogue(self.project)
        return self._loaded["catalogue"]

    @property
    def policy(self) -> Policy:
        """The project's dated values, with those that the tables bring along."""
        from riskmodel.policy import Policy

        if "policy" not in self._loaded:
            self._loaded["policy"] = Policy.load(self.project, self.tables)
        found: Policy = self._loaded["policy"]
        return found

    @property
    def first_day(self) -> dt.date:
        """The day from which this county's history runs: the newest of the first days of its running tables
        (income, medical, …).
        """
        return self._newest_beginning("occurred_on")

    @property
    def known_from(self) -> dt.date:
        """The day from which all running tables, households and members were known; before it a cohort would
        be half a county.
        """
        return self._newest_beginning("known_on")

    def _newest_beginning(self, column: str) -> dt.date:
        days = [
            frame[column if column in frame.columns else "known_on"].min()
            for name, frame in self.tables.frames.items()
            if name in RUNNING_TABLES and frame.height
        ]
        return max(days)  # type: ignore[type-var, return-value]

    @property
    def tables_hash(self) -> str:
        """SHA-256 over the content of all tables, whatever file they came from."""
        if self._hash is None:
            digest = hashlib.sha256()
            if self.tables.hashes:
                for name, value in sorted(self.tables.hashes.items()):
                    digest.update(f"{name}={value}\n".encode())
            else:
                for name, frame in sorted(self.tables.frames.items()):
                    digest.update(name.encode() + b"\0")
                    digest.update(frame.rechunk().write_ipc(None, compression="uncompressed").getvalue())
            self._hash = digest.hexdigest()
        return self._hash

    def cohort(self, as_of: dt.date) -> pl.DataFrame:
        """See `cohorts.cohort`."""
        if as_of not in self._cohorts:
            self._cohorts[as_of] = cohort(self.tables, as_of)
        return self._cohorts[as_of]

    def features(self, as_of: dt.date) -> FeatureMatrix:
        """All catalogue features of the cohort of a day."""
        from riskmodel.features import build, prepare

        if as_of not in self._features:
            if "prepared" not in self._loaded:
                self._loaded["prepared"] = prepare(self.tables)
            matrix = build(self._loaded["prepared"], as_of, catalogue=self.catalogue, policy=self.policy)
            wanted = self.cohort(as_of)["household_id"].to_numpy().astype(object)
            place = np.searchsorted(matrix.household_id.astype(str), wanted.astype(str))
            self._features[as_of] = matrix.rows(place.astype(np.intp))
            assert bool((self._features[as_of].household_id == wanted).all()), (
                "every cohort household has features"
            )
        return self._features[as_of]

    def labels(self, as_of: dt.date, horizon_months: int, known_until: dt.date) -> pl.DataFrame:
        """See `labels.labels`."""
        key = (as_of, horizon_months, known_until)
        if key not in self._labels:
            self._labels[key] = labels(self.tables, as_of, horizon_months, known_until=known_until)
        return self._labels[key]

    def labelled_share(self, as_of: dt.date, horizon_months: int, known_until: dt.date) -> float:
        """Share of the cohort whose outcome is known on the day; 0 for an empty cohort."""
        frame = self.labels(as_of, horizon_months, known_until)
        return 1 - frame["label"].null_count() / frame.height if frame.height else 0.0

    def sample(
        self, as_of: dt.date, horizon_months: int, known_until: dt.date, names: Sequence[str]
    ) -> Sample:
        """The cohort of a day: features of that day, outcomes as known on `known_until`, audit groups."""
        matrix = self.features(as_of).select(names)
        outcome = self.labels(as_of, horizon_months, known_until)
        households = self.cohort(as_of)
        if as_of not in self._groups:
            self._groups[as_of] = audit_groups(self.tables, as_of).drop("household_id")
        return Sample(
            names=tuple(names),
            household_id=matrix.household_id,
            village=households["village_code"].to_numpy().astype(object),
            township=households["township_code"].to_numpy().astype(object),
            as_of=np.full(len(matrix), as_of, dtype=object),
            features=matrix.values,
            label=outcome["label"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
            interval=interval_of(outcome["first_confirmed_on"], as_of),
            groups=self._groups[as_of],
        )


def interval_of(confirmed_on: pl.Series, as_of: dt.date) -> npt.NDArray[np.int8]:
    """Interval after as_of that contains each day, shape (n,): 0 for (0, 3] months, 1 for (3, 6], 2 for
    (6, 12], -1 for none."""
    ends = [add_months(as_of, months) for months in INTERVALS]
    frame = pl.DataFrame({"day": confirmed_on})
    later = [(pl.col("day") > end).cast(pl.Int8) for end in ends]
    place = pl.sum_horizontal(later, ignore_nulls=False)
    inside = pl.when(place < len(ends)).then(place).otherwise(-1)
    return frame.select(interval=inside.fill_null(-1).cast(pl.Int8))["interval"].to_numpy()


def part_of(villages: Strings, parts: int, seed: int) -> npt.NDArray[np.int64]:
    """The part (0 … parts-1) that each village falls into, by a keyed hash: the same village, the same part,
    on every machine.
    """
    numbers = keyed_numbers(villages.tolist(), f"village parts {seed}")
    return np.array([numbers[str(village)] % parts for village in villages], dtype=np.int64)
