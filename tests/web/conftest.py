"""The real service on a small county, and a real browser in front of it.

One process serves all tests of this folder; each takes households of its own to record visits for. The page's
clock stands on a day soon after the list, so that dates and validity read the same whenever the tests run.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
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

import pytest

AS_OF = "2025-12-31"
EARLIER = "2025-11-30"
TODAY = "2026-01-15"
CAPACITY = 120
DESK = (1366, 768)
PHONE = (360, 740)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Service:
    """The running service: its address, a key for each desk, the project behind it."""

    address: str
    project: Any
    county: str
    township: str
    keys: dict[str, str]
    open_households: list[str] = field(repr=False)

    def take(self) -> str:
        """A listed household that no other test records a visit for."""
        return self.open_households.pop()

    def visits(self, household: str) -> list[dict[str, Any]]:
        """What the casebook holds of a household, oldest first, every version."""
        from sqlalchemy import select

        from riskmodel.casebook import Casebook
        from riskmodel.casebook.schema import visits

        book = Casebook.of(self.project)
        try:
            with book.engine.connect() as connection:
                rows = connection.execute(
                    select(visits).where(visits.c.household_id == household).order_by(visits.c.number)
                )
                return [dict(row) for row in rows.mappings()]
        finally:
            book.close()


@pytest.fixture(scope="session")
def screened(trained, tmp_path_factory) -> Any:
    """The trained project with two scorings in its casebook, a list in force with a standby part, and a key
    for each desk.
    """
    import riskmodel as rm
    from riskmodel.casebook import Casebook
    from riskmodel.casebook.book import next_list
    from riskmodel.casebook.credentials import add_key
    from riskmodel.project import Project

    theirs, county, scores, _ = trained
    # A casebook of its own: other tests give lists out and record visits, too.
    home = tmp_path_factory.mktemp("page") / "project"
    shutil.copytree(theirs.root, home, ignore=shutil.ignore_patterns("casebook"))
    project = Project.find(home)
    code = county.get("households")["county_code"][0]
    book = Casebook.of(project)
    try:
        book.keep_scores(rm.score(county, EARLIER, project=theirs))
        visit_list = next_list(
            project, scores, county, dt.date.fromisoformat(AS_OF), capacity=CAPACITY, issue=True
        )
        townships = visit_list.rows["township_code"].unique().sort().to_list()
        desks = {
            "screener": ("screener", [code]),
            "township": ("screener", townships[:1]),
            "elsewhere": ("screener", ["110101"]),
            "case_system": ("case_system", [code]),
            "auditor": ("auditor", []),
        }
        keys = {
            name: add_key(
                book.engine, name=f"{name} desk", role=role, areas=areas, purpose="tests of the page"
            ).secret
            for name, (role, areas) in desks.items()
        }
    finally:
        book.close()
    return project, code, townships, visit_list, keys


@pytest.fixture(scope="session")
def service(screened) -> Iterator[Service]:
    project, code, townships, visit_list, keys = screened
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = project.root / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                Path(sys.executable).with_name("riskmodel"),
                "serve",
                "--port",
                str(port),
                "--project",
                str(project.root),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(process, address, log)
        # Not from the first page, where tests look at rows and their order.
        free = visit_list.rows.sort("number")["household_id"].to_list()[20:CAPACITY]
        yield Service(address, project, code, townships[0], keys, free)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the service ended: {log.read_text(errors='replace')[-3000:]}")
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"the service was not ready within 120 s: {log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium. For a module only: a running playwright keeps an event loop, which other tests must
    not meet.
    """
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing, and CI must have it")
        pytest.skip("Chromium is not on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Visitor:
    """Somebody at a browser: opens pages, signs in, and notes everything that a good page does not do."""

    def __init__(self, chromium: Any, service: Service, size: tuple[int, int], language: str) -> None:
        self.service = service
        self.context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale="zh-CN" if language == "zh" else "en-GB",
            accept_downloads=True,
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.clock.set_fixed_time(f"{TODAY}T09:30:00")
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(service.address + "/")
        self.page.wait_for_selector("#key")
        if language == "en":
            self.page.click("#top button")
            self.page.wait_for_selector("html[lang=en]")

    def sign_in(self, desk: str = "screener", wait: str = "#rows") -> Visitor:
        self.page.fill("#key", self.service.keys[desk])
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(wait)
        return self

    def see(self, address: str, wait: str) -> Any:
        """Go to a view by its address, and wait for something on it."""
        # Old content must not be taken for new.
        self.page.evaluate("document.querySelector('main').replaceChildren()")
        if self.page.evaluate("location.hash") == address:
            self.page.reload()
        else:
            self.page.evaluate("address => { location.hash = address; }", address)
        self.page.wait_for_selector(f"main {wait}")
        return self.page

    def ids(self) -> list[str]:
        return [link.inner_text() for link in self.page.locator("#rows .id a").all()]

    def stored(self) -> dict[str, Any]:
        """Everything that the page keeps in this browser."""
        text = self.page.evaluate("JSON.stringify(Object.fromEntries(Object.entries(localStorage)))")
        return {name: json.loads(value) for name, value in json.loads(text).items()}

    def excuse_the_network(self) -> None:
        """The browser itself complains of a request that failed or was refused; some tests are about just
        that.
        """
        self.complaints[:] = [text for text in self.complaints if "Failed to load resource" not in text]

    def fill_visit(self, household: str, outcome: str = "no_risk", team: str = "03", note: str = "") -> Any:
        page = self.see(f"#/visit/{household}", "form")
        page.fill("#visitor", team)
        page.check(f"#outcome-{outcome}")
        page.fill("#note", note)
        return page


@pytest.fixture
def visitor(chromium, service) -> Iterator[Any]:
    """`visitor(size=DESK, language="zh")`: a fresh browser at the sign-in page. What the page complains of
    fails the test, unless taken out.
    """
    opened: list[Visitor] = []

    def open_one(size: tuple[int, int] = DESK, language: str = "zh") -> Visitor:
        opened.append(Visitor(chromium, service, size, language))
        return opened[-1]

    yield open_one
    complaints = [text for one in opened for text in one.complaints]
    strangers = [
        url for one in opened for url in one.requests if not url.startswith((service.address, "blob:"))
    ]
    for one in opened:
        one.context.close()
    assert complaints == [], "the page complains in the console"
    assert strangers == [], "the page asks somebody else"
