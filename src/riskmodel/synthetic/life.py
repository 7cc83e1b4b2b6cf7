"""The life of a household, month by month: work, harvests, bills, shocks, hardship, and whether somebody sees
it.

One compiled function, `_month`, moves one household one month on. The history of the county and the true
probabilities are both made by it, so that the truth cannot drift away from what happened. Money is yuan,
incomes are monthly unless noted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np

from riskmodel.compiled import kept

# Columns of the state of a household.
(
    HARVEST,
    LUCK,
    S_ILLNESS,
    S_ACCIDENT,
    S_DISASTER,
    S_WORK,
    S_INDUSTRY,
    S_EDUCATION,
    DEBT,
    SAVINGS,
    ILL_MONTHS,
    ILL_SLOT,
    ILL_SEVERITY,
    PROJECT_DOWN,
    AT_RISK,
    RISK_AGE,
    RISK_KINDS,
    RISK_CLASS,
    MONITORED,
    MONITORED_AGE,
    SCAR,
    HOUSE_BAD,
    EARNERS,
    RATIO,
    INCOME_12,
    BILLS_12,
) = range(26)
EMPLOYED = 26  # 26, 27, 28: the worker slots have a paid job
LOST = 29  # 29, 30, 31: the worker slots are disabled for good
INCOME_RING = 32
BILL_RING = 44
GAPS = 56  # bits of the guarantees that fail
STATE = 57

# Columns of the fixed traits of a household.
(
    T_FRAILTY,
    T_RESILIENCE,
    T_FARM,
    T_PROJECT,
    T_ILL_RATE,
    T_ILL_WORKER,
    T_CHRONIC,
    T_INSURED,
    T_LIFTED,
    T_CROP,
    T_DILIGENCE,
    T_VILLAGE_EFFECT,
    T_DISABLED,
    T_DIBAO,
    T_AID,
    T_WATER_BAD,
    T_HOUSE_BAD,
    T_HIDDEN,  # exp of everything lasting that no record shows
    T_EASE,  # how far savings reach: exp of a part of the resilience
    TRAITS,
) = range(20)

# Bits of RISK_KINDS.
ILLNESS, DISABILITY, EDUCATION, DISASTER, ACCIDENT, INDUSTRY, WORK, LABOUR, HOUSING, WATER, OTHER = (
    1 << k for k in range(11)
)
# Kinds of events.
MEDICAL, SHOCK, BEGAN, FOUND, ELIMINATED, DISABLED, PASSED, HOUSE, HINT = range(9)
# Kinds of household shocks.
TRAFFIC, WORK_ACCIDENT, FIRE, FAILURE, FLOODED = range(5)
# Channels of a hint that came to nothing.
DECLARED, CADRE, DEPARTMENT = range(3)
# Bits of the gaps in the guarantees.
GAP_FOOD, GAP_SCHOOL, GAP_COVER, GAP_HOUSE, GAP_WATER = (1 << k for k in range(5))
# Columns of an event.
E_HOUSEHOLD, E_MONTH, E_KIND, E_A, E_B, E_C, E_D, E_E, E_SLOT, E_U = range(10)
EVENT = 10

WEIGHT = 7  # place in `out` of a future's weight

LUCK_KEEPS = 0.93
FRAILTY = 0.70
LUCK_WEIGHT = 0.45
# Monthly levels of the hazard, for an average household.
LEVEL_LACK = 0.00045
LEVEL_SUDDEN = 0.0088
LEVEL_GAP = 0.005
LEVEL_DISABLED = 0.0002
LEVEL_REST = 0.00017


# Without reference counts (these functions make no arrays) the months run a third faster.
def jit(function: Callable[..., Any]) -> Any:
    """Compile a step of a household's life."""
    return kept(numba.njit(error_model="numpy", _nrt=False)(function))


