"""Every view, both languages: accessible, on a phone, by keyboard alone, and on paper."""

from __future__ import annotations

import pytest

DESK, PHONE = (1366, 768), (360, 740)


def views(household):
    """Address of each view, and what must stand there before it is looked at."""
    return {
        "list": ("#/list", "#rows"),
        "everybody": ("#/list?everybody=true", "#rows"),
        "nothing found": ("#/list?q=nobody", ".notice"),
        "household": (f"#/household/{household}", ".columns"),
        "visit": (f"#/visit/{household}", "form"),
        "area": ("#/area", ".tiles"),
        "area table": ("#/area?view=table", "table"),
        "model": ("#/model", ".columns"),
        "offline": ("#/offline", ".offline"),
        "filtered": ("#/list?grade=none", ".chips"),
        "not found": ("#/household/nobody", ".trouble"),
    }


@pytest.fixture
def household(screened):
    return screened[3].rows.sort("number")["household_id"][0]


def accessible(page, where):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    assert [
        (where, item["id"], item["help"], [node["html"][:160] for node in item["nodes"]]) for item in found
    ] == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_each_view_has_no_accessibility_fault_and_fits_the_screen(visitor, household, language, size):
    one = visitor(size, language)
    page = one.page
    accessible(page, "sign-in")
    page.fill("#key", "rm_000000000000_0")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#key-fault').textContent")
    accessible(page, "sign-in refused")
    one.sign_in()
    for name, (address, wait) in views(household).items():
        one.see(address, wait)
        accessible(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], (
            f"{name}: the page is wider than the screen"
        )
        assert page.locator("h1").count() == 1, name
        assert page.locator("header .signal").is_visible(), name
        if name == "list":
            page.click(".how summary")
            accessible(page, "list explained")
        if name == "visit":
            page.check("#outcome-risk_confirmed")
            page.click("#save")
            page.wait_for_selector(".summary:not([hidden])")
            accessible(page, "visit with faults")
            page.evaluate("localStorage.removeItem('riskmodel.begun')")
    one.excuse_the_network()  # the refused key, the unknown household


def test_saved_and_not_yet_saved_have_no_accessibility_fault(visitor, service):
    one = visitor(PHONE).sign_in()
    page = one.fill_visit(service.take())
    page.route("**/v1/verifications", lambda route: route.abort())
    page.click("#save")
    page.wait_for_selector("#send")
    accessible(page, "not yet saved")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    page.unroute("**/v1/verifications")
    page.click("#send")
    page.wait_for_selector(".result.good")
    accessible(page, "saved")
    one.excuse_the_network()


class Keyboard:
    """Nothing but keys. Where the focus is must be seen at every step."""

    def __init__(self, page):
        self.page = page

    def to(self, selector, most=80):
        for _ in range(most):
            self.page.keyboard.press("Tab")
            here = self.page.evaluate(
                """selector => { const at = document.activeElement; const style = getComputedStyle(at);
                const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                return {there: at.matches(selector), ring, what: at.outerHTML.slice(0, 120)}; }""",
                selector,
            )
            assert here["ring"], f"the focus is not seen on {here['what']}"
            if here["there"]:
                return
        pytest.fail(f"{selector} is not reached with the Tab key")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text):
        self.page.keyboard.type(text)


def test_from_sign_in_to_a_recorded_visit_with_the_keyboard_alone(visitor, service):
    household = service.take()
    one = visitor()
    page, keys = one.page, Keyboard(one.page)
    keys.type(service.keys["screener"])  # the field has the focus already
    keys.press("Enter")
    page.wait_for_selector("#rows")
    page.wait_for_function("() => document.activeElement.tagName === 'H1'")
    keys.to("#q")
    keys.type(household)
    keys.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('#rows .id').length === 1")
    assert page.evaluate("document.activeElement.id") == "q", "the focus stays where one was"
    keys.to("#rows .id a")
    keys.press("Enter")
    page.wait_for_selector(".household")
    page.wait_for_function("() => document.activeElement.tagName === 'H1'")
    keys.to("#record")
    keys.press("Enter")
    page.wait_for_selector(".visit form")
    page.wait_for_function("() => document.activeElement.tagName === 'H1'")
    keys.to("#visitor")
    keys.type("05")
    keys.to("input[name=outcome]")
    keys.press("Space")
    assert page.is_checked("#outcome-risk_confirmed")
    keys.to("#risk-education")
    keys.press("Space")
    keys.to("#note")
    keys.type("ok")
    keys.to("#save")
    keys.press("Enter")
    page.wait_for_selector(".result.good")
    assert "已保存到系统" in page.evaluate("document.activeElement.textContent")
    (kept,) = service.visits(household)
    assert (kept["outcome"], kept["risk_kinds"], kept["visitor"], kept["note"]) == (
        "risk_confirmed",
        "education",
        "05",
        "ok",
    )


