"""The caller gate around every route, the framework's own included: who asks, may they, the audit entry, and
the usual headers.

It does not raise: an exception that escapes before the answer starts would hold the caller until the
time-out.
"""

from __future__ import annotations

import hmac
import logging
import traceback
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskmodel.casebook.roles import Who
from riskmodel.errors import Fault, UserError
from riskmodel.serving.authentication import TooManyTries
from riskmodel.serving.limits import client_of
from riskmodel.serving.problems import kind_of, refuse
from riskmodel.serving.quota import Quota
from riskmodel.serving.route import Route
from riskmodel.serving.routes import methods_of, route_of
from riskmodel.serving.state import ServiceState

log = logging.getLogger("riskmodel.serving")

HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)
AUDITED_REFUSALS: Final = (403, 404, 409)  # of somebody who is signed in
ASK_AGAIN: Final = [(b"retry-after", b"5")]


class CallerGate:
    """Denies by default: what the table of routes does not name is not there, and whoever is not signed in
    learns nothing about it.
    """

    def __init__(self, app: ASGIApp, state: ServiceState) -> None:
        self.app = app
        self.state = state
        self.quota = Quota()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif not self.state.is_open:
            detail = "the service has not opened yet"
            await refuse(_with_headers(send), 503, detail, (), [(b"retry-after", b"1")])
        else:
            await self._guard(scope, receive, _with_headers(send))

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        route = route_of(scope["method"], scope["path"])
        of_request = scope.setdefault("state", {})
        of_request.update(route=route, body_limit=route.bounds.size if route and route.bounds else 0)
        try:
            who = None
            if route is None or not route.is_open:
                who = await self.state.authenticator.authenticate(headers, client_of(scope))
            of_request.update(who=who, audit={})
        except TooManyTries as many:
            wait = [(b"retry-after", str(many.wait).encode())]
            await refuse(send, 429, str(many), (), wait, code="wrong-keys")
            return
        except UserError as error:
            await refuse(send, 503, "the casebook does not answer", error.faults, ASK_AGAIN)
            return
        refused = _refusal(scope, route, who, headers)
        if refused is None and who is not None:
            wait_for = self.quota.wait(
                who.key_id, self.state.settings.screening.service.key_requests_a_minute
            )
            if wait_for:
                refused = _Refusal(429, "this key has used its requests of the minute", retry_after=wait_for)
        if refused is None:
            assert route is not None
            await self._pass_on(scope, receive, send, route, who)
        elif (
            who is not None
            and refused.status in AUDITED_REFUSALS
            and not await self._written(who, _refused_entry(route, refused.status))
        ):
            await refuse(send, 503, "the refusal could not be written into the audit", (), ASK_AGAIN)
        else:
            await refuse(send, refused.status, refused.detail, (), refused.headers, code=refused.code)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, route: Route, who: Who | None
    ) -> None:
        """Let the request through; hold the answer until its entry in the audit is on disk."""
        started = withheld = False

        async def held(message: Message) -> None:
            nonlocal started, withheld
            if message["type"] == "http.response.start" and who is not None:
                entry = _entry(route, message["status"], scope["state"]["audit"])
                if entry is not None and not await self._written(who, entry):
                    withheld = started = True
                    expected, remedy = "every answer with its entry", "No data were returned."
                    fault = Fault("audit", "the entry could not be written", expected, remedy)
                    await refuse(send, 503, "the audit cannot be written", [fault], ASK_AGAIN)
            if not withheld:
                started = True
                await send(message)

        try:
            await self.app(scope, receive, held)
        except Exception as error:
            # The text of an exception may repeat what was sent: only its class and its place are logged.
            place = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s in %s\n%s", type(error).__name__, route.name, place)
            if not started:
                await refuse(send, 500, "a fault of the service; its log has the place")

    async def _written(self, who: Who, entry: dict[str, Any]) -> bool:
        try:
            await self.state.trail.write(actor=who.key_id, role=who.role, purpose=who.purpose, **entry)
        except Exception as error:
            log.error("the audit cannot be written: %s", kind_of(error))
            return False
        return True


class _Refusal:
    """Why a request goes no further."""

    def __init__(
        self,
        status: int,
        detail: str,
        headers: list[tuple[bytes, bytes]] | None = None,
        *,
        code: str = "",
        retry_after: int = 0,
    ) -> None:
        self.status, self.detail, self.code = status, detail, code
        self.headers = headers or []
        if retry_after:
            self.headers = [*self.headers, (b"retry-after", str(retry_after).encode())]


def _refusal(
    scope: Scope, route: Route | None, who: Who | None, headers: dict[bytes, bytes]
) -> _Refusal | None:
    """Why the request goes no further; None: it may pass."""
    if route is not None and route.is_open:
        return None
    if who is None:
        detail = "no key in force came with the request, and no session"
        return _Refusal(401, detail, [(b"www-authenticate", b"Bearer")])
    if route is None:
        methods = methods_of(scope["path"])
        if methods:
            offered = ", ".join(methods)
            return _Refusal(405, f"offered here: {offered}", [(b"allow", offered.encode())])
        return _Refusal(404, "there is no such address")
    if who.role not in route.roles:
        return _Refusal(403, f"the role {who.role} has no right to this")
    if who.csrf and scope["method"] not in ("GET", "HEAD"):
        sent = headers.get(b"x-csrf-token", b"")
        if not hmac.compare_digest(sent, who.csrf.encode()):
            detail = "the session's X-CSRF-Token did not come with the request"
            return _Refusal(403, detail, code="csrf-token")
    return None


def _entry(route: Route, status: int, noted: dict[str, Any]) -> dict[str, Any] | None:
    """The audit entry of an answer; None: it needs none. noted: what the handler left for it."""
    if status < 400 and route.audit:
        return {"action": route.audit, "subject": route.path} | noted
    return _refused_entry(route, status) if status in AUDITED_REFUSALS else None


def _refused_entry(route: Route | None, status: int) -> dict[str, Any]:
    subject = route.name if route else "an address that is not there"
    return {"action": "refused", "subject": subject, "details": {"status": status}}


def _with_headers(send: Send) -> Send:
    """`send` with the headers of every answer; a route may set its own."""

    async def completed(message: Message) -> None:
        if message["type"] == "http.response.start":
            has = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in HEADERS if pair[0] not in has)]
        await send(message)

    return completed
