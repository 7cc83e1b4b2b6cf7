"""Exact contributions of every feature to every score: path-dependent SHAP values of the served ensemble, for
everybody.

The only module that asks a model for contributions, and the only one that imports shap (only when a
`shap.Explanation` is wanted).
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from riskmodel.errors import Fault, ModelError
from riskmodel.explaining.tree_kernels import (
    Floats,
    Quadrature,
    contributions_into,
    contributions_of_few,
    depths,
    interactions_into,
)
from riskmodel.explaining.trees import (
    BITS,
    DEEPEST,
    MOST_BYTES,
    ContributionTables,
    TablesTooLarge,
    build_tables,
    read_forest,
    trees_hash,
)
from riskmodel.files import replacing

if TYPE_CHECKING:
    import shap

# rows at a time: enough that large tables are fetched seldom, few enough that columns stay in the third cache
BLOCK: Final = 2048
# rows from which on a table by feature, which then stays in the nearest cache, is faster than one by pattern
MANY: Final = 500
FEW: Final = 8  # rows that are taken one by one
TABLES_FILE: Final = "explanation_tables.npz"
MADE_OF, NOTE = "made_of", "note"


@dataclass(frozen=True)
class Explainer:
    """Contributions of an ensemble of LightGBM models to its mean margin. Make it with `from_booster_texts`
    or `load`.

    method: `tables` (pre-computed, fast) or `pred_contrib` (LightGBM's own, slow, same answer); note: why it
    is not the fast one. trees: hash of the trees that it was made of.
    """

    n_features: int
    base: float
    tables: ContributionTables | None
    trees: str = ""
    texts: tuple[str, ...] = ()
    note: str = ""

    @property
    def method(self) -> str:
        """How contributions are computed: `tables` (our kernel) or `pred_contrib` (LightGBM)."""
        return "pred_contrib" if self.tables is None else "tables"

    @classmethod
    def from_booster_texts(
        cls, texts: Sequence[str], *, bits: int = BITS, deepest: int = DEEPEST, most_bytes: int = MOST_BYTES
    ) -> Explainer:
        """From the model texts of the ensemble's members; duplicates among them are simply trees with their
        weights.

        Trees deeper than `deepest` or tables larger than `most_bytes`: LightGBM's own calculation is used,
        and `note` records it. Raises ModelError for a damaged text, several classes and linear trees.
        """
        forest = read_forest(texts)
        try:
            tables = build_tables(forest, bits=bits, deepest=deepest, most_bytes=most_bytes)
        except TablesTooLarge as reason:
            note = f"Explained by LightGBM itself, which is slower and gives the same values: {reason}."
            return cls(
                n_features=forest.n_features,
                base=forest.base,
                tables=None,
                trees=ensemble_hash(texts),
                texts=tuple(texts),
                note=note,
            )
        return cls(forest.n_features, forest.base, tables, ensemble_hash(texts))

    def contributions(self, values: npt.ArrayLike) -> tuple[Floats, float]:
        """(contributions (n, p), base) in units of the raw margin; a row's contributions and base sum to its
        mean margin (1e-9).

        `values`: shape (n, p), columns in the model's order, NaN unknown. A row's result does not depend on
        the rows beside it.
        """
        X = self._checked(values)
        if self.tables is None:
            return self._by_lightgbm(X), self.base
        tables, questions = self.tables, self.tables.forest.questions
        out = np.zeros(X.shape)
        if len(X) <= FEW:
            contributions_of_few(questions.sheet(X), tables.groups, tables.conditions, tables.turned, out)
            return out, self.base
        turned = len(X) <= MANY
        table = tables.turned if turned else tables.table
        for begin in range(0, len(X), BLOCK):
            some, part = X[begin : begin + BLOCK], out[begin : begin + BLOCK]
            sheet = questions.sheet(some, questions.plain)
            contributions_into(
                some, sheet, questions.asks, questions.nodes, tables.groups, table, turned, part
            )
        return out, self.base

    def interactions(self, values: npt.ArrayLike) -> Floats:
        """Exact SHAP interaction values (n, p, p) in units of the raw margin, for a sample: n * p * p
        numbers.

        [row, i, j] is half of what i and j do together, symmetric; [row, i, i] what i does alone. A row of
        the matrix sums to i's contribution (1e-9). As in shap's own `shap_interaction_values`, by the same
        path-dependent expectations as `contributions`.
        """
        X = self._checked(values)
        forest = read_forest(self.texts) if self.tables is None else self.tables.forest
        deepest = int(depths(forest.node_start, forest.nodes).max(initial=0))
        out = np.zeros((*X.shape, X.shape[1]))
        quadrature = Quadrature.exact_for(deepest)
        interactions_into(forest.questions.sheet(X), forest.trees, forest.questions.nodes, quadrature, out)
        own = np.arange(X.shape[1])
        whole = out[:, own, own]
        # A contribution less all that the feature does with others.
        out[:, own, own] = 2 * whole - out.sum(axis=2)
        return out

    def _checked(self, values: npt.ArrayLike) -> Floats:
        X = np.ascontiguousarray(values, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ModelError(
                Fault(
                    "features",
                    f"shape {X.shape}",
                    f"(rows, {self.n_features})",
                    "Pass the model's features in its order.",
                )
            )
        return X

    def _by_lightgbm(self, X: Floats) -> Floats:
        import lightgbm

        total = np.zeros(X.shape)
        for text in self.texts:
            booster = lightgbm.Booster(model_str=text)
            total += np.asarray(booster.predict(X, pred_contrib=True, num_threads=1))[:, :-1]
        return total / len(self.texts)

    def explanation(self, values: npt.ArrayLike, names: Sequence[str]) -> shap.Explanation:
        """The contributions of `contributions(values)` as a `shap.Explanation`, for shap's plots.

        values: shape (n, p), columns in the model's order, NaN unknown. names: p labels, one for each column.
        Needs the shap package (ImportError without it). Raises ModelError for a wrong shape.
        """
        X = np.ascontiguousarray(values, dtype=np.float64)
        return as_explanation(*self.contributions(X), X, names)

    def save(self, folder: Path) -> Path:
        """Write `explanation_tables.npz` into a folder that is there: plain arrays without pickle, the same
        bytes for the same tables.

        It names the trees that it was made of, so that `load` takes it for no other model. Where the trees
        are beyond the bounds, it holds that fact.
        """
        arrays: dict[str, Any] = {} if self.tables is None else self.tables.arrays()
        arrays[MADE_OF], arrays[NOTE] = _as_bytes(self.trees), _as_bytes(self.note)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        path = folder / TABLES_FILE
        with replacing(path, shared=True) as draft:
            draft.write_bytes(buffer.getvalue())
        return path

    @classmethod
    def load(cls, folder: Path, texts: Sequence[str]) -> Explainer:
        """Read what `save` wrote for the trees of these model texts: the same contributions, bit for bit,
        without working the tables out again.

        Raises ModelError when the file is missing, damaged, not whole, or made of other trees than the
        model's.
        """
        path = folder / TABLES_FILE
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            trees, note = (arrays.pop(name).tobytes().decode() for name in (MADE_OF, NOTE))
        except KeyError as error:
            raise ModelError(_not_tables(path, f"the array {error.args[0]} is missing")) from None
        except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise ModelError(_not_tables(path, str(error))) from None
        if trees != ensemble_hash(texts):
            raise ModelError(_not_tables(path, "tables that were made of other trees than this model's"))
        if note:
            forest = read_forest(texts)
            return cls(
                n_features=forest.n_features,
                base=forest.base,
                tables=None,
                trees=trees,
                texts=tuple(texts),
                note=note,
            )
        tables = ContributionTables.from_arrays(arrays)
        return cls(tables.forest.n_features, tables.forest.base, tables, trees)


def ensemble_hash(texts: Sequence[str]) -> str:
    """SHA-256 over the `trees_hash` of each member, in order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(trees_hash(text).encode())
    return digest.hexdigest()


def _as_bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def _not_tables(path: Path, found: str) -> Fault:
    return Fault(
        str(path),
        found,
        "the explanation tables of this model",
        "Write the release again, or let them be made from the model.",
    )


def as_explanation(contributions: Floats, base: float, values: Any, names: Sequence[str]) -> shap.Explanation:
    """Contributions that are already there, as a `shap.Explanation`. values: what the plots show beside the
    names, shape (n, p).
    """
    import shap

    return shap.Explanation(
        values=contributions,
        base_values=np.full(len(contributions), base),
        data=values,
        feature_names=list(names),
    )


def drawing() -> Any:
    """shap itself, for the module that draws."""
    import shap

    return shap
