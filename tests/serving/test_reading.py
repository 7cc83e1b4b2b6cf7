"""Reading a request quickly gives the same rows as reading it slowly, and never takes what the contract refuses."""

from __future__ import annotations

import datetime as dt
import json
import re

import numpy as np
import orjson
import pytest

from riskmodel.features import prepare_records
from riskmodel.features.rows import OF_HOUSEHOLD, OF_PERSON
from riskmodel.serving import reading
from riskmodel.serving.reading import READ, read_rows
from riskmodel.serving.requests import scores_request
from riskmodel.serving.scores import Refused, read_quickly, read_slowly
from riskmodel.tables.across import RULES

AS_OF = dt.date(2025, 12, 31)


def same_rows(one, other):
    assert list(one.household_id) == list(other.household_id)
    assert (one.villages, one.townships, one.counties) == (other.villages, other.townships, other.counties)
    assert one.present == other.present
    for name, rows in other.rows.items():
        assert np.array_equal(one.starts[name], other.starts[name]), name
        assert one.rows[name].dtype == rows.dtype
        for column in rows.dtype.names:
            equal_nan = rows[column].dtype.kind == "f"
            assert np.array_equal(one.rows[name][column], rows[column], equal_nan=equal_nan), (name, column)


@pytest.fixture(scope="module")
def ids(county):
    return sorted(county["households"]["household_id"].unique().to_list())


def test_every_table_of_the_contract_but_the_county_s_own_values_is_read():
    assert set(OF_HOUSEHOLD) | set(OF_PERSON) | {"households", "members"} == set(READ)


def test_one_household_read_quickly_is_the_same_rows_in_any_order_of_them(county, ids):
    draw = np.random.default_rng(3)
    for household in draw.choice(ids, 80, replace=False):
        tables = scores_request(county, [household], AS_OF)["tables"]
        for rows in tables.values():
            draw.shuffle(rows)
        for layout in ({}, {"indent": 1}):
            got = read_rows(json.dumps(tables, **layout, ensure_ascii=False).encode())
            assert got is not None, "the synthetic county is plainly right"
            same_rows(got[0].prepared, prepare_records(tables))


def test_many_households_are_read_quickly_too_shocks_of_an_area_once(county, ids):
    some = [str(name) for name in np.random.default_rng(4).choice(ids, 60, replace=False)]
    tables = scores_request(county, some, AS_OF)["tables"]
    got = read_rows(orjson.dumps(tables))
    assert got is not None
    same_rows(got[0].prepared, prepare_records(tables))
    area = next(row for row in tables["shocks"] if "area_code" in row)
    twice = read_rows(orjson.dumps(tables | {"shocks": [*tables["shocks"], area]}))
    assert twice is not None
    same_rows(twice[0].prepared, got[0].prepared)
    newest = {
        row["household_id"]: row["village_code"]
        for row in sorted(tables["households"], key=lambda row: row["known_on"])
    }
    assert {household.household_id: household.village_code for household in got[0].households} == newest


def test_corrections_replace_the_row_they_correct(county, ids):
    tables = scores_request(county, [ids[0]], AS_OF)["tables"]
    income = {"event_id": "i1", "household_id": ids[0], "source": "wage", "occurred_on": "2025-03-01"}
    tables["income"] = [
        income | {"known_on": "2025-03-05", "amount": 100},
        income | {"known_on": "2025-05-01", "amount": 80.25},
        income | {"known_on": "2025-04-01", "amount": 90.5},
    ]
    got = read_rows(orjson.dumps(tables))
    assert got is not None
    same_rows(got[0].prepared, prepare_records(tables))
    assert got[0].prepared.rows["income"]["amount"].tolist() == [100, 90.5, 80.25]


