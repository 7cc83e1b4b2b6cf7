# mypy: disable-error-code="no-any-return"
"""History: earlier monitoring, leads and visits, counted only as far as they were known at T. What a visit
wrote down about risk is not read."""

from riskmodel.features.common import NAN, Row, Rows, When, flag
from riskmodel.features.rows import (
    CADRE,
    DEPARTMENT,
    NEVER,
    RISK_CONFIRMED,
    RISK_ELIMINATED,
    SELF_DECLARED,
    UNREACHABLE,
)


def _leads(leads: Rows, channel: int, start: int, as_of: int) -> int:
    """Leads of one channel after day `start`, up to T."""
    count = 0
    for lead in leads:
        if lead.channel == channel and lead.occurred_on > start and lead.occurred_on <= as_of:
            count += 1
    return count


def monitored_before(verifications: Rows) -> float:
    """A confirmation of risk is known at T: the household was monitored at some time."""
    found = False
    for visit in verifications:
        found = found or visit.outcome == RISK_CONFIRMED
    return flag(found)


def months_since_elimination(verifications: Rows, when: When) -> float:
    """Days from the newest elimination of risk to T / 30.4375; unknown without one."""
    newest = -NEVER
    for visit in verifications:
        if visit.outcome == RISK_ELIMINATED and visit.occurred_on <= when.as_of:
            newest = max(newest, visit.occurred_on)
    if newest == -NEVER:
        return NAN
    return (when.as_of - newest) / 30.4375


def days_since_visit(verifications: Rows, when: When) -> float:
    """Days from the newest visit known at T, of any outcome but unreachable, to T; unknown without one."""
    newest = -NEVER
    for visit in verifications:
        if visit.outcome != UNREACHABLE and visit.occurred_on <= when.as_of:
            newest = max(newest, visit.occurred_on)
    if newest == -NEVER:
        return NAN
    return float(when.as_of - newest)


def unreachable_12m(verifications: Rows, when: When) -> float:
    """Visits of the last 12 months, known at T, at which nobody was reached."""
    count = 0
    for visit in verifications:
        if (
            visit.outcome == UNREACHABLE
            and visit.occurred_on > when.back[12]
            and visit.occurred_on <= when.as_of
        ):
            count += 1
    return float(count)


def leads_12m(leads: Rows, when: When) -> float:
    """Leads of the last 12 months of any channel."""
    count = 0
    for lead in leads:
        if lead.occurred_on > when.back[12] and lead.occurred_on <= when.as_of:
            count += 1
    return float(count)


def self_declared_12m(leads: Rows, when: When) -> float:
    """Times that the household declared itself in the last 12 months."""
    return float(_leads(leads, SELF_DECLARED, when.back[12], when.as_of))


def cadre_leads_12m(leads: Rows, when: When) -> float:
    """Leads by village cadres in the last 12 months."""
    return float(_leads(leads, CADRE, when.back[12], when.as_of))


def department_leads_12m(leads: Rows, when: When) -> float:
    """Leads by departments in the last 12 months."""
    return float(_leads(leads, DEPARTMENT, when.back[12], when.as_of))


def open_lead(leads: Rows, verifications: Rows, when: When) -> float:
    """A lead of the last 12 months after which no visit is known."""
    found = False
    for lead in leads:
        if lead.occurred_on > when.back[12] and lead.occurred_on <= when.as_of:
            visited = False
            for visit in verifications:
                visited = visited or _answers(visit, lead)
            found = found or not visited
    return flag(found)


def _answers(visit: Row, lead: Row) -> bool:
    """A visit on the day of the lead or later that reached somebody."""
    return visit.occurred_on >= lead.occurred_on and visit.outcome != UNREACHABLE
