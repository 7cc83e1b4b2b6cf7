"""What changed: against an earlier scoring, which of a household's circumstances moved it up or down.

From two scorings of a county (`what_changed`, which compares every feature), or from what was kept of two
scorings of one household (`HouseholdScoring`, `moved_between`, which compare the reasons given then and now).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.features.catalogue import Feature
from riskmodel.screening import wording
from riskmodel.screening.reasons import LEAST, Reason, ReasonTable
from riskmodel.screening.wordbook import NEVER_A_REASON
from riskmodel.screening.wording import Language

if TYPE_CHECKING:
    from riskmodel.screening.scoring import Scores

Floats = npt.NDArray[np.float64]
MOST: Final = 3
STILL: Final = (
    0.1  # of the margin: a tenth more or less of the odds is no move that anybody should hear about
)
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
MOVED: Final[Mapping[str, tuple[str, str]]] = {
    "up": ("上升", "moved up"),
    "down": ("下降", "moved down"),
    "same": ("基本不变", "hardly moved"),
    "new": ("本次新列入评分", "scored for the first time"),
    "left": ("本次不再评分", "not scored this time"),
}


_UNEXPLAINED: Final = ("记录中没有可说明的变化", "no recorded change explains it")


@dataclass(frozen=True)
class HouseholdScoring:
    """What is kept of one scoring of one household, so that a later one can be compared with it.

    margin: the raw margin, by which moves are measured; it is not shown. reasons: those given then.
    """

    household_id: str
    as_of: dt.date
    horizon_months: int
    model_version: str
    margin: float
    probability: float
    rank: int
    reasons: tuple[Reason, ...]

    @classmethod
    def of(cls, scores: Scores, household_id: str) -> HouseholdScoring:
        """From a scoring. Raises DataError for a household that was not scored."""
        place = scores.place(household_id)
        return cls(
            household_id=household_id,
            as_of=scores.as_of,
            horizon_months=scores.horizon,
            model_version=scores.model_version,
            margin=float(scores.margin[place]),
            probability=float(scores.probability[place]),
            rank=int(scores.rank[place]),
            reasons=tuple(scores.table.of(place)),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: plain text, numbers and lists; the date as YYYY-MM-DD. `from_dict` reads it back."""
        reasons = [reason.as_dict() for reason in self.reasons]
        return {**self.__dict__, "as_of": self.as_of.isoformat(), "reasons": reasons}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> HouseholdScoring:
        """What `as_dict` gave, from JSON too."""
        reasons = tuple(Reason.from_dict(reason) for reason in stored["reasons"])
        return cls(**{**stored, "as_of": dt.date.fromisoformat(stored["as_of"]), "reasons": reasons})


@dataclass(frozen=True)
class Move:
    """What became of one household between two scorings. moved: a key of MOVED. changes: up to three,
    heaviest first, in both languages."""

    household_id: str
    moved: str
    changes_zh: tuple[str, ...]
    changes_en: tuple[str, ...]

    @property
    def way(self) -> tuple[str, str]:
        """How it moved, in zh and en."""
        return MOVED[self.moved]

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """What moved it, each in zh and en; where it moved without a recorded change, that none explains
        it."""
        if self.moved in ("up", "down") and not self.changes_zh:
            return (_UNEXPLAINED,)
        return tuple(zip(self.changes_zh, self.changes_en, strict=True))

    def text(self, language: Language) -> str:
        """One line: how it moved, and what moved it."""
        return move_text(self.moved, wording.join(getattr(self, f"changes_{language}"), language), language)


def move_text(moved: str, changes: str, language: Language) -> str:
    """How a household moved and what moved it, in one line; without changes, that no recorded value explains
    it."""
    way = MOVED[moved][0 if language == "zh" else 1]
    if moved in ("up", "down") and not changes:
        changes = _UNEXPLAINED[0 if language == "zh" else 1]
    return way + (("：" if language == "zh" else ": ") + changes if changes else "")


def moved_between(before: HouseholdScoring | None, now: HouseholdScoring | None) -> Move:
    """What moved a household between two kept scorings; None where it was not scored. See `what_changed` for
    `moved`.

    A reason that is new, gone or has another value is a change, if its direction is that of the household's
    move. Raises DataError for different households, models or horizons, and when both are None.
    """
    some = now or before
    if some is None:
        raise DataError(
            Fault("scorings", "neither", "at least one scoring of the household", "Score it first.")
        )
    if before is None or now is None:
        return Move(some.household_id, "new" if before is None else "left", (), ())
    if before.household_id != now.household_id:
        raise DataError(
            Fault(
                "household",
                f"{before.household_id}, then {now.household_id}",
                "one household",
                "Compare like with like.",
            )
        )
    _refuse_unlike((before.model_version, before.horizon_months), (now.model_version, now.horizon_months))
    direction = _direction(now.margin - before.margin)
    old, new = ({reason.topic: reason for reason in scoring.reasons} for scoring in (before, now))
    gains = {
        topic: direction
        * ((new[topic].weight if topic in new else 0.0) - (old[topic].weight if topic in old else 0.0))
        for topic in {**new, **old}
    }
    changes: list[tuple[str, str]] = []
    for topic in sorted(gains, key=lambda topic: (-gains[topic], topic)):
        if direction == 0 or gains[topic] < LEAST or len(changes) == MOST:
            break
        words = _of_reasons(old.get(topic), new.get(topic), direction)
        if words is not None:
            changes.append(words)
    return Move(
        now.household_id, _WAYS[direction], tuple(zh for zh, _ in changes), tuple(en for _, en in changes)
    )


