"""Replay: stored scores computed again, bit for bit, reasons included; or what is gone that this would
need."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from riskmodel.errors import DataError, Fault, ModelError, UserError
from riskmodel.project import Project
from riskmodel.screening.score_files import read_scores
from riskmodel.screening.scoring import Scores, ScreeningModel
from riskmodel.tables import Tables

# What is compared, in this order: the first that differs is reported as the cause of those below it.
COMPARED: Final = (
    "feature_hash",
    "margin",
    "probability",
    "low",
    "high",
    "reference_hash",
    "rank",
    "risk_kinds",
    "reasons_zh",
    "reasons_en",
)
NEEDED: Final = (
    "household_id",
    "as_of",
    "horizon_months",
    "model_version",
    "catalogue_hash",
    "policy_hash",
    *COMPARED,
)


@dataclass(frozen=True)
class Replay:
    """checked: stored scores that were computed again. same: those that came out bit for bit. different:
    (household, column, stored, now). gone: what is missing to compute the others, in sentences, with the
    number of scores that need it."""

    checked: int
    same: int
    different: tuple[tuple[str, str, Any, Any], ...]
    gone: tuple[tuple[str, int], ...]

    @property
    def ok(self) -> bool:
        """Whether every score was computed again and is the same."""
        return not self.different and not self.gone

    def text(self) -> str:
        """For a terminal."""
        lines = [
            f"{self.same:,} of {self.checked:,} scores came out the same, bit for bit, reasons included."
        ]
        lines += [f"Not computed again: {number:,} scores. {sentence}" for sentence, number in self.gone]
        for household, column, stored, now in self.different[:20]:
            lines.append(
                f"{household}: {column} was {stored!r}, is {now!r}."
                + (f" {_WHY[column]}" if column in _WHY else "")
            )
        if len(self.different) > 20:
            lines.append(f"… and {len(self.different) - 20:,} more.")
        return "\n".join(lines)


_WHY: Final = {
    "feature_hash": (
        "Its features are other ones: rows known by that day were added, altered or taken away since, or "
        "the code that builds them changed."
    ),
    "margin": (
        "The features are the same and the margin is not: another LightGBM, or another machine's arithmetic."
    ),
    "reference_hash": (
        "What values are compared with is different: other households' rows known by that day changed."
    ),
}


def replay(
    project: Project,
    stored: pl.DataFrame | Path,
    tables: Tables,
    *,
    most: int = 1000,
    model_of: Callable[[str], ScreeningModel] | None = None,
) -> Replay:
    """Compute stored scores again.

    stored: the frame of `Scores`, or a file that `riskmodel score` wrote (.parquet, .csv, .xlsx); of more
    than `most` rows, `most` spread evenly over the file are taken. tables: the county's tables (their later
    rows do not matter). model_of: model version -> model; without it, the project's run store is searched.
    Raises DataError for a file that lacks the columns of scores.
    """
    frame = read_scores(stored) if isinstance(stored, Path) else stored
    absent = [name for name in NEEDED if name not in frame.columns]
    if absent:
        raise DataError(
            Fault(
                "stored scores",
                f"no column {', '.join(absent)}",
                "a file written by `riskmodel score`",
                "Name such a file.",
            )
        )
    if len(frame) > most:
        frame = frame[np.unique(np.linspace(0, len(frame) - 1, most).astype(int)).tolist()]
    find = model_of or (lambda version: model_of_version(project, version))
    gone: dict[str, int] = {}
    different: list[tuple[str, str, Any, Any]] = []
    checked = same = 0
    keys = ["as_of", "horizon_months", "model_version", "catalogue_hash", "policy_hash"]
    for key, part in sorted(frame.group_by(keys), key=lambda item: str(item[0])):
        try:
            now = _again(find, tables, *key)
        except UserError as error:
            gone[str(error)] = gone.get(str(error), 0) + len(part)
            continue
        fresh = {row["household_id"]: row for row in now.frame.select(NEEDED).iter_rows(named=True)}
        for row in part.select(NEEDED).iter_rows(named=True):
            again = fresh.get(row["household_id"])
            if again is None:
                sentence = (
                    f"Households that the tables do not put into the cohort as of {row['as_of']}: rows "
                    "known by that day are gone."
                )
                gone[sentence] = gone.get(sentence, 0) + 1
                continue
            checked += 1
            wrong = [
                (row["household_id"], name, row[name], again[name])
                for name in COMPARED
                if not _equal(row[name], again[name])
            ]
            same += not wrong
            different += wrong
    return Replay(checked, same, tuple(different), tuple(sorted(gone.items())))


def _again(
    find: Callable[[str], ScreeningModel],
    tables: Tables,
    as_of: dt.date,
    horizon: int,
    version: str,
    catalogue: str,
    policy: str,
) -> Scores:
    """The cohort of that day, scored as then. Raises UserError with the inputs that are no longer there."""
    model = find(version)
    faults = []
    if model.catalogue_hash != catalogue:
        faults.append(
            _changed("features/catalogue.yaml and features/codelists", catalogue, model.catalogue_hash)
        )
    if model.policy_hash_with(tables) != policy:
        faults.append(
            _changed("features/policy and the table policy", policy, model.policy_hash_with(tables))
        )
    if faults:
        raise DataError(faults)
    return model.score(tables, as_of, horizon)


def _changed(what: str, stored: str, now: str) -> Fault:
    return Fault(
        what,
        f"hash {now[:12]}",
        f"hash {stored[:12]}, as when the scores were made",
        "Check out the project as it was then.",
    )


def _equal(stored: Any, now: Any) -> bool:
    if isinstance(stored, float) and isinstance(now, float):
        return stored == now or (stored != stored and now != now)
    return bool(stored == now)


def model_of_version(project: Project, version: str) -> ScreeningModel:
    """The model of that version from the project's run store. Raises ModelError when no run holds it."""
    from riskmodel.training import registry

    for run in registry.finished_runs(project):
        if run["tags"].get("riskmodel.version") == version:
            return ScreeningModel.load(project, run["id"])
    raise ModelError(
        Fault(
            f"model {version}",
            "in no run of the store",
            "the run that trained it",
            "Restore mlruns/, or score with a model that is there.",
        )
    )
