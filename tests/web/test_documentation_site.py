"""The documentation's own search, in a browser and from files: Chinese and English words lead to their
pages.
"""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def found(chromium, site):
    """Titles of the pages that the site finds for some words, and errors of its scripts."""
    errors: list[str] = []
    page = chromium.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))

    def search(words: str) -> list[str]:
        page.goto(f"{(site / 'search.html').as_uri()}?q={words}")
        page.wait_for_selector("#search-results ul.search li a", timeout=15_000)
        titles = [link.inner_text() for link in page.query_selector_all("#search-results ul.search li a")]
        assert set(errors) <= {"Failed to fetch"}, (
            "from files a browser shows no excerpts, and nothing else fails"
        )
        return titles

    yield search
    page.close()


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("走访清单", "一个月怎么用走访清单"),
        ("反向代理", "运行"),
        ("随机抽查", "谁能看什么、做什么"),
        ("quarantined", "Extracts: read, mapped, checked, kept"),
        ("calibration", "How good is it, and how sure are we"),
    ],
)
def test_words_lead_to_their_page_without_a_connection(found, words, title):
    assert title in found(words)
