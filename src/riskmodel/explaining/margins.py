"""Margins of LightGBM members without LightGBM: the trees are walked by compiled code, to the same bits as `Booster.predict`.

A service that scores this way imports neither LightGBM nor what it brings along (scikit-learn, scipy, pandas), and a model text can do nothing but be
walked. Golden rows, whose margins LightGBM worked out, are compared when a release is opened.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from riskmodel.explaining.tree_kernels import depths, margins_into
from riskmodel.explaining.trees import Floats, Forest, Ints, Questions

BLOCK: Final = 256  # rows at a time: their sheet stays in the second cache


@dataclass(frozen=True)
class Walker:
    """The trees of all members, nodes and leaves alike as places. Make it with `of`.

    member_start: shape (members + 1,), into the trees. root, depth: shape (trees,). ask, bound, value: of each place; child: its left and its right
    one, one after the other (a leaf is its own).
    """

    questions: Questions
    member_start: Ints
    root: npt.NDArray[np.int32]
    depth: npt.NDArray[np.int32]
    ask: npt.NDArray[np.int32]
    bound: Floats
    child: npt.NDArray[np.int32]
    value: Floats

    @classmethod
    def of(cls, forest: Forest) -> Walker | None:
        """None where a member is an average (a random forest), which is added up otherwise."""
        if forest.averaged:
            return None
        nodes, leaves = np.diff(forest.node_start), np.diff(forest.leaf_start)
        root = forest.node_start[:-1] + forest.leaf_start[:-1]  # a tree's nodes come first, then its leaves
        base = np.repeat(root, nodes)
        node = np.arange(len(forest.feature)) + np.repeat(forest.leaf_start[:-1], nodes)
        leaf = np.arange(len(forest.value)) + np.repeat(forest.node_start[1:], leaves)
        places = len(node) + len(leaf)
        ask, bound, value = np.zeros(places, np.int32), np.zeros(places), np.zeros(places)
        child = np.repeat(np.arange(places, dtype=np.int32), 2)
        ask[node], bound[node], value[leaf] = forest.questions.ask, forest.questions.bound, forest.value
        inside = np.repeat(nodes, nodes)
        for side, given in enumerate((forest.left, forest.right)):
            child[2 * node + side] = base + np.where(given >= 0, given, inside + ~given)
        depth = depths(forest.node_start, forest.left, forest.right)
        return cls(
            forest.questions, forest.member_start, root.astype(np.int32), depth.astype(np.int32), ask, bound, child, value
        )  # fmt: skip

    def margins(self, values: Floats) -> Floats:
        """Margin of each member, shape (n, members). values: shape (n, p), columns in the model's order, NaN unknown."""
        X = np.ascontiguousarray(values, np.float64)
        out = np.zeros((len(X), len(self.member_start) - 1))
        for begin in range(0, len(X), BLOCK):
            some = X[begin : begin + BLOCK]
            part = np.zeros((out.shape[1], len(some)))
            margins_into(
                self.questions.sheet(some), self.member_start, self.root, self.depth, self.ask, self.bound, self.child, self.value, part
            )  # fmt: skip
            out[begin : begin + BLOCK] = part.T
        return out
