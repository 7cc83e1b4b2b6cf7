"""A month by hand in a real spreadsheet program: opened, filled in, saved, taken back, refused rows mended,
handed in again.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import shutil
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from riskmodel.casebook import Casebook, next_list, record
from riskmodel.errors import DataError, UserError
from riskmodel.project import Project
from riskmodel.tables import from_frames
from riskmodel.visits.forms import FILL, READ
from riskmodel.visits.workbook import write_excel

AS_OF = dt.date(2025, 12, 31)
TODAY = dt.date(2026, 1, 25)
SHEET, RETURNED = "核实清单", "退回 Returned"
PLACE = {column.name: place for place, column in enumerate((*READ, *FILL))}
FOUND, NONE = "存在风险，建议纳入监测程序", "未发现风险"

# Row of the list -> what a person types. Rows 1 to 3 are right; each of the others is wrong in its own way,
# and `mended` puts it right.
TYPED = {
    1: {"visited_on": "2026-01-05", "outcome": NONE, "visitor": "3"},
    2: {"visited_on": "2026-01-06", "outcome": FOUND, "risk_1": "因病", "risk_2": "缺劳动力", "visitor": "3"},
    3: {"visited_on": "2026-01-20", "outcome": "未能见到", "visitor": "3", "note": "－本周外出"},
    4: {"visitor": "3", "visited_on": "2026-01-05", "outcome": "好"},
    5: {"visitor": "3", "visited_on": "2026-02-05", "outcome": NONE},
    6: {"visitor": "3", "visited_on": "昨天", "outcome": NONE},
    7: {"visitor": "3", "visited_on": "2026-01-07", "outcome": FOUND},
    8: {"visitor": "3", "visited_on": "2026-01-07", "outcome": NONE, "risk_1": "因病"},
    9: {"visitor": "3", "visited_on": "2026-01-07", "outcome": NONE, "note": "电话13812345678"},
}
SAID = {
    4: "'好' is not one of",
    5: "after today",
    6: "no date such as",
    7: "give at least one risk kind",
    8: "no risk was found",
    9: "identity or a phone number",
}
MENDED = {
    4: {"outcome": NONE},
    5: {"visited_on": "2026-01-15"},
    6: {"visited_on": "2026-01-24"},
    7: {"risk_1": "因学"},
    8: {"risk_1": ""},
    9: {"note": "已外出"},
}


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """The person at the spreadsheet program, or None where it is not installed."""
    if not shutil.which("soffice"):
        return None
    path = Path(__file__).with_name("office.py")
    spec = importlib.util.spec_from_file_location("office", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Office(tmp_path_factory.mktemp("office"))


@pytest.fixture
def month(project, tmp_path):
    """A project of its own with a list of twelve visits among forty households, given out."""
    (tmp_path / "project" / "serving").mkdir(parents=True)
    shutil.copy(project.root / "serving" / "screening.yaml", tmp_path / "project" / "serving")
    own = Project(tmp_path / "project")
    return own, next_list(own, scores(), county(), AS_OF, capacity=12, issue=True)


def county():
    names = [f"h{number:03d}" for number in range(40)]
    same = {
        "known_on": dt.date(2022, 1, 1),
        "county_code": "522301",
        "township_code": "522301101",
        "village_code": "522301101201",
    }
    same |= {"category": "general", "relocated": False}
    person = {
        "known_on": dt.date(2022, 1, 1),
        "birth_date": dt.date(1970, 1, 1),
        "sex": "male",
        "relation": "head",
    }
    person |= {
        "education": "primary",
        "schooling": "none",
        "labour": "ordinary",
        "medical_insured": True,
        "pension_insured": True,
    }
    person |= dict.fromkeys(("chronic_ill", "seriously_ill", "dibao", "tekun"), False)
    households = pl.DataFrame([{"household_id": name, **same} for name in names])
    members = pl.DataFrame([{"member_id": "m" + name, "household_id": name, **person} for name in names])
    return from_frames({"households": households, "members": members})


def scores(as_of=AS_OF):
    rows = [
        (
            f"h{n:03d}",
            3.0 - 0.1 * n,
            0.5 / (1 + n),
            as_of,
            "自付医疗费较高",
            "High self-paid cost",
            "illness",
            "m1",
        )
        for n in range(40)
    ]
    names = [
        "household_id",
        "margin",
        "probability",
        "as_of",
        "reasons_zh",
        "reasons_en",
        "risk_kinds",
        "model_version",
    ]
    return pl.DataFrame(rows, schema=names, orient="row")


def on_sheet(rows):
    return [
        (SHEET, PLACE[name], row + 2, text) for row, cells in rows.items() for name, text in cells.items()
    ]


def heading_places(path, row):
    sheet = openpyxl.load_workbook(path).worksheets[0]
    zh = {column.zh: column.name for column in (*READ, *FILL)}
    return {
        zh[head]: cell.column - 1 for cell in sheet[row] if (head := str(cell.value).split("\n")[0]) in zh
    }


def test_a_month_by_hand(office, month, tmp_path, needs):
    needs(office, "LibreOffice (soffice)")
    own, visits = month
    given_out = write_excel(visits, tmp_path / "list.xlsx")

    # Filled in: the form takes what is typed, locked cells take nothing, and drop-downs stop wrong words at
    # the keyboard.
    locked = [(SHEET, PLACE["household_id"], 3, "h999"), (SHEET, PLACE["reasons"], 3, "nothing")]
    looks = [
        (SHEET, PLACE[name], 3, "?")
        for name in ("outcome", "risk_1", "risk_2", "risk_3", "disagreement", "visited_on")
    ]
    seen = office.type_into(given_out, [*locked, *looks, *on_sheet(TYPED)], tmp_path / "filled.xlsx")
    first = visits.route["household_id"][0]
    assert seen[0][0] == first and seen[1][0] == "自付医疗费较高"
    assert [(kind, stops) for _, kind, stops, _ in seen[2:7]] == [("6", "True")] * 5  # 6: a list
    assert all("_codes" in source for *_, source in seen[2:7]) and seen[7][1:3] == ["3", "True"]  # 3: a date
    assert seen[8][0] == "2026-01-05" and seen[9][0] == NONE

    # Handed in: three rows are taken, six come back, each with its own reason.
    said = record(own, tmp_path / "filled.xlsx", today=TODAY)
    assert (said.accepted, len(said.refused), said.open) == (3, 6, len(visits) - 9), said.text()
    for row, reason in SAID.items():
        assert (
            f"row {row + 3}, {visits.route['household_id'][row - 1]}: " in said.text()
            and reason in said.text()
        )

    # The returned file is mended in the same program, with the same drop-downs, and handed in.
    at = heading_places(said.returned, 1)
    orders = [
        (RETURNED, at[name], line, text)
        for line, (_, cells) in enumerate(sorted(MENDED.items()), start=1)
        for name, text in cells.items()
    ]
    looks = [(RETURNED, at["outcome"], 1, "?"), (RETURNED, 1, 1, "nothing wrong")]
    seen = office.type_into(said.returned, [*looks, *orders], tmp_path / "mended.xlsx")
    assert seen[0][1:3] == ["6", "True"] and "好" in seen[1][0]  # the reason cannot be overwritten
    again = record(own, tmp_path / "mended.xlsx", today=TODAY)
    assert (again.accepted, again.refused) == (6, ()), again.text()

    # Both files a second time change nothing.
    before = Casebook.of(own).audit_head()
    assert record(own, tmp_path / "mended.xlsx", today=TODAY).unchanged == 6
    assert record(own, tmp_path / "filled.xlsx", today=TODAY).unchanged == 3
    assert Casebook.of(own).audit_head() == before

    # Another team saw it otherwise: both are kept and shown.
    other = {1: {"visited_on": "2026-01-08", "outcome": FOUND, "risk_1": "因残", "visitor": "8"}}
    office.type_into(given_out, on_sheet(other), tmp_path / "other.xlsx")
    said = record(own, tmp_path / "other.xlsx", today=TODAY)
    assert [conflict.household_id for conflict in said.conflicts] == [first] and "team 8" in said.text()

    # A workbook of another cycle's list, and a closed cycle, have their own words.
    stranger = next_list(own, scores(dt.date(2026, 1, 31)), county(), dt.date(2026, 1, 31), capacity=12)
    office.type_into(
        write_excel(stranger, tmp_path / "stranger.xlsx"),
        on_sheet({1: TYPED[1]}),
        tmp_path / "stranger-filled.xlsx",
    )
    with pytest.raises(DataError, match=r"a workbook of another list \(cycle 2026-02"):
        record(own, tmp_path / "stranger-filled.xlsx", today=TODAY)
    disputed = visits.route["household_id"][0]
    with pytest.raises(UserError, match=f"contradict each other \\({disputed}"):
        Casebook.of(own).close_cycle("522301", "2026-01", by="tests")
    waive = {disputed: "两组各执一词，由乡镇另行核实"}
    Casebook.of(own).close_cycle("522301", "2026-01", by="tests", waive=waive)
    assert record(own, tmp_path / "other.xlsx", today=TODAY).unchanged == 1, "known already"
    late = {1: {"visited_on": "2026-01-09", "outcome": FOUND, "risk_1": "因残", "visitor": "9"}}
    office.type_into(given_out, on_sheet(late), tmp_path / "late.xlsx")
    said = record(own, tmp_path / "late.xlsx", today=TODAY)
    assert said.accepted == 0 and "cycle 2026-01 is closed" in said.text()


def test_the_next_list_is_better_for_it(office, month, tmp_path, needs):
    """Who was seen is left in peace, who was not comes again, and what was found counts as an outcome of the
    household.
    """
    needs(office, "LibreOffice (soffice)")
    own, visits = month
    rows = {row: TYPED[1] | {"visited_on": f"2026-01-{row + 4:02d}"} for row in range(1, 7)} | {7: TYPED[2]}
    office.type_into(write_excel(visits, tmp_path / "list.xlsx"), on_sheet(rows), tmp_path / "filled.xlsx")
    assert record(own, tmp_path / "filled.xlsx", today=TODAY).accepted == 7
    day = dt.date(2026, 1, 31)
    after = next_list(own, scores(day), county(), day, capacity=12, issue=True)
    done = set(visits.route["household_id"][:7])
    listed = set(after.rows["household_id"])
    assert not done & listed and set(visits.rows["household_id"]) - done <= listed
    found = Casebook.of(own).with_results(county())["verifications"]
    assert found.filter(pl.col("outcome").cast(pl.String) == "risk_confirmed")["household_id"].to_list() == [
        visits.route["household_id"][6]
    ]
