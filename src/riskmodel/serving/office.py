"""What the parts of the running service share: project, desk, casebook, and who keeps the door and the audit of it.

Made empty when the service is described, filled when its process starts (`open`), emptied when it stops.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskmodel.project import Project
from riskmodel.screening.settings import load_settings
from riskmodel.serving.casebook import Casebook
from riskmodel.serving.door import Door
from riskmodel.serving.trail import Trail


@dataclass(frozen=True)
class ReleaseFacts:
    """What is said of the release in force. record: the model record, as `training/record.py` writes it."""

    model_version: str
    as_of: dt.date
    valid_until: dt.date
    data_dates: Mapping[str, dt.date]
    record: Mapping[str, Any]
    folder: Path


class Office:
    """One for each process. desk: set by the service before it opens; None where only stored scores are served."""

    def __init__(self) -> None:
        self.desk: Any = None
        self.is_open = False

    def open(self, project: Project, facts: Callable[[], ReleaseFacts] | None = None) -> None:
        """Open the project's casebook and the door to it. facts: asked for each time, since releases are swapped while the service runs.

        Raises UserError when the casebook cannot be reached.
        """
        self.project = project
        self.facts = facts
        self.book = Casebook.of(project)
        self.trail = Trail(self.book.engine)
        self.door = Door(self.book.engine, self.trail)
        self.is_open = True

    def close(self) -> None:
        """Give back what is open; a second time does nothing."""
        if self.is_open:
            self.is_open = False
            self.trail.close()
            self.book.close()

    @property
    def web(self) -> Path:
        """The folder of the screening page."""
        return self.project.root / "serving" / "web"

    def valid_until(self, as_of: dt.date) -> dt.date:
        """Until when a list or score of a day may be worked with."""
        try:
            from riskmodel.serving.release import valid_until  # until release.py has it
        except ImportError:
            return as_of + dt.timedelta(days=31)
        return valid_until(as_of, load_settings(self.project))
