"""One truth about a household: list, scores, workbook, CSV, paper, page and API agree on number, grade,
probability, visits and status.
"""

from __future__ import annotations

import csv
import datetime as dt
import html
import io
import re
import shutil

import pytest

import riskmodel as rm
from riskmodel.casebook import Casebook, record
from riskmodel.casebook.cycles import cycles_of
from riskmodel.casebook.stored import stored_list
from riskmodel.project import Project
from riskmodel.tables.xlsx import read_workbook
from riskmodel.visits.forms import FILL, READ
from riskmodel.visits.paper import page_of
from riskmodel.visits.workbook import SHEET, STANDBY, excel_bytes, write_csv
from riskmodel.vocabulary import GRADES

AS_OF, CYCLE, CAPACITY = "2025-12-31", "2026-01", 90
PLACE = {column.name: at for at, column in enumerate((*READ, *FILL), start=1)}
WORD = {zh: code for code, (zh, _) in GRADES.items()}


@pytest.fixture(scope="module")
def shown(screened_county, tmp_path_factory):
    """A copy of the screened county with results of its own, and its service: (project, list, client of a
    screener).
    """
    from starlette.testclient import TestClient

    from riskmodel.serving.app import make_app
    from riskmodel.serving.gate import CallerGate
    from riskmodel.serving.scorer import Scorer
    from riskmodel.serving.state import ServiceState
    from riskmodel.serving.tally import Tally

    home = tmp_path_factory.mktemp("one") / "project"
    shutil.copytree(screened_county.project.root, home)
    project = Project.find(home)
    state = ServiceState()
    state.open(project, Scorer.open(project, Tally()))
    headers = {"authorization": f"Bearer {screened_county.own['screener']}"}
    client = TestClient(
        CallerGate(make_app(state), state=state), base_url="http://127.0.0.1", headers=headers
    )
    yield project, screened_county, client
    state.close()


def pages(client, **query):
    """All rows of a list, page after page."""
    rows, cursor = [], None
    while True:
        answer = client.get(
            f"/v1/lists/{CYCLE}", params={"limit": 200, **query} | ({"cursor": cursor} if cursor else {})
        ).json()
        rows += answer["rows"]
        cursor = answer["next_cursor"]
        if cursor is None:
            return rows, answer


def sheets(visits):
    """Rows of the workbook: household -> (number, grade, probability)."""
    found = {}
    for name, sheet in read_workbook("list.xlsx", excel_bytes(visits)).items():
        if name in (SHEET, STANDBY):
            for line in [line for line in sheet.rows if line > 3]:
                cells = {key: sheet.rows[line].get(at) for key, at in PLACE.items()}
                found[cells["household_id"]] = (
                    int(cells["number"]),
                    WORD[cells["grade"]],
                    cells["probability"],
                )
    return found


def csv_rows(visits, folder):
    text = write_csv(visits, folder / "list.csv").read_text("utf-8-sig")
    return {
        row["household_id"]: (int(row["number"]), WORD[row["grade"]], row["probability"])
        for row in csv.DictReader(io.StringIO(text, newline=""))
    }


def paper_rows(visits):
    """Rows of the printed page (the PDF is made of it): household -> (number, grade by colour, grade by
    word).
    """
    found = {}
    for row in re.findall(r"<tr>(<td.*?)</tr>", page_of(visits)):
        cells = re.findall(r"<td([^>]*)>(.*?)</td>", row)
        colour = next((re.search(r"g-(\w+)", kind)[1] for kind, _ in cells if "g-" in kind), None)
        if colour is not None:
            found[html.unescape(cells[2][1])] = (int(cells[0][1]), colour, WORD[cells[3][1]])
    return found


