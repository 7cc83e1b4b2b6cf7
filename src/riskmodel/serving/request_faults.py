"""What is wrong with the body of a scoring request that could not be decoded: a second pass, bounded, for
people who have to mend it.

msgspec stops at the first fault. Here every value is looked at with the same types, the first faults are kept
and all are counted. A body
larger than `SEARCHED_AT_MOST` is answered with its first fault only, so that a refusal never costs more than
a right answer.
"""

from __future__ import annotations

import gc
import json
import re
import threading
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from riskmodel.errors import Fault
from riskmodel.serving.row_types import FIELDS, READ, TEXT_AT_MOST, VALUES, Text
from riskmodel.tables.identity import telling_text
from riskmodel.tables.schema import FIRST_DAY, ID_RULE, LAST_DAY, TABLES, Column

SEARCHED_AT_MOST: Final = 4 * 1024 * 1024
FAULTS_AT_MOST: Final = 50
REMEDY: Final = "The shape is in /openapi.json, docs/api.md and docs/service.md."
_TYPES: Final = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}
_HEAD: Final = {
    "as_of": "a day written YYYY-MM-DD",
    "horizon_months": "3, 6 or 12",
    "idempotency_key": "8 to 64 of A-Za-z0-9_-, or null",
}


class Faults:
    """The first faults and how many there are."""

    def __init__(self) -> None:
        self.first: list[Fault] = []
        self.count = 0

    def add(self, where: str, found: str, expected: str, remedy: str = REMEDY) -> None:
        """Count a fault of the request, and keep it in `first` as a `Fault` if it is among the first
        FAULTS_AT_MOST.

        where: the place in the body, such as a table, row and column. remedy: what the caller has to do.
        """
        self.count += 1
        if len(self.first) < FAULTS_AT_MOST:
            self.first.append(Fault(where, found, expected, remedy))

    @property
    def full(self) -> bool:
        """Whether further faults are only counted."""
        return len(self.first) >= FAULTS_AT_MOST


class _Repeated:
    """Takes objects as JSON is read: a dict of each, and the keys that came twice in one."""

    def __init__(self) -> None:
        self.keys: dict[str, None] = {}

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs) and len(self.keys) < FAULTS_AT_MOST:
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen:
                    self.keys[key_shown(name)] = None
                seen.add(name)
        return found


def key_shown(name: str) -> str:
    """A key as it may be repeated in an answer: not where it is long or might be somebody's number or
    name."""
    return "…" if len(name) > 64 or telling_text(name) else name


