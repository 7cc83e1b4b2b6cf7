"""HTTP/1.1 with a bound on headers: a connection whose headers are too slow or too large is closed by the
service itself.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_BYTES: Final = 32 * 1024  # of headers that are not complete; complete ones are bounded in `limits`


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol, with a clock that runs from the first byte of a request (or the connection) to the
    end of its headers.
    """

    header_seconds: float = 10.0
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first request."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Stop the clock when the headers are complete; start it again with the next request."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop()
        elif before is not None and before.response_complete and self._clock is None:
            self._start()  # the headers of the next request of this connection have begun

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._clock = self.loop.call_later(self.header_seconds, self._too_slow)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        self._clock = None
        self.transport.abort()


def bounded_by(header_seconds: float) -> type[Any]:
    """The protocol with a time for headers."""
    return type("BoundedProtocol", (BoundedProtocol,), {"header_seconds": header_seconds})
