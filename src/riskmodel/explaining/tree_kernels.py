# mypy: allow-untyped-defs
"""Loops over nodes and leaves, compiled to machine code. `trees` explains the method, and calls them.

They do not check their arguments: `trees` has checked every index. Arrays that belong together come as one
record.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from riskmodel.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]


class Trees(NamedTuple):
    """Nodes and leaves of all trees, one tree after the other.

    node_start, leaf_start: shape (trees + 1,), int64. nodes, leaves: record arrays of `trees.NODE` and
    `trees.LEAF`. weight: shape (trees,), what a tree counts for in the mean of the members.
    """

    node_start: Ints
    leaf_start: Ints
    nodes: Records
    leaves: Records
    weight: Floats


class Asks(NamedTuple):
    """Distinct questions about a row, shape (asks,): the feature, how it is read (`trees.RIGHT_IF_NAN`, …),
    its categories.

    category_start, words: a slice of category_bits (uint32, 32 categories each) with the categories that go
    left.
    """

    feature: Ints
    question: Ints
    category_start: Ints
    words: Ints
    category_bits: npt.NDArray[np.uint32]


class NodeAsks(NamedTuple):
    """Each node asks whether `sheet[ask] <= bound`. start: shape (trees + 1,); ask, bound: shape (nodes,)."""

    start: Ints
    ask: Ints
    bound: Floats


class Groups(NamedTuple):
    """Groups of leaves that share one table of contributions; see `trees.ContributionTables`."""

    group_start: Ints
    bit_start: Ints
    condition_start: Ints
    condition: Ints
    feature_start: Ints
    group_feature: Ints
    table_start: Ints


class Conditions(NamedTuple):
    """Each condition of the groups as an ask, a bound, and whether it is met on the right-hand side; shape
    (conditions,).
    """

    ask: Ints
    bound: Floats
    right: npt.NDArray[np.bool_]


class Walk(NamedTuple):
    """The trees as one array of nodes and leaves together; an index into it is a place.

    member_start: shape (members + 1,), into the trees. root, depth: shape (trees,), int32. ask, bound, value:
    shape (places,). child: shape (2 * places,): left and right child of each place; a leaf is its own child.
    """

    member_start: Ints
    root: npt.NDArray[np.int32]
    depth: npt.NDArray[np.int32]
    ask: npt.NDArray[np.int32]
    bound: Floats
    child: npt.NDArray[np.int32]
    value: Floats


class Quadrature(NamedTuple):
    """Gauss-Legendre points and weights on [0, 1]."""

    points: Floats
    weights: Floats

    @classmethod
    def exact_for(cls, deepest: int) -> Any:
        """Exact for the polynomials of a path with `deepest` different features."""
        points, weights = np.polynomial.legendre.leggauss(deepest // 2 + 1)
        return cls((points + 1) / 2, weights / 2)


@compiled
def parents(nodes, first, count):
    """Parent of each node of a tree (-1 for the root) and of each leaf. The tree's `count` nodes begin at
    `first`.
    """
    parent = np.full(count, -1, np.int64)
    leaf_parent = np.zeros(count + 1, np.int64)
    for node in range(count):
        for child in (nodes[first + node].left, nodes[first + node].right):
            if child >= 0:
                parent[child] = node
            else:
                leaf_parent[~child] = node
    return parent, leaf_parent


@compiled
def lay_out(trees, most_bits, deepest, write, groups, top):
    """Cut each tree into groups: from the root down, the first subtree whose conditions fit into `most_bits`.

    groups, top: written where `write` is true (group_start and table_start are not). top: root of each group,
    a node or ~leaf. Returns the counts of groups (-1: a path is deeper than `deepest`), bits, conditions,
    features and cells, and the groups of each tree.

    A larger subtree never costs more look-ups than its two halves, since each half repeats the path. Called
    twice: to count, then to write.
    """
    node_start, nodes = trees.node_start, trees.nodes
    groups_of = np.zeros(len(node_start) - 1, np.int64)
    counts = np.zeros(5, np.int64)  # groups, bits, conditions, features, cells
    for tree in range(len(node_start) - 1):
        first = node_start[tree]
        inner = node_start[tree + 1] - first
        if inner == 0:
            continue
        parent, leaf_parent = parents(nodes, first, inner)
        order = np.empty(inner, np.int64)  # parents before children
        order[0] = 0
        filled = 1
        for place in range(inner):
            for child in (nodes[first + order[place]].left, nodes[first + order[place]].right):
                if child >= 0:
                    order[filled] = child
                    filled += 1
        below = np.ones(inner, np.int64)
        for place in range(inner - 1, 0, -1):
            below[parent[order[place]]] += below[order[place]]

        stack = np.empty(2 * inner + 2, np.int64)
        stack[0] = 0
        waiting = 1
        path = np.empty(inner + 1, np.int64)
        path_feature = np.empty(inner + 1, np.int64)
        queue = np.empty(inner + 1, np.int64)
        while waiting > 0:
            waiting -= 1
            here = stack[waiting]
            # the path to this place, from below: nodes, ~node where it went right
            long = 0
            child = here
            up = leaf_parent[~here] if here < 0 else parent[here]
            while up >= 0:
                path[long] = up if nodes[first + up].left == child else ~up
                long += 1
                child = up
                up = parent[up]
            unique = 0
            for step in range(long):
                node = path[step] if path[step] >= 0 else ~path[step]
                asked = nodes[first + node].feature
                known = False
                for seen in range(unique):
                    known |= path_feature[seen] == asked
                if not known:
                    path_feature[unique] = asked
                    unique += 1
            inside = below[here] if here >= 0 else 0
            if here >= 0 and unique + inside > most_bits:
                stack[waiting] = nodes[first + here].right
                stack[waiting + 1] = nodes[first + here].left
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
                    groups.condition_start[counts[1] + bit] = counts[2]
                    for step in range(long):
                        node = path[step] if path[step] >= 0 else ~path[step]
                        if nodes[first + node].feature == path_feature[bit]:
                            groups.condition[counts[2]] = path[step]
                            counts[2] += 1
                    groups.group_feature[counts[3] + bit] = path_feature[bit]
            else:
                counts[2] += long
            features = unique
            if inside:
                queue[0] = here
                filled = 1
                for place in range(inside):
                    node = queue[place]
                    if write:
                        groups.condition_start[counts[1] + unique + place] = counts[2]
                        groups.condition[counts[2]] = node
                    counts[2] += 1
                    asked = nodes[first + node].feature
                    known = False
                    for seen in range(features):
                        known |= path_feature[seen] == asked
                    if not known:
                        path_feature[features] = asked
                        if write:
                            groups.group_feature[counts[3] + features] = asked
                        features += 1
                    for child in (nodes[first + node].left, nodes[first + node].right):
                        if child >= 0:
                            queue[filled] = child
                            filled += 1
            counts[0] += 1
            counts[1] += n_bits
            counts[3] += features
            counts[4] += features << n_bits
            groups_of[tree] += 1
            if write:
                groups.bit_start[group + 1] = counts[1]
                groups.condition_start[counts[1]] = counts[2]
                groups.feature_start[group + 1] = counts[3]
    return counts, groups_of


@compiled
def fill(trees, groups, top, deepest, quadrature, table):
    """Add the contributions of each group's leaves into `table`, for each pattern of the group's bits.

    With r the share of training rows that a feature's conditions let through and o whether this household
    meets them (0 or 1), a leaf gives feature i: value * (o_i - r_i) * integral over t in [0, 1] of the
    product over the other features of (o t + r (1 - t)). That integral is the Shapley weight written out;
    Gauss-Legendre points make it exact, since it is a polynomial of known degree.
    """
    nodes, leaves = trees.nodes, trees.leaves
    condition_start, condition = groups.condition_start, groups.condition
    for tree in range(len(trees.node_start) - 1):
        first, first_leaf = trees.node_start[tree], trees.leaf_start[tree]
        inner = trees.node_start[tree + 1] - first
        parent, leaf_parent = parents(nodes, first, inner)
        asked = np.empty(inner + 1, np.int64)
        share = np.empty(inner + 1, np.float64)
        need = np.empty(inner + 1, np.int64)
        want = np.empty(inner + 1, np.int64)
        local = np.empty(inner + 1, np.int64)
        stack = np.empty(2 * inner + 2, np.int64)
        small = np.empty((1 << deepest) * deepest, np.float64)
        before = np.empty(deepest + 1, np.float64)
        factor = np.empty(deepest, np.float64)
        for group in range(groups.group_start[tree], groups.group_start[tree + 1]):
            bit0 = groups.bit_start[group]
            n_bits = groups.bit_start[group + 1] - bit0
            features = groups.feature_start[group + 1] - groups.feature_start[group]
            patterns = np.int64(1) << n_bits
            stack[0] = top[group]
            waiting = 1
            while waiting > 0:
                waiting -= 1
                here = stack[waiting]
                if here >= 0:
                    stack[waiting] = nodes[first + here].left
                    stack[waiting + 1] = nodes[first + here].right
                    waiting += 2
                    continue
                # this leaf's features, each with its share and with the bits that must be set or clear
                unique = 0
                child = here
                up = leaf_parent[~here]
                under = top[group] >= 0  # still inside the group's subtree
                while up >= 0:
                    name = nodes[first + up].feature
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
                            if groups.group_feature[groups.feature_start[group] + number] == name:
                                local[place] = number
                        unique += 1
                    rows = nodes[first + child].cover if child >= 0 else leaves[first_leaf + ~child].cover
                    share[place] *= rows / nodes[first + up].cover if nodes[first + up].cover > 0 else 0.0
                    went_left = nodes[first + up].left == child
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
                leaf_value = leaves[first_leaf + ~here].value * trees.weight[tree]
                n_points = len(quadrature.points)
                for met in range(1 << unique):
                    for place in range(unique):
                        small[met * unique + place] = 0.0
                    for q in range(n_points):
                        t = quadrature.points[q]
                        before[0] = 1.0
                        for place in range(unique):
                            factor[place] = ((met >> place) & 1) * t + share[place] * (1.0 - t)
                            before[place + 1] = before[place] * factor[place]
                        after = quadrature.weights[q] * leaf_value
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
                        table[groups.table_start[group] + local[place] * patterns + pattern] += small[
                            met * unique + place
                        ]


@compiled
def in_category(number, start, words, category_bits):
    """Whether a value is one of the categories that go left.

    LightGBM cuts the fraction off; a value below 0, NaN and what no int32 holds go right.
    """
    if number > -1.0 and number < 2147483648.0:
        code = np.int64(number)
        if code >> 5 < words:
            return bool((category_bits[start + (code >> 5)] >> np.uint32(code & 31)) & np.uint32(1))
    return False


@compiled
def answer(values, asks, zero, sheet):
    """Write the asks about rows of `values` (n, p) into `sheet` (asks, n), so that `sheet <= bound` goes
    left.

    An unknown value, or one that is missing in the model's sense, becomes the infinity of its side, and so
    does a category.
    """
    largest = np.finfo(np.float64).max
    for ask in range(len(sheet)):
        column = asks.feature[ask]
        how = asks.question[ask]
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
                left = in_category(
                    values[row, column], asks.category_start[ask], asks.words[ask], asks.category_bits
                )
                sheet[ask, row] = -np.inf if left else np.inf


@compiled
def contributions_into(values, sheet, asks, node_asks, groups, table, turned, out):
    """Add every group's contributions for rows of `values` (n, p) into `out` (n, p), many rows at once.

    sheet: without the asks of categories, which are as many as their nodes; those are answered here, from the
    values. turned: whether the table is ordered by pattern (see `by_pattern`). A row's result does not depend
    on the rows beside it: groups are added in one fixed order, here and in `contributions_of_few`.
    """
    node_start, ask, bound = node_asks.start, node_asks.ask, node_asks.bound
    bit_start, condition_start, condition = groups.bit_start, groups.condition_start, groups.condition
    feature_start, table_start = groups.feature_start, groups.table_start
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
                column = asks.feature[number]
                for row in range(rows):
                    answers[row] = np.uint16(
                        in_category(
                            values[row, column],
                            asks.category_start[number],
                            asks.words[number],
                            asks.category_bits,
                        )
                    )
        for group in range(groups.group_start[tree], groups.group_start[tree + 1]):
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
                target = given[groups.group_feature[first_feature + number]]
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
def by_pattern(groups, table, out):
    """Reorder the table: for each pattern of a group its contributions to every feature, side by side, into
    `out`.
    """
    bit_start, feature_start, table_start = groups.bit_start, groups.feature_start, groups.table_start
    for group in range(len(table_start) - 1):
        at = table_start[group]
        patterns = np.int64(1) << (bit_start[group + 1] - bit_start[group])
        features = feature_start[group + 1] - feature_start[group]
        for number in range(features):
            for pattern in range(patterns):
                out[at + pattern * features + number] = table[at + number * patterns + pattern]


@compiled
def contributions_of_few(sheet, groups, conditions, table, out):
    """The same as `contributions_into` for a few rows, to the bit. table: ordered by pattern, see
    `by_pattern`.

    For one household, laying rows side by side costs more than its sums. First all patterns, then all sums:
    the tables are larger than the caches, and so the processor can fetch many cells at once.
    """
    bit_start, condition_start, feature_start = groups.bit_start, groups.condition_start, groups.feature_start
    number_of_groups = groups.group_start[-1]
    place = np.empty(number_of_groups, np.int64)
    for row in range(len(out)):
        for group in range(number_of_groups):
            bit0 = bit_start[group]
            pattern = np.int64(0)
            for bit in range(bit_start[group + 1] - bit0):
                met = True
                for c in range(condition_start[bit0 + bit], condition_start[bit0 + bit + 1]):
                    met &= (sheet[conditions.ask[c], row] <= conditions.bound[c]) != conditions.right[c]
                pattern |= np.int64(met) << bit
            place[group] = groups.table_start[group] + pattern * (
                feature_start[group + 1] - feature_start[group]
            )
        for group in range(number_of_groups):
            at = place[group]
            for number in range(feature_start[group], feature_start[group + 1]):
                out[row, groups.group_feature[number]] += table[at]
                at += 1


@compiled
def depths(node_start, nodes):
    """Depth of each tree: questions on the path to its farthest leaf. Children are numbered after their
    parents.
    """
    deepest = np.zeros(len(node_start) - 1, np.int64)
    for tree in range(len(node_start) - 1):
        first = node_start[tree]
        inner = node_start[tree + 1] - first
        depth = np.ones(inner, np.int64)
        for node in range(inner):
            deepest[tree] = max(deepest[tree], depth[node])
            for child in (nodes[first + node].left, nodes[first + node].right):
                if child >= 0:
                    depth[child] = depth[node] + 1
    return deepest


@compiled
def margins_into(sheet, walk, out):
    """Margin of each member for the rows of a sheet (asks, n), into `out` (members, n).

    Leaf values are added in the order of the trees, as LightGBM does. A leaf is its own child, so that every
    row takes as many steps as the tree is deep and no step is a branch. Indexes are unsigned, so that no
    look-up asks whether to count from the end.
    """
    rows = np.uint64(sheet.shape[1])
    flat = sheet.ravel()
    ask, bound, child, value = walk.ask, walk.bound, walk.child, walk.value
    for member in range(len(walk.member_start) - 1):
        for tree in range(walk.member_start[member], walk.member_start[member + 1]):
            begin, steps = np.uint64(walk.root[tree]), walk.depth[tree]
            for row in range(sheet.shape[1]):
                place = begin
                for _ in range(steps):
                    right = flat[np.uint64(ask[place]) * rows + np.uint64(row)] > bound[place]
                    place = np.uint64(child[np.uint64(2) * place + np.uint64(right)])
                out[member, row] += value[place]


@compiled
def interactions_into(sheet, trees, node_asks, quadrature, out):
    """Add to `out` (n, p, p) each pair's Shapley interaction, on the diagonal each feature's contribution.

    sheet: the rows, shape (asks, n).

    As in `fill`, with r and o of a leaf's features: the pair i, j gets value * (o_i - r_i) * (o_j - r_j) *
    integral over t in [0, 1] of the product over all others of (o t + r (1 - t)), half of it on either side
    of the diagonal.
    """
    nodes, leaves, ask, bound = trees.nodes, trees.leaves, node_asks.ask, node_asks.bound
    for tree in range(len(trees.node_start) - 1):
        first, first_leaf = trees.node_start[tree], trees.leaf_start[tree]
        inner = trees.node_start[tree + 1] - first
        if inner == 0:
            continue
        parent, leaf_parent = parents(nodes, first, inner)
        yes = np.empty(inner, np.bool_)
        asked = np.empty(inner + 1, np.int64)
        share = np.empty(inner + 1, np.float64)
        met = np.empty(inner + 1, np.float64)
        for row in range(len(out)):
            for node in range(inner):
                yes[node] = sheet[ask[first + node], row] <= bound[first + node]
            for leaf in range(inner + 1):
                unique = 0
                child = ~leaf
                up = leaf_parent[leaf]
                while up >= 0:
                    name = nodes[first + up].feature
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
                    rows = nodes[first + child].cover if child >= 0 else leaves[first_leaf + ~child].cover
                    share[place] *= rows / nodes[first + up].cover if nodes[first + up].cover > 0 else 0.0
                    if yes[up] != (nodes[first + up].left == child):
                        met[place] = 0.0
                    child = up
                    up = parent[up]
                height = leaves[first_leaf + leaf].value * trees.weight[tree]
                for i in range(unique):
                    for j in range(i, unique):
                        total = 0.0
                        for q in range(len(quadrature.points)):
                            t = quadrature.points[q]
                            product = quadrature.weights[q]
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
