"""`GET /metrics`: counts of the process and ages of model and data, as Prometheus' text. No id and no row is
among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Receive, Scope, Send

from riskmodel.serving.state import ServiceState
from riskmodel.serving.tally import BUCKETS, Tally
from riskmodel.settings import today


class Figures(Collector):
    """The counts of the process, and how old the model and its data are, as Prometheus collects them."""

    def __init__(self, state: ServiceState, tally: Tally) -> None:
        self.state, self.tally = state, tally

    def collect(self) -> Iterator[Metric]:
        """The metrics at this moment, for Prometheus."""
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
        release, day = self.state.scorer.release, today(self.state.settings.screening)
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
