"""Bounds around every request: how many at a time, how large, how long. A right answer or a quick refusal.

A request holds one of `at_once` places while it is worked on, not while its body is on its way: slow bodies
wait outside, so many from one client. Bodies are bounded by what their route takes, first by Content-Length,
then while they come.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskmodel.serving.problems import refuse
from riskmodel.settings import Service

MEGABYTE: Final = 1024 * 1024
RETRY_AFTER: Final = (b"retry-after", b"1")
CLOSE: Final = (b"connection", b"close")
PROBES: Final = ("/livez", "/readyz")
HEADER_BYTES: Final = 16 * 1024  # names and values of all headers, with the address
HEADERS_AT_MOST: Final = 100
QUERY_BYTES: Final = 4 * 1024
SMALL_BODY_SECONDS: Final = 5.0  # for a body of a few kB; larger ones have `body_seconds`
SMALL_BODY: Final = 4 * 1024
WITHOUT_BODY: Final = ("GET", "HEAD", "DELETE")


class Bounds:
    """The bounds in force, set when the service opens and when it takes another release."""

    def __init__(self) -> None:
        self.settings = Service()
        self.more_proxies: tuple[str, ...] = ()

    @property
    def proxies(self) -> tuple[str, ...]:
        """Reverse proxies of the settings and of the environment."""
        return (*self.settings.proxies, *self.more_proxies)


def client_of(scope: Scope) -> str:
    """The address for which requests are counted: of IPv6 the /64, which is one line of one customer."""
    host = str((scope.get("client") or ("",))[0])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False).network_address)


class Place:
    """A place among the requests that are worked on; given up while a body is on its way, and taken again."""

    def __init__(self, bounded: Bounded) -> None:
        self._bounded = bounded
        self.held = False

    def take(self) -> bool:
        """Take a place. False: there is none."""
        if not self.held and self._bounded.inside < self._bounded.bounds.settings.at_once:
            self._bounded.inside += 1
            self.held = True
        return self.held

    def give_up(self) -> None:
        """Leave the place to others; a second call does nothing."""
        if self.held:
            self._bounded.inside -= 1
            self.held = False


class Bounded:
    """Refuses what is too much before anything is done for it, and what takes too long. Probes always pass.

    431: headers; 503: no place is free; 429: too many from one address; 504: no answer in time.
    """

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        self.app = app
        self.bounds = bounds
        self.inside = 0
        self.clients: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _too_many_headers(scope):
            detail = (
                f"headers and address of more than {HEADER_BYTES // 1024} kB, or a query of more than 4 kB"
            )
            await refuse(send, 431, detail, (), [CLOSE])
            return
        if scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        settings, client, place = self.bounds.settings, client_of(scope), Place(self)
        if self.clients[client] >= settings.client_at_once:
            detail = "too many requests at once from this address"
            await refuse(send, 429, detail, (), [RETRY_AFTER, CLOSE])
            return
        if not place.take():
            await _busy(send)
            return
        scope.setdefault("state", {})["place"] = place
        self.clients[client] += 1
        try:
            await self._in_time(scope, receive, send, settings.answer_seconds)
        finally:
            place.give_up()
            self.clients[client] -= 1
            if not self.clients[client]:
                del self.clients[client]

    async def _in_time(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(seconds):
                await self.app(scope, receive, noted)
        except TimeoutError:
            if not started:
                await refuse(send, 504, "the answer took too long", (), [RETRY_AFTER])


class BodyLimit:
    """Reads the body before anything else does, up to the limit of its route (`scope["state"]["body_limit"]`,
    set by the caller gate).

    413: larger; 408: too slow; 429: too many bodies from one address; 503: too many bytes, or no place free
    once it has come.
    """

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        self.app = app
        self.bounds = bounds
        self.held = 0
        self.clients: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        held = [0]
        try:
            once = await self._waited_for(scope, receive, send, held)
            if once is not None:
                await self.app(scope, once, send)
        finally:
            self.held -= held[0]

    async def _waited_for(
        self, scope: Scope, receive: Receive, send: Send, held: list[int]
    ) -> Receive | None:
        """The whole body, read without a place among the requests that are worked on; None: refused."""
        settings, client = self.bounds.settings, client_of(scope)
        limit = _limit_of(scope, settings)
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not announced.isdigit() or len(announced) > 12 or int(announced) > limit:
            await _too_large(send, limit)
            return None
        if self.clients[client] >= settings.client_bodies:
            await refuse(send, 429, "too many bodies at once from this address", (), [RETRY_AFTER, CLOSE])
            return None
        place: Place | None = scope.get("state", {}).get("place")
        self.clients[client] += 1
        if place is not None:
            place.give_up()
        try:
            once = await self._body(receive, send, held, limit, _seconds_of_body(scope, settings))
        finally:
            self.clients[client] -= 1
            if not self.clients[client]:
                del self.clients[client]
        if once is not None and place is not None and not place.take():
            await _busy(send)
            return None
        return once

    async def _body(
        self, receive: Receive, send: Send, held: list[int], limit: int, seconds: float
    ) -> Receive | None:
        """The whole body; None: refused, or the caller has gone. held: counts the bytes that are in memory
        for it.
        """
        most = self.bounds.settings.bodies_megabytes * MEGABYTE
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    part = message.get("body", b"")
                    held[0] += len(part)
                    self.held += len(part)
                    if held[0] > limit:
                        parts.clear()
                        await _too_large(send, limit)
                        return None
                    if self.held > most:
                        parts.clear()
                        detail = "the service is busy with other large requests"
                        await refuse(send, 503, detail, (), [RETRY_AFTER, CLOSE])
                        return None
                    parts.append(part)
                    if not message.get("more_body"):
                        return _once(parts, receive)
        except TimeoutError:
            await refuse(send, 408, "the body did not come in time", (), [CLOSE])
            return None


def _limit_of(scope: Scope, settings: Service) -> int:
    """Bytes that a body of this route may have; 0 in the table: as many as the settings allow."""
    return int(scope.get("state", {}).get("body_limit") or settings.body_megabytes * MEGABYTE)


def _seconds_of_body(scope: Scope, settings: Service) -> float:
    """How long the body may take to come."""
    if scope["method"] in WITHOUT_BODY:
        return 0.0
    return SMALL_BODY_SECONDS if _limit_of(scope, settings) <= SMALL_BODY else settings.body_seconds


def _too_many_headers(scope: Scope) -> bool:
    headers, query = scope["headers"], scope.get("query_string", b"")
    size = len(scope.get("raw_path") or b"") + sum(len(name) + len(value) for name, value in headers)
    return len(headers) > HEADERS_AT_MOST or size + len(query) > HEADER_BYTES or len(query) > QUERY_BYTES


def _once(parts: list[bytes], receive: Receive) -> Receive:
    """A `receive` that returns the whole body once, then what the server sends (that the caller has gone).

    `parts` is emptied: a body that was handed on is not kept here. Closures of a finished request live until
    the garbage collector passes, which may be thousands of requests later.
    """

    async def replay() -> Message:
        if parts:
            body = b"".join(parts) if len(parts) > 1 else parts[0]
            parts.clear()
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


async def _busy(send: Send) -> None:
    await refuse(send, 503, "the service is busy; ask again in a second", (), [RETRY_AFTER, CLOSE])


async def _too_large(send: Send, limit: int) -> None:
    size = f"{limit // MEGABYTE} MB" if limit >= MEGABYTE else f"{limit:,} bytes"
    await refuse(send, 413, f"the body is larger than {size}, the most that this address takes", (), [CLOSE])
