"""What the parts of the running service share: project, desk, casebook, and who keeps the door and the audit of it.

Made empty when the service is described, filled when its process starts (`open`), emptied when it stops.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskmodel.casebook import Casebook, lookups
from riskmodel.project import Project
from riskmodel.serving.door import Door
from riskmodel.serving.releases.release import valid_until
from riskmodel.serving.trail import Trail
from riskmodel.settings import load_settings
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH


@dataclass(frozen=True)
class ReleaseFacts:
    """What is said of the release in force. record: the model record, as `training/record.py` writes it. not_taken: what should be in force instead."""

    model_version: str
    as_of: dt.date
    valid_until: dt.date
    data_dates: Mapping[str, dt.date]
    record: Mapping[str, Any]
    folder: Path
    not_taken: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Stored:
    """carried: what their answer carries; scores: household_id -> score in the shape of an answer."""

    carried: Mapping[str, Any]
    scores: Mapping[str, dict[str, Any]]


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

    def carried(self, model_version: str, as_of: dt.date, data_dates: Mapping[str, Any]) -> dict[str, Any]:
        """What every answer with a kept score or a list carries. data_dates: table -> day, as a date or written YYYY-MM-DD."""
        dates = {
            name: day if isinstance(day, dt.date) else dt.date.fromisoformat(day)
            for name, day in data_dates.items()
        }
        return {
            "model_version": model_version,
            "as_of": as_of,
            "data_dates": dates,
            "valid_until": self.valid_until(as_of),
            "signal_not_determination": True,
            "signal_zh": SIGNAL_ZH,
            "signal_en": SIGNAL_EN,
        }

    def stored_scores(
        self, ids: Sequence[str], *, as_of: dt.date, horizon_months: int, areas: Sequence[str]
    ) -> Stored:
        """Scores that a batch run kept, with what they said then; households outside the areas, or not scored then, are not in it."""
        found = lookups.stored_scores(
            self.book.engine, ids, as_of=as_of, horizon_months=horizon_months, areas=areas
        )
        return Stored(self.carried(found.model_version, as_of, found.data_dates), found.scores)

    def valid_until(self, as_of: dt.date) -> dt.date:
        """Until when a list or score of a day may be worked with."""
        return valid_until(as_of, load_settings(self.project))
