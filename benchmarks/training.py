"""What training a plan costs, in CPU seconds, and as a ratio to another version of the code.

    python benchmarks/training.py what the plans cost on a synthetic county python benchmarks/training.py
    --against FOLDER the same beside the code in FOLDER (another checkout), turn by turn python
    benchmarks/training.py --plans logistic_12m lightgbm_12m --households 20000

Every fit runs in a process of its own, on one thread; both versions fit the same county, which each makes for
itself from the same seed. Only fitting and calibrating is counted: features, evaluation and the run store are
not. Seconds hang on the machine and on what else it does, ratios of one run hardly.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from riskmodel.training.fits import Fit
    from riskmodel.training.fold_rows import FoldRows
    from riskmodel.training.learners import Task

END = dt.date(2025, 12, 31)
HERE = Path(__file__).resolve().parents[1]


def fitted(plan_name: str, project_folder: Path, households: int) -> dict[str, Any]:
    """CPU seconds of the evaluation's round and of the final one, and how many trees the members have (0
    without trees); where they tell a regression, how much of it (see `told_share`).
    """
    from riskmodel.project import Project
    from riskmodel.synthetic import make_county
    from riskmodel.tables import from_frames
    from riskmodel.training.fits import fit_fold, task_of
    from riskmodel.training.fold_rows import county_rows
    from riskmodel.training.plan import load_plan
    from riskmodel.training.samples import Workbench

    project = Project.find(project_folder)
    plan = load_plan(project, plan_name)
    frames, _ = make_county(households, 4, END, 11)
    plan_rows = county_rows(plan_name, plan, Workbench(project, from_frames(frames)), END)
    told: dict[str, Any] = {"rows": len(plan_rows.final.train)}
    for name, rows in (("evaluation", plan_rows.evaluations[0]), ("final", plan_rows.final)):
        began = time.process_time()
        fit = fit_fold(plan, rows, task_of(plan, rows, plan_rows.signs))
        told[name] = time.process_time() - began
        if name == "evaluation" and "logistic_trees" in fit.notes:
            told["told"] = told_share(fit, rows, task_of(plan, rows, plan_rows.signs))
        told["trees"] = sum(
            member.booster.num_trees() if hasattr(member, "booster") else 0 for member in fit.ensemble.members
        )
    return told


def told_share(fit: Fit, rows: FoldRows, task: Task) -> float:
    """Share of the variance of the first member's regression, on rows of later dates, that the trees which
    tell it reproduce.
    """
    import numpy as np

    from riskmodel.training.learners.prior import fit_prior

    prior = fit_prior(task)
    assert prior is not None and rows.test is not None
    wanted = prior.share * prior.members[0].margin(rows.test.features)
    booster = fit.ensemble.members[0].booster  # type: ignore[attr-defined]
    said = booster.predict(rows.test.features, raw_score=True, num_iteration=fit.notes["logistic_trees"][0])
    return float(1 - np.mean((said - wanted) ** 2) / np.var(wanted))


def apart(plan_name: str, checkout: Path, households: int) -> dict[str, Any]:
    """`fitted` by the code of a checkout, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        __file__,
        "--one",
        plan_name,
        "--project",
        str(checkout),
        "--households",
        str(households),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plans", nargs="+", default=["logistic_12m", "lightgbm_12m"])
    parser.add_argument("--households", type=int, default=8_000)
    parser.add_argument(
        "--against", type=Path, help="another checkout, whose code is measured beside this one's"
    )
    parser.add_argument("--project", type=Path, default=HERE, help=argparse.SUPPRESS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(fitted(given.one, given.project, given.households)))
        return
    for plan in given.plans:
        mine = apart(plan, HERE, given.households)
        cost = mine["evaluation"] + mine["final"]
        parts = (
            f"evaluation {mine['evaluation']:.1f}, final {mine['final']:.1f}, {mine['rows']:,} rows, "
            f"{mine['trees']:,} trees"
        )
        if "told" in mine:
            parts += f", {mine['told']:.3f} of its regression's variance told"
        print(f"{plan}: {cost:.1f} CPU s ({parts})", flush=True)
        if given.against is not None:
            other = apart(plan, given.against.resolve(), given.households)
            before = other["evaluation"] + other["final"]
            print(
                (
                    f"  {given.against.name}: {before:.1f} CPU s, {other['trees']:,} trees; this one : it = "
                    f"1 : {before / cost:.2f}"
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
