"""Grades: the one rule by which a household is red, orange, yellow or none. Scores, lists, files, page and
API all take it from here.

A grade is an order of urgency for visits. It rests on leads, on the household's place in the model's order
within the capacity, and on its probability; limits: `grades` in `serving/screening.yaml`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from riskmodel.settings import Grades
from riskmodel.vocabulary import GRADES, LEAD_KINDS

GRADE_ORDER: Final = {grade: place for place, grade in enumerate(GRADES)}
GUARANTEE_RULE: Final = "rule_guarantee_failed"

# On record, though no open lead (a visit is a short time ago): the reason of the grade in words.
_ON_RECORD: Final = {
    "guarantee": ("保障登记为未达标", "a guarantee is on record as failing"),
    "rule": ("符合部门规则", "meets a department rule"),
}


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
        """Grade of a household, and why, in zh and en.

        leads: kinds of its open leads (LEAD_KINDS). on_record: `guarantee` where one is on record as failing,
        `rule` where a department rule is met, whether a lead is open or not. rank: place in the model's
        order, 1 first; None: not scored. probability: 0 to 1, or None.
        """
        found: list[tuple[str, str, str]] = [
            (self.rules.leads[kind], f"线索：{LEAD_KINDS[kind][0]}", f"lead: {LEAD_KINDS[kind][1]}")
            for kind in leads
            if kind in self.rules.leads
        ]
        found += [
            (self.rules.leads[kind], *_ON_RECORD[kind])
            for kind in on_record
            if kind not in leads and kind in self.rules.leads
        ]
        found.append(self._cut(rank, probability))
        best = min((grade for grade, _, _ in found), key=GRADE_ORDER.__getitem__)
        if best == "none":
            return "none", "本期核实安排", "part of this cycle's plan of visits"
        why = [(zh, en) for grade, zh, en in found if grade == best]
        return best, "；".join(zh for zh, _ in why), "; ".join(en for _, en in why)

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
