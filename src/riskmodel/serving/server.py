"""Starts BentoML on the project's service. The only thing here is the process: address, environment, and an early, plain refusal."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from riskmodel.errors import Fault, UserError
from riskmodel.project import Project
from riskmodel.serving.release import newest_release

SERVICE = "serving.service:ScreeningService"


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
    """The BentoML command that serves the project from its root folder."""
    bentoml = Path(sys.executable).with_name("bentoml")
    return [str(bentoml), "serve", SERVICE, "--host", host, "--port", str(port), "--working-dir", "."]


def run(project: Project, *, host: str = "127.0.0.1", port: int = 3000) -> None:
    """Serve in the foreground until stopped. Raises UserError if there is no release, or if the port is taken."""
    release = newest_release(project)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                Fault(f"{host}:{port}", error.strerror or str(error), "an address that is free", "Name another with --port.")
            ) from None
    print(
        f"Serving {release.name} on http://{host}:{port}  (page at /, description at /openapi.json; stop with Ctrl-C)", flush=True
    )
    process = subprocess.Popen(command(host, port), cwd=project.root, env=environment(project))
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = process.wait()
        return
    if code:
        raise UserError(Fault("service", f"it ended with code {code}", "a service that runs", "Its own messages stand above."))
