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

Keys and values are taken as they are written: `01`, `No`, `NULL` and `0000-00-00` need no quotes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riskmodel.errors import DataError, Fault, ProjectError
from riskmodel.project import Document, read_document
from riskmodel.tables.schema import TABLES, Table
from riskmodel.tables.values import UNITS, DayOfMonth, Manner, plain, unit_fits

MAPPING_FILE = "tables.yaml"
KEYS = (
    "file",
    "sheet",
    "encoding",
    "header",
    "columns",
    "codes",
    "missing",
    "ignore",
    "not_identity",
    "may_be_empty",
)
ENCODINGS = ("utf-8", "gb18030")
DAYS = ("first", "last")
HEADER_AT_MOST = 50  # a header is looked for, and may be named, within the first rows of a file


@dataclass(frozen=True)
class TableMapping:
    """How one table's extract is read.

    header: number of the row with the headings, where it is not found. columns: theirs -> ours. units: ours
    -> their unit. days: ours -> which day of the month is meant where only the month is given. codes: ours ->
    {theirs: ours}.
    """

    file: str | None = None
    sheet: str | None = None
    encoding: str | None = None
    header: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    days: Mapping[str, DayOfMonth] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    not_identity: tuple[str, ...] = ()
    may_be_empty: bool = False
    other_headings: tuple[
        str, ...
    ] = ()  # further words by which the header is found, where there is no mapping yet

    def manner(self, ours: str) -> Manner:
        """How the extract writes one of the contract's columns."""
        return Manner(
            unit=self.units.get(ours),
            codes=self.codes.get(ours, {}),
            missing=self.missing,
            day=self.days.get(ours),
        )


def read_mapping(folder: Path) -> dict[str, TableMapping]:
    """The folder's `tables.yaml`, by table; empty without the file. Raises DataError: every fault at once,
    with file:line.
    """
    path = folder / MAPPING_FILE
    if not path.is_file():
        return {}
    try:
        document = read_document(path, as_written=True)
    except ProjectError as error:
        raise DataError(error.faults) from None
    faults: list[Fault] = []
    mappings = {}
    data = document.data or {}
    if not isinstance(data, dict):
        raise DataError(
            Fault(str(path), "no tables", "`table:` and its columns below it", "See docs/tables.md.")
        )
    for name, entry in data.items():
        if name not in TABLES:
            near = difflib.get_close_matches(str(name), list(TABLES), n=1)
            hint = f"Did you mean `{near[0]}`?" if near else "Correct the name."
            faults.append(
                Fault(document.where(name), f"unknown table `{name}`", "one of " + ", ".join(TABLES), hint)
            )
            continue
        mappings[str(name)] = _table_mapping(
            document, TABLES[name], {} if entry in (None, "", "~", "null") else entry, faults
        )
    if faults:
        raise DataError(faults)
    return mappings