def _of_reasons(old: Reason | None, new: Reason | None, direction: int) -> tuple[str, str] | None:
    """A reason that is new, gone or changed, in both languages; None where it does not explain the move."""
    if new is None:
        assert old is not None
        zh, en = _GONE[old.raises]
        return zh + old.zh, en + old.en
    pulls = new.raises == (direction > 0)
    if old is None or old.raises != new.raises:
        zh, en = _CAME[new.raises]
        return (zh + new.zh, en + new.en) if pulls else None
    if old.feature != new.feature:
        return (_NOW[0] + new.zh, _NOW[1] + new.en) if pulls else None
    if new.manner in ("change", "since", "age") or not _fits(
        new.reason_when, float(np.sign(new.value - old.value)), direction
    ):
        return None
    if old.value * new.value < 0:
        return _NOW[0] + new.zh, _NOW[1] + new.en
    zh, en = (
        last_time(new.unit, new.manner, old.value, new.value, language) for language in wording.LANGUAGES
    )
    return (new.zh + zh, new.en + en) if zh else None


# raises -> words before a reason that is new (gone), zh and en
_CAME: Final = {True: ("新出现：", "new: "), False: ("新的有利情况：", "now in its favour: ")}
_GONE: Final = {
    True: ("不再突出：", "no longer stands out: "),
    False: ("有利情况不再突出：", "no longer in its favour: "),
}
_NOW: Final = ("现在：", "now: ")


def last_time(unit: str, manner: str, old: float, new: float, language: Language) -> str:
    """The former value, as a suffix of the sentence about the new one: （上次605元）, (605 yuan last time).

    Empty where both are equal after rounding, and where the two sentences are not comparable: a loss and a
    gain, a share of nothing.
    """
    first, second = (float(wording.shown(value, unit)) for value in (old, new))
    if first == second or first * second < 0 or (second == 0 and unit in wording.PARTS):
        return ""
    write_part = wording.part if unit in wording.PARTS and manner != "uncompared" else None
    before, now = (
        write_part(abs(value), language)
        if write_part
        else wording.briefly(abs(value), unit, manner, language)
        for value in (first, second)
    )
    if before == now:
        return ""
    if first == 0 and manner != "uncompared":
        before = "为零" if language == "zh" else "nil"
    return f"（上次{before}）" if language == "zh" else f" ({before} last time)"


def what_changed(previous: Scores, current: Scores) -> pl.DataFrame:
    """For each household of either scoring, what moved it. One row a household, sorted by household_id.

    moved: `up`, `down`, `same` (margin within 0.1), `new` (not scored before), `left` (not scored now).
    changes_zh, changes_en: up to three changes of its circumstances in the direction in which it moved,
    heaviest first; empty where no recorded value explains the move. Probabilities and ranks are missing where
    the household was not scored. Raises DataError when the scorings are by different models or horizons: then
    a change of the model, not of the household, may be what moved it.
    """
    _refuse_unlike((previous.model_version, previous.horizon), (current.model_version, current.horizon))
    before, now = previous.table, current.table
    there = {str(name): place for place, name in enumerate(previous.matrix.household_id)}
    both_now = np.array(
        [place for place, name in enumerate(current.matrix.household_id) if str(name) in there], np.intp
    )
    both_before = np.array([there[str(current.matrix.household_id[place])] for place in both_now], np.intp)
    ids = [str(current.matrix.household_id[place]) for place in both_now]
    step = current.margin[both_now] - previous.margin[both_before]
    direction = np.array([_direction(part) for part in step], np.int64)
    zh, en = _changes(before, now, both_before, both_now, direction)
    moves: dict[str, dict[str, Any]] = {
        name: {"moved": _WAYS[int(way)], "changes_zh": first, "changes_en": second}
        for name, way, first, second in zip(ids, direction, zh, en, strict=True)
    }
    rows = []
    old = {
        row["household_id"]: row
        for row in previous.frame.select("household_id", "probability", "rank").iter_rows(named=True)
    }
    new = {
        row["household_id"]: row
        for row in current.frame.select("household_id", "probability", "rank").iter_rows(named=True)
    }
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
            | moves.get(name, {})
        )
    return pl.DataFrame(rows, schema=SCHEMA)


