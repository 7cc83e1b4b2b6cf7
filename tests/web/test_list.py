"""Today's list in a real browser: rows, filters, search, pages, everybody, the Excel file."""

from __future__ import annotations

import io

import openpyxl
import pytest


@pytest.fixture
def rows(screened):
    """The list's rows in the order of the page."""
    return screened[3].rows.sort("number")


def settled(page):
    """The view that the address names has been drawn."""
    page.wait_for_function("() => document.querySelector('main').dataset.shown === location.hash")


def chosen(page, name, value):
    page.select_option(f"#{name}", value)
    settled(page)
    assert page.input_value(f"#{name}") == value


def test_the_list_begins_with_the_first_fifty_in_route_order(visitor, rows):
    one = visitor().sign_in()
    assert one.ids() == rows["household_id"].to_list()[:50]
    first = one.page.locator("#rows tbody tr").first.inner_text()
    assert rows["village_code"][0] in first
    assert one.page.locator("header .signal").inner_text() == "核实优先级信号，非认定结论"


def test_filters_narrow_the_list_and_can_be_cleared(visitor, rows):
    one = visitor().sign_in()
    township, grade = rows["township_code"][-1], rows["grade"][0]
    chosen(one.page, "township", township)
    settled(one.page)
    mine = rows.filter(rows["township_code"] == township)
    assert one.ids() == mine["household_id"].to_list()[:50]
    villages = one.page.locator("#village option").evaluate_all(
        "options => options.map((option) => option.value).filter(Boolean)"
    )
    assert villages == sorted(set(mine["village_code"]))
    one.page.click("#clear")
    settled(one.page)
    chosen(one.page, "grade", grade)
    settled(one.page)
    assert one.ids() == rows.filter(rows["grade"] == grade)["household_id"].to_list()[:50]


def test_a_filter_by_risk_kind_shows_only_households_of_that_kind(visitor, rows):
    one = visitor().sign_in()
    kind = next(kinds for kinds in rows["risk_kinds"] if kinds).split(";")[0]
    expected = [
        name
        for name, kinds in rows.select("household_id", "risk_kinds").iter_rows()
        if kind in (kinds or "").split(";")
    ]
    chosen(one.page, "risk_kind", kind)
    settled(one.page)
    assert one.ids() == expected[:50]


def test_a_household_is_found_by_the_beginning_of_its_number(visitor, rows):
    one = visitor().sign_in()
    wanted = rows["household_id"][60]
    one.page.fill("#q", wanted)
    one.page.keyboard.press("Enter")
    settled(one.page)
    assert one.ids() == [wanted]
    one.page.fill("#q", "nobody")
    one.page.click("#search")
    one.page.wait_for_selector("main .notice")
    assert "没有符合筛选条件的农户" in one.page.inner_text("main")
    one.page.click("main .notice button")
    settled(one.page)
    assert len(one.ids()) == 50


def test_pages_show_every_household_once_and_back_returns_to_the_same_page(visitor, rows):
    one = visitor().sign_in()
    seen = one.ids()
    assert one.page.is_disabled("#previous")
    while one.page.is_enabled("#next"):
        one.page.click("#next")
        settled(one.page)
        seen += one.ids()
    assert seen == rows["household_id"].to_list()
    last_page = one.ids()
    one.page.locator("#rows .id a").first.click()
    one.page.wait_for_selector(".household")
    one.page.click(".back a")
    one.page.wait_for_selector("#rows")
    assert one.ids() == last_page
    one.page.click("#previous")
    settled(one.page)
    assert one.ids() == seen[: len(seen) - len(last_page)][-50:]


