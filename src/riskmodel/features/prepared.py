"""Rows of a county, or of one household, ready for the kernel: sorted, coded, as they are on any day.

Two functions make the same arrays, bit for bit: `prepare` from Tables (a county), `prepare_records` from
lists of dicts (one household). No row is filtered by time here: each keeps known_on and replaced_on, by
which the kernel selects.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.features.rows import NEVER, OF_HOUSEHOLD, OF_PERSON, SHAPES, TABLE_NAMES
from riskmodel.tables import Tables
from riskmodel.tables.schema import TABLES

Rows = npt.NDArray[np.void]
Starts = npt.NDArray[np.int64]
_EPOCH: Final = dt.date(1970, 1, 1).toordinal()
_STATES: Final = {
    "seriously_ill_since": "seriously_ill",
    "chronic_ill_since": "chronic_ill",
    "dibao_since": "dibao",
    "unable_since": "unable",
}


@dataclass(frozen=True)
class Prepared:
    """Rows of n households, sorted by household and, inside it, in the tables' canonical order.

    household_id: shape (n,), ascending. rows[table]: records of `features.rows.SHAPES`. starts[table]: shape
    (owners + 1,), the first row of each owner: a household; a person for medical, disability and employment;
    an area for `area_shocks`. present: tables that are there (an absent one is unknown, not empty). tables:
    what it was made from, kept for tracing a value to its rows.
    """

    household_id: npt.NDArray[np.object_]
    villages: tuple[str, ...]
    townships: tuple[str, ...]
    counties: tuple[str, ...]
    rows: Mapping[str, Rows] = field(repr=False)
    starts: Mapping[str, Starts] = field(repr=False)
    present: frozenset[str] = frozenset()
    tables: Tables | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.household_id)

    @cached_property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Rows and starts of every table, in the order of the kernel's arguments."""
        names = ("households", "members", *OF_HOUSEHOLD, *OF_PERSON, "area_shocks")
        return tuple(array for name in names for array in (self.rows[name], self.starts[name]))

    @cached_property
    def present_flags(self) -> npt.NDArray[np.bool_]:
        """Which tables are there, in the order of SHAPES."""
        return np.array([name in self.present for name in TABLE_NAMES], np.bool_)

    @cached_property
    def limits(self) -> npt.NDArray[np.int64]:
        """Most rows that any household may have in each table, for the kernel's scratch space. Shape
        (tables,).
        """
        if len(self) == 1:  # all rows: more than enough, and quick
            return np.array(
                [len(self.rows[name]) + len(self.rows["area_shocks"]) * 3 for name in TABLE_NAMES], np.int64
            )
        limits = np.zeros(len(TABLE_NAMES), np.int64)
        for place, name in enumerate(TABLE_NAMES):
            if name in OF_PERSON:
                of_version = np.diff(self.starts[name])[self.rows["members"]["person"]]
                running = np.concatenate([[0], np.cumsum(of_version)])
                limits[place] = np.diff(running[self.starts["members"]]).max(initial=0)
            else:
                limits[place] = np.diff(self.starts[name]).max(initial=0)
        limits[TABLE_NAMES.index("shocks")] += 3 * np.diff(self.starts["area_shocks"]).max(initial=0)
        return limits

    def place_of(self, household_id: str) -> int:
        """Position of a household. Raises DataError when it is not there."""
        place = bisect_left(self.household_id, household_id)
        if place == len(self) or self.household_id[place] != household_id:
            raise DataError(
                Fault(
                    "households",
                    f"no household {household_id}",
                    "a household of these tables",
                    "Check the id, or the data folder.",
                )
            )
        return place


