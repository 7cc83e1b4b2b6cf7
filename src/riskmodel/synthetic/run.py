"""Sets the county up, lets it live, and asks for the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riskmodel.synthetic import life, seeds
from riskmodel.synthetic.dynamics import Dynamics
from riskmodel.synthetic.people import WORKERS, Calendar, Flags, Floats, Ints, People, SyntheticAreas

# Monitoring line by year, in force from 1 July, yuan a person and year. Stylised after published lines: 7,300
# in Guizhou 2023; the national floor of 6,000 in 2021; 8,700 in Yunnan 2025. Years outside go on at 3.5 % a
# year.
MONITORING_LINES = {2020: 5_500, 2021: 6_000, 2022: 6_600, 2023: 7_300, 2024: 7_800, 2025: 8_200}


@dataclass
class Gap:
    """Guarantees that fail for a while: one entry a spell."""

    household: Ints
    column: Ints  # 0 food and clothing, 1 schooling, 2 medical cover, 3 housing, 4 water
    begins: Ints  # month
    ends: Ints


@dataclass
class Lived:
    """What happened, month by month. Never shown to anybody but the departments (`records`) and the truth."""

    calendar: Calendar
    areas: SyntheticAreas
    people: People
    fixed: life.Fixed
    world: life.World
    sky: life.Sky
    gap: Gap
    wages: npt.NDArray[np.float32]  # (N, WORKERS, M); nan: no wage worker, 0: without work
    farm: npt.NDArray[np.float32]  # (N, M)
    first_monitored: Flags  # (N,) before month 0
    events: Floats  # (E, life.EVENT)
    snapshots: Floats  # (K, N, life.STATE), state at the start of snapshot_months
    snapshot_months: Ints

    def trait(self, column: int) -> Floats:
        """One latent trait of every household, shape (N,). column: `life.T_…`."""
        return np.asarray(self.fixed.traits[:, column])


def line_of(year: int, month: int) -> float:
    """Monitoring line in a month (1 to 12). A new line comes into force on 1 July: lines change in
    mid-year.
    """
    year -= month < 7
    first, last = min(MONITORING_LINES), max(MONITORING_LINES)
    within = min(max(year, first), last)
    return float(round(MONITORING_LINES[within] * 1.035 ** (year - within), -2))


def live(
    areas: SyntheticAreas,
    people: People,
    calendar: Calendar,
    seed: int,
    snapshot_months: Ints,
    dynamics: Dynamics,
) -> Lived:
    """Run the county from the first simulated month to the last."""
    rng = seeds.stream(seed, seeds.WORLD)
    n, months = len(people.household_id), calendar.months
    areas = replace(areas, flood_risk=areas.flood_risk * dynamics.floods)
    world = make_world(areas, calendar, rng, dynamics, seeds.stream(seed, seeds.SKY))
    moy = calendar.month_of_year
    sky = life.Sky(draw_prices(moy, rng), draw_floods(areas.flood_risk, moy, rng))
    size = household_sizes(people, months)
    traits, loss, find = make_traits(areas, people, calendar, size, rng)
    traits[:, life.T_HIDDEN] **= dynamics.luck
    loss = np.minimum(loss * dynamics.job_loss, 0.3)
    gap = make_gaps(people, calendar, rng)
    fixed = life.Fixed(
        traits=traits,
        wage=np.exp(people.wage_log),
        loss=loss,
        find=find,
        worker_from=people.worker_from,
        worker_until=people.worker_until,
        size=size,
        transfers=make_transfers(people, calendar, traits[:, life.T_DIBAO]),
        tuition=make_tuition(people, calendar),
        gaps=gap_bits(gap, n, months),
        village=people.village,
        moves_at=people.moves_at,
        moves_to=people.moves_to,
    )
    state = first_state(people, fixed, rng)
    streams = _streams(seeds.stream(seed, seeds.LIVES), n)
    wages = np.full((n, WORKERS, months), np.nan, np.float32)
    farm = np.zeros((n, months), np.float32)
    snapshots = np.zeros((len(snapshot_months), n, life.STATE))
    room = n * months // 12 + 1_000
    while True:
        events, count = np.zeros((room, life.EVENT)), np.zeros(1, np.int64)
        log = life.EventLog(events, count, recording=True)
        monthly = life.Monthly(wages, farm, snapshots, snapshot_months)
        life.history(state.copy(), streams.copy(), life.County(fixed, world, sky), log, monthly)
        if count[0] <= room:
            break
        room = int(count[0])
    monitored = state[:, life.MONITORED] > 0
    return Lived(
        calendar=calendar,
        areas=areas,
        people=people,
        fixed=fixed,
        world=world,
        sky=sky,
        gap=gap,
        wages=wages,
        farm=farm,
        first_monitored=monitored,
        events=events[: count[0]],
        snapshots=snapshots,
        snapshot_months=snapshot_months,
    )


def true_probability(lived: Lived, seed: int, months: int = 12, draws: int = 12) -> Floats:
    """Chance of each household to be found within `months` of each snapshot, (K, N); nan for the monitored
    and the empty.
    """
    households = len(lived.people.household_id)
    result: Floats = np.zeros((len(lived.snapshot_months), households))
    for k, start in enumerate(lived.snapshot_months):
        rng = seeds.stream(seed, seeds.FUTURES, int(start))
        moy = lived.calendar.month_of_year[start : start + months]
        price = draw_prices(moy, rng, draws)
        carry_falls_on(price.reshape(3, draws, months), lived.sky.price, int(start))
        sky = life.Sky(price, draw_floods(lived.areas.flood_risk, moy, rng, draws))
        county = life.County(lived.fixed, lived.world, sky)
        first, streams = int(start), _streams(rng, households)
        life.futures(lived.snapshots[k], streams, county, first, first + months, draws, result[k])
    return result


def _streams(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    return rng.integers(0, 2**63, count, dtype=np.int64).astype(np.uint64)


def make_world(
    areas: SyntheticAreas,
    calendar: Calendar,
    rng: np.random.Generator,
    dynamics: Dynamics,
    skipped: np.random.Generator,
) -> life.World:
    """The world outside the households: prices, wages, monitoring lines, job markets, reporting effort
    and, by village and month, sweeps. rng draws all of it but the villages that a year's sweep leaves out,
    which `skipped` draws."""
    months, villages = calendar.months, len(areas.code)
    moy, t = calendar.month_of_year, np.arange(calendar.months)
    season = np.full((3, 12), 0.02)
    season[0, 8:11] = (0.20, 0.38, 0.20)
    season[1, 3:6] = (0.25, 0.20, 0.12)
    season[1, 8:10] = (0.14, 0.12)
    season[2, [0, 5, 11]] = (0.27, 0.22, 0.33)
    season /= season.sum(1, keepdims=True)
    prices = np.exp(0.022 / 12 * (t - calendar.begin))
    wage_level = np.exp(0.048 / 12 * (t - calendar.begin))
    line = np.array([line_of(int(y), int(k) + 1) for y, k in zip(calendar.year, moy, strict=True)])
    slack = np.ones(months)
    for _ in range(rng.poisson(months / 40)):
        begin = rng.integers(0, months)
        slack[begin : begin + 6] *= 1.5
    sweep = np.zeros((villages, months))
    usual = rng.integers(7, 11, villages)
    for year in np.unique(calendar.year):
        when = np.clip(usual + rng.integers(-1, 2, villages), 6, 11)
        for month in range(6, 12):
            at = np.flatnonzero((calendar.year == year) & (moy == month))
            if len(at):
                sweep[when == month, at[0]] = 1.0
        left_out = skipped.random(villages) >= dynamics.swept
        sweep[np.ix_(left_out, calendar.year == year)] = 0.0
    intake = np.exp(0.10 * np.tanh((t - months * 0.6) / 10.0))
    level = np.array(
        [dynamics.lack, dynamics.sudden, dynamics.gaps, dynamics.rest, dynamics.rest], dtype=np.float64
    )
    return life.World(
        moy=moy,
        season=season,
        wage_level=wage_level,
        prices=prices,
        line=line,
        slack=slack,
        sweep=sweep,
        intake=intake,
        level=level,
        stress=np.array(dynamics.stress_weights, dtype=np.float64),
        illnesses=float(dynamics.illnesses),
        found=float(dynamics.found),
        luck=float(dynamics.luck),
    )


def draw_prices(moy: Ints, rng: np.random.Generator, draws: int = 1) -> Floats:
    """Price factor of each crop, (3, draws × months): now and then a fall of a fifth to a half that lasts 5
    to 10 months.
    """
    months = len(moy)
    fall = rng.random((3, draws, months)) < np.array([0.010, 0.018, 0.022])[:, None, None]
    depth, length = rng.uniform(0.5, 0.8, fall.shape), rng.integers(5, 11, fall.shape)
    factor = np.ones(fall.shape)
    for crop, draw, month in zip(*np.nonzero(fall), strict=True):
        part = factor[crop, draw, month : month + length[crop, draw, month]]
        np.minimum(part, depth[crop, draw, month], out=part)
    return factor.reshape(3, draws * months)


def carry_falls_on(price: Floats, real: Floats, start: int) -> None:
    """A fall of prices that is under way at `start` goes on in every future as it does in fact. price: (3,
    draws, months), changed.
    """
    for crop in range(3):
        factor = real[crop, start - 1]
        for month in range(price.shape[2]):
            if factor >= 1.0 or real[crop, start + month] != factor:
                break
            np.minimum(price[crop, :, month], factor, out=price[crop, :, month])


def draw_floods(risk: Floats, moy: Ints, rng: np.random.Generator, draws: int = 1) -> Floats:
    """Strength of a flood (0: none) by village, (V, draws × months): from May to September, in neighbouring
    villages together.
    """
    months = len(moy)
    rainy = np.array([0, 0, 0, 0.2, 0.8, 1.6, 1.5, 1.0, 0.6, 0.1, 0, 0])[moy]
    storm = (rng.random((draws, months)) < 0.20 * rainy).astype(float) * rng.gamma(2.0, 0.5, (draws, months))
    chance = 1 - np.exp(-0.035 * risk[:, None] * storm.reshape(1, -1))
    hit = rng.random(chance.shape) < chance
    return np.where(hit, 0.4 + rng.gamma(1.5, 0.5, chance.shape), 0.0)


def make_traits(
    areas: SyntheticAreas,
    people: People,
    calendar: Calendar,
    size: npt.NDArray[np.int16],
    rng: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Traits of the households, (N, life.TRAITS); monthly chance of each worker to lose work and to find it
    again, (N, WORKERS).
    """
    n = len(people.household_id)
    of, village = people.household, people.village
    age = people.ages(np.datetime64(calendar.first, "D") + np.timedelta64(900, "D"))
    there = people.joins < calendar.begin + 12
    weight = np.where(
        there, 0.00022 * np.exp(0.034 * np.clip(age, 0, 85)) * np.where(people.chronic, 2.2, 1.0), 0.0
    )
    ill = np.bincount(of, weight, n)
    worker = np.zeros(len(weight), bool)
    worker[people.worker[people.worker >= 0]] = True
    cost = np.where(people.chronic & there, np.exp(rng.normal(4.35, 0.85, len(weight))), 0.0)
    disabled = np.bincount(of, (people.disabled_level > 0) & (people.disabled_level <= 2), n) > 0

    traits = np.zeros((n, life.TRAITS))
    traits[:, life.T_FRAILTY] = people.frailty
    traits[:, life.T_RESILIENCE] = people.resilience
    traits[:, life.T_FARM] = (
        4_200 * people.land**0.55 * np.exp(0.6 * people.productivity + rng.normal(0, 0.30, n))
    )
    traits[:, life.T_PROJECT] = np.where(people.industry, 9_000 * np.exp(rng.normal(0, 0.7, n)), 0.0)
    traits[:, life.T_ILL_RATE] = ill * np.exp(-0.10 * people.resilience)
    traits[:, life.T_ILL_WORKER] = np.clip(np.bincount(of, weight * worker, n) / np.maximum(ill, 1e-12), 0, 1)
    traits[:, life.T_CHRONIC] = np.bincount(of, cost, n)
    traits[:, life.T_INSURED] = np.bincount(of, people.insured & there, n) / np.maximum(
        np.bincount(of, there, n), 1
    )
    traits[:, life.T_LIFTED] = people.lifted
    traits[:, life.T_CROP] = areas.crop[village]
    traits[:, life.T_DILIGENCE] = areas.diligence[village]
    traits[:, life.T_VILLAGE_EFFECT] = areas.effect[village]
    traits[:, life.T_DISABLED] = disabled
    traits[:, life.T_AID] = np.where(people.lifted, rng.beta(2, 2, n), 0.08 * (rng.random(n) < 0.3))
    traits[:, life.T_WATER_BAD] = ~people.water_ok
    traits[:, life.T_HOUSE_BAD] = people.housing == 3
    traits[:, life.T_HIDDEN] = np.exp(
        life.FRAILTY * people.frailty - 0.25 * people.resilience - 1.2 * areas.effect[village]
    )
    traits[:, life.T_EASE] = np.exp(0.15 * people.resilience)

    # Dibao goes to those whose income without it would be well below the line; not to all of them, and to
    # some others.
    hands = (people.worker >= 0).sum(1)
    wage = np.nansum(np.where(people.worker_from <= calendar.begin, np.exp(people.wage_log), np.nan), axis=1)
    usual = (
        10.4 * wage
        + (0.3 + 0.7 * np.minimum(1, hands / 1.6)) * traits[:, life.T_FARM]
        + traits[:, life.T_PROJECT]
        + 1_000
    )
    each = usual / np.maximum(size[:, calendar.begin], 1) * np.exp(rng.normal(0, 0.25, n))
    poor = (each < 0.75 * line_of(calendar.start.year, 1)) & (rng.random(n) < 0.72)
    traits[:, life.T_DIBAO] = np.where(
        poor, np.clip((0.95 * line_of(calendar.start.year, 1) - each) / 12, 120, 480), 0.0
    )

    person = np.maximum(people.worker, 0)
    loss = 0.013 * np.exp(-0.10 * (people.education[person] - 2) + 0.012 * np.maximum(age[person] - 45, 0))
    loss = np.clip(loss * np.exp(rng.normal(0, 0.35, loss.shape)), 0.003, 0.06)
    find = 0.24 * np.exp(0.22 * people.resilience[:, None] - 12.0 * (loss - 0.012))
    return traits, loss, find


