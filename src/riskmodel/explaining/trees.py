"""LightGBM's model text, read; and from it, tables of contributions that are worked out once instead of for every household.

A tree gives a household its leaf's value. How much of it is due to a feature (path-dependent SHAP, Lundberg 2020) depends only on which
conditions on the path to each leaf the household meets. So the answer for each pattern of met conditions is worked out in advance
(the idea of FastTreeSHAP v2, Yang 2021, and of Woodelf, Nadel and Wettenstein 2025). Here the leaves are taken in groups: a group is a
subtree small enough that all its conditions, with those on the path that leads to it, fit into a few bits. One look-up a group and
feature then serves all leaves of the group.

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
from riskmodel.explaining.tree_kernels import answer, by_pattern, fill, lay_out

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ZERO: Final = float(np.float32(1e-35))  # LightGBM's kZeroThreshold: nearer to zero than this is zero
BITS: Final = (
    9  # conditions in a group: 512 patterns, 4 kB a feature, so that one table stays in the nearest cache
)
DEEPEST: Final = (
    14  # conditions on the path to one leaf, merged by feature; beyond it a table would be too large
)
MOST_BYTES: Final = 512 * 2**20

# How a node asks. NaN falls out of `value <= threshold` to the right, and out of `not value > threshold` to the left.
RIGHT_IF_NAN, LEFT_IF_NAN, LEFT_IF_ZERO, RIGHT_IF_ZERO, CATEGORY = 0, 1, 2, 3, 4
LARGEST: Final = float(np.finfo(np.float64).max)


def trees_hash(text: str) -> str:
    """SHA-256 of a LightGBM model text before its `parameters:` block, which names threads and other things that change no tree."""
    return hashlib.sha256(text.split("\nparameters:", 1)[0].encode()).hexdigest()


class TablesTooLarge(Exception):
    """The trees are deeper, or the tables larger, than the bound. Not an error of the user: another way gives the same answer."""


@dataclass(frozen=True)
class Forest:
    """All trees of all members, one after the other.

    Nodes: feature, threshold, question (see above), left, right (child: node of the same tree, or ~leaf), cover (rows that passed in
    training); category_start/category_stop point into category_bits, 32 categories a word. Leaves: value, leaf_cover.
    node_start, leaf_start: shape (trees + 1,). weight: shape (trees,), what a tree counts for in the mean of the members. member_start: shape
    (members + 1,), into the trees. averaged: a member is the mean of its trees (a random forest), not their sum. base: the expected margin.
    n_features: columns of the matrix that is asked about.
    """

    n_features: int
    base: float
    averaged: bool
    member_start: Ints
    weight: Floats
    node_start: Ints
    leaf_start: Ints
    feature: Ints
    threshold: Floats
    question: Ints
    left: Ints
    right: Ints
    cover: Floats
    category_start: Ints
    category_stop: Ints
    category_bits: npt.NDArray[np.uint32]
    value: Floats
    leaf_cover: Floats

    def shaped(self) -> bool:
        """Whether the nodes of each tree form a tree: each node but the root and each leaf is one node's child, and no child stands before its parent."""
        if not len(self.left) == len(self.right) == len(self.feature) or len(self.node_start) != len(
            self.leaf_start
        ):
            return False
        nodes, leaves = np.diff(self.node_start), np.diff(self.leaf_start)
        if not (leaves == nodes + 1).all():
            return False
        own = np.arange(len(self.feature)) - np.repeat(self.node_start[:-1], nodes)
        most = np.repeat(nodes, nodes)
        seen_node, seen_leaf = (
            np.zeros(len(self.feature) + 1, np.int64),
            np.zeros(len(self.value) + 1, np.int64),
        )
        first_node, first_leaf = (
            np.repeat(self.node_start[:-1], nodes),
            np.repeat(self.leaf_start[:-1], nodes),
        )
        for child in (self.left, self.right):
            inner = child >= 0
            if not (np.where(inner, (child > own) & (child < most), ~child <= most)).all():
                return False
            np.add.at(seen_node, (first_node + child)[inner], 1)
            np.add.at(seen_leaf, (first_leaf + ~child)[~inner], 1)
        roots = self.node_start[:-1][nodes > 0]
        seen_node[roots] += 1
        return bool((seen_node[:-1] == 1).all() and (seen_leaf[:-1][np.repeat(nodes > 0, leaves)] == 1).all())

    @cached_property
    def questions(self) -> Questions:
        """What the nodes ask, each different thing once."""
        is_category = self.question == CATEGORY
        code = np.where(
            is_category,
            self.n_features * CATEGORY + self.category_start,
            self.feature * CATEGORY + self.question,
        )
        _, first, ask = np.unique(code, return_index=True, return_inverse=True)
        bound = np.where(is_category, 0.0, np.clip(self.threshold, -LARGEST, LARGEST))
        words = self.category_stop - self.category_start
        return Questions(
            ask.astype(np.int64), bound, self.feature[first], self.question[first], self.category_start[first], words[first], self.category_bits
        )  # fmt: skip


