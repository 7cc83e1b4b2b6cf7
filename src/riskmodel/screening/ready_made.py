"""Scores and reasons for a ready-made table, which has no catalogue.

Reasons use the column names, and no value is compared with neighbours: such a table has no townships.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np

from riskmodel.errors import DataError, Fault
from riskmodel.features.catalogue import Catalogue
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.project import Project
from riskmodel.screening.reference import Reference
from riskmodel.screening.scoring import Scores, ScreeningModel
from riskmodel.screening.wordbook import Wordbook, plain_entry
from riskmodel.training import load_model_folder
from riskmodel.training.comparing import plan_of
from riskmodel.training.fold_rows import SIGNS
from riskmodel.training.model import Model
from riskmodel.training.wide import read_rows, sample_of, wave_date

NO_VILLAGE = "0" * 12


def is_ready_made(project: Project, run: str) -> bool:
    """Whether a run was trained on a ready-made table."""
    return run != "champion" and plan_of(project, run).source == "table"


def score_table(project: Project, run: str, folder: Path, as_of: dt.date) -> Scores:
    """Score and explain every row of one wave. folder: the folder with the plan's file. as_of: 1 January of
    the year with the wave's number.

    Raises DataError for a wave that the table does not have.
    """
    plan = plan_of(project, run)
    assert plan.table is not None
    model = Model.load(load_model_folder(project, run))
    sample = sample_of(read_rows(folder / plan.table.file, plan.table), plan.table)
    waves = sorted(set(sample.as_of.tolist()))
    if as_of not in waves:
        raise DataError(
            Fault(
                f"as of {as_of}",
                "no such wave",
                f"one of {', '.join(map(str, waves))}",
                f"Wave 2 is {wave_date(2)}, and so on.",
            )
        )
    now = sample.rows(np.array([day == as_of for day in sample.as_of.tolist()])).select(model.feature_names)
    order = np.argsort(now.household_id.astype(str), kind="stable")
    villages = np.full(len(order), NO_VILLAGE, dtype=object)
    values = np.ascontiguousarray(now.features[order])
    matrix = FeatureMatrix(
        as_of=as_of,
        household_id=now.household_id[order],
        village_code=villages,
        names=tuple(model.feature_names),
        values=values,
    )
    signs = [SIGNS[plan.table.riskier_when.get(name, "unclear")] for name in matrix.names]
    entries = {name: plain_entry(name, sign) for name, sign in zip(matrix.names, signs, strict=True)}
    catalogue = Catalogue.model_construct(root=entries)
    ready = replace(
        ScreeningModel.of(project, model), catalogue=catalogue, wordbook=Wordbook.load(project, catalogue)
    )
    return ready.score_matrix(matrix, plan.horizon_months, reference=Reference.nothing(as_of, matrix.names))