def make_gaps(people: People, calendar: Calendar, rng: np.random.Generator) -> Gap:
    """Dropouts, lapsed cover, unsafe houses, dry springs: spells drawn by chance, more where the household is
    frail.
    """
    n, months = len(people.household_id), calendar.months
    odds = np.exp(0.35 * people.frailty - 0.4 * people.resilience)
    age = people.ages(calendar.month_starts[calendar.begin])
    pupils = np.bincount(people.household, (age > 5) & (age < 16), n) > 0
    spells = []
    rates = (
        (0, 0.0005, np.ones(n)),
        (1, 0.006, pupils),
        (2, 0.004, np.ones(n)),
        (3, 0.0015, np.ones(n)),
        (4, 0.003, np.ones(n)),
    )
    for column, rate, who in rates:
        at = np.flatnonzero(rng.random(n) < rate * odds * who * months / 12)
        begins = rng.integers(1, months, len(at))
        spells.append((at, np.full(len(at), column), begins, begins + rng.integers(2, 10, len(at))))
    for column, mask in ((3, people.housing == 3), (4, ~people.water_ok)):
        at = np.flatnonzero(mask & (rng.random(n) < 0.6))
        spells.append(
            (
                at,
                np.full(len(at), column),
                np.full(len(at), calendar.begin - 6),
                calendar.begin + rng.integers(1, 40, len(at)),
            )
        )
    return Gap(*(np.concatenate([spell[k] for spell in spells]) for k in range(4)))


