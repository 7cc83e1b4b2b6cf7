"""Margins of LightGBM members without LightGBM: compiled code walks the trees, to the same bits as
`Booster.predict`.

A service that scores this way imports neither LightGBM nor its dependencies (scikit-learn, scipy, pandas),
and runs no code of a model text. Golden rows, whose margins LightGBM computed, are compared when a release is
opened.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from riskmodel.explaining.tree_kernels import Floats, Walk, depths, margins_into
from riskmodel.explaining.trees import Forest, Questions

BLOCK: Final = 256  # rows at a time: their sheet stays in the second cache


@dataclass(frozen=True)
class Walker:
    """The trees of all members in the form that `margins_into` walks. Make it with `of`."""

    questions: Questions
    walk: Walk

    @classmethod
    def of(cls, forest: Forest) -> Walker | None:
        """None where a member is an average (a random forest), which is added up otherwise."""
        if forest.averaged:
            return None
        inner, leaves = np.diff(forest.node_start), np.diff(forest.leaf_start)
        root = forest.node_start[:-1] + forest.leaf_start[:-1]  # a tree's nodes come first, then its leaves
        base = np.repeat(root, inner)
        node = np.arange(len(forest.nodes)) + np.repeat(forest.leaf_start[:-1], inner)
        leaf = np.arange(len(forest.leaves)) + np.repeat(forest.node_start[1:], leaves)
        places = len(node) + len(leaf)
        ask, bound, value = np.zeros(places, np.int32), np.zeros(places), np.zeros(places)
        child = np.repeat(np.arange(places, dtype=np.int32), 2)
        asked = forest.questions.nodes
        ask[node], bound[node], value[leaf] = asked.ask, asked.bound, forest.leaves["value"]
        inside = np.repeat(inner, inner)
        for side, name in enumerate(("left", "right")):
            given = forest.nodes[name]
            child[2 * node + side] = base + np.where(given >= 0, given, inside + ~given)
        walk = Walk(
            member_start=forest.member_start,
            root=root.astype(np.int32),
            depth=depths(forest.node_start, forest.nodes).astype(np.int32),
            ask=ask,
            bound=bound,
            child=child,
            value=value,
        )
        return cls(forest.questions, walk)

    def margins(self, values: Floats) -> Floats:
        """Margin of each member, shape (n, members). values: shape (n, p), columns in the model's order, NaN
        unknown.
        """
        X = np.ascontiguousarray(values, np.float64)
        out = np.zeros((len(X), len(self.walk.member_start) - 1))
        for begin in range(0, len(X), BLOCK):
            some = X[begin : begin + BLOCK]
            part = np.zeros((out.shape[1], len(some)))
            margins_into(self.questions.sheet(some), self.walk, part)
            out[begin : begin + BLOCK] = part.T
        return out
