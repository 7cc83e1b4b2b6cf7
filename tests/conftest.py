"""What all rooms' tests share: the project of this repository, and a small synthetic county with known truth.

Tests see what git tracks and nothing else, whatever was run in the folder before.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

for name in [name for name in os.environ if name.startswith("RISKMODEL_")]:
    if name not in (
        "RISKMODEL_CACHE",
        "RISKMODEL_REAL_DATA",
    ):  # a folder for compiled code, and data that only some have
        del os.environ[name]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

ROOT = Path(__file__).resolve().parents[1]


def tracked_files() -> list[str]:
    """The files of the repository as git tracks them, with changes that are not committed. Outside version
    control (an archive): all but what git would ignore.
    """
    listed = subprocess.run(
        ["git", "-c", "core.quotepath=off", "-C", ROOT, "ls-files", "-z", "--cached"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    left_behind = {".venv", "out", "mlruns", "release", "casebook", "keys", "dist", "__pycache__"}
    return [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*")
        if path.is_file()
        and not left_behind & set(path.relative_to(ROOT).parts)
        and path.name != "trusted_keys.yaml"
        and not any(part.endswith(("_cache", ".egg-info")) for part in path.parts)
    ]


# Which tests need a real part or minutes: `make quick` leaves them out. By the fixtures they use, and by file
# where a test starts its parts itself.
MARKERS = {
    "browser": ({"chromium"}, ("tests/web/",)),
    "process": (
        {"live", "proxy", "postgres", "url", "wheel", "used_clone", "printing", "office"},
        (
            "tests/test_build.py",
            "tests/test_installation.py",
            "tests/test_what_a_folder_holds.py",
            "tests/test_notebooks.py",
            "tests/test_docs.py::test_the_site",
            "tests/casebook/test_steps.py",
            "tests/serving/test_operations.py",
            "tests/serving/test_start.py",
            "tests/serving/test_swap.py",
            "tests/serving/test_schemathesis.py",
        ),
    ),
    "training": (
        {"trained", "ruled", "runs", "leaking", "fits", "model"},
        (
            "tests/training/test_wide.py",
            "tests/training/test_enough.py",
            "tests/training/test_run_store.py",
            "tests/training/test_learners.py",
            "tests/features/test_own.py::test_from_init",
            "tests/screening/test_reasons_of_models.py",
            "tests/synthetic/",
        ),
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, (fixtures, places) in MARKERS.items():
            if item.nodeid.startswith(places) or fixtures & set(getattr(item, "fixturenames", ())):
                item.add_marker(marker)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """A copy of the files that git tracks. What `make demo`, `make serve`, keys, own features and plans left
    in the folder is not in it.
    """
    target = tmp_path_factory.mktemp("checkout") / "riskmodel"
    for name in tracked_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture(scope="session")
def project(checkout):
    """The project folder of this repository, as git tracks it. Read it; do not train in it (use
    `own_project`).
    """
    from riskmodel.project import Project

    return Project.find(checkout)


@pytest.fixture
def own_project(project, tmp_path):
    """A copy of the declarations in a temporary folder, with a run store of its own."""
    from riskmodel.project import Project, start_project

    return Project.find(start_project(tmp_path / "project", project.root))


@pytest.fixture(scope="session")
def county_folder(tmp_path_factory) -> Path:
    """A folder with the tables of 2,000 synthetic households, 4 years to 2025-12-31, seed 1; its truth is the
    sibling `_truth`.
    """
    from riskmodel.synthetic import synthesise

    folder = tmp_path_factory.mktemp("county") / "tables"
    import datetime as dt

    synthesise(folder, households=2000, years=4, end=dt.date(2025, 12, 31), seed=1)
    return folder


@pytest.fixture(scope="session")
def truth_folder(county_folder) -> Path:
    return county_folder.with_name(county_folder.name + "_truth")


@pytest.fixture(scope="session")
def county(county_folder):
    """The tables of `county_folder`, read and checked."""
    from riskmodel.tables import read_tables

    return read_tables(county_folder)


@pytest.fixture(scope="session")
def site(checkout, tmp_path_factory) -> Path:
    """The documentation as a site, built as `make docs` builds it, once."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "-q", "-b", "html", checkout / "docs", folder],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture
