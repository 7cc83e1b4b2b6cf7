"""How a value came about: the formula, the window, the rows that were looked at, and those without which the
value would differ.

The feature function is run in plain Python on the rows in force on the day, cut by `Tables.known_by`, a road
of its own: that it ends at the same number as the kernel is a check of both, and is tested for every feature.
"""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.features.building import clock, count_context
from riskmodel.features.catalogue import Catalogue, Feature
from riskmodel.features.common import When
from riskmodel.features.context import AreaContext
from riskmodel.features.definitions import Definition, counts, definitions
from riskmodel.features.own import NOTHING_OWN, OwnFunctions
from riskmodel.features.prepared import Prepared, day_number, prepare
from riskmodel.features.rows import ALL_VERSIONS, LAST_12_MONTHS, NEVER, OF_PERSON, SHAPES
from riskmodel.policy import DAYS, NUMBERS, Policy
from riskmodel.tables import Tables
from riskmodel.tables.county import authorised
from riskmodel.tables.schema import TABLES

Rows = dict[str, list[SimpleNamespace]]


@dataclass(frozen=True)
class ValueTrace:
    """One value, traced. value: NaN is unknown. rows[table]: the rows known on the day as the county
    delivered them, with `counts`: the value hangs on this row. policy: the values that the function asked
    for, with source. neighbours: the counts it asked for.
    """

    household_id: str
    as_of: dt.date
    feature: str
    label: Mapping[str, str]
    value: float
    unit: str
    formula: str
    window: str
    missing: str
    sources: tuple[str, ...]
    absent: tuple[str, ...]
    rows: Mapping[str, pl.DataFrame] = field(repr=False)
    policy: Mapping[str, tuple[float, str]] = field(repr=False)
    neighbours: Mapping[str, Mapping[str, int]] = field(repr=False)

    def text(self) -> str:
        """For a terminal."""
        shown = "unknown" if np.isnan(self.value) else f"{self.value:,.6g}"
        lines = [
            f"{self.feature} of {self.household_id} as of {self.as_of}: {shown} ({self.unit})",
            f"  {self.label['zh']} · {self.label['en']}",
            f"  formula: {self.formula}",
            f"  window: {self.window}",
            f"  unknown when: {self.missing}",
        ]
        lines += [f"  {table}: absent from these tables, so the value is unknown" for table in self.absent]
        lines += [
            f"  policy: {name} = {value:,.6g} ({source})" for name, (value, source) in self.policy.items()
        ]
        lines += [
            f"  {level} without this household: "
            + ", ".join(f"{name} {count:,}" for name, count in counts.items())
            for level, counts in self.neighbours.items()
        ]
        for table, frame in self.rows.items():
            entered = frame.filter("counts")
            lines.append(f"  {table}: {entered.height} of {frame.height} rows known on the day enter")
            shown_rows = entered.drop("counts")
            if shown_rows.height:
                shown_rows = shown_rows.select(
                    column.name for column in shown_rows if column.null_count() < shown_rows.height
                )
                with pl.Config(
                    tbl_rows=60,
                    tbl_cols=20,
                    tbl_hide_dataframe_shape=True,
                    tbl_hide_column_data_types=True,
                    tbl_width_chars=160,
                ):
                    lines += ["    " + line for line in str(shown_rows).splitlines()]
        return "\n".join(lines)


def explain_value(
    tables: Tables | Prepared,
    household_id: str,
    feature: str,
    as_of: dt.date,
    *,
    catalogue: Catalogue,
    policy: Policy,
    context: AreaContext | None = None,
) -> ValueTrace:
    """Trace one value of one household to its rows. context: as for `build`; counted from the same tables
    when it is not given.

    Raises DataError for a household or feature that is not there, or a household that is not in force with a
    member then.
    """
    [trace] = explain_values(
        tables, household_id, [feature], as_of, catalogue=catalogue, policy=policy, context=context
    )
    return trace


