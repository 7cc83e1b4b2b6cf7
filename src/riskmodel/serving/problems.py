"""One shape for every refusal: RFC 9457 problem details, all faults at once, sent without raising.

Middlewares must not raise: an exception that escapes before the answer starts would hold the caller until the time-out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import orjson
from starlette.types import Send

from riskmodel.errors import Fault

TITLES: Final = {
    400: "The request cannot be used",
    401: "Nobody is signed in",
    403: "This key may not do that",
    404: "There is no such thing here",
    405: "The method is not offered here",
    408: "The request came too slowly",
    409: "That is in contradiction to what is there",
    413: "The request is too large",
    415: "The content type is not offered here",
    422: "The rows hold faults",
    429: "Too many requests at once",
    500: "A fault of the service",
    503: "The service is not ready",
    504: "It took too long",
}
PROBLEM_JSON: Final = (b"content-type", b"application/problem+json")


def problem(status: int, detail: str, faults: Iterable[Fault] = ()) -> bytes:
    """The body of a refusal. detail: one sentence; faults: each with where, found, expected and remedy."""
    said = {
        "type": "about:blank",
        "title": TITLES.get(status, "Refused"),
        "status": status,
        "detail": detail,
        "faults": [fault.as_dict() for fault in faults],
    }
    return orjson.dumps(said)


async def refuse(
    send: Send,
    status: int,
    detail: str,
    faults: Iterable[Fault] = (),
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send a refusal as the whole answer. headers: further ones, such as `retry-after`."""
    body = problem(status, detail, faults)
    head = [
        PROBLEM_JSON,
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def kind_of(error: Exception) -> str:
    """What an exception is, for a log: its class, and the database's own code (SQLITE_FULL, 57P01). Never its text, which may repeat what was sent."""
    origin = getattr(error, "orig", None) or error
    code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None)
    return f"{type(error).__name__} ({code})" if code else type(error).__name__
