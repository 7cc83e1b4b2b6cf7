"""The way back: each row is taken in or comes back with its reason, and the same file twice changes
nothing.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import shutil

import openpyxl
import polars as pl
import pytest

from riskmodel.casebook import Casebook, next_list, record
from riskmodel.errors import DataError, UserError
from riskmodel.project import Project
from riskmodel.settings import load_settings
from riskmodel.tables import from_frames
from riskmodel.visits.listing import screening_list
from riskmodel.visits.workbook import write_excel
from riskmodel.visits.writers import write_list

AS_OF = dt.date(2025, 12, 31)
TODAY = dt.date(2026, 1, 25)
SHEET = "核实清单"
PLACES = ("走访日期", "核实结果", "风险一", "风险二", "风险三", "与理由不符", "走访组", "备注")


def county(households=40):
    numbers = range(households)
    names = [f"h{number:03d}" for number in numbers]
    townships = [f"52230110{1 + number % 4}" for number in numbers]
    flags = ("chronic_ill", "seriously_ill", "dibao", "tekun")
    return from_frames(
        {
            "households": pl.DataFrame(
                {
                    "household_id": names,
                    "known_on": [dt.date(2022, 1, 1)] * households,
                    "county_code": ["522301"] * households,
                    "township_code": townships,
                    "village_code": [code + "201" for code in townships],
                    "category": ["general"] * households,
                    "relocated": [False] * households,
                }
            ),
            "members": pl.DataFrame(
                {
                    "member_id": [f"m{number:03d}" for number in numbers],
                    "known_on": [dt.date(2022, 1, 1)] * households,
                    "household_id": names,
                    "birth_date": [dt.date(1970, 1, 1)] * households,
                    "sex": ["male"] * households,
                    "relation": ["head"] * households,
                    "education": ["primary"] * households,
                    "schooling": ["none"] * households,
                    "labour": ["ordinary"] * households,
                    "medical_insured": [True] * households,
                    "pension_insured": [True] * households,
                }
                | {flag: [False] * households for flag in flags}
            ),
        }
    )


def scores(as_of=AS_OF, households=40):
    return pl.DataFrame(
        {
            "household_id": [f"h{number:03d}" for number in range(households)],
            "margin": [3.0 - 0.1 * number for number in range(households)],
            "probability": [0.5 / (1 + number) for number in range(households)],
            "as_of": [as_of] * households,
            "reasons_zh": ["近12个月自付医疗费23,400元"] * households,
            "reasons_en": ["Self-paid medical cost of 23,400 yuan in 12 months"] * households,
            "risk_kinds": ["illness"] * households,
            "model_version": ["ab12cd34"] * households,
        }
    )


@pytest.fixture
def own(project, tmp_path) -> Project:
    """A project that holds its settings only, so that each test has a casebook of its own."""
    (tmp_path / "project" / "serving").mkdir(parents=True)
    shutil.copy(project.root / "serving" / "screening.yaml", tmp_path / "project" / "serving")
    return Project(tmp_path / "project")


@pytest.fixture
def visits(own):
    return next_list(own, scores(), county(), AS_OF, capacity=10, issue=True)


def fill(visits, path, rows, **kind):
    """Write the list's workbook and fill rows of it: {row of the list: {heading: value}}."""
    write_excel(visits, path, **kind)
    book = openpyxl.load_workbook(path)
    sheet = book[SHEET]
    place = {str(cell.value).split("\n")[0]: cell.column for cell in sheet[3]}
    for row, cells in rows.items():
        for name, value in ({"走访组": "1组"} | cells).items():
            sheet.cell(row + 3, place[name]).value = value
    book.save(path)
    return path


def fine(day="2026-01-05", outcome="未发现风险", **more):
    return {"走访日期": dt.date.fromisoformat(day), "核实结果": outcome, "走访组": "1组", **more}


def found(**more):
    return fine(outcome="存在风险，建议纳入监测程序", 风险一="因病", **more)


def household(visits, row):
    return visits.route["household_id"][row - 1]


