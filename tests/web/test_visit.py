"""Recording a visit: saved only when the service says so, never lost, never twice, and nothing kept that
tells who somebody is.
"""

from __future__ import annotations

import json

NAMES = ("queue", "begun", "team", "language", "signed-in", "known")


def cut(page):
    """The connection for records is gone."""
    page.route("**/v1/verifications", lambda route: route.abort())


def save_without_network(one, household, **visit):
    """Fill in a visit and save it while the connection is gone."""
    page = one.fill_visit(household, **visit)
    cut(page)
    page.click("#save")
    page.wait_for_selector("#send")
    return page


def restore(page):
    page.unroute("**/v1/verifications")


def test_a_visit_is_recorded_and_the_list_says_so(visitor, service):
    one, household = visitor().sign_in(), service.take()
    one.see(f"#/household/{household}", ".columns")
    one.page.click("#record")
    one.page.wait_for_selector("form")
    assert one.page.input_value("#visited_on") == "2026-01-15", "today stands there already"
    one.page.fill("#visitor", "03")
    one.page.check("#outcome-risk_confirmed")
    one.page.check("#risk-illness")
    one.page.check("#risk-labour")
    one.page.select_option("#disagreement", "help_in_place")
    one.page.fill("#note", "已办理慢病卡")
    one.page.click("#save")
    one.page.wait_for_selector(".result.good")
    (kept,) = service.visits(household)
    assert (str(kept["visited_on"]), kept["outcome"], kept["visitor"]) == (
        "2026-01-15",
        "risk_confirmed",
        "03",
    )
    assert (kept["risk_kinds"], kept["disagreement"], kept["note"]) == (
        "illness;labour",
        "help_in_place",
        "已办理慢病卡",
    )
    assert one.stored().get("riskmodel.queue") is None
    one.see(f"#/list?q={household}", "#rows")
    assert "已走访" in one.page.inner_text("#rows tbody tr")
    one.see(f"#/visit/{household}", "form")
    assert one.page.input_value("#visitor") == "03", "the device remembers the team"


def test_what_is_missing_is_said_at_its_field_and_nothing_is_sent(visitor, service):
    one, household = visitor(language="en").sign_in(), service.take()
    page = one.see(f"#/visit/{household}", "form")
    page.fill("#visited_on", "2026-02-01")
    page.click("#save")
    page.wait_for_selector(".summary:not([hidden])")
    said = page.locator(".summary li").all_inner_texts()
    assert said == [
        "The day of the visit cannot be after today",
        "Give the team's code",
        "Choose what was found",
    ]
    assert page.evaluate("document.activeElement.textContent") == "This cannot be saved yet. Please mend:"
    page.click(".summary a >> nth=1")
    assert page.evaluate("document.activeElement.id") == "visitor"
    page.fill("#visited_on", "2026-01-15")
    page.fill("#visitor", "03")
    page.check("#outcome-risk_confirmed")
    page.click("#save")
    assert page.locator(".summary li").all_inner_texts() == [
        "A risk was found: choose at least one risk kind"
    ]
    for kind in ("illness", "labour", "education", "water"):
        page.check(f"#risk-{kind}")
    page.click("#save")
    assert page.locator(".summary li").all_inner_texts() == ["Three risk kinds at most"]
    assert not [url for url in one.requests if url.endswith("/v1/verifications")]
    assert service.visits(household) == []


def test_a_note_with_a_telling_number_is_neither_sent_nor_kept(visitor, service):
    one, household = visitor().sign_in(), service.take()
    for number in (
        "13812345678",
        "１３８１２３４５６７８",
        "138-1234-5678",
        "52230119800101123X",
        "户主：王小明",
    ):
        page = one.fill_visit(household, note=f"请联系，{number}")
        assert number not in json.dumps(one.stored(), ensure_ascii=False)
        page.click("#save")
        page.wait_for_selector(".summary:not([hidden])")
        assert "请删去" in page.inner_text("#note-fault")
        assert number not in json.dumps(one.stored(), ensure_ascii=False)
    assert service.visits(household) == []


