"""Pictures for analysts: shap's own plots, fed with our contributions and the catalogue's labels. For screens
of people who know what a margin is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.explaining.contributions import Explainer, as_explanation, drawing
from riskmodel.files import write_text
from riskmodel.fonts import chinese_font
from riskmodel.screening import wording
from riskmodel.screening.reasons import MOST_RAISING, ReasonTable
from riskmodel.screening.wordbook import KINDS
from riskmodel.screening.wording import Language
from riskmodel.vocabulary import RISK_KINDS, SIGNAL_EN, SIGNAL_ZH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

    from riskmodel.screening.scoring import Scores


def spoken(language: Language) -> Language:
    """The language that labels can be drawn in: English where the machine has no font with Chinese signs."""
    return language if language == "en" or chinese_font() else "en"


def labels(table: ReasonTable, language: Language) -> list[str]:
    """The features' labels in the table's order."""
    return [getattr(table.wordbook.catalogue[name].label, language) for name in table.names]


def explanation(
    table: ReasonTable, base: float, language: Language = "zh", rows: Sequence[int] | None = None
) -> Any:
    """The cohort (or some rows of it) as a `shap.Explanation`: every plot of shap works on it."""
    keep = np.arange(len(table)) if rows is None else np.asarray(rows)
    return as_explanation(
        table.contributions[keep], base, table.values[keep], labels(table, spoken(language))
    )


def waterfall(table: ReasonTable, base: float, row: int, language: Language = "zh", most: int = 12) -> Figure:
    """How one household's margin comes about, from the expected margin upwards. Values are written out with
    their units."""
    with _plotting():
        from matplotlib import pyplot as plt

        language = spoken(language)
        entries = [table.wordbook.catalogue[name] for name in table.names]
        names = [
            wording.labelled(entry, float(value), language)
            for entry, value in zip(entries, table.values[row], strict=True)
        ]
        one = as_explanation(table.contributions[[row]], base, None, names)[0]
        plt.figure(figsize=(10, 6))
        drawing().plots.waterfall(one, max_display=most, show=False)
        figure: Figure = plt.gcf()
        figure.text(0.01, 0.005, SIGNAL_ZH if language == "zh" else SIGNAL_EN, fontsize=8, color="0.35")
        plt.close(figure)
        return figure


def importance(table: ReasonTable) -> pl.DataFrame:
    """Mean absolute contribution to the margin of each feature and risk kind over the cohort, heaviest first.

    Columns: kind (`feature`, `topic`, `risk_kind`), name, zh, en, importance (margin), share (of all
    features).
    """
    catalogue = table.wordbook.catalogue
    size = np.abs(table.contributions).mean(axis=0)
    total = float(size.sum()) or 1.0
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(table.names):
        label = catalogue[name].label
        rows.append(
            {
                "kind": "feature",
                "name": name,
                "zh": label.zh,
                "en": label.en,
                "importance": float(size[place]),
            }
        )
    for place, topic in enumerate(table.topic_names):
        # a topic is called by its heaviest feature
        heaviest = max(
            (number for number, name in enumerate(table.names) if catalogue[name].topic == topic),
            key=lambda number: size[number],
        )
        words = catalogue[table.names[heaviest]].label
        rows.append(
            {
                "kind": "topic",
                "name": topic,
                "zh": words.zh,
                "en": words.en,
                "importance": float(np.abs(table.topics[:, place]).mean()),
            }
        )
    for place, kind in enumerate(KINDS):
        zh, en = RISK_KINDS[kind]
        rows.append(
            {
                "kind": "risk_kind",
                "name": kind,
                "zh": zh,
                "en": en,
                "importance": float(np.abs(table.kinds[:, place]).mean()),
            }
        )
    frame = pl.DataFrame(rows).with_columns(share=pl.col("importance") / total)
    return frame.sort(["kind", "importance", "name"], descending=[False, True, False])


def importance_plot(table: ReasonTable, language: Language = "zh", most: int = 15) -> Figure:
    """Importance by feature (the `most` heaviest) and by risk kind: mean absolute contribution to the margin
    over the cohort, as bars."""
    with _plotting():
        from matplotlib import pyplot as plt

        language, frame = spoken(language), importance(table)
        panels = {"feature": ("按指标", "by feature"), "risk_kind": ("按风险类型", "by risk kind")}
        figure: Figure
        figure, both = plt.subplots(
            1, 2, figsize=(12, 1.6 + 0.3 * most), width_ratios=(1.3, 1), layout="constrained"
        )
        for axes, (kind, words) in zip(both, panels.items(), strict=True):
            shown = frame.filter(pl.col("kind") == kind).head(most).sort("importance")
            axes.barh(shown[language].to_list(), shown["importance"].to_list(), color="#1f77b4")
            axes.set_title(words[0] if language == "zh" else words[1], loc="left")
            axes.set_xlabel(
                "平均绝对贡献（原始分）" if language == "zh" else "mean absolute contribution (margin)"
            )
            axes.spines[["top", "right"]].set_visible(False)
        plt.close(figure)
        return figure


@dataclass(frozen=True)
class Interactions:
    """What pairs of features do together, in a sample of a cohort. rows: positions in `table`, shape (m,).
    values: shape (m, p, p), see `Explainer.interactions`."""

    table: ReasonTable
    rows: npt.NDArray[np.intp]
    values: npt.NDArray[np.float64]

    def strongest(self, most: int = 20) -> pl.DataFrame:
        """The pairs that do most together. Columns: first, second (feature names), zh, en (both labels),
        importance (mean absolute margin that the pair adds or takes together), share (of all that the model
        does in the sample: alone and in pairs).
        """
        size = np.abs(self.values).mean(axis=0)
        total = float(size.sum()) or 1.0
        pairs = [
            (first, second)
            for first, second in zip(*np.triu_indices(len(size), 1), strict=True)
            if size[first, second] > 0
        ]
        pairs.sort(key=lambda pair: (-size[pair], pair))
        names, zh, en = self.table.names, labels(self.table, "zh"), labels(self.table, "en")
        rows = [
            {
                "first": names[i],
                "second": names[j],
                "zh": f"{zh[i]} × {zh[j]}",
                "en": f"{en[i]} × {en[j]}",
                "importance": 2 * float(size[i, j]),
                "share": 2 * float(size[i, j]) / total,
            }
            for i, j in pairs[:most]
        ]
        schema = {
            "first": pl.String,
            "second": pl.String,
            "zh": pl.String,
            "en": pl.String,
            "importance": pl.Float64,
            "share": pl.Float64,
        }
        return pl.DataFrame(rows, schema=schema)


def interactions(
    table: ReasonTable, explainer: Explainer, *, sample: int = 400, seed: int = 1
) -> Interactions:
    """Exact interaction values of `sample` households, drawn by the seed."""
    draw = np.random.default_rng(seed)
    rows = np.sort(draw.choice(len(table), min(sample, len(table)), replace=False))
    return Interactions(table, rows, explainer.interactions(table.values[rows]))


def interaction_plot(found: Interactions, language: Language = "zh", most: int = 12) -> Figure:
    """The pairs that do most together, as bars."""
    with _plotting():
        from matplotlib import pyplot as plt

        language = spoken(language)
        shown = found.strongest(most).sort("importance")
        figure: Figure
        figure, axes = plt.subplots(figsize=(10, 1.4 + 0.5 * max(len(shown), 1)), layout="constrained")
        axes.barh(
            [pair.replace(" × ", "\n× ") for pair in shown[language]],
            shown["importance"].to_list(),
            color="#6a51a3",
        )
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(axis="y", labelsize=8)
        axes.set_xlabel(
            "两项共同的平均绝对贡献（原始分）"
            if language == "zh"
            else "mean absolute contribution of the pair together (margin)"
        )
        axes.spines[["top", "right"]].set_visible(False)
        plt.close(figure)
        return figure


def pair_plot(found: Interactions, first: str, second: str, language: Language = "zh") -> Figure:
    """shap's dependence plot of what two features do together: the first along the axis, the second as
    colour."""
    with _plotting():
        from matplotlib import pyplot as plt

        language = spoken(language)
        names, words = found.table.names, labels(found.table, language)
        figure: Figure
        figure, axes = plt.subplots(figsize=(9, 5.5), layout="constrained")
        values = found.table.values[found.rows]
        pair = (names.index(first), names.index(second))
        drawing().dependence_plot(
            pair, found.values, values, feature_names=words, ax=axes, show=False, dot_size=12, alpha=0.7
        )
        along = values[:, pair[0]]
        if not np.isnan(along).all():
            axes.set_xlim(*_wide_enough(np.nanpercentile(along, [0.5, 99.5])))
        axes.set_ylabel(
            "两项共同的贡献（原始分）" if language == "zh" else "what the two do together (margin)"
        )
        plt.close(figure)
        return figure


def _wide_enough(limits: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(limits[0]), float(limits[1])
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def save_importance(
    table: ReasonTable, folder: Path, language: Language = "zh", *, explainer: Explainer | None = None
) -> list[Path]:
    """Write `importance.csv` (feature, topic and risk kind, both languages) and `importance.png` into a
    folder that is there. The paths.

    With an explainer also `interactions.csv` (the 50 pairs that do most together, in a sample of 400
    households) and `interactions.png`.
    """
    files = [folder / "importance.csv", folder / "importance.png"]
    # With a byte order mark, or Excel shows the Chinese labels as rubbish.
    write_text(files[0], "\ufeff" + importance(table).write_csv())
    importance_plot(table, language).savefig(files[1], dpi=150, bbox_inches="tight")
    if explainer is not None:
        found = interactions(table, explainer)
        files += [folder / "interactions.csv", folder / "interactions.png"]
        write_text(files[2], "\ufeff" + found.strongest(50).write_csv())
        interaction_plot(found, language).savefig(files[3], dpi=150, bbox_inches="tight")
    return files


def frequent_reasons(scores: Scores, language: Language = "zh", most: int = 12, first: int = 600) -> Figure:
    """Bar chart: share of households for which each topic is a reason that raises the risk, among the `first`
    households of the order and in the whole cohort."""
    with _plotting():
        from matplotlib import pyplot as plt

        table = scores.table
        catalogue = table.wordbook.catalogue
        first = min(first, len(scores))
        head, all_rows = table.feature[scores.order[:first], :MOST_RAISING], table.feature[:, :MOST_RAISING]
        language = spoken(language)
        share = {}
        for place, name in enumerate(table.names):
            share[name] = ((head == place).any(axis=1).mean(), (all_rows == place).any(axis=1).mean())
        topics_shown = sorted(share, key=lambda name: share[name][0], reverse=True)[:most][::-1]
        figure: Figure
        figure, axes = plt.subplots(figsize=(9, 0.42 * len(topics_shown) + 1.6), layout="constrained")
        rows = np.arange(len(topics_shown))
        words = (
            (f"前{first:,}户", "全部")
            if language == "zh"
            else (f"first {first:,} households", "whole cohort")
        )
        axes.barh(
            rows + 0.2,
            [100 * share[name][0] for name in topics_shown],
            height=0.4,
            color="#b3412f",
            label=words[0],
        )
        axes.barh(
            rows - 0.2,
            [100 * share[name][1] for name in topics_shown],
            height=0.4,
            color="#9aa7b3",
            label=words[1],
        )
        axes.set_yticks(rows, [getattr(catalogue[name].label, language) for name in topics_shown])
        axes.set_xlabel("提到该理由的农户（%）" if language == "zh" else "households with this reason (%)")
        axes.set_title(SIGNAL_ZH if language == "zh" else SIGNAL_EN, fontsize=9, color="0.35")
        axes.legend()
        plt.close(figure)
        return figure


def reasons_by_township(table: ReasonTable, township_code: Sequence[str], fewest: int = 30) -> pl.DataFrame:
    """How often each risk kind is the first of a household's kinds, by township. Townships under `fewest`
    households are left out.

    Columns: township_code, risk_kind, households, share.
    """
    first = [kinds.split(";")[0] or "none" for kinds in table.risk_kinds]
    frame = pl.DataFrame({"township_code": list(township_code), "risk_kind": first})
    counts = frame.group_by("township_code", "risk_kind").agg(households=pl.len())
    totals = frame.group_by("township_code").agg(total=pl.len()).filter(pl.col("total") >= fewest)
    joined = counts.join(totals, on="township_code").with_columns(
        share=pl.col("households") / pl.col("total")
    )
    return joined.drop("total").sort(
        "township_code", "households", "risk_kind", descending=[False, True, False]
    )


def reasons_by_township_plot(
    table: ReasonTable, township_code: Sequence[str], language: Language = "zh", fewest: int = 30
) -> Figure:
    """`reasons_by_township` as a table in colours: a row a township, a column a first risk kind, in it the
    per cent of the township's households.

    Raises DataError when no township has `fewest` households.
    """
    frame = reasons_by_township(table, township_code, fewest)
    if not frame.height:
        found = f"{len(table)} households in {len(set(township_code))} townships"
        raise DataError(
            Fault("townships", found, f"{fewest} households in at least one", "Take a larger cohort.")
        )
    with _plotting():
        from matplotlib import pyplot as plt

        language = spoken(language)
        towns = frame["township_code"].unique().sort().to_list()
        kinds = (
            frame.group_by("risk_kind")
            .agg(pl.col("households").sum())
            .sort("households", "risk_kind", descending=[True, False])
        )
        columns = kinds["risk_kind"].to_list()
        percent = np.zeros((len(towns), len(columns)))
        for town, kind, share in frame.select("township_code", "risk_kind", "share").iter_rows():
            percent[towns.index(town), columns.index(kind)] = 100 * share
        words = {
            kind: RISK_KINDS[kind][0 if language == "zh" else 1] for kind in columns if kind in RISK_KINDS
        }
        words["none"] = "无升高风险的理由" if language == "zh" else "nothing raises the risk"
        figure: Figure
        figure, axes = plt.subplots(
            figsize=(2.6 + 0.85 * len(columns), 2.4 + 0.36 * len(towns)), layout="constrained"
        )
        axes.imshow(percent, cmap="Blues", aspect="auto", vmin=0)
        for row, column in np.ndindex(*percent.shape):
            value = percent[row, column]
            axes.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if value > 0.6 * percent.max() else "0.2",
            )
        axes.set_xticks(range(len(columns)), [words[kind] for kind in columns], rotation=35, ha="right")
        axes.set_yticks(range(len(towns)), towns)
        title = (
            "首要风险类型占本乡镇农户的比例（%）"
            if language == "zh"
            else "first risk kind, per cent of the township's households"
        )
        axes.set_title(title, loc="left", fontsize=11)
        plt.close(figure)
        return figure


@contextmanager
def _plotting() -> Iterator[None]:
    """A backend without a screen, and a font that has the signs; labels fall back to English where there is
    none."""
    import matplotlib

    if matplotlib.get_backend(auto_select=False) is None:  # a notebook that chose its own keeps it
        matplotlib.use("Agg")
    font = chinese_font()
    settings: dict[str, Any] = {"axes.unicode_minus": False}
    if font:
        settings |= {
            "font.family": [font, "DejaVu Sans"]
        }  # by name: figures are often drawn after this block
    with matplotlib.rc_context(settings):
        yield