def test_results_become_verifications_with_their_origin(own, visits, tmp_path):
    rows = {1: fine(), 2: found(风险二="缺劳动力"), 3: fine(outcome="未能见到")}
    said = record(own, fill(visits, tmp_path / "a.xlsx", rows), today=TODAY)
    assert (said.accepted, said.open, said.refused) == (3, 7, ())
    table = Casebook.of(own).verifications().sort("household_id")
    by_name = {row["household_id"]: row for row in table.iter_rows(named=True)}
    two = by_name[household(visits, 2)]
    assert two["outcome"] == "risk_confirmed" and two["risk_kinds"] == "illness;labour"
    assert two["occurred_on"] == dt.date(2026, 1, 5) and two["known_on"] == TODAY
    origins = dict(visits.rows.select("household_id", "listed_as").iter_rows())
    for name, row in by_name.items():
        assert row["origin"] == ("random_check" if origins[name] == "random_check" else "screening")


def test_the_same_file_twice_changes_nothing(own, visits, tmp_path):
    path = fill(visits, tmp_path / "a.xlsx", {1: fine(), 2: found(走访组="3")})
    record(own, path, today=TODAY)
    before = Casebook.of(own).verifications(), Casebook.of(own).audit_head()
    again = record(own, path, today=dt.date(2026, 1, 26))
    assert (again.accepted, again.unchanged) == (0, 2)
    after = Casebook.of(own).verifications(), Casebook.of(own).audit_head()
    assert before[0].equals(after[0]) and before[1] == after[1]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"核实结果": "未发现风险"}, "no date such as 2026-01-31"),
        (fine() | {"走访日期": "昨天"}, "no date such as 2026-01-31"),
        (fine("2026-01-26"), "after today"),
        (fine("2025-12-30"), "before the list's as-of date"),
        (fine(outcome="好"), "'好' is not one of risk_confirmed"),
        ({"走访日期": dt.date(2026, 1, 5)}, "Outcome is missing"),
        (fine(outcome="存在风险，建议纳入监测程序"), "give at least one risk kind"),
        (fine(风险一="因病"), "no risk was found"),
        (found(风险二="懒"), "'懒' is not one of illness"),
        (fine(与理由不符="随便"), "'随便' is not one of remittances"),
        (fine(备注="电话13812345678"), "an identity or a phone number"),
        (fine(备注="５２２３０１１９７００１０１１２３Ｘ"), "an identity or a phone number"),
        (fine(备注="长" * 501), "longer than 500"),
        (fine(户编号="h999"), "household h999 is not on this list"),
        (fine(户编号="3.30102E+17"), "is not on this list"),
    ],
)
def test_a_row_that_cannot_be_taken_comes_back_with_its_reason(own, visits, tmp_path, cells, message):
    said = record(own, fill(visits, tmp_path / "a.xlsx", {1: cells, 2: fine()}), today=TODAY)
    assert said.accepted == 1 and len(said.refused) == 1
    assert message in said.text()
    sheet = openpyxl.load_workbook(said.returned).worksheets[0]
    assert message in sheet.cell(2, 2).value and sheet.cell(2, 1).value == "4"
    assert len(Casebook.of(own).verifications()) == 1


def test_every_reason_of_a_row_is_told_at_once(own, visits, tmp_path):
    said = record(
        own, fill(visits, tmp_path / "a.xlsx", {1: {"核实结果": "好", "风险一": "懒"}}), today=TODAY
    )
    assert len(said.refused[0].reasons) == 3


def test_a_returned_file_can_be_corrected_and_handed_in(own, visits, tmp_path):
    said = record(own, fill(visits, tmp_path / "a.xlsx", {1: fine(outcome="好"), 2: fine()}), today=TODAY)
    book = openpyxl.load_workbook(said.returned)
    sheet = book.worksheets[0]
    heads = {str(cell.value).split("\n")[0]: cell.column for cell in sheet[1]}
    sheet.cell(2, heads["核实结果"]).value = "未发现风险"
    book.save(said.returned)
    again = record(own, said.returned, today=TODAY)
    assert (again.accepted, len(again.refused)) == (1, 0)


def test_a_correction_of_the_same_team_replaces_and_both_are_kept(own, visits, tmp_path):
    record(own, fill(visits, tmp_path / "a.xlsx", {1: fine(走访组="7")}), today=TODAY)
    said = record(own, fill(visits, tmp_path / "b.xlsx", {1: found(走访组="7")}), today=dt.date(2026, 1, 30))
    assert (said.accepted, said.corrected, said.conflicts) == (1, 1, ())
    table = Casebook.of(own).verifications().sort("known_on")
    assert table["event_id"].n_unique() == 1 and table["outcome"].to_list() == ["no_risk", "risk_confirmed"]


