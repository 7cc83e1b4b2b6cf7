"""One function for a county and for one household: the same bits, whatever is missing, corrected or moved."""

from __future__ import annotations

import datetime as dt
import random

import numpy as np
import polars as pl
import pytest

from riskmodel.features import AreaContext, build, count_context, prepare, prepare_records
from riskmodel.features.rows import SHAPES, WORKED_OUT
from riskmodel.tables import from_frames
from riskmodel.tables.schema import TABLES

FIRST = dt.date(2022, 1, 1)
TABLE_NAMES = [name for name in TABLES if name != "policy"]


def some(rng: random.Random, column, day: dt.date):
    """A random value of a column; None now and then where the contract allows it."""
    if column.optional and rng.random() < 0.3:
        return None
    match column.kind:
        case "money" | "number":
            return round(rng.random() ** 3 * 30000, 2) if rng.random() < 0.9 else 0.0
        case "integer":
            return rng.randint(1, 4)
        case "boolean":
            return rng.random() < 0.4
        case "code":
            return rng.choice(list(column.codes))
        case "date":
            return day + dt.timedelta(rng.randint(1, 500))
        case _:
            return rng.choice(["I63", "C34", "x", ""])


def household(rng: random.Random, number: int, leave_out: set[str]) -> dict[str, list[dict]]:
    """Everything about two neighbouring households between which members may move: gaps, corrections and
    repeated rows included.
    """
    ids = [f"H{number:05d}a", f"H{number:05d}b"]
    members = [f"M{number:05d}{letter}" for letter in "abcdef"[: rng.randint(2, 6)]]
    rows: dict[str, list[dict]] = {}

    def make(name: str, key: str, owners: dict[str, object], versions: int, fixed: dict[str, object]) -> None:
        table, day = TABLES[name], FIRST + dt.timedelta(rng.randint(0, 1300))
        known = day
        for version in range(versions):
            known += dt.timedelta(rng.randint(1 if version else 0, 90))
            row = {column.name: some(rng, column, day) for column in table.columns} | owners | fixed
            row |= {table.key: key, "known_on": known}
            if table.form == "event":
                row["occurred_on"] = day
            if "birth_date" in row:
                row["birth_date"] = dt.date(rng.randint(1935, 2023), rng.randint(1, 12), rng.randint(1, 28))
            rows.setdefault(name, []).append({column.name: row[column.name] for column in table.columns})
            if rng.random() < 0.02:
                rows[name].append(dict(rows[name][-1]))

    for place, name in enumerate(ids):
        village = f"5223010{number % 3:02d}00{place}"
        area = {"county_code": village[:6], "township_code": village[:9], "village_code": village}
        make("households", name, {}, rng.randint(1, 3), area)
    for name in members:
        versions = rng.randint(1, 4)
        for version in range(versions):
            make(
                "members",
                name,
                {"household_id": rng.choice(ids)},
                1,
                {"left_on": None if version < 2 else dt.date(2024, 9, 9)},
            )
    by_key = {}
    for row in rows["members"]:
        by_key[row["member_id"], row["known_on"]] = row
    rows["members"] = list(by_key.values())
    for name in TABLE_NAMES:
        if name in ("households", "members") or name in leave_out:
            continue
        rows.setdefault(name, [])
        for event in range(rng.choice([0, 1, 5, 25])):
            if name == "guarantees":
                owner = rng.choice(ids)
                if not any(row["household_id"] == owner for row in rows[name]):
                    make(name, owner, {}, rng.randint(1, 3), {})
            elif name in ("medical", "disability", "employment"):
                make(
                    name,
                    f"{name}{number:05d}{event}",
                    {"member_id": rng.choice(members)},
                    rng.choice([1, 1, 1, 2, 3]),
                    {},
                )
            else:
                fixed: dict[str, object] = {"household_id": rng.choice(ids)}
                if name == "income":
                    fixed["member_id"] = rng.choice([None, *members])
                elif name == "shocks":
                    fixed["area_code"] = None
                make(name, f"{name}{number:05d}{event}", fixed, rng.choice([1, 1, 1, 2, 3]), {})
    return rows


def area_events(rng: random.Random) -> list[dict]:
    rows = []
    for number in range(12):
        code = rng.choice(["522301", "522301000", "522301001", "522301002001", "522301000000"])
        day = FIRST + dt.timedelta(rng.randint(0, 1300))
        rows.append(
            {
                "event_id": f"area{number}",
                "household_id": None,
                "area_code": code,
                "occurred_on": day,
                "known_on": day + dt.timedelta(rng.randint(0, 30)),
                "kind": rng.choice(list(TABLES["shocks"].column("kind").codes)),
                "loss": None,
            }
        )
    return rows


def tables_of_many(many: list[dict[str, list[dict]]], wide: list[dict]):
    frames = {}
    for name in TABLE_NAMES:
        if not any(name in one for one in many):
            continue
        rows = [row for one in many for row in one.get(name, [])] + (wide if name == "shocks" else [])
        schema = {column.name: None for column in TABLES[name].columns}
        frames[name] = pl.DataFrame(rows, schema=list(schema), infer_schema_length=None, orient="row")
    return from_frames(frames)


def as_json(rows: list[dict]) -> list[dict]:
    return [
        {key: str(item) if isinstance(item, dt.date) else item for key, item in row.items()} for row in rows
    ]


