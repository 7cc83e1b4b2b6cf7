"""Notes beside the casebook, in a file of the project: that there is one, and which keys were revoked. A
restored backup does not bring them back.

The file is append-only, a JSON object a line. It holds no secret and no household.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, select
from sqlalchemy.engine import URL

from riskmodel.casebook import audit
from riskmodel.casebook.schema import keys
from riskmodel.casebook.store import connect, exists, reading, writing
from riskmodel.errors import Fault, UserError
from riskmodel.project import Project

EXPECTED: Final = "RISKMODEL_CASEBOOK_EXPECTED"
OPTION: Final = "beside"  # the engine's execution option with the path of the file


@dataclass
class Notes:
    """Contents of the file. made: when the casebook was made (empty: there is no file). revoked: key id ->
    when.
    """

    made: str = ""
    revoked: dict[str, str] = field(default_factory=dict)


def file_of(project: Project) -> Path:
    """The file of a project, in the folder of its casebook, for PostgreSQL too."""
    return project.root / "casebook" / "beside.jsonl"


def read(path: Path) -> Notes:
    """The notes. Raises UserError for a line that is damaged: a revocation may be in it."""
    notes = Notes()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return notes
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, 1) from error
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            if entry["what"] == "casebook made":
                notes.made = notes.made or str(entry["at"])
            elif entry["what"] == "key revoked":
                notes.revoked[str(entry["key_id"])] = str(entry["at"])
        except (ValueError, KeyError, TypeError) as error:
            if line.startswith('{"at": ') and not line.endswith("}"):
                continue  # cut by a crash while it was written: what it noted was not acknowledged
            raise _damaged(path, number) from error
    return notes


def _damaged(path: Path, line: int) -> UserError:
    remedy = (
        "Restore the file from a backup of the folder; it names the keys that were revoked "
        "(docs/casebook.md)."
    )
    return UserError(Fault(f"{path}:{line}", "not readable", "a note as JSON", remedy))


def note(path: Path, what: str, **more: Any) -> None:
    """Append one note; it is on disk when this returns. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"at": audit.now(), "what": what} | more, ensure_ascii=False)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        torn = path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        os.write(handle, (("\n" if torn else "") + line + "\n").encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def open_casebook(project: Project, url: URL) -> Engine:
    """Connect to a project's casebook. Raises UserError where one is expected and it is missing or empty.

    Expected: the file beside it notes that there was one, or RISKMODEL_CASEBOOK_EXPECTED is set. Keys that
    the file notes as revoked are revoked again where an older backup was restored.
    """
    path = file_of(project)
    notes = read(path)
    if (notes.made or os.environ.get(EXPECTED)) and not exists(url):
        since = (
            f"the casebook that was made on {notes.made[:10]}"
            if notes.made
            else f"a casebook ({EXPECTED} is set)"
        )
        remedy = (
            "Put it back, or restore the newest backup (docs/casebook.md). "
            f"To begin a new one for good, take {path} away"
            + (f" and unset {EXPECTED}." if not notes.made else ".")
        )
        raise UserError(
            Fault(url.render_as_string(hide_password=True), "the casebook is missing or empty", since, remedy)
        )
    engine = connect(url, beside=str(path))
    try:
        if not notes.made:
            note(path, "casebook made")
    except OSError:
        pass  # a folder that cannot be written: nothing is expected of it later
    _revoke_again(engine, notes)
    return engine


def _revoke_again(engine: Engine, notes: Notes) -> None:
    def missing(connection: Connection) -> list[str]:
        wanted = select(keys.c.key_id).where(keys.c.revoked_at.is_(None), keys.c.key_id.in_(notes.revoked))
        return sorted(connection.execute(wanted).scalars())

    if not notes.revoked:
        return
    with reading(engine) as connection:
        if not missing(connection):
            return
    with writing(engine) as connection:
        for key_id in missing(connection):
            values = {"revoked_at": notes.revoked[key_id], "revoked_by": "noted beside the casebook"}
            connection.execute(keys.update().where(keys.c.key_id == key_id).values(values))
            audit.append(
                connection,
                actor="riskmodel",
                action="key revoked",
                subject=key_id,
                details={"again": True, "first": notes.revoked[key_id]},
            )


def note_revocation(engine: Engine, key_id: str) -> None:
    """Note beside the casebook that a key is revoked, before the database has it. Raises UserError where that
    cannot be written.
    """
    path = engine.get_execution_options().get(OPTION)
    if path is None:
        return
    try:
        note(Path(path), "key revoked", key_id=key_id)
    except OSError as error:
        remedy = (
            "The key is revoked. Make the folder writable and revoke it again after restoring "
            "an older backup."
        )
        raise UserError(
            Fault(str(path), error.strerror or "cannot be written", "a file that can be appended to", remedy)
        ) from error
