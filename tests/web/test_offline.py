"""The page without a connection: it opens from the device, takes visits, sends them once, and forgets
everything on signing out.
"""

from __future__ import annotations

import hashlib
import json

import pytest

HELD = """async () => {
  const names = await caches.keys();
  const pathsOf = async (name) =>
    (await (await caches.open(name)).keys()).map((request) => new URL(request.url).pathname);
  const held = await Promise.all(names.map(pathsOf));
  return { names, paths: held.flat() };
}"""


def kept_by_the_browser(one):
    """Wait until the worker has the page's files; the caches' names and the addresses in them."""
    one.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    return one.page.evaluate(HELD)


def open_without_network(one, wait=".offline"):
    kept_by_the_browser(one)
    one.context.set_offline(True)
    one.page.reload()
    one.page.wait_for_selector(wait)
    return one.page


def test_a_record_written_after_opening_the_page_without_a_network_is_sent_once_and_then_shown_as_saved(
    visitor, service
):
    one, household = visitor().sign_in(), service.take()
    one.see(f"#/list?q={household}", "#rows")
    page = open_without_network(one)
    assert "没有连上系统" in page.inner_text("main")
    page.fill("#offline-id", household)
    page.keyboard.press("Enter")
    page.wait_for_selector(".visit form")
    page.fill("#visitor", "03")
    page.check("#outcome-risk_confirmed")
    page.check("#risk-illness")
    page.click("#save")
    page.wait_for_selector("#send")
    assert "尚未保存到系统，但不会丢失" in page.inner_text(".result")
    one.see("#/offline", ".offline")
    assert f"{household} 未发送" in page.inner_text(".ids")
    assert "等待发送（1条）" in page.inner_text("main")
    page.evaluate("id => { location.hash = `#/visit/${id}`; }", household)
    page.wait_for_selector("#send")
    page.reload()  # closed and opened once more, still without a network
    page.wait_for_selector("#send")
    assert "尚未保存到系统" in page.inner_text(".result")
    assert service.visits(household) == []
    one.context.set_offline(False)  # nobody presses anything
    page.wait_for_selector(".result.good")
    assert "已保存到系统" in page.inner_text(".result")
    (kept,) = service.visits(household)
    assert (kept["outcome"], kept["risk_kinds"], kept["visitor"], kept["version"]) == (
        "risk_confirmed",
        "illness",
        "03",
        1,
    )
    assert one.stored().get("riskmodel.queue") is None
    assert "screener desk" in page.inner_text("#foot"), "the session is known again"
    one.excuse_the_network()


def test_the_form_waits_for_nobody_when_the_service_is_gone_but_the_network_is_not(visitor, service):
    one, household = visitor().sign_in(), service.take()
    one.see(f"#/list?q={household}", "#rows")
    kept_by_the_browser(one)
    # A proxy in front that finds no service behind it.
    one.page.route(
        "**/v1/**",
        lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>502 Bad Gateway</h1>"),
    )
    page = one.fill_visit(household)
    assert "没有连上系统" in page.inner_text("main")
    page.click("#save")
    page.wait_for_selector("#send")
    one.page.unroute("**/v1/**")
    page.click("#send")
    page.wait_for_selector(".result.good")
    assert len(service.visits(household)) == 1
    one.excuse_the_network()


def test_what_is_kept_for_the_way_is_the_page_and_numbers_of_households_and_nothing_about_them(
    visitor, screened
):
    rows = screened[3].rows.sort("number")
    one = visitor().sign_in()
    one.see(f"#/household/{rows['household_id'][0]}", ".columns")
    one.see("#/area", ".tiles")
    held = kept_by_the_browser(one)
    assert {"/", "/web/app.js", "/web/words.js", "/web/look.css"} <= set(held["paths"])
    assert all(path == "/" or path.startswith("/web/") for path in held["paths"]), (
        "no answer of the service is kept"
    )
    known = one.stored()["riskmodel.known"]
    assert set(known) == {"owner", "at", "lists", "households"}
    assert [name for name, _ in known["households"]] == rows["household_id"].to_list()[:50]
    for on in known["lists"].values():
        assert set(on) == {"cycle", "county_code", "as_of", "outcomes", "risk_kind_codes", "disagreements"}
    text = json.dumps(one.stored(), ensure_ascii=False)
    cycle = known["lists"][known["households"][0][1]]["cycle"]
    page = one.page.evaluate(
        "cycle => fetch(`v1/lists/${cycle}?limit=50`).then((answer) => answer.json())", cycle
    )
    told = {
        row[name]
        for row in page["rows"]
        for name in ("village_code", "first_reason_zh", "why_zh")
        if row[name]
    }
    assert len(told) > 10
    assert [line for line in told if line in text] == []


