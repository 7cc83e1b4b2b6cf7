"""The same table as typed Parquet, text Parquet, CSV, GB18030 CSV or Excel, with the same mapping: the same
frame or the same refusal.
"""

from __future__ import annotations

import datetime as dt
import re

import openpyxl
import polars as pl
import pytest

from riskmodel.tables.checks import check_rows, typed_sheet
from riskmodel.tables.county import dtype_of
from riskmodel.tables.mapping import read_mapping
from riskmodel.tables.schema import TABLES
from riskmodel.tables.sources import find_sources, read_source

DAY, OPEN = dt.date(2024, 3, 1), dt.date(9999, 12, 31)
HOME = {
    "household_id": ["H1", "H2", "H3"],
    "known_on": [dt.date(2024, 1, 1)] * 3,
    "county_code": ["522301"] * 3,
    "township_code": ["522301001"] * 3,
    "village_code": ["522301001201"] * 3,
    "category": ["lifted", "general", "lifted"],
    "relocated": [True, False, True],
}


def event(table, **columns):
    owner = (
        "member_id"
        if "member_id" in TABLES[table].names and "household_id" not in TABLES[table].names
        else "household_id"
    )
    row = {
        "event_id": ["E1", "E2", "E3"],
        owner: ["X1", "X2", "X3"],
        "occurred_on": [DAY] * 3,
        "known_on": [dt.date(2024, 4, 1)] * 3,
    }
    return table, row | columns


MEDICAL = {
    "kind": ["outpatient", "inpatient", "chronic"],
    "total_cost": [100.5, 20.0, 3.25],
    "reimbursed": [50.0, 10.0, 1.0],
}
MEDICAL |= {"self_paid": [50.5, 10.0, 2.25]}
VISIT = {"origin": ["sweep"] * 3, "outcome": ["no_risk", "risk_confirmed", "no_risk"]}

