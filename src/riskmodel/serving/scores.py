"""`POST /v1/scores`: the route as a plain ASGI application, without a framework between the body and the
kernel.

A small body that is certainly valid is scored at once. Everything else is read and processed in threads
beside the event loop: large bodies one after the other, small ones that need the full checks (or are refused)
a few at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope, Send

from riskmodel.casebook import lookups
from riskmodel.casebook.roles import Who
from riskmodel.errors import Fault, UserError
from riskmodel.serving.bodies import check_body_headers
from riskmodel.serving.messages import HouseholdScore
from riskmodel.serving.problems import refuse
from riskmodel.serving.reading import Asked, BodyRefused, ReadRows, read, read_plain, refused
from riskmodel.serving.releases.release import Release
from riskmodel.serving.request_faults import FAULTS_AT_MOST
from riskmodel.serving.scorer import score_rows
from riskmodel.serving.shapes import Carried
from riskmodel.serving.state import ServiceState
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH

SMALL: Final = 64 * 1024  # bytes: about three households; a larger body is not even decoded on the event loop
CLOSER_LOOKS: Final = 2  # threads for small bodies that need one

Answered = tuple[Asked, list[dict[str, Any]], dict[str, Any]]


class ScoresAnswer(Carried):
    """Scores of the households that were asked about, ascending by id."""

    horizon_months: int
    idempotency_key: str | None
    scores: list[HouseholdScore]


class ScoresEndpoint:
    """Scores and explains households. The caller is `scope["state"]["who"]`; what was scored goes into
    `scope["state"]["audit"]`.
    """

    def __init__(self, state: ServiceState) -> None:
        self.state = state
        self._large = ThreadPoolExecutor(1, thread_name_prefix="large")
        self._closer = ThreadPoolExecutor(CLOSER_LOOKS, thread_name_prefix="closer-look")
        self._large_ones = 0
        # One small request is worked on at a time, so that refusals and other routes get their turn between
        # two of them.
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = check_body_headers(dict(scope["headers"]))
        if fault is not None:
            await refuse(send, 415, "the body is sent in a form that is not read here", [fault])
            return
        if scope["query_string"]:
            fault = Fault("query", "a query", "none", "Put everything into the body.")
            await refuse(send, 400, "1 fault in the request", [fault])
            return
        body = await _body(receive)
        release, who = self.state.required_scorer.release, scope["state"]["who"]
        try:
            asked, scores, carried = await self._asked(release, who, body)
        except BodyRefused as refusal:
            wait = [(b"retry-after", b"3")] if refusal.status == 503 else []
            await refuse(send, refusal.status, refusal.detail, refusal.faults, wait)
            return
        self.state.required_scorer.tally.scored(len(scores))
        details = {
            "households": len(scores),
            "as_of": asked.as_of.isoformat(),
            "horizon_months": asked.horizon,
        }
        if asked.key:
            details["idempotency_key"] = asked.key
        if len(scores) == 1:
            details["household_id"] = scores[0]["household_id"]
        else:
            details["household_ids"] = [score["household_id"] for score in scores]
        scope["state"]["audit"].update(model_version=carried["model_version"], details=details)
        content = orjson.dumps(
            carried | {"horizon_months": asked.horizon, "idempotency_key": asked.key, "scores": scores}
        )
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": content})

    async def _asked(self, release: Release, who: Who, body: bytes) -> Answered:
        """Read, score and explain: at once where it is little and plain, in a thread otherwise. Raises
        BodyRefused.
        """
        if len(body) <= SMALL:
            async with self._turn:
                asked = read_plain(body)
                if asked is not None and asked.rows is not None:
                    return asked, _score(release, who, asked, asked.rows), self._carried(release)
            return await self._in_thread(self._closer, release, who, body)
        if self._large_ones >= self.state.required_scorer.settings.large_at_once:
            raise BodyRefused(503, "other large requests are being worked on; ask again in a few seconds")
        self._large_ones += 1
        try:
            return await self._in_thread(self._large, release, who, body)
        finally:
            self._large_ones -= 1

    async def _in_thread(self, threads: Executor, release: Release, who: Who, body: bytes) -> Answered:
        return await asyncio.get_running_loop().run_in_executor(threads, self._whole, release, who, body)

    def _whole(self, release: Release, who: Who, body: bytes) -> Answered:
        """All of it, in the thread that calls. Raises BodyRefused."""
        asked = read(body)
        if asked.rows is None:
            return asked, *self._stored(release, who, asked)
        return asked, _score(release, who, asked, asked.rows), self._carried(release)

    def _stored(
        self, release: Release, who: Who, asked: Asked
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Scores that a batch run kept, with their reasons of that day, and the fields that every answer
        carries."""
        found = lookups.stored_scores(
            self.state.book.engine,
            asked.ids,
            as_of=asked.as_of,
            horizon_months=asked.horizon,
            areas=who.areas,
        )
        missing = [place for place, name in enumerate(asked.ids) if name not in found.scores]
        if missing:
            self._refuse_wrong_day(who, asked, found.scores)
            raise _not_there("household_ids.", missing)
        own = {
            "model_version": found.model_version,
            "as_of": asked.as_of,
            "data_dates": found.data_dates,
            "valid_until": self.state.valid_until(asked.as_of),
        }
        return [found.scores[name] for name in sorted(set(asked.ids))], carried_by(release) | own

    def _carried(self, release: Release) -> dict[str, Any]:
        return carried_by(release) | {"valid_until": self.state.valid_until(release.as_of)}

    def _refuse_wrong_day(self, who: Who, asked: Asked, found: Mapping[str, Any]) -> None:
        """Raise BodyRefused where the first household has scores, but none of the day that was asked for."""
        if found:
            return
        known = lookups.household(self.state.book.engine, who.areas, asked.ids[0], None)
        days = [] if known is None else [row["as_of"] for row in known.scores]
        if days and asked.as_of not in days:
            expected = f"one of {', '.join(day.isoformat() for day in days[:12])}"
            fault = Fault(
                "as_of", f"no score of {asked.as_of.isoformat()}", expected, "Ask for one of these days."
            )
            raise BodyRefused(404, "these households have no score of that day", [fault])


def refuse_foreign(who: Who, given: ReadRows) -> None:
    """Raise BodyRefused (404) where a household is outside the areas of the key."""
    foreign = [
        place for place, household in enumerate(given.households, 1) if not who.sees(household.village_code)
    ]
    if foreign:
        raise _not_there("tables.households, number", foreign)


def _score(release: Release, who: Who, asked: Asked, given: ReadRows) -> list[dict[str, Any]]:
    refuse_foreign(who, given)
    try:
        return score_rows(release, given, asked.as_of, asked.horizon)
    except UserError as error:
        raise refused(422, "in what was sent", error.faults) from None


def carried_by(release: Release) -> dict[str, Any]:
    """What every answer with a score carries."""
    return {
        "model_version": release.version,
        "as_of": release.as_of,
        "data_dates": dict(release.data_dates),
        "valid_until": release.valid_until,
        "signal_not_determination": True,
        "signal_zh": SIGNAL_ZH,
        "signal_en": SIGNAL_EN,
    }


def _not_there(where: str, places: Sequence[int]) -> BodyRefused:
    faults = [
        Fault(
            f"{where}{'' if where.endswith('.') else ' '}{place}",
            "nothing of this key",
            "a household of its areas",
            "Check the id.",
        )
        for place in places[:FAULTS_AT_MOST]
    ]
    return BodyRefused(404, f"{len(places)} of these households are not there", faults)


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
