"""A training plan: who is scored, what is predicted, when, and with which learner. One YAML form,
`training/plans/<name>.yaml`.

`docs/training.md` explains each key. Unknown keys are refused with file:line, so that a misspelt parameter
never trains something else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model, model_validator

from riskmodel.declared import Strict, Words
from riskmodel.errors import Fault, PlanError, ProjectError
from riskmodel.features.catalogue import Family
from riskmodel.project import Project
from riskmodel.training.learners import LEARNERS, LearnerSpec
from riskmodel.training.learners.base import Count, Positive, Share

PLAN_FOLDER = Path("training") / "plans"
# Shares of the cohort at which every run is evaluated, beside its own capacity.
COMMON_CAPACITIES = (0.01, 0.02, 0.05, 0.1)


class AsOfGrid(Strict):
    """Which as-of dates are used: a grid that goes back from the newest date whose label is mature.

    every_months: step; 3 gives January, April, July and October. day: the first or last day of a month. test:
    newest dates, kept for evaluation. calibrate: dates before them, for early stopping and calibration.
    train_at_least, train_at_most: dates before those. history_months: months of data before the first
    as-of date.
    """

    every_months: Count = 3
    day: Literal["first", "last"] = "first"
    test: Count = 2
    calibrate: Count = 1
    train_at_least: Count = 2
    train_at_most: Count = 8
    history_months: Annotated[int, Field(ge=0)] = 3


class LabelRules(Strict):
    """reporting_lag_days: how long after the horizon ends verifications are still delivered.
    labelled_share_at_least: an as-of date whose cohort was verified to a lower share in the window is left
    out, because those who were seen are not those who were not.
    """

    reporting_lag_days: Annotated[int, Field(ge=0)] = 60
    labelled_share_at_least: Share = 0.5


class FeatureChoice(Strict):
    """groups: families of the catalogue (all, if left out). leave_out, also: single names; `also` brings in
    features on trial.
    """

    groups: tuple[Family, ...] | None = None
    leave_out: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


class ChosenLearner(Strict):
    """Exactly one learner, with its parameters under its name. Its fields are the entries of
    `learners.LEARNERS`.
    """

    @model_validator(mode="after")
    def _one(self) -> ChosenLearner:
        if len(self.model_fields_set) != 1 or self.parameters is None:
            raise ValueError(
                f"exactly one of {', '.join(type(self).model_fields)}, with its parameters ({{}} for none)"
            )
        return self

    @property
    def name(self) -> str:
        """Name of the learner: the only key of the section."""
        return next(iter(self.model_fields_set))

    @property
    def parameters(self) -> Any:
        """The parameters of the one learner that is named."""
        return getattr(self, self.name)

    @property
    def spec(self) -> LearnerSpec:
        """What the learner is and how it is fitted."""
        return LEARNERS[self.name]


if TYPE_CHECKING:
    Learner = ChosenLearner
else:
    _FIELDS = {name: (spec.parameters | None, None) for name, spec in LEARNERS.items()}
    Learner = create_model("Learner", __base__=ChosenLearner, **_FIELDS)


class Tuning(Strict):
    """A search for better parameters under a stated budget (Optuna), on the calibration slice of the
    evaluation fold only.

    trials: how many at most. minutes: how long at most (with a time limit the result depends on the machine;
    the trials do not). ranges: parameter of the learner -> [lowest, highest].
    """

    trials: Count
    minutes: Positive | None = None
    ranges: Annotated[dict[str, tuple[float, float]], Field(min_length=1)]


class Capacity(Strict):
    """How many households can be visited: visits a month, or a share of the cohort a year. One of the two."""

    visits_a_month: Count | None = None
    share: Share | None = None

    @model_validator(mode="after")
    def _one(self) -> Capacity:
        if (self.visits_a_month is None) == (self.share is None):
            raise ValueError("either visits_a_month or share")
        return self


class WideTable(Strict):
    """A ready-made table: one row a household and wave, or (with `waves`) one row a household.

    file: CSV (also .csv.gz) or Parquet, relative to the tables folder. household, time, village: columns of
    id, wave number and group (the cluster; the household itself if left out). outcome: column of 0/1. ahead:
    waves between the row and its outcome; 0 when the row already carries it. only: values that a row must
    have to be scored, such as {poor: 0}. predictors: columns of numbers; flags: columns of codes -> the codes
    that become a 0/1 column each; ratios: new predictor -> [numerator, denominator]. missing_when: column ->
    value that means "not reported". riskier_when: predictor -> higher or lower, for plans that force signs.
    waves, wave_numbers: for one row a household, how each measure's column is called in a wave: {hours:
    "hours{wave}"}. split: `time` tests on `test_waves` (default: the newest), `households` on each of `parts`
    parts of the households in turn.
    """

    file: str
    household: str
    time: str = "wave"
    village: str | None = None
    outcome: str
    ahead: Annotated[int, Field(ge=0)] = 0
    only: dict[str, float] = {}
    predictors: Annotated[tuple[str, ...], Field(min_length=1)]
    flags: dict[str, tuple[str, ...]] = {}
    ratios: dict[str, tuple[str, str]] = {}
    missing_when: dict[str, float] = {}
    riskier_when: dict[str, Literal["higher", "lower"]] = {}
    waves: dict[str, str] = {}
    wave_numbers: tuple[Annotated[int, Field(ge=1)], ...] = ()
    split: Literal["time", "households"] = "time"
    test_waves: tuple[int, ...] = ()
    parts: Annotated[int, Field(ge=2, le=20)] = 5


class Plan(Strict):
    """One training plan. Make it with `load_plan`.

    refused_rows_at_most: share of any table's rows that may have been set aside by the checks; by default
    none.
    """

    title: Words
    source: Literal["county", "table"] = "county"
    table: WideTable | None = None
    horizon_months: Literal[3, 6, 12] = 12
    as_of: AsOfGrid = AsOfGrid()
    label: LabelRules = LabelRules()
    refused_rows_at_most: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    features: FeatureChoice = FeatureChoice()
    learner: Learner
    members: Annotated[int, Field(ge=1, le=32)] = 4
    seed: Annotated[int, Field(ge=0)] = 1
    calibration: Literal["beta"] = "beta"
    capacity: Capacity = Capacity(share=0.03)
    groups: tuple[str, ...] = (
        "ethnic_minority",
        "female_head",
        "elderly_only",
        "disability",
        "remote",
        "relocated",
        "category",
    )
    tuning: Tuning | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Plan:
        spec = self.learner.spec
        if (self.source == "table") != (self.table is not None):
            raise ValueError("`source: table` and the block `table:` belong together")
        if spec.learns and self.members < 2:
            raise ValueError(
                "members: at least 2, because each household is calibrated by a member that never "
                "saw its village"
            )
        if spec.months is not None and self.horizon_months != spec.months[-1]:
            beside = " and ".join(map(str, spec.months[:-1]))
            raise ValueError(
                f"horizon_months: a {spec.name} always looks at {spec.months[-1]} months, and gives "
                f"{beside} beside"
            )
        if self.tuning is not None and spec.trials is None:
            raise ValueError(f"tuning: {spec.name} has nothing to tune")
        if self.tuning is not None:
            known = set(type(self.learner.parameters).model_fields)
            unknown = sorted(set(self.tuning.ranges) - known)
            if unknown:
                raise ValueError(
                    f"tuning.ranges: {', '.join(unknown)} is no parameter of {self.learner.name}"
                )
        return self


def capacities_of(plan: Plan) -> list[float]:
    """The plan's own capacity first, then the common shares."""
    own: float = (
        plan.capacity.visits_a_month
        if plan.capacity.visits_a_month is not None
        else plan.capacity.share or 0.03
    )
    return [own, *(share for share in COMMON_CAPACITIES if share != own)]


def plan_names(project: Project) -> list[str]:
    """Names of the plans that the project holds, sorted."""
    return sorted(path.stem for path in (project.root / PLAN_FOLDER).glob("*.yaml"))


def load_plan(project: Project, name: str) -> Plan:
    """The plan of that name. Raises PlanError: no such plan, or every fault in it, each with file:line."""
    path = PLAN_FOLDER / f"{name}.yaml"
    if not (project.root / path).is_file():
        raise PlanError(
            Fault(
                str(project.root / PLAN_FOLDER),
                f"no plan `{name}`",
                f"one of {', '.join(plan_names(project)) or '(none there)'}",
                f"Correct the name, or write {path}.",
            )
        )
    try:
        return project.load(path, Plan)
    except ProjectError as error:
        raise PlanError(error.faults) from None