def test_signing_out_leaves_nothing_but_the_page_and_unsent_records(visitor, service):
    one, household, other = visitor().sign_in(), service.take(), service.take()
    page = one.fill_visit(other, note="写到一半")
    page = one.fill_visit(household)
    page.route("**/v1/verifications", lambda route: route.abort())
    page.click("#save")
    page.wait_for_selector("#send")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.click("#top button >> text=退出")
    page.wait_for_selector("#key")
    assert "1 条走访记录未发送" in asked[0] and "1 户的表单没有填完" in asked[0]
    assert set(one.stored()) == {"riskmodel.queue"}
    assert all(path == "/" or path.startswith("/web/") for path in page.evaluate(HELD)["paths"])
    one.context.set_offline(True)
    page.reload()
    page.wait_for_selector("#key")
    assert household not in page.inner_text("body")
    one.context.set_offline(False)
    one.excuse_the_network()


def test_signing_out_without_a_network_clears_the_device_at_once_and_ends_the_session_later(visitor, service):
    one = visitor().sign_in()
    page = open_without_network(one)
    page.click("#top button >> text=退出")
    page.wait_for_selector("#key")
    assert "已在本机退出" in page.inner_text("main")
    assert set(one.stored()) == {"riskmodel.leaving"}
    cookies = one.context.cookies()
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as ended:
        one.context.set_offline(False)
    assert ended.value.status == 204
    one.context.add_cookies(cookies)
    assert one.context.request.get(f"{service.address}/v1/lists").status == 401
    page.wait_for_function("() => localStorage.length === 0")
    one.excuse_the_network()


def test_without_a_network_another_key_finds_nothing_of_the_one_before(visitor, screened):
    one = visitor().sign_in()
    assert one.stored()["riskmodel.known"]["households"]
    one.context.clear_cookies()  # the session ended; nobody signed out
    one.page.reload()
    one.page.wait_for_selector("#key")
    one.sign_in("case_system")
    assert "riskmodel.known" not in one.stored()
    one.excuse_the_network()


def test_a_household_not_seen_before_is_not_offered_without_a_network(visitor):
    one = visitor(language="en").sign_in()
    page = open_without_network(one)
    page.fill("#offline-id", "nobody")
    page.keyboard.press("Enter")
    assert "not known on this device" in page.inner_text("#offline-id-fault")
    assert page.evaluate("document.activeElement.id") == "offline-id"
    one.context.set_offline(False)
    page.wait_for_function(
        "() => !document.querySelector('.offline') || document.querySelector('.offline .notice.good')"
    )
    one.excuse_the_network()


def test_a_session_that_ended_meanwhile_leaves_the_form_alone_and_sends_after_signing_in(visitor, service):
    one, household = visitor().sign_in(), service.take()
    one.see(f"#/list?q={household}", "#rows")
    page = open_without_network(one)
    page.evaluate("id => { location.hash = `#/visit/${id}`; }", household)
    page.wait_for_selector(".visit form")
    page.fill("#visitor", "03")
    page.check("#outcome-no_risk")
    one.context.clear_cookies()
    with page.expect_response("**/v1/session") as answer:
        one.context.set_offline(False)
    assert answer.value.status == 401
    page.fill("#note", "写完了")
    page.click("#save")
    page.wait_for_selector("#key")
    assert "登录已过期" in page.inner_text("main")
    page.fill("#key", service.keys["screener"])
    page.keyboard.press("Enter")
    page.wait_for_selector(".result.good")
    assert [row["note"] for row in service.visits(household)] == ["写完了"]
    one.excuse_the_network()


