"""Who lives in the county: areas, households, members, their latent traits, and the calendar of births,
deaths, marriages and moves.

Everything here is drawn once, before the months begin. Arrays are aligned: one entry a household (N) or a
person (P); months count from the first simulated month, `BURN_IN` months before the data begin, so
that windows are filled and a backlog exists.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

COUNTY = "522301"
BURN_IN = 24
AFTER = 12  # months simulated after `end`: only the truth sees them
WORKERS = 3
NEVER = 10_000

RELATIONS = ("head", "spouse", "child", "grandchild", "parent", "grandparent", "sibling", "other")
HEAD, SPOUSE, CHILD, GRANDCHILD, PARENT, GRANDPARENT, SIBLING, OTHER = range(8)
EDUCATION = ("illiterate", "primary", "junior", "senior", "college")


@dataclass(frozen=True)
class Calendar:
    """The simulated months. `first` is the first day of month 0; the data begin at month `begin` and end on
    `end`.
    """

    first: dt.date
    start: dt.date
    end: dt.date
    begin: int
    last: int  # the month that holds `end`
    months: int  # simulated in all

    @classmethod
    def of(cls, years: int, end: dt.date) -> Calendar:
        """The calendar of so many years of data up to the month of `end`, with `BURN_IN` months before and
        `AFTER` months after them."""
        last_index = end.year * 12 + end.month - 1
        begin_index = last_index - years * 12 + 1
        first_index = begin_index - BURN_IN
        return cls(
            first=_day(first_index),
            start=_day(begin_index),
            end=end,
            begin=BURN_IN,
            last=last_index - first_index,
            months=last_index - first_index + 1 + AFTER,
        )

    @property
    def month_starts(self) -> npt.NDArray[np.datetime64]:
        """First day of each simulated month, and of the month after the last."""
        first = np.datetime64(self.first, "M")
        return (first + np.arange(self.months + 1)).astype("datetime64[D]")

    @property
    def month_of_year(self) -> Ints:
        """0 for January, for each simulated month."""
        return (np.arange(self.months) + self.first.month - 1) % 12

    @property
    def year(self) -> Ints:
        """Calendar year of each month, shape (months,)."""
        return self.first.year + (np.arange(self.months) + self.first.month - 1) // 12


def _day(month_index: int) -> dt.date:
    return dt.date(month_index // 12, month_index % 12 + 1, 1)


def opaque(prefix: str, seed: int, count: int, digits: int) -> npt.NDArray[np.object_]:
    """`count` opaque ids, prefix and digits: a keyed permutation of numbers, so that adjacent rows of a file
    are not neighbours.
    """
    key = hashlib.blake2b(f"{prefix}{seed}".encode(), digest_size=8, key=b"riskmodel-synthetic").digest()
    numbers = np.random.default_rng(int.from_bytes(key, "little")).permutation(count)
    width = max(digits, len(str(count)))
    return np.char.add(prefix, np.char.zfill(numbers.astype(str), width)).astype(object)


@dataclass(frozen=True)
class SyntheticAreas:
    """Villages with what makes them differ. Arrays have one entry a village."""

    township: npt.NDArray[np.object_]
    code: npt.NDArray[np.object_]
    remoteness: Floats
    flood_risk: Floats
    effect: Floats  # on income, latent
    diligence: Floats  # how soon cadres see and report
    crop: Ints  # 0 rice and maize, 1 tea and fruit, 2 cattle and pigs
    minority: Floats  # share
    is_site: Flags  # a resettlement site


def make_areas(households: int, rng: np.random.Generator) -> tuple[SyntheticAreas, Ints]:
    """Areas, and the village of each household."""
    villages = max(4, round(households / 95))
    townships = int(np.clip(round(villages / 13), 2, 60))
    of_township = np.sort(np.arange(villages) % townships)
    within = np.arange(villages) - np.searchsorted(of_township, of_township)
    township = np.array([f"{COUNTY}{100 + 2 * t:03d}" for t in range(townships)], dtype=object)[of_township]
    code = np.array([f"{t}{200 + w:03d}" for t, w in zip(township, within, strict=True)], dtype=object)
    far = rng.normal(0, 0.6, townships)[of_township] + rng.normal(0, 0.8, villages)
    areas = SyntheticAreas(
        township=township,
        code=code,
        remoteness=far,
        flood_risk=rng.gamma(1.3, 0.8, villages) * np.where(rng.random(villages) < 0.35, 1.8, 0.5),
        effect=-0.10 * far + rng.normal(0, 0.10, villages) + rng.normal(0, 0.05, townships)[of_township],
        diligence=np.exp(rng.normal(0, 0.35, villages)),
        crop=rng.choice(3, villages, p=[0.5, 0.25, 0.25]),
        minority=np.clip(rng.beta(0.7, 0.9, villages) + 0.1 * far, 0, 1),
        is_site=np.arange(villages) % 23 == 11,
    )
    weights = rng.gamma(6.0, 1.0, villages)
    return areas, rng.choice(villages, households, p=weights / weights.sum())


@dataclass
class People:
    """Households and persons. Months are counted from the first simulated month."""

    # households (N)
    household_id: npt.NDArray[np.object_]
    village: Ints
    lifted: Flags
    relocated: Flags
    productivity: Floats  # log, latent
    resilience: Floats  # latent; housing, savings and schooling show some of it
    frailty: Floats  # latent lifelong effect, no record shows it
    land: Floats
    industry: Flags  # took part in a village industry project
    debt: Floats
    savings: Floats
    housing: Ints  # 0 A … 3 D
    water_ok: Flags
    distance: Floats
    moves_at: Ints
    moves_to: Ints
    # persons (P)
    member_id: npt.NDArray[np.object_]
    household: Ints
    birth: npt.NDArray[np.datetime64]
    male: Flags
    relation: Ints
    education: Ints
    chronic: Flags
    disabled_level: Ints  # 0 none, 1 gravest … 4
    minority: Flags
    insured: Flags
    joins: Ints  # month the person joins (birth, marriage), -1: there from the beginning
    leaves: Ints  # month of death, marriage or moving out, NEVER
    switch_at: Ints  # month the person changes household, NEVER
    switch_to: Ints
    # worker slots (N, WORKERS)
    worker: Ints  # person, -1 none
    worker_from: Ints
    worker_until: Ints
    wage_log: Floats  # nan: works on the farm

    def ages(self, day: np.datetime64) -> Floats:
        """Age in years of each person on a day (negative: not yet born)."""
        return np.asarray((day - self.birth).astype(np.float64) / 365.25)

    def home(self, month: int) -> Ints:
        """Household of each person in a month."""
        return np.where(self.switch_at <= month, self.switch_to, self.household)

    def present(self, month: int) -> Flags:
        """Whether the person lives in the household in a month."""
        return (self.joins <= month) & (self.leaves > month)


def make_people(
    households: int, calendar: Calendar, seed: int, rng: np.random.Generator
) -> tuple[SyntheticAreas, People]:
    """Draw the county's population as of the first simulated month, and its calendar of changes."""
    n = households
    areas, village = make_areas(n, rng)
    remote = areas.remoteness[village]
    lifted = rng.random(n) < 1 / (1 + np.exp(-(-1.15 + 0.45 * remote)))
    relocated = np.where(lifted, rng.random(n) < 0.14, False)
    sites = np.flatnonzero(areas.is_site)
    if len(sites):
        village = np.where(relocated, rng.choice(sites, n), village)
    resilience = rng.normal(0, 1, n)
    productivity = rng.normal(0, 0.27, n) + 0.10 * resilience - 0.25 * lifted + areas.effect[village]
    land = np.round(np.exp(rng.normal(1.4, 0.55, n)) * np.where(relocated, 0.35, 1), 1)
    industry = rng.random(n) < np.where(lifted, 0.34, 0.14)

    kind = rng.choice(7, n, p=[0.33, 0.23, 0.13, 0.06, 0.05, 0.08, 0.12])
    low = np.array([26, 32, 60, 64, 57, 34, 46])[kind]
    high = np.array([50, 54, 80, 88, 72, 54, 62])[kind]
    head_age = low + (high - low) * rng.beta(1.5, 1.5, n)
    head_male = rng.random(n) < np.where(kind == 3, 0.45, 0.86)
    parts: list[tuple[Ints, Floats, Flags, Ints]] = []  # household, age, male, relation

    def add(mask: Flags, age: Floats, male: Flags, relation: int) -> None:
        where = np.flatnonzero(mask)
        parts.append((where, age[where], male[where], np.full(len(where), relation)))

    add(np.ones(n, bool), head_age, head_male, HEAD)
    couple = (
        np.isin(kind, (0, 1, 6)) & (rng.random(n) < 0.93) | (kind == 2) | (kind == 4) & (rng.random(n) < 0.6)
    )
    add(couple, head_age - rng.normal(1.5, 2.5, n), ~head_male, SPOUSE)
    children = np.select(
        [kind == 0, kind == 1, kind == 6, kind == 5],
        [rng.poisson(1.6, n), rng.poisson(1.7, n), rng.poisson(1.6, n), (rng.random(n) < 0.25).astype(int)],
        0,
    )
    first_birth = rng.normal(25, 3, n).clip(19, 36)
    for order in range(4):
        age = head_age - first_birth - order * (2.0 + 1.5 * rng.random(n))
        ok = (children > order) & (age > 0) & (age < 33)
        add(ok, age, rng.random(n) < 0.53, CHILD)
    add((kind == 6) & (rng.random(n) < 0.30), rng.uniform(0, 8, n), rng.random(n) < 0.52, GRANDCHILD)
    parents = np.select(
        [kind == 1, kind == 5], [1 + (rng.random(n) < 0.55), (rng.random(n) < 0.75).astype(int)], 0
    )
    add(parents > 0, head_age + rng.normal(24, 3, n), rng.random(n) < 0.35, PARENT)
    add(parents > 1, head_age + rng.normal(25, 3, n), rng.random(n) < 0.75, PARENT)
    add(
        (kind == 1) & (rng.random(n) < 0.03),
        head_age + rng.normal(46, 3, n).clip(40, 55),
        rng.random(n) < 0.3,
        GRANDPARENT,
    )
    add(kind == 4, rng.uniform(2, 15, n), rng.random(n) < 0.52, GRANDCHILD)
    add((kind == 4) & (rng.random(n) < 0.5), rng.uniform(2, 15, n), rng.random(n) < 0.52, GRANDCHILD)
    add((kind == 5) & (rng.random(n) < 0.2), head_age + rng.normal(0, 5, n), rng.random(n) < 0.7, SIBLING)

    household = np.concatenate([part[0] for part in parts])
    order_ = np.argsort(household, kind="stable")
    household = household[order_]
    age = np.concatenate([part[1] for part in parts])[order_].clip(0.05, 99)
    male = np.concatenate([part[2] for part in parts])[order_]
    relation = np.concatenate([part[3] for part in parts])[order_]
    base = np.datetime64(calendar.first, "D")
    birth = base - np.round(age * 365.25).astype("timedelta64[D]")
    joins = np.full(len(household), -1)

    # Those who come later: births, and wives and husbands who marry in.
    months = calendar.months
    fertile = (relation == HEAD) & np.isin(kind[household], (0, 1)) & (age > 20) & (age < 36)
    born = np.flatnonzero(fertile & (rng.random(len(age)) < 0.055 / 12 * months))
    groom = np.flatnonzero(
        (relation == CHILD) & male & (age > 18) & (age < 29) & (rng.random(len(age)) < 0.045 / 12 * months)
    )
    born_at = rng.integers(1, months, len(born))
    wed_at = rng.integers(1, months, len(groom))
    household = np.concatenate([household, household[born], household[groom]])
    male = np.concatenate([male, rng.random(len(born)) < 0.52, np.zeros(len(groom), bool)])
    relation = np.concatenate([relation, np.full(len(born), CHILD), np.full(len(groom), OTHER)])
    starts = calendar.month_starts
    birth = np.concatenate(
        [
            birth,
            starts[born_at] + rng.integers(0, 27, len(born)),
            birth[groom] + rng.integers(-900, 900, len(groom)),
        ]
    )
    joins = np.concatenate([joins, born_at, wed_at])
    order_ = np.argsort(household, kind="stable")
    household, male, relation = household[order_], male[order_], relation[order_]
    birth, joins = birth[order_], joins[order_]
    p = len(household)
    age = np.asarray((base - birth).astype(np.float64) / 365.25)

    # Education by birth cohort and by the household's resilience, which this shows in part.
    year = birth.astype("datetime64[Y]").astype(int) + 1970
    score = (
        (year - 1972) / 14
        + 0.35 * resilience[household]
        + 0.25 * male
        - 0.12 * remote[household]
        + rng.normal(0, 0.8, p)
    )
    education = np.digitize(score, [-1.6, -0.2, 1.5, 2.4])
    education = np.minimum(education, np.digitize(age, [6.5, 12.5, 15.5, 18.5]))

    # Hazards of leaving: death by Gompertz, marriage and moving out of the young.
    death = 0.0009 * np.exp(0.088 * (np.maximum(age, 0) - 45)) / 12
    bride = (relation == CHILD) & ~male & (age > 18) & (age < 28)
    out = np.where(bride, 0.05 / 12, np.where((relation == CHILD) & (age > 18), 0.012 / 12, 0.0003 / 12))
    wait = rng.exponential(1, p) / (death + out)
    leaves = np.where(wait < months - np.maximum(joins, 0), np.maximum(joins, 0) + 1 + wait, NEVER).astype(
        np.int64
    )

    # A few persons change household within the village: mostly parents who go to live with another child.
    switcher = ((relation == PARENT) & (rng.random(p) < 0.012 * months / 12)) | (
        rng.random(p) < 0.0006 * months / 12
    )
    switcher &= (relation != HEAD) & (joins < 0) & (leaves == NEVER)
    by_village = np.argsort(village, kind="stable")
    place = np.empty(n, np.int64)
    place[by_village] = np.arange(n)
    neighbour = by_village[(place + 1) % n]
    switch_to = neighbour[household]
    switcher &= village[switch_to] == village[household]
    switch_at = np.where(switcher, rng.integers(BURN_IN + 1, months, p), NEVER)
    # Nobody moves out of a household that ends with the move, or into one in which nobody is left: both heads
    # are there.
    head_leaves = np.zeros(n, np.int64)
    head_leaves[household[relation == HEAD]] = leaves[relation == HEAD]
    both_there = np.minimum(head_leaves[household], head_leaves[switch_to]) > switch_at
    switch_at = np.where(both_there, switch_at, NEVER)

    chronic = rng.random(p) < np.clip(
        0.015 * np.exp(0.048 * np.maximum(age, 0)) * np.exp(-0.15 * resilience[household]), 0, 0.6
    )
    disabled = rng.random(p) < np.clip(0.012 + 0.0012 * np.maximum(age - 30, 0), 0, 0.12)
    level = np.where(disabled, rng.choice([1, 2, 3, 4], p, p=[0.12, 0.28, 0.25, 0.35]), 0)
    insured = rng.random(p) < np.where(lifted[household], 0.985, 0.95)

    # Three worker slots a household, for those of working age now or soon, the most productive first.
    can = (age > 13) & (age < 63) & ~((level > 0) & (level <= 2)) & (joins < 0)
    value = -np.abs(age - 38) / 20 + 0.15 * education + 0.3 * male + rng.normal(0, 0.3, p)
    worker = np.full((n, WORKERS), -1)
    ranked = np.lexsort((-value, household))
    ranked = ranked[can[ranked]]
    slot = np.arange(len(ranked)) - np.searchsorted(household[ranked], household[ranked])
    use = slot < WORKERS
    worker[household[ranked[use]], slot[use]] = ranked[use]
    has = worker >= 0
    leaves_school = np.array([16.5, 16.5, 16.5, 18.5, 22.5])[education]
    person = np.where(has, worker, 0)
    worker_from = np.where(has, np.maximum(0, (leaves_school[person] - age[person]) * 12), NEVER).astype(
        np.int64
    )
    until = np.minimum(leaves, switch_at)[person]
    worker_until = np.where(has, np.minimum(until, np.maximum(1, (67 - age[person]) * 12)), 0).astype(
        np.int64
    )
    young = np.clip((55 - age[person]) / 20, 0, 1)
    takes_wage = rng.random((n, WORKERS)) < 0.34 + 0.5 * young
    wage_log = (
        np.log(3050)
        + 0.10 * (education[person] - 2)
        + np.where(male[person], 0.10, -0.13)
        - 0.006 * np.abs(age[person] - 37)
        + productivity[:, None]
        + rng.normal(0, 0.22, (n, WORKERS))
    )
    wage_log = np.where(has & takes_wage, wage_log, np.nan)

    housing = np.digitize(resilience + rng.normal(0, 1.2, n), [-2.9, -1.6, 0.2])
    return areas, People(
        household_id=opaque("H", seed, n, 7),
        village=village,
        lifted=lifted,
        relocated=relocated,
        productivity=productivity,
        resilience=resilience,
        frailty=rng.normal(0, 1, n),
        land=land,
        industry=industry,
        debt=np.where(rng.random(n) < 0.28, np.exp(rng.normal(9.6, 0.8, n)), 0.0),
        savings=np.exp(rng.normal(8.9, 0.9, n) + 0.45 * resilience),
        housing=3 - housing,
        water_ok=rng.random(n) > 0.01 + 0.01 * (remote > 1),
        distance=np.asarray(np.round(np.exp(0.5 * remote + rng.normal(-0.3, 0.7, n)), 2), np.float64),
        moves_at=np.where(rng.random(n) < 0.006 * months / 12, rng.integers(BURN_IN + 1, months, n), NEVER),
        moves_to=rng.integers(0, len(areas.code), n),
        member_id=opaque("M", seed, p, 8),
        household=household,
        birth=birth,
        male=male,
        relation=relation,
        education=education,
        chronic=chronic,
        disabled_level=level,
        minority=(rng.random(n) < areas.minority[village])[household],
        insured=insured,
        joins=joins,
        leaves=leaves,
        switch_at=switch_at,
        switch_to=switch_to,
        worker=worker,
        worker_from=worker_from,
        worker_until=worker_until,
        wage_log=wage_log,
    )
