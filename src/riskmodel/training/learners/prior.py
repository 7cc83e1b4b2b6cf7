"""Distil a ridge logistic regression into trees: one part of a LightGBM member, beside the part that is
grown on the outcomes.

With some hundred confirmations, trees and a ridge logistic regression err in different places: trees find
thresholds and what works together, the regression adds up many weak signs and goes on rising at the top of
the list, where trees have the fewest rows. The mean of their margins orders households better than either on
nearly every county that was tried (docs/training.md has the table). So that the model stays one ensemble of
trees, which is explained and served as such, the regression's margin is first reproduced by trees
(distillation: Buciluă, Caruana and Niculescu-Mizil, "Model compression", KDD 2006), the trees on the outcomes
are grown apart from it, and both are joined in one model text, their leaves times their shares (`joined`).
SHAP values sum to the margin of the whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from riskmodel.training.learners.base import Task
from riskmodel.training.learners.linear import LinearMember, Logistic, fit_logistic
from riskmodel.training.samples import Floats

# How the trees that reproduce a regression are grown. Their target has no noise: the learning rate may be
# high, and not every row is needed (docs/training.md has the measurements). With the same number of trees,
# sampling features for each tree fits better than all features at once.
TREES: Final = 100
ROWS: Final = 20_000
GROWTH: Final[dict[str, Any]] = {
    "objective": "regression",
    "learning_rate": 0.5,
    "num_leaves": 8,
    "max_depth": 3,
    "min_data_in_leaf": 10,
    "min_sum_hessian_in_leaf": 1e-3,
    "feature_fraction": 0.4,
    "bagging_fraction": 1.0,
    "bagging_freq": 0,
    "lambda_l1": 0.0,
    "lambda_l2": 1.0,
    "path_smooth": 0.0,
}


@dataclass(frozen=True)
class Prior:
    """One regression for each member of the ensemble, of the same villages and household weights. penalty:
    how strong its ridge is. share: its part of the member's margin.
    """

    members: Sequence[LinearMember]
    penalty: float
    share: float


def fit_prior(task: Task) -> Prior | None:
    """The prior of a task whose parameters ask for one (`logistic_share` above 0). None, too, where a member
    has rows of one outcome only: there is nothing to regress on.
    """
    share = float(task.parameters.logistic_share)
    parts = task.parts(task.train)
    seen = [task.train.label[parts != number] for number in range(task.members)]
    if not share or any(len(set(label.tolist())) < 2 for label in seen):
        return None
    quiet = replace(task, parameters=Logistic(), progress=None)
    fitted = fit_logistic(quiet)
    members = [member for member in fitted.members if isinstance(member, LinearMember)]
    return Prior(members, float(fitted.notes["penalty"]), share)


def distilled_rows(rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """At most `ROWS` of a member's rows, evenly over all of them: every as-of date and every part of the
    county has its share.
    """
    if len(rows) <= ROWS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, ROWS).astype(np.intp)]


def distil_regression(data: Any, parameters: dict[str, Any], target: Floats) -> Any:
    """A Booster whose trees reproduce `target`, the regression's margin, shape (n,). data: the binned rows,
    constructed. parameters: the member's, of which threads, seed, bins and signs are kept.
    """
    import lightgbm as lgb

    data.set_label(target)
    booster = lgb.Booster({**parameters, **GROWTH}, data)
    for _ in range(TREES):
        booster.update()
    return booster


def joined(distilled: Any, outcomes: Any, share: float, trees: int) -> str:
    """One LightGBM model text of both parts: the distilled trees times `share`, then the first `trees` trees
    on the outcomes times 1 − share.

    The text is read by LightGBM and written again, so that it is like any other.
    """
    import lightgbm as lgb

    head, first, _ = _split(distilled.model_to_string())
    _, second, tail = _split(outcomes.model_to_string(num_iteration=trees))
    blocks = [*(_times(block, share) for block in first), *(_times(block, 1 - share) for block in second)]
    numbered = [f"Tree={number}\n{block}" for number, block in enumerate(blocks)]
    sizes = " ".join(str(len(block.encode())) for block in numbered)
    kept = [line for line in head.splitlines() if line and not line.startswith(("tree_sizes=", "objective="))]
    text = "\n".join([*kept, f"tree_sizes={sizes}", "", ""]) + "".join(numbered) + tail
    return str(lgb.Booster(model_str=text).model_to_string())


def _split(text: str) -> tuple[str, list[str], str]:
    """A LightGBM text in parts: the header before the trees, each tree without its number, and the rest from
    `end of trees` on.
    """
    body, mark, tail = text.partition("end of trees\n")
    head, *trees = re.split(r"(?m)^Tree=\d+\n", body)
    return head, trees, mark + tail


def _times(block: str, share: float) -> str:
    """The text of a tree with every value times `share`."""
    lines = []
    for line in block.split("\n"):
        name, equals, values = line.partition("=")
        if equals and name in ("leaf_value", "internal_value", "shrinkage"):
            line = f"{name}={' '.join(repr(float(value) * share) for value in values.split())}"
        lines.append(line)
    return "\n".join(lines)
