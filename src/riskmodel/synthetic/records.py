"""What the departments write down of it: the contract's tables, late, incomplete, corrected, and now and then
wrong.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.synthetic import life, seeds
from riskmodel.synthetic.people import COUNTY, EDUCATION, NEVER, RELATIONS, WORKERS, Flags, Floats, Ints
from riskmodel.synthetic.run import Lived, line_of
from riskmodel.vocabulary import RISK_KINDS

Days = npt.NDArray[np.datetime64]
Values = npt.NDArray[Any] | pl.Series
Text = npt.NDArray[np.object_]
SHOCK_KINDS = np.array(["traffic_accident", "work_accident", "fire", "business_failure", "flood"], object)
SOURCE = "synthetic county: stylised, not a published value"
CLASSES = np.array(["unstable_lifted", "marginal", "sudden"], object)


class Departments:
    """Writes the tables of one county. Each table has its own random stream, so that one can change without
    the others.
    """

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
        frame = pl.DataFrame({name: _series(name, values) for name, values in columns.items()})
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

    def tables(self) -> dict[str, pl.DataFrame]:
        """Every table of the contract, by name."""
        verifications = self.verifications()  # first: others are written because of it
        members = self.members()
        listed = members.select("member_id").unique()
        frames = {
            "households": self.households(),
            "members": members,
            "income": self.income(),
            "expenditure": self.expenditure(),
            "medical": self.medical(),
            "disability": self.disability(),
            "employment": self.employment(),
            "shocks": self.shocks(),
            "guarantees": self.guarantees(),
            "assistance": self.assistance(),
            "leads": self.leads(),
            "authorisations": self.authorisations(),
            "assets": self.assets(),
            "verifications": verifications,
            "policy": self.policy(),
        }
        for name in (
            "medical",
            "disability",
            "employment",
        ):  # nobody settles a claim for a person that no register holds
            frames[name] = frames[name].join(listed, on="member_id", how="semi", maintain_order="left")
        # What such a person earns is the household's: the row stays, without the person.
        known = pl.col("member_id").is_in(listed["member_id"].implode())
        frames["income"] = frames["income"].with_columns(pl.when(known).then("member_id").alias("member_id"))
        return self._until_the_end(frames)

    def _until_the_end(self, frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        """No rows of households whose last member had left: what they earned and spent in that half-year is
        booked on the last day.
        """
        newest = frames["members"].sort("known_on").unique("member_id", keep="last")
        there = newest.filter(pl.col("left_on").is_null()).select("household_id")
        ended = (
            frames["members"]
            .join(there, on="household_id", how="anti")
            .group_by("household_id")
            .agg(pl.col("left_on").max())
        )
        for name in ("income", "expenditure", "assistance", "authorisations", "assets"):
            rows = frames[name].join(ended, on="household_id", how="left", maintain_order="left")
            late = (pl.col("occurred_on") > pl.col("left_on")).fill_null(False)
            if name in ("income", "expenditure"):
                rows = rows.with_columns(occurred_on=pl.when(late).then("left_on").otherwise("occurred_on"))
            else:
                rows = rows.filter(~late)
            frames[name] = rows.drop("left_on")
        return frames

    # Found by the life of the household ---------------------------------------------------------------------

    def found_days(self) -> tuple[Ints, Days, Floats]:
        """Rows of `events` in which a household was found at risk, the day, and the event rows."""
        rows = np.flatnonzero(self.kind == life.FOUND)
        events = self.lived.events[rows]
        day = self.starts[self.month[rows]] + 1 + np.floor(events[:, life.E_U] * 26).astype(int)
        return self.of[rows], day, events

    def verifications(self) -> pl.DataFrame:
        """Visits: those that found a risk, the yearly sweep of everybody else, leads that came to nothing,
        reviews that ended a case.
        """
        rng = self.rng("verifications")
        c = self.calendar
        of, day, events = self.found_days()
        mask = events[:, life.E_A].astype(int)
        names = list(RISK_KINDS)
        words = np.array(
            [";".join(name for bit, name in enumerate(names) if value >> bit & 1) for value in range(2048)],
            object,
        )
        # Lists drawn up by departments, and a few random checks, exist only in the last two years.
        draw = np.where(day >= self.starts[max(c.last - 23, 0)], rng.random(len(of)), 1.0)
        origin = np.select(
            [events[:, life.E_SLOT] > 0, draw < 0.012, draw < 0.08],
            ["sweep", "random_check", "screening"],
            "lead",
        ).astype(object)
        parts: list[tuple[Any, ...]] = [
            (
                of,
                day,
                origin,
                np.full(len(of), "risk_confirmed", object),
                CLASSES[events[:, life.E_B].astype(int)],
                words[mask],
            )
        ]
        self.found = (of, day, origin)

        started = np.flatnonzero(self.first_monitored())
        back = self.starts[0] + rng.integers(0, 60, len(started))
        cls = np.where(self.people.lifted[started], "unstable_lifted", "marginal").astype(object)
        kinds = rng.choice(
            np.array(
                ["illness", "disability", "illness;labour", "education", "employment", "labour"], object
            ),
            len(started),
        )
        parts.append(
            (
                started,
                back,
                np.full(len(started), "sweep", object),
                np.full(len(started), "risk_confirmed", object),
                cls,
                kinds,
            )
        )
        self.backlog = (started, back)

        rows = np.flatnonzero(self.kind == life.ELIMINATED)
        out = self.starts[self.month[rows]] + 1 + np.floor(self.lived.events[rows, life.E_U] * 26).astype(int)
        parts.append(_plain(self.of[rows], out, "lead", "risk_eliminated"))

        # The yearly sweep: one row a household that was there, was not found by it, and was not being
        # monitored.
        for month in range(c.begin, c.months):
            swept = self.lived.world.sweep[self.village(month), month] > 0
            there = np.flatnonzero(
                swept & (self.lived.fixed.size[:, month] > 0) & (rng.random(self.n) < 0.985)
            )
            when = self.starts[month] + rng.integers(1, 27, len(there))
            monitored = self.monitored_on(there, when)
            there, when = there[~monitored], when[~monitored]
            result = np.where(rng.random(len(there)) < 0.02, "unreachable", "no_risk").astype(object)
            parts.append((there, when, np.full(len(there), "sweep", object), result, None, None))

        # A sweep may write a monitored household down again.
        for month in range(c.begin, c.months):
            swept = self.lived.world.sweep[self.village(month), month] > 0
            there = np.flatnonzero(swept & (self.lived.fixed.size[:, month] > 0) & (rng.random(self.n) < 0.2))
            there = there[self.monitored_in(there, month - 1) & self.monitored_in(there, month)]
            when = self.starts[month] + rng.integers(1, 27, len(there))
            cls = np.where(self.people.lifted[there], "unstable_lifted", "sudden").astype(object)
            words_again = np.full(len(there), "illness", object)
            outcome = np.full(len(there), "risk_confirmed", object)
            parts.append((there, when, np.full(len(there), "sweep", object), outcome, cls, words_again))

        # Leads and lists that came to nothing.
        of2, day2, channel2 = self.false_leads
        origin2 = np.where(
            channel2 == "list", "screening", np.where(channel2 == "check", "random_check", "lead")
        ).astype(object)
        result = np.where(rng.random(len(of2)) < 0.03, "unreachable", "no_risk").astype(object)
        parts.append((of2, day2, origin2, result, None, None))

        household = np.concatenate([part[0] for part in parts])
        occurred = np.concatenate([part[1] for part in parts])
        none = [np.full(len(part[0]), None, object) for part in parts]
        lag = np.minimum(rng.geometric(0.12, len(household)), 45)
        columns: dict[str, Values] = {
            "household_id": self.households_by[household],
            "occurred_on": occurred,
            "known_on": occurred + lag,
            "origin": np.concatenate([part[2] for part in parts]),
            "outcome": np.concatenate([part[3] for part in parts]),
            "object_class": np.concatenate(
                [p[4] if p[4] is not None else none[k] for k, p in enumerate(parts)]
            ),
            "risk_kinds": np.concatenate(
                [p[5] if p[5] is not None else none[k] for k, p in enumerate(parts)]
            ),
        }
        return self.frame("verifications", columns, twice=0.001).filter(
            pl.col("occurred_on") >= self.calendar.first
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

    def leads(self) -> pl.DataFrame:
        """Hints: before most confirmations that no sweep made, and before many visits that found nothing."""
        rng = self.rng("leads")
        of, day, origin = self.found
        mine = origin == "lead"
        real = rng.choice(
            np.array(["self_declared", "cadre", "department", "media", "petition"], object),
            mine.sum(),
            p=[0.33, 0.33, 0.27, 0.02, 0.05],
        )
        of2, day2, channel2 = self.false_leads
        hint = ~np.isin(channel2, ["list", "check"])
        household = np.concatenate([of[mine], of2[hint]])
        visited = np.concatenate([day[mine], day2[hint]])
        channel = np.concatenate([real, channel2[hint]])
        occurred = visited - rng.integers(2, 16, len(visited))
        topics = np.array(
            ["医疗支出大", "家庭收入下降", "子女就学负担", "住房问题", "务工不稳定", "受灾", None], object
        )
        return self.frame(
            "leads",
            {
                "household_id": self.households_by[household],
                "occurred_on": occurred,
                "known_on": occurred + rng.integers(0, 5, len(occurred)),
                "channel": channel,
                "topic": rng.choice(topics, len(occurred)),
            },
        ).filter(pl.col("occurred_on") >= self.calendar.start)

    # State tables -------------------------------------------------------------------------------------------

    def households(self) -> pl.DataFrame:
        """First version known on the first day; new versions on moving and on a new housing grade."""
        people, areas = self.people, self.areas
        rng = self.rng("households")
        first = np.full(self.n, self.start) - rng.integers(0, 60, self.n)
        moved = np.flatnonzero(
            (people.moves_at < self.calendar.months) & (people.moves_at > self.calendar.begin)
        )
        of = np.concatenate([np.arange(self.n), moved])
        village = np.concatenate([self.village(self.calendar.begin), people.moves_to[moved]])
        known = np.concatenate([first, self.starts[people.moves_at[moved]] + rng.integers(5, 60, len(moved))])
        grade = np.array(["A", "B", "C", "D"], object)[people.housing[of]]
        grade[rng.random(len(of)) < 0.04] = None
        distance = people.distance[of].copy()
        distance[rng.random(len(of)) < 0.08] = np.nan
        frame = pl.DataFrame(
            {
                "household_id": _series("", people.household_id[of]),
                "known_on": _series("known_on", known),
                "county_code": pl.Series([COUNTY] * len(of)),
                "township_code": _series("", areas.township[village]),
                "village_code": _series("", areas.code[village]),
                "category": _series("", np.where(people.lifted[of], "lifted", "general").astype(object)),
                "relocated": people.relocated[of],
                "relocation_site": _series("", _only(areas.code[village], people.relocated[of])),
                "cultivated_land_mu": people.land[of],
                "distance_km": pl.Series(distance).fill_nan(None),
                "housing_grade": _series("", grade),
                "safe_water": people.water_ok[of],
            }
        )
        return frame.filter(pl.col("known_on") <= self.calendar.end).sort("known_on", "household_id")

    def members(self) -> pl.DataFrame:
        """A first version a person, and yearly updates of schooling, illness and labour; a version on
        joining, leaving and changing household.
        """
        people, c = self.people, self.calendar
        rng = self.rng("members")
        months = [c.begin, *[m for m in range(c.begin + 1, c.last + 1) if c.month_of_year[m] == 8]]
        found_of, found_day, _ = self.found
        first_found = np.full(self.n, np.datetime64("2200-01-01"))
        np.minimum.at(first_found, found_of, found_day)
        pension = rng.random(self.p) < 0.9
        ill_from = self.illness_months()
        lag = rng.integers(3, 50, self.p)
        # Which versions: everybody at the beginning, later at each September those whose row changed; joiners
        # and leavers when known.
        versions: list[tuple[Any, ...]] = []
        first = np.flatnonzero((people.joins < c.begin) & (people.leaves > c.begin))
        known_first = np.maximum(np.full(len(first), self.start) - lag[first] % 30, people.birth[first] + 20)
        versions.append((first, np.full(len(first), c.begin), known_first))
        joined = np.flatnonzero(
            (people.joins >= c.begin) & (people.joins < c.months) & (people.leaves > people.joins + 2)
        )
        versions.append((joined, people.joins[joined], self.starts[people.joins[joined]] + 30 + lag[joined]))
        for m in months[1:]:
            there = np.flatnonzero((people.joins < m - 2) & (people.leaves > m))
            versions.append((there, np.full(len(there), m), np.full(len(there), self.starts[m]) + lag[there]))
        gone = np.flatnonzero(
            (people.leaves > c.begin) & (people.leaves < c.months) & (people.joins < people.leaves - 2)
        )
        versions.append((gone, people.leaves[gone], self.starts[people.leaves[gone]] + 28 + lag[gone]))
        switched = np.flatnonzero((people.switch_at > c.begin) & (people.switch_at < c.months))
        versions.append(
            (switched, people.switch_at[switched], self.starts[people.switch_at[switched]] + lag[switched])
        )
        sick = (
            (ill_from > c.begin)
            & (ill_from < c.months)
            & (people.leaves > ill_from + 3)
            & (people.joins < ill_from)
        )
        ill = np.flatnonzero(sick)
        versions.append((ill, ill_from[ill], self.starts[ill_from[ill]] + 30 + 2 * lag[ill]))
        # Dibao is granted to some of those that were found, and written at once: after the finding, never a
        # sign before it.
        granted = np.flatnonzero((first_found < self.end) & (np.arange(self.n) % 3 == 0))
        new = np.flatnonzero(np.isin(people.household, granted) & (people.switch_at == NEVER))
        since = first_found[people.household[new]] + 45
        when = (since.astype("datetime64[M]") - self.starts[0].astype("datetime64[M]")).astype(int) + 1
        fits = (
            (when > c.begin) & (when <= c.last) & (people.joins[new] < when - 2) & (people.leaves[new] > when)
        )
        versions.append((new[fits], when[fits], self.starts[when[fits]] + 1 + lag[new[fits]] % 20))
        person, at, known = (np.concatenate([version[k] for version in versions]) for k in range(3))
        order = np.lexsort((at, known, person))
        person, at, known = person[order], at[order], known[order]
        # A later row never holds less than an earlier one: a death stays known.
        at = (
            pl.DataFrame({"person": person, "at": at})
            .select(pl.col("at").cum_max().over("person"))["at"]
            .to_numpy()
        )

        on = self.starts[at]
        age = np.asarray((on - people.birth[person]).astype(float) / 365.25)
        home = np.where(people.switch_at[person] <= at, people.switch_to[person], people.household[person])
        stays = np.array([15.5, 15.5, 15.5, 18.5, 22.5])[people.education[person]]
        school = np.select(
            [
                age < 3,
                age < 6.2,
                age < 12.2,
                age < 15.5,
                (age < 18.5) & (stays > 16),
                (age < 22.5) & (stays > 20),
            ],
            ["none", "preschool", "primary", "junior", "senior", "college"],
            "none",
        ).astype(object)
        vocational = (school == "senior") & (person % 3 == 0)
        school[vocational] = "vocational"
        attained = np.minimum(
            people.education[person], np.digitize(age, [12.2, 15.5, 18.5, 22.5]) + (age > 6.2) - 1
        ).clip(0)
        seriously = (ill_from[person] <= at) & (at < ill_from[person] + 30)
        level = people.disabled_level[person]
        skilled = (people.education[person] >= 3) | (person % 7 == 0)
        labour = np.select(
            [
                (age < 16) | (school != "none"),
                (level > 0) & (level <= 2),
                age > 74,
                (age > 62) | seriously,
                skilled,
            ],
            ["none", "lost", "none", "weak", "skilled"],
            "ordinary",
        ).astype(object)
        wrong = rng.random(len(person)) < 0.004
        labour[wrong] = "ordinary"
        baseline = (self.lived.trait(life.T_DIBAO) > 0)[home] & (person % 5 != 0)
        after = on > first_found[home] + 40
        dibao = baseline | (after & (home % 3 == 0))
        left = np.where(people.leaves[person] <= at, self.left_day[person], np.datetime64("NaT"))
        alone = self.lived.fixed.size[home, np.minimum(at, c.months - 1)] == 1
        minority = people.minority[person].astype(object)
        minority[person % 50 == 7] = None
        frame = pl.DataFrame(
            {
                "member_id": _series("", people.member_id[person]),
                "known_on": _series("known_on", known),
                "household_id": _series("", people.household_id[home]),
                "birth_date": _series("", people.birth[person]),
                "sex": _series("", np.where(people.male[person], "male", "female").astype(object)),
                "relation": _series("", np.array(RELATIONS, object)[people.relation[person]]),
                "education": _series("", np.array(EDUCATION, object)[attained]),
                "schooling": _series("", school),
                "chronic_ill": people.chronic[person] & (age > 1),
                "seriously_ill": seriously,
                "labour": _series("", labour),
                "medical_insured": people.insured[person],
                "pension_insured": pension[person] & (age >= 16),
                "dibao": dibao,
                "tekun": alone & (age > 62) & (labour == "none") & (person % 3 == 0) & ~dibao,
                "ethnic_minority": pl.Series(minority.tolist(), dtype=pl.Boolean),
                "left_on": _series("", left),
            }
        )
        frame = frame.filter(pl.col("known_on") <= c.end)
        # A version without any change is not written; two on one day are one.
        same = [name for name in frame.columns if name not in ("member_id", "known_on")]
        frame = frame.sort("member_id", "known_on").unique(
            ["member_id", "known_on"], keep="last", maintain_order=True
        )
        changed = pl.any_horizontal(
            pl.col(name).ne_missing(pl.col(name).shift(1)) for name in ["member_id", *same]
        )
        return frame.filter(changed).sort("known_on", "member_id")

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

    def guarantees(self) -> pl.DataFrame:
        """A version at the beginning; failures of housing with a disaster and of water, schooling and cover
        by chance, and their repair.
        """
        people, c, n = self.people, self.calendar, self.n
        rng = self.rng("guarantees")
        gap = self.lived.gap
        rows = np.flatnonzero(
            (self.kind == life.SHOCK) & (self.lived.events[:, life.E_C] > 0) & (self.month >= c.begin)
        )
        until = self.month[rows] + self.lived.events[rows, life.E_C].astype(int)
        of = np.concatenate([gap.household, self.of[rows]])
        column = np.concatenate([gap.column, np.full(len(rows), 3)])
        last = c.months
        begins = self.starts[np.concatenate([gap.begins, self.month[rows]]).clip(0, last)] + rng.integers(
            5, 40, len(of)
        )
        ends = self.starts[np.concatenate([gap.ends, until]).clip(0, last)] + rng.integers(5, 60, len(of))
        seen = (rng.random(len(of)) < 0.85) & (ends > self.start) & (ends > begins)
        of, column, begins, ends = of[seen], column[seen], np.maximum(begins[seen], self.start), ends[seen]
        names = ["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"]
        # Every household's days of change; on each the flags in force then.
        who = np.concatenate([np.arange(n), of, of])
        when = np.concatenate([np.full(n, self.start), begins, ends])
        keys = pl.DataFrame({"h": who, "d": when}).unique().sort("h", "d").with_row_index("k")
        spells = pl.DataFrame({"h": of, "b": begins, "e": ends, "c": column})
        bad = keys.join(spells, on="h").filter((pl.col("b") <= pl.col("d")) & (pl.col("d") < pl.col("e")))
        flags = np.ones((keys.height, 5), bool)
        flags[bad["k"].to_numpy(), bad["c"].to_numpy()] = False
        frame = pl.DataFrame(
            {
                "household_id": _series("", people.household_id[keys["h"].to_numpy()]),
                "known_on": keys["d"].cast(pl.Date),
                **{name: flags[:, k] for k, name in enumerate(names)},
            }
        )
        return frame.filter(pl.col("known_on") <= c.end).sort("known_on", "household_id")

    # Money and work -----------------------------------------------------------------------------------------

    def employment(self) -> pl.DataFrame:
        """The monthly labour table: two thirds of wage workers are in it; some months are missing, some come
        late.
        """
        people, c = self.people, self.calendar
        rng = self.rng("employment")
        wages = self.lived.wages[:, :, c.begin : c.last + 1]
        listed = rng.random((self.n, WORKERS)) < 0.62
        h, w, m = np.nonzero(~np.isnan(wages) & listed[:, :, None])
        # Villages report more or less completely; some workers enter the table only later.
        gaps = seeds.stream(self.seed, seeds.VILLAGE_GAPS).beta(1.2, 14, len(self.areas.code))
        enters = np.where(
            rng.random((self.n, WORKERS)) < 0.25, rng.integers(0, wages.shape[2], (self.n, WORKERS)), 0
        )
        here = (rng.random(len(h)) > gaps[people.village[h]]) & (m >= enters[h, w])
        h, w, m = h[here], w[here], m[here]
        wage = wages[h, w, m].astype(float)
        employed = wage > 0
        last_day = self.starts[m + c.begin + 1] - 1
        late = rng.random(len(h)) < 0.08
        lag = np.where(late, rng.integers(35, 80, len(h)), rng.integers(5, 21, len(h)))
        trait = self.rng("place")
        place = trait.choice(
            np.array(["township", "county", "province", "outside"], object),
            (self.n, WORKERS),
            p=[0.12, 0.26, 0.17, 0.45],
        )
        channel = trait.choice(
            np.array(["market", "workshop", "public_post", "self"], object),
            (self.n, WORKERS),
            p=[0.72, 0.07, 0.08, 0.13],
        )
        reported = np.round(wage * np.exp(rng.normal(0, 0.06, len(h))), -1).clip(100, 30_000)
        hidden = rng.random(len(h)) < 0.05
        return self.frame(
            "employment",
            {
                "member_id": self.members_by[people.worker[h, w]],
                "occurred_on": last_day,
                "known_on": last_day + lag,
                "employed": employed,
                "monthly_wage": np.where(employed & ~hidden, reported, np.nan),
                "place": _only(place[h, w], employed),
                "channel": _only(channel[h, w], employed),
            },
            twice=0.0005,
        )

    def income(self) -> pl.DataFrame:
        """Wages by half-year (by quarter for those on a payroll), sales twice a year, transfers by quarter,
        property once a year.
        """
        people, c = self.people, self.calendar
        rng = self.rng("income")
        parts: list[tuple[Any, ...]] = []
        span = range(c.begin, c.last + 1)
        candour = np.exp(rng.normal(-0.06, 0.22, self.n))  # a household's habit of reporting more or less
        payroll = rng.random((self.n, WORKERS)) < 0.25
        pay = np.nan_to_num(self.lived.wages)
        for m in span:
            moy = c.month_of_year[m]
            if moy % 3 == 2:
                total = pay[:, :, m - 2 : m + 1].sum(2) * payroll
                h, w = np.nonzero(total > 0)
                parts.append((h, people.worker[h, w], np.full(len(h), m), "wage", total[h, w], 20, 60))
                money = self.lived.fixed.transfers[:, m - 2 : m + 1].sum(1) * self.lived.world.prices[m]
                h = np.flatnonzero((money > 150) & (self.lived.fixed.size[:, m] > 0))
                parts.append((h, np.full(len(h), -1), np.full(len(h), m), "transfer", money[h], 5, 30))
            if moy in (5, 11):
                total = (
                    (pay[:, :, m - 5 : m + 1].sum(2) * ~payroll).sum(1)
                    * candour
                    * np.exp(rng.normal(0, 0.15, self.n))
                )
                h = np.flatnonzero(total > 0)
                parts.append((h, np.full(len(h), -1), np.full(len(h), m), "wage", total[h], 20, 75))
                total = (
                    self.lived.farm[:, m - 5 : m + 1].sum(1)
                    * 1.5
                    * candour
                    * np.exp(rng.normal(0, 0.15, self.n))
                )
                h = np.flatnonzero(total > 50)
                parts.append((h, np.full(len(h), -1), np.full(len(h), m), "business", total[h], 25, 110))
            if moy == 11:
                h = np.flatnonzero((people.resilience > 1.1) & (self.lived.fixed.size[:, m] > 0))
                parts.append(
                    (
                        h,
                        np.full(len(h), -1),
                        np.full(len(h), m),
                        "property",
                        900 * np.exp(rng.normal(0, 0.8, len(h))),
                        20,
                        70,
                    )
                )
        return self._money(parts, rng, "income", "source", people.member_id)

    def expenditure(self) -> pl.DataFrame:
        """Production beside sales, fees by term, living and debt by half-year, care, and what a disaster
        cost.
        """
        people, c = self.people, self.calendar
        rng = self.rng("expenditure")
        parts: list[tuple[Any, ...]] = []
        prices = self.lived.world.prices
        for m in range(c.begin, c.last + 1):
            moy = c.month_of_year[m]
            if moy in (5, 11):
                total = self.lived.farm[:, m - 5 : m + 1].sum(1) * 0.5 * np.exp(rng.normal(0, 0.2, self.n))
                h = np.flatnonzero(total > 50)
                parts.append((h, _nobody(h), np.full(len(h), m), "production", total[h], 25, 110))
                total = (
                    self.lived.fixed.size[:, m]
                    * 3_600
                    * prices[m]
                    * np.exp(rng.normal(0, 0.25, self.n) + 0.2 * people.productivity)
                )
                h = np.flatnonzero((total > 0) & (rng.random(self.n) < 0.55))
                parts.append((h, _nobody(h), np.full(len(h), m), "living", total[h], 25, 90))
                h = np.flatnonzero((people.debt > 0) & (self.lived.fixed.size[:, m] > 0))
                parts.append(
                    (
                        h,
                        _nobody(h),
                        np.full(len(h), m),
                        "debt",
                        people.debt[h] * 0.12 * np.exp(rng.normal(0, 0.2, len(h))),
                        25,
                        90,
                    )
                )
            if moy in (1, 8):
                fees = self.lived.fixed.tuition[:, m] * 6 * prices[m] * np.exp(rng.normal(0, 0.15, self.n))
                h = np.flatnonzero((fees > 0) & (rng.random(self.n) < 0.9))
                parts.append((h, _nobody(h), np.full(len(h), m), "education", fees[h], 15, 60))
        rows = np.flatnonzero(
            (self.kind == life.SHOCK)
            & np.isin(self.lived.events[:, life.E_A], (2, 4))
            & (self.month >= c.begin)
        )
        parts.append(
            (
                self.of[rows],
                _nobody(rows),
                self.month[rows],
                "disaster",
                self.lived.events[rows, life.E_B] * 0.5,
                20,
                120,
            )
        )
        rows = np.flatnonzero(self.lived.trait(life.T_DISABLED) > 0)
        halves = np.arange(c.begin + 5, c.last + 1, 6)
        cared = np.repeat(rows, len(halves))
        parts.append(
            (
                cared,
                _nobody(cared),
                np.tile(halves, len(rows)),
                "care",
                1_500 * np.exp(rng.normal(0, 0.5, len(cared))),
                20,
                90,
            )
        )
        rows = np.flatnonzero(rng.random(self.n) < 0.03)
        parts.append(
            (
                rows,
                _nobody(rows),
                rng.integers(c.begin, c.last + 1, len(rows)),
                "housing",
                20_000 * np.exp(rng.normal(0, 0.6, len(rows))),
                20,
                90,
            )
        )
        return self._money(parts, rng, "expenditure", "purpose", None)

    def _money(
        self,
        parts: Sequence[tuple[Any, ...]],
        rng: np.random.Generator,
        table: str,
        column: str,
        member: npt.NDArray[np.object_] | None,
    ) -> pl.DataFrame:
        household = np.concatenate([part[0] for part in parts])
        month = np.concatenate([part[2] for part in parts])
        what = np.concatenate([np.full(len(part[0]), part[3], object) for part in parts])
        amount = np.concatenate([part[4] for part in parts]).astype(float)
        lag = np.concatenate([rng.integers(part[5], part[6] + 1, len(part[0])) for part in parts])
        occurred = self.starts[month + 1] - 1
        person = np.concatenate([part[1] for part in parts])
        # The last pay of somebody who left is booked on the last day.
        last_day = np.where(person >= 0, self.left_day[np.maximum(person, 0)], np.datetime64("NaT"))
        occurred = np.fmin(occurred, last_day)
        columns: dict[str, Values] = {
            "household_id": self.households_by[household],
            "occurred_on": occurred,
            "known_on": occurred + lag,
            column: what,
            "amount": np.round(amount, 0),
        }
        if member is not None:
            columns["member_id"] = _only(member[np.maximum(person, 0)], person >= 0)
        return self._corrected(self.frame(table, columns, twice=0.0005), table, 0.008)

    def _corrected(self, frame: pl.DataFrame, table: str, share: float) -> pl.DataFrame:
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

    # Health -------------------------------------------------------------------------------------------------

    def medical(self) -> pl.DataFrame:
        """Hospital bills of the household's life, and the small claims of every day. Settlement takes weeks
        to months.
        """
        people, c = self.people, self.calendar
        rng = self.rng("medical")
        rows = np.flatnonzero((self.kind == life.MEDICAL) & (self.month >= c.begin))
        person = self.patients[rows]
        rows, person = rows[person >= 0], person[person >= 0]
        e = self.lived.events[rows]
        total, reimbursed, compliant, days = e[:, life.E_A], e[:, life.E_B], e[:, life.E_C], e[:, life.E_D]
        month = self.month[rows]
        serious = np.isin(e[:, life.E_E], (1, 2))
        group = np.where(
            e[:, life.E_E] == 4,
            "S",
            np.where(
                serious,
                rng.choice(np.array(list("CCIIGNKE"), object), len(rows)),
                rng.choice(np.array(list("JKIMNOEH"), object), len(rows)),
            ),
        )
        away = rng.random(len(rows)) < np.where(serious, 0.45, 0.15)
        occurred = self.starts[month] + np.floor(e[:, life.E_U] * 28).astype(int)
        lag = (
            np.where(
                away,
                np.interp(month, [c.begin, c.last], [1.25, 0.65]) * rng.gamma(2.2, 32, len(rows)),
                6 + rng.gamma(2.0, 9, len(rows)),
            )
            .astype(int)
            .clip(1, 270)
        )
        parts: list[tuple[Any, ...]] = [
            (person, occurred, lag, "inpatient", total, reimbursed, compliant, days, group)
        ]
        # Small claims: outpatient visits of all, monthly medicine of the chronically ill (whose cost the
        # household's books carry).
        for m in range(c.begin, c.last + 1):
            age = people.ages(self.starts[m])
            here = people.present(m)
            rate = 0.055 * (1 + 0.6 * (age > 60) + 0.5 * (age < 6)) * here
            who = np.flatnonzero(rng.random(self.p) < rate)
            cost = 130 * np.exp(rng.normal(0, 0.8, len(who)))
            back = cost * np.where(people.insured[who], 0.42, 0)
            parts.append(
                (
                    who,
                    self.starts[m] + rng.integers(0, 28, len(who)),
                    4 + rng.gamma(1.6, 10, len(who)).astype(int),
                    "outpatient",
                    cost,
                    back,
                    0.85 * (cost - back),
                    None,
                    None,
                )
            )
            if c.month_of_year[m] % 2 == 0:
                home = people.home(m)
                ill = np.bincount(people.household, people.chronic, self.n)
                share = self.lived.trait(life.T_CHRONIC)[people.household] / np.maximum(
                    ill[people.household], 1
                )
                who = np.flatnonzero(
                    people.chronic
                    & here
                    & (home == people.household)
                    & (rng.random(self.p) < 0.62)
                    & (share > 0)
                )
                mine = (
                    2 * share[who] * self.lived.world.prices[m] / 0.62 * np.exp(rng.normal(0, 0.3, len(who)))
                )
                cost = mine / 0.45
                parts.append(
                    (
                        who,
                        self.starts[m] + rng.integers(0, 28, len(who)),
                        4 + rng.gamma(1.6, 12, len(who)).astype(int),
                        "chronic",
                        cost,
                        cost - mine / 0.92,
                        mine,
                        None,
                        None,
                    )
                )
        who = np.concatenate([part[0] for part in parts])
        # In the month of a birth there is no bill before the day of it.
        occurred = np.maximum(np.concatenate([part[1] for part in parts]), people.birth[who])
        total = np.round(np.concatenate([part[4] for part in parts]), 2)
        back = np.round(np.concatenate([part[5] for part in parts]), 2).clip(0)
        compliant = np.round(np.concatenate([part[6] for part in parts]), 2)
        size = [len(part[0]) for part in parts]
        stays = np.concatenate(
            [
                part[7] if part[7] is not None else np.full(k, np.nan)
                for part, k in zip(parts, size, strict=True)
            ]
        )
        groups = np.concatenate(
            [
                part[8] if part[8] is not None else rng.choice(np.array([*"JKIMRL", None], object), k)
                for part, k in zip(parts, size, strict=True)
            ]
        )
        paid = np.round(total - back, 2)
        compliant = np.minimum(compliant, paid)
        compliant[rng.random(len(compliant)) < 0.10] = np.nan
        frame = self.frame(
            "medical",
            {
                "member_id": self.members_by[who],
                "occurred_on": occurred,
                "known_on": occurred + np.concatenate([part[2] for part in parts]),
                "kind": np.concatenate(
                    [np.full(k, part[3], object) for part, k in zip(parts, size, strict=True)]
                ),
                "total_cost": total,
                "reimbursed": back,
                "self_paid": paid,
                "compliant_self_paid": compliant,
                "hospital_days": stays,
                "diagnosis_group": groups,
            },
            twice=0.0005,
        )
        return self._corrected(frame, "medical", 0.01)

    def disability(self) -> pl.DataFrame:
        """Certificates: those of old, those after accidents some months later, and new ones of age."""
        people, c = self.people, self.calendar
        rng = self.rng("disability")
        old = np.flatnonzero(
            (people.disabled_level > 0)
            & (people.joins < c.begin)
            & (people.leaves > c.begin)
            & (rng.random(self.p) < 0.93)
        )
        age_days = (self.start - people.birth[old]).astype(int)
        when = self.start - np.minimum(rng.integers(30, 3_000, len(old)), np.maximum(age_days - 1, 1))
        known = np.maximum(self.start, when + rng.integers(10, 60, len(old)))
        rows = np.flatnonzero(
            (self.kind == life.DISABLED) & (self.month >= c.begin) & (self.month < c.months - 8)
        )
        person = self.patients[rows]
        rows, person = rows[person >= 0], person[person >= 0]
        new = self.starts[self.month[rows] + 3] + rng.integers(0, 120, len(rows))
        age = people.ages(self.start)
        later = np.flatnonzero(
            (people.disabled_level == 0)
            & (people.leaves == NEVER)
            & (rng.random(self.p) < 0.0009 * (1 + (age > 55) * 2) * 4)
        )
        late = self.day(rng.integers(c.begin, c.last + 1, len(later)), rng)
        who = np.concatenate([old, person, later])
        occurred = np.concatenate([when, new, late])
        level = np.concatenate(
            [
                people.disabled_level[old],
                self.lived.events[rows, life.E_A].astype(int),
                rng.choice([2, 3, 4], len(later)),
            ]
        )
        kinds = np.array(
            ["physical", "vision", "hearing", "speech", "intellectual", "mental", "multiple"], object
        )
        until = occurred + 3_650
        frame = pl.DataFrame(
            {
                "member_id": _series("", people.member_id[who]),
                "occurred_on": _series("", occurred),
                "known_on": _series(
                    "",
                    np.concatenate(
                        [known, new + rng.integers(8, 50, len(rows)), late + rng.integers(8, 50, len(later))]
                    ),
                ),
                "kind": _series("", rng.choice(kinds, len(who), p=[0.5, 0.13, 0.12, 0.03, 0.09, 0.09, 0.04])),
                "level": level,
                "valid_until": _series("", np.where(rng.random(len(who)) < 0.8, until, np.datetime64("NaT"))),
            }
        )
        # Nobody is certified before birth or after having left.
        frame = frame.filter(~pl.Series((occurred < people.birth[who]) | (occurred > self.left_day[who])))
        frame = frame.filter(pl.col("known_on") <= c.end)
        ids = (
            pl.Series("event_id", rng.permutation(frame.height))
            .cast(pl.String)
            .str.zfill(7)
            .str.replace("^", "DI")
        )
        return frame.with_columns(ids).sort("known_on", "event_id")

    # Shocks and help ----------------------------------------------------------------------------------------

    def shocks(self) -> pl.DataFrame:
        """Of the household: accidents, fire, failed projects. Of areas: floods and falling prices, some
        announced before.
        """
        c = self.calendar
        rng = self.rng("shocks")
        rows = np.flatnonzero((self.kind == life.SHOCK) & (self.month >= c.begin))
        rows = rows[rng.random(len(rows)) < np.where(self.lived.events[rows, life.E_A] == 4, 0.5, 0.8)]
        e = self.lived.events[rows]
        occurred = self.starts[self.month[rows]] + np.floor(e[:, life.E_U] * 28).astype(int)
        loss = np.where(
            rng.random(len(rows)) < 0.8,
            np.round(e[:, life.E_B] * np.exp(rng.normal(0, 0.2, len(rows))), -2),
            np.nan,
        )
        # Work lost, as far as somebody reported it.
        pay = self.lived.wages[:, :, c.begin : c.last + 1]
        h, _, m = np.nonzero((pay[:, :, 1:] == 0) & (pay[:, :, :-1] > 0))
        reported = rng.random(len(h)) < 0.12
        h, m = h[reported], m[reported] + c.begin + 1
        lost = self.starts[m] + rng.integers(0, 28, len(h))
        # Weather over villages, some of it announced; prices that fall in the whole county.
        v, storm = np.nonzero(self.lived.sky.flood[:, c.begin :])
        storm += c.begin
        weather = self.starts[storm] + rng.integers(0, 28, len(storm))
        weather_kinds = rng.choice(
            np.array(["flood", "landslide", "hail", "drought"], object),
            len(storm),
            p=[0.62, 0.13, 0.13, 0.12],
        )
        months = np.nonzero(np.diff(self.lived.sky.price, axis=1) < -0.1)[1]
        fall = self.starts[months[months + 1 >= c.begin] + 1] + 10
        nobody = np.full(len(weather) + len(fall), None, object)
        own = np.concatenate([self.of[rows], h])
        columns = {
            "household_id": np.concatenate([self.people.household_id[own], nobody]),
            "area_code": np.concatenate(
                [np.full(len(own), None, object), self.areas.code[v], np.full(len(fall), COUNTY, object)]
            ),
            "occurred_on": np.concatenate([occurred, lost, weather, fall]),
            "known_on": np.concatenate(
                [
                    occurred + rng.integers(2, 30, len(occurred)),
                    lost + rng.integers(5, 60, len(lost)),
                    weather + rng.integers(-3, 12, len(weather)),
                    fall + rng.integers(0, 30, len(fall)),
                ]
            ),
            "kind": np.concatenate(
                [
                    SHOCK_KINDS[e[:, life.E_A].astype(int)],
                    np.full(len(h), "job_loss", object),
                    weather_kinds,
                    np.full(len(fall), "price_drop", object),
                ]
            ),
            "loss": np.concatenate([loss, np.full(len(h) + len(nobody), np.nan)]),
        }
        return self.frame("shocks", columns).filter(pl.col("occurred_on") >= c.start)

    def assistance(self) -> pl.DataFrame:
        """Measures of old for lifted households, and, after a risk was found, those that answer it (known
        soon after: leak bait).
        """
        rng = self.rng("assistance")
        measures = np.array(
            ["industry", "employment", "public_post", "finance", "health", "education", "social"], object
        )
        aid = self.lived.trait(life.T_AID)
        h, _ = np.nonzero(rng.random((self.n, 3)) < aid[:, None] * 0.8)
        begun = self.start - rng.integers(-900, 700, len(h))
        of, day, _ = self.found
        helped = np.flatnonzero(rng.random(len(of)) < 0.92)
        answers = np.array(
            [
                "health",
                "safety_net",
                "employment",
                "education",
                "public_post",
                "housing",
                "social",
                "industry",
            ],
            object,
        )
        given = np.concatenate([helped, helped[rng.random(len(helped)) < 0.45]])
        start = day[given] + rng.integers(5, 75, len(given))
        household = np.concatenate([h, of[given]])
        occurred = np.concatenate([begun, start])
        ends = np.where(
            rng.random(len(household)) < 0.4,
            occurred + rng.integers(180, 900, len(household)),
            np.datetime64("NaT"),
        )
        amount = np.where(
            rng.random(len(household)) < 0.7,
            np.round(np.exp(rng.normal(7.3, 0.8, len(household))), -1),
            np.nan,
        )
        return self.frame(
            "assistance",
            {
                "household_id": self.households_by[household],
                "occurred_on": occurred,
                "known_on": occurred + rng.integers(-5, 40, len(household)),
                "ended_on": ends,
                "measure": np.concatenate(
                    [
                        measures[rng.integers(0, len(measures), len(h))],
                        rng.choice(answers, len(given), p=[0.3, 0.2, 0.15, 0.08, 0.1, 0.05, 0.07, 0.05]),
                    ]
                ),
                "amount": amount,
            },
        )

    def authorisations(self) -> pl.DataFrame:
        """Permission to look up assets: given with most confirmations and with some visits; now and then
        taken back.
        """
        rng = self.rng("authorisations")
        of, day, _ = self.found
        pick = rng.random(len(of)) < 0.9
        of2, day2, _ = self.false_leads
        pick2 = rng.random(len(of2)) < 0.3
        others = np.flatnonzero(rng.random(self.n) < 0.05)
        household = np.concatenate([of[pick], of2[pick2], others])
        occurred = np.concatenate([day[pick], day2[pick2], self.start + rng.integers(0, 1_200, len(others))])
        revoked = np.where(
            rng.random(len(household)) < 0.04,
            occurred + rng.integers(20, 700, len(household)),
            np.datetime64("NaT"),
        )
        self.granted = (household, occurred)
        return self.frame(
            "authorisations",
            {
                "household_id": self.households_by[household],
                "occurred_on": occurred,
                "known_on": occurred + rng.integers(0, 6, len(household)),
                "revoked_on": np.where(revoked <= self.end, revoked, np.datetime64("NaT")),
                "scope": np.where(rng.random(len(household)) < 0.9, "assets", "finance").astype(object),
            },
        )

    def assets(self) -> pl.DataFrame:
        """What the look-up found."""
        rng = self.rng("assets")
        household, granted = self.granted
        chance = 1 / (
            1
            + np.exp(
                -(-0.6 + 0.7 * self.people.resilience[household] + 1.2 * self.people.productivity[household])
            )
        )
        rows = np.concatenate([np.flatnonzero(rng.random(len(household)) < chance) for _ in range(2)])
        occurred = granted[rows] + rng.integers(2, 30, len(rows))
        kinds = np.array(["vehicle", "housing", "business", "deposit", "machinery"], object)
        return self.frame(
            "assets",
            {
                "household_id": self.people.household_id[household[rows]],
                "occurred_on": occurred,
                "known_on": occurred + rng.integers(1, 20, len(rows)),
                "kind": rng.choice(kinds, len(rows), p=[0.35, 0.1, 0.1, 0.3, 0.15]),
                "value": np.where(
                    rng.random(len(rows)) < 0.88,
                    np.round(np.exp(rng.normal(9.8, 0.9, len(rows))), -2),
                    np.nan,
                ),
            },
        )

    def policy(self) -> pl.DataFrame:
        """The lines by which this county's households lived, so that no project file has to know them."""
        rows = []
        for year in range(self.calendar.first.year - 1, self.calendar.end.year + 2):
            line = line_of(year, 7)
            rows.append((COUNTY, "monitoring_line", dt.date(year, 7, 1), line, SOURCE))
            rows.append((COUNTY, "dibao_standard", dt.date(year, 7, 1), round(0.72 * line, -1), SOURCE))
            rows.append(
                (
                    COUNTY,
                    "disposable_income",
                    dt.date(year, 2, 1),
                    round(13_700 * 1.07 ** (year - 2023), -1),
                    SOURCE,
                )
            )
        names = ["area_code", "name", "valid_from", "value", "source"]
        return pl.DataFrame(rows, schema=names, orient="row").sort("name", "valid_from")


def _only(values: Text, mask: Flags) -> Text:
    """The values where the mask holds, missing elsewhere."""
    out = values.copy()
    out[~mask] = None
    return out


def _nobody(households: Ints) -> Ints:
    """No person: the row is the household's."""
    return np.full(len(households), -1)


def _plain(
    of: Ints, day: Days, origin: str, outcome: str
) -> tuple[Ints, Days, npt.NDArray[np.object_], npt.NDArray[np.object_], None, None]:
    return of, day, np.full(len(of), origin, object), np.full(len(of), outcome, object), None, None


def _series(name: str, values: Values) -> pl.Series:
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