def explain_values(
    tables: Tables | Prepared,
    household_id: str,
    features: Sequence[str],
    as_of: dt.date,
    *,
    catalogue: Catalogue,
    policy: Policy,
    context: AreaContext | None = None,
) -> list[ValueTrace]:
    """`explain_value` for several features of one household, whose rows are selected once. Traces in the
    order of `features`. Raises DataError for a name that is no feature."""
    full = tables.tables if isinstance(tables, Prepared) else tables
    if full is None:
        raise DataError(
            Fault(
                "tables",
                "records without tables",
                "Tables, or `prepare(tables)`",
                "Pass the tables themselves.",
            )
        )
    functions = definitions(catalogue.own)
    strange = [name for name in features if name not in functions or name not in catalogue]
    if strange:
        raise DataError(
            Fault(
                name,
                "no such feature",
                "a name of features/catalogue.yaml",
                "Look it up in docs/features.md.",
            )
            for name in strange
        )
    if context is None and any(
        {"village", "township", "county"} & set(functions[name].takes) for name in features
    ):
        context = count_context(tables, as_of)
    case = _Case.of(full, household_id, as_of, policy, context)
    return [case.trace(functions[name], catalogue[name], policy) for name in features]


def python_values(
    tables: Tables,
    household_id: str,
    as_of: dt.date,
    *,
    policy: Policy,
    context: AreaContext,
    own: OwnFunctions = NOTHING_OWN,
) -> dict[str, float]:
    """All features of one household, each computed in plain Python: slow, and the same bits as the kernel."""
    case = _Case.of(tables, household_id, as_of, policy, context)
    return {name: case.value(definition) for name, definition in definitions(own).items()}


_ALWAYS_SHOWN = ("event_id", "member_id", "occurred_on", "known_on")


def _names_read(function: Callable[..., Any], seen: set[Callable[..., Any]] | None = None) -> set[str]:
    """Every name in a function and in the functions that it calls: which columns, policy values and counts it
    reads.
    """
    seen = seen if seen is not None else set()
    seen.add(function)
    names = set(function.__code__.co_names)
    for name in list(names):
        called = function.__globals__.get(name)
        if inspect.isfunction(called) and called not in seen:
            names |= _names_read(called, seen)
    return names


@dataclass(frozen=True)
class _Case:
    """One household on one day, as the feature functions see it in plain Python."""

    given: dict[str, Any]
    frames: dict[str, pl.DataFrame]
    ours: Tables
    village: str
    asked: _Asked
    household_id: str
    as_of: dt.date

    @classmethod
    def of(
        cls, full: Tables, household_id: str, as_of: dt.date, policy: Policy, context: AreaContext | None
    ) -> _Case:
        ours = full.of_households([household_id])
        now = prepare(ours)
        now.place_of(household_id)
        rows, frames = _cut(ours, as_of, now, household_id)
        if not rows["households"] or not rows["members"]:
            raise DataError(
                Fault(
                    f"households {household_id}",
                    f"not in force with a member in force on {as_of}",
                    "a version known by then and somebody who has not left",
                    "Choose a later day.",
                )
            )
        home = rows["households"][0]
        village = now.villages[home.village]
        asked = _Asked(policy, village, as_of)
        given: dict[str, Any] = {**rows, "household": home, "when": _when(as_of), "policy": asked}
        if context is not None:
            codes = {
                "village": village,
                "township": now.townships[home.township],
                "county": now.counties[home.county],
            }
            others = {level: _others(context, code, given, full) for level, code in codes.items()}
            given |= {level: SimpleNamespace(**counts) for level, counts in others.items()}
        return cls(
            given=given,
            frames=frames,
            ours=ours,
            village=village,
            asked=asked,
            household_id=household_id,
            as_of=as_of,
        )

    def readable(self, definition: Definition) -> bool:
        """Assets need an authorisation in force."""
        return "assets" not in definition.takes or authorised(self.ours, self.as_of).height > 0

    def value(self, definition: Definition) -> float:
        """Unknown where a table is absent, or assets are not open to be read."""
        if any(table not in self.ours for table in definition.tables):
            return float("nan")
        if not self.readable(definition):
            return float("nan")
        return _run(definition, self.given)

    def trace(self, definition: Definition, entry: Feature, policy: Policy) -> ValueTrace:
        """The value with all that is behind it."""
        self.asked.seen = {}
        value = self.value(definition)
        seen = self.asked.seen
        read = _names_read(definition.function)
        absent = tuple(name for name in definition.tables if name not in self.ours)
        open_to_read = not absent and self.readable(definition)
        shown = {}
        for name in (
            definition.tables if "household" not in definition.takes else ("households", *definition.tables)
        ):
            rows = "member_versions" if name == "members" and "member_versions" in definition.takes else name
            frame = self.frames[rows]
            marks = [name == "households"] * frame.height
            if open_to_read and name != "households":
                marks = [_enters(definition, self.given, rows, place, value) for place in range(frame.height)]
            keep = [item for item in frame.columns if item in read or item in _ALWAYS_SHOWN]
            shown[name] = frame.select(keep).with_columns(counts=pl.Series("counts", marks, dtype=pl.Boolean))
        return ValueTrace(
            household_id=self.household_id,
            as_of=self.as_of,
            feature=definition.name,
            label={"zh": entry.label.zh, "en": entry.label.en},
            value=value,
            unit=entry.unit,
            formula=definition.formula,
            window=_window(entry.window, policy, self.village, self.as_of),
            missing=entry.missing.en,
            sources=definition.tables,
            absent=absent,
            rows=shown,
            policy=seen,
            neighbours={
                level: {name: count for name, count in vars(self.given[level]).items() if name in read}
                for level in ("village", "township", "county")
                if level in definition.takes
            },
        )


