"""The way back: filled files are read and judged row by row. Every row is accepted, or refused with its reason; nothing is nulled silently.

Reading and judging only; `riskmodel.casebook` keeps what is accepted.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from riskmodel.errors import DataError, Fault
from riskmodel.settings import ScreeningSettings
from riskmodel.tables.identity import telling_text
from riskmodel.visits.forms import FILL, READ, RISK_COLUMNS, as_written, codes_of, harmless
from riskmodel.visits.workbook import codes_sheet, drop_downs, lines_of, print_layout, styles_of

NOTE_LENGTH: Final = 500
_COLUMNS: Final = {column.name: column for column in (*READ, *FILL)}
_FILLED: Final = tuple(column.name for column in FILL)
_DATE: Final = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:\s+0{1,2}:00(?::00)?)?"
)


@dataclass(frozen=True)
class FilledRow:
    """One row of a filled file as texts, keys as in the form; `line` is the row in the file, counted from 1."""

    line: int
    list_hash: str
    cells: Mapping[str, str]
    sheet: str = ""

    @property
    def place(self) -> str:
        """Where the row stands, for people."""
        return f"{self.sheet} {self.line}".strip()

    @property
    def empty(self) -> bool:
        """Nothing has been filled in: the visit is still to be made."""
        return not any(self.cells.get(name) for name in _FILLED)


@dataclass(frozen=True)
class FilledFile:
    """A filled file: its rows, what ties it to its list, and the hash of its bytes."""

    path: Path
    rows: tuple[FilledRow, ...]
    technical: Mapping[str, str]
    hash: str


@dataclass(frozen=True)
class Result:
    """One visit's result, checked. risk_kinds: codes joined by `;`, empty if none. disagreement, visitor, note: may be empty."""

    line: int
    list_hash: str
    household_id: str
    visited_on: dt.date
    outcome: str
    risk_kinds: str
    disagreement: str
    visitor: str
    note: str

    @property
    def content(self) -> str:
        """Hash of everything that the visitor said."""
        said = (
            self.visited_on.isoformat(),
            self.outcome,
            self.risk_kinds,
            self.disagreement,
            self.visitor,
            self.note,
        )
        return hashlib.sha256("\x1f".join((self.household_id, *said)).encode()).hexdigest()


@dataclass(frozen=True)
class Refusal:
    """A row that was not taken in, and every reason, in zh and en."""

    row: FilledRow
    reasons: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Judged:
    accepted: tuple[Result, ...]
    refused: tuple[Refusal, ...]
    empty: int = 0


@dataclass(frozen=True)
class OpenList:
    """What must be known of a list to judge its results: its day, whether its cycle is closed, and who is on it.

    recorded: of a closed cycle, the contents (`Result.content`) that stand in the casebook: handed in again they change nothing.
    """

    list_hash: str
    cycle: str
    as_of: dt.date
    closed: bool
    households: frozenset[str] = field(repr=False)
    recorded: frozenset[str] = field(default=frozenset(), repr=False)


