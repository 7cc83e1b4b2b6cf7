"""Keys, sessions and answers under idempotency keys, in SQL.

No secret is stored, only the SHA-256 of 256 random bits.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from riskmodel.casebook import audit
from riskmodel.casebook.beside import note_revocation
from riskmodel.casebook.roles import ROLES, ROLES_OF_AREAS, Who
from riskmodel.casebook.schema import idempotency, keys, sessions
from riskmodel.casebook.seals import row_hash
from riskmodel.casebook.store import reading, writing
from riskmodel.errors import Fault, UserError
from riskmodel.tables.identity import telling_text

PREFIX: Final = "rm"
SECRET_BYTES: Final = 32
MOST_DAYS: Final = 730
IDLE: Final = dt.timedelta(minutes=30)
ABSOLUTE: Final = dt.timedelta(hours=12)
_SEEN_EVERY: Final = dt.timedelta(minutes=1)
ANSWERS_KEPT: Final = dt.timedelta(days=90)  # under an idempotency key; afterwards the key is free again


@dataclass(frozen=True)
class Key:
    """A key as it is kept. state: in force, expired or revoked."""

    key_id: str
    name: str
    role: str
    areas: tuple[str, ...]
    purpose: str
    created_at: str
    expires_at: str
    revoked_at: str | None
    state: str

    def text(self) -> str:
        """One line for a terminal."""
        areas = ",".join(self.areas)
        return (
            f"{self.key_id}  {self.state:<8}  {self.role:<11}  {areas:<20}  until {self.expires_at[:10]}  "
            f"{self.name}: {self.purpose}"
        )


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; `secret` is shown this once."""

    key: Key
    secret: str

    def text(self) -> str:
        """The key, its secret and a warning that it is shown this once, for a terminal."""
        return (
            f"{self.key.text()}\n\n"
            f"{self.secret}\n\n"
            "This is the only time that the key is shown. Hand it over by a safe way; who loses it gets a "
            "new one.\n"
            "此密钥只显示这一次，请安全交付；遗失请重新生成。"
        )