@pytest.mark.parametrize(
    "leave_out",
    [set(), {"income", "shocks"}, {"medical", "employment", "verifications"}, set(TABLE_NAMES[2:])],
)
def test_a_household_scored_now_has_the_bits_of_the_batch(catalogue, policy, leave_out):
    rng = random.Random(f"batch {sorted(leave_out)}")
    many = [household(rng, number, leave_out) for number in range(500)]
    wide = [] if "shocks" in leave_out else area_events(rng)
    tables = tables_of_many(many, wide)
    prepared = prepare(tables)
    as_of = dt.date(2024, 10, 31)
    batch = build(prepared, as_of, catalogue=catalogue, policy=policy)
    context = AreaContext.from_json(count_context(prepared, as_of).json())
    place = {name: number for number, name in enumerate(batch.household_id)}
    compared = 0
    for one in many:
        records = {name: as_json(rows) for name, rows in one.items()}
        if wide:
            records["shocks"] = records["shocks"] + as_json(wide)
        ids = [name for name in sorted({row["household_id"] for row in one["households"]}) if name in place]
        if not ids:
            continue
        for row in records.values():
            rng.shuffle(row)
        now = build(
            prepare_records(records),
            as_of,
            catalogue=catalogue,
            policy=policy,
            households=ids,
            context=context,
        )
        for number, name in enumerate(now.household_id):
            differs = now.values[number].view(np.int64) != batch.values[place[name]].view(np.int64)
            assert not differs.any(), (name, [now.names[column] for column in np.flatnonzero(differs)])
            compared += 1
    assert compared > 500


def test_prepared_records_are_the_prepared_tables(written):
    rng = random.Random("prepared")
    one, wide = household(rng, 1, set()), area_events(rng)
    from_tables = prepare(tables_of_many([one], wide))
    records = {name: as_json(rows) for name, rows in one.items()}
    records["shocks"] += as_json(wide)
    from_records = prepare_records(records)
    assert from_tables.present == from_records.present
    for name, rows in from_tables.rows.items():
        assert from_tables.starts[name].tolist() == from_records.starts[name].tolist(), name
        for field in rows.dtype.names:
            assert np.array_equal(
                rows[field], from_records.rows[name][field], equal_nan=rows[field].dtype.kind == "f"
            ), (
                name,
                field,
            )


def test_partitions_and_threads_give_the_same_bits(catalogue, policy):
    rng = random.Random("parts")
    tables = tables_of_many([household(rng, number, set()) for number in range(1000)], area_events(rng))
    prepared, as_of = prepare(tables), dt.date(2024, 6, 30)
    whole = build(prepared, as_of, catalogue=catalogue, policy=policy)
    assert len(whole) > 1000
    two = build(prepared, as_of, catalogue=catalogue, policy=policy, threads=2)
    assert whole.values.tobytes() == two.values.tobytes()
    context = count_context(prepared, as_of)
    half = list(whole.household_id[: len(whole) // 2 : 2])
    part = build(
        tables.of_households(half),
        as_of,
        catalogue=catalogue,
        policy=policy,
        households=half,
        context=context,
    )
    places = np.isin(whole.household_id, half)
    assert part.values.tobytes() == whole.values[places].tobytes()


def test_the_order_of_the_rows_changes_nothing(catalogue, policy):
    rng = random.Random("order")
    many, wide, as_of = (
        [household(rng, number, set()) for number in range(50)],
        area_events(rng),
        dt.date(2024, 6, 30),
    )
    right = build(tables_of_many(many, wide), as_of, catalogue=catalogue, policy=policy)
    rng.shuffle(many)
    for one in many:
        for rows in one.values():
            rng.shuffle(rows)
    other = build(tables_of_many(many, wide), as_of, catalogue=catalogue, policy=policy)
    assert right.values.tobytes() == other.values.tobytes()


def test_no_column_reaches_a_feature_that_the_contract_does_not_have_or_the_denylist_holds(project):
    from riskmodel.features.denylist import Denylist

    denylist = Denylist.load(project)
    for name, shape in SHAPES.items():
        for field in set(shape.names) - WORKED_OUT - {"replaced_on"}:
            TABLES[name].column(field)
            assert denylist.reason(field) is None or (name, field) == ("verifications", "outcome"), (
                f"{name}.{field}"
            )


def test_codes_have_the_numbers_of_the_contract():
    from riskmodel.features import rows

    said = {
        ("households", "category"): [rows.LIFTED, rows.GENERAL],
        ("members", "labour"): [rows.SKILLED, rows.ORDINARY, rows.WEAK, rows.LOST, rows.NO_LABOUR],
        ("income", "source"): [rows.WAGE, rows.BUSINESS, rows.PROPERTY, rows.TRANSFER],
        ("medical", "kind"): [rows.OUTPATIENT, rows.INPATIENT, rows.CHRONIC],
        ("verifications", "outcome"): [
            rows.RISK_CONFIRMED,
            rows.NO_RISK,
            rows.RISK_ELIMINATED,
            rows.UNREACHABLE,
        ],
        ("shocks", "kind"): [
            rows.FLOOD,
            rows.DROUGHT,
            rows.HAIL,
            rows.FROST,
            rows.EARTHQUAKE,
            rows.LANDSLIDE,
            rows.PEST,
            rows.FIRE,
        ],
    }
    for (table, column), numbers in said.items():
        assert numbers == list(range(len(numbers)))
        assert len(numbers) <= len(TABLES[table].column(column).codes)
    assert list(TABLES["shocks"].column("kind").codes)[rows.JOB_LOSS] == "job_loss"
    assert list(TABLES["expenditure"].column("purpose").codes)[rows.DEBT] == "debt"
    assert list(TABLES["assistance"].column("measure").codes)[rows.FOR_SAFETY_NET] == "safety_net"
    assert list(TABLES["employment"].column("place").codes)[rows.OUTSIDE] == "outside"
    assert list(TABLES["members"].column("schooling").codes)[rows.AT_COLLEGE] == "college"
