"""Income and expenditure: small tables with the sum worked out."""

from __future__ import annotations

import math

import pytest

YEAR = """
    income
    occurred_on  source    amount
    2024-03-31   wage      6000
    2024-06-30   business  9000
    2024-09-30   property  300
    2024-12-31   transfer  1200

    expenditure
    occurred_on  purpose     amount
    2024-05-31   production  2500
    2024-08-31   education   4000
    2024-09-30   debt        1000
"""


def test_net_income_is_all_income_less_production_cost_shared_among_the_members(value):
    assert value("net_income_pp_12m", "2025-01-15", YEAR, members=3) == (6000 + 9000 + 300 + 1200 - 2500) / 3


def test_the_window_ends_with_the_month_before(value):
    text = """
        income
        occurred_on  amount
        2024-01-01   100
        2024-12-31   20
        2025-01-01   3

        expenditure
    """
    assert value("net_income_pp_12m", "2025-01-15", text) == 100 + 20
    assert value("net_income_pp_12m", "2025-02-01", text) == 20 + 3


def test_a_household_without_a_row_of_income_is_unknown_not_at_zero(value):
    text = """
        income
        occurred_on  amount
        2022-01-31   9000

        expenditure
    """
    assert math.isnan(value("net_income_pp_12m", "2025-01-15", text))


@pytest.mark.parametrize("absent", ["income", "expenditure"])
def test_without_one_of_its_tables_net_income_is_unknown(value, absent):
    kept = "\n\n".join(block for block in YEAR.split("\n\n") if absent not in block.split()[0])
    assert math.isnan(value("net_income_pp_12m", "2025-01-15", kept))


def test_the_gap_takes_off_compliant_medical_cost_and_the_line_of_the_place(value):
    text = (
        YEAR
        + """
    medical
    occurred_on  self_paid  compliant_self_paid
    2024-02-10   900        600
    2024-10-10   400        .
    2023-12-31   5000       5000
    """
    )
    # Guizhou from 2023: 7,300. The second bill does not say what is compliant: all of it counts. The third is
    # of the year before.
    net = 6000 + 9000 + 300 + 1200 - 2500
    assert value("income_gap_pp", "2025-01-15", text, members=2) == (net - (600 + 400)) / 2 - 7300


def test_a_correction_replaces_the_row_from_the_day_it_is_known(value):
    text = """
        income
        event_id  occurred_on  known_on    amount
        A         2024-06-30   2024-07-20  1000
        A         2024-06-30   2024-11-05  4000

        expenditure
    """
    assert value("net_income_pp_12m", "2024-11-04", text) == 1000
    assert value("net_income_pp_12m", "2024-11-05", text) == 4000


def test_income_known_after_the_day_is_not_counted(value):
    text = """
        income
        occurred_on  known_on    amount
        2024-06-30   2024-07-20  1000
        2024-09-30   2025-02-01  5000

        expenditure
    """
    assert value("net_income_pp_12m", "2025-01-31", text) == 1000


def test_shares_of_sources(value):
    total = 6000 + 9000 + 300 + 1200
    assert value("wage_share_12m", "2025-01-15", YEAR) == 6000 / total
    assert value("business_share_12m", "2025-01-15", YEAR) == 9000 / total
    assert value("transfer_share_12m", "2025-01-15", YEAR) == 1200 / total


def test_business_net_of_cost_may_be_a_loss(value):
    text = """
        income
        occurred_on  source    amount
        2024-06-30   business  1000

        expenditure
        occurred_on  purpose     amount
        2024-05-31   production  2500
    """
    assert value("net_business_income_pp_12m", "2025-01-15", text, members=2) == (1000 - 2500) / 2
    assert value("production_cost_ratio_12m", "2025-01-15", text) == 2500 / 1000


def test_wages_are_compared_from_the_newest_record_back_not_from_the_day(value):
    text = """
        income
        occurred_on  known_on    amount
        2024-03-31   2024-04-20  3000
        2024-06-30   2024-07-20  2000
        2024-09-30   2024-10-20  1000
    """
    # On 15 December the fourth quarter is not in yet: the newest quarter known is the third.
    assert value("wage_change_share_3m", "2024-12-15", text) == (1000 - 2000) / 2000
    assert value("rule_wage_falling", "2024-12-15", text) == 1