def test_every_household_has_one_grade_number_and_probability_everywhere(shown, tmp_path):
    _, given, client = shown
    visits = given.visit_list
    rows = {row["household_id"]: row for row in visits.rows.iter_rows(named=True)}
    assert len(rows) > CAPACITY, "standby households are walked, too"

    excel, text, paper = sheets(visits), csv_rows(visits, tmp_path), paper_rows(visits)
    page = {row["household_id"]: row for row in pages(client)[0]}
    assert set(rows) == set(excel) == set(text) == set(paper) == set(page)
    scores = rm.score(given.tables, AS_OF, capacity=CAPACITY, project=given.project).frame
    graded = dict(scores.select("household_id", "grade").iter_rows())
    everybody = {row["household_id"]: row for row in pages(client, everybody=True)[0]}
    assert set(everybody) == set(graded)
    for name, row in rows.items():
        mine = (row["number"], row["grade"])
        assert excel[name][:2] == text[name][:2] == mine == paper[name][:2] and paper[name][2] == row["grade"]
        assert (page[name]["number"], page[name]["grade"]) == mine
        if row["probability"] is not None:
            assert page[name]["probability"] == row["probability"]
            assert excel[name][2] == pytest.approx(row["probability"], rel=1e-12)  # 16 digits in the file
            assert float(text[name][2]) == pytest.approx(row["probability"], abs=5e-7)
            assert graded[name] == row["grade"] == everybody[name]["grade"]
            assert everybody[name]["number"] == row["number"] and everybody[name]["rank"] == row["rank"]
    assert {name: row["grade"] for name, row in everybody.items()} == graded, "also who is not on the list"


def test_the_household_page_says_the_same_and_why_a_household_is_not_on_the_list(shown):
    _, given, client = shown
    rows = {row["household_id"]: row for row in given.visit_list.rows.iter_rows(named=True)}
    absent = {row["household_id"]: row for row in given.visit_list.not_listed.iter_rows(named=True)}
    some = [
        *list(rows)[::7],
        *[name for name in absent if absent[name]["reason"] != "waiting"][:40],
        *list(absent)[::60],
    ]
    seen = set()
    for name in some:
        response = client.get(f"/v1/households/{name}")
        if response.status_code == 404:  # on the list by a lead alone: its row is what is known of it
            assert rows[name]["probability"] is None
            continue
        answer = response.json()
        assert answer.get("as_of") == AS_OF, answer
        if name in rows:
            assert answer["on_list"]["number"] == rows[name]["number"] and answer["not_listed"] is None
            assert answer["grade"]["code"] == rows[name]["grade"] and answer["rank"] == rows[name]["rank"]
            continue
        why, row = answer["not_listed"], absent[name]
        seen.add(why["code"])
        assert (why["code"], why["cycle"]) == (row["reason"], CYCLE) and why["zh"] and why["en"]
        days = tuple(
            None if day is None else day.isoformat()
            for day in (row["since"], row["until"], row["last_visit"])
        )
        assert (why["since"], why["until"], answer["last_visit"]) == days
        assert (answer["probability"] is None) == (why["code"] in ("monitored", "gone", "not_scored"))
    assert {"waiting", "recent", "monitored"} <= seen


def test_the_best_scores_that_are_not_on_the_list_are_told_why(shown):
    """County rank 1 once read `not on this list`, last visit `—`, although the tables held its visit."""
    client = shown[2]
    for row in pages(client, everybody=True)[0][:30]:
        answer = client.get(f"/v1/households/{row['household_id']}").json()
        assert (answer["on_list"] is None) == (answer["not_listed"] is not None)
        if answer["not_listed"] and answer["not_listed"]["code"] == "recent":
            assert answer["last_visit"] == answer["not_listed"]["since"]


def rows_as_text(visits, folder):
    """Household -> its row as text, in the workbook, the CSV and the printed page."""
    excel, paper = {}, {}
    for name, sheet in read_workbook("list.xlsx", excel_bytes(visits)).items():
        if name in (SHEET, STANDBY):
            for line in [line for line in sheet.rows if line > 3]:
                cells = sheet.rows[line]
                excel[cells.get(PLACE["household_id"])] = "\n".join(str(cell) for cell in cells.values())
    text = write_csv(visits, folder / "rows.csv").read_text("utf-8-sig")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    written = {row["household_id"]: "\n".join(row.values()) for row in rows}
    for row in re.findall(r"<tr>(<td.*?)</tr>", page_of(visits), re.DOTALL):
        cells = [html.unescape(re.sub(r"<[^>]+>", "\n", cell)) for cell in row.split("</td>")]
        if len(cells) > 5:
            paper[cells[2].strip()] = "\n".join(cells)
    return excel, written, paper


