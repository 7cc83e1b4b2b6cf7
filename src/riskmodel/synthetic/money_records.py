"""Tables of work and money: `employment`, `income` and `expenditure`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.synthetic import life, seeds
from riskmodel.synthetic.people import WORKERS, Ints
from riskmodel.synthetic.recorder import Recorder, Values, only


class MoneyRecords(Recorder):
    """What households earn and spend, as it is booked."""

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
                "place": only(place[h, w], employed),
                "channel": only(channel[h, w], employed),
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
            columns["member_id"] = only(member[np.maximum(person, 0)], person >= 0)
        return self.corrected(self.frame(table, columns, twice=0.0005), table, 0.008)


def _nobody(households: Ints) -> Ints:
    """No person: the row is the household's."""
    return np.full(len(households), -1)
