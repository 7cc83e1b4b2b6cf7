"""The list on paper: what stands on every sheet, how townships part, and plain words where a part for PDF is
missing.
"""

from __future__ import annotations

import builtins
import datetime as dt
import re
import shutil
import subprocess
import sys

import pytest

from riskmodel.errors import UserError
from riskmodel.visits import paper
from riskmodel.visits.listing import screening_list
from riskmodel.visits.writers import write_list
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH

AS_OF = dt.date(2025, 12, 31)


@pytest.fixture
def visits(small_county, falling):
    rules = {"rule_dropout": {f"h{number:03d}": float(number % 3 == 0) for number in range(60)}}
    return screening_list(falling(60, **rules), small_county(60), AS_OF, capacity=20)


@pytest.fixture(scope="module")
def printing(tmp_path_factory):
    """True where this machine can write PDF and read it again."""
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError):
        return False
    return shutil.which("pdftotext") is not None


def pages_of(path):
    text = subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], check=True, capture_output=True
    ).stdout.decode()
    return text.split("\f")[:-1]


def test_every_sheet_carries_the_sentence_its_number_and_the_headings(visits, tmp_path, printing, needs):
    needs(printing, "WeasyPrint with Pango, and pdftotext")
    pages = pages_of(write_list(visits, tmp_path / "list.pdf"))
    assert len(pages) >= 5
    for number, page in enumerate(pages, start=1):
        assert page.count(SIGNAL_ZH) >= 2 and re.search(rf"{number}\s*/\s*{len(pages)}\s*$", page)
        assert "户编号" in page or "说明" in page


def test_it_is_a4_landscape_dated_by_the_list_and_in_a_chinese_font(visits, tmp_path, printing, needs):
    needs(printing and shutil.which("pdffonts"), "WeasyPrint with Pango, and pdffonts")
    path = write_list(visits, tmp_path / "list.pdf")
    said = subprocess.run(["pdfinfo", str(path)], check=True, capture_output=True, text=True).stdout
    assert re.search(r"Page size:\s+841\.\d+ x 595\.\d+ pts \(A4\)", said) and "Dec 31" in said
    fonts = subprocess.run(["pdffonts", str(path)], check=True, capture_output=True, text=True).stdout
    assert re.search("CJK|SourceHan|WenQuanYi|YaHei", fonts, re.IGNORECASE)


def test_each_township_begins_a_sheet_of_its_own(visits, tmp_path, printing, needs):
    needs(printing, "WeasyPrint with Pango, and pdftotext")
    pages = pages_of(write_list(visits, tmp_path / "list.pdf"))
    townships = visits.rows["township_code"].unique().to_list()
    assert len(townships) == 4
    for page in pages:
        # A village code begins with its township's: no sheet holds the villages of two.
        assert len({code[:9] for code in re.findall(r"522301\d{6}", page)}) <= 1


def test_the_same_list_gives_the_same_bytes_in_another_process_too(visits, tmp_path, printing, needs):
    needs(printing, "WeasyPrint with Pango")
    first = write_list(visits, tmp_path / "a.pdf").read_bytes()
    assert first == write_list(visits, tmp_path / "b.pdf").read_bytes()
    (tmp_path / "page.html").write_text(paper.page_of(visits), encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from riskmodel.visits import paper; page, name, out = "
        "sys.argv[1:];paper.page_of = lambda _: Path(page).read_text('utf-8'); visits = type('V', (), "
        "{'hash': name});Path(out).write_bytes(paper.pdf_bytes(visits))"
    )
    arguments = [tmp_path / "page.html", visits.hash, tmp_path / "c.pdf"]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, timeout=300)
    assert (tmp_path / "c.pdf").read_bytes() == first


def test_the_page_holds_every_visit_and_everybody_on_standby_once(visits):
    page = paper.page_of(visits)
    assert visits.standby.height
    for name in visits.rows["household_id"]:
        assert page.count(f"<td>{name}</td>") == 1
    assert (
        page.count("<section>") == len(re.findall("走访组 Team", page)) + 1
    )  # one for each table, and the notes
    assert SIGNAL_EN in page and "核实结果 Outcome" in page  # what may be written in: paper has no drop-downs


def test_nothing_on_paper_says_who_was_drawn_by_chance(visits):
    assert visits.counts["random_check"]
    assert not re.search("random|抽查|inclusion|stratum", paper.page_of(visits))


def test_what_a_browser_would_run_stays_text(small_county, falling):
    scores = falling(10)
    scores["reasons_zh"] = "<script>alert(1)</script>"
    page = paper.page_of(screening_list(scores, small_county(10), AS_OF, capacity=4))
    assert "<script" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ModuleNotFoundError("No module named 'weasyprint'"),
            "WeasyPrint is not installed; expected the extra `print`",
        ),
        (OSError("cannot load library 'libpango-1.0-0'"), "Pango cannot be loaded"),
    ],
)
def test_a_missing_part_is_said_with_what_to_do(visits, tmp_path, monkeypatch, error, message):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "weasyprint":
            raise error
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=message) as caught:
        write_list(visits, tmp_path / "list.pdf")
    assert "write .html and print it from a browser" in str(caught.value) and not list(tmp_path.iterdir())


def test_a_machine_without_a_chinese_font_is_told_so(visits, tmp_path, monkeypatch, printing, needs):
    needs(printing, "WeasyPrint with Pango")
    program = tmp_path / "fc-list"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no Chinese font on this machine"):
        write_list(visits, tmp_path / "list.pdf")
