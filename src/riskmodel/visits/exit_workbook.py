"""The exit review as a workbook for the people who review: what speaks for it, what against it, in both
languages. It closes nothing.

What a review finds goes the county's own way (visit, democratic review, public notice) and comes back with
its `verifications`.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from riskmodel.files import write_bytes
from riskmodel.visits.exits import COLUMNS, ExitReview
from riskmodel.visits.forms import harmless
from riskmodel.visits.workbook import HEADER_ROW, lines_of, print_layout, styles_of
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH

# Proposal -> (name of its sheet, title in zh, in en).
SHEETS: Final = {
    "review": ("建议复核 Review", "建议复核是否消除风险", "Proposed for a review by people"),
    "keep_tracking": (
        "持续跟踪 Keep tracking",
        "家中无劳动力：不作风险消除，持续跟踪",
        "No labour in the household: never marked as gone, keep tracking",
    ),
    "not_yet": ("条件尚未具备 Not yet", "条件尚未具备", "Conditions not met yet"),
}
# Heading in zh, in en, and width in characters.
_HEADS: Final = (
    ("乡镇", "Township", 11.0),
    ("村", "Village", 14.0),
    ("户编号", "Household", 12.0),
    ("纳入监测", "Monitored since", 12.0),
    ("概率", "Probability", 10.0),
    ("支持复核的情况", "What speaks for it", 58.0),
    ("不支持的情况与疑点", "What speaks against it, and doubts", 58.0),
    ("复核笔记", "Reviewer's note", 24.0),
)
_NOTES: Final = (
    (
        "性质 Nature",
        "本表只建议由人复核，不消除任何监测，也不改变任何帮扶。",
        "This proposes that people look again. It ends no monitoring and changes no help.",
    ),
    (
        "条件 Conditions",
        (
            "最近几次评分均低；扣除合规自付后收入持续高于监测线；“三保障”和饮水安全均达标；已落实帮扶措施；"
            "纳入监测满规定月数。任一未知或不符，即不建议。"
        ),
        (
            "The last scorings low; income after compliant cost lastingly above the line; all guarantees "
            "and safe water in place; a measure delivered; monitored long enough. One unknown or unmet, and "
            "nothing is proposed."
        ),
    ),
    (
        "无劳动力 No labour",
        "家中无劳动力的，不作风险消除，单列持续跟踪。",
        "Households without labour are never proposed; they are listed apart, to be kept in view.",
    ),
    (
        "结果 Result",
        "复核按本县程序办理，结果随核实数据返回。",
        "A review goes the county's own way; its result comes back with the verifications.",
    ),
)


def write_excel(review: ExitReview, path: Path) -> Path:
    """Write the workbook at once and whole. Returns the path."""
    return write_bytes(path, excel_bytes(review))


def write_csv(review: ExitReview, path: Path) -> Path:
    """Write COLUMNS as CSV (UTF-8 with BOM, which spreadsheets need). Returns the path."""
    texts = [name for name, kind in COLUMNS.items() if kind == pl.String]
    safe = review.rows.with_columns(pl.col(texts).map_elements(harmless, return_dtype=pl.String))
    return write_bytes(path, safe.write_csv(include_bom=True, line_terminator="\r\n").encode())


def excel_bytes(review: ExitReview) -> bytes:
    """The workbook as bytes; the same review gives the same bytes."""
    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    book.set_properties(
        {"comments": f"{SIGNAL_ZH} · {SIGNAL_EN}", "created": dt.datetime.combine(review.as_of, dt.time())}
    )
    book.set_size(2400, 1400)
    style = styles_of(book)
    for proposal in SHEETS:
        _sheet(book, review, proposal, style)
    sheet = book.add_worksheet("说明 Notes")
    for place, width in enumerate((20, 60, 60)):
        sheet.set_column(place, place, width)
    for line, (label, zh, en) in enumerate(_NOTES):
        sheet.set_row(line, 14.5 * max(lines_of(zh, 60), lines_of(en, 60)) + 5)
        for place, (text, form) in enumerate(((label, "label"), (zh, "text"), (en, "text"))):
            sheet.write_string(line, place, text, style[form])
    sheet.protect()
    print_layout(sheet, "", review.as_of.isoformat())
    book.close()
    return buffer.getvalue()


def _sheet(book: Any, review: ExitReview, proposal: str, style: dict[str, Any]) -> None:
    name, zh, en = SHEETS[proposal]
    rows = review.of(proposal)
    sheet = book.add_worksheet(name)
    sheet.set_row(0, 27)
    sheet.write_string(0, 0, f"{zh}   {en}", style["title"])
    sheet.set_row(1, 18)
    subtitle = f"{SIGNAL_ZH}   ·   评分截止日 {review.as_of.isoformat()}   ·   {rows.height}户 households"
    sheet.write_string(1, 0, subtitle, style["subtitle"])
    sheet.set_row(HEADER_ROW, 33)
    for place, (head_zh, head_en, width) in enumerate(_HEADS):
        sheet.set_column(place, place, width)
        last = place == len(_HEADS) - 1
        sheet.write_string(HEADER_ROW, place, f"{head_zh}\n{head_en}", style["form_head" if last else "head"])
    for line, row in enumerate(rows.iter_rows(named=True), start=HEADER_ROW + 1):
        points = review.points[row["household_id"]]
        in_favour, against = _lines(points.in_favour), _lines(points.against)
        sheet.set_row(line, min(400, 14.5 * max(2, lines_of(in_favour, 58), lines_of(against, 58)) + 5))
        for place, key in enumerate(("township_code", "village_code", "household_id")):
            sheet.write_string(line, place, harmless(row[key]), style["text"])
        sheet.write_datetime(line, 3, dt.datetime.combine(row["monitored_since"], dt.time()), style["date"])
        if row["probability"] is None:
            sheet.write_string(line, 4, "—", style["number"])
        else:
            sheet.write_number(line, 4, row["probability"], style["probability"])
        sheet.write_string(line, 5, harmless(in_favour), style["text"])
        sheet.write_string(line, 6, harmless(against), style["text"])
        sheet.write_blank(line, 7, None, style["form"])
    last_row = HEADER_ROW + max(rows.height, 1)
    sheet.freeze_panes(HEADER_ROW + 1, 3)
    sheet.autofilter(HEADER_ROW, 0, last_row, len(_HEADS) - 1)
    sheet.protect("", {"autofilter": True, "sort": True, "format_columns": True, "format_rows": True})
    sheet.hide_gridlines(2)
    print_layout(sheet, name, review.as_of.isoformat())
    sheet.repeat_rows(HEADER_ROW)


def _lines(points: Sequence[tuple[str, str]]) -> str:
    """A line a point, Chinese and then English."""
    return "\n".join(f"· {zh} / {en}" for zh, en in points)
