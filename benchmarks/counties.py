"""The judge of plans: several synthetic counties at once, which differ in what drives risks and in how they
are written down.

    python benchmarks/counties.py make --cache DIR synthesise the counties and build their features (once)
    python benchmarks/counties.py judge --cache DIR --set tune compare plans on the counties that may be
    looked at while choosing python benchmarks/counties.py judge --cache DIR --set held the same on counties
    held back: to be looked at once, at the end python benchmarks/counties.py judge --cache DIR --set tune
    --plans lightgbm_12m my_plan --project FOLDER

Every county keeps the contract and runs through the same folds, features and learners as `riskmodel train`;
only the run store is left out. Feature matrices and predictions are kept in DIR under a hash of what made
them (county, feature code, plan, training code), so that another plan costs its own training only.

What is printed: for each plan, over all counties of the set (each county and as-of date is one list, all
lists count the same)

* recall at 1, 2 and 5 %, also as a share of what the true probability and the best plan reach;
* `expected`: true probabilities of the listed, over those that the true order lists: the same share without
  the luck of who fell (a tenth of the noise);
* AUC, observed/expected; paired differences from the baseline with 95 % intervals (whole villages of all
  counties are drawn);
* county by county: recall at 5 %, `expected` at 5 % and observed/expected.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl

from riskmodel.features.matrix import FeatureMatrix
from riskmodel.project import Project, hash_files
from riskmodel.synthetic import Dynamics, make_county
from riskmodel.tables import Tables, from_frames
from riskmodel.training.comparison import compare_predictions
from riskmodel.training.fits import fit_fold, months_of, task_of
from riskmodel.training.fold_rows import county_rows, predictions_frame
from riskmodel.training.plan import Plan, load_plan
from riskmodel.training.samples import Workbench

END = dt.date(2025, 12, 31)
SHARES = (0.01, 0.02, 0.05)
TRUTH = "true probability"
PLANS = (
    "income_rule",
    "department_rules",
    "logistic_12m",
    "boosting_12m",
    "lightgbm_12m",
    "lightgbm_monotone_12m",
    "hazard_12m",
)
SOURCES = Path(__file__).resolve().parents[1] / "src" / "riskmodel"


@dataclass(frozen=True)
class County:
    """One county of the judge. years: how long its tables are; until: an earlier cut, for a shorter
    history.
    """

    name: str
    dynamics: Dynamics
    seed: int
    households: int = 8_000
    years: int = 4
    until: dt.date = END

    @property
    def key(self) -> str:
        made_by = hash_files(
            SOURCES, sorted(str(path.relative_to(SOURCES)) for path in (SOURCES / "synthetic").glob("*.py"))
        )
        return hashlib.sha256(f"{self} {made_by}".encode()).hexdigest()[:16]


# None of them has the usual dynamics, and none the seeds 1 to 3 that the README shows.
TUNE = (
    County("illness", Dynamics(illness=2.2, illnesses=1.4, work=0.4, lack=0.5), 101),
    County("income", Dynamics(lack=4.0, sudden=0.35, gaps=0.5), 102),
    County("jobs", Dynamics(work=2.5, job_loss=1.8, illness=0.35, lack=0.6), 103),
    County("poor records", Dynamics(swept=0.7, later_days=45, lost=0.12, misread=0.35), 104),
    County("small and rare", Dynamics(lack=0.6, sudden=0.6, gaps=0.6, rest=0.6), 105, households=6_000),
)
HELD = (
    County("disaster", Dynamics(floods=4.0, disaster=2.5, illness=0.5, work=0.7), 201),
    County(
        "tables missing",
        Dynamics(absent=("employment", "assets", "leads", "authorisations", "disability")),
        202,
    ),
    County("many", Dynamics(lack=2.5, sudden=2.0, gaps=2.0, found=1.5), 203, households=6_000),
    County("guarantees, short", Dynamics(gaps=5.0, sudden=0.5), 204, until=dt.date(2025, 8, 31)),
    County("little luck, misread", Dynamics(luck=0.4, sudden=1.5, misread=0.5, lost=0.05), 205),
    County(
        "income, illness, late",
        Dynamics(lack=2.0, illness=1.6, work=0.3, later_days=30, swept=0.8),
        206,
        households=12_000,
    ),
)
SETS = {"tune": TUNE, "held": HELD}


class KeptBench(Workbench):
    """A workbench that keeps its feature matrices in a folder."""

    def __init__(self, project: Project, tables: Tables, folder: Path) -> None:
        super().__init__(project, tables)
        self.folder = folder

    def features(self, as_of: dt.date) -> FeatureMatrix:
        """See `Workbench.features`; read from the folder where it was built before."""
        path = self.folder / f"{as_of}.npz"
        if as_of not in self._features and path.is_file():
            with np.load(path, allow_pickle=False) as kept:
                texts = [kept[name].astype(object) for name in ("household_id", "village_code")]
                self._features[as_of] = FeatureMatrix(
                    as_of, *texts, tuple(kept["names"].tolist()), kept["values"]
                )
        if as_of not in self._features:
            matrix = super().features(as_of)
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".unfinished.npz")
            np.savez(
                draft,
                household_id=matrix.household_id.astype(str),
                village_code=matrix.village_code.astype(str),
                names=np.array(matrix.names),
                values=matrix.values,
            )
            os.replace(draft, path)
        return self._features[as_of]


def bench_of(county: County, project: Project, cache: Path) -> tuple[KeptBench, pl.DataFrame]:
    """The county's workbench and its truth (household_id, as_of, true_probability_12m); made and kept when
    asked for first.
    """
    folder = cache / f"{county.name.replace(' ', '_').replace(',', '')}-{county.key}"
    if not (folder / "truth.parquet").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        frames, truth = make_county(
            county.households, county.years, END, county.seed, dynamics=county.dynamics
        )
        for name, frame in frames.items():
            frame.write_parquet(folder / f"{name}.table.parquet")
        truth.scores.write_parquet(folder / "truth.unfinished")
        os.replace(folder / "truth.unfinished", folder / "truth.parquet")
    frames = {
        path.name.removesuffix(".table.parquet"): pl.read_parquet(path)
        for path in sorted(folder.glob("*.table.parquet"))
    }
    built_by = hash_files(
        project.root,
        sorted(str(path.relative_to(project.root)) for path in (project.root / "features").rglob("*.*")),
    ) + hash_files(
        SOURCES, sorted(str(path.relative_to(SOURCES)) for path in (SOURCES / "features").rglob("*.py"))
    )
    matrices = folder / hashlib.sha256(built_by.encode()).hexdigest()[:12]
    return KeptBench(project, from_frames(frames), matrices), pl.read_parquet(folder / "truth.parquet")


def predicted(name: str, plan: Plan, county: County, bench: KeptBench) -> pl.DataFrame:
    """What the plan says of the test dates, as `riskmodel train` would have it: from the fold whose outcomes
    are known. Kept in the bench's folder.
    """
    code = hash_files(
        SOURCES, sorted(str(path.relative_to(SOURCES)) for path in (SOURCES / "training").rglob("*.py"))
    )
    kept = (
        bench.folder
        / f"{hashlib.sha256((plan.model_dump_json() + code).encode()).hexdigest()[:16]}.predictions.parquet"
    )
    if not kept.is_file():
        started = time.process_time()
        plan_rows = county_rows(name, plan, bench, county.until)
        evaluation = plan_rows.evaluations[0]
        assert evaluation.test is not None, "an evaluation round has a test"
        fit = fit_fold(plan, evaluation, task_of(plan, evaluation, plan_rows.signs))
        margin = fit.margin(evaluation.test.features)
        frame = predictions_frame(
            [evaluation.test], [margin], [fit.calibration.probability(margin, months_of(plan)[-1])]
        )
        frame.write_parquet(kept)
        notes = {
            key: value
            for key, value in fit.notes.items()
            if key in ("trees", "penalty", "train_rows", "train_confirmed")
        }
        print(f"  {county.name}: {name}, {time.process_time() - started:.0f} CPU s, {notes}", flush=True)
    return pl.read_parquet(kept)


def all_predictions(
    counties: Sequence[County], plans: Mapping[str, Plan], project: Project, cache: Path
) -> dict[str, dict[str, pl.DataFrame]]:
    """Predictions of each plan and of the true probability, by county: all rows of one plan can be put under
    each other (villages and households carry the county's name, as-of dates are moved apart by centuries, so
    that each list of each county stays one list).
    """
    everything: dict[str, dict[str, pl.DataFrame]] = {}
    for place, county in enumerate(counties):
        bench, truth = bench_of(county, project, cache)
        apart = f"{100 * place}y"
        for name, plan in plans.items():
            frame = predicted(name, plan, county, bench).join(
                truth.select("household_id", "as_of", "true_probability_12m"),
                on=["household_id", "as_of"],
                how="left",
            )
            frame = frame.with_columns(
                (pl.lit(f"{county.name} ") + pl.col("household_id")).alias("household_id"),
                (pl.lit(f"{county.name} ") + pl.col("village_code")).alias("village_code"),
                pl.col("as_of").dt.offset_by(apart),
            )
            everything.setdefault(county.name, {})[name] = frame
        like = everything[county.name][next(iter(plans))].with_columns(
            pl.col("true_probability_12m").fill_null(0.0)
        )
        true = pl.col("true_probability_12m")
        everything[county.name][TRUTH] = like.with_columns(margin=true, probability=true)
    return everything


def expected_share(frame: pl.DataFrame, share: float) -> float:
    """True probabilities among the first `share` of each list, over the most that any order could gather
    there; mean over lists. A tie at the cut takes its part of the tied.
    """
    shares = []
    for _, dated in frame.group_by("as_of", maintain_order=True):
        truth = dated["true_probability_12m"].fill_null(0.0).to_numpy()
        margin = dated["margin"].to_numpy()
        count = max(1, round(share * len(truth)))
        cut = -np.partition(-margin, count - 1)[count - 1]
        above, tied = margin > cut, margin == cut
        got = truth[above].sum() + truth[tied].sum() * (count - above.sum()) / tied.sum()
        shares.append(float(got / -np.partition(-truth, count - 1)[:count].sum()))
    return float(np.mean(shares))


def judge(
    counties: Sequence[County],
    plans: Mapping[str, Plan],
    project: Project,
    cache: Path,
    *,
    baseline: str,
    draws: int = 400,
) -> str:
    """The tables that this benchmark prints."""
    everything = all_predictions(counties, plans, project, cache)
    names = [*plans, TRUTH]
    pooled = {name: pl.concat([everything[county.name][name] for county in counties]) for name in names}
    rows = next(iter(pooled.values()))
    lines = [
        (
            f"{len(counties)} counties ({', '.join(county.name for county in counties)}), "
            f"{rows['as_of'].n_unique()} lists, {rows.height:,} rows, {int(rows['label'].sum() or 0):,} "
            "confirmed among them"
        )
    ]
    result = compare_predictions(pooled, capacities=SHARES, draws=draws, seed=7, baseline=baseline)
    reached = {name: [result[name].value("recall", share) for share in SHARES] for name in names}
    best = [max(reached[name][k] for name in plans) for k in range(len(SHARES))]
    lines.append(
        f"\n{'plan':28}{'recall at 1, 2, 5 %':>22}{'of the truth':>18}{'of the best':>18}"
        f"{'expected 1, 2, 5 %':>22}{'AUC':>8}{'O/E':>7}"
    )
    for name in names:
        of_truth = [value / true for value, true in zip(reached[name], reached[TRUTH], strict=True)]
        of_best = [value / most for value, most in zip(reached[name], best, strict=True)]
        gathered = [expected_share(pooled[name], share) for share in SHARES]
        lines.append(
            f"{name:28}"
            + "".join(f"{value:7.3f}" for value in reached[name]).rjust(22)
            + "".join(f"{value:6.0%}" for value in of_truth).rjust(18)
            + "".join(f"{value:6.0%}" for value in of_best).rjust(18)
            + "".join(f"{value:7.3f}" for value in gathered).rjust(22)
            + f"{result[name].value('auc'):8.3f}{result[name].value('observed_expected'):7.2f}"
        )
    lines.append(f"\npaired differences, 95 % intervals over villages of all counties ({draws} draws)")
    for against in dict.fromkeys((baseline, "department_rules", "income_rule")):
        if against not in plans:
            continue
        for name in plans:
            if name == against:
                continue
            cells = []
            for metric, capacity in (*(("recall", share) for share in SHARES), ("auc", "")):
                value, low, high = result.difference(name, metric, capacity, baseline=against)
                at = f"{capacity:.0%}" if capacity else ""
                cells.append(f"{metric} {at:2} {value:+.3f} [{low:+.3f}, {high:+.3f}]")
            lines.append(f"{name:24} − {against:18} " + "  ".join(cells))
    lines.append(
        "\ncounty by county: recall at 5 % | expected at 5 % | observed/expected; confirmed rows in brackets"
    )
    lines.append(f"{'plan':28}" + "".join(f"{county.name:>26}" for county in counties))
    alone = {
        county.name: compare_predictions(
            everything[county.name], capacities=(0.05,), draws=0, baseline=baseline
        )
        for county in counties
    }
    for name in names:
        cells = []
        for county in counties:
            one = alone[county.name][name]
            gathered_5 = expected_share(everything[county.name][name], 0.05)
            cells.append(
                (
                    f"{one.value('recall', 0.05):.3f} | {gathered_5:.3f} | "
                    f"{one.value('observed_expected'):.2f}"
                ).rjust(26)
            )
        lines.append(f"{name:28}" + "".join(cells))
    confirmed = [int(everything[county.name][TRUTH]["label"].sum() or 0) for county in counties]
    lines.append(f"{'':28}" + "".join(f"({count})".rjust(26) for count in confirmed))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "judge"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--set", choices=tuple(SETS), default="tune")
    parser.add_argument("--plans", nargs="+", default=list(PLANS))
    parser.add_argument("--baseline", default="logistic_12m")
    parser.add_argument("--project", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument(
        "--members", type=int, help="another number of members for every plan, to see what it costs"
    )
    parser.add_argument("--draws", type=int, default=400)
    given = parser.parse_args()
    project = Project.find(given.project)
    if given.what == "make":
        for county in (*TUNE, *HELD):
            started = time.process_time()
            bench, truth = bench_of(county, project, given.cache)
            county_rows(county.name, load_plan(project, "lightgbm_12m"), bench, county.until)
            about = {
                "households": county.households,
                "confirmed in 12 months": round(float(truth["outcome_12m"].mean()), 4),
            }  # type: ignore[arg-type]
            print(
                f"{county.name}: {time.process_time() - started:.0f} CPU s, {json.dumps(about)}", flush=True
            )
        return
    names = list(dict.fromkeys([given.baseline, *given.plans]))
    plans = {name: load_plan(project, name) for name in names}
    if given.members:
        plans = {name: plan.model_copy(update={"members": given.members}) for name, plan in plans.items()}
    print(judge(SETS[given.set], plans, project, given.cache, baseline=given.baseline, draws=given.draws))


if __name__ == "__main__":
    main()