def test_the_skip_link_comes_first_and_leads_past_the_menu(visitor):
    one = visitor().sign_in()
    page = one.page
    for _ in range(20):  # backwards from the heading, where one stands after signing in
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.id") == "skip":
            break
    else:
        pytest.fail("the skip link is not reached")
    assert page.evaluate("document.querySelector('a, button, input, select').id") == "skip", (
        "nothing stands before it"
    )
    assert page.locator("#skip").bounding_box()["x"] >= 0, "it is seen while it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "H1"


def test_on_paper_the_sentence_stays_and_the_controls_go(visitor, household):
    one = visitor().sign_in()
    for address, wait in (("#/list", "#rows"), (f"#/household/{household}", ".columns")):
        one.see(address, wait)
        one.page.emulate_media(media="print")
        assert one.page.locator("header .signal").is_visible()
        assert not one.page.locator(".head").is_visible()
        assert one.page.locator("button:visible").count() == 0
        one.page.emulate_media(media="screen")


def test_the_strict_policy_of_the_page_is_in_force(visitor, service):
    one = visitor()
    policy = one.context.request.get(service.address + "/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert one.page.evaluate("""() => {
        const script = document.createElement('script'); script.textContent = 'window.broken = true';
        document.body.append(script); return window.broken === undefined; }"""), (
        "an inline script must not run"
    )
    one.complaints.clear()  # the browser says that it refused


def test_at_200_percent_and_on_320_points_nothing_is_cut_off_or_needs_sideways_scrolling(visitor, household):
    for size in ((683, 384), (320, 640)):
        one = visitor(size).sign_in()
        for name, (address, wait) in views(household).items():
            page = one.see(address, wait)
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], f"{name} at {size}"
            cut = page.evaluate(
                """() => [...document.querySelectorAll(
                    'main h1, main h2, main button, main .button, main th, main td, main p')]
                  .filter((one) => one.offsetParent && !one.closest('.scroller, .heard-only, thead')
                    && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline')
                  .map((one) => one.outerHTML.slice(0, 120))"""
            )
            assert cut == [], f"{name} at {size}"
        one.excuse_the_network()


def test_nothing_moves_and_state_does_not_hang_on_colour_alone(visitor, project):
    text = "".join(
        path.read_text(encoding="utf-8") for path in (project.root / "serving" / "web").glob("*.css")
    )
    assert "transition" not in text and "animation" not in text and "scroll-behavior" not in text
    one = visitor().sign_in()
    one.page.emulate_media(forced_colors="active")
    pressed, other = (
        one.page.evaluate(
            f"getComputedStyle(document.querySelector('.switch [aria-pressed={value}]')).borderTopWidth"
        )
        for value in ("true", "false")
    )
    assert pressed == "3px" and other == "1px"
    assert one.page.evaluate("getComputedStyle(document.querySelector('.grade')).borderTopStyle") == "solid"


def test_what_is_saved_and_what_is_not_is_told_to_those_who_listen(visitor, service):
    one = visitor().sign_in()
    page = one.fill_visit(service.take())
    assert page.get_attribute("#unsent", "role") == "status"
    page.route("**/v1/verifications", lambda route: route.abort())
    page.click("#save")
    page.wait_for_selector("#send")
    assert page.get_attribute(".result", "role") == "status"
    assert "尚未保存" in page.inner_text("#unsent") and "尚未保存" in page.evaluate(
        "document.activeElement.textContent"
    )
    page.unroute("**/v1/verifications")
    page.click("#send")
    page.wait_for_selector(".result.good")
    assert page.get_attribute(".result", "role") == "status"
    assert "已保存到系统" in page.evaluate("document.activeElement.textContent")
    one.excuse_the_network()


def test_without_a_network_the_page_is_accessible_too(visitor):
    for language in ("zh", "en"):
        one = visitor(PHONE, language).sign_in()
        one.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        one.context.set_offline(True)
        one.page.reload()
        one.page.wait_for_selector(".offline")
        accessible(one.page, "offline")
        one.page.locator(".ids a").first.click()
        one.page.wait_for_selector(".visit form")
        accessible(one.page, "visit offline")
        one.excuse_the_network()
