"""Grades: the one rule by which a household is red, orange, yellow or none. Scores, lists, files, page and
API all take it from here.

A grade is an order of urgency for visits. It rests on leads, on the household's place in the model's order
within the capacity, and on its probability; limits: `grades` in `serving/screening.yaml`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from riskmodel.screening import wording
from riskmodel.screening.wording import Language
from riskmodel.settings import Grades
from riskmodel.vocabulary import GRADES, LEAD_KINDS

GRADE_ORDER: Final = {grade: place for place, grade in enumerate(GRADES)}
GUARANTEE_RULE: Final = "rule_guarantee_failed"

# On record, though no open lead (a visit is a short time ago): the reason of the grade in words.
_ON_RECORD: Final = {
    "guarantee": ("保障登记为未达标", "a guarantee is on record as failing"),
    "rule": ("符合部门规则", "meets a department rule"),
}


class GradeReason(NamedTuple):
    """One reason of a grade, in both languages. of_lead: it names the kind of an open lead."""

    of_lead: bool
    zh: str
    en: str


# The grade of households without any reason for a higher one.
_PLANNED: Final = GradeReason(False, "本期核实安排", "part of this cycle's plan of visits")


@dataclass(frozen=True)
class Grading:
    """The rule with its numbers. capacity: visits of a cycle. scored: households in the model's order.

    Places in the order mean something only among more households than can be visited: else they give no
    grade.
    """

    rules: Grades
    capacity: int
    scored: int

    def grade(
        self,
        leads: Collection[str],
        on_record: Collection[str],
        rank: int | None,
        probability: float | None,
    ) -> str:
        """Grade of a household; parameters as in `explain`."""
        grade = "none"
        for kind in (*leads, *on_record):
            grade = min(grade, self.rules.leads.get(kind, "none"), key=GRADE_ORDER.__getitem__)  # type: ignore[call-overload]
        cut, _, _ = self._cut(rank, probability)
        return min(grade, cut, key=GRADE_ORDER.__getitem__)

    def explain(
        self,
        leads: Collection[str],
        on_record: Collection[str],
        rank: int | None,
        probability: float | None,
    ) -> tuple[str, str, str]:
        """Grade of a household, and its reasons joined in one text, in zh and en; parameters as in
        `reasons`."""
        grade, reasons = self.reasons(leads, on_record, rank, probability)
        return grade, joined(reasons, "zh"), joined(reasons, "en")

    def reasons(
        self,
        leads: Collection[str],
        on_record: Collection[str],
        rank: int | None,
        probability: float | None,
    ) -> tuple[str, tuple[GradeReason, ...]]:
        """Grade of a household, and the reasons for it, one or more.

        leads: kinds of its open leads (LEAD_KINDS). on_record: `guarantee` where one is on record as failing,
        `rule` where a department rule is met, whether a lead is open or not. rank: place in the model's
        order, 1 first; None: not scored. probability: 0 to 1, or None.
        """
        found: list[tuple[str, GradeReason]] = [
            (
                self.rules.leads[kind],
                GradeReason(True, f"线索：{LEAD_KINDS[kind][0]}", f"lead: {LEAD_KINDS[kind][1]}"),
            )
            for kind in leads
            if kind in self.rules.leads
        ]
        found += [
            (self.rules.leads[kind], GradeReason(False, *_ON_RECORD[kind]))
            for kind in on_record
            if kind not in leads and kind in self.rules.leads
        ]
        cut, zh, en = self._cut(rank, probability)
        found.append((cut, GradeReason(False, zh, en)))
        best = min((grade for grade, _ in found), key=GRADE_ORDER.__getitem__)
        if best == "none":
            return "none", (_PLANNED,)
        return best, tuple(reason for grade, reason in found if grade == best)

    def _cut(self, rank: int | None, probability: float | None) -> tuple[str, str, str]:
        """The grade of the score alone, and why."""
        for grade, cut in (("orange", self.rules.orange), ("yellow", self.rules.yellow)):
            share = int(cut.capacity_share * self.capacity)
            if rank is not None and rank <= share and self.scored > self.capacity:
                return grade, f"评分位列前{share}户", f"score among the first {share}"
            if probability is not None and probability >= cut.probability:
                return (
                    grade,
                    f"概率不低于{cut.probability:.0%}",
                    f"probability of {cut.probability:.0%} or more",
                )
        return "none", "", ""


def joined(reasons: Iterable[GradeReason], language: Language) -> str:
    """The reasons of a grade in one text."""
    return wording.join([getattr(reason, language) for reason in reasons], language)