class Fixed(NamedTuple):
    """What does not change from within: traits (N, TRAITS) and calendars of the households."""

    traits: Any  # (N, TRAITS)
    wage: Any  # (N, 3) yuan a month at the prices of the start; nan: no wage worker
    loss: Any  # (N, 3) monthly chance to lose work
    find: Any  # (N, 3) monthly chance to find work again
    worker_from: Any  # (N, 3) month
    worker_until: Any  # (N, 3) month
    size: Any  # (N, M)
    transfers: Any  # (N, M)
    tuition: Any  # (N, M)
    gaps: Any  # (N, M) bits of the guarantees that fail
    village: Any  # (N,)
    moves_at: Any  # (N,)
    moves_to: Any  # (N,)


class World(NamedTuple):
    """Everything outside the households that moves with the months (M), the villages (V) or the crops (C)."""

    moy: Any  # (M,) 0 for January
    season: Any  # (C, 12) share of the year's harvest that is sold in the month
    wage_level: Any  # (M,)
    prices: Any  # (M,)
    line: Any  # (M,) monitoring line, yuan a person and year
    slack: Any  # (M,) how easily work is lost
    sweep: Any  # (V, M) 1: the village's yearly sweep
    intake: Any  # (M,) how readily hints are followed up
    level: Any  # (5,) factors on the hazard's levels: lack, sudden, gaps, lasting disability, rest
    stress: Any  # (6,) weight of each kind of stress, S_ILLNESS to S_EDUCATION
    illnesses: Any  # () factor on how often serious illness begins
    found: Any  # () factor on how readily a risk is seen outside the sweeps
    luck: Any  # () exponent of transient chance


class Sky(NamedTuple):
    """What strikes many at once. The history has the county's own; each future of the truth draws another."""

    price: Any  # (C, columns)
    flood: Any  # (V, columns)


class County(NamedTuple):
    """All that a month reads and does not change."""

    fixed: Any  # Fixed
    world: Any  # World
    sky: Any  # Sky


class Step(NamedTuple):
    """One month of one household."""

    i: Any  # household
    m: Any  # month
    now: Any  # the month whose household composition holds: m in the history, the as-of month in a future
    column: Any  # place of the month in the arrays of `Sky`
    village: Any  # where the household lives in that month


class EventLog(NamedTuple):
    """The events of a run. Those beyond `events` are counted and not kept: the caller makes room, and runs
    again.
    """

    events: Any  # (room, EVENT), filled from the top
    count: Any  # (1,) events that happened
    recording: Any  # whether events are written at all, and what a visitor would note is worked out


class Monthly(NamedTuple):
    """What a history keeps of every month, and of the months at whose start a snapshot is taken."""

    wages: Any  # (N, 3, M)
    farm: Any  # (N, M)
    snapshots: Any  # (K, N, STATE)
    snapshot_months: Any  # (K,) ascending


@jit
def _bits(rng: Any, i: int) -> Any:
    """splitmix64: one stream a household, so that no household's fate hangs on another's."""
    rng[i] += np.uint64(0x9E3779B97F4A7C15)
    z = rng[i]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@jit
def _u(rng: Any, i: int) -> float:
    return (float(_bits(rng, i) >> np.uint64(11)) + 0.5) / 9007199254740992.0


@jit
def _n(rng: Any, i: int) -> float:
    """About standard normal (sum of three uniforms, within ±3): cheap, and shocks of the field have their own
    heavy tails.
    """
    b = _bits(rng, i)
    mask = np.uint64(0x1FFFFF)
    total = float(b & mask) + float((b >> np.uint64(21)) & mask) + float((b >> np.uint64(42)) & mask)
    return (total / 2097152.0 - 1.5) * 2.0


@jit
def _rare(rate: float, tilt: float, rng: Any, i: int, out: Any) -> bool:
    """Whether a rare blow falls. Futures draw it `tilt` times as often and carry its weight in out[WEIGHT]
    (importance sampling).
    """
    drawn = min(rate * tilt, 0.2)
    hit = bool(_u(rng, i) < drawn)
    if hit:
        out[WEIGHT] *= rate / drawn
    else:
        out[WEIGHT] *= (1.0 - rate) / (1.0 - drawn)
    return hit