_WAYS: Final = {1: "up", -1: "down", 0: "same"}


def _direction(step: float) -> int:
    return 1 if step > STILL else -1 if step < -STILL else 0


def _refuse_unlike(before: tuple[str, int], now: tuple[str, int]) -> None:
    """Raises DataError when model version or horizon differ."""
    faults = []
    if before[0] != now[0]:
        faults.append(
            Fault(
                "model",
                f"{before[0]}, then {now[0]}",
                "one model for both scorings",
                (
                    "Score the earlier day again with the model in force: `load_model().score(tables, "
                    "earlier_day)`."
                ),
            )
        )
    if before[1] != now[1]:
        faults.append(
            Fault(
                "horizon",
                f"{before[1]}, then {now[1]} months",
                "one horizon",
                "Score both with the same horizon.",
            )
        )
    if faults:
        raise DataError(faults)


def _fits(reason_when: tuple[str, ...], way: float, direction: int) -> bool:
    """Whether a value that rose (way 1) or fell (-1) can explain a move up (1) or down (-1), by the
    directions in which its values are reasons."""
    riskier = {"high_raises": 1, "low_lowers": 1, "low_raises": -1, "high_lowers": -1}
    return any(way * riskier[when] * direction > 0 for when in reason_when)


def _changes(
    before: ReasonTable,
    now: ReasonTable,
    rows_before: npt.NDArray[np.intp],
    rows_now: npt.NDArray[np.intp],
    direction: npt.NDArray[np.int64],
) -> tuple[list[str], list[str]]:
    """What changed, in zh and en, for the households of both tables: two lists of length m.

    rows_before, rows_now: (m,), each household's row in the two tables. direction: (m,), 1 up, -1 down, 0.
    """
    entries = [now.wordbook.catalogue[name] for name in now.names]
    old, new = before.values[rows_before], now.values[rows_now]
    gained = (now.contributions[rows_now] - before.contributions[rows_before]) * direction[:, None]
    # A change explains a move only if its direction is a reason for it; a value that became known or unknown
    # does not.
    rose, fell = (
        np.array([[_fits(entry.reason_when, way, side) for entry in entries] for side in (-1, 0, 1)])
        for way in (1, -1)
    )
    fits = np.where(new > old, rose[direction + 1], np.where(new < old, fell[direction + 1], False))
    # Time passes for everybody: that something is longer ago is no change, that it happened again is one. A
    # change of a feature that itself measures change is left out.
    manners = np.array([entry.manner for entry in entries])
    fits &= ~(np.isin(manners, ("since", "age")) & (new > old)) & (manners != "change")
    fits &= np.array(
        [entry.family not in NEVER_A_REASON and entry.riskier_when != "unclear" for entry in entries]
    )
    fits &= ~(now.few[rows_now][:, None] & np.array([entry.family == "area" for entry in entries]))
    weight = np.where(fits, gained, 0.0)
    texts: dict[Language, list[str]] = {"zh": [], "en": []}
    for row in range(len(rows_now)):
        places: dict[str, int] = {}
        if (weight[row] >= LEAST).any():
            for place in np.argsort(-weight[row], kind="stable"):
                if weight[row, place] < LEAST or len(places) == MOST:
                    break
                entry, first, second = entries[place], float(old[row, place]), float(new[row, place])
                # once a topic, and not the whole beside its part
                covered = any(
                    entry.topic == entries[other].topic
                    or entry.topic in entries[other].covers
                    or topic in entry.covers
                    for topic, other in places.items()
                )
                if not covered and _change(entry, first, second, "en"):
                    places[entry.topic] = int(place)
        for language in wording.LANGUAGES:
            parts = [
                _change(entries[place], float(old[row, place]), float(new[row, place]), language)
                for place in places.values()
            ]
            texts[language].append(wording.join(parts, language))
    return texts["zh"], texts["en"]


def _change(entry: Feature, old: float, new: float, language: Language) -> str:
    """The change of one value as a phrase; empty where both are equal after rounding, or one is unknown."""
    if math.isnan(old) or math.isnan(new):
        return ""
    how, zh = entry.manner, language == "zh"
    first, second = (float(wording.shown(value, entry.unit)) for value in (old, new))
    now, before = (wording.sentence(entry, value, language) for value in (second, first))
    if not zh:
        now, before = (text[:1].lower() + text[1:] for text in (now, before))
    if now == before:
        return ""
    if first * second < 0:
        return f"{now}（上次：{before}）" if zh else f"{now} (last time: {before})"
    if entry.unit in ("flag", "level") or how == "since" or (second == 0 and entry.unit in wording.PARTS):
        return _NOW[0 if zh else 1] + now
    was = last_time(entry.unit, how, old, new, language)
    return now + was if was else ""
