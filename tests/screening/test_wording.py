"""Words around numbers are right for nothing, one, many, halves and the unknown, in both languages."""

from __future__ import annotations

import datetime as dt
import re
from typing import get_args

import numpy as np
import pytest

from riskmodel.features.catalogue import Feature, Unit
from riskmodel.screening import wording

UNITS = get_args(Unit)


@pytest.mark.parametrize(
    ("value", "unit", "zh", "en"),
    [
        (23400.0, "yuan", "23,400元", "23,400 yuan"),
        (1.0, "yuan", "1元", "1 yuan"),
        (0.3, "yuan", "不到1元", "less than 1 yuan"),
        (-3200.4, "yuan", "-3,200元", "-3,200 yuan"),
        (8500.0, "yuan_per_person", "人均8,500元", "8,500 yuan per person"),
        (0.61, "share", "61%", "61%"),
        (0.004, "share", "不到1%", "less than 1%"),
        (0.0, "share", "0%", "0%"),
        (-0.001, "share", "0%", "0%"),
        (1.53, "share", "153%", "153%"),
        (1.5, "ratio", "1.5倍", "1.5 times"),
        (0.0, "times", "0次", "0 times"),
        (1.0, "times", "1次", "once"),
        (2.0, "times", "2次", "twice"),
        (3.0, "times", "3次", "3 times"),
        (1.0, "visits", "1次", "1 visit"),
        (4.0, "visits", "4次", "4 visits"),
        (0.0, "people", "0人", "0 people"),
        (1.0, "people", "1人", "1 person"),
        (2.0, "people", "2人", "2 people"),
        (1.0, "months", "1个月", "1 month"),
        (2.5, "months", "2.5个月", "2.5 months"),
        (1.0, "days", "1天", "1 day"),
        (30.0, "days", "30天", "30 days"),
        (1.0, "years", "1年", "1 year"),
        (2.0, "level", "2级", "level 2"),
        (0.04, "mu", "不到0.1亩", "less than 0.1 mu"),
        (3.5, "mu", "3.5亩", "3.5 mu"),
        (12.0, "km", "12公里", "12 km"),
        (1.0, "households", "1户", "1 household"),
        (0.0, "flag", "否", "no"),
        (1.0, "flag", "是", "yes"),
        (float("nan"), "yuan", "不详", "unknown"),
    ],
)
def test_a_value_is_said_with_its_unit(value, unit, zh, en):
    assert wording.format_value(value, unit, "zh") == zh
    assert wording.format_value(value, unit, "en") == en


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_can_be_said_for_a_grid_of_values(unit):
    for value in (
        float("nan"),
        -1e7,
        -2.5,
        -1.0,
        -0.001,
        -0.0,
        0.0,
        0.001,
        0.04,
        0.5,
        1.0,
        1.04,
        2.0,
        3.0,
        10.0,
        99.95,
        12345.6,
        1e7,
    ):
        for language in wording.LANGUAGES:
            text = wording.format_value(value, unit, language)
            assert text and "nan" not in text and "{" not in text and not re.search(r"-0(?!\.)", text), (value, text)
            if language == "en" and not np.isnan(value):
                assert not re.search(r"(?<![\d.,])1 (?:people|visits|months|days|years|households)\b", text), text
                assert not re.search(
                    r"(?<![\d.,])(?:[02-9]|\d\d+) (?:person|visit|month|day|year|household)\b(?!s)(?! per)", text
                ), text


def entry(**changes) -> Feature:
    words = {
        "label": {"zh": "住院次数", "en": "Hospital stays"},
        "family": "illness",
        "topic": "hospital",
        "unit": "times",
        "sources": ["medical"],
        "window": "12m",
        "missing": {"zh": "无医保数据", "en": "no medical table"},
        "riskier_when": "higher",
        "risk_kind": "illness",
        "status": "active",
        "sentence": {
            "zh": {"value": "近12个月住院{value}", "zero": "近12个月没有住院"},
            "en": {"value": "in hospital {value} in the last 12 months", "zero": "not in hospital in the last 12 months"},
        },
    }
    return Feature.model_validate(words | changes)


def test_nothing_one_many_and_unknown_have_their_own_sentence():
    feature = entry()
    said = [wording.sentence(feature, value, "en") for value in (0.0, 1.0, 2.0, 5.0, float("nan"))]
    assert said == [
        "not in hospital in the last 12 months",
        "in hospital once in the last 12 months",
        "in hospital twice in the last 12 months",
        "in hospital 5 times in the last 12 months",
        "There is no record for “Hospital stays”",
    ]
    assert wording.sentence(feature, 3.0, "zh") == "近12个月住院3次"
    assert wording.sentence(feature, float("nan"), "zh") == "暂无“住院次数”的记录"


