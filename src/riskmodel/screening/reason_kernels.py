# mypy: allow-untyped-defs
"""The loops over values and neighbours that are compiled to machine code: how an area's values are spread, where one stands among them, and which reasons are told."""

from __future__ import annotations

import numpy as np

from riskmodel.compiled import compiled


@compiled
def spread(columns, fewest, most_cuts):  # fmt: skip
    """Cut points of sorted columns (p, n; NaN last): cut, share below, share up to it, starts (p + 1), known values (p)."""
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
def stand(start, known, cut, below, upto, area, column, value, fewest):  # fmt: skip
    """(share of the area strictly below the value, share strictly above it, number known); number 0: nothing to compare with."""
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
def choose_reasons(
    contributions, values, topic, covers, raises_when, lowers_when, is_flag, zero_said, counted, change, compared, pair,
    township, county, start, known, cut, below, upto, fewest, beyond, common, notable, most_raising, always_raising, share_raising,
    most_lowering, share_lowering, least, feature, side, percent, level, partner,
):  # fmt: skip
    """For each row, the features that speak for its weightiest topics: `most_raising` places, then `most_lowering`.

    raises_when, lowers_when: 1 told when the value is high, -1 when it is low, 2 whichever it is, 0 never. feature: -1 where there is no reason. side,
    percent, level: the comparison (see `wording.compare`; level 1 township, 2 county). pair: the amount of a share, the share of an amount, or
    -1; partner: the same, where it is told with the first. covers: shape (topics, topics), a topic whose money contains that of another.
    A topic is spoken for by the feature that moved the score most in the topic's direction and that may be told of its value; else by the
    next; else by nobody. Unknown values never speak. Nor does what `common` or more of the neighbours share, nor an amount that is not beyond
    `notable` per cent of them.
    """
    rows, columns = contributions.shape
    n_topics = len(covers)
    total = np.empty(n_topics, np.float64)
    told_topic = np.empty(most_raising + most_lowering, np.int64)
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
            when = raises_when if sign > 0 else lowers_when
            said = 0
            for place in range(n_topics):
                number = order[place] if sign > 0 else order[n_topics - 1 - place]
                weight = sign * total[number]
                if weight < least:
                    break
                if sign > 0 and said >= always_raising and weight < share_raising * up:
                    break
                if sign < 0 and weight < share_lowering * down:
                    break
                # a part is told instead of the whole that contains it
                inside, part_told = -1, False
                for slot in range(said):
                    if covers[told_topic[slot], number]:
                        inside = slot
                    if covers[number, told_topic[slot]]:
                        part_told = True
                if part_told or (said == slots and inside < 0):
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
                    here, there, count = stand(
                        start, known, cut, below, upto, township[row], column, value, fewest
                    )
                    where = 1
                    if count == 0:
                        here, there, count = stand(
                            start, known, cut, below, upto, county[row], column, value, fewest
                        )
                        where = 2
                    if count == 0:
                        where = 0
                    high = when[column]
                    nothing = value == 0 and zero_said[column]
                    if high != 2:
                        if count > 0 and (here - there) * high <= 0:
                            continue
                        if is_flag[column] and (value != 0) != (high > 0):
                            continue
                        if value == 0 and high > 0 and count == 0:
                            continue
                        # a fall is not told as a rise because others fell deeper, nor one illness as few
                        if change[column] and value * high <= 0:
                            continue
                        if counted[column] and sign < 0 and high < 0 and value != 0:
                            continue
                        # a loss is no comfort because others lost more
                        if sign < 0 and high > 0 and value < 0:
                            continue
                    same = 1.0 - here - there
                    if count > 0 and same >= common and high != 2:
                        continue
                    new_side, new_percent = 0, 0
                    if where > 0 and compared[column]:
                        step = 1 if count >= 500 else 5 if count >= 100 else 10
                        if is_flag[column] or nothing:
                            if same * count >= beyond and same < 0.25:
                                new_side = 2
                                new_percent = int(np.rint(same * 100 / step)) * step
                                if step > 1 and new_percent == 0:
                                    new_percent = step
                        else:
                            direction = high if high != 2 else 1 if here >= there else -1
                            share = min(here if direction > 0 else there, 1.0 - beyond / count)
                            told = int(np.floor(share * 100 / step + 1e-9)) * step
                            if told >= notable[column]:
                                new_side, new_percent = direction, told
                            elif high != 2 and (not counted[column] or sign < 0):
                                continue
                    else:
                        where = 0
                    best, best_weight = column, given
                    best_side, best_percent, best_level = new_side, new_percent, where
                if best >= 0:
                    # an amount is told with its share of income and a share with its amount; a low share says nothing beside a high amount
                    other = pair[best]
                    if other >= 0 and not (values[row, other] > 0 and values[row, best] > 0):
                        other = -1
                    if other >= 0 and when[best] != 2 and when[other] == when[best]:
                        here, there, count = stand(
                            start, known, cut, below, upto, township[row], other, values[row, other], fewest
                        )
                        if count == 0:
                            here, there, count = stand(
                                start, known, cut, below, upto, county[row], other, values[row, other], fewest
                            )
                        if count == 0 or (here - there) * when[best] <= 0:
                            other = -1
                    slot = said if inside < 0 else inside
                    partner[row, offset + slot] = other
                    feature[row, offset + slot] = best
                    side[row, offset + slot] = best_side
                    percent[row, offset + slot] = best_percent
                    level[row, offset + slot] = best_level
                    told_topic[slot] = number
                    if inside < 0:
                        said += 1


@compiled
def kinds_told(feature, kind, kinds, most_raising, last, code):  # fmt: skip
    """Risk kinds of each row's raising reasons, heaviest first and `last` behind all others, four bits each (kind + 1), into `code` (n).

    kinds: shape (n, kinds), what each added to the margin.
    """
    told = np.empty(most_raising, np.int64)
    for row in range(len(feature)):
        n = 0
        for slot in range(most_raising):
            if feature[row, slot] < 0:
                continue
            new = kind[feature[row, slot]]
            known = False
            for seen in range(n):
                known |= told[seen] == new
            if known:
                continue
            at = n
            while at > 0:
                other = told[at - 1]
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
                told[at] = other
                at -= 1
            told[at] = new
            n += 1
        number = np.int64(0)
        for slot in range(most_raising):
            number = number * 16 + (told[slot] + 1 if slot < n else 0)
        code[row] = number


@compiled
def summed(contributions, group, out):  # fmt: skip
    """Add contributions (n, p) up over the columns of each group, from the first column to the last, into `out` (n, groups)."""
    for row in range(len(contributions)):
        for column in range(len(group)):
            out[row, group[column]] += contributions[row, column]
