"""Sets the county up, lets it live, and asks for the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from riskmodel.synthetic import life
from riskmodel.synthetic.life import World
from riskmodel.synthetic.people import WORKERS, Areas, Calendar, Flags, Floats, Ints, People

# Dated values of the county, yuan a person and year. Source: domain notes (Guizhou 7,300 in 2023), the others in its manner.
MONITORING_LINES = {
    2017: 3_335,
    2018: 3_535,
    2019: 3_747,
    2020: 4_000,
    2021: 6_000,
    2022: 6_500,
    2023: 7_300,
    2024: 7_700,
    2025: 8_000,
    2026: 8_300,
}


@dataclass
class Lived:
    """What happened, month by month. Never shown to anybody but the departments (`records`) and the truth."""

    calendar: Calendar
    areas: Areas
    people: People
    world: World
    size: npt.NDArray[np.int16]  # (N, M)
    wages: npt.NDArray[np.float32]  # (N, WORKERS, M); nan: no wage worker, 0: without work
    business: npt.NDArray[np.float32]  # (N, M)
    transfers: npt.NDArray[np.float32]  # (N, M)
    tuition: npt.NDArray[np.float32]  # (N, M)
    first_monitored: Flags  # (N,) before month 0
    dibao: Flags  # (N,) granted before the data begin
    chronic_cost: Floats
    events: Floats  # (E, life.EVENT)
    snapshots: Floats  # (K, N, life.STATE)
    snapshot_months: Ints
    arguments: dict[str, Any]


def line_of(month_index: int) -> float:
    """Monitoring line in a month (months since year 0). A new line comes into force on 1 July: lines change in mid-year."""
    year, month = divmod(month_index, 12)
    if month < 6:
        year -= 1
    return float(MONITORING_LINES[min(max(year, 2017), 2026)])


def live(areas: Areas, people: People, calendar: Calendar, seed: int, snapshot_months: Ints) -> Lived:
    """Run the county from the first simulated month to the last."""
    rng = np.random.default_rng([seed, 2])
    n, months = len(people.household_id), calendar.months
    world = make_world(areas, calendar, rng)
    traits, loss_rate = make_traits(areas, people, calendar, rng)
    size = household_sizes(people, months)
    dibao = traits[:, life.T_DIBAO] > 0
    transfers = make_transfers(people, calendar, dibao, size)
    tuition = make_tuition(people, calendar)
    state = first_state(people, traits, rng)
    streams = np.random.default_rng([seed, 3]).integers(0, 2**63, n, dtype=np.int64).astype(np.uint64)
    arguments = {
        "traits": traits,
        "wage_log": people.wage_log,
        "worker_from": people.worker_from,
        "worker_until": people.worker_until,
        "size": size,
        "transfers": transfers,
        "tuition": tuition,
        "loss_rate": loss_rate,
        "moys": calendar.month_of_year,
        "season": world.season,
        "wage_level": world.wage_level,
        "prices": world.prices,
        "line": world.line,
        "slack": world.slack,
        "sweep": world.sweep,
        "intake": world.intake,
    }
    wages = np.full((n, WORKERS, months), np.nan, np.float32)
    business = np.zeros((n, months), np.float32)
    snapshots = np.zeros((len(snapshot_months), n, life.STATE))
    room = int(n * months * 0.03 * 1.5) + 1_000
    while True:
        events, count = np.zeros((room, life.EVENT)), np.zeros(1, np.int64)
        life._history(
            state.copy(), streams.copy(), people.village, people.moves_at, people.moves_to, traits, people.wage_log, people.worker_from,
            people.worker_until, size, transfers, tuition, loss_rate, calendar.month_of_year, world.season, world.wage_level,
            world.prices, world.line, world.slack, world.price, world.flood, world.sweep, world.intake, events, count, wages,
            business, calendar.begin, snapshots, snapshot_months,
        )  # fmt: skip
        if count[0] <= room:
            break
        room = int(count[0])
    return Lived(
        calendar, areas, people, world, size, wages, business, transfers, tuition, state[:, life.MONITORED] > 0, dibao, traits[:, life.T_CHRONIC],
        events[: count[0]], snapshots, snapshot_months, arguments,
    )  # fmt: skip


def make_world(areas: Areas, calendar: Calendar, rng: np.random.Generator) -> World:
    """Prices, wages, lines, weather and the calendar of sweeps."""
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
    first = calendar.first.year * 12 + calendar.first.month - 1
    line = np.array([line_of(first + k) for k in t])
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
    intake = np.exp(0.10 * np.tanh((t - months * 0.6) / 10.0))
    return World(
        season, wage_level, prices, line, slack, draw_prices(moy, rng), draw_floods(areas.flood_risk, moy, rng), sweep, intake
    )


def draw_prices(moy: Ints, rng: np.random.Generator, draws: int = 1) -> Floats:
    """Price factor of each crop, (3, draws × months): now and then a fall of a fifth to a half that lasts 5 to 10 months."""
    months = len(moy)
    fall = rng.random((3, draws, months)) < np.array([0.010, 0.018, 0.022])[:, None, None]
    depth, length = rng.uniform(0.5, 0.8, fall.shape), rng.integers(5, 11, fall.shape)
    factor = np.ones(fall.shape)
    for crop, draw, month in zip(*np.nonzero(fall), strict=True):
        part = factor[crop, draw, month : month + length[crop, draw, month]]
        np.minimum(part, depth[crop, draw, month], out=part)
    return factor.reshape(3, draws * months)


def draw_floods(risk: Floats, moy: Ints, rng: np.random.Generator, draws: int = 1) -> Floats:
    """Strength of a flood (0: none) by village, (V, draws × months): from May to September, in neighbouring villages together."""
    months = len(moy)
    rainy = np.array([0, 0, 0, 0.2, 0.8, 1.6, 1.5, 1.0, 0.6, 0.1, 0, 0])[moy]
    storm = (rng.random((draws, months)) < 0.20 * rainy).astype(float) * rng.gamma(2.0, 0.5, (draws, months))
    chance = 1 - np.exp(-0.035 * risk[:, None] * storm.reshape(1, -1))
    hit = rng.random(chance.shape) < chance
    return np.where(hit, 0.4 + rng.gamma(1.5, 0.5, chance.shape), 0.0)


def make_traits(areas: Areas, people: People, calendar: Calendar, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Fixed traits of the households, (N, life.TRAITS), and the monthly chance to lose work of each worker, (N, WORKERS)."""
    n = len(people.household_id)
    age = people.ages(np.datetime64(calendar.first, "D") + np.timedelta64(900, "D"))
    there = people.joins < calendar.begin + 12
    weight = np.where(there, 0.00022 * np.exp(0.034 * np.clip(age, 0, 85)) * np.where(people.chronic, 2.2, 1.0), 0.0)
    ill_rate = np.bincount(people.household, weight, n) * np.exp(-0.10 * people.resilience)
    worker = np.zeros(len(weight), bool)
    worker[people.worker[people.worker >= 0]] = True
    ill_worker = np.bincount(people.household, weight * worker, n) / np.maximum(np.bincount(people.household, weight, n), 1e-12)
    cost = np.where(people.chronic & there, np.exp(rng.normal(4.35, 0.85, len(weight))), 0.0)
    insured = np.bincount(people.household, people.insured & there, n) / np.maximum(np.bincount(people.household, there, n), 1)
    disabled = np.bincount(people.household, (people.disabled_level > 0) & (people.disabled_level <= 2), n) > 0
    workers = (people.worker >= 0).sum(1)
    poor = people.productivity - 0.5 * (workers == 0) - 0.3 * disabled + rng.normal(0, 0.25, n)
    dibao = (poor < np.quantile(poor, 0.055)).astype(float)
    traits = np.zeros((n, life.TRAITS))
    traits[:, life.T_FRAILTY] = people.frailty
    traits[:, life.T_RESILIENCE] = people.resilience
    traits[:, life.T_FARM] = 3_600 * people.land**0.55 * np.exp(0.6 * people.productivity + rng.normal(0, 0.35, n))
    traits[:, life.T_PROJECT] = np.where(people.industry, 9_000 * np.exp(rng.normal(0, 0.7, n)), 0.0)
    traits[:, life.T_ILL_RATE] = ill_rate
    traits[:, life.T_ILL_WORKER] = np.clip(ill_worker, 0, 1)
    traits[:, life.T_CHRONIC] = np.bincount(people.household, cost, n)
    traits[:, life.T_INSURED] = insured
    traits[:, life.T_LIFTED] = people.lifted
    traits[:, life.T_CROP] = areas.crop[people.village]
    traits[:, life.T_DILIGENCE] = areas.diligence[people.village]
    traits[:, life.T_VILLAGE_EFFECT] = -1.2 * areas.effect[people.village]
    traits[:, life.T_DISABLED] = disabled
    traits[:, life.T_DIBAO] = dibao
    traits[:, life.T_AID] = np.where(people.lifted, rng.beta(2, 2, n), 0.08 * (rng.random(n) < 0.3))
    traits[:, life.T_WATER_BAD] = ~people.water_ok
    traits[:, life.T_HOUSE_BAD] = people.housing == 3
    person = np.maximum(people.worker, 0)
    rate = 0.013 * np.exp(-0.10 * (people.education[person] - 2) + 0.012 * np.maximum(age[person] - 45, 0))
    return traits, np.clip(rate * np.exp(rng.normal(0, 0.35, rate.shape)), 0.003, 0.06)


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


