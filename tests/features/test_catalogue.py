"""The catalogue: one entry a function, one form, words that are right; the pages are made from it."""

from __future__ import annotations

import re

import pytest

from riskmodel.errors import ProjectError
from riskmodel.features.catalogue import Catalogue, load_catalogue
from riskmodel.features.definitions import definitions
from riskmodel.features.denylist import Denylist
from riskmodel.features.page import WINDOWS, features_page
from riskmodel.policy import NUMBERS
from riskmodel.tables.schema import TABLES


def test_functions_and_entries_match_one_to_one_and_are_in_one_order(catalogue):
    entries, functions = catalogue.names, list(definitions())
    bare = sorted(set(functions) - set(entries))
    assert not bare, f"add an entry to features/catalogue.yaml for the functions {bare}"
    for entry, function in zip(entries, functions, strict=True):
        assert entry == function, (
            f"features/catalogue.yaml has `{entry}` where its family's file has `{function}`: "
            "put the entries in the order of the functions"
        )


def test_each_entry_says_what_its_function_does(catalogue):
    for name, definition in definitions().items():
        entry = catalogue[name]
        read = sorted(definition.tables)
        assert entry.family == definition.family, f"{name}: its function is in {definition.family}.py"
        assert set(read) <= set(entry.sources) <= set(TABLES), f"{name}: sources must name {read}"
        assert definition.formula, f"{name} has no docstring: its formula"
        assert entry.window in WINDOWS, f"{name}: add its window to WINDOWS in features/page.py"
        assert entry.unit != "flag" or (entry.sentence.zh.zero and entry.sentence.en.zero), (
            f"{name}: a flag needs `zero`, the sentence for no, in both languages"
        )
        assert (entry.family == "rules") == (entry.status == "rule"), f"{name}: status rule is for rules.py"


def test_there_are_about_as_many_as_promised(catalogue):
    assert 120 <= len(catalogue.with_status("active")) <= 160
    assert len(catalogue.with_status("rule")) == 13


def test_names_that_others_rely_on_are_there(catalogue):
    for name in (
        "net_income_pp_12m",
        "income_gap_pp",
        "rule_event",
        "rule_guarantee_failed",
        "medical_age_days",
    ):
        assert name in catalogue


def test_sentences_have_their_value_and_no_code(catalogue):
    for name, entry in catalogue.root.items():
        for said in (entry.sentence.zh, entry.sentence.en):
            if entry.unit != "flag":
                assert "{value}" in said.general or "{yuan}" in said.general, name
            assert not any(re.search(r"[a-z]_[a-z]|NaN|贫困户|认定", text) for text in said.texts), name
            assert bool(entry.sentence.zh.negative) == bool(entry.sentence.en.negative), name
        assert not re.search(
            r"[a-z]{3}", entry.sentence.zh.general.replace("{value}", "").replace("{yuan}", "")
        ), name


def test_no_feature_is_on_the_denylist(catalogue, project):
    denylist = Denylist.load(project)
    assert denylist.faults(catalogue.names, "features/catalogue.yaml") == []
    found = denylist.faults(
        ["ethnic_minority", "village_code", "Object_Class", "risk_kinds", "household_id", "age"], "plan"
    )
    assert len(found) == 5


@pytest.mark.parametrize(("language", "file"), [("zh", "features.zh.md"), ("en", "features.md")])
def test_the_page_is_up_to_date(catalogue, project, language, file):
    assert (project.root / "docs" / file).read_text(encoding="utf-8") == features_page(catalogue, language), (
        "Run `make pages` and look at what changed"
    )


def test_an_unknown_key_is_refused_with_file_and_line(own_project):
    path = own_project.root / "features" / "catalogue.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("  topic: income_level", "  theme: income_level", 1), encoding="utf-8")
    with pytest.raises(ProjectError) as error:
        load_catalogue(own_project)
    assert re.search(r"catalogue\.yaml:\d+ .*unknown key `theme`", str(error.value))
    assert "`topic` is missing" in str(error.value)


def test_every_policy_number_that_a_function_may_ask_for_is_used():
    from riskmodel.features.tracing import _names_read

    read = {name for definition in definitions().values() for name in _names_read(definition.function)}
    assert set(NUMBERS) - read == set()


def test_a_catalogue_may_leave_features_out_and_order_them(catalogue, policy, written):
    import datetime as dt

    from riskmodel.features import build

    names = ["household_size", "net_income_pp_12m"]
    small = Catalogue({name: catalogue[name] for name in names})
    matrix = build(written("", 3), dt.date(2025, 1, 15), catalogue=small, policy=policy)
    assert matrix.names == tuple(names)
    assert matrix.column("household_size").tolist() == [3.0]
