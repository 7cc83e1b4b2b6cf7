"""What a score through the service costs, in CPU of the server for each request, against the least that could
be done and against MLflow.

    python benchmarks/serve.py --project DIR --tables DIR [--rounds 5] [--mlflow]

DIR is a project with a sealed release (`make demo`), the tables are those that it was made from. The servers
run one after the other in each round, on the same machine and the same model, so that what else goes on hits
all alike:

- bare: uvicorn, orjson and `Booster.predict` of every member, ready-made features in, numbers out; no checks,
  no keys, no reasons
- riskmodel: `riskmodel serve` as it is: key, audit on disk, contract checks, features from raw rows, reasons
  in two languages
- mlflow: `mlflow models serve` with one member of the ensemble, ready-made features in, numbers out (only
  with --mlflow; it starts slowly)

Goals: one household at most 8 times bare, 100 households at most 2 times, and cheaper than MLflow.
Start-to-ready (goal 6 s) and memory (goal 600 MB, all processes of the service) are told beside the ratios.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

BARE = """
import os, sys
import lightgbm, numpy as np, orjson
members = [lightgbm.Booster(model_file=path) for path in sys.argv[2:]]
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"] == "/readyz":
        content = b"{}"
    else:
        values = np.array(orjson.loads(body)["rows"], np.float64)
        margins = [member.predict(values, raw_score=True, num_threads=1) for member in members]
        margin = sum(margins) / len(members)
        content = orjson.dumps({"scores": margin.tolist()})
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
import uvicorn
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


