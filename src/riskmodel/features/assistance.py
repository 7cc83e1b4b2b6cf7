# mypy: disable-error-code="no-any-return"
"""Assistance in place at T: measures that began by T, as known at T. The score is the risk given the help
that a household has.

Measures that answer an identification are known only after it, so they cannot be seen before. No row in a
present table is 0.
"""

from riskmodel.features.common import NAN, Row, Rows, When, flag
from riskmodel.features.rows import (
    FOR_EMPLOYMENT,
    FOR_FINANCE,
    FOR_HEALTH,
    FOR_INDUSTRY,
    FOR_PUBLIC_POST,
    FOR_SAFETY_NET,
)


def _running(measure: Row, when: When) -> bool:
    """Began by T and had not ended by T."""
    return measure.occurred_on <= when.as_of and measure.ended_on > when.as_of


def measures_running(assistance: Rows, when: When) -> float:
    """Measures that began by T and had not ended."""
    count = 0
    for measure in assistance:
        if _running(measure, when):
            count += 1
    return float(count)


def measures_ended_6m(assistance: Rows, when: When) -> float:
    """Measures that ended in the last 6 months: help that was withdrawn."""
    count = 0
    for measure in assistance:
        if measure.ended_on > when.back[6] and measure.ended_on <= when.as_of:
            count += 1
    return float(count)


def all_measures_ended(assistance: Rows, when: When) -> float:
    """The household had measures and none of them is running; unknown where it never had one."""
    had = False
    running = False
    for measure in assistance:
        had = had or measure.occurred_on <= when.as_of
        running = running or _running(measure, when)
    if not had:
        return NAN
    return flag(not running)


def work_measure_running(assistance: Rows, when: When) -> float:
    """A measure for employment or a public post is running."""
    found = False
    for measure in assistance:
        if _running(measure, when) and (
            measure.measure == FOR_EMPLOYMENT or measure.measure == FOR_PUBLIC_POST
        ):
            found = True
    return flag(found)


def industry_measure_running(assistance: Rows, when: When) -> float:
    """A measure for industry or finance is running."""
    found = False
    for measure in assistance:
        if _running(measure, when) and (measure.measure == FOR_INDUSTRY or measure.measure == FOR_FINANCE):
            found = True
    return flag(found)


def health_measure_running(assistance: Rows, when: When) -> float:
    """A measure for health is running."""
    found = False
    for measure in assistance:
        if _running(measure, when) and measure.measure == FOR_HEALTH:
            found = True
    return flag(found)


def safety_net_running(assistance: Rows, when: When) -> float:
    """A measure of the safety net is running."""
    found = False
    for measure in assistance:
        if _running(measure, when) and measure.measure == FOR_SAFETY_NET:
            found = True
    return flag(found)
