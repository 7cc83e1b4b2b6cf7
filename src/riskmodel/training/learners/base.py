"""What all learners share: the task they get, the members they give, the weights and parts of the ensemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from riskmodel.training.keyed import keyed_numbers
from riskmodel.training.samples import Floats, Sample, Strings, part_of


class Member(Protocol):
    """One fitted model of an ensemble."""

    def margin(self, features: Floats) -> Floats:
        """Raw margin of n rows, shape (n,), higher is riskier. features: shape (n, p), float64, NaN unknown."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Everything that is needed to make it again, as JSON."""
        ...


@dataclass(frozen=True)
class Task:
    """What a learner is to do. train, calibrate: labelled rows, `calibrate` later than `train`.

    signs: +1 riskier when higher, -1 riskier when lower, 0 no sign, shape (p,). months: ends of the intervals that are predicted.
    progress: called with a text and the share that is done.
    """

    parameters: Any
    train: Sample
    calibrate: Sample
    members: int
    seed: int
    signs: Sequence[int]
    months: tuple[int, ...]
    threads: int = 1
    progress: Callable[[str, float], None] | None = None

    def tell(self, text: str, share: float) -> None:
        if self.progress is not None:
            self.progress(text, share)

    def parts(self, sample: Sample) -> Any:
        """Which member has not seen the village of each row, shape (n,)."""
        return part_of(sample.village, self.members, self.seed)


@dataclass(frozen=True)
class Ensemble:
    """Fitted members, and what there is to tell about the fit (trees, penalty, …)."""

    members: tuple[Member, ...]
    notes: Mapping[str, Any]

    def margins(self, features: Floats) -> Floats:
        """Margin of each member, shape (n, members)."""
        return np.column_stack([member.margin(features) for member in self.members])


def household_weights(household_id: Strings, seed: int) -> Floats:
    """One exponential draw a household (mean 1), the same in all its rows, from a keyed hash: file order and machine play no part."""
    numbers = keyed_numbers(household_id.tolist(), f"household weight {seed}")
    draws = {household: -np.log((number + 1) / 2**64) for household, number in numbers.items()}
    return np.array([draws[str(household)] for household in household_id], dtype=np.float64)


def log_loss(margin: Floats, label: Floats) -> Floats:
    """Minus log likelihood of each row, shape (n,)."""
    return np.logaddexp(0.0, margin) - label * margin
