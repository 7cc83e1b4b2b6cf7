# mypy: allow-untyped-defs
"""The loops over nodes and leaves that are compiled to machine code. What they do is told in `trees`, which calls them.

They trust their arguments: `trees` has checked every pointer.
"""

from __future__ import annotations

import numpy as np

from riskmodel.compiled import compiled


@compiled
def parents(first, nodes, left, right):  # fmt: skip
    """Parent of each node of a tree (-1 for the root) and of each leaf. The tree's nodes begin at `first`."""
    parent = np.full(nodes, -1, np.int64)
    leaf_parent = np.zeros(nodes + 1, np.int64)
    for node in range(nodes):
        for child in (left[first + node], right[first + node]):
            if child >= 0:
                parent[child] = node
            else:
                leaf_parent[~child] = node
    return parent, leaf_parent


@compiled
def lay_out(
    node_start, feature, left, right, most_bits, deepest, write,
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
        parent, leaf_parent = parents(first, nodes, left, right)
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
    node_start, leaf_start, feature, left, right, cover, value, weight, leaf_cover, group_start, bit_start, condition_start, condition,
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
        parent, leaf_parent = parents(first, nodes, left, right)
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
                leaf_value = value[first_leaf + ~here] * weight[tree]
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
                        table[table_start[group] + local[place] * patterns + pattern] += small[
                            met * unique + place
                        ]


@compiled
def in_category(number, start, words, category_bits):  # fmt: skip
    """Whether a value is one of the categories that go left. LightGBM cuts the fraction off; below 0, NaN and what no int32 holds go right."""
    if number > -1.0 and number < 2147483648.0:
        code = np.int64(number)
        if code >> 5 < words:
            return bool((category_bits[start + (code >> 5)] >> np.uint32(code & 31)) & np.uint32(1))
    return False


@compiled
def answer(values, feature, question, start, words, category_bits, zero, sheet):  # fmt: skip
    """Write what the nodes ask about rows of `values` (n, p) into `sheet` (asks, n), so that each answer is one comparison: `sheet <= bound` goes left.

    What is unknown, or missing in the model's sense, becomes the infinity of the side that it falls to; a category, the infinity of its side.
    """
    largest = np.finfo(np.float64).max
    for ask in range(len(sheet)):
        column = feature[ask]
        how = question[ask]
        if how < 2:
            unknown = np.inf if how == 0 else -np.inf
            for row in range(len(values)):
                number = values[row, column]
                if np.isnan(number):
                    sheet[ask, row] = unknown
                else:
                    sheet[ask, row] = 0.0 if abs(number) <= zero else min(number, largest)
        elif how < 4:
            missing = -np.inf if how == 2 else np.inf
            for row in range(len(values)):
                number = values[row, column]
                if np.isnan(number) or abs(number) <= zero:
                    sheet[ask, row] = missing
                else:
                    sheet[ask, row] = min(number, largest)
        else:
            for row in range(len(values)):
                left = in_category(values[row, column], start[ask], words[ask], category_bits)
                sheet[ask, row] = -np.inf if left else np.inf


@compiled
def contributions_into(
    values, sheet, feature, start, words, category_bits, node_start, ask, bound, group_start, bit_start, condition_start, condition,
    feature_start, group_feature, table_start, table, turned, out,
):  # fmt: skip
    """Add every group's contributions for rows of `values` (n, p) into `out` (n, p), many rows at once.

    sheet: without the asks of categories, which are as many as their nodes; those are answered here, from the values. turned: the table is (see `by_pattern`).
    What a row gets does not depend on the rows beside it: groups are added in one fixed order, here and in `contributions_of_few`.
    """
    rows, columns = out.shape
    longest = 1
    for tree in range(len(node_start) - 1):
        longest = max(longest, node_start[tree + 1] - node_start[tree])
    given = np.zeros((columns, rows), np.float64)
    met = np.empty((longest, rows), np.uint16)
    pattern = np.empty(rows, np.uint16)
    one = np.empty(rows, np.uint16)
    for tree in range(len(node_start) - 1):
        first = node_start[tree]
        for node in range(node_start[tree + 1] - first):
            number = ask[first + node]
            answers = met[node]
            if number < len(sheet):
                asked = sheet[number]
                limit = bound[first + node]
                for row in range(rows):
                    answers[row] = np.uint16(asked[row] <= limit)
            else:
                column = feature[number]
                for row in range(rows):
                    answers[row] = np.uint16(
                        in_category(values[row, column], start[number], words[number], category_bits)
                    )
        for group in range(group_start[tree], group_start[tree + 1]):
            bit0 = bit_start[group]
            for row in range(rows):
                pattern[row] = 0
            for bit in range(bit_start[group + 1] - bit0):
                begin = condition_start[bit0 + bit]
                end = condition_start[bit0 + bit + 1]
                shift = np.uint16(bit)
                if end - begin == 1:
                    node = condition[begin]
                    flip = np.uint16(node < 0)
                    answers = met[~node if node < 0 else node]
                    for row in range(rows):
                        pattern[row] |= (answers[row] ^ flip) << shift
                else:
                    for row in range(rows):
                        one[row] = np.uint16(1)
                    for c in range(begin, end):
                        node = condition[c]
                        flip = np.uint16(node < 0)
                        answers = met[~node if node < 0 else node]
                        for row in range(rows):
                            one[row] &= answers[row] ^ flip
                    for row in range(rows):
                        pattern[row] |= one[row] << shift
            first_feature = feature_start[group]
            features = feature_start[group + 1] - first_feature
            size = np.int64(1) << (bit_start[group + 1] - bit0)
            for number in range(features):
                target = given[group_feature[first_feature + number]]
                if turned:
                    at = table_start[group] + number
                    for row in range(rows):
                        target[row] += table[at + np.int64(pattern[row]) * features]
                else:
                    part = table[
                        table_start[group] + number * size : table_start[group] + (number + 1) * size
                    ]
                    for row in range(rows):
                        target[row] += part[pattern[row]]
    for row in range(rows):
        for column in range(columns):
            out[row, column] = given[column, row]


@compiled
def by_pattern(bit_start, feature_start, table_start, table, out):  # fmt: skip
    """The tables turned: for each pattern of a group its contributions to every feature, side by side, into `out` (as long as `table`)."""
    for group in range(len(table_start) - 1):
        at = table_start[group]
        patterns = np.int64(1) << (bit_start[group + 1] - bit_start[group])
        features = feature_start[group + 1] - feature_start[group]
        for number in range(features):
            for pattern in range(patterns):
                out[at + pattern * features + number] = table[at + number * patterns + pattern]


@compiled
def contributions_of_few(
    sheet, group_start, bit_start, condition_start, condition_ask, condition_bound, condition_right, feature_start, group_feature, table_start,
    table, out,
):  # fmt: skip
    """The same for a few rows, to the bit: for one household, laying rows side by side costs more than its sums. table: turned, see `by_pattern`.

    First all patterns, then all sums: the tables are larger than the caches, and so the processor can fetch many cells at once.
    """
    groups = group_start[-1]
    place = np.empty(groups, np.int64)
    for row in range(len(out)):
        for group in range(groups):
            bit0 = bit_start[group]
            pattern = np.int64(0)
            for bit in range(bit_start[group + 1] - bit0):
                met = True
                for c in range(condition_start[bit0 + bit], condition_start[bit0 + bit + 1]):
                    met &= (sheet[condition_ask[c], row] <= condition_bound[c]) != condition_right[c]
                pattern |= np.int64(met) << bit
            place[group] = table_start[group] + pattern * (feature_start[group + 1] - feature_start[group])
        for group in range(groups):
            at = place[group]
            for number in range(feature_start[group], feature_start[group + 1]):
                out[row, group_feature[number]] += table[at]
                at += 1


@compiled
def depths(node_start, left, right):  # fmt: skip
    """How many questions stand before the farthest leaf of each tree. Children are numbered after their parents."""
    deepest = np.zeros(len(node_start) - 1, np.int64)
    for tree in range(len(node_start) - 1):
        first = node_start[tree]
        nodes = node_start[tree + 1] - first
        depth = np.ones(nodes, np.int64)
        for node in range(nodes):
            deepest[tree] = max(deepest[tree], depth[node])
            for child in (left[first + node], right[first + node]):
                if child >= 0:
                    depth[child] = depth[node] + 1
    return deepest


@compiled
def margins_into(sheet, member_start, root, depth, ask, bound, child, value, out):  # fmt: skip
    """Margin of each member for the rows of a sheet (asks, n), into `out` (members, n): leaf values added up in the order of the trees, as LightGBM does.

    Places are nodes and leaves alike; child[2 * place] is the left one, the next the right one; a leaf is its own child, so that every row takes as
    many steps as the tree is deep and no step is a guess. Places are without a sign, so that no look-up asks whether to count from the end.
    """
    rows = np.uint64(sheet.shape[1])
    flat = sheet.ravel()
    for member in range(len(member_start) - 1):
        for tree in range(member_start[member], member_start[member + 1]):
            begin, steps = np.uint64(root[tree]), depth[tree]
            for row in range(sheet.shape[1]):
                place = begin
                for _ in range(steps):
                    right = flat[np.uint64(ask[place]) * rows + np.uint64(row)] > bound[place]
                    place = np.uint64(child[np.uint64(2) * place + np.uint64(right)])
                out[member, row] += value[place]


@compiled
def interactions_into(
    sheet, node_start, leaf_start, feature, ask, bound, left, right, cover, value, weight, leaf_cover, points, weights, out,
):  # fmt: skip
    """Add to `out` (n, p, p) each pair's Shapley interaction, and on the diagonal each feature's contribution, for the rows of a sheet (asks, n).

    As in `fill`, with r and o of a leaf's features: the pair i, j gets value * (o_i - r_i) * (o_j - r_j) * integral over t in [0, 1] of the
    product over all others of (o t + r (1 - t)), half of it on either side of the diagonal.
    """
    for tree in range(len(node_start) - 1):
        first, first_leaf = node_start[tree], leaf_start[tree]
        nodes = node_start[tree + 1] - first
        if nodes == 0:
            continue
        parent, leaf_parent = parents(first, nodes, left, right)
        yes = np.empty(nodes, np.bool_)
        asked = np.empty(nodes + 1, np.int64)
        share = np.empty(nodes + 1, np.float64)
        met = np.empty(nodes + 1, np.float64)
        for row in range(len(out)):
            for node in range(nodes):
                yes[node] = sheet[ask[first + node], row] <= bound[first + node]
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
                height = value[first_leaf + leaf] * weight[tree]
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
