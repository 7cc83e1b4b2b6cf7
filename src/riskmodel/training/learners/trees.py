"""LightGBM done carefully: native Boosters, deterministic, one Dataset a fold, stopped together on villages
and dates they never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from riskmodel.declared import Strict
from riskmodel.explaining.trees import trees_hash
from riskmodel.training.learners.base import (
    Count,
    Ensemble,
    LearnerSpec,
    NotNegative,
    Task,
    household_weights,
    log_loss,
)
from riskmodel.training.learners.prior import Prior, distil_regression, distilled_rows, fit_prior, joined
from riskmodel.training.samples import INTERVALS, Floats, Sample

# Trees are grown this many at a time before the members are stopped together.
STEP = 10
# A member is grown out when this many draws of features in a row hold no split.
GIVE_UP = 20


class LightGBM(Strict):
    """Gradient boosted trees, native LightGBM. monotone: declared signs (`riskier_when`) are forced on every
    tree.

    rounds_at_most: trees before early stopping. patience: rounds without improvement on the calibration
    slice. logistic_share: weight of the trees that distil a ridge logistic regression on the same rows
    (`learners/prior.py`) in a member's margin; 0 grows on outcomes alone.
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


class Hazard(LightGBM):
    """Discrete-time hazard: one LightGBM model over the intervals (0, 3], (3, 6] and (6, 12] months gives one
    coherent curve.
    """


@dataclass
class TreeMember:
    """A LightGBM model as its text. The Booster is made on first use."""

    text: str
    _booster: Any = field(default=None, repr=False, compare=False)

    @property
    def booster(self) -> Any:
        """The native Booster. Never make it from text whose hash was not checked: a damaged text aborts the
        process.
        """
        import lightgbm as lgb

        if self._booster is None:
            self._booster = lgb.Booster(model_str=self.text)
        return self._booster

    def margin(self, features: Floats) -> Floats:
        """Margin of each row by LightGBM itself, on one thread, shape (n,). features: shape (n, p), NaN
        unknown."""
        return np.asarray(self.booster.predict(features, raw_score=True, num_threads=1), dtype=np.float64)

    def contributions(self, features: Floats) -> tuple[Floats, float]:
        """Each feature's part of the margin (SHAP values), shape (n, p), and the base. For some hundred rows:
        `screening.explain` is faster.
        """
        parts = np.asarray(self.booster.predict(features, pred_contrib=True, num_threads=1), dtype=np.float64)
        return parts[:, :-1], float(parts[0, -1]) if len(parts) else 0.0

    @property
    def trees_hash(self) -> str:
        """SHA-256 of the trees: the model text before its `parameters:` block."""
        return trees_hash(self.text)

    def as_dict(self) -> dict[str, Any]:
        """The hash of the trees; their text is a file of its own."""
        return {"trees": self.trees_hash}


def parameters_of(task: Task, number: int) -> dict[str, Any]:
    """LightGBM's own parameters for one member."""
    wanted = task.parameters
    parameters: dict[str, Any] = {
        "objective": "binary",
        "metric": "none",
        "boost_from_average": True,
        "learning_rate": wanted.learning_rate,
        "num_leaves": wanted.leaves,
        "max_depth": wanted.depth_at_most,
        "min_data_in_leaf": wanted.rows_in_leaf_at_least,
        "min_sum_hessian_in_leaf": wanted.weight_in_leaf_at_least,
        "feature_fraction": wanted.features_a_tree,
        "bagging_fraction": wanted.rows_a_tree,
        "bagging_freq": 1 if wanted.rows_a_tree < 1 else 0,
        "lambda_l1": wanted.penalty_l1,
        "lambda_l2": wanted.penalty_l2,
        "path_smooth": wanted.path_smooth,
        "seed": task.seed * 1000 + number,
        "num_threads": 1,
        "verbosity": -1,
        **binning(wanted),
    }
    if wanted.monotone:
        # Not `advanced`: it breaks the signs that it promises (LightGBM issues 5358 and 6155, open).
        parameters |= {
            "monotone_constraints": list(task.signs),
            "monotone_constraints_method": "intermediate",
        }
    return parameters


def binning(wanted: Any) -> dict[str, Any]:
    """Parameters that belong to the Dataset: they are the same for every member and trial of a fold."""
    return {
        "max_bin": wanted.bins,
        "min_data_in_bin": 20,
        "feature_pre_filter": False,
        "use_missing": True,
        "zero_as_missing": False,
        "data_random_seed": 1,
        "deterministic": True,
        # Of the two ways that keep trees the same on any number of threads, the faster one where each tree
        # sees a part of the features.
        "force_col_wise": True,
        "verbosity": -1,
    }


