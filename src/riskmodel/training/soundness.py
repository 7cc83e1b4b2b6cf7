"""What a promotion wants to know and only training can measure: leaks, stability of the ensemble, declared signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from riskmodel.training.fits import Fit
from riskmodel.training.model import mean_of_members
from riskmodel.training.samples import Floats, Sample

SHOWN = 10
SIGN_ROWS, SIGN_POINTS = 200, 100
STABILITY_SHARES = (0.01, 0.02, 0.03, 0.05, 0.1)


def rank_auc(value: Floats, label: Floats) -> float:
    """AUC of one column for one set of labels (1, 0), ties counted half; NaN when one class is empty."""
    ranks = pl.Series(value).rank("average").to_numpy()
    positives = float(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return float("nan")
    return float((ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def leak_hunt(sample: Sample) -> dict[str, Any]:
    """AUC of each feature alone, and of its being missing, on labelled rows; the `SHOWN` highest. A value above what the field allows means
    that it may have been written after the fact."""
    found = []
    for place, name in enumerate(sample.names):
        column = sample.features[:, place]
        unknown = np.isnan(column)
        if (known := ~unknown).sum() > 50:
            auc = rank_auc(column[known], sample.label[known])
            found.append({"feature": name, "what": "value", "auc": max(auc, 1 - auc)})
        if 0 < unknown.sum() < len(column):
            auc = rank_auc(unknown.astype(np.float64), sample.label)
            found.append({"feature": name, "what": "missing", "auc": max(auc, 1 - auc)})
    found = [item for item in found if item["auc"] == item["auc"]]
    return {"features": sorted(found, key=lambda item: (-item["auc"], item["feature"]))[:SHOWN]}


def stability(fits: Sequence[Fit], tests: Sequence[Sample]) -> dict[str, Any]:
    """Share of households that two halves of the ensemble put among the first of each date alike (Jaccard), at several shares."""
    members = len(fits[0].ensemble.members)
    if members < 2:
        return {"members": members}
    overlaps: dict[str, list[float]] = {str(share): [] for share in STABILITY_SHARES}
    for fit, test in zip(fits, tests, strict=True):
        margins = fit.ensemble.margins(test.features)
        halves = mean_of_members(margins[:, 0::2]), mean_of_members(margins[:, 1::2])
        for day in sorted(set(test.as_of.tolist())):
            rows = np.flatnonzero(test.as_of == day)
            for share in STABILITY_SHARES:
                count = max(1, round(share * len(rows)))
                first = [set(np.lexsort((rows, -half[rows]))[:count].tolist()) for half in halves]
                overlaps[str(share)].append(len(first[0] & first[1]) / len(first[0] | first[1]))
    return {"members": members, "half_ensemble_overlap": {share: float(np.mean(values)) for share, values in overlaps.items()}}


def signs_hold(fit: Fit, sample: Sample, signs: Sequence[int], promised: bool) -> dict[str, Any]:
    """Sweep every feature with a declared sign over its usual range in `SIGN_ROWS` rows: where does the margin move the wrong way?"""
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
        points = np.linspace(*np.quantile(known, [0.001, 0.999]), SIGN_POINTS)
        grid = np.repeat(rows, SIGN_POINTS, axis=0)
        grid[:, place] = np.tile(points, len(rows))
        margin = fit.margin(grid).reshape(len(rows), SIGN_POINTS)
        if (sign * np.diff(margin, axis=1) < -1e-9).any():
            broken.append(sample.names[place])
    return {"promised": True, "rows": len(rows), "points": SIGN_POINTS, "broken": broken}
