"""Tables of health: `medical` and `disability`."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from riskmodel.synthetic import life
from riskmodel.synthetic.people import NEVER
from riskmodel.synthetic.recorder import Recorder, series


class HealthRecords(Recorder):
    """Bills and certificates."""

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
        return self.corrected(frame, "medical", 0.01)

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
                "member_id": series("", people.member_id[who]),
                "occurred_on": series("", occurred),
                "known_on": series(
                    "",
                    np.concatenate(
                        [known, new + rng.integers(8, 50, len(rows)), late + rng.integers(8, 50, len(later))]
                    ),
                ),
                "kind": series("", rng.choice(kinds, len(who), p=[0.5, 0.13, 0.12, 0.03, 0.09, 0.09, 0.04])),
                "level": level,
                "valid_until": series("", np.where(rng.random(len(who)) < 0.8, until, np.datetime64("NaT"))),
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
