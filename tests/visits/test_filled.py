"""Filled lists come back whole: every row of the file is accepted, refused with its reason, or empty; and
none is lost in silence.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import zipfile

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.styles import PatternFill

from riskmodel.errors import DataError
from riskmodel.settings import Quotas, ScreeningSettings
from riskmodel.visits.filled import read_filled
from riskmodel.visits.forms import FILL, READ
from riskmodel.visits.listing import screening_list
from riskmodel.visits.returns import OpenList, judge, returned_bytes
from riskmodel.visits.workbook import RETURNED, SHEET, STANDBY, write_csv, write_excel

AS_OF = dt.date(2025, 12, 31)
TODAY = dt.date(2026, 1, 25)
NONE, FOUND = "未发现风险", "存在风险，建议纳入监测程序"
PLACE = {column.name: at for at, column in enumerate((*READ, *FILL), start=1)}
HEADING = {column.name: column.zh for column in (*READ, *FILL)}
SETTINGS = ScreeningSettings()
TEXT = st.text(
    st.sampled_from("家中有老人，,;\"'\n\r\t 　=＝+-@ab1\u202c\u200e\ufeff#N/A"), min_size=0, max_size=12
)


@pytest.fixture(scope="module")
def visits(make_county, make_falling):
    rules = {"rule_dropout": {f"h{number:03d}": float(number % 3 == 0) for number in range(40)}}
    return screening_list(make_falling(40, **rules), make_county(40), AS_OF, capacity=12)


def known(visits, today=TODAY, closed=False):
    households = frozenset(visits.rows["household_id"].to_list())
    return {visits.hash: OpenList(visits.hash, visits.cycle, visits.as_of, closed, households)}


def judged(visits, path, settings=SETTINGS):
    """What became of a file; the sum is checked here for every test that asks."""
    filled = read_filled(path)
    done = judge(filled, known(visits), settings, TODAY)
    assert len(done.accepted) + len(done.refused) + done.empty == len(filled.rows)
    assert len(filled.rows) + filled.blank == filled.read
    return done


def why(done):
    return "\n".join(en for refusal in done.refused for _, en in refusal.reasons)


def fine(**more):
    return {"visited_on": dt.date(2026, 1, 5), "outcome": NONE, "visitor": "1组", **more}


def workbook(visits, path, rows=(), change=None, sheet=SHEET):
    """The list's workbook with rows filled in, {row of the list: {column: value}}, and `change(book)` before
    it is saved.
    """
    write_excel(visits, path)
    book = openpyxl.load_workbook(path)
    for row, cells in dict(rows).items():
        for name, value in cells.items():
            book[sheet].cell(row + 3, PLACE[name]).value = value
    if change:
        change(book)
    book.save(path)
    return path


def table(visits, path):
    """The rows of the list's CSV, heading first."""
    write_csv(visits, path)
    return list(csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline="")))