@pytest.mark.parametrize(
    "number",
    [
        "0.1",
        "123456.78",
        "0",
        "1e3",
        "1E+2",
        "0.30000000000000004",
        "9007199254740993",
        "1234567.0000000001",
        "5e-324",
        "2.5e2",
    ],
)
def test_numbers_are_read_to_the_last_bit(county, ids, number):
    tables = scores_request(county, [ids[0]], AS_OF)["tables"]
    row = {
        "event_id": "i1",
        "household_id": ids[0],
        "source": "wage",
        "occurred_on": "2025-03-01",
        "known_on": "2025-03-05",
        "amount": 777,
    }
    got = read_rows(orjson.dumps(tables | {"income": [row]}).replace(b"777", number.encode()))
    if float(number) > reading.MONEY_AT_MOST:
        assert got is None
    else:
        assert got[0].prepared.rows["income"]["amount"].tolist() == [float(number)]


WRONG = [
    "-1",
    "NaN",
    "1e999",
    "-0.0",
    "01",
    "1.",
    ".5",
    "true",
    '"1"',
    "null",
    "[]",
    "{}",
    "1e11",
    "Infinity",
    "0x10",
    "1_0",
]


@pytest.mark.parametrize("number", WRONG)
def test_what_is_no_amount_is_left_to_the_slow_way(county, ids, number):
    tables = scores_request(county, [ids[0]], AS_OF)["tables"]
    row = {
        "event_id": "i1",
        "household_id": ids[0],
        "source": "wage",
        "occurred_on": "2025-03-01",
        "known_on": "2025-03-05",
        "amount": 777,
    }
    assert read_rows(orjson.dumps(tables | {"income": [row]}).replace(b"777", number.encode())) is None


def test_texts_that_may_be_a_person_are_left_to_the_slow_way(county, ids):
    tables = scores_request(county, [ids[0]], AS_OF)["tables"]
    lead = {
        "event_id": "l1",
        "household_id": ids[0],
        "occurred_on": "2025-03-01",
        "known_on": "2025-03-05",
        "channel": "cadre",
    }
    for topic, plain in [
        ("务工不稳定", True), ("住房问题", True), ("王小明", False), ("13812345678", False), ("致电13812345678", False), ("#N/A", True),
        ("110101199003077758", False), (" 住房", False), ("住房\u3000问题", False), ("522301102200", True), ("x" * 201, False),
    ]:  # fmt: skip
        got = read_rows(
            json.dumps(tables | {"leads": [lead | {"topic": topic}]}, ensure_ascii=False).encode()
        )
        assert (got is not None) == plain, topic


def changed(body: bytes, draw: np.random.Generator) -> bytes:
    """The body with one small fault, or none: a byte, a value, a key, a row."""
    match draw.integers(8):
        case 0:
            place = int(draw.integers(len(body)))
            return body[:place] + bytes([int(draw.integers(256))]) + body[place + 1 :]
        case 1:
            place = int(draw.integers(len(body)))
            return body[:place] + body[place + int(draw.integers(1, 4)) :]
        case 2:
            numbers = list(re.finditer(rb":(\d+(?:\.\d+)?)", body))
            found = numbers[int(draw.integers(len(numbers)))]
            return body[: found.start(1)] + draw.choice(WRONG).encode() + body[found.end(1) :]
        case 3:
            dates = list(re.finditer(rb"\d{4}-\d\d-\d\d", body))
            found = dates[int(draw.integers(len(dates)))]
            other = draw.choice(
                [
                    b"2025-02-29",
                    b"2024-02-29",
                    b"1879-12-31",
                    b"2025-13-01",
                    b"2025-1-01",
                    b"2030-01-01",
                    b"0000-01-01",
                ]
            )
            return body[: found.start()] + bytes(other) + body[found.end() :]
    data = orjson.loads(body)
    tables = data["tables"]
    name = str(draw.choice([name for name, rows in tables.items() if rows]))
    rows = tables[name]
    row = rows[int(draw.integers(len(rows)))]
    match draw.integers(6):
        case 0:
            row.pop(str(draw.choice(list(row))))
        case 1:
            rows.append(dict(row))
        case 2:
            row[str(draw.choice(list(row)))] = [
                None,
                "",
                "x",
                "男",
                1,
                -1,
                True,
                1.5,
                "2025-01-01",
                "m" * 201,
                {"a": 1},
            ][int(draw.integers(11))]
        case 3:
            row["surprise"] = 1
        case 4:
            tables.pop(name)
        case 5:
            row[str(draw.choice([key for key in row if key.endswith("_id")] or list(row)))] = (
                f"nobody{draw.integers(9)}"
            )
    return orjson.dumps(data)


