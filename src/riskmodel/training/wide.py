"""Ready-made tables of somebody else: one row a household and wave, with the same folds, learners,
calibration and comparison.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from riskmodel.errors import Fault, PlanError
from riskmodel.features.denylist import DENYLIST_FILE, Denylist
from riskmodel.project import Project
from riskmodel.training.enough import faults_of_fold
from riskmodel.training.fold_rows import SIGNS, FoldRows, PlanRows
from riskmodel.training.learners import LEARNERS
from riskmodel.training.plan import PLAN_FOLDER, Plan, WideTable
from riskmodel.training.samples import Sample, part_of
from riskmodel.training.words import table_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The outer parts are drawn with another key than the members' parts inside them.
OUTER_SEED = 1_000_003


@dataclass(frozen=True)
class WaveFolds:
    """Which rows trained, calibrated and tested, as a table."""

    entries: tuple[dict[str, str], ...]

    def rows(self) -> list[dict[str, str]]:
        """One dict a fold and use: waves, households, labelled, confirmed."""
        return list(self.entries)

    def text(self) -> str:
        """The same as a table for a terminal."""
        columns = ["fold", "use", "waves", "households", "labelled", "confirmed"]
        return table_text(
            "Folds of a ready-made table", columns, [[row[name] for name in columns] for row in self.entries]
        )

    def figure(self) -> Figure:
        """Labelled rows of each fold and use, as bars."""
        from matplotlib.figure import Figure

        picture = Figure(figsize=(8, 1 + 0.28 * len(self.entries)), layout="constrained")
        axes = picture.subplots()
        axes.barh(
            [f"{row['fold']} · {row['use']} · {row['waves']}" for row in self.entries],
            [int(row["labelled"]) for row in self.entries],
        )
        axes.invert_yaxis()
        axes.set_xlabel("labelled rows")
        return picture


def table_rows(project: Project, name: str, plan: Plan, folder: Path | None) -> PlanRows:
    """The rows of a plan with `source: table`. folder: the folder with its file; without it the project's
    folder. Raises PlanError.
    """
    wide = plan.table
    assert wide is not None
    allowed = [other.name for other in LEARNERS.values() if other.for_tables]
    if plan.learner.name not in allowed:
        raise PlanError(
            Fault(
                f"{PLAN_FOLDER / name}.yaml (learner)",
                plan.learner.name,
                f"{', '.join(allowed[:-1])} or {allowed[-1]} for a ready-made table",
                "Choose another learner.",
            )
        )
    path = (folder or project.root) / wide.file
    never = _never_predictors(project, name, wide)
    if never:
        raise PlanError(never)
    frame = read_rows(path, wide)
    sample = sample_of(frame, wide)
    if (only := plan.learner.spec.one_feature) is not None:
        feature = only(plan.learner.parameters)
        if feature not in sample.names:
            raise PlanError(
                Fault(
                    f"{PLAN_FOLDER / name}.yaml (learner.{plan.learner.name}.feature)",
                    f"no predictor `{feature}`",
                    f"one of {', '.join(sample.names)}",
                    "Name the column that holds the income.",
                )
            )
        sample = sample.select([feature])
    evaluations = (
        _by_time(sample, wide, path) if wide.split == "time" else _by_households(sample, wide, plan.seed)
    )
    labelled = sample.labelled()
    waves = sorted(set(labelled.as_of.tolist()))
    if len(waves) > 1:
        newest = labelled.as_of == waves[-1]
        final = FoldRows(labelled.rows(~newest), labelled.rows(newest), None)
    else:
        final = FoldRows(labelled, labelled, None)
    faults = [
        fault
        for place, part in enumerate([*evaluations, final])
        for fault in faults_of_fold(
            name,
            plan,
            part,
            {
                use: (
                    f"{path}, {use} rows of "
                    f"{'the final fold' if part is final else f'evaluation fold {place + 1}'}"
                )
                for use in ("train", "calibrate")
            },
        )
    ]
    if faults:
        raise PlanError(faults)
    entries = [
        entry
        for place, part in enumerate([*evaluations, final])
        for entry in _entries("final" if place == len(evaluations) else f"evaluation {place + 1}", part)
    ]
    signs = tuple(SIGNS[wide.riskier_when.get(feature, "unclear")] for feature in sample.names)
    facts = {
        "tables_hash": hashlib.sha256(path.read_bytes()).hexdigest(),
        "until": str(waves[-1]),
        "file": wide.file,
        "rows": len(sample),
    }
    return PlanRows(
        names=sample.names,
        signs=signs,
        evaluations=tuple(evaluations),
        final=final,
        folds=WaveFolds(tuple(entries)),
        facts=facts,
    )


def _never_predictors(project: Project, name: str, wide: WideTable) -> list[Fault]:
    """A fault for each predictor of the plan that may not be one: columns of the denylist, and those that
    identify a household, date the row, or are the outcome.
    """
    denylist = Denylist.load(project)
    plan = f"{PLAN_FOLDER / name}.yaml"
    used: dict[str, str] = {}  # column -> the key of the plan that uses it
    for predictor in wide.predictors:
        used[predictor] = "predictors"
        for column in wide.ratios.get(predictor, ()):
            used[column] = f"ratios.{predictor}"
    used |= dict.fromkeys(wide.flags, "flags")
    used |= {column: f"waves.{measure}" for measure, column in wide.waves.items() if measure in used}
    own = {wide.household: "the household's id", wide.time: "the number of the wave"}
    if wide.village:
        own[wide.village] = "the identity of the area"
    if wide.ahead == 0:
        own[wide.outcome] = "the outcome that is to be predicted"
    faults = []
    for column, key in used.items():
        words = denylist.reason(column.replace("{wave}", ""))
        why = words.en if words is not None else f"It is {own[column]}" if column in own else None
        if why is not None:
            remedy = f"Take it out of `table.{key}`; the fairness audit may read it by another way."
            faults.append(
                Fault(
                    f"{plan} (table.{key}), {wide.file}, column {column}",
                    why,
                    f"a column that {DENYLIST_FILE} allows",
                    remedy,
                )
            )
    return faults


def read_rows(path: Path, wide: WideTable) -> pl.DataFrame:
    """One row a household and wave: household, wave, village, label (null: unlabelled) and every column that
    the plan names.

    A row is labelled by its own outcome (`ahead: 0`) or by that of the same household `ahead` waves later.
    Raises PlanError with all faults: no file, missing columns, a household twice in a wave.
    """
    if not path.is_file():
        raise PlanError(
            Fault(
                str(path),
                "no such file",
                "the file that the plan names, relative to the tables folder",
                "`--tables DIR` names the folder.",
            )
        )
    frame = (
        pl.read_parquet(path)
        if path.suffix == ".parquet"
        else pl.read_csv(path, infer_schema_length=None, null_values=["", "NA"])
    )
    if wide.waves:
        frame = _one_row_a_wave(frame, wide, path)
    used = [wide.household, wide.time, wide.outcome, *wide.only, *wide.flags, *wide.missing_when]
    used += [column for pair in wide.ratios.values() for column in pair] + [wide.village or wide.household]
    used += [column for column in wide.predictors if column not in wide.ratios]
    missing = sorted({column for column in used if column not in frame.columns})
    if missing:
        raise PlanError(
            Fault(
                str(path),
                f"no column {', '.join(missing)}",
                "every column that the plan names",
                "Correct the plan's names.",
            )
        )
    frame = frame.filter(pl.col(wide.household).is_not_null() & pl.col(wide.time).is_not_null())
    twice = frame.height - frame.select(wide.household, wide.time).unique().height
    if twice:
        raise PlanError(
            Fault(
                str(path),
                f"{twice} rows repeat a household and wave",
                "one row a household and wave",
                "Keep one, or name the right id.",
            )
        )
    frame = frame.with_columns(
        pl.when(pl.col(column).cast(pl.Float64) == value).then(None).otherwise(pl.col(column)).alias(column)
        for column, value in wide.missing_when.items()
    )
    outcome = frame.select(
        wide.household,
        (pl.col(wide.time).cast(pl.Int64) - wide.ahead).alias(wide.time),
        label=pl.col(wide.outcome).cast(pl.Float64),
    )
    frame = frame.with_columns(pl.col(wide.time).cast(pl.Int64)).join(
        outcome, on=[wide.household, wide.time], how="left"
    )
    for column, value in wide.only.items():
        frame = frame.filter(pl.col(column).cast(pl.Float64) == value)
    labelled_waves = frame.filter(pl.col("label").is_not_null())[wide.time].unique()
    return frame.filter(pl.col(wide.time).is_in(labelled_waves.to_list())).sort(wide.time, wide.household)


def _one_row_a_wave(frame: pl.DataFrame, wide: WideTable, path: Path) -> pl.DataFrame:
    if not wide.wave_numbers:
        raise PlanError(
            Fault(str(path), "`waves` without `wave_numbers`", "both", "Name the numbers, such as [1, 2, 3].")
        )
    names = {
        wave: {measure: form.replace("{wave}", str(wave)) for measure, form in wide.waves.items()}
        for wave in wide.wave_numbers
    }
    missing = sorted(
        {column for row in names.values() for column in row.values() if column not in frame.columns}
    )
    if missing:
        raise PlanError(
            Fault(
                str(path),
                f"no column {', '.join(missing)}",
                "a column for each measure and wave",
                "Correct `waves`.",
            )
        )
    taken = {column for row in names.values() for column in row.values()}
    fixed = [column for column in frame.columns if column not in taken]
    return pl.concat(
        frame.select(
            *fixed,
            pl.lit(wave).alias(wide.time),
            *(pl.col(column).cast(pl.Float64).alias(measure) for measure, column in row.items()),
        )
        for wave, row in names.items()
    )


def sample_of(frame: pl.DataFrame, wide: WideTable) -> Sample:
    """The rows as a sample: predictors, then flags. A missing code is unknown in each of its flags."""
    columns = {}
    for name in wide.predictors:
        if name in wide.ratios:
            over, under = (frame[column].cast(pl.Float64) for column in wide.ratios[name])
            columns[name] = (over / under).to_numpy()
        else:
            columns[name] = frame[name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    for column, codes in wide.flags.items():
        text = frame[column].cast(pl.String)
        for code in codes:
            columns[f"{column}={code}"] = (text == code).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    values = np.column_stack([np.where(np.isfinite(column), column, np.nan) for column in columns.values()])
    household = frame[wide.household].cast(pl.String).to_numpy().astype(object)
    village = frame[wide.village or wide.household].cast(pl.String).fill_null("").to_numpy().astype(object)
    label = frame["label"].fill_null(float("nan")).to_numpy()
    return Sample(
        names=tuple(columns),
        household_id=household,
        village=village,
        township=village,
        as_of=np.array([wave_date(wave) for wave in frame[wide.time]], dtype=object),
        features=np.ascontiguousarray(values, dtype=np.float64),
        label=label,
        interval=np.where(label == 1, 0, -1).astype(np.int8),
        groups=frame.select(wave=pl.col(wide.time)),
    )


def wave_date(wave: int) -> dt.date:
    """Wave n as 1 January of the year n: what the comparison calls an as-of date."""
    return dt.date(wave, 1, 1)


def _by_time(sample: Sample, wide: WideTable, path: Path) -> list[FoldRows]:
    labelled = sample.labelled()
    waves = sorted({day.year for day in labelled.as_of.tolist()})
    test = sorted(wide.test_waves or waves[-1:])
    before = [wave for wave in waves if wave + wide.ahead <= test[0] and wave < test[0]]
    if not before or not set(test) <= set(waves):
        raise PlanError(
            Fault(
                str(path),
                (
                    f"waves with an outcome: {', '.join(map(str, waves))}; test waves "
                    f"{', '.join(map(str, test))}"
                ),
                "test waves with an outcome, and at least one wave whose outcome was known before them",
                "Choose other test_waves, or `split: households`.",
            )
        )
    wave_of = np.array([day.year for day in sample.as_of.tolist()])
    known = np.isfinite(sample.label)
    # One wave alone both trains and calibrates: each member is calibrated on the groups that it never saw.
    train = before[:-1] or before
    return [
        FoldRows(
            sample.rows(known & np.isin(wave_of, train)),
            sample.rows(known & np.isin(wave_of, before[-1:])),
            sample.rows(np.isin(wave_of, test)),
        )
    ]


def _by_households(sample: Sample, wide: WideTable, seed: int) -> list[FoldRows]:
    part = part_of(sample.village, wide.parts, seed + OUTER_SEED)
    rounds = []
    for number in range(wide.parts):
        learned = sample.rows(part != number).labelled()
        rounds.append(FoldRows(learned, learned, sample.rows(part == number)))
    return rounds


def _entries(fold: str, part: FoldRows) -> Sequence[dict[str, str]]:
    uses = [("train", part.train), ("calibrate", part.calibrate), ("test", part.test)]
    return [
        {
            "fold": fold,
            "use": use,
            "waves": ", ".join(sorted({str(day.year) for day in rows.as_of.tolist()})),
            "households": str(len(set(rows.household_id.tolist()))),
            "labelled": str(int(np.isfinite(rows.label).sum())),
            "confirmed": str(int(np.nansum(rows.label))),
        }
        for use, rows in uses
        if rows is not None
    ]
