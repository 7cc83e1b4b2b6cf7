"""Compiles what explaining needs, once a machine, so that no service start and no caller waits for a
compiler."""

from __future__ import annotations

import datetime as dt
from time import perf_counter
from typing import Final

import numpy as np

from riskmodel.compiled import Compiled
from riskmodel.explaining import tree_kernels
from riskmodel.explaining.contributions import Explainer
from riskmodel.explaining.margins import Walker
from riskmodel.explaining.trees import read_forest
from riskmodel.features.catalogue import Catalogue
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.screening import reason_kernels
from riskmodel.screening.reasons import give_reasons
from riskmodel.screening.reference import FEWEST, Reference
from riskmodel.screening.wordbook import Wordbook, plain_entry

KERNELS: Final = [
    part
    for module in (tree_kernels, reason_kernels)
    for part in vars(module).values()
    if isinstance(part, Compiled)
]

# A whole LightGBM model of one tree with two questions.
_SMALLEST: Final = """tree
num_tree_per_iteration=1
max_feature_idx=1

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
threshold=0.5 0.5
decision_type=2 2
left_child=1 -1
right_child=-3 -2
leaf_value=-1 0 1
leaf_count=10 10 10
internal_count=30 20

end of trees
"""


def warm_up() -> float:
    """Compile the kernels of contributions, comparisons and reasons, or load them from numba's cache; return
    the seconds that took.

    It scores and explains a few invented rows from end to end, so that the same kernels are compiled as for a
    county.
    """
    start = perf_counter()
    names = ("first", "second")
    values = np.arange(2.0 * FEWEST).reshape(FEWEST, 2) / FEWEST
    explainer = Explainer.from_booster_texts([_SMALLEST])
    contributions, _ = explainer.contributions(values)
    explainer.contributions(values[:1])
    explainer.interactions(values[:1])
    walker = Walker.of(read_forest([_SMALLEST]))
    assert walker is not None
    walker.margins(values)
    households = np.array([str(place) for place in range(FEWEST)], dtype=object)
    villages = np.full(FEWEST, "0" * 12, dtype=object)
    reference = Reference.of(
        FeatureMatrix(
            as_of=dt.date(2025, 1, 1),
            household_id=households,
            village_code=villages,
            names=names,
            values=values,
        )
    )
    book = Wordbook(Catalogue.model_construct(root={name: plain_entry(name, 1) for name in names}), {}, {})
    give_reasons(book, names, values, contributions, villages, reference, as_of=reference.as_of)
    return perf_counter() - start
