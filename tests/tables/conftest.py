"""A small county with every table, right in all respects, and the ways in which departments write it down."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from riskmodel.tables.county import dtype_of
from riskmodel.tables.schema import TABLES

Records = dict[str, list[dict[str, Any]]]


def _day(rng: random.Random, first: int, last: int) -> dt.date:
    return dt.date(first, 1, 1) + dt.timedelta(days=rng.randrange(365 * (last - first + 1)))


def small_county(households: int = 24, seed: int = 7) -> Records:
    """Records of every table of the contract: two townships, two years, corrections, moves and area-wide
    shocks among them.
    """
    rng = random.Random(seed)
    records: Records = {name: [] for name in TABLES}
    start = dt.date(2023, 1, 1)
    events = iter(range(1, 1_000_000))

    def event(table: str, occurred: dt.date, **values: Any) -> dict[str, Any]:
        lag = values.pop("lag", rng.randrange(1, 60))
        row = {
            "event_id": f"{table[:2].upper()}{next(events):06d}",
            "occurred_on": occurred,
            "known_on": occurred + dt.timedelta(days=lag),
        }
        records[table].append(row | values)
        return records[table][-1]

    for number in range(households):
        household = f"0{number:05d}"  # leading zeros, which must survive
        town = f"5223010{1 + number % 2:02d}"
        home = {
            "household_id": household,
            "known_on": start,
            "county_code": "522301",
            "township_code": town,
            "village_code": f"{town}{201 + number % 3}",
            "category": "lifted" if number % 3 else "general",
            "relocated": number % 5 == 0,
            "relocation_site": "惠民小区" if number % 5 == 0 else None,
            "cultivated_land_mu": 3.5 if number % 8 else None,
            "distance_km": 1.25,
            "housing_grade": "AB"[number % 2],
            "safe_water": True,
        }
        records["households"].append(home)
        if number % 7 == 0:
            records["households"].append(home | {"known_on": dt.date(2024, 3, 1), "housing_grade": "C"})
        people = []
        for place in range(1 + number % 4):
            person = f"{household}-{place + 1}"
            people.append(person)
            relation = ("head", "spouse", "child", "parent")[place]
            child = relation == "child"
            records["members"].append(
                {
                    "member_id": person,
                    "known_on": start,
                    "household_id": household,
                    "birth_date": dt.date(
                        2012 if child else 1975 if relation != "parent" else 1948, 5, 1 + number % 28
                    ),
                    "sex": ("male", "female")[place % 2],
                    "relation": relation,
                    "education": "primary",
                    "schooling": "primary" if child else "none",
                    "chronic_ill": relation == "parent",
                    "seriously_ill": False,
                    "labour": "none" if relation in ("child", "parent") else "ordinary",
                    "medical_insured": True,
                    "pension_insured": not child,
                    "dibao": False,
                    "tekun": False,
                    "ethnic_minority": number % 2 == 0,
                    "left_on": dt.date(2024, 8, 1) if number == 3 and place == 1 else None,
                }
            )
        for month in range(1, 13):
            paid = event(
                "income",
                dt.date(2023, month, 5),
                household_id=household,
                member_id=people[0],
                source="wage",
                amount=round(rng.uniform(1500, 4000), 2),
            )
            if month == 6 and number % 4 == 0:
                records["income"].append(
                    paid
                    | {"known_on": paid["known_on"] + dt.timedelta(days=90), "amount": paid["amount"] + 100}
                )
            worked = (
                dt.date(2023, month, 28)
                if month == 2
                else (dt.date(2023, month % 12 + 1, 1) - dt.timedelta(days=1)).replace(year=2023)
            )
            event(
                "employment",
                worked,
                member_id=people[0],
                employed=True,
                monthly_wage=2800.0,
                place="county",
                channel="market",
            )
        event(
            "income",
            _day(rng, 2023, 2024),
            household_id=household,
            member_id=None,
            source="transfer",
            amount=800.0,
        )
        event(
            "expenditure",
            _day(rng, 2023, 2024),
            household_id=household,
            purpose=rng.choice(["production", "education", "debt"]),
            amount=1200.5,
        )
        total = round(rng.uniform(200, 9000), 2)
        back = round(total * 0.6, 2)
        event(
            "medical",
            _day(rng, 2023, 2024),
            member_id=people[-1],
            kind="inpatient",
            total_cost=total,
            reimbursed=back,
            self_paid=round(total - back, 2),
            compliant_self_paid=round((total - back) * 0.9, 2),
            hospital_days=7,
            diagnosis_group="I",
        )
        if number % 6 == 0:
            event(
                "disability",
                _day(rng, 2023, 2023),
                member_id=people[-1],
                kind="physical",
                level=3,
                valid_until=dt.date(2033, 1, 1),
            )
            event(
                "shocks",
                _day(rng, 2023, 2024),
                household_id=household,
                area_code=None,
                kind="fire",
                loss=5000.0,
            )
            event(
                "leads", _day(rng, 2023, 2024), household_id=household, channel="cadre", topic="医疗支出较大"
            )
            event(
                "authorisations",
                dt.date(2023, 2, 1),
                household_id=household,
                revoked_on=None,
                scope="assets",
                lag=3,
            )
            event("assets", dt.date(2023, 3, 1), household_id=household, kind="vehicle", value=45000.0)
            event(
                "assistance",
                _day(rng, 2023, 2024),
                household_id=household,
                ended_on=None,
                measure="public_post",
                amount=9600.0,
            )
        records["guarantees"].append(
            {
                "household_id": household,
                "known_on": start,
                "food_clothing_ok": True,
                "schooling_ok": True,
                "insured_ok": True,
                "housing_ok": number % 7 != 0,
                "water_ok": True,
            }
        )
        event(
            "verifications",
            _day(rng, 2023, 2024),
            household_id=household,
            origin="sweep",
            outcome="no_risk",
            object_class=None,
            risk_kinds=None,
        )
    event("shocks", dt.date(2024, 6, 3), household_id=None, area_code="522301001", kind="flood", loss=None)
    event(
        "verifications",
        dt.date(2024, 9, 1),
        household_id="000001",
        origin="screening",
        outcome="risk_confirmed",
        object_class="sudden",
        risk_kinds="illness;employment",
    )
    records["policy"].append(
        {
            "area_code": "522301",
            "name": "monitoring_line",
            "valid_from": dt.date(2023, 1, 1),
            "value": 7300.0,
            "source": "县乡村振兴局通知",
        }
    )
    return records


def frame_of(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {column.name: dtype_of(column) for column in TABLES[table].columns}
    return pl.DataFrame(rows, schema=schema)


def write_parquet(folder: Path, records: Mapping[str, list[dict[str, Any]]]) -> Path:
    """The clean form: one Parquet file a table, in canonical types."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in records.items():
        frame_of(name, rows).write_parquet(folder / f"{name}.parquet")
    return folder


def write_csv(folder: Path, records: Mapping[str, list[dict[str, Any]]], encoding: str = "utf-8") -> Path:
    """One CSV file a table, with the contract's names and codes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in records.items():
        text = frame_of(name, rows).write_csv()
        (folder / f"{name}.csv").write_bytes(text.encode(encoding))
    return folder


@pytest.fixture
def records() -> Records:
    return small_county()


@pytest.fixture
def clean_folder(tmp_path: Path, records: Records) -> Path:
    return write_parquet(tmp_path / "clean", records)


@pytest.fixture
def as_parquet() -> Callable[..., Path]:
    return write_parquet


@pytest.fixture
def as_csv() -> Callable[..., Path]:
    return write_csv
