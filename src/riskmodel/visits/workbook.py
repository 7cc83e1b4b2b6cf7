"""The list in spreadsheets: Excel for teams, and CSV. On paper it is made by `paper`.

Files for visitors are in route order and do not show who was drawn by chance. Same list, same bytes.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from riskmodel.errors import Fault, UserError
from riskmodel.files import write_bytes
from riskmodel.settings import ScreeningSettings
from riskmodel.tables.schema import TABLES
from riskmodel.visits.forms import FILL, READ, FormColumn, choices, harmless
from riskmodel.visits.row_parts import grade_lines, reason_lines
from riskmodel.visits.visit_list import VisitList
from riskmodel.vocabulary import GRADES, RISK_KINDS, SIGNAL_EN, SIGNAL_ZH

SHEET: Final = "核实清单"
STANDBY: Final = "候补 Standby"
GUIDE: Final = "核实要点 What to check"
NOTES: Final = "说明 Notes"
MONITORED: Final = "监测对象 Monitored"
RETURNED: Final = "退回 Returned"
TECHNICAL: Final = "_riskmodel"
CODES: Final = "_codes"
HEADER_ROW: Final = 2  # the row of headings, counted from 0

# Grade -> (background, text); dark on light, so that a black-and-white print stays readable.
GRADE_COLOURS: Final = {
    "red": ("#F4C7C3", "#8C1D18"),
    "orange": ("#FCE0C2", "#8A4B00"),
    "yellow": ("#FFF4C2", "#6B5900"),
    "none": ("#FFFFFF", "#5F6368"),
}
_INK, _RULE, _HEAD, _FORM_HEAD, _FORM = "#1F2933", "#B8C2CC", "#E4EAF0", "#D5E8DC", "#FBFDFB"
_FONT = "微软雅黑"  # 11 of every 12 computers in the field have it; others fall back to their own sans


def write_excel(visits: VisitList, path: Path, *, township: str | None = None) -> Path:
    """Write the workbook of the county (or of one township) at once and whole. Returns the path.

    Raises UserError for a township that has no visit on the list.
    """
    return write_bytes(path, excel_bytes(visits, township=township))


def write_excels(visits: VisitList, folder: Path) -> list[Path]:
    """Write one workbook for the county and one for each township: `<cycle>-<area code>.xlsx`. Returns the
    paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_excel(visits, path, township=township)
        for path, township in workbooks_of(visits, folder).items()
    ]


def workbooks_of(visits: VisitList, folder: Path) -> dict[Path, str | None]:
    """Path of each workbook of `write_excels` -> its township; None: the whole county."""
    townships = visits.rows["township_code"].unique().sort().to_list()
    return {folder / f"{visits.cycle}-{visits.county_code}.xlsx": None} | {
        folder / f"{visits.cycle}-{code}.xlsx": code for code in townships
    }


def sheet_rows(
    visits: VisitList, *, township: str | None = None, standby: bool = False
) -> list[dict[str, Any]]:
    """What the visitor reads, one row a household in route order, keys as in READ. `standby`: the households
    beyond the capacity.

    Raises UserError for a township without visits.
    """
    frame = visits.standby if standby else visits.route
    if township is not None:
        frame = frame.filter(pl.col("township_code") == township)
        if not frame.height and not standby:
            known = ", ".join(visits.rows["township_code"].unique().sort().to_list())
            raise UserError(
                Fault("township", township, f"one of {known}", "Name a township that has visits on the list.")
            )
    language = visits.settings.workbook.language
    place = 0 if language == "zh" else 1
    rows = []
    for row in frame.iter_rows(named=True):
        parts = visits.parts.get(row["household_id"])
        reasons = row[f"reasons_{language}"] or ""
        if parts is not None and parts.reasons is not None:
            # The dates of the data are written once, on the notes sheet.
            reasons = reason_lines(parts.reasons, language, dated=False)
        because = grade_lines(row[f"leads_{language}"], parts, row[f"grade_reasons_{language}"], language)
        rows.append(
            {
                "number": row["number"],
                "township_code": row["township_code"],
                "village_code": row["village_code"],
                "household_id": row["household_id"],
                "grade": GRADES[row["grade"]][place],
                "grade_code": row["grade"],
                "because": "\n".join(because),
                "probability": row["probability"],
                "reasons": "\n".join(text for text in (reasons, row[f"notes_{language}"]) if text)
                or ("未评分：按线索核实" if language == "zh" else "not scored: follow the lead"),
                "check": row[f"check_{language}"] or "",
                "last_visit": row["last_visit"],
            }
        )
    return rows


