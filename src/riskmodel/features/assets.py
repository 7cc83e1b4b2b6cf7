# ruff: noqa: SIM110
# mypy: disable-error-code="no-any-return"
"""Assets: readable only under the household's authorisation in force at T, and unknown without one. The
newest state of each kind counts."""

from riskmodel.features.common import Rows, When, flag
from riskmodel.features.rows import DEPOSIT, ENTERPRISE, VEHICLE


def _worth(assets: Rows, kind: int, as_of: int) -> float:
    """Value of one kind in the newest query, NaN when a value is missing; 0 without a record."""
    newest = -1
    for asset in assets:
        if asset.kind == kind and asset.occurred_on <= as_of:
            newest = max(newest, asset.occurred_on)
    total = 0.0
    for asset in assets:
        if asset.kind == kind and asset.occurred_on == newest:
            total += asset.value
    return total


def _has(assets: Rows, kind: int, as_of: int) -> bool:
    """A record of that kind by T."""
    for asset in assets:
        if asset.kind == kind and asset.occurred_on <= as_of:
            return True
    return False


def deposits(assets: Rows, when: When) -> float:
    """Deposits in the newest query; 0 where the query found none."""
    return _worth(assets, DEPOSIT, when.as_of)


def has_vehicle(assets: Rows, when: When) -> float:
    """A vehicle was found."""
    return flag(_has(assets, VEHICLE, when.as_of))


def has_enterprise(assets: Rows, when: When) -> float:
    """A registered business was found."""
    return flag(_has(assets, ENTERPRISE, when.as_of))
