"""The scorer: rows of households to their scores and reasons, by the same functions as a batch run, to the
bit."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from riskmodel.errors import DataError, Fault, GateError
from riskmodel.features import build, warm_up
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.project import Project
from riskmodel.screening import warming
from riskmodel.screening.reasons import MOST_RAISING, ReasonTable
from riskmodel.screening.scoring import feature_hashes
from riskmodel.serving import reading
from riskmodel.serving.facts import ReleaseFacts
from riskmodel.serving.reading import ReadRows
from riskmodel.serving.releases import seal
from riskmodel.serving.releases.choice import RefusedRelease, ReleaseFiles, choose
from riskmodel.serving.releases.release import Release
from riskmodel.serving.tally import Tally
from riskmodel.settings import Service, load_settings


@dataclass
class Scorer:
    """Scores requests with the release in force. Scores do not depend on earlier calls. `release` is replaced
    as a whole: read it once a request.

    not_taken: the release in `release/current`, where that is another one, and why it is not in force. seen:
    state of the release files when it was opened.
    """

    release: Release
    settings: Service = field(default_factory=Service)
    tally: Tally = field(default_factory=Tally)
    not_taken: RefusedRelease | None = None
    seen: ReleaseFiles | None = None

    @classmethod
    def open(cls, project: Project | None = None, tally: Tally | None = None) -> Scorer:
        """On the project's current release, or on the newest other one when that does not pass (see
        `choice`). Raises ModelError when none passes.

        What has to be compiled is compiled here (or comes from the cache on disk), so that no caller
        waits for a compiler.
        """
        here = project or Project.find()
        settings = load_settings(here).service
        warm = threading.Thread(target=warm_up_reading)
        warm.start()
        try:
            chosen = choose(here, seal.trusted_keys(here), settings.trial_seconds)
            warm_up(chosen.release.model.catalogue)
        finally:
            warm.join()
        counts = tally or Tally()
        counts.refused_releases += chosen.not_taken is not None
        return cls(
            release=chosen.release,
            settings=settings,
            tally=counts,
            not_taken=chosen.not_taken,
            seen=chosen.seen,
        )


def facts_of(scorer: Scorer) -> ReleaseFacts:
    """Facts of the release in force for the other routes: version, dates, metrics, limits."""
    release, not_taken = scorer.release, scorer.not_taken
    return ReleaseFacts(
        model_version=release.version,
        as_of=release.as_of,
        valid_until=release.valid_until,
        data_dates=release.data_dates,
        record=release.record,
        folder=release.folder,
        not_taken=None if not_taken is None else {"release": not_taken.name, "why": not_taken.why},
    )


def warm_up_reading() -> None:
    """Compile what reads a request and what writes reasons, or load it from the cache; the features are
    compiled for a release's catalogue."""
    warming.warm_up()
    reading.warm_up()


def refuse_other_day(release: Release, as_of: dt.date) -> None:
    """Raise DataError where rows are to be scored as of another day than the release's."""
    if as_of != release.as_of:
        raise DataError(
            Fault(
                "as_of",
                as_of.isoformat(),
                f"{release.as_of.isoformat()}, the day of this release's area figures",
                "Ask for that day, or have a newer release made (`riskmodel release`).",
            )
        )


def score_rows(
    release: Release, given: ReadRows, as_of: dt.date, horizon: int, *, first: int = 1
) -> list[dict[str, Any]]:
    """Scores of every household of a request, ascending by id, as `HouseholdScore`.

    Raises DataError (another day; not in force; no member), PolicyError, and GateError with every fault.
    Households are named by their place in
    `tables.households` sorted by id, never by the id. first: the place of the first of them, where they
    are a part.
    """
    refuse_other_day(release, as_of)
    ids = [household.household_id for household in given.households]
    try:
        matrix = build(
            given.prepared,
            as_of,
            catalogue=release.model.catalogue,
            policy=release.policy,
            households=ids,
            context=release.context,
        )
        return _scores(release, matrix, horizon)
    except (DataError, GateError) as error:
        raise type(error)(_without_ids(error.faults, ids, first)) from None


def _scores(release: Release, matrix: FeatureMatrix, horizon: int) -> list[dict[str, Any]]:
    """One `HouseholdScore` for each household of the matrix."""
    screening = release.model
    scored = screening.score_rows(matrix, horizon, margins=release.margins, picked=True)
    table, reasons = scored.table, _reasons(scored.table)
    kinds, notes_zh, notes_en = table.risk_kinds, table.notes("zh"), table.notes("en")
    hashes = feature_hashes(scored.values)
    numbers = zip(
        matrix.household_id.tolist(),
        scored.probability.tolist(),
        scored.low.tolist(),
        scored.high.tolist(),
        scored.margin.tolist(),
        strict=True,
    )
    return [
        {
            "household_id": household,
            "probability": likely,
            "low": least,
            "high": most,
            "margin": raw,
            "risk_kinds": kinds[row].split(";") if kinds[row] else [],
            "reasons": reasons[row],
            "notes_zh": notes_zh[row],
            "notes_en": notes_en[row],
            "feature_hash": hashes[row],
        }
        for row, (household, likely, least, most, raw) in enumerate(numbers)
    ]


def _reasons(table: ReasonTable) -> list[list[dict[str, Any]]]:
    """Reasons of each household, raising first."""
    kinds = [entry.risk_kind for entry in table.wordbook.arrays(table.names).entries]
    return [
        [
            {"zh": zh[slot], "en": en[slot], "risk_kind": kinds[place], "raises": slot < MOST_RAISING}
            for slot, place in enumerate(places)
            if place >= 0
        ]
        for zh, en, places in zip(
            table.sentences("zh").tolist(),
            table.sentences("en").tolist(),
            table.feature.tolist(),
            strict=True,
        )
    ]


def _without_ids(faults: tuple[Fault, ...], ids: list[str], first: int) -> list[Fault]:
    """The same faults, households named by their place: an answer never repeats an id that is not the
    caller's to see in a log."""
    named: Mapping[str, str] = {household: f"number {place}" for place, household in enumerate(ids, first)}

    def without(text: str) -> str:
        for household, place in sorted(named.items(), key=lambda item: -len(item[0])):
            if household in text:
                text = text.replace(household, place)
        return text

    return [
        Fault(without(fault.where), without(fault.found), fault.expected, fault.remedy) for fault in faults
    ]
