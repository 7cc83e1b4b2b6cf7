"""Illness, disability, household, employment, shocks, history: small tables with the answer worked out."""

from __future__ import annotations

import math

BILLS = """
    medical
    occurred_on  known_on    kind       self_paid  total_cost  reimbursed  hospital_days
    2024-12-20   2025-01-05  inpatient  8000       20000       12000       9
    2024-08-01   2024-09-01  chronic    600        900         300         .
    2024-01-14   2024-02-01  inpatient  3000       5000        2000        4
"""


def test_self_paid_cost_counts_bills_after_the_day_n_months_back_up_to_the_day(value):
    assert value("self_paid_3m", "2025-01-14", BILLS) == 8000
    assert value("self_paid_6m", "2025-01-14", BILLS) == 8000 + 600
    assert (
        value("self_paid_12m", "2025-01-14", BILLS) == 8000 + 600
    )  # 14 January a year before is just outside
    assert value("self_paid_12m", "2025-01-13", BILLS) == 8000 + 600 + 3000
    assert value("self_paid_24m", "2025-01-14", BILLS) == 8000 + 600 + 3000


def test_a_bill_known_after_the_day_is_not_counted(value):
    assert value("self_paid_12m", "2025-01-04", BILLS) == 600 + 3000


def test_a_household_without_a_bill_has_no_cost_but_without_the_table_it_is_unknown(value):
    assert value("self_paid_12m", "2025-01-14", "medical") == 0
    assert math.isnan(value("self_paid_12m", "2025-01-14", "leads"))


def test_distances_to_thresholds(value):
    # General household: inpatient 20,000; self-paid 100 % of the 21,691 of 2023, in force until the end of
    # January 2025.
    assert value("inpatient_rule_ratio", "2025-01-14", BILLS) == 8000 / 20000
    assert value("self_paid_rule_ratio", "2025-01-14", BILLS) == 8600 / (1.0 * 21691)
    lifted = (
        """
    households
    category
    lifted

    """
        + BILLS
    )
    assert value("inpatient_rule_ratio", "2025-01-14", lifted) == 8000 / 5000
    assert value("rule_inpatient_self_paid", "2025-01-14", lifted) == 1
    assert value("rule_inpatient_self_paid", "2025-01-14", BILLS) == 0


def test_illness_recorded_from_the_start_is_not_new(value):
    text = """
        members
        member_id  known_on    seriously_ill
        M1         2024-10-01  true
        M2         2022-01-01  false
        M2         2024-11-01  true
        M3         2022-01-01  true
        M3         2024-11-01  true
    """
    assert value("seriously_ill_members", "2025-01-14", text) == 3
    assert value("new_serious_illness_12m", "2025-01-14", text) == 1  # M2 only
    assert value("new_serious_illness_12m", "2024-10-31", text) == 0


def test_a_member_who_left_or_moved_does_not_count(value):
    text = """
        households
        household_id
        H1
        H2

        members
        member_id  household_id  known_on    left_on
        M1         H1            2022-01-01  .
        M2         H1            2022-01-01  .
        M2         H1            2024-05-10  2024-05-01
        M3         H1            2022-01-01  .
        M3         H2            2024-06-01  .

        medical
        member_id  occurred_on  self_paid
        M1         2024-03-01   100
        M2         2024-03-01   20
        M3         2024-03-01   3
    """
    assert value("household_size", "2024-05-09", text) == 3
    assert value("household_size", "2024-05-10", text) == 2
    assert value("household_size", "2024-06-01", text) == 1
    assert value("self_paid_12m", "2024-05-09", text) == 123
    assert value("self_paid_12m", "2024-06-01", text) == 100  # bills go with the person


def test_ages_count_birthdays(value):
    text = """
        members
        member_id  birth_date
        M1         1964-03-01
    """
    assert value("elderly", "2024-02-29", text) == 0
    assert value("elderly", "2024-03-01", text) == 1
    assert value("single_elder", "2024-03-01", text) == 1


def test_only_certificates_in_force_count(value):
    text = """
        disability
        occurred_on  level  valid_until
        2020-05-01   1      2024-04-30
        2024-06-01   3      .
    """
    assert value("gravest_disability", "2024-04-30", text) == 1
    assert math.isnan(value("gravest_disability", "2024-05-01", text))
    assert value("gravest_disability", "2024-06-01", text) == 3
    assert value("newly_certified_12m", "2024-06-01", text) == 0  # not the first one


