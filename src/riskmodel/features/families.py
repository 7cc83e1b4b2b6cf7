"""The modules that hold the package's feature functions, by family, and what such a function may ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

from riskmodel.features import (
    area,
    assets,
    assistance,
    disability,
    employment,
    expenditure,
    freshness,
    guarantees,
    history,
    household,
    illness,
    income,
    rules,
    shocks,
)
from riskmodel.features.rows import ALL_VERSIONS, LAST_12_MONTHS, TABLE_NAMES

FAMILIES: Final[Mapping[str, ModuleType]] = {
    "income": income,
    "expenditure": expenditure,
    "illness": illness,
    "disability": disability,
    "household": household,
    "guarantees": guarantees,
    "shocks": shocks,
    "employment": employment,
    "assistance": assistance,
    "history": history,
    "area": area,
    "freshness": freshness,
    "assets": assets,
    "rules": rules,
}
# What a feature function may name as an argument: rows, and what is known about the household as a whole.
GIVEN: Final = ("household", "village", "township", "county", "policy", "when")
ARGUMENTS: Final = (*TABLE_NAMES[1:], *LAST_12_MONTHS, *ALL_VERSIONS, *GIVEN)


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Functions that a module defines itself, in the order of its lines."""
    own = {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }
    return dict(sorted(own.items(), key=lambda item: item[1].__code__.co_firstlineno))
