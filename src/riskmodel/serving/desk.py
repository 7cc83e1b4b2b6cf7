"""The desk: takes one household's rows, answers its score and reasons, by the same functions as a batch run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.features import build, prepare_records, warm_up
from riskmodel.policy import Policy
from riskmodel.project import Project
from riskmodel.serving.messages import Reason, ScoreAnswer, ScoreRequest
from riskmodel.serving.release import Release, newest_release, open_release
from riskmodel.tables import from_frames, tables_of


@dataclass(frozen=True)
class Desk:
    """Around one opened release. Scores do not depend on earlier calls."""

    release: Release

    @classmethod
    def open(cls, project: Project | None = None) -> Desk:
        """On the project's current release. Raises ModelError when there is none, or when it is damaged.

        What has to be compiled is compiled here (or comes from the cache on disk), so that no caller waits for a compiler.
        """
        release = open_release(newest_release(project or Project.find()))
        warm_up(release.model.catalogue)
        return cls(release)

    @cached_property
    def _policy(self) -> Policy:
        rows = (
            pl.DataFrame(self.release.policy_rows).with_columns(pl.col("valid_from").str.to_date())
            if self.release.policy_rows
            else None
        )
        return Policy.load(self.release.model.project, None if rows is None else from_frames({"policy": rows}))

    def score(self, request: ScoreRequest) -> ScoreAnswer:
        """Score and explain one household. Raises DataError with every fault of its rows, GateError for values that may not be scored."""
        release = self.release
        given = request.tables.model_dump(exclude_none=True)  # type: ignore[attr-defined]
        faults = _not_one_household(given, request.as_of, release.as_of)
        if faults:
            raise DataError(faults)
        household = given["households"][0]["household_id"]
        tables_of(_of_one_household(given, household))  # the contract's own checks: orphans, two versions of one day, …
        matrix = build(
            prepare_records(given),
            request.as_of,
            catalogue=release.model.catalogue,
            policy=self._policy,
            households=[household],
            context=release.context,
        )
        scores = release.model.score_matrix(matrix, request.horizon_months)
        row, told = scores.row(household), scores.reasons(household)
        return ScoreAnswer(
            household_id=household,
            as_of=request.as_of,
            horizon_months=request.horizon_months,
            probability=row["probability"],
            low=row["low"],
            high=row["high"],
            margin=row["margin"],
            risk_kinds=list(told.risk_kinds),
            reasons=[Reason(zh=reason.zh, en=reason.en, risk_kind=reason.risk_kind, raises=reason.raises) for reason in told],
            notes_zh=told.notes_zh,
            notes_en=told.notes_en,
            model_version=scores.model_version,
            feature_hash=row["feature_hash"],
            context_as_of=release.context.as_of,
        )


def _of_one_household(given: dict[str, list[dict[str, Any]]], household: str) -> dict[str, list[dict[str, Any]]]:
    """Without the time that its people spent in other households, whose rows a caller need not send."""
    ours = {row["member_id"] for row in given["members"] if row["household_id"] == household}
    keep = [row for row in given["members"] if row["household_id"] == household or row["member_id"] not in ours]
    return {**given, "members": keep}


def _not_one_household(given: dict[str, list[dict[str, Any]]], as_of: dt.date, context_as_of: dt.date) -> list[Fault]:
    faults = []
    households = sorted({row["household_id"] for row in given["households"]})
    if len(households) != 1:
        faults.append(
            Fault("tables.households", f"{len(households)} households", "all versions of one household", "Send one at a time.")
        )
    if as_of != context_as_of:
        faults.append(
            Fault(
                "as_of",
                as_of.isoformat(),
                f"{context_as_of.isoformat()}, the day of this release's area figures",
                "Ask for that day, or have a newer release made (`riskmodel release`).",
            )
        )
    return faults
