"""What an operator is told is what the service does: settings, environment, metrics, and an end without a broken answer."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.client
import re
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import httpx
import orjson
import pytest

from riskmodel.errors import ProjectError
from riskmodel.screening.settings import Service, load_settings
from riskmodel.serving.limits import MEGABYTE, BodyLimit, Bounded, Bounds
from riskmodel.serving.observe import Figures, Tally
from riskmodel.serving.requests import scores_request

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()


def test_every_setting_is_told_with_the_value_that_is_delivered(project):
    delivered = load_settings(project).service
    assert delivered == Service(), "the file and the code say the same"
    for name, value in delivered.model_dump().items():
        assert re.search(rf"^\| `{name}` \| {value:g} \|", PAGE, re.MULTILINE), name


def test_every_variable_of_the_environment_that_the_service_reads_is_told():
    read = set()
    for path in (ROOT / "src" / "riskmodel").rglob("*.py"):
        if not {"training", "synthetic"} & set(path.parts):
            read |= set(re.findall(r'"(RISKMODEL_[A-Z_]+)"', path.read_text()))
    assert read and not {name for name in read if name not in PAGE}


def test_every_metric_is_told_and_every_told_metric_is_there(service):
    tally = Tally()
    tally.answered("GET /v1/lists", 200, 0.01)
    there = {metric.name for metric in Figures(service.office, tally).collect()}
    told = {
        re.sub(r"_total$", "", name)
        for name in re.findall(r"`(riskmodel_[a-z_]+)", PAGE.split("## Metrics")[1].split("\n## ")[0])
    }
    assert there == told


@pytest.mark.parametrize("change", ["at_once: 0 ", "at_once: many ", "bodies_megabytes: 8 ", "surprise: 1\n  at_once: 64 "])
def test_an_impossible_setting_is_refused_with_its_line(own_project, change):
    path = own_project.root / "serving" / "screening.yaml"
    text = path.read_text()
    key = change.split("\n")[-1].strip().split(":")[0] if "surprise" not in change else "at_once"
    path.write_text(re.sub(rf"{key}: \d+ ", change, text))
    with pytest.raises(ProjectError, match=r"screening.yaml:\d+"):
        load_settings(own_project)


def asked(app, method="POST", messages=(), headers=()):
    """What an ASGI application sends for one request whose body comes as these messages; None among them: it never comes."""
    sent, waiting = [], iter(messages)

    async def receive():
        message = next(waiting, None)
        if message is None:
            await asyncio.sleep(3600)
        return message

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/v1/scores", "headers": list(headers)}
    return app(scope, receive, send), sent


def chunk(size, more):
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


def bounds(**settings):
    made = Bounds()
    made.settings = Service(**settings)
    return made


async def echo(scope, receive, send):
    body = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body["body"])).encode()})


def test_bodies_are_bounded_each_and_together_and_given_back_whatever_happens():
    async def run():
        limit = BodyLimit(echo, bounds(body_megabytes=1, bodies_megabytes=1))
        call, sent = asked(limit, messages=[chunk(1000, True), chunk(500, False)])
        await call
        assert sent[0]["status"] == 200 and sent[1]["body"] == b"1500"
        call, sent = asked(limit, messages=[chunk(MEGABYTE, True), chunk(1, False)])
        await call
        assert sent[0]["status"] == 413 and limit.held == 0
        call, sent = asked(limit, headers=[(b"content-length", str(50_000_000).encode())])
        await call
        assert sent[0]["status"] == 413, "announced: nothing of it is read"
        first, _ = asked(limit, messages=[chunk(MEGABYTE * 3 // 4, True)])
        holding = asyncio.create_task(first)
        await asyncio.sleep(0.01)
        call, sent = asked(limit, messages=[chunk(MEGABYTE // 2, False)])
        await call
        assert sent[0]["status"] == 503
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding
        call, sent = asked(limit, messages=[{"type": "http.disconnect"}])
        await call
        assert sent == [] and limit.held == 0

    asyncio.run(run())


def test_a_body_that_was_handed_on_is_not_kept_by_what_is_left_of_its_request():
    kept = []

    async def keeper(scope, receive, send):
        assert len((await receive())["body"]) == MEGABYTE
        kept.append(
            receive
        )  # as closures in a circle do until the garbage collector passes, which may be thousands of requests later

    async def requests():
        for _ in range(20):
            halves = [{"type": "http.request", "body": bytes(MEGABYTE // 2), "more_body": more} for more in (True, False)]

            async def receive(halves=halves):
                return halves.pop(0)

            await BodyLimit(keeper, Bounds())({"type": "http", "method": "POST", "headers": []}, receive, None)

    tracemalloc.start()
    try:
        asyncio.run(requests())
        assert len(kept) == 20 and tracemalloc.get_traced_memory()[0] < 2 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_a_body_that_does_not_come_and_an_answer_that_does_not_come_are_ended():
    async def slow(scope, receive, send):
        await asyncio.sleep(3600)

    async def run():
        made = bounds(body_seconds=1, answer_seconds=1)
        call, sent = asked(BodyLimit(echo, made), messages=[chunk(10, True)])
        await call
        assert sent[0]["status"] == 408
        outer = Bounded(slow, made)
        call, sent = asked(outer)
        await call
        assert sent[0]["status"] == 504 and outer.inside == 0

    asyncio.run(run())


def test_one_request_too_many_is_refused_at_once_with_retry_after():
    async def run():
        free = asyncio.Event()

        async def held(scope, receive, send):
            await free.wait()
            await echo(scope, receive, send)

        outer = Bounded(held, bounds(at_once=2))
        calls = [asked(outer, messages=[chunk(1, False)]) for _ in range(3)]
        running = [asyncio.create_task(call) for call, _ in calls[:2]]
        await asyncio.sleep(0.01)
        await asyncio.wait_for(calls[2][0], 0.5)
        start = calls[2][1][0]
        assert start["status"] == 503 and dict(start["headers"])[b"retry-after"] == b"1"
        free.set()
        await asyncio.gather(*running)
        assert [sent[0]["status"] for _, sent in calls[:2]] == [200, 200]

    asyncio.run(run())


def test_sigterm_finishes_what_is_in_the_house(screened_county):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [Path(sys.executable).with_name("riskmodel"), "serve", "--port", str(port), "--project", screened_county.project.root],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if httpx.get(f"{address}/readyz", timeout=2).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
        names = screened_county.scores.frame["household_id"][:200].to_list()
        body = orjson.dumps(scores_request(screened_county.tables, sorted(names), dt.date(2025, 12, 31)))
        headers = {"authorization": f"Bearer {screened_county.own['case_system']}", "content-type": "application/json"}
        held = []
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("POST", "/v1/scores", body, headers)  # returns when the whole body has been taken
            held.append(connection)
        process.send_signal(signal.SIGTERM)
        answers = [connection.getresponse() for connection in held]
        told = [(answer.status, answer.read()) for answer in answers]
        assert process.wait(60) in (0, -signal.SIGTERM)
        assert {status for status, _ in told} <= {200, 503}
        whole = [orjson.loads(said) for status, said in told if status == 200]
        assert whole and all(len(said["scores"]) == 200 for said in whole)
    finally:
        if process.poll() is None:
            process.kill()
