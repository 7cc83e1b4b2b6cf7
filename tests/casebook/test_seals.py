"""What is kept fits the audit: a changed, added or missing row is named; nothing is replaced; revoked keys
stay revoked; no empty casebook in place of one.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import tracemalloc

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

import riskmodel as rm
from riskmodel.casebook import Casebook, audit, beside, seals
from riskmodel.casebook.credentials import add_key, authenticate_key, revoke_key
from riskmodel.casebook.roles import Who
from riskmodel.casebook.store import connect, reading, writing
from riskmodel.errors import UserError
from tests.casebook.test_moved_households import moved  # noqa: F401  (fixture)
from tests.casebook.test_results import result, take


def without_triggers(book, *statements):
    """What somebody with the administrator's rights could do."""
    with writing(book.engine) as connection:
        if book.engine.dialect.name == "sqlite":
            names = connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            ).scalars()
            for name in names.all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            for table in ("audit", "visits", "withdrawals"):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def sealed(moved):  # noqa: F811
    """Two counties with scores, results, a withdrawal and two keys; the lists, put in by hand, are sealed
    like those of an earlier form.
    """
    add_key(moved.engine, name="desk", role="screener", areas=["522301"], purpose="visits")
    gone = add_key(moved.engine, name="old desk", role="screener", areas=["522301"], purpose="visits")
    revoke_key(moved.engine, gone.key.key_id)
    moved.withdraw("stays", "2026-01", reason="wrong household", by="t", on=dt.date(2026, 1, 9))
    with writing(moved.engine) as connection:
        lists_only = [entry for entry in seals.everything(connection) if entry["subject"].startswith("list")]
        audit.append_all(connection, lists_only)
    assert moved.audit_findings().ok
    return moved


def test_what_was_kept_in_the_usual_way_fits_the_audit(sealed):
    assert sealed.content_faults() == [] and "The chain holds" in sealed.audit_findings().text()


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE visits SET outcome = 'no_risk' WHERE number = 3", "result 3 of whole: changed"),
        ("UPDATE visits SET known_on = '2025-11-01' WHERE number = 1", "result 1 of mover: changed"),
        ("DELETE FROM visits WHERE number = 4", "result 4: it is missing"),
        (
            (
                "INSERT INTO visits SELECT 99, 'x', 1, content_hash, list_hash, household_id, visited_on, "
                "known_on, recorded_at, recorded_by, origin, outcome, risk_kinds, disagreement, visitor, "
                "note, 'x' FROM visits WHERE number = 1"
            ),
            "result 99 of mover: no audit entry has its seal",
        ),
        ("DELETE FROM withdrawals", "it is missing"),
        ("UPDATE withdrawals SET reason = 'another'", "withdrawal of result"),
        (
            "UPDATE scores SET probability = 0.9 WHERE household_id = 'whole' AND scoring = 3",
            "scores as of 2025-12-31 (scoring 3): changed: the score of whole",
        ),
        (
            (
                "UPDATE said SET content = (SELECT content FROM said WHERE household_id = 'whole' AND "
                "scoring = 1) WHERE household_id = 'split'"
            ),
            "changed: the reasons of split",
        ),
        (
            "DELETE FROM said WHERE household_id = 'stays' AND scoring = 2",
            "scores as of 2025-11-30 (scoring 2): 1 rows were taken out",
        ),
        (
            "UPDATE list_rows SET grade = 'red' WHERE household_id = 'towner' AND list_hash = '"
            + "2".rjust(64, "0")
            + "'",
            "changed: the row of towner",
        ),
        (
            "UPDATE lists SET as_of = '2025-01-01' WHERE issued_number = 1",
            "list 2025-11 of 522301 (000000000000): changed: the list itself",
        ),
        (
            "DELETE FROM list_rows WHERE household_id = 'whole' AND list_hash = '" + "1".rjust(64, "0") + "'",
            "1 rows were taken out",
        ),
        ("UPDATE keys SET areas = '52' WHERE revoked_at IS NULL", ": changed"),
        ("UPDATE keys SET revoked_at = NULL, revoked_by = NULL", ": in force, but it was revoked"),
    ],
)
def test_a_row_that_was_changed_added_or_taken_out_is_named(sealed, statement, fault):
    off = ["PRAGMA foreign_keys=OFF"] if sealed.engine.dialect.name == "sqlite" else []
    without_triggers(sealed, *off, statement)
    found = sealed.audit_findings()
    assert any(fault in one for one in found.faults), found.faults
    assert sealed.audit_faults() == [] and len(found.faults) <= 2
    assert "tampered" in found.text()