def text_of(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def filled_csv(visits, path, rows):
    """The list's CSV with rows filled in, {row of the list: {column: text}}; as rows of cells."""
    cells = table(visits, path)
    for row, texts in rows.items():
        for name, text in texts.items():
            cells[row][cells[0].index(name)] = text
    return cells


DONE = {"visited_on": "2026-01-05", "outcome": "no_risk", "visitor": "1组"}


# The workbook


def test_results_of_both_sheets_are_taken(visits, tmp_path):
    assert visits.standby.height > 3
    path = workbook(visits, tmp_path / "a.xlsx", {1: fine()})
    book = openpyxl.load_workbook(path)
    book[STANDBY].cell(4, PLACE["outcome"]).value = NONE
    book[STANDBY].cell(4, PLACE["visited_on"]).value = dt.datetime(2026, 1, 6)
    book[STANDBY].cell(4, PLACE["visitor"]).value = "２ 组"
    book.save(path)
    done = judged(visits, path)
    assert [(one.visited_on.day, one.visitor) for one in done.accepted] == [(5, "1组"), (6, "2 组")]
    assert done.empty == visits.rows.height - 2


@pytest.mark.parametrize("sheet", [SHEET, STANDBY])
@pytest.mark.parametrize("name", ["outcome", "note", "household_id", "visited_on"])
def test_a_renamed_heading_of_one_sheet_refuses_the_file_by_sheet_and_heading(visits, tmp_path, sheet, name):
    def rename(book):
        book[sheet].cell(3, PLACE[name]).value = f"{HEADING[name]}（必填）"

    path = workbook(visits, tmp_path / "a.xlsx", {1: fine()}, rename)
    with pytest.raises(DataError, match=f"sheet {sheet}, row 3: no heading {HEADING[name]}"):
        read_filled(path)


def test_a_deleted_column_refuses_the_file(visits, tmp_path):
    path = workbook(
        visits, tmp_path / "a.xlsx", {1: fine()}, lambda book: book[SHEET].delete_cols(PLACE["risk_3"])
    )
    with pytest.raises(DataError, match="no heading 风险三"):
        read_filled(path)


def test_a_doubled_heading_refuses_the_file(visits, tmp_path):
    def double(book):
        book[SHEET].cell(3, PLACE["note"] + 1).value = "备注\nNote"

    with pytest.raises(DataError, match="the heading 备注 occurs twice"):
        read_filled(workbook(visits, tmp_path / "a.xlsx", {1: fine()}, double))


def test_without_any_headings_the_sheet_is_named(visits, tmp_path):
    with pytest.raises(DataError, match=f"sheet {SHEET}: no row with the form's headings"):
        read_filled(workbook(visits, tmp_path / "a.xlsx", change=lambda book: book[SHEET].delete_rows(3)))


def test_merged_cells_of_the_form_are_named_in_each_of_their_rows(visits, tmp_path):
    def merge(book):
        letter = openpyxl.utils.get_column_letter(PLACE["visitor"])
        book[SHEET].merge_cells(f"{letter}4:{letter}6")

    path = workbook(visits, tmp_path / "a.xlsx", {row: fine() for row in (1, 2, 3, 4)}, merge)
    done = judged(visits, path)
    assert [refusal.row.line for refusal in done.refused] == [4, 5, 6] and len(done.accepted) == 1
    assert "走访组" in done.refused[1].reasons[0][0] and ":Q6 are merged" in why(done)


def test_merged_titles_above_the_headings_are_nobodys_business(visits, tmp_path):
    path = workbook(visits, tmp_path / "a.xlsx", {1: fine()}, lambda book: book[SHEET].merge_cells("A1:H1"))
    assert len(judged(visits, path).accepted) == 1


@pytest.mark.parametrize("name", ["outcome", "visited_on", "note", "household_id"])
def test_an_error_cell_is_named_and_its_row_is_not_taken_for_empty(visits, tmp_path, name):
    path = workbook(visits, tmp_path / "a.xlsx", {1: {name: "#N/A"}})
    book = openpyxl.load_workbook(path)
    book[SHEET].cell(4, PLACE[name]).data_type = "e"
    book.save(path)
    done = judged(visits, path)
    letter = openpyxl.utils.get_column_letter(PLACE[name])
    assert f"(cell {letter}4) is the error #N/A" in why(done) and len(done.refused) == 1


def test_a_formula_without_its_result_is_named(visits, tmp_path):
    path = workbook(visits, tmp_path / "a.xlsx", {1: fine() | {"visited_on": "=TODAY()"}})
    assert "is a formula without a stored result" in why(judged(visits, path))


def test_a_cell_in_the_last_row_and_column_is_named_and_the_others_are_taken(visits, tmp_path):
    """Laid out as a rectangle the sheet would ask for 549 GB."""

    def stray(book):
        book[SHEET]["XFD1048576"].value = "x"

    done = judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine()}, stray))
    assert len(done.accepted) == 1 and "cell XFD1048576 lies outside the form's columns" in why(done)


def test_a_remark_beside_the_table_sends_its_row_back(visits, tmp_path):
    def remark(book):
        book[SHEET].cell(4, PLACE["note"] + 2).value = "下周再来"

    done = judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine()}, remark))
    assert not done.accepted and "move what it says into the note" in why(done)


def test_a_column_and_a_sheet_of_ones_own_are_said_and_not_read(visits, tmp_path):
    def add(book):
        book[SHEET].cell(3, PLACE["note"] + 1).value = "联系情况"
        book[SHEET].cell(4, PLACE["note"] + 1).value = "已约"
        book.create_sheet("草稿")["A1"].value = "x"

    path = workbook(visits, tmp_path / "a.xlsx", {1: fine()}, add)
    assert len(judged(visits, path).accepted) == 1
    said = sorted(en for _, en in read_filled(path).notes)
    assert (
        len(said) == 2
        and "column `联系情况` is not part of the form; 1 cells" in said[0]
        and "`草稿`" in said[1]
    )


