"""A full disk, in every command that writes: one line, exit code 1, nothing half-written, and an MLflow run
that ends FAILED.

Files may grow no further than a limit, which the system enforces for root as well, in Python, SQLite, Polars
and whatever else writes.
"""

from __future__ import annotations

import resource
import shutil
import sqlite3
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
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_what_was_there_stays(name, place, command):
    folder, project, tables, run = place
    words = COMMANDS[name].format(folder).replace("RUN", run).replace("TABLES", str(tables)).split()
    if name == "backup":  # a casebook that is larger than the room
        assert command("keys", "list", "--project", project).returncode == 0
    before = contents(folder)
    with room_for_files_of(3_000):
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
    import os

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
