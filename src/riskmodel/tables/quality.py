"""The quality report: one page that a data officer sends back to a department. Chinese first, figures drawn
into the page.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import warnings
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from riskmodel.tables.delivery import Delivery, receive
from riskmodel.tables.findings import Finding
from riskmodel.tables.schema import TABLES
from riskmodel.tables.suspicions import USUALLY_MISSING, missing_shares, months_delivered

_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
    "DejaVu Sans",
)
_BAR, _DOT, _GRID, _SOFT = "#3d6b8e", "#a8322a", "#e3e8ec", "#5c6b7a"


def quality_report(folder: str | Path, *, today: dt.date | None = None) -> str:
    """The page as HTML, complete in itself: no file or address outside it is needed. Raises DataError for a
    broken tables.yaml.

    It holds counts, dates, column names and wrong codes; no ids, and no values that look like an identity.
    today: see `check_tables`.
    """
    import jinja2

    delivery = receive(Path(folder), warn=True, today=today)
    report = delivery.report()
    newest = [
        frame["known_on"].max()
        for frame in _frames(delivery).values()
        if "known_on" in frame.columns and frame.height
    ]
    source = (resources.files("riskmodel.tables") / "quality.html.j2").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    return template.render(
        folder=Path(folder).resolve().name,
        ok=report.ok,
        newest=max((day for day in newest if day is not None), default=None),
        errors=[_finding_row(finding) for finding in report.errors],
        warnings=[_finding_row(finding) for finding in report.warnings],
        tables=[_row(delivery, summary.table) for summary in report.tables],
        absent=[
            table
            for name, table in TABLES.items()
            if name not in {summary.table for summary in report.tables}
        ],
        figures=_figures(delivery),
    )


def _frames(delivery: Delivery) -> dict[str, pl.DataFrame]:
    return {name: sheet.frame for name, sheet in delivery.sheets.items()}


def _finding_row(finding: Finding) -> dict[str, Any]:
    """A finding with the Chinese names of its table, column and check."""
    table = TABLES.get(finding.table)
    columns = {column.name: column.zh for column in table.columns} if table else {}
    zh = {
        "table_zh": table.zh if table else "文件夹",
        "column_zh": columns.get(finding.column, finding.column),
        "check_zh": finding.in_chinese,
    }
    return asdict(finding) | zh


def _row(delivery: Delivery, name: str) -> dict[str, Any]:
    summary = next(summary for summary in delivery.summaries if summary.table == name)
    frame = _frames(delivery).get(name)
    period = ""
    if frame is not None and "known_on" in frame.columns and frame["known_on"].count():
        period = f"{frame['known_on'].min()!s} – {frame['known_on'].max()!s}"
    return {
        "name": name,
        "zh": TABLES[name].zh,
        "rows": summary.rows,
        "period": period,
        "read_as": summary.read_as,
        "duplicates": summary.duplicates,
        "refused": summary.refused,
        "unused": summary.counts.get("columns not used", 0),
    }


def _figures(delivery: Delivery) -> list[dict[str, str]]:
    import matplotlib
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    with matplotlib.rc_context({"font.family": [font for font in _FONTS if font in installed]}):
        figures = [_rows_by_month(delivery), _lag_by_department(delivery), _missing_by_column(delivery)]
    return [figure for figure in figures if figure]


def _canvas(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure without a screen, with text left as text, so that the page's own Chinese font draws it."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def _svg(figure: Any, name: str) -> str:
    import matplotlib

    stream = io.StringIO()
    # A fixed salt and no date: the same folder gives the same page. Text stays text, so that a machine
    # without a Chinese font draws nothing wrong: it only measures the labels less well, which is what the
    # warnings are about.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(
        r"font: ([\d.]+)px[^;\"]*", r"font: \1px 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif", text
    )
    # Ids of several figures in one page must not meet.
    return re.sub(r'(id="|#)(?=[A-Za-z])(?![0-9a-f]{6}\b)', rf"\g<1>{name}-", text)


def _plain(axes: Any) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, labelsize=8, colors=_SOFT)


def _rows_by_month(delivery: Delivery) -> dict[str, str]:
    from matplotlib.dates import date2num

    months = {
        name: months_delivered(frame)
        for name, frame in _frames(delivery).items()
        if "known_on" in frame.columns
    }
    months = {name: frame for name, frame in months.items() if frame.height}
    if not months:
        return {}
    first = min(frame["month"][0] for frame in months.values())
    last = max(frame["month"][-1] for frame in months.values())
    rows = -(-len(months) // 3)
    figure, grid = _canvas(10.4, 1.25 * rows + 0.2, rows, 3)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, frame) in zip(grid.flat, months.items(), strict=False):
        axes.set_axis_on()
        edges = date2num([*frame["month"].to_list(), _shift(frame["month"][-1], 1)])
        axes.stairs(frame["rows"].to_list(), edges, fill=True, color=_BAR)
        axes.set_ylim(bottom=0)
        axes.set_xlim(date2num(_shift(first, -1)), date2num(_shift(last, 2)))
        axes.set_title(f"{TABLES[name].zh} {name}", fontsize=9, loc="left", color="#1d2733")
        axes.xaxis_date()
        axes.xaxis.set_major_locator(_years())
        axes.xaxis.set_major_formatter(_year_format())
        axes.yaxis.set_major_locator(_three_ticks())
        axes.yaxis.set_major_formatter(_thousands())
        _plain(axes)
    return {
        "zh": "各表每月入库行数",
        "en": "Rows by month and table",
        "svg": _svg(figure, "months"),
        "note_zh": "横轴为入库月份。空缺的月份表示没有收到数据，不表示没有发生。",
        "note_en": (
            "By month of known_on. An empty month means that nothing was delivered, not "
            "that nothing happened."
        ),
    }


def _lag_by_department(delivery: Delivery) -> dict[str, str]:
    spread = []
    for name, frame in _frames(delivery).items():
        if TABLES[name].form != "event" or not frame.height:
            continue
        # The first delivery of a table brings rows of many years; the lag is that of the deliveries after it.
        later = frame.filter(pl.col("known_on") > frame["known_on"].min() + pl.duration(days=62))
        days = (
            (later if later.height else frame)
            .select(days=(pl.col("known_on") - pl.col("occurred_on")).dt.total_days())["days"]
            .drop_nulls()
        )
        if days.len():
            low, quarter, middle, three, high = (
                float(days.quantile(share) or 0) for share in (0.1, 0.25, 0.5, 0.75, 0.9)
            )
            spread.append((name, low, quarter, middle, three, high))
    if not spread:
        return {}
    figure, grid = _canvas(10.4, 0.32 * len(spread) + 0.7)
    axes = grid[0][0]
    for place, (_name, low, quarter, middle, three, high) in enumerate(reversed(spread)):
        axes.plot([low, high], [place, place], color=_BAR, linewidth=1.2)
        axes.plot(
            [quarter, three], [place, place], color=_BAR, linewidth=7, solid_capstyle="butt", alpha=0.55
        )
        axes.plot([middle], [place], "o", color=_DOT, markersize=5)
        axes.annotate(
            f"{middle:.0f}",
            (middle, place),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=_DOT,
        )
    axes.set_yticks(range(len(spread)), [f"{TABLES[row[0]].zh} {row[0]}" for row in reversed(spread)])
    axes.set_ylim(-0.6, len(spread) - 0.2)
    axes.set_xlim(left=min(0.0, *(row[1] for row in spread)) - 1)
    axes.set_xlabel("天 days", fontsize=8, color=_SOFT)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    _plain(axes)
    return {
        "zh": "各部门数据的入库滞后",
        "en": "Delivery lag by department",
        "svg": _svg(figure, "lag"),
        "note_zh": (
            "从发生日期到入库日期的天数（不含首次入库）：红点为中位数，粗线为中间一半，细线为 10% 至 90%。"
        ),
        "note_en": (
            "Days from occurred_on to known_on, without a table's first delivery: dot, the median; thick, "
            "the middle half; thin, 10 % to 90 %."
        ),
    }


def _missing_by_column(delivery: Delivery) -> dict[str, str]:
    bars = []
    for name, sheet in delivery.sheets.items():
        for column, share in missing_shares(sheet).items():
            needed = not TABLES[name].column(column).optional
            usual = (name, column) in USUALLY_MISSING
            if usual or (needed and not share) or not sheet.frame.height:
                continue
            bars.append(
                (
                    f"{TABLES[name].zh} · {TABLES[name].column(column).zh} {column}",
                    share,
                    column in sheet.absent,
                )
            )
    if not bars:
        return {}
    figure, grid = _canvas(10.4, 0.26 * len(bars) + 0.6)
    axes = grid[0][0]
    for place, (_label, share, absent) in enumerate(reversed(bars)):
        axes.barh(place, share, color="#c9d2da" if absent else _BAR, height=0.66)
        words = "未提供 not delivered" if absent else f"{share:.0%}"
        axes.annotate(
            words,
            (share, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_SOFT,
        )
    axes.set_yticks(range(len(bars)), [label for label, _, _ in reversed(bars)])
    axes.set_xlim(0, 1.15)
    axes.set_ylim(-0.6, len(bars) - 0.4)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    _plain(axes)
    return {
        "zh": "各列缺失比例",
        "en": "Missing by column",
        "svg": _svg(figure, "missing"),
        "note_zh": "只计算应当有值的行（如住院天数只看住院）。通常为空的列未列出。",
        "note_en": (
            "Only of rows where a value is due (hospital days: of hospital stays). Columns that are usually "
            "empty are left out."
        ),
    }


def _shift(day: Any, months: int) -> Any:
    import datetime as dt

    return day + dt.timedelta(days=31 * months)


def _years() -> Any:
    from matplotlib.dates import YearLocator

    return YearLocator()


def _year_format() -> Any:
    from matplotlib.dates import DateFormatter

    return DateFormatter("%Y")


def _three_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3, integer=True)


def _thousands() -> Any:
    from matplotlib.ticker import StrMethodFormatter

    return StrMethodFormatter("{x:,.0f}")
