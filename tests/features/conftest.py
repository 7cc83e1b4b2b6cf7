"""Small tables written as text, and features of the household H1 made from them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

import polars as pl
import pytest

from riskmodel.features import Catalogue, build, load_catalogue
from riskmodel.policy import Policy
from riskmodel.tables import Tables, from_frames
from riskmodel.tables.schema import TABLES

KNOWN = "2020-01-01"
DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "households": {
        "household_id": "H1",
        "known_on": KNOWN,
        "county_code": "522301",
        "township_code": "522301001",
        "village_code": "522301001001",
        "category": "general",
        "relocated": "false",
    },
    "members": {
        "household_id": "H1",
        "known_on": KNOWN,
        "birth_date": "1980-06-15",
        "sex": "female",
        "relation": "other",
        "education": "primary",
        "schooling": "none",
        "chronic_ill": "false",
        "seriously_ill": "false",
        "labour": "ordinary",
        "medical_insured": "true",
        "pension_insured": "true",
        "dibao": "false",
        "tekun": "false",
    },
    "medical": {
        "member_id": "M1",
        "kind": "outpatient",
        "total_cost": "0",
        "reimbursed": "0",
        "self_paid": "0",
    },
    "disability": {"member_id": "M1", "kind": "physical", "level": "3"},
    "employment": {"member_id": "M1", "employed": "true"},
    "guarantees": {
        "household_id": "H1",
        "known_on": KNOWN,
        **dict.fromkeys(["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"], "true"),
    },
    "income": {"household_id": "H1", "source": "wage"},
    "expenditure": {"household_id": "H1", "purpose": "living"},
    "shocks": {"kind": "flood"},
    "assistance": {"household_id": "H1", "measure": "health"},
    "leads": {"household_id": "H1", "channel": "cadre"},
    "authorisations": {"household_id": "H1", "scope": "assets"},
    "assets": {"household_id": "H1", "kind": "deposit"},
    "verifications": {"household_id": "H1", "origin": "sweep", "outcome": "no_risk"},
}


def tables_from(text: str, members: int = 1) -> Tables:
    """Tables from blocks of text: the table's name, a line of columns, a line a row; `.` is missing, columns
    left out have defaults.

    Without a block `households` there is H1; without a block `members` it has `members` members M1, M2, …
    known_on defaults to occurred_on, event ids are numbered.
    """
    rows: dict[str, list[dict[str, object]]] = {}
    for block in [part.strip() for part in text.split("\n\n") if part.strip()]:
        name, *lines = [line.strip() for line in block.splitlines()]
        columns = lines[0].split() if lines else []
        rows[name] = [dict(zip(columns, line.split(), strict=True)) for line in lines[1:]]
    rows.setdefault("households", [{}])
    rows.setdefault("members", [{"member_id": f"M{number}"} for number in range(1, members + 1)])
    frames = {}
    for name, given in rows.items():
        full = []
        for number, row in enumerate(given):
            row = {**DEFAULTS[name], **row}
            row.setdefault("event_id", f"E{number}")
            if "occurred_on" in row:
                row.setdefault("known_on", row["occurred_on"])
            full.append({key: None if value == "." else value for key, value in row.items()})
        frames[name] = _typed(name, full)
    return from_frames(frames)


def _typed(name: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    def value(kind: str, text: object) -> object:
        if text is None or not isinstance(text, str):
            return text
        return {
            "date": dt.date.fromisoformat,
            "money": float,
            "number": float,
            "integer": int,
            "boolean": lambda word: word == "true",
        }.get(kind, str)(text)

    columns = {
        column.name: [value(column.kind, row.get(column.name)) for row in rows]
        for column in TABLES[name].columns
    }
    return pl.DataFrame(columns, infer_schema_length=None)


@pytest.fixture(scope="session")
def catalogue(project) -> Catalogue:
    return load_catalogue(project)


@pytest.fixture(scope="session")
def policy(project) -> Policy:
    return Policy.load(project)


@pytest.fixture(scope="session")
def value(catalogue, policy) -> Callable[..., float]:
    """`value(feature, as_of, text, members=1)`: one feature of the household H1."""

    def of(feature: str, as_of: str, text: str, members: int = 1) -> float:
        matrix = build(
            tables_from(text, members),
            dt.date.fromisoformat(as_of),
            catalogue=catalogue,
            policy=policy,
            households=["H1"],
        )
        return float(matrix.column(feature)[0])

    return of


@pytest.fixture(scope="session")
def written() -> Callable[..., Tables]:
    """`written(text, members=1)`: tables from text."""
    return tables_from
