"""The door of the running service: keys and sessions are looked at here, wrong ones are counted, slowed and written down."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final

from anyio import to_thread
from sqlalchemy import Engine

from riskmodel.casebook.doorkeeping import Unknown, end_session, open_session, who_has, who_sits
from riskmodel.casebook.roles import Who
from riskmodel.serving.trail import Trail

COOKIE: Final = "riskmodel_session"
REMEMBERED: Final = (
    2.0  # seconds for which a key is not looked up again: a revoked one is refused within them
)
TRIES: Final = 10  # wrong keys a minute from one address; right ones always pass
MINUTE: Final = 60.0


class TooManyTries(Exception):
    """Too many wrong keys came from one address; `wait` seconds until the next is looked at."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"wait {wait} seconds")
        self.wait = wait


class Authenticator:
    """Says who asks. Secrets are neither kept nor logged; what is remembered is their hash."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._known: dict[bytes, tuple[Who, float]] = {}
        self._wrong: dict[str, deque[float]] = {}

    async def who(self, headers: Mapping[bytes, bytes], client: str) -> Who | None:
        """Who sends these headers; None: nobody signed in. Raises TooManyTries after too many wrong keys."""
        presented = headers.get(b"authorization", b"").decode("latin-1")
        if presented:
            scheme, _, token = presented.partition(" ")
            return await self._look(
                token.strip() if scheme.lower() == "bearer" else "", client, session=False
            )
        secret = session_cookie(headers)
        return await self._look(secret, client, session=True) if secret else None

    async def sign_in(self, presented: str, client: str) -> tuple[str, Who] | None:
        """Open a session with a key: the cookie's secret, and who it is; None: the key is not in force."""
        who = await self._look(presented, client, session=False)
        return None if who is None else await to_thread.run_sync(open_session, self._engine, who)

    async def sign_out(self, who: Who) -> None:
        """End the session that asks."""
        self._known.clear()
        await to_thread.run_sync(end_session, self._engine, who.session)

    async def _look(self, presented: str, client: str, *, session: bool) -> Who | None:
        name = hashlib.sha256(f"{session}{presented}".encode()).digest()
        known = self._known.get(name)
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        found = await to_thread.run_sync(who_sits if session else who_has, self._engine, presented)
        if isinstance(found, Unknown):
            await self._count(client, found, session=session)
            return None
        if len(self._known) > 1000:
            self._known.clear()
        self._known[name] = (found, time.monotonic() + REMEMBERED)
        return found

    async def _count(self, client: str, unknown: Unknown, *, session: bool) -> None:
        """Write a wrong key down, up to the limit of its address; beyond it only that there were more. An old session is no wrong key."""
        if session:
            return
        now = time.monotonic()
        if len(self._wrong) > 10_000:
            self._wrong.clear()
        tries = self._wrong.setdefault(client, deque(maxlen=TRIES + 1))
        while tries and now - tries[0] > MINUTE:
            tries.popleft()
        if len(tries) > TRIES:
            raise TooManyTries(max(1, int(MINUTE - (now - tries[0])) + 1))
        tries.append(now)
        action = "sign-ins limited" if len(tries) > TRIES else "sign-in refused"
        details = {"why": unknown.why, "from": client}
        await self._trail.write(
            actor=unknown.key_id or "unknown", action=action, subject="key", details=details
        )


def session_cookie(headers: Mapping[bytes, bytes]) -> str:
    """The session's secret from the cookie header; empty: there is none."""
    try:
        cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""
