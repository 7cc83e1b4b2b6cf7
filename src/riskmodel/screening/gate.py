"""The scoring gate: features that may not be scored are refused, with all their faults at once.

`Booster.predict` takes swapped columns, infinity and 万元 for 元 without a word. Here features are taken by
name, and looked at for type, range, unit and gaps. What is usual is known from a profile of the rows that the
model learned from, where there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from riskmodel.errors import Fault, GateError
from riskmodel.features.catalogue import Catalogue
from riskmodel.features.matrix import FeatureMatrix

Floats = npt.NDArray[np.float64]

# unit -> least and greatest value that can be true
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "yuan": (-1e8, 1e8),
    "yuan_per_person": (-1e8, 1e8),
    "share": (-1e4, 1e4),
    "ratio": (-1e6, 1e6),
    "times": (-1e4, 1e4),
    "items": (-1e4, 1e4),
    "visits": (-1e4, 1e4),
    "people": (-100, 100),
    "months": (-2400, 2400),
    "quarters": (0, 400),
    "days": (-80_000, 80_000),
    "years": (-150, 150),
    "level": (0, 10),
    "mu": (-1e5, 1e5),
    "km": (-1e4, 1e4),
    "flag": (0, 1),
    "households": (-1e7, 1e7),
}
MONEY: Final = ("yuan", "yuan_per_person")
FEWEST: Final = 30  # households that a shift of the whole can be seen from
# how many times a typical value may differ: 万元 for 元 is 10,000 times, a month for a year 12 times
SHIFT: Final = 30.0
# The same for households that somebody picked: the bills of the most ill are hundreds of times the usual
# ones, and still not 万元 for 元.
SHIFT_OF_PICKED: Final = 3000.0
EMPTIED: Final = 0.95  # share unknown now, where in training most values were known
USUALLY_KNOWN: Final = 0.5


def pass_value_gate(
    matrix: FeatureMatrix,
    names: Sequence[str],
    catalogue: Catalogue,
    *,
    profile: Mapping[str, Mapping[str, Any]] | None = None,
    accept_missing: Collection[str] = (),
    picked: bool = False,
) -> Floats:
    """The values of `names` for n households, shape (n, p), in this order, C-contiguous float64, ready to be
    scored.

    profile: see `training.record.usual_values`; without it units and gaps are not compared. accept_missing:
    tables whose absence is known and accepted. picked: the households were chosen by somebody and are no
    cohort: their missing values are no evidence about the tables, and only amounts as far off as 万元 for 元
    are taken for another unit. Raises GateError with every fault: missing features, types, infinite values,
    values out of range, units, sources without recent rows.
    """
    faults: list[Fault] = []
    if matrix.values.dtype != np.float64:
        faults.append(
            Fault("features", f"type {matrix.values.dtype}", "float64", "Build the features with riskmodel.")
        )
    there = set(matrix.names)
    absent = [name for name in names if name not in there]
    faults += [
        Fault(
            f"feature {name}",
            "not among the features",
            "every feature of the model",
            "Build the features with the model's catalogue.",
        )
        for name in absent
    ]
    doubled = (
        []
        if len(there) == len(matrix.names)
        else sorted({name for name in there if matrix.names.count(name) > 1})
    )
    faults += [
        Fault(f"feature {name}", "given twice", "each feature once", "Drop one of the two.")
        for name in doubled
    ]
    if faults:
        raise GateError(faults)
    values = matrix.select(names).values
    if _quiet(values, _limits(catalogue, tuple(names), profile), picked):
        return values
    for place, name in enumerate(names):
        usual = (profile or {}).get(name)
        faults += _of_column(
            name, values[:, place], matrix.household_id, catalogue, usual, accept_missing, picked
        )
    if faults:
        raise GateError(faults)
    return values


@dataclass(frozen=True)
class _Limits:
    """What is looked at at a glance, for p features: least and greatest value, whether it is a flag, whether
    most were known when the model learned, and a money feature's typical value then (NaN: there is none)."""

    low: Floats
    high: Floats
    flag: npt.NDArray[np.bool_]
    usually_known: npt.NDArray[np.bool_]
    typical: Floats