def gap_bits(gap: Gap, households: int, months: int) -> npt.NDArray[np.int16]:
    """Bits of the guarantees that fail, (N, M)."""
    bits = np.zeros((households, months), np.int16)
    for column in range(5):
        mine = gap.column == column
        change = np.zeros((households, months + 1), np.int16)
        np.add.at(change, (gap.household[mine], gap.begins[mine]), 1)
        np.add.at(change, (gap.household[mine], np.minimum(gap.ends[mine], months)), -1)
        bits |= ((np.cumsum(change[:, :months], axis=1) > 0) << column).astype(np.int16)
    return bits


def household_sizes(people: People, months: int) -> npt.NDArray[np.int16]:
    """Persons in each household by month, (N, M)."""
    n = len(people.household_id)
    change = np.zeros((n, months + 1))
    begins = np.clip(people.joins, 0, months)
    ends = np.clip(people.leaves, begins, months)
    np.add.at(change, (people.household, begins), 1)
    np.add.at(change, (people.household, ends), -1)
    moved = np.flatnonzero((people.switch_at > begins) & (people.switch_at < ends))
    for home, sign in ((people.household, -1), (people.switch_to, 1)):
        np.add.at(change, (home[moved], people.switch_at[moved]), sign)
        np.add.at(change, (home[moved], ends[moved]), -sign)
    return np.cumsum(change[:, :months], axis=1).astype(np.int16)


