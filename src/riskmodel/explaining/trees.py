"""LightGBM's model text, read; and from it, tables of contributions that are worked out once instead of for
every household.

A tree gives a household its leaf's value. How much of it is due to a feature (path-dependent SHAP, Lundberg
2020) depends only on which conditions on the path to each leaf the household meets. So the answer for each
pattern of met conditions is worked out in advance (the idea of FastTreeSHAP v2, Yang 2021, and of Woodelf,
Nadel and Wettenstein 2025). Here the leaves are taken in groups: a group is a subtree small enough that all
its conditions, with those on the path that leads to it, fit into a few bits. One look-up a group and feature
then serves all leaves of the group.

The text is parsed, not `dump_model()`, which prints an infinite threshold as 1e300.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from riskmodel.errors import Fault, ModelError
from riskmodel.explaining.tree_kernels import (
    Asks,
    Conditions,
    Floats,
    Groups,
    Ints,
    NodeAsks,
    Quadrature,
    Records,
    Trees,
    answer,
    by_pattern,
    fill,
    lay_out,
)

# A node: left and right are a node of the same tree, or ~leaf; cover counts the training rows that passed.
NODE: Final = np.dtype(
    [
        ("feature", np.int64),
        ("threshold", np.float64),
        ("question", np.int64),
        ("left", np.int64),
        ("right", np.int64),
        ("cover", np.float64),
        ("category_start", np.int64),
        ("category_stop", np.int64),
    ]
)
LEAF: Final = np.dtype([("value", np.float64), ("cover", np.float64)])

ZERO: Final = float(np.float32(1e-35))  # LightGBM's kZeroThreshold: nearer to zero than this is zero
BITS: Final = 9  # conditions in a group: 512 patterns, 4 kB a feature: one table fits the nearest cache
DEEPEST: Final = 14  # conditions on the path to one leaf, merged by feature; beyond it a table is too large
MOST_BYTES: Final = 512 * 2**20

# How a node asks. NaN falls out of `value <= threshold` to the right, and out of `not value > threshold` to
# the left.
RIGHT_IF_NAN, LEFT_IF_NAN, LEFT_IF_ZERO, RIGHT_IF_ZERO, CATEGORY = 0, 1, 2, 3, 4
LARGEST: Final = float(np.finfo(np.float64).max)


def trees_hash(text: str) -> str:
    """SHA-256 of a LightGBM model text before its `parameters:` block, which names threads and no tree."""
    return hashlib.sha256(text.split("\nparameters:", 1)[0].encode()).hexdigest()


class TablesTooLarge(Exception):
    """The trees are deeper, or the tables larger, than the bound. Not an error of the user: another way gives
    the same answer.
    """


@dataclass(frozen=True)
class Forest:
    """All trees of all members, one after the other.

    n_features: columns of the matrix that is scored. base: the expected margin. averaged: a member is the
    mean of its trees (a random forest), not their sum. member_start: shape (members + 1,), into the trees.
    weight: shape (trees,), what a tree counts for in the mean of the members. node_start, leaf_start: shape
    (trees + 1,). nodes, leaves: record arrays of NODE and LEAF. category_bits: 32 categories each, a slice of
    it a node from category_start to category_stop.
    """

    n_features: int
    base: float
    averaged: bool
    member_start: Ints
    weight: Floats
    node_start: Ints
    leaf_start: Ints
    nodes: Records
    leaves: Records
    category_bits: npt.NDArray[np.uint32]

    @property
    def trees(self) -> Trees:
        """The record that the kernels take."""
        return Trees(
            node_start=self.node_start,
            leaf_start=self.leaf_start,
            nodes=self.nodes,
            leaves=self.leaves,
            weight=self.weight,
        )

    def shaped(self) -> bool:
        """Whether the nodes of each tree form a tree.

        Each node but the root and each leaf is the child of exactly one node, and no child is numbered before
        its parent.
        """
        if len(self.node_start) != len(self.leaf_start):
            return False
        count, leaves = np.diff(self.node_start), np.diff(self.leaf_start)
        if not (leaves == count + 1).all():
            return False
        first_node, first_leaf = (
            np.repeat(self.node_start[:-1], count),
            np.repeat(self.leaf_start[:-1], count),
        )
        own = np.arange(len(self.nodes)) - first_node
        most = np.repeat(count, count)
        node_parents = np.zeros(len(self.nodes), np.int64)
        leaf_parents = np.zeros(len(self.leaves), np.int64)
        for child in (self.nodes["left"], self.nodes["right"]):
            inner = child >= 0
            if not (np.where(inner, (child > own) & (child < most), ~child <= most)).all():
                return False
            np.add.at(node_parents, (first_node + child)[inner], 1)
            np.add.at(leaf_parents, (first_leaf + ~child)[~inner], 1)
        node_parents[self.node_start[:-1][count > 0]] += 1
        return bool((node_parents == 1).all() and (leaf_parents[np.repeat(count > 0, leaves)] == 1).all())

    @cached_property
    def questions(self) -> Questions:
        """The distinct ways in which nodes read a row, and for each node which of them it uses.

        Two nodes share one if they read the same feature in the same way (how NaN is treated), whatever their
        thresholds; for categories, if they use the same slice of `category_bits`. The thresholds are kept by
        node (`NodeAsks.bound`, clipped to +-LARGEST, 0 for categories). Computed once, then kept.
        """
        nodes = self.nodes
        is_category = nodes["question"] == CATEGORY
        code = np.where(
            is_category,
            self.n_features * CATEGORY + nodes["category_start"],
            nodes["feature"] * CATEGORY + nodes["question"],
        )
        _, first, ask = np.unique(code, return_index=True, return_inverse=True)
        bound = np.where(is_category, 0.0, np.clip(nodes["threshold"], -LARGEST, LARGEST))
        one = nodes[first]
        asks = Asks(
            feature=one["feature"].copy(),
            question=one["question"].copy(),
            category_start=one["category_start"].copy(),
            words=one["category_stop"] - one["category_start"],
            category_bits=self.category_bits,
        )
        return Questions(asks, NodeAsks(self.node_start, ask.astype(np.int64), bound))


@dataclass(frozen=True)
class Questions:
    """The distinct questions of a forest, and which of them each node asks."""

    asks: Asks
    nodes: NodeAsks

    @cached_property
    def plain(self) -> int:
        """How many asks are not about categories; they come first."""
        return int((self.asks.question != CATEGORY).sum())

    def sheet(self, values: Floats, asks: int | None = None) -> Floats:
        """The answers for n households, shape (asks, n), without NaN.

        values: shape (n, p), contiguous. asks: only the first so many.
        """
        sheet = np.empty((len(self.asks.feature) if asks is None else asks, len(values)))
        answer(values, self.asks, ZERO, sheet)
        return sheet


@dataclass(frozen=True)
class ContributionTables:
    """The pre-computed contributions, saved and read as plain arrays.

    Group g serves the trees' leaves below one node. Its bits are bit_start[g]:bit_start[g+1]; bit b is met
    when all its conditions condition[condition_start[b]:condition_start[b+1]] are (a node of the tree, or
    ~node for the right-hand side). Its features are group_feature[feature_start[g]:feature_start[g+1]], each
    with a table of 2**bits contributions, one after the other from table_start[g].
    """

    forest: Forest
    groups: Groups
    table: Floats

    @cached_property
    def conditions(self) -> Conditions:
        """Each condition's ask, bound, and whether it is met on the right-hand side."""
        groups, nodes = self.groups, self.forest.questions.nodes
        tree = np.repeat(np.arange(len(groups.group_start) - 1), np.diff(groups.group_start))
        tree = np.repeat(np.repeat(tree, np.diff(groups.bit_start)), np.diff(groups.condition_start))
        right = groups.condition < 0
        node = self.forest.node_start[tree] + np.where(right, ~groups.condition, groups.condition)
        return Conditions(nodes.ask[node], nodes.bound[node], right)

    @cached_property
    def turned(self) -> Floats:
        """The table with the contributions of a pattern side by side: one household needs one pattern of each
        group.
        """
        out = np.empty_like(self.table)
        by_pattern(self.groups, self.table, out)
        return out

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All parts as named arrays, for an .npz file without pickle."""
        forest = {
            f"forest_{item.name}": np.asarray(getattr(self.forest, item.name)) for item in fields(Forest)
        }
        return forest | self.groups._asdict() | {"table": self.table}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> ContributionTables:
        """The reverse of `arrays`. Raises ModelError when one is missing or does not fit the others."""
        try:
            parts: dict[str, Any] = {item.name: arrays[f"forest_{item.name}"] for item in fields(Forest)}
            for name, kind in (("n_features", int), ("base", float), ("averaged", bool)):
                parts[name] = kind(parts[name])
            groups = Groups(**{name: arrays[name] for name in Groups._fields})
            table = arrays["table"]
        except KeyError as error:
            raise _damaged("explanation tables", f"the array {error.args[0]} is missing") from None
        tables = cls(Forest(**parts), groups, table)
        tables.check()
        return tables

    def check(self) -> None:
        """Raise ModelError unless every index is within its array: compiled code does not check bounds."""
        forest, groups = self.forest, self.groups
        sound = forest.nodes.dtype == NODE and forest.leaves.dtype == LEAF
        sound = sound and all(
            starts.ndim == 1
            and len(starts) > 0
            and starts[0] == 0
            and bool((np.diff(starts) >= 0).all())
            and starts[-1] == total
            for starts, total in (
                (forest.node_start, len(forest.nodes)),
                (forest.leaf_start, len(forest.leaves)),
                (forest.member_start, len(forest.node_start) - 1),
                (groups.group_start, len(groups.bit_start) - 1),
                (groups.bit_start, len(groups.condition_start) - 1),
                (groups.condition_start, len(groups.condition)),
                (groups.feature_start, len(groups.group_feature)),
                (groups.table_start, len(self.table)),
            )
        )
        trees = (
            len(forest.node_start),
            len(forest.leaf_start),
            len(groups.group_start),
            len(forest.weight) + 1,
        )
        sound = sound and len(set(trees)) == 1
        sound = sound and len(groups.bit_start) == len(groups.feature_start) == len(groups.table_start)
        if sound:
            nodes = forest.nodes
            bits = np.diff(groups.bit_start)
            per_group = np.repeat(np.diff(forest.node_start), np.diff(groups.group_start))
            per_condition = np.repeat(np.repeat(per_group, bits), np.diff(groups.condition_start))
            place = np.where(groups.condition < 0, ~groups.condition, groups.condition)
            sizes = np.left_shift(1, bits) * np.diff(groups.feature_start)
            sound = (
                bool((place < per_condition).all())
                and bool((bits <= DEEPEST).all())
                and bool((sizes == np.diff(groups.table_start)).all())
                and _within(groups.group_feature, forest.n_features)
                and _within(nodes["feature"], forest.n_features)
                and bool((nodes["category_start"] <= nodes["category_stop"]).all())
                and _within(nodes["category_start"], len(forest.category_bits) + 1)
                and _within(nodes["category_stop"], len(forest.category_bits) + 1)
                and forest.shaped()
            )
        if not sound:
            raise _damaged("explanation tables", "the arrays do not fit each other")


def _within(values: Ints, stop: int) -> bool:
    return bool(((values >= 0) & (values < stop)).all())


def _damaged(where: str, found: str) -> ModelError:
    return ModelError(
        Fault(
            where, found, "a model as riskmodel wrote it", "Take the model from its run or its release again."
        )
    )


def read_forest(texts: Sequence[str]) -> Forest:
    """The trees of one or several LightGBM models (members of an ensemble), from their model texts.

    The margin of the forest is the mean of the members' margins. Raises ModelError: a text that is not whole,
    several classes, members that differ in their features, or linear trees (their leaves hold equations, for
    which these contributions are not defined).
    """
    if not texts:
        raise _damaged("model", "no LightGBM text")
    nodes: list[Records] = []
    leaves: list[Records] = []
    bits: list[npt.NDArray[np.uint32]] = []
    member_start, words = [0], 0
    weights: list[float] = []
    n_features, base, averaged = -1, 0.0, False
    for number, text in enumerate(texts):
        where = f"member {number + 1} of {len(texts)}"
        header, trees = _split(text, where)
        if header.get("num_tree_per_iteration") != "1":
            raise _damaged(where, "a model with several classes")
        own = _whole(header, "max_feature_idx", where) + 1
        if n_features not in (-1, own):
            raise _damaged(where, f"{own} features, where the first member has {n_features}")
        n_features = own
        averaged |= "average_output" in header
        weight = 1.0 / len(texts) / (max(len(trees), 1) if "average_output" in header else 1)
        for place, tree in enumerate(trees):
            here = f"{where}, tree {place}"
            if tree.get("is_linear", "0") != "0":
                raise ModelError(
                    Fault(
                        here,
                        "linear_tree",
                        "trees with a value in each leaf",
                        "Train the plan with linear_tree: false.",
                    )
                )
            own_nodes, own_leaves, own_bits = _read_tree(tree, n_features, words, here)
            base += weight * _expected_value(own_nodes, own_leaves)
            weights.append(weight)
            words += len(own_bits)
            nodes.append(own_nodes)
            leaves.append(own_leaves)
            bits.append(own_bits)
        member_start.append(len(weights))
    return Forest(
        n_features=n_features,
        base=base,
        averaged=averaged,
        member_start=np.array(member_start),
        weight=np.array(weights),
        node_start=_starts(nodes),
        leaf_start=_starts(leaves),
        nodes=np.concatenate([np.zeros(0, NODE), *nodes]),
        leaves=np.concatenate([np.zeros(0, LEAF), *leaves]),
        category_bits=np.concatenate([np.zeros(0, np.uint32), *bits]),
    )


def _starts(parts: Sequence[Records]) -> Ints:
    return np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)


def _split(text: str, where: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Header and trees of a model text, each as key -> text."""
    body, found, _ = text.partition("end of trees")
    if not found or not text.startswith("tree"):
        raise _damaged(where, "a LightGBM text that is not whole")
    blocks = body.split("\nTree=")
    pairs = [
        {key: rest for key, _, rest in (line.partition("=") for line in block.splitlines())}
        for block in blocks
    ]
    return pairs[0], pairs[1:]