@jit
def _put(log: Any, at: Any, kind: int, a: float, b: float, c: float, slot: int, u: float) -> None:
    """Append an event of the household's month. a, b, c: amounts, by kind; u: a uniform number of its own."""
    events, count = log.events, log.count
    k = count[0]
    count[0] = k + 1
    if k < events.shape[0]:
        events[k, E_HOUSEHOLD] = at.i
        events[k, E_MONTH] = at.m
        events[k, E_KIND] = kind
        events[k, E_A] = a
        events[k, E_B] = b
        events[k, E_C] = c
        events[k, E_SLOT] = slot
        events[k, E_U] = u


@jit
def _bill(s: Any, at: Any, rng: Any, traits: Any, log: Any, total: float, group: float, slot: int) -> float:
    """One hospital bill: insurance pays its part, the household the rest. Returns what the household pays."""
    i = at.i
    total = min(total, 600_000.0)
    outside = 0.04 + 0.22 * _u(rng, i)  # not on the insurance list
    share = 0.0
    lifted = traits[i, T_LIFTED]
    insured = _u(rng, i) < traits[i, T_INSURED]
    if insured:
        share = 0.60 + 0.12 * lifted
        if _u(rng, i) < 0.35:  # treated outside the county: less
            share -= 0.10
    compliant = total * (1.0 - outside) * (1.0 - share)
    if insured and compliant > 14_000.0:  # catastrophic insurance
        compliant = 14_000.0 + (compliant - 14_000.0) * (0.40 - 0.12 * lifted)
    paid = compliant + total * outside
    if log.recording:
        events, count = log.events, log.count
        days = 3.0 + math.floor(math.sqrt(total) / 14.0 + 4.0 * _u(rng, i))
        _put(log, at, MEDICAL, total, total - paid, compliant, slot, _u(rng, i))
        if count[0] <= events.shape[0]:
            events[count[0] - 1, E_D] = days
            events[count[0] - 1, E_E] = group
    s[BILL_RING + at.m % 12] += compliant
    s[BILLS_12] += compliant
    s[SAVINGS] -= paid
    return float(paid)


