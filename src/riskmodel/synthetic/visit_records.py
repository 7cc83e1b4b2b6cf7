"""Tables of visits and of what led to them: `verifications` and `leads`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.synthetic import life
from riskmodel.synthetic.people import Floats, Ints
from riskmodel.synthetic.recorder import Days, Recorder, Values
from riskmodel.vocabulary import RISK_KINDS

CLASSES = np.array(["unstable_lifted", "marginal", "sudden"], object)


class VisitRecords(Recorder):
    """Who was visited, why, and with which result."""

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


def _plain(
    of: Ints, day: Days, origin: str, outcome: str
) -> tuple[Ints, Days, npt.NDArray[np.object_], npt.NDArray[np.object_], None, None]:
    """Visits of one origin and outcome, without risk kinds and object class."""
    return of, day, np.full(len(of), origin, object), np.full(len(of), outcome, object), None, None
