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
def goes_left(number, ask, bound, start, words, category_bits, zero):  # fmt: skip
    """Whether one value answers one node's question with yes: the same answers as in `contributions_into`."""
    if abs(number) <= zero:
        number = 0.0
    if ask == 0:
        return number <= bound
    if ask == 1:
        return not (number > bound)
    if ask < 4:
        return ask == 2 if number == 0.0 or np.isnan(number) else number <= bound
    if number > -1.0 and number < 2147483648.0:
        code = np.int64(number)
        if code >> 5 < words:
            return bool((category_bits[start + (code >> 5)] >> np.uint32(code & 31)) & np.uint32(1))
    return False


@compiled
def interactions_into(
    values, node_start, leaf_start, feature, threshold, question, left, right, cover, value, leaf_cover, category_start, category_stop,
    category_bits, points, weights, zero, out,
):  # fmt: skip
    """Add to `out` (n, p, p) each pair's Shapley interaction, and on the diagonal each feature's contribution, for rows of `values` (n, p).

    As in `fill`, with r and o of a leaf's features: the pair i, j gets value * (o_i - r_i) * (o_j - r_j) * integral over t in [0, 1] of the
    product over all others of (o t + r (1 - t)), half of it on either side of the diagonal.
    """
    for tree in range(len(node_start) - 1):
        first, first_leaf = node_start[tree], leaf_start[tree]
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
        yes = np.empty(nodes, np.bool_)
        asked = np.empty(nodes + 1, np.int64)
        share = np.empty(nodes + 1, np.float64)
        met = np.empty(nodes + 1, np.float64)
        for row in range(len(values)):
            for node in range(nodes):
                here = first + node
                words = category_stop[here] - category_start[here]
                yes[node] = goes_left(
                    values[row, feature[here]], question[here], threshold[here], category_start[here], words, category_bits, zero
                )
            for leaf in range(nodes + 1):
                unique = 0
                child = ~leaf
                up = leaf_parent[leaf]
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
                        met[place] = 1.0
                        unique += 1
                    rows = cover[first + child] if child >= 0 else leaf_cover[first_leaf + ~child]
                    share[place] *= rows / cover[first + up] if cover[first + up] > 0 else 0.0
                    if yes[up] != (left[first + up] == child):
                        met[place] = 0.0
                    child = up
                    up = parent[up]
                height = value[first_leaf + leaf]
                for i in range(unique):
                    for j in range(i, unique):
                        total = 0.0
                        for q in range(len(points)):
                            t = points[q]
                            product = weights[q]
                            for other in range(unique):
                                if other != i and other != j:
                                    product *= met[other] * t + share[other] * (1.0 - t)
                            total += product
                        total *= height * (met[i] - share[i])
                        if i == j:
                            out[row, asked[i], asked[i]] += total
                        else:
                            total *= (met[j] - share[j]) / 2.0
                            out[row, asked[i], asked[j]] += total
                            out[row, asked[j], asked[i]] += total


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
                    here, there, count = stand(start, known, cut, below, upto, township[row], column, value, fewest)
                    where = 1
                    if count == 0:
                        here, there, count = stand(start, known, cut, below, upto, county[row], column, value, fewest)
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
                start = category_start[at]
                left_hand = goes_left(
                    values[row, feature[at]], question[at], threshold[at], start, category_stop[at] - start, category_bits, zero
                )
                node = left[at] if left_hand else right[at]
            total += value[leaf_start[tree] + ~node]
        out[row] = total


KERNELS: Final = (lay_out, fill, contributions_into, goes_left, interactions_into, margins_into, spread, stand, choose_reasons)