@jit
def _month(s: Any, at: Any, rng: Any, county: Any, log: Any, out: Any, wages: Any) -> None:
    """Move a household through a month. `s` is its state; `out` gets hazard, detection, passing, and what a
    visitor would note if `log` is recording. wages: (4,) gets the wages of the slots and the net income of
    the farm.
    """
    i, m, now = at.i, at.m, at.now
    fixed, world, sky = county
    traits = fixed.traits
    record = log.recording
    people = float(fixed.size[i, now])
    for k in range(7):
        out[k] = 0.0
    wages[0] = wages[1] = wages[2] = math.nan
    wages[3] = 0.0
    if people < 1.0:
        return
    moy = world.moy[m]
    prices = world.prices[m]
    resilience = traits[i, T_RESILIENCE]
    lifted = traits[i, T_LIFTED]
    aid = min(1.0, traits[i, T_AID] + 0.8 * s[MONITORED])
    s[HARVEST] = 0.9 * s[HARVEST] + 0.14 * _n(rng, i)
    s[LUCK] = LUCK_KEEPS * s[LUCK] + math.sqrt(1.0 - LUCK_KEEPS * LUCK_KEEPS) * _n(rng, i)
    buffer = max(4_000.0, s[SAVINGS] + 0.35 * s[INCOME_12] - 0.25 * s[DEBT]) * traits[i, T_EASE]
    soft = (1.0 - 0.25 * aid) / buffer
    crop = int(traits[i, T_CROP])
    price = sky.price[crop, at.column]
    flood = sky.flood[at.village, at.column]

    # Serious illness goes on, or begins; with it the bills, and often the work of the ill person.
    ring = m % 12
    s[BILLS_12] += traits[i, T_CHRONIC] * prices - s[BILL_RING + ring]
    s[BILL_RING + ring] = traits[i, T_CHRONIC] * prices
    if s[ILL_MONTHS] > 0.0:
        s[ILL_MONTHS] -= 1.0
        if _u(rng, i) < 0.30:
            cost = 4_200.0 * prices * s[ILL_SEVERITY] ** 0.75 * (0.5 + _u(rng, i))
            paid = _bill(s, at, rng, traits, log, cost, 2.0, int(s[ILL_SLOT]))
            s[S_ILLNESS] += 0.95 * paid * soft
        if s[ILL_MONTHS] <= 0.0:
            s[ILL_SLOT] = -1.0
    elif _rare(
        traits[i, T_ILL_RATE] * world.illnesses * (1.0 + 0.2 * s[LUCK]), 1.0 if record else 6.0, rng, i, out
    ):
        s[ILL_SEVERITY] = min(30.0, _u(rng, i) ** (-1.0 / 1.55))
        s[ILL_MONTHS] = 2.0 + math.floor(14.0 * _u(rng, i))
        s[ILL_SLOT] = -1.0
        if _u(rng, i) < traits[i, T_ILL_WORKER]:
            s[ILL_SLOT] = math.floor(_u(rng, i) * 2.999)
        cost = 9_500.0 * prices * s[ILL_SEVERITY] * (0.6 + 0.8 * _u(rng, i))
        paid = _bill(s, at, rng, traits, log, cost, 1.0, int(s[ILL_SLOT]))
        s[S_ILLNESS] += 0.95 * paid * soft

    # Work.
    able = 0.0
    earners = 0.0
    lost_job = False
    wage = 0.0
    before = s[EARNERS]
    carer = 0.06 if s[ILL_MONTHS] > 0.0 and s[ILL_SEVERITY] > 3.0 else 0.0
    festival = 0.45 if moy == 1 else (0.85 if moy == 0 else 1.0)  # the weeks around the Spring Festival
    for w in range(3):
        if now < fixed.worker_from[i, w] or now >= fixed.worker_until[i, w]:
            s[EMPLOYED + w] = 0.0
            continue
        pay = fixed.wage[i, w]
        if s[LOST + w] > 0.0 or s[ILL_SLOT] == w:
            s[EMPLOYED + w] = 0.0
            if not math.isnan(pay):
                wages[w] = 0.0
            continue
        able += 1.0
        if math.isnan(pay):
            continue
        u = _u(rng, i)
        if s[EMPLOYED + w] > 0.0:
            if u < fixed.loss[i, w] * world.slack[m] * (1.0 - 0.25 * aid) + carer:
                s[EMPLOYED + w] = 0.0
                lost_job = True
        elif u < fixed.find[i, w] / world.slack[m] * (1.0 - 6.0 * carer):
            s[EMPLOYED + w] = 1.0
        wages[w] = 0.0
        if s[EMPLOYED + w] > 0.0:
            earners += 1.0
            wages[w] = pay * world.wage_level[m] * festival * (0.92 + 0.16 * _u(rng, i))
            wage += wages[w]
    s[EARNERS] = earners
    dependants = people - able
    if lost_job:
        if earners == 0.0 and before > 0.0:
            s[S_WORK] += 0.75 + 0.25 * min(3.0, dependants)
        else:
            s[S_WORK] += 0.20

    # Farm and project.
    hands = 0.30 + 0.70 * min(1.0, (able + 0.3) / 1.6)
    farm = traits[i, T_FARM] * world.season[crop, moy] * math.exp(s[HARVEST]) * price * hands * prices
    project = traits[i, T_PROJECT]
    failing = 0.0
    if s[PROJECT_DOWN] > 0.0:
        s[PROJECT_DOWN] -= 1.0
    elif project > 0.0:
        farm += project / 12.0 * price * prices
        failing = 0.0013 * (3.0 if price < 0.85 else 1.0)

    # At most one blow a month: hospital stay, accident, fire, failed project.
    accident = 0.00022 * (able + 0.5)
    blow = _rare(accident + 0.00007 + failing, 1.0 if record else 8.0, rng, i, out)
    u = _u(rng, i) * (accident + 0.00007 + failing)
    if not blow and _u(rng, i) < 0.0062 * people:
        total = 3_000.0 * prices * math.exp(0.75 * _n(rng, i))
        if _u(rng, i) < 0.03:
            total *= 5.0
        paid = _bill(s, at, rng, traits, log, total, 3.0, -1)
        if paid > 0.3 * buffer:
            s[S_ILLNESS] += 0.8 * paid * soft
    elif blow and u < accident:
        kind = float(TRAFFIC) if _u(rng, i) < 0.5 else float(WORK_ACCIDENT)
        slot = int(_u(rng, i) * 2.999)
        cost = 16_000.0 * prices * min(20.0, _u(rng, i) ** (-1.0 / 1.7))
        paid = _bill(s, at, rng, traits, log, cost, 4.0, slot)
        s[S_ACCIDENT] += 1.4 * paid * soft + 0.3
        for_good = (
            _u(rng, i) < 0.30 and now >= fixed.worker_from[i, slot] and now < fixed.worker_until[i, slot]
        )
        if for_good:
            s[LOST + slot] = 1.0
            s[S_ACCIDENT] += 0.5
        if record:
            _put(log, at, SHOCK, kind, paid, 0.0, slot, _u(rng, i))
            if for_good:
                _put(
                    log,
                    at,
                    DISABLED,
                    1.0 + math.floor(3.0 * _u(rng, i)),
                    0.0,
                    0.0,
                    slot,
                    _u(rng, i),
                )
    elif blow and u < accident + 0.00007:
        loss = 12_000.0 * (0.5 + 2.5 * _u(rng, i)) * prices
        s[S_DISASTER] += 1.3 * loss * soft + 0.3
        s[SAVINGS] -= loss
        if _u(rng, i) < 0.5:
            s[HOUSE_BAD] = 3.0 + math.floor(6.0 * _u(rng, i))
        if record:
            _put(log, at, SHOCK, FIRE, loss, s[HOUSE_BAD], -1, _u(rng, i))
    elif blow:
        loss = project * (0.6 + 1.6 * _u(rng, i)) * prices
        s[PROJECT_DOWN] = 12.0
        s[DEBT] += 0.6 * loss
        s[SAVINGS] -= 0.4 * loss
        s[S_INDUSTRY] += 1.1 * loss * soft
        if record:
            _put(log, at, SHOCK, FAILURE, loss, 0.0, -1, _u(rng, i))
    if flood > 0.0 and _u(rng, i) < 0.30 * min(1.0, flood):
        loss = (
            (0.5 * traits[i, T_FARM] + 5_000.0 * _u(rng, i) ** 2) * flood * (0.3 + 0.7 * _u(rng, i)) * prices
        )
        s[S_DISASTER] += 1.1 * loss * soft
        s[SAVINGS] -= loss
        if _u(rng, i) < 0.04 * flood + 0.1 * traits[i, T_HOUSE_BAD]:
            s[HOUSE_BAD] = 4.0 + math.floor(6.0 * _u(rng, i))
        if record:
            _put(log, at, SHOCK, FLOODED, loss, s[HOUSE_BAD], -1, _u(rng, i))
    if s[HOUSE_BAD] > 0.0:
        s[HOUSE_BAD] -= 1.0

    # The books.
    fees = fixed.tuition[i, now] * prices
    income = wage + farm + fixed.transfers[i, now] * prices + 140.0 * people * s[MONITORED] * prices
    wages[3] = farm
    s[INCOME_12] += income - s[INCOME_RING + ring]
    s[INCOME_RING + ring] = income
    s[SAVINGS] += 0.9 * income - people * 640.0 * prices - traits[i, T_CHRONIC] * prices - fees
    if s[SAVINGS] < 0.0:
        s[DEBT] -= 0.7 * s[SAVINGS]
        s[SAVINGS] = 0.0
    s[SAVINGS] = min(s[SAVINGS], 0.9 * max(s[INCOME_12], 5_000.0))
    pay_back = min(s[DEBT] * 0.03, 0.3 * s[SAVINGS])
    s[DEBT] = min(s[DEBT] - pay_back, 200_000.0)
    s[SAVINGS] -= pay_back
    if moy == 8 and fees > 0.0:
        s[S_EDUCATION] += 3.0 * max(0.0, 12.0 * fees / max(s[INCOME_12], 6_000.0) - 0.22)

    # From the state to the hazard of a risk that a visitor would confirm.
    keeps = (0.90 if able == 0.0 else (0.84 if able == 1.0 else 0.76)) - 0.012 * resilience
    stress = 0.0
    for k in range(S_ILLNESS, S_EDUCATION + 1):
        s[k] = min(6.0, s[k] * keeps)
        stress += world.stress[k - S_ILLNESS] * s[k]
    ratio = (s[INCOME_12] - s[BILLS_12]) / (people * world.line[m])
    s[RATIO] = ratio
    lack = 0.0
    if ratio < 1.8:
        lack = (
            1.0
            / (1.0 + math.exp((ratio - 1.0) / 0.10))
            * (0.7 + 0.7 * min(1.5, s[DEBT] / (s[INCOME_12] + 5_000.0)))
        )
        lack *= (
            7.0 if lifted > 0.0 else 0.4
        )  # lifted households are watched more closely, and fall back more easily
        if able == 0.0:
            lack *= 1.5
        if traits[i, T_DIBAO] > 0.0:
            lack *= 0.45
    near = 0.50
    if ratio < 4.0:
        near += 0.75 / (1.0 + math.exp((ratio - 1.75) / 0.28))
    sudden = 0.0
    if stress > 0.01:
        push = stress**1.7
        sudden = push / (1.2 + push) * near
        if earners == 0.0 and dependants > 0.0:
            sudden *= 1.5
    gaps = int(s[GAPS])
    failing_guarantees = 0.6 * (s[HOUSE_BAD] > 0.0)
    for k in range(5):
        failing_guarantees += (gaps >> k) & 1
    failing_guarantees *= near
    lack *= LEVEL_LACK * world.level[0]
    sudden *= LEVEL_SUDDEN * world.level[1]
    failing_guarantees *= LEVEL_GAP * world.level[2]
    disabled = LEVEL_DISABLED * world.level[3] * traits[i, T_DISABLED] * near
    level = lack + sudden + failing_guarantees + disabled + LEVEL_REST * world.level[4]
    hidden = traits[i, T_HIDDEN] * math.exp(LUCK_WEIGHT * world.luck * s[LUCK])
    hazard = hidden * level * (1.0 - 0.35 * min(1.0, traits[i, T_AID])) * (1.0 + s[SCAR])
    out[0] = -math.expm1(-hazard) if hazard > 1e-4 else hazard
    s[SCAR] *= 0.955
    seen = (
        (0.28 if lifted > 0.0 else 0.22)
        * world.found
        * traits[i, T_DILIGENCE]
        * world.intake[m]
        * (2.0 if stress > 0.8 else 1.0)
    )
    if world.sweep[at.village, m] > 0.0:
        seen = max(seen, 0.80)
    out[1] = min(0.9, seen)
    out[2] = 0.015 + (0.035 if able > 0.0 and stress < 0.6 and ratio > 1.0 else 0.0)
    if not record:
        return

    # What a visitor would write down, if the risk begins this month.
    kinds = 0
    if sudden > 0.3 * level:
        limit = 0.3 * stress
        if s[S_ILLNESS] > limit:
            kinds |= ILLNESS
        if s[S_ACCIDENT] > limit:
            kinds |= ACCIDENT
        if s[S_DISASTER] > limit:
            kinds |= DISASTER
        if s[S_WORK] > limit:
            kinds |= WORK
        if s[S_INDUSTRY] > limit:
            kinds |= INDUSTRY
        if s[S_EDUCATION] > limit:
            kinds |= EDUCATION
    if lack > 0.3 * level:
        if able == 0.0:
            kinds |= LABOUR
        elif earners == 0.0:
            kinds |= WORK
        if s[BILLS_12] > 0.15 * s[INCOME_12]:
            kinds |= ILLNESS
        if traits[i, T_DISABLED] > 0.0:
            kinds |= DISABILITY
        if 12.0 * fees > 0.2 * s[INCOME_12]:
            kinds |= EDUCATION
    if failing_guarantees > 0.3 * level:
        if s[HOUSE_BAD] > 0.0 or gaps & GAP_HOUSE:
            kinds |= HOUSING
        if gaps & GAP_WATER:
            kinds |= WATER
        if gaps & GAP_SCHOOL:
            kinds |= EDUCATION
        if gaps & GAP_COVER:
            kinds |= ILLNESS
    if able == 0.0 and kinds and _u(rng, i) < 0.4:
        kinds |= LABOUR
    if kinds == 0:
        # A cause that no department's record shows: a bill paid elsewhere, a debt to relatives, a quarrel, a
        # theft.
        u = _u(rng, i)
        if traits[i, T_DISABLED] > 0.0 and u < 0.4:
            kinds = DISABILITY
        elif u < 0.30:
            kinds = ILLNESS
        elif u < 0.60:
            kinds = WORK
        elif u < 0.70:
            kinds = ACCIDENT
        elif u < 0.80:
            kinds = EDUCATION
        else:
            kinds = OTHER
    out[3] = kinds
    out[4] = 2.0 if s[INCOME_12] >= people * world.line[m] else (0.0 if lifted > 0.0 else 1.0)
    out[5] = stress
    out[6] = able


