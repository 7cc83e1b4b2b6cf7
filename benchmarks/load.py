"""Right answer or quick refusal: many requests at once while the model is exchanged under them.

    python benchmarks/load.py --project DIR --tables DIR --other RUN [--requests 10000] [--in-flight 64]
    [--swaps 20]

The project has a sealed release of its champion (`make demo`); RUN is another model (`riskmodel train
logistic_12m`), of which a second release is made (or the name of a release folder that is there already). The
service is started as `riskmodel serve` does, with at_once below the number in flight, so that refusals
happen. Every answer must carry one of the two model versions and exactly the scores which that release gives
offline; everything else must be a 429 or 503 with Retry-After. Anything else ends with exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson

TOLD = ("household_id", "probability", "low", "high", "margin", "feature_hash", "reasons", "risk_kinds")


def expected(project: Any, folders: list[Path], bodies: list[bytes]) -> dict[str, list[Any]]:
    """Model version -> what its release gives offline for each body."""
    from riskmodel.serving.reading import read
    from riskmodel.serving.releases import seal
    from riskmodel.serving.releases.release import open_release
    from riskmodel.serving.scorer import score_rows

    found = {}
    for folder in folders:
        release = open_release(folder, seal.trusted_keys(project))
        asked = [read(body) for body in bodies]
        found[release.version] = [
            orjson.loads(orjson.dumps(score_rows(release, one.rows, one.as_of, one.horizon)))
            for one in asked
            if one.rows
        ]
    return found


async def storm(
    address: str,
    key: str,
    bodies: list[bytes],
    right: dict[str, list[Any]],
    current: Path,
    folders: list[Path],
    arguments: Any,
) -> collections.Counter[str]:
    """Send everything; exchange the release on the way. Returns how often each kind of answer came."""
    seen: collections.Counter[str] = collections.Counter()
    left = iter(range(arguments.requests))
    times: list[float] = []
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    limits = httpx.Limits(max_connections=arguments.in_flight, max_keepalive_connections=arguments.in_flight)
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=60, limits=limits) as client:

        async def worker() -> None:
            for number in left:
                which = number % len(bodies)
                begun = time.monotonic()
                try:
                    answer = await client.post("/v1/scores", content=bodies[which])
                except httpx.HTTPError as error:
                    seen[f"no answer: {type(error).__name__}"] += 1
                    continue
                if answer.status_code in (429, 503) and "retry-after" in answer.headers:
                    seen["refused with Retry-After"] += 1
                    times.append(time.monotonic() - begun)
                elif answer.status_code == 200:
                    said = answer.json()
                    told = [{name: one[name] for name in TOLD} for one in said["scores"]]
                    wanted = [
                        {name: one[name] for name in TOLD} for one in right[said["model_version"]][which]
                    ]
                    seen[f"right, {said['model_version']}" if told == wanted else "WRONG"] += 1
                else:
                    seen[f"status {answer.status_code}"] += 1

        async def swapper(done: asyncio.Event) -> None:
            for turn in range(arguments.swaps):
                name = folders[(turn + 1) % 2].name
                draft = current.with_name(".current")
                draft.write_text(name)
                os.replace(draft, current)
                for _ in range(1200):  # until the service says so, or the storm is over
                    if done.is_set():
                        return
                    if await in_force(client) == name.split("-")[0]:
                        seen["swaps"] += 1
                        break
                    await asyncio.sleep(0.1)

        done = asyncio.Event()
        swaps = asyncio.create_task(swapper(done))
        workers = [asyncio.create_task(worker()) for _ in range(arguments.in_flight)]
        await asyncio.gather(*workers)
        if not arguments.requests_end:
            while not swaps.done():  # the rest of the swaps happens under load, too
                left = iter(range(arguments.in_flight * 4))
                await asyncio.gather(*[worker() for _ in range(arguments.in_flight)])
        done.set()
        await swaps
    if times:
        print(
            f"a refusal came back after {np.median(times) * 1000:.0f} ms (median), {max(times) * 1000:.0f} "
            "ms (longest), this busy client included"
        )
    return seen


async def in_force(client: httpx.AsyncClient) -> str:
    answer = await client.get("/v1/model")
    return str(answer.json()["model_version"]) if answer.status_code == 200 else ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--other", required=True, metavar="RUN")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument(
        "--requests-end",
        action="store_true",
        help="end with the requests, even if not all swaps have happened",
    )
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"

    import riskmodel as rm
    from riskmodel.casebook import Casebook
    from riskmodel.casebook.credentials import add_key
    from riskmodel.project import Project
    from riskmodel.serving.releases.release import newest_release
    from riskmodel.serving.requests import scores_request
    from riskmodel.serving.server import command, environment

    sys.path.insert(0, str(Path(__file__).parent))
    from serve import free_port

    project = Project.find(arguments.project)
    current = project.root / "release" / "current"
    first = newest_release(project)
    as_of = json.loads((first / "manifest.json").read_text())["as_of"]
    tables = rm.read_tables(arguments.tables)
    second = project.root / "release" / arguments.other
    if not second.is_dir():
        second = rm.release(tables, as_of, model=arguments.other, project=project)
    current.write_text(first.name)
    book = Casebook.of(project)
    counties = sorted(tables["households"]["county_code"].unique().to_list())
    secret = add_key(book.engine, name="load", role="case_system", areas=counties, purpose="load test").secret
    book.close()
    cohort = rm.build_features(tables, as_of, project=project)["household_id"].to_list()
    some = [str(name) for name in np.random.default_rng(2).choice(cohort, 160, replace=False)]
    day = dt.date.fromisoformat(as_of)
    bodies = [orjson.dumps(scores_request(tables, [name], day)) for name in some[:120]]
    bodies += [
        orjson.dumps(scores_request(tables, sorted(some[120 + 4 * turn : 124 + 4 * turn]), day))
        for turn in range(10)
    ]
    right = expected(project, [first, second], bodies)
    assert len(right) == 2, "the two releases hold the same model"
    settings = (project.root / "serving" / "screening.yaml").read_text()
    one_client = settings.replace("client_at_once: 32 ", "client_at_once: 1000 ")
    bounded = one_client.replace("watch_seconds: 5 ", "watch_seconds: 0.1 ").replace(
        "at_once: 64 ", f"at_once: {max(2, arguments.in_flight * 3 // 4)} "
    )
    assert bounded != settings
    (project.root / "serving" / "screening.yaml").write_text(bounded)
    port = free_port()
    lines = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the service writes into it)
    process = subprocess.Popen(
        command("127.0.0.1", port),
        cwd=project.root,
        env=environment(project),
        start_new_session=True,
        stderr=lines,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                if httpx.get(f"{address}/readyz").status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
        begun = time.monotonic()
        seen = asyncio.run(storm(address, secret, bodies, right, current, [first, second], arguments))
        seconds = time.monotonic() - begun
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
        (project.root / "serving" / "screening.yaml").write_text(settings)
        current.write_text(first.name)
    lines.seek(0)
    answers = [json.loads(line) for line in lines if b'"answered"' in line]
    for status in sorted({answer["status"] for answer in answers if answer["route"].startswith("POST")}):
        took = [
            answer["ms"]
            for answer in answers
            if answer["status"] == status and answer["route"].startswith("POST")
        ]
        print(
            f"in the service, {status}: {np.median(took):.2f} ms (median), {np.quantile(took, 0.99):.0f} ms "
            f"(99 %), {max(took):.0f} ms (longest)"
        )
    for kind, number in sorted(seen.items()):
        print(f"{kind:>40}: {number:,}")
    bad = {
        kind: number
        for kind, number in seen.items()
        if not kind.startswith(("right", "refused with", "swaps"))
    }
    print(
        f"{sum(seen.values()) - seen['swaps']:,} requests in {seconds:.0f} s, {seen['swaps']} swaps; the "
        f"service ended with code {code}"
    )
    return 1 if bad or code not in (0, -signal.SIGTERM) or seen["swaps"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
