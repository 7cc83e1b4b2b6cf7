"""What the parts of the running service share: project, scorer, casebook, authenticator and audit trail.

Made empty when the service is described, filled when its process starts (`open`), emptied when it stops.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from riskmodel.casebook import Casebook
from riskmodel.project import Project
from riskmodel.serving.authentication import Authenticator
from riskmodel.serving.facts import ReleaseFacts
from riskmodel.serving.releases.release import valid_until
from riskmodel.serving.scorer import Scorer, facts_of
from riskmodel.serving.trail import Trail
from riskmodel.settings import load_settings
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH


class ServiceState:
    """One for each process. scorer: around the release in force; None where only stored scores are served."""

    def __init__(self) -> None:
        self.scorer: Scorer | None = None
        self.is_open = False

    def open(self, project: Project, scorer: Scorer | None = None) -> None:
        """Open the project's casebook with its authenticator and audit trail.

        Raises UserError when the casebook cannot be reached.
        """
        self.project = project
        self.scorer = scorer
        self.book = Casebook.of(project)
        self.trail = Trail(self.book.engine)
        self.authenticator = Authenticator(self.book.engine, self.trail)
        self.is_open = True

    def close(self) -> None:
        """Close the audit trail and the casebook; a second call does nothing."""
        if self.is_open:
            self.is_open = False
            self.trail.close()
            self.book.close()

    @property
    def required_scorer(self) -> Scorer:
        """The scorer. Raises LookupError where no release is served."""
        if self.scorer is None:
            raise LookupError("no release is served here")
        return self.scorer

    def facts(self) -> ReleaseFacts | None:
        """The release in force at this moment (releases are exchanged while the service runs); None: there is none."""
        return None if self.scorer is None else facts_of(self.scorer)

    @property
    def web(self) -> Path:
        """The folder of the screening page."""
        return self.project.root / "serving" / "web"

    def carried(self, model_version: str, as_of: dt.date, data_dates: Mapping[str, Any]) -> dict[str, Any]:
        """What every answer with a stored score or a list carries.

        data_dates: table -> newest day known, as a date or as text YYYY-MM-DD.
        """
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

    def valid_until(self, as_of: dt.date) -> dt.date:
        """The last day on which a list or score of a day may be used."""
        return valid_until(as_of, load_settings(self.project))