@jit
def _live_month(s: Any, at: Any, rng: Any, world: Any, log: Any, out: Any) -> None:
    """After the month's economy: whether a risk begins, passes, is seen, or ends; and visits that find
    nothing.
    """
    i, m = at.i, at.m
    if s[MONITORED] > 0.0:
        s[MONITORED_AGE] += 1.0
        lasting = s[MONITORED_AGE] >= 7.0 and out[6] > 0.0 and out[5] < 0.6 and s[RATIO] > 1.02
        if lasting and _u(rng, i) < 0.11:
            s[MONITORED] = 0.0
            s[SCAR] = 1.2
            _put(log, at, ELIMINATED, 0.0, 0.0, 0.0, -1, _u(rng, i))
        return
    if s[AT_RISK] > 0.0:
        s[RISK_AGE] += 1.0
        if _u(rng, i) < out[2]:
            s[AT_RISK] = 0.0
            _put(log, at, PASSED, s[RISK_AGE], 0.0, 0.0, -1, _u(rng, i))
        elif _u(rng, i) < out[1]:
            by_sweep = 1.0 if world.sweep[at.village, m] > 0.0 and _u(rng, i) < 0.85 else 0.0
            _put(
                log,
                at,
                FOUND,
                s[RISK_KINDS],
                s[RISK_CLASS],
                s[RISK_AGE],
                int(by_sweep),
                _u(rng, i),
            )
            s[AT_RISK] = 0.0
            s[MONITORED] = 1.0
            s[MONITORED_AGE] = 0.0
        return
    if _u(rng, i) < out[0]:
        s[AT_RISK] = 1.0
        s[RISK_AGE] = 0.0
        s[RISK_KINDS] = out[3]
        s[RISK_CLASS] = out[4]
        _put(log, at, BEGAN, out[3], out[4], s[RATIO], -1, _u(rng, i))
        return
    # Hints that come to nothing follow what can be seen from outside, not what is.
    trouble = min(3.0, out[5])
    declared = 0.0003 * (1.0 + 4.0 * trouble) * (1.6 if s[RATIO] < 1.2 else 1.0)
    cadre = 0.0005 * (1.0 + 2.0 * trouble) * (2.0 if s[RATIO] < 1.0 else 1.0)
    department = 0.0012 + (0.020 if s[BILLS_12] > 8_000.0 else 0.0)
    u = _u(rng, i) / world.intake[m]
    if u < declared + cadre + department:
        channel = DECLARED if u < declared else (CADRE if u < declared + cadre else DEPARTMENT)
        _put(log, at, HINT, channel, 0.0, 0.0, -1, _u(rng, i))


