"""Starts the project's BentoML service in one process. The only thing here is that process: address, environment, and an early, plain refusal.

`bentoml serve` would start a second process that watches the first; here systemd, compose or a person does that, so that the service is ready
in half the time and takes half the memory. The application is the same, built by BentoML.
"""

from __future__ import annotations

import os
import socket
import sys

from riskmodel.errors import Fault, UserError
from riskmodel.project import Project
from riskmodel.serving.releases.choice import candidates
from riskmodel.settings import load_settings

APPLICATION = "serving.service:application"
STOP_SECONDS = 30  # what is in the house is finished, for so long at most


def environment(project: Project) -> dict[str, str]:
    """The environment of the service process: quiet, one thread, no telemetry, no pickle."""
    return {
        **os.environ,
        "RISKMODEL_PROJECT": str(project.root),
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "BENTOML_DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }


def command(host: str, port: int) -> list[str]:
    """The command that serves the project from its root folder."""
    bounds = [
        "--timeout-keep-alive",
        "75",
        "--timeout-graceful-shutdown",
        str(STOP_SECONDS),
        "--backlog",
        "512",
    ]
    quiet = ["--no-access-log", "--no-server-header", "--log-level", "warning"]
    where = ["--host", host, "--port", str(port), "--app-dir", "."]
    return [sys.executable, "-m", "uvicorn", "--factory", APPLICATION, *where, *bounds, *quiet]


def run(project: Project, *, host: str = "127.0.0.1", port: int = 3000) -> None:
    """Serve in the foreground until stopped. Raises UserError if there is no release, if a setting is impossible, or if the port is taken."""
    load_settings(project)
    release = candidates(project)[0]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                Fault(
                    f"{host}:{port}",
                    error.strerror or str(error),
                    "an address that is free",
                    "Name another with --port.",
                )
            ) from None
    print(
        f"Starting with {release.name} on http://{host}:{port}  (page at /, description at /openapi.json; stop with Ctrl-C)",
        flush=True,
    )
    sys.stdout.flush()
    os.chdir(project.root)
    os.environ.update(environment(project))
    os.execv(
        sys.executable, command(host, port)
    )  # this process becomes the service: signals reach it directly
