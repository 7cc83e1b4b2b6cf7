"""The gate around every route, the framework's own included: who asks, may they, what is written down, and the headers of every answer.

It does not raise: an exception that escapes before the answer starts would hold the caller until the time-out.
"""

from __future__ import annotations

import hmac
import logging
import traceback
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskmodel.casebook.roles import Who
from riskmodel.errors import Fault, UserError
from riskmodel.serving.access import OPEN, Right, methods_of, right_of
from riskmodel.serving.authentication import TooManyTries
from riskmodel.serving.problems import kind_of, refuse
from riskmodel.serving.state import ServiceState
from riskmodel.serving.trail import Trail

log = logging.getLogger("riskmodel.serving")

HEADERS: Final = (
    (b"content-security-policy", b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)  # fmt: skip
WRITTEN_DOWN: Final = (403, 404, 409)  # refusals of somebody who is signed in


class CallerGate:
    """Deny by default: what the table of rights does not name is not there, and whoever is not signed in learns nothing about it."""

    def __init__(self, app: ASGIApp, state: ServiceState) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif not self.state.is_open:
            await refuse(_dressed(send), 503, "the service has not opened yet", (), [(b"retry-after", b"1")])
        else:
            await self._guard(scope, receive, _dressed(send))

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        authenticator, trail = self.state.authenticator, self.state.trail
        noted = scope.setdefault("state", {})
        headers = dict(scope["headers"])
        right = right_of(scope["method"], scope["path"])
        try:
            who = None
            if right is None or right.roles != OPEN:
                client = (scope.get("client") or ("", 0))[0]
                who = await authenticator.who(headers, client)
            noted.update(who=who, audit={})
        except TooManyTries as many:
            await refuse(send, 429, str(many), (), [(b"retry-after", str(many.wait).encode())])
            return
        except UserError as error:
            await refuse(send, 503, "the casebook does not answer", error.faults, [(b"retry-after", b"5")])
            return
        refused = _refusal(scope, right, who, headers)
        if refused is None:
            assert right is not None
            await self._pass_on(scope, receive, send, right, who, trail)
            return
        status, detail, extra = refused
        if (
            who is not None
            and status in WRITTEN_DOWN
            and not await _written(trail, who, _refused_entry(right, status))
        ):
            status, detail, extra = 503, "the refusal could not be written down", [(b"retry-after", b"5")]
        await refuse(send, status, detail, (), extra)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, right: Right, who: Who | None, trail: Trail
    ) -> None:
        """Let the request through; hold the answer until its entry in the audit is on disk."""
        started = withheld = False

        async def held(message: Message) -> None:
            nonlocal started, withheld
            if message["type"] == "http.response.start" and who is not None:
                status, said = message["status"], scope["state"]["audit"]
                entry: dict[str, Any] | None = None
                if status < 400 and right.audit:
                    entry = {"action": right.audit, "subject": right.path} | said
                elif status in WRITTEN_DOWN:
                    entry = _refused_entry(right, status)
                if entry is not None and not await _written(trail, who, entry):
                    withheld = started = True
                    fault = Fault(
                        "audit",
                        "the entry could not be written",
                        "every answer with its entry",
                        "Nothing was handed out.",
                    )
                    await refuse(send, 503, "the audit cannot be written", [fault], [(b"retry-after", b"5")])
            if not withheld:
                started = True
                await send(message)

        try:
            await self.app(scope, receive, held)
        except Exception as error:
            # What the exception says may repeat what was sent: only its kind and its place are logged.
            log.error(
                "%s in %s %s\n%s",
                type(error).__name__,
                right.method,
                right.path,
                "".join(traceback.format_tb(error.__traceback__)),
            )
            if not started:
                await refuse(send, 500, "a fault of the service; its log has the place")


def _refusal(
    scope: Scope, right: Right | None, who: Who | None, headers: dict[bytes, bytes]
) -> tuple[int, str, list[tuple[bytes, bytes]]] | None:
    """Why the request goes no further: status, detail, headers; None: it may pass."""
    if right is not None and right.roles == OPEN:
        return None
    if who is None:
        return (
            401,
            "no key in force came with the request, and no session",
            [(b"www-authenticate", b"Bearer")],
        )
    if right is None:
        methods = methods_of(scope["path"])
        if methods:
            return 405, f"offered here: {', '.join(methods)}", [(b"allow", ", ".join(methods).encode())]
        return 404, "there is no such address", []
    if who.role not in right.roles:
        return 403, f"the role {who.role} has no right to this", []
    if who.csrf and scope["method"] not in ("GET", "HEAD"):
        sent = headers.get(b"x-csrf-token", b"")
        if not hmac.compare_digest(sent, who.csrf.encode()):
            return 403, "the session's X-CSRF-Token did not come with the request", []
    return None


def _refused_entry(right: Right | None, status: int) -> dict[str, Any]:
    subject = f"{right.method} {right.path}" if right else "an address that is not there"
    return {"action": "refused", "subject": subject, "details": {"status": status}}


async def _written(trail: Trail, who: Who, entry: dict[str, Any]) -> bool:
    try:
        await trail.write(actor=who.key_id, role=who.role, purpose=who.purpose, **entry)
    except Exception as error:
        log.error("the audit cannot be written: %s", kind_of(error))
        return False
    return True


def _dressed(send: Send) -> Send:
    """`send` with the headers that every answer wears; a route may set its own."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            has = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in HEADERS if pair[0] not in has)]
        await send(message)

    return dressed
