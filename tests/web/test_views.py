"""A household, the areas and the model say what the service says, in words."""

from __future__ import annotations

import json
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
    widths = page.locator(".bar rect:not(.track)").evaluate_all(
        "bars => bars.map((bar) => Number(bar.getAttribute('width')))"
    )
    assert math.isclose(max(widths), 100) and all(1 <= width <= 100 for width in widths)
    count = round(row["probability"] * 100)
    assert (f"100户中约{count}户" if row["probability"] >= 0.005 and count else "100户中不到1户") in text
    assert page.locator(".hundred .on").count() == count
    assert text.count("核实优先级信号，非认定结论") == 1 and "核实优先级信号，非认定结论" in page.inner_text(
        "#top"
    )
    for part in (
        "为什么排在这里",
        "核实什么",
        "与上次评分相比",
        "各部门数据有多新",
        "历次评分",
        "线索和部门规则",
        "走访记录",
    ):
        assert part in text
    assert page.locator(".plot .point").count() == 2, "two scorings are kept"
    assert row["model_version"] in text


def test_the_leads_of_a_listed_household_stand_beside_its_score(visitor, screened):
    rows = screened[3].rows
    led = rows.filter(rows["listed_as"] == "lead").row(0, named=True)
    page = visitor().sign_in().see(f"#/household/{led['household_id']}", ".title")
    assert led["leads_zh"].split("；")[0] in page.inner_text("main")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_household_that_is_not_on_the_list_says_why_and_since_when(visitor, screened, trained, language):
    """One household of each kind of answer; one that is on the list says nothing of the sort."""
    from riskmodel.visits.not_listed import NotListed

    visits, scores = screened[3], trained[2]
    ranks = dict(scores.frame.select("household_id", "rank").iter_rows())
    place = ("zh", "en").index(language)
    page = visitor(language=language).sign_in()
    kinds = set()
    for row in visits.not_listed.unique("reason", keep="first", maintain_order=True).iter_rows(named=True):
        name = row["household_id"]
        answer = NotListed(row["reason"], row["since"], row["until"], row["last_outcome"])
        expected = answer.words(rank=ranks.get(name), capacity=visits.capacity)[place]
        shown = page.see(f"#/household/{name}", ".why-not")
        assert expected in shown.locator(".why-not").inner_text()
        if (day := row["last_visit"]) is not None and language == "zh":
            assert f"上次走访：{day.year}年{day.month}月{day.day}日" in shown.inner_text("main")
        kinds.add(row["reason"])
    assert {"recent", "monitored", "waiting"} <= kinds
    listed = visits.rows.filter(visits.rows["probability"].is_not_null())["household_id"][0]
    assert page.see(f"#/household/{listed}", ".columns").locator(".why-not").count() == 0


def test_how_fresh_each_department_is_stands_in_a_table_with_headings(visitor, first):
    page = visitor(language="en").sign_in().see(f"#/household/{first[0]}", ".columns")
    panel = page.locator(".panel", has=page.locator("h2", has_text="How fresh each department's data are"))
    assert panel.locator("thead th").all_inner_texts() == ["Department", "Newest", "Age", "Status"]
    assert panel.locator("tbody tr").count() >= 5


def test_areas_add_up_and_hide_small_numbers(visitor, screened):
    rows = screened[3].rows
    one = visitor().sign_in()
    page = one.see("#/area?view=table", "table")
    lines = [
        [cell.inner_text() for cell in row.locator("th, td").all()] for row in page.locator("tbody tr").all()
    ]
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
    for details in page.locator("main details:not([open]) summary").all():
        details.click()
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
    recall = next(figure for figure in told["metrics"] if figure["name"].startswith("recall_at_"))
    count = round(recall["value"] * 100)
    assert (
        f"后来确认有风险的每100户中，约有{count}户排在最前的{recall['name'].split('_at_')[1]}里；"
        f"另外{100 - count}户排在后面"
    ) in text
    assert page.locator(".plainly .hundred").last.locator(".on").count() == count
    assert "undefined" not in text and "null" not in text and "NaN" not in text


