"""Dated values: the narrower area over the wider, the county's own table over the files, and no value before
the first or after an end.
"""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.errors import PolicyError, ProjectError
from riskmodel.policy import Policy
from riskmodel.tables import from_frames

GUIZHOU = "522301001001"


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def test_the_province_goes_over_the_nation_from_its_first_value_on(policy):
    assert policy.value("monitoring_line", GUIZHOU, day("2022-12-31")) == 6000
    assert policy.value("monitoring_line", GUIZHOU, day("2023-01-01")) == 7300
    assert policy.value("monitoring_line", "110101001001", day("2024-05-01")) == 6000


def test_the_county_goes_over_its_province(policy):
    assert policy.value("monitoring_line", "350526100200", day("2024-05-01")) == 19560


def test_every_value_says_where_it_comes_from(policy):
    assert policy.in_force("monitoring_line", GUIZHOU, day("2024-05-01")).source == "贵州省，2023年"


def test_a_day_before_the_first_value_names_the_file_and_what_to_add(policy):
    with pytest.raises(PolicyError) as error:
        policy.value("monitoring_line", GUIZHOU, day("2019-05-01"))
    text = str(error.value)
    assert "features/policy/monitoring_line.yaml" in text
    assert "2019-05-01" in text and "522301" in text and "policy table" in text


def test_a_day_after_the_end_is_refused_and_does_not_fall_back(policy):
    with pytest.raises(PolicyError, match="ended on 2027-12-31"):
        policy.value("monitoring_line", GUIZHOU, day("2028-01-01"))


def test_a_value_that_was_ended_is_refused(own_project):
    path = own_project.root / "features" / "policy" / "monitoring_line.yaml"
    text = path.read_text(encoding="utf-8")
    text = text.replace('    "53":', '      2024-01-01: {value: null, source: "废止"}\n    "53":')
    path.write_text(text, encoding="utf-8")
    policy = Policy.load(own_project)
    assert policy.value("monitoring_line", GUIZHOU, day("2023-12-31")) == 7300
    with pytest.raises(PolicyError, match="was ended"):
        policy.value("monitoring_line", GUIZHOU, day("2024-01-01"))


@pytest.mark.parametrize("area", ["522301", "520000", "52", "522301001"])
def test_the_table_of_the_data_folder_goes_over_all_files(project, area):
    frame = pl.DataFrame(
        {
            "area_code": [area],
            "name": ["monitoring_line"],
            "valid_from": [day("2023-06-01")],
            "value": [9100.0],
            "source": ["县"],
        }
    )
    policy = Policy.load(project, from_frames({"policy": frame}))
    assert policy.value("monitoring_line", GUIZHOU, day("2023-06-01")) == 9100
    assert policy.value("monitoring_line", GUIZHOU, day("2023-05-31")) == 7300
    assert policy.value("monitoring_line", "110101001001", day("2023-06-01")) == 6000


def test_accounting_windows(own_project):
    policy = Policy.load(own_project)
    assert policy.accounting_window(GUIZHOU, day("2025-03-31")) == (day("2024-03-01"), day("2025-03-01"))
    path = own_project.root / "features" / "policy" / "accounting.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            "{value: previous_12_months", "{value: october_to_september"
        ),
        encoding="utf-8",
    )
    policy = Policy.load(own_project)
    assert policy.accounting_window(GUIZHOU, day("2025-09-30")) == (day("2023-10-01"), day("2024-10-01"))
    assert policy.accounting_window(GUIZHOU, day("2025-10-01")) == (day("2024-10-01"), day("2025-10-01"))


def test_all_faults_of_the_files_come_at_once_with_their_lines(own_project):
    folder = own_project.root / "features" / "policy"
    line = folder / "monitoring_line.yaml"
    line.write_text(
        line.read_text(encoding="utf-8").replace("value: 7300", "value: -1").replace('"53":', '"5":'),
        encoding="utf-8",
    )
    (folder / "dibao_standard.yaml").unlink()
    with pytest.raises(ProjectError) as error:
        Policy.load(own_project)
    text = str(error.value)
    assert "monitoring_line.yaml:" in text and "`5`" in text
    assert "no file has `dibao_standard`" in text


def test_no_legal_figure_stands_in_the_code(project):
    import re

    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (project.root / "src/riskmodel/features").glob("*.py")
    )
    body = re.sub(r'"""(?s:.*?)"""', "", code)
    for figure in ("7300", "6000", "26000", "5000", "20000", "0.6"):
        assert not re.search(rf"(?<![\d.]){figure}(?![\d.])", body), figure


def test_a_value_that_nobody_verified_says_so_wherever_it_is_used(policy, written, catalogue):
    from riskmodel.features.tracing import explain_value

    [income, dibao] = [
        line for line in policy.unverified(["522301"], [day("2024-05-01")]) if "school_year" not in line
    ]
    assert "disposable_income.yaml (disposable_income): 21691.0" in dibao + income
    assert "not verified" in income and "policy table" in income
    assert not [
        line for line in policy.unverified(["350526"], [day("2024-05-01")]) if "dibao" in line
    ]  # Dehua's own was published
    trace = explain_value(
        written("medical", 1),
        "H1",
        "self_paid_rule_ratio",
        day("2024-05-01"),
        catalogue=catalogue,
        policy=policy,
    )
    assert "NOT VERIFIED" in trace.policy["disposable_income"][1]
    assert "NOT VERIFIED" in trace.text()


def test_the_countys_own_value_takes_the_mark_away(project):
    frame = pl.DataFrame(
        {
            "area_code": ["522301"],
            "name": ["dibao_standard"],
            "valid_from": [day("2023-06-01")],
            "value": [7000.0],
            "source": ["县"],
        }
    )
    lines = Policy.load(project, from_frames({"policy": frame})).unverified(["522301"], [day("2024-05-01")])
    assert not [line for line in lines if "dibao" in line]


def test_school_years_begin_on_the_day_of_the_policy(own_project):
    policy = Policy.load(own_project)
    assert policy.school_years(GUIZHOU, day("2025-08-31")) == (day("2023-09-01"), day("2024-09-01"))
    assert policy.school_years(GUIZHOU, day("2025-09-01")) == (day("2024-09-01"), day("2025-09-01"))
    path = own_project.root / "features" / "policy" / "accounting.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('value: "09-01"', 'value: "08-15"'), encoding="utf-8")
    assert Policy.load(own_project).school_years(GUIZHOU, day("2025-08-31")) == (
        day("2024-08-15"),
        day("2025-08-15"),
    )
    for wrong in ('"02-29"', '"9月"', "901"):
        path.write_text(text.replace('value: "09-01"', f"value: {wrong}"), encoding="utf-8")
        with pytest.raises(ProjectError, match=r"accounting\.yaml:\d+.*month and day, such as 09-01"):
            Policy.load(own_project)


@pytest.mark.parametrize(
    "name",
    ["monitoring_line", "dibao_standard", "disposable_income", "rigid_share_cutoff", "tuition_school_year"],
)
def test_every_series_refuses_a_day_before_its_first_value_with_file_and_what_to_add(policy, name):
    with pytest.raises(PolicyError) as error:
        policy.value(name, GUIZHOU, day("2019-05-01"))
    text = str(error.value)
    assert "features/policy/" in text and name in text and "2019-05-01" in text and 'source: "…"' in text


def test_the_words_of_the_policy_refuse_such_a_day_too(policy):
    for ask in (policy.accounting_window, policy.school_years):
        with pytest.raises(PolicyError, match=r"features/policy/accounting\.yaml"):
            ask(GUIZHOU, day("2019-05-01"))