def _limits(
    catalogue: Catalogue, names: tuple[str, ...], profile: Mapping[str, Mapping[str, Any]] | None
) -> _Limits:
    """The limits of these features; worked out once for a model."""
    key = (id(catalogue), id(profile), names)
    known = _LIMITS.get(key)
    if known is None or known[0] is not catalogue or known[1] is not profile:
        units = [entry.unit if (entry := catalogue.root.get(name)) is not None else "" for name in names]
        ranges = [RANGES.get(unit, (-np.inf, np.inf)) for unit in units]
        usual = [(profile or {}).get(name) for name in names]
        limits = _Limits(
            low=np.array([low for low, _ in ranges]),
            high=np.array([high for _, high in ranges]),
            flag=np.array([unit == "flag" for unit in units], np.bool_),
            usually_known=np.array(
                [item is not None and item["known"] >= USUALLY_KNOWN for item in usual], np.bool_
            ),
            typical=np.array(
                [
                    (item or {}).get("typical") or np.nan if unit in MONEY else np.nan
                    for item, unit in zip(usual, units, strict=True)
                ],
                np.float64,
            ),
        )
        _LIMITS.clear()
        _LIMITS[key] = known = (catalogue, profile, limits)
    return known[2]


_LIMITS: dict[tuple[int, int, tuple[str, ...]], tuple[Catalogue, Any, _Limits]] = {}


def _quiet(values: Floats, limits: _Limits, picked: bool) -> bool:
    """Fast path: whether no column can exceed a limit. Otherwise the caller checks column by column."""
    wrong = (
        (values < limits.low)
        | (values > limits.high)
        | np.isinf(values)
        | (limits.flag & (values > 0) & (values < 1))
    )
    if wrong.any():
        return False
    if len(values) < FEWEST:  # too few to be compared with a profile
        return True
    known = len(values) - np.isnan(values).sum(axis=0)
    if not picked and (limits.usually_known & (known <= (1 - EMPTIED) * len(values))).any():
        return False
    # the median is between two bounds when less than half of the numbers are beyond either
    money = ~np.isnan(limits.typical)
    size, typical = np.abs(values[:, money]), limits.typical[money]
    counted = (size > 0).sum(axis=0)
    shift = SHIFT_OF_PICKED if picked else SHIFT
    large, small = (size >= shift * typical).sum(axis=0), ((size > 0) & (size <= typical / shift)).sum(axis=0)
    return not ((counted >= FEWEST) & ((2 * large >= counted) | (2 * small >= counted))).any()


def _of_column(
    name: str,
    column: Floats,
    household_id: npt.NDArray[np.object_],
    catalogue: Catalogue,
    usual: Mapping[str, Any] | None,
    accept_missing: Collection[str],
    picked: bool,
) -> Iterable[Fault]:
    where = f"feature {name}"
    infinite = np.isinf(column)
    if infinite.any():
        yield Fault(
            f"{where}, {_households(household_id, infinite)}",
            "an infinite value",
            "a number, or unknown",
            "Mend the source; a division by zero is unknown, not infinite.",
        )
    entry = catalogue.root.get(name)
    if entry is not None:
        low, high = RANGES[entry.unit]
        out = (column < low) | (column > high)
        if entry.unit == "flag":
            out |= (column > 0) & (column < 1)
        out &= ~infinite
        if out.any():
            expected = (
                "0, 1 or unknown"
                if entry.unit == "flag"
                else f"between {low:,.0f} and {high:,.0f} ({entry.unit})"
            )
            yield Fault(
                f"{where}, {_households(household_id, out)}",
                f"{column[out][0]:,.6g}",
                expected,
                "Correct the value at its source, then deliver the table again.",
            )
    if usual is None or len(column) < FEWEST:
        return
    there = column[~np.isnan(column) & ~infinite]
    sources = entry.sources if entry is not None else ()
    if (
        not picked
        and usual["known"] >= USUALLY_KNOWN
        and len(there) <= (1 - EMPTIED) * len(column)
        and not (sources and set(sources) & set(accept_missing))
    ):
        yield Fault(
            where,
            f"unknown for {1 - len(there) / len(column):.0%} of the households",
            f"known for about {usual['known']:.0%}, as when the model learned",
            f"Deliver {', '.join(sources) or 'its source'}, or use a model that was trained without it.",
        )
    some = np.abs(there[there != 0])
    if entry is not None and entry.unit in MONEY and usual.get("typical") and len(some) >= FEWEST:
        times = float(np.median(some)) / usual["typical"]
        shift = SHIFT_OF_PICKED if picked else SHIFT
        if times > shift or times < 1 / shift:
            yield Fault(
                where,
                f"typically {np.median(some):,.4g}, {times:,.4g} times what the model learned from",
                f"about {usual['typical']:,.0f} yuan",
                f"Check the unit of {', '.join(sources)}: yuan are expected, not 万元.",
            )


def _households(household_id: npt.NDArray[np.object_], hit: npt.NDArray[np.bool_]) -> str:
    named = [str(item) for item in household_id[hit][:3]]
    more = int(hit.sum()) - len(named)
    return f"household {', '.join(named)}" + (f" and {more:,} more" if more else "")
