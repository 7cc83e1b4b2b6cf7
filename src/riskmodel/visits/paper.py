"""The list on paper: one page in HTML for the printer, and the same as PDF; A4 landscape, each township on
sheets of its own.

No scripts and no external request. Same list, same bytes. Like every file for visitors it is in route order
and does not show who was drawn by chance.
"""

from __future__ import annotations

import html
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from riskmodel.errors import Fault, UserError
from riskmodel.files import write_bytes
from riskmodel.visits.forms import FILL, READ, FormColumn, choices
from riskmodel.visits.visit_list import VisitList
from riskmodel.visits.workbook import GRADE_COLOURS, notes_of, sheet_rows
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH

# On paper the township and the team are above the table, and the risk kinds share a column. Widths are parts
# of the sheet.
_WIDTHS: Final = {
    "number": 6,
    "village_code": 15,
    "household_id": 12,
    "grade": 8,
    "because": 18,
    "probability": 11,
    "reasons": 62,
    "check": 42,
    "last_visit": 13,
    "visited_on": 12,
    "outcome": 12,
    "risks": 12,
    "disagreement": 13,
    "note": 14,
}
_KNOWN: Final = {column.name: column for column in (*READ, *FILL)} | {
    "risks": FormColumn("risks", "风险类型", "Risk kinds", _WIDTHS["risks"], fill=True)
}
_COLUMNS: Final = tuple(_KNOWN[name] for name in _WIDTHS)
# Standby households are many and visited on the way: a line each, with what put them on the list.
_SHORT: Final = tuple(column for column in _COLUMNS if column.name not in ("reasons", "check"))
_FONTS: Final = '"Noto Sans CJK SC","Source Han Sans SC","Microsoft YaHei","WenQuanYi Zen Hei",sans-serif'
_INK, _RULE, _HEAD, _FORM_HEAD = "#1F2933", "#B8C2CC", "#E4EAF0", "#D5E8DC"


def write_html(visits: VisitList, path: Path) -> Path:
    """Write the printable page at once and whole. Returns the path."""
    return write_bytes(path, page_of(visits).encode())


def write_pdf(visits: VisitList, path: Path) -> Path:
    """Write the PDF at once and whole. Returns the path. Raises UserError if WeasyPrint, Pango or a Chinese
    font is missing."""
    return write_bytes(path, pdf_bytes(visits))


def pdf_bytes(visits: VisitList) -> bytes:
    """The PDF as bytes; on one machine the same list gives the same bytes (fonts differ between machines)."""
    weasyprint = _weasyprint()
    made: bytes = weasyprint.HTML(string=page_of(visits), url_fetcher=_nothing_from_outside).write_pdf(
        pdf_identifier=visits.hash[:32].encode(), pdf_tags=True
    )
    return made


def _weasyprint() -> Any:
    try:
        import weasyprint
    except ModuleNotFoundError:
        remedy = "Install riskmodel with its extra `print`, or write .html and print it from a browser."
        raise UserError(Fault("PDF", "WeasyPrint is not installed", "the extra `print`", remedy)) from None
    except OSError as error:
        remedy = (
            "Debian and Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0. Or write .html and print "
            "it from a browser."
        )
        raise UserError(
            Fault("PDF", f"Pango cannot be loaded ({str(error).splitlines()[0]})", "Pango", remedy)
        ) from None
    program = shutil.which("fc-list")
    if program and not subprocess.run([program, ":lang=zh"], capture_output=True, check=False).stdout.strip():
        remedy = (
            "Debian and Ubuntu: apt-get install fonts-noto-cjk. Or write .html and print it from a browser."
        )
        raise UserError(
            Fault("PDF", "no Chinese font on this machine", "a font such as Noto Sans CJK", remedy)
        )
    return weasyprint


def _nothing_from_outside(url: str, *_: Any, **__: Any) -> Any:
    raise ValueError(f"the page asked for {url}, and asks for nothing")


def page_of(visits: VisitList) -> str:
    """The page as HTML: townships in route order, each with its visits and standby households, then the
    notes."""
    townships = list(
        dict.fromkeys(
            row["township_code"] for row in [*sheet_rows(visits), *sheet_rows(visits, standby=True)]
        )
    )
    now = _by_township(sheet_rows(visits))
    waiting = _by_township(sheet_rows(visits, standby=True))
    parts = []
    for code in townships:
        for rows, title in (
            (now.get(code), ""),
            (waiting.get(code), "候补：仅因部门规则列入，不占本期名额 · Standby, beyond the capacity"),
        ):
            if rows:
                parts.append(_section(visits, code, rows, title))
    rows_of_notes = "".join(
        f"<tr><th>{html.escape(label)}</th><td>{html.escape(zh)}</td><td>{html.escape(en)}</td></tr>"
        for label, zh, en in [*notes_of(visits), *_words(visits)]
    )
    parts.append(
        '<section><table class="notes"><colgroup><col style="width:16%"><col><col></colgroup>'
        f"<thead>{_title(visits, '说明', 'Notes', 3)}</thead><tbody>{rows_of_notes}</tbody></table></section>"
    )
    area = f"{visits.cycle} · {visits.county_code} · {visits.as_of.isoformat()}"
    return f"""<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>返贫致贫风险核实清单 {visits.cycle} {visits.county_code}</title>
<meta name="dcterms.created" content="{visits.as_of.isoformat()}"><meta name="description" content="{SIGNAL_ZH} · {SIGNAL_EN}">
<style>
{_style(area)}
</style></head><body>
{chr(10).join(parts)}
</body></html>
"""


