"""Plots of a training: each function takes figures and returns a matplotlib Figure; nothing is shown or
written.

Colours are those of Okabe and Ito ("Color universal design", 2008), distinguishable with colour-blindness;
lines and markers differ too. `language` is `zh` or `en`. Where no Chinese font is installed the plot is in
English, with a note in its corner.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from riskmodel.errors import DataError, Fault
from riskmodel.fonts import chinese_font
from riskmodel.training.comparison import ModelComparison
from riskmodel.training.evaluation import METRICS, Evaluation, MetricForm
from riskmodel.training.fairness import (
    FLAGGED,
    INSUFFICIENT,
    MISSING,
    NO_GAP,
    UNKNOWN,
    GroupAudit,
    group_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Language = Literal["zh", "en"]

BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, GREY, INK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#8A8F98",
    "#22262B",
)
MODEL_COLOURS: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK)
LINES: Final = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.2)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (2, 2)),
)
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
LATIN_FONTS: Final = ("DejaVu Sans",)
NO_FONT: Final = "No Chinese font found (install fonts-noto-cjk): labels in English."

WORDS: Final[dict[str, tuple[str, str]]] = {
    "interval": ("95 % 区间，按村整群自助抽样", "95 % interval, villages drawn again"),
    "calibration": ("概率说多少，后来就有多少吗？", "Do the probabilities come true?"),
    "predicted": ("预测概率（对数刻度）", "predicted probability (log scale)"),
    "observed": ("核实确认的比例（对数刻度）", "share confirmed (log scale)"),
    "perfect": ("完全一致", "perfect agreement"),
    "too_low": ("低估风险", "risk understated"),
    "too_high": ("高估风险", "risk overstated"),
    "none_confirmed": ("▽ 该组无确认户：只画区间上限", "▽ nobody confirmed in the bin: upper end only"),
    "confirmed_in_bin": ("每组确认户数", "confirmed in each bin"),
    "recall_title": (
        "走访多少户，能提前找到多少确认户？",
        "How many visits find how many of those confirmed later?",
    ),
    "visits": ("每次名单走访户数", "visits a list"),
    "share_of_cohort": ("占筛查范围的比例", "share of the cohort"),
    "recall": ("覆盖率（名单内确认户占全部确认户）", "recall (share of all confirmed on the list)"),
    "chance": ("随机走访", "visits by chance"),
    "capacity": ("走访能力", "capacity"),
    "reasons_title": ("名单上最常见的理由", "Most frequent reasons on the list"),
    "households": ("户数", "households"),
    "of_households": ("占名单 {share:.0%}", "{share:.0%} of the list"),
    "folds_title": ("训练、校准与检验的时间安排", "When each part trains, calibrates and tests"),
    "training": ("训练", "training"),
    "early_stopping": ("提前停止", "early stopping"),
    "calibration_part": ("校准", "calibration"),
    "test": ("检验", "test"),
    "as_of_dates": ("截止日", "as-of dates"),
    "outcome_window": ("结果观察期（含上报滞后）", "outcome window, with reporting lag"),
    "cut": ("数据截至 {day}", "data known until {day}"),
    "fold": ("第 {fold} 折", "fold {fold}"),
    "audit_title": ("谁更容易被漏掉？", "Who is missed more?"),
    "group": ("该组", "this group"),
    "others": ("其余农户", "all others"),
    "confirmed": ("确认 {count} 户", "{count} confirmed"),
    "flagged": ("漏报偏多", "missed more"),
    "others missed more": ("其余农户漏报偏多", "others missed more"),
    "no gap found": ("未见差距", "no gap found"),
    "insufficient": ("样本不足", "insufficient"),
    "unknown": ("未知", "unknown"),
    "would_find": ("可发现 ≥{points:.0f} 点的差距", "would find {points:.0f} points"),
    "audit_note": (
        "少于 30 个确认户的组不作结论。“未见差距”不等于没有差距。",
        "Groups under 30 confirmed get no verdict. No gap found does not mean no gap.",
    ),
    "forest_title": (
        "与“{baseline}”相比（同一批农户，配对差异）",
        "Compared with {baseline} (same households, paired)",
    ),
    "better": ("优于", "better"),
    "worse": ("劣于", "worse"),
    "not certain": ("不能确定", "not certain"),
    "points": ("百分点", "points"),
    "towards": ("→ 更好", "→ better"),
    "away": ("← 更好", "← better"),
    "at": ("{metric}（{capacity}）", "{metric} at {capacity}"),
}


class _Pen:
    """The language and fonts of one figure."""

    def __init__(self, language: Language) -> None:
        if language not in ("zh", "en"):
            raise DataError(Fault("language", repr(language), "`zh` or `en`", "Name one of the two."))
        found = chinese_font() if language == "zh" else None
        self.note = NO_FONT if language == "zh" and found is None else ""
        self.language: Language = "zh" if found else "en"
        self.fonts = [*([found] if found else []), *LATIN_FONTS]

    def word(self, word: str, **values: object) -> str:
        return WORDS[word][0 if self.language == "zh" else 1].format(**values)

    def metric(self, metric: MetricForm) -> str:
        return metric.zh if self.language == "zh" else metric.en

    def figure(self, width: float, height: float) -> Figure:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        return figure

    def title(self, axes: Axes, text: str, below: str = "") -> None:
        axes.set_title(
            text + (f"\n{below}" if below else ""),
            loc="left",
            fontsize=12,
            fontweight="normal",
            color=INK,
            pad=10,
        )
        if below:
            # One Text has one size: the second line is written by itself, smaller, and the title leaves it
            # its place.
            axes.set_title(text + "\n", loc="left", fontsize=12.5, color=INK, pad=6)
            axes.annotate(
                below,
                (0, 1),
                xycoords="axes fraction",
                xytext=(0, 7),
                textcoords="offset points",
                fontsize=8.5,
                color="#555B63",
            )

    def finish(self, figure: Figure) -> Figure:
        """Give every text its fonts; ticks that are made later too."""
        from matplotlib.text import Text

        if self.note:
            figure.supxlabel(self.note, x=0.99, ha="right", fontsize=7.5, color=VERMILLION)
        for axes in figure.axes:
            axes.tick_params(which="both", labelfontfamily=self.fonts, labelsize=9, colors="#3A3F45")
        for text in figure.findobj(Text):
            text.set_fontfamily(self.fonts)
        return figure


def _bare(axes: Axes, grid: Literal["x", "y", "both"] = "y") -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#B9BEC5")
    axes.grid(axis=grid, which="major", color="#E6E8EB", linewidth=0.8)
    axes.set_axisbelow(True)


def _percent(share: float, _: object = None) -> str:
    return f"{100 * share:.4g}%"


def _style(place: int) -> dict[str, Any]:
    return {
        "color": MODEL_COLOURS[place % len(MODEL_COLOURS)],
        "linestyle": LINES[place % len(LINES)],
        "marker": MARKERS[place % len(MARKERS)],
    }


def calibration_plot(evaluations: Evaluation | Sequence[Evaluation], *, language: Language = "zh") -> Figure:
    """Reliability of the probabilities on log scales: bins of equal expected confirmations, so that the rare
    top is as well seen as the rest.

    Points above the line: risk understated. Raises DataError for a model without probabilities.
    """
    several = [evaluations] if isinstance(evaluations, Evaluation) else list(evaluations)
    if empty := [evaluation.name for evaluation in several if not evaluation.reliability.height]:
        raise DataError(
            Fault(
                ", ".join(empty),
                "no probabilities",
                "calibrated probabilities",
                "Calibrate the model before plotting.",
            )
        )
    pen = _Pen(language)
    figure = pen.figure(6.6, 6.2)
    axes = figure.add_subplot()
    expected = np.concatenate([evaluation.reliability["expected"].to_numpy() for evaluation in several])
    heights = np.concatenate(
        [
            evaluation.reliability[name].to_numpy()
            for evaluation in several
            for name in ("observed", "low", "high")
        ]
    )
    positive = np.concatenate([expected[expected > 0], heights[np.isfinite(heights) & (heights > 0)]])
    low, high = max(1e-5, positive.min() / 1.6), min(1.0, positive.max() * 1.6)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.fill_between([low, high], [low, high], high, color=VERMILLION, alpha=0.035, linewidth=0)
    axes.fill_between([low, high], low, [low, high], color=BLUE, alpha=0.035, linewidth=0)
    axes.plot([low, high], [low, high], color=GREY, linewidth=1.2, label=pen.word("perfect"), zorder=1)
    axes.text(
        0.03, 0.97, pen.word("too_low"), transform=axes.transAxes, va="top", fontsize=9, color="#8C5A3C"
    )
    axes.text(
        0.97, 0.03, pen.word("too_high"), transform=axes.transAxes, ha="right", fontsize=9, color="#3C6A8C"
    )
    nothing = False
    for place, evaluation in enumerate(several):
        table, style = evaluation.reliability, _style(place)
        shift = 1 + 0.05 * (place - (len(several) - 1) / 2)
        x, y = table["expected"].to_numpy() * shift, table["observed"].to_numpy()
        bottom, top = table["low"].to_numpy(), table["high"].to_numpy()
        seen = y > 0
        spans = np.vstack(
            [y - np.where(np.isfinite(bottom), bottom, y), np.where(np.isfinite(top), top, y) - y]
        )
        label = f"{evaluation.name}   O/E {evaluation.cell('observed_expected')}"
        axes.errorbar(
            x[seen],
            y[seen],
            yerr=np.maximum(0, spans[:, seen]),
            fmt=style["marker"],
            color=style["color"],
            markersize=6.5,
            markeredgecolor="white",
            markeredgewidth=0.8,
            elinewidth=1.5,
            capsize=0,
            label=label,
            zorder=3,
        )
        bare = ~seen & np.isfinite(top) & (top > 0)
        if bare.any():
            nothing = True
            axes.vlines(x[bare], low, top[bare], color=style["color"], linewidth=1.5, alpha=0.6)
            axes.plot(
                x[bare],
                top[bare],
                linestyle="",
                marker="v",
                markerfacecolor="white",
                color=style["color"],
                zorder=3,
            )
    for axis in (axes.xaxis, axes.yaxis):
        _percent_ticks(axis, low, high)
    axes.set_xlabel(pen.word("predicted"))
    axes.set_ylabel(pen.word("observed"))
    axes.set_aspect("equal")
    _bare(axes, "both")
    axes.legend(loc="upper left", bbox_to_anchor=(0.02, 0.93), frameon=False, fontsize=9)
    pen.title(
        axes,
        pen.word("calibration"),
        pen.word("interval") + (f"    {pen.word('none_confirmed')}" if nothing else ""),
    )
    return pen.finish(figure)


def _percent_ticks(axis: Any, low: float, high: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    decades = np.array([factor * 10.0**power for power in range(-6, 1) for factor in (1, 2, 5)])
    inside = decades[(decades >= low) & (decades <= high)]
    axis.set_major_locator(
        FixedLocator(
            [
                float(tick)
                for tick in inside
                if len(inside) < 9 or np.isclose(np.log10(tick) % 1, 0, atol=1e-9)
            ]
        )
    )
    axis.set_major_formatter(FuncFormatter(_percent))
    axis.set_minor_formatter(NullFormatter())


def recall_plot(
    comparison: ModelComparison,
    *,
    capacity: float | None = None,
    most: float = 0.3,
    focus: str | None = None,
    language: Language = "zh",
) -> Figure:
    """Recall against visits for every model, with the 95 % band of one (`focus`, by default the last that is
    compared).

    capacity: visits a list, or a share of the cohort, marked by a line. most: the share of the cohort at
    which the picture ends.
    """
    pen = _Pen(language)
    figure = pen.figure(8.4, 5.2)
    axes = figure.add_subplot()
    names = list(comparison.names)
    focus = focus or names[-1]
    ends: list[tuple[float, str, str]] = []
    households = float(comparison[focus].curve["visits"][-1])
    axes.plot([0, most * households], [0, most], color=GREY, linewidth=1.2, linestyle=(0, (2, 2)))
    ends.append((most, pen.word("chance"), GREY))
    others = [name for name in names if name != focus]
    for place, name in enumerate([focus, *others]):
        curve = comparison[name].curve
        keep = curve["share"].to_numpy() <= most + 1e-9
        visits = np.concatenate([[0.0], curve["visits"].to_numpy()[keep]])
        recall = np.concatenate([[0.0], curve["recall"].to_numpy()[keep]])
        style = _style(place)
        axes.plot(
            visits,
            recall,
            color=style["color"],
            linestyle=style["linestyle"],
            linewidth=2.6 if name == focus else 1.7,
            zorder=4,
        )
        if name == focus:
            band = [
                np.concatenate([[0.0], curve[column].to_numpy()[keep]])
                for column in ("recall_low", "recall_high")
            ]
            axes.fill_between(visits, band[0], band[1], color=style["color"], alpha=0.16, linewidth=0)
        ends.append((float(recall[-1]), name, style["color"]))
    right = most * households
    axes.set(xlim=(0, right), ylim=(0, min(1.0, max(end[0] for end in ends) * 1.12)))
    for height, (_, name, colour) in zip(
        _apart([end[0] for end in ends], 0.045 * axes.get_ylim()[1]), ends, strict=True
    ):
        axes.annotate(
            name,
            (right, height),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=colour,
            annotation_clip=False,
        )
    if capacity is not None:
        visits_here = capacity * households if isinstance(capacity, (float, np.floating)) else float(capacity)
        axes.axvline(visits_here, color=INK, linewidth=1, linestyle=(0, (1, 2)))
        axes.annotate(
            f"{pen.word('capacity')} {visits_here:,.0f}",
            (visits_here, axes.get_ylim()[1]),
            xytext=(4, -4),
            textcoords="offset points",
            va="top",
            fontsize=9,
            color=INK,
        )
    axes.xaxis.set_major_formatter(lambda visits, _: f"{visits:,.0f}")

    def share_of(visits: Any) -> Any:
        return visits / households

    def visits_of(share: Any) -> Any:
        return share * households

    top = axes.secondary_xaxis("top", functions=(share_of, visits_of))
    top.xaxis.set_major_formatter(_percent)
    top.set_xlabel(pen.word("share_of_cohort"), fontsize=9, color="#555B63")
    top.spines["top"].set_visible(False)
    top.tick_params(length=3, color="#B9BEC5", labelfontfamily=pen.fonts, labelsize=8.5, labelcolor="#555B63")
    axes.yaxis.set_major_formatter(_percent)
    axes.set_xlabel(pen.word("visits"))
    axes.set_ylabel(pen.word("recall"))
    _bare(axes)
    figure.suptitle(pen.word("recall_title"), x=0.01, ha="left", fontsize=12.5, color=INK)
    axes.annotate(
        f"{focus}: {pen.word('interval')}",
        (1, 0),
        xycoords="axes fraction",
        xytext=(-6, 6),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color="#555B63",
    )
    return pen.finish(figure)


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """The same heights, moved as little as needed so that no two labels overlap."""
    order = np.argsort(heights, kind="stable")
    placed = np.array(heights, dtype=np.float64)[order]
    for _ in range(50):
        close = np.diff(placed) < gap - 1e-12
        if not close.any():
            break
        for place in np.flatnonzero(close):
            middle = (placed[place] + placed[place + 1]) / 2
            placed[place], placed[place + 1] = middle - gap / 2, middle + gap / 2
    result = np.empty(len(placed))
    result[order] = placed
    return [float(height) for height in result]


def reasons_plot(
    reasons: Sequence[Mapping[str, Any]],
    *,
    households: int | None = None,
    most: int = 12,
    language: Language = "zh",
) -> Figure:
    """The most frequent reasons on a list, as bars.

    reasons: one mapping a topic with `zh`, `en` (what it is about) and `count` (households that carry it).
    households: number on the list, for the shares. Raises DataError when there is none.
    """
    if not reasons:
        raise DataError(
            Fault("reasons", "none", "at least one topic with its count", "Explain a list first.")
        )
    pen = _Pen(language)
    chosen = sorted(reasons, key=lambda reason: (-reason["count"], reason["en"]))[:most][::-1]
    figure = pen.figure(8.2, 1.3 + 0.38 * len(chosen))
    axes = figure.add_subplot()
    counts = [float(reason["count"]) for reason in chosen]
    axes.barh(range(len(chosen)), counts, color=BLUE, height=0.66)
    axes.set_yticks(range(len(chosen)), [str(reason[pen.language]) for reason in chosen])
    for place, count in enumerate(counts):
        share = f" · {_percent(round(count / households, 2))}" if households else ""
        axes.annotate(
            f"{count:,.0f}{share}",
            (count, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    axes.set_xlim(0, max(counts) * 1.18)
    axes.set_xlabel(pen.word("households"))
    _bare(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    pen.title(axes, pen.word("reasons_title"))
    return pen.finish(figure)


PARTS: Final = {
    "training": ("training", BLUE),
    "early_stopping": ("early_stopping", SKY),
    "calibration": ("calibration_part", ORANGE),
    "test": ("test", VERMILLION),
}


def folds_plot(
    folds: Sequence[Mapping[str, Any]], *, until: dt.date | None = None, language: Language = "zh"
) -> Figure:
    """Which as-of dates train, calibrate and test, and until when their outcomes are watched.

    folds: one mapping a part of a fold: `fold` (its number or name), `part` (`training`, `early_stopping`,
    `calibration`, `test`), `as_of` (its as-of dates) and `known_until` (end of the last outcome window, with
    the reporting lag). until: the day up to which data are known. Raises DataError for an unknown part or one
    without dates.
    """
    pen = _Pen(language)
    faults = [
        Fault(
            f"folds[{place}]",
            f"part {fold.get('part')!r} with {len(fold.get('as_of', ()))} dates",
            f"{', '.join(PARTS)}, with its as-of dates",
            "Give each part its name and dates.",
        )
        for place, fold in enumerate(folds)
        if fold.get("part") not in PARTS or not len(fold.get("as_of", ()))
    ]
    if faults or not folds:
        raise DataError(faults or [Fault("folds", "none", "at least one part", "Make the folds first.")])
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    names = list(dict.fromkeys(fold["fold"] for fold in folds))
    figure = pen.figure(8.8, 1.7 + 0.9 * len(names))
    axes = figure.add_subplot()
    labelled: set[str] = set()
    for fold in folds:
        parts = [
            part
            for part in PARTS
            if any(item["fold"] == fold["fold"] and item["part"] == part for item in folds)
        ]
        row = names.index(fold["fold"]) + (parts.index(fold["part"]) - (len(parts) - 1) / 2) * 0.8 / max(
            1, len(parts)
        )
        word, colour = PARTS[fold["part"]]
        days = np.asarray(date2num(sorted(fold["as_of"])), dtype=np.float64)
        if fold.get("known_until") is not None:
            end = float(date2num(fold["known_until"]))
            axes.barh(row, end - days[0], left=days[0], height=0.18, color=colour, alpha=0.2, linewidth=0)
        axes.plot([days[0], days[-1]], [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
        label = pen.word(word) if word not in labelled else None
        labelled.add(word)
        axes.plot(
            days,
            np.full(len(days), row),
            linestyle="",
            marker="o",
            markersize=5.5,
            color=colour,
            markeredgecolor="white",
            markeredgewidth=0.7,
            label=label,
        )
    axes.barh([np.nan], [0], color=GREY, alpha=0.3, label=pen.word("outcome_window"))
    if until is not None:
        axes.axvline(float(date2num(until)), color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.annotate(
            pen.word("cut", day=until.isoformat()),
            (float(date2num(until)), 0),
            xycoords=("data", "axes fraction"),
            xytext=(-5, 5),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=9,
            color=INK,
        )
    axes.set_yticks(range(len(names)), [pen.word("fold", fold=name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.use_sticky_edges = False
    axes.margins(x=0.02)
    axes.xaxis_date()
    locator = AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(
            locator, formats=["%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M", "%S"], show_offset=False
        )
    )
    _bare(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    pen.title(axes, pen.word("folds_title"))
    figure.legend(loc="outside lower left", ncols=5, frameon=False, fontsize=9)
    return pen.finish(figure)


def groups_plot(audit: GroupAudit, *, language: Language = "zh") -> Figure:
    """Recall of every group beside that of all others, with intervals; flagged groups and groups with too few
    confirmed households are marked.
    """
    pen = _Pen(language)
    rows = [row for row in audit.rows.iter_rows(named=True) if row["value"] != MISSING]
    rows = [row for row in rows if np.isfinite(row["recall"])]
    if not rows:
        raise DataError(
            Fault(
                "audit",
                "no group with a confirmed household",
                "at least one",
                "Audit lists with known outcomes.",
            )
        )
    figure = pen.figure(8.8, 1.9 + 0.46 * len(rows))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        unsure = row["verdict"] in (INSUFFICIENT, UNKNOWN)
        colour = VERMILLION if row["verdict"] == FLAGGED else GREY if unsure else BLUE
        ends = [end if np.isfinite(end) else row["recall"] for end in (row["recall_low"], row["recall_high"])]
        axes.plot(
            ends,
            [place, place],
            color=colour,
            linewidth=2.4,
            alpha=0.4 if unsure else 0.9,
            solid_capstyle="round",
        )
        axes.plot(
            row["recall"],
            place,
            marker="D" if row["verdict"] == FLAGGED else "o",
            color=colour,
            markersize=8,
            markeredgecolor="white",
            zorder=4,
        )
        if np.isfinite(row["recall_others"]):
            axes.plot(
                row["recall_others"], place, marker="|", markersize=17, markeredgewidth=2, color=INK, zorder=3
            )
        text = pen.word(row["verdict"])
        if row["verdict"] == NO_GAP and np.isfinite(row["detectable"]):
            text += f" · {pen.word('would_find', points=100 * row['detectable'])}"
        axes.annotate(
            text,
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=colour if row["verdict"] == FLAGGED else "#3A3F45",
            annotation_clip=False,
        )
    labels = [
        (
            f"{group_label(row['group'], row['value'], pen.language)}   "
            f"({pen.word('confirmed', count=row['confirmed'])})"
        )
        for row in rows
    ]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(
        0,
        min(
            1.0,
            max(
                max(row["recall_high"], row["recall"], row["recall_others"])
                if np.isfinite(row["recall_others"])
                else row["recall"]
                for row in rows
            )
            * 1.1
            + 0.02,
        ),
    )
    axes.xaxis.set_major_formatter(_percent)
    axes.set_xlabel(pen.word("recall"))
    _bare(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    from matplotlib.lines import Line2D

    keys = [
        Line2D(
            [],
            [],
            marker="o",
            color=BLUE,
            markersize=8,
            markeredgecolor="white",
            linewidth=2.4,
            label=pen.word("group"),
        ),
        Line2D(
            [],
            [],
            marker="|",
            linestyle="",
            markersize=15,
            markeredgewidth=2,
            color=INK,
            label=pen.word("others"),
        ),
        Line2D(
            [],
            [],
            marker="D",
            color=VERMILLION,
            markersize=8,
            markeredgecolor="white",
            linewidth=2.4,
            label=pen.word("flagged"),
        ),
        Line2D(
            [],
            [],
            marker="o",
            color=GREY,
            markersize=8,
            markeredgecolor="white",
            linewidth=2.4,
            label=pen.word("insufficient"),
        ),
    ]
    figure.legend(handles=keys, loc="outside lower left", ncols=4, frameon=False, fontsize=9)
    pen.title(
        axes,
        f"{pen.word('audit_title')}  {audit.name}, {pen.word('capacity')} {audit.capacity}",
        pen.word("audit_note"),
    )
    return pen.finish(figure)


def forest_plot(
    comparison: ModelComparison,
    *,
    metrics: Sequence[tuple[str, float | str]] | None = None,
    baseline: str | None = None,
    language: Language = "zh",
) -> Figure:
    """Paired differences of every model from the baseline, a panel a metric, with 95 % intervals; filled
    where the interval leaves 0 out.

    metrics: pairs of metric and capacity (`""` for none); by default recall and precision at the first
    capacity, AUC and average precision.
    """
    pen = _Pen(language)
    base = baseline or comparison.baseline
    first = comparison[base].capacities[0]
    shown = list(metrics or [("recall", first), ("precision", first), ("auc", ""), ("average_precision", "")])
    models = [name for name in comparison.names if name != base]
    if not models:
        raise DataError(Fault("comparison", "one model", "at least two", "Compare a model with a baseline."))
    records = comparison.differences(base).to_dict("records")
    differences = {(row["model"], row["metric"], row["capacity"]): row for row in records}
    figure = pen.figure(2.0 + 2.15 * len(shown), 1.7 + 0.42 * len(models))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    from riskmodel.training.predictions import capacity_name

    for axes, (metric, capacity) in zip(panels, shown, strict=True):
        name = capacity if isinstance(capacity, str) else capacity_name(capacity)
        form = METRICS[metric]
        scale = 100.0 if form.percent else 1.0
        axes.axvline(0, color=INK, linewidth=1)
        ends = [0.0]
        for place, model in enumerate(models):
            row = differences[(model, metric, name)]
            low, value, high = (scale * float(row[column]) for column in ("low", "value", "high"))
            colour = {"better": BLUE, "worse": VERMILLION}.get(str(row["verdict"]), GREY)
            if np.isfinite(low):
                axes.plot([low, high], [place, place], color=colour, linewidth=2.4, solid_capstyle="round")
            sure = row["verdict"] != "not certain"
            axes.plot(
                value,
                place,
                marker={"better": "o", "worse": "D"}.get(str(row["verdict"]), "o"),
                markersize=7.5,
                color=colour,
                markerfacecolor=colour if sure else "white",
                markeredgewidth=1.6,
                zorder=4,
            )
            ends += [end for end in (low, value, high) if np.isfinite(end)]
        room = 0.12 * (max(ends) - min(ends)) or 1.0
        axes.set_xlim(min(ends) - room, max(ends) + room)
        _bare(axes, "x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        text = pen.word("at", metric=pen.metric(form), capacity=name) if name else pen.metric(form)
        axes.set_title(text + (f"\n{pen.word('points')}" if form.percent else "\n "), fontsize=9.5, color=INK)
        axes.set_xlabel(pen.word("towards" if form.better == 1 else "away"), fontsize=9)
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(4))
    panels[0].set_yticks(range(len(models)), models)
    panels[0].set_ylim(len(models) - 0.5, -0.5)
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], marker="o", color=BLUE, markersize=7.5, linewidth=2.4, label=pen.word("better")),
        Line2D(
            [],
            [],
            marker="o",
            color=GREY,
            markerfacecolor="white",
            markersize=7.5,
            linewidth=2.4,
            label=pen.word("not certain"),
        ),
        Line2D([], [], marker="D", color=VERMILLION, markersize=7.5, linewidth=2.4, label=pen.word("worse")),
    ]
    figure.legend(
        handles=keys,
        loc="outside lower left",
        ncols=3,
        frameon=False,
        fontsize=9,
        title=pen.word("interval"),
        title_fontsize=8,
        alignment="left",
    )
    figure.suptitle(pen.word("forest_title", baseline=base), x=0.01, ha="left", fontsize=12.5, color=INK)
    return pen.finish(figure)
