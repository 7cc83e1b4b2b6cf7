"""From contributions to sentences: why a household stands where it stands, in the words of the catalogue.

Contributions are summed over the features of a topic (those that speak of the same thing) and told by one of them; then over risk kinds.
Three to five topics that raise the risk and up to two that lower it are told. The catalogue says of each feature when a value of it may be told
(`tell`, else as `riskier_when` declares; one whose direction is unclear is silent). A value that may not be told, is unknown, is shared by
nearly everybody or is an ordinary amount does not speak; the next feature of its topic does, or nobody.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import TypeAdapter

from riskmodel.declared import Strict, Words
from riskmodel.errors import DataError, Fault, ProjectError
from riskmodel.features.catalogue import Catalogue, Feature, Sentence, Sentences
from riskmodel.project import Project
from riskmodel.screening import wording
from riskmodel.screening.reason_kernels import choose_reasons, kinds_told, summed
from riskmodel.screening.reference import BEYOND, FEWEST, Reference
from riskmodel.screening.wording import Language
from riskmodel.vocabulary import RISK_KINDS

Floats = npt.NDArray[np.float64]

CHECKS_FILE: Final = "features/codelists/checks.yaml"
SOURCES_FILE: Final = "features/codelists/sources.yaml"

MOST_RAISING: Final = 5
ALWAYS_RAISING: Final = 3  # a fourth and fifth reason must carry their share of what raises the score
SHARE_RAISING: Final = 0.08
MOST_LOWERING: Final = 2
SHARE_LOWERING: Final = 0.15
LEAST: Final = 0.02  # of the margin: below it a topic did not move the score in a way worth a sentence
PLACES: Final = MOST_RAISING + MOST_LOWERING
COMMON: Final = 0.75  # what so many of the neighbours share is no reason
NOTABLE: Final = 60  # per cent of the neighbours that an amount has to be beyond
OUTSTANDING: Final = 80  # the same where the catalogue declares no direction
MOST_SAID: Final = 50_000  # pieces of sentences that are kept for the next household
FEW: Final = 200  # households whose sentences are written one by one
LEVELS: Final = ("", "township", "county")
# Families whose features say how the data are, not how the household is: their part of a score is not told as a reason of the household.
UNTOLD: Final = ("freshness",)
COUNTS: Final = ("people", "times", "items", "visits", "households", "quarters")
REGISTERS: Final = ("households", "members", "policy", "authorisations")
KINDS: Final = tuple(RISK_KINDS)


class Check(Strict):
    """What a visitor verifies for a risk kind, and the families of measures that belong to it once confirmed."""

    verify: Words
    with_labour: Words
    without_labour: Words


class Source(Strict):
    """A table as a visitor names it, and when its data count as stale."""

    label: Words
    stale_after_days: int
    each_household: bool = False
    say_absent: bool = False


def plain_entry(name: str, sign: int) -> Feature:
    """An entry for a column of somebody's own wide table, which no catalogue describes: its name serves as its label.

    sign: 1 riskier when higher, -1 riskier when lower, 0 unclear, as its plan declares.
    """
    label = name.replace("_", " ")
    words = Words(zh=label, en=label)
    sentence = Sentence(value=f"{label}：{{value}}"), Sentence(value=f"{label}: {{value}}")
    return Feature.model_construct(
        label=words, family="table", topic=name, unit="number", sources=(), window="", missing=words, risk_kind="other",
        riskier_when={1: "higher", -1: "lower"}.get(sign, "unclear"), sentence=Sentences(zh=sentence[0], en=sentence[1]), status="active",
        tell=None if sign else ("high_raises", "low_raises", "high_lowers", "low_lowers"), amount=None, covers=(), levels=(),
    )  # fmt: skip


@dataclass(frozen=True)
class About:
    """What the catalogue says of p features, as arrays. topic, kind: places in topic_names and KINDS. covers: shape (topics, topics).

    raises_when, lowers_when: told as raising (lowering) when high 1, when low -1, whichever it is 2, never 0. pair: place of the amount of a share,
    and of the share of an amount, else -1. notable: per cent of the neighbours that an amount has to be beyond. source: place in `sources` of the table whose date is said with it, or -1.
    manners, rounding: how its values are compared and rounded (see `wording`).
    """

    entries: tuple[Feature, ...]
    topic_names: tuple[str, ...]
    topic: npt.NDArray[np.int64]
    covers: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.int64]
    raises_when: npt.NDArray[np.int64]
    lowers_when: npt.NDArray[np.int64]
    flags: npt.NDArray[np.bool_]
    zero_said: npt.NDArray[np.bool_]
    counted: npt.NDArray[np.bool_]
    change: npt.NDArray[np.bool_]
    compared: npt.NDArray[np.bool_]
    notable: npt.NDArray[np.int64]
    pair: npt.NDArray[np.int64]
    sources: tuple[str, ...]
    source: npt.NDArray[np.int64]
    manners: tuple[str, ...]
    rounding: npt.NDArray[np.int64]

    @cached_property
    def negative(self) -> dict[Language, list[bool]]:
        """Of each feature, whether what is below 0 has a sentence of its own."""
        return {
            language: [getattr(entry.sentence, language).negative is not None for entry in self.entries] for language in wording.LANGUAGES
        }  # fmt: skip

    @cached_property
    def said(self) -> dict[tuple[int, float, str, str], str]:
        """Pieces of sentences that were written before: (feature, value as it is said, language, which piece) -> text. `piece` keeps it small."""
        return {}

    def piece(self, place: int, value: float, language: Language, which: str) -> str:
        """What the catalogue says of one value: `sentence` or `after` (see `wording`). Rounded as they are said, values come again and again."""
        key = (place, value, language, which)
        text = self.said.get(key)
        if text is None or value != value:
            if len(self.said) >= MOST_SAID:
                self.said.clear()
            write = wording.sentence if which == "sentence" else wording.after
            text = self.said[key] = write(self.entries[place], value, language)
        return text

    @cached_property
    def read(self) -> frozenset[str]:
        """Tables that the features are made from."""
        return frozenset(source for entry in self.entries for source in entry.sources)

    @classmethod
    def of(cls, names: tuple[str, ...], entries: tuple[Feature, ...], known: Mapping[str, Source]) -> About:
        topics = tuple(dict.fromkeys(entry.topic for entry in entries))
        covers = np.zeros((len(topics), len(topics)), np.bool_)
        pair = np.full(len(entries), -1, np.int64)
        for place, entry in enumerate(entries):
            covers[
                topics.index(entry.topic), [topics.index(topic) for topic in entry.covers if topic in topics]
            ] = True
            if entry.amount in names:
                amount = names.index(entry.amount)
                pair[place], pair[amount] = amount, place
        main = [_main_source(entry, known) for entry in entries]
        sources = tuple(dict.fromkeys(name for name in main if name))

        def flags(hits: Iterable[bool]) -> npt.NDArray[np.bool_]:
            return np.array(list(hits), np.bool_)

        def places(some: Iterable[int]) -> npt.NDArray[np.int64]:
            return np.array(list(some), np.int64)

        return cls(
            entries, topics, places(topics.index(entry.topic) for entry in entries), covers,
            places(KINDS.index(entry.risk_kind) for entry in entries),
            places(_when(entry, "raises") for entry in entries),
            places(_when(entry, "lowers") for entry in entries),
            flags(entry.unit == "flag" for entry in entries),
            flags(bool(entry.sentence.zh.zero and entry.sentence.en.zero) for entry in entries),
            flags(entry.unit in COUNTS for entry in entries),
            flags(wording.manner(entry) == "change" for entry in entries),
            flags(wording.manner(entry) != "nothing" for entry in entries),
            places(OUTSTANDING if entry.riskier_when == "unclear" else NOTABLE for entry in entries),
            pair, sources, places(sources.index(name) if name else -1 for name in main),
            tuple(wording.manner(entry) for entry in entries), places(wording.rounding_of(entry.unit) for entry in entries),
        )  # fmt: skip


def _when(entry: Feature, way: str) -> int:
    """When a feature is told as raising or lowering: 1 when high, -1 when low, 2 whichever it is, 0 never."""
    if entry.family in UNTOLD:
        return 0
    high, low = f"high_{way}" in entry.told, f"low_{way}" in entry.told
    return 2 if high and low else 1 if high else -1 if low else 0


def _main_source(entry: Feature, known: Mapping[str, Source]) -> str:
    """The table whose date is said with a feature: the first that is not merely needed to know who lives there. Empty where there is none."""
    tables = [table for table in entry.sources if table in known]
    return next((table for table in tables if table not in REGISTERS), tables[0] if tables else "")


@dataclass(frozen=True)
class Wordbook:
    """The reviewed texts that reasons are made of."""

    catalogue: Catalogue
    checks: Mapping[str, Check]
    sources: Mapping[str, Source]

    @classmethod
    def load(cls, project: Project, catalogue: Catalogue) -> Wordbook:
        """From the project's codelists. Raises ProjectError with every fault; each risk kind must be there."""
        checks = project.load(CHECKS_FILE, TypeAdapter(dict[str, Check]))
        sources = project.load(SOURCES_FILE, TypeAdapter(dict[str, Source]))
        document = project.document(CHECKS_FILE)
        absent = [kind for kind in KINDS if kind not in checks]
        unknown = [kind for kind in checks if kind not in RISK_KINDS]
        if absent or unknown:
            raise ProjectError(
                [
                    Fault(document.where(), f"no entry `{kind}`", "an entry for each risk kind", "Add it.")
                    for kind in absent
                ]
                + [
                    Fault(
                        document.where(kind),
                        f"unknown risk kind `{kind}`",
                        "one of " + ", ".join(KINDS),
                        "Correct it.",
                    )
                    for kind in unknown
                ]
            )
        return cls(catalogue, checks, sources)

    @cached_property
    def _about(self) -> dict[tuple[str, ...], About]:
        return {}

    def about(self, names: tuple[str, ...]) -> About:
        """What the catalogue says of these features; worked out once."""
        if names not in self._about:
            self._about[names] = About.of(names, tuple(self.catalogue[name] for name in names), self.sources)
        return self._about[names]

    def to_check(self, kinds: Sequence[str], has_labour: bool | None, language: Language) -> str:
        """What to verify for these risk kinds, and the family of measures that belongs to each once people have confirmed it.

        has_labour None (not known): the visitor is told both families.
        """
        lines = []
        for kind in kinds:
            check = self.checks[kind]
            zh = language == "zh"
            families = {
                True: [check.with_labour],
                False: [check.without_labour],
                None: [check.with_labour, check.without_labour],
            }
            words = [getattr(words, language) for words in families[has_labour]]
            if has_labour is None:
                measure = (
                    f"有劳动力：{words[0]}；无劳动力：{words[1]}"
                    if zh
                    else f"with labour: {words[0]}; without: {words[1]}"
                )
            else:
                measure = words[0]
            verify, name = getattr(check.verify, language), RISK_KINDS[kind][0 if zh else 1]
            lines.append(
                f"{name}：{verify}。风险经核实后对应的措施类别：{measure}"
                if zh
                else f"{name[:1].upper()}{name[1:]}: {verify}. Measures that belong to it once confirmed: {measure}"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class Reason:
    """One reason, whole in itself: it can be kept and read again without catalogue and tables.

    raises: it moved the score up. strength: its part of all that moved this score, between 0 and 1. weight: what its topic added to the margin
    (below 0: took away), to compare two scorings; neither is shown to a visitor. level: the area it was compared with (township, county
    or nothing). feature: the catalogue's key, for machines. told: when its values are a reason (see the catalogue's `tell`).
    manner: how they are said and compared (see `wording.manner`).
    """

    raises: bool
    risk_kind: str
    topic: str
    zh: str
    en: str
    value: float
    unit: str
    strength: float
    level: str
    sources: tuple[str, ...]
    feature: str
    weight: float
    told: tuple[str, ...]
    manner: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON: plain text, numbers and lists. `from_dict` reads it back."""
        return {**self.__dict__, "sources": list(self.sources), "told": list(self.told)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Reason:
        """What `as_dict` gave, from JSON too. Raises DataError for keys that are missing or foreign."""
        wanted = {item.name for item in fields(cls)}
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
        return cls(**{**stored, "sources": tuple(stored["sources"]), "told": tuple(stored["told"])})


@dataclass(frozen=True)
class ReasonTable:
    """The reasons of n households, as places and codes; texts are written when they are asked for.

    feature, side, percent, level: shape (n, 7), first five raising, then two lowering; feature -1: no reason; partner: a
    second feature of the topic that is told with the first (an amount with its share of income), or -1. topics: shape (n, topics), kinds: shape
    (n, 11): summed contributions to the margin. contributions, values: shape (n, p), as they were explained. few: shape (n,), whether the
    village is too small for anything to be told about neighbours. stale_days: source -> shape (n,),
    days since its newest row where that is too long ago, else 0. absent: sources from which the county delivered nothing.
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
        """What is said of the data behind each reason, shape (n, 7): -1 nothing, 0 their date, else how many days they have not been renewed.

        A source is said once a household, with the first reason that rests on it.
        """
        about = self.wordbook.about(self.names)
        source = np.append(about.source, -1)[self.feature]
        dated = np.array([0 if name in self.data_dates else -1 for name in about.sources] + [-1], np.int32)
        days: npt.NDArray[np.int32] = dated[source]
        for name, stale in self._stale_steps.items():
            if name in about.sources:
                hit = (source == about.sources.index(name)) & (stale > 0)[:, None]
                days[hit] = np.broadcast_to(stale[:, None], hit.shape)[hit]
        for slot in range(1, PLACES):
            days[(source[:, :slot] == source[:, slot, None]).any(axis=1), slot] = -1
        return days

    @cached_property
    def _stale_steps(self) -> dict[str, npt.NDArray[np.int32]]:
        """Source -> days of its gap as they are said, shape (n,); 0 where it is fresh enough."""
        return {name: _in_steps(days) for name, days in self.stale_days.items()}

    def _said(self, cells: npt.NDArray[np.intp], place: int, language: Language) -> pl.Series:
        """The sentences of one feature for some cells (positions in `feature`, flattened): each different piece is written once."""
        entry = self.wordbook.catalogue[self.names[place]]
        rows = cells // PLACES
        values = wording.shown(self.values[rows, place], entry.unit)
        side, percent, level = (
            part.ravel()[cells].astype(np.int64) for part in (self.side, self.percent, self.level)
        )
        below_zero = (values < 0) & (getattr(entry.sentence, language).negative is not None)
        manner = wording.manner(entry)
        code = (((side + 1) * 101 + percent) * 3 + level) * 2 + below_zero

        def compare(number: int) -> str:
            number, below = divmod(number, 2)
            number, area = divmod(number, 3)
            way, share = divmod(number, 101)
            return wording.compare(
                way - 1, share, LEVELS[area], language, manner=manner, below_zero=bool(below)
            )

        comparison = _written(code, compare)
        source = _main_source(entry, self.wordbook.sources)
        tail = _written(self._tail_days.ravel()[cells], lambda days: self._tail(source, int(days), language))
        alone = _written(values, lambda value: wording.sentence(entry, float(value), language))
        partner = self.partner.ravel()[cells].astype(np.int64)
        other = int(
            partner.max(initial=-1)
        )  # a feature has one partner: the amount of a share, or the share of an amount
        if other < 0:
            return alone + comparison + tail
        told = self.wordbook.catalogue[self.names[other]]
        second = wording.shown(self.values[rows, other], told.unit)
        between = "，" if language == "zh" else ", "
        if entry.amount == self.names[other]:  # the amount first, then the share that is compared
            amount = _written(second, lambda value: wording.sentence(told, float(value), language) + between)
            share = _written(values, lambda value: wording.after(entry, float(value), language))
            both = amount + share + comparison
        else:
            both = (
                alone
                + comparison
                + _written(second, lambda value: between + wording.after(told, float(value), language))
            )
        return both.zip_with(pl.Series(partner >= 0), alone + comparison) + tail

    @cached_property
    def _cells(self) -> list[tuple[int, int, int, int, float, float, int, int, int, int]]:
        """Every reason as plain numbers: row, slot, feature, partner, their values as they are said, side, percent, level, days of its data."""
        rows, slots = np.nonzero(self.feature >= 0)
        place, partner = self.feature[rows, slots], self.partner[rows, slots]
        rounding = self.wordbook.about(self.names).rounding
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

    def _one_by_one(self, language: Language) -> list[list[str]]:
        """The sentences, written one by one in the same words as `_said`: n lists of seven, empty text where there is no reason."""
        about = self.wordbook.about(self.names)
        said = [[""] * PLACES for _ in range(len(self))]
        between = "，" if language == "zh" else ", "
        negative = about.negative[language]
        for row, slot, place, partner, value, second, side, percent, level, days in self._cells:
            below_zero = value < 0 and negative[place]
            comparison = wording.compare(
                side, percent, LEVELS[level], language, manner=about.manners[place], below_zero=below_zero
            )
            tail = self._tail(about.sources[about.source[place]] if days >= 0 else "", days, language)
            if partner < 0:
                text = about.piece(place, value, language, "sentence") + comparison + tail
            elif (
                about.entries[place].amount == self.names[partner]
            ):  # the amount first, then the share that is compared
                first = about.piece(partner, second, language, "sentence")
                text = first + between + about.piece(place, value, language, "after") + comparison + tail
            else:
                first = about.piece(place, value, language, "sentence")
                text = first + comparison + between + about.piece(partner, second, language, "after") + tail
            said[row][slot] = text
        return said

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
        """One series a place in `feature`: its sentence, or nothing."""
        if len(self) <= FEW:
            said = self._one_by_one(language)
            return [pl.Series([row[slot] or None for row in said], dtype=pl.String) for slot in range(PLACES)]
        chosen = self.feature.T.ravel()
        order = np.argsort(chosen, kind="stable")
        edges = np.searchsorted(chosen[order], np.arange(len(self.names) + 1))
        flat = [pl.repeat(None, int(edges[0]), dtype=pl.String, eager=True)]
        slots, rows = np.divmod(order, max(len(self), 1))
        for place in range(len(self.names)):
            part = slice(int(edges[place]), int(edges[place + 1]))
            if part.start < part.stop:
                flat.append(self._said(rows[part] * PLACES + slots[part], place, language))
        back = np.empty(len(order), np.uint32)
        back[order] = np.arange(len(order), dtype=np.uint32)
        whole = pl.concat(flat).gather(back)
        return [whole.slice(slot * len(self), len(self)) for slot in range(PLACES)]

    def sentences(self, language: Language) -> npt.NDArray[np.object_]:
        """Shape (n, 7): one sentence a reason, empty text where there is none."""
        if (
            len(self) <= FEW
        ):  # without the machinery for columns, which costs as much as some hundred sentences
            return np.array(self._one_by_one(language), dtype=object).reshape(len(self), PLACES)
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
        """Risk kinds of each household's raising reasons, heaviest first, `other` last, joined by `;`. Empty where nothing raises the risk."""
        code = np.empty(len(self), np.int64)
        # `other` (mostly income) names no risk that a visitor could look for: it stands last.
        kinds_told(
            self.feature,
            self.wordbook.about(self.names).kind,
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
        zh, en = self.sentences("zh")[0], self.sentences("en")[0]
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
                    slot < MOST_RAISING, entry.risk_kind, entry.topic, str(zh[slot]), str(en[slot]),
                    float(self.values[0, place]), entry.unit, float(abs(self.topics[0, topic])) / everything,
                    LEVELS[int(self.level[0, slot])], entry.sources, self.names[place], float(self.topics[0, topic]), entry.told,
                    wording.manner(entry),
                )
            )  # fmt: skip
        return reasons

    def only(self, rows: npt.NDArray[np.intp]) -> ReasonTable:
        """The reasons of these households."""
        stale = {name: days[rows] for name, days in self.stale_days.items()}
        return ReasonTable(
            self.wordbook, self.names, self.as_of, self.contributions[rows], self.values[rows], self.few[rows], self.feature[rows], self.side[rows],
            self.percent[rows], self.level[rows], self.partner[rows], self.topic_names, self.topics[rows], self.kinds[rows], self.data_dates, stale,
            self.absent,
        )  # fmt: skip

    def notes(self, language: Language) -> list[str]:
        """Sources that are stale or absent, for each household; empty text where all are there and fresh."""
        labels = [getattr(self.wordbook.sources[name].label, language) for name in self.absent]
        absent = [f"没有{label}数据" if language == "zh" else f"no {label} data" for label in labels]
        notes = [wording.join(absent, language)] * len(self)
        between = "；" if language == "zh" else "; "
        for source, steps in self._stale_steps.items():
            for row in np.flatnonzero(steps).tolist():
                text = self._tail(source, int(steps[row]), language).strip("（） ()")
                notes[row] = f"{notes[row]}{between}{text}" if notes[row] else text
        return notes


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
        return (
            f"（{label}数据已{ago}未更新）" if language == "zh" else f" ({label} data not renewed for {ago})"
        )
    until = wording.format_date(day, language)
    return f"（{label}数据截至{until}）" if language == "zh" else f" ({label} data to {until})"


