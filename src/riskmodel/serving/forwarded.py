"""The address of the caller behind a reverse proxy: X-Forwarded-For, only from proxies that the settings
name.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from riskmodel.errors import Fault, UserError
from riskmodel.serving.limits import Bounds

VARIABLE: Final = "RISKMODEL_PROXIES"
log = logging.getLogger("riskmodel.serving")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=8)
def networks(named: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks as written in the settings."""
    return tuple(ipaddress.ip_network(text) for text in named)


def proxies_of_environment() -> tuple[str, ...]:
    """Proxies that RISKMODEL_PROXIES names beside the settings, separated by commas. Raises UserError for
    what is no address.
    """
    named = tuple(text.strip() for text in os.environ.get(VARIABLE, "").split(",") if text.strip())
    try:
        return tuple(str(ipaddress.ip_network(text)) for text in named)
    except ValueError:
        expected, remedy = (
            "addresses or networks, separated by commas",
            "Write such as 127.0.0.1,10.1.0.0/16.",
        )
        raise UserError(Fault(VARIABLE, "no address of a network", expected, remedy)) from None


def caller(peer: str, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """The caller's address: the last one in X-Forwarded-For that is no proxy of ours, if a proxy of ours sent
    it.

    peer: who opened the connection. What is no address ends the search: then it is the last address that was
    one.
    """
    found = peer
    here = _address(peer)
    for text in reversed(forwarded.split(",")):
        if here is None or not any(here in network for network in proxies):
            break
        following = _address(text.strip())
        if following is None:
            break
        here, found = following, str(following)
    return found


def _address(text: str) -> Address | None:
    if len(text) > 45:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


class Forwarded:
    """Puts the caller's address into `scope["client"]`, for limits and the audit."""

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        self.app = app
        self.bounds = bounds
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            if values:
                self._believe(scope, b",".join(values).decode("latin-1"))
        await self.app(scope, receive, send)

    def _believe(self, scope: Scope, forwarded: str) -> None:
        proxies = networks(self.bounds.proxies)
        peer = str((scope.get("client") or ("",))[0])
        here = _address(peer)
        if here is not None and any(here in network for network in proxies):
            scope["client"] = (caller(peer, forwarded, proxies), 0)
        elif not self._warned:
            self._warned = True
            log.warning("X-Forwarded-For is not believed: service.proxies does not name its sender")