@dataclass(frozen=True)
class Questions:
    """Each node asks whether `sheet[ask] <= bound`; an ask reads one feature in one way. ask, bound: shape (nodes,); the rest: shape (asks,), see Forest."""

    ask: Ints
    bound: Floats
    feature: Ints
    question: Ints
    category_start: Ints
    words: Ints
    category_bits: npt.NDArray[np.uint32]

    @cached_property
    def plain(self) -> int:
        """How many asks are not about categories; they come first."""
        return int((self.question != CATEGORY).sum())

    def sheet(self, values: Floats, asks: int | None = None) -> Floats:
        """What is asked about n households, shape (asks, n), without NaN. values: shape (n, p), contiguous. asks: only so many of them."""
        sheet = np.empty((len(self.feature) if asks is None else asks, len(values)))
        answer(
            values,
            self.feature,
            self.question,
            self.category_start,
            self.words,
            self.category_bits,
            ZERO,
            sheet,
        )
        return sheet


@dataclass(frozen=True)
class ContributionTables:
    """What the kernel walks through. Saved and read as plain arrays.

    Group g serves the trees' leaves below one node. Its bits are bit_start[g]:bit_start[g+1]; bit b is met when all its conditions
    condition[condition_start[b]:condition_start[b+1]] are (a node of the tree, or ~node for the right-hand side). Its features are
    group_feature[feature_start[g]:feature_start[g+1]], each with a table of 2**bits contributions, one after the other from table_start[g].
    """

    forest: Forest
    group_start: Ints
    bit_start: Ints
    condition_start: Ints
    condition: Ints
    feature_start: Ints
    group_feature: Ints
    table_start: Ints
    table: Floats

    @cached_property
    def conditions(self) -> tuple[Ints, Floats, npt.NDArray[np.bool_]]:
        """Each condition's ask, bound, and whether it is the right-hand side that it wants."""
        tree = np.repeat(np.arange(len(self.group_start) - 1), np.diff(self.group_start))
        tree = np.repeat(np.repeat(tree, np.diff(self.bit_start)), np.diff(self.condition_start))
        right = self.condition < 0
        node = self.forest.node_start[tree] + np.where(right, ~self.condition, self.condition)
        questions = self.forest.questions
        return questions.ask[node], questions.bound[node], right

    @cached_property
    def turned(self) -> Floats:
        """The tables with the contributions of a pattern side by side: one household asks for one pattern of each group."""
        out = np.empty_like(self.table)
        by_pattern(self.bit_start, self.feature_start, self.table_start, self.table, out)
        return out

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything as named arrays, for an .npz file without pickle."""
        parts = {
            f"forest_{item.name}": np.asarray(getattr(self.forest, item.name)) for item in fields(Forest)
        }
        return parts | {item.name: getattr(self, item.name) for item in fields(self) if item.name != "forest"}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> ContributionTables:
        """The reverse of `arrays`. Raises ModelError when one is missing or does not fit the others."""
        try:
            parts: dict[str, Any] = {item.name: arrays[f"forest_{item.name}"] for item in fields(Forest)}
            parts |= {
                name: kind(parts[name])
                for name, kind in (("n_features", int), ("base", float), ("averaged", bool))
            }
            own = {item.name: arrays[item.name] for item in fields(cls) if item.name != "forest"}
        except KeyError as error:
            raise _damaged("explanation tables", f"the array {error.args[0]} is missing") from None
        tables = cls(Forest(**parts), **own)
        tables.check()
        return tables

    def check(self) -> None:
        """Every pointer lies within the array that it points into: compiled code does not look. Raises ModelError."""
        forest = self.forest
        sound = all(
            starts.ndim == 1
            and len(starts) > 0
            and starts[0] == 0
            and bool((np.diff(starts) >= 0).all())
            and starts[-1] == total
            for starts, total in (
                (forest.node_start, len(forest.feature)),
                (forest.leaf_start, len(forest.value)),
                (forest.member_start, len(forest.node_start) - 1),
                (self.group_start, len(self.bit_start) - 1),
                (self.bit_start, len(self.condition_start) - 1),
                (self.condition_start, len(self.condition)),
                (self.feature_start, len(self.group_feature)),
                (self.table_start, len(self.table)),
            )
        )
        sound = (
            sound
            and len(forest.node_start)
            == len(forest.leaf_start)
            == len(self.group_start)
            == len(forest.weight) + 1
        )
        sound = sound and len(self.bit_start) == len(self.feature_start) == len(self.table_start)
        if sound:
            nodes = np.diff(forest.node_start)
            per_group = np.repeat(nodes, np.diff(self.group_start))
            per_condition = np.repeat(
                np.repeat(per_group, np.diff(self.bit_start)), np.diff(self.condition_start)
            )
            place = np.where(self.condition < 0, ~self.condition, self.condition)
            sizes = np.left_shift(1, np.diff(self.bit_start)) * np.diff(self.feature_start)
            sound = (
                bool((place < per_condition).all())
                and bool((np.diff(self.bit_start) <= DEEPEST).all())
                and bool((sizes == np.diff(self.table_start)).all())
                and _within(self.group_feature, forest.n_features)
                and _within(forest.feature, forest.n_features)
                and bool((forest.category_start <= forest.category_stop).all())
                and _within(forest.category_start, len(forest.category_bits) + 1)
                and _within(forest.category_stop, len(forest.category_bits) + 1)
                and len({len(part) for part in (forest.feature, forest.threshold, forest.question)}) == 1
                and len({len(part) for part in (forest.feature, forest.category_start, forest.category_stop)})
                == 1
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

    The margin of the forest is the mean of the members' margins. Raises ModelError: a text that is not whole, several classes, members that differ in
    their features, or linear trees (their leaves hold equations, for which these contributions are not defined).
    """
    if not texts:
        raise _damaged("model", "no LightGBM text")
    parts: dict[str, list[Any]] = {name: [] for name in _OF_NODES}
    node_start, leaf_start, member_start, words = [0], [0], [0], 0
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
            base += weight * _append(parts, tree, n_features, words, here)
            weights.append(weight)
            words += len(parts["category_bits"][-1])
            node_start.append(node_start[-1] + len(parts["feature"][-1]))
            leaf_start.append(leaf_start[-1] + len(parts["value"][-1]))
        member_start.append(len(weights))
    types: dict[str, Any] = {"category_bits": np.uint32}
    types |= dict.fromkeys(("threshold", "cover", "value", "leaf_cover"), np.float64)
    joined = {
        name: np.concatenate([np.zeros(0, types.get(name, np.int64)), *some]).astype(
            types.get(name, np.int64), copy=False
        )
        for name, some in parts.items()
    }
    starts = {
        "member_start": np.array(member_start),
        "node_start": np.array(node_start),
        "leaf_start": np.array(leaf_start),
    }
    return Forest(
        n_features=n_features, base=base, averaged=averaged, weight=np.array(weights), **starts, **joined
    )


