"""Compare two versions of riskmodel byte by byte: does a change that should move no score really move none?

    python benchmarks/bytes.py --before OLD/.venv/bin/riskmodel --after .venv/bin/riskmodel [--households
    1500] [--keep DIR]

Both commands work through the same steps on one synthetic county, which the older version writes: train,
promote, score, list, explain, export, exits. Each step's result is reduced to one SHA-256 and the two columns
are compared. Parquet files are compared by their values (column by column, in order), workbooks by the XML of
their sheets, everything else by its bytes. Exit code 1 when something differs.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import polars as pl

AS_OF = "2025-12-31"
CLOCKS = ("made_at", "known_at")  # columns that hold the clock of the run


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", required=True, type=Path, help="riskmodel of the older version")
    parser.add_argument("--after", required=True, type=Path, help="riskmodel of the newer version")
    parser.add_argument("--households", type=int, default=1500)
    parser.add_argument("--keep", type=Path, help="keep what was made in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = (arguments.keep or Path(scratch)).absolute()
        tables = root / "county"
        if not tables.is_dir():
            size = ["--households", str(arguments.households), "--years", "4", "--end", AS_OF, "--seed", "5"]
            run(arguments.before, "synthesise", str(tables), *size)
        before, after = (
            results(binary, root / name, tables)
            for name, binary in (("before", arguments.before), ("after", arguments.after))
        )
    differ = [step for step in {**before, **after} if before.get(step) != after.get(step)]
    for step in {**before, **after}:
        mark = "DIFFERS" if step in differ else "same"
        print(f"{step:<14} {mark:<8} {before.get(step, '-')[:16]}  {after.get(step, '-')[:16]}")
    return 1 if differ else 0


def results(binary: Path, folder: Path, tables: Path) -> dict[str, str]:
    """Work through the steps in a new project; SHA-256 of each result by name."""
    project, out = folder / "project", folder / "out"
    out.mkdir(parents=True)
    run(binary, "init", str(project))
    here = ["--project", str(project)]
    data = ["--tables", str(tables), "--as-of", AS_OF]
    plans = ("income_rule", "logistic_12m", "lightgbm_12m")
    ids = [run(binary, "train", plan, "--tables", str(tables), *here).split()[-1] for plan in plans]
    for plan, run_id in zip(plans, ids, strict=True):
        run(binary, "score", *data, "--model", run_id, "--output", str(out / f"scores_{plan}.parquet"), *here)
    run(binary, "features", str(tables), "--as-of", AS_OF, "--output", str(out / "features.parquet"), *here)
    model = ["--model", ids[-1]]
    lists = ["--output", str(out / "list.csv"), "--by-township", str(folder / "townships")]
    run(binary, "list", *data, *model, "--capacity", "60", *lists, *here)
    for path in (folder / "townships").glob("*.xlsx"):
        path.rename(out / path.name)
    run(binary, "exits", *data, *model, "--output", str(out / "exits.csv"), *here)
    first = pl.read_parquet(out / "scores_lightgbm_12m.parquet")["household_id"].to_list()[:20]
    run(binary, "export", *first, *data, "--output", str(out / "request.json"), *here)
    (out / "explain.txt").write_text(run(binary, "explain", first[0], *data, *model, *here))
    return {path.name: digest(path, ids) for path in sorted(out.iterdir())}


def digest(path: Path, ids: list[str]) -> str:
    """SHA-256 of what a file holds, without the ids of runs, which differ between two projects."""
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        text = frame.drop([name for name in CLOCKS if name in frame.columns]).write_ndjson()
        content = text.encode()
    elif path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as book:
            names = [name for name in sorted(book.namelist()) if name.startswith("xl/")]
            content = b"".join(book.read(name) for name in names)
    else:
        content = path.read_bytes()
    for run_id in ids:
        content = content.replace(run_id.encode(), b"RUN")
    return hashlib.sha256(content).hexdigest()


def run(binary: Path, *arguments: str) -> str:
    """What the command prints. Raises SystemExit with its words when it fails."""
    # An absolute path that is not resolved: a link to the interpreter would leave its environment.
    done = subprocess.run([str(binary.absolute()), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{binary} {' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
