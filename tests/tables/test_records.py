"""Records in memory: the quick way and the full checks give the same Tables, and nothing odd takes the quick
way.
"""

from __future__ import annotations

import datetime as dt
import random

import pytest

from riskmodel.errors import DataError
from riskmodel.tables import tables_of
from riskmodel.tables.delivery import checked_records
from riskmodel.tables.records import plain_tables


def without_free_text(records):
    for row in records["households"]:
        row["relocation_site"] = None
    for row in records["leads"]:
        row["topic"] = "medical"
    for row in records["policy"]:
        row["source"] = "notice 12"
    return records


def test_both_ways_give_the_same_tables(records):
    records = without_free_text(records)
    quick, full = plain_tables(records), checked_records(records).tables()
    assert quick is not None and set(quick.frames) == set(full.frames)
    for name in full.frames:
        assert quick[name].schema == full[name].schema, name
        assert quick[name].equals(full[name]), name


def test_both_ways_agree_on_mixed_up_parts_of_a_county(records):
    records = without_free_text(records)
    for seed in range(5):
        rng = random.Random(seed)
        part = {
            name: rng.sample(rows, rng.randrange(1, len(rows) + 1))
            for name, rows in records.items()
            if name not in ("households", "members")
        }
        part |= {name: rng.sample(records[name], len(records[name])) for name in ("households", "members")}
        quick, full = plain_tables(part), checked_records(part).tables()
        assert quick is not None
        for name in part:
            assert quick[name].equals(full[name]), name


def test_iso_text_and_dates_are_the_same(records):
    text = {
        name: [
            {key: value.isoformat() if isinstance(value, dt.date) else value for key, value in row.items()}
            for row in rows
        ]
        for name, rows in without_free_text(records).items()
    }
    assert plain_tables(text)["income"].equals(plain_tables(records)["income"])


ODD = [
    ("income", "event_id", "11010519491231002X"),
    ("income", "event_id", "13800138000"),
    ("income", "event_id", "3E17"),
    ("income", "event_id", "E 1"),
    ("income", "event_id", 7),
    ("income", "event_id", ""),
    ("income", "amount", -1.0),
    ("income", "amount", float("nan")),
    ("income", "amount", float("inf")),
    ("income", "amount", True),
    ("income", "amount", "12"),
    ("income", "amount", None),
    ("income", "source", "工资性"),
    ("income", "source", "x"),
    ("income", "occurred_on", "2023/1/5"),
    ("income", "occurred_on", dt.datetime(2023, 1, 5)),
    ("income", "occurred_on", "1700-01-01"),
    ("income", "known_on", "2000-01-01"),
    ("income", "household_id", "nobody"),
    ("income", "unknown_column", 1),
    ("members", "dibao", 1),
    ("members", "birth_date", "2030-01-01"),
    ("households", "village_code", "522301009201"),
    ("households", "township_code", "52230100"),
    ("disability", "level", 5),
    ("medical", "hospital_days", 2.5),
    ("leads", "topic", "call 13800138000"),
    ("leads", "topic", "王小明"),
    ("leads", "topic", " x"),
    ("verifications", "risk_kinds", "employment;illness"),
]


@pytest.mark.parametrize(("table", "column", "value"), ODD)
def test_whatever_is_not_plainly_right_goes_through_the_full_checks(records, table, column, value):
    records[table][-1] = records[table][-1] | {column: value}
    assert plain_tables(records) is None


def test_duplicates_go_through_the_full_checks_and_count_once(records):
    records["income"].append(dict(records["income"][0]))
    assert plain_tables(records) is None
    assert tables_of(records)["income"].height == len(records["income"]) - 1


def test_faults_of_records_name_the_table_the_column_and_the_row(records):
    records["income"][2] |= {"amount": -1.0}
    records["members"][1] |= {"sex": "m"}
    with pytest.raises(DataError) as refused:
        tables_of(records)
    text = str(refused.value)
    assert "income, column `amount`, row 3" in text and "members, column `sex`, row 2" in text


def test_an_unknown_table_is_refused():
    with pytest.raises(DataError, match="no table of the contract"):
        tables_of({"incomes": []})


def test_records_without_households_are_refused(records):
    del records["households"]
    with pytest.raises(DataError, match="households"):
        tables_of(records)


def test_tables_without_rows_are_there_and_empty(records):
    tables = tables_of({"households": records["households"], "members": records["members"], "income": []})
    assert "income" in tables and tables["income"].height == 0