@dataclass
class Server:
    """A running server: its processes, and what it was seen to cost."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    ready_after: float = 0.0
    cost: dict[str, list[float]] = field(default_factory=dict)

    def pids(self) -> list[int]:
        """The process and everything below it."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                todo += map(int, task.read_text().split())
        return found

    def cpu(self) -> float:
        """CPU seconds of all its threads and processes so far."""
        ticks = 0
        for pid in self.pids():
            parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(parts[11]) + int(parts[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Proportional memory of all its processes: pages that they share count once."""
        total = 0
        for pid in self.pids():
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(name: str, command: list[str], port: int, ready: str, **options: Any) -> Server:
    began = time.monotonic()
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    server = Server(name, process, port)
    while time.monotonic() - began < 180:
        if process.poll() is not None:
            raise SystemExit(f"{name} ended with code {process.returncode}: {' '.join(command)}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", ready)
            if connection.getresponse().status == 200:
                server.ready_after = time.monotonic() - began
                return server
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{name} was not ready within 180 s")


def burst(
    server: Server, what: str, path: str, bodies: list[bytes], headers: dict[str, str], requests: int
) -> None:
    """Send so many requests one after the other on one connection; keep the CPU of each in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    before = server.cpu()
    for number in range(requests):
        connection.request(
            "POST", path, bodies[number % len(bodies)], {"content-type": "application/json", **headers}
        )
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 200, (server.name, answer.status, said[:500])
    server.cost.setdefault(what, []).append((server.cpu() - before) / requests * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--requests",
        type=int,
        default=400,
        help="of one household in each round; a tenth of them of 100 households",
    )
    parser.add_argument("--households", type=int, default=4000, help="different ones that are asked about")
    parser.add_argument("--mlflow", action="store_true")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"

    from riskmodel.casebook import Casebook
    from riskmodel.casebook.credentials import add_key
    from riskmodel.project import Project
    from riskmodel.serving.releases import seal
    from riskmodel.serving.releases.release import newest_release, open_release
    from riskmodel.serving.requests import scores_request
    from riskmodel.serving.server import environment
    from riskmodel.tables import read_tables

    project = Project.find(arguments.project)
    release = open_release(newest_release(project), seal.trusted_keys(project))
    tables = read_tables(arguments.tables)
    counties = sorted(tables["households"]["county_code"].unique().to_list())
    book = Casebook.of(project)
    secret = add_key(
        book.engine, name="benchmark", role="case_system", areas=counties, purpose="benchmark"
    ).secret
    book.close()
    scored = release.model.features(tables, release.as_of)
    # so many different households that none is asked for twice within a round: what was said of one before
    # helps another only as it would in a county
    chosen = np.random.default_rng(1).choice(
        len(scored), min(arguments.households, len(scored)) // 100 * 100, replace=False
    )
    names = [str(scored.household_id[place]) for place in chosen]
    values = scored.select(release.model.model.feature_names).values[chosen]
    rows = [[None if np.isnan(value) else value for value in row] for row in values.tolist()]
    groups = range(0, len(names), 100)
    one = [
        orjson.dumps(scores_request(tables, [name], release.as_of)) for name in names[: arguments.requests]
    ]
    hundred = [
        orjson.dumps(scores_request(tables, names[start : start + 100], release.as_of)) for start in groups
    ]
    bare_one = [orjson.dumps({"rows": [row]}) for row in rows[: arguments.requests]]
    bare_hundred = [orjson.dumps({"rows": rows[start : start + 100]}) for start in groups]
    trees = [text.count("\nTree=") for text in release.model.model.booster_texts]
    print(
        f"model: {len(trees)} members of {trees[0]} trees, {values.shape[1]} features; a household: "
        f"{np.mean([len(body) for body in one]):,.0f} bytes of raw rows against "
        f"{np.mean([len(body) for body in bare_one]):,.0f} of ready-made features"
    )
    servers = []
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bare.py"
        script.write_text(BARE)
        texts = [str(path) for path in sorted((release.folder / "model").glob("member_*.txt"))]
        try:
            port = free_port()
            bare = start("bare", [sys.executable, str(script), str(port), *texts], port, "/readyz")
            servers.append(bare)
            port = free_port()
            ours = start(
                "riskmodel",
                [
                    str(Path(sys.executable).with_name("riskmodel")),
                    "serve",
                    "--port",
                    str(port),
                    "--project",
                    str(project.root),
                ],
                port,
                "/readyz",
                env=environment(project),
            )
            servers.append(ours)
            at_start = ours.cpu()
            mlflow = None
            if arguments.mlflow:
                mlflow = start_mlflow(Path(folder), texts[0], list(release.model.model.feature_names))
                servers.append(mlflow)
            key = {"authorization": f"Bearer {secret}"}
            # pandas reads a null of a single row as an object, which LightGBM refuses: MLflow is given 0 for
            # what is not known
            known = [[0.0 if value is None else value for value in row] for row in rows[: arguments.requests]]
            frame = [
                orjson.dumps(
                    {"dataframe_split": {"columns": list(release.model.model.feature_names), "data": [row]}}
                )
                for row in known
            ]
            few = max(4, arguments.requests // 10)
            for server, path, bodies, headers in (
                (bare, "/", bare_one, {}),
                (ours, "/v1/scores", one, key),
            ):  # warm
                burst(server, "warm", path, bodies, headers, 20)
            if mlflow:
                burst(mlflow, "warm", "/invocations", frame, {}, 20)
            for _ in range(arguments.rounds):
                burst(bare, "one", "/", bare_one, {}, arguments.requests)
                burst(ours, "one", "/v1/scores", one, key, arguments.requests)
                if mlflow:
                    burst(mlflow, "one", "/invocations", frame, {}, max(few, arguments.requests // 2))
                burst(bare, "hundred", "/", bare_hundred, {}, few)
                burst(ours, "hundred", "/v1/scores", hundred, key, few)
            memory = ours.megabytes()
            for what, goal in (("one", 8), ("hundred", 2)):
                least, full = np.median(bare.cost[what]), np.median(ours.cost[what])
                ratio = np.median(np.array(ours.cost[what]) / np.array(bare.cost[what]))
                print(
                    f"{what:>8}: bare {least:.3f} ms CPU a request, riskmodel {full:.3f} ms: {ratio:.2f} "
                    f"times (goal {goal})"
                )
            if mlflow:
                there = np.median(mlflow.cost["one"])
                print(
                    f"  mlflow: {there:.3f} ms CPU a request; riskmodel costs "
                    f"{np.median(ours.cost['one']) / there:.2f} of it (goal below 1)"
                )
            print(
                f"   start: ready after {ours.ready_after:.1f} s (goal 6), {at_start:.1f} s CPU; memory "
                f"{memory:.0f} MB (goal 600)"
            )
        finally:
            for server in servers:
                server.stop()


def start_mlflow(folder: Path, text: str, names: list[str]) -> Server:
    """`mlflow models serve` on one member."""
    import lightgbm
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    experiment = mlflow.create_experiment("serve", artifact_location=(folder / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment):
        booster = lightgbm.Booster(model_file=text)
        info = mlflow.lightgbm.log_model(booster, name="model")
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("mlflow")),
        "models",
        "serve",
        "-m",
        info.model_uri,
        "--env-manager",
        "local",
        "-p",
        str(port),
    ]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return start("mlflow", command, port, "/ping", env=environment, cwd=folder)


if __name__ == "__main__":
    main()
