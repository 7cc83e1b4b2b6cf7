"""Who comes in, who does not, and what they are told."""

from __future__ import annotations


def test_a_wrong_key_is_refused_in_plain_words(visitor):
    one = visitor()
    one.page.keyboard.press("Enter")
    assert one.page.inner_text("#key-fault") == "请填写访问密钥"
    for wrong in ("rm_000000000000_" + "0" * 64, "hello", "王"):
        one.page.fill("#key", wrong)
        one.page.keyboard.press("Enter")
        one.page.wait_for_function(
            "() => document.querySelector('#key-fault').textContent.startsWith('密钥不对')"
        )
        one.page.evaluate("document.querySelector('#key-fault').textContent = ''")
    assert one.page.evaluate("document.activeElement.id") == "key"
    one.excuse_the_network()


def test_the_key_is_kept_nowhere_and_the_cookie_is_out_of_reach_of_scripts(visitor, service):
    one = visitor().sign_in()
    assert service.keys["screener"] not in str(one.stored())
    assert one.page.evaluate("document.cookie") == ""
    (cookie,) = one.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert service.keys["screener"] not in cookie["value"]


def test_who_may_not_see_lists_is_told_so_and_sees_the_model(visitor):
    one = visitor().sign_in("auditor", wait=".model")
    assert one.page.locator("#top nav a").all_inner_texts() == ["模型说明"]
    for view in ("list", "household/x", "visit/x", "area"):
        one.see(f"#/{view}", ".trouble")
        assert "您的密钥（审计员）不能查看此内容" in one.page.inner_text("main")


def test_a_case_system_reads_lists_but_is_offered_no_form(visitor, screened):
    one = visitor().sign_in("case_system")
    assert one.page.locator(".act a").count() == 0 and one.page.locator("#excel").count() == 0
    household = screened[3].rows["household_id"][0]
    one.see(f"#/household/{household}", ".columns")
    assert one.page.locator("#record").count() == 0
    one.see(f"#/visit/{household}", ".trouble")


def test_a_household_of_another_area_is_not_found(visitor, screened, service):
    rows = screened[3].rows
    foreign = rows.filter(rows["township_code"] != service.township)["household_id"][0]
    one = visitor().sign_in("township")
    assert set(one.page.locator("#rows .township-code").all_inner_texts()) == {service.township}
    for view in ("household", "visit"):
        one.see(f"#/{view}/{foreign}", ".trouble")
        assert "没有找到" in one.page.inner_text("h1")
    one.excuse_the_network()


def test_a_key_of_another_county_sees_no_list(visitor):
    one = visitor().sign_in("elsewhere", wait=".notice")
    assert "还没有发布清单" in one.page.inner_text("main")


def test_signing_out_ends_the_session_for_good(visitor):
    one = visitor().sign_in()
    cookies = one.context.cookies()
    one.page.click("#top button >> text=退出")
    one.page.wait_for_selector("#key")
    assert "已退出" in one.page.inner_text("main")
    one.context.add_cookies(cookies)
    answer = one.context.request.get(f"{one.service.address}/v1/lists")
    assert answer.status == 401
    one.page.reload()
    one.page.wait_for_selector("#key")


def test_an_ended_session_says_so_and_comes_back_to_the_same_view(visitor, screened):
    household = screened[3].rows["household_id"][0]
    one = visitor().sign_in()
    one.context.clear_cookies()
    one.see(f"#/household/{household}", "#key")
    assert "登录已过期" in one.page.inner_text("main")
    one.sign_in(wait=".household")
    assert household in one.page.inner_text("h1")
    one.excuse_the_network()


def test_no_connection_is_said_and_can_be_tried_again(visitor):
    one = visitor().sign_in()
    one.page.route("**/v1/areas/**", lambda route: route.abort())
    one.see("#/area", ".trouble")
    assert "没有连上系统" in one.page.inner_text("main")
    one.page.unroute("**/v1/areas/**")
    one.page.click(".trouble button")
    one.page.wait_for_selector(".tiles")
    one.excuse_the_network()


def refusing(status):
    return lambda route: route.fulfill(status=status, headers={"Retry-After": "60"}, body="{}")


def test_a_busy_or_broken_service_is_told_apart(visitor):
    one = visitor().sign_in()
    for status, words in ((503, "系统正忙"), (500, "代码 500")):
        one.page.route("**/v1/model", refusing(status))
        one.see("#/model", ".trouble")
        assert words in one.page.inner_text("main")
        one.page.unroute("**/v1/model")
    one.excuse_the_network()
