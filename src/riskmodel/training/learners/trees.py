"""LightGBM done carefully: native Boosters, deterministic, one Dataset a fold, stopped together on villages and dates they never saw."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from riskmodel.training.learners.base import Ensemble, Task, household_weights, log_loss
from riskmodel.training.learners.prior import GROWTH, Prior, TwoParts, fit_prior
from riskmodel.training.learners.prior import TREES as PRIOR_TREES
from riskmodel.training.samples import Floats, Sample

# Trees are grown this many at a time before the members are stopped together.
STEP = 10
# A member is grown out when this many draws of features in a row hold no split.
GIVE_UP = 20


@dataclass
class TreeMember:
    """A LightGBM model as its text. The Booster is made on first use."""

    text: str
    _booster: Any = field(default=None, repr=False, compare=False)

    @property
    def booster(self) -> Any:
        """The native Booster. Never make it from text whose hash was not checked: a damaged text aborts the process."""
        import lightgbm as lgb

        if self._booster is None:
            self._booster = lgb.Booster(model_str=self.text)
        return self._booster

    def margin(self, features: Floats) -> Floats:
        return np.asarray(self.booster.predict(features, raw_score=True, num_threads=1), dtype=np.float64)

    def contributions(self, features: Floats) -> tuple[Floats, float]:
        """Each feature's part of the margin (SHAP values), shape (n, p), and the base. For some hundred rows: `screening.explain` is faster."""
        parts = np.asarray(self.booster.predict(features, pred_contrib=True, num_threads=1), dtype=np.float64)
        return parts[:, :-1], float(parts[0, -1]) if len(parts) else 0.0

    @property
    def trees_hash(self) -> str:
        """SHA-256 of the trees: the model text before its `parameters:` block."""
        return trees_hash(self.text)

    def as_dict(self) -> dict[str, Any]:
        return {"trees": self.trees_hash}


def trees_hash(text: str) -> str:
    """SHA-256 of a LightGBM model text before its `parameters:` block, which names threads and other things that change no tree."""
    return hashlib.sha256(text.split("\nparameters:", 1)[0].encode()).hexdigest()


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
        "num_threads": task.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        **binning(wanted),
    }
    if wanted.monotone:
        # Not `advanced`: it breaks the signs that it promises (LightGBM issues 5358 and 6155, open).
        parameters |= {"monotone_constraints": list(task.signs), "monotone_constraints_method": "intermediate"}
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
        "force_row_wise": True,
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


def fit_lightgbm(task: Task, dataset: Any = None, *, prior: Prior | None = None, report: Any = None) -> Ensemble:
    """Members in step: after every few trees the log loss of each on its unseen villages at the later dates is pooled; they stop together
    when it has not improved for `patience` trees, and keep the number of trees that was best.

    Where the plan asks for it (`logistic_share`), each member first tells a logistic regression's margin by trees (see `prior`).

    dataset: binned training rows to use again. prior: a fitted one to use again. report(trees, loss): called at each step; an exception it raises stops the fit.
    """
    import lightgbm as lgb

    wanted = task.parameters
    train, offset, later, later_offset = rows_of(task)
    data = dataset if dataset is not None else dataset_of(train, wanted, task.threads)
    parts, later_parts = task.parts(train), task.parts(later)
    if prior is None:
        prior = fit_prior(task)
    growths: list[Any] = []
    boosters, unseen, sums = [], [], []
    for number in range(task.members):
        rows = np.flatnonzero(parts != number)
        part = data.subset(rows.tolist()).construct()
        weight = household_weights(train.household_id[rows], task.seed * 1000 + number)
        part.set_weight(weight)
        if offset is not None:
            part.set_init_score(offset[rows])
        growths.append(None)
        if prior is None:
            boosters.append(lgb.Booster(parameters_of(task, number), part))
        else:
            regression = prior.members[number].margin(train.features[rows])
            boosters.append(lgb.Booster({**parameters_of(task, number), "objective": "none", **GROWTH}, part))
            growths[-1] = _tell_regression(boosters[-1], task, prior.share, regression, train.label[rows], weight, offset, rows)
        places = np.flatnonzero(later_parts == number)
        unseen.append((np.ascontiguousarray(later.features[places]), later.label[places]))
        begun = np.zeros(len(places)) if later_offset is None else later_offset[places].copy()
        sums.append(_added(boosters[-1], unseen[-1][0], begun, 0) if len(places) else begun)
    first = [max(1, booster.current_iteration()) for booster in boosters]
    best_trees, best_loss, grown = first, np.inf, 0
    best_at, idle = 0, [0] * task.members
    while grown < wanted.rounds_at_most:
        step = min(STEP, wanted.rounds_at_most - grown)
        total = 0.0
        for number, booster in enumerate(boosters):
            before = booster.current_iteration()
            for _ in range(step):
                if idle[number] < GIVE_UP:
                    # True: no split was found among the features drawn for this tree. The next draw may hold one.
                    idle[number] = idle[number] + 1 if booster.update(fobj=growths[number]) else 0
            inputs, label = unseen[number]
            if len(label):
                sums[number] = _added(booster, inputs, sums[number], before)
                total += float(log_loss(sums[number], label).sum())
        grown += step
        loss = total / max(1, len(task.calibrate))
        if loss < best_loss - 1e-7:
            best_at, best_loss = grown, loss
            best_trees = [max(1, booster.current_iteration()) for booster in boosters]
        if report is not None:
            report(grown, loss)
        task.tell(f"LightGBM, {grown} trees × {task.members} members", min(0.99, grown / wanted.rounds_at_most))
        if grown - best_at >= wanted.patience or min(idle) >= GIVE_UP:
            break
    texts = [booster.model_to_string(num_iteration=trees) for booster, trees in zip(boosters, best_trees, strict=True)]
    notes = {"trees": best_at, "log_loss": best_loss, "grown": grown}
    if prior is not None:
        notes |= {"logistic_share": prior.share, "logistic_penalty": prior.penalty}
    return Ensemble(tuple(TreeMember(text) for text in texts), notes)


