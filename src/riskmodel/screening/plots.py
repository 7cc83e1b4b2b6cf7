"""Pictures for analysts: shap's own plots, fed with our contributions and the catalogue's labels. For screens of people who know what a margin is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from riskmodel.screening import wording
from riskmodel.screening.explain import as_explanation, shap_plots
from riskmodel.screening.reasons import KINDS, MOST_RAISING, ReasonTable
from riskmodel.screening.wording import Language
from riskmodel.vocabulary import RISK_KINDS, SIGNAL_EN, SIGNAL_ZH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from riskmodel.screening.scoring import Scores

CHINESE_FONTS: Final = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
    "WenQuanYi Zen Hei",
)


def spoken(language: Language) -> Language:
    """The language that labels can be drawn in: English where the machine has no font with Chinese signs."""
    return language if language == "en" or _chinese_font() else "en"


def labels(table: ReasonTable, language: Language) -> list[str]:
    """The features' labels in the table's order."""
    return [getattr(table.wordbook.catalogue[name].label, language) for name in table.names]


def explanation(table: ReasonTable, base: float, language: Language = "zh", rows: Sequence[int] | None = None) -> Any:
    """The cohort (or some rows of it) as a `shap.Explanation`: every plot of shap works on it."""
    keep = np.arange(len(table)) if rows is None else np.asarray(rows)
    return as_explanation(table.contributions[keep], base, table.values[keep], labels(table, spoken(language)))


def waterfall(table: ReasonTable, base: float, row: int, language: Language = "zh", most: int = 12) -> Figure:
    """How one household's margin comes about, from the expected margin upwards. Values are written out with their units."""
    with _plotting(language):
        from matplotlib import pyplot as plt

        language = spoken(language)
        entries = [table.wordbook.catalogue[name] for name in table.names]
        names = [wording.labelled(entry, float(value), language) for entry, value in zip(entries, table.values[row], strict=True)]
        one = as_explanation(table.contributions[[row]], base, None, names)[0]
        plt.figure(figsize=(10, 6))
        shap_plots().waterfall(one, max_display=most, show=False)
        figure: Figure = plt.gcf()
        figure.text(0.01, 0.005, SIGNAL_ZH if language == "zh" else SIGNAL_EN, fontsize=8, color="0.35")
        plt.close(figure)
        return figure


def importance(table: ReasonTable) -> pl.DataFrame:
    """Mean absolute contribution to the margin of each feature and risk kind over the cohort, heaviest first.

    Columns: kind (`feature`, `topic`, `risk_kind`), name, zh, en, importance (margin), share (of all features).
    """
    catalogue = table.wordbook.catalogue
    size = np.abs(table.contributions).mean(axis=0)
    total = float(size.sum()) or 1.0
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(table.names):
        label = catalogue[name].label
        rows.append({"kind": "feature", "name": name, "zh": label.zh, "en": label.en, "importance": float(size[place])})
    for place, topic in enumerate(table.topic_names):
        rows.append(
            {"kind": "topic", "name": topic, "zh": topic, "en": topic, "importance": float(np.abs(table.topics[:, place]).mean())}
        )
    for place, kind in enumerate(KINDS):
        zh, en = RISK_KINDS[kind]
        rows.append(
            {"kind": "risk_kind", "name": kind, "zh": zh, "en": en, "importance": float(np.abs(table.kinds[:, place]).mean())}
        )
    frame = pl.DataFrame(rows).with_columns(share=pl.col("importance") / total)
    return frame.sort(["kind", "importance", "name"], descending=[False, True, False])


def importance_plot(table: ReasonTable, language: Language = "zh") -> Figure:
    """Importance by risk kind: mean absolute contribution to the margin, as bars."""
    with _plotting(language):
        from matplotlib import pyplot as plt

        frame = importance(table).filter(pl.col("kind") == "risk_kind").sort("importance")
        figure: Figure
        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        axes.barh(frame[spoken(language)].to_list(), frame["importance"].to_list(), color="#1f77b4")
        axes.set_xlabel("平均绝对贡献（原始分）" if spoken(language) == "zh" else "mean absolute contribution (margin)")
        plt.close(figure)
        return figure


def frequent_reasons(scores: Scores, language: Language = "zh", most: int = 12, first: int = 600) -> Figure:
    """How often each topic is told as raising the risk, among the first households of the order and in the whole cohort, as bars."""
    with _plotting(language):
        from matplotlib import pyplot as plt

        table = scores.table
        catalogue = table.wordbook.catalogue
        first = min(first, len(scores))
        head, all_rows = table.feature[scores.order[:first], :MOST_RAISING], table.feature[:, :MOST_RAISING]
        language = spoken(language)
        share = {}
        for place, name in enumerate(table.names):
            share[name] = ((head == place).any(axis=1).mean(), (all_rows == place).any(axis=1).mean())
        told = sorted(share, key=lambda name: share[name][0], reverse=True)[:most][::-1]
        figure: Figure
        figure, axes = plt.subplots(figsize=(9, 0.42 * len(told) + 1.6), layout="constrained")
        rows = np.arange(len(told))
        words = (f"前{first:,}户", "全部") if language == "zh" else (f"first {first:,} households", "whole cohort")
        axes.barh(rows + 0.2, [100 * share[name][0] for name in told], height=0.4, color="#b3412f", label=words[0])
        axes.barh(rows - 0.2, [100 * share[name][1] for name in told], height=0.4, color="#9aa7b3", label=words[1])
        axes.set_yticks(rows, [getattr(catalogue[name].label, language) for name in told])
        axes.set_xlabel("提到该理由的农户（%）" if language == "zh" else "households for which it is told as a reason (%)")
        axes.set_title(SIGNAL_ZH if language == "zh" else SIGNAL_EN, fontsize=9, color="0.35")
        axes.legend()
        plt.close(figure)
        return figure


def reasons_by_township(table: ReasonTable, township_code: Sequence[str], fewest: int = 30) -> pl.DataFrame:
    """How often each risk kind is the first of a household's kinds, by township. Townships under `fewest` households are left out.

    Columns: township_code, risk_kind, households, share.
    """
    first = [kinds.split(";")[0] or "none" for kinds in table.risk_kinds]
    frame = pl.DataFrame({"township_code": list(township_code), "risk_kind": first})
    counts = frame.group_by("township_code", "risk_kind").agg(households=pl.len())
    totals = frame.group_by("township_code").agg(total=pl.len()).filter(pl.col("total") >= fewest)
    joined = counts.join(totals, on="township_code").with_columns(share=pl.col("households") / pl.col("total"))
    return joined.drop("total").sort("township_code", "households", "risk_kind", descending=[False, True, False])


def _chinese_font() -> str | None:
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in CHINESE_FONTS if name in there), None)


@contextmanager
def _plotting(language: Language) -> Iterator[None]:
    """A backend without a screen, and a font that has the signs; labels fall back to English where there is none."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    font = _chinese_font()
    settings: dict[str, Any] = {"axes.unicode_minus": False}
    if font:
        settings |= {"font.family": [font, "DejaVu Sans"]}  # by name: figures are often drawn after this block
    with matplotlib.rc_context(settings):
        yield