def test_lines_above_and_below_the_table_do_not_count_as_households(visits, tmp_path):
    def around(book):
        book[SHEET].insert_rows(1, 2)
        book[SHEET]["A1"].value, book[SHEET]["C1"].value = "填报单位", "甲村"
        book[SHEET].cell(book[SHEET].max_row + 2, 1).value = "填表人签字"

    path = workbook(visits, tmp_path / "a.xlsx", {1: fine()}, around)
    done = judged(visits, path)
    assert len(done.accepted) == 1 and read_filled(path).blank == 1


def test_a_cell_of_blanks_and_signs_that_nobody_sees_is_empty(visits, tmp_path):
    path = workbook(visits, tmp_path / "a.xlsx", {1: {"note": " 　\u200b"}})
    assert judged(visits, path).empty == visits.rows.height


def test_what_a_chat_puts_around_a_text_is_taken_off(visits, tmp_path):
    name = visits.route["household_id"][0]
    given = fine(household_id=f"\u202a{name}\u202c", outcome=f"\u200e{NONE}\u200f", note="\ufeff已外出\u00ad")
    done = judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: given}))
    assert [(one.household_id, one.note) for one in done.accepted] == [(name, "已外出")]


def test_an_old_xls_or_a_password_is_said(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 600)
    with pytest.raises(DataError, match=r"an old \.xls workbook, or one with a password"):
        read_filled(tmp_path / "a.xlsx")
    (tmp_path / "a.xls").write_bytes(b"x")
    with pytest.raises(DataError, match=r"save it as \.xlsx"):
        read_filled(tmp_path / "a.xls")


# CSV


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_a_filled_csv_is_taken_in_either_encoding_with_rare_characters(visits, tmp_path, encoding):
    rows = filled_csv(visits, tmp_path / "a.csv", {1: DONE | {"note": "䶮山村㙍𠮷"}})
    (tmp_path / "a.csv").write_bytes(text_of(rows).encode(encoding))
    assert [one.note for one in judged(visits, tmp_path / "a.csv").accepted] == ["䶮山村㙍𠮷"]


def test_an_open_quotation_mark_in_a_note_is_found_although_the_row_has_all_its_cells(visits, tmp_path):
    """The note of row 1 begins with a mark and that of row 2 ends with one: every reader takes row 2 for a
    part of the note of row 1.
    """
    rows = filled_csv(visits, tmp_path / "a.csv", {1: DONE | {"note": "X1X"}, 2: DONE | {"note": "X2X"}})
    for row in rows[1:]:
        for name in ("reasons", "because", "check"):
            row[rows[0].index(name)] = "理由"
    text = text_of(rows).replace("X1X", '"家中有老人').replace("X2X", '需复访"')
    (tmp_path / "a.csv").write_text(text, "utf-8", newline="")
    swallowed = list(csv.reader(io.StringIO(text, newline="")))
    assert len(swallowed) == len(rows) - 1 and {len(row) for row in swallowed} == {len(rows[0])}
    with pytest.raises(DataError, match=r"a\.csv:2: a quotation mark that is not closed in its row"):
        read_filled(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("note", "found"),
    [
        ('"家中有老人', "a quotation mark"),
        ('"家中"有老人', "goes on behind the next one"),
        ('家中有"老人', "a single quotation mark inside a cell"),
    ],
)
def test_a_stray_quotation_mark_refuses_the_file_and_says_the_line(visits, tmp_path, note, found):
    rows = filled_csv(visits, tmp_path / "a.csv", {3: DONE | {"note": "XX"}})
    text = text_of(rows).replace("XX", note)
    (tmp_path / "a.csv").write_text(text, "utf-8", newline="")
    line = len(re.findall("\r\n|\n", text[: text.index(note)])) + 1
    with pytest.raises(DataError) as error:
        read_filled(tmp_path / "a.csv")
    said = str(error.value)
    assert found in said and "Nothing of the file was taken in" in said
    begun = int(re.search(r"a\.csv:(\d+)", said)[1])
    assert begun <= line


def test_two_quotation_marks_within_a_cell_are_part_of_the_note(visits, tmp_path):
    rows = filled_csv(visits, tmp_path / "a.csv", {1: DONE | {"note": "XX"}})
    (tmp_path / "a.csv").write_text(text_of(rows).replace("XX", '他说"很好"，'), "utf-8", newline="")
    assert judged(visits, tmp_path / "a.csv").accepted[0].note == '他说"很好"，'


