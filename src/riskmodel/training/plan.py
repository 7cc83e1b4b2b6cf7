"""A training plan: who is scored, what is predicted, when, and with which learner. One YAML form, `training/plans/<name>.yaml`.

`docs/training.md` explains each key. Unknown keys are refused with file:line, so that a misspelt parameter never trains something else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from riskmodel.declared import Strict, Words
from riskmodel.errors import Fault, PlanError, ProjectError
from riskmodel.features.catalogue import Family
from riskmodel.project import Project

PLAN_FOLDER = Path("training") / "plans"
# Learners that fit several members to outcomes.
LEARNING = ("logistic", "lightgbm", "boosting", "hazard")

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class AsOfGrid(Strict):
    """Which as-of dates are used: a grid that goes back from the newest date whose label is mature.

    every_months: step; 3 gives January, April, July and October. day: the first or last day of a month. test: newest dates, kept for evaluation. calibrate: dates before
    them, for early stopping and calibration. train_at_least, train_at_most: dates before those. history_months: data that must
    lie before the first as-of date.
    """

    every_months: Count = 3
    day: Literal["first", "last"] = "first"
    test: Count = 2
    calibrate: Count = 1
    train_at_least: Count = 2
    train_at_most: Count = 8
    history_months: Annotated[int, Field(ge=0)] = 3


class LabelRules(Strict):
    """reporting_lag_days: how long after the horizon ends verifications still come in. labelled_share_at_least: an as-of date whose
    cohort was verified to a lower share in the window is left out, because those who were seen are not those who were not."""

    reporting_lag_days: Annotated[int, Field(ge=0)] = 60
    labelled_share_at_least: Share = 0.5


class FeatureChoice(Strict):
    """groups: families of the catalogue (all, if left out). leave_out, also: single names; `also` brings in features on trial."""

    groups: tuple[Family, ...] | None = None
    leave_out: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


class IncomeRule(Strict):
    """Order by one figure, lowest first: the income after compliant medical cost against the monitoring line."""

    feature: str = "income_gap_pp"
    riskier_when: Literal["lower", "higher"] = "lower"


class DepartmentRules(Strict):
    """Order by the number of department rules that a household meets, the graver counting `grave_weight` times.

    grave: rules that count more. A rule that cannot be checked (unknown) does not count as met.
    """

    grave: tuple[str, ...] = ()
    grave_weight: Positive = 2.0


class Logistic(Strict):
    """Ridge logistic regression on imputed, winsorised and standardised features.

    penalties: strengths to choose from on the calibration slice (the sum of squared coefficients is weighted by penalty / 2).
    winsorise: share cut at both ends of each feature, on the training rows.
    """

    penalties: Annotated[tuple[Positive, ...], Field(min_length=1)] = (300.0, 1000.0, 3000.0, 10000.0)
    winsorise: Annotated[float, Field(ge=0, lt=0.2)] = 0.005


class LightGBM(Strict):
    """Gradient boosted trees, native LightGBM. monotone: declared signs (`riskier_when`) are forced on every tree.

    rounds_at_most: trees before early stopping. patience: rounds without improvement on the calibration slice. logistic_share: part of a
    member's margin that tells, by trees, what a logistic regression on the same rows says (`learners/prior.py`); 0 grows on outcomes alone.
    """

    rounds_at_most: Annotated[int, Field(ge=1, le=5000)] = 400
    patience: Count = 40
    learning_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    leaves: Annotated[int, Field(ge=2, le=255)] = 6
    depth_at_most: Annotated[int, Field(ge=1, le=8)] = 3
    rows_in_leaf_at_least: Count = 100
    weight_in_leaf_at_least: NotNegative = 1.0
    features_a_tree: Annotated[float, Field(gt=0, le=1)] = 0.4
    rows_a_tree: Annotated[float, Field(gt=0, le=1)] = 0.6
    penalty_l1: NotNegative = 0.0
    penalty_l2: NotNegative = 20.0
    path_smooth: NotNegative = 0.0
    bins: Annotated[int, Field(ge=15, le=255)] = 63
    logistic_share: Annotated[float, Field(ge=0, le=0.95)] = 0.6
    monotone: bool = False


class Boosting(Strict):
    """scikit-learn's histogram gradient boosting, kept as arrays in JSON."""

    rounds_at_most: Annotated[int, Field(ge=1, le=5000)] = 300
    patience: Count = 50
    learning_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    leaves: Annotated[int, Field(ge=2, le=255)] = 6
    depth_at_most: Annotated[int, Field(ge=1, le=8)] = 3
    rows_in_leaf_at_least: Count = 200
    penalty_l2: NotNegative = 20.0
    features_a_split: Annotated[float, Field(gt=0, le=1)] = 0.4