def day_number(day: dt.date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - _EPOCH


def prepare(tables: Tables) -> Prepared:
    """Sort and code the rows of all tables that are there.

    Rows of households, members or areas that the `households` and `members` tables do not name are left out.
    Money in yuan; nothing is cut in time: use it for any as-of date.
    """
    households = tables["households"].sort("household_id", "known_on")
    ids = households["household_id"].unique(maintain_order=True)
    members = tables.get("members").sort("member_id", "known_on")
    persons = members["member_id"].unique(maintain_order=True)
    rows: dict[str, Rows] = {}
    starts: dict[str, Starts] = {}

    shocks = tables.get("shocks")
    own = shocks.filter(pl.col("household_id").is_not_null())
    wide = shocks.filter(pl.col("household_id").is_null() & pl.col("area_code").is_not_null())
    wide = wide.sort("area_code", "occurred_on", "known_on", "event_id")
    event_areas = wide["area_code"].unique(maintain_order=True)
    rows["area_shocks"] = _records("shocks", wide)
    rows["area_shocks"]["scope"] = [_SCOPE_OF.get(len(code), -1) for code in wide["area_code"]]
    starts["area_shocks"] = _starts(_places(wide["area_code"], event_areas), len(event_areas))

    areas = {}
    rows["households"] = _records("households", households)
    for name in ("village", "township", "county"):
        codes = households[f"{name}_code"]
        areas[name] = codes.unique().sort()
        rows["households"][name] = _places(codes, areas[name])
        rows["households"][f"{name}_events"] = _places(codes, event_areas)
    starts["households"] = _starts(_places(households["household_id"], ids), len(ids))

    members = _since(members).sort("household_id", "member_id", "known_on")
    place = _places(members["household_id"], ids)
    people = _records("members", members)
    people["person"] = _places(members["member_id"], persons)
    rows["members"] = people[place >= 0]
    starts["members"] = _starts(place[place >= 0], len(ids))

    for name in (*OF_HOUSEHOLD, *OF_PERSON):
        frame = own if name == "shocks" else tables.get(name)
        owner, owners = ("member_id", persons) if name in OF_PERSON else ("household_id", ids)
        place = _places_of_sorted(frame[owner], owners)
        known = place >= 0
        if not known.all():
            frame, place = frame.filter(pl.Series(known)), place[known]
        if (np.diff(place) < 0).any():
            order = np.argsort(place, kind="stable")
            frame, place = frame[order], place[order]
        rows[name] = _records(name, frame)
        starts[name] = _starts(place, len(owners))
        if name in OF_PERSON:
            rows[name]["person"] = place
        elif name == "income":
            rows[name]["person"] = _places(frame["member_id"], persons)
        elif name == "shocks":
            rows[name]["scope"] = 0
    return Prepared(
        household_id=ids.to_numpy().astype(object),
        villages=tuple(areas["village"]),
        townships=tuple(areas["township"]),
        counties=tuple(areas["county"]),
        rows=rows,
        starts=starts,
        present=frozenset(name for name in tables.frames if name in SHAPES),
        tables=tables,
    )


_NO_ROWS: Final = (0,) * 6
_SCOPE_OF: Final = {12: 1, 9: 2, 6: 3}


def records_of(name: str, frame: pl.DataFrame, now: Prepared) -> Rows:
    """Records of some rows of the tables that `now` was made from, in their order, with what `prepare` worked
    out for them.
    """
    assert now.tables is not None
    if name in ("households", "members"):
        key = "household_id" if name == "households" else "member_id"
        whole = now.tables[name].sort(key, "known_on")
        if name == "members":
            ids = pl.Series(now.household_id.tolist(), dtype=pl.String)
            whole = whole.sort("household_id", "member_id", "known_on").filter(
                pl.col("household_id").is_in(ids.implode())
            )
        places = whole.select(key, "known_on").with_row_index("row")
        found = frame.join(places, on=[key, "known_on"], how="left", maintain_order="left")
        chosen: Rows = now.rows[name][found["row"].to_numpy()]
        return chosen
    records = _records(name, frame.with_columns(replaced_on=pl.lit(None, pl.Date)))
    if "person" in (records.dtype.names or ()):
        persons = now.tables["members"]["member_id"].unique().sort()
        records["person"] = _places(frame["member_id"], persons)
    elif name == "shocks":
        records["scope"] = [
            0 if owner is not None else _SCOPE_OF[len(code)]
            for owner, code in frame.select("household_id", "area_code").iter_rows()
        ]
    return records


def _places(values: pl.Series, among: pl.Series) -> npt.NDArray[np.int32]:
    """Position of each value among sorted or unsorted distinct values; -1 when it is not there."""
    if not len(among):
        return np.full(len(values), -1, np.int32)
    left = pl.DataFrame({"value": values})
    right = pl.DataFrame({"value": among, "place": np.arange(len(among), dtype=np.int32)})
    found = left.join(right, on="value", how="left", maintain_order="left")
    return found["place"].fill_null(-1).to_numpy()


def _places_of_sorted(values: pl.Series, among: pl.Series) -> npt.NDArray[np.int32]:
    """The same for values in runs (rows sorted by owner): looks each run up once."""
    if not len(values):
        return np.empty(0, np.int32)
    runs = values.rle()
    return np.repeat(_places(runs.struct.field("value"), among), runs.struct.field("len").to_numpy())


def _starts(place: npt.NDArray[np.int32], owners: int) -> Starts:
    starts = np.zeros(owners + 1, np.int64)
    np.cumsum(np.bincount(place, minlength=owners), out=starts[1:])
    return starts


def _records(name: str, frame: pl.DataFrame) -> Rows:
    """Records of one table; fields that are worked out elsewhere are left at 0."""
    records = np.zeros(frame.height, SHAPES[name])
    for column in TABLES[name].columns:
        if column.name in (records.dtype.names or ()):
            records[column.name] = _numbers(frame[column.name], column.name, column.kind)
    for extra in records.dtype.names or ():
        if extra == "replaced_on" or extra in _STATES:
            records[extra] = frame[extra].to_physical().fill_null(NEVER).to_numpy()
    return records


def _numbers(values: pl.Series, name: str, kind: str) -> npt.NDArray[Any]:
    if name == "birth_date":
        return (
            values.dt.year() * 10000 + values.dt.month().cast(pl.Int32) * 100 + values.dt.day()
        ).to_numpy()
    if kind == "date":
        return values.to_physical().fill_null(NEVER).to_numpy()
    if kind in ("money", "number"):
        return values.fill_null(float("nan")).to_numpy()
    if name == "diagnosis_group":
        letter = values.str.strip_chars().str.to_uppercase().str.slice(0, 1)
        return letter.replace_strict(_LETTERS, default=-1, return_dtype=pl.Int8).fill_null(-1).to_numpy()
    if kind == "code":
        return values.to_physical().cast(pl.Int8).fill_null(-1).to_numpy()
    return values.cast(pl.Int32).fill_null(-1).to_numpy()


_LETTERS: Final = {letter: place for place, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}


def _since(members: pl.DataFrame) -> pl.DataFrame:
    """Add the since-columns to members sorted by member and known_on: looks back at earlier versions only."""
    members = members.with_columns(unable=pl.col("labour").is_in(["lost", "none"]))
    first = pl.col("member_id") != pl.col("member_id").shift(1, fill_value="")
    for since, state in _STATES.items():
        begins = (
            pl.when(first)
            .then(0)
            .when(pl.col(state) != pl.col(state).shift(1))
            .then(pl.col("known_on").to_physical())
        )
        members = members.with_columns(begins.cast(pl.Int32).alias(since)).with_columns(
            pl.col(since).forward_fill()
        )
    return members


# ------------------------------------------------------------------------------------------------------------
# One household now: from lists of dicts, without frames.

_CODES: Final = {
    (table.name, column.name): {code: place for place, code in enumerate(column.codes)}
    for table in TABLES.values()
    for column in table.columns
    if column.kind == "code" and column.codes is not None
}


@lru_cache(maxsize=65536)
def _day(text: str | dt.date) -> int:
    day = text if isinstance(text, dt.date) else dt.date.fromisoformat(text)
    return day.toordinal() - _EPOCH


@lru_cache(maxsize=65536)
def _birth(text: str | dt.date) -> int:
    day = text if isinstance(text, dt.date) else dt.date.fromisoformat(text)
    return day.year * 10000 + day.month * 100 + day.day


def prepare_records(records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Prepared:
    """The same from lists of dicts, one list a table (an absent key is an absent table): for one household,
    or a few, now.

    Values as in JSON: ISO dates (or `date`), codes as text, numbers, booleans; optional ones absent or None.
    It trusts that they keep the contract (the scoring gate and `tables_of` check); a code, date or number
    that cannot be read raises DataError. `members` must hold every version of everybody who was ever a
    member, as `Tables.of_households` gives them.
    """
    try:
        return _prepare_records(records)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            Fault(
                "records",
                f"{type(error).__name__}: {error}",
                "rows that keep the data contract",
                "Check them with `tables_of`.",
            )
        ) from error


def _prepare_records(records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Prepared:
    versions = {name: _versions(name, records[name]) for name in TABLE_NAMES if name in records}
    households = versions["households"]
    ids = sorted({row["household_id"] for row, _ in households})
    place_of_household = {name: place for place, name in enumerate(ids)}
    members = versions["members"]
    members.sort(key=lambda item: (item[0]["member_id"], _day(item[0]["known_on"])))
    persons = sorted({row["member_id"] for row, _ in members})
    place_of_person = {name: place for place, name in enumerate(persons)}
    rows: dict[str, Rows] = {}
    starts: dict[str, Starts] = {}

    own, wide = [], []
    for item in versions.get("shocks", ()):
        if item[0].get("household_id") is not None:
            own.append(item)
        elif item[0].get("area_code") is not None:
            wide.append(item)
    event_areas = sorted({row["area_code"] for row, _ in wide})
    place_of_events = {code: place for place, code in enumerate(event_areas)}
    wide.sort(
        key=lambda item: (
            item[0]["area_code"],
            _day(item[0]["occurred_on"]),
            _day(item[0]["known_on"]),
            item[0]["event_id"],
        )
    )
    rows["area_shocks"] = np.array(
        [_shock(row, end, _SCOPE_OF[len(row["area_code"])]) for row, end in wide], SHAPES["shocks"]
    )
    starts["area_shocks"] = _count([place_of_events[row["area_code"]] for row, _ in wide], len(event_areas))

    areas = {
        name: sorted({row[f"{name}_code"] for row, _ in households})
        for name in ("village", "township", "county")
    }
    place_of_area = {name: {code: place for place, code in enumerate(codes)} for name, codes in areas.items()}
    households.sort(key=lambda item: (item[0]["household_id"], _day(item[0]["known_on"])))
    rows["households"] = np.array(
        [
            (
                _money(row.get("cultivated_land_mu")),
                _money(row.get("distance_km")),
                _day(row["known_on"]),
                end,
                *(place_of_area[name][row[f"{name}_code"]] for name in ("village", "township", "county")),
                *(place_of_events.get(row[f"{name}_code"], -1) for name in ("village", "township", "county")),
                _CATEGORY[row["category"]],
                _flag(row["relocated"]),
                _GRADE[row.get("housing_grade")],
                _flag(row.get("safe_water")),
            )
            for row, end in households
        ],
        SHAPES["households"],
    )
    starts["households"] = _count(
        [place_of_household[row["household_id"]] for row, _ in households], len(ids)
    )

    people = []
    before: Mapping[str, Any] | None = None
    states_before = (False, False, False, False)
    since = [0, 0, 0, 0]
    for row, end in members:
        states = (row["seriously_ill"], row["chronic_ill"], row["dibao"], row["labour"] in ("lost", "none"))
        if before is None or before["member_id"] != row["member_id"]:
            since = [0, 0, 0, 0]
        else:
            known = _day(row["known_on"])
            since = [
                known if now != then else day
                for now, then, day in zip(states, states_before, since, strict=True)
            ]
        before, states_before = row, states
        if row["household_id"] in place_of_household:
            people.append((row["household_id"], row, end, since))
    people.sort(key=lambda item: item[0])  # stable: members and versions stay in order
    rows["members"] = np.array(
        [
            (
                _day(row["known_on"]),
                end,
                NEVER if row.get("left_on") is None else _day(row["left_on"]),
                _birth(row["birth_date"]),
                place_of_person[row["member_id"]],
                *days,
                *_NO_ROWS,
                _SEX[row["sex"]],
                _RELATION[row["relation"]],
                _EDUCATION[row["education"]],
                _SCHOOLING[row["schooling"]],
                _flag(row["chronic_ill"]),
                _flag(row["seriously_ill"]),
                _LABOUR[row["labour"]],
                _flag(row["medical_insured"]),
                _flag(row["pension_insured"]),
                _flag(row["dibao"]),
                _flag(row["tekun"]),
            )
            for _, row, end, days in people
        ],
        SHAPES["members"],
    )
    starts["members"] = _count([place_of_household[name] for name, _, _, _ in people], len(ids))

    for name in (*OF_HOUSEHOLD, *OF_PERSON):
        items = own if name == "shocks" else versions.get(name, [])
        owner, place_of = (
            ("member_id", place_of_person) if name in OF_PERSON else ("household_id", place_of_household)
        )
        kept = [(place_of[row[owner]], row, end) for row, end in items if row[owner] in place_of]
        if name == "guarantees":
            kept.sort(key=lambda item: (item[0], _day(item[1]["known_on"])))
        else:
            kept.sort(
                key=lambda item: (
                    item[0],
                    _day(item[1]["occurred_on"]),
                    _day(item[1]["known_on"]),
                    item[1]["event_id"],
                )
            )
        make = _MAKERS[name]
        if name in OF_PERSON:
            made = [make(row, end, place) for place, row, end in kept]
        elif name == "income":
            made = [make(row, end, place_of_person.get(row.get("member_id"), -1)) for _, row, end in kept]
        else:
            made = [make(row, end, 0) for _, row, end in kept]
        rows[name] = np.array(made, SHAPES[name])
        starts[name] = _count([place for place, _, _ in kept], len(place_of))
    return Prepared(
        household_id=np.array(ids, dtype=object),
        villages=tuple(areas["village"]),
        townships=tuple(areas["township"]),
        counties=tuple(areas["county"]),
        rows=rows,
        starts=starts,
        present=frozenset(versions),
    )


def _versions(name: str, records: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], int]]:
    """Rows with the day on which each is replaced: the known_on of the next row of the same key. Exact
    duplicates count once.
    """
    key = TABLES[name].key
    newest: dict[str, list[Mapping[str, Any]]] = {}
    for row in records:
        newest.setdefault(row[key], []).append(row)
    found = []
    for same in newest.values():
        if len(same) == 1:
            found.append((same[0], NEVER))
            continue
        same.sort(key=lambda row: _day(row["known_on"]))
        same = [
            row
            for row, after in zip(same, [*same[1:], None], strict=True)
            if after is None or row["known_on"] != after["known_on"]
        ]
        ends = [_day(row["known_on"]) for row in same[1:]] + [NEVER]
        found.extend(zip(same, ends, strict=True))
    return found