def excel_bytes(visits: VisitList, *, township: str | None = None) -> bytes:
    """The workbook as bytes; the same list gives the same bytes."""
    import xlsxwriter

    rows = sheet_rows(visits, township=township)
    buffer = io.BytesIO()
    # Formulas, links and numbers in texts stay texts; every cell is written with its type.
    book = xlsxwriter.Workbook(
        buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    book.set_properties(
        {
            "title": f"{SHEET} {visits.cycle} {township or visits.county_code}",
            "comments": f"{SIGNAL_ZH} · {SIGNAL_EN}",
            "created": dt.datetime.combine(visits.as_of, dt.time()),
        }
    )
    book.set_size(2400, 1400)
    columns = [column for column in READ if not (township and column.name == "township_code")] + list(FILL)
    _list_sheet(book, visits, rows, columns, township)
    waiting = sheet_rows(visits, township=township, standby=True)
    if waiting:
        _list_sheet(book, visits, waiting, columns, township, standby=True)
    _notes_sheet(book, visits)
    if visits.guide:
        _guide_sheet(book, visits)
    if township is None and visits.monitored.height:
        _monitored_sheet(book, visits)
    codes_sheet(book, visits.settings)
    _technical_sheet(book, visits, township)
    book.close()
    return buffer.getvalue()


def _list_sheet(
    book: Any,
    visits: VisitList,
    rows: list[dict[str, Any]],
    columns: Sequence[FormColumn],
    township: str | None,
    *,
    standby: bool = False,
) -> None:
    sheet = book.add_worksheet(STANDBY if standby else SHEET)
    style = styles_of(book)
    last_row, last_column = HEADER_ROW + max(len(rows), 1), len(columns) - 1
    area = township or visits.county_code
    sheet.set_row(0, 27)
    title = "候补：仅因部门规则列入，不占本期名额" if standby else "返贫致贫风险核实清单"
    sheet.write_string(
        0, 0, f"{title} {visits.cycle}   {'Standby' if standby else 'Visit list'}", style["title"]
    )
    sheet.set_row(1, 18)
    sheet.write_string(
        1,
        0,
        f"{SIGNAL_ZH}   ·   区划 {area}   ·   评分截止日 {visits.as_of.isoformat()}   ·   本表{len(rows)}户",
        style["subtitle"],
    )
    sheet.set_row(HEADER_ROW, 36)
    for place, column in enumerate(columns):
        sheet.set_column(place, place, column.width)
        sheet.write_string(HEADER_ROW, place, column.heading, style["form_head" if column.fill else "head"])
    for offset, row in enumerate(rows):
        line = HEADER_ROW + 1 + offset
        sheet.set_row(line, _height(row, columns))
        for place, column in enumerate(columns):
            _cell(sheet, line, place, column, row, style)
    drop_downs(sheet, visits.settings, [column.name for column in columns], HEADER_ROW + 1, last_row)
    _ranges(sheet, visits, columns, last_row)
    _mark_missing(sheet, visits, columns, last_row, style["missing"])
    sheet.freeze_panes(
        HEADER_ROW + 1,
        1 + next(place for place, column in enumerate(columns) if column.name == "household_id"),
    )
    sheet.autofilter(HEADER_ROW, 0, last_row, last_column)
    sheet.protect(
        "",
        {
            "autofilter": True,
            "sort": True,
            "format_columns": True,
            "format_rows": True,
            "select_locked_cells": True,
        },
    )
    sheet.set_zoom(100)
    sheet.hide_gridlines(2)
    print_layout(sheet, f"{visits.cycle}   {area}", visits.as_of.isoformat())
    sheet.repeat_rows(HEADER_ROW)
    sheet.print_area(0, 0, last_row, last_column)


def print_layout(sheet: Any, left: str, right: str) -> None:
    """A4 landscape, one page wide, the sentence at the head and foot of every page, with two texts at the
    sides of the head."""
    sheet.set_paper(9)  # A4
    sheet.set_landscape()
    sheet.set_margins(left=0.25, right=0.25, top=0.6, bottom=0.6)
    sheet.fit_to_pages(1, 0)
    # The blank after each font size keeps it apart from a text that begins with a digit.
    sheet.set_header(f"&L&9 {left}&C&10&B{SIGNAL_ZH}&R&9 {right}", {"margin": 0.3})
    sheet.set_footer(f"&L&9 {SIGNAL_ZH}&C&9 {SIGNAL_EN}&R&9 &P / &N", {"margin": 0.3})


def _cell(
    sheet: Any, line: int, place: int, column: FormColumn, row: dict[str, Any], style: dict[str, Any]
) -> None:
    value = row.get(column.name)
    if column.fill:
        sheet.write_blank(line, place, None, style["form_date" if column.name == "visited_on" else "form"])
    elif column.name == "grade":
        sheet.write_string(line, place, value, style[f"grade_{row['grade_code']}"])
    elif value is None:
        sheet.write_blank(line, place, None, style["text"])
    elif column.name == "number":
        sheet.write_number(line, place, value, style["number"])
    elif column.name == "probability":
        sheet.write_number(line, place, value, style["probability"])
    elif isinstance(value, dt.date):
        sheet.write_datetime(line, place, dt.datetime.combine(value, dt.time()), style["date"])
    else:
        sheet.write_string(line, place, harmless(str(value)), style["text"])


# Columns of the form with a drop-down, the kind of its words, and their column on the hidden sheet CODES.
_DROP_DOWNS: Final = {
    "outcome": ("outcome", "A"),
    "risk_1": ("risk", "B"),
    "risk_2": ("risk", "B"),
    "risk_3": ("risk", "B"),
    "disagreement": ("disagreement", "C"),
}


def drop_downs(
    sheet: Any, settings: ScreeningSettings, columns: Sequence[str], first_row: int, last_row: int
) -> None:
    """Let only the words of `codes_sheet` be chosen in the form's columns; `columns` are the names in the
    order of the sheet."""
    words = choices(settings, settings.workbook.language)
    for name, (kind, letter) in _DROP_DOWNS.items():
        place = list(columns).index(name)
        sheet.data_validation(
            first_row,
            place,
            last_row,
            place,
            {
                "validate": "list",
                "source": f"='{CODES}'!${letter}$1:${letter}${len(words[kind])}",
                "error_title": "请从列表中选择",
                "error_message": "请从列表中选择。 Please choose from the list.",
            },
        )


def _ranges(sheet: Any, visits: VisitList, columns: Sequence[FormColumn], last_row: int) -> None:
    """The range of dates, and what does not belong into a note."""
    first = HEADER_ROW + 1
    places = {column.name: place for place, column in enumerate(columns)}
    sheet.data_validation(
        first,
        places["visited_on"],
        last_row,
        places["visited_on"],
        {
            "validate": "date",
            "criteria": "between",
            "minimum": dt.datetime.combine(visits.as_of, dt.time()),
            "maximum": dt.datetime.combine(visits.as_of + dt.timedelta(days=366), dt.time()),
            "error_title": "日期",
            "error_message": (
                f"{visits.as_of.isoformat()} 之后的日期，写作 2026-01-31。 A date after the as-of date."
            ),
        },
    )
    sheet.data_validation(
        first,
        places["note"],
        last_row,
        places["note"],
        {
            "validate": "length",
            "criteria": "<=",
            "value": 500,
            "input_title": "备注",
            "input_message": "请勿填写姓名、证件号码、电话。 No names, numbers or phones.",
        },
    )


def _mark_missing(
    sheet: Any, visits: VisitList, columns: Sequence[FormColumn], last_row: int, mark: Any
) -> None:
    """Colour what a row that has been begun still lacks: date, outcome, and a risk kind where a risk was
    found."""
    from xlsxwriter.utility import xl_col_to_name

    first = HEADER_ROW + 1
    places = {column.name: place for place, column in enumerate(columns)}
    at = {name: f"${xl_col_to_name(place)}{first + 1}" for name, place in places.items()}
    found = choices(visits.settings, visits.settings.workbook.language)["outcome"]["risk_confirmed"]
    rules = {
        "visited_on": f'=AND({at["outcome"]}<>"",{at["visited_on"]}="")',
        "outcome": f'=AND({at["visited_on"]}<>"",{at["outcome"]}="")',
        "risk_1": f'=AND({at["outcome"]}="{found}",{at["risk_1"]}="",{at["risk_2"]}="",{at["risk_3"]}="")',
    }
    for name, rule in rules.items():
        given = {"type": "formula", "criteria": rule, "format": mark}
        sheet.conditional_format(first, places[name], last_row, places[name], given)


def _notes_sheet(book: Any, visits: VisitList) -> None:
    sheet = book.add_worksheet(NOTES)
    style = styles_of(book)
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 60)
    sheet.set_column(2, 2, 60)
    sheet.set_row(0, 27)
    sheet.write_string(0, 0, "说明   Notes", style["title"])
    line = 2
    for label, zh, en in notes_of(visits):
        sheet.set_row(line, 14.5 * max(lines_of(zh, 60), lines_of(en, 60)) + 5)
        sheet.write_string(line, 0, label, style["label"])
        sheet.write_string(line, 1, harmless(zh), style["text"])
        sheet.write_string(line, 2, harmless(en), style["text"])
        line += 1
    sheet.protect()
    sheet.hide_gridlines(2)
    print_layout(sheet, f"{visits.cycle}   {visits.county_code}", visits.as_of.isoformat())