# Both runs make arrays of their own: the compiler counts references to those.
def run(function: Callable[..., Any]) -> Any:
    """Compile a run through the months of every household."""
    return kept(numba.njit(error_model="numpy")(function))


@run
def history(state: Any, rng: Any, county: Any, log: Any, monthly: Any) -> None:
    """Every household through all months; households are independent of each other.

    `state` (N, STATE) is moved on and ends as it is after the last month; `log` gets the events. `monthly`
    gets wages and farm income, and the state at the start of `snapshot_months[k]` in `snapshots[k]`.
    """
    fixed = county.fixed
    out = np.zeros(8)
    pay = np.zeros(4)
    s = np.zeros(state.shape[1])
    for i in range(state.shape[0]):
        out[WEIGHT] = 1.0
        s[:] = state[i]
        k = 0
        for m in range(monthly.farm.shape[1]):
            if k < len(monthly.snapshot_months) and monthly.snapshot_months[k] == m:
                monthly.snapshots[k, i] = s
                k += 1
            village = fixed.moves_to[i] if m >= fixed.moves_at[i] else fixed.village[i]
            at = Step(i=i, m=m, now=m, column=m, village=village)
            s[GAPS] = fixed.gaps[i, m]
            _month(s, at, rng, county, log, out, pay)
            for w in range(3):
                monthly.wages[i, w, m] = pay[w]
            monthly.farm[i, m] = pay[3]
            if fixed.size[i, m] > 0:
                _live_month(s, at, rng, county.world, log, out)
        state[i] = s


