"""A full disk, in every command that writes: one line, exit code 1, nothing half-written, and an MLflow run
that ends FAILED.

Files may grow no further than a limit, which the system enforces for root as well, in Python, SQLite, Polars
and whatever else writes.
"""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

AS_OF = "2025-12-31"


@contextmanager
def room_for_files_of(size: int):
    """No file of this process can be made longer than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def place(ruled, tmp_path, monkeypatch):
    """A folder with older files under the names that the commands below write, and a project of its own:
    (folder, project, tables, run).
    """
    original, tables, run = ruled
    project = tmp_path / "project"
    shutil.copytree(original.root, project)
    folder = tmp_path / "written"
    folder.mkdir()
    for name in (
        "s.parquet",
        "s.csv",
        "s.xlsx",
        "f.parquet",
        "l.xlsx",
        "l.csv",
        "l.html",
        "e.csv",
        "r.html",
        "c.db",
        "a.jsonl",
        "e.xlsx",
        "h.json",
    ):
        (folder / name).write_bytes(b"older")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return folder, project, tables, run


# Each command, and the room that it finds; "{}": the folder that it writes into.
COMMANDS = {
    "score to Parquet": "score --as-of 2025-12-31 --model RUN --tables TABLES --output {}/s.parquet",
    "score to CSV": "score --as-of 2025-12-31 --model RUN --tables TABLES --output {}/s.csv",
    "score to Excel": "score --as-of 2025-12-31 --model RUN --tables TABLES --output {}/s.xlsx",
    "features": "features TABLES --as-of 2025-12-31 --output {}/f.parquet",
    "report": "check TABLES --report {}/r.html",
    "store": "check TABLES --store {}/store",
    "synthesise": "synthesise {}/county --households 150 --years 1",
    "init": "init {}/new",
    "backup": "backup {}/c.db",
    "export": "export HOUSEHOLDS --as-of 2025-12-31 --tables TABLES --output {}/h.json",
    "exits to CSV": "exits --as-of 2025-12-31 --model RUN --tables TABLES --output {}/e.csv",
    "exits to Excel": "exits --as-of 2025-12-31 --model RUN --tables TABLES --output {}/e.xlsx",
    "audit export": "audit export {}/a.jsonl",
}


NEED_A_CASEBOOK = ("exits to CSV", "exits to Excel", "audit export")


@contextmanager
def open_casebook(project: Path, name: str):
    """A casebook with 20 keys, held open: what it needs to be read is on the disk before the disk is full."""
    from riskmodel.casebook import Casebook
    from riskmodel.casebook.credentials import add_key
    from riskmodel.project import Project

    if name not in NEED_A_CASEBOOK:
        yield
        return
    book = Casebook.of(Project.find(project))
    for number in range(20):
        add_key(book.engine, name=f"system {number}", role="auditor", areas=[], purpose="tests")
    with book.engine.connect():
        yield
    book.close()


def written(name: str, folder: Path, tables: Path, run: str) -> list[str]:
    """The words of a command of COMMANDS."""
    import polars as pl

    some = pl.read_parquet(tables / "households.parquet")["household_id"].unique().sort().head(20)
    text = COMMANDS[name].format(folder).replace("HOUSEHOLDS", " ".join(some))
    return text.replace("RUN", run).replace("TABLES", str(tables)).split()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_what_was_there_stays(name, place, command):
    folder, project, tables, run = place
    words = written(name, folder, tables, run)
    if name == "backup":  # a casebook that is larger than the room
        assert command("keys", "list", "--project", project).returncode == 0
    before = contents(folder)
    with open_casebook(project, name), room_for_files_of(3_000):
        done = command(*words, "--project", project)
    said = done.refused()
    assert "the disk is full" in said or "room to write" in said, said
    assert str(folder) in said or said.startswith("casebook: "), (
        said
    )  # a casebook must be opened before it is copied
    assert contents(folder) == before


def test_a_list_that_cannot_be_written_names_the_file_and_leaves_the_older_one(place, command):
    folder, project, tables, run = place
    before = contents(folder)
    assert command("keys", "list", "--project", project).returncode == 0  # the casebook is there
    with room_for_files_of(9_000):
        done = command(
            "list",
            "--as-of",
            AS_OF,
            "--model",
            run,
            "--tables",
            tables,
            "--project",
            project,
            "--output",
            folder / "l.xlsx",
        )
    done.refused()
    assert contents(folder) == before


@contextmanager
def read_only(folder: Path):
    """Nothing in the folder can be changed, by root either. Skips the test where root may not mount."""
    if os.geteuid() != 0:
        below = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
        modes = {path: path.stat().st_mode for path in below}
        for path in below:
            path.chmod(modes[path] & ~0o222)
        try:
            yield
        finally:
            for path in below:
                path.chmod(modes[path])
        return
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False).returncode:
        pytest.skip("root may not mount here, and ignores modes")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_read_only_folder_is_one_line_and_what_was_there_stays(name, place, command):
    folder, project, tables, run = place
    words = written(name, folder, tables, run)
    before = contents(folder)
    with read_only(folder):
        done = command(*words, "--project", project)
    text = done.refused()
    assert "read-only" in text or "permission denied" in text, text
    assert str(folder) in text
    assert contents(folder) == before


# Commands that write into the project.
IN_THE_PROJECT = {
    "record": "record FILLED",
    "record with refused rows": "record REFUSED",
    "list": "list --as-of 2026-01-15 --model RUN --tables TABLES --capacity 50 --output OUT.csv",
    "close": "close 2026-01 --by a",
    "withdraw": "withdraw HOUSEHOLD --cycle 2026-01 --by a --because mistaken",
    "keys add": "keys add desk --role auditor --purpose tests",
    "keys revoke": "keys revoke KEY",
    "release": "release RUN --as-of 2025-12-31 --tables TABLES",
    "release-key": "release-key",
    "promote": "promote RUN --by a --because b --waive beats_department_rules=none",
    "train": "train income_rule --tables TABLES",
}


@pytest.fixture(scope="module")
def used(ruled, tmp_path_factory):
    """A project with a list given out, one result and a key: (project, folder of files to record, words)."""
    import csv

    import riskmodel as rm

    original, tables, run = ruled
    home = tmp_path_factory.mktemp("used")
    project = home / "project"
    shutil.copytree(original.root, project)
    with rm.list_files(home / "list.csv") as write:
        scores = rm.score(tables, AS_OF, model=run, project=project)
        given = {"as_of": AS_OF, "capacity": 50, "issue": True, "write": write, "project": project}
        rm.screening_list(scores, tables, **given)
    with (home / "list.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))

    def fill(name, some, team="1"):
        with (home / name).open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            done = {"visited_on": "2026-01-05", "outcome": "no_risk"}
            writer.writerows(row | done | {"visitor": team} for row in some)

    fill("first.csv", rows[:1])
    assert rm.record(home / "first.csv", project=project).accepted == 1
    fill("filled.csv", rows[1:30])
    fill("refused.csv", rows[30:35], team="")
    with (home / "refused.csv").open("a", encoding="utf-8-sig", newline="") as file:
        done = {"visited_on": "2026-01-05", "outcome": "no_risk", "visitor": "1"}
        csv.DictWriter(file, rows[0].keys()).writerow(rows[35] | done)
    key = rm.add_key("old", role="auditor", areas=[], purpose="tests", project=project).key.key_id
    words = {"RUN": run, "TABLES": str(tables), "HOUSEHOLD": rows[0]["household_id"], "KEY": key}
    return project, home, words


def state(project: Path) -> dict[str, object]:
    """What a project holds: rows of the casebook, runs that finished, champion, releases, keys."""
    with sqlite3.connect(project / "casebook" / "casebook.db") as book:
        tables = ("lists", "visits", "withdrawals", "keys", "audit", "cycles", "scores")
        found = {name: book.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
    with sqlite3.connect(project / "mlruns" / "mlflow.db") as store:
        found["runs"] = store.execute("SELECT run_uuid FROM runs WHERE status = 'FINISHED'").fetchall()
    for name in ("release", "keys"):
        found[name] = contents(project / name) if (project / name).is_dir() else {}
    found["trusted"] = [path.read_text("utf-8") for path in project.glob("serving/trusted_keys.yaml")]
    return found


@pytest.mark.parametrize("kind", ["full", "read-only"])
@pytest.mark.parametrize("name", IN_THE_PROJECT)
def test_a_project_without_room_stays_as_it_was_and_says_so_in_one_line(name, kind, used, tmp_path, command):
    original, files, words = used
    project = tmp_path / "project"
    shutil.copytree(original, project)
    for file in ("filled.csv", "refused.csv"):
        shutil.copy2(files / file, project)
    if name == "release":
        assert command("release-key", "--project", project).returncode == 0
    text = IN_THE_PROJECT[name]
    for word, value in {**words, "OUT": str(tmp_path / "out")}.items():
        text = text.replace(word, value)
    text = text.replace("FILLED", str(project / "filled.csv")).replace(
        "REFUSED", str(project / "refused.csv")
    )
    before = state(project)
    room = 400_000 if name == "list" else 50  # the run store can be opened; what a list keeps is larger
    with room_for_files_of(room) if kind == "full" else read_only(project):
        done = command(*text.split(), "--project", project)
    line = done.refused()
    remedies = ("the disk is full", "read-only", "permission denied", "cannot be written", "room to write")
    remedies += ("the disk reports an error",)  # what SQLite makes of a limit on the size of files
    assert any(part in line for part in remedies), line
    assert state(project) == before
    assert not (project / "refused-returned.xlsx").exists() and not (tmp_path / "out.csv").exists()


def test_refused_rows_that_cannot_be_written_leave_nothing_recorded(used, tmp_path, command):
    """Otherwise results are in although the message says that nothing was touched; refused rows are lost."""
    original, files, _ = used
    project, share = tmp_path / "project", tmp_path / "share"
    shutil.copytree(original, project)
    share.mkdir()
    shutil.copy2(files / "refused.csv", share)
    before = state(project)
    with read_only(share):
        line = command("record", share / "refused.csv", "--project", project).refused()
    assert "refused-returned.xlsx" in line and state(project) == before
    done = command("record", share / "refused.csv", "--project", project)
    assert "1 results recorded" in done.stdout and "5 refused" in done.stdout
    assert done.returncode == 1, "rows are left to be mended"
    assert (share / "refused-returned.xlsx").is_file()


def issued(project: Path) -> list[tuple[str, int]]:
    """(hash, scores kept of its day) of every list in the casebook."""
    with sqlite3.connect(project / "casebook" / "casebook.db") as book:
        names = [name for (name,) in book.execute("SELECT list_hash FROM lists ORDER BY issued_number")]
        (scores,) = book.execute("SELECT count(*) FROM scores").fetchone()
    return [(name, scores) for name in names]


@pytest.fixture
def give_out(place, command):
    """`give_out(*more)`: riskmodel list, into l.xlsx and a workbook for each township in `townships/`."""
    folder, project, tables, run = place

    def run_it(*more):
        where = ("--output", folder / "l.xlsx", "--by-township", folder / "townships")
        given = (
            "--as-of",
            AS_OF,
            "--model",
            run,
            "--tables",
            tables,
            "--capacity",
            "50",
            "--project",
            project,
        )
        return command("list", *given, *where, *more)

    return run_it


@pytest.mark.parametrize("written", [0, 1, 3])
def test_a_list_whose_files_cannot_all_be_written_is_not_in_the_casebook(
    written, place, give_out, monkeypatch
):
    """The disk is full after so many workbooks."""
    from riskmodel.visits import workbook

    folder, project, _, _ = place
    before = contents(folder)
    room, write = iter(range(written)), workbook.write_bytes

    def until_full(path, content):
        if next(room, None) is None:
            raise OSError(28, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(workbook, "write_bytes", until_full)
    said = give_out().refused()
    assert "the disk is full" in said and "/." not in said, said
    assert contents(folder) == before and not (folder / "townships").exists()
    assert issued(project) == []
    monkeypatch.undo()


def test_a_list_whose_scores_cannot_be_kept_is_not_in_the_casebook_and_its_files_are_not_there(
    place, give_out, monkeypatch
):
    from riskmodel.casebook import book

    folder, project, _, _ = place
    before = contents(folder)

    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(book, "keep_scoring", full)
    assert "the disk is full" in give_out().refused()
    assert contents(folder) == before and issued(project) == []


def test_a_list_that_was_kept_when_the_machine_stopped_is_written_by_the_same_command(
    place, give_out, command, monkeypatch
):
    """Between the casebook's commit and the rename: the list is in force and nobody has it. The same
    command again writes it."""
    folder, project, _, _ = place
    replace = os.replace

    def stops(source, target):
        named = Path(target)
        if named == folder / "l.xlsx" or (
            named.parent == folder / "townships" and not named.name.startswith(".")
        ):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr("os.replace", stops)
    assert give_out().returncode != 0
    ((name, scores),) = issued(project)
    assert (folder / "l.xlsx").read_bytes() == b"older" and scores > 1000
    monkeypatch.setattr("os.replace", replace)
    assert give_out().returncode == 0
    assert issued(project) == [(name, scores)]
    import openpyxl

    hashes = set()
    for path in (folder / "l.xlsx", *(folder / "townships").iterdir()):
        sheets = openpyxl.load_workbook(path, read_only=True)
        hashes.add(any(name in str(cell) for sheet in sheets for row in sheet.values for cell in row))
    assert hashes == {True}


def test_a_training_without_room_ends_its_run_as_failed_and_leaves_no_half_of_it(place, command):
    _, project, tables, run = place
    (there,) = [path.name for path in (project / "mlruns" / "artifacts").iterdir()]
    assert there == run
    with room_for_files_of(
        20_000
    ):  # the database is larger already: it cannot grow, and artifacts cannot be written
        done = command("train", "income_rule", "--tables", tables, "--project", project)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stdout == "", "no id is given out for a run that failed"
    assert command("compare", "--project", project).returncode == 0
    with sqlite3.connect(project / "mlruns" / "mlflow.db") as store:
        states = sorted(status for (status,) in store.execute("SELECT status FROM runs"))
    assert states in (["FINISHED"], ["FAILED", "FINISHED"])
    assert [path.name for path in (project / "mlruns" / "artifacts").iterdir()] == [run]


def test_a_database_that_does_not_answer_is_one_line(place, command, monkeypatch):
    _, project, _, _ = place
    monkeypatch.setenv("RISKMODEL_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    for words in (
        ("cycles",),
        ("keys", "list"),
        ("recall",),
        ("backup", project / "c.db"),
        ("audit", "verify"),
    ):
        said = command(*words, "--project", project).refused()
        assert "does not answer" in said and "secret" not in said
    monkeypatch.setenv("RISKMODEL_MLFLOW", "postgresql+psycopg://nobody:secret@127.0.0.1:1/none")
    for words in (("compare",), ("rollback", "--by", "a", "--because", "b")):
        said = command(*words, "--project", project).refused()
        assert "the run store does not answer" in said and "secret" not in said
