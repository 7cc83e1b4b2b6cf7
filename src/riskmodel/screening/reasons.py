"""Reasons: from a score's contributions to sentences of the catalogue that explain it.

Contributions are summed over the features of a topic (features about the same thing), and one feature gives
the sentence; then they are summed over risk kinds. A household gets three to five topics that raise the risk
and up to two that lower it. The catalogue declares for each feature which values may be reasons (`tell`, else
`riskier_when`; none where the direction is unclear). A value that may not, is unknown, is shared by nearly
everybody or is an ordinary amount is skipped: the next feature of its topic is taken, or the topic is left
out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.features.catalogue import Feature
from riskmodel.screening import wording
from riskmodel.screening.reason_kernels import (
    Chosen,
    Limits,
    choose_reasons,
    kinds_in_order,
    summed,
)
from riskmodel.screening.reference import BEYOND, FEWEST, Reference
from riskmodel.screening.wordbook import KINDS, Wordbook, main_source
from riskmodel.screening.wording import Language, ReasonText

Floats = npt.NDArray[np.float64]


MOST_RAISING: Final = 5
ALWAYS_RAISING: Final = 3  # a fourth and fifth reason must carry their share of what raises the score
SHARE_RAISING: Final = 0.08
MOST_LOWERING: Final = 2
SHARE_LOWERING: Final = 0.15
LEAST: Final = 0.02  # of the margin: below it a topic did not move the score in a way worth a sentence
PLACES: Final = MOST_RAISING + MOST_LOWERING
COMMON: Final = 0.75  # what so many of the neighbours share is no reason
FEW: Final = 200  # households whose sentences are written one by one
LEVELS: Final = ("", "township", "county")
LIMITS: Final = Limits(
    fewest=FEWEST,
    beyond=BEYOND,
    common=COMMON,
    most_raising=MOST_RAISING,
    always_raising=ALWAYS_RAISING,
    share_raising=SHARE_RAISING,
    most_lowering=MOST_LOWERING,
    share_lowering=SHARE_LOWERING,
    least=LEAST,
)


_STORED_AS: Final = "told"  # the key of `reason_when` in what is stored


@dataclass(frozen=True)
class Reason:
    """One reason, self-contained: it can be stored and read again without catalogue and tables.

    raises: it raised the score. strength: its share of all contributions to this score, from 0 to 1. weight:
    its topic's contribution to the margin (below 0: lowers it), to compare two scorings; neither is shown to
    a visitor. level: the area it was compared with (township, county or nothing). feature: the catalogue's
    key. reason_when: which values are a reason (the catalogue's `tell`). manner: how values are written and
    compared (`features.catalogue.Manner`).
    """

    raises: bool
    risk_kind: str
    topic: str
    zh_parts: ReasonText
    en_parts: ReasonText
    value: float
    unit: str
    strength: float
    level: str
    sources: tuple[str, ...]
    feature: str
    weight: float
    reason_when: tuple[str, ...]
    manner: str

    @property
    def zh(self) -> str:
        """The whole sentence in Chinese."""
        return self.zh_parts.joined("zh")

    @property
    def en(self) -> str:
        """The whole sentence in English."""
        return self.en_parts.joined("en")

    def as_dict(self) -> dict[str, Any]:
        """For JSON: plain text, numbers and lists. `from_dict` reads it back."""
        lists = {name: list(getattr(self, name)) for name in ("zh_parts", "en_parts", "sources")}
        stored = {**self.__dict__, **lists, _STORED_AS: list(self.reason_when)}
        del stored["reason_when"]
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Reason:
        """What `as_dict` gave, from JSON too. Raises DataError for keys that are missing or foreign."""
        wanted = {item.name for item in fields(cls)} - {"reason_when"} | {_STORED_AS}
        stored = dict(stored)
        for language in wording.LANGUAGES:  # an older version kept the sentence as one text
            whole = stored.pop(language, None)
            if whole is not None:
                stored.setdefault(f"{language}_parts", [whole])
        if wanted != stored.keys():
            wrong = ", ".join(sorted(wanted ^ stored.keys()))
            raise DataError(
                Fault(
                    "stored reason",
                    f"missing or foreign: {wrong}",
                    ", ".join(sorted(wanted)),
                    "Score the household again.",
                )
            )
        for name in ("zh_parts", "en_parts"):
            stored[name] = ReasonText(*stored[name])
        stored["sources"] = tuple(stored["sources"])
        stored["reason_when"] = tuple(stored.pop(_STORED_AS))
        return cls(**stored)


@dataclass(frozen=True)
class ReasonTable:
    """The reasons of n households, as indices and codes; texts are made on demand.

    feature, side, percent, level: shape (n, 7), first five raising, then two lowering; feature -1: no reason;
    partner: a second feature of the topic in the same sentence (an amount with its share of income), or -1.
    topics: shape (n, topics), kinds: shape (n, 11): summed contributions to the margin. contributions,
    values: shape (n, p), as explained. few: shape (n,), whether the village is too small to give reasons
    about neighbours. stale_days: source -> shape (n,), days since its newest row where that is too long ago,
    else 0. absent: sources from which the county delivered nothing.
    """

    wordbook: Wordbook
    names: tuple[str, ...]
    as_of: dt.date
    contributions: Floats
    values: Floats
    few: npt.NDArray[np.bool_]
    feature: npt.NDArray[np.int16]
    side: npt.NDArray[np.int8]
    percent: npt.NDArray[np.int8]
    level: npt.NDArray[np.int8]
    partner: npt.NDArray[np.int16]
    topic_names: tuple[str, ...]
    topics: Floats
    kinds: Floats
    data_dates: Mapping[str, dt.date]
    stale_days: Mapping[str, npt.NDArray[np.int32]]
    absent: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.feature)

    @cached_property
    def _tail_days(self) -> npt.NDArray[np.int32]:
        """The note on the data behind each reason, shape (n, 7): -1 none, 0 their date, else the days since
        they were last updated.

        A source is noted once a household, with the first reason that uses it.
        """
        arrays = self.wordbook.arrays(self.names)
        source = np.append(arrays.source, -1)[self.feature]
        dated = np.array([0 if name in self.data_dates else -1 for name in arrays.sources] + [-1], np.int32)
        days: npt.NDArray[np.int32] = dated[source]
        for name, stale in self._stale_steps.items():
            if name in arrays.sources:
                hit = (source == arrays.sources.index(name)) & (stale > 0)[:, None]
                days[hit] = np.broadcast_to(stale[:, None], hit.shape)[hit]
        for slot in range(1, PLACES):
            days[(source[:, :slot] == source[:, slot, None]).any(axis=1), slot] = -1
        return days

    @cached_property
    def _stale_steps(self) -> dict[str, npt.NDArray[np.int32]]:
        """Source -> days since its newest row, rounded for display, shape (n,); 0 where it is fresh
        enough."""
        return {name: _in_steps(days) for name, days in self.stale_days.items()}

    def _parts(self, cells: npt.NDArray[np.intp], place: int, language: Language) -> pl.DataFrame:
        """The sentences of one feature for some cells (positions in `feature`, flattened), a column each
        part.

        Each different piece is written once.
        """
        entry = self.wordbook.catalogue[self.names[place]]
        rows = cells // PLACES
        values = wording.shown(self.values[rows, place], entry.unit)
        side, percent, level = (
            part.ravel()[cells].astype(np.int64) for part in (self.side, self.percent, self.level)
        )
        below_zero = (values < 0) & (getattr(entry.sentence, language).negative is not None)
        manner = entry.manner
        code = (((side + 1) * 101 + percent) * 3 + level) * 2 + below_zero

        def compare(number: int) -> str:
            number, below = divmod(number, 2)
            number, area = divmod(number, 3)
            way, share = divmod(number, 101)
            return wording.compare(
                way - 1, share, LEVELS[area], language, manner=manner, below_zero=bool(below)
            )

        comparison = _written(code, compare)
        source = main_source(entry, self.wordbook.sources)
        days = self._tail_days.ravel()[cells]
        tail = _written(days, lambda since: self._tail(source, int(since), language))
        nothing = pl.repeat("", len(tail), dtype=pl.String, eager=True)
        stale = pl.Series(days > 0)
        alone = _written(values, lambda value: wording.sentence(entry, float(value), language))
        partner = self.partner.ravel()[cells].astype(np.int64)
        other = int(
            partner.max(initial=-1)
        )  # a feature has one partner: the amount of a share, or the share of an amount
        parts = pl.DataFrame(
            {
                "statement": alone,
                "comparison": comparison,
                "addition": "",
                "data": nothing.zip_with(stale, tail),
                "gap": tail.zip_with(stale, nothing),
            }
        )
        if other < 0:
            return parts
        second_entry = self.wordbook.catalogue[self.names[other]]
        second = wording.shown(self.values[rows, other], second_entry.unit)
        between = wording.BETWEEN[language]
        paired = pl.Series(partner >= 0)
        if entry.amount == self.names[other]:  # the amount first, then the share that is compared
            amount = _written(
                second, lambda value: wording.sentence(second_entry, float(value), language) + between
            )
            share = _written(values, lambda value: wording.after(entry, float(value), language))
            return parts.with_columns(statement=(amount + share).zip_with(paired, alone))
        share = _written(second, lambda value: wording.after(second_entry, float(value), language))
        return parts.with_columns(addition=share.zip_with(paired, parts["addition"]))

    @cached_property
    def _cells(self) -> list[tuple[int, int, int, int, float, float, int, int, int, int]]:
        """Every reason as numbers: row, slot, feature, partner, their two values (rounded for display), side,
        percent, level, days of its data."""
        rows, slots = np.nonzero(self.feature >= 0)
        place, partner = self.feature[rows, slots], self.partner[rows, slots]
        rounding = self.wordbook.arrays(self.names).rounding
        value = wording.shown_each(self.values[rows, place], rounding[place])
        second = np.where(partner >= 0, self.values[rows, partner], 0.0)
        second = wording.shown_each(second, rounding[partner])
        parts = (
            rows,
            slots,
            place,
            partner,
            value,
            second,
            self.side[rows, slots],
            self.percent[rows, slots],
            self.level[rows, slots],
        )
        return list(
            zip(*(part.tolist() for part in parts), self._tail_days[rows, slots].tolist(), strict=True)
        )

    def texts_by_slot(self, language: Language) -> list[list[ReasonText | None]]:
        """The reasons in their parts: n lists of seven, None where there is no reason."""
        if (
            len(self) <= FEW
        ):  # without the machinery for columns, which costs as much as some hundred sentences
            return self._one_by_one(language)
        columns = [
            [None if row[0] is None else ReasonText(*row) for row in frame.rows()]
            for frame in self.part_columns(language)
        ]
        return [list(row) for row in zip(*columns, strict=True)]

    def _one_by_one(self, language: Language) -> list[list[ReasonText | None]]:
        arrays = self.wordbook.arrays(self.names)
        texts: list[list[ReasonText | None]] = [[None] * PLACES for _ in range(len(self))]
        between = wording.BETWEEN[language]
        negative = arrays.negative[language]
        for row, slot, place, partner, value, second, side, percent, level, days in self._cells:
            below_zero = value < 0 and negative[place]
            comparison = wording.compare(
                side,
                percent,
                LEVELS[level],
                language,
                manner=arrays.entries[place].manner,
                below_zero=below_zero,
            )
            tail = self._tail(arrays.sources[arrays.source[place]] if days >= 0 else "", days, language)
            addition = ""
            if partner < 0:
                statement = arrays.piece(place, value, language, "sentence")
            elif arrays.entries[place].amount == self.names[partner]:
                # the amount first, then the share that is compared
                first = arrays.piece(partner, second, language, "sentence")
                statement = first + between + arrays.piece(place, value, language, "after")
            else:
                statement = arrays.piece(place, value, language, "sentence")
                addition = arrays.piece(partner, second, language, "after")
            texts[row][slot] = ReasonText(
                statement=statement,
                comparison=comparison,
                addition=addition,
                data="" if days > 0 else tail,
                gap=tail if days > 0 else "",
            )
        return texts

    def _tail(self, source: str, days: int, language: Language) -> str:
        """The date of the data (days 0), or for how long they have not been renewed; nothing for -1."""
        if days < 0 or not source:
            return ""
        return _data_tail(
            getattr(self.wordbook.sources[source].label, language),
            None if days else self.data_dates[source],
            days,
            language,
        )

    def _columns(self, language: Language) -> list[pl.Series]:
        """One series a place in `feature`: its whole sentence, or nothing."""
        if len(self) <= FEW:
            texts = self.texts_by_slot(language)
            whole = [[text and text.joined(language) for text in row] for row in texts]
            return [pl.Series([row[slot] for row in whole], dtype=pl.String) for slot in range(PLACES)]
        return [_joined(frame, language) for frame in self.part_columns(language)]

    def part_columns(self, language: Language) -> list[pl.DataFrame]:
        """One frame a place in `feature`, with the columns of ReasonText; null where there is no reason."""
        chosen = self.feature.T.ravel()
        order = np.argsort(chosen, kind="stable")
        edges = np.searchsorted(chosen[order], np.arange(len(self.names) + 1))
        nothing = pl.repeat(None, int(edges[0]), dtype=pl.String, eager=True)
        flat = [pl.DataFrame(dict.fromkeys(ReasonText._fields, nothing))]
        slots, rows = np.divmod(order, max(len(self), 1))
        for place in range(len(self.names)):
            part = slice(int(edges[place]), int(edges[place + 1]))
            if part.start < part.stop:
                flat.append(self._parts(rows[part] * PLACES + slots[part], place, language))
        back = np.empty(len(order), np.uint32)
        back[order] = np.arange(len(order), dtype=np.uint32)
        whole = pl.concat(flat)[back]
        return [whole.slice(slot * len(self), len(self)) for slot in range(PLACES)]

    def sentences(self, language: Language) -> npt.NDArray[np.object_]:
        """Shape (n, 7): one sentence a reason, empty text where there is none."""
        if (
            len(self) <= FEW
        ):  # without the machinery for columns, which costs as much as some hundred sentences
            texts = self.texts_by_slot(language)
            whole = [[text.joined(language) if text else "" for text in row] for row in texts]
            return np.array(whole, dtype=object).reshape(len(self), PLACES)
        columns = [column.fill_null("").to_list() for column in self._columns(language)]
        return np.array(columns, dtype=object).reshape(PLACES, len(self)).T

    def texts(self, language: Language) -> list[str]:
        """All reasons of each household in one line, raising first."""
        return self.text_column(language).to_list()

    def text_column(self, language: Language) -> pl.Series:
        """The same as a column."""
        between, turn, end = (
            ("；", "。另一方面：", "。") if language == "zh" else (". ", ". On the other hand: ", ".")
        )
        frame = pl.DataFrame({f"{slot}": column for slot, column in enumerate(self._columns(language))})
        up = pl.concat_str([f"{slot}" for slot in range(MOST_RAISING)], separator=between, ignore_nulls=True)
        down = pl.concat_str(
            [f"{slot}" for slot in range(MOST_RAISING, PLACES)], separator=between, ignore_nulls=True
        )
        up = pl.when(up == "").then(pl.lit(NOTHING[language])).otherwise(up)
        whole = up + pl.when(down == "").then(pl.lit("")).otherwise(pl.lit(turn) + down) + pl.lit(end)
        if language == "en":
            whole = whole.str.slice(0, 1).str.to_uppercase() + whole.str.slice(1)
        return frame.select(text=whole)["text"]

    @cached_property
    def risk_kinds(self) -> list[str]:
        """Risk kinds of each household's raising reasons, heaviest first, `other` last, joined by `;`. Empty
        where nothing raises the risk."""
        code = np.empty(len(self), np.int64)
        # `other` (mostly income) names no risk that a visitor could look for: it is last.
        kinds_in_order(
            self.feature,
            self.wordbook.arrays(self.names).kind,
            self.kinds,
            MOST_RAISING,
            KINDS.index("other"),
            code,
        )
        return [_kinds_in_words(number) for number in code.tolist()]

    def of(self, row: int) -> list[Reason]:
        """The reasons of one household, raising first."""
        return self.only(np.array([row]))._of_first()

    def _of_first(self) -> list[Reason]:
        zh, en = self.texts_by_slot("zh")[0], self.texts_by_slot("en")[0]
        everything = float(np.abs(self.topics[0]).sum()) or 1.0
        reasons = []
        for slot in range(PLACES):
            place = int(self.feature[0, slot])
            if place < 0:
                continue
            entry = self.wordbook.catalogue[self.names[place]]
            topic = self.topic_names.index(entry.topic)
            reasons.append(
                Reason(
                    raises=slot < MOST_RAISING,
                    risk_kind=entry.risk_kind,
                    topic=entry.topic,
                    zh_parts=zh[slot] or ReasonText(""),
                    en_parts=en[slot] or ReasonText(""),
                    value=float(self.values[0, place]),
                    unit=entry.unit,
                    strength=float(abs(self.topics[0, topic])) / everything,
                    level=LEVELS[int(self.level[0, slot])],
                    sources=entry.sources,
                    feature=self.names[place],
                    weight=float(self.topics[0, topic]),
                    reason_when=entry.reason_when,
                    manner=entry.manner,
                )
            )
        return reasons

    def only(self, rows: npt.NDArray[np.intp]) -> ReasonTable:
        """The reasons of these households."""
        stale = {name: days[rows] for name, days in self.stale_days.items()}
        return replace(
            self,
            contributions=self.contributions[rows],
            values=self.values[rows],
            few=self.few[rows],
            feature=self.feature[rows],
            side=self.side[rows],
            percent=self.percent[rows],
            level=self.level[rows],
            partner=self.partner[rows],
            topics=self.topics[rows],
            kinds=self.kinds[rows],
            stale_days=stale,
        )

    def notes(self, language: Language, *, beside_reasons: bool = False) -> list[str]:
        """Sources that are stale or absent, for each household; empty text where all are there and fresh.

        beside_reasons: without the sources whose gap a reason already names.
        """
        labels = [getattr(self.wordbook.sources[name].label, language) for name in self.absent]
        absent = [f"没有{label}数据" if language == "zh" else f"no {label} data" for label in labels]
        parts = [list(absent) for _ in range(len(self))]
        named = self._sources_in_reasons if beside_reasons else [frozenset[str]()] * len(self)
        for source, steps in self._stale_steps.items():
            for row in np.flatnonzero(steps).tolist():
                if source not in named[row]:
                    parts[row].append(self._tail(source, int(steps[row]), language))
        return [wording.join(some, language) for some in parts]

    @property
    def _sources_in_reasons(self) -> list[frozenset[str]]:
        """For each household, the sources whose delay is noted with one of its reasons."""
        arrays = self.wordbook.arrays(self.names)
        named: list[set[str]] = [set() for _ in range(len(self))]
        for row, slot in zip(*np.nonzero(self._tail_days > 0), strict=True):
            named[row].add(arrays.sources[arrays.source[self.feature[row, slot]]])
        return [frozenset(some) for some in named]


def _written(values: npt.NDArray[Any], write: Callable[[Any], str]) -> pl.Series:
    """What `write` makes of each value; it is asked once for each different one."""
    different, place = np.unique(values, return_inverse=True)
    return pl.Series([write(value) for value in different.tolist()], dtype=pl.String).gather(
        place.astype(np.uint32)
    )


@lru_cache(maxsize=4096)
def _kinds_in_words(code: int) -> str:
    digits = [(code >> (4 * slot)) & 15 for slot in range(MOST_RAISING - 1, -1, -1)]
    return ";".join(KINDS[digit - 1] for digit in digits if digit)


@lru_cache(maxsize=4096)
def _data_tail(label: str, day: dt.date | None, days: int, language: Language) -> str:
    if day is None:
        ago = wording.gap(days, language)
        return f"{label}数据已{ago}未更新" if language == "zh" else f"{label} data not renewed for {ago}"
    until = wording.format_date(day, language)
    return f"{label}数据截至{until}" if language == "zh" else f"{label} data to {until}"


def _joined(parts: pl.DataFrame, language: Language) -> pl.Series:
    """`ReasonText.joined` for columns."""
    between = wording.BETWEEN[language]
    before, behind = ("（", "）") if language == "zh" else (" (", ")")

    def part(name: str, left: str, right: str = "") -> pl.Expr:
        column = pl.col(name)
        return pl.when(column == "").then(pl.lit("")).otherwise(pl.lit(left) + column + pl.lit(right))

    whole = pl.col("statement") + part("comparison", between) + part("addition", between)
    return parts.select(text=whole + part("data", before, behind) + part("gap", before, behind))["text"]


def _in_steps(days: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Days since the newest row, rounded for display: whole months of 30 days from two on."""
    return np.where(days < 60, days, np.minimum(days // 30 * 30, 65_535)).astype(np.int32)


NOTHING: Final = {
    "zh": "记录中没有哪一方面明显抬高风险",
    "en": "nothing in the records clearly raises the risk",
}


def give_reasons(
    wordbook: Wordbook,
    names: Sequence[str],
    values: Floats,
    contributions: Floats,
    village_code: npt.NDArray[np.object_],
    reference: Reference,
    *,
    as_of: dt.date,
    ages: Mapping[str, Floats] | None = None,
) -> ReasonTable:
    """Choose the reasons of n households.

    values, contributions: shape (n, p), columns as in `names`, each of which is in the catalogue. reference:
    what values are compared with, and how new each source is. ages: source -> shape (n,), days since the
    household's own newest row (NaN: none), where that is known.
    """
    names = tuple(names)
    arrays = wordbook.arrays(names)
    entries, topic_names = arrays.entries, arrays.topic_names
    fitted = reference.select(names)
    township, county, few = fitted.places(village_code)
    n = len(values)
    shown = _without_small_villages(entries, contributions, few)
    chosen = Chosen(
        feature=np.full((n, PLACES), -1, np.int16),
        side=np.zeros((n, PLACES), np.int8),
        percent=np.zeros((n, PLACES), np.int8),
        level=np.zeros((n, PLACES), np.int8),
        partner=np.full((n, PLACES), -1, np.int16),
    )
    choose_reasons(shown, values, arrays.traits, fitted.distributions, township, county, LIMITS, chosen)
    topics, kinds = np.zeros((n, len(topic_names))), np.zeros((n, len(KINDS)))
    summed(contributions, arrays.traits.topic, topics)
    summed(contributions, arrays.kind, kinds)
    return ReasonTable(
        wordbook=wordbook,
        names=names,
        as_of=as_of,
        contributions=contributions,
        values=values,
        few=few,
        **chosen._asdict(),
        topic_names=topic_names,
        topics=topics,
        kinds=kinds,
        data_dates=reference.data_dates,
        stale_days=_stale(wordbook, reference.data_dates, as_of, n, ages or {}),
        absent=_absent(wordbook, arrays.read, reference.data_dates),
    )


def _without_small_villages(
    entries: Sequence[Feature], contributions: Floats, few: npt.NDArray[np.bool_]
) -> Floats:
    """Contributions from which reasons are chosen: in small villages without those of counts over
    neighbours."""
    if not few.any():
        return contributions
    places = [place for place, entry in enumerate(entries) if entry.family == "area"]
    if not places:
        return contributions
    shown = contributions.copy()
    for place in places:
        shown[few, place] = 0.0
    return shown


def _absent(wordbook: Wordbook, read: Collection[str], dates: Mapping[str, dt.date]) -> tuple[str, ...]:
    """Sources that the features read and that delivered nothing. Without any date nothing is known about
    that."""
    return tuple(
        name
        for name, source in wordbook.sources.items()
        if dates and source.say_absent and name in read and name not in dates
    )


def _stale(
    wordbook: Wordbook, dates: Mapping[str, dt.date], as_of: dt.date, n: int, ages: Mapping[str, Floats]
) -> dict[str, npt.NDArray[np.int32]]:
    stale = {}
    for name, source in wordbook.sources.items():
        if name not in dates:
            continue
        since = (as_of - dates[name]).days
        if since <= source.stale_after_days and not (source.each_household and name in ages):
            continue
        days = np.full(n, float(since))
        if source.each_household and name in ages:
            days = np.fmax(days, ages[name])
        days = np.where(days > source.stale_after_days, days, 0)
        if days.any():
            stale[name] = days.astype(np.int32)
    return stale
