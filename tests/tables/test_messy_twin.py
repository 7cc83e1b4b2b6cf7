"""A messy but right folder gives byte for byte the tables of its clean twin."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io

import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.tables import check_tables, read_tables
from riskmodel.tables.schema import TABLES

FULL_WIDTH = str.maketrans("0123456789.-", "０１２３４５６７８９．－")
DATE_FORMS = (
    lambda day: day.isoformat(),
    lambda day: f"{day.year}/{day.month}/{day.day}",
    lambda day: f"{day:%Y%m%d}",
    lambda day: f"{day.year}年{day.month}月{day.day}日",
    lambda day: f" {day.isoformat()} 00:00:00",
)

# Their own headings, units and codes, beside the contract's.
MAPPING = """
medical:
  file: 医保结算明细2024.csv
  columns:
    医疗总费用（万元）: total_cost
    total_cost: {unit: 万元}
    统筹支付: reimbursed
    self_paid: {from: 自付费用, unit: 万元}
  codes:
    kind: {普通住院: inpatient}
  ignore: [备注]
members:
  codes:
    relation: {本人或户主: head}
    pension_insured: {已参保: 'true', 未参保: 'false'}
  missing: [/, NULL]
households:
  columns:
    distance_km: {from: 距主干路（米）, unit: 米}