def test_whom_the_model_misses_is_said_first_and_what_cannot_be_judged_is_kept_apart(visitor):
    one = visitor().sign_in()
    told = one.page.evaluate("fetch('v1/model').then((answer) => answer.json())")
    group = {"recall": 0.2, "low": 0.1, "high": 0.3}
    told["groups"] = [
        {"group": "a=true", "zh": "甲类", "en": "kind a", "verdict": "no gap found"} | group,
        {"group": "b=true", "zh": "乙类", "en": "kind b", "verdict": "insufficient"} | group,
        {"group": "c=true", "zh": "丙类", "en": "kind c", "verdict": "flagged"} | group,
        {"group": "d=true", "zh": "丁类", "en": "kind d", "verdict": "others missed more"} | group,
    ]
    one.page.route(
        "**/v1/model",
        lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(told)),
    )
    page = one.see("#/model", ".columns")
    panel = page.locator(".panel", has=page.locator("h2", has_text="对谁更容易漏"))
    assert "更容易漏掉：丙类、不属于“丁类”的农户" in panel.inner_text()
    assert panel.locator("tbody th").all_inner_texts()[:3] == ["丙类", "丁类", "甲类"]
    assert "乙类" not in panel.inner_text() and panel.locator("details tbody th").text_content() == "乙类"
    one.page.unroute("**/v1/model")


def test_on_a_phone_what_to_check_comes_before_past_scores_and_the_dates_of_departments_stay_in_rows(
    visitor, first
):
    page = visitor((390, 844)).sign_in().see(f"#/household/{first[0]}", ".columns")
    order = page.locator("main h2").all_inner_texts()
    assert order[:2] == ["风险提示", "线索和部门规则"], "leads and rules stand beside the score"
    assert order.index("核实什么") < order.index("历次评分") < order.index("各部门数据有多新")
    row = page.locator(".tight tbody tr").first
    tops = {round(cell.bounding_box()["y"]) for cell in row.locator("th, td").all()}
    assert len(tops) == 1 and row.bounding_box()["height"] < 40


def test_departments_with_old_or_no_data_are_named_before_the_table(visitor, first):
    one = visitor().sign_in()
    told = one.page.evaluate("id => fetch(`v1/households/${id}`).then((answer) => answer.json())", first[0])
    fresh = {"newest": "2025-12-30", "age_days": 1, "stale": False}
    for row in told["freshness"]:
        row |= fresh
    told["freshness"][1] |= {"newest": "2025-01-01", "age_days": 364, "stale": True}
    told["freshness"][2] |= {"newest": None, "age_days": None}
    names = "、".join(row["zh"] for row in told["freshness"][1:3])
    one.page.route(
        "**/v1/households/*",
        lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(told)),
    )
    page = one.see(f"#/household/{first[0]}", ".columns")
    assert f"偏旧或无记录：{names}" in page.inner_text("main")
    one.page.unroute("**/v1/households/*")


def test_a_township_leads_to_its_part_of_the_list(visitor, screened):
    page = visitor().sign_in().see("#/area", ".tiles")
    page.locator(".township .to-list").first.click()
    page.wait_for_selector("#rows")
    township = min(screened[3].rows["township_code"])
    assert page.input_value("#township") == township
    assert set(page.locator("#rows .township-code").all_inner_texts()) == {township}


def test_at_a_desk_what_to_check_stands_beside_the_form(visitor, first):
    page = visitor().sign_in().see(f"#/visit/{first[0]}", "form")
    checks, form = (
        page.locator(".visit details.panel").bounding_box(),
        page.locator(".visit form").bounding_box(),
    )
    assert checks["x"] + checks["width"] <= form["x"] and abs(checks["y"] - form["y"]) < 5


def test_the_plot_of_past_scores_says_what_it_shows_and_changes_stand_in_lines_of_their_own(visitor, first):
    one = visitor().sign_in()
    told = one.page.evaluate("id => fetch(`v1/households/${id}`).then((answer) => answer.json())", first[0])
    told["changes"] = {
        "moved": "up",
        "since": "2025-11-30",
        "zh": "上升：甲情况：一；二（上次2次）；乙情况",
        "en": "moved up: this: one; two (2 last time); that",
        "way_zh": "上升",
        "way_en": "moved up",
        "parts": [
            {"zh": "甲情况：一；二（上次2次）", "en": "this: one; two (2 last time)"},
            {"zh": "乙情况", "en": "that"},
        ],
    }
    one.page.route(
        "**/v1/households/*",
        lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(told)),
    )
    page = one.see(f"#/household/{first[0]}", ".columns")
    panel = page.locator(".panel", has=page.locator("h2", has_text="与上次评分相比"))
    assert panel.locator("strong").inner_text() == "上升"
    assert panel.locator("li").all_inner_texts() == ["甲情况：一；二（上次2次）", "乙情况"]
    assert "纵轴：每100户约几户" in page.locator(".panel", has=page.locator(".plot")).inner_text()
    one.page.unroute("**/v1/households/*")