def notes_of(visits: VisitList) -> list[tuple[str, str, str]]:
    """What a reader must know: label, zh, en."""
    grades = visits.settings.grades
    guide = [
        ("性质 Nature", SIGNAL_ZH, SIGNAL_EN),
        (
            "概率 Probability",
            "模型估计今后12个月内经核实确认风险的可能性；0.100 表示类似的100户中约有10户。",
            (
                "The model's estimate that a risk is confirmed within the horizon; 0.100 means about 10 of "
                "100 such households."
            ),
        ),
        (
            "填写 Filling in",
            (
                "每户填写走访日期和核实结果；存在风险的，至少选一类风险；与理由不符的，选择不符之处。"
                "其余单元格已锁定。"
            ),
            (
                "Give the date and the outcome for each household; where a risk is found, at least one risk "
                "kind; where the visit disagrees with the reasons, say in what. All other cells are locked."
            ),
        ),
        ("备注 Note", "请勿填写姓名、证件号码、电话。", "No names, identity numbers or phone numbers."),
        (
            "交回 Return",
            "将填好的文件交回；每一行都会被收下，或连同原因退回。",
            "Hand the filled file back: every row is taken in, or comes back with the reason.",
        ),
        (
            "未列入 Not listed",
            "未列入本表不代表没有风险；随时可以申报和上报线索。",
            "Not being listed says nothing: everybody can declare or be reported at any time.",
        ),
        (
            "优先级 Grades",
            (
                f"红、橙、黄、无：由线索、走访能力（{visits.capacity}户）和概率决定的走访先后。橙："
                f"前{grades.orange.capacity_share:.0%}或概率≥{grades.orange.probability:.0%}；黄："
                f"前{grades.yellow.capacity_share:.0%}或概率≥{grades.yellow.probability:.0%}。"
            ),
            (
                "Red, orange, yellow, none: the order of visits, from leads, the capacity "
                f"({visits.capacity}) and the probability. Orange: the first "
                f"{grades.orange.capacity_share:.0%} or a probability from {grades.orange.probability:.0%}; "
                f"yellow: the first {grades.yellow.capacity_share:.0%} or from "
                f"{grades.yellow.probability:.0%}."
            ),
        ),
        ("模型 Model", visits.model_version or "—", visits.model_version or "—"),
    ]
    days = sorted(visits.data_dates.items(), key=lambda item: list(TABLES).index(item[0]))
    known = (
        [
            (
                "数据截至 Data to",
                "；".join(f"{TABLES[name].zh} {day.isoformat()}" for name, day in days),
                "; ".join(f"{name} {day.isoformat()}" for name, day in days),
            )
        ]
        if days
        else []
    )
    return guide + known + [("提示 Please note", zh, en) for zh, en in visits.notes]


