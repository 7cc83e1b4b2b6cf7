"""build(tables, as_of): the only door to features. Time is cut in the kernel, once; what is known later changes nothing."""

from __future__ import annotations

import calendar
import datetime as dt
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from riskmodel.errors import DataError, Fault
from riskmodel.features import kernel as kernels
from riskmodel.features.catalogue import Catalogue
from riskmodel.features.context import AreaContext
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.features.prepared import Prepared, day_number, prepare, prepare_records
from riskmodel.policy import Policy
from riskmodel.tables import Tables

MONTHS_BACK: Final = 61


@dataclass(frozen=True)
class Clock:
    """Days of an as-of date, as `features.common` describes them."""

    as_of: int
    ymd: int
    back: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]


def months_before(day: dt.date, months: int) -> dt.date:
    """The same day of an earlier month, or its last day where the month is shorter."""
    count = day.year * 12 + day.month - 1 - months
    year, month = divmod(count, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


@lru_cache(maxsize=512)
def clock(as_of: dt.date) -> Clock:
    """The clock of an as-of date."""
    back = np.array([day_number(months_before(as_of, months)) for months in range(MONTHS_BACK)], np.int32)
    first = np.array([day_number(months_before(as_of.replace(day=1), months)) for months in range(MONTHS_BACK)], np.int32)
    return Clock(day_number(as_of), as_of.year * 10000 + as_of.month * 100 + as_of.day, back, first)


def build(
    tables: Tables | Prepared,
    as_of: dt.date,
    *,
    catalogue: Catalogue,
    policy: Policy,
    households: Sequence[str] | None = None,
    context: AreaContext | None = None,
    threads: int = 1,
    trim: bool = False,
) -> FeatureMatrix:
    """Features of households as of a day: one row a household, one column a catalogue entry, in the catalogue's order.

    tables: Tables, or `prepare(tables)` where several dates are wanted. households: which (all in force with a member in force by default);
    one that is not in force with a member then is refused with DataError. context: what is counted about the areas
    (`AreaContext.of`); without it, it is counted from the same tables, so give the stored one when `tables` hold only a part of the county.
    threads: partitions of households computed side by side; the result is the same. trim: compile a kernel of exactly the catalogue's features,
    worth it where a few of them are wanted of many households often. Returns float64, NaN for unknown.
    Raises PolicyError when no policy value is in force for one of the areas on that day.
    """
    prepared = tables if isinstance(tables, Prepared) else prepare(tables)
    wanted = tuple(catalogue.root)
    names = wanted if trim else feature_names()
    compiled = kernels.kernel(names if trim else ())
    time = clock(as_of)
    given_context = context is not None
    if trim and not kernels.of_area(names):
        context, given_context = AreaContext(as_of, tuple(kernels.counts()), {}), True  # nobody asks for the neighbours
        count = _no_counts
    else:
        count = _counts
    if households is None or context is None:
        everybody, versions = _alive(prepared, as_of)
    if context is None:
        counted = _counts(prepared, everybody, time)
        context = AreaContext.from_counts(prepared, as_of, counted, versions)
    else:
        context.refuse_other_day(as_of)
    if households is None:
        targets = everybody
        own = count(prepared, targets, time) if given_context else counted
    else:
        targets, versions = _targets(prepared, as_of, households)
        own = count(prepared, targets, time)
    out = np.empty((len(targets), len(names)))
    area = prepared.rows["households"]["village"][versions]
    policies, policy_of = _policies(prepared, policy, as_of, area)
    given = (
        *_time(time),
        prepared.present_flags,
        prepared.limits,
        policies,
        policy_of,
        *(context.array(level, codes) for level, codes in _levels(prepared)),
    )
    rows = prepared.arrays
    parts = [(0, len(targets))]
    if threads > 1 and len(targets) > 1000:
        edges = np.linspace(0, len(targets), threads + 1).astype(int)
        parts = list(itertools.pairwise(edges))

    def run(part: tuple[int, int]) -> None:
        start, stop = part
        compiled.build_features(targets[start:stop], *given, own[start:stop], *rows, out[start:stop])

    if len(parts) == 1:
        run(parts[0])
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, parts))
    values = out if wanted == names else np.ascontiguousarray(out[:, [names.index(name) for name in wanted]])
    villages = np.array(prepared.villages, dtype=object)[area]
    return FeatureMatrix(as_of, prepared.household_id[targets], villages, wanted, values)


