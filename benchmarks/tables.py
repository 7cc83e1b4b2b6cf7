"""Reading, checking and storing a county's tables, beside a plain pandas and a plain polars read of the same
files.

    python benchmarks/tables.py 20,000 households, about 2.7 million event rows python benchmarks/tables.py
    --households 150000 --rows 20 the large county: 20 million event rows python benchmarks/tables.py --form
    csv the same from CSV

Each road runs in a process of its own: seconds of the wall clock and of the processor (the ratios are of
these, which other work on the machine disturbs less), and the peak memory of the process. The plain reads
only read:
no types are checked, no duplicates found, nothing is put in order. The county made here is for time and size
only: it is random.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROADS = ("pandas", "polars", "check", "read", "store", "store_again", "read_store")


def make_county(folder: Path, *, households: int, rows: float, form: str, seed: int = 1) -> int:
    """Write a random county with about `rows` million event rows; returns their number."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    first, days = 18_628, 1_461  # 2021-01-01, four years

    def write(name: str, columns: dict[str, Any]) -> int:
        frame = pl.DataFrame(columns)
        if form == "csv":
            frame.write_csv(folder / f"{name}.csv")
        else:
            frame.write_parquet(folder / f"{name}.parquet")
        return frame.height

    def dates(values: np.ndarray) -> pl.Series:
        return pl.Series(values.astype(np.int32)).cast(pl.Date)

    def text(prefix: str, numbers: np.ndarray, digits: int = 8) -> pl.Series:
        return pl.select(
            pl.concat_str(pl.lit(prefix), pl.Series(numbers).cast(pl.String).str.zfill(digits))
        ).to_series()

    def flag(chance: float, count: int) -> np.ndarray:
        return rng.random(count) < chance

    home = np.arange(households)
    town = 1 + home % 12
    township = text("522301", town, 3)
    village = pl.select(pl.concat_str(township, text("", 201 + home // 12 % 9, 3))).to_series()
    write(
        "households",
        {
            "household_id": text("H", home),
            "known_on": dates(np.full(households, first)),
            "county_code": pl.Series(["522301"]).new_from_index(0, households),
            "township_code": township,
            "village_code": village,
            "category": pl.Series(np.where(flag(0.4, households), "lifted", "general")),
            "relocated": flag(0.1, households),
        },
    )
    owner = np.repeat(home, 3)
    people = len(owner)
    member_columns: dict[str, Any] = {
        "member_id": text("M", np.arange(people)),
        "known_on": dates(np.full(people, first)),
        "household_id": text("H", owner),
        "birth_date": dates(rng.integers(-10_000, 14_000, people)),
        "sex": pl.Series(np.where(flag(0.5, people), "male", "female")),
        "relation": pl.Series(np.array(["head", "spouse", "other"])[np.arange(people) % 3]),
        "education": pl.Series(np.array(["primary", "junior"])[rng.integers(0, 2, people)]),
        "schooling": pl.Series(["none"]).new_from_index(0, people),
        "labour": pl.Series(np.array(["ordinary", "weak", "none"])[rng.integers(0, 3, people)]),
        "left_on": pl.Series([None], dtype=pl.Date).new_from_index(0, people),
    }
    for name, chance in (("chronic_ill", 0.1), ("seriously_ill", 0.02), ("dibao", 0.04), ("tekun", 0.01)):
        member_columns[name] = flag(chance, people)
    for name in ("medical_insured", "pension_insured"):
        member_columns[name] = flag(0.97, people)
    write("members", member_columns)
    written = 0
    shares = {
        "income": 0.30,
        "expenditure": 0.15,
        "medical": 0.25,
        "employment": 0.25,
        "verifications": 0.03,
        "leads": 0.02,
    }
    for name, share in shares.items():
        count = int(rows * 1e6 * share)
        occurred = first + rng.integers(0, days, count)
        columns: dict[str, Any] = {"event_id": text(name[:2].upper(), np.arange(count))}
        if name in ("medical", "employment"):
            columns["member_id"] = text("M", rng.integers(0, people, count))
        else:
            columns["household_id"] = text("H", rng.integers(0, households, count))
        columns |= {"occurred_on": dates(occurred), "known_on": dates(occurred + rng.integers(0, 60, count))}
        amount = np.round(rng.lognormal(6, 1.2, count), 2)
        if name == "income":
            columns |= {
                "source": pl.Series(np.array(["wage", "business", "transfer"])[rng.integers(0, 3, count)]),
                "amount": amount,
            }
        elif name == "expenditure":
            columns |= {
                "purpose": pl.Series(np.array(["production", "education"])[rng.integers(0, 2, count)]),
                "amount": amount,
            }
        elif name == "medical":
            back = np.round(amount * 0.5, 2)
            columns |= {"kind": pl.Series(np.array(["outpatient", "inpatient"])[rng.integers(0, 2, count)])}
            columns |= {"total_cost": amount, "reimbursed": back, "self_paid": np.round(amount - back, 2)}
        elif name == "employment":
            columns |= {"employed": flag(0.9, count), "monthly_wage": np.clip(amount, 100, 20_000)}
        elif name == "leads":
            columns |= {"channel": pl.Series(["cadre"]).new_from_index(0, count)}
        else:
            columns |= {
                "origin": pl.Series(["sweep"]).new_from_index(0, count),
                "outcome": pl.Series(["no_risk"]).new_from_index(0, count),
            }
        written += write(name, columns)
    return written


def run(road: str, folder: Path, store: Path) -> dict[str, float]:
    """One road, in this process: seconds and peak memory in GB."""
    if road == "pandas":
        import pandas
    else:
        from riskmodel.tables import check_tables, read_tables, store_tables
    start, processor = time.perf_counter(), time.process_time()
    if road == "pandas":
        kept = [
            pandas.read_csv(path) if path.suffix == ".csv" else pandas.read_parquet(path)
            for path in sorted(folder.iterdir())
        ]
        assert kept
    elif road == "polars":
        frames = [
            pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
            for path in sorted(folder.iterdir())
        ]
        assert frames
    elif road == "check":
        report = check_tables(folder)
        assert report.ok, report.text()
    elif road == "read":
        read_tables(folder)
    elif road in ("store", "store_again"):
        store_tables(folder, store)
    else:
        read_tables(store)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    return {
        "seconds": seconds,
        "processor": processor,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--households", type=int, default=20_000)
    parser.add_argument("--rows", type=float, default=2.7, help="million event rows")
    parser.add_argument("--form", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--folder", type=Path, help="where the county is made, or lies already")
    parser.add_argument("--roads", nargs="*", default=ROADS, choices=ROADS)
    parser.add_argument("--road", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.road:
        print(json.dumps(run(chosen.road, chosen.folder / "tables", chosen.folder / "store")))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch)
        if not (folder / "tables").exists():
            count = make_county(
                folder / "tables", households=chosen.households, rows=chosen.rows, form=chosen.form
            )
            print(f"{chosen.households:,} households, {count:,} event rows, {chosen.form}")
        measured = {}
        for road in chosen.roads:
            if road == "store":
                shutil.rmtree(folder / "store", ignore_errors=True)
            command = [sys.executable, __file__, "--folder", str(folder), "--road", road]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            measured[road] = json.loads(answer.stdout)
            row = measured[road]
            ratios = [
                f"{row['processor'] / measured[plain]['processor']:>8.1f} × {plain}"
                for plain in ("pandas", "polars")
                if plain in measured
            ]
            print(
                f"{road:<12}{row['seconds']:>8.2f} s{row['processor']:>8.2f} s "
                f"processor{row['gigabytes']:>7.2f} GB{''.join(ratios)}"
            )


if __name__ == "__main__":
    main()
