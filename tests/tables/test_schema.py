"""The contract is described once, as plain data, and every parser derives from it."""

from __future__ import annotations

import datetime as dt
import json
import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodel.errors import DataError
from riskmodel.tables import schema
from riskmodel.tables.delivery import checked_records
from riskmodel.tables.records import plain_tables
from riskmodel.tables.schema import TABLES, describe, is_id
from riskmodel.tables.values import convert


def test_the_description_is_plain_data_with_everything_a_reader_needs():
    described = json.loads(json.dumps(describe()))
    assert list(described) == list(TABLES)
    columns = {column["name"]: column for column in described["medical"]["columns"]}
    assert columns["kind"]["codes"] == {"outpatient": "门诊", "inpatient": "住院", "chronic": "门诊慢特病"}
    assert (columns["total_cost"]["minimum"], columns["total_cost"]["maximum"]) == (0, 1e10)
    assert columns["total_cost"]["unit"] == "yuan" and not columns["total_cost"]["optional"]
    assert (columns["hospital_days"]["maximum"], columns["hospital_days"]["optional"]) == (100_000, True)
    assert (columns["occurred_on"]["earliest"], columns["occurred_on"]["latest"]) == (
        "1880-01-01",
        "2100-12-31",
    )
    assert re.fullmatch(columns["member_id"]["pattern"], "M-1") and columns["member_id"]["max_length"] == 64
    assert described["medical"]["in_order"] == [["occurred_on", "known_on"]]
    assert described["households"]["nested"][0] == ["county_code", "township_code"]
    assert (
        described["shocks"]["one_of"] == ["household_id", "area_code"]
        and described["shocks"]["in_order"] == []
    )
    level = described["disability"]["columns"][5]
    assert (level["name"], level["minimum"], level["maximum"]) == ("level", 1, 4)


def test_every_number_has_bounds_every_area_its_digits_and_every_code_its_chinese_value():
    for table in TABLES.values():
        for column in table.columns:
            where = (table.name, column.name)
            assert (column.at_least is not None) == (column.kind in ("money", "number", "integer")), where
            assert bool(column.digits) == (column.kind == "area"), where
            assert bool(column.codes) == (column.kind in ("code", "codes")), where


SIGNS = st.text(alphabet="aE9.0_:-+ /户\u200b", max_size=8) | st.text(alphabet="0123456789eE.+-", max_size=8)


@settings(max_examples=400, deadline=None)
@given(text=SIGNS | st.sampled_from(["x" * 64, "x" * 65, "6517185e3949", "3.30102E+17", "a\n"]))
def test_one_id_rule_for_files_and_for_single_texts(text):
    column = TABLES["income"].column("event_id")
    taken = convert(pl.Series([text]), column).values.to_list()[0]
    cleaned = convert(pl.Series([text]), TABLES["leads"].column("topic")).values.to_list()[
        0
    ]  # what is left of the blanks
    assert (taken is not None) == (cleaned is not None and is_id(cleaned))
    pattern = re.fullmatch(schema.ID_PATTERN, text) and len(text) <= schema.ID_LENGTH
    shortened = re.fullmatch(f"{schema.ID_SHORTENED}|{schema.ID_DECIMAL}", text)
    assert is_id(text) == bool(pattern and not shortened)


CHANGES = [
    ("income", "event_id", "6517185e3949", True),
    ("income", "event_id", "a.b:c", True),
    ("income", "event_id", "a/b", False),
    ("income", "event_id", "x" * 65, False),
    ("income", "amount", 1e10, True),
    ("income", "amount", 1.1e10, False),
    ("income", "occurred_on", dt.date(1880, 1, 1), True),
    ("income", "occurred_on", dt.date(1879, 12, 31), False),
    ("medical", "hospital_days", 100_000, True),
    ("medical", "hospital_days", 100_001, False),
    ("disability", "level", 4, True),
    ("disability", "level", 0, False),
    ("shocks", "area_code", "52230100", False),
    ("shocks", "area_code", "522301001", True),
    ("policy", "area_code", "52", True),
    ("households", "county_code", "52", False),
]


@pytest.mark.parametrize(("table", "column", "value", "right"), CHANGES)
def test_records_in_memory_and_files_keep_the_same_bounds(records, table, column, value, right):
    """The quick parser takes what the full checks take, and leaves the rest to them."""
    records["households"][0]["relocation_site"] = None
    kept = {name: [dict(row) for row in records[name]] for name in {"households", "members", table}}
    for rows in kept.values():
        for row in rows:
            row |= {name: None for name in ("relocation_site", "topic") if name in row}
            row |= {"source": "notice 12"} if table == "policy" and "source" in row else {}
    kept[table][-1] |= {column: value}
    if right:
        quick = plain_tables(kept)
        assert quick is not None and quick[table].equals(checked_records(kept).tables()[table])
    else:
        assert plain_tables(kept) is None
        with pytest.raises(DataError, match=column):
            checked_records(kept)
