"""The audit as a file: its head first, then one entry a line. Written daily outside the machine, it shows
later whether the chain was cut or written anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from riskmodel.casebook import audit
from riskmodel.casebook.audit import AuditFindings, Head
from riskmodel.casebook.store import reading
from riskmodel.errors import DataError, Fault
from riskmodel.files import replacing


def export(engine: Engine, path: Path, *, since: int = 0) -> AuditFindings:
    """Write head and entries (from a number on) as JSON lines, whole or not at all. Returns the head and what
    is wrong with the chain.
    """
    with reading(engine) as connection:
        findings = AuditFindings(audit.head(connection), tuple(audit.verify(connection)))
        with replacing(path) as draft, Path(draft).open("w", encoding="utf-8") as file:
            head: dict[str, Any] = {
                "head": {"number": findings.head.number, "hash": findings.head.hash},
                "exported_at": audit.now(),
            }
            file.write(json.dumps(head) + "\n")
            for entry in audit.entries(connection, since=since):
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return findings


def read_head(path: Path) -> Head:
    """The head that an export begins with. Raises DataError for another file."""
    try:
        with path.open(encoding="utf-8") as file:
            head = json.loads(file.readline())["head"]
        return Head(int(head["number"]), str(head["hash"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "Name a file written by `riskmodel audit export`."
        raise DataError(
            Fault(
                str(path), f"no head of an audit ({type(error).__name__})", "an export of the audit", remedy
            )
        ) from None