def _whole(block: dict[str, str], key: str, where: str) -> int:
    try:
        return int(block[key])
    except (KeyError, ValueError):
        raise _damaged(where, f"`{key}` is missing or not a whole number") from None


def _numbers(tree: dict[str, str], key: str, length: int, kind: Any, where: str) -> npt.NDArray[Any]:
    try:
        values = np.array(tree[key].split(), dtype=np.float64 if kind is np.float64 else np.int64)
    except (KeyError, ValueError):
        raise _damaged(where, f"`{key}` is missing or holds something else than numbers") from None
    if len(values) != length:
        raise _damaged(where, f"`{key}` has {len(values)} values where {length} belong")
    return values.astype(kind, copy=False)


def _read_tree(
    tree: dict[str, str], n_features: int, words: int, where: str
) -> tuple[Records, Records, npt.NDArray[np.uint32]]:
    """Nodes, leaves and category bits of one tree of a model text. words: category words of the trees before
    it.
    """
    leaves = _whole(tree, "num_leaves", where)
    categories = _whole(tree, "num_cat", where)
    nodes = leaves - 1
    if leaves < 1:
        raise _damaged(where, f"{leaves} leaves")
    value = _numbers(tree, "leaf_value", leaves, np.float64, where)
    feature = _numbers(tree, "split_feature", nodes, np.int64, where)
    threshold = _numbers(tree, "threshold", nodes, np.float64, where)
    decision = _numbers(tree, "decision_type", nodes, np.int64, where)
    left = _numbers(tree, "left_child", nodes, np.int64, where)
    right = _numbers(tree, "right_child", nodes, np.int64, where)
    cover = _numbers(tree, "internal_count", nodes, np.float64, where)
    leaf_cover = _numbers(tree, "leaf_count", leaves, np.float64, where) if nodes else np.ones(1)
    # Each leaf and each node but the root is somebody's child, once, and LightGBM numbers children after
    # their parents: no circle.
    children = np.concatenate([left, right])
    parents = np.tile(np.arange(nodes), 2)
    sound = np.array_equal(np.sort(children), np.r_[np.arange(-leaves, 0), np.arange(1, nodes)])
    if nodes and not (
        sound and ((children > parents) | (children < 0)).all() and _within(feature, n_features)
    ):
        raise _damaged(where, "nodes that do not form a tree")

    is_category = (decision & 1) == 1
    default_left = (decision & 2) == 2
    missing = (decision >> 2) & 3  # 0: NaN counts as 0; 1: zero and NaN are missing; 2: NaN is missing
    nan_left = np.where(missing == 0, threshold >= 0, default_left)
    question = np.where(nan_left, LEFT_IF_NAN, RIGHT_IF_NAN)
    question[missing == 1] = np.where(default_left[missing == 1], LEFT_IF_ZERO, RIGHT_IF_ZERO)
    question[is_category] = CATEGORY
    start, stop, bits = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64), np.zeros(0, np.uint32)
    if is_category.any():
        edges = _numbers(tree, "cat_boundaries", categories + 1, np.int64, where)
        bits = _numbers(tree, "cat_threshold", int(edges[-1]), np.uint32, where)
        number = threshold[is_category].astype(np.int64)
        if not _within(number, categories) or (np.diff(edges) < 0).any() or edges[0] != 0:
            raise _damaged(where, "category splits that point nowhere")
        start[is_category], stop[is_category] = edges[number] + words, edges[number + 1] + words

    inner, outer = np.zeros(nodes, NODE), np.zeros(leaves, LEAF)
    inner["feature"], inner["threshold"], inner["question"] = feature, threshold, question
    inner["left"], inner["right"], inner["cover"] = left, right, cover
    inner["category_start"], inner["category_stop"] = start, stop
    outer["value"], outer["cover"] = value, leaf_cover
    return inner, outer, bits


