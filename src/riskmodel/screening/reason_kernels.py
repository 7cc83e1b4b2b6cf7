# mypy: allow-untyped-defs
"""Compiled loops: the distribution of an area's values, the place of a value in it, and the choice of
reasons.

Arrays that belong together come as one record.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskmodel.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Distributions(NamedTuple):
    """The distribution of p features in each of several areas.

    known: shape (areas, p), households with a value. start: shape (areas, p + 1), into the cut points. cut:
    value of a cut point; below, upto: share of households strictly below it, and up to it.
    """

    start: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    cut: Floats
    below: Floats
    upto: Floats


class Traits(NamedTuple):
    """How the p features may become reasons; shape (p,) each, but covers.

    topic: its topic's number. covers: shape (topics, topics), a topic whose money contains that of another.
    raises_when, lowers_when: a reason when the value is high 1, when low -1, in either case 2, never 0.
    is_flag, counted, change: its kind of value. zero_said: it has a sentence for 0. compared: its values are
    compared with the neighbours'. notable: per cent of the neighbours that an amount has to exceed. pair: the
    amount of a share, the share of an amount, or -1.
    """

    topic: Ints
    covers: Flags
    raises_when: Ints
    lowers_when: Ints
    is_flag: Flags
    zero_sentence: Flags
    counted: Flags
    change: Flags
    compared: Flags
    notable: Ints
    pair: Ints


class Limits(NamedTuple):
    """How many reasons a household gets, and what is too small or too common to be one.

    fewest: households of an area that a comparison needs. beyond: a share of n households is at most 1 -
    beyond / n. common: what this share of the neighbours has is no reason. most_raising, most_lowering:
    places. always_raising: reasons without a minimum share. share_raising, share_lowering: of all that raises
    (lowers) the score. least: of the margin.
    """

    fewest: int
    beyond: float
    common: float
    most_raising: int
    always_raising: int
    share_raising: float
    most_lowering: int
    share_lowering: float
    least: float


class Chosen(NamedTuple):
    """The reasons of n households, shape (n, most_raising + most_lowering); written by `choose_reasons`.

    feature: -1 where there is no reason. side, percent, level: the comparison (see `wording.compare`; level 1
    township, 2 county). partner: the feature of the pair that is part of the same sentence, or -1.
    """

    feature: npt.NDArray[np.int16]
    side: npt.NDArray[np.int8]
    percent: npt.NDArray[np.int8]
    level: npt.NDArray[np.int8]
    partner: npt.NDArray[np.int16]


@compiled
def spread(columns, fewest, most_cuts):
    """Cut points of sorted columns (p, n; NaN last): cut, share below, share up to it, starts (p + 1), known
    values (p)."""
    p, n = columns.shape
    cut = np.empty(p * most_cuts, np.float64)
    below = np.empty(p * most_cuts, np.float64)
    upto = np.empty(p * most_cuts, np.float64)
    starts = np.zeros(p + 1, np.int64)
    counts = np.zeros(p, np.int64)
    at = 0
    for column in range(p):
        values = columns[column]
        known = n
        while known > 0 and np.isnan(values[known - 1]):
            known -= 1
        counts[column] = known
        if known >= fewest:
            different = 1
            for row in range(1, known):
                if values[row] != values[row - 1]:
                    different += 1
            # every value where there are few; otherwise the values at evenly spaced ranks
            step = 1.0 if different <= most_cuts else known / (most_cuts - 1)
            next_rank = 0.0
            row = 0
            while row < known:
                stop = row + 1
                while stop < known and values[stop] == values[row]:
                    stop += 1
                if different <= most_cuts or stop > next_rank:
                    cut[at] = values[row]
                    below[at] = row / known
                    upto[at] = stop / known
                    at += 1
                    while next_rank < stop:
                        next_rank += step
                row = stop
        starts[column + 1] = at
    return cut[:at].copy(), below[:at].copy(), upto[:at].copy(), starts, counts


@compiled
def shares_around(areas, area, column, value, fewest):
    """(share of the area strictly below the value, share strictly above it, number known); 0 known: no
    comparison."""
    start, known, cut, below, upto = areas.start, areas.known, areas.cut, areas.below, areas.upto
    if area < 0 or known[area, column] < fewest:
        return 0.0, 0.0, 0
    first, last = start[area, column], start[area, column + 1]
    lo, hi = first, last
    while lo < hi:
        middle = (lo + hi) // 2
        if cut[middle] < value:
            lo = middle + 1
        else:
            hi = middle
    if lo < last and cut[lo] == value:
        return below[lo], 1.0 - upto[lo], known[area, column]
    under = upto[lo - 1] if lo > first else 0.0
    over = 1.0 - below[lo] if lo < last else 0.0
    return under, over, known[area, column]


@compiled
def choose_reasons(contributions, values, traits, areas, township, county, limits, chosen):
    """For each row, the features that represent its weightiest topics: raising ones first, then lowering
    ones.

    contributions, values: shape (n, p). traits: `Traits`. areas: `Distributions`. township, county: shape
    (n,), numbers of areas or -1. limits: `Limits`. chosen: `Chosen`, filled with -1 and 0. A topic is
    represented by the feature that moved the score most in the topic's direction and whose value may be a
    reason; else by the next; else by none. An unknown value is never a reason, nor is one that `common` or
    more of the neighbours share, nor an amount that does not exceed those of `notable` per cent of them.
    """
    topic, covers = traits.topic, traits.covers
    most_raising, most_lowering, fewest = limits.most_raising, limits.most_lowering, limits.fewest
    feature, partner = chosen.feature, chosen.partner
    rows, columns = contributions.shape
    n_topics = len(covers)
    total = np.empty(n_topics, np.float64)
    chosen_topic = np.empty(most_raising + most_lowering, np.int64)
    for row in range(rows):
        total[:] = 0.0
        up, down = 0.0, 0.0
        for column in range(columns):
            total[topic[column]] += contributions[row, column]
        for number in range(n_topics):
            if total[number] > 0:
                up += total[number]
            else:
                down -= total[number]
        order = np.argsort(-total)
        for sign in (1, -1):
            slots = most_raising if sign > 0 else most_lowering
            offset = 0 if sign > 0 else most_raising
            when = traits.raises_when if sign > 0 else traits.lowers_when
            used = 0
            for place in range(n_topics):
                number = order[place] if sign > 0 else order[n_topics - 1 - place]
                weight = sign * total[number]
                if weight < limits.least:
                    break
                if sign > 0 and used >= limits.always_raising and weight < limits.share_raising * up:
                    break
                if sign < 0 and weight < limits.share_lowering * down:
                    break
                # a part is used instead of the whole that contains it
                inside, part_used = -1, False
                for slot in range(used):
                    if covers[chosen_topic[slot], number]:
                        inside = slot
                    if covers[number, chosen_topic[slot]]:
                        part_used = True
                if part_used or (used == slots and inside < 0):
                    continue
                best, best_weight = -1, 0.0
                best_side, best_percent, best_level = 0, 0, 0
                for column in range(columns):
                    if topic[column] != number or when[column] == 0:
                        continue
                    given = sign * contributions[row, column]
                    value = values[row, column]
                    if given <= best_weight or np.isnan(value):
                        continue
                    here, there, count = shares_around(areas, township[row], column, value, fewest)
                    where = 1
                    if count == 0:
                        here, there, count = shares_around(areas, county[row], column, value, fewest)
                        where = 2
                    if count == 0:
                        where = 0
                    high = when[column]
                    nothing = value == 0 and traits.zero_sentence[column]
                    if high != 2:
                        if count > 0 and (here - there) * high <= 0:
                            continue
                        if traits.is_flag[column] and (value != 0) != (high > 0):
                            continue
                        if value == 0 and high > 0 and count == 0:
                            continue
                        # a fall is no rise because others fell deeper, nor is one illness few
                        if traits.change[column] and value * high <= 0:
                            continue
                        if traits.counted[column] and sign < 0 and high < 0 and value != 0:
                            continue
                        # a loss is no comfort because others lost more
                        if sign < 0 and high > 0 and value < 0:
                            continue
                    same = 1.0 - here - there
                    if count > 0 and same >= limits.common and high != 2:
                        continue
                    new_side, new_percent = 0, 0
                    if where > 0 and traits.compared[column]:
                        step = 1 if count >= 500 else 5 if count >= 100 else 10
                        if traits.is_flag[column] or nothing:
                            if same * count >= limits.beyond and same < 0.25:
                                new_side = 2
                                new_percent = int(np.rint(same * 100 / step)) * step
                                if step > 1 and new_percent == 0:
                                    new_percent = step
                        else:
                            direction = high if high != 2 else 1 if here >= there else -1
                            share = min(here if direction > 0 else there, 1.0 - limits.beyond / count)
                            rounded = int(np.floor(share * 100 / step + 1e-9)) * step
                            if rounded >= traits.notable[column]:
                                new_side, new_percent = direction, rounded
                            elif high != 2 and (not traits.counted[column] or sign < 0):
                                continue
                    else:
                        where = 0
                    best, best_weight = column, given
                    best_side, best_percent, best_level = new_side, new_percent, where
                if best >= 0:
                    # an amount comes with its share of income and a share with its amount; a low share adds
                    # nothing to a high amount
                    other = traits.pair[best]
                    if other >= 0 and not (values[row, other] > 0 and values[row, best] > 0):
                        other = -1
                    if other >= 0 and when[best] != 2 and when[other] == when[best]:
                        here, there, count = shares_around(
                            areas, township[row], other, values[row, other], fewest
                        )
                        if count == 0:
                            here, there, count = shares_around(
                                areas, county[row], other, values[row, other], fewest
                            )
                        if count == 0 or (here - there) * when[best] <= 0:
                            other = -1
                    slot = used if inside < 0 else inside
                    partner[row, offset + slot] = other
                    feature[row, offset + slot] = best
                    chosen.side[row, offset + slot] = best_side
                    chosen.percent[row, offset + slot] = best_percent
                    chosen.level[row, offset + slot] = best_level
                    chosen_topic[slot] = number
                    if inside < 0:
                        used += 1


@compiled
def kinds_in_order(feature, kind, kinds, most_raising, last, code):
    """Risk kinds of each row's raising reasons, heaviest first and `last` behind all others, four bits each
    (kind + 1), into `code` (n).

    kinds: shape (n, kinds), what each added to the margin.
    """
    found = np.empty(most_raising, np.int64)
    for row in range(len(feature)):
        n = 0
        for slot in range(most_raising):
            if feature[row, slot] < 0:
                continue
            new = kind[feature[row, slot]]
            known = False
            for seen in range(n):
                known |= found[seen] == new
            if known:
                continue
            at = n
            while at > 0:
                other = found[at - 1]
                if other == last:
                    before = True
                elif new == last:
                    before = False
                elif kinds[row, new] == kinds[row, other]:
                    before = new < other
                else:
                    before = kinds[row, new] > kinds[row, other]
                if not before:
                    break
                found[at] = other
                at -= 1
            found[at] = new
            n += 1
        number = np.int64(0)
        for slot in range(most_raising):
            number = number * 16 + (found[slot] + 1 if slot < n else 0)
        code[row] = number


@compiled
def summed(contributions, group, out):
    """Sum contributions (n, p) by group, in the order of the columns, and add the sums to `out` (n,
    groups). group: shape (p,), index of each column's group."""
    for row in range(len(contributions)):
        for column in range(len(group)):
            out[row, group[column]] += contributions[row, column]
