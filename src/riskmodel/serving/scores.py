"""`POST /v1/scores`: the route as a plain ASGI application, so that nothing stands between the body and the kernel.

A body that is plainly right is read by compiled code (`reading.py`). Any other goes the slow way, which says everything that is wrong at once.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import orjson
from anyio import to_thread
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from riskmodel.casebook import lookups
from riskmodel.casebook.roles import Who
from riskmodel.errors import Fault, UserError
from riskmodel.features import prepare_records
from riskmodel.serving.bodies import repeated_keys, said_wrongly
from riskmodel.serving.desk import score_rows
from riskmodel.serving.messages import (
    HOUSEHOLDS_AT_MOST,
    ROWS_A_HOUSEHOLD,
    ROWS_AT_MOST,
    HouseholdScore,
    ScoresRequest,
)
from riskmodel.serving.problems import refuse
from riskmodel.serving.reading import Household, ReadRows, read_rows
from riskmodel.serving.releases.release import Release, valid_until
from riskmodel.serving.shapes import Carried, faults_of
from riskmodel.serving.state import ServiceState
from riskmodel.tables import tables_of
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH

LARGE: Final = 256 * 1024  # bytes; larger requests are worked on beside the event loop, one at a time
# The head of a body that needs no closer look: the keys before `tables`, in any order, without escapes.
_HEAD: Final = re.compile(
    rb'\s*\{\s*(?:(?:"as_of"\s*:\s*"(?P<as_of>\d{4}-\d\d-\d\d)"|"horizon_months"\s*:\s*(?P<horizon>3|6|12)'
    rb'|"idempotency_key"\s*:\s*"(?P<key>[A-Za-z0-9_-]{8,64})")\s*,\s*){1,3}"tables"\s*:\s*(?=\{)'
)
_KEYS: Final = (b'"as_of"', b'"horizon_months"', b'"idempotency_key"')


class ScoresAnswer(Carried):
    """Scores of the households that were asked about, ascending by id."""

    horizon_months: int
    idempotency_key: str | None
    scores: list[HouseholdScore]


@dataclass(frozen=True)
class Asked:
    """A request that was read: rows, or ids of stored households."""

    as_of: dt.date
    horizon: int
    key: str | None
    rows: ReadRows | None
    ids: Sequence[str] = ()


class Refused(Exception):
    """The request is refused: status, one sentence, every fault."""

    def __init__(self, status: int, detail: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults = status, detail, tuple(faults)


class Scores:
    """Scores and explains households. The caller is `scope["state"]["who"]`; what was scored goes into `scope["state"]["audit"]`."""

    def __init__(self, state: ServiceState) -> None:
        self.state = state
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="large")
        self._large = 0
        # One small request is worked on at a time, so that refusals and other routes get their turn between two of them.
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = said_wrongly(dict(scope["headers"]))
        if fault is not None:
            await refuse(send, 415, "the body is sent in a form that is not read here", [fault])
            return
        if scope["query_string"]:
            fault = Fault("query", "a query", "none", "Say everything in the body.")
            await refuse(send, 400, _count(1, "in the request"), [fault])
            return
        body = await _whole(receive)
        release, who = self.state.required_scorer.release, scope["state"]["who"]
        try:
            asked, scores, carried = await self._asked(release, who, body)
        except Refused as refused:
            wait = [(b"retry-after", b"3")] if refused.status == 503 else []
            await refuse(send, refused.status, refused.detail, refused.faults, wait)
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

    async def _asked(
        self, release: Release, who: Who, body: bytes
    ) -> tuple[Asked, list[dict[str, Any]], dict[str, Any]]:
        """Read, score and explain: at once where it is little, beside the event loop where it is much."""
        if len(body) <= LARGE:
            async with self._turn:
                asked = read_quickly(body) or read_slowly(body)
                if asked.rows is not None:
                    return asked, _score(release, who, asked, asked.rows), carried_by(release)
            return asked, *await to_thread.run_sync(self._stored, release, who, asked)
        if self._large >= self.state.required_scorer.settings.large_at_once:
            raise Refused(503, "other large requests are being worked on; ask again in a few seconds")
        self._large += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._beside, self._large_one, release, who, body
            )
        finally:
            self._large -= 1

    def _large_one(
        self, release: Release, who: Who, body: bytes
    ) -> tuple[Asked, list[dict[str, Any]], dict[str, Any]]:
        asked = read_quickly(body) or read_slowly(body)
        if asked.rows is None:
            return asked, *self._stored(release, who, asked)
        return asked, _score(release, who, asked, asked.rows), carried_by(release)

    def _stored(
        self, release: Release, who: Who, asked: Asked
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Scores that a batch run kept, with what they said then, and what they carry."""
        found = lookups.stored_scores(
            self.state.book.engine,
            asked.ids,
            as_of=asked.as_of,
            horizon_months=asked.horizon,
            areas=who.areas,
        )
        missing = [place for place, name in enumerate(asked.ids) if name not in found.scores]
        if missing:
            raise _not_there("household_ids.", missing)
        own = {
            "model_version": found.model_version,
            "as_of": asked.as_of,
            "data_dates": found.data_dates,
            "valid_until": valid_until(asked.as_of, release.model.settings),
        }
        return [found.scores[name] for name in sorted(set(asked.ids))], carried_by(release) | own