def test_standby_households_stand_apart(visitor, rows):
    if not (rows["listed_as"] == "standby").any():
        pytest.fail("the county of the tests should have a standby part")
    one = visitor().sign_in()
    first = rows.filter(rows["listed_as"] == "standby")["household_id"][0]
    before = rows["household_id"].to_list().index(first)
    for _ in range(before // 50):
        one.page.click("#next")
        settled(one.page)
    row = one.page.locator("#rows tbody tr", has_text=first)
    assert "候补" in row.inner_text()
    if before % 50:
        assert "以下为候补" in one.page.locator("tr.divider").inner_text()


def test_everybody_is_paged_by_rank(visitor, trained):
    one = visitor().sign_in()
    one.page.click("#everybody")
    one.page.wait_for_selector("#everybody[aria-pressed=true]")
    frame = trained[2].frame.sort("rank")
    assert f"{frame.height:,}" in one.page.locator(".pager").inner_text()
    assert one.ids() == frame["household_id"].to_list()[:50]


def test_the_excel_file_opens_and_holds_the_list(visitor, rows):
    one = visitor().sign_in()
    with one.page.expect_download() as waiting:
        one.page.click("#excel")
    file = waiting.value
    assert file.suggested_filename.endswith(".xlsx")
    book = openpyxl.load_workbook(io.BytesIO(open(file.path(), "rb").read()))  # noqa: SIM115
    text = "\n".join(
        str(cell)
        for sheet in book
        for line in sheet.iter_rows(values_only=True)
        for cell in line
        if cell is not None
    )
    assert "核实优先级信号，非认定结论" in text
    assert all(name in text for name in rows["household_id"])


def test_the_language_is_switched_and_remembered(visitor):
    one = visitor().sign_in()
    assert one.page.get_attribute("html", "lang") == "zh-CN"
    one.page.click("#top button >> text=English")
    one.page.wait_for_selector("html[lang=en]")
    one.page.wait_for_selector('h1:text-is("Today\'s list")')
    assert (
        one.page.locator("header .signal").inner_text()
        == "A priority signal for verification, not a finding about anybody"
    )
    one.page.reload()
    one.page.wait_for_selector("#rows")
    assert one.page.inner_text("h1") == "Today's list"


PHONE = (390, 844)


@pytest.mark.parametrize("size", [(1366, 768), PHONE], ids=["desk", "phone"])
def test_filters_in_force_are_seen_and_each_can_be_taken_away(visitor, rows, size):
    one = visitor(size).sign_in()
    township, grade = rows["township_code"][-1], rows["grade"][-1]
    one.see(f"#/list?township={township}&grade={grade}", "#rows")
    word = {"red": "红", "orange": "橙", "yellow": "黄", "none": "无"}[grade]
    assert [text.removesuffix(" ×") for text in one.page.locator(".chip").all_inner_texts()] == [
        f"乡镇 {township}",
        f"优先级 {word}",
    ]
    if size == PHONE:
        assert not one.page.locator("#grade").is_visible(), (
            "the list stands below, not two screens of filters"
        )
    one.page.get_by_role("button", name=f"去掉筛选：优先级 {word}").click()
    settled(one.page)
    assert one.ids() == rows.filter(rows["township_code"] == township)["household_id"].to_list()[:50]
    one.page.click("#clear")
    settled(one.page)
    assert one.ids() == rows["household_id"].to_list()[:50] and one.page.locator(".chips").count() == 0


def test_loading_a_page_again_stays_on_it(visitor, rows):
    one = visitor().sign_in()
    for _ in range(2):
        one.page.click("#next")
        settled(one.page)
    one.page.reload()
    one.page.wait_for_selector("#rows")
    assert one.ids() == rows["household_id"].to_list()[100:150]
    assert "第 101–" in one.page.inner_text(".shown") and "第 3 页，共" in one.page.inner_text(".pager")
    assert one.page.inner_text("#previous") == "第一页", "where page 2 began is not known any more"
    one.page.click("#previous")
    settled(one.page)
    assert one.ids() == rows["household_id"].to_list()[:50]


def test_the_order_and_the_marks_of_the_list_are_explained_on_it(visitor):
    one = visitor().sign_in()
    assert "按走访路线排列" in one.page.inner_text(".shown")
    one.page.click(".how summary")
    text = one.page.inner_text(".how")
    for part in ("红", "橙", "黄", "无", "每100户约", "候补", "不表示贫困程度"):
        assert part in text
    one.page.click("#everybody")
    one.page.wait_for_selector("#everybody[aria-pressed=true]")
    assert "按评分名次排列" in one.page.inner_text(".shown")


def test_which_filters_the_excel_file_follows_is_said_when_it_matters(visitor, rows):
    one = visitor().sign_in()
    one.see(f"#/list?township={rows['township_code'][0]}", "#rows")
    assert "不受其他筛选影响" not in one.page.inner_text(".tools")
    one.see(f"#/list?grade={rows['grade'][0]}", "#rows")
    assert "不受其他筛选影响" in one.page.inner_text(".tools")