def make_transfers(people: People, calendar: Calendar, dibao: Floats) -> npt.NDArray[np.float32]:
    """Pension, dibao, subsidies for land and forest, gifts of children who live apart: yuan a month at the
    prices of the start, (N, M).
    """
    n = len(people.household_id)
    out = np.zeros((n, calendar.months), np.float32)
    for month in range(0, calendar.months, 3):
        age = people.ages(calendar.month_starts[month])
        here = people.present(month)
        home = people.home(month)
        elders = np.bincount(home, (age >= 60) & here, n)
        persons = np.bincount(home, here, n)
        out[:, month : month + 3] = (170 * elders + 18 * people.land**0.6 + dibao * np.minimum(persons, 4))[
            :, None
        ]
    old = (
        np.bincount(
            people.household, (people.relation == 0) & (people.ages(calendar.month_starts[0]) > 57), n
        )
        > 0
    )
    gifts = np.where(old, 420 * np.exp(0.5 * people.productivity - 0.35 * people.frailty), 0)
    out += (gifts + 55 * people.lifted)[:, None]
    return out


def make_tuition(people: People, calendar: Calendar) -> npt.NDArray[np.float32]:
    """Cost of senior school, vocational school and college: yuan a month, (N, M)."""
    n = len(people.household_id)
    out = np.zeros((n, calendar.months), np.float32)
    stays = np.array([0, 0, 0, 18.5, 22.5])[people.education]
    for month in range(0, calendar.months, 3):
        age = people.ages(calendar.month_starts[month])
        pupil = people.present(month) & (age >= 15.5) & (age < stays)
        cost = np.where(age < 18.5, 520, 1_250)
        out[:, month : month + 3] = np.bincount(people.home(month), pupil * cost, n)[:, None]
    return out


