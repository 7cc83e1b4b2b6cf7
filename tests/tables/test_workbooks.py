"""Cells of a workbook that hold no plain value are named by their address; what is far away is refused before
it is read.
"""

from __future__ import annotations

import datetime as dt
import re
import resource
import subprocess
import sys
import zipfile

import openpyxl
import pytest
import xlsxwriter

from riskmodel.errors import DataError
from riskmodel.tables import check_tables, quarantine, read_tables
from riskmodel.tables.workbooks import Workbook, letters_of, quick_marks

HEADING = ["event_id", "household_id", "occurred_on", "known_on", "channel", "topic"]

NOTHING = "<v />"  # what openpyxl writes in place of a result


def leads(*rows, heading=HEADING):
    """A workbook with three right rows, and others."""
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.append(heading)
    for number in range(3):
        sheet.append([f"L{number}", "000001", dt.date(2024, 1, 1), dt.date(2024, 1, 2), "cadre", "medical"])
    for row in rows:
        sheet.append(row)
    return workbook


@pytest.fixture
def folder(clean_folder):
    (clean_folder / "leads.parquet").unlink()
    return clean_folder


def save(folder, workbook, name="leads"):
    workbook.save(folder / f"{name}.xlsx")
    return folder / f"{name}.xlsx"


def change_xml(path, old, new):
    """Replace a piece of the first sheet's XML, as other writers than openpyxl write it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    assert old.encode() in parts[sheet], parts[sheet][-2000:]
    parts[sheet] = parts[sheet].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def error(folder, check):
    found = [finding for finding in check_tables(folder).errors if finding.check == check]
    assert len(found) == 1, check_tables(folder).text()
    return found[0]


ERRORS = [
    ("#N/A", "F", "topic"),
    ("#REF!", "E", "channel"),
    ("#DIV/0!", "B", "household_id"),
    ("#NAME?", "C", "occurred_on"),
]
ERRORS += [("#VALUE!", "F", "topic"), ("#NUM!", "F", "topic"), ("#NULL!", "F", "topic")]


@pytest.mark.parametrize(("value", "letter", "column"), ERRORS)
def test_an_error_cell_is_named_by_its_address_in_every_column(folder, value, letter, column):
    workbook = leads()
    cell = workbook.active[f"{letter}3"]
    cell.value, cell.data_type = value, "e"
    save(folder, workbook)
    finding = error(folder, "formula_error")
    assert (
        finding.column == column
        and finding.rows == (3,)
        and finding.found.endswith(f"`{value}`), in {letter}3")
    )
    one = next(table for table in check_tables(folder).tables if table.table == "leads")
    assert (one.read, one.used, one.refused) == (3, 2, 1)


def test_an_error_cell_listed_as_missing_is_missing_as_the_message_advises(folder):
    workbook = leads()
    workbook.active["F3"].value, workbook.active["F3"].data_type = "#N/A", "e"
    save(folder, workbook)
    assert 'write `missing: ["#N/A"]` for the table in tables.yaml' in error(folder, "formula_error").remedy
    (folder / "tables.yaml").write_text('leads:\n  missing: ["#N/A"]\n')
    assert read_tables(folder)["leads"].sort("event_id")["topic"].to_list() == ["medical", None, "medical"]


def test_an_error_in_a_column_that_is_not_used_does_no_harm(folder):
    workbook = leads(heading=[*HEADING, "remark"])
    workbook.active["G2"].value, workbook.active["G2"].data_type = "#N/A", "e"
    save(folder, workbook)
    assert check_tables(folder).ok


def test_a_formula_without_a_stored_value_is_named_and_one_with_it_is_read(folder):
    workbook = leads()
    workbook.active["F2"] = '=A2&"x"'
    workbook.active["F3"] = '=A3&"x"'
    path = save(folder, workbook)  # openpyxl stores no results
    change_xml(path, f'<c r="F3"><f>A3&amp;"x"</f>{NOTHING}', '<c r="F3" t="str"><f>A3&amp;"x"</f><v>L1x</v>')
    finding = error(folder, "formula_without_value")
    assert finding.rows == (2,) and finding.found.endswith("in F2") and "save it there" in finding.remedy
    # What the spreadsheet does when it saves: it stores the results; an empty text is a result, too.
    change_xml(path, f'<c r="F2"><f>A2&amp;"x"</f>{NOTHING}', '<c r="F2" t="str"><f>A2&amp;"x"</f><v></v>')
    assert read_tables(folder)["leads"].sort("event_id")["topic"].to_list() == [None, "L1x", "medical"]


def test_a_merged_cell_over_several_rows_is_refused_in_all_of_them_and_read_when_it_is_taken_apart(folder):
    workbook = leads()
    workbook.active.merge_cells("F2:F4")
    save(folder, workbook)
    finding = error(folder, "merged_cells")
    assert finding.rows == (2, 3, 4) and "F2:F4" in finding.found and "取消合并单元格" in finding.remedy
    workbook.active.unmerge_cells("F2:F4")
    for row in (2, 3, 4):
        workbook.active[f"F{row}"] = "medical"
    save(folder, workbook)
    assert read_tables(folder)["leads"]["topic"].to_list() == ["medical"] * 3


def test_a_family_whose_leaving_is_one_merged_cell_does_not_stay_in_part(folder, records):
    workbook = openpyxl.Workbook()
    names = list(records["members"][0])
    workbook.active.append(names)
    for row in records["members"]:
        workbook.active.append([row[name] for name in names])
    place = names.index("left_on") + 1
    workbook.active.cell(2, place).value = dt.date(2024, 9, 1)
    workbook.active.merge_cells(start_row=2, end_row=4, start_column=place, end_column=place)
    (folder / "members.parquet").unlink()
    save(folder, workbook, "members")
    finding = error(folder, "merged_cells")
    assert (finding.column, finding.rows) == ("left_on", (2, 3, 4))


def test_merged_cells_of_titles_empty_cells_and_unused_columns_do_no_harm(folder):
    workbook = leads(heading=[*HEADING, "remark"])
    sheet = workbook.active
    sheet["G2"] = "one remark for all"
    sheet.merge_cells("G2:G4")
    sheet["F3"] = sheet["F4"] = None
    sheet.merge_cells("F3:F4")
    sheet.insert_rows(1)
    sheet.merged_cells.ranges.clear()
    for area in ("A1:G1", "G3:G5", "F4:F5"):
        sheet.merge_cells(area)
    sheet["A1"] = "某县线索台账"
    save(folder, workbook)
    assert check_tables(folder).ok
    assert read_tables(folder)["leads"].sort("event_id")["topic"].to_list() == ["medical", None, None]


def test_headings_in_two_rows_are_read_together(folder):
    """Groups above, headings below, and headings that are merged over both rows."""
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.append(["编号", None, "日期", None, "channel", "topic"])
    sheet.append(["event_id", "household_id", "occurred_on", "known_on", None, None])
    sheet.merge_cells("E1:E2")
    sheet.merge_cells("F1:F2")
    sheet.merge_cells("A1:B1")
    sheet.append(["L1", "000001", dt.date(2024, 1, 1), dt.date(2024, 1, 2), "cadre", "medical"])
    save(folder, workbook)
    report = check_tables(folder)
    assert report.ok, report.text()
    assert "header in row 2" in report.text()
    assert read_tables(folder)["leads"].select("channel", "topic").rows() == [("cadre", "medical")]


def test_a_cell_in_the_last_corner_is_named_and_costs_no_memory(folder):
    workbook = leads()
    workbook.active["XFD1048576"] = "0"
    save(folder, workbook)
    code = "import sys; from riskmodel.tables import check_tables; print(check_tables(sys.argv[1]).text())"
    limit = 6 << 30

    def bounded():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, preexec_fn=bounded
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert (
        "[far_cell]" in done.stdout
        and "Sheet!XFD1048576" in done.stdout
        and "delete the rows and columns" in done.stdout
    )


@pytest.mark.parametrize("address", ["F60000", "XFD3", "ZZ60000"])
def test_a_cell_far_down_or_far_to_the_right_is_named_and_the_table_is_read_without_it(folder, address):
    workbook = leads()
    workbook.active[address] = "x"
    save(folder, workbook)
    assert f"!{address}" in error(folder, "far_cell").found
    save(folder, leads())
    assert read_tables(folder)["leads"].height == 3


def test_a_far_cell_of_another_sheet_is_not_even_looked_at(folder):
    workbook = leads()
    workbook.active.title = "leads"
    workbook.create_sheet("solver")["XFD1048576"] = 1
    save(folder, workbook)
    assert check_tables(folder).ok


def test_a_row_beside_the_table_is_a_row_that_is_named(folder):
    """A remark to the right of the table, in a row of its own, is a row with something in it, as in a CSV of
    the same sheet.
    """
    workbook = leads()
    workbook.active["H9"] = "填表人：某某"
    save(folder, workbook)
    report = check_tables(folder)
    assert {finding.check for finding in report.errors} == {"missing_value"}
    assert {finding.rows for finding in report.errors} == {(9,)}
    one = next(table for table in report.tables if table.table == "leads")
    assert (one.read, one.used, one.refused, one.empty) == (8, 3, 1, 4)


def test_rows_without_addresses_and_with_a_prefix_are_counted(folder):
    """Some writers leave the addresses of cells out; some put a prefix before each element."""
    path = save(folder, leads())
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    text = parts["xl/worksheets/sheet1.xml"].decode()
    text = re.sub(r'<c r="[A-Z]+\d+"', "<c", re.sub(r'<row r="\d+"', "<row", text))
    parts["xl/worksheets/sheet1.xml"] = text.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    assert read_tables(folder)["leads"].height == 3


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 no workbook",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an older form, or a password",
        b"event_id,known_on\n",
    ],
)
def test_a_file_that_is_no_workbook_is_refused(folder, content):
    (folder / "leads.xlsx").write_bytes(content)
    assert "without a password" in error(folder, "truncated_file").remedy


def test_a_damaged_sheet_is_refused(folder):
    path = save(folder, leads())
    change_xml(path, "</sheetData>", "")
    assert "damaged" in error(folder, "truncated_file").found


def test_rows_with_such_cells_can_be_set_aside(folder, tmp_path):
    workbook = leads()
    workbook.active["F3"].value, workbook.active["F3"].data_type = "#N/A", "e"
    save(folder, workbook)
    with pytest.raises(DataError, match="F3"):
        read_tables(folder)
    aside = quarantine(folder, tmp_path / "aside")
    assert aside.tables["leads"].height == 2 and aside.refused == {"leads": 1}


def test_letters_of_columns():
    assert [letters_of(number) for number in (1, 26, 27, 702, 703, 16384)] == [
        "A",
        "Z",
        "AA",
        "ZZ",
        "AAA",
        "XFD",
    ]


def sheet_of(path, *, gaps=False, formats=False, merged=False):
    """A workbook as another writer writes it: shared texts, numbers, cells with a format and nothing in
    them.
    """
    workbook = xlsxwriter.Workbook(path)
    sheet = workbook.add_worksheet("Sheet")
    plain = workbook.add_format({"num_format": "0.00"})
    for number in range(30):
        sheet.write_row(number, 0, [f"L{number}", "H", number, 1.5])
    if gaps:
        sheet.write(40, 7, "x")
        sheet.write(60, 1, 5)
    if formats:
        sheet.write_blank(2, 25, None, plain)
        sheet.write_blank(70, 0, None, plain)
        sheet.set_row(80, 40)
    if merged:
        sheet.merge_range("F2:F3", "both", plain)
        sheet.merge_range("G4:H4", "both", plain)
    workbook.close()


@pytest.mark.parametrize("writer", ["xlsxwriter", "openpyxl"])
@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"gaps": True},
        {"formats": True},
        {"merged": True},
        {"gaps": True, "formats": True, "merged": True},
    ],
)
def test_the_quick_look_at_a_sheet_sees_what_the_walk_over_its_cells_sees(tmp_path, writer, flags):
    path = tmp_path / "a.xlsx"
    sheet_of(path, **flags)
    if writer == "openpyxl":
        openpyxl.load_workbook(path).save(path)  # which writes texts into the cells
    book = Workbook("a.xlsx", path.read_bytes())
    xml = book.book.archive.read(book.sheets["Sheet"])
    quick, walk = quick_marks(xml), book._walk("Sheet", only_whether_filled=False)
    assert quick is not None
    assert {row: last for row, (_, last) in quick.filled.items()} == {
        row: last for row, (_, last) in walk.filled.items()
    }
    assert (quick.columns, quick.cells, sorted(map(str, quick.merged))) == (
        walk.columns,
        walk.cells,
        sorted(map(str, walk.merged)),
    )


@pytest.mark.parametrize("unusual", ["error", "formula", "blank", "quotes"])
def test_a_sheet_that_is_written_otherwise_is_looked_at_cell_by_cell(folder, unusual):
    workbook = leads()
    if unusual == "error":
        workbook.active["F3"].value, workbook.active["F3"].data_type = "#N/A", "e"
    if unusual == "formula":
        workbook.active["F3"] = "=1+1"
    if unusual == "blank":
        workbook.active["A9"] = "\u3000"
    path = save(folder, workbook)
    if unusual == "quotes":
        change_xml(path, '<row r="3"', "<row r='3'")
    book = Workbook("leads.xlsx", path.read_bytes())
    assert quick_marks(book.book.archive.read(book.sheets["Sheet"])) is None
    assert set(book.marks("Sheet").filled) == {1, 2, 3, 4}
