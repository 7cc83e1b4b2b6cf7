"""Whatever clients send, the service answers: hostile bodies on every route, with and without a key, beside
honest traffic.

    python benchmarks/storm.py --project DIR --tables DIR [--bodies 40] [--at-once 8] [--slow 64]

The project has a sealed release (`make demo`). The service is started as `riskmodel serve` does. Against
every route, 40 kinds and sizes of hostile bodies are sent with a key and without one, so many at once, then
slow bodies that never end, and hostile headers, cookies and queries. Meanwhile an honest case system asks for
scores and a screener for a list, and `/livez` is asked twenty times a second.

Goals: `/livez` within 0.5 s, memory of the process under 1 GB at its peak, every refusal under 64 kB, every
honest answer right (the same bytes as before the storm; 429 and 503 with Retry-After are asked again). Exit
code 1 where one is missed. Times are those of the machine: on a busy one look at the CPU that the service
used.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

LIVEZ_SECONDS, PEAK_MEGABYTES, REFUSAL_BYTES = 0.5, 1000, 64 * 1024
ELSEWHERE = ("POST", "/nowhere"), ("POST", "/")
MEGABYTE = 1024 * 1024


def hostile(number: int) -> list[tuple[str, bytes]]:
    """Bodies by name: ten kinds in growing sizes, so that the first of them fit every limit and the last
    exceed it.
    """
    kinds = {
        "lists": lambda size: b"[" + b"[]," * (size // 3) + b"[]]",
        "objects": lambda size: b"[" + b"{}," * (size // 3) + b"{}]",
        "keys": lambda size: b"{" + b",".join(b'"k%d":1' % place for place in range(size // 10)) + b"}",
        "deep": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
        "deep objects": lambda size: b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6),
        "faulty results": lambda size: b'{"results":[' + b"{}," * (size // 3) + b"{}]}",
        "faulty rows": lambda size: (
            b'{"as_of":"2025-12-31","tables":{"households":[' + b"{}," * (size // 3) + b'{}],"members":[]}}'
        ),
        "faulty members": lambda size: (
            b'{"as_of":"2025-12-31","tables":{"members":['
            + b'{"x":1},' * (size // 8)
            + b'{}],"households":[]}}'
        ),
        "ids": lambda size: b'{"as_of":"2025-12-31","household_ids":[' + b'"",' * (size // 3) + b'""]}',
        "an open string": lambda size: b'{"key":"' + b'\\"' * (size // 2),
    }
    sizes = [1_500, 30_000, 1_900_000, 30 * MEGABYTE]
    made = [(f"{name}, {size:,} bytes", kinds[name](size)) for size in sizes for name in kinds]
    return made[:number]


def targets() -> list[tuple[tuple[str, str], str]]:
    """Method and path of every route of the service and of two that do not exist, each with a role that may
    use it.
    """
    from riskmodel.serving.routes import ROUTES

    roles = {"case_system", "screener"}
    found = [
        (
            (route.method, re.sub(r"{\w+}", "h1", route.path)),
            next(iter(sorted(roles & set(route.roles))), "screener"),
        )
        for route in ROUTES
    ]
    return found + [(route, "screener") for route in ELSEWHERE]


@dataclass
class Seen:
    """What came back."""

    livez: list[float] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    largest: tuple[int, str] = (0, "")
    longest: tuple[float, str] = (0.0, "")
    wrong: list[str] = field(default_factory=list)
    honest: int = 0


async def attack(
    client: httpx.AsyncClient, route: tuple[str, str], name: str, body: bytes, key: str, seen: Seen
) -> None:
    """Send one hostile body; note size, time and status of the answer."""
    method, path = route
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    begun = time.monotonic()
    try:
        answer = await client.request(method, path, content=body, headers=headers)
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        seen.refusals["closed while it was sent"] += 1
        return
    except httpx.TimeoutException:
        seen.wrong.append(f"no answer: {path} {name}")
        return
    what = f"{method} {path} {name}, {'with' if key else 'without'} a key: {answer.status_code}"
    if answer.status_code < 400 and method in ("GET", "DELETE"):
        seen.refusals["answered, the body unread"] += 1
        return
    seen.refusals[str(answer.status_code)] += 1
    seen.largest = max(seen.largest, (len(answer.content), what))
    seen.longest = max(seen.longest, (time.monotonic() - begun, what))
    if answer.status_code < 400 or (answer.status_code >= 500 and "retry-after" not in answer.headers):
        seen.wrong.append(what)


async def slow_bodies(host: str, port: int, path: str, key: str, number: int) -> list[Any]:
    """Connections whose body never ends."""
    sign = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST {path} HTTP/1.1\r\n"
        "Host: x\r\n"
        f"{sign}Content-Type: application/json\r\n"
        "Content-Length: 1000\r\n"
        "\r\n"
        "{"
    )
    writers = []
    for _ in range(number):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(head.encode())
        writers.append(writer)
    return writers


async def honest(
    client: httpx.AsyncClient, ask: Any, right: bytes, name: str, done: asyncio.Event, seen: Seen
) -> None:
    """Ask the same again and again: each answer has the same bytes as before the storm."""
    while not done.is_set():
        try:
            answer = await ask(client)
        except httpx.HTTPError as error:
            seen.wrong.append(f"honest {name}: {type(error).__name__}")
            continue
        if answer.status_code in (429, 503) and "retry-after" in answer.headers:
            await asyncio.sleep(min(1.0, float(answer.headers["retry-after"])))
        elif answer.status_code == 200 and answer.content == right:
            seen.honest += 1
        else:
            seen.wrong.append(f"honest {name}: {answer.status_code}")
        await asyncio.sleep(0.05)


# Asks /livez twenty times a second in a process of its own, so that this client's own work is not measured.
PROBE = """
import http.client, sys, time
host, port = sys.argv[1].split(":")
connection = http.client.HTTPConnection(host, int(port), timeout=120)
while True:
    begun = time.monotonic()
    connection.request("GET", "/livez")
    answer = connection.getresponse()
    answer.read()
    print(answer.status, time.monotonic() - begun, flush=True)
    time.sleep(0.05)