def needs() -> Callable[[object, str], None]:
    """`needs(shutil.which("chromium"), "Chromium")`: skip with a message on a user's machine, fail in CI."""

    def check(part: object, name: str) -> None:
        if part:
            return
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing, and CI must have it")
        pytest.skip(f"{name} is not on this machine")

    return check


@pytest.fixture(scope="session")
def postgres():
    """The address of a PostgreSQL server of our own, or None where its programs are not installed.

    Its folder is not below pytest's: every other run of pytest by the same user closes that one to other
    users, and a server that can no longer read its own lock file stops.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    program = found[-1].parent if found else None
    if program is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="riskmodel-postgres-"))
    # The server refuses to run as root: there it runs as the user of Debian's package.
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    switch = ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []
    if switch:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, log = folder / "data", folder / "log"

    def run(*command):
        subprocess.run([*switch, *map(str, command)], check=True, capture_output=True, cwd="/", timeout=120)

    try:
        run(program / "initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-U", "postgres")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        run(program / "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start")
        yield f"postgresql://postgres@127.0.0.1:{port}/"
        run(program / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_database(postgres, needs) -> Callable[[], str]:
    """`postgres_database()`: the address of a new, empty database over a real connection, for SQLAlchemy."""

    def make() -> str:
        needs(postgres, "PostgreSQL (Debian's package `postgresql`)")
        import psycopg

        name = "t" + os.urandom(6).hex()
        with psycopg.connect(postgres + "postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{postgres.removeprefix('postgresql://')}{name}"

    return make


@dataclass(frozen=True)
class Done:
    """What a command did: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str

    def refused(self, code: int = 1) -> str:
        """What a refused command printed: one line for people (exit code 1), or how the command is written
        (2); never a traceback.
        """
        assert self.returncode == code, self
        assert "Traceback" not in self.stderr
        assert code == 2 or len(self.stderr.strip().splitlines()) == 1, self.stderr
        return self.stderr


@pytest.fixture
def command(capsys, monkeypatch) -> Callable[..., Done]:
    """`command("check", folder)`: run the command line in this process, as `main` does: seconds faster than a
    process of its own.
    """
    from riskmodel import cli

    def run(*arguments: object) -> Done:
        monkeypatch.setattr("sys.argv", ["riskmodel", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        return Done(int(left.value.code or 0), *capsys.readouterr())

    return run


AS_OF = "2025-12-31"


@pytest.fixture(scope="session")
def trained(project, county, tmp_path_factory):
    """A project with a champion (lightgbm_12m on `county`), its scores as of 2025-12-31, and a release:
    (project, tables, scores, release).
    """
    import riskmodel as rm
    from riskmodel.project import Project, start_project

    own = Project.find(start_project(tmp_path_factory.mktemp("trained") / "project", project.root))
    run = rm.train("lightgbm_12m", county, project=own)
    try:
        rm.promote(run, by="tests", because="needed by the tests", project=own)
    except rm.UserError as refusal:  # a county of 2,000 is too small for some checks
        waive = {fault.where: "a small county" for fault in refusal.faults}
        rm.promote(run, by="tests", because="needed by the tests", waive=waive, project=own)
    scores = rm.score(county, AS_OF, project=own)
    rm.release_key(project=own)
    release = rm.release(county, AS_OF, project=own)
    return own, county, scores, release


@pytest.fixture(scope="session")
def ruled(project, county, county_folder, tmp_path_factory):
    """A project with one run, the income rule on `county`: quick to train, and it scores. (project, folder of
    the tables, run id).
    """
    import riskmodel as rm
    from riskmodel.project import Project, start_project

    own = Project.find(start_project(tmp_path_factory.mktemp("ruled") / "project", project.root))
    return own, county_folder, rm.train("income_rule", county, project=own).id
