"""Decoded rows of a request as `Prepared`, the shape that the features read: columns taken out of the rows,
checked whole, laid out by a kernel."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final

import numpy as np
from msgspec import Struct
from msgspec.structs import astuple

from riskmodel.features.lives import may_contradict
from riskmodel.features.prepared import Prepared
from riskmodel.features.rows import OF_PERSON, SHAPES
from riskmodel.serving import layout_kernel
from riskmodel.serving.row_types import ABSENT, READ, TEXT_AT_MOST
from riskmodel.tables.identity import NAME_LIKE, PHONE_LIKE
from riskmodel.tables.records import MAYBE_IDENTITY
from riskmodel.tables.schema import FIRST_DAY, LAST_DAY, TABLES, Column, Table, is_id

Rows = Sequence[Struct]
LEVELS: Final = ("village", "township", "county")
STATES: Final = ("seriously_ill", "chronic_ill", "dibao", "labour")
SCOPE_OF_DIGITS: Final = {12: 1, 9: 2, 6: 3}
KINDS: Final = (*READ, "area_shocks")
RISK_KINDS: Final = frozenset(TABLES["verifications"].column("risk_kinds").codes or ())
_LONG_NUMBER: Final = re.compile(r"\d{15}")
_WORKED_OUT: Final = {
    "replaced_on": layout_kernel.REPLACED,
    "person": layout_kernel.PERSON,
    "scope": layout_kernel.SCOPE,
}
_AREAS: Final = (*LEVELS, *(f"{level}_events" for level in LEVELS))
_SINCE: Final = ("seriously_ill_since", "chronic_ill_since", "dibao_since", "unable_since")


class InDoubt(Exception):
    """These rows are not plainly right: the full checks decide."""


@dataclass(frozen=True)
class Household:
    """One household of a request: its id and the village of its newest row."""

    household_id: str
    village_code: str


@dataclass(frozen=True)
class LaidOut:
    """prepared: rows ready for the features. households: in the order of `prepared.household_id`. rows:
    how many were received.

    keys: how many keys the rows have; colons: how many colons are inside their ids and texts. They show
    whether a key came twice.
    """

    prepared: Prepared
    households: tuple[Household, ...]
    rows: int
    keys: int
    colons: int


def cell_columns(table: Table) -> list[Column]:
    """The columns of a table that become cells, in order: all but ids of events, area codes and texts; a
    diagnosis group becomes its letter."""
    return [
        c
        for c in table.columns
        if (c.kind not in ("area", "text", "codes") and c.name != "event_id") or c.name == "diagnosis_group"
    ]


@cache
def _take_cells(name: str) -> Callable[[Rows, list[Any], Mapping[Any, Any], Mapping[Any, Any]], None]:
    """A function of a table's rows, a list and the positions of households and members: adds the rows'
    cells to the list, column by column.

    It is written out for the table, because looking up each name for each cell would take most of the time.
    """
    lines = ["def take(rows, cells, household_id, member_id):"]
    for column in cell_columns(TABLES[name]):
        value = f"row.{column.name}"
        absent = "value if (value := {0}) is ABSENT or value is None else {1}"
        if column.kind == "date":
            value = absent.format(value, "value.toordinal()") if column.optional else f"{value}.toordinal()"
        elif column.kind == "id":
            value = f"{column.name}.get({value}, -1)"
        elif column.kind == "text":
            value = absent.format(value, "letter_of(value)")
        lines.append(f"    cells += [{value} for row in rows]")
    scope: dict[str, Any] = {"ABSENT": ABSENT, "letter_of": letter_of}
    exec("\n".join(lines), scope)  # names of the contract only, nothing of the request
    take: Callable[[Rows, list[Any], Mapping[Any, Any], Mapping[Any, Any]], None] = scope["take"]
    return take


class _Contract:
    """The contract as arrays for the kernel."""

    def __init__(self) -> None:
        tables = [TABLES[name] for name in READ]
        place = [{column.name: cell for cell, column in enumerate(cell_columns(table))} for table in tables]
        fields: list[tuple[int, int, int, int]] = []
        kinds: list[tuple[int, int, int, int, int]] = []
        for kind in KINDS:
            name = "shocks" if kind == "area_shocks" else kind
            number, shape, first = READ.index(name), SHAPES[name], len(fields)
            for field in shape.names or ():
                if field.endswith(("_start", "_end")):  # filled in when the rows are cut at a day
                    continue
                dtype, offset = shape.fields[field][:2]  # type: ignore[index]
                dated = field in place[number] and TABLES[name].column(field).kind == "date"
                form = (
                    layout_kernel.BIRTH
                    if field == "birth_date"
                    else layout_kernel.DAY
                    if dated
                    else layout_kernel.NUMBER
                )
                fields.append((offset, dtype.itemsize, _source(field, place[number]), form))
            owner = 2 if kind == "area_shocks" else 1 if kind in OF_PERSON else 0
            kinds.append((number, owner, shape.itemsize, first, len(fields)))
        columns = ("known_on", "occurred_on", "household_id", "member_id")
        self.sizes = np.array([size for _, _, size, _, _ in kinds], np.int64)
        self.owners = [owner for _, owner, _, _, _ in kinds]
        unable_from = list(TABLES["members"].column("labour").codes or ()).index("lost")
        self.arrays = layout_kernel.Contract(
            tables=np.array(
                [
                    (*(cells.get(column, -1) for column in columns), int(table.form == "event"))
                    for table, cells in zip(tables, place, strict=True)
                ],
                layout_kernel.TABLE,
            ),
            kinds=np.array(kinds, layout_kernel.KIND),
            fields=np.array(fields, layout_kernel.FIELD),
            pairs=np.array(
                [
                    (n, place[n][one], place[n][other])
                    for n, table in enumerate(tables)
                    for one, other in table.in_order
                ],
                np.int64,
            ),
            dates=np.array(
                [
                    (n, place[n][c.name])
                    for n, table in enumerate(tables)
                    for c in table.columns
                    if c.kind == "date"
                ],
                np.int64,
            ),
            states=np.array(
                [*(place[READ.index("members")][state] for state in STATES), unable_from], np.int64
            ),
            named=np.array([READ.index(name) for name in ("households", "members", "shocks")], np.int64),
            years=np.array([FIRST_DAY.toordinal(), LAST_DAY.toordinal()], np.int64),
        )


def _source(field: str, cells: Mapping[str, int]) -> int:
    """Where a field of a record comes from: a column of the cells, or what is worked out."""
    if field in cells:
        return cells[field]
    if field in _AREAS:
        return layout_kernel.AREA - _AREAS.index(field)
    if field in _SINCE:
        return layout_kernel.SINCE - _SINCE.index(field)
    return _WORKED_OUT[field]


@lru_cache(maxsize=1)
def contract() -> _Contract:
    """The contract as arrays, made once."""
    return _Contract()


class _Taken:
    """What is taken out of the rows of a request. Raises InDoubt for a member who never lived in one of
    its households."""

    def __init__(self, tables: Mapping[str, Rows]) -> None:
        rows = tables["members"]
        self.homes = sorted({row.household_id for row in tables["households"]})  # type: ignore[attr-defined]
        self.people = sorted({row.member_id for row in rows})  # type: ignore[attr-defined]
        self.elsewhere = sorted({row.household_id for row in rows} - set(self.homes))  # type: ignore[attr-defined]
        if self.elsewhere:
            others = set(self.elsewhere)
            here = {row.member_id for row in rows if row.household_id not in others}  # type: ignore[attr-defined]
            if len(here) < len(self.people):
                raise InDoubt
        missing = {ABSENT: ABSENT, None: None}
        homes: dict[Any, Any] = missing | {name: place for place, name in enumerate(self.homes)}
        people: dict[Any, Any] = missing | {name: place for place, name in enumerate(self.people)}
        self.cells: list[Any] = []
        self.ids: list[str] = []
        self.keys: list[int] = []
        self.texts: set[tuple[str, Any]] = set()
        self.absent = self.rows = self.columns = 0
        parts = []
        for name in READ:
            some, table = tables.get(name, ()), TABLES[name]
            part = [len(some), len(self.cells), self.rows, len(self.ids), -1]
            if some:
                self.rows += len(some)
                self.columns += len(some) * len(table.columns)
                _take_cells(name)(some, self.cells, homes, people)
                if table.form == "event":
                    part[-1] = self._take_ids([row.event_id for row in some])  # type: ignore[attr-defined]
                self._take_texts(table, some)
            parts.append(tuple(part))
        self.parts = np.array(parts, layout_kernel.PART)

    def _take_ids(self, ids: list[str]) -> int:
        """Keep event ids; where some are used more than once (corrections) a number for each as key.
        Returns the place of the first key, or -1."""
        self.ids += ids
        if len(set(ids)) == len(ids):
            return -1
        first, numbers = len(self.keys), dict[str, int]()
        self.keys += [numbers.setdefault(name, len(numbers)) for name in ids]
        return first

    def _take_texts(self, table: Table, rows: Rows) -> None:
        """Keep the different texts, and count what is absent among the columns that are no cells."""
        for column in table.columns:
            if column.kind in ("text", "codes"):
                values = list(map(attrgetter(column.name), rows))
                self.texts.update(
                    (column.kind, value) for value in set(values) if value is not None and value is not ABSENT
                )
                if column.name != "diagnosis_group":
                    self.absent += len([value for value in values if value is ABSENT])
            elif column.kind == "area" and column.optional:
                self.absent += len([row for row in rows if getattr(row, column.name) is ABSENT])

    def numbers(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The cells as an array, NaN for what is missing; counts what is absent."""
        nulls = 0
        try:
            cells = np.fromiter(self.cells, np.float64, len(self.cells))
        except TypeError:  # a null somewhere
            nulls = len([cell for cell in self.cells if cell is None])
            cells = np.array([ABSENT if cell is None else cell for cell in self.cells], np.float64)
        self.absent += int(np.isnan(cells).sum()) - nulls
        return cells


