"""A list as a file, with the rows of one key's areas only: the same workbook and CSV as `riskmodel list`
writes, ready to be filled in.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from riskmodel.casebook.lookups import ListHead
from riskmodel.casebook.roles import Who
from riskmodel.casebook.stored import stored_list
from riskmodel.serving.state import ServiceState
from riskmodel.visits.writers import write_list

MEDIA_TYPES: Final = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
}


@dataclass(frozen=True)
class Download:
    """A file to download: cycle and area are in its name, its `sha256` is in the audit."""

    name: str
    content: bytes
    media_type: str
    rows: int

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, as hex."""
        return hashlib.sha256(self.content).hexdigest()


def file_of(
    state: ServiceState, who: Who, head: ListHead, kind: str, township: str | None
) -> Download | None:
    """The list of the caller's areas (or of one township of them) as .xlsx or .csv; None: no row of it is
    there.
    """
    visits = stored_list(state.book.engine, head.list_hash, who.areas, township=township)
    if not visits.rows.height:
        return None
    with tempfile.TemporaryDirectory() as folder:
        content = write_list(visits, Path(folder) / f"list.{kind}").read_bytes()
    area = township or head.county_code
    return Download(f"核实清单-{area}-{head.cycle}.{kind}", content, MEDIA_TYPES[kind], visits.rows.height)
