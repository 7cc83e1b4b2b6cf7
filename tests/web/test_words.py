"""Texts of the page, without a browser: both languages, none missing, none left over, the sentence of the
vocabulary.
"""

from __future__ import annotations

import re

import pytest

from riskmodel.casebook.roles import ROLES
from riskmodel.tables.schema import TABLES
from riskmodel.visits.forms import OUTCOMES
from riskmodel.vocabulary import GRADES, RISK_KINDS, SIGNAL_EN, SIGNAL_ZH


@pytest.fixture(scope="module")
def scripts(project):
    return {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted((project.root / "serving" / "web").glob("*.js"))
    }


@pytest.fixture(scope="module")
def words(scripts):
    pair = r'"((?:[^"\\]|\\.)*)"'
    return {
        name: (zh, en)
        for name, zh, en in re.findall(
            rf"^  (\w+): \[\s*{pair},\s*{pair},?\s*\],$", scripts["words.js"], re.MULTILINE
        )
    }


def test_every_text_stands_in_both_languages_with_the_same_blanks(words, scripts):
    assert len(words) > 200
    assert len(words) == len(re.findall(r"^  \w+: \[", scripts["words.js"], re.MULTILINE)), (
        "a text that this test cannot read"
    )
    for name, (zh, en) in words.items():
        assert zh and en, name
        assert set(re.findall(r"\{\w+\}", zh)) == set(re.findall(r"\{\w+\}", en)), name


def test_every_text_that_the_page_asks_for_exists_and_none_is_left_over(words, scripts):
    code = "\n".join(text for name, text in scripts.items() if name != "words.js")
    asked = set(re.findall(r'\bt\(\s*"(\w+)"', code))
    assert asked - set(words) == set()
    named = set(re.findall(r'"(\w+)"', code))
    made = set(re.findall(r"`(\w+_)\$\{", code))
    assert {name for name in words if name not in named and not name.startswith(tuple(made))} == set()


def test_the_signal_sentence_is_that_of_the_vocabulary(words):
    assert words["signal"] == (SIGNAL_ZH, SIGNAL_EN)


def test_codes_of_the_service_have_words(words):
    for role in ROLES:
        assert f"role_{role}" in words
    for status in ("open", "visited", "unreachable"):
        assert f"status_{status}" in words
    origins = next(column for column in TABLES["verifications"].columns if column.name == "origin").codes
    for origin in origins:
        assert f"origin_{origin}" in words


def test_every_reading_of_a_group_has_words(words):
    from riskmodel.training.fairness import FLAGGED, INSUFFICIENT, NO_GAP, OTHERS_MISSED, UNKNOWN

    for verdict in (FLAGGED, OTHERS_MISSED, NO_GAP, INSUFFICIENT, UNKNOWN):
        assert f"verdict_{verdict.replace(' ', '_')}" in words


def test_risk_kinds_are_named_as_in_the_vocabulary(words):
    named = {name.removeprefix("kind_"): pair for name, pair in words.items() if name.startswith("kind_")}
    assert named == RISK_KINDS


def test_departments_are_named_as_in_the_codelist(words, project):
    sources = project.document("features/codelists/sources.yaml").data
    named = {name.removeprefix("table_"): pair for name, pair in words.items() if name.startswith("table_")}
    assert named == {name: (source["label"]["zh"], source["label"]["en"]) for name, source in sources.items()}


def test_grades_are_named_as_in_the_vocabulary(scripts):
    found = dict(re.findall(r'(red|orange|yellow|none): \["(.)", ', scripts["marks.js"]))
    assert found == {code: zh for code, (zh, _) in GRADES.items()}


def test_only_outcomes_of_the_form_ask_for_risk_kinds(scripts):
    asked = re.search(r"const WITH_RISKS = \[(.*?)\]", scripts["visit.js"]).group(1)
    assert set(re.findall(r'"(\w+)"', asked)) <= set(OUTCOMES)


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline(project, scripts):
    folder = project.root / "serving" / "web"
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|<script>|\son\w+=", html)
    for path in sorted(folder.iterdir()):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"//\s.*|/\*.*?\*/", "", text, flags=re.DOTALL) or path.suffix == ".js", (
            path.name
        )
        assert not re.search(r"https?://|@import|url\(", text), path.name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
        ), path.name
