"""Make the pictures of docs/screening-page.md from a running service: `python docs/screenshots.py ADDRESS
KEY`.

ADDRESS: such as http://127.0.0.1:3000; KEY: a screener's key of a synthetic county (never photograph real
households). Needs Chromium on the PATH. The page's clock is set to two weeks after the list's day, so that
the pictures do not depend on when they are made. It records one visit.
"""

from __future__ import annotations

import datetime as dt
import io
import shutil
import sys
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).parent / "pictures"
DESK, PHONE = (1366, 768), (360, 740)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
MOST_BYTES = 150_000
TO_VISIT = "#rows tr:has(.status.open) .id a"


def small(png: bytes) -> bytes:
    """The picture with 128 colours: the page has few, and the file is a third."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return buffer.getvalue()


def photograph(page: Any, name: str) -> None:
    """Keep what is on the screen as docs/pictures/page-NAME.png."""
    picture = small(page.screenshot())
    if len(picture) > MOST_BYTES:
        raise SystemExit(f"page-{name}.png has {len(picture):,} bytes, more than {MOST_BYTES:,}")
    (PICTURES / f"page-{name}.png").write_bytes(picture)
    print(f"docs/pictures/page-{name}.png  {len(picture):,} bytes")


def sign_in(browser: Any, address: str, key: str, size: tuple[int, int], language: str) -> Any:
    """A signed-in page in a language."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, locale="zh-CN" if language == "zh" else "en-GB"
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#key")
    if language == "en":
        page.click("#top button")
    page.fill("#key", key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows")
    lists = page.evaluate("fetch('v1/lists').then((answer) => answer.json())")["lists"]
    page.clock.set_fixed_time(dt.datetime.fromisoformat(lists[0]["as_of"]) + dt.timedelta(days=15, hours=9))
    page.reload()
    page.wait_for_selector("#rows")
    return page


def look(page: Any, address: str, wait: str) -> None:
    """Go to a view."""
    page.evaluate("address => { location.hash = address; }", address)
    page.wait_for_selector(f"main {wait}")
    page.wait_for_timeout(200)


def main(address: str, key: str) -> None:
    """Every picture of the document."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": DESK[0], "height": DESK[1]}, locale="zh-CN")
        page.goto(address)
        page.wait_for_selector("#key")
        photograph(page, "sign-in-zh")
        page.close()
        for language in ("zh", "en"):
            page = sign_in(browser, address, key, DESK, language)
            photograph(page, f"list-{language}")
            household = page.locator(TO_VISIT).nth(1).inner_text()
            look(page, f"#/household/{household}", ".columns")
            photograph(page, f"household-{language}")
            look(page, f"#/visit/{household}", "form")
            page.fill("#visitor", "03")
            page.check("#outcome-risk_confirmed")
            page.check("#risk-illness")
            photograph(page, f"visit-{language}")
            look(page, "#/area", ".tiles")
            photograph(page, f"area-{language}")
            look(page, "#/model", ".columns")
            photograph(page, f"model-{language}")
            page.close()
        page = sign_in(browser, address, key, PHONE, "zh")
        photograph(page, "phone-list-zh")
        household = page.locator(TO_VISIT).nth(1).inner_text()
        look(page, f"#/visit/{household}", "form")
        page.fill("#visitor", "03")
        page.check("#outcome-no_risk")
        page.route("**/v1/verifications", lambda route: route.abort())  # the connection is gone
        page.click("#save")
        page.wait_for_selector("#send")
        photograph(page, "phone-not-saved-zh")
        page.unroute("**/v1/verifications")
        page.click("#send")
        page.wait_for_selector(".result.good")
        look(page, "#/list", "#rows")
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        page.context.set_offline(True)
        page.reload()
        page.wait_for_selector(".offline")
        photograph(page, "phone-offline-zh")
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2])
