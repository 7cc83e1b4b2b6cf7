"""Read filled lists as texts row by row: the workbook that was given out, the workbook of returned rows, or
the CSV.

Nothing is judged here (see `returns`), and nothing is lost: the rows of a file are counted a second time in
another way (by the line ends outside of quotation marks; by the rows of the sheet's XML), and a file is
refused where the two counts differ. A row whose cells cannot be separated, or hold no plain value, has its
faults.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from riskmodel.errors import DataError, Fault
from riskmodel.tables.xlsx import LIST_BOUNDS, Area, CellFault, WorkbookSheet, address, read_workbook
from riskmodel.visits.forms import FILL, READ, RETURNED_HEADINGS, as_written
from riskmodel.visits.workbook import GUIDE, MONITORED, NOTES, RETURNED, SHEET, STANDBY, TECHNICAL

COLUMNS_OF_FORM: Final = {column.name: column for column in (*READ, *FILL)}
FILLED: Final = tuple(column.name for column in FILL)
_NEEDED: Final = ("household_id", *FILLED)
_HEADING_ROWS: Final = 20  # rows among which the headings are looked for: people put titles above them
_HASH: Final = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])")
# Signs that nobody sees, which Windows programs and chats put around what is copied: directions, joiners,
# soft hyphen, byte order mark.
_INVISIBLE: Final = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_ENDS: Final = re.compile(rf"^[\s{_INVISIBLE}]+|[\s{_INVISIBLE}]+$")

_OF_RETURNED: Final = {heading.replace("\n", " ") for heading in RETURNED_HEADINGS}

Reason = tuple[str, str]  # in zh and en


@dataclass(frozen=True)
class FilledRow:
    """One row of a filled file as texts, keys as in the form; `line` is the row in the file, counted from 1.

    faults: why its cells cannot be taken as they are; such a row is refused. raw: its text, where its
    cells cannot be separated.
    """

    line: int
    list_hash: str
    cells: Mapping[str, str]
    sheet: str = ""
    faults: tuple[Reason, ...] = ()
    raw: str = ""

    @property
    def place(self) -> str:
        """Where the row is, for people."""
        return f"{self.sheet} {self.line}".strip()

    @property
    def empty(self) -> bool:
        """Nothing has been filled in: the visit is still to be made."""
        return not self.faults and not any(self.cells.get(name) for name in FILLED)


@dataclass(frozen=True)
class FilledFile:
    """A filled file: its rows, what ties it to its list, and the hash of its bytes.

    read: rows below the headings, counted apart from `rows`; of them `blank` hold neither a household nor a
    result. Then read = len(rows) + blank. notes: what else the file holds and nobody reads, in zh and en.
    """

    path: Path
    rows: tuple[FilledRow, ...]
    technical: Mapping[str, str]
    hash: str
    read: int = 0
    blank: int = 0
    notes: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class _Content:
    rows: list[FilledRow]
    technical: dict[str, str]
    read: int
    blank: int
    notes: list[Reason]


def read_filled(path: Path) -> FilledFile:
    """Read a filled workbook (.xlsx) or CSV (UTF-8 or GB18030). Raises DataError with faults of the whole
    file; faults of a row stay with the row."""
    try:
        with path.open("rb") as file:
            content = file.read(LIST_BOUNDS.file_bytes + 1)
    except OSError as error:
        raise DataError(
            Fault(str(path), error.strerror or "cannot be read", "a filled visit list", "Name the file.")
        ) from None
    ending = path.suffix.lower()
    if ending == ".csv":
        found = _from_csv(path, content)
    elif ending in {".xlsx", ".xlsm"}:
        found = _from_workbook(path, content)
    else:
        kind = f"a file of the kind {ending or 'without a name'}"
        remedy = (
            "Hand in the file that was given out; save it as .xlsx where the spreadsheet made another kind "
            "of it."
        )
        raise DataError(Fault(str(path), kind, "the filled workbook (.xlsx) or .csv", remedy))
    if found.read != len(found.rows) + found.blank:
        counted = f"{found.read} rows in the file, of which {len(found.rows) + found.blank} could be read"
        raise DataError(Fault(str(path), counted, "every row", "Save it again in the spreadsheet."))
    digest = hashlib.sha256(content).hexdigest()
    return FilledFile(
        path=path,
        rows=tuple(found.rows),
        technical=found.technical,
        hash=digest,
        read=found.read,
        blank=found.blank,
        notes=tuple(found.notes),
    )


# The workbook


def _from_workbook(path: Path, content: bytes) -> _Content:
    book = read_workbook(str(path), content)
    if TECHNICAL not in book:
        remedy = "Fill in the file that was given out; do not copy its rows into another workbook."
        raise DataError(
            Fault(str(path), "no technical sheet `_riskmodel`", "a workbook made by `riskmodel list`", remedy)
        )
    technical = {_text(cells.get(1)): _text(cells.get(2)) for cells in book[TECHNICAL].rows.values()}
    faults: list[Fault] = []
    notes: list[Reason] = []
    forms: dict[str, tuple[int, dict[str, int]]] = {}
    for name, sheet in book.items():
        if name.startswith("_") or not sheet.rows:
            continue
        heading = _heading_of(sheet)
        if heading is None:
            if name in (SHEET, STANDBY, RETURNED):
                faults.append(_no_headings(f"{path}, sheet {name}", "no row with the form's headings"))
            elif name not in (NOTES, GUIDE, MONITORED):
                notes.append(
                    (
                        f"工作表“{name}”不是本清单的表，其中{len(sheet.rows)}行未读取",
                        f"sheet `{name}` is none of the list's: its {len(sheet.rows)} rows were not read",
                    )
                )
            continue
        columns, wrong = _columns(sheet.rows[heading])
        where = f"{path}, sheet {name}, row {heading}"
        faults += [_twice(where, _heading_name(column)) for column in wrong]
        missing = [column for column in _NEEDED if column not in columns]
        if missing:
            names = "、".join(_heading_name(column) for column in missing)
            faults.append(_no_headings(where, f"no heading {names}"))
        forms[name] = (heading, columns)
    if faults:
        raise DataError(faults)
    if not forms:
        raise DataError(_no_headings(str(path), "no sheet with the form's headings"))
    rows: list[FilledRow] = []
    read = blank = 0
    for name, (heading, columns) in forms.items():
        below = [line for line in book[name].rows if line > heading]
        read += len(below)
        for line in below:
            row = _row_of(book[name], line, heading, columns, technical)
            row = replace(row, sheet=name if len(forms) > 1 else "")
            if row.faults or row.cells.get("household_id") or any(row.cells.get(key) for key in FILLED):
                rows.append(row)
            else:
                blank += 1
        notes += _unread_columns(book[name], heading, columns)
    return _Content(rows=rows, technical=technical, read=read, blank=blank, notes=notes)


def _no_headings(where: str, found: str) -> Fault:
    headings = "、".join(_heading_name(name) for name in _NEEDED)
    remedy = (
        "Give the headings back their names, and put deleted columns back; nothing of the file was taken in."
    )
    return Fault(where, found, headings, remedy)


def _twice(where: str, heading: str) -> Fault:
    return Fault(
        where, f"the heading {heading} occurs twice", "each heading once", "Delete one of the two columns."
    )


def _heading_name(name: str) -> str:
    return COLUMNS_OF_FORM[name].zh if name in COLUMNS_OF_FORM else name


def _known_headings() -> dict[str, str]:
    """A heading is known by its Chinese or English line, by both, or by its code -> its code."""
    known = {"list_hash": "list_hash"}
    for column in COLUMNS_OF_FORM.values():
        for name in (column.zh, column.en, column.name, column.heading.replace("\n", " ")):
            known[name] = column.name
    return known


_KNOWN_HEADINGS: Final = _known_headings()


def _columns(cells: Mapping[int, Any]) -> tuple[dict[str, int], list[str]]:
    """Columns of the form by the place of their heading, and those whose heading occurs twice."""
    found: dict[str, int] = {}
    twice = []
    for place, cell in cells.items():
        names = {_KNOWN_HEADINGS.get(line.strip()) for line in _text(cell).split("\n")} - {None}
        twice += [name for name in names if name is not None and found.setdefault(name, place) != place]
    return found, list(dict.fromkeys(twice))


def _heading_of(sheet: WorkbookSheet) -> int | None:
    """The row with the form's headings: a household and a column to fill in, or two columns to fill in; None:
    the sheet has none."""
    for line in [line for line in sheet.rows if line <= _HEADING_ROWS]:
        columns, _ = _columns(sheet.rows[line])
        form = sum(name in columns for name in FILLED)
        if form >= 2 or (form and "household_id" in columns):
            return line
    return None


def _row_of(
    sheet: WorkbookSheet, line: int, heading: int, columns: Mapping[str, int], technical: Mapping[str, str]
) -> FilledRow:
    cells = sheet.rows[line]
    texts = {key: _text(cells.get(place)) for key, place in columns.items()}
    taken = {key: place for key, place in columns.items() if key in (*_NEEDED, "list_hash")}
    faults: list[Reason] = []
    for key, place in taken.items():
        value = cells.get(place)
        if isinstance(value, CellFault):
            faults.append(_no_value(address(line, place), _heading_name(key), value))
    for area in sheet.merged:
        inside = [key for key, place in taken.items() if area.left <= place <= area.right]
        if area.top <= line <= area.bottom and inside and (area.bottom > area.top or len(inside) > 1):
            faults.append(_merged(area, "、".join(_heading_name(key) for key in inside)))
    faults += [_outside(address(line, place)) for place in cells if place not in sheet.rows[heading]]
    own = texts.get("list_hash") or technical.get("list_hash", "")
    return FilledRow(line, own, texts, faults=tuple(faults))


def _no_value(cell: str, heading: str, value: CellFault) -> Reason:
    if value.text:
        return (
            f"{heading}（单元格{cell}）是错误值 {value.text}，请改为文字或数字",
            f"{heading} (cell {cell}) is the error {value.text}: write a plain value",
        )
    return (
        f"{heading}（单元格{cell}）是未保存结果的公式，请用表格软件打开后保存，或直接填写",
        (
            f"{heading} (cell {cell}) is a formula without a stored result: open and save the file, or "
            "write a plain value"
        ),
    )


def _merged(area: Area, heading: str) -> Reason:
    return (
        f"{heading}：单元格{area}已合并，请取消合并并逐户填写",
        f"{heading}: the cells {area} are merged; split them and fill in each household",
    )


def _outside(cell: str) -> Reason:
    return (
        f"单元格{cell}在表格各列之外，请将内容移到备注或删除",
        f"cell {cell} lies outside the form's columns: move what it says into the note, or delete it",
    )


def _unread_columns(sheet: WorkbookSheet, heading: int, columns: Mapping[str, int]) -> list[Reason]:
    """Columns with a heading of their own, which are not part of the form."""
    notes = []
    for place, cell in sheet.rows[heading].items():
        filled = sum(place in cells for line, cells in sheet.rows.items() if line > heading)
        name = " ".join(_text(cell).split())
        if place not in columns.values() and filled and name not in _OF_RETURNED:
            notes.append(
                (
                    f"工作表“{sheet.name}”的“{name}”列不属于本表，{filled}个单元格未读取",
                    (
                        f"sheet `{sheet.name}`: column `{name}` is not part of the form; {filled} cells "
                        "were not read"
                    ),
                )
            )
    return notes


# CSV


def _from_csv(path: Path, content: bytes) -> _Content:
    if len(content) > LIST_BOUNDS.file_bytes:
        raise DataError(
            Fault(
                str(path),
                f"more than {LIST_BOUNDS.file_bytes:,} bytes",
                "a filled visit list",
                "Hand in the list alone.",
            )
        )
    text = _decoded(path, content)
    records = _records(path, text)
    place = next((at for at, (_, cells) in enumerate(records[:_HEADING_ROWS]) if _is_heading(cells)), 0)
    line, cells = records[place] if records else (1, [])
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    columns, twice = _columns(dict(enumerate(cells)))
    faults = [_twice(f"{path}:{line}", name) for name in twice]
    plain = [cell.strip() for cell in cells]
    faults += [
        _twice(f"{path}:{line}", name)
        for name in dict.fromkeys(plain)
        if plain.count(name) > 1 and name not in _KNOWN_HEADINGS
    ]
    missing = [name for name in ("list_hash", *_NEEDED) if name not in columns]
    if missing:
        remedy = "Fill in the file that was given out, and keep its first line."
        if len(cells) < 2 and re.search(r"[;\t|]", text[:1000]):
            remedy = "Save it with commas between the cells (CSV UTF-8, 逗号分隔)."
        found = f"no column {', '.join(missing)}"
        faults.append(Fault(f"{path}:{line}", found, "the columns of `riskmodel list`", remedy))
    if faults:
        raise DataError(faults)
    rows = []
    blank = 0
    for at, (_, given) in enumerate(records[place + 1 :], start=place + 2):
        if any(cell.strip() for cell in given):
            rows.append(_csv_row(at, given, columns, len(cells)))
        else:
            blank += 1
    known = set(columns.values())
    notes = [
        (f"“{name}”列不属于本表，未读取", f"column `{name}` is not part of the form and was not read")
        for at, name in enumerate(plain)
        if at not in known and name not in ("cycle", "turn")
    ]
    return _Content(
        rows=rows, technical={}, read=_rows_by_line_ends(text) - place - 1, blank=blank, notes=notes
    )


def _is_heading(cells: Sequence[str]) -> bool:
    columns, _ = _columns(dict(enumerate(cells)))
    return "household_id" in columns and sum(name in columns for name in ("list_hash", *FILLED)) > 1


def _csv_row(line: int, cells: list[str], columns: Mapping[str, int], width: int) -> FilledRow:
    texts = {name: _text(cells[at]) if at < len(cells) else "" for name, at in columns.items()}
    own = texts["list_hash"]
    if len(cells) == width or (len(cells) > width and not any(cell.strip() for cell in cells[width:])):
        return FilledRow(line, own, texts)
    # Which cell holds what cannot be said: the household and the list are shown as they are, the form's cells
    # only as written.
    first = min(columns[name] for name in FILLED)
    kept = {name: text for name, text in texts.items() if name not in FILLED}
    if len(cells) > width:
        fault = (
            f"该行有{len(cells)}格，表头只有{width}格：某一格内有未加引号的逗号",
            f"{len(cells)} cells, where the heading has {width}: a comma in a cell without quotation marks",
        )
    else:
        fault = (
            f"该行只有{len(cells)}格，表头有{width}格：行不完整，或某一格内有换行",
            (
                f"{len(cells)} cells, where the heading has {width}: the row is cut, or a cell holds a line "
                "break without quotation marks"
            ),
        )
    return FilledRow(
        line=line, list_hash=own, cells=kept, sheet="", faults=(fault,), raw=",".join(cells[first:])
    )


def _decoded(path: Path, content: bytes) -> str:
    if not content.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\x00" not in content:
        for encoding in ("utf-8-sig", "gb18030"):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError:
                continue
    remedy = "Save it as CSV UTF-8 (逗号分隔)."
    raise DataError(Fault(str(path), "neither UTF-8 nor GB18030", "a CSV in one of them", remedy))


def _records(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """The rows of a CSV as (first line, cells). Raises DataError for quotation marks that join rows or that
    no CSV has."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[tuple[int, list[str]]] = []
    begun = 1
    try:
        for cells in reader:
            records.append((begun, cells))
            joined = [cell for cell in cells if ("\n" in cell or "\r" in cell) and _HASH.search(cell)]
            if joined:
                found = "a quotation mark that is not closed in its row: the rows below it are joined to it"
                raise DataError(_quotation(f"{path}:{begun}", found))
            begun = reader.line_num + 1
    except csv.Error as error:
        closed = "end of data" in str(error) or "limit" in str(error)
        found = (
            "a quotation mark that is never closed"
            if closed
            else "a quotation mark at the beginning of a cell that goes on behind the next one"
        )
        raise DataError(_quotation(f"{path}:{begun}", found)) from None
    counted = _rows_by_line_ends(text)
    if counted != len(records):
        odd = next((line for line, cells in records if any(cell.count('"') % 2 for cell in cells)), begun)
        found = (
            f"a single quotation mark inside a cell ({counted} rows by the line ends, {len(records)} "
            "by the cells)"
        )
        raise DataError(_quotation(f"{path}:{odd}", found))
    return records


def _quotation(where: str, found: str) -> Fault:
    remedy = (
        "Open the file in a spreadsheet and save it again, or double the quotation marks inside the cell "
        "and put one at each end of it. Nothing of the file was taken in."
    )
    return Fault(where, found, "quotation marks around whole cells", remedy)


def _rows_by_line_ends(text: str) -> int:
    """Rows of a CSV, counted from the line ends outside of quotation marks: the second road beside the
    parser."""
    outside = re.sub(r'"[^"]*"', "", text)
    ends = len(re.findall(r"\r\n|\n|\r", outside))
    return ends + bool(text and not text.endswith(("\n", "\r")))


def _text(cell: Any) -> str:
    """A cell as a person sees it: dates as ISO, whole numbers without a point, no apostrophe of `harmless`,
    no invisible signs at its ends."""
    if cell is None or isinstance(cell, CellFault):
        return ""
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(sep=" ")
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return as_written(_ENDS.sub("", str(cell)))