def test_results_of_two_visitors_that_contradict_are_both_kept_and_shown(own, visits, tmp_path):
    record(own, fill(visits, tmp_path / "a.xlsx", {1: fine(走访组="7")}), today=TODAY)
    said = record(own, fill(visits, tmp_path / "b.xlsx", {1: found(走访组="8")}), today=TODAY)
    assert len(said.conflicts) == 1 and said.conflicts[0].household_id == household(visits, 1)
    assert "team 7" in said.text() and "team 8" in said.text()
    assert len(Casebook.of(own).verifications()) == 2


def test_two_different_rows_of_one_household_and_team_in_a_file_are_refused(own, visits, tmp_path):
    first = household(visits, 1)
    path = fill(visits, tmp_path / "a.xlsx", {1: fine(走访组="7"), 2: found(走访组="7", 户编号=first)})
    said = record(own, path, today=TODAY)
    assert said.accepted == 1 and "stands in row 4" in said.text()


def test_a_workbook_of_another_list_is_refused_whole(own, visits, tmp_path):
    other = screening_list(scores(), county(), AS_OF, capacity=9, settings=load_settings(own))
    with pytest.raises(DataError, match="a workbook of another list \\(cycle 2026-01"):
        record(own, fill(other, tmp_path / "a.xlsx", {1: fine()}), today=TODAY)


def test_results_of_a_closed_cycle_are_refused(own, visits, tmp_path):
    Casebook.of(own).close_cycle("522301", "2026-01", by="operator")
    said = record(own, fill(visits, tmp_path / "a.xlsx", {1: fine()}), today=TODAY)
    assert said.accepted == 0 and "cycle 2026-01 is closed" in said.text()
    with pytest.raises(UserError, match="closed already"):
        Casebook.of(own).close_cycle("522301", "2026-01", by="operator")
    with pytest.raises(UserError, match="closed on"):
        next_list(own, scores(), county(), AS_OF, capacity=11, issue=True)