class Hazard(LightGBM):
    """Discrete-time hazard: one LightGBM model over the intervals (0, 3], (3, 6] and (6, 12] months gives one coherent curve."""


class External(Strict):
    """A challenger that is not trained here: `predictions` is a Parquet or CSV file with household_id, as_of and margin, that the
    other model made for the same as-of dates. It is calibrated and compared like every plan; it cannot be promoted."""

    predictions: str


class Learner(Strict):
    """Exactly one learner, with its parameters under its name."""

    income_rule: IncomeRule | None = None
    department_rules: DepartmentRules | None = None
    logistic: Logistic | None = None
    lightgbm: LightGBM | None = None
    boosting: Boosting | None = None
    hazard: Hazard | None = None
    external: External | None = None

    @model_validator(mode="after")
    def _one(self) -> Learner:
        if len(self.model_fields_set) != 1 or self.parameters is None:
            raise ValueError(
                f"exactly one of {', '.join(type(self).model_fields)}, with its parameters ({{}} for none)"
            )
        return self

    @property
    def name(self) -> str:
        return next(iter(self.model_fields_set))

    @property
    def parameters(self) -> Any:
        """The parameters of the one learner that is named."""
        return getattr(self, self.name)


class Tuning(Strict):
    """A search for better parameters under a stated budget (Optuna), on the calibration slice of the evaluation fold only.

    trials: how many at most. minutes: how long at most (with a time limit the result depends on the machine; the trials do not).
    ranges: parameter of the learner -> [lowest, highest].
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

    file: CSV (also .csv.gz) or Parquet, relative to the tables folder. household, time, village: columns of id, wave number and group (the
    cluster; the household itself if left out). outcome: column of 0/1. ahead: waves between the row and its outcome; 0 when the row
    already carries it. only: values that a row must have to be scored, such as {poor: 0}. predictors: columns of numbers; flags: columns of
    codes -> the codes that become a 0/1 column each; ratios: new predictor -> [numerator, denominator]. missing_when: column -> value that
    means "not reported". riskier_when: predictor -> higher or lower, for plans that force signs.
    waves, wave_numbers: for one row a household, how each measure's column is called in a wave: {hours: "hours{wave}"}.
    split: `time` tests on `test_waves` (default: the newest), `households` on each of `parts` parts of the households in turn.
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

    refused_rows_at_most: share of any table's rows that may have been set aside by the checks; by default none.
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

    @property
    def learns(self) -> bool:
        """Whether its learner fits members to outcomes; rules and external margins do not."""
        return self.learner.name in LEARNING

    @model_validator(mode="after")
    def _agrees(self) -> Plan:
        if (self.source == "table") != (self.table is not None):
            raise ValueError("`source: table` and the block `table:` belong together")
        if self.learns and self.members < 2:
            raise ValueError(
                "members: at least 2, because each household is calibrated by a member that never saw its village"
            )
        if self.learner.name == "hazard" and self.horizon_months != 12:
            raise ValueError("horizon_months: a hazard always looks at 12 months, and gives 3 and 6 beside")
        if self.tuning is not None and not self.learns:
            raise ValueError(f"tuning: {self.learner.name} has nothing to tune")
        if self.tuning is not None:
            known = set(type(self.learner.parameters).model_fields)
            unknown = sorted(set(self.tuning.ranges) - known)
            if unknown:
                raise ValueError(
                    f"tuning.ranges: {', '.join(unknown)} is no parameter of {self.learner.name}"
                )
        return self


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
