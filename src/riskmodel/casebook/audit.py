"""The audit: append-only, each entry chained to the one before it by its hash.

An edited entry no longer fits its hash, a deleted one leaves a gap; a cut tail is found against a head that
was exported before.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from riskmodel.casebook.request_id import with_request_id
from riskmodel.casebook.schema import audit

BEGINNING: Final = "0" * 64
AT_ONCE: Final = 1_000  # entries that the database hands over at once
_FIELDS: Final = (
    "number",
    "at",
    "actor",
    "role",
    "purpose",
    "action",
    "subject",
    "model_version",
    "details",
    "previous",
)


@dataclass(frozen=True)
class Head:
    """The newest entry: its number (0: none yet) and hash."""

    number: int
    hash: str


@dataclass(frozen=True)
class AuditFindings:
    """What a look through the whole chain found. faults: in words, empty where it holds."""

    head: Head
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the chain holds: no fault was found."""
        return not self.faults

    def text(self) -> str:
        """In words, for a terminal."""
        if self.ok:
            return f"The chain holds: {self.head.number:,} entries, head {self.head.hash}"
        return "\n".join(["The audit was tampered with:", *(f"  {fault}" for fault in self.faults)])


def append(
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    role: str = "",
    purpose: str = "",
    model_version: str = "",
    details: Mapping[str, Any] | None = None,
) -> Head:
    """Add one entry inside a writing transaction: who, in which role, for which purpose, did what to what,
    with which model.
    """
    entry = {"actor": actor, "action": action, "subject": subject, "role": role, "purpose": purpose}
    return append_all(connection, [entry | {"model_version": model_version, "details": details}])


def append_all(connection: Connection, some: Sequence[Mapping[str, Any]]) -> Head:
    """Add entries in their order, keys as in `append`, with one look at the head and one insert. Returns the
    new head.
    """
    rows = chained(head(connection), some)
    if rows:
        connection.execute(audit.insert(), rows)
    return Head(rows[-1]["number"], rows[-1]["hash"]) if rows else head(connection)


def chained(last: Head, some: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of entries that follow a head, keys as in `append`; `at` may be given."""
    rows = []
    for entry in some:
        row: dict[str, Any] = {
            "number": last.number + 1,
            "at": entry.get("at") or now(),
            "actor": entry["actor"],
            "role": entry.get("role", ""),
            "purpose": entry.get("purpose", ""),
            "action": entry["action"],
            "subject": entry["subject"],
            "model_version": entry.get("model_version", ""),
            "details": json.dumps(
                with_request_id(entry.get("details")),
                ensure_ascii=False,
                sort_keys=True,
                separators=(",", ":"),
            ),
            "previous": last.hash,
        }
        row["hash"] = _hash(row)
        rows.append(row)
        last = Head(row["number"], row["hash"])
    return rows


def head(connection: Connection) -> Head:
    """The newest entry."""
    row = connection.execute(
        select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)
    ).first()
    return Head(0, BEGINNING) if row is None else Head(row.number, row.hash)


def entries(
    connection: Connection,
    *,
    since: int = 0,
    actor: str | None = None,
    action: str | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Entries from a number on, oldest first; all, or of one actor or action; at most `limit`.

    The database is asked for no more than that, and hands a long audit over in parts: memory does not grow
    with it.
    """
    wanted = select(audit).where(audit.c.number >= since)
    if actor is not None:
        wanted = wanted.where(audit.c.actor == actor)
    if action is not None:
        wanted = wanted.where(audit.c.action == action)
    wanted = wanted.order_by(audit.c.number).limit(limit)
    for row in connection.execute(wanted, execution_options={"yield_per": AT_ONCE}).mappings():
        yield dict(row)


def verify(connection: Connection, exported: Head | None = None) -> list[str]:
    """What is wrong with the chain, in words; empty if it holds. `exported`: a head that was written down
    before.
    """
    faults = []
    expected, before = 1, BEGINNING
    at_export: str | None = None
    for entry in entries(connection):
        number = entry["number"]
        if number != expected:
            faults.append(f"entries {expected} to {number - 1} are missing")
        if entry["previous"] != before:
            faults.append(f"entry {number} does not follow the entry before it")
        if _hash(entry) != entry["hash"]:
            faults.append(f"entry {number} was changed")
        expected, before = number + 1, entry["hash"]
        if exported is not None and number == exported.number:
            at_export = entry["hash"]
    if exported is not None and exported.number > 0:
        if expected - 1 < exported.number:
            faults.append(
                f"the tail was cut: entry {exported.number} was there when the head was exported, the "
                f"newest now is {expected - 1}"
            )
        elif at_export != exported.hash:
            faults.append(f"entry {exported.number} is not the one whose hash was exported")
    return faults


def now() -> str:
    """The moment, UTC, ISO 8601 to the microsecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")


def _hash(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(
        json.dumps([entry[name] for name in _FIELDS], ensure_ascii=False).encode()
    ).hexdigest()