@lru_cache(maxsize=1)
def feature_names() -> tuple[str, ...]:
    """All features that have a function, in the order of the kernel's columns."""
    return tuple(kernels.definitions())


def in_force(prepared: Prepared, as_of: dt.date) -> npt.NDArray[np.bool_]:
    """Which households are in force, with a member in force, on the day. Shape (n,)."""
    return _versions(prepared, np.arange(len(prepared)), as_of) >= 0


def count_context(tables: Tables | Prepared, as_of: dt.date) -> AreaContext:
    """What is counted about every area as of a day: integers only, so that it can be stored and used for one household later."""
    prepared = tables if isinstance(tables, Prepared) else prepare(tables)
    everybody, versions = _alive(prepared, as_of)
    return AreaContext.from_counts(prepared, as_of, _counts(prepared, everybody, clock(as_of)), versions)


Places = npt.NDArray[np.intp]


def _versions(prepared: Prepared, targets: Places, as_of: dt.date) -> Places:
    """Row of the household version in force; -1 without one, or without a member in force. Shape (targets,)."""
    rows, starts = prepared.rows, prepared.starts
    out = np.empty(len(targets), np.intp)
    kernels.kernel().find_versions(
        targets, day_number(as_of), rows["households"], starts["households"], rows["members"], starts["members"], out
    )
    return out


def _alive(prepared: Prepared, as_of: dt.date) -> tuple[Places, Places]:
    """Positions of the households in force with a member in force, and the rows of their versions."""
    versions = _versions(prepared, np.arange(len(prepared)), as_of)
    everybody = np.flatnonzero(versions >= 0)
    return everybody, versions[everybody]


def _targets(prepared: Prepared, as_of: dt.date, households: Sequence[str]) -> tuple[Places, Places]:
    """The same for named households, ascending. Raises DataError for one that is not in force with a member then."""
    targets = np.array([prepared.place_of(name) for name in sorted(set(households))], np.intp)
    versions = _versions(prepared, targets, as_of)
    if (versions < 0).any():
        raise DataError(
            Fault(
                f"households {prepared.household_id[place]}",
                f"not in force with a member in force on {as_of}",
                "a version known by then and somebody who has not left",
                "Choose a later day, or leave the household out.",
            )
            for place in targets[versions < 0]
        )
    return targets, versions


def _counts(prepared: Prepared, targets: npt.NDArray[np.intp], time: Clock) -> npt.NDArray[np.int64]:
    out = np.zeros((len(targets), len(kernels.counts())), np.int64)
    kernels.kernel().count_neighbours(targets, *_time(time), prepared.present_flags, prepared.limits, *prepared.arrays, out)
    return out


def _no_counts(prepared: Prepared, targets: npt.NDArray[np.intp], time: Clock) -> npt.NDArray[np.int64]:
    return np.zeros((len(targets), len(kernels.counts())), np.int64)


def _time(time: Clock) -> tuple[Any, ...]:
    return (time.as_of, time.ymd, time.back, time.first)


def warm_up() -> float:
    """Compile the kernel, or load it from the cache, and say how many seconds that took: before a service opens, or while an image is built."""
    start = perf_counter()
    nobody = prepare_records({"households": [], "members": []})
    time, none = clock(dt.date(2025, 1, 1)), np.empty(0, np.intp)
    _versions(nobody, none, dt.date(2025, 1, 1))
    own = _counts(nobody, none, time)
    given = (*_time(time), nobody.present_flags, nobody.limits, np.empty(0, kernels.POLICY_SHAPE), np.empty(0, np.int32))
    kernels.kernel().build_features(none, *given, own, own, own, own, *nobody.arrays, np.empty((0, len(feature_names()))))
    return perf_counter() - start


def _levels(prepared: Prepared) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (("village", prepared.villages), ("township", prepared.townships), ("county", prepared.counties))


def _policies(
    prepared: Prepared, policy: Policy, as_of: dt.date, villages: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int32]]:
    """Policy values on the day: distinct records, and for each village that is asked for the place of its own."""
    found: dict[tuple[float, ...], int] = {}
    policy_of = np.zeros(len(prepared.villages), np.int32)
    for place in set(villages.tolist()):
        values = policy.record(prepared.villages[place], as_of)
        policy_of[place] = found.setdefault(values, len(found))
    return np.array(list(found), kernels.POLICY_SHAPE), policy_of
