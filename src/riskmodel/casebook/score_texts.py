"""Texts stored with each score: reasons, notes, checks, rules met and the age of the data, as compressed
JSON.

Pages and answers read them and compute nothing. One scoring (a cohort of a day by one model) shares a
compression dictionary, because most texts occur for many households.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from riskmodel.screening.reasons import LEVELS, MOST_RAISING, ReasonTable
from riskmodel.screening.scoring import RULE, Scores
from riskmodel.screening.wording import LANGUAGES, ReasonText

DICTIONARY_BYTES: Final = 32_768  # as much as zlib looks back
SAMPLE: Final = 400
_AGE: Final = "_age_days"


def pack(content: bytes, dictionary: bytes) -> bytes:
    """Compress the JSON of one household with the dictionary of its scoring."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, dictionary)
    return squeeze.compress(content) + squeeze.flush()


def unpack(content: bytes, dictionary: bytes) -> dict[str, Any]:
    """The inverse of `pack`, as a dict; each reason gets its whole sentences (`zh`, `en`) beside their
    parts.
    """
    texts: dict[str, Any] = json.loads(zlib.decompressobj(-15, dictionary).decompress(content))
    for reason in texts.get("reasons", ()):
        for language in LANGUAGES:
            parts = reason.get(f"{language}_parts")
            if parts is not None:  # older scorings kept the whole sentence
                reason[language] = ReasonText(*parts).joined(language)
    return texts


def dictionary_of(sample: Sequence[bytes]) -> bytes:
    """The compression dictionary from texts sampled over the cohort: the last DICTIONARY_BYTES of them
    joined.
    """
    return b"".join(sample)[-DICTIONARY_BYTES:]


def sources_of(scores: Scores) -> dict[str, dict[str, Any]]:
    """Each table as a visitor names it, and after how many days its data count as stale."""
    return {
        name: {"zh": source.label.zh, "en": source.label.en, "stale_after_days": source.stale_after_days}
        for name, source in scores.table.wordbook.sources.items()
    }


def rules_of(scores: Scores) -> dict[str, dict[str, str]]:
    """The labels of the department rules: name -> zh, en."""
    catalogue = scores.table.wordbook.catalogue
    names = [name for name in scores.matrix.names if name.startswith(RULE)]
    return {name: {"zh": catalogue[name].label.zh, "en": catalogue[name].label.en} for name in names}


def score_texts(scores: Scores, places: npt.NDArray[np.intp] | None = None) -> Iterator[tuple[str, bytes]]:
    """(household_id, JSON) of each household of a scoring, in the matrix's order. places: only of the
    households at these positions.
    """
    places = np.arange(len(scores)) if places is None else places
    table, matrix = scores.table.only(places), scores.matrix
    zh, en = table.texts_by_slot("zh"), table.texts_by_slot("en")
    notes_zh, notes_en = table.notes("zh"), table.notes("en")
    effects = _effects(table).tolist()
    entries = [table.wordbook.catalogue[name] for name in table.names]
    weights, whole, level = (
        _weights(table).tolist(),
        np.abs(table.topics).sum(axis=1).tolist(),
        table.level.tolist(),
    )
    feature, values = table.feature.tolist(), table.values
    ages = {
        name.removesuffix(_AGE): matrix.column(name)[places].tolist()
        for name in matrix.names
        if name.endswith(_AGE)
    }
    rules = {name: matrix.column(name)[places].tolist() for name in matrix.names if name.startswith(RULE)}
    checks: dict[tuple[str, bool | None], tuple[str, str]] = {}
    for row, household in enumerate(matrix.household_id[places].tolist()):
        asked = (table.risk_kinds[row], scores.has_labour(int(places[row])))
        if asked not in checks:
            kinds = tuple(kind for kind in asked[0].split(";") if kind)
            checks[asked] = (
                table.wordbook.to_check(kinds, asked[1], "zh"),
                table.wordbook.to_check(kinds, asked[1], "en"),
            )
        reasons = [
            {
                "zh_parts": list(zh[row][slot] or ()),
                "en_parts": list(en[row][slot] or ()),
                "risk_kind": entries[place].risk_kind,
                "raises": slot < MOST_RAISING,
                "effect": effects[row][slot],
                # What a later scoring is compared with (`screening.changes.HouseholdScoring`); not shown.
                "feature": table.names[place],
                "topic": entries[place].topic,
                "unit": entries[place].unit,
                "value": values[row][place],
                "weight": weights[row][slot],
                "strength": abs(weights[row][slot]) / (whole[row] or 1.0),
                "level": LEVELS[level[row][slot]],
                "sources": entries[place].sources,
                "told": entries[place].reason_when,
                "manner": entries[place].manner,
            }
            for slot, place in enumerate(feature[row])
            if place >= 0
        ]
        texts = {
            "reasons": reasons,
            "notes_zh": notes_zh[row],
            "notes_en": notes_en[row],
            "checks_zh": checks[asked][0],
            "checks_en": checks[asked][1],
            "rules": [name for name, column in rules.items() if column[row] == 1],
            "ages": {name: int(column[row]) for name, column in ages.items() if column[row] == column[row]},
        }
        yield household, orjson.dumps(texts, default=list, option=orjson.OPT_SERIALIZE_NUMPY)


def _weights(table: ReasonTable) -> npt.NDArray[np.float64]:
    """What the topic of each reason added to the margin, shape (n, 7); 0 where there is no reason."""
    topic = table.wordbook.arrays(table.names).traits.topic
    rows = np.arange(len(table))[:, None]
    return np.where(table.feature >= 0, table.topics[rows, topic[np.maximum(table.feature, 0)]], 0.0)


def _effects(table: ReasonTable) -> npt.NDArray[np.float64]:
    """Contribution of each reason's topic, shape (n, 7), as a share of the household's largest: -1 to 1, two
    decimals, for bars."""
    weights = _weights(table)
    largest = np.abs(weights).max(axis=1, keepdims=True)
    shares: npt.NDArray[np.float64] = np.round(weights / np.where(largest > 0, largest, 1.0), 2)
    return shares


def plain_score_texts(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """As `score_texts`, from rows of scores that came without their reasons table: all reasons as one text,
    and no ages of data.
    """
    for row in rows:
        reasons: list[dict[str, Any]] = []
        if row.get("reasons_zh"):
            reasons = [
                {
                    "zh": row["reasons_zh"],
                    "en": row.get("reasons_en") or "",
                    "risk_kind": "other",
                    "raises": True,
                    "effect": 1.0,
                }
            ]
        met = [name for name, value in row.items() if name.startswith(RULE) and value == 1]
        texts: dict[str, Any] = {
            "reasons": reasons,
            "notes_zh": row.get("notes_zh") or "",
            "notes_en": row.get("notes_en") or "",
            "checks_zh": "",
            "checks_en": "",
            "rules": met,
            "ages": {},
        }
        yield row["household_id"], orjson.dumps(texts)
