"""What is counted about the areas of a county as of a day: integers, leave-one-out in the kernel, storable as
JSON.

A household's neighbours are all other households of its village, township or county. The counts hold the
household itself; the kernel takes its own contribution off, so a household scored alone with the stored
counts gets the same numbers as in the batch. A household that was not among those counted is compared with
all of them less its own contribution, never below 0.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from riskmodel.errors import DataError, Fault
from riskmodel.features.definitions import counts

if TYPE_CHECKING:
    from riskmodel.features.prepared import Prepared

_LEVELS: Final = ("village", "township", "county")


@dataclass(frozen=True)
class AreaContext:
    """Counts by area code (12, 9 and 6 digits) as of a day. names: what is counted
    (`features/neighbours.py`), in order.
    """

    as_of: dt.date
    names: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]] = field(repr=False)

    @classmethod
    def from_counts(
        cls,
        prepared: Prepared,
        as_of: dt.date,
        counted: npt.NDArray[np.int64],
        versions: npt.NDArray[np.intp],
    ) -> AreaContext:
        """Sum the households' own counts, shape (households, counts), by the area of their versions in force,
        shape (households,).
        """
        found: dict[str, tuple[int, ...]] = {}
        for level, codes in zip(
            _LEVELS, (prepared.villages, prepared.townships, prepared.counties), strict=True
        ):
            area = prepared.rows["households"][level][versions]
            sums = np.zeros((len(codes), counted.shape[1]), np.int64)
            for place in range(counted.shape[1]):
                sums[:, place] = np.bincount(area, weights=counted[:, place], minlength=len(codes)).astype(
                    np.int64
                )
            found.update(zip(codes, map(tuple, sums.tolist()), strict=True))
        return cls(as_of, tuple(counts()), found)

    def array(self, codes: Sequence[str]) -> npt.NDArray[np.int64]:
        """Counts of these areas, shape (areas, counts); 0 for an area that was not counted."""
        nothing = (0,) * len(self.names)
        return np.array([self.counts.get(code, nothing) for code in codes], np.int64).reshape(
            len(codes), len(self.names)
        )

    def refuse_other_day(self, as_of: dt.date) -> None:
        """Raises DataError when the counts are of another day or of other feature functions."""
        if self.as_of != as_of:
            raise DataError(
                Fault(
                    "area context",
                    f"counted as of {self.as_of}",
                    f"counts as of {as_of}",
                    "Count the areas again for that day.",
                )
            )
        if self.names != tuple(counts()):
            raise DataError(
                Fault(
                    "area context",
                    f"holds {', '.join(self.names)}",
                    ", ".join(counts()),
                    "Count the areas again.",
                )
            )

    def json(self) -> str:
        """As JSON text: no household in it, only areas and whole numbers."""
        return json.dumps(
            {"as_of": self.as_of.isoformat(), "names": self.names, "counts": self.counts},
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> AreaContext:
        """Read what `json` wrote. Raises DataError."""
        try:
            data: dict[str, Any] = json.loads(text)
            counts = {code: tuple(int(value) for value in values) for code, values in data["counts"].items()}
            return cls(dt.date.fromisoformat(data["as_of"]), tuple(data["names"]), counts)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                Fault(
                    "area context", str(error), "JSON written by AreaContext.json", "Count the areas again."
                )
            ) from error
