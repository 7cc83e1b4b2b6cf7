"""What all tables of the synthetic county share: random streams, the days on which something becomes known,
and facts on which several tables rest.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.synthetic import life, seeds
from riskmodel.synthetic.people import NEVER, Flags, Ints
from riskmodel.synthetic.run import Lived

Days = npt.NDArray[np.datetime64]
Values = npt.NDArray[Any] | pl.Series
Text = npt.NDArray[np.object_]


class Recorder:
    """The life of one county, and how rows of a table are made from it.

    Each table has its own random stream, so that one can change without the others.
    """

    # Households that a visit found at risk, the day, and what led to the visit: written by `verifications`,
    # which is therefore made before every table that reads it.
    found: tuple[Ints, Days, npt.NDArray[np.object_]]

    def __init__(self, lived: Lived, seed: int) -> None:
        self.lived, self.seed = lived, seed
        self.calendar, self.people, self.areas = lived.calendar, lived.people, lived.areas
        self.starts = self.calendar.month_starts
        self.n, self.p = len(self.people.household_id), len(self.people.member_id)
        self.end = np.datetime64(self.calendar.end, "D")
        self.start = np.datetime64(self.calendar.start, "D")
        events = lived.events
        self.kind = events[:, life.E_KIND].astype(int)
        self.month = events[:, life.E_MONTH].astype(int)
        self.of = events[:, life.E_HOUSEHOLD].astype(int)
        self.households_by = pl.Series("household_id", self.people.household_id.tolist(), dtype=pl.String)
        self.members_by = pl.Series("member_id", self.people.member_id.tolist(), dtype=pl.String)

    def rng(self, table: str) -> np.random.Generator:
        """The random stream of a table, or of one question within it (`income-id`). Raises KeyError for one
        that `seeds.RECORDS` lacks.
        """
        return seeds.stream(self.seed, seeds.RECORDS[table])

    @cached_property
    def left_day(self) -> Days:
        """The day on which each person left (death, marriage, moving out); NaT for those who stay. Shape
        (P,).
        """
        leaves, months = self.people.leaves, self.calendar.months
        day = self.starts[np.minimum(leaves, months)] + np.arange(self.p) % 27
        return np.where(leaves < months, day, np.datetime64("NaT"))

    def day(self, month: Ints, rng: np.random.Generator, low: int = 1, high: int = 28) -> Days:
        """A day of the month."""
        return self.starts[month] + (rng.integers(low, high + 1, len(month)) - 1)

    def frame(self, table: str, columns: Mapping[str, Values], *, twice: float = 0.0) -> pl.DataFrame:
        """Rows known by `end`, sorted by `known_on`, with opaque ids. twice: share of exact duplicates."""
        frame = pl.DataFrame({name: series(name, values) for name, values in columns.items()})
        frame = frame.filter(
            (pl.col("known_on") <= self.calendar.end)
            & (pl.col("occurred_on") >= self.calendar.start - dt.timedelta(750))
        )
        if "event_id" not in frame.columns:
            rng = self.rng(table + "-id")
            ids = rng.permutation(frame.height)
            frame = frame.with_columns(
                pl.Series("event_id", ids).cast(pl.String).str.zfill(8).str.replace("^", table[:2].upper())
            )
        if twice:
            again = self.rng(table + "-again").random(frame.height) < twice
            frame = pl.concat([frame, frame.filter(pl.Series(again))])
        return frame.sort("known_on", "event_id")

    def corrected(self, frame: pl.DataFrame, table: str, share: float) -> pl.DataFrame:
        """Corrections: the same event_id again, later, with another amount."""
        rng = self.rng(table + "-corrected")
        frame = frame.unique(maintain_order=True) if share else frame
        pick = pl.Series(rng.random(frame.height) < share)
        again = frame.filter(pick)
        factor = pl.Series(np.exp(rng.normal(0, 0.25, again.height)))
        later = rng.integers(10, 150, again.height)
        money = [
            name
            for name in ("amount", "total_cost", "reimbursed", "self_paid", "compliant_self_paid")
            if name in frame.columns
        ]
        again = again.with_columns(
            [(pl.col(name) * factor).round(0) for name in money]
            + [pl.Series("known_on", again["known_on"].to_numpy() + later.astype("timedelta64[D]"))]
        ).with_columns(pl.col("known_on").cast(pl.Date))
        return pl.concat([frame, again.filter(pl.col("known_on") <= self.calendar.end)]).sort(
            "known_on", "event_id"
        )

    def first_monitored(self) -> Flags:
        """Whether each household was monitored before the data begin, shape (N,)."""
        return np.asarray(self.lived.first_monitored)

    def village(self, month: int) -> Ints:
        """Index of each person's village in a month, shape (P,)."""
        return np.where(self.people.moves_at <= month, self.people.moves_to, self.people.village)

    @cached_property
    def spells(self) -> Flags:
        """Whether a household is monitored at the end of a month, (N, M)."""
        rows = np.flatnonzero((self.kind == life.FOUND) | (self.kind == life.ELIMINATED))
        change = np.zeros((self.n, self.calendar.months), np.int8)
        change[self.first_monitored(), 0] = 1
        change[self.of[rows], self.month[rows]] = np.where(self.kind[rows] == life.FOUND, 1, -1)
        return np.cumsum(change, axis=1, dtype=np.int8) > 0

    def monitored_on(self, households: Ints, days: Days) -> Flags:
        """Whether the household was being monitored on the day, or was found in that very month."""
        month = (days.astype("datetime64[M]") - self.starts[0].astype("datetime64[M]")).astype(int)
        return np.asarray(self.spells[households, month])

    def monitored_in(self, households: Ints, month: int) -> Flags:
        """Whether the households were being monitored at the end of a month."""
        return self.monitored_on(households, np.repeat(self.starts[month], len(households)))

    @cached_property
    def false_leads(self) -> tuple[Ints, Days, npt.NDArray[np.object_]]:
        """Households, days and channels of leads (and `list`, `check`) that the visit did not confirm."""
        rng = self.rng("false")
        c = self.calendar
        rows = np.flatnonzero((self.kind == life.HINT) & (self.month >= c.begin))
        names = np.array(["self_declared", "cadre", "department"], object)
        household, month = [self.of[rows]], [self.month[rows]]
        channel = [names[self.lived.events[rows, life.E_A].astype(int)]]
        for name, rate, first in (
            ("media", 0.00003, c.begin),
            ("petition", 0.00010, c.begin),
            ("list", 0.0011, c.last - 23),  # lists drawn up by departments, new in the last two years
            ("check", 0.0004, c.last - 23),
        ):
            for m in range(max(first, c.begin), c.months):
                at = np.flatnonzero((rng.random(self.n) < rate) & (self.lived.fixed.size[:, m] > 0))
                household.append(at)
                month.append(np.full(len(at), m))
                channel.append(np.full(len(at), name, object))
        of, months, how = np.concatenate(household), np.concatenate(month), np.concatenate(channel)
        day = self.day(months, rng, 2, 27)
        free = ~self.monitored_on(of, day)
        return of[free], day[free], how[free]

    def illness_months(self) -> Ints:
        """Month in which each person fell seriously ill, NEVER otherwise."""
        rows = np.flatnonzero((self.kind == life.MEDICAL) & (self.lived.events[:, life.E_E] == 1))
        person = self.patients[rows]
        out = np.full(self.p, NEVER)
        ok = person >= 0
        np.minimum.at(out, person[ok], self.month[rows][ok])
        return out

    @cached_property
    def patients(self) -> Ints:
        """Person (index) of each event, shape (E,); -1 where nobody fits.

        The worker of the event's slot; without one a member of the household at that month, drawn at random
        with weights that rise with age and chronic illness.
        """
        people = self.people
        order = np.argsort(people.household, kind="stable")
        first = np.searchsorted(people.household[order], np.arange(self.n + 1))
        rows = self.lived.events
        slot = rows[:, life.E_SLOT].astype(int)
        out = np.full(len(rows), -1)
        worker = people.worker[self.of, np.maximum(slot, 0)]
        fits = (slot >= 0) & (worker >= 0)
        out[fits] = worker[fits]
        age = people.ages(self.starts[self.calendar.months // 2])
        weight = np.exp(0.034 * np.clip(age, 0, 85)) * np.where(people.chronic, 2.2, 1.0) + 0.5
        best = np.full(len(rows), -1.0)
        rng = self.rng("patients")
        for k in range(int((first[1:] - first[:-1]).max())):
            has = first[self.of] + k < first[self.of + 1]
            person = order[np.minimum(first[self.of] + k, self.p - 1)]
            here = (
                has
                & (people.joins[person] < self.month)
                & (people.leaves[person] > self.month)
                & (people.switch_at[person] > self.month)
            )
            draw = np.where(here, rng.random(len(rows)) ** (1 / weight[person]), -1.0)
            take = ~fits & (draw > best)
            best = np.where(take, draw, best)
            out = np.where(take & here, person, out)
        present = (out >= 0) & (people.joins[out] <= self.month) & (people.leaves[out] > self.month)
        return np.where(present, out, -1)


def only(values: Text, mask: Flags) -> Text:
    """The values where the mask holds, missing elsewhere."""
    out = values.copy()
    out[~mask] = None
    return out


def series(name: str, values: Values) -> pl.Series:
    """numpy to polars: dates to Date, objects to String, nan to missing."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    if values.dtype.kind == "M":
        return pl.Series(name, values.astype("datetime64[D]"))
    if values.dtype == object:
        return pl.Series(name, values.tolist(), dtype=pl.String)
    if values.dtype.kind == "f":
        return pl.Series(name, values).fill_nan(None)
    return pl.Series(name, values)
