"""What an operator sees: one line of JSON for each request, and the figures of `/metrics`. No id, no row, no query of anybody stands in either.

The counts are plain numbers of this process, turned into Prometheus' text when it is asked for: counting costs nothing on the way of a request.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from riskmodel.errors import UserError
from riskmodel.serving.access import right_of
from riskmodel.serving.state import ServiceState
from riskmodel.serving.tally import BUCKETS, Tally
from riskmodel.settings import load_settings, today

QUIET: Final = ("/livez", "/readyz")
log = logging.getLogger("riskmodel.requests")


class Observed:
    """Outermost of all: counts and logs every answer, refusals of the bounds included. Probes are not logged."""

    def __init__(self, app: ASGIApp, tally: Tally) -> None:
        self.app = app
        self.tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - begun
            right = right_of(scope["method"], scope["path"])
            route = f"{right.method} {right.path}" if right else "other"
            self.tally.answered(route, status, seconds)
            if log.isEnabledFor(logging.INFO):
                who = scope.get("state", {}).get("who")
                log.info(
                    "answered",
                    extra={
                        "said": {
                            "route": route,
                            "status": status,
                            "ms": round(seconds * 1000, 2),
                            "key": who.key_id if who else "",
                        }
                    },
                )


class Figures(Collector):
    """The counts, and how old the model and its data are, as Prometheus wants them."""

    def __init__(self, state: ServiceState, tally: Tally) -> None:
        self.state, self.tally = state, tally

    def collect(self) -> Iterator[Metric]:
        tally = self.tally
        households = CounterMetricFamily("riskmodel_households_scored", "Households scored through the API")
        households.add_metric([], tally.households)
        yield households
        answers = CounterMetricFamily(
            "riskmodel_answers", "Answers by route and status", labels=["route", "status"]
        )
        refusals = CounterMetricFamily(
            "riskmodel_refusals", "Answers of 400 and above, by status", labels=["status"]
        )
        refused: Counter[int] = Counter()
        for (route, status), number in sorted(tally.answers.items()):
            answers.add_metric([route, str(status)], number)
            if status >= 400:
                refused[status] += number
        for status, number in sorted(refused.items()):
            refusals.add_metric([str(status)], number)
        yield answers
        yield refusals
        latency = HistogramMetricFamily(
            "riskmodel_answer_seconds", "Time to the end of an answer", labels=["route"]
        )
        for route, counts in sorted(tally.seconds.items()):
            running, buckets = 0, []
            for bound, number in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
                running += number
                buckets.append((bound, running))
            latency.add_metric([route], buckets, float(tally.sums[route]))
        yield latency
        swaps = CounterMetricFamily("riskmodel_release_swaps", "Releases exchanged while the service ran")
        swaps.add_metric([], tally.swaps)
        yield swaps
        refused_releases = CounterMetricFamily(
            "riskmodel_releases_refused", "Releases that were not taken: seal, trial or golden rows"
        )
        refused_releases.add_metric([], tally.refused_releases)
        yield refused_releases
        yield from self._ages()

    def _ages(self) -> Iterator[Metric]:
        if self.state.scorer is None:
            return
        release, day = self.state.scorer.release, today(load_settings(self.state.project))
        info = GaugeMetricFamily(
            "riskmodel_release", "The release in force", labels=["model_version", "as_of", "valid_until"]
        )
        info.add_metric([release.version, release.as_of.isoformat(), release.valid_until.isoformat()], 1)
        yield info
        yield GaugeMetricFamily(
            "riskmodel_model_age_days",
            "Days since the as-of date of the release",
            (day - release.as_of).days,
        )
        yield GaugeMetricFamily(
            "riskmodel_release_not_taken",
            "1: another release serves in place of the one that release/current names",
            int(self.state.scorer.not_taken is not None),
        )
        left = (release.valid_until - day).days
        yield GaugeMetricFamily(
            "riskmodel_valid_days_left", "Days until its scores are not to be used any more", left
        )
        data = GaugeMetricFamily(
            "riskmodel_data_age_days",
            "Days since the newest row of a table known to the release",
            labels=["table"],
        )
        for table, newest in sorted(release.data_dates.items()):
            data.add_metric([table], (day - newest).days)
        yield data


class Metrics:
    """`GET /metrics` as a plain ASGI application."""

    def __init__(self, state: ServiceState) -> None:
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Figures(self.state, self.state.scorer.tally if self.state.scorer else Tally()))
        content = generate_latest(registry)
        head = [
            (b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),
            (b"content-length", str(len(content)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": content})


class Lines(logging.Formatter):
    """A log record as one line of JSON: time, level, logger, message, and what was said beside it. An exception is told by its kind and place."""

    def format(self, record: logging.LogRecord) -> str:
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "at": at,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "said", {})
        if record.exc_info and record.exc_info[0] is not None:
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
            line |= {"exception": record.exc_info[0].__name__, "place": place}
        return json.dumps(line, ensure_ascii=False)


def say_no_start(refusal: UserError) -> None:
    """The last line of a service that cannot start: every fault, each with where, what, what was expected and what to do."""
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