def test_rigid_spending_is_what_a_household_cannot_choose(value):
    text = (
        YEAR
        + """
    medical
    occurred_on  self_paid
    2024-02-10   900
    """
    )
    assert value("rigid_spending_pp_12m", "2025-01-15", text, members=2) == (4000 + 900) / 2
    assert value("rigid_share_12m", "2025-01-15", text) == (4000 + 900) / (16500 - 2500)


def test_the_change_on_the_year_before_is_unknown_when_there_was_nothing(value):
    assert math.isnan(value("income_change_share_12m", "2025-01-15", YEAR))


def test_a_lone_earner_is_seen(value):
    text = """
        income
        occurred_on  member_id  amount
        2024-03-31   M1         9000
        2024-06-30   M2         1000
        2024-06-30   .          5000
    """
    assert value("top_earner_share_12m", "2025-01-15", text, members=3) == 9000 / (9000 + 1000)


TUITION = """
    expenditure
    occurred_on  known_on    purpose    amount
    2023-09-05   2023-10-01  education  6000
    2024-02-25   2024-03-20  education  6000
    2024-09-05   2024-10-01  education  5500
    2025-02-25   2025-03-20  education  5500

    assistance
    occurred_on  measure    amount
    2024-10-10   education  800
"""


def test_tuition_is_counted_by_school_year(value):
    assert value("rule_tuition", "2024-03-19", TUITION) == 0  # 6,000 so far in the school year
    assert value("rule_tuition", "2024-03-20", TUITION) == 1  # 12,000
    assert (
        value("rule_tuition", "2024-11-30", TUITION) == 1
    )  # the school year before; twelve months would hold 11,500 - 800 too
    assert value("rule_tuition", "2025-08-31", TUITION) == 1  # 11,000 - 800, and 12,000 the year before
    assert value("rule_tuition", "2025-09-01", TUITION) == 1  # the year that just ended: 10,200
    assert value("rule_tuition", "2026-09-01", TUITION) == 0


def test_twelve_months_across_two_school_years_do_not_make_one(value):
    text = """
        expenditure
        occurred_on  purpose    amount
        2024-02-25   education  6000
        2024-09-05   education  6000

        assistance
    """
    assert value("rule_tuition", "2024-12-31", text) == 0


def test_income_below_the_dibao_standard_with_nobody_on_dibao(value):
    text = """
        members
        member_id  known_on    dibao
        M1         2020-01-01  false
        M1         2024-12-01  true

        income
        occurred_on  known_on    amount
        2024-06-30   2024-07-20  7000

        expenditure
    """
    # The standard of 2024 is 7,455.6 a person.
    assert value("below_dibao_without_dibao", "2024-11-30", text) == 1
    assert value("below_dibao_without_dibao", "2024-12-01", text) == 0  # dibao covers the household now
    assert value("below_dibao_without_dibao", "2024-11-30", text.replace("7000", "7456")) == 0
    assert math.isnan(
        value("below_dibao_without_dibao", "2024-07-19", text)
    )  # no record of income is no income of zero


def test_rigid_spending_above_the_cut_off_of_the_place(value):
    text = """
        income
        occurred_on  amount
        2024-06-30   10000

        expenditure
        occurred_on  purpose     amount
        2024-05-31   education   5000
        2024-07-31   care        1001

        medical
    """
    assert value("rigid_above_cutoff_12m", "2025-01-15", text) == 1  # 6,001 > 60 % of 10,000
    assert value("rigid_above_cutoff_12m", "2025-01-15", text.replace("1001", "1000")) == 0
    weihai = (
        text.replace("1001", "1001")
        + """

        households
        county_code  township_code  village_code
        371002       371002001      371002001001
    """
    )
    assert value("rigid_above_cutoff_12m", "2025-01-15", weihai) == 0  # 75 % there
    loss = text.replace("care        1001", "production  12000")
    assert (
        value("rigid_above_cutoff_12m", "2025-01-15", loss) == 1
    )  # no income left, and 5,000 that must be spent
    assert math.isnan(value("rigid_share_12m", "2025-01-15", loss))
