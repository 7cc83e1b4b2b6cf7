"""`tables.yaml`: how an extract as it came is mapped to the contract, so that nobody edits data by hand.

medical:
  file: 医保结算2025.csv
  columns:
    个人自付: self_paid                       # theirs: ours
    total_cost: {from: 医疗总费用, unit: 万元}   # ours: theirs, with the unit in which it counts
  codes:
    kind: {普通门诊: outpatient}
  missing: ["/", "NULL"]
  ignore: [备注]
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riskmodel.errors import DataError, Fault, ProjectError
from riskmodel.project import Document, read_document
from riskmodel.tables.schema import TABLES, Table
from riskmodel.tables.values import UNITS, unit_fits

MAPPING_FILE = "tables.yaml"
KEYS = ("file", "sheet", "encoding", "columns", "codes", "missing", "ignore", "not_identity", "may_be_empty")
ENCODINGS = ("utf-8", "gb18030")


@dataclass(frozen=True)
class TableMapping:
    """How one table's extract is read. `columns`: theirs -> ours; `units`: ours -> their unit; `codes`: ours -> {theirs: ours}."""

    file: str | None = None
    sheet: str | None = None
    encoding: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    not_identity: tuple[str, ...] = ()
    may_be_empty: bool = False


def plain(text: str) -> str:
    """NFKC without blanks at the ends: the form in which headings and cells are compared."""
    return unicodedata.normalize("NFKC", text).strip(" \t\r\n\u3000\ufeff\u200b")


def read_mapping(folder: Path) -> dict[str, TableMapping]:
    """The folder's `tables.yaml`, by table; empty without the file. Raises DataError: every fault at once, with file:line."""
    path = folder / MAPPING_FILE
    if not path.is_file():
        return {}
    try:
        document = read_document(path)
    except ProjectError as error:
        raise DataError(error.faults) from None
    faults: list[Fault] = []
    mappings = {}
    data = document.data or {}
    if not isinstance(data, dict):
        raise DataError(Fault(str(path), "no tables", "`table:` and its columns below it", "See docs/tables.md."))
    for name, entry in data.items():
        if name not in TABLES:
            near = difflib.get_close_matches(str(name), list(TABLES), n=1)
            hint = f"Did you mean `{near[0]}`?" if near else "Correct the name."
            faults.append(Fault(document.where(name), f"unknown table `{name}`", "one of " + ", ".join(TABLES), hint))
            continue
        mappings[str(name)] = _table_mapping(document, TABLES[name], entry or {}, faults)
    if faults:
        raise DataError(faults)
    return mappings