def read_filled(path: Path) -> FilledFile:
    """Read a filled workbook (.xlsx) or CSV (UTF-8 or GB18030). Raises DataError, which says what is missing and what to do."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            Fault(str(path), error.strerror or "cannot be read", "a filled visit list", "Name the file.")
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if path.suffix.lower() == ".csv":
        rows, technical = _from_csv(path, content)
    elif path.suffix.lower() in {".xlsx", ".xlsm", ".xls", ".ods"}:
        rows, technical = _from_workbook(path, content)
    else:
        found = f"a file of the kind {path.suffix or 'without a name'}"
        raise DataError(
            Fault(
                str(path),
                found,
                "the filled workbook (.xlsx) or .csv",
                "Hand in the file that was given out.",
            )
        )
    return FilledFile(path, tuple(rows), technical, digest)


def _from_workbook(path: Path, content: bytes) -> tuple[list[FilledRow], dict[str, str]]:
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = {
            name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names
        }
    except Exception as error:  # calamine raises one type for each kind of damage
        raise DataError(
            Fault(str(path), f"not a readable workbook ({error})", "an .xlsx file", "Save it again as .xlsx.")
        ) from None
    if "_riskmodel" not in sheets:
        remedy = "Fill in the file that was given out; do not copy its rows into another workbook."
        raise DataError(
            Fault(str(path), "no technical sheet `_riskmodel`", "a workbook made by `riskmodel list`", remedy)
        )
    technical = {_text(row[0]): _text(row[1]) for row in sheets["_riskmodel"] if len(row) >= 2}
    rows: list[FilledRow] = []
    forms = 0
    for name, sheet in sheets.items():
        place = _heading_row(sheet)
        if place is None or name.startswith("_"):
            continue
        columns = _columns(sheet[place])
        if any(column not in columns for column in ("household_id", *_FILLED)):
            continue
        forms += 1
        for line, cells in enumerate(sheet[place + 1 :], start=place + 2):
            texts = {key: _text(cells[at]) if at < len(cells) else "" for key, at in columns.items()}
            if any(texts.values()):
                own = texts.get("list_hash") or technical.get("list_hash", "")
                rows.append(FilledRow(line, own, texts, name if forms > 1 else ""))
    if forms:
        return rows, technical
    headings = "、".join(_COLUMNS[name].zh for name in ("household_id", *_FILLED))
    raise DataError(
        Fault(str(path), "no sheet with the form's headings", headings, "Give the headings back their names.")
    )


def _heading_row(sheet: Sequence[Sequence[Any]]) -> int | None:
    for place, cells in enumerate(sheet[:20]):
        if "household_id" in _columns(cells) and "outcome" in _columns(cells):
            return place
    return None


def _columns(cells: Sequence[Any]) -> dict[str, int]:
    """Form columns by the place of their heading; a heading is known by its Chinese or its English line, or by its code."""
    known = {}
    for column in _COLUMNS.values():
        for name in (column.zh, column.en, column.name, column.heading.replace("\n", " ")):
            known[name] = column.name
    known["list_hash"] = "list_hash"
    found: dict[str, int] = {}
    for place, cell in enumerate(cells):
        for line in _text(cell).split("\n"):
            heading = line.strip()
            if heading in known:
                found.setdefault(known[heading], place)
    return found


def _from_csv(path: Path, content: bytes) -> tuple[list[FilledRow], dict[str, str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise DataError(
            Fault(str(path), "neither UTF-8 nor GB18030", "a CSV in one of them", "Save it as CSV UTF-8.")
        )
    lines = list(csv.reader(io.StringIO(text, newline="")))
    head = [name.strip() for name in lines[0]] if lines else []
    missing = [name for name in ("list_hash", "household_id", *_FILLED) if name not in head]
    if missing:
        remedy = "Fill in the file that was given out, and keep its first line."
        raise DataError(
            Fault(f"{path}:1", f"no column {', '.join(missing)}", "the columns of `riskmodel list`", remedy)
        )
    rows = []
    for line, cells in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in cells):
            named = {name: _text(cell) for name, cell in zip(head, cells, strict=False)}
            rows.append(FilledRow(line, named.get("list_hash", ""), named))
    return rows, {}


def _text(cell: Any) -> str:
    """A cell as text, exactly as a person sees it: dates as ISO, whole numbers without a point, no apostrophe of `harmless`."""
    if cell is None:
        return ""
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(sep=" ")
    if isinstance(cell, dt.date):
        return cell.isoformat()
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return as_written(str(cell).strip())


def judge(
    filled: FilledFile, lists: Mapping[str, OpenList], settings: ScreeningSettings, today: dt.date
) -> Judged:
    """Accept or refuse each row that has been filled in. `lists` by hash: every list that the casebook knows.

    Raises DataError if the whole file belongs to a list that is not known: nothing can be said about its rows then.
    """
    tied = filled.technical.get("list_hash")
    if tied and tied not in lists:
        cycle = filled.technical.get("cycle", "?")
        newest = max((item.cycle for item in lists.values()), default="none")
        remedy = "Hand in the file that was given out in the cycle, to the project that made it."
        expected = f"a list that this project gave out (the newest is of cycle {newest})"
        raise DataError(
            Fault(
                str(filled.path),
                f"a workbook of another list (cycle {cycle}, list {tied[:12]})",
                expected,
                remedy,
            )
        )
    codes = codes_of(settings)
    accepted: list[Result] = []
    refused: list[Refusal] = []
    seen: dict[tuple[str, str, str], tuple[str, str]] = {}
    empty = 0
    for row in filled.rows:
        if row.empty:
            empty += 1
            continue
        result, reasons = _judge(row, lists.get(row.list_hash), codes, today)
        if result is not None:
            key = (result.list_hash, result.household_id, result.visitor)
            first = seen.setdefault(key, (row.place, result.content))
            if first[0] != row.place and first[1] == result.content:
                reasons.append((f"与第{first[0]}行重复", f"the same as row {first[0]}"))
            elif first[0] != row.place:
                reasons.append(
                    (
                        f"与第{first[0]}行是同一户同一走访组，结果不同",
                        f"another result of the same household and team stands in row {first[0]}",
                    )
                )
        if reasons or result is None:
            refused.append(Refusal(row, tuple(reasons)))
        else:
            accepted.append(result)
    return Judged(tuple(accepted), tuple(refused), empty)


def _judge(
    row: FilledRow, open_list: OpenList | None, codes: Mapping[str, Mapping[str, str]], today: dt.date
) -> tuple[Result | None, list[tuple[str, str]]]:
    reasons: list[tuple[str, str]] = []
    household = row.cells.get("household_id", "")
    if open_list is None:
        reasons.append(
            (
                f"清单 {row.list_hash[:12] or '（空）'} 不是本项目发出的",
                f"list {row.list_hash[:12] or '(empty)'} was not given out by this project",
            )
        )
    if open_list is not None and household not in open_list.households:
        shape = "，编号似被改成科学记数" if re.fullmatch(r"\d(\.\d+)?[Ee]\+?\d+", household) else ""
        reasons.append(
            (
                f"户编号 {household or '（空）'} 不在本清单{shape}",
                f"household {household or '(empty)'} is not on this list",
            )
        )

    visited_on = _day(row.cells.get("visited_on", ""))
    if visited_on is None:
        found = row.cells.get("visited_on") or "空"
        reasons.append(
            (
                f"走访日期“{found}”不是日期，应写作 2026-01-31",
                f"visited on: {found!r} is no date such as 2026-01-31",
            )
        )
    elif visited_on > today:
        reasons.append(
            (
                f"走访日期 {visited_on} 在今天（{today}）之后",
                f"visited on {visited_on}, which is after today ({today})",
            )
        )
    elif open_list is not None and visited_on < open_list.as_of:
        reasons.append(
            (
                f"走访日期 {visited_on} 早于清单截止日 {open_list.as_of}",
                f"visited on {visited_on}, before the list's as-of date {open_list.as_of}",
            )
        )

    outcome = _code(row, "outcome", codes["outcome"], reasons, needed=True)
    risks = [_code(row, name, codes["risk"], reasons) for name in RISK_COLUMNS]
    kinds = ";".join(dict.fromkeys(kind for kind in risks if kind))
    disagreement = _code(row, "disagreement", codes["disagreement"], reasons)
    if outcome == "risk_confirmed" and not kinds and not any(row.cells.get(name) for name in RISK_COLUMNS):
        reasons.append(("存在风险的，至少选一类风险", "a risk was found: give at least one risk kind"))
    if outcome in {"no_risk", "unreachable"} and kinds:
        reasons.append(
            ("未发现风险或未能见到，却选了风险类型", "a risk kind is given, but no risk was found")
        )
    note = row.cells.get("note", "")
    if telling_text(note) is not None:
        reasons.append(
            (
                "备注含姓名、证件号码或电话，请删除",
                "the note holds a name, an identity or a phone number: delete it",
            )
        )
    if len(note) > NOTE_LENGTH:
        reasons.append((f"备注超过{NOTE_LENGTH}字", f"the note is longer than {NOTE_LENGTH} characters"))
    visitor = row.cells.get("visitor", "")
    if len(visitor) > 40 or telling_text(visitor) is not None:
        reasons.append(("走访组请填编号", "team: give its short code"))
    result = None
    if not reasons and visited_on is not None and outcome is not None:
        result = Result(
            row.line, row.list_hash, household, visited_on, outcome, kinds, disagreement or "", visitor, note
        )
    if (
        open_list is not None
        and open_list.closed
        and (result is None or result.content not in open_list.recorded)
    ):
        reasons.insert(0, (f"周期 {open_list.cycle} 已关闭", f"cycle {open_list.cycle} is closed"))
    return result, reasons


def _code(
    row: FilledRow,
    name: str,
    known: Mapping[str, str],
    reasons: list[tuple[str, str]],
    *,
    needed: bool = False,
) -> str | None:
    text = unicodedata.normalize("NFKC", row.cells.get(name, ""))
    column = _COLUMNS[name]
    if not text:
        if needed:
            reasons.append((f"缺少{column.zh}", f"{column.en} is missing"))
        return None
    for written, code in known.items():
        if unicodedata.normalize("NFKC", written) == text:
            return code
    words = "、".join(dict.fromkeys(written for written, code in known.items() if not written.isascii()))
    reasons.append(
        (
            f"{column.zh}“{text}”不在选项中（{words}）",
            f"{column.en}: {text!r} is not one of {', '.join(dict.fromkeys(known.values()))}",
        )
    )
    return None


def _day(text: str) -> dt.date | None:
    """A date as spreadsheets write it: 2026-01-31, 2026/1/31, 2026年1月31日, or a day number of Excel."""
    text = unicodedata.normalize("NFKC", text)
    match = _DATE.fullmatch(text)
    try:
        if match:
            return dt.date(*(int(part) for part in match.groups()))
        if re.fullmatch(r"[3-6]\d{4}", text):
            return dt.date(1899, 12, 30) + dt.timedelta(days=int(text))
    except ValueError:
        return None
    return None


def returned_bytes(refused: Sequence[Refusal], settings: ScreeningSettings) -> bytes:
    """An Excel file of the rows that were refused: as they were filled in, with every reason before them, and the form's drop-downs.

    Corrected in place it can be handed in again: each row carries the hash of its list. Only the household and the form can be written in.
    """
    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    book.set_properties({"created": dt.datetime(2000, 1, 1)})
    book.set_size(2400, 1400)
    sheet = book.add_worksheet("退回 Returned")
    style = styles_of(book)
    names = ["household_id", "village_code", *_FILLED]
    heads = [("原行号\nRow", 7.0), ("退回原因\nWhat is wrong", 60.0)] + [
        (_COLUMNS[name].heading, _COLUMNS[name].width + 4) for name in names
    ]
    for place, (heading, width) in enumerate(heads):
        sheet.set_column(place, place, width)
        filled = place >= 2 and names[place - 2] in (*_FILLED, "household_id")
        sheet.write_string(0, place, heading, style["form_head" if filled else "head"])
    sheet.set_row(0, 33)
    for line, refusal in enumerate(refused, start=1):
        why = "\n".join(f"{zh}\n{en}" for zh, en in refusal.reasons)
        sheet.set_row(line, min(14.5 * max(2, lines_of(why, 60)) + 5, 400))
        sheet.write_string(line, 0, refusal.row.place, style["number"])
        sheet.write_string(line, 1, harmless(why), style["label"])
        for place, name in enumerate(names, start=2):
            _written(sheet, line, place, name, refusal.row.cells.get(name, ""), style)
        sheet.write_string(line, len(heads), refusal.row.list_hash)
    sheet.write_string(0, len(heads), "list_hash")
    sheet.set_column(len(heads), len(heads), 10, None, {"hidden": True})
    last_row = max(len(refused), 1)
    drop_downs(sheet, settings, ["", "", *names], 1, last_row)
    sheet.freeze_panes(1, 3)
    sheet.autofilter(0, 0, last_row, len(heads) - 1)
    sheet.protect("", {"autofilter": True, "sort": True, "format_columns": True, "format_rows": True})
    sheet.hide_gridlines(2)
    print_layout(sheet, "退回 Returned", "")
    sheet.repeat_rows(0)
    codes_sheet(book, settings)
    technical = book.add_worksheet("_riskmodel")
    technical.write_row(0, 0, ["form", "1"])
    technical.very_hidden()
    book.close()
    return buffer.getvalue()


def _written(sheet: Any, line: int, place: int, name: str, text: str, style: Mapping[str, Any]) -> None:
    """A cell as it was filled in; a date that can be read is a date again, so that the correction of another cell does not change it."""
    date = _day(text) if name == "visited_on" else None
    if date is not None:
        sheet.write_datetime(line, place, dt.datetime.combine(date, dt.time()), style["form_date"])
        return
    form = "text" if name == "village_code" else "form_date" if name == "visited_on" else "form"
    sheet.write_string(line, place, harmless(text), style[form])