def _tell_regression(
    booster: Any, task: Task, share: float, regression: Floats, label: Floats, weight: Floats, offset: Floats | None, rows: Any
) -> Any:
    """Grow the trees that tell the regression; make the booster ready for outcomes, and return what it grows on from then on."""
    outcome = task.train.label
    level = (outcome.sum() + 0.5) / (len(outcome) + 1.0)
    level = float(np.log(level / (1 - level)))
    if offset is None:
        two = TwoParts(share, regression, label, weight, np.zeros(len(rows)), level)
    else:
        # The regression speaks of the whole horizon, and its level is that of the horizon; each interval's own is in the offset.
        two = TwoParts(share, regression - level, label, weight, offset[rows], 0.0)
    for _ in range(PRIOR_TREES):
        booster.update(fobj=two.to_regression)
    wanted = task.parameters
    own = parameters_of(task, 0)
    # What is not named here would fall back to LightGBM's default, threads and determinism included.
    kept = {name: own[name] for name in (*GROWTH, "num_threads", "deterministic", "force_row_wise", "seed", "verbosity")}
    booster.reset_parameter(kept | {"learning_rate": wanted.learning_rate * (1 - share)})
    return two.to_outcomes


def rows_of(task: Task) -> tuple[Sample, Floats | None, Sample, Floats | None]:
    """Training and later rows with their offsets: as they are for one interval, one row an interval lived through for a hazard.

    The offset of a hazard row is the interval's own base rate on the logit scale, so that the trees learn what differs between households
    and the margin orders them alike at every horizon (proportional odds over the intervals).
    """
    if len(task.months) == 1:
        return task.train, None, task.calibrate, None
    train, train_interval = lived_through(task.train, len(task.months))
    later, later_interval = lived_through(task.calibrate, len(task.months))
    base = np.empty(len(task.months))
    for place in range(len(task.months)):
        outcome = train.label[train_interval == place]
        share = (outcome.sum() + 0.5) / (len(outcome) + 1.0)
        base[place] = np.log(share / (1 - share))
    return train, base[train_interval], later, base[later_interval]


def lived_through(sample: Sample, intervals: int) -> tuple[Sample, Any]:
    """One row a household and interval that it lived through without a confirmation before; label: confirmed in that interval. With
    each row's interval, shape (rows,)."""
    rows, place_of = [], []
    for place in range(intervals):
        alive = np.flatnonzero((sample.label == 0) | (sample.interval >= place))
        rows.append(alive)
        place_of.append(np.full(len(alive), place))
    order = np.concatenate(rows)
    interval = np.concatenate(place_of)
    long = sample.rows(order)
    return replace(long, label=(long.interval == interval).astype(np.float64) * (long.label == 1)), interval


def _added(booster: Any, inputs: Floats, so_far: Floats, first: int) -> Floats:
    """The margin after the newest trees: only those are evaluated."""
    newest = booster.current_iteration() - first
    if newest <= 0:
        return so_far
    more = booster.predict(inputs, raw_score=True, start_iteration=first, num_iteration=newest, num_threads=1)
    return so_far + np.asarray(more, dtype=np.float64)
