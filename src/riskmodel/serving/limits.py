"""Bounds around everything: how many requests at once, how large a body. Right answer or quick refusal, never a slow death."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskmodel.serving.problems import refuse

BODY_LIMIT: Final = 8 * 1024 * 1024  # bytes; a household's rows of ten years are about 30 KB, so 250 of these at once
AT_ONCE: Final = 64  # requests in the house
RETRY_AFTER: Final = (b"retry-after", b"1")
OPEN: Final = ("/livez", "/readyz")


class Bounded:
    """Answers 503 with Retry-After when `at_once` requests are in the house already. The probes always pass."""

    def __init__(self, app: ASGIApp, at_once: int = AT_ONCE) -> None:
        self.app = app
        self.at_once = at_once
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        if self.inside >= self.at_once:
            await refuse(send, 503, "the service is busy; ask again in a second", (), [RETRY_AFTER])
            return
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1


class BodyLimit:
    """Reads the body up to the limit before anything else does, and refuses a larger one with 413."""

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not announced.isdigit() or int(announced) > self.limit:
            await refuse(send, 413, f"the body is larger than {self.limit:,} bytes; send fewer rows")
            return
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.limit:
                await refuse(send, 413, f"the body is larger than {self.limit:,} bytes; send fewer rows")
                return
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        waiting = iter(messages)

        async def replay() -> Message:
            return next(waiting, None) or await receive()

        await self.app(scope, replay, send)
