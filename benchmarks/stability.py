"""How much two trainings that differ only in their seed agree about whom to visit first.

    python benchmarks/stability.py the shipped LightGBM plan on 20,000 synthetic households, seeds 1 and 2
    python benchmarks/stability.py --households 2000 --visits 100 --plan logistic_12m

Prints the Jaccard index of the first `--visits` households of each test date (households on both lists, over
those on either) and ends with exit code 1 when it lies below 0.75. One training of the default takes several
CPU minutes; `tests/training/test_learners.py` holds a reduced form.
"""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path

import polars as pl

from riskmodel.project import Project
from riskmodel.synthetic import make_county
from riskmodel.tables import from_frames
from riskmodel.training.fits import fit_fold, months_of, task_of
from riskmodel.training.fold_rows import county_rows, predictions_frame
from riskmodel.training.lists import stability
from riskmodel.training.plan import load_plan
from riskmodel.training.samples import Workbench

END = dt.date(2025, 12, 31)
AT_LEAST = 0.75


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--households", type=int, default=20_000)
    parser.add_argument("--years", type=int, default=4)
    parser.add_argument("--visits", type=int, default=1000)
    parser.add_argument("--plan", default="lightgbm_12m")
    parser.add_argument("--seeds", type=int, nargs=2, default=(1, 2))
    options = parser.parse_args()
    project = Project.find(Path(__file__).resolve().parents[1])
    frames, _ = make_county(options.households, options.years, END, 1)
    bench = Workbench(project, from_frames(frames))
    lists: list[pl.DataFrame] = []
    for seed in options.seeds:
        plan = load_plan(project, options.plan).model_copy(update={"seed": seed})
        plan_rows = county_rows(options.plan, plan, bench, END)
        [part] = plan_rows.evaluations
        fit = fit_fold(plan, part, task_of(plan, part, plan_rows.signs))
        margin = fit.margin(part.test.features)
        lists.append(
            predictions_frame(
                [part.test], [margin], [fit.calibration.probability(margin, months_of(plan)[-1])]
            )
        )
    found = stability(*lists, capacity=options.visits)
    print(
        f"{options.plan}, {options.households:,} households, seeds {options.seeds[0]} and "
        f"{options.seeds[1]}: {found.text()}"
    )
    print(f"Jaccard {found.jaccard:.4f}; at least {AT_LEAST} is asked for")
    return 0 if found.jaccard >= AT_LEAST else 1


if __name__ == "__main__":
    raise SystemExit(main())