_OF_NODES: Final = (
    "feature", "threshold", "question", "left", "right", "cover", "category_start", "category_stop", "category_bits", "value", "leaf_cover",
)  # fmt: skip


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


def _append(
    parts: dict[str, list[Any]], tree: dict[str, str], n_features: int, words: int, where: str
) -> float:
    """Add one tree; returns its expected value, as LightGBM works it out."""
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
    # Each leaf and each node but the root is somebody's child, once, and LightGBM numbers children after their parents: no circle.
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

    for name, some in {
        "feature": feature, "threshold": threshold, "question": question, "left": left, "right": right, "cover": cover,
        "category_start": start, "category_stop": stop, "category_bits": bits, "value": value, "leaf_cover": leaf_cover,
    }.items():  # fmt: skip
        parts[name].append(some)
    return float(value[0]) if not nodes else float(np.sum(leaf_cover / cover[0] * value))


def build_tables(
    forest: Forest, *, bits: int = BITS, deepest: int = DEEPEST, most_bytes: int = MOST_BYTES
) -> ContributionTables:
    """Work out the tables. Raises TablesTooLarge beyond `deepest` conditions on a path or `most_bytes` of tables."""
    shape = (forest.node_start, forest.feature, forest.left, forest.right)
    nothing = np.zeros(0, np.int64)
    counts, groups_of = lay_out(
        *shape, bits, deepest, False, nothing, nothing, nothing, nothing, nothing, nothing
    )
    groups, n_bits, conditions, features, cells = (int(count) for count in counts)
    if groups < 0:
        raise TablesTooLarge(f"a path of more than {deepest} different features")
    if cells * 8 > most_bytes:
        raise TablesTooLarge(f"tables of {cells * 8 / 2**20:,.0f} MB, more than {most_bytes / 2**20:,.0f} MB")
    bit_start, condition_start = np.zeros(groups + 1, np.int64), np.zeros(n_bits + 1, np.int64)
    condition, feature_start = np.zeros(conditions, np.int64), np.zeros(groups + 1, np.int64)
    group_feature, top = np.zeros(features, np.int64), np.zeros(groups, np.int64)
    lay_out(
        *shape, bits, deepest, True, bit_start, condition_start, condition, feature_start, group_feature, top
    )
    group_start = np.concatenate([[0], np.cumsum(groups_of)]).astype(np.int64)
    sizes = np.left_shift(np.int64(1), np.diff(bit_start)) * np.diff(feature_start)
    table_start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    points, weights = np.polynomial.legendre.leggauss(deepest // 2 + 1)
    table = np.zeros(cells)
    fill(
        forest.node_start, forest.leaf_start, forest.feature, forest.left, forest.right, forest.cover, forest.value, forest.weight, forest.leaf_cover, group_start, bit_start, condition_start, condition, feature_start,
        group_feature, top, table_start, deepest, (points + 1) / 2, weights / 2, table,
    )  # fmt: skip
    return ContributionTables(
        forest,
        group_start,
        bit_start,
        condition_start,
        condition,
        feature_start,
        group_feature,
        table_start,
        table,
    )
