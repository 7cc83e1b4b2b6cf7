# mypy: disable-error-code="no-any-return"
"""Area: how the neighbours fare, as known at T. Neighbours are all other households of the village, township
or county.

`village`, `township` and `county` hold the counts of `neighbours.py` without the household itself. Unknown
where there is nobody else.
"""

from riskmodel.features.common import Row, Rows, share


def village_confirmed_share_12m(village: Row, verifications: Rows) -> float:
    """Neighbours of the village with risk confirmed in the last 12 months / neighbours."""
    return share(float(village.confirmed_12m), float(village.households))


def township_confirmed_share_12m(township: Row, verifications: Rows) -> float:
    """Other households of the township with risk confirmed in the last 12 months / other households."""
    return share(float(township.confirmed_12m), float(township.households))


def village_monitored_share(village: Row, verifications: Rows) -> float:
    """Neighbours of the village who are monitored at T / neighbours."""
    return share(float(village.monitored), float(village.households))


def village_hit_share_12m(village: Row, verifications: Rows) -> float:
    """Neighbours of the village with risk confirmed / neighbours visited, last 12 months: adjusted for how
    much was visited."""
    return share(float(village.confirmed_12m), float(village.visited_12m))


def village_lead_share_12m(village: Row, leads: Rows) -> float:
    """Neighbours of the village with a lead in the last 12 months / neighbours."""
    return share(float(village.with_lead_12m), float(village.households))


def village_shock_share_12m(village: Row, shocks: Rows) -> float:
    """Neighbours of the village with a shock of their own in the last 12 months / neighbours."""
    return share(float(village.with_shock_12m), float(village.households))


def village_inpatient_share_12m(village: Row, medical: Rows) -> float:
    """Neighbours of the village with an inpatient bill in the last 12 months / neighbours."""
    return share(float(village.with_inpatient_12m), float(village.households))


def village_work_change_6m(village: Row, employment: Rows) -> float:
    """(neighbours with work in the last 6 months - those with work in the 6 before) / the latter."""
    before = float(village.with_work_before_6m)
    return share(float(village.with_work_6m) - before, before)


def township_work_change_6m(township: Row, employment: Rows) -> float:
    """(other households of the township with work in the last 6 months - those with work in the 6 before) /
    the latter."""
    before = float(township.with_work_before_6m)
    return share(float(township.with_work_6m) - before, before)
