# ruff: noqa: SIM102
# mypy: disable-error-code="no-any-return"
"""Department rules in use (`domain`): each is 1 (hit), 0 (no hit) or NaN (unknown). They are baselines and
leads, never predictors.

Thresholds are read from `features/policy/department_rules.yaml`, each with place, date and source.
"""

from riskmodel.features.common import (
    NAN,
    Row,
    Rows,
    When,
    able,
    age,
    end_of_month,
    flag,
    gross_income,
    income_between,
    months_ago,
    newest_day,
    self_paid_since,
    spent_between,
)
from riskmodel.features.employment import _last_worked, _newest, _reports, _worked
from riskmodel.features.illness import _largest_month, _largest_of_person, _of_kind, _on_low_income
from riskmodel.features.income import _wages
from riskmodel.features.rows import (
    BUSINESS_FAILURE,
    EDUCATION,
    EPIDEMIC,
    FIRE,
    FLOOD,
    FOR_EDUCATION,
    INPATIENT,
    LIFTED,
    NOT_AT_SCHOOL,
    OWN,
    PEST,
    PRESCHOOL,
    TRANSFER,
    WORK_ACCIDENT,
)


def rule_medical_self_paid(medical: Rows, members: Rows, household: Row, policy: Row, when: When) -> float:
    """A member's self-paid cost of 12 months > 50 % (lifted) or 100 % (others) of last year's rural
    disposable income."""
    limit = policy.medical_self_paid_share_general
    if household.category == LIFTED:
        limit = policy.medical_self_paid_share_lifted
    return flag(
        _largest_of_person(medical, members, when.back[12], when.as_of) > limit * policy.disposable_income
    )


def rule_medical_burden(medical_12m: Rows, members: Rows, policy: Row, when: When) -> float:
    """Self-paid cost of the household, 12 months, after all insurance > 10,000 (dibao or tekun) or 26,000
    (others)."""
    limit = policy.medical_burden_general
    if _on_low_income(members):
        limit = policy.medical_burden_low_income
    return flag(self_paid_since(medical_12m, when.back[12], when.as_of) > limit)


def rule_inpatient_self_paid(medical_12m: Rows, household: Row, policy: Row) -> float:
    """Self-paid inpatient cost, 12 months >= 5,000 (lifted) or 20,000 (others)."""
    limit = policy.inpatient_self_paid_general
    if household.category == LIFTED:
        limit = policy.inpatient_self_paid_lifted
    return flag(_of_kind(medical_12m, INPATIENT) >= limit)


def rule_chronic_monthly(medical: Rows, members: Rows, policy: Row, when: When) -> float:
    """A member's self-paid outpatient or chronic cost >= 500 in one whole month of the last 12."""
    return flag(_largest_month(medical, members, when) >= policy.chronic_monthly_self_paid)


def rule_new_serious_illness(members: Rows, when: When) -> float:
    """A member's serious illness was first recorded in the last 12 months."""
    found = False
    for member in members:
        found = found or (member.seriously_ill == 1 and member.seriously_ill_since > when.back[12])
    return flag(found)


def rule_dropout(members: Rows, when: When) -> float:
    """A member of 7 to 15 years is not at school."""
    found = False
    for member in members:
        years = age(member, when)
        out = member.schooling == NOT_AT_SCHOOL or member.schooling == PRESCHOOL
        found = found or (years >= 7 and years <= 15 and out)
    return flag(found)


def _tuition(expenditure: Rows, assistance: Rows, start: int, end: int) -> float:
    """Education spending less education aid from day `start` up to the day before `end`."""
    aid = 0.0
    for measure in assistance:
        if measure.measure == FOR_EDUCATION and measure.occurred_on >= start and measure.occurred_on < end:
            if measure.amount > 0.0:
                aid += measure.amount
    return spent_between(expenditure, EDUCATION, start, end) - aid


def rule_tuition(expenditure: Rows, assistance: Rows, policy: Row, when: When) -> float:
    """Education spending - education aid > 10,000 in the running school year up to T, or in the one
    before."""
    running = _tuition(expenditure, assistance, policy.school_year_start, when.as_of + 1)
    before = _tuition(expenditure, assistance, policy.school_year_before, policy.school_year_start)
    return flag(max(running, before) > policy.tuition_school_year)


def rule_new_disability(disability: Rows, members: Rows, when: When) -> float:
    """A member's first certificate is of the last 12 months."""
    found = False
    for member in members:
        first = when.as_of + 1
        for certificate in disability:
            if certificate.person == member.person:
                first = min(first, certificate.occurred_on)
        found = found or (first > when.back[12] and first <= when.as_of)
    return flag(found)


def rule_no_job_3m(employment: Rows, members: Rows, policy: Row, when: When) -> float:
    """An able member worked in the last 12 months, and the newest 3 monthly reports (the newest of the last 6
    months) are all not `employed`."""
    found = False
    for member in members:
        newest = _newest(employment, member)
        if (
            able(member, when)
            and newest > when.back[6]
            and _worked(employment, member, when.back[12], when.as_of) > 0
        ):
            last = _last_worked(employment, member, when)
            found = found or _reports(employment, member, last, newest) >= policy.no_job_months
    return flag(found)


def rule_wage_falling(income: Rows, policy: Row, when: When) -> float:
    """Wages fell in two periods of three months running, up to the newest income record; unknown without
    wages to start from."""
    newest = newest_day(income)
    if newest < when.first[9]:
        return NAN
    last = months_ago(newest, when)
    periods = int(policy.wage_falling_periods)
    start = last + 3 * periods
    if _wages(income, when.first[start + 2], end_of_month(start, when)) <= 0.0:
        return NAN
    falling = True
    for period in range(periods):
        month = last + 3 * period
        now = _wages(income, when.first[month + 2], end_of_month(month, when))
        falling = falling and now < _wages(income, when.first[month + 5], end_of_month(month + 3, when))
    return flag(falling)


def rule_transfer_share(income: Rows, policy: Row, when: When) -> float:
    """Transfers > 60 % of all income of the last 12 whole months; unknown without income."""
    total = gross_income(income, when.first[12], when.first[0])
    if not total > 0.0:
        return NAN
    return flag(
        income_between(income, TRANSFER, when.first[12], when.first[0]) > policy.transfer_share * total
    )


def rule_guarantee_failed(guarantees: Rows) -> float:
    """Food and clothing, schooling, medical cover, housing or water is recorded as failing; unknown without a
    record."""
    failing = NAN
    for state in guarantees:
        failing = flag(
            state.food_clothing_ok == 0
            or state.schooling_ok == 0
            or state.insured_ok == 0
            or state.housing_ok == 0
            or state.water_ok == 0
        )
    return failing


def rule_event(shocks: Rows, when: When) -> float:
    """A disaster, fire, traffic or work accident or failed project befell the household itself in the last 6
    months."""
    found = False
    for shock in shocks:
        if shock.scope == OWN and shock.occurred_on > when.back[6] and shock.occurred_on <= when.as_of:
            kind = shock.kind
            disaster = (kind >= FLOOD and kind <= PEST) or kind == FIRE
            accident = kind > FIRE and kind <= WORK_ACCIDENT and kind != EPIDEMIC
            found = found or disaster or accident or kind == BUSINESS_FAILURE
    return flag(found)
