"""Who sends a request: keys and sessions are looked up here; wrong keys are counted, slowed and written into
the audit.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Mapping
from typing import Final

from anyio import to_thread
from sqlalchemy import Engine

from riskmodel.casebook.credentials import (
    NotAuthenticated,
    authenticate_key,
    authenticate_session,
    end_session,
    open_session,
)
from riskmodel.casebook.roles import Who
from riskmodel.serving.trail import Trail

COOKIE: Final = "riskmodel_session"
COOKIE_BYTES: Final = 4096  # of the whole cookie header; a larger one is not read
KNOWN_SECONDS: Final = 2.0  # a key is not looked up again for so long: a revoked one is refused within them
TRIES: Final = 10  # wrong keys a minute from one address; right ones always pass
TRIES_IN_ALL: Final = 300  # wrong keys a minute from all addresses together
MINUTE: Final = 60.0


class TooManyTries(Exception):
    """Too many wrong keys; `wait`: seconds until the next one is looked up."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"wait {wait} seconds")
        self.wait = wait


class TriesLimit:
    """Wrong keys of the last minute, by address and in all. Other addresses, however many, do not lift the
    limit of all.
    """

    def __init__(self) -> None:
        self.by_client: dict[str, deque[float]] = {}
        self.in_all: deque[float] = deque(maxlen=TRIES_IN_ALL + 1)

    def count(self, client: str, now: float) -> bool:
        """Count a wrong key. True: it is the first one beyond a limit. Raises TooManyTries for those after
        it.
        """
        if len(self.by_client) > 10_000:
            self.by_client = {
                name: tries for name, tries in self.by_client.items() if now - tries[-1] <= MINUTE
            }
        tries = self.by_client.setdefault(client, deque(maxlen=TRIES + 1))
        for some, most in ((tries, TRIES), (self.in_all, TRIES_IN_ALL)):
            while some and now - some[0] > MINUTE:
                some.popleft()
            if len(some) > most:
                raise TooManyTries(max(1, int(MINUTE - (now - some[0])) + 1))
        tries.append(now)
        self.in_all.append(now)
        return len(tries) > TRIES or len(self.in_all) > TRIES_IN_ALL

    def clear(self) -> None:
        """Forget every wrong key."""
        self.by_client.clear()
        self.in_all.clear()


class Authenticator:
    """Finds whose key or session came with a request. Secrets are neither kept nor logged, only their hash is
    remembered.
    """

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._known: dict[bytes, tuple[Who, float]] = {}
        self.wrong = TriesLimit()

    async def authenticate(self, headers: Mapping[bytes, bytes], client: str) -> Who | None:
        """Who sends these headers; None: nobody signed in. Raises TooManyTries after too many wrong keys."""
        presented = headers.get(b"authorization", b"").decode("latin-1")
        if presented:
            scheme, _, token = presented.partition(" ")
            return await self._look_up(
                token.strip() if scheme.lower() == "bearer" else "", client, session=False
            )
        secret = session_cookie(headers)
        return await self._look_up(secret, client, session=True) if secret else None

    async def sign_in(self, presented: str, client: str) -> tuple[str, Who] | None:
        """Open a session with a key: the cookie's secret, and who it is; None: the key is not in force."""
        who = await self._look_up(presented, client, session=False)
        return None if who is None else await to_thread.run_sync(open_session, self._engine, who)

    async def sign_out(self, who: Who) -> None:
        """End the session of the request."""
        self._known.clear()
        await to_thread.run_sync(end_session, self._engine, who.session)

    async def _look_up(self, presented: str, client: str, *, session: bool) -> Who | None:
        name = hashlib.sha256(f"{session}{presented}".encode()).digest()
        known = self._known.get(name)
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        found = await to_thread.run_sync(
            authenticate_session if session else authenticate_key, self._engine, presented
        )
        if isinstance(found, NotAuthenticated):
            if not session:  # an old session is no wrong key
                await self.refused(client, found.why, found.key_id)
            return None
        if len(self._known) > 1000:
            self._known.clear()
        self._known[name] = (found, time.monotonic() + KNOWN_SECONDS)
        return found

    async def refused(self, client: str, why: str, key_id: str = "") -> None:
        """Write a sign-in that failed into the audit, up to the limit; beyond it once that there were more.

        Raises TooManyTries after that. key_id: only of a key of ours.
        """
        beyond = self.wrong.count(client, time.monotonic())
        await self._trail.write(
            actor=key_id or "unknown",
            action="sign-ins limited" if beyond else "sign-in refused",
            subject="key",
            details={"why": why, "from": client},
        )


def session_cookie(headers: Mapping[bytes, bytes], name: str = COOKIE) -> str:
    """The value of one cookie, in time linear in a bounded header; empty: it is not there, or the header is
    too large.

    Not `http.cookies.SimpleCookie`, whose time grows with the square of the header before Python 3.11.10
    (CVE-2024-7592).
    """
    header = headers.get(b"cookie", b"")
    if len(header) > COOKIE_BYTES:
        return ""
    for part in header.decode("latin-1").split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            return value.strip().strip('"')
    return ""