def test_a_draw_is_sealed_with_its_chances(book):
    from riskmodel.casebook.schema import drawn_from

    one = {"list_hash": "0" * 64, "probability": 0.01, "stratum": "t/1", "inclusion_probability": 0.5}
    with writing(book.engine) as connection:
        connection.execute(
            drawn_from.insert(), [one | {"household_id": f"o{n}", "drawn": n < 40} for n in range(400)]
        )
        audit.append_all(connection, list(seals.everything(connection)))
    assert book.content_faults() == []
    without_triggers(book, "UPDATE drawn_from SET inclusion_probability = 1.0 WHERE household_id = 'o317'")
    (fault,) = book.content_faults()
    assert fault == "draw of list 2026-01 of 522301 (000000000000): changed: the draw of o317"


def test_one_changed_row_of_ten_thousand_is_named_from_a_few_kilobytes():
    rows = [(f"h{n:05d}", f"text {n}") for n in range(10_000)]
    seal = seals.grid(iter(rows))
    assert len(json.dumps(seal)) < 4_000 and seals.differences(seal, reversed(rows)) == []
    changed = [(name, "other" if name == "h07654" else told) for name, told in rows]
    assert seals.differences(seal, changed) == ["changed: h07654"]
    assert seals.differences(seal, rows[1:]) == ["1 rows were taken out"]
    assert seals.differences(seal, [*rows, ("new", "x")]) == ["1 rows were added", "changed: new"]
    assert seals.differences(seals.grid([]), []) == []


def test_an_entry_that_was_rewritten_with_its_own_hash_breaks_the_link_of_the_next_one(book):
    """Its hash fits its text; only the next entry still carries the old one."""
    for number in range(4):
        take(book, result(f"h{number}"))
    with reading(book.engine) as connection:
        (entry,) = [entry for entry in audit.entries(connection) if entry["number"] == 2]
    entry["actor"] = "nobody"
    anew = audit.chained(
        audit.Head(1, entry["previous"]), [entry | {"details": json.loads(entry["details"])}]
    )[0]
    without_triggers(book, f"UPDATE audit SET actor = 'nobody', hash = '{anew['hash']}' WHERE number = 2")
    assert book.audit_faults() == ["entry 3 does not follow the entry before it"]


@pytest.mark.parametrize(
    "statement",
    [
        "REPLACE INTO audit SELECT * FROM audit WHERE number = 1",
        (
            "INSERT OR REPLACE INTO audit SELECT number, at, 'nobody', role, purpose, action, subject, "
            "model_version, details, previous, hash FROM audit"
        ),
        "INSERT OR REPLACE INTO visits SELECT * FROM visits WHERE number = 1",
        (
            "INSERT OR REPLACE INTO visits (event_id, version, chain, content_hash, list_hash, "
            "household_id, visited_on, known_on, recorded_at, recorded_by, origin, outcome, risk_kinds, "
            "disagreement, visitor, note) SELECT event_id, version, chain, content_hash, list_hash, "
            "household_id, visited_on, known_on, recorded_at, recorded_by, origin, 'no_risk', '', "
            "disagreement, visitor, note FROM visits"
        ),
        (
            "REPLACE INTO withdrawals SELECT visit_number, withdrawn_on, withdrawn_at, withdrawn_by, "
            "'another' FROM withdrawals"
        ),
    ],
)
def test_nothing_that_was_recorded_can_be_replaced_in_sqlite(tmp_path, statement):
    book = Casebook(connect(make_url(f"sqlite:///{tmp_path / 'c.db'}")))
    from tests.casebook.test_results import later_list

    later_list(book, name="2" * 64, h1="model")
    take(book, result("h1", "risk_confirmed", on="2" * 64))
    book.withdraw("h1", "2026-02", reason="wrong", by="t", on=dt.date(2026, 1, 9))
    plain = create_engine(f"sqlite:///{tmp_path / 'c.db'}")  # somebody's own connection, without our settings
    with pytest.raises(Exception, match="append-only"), plain.begin() as connection:
        connection.exec_driver_sql(statement)
    plain.dispose()
    book.close()