def test_the_page_finds_every_telling_note_that_the_service_finds_and_leaves_plain_ones_alone(visitor):
    from riskmodel.tables.identity import telling_text

    telling = (
        "电话13812345678",
        "+86 138 1234 5678",
        "522301198001011234",
        "522301 19800101 123X",
        "522301800101123",
        "卡号 6222021234567890123",
        "户主：王小明",
        "姓名 李四",
        "联系人：欧阳锋",
        "丈夫是张伟",
        "诸葛亮",
        "帮扶人姓名：陈静",
    )
    plain = (
        "2026-01-10 已走访",
        "户主：高血压",
        "自付 23055 元",
        "户主外出务工，2026年2月返回",
        "房屋漏水",
        "本人患糖尿病",
        "家中3人，1人务工",
        "",
    )
    one = visitor()
    found = one.page.evaluate(
        (
            "async texts => { const { telling } = await import('/web/telling.js'); return texts.map((text) "
            "=> telling(text)); }"
        ),
        [*telling, *plain],
    )
    assert [text for text in telling if telling_text(text) is None] == [], (
        "the service itself lets these through"
    )
    assert [text for text, hit in zip(telling, found, strict=False) if not hit] == []
    assert [text for text, hit in zip(plain, found[len(telling) :], strict=True) if hit] == []


