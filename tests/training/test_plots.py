"""The pictures: in Chinese where a font is there, in English with a note where not; nothing lost, nothing
empty.
"""

from __future__ import annotations

import datetime as dt
import io
import warnings

import numpy as np
import polars as pl
import pytest

pytest.importorskip("matplotlib")

from riskmodel import fonts
from riskmodel.errors import DataError
from riskmodel.training import plots
from riskmodel.training.comparison import ModelComparison, compare_predictions
from riskmodel.training.fairness import GroupAudit, audit_groups


def predictions(noise: float) -> pl.DataFrame:
    chance = np.random.default_rng(1)
    households = 1500
    village = chance.integers(0, 40, households)
    truth = -3.5 + 1.2 * chance.normal(size=households)
    label = (chance.random(households) < 1 / (1 + np.exp(-truth))).astype(float)
    margin = truth + noise * np.random.default_rng(2).normal(size=households)
    table = {
        "household_id": np.arange(households).astype(str),
        "village_code": village.astype(str),
        "margin": margin,
        "label": label,
    }
    table |= {"probability": 1 / (1 + np.exp(-margin)), "remote": village % 3 == 0, "relocated": village == 1}
    return pl.DataFrame(table).with_columns(as_of=pl.lit(dt.date(2024, 1, 1)))


@pytest.fixture(scope="module")
def comparison() -> ModelComparison:
    tables = {
        "income_rule": predictions(3.0),
        "logistic_12m": predictions(0.8),
        "lightgbm_12m": predictions(0.5),
    }
    return compare_predictions(tables, capacities=[0.05, 100], draws=40)


@pytest.fixture(scope="module")
def audit() -> GroupAudit:
    return audit_groups(predictions(0.5), groups=["remote", "relocated"], capacity=0.1, draws=40)


REASONS = [
    {"zh": "近三个月无务工", "en": "no work for three months", "count": 30},
    {"zh": "自付医疗费用高", "en": "high self-paid medical cost", "count": 55},
]
FOLDS = [
    {
        "fold": 1,
        "part": "training",
        "as_of": [dt.date(2021, 1, 1), dt.date(2021, 7, 1)],
        "known_until": dt.date(2022, 8, 1),
    },
    {"fold": 1, "part": "calibration", "as_of": [dt.date(2022, 8, 1)], "known_until": dt.date(2023, 9, 1)},
    {"fold": 1, "part": "test", "as_of": [dt.date(2023, 9, 1)], "known_until": dt.date(2024, 10, 1)},
]


def every_picture(comparison: ModelComparison, audit: GroupAudit, language: str) -> dict[str, object]:
    return {
        "calibration": plots.calibration_plot(
            [comparison["lightgbm_12m"], comparison["logistic_12m"]], language=language
        ),  # type: ignore[arg-type]
        "recall": plots.recall_plot(comparison, capacity=0.05, language=language),  # type: ignore[arg-type]
        "reasons": plots.reasons_plot(REASONS, households=60, language=language),  # type: ignore[arg-type]
        "folds": plots.folds_plot(FOLDS, until=dt.date(2024, 12, 31), language=language),  # type: ignore[arg-type]
        "groups": plots.groups_plot(audit, language=language),  # type: ignore[arg-type]
        "forest": plots.forest_plot(comparison, language=language),  # type: ignore[arg-type]
    }


def words_of(figure: object) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_picture_draws_without_a_missing_glyph(
    comparison: ModelComparison, audit: GroupAudit, language: str
) -> None:
    for name, figure in every_picture(comparison, audit, language).items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # matplotlib warns of a glyph that no font has
            out = io.BytesIO()
            figure.savefig(out, format="png", dpi=50)  # type: ignore[attr-defined]
        assert out.tell() > 5000, name


def test_chinese_is_said_where_a_font_is_there(comparison: ModelComparison, audit: GroupAudit, needs) -> None:
    needs(fonts.chinese_font(), "a Chinese font (Debian's package `fonts-noto-cjk`)")
    for name, figure in every_picture(comparison, audit, "zh").items():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in words_of(figure)), name


def test_a_font_installed_after_matplotlib_made_its_list_of_fonts_is_found(
    monkeypatch: pytest.MonkeyPatch, needs
) -> None:
    needs(fonts.chinese_font(), "a Chinese font (Debian's package `fonts-noto-cjk`)")
    from matplotlib import font_manager

    manager = font_manager.fontManager
    latin = [font for font in manager.ttflist if "DejaVu" in font.name]
    monkeypatch.setattr(manager, "ttflist", latin)
    fonts._add_newly_installed.cache_clear()
    assert fonts.chinese_font() in fonts.CHINESE_FONTS


def test_without_a_chinese_font_the_picture_is_english_and_says_so(
    comparison: ModelComparison, audit: GroupAudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "chinese_font", lambda: None)
    for name, figure in every_picture(comparison, audit, "zh").items():
        said = words_of(figure)
        assert plots.NO_FONT in said, name
        assert not any("\u4e00" <= letter <= "\u9fff" for letter in said), name


def test_every_word_stands_in_both_languages() -> None:
    for key, (zh, en) in plots.WORDS.items():
        assert zh and en, key
        assert any("\u4e00" <= letter <= "\u9fff" for letter in zh) or key == "at", key


def test_the_recall_picture_names_every_model_and_visits_by_chance(comparison: ModelComparison) -> None:
    said = words_of(plots.recall_plot(comparison, capacity=75, language="en"))
    for name in (*comparison.names, "visits by chance", "capacity 75"):
        assert name in said


def test_a_group_that_is_too_small_is_shown_as_such(audit: GroupAudit) -> None:
    assert "insufficient" in words_of(plots.groups_plot(audit, language="en"))


def test_the_most_frequent_reason_stands_on_top() -> None:
    axes = plots.reasons_plot(REASONS, households=60, language="en").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "high self-paid medical cost"


def test_colours_are_never_the_only_difference_between_models() -> None:
    looks = [(plots.LINES[place], plots.MARKERS[place]) for place in range(len(plots.MODEL_COLOURS))]
    assert (
        len({line for line, _ in looks}) == len({marker for _, marker in looks}) == len(plots.MODEL_COLOURS)
    )


def test_what_cannot_be_drawn_is_said(comparison: ModelComparison) -> None:
    with pytest.raises(DataError, match="at least one topic"):
        plots.reasons_plot([])
    with pytest.raises(DataError, match="part 'tuning'"):
        plots.folds_plot([{"fold": 1, "part": "tuning", "as_of": [dt.date(2024, 1, 1)]}])
    bare = compare_predictions({"rule": predictions(1.0).drop("probability")}, capacities=[0.05], draws=10)
    with pytest.raises(DataError, match="no probabilities"):
        plots.calibration_plot(bare["rule"])
    with pytest.raises(DataError, match="at least two"):
        plots.forest_plot(bare)
