"""The random streams of a synthetic county: one number each, so that no two draw from the same stream.

A stream is `numpy.random.default_rng([seed, number, ...])`. A new stream gets a number that nobody has; a
number is never used again for something else, because that would change every county that was made before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

# What lives in the county, and what strikes it.
PEOPLE: Final = 1
WORLD: Final = 2
LIVES: Final = 3
FUTURES: Final = 4  # followed by the as-of month
SKY: Final = 5
DELIVERY: Final = 6  # followed by the number of the table in DELIVERIES
VILLAGE_GAPS: Final = 7

# What the departments write: the tables, and single questions within them.
RECORDS: Final[Mapping[str, int]] = {
    "assistance": 99,
    "assets": 759,
    "authorisations": 1633,
    "disability": 1170,
    "employment": 1198,
    "expenditure": 1297,
    "false": 623,
    "guarantees": 1171,
    "households": 1186,
    "income": 735,
    "leads": 621,
    "medical": 819,
    "members": 847,
    "patients": 972,
    "place": 617,
    "shocks": 751,
    "verifications": 1498,
    "assets-id": 1009,
    "assistance-id": 1420,
    "authorisations-id": 1883,
    "employment-id": 1448,
    "expenditure-id": 1547,
    "income-id": 985,
    "leads-id": 871,
    "medical-id": 1069,
    "shocks-id": 1001,
    "verifications-id": 1748,
    "employment-again": 1755,
    "expenditure-again": 1854,
    "income-again": 1292,
    "medical-again": 1376,
    "verifications-again": 2055,
    "expenditure-corrected": 2297,
    "income-corrected": 1735,
    "medical-corrected": 1819,
}
# How another county's departments lose, delay and misread the rows of a table (`Dynamics`).
DELIVERIES: Final[Mapping[str, int]] = {
    "income": 635,
    "expenditure": 1197,
    "medical": 719,
    "disability": 1070,
    "employment": 1098,
    "shocks": 651,
    "assistance": 1,
    "leads": 521,
}


def stream(seed: int, *numbers: int) -> np.random.Generator:
    """The random stream of these numbers in the county of this seed."""
    return np.random.default_rng([seed, *numbers])
