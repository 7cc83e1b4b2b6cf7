"""Reasons picked at random from a file of scores, to be read as a visitor would read them.

python benchmarks/read_reasons.py out/scores.parquet ten households: five of the first 3 %, five of the others
python benchmarks/read_reasons.py out/scores.parquet --seed 2 ten others
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

FIRST = 0.03


def picked(scores: pl.DataFrame, seed: int, number: int) -> pl.DataFrame:
    """Half of them from the first 3 % of the order, half from the rest, by rank."""
    draw = np.random.default_rng(seed)
    ordered = scores.sort("rank")
    head = max(number, round(FIRST * len(ordered)))
    half = (number + 1) // 2
    places = [
        *draw.choice(head, half, replace=False),
        *(head + draw.choice(len(ordered) - head, number - half, replace=False)),
    ]
    return ordered[sorted(int(place) for place in places)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, default=10)
    chosen = parser.parse_args()
    scores = pl.read_parquet(chosen.scores)
    for row in picked(scores, chosen.seed, chosen.number).iter_rows(named=True):
        print(f"{row['rank']:,} / {len(scores):,}")
        print(row["reasons_zh"] + (f"（数据提示：{row['notes_zh']}）" if row["notes_zh"] else ""))
        print(row["reasons_en"] + (f" (About the data: {row['notes_en']}.)" if row["notes_en"] else ""))
        print()


if __name__ == "__main__":
    main()
