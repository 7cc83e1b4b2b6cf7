"""What an operator sees of each request: an id, one line of JSON in the log, and a count. No row, no query,
no address with its ids.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import secrets
import sys
import time
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskmodel.casebook.request_id import REQUEST_ID
from riskmodel.errors import UserError
from riskmodel.serving.floors import below
from riskmodel.serving.problems import refuse
from riskmodel.serving.routes import route_of
from riskmodel.serving.tally import Tally
from riskmodel.tables.identity import telling_text

QUIET: Final = ("/livez", "/readyz")
HEADER: Final = b"x-request-id"
TAKEN: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
log = logging.getLogger("riskmodel.requests")


def request_id(scope: Scope) -> str:
    """The caller's X-Request-Id where it is 8 to 64 of A-Za-z0-9._- and no number of a person; otherwise a
    new one.
    """
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    if TAKEN.fullmatch(given) and not telling_text(given.decode()):
        return given.decode()
    return secrets.token_hex(12)


class Observed:
    """Outermost of all: gives each request its id, counts and logs its answer, refusals of the bounds
    included.

    Probes are not counted and not logged.
    """

    def __init__(self, app: ASGIApp, tally: Tally) -> None:
        self.app = app
        self.tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name = request_id(scope)
        REQUEST_ID.set(name)
        begun = time.perf_counter()
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER, name.encode())]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            # An exception that escapes before the answer starts would hold the caller until the time-out.
            log.error("%s outside every route", type(error).__name__)
            if not status:
                await refuse(noted, 500, "a fault of the service; its log has the request id")
        finally:
            if scope["path"] not in QUIET:
                self._count(scope, name, status, time.perf_counter() - begun)

    def _count(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        found = scope.get("state", {}).get("route") or route_of(scope["method"], scope["path"])
        route = found.name if found else "other"
        self.tally.answered(route, status, seconds)
        if log.isEnabledFor(logging.INFO):
            who = scope.get("state", {}).get("who")
            fields = {
                "request_id": name,
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 2),
                "key": who.key_id if who else "",
            }
            log.info("answered", extra={"said": fields})


class Lines(logging.Formatter):
    """A log record as one line of JSON: time, level, logger, message, and its `said` fields.

    Of an exception only its class and its place in the code are written: its text may repeat what was sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One log record as a line of JSON."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "at": at,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if REQUEST_ID.get():
            line["request_id"] = REQUEST_ID.get()
        line |= getattr(record, "said", {})
        if record.exc_info and record.exc_info[0] is not None:
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
            line |= {"exception": record.exc_info[0].__name__, "place": place}
        return json.dumps(line, ensure_ascii=False)


def warn_of_versions() -> None:
    """A warning in the log for each package, and the interpreter, that is below its floor."""
    log = logging.getLogger("riskmodel.serving")
    for fault in below():
        log.warning("a version is below its floor", extra={"said": {"fault": str(fault)}})


def log_no_start(refusal: UserError) -> None:
    """The last line of a service that cannot start: every fault, each with where, what, what was expected and
    what to do.
    """
    log = logging.getLogger("riskmodel.serving")
    log.critical("the service does not start", extra={"said": {"faults": str(refusal).splitlines()}})


def log_as_lines(level: int = logging.INFO) -> None:
    """Send everything that `riskmodel` logs to stderr, as lines of JSON, once."""
    logger = logging.getLogger("riskmodel")
    if not any(isinstance(handler.formatter, Lines) for handler in logger.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Lines())
        logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