def make_transfers(people: People, calendar: Calendar, dibao: Flags, size: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Pension, dibao, land and ecological subsidies, gifts of children who live apart: yuan a month at the prices of the start, (N, M)."""
    n = len(people.household_id)
    out = np.zeros((n, calendar.months), np.float32)
    for month in range(0, calendar.months, 3):
        age = people.ages(calendar.month_starts[month])
        old = (age >= 60) & people.present(month)
        elders = np.bincount(people.home(month), old, n)
        out[:, month : month + 3] = (160 * elders + 18 * people.land**0.6)[:, None]
    head_old = np.bincount(people.household, (people.relation == 0) & (people.ages(calendar.month_starts[0]) > 57), n) > 0
    gifts = np.where(head_old, 330 * np.exp(0.45 * people.frailty * -1 + 0.5 * people.productivity), 0)
    out += (gifts + 55 * people.lifted)[:, None]
    out += np.where(dibao[:, None], 260 * np.minimum(size, 3), 0)
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


def first_state(people: People, traits: Floats, rng: np.random.Generator) -> Floats:
    """State of the households before month 0."""
    n = len(people.household_id)
    state = np.zeros((n, life.STATE))
    state[:, life.LUCK] = rng.normal(0, 1, n)
    state[:, life.DEBT] = people.debt
    state[:, life.SAVINGS] = people.savings
    state[:, life.ILL_SLOT] = -1
    works = ~np.isnan(people.wage_log) & (rng.random((n, WORKERS)) < 0.9)
    state[:, life.EMPLOYED : life.EMPLOYED + WORKERS] = works
    wage = np.nansum(np.where(works & (people.worker_from <= 0), np.exp(people.wage_log), np.nan), axis=1)
    income = 0.9 * wage + (traits[:, life.T_FARM] + traits[:, life.T_PROJECT]) / 12 + 200
    state[:, life.INCOME_RING : life.INCOME_RING + 12] = income[:, None]
    state[:, life.INCOME_12] = 12 * income
    state[:, life.BILL_RING : life.BILL_RING + 12] = traits[:, life.T_CHRONIC][:, None]
    state[:, life.BILLS_12] = 12 * traits[:, life.T_CHRONIC]
    backlog = (rng.random(n) < 0.02) & (people.lifted | (income < np.median(income)))
    state[:, life.MONITORED] = backlog
    return state


def true_probability(lived: Lived, seed: int, months: int = 12, draws: int = 12) -> Floats:
    """Chance of each household to be found within `months` of each snapshot, (K, N); nan for the monitored and the empty."""
    calendar, people, areas = lived.calendar, lived.people, lived.areas
    result = np.zeros(lived.snapshots.shape[:2])
    for k, start in enumerate(lived.snapshot_months):
        rng = np.random.default_rng([seed, 4, int(start)])
        moy = calendar.month_of_year[start : start + months]
        price, flood = draw_prices(moy, rng, draws), draw_floods(areas.flood_risk, moy, rng, draws)
        # A price that has already fallen stays down for a while.
        streams = rng.integers(0, 2**63, result.shape[1], dtype=np.int64).astype(np.uint64)
        a = lived.arguments
        life._forward(
            lived.snapshots[k], int(start), months, draws, streams, people.village, people.moves_at, people.moves_to, a["traits"],
            a["wage_log"], a["worker_from"], a["worker_until"], a["size"], a["transfers"], a["tuition"], a["loss_rate"], a["moys"],
            a["season"], a["wage_level"], a["prices"], a["line"], a["slack"], price, flood, a["sweep"], a["intake"], result[k],
        )  # fmt: skip
    return result
