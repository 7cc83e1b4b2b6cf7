# ruff: noqa: SIM110
# mypy: disable-error-code="no-any-return"
"""Illness: what it costs after insurance, who is ill, how near a department's threshold. Bills of the last n
months up to T, yuan."""

from riskmodel.features.common import (
    NAN,
    Row,
    Rows,
    When,
    end_of_month,
    flag,
    months_ago,
    net_income,
    of_working_age,
    self_paid_since,
    share,
)
from riskmodel.features.rows import CHRONIC, INPATIENT, LIFTED, OUTPATIENT


def _of_kind(bills: Rows, kind: int) -> float:
    """Self-paid cost of one kind of visit."""
    total = 0.0
    for bill in bills:
        paid = bill.self_paid
        if bill.kind == kind:
            total += paid
    return total


def _largest_of_person(medical: Rows, members: Rows, start: int, as_of: int) -> float:
    """Self-paid cost of the member who paid most after day `start`, up to T."""
    largest = 0.0
    for member in members:
        own = 0.0
        for place in range(member.medical_start, member.medical_end):
            bill = medical[place]
            if bill.occurred_on > start and bill.occurred_on <= as_of:
                own += bill.self_paid
        largest = max(largest, own)
    return largest


def _on_low_income(members: Rows) -> bool:
    """Somebody of the household receives dibao or tekun."""
    for member in members:
        if member.dibao == 1 or member.tekun == 1:
            return True
    return False


def _largest_month(medical: Rows, members: Rows, when: When) -> float:
    """Largest self-paid outpatient or chronic cost of one member in one whole month of the last 12.

    A member's bills are sorted by day: a month's bills follow each other.
    """
    largest = 0.0
    for member in members:
        paid = 0.0
        end = 0
        for place in range(member.medical_start, member.medical_end):
            bill = medical[place]
            if (
                bill.kind == INPATIENT
                or bill.occurred_on < when.first[12]
                or bill.occurred_on >= when.first[0]
            ):
                continue
            if bill.occurred_on >= end:
                paid = 0.0
                end = end_of_month(months_ago(bill.occurred_on, when), when)
            paid += bill.self_paid
            largest = max(largest, paid)
    return largest


def self_paid_3m(medical_12m: Rows, when: When) -> float:
    """Sum of self-paid cost of bills of the last 3 months."""
    return self_paid_since(medical_12m, when.back[3], when.as_of)


def self_paid_6m(medical_12m: Rows, when: When) -> float:
    """Sum of self-paid cost of bills of the last 6 months."""
    return self_paid_since(medical_12m, when.back[6], when.as_of)


def self_paid_12m(medical_12m: Rows, when: When) -> float:
    """Sum of self-paid cost of bills of the last 12 months."""
    return self_paid_since(medical_12m, when.back[12], when.as_of)


def self_paid_24m(medical: Rows, when: When) -> float:
    """Sum of self-paid cost of bills of the last 24 months."""
    return self_paid_since(medical, when.back[24], when.as_of)


def self_paid_change_6m(medical_12m: Rows, when: When) -> float:
    """Self-paid cost of the last 6 months - that of the 6 months before."""
    half = self_paid_since(medical_12m, when.back[6], when.as_of)
    return half - (self_paid_since(medical_12m, when.back[12], when.as_of) - half)


def self_paid_income_share_12m(medical_12m: Rows, income: Rows, expenditure: Rows, when: When) -> float:
    """Self-paid cost of the last 12 months / net income of the last 12 whole months; unknown unless that is
    above 0."""
    return share(
        self_paid_since(medical_12m, when.back[12], when.as_of),
        net_income(income, expenditure, when.first[12], when.first[0]),
    )


def largest_bill_12m(medical_12m: Rows) -> float:
    """Largest self-paid cost of a single bill of the last 12 months."""
    largest = 0.0
    for bill in medical_12m:
        largest = max(largest, bill.self_paid)
    return largest


def reimbursed_share_12m(medical_12m: Rows) -> float:
    """Reimbursed / total cost of the bills of the last 12 months; unknown without a bill."""
    total = 0.0
    back = 0.0
    for bill in medical_12m:
        total += bill.total_cost
        back += bill.reimbursed
    return share(back, total)


def inpatient_self_paid_12m(medical_12m: Rows) -> float:
    """Self-paid inpatient cost of the last 12 months."""
    return _of_kind(medical_12m, INPATIENT)


def chronic_self_paid_12m(medical_12m: Rows) -> float:
    """Self-paid cost of outpatient treatment of chronic and special illness, last 12 months."""
    return _of_kind(medical_12m, CHRONIC)


