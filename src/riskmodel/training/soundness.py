"""What a promotion wants to know and only training can measure: leaks, stability of the ensemble, declared
signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from riskmodel.training.fits import Fit
from riskmodel.training.keyed import keyed_numbers
from riskmodel.training.learners.linear import LinearMember
from riskmodel.training.learners.trees import TreeMember
from riskmodel.training.model import mean_of_members
from riskmodel.training.samples import Floats, Sample, stack

SHOWN = 10
SIGN_ROWS, SIGN_POINTS = 200, 100
STABILITY_SHARES = (0.01, 0.02, 0.03, 0.05, 0.1)


def leak_hunt(tests: Sequence[Sample]) -> dict[str, Any]:
    """AUC of each feature alone, of its being missing, and of the order of the rows, on the labelled test
    rows; the `SHOWN` highest. A value above what the field allows means that it may have been written after
    the fact.
    """
    from riskmodel.training.leaks import hunt_leaks

    sample = stack(tests).labelled()
    order = {"(order of the rows)": np.arange(len(sample), dtype=np.float64)}
    found = hunt_leaks(sample.features, sample.names, sample.label, limit=0.5, extra=order)
    return {
        "features": [{"feature": item.feature, "what": item.kind, "auc": item.auc} for item in found[:SHOWN]]
    }


def gain_shares(fit: Fit, sample: Sample) -> dict[str, Any]:
    """What each feature brings, as a share of what all bring: split gain in the trees grown on outcomes, mean
    size of its part of the margin in a linear model; the `SHOWN` largest. A rule is nothing but its features
    and is not measured (`measure: none`).

    Trees distilled from a regression (`learners.prior`) are left out: their gains are squared distances to
    its margin, on another scale."""
    distilled = fit.ensemble.notes.get("logistic_trees", [0] * len(fit.ensemble.members))
    total = np.zeros(len(sample.names))
    measure = "none"
    for number, member in enumerate(fit.ensemble.members):
        if isinstance(member, TreeMember):
            total += _split_gain(member, distilled[number])[: len(total)]
            measure = "split gain"
        elif isinstance(member, LinearMember):
            parts, _ = member.contributions(sample.features)
            total += np.abs(parts - parts.mean(axis=0)).mean(axis=0)
            measure = "size of its part of the margin"
    if "gain" in fit.ensemble.notes:
        total, measure = np.asarray(fit.ensemble.notes["gain"], dtype=np.float64), "split gain"
    whole = float(total.sum())
    order = np.argsort(-total, kind="stable")[:SHOWN]
    shares = (
        [{"feature": sample.names[place], "share": float(total[place]) / whole} for place in order]
        if whole > 0
        else []
    )
    return {"measure": measure, "features": shares}


def _split_gain(member: TreeMember, distilled: int) -> Floats:
    """Split gain of each feature without the first `told` trees; of all trees where there are no others."""
    everything, first = (
        np.asarray(member.booster.feature_importance("gain", iteration=count), dtype=np.float64)
        for count in (-1, max(distilled, 1))
    )
    return everything - first if distilled and member.booster.num_trees() > distilled else everything


def stability(fits: Sequence[Fit], tests: Sequence[Sample]) -> dict[str, Any]:
    """Agreement of the lists of two halves of the ensemble: Jaccard index of the first households of each
    date, at several shares.
    """
    members = len(fits[0].ensemble.members)
    if members < 2:
        return {"members": members}
    overlaps: dict[str, list[float]] = {str(share): [] for share in STABILITY_SHARES}
    for fit, test in zip(fits, tests, strict=True):
        margins = fit.ensemble.margins(test.features)
        numbers = keyed_numbers(test.household_id.tolist(), "equal margins")
        ties = np.array([numbers[str(name)] for name in test.household_id], dtype=np.uint64)
        halves = mean_of_members(margins[:, 0::2]), mean_of_members(margins[:, 1::2])
        for day in sorted(set(test.as_of.tolist())):
            rows = np.flatnonzero(test.as_of == day)
            for share in STABILITY_SHARES:
                count = max(1, round(share * len(rows)))
                first = [set(np.lexsort((ties[rows], -half[rows]))[:count].tolist()) for half in halves]
                overlaps[str(share)].append(len(first[0] & first[1]) / len(first[0] | first[1]))
    return {
        "members": members,
        "half_ensemble_overlap": {share: float(np.mean(values)) for share, values in overlaps.items()},
    }


def signs_hold(fit: Fit, sample: Sample, signs: Sequence[int], promised: bool) -> dict[str, Any]:
    """Sweep every feature with a declared sign over its usual range in `SIGN_ROWS` rows: where does the
    margin move the wrong way?
    """
    if not promised:
        return {"promised": False}
    step = max(1, len(sample) // SIGN_ROWS)
    rows = sample.features[::step][:SIGN_ROWS]
    broken = []
    for place, sign in enumerate(signs):
        column = sample.features[:, place]
        known = column[np.isfinite(column)]
        if not sign or not len(known):
            continue
        low, high = np.quantile(known, [0.001, 0.999])
        points = np.linspace(float(low), float(high), SIGN_POINTS)
        grid = np.repeat(rows, SIGN_POINTS, axis=0)
        grid[:, place] = np.tile(points, len(rows))
        margin = fit.margin(grid).reshape(len(rows), SIGN_POINTS)
        if (sign * np.diff(margin, axis=1) < -1e-9).any():
            broken.append(sample.names[place])
    return {"promised": True, "rows": len(rows), "points": SIGN_POINTS, "broken": broken}
