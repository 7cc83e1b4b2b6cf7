"""Filled files row by row: what is accepted, what is refused and why; a row on each side of every limit."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import FrozenInstanceError
from pathlib import Path

import openpyxl
import pytest

from riskmodel.errors import DataError
from riskmodel.settings import ScreeningSettings
from riskmodel.visits import returns
from riskmodel.visits.filled import FilledFile, FilledRow, read_filled
from riskmodel.visits.forms import FILL
from riskmodel.visits.returns import OpenList, Refusal, judge

AS_OF = dt.date(2025, 12, 31)
TODAY = dt.date(2026, 1, 25)
LIST = "f" * 64
SETTINGS = ScreeningSettings()
GOOD = {"household_id": "h001", "visited_on": "2026-01-05", "outcome": "no_risk", "visitor": "3"}


def open_list(**changes):
    return OpenList(
        **{
            "list_hash": LIST,
            "cycle": "2026-01",
            "as_of": AS_OF,
            "closed": False,
            "households": frozenset({"h001", "h002"}),
            **changes,
        }
    )


def file_of(*rows, technical=None, list_hash=LIST, first=2):
    filled = [FilledRow(line, list_hash, cells) for line, cells in enumerate(rows, first)]
    return FilledFile(
        Path("filled.xlsx"), tuple(filled), technical or {"list_hash": LIST, "cycle": "2026-01"}, "0"
    )


def judged(*rows, known=None, **more):
    lists = {LIST: open_list()} if known is None else known
    return judge(file_of(*rows, **more), lists, SETTINGS, TODAY)


def reasons(**changes):
    """The English reasons for which a good row with these changes is refused; none when it is accepted."""
    answer = judged({**GOOD, **changes})
    return [en for refusal in answer.refused for _, en in refusal.reasons]


def test_a_good_row_is_accepted_with_all_it_says():
    [result] = judged(
        {
            **GOOD,
            "outcome": "risk_confirmed",
            "risk_1": "因病",
            "risk_2": "illness",
            "risk_3": "education",
            "note": "病后欠债",
        }
    ).accepted
    assert (result.line, result.household_id, result.visited_on, result.outcome) == (
        2,
        "h001",
        dt.date(2026, 1, 5),
        "risk_confirmed",
    )
    assert result.risk_kinds == "illness;education"  # one kind in two languages is one kind
    assert (result.visitor, result.note, result.disagreement) == ("3", "病后欠债", "")


# When a visit can have been made.


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2025-12-30", "before the list's as-of date"),
        ("2025-12-31", None),
        ("2026-01-25", None),
        ("2026-01-26", "after today"),
        ("", "is no date"),
        ("gestern", "is no date"),
    ],
)
def test_a_visit_lies_between_the_as_of_date_and_today_both_included(day, words):
    found = reasons(visited_on=day)
    assert found == [] if words is None else (len(found) == 1 and words in found[0])


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-31", "2026-01-31"),
        ("2026/1/5", "2026-01-05"),
        ("2026.1.5", "2026-01-05"),
        ("2026年1月31日", "2026-01-31"),
        ("2026 年 1 月 31 日", "2026-01-31"),
        ("２０２６－０１－３１", "2026-01-31"),
        ("2026-01-31 00:00:00", "2026-01-31"),
        ("2026-01-31 0:00", "2026-01-31"),
        ("2026-01-31 08:30", None),
        ("2026-02-29", None),
        ("2026-13-01", None),
        ("31.1.2026", None),
        ("20260131", "2026-01-31"),
        ("20991231", "2099-12-31"),
        ("20260229", None),
        ("20261301", None),
        ("19991231", None),  # visits lie in this century
        ("202601310", None),
        ("46022", "2025-12-31"),  # Excel counts days from 1899-12-30
        ("46023", "2026-01-01"),
        ("30000", "1982-02-18"),
        ("29999", None),  # a small number is no day
        ("69999", "2091-08-24"),
        ("70000", None),
        ("4602", None),
        ("460222", None),
    ],
)
def test_a_date_is_read_as_spreadsheets_write_it_or_not_at_all(text, day):
    assert returns._day(text) == (None if day is None else dt.date.fromisoformat(day))


# What belongs together.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outcome": "risk_confirmed"}, "give at least one risk kind"),
        ({"outcome": "risk_confirmed", "risk_3": "因病"}, None),
        ({"outcome": "no_risk", "risk_2": "因病"}, "no risk was found"),
        ({"outcome": "unreachable", "risk_1": "因病"}, "no risk was found"),
        ({"outcome": "unreachable"}, None),
        ({"outcome": "risk_eliminated"}, None),
        ({"outcome": "risk_eliminated", "risk_1": "因病"}, None),
        ({"outcome": ""}, "Outcome is missing"),
        ({"outcome": "好"}, "'好' is not one of"),
        ({"outcome": "ｎｏ＿ｒｉｓｋ"}, None),  # full-width forms
        ({"disagreement": "other"}, None),
        ({"disagreement": "nonsense"}, "Disagrees: 'nonsense' is not one of"),
        ({"household_id": "h003"}, "household h003 is not on this list"),
        ({"household_id": ""}, "household (empty) is not on this list"),
    ],
)
def test_each_rule_of_the_form_from_both_sides(changes, words):
    found = reasons(**changes)
    assert found == [] if words is None else (len(found) == 1 and words in found[0])


@pytest.mark.parametrize(
    ("cells", "kinds"),
    [
        ({"risk_1": "因病、因学"}, "illness;education"),
        ({"risk_2": "因病;education / 因灾"}, "illness;education;disaster"),
        ({"risk_1": "因病、"}, "illness"),
        ({"risk_1": "因病", "risk_2": "因病，因学"}, "illness;education"),
    ],
)
def test_several_risk_kinds_in_one_cell_are_taken_one_by_one(cells, kinds):
    [result] = judged({**GOOD, "outcome": "risk_confirmed", **cells}).accepted
    assert result.risk_kinds == kinds


@pytest.mark.parametrize("cell", ["因病、头痛", "头痛、因病", "头痛", "、"])
def test_a_cell_with_one_unknown_risk_kind_is_refused_as_it_was_written(cell):
    [text] = reasons(outcome="risk_confirmed", risk_1=cell)
    assert text.startswith(f"Risk 1: {cell!r} is not one of illness, ")


@pytest.mark.parametrize(
    ("more", "refused"), [("", False), ("因病", False), ("因残", True)], ids=["three", "one twice", "four"]
)
def test_a_visit_finds_three_risk_kinds_at_most(more, refused):
    found = reasons(outcome="risk_confirmed", risk_1="因病、因学、因灾", risk_2=more)
    assert found == (["at most 3 risk kinds"] if refused else [])


def test_a_risk_kind_that_is_not_in_the_list_is_one_fault_and_not_two():
    assert [text.split(":")[0] for text in reasons(outcome="risk_confirmed", risk_1="头痛")] == ["Risk 1"]


@pytest.mark.parametrize(("length", "refused"), [(500, False), (501, True)])
def test_a_note_has_five_hundred_characters_at_most(length, refused):
    found = reasons(note="看" * length)
    assert (found == ["the note is longer than 500 characters"]) is refused


@pytest.mark.parametrize(
    ("team", "words"),
    [
        ("第" * 40, None),
        ("A" * 41, "team: more than 40 characters"),
        ("13812345678", "no name or number of a person"),
        ("", "its code is missing"),
        (" 3 ", None),
    ],
)
def test_a_team_is_a_short_code(team, words):
    found = reasons(visitor=team)
    assert found == [] if words is None else (len(found) == 1 and words in found[0])


@pytest.mark.parametrize(("place", "named"), [(19, True), (20, False)])
def test_a_team_that_is_not_among_the_known_ones_is_refused_with_the_first_twenty_of_them(place, named):
    known = [f"team-{number:02d}" for number in range(21)]
    settings = SETTINGS.model_copy(update={"teams": tuple(known)})
    [refusal] = judge(file_of({**GOOD, "visitor": "甲" * 41}), {LIST: open_list()}, settings, TODAY).refused
    [(zh, en)] = refusal.reasons
    assert zh.startswith(f"走访组“{'甲' * 40}”不在名单中（team-00、") and zh.endswith("、team-19）")
    assert en.startswith(f"team: {'甲' * 40!r} is not one of team-00, ") and en.endswith(", team-19")
    assert (known[place] in zh and known[place] in en) is named


@pytest.mark.parametrize("note", ["电话13812345678", "身份证11010519491231002X"])
def test_a_note_that_says_who_somebody_is_is_refused(note):
    assert reasons(note=note) == ["the note holds a name, an identity or a phone number: delete it"]


@pytest.mark.parametrize(
    ("household", "said"), [("6.5E+12", True), ("6E12", True), ("6.5", False), ("h9", False), ("E12", False)]
)
def test_an_id_that_a_spreadsheet_turned_into_a_number_is_recognised(household, said):
    [refusal] = judged({**GOOD, "household_id": household}).refused
    assert ("科学记数" in refusal.reasons[0][0]) is said


# Rows that repeat or contradict each other, empty rows, foreign lists, closed cycles.


def test_the_same_row_twice_is_refused_once_with_the_place_of_the_first():
    answer = judged(GOOD, GOOD)
    assert len(answer.accepted) == 1 and [en for _, en in answer.refused[0].reasons] == ["the same as row 2"]


def test_chinese_reasons_name_the_same_place_value_and_words_as_the_english_ones():
    other = {**GOOD, "outcome": "unreachable"}
    assert judged(GOOD, GOOD).refused[0].reasons[0][0] == "与第2行重复"
    assert judged(GOOD, other).refused[0].reasons[0][0] == "与第2行是同一户同一走访组，结果不同"
    assert judged({**GOOD, "visited_on": "下周"}).refused[0].reasons == (
        ("走访日期“下周”不是日期，应写作 2026-01-31", "visited on: '下周' is no date such as 2026-01-31"),
    )
    assert judged({**GOOD, "visited_on": ""}).refused[0].reasons[0][0].startswith("走访日期“空”不是日期")
    assert judged({**GOOD, "household_id": "h9"}).refused[0].reasons[0][0] == "户编号 h9 不在本清单"
    assert judged({**GOOD, "household_id": ""}).refused[0].reasons[0][0] == "户编号 （空） 不在本清单"
    foreign = judged(GOOD, list_hash="0123456789abcdef", technical={}).refused[0].reasons
    assert foreign[0][0] == "清单 0123456789ab 不是本项目发出的"
    assert judged(GOOD, list_hash="", technical={}).refused[0].reasons[0][0] == "清单 （空） 不是本项目发出的"
    # Chinese words only, each once: codes and English words stand in the English reason.
    assert judged({**GOOD, "outcome": "好"}).refused[0].reasons == (
        (
            (
                "核实结果“好”不在选项中（存在风险，建议纳入监测程序、未发现风险、风险已消除、未能见到、"
                "纳入监测、无风险、风险消除、未能联系）"
            ),
            "Outcome: '好' is not one of risk_confirmed, no_risk, risk_eliminated, unreachable",
        ),
    )


def test_a_row_that_is_refused_does_not_stand_in_the_way_of_a_later_one_of_the_same_household():
    answer = judged({**GOOD, "note": "电话13812345678"}, {**GOOD, "outcome": "unreachable"})
    assert [item.line for item in answer.accepted] == [3] and [item.row.line for item in answer.refused] == [
        2
    ]


def test_two_results_of_one_household_and_team_contradict_and_of_two_teams_do_not():
    other = {**GOOD, "outcome": "unreachable"}
    assert [en for _, en in judged(GOOD, other).refused[0].reasons] == [
        "another result of the same household and team stands in row 2"
    ]
    assert len(judged(GOOD, {**other, "visitor": "4"}).accepted) == 2
    assert len(judged(GOOD, {**GOOD, "household_id": "h002"}).accepted) == 2


@pytest.mark.parametrize("filled", [column.name for column in FILL])
def test_a_row_is_empty_until_one_cell_of_the_form_is_filled(filled):
    printed = {"household_id": "h001", "number": "1", "grade": "橙"}
    assert judged(printed).empty == 1
    assert judged({**printed, filled: "x"}).empty == 0


def test_empty_rows_are_counted_and_the_rows_after_them_are_judged():
    answer = judged({"household_id": "h001"}, {"household_id": "h002"}, GOOD)
    assert answer.empty == 2 and [item.line for item in answer.accepted] == [4] and answer.refused == ()


def test_a_row_of_a_list_that_was_not_given_out_here_is_refused():
    answer = judged(GOOD, list_hash="a" * 64, technical={})
    assert [en for _, en in answer.refused[0].reasons] == [
        "list aaaaaaaaaaaa was not given out by this project"
    ]
    answer = judged(GOOD, list_hash="", technical={})
    assert [en for _, en in answer.refused[0].reasons] == ["list (empty) was not given out by this project"]


def test_a_workbook_of_a_list_that_nobody_knows_is_refused_as_a_whole():
    with pytest.raises(
        DataError, match=r"cycle 2025-11, list aaaaaaaaaaaa\).*the newest is of cycle 2026-01"
    ):
        judged(GOOD, technical={"list_hash": "a" * 64, "cycle": "2025-11"})


def test_a_closed_cycle_takes_nothing_but_what_it_has_already():
    [result] = judged(GOOD).accepted
    known = {LIST: open_list(closed=True, recorded=frozenset({result.content}))}
    assert len(judged(GOOD, known=known).accepted) == 1
    [refusal] = judged({**GOOD, "outcome": "unreachable"}, known=known).refused
    assert [en for _, en in refusal.reasons] == ["cycle 2026-01 is closed"]
    [refusal] = judged({**GOOD, "outcome": "好", "visited_on": "gestern"}, known=known).refused
    assert refusal.reasons[0][1] == "cycle 2026-01 is closed" and len(refusal.reasons) == 3


# The way back.


def test_refused_rows_come_back_as_a_workbook_that_can_be_handed_in_again(tmp_path):
    wrong = {**GOOD, "visited_on": "2026/2/5", "village_code": "522301100201", "note": "=1"}
    [refusal] = judged(wrong).refused
    path = tmp_path / "returned.xlsx"
    path.write_bytes(returns.returned_bytes([refusal, refusal], SETTINGS))
    [row, second] = read_filled(path).rows
    assert row.list_hash == LIST and row.line == 2 and second.line == 3
    assert {
        name: row.cells[name] for name in ("household_id", "visited_on", "outcome", "visitor", "note")
    } == {
        "household_id": "h001",
        "visited_on": "2026-02-05",
        "outcome": "no_risk",
        "visitor": "3",
        "note": "=1",
    }
    sheet = openpyxl.load_workbook(io.BytesIO(path.read_bytes()))["退回 Returned"]
    assert sheet.cell(2, 1).value == "2" and "after today" in sheet.cell(2, 2).value
    assert isinstance(
        sheet.cell(2, 5).value, dt.datetime
    )  # a date again, so that the correction of another cell does not change it
    assert sheet.freeze_panes == "D2" and sheet.protection.sheet
    assert sheet.column_dimensions["M"].hidden and sheet.cell(1, 13).value == "list_hash"
    locked = {
        sheet.cell(1, place).value.split("\n")[0]: sheet.cell(2, place).protection.locked
        for place in range(3, 13)
    }
    assert locked == {
        "户编号": False,
        "村": True,
        "走访日期": False,
        "核实结果": False,
        "风险一": False,
        "风险二": False,
        "风险三": False,
        "与理由不符": False,
        "走访组": False,
        "备注": False,
    }


def returned(*refusals):
    """The sheet of returned rows, read back."""
    book = openpyxl.load_workbook(io.BytesIO(returns.returned_bytes(refusals, SETTINGS)))
    return book, book["退回 Returned"]


def refusal_of(*why, **row):
    cells = {"household_id": "h001"} | row.pop("cells", {})
    return Refusal(FilledRow(2, LIST, cells, **row), tuple(why))


@pytest.mark.parametrize(
    ("why", "height"),
    [
        ([("一", "one")], 34.0),  # 2 lines of 14.5 points, and 5
        ([("一", "one"), ("二", "two")], 63.0),
        ([("一", "x" * 59)], 34.0),
        ([("一", "x" * 60)], 48.5),  # a line holds 59 letters in a column of 60
        ([("一", "x" * 59 * 26)], 396.5),  # 27 lines
        ([("一", "x" * 59 * 27)], 400.0),  # 28 lines would be 411: Excel takes 409 points at most
    ],
)
def test_a_returned_row_is_as_high_as_its_reasons_need(why, height):
    _, sheet = returned(refusal_of(*why))
    # the file holds whole pixels of 0.75 points
    assert sheet.row_dimensions[2].height == pytest.approx(height, abs=0.5)
    assert sheet.row_dimensions[1].height == 33.0


@pytest.mark.parametrize(("length", "kept"), [(1999, 1999), (2000, 2000), (2001, 2000)])
def test_a_row_whose_cells_cannot_be_told_apart_comes_back_with_what_was_written(length, kept):
    _, sheet = returned(refusal_of(("坏", "bad"), raw="y" * length), refusal_of(("坏", "bad")))
    assert sheet.cell(2, 2).value == (
        "坏\nbad\n原填内容，请分格重填 As written, fill it in again:\n" + "y" * kept
    )
    assert sheet.cell(3, 2).value == "坏\nbad"


def test_the_returned_sheet_says_by_colour_and_width_where_to_write():
    _, sheet = returned(refusal_of(("坏", "bad")))
    colour = {place: sheet.cell(1, place).fill.fgColor.rgb for place in range(1, 13)}
    read, written = colour[1], colour[3]
    assert read != written
    assert [place for place in colour if colour[place] == read] == [1, 2, 4]  # row, reasons, village
    assert [place for place in colour if colour[place] == written] == [3, *range(5, 13)]
    # The reasons are the widest; what is written has 4 characters more than in the list. G stands for the
    # three risk columns; 5/7 is the edge that the file adds.
    widths = [sheet.column_dimensions[letter].width - 5 / 7 for letter in "ABCDEFGJKL"]
    assert widths == pytest.approx([7, 60, 14, 16.5, 15.5, 15, 12, 15.5, 12, 17], abs=0.2)


def test_the_returned_sheet_can_be_filtered_and_prints_its_headings_on_every_page():
    book, sheet = returned(*[refusal_of(("坏", "bad"))] * 3)
    assert sheet.auto_filter.ref == "A1:L4" and sheet.print_title_rows == "$1:$1"
    # in the file a 0 says that the protected sheet allows it
    protection = sheet.protection
    allowed = ("autoFilter", "sort", "formatColumns", "formatRows")
    assert [name for name in allowed if getattr(protection, name)] == []
    assert protection.insertRows and protection.deleteRows
    assert sheet.sheet_view.showGridLines is False
    lists = {str(rule.sqref): rule.type for rule in sheet.data_validations.dataValidation}
    assert lists == {f"{letter}2:{letter}4": "list" for letter in "FGHIJ"}
    assert book.views[0].windowWidth == 36_000 and book.views[0].windowHeight == 21_000  # 1/20 point


def test_the_returned_workbook_holds_no_time_no_formula_and_no_temporary_file(monkeypatch):
    import tempfile

    def refused(*_, **__):
        raise AssertionError("what people filled in is written to a temporary file")

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    book, sheet = returned(
        refusal_of(
            ("坏", "bad"), cells={"note": "=1+1", "visitor": "http://example.org", "visited_on": "上周"}
        )
    )
    assert book.properties.created == dt.datetime(2000, 1, 1)
    assert {cell.data_type for row in sheet.iter_rows(min_row=2) for cell in row} <= {"s", "n"}
    assert sheet.cell(2, 12).hyperlink is None and sheet.cell(2, 11).hyperlink is None


def test_a_date_that_nobody_can_read_stands_in_a_cell_for_dates_again():
    _, sheet = returned(refusal_of(("坏", "bad"), cells={"visited_on": "上周", "outcome": "好"}))
    assert sheet.cell(2, 5).value == "上周" and sheet.cell(2, 5).number_format == "yyyy-mm-dd"
    assert sheet.cell(2, 6).number_format != "yyyy-mm-dd" != sheet.cell(2, 4).number_format


def test_the_returned_workbook_is_recognised_by_its_hidden_sheet(tmp_path):
    path = tmp_path / "returned.xlsx"
    path.write_bytes(returns.returned_bytes([refusal_of(("坏", "bad"))], SETTINGS))
    assert read_filled(path).technical == {"form": "1"}


# What was judged.


def test_results_and_refusals_are_not_changed_afterwards():
    answer = judged(GOOD, {**GOOD, "outcome": "好"})
    for item, name in [
        (answer, "empty"),
        (answer.accepted[0], "note"),
        (answer.refused[0], "reasons"),
        (open_list(), "closed"),
    ]:
        with pytest.raises(FrozenInstanceError):
            setattr(item, name, None)


def test_a_list_shown_in_a_log_names_no_household():
    shown = repr(open_list(recorded=frozenset({"c0ffee"})))
    assert "2026-01" in shown and "h001" not in shown and "c0ffee" not in shown