def hospital_days_12m(medical_12m: Rows) -> float:
    """Days in hospital of the bills of the last 12 months; a bill without days counts as 0."""
    days = 0
    for bill in medical_12m:
        if bill.hospital_days > 0:
            days += bill.hospital_days
    return float(days)


def days_since_inpatient(medical: Rows, when: When) -> float:
    """Days from the newest inpatient bill to T; unknown without one."""
    newest = -1
    for bill in medical:
        if bill.kind == INPATIENT and bill.occurred_on <= when.as_of and bill.occurred_on > newest:
            newest = bill.occurred_on
    if newest < 0:
        return NAN
    return float(when.as_of - newest)


def ill_members_12m(medical: Rows, members: Rows, when: When) -> float:
    """Members with an inpatient or chronic bill in the last 12 months."""
    ill = 0
    for member in members:
        for place in range(member.medical_start, member.medical_end):
            bill = medical[place]
            if (
                bill.kind != OUTPATIENT
                and bill.occurred_on > when.back[12]
                and bill.occurred_on <= when.as_of
            ):
                ill += 1
                break
    return float(ill)


def tumour_bill_24m(medical: Rows, when: When) -> float:
    """A bill of ICD-10 chapter C (malignant tumours) in the last 24 months; unknown when no bill in them
    names its chapter."""
    named = False
    found = False
    bills = 0
    for bill in medical:
        if bill.occurred_on > when.back[24] and bill.occurred_on <= when.as_of:
            bills += 1
            named = named or bill.diagnosis_group >= 0
            found = found or bill.diagnosis_group == 2
    if bills > 0 and not named:
        return NAN
    return flag(found)


def seriously_ill_members(members: Rows) -> float:
    """Members recorded as seriously ill at T."""
    ill = 0
    for member in members:
        if member.seriously_ill == 1:
            ill += 1
    return float(ill)


def new_serious_illness_12m(members: Rows, when: When) -> float:
    """Members whose serious illness was first recorded in the last 12 months. Those recorded so from the
    start do not count."""
    ill = 0
    for member in members:
        if member.seriously_ill == 1 and member.seriously_ill_since > when.back[12]:
            ill += 1
    return float(ill)


def chronically_ill_members(members: Rows) -> float:
    """Members recorded with a long-term chronic illness at T."""
    ill = 0
    for member in members:
        if member.chronic_ill == 1:
            ill += 1
    return float(ill)


def ill_workers(members: Rows, when: When) -> float:
    """Members of 16 to 59 years who are seriously or chronically ill."""
    ill = 0
    for member in members:
        if of_working_age(member, when) and (member.seriously_ill == 1 or member.chronic_ill == 1):
            ill += 1
    return float(ill)


def uninsured_members(members: Rows) -> float:
    """Members without medical insurance at T."""
    uninsured = 0
    for member in members:
        if member.medical_insured == 0:
            uninsured += 1
    return float(uninsured)


def self_paid_rule_ratio(medical: Rows, members: Rows, household: Row, policy: Row, when: When) -> float:
    """Largest self-paid cost of one member, 12 months / the medical insurance's threshold for this class of
    household. 1: at it."""
    paid = _largest_of_person(medical, members, when.back[12], when.as_of)
    if household.category == LIFTED:
        return paid / (policy.medical_self_paid_share_lifted * policy.disposable_income)
    return paid / (policy.medical_self_paid_share_general * policy.disposable_income)


def burden_rule_ratio(medical_12m: Rows, members: Rows, policy: Row, when: When) -> float:
    """Self-paid cost of the household, 12 months / threshold of the burden after all insurance. 1: at it."""
    paid = self_paid_since(medical_12m, when.back[12], when.as_of)
    if _on_low_income(members):
        return paid / policy.medical_burden_low_income
    return paid / policy.medical_burden_general


def inpatient_rule_ratio(medical_12m: Rows, household: Row, policy: Row) -> float:
    """Self-paid inpatient cost, 12 months / threshold for this class of household. 1: at it."""
    paid = _of_kind(medical_12m, INPATIENT)
    if household.category == LIFTED:
        return paid / policy.inpatient_self_paid_lifted
    return paid / policy.inpatient_self_paid_general


def chronic_rule_ratio(medical: Rows, members: Rows, policy: Row, when: When) -> float:
    """Largest self-paid outpatient or chronic cost of one member in a month / its threshold. 1: at it."""
    return _largest_month(medical, members, when) / policy.chronic_monthly_self_paid
