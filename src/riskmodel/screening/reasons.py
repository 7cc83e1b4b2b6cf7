"""From contributions to sentences: why a household stands where it stands, in the words of the catalogue.

Contributions are summed over the features of a topic (those that speak of the same thing) and told by one of them; then over risk kinds.
Three to five topics that raise the risk and up to two that lower it are told. A reason that would contradict the direction which the
catalogue declares for its feature is not told; the next feature of its topic speaks, or nobody does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from riskmodel.features.catalogue import Catalogue, Feature, Sentence, Sentences, Strict, Words
from riskmodel.project import Project
from riskmodel.screening import wording
from riskmodel.screening.kernels import choose_reasons
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
FEW: Final = 8  # households whose sentences are written one by one
LEVELS: Final = ("", "township", "county")
# Families whose features say how the data are, not how the household is: their part of a score is not told as a reason of the household.
UNTOLD: Final = ("freshness",)
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
    )  # fmt: skip


@dataclass(frozen=True)
class About:
    """What the catalogue says of p features, as arrays. topic, kind: places in topic_names and KINDS; riskier: 1, -1 or 0 (unclear)."""

    entries: tuple[Feature, ...]
    topic_names: tuple[str, ...]
    topic: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    riskier: npt.NDArray[np.int64]
    flags: npt.NDArray[np.bool_]
    zero_said: npt.NDArray[np.bool_]
    measure: npt.NDArray[np.int64]
    compared: npt.NDArray[np.bool_]
    tellable: npt.NDArray[np.bool_]

    @cached_property
    def read(self) -> frozenset[str]:
        """Tables that the features are made from."""
        return frozenset(source for entry in self.entries for source in entry.sources)

    @classmethod
    def of(cls, entries: tuple[Feature, ...]) -> About:
        topics = tuple(dict.fromkeys(entry.topic for entry in entries))
        return cls(
            entries,
            topics,
            np.array([topics.index(entry.topic) for entry in entries], np.int64),
            np.array([KINDS.index(entry.risk_kind) for entry in entries], np.int64),
            np.array([{"higher": 1, "lower": -1, "unclear": 0}[entry.riskier_when] for entry in entries], np.int64),
            np.array([entry.unit == "flag" for entry in entries], np.bool_),
            np.array([bool(entry.sentence.zh.zero and entry.sentence.en.zero) for entry in entries], np.bool_),
            np.array(
                [{"yuan": 1, "share": 2}.get(entry.unit, 0) if entry.family != "area" else 0 for entry in entries], np.int64
            ),
            np.array([wording.manner(entry) != "nothing" for entry in entries], np.bool_),
            np.array([entry.family not in UNTOLD for entry in entries], np.bool_),
        )


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
            from riskmodel.errors import Fault, ProjectError

            raise ProjectError(
                [Fault(document.where(), f"no entry `{kind}`", "an entry for each risk kind", "Add it.") for kind in absent]
                + [
                    Fault(document.where(kind), f"unknown risk kind `{kind}`", "one of " + ", ".join(KINDS), "Correct it.")
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
            self._about[names] = About.of(tuple(self.catalogue[name] for name in names))
        return self._about[names]

    def to_check(self, kinds: Sequence[str], has_labour: bool | None, language: Language) -> str:
        """What to verify for these risk kinds, and the family of measures that belongs to each once people have confirmed it.

        has_labour None (not known): the visitor is told both families.
        """
        lines = []
        for kind in kinds:
            check = self.checks[kind]
            zh = language == "zh"
            families = {True: [check.with_labour], False: [check.without_labour], None: [check.with_labour, check.without_labour]}
            words = [getattr(words, language) for words in families[has_labour]]
            if has_labour is None:
                measure = f"有劳动力：{words[0]}；无劳动力：{words[1]}" if zh else f"with labour: {words[0]}; without: {words[1]}"
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
    """One reason. raises: it moved the score up. strength: its part of all that moved this score, between 0 and 1.

    level: the area it was compared with (township, county or nothing).
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

    def as_dict(self) -> dict[str, Any]:
        """For JSON; an unknown value is None."""
        number = None if np.isnan(self.value) else self.value
        return {**self.__dict__, "value": number, "sources": list(self.sources)}