@pytest.mark.parametrize(
    ("column", "text"), [("note", "家中有老人,需复访"), ("visitor", "1组,2组"), ("reasons", "a,b")]
)
def test_a_comma_without_quotation_marks_sends_the_row_back_with_what_was_written(
    visits, tmp_path, column, text
):
    rows = filled_csv(visits, tmp_path / "a.csv", {1: DONE | {"note": "真的备注"} | {column: "XX"}, 2: DONE})
    (tmp_path / "a.csv").write_text(text_of(rows).replace("XX", text), "utf-8", newline="")
    done = judged(visits, tmp_path / "a.csv")
    assert len(done.accepted) == 1 and len(done.refused) == 1
    assert f"{len(rows[0]) + 1} cells, where the heading has {len(rows[0])}" in why(done)
    (tmp_path / "r.xlsx").write_bytes(returned_bytes(done.refused, SETTINGS))
    sheet = openpyxl.load_workbook(tmp_path / "r.xlsx")[RETURNED]
    assert "2026-01-05" in sheet.cell(2, 2).value and (
        column == "note" or "真的备注" in sheet.cell(2, 2).value
    )
    assert sheet.cell(2, 3).value == visits.route["household_id"][0]
    assert not any(sheet.cell(2, place).value for place in range(5, 13)), (
        "no cell may stand in a wrong column"
    )


def test_a_short_row_comes_back_and_blank_cells_behind_the_last_heading_do_no_harm(visits, tmp_path):
    rows = filled_csv(visits, tmp_path / "a.csv", {1: DONE, 2: DONE})
    rows[1] = rows[1][:-2]
    rows[2] += ["", ""]
    (tmp_path / "a.csv").write_text(text_of(rows), "utf-8", newline="")
    done = judged(visits, tmp_path / "a.csv")
    assert [refusal.row.line for refusal in done.refused] == [2] and len(done.accepted) == 1
    assert "the row is cut" in why(done)


@pytest.mark.parametrize("name", ["note", "household_id", "reasons"])
def test_a_heading_that_occurs_twice_refuses_the_file(visits, tmp_path, name):
    rows = [[*row, "x"] for row in filled_csv(visits, tmp_path / "a.csv", {1: DONE})]
    rows[0][-1] = name
    (tmp_path / "a.csv").write_text(text_of(rows), "utf-8", newline="")
    with pytest.raises(DataError, match=r"a\.csv:1: the heading .* occurs twice"):
        read_filled(tmp_path / "a.csv")


def test_line_ends_of_an_old_macintosh_a_title_and_a_heading_over_two_lines_are_read(visits, tmp_path):
    rows = filled_csv(visits, tmp_path / "a.csv", {1: DONE})
    rows[0][rows[0].index("note")] = "备注\nNote"
    text = text_of([["填报单位", "甲村"], *rows]).replace("\r\n", "\r")
    (tmp_path / "a.csv").write_text(text, "utf-8", newline="")
    assert len(judged(visits, tmp_path / "a.csv").accepted) == 1


def test_semicolons_instead_of_commas_are_said(visits, tmp_path):
    rows = filled_csv(visits, tmp_path / "a.csv", {1: DONE})
    (tmp_path / "a.csv").write_text("\n".join(";".join(row).replace("\n", " ") for row in rows), "utf-8")
    with pytest.raises(DataError, match="Save it with commas"):
        read_filled(tmp_path / "a.csv")


# What a cell may say


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-09",
        "2026/1/9",
        "2026/1/9 0:00",
        "2026/1/9 0:00:00",
        "2026年1月9日",
        "2026年01月09日 00:00:00",
        "2026.1.9",
        "2026-1-9",
        "20260109",
        "２０２６－０１－０９",
        "2026-01-09T00:00:00",
        "46031",
    ],
)
def test_a_day_is_read_in_every_form_that_spreadsheets_write(visits, tmp_path, text):
    done = judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine(visited_on=text)}))
    assert [one.visited_on for one in done.accepted] == [dt.date(2026, 1, 9)], why(done)


@pytest.mark.parametrize(
    "text", ["2026-01-09 14:30", "9999-12-31", "2026-02-30", "1月9日", "202601", "0000-00-00"]
)
def test_what_is_no_day_of_a_visit_comes_back(visits, tmp_path, text):
    assert not judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine(visited_on=text)})).accepted


