"""Files for visitors: what stands in them, what is locked, what is harmless, and that they can be opened by a
real spreadsheet.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import shutil
import subprocess
import zipfile

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskmodel.errors import UserError
from riskmodel.settings import RandomChecks, ScreeningSettings, WorkbookSettings
from riskmodel.visits.forms import FILL, READ, as_written, choices, harmless
from riskmodel.visits.listing import screening_list
from riskmodel.visits.workbook import excel_bytes, write_excel, write_excels
from riskmodel.visits.writers import write_list
from riskmodel.vocabulary import SIGNAL_ZH

AS_OF = dt.date(2025, 12, 31)
SHEET = "核实清单"


@pytest.fixture
def visits(small_county, falling):
    leads = [
        {"household_id": "h030", "occurred_on": "2025-12-01", "channel": "self_declared", "topic": "=1+2"},
        {"household_id": "h031", "occurred_on": "2025-12-01", "channel": "cadre", "topic": "＝cmd"},
        {"household_id": "h003", "occurred_on": "2025-12-01", "channel": "cadre"},
    ]
    monitored = {
        "household_id": "h003",
        "occurred_on": "2025-01-01",
        "origin": "sweep",
        "outcome": "risk_confirmed",
    }
    return screening_list(
        falling(60), small_county(60, leads=leads, verifications=[monitored]), AS_OF, capacity=20
    )


def open_(content):
    return openpyxl.load_workbook(io.BytesIO(content))


def headings(sheet):
    return {str(cell.value).split("\n")[0]: cell.column for cell in sheet[3]}


def test_the_same_list_gives_the_same_bytes(visits, tmp_path):
    assert excel_bytes(visits) == excel_bytes(visits)
    assert (
        write_list(visits, tmp_path / "a.csv").read_bytes()
        == write_list(visits, tmp_path / "b.csv").read_bytes()
    )
    assert (
        write_list(visits, tmp_path / "a.html").read_bytes()
        == write_list(visits, tmp_path / "b.html").read_bytes()
    )


def test_the_same_inputs_in_another_order_give_the_same_bytes(small_county, falling, tmp_path):
    """Tables and scores as they come another day: other row order, a list made from the start."""
    import random

    leads = [
        {"household_id": f"h{n:03d}", "occurred_on": "2025-12-01", "channel": "cadre"} for n in (31, 7, 50)
    ]
    scores = falling(60)
    scores.loc[5:20, "margin"] = scores.loc[5, "margin"]  # many equal scores, through which the list cuts
    order = list(range(60))
    random.Random(3).shuffle(order)
    first = screening_list(scores, small_county(60, leads=leads), AS_OF, capacity=20)
    shuffled = scores.iloc[order].reset_index(drop=True)
    leads = [lead | {"event_id": f"leads{place:03d}"} for place, lead in enumerate(leads)][::-1]
    again = screening_list(shuffled, small_county(60, leads=leads), AS_OF, capacity=20)
    assert excel_bytes(first) == excel_bytes(again)
    for ending in ("csv", "html"):
        names = [write_list(visits, tmp_path / f"{n}.{ending}") for n, visits in enumerate((first, again))]
        assert names[0].read_bytes() == names[1].read_bytes()


def test_what_a_begun_row_still_lacks_is_coloured(visits):
    """By plain formulas that every spreadsheet knows; the words are those of the drop-down."""
    sheet = open_(excel_bytes(visits))[SHEET]
    rules = {str(area.sqref): rule.formula[0] for area in sheet.conditional_formatting for rule in area.rules}
    last = 3 + len(visits)
    outcome = choices(visits.settings, "zh")["outcome"]["risk_confirmed"]
    assert rules == {
        f"K4:K{last}": 'AND($L4<>"",$K4="")',
        f"L4:L{last}": 'AND($K4<>"",$L4="")',
        f"M4:M{last}": f'AND($L4="{outcome}",$M4="",$N4="",$O4="")',
    }


def test_microsoft_excel_would_take_the_file(visits):
    """What can be checked without it: validations under 255 characters and from ranges of a sheet, no
    formulas, names within its limits.
    """
    book = open_(excel_bytes(visits))
    for sheet in book:
        assert len(sheet.title) <= 31 and not re.search(r"[\\[\]:*?/]", sheet.title)
        for rule in sheet.data_validations.dataValidation:
            assert (
                len(str(rule.formula1)) < 255
                and len(rule.errorTitle or "") <= 32
                and len(rule.error or "") <= 255
            )
            assert rule.type != "list" or re.fullmatch(r"'?_codes'?!\$[ABC]\$1:\$[ABC]\$\d+", rule.formula1)
        for row in sheet.iter_rows():
            assert not any(cell.data_type == "f" or len(str(cell.value or "")) > 32767 for cell in row)
    parts = zipfile.ZipFile(io.BytesIO(excel_bytes(visits))).namelist()
    assert not [name for name in parts if name.endswith((".bin", ".vml")) or "external" in name.lower()]


def test_every_household_of_the_list_stands_in_route_order(visits):
    sheet = open_(excel_bytes(visits))[SHEET]
    place = headings(sheet)["户编号"]
    names = [sheet.cell(row, place).value for row in range(4, 4 + len(visits))]
    assert names == visits.route["household_id"].to_list()


def test_headings_are_in_both_languages_and_the_header_is_frozen_filtered_and_repeated(visits):
    sheet = open_(excel_bytes(visits))[SHEET]
    assert [cell.value for cell in sheet[3]] == [column.heading for column in (*READ, *FILL)]
    assert sheet.freeze_panes == "E4" and sheet.auto_filter.ref.startswith("A3:")
    assert sheet.print_title_rows == "$3:$3"


def test_it_prints_on_a4_landscape_with_the_sentence_on_every_page(visits):
    for name in (SHEET, "说明 Notes", "监测对象 Monitored"):
        sheet = open_(excel_bytes(visits))[name]
        assert sheet.page_setup.orientation == "landscape" and int(sheet.page_setup.paperSize) == 9
        assert (
            sheet.sheet_properties.pageSetUpPr.fitToPage and sheet.page_setup.fitToHeight == 0
        )  # one page wide
        assert SIGNAL_ZH in sheet.oddHeader.center.text and SIGNAL_ZH in sheet.oddFooter.left.text


def test_only_the_visit_form_can_be_written_in(visits):
    sheet = open_(excel_bytes(visits))[SHEET]
    assert sheet.protection.sheet
    for place, column in enumerate((*READ, *FILL), start=1):
        assert sheet.cell(4, place).protection.locked is not column.fill, column.name


def test_drop_downs_hold_outcomes_risk_kinds_and_disagreements(visits):
    book = open_(excel_bytes(visits))
    lists = {rule.formula1 for rule in book[SHEET].data_validations.dataValidation if rule.type == "list"}
    assert {rule.replace("'", "") for rule in lists} == {
        "_codes!$A$1:$A$4",
        "_codes!$B$1:$B$11",
        "_codes!$C$1:$C$1",
    }
    column = [cell.value for cell in book["_codes"]["A"] if cell.value]
    assert column == list(choices(visits.settings, "zh")["outcome"].values())
    assert book["_codes"].sheet_state == "veryHidden"


def test_the_hidden_technical_sheet_ties_the_file_to_its_list(visits):
    sheet = open_(excel_bytes(visits))["_riskmodel"]
    assert sheet.sheet_state == "veryHidden"
    written = {row[0].value: row[1].value for row in sheet.iter_rows()}
    assert written["cycle"] == "2026-01" and written["as_of"] == "2025-12-31"
    assert written["list_hash"] == visits.hash and written["model_version"] == "ab12cd34"


def test_nothing_in_the_file_says_who_was_drawn_by_chance(visits):
    content = zipfile.ZipFile(io.BytesIO(excel_bytes(visits)))
    text = "".join(content.read(name).decode() for name in content.namelist() if name.endswith(".xml"))
    assert not re.search("random|抽查|inclusion|stratum", text)


def test_probability_is_a_plain_number_and_dates_are_dates(visits):
    sheet = open_(excel_bytes(visits))[SHEET]
    cell = sheet.cell(4, headings(sheet)["概率"])
    assert isinstance(cell.value, float) and 0 <= cell.value <= 1 and cell.number_format == "0.000"


def test_a_township_gets_its_own_workbook_with_its_own_households(visits, tmp_path):
    paths = write_excels(visits, tmp_path / "lists")
    townships = visits.rows["township_code"].unique().sort().to_list()
    assert [path.name for path in paths] == [
        "2026-01-522301.xlsx",
        *(f"2026-01-{code}.xlsx" for code in townships),
    ]
    sheet = openpyxl.load_workbook(paths[1])[SHEET]
    villages = [sheet.cell(row, headings(sheet)["村"]).value for row in range(4, sheet.max_row + 1)]
    assert {code[:9] for code in villages if code} == {townships[0]}
    assert "监测对象 Monitored" not in openpyxl.load_workbook(paths[1]).sheetnames


def test_a_township_without_visits_is_named(visits, tmp_path):
    with pytest.raises(UserError, match="522301999"):
        write_excel(visits, tmp_path / "x.xlsx", township="522301999")


def test_formulas_stay_texts_in_every_file(small_county, falling, tmp_path):
    """An id, a reason and a topic that a spreadsheet would run."""
    scores = falling(10)
    scores["reasons_zh"] = '=HYPERLINK("http://x")'
    scores["reasons_en"] = "@SUM(1)"
    visits = screening_list(scores, small_county(10), AS_OF, capacity=4)
    sheet = open_(excel_bytes(visits))[SHEET]
    cell = sheet.cell(4, headings(sheet)["主要理由"])
    assert cell.data_type == "s" and cell.value.startswith("'=")
    rows = list(csv.DictReader(io.StringIO(write_list(visits, tmp_path / "x.csv").read_text("utf-8-sig"))))
    assert rows[0]["reasons"].startswith("'=")
    assert "<script" not in write_list(visits, tmp_path / "x.html").read_text()


@given(st.text(alphabet="=+-@＝＋－＠\t\r\n '\u3000ab1中", max_size=12))
def test_no_text_begins_like_a_formula_and_none_is_lost(text):
    safe = harmless(text)
    assert not safe.lstrip(" \u3000\n").startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r"))
    assert as_written(safe) == text or text.startswith("'")


def test_the_english_workbook_speaks_english(small_county, falling):
    settings = ScreeningSettings(
        workbook=WorkbookSettings(language="en"), random_checks=RandomChecks(share=0)
    )
    visits = screening_list(falling(10), small_county(10), AS_OF, capacity=3, settings=settings)
    sheet = open_(excel_bytes(visits))[SHEET]
    assert sheet.cell(4, headings(sheet)["优先级"]).value in {"red", "orange", "yellow", "none"}
    assert "yuan" in sheet.cell(4, headings(sheet)["主要理由"]).value


def test_the_printable_page_asks_nothing_from_outside(visits, tmp_path):
    page = write_list(visits, tmp_path / "x.html").read_text()
    assert SIGNAL_ZH in page and "http" not in page and "src=" not in page and "<script" not in page


def test_a_file_is_whole_or_not_there(visits, tmp_path, monkeypatch):
    path = tmp_path / "list.xlsx"
    write_excel(visits, path)
    before = path.read_bytes()
    monkeypatch.setattr(
        "os.replace", lambda *names: (_ for _ in ()).throw(OSError("no space left on device"))
    )
    with pytest.raises(UserError, match=r"list\.xlsx: the disk is full"):
        write_excel(visits, path)
    assert path.read_bytes() == before and [item.name for item in tmp_path.iterdir()] == ["list.xlsx"]


def test_libreoffice_prints_every_page_with_the_sentence(visits, tmp_path, needs):
    needs(shutil.which("soffice") and shutil.which("pdftotext"), "LibreOffice with pdftotext")
    write_excel(visits, tmp_path / "list.xlsx")
    command = [
        "soffice",
        f"-env:UserInstallation=file://{tmp_path}/office",
        "--headless",
        "--convert-to",
        "pdf",
    ]
    subprocess.run(
        [*command, "--outdir", str(tmp_path), str(tmp_path / "list.xlsx")],
        check=True,
        capture_output=True,
        timeout=180,
    )
    pages = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "list.pdf"), "-"], check=True, capture_output=True
    ).stdout
    texts = pages.decode().split("\f")[:-1]
    assert len(texts) >= 3
    assert all(text.count(SIGNAL_ZH) >= 2 for text in texts)


def test_the_ending_decides_the_form_and_another_one_is_refused_by_name(visits, tmp_path):
    assert write_list(visits, tmp_path / "a.XLSX").read_bytes() == excel_bytes(visits)
    with pytest.raises(UserError, match=r"the ending \.docx; expected a file that ends in \.xlsx, \.csv"):
        write_list(visits, tmp_path / "a.docx")
    assert not (tmp_path / "a.docx").exists()
