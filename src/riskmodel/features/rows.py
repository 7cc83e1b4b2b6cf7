"""The shape in which rows reach the feature functions: one record a row, numbers only.

Days are int32 counts from 1970-01-01; `NEVER` means "not yet" (not replaced, not left, no end). Codes are
small integers in the order of the contract, named here in capitals; -1 is missing. Booleans are 1, 0, and -1
for missing. Money is float64, NaN for missing. A column that is in no record here cannot reach a feature:
ethnicity, object class, risk kinds, topics and ids are left out on purpose.
"""

from __future__ import annotations

from typing import Final

import numpy as np

NEVER: Final = 2**31 - 1

# households.category
LIFTED, GENERAL = range(2)
# households.housing_grade
GRADE_A, GRADE_B, GRADE_C, GRADE_D = range(4)
# members.sex
MALE, FEMALE = range(2)
# members.relation
HEAD, SPOUSE, CHILD, GRANDCHILD, PARENT, GRANDPARENT, SIBLING, OTHER_RELATION = range(8)
# members.education
ILLITERATE, PRIMARY, JUNIOR, SENIOR, COLLEGE = range(5)
# members.schooling
NOT_AT_SCHOOL, PRESCHOOL, AT_PRIMARY, AT_JUNIOR, AT_SENIOR, AT_VOCATIONAL, AT_COLLEGE = range(7)
# members.labour
SKILLED, ORDINARY, WEAK, LOST, NO_LABOUR = range(5)
# income.source
WAGE, BUSINESS, PROPERTY, TRANSFER = range(4)
# expenditure.purpose
PRODUCTION, EDUCATION, HOUSING, CARE, DISASTER, DEBT, LIVING = range(7)
# medical.kind
OUTPATIENT, INPATIENT, CHRONIC = range(3)
# disability.kind
VISION, HEARING, SPEECH, PHYSICAL, INTELLECTUAL, MENTAL, MULTIPLE = range(7)
# employment.place
IN_TOWNSHIP, IN_COUNTY, IN_PROVINCE, OUTSIDE = range(4)
# employment.channel
MARKET, WORKSHOP, PUBLIC_POST, SELF_EMPLOYED = range(4)
# shocks.kind
(
    FLOOD,
    DROUGHT,
    HAIL,
    FROST,
    EARTHQUAKE,
    LANDSLIDE,
    PEST,
    FIRE,
    EPIDEMIC,
    TRAFFIC_ACCIDENT,
    WORK_ACCIDENT,
    BUSINESS_FAILURE,
    PRICE_DROP,
    JOB_LOSS,
) = range(14)
# shocks.scope (worked out: whom the row names)
OWN, VILLAGE_WIDE, TOWNSHIP_WIDE, COUNTY_WIDE = range(4)
# assistance.measure
(
    FOR_INDUSTRY,
    FOR_EMPLOYMENT,
    FOR_PUBLIC_POST,
    FOR_FINANCE,
    FOR_HEALTH,
    FOR_EDUCATION,
    FOR_HOUSING,
    FOR_RELOCATION,
    FOR_WATER,
    FOR_SOCIAL,
    FOR_SAFETY_NET,
) = range(11)
# leads.channel
SELF_DECLARED, CADRE, DEPARTMENT, MEDIA, PETITION = range(5)
# authorisations.scope
SCOPE_ASSETS, SCOPE_FINANCE = range(2)
# assets.kind
VEHICLE, REAL_ESTATE, ENTERPRISE, DEPOSIT, MACHINERY = range(5)
# verifications.origin
SWEEP, SCREENING, RANDOM_CHECK, FROM_LEAD = range(4)
# verifications.outcome
RISK_CONFIRMED, NO_RISK, RISK_ELIMINATED, UNREACHABLE = range(4)

_DAY = "i4"
_CODE = "i1"
_MONEY = "f8"


def _shape(**fields: str) -> np.dtype[np.void]:
    return np.dtype(list(fields.items()), align=True)


