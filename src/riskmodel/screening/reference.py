"""Reference distributions: the distribution of each feature over the households of a township or county on
one day, with which a value is compared.

Stored as cut points with the shares below and up to them. A comparison discloses nothing about a single
household: areas with fewer than 30 known values are left out (the county is used instead of the township),
shares are rounded to steps that widen as areas get smaller, and at least five households are always beyond.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from riskmodel.errors import Fault, ModelError
from riskmodel.screening.reason_kernels import Distributions, spread
from riskmodel.vocabulary import COUNTY_DIGITS, TOWNSHIP_DIGITS

if TYPE_CHECKING:
    from riskmodel.features.matrix import FeatureMatrix

FEWEST: Final = 30  # known values that an area needs
BEYOND: Final = 5  # households that are beyond every comparison
MOST_CUTS: Final = 200
REFERENCE_FILE: Final = "reference.npz"


@dataclass(frozen=True)
class Reference:
    """Distributions of p features in some areas as of a day, and how new each department's data were then.

    areas: codes of counties (6 digits) and townships (9). start: shape (areas, p + 1), into cut, below and
    upto: sorted cut points, the share of known values strictly below each, and the share up to and including
    it. known: shape (areas, p), number of known values. data_dates: table -> newest known_on. households:
    village (12 digits) -> number of households, where there are at least 30. A feature with fewer than 30
    known values in an area has no cut points there.
    """

    as_of: dt.date
    names: tuple[str, ...]
    areas: tuple[str, ...]
    start: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    cut: npt.NDArray[np.float64]
    below: npt.NDArray[np.float64]
    upto: npt.NDArray[np.float64]
    data_dates: Mapping[str, dt.date]
    households: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, matrix: FeatureMatrix, data_dates: Mapping[str, dt.date] | None = None) -> Reference:
        """From the features of a cohort. Townships and counties with fewer than 30 households are left
        out."""
        county = np.array([code[:COUNTY_DIGITS] for code in matrix.village_code], dtype=str)
        township = np.array([code[:TOWNSHIP_DIGITS] for code in matrix.village_code], dtype=str)
        areas: list[str] = []
        members: list[npt.NDArray[np.intp]] = []
        for codes in (county, township):
            for code in np.unique(codes):
                inside = np.flatnonzero(codes == code)
                if len(inside) >= FEWEST:
                    areas.append(str(code))
                    members.append(inside)
        counted = zip(*np.unique(matrix.village_code.astype(str), return_counts=True), strict=True)
        villages = {str(code): int(number) for code, number in counted if number >= FEWEST}
        p = len(matrix.names)
        start, known = np.zeros((len(areas), p + 1), np.int64), np.zeros((len(areas), p), np.int64)
        cuts, belows, uptos = [], [], []
        at = 0
        for place, inside in enumerate(members):
            columns = np.sort(matrix.values[inside].T, axis=1)  # NaN last
            cut, below, upto, starts, counts = spread(columns, FEWEST, MOST_CUTS)
            start[place], known[place] = starts + at, counts
            at += len(cut)
            cuts.append(cut)
            belows.append(below)
            uptos.append(upto)
        empty = [np.zeros(0)]
        return cls(
            as_of=matrix.as_of,
            names=matrix.names,
            areas=tuple(areas),
            start=start,
            known=known,
            cut=np.concatenate(cuts or empty),
            below=np.concatenate(belows or empty),
            upto=np.concatenate(uptos or empty),
            data_dates=dict(data_dates or {}),
            households=villages,
        )

    @classmethod
    def nothing(
        cls, as_of: dt.date, names: Sequence[str], data_dates: Mapping[str, dt.date] | None = None
    ) -> Reference:
        """A reference without areas: reasons then have no comparison."""
        p = len(names)
        none = np.zeros(0)
        return cls(
            as_of=as_of,
            names=tuple(names),
            areas=(),
            start=np.zeros((0, p + 1), np.int64),
            known=np.zeros((0, p), np.int64),
            cut=none,
            below=none,
            upto=none,
            data_dates=dict(data_dates or {}),
        )

    @cached_property
    def hash(self) -> str:
        """BLAKE2b of everything in it, 32 hex digits."""
        digest = hashlib.blake2b(self._words(), digest_size=16)
        for part in (self.start, self.known, self.cut, self.below, self.upto):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def _words(self) -> bytes:
        words = {
            "as_of": self.as_of.isoformat(),
            "names": list(self.names),
            "areas": list(self.areas),
            "data_dates": {name: day.isoformat() for name, day in sorted(self.data_dates.items())},
            "households": dict(sorted(self.households.items())),
        }
        return json.dumps(words, ensure_ascii=False).encode()

    @property
    def distributions(self) -> Distributions:
        """The record that the kernels take."""
        return Distributions(
            start=self.start, known=self.known, cut=self.cut, below=self.below, upto=self.upto
        )

    def select(self, names: Sequence[str]) -> Reference:
        """The same areas with these features, in this order. A feature that is not known here has nothing to
        compare with."""
        if tuple(names) == self.names:
            return self
        place = {name: number for number, name in enumerate(self.names)}
        start = np.zeros((len(self.areas), len(names) + 1), np.int64)
        known = np.zeros((len(self.areas), len(names)), np.int64)
        parts: list[npt.NDArray[np.int64]] = []
        at = 0
        for area in range(len(self.areas)):
            for number, name in enumerate(names):
                start[area, number] = at
                if name in place:
                    column = place[name]
                    part = np.arange(self.start[area, column], self.start[area, column + 1])
                    known[area, number] = self.known[area, column]
                    parts.append(part)
                    at += len(part)
            start[area, len(names)] = at
        rows = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return Reference(
            as_of=self.as_of,
            names=tuple(names),
            areas=self.areas,
            start=start,
            known=known,
            cut=self.cut[rows],
            below=self.below[rows],
            upto=self.upto[rows],
            data_dates=self.data_dates,
            households=self.households,
        )

    def places(
        self, village_code: npt.NDArray[np.object_]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Index of each household's township and of its county in `areas`, -1 where there is none; and
        whether its village has too few households to give reasons about them. Three arrays of shape (n,)."""
        place = self._place
        number: dict[str, int] = {}
        back = np.array([number.setdefault(code, len(number)) for code in village_code.tolist()], np.int64)
        township = np.array([place.get(code[:TOWNSHIP_DIGITS], -1) for code in number], np.int64)
        county = np.array([place.get(code[:COUNTY_DIGITS], -1) for code in number], np.int64)
        few = np.array([self.households.get(code, 0) < FEWEST for code in number], np.bool_)
        return township[back], county[back], few[back]

    @cached_property
    def _place(self) -> dict[str, int]:
        return {code: number for number, code in enumerate(self.areas)}

    def save(self, folder: Path) -> Path:
        """Write it into a folder, as plain arrays without pickle."""
        path = folder / REFERENCE_FILE
        text = np.frombuffer(self._words(), np.uint8)
        with path.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                words=text,
                start=self.start,
                known=self.known,
                cut=self.cut,
                below=self.below,
                upto=self.upto,
            )
        return path

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """Read what `save` wrote. Raises ModelError when it is missing or damaged."""
        path = folder / REFERENCE_FILE
        try:
            with np.load(path, allow_pickle=False) as stored:
                words = json.loads(stored["words"].tobytes())
                arrays = [stored[name] for name in ("start", "known", "cut", "below", "upto")]
            start, known, cut, below, upto = arrays
            names, areas = tuple(words["names"]), tuple(words["areas"])
            dates = {name: dt.date.fromisoformat(day) for name, day in words["data_dates"].items()}
            as_of = dt.date.fromisoformat(words["as_of"])
            households = {str(code): int(number) for code, number in words["households"].items()}
        except Exception as error:  # a damaged file fails in many ways; the answer is one
            raise ModelError(
                Fault(
                    str(path),
                    str(error) or type(error).__name__,
                    "comparison distributions",
                    "Write the release again.",
                )
            ) from None
        shapes = start.shape == (len(areas), len(names) + 1) and known.shape == (len(areas), len(names))
        within = not start.size or (
            start.min() >= 0 and start.max() <= len(cut) and (np.diff(start, axis=1) >= 0).all()
        )
        if not (shapes and within and len(cut) == len(below) == len(upto)):
            raise ModelError(
                Fault(
                    str(path),
                    "arrays that do not fit each other",
                    "comparison distributions",
                    "Write the release again.",
                )
            )
        return cls(
            as_of=as_of,
            names=names,
            areas=areas,
            start=start,
            known=known,
            cut=cut,
            below=below,
            upto=upto,
            data_dates=dates,
            households=households,
        )