def _in_steps(days: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Days of a gap as they are said: whole months from two on."""
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

    values, contributions: shape (n, p), columns as in `names`, each of which is in the catalogue. reference: what values are compared with, and how
    new each source is. ages: source -> shape (n,), days since the household's own newest row (NaN: none), where that is known.
    """
    names = tuple(names)
    about = wordbook.about(names)
    entries, topic_names = about.entries, about.topic_names
    fitted = reference.select(names)
    township, county, few = fitted.places(village_code)
    n = len(values)
    told = _without_small_villages(entries, contributions, few)
    feature, side = np.full((n, PLACES), -1, np.int16), np.zeros((n, PLACES), np.int8)
    percent, level = np.zeros((n, PLACES), np.int8), np.zeros((n, PLACES), np.int8)
    partner = np.full((n, PLACES), -1, np.int16)
    choose_reasons(
        told, values, about.topic, about.covers, about.raises_when, about.lowers_when, about.flags, about.zero_said, about.counted,
        about.change, about.compared, about.pair, township, county, fitted.start, fitted.known, fitted.cut, fitted.below,
        fitted.upto, FEWEST, BEYOND, COMMON, about.notable, MOST_RAISING, ALWAYS_RAISING, SHARE_RAISING, MOST_LOWERING, SHARE_LOWERING,
        LEAST, feature, side, percent, level, partner,
    )  # fmt: skip
    topics, kinds = np.zeros((n, len(topic_names))), np.zeros((n, len(KINDS)))
    summed(contributions, about.topic, topics)
    summed(contributions, about.kind, kinds)
    return ReasonTable(
        wordbook, tuple(names), as_of, contributions, values, few, feature, side, percent, level, partner, topic_names, topics, kinds,
        reference.data_dates, _stale(wordbook, reference.data_dates, as_of, n, ages or {}),
        _absent(wordbook, about.read, reference.data_dates),
    )  # fmt: skip


def _without_small_villages(
    entries: Sequence[Feature], contributions: Floats, few: npt.NDArray[np.bool_]
) -> Floats:
    """Contributions from which reasons are chosen: what is counted about the neighbours is not told where they are few."""
    if not few.any():
        return contributions
    places = [place for place, entry in enumerate(entries) if entry.family == "area"]
    if not places:
        return contributions
    told = contributions.copy()
    for place in places:
        told[few, place] = 0.0
    return told


def _absent(wordbook: Wordbook, read: Collection[str], dates: Mapping[str, dt.date]) -> tuple[str, ...]:
    """Sources that the features read and that delivered nothing. Without any date nothing is known about that."""
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