"""


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def storm(
    address: str, keys: dict[str, str], score: bytes, cycle: str, arguments: Any, pid: int
) -> Seen:
    """Everything at once; returns what came back."""
    seen, done = Seen(), asyncio.Event()
    host, port = address.removeprefix("http://").split(":")
    limits = httpx.Limits(max_connections=arguments.at_once)
    json = {"content-type": "application/json"}

    async def scores(client: httpx.AsyncClient) -> httpx.Response:
        sign = {"authorization": f"Bearer {keys['case_system']}"}
        return await client.post("/v1/scores", content=score, headers=json | sign)

    async def page(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get(f"/v1/lists/{cycle}", headers={"authorization": f"Bearer {keys['screener']}"})

    async with httpx.AsyncClient(base_url=address, timeout=120) as friend:
        before = [(await ask(friend)) for ask in (scores, page)]
        assert [answer.status_code for answer in before] == [200, 200], [answer.text for answer in before]
        others = [
            asyncio.create_task(honest(friend, ask, answer.content, name, done, seen))
            for ask, answer, name in zip((scores, page), before, ("scores", "list"), strict=True)
        ]
        bodies = hostile(arguments.bodies)
        async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as enemy:
            for route, role in targets():
                used = cpu(pid)
                for key in ("", keys[role]):
                    await asyncio.gather(
                        *(attack(enemy, route, name, body, key, seen) for name, body in bodies)
                    )
                used = cpu(pid) - used
                print(
                    (
                        f"  {' '.join(route)}: {2 * len(bodies)} bodies, {used:.1f} s CPU of the service "
                        "with the honest ones"
                    ),
                    flush=True,
                )
            sign = {"authorization": f"Bearer {keys['screener']}"}
            for headers, query in (
                ({"cookie": 'riskmodel_session="' + "\\" * 60_000}, ""),
                ({"x-much": "x" * 40_000}, ""),
                (sign, "?" + "&".join(f"k{place}" for place in range(7_000))),
                (sign | {"x-forwarded-for": "1.2.3.4," * 1_000}, ""),
            ):
                try:
                    answer = await enemy.get(f"/v1/lists{query}", headers=headers)
                    seen.refusals[str(answer.status_code)] += 1
                    seen.largest = max(seen.largest, (len(answer.content), f"headers: {answer.status_code}"))
                except httpx.HTTPError:
                    seen.refusals["closed while it was sent"] += 1
            for path, key in (("/v1/session", ""), ("/v1/scores", keys["case_system"])):
                writers = await slow_bodies(host, int(port), path, key, arguments.slow)
                begun = time.monotonic()
                answered = await page(friend)
                while answered.status_code in (429, 503):
                    await asyncio.sleep(0.1)
                    answered = await page(friend)
                seconds = time.monotonic() - begun
                print(
                    f"  {arguments.slow} slow bodies on {path}: a list beside them after {seconds:.2f} s",
                    flush=True,
                )
                if seconds > 5:
                    seen.wrong.append(f"slow bodies on {path} kept a list waiting for {seconds:.1f} s")
                for writer in writers:
                    writer.close()
        done.set()
        await asyncio.gather(*others)
    return seen


def peak(pid: int) -> float:
    """The most memory that a process has had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--cycle", help="of a list in the casebook; the newest without it")
    parser.add_argument("--bodies", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--slow", type=int, default=64)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"

    from riskmodel.casebook import Casebook, lookups
    from riskmodel.casebook.credentials import add_key
    from riskmodel.project import Project
    from riskmodel.serving.releases.release import newest_release
    from riskmodel.serving.requests import scores_request
    from riskmodel.serving.server import command, environment
    from riskmodel.tables import read_tables

    sys.path.insert(0, str(Path(__file__).parent))
    from serve import free_port

    project = Project.find(arguments.project)
    as_of = orjson.loads((newest_release(project) / "manifest.json").read_bytes())["as_of"]
    tables = read_tables(arguments.tables)
    counties = sorted(tables["households"]["county_code"].unique().to_list())
    book = Casebook.of(project)
    keys = {
        role: add_key(book.engine, name="storm", role=role, areas=counties, purpose="storm").secret
        for role in ("case_system", "screener")
    }
    cycle = arguments.cycle or lookups.list_heads(book.engine, tuple(counties))[0].cycle
    book.close()
    from riskmodel.training import cohort

    some = cohort(tables, dt.date.fromisoformat(as_of))["household_id"].to_list()[:3]
    score = orjson.dumps(scores_request(tables, some, dt.date.fromisoformat(as_of)))
    port = free_port()
    process = subprocess.Popen(
        command("127.0.0.1", port),
        cwd=project.root,
        env=environment(project),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(900):
            try:
                if httpx.get(f"{address}/readyz").status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
        at_start = peak(process.pid)
        with tempfile.TemporaryFile("w+") as lines:
            probe = subprocess.Popen([sys.executable, "-c", PROBE, f"127.0.0.1:{port}"], stdout=lines)
            try:
                seen = asyncio.run(storm(address, keys, score, cycle, arguments, process.pid))
            finally:
                probe.terminate()
                probe.wait(10)
            lines.seek(0)
            probes = [line.split() for line in lines.read().splitlines()]
            seen.livez = [float(seconds) for _, seconds in probes]
            seen.wrong += [f"/livez: {status}" for status, _ in probes if status != "200"]
        memory = peak(process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
    livez = sorted(seen.livez)
    print(
        f"answers to hostile requests: {dict(sorted(seen.refusals.items()))}; the largest "
        f"{seen.largest[0]:,} bytes ({seen.largest[1]})"
    )
    print(f"the longest refusal: {seen.longest[0]:.2f} s ({seen.longest[1]})")
    print(
        f"/livez: {len(livez):,} asked, median {livez[len(livez) // 2] * 1000:.0f} ms, 99 % "
        f"{livez[len(livez) * 99 // 100] * 1000:.0f} ms, longest {livez[-1]:.2f} s"
    )
    print(
        f"memory at its peak: {memory:,.0f} MB, before the storm {at_start:,.0f} MB; honest answers, all "
        f"right: {seen.honest:,}"
    )
    for line in seen.wrong[:20]:
        print("WRONG:", line)
    missed = [
        livez[-1] > LIVEZ_SECONDS,
        memory > PEAK_MEGABYTES,
        seen.largest[0] > REFUSAL_BYTES,
        bool(seen.wrong),
        not seen.honest,
    ]
    return 1 if any(missed) else 0


if __name__ == "__main__":
    sys.exit(main())