class _Asked:
    """The policy values of a place and day; remembers which were asked for."""

    def __init__(self, policy: Policy, village: str, as_of: dt.date) -> None:
        self._policy, self._village, self._as_of = policy, village, as_of
        self.seen: dict[str, tuple[float, str]] = {}

    def __getattr__(self, name: str) -> float:
        if name in DAYS:
            return self._policy.record(self._village, self._as_of)[len(NUMBERS) + DAYS.index(name)]
        found = self._policy.in_force(name, self._village, self._as_of)
        value = self._policy.value(name, self._village, self._as_of)
        self.seen[name] = (value, found.source if found.verified else f"{found.source}; NOT VERIFIED 未核对")
        return value


def _when(as_of: dt.date) -> When:
    time = clock(as_of)
    return When(time.as_of, time.ymd, time.back.tolist(), time.first.tolist())


def _cut(
    ours: Tables, as_of: dt.date, now: Prepared, household_id: str
) -> tuple[Rows, dict[str, pl.DataFrame]]:
    """Rows of one household on the day, as objects for the functions and as frames for people, place by place
    the same.
    """
    cut = ours.known_by(as_of)
    frames: dict[str, pl.DataFrame] = {}
    versions = ours["members"].filter(
        (pl.col("household_id") == household_id) & (pl.col("known_on") <= as_of)
    )
    versions = versions.sort("member_id", "known_on")
    home = cut["households"].filter(pl.col("household_id") == household_id)
    people = cut.get("members").filter(pl.col("household_id") == household_id).sort("member_id")
    frames["households"], frames["members"] = home, people
    for name in SHAPES:
        if name in frames:
            continue
        frame = cut.get(name)
        if "member_id" in frame.columns and "household_id" not in frame.columns:
            frame = people.select("member_id").join(
                frame, on="member_id", how="inner", maintain_order="left_right"
            )
            frame = frame.select(cut.get(name).columns)
        elif name == "shocks":
            own = frame.filter(pl.col("household_id") == household_id)
            wide = [
                frame.filter(
                    pl.col("household_id").is_null()
                    & pl.col("area_code").is_in(home[f"{level}_code"].implode())
                )
                for level in ("village", "township", "county")
            ]
            wide = [part.sort("occurred_on", "known_on", "event_id") for part in wide]
            frame = pl.concat([own, *wide])
        else:
            frame = frame.filter(pl.col("household_id") == household_id)
        frames[name] = frame.drop("replaced_on", strict=False)
    known = pl.when(pl.col("replaced_on") <= as_of).then("replaced_on")  # a later end is not known yet
    frames["member_versions"] = versions.with_columns(replaced_on=known)
    frames["households"] = home.drop("replaced_on", strict=False)
    frames["members"] = people.drop("replaced_on", strict=False)
    rows = {name: _objects(ALL_VERSIONS.get(name, name), frame, now) for name, frame in frames.items()}
    for version in rows["member_versions"]:
        if version.replaced_on > day_number(as_of):
            version.replaced_on = NEVER
    return rows, frames


