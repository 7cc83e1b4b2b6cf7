"""Bounds around everything: how many requests, how much, how long. Right answer or quick refusal, never a slow death."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskmodel.serving.problems import refuse
from riskmodel.settings import Service

MEGABYTE: Final = 1024 * 1024
RETRY_AFTER: Final = (b"retry-after", b"1")
PROBES: Final = ("/livez", "/readyz")


class Bounds:
    """The bounds of the running service, set when it opens; as `serving/screening.yaml` has them when nobody says otherwise."""

    def __init__(self) -> None:
        self.settings = Service()


class Bounded:
    """Answers 503 with Retry-After when so many requests are in the house already, and 504 when an answer takes too long. Probes always pass."""

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        self.app = app
        self.bounds = bounds
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        if self.inside >= self.bounds.settings.at_once:
            await refuse(
                send,
                503,
                "the service is busy; ask again in a second",
                (),
                [RETRY_AFTER, (b"connection", b"close")],
            )
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        self.inside += 1
        try:
            async with asyncio.timeout(self.bounds.settings.answer_seconds):
                await self.app(scope, receive, noted)
        except TimeoutError:
            if not started:
                await refuse(send, 504, "the answer took too long", (), [RETRY_AFTER])
        finally:
            self.inside -= 1


class BodyLimit:
    """Reads the body before anything else does: a larger one is refused with 413, a slow one with 408, one too many with 503."""

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        self.app = app
        self.bounds = bounds
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "DELETE"):
            await self.app(scope, receive, send)
            return
        held = [0]
        try:
            once = await self._body(scope, receive, send, held)
            if once is not None:
                await self.app(scope, once, send)
        finally:
            self.held -= held[0]

    async def _body(self, scope: Scope, receive: Receive, send: Send, held: list[int]) -> Receive | None:
        """Gives the whole body; None: it was refused, or the caller has gone. held: counts the bytes that are in the house for it."""
        settings = self.bounds.settings
        limit = settings.body_megabytes * MEGABYTE
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not announced.isdigit() or int(announced) > limit:
            await _too_large(send, settings.body_megabytes)
            return None
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(settings.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    part = message.get("body", b"")
                    held[0] += len(part)
                    self.held += len(part)
                    parts.append(part)
                    if held[0] > limit:
                        await _too_large(send, settings.body_megabytes)
                        return None
                    if self.held > settings.bodies_megabytes * MEGABYTE:
                        await refuse(
                            send, 503, "the service is busy with other large requests", (), [RETRY_AFTER]
                        )
                        return None
                    if not message.get("more_body"):
                        return _once(parts, receive)
        except TimeoutError:
            await refuse(send, 408, "the body did not come in time", (), [(b"connection", b"close")])
            return None


def _once(parts: list[bytes], receive: Receive) -> Receive:
    """Gives the whole body once, then what the server says (that the caller has gone). `parts` is emptied: a body that was handed on is not kept here.

    Closures of a finished request live until the garbage collector passes, which may be thousands of requests later.
    """

    async def replay() -> Message:
        if parts:
            body = b"".join(parts) if len(parts) > 1 else parts[0]
            parts.clear()
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


async def _too_large(send: Send, megabytes: int) -> None:
    await refuse(
        send, 413, f"the body is larger than {megabytes} MB; send fewer rows", (), [(b"connection", b"close")]
    )