@pytest.mark.parametrize("text", ["因病、因残", "因病，因残", "illness; disability", "因病/因残"])
def test_several_kinds_in_one_cell_are_read(visits, tmp_path, text):
    done = judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine(outcome=FOUND, risk_1=text)}))
    assert [one.risk_kinds for one in done.accepted] == ["illness;disability"], why(done)


def test_more_than_three_kinds_come_back(visits, tmp_path):
    given = fine(outcome=FOUND, risk_1="因病、因残、因学", risk_2="因灾")
    assert "at most 3 risk kinds" in why(judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: given})))


@pytest.mark.parametrize("text", ["", "　", "\u200b"])
def test_a_team_is_needed(visits, tmp_path, text):
    done = judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine(visitor=text)}))
    assert "team: its code is missing" in why(done)


@pytest.mark.parametrize("text", ["张三", "王小明", "１３８１２３４５６７８", "欧阳修"])
def test_a_person_is_no_team(visits, tmp_path, text):
    done = judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine(visitor=text)}))
    assert "no name or number of a person" in why(done) and not done.accepted


@pytest.mark.parametrize("text", ["1组", "王庄村", "T2", "石坝组", "2"])
def test_codes_and_places_are_teams(visits, tmp_path, text):
    assert (
        judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine(visitor=text)})).accepted[0].visitor
        == text
    )


@pytest.mark.parametrize(
    ("text", "code"), [("t2", "T2"), ("Ｔ２", "T2"), (" T 2 ", "T2"), ("第一组", "第一组"), ("T3", None)]
)
def test_where_teams_are_named_another_one_comes_back_and_writing_makes_no_difference(
    visits, tmp_path, text, code
):
    named = ScreeningSettings(teams=("T2",), quotas=Quotas(teams={"522301101": "第一组"}))
    done = judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine(visitor=text)}), named)
    assert [one.visitor for one in done.accepted] == ([code] if code else [])
    assert code or "'T3' is not one of T2, 第一组" in why(done)


@pytest.mark.parametrize(
    "note", ["户主：张三", "电话138 1234 5678", "身份证５２２３０１１９７００１０１１２３Ｘ"]
)
def test_a_name_or_number_in_a_note_comes_back(visits, tmp_path, note):
    done = judged(visits, workbook(visits, tmp_path / "a.xlsx", {1: fine(note=note)}))
    assert "the note holds a name, an identity or a phone number" in why(done) and not done.accepted


def test_one_team_written_in_two_ways_contradicts_itself_in_a_file(visits, tmp_path):
    name = visits.route["household_id"][0]
    rows = {1: fine(visitor="T2"), 2: fine(visitor="ｔ2 ", household_id=name, outcome=FOUND, risk_1="因病")}
    assert "another result of the same household and team" in why(
        judged(visits, workbook(visits, tmp_path / "a.xlsx", rows))
    )


# No file is too large to be refused in words


def test_half_a_megabyte_that_unpacks_to_much_more_is_refused_before_it_is_unpacked(visits, tmp_path):
    path = workbook(visits, tmp_path / "a.xlsx", {1: fine()})
    sheet = (
        "<worksheet "
        'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
    )
    cells = "".join(f'<row r="{row}">{"<c/>" * 500}</row>' for row in range(1, 30_001))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            content = sheet.format(cells).encode() if part.filename.endswith("sheet1.xml") else old.read(part)
            new.writestr(part.filename, content)
    assert (tmp_path / "b.xlsx").stat().st_size < 600_000
    with pytest.raises(DataError, match=r"a part that unpacks to [\d,]+ times its size"):
        read_filled(tmp_path / "b.xlsx")


