"""Any number can be traced to its rows, and plain Python gives the same bits as the kernel."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from riskmodel.errors import DataError
from riskmodel.features import build, count_context
from riskmodel.features.tracing import explain_value, python_values


def test_every_feature_in_plain_python_has_the_bits_of_the_kernel(county, catalogue, policy):
    day = dt.date(2025, 5, 20)
    ids = county["households"]["household_id"].unique().sort()[:60].to_list()
    tables = county.of_households(ids)
    matrix, context = build(tables, day, catalogue=catalogue, policy=policy), count_context(tables, day)
    for place in range(0, len(matrix), 4):
        plain = python_values(tables, matrix.household_id[place], day, policy=policy, context=context)
        made = np.array([plain[name] for name in matrix.names])
        differs = (made.view(np.int64) != matrix.values[place].view(np.int64)) & ~(
            np.isnan(made) & np.isnan(matrix.values[place])
        )
        assert not differs.any(), [matrix.names[column] for column in np.flatnonzero(differs)]


TEXT = """
    income
    event_id  occurred_on  known_on    amount
    OLD       2022-06-30   2022-07-20  5000
    IN        2024-06-30   2024-07-20  9000
    LATE      2024-09-30   2025-03-01  7000

    expenditure
    event_id  occurred_on  purpose
    COST      2024-05-31   production
"""


def test_the_rows_without_which_the_value_would_differ_are_marked(written, catalogue, policy):
    text = TEXT.replace("purpose\n", "purpose amount\n").replace("production\n", "production 400\n")
    trace = explain_value(
        written(text, 2), "H1", "net_income_pp_12m", dt.date(2025, 1, 15), catalogue=catalogue, policy=policy
    )
    assert trace.value == (9000 - 400) / 2
    income = trace.rows["income"]
    assert income["event_id"].to_list() == ["OLD", "IN"]  # what became known later is not even looked at
    assert income.filter("counts")["event_id"].to_list() == ["IN"]
    assert trace.rows["expenditure"].filter("counts")["event_id"].to_list() == ["COST"]
    assert "2024-01-01 to 2024-12-31" in trace.window
    assert "production expenditure" in trace.formula
    assert "IN" in trace.text() and "LATE" not in trace.text()


def test_the_policy_value_and_its_source_are_named(written, catalogue, policy):
    text = (
        TEXT.replace("purpose\n", "purpose amount\n").replace("production\n", "production 400\n")
        + "\n\nmedical"
    )
    trace = explain_value(
        written(text), "H1", "income_gap_pp", dt.date(2025, 1, 15), catalogue=catalogue, policy=policy
    )
    assert trace.policy["monitoring_line"] == (7300.0, "贵州省，2023年")


def test_an_absent_table_is_named(written, catalogue, policy):
    trace = explain_value(
        written(""), "H1", "self_paid_12m", dt.date(2025, 1, 15), catalogue=catalogue, policy=policy
    )
    assert math.isnan(trace.value)
    assert trace.absent == ("medical",)
    assert "absent" in trace.text()


def test_ethnicity_is_not_shown(county, catalogue, policy):
    trace = explain_value(
        county,
        county["households"]["household_id"][0],
        "children",
        dt.date(2025, 5, 20),
        catalogue=catalogue,
        policy=policy,
    )
    assert "ethnic" not in trace.text()


def test_an_unknown_household_or_feature_is_refused(written, catalogue, policy):
    with pytest.raises(DataError, match="no household H9"):
        explain_value(written(""), "H9", "children", dt.date(2025, 1, 15), catalogue=catalogue, policy=policy)
    with pytest.raises(DataError, match="no such feature"):
        explain_value(written(""), "H1", "fortune", dt.date(2025, 1, 15), catalogue=catalogue, policy=policy)


def test_who_left_is_shown_with_the_day(written, catalogue, policy):
    text = """
        members
        member_id  known_on    left_on
        M1         2020-01-01  .
        M2         2020-01-01  .
        M2         2024-08-10  2024-07-20
    """
    day = dt.date(2025, 1, 15)
    trace = explain_value(written(text), "H1", "members_left_12m", day, catalogue=catalogue, policy=policy)
    entered = trace.rows["members"].filter("counts")
    assert trace.value == 1
    assert entered["member_id"].unique().to_list() == ["M2"]
    assert "2024-07-20" in trace.text()
    before = explain_value(
        written(text), "H1", "members_left_12m", dt.date(2024, 8, 9), catalogue=catalogue, policy=policy
    )
    assert (
        "2024-08-10" not in before.text() and "2024-07-20" not in before.text()
    )  # neither the version nor its day is known yet


def test_a_no_can_be_traced_to_the_rows_that_were_summed(written, catalogue, policy):
    text = """
        expenditure
        event_id  occurred_on  purpose    amount
        E1        2024-09-05   education  600
        E2        2024-10-05   living     700
        E3        2022-10-05   education  800

        assistance
    """
    trace = explain_value(
        written(text), "H1", "rule_tuition", dt.date(2025, 1, 15), catalogue=catalogue, policy=policy
    )
    assert trace.value == 0
    assert trace.rows["expenditure"].filter("counts")["event_id"].to_list() == ["E1"]
    assert "2024-09-01 to 2025-01-15" in trace.window
