"""A copy of a SQLite casebook while it is in use, whole or not at all."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL

from riskmodel.casebook.store import connect
from riskmodel.errors import Fault, UserError
from riskmodel.files import replacing

if TYPE_CHECKING:
    from riskmodel.casebook.book import Casebook


def backup(book: Casebook, target: str | os.PathLike[str]) -> str:
    """Copy the casebook to a file by SQLite's own online backup, and read the copy once. Returns what it
    holds, in a sentence.

    Raises UserError for PostgreSQL (which has pg_dump), for a full disk, and for a copy whose audit chain
    does not hold: the old file stays.
    """
    from riskmodel.casebook.book import Casebook

    url = book.engine.url
    if url.get_backend_name() != "sqlite":
        remedy = 'pg_dump --format=custom --file backup.dump "$RISKMODEL_DATABASE_URL" (docs/casebook.md)'
        raise UserError(Fault("backup", "the casebook is in PostgreSQL", "SQLite", remedy))
    assert url.database
    if Path(target).resolve() == Path(url.database).resolve():
        raise UserError(
            Fault(str(target), "this is the casebook itself", "another file", "Name a file on another disk.")
        )
    with replacing(target) as draft:
        try:
            with sqlite3.connect(url.database) as source, sqlite3.connect(draft) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, without its write-ahead log
            source.close()
            copy.close()
        except sqlite3.Error as error:
            remedy = "The casebook and the older backup are untouched. Make room, or name another disk."
            raise UserError(
                Fault(str(target), f"the copy failed ({error})", "room to write", remedy)
            ) from error
        # The path as it is: in an address, `?`, `%41` and `#` would name another file.
        copied = Casebook(connect(URL.create("sqlite", database=str(draft))))
        findings = copied.audit_findings()
        faults, head = findings.faults, findings.head
        copied.close()
        with sqlite3.connect(draft) as last:
            last.execute("PRAGMA journal_mode=DELETE")
        last.close()
        if faults:
            remedy = "Stop and find out who changed it; the older backup is untouched (docs/casebook.md)."
            raise UserError(
                Fault(
                    str(url.database),
                    "; ".join(faults[:3]),
                    "an audit that holds, and rows that fit it",
                    remedy,
                )
            )
    return (
        f"{target}: every list, result and score, and {head.number} audit entries; the newest has the hash "
        f"{head.hash}."
    )