def _count(places: Sequence[int], owners: int) -> Starts:
    starts = np.zeros(owners + 1, np.int64)
    for place in places:
        starts[place + 1] += 1
    return starts if owners < 1 else np.cumsum(starts)


def _flag(value: bool | None) -> int:
    return -1 if value is None else int(value)


def _money(value: float | None) -> float:
    return np.nan if value is None else value


def _end(value: Any) -> int:
    return NEVER if value is None else _day(value)


def _letter(value: str | None) -> int:
    return -1 if value is None else _LETTERS.get(value.strip().upper()[:1], -1)


def _lookup(table: str, column: str) -> Mapping[Any, int]:
    return {**_CODES[table, column], None: -1}


_CATEGORY: Final = _lookup("households", "category")
_GRADE: Final = _lookup("households", "housing_grade")
_SEX: Final = _lookup("members", "sex")
_RELATION: Final = _lookup("members", "relation")
_EDUCATION: Final = _lookup("members", "education")
_SCHOOLING: Final = _lookup("members", "schooling")
_LABOUR: Final = _lookup("members", "labour")
_SOURCE: Final = _lookup("income", "source")
_PURPOSE: Final = _lookup("expenditure", "purpose")
_VISIT: Final = _lookup("medical", "kind")
_DISABILITY: Final = _lookup("disability", "kind")
_PLACE: Final = _lookup("employment", "place")
_CHANNEL: Final = _lookup("employment", "channel")
_SHOCK: Final = _lookup("shocks", "kind")
_MEASURE: Final = _lookup("assistance", "measure")
_LEAD: Final = _lookup("leads", "channel")
_SCOPE: Final = _lookup("authorisations", "scope")
_ASSET: Final = _lookup("assets", "kind")
_ORIGIN: Final = _lookup("verifications", "origin")
_OUTCOME: Final = _lookup("verifications", "outcome")