# What the contract's column holds (three rows), what tables.yaml says about it, and what must come out:
# values, or the check that refuses.
CASES = {
    "id": (
        ("households", HOME | {"household_id": ["6517185e3949", "00.7:a_b-c", "H3"]}),
        "household_id",
        "",
        None,
    ),
    "id with a blank": (
        ("households", HOME | {"household_id": ["H 1", "H2", "H3"]}),
        "household_id",
        "",
        "bad_id",
    ),
    "id as whole number": (
        ("households", HOME | {"household_id": [17, 18, 19]}),
        "household_id",
        "",
        ["17", "18", "19"],
    ),
    "id listed as missing": (
        ("households", HOME | {"household_id": [17, 18, 99]}),
        "household_id",
        "missing: [99]",
        "missing_value",
    ),
    "area": (
        ("households", HOME | {"village_code": [522301001201] * 3}),
        "village_code",
        "",
        ["522301001201"] * 3,
    ),
    "area of another length": (
        ("households", HOME | {"village_code": [522301001] * 3}),
        "village_code",
        "",
        "bad_area",
    ),
    "code": (("households", HOME), "category", "", None),
    "code of another system": (
        ("households", HOME | {"category": [1, 2, 1]}),
        "category",
        "codes: {category: {1: lifted, 2: general}}",
        ["lifted", "general", "lifted"],
    ),
    "code with a leading zero": (
        ("households", HOME | {"category": ["01", "02", "01"]}),
        "category",
        "codes: {category: {01: lifted, 02: general}}",
        ["lifted", "general", "lifted"],
    ),
    "code that is not mapped": (
        ("households", HOME | {"category": [1, 2, 3]}),
        "category",
        "codes: {category: {1: lifted, 2: general}}",
        "unknown_code",
    ),
    "code turned round": (
        ("households", HOME),
        "category",
        "codes: {category: {lifted: general, general: lifted}}",
        ["general", "lifted", "general"],
    ),
    "optional code listed as missing": (
        ("households", HOME | {"housing_grade": [1, 2, 9]}),
        "housing_grade",
        "codes: {housing_grade: {1: A, 2: B}}\n  missing: [9]",
        ["A", "B", None],
    ),
    "flag": (("households", HOME), "relocated", "", None),
    "flag turned round": (
        ("households", HOME),
        "relocated",
        "codes: {relocated: {true: false, false: true}}",
        [False, True, False],
    ),
    "flag as number turned round": (
        ("households", HOME | {"relocated": [1, 0, 1]}),
        "relocated",
        "codes: {relocated: {1: false, 0: true}}",
        [False, True, False],
    ),
    "flag of one and two": (
        ("households", HOME | {"relocated": [1, 2, 1]}),
        "relocated",
        "codes: {relocated: {1: true, 2: false}}",
        [True, False, True],
    ),
    "flag that is neither": (
        ("households", HOME | {"relocated": [1, 2, 1]}),
        "relocated",
        "",
        "not_true_or_false",
    ),
    "flag listed as missing": (
        ("households", HOME | {"safe_water": [1, 0, 9]}),
        "safe_water",
        "missing: [9]",
        [True, False, None],
    ),
    "number": (("households", HOME | {"distance_km": [1.25, 0.0, None]}), "distance_km", "", None),
    "number in another unit": (
        ("households", HOME | {"distance_km": [1250.0, 70.0, None]}),
        "distance_km",
        "columns: {distance_km: {unit: 米}}",
        [1.25, 0.07, None],
    ),
    "number listed as missing": (
        ("households", HOME | {"distance_km": [1.25, 999.9, None]}),
        "distance_km",
        "missing: [999.90]",
        [1.25, None, None],
    ),
    "negative number": (
        ("households", HOME | {"distance_km": [1.25, -1.5, None]}),
        "distance_km",
        "",
        "negative",
    ),
    "money": (event("medical", **MEDICAL), "total_cost", "", None),
    "money in another unit": (
        event("medical", **MEDICAL),
        "total_cost",
        "columns: {total_cost: {unit: 千元}}",
        [100500.0, 20000.0, 3250.0],
    ),
    "money listed as missing": (
        event("medical", **MEDICAL | {"compliant_self_paid": [9999.0, 1.0, None]}),
        "compliant_self_paid",
        "missing: [9999]",
        [None, 1.0, None],
    ),
    "money beyond all reason": (
        event("medical", **MEDICAL | {"total_cost": [1.0, 2e10, 3.0]}),
        "total_cost",
        "",
        "out_of_range",
    ),
    "whole number": (
        event("medical", **MEDICAL | {"hospital_days": [7, 0, None]}),
        "hospital_days",
        "",
        None,
    ),
    "whole number listed as missing": (
        event("medical", **MEDICAL | {"hospital_days": [7, 9999, None]}),
        "hospital_days",
        "missing: [9999]",
        [7, None, None],
    ),
    "whole number beyond all reason": (
        event("medical", **MEDICAL | {"hospital_days": [7, 100001, 1]}),
        "hospital_days",
        "",
        "out_of_range",
    ),
    "whole number with a part": (
        event("medical", **MEDICAL | {"hospital_days": [7.0, 2.5, 1.0]}),
        "hospital_days",
        "",
        "not_a_number",
    ),
    "level": (event("disability", kind=["vision"] * 3, level=[1, 2, 5]), "level", "", "out_of_range"),
    "level of another system": (
        event("disability", kind=["vision"] * 3, level=[1, 2, 9]),
        "level",
        "missing: [9]",
        "missing_value",
    ),
    "date": (
        event("disability", kind=["vision"] * 3, level=[1, 2, 3], valid_until=[DAY, None, DAY]),
        "valid_until",
        "",
        None,
    ),
    "open end": (
        event("disability", kind=["vision"] * 3, level=[1, 2, 3], valid_until=[DAY, None, OPEN]),
        "valid_until",
        "",
        "unknown_date",
    ),
    "open end listed as missing": (
        event("disability", kind=["vision"] * 3, level=[1, 2, 3], valid_until=[DAY, None, OPEN]),
        "valid_until",
        "missing: [9999-12-31]",
        [DAY, None, None],
    ),
    "date as number": (
        event("disability", kind=["vision"] * 3, level=[1, 2, 3], valid_until=[20240301, None, 20240301]),
        "valid_until",
        "",
        [DAY, None, DAY],
    ),
    "month as number": (
        event("employment", employed=[True] * 3, occurred_on=[202402] * 3),
        "occurred_on",
        "",
        [dt.date(2024, 2, 29)] * 3,
    ),
    "month that needs a day": (
        event("medical", **MEDICAL | {"occurred_on": [202402] * 3}),
        "occurred_on",
        "",
        "unknown_date",
    ),
    "month with a day": (
        event("medical", **MEDICAL | {"occurred_on": [202402] * 3}),
        "occurred_on",
        "columns: {occurred_on: {day: first}}",
        [dt.date(2024, 2, 1)] * 3,
    ),
    "several codes": (
        event("verifications", **VISIT, risk_kinds=[None, "因残、因病", "illness/education"]),
        "risk_kinds",
        "",
        [None, "illness;disability", "illness;education"],
    ),
    "several codes of another system": (
        event("verifications", **VISIT, risk_kinds=[None, "2,1", "3"]),
        "risk_kinds",
        "codes: {risk_kinds: {1: illness, 2: disability, 3: education}}",
        [None, "illness;disability", "education"],
    ),
    "text": (
        event("leads", channel=["cadre"] * 3, topic=["医疗支出较大", None, 'a, "b"\nc']),
        "topic",
        "",
        None,
    ),
    "text listed as missing": (
        event("leads", channel=["cadre"] * 3, topic=["医疗支出较大", "无", "#N/A"]),
        "topic",
        'missing: [无, "#N/A"]',
        ["医疗支出较大", None, None],
    ),
    "text that is an error": (
        event("leads", channel=["cadre"] * 3, topic=["医疗支出较大", None, "#REF!"]),
        "topic",
        "",
        "formula_error",
    ),
}


