"""Seals: hashes of what the casebook keeps, written into its audit entry, so that a changed row is found and
named later.

A table of rows is sealed by three rows of buckets. Every row is in one bucket of each, by the hash of its
name; each bucket has the hash of its rows. One changed row changes three buckets, and hardly another row is
in all three: so some kilobytes identify one row of 150,000.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, select

from riskmodel.casebook.schema import (
    audit,
    drawn_from,
    keys,
    list_rows,
    lists,
    not_listed,
    rules_met,
    scores,
    scorings,
    stored_texts,
    visits,
    withdrawals,
)

_DIGITS: Final = 10  # hexadecimal digits of a bucket's hash
_BUCKETS: Final = ("a", "b", "c")
_FEWEST: Final = 16  # buckets: with fewer, other rows of a short list would be in the same three
_NAMED: Final = 5  # rows that a fault names
# The columns that are sealed, written out: a column that a later form adds changes no seal of before.
_COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "lists": (
        "list_hash",
        "county_code",
        "cycle",
        "as_of",
        "capacity",
        "model_version",
        "settings",
        "notes",
        "issued_at",
        "issued_number",
        "guide",
        "data_dates",
    ),
    "list_rows": (
        "household_id",
        "number",
        "place",
        "township_code",
        "village_code",
        "grade",
        "listed_as",
        "stratum",
        "inclusion_probability",
        "content",
        "risk_kinds",
    ),
    "drawn_from": ("household_id", "probability", "stratum", "inclusion_probability", "drawn"),
    "rules_met": ("household_id", "rule", "since"),
    "not_listed": (
        "household_id",
        "village_code",
        "reason",
        "since",
        "until",
        "last_visit",
        "last_outcome",
    ),
    "scores": (
        "household_id",
        "village_code",
        "margin",
        "probability",
        "low",
        "high",
        "rank",
        "feature_hash",
        "grade",
        "risk_kinds",
    ),
    "said": ("household_id", "content"),
    "keys": (
        "key_id",
        "secret_hash",
        "name",
        "role",
        "areas",
        "purpose",
        "created_at",
        "created_by",
        "expires_at",
    ),
    "visits": (
        "number",
        "event_id",
        "version",
        "chain",
        "content_hash",
        "list_hash",
        "household_id",
        "visited_on",
        "known_on",
        "recorded_at",
        "recorded_by",
        "origin",
        "outcome",
        "risk_kinds",
        "disagreement",
        "visitor",
        "note",
    ),
    "withdrawals": ("visit_number", "withdrawn_on", "withdrawn_at", "withdrawn_by", "reason"),
}
_Rows = Iterable[tuple[str, str]]


def row_hash(table: str, row: Any) -> str:
    """SHA-256 over the sealed columns of one row, given as a mapping."""
    return hashlib.sha256(_text([row[name] for name in _COLUMNS[table]]).encode()).hexdigest()


def _text(values: Sequence[Any]) -> str:
    return json.dumps([_plain(value) for value in values], ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return hashlib.sha256(value).hexdigest()
    return value


def grid(rows: _Rows) -> dict[str, Any]:
    """The seal of rows, given as (name, text): how many there are, how many buckets, and the hashes of the
    buckets.
    """
    hashes = _hashes(rows)
    size = max(_FEWEST, math.isqrt(len(hashes)) + 1)
    found = _buckets(hashes, size)
    return {"rows": len(hashes), "size": size} | {name: "".join(found[name]) for name in _BUCKETS}


def differences(sealed: Mapping[str, Any], rows: _Rows) -> list[str]:
    """What of the rows does not fit their seal, in words; empty if all do."""
    hashes = _hashes(rows)
    size = int(sealed["size"])
    found = _buckets(hashes, size)
    spoilt = []
    for name in _BUCKETS:
        digits = str(sealed[name])
        before = [digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS)]
        spoilt.append({place for place, text in enumerate(found[name]) if text != before[place]})
    faults = []
    if len(hashes) != sealed["rows"]:
        amount = len(hashes) - int(sealed["rows"])
        faults.append(f"{abs(amount)} rows were {'added' if amount > 0 else 'taken out'}")
    if any(spoilt):
        names = sorted(
            name
            for name, _ in hashes
            if all(place in some for place, some in zip(_places(name, size), spoilt, strict=True))
        )
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            faults.append(f"changed: {', '.join(names[:_NAMED])}{more}")
        elif not faults:
            faults.append("a row was exchanged")
    return faults


def _hashes(rows: _Rows) -> list[tuple[str, bytes]]:
    return [(name, hashlib.sha256(f"{name}\x1f{text}".encode()).digest()) for name, text in rows]


def _places(name: str, size: int) -> tuple[int, ...]:
    digest = hashlib.sha256(name.encode()).digest()
    return tuple(int.from_bytes(digest[at : at + 4], "big") % size for at in (0, 4, 8))


def _buckets(hashes: Sequence[tuple[str, bytes]], size: int) -> dict[str, list[str]]:
    filled: list[list[list[bytes]]] = [[[] for _ in range(size)] for _ in _BUCKETS]
    for name, digest in hashes:
        for bucket, place in zip(filled, _places(name, size), strict=True):
            bucket[place].append(digest)
    return {
        name: [hashlib.sha256(b"".join(sorted(some))).hexdigest()[:_DIGITS] for some in bucket]
        for name, bucket in zip(_BUCKETS, filled, strict=True)
    }


def _read(connection: Connection, table: Table, *where: Any) -> Iterator[Any]:
    columns = [table.c[name] for name in _COLUMNS[table.name]]
    result = connection.execute(select(*columns).where(*where), execution_options={"yield_per": 5000})
    yield from result.mappings()


def _named(connection: Connection, table: Table, prefix: str, *where: Any) -> Iterator[tuple[str, str]]:
    for row in _read(connection, table, *where):
        yield f"{prefix}{row['household_id']}", _text(list(row.values()))


def list_rows_of(connection: Connection, list_hash: str) -> Iterator[tuple[str, str]]:
    """What is sealed of a list: itself and its rows."""
    for row in _read(connection, lists, lists.c.list_hash == list_hash):
        yield "the list itself", _text(list(row.values()))
    yield from _named(connection, list_rows, "the row of ", list_rows.c.list_hash == list_hash)


def draw_rows_of(connection: Connection, list_hash: str) -> Iterator[tuple[str, str]]:
    """What is sealed of the draw of a list: who could be drawn, and the department rules met."""
    yield from _named(connection, drawn_from, "the draw of ", drawn_from.c.list_hash == list_hash)
    for row in _read(connection, rules_met, rules_met.c.list_hash == list_hash):
        yield f"{row['rule']} of {row['household_id']}", _text(list(row.values()))


def not_listed_rows_of(connection: Connection, list_hash: str) -> Iterator[tuple[str, str]]:
    """What is sealed of everybody else of the county: why they are not on the list."""
    yield from _named(connection, not_listed, "the absence of ", not_listed.c.list_hash == list_hash)


def score_rows_of(connection: Connection, scoring: int) -> Iterator[tuple[str, str]]:
    """What is sealed of a scoring: its scores and their texts."""
    yield from _named(connection, scores, "the score of ", scores.c.scoring == scoring)
    yield from _named(connection, stored_texts, "the reasons of ", stored_texts.c.scoring == scoring)


def seal_of_list(connection: Connection, list_hash: str) -> dict[str, Any]:
    """The seals of a list, of its draw and of who is not on it, for the audit entry."""
    return {
        "list": grid(list_rows_of(connection, list_hash)),
        "draw": grid(draw_rows_of(connection, list_hash)),
        "not_listed": grid(not_listed_rows_of(connection, list_hash)),
    }


def seal_of_scoring(connection: Connection, scoring: int) -> dict[str, Any]:
    """The seal of a scoring, for the audit entry."""
    return grid(score_rows_of(connection, scoring))


def visit_rows(connection: Connection, up_to: int) -> Iterator[tuple[str, str]]:
    """The first visits, up to a number: what is sealed of a casebook of an earlier form."""
    for row in _read(connection, visits, visits.c.number <= up_to):
        yield f"result {row['number']} of {row['household_id']}", _text(list(row.values()))


def _entry(subject: str, details: Mapping[str, Any]) -> dict[str, Any]:
    return {"actor": "riskmodel", "action": SEALED, "subject": subject, "details": details}


def _list_hashes(connection: Connection) -> Sequence[str]:
    return connection.execute(select(lists.c.list_hash).order_by(lists.c.issued_number)).scalars().all()


def absences(connection: Connection) -> Iterator[dict[str, Any]]:
    """Audit entries (keys as in `audit.append`) that seal who is not on the lists of a casebook of form 0005,
    which sealed only the lists.
    """
    for name in _list_hashes(connection):
        seal = grid(not_listed_rows_of(connection, name))
        if seal["rows"]:
            yield _entry(f"not on list {name[:12]}", {"list_hash": name, "seal": {"not_listed": seal}})


def everything(connection: Connection) -> Iterator[dict[str, Any]]:
    """Audit entries (keys as in `audit.append`) that seal all that a casebook of form 0003 holds."""
    for name in _list_hashes(connection):
        seal = {
            "list": grid(list_rows_of(connection, name)),
            "draw": grid(draw_rows_of(connection, name)),
        }
        yield _entry(f"list {name[:12]}", {"list_hash": name, "seal": seal})
    for number in connection.execute(select(scorings.c.number).order_by(scorings.c.number)).scalars().all():
        yield _entry(f"scoring {number}", {"seals": {str(number): seal_of_scoring(connection, number)}})
    for row in list(_read(connection, keys)):
        revoked = connection.execute(select(keys.c.revoked_at).where(keys.c.key_id == row["key_id"])).scalar()
        details = {"key_id": row["key_id"], "seal": row_hash("keys", row), "revoked": revoked is not None}
        yield _entry(f"key {row['key_id']}", details)
    last = connection.execute(select(visits.c.number).order_by(visits.c.number.desc()).limit(1)).scalar()
    if last is not None:
        yield _entry("visits", {"up_to": last, "seal": grid(visit_rows(connection, last))})


SEALED: Final = "contents sealed"
_ACTIONS: Final = (
    SEALED,
    "list issued",
    "scores kept",
    "key added",
    "key revoked",
    "result recorded",
    "result corrected",
    "result withdrawn",
)


class _Sealed:
    """The newest seal of everything, as the entries of the audit have it."""

    def __init__(self, connection: Connection) -> None:
        self.lists: dict[str, Mapping[str, Any]] = {}
        self.scorings: dict[int, Mapping[str, Any]] = {}
        self.keys: dict[str, str] = {}
        self.revoked: set[str] = set()
        self.visits: dict[int, str] = {}
        self.withdrawals: dict[int, str] = {}
        self.first_visits: Mapping[str, Any] | None = None
        wanted = select(audit.c.action, audit.c.subject, audit.c.details).where(audit.c.action.in_(_ACTIONS))
        entries = connection.execute(wanted.order_by(audit.c.number), execution_options={"yield_per": 5000})
        for action, subject, text in entries:
            details = json.loads(text)
            if "list_hash" in details and "seal" in details:
                name = details["list_hash"]
                self.lists[name] = {**self.lists.get(name, {}), **details["seal"]}
            for number, seal in details.get("seals", {}).items():
                self.scorings[int(number)] = seal
            if action in ("key added", SEALED) and "key_id" in details:
                self.keys[details["key_id"]] = details["seal"]
                if details.get("revoked"):
                    self.revoked.add(details["key_id"])
            if action == "key revoked":
                self.revoked.add(subject)
            if "row" in details:
                kept = self.withdrawals if action == "result withdrawn" else self.visits
                kept[int(details["number"])] = details["row"]
            if "up_to" in details:
                self.first_visits = details


def content_faults(connection: Connection) -> list[str]:
    """What of lists, draws, absences, scores, keys, visits and withdrawals does not fit the audit, in words
    that name the row; empty if all does.
    """
    sealed = _Sealed(connection)
    faults: list[str] = []

    def compare(what: str, seal: Mapping[str, Any] | None, rows: Callable[[], _Rows]) -> None:
        found = ["no audit entry has its seal"] if seal is None else differences(seal, rows())
        faults.extend(f"{what}: {fault}" for fault in found)

    heads = connection.execute(select(lists.c.list_hash, lists.c.county_code, lists.c.cycle)).all()
    for name, county, cycle in heads:
        what = f"list {cycle} of {county} ({name[:12]})"
        seal = sealed.lists.get(name, {})
        compare(what, seal.get("list"), lambda name=name: list_rows_of(connection, name))  # type: ignore[misc]
        compare(f"draw of {what}", seal.get("draw"), lambda name=name: draw_rows_of(connection, name))  # type: ignore[misc]
        others = seal.get("not_listed", grid([]))  # a list of an earlier form has no such rows
        compare(f"those not on {what}", others, lambda name=name: not_listed_rows_of(connection, name))  # type: ignore[misc]
    gone = sorted(set(sealed.lists) - {name for name, _, _ in heads})
    faults += [f"list {name[:12]}: it is missing" for name in gone]
    known = connection.execute(select(scorings.c.number, scorings.c.as_of)).all()
    for number, as_of in known:
        what = f"scores as of {as_of.isoformat()} (scoring {number})"
        compare(what, sealed.scorings.get(number), lambda number=number: score_rows_of(connection, number))  # type: ignore[misc]
    gone_scorings = sorted(set(sealed.scorings) - {number for number, _ in known})
    faults += [f"scoring {number}: it is missing" for number in gone_scorings]
    return faults + _key_faults(connection, sealed) + _visit_faults(connection, sealed)


def _key_faults(connection: Connection, sealed: _Sealed) -> list[str]:
    faults = []
    rows = connection.execute(select(keys)).mappings().all()
    for row in rows:
        name = row["key_id"]
        if sealed.keys.get(name) != row_hash("keys", row):
            known = name in sealed.keys
            faults.append(f"key {name}: {'changed' if known else 'no audit entry has its seal'}")
        if bool(row["revoked_at"]) != (name in sealed.revoked):
            fault = (
                "in force, but it was revoked" if name in sealed.revoked else "revoked without an audit entry"
            )
            faults.append(f"key {name}: {fault}")
    gone = sorted(set(sealed.keys) - {row["key_id"] for row in rows})
    return faults + [f"key {name}: it is missing" for name in gone]


def _visit_faults(connection: Connection, sealed: _Sealed) -> list[str]:
    faults = []
    first = 0
    if sealed.first_visits is not None:
        first = int(sealed.first_visits["up_to"])
        rows = visit_rows(connection, first)
        faults += [f"results: {fault}" for fault in differences(sealed.first_visits["seal"], rows)]
    there = set()
    for row in _read(connection, visits, visits.c.number > first):
        there.add(row["number"])
        if sealed.visits.get(row["number"]) != row_hash("visits", row):
            known = row["number"] in sealed.visits
            why = "changed" if known else "no audit entry has its seal"
            faults.append(f"result {row['number']} of {row['household_id']}: {why}")
    faults += [f"result {number}: it is missing" for number in sorted(set(sealed.visits) - there)]
    there = set()
    for row in _read(connection, withdrawals):
        there.add(row["visit_number"])
        if sealed.withdrawals.get(row["visit_number"]) != row_hash("withdrawals", row):
            faults.append(
                f"withdrawal of result {row['visit_number']}: changed, or no audit entry has its seal"
            )
    gone = sorted(set(sealed.withdrawals) - there)
    return faults + [f"withdrawal of result {number}: it is missing" for number in gone]
