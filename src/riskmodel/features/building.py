"""Entry points that compute features: `build(tables, as_of)` for one day, `build_dates` for several.

Both run one compiled kernel, which drops every row with `known_on` after the as-of date: what became known
later changes nothing. `build_dates` reads a household's rows once and filters them for each day.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from riskmodel.calendar import months_before
from riskmodel.errors import DataError, Fault, ProjectError
from riskmodel.features import kernel
from riskmodel.features.catalogue import Catalogue
from riskmodel.features.context import AreaContext
from riskmodel.features.definitions import counts, definitions, of_area
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.features.own import NOTHING_OWN, OWN_FOLDER, OwnFunctions
from riskmodel.features.prepared import Prepared, day_number, prepare, prepare_records
from riskmodel.policy import Policy
from riskmodel.tables import Tables

MONTHS_BACK: Final = 61


@dataclass(frozen=True)
class Clock:
    """The days that feature functions take as `when`, for one as-of date T.

    as_of: T in days since 1970-01-01. ymd: T as the number yyyymmdd. back: T less n months, first: the first
    day of the month n months before that of T; both in days since 1970-01-01, shape (MONTHS_BACK,), n from 0.
    """

    as_of: int
    ymd: int
    back: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]


@lru_cache(maxsize=512)
def clock(as_of: dt.date) -> Clock:
    """The clock of an as-of date."""
    back = np.array([day_number(months_before(as_of, months)) for months in range(MONTHS_BACK)], np.int32)
    first = np.array(
        [day_number(months_before(as_of.replace(day=1), months)) for months in range(MONTHS_BACK)], np.int32
    )
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
    """Features of households as of a day: one row a household, one column a catalogue entry, in the
    catalogue's order.

    tables: Tables, or `prepare(tables)` where they are used again. households: which (all in force with a
    member in force by default); one that is not in force with a member then is refused with DataError.
    context: what is counted about the areas (`AreaContext.of`); without it, it is counted from the same
    tables, so give the stored one when `tables` hold only a part of the county. threads: partitions of
    households computed side by side; the result is the same. trim: compile a kernel of exactly the
    catalogue's features, worth it where a few of them are wanted of many households often. Returns float64,
    NaN for unknown. Raises PolicyError when no policy value is in force for one of the areas on that day,
    ProjectError when a function of the project's own does not compile.
    """
    contexts = None if context is None else [context]
    [matrix] = build_dates(
        tables,
        [as_of],
        catalogue=catalogue,
        policy=policy,
        households=households,
        contexts=contexts,
        threads=threads,
        trim=trim,
    )
    return matrix


def build_dates(
    tables: Tables | Prepared,
    as_of: Sequence[dt.date],
    *,
    catalogue: Catalogue,
    policy: Policy,
    households: Sequence[str] | None = None,
    contexts: Sequence[AreaContext] | None = None,
    threads: int = 1,
    trim: bool = False,
) -> list[FeatureMatrix]:
    """`build` for several days, in one walk over the households: a matrix a day, each with the bits of
    `build`. contexts: one a day.

    All matrices are in memory at once: 8 bytes a household, day and feature.
    """
    prepared = tables if isinstance(tables, Prepared) else prepare(tables)
    days = tuple(as_of)
    wanted = tuple(catalogue.root)
    kernels_of = _kernels(wanted, catalogue.own, trim)
    neighbours = not trim or of_area(wanted, catalogue.own)
    if contexts is not None:
        for day, context in zip(days, contexts, strict=True):
            context.refuse_other_day(day)
    count_here = neighbours and contexts is None
    everybody = _alive(prepared, days) if households is None or count_here else None
    targets = everybody if households is None else _targets(prepared, days, households)
    assert targets is not None
    if count_here:
        assert everybody is not None
        counted = _counts(prepared, everybody)
        contexts = _contexts(prepared, everybody, counted)
        own = counted if targets is everybody else _counts(prepared, targets)
    else:
        own = _counts(prepared, targets) if neighbours else np.zeros((targets.total, len(counts())), np.int64)
    policies, policy_of = _policies(prepared, policy, targets)
    given = (
        *_clocks(days),
        prepared.present_flags,
        prepared.limits,
        policies,
        policy_of,
        *_area_counts(prepared, days, contexts),
        own,
    )

    made = [(compiled, np.empty((targets.total, len(names)))) for names, compiled in kernels_of]

    def run(part: tuple[int, int]) -> None:
        start, stop = part
        for compiled, out in made:
            compiled.build_features(
                targets.union[start:stop], targets.places[start:stop], *given, *prepared.arrays, out
            )

    parts = [(0, len(targets.union))]
    if threads > 1 and len(targets.union) > 1000:
        parts = list(itertools.pairwise(np.linspace(0, len(targets.union), threads + 1).astype(int)))
    if len(parts) == 1:
        run(parts[0])
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, parts))
    names = tuple(name for part, _ in kernels_of for name in part)
    out = made[0][1] if len(made) == 1 else np.hstack([part for _, part in made])
    columns = None if wanted == names else [names.index(name) for name in wanted]
    villages = np.array(prepared.villages, dtype=object)
    matrices = []
    for place, day in enumerate(days):
        start, stop = targets.edges[place], targets.edges[place + 1]
        values = out[start:stop] if columns is None else np.ascontiguousarray(out[start:stop, columns])
        homes = prepared.household_id[targets.of_day[place]]
        area = prepared.rows["households"]["village"][targets.versions[place]]
        matrices.append(
            FeatureMatrix(
                as_of=day, household_id=homes, village_code=villages[area], names=wanted, values=values
            )
        )
    return matrices


def _kernels(
    wanted: tuple[str, ...], own: OwnFunctions, trim: bool
) -> list[tuple[tuple[str, ...], ModuleType]]:
    """The kernels that make these features, each with its features in the order of its columns.

    The package's features have a kernel that changes with the package alone; those of the project's own have
    one beside it, so that an analyst who changes a function waits seconds for the compiler and not a minute.
    """
    known = definitions()
    package = tuple(known)
    mine = wanted if trim else tuple(name for name in wanted if name not in known)
    if own.files and mine:
        _compile_own(mine, own)
    if trim:
        return [(wanted, kernel.kernel(wanted, own))]
    found = [(package, kernel.kernel())]
    return [*found, (mine, kernel.kernel(mine, own))] if mine else found


def in_force(prepared: Prepared, as_of: dt.date) -> npt.NDArray[np.bool_]:
    """Which households are in force, with a member in force, on the day. Shape (n,)."""
    return _versions(prepared, np.arange(len(prepared)), as_of) >= 0


def count_context(tables: Tables | Prepared, as_of: dt.date) -> AreaContext:
    """What is counted about every area as of a day: integers only, so that it can be stored and used for one
    household later.
    """
    prepared = tables if isinstance(tables, Prepared) else prepare(tables)
    everybody = _alive(prepared, (as_of,))
    [context] = _contexts(prepared, everybody, _counts(prepared, everybody))
    return context


Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Targets:
    """Households to be computed, on each of some days.

    of_day, versions: a day's households (positions in Prepared, ascending) and the rows of their versions in
    force. union: all of them once, shape (n,). places: shape (n, days), the row of a household and day in one
    array over all days; -1 where it is not wanted. edges: where each day begins in that array, and where the
    last ends.
    """

    days: tuple[dt.date, ...]
    of_day: tuple[Places, ...]
    versions: tuple[Places, ...]
    union: Places
    places: Places
    edges: tuple[int, ...]

    @property
    def total(self) -> int:
        return self.edges[-1]

    @classmethod
    def of(cls, days: tuple[dt.date, ...], found: Sequence[tuple[Places, Places]]) -> _Targets:
        """found: for each day the households and their versions."""
        of_day = tuple(households for households, _ in found)
        edges = (0, *itertools.accumulate(len(households) for households in of_day))
        union = of_day[0] if len(days) == 1 else np.unique(np.concatenate(of_day))
        places = np.full((len(union), len(days)), -1, np.intp)
        for place, households in enumerate(of_day):
            rows = slice(None) if len(days) == 1 else np.searchsorted(union, households)
            places[rows, place] = np.arange(edges[place], edges[place + 1])
        return cls(
            days=days,
            of_day=of_day,
            versions=tuple(versions for _, versions in found),
            union=union,
            places=places,
            edges=edges,
        )


def _versions(prepared: Prepared, targets: Places, as_of: dt.date) -> Places:
    """Row of the household version in force; -1 without one, or without a member in force. Shape
    (targets,)."""
    rows, starts = prepared.rows, prepared.starts
    out = np.empty(len(targets), np.intp)
    kernel.counting().find_versions(
        targets,
        day_number(as_of),
        rows["households"],
        starts["households"],
        rows["members"],
        starts["members"],
        out,
    )
    return out


def _alive(prepared: Prepared, days: tuple[dt.date, ...]) -> _Targets:
    """The households in force with a member in force on each day."""
    found = []
    for day in days:
        versions = _versions(prepared, np.arange(len(prepared)), day)
        everybody = np.flatnonzero(versions >= 0)
        found.append((everybody, versions[everybody]))
    return _Targets.of(days, found)


def _targets(prepared: Prepared, days: tuple[dt.date, ...], households: Sequence[str]) -> _Targets:
    """The same households on each day. Raises DataError for one that is not in force with a member then."""
    targets = np.array([prepared.place_of(name) for name in sorted(set(households))], np.intp)
    found = []
    for day in days:
        versions = _versions(prepared, targets, day)
        if (versions < 0).any():
            raise DataError(
                Fault(
                    f"households {prepared.household_id[place]}",
                    f"not in force with a member in force on {day}",
                    "a version known by then and somebody who has not left",
                    "Choose a later day, or leave the household out.",
                )
                for place in targets[versions < 0]
            )
        found.append((targets, versions))
    return _Targets.of(days, found)


def _counts(prepared: Prepared, targets: _Targets) -> npt.NDArray[np.int64]:
    """What each household contributes to the counts of its areas. Shape (households over all days,
    counts)."""
    out = np.zeros((targets.total, len(counts())), np.int64)
    kernel.counting().count_neighbours(
        targets.union,
        targets.places,
        *_clocks(targets.days),
        prepared.present_flags,
        prepared.limits,
        *prepared.arrays,
        out,
    )
    return out


def _contexts(prepared: Prepared, everybody: _Targets, counted: npt.NDArray[np.int64]) -> list[AreaContext]:
    return [
        AreaContext.from_counts(prepared, day, counted[start:stop], versions)
        for day, (start, stop), versions in zip(
            everybody.days, itertools.pairwise(everybody.edges), everybody.versions, strict=True
        )
    ]


def _area_counts(
    prepared: Prepared, days: tuple[dt.date, ...], contexts: Sequence[AreaContext] | None
) -> tuple[npt.NDArray[np.int64], ...]:
    """Counts of the villages, townships and counties, each of shape (days, areas, counts); without contexts
    nobody asks for them: zeros.
    """
    levels = (("village", prepared.villages), ("township", prepared.townships), ("county", prepared.counties))
    if contexts is None:
        return tuple(np.zeros((len(days), len(codes), len(counts())), np.int64) for _, codes in levels)
    return tuple(np.stack([context.array(codes) for context in contexts]) for level, codes in levels)


@lru_cache(maxsize=512)
def _clocks(days: tuple[dt.date, ...]) -> tuple[npt.NDArray[Any], ...]:
    """The clocks of some days as the kernel takes them: shapes (days,), (days,), (days, months), (days,
    months).
    """
    times = [clock(day) for day in days]
    return (
        np.array([time.as_of for time in times], np.int64),
        np.array([time.ymd for time in times], np.int64),
        np.stack([time.back for time in times]),
        np.stack([time.first for time in times]),
    )


@lru_cache(maxsize=8)
def _compile_own(only: tuple[str, ...], own: OwnFunctions) -> None:
    """Have the kernel compiled. Raises ProjectError that names each function of the project's own that does
    not compile.
    """
    from numba.core.errors import NumbaError

    try:
        _run_on_nobody(prepare_records({"households": [], "members": []}), only, own)
    except (NumbaError, KeyError):  # KeyError: a column that this table does not have
        raise ProjectError(_uncompiled(own)) from None


def _uncompiled(own: OwnFunctions) -> list[Fault]:
    """A fault for each function of the project's own that the compiler refuses, in the compiler's words."""
    from numba.core.errors import NumbaError

    nobody = prepare_records({"households": [], "members": []})
    faults = []
    package = definitions()
    for name, one in definitions(own).items():
        if name in package:
            continue
        try:
            _run_on_nobody(nobody, (name,), own)
        except (NumbaError, KeyError) as error:
            declared = [
                line.strip()
                for line in str(error).splitlines()
                if line.strip() and "Failed in nopython" not in line
            ]
            expected = "a column of the rows it names, numbers, loops and `if`"
            faults.append(
                Fault(
                    f"{OWN_FOLDER}/{one.family}.py ({name})",
                    "; ".join(declared[:2]),
                    expected,
                    "Correct the function.",
                )
            )
    return faults or [
        Fault(
            OWN_FOLDER,
            "the functions do not compile",
            "functions that compile together",
            "Rename the helpers.",
        )
    ]


def _run_on_nobody(nobody: Prepared, only: tuple[str, ...], own: OwnFunctions) -> None:
    """Call the kernel without a household: compiles it, or loads it."""
    nobodies = _Targets.of((dt.date(2025, 1, 1),), [(np.empty(0, np.intp), np.empty(0, np.intp))])
    none = np.empty(0, kernel.POLICY_SHAPE), np.empty((1, 0), np.int32)
    given = (*_clocks(nobodies.days), nobody.present_flags, nobody.limits, *none)
    areas = _area_counts(nobody, nobodies.days, None)
    counted = np.zeros((0, len(counts())), np.int64)
    out = np.empty((0, len(only or definitions())))
    kernel.kernel(only, own).build_features(
        nobodies.union, nobodies.places, *given, *areas, counted, *nobody.arrays, out
    )


def warm_up(catalogue: Catalogue | None = None) -> float:
    """Compile the feature kernel, or load it from numba's cache; return the seconds that took.

    Call it before a service accepts requests, or while an image is built. catalogue: of a project with
    feature functions of its own (`features/own/`); they are compiled as well.
    """
    start = perf_counter()
    nobody = prepare_records({"households": [], "members": []})
    _versions(nobody, np.empty(0, np.intp), dt.date(2025, 1, 1))
    _counts(nobody, _Targets.of((dt.date(2025, 1, 1),), [(np.empty(0, np.intp), np.empty(0, np.intp))]))
    _run_on_nobody(nobody, (), NOTHING_OWN)
    if catalogue is not None:
        _kernels(tuple(catalogue.root), catalogue.own, False)
    return perf_counter() - start


def _policies(
    prepared: Prepared, policy: Policy, targets: _Targets
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int32]]:
    """Policy values: distinct records, and for each day and village that is asked for the place of its own,
    shape (days, villages).
    """
    found: dict[tuple[float, ...], int] = {}
    policy_of = np.zeros((len(targets.days), len(prepared.villages)), np.int32)
    for number, day in enumerate(targets.days):
        villages = prepared.rows["households"]["village"][targets.versions[number]]
        for place in set(villages.tolist()):
            values = policy.record(prepared.villages[place], day)
            policy_of[number, place] = found.setdefault(values, len(found))
    return np.array(list(found), kernel.POLICY_SHAPE), policy_of
