"""What lists and the casebook take as scores: `Scores`, which can explain themselves, or a plain frame with
their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import polars as pl

if TYPE_CHECKING:
    import pandas as pd

    from riskmodel.features.matrix import FeatureMatrix
    from riskmodel.screening.reasons import ReasonTable
    from riskmodel.screening.scoring import Explained


@runtime_checkable
class ScoredFrame(Protocol):
    """Anything that holds scores as a frame: one row a household, with household_id, margin, probability and
    what else `Scores.frame` has."""

    @property
    def frame(self) -> pl.DataFrame:
        """One row a household; columns as in `screening.scoring.Scores.frame`."""


@runtime_checkable
class ExplainedScores(ScoredFrame, Protocol):
    """Scores with the reasons of every household."""

    @property
    def table(self) -> ReasonTable:
        """The reasons of these households."""

    @property
    def matrix(self) -> FeatureMatrix:
        """The features that were scored."""

    def reasons(self, household_id: str) -> Explained:
        """The reasons of one household. Raises DataError when it was not scored."""


Scored: TypeAlias = "ScoredFrame | pl.DataFrame | pd.DataFrame"


def frame_of(scores: Scored) -> pl.DataFrame:
    """The scores as a polars frame."""
    if isinstance(scores, pl.DataFrame):
        return scores
    if isinstance(scores, ScoredFrame):
        return scores.frame
    return pl.from_pandas(scores)
