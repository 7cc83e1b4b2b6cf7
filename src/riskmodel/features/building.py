"""build(tables, as_of): the only door to features. Time is cut in the kernel, once; what is known later changes nothing."""

from __future__ import annotations

import calendar
import datetime as dt
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from riskmodel.features import kernel as kernels
from riskmodel.features.catalogue import Catalogue
from riskmodel.features.context import AreaContext
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.features.prepared import Prepared, day_number, prepare
from riskmodel.features.rows import NEVER, OF_HOUSEHOLD, OF_PERSON, TABLE_NAMES
from riskmodel.policy import NUMBERS, Policy
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
) -> FeatureMatrix:
    """Features of households as of a day: one row a household, one column a catalogue entry, in the catalogue's order.

    tables: Tables, or `prepare(tables)` where several dates are wanted. households: which (all in force with a member in force by default);
    one that is not in force with a member then is refused with DataError. context: what is counted about the areas
    (`AreaContext.of`); without it, it is counted from the same tables, so give the stored one when `tables` hold only a part of the county.
    threads: partitions of households computed side by side; the result is the same. Returns float64, NaN for unknown.
    Raises PolicyError when no policy value is in force for one of the areas on that day.
    """
    prepared = tables if isinstance(tables, Prepared) else prepare(tables)
    compiled = kernels.kernel()
    time = clock(as_of)
    if households is None or context is None:
        alive = in_force(prepared, as_of)
    targets = np.flatnonzero(alive) if households is None else _targets(prepared, as_of, households)
    if context is None:
        everybody = np.flatnonzero(alive)
        counted = _counts(prepared, everybody, time)
        context = AreaContext.from_counts(prepared, as_of, everybody, counted, _versions(prepared, everybody, time.as_of))
        own = counted if households is None else _counts(prepared, targets, time)
    else:
        context.refuse_other_day(as_of)
        own = _counts(prepared, targets, time)
    names = list(kernels.definitions())
    out = np.empty((len(targets), len(names)))
    policies, policy_of = _policies(prepared, policy, as_of)
    given = (
        *_time(time),
        _present(prepared),
        _limits(prepared),
        policies,
        policy_of,
        context.array("village", prepared.villages),
        context.array("township", prepared.townships),
        context.array("county", prepared.counties),
    )
    rows = _arrays(prepared)
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
    columns = [names.index(name) for name in catalogue.names]
    values = out if columns == list(range(len(names))) else np.ascontiguousarray(out[:, columns])
    versions = _versions(prepared, targets, time.as_of)
    villages = np.array(prepared.villages, dtype=object)[prepared.rows["households"]["village"][versions]]
    return FeatureMatrix(as_of, prepared.household_id[targets], villages, tuple(catalogue.names), values)


def in_force(prepared: Prepared, as_of: dt.date) -> npt.NDArray[np.bool_]:
    """Which households are in force, with a member in force, on the day. Shape (n,)."""
    alive = np.zeros(len(prepared), np.bool_)
    rows, starts = prepared.rows, prepared.starts
    kernels.kernel().in_force(
        day_number(as_of), rows["households"], starts["households"], rows["members"], starts["members"], alive
    )
    return alive


def count_context(tables: Tables | Prepared, as_of: dt.date) -> AreaContext:
    """What is counted about every area as of a day: integers only, so that it can be stored and used for one household later."""
    prepared = tables if isinstance(tables, Prepared) else prepare(tables)
    everybody = np.flatnonzero(in_force(prepared, as_of))
    time = clock(as_of)
    counted = _counts(prepared, everybody, time)
    return AreaContext.from_counts(prepared, as_of, everybody, counted, _versions(prepared, everybody, time.as_of))


def _targets(prepared: Prepared, as_of: dt.date, households: Sequence[str]) -> npt.NDArray[np.intp]:
    from riskmodel.errors import DataError, Fault

    alive = in_force(prepared, as_of)
    places = np.array([prepared.place_of(name) for name in households], np.intp)
    faults = [
        Fault(
            f"households {prepared.household_id[place]}",
            f"not in force with a member in force on {as_of}",
            "a version known by then and somebody who has not left",
            "Choose a later day, or leave the household out.",
        )
        for place in places
        if not alive[place]
    ]
    if faults:
        raise DataError(faults)
    return places


def _counts(prepared: Prepared, targets: npt.NDArray[np.intp], time: Clock) -> npt.NDArray[np.int64]:
    out = np.zeros((len(targets), len(kernels.counts())), np.int64)
    kernels.kernel().count_neighbours(targets, *_time(time), _present(prepared), _limits(prepared), *_arrays(prepared), out)
    return out


def _time(time: Clock) -> tuple[Any, ...]:
    return (time.as_of, time.ymd, time.back, time.first)


def _present(prepared: Prepared) -> npt.NDArray[np.bool_]:
    return np.array([name in prepared.present for name in TABLE_NAMES], np.bool_)


def _arrays(prepared: Prepared) -> tuple[npt.NDArray[Any], ...]:
    names = ("households", "members", *OF_HOUSEHOLD, *OF_PERSON, "area_shocks")
    return tuple(array for name in names for array in (prepared.rows[name], prepared.starts[name]))


def _limits(prepared: Prepared) -> npt.NDArray[np.int64]:
    """Most rows that any household may have in each table, for scratch space. Shape (tables,)."""
    limits = np.zeros(len(TABLE_NAMES), np.int64)
    starts = prepared.starts
    for place, name in enumerate(TABLE_NAMES):
        if name in OF_PERSON:
            of_person = np.diff(starts[name])
            running = np.concatenate([[0], np.cumsum(of_person[prepared.rows["members"]["person"]])])
            limits[place] = np.diff(running[starts["members"]]).max(initial=0)
        elif name != "households":
            limits[place] = np.diff(starts[name]).max(initial=0)
    wide = np.diff(starts["area_shocks"]).max(initial=0)
    limits[TABLE_NAMES.index("shocks")] += 3 * wide
    return limits


def _versions(prepared: Prepared, targets: npt.NDArray[np.intp], day: int) -> npt.NDArray[np.intp]:
    """Row of the household version in force, for households that have one. Shape (targets,)."""
    rows = prepared.rows["households"]
    good = np.flatnonzero((rows["known_on"] <= day) & (rows["replaced_on"] > day))
    owner = np.searchsorted(prepared.starts["households"], good, side="right") - 1
    row_of = np.full(len(prepared), -1, np.intp)
    row_of[owner] = good
    return row_of[targets]


def _policies(prepared: Prepared, policy: Policy, as_of: dt.date) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int32]]:
    """Policy values on the day: distinct records, and for each village the place of its own."""
    found: dict[tuple[Any, ...], int] = {}
    policy_of = np.empty(len(prepared.villages), np.int32)
    for place, village in enumerate(prepared.villages):
        start, end = policy.accounting_window(village, as_of)
        values = (*(policy.value(name, village, as_of) for name in NUMBERS), day_number(start), day_number(end))
        policy_of[place] = found.setdefault(values, len(found))
    return np.array(list(found), kernels.POLICY_SHAPE), policy_of


__all__ = ["NEVER", "build", "clock", "count_context", "in_force", "months_before"]