def first_state(people: People, fixed: life.Fixed, rng: np.random.Generator) -> Floats:
    """State of the households before month 0, (N, life.STATE)."""
    n = len(people.household_id)
    traits = fixed.traits
    state = np.zeros((n, life.STATE))
    state[:, life.LUCK] = rng.normal(0, 1, n)
    state[:, life.DEBT] = people.debt
    state[:, life.SAVINGS] = people.savings
    state[:, life.ILL_SLOT] = -1
    works = ~np.isnan(people.wage_log) & (people.worker_from <= 0) & (rng.random((n, WORKERS)) < 0.92)
    state[:, life.EMPLOYED : life.EMPLOYED + WORKERS] = works
    wage = np.nansum(np.where(works, fixed.wage, np.nan), axis=1)
    income = 0.9 * wage + (traits[:, life.T_FARM] + traits[:, life.T_PROJECT]) / 12 + fixed.transfers[:, 0]
    state[:, life.INCOME_RING : life.INCOME_RING + 12] = income[:, None]
    state[:, life.INCOME_12] = 12 * income
    state[:, life.BILL_RING : life.BILL_RING + 12] = traits[:, life.T_CHRONIC][:, None]
    state[:, life.BILLS_12] = 12 * traits[:, life.T_CHRONIC]
    each = income / np.maximum(fixed.size[:, 0], 1)
    state[:, life.MONITORED] = rng.random(n) < np.where(
        each < np.quantile(each, 0.25), 0.045, 0.008
    ) * np.where(people.lifted, 1.6, 0.8)
    return state
