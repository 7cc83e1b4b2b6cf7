# mypy: disable-error-code="no-any-return"
"""Freshness: days from the newest record (known_on) of each department about the household to T. Unknown
where there is none.

A stale record makes every other feature of its department doubtful, so it is shown beside the score.
"""

from riskmodel.features.common import Row, Rows, When, age_of_newest_record


def households_age_days(household: Row, when: When) -> float:
    """T - known_on of the household's version in force."""
    return float(when.as_of - household.known_on)


def members_age_days(members: Rows, when: When) -> float:
    """T - newest known_on of the members' versions in force."""
    return age_of_newest_record(members, when.as_of)


def income_age_days(income: Rows, when: When) -> float:
    """T - newest known_on of the household's income records."""
    return age_of_newest_record(income, when.as_of)


def expenditure_age_days(expenditure: Rows, when: When) -> float:
    """T - newest known_on of the household's expenditure records."""
    return age_of_newest_record(expenditure, when.as_of)


def medical_age_days(medical: Rows, when: When) -> float:
    """T - newest known_on of the household's medical records."""
    return age_of_newest_record(medical, when.as_of)


def disability_age_days(disability: Rows, when: When) -> float:
    """T - newest known_on of the household's disability records."""
    return age_of_newest_record(disability, when.as_of)


def employment_age_days(employment: Rows, when: When) -> float:
    """T - newest known_on of the household's employment records."""
    return age_of_newest_record(employment, when.as_of)


def shocks_age_days(shocks: Rows, when: When) -> float:
    """T - newest known_on of the household's shocks records."""
    return age_of_newest_record(shocks, when.as_of)


def guarantees_age_days(guarantees: Rows, when: When) -> float:
    """T - newest known_on of the household's guarantees records."""
    return age_of_newest_record(guarantees, when.as_of)


def assistance_age_days(assistance: Rows, when: When) -> float:
    """T - newest known_on of the household's assistance records."""
    return age_of_newest_record(assistance, when.as_of)


def leads_age_days(leads: Rows, when: When) -> float:
    """T - newest known_on of the household's leads records."""
    return age_of_newest_record(leads, when.as_of)


def assets_age_days(assets: Rows, when: When) -> float:
    """T - newest known_on of the household's assets records."""
    return age_of_newest_record(assets, when.as_of)


def verifications_age_days(verifications: Rows, when: When) -> float:
    """T - newest known_on of the household's verifications records."""
    return age_of_newest_record(verifications, when.as_of)
