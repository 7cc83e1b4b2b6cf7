"""The casebook on SQLite and on PostgreSQL: what was acknowledged stays, the audit cannot be changed unseen,
and it starts by itself.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text
from sqlalchemy.engine import make_url

from riskmodel.casebook import Casebook, audit
from riskmodel.casebook.schema import audit as audit_table
from riskmodel.casebook.schema import metadata
from riskmodel.casebook.store import address, connect, reading, writing
from riskmodel.errors import UserError
from riskmodel.project import Project
from riskmodel.visits.returns import Result

ROOT = Path(__file__).resolve().parents[2]


def result(household="h1", visitor="7", outcome="no_risk", kinds=""):
    return Result(4, "0" * 64, household, dt.date(2026, 1, 5), outcome, kinds, "", visitor, "")


def counts(intake):
    return intake.accepted, intake.corrected, intake.unchanged


def take(book, *results):
    return book.take_in(results, known_on=dt.date(2026, 1, 6), by="tester")


def test_the_migrations_make_exactly_the_tables_of_the_schema(book):
    with reading(book.engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_results_are_taken_in_once_and_corrected_by_version(book):
    assert counts(take(book, result(), result("h2"))) == (2, 0, 0)
    assert counts(take(book, result())) == (0, 0, 1)
    assert counts(take(book, result(outcome="risk_confirmed", kinds="illness"))) == (1, 1, 0)
    assert book.verifications()["outcome"].to_list().count("risk_confirmed") == 1


def test_all_results_of_a_file_are_kept_or_none(book):
    with pytest.raises(Exception, match=r"(?i)no row|no result"):
        take(book, result(), result("stranger"))
    assert book.verifications().height == 0 and book.audit_head().number == 0


def test_sqlite_writes_through_to_the_disk(tmp_path):
    engine = connect(make_url(f"sqlite:///{tmp_path / 'c.db'}"))
    with reading(engine) as connection:
        pragma = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize("table", ["audit", "visits"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET number = number + 100", "DELETE FROM {}"])
def test_the_database_itself_refuses_to_change_what_was_recorded(book, table, statement):
    take(book, result())
    with pytest.raises(Exception, match="append-only"), writing(book.engine) as connection:
        connection.execute(text(statement.format(table)))
    assert book.audit_faults() == [] and book.verifications().height == 1


def meddle(book, statement):
    """What somebody with the administrator's rights could do."""
    with writing(book.engine) as connection:
        if book.engine.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER audit_no_update"))
            connection.execute(text("DROP TRIGGER audit_no_delete"))
        else:
            connection.execute(text("DROP TRIGGER audit_append_only ON audit"))
        connection.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 3", "entry 3 was changed"),
        ("UPDATE audit SET details = '{}' WHERE number = 1", "entry 1 was changed"),
        ("DELETE FROM audit WHERE number = 3", "entries 3 to 3 are missing"),
        ("DELETE FROM audit WHERE number >= 5", "the tail was cut"),
    ],
)
def test_an_edit_a_deletion_and_a_cut_tail_of_the_audit_are_found(book, statement, fault):
    for number in range(6):
        take(book, result(f"h{number}"))
    exported = book.audit_head()
    assert book.audit_faults(exported) == []
    meddle(book, statement)
    assert any(fault in found for found in book.audit_faults(exported))


def test_a_chain_that_was_written_anew_is_found_by_the_exported_head(book):
    take(book, result(), result("h2"))
    exported = book.audit_head()
    meddle(book, "DELETE FROM audit")
    with writing(book.engine) as connection:
        for _ in range(3):
            audit.append(connection, actor="nobody", action="nothing", subject="h1")
    assert book.audit_faults() == []
    assert any("exported" in found for found in book.audit_faults(exported))


def test_every_result_has_its_audit_entry_with_who_and_which_model(book):
    take(book, result())
    with reading(book.engine) as connection:
        entry = connection.execute(select(audit_table)).mappings().one()
    assert (entry["actor"], entry["action"], entry["subject"], entry["model_version"]) == (
        "tester",
        "result recorded",
        "h1",
        "m",
    )


