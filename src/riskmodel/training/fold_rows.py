"""What a plan learns from and is examined on: rounds of train, calibrate and test rows, whatever table they
come from.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from riskmodel.errors import Fault, PlanError
from riskmodel.tables import Tables
from riskmodel.training.enough import faults_of_fold
from riskmodel.training.folds import Fold, Folds, make_folds
from riskmodel.training.outcomes import CurrentOutcomes, current_outcomes
from riskmodel.training.plan import PLAN_FOLDER, Plan
from riskmodel.training.samples import Sample, Workbench, stack

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNS = {"higher": 1, "lower": -1, "unclear": 0}


class FoldTable(Protocol):
    """How the rounds were cut, for a person."""

    def rows(self) -> list[dict[str, str]]:
        """One dict a fold and use: dates, households, labelled, confirmed."""

    def text(self) -> str:
        """The same as a table for a terminal."""

    def figure(self) -> Figure:
        """The same as a picture."""


@dataclass(frozen=True)
class FoldRows:
    """Rows of one fit. train, calibrate: labelled only. test: the whole cohort, labelled or not; None in the
    final round.
    """

    train: Sample
    calibrate: Sample
    test: Sample | None


@dataclass(frozen=True)
class PlanRows:
    """Everything that fitting one plan needs.

    evaluations: folds whose test rows are pooled into the predictions that are evaluated. final: the fold
    whose model is kept. facts: the data section of the model record. outcomes: what happened without the
    lists; None where it is not known.
    """

    names: tuple[str, ...]
    signs: tuple[int, ...]
    evaluations: tuple[FoldRows, ...]
    final: FoldRows
    folds: FoldTable
    facts: Mapping[str, Any]
    outcomes: CurrentOutcomes | None = None


def county_rows(
    name: str,
    plan: Plan,
    bench: Workbench,
    until: dt.date,
    progress: Callable[[str, float], None] = lambda _, __: None,
) -> PlanRows:
    """The plan_rows of a plan on a county's tables. Raises PlanError when the tables are too short or the
    plan names unknown features.
    """
    _refuse_unfit_tables(name, plan, bench.tables)
    names = feature_names(name, plan, bench)
    folds = make_folds(
        plan,
        first_day=bench.first_day,
        known_from=bench.known_from,
        until=until,
        labelled_share=lambda day, known: bench.labelled_share(day, plan.horizon_months, known),
    )
    days = sorted(
        {day for fold in (folds.evaluation, folds.final) for day in fold.train + fold.calibrate + fold.test}
    )
    external = external_margins(bench, plan) if plan.learner.spec.features is None else None

    def sample(day: dt.date, known_until: dt.date) -> Sample:
        if external is None:
            return bench.sample(day, plan.horizon_months, known_until, names)
        return with_margin(bench.sample(day, plan.horizon_months, known_until, ()), external, day)

    if external is None:
        for number, day in enumerate(days):
            progress(f"features as of {day}", number / len(days))
            bench.features(day)

    def rows(fold: Fold) -> FoldRows:
        learned = [
            stack([sample(day, fold.known_until) for day in part]).labelled()
            for part in (fold.train, fold.calibrate)
        ]
        test = stack([sample(day, until) for day in fold.test]) if fold.test else None
        return FoldRows(learned[0], learned[1], test)

    evaluation, final = rows(folds.evaluation), rows(folds.final)
    _refuse_too_little(name, plan, folds, evaluation, final)
    catalogue = bench.catalogue
    signs = tuple(
        SIGNS[catalogue[feature].riskier_when] if feature in catalogue else 1
        for feature in evaluation.train.names
    )
    facts = {
        "tables_hash": bench.tables_hash,
        "table_hashes": dict(bench.tables.hashes),
        "refused_rows": {table: count for table, count in bench.tables.refused.items() if count},
        "until": str(until),
        "first_day": str(folds.first_day),
        "known_from": str(bench.known_from),
        "policy_not_verified": bench.policy.unverified(
            bench.tables["households"]["county_code"].unique(), days
        ),
    }
    outcomes = current_outcomes(bench, folds.evaluation.test, plan.horizon_months, until)
    return PlanRows(
        names=evaluation.train.names,
        signs=signs,
        evaluations=(evaluation,),
        final=final,
        folds=folds,
        facts=facts,
        outcomes=outcomes,
    )


def _refuse_unfit_tables(name: str, plan: Plan, tables: Tables) -> None:
    """A plan learns from verifications, and from tables of which no more rows were set aside than it
    allows."""
    faults = []
    if not tables.get("verifications").height:
        faults.append(
            Fault(
                "verifications",
                "no such table, or no row in it",
                "the outcomes of visits, with their yearly sweeps",
                (
                    "Deliver the table: without outcomes nothing can be learned. The rules can still order "
                    "households."
                ),
            )
        )
    for table, refused in tables.refused.items():
        rows = refused + tables.get(table).height
        if refused > plan.refused_rows_at_most * rows:
            faults.append(
                Fault(
                    table,
                    f"{refused:,} of {rows:,} rows were set aside by the checks",
                    f"at most {plan.refused_rows_at_most:.1%} (refused_rows_at_most of plan {name})",
                    "Mend them at the source, or let the plan go on with the rest by a higher share.",
                )
            )
    if faults:
        raise PlanError(faults)


def _refuse_too_little(name: str, plan: Plan, folds: Folds, evaluation: FoldRows, final: FoldRows) -> None:
    """Raises PlanError when the rows of the evaluation or of the final fold are too few to learn from."""
    for fold, part in ((folds.evaluation, evaluation), (folds.final, final)):
        where = {
            use: f"{use} dates {', '.join(map(str, getattr(fold, use)))}"
            for use in ("train", "calibrate", "test")
            if getattr(fold, use)
        }
        if faults := faults_of_fold(name, plan, part, where):
            raise PlanError(faults)


def feature_names(name: str, plan: Plan, bench: Workbench) -> tuple[str, ...]:
    """The features that the plan's learner takes, in the catalogue's order. Raises PlanError for names the
    catalogue does not have.
    """
    catalogue = bench.catalogue
    where = f"{PLAN_FOLDER / name}.yaml"
    choose = plan.learner.spec.features
    if choose is None:
        return ()
    wanted = choose(plan.learner.parameters, plan.features, catalogue)
    unknown = sorted({feature for feature in wanted.mentioned if feature not in catalogue})
    if unknown or not wanted.features:
        raise PlanError(
            Fault(
                where,
                f"no such feature: {', '.join(unknown)}" if unknown else "no feature is left",
                "names of features/catalogue.yaml",
                "Correct the spelling, or add the feature.",
            )
        )
    return tuple(wanted.features)


def external_margins(bench: Workbench, plan: Plan) -> pl.DataFrame:
    """household_id, as_of, margin of another model, from the file that the plan names. Raises PlanError."""
    path = bench.project.root / plan.learner.parameters.predictions
    if not path.is_file():
        raise PlanError(
            Fault(
                str(path),
                "no such file",
                "Parquet or CSV with household_id, as_of and margin",
                "Let the other model write its margins for the as-of dates of this plan, then train again.",
            )
        )
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, try_parse_dates=True)
    missing = [column for column in ("household_id", "as_of", "margin") if column not in frame.columns]
    if missing:
        raise PlanError(
            Fault(
                str(path),
                f"no column {', '.join(missing)}",
                "household_id, as_of and margin",
                "Add what is missing.",
            )
        )
    return frame.select(
        pl.col("household_id").cast(pl.String),
        pl.col("as_of").cast(pl.Date),
        pl.col("margin").cast(pl.Float64),
    )


def with_margin(sample: Sample, external: pl.DataFrame, day: dt.date) -> Sample:
    """The sample with the other model's margin as its only feature. Raises PlanError if households are
    without one.
    """
    there = external.filter(pl.col("as_of") == day)
    joined = pl.DataFrame({"household_id": sample.household_id.tolist()}).join(
        there, on="household_id", how="left", maintain_order="left"
    )
    missing = joined["margin"].null_count()
    if missing or joined.height != len(sample):
        raise PlanError(
            Fault(
                f"external margins as of {day}",
                f"{missing} of {len(sample)} cohort households without a margin",
                "one margin for every household of the cohort and as-of date",
                "Write the missing rows; the fold table names the as-of dates.",
            )
        )
    from dataclasses import replace

    return replace(
        sample, names=("external_margin",), features=joined["margin"].to_numpy().reshape(-1, 1).copy()
    )


def predictions_frame(
    tests: Sequence[Sample], margins: Sequence[Any], probabilities: Sequence[Any]
) -> pl.DataFrame:
    """The frame that `evaluation` takes: household_id, village_code, township_code, as_of, margin,
    probability, label (null: unlabelled) and the audit groups; one row a test row, sorted by as_of and
    household_id.
    """
    frames = [
        pl.concat(
            [
                pl.DataFrame(
                    {
                        "household_id": test.household_id.tolist(),
                        "village_code": test.village.tolist(),
                        "township_code": test.township.tolist(),
                        "as_of": pl.Series(test.as_of.tolist(), dtype=pl.Date),
                        "margin": margin,
                        "probability": probability,
                        "label": pl.Series(test.label).fill_nan(None).cast(pl.Int8),
                    },
                    schema_overrides={
                        "household_id": pl.String,
                        "village_code": pl.String,
                        "township_code": pl.String,
                    },
                ),
                test.groups,
            ],
            how="horizontal",
        )
        for test, margin, probability in zip(tests, margins, probabilities, strict=True)
    ]
    return pl.concat(frames).sort("as_of", "household_id")