class _CollectorPaused:
    """While entered, by any number of threads, the garbage collector does not run.

    Half a million small lists make it look through all of them again and again, which stops every thread for
    a second; they are gone when the refusal is written.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._was_on = threading.Lock(), 0, True

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._was_on = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._was_on:
                gc.enable()


_collector_paused: Final = _CollectorPaused()


def faults_of_body(body: bytes, error: msgspec.DecodeError) -> Faults:
    """Every fault of a body that was refused with `error`, the first ones in words."""
    with _collector_paused:
        return _faults_of_body(body, error)


def _faults_of_body(body: bytes, error: msgspec.DecodeError) -> Faults:
    faults = Faults()
    if not isinstance(error, msgspec.ValidationError):
        faults.add("body", _malformed(str(error)), "JSON (UTF-8, no NaN, no infinity)", "Send JSON.")
        return faults
    if len(body) > SEARCHED_AT_MOST:
        found, expected = _in_words(str(error))
        remedy = (
            "This is the first fault; all are listed of bodies up to "
            f"{SEARCHED_AT_MOST // 1024**2} MB. {REMEDY}"
        )
        faults.add(_path(str(error)), found, expected, remedy)
        return faults
    repeated = _Repeated()
    try:
        data = json.loads(body.decode(), object_pairs_hook=repeated, parse_constant=_no_constant)
    except RecursionError:
        faults.add("body", "nested too deeply", "at most four levels", REMEDY)
        return faults
    except ValueError as wrong:
        faults.add("body", _malformed(str(wrong)), "JSON (UTF-8, no NaN, no infinity)", "Send JSON.")
        return faults
    for name in repeated.keys:
        faults.add(name, "given more than once in one object", "each key once", "Give it once.")
    _look_at_request(data, faults)
    if not faults.count:
        found, expected = _in_words(str(error))
        faults.add(_path(str(error)), found, expected)
    return faults


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _malformed(text: str) -> str:
    """What a parser found, without what was sent."""
    place = re.search(r"byte \d+|line \d+ column \d+", text)
    return f"no JSON ({place.group()})" if place else "no JSON"


def _look_at_request(data: Any, faults: Faults) -> None:
    if not isinstance(data, dict):
        faults.add("body", _TYPES[type(data)], "an object with `as_of` and `tables` or `household_ids`")
        return
    for name, value in data.items():
        if name in FIELDS:
            if not _fits(value, FIELDS[name] | None if name == "idempotency_key" else FIELDS[name]):
                faults.add(
                    name, _TYPES[type(value)] if name != "horizon_months" else "another number", _HEAD[name]
                )
        elif name == "household_ids":
            _look_at_ids(value, faults)
        elif name == "tables":
            if isinstance(value, dict):
                _look_at_tables(value, faults)
            elif value is not None:
                faults.add(name, _TYPES[type(value)], "an object of tables, each a list of rows")
        else:
            faults.add(
                key_shown(name),
                "a key that is not known here",
                ", ".join((*FIELDS, "tables", "household_ids")),
            )
    if "as_of" not in data:
        faults.add("as_of", "nothing", _HEAD["as_of"])


def _look_at_ids(value: Any, faults: Faults) -> None:
    if value is None:
        return
    if not isinstance(value, list) or not value:
        faults.add("household_ids", _TYPES[type(value)] if value != [] else "an empty list", "a list of ids")
        return
    for place, name in enumerate(value):
        if not _fits(name, Text):
            faults.add(f"household_ids.{place}", _TYPES[type(name)], f"an id of {ID_RULE}")


def _look_at_tables(tables: Mapping[str, Any], faults: Faults) -> None:
    for name, rows in tables.items():
        if name not in READ:
            faults.add(f"tables.{key_shown(name)}", "a table that is not known here", ", ".join(READ))
        elif isinstance(rows, list):
            if TABLES[name].required and not rows:
                faults.add(f"tables.{name}", "an empty list", "at least one row")
            for place, row in enumerate(rows):
                _look_at_row(name, place, row, faults)
        elif rows is not None or TABLES[name].required:
            faults.add(f"tables.{name}", _TYPES[type(rows)], "a list of rows")
    for name in READ:
        if TABLES[name].required and name not in tables:
            faults.add(f"tables.{name}", "nothing", "a list of at least one row")


def _look_at_row(table: str, place: int, row: Any, faults: Faults) -> None:
    where = f"tables.{table}.{place}"
    if not isinstance(row, dict):
        faults.add(where, _TYPES[type(row)], "an object: one row")
        return
    known = VALUES[table]
    for column in TABLES[table].columns:
        if column.name not in row:
            if not column.optional:
                faults.add(
                    f"{where}.{column.name}", "nothing", expected_of(column) if not faults.full else ""
                )
            continue
        value = row[column.name]
        if value is None and column.optional:
            continue
        if not _fits(value, known[column.name]):
            if faults.full:
                faults.count += 1
                continue
            found = _TYPES[type(value)]
            if found in ("a text", "a number"):
                found += " that is none of these" if column.kind == "code" else " that does not fit"
            faults.add(f"{where}.{column.name}", found, expected_of(column))
    if len(row) > len(known) or not row.keys() <= known.keys():
        for name in row:
            if name not in known:
                faults.add(
                    f"{where}.{key_shown(name)}",
                    "a key that is no column of this table",
                    "the columns of the data contract",
                )


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def expected_of(column: Column) -> str:
    """What a value of this column has to be, in words."""
    match column.kind:
        case "id":
            return f"an id of {ID_RULE}"
        case "area":
            return f"an area code of {' or '.join(map(str, column.digits))} digits, as text"
        case "date":
            return f"a day written YYYY-MM-DD, from {FIRST_DAY} to {LAST_DAY}"
        case "money" | "number" | "integer":
            kind = "a whole number" if column.kind == "integer" else "a number"
            return f"{kind} from {column.at_least:,.0f} to {column.at_most:,.0f} ({column.unit})"
        case "boolean":
            return "true or false"
        case "code":
            return f"one of {', '.join(column.codes or ())}"
        case "codes":
            return f"codes joined by `;` out of {', '.join(column.codes or ())}"
        case _:
            return f"a text of 1 to {TEXT_AT_MOST} characters"


def _path(message: str) -> str:
    """`$.tables.income[3].amount` of a message as `tables.income.3.amount`."""
    found = re.search(r"at `\$\.?([^`]*)`$", message)
    parts = re.split(r"[.\[\]]+", found.group(1)) if found else []
    return ".".join(key_shown(part) for part in parts if part) or "body"


def _in_words(message: str) -> tuple[str, str]:
    """(found, expected) of msgspec's message, without what was sent."""
    unknown = re.match(r"Object contains unknown field `(.*)`", message)
    if unknown:
        return (
            f"a key that is not known here ({key_shown(unknown.group(1))})",
            "the keys that docs/service.md names",
        )
    expected = re.match(r"Expected (.*?)(?:, got `(\w+)`)?(?: - at|$)", message)
    if expected:
        return expected.group(2) or "another value", expected.group(1).replace("`", "")
    if message.startswith("Object missing required field"):
        return "a key that is missing", message.split(" - at")[0].replace(
            "Object missing required field", "the key"
        ).replace("`", "")
    return "a value that does not fit", "a value of this column, as docs/data-contract.md has it"
