"""Grades: the order of urgency of the households of a list, from leads, the model's order within the capacity, and the probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from riskmodel.settings import ScreeningSettings
from riskmodel.visits.leads import LEAD_KINDS
from riskmodel.vocabulary import GRADES

GRADE_ORDER: Final = {grade: place for place, grade in enumerate(GRADES)}


def with_grades(listed: pl.DataFrame, capacity: int, settings: ScreeningSettings) -> pl.DataFrame:
    """Add grade and its reasons in words. Random checks are graded like everybody else."""
    graded = [
        grade_of(
            row["lead_kinds"].split(";") if row["lead_kinds"] else [],
            row["rank"],
            row["probability"],
            capacity,
            settings,
        )
        for row in listed.select("lead_kinds", "rank", "probability").iter_rows(named=True)
    ]
    names = ("grade", "grade_reasons_zh", "grade_reasons_en")
    return listed.with_columns(
        pl.Series(name, [item[place] for item in graded], dtype=pl.String) for place, name in enumerate(names)
    )


def grade_of(
    lead_kinds: Sequence[str],
    rank: int | None,
    probability: float | None,
    capacity: int,
    settings: ScreeningSettings,
) -> tuple[str, str, str]:
    """Grade of a household, and why, in zh and en. rank: place in the model's order, 1 first; None: not scored."""
    rules = settings.grades
    found: list[tuple[str, str, str]] = [
        (rules.leads[kind], f"线索：{LEAD_KINDS[kind][0]}", f"lead: {LEAD_KINDS[kind][1]}")
        for kind in lead_kinds
        if kind in rules.leads
    ]
    for grade, cut in (("orange", rules.orange), ("yellow", rules.yellow)):
        share = int(cut.capacity_share * capacity)
        if rank is not None and rank <= share:
            found.append((grade, f"评分位列前{share}户", f"score among the first {share}"))
            break
        if probability is not None and probability >= cut.probability:
            found.append(
                (grade, f"概率不低于{cut.probability:.0%}", f"probability of {cut.probability:.0%} or more")
            )
            break
    if not found:
        return "none", "本期核实安排", "part of this cycle's plan of visits"
    best = min((grade for grade, _, _ in found), key=GRADE_ORDER.__getitem__)
    why = [(zh, en) for grade, zh, en in found if grade == best]
    return best, "；".join(zh for zh, _ in why), "; ".join(en for _, en in why)
