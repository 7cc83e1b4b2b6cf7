"""The cells of a workbook within bounds: what is kept, what is named, and what is refused before it is
unpacked.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile

import openpyxl
import pytest

from riskmodel.errors import DataError
from riskmodel.tables import check_tables
from riskmodel.tables.xlsx import CellFault, WorkbookBounds, address, is_date_format, read_workbook

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def saved(book):
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def with_sheet(content, xml):
    """The workbook with other XML for its first sheet."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, xml if part.filename.endswith("sheet1.xml") else old.read(part))
    return out.getvalue()


def test_every_kind_of_cell_is_what_a_person_sees():
    book = openpyxl.Workbook()
    sheet = book.active
    sheet["A1"], sheet["B1"], sheet["C1"] = "文字", 5, True
    sheet["A2"], sheet["B2"] = dt.date(2026, 1, 9), dt.datetime(2026, 1, 9, 14, 30)
    sheet["A3"], sheet["B3"], sheet["C3"] = "=1+1", "  ", None
    sheet["D4"] = "#N/A"
    sheet["D4"].data_type = "e"
    sheet.merge_cells("A6:B7")
    found = read_workbook("x", saved(book))["Sheet"]
    assert found.rows[1] == {1: "文字", 2: 5.0, 3: True}
    assert found.rows[2] == {1: dt.datetime(2026, 1, 9), 2: dt.datetime(2026, 1, 9, 14, 30)}
    assert found.rows[3] == {1: CellFault()} and found.rows[4] == {4: CellFault("#N/A")}
    assert [str(area) for area in found.merged] == ["A6:B7"]


def test_rows_and_cells_without_addresses_prefixes_rich_text_and_readings_are_read():
    """As other programs write them: LibreOffice, WPS, POI."""
    xml = f"""<x:worksheet xmlns:x="{MAIN}"><x:sheetData>
      <x:row><x:c t="inlineStr"><x:is><x:r><x:t>走</x:t></x:r><x:r><x:t>访</x:t></x:r>
         <x:rPh><x:t>zou</x:t></x:rPh></x:is></x:c>
      <x:c><x:v>1.50</x:v></x:c></x:row>
      <x:row r="9"><x:c r="C9" t="str"><x:f>A1</x:f><x:v></x:v></x:c>
         <x:c r="D9" t="str"><x:f>A1</x:f><x:v>a_x000A_b</x:v></x:c></x:row>
      </x:sheetData></x:worksheet>"""
    found = read_workbook("x", with_sheet(saved(openpyxl.Workbook()), xml))["Sheet"]
    assert found.rows == {1: {1: "走访", 2: 1.5}, 9: {4: "a\nb"}}


def test_a_far_cell_costs_one_cell():
    book = openpyxl.Workbook()
    book.active["XFD1048576"] = "x"
    assert read_workbook("x", saved(book))["Sheet"].rows == {1_048_576: {16_384: "x"}}


@pytest.mark.parametrize(
    ("number", "code", "date"),
    [
        (14, None, True),
        (0, None, False),
        (31, None, True),
        (164, 'yyyy"年"m"月"d"日"', True),
        (165, "[$-804]h:mm", True),
        (166, "#,##0.00_);[Red](#,##0.00)", False),
        (167, "General", False),
        (168, '0.00"d"', False),
        (169, "[h]:mm", True),
        (170, "@", False),
    ],
)
def test_a_number_format_shows_dates_or_not(number, code, date):
    assert is_date_format(number, code) is date


def test_a_cell_that_occurs_twice_or_lies_outside_the_sheet_is_damage():
    for cells in ('<c r="A1"><v>1</v></c><c r="A1"><v>2</v></c>', '<c r="ZZZ1"><v>1</v></c>'):
        xml = f'<worksheet xmlns="{MAIN}"><sheetData><row r="1">{cells}</row></sheetData></worksheet>'
        with pytest.raises(DataError, match="a damaged workbook"):
            read_workbook("x", with_sheet(saved(openpyxl.Workbook()), xml))


def test_entities_are_refused_by_name():
    xml = f'<!DOCTYPE a [<!ENTITY b "c">]><worksheet xmlns="{MAIN}"><sheetData/></worksheet>'
    with pytest.raises(DataError, match="a document type declaration"):
        read_workbook("x", with_sheet(saved(openpyxl.Workbook()), xml))


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        (WorkbookBounds(file_bytes=1000), "bytes; expected at most 1,000 bytes"),
        (WorkbookBounds(members=3), "an archive of too many parts"),
        (WorkbookBounds(unpacked_bytes=2000), "parts that unpack to more"),
        (WorkbookBounds(cells=99), "more filled cells"),
    ],
)
def test_each_bound_is_held_and_said(bounds, found):
    book = openpyxl.Workbook()
    for row in range(1, 101):
        book.active.cell(row, 1).value = row
    with pytest.raises(DataError, match=found):
        read_workbook("x", saved(book), bounds)


def test_a_part_that_is_larger_than_its_entry_says_is_cut_off_while_it_is_unpacked():
    """The sizes in the archive's directory are claims; what is unpacked is counted as well."""
    xml = f'<worksheet xmlns="{MAIN}"><sheetData>{"<row/>" * 400_000}</sheetData></worksheet>'.encode()
    content = bytearray(with_sheet(saved(openpyxl.Workbook()), xml))
    size = len(xml).to_bytes(4, "little")
    small = (1000).to_bytes(4, "little")
    while size in content:
        content[content.index(size) : content.index(size) + 4] = small
    with pytest.raises(DataError):
        read_workbook("x", bytes(content), WorkbookBounds(unpacked_bytes=200_000))


def test_a_text_longer_than_a_cell_can_hold_is_refused():
    xml = (
        f'<worksheet xmlns="{MAIN}"><sheetData><row><c '
        f't="inlineStr"><is><t>{"a" * 40_000}</t></is></c></row></sheetData></worksheet>'
    )
    with pytest.raises(DataError, match="a cell of 40,000 characters"):
        read_workbook("x", with_sheet(saved(openpyxl.Workbook()), xml))


def test_addresses_are_written_as_the_spreadsheet_does():
    assert [address(1, 1), address(7, 28), address(1_048_576, 16_384)] == ["A1", "AB7", "XFD1048576"]


def test_a_table_that_unpacks_to_much_more_is_refused_before_it_is_unpacked(tmp_path):
    """The reader of tables opens its archives by the same bounds."""
    rows = "".join(f'<row r="{row}">{"<c/>" * 500}</row>' for row in range(1, 10_001))
    xml = f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    (tmp_path / "households.xlsx").write_bytes(with_sheet(saved(openpyxl.Workbook()), xml))
    assert (tmp_path / "households.xlsx").stat().st_size < 300_000
    assert "a part that unpacks to" in check_tables(tmp_path).text()