def lay_out(tables: Mapping[str, Rows], *, checked: bool = False, by_id: bool = False) -> LaidOut:
    """Rows by table (an absent key is an absent table) as `Prepared`.

    checked: the full checks have accepted these rows; of rows with the same key and day known, which they
    have compared, one counts.
    by_id: rows of events are in the order of their ids.
    Raises InDoubt where something is not certainly valid: an id or a text that needs the full checks, an
    owner that is not there, two rows in one.
    """
    taken = _Taken(tables)
    ids, ends = _ids(taken, checked=checked)
    if not checked and not all(harmless(kind, text) for kind, text in taken.texts):
        raise InDoubt
    areas = _Areas(tables)
    columns = layout_kernel.Columns(
        parts=taken.parts,
        cells=taken.numbers(),
        keys=np.array(taken.keys, np.int64),
        ids=ids[:0] if by_id else ids,
        id_ends=ends,
        areas=areas.places,
        wide=areas.wide,
        checked=checked,
    )
    status, rows, starts = _records(columns, [len(taken.homes), len(taken.people), areas.events])
    if status == layout_kernel.IN_DOUBT:
        raise InDoubt
    if status == layout_kernel.TWICE:
        laid_out = lay_out(
            {name: _once(name, some, checked=checked) for name, some in tables.items()},
            checked=checked,
            by_id=by_id,
        )
    elif status == layout_kernel.MANY_TIES:
        laid_out = lay_out(
            {name: _by_id(name, some) for name, some in tables.items()}, checked=checked, by_id=True
        )
    else:
        prepared = Prepared(
            household_id=np.array(taken.homes, dtype=object),
            villages=areas.names["village"],
            townships=areas.names["township"],
            counties=areas.names["county"],
            rows=rows,
            starts=starts,
            present=frozenset(tables),
        )
        if not checked and may_contradict(prepared):
            raise InDoubt
        laid_out = LaidOut(prepared, _households(taken.homes, tables["households"]), rows=0, keys=0, colons=0)
    return replace(
        laid_out, rows=taken.rows, keys=taken.columns - taken.absent, colons=_colons(taken, tables)
    )


