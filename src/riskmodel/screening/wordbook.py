"""The reviewed texts that reasons are made of: the catalogue as arrays, checks by risk kind, the tables'
names for visitors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from riskmodel.declared import Strict, Words
from riskmodel.errors import Fault, ProjectError
from riskmodel.features.catalogue import Catalogue, Feature, Sentence, Sentences
from riskmodel.project import Project
from riskmodel.screening import wording
from riskmodel.screening.reason_kernels import Traits
from riskmodel.screening.wording import Language
from riskmodel.vocabulary import RISK_KINDS

CHECKS_FILE: Final = "features/codelists/checks.yaml"
SOURCES_FILE: Final = "features/codelists/sources.yaml"
NOTABLE: Final = 60  # per cent of the neighbours that an amount has to exceed
OUTSTANDING: Final = 80  # the same where the catalogue declares no direction
MOST_PIECES: Final = 50_000  # pieces of sentences that are kept for the next household
# Families whose features describe the data, not the household: never a reason.
NEVER_A_REASON: Final = ("freshness",)
COUNTS: Final = ("people", "times", "items", "visits", "households", "quarters")
REGISTERS: Final = ("households", "members", "policy", "authorisations")
KINDS: Final = tuple(RISK_KINDS)


class RiskCheck(Strict):
    """What the visit list prints for one risk kind, in zh and en, from `checks.yaml`.

    verify: what the visitor verifies. with_labour, without_labour: the families of measures to consider once
    the risk is confirmed, for a household with and without somebody able to work.
    """

    verify: Words
    with_labour: Words
    without_labour: Words


class SourceLabel(Strict):
    """A table as a visitor names it, and when its data count as stale."""

    label: Words
    stale_after_days: int
    each_household: bool = False
    say_absent: bool = False


def plain_entry(name: str, sign: int) -> Feature:
    """An entry for a column of somebody's own wide table, which no catalogue describes: its name serves as
    its label.

    sign: 1 riskier when higher, -1 riskier when lower, 0 unclear, as its plan declares.
    """
    label = name.replace("_", " ")
    words = Words(zh=label, en=label)
    sentence = Sentence(value=f"{label}：{{value}}"), Sentence(value=f"{label}: {{value}}")
    return Feature.model_construct(
        label=words,
        family="table",
        topic=name,
        unit="number",
        manner="amount",
        sources=(),
        window="",
        missing=words,
        risk_kind="other",
        riskier_when={1: "higher", -1: "lower"}.get(sign, "unclear"),
        sentence=Sentences(zh=sentence[0], en=sentence[1]),
        status="active",
        tell=None if sign else ("high_raises", "low_raises", "high_lowers", "low_lowers"),
        amount=None,
        covers=(),
        levels=(),
        label_names_unit=False,
    )


@dataclass(frozen=True)
class CatalogueArrays:
    """Catalogue entries of p features as arrays of shape (p,).

    entries: the catalogue's entries. topic_names: the topics that `traits.topic` indexes. traits: see
    `reason_kernels.Traits`. kind: index of the risk kind in KINDS. sources, source: the tables whose date is
    written with a reason, and each feature's index among them, or -1. rounding: see `wording.rounding_of`.
    """

    entries: tuple[Feature, ...]
    topic_names: tuple[str, ...]
    traits: Traits
    kind: npt.NDArray[np.int64]
    sources: tuple[str, ...]
    source: npt.NDArray[np.int64]
    rounding: npt.NDArray[np.int64]

    @cached_property
    def negative(self) -> dict[Language, list[bool]]:
        """Of each feature, whether a value below 0 has a sentence of its own."""
        return {
            language: [getattr(entry.sentence, language).negative is not None for entry in self.entries]
            for language in wording.LANGUAGES
        }

    @cached_property
    def pieces(self) -> dict[tuple[int, float, str, str], str]:
        """Pieces of sentences written before: (feature, rounded value, language, which piece) -> text."""
        return {}

    def piece(self, place: int, value: float, language: Language, which: str) -> str:
        """The catalogue's text for one value, `sentence` or `after` (see `wording`).

        Rounded values come again and again, so texts are kept; at most MOST_PIECES of them.
        """
        key = (place, value, language, which)
        text = self.pieces.get(key)
        if text is None or value != value:
            if len(self.pieces) >= MOST_PIECES:
                self.pieces.clear()
            write = wording.sentence if which == "sentence" else wording.after
            text = self.pieces[key] = write(self.entries[place], value, language)
        return text

    @cached_property
    def read(self) -> frozenset[str]:
        """Tables that the features are made from."""
        return frozenset(source for entry in self.entries for source in entry.sources)

    @classmethod
    def of(
        cls, names: tuple[str, ...], entries: tuple[Feature, ...], known: Mapping[str, SourceLabel]
    ) -> CatalogueArrays:
        """From the entries of the features in `names`. known: the tables that have a label for visitors."""
        topics = tuple(dict.fromkeys(entry.topic for entry in entries))
        covers = np.zeros((len(topics), len(topics)), np.bool_)
        pair = np.full(len(entries), -1, np.int64)
        for place, entry in enumerate(entries):
            covered = [topics.index(topic) for topic in entry.covers if topic in topics]
            covers[topics.index(entry.topic), covered] = True
            if entry.amount in names:
                amount = names.index(entry.amount)
                pair[place], pair[amount] = amount, place
        main = [main_source(entry, known) for entry in entries]
        sources = tuple(dict.fromkeys(name for name in main if name))

        def flags(hits: Iterable[bool]) -> npt.NDArray[np.bool_]:
            return np.array(list(hits), np.bool_)

        def places(some: Iterable[int]) -> npt.NDArray[np.int64]:
            return np.array(list(some), np.int64)

        traits = Traits(
            topic=places(topics.index(entry.topic) for entry in entries),
            covers=covers,
            raises_when=places(_when(entry, "raises") for entry in entries),
            lowers_when=places(_when(entry, "lowers") for entry in entries),
            is_flag=flags(entry.unit == "flag" for entry in entries),
            zero_sentence=flags(bool(entry.sentence.zh.zero and entry.sentence.en.zero) for entry in entries),
            counted=flags(entry.unit in COUNTS for entry in entries),
            change=flags(entry.manner == "change" for entry in entries),
            compared=flags(entry.manner != "uncompared" for entry in entries),
            notable=places(OUTSTANDING if entry.riskier_when == "unclear" else NOTABLE for entry in entries),
            pair=pair,
        )
        return cls(
            entries=entries,
            topic_names=topics,
            traits=traits,
            kind=places(KINDS.index(entry.risk_kind) for entry in entries),
            sources=sources,
            source=places(sources.index(name) if name else -1 for name in main),
            rounding=places(wording.rounding_of(entry.unit) for entry in entries),
        )


def _when(entry: Feature, way: str) -> int:
    """When a value may be a reason that raises (lowers): 1 when high, -1 when low, 2 in either case, 0
    never."""
    if entry.family in NEVER_A_REASON:
        return 0
    high, low = f"high_{way}" in entry.reason_when, f"low_{way}" in entry.reason_when
    return 2 if high and low else 1 if high else -1 if low else 0


def main_source(entry: Feature, known: Mapping[str, SourceLabel]) -> str:
    """The table whose date is written with a feature: the first that is no register of who lives there, or
    empty."""
    tables = [table for table in entry.sources if table in known]
    return next((table for table in tables if table not in REGISTERS), tables[0] if tables else "")


@dataclass(frozen=True)
class Wordbook:
    """The reviewed texts that reasons are made of: catalogue, checks by risk kind, labels of tables."""

    catalogue: Catalogue
    checks: Mapping[str, RiskCheck]
    sources: Mapping[str, SourceLabel]

    @classmethod
    def load(cls, project: Project, catalogue: Catalogue) -> Wordbook:
        """From the project's codelists. Raises ProjectError with every fault; each risk kind must be
        there."""
        checks = project.load(CHECKS_FILE, TypeAdapter(dict[str, RiskCheck]))
        sources = project.load(SOURCES_FILE, TypeAdapter(dict[str, SourceLabel]))
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
    def _arrays(self) -> dict[tuple[str, ...], CatalogueArrays]:
        return {}

    def arrays(self, names: tuple[str, ...]) -> CatalogueArrays:
        """The catalogue's entries of these features as arrays, computed once."""
        if names not in self._arrays:
            self._arrays[names] = CatalogueArrays.of(
                names, tuple(self.catalogue[name] for name in names), self.sources
            )
        return self._arrays[names]

    def to_check(self, kinds: Sequence[str], has_labour: bool | None, language: Language) -> str:
        """What to verify for these risk kinds, and the family of measures that belongs to each once people
        have confirmed it.

        has_labour None (not known): both families are named.
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
                else (
                    f"{name[:1].upper()}{name[1:]}: {verify}. Measures that belong to it once confirmed: "
                    f"{measure}"
                )
            )
        return "\n".join(lines)
