"""What changed: against an earlier scoring, which of a household's circumstances moved it up or down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.screening import wording
from riskmodel.screening.reasons import LEAST, UNTOLD, ReasonTable
from riskmodel.screening.wording import Language

if TYPE_CHECKING:
    from riskmodel.screening.scoring import Scores

Floats = npt.NDArray[np.float64]
MOST: Final = 3
SCHEMA: Final = {
    "household_id": pl.String,
    "moved": pl.String,
    "probability_before": pl.Float64,
    "probability_now": pl.Float64,
    "rank_before": pl.Int64,
    "rank_now": pl.Int64,
    "changes_zh": pl.String,
    "changes_en": pl.String,
}


def what_changed(previous: Scores, current: Scores) -> pl.DataFrame:
    """For each household of either scoring, what moved it. One row a household, sorted by household_id.

    moved: `up`, `down`, `same` (margin within 0.02), `new` (not scored before), `left` (not scored now). changes_zh, changes_en: up to three changes of
    its circumstances in the direction in which it moved, heaviest first; empty where no recorded value explains the move. Probabilities and
    ranks are missing where the household was not scored. Raises DataError when the scorings are by different models or horizons: then a
    change of the model, not of the household, may be what moved it.
    """
    faults = []
    if previous.model_version != current.model_version:
        faults.append(
            Fault(
                "model", f"{previous.model_version}, then {current.model_version}", "one model for both scorings",
                "Score the earlier day again with the model in force: `load_model().score(tables, earlier_day)`.",
            )
        )  # fmt: skip
    if previous.horizon != current.horizon:
        faults.append(
            Fault(
                "horizon",
                f"{previous.horizon}, then {current.horizon} months",
                "one horizon",
                "Score both with the same horizon.",
            )
        )
    if faults:
        raise DataError(faults)
    before, now = previous.table, current.table
    there = {str(name): place for place, name in enumerate(previous.matrix.household_id)}
    both_now = np.array([place for place, name in enumerate(current.matrix.household_id) if str(name) in there], np.intp)
    both_before = np.array([there[str(current.matrix.household_id[place])] for place in both_now], np.intp)
    margin = {str(name): value for name, value in previous.frame.select("household_id", "margin").iter_rows()}
    margin_now = {str(name): value for name, value in current.frame.select("household_id", "margin").iter_rows()}
    ids = [str(current.matrix.household_id[place]) for place in both_now]
    step = np.array([margin_now[name] - margin[name] for name in ids])
    direction = np.where(step > LEAST, 1, np.where(step < -LEAST, -1, 0))
    zh, en = _changes(before, now, both_before, both_now, direction)
    words = {1: "up", -1: "down", 0: "same"}
    told: dict[str, dict[str, Any]] = {
        name: {"moved": words[int(way)], "changes_zh": first, "changes_en": second}
        for name, way, first, second in zip(ids, direction, zh, en, strict=True)
    }
    rows = []
    old = {row["household_id"]: row for row in previous.frame.select("household_id", "probability", "rank").iter_rows(named=True)}
    new = {row["household_id"]: row for row in current.frame.select("household_id", "probability", "rank").iter_rows(named=True)}
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        rows.append(
            {
                "household_id": name,
                "moved": "new" if a is None else "left",
                "probability_before": a and a["probability"],
                "probability_now": b and b["probability"],
                "rank_before": a and a["rank"],
                "rank_now": b and b["rank"],
                "changes_zh": "",
                "changes_en": "",
            }
            | told.get(name, {})
        )
    return pl.DataFrame(rows, schema=SCHEMA)


def _changes(
    before: ReasonTable,
    now: ReasonTable,
    rows_before: npt.NDArray[np.intp],
    rows_now: npt.NDArray[np.intp],
    direction: npt.NDArray[np.int64],
) -> tuple[list[str], list[str]]:
    """Texts in both languages for households that stand in both tables."""
    catalogue = now.wordbook.catalogue
    old, new = before.values[rows_before], now.values[rows_now]
    gained = now.contributions[rows_now] - before.contributions[rows_before]
    altered = (old != new) & ~(np.isnan(old) & np.isnan(new))
    # A change speaks for a move only if it goes the way that the catalogue declares.
    riskier = np.array([{"higher": 1, "lower": -1, "unclear": 0}[catalogue[name].riskier_when] for name in now.names])
    with np.errstate(invalid="ignore"):
        way = np.sign(new - old)
    fits = (riskier == 0) | np.isnan(way) | (way * riskier * direction[:, None] > 0)
    tellable = np.array([catalogue[name].family not in UNTOLD for name in now.names])
    weight = np.where(altered & fits & tellable, gained * direction[:, None], 0.0)
    texts: dict[Language, list[str]] = {"zh": [], "en": []}
    for row in range(len(rows_now)):
        said: list[int] = []
        topics: set[str] = set()
        for place in np.argsort(-weight[row], kind="stable"):
            if weight[row, place] < LEAST or len(said) == MOST:
                break
            topic = catalogue[now.names[place]].topic
            if topic not in topics and _shown(now, place, old[row, place]) != _shown(now, place, new[row, place]):
                topics.add(topic)
                said.append(int(place))
        for language in wording.LANGUAGES:
            parts = [_change(now, place, old[row, place], new[row, place], language) for place in said]
            texts[language].append(wording.join(parts, language))
    return texts["zh"], texts["en"]


def _shown(table: ReasonTable, place: int, value: float) -> str:
    return wording.format_value(float(value), table.wordbook.catalogue[table.names[place]].unit, "en")


def _change(table: ReasonTable, place: int, old: float, new: float, language: Language) -> str:
    entry = table.wordbook.catalogue[table.names[place]]
    label = getattr(entry.label, language)
    first, second = (wording.format_value(float(value), entry.unit, language) for value in (old, new))
    return f"{label}由{first}变为{second}" if language == "zh" else f"{label}: from {first} to {second}"