def test_scores_are_kept_once_and_give_a_history(book):
    import polars as pl

    def scores(day, probability):
        columns = {
            "household_id": ["h1", "h2"],
            "as_of": [day] * 2,
            "horizon_months": [12] * 2,
            "model_version": ["m"] * 2,
        }
        return pl.DataFrame(
            columns | {"margin": [1.0, 0.5], "probability": [probability, 0.01], "rank": [1, 2]}
        )

    assert book.keep_scores(scores(dt.date(2025, 11, 30), 0.02)) == 2
    assert book.keep_scores(scores(dt.date(2025, 12, 31), 0.30)) == 2
    assert book.keep_scores(scores(dt.date(2025, 12, 31), 0.99)) == 0  # what was kept is not changed
    assert book.history("h1")["probability"].to_list() == [0.02, 0.30] and book.history("h9").height == 0


def test_writers_at_the_same_time_all_succeed_in_one_chain(book, url):
    def work(writer):
        own = Casebook(connect(make_url(url)))
        for number in range(5):
            take(own, result(f"h{number}", visitor=f"w{writer}"))
        own.close()

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert book.verifications().height == 20 and book.audit_head().number == 20 and book.audit_faults() == []


def test_first_starts_at_the_same_time_all_succeed(url):
    faults = []

    def start():
        try:
            connect(make_url(url)).dispose()
        except Exception as error:  # whatever it is, the test must show it
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert faults == []


def test_a_casebook_of_a_newer_riskmodel_is_left_alone(book, url):
    with writing(book.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match="Update riskmodel"):
        connect(make_url(url))


def test_kill_9_loses_nothing_that_was_acknowledged(url):
    command = [sys.executable, str(ROOT / "benchmarks" / "casebook_kill.py"), "--rounds", "4"]
    command += ["--url", url] if url.startswith("postgresql") else []
    said = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stdout + said.stderr
    assert json.loads(said.stdout)["acknowledged"] > 0


def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path):
    """SQLite's own page limit stands for the disk: the same error comes from the same place."""
    engine = connect(make_url(f"sqlite:///{tmp_path / 'c.db'}"))
    book = Casebook(engine)
    book.note(actor="a", action="b", subject="c")

    def write_much():
        with writing(engine) as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            for _ in range(200):
                audit.append(connection, actor="a", action="b" * 60, subject="c" * 300)

    with pytest.raises(UserError, match="the disk is full"):
        write_much()
    book.close()
    again = Casebook(connect(make_url(f"sqlite:///{tmp_path / 'c.db'}")))
    assert again.audit_head().number == 1 and again.audit_faults() == []


def test_a_damaged_file_is_said(tmp_path):
    (tmp_path / "c.db").write_bytes(b"this is no database at all" * 400)
    with pytest.raises(UserError, match="Restore the newest backup"):
        connect(make_url(f"sqlite:///{tmp_path / 'c.db'}"))


def test_a_database_that_does_not_answer_is_said():
    with pytest.raises(UserError, match="does not answer"):
        connect(make_url("postgresql+psycopg://nobody@127.0.0.1:1/none"))


def test_a_backup_of_a_running_casebook_can_be_restored(tmp_path):
    """The way that docs/casebook.md names: SQLite's own online backup, then put the file in place."""
    import sqlite3

    live = Casebook(connect(make_url(f"sqlite:///{tmp_path / 'live.db'}")))
    for number in range(3):
        live.note(actor="a", action="b", subject=str(number))
    with sqlite3.connect(tmp_path / "live.db") as source, sqlite3.connect(tmp_path / "copy.db") as copy:
        source.backup(copy)
    live.note(actor="a", action="after the backup", subject="x")
    restored = Casebook(connect(make_url(f"sqlite:///{tmp_path / 'copy.db'}")))
    assert restored.audit_head().number == 3 and restored.audit_faults() == []
    assert restored.audit_faults(live.audit_head()) != []  # what is missing since the backup shows


def test_the_casebook_lives_in_the_project_or_where_the_address_says(tmp_path, monkeypatch):
    monkeypatch.delenv("RISKMODEL_DATABASE_URL", raising=False)
    assert address(Project(tmp_path)).database == str(tmp_path / "casebook" / "casebook.db")
    monkeypatch.setenv("RISKMODEL_DATABASE_URL", "postgresql://u@h/d")
    assert address(Project(tmp_path)).drivername == "postgresql+psycopg"
    for wrong in ("nonsense", "mysql://u@h/d"):
        monkeypatch.setenv("RISKMODEL_DATABASE_URL", wrong)
        with pytest.raises(UserError, match="RISKMODEL_DATABASE_URL"):
            address(Project(tmp_path))


def test_a_password_in_the_address_is_never_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("RISKMODEL_DATABASE_URL", "mysql://u:secret@h/d")
    with pytest.raises(UserError) as caught:
        address(Project(tmp_path))
    assert "secret" not in str(caught.value)
