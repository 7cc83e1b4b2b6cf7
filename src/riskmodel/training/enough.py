"""Whether the rows of a fold are enough to learn from; if not, every reason at once, each as a fault with its
remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from riskmodel.errors import Fault
from riskmodel.training.plan import PLAN_FOLDER, Plan
from riskmodel.training.samples import Sample, part_of

if TYPE_CHECKING:
    from riskmodel.training.fold_rows import FoldRows

# With two villages a member would learn from one and be calibrated on the other.
FEWEST_VILLAGES: Final = 3
# Confirmed and cleared households that each use of a fold holds.
FEWEST_OF_EACH: Final = 2


def faults_of_fold(name: str, plan: Plan, part: FoldRows, where: Mapping[str, str]) -> list[Fault]:
    """Every reason why the plan cannot be fitted on this round; empty when it can.

    name: the plan's. where: how a person finds the rows of a use (`train`, `calibrate`, `test`); uses that it
    does not name are not looked at.
    """
    faults = []
    for use, place in where.items():
        sample = getattr(part, use)
        confirmed, cleared = _counts(sample)
        if min(confirmed, cleared) < FEWEST_OF_EACH:
            faults.append(
                Fault(
                    place,
                    f"{confirmed} confirmed and {cleared} cleared households",
                    f"at least {FEWEST_OF_EACH} of each",
                    "Bring verifications of these months, or choose other as-of dates.",
                )
            )
    if plan.learner.spec.learns and not faults:
        faults += _faults_of_members(name, plan, part.train, where["train"])
        faults += _faults_of_features(name, part.train, where["train"])
    return faults


def _counts(sample: Sample) -> tuple[int, int]:
    """Confirmed and cleared rows."""
    return int((sample.label == 1).sum()), int((sample.label == 0).sum())


def _faults_of_members(name: str, plan: Plan, train: Sample, where: str) -> list[Fault]:
    """Each member learns from all villages but its own part: what is left to it must hold both outcomes."""
    villages = len(set(train.village.tolist()))
    if villages < FEWEST_VILLAGES:
        return [
            Fault(
                f"villages, {where}",
                f"{villages} {'village' if villages == 1 else 'villages'}",
                (
                    f"at least {FEWEST_VILLAGES} villages: each member of plan {name} is calibrated in "
                    "villages that it did not learn from"
                ),
                (
                    "Bring the tables of the whole county. The plans income_rule and department_rules need "
                    "no villages."
                ),
            )
        ]
    parts = part_of(train.village, plan.members, plan.seed)
    for number in range(plan.members):
        confirmed, cleared = _counts(train.rows(parts != number))
        if not min(confirmed, cleared):
            return [
                Fault(
                    f"member {number + 1} of {plan.members}, {where}",
                    (
                        f"{confirmed} confirmed and {cleared} cleared households in the villages that it "
                        "learns from"
                    ),
                    "at least 1 of each for every member",
                    f"Bring verifications of more villages, or raise `members` in {PLAN_FOLDER / name}.yaml.",
                )
            ]
    return []


def _faults_of_features(name: str, train: Sample, where: str) -> list[Fault]:
    """A fault unless at least one feature differs between two training rows, in value or in being unknown."""
    values = train.features
    first = values[:1]
    same = (values == first) | (np.isnan(values) & np.isnan(first))
    if not same.all():
        return []
    unknown = int(np.isnan(first).sum())
    return [
        Fault(
            f"{PLAN_FOLDER / name}.yaml (features), {where}",
            f"each of the {values.shape[1]} features has one value throughout, {unknown} of them unknown",
            "at least one feature in which households differ",
            "Deliver the tables that these features are made of, or choose other features.",
        )
    ]
