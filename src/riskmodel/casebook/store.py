"""The casebook's database: SQLite in the project by default, PostgreSQL by address. One way to read, one way
to write.

Acknowledged means durable: SQLite in WAL with `synchronous=FULL`, writers under `BEGIN IMMEDIATE`; PostgreSQL
with its own `synchronous_commit`. Writers go one after another on both, so that the audit chain never forks.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from riskmodel.errors import Fault, UserError
from riskmodel.files import PRIVATE
from riskmodel.project import Project

ADDRESS: Final = "RISKMODEL_DATABASE_URL"
WRITERS: Final = 7_265_111  # the advisory lock that PostgreSQL's writers share
_PATIENCE: Final = 30  # seconds that a writer waits for another one


def address(project: Project) -> URL:
    """Address of the casebook's database: RISKMODEL_DATABASE_URL (PostgreSQL or SQLite), or
    `casebook/casebook.db` in the project folder. Raises UserError for another database or no address."""
    named = os.environ.get(ADDRESS)
    if not named:
        return URL.create("sqlite", database=str(project.root / "casebook" / "casebook.db"))
    try:
        url = make_url(named)
    except SQLAlchemyError:
        # The address may hold a password, so it is not repeated here.
        raise UserError(
            Fault(ADDRESS, "not a database address", "postgresql://user@host/name", "Correct the address.")
        ) from None
    kind = url.get_backend_name()
    if kind == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite":
        return url
    raise UserError(
        Fault(ADDRESS, f"a {kind} database", "postgresql:// or sqlite:///", "Use one of the two.")
    )


def exists(url: URL) -> bool:
    """Whether there is a casebook at an address: its tables are there. Creates nothing. Raises UserError if
    the database does not answer.
    """
    if url.get_backend_name() == "sqlite":
        if not os.path.isfile(str(url.database)):
            return False
        try:  # read-only: what is there stays as it is
            plain = sqlite3.connect(f"file:{quote(str(url.database))}?mode=ro", uri=True, timeout=_PATIENCE)
            try:
                wanted = "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
                return bool(plain.execute(wanted).fetchone()[0])
            finally:
                plain.close()
        except sqlite3.Error:
            return True  # damaged, or not to be opened: `connect` reports what it is
    engine = _engine(url, {})
    try:
        with reading(engine) as connection:
            return _revision(connection) is not None
    finally:
        engine.dispose()


def connect(url: URL, *, beside: str | None = None) -> Engine:
    """The engine of a casebook, its tables brought up to date. Raises UserError if it cannot be reached.

    beside: the file that notes revoked keys (`riskmodel.casebook.beside`), kept as an execution option of the
    engine.
    """
    engine = _engine(url, {} if beside is None else {"beside": beside})
    migrate(engine)
    return engine


def _engine(url: URL, options: dict[str, Any]) -> Engine:
    if url.get_backend_name() == "sqlite":
        assert url.database
        os.makedirs(os.path.dirname(url.database) or ".", exist_ok=True)
        with suppress(
            FileExistsError
        ):  # a new casebook is its owner's; its write-ahead log takes the same mode
            os.close(os.open(url.database, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
        engine = create_engine(
            url,
            connect_args={"timeout": _PATIENCE, "check_same_thread": False},
            execution_options=options,
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        try:
            engine = create_engine(
                url, pool_pre_ping=True, connect_args={"connect_timeout": 10}, execution_options=options
            )
        except ModuleNotFoundError:
            raise UserError(
                Fault(
                    ADDRESS,
                    "psycopg is not installed",
                    "psycopg 3",
                    "pip install 'relapse-riskmodel[postgres]'",
                )
            ) from None
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin in _begin_sqlite, not where the driver guesses
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_PATIENCE * 1000}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reading one state of the casebook."""
    with _in_plain_words(), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        yield connection
        connection.rollback()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection for writing: all of it is kept when the block ends, or nothing of it."""
    with _in_plain_words(), engine.connect().execution_options(writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS})
        yield connection


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Full disks, busy and unreachable databases become a UserError in plain words; every other error keeps
    its traceback.
    """
    try:
        yield
    except DBAPIError as error:
        message = str(error.orig).lower()
        if "disk is full" in message or "no space left" in message or "disk i/o" in message:
            fault = Fault(
                "casebook",
                "the disk is full or does not write",
                "room to write",
                "Nothing was recorded. Make room and try again.",
            )
        elif "locked" in message or "busy" in message:
            fault = Fault(
                "casebook", "somebody else is writing", "a free casebook", "Nothing was recorded. Try again."
            )
        elif "readonly" in message or "read-only" in message or "unable to open" in message:
            fault = Fault(
                "casebook",
                "the casebook cannot be written",
                "a folder with write permission",
                "Nothing was recorded.",
            )
        elif "connection" in message or "could not" in message:
            fault = Fault(
                "casebook",
                "the database does not answer",
                "a running database",
                "Nothing was recorded. Start it and try again.",
            )
        elif "malformed" in message or "not a database" in message:
            fault = Fault(
                "casebook",
                "the file is damaged",
                "a casebook",
                "Restore the newest backup (docs/casebook.md).",
            )
        else:
            raise
        raise UserError(fault) from error


def migrate(engine: Engine) -> None:
    """Bring the tables to the newest form, once, whoever starts first. Raises UserError for a casebook from a
    newer riskmodel.
    """
    with reading(engine) as connection:
        if _revision(connection) == NEWEST:
            return
    with writing(engine) as connection:
        found = _revision(connection)
        if found == NEWEST:
            return
        if found is not None and found > NEWEST:
            fault = Fault(
                "casebook",
                f"tables of form {found}",
                f"at most {NEWEST}",
                "Update riskmodel; older versions cannot read it.",
            )
            raise UserError(fault)
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "riskmodel.casebook:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, NEWEST)


NEWEST: Final = "0006"


def _revision(connection: Connection) -> str | None:
    from sqlalchemy import inspect

    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
