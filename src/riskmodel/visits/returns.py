"""The rows of a filled list, judged one by one: each is accepted, or refused with every reason; and the
workbook of the refused rows.

`filled` reads the files, `riskmodel.casebook` keeps what is accepted. Rows that come by the API are judged by
the same rules.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from riskmodel.errors import DataError, Fault
from riskmodel.settings import ScreeningSettings
from riskmodel.tables.identity import telling_name_only, telling_text
from riskmodel.visits.filled import COLUMNS_OF_FORM, FILLED, FilledFile, FilledRow, Reason
from riskmodel.visits.forms import RETURNED_HEADINGS, RISK_COLUMNS, codes_of, harmless, team_key, teams_of
from riskmodel.visits.workbook import (
    RETURNED,
    TECHNICAL,
    codes_sheet,
    drop_downs,
    lines_of,
    print_layout,
    styles_of,
)

NOTE_LENGTH: Final = 500
TEAM_LENGTH: Final = 40
# A day as spreadsheets and people write it, with or without the midnight that spreadsheets add.
_DATE: Final = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:[T\s]+0{1,2}:00(?::00(?:\.0+)?)?Z?)?"
)
_BETWEEN_KINDS: Final = re.compile(r"[、,，;；/\s]+")


@dataclass(frozen=True)
class Result:
    """One visit's result, checked. risk_kinds: codes joined by `;`, empty if none. disagreement, visitor,
    note: may be empty."""

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
        """Hash of everything that the visitor recorded."""
        findings = (
            self.visited_on.isoformat(),
            self.outcome,
            self.risk_kinds,
            self.disagreement,
            self.visitor,
            self.note,
        )
        return hashlib.sha256("\x1f".join((self.household_id, *findings)).encode()).hexdigest()


@dataclass(frozen=True)
class Refusal:
    """A row that was not taken in, and every reason, in zh and en."""

    row: FilledRow
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Judged:
    """What became of the rows of a file: accepted + refused + empty (nothing filled in yet) = all its
    rows."""

    accepted: tuple[Result, ...]
    refused: tuple[Refusal, ...]
    empty: int


@dataclass(frozen=True)
class OpenList:
    """The facts of a list by which its results are judged: its day, whether its cycle is closed, and who is
    on it.

    recorded: of a closed cycle, the contents (`Result.content`) in the casebook: submitted again they change
    nothing.
    """

    list_hash: str
    cycle: str
    as_of: dt.date
    closed: bool
    households: frozenset[str] = field(repr=False)
    recorded: frozenset[str] = field(default=frozenset(), repr=False)


def judge(
    filled: FilledFile, lists: Mapping[str, OpenList], settings: ScreeningSettings, today: dt.date
) -> Judged:
    """Accept or refuse each row that has been filled in. `lists` by hash: every list that the casebook knows.

    Raises DataError if the whole file belongs to a list that is not known: its rows cannot be judged then.
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
    teams = teams_of(settings)
    accepted: list[Result] = []
    refused: list[Refusal] = []
    seen: dict[tuple[str, str, str], tuple[str, str]] = {}
    empty = 0
    for row in filled.rows:
        if row.empty:
            empty += 1
            continue
        result, reasons = _judge(row, lists.get(row.list_hash), codes, teams, today)
        if result is not None:
            key = (result.list_hash, result.household_id, team_key(result.visitor))
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
    row: FilledRow,
    open_list: OpenList | None,
    codes: Mapping[str, Mapping[str, str]],
    teams: Mapping[str, str],
    today: dt.date,
) -> tuple[Result | None, list[Reason]]:
    """The result of a row, and what is wrong with the row. teams: `team_key` -> code of the teams that are
    known; empty: any code."""
    reasons: list[Reason] = []
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

    if row.faults:
        # Its cells are not what was written in them: to judge them would only add to what is wrong.
        return None, [*reasons, *row.faults]
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
    kinds = _risk_kinds(row, codes["risk"], reasons)
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
    visitor = _team(row.cells.get("visitor", ""), teams, reasons)
    result = None
    if not reasons and visited_on is not None and outcome is not None:
        result = Result(
            line=row.line,
            list_hash=row.list_hash,
            household_id=household,
            visited_on=visited_on,
            outcome=outcome,
            risk_kinds=kinds,
            disagreement=disagreement or "",
            visitor=visitor,
            note=note,
        )
    if (
        open_list is not None
        and open_list.closed
        and (result is None or result.content not in open_list.recorded)
    ):
        reasons.insert(0, (f"周期 {open_list.cycle} 已关闭", f"cycle {open_list.cycle} is closed"))
    return result, reasons


def _risk_kinds(row: FilledRow, known: Mapping[str, str], reasons: list[Reason]) -> str:
    """The risk kinds of a row, joined by `;`: one a cell, or several in one cell with a sign between them."""
    found: list[str] = []
    for name in RISK_COLUMNS:
        text = unicodedata.normalize("NFKC", row.cells.get(name, ""))
        parts = [part for part in _BETWEEN_KINDS.split(text) if part]
        codes = [code for part in parts if (code := _known_code(part, known)) is not None]
        if parts and len(codes) == len(parts):
            found += codes
        elif code := _code(row, name, known, reasons):
            found.append(code)
    kinds = list(dict.fromkeys(found))
    if len(kinds) > len(RISK_COLUMNS):
        reasons.append((f"风险类型最多{len(RISK_COLUMNS)}类", f"at most {len(RISK_COLUMNS)} risk kinds"))
    return ";".join(kinds)


