"""How fast the evaluation is, whether its intervals hold the truth, and whether the group audit flags what it
should.

    python benchmarks/evaluation.py speed                 60,000 households × 12 as-of dates, 400 draws
    python benchmarks/evaluation.py coverage [--counties 1000] [--villages 200]
    python benchmarks/evaluation.py audit    [--counties 200]

Everything is drawn here, from a made-up law with known truth; no table is read.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl

from riskmodel.training.comparison import compare_predictions
from riskmodel.training.evaluation import SIZE_BOUND, evaluate
from riskmodel.training.fairness import GROUP_NAMES, audit_groups

CAPACITIES = [0.01, 0.02, 0.05]


def county(seed: int, *, villages: int, dates: int = 2, mean: float = 40, noise: float = 0.7) -> pl.DataFrame:
    """Villages of uneven size and luck, households with a lasting part, about 1.2 % confirmed, a tenth of the
    others unlabelled.
    """
    chance = np.random.default_rng(seed)
    size = chance.poisson(chance.gamma(4, mean / 4, villages)) + 1
    village = np.repeat(np.arange(villages), size)
    households = len(village)
    luck, lasting = chance.normal(0, 0.4, villages)[village], chance.normal(size=households)
    frames = []
    for date in range(dates):
        truth = -5.2 + luck + 0.9 * lasting + 0.7 * chance.normal(size=households)
        label = (chance.random(households) < 1 / (1 + np.exp(-truth))).astype(float)
        label[(label == 0) & (chance.random(households) < 0.1)] = np.nan
        margin = truth + noise * chance.normal(size=households)
        table = {"household_id": np.arange(households), "village_code": village, "margin": margin}
        table |= {"probability": 1 / (1 + np.exp(-(0.72 * margin - 1.25))), "label": label}
        day = dt.date(2020 + date // 12, 1 + date % 12, 1)
        frames.append(pl.DataFrame(table).with_columns(pl.col("label").fill_nan(None), as_of=pl.lit(day)))
    return pl.concat(frames)


def speed() -> None:
    table = county(1, villages=300, mean=200, dates=12)
    other = county(1, villages=300, mean=200, dates=12).with_columns(margin=pl.col("margin").round(1))
    started = time.perf_counter()
    evaluate(table.head(1000), capacities=CAPACITIES, draws=2)
    print(f"first call, with compilation or its cache: {time.perf_counter() - started:.1f} s")
    for name, work in (
        ("evaluate", lambda: evaluate(table, capacities=CAPACITIES, draws=400, seed=1)),
        (
            "compare two models",
            lambda: compare_predictions({"a": table, "b": other}, capacities=CAPACITIES, draws=400, seed=1),
        ),
    ):
        started, cpu = time.perf_counter(), time.process_time()
        work()
        print(
            f"{name}: {table.height:,} rows, 400 draws: {time.perf_counter() - started:.1f} s wall, "
            f"{time.process_time() - cpu:.1f} s CPU"
        )


def coverage(counties: int, villages: int) -> None:
    """Share of counties whose interval holds the value of the law (for figures bound to size: the mean over
    counties of this size).
    """
    large = [
        evaluate(county(10**6 + seed, villages=12_000), capacities=CAPACITIES, draws=0).values
        for seed in range(6)
    ]
    truth = {key: float(np.mean([values[key] for values in large])) for key in large[0]}
    points: dict[tuple[str, str], list[tuple[float, float, float]]] = {key: [] for key in truth}
    paired: list[tuple[float, float, float]] = []
    for seed in range(counties):
        table = county(seed, villages=villages)
        poorer = table.with_columns(
            margin=pl.col("margin") + np.random.default_rng(seed).normal(0, 1, table.height)
        )
        comparison = compare_predictions(
            {"poorer": poorer, "model": table}, capacities=CAPACITIES, draws=400, seed=seed
        )
        result = comparison["model"]
        for key in truth:
            points[key].append((result.values[key], *result.interval(*key)))
        paired.append(comparison.difference("model", "recall", 0.05))
    print(
        f"{counties} counties, {result.counts['rows']:,} rows, {villages} villages, about "
        f"{result.counts['confirmed']} confirmed"
    )
    print(f"{'':34} {'truth':>8} {'mean':>8} {'bias/SE':>8} {'coverage':>9} {'too high':>9} {'too low':>8}")

    def line(name: str, target: float, found: np.ndarray) -> None:
        bias = (np.nanmean(found[:, 0]) - target) / np.nanstd(found[:, 0])
        above, below = np.mean(found[:, 1] > target), np.mean(found[:, 2] < target)
        print(
            f"{name:34} {target:8.4f} {np.nanmean(found[:, 0]):8.4f} {bias:+8.2f} {1 - above - below:9.3f} "
            f"{above:9.3f} {below:8.3f}"
        )

    for (metric, capacity), rows in points.items():
        found = np.array(rows)
        # One over a precision of nothing is no number; its mean is left to the precision.
        target = float(np.nanmean(found[:, 0])) if metric in SIZE_BOUND else truth[metric, capacity]
        line(f"{metric} {capacity}", target, found)
        if metric in SIZE_BOUND:
            print(f"{'  against a county without end':34} {truth[metric, capacity]:8.4f}")
    found = np.array(paired)
    line("paired difference, recall 5%", float(np.mean(found[:, 0])), found)


def audited(seed: int, *, planted: float, households: int, visits: int) -> pl.DataFrame:
    """A list that reaches 45 % of the confirmed, `planted` less in minority villages; seven groups, some of
    them whole villages.

    Of the households that are never confirmed only one in ten is kept: they take no part in the test, and
    make it slow.
    """
    chance = np.random.default_rng(seed)
    villages = households // 130
    village = chance.integers(0, villages, households)
    groups: dict[str, np.ndarray] = {name: chance.random(households) < 0.2 for name in GROUP_NAMES}
    groups["ethnic_minority"] = (chance.random(villages) < 0.35)[village] ^ (chance.random(households) < 0.05)
    groups["remote"] = (chance.random(villages) < 0.35)[village]
    luck, lasting = chance.normal(0, 0.06, villages)[village], chance.random(households)
    risk = np.exp(chance.normal(0, 0.5, villages))[village]
    often = chance.random(households) < 0.012 * risk / risk.mean()
    dates = [
        np.where(chance.random(households) < 0.6, often, chance.random(households) < 0.012) for _ in range(2)
    ]
    kept = dates[0] | dates[1] | (chance.random(households) < 0.1)
    frames = []
    for month, confirmed in zip((1, 7), dates, strict=True):
        listed = confirmed & (lasting < 0.45 + luck - planted * groups["ethnic_minority"])
        listed[chance.choice(np.flatnonzero(kept & ~confirmed), visits - listed.sum(), replace=False)] = True
        table = {
            "household_id": np.arange(households),
            "village_code": village,
            "label": confirmed.astype(float),
        }
        table |= {"margin": listed + 0.9 * chance.random(households), **groups}
        frames.append(
            pl.DataFrame(table).filter(pl.Series(kept)).with_columns(as_of=pl.lit(dt.date(2024, month, 1)))
        )
    return pl.concat(frames)


def audit(counties: int) -> None:
    for households in (20_000, 60_000):
        for planted in (0.0, 0.2):
            hit, some, width = 0, 0, []
            for seed in range(counties):
                visits = households * 3 // 100
                table = audited(seed, planted=planted, households=households, visits=visits)
                result = audit_groups(table, groups=list(GROUP_NAMES), capacity=visits, draws=0)
                hit += "ethnic_minority=true" in result.flagged
                some += bool(result.flagged)
                width.append(
                    result.rows.filter((pl.col("group") == "ethnic_minority") & (pl.col("value") == "true"))
                )
            shown = pl.concat(width).select("confirmed", "detectable").mean().row(0)
            print(
                f"{households:,} households, planted {planted:.0%}: that group flagged "
                f"{hit / counties:.1%}, any of seven {some / counties:.1%}; on average {shown[0]:.0f} "
                f"confirmed in the group, smallest gap it would find {100 * shown[1]:.0f} points"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["speed", "coverage", "audit"])
    parser.add_argument("--counties", type=int, default=None)
    parser.add_argument("--villages", type=int, default=200)
    arguments = parser.parse_args()
    match arguments.what:
        case "speed":
            speed()
        case "coverage":
            coverage(arguments.counties or 1000, arguments.villages)
        case "audit":
            audit(arguments.counties or 500)


if __name__ == "__main__":
    main()