def _guide_sheet(book: Any, visits: VisitList) -> None:
    """What to verify for each risk kind, and which family of measures belongs to it once people have
    confirmed it."""
    sheet = book.add_worksheet(GUIDE)
    style = styles_of(book)
    heads = (
        "风险类型\nRisk kind",
        "核实什么\nWhat to verify",
        "核实确认后，有劳动力\nOnce confirmed, with labour",
        "核实确认后，无劳动力\nOnce confirmed, without labour",
    )
    widths = (16, 56, 40, 40)
    sheet.set_row(0, 27)
    sheet.write_string(
        0,
        0,
        (
            "核实要点：提醒而非建议，不代表给予或取消帮扶   Reminders for the visit; nothing is proposed, "
            "granted or removed"
        ),
        style["title"],
    )
    sheet.set_row(HEADER_ROW, 33)
    for place, (head, width) in enumerate(zip(heads, widths, strict=True)):
        sheet.set_column(place, place, width)
        sheet.write_string(HEADER_ROW, place, head, style["head"])
    for offset, (kind, *texts) in enumerate(visits.guide):
        cells = ["\n".join(RISK_KINDS[kind]), *("\n".join(texts[at : at + 2]) for at in (0, 2, 4))]
        lines = max(lines_of(text, width) for text, width in zip(cells, widths, strict=True))
        sheet.set_row(HEADER_ROW + 1 + offset, 14.5 * lines + 5)
        for place, text in enumerate(cells):
            sheet.write_string(
                HEADER_ROW + 1 + offset, place, harmless(text), style["label" if place == 0 else "text"]
            )
    sheet.freeze_panes(HEADER_ROW + 1, 1)
    sheet.protect("", {"format_columns": True})
    sheet.hide_gridlines(2)
    print_layout(sheet, f"{visits.cycle}   {visits.county_code}", visits.as_of.isoformat())
    sheet.repeat_rows(HEADER_ROW)