def test_whatever_is_read_quickly_is_read_slowly_to_the_same_rows(county, ids):
    """1,500 small faults: what the slow way refuses, the quick way never takes."""
    draw = np.random.default_rng(11)
    quick = slow = refused = 0
    bodies = [
        orjson.dumps(scores_request(county, [str(name)], AS_OF))
        for name in draw.choice(ids, 12, replace=False)
    ]
    bodies = sorted(bodies, key=len)[:6]  # short ones: more of what is changed matters
    for turn in range(1500):
        body = changed(bodies[turn % len(bodies)], draw)
        got = read_quickly(body)
        if got is None:
            slow += 1
            continue
        quick += 1
        try:
            again = read_slowly(body)
        except Refused as refusal:
            raise AssertionError((refusal.status, refusal.faults, body[:3000])) from None
        assert (got.as_of, got.horizon, got.key) == (again.as_of, again.horizon, again.key)
        assert got.rows.households == again.rows.households and got.rows.rows == again.rows.rows
        same_rows(got.rows.prepared, again.rows.prepared)
    refused = slow
    assert quick > 100 and refused > 500, (quick, refused)


def _bill(tables, **values):
    row = {
        "event_id": "m1",
        "member_id": tables["members"][0]["member_id"],
        "occurred_on": "2025-03-01",
        "known_on": "2025-03-09",
    }
    row |= {"kind": "outpatient", "total_cost": 100, "reimbursed": 60, "self_paid": 40}
    return row | values


def _before_birth(tables):
    child = tables["members"][0] | {
        "member_id": "born",
        "birth_date": "2025-04-02",
        "known_on": "2025-04-09",
        "schooling": "none",
    }
    tables["members"].append(child)
    tables["medical"] = [_bill(tables, member_id="born")]


def _part_above_total(tables):
    tables["medical"] = [_bill(tables, self_paid=102)]


def _owner_changed(tables):
    tables["members"].append(tables["members"][0] | {"member_id": "other"})
    tables["medical"] = [_bill(tables), _bill(tables, member_id="other", known_on="2025-04-01")]


def _left_before_birth(tables):
    tables["members"].append(tables["members"][0] | {"member_id": "other", "left_on": "1900-01-01"})


def _household_reused(tables):
    one = tables["members"][0]
    gone = one | {"known_on": "2025-06-01", "left_on": "2025-05-20"}
    tables["members"] = [one, gone, one | {"member_id": "stranger", "known_on": "2025-07-01"}]


def _member_reused(tables):
    one = tables["members"][0]
    other = {
        "known_on": "2025-07-01",
        "birth_date": "1999-09-09",
        "sex": "male" if one["sex"] == "female" else "female",
    }
    tables["members"] = [one, one | other]


@pytest.fixture
def one_person(county, ids):
    """The tables of a household, with one member of whom nothing else is known."""
    tables = scores_request(county, [ids[0]], AS_OF)["tables"]
    person = {name: value for name, value in tables["members"][0].items() if name != "left_on"}
    person |= {"known_on": "2023-01-01", "birth_date": "1960-01-01", "schooling": "none"}
    return {"households": tables["households"], "members": [person]}


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("before_birth", _before_birth),
        ("part_above_total", _part_above_total),
        ("owner_changed", _owner_changed),
        ("left_before_birth", _left_before_birth),
        ("household_reused", _household_reused),
        ("member_reused", _member_reused),
    ],
)
def test_rows_that_contradict_each_other_are_refused_on_either_road(one_person, rule, broken):
    whole = {"as_of": AS_OF.isoformat(), "tables": one_person}
    assert read_quickly(orjson.dumps(whole)) is not None
    broken(one_person)
    assert read_quickly(orjson.dumps(whole)) is None
    with pytest.raises(Refused) as refusal:
        read_slowly(orjson.dumps(whole))
    assert refusal.value.status == 422
    assert any(fault.found.startswith(RULES[rule].found) for fault in refusal.value.faults), (
        refusal.value.faults
    )
