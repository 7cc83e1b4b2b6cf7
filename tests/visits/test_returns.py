"""Filled files row by row: what is accepted, what is refused and why; a row on each side of every limit."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import openpyxl
import pytest

from riskmodel.errors import DataError
from riskmodel.settings import ScreeningSettings
from riskmodel.visits import returns
from riskmodel.visits.filled import FilledFile, FilledRow, read_filled
from riskmodel.visits.forms import FILL
from riskmodel.visits.returns import OpenList, judge

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
    with pytest.raises(DataError, match=r"cycle 2025-11, list aaaaaaaaaaaa.*the newest is of cycle 2026-01"):
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
    assert {name: row.cells[name] for name in ("household_id", "visited_on", "outcome", "visitor", "note")} == {
        "household_id": "h001", "visited_on": "2026-02-05", "outcome": "no_risk", "visitor": "3", "note": "=1",
    }  # fmt: skip
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
        "户编号": False, "村": True, "走访日期": False, "核实结果": False, "风险一": False, "风险二": False, "风险三": False,
        "与理由不符": False, "走访组": False, "备注": False,
    }  # fmt: skip