def dataset_of(sample: Sample, wanted: Any, threads: int) -> Any:
    """The binned training rows of a fold, made once and shared by members and trials."""
    import lightgbm as lgb

    data = lgb.Dataset(
        sample.features,
        label=sample.label,
        feature_name=[str(name) for name in sample.names],
        params={**binning(wanted), "num_threads": threads},
        free_raw_data=True,
    )
    return data.construct()


@dataclass
class _Growing:
    """A member while it grows. told: the Booster distilled from the regression, None without one; share: its
    weight in the margin. outcomes: the Booster on the outcomes. inputs, label: rows of the villages that it
    is not trained on, at the later dates; margin: its margin of them so far. idle: draws of features in a row
    without a split.
    """

    distilled: Any
    share: float
    outcomes: Any
    inputs: Floats
    label: Floats
    margin: Floats
    idle: int = 0

    def start(self, distilled_trees: Callable[[], Any] | None) -> None:
        """Grow the trees distilled from the regression, if the plan asks for them."""
        if distilled_trees is not None:
            self.distilled = distilled_trees()
            self.margin = self._with(self.distilled, self.share, 0)

    def grow(self, trees: int) -> float:
        """Add so many trees on the outcomes; the log loss of the unseen rows, summed."""
        before = self.outcomes.current_iteration()
        for _ in range(trees):
            if self.idle < GIVE_UP:
                # True: no split was found among the features drawn for this tree. The next draw may hold one.
                self.idle = self.idle + 1 if self.outcomes.update() else 0
        self.margin = self._with(self.outcomes, 1 - self.share, before)
        return float(log_loss(self.margin, self.label).sum())

    def _with(self, booster: Any, share: float, first: int) -> Floats:
        """The margin after a Booster's newest trees: only those are evaluated."""
        newest = booster.current_iteration() - first
        if newest <= 0 or not len(self.label):
            return self.margin
        more = booster.predict(
            self.inputs, raw_score=True, start_iteration=first, num_iteration=newest, num_threads=1
        )
        return self.margin + share * np.asarray(more, dtype=np.float64)

    def text(self, trees: int) -> str:
        """The member as LightGBM writes it, with its first `trees` trees on the outcomes."""
        if self.distilled is None:
            return str(self.outcomes.model_to_string(num_iteration=trees))
        return joined(self.distilled, self.outcomes, self.share, trees)


def fit_lightgbm(
    task: Task, dataset: Any = None, *, prior: Prior | None = None, report: Any = None
) -> Ensemble:
    """Members in step: after every few trees the log loss of each on its unseen villages at the later dates
    is pooled; they stop together when it has not improved for `patience` trees, and keep the number of trees
    that was best.

    Where the plan asks for it (`logistic_share`), a logistic regression is first distilled into trees of each
    member (see `prior`). As many members grow at once as the task has threads, each on one: no tree depends
    on their number.

    dataset: binned training rows to use again. prior: a fitted one to use again. report(trees, loss): called
    at each step; an exception it raises stops the fit.
    """
    wanted = task.parameters
    data = dataset if dataset is not None else dataset_of(rows_of(task)[0], wanted, task.threads)
    if prior is None:
        prior = fit_prior(task)
    with ThreadPoolExecutor(max(1, min(task.threads, task.members))) as pool:
        members = _started(task, data, prior, pool)
        best_trees, best_loss, best_at, grown = [1] * task.members, np.inf, 0, 0
        while grown < wanted.rounds_at_most:
            step = min(STEP, wanted.rounds_at_most - grown)
            loss = sum(pool.map(lambda member: member.grow(step), members)) / max(1, len(task.calibrate))  # noqa: B023
            grown += step
            if loss < best_loss - 1e-7:
                best_at, best_loss = grown, loss
                best_trees = [max(1, member.outcomes.current_iteration()) for member in members]
            if report is not None:
                report(grown, loss)
            task.report(
                f"LightGBM, {grown} trees × {task.members} members", min(0.99, grown / wanted.rounds_at_most)
            )
            if grown - best_at >= wanted.patience or all(member.idle >= GIVE_UP for member in members):
                break
    texts = [member.text(trees) for member, trees in zip(members, best_trees, strict=True)]
    notes: dict[str, Any] = {"trees": best_at, "log_loss": best_loss, "grown": grown}
    if prior is not None:
        distilled = [member.distilled.num_trees() for member in members]
        notes |= {
            "logistic_share": prior.share,
            "logistic_penalty": prior.penalty,
            "logistic_trees": distilled,
        }
    return Ensemble(tuple(TreeMember(text) for text in texts), notes)


