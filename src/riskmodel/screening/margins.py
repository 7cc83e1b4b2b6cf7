"""Margins of LightGBM members without LightGBM: the trees are walked by compiled code, to the same bits as `Booster.predict`.

A service that scores this way imports neither LightGBM nor what it brings along (scikit-learn, scipy, pandas), and a model text can do nothing but be
walked. Golden rows, whose margins LightGBM worked out, are compared when a release is opened.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskmodel.screening.kernels import margins_into
from riskmodel.screening.trees import ZERO, Forest, read_forest

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Walker:
    """The trees of each member, one forest a member."""

    members: tuple[Forest, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Walker | None:
        """From the members' model texts; None where a member is an average (a random forest), which is added up otherwise. Raises ModelError."""
        if not texts or any("\naverage_output" in text.partition("\nTree=")[0] for text in texts):
            return None
        return cls(tuple(read_forest([text]) for text in texts))

    def margins(self, values: Floats) -> Floats:
        """Margin of each member, shape (n, members). values: shape (n, p), columns in the model's order, NaN unknown."""
        X = np.ascontiguousarray(values, np.float64)
        out = np.empty((len(self.members), len(X)))
        for number, forest in enumerate(self.members):
            margins_into(
                X, forest.node_start, forest.leaf_start, forest.feature, forest.threshold, forest.question, forest.left, forest.right,
                forest.category_start, forest.category_stop, forest.category_bits, forest.value, ZERO, out[number],
            )  # fmt: skip
        return np.ascontiguousarray(out.T)
