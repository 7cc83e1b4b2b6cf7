"""What an operator is told is what the service does: settings, environment, metrics, and an end without a
broken answer.
"""

from __future__ import annotations

import asyncio
import configparser
import datetime as dt
import http.client
import re
import shutil
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
import yaml

from riskmodel.errors import ProjectError
from riskmodel.serving.limits import MEGABYTE, BodyLimit, Bounded, Bounds
from riskmodel.serving.metrics import Figures
from riskmodel.serving.problems import kind_of
from riskmodel.serving.requests import scores_request
from riskmodel.serving.server import STOP_SECONDS
from riskmodel.serving.tally import Tally
from riskmodel.settings import Service, load_settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()


def test_every_setting_is_told_with_the_value_that_is_delivered(project):
    delivered = load_settings(project).service
    assert delivered == Service(), "the file and the code say the same"
    for name, value in delivered.model_dump().items():
        written = f"{value:g}" if isinstance(value, (int, float)) else re.escape(str(value))
        assert re.search(rf"^\| `{name}` \| {written} \|", PAGE, re.MULTILINE), name


def test_every_variable_of_the_environment_that_the_service_reads_is_told():
    read = set()
    for path in (ROOT / "src" / "riskmodel").rglob("*.py"):
        if not {"training", "synthetic"} & set(path.parts):
            read |= set(re.findall(r'"(RISKMODEL_[A-Z_]+)"', path.read_text()))
    assert read and not {name for name in read if name not in PAGE}


def test_every_metric_is_told_and_every_told_metric_is_there(service):
    tally = Tally()
    tally.answered("GET /v1/lists", 200, 0.01)
    there = {metric.name for metric in Figures(service.state, tally).collect()}
    told = {
        re.sub(r"_total$", "", name)
        for name in re.findall(r"`(riskmodel_[a-z_]+)", PAGE.split("## Metrics")[1].split("\n## ")[0])
    }
    assert there == told


@pytest.mark.parametrize(
    "change", ["at_once: 0 ", "at_once: many ", "bodies_megabytes: 8 ", "surprise: 1\n  at_once: 64 "]
)
def test_an_impossible_setting_is_refused_with_its_line(own_project, change):
    path = own_project.root / "serving" / "screening.yaml"
    text = path.read_text()
    key = change.split("\n")[-1].strip().split(":")[0] if "surprise" not in change else "at_once"
    path.write_text(re.sub(rf"{key}: \d+ ", change, text))
    with pytest.raises(ProjectError, match=r"screening.yaml:\d+"):
        load_settings(own_project)


def test_a_refused_setting_is_told_in_words_that_make_a_sentence(own_project):
    path = own_project.root / "serving" / "screening.yaml"
    text = path.read_text()
    told = []
    for old, new in (("at_once: 64", "at_once: 0"), ("bodies_megabytes: 64", "bodies_megabytes: 8")):
        path.write_text(text.replace(f" {old} ", f" {new} "))
        with pytest.raises(ProjectError) as refusal:
            load_settings(own_project)
        (fault,) = refusal.value.faults
        told.append(str(fault).partition("screening.yaml:")[2])
    assert re.fullmatch(
        r"\d+ \(service.at_once\): 0; expected greater than or equal to 1. Correct the value.", told[0]
    )
    assert re.fullmatch(
        (
            r"\d+ \(service\): keys that do not go together; expected bodies_megabytes holds at least one "
            r"body: .*"
        ),
        told[1],
    )


def test_the_log_names_the_database_s_code_of_what_failed_and_never_its_text():
    import sqlite3

    import sqlalchemy

    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(sqlalchemy.exc.OperationalError) as failed:
        connection.execute(sqlalchemy.text("SELECT secret FROM nowhere"))
    assert kind_of(failed.value) == "OperationalError (SQLITE_ERROR)"
    assert kind_of(sqlite3.OperationalError("secret")) == "OperationalError"
    assert kind_of(ValueError("secret")) == "ValueError"