def _ids(taken: _Taken, *, checked: bool) -> tuple[Any, Any]:
    """Bytes of all ids (those of events first), and where each ends. Raises InDoubt for one that breaks
    the id rule or may be an identity."""
    names = [*taken.ids, *taken.homes, *taken.people, *taken.elsewhere]
    text = "".join(names)
    if not text.isascii():
        raise InDoubt
    ends = np.cumsum(np.fromiter(map(len, names), np.int64, len(names)))
    data = np.frombuffer(text.encode(), np.uint8)
    for place in layout_kernel.strange_ids(data, ends).tolist():
        if not is_id(names[place]) or not (checked or MAYBE_IDENTITY.fullmatch(names[place]) is None):
            raise InDoubt
    return data, ends


class _Areas:
    """Areas of households, and those that area-wide shocks name, as positions among the sorted codes.
    Raises InDoubt for areas not nested."""

    def __init__(self, tables: Mapping[str, Rows]) -> None:
        homes: Any = tables["households"]
        codes = {
            "village": [row.village_code for row in homes],
            "township": [row.township_code for row in homes],
            "county": [row.county_code for row in homes],
        }
        for village, township, county in set(zip(*codes.values(), strict=True)):
            if not (village.startswith(township) and township.startswith(county)):
                raise InDoubt
        given: list[str | None] = []
        shocks: Any = tables.get("shocks", ())
        for row in shocks:
            if row.household_id is not None and row.household_id is not ABSENT:
                given.append(None)
            elif row.area_code is not None and row.area_code is not ABSENT:
                given.append(row.area_code)
            else:
                raise InDoubt
        events = sorted({area for area in given if area is not None})
        event: dict[Any, int] = {area: place for place, area in enumerate(events)}
        self.events = len(events)
        wide = [(event.get(area, -1), SCOPE_OF_DIGITS.get(len(area or ""), 0)) for area in given]
        self.wide = np.array(wide, np.int64).reshape(-1, 2)
        self.names = {level: tuple(sorted(set(codes[level]))) for level in LEVELS}
        places = []
        for level in LEVELS:
            place_of = {code: place for place, code in enumerate(self.names[level])}
            places.append([place_of[code] for code in codes[level]])
        places += [[event.get(code, -1) for code in codes[level]] for level in LEVELS]
        self.places = np.array(places, np.int64).T.copy()