def as_text(value):
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case dt.date():
            return value.isoformat()
        case _:
            return str(value)


def typed_parquet(folder, table, columns):
    frame = pl.DataFrame(columns)
    for column in TABLES[table].columns:
        coded = column.name in columns and isinstance(dtype_of(column), pl.Enum)
        if coded and set(columns[column.name]) <= {None, *column.codes}:
            frame = frame.with_columns(pl.col(column.name).cast(dtype_of(column)))
    frame.write_parquet(folder / f"{table}.parquet")


def text_parquet(folder, table, columns):
    texts = {name: [as_text(value) for value in values] for name, values in columns.items()}
    pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String)).write_parquet(folder / f"{table}.parquet")


def csv_of(encoding):
    def write(folder, table, columns):
        texts = {name: [as_text(value) for value in values] for name, values in columns.items()}
        frame = pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String)).with_columns(
            备注=pl.lit("说明文字")
        )
        (folder / f"{table}.csv").write_bytes(frame.write_csv().encode(encoding))

    return write


def excel(folder, table, columns):
    workbook = openpyxl.Workbook()
    workbook.active.append(list(columns))
    for row in zip(*columns.values(), strict=True):
        workbook.active.append(list(row))
    workbook.save(folder / f"{table}.xlsx")


FORMS = {
    "typed parquet": typed_parquet,
    "text parquet": text_parquet,
    "csv": csv_of("utf-8"),
    "gb18030": csv_of("gb18030"),
    "excel": excel,
}


def outcome(folder, table):
    """The frame, and what was refused: check, column, values in words, expectation, remedy, and which row."""
    mapping = read_mapping(folder)
    found, troubles = find_sources(folder, mapping)
    assert not troubles
    source = read_source(folder, table, found[table], mapping[table])
    sheet = typed_sheet(source, mapping[table])
    check_rows(sheet)
    first = 1 if source.typed else 2
    refused = [
        (
            one.check,
            one.column,
            re.sub(r", in [A-Z]+\d.*", "", one.found),
            one.expected,
            one.remedy,
            tuple(row - first for row in one.rows),
        )
        for one in sheet.findings
        if one.level == "error"
    ]
    return sheet.frame, refused


@pytest.mark.parametrize("case", CASES)
def test_every_form_of_a_column_gives_the_same_values_or_the_same_refusal(tmp_path, case):
    (table, columns), name, mapping, expected = CASES[case]
    outcomes = {}
    for form, write in FORMS.items():
        folder = tmp_path / form.replace(" ", "_")
        folder.mkdir()
        write(folder, table, columns)
        (folder / "tables.yaml").write_text(f"{table}:\n  {mapping or 'ignore: []'}\n", encoding="utf-8")
        outcomes[form] = outcome(folder, table)
    frame, refused = outcomes["typed parquet"]
    for form, (other, other_refused) in outcomes.items():
        assert other.schema == frame.schema and other.equals(frame), form
        assert other_refused == refused, form
    if isinstance(expected, str):
        assert expected in {check for check, *_ in refused}
    else:
        assert not refused
        assert frame[name].to_list() == (columns[name] if expected is None else expected)


def test_every_kind_of_column_is_in_the_matrix():
    kinds = {TABLES[table].column(name).kind for (table, _), name, _, _ in CASES.values()}
    assert kinds == {column.kind for table in TABLES.values() for column in table.columns}