def _score(release: Release, who: Who, asked: Asked, given: ReadRows) -> list[dict[str, Any]]:
    households = len(given.households)
    if households > HOUSEHOLDS_AT_MOST or given.rows > rows_at_most(households):
        raise _too_many(given.rows, households)
    named = [
        place for place, household in enumerate(given.households, 1) if not household.household_id.isascii()
    ]
    if named:  # it would stand in the answer and in the audit; numbers of persons are refused with the rows
        remedy = "Replace it by a keyed pseudonym at its source."
        faults = [
            Fault(f"tables.households, number {place}", "an id in words", "a pseudonym in ASCII", remedy)
            for place in named
        ]
        raise Refused(422, _count(len(faults), "in the rows"), faults)
    foreign = [
        place for place, household in enumerate(given.households, 1) if not who.sees(household.village_code)
    ]
    if foreign:
        raise _not_there("tables.households, number", foreign)
    try:
        return score_rows(release, given, asked.as_of, asked.horizon)
    except UserError as error:
        raise Refused(422, _count(len(error.faults), "in what was sent"), error.faults) from None


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


def rows_at_most(households: int) -> int:
    """How many rows a request of so many households may hold."""
    return max(ROWS_AT_MOST, ROWS_A_HOUSEHOLD * households)


def read_quickly(body: bytes) -> Asked | None:
    """A request for rows that is plainly right; None: read it slowly."""
    head = _HEAD.match(body)
    if head is None or head["as_of"] is None or any(body.count(key, 0, head.end()) > 1 for key in _KEYS):
        return None
    got = read_rows(body, head.end())
    if got is None or body[got[1] :].strip(b" \n\r\t") != b"}":
        return None
    try:
        as_of = dt.date.fromisoformat(head["as_of"].decode())
    except ValueError:
        return None
    return Asked(as_of, int(head["horizon"] or 12), head["key"].decode() if head["key"] else None, got[0])


def read_slowly(body: bytes) -> Asked:
    """Any request. Raises Refused with every fault: 400 for its shape, 413 for its size, 422 for what the contract says about its rows."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        fault = Fault(
            f"body, line {error.lineno} column {error.colno}",
            error.msg,
            "JSON (UTF-8, no NaN, no infinity)",
            "Send JSON.",
        )
        raise Refused(400, "the body is not JSON", [fault]) from None
    _refuse_sizes(data)
    repeated = repeated_keys(body)
    if repeated:
        raise Refused(400, _count(len(repeated), "in the request"), repeated)
    try:
        request = ScoresRequest.model_validate_json(body)
    except ValidationError as error:
        faults = faults_of(error)
        raise Refused(400, _count(len(faults), "in the request"), faults) from None
    except RecursionError:
        raise Refused(400, "the body is nested too deeply") from None
    if request.household_ids is not None:
        return Asked(
            request.as_of, request.horizon_months, request.idempotency_key, None, request.household_ids
        )
    given = request.tables.model_dump(exclude_none=True)  # type: ignore[attr-defined]
    try:
        tables_of(without_stays_elsewhere(given))
        prepared = prepare_records(given)
    except UserError as error:
        raise Refused(422, _count(len(error.faults), "in the rows"), error.faults) from None
    newest: dict[str, tuple[dt.date, str]] = {}
    for row in given["households"]:
        newest[row["household_id"]] = max(
            newest.get(row["household_id"], (dt.date.min, "")), (row["known_on"], row["village_code"])
        )
    households = tuple(Household(name, newest[name][1]) for name in prepared.household_id)
    rows = ReadRows(prepared, households, sum(map(len, given.values())))
    return Asked(request.as_of, request.horizon_months, request.idempotency_key, rows)


def without_stays_elsewhere(given: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Without the time that people spent in households which are not asked about: their rows there are needed, those households' are not."""
    asked = {row["household_id"] for row in given["households"]}
    ours = {row["member_id"] for row in given["members"] if row["household_id"] in asked}
    keep = [row for row in given["members"] if row["household_id"] in asked or row["member_id"] not in ours]
    return {**given, "members": keep}


def _refuse_sizes(data: Any) -> None:
    """Refuse what is too much before every row of it is looked at."""
    if not isinstance(data, dict):
        return
    ids = data.get("household_ids")
    if isinstance(ids, list) and len(ids) > HOUSEHOLDS_AT_MOST:
        raise _too_many(0, len(ids))
    tables = data.get("tables")
    if not isinstance(tables, dict):
        return
    rows = sum(len(some) for some in tables.values() if isinstance(some, list))
    named = {str(row.get("household_id")) for row in tables.get("households") or () if isinstance(row, dict)}
    if len(named) > HOUSEHOLDS_AT_MOST or rows > rows_at_most(len(named)):
        raise _too_many(rows, len(named))


def _too_many(rows: int, households: int) -> Refused:
    fault = Fault(
        "tables" if rows else "household_ids",
        f"{households:,} households, {rows:,} rows" if rows else f"{households:,} households",
        f"at most {HOUSEHOLDS_AT_MOST:,} households and {ROWS_AT_MOST:,} rows ({ROWS_A_HOUSEHOLD} a household where that is more)",
        "Send them in several requests.",
    )
    return Refused(413, "too much at once", [fault])


def _not_there(where: str, places: Sequence[int]) -> Refused:
    faults = [
        Fault(
            f"{where}{'' if where.endswith('.') else ' '}{place}",
            "nothing of this key",
            "a household of its areas",
            "Check the id.",
        )
        for place in places
    ]
    return Refused(404, f"{len(faults)} of these households are not there", faults)


def _count(number: int, where: str) -> str:
    return f"{number} fault{'s' if number != 1 else ''} {where}"


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