def _expected_value(nodes: Records, leaves: Records) -> float:
    """Expected value of a tree over its training rows, as LightGBM computes it."""
    if not len(nodes):
        return float(leaves["value"][0])
    cover, value = np.ascontiguousarray(leaves["cover"]), np.ascontiguousarray(leaves["value"])
    return float(np.sum(cover / nodes["cover"][0] * value))


def build_tables(
    forest: Forest, *, bits: int = BITS, deepest: int = DEEPEST, most_bytes: int = MOST_BYTES
) -> ContributionTables:
    """Work out the tables. Raises TablesTooLarge beyond `deepest` conditions on a path or `most_bytes` of
    tables.
    """
    trees, none = forest.trees, np.zeros(0, np.int64)
    counts, groups_of = lay_out(
        trees,
        bits,
        deepest,
        False,
        Groups(
            group_start=none,
            bit_start=none,
            condition_start=none,
            condition=none,
            feature_start=none,
            group_feature=none,
            table_start=none,
        ),
        none,
    )
    n_groups, n_bits, n_conditions, n_features, cells = (int(count) for count in counts)
    if n_groups < 0:
        raise TablesTooLarge(f"a path of more than {deepest} different features")
    if cells * 8 > most_bytes:
        raise TablesTooLarge(f"tables of {cells * 8 / 2**20:,.0f} MB, more than {most_bytes / 2**20:,.0f} MB")
    groups = Groups(
        group_start=np.concatenate([[0], np.cumsum(groups_of)]).astype(np.int64),
        bit_start=np.zeros(n_groups + 1, np.int64),
        condition_start=np.zeros(n_bits + 1, np.int64),
        condition=np.zeros(n_conditions, np.int64),
        feature_start=np.zeros(n_groups + 1, np.int64),
        group_feature=np.zeros(n_features, np.int64),
        table_start=none,
    )
    top = np.zeros(n_groups, np.int64)
    lay_out(trees, bits, deepest, True, groups, top)
    sizes = np.left_shift(np.int64(1), np.diff(groups.bit_start)) * np.diff(groups.feature_start)
    groups = groups._replace(table_start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    table = np.zeros(cells)
    fill(trees, groups, top, deepest, Quadrature.exact_for(deepest), table)
    return ContributionTables(forest, groups, table)