@pytest.mark.parametrize(
    "statement",
    [
        (
            "INSERT INTO visits SELECT * FROM visits WHERE number = 1 ON CONFLICT (number) DO UPDATE SET "
            "outcome = 'no_risk'"
        ),
        "TRUNCATE withdrawals",
        "UPDATE withdrawals SET reason = 'another'",
    ],
)
def test_nothing_that_was_recorded_can_be_replaced_in_postgresql(postgres_database, statement):
    from tests.casebook.test_results import later_list

    book = Casebook(connect(make_url(postgres_database())))
    later_list(book, name="2" * 64, h1="model")
    take(book, result("h1", on="2" * 64))
    with pytest.raises(Exception, match="append-only"), writing(book.engine) as connection:
        connection.exec_driver_sql(statement)
    book.close()


def test_a_page_of_a_long_audit_asks_the_database_for_no_more_than_it_shows(book):
    """20,000 entries of some 600 bytes: the page of ten costs less than a tenth of what they hold."""
    with writing(book.engine) as connection:
        entry = {
            "actor": "k",
            "action": "household seen",
            "subject": "s" * 290,
            "details": {"filler": "x" * 300},
        }
        audit.append_all(connection, [entry] * 20_000)
    tracemalloc.start()
    page = book.audit_page(since=1, limit=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(page["entries"]) == 10 and page["next_since"] == 11 and page["head"]["number"] == 20_000
    assert peak < 1_200_000
    assert [entry["number"] for entry in book.audit_page(since=19_999, limit=10)["entries"]] == [
        19_999,
        20_000,
    ]


@pytest.fixture
def own(own_project):
    return own_project


def restore(project, copy):
    """As docs/casebook.md says: put the copy in the place of the file, without its write-ahead log."""
    for name in ("casebook.db", "casebook.db-wal", "casebook.db-shm"):
        (project.root / "casebook" / name).unlink(missing_ok=True)
    shutil.copy(copy, project.root / "casebook" / "casebook.db")


def test_a_key_that_was_revoked_after_the_backup_stays_revoked_when_it_is_restored(own, tmp_path):
    kept, gone = (
        rm.add_key(f"desk {n}", role="operator", areas=[], purpose="tests", project=own) for n in range(2)
    )
    rm.backup(tmp_path / "copy.db", project=own)
    rm.revoke_key(gone.key.key_id, project=own)
    restore(own, tmp_path / "copy.db")
    book = Casebook.of(own)
    assert isinstance(authenticate_key(book.engine, kept.secret), Who)
    assert authenticate_key(book.engine, gone.secret).why == "revoked"
    assert book.audit_findings().ok  # the revocation is in the audit again
    book.close()


def test_a_crash_between_the_note_and_the_database_leaves_the_key_revoked(own, monkeypatch):
    key = rm.add_key("desk", role="operator", areas=[], purpose="tests", project=own)
    beside.note(beside.file_of(own), "key revoked", key_id=key.key.key_id)
    with beside.file_of(own).open("a", encoding="utf-8") as file:
        file.write('{"at": "2026-01-0')  # the next note was cut
    book = Casebook.of(own)
    assert authenticate_key(book.engine, key.secret).why == "revoked"
    book.close()
    other = rm.add_key("desk", role="operator", areas=[], purpose="tests", project=own)
    rm.revoke_key(other.key.key_id, project=own)
    assert set(beside.read(beside.file_of(own)).revoked) == {key.key.key_id, other.key.key_id}


def test_a_damaged_note_is_refused_by_line(own):
    rm.list_keys(project=own)
    path = beside.file_of(own)
    path.write_text("nonsense\n" + path.read_text("utf-8"), encoding="utf-8")
    with pytest.raises(UserError, match=r"beside.jsonl:1: not readable"):
        rm.list_keys(project=own)


def test_a_key_is_revoked_even_where_the_note_cannot_be_written_and_it_is_said(own, monkeypatch):
    key = rm.add_key("desk", role="operator", areas=[], purpose="tests", project=own)

    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(beside, "note", full)
    with pytest.raises(UserError, match="The key is revoked"):
        rm.revoke_key(key.key.key_id, project=own)
    assert rm.list_keys(project=own)[0].state == "revoked"


@pytest.mark.parametrize("lost", ["missing", "empty file", "empty database"])
def test_a_missing_or_empty_casebook_is_refused_where_one_was(own, lost):
    rm.list_keys(project=own)
    path = own.root / "casebook" / "casebook.db"
    for name in ("casebook.db", "casebook.db-wal", "casebook.db-shm"):
        path.with_name(name).unlink(missing_ok=True)
    if lost == "empty file":
        path.touch()
    if lost == "empty database":
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (a)")
            connection.exec_driver_sql("DROP TABLE t")
        engine.dispose()
    before = path.exists() and path.read_bytes()
    with pytest.raises(
        UserError,
        match=r"casebook\.db: the casebook is missing or empty; expected the casebook that was made on",
    ):
        Casebook.of(own)
    assert (path.exists() and path.read_bytes()) == before  # nothing was put in its place
    beside.file_of(own).unlink()
    Casebook.of(own).close()  # begun anew on purpose


def test_an_expected_casebook_is_refused_even_where_its_folder_is_gone(own, monkeypatch, postgres_database):
    monkeypatch.setenv("RISKMODEL_CASEBOOK_EXPECTED", "1")
    for address in ("", postgres_database()):
        monkeypatch.setenv("RISKMODEL_DATABASE_URL", address)
        with pytest.raises(UserError, match="RISKMODEL_CASEBOOK_EXPECTED is set"):
            Casebook.of(own)
    monkeypatch.delenv("RISKMODEL_CASEBOOK_EXPECTED")
    Casebook.of(own).close()
    monkeypatch.setenv(
        "RISKMODEL_DATABASE_URL", postgres_database()
    )  # another, empty one: the volume was exchanged
    with pytest.raises(UserError, match="missing or empty"):
        Casebook.of(own)


def test_the_file_beside_the_casebook_is_private_and_names_no_secret(own):
    key = rm.add_key("desk", role="operator", areas=[], purpose="tests", project=own)
    rm.revoke_key(key.key.key_id, project=own)
    path = beside.file_of(own)
    assert os.stat(path).st_mode & 0o077 == 0
    assert key.secret.split("_")[2] not in path.read_text("utf-8") and key.key.key_id in path.read_text(
        "utf-8"
    )


def test_a_casebook_of_the_form_before_is_sealed_when_it_is_brought_up(tmp_path):
    """Lists, scores, keys and results of form 0003 get their hashes; what is changed afterwards is named."""
    from alembic import command
    from alembic.config import Config

    url = f"sqlite:///{tmp_path / 'casebook.db'}"
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", "riskmodel.casebook:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.exec_driver_sql("INSERT INTO cycles VALUES ('522301', '2026-01', 'now', NULL)")
        connection.exec_driver_sql(
            "INSERT INTO lists VALUES ('h', '522301', '2026-01', '2025-12-31', 1, 'm', '{}', '[]', 'now', "
            "1, NULL, NULL)"
        )
        connection.exec_driver_sql(
            "INSERT INTO list_rows VALUES ('h', 'h1', 1, 0, '522301100', '522301100200', 'none', 'model', "
            "NULL, 1.0, '{}', NULL)"
        )
        connection.exec_driver_sql(
            "INSERT INTO visits VALUES (1, 'e', 1, 'c', 'h', 'h1', '2026-01-05', '2026-01-06', 'now', 'a', "
            "'screening', 'no_risk', '', '', 'T2', '', 'e')"
        )
        connection.exec_driver_sql(
            "INSERT INTO keys VALUES ('k', 'x', 'desk', 'screener', '522301', 'visits', "
            "'2026-01-01T00:00:00+00:00', 'a', '2027-01-01T00:00:00+00:00', NULL, NULL)"
        )
    engine.dispose()
    book = Casebook(connect(make_url(url)))
    assert book.audit_findings().ok and book.audit_head().number == 3
    without_triggers(
        book,
        "UPDATE visits SET outcome = 'risk_confirmed', risk_kinds = 'illness'",
        "UPDATE list_rows SET grade = 'red'",
        "UPDATE keys SET areas = '52'",
    )
    assert book.content_faults() == [
        "list 2026-01 of 522301 (h): changed: the row of h1",
        "key k: changed",
        "results: changed: result 1 of h1",
    ]


def test_why_a_household_is_not_on_the_list_is_sealed_with_the_list(own):
    """Of 40 households 10 are on the list or drawn; the others have their reason in the seal of the list's
    own entry.
    """
    from riskmodel.casebook import next_list
    from tests.casebook.test_record import AS_OF, county, scores

    made = next_list(own, scores(), county(), AS_OF, capacity=10, issue=True)
    others = made.not_listed["household_id"].to_list()
    assert len(others) + len(made.rows) == 40 and len(others) >= 25
    book = Casebook.of(own)
    assert book.content_faults() == []
    name = f"list 2026-01 of {made.county_code} ({made.hash[:12]})"
    without_triggers(
        book,
        (
            "UPDATE not_listed SET reason = 'monitored', since = '2025-01-01' WHERE household_id = "
            f"'{others[7]}'"
        ),
    )
    assert book.content_faults() == [f"those not on {name}: changed: the absence of {others[7]}"]
    without_triggers(book, f"DELETE FROM not_listed WHERE household_id = '{others[7]}'")
    assert book.content_faults()[0] == f"those not on {name}: 1 rows were taken out"
    book.close()


def test_what_a_casebook_of_form_0005_says_of_absences_is_sealed_when_it_is_brought_up(tmp_path):
    """Its lists are sealed already, without the households that are not on them."""
    from alembic import command
    from alembic.config import Config

    url = f"sqlite:///{tmp_path / 'casebook.db'}"
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", "riskmodel.casebook:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        connection.exec_driver_sql("INSERT INTO cycles VALUES ('522301', '2026-01', 'now', NULL)")
        for number, name in enumerate(("h", "i"), start=1):
            connection.exec_driver_sql(
                f"INSERT INTO lists VALUES ('{name}', '522301', '2026-01', '2025-12-31', 1, 'm', '{{}}', "
                f"'[]', 'now', {number}, NULL, NULL)"
            )
        for number in range(20):
            connection.exec_driver_sql(
                f"INSERT INTO not_listed VALUES ('h', 'n{number}', '522301100200', 'waiting', NULL, NULL, "
                "NULL, NULL)"
            )
        audit.append_all(connection, list(seals.everything(connection)))
    engine.dispose()
    book = Casebook(connect(make_url(url)))
    assert book.audit_findings().ok and book.audit_head().number == 3  # two lists, and the absences of one
    without_triggers(
        book,
        "UPDATE not_listed SET last_visit = '2025-12-01' WHERE household_id = 'n3'",
        "INSERT INTO not_listed VALUES ('i', 'n4', '522301100200', 'gone', NULL, NULL, NULL, NULL)",
    )
    assert book.content_faults() == [
        "those not on list 2026-01 of 522301 (h): changed: the absence of n3",
        "those not on list 2026-01 of 522301 (i): 1 rows were added",
        "those not on list 2026-01 of 522301 (i): changed: the absence of n4",
    ]
    book.close()