@dataclass(frozen=True)
class ReasonTable:
    """The reasons of n households, as places and codes; texts are written when they are asked for.

    feature, side, percent, level: shape (n, 7), first five raising, then two lowering; feature -1: no reason; partner: a
    second feature of the topic that is told with the first (an amount with its share of income), or -1. topics: shape (n, topics), kinds: shape
    (n, 11): summed contributions to the margin. contributions, values: shape (n, p), as they were explained. stale_days: source -> shape (n,),
    days since its newest row where that is too long ago, else 0. absent: sources from which the county delivered nothing.
    """

    wordbook: Wordbook
    names: tuple[str, ...]
    as_of: dt.date
    contributions: Floats
    values: Floats
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

    def _said(self, name: str, language: Language, cells: npt.NDArray[np.intp], place: int) -> list[str]:
        """The sentences of one feature for some cells (positions in `feature`, flattened)."""
        entry = self.wordbook.catalogue[name]
        rows = cells // PLACES
        texts, which = wording.render(entry, self.values[rows, place], language)
        side, percent, level = (part.ravel()[cells].astype(np.int64) for part in (self.side, self.percent, self.level))
        below_zero = (self.values[rows, place] < 0) & (getattr(entry.sentence, language).negative is not None)
        code = (((side + 1) * 101 + percent) * 3 + level) * 2 + below_zero
        source = self._main_source(entry)
        days = self.stale_days[source][rows].astype(np.int64) if source in self.stale_days else np.zeros(len(rows), np.int64)
        months = np.minimum(np.where(days < 60, days, (days // 30) * 30), 65535)
        extras, extra = self._partners(cells, language)
        spans, span = np.unique(months, return_inverse=True)
        key = (which * 4096 + code) * len(spans) + span
        _, key = np.unique(key, return_inverse=True)
        _, first, back = np.unique(key * len(extras) + extra, return_index=True, return_inverse=True)
        manner = wording.manner(entry)
        comparisons: dict[int, str] = {}
        tails: dict[int, str] = {}
        written = []
        for cell in first:
            comparison = comparisons.get(int(code[cell]))
            if comparison is None:
                area = LEVELS[int(level[cell])]
                comparison = wording.compare(
                    int(side[cell]), int(percent[cell]), area, language, manner=manner, below_zero=bool(below_zero[cell])
                )
                comparisons[int(code[cell])] = comparison
            tail = tails.get(int(months[cell]))
            if tail is None:
                tail = tails[int(months[cell])] = self._tail(source, int(months[cell]), language)
            written.append(texts[which[cell]] + comparison + extras[extra[cell]] + tail)
        return [written[number] for number in back]

    def _partners(self, cells: npt.NDArray[np.intp], language: Language) -> tuple[list[str], npt.NDArray[np.int64]]:
        """What is told with the first feature, for some cells: (the different texts, for each cell the place of its text)."""
        partner = self.partner.ravel()[cells]
        texts, place_of = [""], np.zeros(len(cells), np.int64)
        for place in np.unique(partner[partner >= 0]):
            hit = np.flatnonzero(partner == place)
            entry = self.wordbook.catalogue[self.names[place]]
            more, which = wording.render(entry, self.values[cells[hit] // PLACES, place], language)
            place_of[hit] = which + len(texts)
            texts += [wording.attached(text, language) for text in more]
        return texts, place_of

    def _sentence(self, row: int, slot: int, language: Language) -> str:
        """One sentence, in the same words as `_said`."""
        place = int(self.feature[row, slot])
        if place < 0:
            return ""
        entry = self.wordbook.catalogue[self.names[place]]
        value = float(self.values[row, place])
        below_zero = value < 0 and getattr(entry.sentence, language).negative is not None
        comparison = wording.compare(
            int(self.side[row, slot]), int(self.percent[row, slot]), LEVELS[int(self.level[row, slot])], language,
            manner=wording.manner(entry), below_zero=below_zero,
        )  # fmt: skip
        partner, extra = int(self.partner[row, slot]), ""
        if partner >= 0:
            other = self.wordbook.catalogue[self.names[partner]]
            extra = wording.attached(
                wording.sentence(other, wording.shown(float(self.values[row, partner]), other.unit), language), language
            )
        source = self._main_source(entry)
        days = int(self.stale_days[source][row]) if source in self.stale_days else 0
        return (
            wording.sentence(entry, wording.shown(value, entry.unit), language)
            + comparison
            + extra
            + self._tail(source, _in_steps(days), language)
        )

    def _main_source(self, entry: Feature) -> str:
        """The table whose date is said with a feature: the first that is not merely needed to know who lives there."""
        known = [table for table in entry.sources if table in self.wordbook.sources]
        return next((table for table in known if table not in REGISTERS), known[0] if known else "")

    def _tail(self, source: str, stale: int, language: Language) -> str:
        """The date of the data, or for how long they have not been renewed."""
        if not source:
            return ""
        label = getattr(self.wordbook.sources[source].label, language)
        if stale:
            ago = wording.gap(stale, language)
            return f"（{label}数据已{ago}未更新）" if language == "zh" else f" ({label} data not renewed for {ago})"
        if source not in self.data_dates:
            return ""
        day = wording.format_date(self.data_dates[source], language)
        return f"（{label}数据截至{day}）" if language == "zh" else f" ({label} data to {day})"

    def sentences(self, language: Language) -> npt.NDArray[np.object_]:
        """Shape (n, 7): one sentence a reason, empty text where there is none."""
        if len(self) <= FEW:
            one_by_one = [[self._sentence(row, slot, language) for slot in range(PLACES)] for row in range(len(self))]
            return np.array(one_by_one, dtype=object).reshape(self.feature.shape)
        flat = np.full(self.feature.size, "", dtype=object)
        chosen = self.feature.ravel()
        order = np.argsort(chosen, kind="stable")
        edges = np.searchsorted(chosen[order], np.arange(len(self.names) + 1))
        for place, name in enumerate(self.names):
            cells = order[edges[place] : edges[place + 1]]
            if len(cells):
                flat[cells] = self._said(name, language, cells, place)
        return flat.reshape(self.feature.shape)

    def texts(self, language: Language) -> list[str]:
        """All reasons of each household in one line, raising first."""
        rows = self.sentences(language).tolist()
        between, turn = ("；", "。另一方面：") if language == "zh" else (". ", ". On the other hand: ")
        end = "。" if language == "zh" else "."
        out = []
        for row in rows:
            up = between.join([text for text in row[:MOST_RAISING] if text])
            down = between.join([text for text in row[MOST_RAISING:] if text])
            if not up:
                up = _NOTHING[language]
            whole = f"{up}{turn}{down}{end}" if down else up + end
            out.append(whole if language == "zh" else whole[:1].upper() + whole[1:])
        return out

    @cached_property
    def risk_kinds(self) -> list[str]:
        """Risk kinds of each household's raising reasons, heaviest first, `other` last, joined by `;`. Empty where nothing raises the risk."""
        kind_of = np.append(self.wordbook.about(self.names).kind, -1)
        told = kind_of[self.feature[:, :MOST_RAISING]]
        mask = np.zeros((len(self), len(KINDS)), bool)
        rows, _ = np.nonzero(told >= 0)
        mask[rows, told[told >= 0]] = True
        # `other` (mostly income) names no risk that a visitor could look for: it stands last.
        weight = np.where(mask, self.kinds, -np.inf)
        weight[:, KINDS.index("other")] -= 1e6
        order = np.argsort(-weight, axis=1, kind="stable")
        amount = mask.sum(axis=1)
        code = np.zeros(len(self), np.int64)
        for slot in range(MOST_RAISING):
            code = code * 16 + np.where(slot < amount, order[:, slot] + 1, 0)
        different, back = np.unique(code, return_inverse=True)
        words = []
        for number in different:
            digits = [(int(number) >> (4 * slot)) & 15 for slot in range(MOST_RAISING - 1, -1, -1)]
            words.append(";".join(KINDS[digit - 1] for digit in digits if digit))
        return [words[number] for number in back]

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
                    LEVELS[int(self.level[0, slot])], entry.sources,
                )
            )  # fmt: skip
        return reasons

    def only(self, rows: npt.NDArray[np.intp]) -> ReasonTable:
        """The reasons of these households."""
        stale = {name: days[rows] for name, days in self.stale_days.items()}
        return ReasonTable(
            self.wordbook, self.names, self.as_of, self.contributions[rows], self.values[rows], self.feature[rows], self.side[rows],
            self.percent[rows], self.level[rows], self.partner[rows], self.topic_names, self.topics[rows], self.kinds[rows], self.data_dates, stale,
            self.absent,
        )  # fmt: skip

    def notes(self, language: Language) -> list[str]:
        """Sources that are stale or absent, for each household; empty text where all are there and fresh."""
        labels = [getattr(self.wordbook.sources[name].label, language) for name in self.absent]
        absent = [f"没有{label}数据" if language == "zh" else f"no {label} data" for label in labels]
        notes = np.full(len(self), wording.join(absent, language), dtype=object)
        for source, days in self.stale_days.items():
            rounded = np.where(days < 60, days, (days // 30) * 30)
            for gap in np.unique(rounded[rounded > 0]):
                text = self._tail(source, int(gap), language).strip("（） ()")
                hit = rounded == gap
                notes[hit] = [f"{note}{'；' if language == 'zh' else '; '}{text}" if note else text for note in notes[hit]]
        return [str(note) for note in notes]


def _in_steps(days: int) -> int:
    """Days of a gap as they are said: whole months from two on."""
    return days if days < 60 else min(days // 30 * 30, 65535)


_NOTHING: Final = {"zh": "没有哪一方面明显抬高风险", "en": "nothing in the records clearly raises the risk"}


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
    township, county = fitted.places(village_code)
    n = len(values)
    told = _without_small_villages(entries, contributions, village_code, reference)
    feature, side = np.full((n, PLACES), -1, np.int16), np.zeros((n, PLACES), np.int8)
    percent, level = np.zeros((n, PLACES), np.int8), np.zeros((n, PLACES), np.int8)
    partner = np.full((n, PLACES), -1, np.int16)
    choose_reasons(
        told, values, about.topic, len(topic_names), about.riskier, about.flags, about.zero_said, about.measure,
        about.compared, about.tellable, township, county, fitted.start, fitted.known,
        fitted.cut, fitted.below, fitted.upto, FEWEST, BEYOND, MOST_RAISING, ALWAYS_RAISING, SHARE_RAISING, MOST_LOWERING,
        SHARE_LOWERING, LEAST, feature, side, percent, level, partner,
    )  # fmt: skip
    topics, kinds = np.zeros((n, len(topic_names))), np.zeros((n, len(KINDS)))
    if n <= FEW:  # the same sums in the same order, without a step of numpy for each feature
        np.add.at(topics.T, about.topic, contributions.T)
        np.add.at(kinds.T, about.kind, contributions.T)
    else:
        for place in range(len(names)):
            topics[:, about.topic[place]] += contributions[:, place]
            kinds[:, about.kind[place]] += contributions[:, place]
    return ReasonTable(
        wordbook, tuple(names), as_of, contributions, values, feature, side, percent, level, partner, topic_names, topics, kinds,
        reference.data_dates, _stale(wordbook, reference.data_dates, as_of, n, ages or {}),
        _absent(wordbook, about.read, reference.data_dates),
    )  # fmt: skip


def _without_small_villages(
    entries: Sequence[Feature], contributions: Floats, village_code: npt.NDArray[np.object_], reference: Reference
) -> Floats:
    """Contributions from which reasons are chosen: what is counted about the neighbours is not told where they are few."""
    few = np.array([reference.households.get(str(code), 0) < FEWEST for code in village_code], np.bool_)
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
        name for name, source in wordbook.sources.items() if dates and source.say_absent and name in read and name not in dates
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
