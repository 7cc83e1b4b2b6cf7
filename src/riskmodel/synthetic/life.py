"""The life of a household, month by month: work, harvests, bills, shocks, hardship, and whether somebody sees it.

One compiled function, `_month`, moves one household one month on. The history of the county and the true probabilities are both made
by it, so that the truth cannot drift away from what happened. Money is yuan, incomes are of a month unless said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

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
STATE = 56

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
    TRAITS,
) = range(18)

# Bits of RISK_KINDS.
ILLNESS, DISABILITY, EDUCATION, DISASTER, ACCIDENT, INDUSTRY, WORK, LABOUR, HOUSING, WATER, OTHER = (1 << k for k in range(11))
# Kinds of events.
MEDICAL, SHOCK, BEGAN, FOUND, ELIMINATED, DISABLED, PASSED = range(7)
# Kinds of household shocks.
TRAFFIC, WORK_ACCIDENT, FIRE, FAILURE, FLOODED = range(5)
# Columns of an event.
E_HOUSEHOLD, E_MONTH, E_KIND, E_A, E_B, E_C, E_D, E_E, E_SLOT, E_U = range(10)
EVENT = 10

LUCK_KEEPS = 0.93
FRAILTY = 0.85
LUCK_WEIGHT = 0.55

jit: Any = numba.njit(cache=True, error_model="numpy")


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
    """About standard normal (sum of three uniforms, within ±3): cheap, and shocks of the field have their own heavy tails."""
    b = _bits(rng, i)
    mask = np.uint64(0x1FFFFF)
    total = float(b & mask) + float((b >> np.uint64(21)) & mask) + float((b >> np.uint64(42)) & mask)
    return (total / 2097152.0 - 1.5) * 2.0


@jit
def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@jit
def _put(
    events: Any, count: Any, i: int, m: int, kind: int, a: float, b: float, c: float, d: float, e: float, slot: int, u: float
) -> None:
    k = count[0]
    count[0] = k + 1
    if k < events.shape[0]:
        events[k, 0] = i
        events[k, 1] = m
        events[k, 2] = kind
        events[k, 3] = a
        events[k, 4] = b
        events[k, 5] = c
        events[k, 6] = d
        events[k, 7] = e
        events[k, 8] = slot
        events[k, 9] = u


@jit
def _bill(
    s: Any,
    traits: Any,
    i: int,
    m: int,
    rng: Any,
    events: Any,
    count: Any,
    record: bool,
    total: float,
    inpatient: bool,
    group: float,
    slot: int,
    infl: float,
) -> float:
    """One hospital bill: insurance pays its part, the household the rest. Returns the compliant part that it pays itself."""
    total = min(total * infl, 600_000.0)
    outside = 0.04 + 0.22 * _u(rng, i)  # not on the insurance list
    insured = _u(rng, i) < traits[i, T_INSURED]
    share = 0.0
    if insured:
        share = 0.60 + 0.12 * traits[i, T_LIFTED] - 0.10 * (_u(rng, i) < 0.35)  # referred outside the county: less
    covered = total * (1.0 - outside)
    compliant = covered * (1.0 - share)
    if insured and compliant > 14_000.0:  # catastrophic insurance
        compliant = 14_000.0 + (compliant - 14_000.0) * (0.40 - 0.12 * traits[i, T_LIFTED])
    paid = compliant + total * outside
    if record:
        days = 0.0
        if inpatient:
            days = 3.0 + math.floor(total**0.5 / 14.0 + 4.0 * _u(rng, i))
        _put(events, count, i, m, 0, total, total - paid, compliant, days, group, slot, _u(rng, i))
    s[BILL_RING + m % 12] += compliant
    s[BILLS_12] += compliant
    s[SAVINGS] -= paid
    return paid


@jit
def _month(
    s: Any,
    i: int,
    m: int,
    md: int,
    village: int,
    rng: Any,
    traits: Any,
    wage_log: Any,
    worker_from: Any,
    worker_until: Any,
    size: Any,
    transfers: Any,
    tuition: Any,
    loss_rate: Any,
    moy: int,
    season: Any,
    wage_level: float,
    prices: float,
    line: float,
    slack: float,
    price: Any,
    flood: Any,
    fm: int,
    sweep: float,
    intake: float,
    events: Any,
    count: Any,
    record: bool,
    out: Any,
    wages: Any,
    business: Any,
) -> None:
    """Move household i through month m. `s` is its state; `out` gets hazard, detection and recovery of the month.

    md: month whose household composition holds (m in the history, the as-of month in the forward simulation). fm: column of `flood`
    and `price`, which are the county's real ones in the history and drawn anew in the forward simulation.
    """
    people = float(size[i, md])
    out[0] = 0.0
    out[1] = 0.0
    out[2] = 0.0
    if people < 1.0:
        return
    resilience = traits[i, T_RESILIENCE]
    lifted = traits[i, T_LIFTED]
    aid = traits[i, T_AID] + 0.8 * s[MONITORED]
    s[HARVEST] = 0.9 * s[HARVEST] + 0.14 * _n(rng, i)
    s[LUCK] = LUCK_KEEPS * s[LUCK] + math.sqrt(1.0 - LUCK_KEEPS * LUCK_KEEPS) * _n(rng, i)
    buffer = max(4_000.0, s[SAVINGS] + 0.35 * s[INCOME_12] - 0.25 * s[DEBT]) * math.exp(0.15 * resilience)
    soft = (1.0 - 0.25 * min(1.0, aid)) / buffer

    # Serious illness goes on, or begins; with it the bills, and often the work of the ill person.
    ring = m % 12
    s[BILLS_12] -= s[BILL_RING + ring]
    s[BILL_RING + ring] = traits[i, T_CHRONIC] * prices
    s[BILLS_12] += s[BILL_RING + ring]
    if s[ILL_MONTHS] > 0.0:
        s[ILL_MONTHS] -= 1.0
        if _u(rng, i) < 0.30:
            paid = _bill(
                s,
                traits,
                i,
                m,
                rng,
                events,
                count,
                record,
                4_200.0 * s[ILL_SEVERITY] ** 0.75 * (0.5 + _u(rng, i)),
                True,
                2.0,
                int(s[ILL_SLOT]),
                prices,
            )
            s[S_ILLNESS] += 1.2 * paid * soft
        if s[ILL_MONTHS] <= 0.0:
            s[ILL_SLOT] = -1.0
    elif _u(rng, i) < traits[i, T_ILL_RATE] * math.exp(0.25 * s[LUCK]):
        severity = min(30.0, _u(rng, i) ** (-1.0 / 1.55))
        s[ILL_SEVERITY] = severity
        s[ILL_MONTHS] = 2.0 + math.floor(14.0 * _u(rng, i))
        s[ILL_SLOT] = -1.0
        if _u(rng, i) < traits[i, T_ILL_WORKER]:
            s[ILL_SLOT] = math.floor(_u(rng, i) * 2.999)
        paid = _bill(
            s,
            traits,
            i,
            m,
            rng,
            events,
            count,
            record,
            9_500.0 * severity * (0.6 + 0.8 * _u(rng, i)),
            True,
            1.0,
            int(s[ILL_SLOT]),
            prices,
        )
        s[S_ILLNESS] += 1.2 * paid * soft
    if _u(rng, i) < 0.0062 * people:
        total = 3_000.0 * math.exp(0.75 * _n(rng, i))
        if _u(rng, i) < 0.03:
            total *= 5.0
        paid = _bill(s, traits, i, m, rng, events, count, record, total, True, 3.0, -1, prices)
        if paid > 0.3 * buffer:
            s[S_ILLNESS] += 0.8 * paid * soft

    # Work.
    able = 0.0
    earners = 0.0
    lost_job = False
    wage = 0.0
    before = s[EARNERS]
    for w in range(3):
        wages[w] = math.nan
        if md < worker_from[i, w] or md >= worker_until[i, w]:
            s[EMPLOYED + w] = 0.0
            continue
        if s[LOST + w] > 0.0 or s[ILL_SLOT] == w:
            if not math.isnan(wage_log[i, w]):
                wages[w] = 0.0
                s[EMPLOYED + w] = 0.0
            continue
        able += 1.0
        if math.isnan(wage_log[i, w]):
            continue
        carer = 0.0
        if s[ILL_MONTHS] > 0.0 and s[ILL_SEVERITY] > 3.0:
            carer = 0.06
        if s[EMPLOYED + w] > 0.0:
            if _u(rng, i) < loss_rate[i, w] * slack * (1.0 - 0.25 * min(1.0, aid)) + carer:
                s[EMPLOYED + w] = 0.0
                lost_job = True
        elif _u(rng, i) < 0.24 * math.exp(0.22 * resilience - 12.0 * (loss_rate[i, w] - 0.012)) / slack * (1.0 - 6.0 * carer):
            s[EMPLOYED + w] = 1.0
        wages[w] = 0.0
        if s[EMPLOYED + w] > 0.0:
            earners += 1.0
            factor = 0.45 if moy == 1 else (0.85 if moy == 0 else 1.0)  # the weeks around the Spring Festival
            wages[w] = math.exp(wage_log[i, w]) * wage_level * factor * (0.92 + 0.16 * _u(rng, i))
            wage += wages[w]
    s[EARNERS] = earners
    dependants = people - able
    if lost_job:
        if earners == 0.0 and before > 0.0:
            s[S_WORK] += 0.75 + 0.25 * min(3.0, dependants)
        else:
            s[S_WORK] += 0.20

    # Farm and project.
    crop = int(traits[i, T_CROP])
    hands = 0.30 + 0.70 * min(1.0, (able + 0.3) / 1.6)
    farm = traits[i, T_FARM] * season[crop, moy] * math.exp(s[HARVEST]) * price[crop, fm] * hands * prices
    if s[PROJECT_DOWN] > 0.0:
        s[PROJECT_DOWN] -= 1.0
    else:
        farm += traits[i, T_PROJECT] / 12.0 * price[crop, fm] * prices
        if traits[i, T_PROJECT] > 0.0 and _u(rng, i) < 0.0013 * (3.0 if price[crop, fm] < 0.85 else 1.0):
            loss = traits[i, T_PROJECT] * (0.6 + 1.6 * _u(rng, i)) * prices
            s[PROJECT_DOWN] = 12.0
            s[DEBT] += 0.6 * loss
            s[SAVINGS] -= 0.4 * loss
            s[S_INDUSTRY] += 1.1 * loss * soft
            if record:
                _put(events, count, i, m, 1, 3, loss, 0.0, 0.0, 0.0, -1, _u(rng, i))
    # Accidents, fire, floods.
    if _u(rng, i) < 0.00022 * (able + 0.5):
        kind = 0.0 if _u(rng, i) < 0.5 else 1.0
        slot = int(_u(rng, i) * 2.999)
        severity = min(20.0, _u(rng, i) ** (-1.0 / 1.7))
        paid = _bill(s, traits, i, m, rng, events, count, record, 16_000.0 * severity, True, 4.0, slot, prices)
        s[S_ACCIDENT] += 1.4 * paid * soft + 0.3
        for_good = _u(rng, i) < 0.30 and md >= worker_from[i, slot] and md < worker_until[i, slot]
        if for_good:
            s[LOST + slot] = 1.0
            s[S_ACCIDENT] += 0.5
        if record:
            _put(events, count, i, m, 1, kind, paid, 0.0, 0.0, 0.0, slot, _u(rng, i))
            if for_good:
                _put(events, count, i, m, 5, 1.0 + math.floor(3.0 * _u(rng, i)), 0.0, 0.0, 0.0, 0.0, slot, _u(rng, i))
    if _u(rng, i) < 0.00007:
        loss = 12_000.0 * (0.5 + 2.5 * _u(rng, i)) * prices
        s[S_DISASTER] += 1.3 * loss * soft + 0.3
        s[SAVINGS] -= loss
        if _u(rng, i) < 0.5:
            s[HOUSE_BAD] = 6.0
        if record:
            _put(events, count, i, m, 1, 2, loss, 0.0, 0.0, 0.0, -1, _u(rng, i))
    if flood[village, fm] > 0.0 and _u(rng, i) < 0.30 * min(1.0, flood[village, fm]):
        loss = (0.5 * traits[i, T_FARM] + 5_000.0 * _u(rng, i) ** 2) * flood[village, fm] * (0.3 + 0.7 * _u(rng, i)) * prices
        s[S_DISASTER] += 1.1 * loss * soft
        s[SAVINGS] -= loss
        if _u(rng, i) < 0.04 * flood[village, fm] + 0.1 * traits[i, T_HOUSE_BAD]:
            s[HOUSE_BAD] = 8.0
        if record:
            _put(events, count, i, m, 1, 4, loss, 0.0, 0.0, 0.0, -1, _u(rng, i))
    if s[HOUSE_BAD] > 0.0:
        s[HOUSE_BAD] -= 1.0

    # The books.
    fees = tuition[i, md] * prices
    income = wage + farm + transfers[i, md] * prices + 140.0 * people * s[MONITORED] * prices
    business[0] = farm
    s[INCOME_12] += income - s[INCOME_RING + ring]
    s[INCOME_RING + ring] = income
    s[SAVINGS] += income - people * 640.0 * prices - 0.10 * income - traits[i, T_CHRONIC] * prices - fees
    if s[SAVINGS] < 0.0:
        s[DEBT] -= 0.7 * s[SAVINGS]
        s[SAVINGS] = 0.0
    s[SAVINGS] = min(s[SAVINGS], 0.9 * max(s[INCOME_12], 5_000.0))
    pay = min(s[DEBT] * 0.03, 0.3 * s[SAVINGS])
    s[DEBT] = min(s[DEBT] - pay, 200_000.0)
    s[SAVINGS] -= pay
    if moy == 8 and fees > 0.0:
        s[S_EDUCATION] += 3.0 * max(0.0, 12.0 * fees / max(s[INCOME_12], 6_000.0) - 0.22)

    # From the state to the hazard of a risk that a visitor would confirm.
    recovery = 0.90 if able == 0.0 else (0.84 if able == 1.0 else 0.76)
    stress = 0.0
    for k in range(2, 8):
        s[k] *= recovery - 0.012 * resilience
        if s[k] > 6.0:
            s[k] = 6.0
        stress += s[k]
    ratio = (s[INCOME_12] - s[BILLS_12]) / (people * line)
    s[RATIO] = ratio
    low = _sigmoid((1.0 - ratio) / 0.10)
    near = 0.10 + _sigmoid((1.75 - ratio) / 0.28)
    strain = min(1.5, s[DEBT] / (s[INCOME_12] + 5_000.0))
    push = stress**1.7
    sudden = push / (1.2 + push) * near
    if earners == 0.0 and dependants > 0.0:
        sudden *= 1.5
    lack = low * (0.7 + 0.7 * strain)
    if able == 0.0:
        lack *= 1.5
    if traits[i, T_DIBAO] > 0.0:
        lack *= 0.45
    gaps = 0.25 * (s[HOUSE_BAD] > 0.0) + 0.05 * traits[i, T_HOUSE_BAD] + 0.04 * traits[i, T_WATER_BAD]
    burden = 0.02 * traits[i, T_DISABLED] * near
    hidden = math.exp(FRAILTY * traits[i, T_FRAILTY] - 0.25 * resilience + LUCK_WEIGHT * s[LUCK] + traits[i, T_VILLAGE_EFFECT])
    level = 0.0010 * lack + 0.016 * sudden + 0.02 * gaps + 0.01 * burden + 0.00004
    hazard = hidden * level * (1.0 - 0.35 * min(1.0, traits[i, T_AID])) * (1.0 + s[SCAR])
    out[0] = 1.0 - math.exp(-hazard)
    s[SCAR] *= 0.955
    seen = 0.13 * traits[i, T_DILIGENCE] * intake * (1.6 if stress > 1.0 else 1.0)
    if sweep > 0.0:
        seen = max(seen, 0.80)
    out[1] = min(0.9, seen)
    out[2] = 0.015 + (0.035 if able > 0.0 and stress < 0.6 and ratio > 1.0 else 0.0)
    if not record:
        return

    # What a visitor would write down, if it begins this month.
    kinds = 0
    total = 0.0010 * lack + 0.016 * sudden + 0.02 * gaps + 0.01 * burden + 0.00004
    if 0.016 * sudden > 0.3 * total:
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
    if 0.0010 * lack > 0.3 * total:
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
    if 0.02 * gaps > 0.3 * total:
        kinds |= WATER if traits[i, T_WATER_BAD] > 0.0 and s[HOUSE_BAD] <= 0.0 else HOUSING
    if kinds == 0:
        kinds = DISABILITY if traits[i, T_DISABLED] > 0.0 else OTHER
    out[3] = kinds
    out[4] = 2.0 if ratio >= 1.0 else (0.0 if lifted > 0.0 else 1.0)
    out[5] = stress
    out[6] = able


@jit
def _history(
    state: Any,
    rng: Any,
    village: Any,
    moves_at: Any,
    moves_to: Any,
    traits: Any,
    wage_log: Any,
    worker_from: Any,
    worker_until: Any,
    size: Any,
    transfers: Any,
    tuition: Any,
    loss_rate: Any,
    moys: Any,
    season: Any,
    wage_level: Any,
    prices: Any,
    line: Any,
    slack: Any,
    price: Any,
    flood: Any,
    sweep: Any,
    intake: Any,
    events: Any,
    count: Any,
    wages: Any,
    business: Any,
    begin: int,
    snaps: Any,
    snap_month: Any,
) -> None:
    """Every household through every month. Events go to `events`; the state at the start of `snap_month[k]` to `snaps[k]`."""
    out = np.zeros(7)
    wage = np.zeros(3)
    farm = np.zeros(1)
    for i in range(state.shape[0]):
        s = state[i]
        k = 0
        for m in range(size.shape[1]):
            if k < len(snap_month) and snap_month[k] == m:
                snaps[k, i] = s
                k += 1
            v = moves_to[i] if m >= moves_at[i] else village[i]
            # Whether a visitor came, sees and confirms is drawn apart from the household's economy.
            _month(
                s,
                i,
                m,
                m,
                v,
                rng,
                traits,
                wage_log,
                worker_from,
                worker_until,
                size,
                transfers,
                tuition,
                loss_rate,
                moys[m],
                season,
                wage_level[m],
                prices[m],
                line[m],
                slack[m],
                price,
                flood,
                m,
                sweep[v, m],
                intake[m],
                events,
                count,
                True,
                out,
                wage,
                farm,
            )
            for w in range(3):
                wages[i, w, m] = wage[w] if size[i, m] > 0 else math.nan
            business[i, m] = farm[0] if size[i, m] > 0 else 0.0
            if size[i, m] < 1:
                continue
            if s[MONITORED] > 0.0:
                s[MONITORED_AGE] += 1.0
                if s[MONITORED_AGE] >= 7.0 and out[6] > 0.0 and out[5] < 0.5 and s[RATIO] > 1.05 and _u(rng, i) < 0.075:
                    s[MONITORED] = 0.0
                    s[SCAR] = 1.2
                    _put(events, count, i, m, 4, 0.0, 0.0, 0.0, 0.0, 0.0, -1, _u(rng, i))
            elif s[AT_RISK] > 0.0:
                s[RISK_AGE] += 1.0
                if _u(rng, i) < out[2]:
                    s[AT_RISK] = 0.0
                    _put(events, count, i, m, 6, s[RISK_AGE], 0.0, 0.0, 0.0, 0.0, -1, _u(rng, i))
                elif _u(rng, i) < out[1]:
                    by_sweep = 1.0 if sweep[v, m] > 0.0 and _u(rng, i) < 0.85 else 0.0
                    _put(events, count, i, m, 3, s[RISK_KINDS], s[RISK_CLASS], s[RISK_AGE], by_sweep, 0.0, -1, _u(rng, i))
                    s[AT_RISK] = 0.0
                    s[MONITORED] = 1.0
                    s[MONITORED_AGE] = 0.0
            elif _u(rng, i) < out[0]:
                s[AT_RISK] = 1.0
                s[RISK_AGE] = 0.0
                s[RISK_KINDS] = out[3]
                s[RISK_CLASS] = out[4]
                _put(events, count, i, m, 2, out[3], out[4], s[RATIO], 0.0, 0.0, -1, _u(rng, i))


@jit
def _forward(
    snap: Any,
    start: int,
    months: int,
    draws: int,
    rng: Any,
    village: Any,
    moves_at: Any,
    moves_to: Any,
    traits: Any,
    wage_log: Any,
    worker_from: Any,
    worker_until: Any,
    size: Any,
    transfers: Any,
    tuition: Any,
    loss_rate: Any,
    moys: Any,
    season: Any,
    wage_level: Any,
    prices: Any,
    line: Any,
    slack: Any,
    price: Any,
    flood: Any,
    sweep: Any,
    intake: Any,
    result: Any,
) -> None:
    """Probability of being found within `months` of the start of month `start`: mean over `draws` futures, each passed through exactly.

    A future is a path of the economy; along it the chance of being well, at risk unseen, or found is carried on as three numbers.
    `price` and `flood` hold the draws side by side: shape (…, draws × months).
    """
    out = np.zeros(7)
    wage = np.zeros(3)
    farm = np.zeros(1)
    s = np.zeros(snap.shape[1])
    events = np.zeros((0, EVENT))
    count = np.zeros(1, np.int64)
    now = max(start - 1, 0)
    for i in range(snap.shape[0]):
        result[i] = math.nan
        if snap[i, MONITORED] > 0.0 or size[i, now] < 1:
            continue
        total = 0.0
        v = moves_to[i] if now >= moves_at[i] else village[i]
        for d in range(draws):
            s[:] = snap[i]
            unseen = 1.0 if s[AT_RISK] > 0.0 else 0.0
            well = 1.0 - unseen
            found = 0.0
            for j in range(months):
                m = start + j
                _month(
                    s,
                    i,
                    m,
                    now,
                    v,
                    rng,
                    traits,
                    wage_log,
                    worker_from,
                    worker_until,
                    size,
                    transfers,
                    tuition,
                    loss_rate,
                    moys[m],
                    season,
                    wage_level[m],
                    prices[m],
                    line[m],
                    slack[m],
                    price,
                    flood,
                    d * months + j,
                    sweep[v, m],
                    intake[m],
                    events,
                    count,
                    False,
                    out,
                    wage,
                    farm,
                )
                stays = unseen * (1.0 - out[2])
                found += stays * out[1]
                new = well * out[0]
                well = well - new + unseen * out[2]
                unseen = stays * (1.0 - out[1]) + new
            total += found
        result[i] = total / draws


@dataclass(frozen=True)
class World:
    """Everything outside the households that moves with time, by month (M), village (V) or crop (C)."""

    season: Floats  # (C, 12), share of the year's harvest that is sold in the month
    wage_level: Floats  # (M,)
    prices: Floats  # (M,)
    line: Floats  # (M,), yuan a person and year
    slack: Floats  # (M,), how easily work is lost
    price: Floats  # (C, M)
    flood: Floats  # (V, M)
    sweep: Floats  # (V, M), 1: the village's yearly sweep
    intake: Floats  # (M,)