def test_sentences_are_written_once_for_equal_values_and_small_ones_are_not_called_nothing():
    feature = entry(unit="months")
    values = np.array([1.0, 0.0, np.nan, 1.04, 0.01, np.nan])
    texts, place = wording.render(feature, values, "en")
    assert [texts[number] for number in place] == [wording.sentence(feature, float(value), "en") for value in values]
    assert len(texts) == 4


@pytest.mark.parametrize(
    ("days", "zh", "en"),
    [(1, "1天", "1 day"), (45, "45天", "45 days"), (60, "2个月", "2 months"), (92, "3个月", "3 months"), (730, "1年", "1 year"), (1200, "3年", "3 years")],
)  # fmt: skip
def test_a_gap_is_said_as_people_say_it(days, zh, en):
    assert (wording.gap(days, "zh"), wording.gap(days, "en")) == (zh, en)


def test_dates_do_not_depend_on_the_machine():
    assert wording.format_date(dt.date(2025, 11, 3), "zh") == "2025年11月3日"
    assert wording.format_date(dt.date(2025, 11, 3), "en") == "3 November 2025"


def test_a_comparison_names_its_area_and_nothing_is_said_without_one():
    assert wording.compare(1, 97, "township", "zh") == "，高于本乡镇97%的农户"
    assert wording.compare(-1, 90, "county", "zh") == "，低于本县90%的农户"
    assert wording.compare(1, 97, "township", "en") == ", higher than for 97% of households in the township"
    assert wording.compare(2, 3, "county", "en") == " (as about 3% of households in the county)"
    assert wording.compare(0, 0, "", "zh") == ""
    assert wording.compare(-1, 92, "township", "zh", below_zero=True) == "，处于本乡镇最低的8%", (
        "a fall by 30% is not lower than others' falls"
    )
    assert wording.compare(1, 70, "township", "en", below_zero=True) == ""
    assert wording.compare(-1, 89, "township", "zh", manner="since") == "，比本乡镇89%的农户间隔更短"
    assert wording.compare(1, 75, "county", "en", manner="distance") == ", farther than for 75% of households in the county"
    assert wording.compare(1, 88, "township", "zh", manner="age") == "，比本乡镇88%的农户更年长"


def test_ages_distances_and_times_ago_are_compared_in_their_own_words(project):
    from riskmodel.features.catalogue import load_catalogue

    catalogue = load_catalogue(project)
    manners = {name: wording.manner(feature) for name, feature in catalogue.root.items()}
    assert manners["head_age"] == "age" and manners["distance_km"] == "distance" and manners["days_since_inpatient"] == "since"
    assert manners["hospital_days_12m"] == "count" and manners["village_monitored_share"] == "nothing"
    assert wording.sentence(catalogue["head_age"], 75.0, "zh") == "户主年龄75岁"
    assert wording.sentence(catalogue["income_gap_pp"], -1200.0, "zh") == "扣除合规自付医疗费后，人均收入比监测线低1,200元"
    assert wording.sentence(catalogue["village_monitored_share"], 0.031, "zh") == "本村有约5%的其他农户正在监测"


def test_every_sentence_of_the_catalogue_can_be_said_for_a_grid_of_values(project):
    from riskmodel.features.catalogue import load_catalogue

    grids = {
        "flag": [0.0, 1.0],
        "share": [-0.3, 0.0, 0.004, 0.01, 0.5, 1.0, 1.53],
        "yuan": [-12000.0, -1.0, 0.0, 0.4, 1.0, 2.0, 23400.0],
        "yuan_per_person": [-12000.0, 0.0, 1.0, 8500.0],
    }
    for name, feature in load_catalogue(project).root.items():
        for value in [*grids.get(feature.unit, [-3.0, -1.0, 0.0, 0.04, 1.0, 2.0, 2.5, 3.0, 48.0]), float("nan")]:
            for language in wording.LANGUAGES:
                text = wording.sentence(feature, value, language)
                where = f"{name} at {value} ({language}): {text!r}"
                assert text.strip() == text and text, where
                assert "{" not in text and "nan" not in text.split() and not re.search(r"\bNone\b(?! of)", text), where
                assert name not in text or "_" not in name, f"a feature's name is shown: {where}"
                assert "log-odds" not in text and "SHAP" not in text, where
                assert not text.endswith((".", "。", "；", ";", ",", "，")), f"the list of reasons sets the points: {where}"
                if language == "zh":
                    assert re.search(r"[一-鿿]", text), where
                    assert not re.search(r"[,;:!?](?!\d)", text), f"Chinese points are wanted: {where}"
                else:
                    assert not re.search(r"[一-鿿，。；：]", text), where
                    assert not re.search(r"(?<![\d.,-])1 (?:people|visits|months|days|years|households|times|members)\b", text), (
                        where
                    )
                    assert "  " not in text, where
