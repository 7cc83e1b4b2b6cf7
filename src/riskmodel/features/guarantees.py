# mypy: disable-error-code="no-any-return"
"""Guarantees (两不愁三保障 and drinking water), as recorded in the version in force at T. Unknown without a
record of the household.
"""

from riskmodel.features.common import NAN, Rows, flag


def guarantees_failing(guarantees: Rows) -> float:
    """Number of the five guarantees recorded as failing."""
    failing = NAN
    for state in guarantees:
        failing = 0.0
        for answer in (
            state.food_clothing_ok,
            state.schooling_ok,
            state.insured_ok,
            state.housing_ok,
            state.water_ok,
        ):
            if answer == 0:
                failing += 1.0
    return failing


def food_clothing_failing(guarantees: Rows) -> float:
    """Food and clothing are recorded as not guaranteed."""
    failing = NAN
    for state in guarantees:
        failing = flag(state.food_clothing_ok == 0)
    return failing


def schooling_failing(guarantees: Rows) -> float:
    """Compulsory schooling is recorded as not guaranteed."""
    failing = NAN
    for state in guarantees:
        failing = flag(state.schooling_ok == 0)
    return failing


def medical_cover_failing(guarantees: Rows) -> float:
    """Basic medical cover is recorded as not guaranteed."""
    failing = NAN
    for state in guarantees:
        failing = flag(state.insured_ok == 0)
    return failing


def housing_failing(guarantees: Rows) -> float:
    """Safe housing is recorded as not guaranteed."""
    failing = NAN
    for state in guarantees:
        failing = flag(state.housing_ok == 0)
    return failing


def water_failing(guarantees: Rows) -> float:
    """Safe drinking water is recorded as not guaranteed."""
    failing = NAN
    for state in guarantees:
        failing = flag(state.water_ok == 0)
    return failing