def _table_mapping(document: Document, table: Table, entry: Any, faults: list[Fault]) -> TableMapping:
    where = document.where
    name = table.name
    if not isinstance(entry, dict):
        faults.append(Fault(where(name), f"{entry!r}", "keys " + ", ".join(KEYS), "See docs/tables.md."))
        return TableMapping()
    faults += [
        Fault(where(name, key), f"unknown key `{key}`", "one of " + ", ".join(KEYS), "Correct its spelling.")
        for key in entry
        if key not in KEYS
    ]
    columns: dict[str, str] = {}
    units: dict[str, str] = {}
    ours_from: dict[str, str] = {}

    def rename(theirs: str, ours: str, *key: str) -> None:
        theirs = plain(theirs)
        if ours not in table.names:
            near = difflib.get_close_matches(ours, table.names, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else "Write `theirs: ours`, or `ours: {from: theirs, unit: …}`."
            faults.append(Fault(where(*key), f"`{ours}` is no column of {name}", "one of " + ", ".join(table.names), hint))
        elif ours in ours_from and ours_from[ours] != theirs:
            found = f"`{ours}` is made from both `{ours_from[ours]}` and `{theirs}`"
            faults.append(Fault(where(*key), found, "one column for each", "Delete one of the two."))
        else:
            columns[theirs] = ours
            ours_from[ours] = theirs

    for key, value in _mapping(document, entry, faults, name, "columns").items():
        if isinstance(value, str):
            rename(str(key), value, name, "columns", key)
        elif isinstance(value, dict) and set(value) <= {"from", "unit"} and ("unit" in value or "from" in value):
            ours = str(key)
            if "from" in value:
                rename(str(value["from"]), ours, name, "columns", key)
            elif ours not in table.names:
                rename(ours, ours, name, "columns", key)
            if "unit" in value and ours in table.names:
                unit = str(value["unit"])
                if unit_fits(table.column(ours), unit):
                    units[ours] = unit
                else:
                    counted = table.column(ours).unit
                    fitting = [known for known in UNITS if unit_fits(table.column(ours), known)]
                    expected = "one of " + ", ".join(fitting) if fitting else f"no unit: `{ours}` is not a measured number"
                    remedy = f"The contract counts {counted}." if counted else "Delete the unit."
                    faults.append(Fault(where(name, "columns", key, "unit"), f"unit `{unit}`", expected, remedy))
        else:
            expected = "`theirs: ours`, or `ours: {from: theirs, unit: 万元}`"
            faults.append(Fault(where(name, "columns", key), f"{value!r}", expected, "Correct the line."))

    codes: dict[str, dict[str, str]] = {}
    for ours, pairs in _mapping(document, entry, faults, name, "codes").items():
        kind = table.column(ours).kind if ours in table.names else None
        if kind not in ("code", "codes", "boolean") or not isinstance(pairs, dict):
            coded = [column.name for column in table.columns if column.kind in ("code", "codes", "boolean")]
            found = f"codes for `{ours}`"
            faults.append(Fault(where(name, "codes", ours), found, "codes for " + ", ".join(coded), "Correct the name."))
            continue
        allowed = list(table.column(ours).codes or ("true", "false"))
        for theirs, code in pairs.items():
            # YAML reads yes, no, true and 是: only the words of the contract are meant here.
            word = str(code).lower() if isinstance(code, bool) else str(code)
            if word in allowed:
                codes.setdefault(ours, {})[plain(str(theirs))] = word
            else:
                near = difflib.get_close_matches(word, allowed, n=1)
                hint = f"Did you mean `{near[0]}`?" if near else "Correct the code."
                faults.append(Fault(where(name, "codes", ours, theirs), f"`{word}`", "one of " + ", ".join(allowed), hint))

    encoding = entry.get("encoding")
    if encoding is not None and encoding not in ENCODINGS:
        faults.append(Fault(where(name, "encoding"), f"`{encoding}`", "one of " + ", ".join(ENCODINGS), "Correct it."))
    return TableMapping(
        file=str(entry["file"]) if entry.get("file") else None,
        sheet=str(entry["sheet"]) if entry.get("sheet") else None,
        encoding=encoding,
        columns=columns,
        units=units,
        codes=codes,
        missing=_list(document, entry, faults, name, "missing"),
        ignore=_list(document, entry, faults, name, "ignore"),
        not_identity=_list(document, entry, faults, name, "not_identity"),
        may_be_empty=entry.get("may_be_empty") is True,
    )


def _mapping(document: Document, entry: Mapping[str, Any], faults: list[Fault], table: str, key: str) -> dict[Any, Any]:
    value = entry.get(key) or {}
    if isinstance(value, dict):
        return value
    faults.append(Fault(document.where(table, key), f"{value!r}", "`name: name` lines", "See docs/tables.md."))
    return {}


def _list(document: Document, entry: Mapping[str, Any], faults: list[Fault], table: str, key: str) -> tuple[str, ...]:
    value = entry.get(key) or []
    if isinstance(value, list):
        return tuple(plain(str(item)) for item in value)
    faults.append(Fault(document.where(table, key), f"{value!r}", "a list, `[…, …]`", "Write it as a list."))
    return ()
