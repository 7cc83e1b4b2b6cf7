"""scikit-learn's histogram gradient boosting, kept as plain arrays: no pickle, no scikit-learn needed to
score.

Tested to give scikit-learn's own margins (`tests/training/test_learners.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from riskmodel.declared import Strict
from riskmodel.training.learners.base import (
    Count,
    Ensemble,
    LearnerSpec,
    NotNegative,
    SeparateTrials,
    Task,
    household_weights,
    log_loss,
)
from riskmodel.training.samples import Floats

NODES = ("feature", "threshold", "missing_left", "left", "right", "leaf", "value")


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


@dataclass(frozen=True)
class ArrayMember:
    """Trees as arrays over all nodes, one tree after the other. starts: index of each tree's root; left and
    right: indices into the same arrays. margin = base + Σ leaf values.
    """

    base: float
    starts: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: Floats
    missing_left: npt.NDArray[np.bool_]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    leaf: npt.NDArray[np.bool_]
    value: Floats

    def margin(self, features: Floats) -> Floats:
        """Margin of each row, shape (n,). features: shape (n, p), NaN unknown."""
        total = np.full(len(features), self.base)
        rows = np.arange(len(features))
        for start in self.starts:
            place = np.full(len(features), start)
            while True:
                inside = ~self.leaf[place]
                if not inside.any():
                    break
                node, row = place[inside], rows[inside]
                value = features[row, self.feature[node]]
                goes_left = np.where(np.isnan(value), self.missing_left[node], value <= self.threshold[node])
                place[inside] = np.where(goes_left, self.left[node], self.right[node])
            total += self.value[place]
        return total

    def as_dict(self) -> dict[str, Any]:
        """The arrays as lists, for model.json."""
        kept = {name: getattr(self, name).tolist() for name in NODES}
        # The threshold of a leaf is never read, and an infinite one (all values left, missing right) is
        # written as a large number.
        kept["threshold"] = np.clip(np.nan_to_num(self.threshold, nan=0.0), -1e300, 1e300).tolist()
        return {"base": self.base, "starts": self.starts.tolist(), **kept}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ArrayMember:
        """The member from what `as_dict` returned."""
        return cls(
            base=float(data["base"]),
            starts=np.array(data["starts"], dtype=np.int64),
            feature=np.array(data["feature"], dtype=np.int64),
            threshold=np.array(data["threshold"], dtype=np.float64),
            missing_left=np.array(data["missing_left"], dtype=np.bool_),
            left=np.array(data["left"], dtype=np.int64),
            right=np.array(data["right"], dtype=np.int64),
            leaf=np.array(data["leaf"], dtype=np.bool_),
            value=np.array(data["value"], dtype=np.float64),
        )


def as_arrays(model: Any, trees: int) -> ArrayMember:
    """The first `trees` trees of a fitted HistGradientBoostingClassifier of two classes without
    categories."""
    nodes = [model._predictors[number][0].nodes for number in range(trees)]
    sizes = np.array([len(part) for part in nodes], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    whole = np.concatenate(nodes)
    shift = np.repeat(starts, sizes)
    assert not whole["is_categorical"].any(), "categories are given as columns of 0 and 1"
    return ArrayMember(
        base=float(np.ravel(model._baseline_prediction)[0]),
        starts=starts,
        feature=whole["feature_idx"].astype(np.int64),
        threshold=np.where(whole["is_leaf"], 0.0, whole["num_threshold"]).astype(np.float64),
        missing_left=whole["missing_go_to_left"].astype(np.bool_),
        left=whole["left"].astype(np.int64) + shift,
        right=whole["right"].astype(np.int64) + shift,
        leaf=whole["is_leaf"].astype(np.bool_),
        value=whole["value"].astype(np.float64),
    )


def _gain(models: Sequence[Any], trees: int, features: int) -> list[float]:
    """Sum of the split gains of each feature over all members."""
    total = np.zeros(features)
    for model in models:
        for number in range(trees):
            nodes = model._predictors[number][0].nodes
            splits = nodes[~nodes["is_leaf"].astype(bool)]
            np.add.at(total, splits["feature_idx"], splits["gain"])
    return [float(value) for value in total]


def fit_boosting(task: Task) -> Ensemble:
    """Members on all villages but their own part; the number of trees is the one that does best on those
    parts at the later dates.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    wanted, train, later = task.parameters, task.train, task.calibrate
    parts, later_parts = task.parts(train), task.parts(later)
    models, losses = [], np.zeros(wanted.rounds_at_most)
    for number in range(task.members):
        rows, unseen = parts != number, later_parts == number
        model = HistGradientBoostingClassifier(
            learning_rate=wanted.learning_rate,
            max_iter=wanted.rounds_at_most,
            max_leaf_nodes=wanted.leaves,
            max_depth=wanted.depth_at_most,
            min_samples_leaf=wanted.rows_in_leaf_at_least,
            l2_regularization=wanted.penalty_l2,
            max_features=wanted.features_a_split,
            early_stopping=False,
            random_state=task.seed * 1000 + number,
        )
        weight = household_weights(train.household_id[rows], task.seed * 1000 + number)
        inputs = train.features[rows]
        # scikit-learn cannot bin a column without any value; as a constant it is never split on.
        inputs[:, np.isnan(inputs).all(axis=0)] = 0.0
        model.fit(inputs, train.label[rows].astype(np.int64), sample_weight=weight)
        if unseen.any():
            for place, margin in enumerate(model.staged_decision_function(later.features[unseen])):
                losses[place] += float(log_loss(np.ravel(margin), later.label[unseen]).sum())
        models.append(model)
        task.report(f"histogram boosting, member {number + 1} of {task.members}", (number + 1) / task.members)
    best = int(np.argmin(losses)) + 1
    return Ensemble(
        tuple(as_arrays(model, best) for model in models),
        {
            "trees": best,
            "log_loss": float(losses[best - 1] / max(1, len(later))),
            "gain": _gain(models, best, len(train.names)),
        },
    )


BOOSTING = LearnerSpec(
    name="boosting",
    parameters=Boosting,
    fit=fit_boosting,
    kind="arrays",
    load=lambda stored, _: ArrayMember.from_dict(dict(stored)),
    learns=True,
    for_tables=True,
    explained=False,
    trials=lambda: SeparateTrials(fit_boosting),
)
