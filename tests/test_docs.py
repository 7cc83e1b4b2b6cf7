"""What the documents say is so: links lead somewhere, commands exist, generated pages are up to date, names
are not invented.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def generate(checkout):
    spec = importlib.util.spec_from_file_location("generate", checkout / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands() -> set[str]:
    import typer

    from riskmodel.cli import app

    return set(typer.main.get_command(app).commands)


def test_generated_pages_are_up_to_date(checkout):
    stale = [
        path.name
        for path, text in generate(checkout).pages().items()
        if path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run `make pages`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page):
    known = commands()
    named = re.findall(r"(?:`|^|\n\s*)riskmodel ([a-z]+)", page.read_text(encoding="utf-8"))
    assert [name for name in named if name not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_is_named_exists(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8"))
    assert [name for name in named if name not in targets] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_project_that_is_named_exists(page):
    named = re.findall(
        r"`((?:src|features|training|serving|notebooks|tests|benchmarks|docs)/[\w./-]+\.(?:py|yaml|md|ipynb|csv))`",
        page.read_text(encoding="utf-8"),
    )
    assert [
        name
        for name in named
        if not (ROOT / name).exists() and not (ROOT / "src" / "riskmodel" / name).exists()
    ] == []


def test_both_readmes_tell_the_same(project):
    english, chinese = (
        (project.root / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")
    )
    for pattern in (r"```sh\n(make \w+)", r"docs/(?:zh/)?[\w.-]+\.md", r"notebooks/\w+\.ipynb"):
        neutral = lambda text: {  # noqa: E731
            item.replace(".zh.md", ".md").replace("docs/zh/", "docs/")
            for item in re.findall(pattern, text)  # noqa: B023
        }
        assert neutral(english) == neutral(chinese), pattern


def test_ways_to_set_up_are_described_on_one_page_only():
    for page in [page for page in PAGES if page.name != "installation.md"]:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"pip install|uv sync|conda |venv -m|python -m venv", text), page.name


def test_the_site_builds_without_a_warning_and_loads_nothing_from_outside(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(?:script|img|iframe)[^>]*src=.https?:|<link[^>]*href=.https?:", text), (
            page.name
        )


def test_the_site_has_chinese_text_in_its_search_index_by_pairs_of_characters(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    terms = json.loads(index[index.index("(") + 1 : index.rindex(")")])["terms"]
    assert {"走访", "访清", "清单", "visit"} <= set(terms)  # 走访清单, in the way a query is cut
    assert not {term for term in terms if re.fullmatch("[一-鿿]{3,}", term)}