WORK = """
    employment
    occurred_on  known_on    employed
    2024-07-31   2024-08-10  true
    2024-08-31   2024-09-10  true
    2024-09-30   2024-10-10  false
    2024-10-31   2024-11-10  false
    2024-11-30   2024-12-10  false
"""


def test_no_job_for_three_months_counts_reports_not_silence(value):
    assert value("months_worked_12m", "2024-12-15", WORK) == 2
    assert value("rule_no_job_3m", "2024-12-15", WORK) == 1
    assert (
        value("rule_no_job_3m", "2024-12-05", WORK) == 0
    )  # November is not in yet: two reports without work
    assert value("longest_without_work", "2024-12-15", WORK) == 3
    assert value("lost_work_3m", "2024-11-15", WORK) == 1
    assert value("spells_without_work_12m", "2024-12-15", WORK) == 1


def test_shocks_of_the_household_and_of_its_area_are_told_apart(value):
    text = """
        shocks
        household_id  area_code     occurred_on  kind              loss
        H1            .             2024-09-01   traffic_accident  5000
        .             522301        2024-08-01   drought           .
        .             522301001     2024-08-02   hail              .
        .             522301001001  2024-08-03   flood             .
        .             522301002     2024-08-04   flood             .
    """
    assert value("own_shocks_12m", "2024-12-15", text) == 1
    assert value("own_loss_12m", "2024-12-15", text) == 5000
    assert value("accident_12m", "2024-12-15", text) == 1
    assert (
        value("area_disasters_12m", "2024-12-15", text) == 3
    )  # county, township, village; not the other township
    assert value("rule_event", "2024-12-15", text) == 1


def test_an_announced_measure_does_not_run_before_it_begins(value):
    text = """
        assistance
        occurred_on  known_on    ended_on
        2024-09-01   2024-08-01  2024-12-01
    """
    assert value("measures_running", "2024-08-15", text) == 0
    assert value("measures_running", "2024-09-01", text) == 1
    assert value("measures_ended_6m", "2024-12-01", text) == 1
    assert value("all_measures_ended", "2024-12-01", text) == 1


def test_assets_are_unknown_without_an_authorisation_in_force(value):
    text = """
        authorisations
        occurred_on  revoked_on
        2024-03-01   2024-09-01

        assets
        occurred_on  value
        2024-03-05   5000
        2024-04-05   3000
    """
    assert value("deposits", "2024-05-01", text) == 3000
    assert math.isnan(value("deposits", "2024-09-01", text))


def test_visits_and_leads_count_as_far_as_they_are_known(value):
    text = """
        verifications
        occurred_on  known_on    outcome
        2022-03-01   2022-03-20  risk_confirmed
        2023-02-01   2023-02-20  risk_eliminated
        2024-06-01   2024-07-15  no_risk

        leads
        occurred_on  channel
        2024-06-20   self_declared
    """
    assert value("monitored_before", "2022-03-19", text) == 0
    assert value("monitored_before", "2022-03-20", text) == 1
    assert value("days_since_visit", "2024-07-14", text) == 529  # since 1 February 2023
    assert value("days_since_visit", "2024-07-15", text) == 44
    assert value("open_lead", "2024-07-15", text) == 1  # the visit was before the lead
    assert value("self_declared_12m", "2024-07-15", text) == 1


def test_neighbours_are_all_others_of_the_village(value):
    text = """
        households
        household_id  village_code
        H1            522301001001
        H2            522301001001
        H3            522301001001
        H4            522301001002

        members
        member_id  household_id
        M1         H1
        M2         H2
        M3         H3
        M4         H4

        verifications
        household_id  occurred_on  outcome
        H1            2024-06-01   risk_confirmed
        H2            2024-06-01   risk_confirmed
        H4            2024-06-01   risk_confirmed
    """
    assert value("village_confirmed_share_12m", "2024-12-15", text) == 1 / 2
    assert value("township_confirmed_share_12m", "2024-12-15", text) == 2 / 3


def test_a_household_alone_in_its_village_has_no_neighbours_to_compare_with(value):
    assert math.isnan(value("village_confirmed_share_12m", "2024-12-15", "verifications"))


def test_freshness_is_the_age_of_what_is_known(value):
    assert value("medical_age_days", "2025-01-14", BILLS) == 9
    assert math.isnan(value("medical_age_days", "2025-01-14", "medical"))
