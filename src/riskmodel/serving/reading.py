"""The tables of a scoring request, from bytes to rows for the feature kernel, where they are plainly right.

One compiled walk reads, checks and lays out what the contract asks for. Whatever is not plainly right (an escape in a text, another form of a
number, a row twice, a fault) is left to the slow way, which knows all the rules and says what is wrong; both ways give the same rows, and
the tests compare them byte by byte.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from riskmodel.features.lives import may_contradict
from riskmodel.features.prepared import Prepared
from riskmodel.features.rows import NEVER, OF_PERSON, SHAPES
from riskmodel.serving import reading_kernels as kernels
from riskmodel.tables.identity import NAME_LIKE, PHONE_LIKE
from riskmodel.tables.schema import TABLES, Column

MONEY_AT_MOST: Final = 1e10
INTEGER_AT_MOST: Final = 100_000
READ: Final = tuple(name for name, table in TABLES.items() if table.form != "values")
_STATES: Final = ("seriously_ill", "chronic_ill", "dibao")
_TENS: Final = np.array([10.0**power for power in range(23)])


@dataclass(frozen=True)
class Household:
    """One household of a request: its id and the village of its newest row."""

    household_id: str
    village_code: str


@dataclass(frozen=True)
class ReadRows:
    """What was read: rows ready for the features, whose they are, and how many. households: in the order of `prepared.household_id`."""

    prepared: Prepared
    households: tuple[Household, ...]
    rows: int


class _Layout:
    """The contract as arrays for the kernels; made once."""

    def __init__(self) -> None:
        pool = bytearray()

        def put(text: str) -> tuple[int, int]:
            start = len(pool)
            pool.extend(text.encode())
            return start, len(pool)

        tables = [TABLES[name] for name in READ]
        columns = [(table.name, column) for table in tables for column in table.columns]
        self.width = max(len(table.columns) for table in tables)
        ends = np.cumsum([len(table.columns) for table in tables])
        names = np.array([put(table.name) for table in tables])
        keys = np.array([put(column.name) for _, column in columns])
        codes = [put(code) for _, column in columns for code in column.codes or ()]
        code_ends = np.cumsum([len(column.codes or ()) for _, column in columns])
        bounds = [_bounds(column) for _, column in columns]
        parts_of: tuple[npt.NDArray[Any], ...] = (
            np.frombuffer(bytes(pool), np.uint8),
            names[:, 0], names[:, 1], ends - [len(table.columns) for table in tables], ends, keys[:, 0].copy(), keys[:, 1].copy(),
            np.array([_kind(column) for _, column in columns], np.int64),
            np.array([column.optional for _, column in columns], np.bool_),
            code_ends - [len(column.codes or ()) for _, column in columns], code_ends,
            np.array([start for start, _ in codes], np.int64), np.array([stop for _, stop in codes], np.int64),
            np.array([low for low, _ in bounds], np.float64), np.array([high for _, high in bounds], np.float64),
        )  # fmt: skip
        self.shape = tuple(np.ascontiguousarray(part) for part in parts_of)

        def places(name: str) -> npt.NDArray[np.int64]:
            return np.array(
                [table.names.index(name) if name in table.names else -1 for table in tables], np.int64
            )

        self.key, self.known, self.occurred = (
            np.array([table.names.index(table.key) for table in tables], np.int64), places("known_on"), places("occurred_on"),
        )  # fmt: skip
        self.household, self.member = places("household_id"), places("member_id")
        self.in_order = np.array(
            [table.form == "event" and not table.announced for table in tables], np.int64
        )
        self.by_event = np.array([table.form == "event" for table in tables], np.int64)
        self.households, self.members, self.shocks = (
            READ.index(name) for name in ("households", "members", "shocks")
        )
        self.areas = np.array(
            [TABLES["households"].names.index(f"{name}_code") for name in ("county", "township", "village")]
        )
        members = TABLES["members"]
        self.birth = members.names.index("birth_date")
        self.states = np.array([members.names.index(name) for name in _STATES])
        self.labour = members.names.index("labour")
        self.unable_from = list(members.column("labour").codes or ()).index("lost")
        self.area = TABLES["shocks"].names.index("area_code")
        self.owner = np.array([1 if name in OF_PERSON else 0 for name in READ] + [2], np.int64)
        slots = [*READ, "shocks"]
        fields = [(slot, name) for slot, table in enumerate(slots) for name in SHAPES[table].names or ()]
        fields = [(slot, name) for slot, name in fields if _source(slots[slot], name) is not None]
        self.first = np.searchsorted([slot for slot, _ in fields], np.arange(len(slots)))
        self.last = np.append(self.first[1:], len(fields))
        kinds = {"f8": 0, "i4": 1, "i1": 2}
        parts: list[tuple[int, int, int, int]] = []
        for slot, name in fields:
            kind, offset = SHAPES[slots[slot]].fields[name][:2]  # type: ignore[index]
            column = next((item for item in TABLES[slots[slot]].columns if item.name == name), None)
            date = 2 if name == "birth_date" else 1 if column is not None and column.kind == "date" else 0
            source = _source(slots[slot], name)
            assert source is not None
            parts.append((offset, kinds[kind.str[1:]], source, date))
        self.offset, self.type, self.source, self.date = (
            np.ascontiguousarray(part) for part in np.array(parts, np.int64).T
        )
        self.sizes = np.array([SHAPES[table].itemsize for table in slots], np.int64)
        self.slots = slots


def _kind(column: Column) -> int:
    match column.kind:
        case "id":
            return {"household_id": kernels.ID_HOUSEHOLD, "member_id": kernels.ID_MEMBER}.get(
                column.name, kernels.ID_EVENT
            )
        case "money" | "number":
            return kernels.MONEY
        case "text":
            return kernels.LETTER if column.name == "diagnosis_group" else kernels.TEXT
        case kind:
            return int(getattr(kernels, kind.upper()))


def _bounds(column: Column) -> tuple[float, float]:
    if column.kind == "area":
        return min(column.digits), max(column.digits)
    if column.kind == "integer":
        return (1, 4) if column.name == "level" else (0, INTEGER_AT_MOST)
    return 0, MONEY_AT_MOST


def _source(table: str, name: str) -> int | None:
    """Where a field of a record comes from: a column of its table, or what is worked out."""
    if name in TABLES[table].names:
        return TABLES[table].names.index(name)
    worked_out = {"replaced_on": kernels.REPLACED, "person": kernels.PERSON, "scope": kernels.SCOPE}
    areas = ("village", "township", "county", "village_events", "township_events", "county_events")
    if name in areas:
        return kernels.PLACE - areas.index(name)
    states = [f"{state}_since" for state in (*_STATES, "unable")]
    if name in states:
        return kernels.SINCE - states.index(name)
    return worked_out.get(name)


@lru_cache(maxsize=1)
def layout() -> _Layout:
    """The contract as arrays."""
    return _Layout()


def read_rows(body: bytes, at: int = 0) -> tuple[ReadRows, int] | None:
    """Rows of the JSON object of tables that begins at `at`, and the place behind it; None where they are not plainly right."""
    shape = layout()
    data = np.frombuffer(body, np.uint8)
    most = len(body) // 40 + 16
    cells = np.empty((most, shape.width))
    row_table, keyed = np.empty(most, np.int64), np.empty(most, np.int64)
    most_ids = 2 * most + 16
    starts, stops, spaces = (
        np.empty(most_ids, np.int64),
        np.empty(most_ids, np.int64),
        np.empty(most_ids, np.int64),
    )
    slots = np.full(1 << (2 * most_ids).bit_length(), -1, np.int32)
    hard, texts = np.empty((most, 4), np.int64), np.empty((most, 2), np.int64)
    of_table = np.full((len(READ), 2), -1, np.int64)
    counts = np.zeros(4, np.int64)
    end = kernels.read(
        data, at, *shape.shape, shape.key, shape.known, _TENS,
        cells, row_table, keyed, starts, stops, spaces, slots, hard, texts, of_table, counts,
    )  # fmt: skip
    if end < 0:
        return None
    rows, ids, hards, looks = counts.tolist()
    if (
        of_table[shape.households, 0] == of_table[shape.households, 1]
        or of_table[shape.members, 0] == of_table[shape.members, 1]
    ):
        return None
    for row, column, start, stop in hard[:hards].tolist():
        value = float(body[start:stop])
        if not value <= MONEY_AT_MOST:
            return None
        cells[row, column] = value
    if looks and not all(map(_harmless, {body[start:stop] for start, stop in texts[:looks].tolist()})):
        return None
    replaced = np.empty(rows, np.int64)
    defined, head = np.zeros(ids, np.int8), np.full(ids, -1, np.int64)
    if not kernels.judge(
        cells, row_table, keyed, of_table, rows, shape.household, shape.member, shape.occurred, shape.known, shape.in_order,
        shape.households, shape.members, shape.shocks, shape.areas, shape.birth, shape.area, defined, head, np.empty(rows, np.int64),
        replaced, NEVER,
    ):  # fmt: skip
        return None
    prepared, households = _laid_out(
        shape, body, data, cells, row_table, keyed, starts, stops, spaces[:ids], of_table, replaced, defined
    )
    if prepared is None or may_contradict(prepared):
        return None
    return ReadRows(prepared, households, rows), end


def _laid_out(
    shape: _Layout,
    body: bytes,
    data: npt.NDArray[np.uint8],
    cells: npt.NDArray[np.float64],
    row_table: npt.NDArray[np.int64],
    keyed: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    spaces: npt.NDArray[np.int64],
    of_table: npt.NDArray[np.int64],
    replaced: npt.NDArray[np.int64],
    defined: npt.NDArray[np.int8],
) -> tuple[Prepared | None, tuple[Household, ...]]:
    """Records of everything that was read and judged."""
    rank = np.full(len(spaces), -1, np.int64)
    names: list[list[bytes]] = []
    for space in (0, 1):
        numbers = np.flatnonzero((spaces == space) & (defined == 1)).tolist()
        named = sorted((body[starts[number] : stops[number]], number) for number in numbers)
        names.append([name for name, _ in named])
        rank[[number for _, number in named]] = np.arange(len(named))
    first, last = of_table[shape.households].tolist()
    places = np.empty((last - first, 6), np.int64)
    wide: list[int] = []
    wide_place = np.zeros(0, np.int64)
    if of_table[shape.shocks, 0] >= 0:
        start, stop = of_table[shape.shocks].tolist()
        owned, codes = cells[start:stop, shape.household[shape.shocks]], cells[start:stop, shape.area]
        given = [
            int(code) if owner != owner else 0
            for owner, code in zip(owned.tolist(), codes.tolist(), strict=True)
        ]
        wide = sorted({code for code in given if code}, key=str)
        place_of = {code: place for place, code in enumerate(wide)}
        wide_place = np.array([place_of.get(code, -1) for code in given], np.int64)
    events = {code: place for place, code in enumerate(wide)}
    areas: list[tuple[str, ...]] = []
    newest: dict[int, tuple[float, int]] = {}
    for level in range(3):
        codes_of = [int(code) for code in cells[first:last, shape.areas[2 - level]].tolist()]
        known = sorted(set(codes_of))
        place_of = {code: place for place, code in enumerate(known)}
        areas.append(tuple(map(str, known)))
        for row, code in enumerate(codes_of):
            places[row, level], places[row, 3 + level] = place_of[code], events.get(code, -1)
        if level == 0:
            owner = rank[cells[first:last, shape.household[shape.households]].astype(np.int64)].tolist()
            for place, day, code in zip(
                owner, cells[first:last, shape.known[shape.households]].tolist(), codes_of, strict=True
            ):
                if place not in newest or newest[place][0] < day:
                    newest[place] = (day, code)
    begin, end = of_table[shape.members].tolist()
    since = np.empty((end - begin, 4), np.int64)
    kernels.since(
        cells, begin, end, rank, shape.member[shape.members], shape.known[shape.members], shape.states, shape.labour, shape.unable_from, since
    )  # fmt: skip
    heights = np.append(np.maximum(of_table[:, 1] - of_table[:, 0], 0), len(wide_place))
    offsets = np.concatenate([[0], np.cumsum(heights * shape.sizes + 7 & ~7)])
    people, own = len(names[1]), len(names[0])
    owners = [(own, people, len(wide))[kind] for kind in shape.owner.tolist()]
    begins = np.concatenate([[0], np.cumsum(np.array(owners) + 1)])
    buffer, counted = np.zeros(int(offsets[-1]) + 8, np.uint8), np.zeros(int(begins[-1]), np.int64)
    if not kernels.build(
        data, cells, row_table, keyed, starts, stops, of_table, replaced, rank, shape.household, shape.member, shape.occurred, shape.known,
        shape.owner, shape.by_event, shape.households, shape.members, shape.shocks, shape.area, places, wide_place, since,
        shape.first, shape.last, shape.offset, shape.type, shape.source, shape.date, shape.sizes, offsets, begins, NEVER,
        buffer.view(np.float64), buffer.view(np.int32), buffer.view(np.int8), counted,
    ):  # fmt: skip
        return None, ()
    records: dict[str, Any] = {}
    first_of: dict[str, Any] = {}
    for slot, (offset, (begun, ended)) in enumerate(
        zip(offsets.tolist(), pairwise(begins.tolist()), strict=False)
    ):
        name = shape.slots[slot] if slot < len(READ) else "area_shocks"
        first_of[name] = counted[begun:ended]
        records[name] = np.frombuffer(buffer, SHAPES[shape.slots[slot]], int(counted[ended - 1]), offset)
    prepared = Prepared(
        household_id=np.array([name.decode() for name in names[0]], dtype=object),
        villages=areas[0],
        townships=areas[1],
        counties=areas[2],
        rows=records,
        starts=first_of,
        present=frozenset(
            name for name, (start, _) in zip(READ, of_table.tolist(), strict=True) if start >= 0
        ),
    )
    return prepared, tuple(
        Household(name.decode(), str(newest[place][1])) for place, name in enumerate(names[0])
    )


_LONG_NUMBER: Final = re.compile(r"\d{15}")


@lru_cache(maxsize=8192)
def _harmless(text: bytes) -> bool:
    """Whether a text that is not plain ASCII is as the contract wants it, and can be nobody's name or number."""
    try:
        said = text.decode()
    except UnicodeDecodeError:
        return False
    plain = unicodedata.normalize("NFKC", said)
    return (
        0 < len(said) <= 200
        and plain == said
        and said.strip() == said
        and said.isprintable()
        and not _LONG_NUMBER.search(said)
        and not PHONE_LIKE.search(said)
        and not said.startswith("#")
        and not NAME_LIKE.fullmatch(said)
    )


def warm_up() -> None:
    """Compile the kernels, or load them from the cache, by reading two invented households."""
    rows = (
        b'{"households":[{"household_id":"h%d","known_on":"2025-01-01","county_code":"100000","township_code":"100000001",'
        b'"village_code":"100000001001","category":"lifted","relocated":false}],"members":[{"member_id":"m1","known_on":"2025-01-01",'
        b'"household_id":"h%d","birth_date":"1980-01-01","sex":"male","relation":"head","education":"primary","schooling":"none",'
        b'"chronic_ill":false,"seriously_ill":false,"labour":"ordinary","medical_insured":true,"pension_insured":true,"dibao":false,'
        b'"tekun":false}],"shocks":[{"event_id":"s1","area_code":"100000","occurred_on":"2025-01-01","known_on":"2025-01-01","kind":"flood"}]}'
    )
    found = read_rows(rows % (1, 1))
    assert found is not None