def _objects(name: str, frame: pl.DataFrame, now: Prepared) -> list[SimpleNamespace]:
    """The records of `now` that are these rows: found by what makes a version unique, in the order of the
    frame.
    """
    from riskmodel.features.prepared import records_of

    made = records_of(name, frame, now)
    fields = made.dtype.names or ()
    return [
        SimpleNamespace(**{item: made[item][place].item() for item in fields}) for place in range(len(made))
    ]


def _run(definition: Definition, given: Mapping[str, Any]) -> float:
    for table in OF_PERSON:
        if table in definition.takes:
            _mark(given["members"], given[table], table)
    return float(definition.function(*_arguments(definition, given)))


def _arguments(definition: Definition, given: Mapping[str, Any]) -> list[Any]:
    """What the function takes, in its order."""
    when = given["when"]
    return [
        [
            row
            for row in given[LAST_12_MONTHS[name]]
            if row.occurred_on > when.back[12] and row.occurred_on <= when.as_of
        ]
        if name in LAST_12_MONTHS
        else given[name]
        for name in definition.takes
    ]


def _mark(members: list[SimpleNamespace], rows: list[SimpleNamespace], table: str) -> None:
    """Set the first and last row of each member in one table, as the kernel does after filtering by time."""
    for member in members:
        own = [place for place, row in enumerate(rows) if row.person == member.person]
        setattr(member, f"{table}_start", own[0] if own else 0)
        setattr(member, f"{table}_end", own[-1] + 1 if own else 0)


def _enters(definition: Definition, given: Mapping[str, Any], table: str, place: int, value: float) -> bool:
    """Whether the value hangs on this row: it would differ without it, or without its person's versions, or
    with a huge amount in it (which brings a sum over any threshold, so that a "no" can be traced as well as a
    "yes").
    """
    if _differs(value, _without(definition, given, table, [place])):
        return True
    row = given[table][place]
    if table == "member_versions":
        own = [number for number, other in enumerate(given[table]) if other.person == row.person]
        return _differs(value, _without(definition, given, table, own))
    money = [
        column.name
        for column in TABLES[table].columns
        if column.kind == "money" and hasattr(row, column.name)
    ]
    if not money:
        return False
    huge = SimpleNamespace(**vars(row) | dict.fromkeys(money, 1e9))
    return _differs(
        value, _run(definition, {**given, table: [*given[table][:place], huge, *given[table][place + 1 :]]})
    )


def _without(definition: Definition, given: Mapping[str, Any], table: str, places: Sequence[int]) -> float:
    rest = {table: [row for place, row in enumerate(given[table]) if place not in places]}
    if table == "member_versions":  # the version in force is among the members too
        gone = {(given[table][place].person, given[table][place].known_on) for place in places}
        rest["members"] = [row for row in given["members"] if (row.person, row.known_on) not in gone]
    try:
        return _run(definition, {**given, **rest})
    except ZeroDivisionError:  # the last member
        return float("nan")


def _differs(one: float, other: float) -> bool:
    return not (one == other or (np.isnan(one) and np.isnan(other)))


def _others(context: AreaContext, code: str, given: Mapping[str, Any], tables: Tables) -> dict[str, int]:
    """Counts of an area without the household's own contribution."""
    total = context.counts.get(code, (0,) * len(context.names))
    found = {}
    for name, count in zip(context.names, total, strict=True):
        definition = counts()[name]
        here = all(table in tables for table in definition.tables)
        own = int(definition.function(*_arguments(definition, given))) if here else 0
        found[name] = max(count - own, 0)
    return found


def _window(window: str, policy: Policy, village: str, as_of: dt.date) -> str:
    """The window of the catalogue, with its days where they depend on the policy."""
    if window == "accounting window":
        start, end = policy.accounting_window(village, as_of)
        return f"{window}: {start} to {end - dt.timedelta(1)}"
    if window == "running school year and the one before":
        before, start = policy.school_years(village, as_of)
        return f"{window}: {before} to {start - dt.timedelta(1)}, and {start} to {as_of}"
    return window
