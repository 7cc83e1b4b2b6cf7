"""Tables of state: `households`, `members` and `guarantees`."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from riskmodel.synthetic import life
from riskmodel.synthetic.people import COUNTY, EDUCATION, NEVER, RELATIONS
from riskmodel.synthetic.recorder import Recorder, only, series


class RegisterRecords(Recorder):
    """Who lives where, and what each household has secured."""

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
                "household_id": series("", people.household_id[of]),
                "known_on": series("known_on", known),
                "county_code": pl.Series([COUNTY] * len(of)),
                "township_code": series("", areas.township[village]),
                "village_code": series("", areas.code[village]),
                "category": series("", np.where(people.lifted[of], "lifted", "general").astype(object)),
                "relocated": people.relocated[of],
                "relocation_site": series("", only(areas.code[village], people.relocated[of])),
                "cultivated_land_mu": people.land[of],
                "distance_km": pl.Series(distance).fill_nan(None),
                "housing_grade": series("", grade),
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
                "member_id": series("", people.member_id[person]),
                "known_on": series("known_on", known),
                "household_id": series("", people.household_id[home]),
                "birth_date": series("", people.birth[person]),
                "sex": series("", np.where(people.male[person], "male", "female").astype(object)),
                "relation": series("", np.array(RELATIONS, object)[people.relation[person]]),
                "education": series("", np.array(EDUCATION, object)[attained]),
                "schooling": series("", school),
                "chronic_ill": people.chronic[person] & (age > 1),
                "seriously_ill": seriously,
                "labour": series("", labour),
                "medical_insured": people.insured[person],
                "pension_insured": pension[person] & (age >= 16),
                "dibao": dibao,
                "tekun": alone & (age > 62) & (labour == "none") & (person % 3 == 0) & ~dibao,
                "ethnic_minority": pl.Series(minority.tolist(), dtype=pl.Boolean),
                "left_on": series("", left),
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
                "household_id": series("", people.household_id[keys["h"].to_numpy()]),
                "known_on": keys["d"].cast(pl.Date),
                **{name: flags[:, k] for k, name in enumerate(names)},
            }
        )
        return frame.filter(pl.col("known_on") <= c.end).sort("known_on", "household_id")