def _started(task: Task, data: Any, prior: Prior | None, pool: ThreadPoolExecutor) -> list[_Growing]:
    """Every member before its first tree on the outcomes. data: the binned training rows."""
    import lightgbm as lgb

    train, offset, later, later_offset = rows_of(task)
    parts, later_parts = task.parts(train), task.parts(later)
    share = 0.0 if prior is None else prior.share
    # A hazard's regression is fitted on the whole horizon, and its level is that of the horizon; each
    # interval's own is in the offset.
    level = 0.0 if offset is None else _logit_of_share(task.train.label)
    members: list[_Growing] = []
    tellers: list[Callable[[], Any] | None] = []
    for number in range(task.members):
        rows, places = np.flatnonzero(parts != number), np.flatnonzero(later_parts == number)
        part = data.subset(rows.tolist()).construct()
        part.set_weight(household_weights(train.household_id[rows], task.seed * 1000 + number))
        if offset is not None:
            part.set_init_score(offset[rows])
        begun = np.zeros(len(places)) if later_offset is None else later_offset[places].copy()
        parameters = parameters_of(task, number)
        inputs = np.ascontiguousarray(later.features[places])
        members.append(
            _Growing(
                distilled=None,
                share=share,
                outcomes=lgb.Booster(parameters, part),
                inputs=inputs,
                label=later.label[places],
                margin=begun,
            )
        )
        if prior is None:
            tellers.append(None)
        else:
            few = distilled_rows(rows)
            target = prior.members[number].margin(train.features[few]) - level
            tellers.append(
                partial(distil_regression, data.subset(few.tolist()).construct(), parameters, target)
            )
    list(pool.map(_Growing.start, members, tellers))
    return members


def rows_of(task: Task) -> tuple[Sample, Floats | None, Sample, Floats | None]:
    """Training and later rows with their offsets: as they are for one interval, one row an interval lived
    through for a hazard.

    The offset of a hazard row is the interval's own base rate on the logit scale, so that the trees learn
    what differs between households, and the margin gives the same order at every horizon (proportional odds
    over the intervals).
    """
    if len(task.months) == 1:
        return task.train, None, task.calibrate, None
    train, train_interval = lived_through(task.train, len(task.months))
    later, later_interval = lived_through(task.calibrate, len(task.months))
    base = np.empty(len(task.months))
    for place in range(len(task.months)):
        base[place] = _logit_of_share(train.label[train_interval == place])
    return train, base[train_interval], later, base[later_interval]


def lived_through(sample: Sample, intervals: int) -> tuple[Sample, Any]:
    """One row a household and interval that it lived through without a confirmation before; label: confirmed
    in that interval. With each row's interval, shape (rows,).
    """
    rows, place_of = [], []
    for place in range(intervals):
        alive = np.flatnonzero((sample.label == 0) | (sample.interval >= place))
        rows.append(alive)
        place_of.append(np.full(len(alive), place))
    order = np.concatenate(rows)
    interval = np.concatenate(place_of)
    long = sample.rows(order)
    return replace(long, label=(long.interval == interval).astype(np.float64) * (long.label == 1)), interval


def _logit_of_share(label: Floats) -> float:
    """The share of ones on the logit scale, finite also where there are none."""
    share = (label.sum() + 0.5) / (len(label) + 1.0)
    return float(np.log(share / (1 - share)))


class TreeTrials:
    """LightGBM fits with several parameters: they share the binned rows of each number of bins, and the
    regressions.
    """

    def __init__(self) -> None:
        self.data: dict[int, Any] = {}
        self.priors: list[Prior | None] = []

    def fit(self, task: Task, report: Callable[[int, float], None], /) -> Mapping[str, Any]:
        """The notes of one fit; see `base.Trials`."""
        bins, share = task.parameters.bins, task.parameters.logistic_share
        if bins not in self.data:
            self.data[bins] = dataset_of(rows_of(task)[0], task.parameters, task.threads)
        if share and not self.priors:
            self.priors.append(fit_prior(task))
        first = self.priors[0] if share else None
        prior = None if first is None else replace(first, share=share)
        return fit_lightgbm(task, self.data[bins], prior=prior, report=report).notes


LIGHTGBM = LearnerSpec(
    name="lightgbm",
    parameters=LightGBM,
    fit=fit_lightgbm,
    kind="trees",
    load=lambda _, text: TreeMember(text),
    learns=True,
    for_tables=True,
    trials=TreeTrials,
)
HAZARD = LearnerSpec(
    name="hazard",
    parameters=Hazard,
    fit=fit_lightgbm,
    kind="trees",
    load=lambda _, text: TreeMember(text),
    learns=True,
    months=INTERVALS,
    trials=TreeTrials,
)
