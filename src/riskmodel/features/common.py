# mypy: disable-error-code="no-any-return"
"""What feature functions share: windows, sums and questions about people. Plain loops, so that the kernel
compiles them; an amount is read before it is known whether it counts, so that the processor need not guess.

Every function here may be called by any feature function. Rows come cut in time (`features.kernel`), in
canonical order.

`when` is the clock of the as-of date T: `when.as_of` (T itself), `when.back[n]` (T less n calendar months)
and `when.first[n]` (the first day of the month n months before the month of T), all as days since 1970-01-01,
n from 0 to 60, and `when.ymd` (T as yyyymmdd). "The last n months" of bills and events are the days after
back[n] up to T (`medical_12m` and `employment_12m` hold just these rows of 12 months); "n whole months" of
money flows are first[n] up to the day before first[0].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from riskmodel.features.rows import AT_PRIMARY, NEVER, ORDINARY, PRODUCTION, SKILLED

Row = Any  # one record of features.rows.SHAPES
Rows = Sequence[Any]  # the rows in force at T, in canonical order

NAN = float("nan")


class When(NamedTuple):
    """The clock of an as-of date; see above."""

    as_of: int
    ymd: int
    back: Sequence[int]
    first: Sequence[int]


def share(part: float, whole: float) -> float:
    """part / whole; NaN when the whole is not above 0 or unknown."""
    if whole > 0.0:
        return part / whole
    return NAN


def age(member: Row, when: When) -> int:
    """Completed years of age at T."""
    return (when.ymd - member.birth_date) // 10000


def of_working_age(member: Row, when: When) -> bool:
    """16 to 59 years old."""
    years = age(member, when)
    return years >= 16 and years <= 59


def at_school(member: Row) -> bool:
    """At any school from primary on."""
    return member.schooling >= AT_PRIMARY


def able(member: Row, when: When) -> bool:
    """Counts as labour: skilled or ordinary, 16 or older, not at school."""
    return (
        (member.labour == SKILLED or member.labour == ORDINARY)
        and age(member, when) >= 16
        and not at_school(member)
    )


def since(flows: Rows, start: int) -> int:
    """Place of the first row of day `start` or later, for rows that are sorted by day alone (income,
    expenditure)."""
    place = len(flows)
    while place > 0 and flows[place - 1].occurred_on >= start:
        place -= 1
    return place


def _sum(flows: Rows, first: int, stop: int) -> float:
    """Sum of `amount` of the rows at these places."""
    total = 0.0
    for place in range(first, stop):
        total += flows[place].amount
    return total


def _sum_from(income: Rows, source: int, first: int, stop: int) -> float:
    """Sum of `amount` of the rows of one source at these places; NaN without a row of any source."""
    if stop <= first:
        return NAN
    total = 0.0
    for place in range(first, stop):
        amount = income[place].amount
        if income[place].source == source:
            total += amount
    return total


def _sum_for(expenditure: Rows, purpose: int, first: int, stop: int) -> float:
    """Sum of `amount` of the rows for one purpose at these places."""
    total = 0.0
    for place in range(first, stop):
        amount = expenditure[place].amount
        if expenditure[place].purpose == purpose:
            total += amount
    return total


def _sum_or_unknown(income: Rows, first: int, stop: int) -> float:
    """Sum of `amount` of the rows at these places; NaN without a row."""
    if stop <= first:
        return NAN
    return _sum(income, first, stop)


# These four write the first and last row as separate expressions, so that the kernel looks each day up once
# a household (`kernel._Share`).


def money_between(flows: Rows, start: int, end: int) -> float:
    """Sum of `amount` from day `start` up to the day before `end`; 0 without a row."""
    return _sum(flows, since(flows, start), since(flows, end))


def income_between(income: Rows, source: int, start: int, end: int) -> float:
    """Income of one source from day `start` up to the day before `end`; NaN without a single row of any
    source."""
    return _sum_from(income, source, since(income, start), since(income, end))


def spent_between(expenditure: Rows, purpose: int, start: int, end: int) -> float:
    """Expenditure for one purpose from day `start` up to the day before `end`; 0 without a row."""
    return _sum_for(expenditure, purpose, since(expenditure, start), since(expenditure, end))


def gross_income(income: Rows, start: int, end: int) -> float:
    """Income of all sources from day `start` up to the day before `end`; NaN without a single row."""
    return _sum_or_unknown(income, since(income, start), since(income, end))


def net_income(income: Rows, expenditure: Rows, start: int, end: int) -> float:
    """All income less production expenditure from day `start` up to the day before `end`; NaN without a row
    of income."""
    return gross_income(income, start, end) - spent_between(expenditure, PRODUCTION, start, end)


def self_paid_since(medical: Rows, start: int, as_of: int) -> float:
    """Self-paid medical cost after day `start`, up to T; 0 without a bill."""
    total = 0.0
    for bill in medical:
        paid = bill.self_paid
        if bill.occurred_on > start and bill.occurred_on <= as_of:
            total += paid
    return total


def compliant(bill: Row) -> float:
    """Compliant self-paid cost of a bill; the whole self-paid cost where the insurance did not record it."""
    if bill.compliant_self_paid >= 0.0:
        return bill.compliant_self_paid
    return bill.self_paid


def compliant_between(medical: Rows, start: int, end: int) -> float:
    """Compliant self-paid cost from day `start` up to the day before `end`."""
    total = 0.0
    for bill in medical:
        paid = compliant(bill)
        if bill.occurred_on >= start and bill.occurred_on < end:
            total += paid
    return total


def age_of_newest_record(rows: Rows, as_of: int) -> float:
    """Days from the newest known_on; NaN without a row."""
    newest = -NEVER
    for row in rows:
        newest = max(newest, row.known_on)
    if newest == -NEVER:
        return NAN
    return float(as_of - newest)


def valid(certificate: Row, as_of: int) -> bool:
    """A disability certificate in force at T."""
    return certificate.occurred_on <= as_of and certificate.valid_until >= as_of


def flag(answer: bool) -> float:
    """1.0 for yes, 0.0 for no."""
    if answer:
        return 1.0
    return 0.0


def newest_day(rows: Rows) -> int:
    """Newest occurred_on; -NEVER without a row."""
    newest = -NEVER
    for row in rows:
        newest = max(newest, row.occurred_on)
    return newest


def months_ago(day: int, when: When) -> int:
    """Months from the month of `day` to the month of T: 0 in the same month; 60 at most."""
    months = 0
    while months < 60 and day < when.first[months]:
        months += 1
    return months


def end_of_month(months: int, when: When) -> int:
    """The day after the last day of the month `months` before the month of T; for 0 the day after T."""
    if months == 0:
        return when.as_of + 1
    return when.first[months - 1]