def _shock(row: Mapping[str, Any], end: int, scope: int) -> tuple[Any, ...]:
    return (
        _money(row.get("loss")),
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        _SHOCK[row["kind"]],
        scope,
    )


# Each in the order of the fields in SHAPES; the third argument is the person where the record has one.
_MAKERS: Final[Mapping[str, Callable[[Mapping[str, Any], int, int], tuple[Any, ...]]]] = {
    "income": lambda row, end, person: (
        row["amount"],
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        person,
        _SOURCE[row["source"]],
    ),
    "expenditure": lambda row, end, _: (
        row["amount"],
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        _PURPOSE[row["purpose"]],
    ),
    "medical": lambda row, end, person: (
        row["total_cost"],
        row["reimbursed"],
        row["self_paid"],
        _money(row.get("compliant_self_paid")),
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        person,
        -1 if row.get("hospital_days") is None else row["hospital_days"],
        _VISIT[row["kind"]],
        _letter(row.get("diagnosis_group")),
    ),
    "disability": lambda row, end, person: (
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        _end(row.get("valid_until")),
        person,
        _DISABILITY[row["kind"]],
        row["level"],
    ),
    "employment": lambda row, end, person: (
        _money(row.get("monthly_wage")),
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        person,
        _flag(row["employed"]),
        _PLACE[row.get("place")],
        _CHANNEL[row.get("channel")],
    ),
    "shocks": _shock,
    "guarantees": lambda row, end, _: (
        _day(row["known_on"]),
        end,
        _flag(row["food_clothing_ok"]),
        _flag(row["schooling_ok"]),
        _flag(row["insured_ok"]),
        _flag(row["housing_ok"]),
        _flag(row["water_ok"]),
    ),
    "assistance": lambda row, end, _: (
        _money(row.get("amount")),
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        _end(row.get("ended_on")),
        _MEASURE[row["measure"]],
    ),
    "leads": lambda row, end, _: (
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        _LEAD[row["channel"]],
    ),
    "authorisations": lambda row, end, _: (
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        _end(row.get("revoked_on")),
        _SCOPE[row["scope"]],
    ),
    "assets": lambda row, end, _: (
        _money(row.get("value")),
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        _ASSET[row["kind"]],
    ),
    "verifications": lambda row, end, _: (
        _day(row["occurred_on"]),
        _day(row["known_on"]),
        end,
        _ORIGIN[row["origin"]],
        _OUTCOME[row["outcome"]],
    ),
}
