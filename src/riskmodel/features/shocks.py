# ruff: noqa: SIM102
# mypy: disable-error-code="no-any-return"
"""Shocks: what befell the household itself, and what befell everybody of its village, township or county.
Occurred by T and known by T."""

from riskmodel.features.common import NAN, Row, Rows, When, flag, gross_income, income_between, share
from riskmodel.features.rows import (
    BUSINESS,
    BUSINESS_FAILURE,
    FIRE,
    FLOOD,
    FROST,
    JOB_LOSS,
    LANDSLIDE,
    OWN,
    PEST,
    PRICE_DROP,
    TRAFFIC_ACCIDENT,
    WORK_ACCIDENT,
)


def _own(shocks: Rows, first_kind: int, last_kind: int, start: int, as_of: int) -> int:
    """Shocks of the household itself, of kinds between two codes, after day `start` up to T."""
    count = 0
    for shock in shocks:
        if shock.scope == OWN and shock.kind >= first_kind and shock.kind <= last_kind:
            if shock.occurred_on > start and shock.occurred_on <= as_of:
                count += 1
    return count


def _of_area(shocks: Rows, first_kind: int, last_kind: int, start: int, as_of: int) -> int:
    """Shocks of the household's village, township or county, of kinds between two codes, after day `start` up
    to T."""
    count = 0
    for shock in shocks:
        if shock.scope != OWN and shock.kind >= first_kind and shock.kind <= last_kind:
            if shock.occurred_on > start and shock.occurred_on <= as_of:
                count += 1
    return count


def _harm_to_fields(shock: Row) -> bool:
    """A kind of shock that destroys a harvest."""
    return shock.kind <= FROST or shock.kind == LANDSLIDE or shock.kind == PEST


def own_shocks_12m(shocks: Rows, when: When) -> float:
    """Shocks of the household itself in the last 12 months, of any kind."""
    return float(_own(shocks, FLOOD, JOB_LOSS, when.back[12], when.as_of))


def own_loss_12m(shocks: Rows, when: When) -> float:
    """Losses recorded for shocks of the household itself in the last 12 months; a shock without a figure
    counts 0."""
    total = 0.0
    for shock in shocks:
        if (
            shock.scope == OWN
            and shock.loss > 0.0
            and shock.occurred_on > when.back[12]
            and shock.occurred_on <= when.as_of
        ):
            total += shock.loss
    return total


def loss_income_share_12m(shocks: Rows, income: Rows, when: When) -> float:
    """Losses of the household itself, last 12 months / all income of the last 12 whole months."""
    total = 0.0
    for shock in shocks:
        if (
            shock.scope == OWN
            and shock.loss > 0.0
            and shock.occurred_on > when.back[12]
            and shock.occurred_on <= when.as_of
        ):
            total += shock.loss
    return share(total, gross_income(income, when.first[12], when.first[0]))


def days_since_own_shock(shocks: Rows, when: When) -> float:
    """Days from the newest shock of the household itself to T; unknown without one."""
    newest = -1
    for shock in shocks:
        if shock.scope == OWN and shock.occurred_on <= when.as_of and shock.occurred_on > newest:
            newest = shock.occurred_on
    if newest < 0:
        return NAN
    return float(when.as_of - newest)


def accident_12m(shocks: Rows, when: When) -> float:
    """A traffic or work accident befell the household in the last 12 months."""
    return flag(_own(shocks, TRAFFIC_ACCIDENT, WORK_ACCIDENT, when.back[12], when.as_of) > 0)


def fire_12m(shocks: Rows, when: When) -> float:
    """A fire befell the household in the last 12 months."""
    return flag(_own(shocks, FIRE, FIRE, when.back[12], when.as_of) > 0)


def business_failure_24m(shocks: Rows, when: When) -> float:
    """A project of the household failed in the last 24 months."""
    return flag(_own(shocks, BUSINESS_FAILURE, BUSINESS_FAILURE, when.back[24], when.as_of) > 0)


def job_loss_reported_12m(shocks: Rows, when: When) -> float:
    """Job losses reported for the household in the last 12 months."""
    return float(_own(shocks, JOB_LOSS, JOB_LOSS, when.back[12], when.as_of))


def area_disasters_12m(shocks: Rows, when: When) -> float:
    """Natural disasters and pests of the village, township or county in the last 12 months."""
    return float(_of_area(shocks, FLOOD, PEST, when.back[12], when.as_of))


def land_under_disaster_12m(shocks: Rows, household: Row, members: Rows, when: When) -> float:
    """Cultivated land a person where a disaster that destroys harvests hit the household or its area in 12
    months; 0 where none did."""
    hit = False
    for shock in shocks:
        if _harm_to_fields(shock) and shock.occurred_on > when.back[12] and shock.occurred_on <= when.as_of:
            hit = True
    if not hit:
        return 0.0
    return household.cultivated_land_mu / len(members)


def business_share_under_shock_12m(shocks: Rows, income: Rows, when: When) -> float:
    """Business share of income where a harvest was destroyed or a price fell within 12 months; 0 where
    neither happened."""
    hit = False
    for shock in shocks:
        if _harm_to_fields(shock) or shock.kind == PRICE_DROP:
            if shock.occurred_on > when.back[12] and shock.occurred_on <= when.as_of:
                hit = True
    if not hit:
        return 0.0
    return share(
        income_between(income, BUSINESS, when.first[12], when.first[0]),
        gross_income(income, when.first[12], when.first[0]),
    )


def price_drop_12m(shocks: Rows, when: When) -> float:
    """Falling prices were reported for the household or its area in the last 12 months."""
    own = _own(shocks, PRICE_DROP, PRICE_DROP, when.back[12], when.as_of)
    return flag(own + _of_area(shocks, PRICE_DROP, PRICE_DROP, when.back[12], when.as_of) > 0)