def test_an_update_of_the_page_is_taken_whole_and_offered(visitor, service):
    one = visitor().sign_in()
    (before,) = kept_by_the_browser(one)["names"]
    one.page.reload()  # from now on the worker answers for the page's files
    one.page.wait_for_selector("#rows")
    words = service.project.root / "serving" / "web" / "words.js"
    text = words.read_text(encoding="utf-8")
    try:
        words.write_text(text.replace('listTitle: ["今日清单"', 'listTitle: ["今天的清单"'), encoding="utf-8")
        one.page.reload()
        one.page.wait_for_selector("text=页面有新版本")
        one.page.wait_for_selector("#rows")
        assert one.page.inner_text("h1") == "今日清单", "what runs goes on as it was"
        one.page.click("text=重新打开")
        one.page.wait_for_function(
            "() => document.querySelector('h1') && document.querySelector('h1').textContent === '今天的清单'"
        )
        one.page.wait_for_function(
            "before => caches.keys().then((names) => names.length === 1 && names[0] !== before)", arg=before
        )
    finally:
        words.write_text(text, encoding="utf-8")


def test_files_that_do_not_fit_together_are_not_taken(visitor, service):
    """Half of an update, as a browser would meet it while the operator copies files: the version before goes
    on.
    """
    one = visitor().sign_in()
    before = kept_by_the_browser(one)
    home = service.project.root / "serving" / "web"
    half = home / "half.js"
    listed = {
        "web/words.js": hashlib.sha256((home / "words.js").read_bytes()).hexdigest(),
        "web/app.js": "0" * 64,
    }
    lines = f'const VERSION = "half";\nconst FILES = {json.dumps(listed)};\n'
    half.write_text(lines + (home / "worker.js").read_text(encoding="utf-8"), encoding="utf-8")
    try:
        states = one.page.evaluate(
            """async () => {
              const scope = { scope: '/web/half/' };
              const registration = await navigator.serviceWorker.register('web/half.js', scope);
              const worker = registration.installing;
              const states = [worker.state];
              while (!['redundant', 'activated'].includes(states.at(-1))) {
                await new Promise((done) => worker.addEventListener('statechange', done, { once: true }));
                states.push(worker.state);
              }
              return states;
            }"""
        )
    finally:
        half.unlink()
    assert states[-1] == "redundant"
    assert one.page.evaluate(HELD) == before


@pytest.mark.parametrize("name", ["app.js", "worker.js", ""])
def test_a_file_that_the_browser_has_is_not_sent_again(visitor, service, name):
    one = visitor()
    address = f"{service.address}/web/{name}" if name else f"{service.address}/"
    first = one.context.request.get(address)
    assert first.status == 200 and first.headers["cache-control"] == "no-cache"
    again = one.context.request.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert again.status == 304 and again.body() == b""
    other = one.context.request.get(address, headers={"If-None-Match": '"0"'})
    assert other.status == 200 and other.body() == first.body()


def test_opening_the_page_for_the_first_time_costs_little_on_a_bad_connection(visitor):
    one = visitor()
    one.page.reload()
    one.page.wait_for_selector("#key")
    one.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    sizes = one.page.evaluate(
        """async () => {
          const source = await (await fetch('web/worker.js')).text();
          const files = Object.keys(JSON.parse(/const FILES = (.*);/.exec(source)[1]));
          const get = async (path) => {
            const answer = await fetch(new URL(path, document.baseURI), { cache: 'no-store' });
            return [Number(answer.headers.get('content-length')), (await answer.arrayBuffer()).byteLength];
          };
          return Promise.all(files.map(get));
        }"""
    )
    sent, read = (sum(size) for size in zip(*sizes, strict=True))
    assert len(sizes) > 20 and read > 100_000
    assert sent < 80_000, "all files of the page together, as they go over the network"
    assert (
        one.context.request.get(
            f"{one.service.address}/web/app.js", headers={"Accept-Encoding": "identity"}
        ).headers.get("content-encoding")
        is None
    )
