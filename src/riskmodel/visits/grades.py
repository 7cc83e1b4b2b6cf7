"""Grades of everybody on a day, with the leads that are open: what the list shows, and what scores carry once
the leads are known."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np
import polars as pl

from riskmodel.screening.grades import GUARANTEE_RULE, GradeReason, Grading, joined
from riskmodel.screening.scoring import Scores
from riskmodel.screening.wording import LANGUAGES
from riskmodel.settings import Leads, ScreeningSettings
from riskmodel.tables import Tables
from riskmodel.visits.leads import GUARANTEES, HITS_SCHEMA, household_states, open_leads, rules_met

GRADE_COLUMNS = ("grade", "grade_reasons_zh", "grade_reasons_en")


def on_record(tables: Tables, as_of: dt.date, hits: pl.DataFrame, settings: Leads) -> pl.DataFrame:
    """Households with a guarantee on record as failing, or that meet a department rule, whether a lead is
    open or not.

    hits: household_id, rule. Returns household_id, guarantee, rule (both true or false); who has neither is
    not in it.
    """
    known = tables.known_by(as_of)
    failing = [hits.filter(pl.col("rule") == GUARANTEE_RULE).select("household_id")]
    if "guarantees" in known:
        broken = pl.any_horizontal(~pl.col(name) for name in GUARANTEES)
        failing.append(known["guarantees"].filter(broken).select("household_id"))
    others = hits.filter(pl.col("rule") != GUARANTEE_RULE)
    if settings.rules != "all":
        others = others.filter(pl.col("rule").is_in(list(settings.rules)))
    guarantee = pl.concat(failing).unique().with_columns(guarantee=pl.lit(True))
    rule = others.select("household_id").unique().with_columns(rule=pl.lit(True))
    return guarantee.join(rule, on="household_id", how="full", coalesce=True).with_columns(
        pl.col("guarantee", "rule").fill_null(False)
    )


def grades_of(
    everybody: pl.DataFrame, recorded: pl.DataFrame, capacity: int, settings: ScreeningSettings
) -> pl.DataFrame:
    """Grade and its reasons in words of everybody: household_id, GRADE_COLUMNS; parameters as in
    `grade_reasons_of`."""
    graded = grade_reasons_of(everybody, recorded, capacity, settings)
    return grade_columns(everybody["household_id"], graded)


def grade_columns(
    household_id: pl.Series, graded: Sequence[tuple[str, tuple[GradeReason, ...]]]
) -> pl.DataFrame:
    """Grades and their reasons, as `grade_reasons_of` returns them, as columns: household_id,
    GRADE_COLUMNS."""
    columns = [
        [grade for grade, _ in graded],
        *([joined(reasons, language) for _, reasons in graded] for language in LANGUAGES),
    ]
    return pl.DataFrame({"household_id": household_id}).with_columns(
        pl.Series(name, column, dtype=pl.String) for name, column in zip(GRADE_COLUMNS, columns, strict=True)
    )


def grade_reasons_of(
    everybody: pl.DataFrame, recorded: pl.DataFrame, capacity: int, settings: ScreeningSettings
) -> list[tuple[str, tuple[GradeReason, ...]]]:
    """Grade and its reasons in parts of everybody, in the order of the rows.

    everybody: household_id, lead_kinds (kinds of open leads joined by `;`, null: none), rank and probability
    (null: not scored). recorded: what `on_record` returns. Random checks are graded like everybody else.
    """
    grading = Grading(settings.grades, capacity, everybody["rank"].count())
    rows = everybody.select("household_id", "lead_kinds", "rank", "probability").join(
        recorded, on="household_id", how="left", maintain_order="left"
    )
    return [
        grading.reasons(
            kinds.split(";") if kinds else [],
            [name for name, given in (("guarantee", guarantee), ("rule", rule)) if given],
            rank,
            probability,
        )
        for _, kinds, rank, probability, guarantee, rule in rows.iter_rows()
    ]


def with_leads(
    scores: Scores, tables: Tables, as_of: dt.date, settings: ScreeningSettings, capacity: int
) -> Scores:
    """The scores with the grades that a list of this day and capacity gives: open leads and failing
    guarantees count."""
    now = household_states(tables, as_of)
    hits = rules_met(scores.frame)
    leads, _ = open_leads(
        tables, as_of, settings.leads, now=now, hits=pl.DataFrame(schema=HITS_SCHEMA), names={}
    )
    kinds = leads.group_by("household_id").agg(lead_kinds=pl.col("kind").unique().str.join(";"))
    everybody = scores.frame.select("household_id", "rank", "probability").join(
        kinds, on="household_id", how="left", maintain_order="left"
    )
    recorded = on_record(tables, as_of, hits, settings.leads)
    return with_grades(scores, grades_of(everybody, recorded, capacity, settings))


Scored = TypeVar("Scored")


def with_grades(scores: Scored, grades: pl.DataFrame) -> Scored:
    """Scores (a Scores, or a frame with household_id) with the grades of a list: household_id, grade. Who is
    not in it keeps its own."""
    known = dict(grades.select("household_id", "grade").iter_rows())
    if isinstance(scores, Scores):
        pairs = zip(scores.matrix.household_id.tolist(), scores.grade.tolist(), strict=True)
        new = np.array([known.get(name, grade) for name, grade in pairs], dtype=object)
        return dataclasses.replace(scores, grade=new)
    frame: Any = scores
    if "grade" not in frame.columns:
        return scores
    pairs = zip(frame["household_id"].to_list(), frame["grade"].to_list(), strict=True)
    given = [known.get(name, grade) for name, grade in pairs]
    if isinstance(frame, pl.DataFrame):
        return cast(Scored, frame.with_columns(grade=pl.Series(given, dtype=pl.String)))
    return cast(Scored, frame.assign(grade=given))