def test_the_compose_file_hides_the_service_bounds_it_and_lets_it_write_only_its_own(project):
    compose = yaml.safe_load((project.root / "serving" / "deploy" / "compose.yaml").read_text())
    service, proxy = compose["services"]["riskmodel"], compose["services"]["proxy"]
    assert (
        "ports" not in service
        and service["networks"] == ["inside"]
        and compose["networks"]["inside"]["internal"] is True
    )
    assert proxy["ports"] == ["443:443"]
    assert (
        service["read_only"]
        and service["cap_drop"] == ["ALL"]
        and service["security_opt"] == ["no-new-privileges:true"]
    )
    assert service["command"][:2] == ["riskmodel", "serve"], "started as everywhere else"
    written = {volume.split(":")[1] for volume in service["volumes"] if not volume.endswith(":ro")}
    made = set(
        re.findall(
            r"/var/cache/\w+|\$home/\w+", (project.root / "serving" / "deploy" / "image.sh").read_text()
        )
    )
    inside = {path.replace("$home", "/home/bentoml/bento/src") for path in made}
    assert written == inside, (
        "a volume takes its owner from the folder that image.sh makes: without one it is root's, and "
        "nothing can be written"
    )
    assert {service["environment"][name] for name in ("RISKMODEL_CACHE", "NUMBA_CACHE_DIR")} <= written
    # The caller's address comes from the proxy: otherwise one caller's wrong keys would shut everybody out.
    (subnet,) = compose["networks"]["inside"]["ipam"]["config"]
    assert service["environment"]["RISKMODEL_PROXIES"] == subnet["subnet"]
    for one in (service, proxy):
        assert one["logging"]["options"].keys() >= {"max-size", "max-file"}, "logs end before the disk does"
    assert proxy["depends_on"]["riskmodel"] == {"condition": "service_healthy", "restart": True}
    assert int(service["stop_grace_period"].rstrip("s")) > STOP_SECONDS


def test_the_systemd_unit_is_whole_and_well_shut(project, needs, tmp_path):
    path = project.root / "serving" / "deploy" / "riskmodel.service"
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(path.read_text())
    service = unit["Service"]
    assert service["ExecStart"].endswith("riskmodel serve --host 127.0.0.1 --port 3000")
    assert int(service["TimeoutStopSec"]) > STOP_SECONDS and service["Restart"] == "on-failure"
    assert service["ReadWritePaths"] == "/srv/riskmodel/casebook" and service["ProtectSystem"] == "strict"
    analyse = shutil.which("systemd-analyze")
    needs(analyse, "systemd-analyze (Debian's package `systemd`)")
    done = subprocess.run(
        [analyse, "security", "--offline=true", path], capture_output=True, text=True, check=False
    )
    exposure = re.search(r"Overall exposure level for riskmodel.service: ([\d.]+)", done.stdout)
    assert exposure and float(exposure[1]) <= 2.0, done.stdout[-300:] + done.stderr[-300:]


def asked(app, method="POST", messages=(), headers=()):
    """What an ASGI application sends for one request whose body comes as these messages; None among them: it
    never comes.
    """
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
        # As closures in a circle do until the garbage collector passes, which may be thousands of requests
        # later.
        kept.append(receive)

    async def requests():
        for _ in range(20):
            halves = [
                {"type": "http.request", "body": bytes(MEGABYTE // 2), "more_body": more}
                for more in (True, False)
            ]

            async def receive(halves=halves):
                return halves.pop(0)

            await BodyLimit(keeper, Bounds())(
                {"type": "http", "method": "POST", "headers": []}, receive, None
            )

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
        [
            Path(sys.executable).with_name("riskmodel"),
            "serve",
            "--port",
            str(port),
            "--project",
            screened_county.project.root,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
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
        headers = {
            "authorization": f"Bearer {screened_county.own['case_system']}",
            "content-type": "application/json",
        }
        held = []
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request(
                "POST", "/v1/scores", body, headers
            )  # returns when the whole body has been taken
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


def test_where_compiled_code_can_be_kept_nowhere_one_line_says_what_to_set(monkeypatch, capsys):
    """numba looks for a folder when the first compiled function is imported; root finds one almost
    everywhere, so its refusal is played here.
    """
    from riskmodel import cli

    def refused():
        raise RuntimeError(
            "cannot cache function 'ranked_sums': no locator available for file '/srv/resampling.py'"
        )

    monkeypatch.setattr(cli, "app", refused)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/read/only")
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert (
        said.startswith("NUMBA_CACHE_DIR: /read/only; expected a folder")
        and "Set NUMBA_CACHE_DIR and RISKMODEL_CACHE" in said
    )
