"""Tables of blows and of help: `shocks`, `assistance`, `authorisations`, `assets` and `policy`."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from riskmodel.synthetic import life
from riskmodel.synthetic.people import COUNTY
from riskmodel.synthetic.recorder import Recorder
from riskmodel.synthetic.run import line_of

SHOCK_KINDS = np.array(["traffic_accident", "work_accident", "fire", "business_failure", "flood"], object)
SOURCE = "synthetic county: stylised, not a published value"


class HelpRecords(Recorder):
    """What struck households, what was done for them, and which values were in force."""

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