def hashed(secret: str) -> str:
    """SHA-256 of a secret as hex: all that the casebook keeps of it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def add_key(
    engine: Engine,
    *,
    name: str,
    role: str,
    areas: Sequence[str],
    purpose: str,
    days: int = 365,
    by: str = "command line",
) -> NewKey:
    """Make a key. Raises UserError with every fault of what it should carry."""
    areas = tuple(sorted(set(areas)))
    faults = []
    if role not in ROLES:
        faults.append(Fault("role", repr(role), ", ".join(ROLES), "Name one of these."))
    if role in ROLES and bool(areas) != (role in ROLES_OF_AREAS):
        found, expected, remedy = (
            "none",
            "one or more area codes",
            "Name the areas whose households the key may see.",
        )
        if areas:
            found, expected, remedy = (
                ", ".join(areas)[:200],
                f"none for the role {role}",
                "It sees nothing of an area; the audit is one whole.",
            )
        faults.append(Fault("areas", found, expected, remedy))
    faults += [
        Fault(
            "areas",
            repr(area),
            "2, 4, 6, 9 or 12 digits",
            "Write province, prefecture, county, township or village code.",
        )
        for area in areas
        if not (area.isascii() and area.isdigit() and len(area) in (2, 4, 6, 9, 12))
    ]
    for label, text, most in (("name", name, 100), ("purpose", purpose, 200)):
        if not text.strip() or len(text) > most:
            faults.append(
                Fault(label, f"{len(text)} characters", f"1 to {most}", "Shorten it to a few words.")
            )
        if telling_text(text):
            faults.append(
                Fault(
                    label,
                    f"it holds {telling_text(text)}",
                    "the name of a workplace or system",
                    "Name no person by number.",
                )
            )
    if not 1 <= days <= MOST_DAYS:
        faults.append(Fault("days", str(days), f"1 to {MOST_DAYS}", "Keys expire; make a new one then."))
    if faults:
        raise UserError(faults)
    key_id, secret = secrets.token_hex(6), secrets.token_hex(SECRET_BYTES)
    now = dt.datetime.now(dt.UTC)
    values = {
        "key_id": key_id,
        "secret_hash": hashed(secret),
        "name": name.strip(),
        "role": role,
        "areas": ";".join(areas),
        "purpose": purpose.strip(),
        "created_at": _stamp(now),
        "created_by": by,
        "expires_at": _stamp(now + dt.timedelta(days=days)),
    }
    with writing(engine) as connection:
        connection.execute(keys.insert().values(values))
        row = connection.execute(select(keys).where(keys.c.key_id == key_id)).mappings().one()
        audit.append(
            connection,
            actor=by,
            action="key added",
            subject=key_id,
            details={
                "role": role,
                "areas": list(areas),
                "purpose": purpose.strip(),
                "expires_at": values["expires_at"],
                "key_id": key_id,
                "seal": row_hash("keys", row),
            },
        )
        made = _key(connection.execute(select(keys).where(keys.c.key_id == key_id)).one(), now)
    return NewKey(made, f"{PREFIX}_{key_id}_{secret}")


def list_keys(engine: Engine) -> list[Key]:
    """All keys that were ever made, newest first."""
    now = dt.datetime.now(dt.UTC)
    with reading(engine) as connection:
        return [_key(row, now) for row in connection.execute(select(keys).order_by(keys.c.created_at.desc()))]


def revoke_key(engine: Engine, key_id: str, *, by: str = "command line") -> Key:
    """Revoke a key and its sessions at once. Raises UserError for a key that does not exist or is revoked
    already.

    The revocation is also written to the file beside the casebook, so that restoring an older backup does not
    make the key valid again.
    """
    now = dt.datetime.now(dt.UTC)
    with writing(engine) as connection:
        row = connection.execute(select(keys).where(keys.c.key_id == key_id)).first()
        if row is None or row.revoked_at:
            found = "no such key" if row is None else f"revoked already, on {row.revoked_at[:10]}"
            raise UserError(Fault(f"key {key_id}", found, "a key in force", "See `riskmodel keys list`."))
        unnoted: UserError | None = None
        try:  # first beside the casebook: a crash in between leaves the key revoked
            note_revocation(engine, key_id)
        except UserError as error:
            unnoted = error
        connection.execute(
            keys.update().where(keys.c.key_id == key_id).values(revoked_at=_stamp(now), revoked_by=by)
        )
        audit.append(connection, actor=by, action="key revoked", subject=key_id)
        revoked = _key(connection.execute(select(keys).where(keys.c.key_id == key_id)).one(), now)
    if unnoted is not None:
        raise unnoted
    return revoked


@dataclass(frozen=True)
class NotAuthenticated:
    """A refused key or session. why: no such key, wrong secret, expired, revoked, no session. key_id: the key
    that was named, empty where there is none of that id."""

    why: str
    key_id: str = ""


def authenticate_key(
    engine: Engine, presented: str, now: dt.datetime | None = None
) -> Who | NotAuthenticated:
    """The owner of a presented key, or why it is refused. Secrets are compared in constant time."""
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != PREFIX or not key_id.isalnum() or len(key_id) > 16 or len(presented) > 200:
        key_id = ""
    with reading(engine) as connection:
        row = connection.execute(select(keys).where(keys.c.key_id == key_id)).first()
    # Without a row the same work is done, so that the time does not reveal which ids exist.
    right = hmac.compare_digest(hashed(secret), row.secret_hash if row else hashed(""))
    if row is None:
        return NotAuthenticated("no such key")
    if not right or not secret:
        return NotAuthenticated("wrong secret", row.key_id)
    key = _key(row, now or dt.datetime.now(dt.UTC))
    return who_of(key) if key.state == "in force" else NotAuthenticated(key.state, key.key_id)


def open_session(engine: Engine, who: Who) -> tuple[str, Who]:
    """Begin a session for whoever has a key: its secret (for the cookie), and who it is with the CSRF
    token.
    """
    secret = secrets.token_hex(SECRET_BYTES)
    now = dt.datetime.now(dt.UTC)
    with writing(engine) as connection:
        connection.execute(
            sessions.insert().values(
                session_hash=hashed(secret),
                key_id=who.key_id,
                created_at=_stamp(now),
                seen_at=_stamp(now),
                ended_at=None,
            )
        )
        audit.append(
            connection,
            actor=who.key_id,
            role=who.role,
            purpose=who.purpose,
            action="signed in",
            subject="session",
        )
    return secret, _in_session(who, secret, now)


def authenticate_session(
    engine: Engine, secret: str, now: dt.datetime | None = None
) -> Who | NotAuthenticated:
    """The owner of a session, or why it is refused: not known, ended, idle too long, too old, or its key is
    not in force.
    """
    now = now or dt.datetime.now(dt.UTC)
    with reading(engine) as connection:
        row = connection.execute(
            select(sessions, *(column.label(f"key_{column.name}") for column in keys.c))
            .join(keys, keys.c.key_id == sessions.c.key_id)
            .where(sessions.c.session_hash == hashed(secret))
        ).first()
    if row is None or row.ended_at:
        return NotAuthenticated("no session")
    seen, created = dt.datetime.fromisoformat(row.seen_at), dt.datetime.fromisoformat(row.created_at)
    key = _key(_Prefixed(row), now)
    if now - seen > IDLE or now - created > ABSOLUTE or key.state != "in force":
        return NotAuthenticated("no session", key.key_id)
    if now - seen > _SEEN_EVERY:
        with writing(engine) as connection:
            connection.execute(
                sessions.update().where(sessions.c.session_hash == hashed(secret)).values(seen_at=_stamp(now))
            )
    return _in_session(who_of(key), secret, created)


def end_session(engine: Engine, secret: str) -> None:
    """End a session."""
    with writing(engine) as connection:
        connection.execute(
            sessions.update()
            .where(sessions.c.session_hash == hashed(secret), sessions.c.ended_at.is_(None))
            .values(ended_at=_stamp(dt.datetime.now(dt.UTC)))
        )


def kept_answer(
    connection: Connection, key_id: str, route: str, idempotency_key: str, now: dt.datetime | None = None
) -> tuple[str, bytes] | None:
    """(hash of the request, answer) that this key got under an idempotency key within 90 days; None: not used
    since.
    """
    row = connection.execute(
        select(idempotency.c.request_hash, idempotency.c.answer).where(
            idempotency.c.key_id == key_id,
            idempotency.c.route == route,
            idempotency.c.idempotency_key == idempotency_key,
            idempotency.c.answered_at >= _stamp((now or dt.datetime.now(dt.UTC)) - ANSWERS_KEPT),
        )
    ).first()
    return None if row is None else (row.request_hash, bytes(row.answer))


def keep_answer(
    connection: Connection, key_id: str, route: str, idempotency_key: str, request_hash: str, answer: bytes
) -> None:
    """Keep an answer under an idempotency key, in the transaction of the change that it reports.

    Answers of the same key that have expired are deleted.
    """
    expired = _stamp(dt.datetime.now(dt.UTC) - ANSWERS_KEPT)
    connection.execute(
        idempotency.delete().where(idempotency.c.key_id == key_id, idempotency.c.answered_at < expired)
    )
    connection.execute(
        idempotency.insert().values(
            key_id=key_id,
            route=route,
            idempotency_key=idempotency_key,
            request_hash=request_hash,
            answer=answer,
            answered_at=audit.now(),
        )
    )


class _Prefixed:
    """The key's columns of a joined row."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, f"key_{name}")


def _key(row: Any, now: dt.datetime) -> Key:
    expired = dt.datetime.fromisoformat(row.expires_at) <= now
    state = "revoked" if row.revoked_at else "expired" if expired else "in force"
    areas = tuple(area for area in row.areas.split(";") if area)
    return Key(
        key_id=row.key_id,
        name=row.name,
        role=row.role,
        areas=areas,
        purpose=row.purpose,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        state=state,
    )


def who_of(key: Key) -> Who:
    """Who signs in with a key: its name, role, areas and purpose."""
    return Who(
        key_id=key.key_id,
        name=key.name,
        role=key.role,
        areas=key.areas,
        purpose=key.purpose,
        expires_at=key.expires_at,
    )


def _in_session(who: Who, secret: str, created: dt.datetime) -> Who:
    token = hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()
    ends = min(_stamp(created + ABSOLUTE), who.expires_at)
    return Who(
        key_id=who.key_id,
        name=who.name,
        role=who.role,
        areas=who.areas,
        purpose=who.purpose,
        expires_at=ends,
        csrf=token,
        session=secret,
    )


def _stamp(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="microseconds")
