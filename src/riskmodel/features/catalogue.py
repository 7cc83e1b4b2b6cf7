"""The catalogue of features: label, unit, sources, sentences of each. Read from `features/catalogue.yaml`;
every entry has the same keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PrivateAttr, RootModel, model_validator

from riskmodel.declared import Strict, Words
from riskmodel.errors import Fault, ProjectError
from riskmodel.features.denylist import Denylist
from riskmodel.features.own import NOTHING_OWN, OWN_FOLDER, OwnFunctions, load_own
from riskmodel.project import Project, fit
from riskmodel.vocabulary import RISK_KINDS

CATALOGUE_FILE = "features/catalogue.yaml"
# What of an entry decides the value of its feature, or how a model and the gate read it.
DECIDING = ("family", "unit", "sources", "window", "riskier_when")

Unit = Literal[
    "yuan",
    "yuan_per_person",
    "share",
    "ratio",
    "times",
    "items",
    "people",
    "months",
    "quarters",
    "days",
    "years",
    "visits",
    "level",
    "mu",
    "km",
    "flag",
    "households",
]
Family = Literal[
    "income",
    "expenditure",
    "illness",
    "disability",
    "household",
    "guarantees",
    "shocks",
    "employment",
    "assistance",
    "history",
    "area",
    "freshness",
    "assets",
    "rules",
]


Telling = Literal["high_raises", "low_raises", "high_lowers", "low_lowers"]
REASON_WHEN: dict[str, tuple[Telling, ...]] = {
    "higher": ("high_raises", "low_lowers"),
    "lower": ("low_raises", "high_lowers"),
    "unclear": (),
}


# How values of a feature are compared and written: an amount (higher, lower), a count (more, less), a change,
# the time since an event, a distance, an age; or not at all (levels, figures of an area).
Manner = Literal["amount", "count", "change", "since", "distance", "age", "uncompared"]

Text = Annotated[str, Field(min_length=1)]


class PartOfWhole(Strict):
    """A sentence about a part of a whole, by the size of the part.

    share: `{value}` is a percentage, or a multiple from 110 % on. times: used from 110 % on instead. whole:
    used for 100 %. least: used below 0.5 %. Without one of the last three, `share` is used.
    """

    share: Text
    times: Text | None = None
    whole: Text | None = None
    least: Text | None = None


class Sentence(Strict):
    """The sentence of a reason in one language. `{value}` is the value with its unit, `{yuan}` an amount
    without "人均".

    zero: for the value 0 (a flag: no). negative: below 0, where `{value}` is the size without its sign.
    missing: for an unknown value. Without them `value` and a general sentence are used. after: what a share
    adds to the sentence of its amount.
    """

    value: Text | PartOfWhole
    zero: str | None = None
    negative: Text | PartOfWhole | None = None
    missing: str | None = None
    after: Text | PartOfWhole | None = None

    @property
    def general(self) -> str:
        """The text for an ordinary value, with its placeholder."""
        return self.value.share if isinstance(self.value, PartOfWhole) else self.value

    @property
    def texts(self) -> tuple[str, ...]:
        """All its texts, in the order of the catalogue."""
        texts: list[str | None] = []
        for sentence in (self.value, self.zero, self.negative, self.missing, self.after):
            texts += sentence.model_dump().values() if isinstance(sentence, PartOfWhole) else [sentence]
        return tuple(text for text in texts if text)


class Sentences(Strict):
    zh: Sentence
    en: Sentence


class Feature(Strict):
    """One feature. `topic` groups features about the same thing: together they make one reason.

    status: `active` is offered to plans; `rule` is a department rule (a baseline and a lead, no predictor);
    `trial` is computed but offered only to plans that name it. tell: when a value may be given as a reason,
    where that is narrower than riskier_when (or, for unclear, more than never). amount: the feature that a
    share is a part of; the two appear in one reason. covers: topics whose money is part of this one's, so
    that no household gets both as reasons. levels: the words for 0, 1, 2, …
    """

    label: Words
    family: Family
    topic: str
    unit: Unit
    manner: Manner
    sources: tuple[str, ...]
    window: str
    missing: Words
    riskier_when: Literal["higher", "lower", "unclear"]
    risk_kind: str
    sentence: Sentences
    status: Literal["active", "rule", "trial"]
    tell: tuple[Telling, ...] | None = None
    amount: str | None = None
    covers: tuple[str, ...] = ()
    levels: tuple[Words, ...] = ()
    label_names_unit: bool = False

    @property
    def reason_when(self) -> tuple[Telling, ...]:
        """The directions (high, low, …) in which a value may be given as a reason."""
        return REASON_WHEN[self.riskier_when] if self.tell is None else self.tell

    @model_validator(mode="after")
    def _known_kind(self) -> Feature:
        if self.risk_kind not in RISK_KINDS:
            raise ValueError(f"risk_kind is one of {', '.join(RISK_KINDS)}")
        return self

    @model_validator(mode="after")
    def _reasons_fit_declaration(self) -> Feature:
        allowed = REASON_WHEN[self.riskier_when]
        if self.tell is not None and allowed and not set(self.tell) <= set(allowed):
            raise ValueError(
                f"tell may only narrow riskier_when: {self.riskier_when}, that is, {' and '.join(allowed)}"
            )
        if self.amount is not None and not (self.sentence.zh.after and self.sentence.en.after):
            raise ValueError("a share with an `amount` needs `after` in both sentences")
        return self


class Catalogue(RootModel[dict[str, Feature]]):
    """All features by name, in the order of the file, which is the order of the columns. own: the functions
    that the project itself brings.
    """

    model_config = ConfigDict(frozen=True)
    _own: OwnFunctions = PrivateAttr(default=NOTHING_OWN)

    @property
    def own(self) -> OwnFunctions:
        """The project's own feature functions (`features/own/`), whose entries are in this catalogue."""
        return self._own

    @model_validator(mode="after")
    def _names_what_is_there(self) -> Catalogue:
        topics = {feature.topic for feature in self.root.values()}
        for name, feature in self.root.items():
            if feature.amount is not None and feature.amount not in self.root:
                raise ValueError(f"{name}: amount names `{feature.amount}`, which is no feature")
            unknown = [topic for topic in feature.covers if topic not in topics]
            if unknown:
                raise ValueError(f"{name}: covers names `{unknown[0]}`, which is no topic")
        return self

    def __getitem__(self, name: str) -> Feature:
        return self.root[name]

    def __contains__(self, name: str) -> bool:
        return name in self.root

    @property
    def names(self) -> list[str]:
        """Names of all features, in the order of the catalogue."""
        return list(self.root)

    def only(self, names: Iterable[str]) -> Catalogue:
        """The same catalogue with only these features, in this order."""
        return Catalogue({name: self.root[name] for name in names})._with(self._own)

    def _with(self, own: OwnFunctions) -> Catalogue:
        self._own = own
        return self

    def meanings(self, names: Iterable[str]) -> dict[str, str]:
        """For each of these features a hash of what decides its value: family, unit, sources, window, sign,
        and the text of the project's own file where the function is in one. Labels and sentences play no
        part. "" for a name that the catalogue does not have.
        """
        from riskmodel.features.definitions import definitions

        files, package = dict(self._own.files), definitions()
        found = {}
        for name in names:
            if name not in self.root:
                found[name] = ""
                continue
            entry = self.root[name]
            parts = entry.model_dump_json(include=set(DECIDING))
            text = "" if name in package else files.get(entry.family, "")
            found[name] = hashlib.sha256((parts + text).encode()).hexdigest()[:12]
        return found

    def with_status(self, *status: str) -> list[str]:
        """Names of the features of these statuses, in order."""
        return [name for name, feature in self.root.items() if feature.status in status]


