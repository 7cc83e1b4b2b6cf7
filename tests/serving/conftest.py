"""The service with a small county behind it: keys of every role, own and foreign; in this process (`service`)
and as the real one (`live`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

AS_OF = "2025-12-31"
EARLIER = "2025-11-30"
CYCLE = "2026-01"
ROLES = ("analyst", "screener", "case_system", "auditor", "operator")


@dataclass
class County:
    """A project with a champion, a release, two scorings and a list in its casebook, and keys: role -> key of
    the county, of another, of one township.
    """

    project: Any
    tables: Any
    scores: Any
    earlier: Any
    visit_list: Any
    code: str
    township: str
    own: dict[str, str] = field(repr=False)
    foreign: dict[str, str] = field(repr=False)
    local: dict[str, str] = field(repr=False)

    def household(self, township: str | None = None) -> str:
        """A listed household, of one township or not."""
        rows = self.visit_list.rows
        return rows.filter(rows["township_code"] == (township or self.township))["household_id"][0]

    @property
    def elsewhere(self) -> str:
        """A listed household outside the township of the local keys."""
        rows = self.visit_list.rows
        return rows.filter(rows["township_code"] != self.township)["household_id"][0]


@pytest.fixture(scope="session")
def screened_county(trained, tmp_path_factory) -> County:
    """Its casebook is its own: other tests give lists out, too."""
    import datetime as dt
    import shutil

    import riskmodel as rm
    from riskmodel.casebook import Casebook
    from riskmodel.casebook.book import next_list
    from riskmodel.casebook.credentials import add_key
    from riskmodel.casebook.roles import ROLES_OF_AREAS
    from riskmodel.project import Project

    theirs, tables, scores, _ = trained
    home = tmp_path_factory.mktemp("screened") / "project"
    shutil.copytree(theirs.root, home, ignore=shutil.ignore_patterns("casebook"))
    project = Project.find(home)
    book = Casebook.of(project)
    try:
        earlier = rm.score(tables, EARLIER, project=theirs)
        book.keep_scores(earlier)
        visit_list = next_list(project, scores, tables, dt.date.fromisoformat(AS_OF), capacity=90, issue=True)
        code = visit_list.county_code
        township = visit_list.rows["township_code"].sort()[0]

        def keys(areas: list[str]) -> dict[str, str]:
            return {
                role: add_key(
                    book.engine,
                    name=f"{role} desk",
                    role=role,
                    areas=areas if role in ROLES_OF_AREAS else [],
                    purpose="tests",
                ).secret
                for role in ROLES
            }

        return County(
            project,
            tables,
            scores,
            earlier,
            visit_list,
            code,
            township,
            keys([code]),
            keys(["110101"]),
            keys([township]),
        )
    finally:
        book.close()


@pytest.fixture(scope="session")
def two_models(trained, tmp_path_factory):
    """A project of its own with releases of two models: (project, tables, first folder, second folder). Leave
    it as it was, or copy it.
    """
    import datetime as dt
    import shutil

    import riskmodel as rm
    from riskmodel.files import write_text
    from riskmodel.project import Project
    from riskmodel.serving.releases.release import make_release, newest_release

    home = tmp_path_factory.mktemp("two") / "project"
    shutil.copytree(trained[0].root, home, ignore=shutil.ignore_patterns("casebook"))
    project = Project.find(home)
    first = newest_release(project)
    run = rm.train("logistic_12m", trained[1], project=trained[0])
    model = rm.load_model(run.id, project=trained[0])
    second = make_release(project, model, trained[1], dt.date.fromisoformat(AS_OF))
    write_text(home / "release" / "current", first.name)
    return project, trained[1], first, second


@dataclass
class Service:
    """The application behind its gate, in this process, with the service state that it reads."""

    app: Any
    state: Any
    county: County
    inner: Any

    def client(self, key: str | None = None) -> Any:
        from starlette.testclient import TestClient

        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return TestClient(
            self.app, base_url="http://127.0.0.1", headers=headers, raise_server_exceptions=True
        )


@pytest.fixture(scope="session")
def service(screened_county) -> Iterator[Service]:
    from riskmodel.serving.app import make_app
    from riskmodel.serving.gate import CallerGate
    from riskmodel.serving.observe import Observed
    from riskmodel.serving.scorer import Scorer
    from riskmodel.serving.state import ServiceState
    from riskmodel.serving.tally import Tally

    state = ServiceState()
    state.open(screened_county.project, Scorer.open(screened_county.project, Tally()))
    app = make_app(state)
    yield Service(Observed(CallerGate(app, state=state), Tally()), state, screened_county, app)
    state.close()


@dataclass
class Live:
    """The real service in a process of its own."""

    address: str
    log: Path
    county: County

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60)


@pytest.fixture(scope="session")
def live(screened_county) -> Iterator[Live]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = screened_county.project.root / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                Path(sys.executable).with_name("riskmodel"),
                "serve",
                "--port",
                str(port),
                "--project",
                str(screened_county.project.root),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the service did not get ready: {log.read_text(errors='replace')[-3000:]}")
            try:
                with urllib.request.urlopen(f"{address}/readyz", timeout=2):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        yield Live(address, log, screened_county)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
