"""What all learners share: how one is described, the task it gets, the members it returns, the weights and
parts of the ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
from pydantic import Field

from riskmodel.declared import Strict
from riskmodel.training.keyed import keyed_numbers
from riskmodel.training.samples import Floats, Sample, Strings, part_of

if TYPE_CHECKING:
    from riskmodel.features.catalogue import Catalogue
    from riskmodel.training.plan import FeatureChoice

# Limits of a plan's numbers.
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Member(Protocol):
    """One fitted model of an ensemble."""

    def margin(self, features: Floats) -> Floats:
        """Raw margin of n rows, shape (n,), higher is riskier. features: shape (n, p), float64, NaN
        unknown."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Everything that is needed to make it again, as JSON."""
        ...


@dataclass(frozen=True)
class Task:
    """What a learner is to do. train, calibrate: labelled rows, `calibrate` later than `train`.

    signs: +1 riskier when higher, -1 riskier when lower, 0 no sign, shape (p,). months: ends of the intervals
    that are predicted. progress: called with a text and the share that is done.
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

    def report(self, text: str, share: float) -> None:
        """Report progress, if somebody listens: a text and the share done, 0 to 1."""
        if self.progress is not None:
            self.progress(text, share)

    def parts(self, sample: Sample) -> Any:
        """For each row the number of the member that is not trained on its village, shape (n,)."""
        return part_of(sample.village, self.members, self.seed)


@dataclass(frozen=True)
class Ensemble:
    """Fitted members, and notes on the fit for the model record (trees, penalty, …)."""

    members: tuple[Member, ...]
    notes: Mapping[str, Any]

    def margins(self, features: Floats) -> Floats:
        """Margin of each member, shape (n, members)."""
        return np.column_stack([member.margin(features) for member in self.members])


class Trials(Protocol):
    """Fits of one learner with several parameters, on the same rows; what they share is made once."""

    def fit(self, task: Task, report: Callable[[int, float], None], /) -> Mapping[str, Any]:
        """The notes of one fit, with `log_loss`. report(trees, loss) may raise an exception, which stops the
        fit.
        """
        ...


@dataclass(frozen=True)
class Wanted:
    """Features that a learner takes, in order, and all names that the plan mentions, so that unknown ones can
    be refused.
    """

    features: Sequence[str]
    mentioned: Sequence[str]


def plan_features(_: Any, choice: FeatureChoice, catalogue: Catalogue) -> Wanted:
    """The active features of the chosen families, less those left out, with those that the plan adds; in the
    catalogue's order.
    """
    chosen = {
        feature
        for feature in catalogue.with_status("active")
        if choice.groups is None or catalogue[feature].family in choice.groups
    }
    chosen = (chosen | set(choice.also)) - set(choice.leave_out)
    wanted = [feature for feature in catalogue.names if feature in chosen]
    return Wanted(wanted, [*choice.leave_out, *choice.also])


@dataclass(frozen=True, kw_only=True)
class LearnerSpec:
    """Everything that the rest of the package needs to know about a learner.

    name: as plans write it. parameters: shape of the plan's keys under the name. fit: task -> ensemble. kind:
    of its members, for the record. load: a stored member (its `as_dict`, and its file's text where it has
    one) -> member. learns: several members are fitted to outcomes, each without a part of the villages.
    months: ends of the intervals that it always predicts; None: the plan's horizon. features: parameters,
    choice of the plan and catalogue -> what it takes; None: the margins of another model. one_feature:
    parameters -> the only column it takes of a ready-made table. for_tables: whether it can be fitted on one.
    explained: whether each feature's part of a score is known. baseline: a rule that others are compared
    with. trials: starts a series of fits for tuning; None: nothing to tune.
    """

    name: str
    parameters: type[Strict]
    fit: Callable[[Task], Ensemble]
    kind: str
    load: Callable[[Mapping[str, Any], str], Member]
    learns: bool = False
    months: tuple[int, ...] | None = None
    features: Callable[[Any, FeatureChoice, Catalogue], Wanted] | None = plan_features
    one_feature: Callable[[Any], str] | None = None
    for_tables: bool = False
    explained: bool = True
    baseline: bool = False
    trials: Callable[[], Trials] | None = None


@dataclass(frozen=True)
class SeparateTrials:
    """Trials that share nothing: each is a fit of its own."""

    of: Callable[[Task], Ensemble]

    def fit(self, task: Task, _: Callable[[int, float], None], /) -> Mapping[str, Any]:
        """Fit once and return the notes of the fit."""
        return self.of(task).notes


def household_weights(household_id: Strings, seed: int) -> Floats:
    """One exponential draw a household (mean 1), the same in all its rows, from a keyed hash: file order and
    machine play no part.
    """
    numbers = keyed_numbers(household_id.tolist(), f"household weight {seed}")
    draws = {household: -np.log((number + 1) / 2**64) for household, number in numbers.items()}
    return np.array([draws[str(household)] for household in household_id], dtype=np.float64)


def log_loss(margin: Floats, label: Floats) -> Floats:
    """Minus log likelihood of each row, shape (n,)."""
    return np.logaddexp(0.0, margin) - label * margin