def test_without_connection_a_record_is_kept_said_to_be_unsaved_and_sent_once_later(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = save_without_network(one, household, note="家中无人务工")
    assert "尚未保存到系统，但不会丢失" in page.inner_text(".result")
    assert "已保存" not in page.inner_text("main")
    assert service.visits(household) == []
    page.click("#send")
    page.wait_for_selector("text=还是没有连上，记录仍在本机。")
    one.see(f"#/list?q={household}", "#rows")
    assert "有 1 条走访记录尚未保存到系统" in page.inner_text("#unsent")
    assert "未发送" in page.inner_text("#rows tbody tr")
    restore(page)
    page.click("#unsent button")
    page.wait_for_selector("#unsent.done")
    assert len(service.visits(household)) == 1
    assert one.stored().get("riskmodel.queue") is None
    one.excuse_the_network()


def test_a_record_survives_closing_the_page_and_is_sent_when_it_opens_again(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = save_without_network(one, household)
    restore(page)
    page.reload()
    page.wait_for_selector(".result.good")
    assert len(service.visits(household)) == 1
    one.excuse_the_network()


def test_a_lost_answer_is_asked_for_again_and_the_visit_stands_once(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = one.fill_visit(household)
    reached = []

    def lose_the_answer(route):
        reached.append(route.fetch().status)  # the service has it ...
        route.abort()  # ... and the browser never hears of it

    page.route("**/v1/verifications", lose_the_answer)
    page.click("#save")
    page.wait_for_selector("#send")
    assert reached == [200]
    assert len(service.visits(household)) == 1
    restore(page)
    page.click("#send")
    page.wait_for_selector(".result.good")
    assert len(service.visits(household)) == 1
    one.excuse_the_network()


def test_a_record_changed_while_its_fate_is_unknown_becomes_a_correction_of_the_same_visit(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = one.fill_visit(household, team="07")
    page.route("**/v1/verifications", lambda route: (route.fetch(), route.abort()))
    page.click("#save")
    page.wait_for_selector("#send")
    page.click("text=修改记录")
    page.wait_for_selector("form")
    assert page.get_attribute("#visitor", "readonly") is not None, (
        "another team would make another visit of it"
    )
    page.check("#outcome-risk_confirmed")
    page.check("#risk-water")
    restore(page)
    page.click("#save")
    page.wait_for_selector(".result.good")
    kept = service.visits(household)
    assert [(row["version"], row["outcome"]) for row in kept] == [(1, "no_risk"), (2, "risk_confirmed")]
    assert len({row["event_id"] for row in kept}) == 1
    one.excuse_the_network()


def test_what_this_device_keeps_names_nobody(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = save_without_network(one, household, note="房屋漏水")
    kept = one.stored()
    assert set(kept) <= {f"riskmodel.{name}" for name in NAMES}
    (entry,) = kept["riskmodel.queue"]
    assert set(entry) == {"key", "owner", "cycle", "list_hash", "result", "refused", "tried"}
    assert set(entry["result"]) == {
        "household_id",
        "visited_on",
        "outcome",
        "risk_kinds",
        "disagreement",
        "visitor",
        "note",
    }
    text = json.dumps(kept)
    assert service.keys["screener"] not in text and service.keys["screener"].split("_")[1] not in text
    assert "screener desk" not in text
    restore(page)
    page.click("#send")
    page.wait_for_selector(".result.good")
    one.excuse_the_network()


def test_a_session_that_ends_meanwhile_keeps_the_record_and_sends_it_after_signing_in(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = one.fill_visit(household)
    one.context.clear_cookies()
    page.click("#save")
    page.wait_for_selector("#key")
    assert "登录已过期" in page.inner_text("main")
    assert service.visits(household) == []
    page.fill("#key", service.keys["screener"])
    page.keyboard.press("Enter")
    page.wait_for_selector(".result.good")
    assert len(service.visits(household)) == 1
    one.excuse_the_network()


def test_another_key_on_the_same_device_does_not_send_the_record(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = save_without_network(one, household)
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#top button >> text=退出")
    page.wait_for_selector("#key")
    restore(page)
    one.sign_in("township")
    assert "别的密钥的未发送记录" in page.inner_text("#unsent")
    assert service.visits(household) == []
    page.click("#top button >> text=退出")
    page.wait_for_selector("#key")
    one.sign_in("screener")
    page.wait_for_selector("#unsent.done")
    (kept,) = service.visits(household)
    assert kept["recorded_by"] == service.keys["screener"].split("_")[1]
    one.excuse_the_network()


def test_what_the_service_refuses_comes_back_with_its_reasons_to_be_mended(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = one.fill_visit(household)

    def too_early(route):  # as if this device's rules were older than the service's
        body = json.loads(route.request.post_data)
        body["results"][0]["visited_on"] = "2025-01-01"
        route.continue_(post_data=json.dumps(body))

    page.route("**/v1/verifications", too_early)
    page.click("#save")
    page.wait_for_selector("text=系统没有收下这条记录")
    assert "早于清单截止日" in page.inner_text(".summary")
    assert page.is_checked("#outcome-no_risk"), "what was filled in is still there"
    assert service.visits(household) == []
    restore(page)
    page.click("#save")
    page.wait_for_selector(".result.good")
    assert len(service.visits(household)) == 1


def test_a_form_that_was_begun_is_there_when_one_comes_back(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = one.fill_visit(household, outcome="risk_confirmed", note="写到一半")
    page.check("#risk-housing")
    page.click("#top button >> text=English")
    page.wait_for_selector("html[lang=en]")
    page.wait_for_selector("form")
    assert page.is_checked("#risk-housing"), "switching the language keeps what was filled in"
    page.reload()
    page.wait_for_selector("form")
    assert page.input_value("#note") == "写到一半"
    page.click("text=Start afresh")
    assert page.input_value("#note") == ""
    assert "riskmodel.begun" not in one.stored()


def test_saving_again_corrects_and_says_so(visitor, service):
    one, household = visitor().sign_in(), service.take()
    page = one.fill_visit(household, outcome="unreachable")
    page.click("#save")
    page.wait_for_selector(".result.good")
    one.see(f"#/household/{household}", ".columns")
    assert "未能见到" in page.inner_text(".title")
    page = one.fill_visit(household, outcome="no_risk")
    page.click("#save")
    page.wait_for_selector(".result.good")
    assert "更正" in page.inner_text(".result")
    assert [row["outcome"] for row in service.visits(household)] == ["unreachable", "no_risk"]


def test_households_looked_at_before_can_be_visited_without_a_network_and_are_sent_when_it_is_back(
    visitor, service
):
    one, household, other = visitor().sign_in(), service.take(), service.take()
    one.see(f"#/visit/{household}", "form")
    one.see("#/list", "#rows")
    one.context.set_offline(True)
    page = one.fill_visit(household, note="无信号")
    assert "没有连上系统：这是 09:30 看过的内容" in page.inner_text("main")
    page.click("#save")
    page.wait_for_selector("#send")
    one.see(f"#/visit/{other}", ".trouble")
    assert "没有连上系统" in page.inner_text("main")
    one.see("#/list", "#rows")
    one.context.set_offline(False)  # nobody presses anything
    page.wait_for_selector("#unsent.done")
    assert [row["note"] for row in service.visits(household)] == ["无信号"]
    one.excuse_the_network()
