# mypy: allow-untyped-defs
"""The loops over nodes and leaves that are compiled to machine code. What they do is told in `trees`, which calls them.

They trust their arguments: `trees` has checked every pointer.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from riskmodel.screening.compiled import compiled


@compiled
def lay_out(
    node_start, leaf_start, feature, left, right, most_bits, deepest, write,
    bit_start, condition_start, condition, feature_start, group_feature, top,
):  # fmt: skip
    """Cut each tree into groups: from the root down, the first subtree whose conditions fit into `most_bits`.

    A larger subtree never costs more look-ups than its two halves, since each half repeats the path. Called twice: to count, then to write.
    """
    trees = len(node_start) - 1
    groups_of = np.zeros(trees, np.int64)
    counts = np.zeros(5, np.int64)  # groups, bits, conditions, features, cells
    for tree in range(trees):
        first = node_start[tree]
        nodes = node_start[tree + 1] - first
        if nodes == 0:
            continue
        parent = np.full(nodes, -1, np.int64)
        leaf_parent = np.zeros(nodes + 1, np.int64)
        for node in range(nodes):
            for child in (left[first + node], right[first + node]):
                if child >= 0:
                    parent[child] = node
                else:
                    leaf_parent[~child] = node
        order = np.empty(nodes, np.int64)  # parents before children
        order[0] = 0
        filled = 1
        for place in range(nodes):
            for child in (left[first + order[place]], right[first + order[place]]):
                if child >= 0:
                    order[filled] = child
                    filled += 1
        below = np.ones(nodes, np.int64)
        for place in range(nodes - 1, 0, -1):
            below[parent[order[place]]] += below[order[place]]

        stack = np.empty(2 * nodes + 2, np.int64)
        stack[0] = 0
        waiting = 1
        path = np.empty(nodes + 1, np.int64)
        path_feature = np.empty(nodes + 1, np.int64)
        queue = np.empty(nodes + 1, np.int64)
        while waiting > 0:
            waiting -= 1
            here = stack[waiting]
            # the path to this place, from below: nodes, ~node where it went right
            long = 0
            child = here
            up = leaf_parent[~here] if here < 0 else parent[here]
            while up >= 0:
                path[long] = up if left[first + up] == child else ~up
                long += 1
                child = up
                up = parent[up]
            unique = 0
            for step in range(long):
                node = path[step] if path[step] >= 0 else ~path[step]
                asked = feature[first + node]
                known = False
                for seen in range(unique):
                    known |= path_feature[seen] == asked
                if not known:
                    path_feature[unique] = asked
                    unique += 1
            inside = below[here] if here >= 0 else 0
            if here >= 0 and unique + inside > most_bits:
                stack[waiting] = right[first + here]
                stack[waiting + 1] = left[first + here]
                waiting += 2
                continue
            n_bits = unique + inside
            if n_bits > deepest:
                counts[0] = -1
                return counts, groups_of
            group = counts[0]
            if write:
                top[group] = here
                for bit in range(unique):
                    condition_start[counts[1] + bit] = counts[2]
                    for step in range(long):
                        node = path[step] if path[step] >= 0 else ~path[step]
                        if feature[first + node] == path_feature[bit]:
                            condition[counts[2]] = path[step]
                            counts[2] += 1
                    group_feature[counts[3] + bit] = path_feature[bit]
            else:
                counts[2] += long
            features = unique
            if inside:
                queue[0] = here
                filled = 1
                for place in range(inside):
                    node = queue[place]
                    if write:
                        condition_start[counts[1] + unique + place] = counts[2]
                        condition[counts[2]] = node
                    counts[2] += 1
                    asked = feature[first + node]
                    known = False
                    for seen in range(features):
                        known |= path_feature[seen] == asked
                    if not known:
                        path_feature[features] = asked
                        if write:
                            group_feature[counts[3] + features] = asked
                        features += 1
                    for child in (left[first + node], right[first + node]):
                        if child >= 0:
                            queue[filled] = child
                            filled += 1
            counts[0] += 1
            counts[1] += n_bits
            counts[3] += features
            counts[4] += features << n_bits
            groups_of[tree] += 1
            if write:
                bit_start[group + 1] = counts[1]
                condition_start[counts[1]] = counts[2]
                feature_start[group + 1] = counts[3]
    return counts, groups_of


@compiled
def fill(
    node_start, leaf_start, feature, left, right, cover, value, leaf_cover, group_start, bit_start, condition_start, condition,
    feature_start, group_feature, top, table_start, deepest, points, weights, table,
):  # fmt: skip
    """The contributions of each group's leaves, for each pattern of its bits.

    With r the share of training rows that a feature's conditions let through and o whether this household meets them (0 or 1), a leaf
    gives feature i: value * (o_i - r_i) * integral over t in [0, 1] of the product over the other features of (o t + r (1 - t)).
    That integral is the Shapley weight written out; Gauss-Legendre points make it exact, since it is a polynomial of known degree.
    """
    for tree in range(len(node_start) - 1):
        first, first_leaf = node_start[tree], leaf_start[tree]
        nodes = node_start[tree + 1] - first
        parent = np.full(nodes, -1, np.int64)
        leaf_parent = np.zeros(nodes + 1, np.int64)
        for node in range(nodes):
            for child in (left[first + node], right[first + node]):
                if child >= 0:
                    parent[child] = node
                else:
                    leaf_parent[~child] = node
        asked = np.empty(nodes + 1, np.int64)
        share = np.empty(nodes + 1, np.float64)
        need = np.empty(nodes + 1, np.int64)
        want = np.empty(nodes + 1, np.int64)
        local = np.empty(nodes + 1, np.int64)
        stack = np.empty(2 * nodes + 2, np.int64)
        small = np.empty((1 << deepest) * deepest, np.float64)
        before = np.empty(deepest + 1, np.float64)
        factor = np.empty(deepest, np.float64)
        for group in range(group_start[tree], group_start[tree + 1]):
            bit0 = bit_start[group]
            n_bits = bit_start[group + 1] - bit0
            features = feature_start[group + 1] - feature_start[group]
            patterns = np.int64(1) << n_bits
            stack[0] = top[group]
            waiting = 1
            while waiting > 0:
                waiting -= 1
                here = stack[waiting]
                if here >= 0:
                    stack[waiting] = left[first + here]
                    stack[waiting + 1] = right[first + here]
                    waiting += 2
                    continue
                # this leaf's features, each with its share and with the bits that must be set or clear
                unique = 0
                child = here
                up = leaf_parent[~here]
                under = top[group] >= 0  # still inside the group's subtree
                while up >= 0:
                    name = feature[first + up]
                    place = -1
                    for seen in range(unique):
                        if asked[seen] == name:
                            place = seen
                    if place < 0:
                        place = unique
                        asked[place] = name
                        share[place] = 1.0
                        need[place] = 0
                        want[place] = 0
                        for number in range(features):
                            if group_feature[feature_start[group] + number] == name:
                                local[place] = number
                        unique += 1
                    rows = cover[first + child] if child >= 0 else leaf_cover[first_leaf + ~child]
                    share[place] *= rows / cover[first + up] if cover[first + up] > 0 else 0.0
                    went_left = left[first + up] == child
                    step = up if (under or went_left) else ~up
                    for bit in range(n_bits):
                        for c in range(condition_start[bit0 + bit], condition_start[bit0 + bit + 1]):
                            if condition[c] == step:
                                need[place] |= np.int64(1) << bit
                                if (not under) or went_left:
                                    want[place] |= np.int64(1) << bit
                    if up == top[group]:
                        under = False
                    child = up
                    up = parent[up]
                # its table, by pattern of met features
                leaf_value = value[first_leaf + ~here]
                n_points = len(points)
                for met in range(1 << unique):
                    for place in range(unique):
                        small[met * unique + place] = 0.0
                    for q in range(n_points):
                        t = points[q]
                        before[0] = 1.0
                        for place in range(unique):
                            factor[place] = ((met >> place) & 1) * t + share[place] * (1.0 - t)
                            before[place + 1] = before[place] * factor[place]
                        after = weights[q] * leaf_value
                        for place in range(unique - 1, -1, -1):
                            small[met * unique + place] += before[place] * after
                            after *= factor[place]
                    for place in range(unique):
                        small[met * unique + place] *= ((met >> place) & 1) - share[place]
                for pattern in range(patterns):
                    met = 0
                    for place in range(unique):
                        if (pattern & need[place]) == want[place]:
                            met |= 1 << place
                    for place in range(unique):
                        table[table_start[group] + local[place] * patterns + pattern] += small[met * unique + place]


@compiled
def contributions_into(
    values, node_start, feature, threshold, question, category_start, category_stop, category_bits, group_start, bit_start,
    condition_start, condition, feature_start, group_feature, table_start, table, block, zero, out,
):  # fmt: skip
    """Add every group's contributions for rows of `values` (n, p) into `out` (n, p).

    Rows are taken in blocks, columns first, so that questions are asked of many rows at once. What a row gets does not depend on the
    rows beside it: groups are added in one fixed order.
    """
    rows, columns = values.shape
    longest = 1
    for tree in range(len(node_start) - 1):
        longest = max(longest, node_start[tree + 1] - node_start[tree])
    turned = np.empty((columns, block), np.float64)
    given = np.empty((columns, block), np.float64)
    met = np.empty((longest, block), np.uint16)
    pattern = np.empty(block, np.uint16)
    one = np.empty(block, np.uint16)
    for begin in range(0, rows, block):
        some = min(block, rows - begin)
        for row in range(some):
            for column in range(columns):
                number = values[begin + row, column]
                turned[column, row] = 0.0 if abs(number) <= zero else number
                given[column, row] = 0.0
        for tree in range(len(node_start) - 1):
            first = node_start[tree]
            for node in range(node_start[tree + 1] - first):
                column_of = turned[feature[first + node]]
                bound = threshold[first + node]
                ask = question[first + node]
                answer = met[node]
                if ask == 0:
                    for row in range(some):
                        answer[row] = np.uint16(column_of[row] <= bound)
                elif ask == 1:
                    for row in range(some):
                        answer[row] = np.uint16(not (column_of[row] > bound))
                elif ask < 4:
                    default = np.uint16(ask == 2)
                    for row in range(some):
                        number = column_of[row]
                        if number == 0.0 or np.isnan(number):
                            answer[row] = default
                        else:
                            answer[row] = np.uint16(number <= bound)
                else:
                    start = category_start[first + node]
                    words = category_stop[first + node] - start
                    for row in range(some):
                        number = column_of[row]
                        answer[row] = np.uint16(0)
                        # LightGBM cuts the fraction off; below 0, NaN and what no int32 holds go right
                        if number > -1.0 and number < 2147483648.0:
                            code = np.int64(number)
                            if code >> 5 < words:
                                answer[row] = np.uint16(
                                    (category_bits[start + (code >> 5)] >> np.uint32(code & 31)) & np.uint32(1)
                                )
            for group in range(group_start[tree], group_start[tree + 1]):
                bit0 = bit_start[group]
                n_bits = bit_start[group + 1] - bit0
                for row in range(some):
                    pattern[row] = 0
                for bit in range(n_bits):
                    begin_c = condition_start[bit0 + bit]
                    end_c = condition_start[bit0 + bit + 1]
                    shift = np.uint16(bit)
                    if end_c - begin_c == 1:
                        asked = condition[begin_c]
                        if asked >= 0:
                            answer = met[asked]
                            for row in range(some):
                                pattern[row] |= answer[row] << shift
                        else:
                            answer = met[~asked]
                            for row in range(some):
                                pattern[row] |= (answer[row] ^ np.uint16(1)) << shift
                    else:
                        for row in range(some):
                            one[row] = np.uint16(1)
                        for c in range(begin_c, end_c):
                            asked = condition[c]
                            if asked >= 0:
                                answer = met[asked]
                                for row in range(some):
                                    one[row] &= answer[row]
                            else:
                                answer = met[~asked]
                                for row in range(some):
                                    one[row] &= answer[row] ^ np.uint16(1)
                        for row in range(some):
                            pattern[row] |= one[row] << shift
                size = np.int64(1) << n_bits
                at = table_start[group]
                for number_f in range(feature_start[group], feature_start[group + 1]):
                    part = table[at : at + size]
                    target = given[group_feature[number_f]]
                    for row in range(some):
                        target[row] += part[pattern[row]]
                    at += size
        for row in range(some):
            for column in range(columns):
                out[begin + row, column] = given[column, row]


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
    contributions, values, topic, n_topics, riskier, is_flag, zero_said, measure, compared, tellable, township, county,
    start, known, cut, below, upto, fewest, beyond, most_raising, always_raising, share_raising, most_lowering, share_lowering, least, feature, side, percent, level, partner,
):  # fmt: skip
    """For each row, the features that speak for its weightiest topics: `most_raising` places, then `most_lowering`.

    riskier: 1 higher, -1 lower, 0 unclear. feature: -1 where there is no reason. side, percent, level: the comparison (see
    `wording.compare`; level 1 township, 2 county). measure: 1 an amount of money, 2 a share of something, 0 neither; partner: a second feature to be
    told with the first, or -1. A topic is spoken for by the feature that moved the score most in the topic's direction,
    if that does not contradict the direction that the catalogue declares; else by the next; else by nobody.
    """
    rows, columns = contributions.shape
    total = np.empty(n_topics, np.float64)
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
            said = 0
            for place in range(n_topics):
                number = order[place] if sign > 0 else order[n_topics - 1 - place]
                weight = sign * total[number]
                if weight < least or said == slots:
                    break
                if sign > 0 and said >= always_raising and weight < share_raising * up:
                    break
                if sign < 0 and weight < share_lowering * down:
                    break
                best, best_weight, best_missing = -1, 0.0, True
                best_side, best_percent, best_level = 0, 0, 0
                for column in range(columns):
                    if topic[column] != number or not tellable[column]:
                        continue
                    given = sign * contributions[row, column]
                    if given <= 0:
                        continue
                    value = values[row, column]
                    missing = np.isnan(value)
                    # a known value speaks before an unknown one, then the heavier before the lighter
                    if best >= 0 and ((missing and not best_missing) or (missing == best_missing and given <= best_weight)):
                        continue
                    where, here, there, count = 0, 0.0, 0.0, 0
                    if not missing:
                        here, there, count = stand(start, known, cut, below, upto, township[row], column, value, fewest)
                        where = 1
                        if count == 0:
                            here, there, count = stand(start, known, cut, below, upto, county[row], column, value, fewest)
                            where = 2
                        if count == 0:
                            where = 0
                        high = sign * riskier[column]  # 1: a high value fits this reason, -1: a low one
                        if high != 0:
                            if count > 0 and (here - there) * high <= 0:
                                continue
                            if is_flag[column] and (value != 0) != (high > 0):
                                continue
                            if value == 0 and high > 0 and count == 0:
                                continue
                    best, best_weight, best_missing = column, given, missing
                    best_side, best_percent, best_level = 0, 0, where
                    if where == 0 or not compared[column]:
                        best_level = 0
                        continue
                    step = 1 if count >= 500 else 5 if count >= 100 else 10
                    if is_flag[column] or (value == 0 and zero_said[column]):
                        same = 1.0 - here - there
                        if same * count >= beyond and same < 0.25:
                            best_side = 2
                            best_percent = int(np.rint(same * 100 / step)) * step
                            if step > 1 and best_percent == 0:
                                best_percent = step
                        continue
                    direction = sign * riskier[column]
                    if direction == 0:
                        direction = 1 if here >= there else -1
                    share = min(here if direction > 0 else there, 1.0 - beyond / count)
                    told = int(np.floor(share * 100 / step + 1e-9)) * step
                    if told >= 60:
                        best_side, best_percent = direction, told
                if best >= 0:
                    # an amount is told with its share of income, a share with its amount, where the topic has both and they agree
                    other, other_weight = -1, 0.0
                    if measure[best] > 0 and not np.isnan(values[row, best]) and values[row, best] > 0:
                        for column in range(columns):
                            given = sign * contributions[row, column]
                            value = values[row, column]
                            if topic[column] != number or measure[column] != 3 - measure[best] or not tellable[column]:
                                continue
                            if riskier[column] != riskier[best] or given <= other_weight or not value > 0:
                                continue
                            high = sign * riskier[column]
                            here, there, count = stand(start, known, cut, below, upto, township[row], column, value, fewest)
                            if count == 0:
                                here, there, count = stand(start, known, cut, below, upto, county[row], column, value, fewest)
                            if high != 0 and (count == 0 or (here - there) * high <= 0):
                                continue
                            other, other_weight = column, given
                    partner[row, offset + said] = other
                    feature[row, offset + said] = best
                    side[row, offset + said] = best_side
                    percent[row, offset + said] = best_percent
                    level[row, offset + said] = best_level
                    said += 1


KERNELS: Final = (lay_out, fill, contributions_into, spread, stand, choose_reasons)


@compiled
def margins_into(
    values, node_start, leaf_start, feature, threshold, question, left, right, category_start, category_stop, category_bits, value, zero, out,
):  # fmt: skip
    """Margin of each row of `values` (n, p) into `out` (n): leaf values added up in the order of the trees, as LightGBM adds them."""
    for row in range(len(values)):
        total = 0.0
        for tree in range(len(node_start) - 1):
            first = node_start[tree]
            node = 0 if node_start[tree + 1] > first else -1
            while node >= 0:
                at = first + node
                number = values[row, feature[at]]
                if abs(number) <= zero:
                    number = 0.0
                ask = question[at]
                if ask == 0:
                    goes_left = number <= threshold[at]
                elif ask == 1:
                    goes_left = not (number > threshold[at])
                elif ask < 4:
                    goes_left = ask == 2 if number == 0.0 or np.isnan(number) else number <= threshold[at]
                else:
                    goes_left = False
                    if number > -1.0 and number < 2147483648.0:
                        code = np.int64(number)
                        start = category_start[at]
                        if code >> 5 < category_stop[at] - start:
                            goes_left = (category_bits[start + (code >> 5)] >> np.uint32(code & 31)) & np.uint32(1) == 1
                node = left[at] if goes_left else right[at]
            total += value[leaf_start[tree] + ~node]
        out[row] = total
