"""What the feature pipeline hands on: one row a household, one column a feature."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FeatureMatrix:
    """Features of n households as of one day.

    household_id, village_code: shape (n,), str objects, households ascending. names: p feature names in the
    catalogue's order. values: shape (n, p), float64, C-contiguous; NaN means unknown, never zero. Units are
    those of the catalogue.
    """

    as_of: dt.date
    household_id: npt.NDArray[np.object_]
    village_code: npt.NDArray[np.object_]
    names: tuple[str, ...]
    values: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        assert self.values.shape == (len(self.household_id), len(self.names)), (
            "one row a household, one column a feature"
        )

    def __len__(self) -> int:
        return len(self.household_id)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """One feature, shape (n,). Raises ValueError for a name that is not there."""
        return self.values[:, self.names.index(name)]

    def select(self, names: Sequence[str]) -> FeatureMatrix:
        """The same households with only these features, in this order."""
        if tuple(names) == self.names:
            return self
        places = [self.names.index(name) for name in names]
        values = np.ascontiguousarray(self.values[:, places])
        return FeatureMatrix(
            as_of=self.as_of,
            household_id=self.household_id,
            village_code=self.village_code,
            names=tuple(names),
            values=values,
        )

    def rows(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> FeatureMatrix:
        """Only these households (mask or positions)."""
        values = np.ascontiguousarray(self.values[keep])
        return FeatureMatrix(
            as_of=self.as_of,
            household_id=self.household_id[keep],
            village_code=self.village_code[keep],
            names=self.names,
            values=values,
        )

    def pandas(self) -> pd.DataFrame:
        """household_id, as_of, village_code and the features, one row a household."""
        import pandas as pd

        left = pd.DataFrame(
            {"household_id": self.household_id, "as_of": self.as_of, "village_code": self.village_code}
        )
        return pd.concat([left, pd.DataFrame(self.values, columns=list(self.names))], axis=1)
