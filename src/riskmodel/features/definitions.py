"""What features there are: the public functions of the package's families, and those of a project's own
folder.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from riskmodel.features import neighbours
from riskmodel.features.families import FAMILIES, functions_of
from riskmodel.features.own import NOTHING_OWN, OwnFunctions, own_modules
from riskmodel.features.rows import ALL_VERSIONS, LAST_12_MONTHS, TABLE_NAMES


@dataclass(frozen=True)
class Definition:
    """One feature (or count of neighbours): the function that makes it and the tables it reads."""

    name: str
    family: str
    function: Callable[..., float]
    takes: tuple[str, ...]

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables whose absence makes the value unknown, in the contract's names."""
        named = dict.fromkeys((LAST_12_MONTHS | ALL_VERSIONS).get(name, name) for name in self.takes)
        return tuple(name for name in named if name in TABLE_NAMES)

    @property
    def reads(self) -> set[str]:
        """What has to be cut for it: tables, their rows of the last 12 months, all versions of the
        members."""
        return set(self.tables) | (set(self.takes) & set(LAST_12_MONTHS | ALL_VERSIONS))

    @property
    def formula(self) -> str:
        """The feature function's docstring: the formula that people see."""
        return inspect.getdoc(self.function) or ""


@lru_cache(maxsize=8)
def definitions(own: OwnFunctions = NOTHING_OWN) -> dict[str, Definition]:
    """All features by name, family by family: the public functions of the family's module, then those of the
    project's own file.
    """
    found: dict[str, Definition] = {}
    added = own_modules(own)
    for family, module in FAMILIES.items():
        for part in (module, added[family]) if family in added else (module,):
            for name, function in functions_of(part).items():
                if not name.startswith("_"):
                    assert name not in found, f"two features are called {name}"
                    found[name] = Definition(
                        name, family, function, tuple(inspect.signature(function).parameters)
                    )
    return found


@lru_cache(maxsize=64)
def of_area(names: tuple[str, ...], own: OwnFunctions = NOTHING_OWN) -> bool:
    """Whether one of these features asks for the counts of neighbours."""
    return any({"village", "township", "county"} & set(definitions(own)[name].takes) for name in names)


@lru_cache(maxsize=1)
def counts() -> dict[str, Definition]:
    """What is counted about the households of an area: the public functions of `neighbours.py`."""
    return {
        name: Definition(name, "neighbours", function, tuple(inspect.signature(function).parameters))
        for name, function in functions_of(neighbours).items()
        if not name.startswith("_")
    }
