"""Reasons of a row of a list in parts: files join them, and no file takes a finished sentence apart."""

from __future__ import annotations

import dataclasses
import json

import polars as pl
import pytest

from riskmodel.casebook.stored import parts_from_json, parts_of
from riskmodel.screening.grades import GradeReason
from riskmodel.screening.wording import ReasonText
from riskmodel.serving.answers import _first_reason, _why
from riskmodel.settings import RandomChecks, ScreeningSettings
from riskmodel.visits.exit_workbook import excel_bytes as exit_bytes
from riskmodel.visits.exits import COLUMNS, ExitReview, Points
from riskmodel.visits.listing import screening_list
from riskmodel.visits.row_parts import ListedReason, RowParts, grade_lines, reason_lines
from riskmodel.visits.workbook import sheet_rows
from tests.visits.conftest import AS_OF

# A reason that holds every sign by which texts are joined, and words that sentences about dates begin with.
TRICKY = ReasonText(
    "住院：一次；另一次（数据截至去年的除外）。线索：无",
    "多于本县90%的农户",
    data="医保数据截至2025年11月20日",
)
STALE = ReasonText("务工3个月", gap="就业数据已3个月未更新")
EN = ReasonText(
    "stays: one; two (all data to last year). lead: none", data="medical insurance data to 20 November 2025"
)
PARTS = RowParts(
    grade=(
        GradeReason(True, "线索：自主申报", "lead: self-declared"),
        GradeReason(False, "线索：不是线索；也不是两条", "lead: none; not two"),
    ),
    reasons=(ListedReason(True, TRICKY, EN), ListedReason(False, STALE, ReasonText("3 months of work"))),
)


def test_a_file_has_the_reasons_without_the_date_of_their_data_and_with_its_gap():
    assert reason_lines(PARTS.reasons, "zh", dated=False) == (
        "住院：一次；另一次（数据截至去年的除外）。线索：无，多于本县90%的农户\n另一方面：务工3个月（就业数据已3个月未更新）"
    )
    assert reason_lines(PARTS.reasons, "en", dated=False).splitlines() == [
        "stays: one; two (all data to last year). lead: none",
        "On the other hand: 3 months of work",
    ]
    assert reason_lines(PARTS.reasons, "zh").splitlines()[0].endswith("（医保数据截至2025年11月20日）")


@pytest.mark.parametrize(
    ("leads", "parts", "whole", "lines"),
    [
        # The kind of a lead is not repeated beside the lead itself; another reason may begin with any word.
        ("自主申报：生病", PARTS, "x", ["自主申报：生病", "线索：不是线索；也不是两条"]),
        (None, PARTS, "x", ["线索：不是线索；也不是两条"]),
        # A row that was stored without parts: its text whole.
        (
            "自主申报：生病",
            None,
            "线索：自主申报；保障登记为未达标",
            ["自主申报：生病", "线索：自主申报；保障登记为未达标"],
        ),
        (None, None, "概率不低于3%", ["概率不低于3%"]),
        (None, None, None, []),
    ],
)
def test_a_grade_has_its_leads_in_full_and_then_the_reasons_that_are_no_leads(leads, parts, whole, lines):
    assert grade_lines(leads, parts, whole, "zh") == lines


def test_parts_are_read_from_json_as_they_were_written():
    for parts in (PARTS, RowParts(PARTS.grade)):
        row = json.dumps({"household_id": "h1", "parts": parts.stored()})
        assert parts_from_json([row, '{"household_id": "h2"}']) == {"h1": parts}
    assert parts_of({"household_id": "h2"}) is None


def test_the_workbook_shows_parts_and_of_an_older_list_the_whole_texts(small_county, falling):
    settings = ScreeningSettings(random_checks=RandomChecks(share=0))
    made = screening_list(falling(6), small_county(6), AS_OF, capacity=1, settings=settings)
    (name,) = made.rows["household_id"]
    (row,) = sheet_rows(dataclasses.replace(made, parts={name: PARTS}))
    assert row["because"] == "线索：不是线索；也不是两条"
    assert row["reasons"].startswith(
        "住院：一次；另一次（数据截至去年的除外）。线索：无，多于本县90%的农户\n另一方面："
    )
    rows = made.rows.with_columns(
        reasons_zh=pl.lit("住院2次（医保数据截至2025年11月20日）"),
        grade_reasons_zh=pl.lit("线索：自主申报；评分位列前20户"),
    )
    (older,) = sheet_rows(dataclasses.replace(made, rows=rows, parts={}))
    assert older["because"] == "线索：自主申报；评分位列前20户"
    assert older["reasons"].startswith("住院2次（医保数据截至2025年11月20日）")


def test_a_list_that_is_made_carries_the_parts_of_its_grades(small_county, falling):
    from tests.visits.test_list import lead

    made = screening_list(falling(6), small_county(6, leads=[lead("h005")]), AS_OF, capacity=3)
    texts = {row["household_id"]: row for row in made.rows.iter_rows(named=True)}
    assert set(made.parts) == set(texts)
    for name, parts in made.parts.items():
        assert "；".join(reason.zh for reason in parts.grade) == texts[name]["grade_reasons_zh"]
        assert "; ".join(reason.en for reason in parts.grade) == texts[name]["grade_reasons_en"]
        assert any(reason.of_lead for reason in parts.grade) == (name == "h005")


def test_an_answer_takes_parts_from_the_row_and_without_them_the_whole_text():
    row = {
        "leads_zh": "自主申报：生病",
        "grade_reasons_zh": "whole",
        "reasons_zh": "甲；乙。丙",
        "reasons_en": "A. B.",
    }
    assert _why(row, "zh") == "自主申报：生病；whole" and _first_reason(row) == ("甲；乙。丙", "A. B.")
    row["parts"] = PARTS.stored()
    assert _why(row, "zh") == "自主申报：生病；线索：不是线索；也不是两条"
    assert _first_reason(row) == (TRICKY.undated("zh"), EN.undated("en"))
    # Nothing raises the score: stored texts without a raising reason.
    assert (
        _first_reason({"reasons_zh": "甲。", "texts": {"reasons": []}})[0] == "记录中没有哪一方面明显抬高风险"
    )


def test_a_point_of_an_exit_review_has_a_line_of_its_own_whatever_it_holds():
    import io

    import openpyxl

    points = Points((("甲；乙", "a; b; c"),), (("丙", "d"), ("丁；戊", "e")))
    row = {
        "household_id": "h1",
        "township_code": "522301101",
        "village_code": "522301101201",
        "monitored_since": AS_OF,
        "proposal": "review",
        "probability": 0.01,
    } | dict.fromkeys(("for_zh", "for_en", "against_zh", "against_en"), "")
    review = ExitReview(AS_OF, pl.DataFrame([row], schema=COLUMNS), {"h1": points})
    sheet = openpyxl.load_workbook(io.BytesIO(exit_bytes(review)))["建议复核 Review"]
    assert [sheet["F4"].value, sheet["G4"].value] == ["· 甲；乙 / a; b; c", "· 丙 / d\n· 丁；戊 / e"]
