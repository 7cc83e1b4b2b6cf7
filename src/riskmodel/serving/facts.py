"""What is known of the release in force: version, day, dates of its data, and the release that should be in
force instead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ReleaseFacts:
    """The release in force, for the routes beside scoring.

    record: the model record, as `training/record.py` writes it. not_taken: name and faults of the release
    that `release/current` names, where that is another one; None: it is in force.
    """

    model_version: str
    as_of: dt.date
    valid_until: dt.date
    data_dates: Mapping[str, dt.date]
    record: Mapping[str, Any]
    folder: Path
    not_taken: Mapping[str, Any] | None = None
