"""ASGI middleware around the whole service: no request grows without bound, and every refusal has one shape (RFC 9457).

Neither raises: an exception that escapes before the answer starts would hold the caller until the time-out.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskmodel.errors import Fault, UserError
from riskmodel.serving.messages import Problem

BODY_LIMIT = 2 * 1024 * 1024  # bytes; one household's rows of ten years are about a tenth of this

TITLES = {
    400: "The request cannot be used",
    404: "There is no such thing here",
    405: "The method is not offered here",
    413: "The request is too large",
    415: "The content type is not offered here",
    422: "The rows hold faults",
    429: "Too many requests at once",
    500: "A fault of the service",
    503: "The service is not ready",
    504: "It took too long",
}


class BodyLimit:
    """Reads the body up to the limit before anything else does, and refuses a larger one with 413."""

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self.limit:
            await _refuse(send, 413, _too_large(self.limit))
            return
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.limit:
                await _refuse(send, 413, _too_large(self.limit))
                return
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        waiting = iter(messages)

        async def replay() -> Message:
            return next(waiting, None) or await receive()

        await self.app(scope, replay, send)


class OneShapeOfErrors:
    """Turns every answer of 400 and above into `application/problem+json`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        held: dict[str, Any] = {}

        async def shaped(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                held.update(start=message, body=b"")
                return
            if not held:
                await send(message)
                return
            held["body"] += message.get("body", b"")
            if not message.get("more_body"):
                start = held["start"]
                headers = {name.lower(): value for name, value in start["headers"]}
                if headers.get(b"content-type", b"").startswith(b"application/problem+json"):
                    await send(start)
                    await send({"type": "http.response.body", "body": held["body"]})
                    return
                keep = [
                    (name, value) for name, value in headers.items() if name in {b"retry-after", b"allow", b"www-authenticate"}
                ]
                status, detail, faults = _read(start["status"], held["body"])
                await _refuse(send, status, detail, faults, keep)

        await self.app(scope, receive, shaped)


def as_problem(error: UserError) -> str:
    """A fault of the caller's rows as the text that `OneShapeOfErrors` turns into a problem with status 422."""
    return orjson.dumps({"detail": str(error), "faults": [fault.as_dict() for fault in error.faults]}).decode()


def _read(status: int, body: bytes) -> tuple[int, str, list[dict[str, str]]]:
    """What BentoML said, in our words: its validation comes as a list of pydantic's problems, its exceptions as a list around `error`.

    Our own faults travel through it as JSON in that `error`; they are about rows, hence 422.
    """
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return status, body.decode("utf-8", "replace") or TITLES.get(status, "Refused"), []
    if isinstance(said, list) and said and isinstance(said[0], dict) and "error" in said[0]:
        said = said[0]
    error, problems = (said.get("error", ""), said.get("detail")) if isinstance(said, dict) else (said, said)
    if isinstance(problems, list):
        faults = [_fault(item) for item in problems if isinstance(item, dict)]
        return status, f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in the request", faults
    try:
        ours = orjson.loads(error)
        return 422, ours["detail"], ours["faults"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return status, str(error) or TITLES.get(status, "Refused"), []


def _fault(problem: dict[str, Any]) -> dict[str, str]:
    where = ".".join(str(part) for part in problem.get("loc", ())) or "body"
    remedy = "The shape of a request stands in /docs.json."
    return Fault(where, str(problem.get("type", "")), str(problem.get("msg", "")), remedy).as_dict()


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit:,} bytes; send fewer rows"


async def _refuse(
    send: Send,
    status: int,
    detail: str,
    faults: list[dict[str, str]] | None = None,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    problem = Problem(title=TITLES.get(status, "Refused"), status=status, detail=detail, faults=faults or [])
    body = orjson.dumps(problem.model_dump())
    head = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