def _team(text: str, teams: Mapping[str, str], reasons: list[Reason]) -> str:
    """The code of the team that a cell names; what is wrong with it goes to the reasons."""
    written = " ".join(unicodedata.normalize("NFKC", text).split())
    key = team_key(written)
    if not key:
        reasons.append(("缺少走访组编号", "team: its code is missing"))
    elif key not in teams and (telling_text(written) is not None or telling_name_only(written)):
        reasons.append(
            ("走访组请填编号，不要填姓名或号码", "team: give its short code, no name or number of a person")
        )
    elif teams and key not in teams:
        known = list(teams.values())
        reasons.append(
            (
                f"走访组“{written[:TEAM_LENGTH]}”不在名单中（{'、'.join(known[:20])}）",
                f"team: {written[:TEAM_LENGTH]!r} is not one of {', '.join(known[:20])}",
            )
        )
    elif len(written) > TEAM_LENGTH:
        reasons.append((f"走访组编号超过{TEAM_LENGTH}字", f"team: more than {TEAM_LENGTH} characters"))
    return teams.get(key, written)


def _known_code(text: str, known: Mapping[str, str]) -> str | None:
    """The code of a choice as it was written, in any of its forms; None: it is none of them."""
    return next(
        (code for written, code in known.items() if unicodedata.normalize("NFKC", written) == text), None
    )


def _code(
    row: FilledRow,
    name: str,
    known: Mapping[str, str],
    reasons: list[Reason],
    *,
    needed: bool = False,
) -> str | None:
    text = unicodedata.normalize("NFKC", row.cells.get(name, ""))
    column = COLUMNS_OF_FORM[name]
    if not text:
        if needed:
            reasons.append((f"缺少{column.zh}", f"{column.en} is missing"))
        return None
    if code := _known_code(text, known):
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
    """A date as people and spreadsheets write it: 2026-01-31, 2026/1/31 0:00, 2026年1月31日, 20260131, or a
    day number of Excel.
    """
    text = unicodedata.normalize("NFKC", text)
    match = _DATE.fullmatch(text)
    try:
        if match:
            return dt.date(*(int(part) for part in match.groups()))
        if re.fullmatch(r"20\d{6}", text):
            return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))
        if re.fullmatch(r"[3-6]\d{4}", text):
            return dt.date(1899, 12, 30) + dt.timedelta(days=int(text))
    except ValueError:
        return None
    return None


def returned_bytes(refused: Sequence[Refusal], settings: ScreeningSettings) -> bytes:
    """An Excel file of the rows that were refused: as they were filled in, with every reason before them, and
    the form's drop-downs.

    refused: at least one. Corrected in place the file can be handed in again: each row carries the hash of
    its list. Only the household and the form can be written in.
    """
    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    book.set_properties({"created": dt.datetime(2000, 1, 1)})
    book.set_size(2400, 1400)
    sheet = book.add_worksheet(RETURNED)
    style = styles_of(book)
    names = ["household_id", "village_code", *FILLED]
    place_heading, why_heading = RETURNED_HEADINGS
    heads = [(place_heading, 7.0, "head"), (why_heading, 60.0, "head")] + [
        (
            COLUMNS_OF_FORM[name].heading,
            COLUMNS_OF_FORM[name].width + 4,
            "head" if name == "village_code" else "form_head",
        )
        for name in names
    ]
    for place, (heading, width, looks) in enumerate(heads):
        sheet.set_column(place, place, width)
        sheet.write_string(0, place, heading, style[looks])
    sheet.set_row(0, 33)
    for line, refusal in enumerate(refused, start=1):
        why = "\n".join(f"{zh}\n{en}" for zh, en in refusal.reasons)
        if refusal.row.raw:
            why += f"\n原填内容，请分格重填 As written, fill it in again:\n{refusal.row.raw[:2000]}"
        sheet.set_row(line, min(14.5 * lines_of(why, 60) + 5, 400))
        sheet.write_string(line, 0, refusal.row.place, style["number"])
        sheet.write_string(line, 1, harmless(why), style["label"])
        for place, name in enumerate(names, start=2):
            _written(sheet, line, place, name, refusal.row.cells.get(name, ""), style)
        sheet.write_string(line, len(heads), refusal.row.list_hash)
    sheet.write_string(0, len(heads), "list_hash")
    sheet.set_column(len(heads), len(heads), None, None, {"hidden": True})
    drop_downs(sheet, settings, ["", "", *names], 1, len(refused))
    sheet.freeze_panes(1, 3)
    sheet.autofilter(0, 0, len(refused), len(heads) - 1)
    sheet.protect("", {"autofilter": True, "sort": True, "format_columns": True, "format_rows": True})
    sheet.hide_gridlines(2)
    print_layout(sheet, RETURNED, "")
    sheet.repeat_rows(0)
    codes_sheet(book, settings)
    technical = book.add_worksheet(TECHNICAL)
    technical.write_row(0, 0, ["form", "1"])
    technical.very_hidden()
    book.close()
    return buffer.getvalue()


def _written(sheet: Any, line: int, place: int, name: str, text: str, style: Mapping[str, Any]) -> None:
    """A cell as it was filled in; a date that can be read is a date again, so that the correction of another
    cell does not change it."""
    date = _day(text) if name == "visited_on" else None
    if date is not None:
        sheet.write_datetime(line, place, dt.datetime.combine(date, dt.time()), style["form_date"])
        return
    form = "text" if name == "village_code" else "form_date" if name == "visited_on" else "form"
    sheet.write_string(line, place, harmless(text), style[form])