@run
def futures(state: Any, rng: Any, county: Any, start: int, stop: int, draws: int, result: Any) -> None:
    """Probability that a household is found in the months start … stop - 1, given `state` at the start.

    `result` (N,) gets the weighted mean over `draws` futures; nan: monitored, or nobody there. A future is a
    path of the economy; along it the chances of being well, at risk unseen, and found are carried on exactly,
    as three numbers. The `sky` of the county holds the draws side by side.
    """
    fixed = county.fixed
    log = EventLog(events=np.zeros((0, EVENT)), count=np.zeros(1, np.int64), recording=False)
    out = np.zeros(8)
    pay = np.zeros(4)
    s = np.zeros(state.shape[1])
    now = max(start - 1, 0)
    for i in range(state.shape[0]):
        result[i] = math.nan
        if state[i, MONITORED] > 0.0 or fixed.size[i, now] < 1:
            continue
        village = fixed.moves_to[i] if now >= fixed.moves_at[i] else fixed.village[i]
        total = 0.0
        weights = 0.0
        for d in range(draws):
            out[WEIGHT] = 1.0
            found = 0.0
            s[:] = state[i]
            s[GAPS] = fixed.gaps[i, now]
            unseen = 1.0 if s[AT_RISK] > 0.0 else 0.0
            well = 1.0 - unseen
            for m in range(start, stop):
                if s[GAPS] > 0.0 and _u(rng, i) < 0.15:  # as long as spells last on average
                    s[GAPS] = 0.0
                at = Step(i=i, m=m, now=now, column=d * (stop - start) + m - start, village=village)
                _month(s, at, rng, county, log, out, pay)
                stays = unseen * (1.0 - out[2])
                begins = well * out[0]
                found += stays * out[1]
                well += unseen * out[2] - begins
                unseen = stays * (1.0 - out[1]) + begins
            total += out[WEIGHT] * found
            weights += out[WEIGHT]
        result[i] = total / weights
