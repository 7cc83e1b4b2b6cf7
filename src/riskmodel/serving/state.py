"""What the parts of the running service share: project, scorer, casebook, authenticator, audit trail and
scoring jobs.

Made empty when the service is described, filled when its process starts (`open`), emptied when it stops.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskmodel.casebook import Casebook
from riskmodel.project import Project
from riskmodel.serving.authentication import Authenticator
from riskmodel.serving.facts import ReleaseFacts
from riskmodel.serving.forwarded import proxies_of_environment
from riskmodel.serving.jobs import Jobs
from riskmodel.serving.limits import Bounds
from riskmodel.serving.scorer import Scorer, facts_of
from riskmodel.serving.single_sign_on import Provider, load_single_sign_on
from riskmodel.serving.trail import Trail
from riskmodel.settings import ScreeningSettings, load_settings
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH


@dataclass(frozen=True)
class SettingsInForce:
    """`serving/screening.yaml` as it was read when the service started or took its release. hash: SHA-256 of
    its values.
    """

    screening: ScreeningSettings
    hash: str

    @classmethod
    def of(cls, screening: ScreeningSettings) -> SettingsInForce:
        """With the hash of all values, defaults included: comments and order do not change it."""
        values = json.dumps(screening.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)
        return cls(screening, hashlib.sha256(values.encode()).hexdigest())


class ServiceState:
    """One for each process.

    scorer: around the release in force; None where only stored scores are served. settings, bounds: read when
    the service starts and when it takes another release, never at a request. single_sign_on: None where it is
    off.
    """

    def __init__(self) -> None:
        self.scorer: Scorer | None = None
        self.settings = SettingsInForce.of(ScreeningSettings())
        self.bounds = Bounds()
        self.single_sign_on: Provider | None = None
        self.is_open = False

    def open(self, project: Project, scorer: Scorer | None = None) -> None:
        """Read the project's settings, open its casebook with the authenticator, the audit trail and the
        scoring jobs.

        Raises UserError for settings that are impossible and when the casebook cannot be reached.
        """
        self.take_settings(load_settings(project))
        self.bounds.more_proxies = proxies_of_environment()
        sign_on = load_single_sign_on(project)
        self.single_sign_on = Provider(sign_on) if sign_on.enabled else None
        self.project = project
        self.scorer = scorer
        self.book = Casebook.of(project)
        self.trail = Trail(self.book.engine)
        self.authenticator = Authenticator(self.book.engine, self.trail)
        self.jobs = Jobs(project.root)
        self.is_open = True

    def take_settings(self, screening: ScreeningSettings) -> None:
        """Put settings in force that were read whole."""
        self.settings = SettingsInForce.of(screening)
        self.bounds.settings = screening.service

    def close(self) -> None:
        """Close the audit trail and the casebook; a second call does nothing."""
        if self.is_open:
            self.is_open = False
            self.jobs.close()
            self.trail.close()
            self.book.close()

    @property
    def required_scorer(self) -> Scorer:
        """The scorer. Raises LookupError where no release is served."""
        if self.scorer is None:
            raise LookupError("no release is served here")
        return self.scorer

    def facts(self) -> ReleaseFacts | None:
        """The release in force at this moment (releases are exchanged while the service runs); None: there is
        none.
        """
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
        """The last day on which a list or score of a day may be used: never later than the sealed release has
        it.
        """
        days = self.settings.screening.service.valid_days
        if self.scorer is not None:
            days = min(days, self.scorer.release.model.settings.service.valid_days)
        return as_of + dt.timedelta(days=days)