def test_a_file_of_a_closed_cycle_that_is_recorded_already_is_known_and_only_new_rows_are_refused(
    own, visits, tmp_path
):
    path = fill(visits, tmp_path / "a.xlsx", {1: fine(走访组="7")})
    assert record(own, path, today=TODAY).accepted == 1
    corrected = fill(visits, tmp_path / "b.xlsx", {1: found(走访组="7")})
    assert record(own, corrected, today=TODAY).corrected == 1
    Casebook.of(own).close_cycle("522301", "2026-01", by="operator")
    again = record(
        own, fill(visits, tmp_path / "c.xlsx", {1: found(走访组="7"), 2: fine(走访组="7")}), today=TODAY
    )
    assert (again.accepted, again.unchanged, len(again.refused)) == (
        0,
        1,
        1,
    ) and "cycle 2026-01 is closed" in again.text()
    older = record(own, path, today=TODAY)  # what was corrected since would be a new version
    assert (older.accepted, older.unchanged, len(older.refused)) == (0, 0, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"PK broken", "not a workbook, or a damaged one"),
        ("a.docx", b"x", "a file of the kind .docx"),
        ("a.csv", b"household_id,outcome\nh001,no_risk\n", "no column list_hash"),
        ("a.csv", b"\xff\xfe\x00\xff", "neither UTF-8 nor GB18030"),
    ],
)
def test_a_file_that_is_no_filled_list_is_refused_in_words(own, visits, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        record(own, tmp_path / name, today=TODAY)


def test_a_workbook_without_its_technical_sheet_is_refused_in_words(own, visits, tmp_path):
    path = fill(visits, tmp_path / "a.xlsx", {1: fine()})
    book = openpyxl.load_workbook(path)
    del book["_riskmodel"]
    book.save(path)
    with pytest.raises(DataError, match="do not copy its rows into another workbook"):
        record(own, path, today=TODAY)


def test_a_missing_file_is_said(own, tmp_path):
    with pytest.raises(DataError, match="No such file"):
        record(own, tmp_path / "none.xlsx", today=TODAY)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_a_filled_csv_comes_back_as_well(own, visits, tmp_path, encoding):
    path = write_list(visits, tmp_path / "a.csv")
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    rows[0] |= {
        "visited_on": "2026/1/5",
        "outcome": "risk_confirmed",
        "risk_1": "因病",
        "visitor": "1组",
        "note": "汇款",
    }
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    said = record(own, path, today=TODAY)
    assert (said.accepted, said.open) == (1, 9)


def test_a_township_workbook_comes_back_as_well(own, visits, tmp_path):
    township = visits.route["township_code"][0]
    said = record(own, fill(visits, tmp_path / "t.xlsx", {1: fine()}, township=township), today=TODAY)
    assert said.accepted == 1


def test_disagreements_are_counted_by_kind_and_by_nothing_else(own, visits, tmp_path):
    rows = {
        1: fine(与理由不符="登记数据有误"),
        2: fine(与理由不符="模型未见：亲属汇款或赠予"),
        3: fine(与理由不符="登记数据有误"),
    }
    record(own, fill(visits, tmp_path / "a.xlsx", rows), today=TODAY)
    assert Casebook.of(own).disagreements() == {"record_wrong": 2, "remittances": 1}


def test_the_next_list_knows_who_was_visited_and_carries_over_the_rest(own, visits, tmp_path):
    day = dt.date(2026, 1, 31)
    record(own, fill(visits, tmp_path / "a.xlsx", {row: fine() for row in range(1, 6)}), today=TODAY)
    after = next_list(own, scores(day), county(), day, capacity=10, issue=True)
    done = {household(visits, row) for row in range(1, 6)}
    listed = set(after.rows["household_id"].to_list())
    assert not done & listed and set(visits.rows["household_id"].to_list()) - done <= listed


def test_what_the_casebook_gives_back_is_the_list_that_was_given_out(own, visits):
    again = Casebook.of(own).last_list("522301", before=dt.date(2026, 1, 31))
    assert (
        again.rows.equals(visits.rows)
        and again.hash == visits.hash
        and again.drawn_from.equals(visits.drawn_from)
    )
    assert Casebook.of(own).last_list("522301", before=AS_OF) is None


def test_recall_comes_from_random_checks_alone(own, tmp_path):
    """Ten of 40 are listed, one of them drawn from 31: the confirmed check stands for 1 / chance
    households.
    """
    visits = next_list(own, scores(), county(), AS_OF, capacity=10, issue=True)
    drawn = visits.rows.filter(visits.rows["listed_as"] == "random_check")["household_id"][0]
    rows = {row: found() if household(visits, row) == drawn or row == 1 else fine() for row in range(1, 11)}
    first_is_drawn = household(visits, 1) == drawn
    record(own, fill(visits, tmp_path / "a.xlsx", rows), today=TODAY)
    said = Casebook.of(own).recall()
    chance = visits.rows.filter(visits.rows["household_id"] == drawn)["inclusion_probability"][0]
    assert said.checks == 1 and said.missed.value == pytest.approx(1 / chance)
    listed = 0 if first_is_drawn else 1
    assert said.confirmed_listed == listed and not said.recall.estimable and "too few" in said.recall.why


def test_without_results_of_random_checks_recall_is_not_estimable(own, visits, tmp_path):
    drawn = set(visits.rows.filter(visits.rows["listed_as"] == "random_check")["household_id"].to_list())
    rows = {row: found() for row in range(1, 11) if household(visits, row) not in drawn}
    record(own, fill(visits, tmp_path / "a.xlsx", rows), today=TODAY)
    assert Casebook.of(own).recall().recall.text() == "not_estimable"


def test_results_of_households_on_standby_are_taken_in_too(own, tmp_path):
    rules = scores().with_columns(rule_dropout=pl.lit(1.0))
    visits = screening_list(rules, county(), AS_OF, capacity=10, settings=load_settings(own))
    assert Casebook.of(own).issue(visits)
    write_excel(visits, tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    sheet = book["候补 Standby"]
    place = {str(cell.value).split("\n")[0]: cell.column for cell in sheet[3]}
    for row, cells in ((4, fine()), (5, fine(outcome="好"))):
        for name, value in cells.items():
            sheet.cell(row, place[name]).value = value
    book.save(tmp_path / "a.xlsx")
    said = record(own, tmp_path / "a.xlsx", today=TODAY)
    assert said.accepted == 1 and "row 候补 Standby 5" in said.text()
    assert Casebook.of(own).verifications()["origin"].to_list() == ["lead"]