# Whatever is done to a file: the sum holds, and what is stored is what was written


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    notes=st.lists(TEXT, min_size=4, max_size=4),
    cut=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 25)), max_size=2),
    extra=st.lists(st.tuples(st.integers(1, 12), TEXT), max_size=2),
    torn=st.lists(
        st.tuples(st.integers(0, 4000), st.sampled_from(['"', ",", "\n", "\r", '""', ""])), max_size=3
    ),
)
def test_of_a_mutated_csv_no_row_is_lost_and_no_note_is_another_ones(
    visits, tmp_path, notes, cut, extra, torn
):
    rows = filled_csv(
        visits,
        tmp_path / "a.csv",
        {place: DONE | {"note": note} for place, note in enumerate(notes, start=1)},
    )
    for row, width in cut:
        rows[row] = rows[row][:width]
    for row, text in extra:
        rows[row] = [*rows[row], text]
    text = text_of(rows)
    for place, sign in torn:
        at = place % (len(text) + 1)
        text = text[:at] + sign + text[at + (not sign) :]
    (tmp_path / "b.csv").write_bytes(text.encode("utf-8-sig"))
    hashes = len(re.findall(visits.hash, text))
    try:
        done = judged(visits, tmp_path / "b.csv")
    except DataError as error:
        done, said = None, str(error)
    if done is None:
        assert "b.csv" in said
        return
    seen = [row for refusal in done.refused for row in (refusal.row,)] + list(done.accepted)
    assert done.empty + len(seen) >= hashes, "each row of the list is accepted, refused or empty"
    assert not any(visits.hash in one.note for one in done.accepted), "no note holds another household's row"
    if not torn:
        written = {visits.route["household_id"][place]: note for place, note in enumerate(notes)}
        for one in done.accepted:
            assert one.note.split() == re.sub(
                "[\u202c\u200e\ufeff]", " ", written[one.household_id]
            ).split() or (set("\u202c\u200e\ufeff'") & set(written[one.household_id]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    notes=st.lists(TEXT.filter(lambda text: "\r" not in text), min_size=3, max_size=3),
    broken=st.sets(st.sampled_from(["merge", "error", "formula", "far", "remark", "rename", "blank"])),
    row=st.integers(4, 12),
    column=st.sampled_from([*PLACE]),
)
def test_of_a_mutated_workbook_no_row_is_lost(given_out, visits, tmp_path, notes, broken, row, column):
    book = openpyxl.load_workbook(io.BytesIO(given_out))
    sheet = book[SHEET]
    for place, note in enumerate(notes, start=4):
        for name, value in fine(note=note).items():
            sheet.cell(place, PLACE[name]).value = value
            sheet.cell(place, PLACE[name]).data_type = (
                "s" if name == "note" else sheet.cell(place, PLACE[name]).data_type
            )
    letter = openpyxl.utils.get_column_letter(PLACE[column])
    if "merge" in broken:
        sheet.merge_cells(f"{letter}{row}:{letter}{row + 2}")
    if "error" in broken and "merge" not in broken:
        sheet.cell(row, PLACE[column]).value = "#REF!"
        sheet.cell(row, PLACE[column]).data_type = "e"
    if "formula" in broken:
        sheet.cell(row + 4, PLACE["outcome"]).value = "=A1"
    if "far" in broken:
        sheet["XFD1048576"].value = "x"
    if "remark" in broken:
        sheet.cell(row, PLACE["note"] + 3).value = "见附页"
    if "blank" in broken:
        sheet.cell(300, 40).fill = PatternFill("solid", fgColor="FF0000")
    if "rename" in broken:
        sheet.cell(3, PLACE[column]).value = "别的"
    (tmp_path / "m.xlsx").unlink(missing_ok=True)
    book.save(tmp_path / "m.xlsx")
    # The second road: the rows with any value, as openpyxl sees them.
    counted = sum(
        any(cell.value is not None for cell in cells)
        for name in (SHEET, STANDBY)
        for cells in (
            openpyxl.load_workbook(tmp_path / "m.xlsx")[name].iter_rows(min_row=4, max_row=400)
            if "far" not in broken
            else []
        )
    )
    try:
        done = judged(visits, tmp_path / "m.xlsx")
    except DataError as error:
        done, said = None, str(error)
    if done is None:
        assert "rename" in broken and HEADING[column] in said
        return
    total = len(done.accepted) + len(done.refused) + done.empty + read_filled(tmp_path / "m.xlsx").blank
    assert "far" in broken or total == counted
    assert total >= visits.rows.height
    for name, line in (("formula", row + 4), ("remark", row), ("far", 1_048_576)):
        if name in broken:
            assert line in {refusal.row.line for refusal in done.refused if refusal.row.sheet in ("", SHEET)}


@pytest.fixture(scope="module")
def given_out(visits, tmp_path_factory):
    return write_excel(visits, tmp_path_factory.mktemp("out") / "list.xlsx").read_bytes()