"""


def spoken(table, column, value, place, *, chinese=True):
    """One value as a department might write it."""
    if value is None:
        return "/" if table == "members" and place % 2 else ""
    if (table, column.name) in (("medical", "total_cost"), ("medical", "self_paid")):
        return f"{value / 10000:.6f}".rstrip("0")
    if (table, column.name) == ("households", "distance_km"):
        return str(round(value * 1000))
    if (table, column.name) == ("members", "pension_insured"):
        return "已参保" if value else "未参保"
    if (table, column.name, value) == ("members", "relation", "head"):
        return "本人或户主"
    if (table, column.name, value) == ("medical", "kind", "inpatient"):
        return "普通住院"
    match column.kind:
        case "date":
            return DATE_FORMS[place % len(DATE_FORMS)](value)
        case "boolean":
            return (("是", "否"), ("1", "0"), ("TRUE", "False"))[place % 3][not value]
        case "code":
            return column.codes[value] if chinese else value
        case "codes":
            return "；".join(column.codes[part] for part in reversed(value.split(";")))
        case "money" | "number":
            text = f"{value:,.2f}" if place % 3 == 0 else repr(value)
            return text.translate(FULL_WIDTH) if place % 2 and "," not in text else text
        case "id" | "area":
            return (value.translate(FULL_WIDTH) if place % 4 == 1 else value) + " " * (place % 3)
        case "integer":
            return f"{value}.0" if place % 2 else str(value)
        case _:
            return f"\t{value}\u3000"


HEADINGS = {
    ("medical", "total_cost"): "医疗总费用（万元）",
    ("medical", "reimbursed"): "统筹支付",
    ("medical", "self_paid"): "自付费用",
    ("households", "distance_km"): "距主干路（米）",
}


def messy_rows(table, rows):
    columns = list(reversed(TABLES[table].columns))
    heading = [HEADINGS.get((table, column.name), column.zh) for column in columns]
    cells = [
        [spoken(table, column, row[column.name], place) for column in columns]
        for place, row in enumerate(rows)
    ]
    if table == "medical":
        heading.append("备注")
        cells = [[*row, "手工录入"] for row in cells]
    return heading, cells


def write_messy(folder, records):
    """GB18030 and UTF-8 with BOM, compressed or not, in Excel, with Chinese headings and codes, rows in
    another order.
    """
    import openpyxl

    folder.mkdir()
    for number, (table, rows) in enumerate(records.items()):
        heading, cells = messy_rows(table, rows)
        cells = cells[::-1]
        if table in ("disability", "assistance", "guarantees"):
            workbook = openpyxl.Workbook()
            sheet = workbook.active
            sheet.title = TABLES[table].zh
            workbook.create_sheet("说明")
            sheet.append(heading)
            for row in cells:
                sheet.append(row)
            workbook.save(folder / f"{TABLES[table].zh}.xlsx")
            continue
        text = io.StringIO()
        csv.writer(text).writerows([heading, *cells])
        encoding = ("gb18030", "utf-8-sig", "gb18030")[number % 3]
        data = text.getvalue().encode(encoding)
        if table == "medical":
            (folder / "医保结算明细2024.csv").write_bytes(text.getvalue().encode("gb18030"))
        elif table == "employment":
            (folder / f"{table}.csv.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{TABLES[table].zh if number % 2 else table}.csv").write_bytes(data)
    (folder / "tables.yaml").write_text(MAPPING, encoding="utf-8")
    return folder


def test_a_messy_folder_gives_byte_identical_tables_to_its_clean_twin(tmp_path, records, clean_folder):
    messy = write_messy(tmp_path / "messy", records)
    report = check_tables(messy)
    assert report.ok, report.text()
    left, right = read_tables(messy), read_tables(clean_folder)
    assert set(left.frames) == set(right.frames) == set(TABLES)
    for name in TABLES:
        one, other = io.BytesIO(), io.BytesIO()
        left[name].write_parquet(one)
        right[name].write_parquet(other)
        assert one.getvalue() == other.getvalue(), name


def test_real_excel_cells_are_read_by_their_types(tmp_path, records, clean_folder):
    import openpyxl

    workbook = openpyxl.Workbook()
    sheet = workbook.active
    names = TABLES["medical"].names
    sheet.append(list(names))
    for row in records["medical"]:
        sheet.append([row[name] for name in names])
    (clean_folder / "medical.parquet").rename(tmp_path / "kept.parquet")
    workbook.save(clean_folder / "medical.xlsx")
    tables = read_tables(clean_folder)
    (clean_folder / "medical.xlsx").unlink()
    (tmp_path / "kept.parquet").rename(clean_folder / "medical.parquet")
    assert tables["medical"].equals(read_tables(clean_folder)["medical"])


def workbook_of(path, rows, title="Sheet"):
    import openpyxl

    workbook = openpyxl.Workbook()
    workbook.active.title = title
    for row in rows:
        workbook.active.append(row)
    workbook.save(path)


def test_ids_that_excel_keeps_as_long_numbers_are_refused(clean_folder, records):
    (clean_folder / "leads.parquet").unlink()
    rows = [["event_id", "household_id", "occurred_on", "known_on", "channel"]]
    rows.append(["L1", 330102199001011234, dt.date(2024, 1, 1), dt.datetime(2024, 1, 2), "cadre"])
    workbook_of(clean_folder / "leads.xlsx", rows)
    report = check_tables(clean_folder)
    finding = next(finding for finding in report.errors if finding.check == "exponent_id")
    assert "3.30102E+17" in finding.found and finding.rows == (2,) and "文本" in finding.remedy


def test_ids_kept_as_numbers_in_excel_are_a_warning_because_zeros_may_be_lost(clean_folder, records):
    (clean_folder / "leads.parquet").unlink()
    rows = [["event_id", "household_id", "occurred_on", "known_on", "channel"]]
    rows.append([17, "000001", dt.date(2024, 1, 1), dt.date(2024, 1, 2), "cadre"])
    workbook_of(clean_folder / "leads.xlsx", rows)
    report = check_tables(clean_folder)
    assert report.ok, report.text()
    assert [finding.check for finding in report.warnings] == ["id_as_number"]


def test_a_number_in_a_date_column_of_excel_is_refused(clean_folder):
    (clean_folder / "leads.parquet").unlink()
    rows = [
        ["event_id", "household_id", "occurred_on", "known_on", "channel"],
        ["L1", "000001", 45292, dt.date(2024, 1, 2), "cadre"],
    ]
    workbook_of(clean_folder / "leads.xlsx", rows)
    finding = next(
        finding for finding in check_tables(clean_folder).errors if finding.check == "unknown_date"
    )
    assert finding.rows == (2,) and "`45292`" in finding.found


def test_several_filled_sheets_are_not_guessed(clean_folder):
    import openpyxl

    (clean_folder / "leads.parquet").unlink()
    workbook = openpyxl.Workbook()
    workbook.active.append(["a"])
    workbook.create_sheet("其他").append(["b"])
    workbook.save(clean_folder / "leads.xlsx")
    finding = next(
        finding for finding in check_tables(clean_folder).errors if finding.check == "several_sheets"
    )
    assert "其他" in finding.found and "`sheet`" in finding.remedy


@pytest.mark.parametrize("title", ["某县支出台账\n", "某县支出台账,,,,,\n\n"])
def test_title_lines_above_the_header_of_a_csv_do_not_shift_row_numbers(clean_folder, records, as_csv, title):
    expected = read_tables(clean_folder)["expenditure"]
    (clean_folder / "expenditure.parquet").unlink()
    path = as_csv(clean_folder, {"expenditure": records["expenditure"]}) / "expenditure.csv"
    text = path.read_text()
    path.write_bytes((title + text).encode("gb18030"))
    assert read_tables(clean_folder)["expenditure"].equals(expected)
    path.write_bytes((title + text.replace("1200.5", "-1", 1)).encode("gb18030"))
    finding = next(finding for finding in check_tables(clean_folder).errors)
    assert finding.rows == (2 + title.count("\n"),)


def test_blank_and_title_rows_above_the_header_of_a_sheet_do_not_shift_row_numbers(clean_folder):
    (clean_folder / "leads.parquet").unlink()
    rows = [
        [],
        ["某县线索台账"],
        ["event_id", "household_id", "occurred_on", "known_on", "channel"],
        [],
        ["L1", "000001", "x", dt.date(2024, 1, 2), "cadre"],
    ]
    workbook_of(clean_folder / "leads.xlsx", rows)
    finding = next(
        finding for finding in check_tables(clean_folder).errors if finding.check == "unknown_date"
    )
    assert finding.rows == (5,)


# tables.yaml


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("medicals: {}", ["tables.yaml:1", "unknown table `medicals`", "Did you mean `medical`"]),
        ("medical:\n  colums: {}", ["tables.yaml:2", "unknown key `colums`", "columns"]),
        (
            "medical:\n  columns:\n    自付: selfpaid",
            ["tables.yaml:3", "`selfpaid` is no column", "Did you mean `self_paid`"],
        ),
        ("medical:\n  columns:\n    self_paid: {from: 自付, unit: 亿元}", ["unit `亿元`", "万元"]),
        ("medical:\n  columns:\n    kind: {from: 类别, unit: 元}", ["unit `元`", "not a measured number"]),
        ("medical:\n  columns:\n    甲: self_paid\n    乙: self_paid", ["made from both `甲` and `乙`"]),
        ("medical:\n  codes:\n    kind: {普通: outpatiant}", ["`outpatiant`", "Did you mean `outpatient`"]),
        ("medical:\n  codes:\n    amount: {a: b}", ["codes for `amount`"]),
        ("medical:\n  encoding: gbk", ["`gbk`", "gb18030"]),
        ("medical:\n  ignore: 备注", ["a list"]),
        ("medical: [1", ["tables.yaml:"]),
        ("- a", ["no tables"]),
    ],
)
def test_a_wrong_mapping_is_refused_with_file_and_line(clean_folder, text, words):
    (clean_folder / "tables.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as refused:
        read_tables(clean_folder)
    for word in words:
        assert word in str(refused.value)


def test_all_faults_of_a_mapping_come_at_once(clean_folder):
    (clean_folder / "tables.yaml").write_text(
        "medical: {colums: {}, encoding: x}\nincomes: {}\n", encoding="utf-8"
    )
    with pytest.raises(DataError) as refused:
        check_tables(clean_folder)
    assert len(refused.value.faults) == 3


def test_a_mapped_column_that_the_file_does_not_have_is_named(clean_folder):
    (clean_folder / "tables.yaml").write_text("medical: {columns: {自付费: self_paid}}\n", encoding="utf-8")
    finding = next(
        finding for finding in check_tables(clean_folder).errors if finding.check == "mapped_column_missing"
    )
    assert "`自付费`" in finding.found and "The file has" in finding.remedy


def test_a_unit_is_exact_to_the_last_digit(clean_folder, records):
    """1.2345 万元 is 12345 yuan, and 0.07 万元 is 700, whatever binary fractions say (0.07 * 10000 =
    700.0000000000001).
    """
    path = clean_folder / "expenditure.parquet"
    frame = pl.read_parquet(path)
    texts = ["1.2345", "0.07", "0.0123", *["2.5"] * (frame.height - 3)]
    (clean_folder / "tables.yaml").write_text(
        "expenditure: {columns: {amount: {unit: 万元}}}\n", encoding="utf-8"
    )
    for amounts in (pl.Series("amount", texts), pl.Series("amount", [float(text) for text in texts])):
        frame.with_columns(amounts).write_parquet(path)
        amounts_read = read_tables(clean_folder)["expenditure"].sort("event_id")["amount"].to_list()
        assert amounts_read[:3] == [12345.0, 700.0, 123.0]


def test_numbers_that_only_look_like_identities_can_be_allowed(clean_folder):
    path = clean_folder / "leads.parquet"
    frame = pl.read_parquet(path)
    ids = [f"1380013800{place}" for place in range(frame.height)]
    frame.with_columns(event_id=pl.Series(ids)).write_parquet(path)
    assert not check_tables(clean_folder).ok
    (clean_folder / "tables.yaml").write_text("leads: {not_identity: [event_id]}\n", encoding="utf-8")
    assert check_tables(clean_folder).ok