def _households(homes: Sequence[str], rows: Any) -> tuple[Household, ...]:
    """Each household with the village of its newest row."""
    newest: dict[str, tuple[dt.date, str]] = {}
    for row in rows:
        if row.household_id not in newest or newest[row.household_id][0] < row.known_on:
            newest[row.household_id] = (row.known_on, row.village_code)
    return tuple(Household(name, newest[name][1]) for name in homes)


def _records(
    columns: layout_kernel.Columns, owners: Sequence[int]
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """(status of the kernel, records by kind, first record of each owner by kind). owners: how many
    households, persons, areas."""
    made = contract()
    heights = columns.parts["height"][made.arrays.kinds["table"]]
    at = np.zeros(len(KINDS) + 1, np.int64)
    np.cumsum(heights * made.sizes + 7 & ~7, out=at[1:])
    start_at = np.zeros(len(KINDS) + 1, np.int64)
    np.cumsum([owners[owner] + 1 for owner in made.owners], out=start_at[1:])
    buffer = np.zeros(int(at[-1]) + 8, np.uint8)
    starts = np.zeros(int(start_at[-1]), np.int64)
    records = layout_kernel.Records(
        as_f8=buffer.view(np.float64),
        as_i4=buffer.view(np.int32),
        as_i1=buffer.view(np.int8),
        at=at,
        starts=starts,
        start_at=start_at,
    )
    status = layout_kernel.lay_out(made.arrays, columns, records)
    if status != layout_kernel.DONE:
        return status, {}, {}
    rows, first = {}, {}
    for kind, offset, (begin, end) in zip(KINDS, at.tolist(), pairwise(start_at.tolist()), strict=False):
        first[kind] = starts[begin:end]
        rows[kind] = np.frombuffer(
            buffer, SHAPES["shocks" if kind == "area_shocks" else kind], int(starts[end - 1]), offset
        )
    return status, rows, first


def _once(name: str, rows: Rows, *, checked: bool) -> list[Struct]:
    """Rows of one table without exact repetitions. Raises InDoubt for two different rows with the same
    key and day known."""
    key = attrgetter(TABLES[name].key, "known_on")
    found: dict[Any, Struct] = {}
    for row in rows:
        if not checked and not _same(found.setdefault(key(row), row), row):
            raise InDoubt
        found.setdefault(key(row), row)
    return list(found.values())


def _same(one: Struct, other: Struct) -> bool:
    """Whether two rows hold the same. Absent values are NaN, which equals nothing: they are compared by
    identity, as Python does in tuples."""
    return one is other or astuple(one) == astuple(other)


def _by_id(name: str, rows: Rows) -> Rows:
    """Rows of events in the order of their ids; rows of states as they are."""
    return sorted(rows, key=attrgetter("event_id")) if TABLES[name].form == "event" else rows


def _colons(taken: _Taken, tables: Mapping[str, Rows]) -> int:
    """How many colons are inside ids and texts. All other values of the contract have none."""
    count = "".join(taken.ids).count(":")
    owners = ":" in "".join([*taken.homes, *taken.people, *taken.elsewhere])
    texts = any(":" in text for _, text in taken.texts)
    if not owners and not texts:
        return count
    for name, rows in tables.items():
        for column in TABLES[name].columns:
            if column.name in ("household_id", "member_id") or column.kind in ("text", "codes"):
                count += sum(
                    value.count(":") for value in map(attrgetter(column.name), rows) if isinstance(value, str)
                )
    return count


@lru_cache(maxsize=8192)
def harmless(kind: str, text: str) -> bool:
    """Whether a text is plainly as the contract has it: known codes where several are joined; otherwise a
    text that is nobody's name or number."""
    if kind == "codes":
        return set(text.split(";")) <= RISK_KINDS
    return (
        len(text) <= TEXT_AT_MOST
        and unicodedata.normalize("NFKC", text) == text
        and text.strip() == text
        and text.isprintable()
        and not _LONG_NUMBER.search(text)
        and not PHONE_LIKE.search(text)
        and not text.startswith("#")
        and not NAME_LIKE.fullmatch(text)
    )


@lru_cache(maxsize=8192)
def letter_of(text: str) -> int:
    """The chapter of a diagnosis group as the position of its letter, cleaned as the reader of tables
    cleans it; -1: no letter."""
    letter = unicodedata.normalize("NFKC", text).strip().upper()[:1]
    return ord(letter) - ord("A") if "A" <= letter <= "Z" else -1
