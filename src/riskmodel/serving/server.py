"""Starts the project's BentoML service in one process. The only thing here is that process: address,
environment, and an early, plain refusal.

`bentoml serve` would start a second process that watches the first; here systemd, compose or a person does
that, so that the service is ready in half the time and takes half the memory. The application is the same,
built by BentoML.
"""

from __future__ import annotations

import os
import socket
import sys

import uvicorn

from riskmodel.errors import Fault, UserError
from riskmodel.project import Project
from riskmodel.serving.protocol import HEADER_BYTES, bounded_by
from riskmodel.serving.releases.choice import candidates
from riskmodel.settings import load_settings

APPLICATION = "serving.service:application"
STOP_SECONDS = 30  # requests that have begun are finished, for so long at most
KEEP_ALIVE_SECONDS = 75


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
    return [sys.executable, "-m", "riskmodel.serving.server", host, str(port)]


def main(host: str, port: int) -> None:
    """Serve the project of the working folder in this process, until it is stopped.

    X-Forwarded-For is left to the application (`forwarded`), which believes only the proxies of the settings.
    """
    header_seconds = load_settings(Project.find()).service.header_seconds
    uvicorn.run(
        APPLICATION,
        factory=True,
        app_dir=".",
        host=host,
        port=port,
        http=bounded_by(header_seconds),
        ws="none",
        h11_max_incomplete_event_size=HEADER_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        backlog=512,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
    )


def run(project: Project, *, host: str = "127.0.0.1", port: int = 3000) -> None:
    """Serve in the foreground until stopped. Raises UserError if there is no release, if a setting is
    impossible, or if the port is taken.
    """
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
        (
            f"Starting with {release.name} on http://{host}:{port}  (page at /, description at "
            "/openapi.json; stop with Ctrl-C)"
        ),
        flush=True,
    )
    sys.stdout.flush()
    os.chdir(project.root)
    os.environ.update(environment(project))
    os.execv(
        sys.executable, command(host, port)
    )  # this process becomes the service: signals reach it directly


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
