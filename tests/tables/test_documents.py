"""The contract's page, the page about reading and the quality report say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from riskmodel.tables import check_tables, quality_report
from riskmodel.tables.contract import across_markdown, checks_markdown, contract_markdown, rules_markdown
from riskmodel.tables.mapping import KEYS
from riskmodel.tables.schema import TABLES
from riskmodel.tables.values import UNITS

DOCS = Path(__file__).parents[2] / "docs"
PHONE = "13800138000"


def test_the_page_of_the_contract_is_up_to_date():
    remedy = "run: python -m riskmodel.tables.contract > docs/data-contract.md"
    assert (DOCS / "data-contract.md").read_text(encoding="utf-8") == contract_markdown(), remedy


def test_the_page_about_reading_lists_every_check_rule_key_and_unit():
    page = (DOCS / "tables.md").read_text(encoding="utf-8")
    assert checks_markdown() in page, "put the output of checks_markdown() there"
    assert rules_markdown() in page, "put the output of rules_markdown() there"
    assert across_markdown() in page, "put the output of across_markdown() there"
    for key in KEYS:
        assert f"`{key}`" in page
    for unit in UNITS:
        assert unit in page


def test_every_column_has_its_chinese_name_once_in_its_table():
    for table in TABLES.values():
        names = [column.zh for column in table.columns]
        assert len(set(names)) == len(names), table.name
        for column in table.columns:
            if column.codes:
                words = [zh for zh in column.codes.values() if zh]
                assert len(set(words)) == len(words) == len(column.codes), (table.name, column.name)


@pytest.fixture
def page(tmp_path, records, as_csv):
    records["income"][4]["amount"] = -1.0
    records["income"].append(records["income"][7])
    records["members"][2] |= {"labour": "skilled", "schooling": "primary"}
    folder = as_csv(tmp_path / "tables", records)
    leads = pl.read_csv(folder / "leads.csv", infer_schema=False)
    leads.with_columns(topic=pl.lit(f"<b>{PHONE}</b>")).write_csv(folder / "leads.csv")
    (folder / "assets.csv").unlink()
    return quality_report(folder)


def test_the_quality_report_is_one_page_that_needs_nothing_else(page):
    assert page.startswith("<!doctype html>")
    assert not re.search(r'(src|href)="(?!#)[^"]', page.replace('xlink:href="#', 'href="#'))
    addresses = set(re.findall(r"https?://[^\"' <)]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_the_quality_report_tells_in_chinese_and_english_what_is_wrong(page):
    for words in (
        "数据质量报告",
        "需先改正",
        "数值为负",
        "收入 · 金额",
        "第 6 行",
        "a negative value",
        "在校生标注为劳动力",
        "未提供",
        "财产",
    ):
        assert words in page


def test_the_quality_report_shows_the_three_figures(page):
    assert page.count("<svg") == 3
    for words in ("各表每月入库行数", "Delivery lag by department", "Missing by column"):
        assert words in page


def test_the_quality_report_repeats_no_identity_and_runs_no_markup_of_the_data(page):
    assert PHONE not in page and PHONE[3:] not in page
    assert "<b>1" not in page


def test_ids_within_the_page_are_unique_so_that_figures_do_not_mix(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_same_folder_gives_the_same_page(clean_folder):
    assert quality_report(clean_folder) == quality_report(clean_folder)


def test_a_folder_in_which_nothing_can_be_read_still_gives_a_report(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "缺少必需的数据表" in quality_report(tmp_path / "empty")
    assert not check_tables(tmp_path / "empty").ok
