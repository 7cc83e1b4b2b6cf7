"""The denylist: what never predicts, and why. Protected attributes, names, ids, village identity, and what is
written at or after identification.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from pydantic import ConfigDict, RootModel

from riskmodel.declared import Words
from riskmodel.errors import Fault
from riskmodel.project import Project

DENYLIST_FILE: Final = "features/denylist.yaml"


class _File(RootModel[dict[str, Words]]):
    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True)
class Denylist:
    """Patterns of names with their reasons. Make it with `Denylist.load`."""

    reasons: Mapping[str, Words] = field(repr=False)

    @classmethod
    def load(cls, project: Project) -> Denylist:
        """The project's denylist. Raises ProjectError with file:line."""
        return cls(project.load(DENYLIST_FILE, _File).root)

    def reason(self, name: str) -> Words | None:
        """Why this name may not predict; None when it may."""
        for pattern, words in self.reasons.items():
            if fnmatchcase(name.strip().lower(), pattern.lower()):
                return words
        return None

    def faults(self, names: Iterable[str], where: str) -> list[Fault]:
        """A fault for each name that may not predict; `where` names the file or plan that uses it."""
        found = []
        for name in names:
            words = self.reason(name)
            if words is not None:
                found.append(
                    Fault(
                        f"{where} ({name})",
                        words.en,
                        f"a name that {DENYLIST_FILE} does not hold",
                        "Leave this predictor out.",
                    )
                )
        return found