def test_a_rule_has_one_name_everywhere(shown, tmp_path):
    """Every listed household with a rule: list, workbook, CSV, paper, and the household's answer."""
    _, given, client = shown
    forms = rows_as_text(given.visit_list, tmp_path)
    checked = 0
    for row in given.visit_list.rows.iter_rows(named=True):
        if row["lead_kinds"] and "rule" in row["lead_kinds"].split(";"):
            name = row["household_id"]
            answer = client.get(f"/v1/households/{name}").json()
            names = {rule["zh"] for rule in answer["rules"]}
            lines = [line.rsplit("（", 1)[0] for line in row["leads_zh"].split("\n")]
            rules = [line for line in lines if "规则" in line.split("：")[0]]
            assert rules and set(rules) <= names
            for shown_as in (*(form[name] for form in forms), answer["on_list"]["why_zh"]):
                assert all(rule in shown_as for rule in rules), (name, rules, shown_as)
            checked += 1
    assert checked >= 25


def test_visits_are_counted_once_and_alike(shown, tmp_path):
    """Five households met, one not found: list head, rows, areas and `cycles` say five."""
    project, given, client = shown
    path = write_csv(given.visit_list, tmp_path / "filled.csv")
    cells = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    place = {name: at for at, name in enumerate(cells[0])}
    for line in range(1, 7):
        cells[line][place["visited_on"]] = "2026-01-05"
        cells[line][place["outcome"]] = "no_risk" if line < 6 else "unreachable"
        cells[line][place["visitor"]] = "8组"
    out = io.StringIO()
    csv.writer(out).writerows(cells)
    path.write_text(out.getvalue(), "utf-8")
    assert record(project, path, today=dt.date(2026, 1, 6)).accepted == 6

    head = next(one for one in client.get("/v1/lists").json()["lists"] if one["cycle"] == CYCLE)
    book = Casebook.of(project)
    try:
        cycle = next(one for one in cycles_of(book).rows if one.cycle == CYCLE)
    finally:
        book.close()
    areas = client.get(f"/v1/areas/{CYCLE}").json()["townships"]
    page = pages(client)[0]
    status = [row["status"] for row in page]
    assert head["visited"] == cycle.visited == sum(town["visited"] for town in areas) == 5
    assert (status.count("visited"), status.count("unreachable")) == (5, 1)
    mark = "1月5日已走访（8组）：未发现风险"
    met = {cells[line][place["household_id"]] for line in range(1, 6)}
    assert {row["household_id"] for row in page if row["visit_zh"] == mark} == met
    for name in met:
        answer = client.get(f"/v1/households/{name}").json()
        assert answer["visits"][0]["zh"] == mark and answer["last_visit"] == "2026-01-05"
    for kind in ("xlsx", "csv"):
        file = client.get(f"/v1/lists/{CYCLE}/download", params={"format": kind})
        if kind == "csv":
            rows = csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"), newline=""))
            marked = {row["household_id"] for row in rows if mark in str(row)}
        else:
            sheet = read_workbook("list.xlsx", file.content)[SHEET]
            lines = [sheet.rows[line] for line in sheet.rows if line > 3]
            marked = {row.get(PLACE["household_id"]) for row in lines if mark in str(row)}
        assert marked == met, kind
    book = Casebook.of(project)
    try:
        again = stored_list(book.engine, given.visit_list.hash, [given.visit_list.county_code])
    finally:
        book.close()
    for form in rows_as_text(again, tmp_path):
        assert {name for name, text in form.items() if mark in text} == met