def _monitored_sheet(book: Any, visits: VisitList) -> None:
    sheet = book.add_worksheet(MONITORED)
    style = styles_of(book)
    heads = (
        "户编号\nHousehold",
        "乡镇\nTownship",
        "村\nVillage",
        "纳入监测\nMonitored since",
        "上次走访\nLast visit",
        "新线索\nNew leads",
    )
    for place, (head, width) in enumerate(zip(heads, (16, 11, 14, 14, 12, 60), strict=True)):
        sheet.set_column(place, place, width)
        sheet.write_string(HEADER_ROW, place, head, style["head"])
    sheet.set_row(0, 27)
    sheet.write_string(
        0,
        0,
        "已纳入监测、有新线索的农户（不占本期走访名额）   Monitored households with new leads, kept apart",
        style["title"],
    )
    sheet.set_row(HEADER_ROW, 33)
    language = visits.settings.workbook.language
    for offset, row in enumerate(visits.monitored.iter_rows(named=True)):
        line = HEADER_ROW + 1 + offset
        text = harmless(row[f"leads_{language}"])
        sheet.set_row(line, 16.5 * (text.count("\n") + 1) + 3)
        for place, name in enumerate(("household_id", "township_code", "village_code")):
            sheet.write_string(line, place, harmless(str(row[name])), style["text"])
        for place, name in ((3, "monitored_since"), (4, "last_visit")):
            if row[name] is None:
                sheet.write_blank(line, place, None, style["text"])
            else:
                sheet.write_datetime(line, place, dt.datetime.combine(row[name], dt.time()), style["date"])
        sheet.write_string(line, 5, text, style["text"])
    sheet.freeze_panes(HEADER_ROW + 1, 1)
    sheet.protect("", {"format_columns": True})
    sheet.hide_gridlines(2)
    print_layout(sheet, f"{visits.cycle}   {visits.county_code}", visits.as_of.isoformat())
    sheet.repeat_rows(HEADER_ROW)


def codes_sheet(book: Any, settings: ScreeningSettings) -> None:
    """The hidden sheet with the words of the drop-downs, a kind a column."""
    sheet = book.add_worksheet(CODES)
    for place, words in enumerate(choices(settings, settings.workbook.language).values()):
        for line, text in enumerate(words.values()):
            sheet.write_string(line, place, text)
    sheet.protect()
    sheet.very_hidden()