def _by_township(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    by_code: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_code.setdefault(row["township_code"], []).append(row)
    return by_code


def _section(visits: VisitList, township: str, rows: Sequence[dict[str, Any]], title: str) -> str:
    columns = _SHORT if title else _COLUMNS
    parts = [_WIDTHS[column.name] * (3 if title and column.name == "because" else 1) for column in columns]
    widths = "".join(f'<col style="width:{100 * part / sum(parts):.2f}%">' for part in parts)
    heads = "".join(
        f"<th{' class=f' if column.fill else ''}>{html.escape(column.zh)}<small>{html.escape(column.en)}</small></th>"
        for column in columns
    )
    lines = "\n".join(f"<tr>{''.join(_cell(column, row) for column in columns)}</tr>" for row in rows)
    team = "　　走访组 Team ________"
    head = _title(
        visits,
        f"乡镇 {township}：{len(rows)}户",
        (title or f"Township, {len(rows)} households") + team,
        len(columns),
    )
    return (
        f"<section><table><colgroup>{widths}</colgroup><thead>{head}<tr>{heads}</tr></thead><tbody>\n"
        f"{lines}\n"
        "</tbody></table></section>"
    )


def _title(visits: VisitList, zh: str, en: str, columns: int) -> str:
    """Title of a township as a table row; it repeats on every sheet, being part of the table's head."""
    return (
        f'<tr class="title"><td colspan="{columns}"><h1>返贫致贫风险核实清单 {visits.cycle} · '
        f'{html.escape(zh)}</h1> {html.escape(en)}<br><b class="signal">{SIGNAL_ZH}</b> <span '
        f'class="signal">{SIGNAL_EN}</span></td></tr>'
    )


def _cell(column: FormColumn, row: dict[str, Any]) -> str:
    if column.fill:
        return "<td class=f></td>"
    value = row[column.name]
    text = "" if value is None else f"{value:.3f}" if column.name == "probability" else str(value)
    kind = (
        f" class=g-{row['grade_code']}"
        if column.name == "grade"
        else " class=n"
        if column.name == "last_visit"
        else ""
    )
    return f"<td{kind}>{html.escape(text).replace(chr(10), '<br>')}</td>"


def _words(visits: VisitList) -> list[tuple[str, str, str]]:
    """What may be written into the form: on paper there are no drop-downs."""
    labels = {
        "outcome": "核实结果 Outcome",
        "risk": "风险类型 Risk kinds",
        "disagreement": "与理由不符 Disagrees",
    }
    zh, en = choices(visits.settings, "zh"), choices(visits.settings, "en")
    return [
        (label, "；".join(zh[kind].values()), "; ".join(en[kind].values())) for kind, label in labels.items()
    ]


def _style(area: str) -> str:
    colours = "".join(
        f".g-{grade} {{ background: {back}; color: {text}; font-weight: bold }} "
        for grade, (back, text) in GRADE_COLOURS.items()
    )
    margin = f"font: 7.5pt {_FONTS}; color: #5F6368;"
    return f"""@page {{ size: A4 landscape; margin: 10mm 9mm 12mm;
  @bottom-left {{ content: "{SIGNAL_ZH}"; {margin} }}
  @bottom-center {{ content: "{area}"; {margin} }}
  @bottom-right {{ content: counter(page) " / " counter(pages); {margin} }} }}
body {{ font: 7.5pt/1.4 {_FONTS}; color: {_INK}; margin: 0; }}
section {{ break-before: page; }} section:first-child {{ break-before: auto; }}
h1 {{ font-size: 13pt; margin: 0; display: inline; }} .signal {{ color: #8C1D18; }}
table {{ border-collapse: collapse; width: 100%; table-layout: fixed; }} thead {{ display: table-header-group; }} tr {{ break-inside: avoid; }}
th, td {{ border: .5pt solid {_RULE}; padding: 2pt 3pt; vertical-align: top; text-align: left; overflow-wrap: anywhere; }}
th {{ background: {_HEAD}; font-size: 7pt; }} th.f {{ background: {_FORM_HEAD}; }} th small {{ display: block; font-weight: normal; font-size: 6pt; }}
.title td {{ border: 0; padding: 0 0 3pt; }} td.f {{ height: 24pt; }} td.n {{ white-space: nowrap; }}
{colours.rstrip()}"""