def load_catalogue(project: Project) -> Catalogue:
    """The project's catalogue, with the project's own functions.

    Raises ProjectError: every fault at once, with file:line. A feature on the denylist is one, an entry
    without a function, and a function in `features/own/` without an entry.
    """
    from riskmodel.features.definitions import definitions

    own = load_own(project)
    document = project.document(CATALOGUE_FILE)
    catalogue = fit(document, Catalogue)
    faults = Denylist.load(project).faults(catalogue.names, CATALOGUE_FILE)
    functions, package = definitions(own), definitions()
    for name, entry in catalogue.root.items():
        at = document.where(name)
        if name not in functions:
            remedy = f"Write it into {OWN_FOLDER}/{entry.family}.py, or delete the entry."
            faults.append(
                Fault(at, "no function of this name", "a function of the package or of the project", remedy)
            )
        elif functions[name].family != entry.family:
            remedy = "Correct `family`, or move the function."
            faults.append(
                Fault(
                    at,
                    f"family {entry.family}",
                    f"{functions[name].family}, whose file holds the function",
                    remedy,
                )
            )
    for name, one in functions.items():
        if name not in package and name not in catalogue:
            remedy = "Copy a neighbour's entry and change every line."
            faults.append(
                Fault(
                    f"{OWN_FOLDER}/{one.family}.py ({name})",
                    "no entry of this name",
                    f"one in {CATALOGUE_FILE}",
                    remedy,
                )
            )
    if faults:
        raise ProjectError(faults)
    return catalogue._with(own)


def catalogue_files(project: Project) -> list[str]:
    """What a hash of the catalogue covers: its file, and the project's own feature functions."""
    own = sorted((project.root / OWN_FOLDER).glob("*.py"))
    return [CATALOGUE_FILE, *(path.relative_to(project.root).as_posix() for path in own)]