def _technical_sheet(book: Any, visits: VisitList, township: str | None) -> None:
    sheet = book.add_worksheet(TECHNICAL)
    for line, (name, value) in enumerate(technical(visits, township).items()):
        sheet.write_string(line, 0, name)
        sheet.write_string(line, 1, value)
    sheet.protect()
    sheet.very_hidden()


def technical(visits: VisitList, township: str | None = None) -> dict[str, str]:
    """What ties a file to its list: cycle, area, as-of date, model version, hash of the list."""
    return {
        "cycle": visits.cycle,
        "area": township or visits.county_code,
        "as_of": visits.as_of.isoformat(),
        "model_version": visits.model_version,
        "list_hash": visits.hash,
        "form": "1",
    }


def styles_of(book: Any) -> dict[str, Any]:
    """The cell formats of a workbook, by name."""
    base = {"font_name": _FONT, "font_size": 10, "font_color": _INK, "valign": "top"}
    boxed = base | {"border": 1, "border_color": _RULE}
    head = boxed | {"bold": True, "text_wrap": True, "align": "center", "valign": "vcenter", "font_size": 9.5}
    formats = {
        "title": base | {"bold": True, "font_size": 15, "valign": "vcenter"},
        "subtitle": base | {"font_size": 10, "font_color": "#8C1D18", "valign": "vcenter"},
        "label": boxed | {"bold": True, "bg_color": _HEAD, "text_wrap": True},
        "head": head | {"bg_color": _HEAD},
        "form_head": head | {"bg_color": _FORM_HEAD},
        "text": boxed | {"text_wrap": True},
        "number": boxed | {"align": "center"},
        "probability": boxed | {"num_format": "0.000", "align": "center"},
        "date": boxed | {"num_format": "yyyy-mm-dd", "align": "center"},
        "form": boxed | {"text_wrap": True, "locked": False, "bg_color": _FORM},
        "missing": {"bg_color": "#FFE08A"},
        "form_date": boxed
        | {"num_format": "yyyy-mm-dd", "align": "center", "locked": False, "bg_color": _FORM},
    }
    for grade, (back, text) in GRADE_COLOURS.items():
        formats[f"grade_{grade}"] = boxed | {
            "bg_color": back,
            "font_color": text,
            "bold": grade != "none",
            "align": "center",
        }
    return {name: book.add_format(options) for name, options in formats.items()}


def _width(text: str) -> float:
    """Columns that a text takes on a line: a Chinese character takes nearly two."""
    return sum(1.95 if unicodedata.east_asian_width(letter) in "WF" else 1.0 for letter in text)


def lines_of(text: str, width: float) -> int:
    """Lines that a text takes in a column of that width."""
    return sum(max(1, math.ceil(_width(part) / (width - 0.8))) for part in text.split("\n"))


def _height(row: dict[str, Any], columns: Sequence[FormColumn]) -> float:
    """Height in points that shows every wrapped text whole: spreadsheets do not all measure Chinese text when
    they open a file."""
    read = [column for column in columns if column.wrap and not column.fill]
    lines = max(2, *(lines_of(str(row[column.name] or ""), column.width) for column in read))
    return min(14.5 * lines + 5, 400)


def write_csv(visits: VisitList, path: Path) -> Path:
    """Write the list as CSV: one row a household, in route order, the visits first, then the standby
    households.

    Columns: cycle, list_hash, turn (`now` or `standby`), those of READ (filled) and of FILL (empty, for the
    results). UTF-8 with a byte order mark, lines end in CRLF; probability has 6 decimals; texts that a
    spreadsheet would run as a formula are made harmless. Returns the path. Raises UserError when the file
    cannot be written.
    """
    buffer = io.StringIO()
    names = [column.name for column in (*READ, *FILL)]
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(["cycle", "list_hash", "turn", *names])
    rows = [("now", row) for row in sheet_rows(visits)] + [
        ("standby", row) for row in sheet_rows(visits, standby=True)
    ]
    for turn, row in rows:
        row = row | {"probability": None if row["probability"] is None else f"{row['probability']:.6f}"}
        cells = [row.get(name) for name in names]
        writer.writerow(
            [
                visits.cycle,
                visits.hash,
                turn,
                *(
                    "" if cell is None else harmless(cell) if isinstance(cell, str) else str(cell)
                    for cell in cells
                ),
            ]
        )
    return write_bytes(path, buffer.getvalue().encode("utf-8-sig"))
