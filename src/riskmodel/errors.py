"""Two families of errors: those that a user can mend, and bugs.

RiskmodelError
├── UserError something outside the program is wrong: a message in plain words, no traceback, exit code 1 │
├── ProjectError a file of the project folder (features/, training/, serving/) is missing or invalid │ ├──
PolicyError no dated value is in force for this name, area and date
│   ├── DataError      the tables hold faults; carries all of them
│   ├── PlanError      a training plan cannot be carried out on these tables
│   ├── ModelError     a run, a model or a release is missing, damaged or does not fit
│   ├── GateError      features that may not be scored; carries all faults
│   └── PromotionRefused  a model did not pass training/acceptance.yaml; carries every failed check
└── everything else is a bug of riskmodel and keeps its traceback

Every fault answers four questions: where, what was found, what was expected, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong, in four answers. `where` is file:line, table and column, or household."""

    where: str
    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.found}; expected {self.expected}. {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        """The four answers by name: where, found, expected, remedy."""
        return asdict(self)


class RiskmodelError(Exception):
    """Root of all errors that riskmodel raises on purpose."""


class UserError(RiskmodelError):
    """Something a person can mend. Takes a sentence, or all faults at once."""

    def __init__(self, what: str | Fault | Iterable[Fault]) -> None:
        if isinstance(what, str):
            self.faults: tuple[Fault, ...] = ()
            super().__init__(what)
            return
        self.faults = (what,) if isinstance(what, Fault) else tuple(what)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ProjectError(UserError):
    """The project folder is missing, or one of its files cannot be used."""


class PolicyError(UserError):
    """No dated policy value is in force."""


class DataError(UserError):
    """The tables hold faults."""


class PlanError(UserError):
    """A training plan cannot be carried out on these tables."""


class ModelError(UserError):
    """A run, model or release is missing, damaged or does not fit."""


class GateError(UserError):
    """Feature values that may not be scored."""


class PromotionRefused(UserError):
    """The model did not pass the acceptance checks."""
