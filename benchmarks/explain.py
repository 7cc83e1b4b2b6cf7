"""What explaining costs: our tables against shap.TreeExplainer and Booster.predict, side by side in one run;
and a whole county with its sentences.

    python benchmarks/explain.py                 kernel on 1,000 and 100,000 rows, three shapes of trees
    python benchmarks/explain.py --county 150,000 households scored, explained, put into sentences and
    written, against plain prediction

Time is CPU time of one thread. Rows are random, with the gaps, zeros and counts of a real matrix; how fast
the trees are walked depends on their shape, not on what the columns mean. The county uses the project's own
catalogue.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import datetime as dt
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np

from riskmodel.explaining.contributions import Explainer

SHAPES = ((31, 6, 400), (63, 8, 400), (15, 5, 400))  # leaves, depth, trees
FEATURES = 80
SLOW_ROWS = 400  # rows given to shap: it needs no more to be measured


def cpu(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds of one call: the best of some."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def rows(n: int, p: int, seed: int) -> np.ndarray:
    """Amounts, counts, shares and flags, a tenth unknown; the last column holds categories."""
    draw = np.random.default_rng(seed)
    X = np.exp(draw.normal(8, 1, (n, p)))
    X[:, 1::4] = draw.poisson(1.5, (n, len(range(1, p, 4))))
    X[:, 2::4] = draw.random((n, len(range(2, p, 4))))
    X[:, 3::4] = draw.random((n, len(range(3, p, 4)))) < 0.1
    X[draw.random((n, p)) < 0.1] = np.nan
    X[:, -1] = draw.integers(0, 40, n)
    return X


def grown(
    X: np.ndarray,
    leaves: int,
    depth: int,
    trees: int,
    seed: int = 0,
    categories: bool = True,
    names: str | list[str] = "auto",
) -> lgb.Booster:
    """A model with the shape that is asked for."""
    draw = np.random.default_rng(seed)
    scaled = np.nan_to_num((X - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0))
    score = (
        scaled @ draw.normal(size=X.shape[1]) * 0.3
        + np.abs(scaled[:, 0]) * scaled[:, 4]
        + draw.normal(size=len(X)) * 2
    )
    y = (score > np.quantile(score, 0.9)).astype(float)
    parameters = {
        "objective": "binary",
        "num_leaves": leaves,
        "max_depth": depth,
        "learning_rate": 0.05,
        "verbose": -1,
        "num_threads": 1,
        "feature_fraction": 0.5,
        "seed": seed,
        "min_data_in_leaf": 20,
    }
    data = lgb.Dataset(X, y, categorical_feature=[X.shape[1] - 1] if categories else [], feature_name=names)
    return lgb.train(parameters, data, trees)


def kernel() -> None:
    """Rows per CPU-second of shap, LightGBM and our tables, on the same rows, with the largest difference
    between them.
    """
    import shap

    learn, many = rows(20_000, FEATURES, 0), rows(100_000, FEATURES, 1)
    print(
        f"{'trees':>22} {'rows':>8} {'shap':>8} {'tables':>9} {'predict':>9} {'× shap':>7} {'× predict':>9} "
        f"{'difference':>11} {'MB':>6} {'build s':>8}"
    )
    for leaves, depth, trees in SHAPES:
        booster = grown(learn, leaves, depth, trees)
        text = booster.model_to_string()
        Explainer.from_booster_texts([text]).contributions(many[:10])  # compile, or take from the disk
        start = time.process_time()
        explainer = Explainer.from_booster_texts([text])
        built = time.process_time() - start
        assert explainer.tables is not None
        theirs = shap.TreeExplainer(booster)
        theirs.shap_values(many[:20])
        slow = SLOW_ROWS / cpu(lambda theirs=theirs: theirs.shap_values(many[:SLOW_ROWS]), 2)
        wanted = booster.predict(many[:SLOW_ROWS], pred_contrib=True, num_threads=1)
        for n in (1_000, 100_000):
            part = many[:n]
            ours = n / cpu(
                lambda explainer=explainer, part=part: explainer.contributions(part), 5 if n < 10_000 else 2
            )
            plain = n / cpu(
                lambda booster=booster, part=part: booster.predict(part, raw_score=True, num_threads=1),
                5 if n < 10_000 else 2,
            )
            given, base = explainer.contributions(part)
            margin = booster.predict(part, raw_score=True, num_threads=1)
            off = max(
                float(np.abs(given[:SLOW_ROWS] - wanted[:, :-1]).max()),
                float(np.abs(given.sum(axis=1) + base - margin).max()),
            )
            print(
                f"{f'{trees} × {leaves} leaves, {depth} deep':>22} {n:>8,} {slow:>8,.0f} {ours:>9,.0f} "
                f"{plain:>9,.0f} {ours / slow:>7.0f} {ours / plain:>9.2f} {off:>11.1e} "
                f"{explainer.tables.table.nbytes / 2**20:>6.0f} {built:>8.2f}"
            )


def county(households: int, members: int, leaves: int, depth: int, trees: int) -> None:
    """Wall time from features to the written file with reasons, against plain prediction and the writing of
    its file.
    """
    import polars as pl

    from riskmodel.features import load_catalogue
    from riskmodel.features.matrix import FeatureMatrix
    from riskmodel.project import Project
    from riskmodel.screening.scoring import ScreeningModel
    from riskmodel.training.calibration import BetaCalibration
    from riskmodel.training.learners.trees import TreeMember
    from riskmodel.training.model import Model, mean_of_members

    project = Project.find()
    catalogue = load_catalogue(project)
    names = catalogue.with_status("active")
    draw = np.random.default_rng(0)
    like = {"yuan": 0, "yuan_per_person": 0, "share": 2, "flag": 3}
    random = rows(households, 5, 2)  # the fifth column holds categories; it is not used
    X = np.empty((households, len(catalogue.names)))
    for place, name in enumerate(catalogue.names):
        unit = catalogue[name].unit
        column = random[:, like.get(unit, 1)][draw.permutation(households)]
        X[:, place] = (
            np.minimum(column, 4)
            if unit == "level"
            else np.round(column)
            if unit.startswith("yuan")
            else column
        )
    ids = np.array([f"H{place:07d}" for place in range(households)], dtype=object)
    villages = np.array(
        [f"522301{place % 15 + 100:03d}{place % 200:03d}" for place in range(households)], dtype=object
    )
    matrix = FeatureMatrix(dt.date(2025, 12, 31), ids, villages, tuple(catalogue.names), X)
    learn = matrix.select(names).values[:20_000]
    texts = [
        grown(learn, leaves, depth, trees, seed, categories=False).model_to_string()
        for seed in range(members)
    ]
    model = Model(
        "lightgbm",
        tuple(names),
        (12,),
        tuple(TreeMember(text) for text in texts),
        BetaCalibration(1.0, 1.0, (0.0,), (12,)),
        (0,) * len(names),
    )
    screening = ScreeningModel.of(project, model)
    dates = {name: dt.date(2025, 11, 20) for name in screening.wordbook.sources}
    small = np.arange(500)
    screening.score_matrix(matrix.rows(small), dates=dates)  # compile, make the Boosters

    def timed(work: Callable[[], object]) -> tuple[object, float, float]:
        """(result, wall seconds, CPU seconds)"""
        wall, own = time.perf_counter(), time.process_time()
        result = work()
        return result, time.perf_counter() - wall, time.process_time() - own

    def plain() -> pl.DataFrame:
        margin = mean_of_members(model.margins(matrix.select(names).values))
        scored = pl.DataFrame(
            {"household_id": ids.tolist(), "margin": margin, "probability": model.probability(margin)}
        )
        return scored.sort("margin", descending=True)

    with tempfile.TemporaryDirectory() as folder:
        print(
            f"{households:,} households, {len(names)} features, {members} × {trees} trees of {leaves} "
            f"leaves, {depth} deep"
        )
        for turn in range(2):
            path = Path(folder) / "told.parquet"
            _, wall, own = timed(plain)
            told, wall_told, own_told = timed(lambda: screening.score_matrix(matrix, dates=dates).frame)
            _, wall_file, own_file = timed(lambda told=told, path=path: told.write_parquet(path))
            print(
                f"run {turn + 1}, wall (CPU) seconds: plain prediction {wall:.1f} ({own:.1f}); explained, "
                f"with sentences {wall_told:.1f} ({own_told:.1f}); writing "
                f"{path.stat().st_size / 2**20:.0f} MB {wall_file:.1f} ({own_file:.1f}). Explained is "
                f"{wall_told / wall:.2f} ({own_told / own:.2f}) times plain prediction"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--county", action="store_true", help="a whole county with its sentences")
    parser.add_argument("--households", type=int, default=150_000)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--trees", type=int, default=400)
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--depth", type=int, default=6)
    chosen = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, lightgbm {lgb.__version__}, one thread")
    if chosen.county:
        county(chosen.households, chosen.members, chosen.leaves, chosen.depth, chosen.trees)
    else:
        kernel()


if __name__ == "__main__":
    main()
