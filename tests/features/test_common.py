"""What all feature functions share, at its edges: a row on each side of every limit. Plain Python, nothing is
compiled.
"""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace as Row

import pytest

from riskmodel.features import common
from riskmodel.features.building import clock
from riskmodel.features.rows import (
    AT_PRIMARY,
    LOST,
    NOT_AT_SCHOOL,
    ORDINARY,
    PRESCHOOL,
    PRODUCTION,
    SKILLED,
    TRANSFER,
    WAGE,
    WEAK,
)

T = dt.date(2025, 4, 30)


def number(day):
    """Days since 1970-01-01."""
    return (dt.date.fromisoformat(day) - dt.date(1970, 1, 1)).days


def clock_of(day=T):
    made = clock(day)
    return common.When(as_of=made.as_of, ymd=made.ymd, back=made.back, first=made.first)


def nan(value):
    return value != value


@pytest.mark.parametrize(
    ("part", "whole", "expected"), [(1.0, 2.0, 0.5), (0.0, 2.0, 0.0), (2.0, 1.0, 2.0), (3.0, 0.5, 6.0)]
)
def test_a_share_of_something(part, whole, expected):
    assert common.share(part, whole) == expected


@pytest.mark.parametrize("whole", [0.0, -1.0, float("nan")])
def test_a_share_of_nothing_is_unknown(whole):
    assert nan(common.share(1.0, whole)) and nan(common.share(0.0, whole))


@pytest.mark.parametrize(
    ("born", "years"),
    [
        (20090430, 16),
        (20090501, 15),
        (20090429, 16),
        (19650430, 60),
        (19650501, 59),
        (20250430, 0),
        (19250501, 99),
    ],
)
def test_an_age_is_completed_on_the_birthday(born, years):
    assert common.age(Row(birth_date=born), clock_of()) == years


@pytest.mark.parametrize(
    ("born", "working"),
    [(20090430, True), (20090501, False), (19650501, True), (19650430, False), (19800101, True)],
)
def test_working_age_begins_with_16_and_ends_before_60(born, working):
    assert common.of_working_age(Row(birth_date=born), clock_of()) is working


@pytest.mark.parametrize(
    ("schooling", "at_school"),
    [(NOT_AT_SCHOOL, False), (PRESCHOOL, False), (AT_PRIMARY, True), (AT_PRIMARY + 1, True)],
)
def test_school_begins_with_primary(schooling, at_school):
    assert common.at_school(Row(schooling=schooling)) is at_school


@pytest.mark.parametrize(
    ("labour", "born", "schooling", "counts"),
    [
        (SKILLED, 20090430, NOT_AT_SCHOOL, True),
        (ORDINARY, 20090430, NOT_AT_SCHOOL, True),
        (ORDINARY, 20090501, NOT_AT_SCHOOL, False),  # 15
        (ORDINARY, 19400101, NOT_AT_SCHOOL, True),  # no upper limit
        (ORDINARY, 20090430, AT_PRIMARY, False),
        (WEAK, 20000101, NOT_AT_SCHOOL, False),
        (LOST, 20000101, NOT_AT_SCHOOL, False),
        (-1, 20000101, NOT_AT_SCHOOL, False),
    ],
)
def test_labour_is_skilled_or_ordinary_grown_up_and_not_at_school(labour, born, schooling, counts):
    assert common.able(Row(labour=labour, birth_date=born, schooling=schooling), clock_of()) is counts


FLOWS = [
    Row(occurred_on=9, amount=1.0, source=WAGE, purpose=PRODUCTION),
    Row(occurred_on=10, amount=2.0, source=TRANSFER, purpose=PRODUCTION + 1),
    Row(occurred_on=10, amount=4.0, source=WAGE, purpose=PRODUCTION),
    Row(occurred_on=20, amount=8.0, source=WAGE, purpose=PRODUCTION + 1),
]


@pytest.mark.parametrize(("start", "place"), [(9, 0), (10, 1), (11, 3), (20, 3), (21, 4), (0, 0)])
def test_the_first_row_of_a_day_or_later(start, place):
    assert common.since(FLOWS, start) == place
    assert common.since([], start) == 0


@pytest.mark.parametrize(
    ("start", "end", "total"),
    [(10, 20, 6.0), (10, 21, 14.0), (9, 10, 1.0), (11, 20, 0.0), (0, 99, 15.0), (21, 99, 0.0)],
)
def test_money_counts_from_the_first_day_up_to_the_day_before_the_last(start, end, total):
    assert common.money_between(FLOWS, start, end) == total


