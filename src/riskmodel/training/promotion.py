"""Who becomes champion: the checks of `training/acceptance.yaml`, the waivers, the history, the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskmodel.errors import Fault, ModelError
from riskmodel.project import Project
from riskmodel.training import registry


@dataclass(frozen=True)
class Promotion:
    """A promotion that happened."""

    run_id: str
    version: int
    by: str
    because: str
    entry: Mapping[str, Any]

    def text(self) -> str:
        """One paragraph for a terminal."""
        return f"Champion: version {self.version}, run {self.run_id}, by {self.by}: {self.because}"


def load_model_folder(project: Project, which: str = "champion") -> Path:
    """The folder for `Model.load` of the champion or of a run. Raises ModelError when there is none."""
    if which == "champion":
        now = registry.champion(project)
        if now is None:
            raise ModelError(
                Fault(
                    "champion",
                    "there is none yet",
                    "a promoted run",
                    "Promote one: `riskmodel promote RUN --by NAME --because TEXT`.",
                )
            )
        which = now["run_id"]
    return registry.artifact(project, which, "model")
