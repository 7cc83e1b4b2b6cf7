# mypy: disable-error-code="no-any-return"
"""Counts over the households of a village, township and county at T. Each function returns whether one
household counts (1 or 0).

`AreaContext` holds the sums; features of `area.py` get them without the household itself.
"""

from riskmodel.features.common import Rows, When
from riskmodel.features.rows import INPATIENT, NEVER, OWN, RISK_CONFIRMED, RISK_ELIMINATED, UNREACHABLE


def households(members: Rows) -> int:
    """1 for every household in force."""
    return 1


def monitored(verifications: Rows) -> int:
    """1 if the newest decisive verification known at T is a confirmation, else 0; decisive: risk confirmed
    or eliminated. On a tie a confirmation wins."""
    occurred = -NEVER
    known = -NEVER
    answer = 0
    for visit in verifications:
        if visit.outcome == RISK_CONFIRMED or visit.outcome == RISK_ELIMINATED:
            newer = visit.occurred_on > occurred or (visit.occurred_on == occurred and visit.known_on > known)
            same = visit.occurred_on == occurred and visit.known_on == known
            if newer or (same and visit.outcome == RISK_CONFIRMED):
                occurred = visit.occurred_on
                known = visit.known_on
                answer = 1 if visit.outcome == RISK_CONFIRMED else 0
    return answer


def confirmed_12m(verifications: Rows, when: When) -> int:
    """Risk was confirmed in the last 12 months, as known at T."""
    for visit in verifications:
        if (
            visit.outcome == RISK_CONFIRMED
            and visit.occurred_on > when.back[12]
            and visit.occurred_on <= when.as_of
        ):
            return 1
    return 0


def visited_12m(verifications: Rows, when: When) -> int:
    """Somebody was reached at a visit of the last 12 months, as known at T."""
    for visit in verifications:
        if (
            visit.outcome != UNREACHABLE
            and visit.occurred_on > when.back[12]
            and visit.occurred_on <= when.as_of
        ):
            return 1
    return 0


def with_lead_12m(leads: Rows, when: When) -> int:
    """A lead of the last 12 months."""
    for lead in leads:
        if lead.occurred_on > when.back[12] and lead.occurred_on <= when.as_of:
            return 1
    return 0


def with_shock_12m(shocks: Rows, when: When) -> int:
    """A shock of the household itself in the last 12 months."""
    for shock in shocks:
        if shock.scope == OWN and shock.occurred_on > when.back[12] and shock.occurred_on <= when.as_of:
            return 1
    return 0


def with_inpatient_12m(medical: Rows, when: When) -> int:
    """An inpatient bill in the last 12 months."""
    for bill in medical:
        if bill.kind == INPATIENT and bill.occurred_on > when.back[12] and bill.occurred_on <= when.as_of:
            return 1
    return 0


def with_work_6m(employment: Rows, when: When) -> int:
    """A month reported as worked in the last 6 months."""
    for report in employment:
        if report.employed == 1 and report.occurred_on > when.back[6] and report.occurred_on <= when.as_of:
            return 1
    return 0


def with_work_before_6m(employment: Rows, when: When) -> int:
    """A month reported as worked in the 6 months before the last 6."""
    for report in employment:
        if report.employed == 1 and report.occurred_on > when.back[12] and report.occurred_on <= when.back[6]:
            return 1
    return 0
