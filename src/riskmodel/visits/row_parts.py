"""The reasons of one row of a visit list in parts: what files and pages join, each in its own way.

The columns of the list hold the same reasons joined to texts (`grade_reasons_zh`, `reasons_zh`, …). Rows of
lists that were issued before parts were stored have none, nor have reasons of scores that come as a plain
table: their texts are shown whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from riskmodel.screening.grades import GradeReason
from riskmodel.screening.reasons import Reason
from riskmodel.screening.wording import Language, ReasonText

_LOWERING: Final = {"zh": "另一方面：", "en": "On the other hand: "}


class ListedReason(NamedTuple):
    """One reason of a score, in parts. raises: it raises the score."""

    raises: bool
    zh: ReasonText
    en: ReasonText


@dataclass(frozen=True)
class RowParts:
    """Reasons of the grade (one or more) and of the score (None: its text came without parts)."""

    grade: tuple[GradeReason, ...]
    reasons: tuple[ListedReason, ...] | None = None

    def stored(self) -> dict[str, Any]:
        """For JSON; `from_stored` reads it back."""
        reasons = self.reasons and [[one.raises, list(one.zh), list(one.en)] for one in self.reasons]
        return {"grade": [list(one) for one in self.grade], "reasons": reasons}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> RowParts:
        """The inverse of `stored`."""
        reasons = stored["reasons"]
        return cls(
            tuple(GradeReason(*one) for one in stored["grade"]),
            reasons
            and tuple(ListedReason(raises, ReasonText(*zh), ReasonText(*en)) for raises, zh, en in reasons),
        )


def listed_reasons(reasons: Iterable[Reason]) -> tuple[ListedReason, ...]:
    """The reasons of a score as a list carries them: raising before lowering."""
    each = [ListedReason(one.raises, one.zh_parts, one.en_parts) for one in reasons]
    return tuple(sorted(each, key=lambda one: not one.raises))


def reason_lines(reasons: Sequence[ListedReason], language: Language, *, dated: bool = True) -> str:
    """The reasons of a score, a line each. dated: with the date of their data; that data have not been
    renewed for long is always written."""
    lines = []
    for one in reasons:
        text = one.zh if language == "zh" else one.en
        written = text.joined(language) if dated else text.without_date(language)
        lines.append(written if one.raises else _LOWERING[language] + written)
    return "\n".join(lines)


def grade_lines(
    leads: str | None, parts: RowParts | None, whole: str | None, language: Language
) -> list[str]:
    """Why a household has its grade: its leads in full, then the reasons that are not leads.

    leads: its leads in words, None or empty: none. whole: all reasons of the grade in one text, shown where
    `parts` is None.
    """
    others = (
        [whole or ""] if parts is None else [getattr(one, language) for one in parts.grade if not one.of_lead]
    )
    return [text for text in (leads, *others) if text]