def test_income_of_a_source_is_unknown_only_without_a_row_of_any_source():
    assert common.income_between(FLOWS, WAGE, 10, 20) == 4.0
    assert common.income_between(FLOWS, TRANSFER, 20, 21) == 0.0  # a row, of another source
    assert nan(common.income_between(FLOWS, WAGE, 11, 20))
    assert common.gross_income(FLOWS, 10, 20) == 6.0 and nan(common.gross_income(FLOWS, 11, 20))
    assert common.gross_income(FLOWS, 20, 21) == 8.0


def test_expenditure_for_a_purpose_is_zero_without_a_row():
    assert common.spent_between(FLOWS, PRODUCTION, 9, 11) == 1.0 + 4.0
    assert common.spent_between(FLOWS, PRODUCTION, 11, 99) == 0.0


def test_net_income_takes_production_cost_off_and_is_unknown_without_income():
    # (2 + 4) of the days 10 to 19, less 4 of production
    assert common.net_income(FLOWS, FLOWS, 10, 20) == 6.0 - 4.0
    assert nan(common.net_income([], FLOWS, 10, 20))


BILLS = [
    Row(occurred_on=10, self_paid=1.0, compliant_self_paid=-1.0),
    Row(occurred_on=11, self_paid=2.0, compliant_self_paid=0.0),
    Row(occurred_on=20, self_paid=4.0, compliant_self_paid=3.0),
    Row(occurred_on=21, self_paid=8.0, compliant_self_paid=float("nan")),
]


@pytest.mark.parametrize(
    ("start", "as_of", "total"), [(10, 20, 6.0), (9, 20, 7.0), (11, 20, 4.0), (10, 21, 14.0), (20, 20, 0.0)]
)
def test_self_paid_cost_counts_after_the_start_up_to_the_day(start, as_of, total):
    assert common.self_paid_since(BILLS, start, as_of) == total


def test_compliant_cost_is_the_insurances_figure_also_where_it_is_zero():
    # below zero and NaN mean that the insurance does not say: the whole self-paid cost
    assert [common.compliant(bill) for bill in BILLS] == [1.0, 0.0, 3.0, 8.0]


@pytest.mark.parametrize(
    ("start", "end", "total"), [(10, 20, 1.0), (10, 21, 4.0), (11, 21, 3.0), (21, 22, 8.0), (12, 20, 0.0)]
)
def test_compliant_cost_counts_from_the_first_day_up_to_the_day_before_the_last(start, end, total):
    assert common.compliant_between(BILLS, start, end) == total


def test_the_age_of_the_newest_record():
    assert common.age_of_newest_record([Row(known_on=5), Row(known_on=9), Row(known_on=7)], 20) == 11.0
    assert common.age_of_newest_record([Row(known_on=20)], 20) == 0.0
    assert nan(common.age_of_newest_record([], 20))


@pytest.mark.parametrize(
    ("from_day", "until", "in_force"),
    [(10, 20, True), (20, 20, True), (21, 30, False), (10, 19, False), (20, 30, True)],
)
def test_a_certificate_is_in_force_from_its_day_to_its_last_day(from_day, until, in_force):
    assert common.valid(Row(occurred_on=from_day, valid_until=until), 20) is in_force


def test_a_flag_is_one_or_zero():
    assert common.flag(True) == 1.0 and common.flag(False) == 0.0


def test_the_newest_day_of_rows():
    assert common.newest_day([Row(occurred_on=3), Row(occurred_on=8), Row(occurred_on=5)]) == 8
    assert common.newest_day([Row(occurred_on=-4)]) == -4  # before 1970
    assert common.newest_day([]) == -common.NEVER


@pytest.mark.parametrize(
    ("day", "months"),
    [
        ("2025-04-30", 0),
        ("2025-04-01", 0),
        ("2025-03-31", 1),
        ("2025-03-01", 1),
        ("2025-02-28", 2),
        ("2020-05-01", 59),
        ("2020-04-30", 60),
        ("2020-04-01", 60),
        ("2020-03-31", 60),
        ("1990-01-01", 60),
    ],
)
def test_months_ago_counts_calendar_months_up_to_sixty(day, months):
    assert common.months_ago(number(day), clock_of()) == months


@pytest.mark.parametrize(
    ("months", "day"), [(0, "2025-05-01"), (1, "2025-04-01"), (2, "2025-03-01"), (12, "2024-05-01")]
)
def test_the_day_after_a_month_and_for_the_present_month_the_day_after_the_as_of_date(months, day):
    assert common.end_of_month(months, clock_of()) == number(day)


def test_the_clock_goes_back_by_calendar_months():
    when = clock_of()
    assert [int(when.back[n]) for n in (0, 1, 2, 12, 60)] == [
        number(day) for day in ("2025-04-30", "2025-03-30", "2025-02-28", "2024-04-30", "2020-04-30")
    ]
    assert [int(when.first[n]) for n in (0, 1, 4, 60)] == [
        number(day) for day in ("2025-04-01", "2025-03-01", "2024-12-01", "2020-04-01")
    ]
