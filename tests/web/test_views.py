"""A household, the areas and the model say what the service says, in words."""

from __future__ import annotations

import math

import pytest


@pytest.fixture
def first(screened, trained):
    """A listed household with a score, several reasons, and its row."""
    scores = trained[2]
    for name in screened[3].rows.sort("number")["household_id"].to_list():
        if name in set(scores.frame["household_id"]) and len(list(scores.reasons(name))) > 3:
            return name, scores.row(name), scores.reasons(name)
    pytest.fail("no listed household has reasons")


def test_a_household_shows_reasons_as_bars_and_sentences_with_the_signal(visitor, first):
    name, row, told = first
    one = visitor().sign_in()
    page = one.see(f"#/household/{name}", ".columns")
    text = page.inner_text("main")
    for reason in told:
        assert reason.zh in text
    assert page.locator(".reasons.raises li").count() == sum(reason.raises for reason in told)
    assert page.locator(".reasons.lowers li").count() == sum(not reason.raises for reason in told)
    widths = page.locator(".bar rect:not(.track)").evaluate_all("bars => bars.map((bar) => Number(bar.getAttribute('width')))")
    assert math.isclose(max(widths), 100) and all(1 <= width <= 100 for width in widths)
    count = round(row["probability"] * 100)
    assert (f"100户中约{count}户" if row["probability"] >= 0.005 and count else "100户中不到1户") in text
    assert page.locator(".hundred .on").count() == count
    assert text.count("核实优先级信号，非认定结论") == 1 and "核实优先级信号，非认定结论" in page.inner_text("#top")
    for part in ("为什么排在这里", "核实什么", "与上次评分相比", "各部门数据有多新", "历次评分", "线索和部门规则", "走访记录"):
        assert part in text
    assert page.locator(".plot .point").count() == 2, "two scorings are kept"
    assert row["model_version"] in text


def test_the_leads_of_a_listed_household_stand_beside_its_score(visitor, screened):
    rows = screened[3].rows
    led = rows.filter(rows["listed_as"] == "lead").row(0, named=True)
    page = visitor().sign_in().see(f"#/household/{led['household_id']}", ".title")
    assert led["leads_zh"].split("；")[0] in page.inner_text("main")


def test_how_fresh_each_department_is_stands_in_a_table_with_headings(visitor, first):
    page = visitor(language="en").sign_in().see(f"#/household/{first[0]}", ".columns")
    panel = page.locator(".panel", has=page.locator("h2", has_text="How fresh each department's data are"))
    assert panel.locator("thead th").all_inner_texts() == ["Department", "Newest", "Age", "Status"]
    assert panel.locator("tbody tr").count() >= 5


def test_areas_add_up_and_hide_small_numbers(visitor, screened):
    rows = screened[3].rows
    one = visitor().sign_in()
    page = one.see("#/area?view=table", "table")
    lines = [[cell.inner_text() for cell in row.locator("th, td").all()] for row in page.locator("tbody tr").all()]
    villages = {line[1]: line for line in lines if line[1] != "合计"}
    listed = rows.filter(rows["listed_as"] != "standby").group_by("village_code").len()
    for village, count in listed.iter_rows():
        assert villages[village][3] == str(count)
    shown = {cell for line in lines for cell in (line[2], line[5])}
    assert not shown & {"1", "2", "3", "4"}, "households and confirmed counts below five are not shown"
    page = one.see("#/area", ".tiles")
    assert page.locator(".tile").count() == len(villages)
    page.locator(".tile a").first.click()
    page.wait_for_selector("#rows, .notice")
    assert page.input_value("#village") == min(villages)


def test_the_model_is_told_in_plain_words_with_limits_and_whom_it_misses(visitor, trained):
    page = visitor().sign_in().see("#/model", ".columns")
    text = page.inner_text("main")
    assert trained[2].model_version in text
    for part in ("它是什么", "有多准", "对谁更容易漏", "局限", "它不决定任何事"):
        assert part in text
    told = page.evaluate("fetch('v1/model').then((answer) => answer.json())")
    assert told["metrics"] and told["limits_zh"]
    for figure in told["metrics"]:
        assert figure["text_zh"] in text
    for limit in told["limits_zh"]:
        assert limit in text
    for group in told["groups"]:
        assert group["zh"] in text
    if not told["groups"]:
        assert "不能说明它对谁更容易漏" in text
    assert page.locator(".small tbody tr").count() == len(told["metrics"]) + len(told["groups"])
    assert "undefined" not in text and "null" not in text and "NaN" not in text
