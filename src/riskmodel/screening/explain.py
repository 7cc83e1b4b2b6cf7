"""Exact contributions of every feature to every score: path-dependent SHAP values of the served ensemble, for everybody.

The only module that asks a model for contributions, and the only one that imports shap (only when a `shap.Explanation` is wanted).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from riskmodel.errors import Fault, ModelError
from riskmodel.screening.kernels import contributions_into
from riskmodel.screening.trees import (
    BITS,
    DEEPEST,
    MOST_BYTES,
    ZERO,
    ContributionTables,
    Floats,
    TablesTooLarge,
    build_tables,
    read_forest,
)

if TYPE_CHECKING:
    import shap

BLOCK = 2048  # rows at a time: enough that large tables are fetched seldom, few enough that columns stay in the third cache
TABLES_FILE = "explanation_tables.npz"


@dataclass(frozen=True)
class Explainer:
    """Contributions of an ensemble of LightGBM models to its mean margin. Make it with `from_booster_texts` or `load`.

    method: `tables` (pre-computed, fast) or `pred_contrib` (LightGBM's own, slow, same answer); note: why it is not the fast one.
    """

    n_features: int
    base: float
    tables: ContributionTables | None
    texts: tuple[str, ...] = ()
    note: str = ""

    @property
    def method(self) -> str:
        return "pred_contrib" if self.tables is None else "tables"

    @classmethod
    def from_booster_texts(
        cls, texts: Sequence[str], *, bits: int = BITS, deepest: int = DEEPEST, most_bytes: int = MOST_BYTES
    ) -> Explainer:
        """From the model texts of the ensemble's members; duplicates among them are simply trees with their weights.

        Trees deeper or tables larger than the bounds: LightGBM's own calculation is used, and `note` says so. Raises ModelError for a
        damaged text, several classes and linear trees.
        """
        forest = read_forest(texts)
        try:
            tables = build_tables(forest, bits=bits, deepest=deepest, most_bytes=most_bytes)
        except TablesTooLarge as reason:
            note = f"Explained by LightGBM itself, which is slower and gives the same values: {reason}."
            return cls(forest.n_features, forest.base, None, tuple(texts), note)
        return cls(forest.n_features, forest.base, tables)

    def contributions(self, values: npt.ArrayLike) -> tuple[Floats, float]:
        """(contributions (n, p), base) in units of the raw margin; a row's contributions and base sum to its mean margin (1e-9).

        `values`: shape (n, p), columns in the model's order, NaN unknown. A row's result does not depend on the rows beside it.
        """
        X = np.ascontiguousarray(values, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ModelError(
                Fault("features", f"shape {X.shape}", f"(rows, {self.n_features})", "Pass the model's features in its order.")
            )
        if self.tables is None:
            return self._by_lightgbm(X), self.base
        forest, tables = self.tables.forest, self.tables
        out = np.zeros(X.shape)
        contributions_into(
            X, forest.node_start, forest.feature, forest.threshold, forest.question, forest.category_start, forest.category_stop,
            forest.category_bits, tables.group_start, tables.bit_start, tables.condition_start, tables.condition,
            tables.feature_start, tables.group_feature, tables.table_start, tables.table, max(1, min(BLOCK, len(X))), ZERO, out,
        )  # fmt: skip
        return out, self.base

    def _by_lightgbm(self, X: Floats) -> Floats:
        import lightgbm

        total = np.zeros(X.shape)
        for text in self.texts:
            booster = lightgbm.Booster(model_str=text)
            total += np.asarray(booster.predict(X, pred_contrib=True, num_threads=1))[:, :-1]
        return total / len(self.texts)

    def explanation(self, values: npt.ArrayLike, names: Sequence[str]) -> shap.Explanation:
        """The same as a `shap.Explanation`, so that every plot of shap works on it. `names`: a label for each column."""
        X = np.ascontiguousarray(values, dtype=np.float64)
        return as_explanation(*self.contributions(X), X, names)

    def save(self, folder: Path) -> Path | None:
        """Write the tables beside a model, as plain arrays without pickle; None (nothing written) where there are no tables."""
        if self.tables is None:
            return None
        path = folder / TABLES_FILE
        buffer = io.BytesIO()
        arrays: dict[str, Any] = self.tables.arrays()
        np.savez(buffer, allow_pickle=False, **arrays)
        path.write_bytes(buffer.getvalue())
        return path

    @classmethod
    def load(cls, folder: Path) -> Explainer:
        """Read what `save` wrote. Raises ModelError when the file is missing, damaged or not whole."""
        path = folder / TABLES_FILE
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, KeyError, EOFError, _bad_zip()) as error:
            raise ModelError(
                Fault(str(path), str(error), "explanation tables", "Write the release again, or take them from the model.")
            ) from None
        tables = ContributionTables.from_arrays(arrays)
        return cls(tables.forest.n_features, tables.forest.base, tables)


def as_explanation(contributions: Floats, base: float, values: Any, names: Sequence[str]) -> shap.Explanation:
    """Contributions that are already there, as a `shap.Explanation`. values: what the plots show beside the names, shape (n, p)."""
    import shap

    return shap.Explanation(
        values=contributions, base_values=np.full(len(contributions), base), data=values, feature_names=list(names)
    )


def shap_plots() -> Any:
    """shap's own plots, for the module that draws."""
    import shap

    return shap.plots


def _bad_zip() -> type[Exception]:
    from zipfile import BadZipFile

    return BadZipFile