# Columns of the contract keep their names; the others are worked out by `prepare` and explained beside them.
SHAPES: Final[dict[str, np.dtype[np.void]]] = {
    "households": _shape(
        cultivated_land_mu=_MONEY,
        distance_km=_MONEY,
        known_on=_DAY,
        replaced_on=_DAY,
        village="i4",  # place in Prepared.villages
        township="i4",  # place in Prepared.townships
        county="i4",  # place in Prepared.counties
        village_events="i4",  # place among the areas that area-wide shocks name; -1: none names it
        township_events="i4",
        county_events="i4",
        category=_CODE,
        relocated=_CODE,
        housing_grade=_CODE,
        safe_water=_CODE,
    ),
    "members": _shape(
        known_on=_DAY,
        replaced_on=_DAY,
        left_on=_DAY,
        birth_date="i4",  # as yyyymmdd: ages count birthdays, not days
        person="i4",  # the same number in every table of one Prepared; means nothing outside it
        # Since when (known_on) the present state has held without a break; 0: it held when the member first
        # became known.
        seriously_ill_since=_DAY,
        chronic_ill_since=_DAY,
        dibao_since=_DAY,
        unable_since=_DAY,  # labour is lost or none
        # Where the member's own rows begin and end among the rows cut at T; filled in at the cut.
        medical_start="i4",
        medical_end="i4",
        disability_start="i4",
        disability_end="i4",
        employment_start="i4",
        employment_end="i4",
        sex=_CODE,
        relation=_CODE,
        education=_CODE,
        schooling=_CODE,
        chronic_ill=_CODE,
        seriously_ill=_CODE,
        labour=_CODE,
        medical_insured=_CODE,
        pension_insured=_CODE,
        dibao=_CODE,
        tekun=_CODE,
    ),
    "income": _shape(
        amount=_MONEY, occurred_on=_DAY, known_on=_DAY, replaced_on=_DAY, person="i4", source=_CODE
    ),
    "expenditure": _shape(amount=_MONEY, occurred_on=_DAY, known_on=_DAY, replaced_on=_DAY, purpose=_CODE),
    "medical": _shape(
        total_cost=_MONEY,
        reimbursed=_MONEY,
        self_paid=_MONEY,
        compliant_self_paid=_MONEY,
        occurred_on=_DAY,
        known_on=_DAY,
        replaced_on=_DAY,
        person="i4",
        hospital_days="i4",
        kind=_CODE,
        diagnosis_group=_CODE,  # chapter letter, A is 0; -1 missing
    ),
    "disability": _shape(
        occurred_on=_DAY,
        known_on=_DAY,
        replaced_on=_DAY,
        valid_until=_DAY,
        person="i4",
        kind=_CODE,
        level=_CODE,
    ),
    "employment": _shape(
        monthly_wage=_MONEY,
        occurred_on=_DAY,
        known_on=_DAY,
        replaced_on=_DAY,
        person="i4",
        employed=_CODE,
        place=_CODE,
        channel=_CODE,
    ),
    "shocks": _shape(loss=_MONEY, occurred_on=_DAY, known_on=_DAY, replaced_on=_DAY, kind=_CODE, scope=_CODE),
    "guarantees": _shape(
        known_on=_DAY,
        replaced_on=_DAY,
        food_clothing_ok=_CODE,
        schooling_ok=_CODE,
        insured_ok=_CODE,
        housing_ok=_CODE,
        water_ok=_CODE,
    ),
    "assistance": _shape(
        amount=_MONEY, occurred_on=_DAY, known_on=_DAY, replaced_on=_DAY, ended_on=_DAY, measure=_CODE
    ),
    "leads": _shape(occurred_on=_DAY, known_on=_DAY, replaced_on=_DAY, channel=_CODE),
    "authorisations": _shape(occurred_on=_DAY, known_on=_DAY, replaced_on=_DAY, revoked_on=_DAY, scope=_CODE),
    "assets": _shape(value=_MONEY, occurred_on=_DAY, known_on=_DAY, replaced_on=_DAY, kind=_CODE),
    "verifications": _shape(occurred_on=_DAY, known_on=_DAY, replaced_on=_DAY, origin=_CODE, outcome=_CODE),
}
TABLE_NAMES: Final = tuple(SHAPES)
OF_HOUSEHOLD: Final = (
    "income",
    "expenditure",
    "guarantees",
    "assistance",
    "leads",
    "authorisations",
    "assets",
    "verifications",
    "shocks",
)
OF_PERSON: Final = ("medical", "disability", "employment")
# What a feature function may ask for instead of a whole table: its rows of the last 12 months, occurred after
# back[12] and by T.
LAST_12_MONTHS: Final = {"medical_12m": "medical", "employment_12m": "employment"}
# What a feature function may ask for beside the members in force: every version of everybody who was ever
# recorded in the household, as far as known at T, by person and known_on. `replaced_on` is NEVER in a version
# that is in force at T: its end would be knowledge of later.
ALL_VERSIONS: Final = {"member_versions": "members"}
WORKED_OUT: Final = frozenset(
    [
        "village",
        "township",
        "county",
        "village_events",
        "township_events",
        "county_events",
        "person",
        "seriously_ill_since",
        "chronic_ill_since",
        "dibao_since",
        "unable_since",
        "scope",
        "medical_start",
        "medical_end",
        "disability_start",
        "disability_end",
        "employment_start",
        "employment_end",
    ]
)