def _table_mapping(document: Document, table: Table, entry: Any, faults: list[Fault]) -> TableMapping:
    where = document.where
    name = table.name
    if not isinstance(entry, dict):
        faults.append(Fault(where(name), f"`{entry}`", "keys " + ", ".join(KEYS), "See docs/tables.md."))
        return TableMapping()
    faults += [
        Fault(where(name, key), f"unknown key `{key}`", "one of " + ", ".join(KEYS), "Correct its spelling.")
        for key in entry
        if key not in KEYS
    ]
    columns: dict[str, str] = {}
    units: dict[str, str] = {}
    days: dict[str, DayOfMonth] = {}
    ours_from: dict[str, str] = {}

    def rename(theirs: str, ours: str, *key: str) -> None:
        theirs = plain(theirs)
        if ours not in table.names:
            near = difflib.get_close_matches(ours, table.names, n=1)
            hint = (
                f"Did you mean `{near[0]}`?"
                if near
                else "Write `theirs: ours`, or `ours: {from: theirs, unit: …}`."
            )
            faults.append(
                Fault(
                    where(*key), f"`{ours}` is no column of {name}", "one of " + ", ".join(table.names), hint
                )
            )
        elif ours in ours_from and ours_from[ours] != theirs and table.column(ours).kind != "codes":
            found = f"`{ours}` is made from both `{ours_from[ours]}` and `{theirs}`"
            faults.append(Fault(where(*key), found, "one column for each", "Delete one of the two."))
        else:
            columns[theirs] = ours
            ours_from[ours] = theirs

    for key, value in _mapping(document, entry, faults, name, "columns").items():
        if isinstance(value, str):
            rename(str(key), value, name, "columns", key)
        elif isinstance(value, dict) and value and set(value) <= {"from", "unit", "day"}:
            ours = str(key)
            theirs = value.get("from", ())
            if (
                isinstance(theirs, list)
                and theirs
                and (ours not in table.names or table.column(ours).kind == "codes")
            ):
                for one in theirs:
                    rename(str(one), ours, name, "columns", key)
            elif "from" in value:
                rename(str(theirs), ours, name, "columns", key)
            elif ours not in table.names:
                rename(ours, ours, name, "columns", key)
            if "day" in value and ours in table.names:
                if table.column(ours).kind == "date" and value["day"] in DAYS:
                    days[ours] = value["day"]
                else:
                    expected = "`first` or `last`, for a date of which only the month is given"
                    faults.append(
                        Fault(
                            where(name, "columns", key, "day"),
                            f"day `{value['day']}`",
                            expected,
                            "Correct it.",
                        )
                    )
            if "unit" in value and ours in table.names:
                unit = str(value["unit"])
                if unit_fits(table.column(ours), unit):
                    units[ours] = unit
                else:
                    counted = table.column(ours).unit
                    fitting = [known for known in UNITS if unit_fits(table.column(ours), known)]
                    expected = (
                        "one of " + ", ".join(fitting)
                        if fitting
                        else f"no unit: `{ours}` is not a measured number"
                    )
                    remedy = f"The contract counts {counted}." if counted else "Delete the unit."
                    faults.append(
                        Fault(where(name, "columns", key, "unit"), f"unit `{unit}`", expected, remedy)
                    )
        else:
            expected = "`theirs: ours`, or `ours: {from: theirs, unit: 万元}`"
            faults.append(Fault(where(name, "columns", key), f"`{value}`", expected, "Correct the line."))

    codes: dict[str, dict[str, str]] = {}
    for ours, pairs in _mapping(document, entry, faults, name, "codes").items():
        kind = table.column(ours).kind if ours in table.names else None
        if kind in ("code", "codes", "boolean") and not isinstance(pairs, dict):
            fault = Fault(
                where(name, "codes", ours), f"`{pairs}`", "`{theirs: ours, …}`", "See docs/tables.md."
            )
            faults.append(fault)
            continue
        if kind not in ("code", "codes", "boolean"):
            coded = [column.name for column in table.columns if column.kind in ("code", "codes", "boolean")]
            found = f"codes for `{ours}`"
            faults.append(
                Fault(where(name, "codes", ours), found, "codes for " + ", ".join(coded), "Correct the name.")
            )
            continue
        allowed = list(table.column(ours).codes or ("true", "false"))
        for theirs, code in pairs.items():
            word = str(code).lower() if kind == "boolean" else str(code)
            if word in allowed:
                codes.setdefault(ours, {})[plain(str(theirs))] = word
            else:
                near = difflib.get_close_matches(word, allowed, n=1)
                hint = f"Did you mean `{near[0]}`?" if near else "Correct the code."
                faults.append(
                    Fault(
                        where(name, "codes", ours, theirs), f"`{word}`", "one of " + ", ".join(allowed), hint
                    )
                )

    encoding = entry.get("encoding")
    if encoding is not None and encoding not in ENCODINGS:
        faults.append(
            Fault(where(name, "encoding"), f"`{encoding}`", "one of " + ", ".join(ENCODINGS), "Correct it.")
        )
    header = str(entry.get("header") or "")
    if header and not (header.isascii() and header.isdigit() and 0 < int(header) <= HEADER_AT_MOST):
        expected = f"the number of the row with the headings, 1 to {HEADER_AT_MOST}"
        faults.append(
            Fault(where(name, "header"), f"`{header}`", expected, "Count the rows from the top of the file.")
        )
        header = ""
    may_be_empty = str(entry.get("may_be_empty") or "false").lower()
    if may_be_empty not in ("true", "false"):
        faults.append(Fault(where(name, "may_be_empty"), f"`{may_be_empty}`", "true or false", "Correct it."))
    return TableMapping(
        file=str(entry["file"]) if entry.get("file") else None,
        sheet=str(entry["sheet"]) if entry.get("sheet") else None,
        encoding=encoding,
        header=int(header) if header else None,
        columns=columns,
        units=units,
        days=days,
        codes=codes,
        missing=_list(document, entry, faults, name, "missing"),
        ignore=_list(document, entry, faults, name, "ignore"),
        not_identity=_list(document, entry, faults, name, "not_identity"),
        may_be_empty=may_be_empty == "true",
    )


def _mapping(
    document: Document, entry: Mapping[str, Any], faults: list[Fault], table: str, key: str
) -> dict[Any, Any]:
    value = entry.get(key) or {}
    if isinstance(value, dict):
        return value
    faults.append(
        Fault(document.where(table, key), f"`{value}`", "`name: name` lines", "See docs/tables.md.")
    )
    return {}


def _list(
    document: Document, entry: Mapping[str, Any], faults: list[Fault], table: str, key: str
) -> tuple[str, ...]:
    value = entry.get(key) or []
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return tuple(plain(str(item)) for item in value if item is not None)
    faults.append(Fault(document.where(table, key), f"`{value}`", "a list, `[…, …]`", "Write it as a list."))
    return ()
