"""Handlers of scoring jobs: a job is sent, its state and its result are asked for, it is removed."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from riskmodel.casebook.roles import Who
from riskmodel.errors import Fault, UserError
from riskmodel.serving import reading, shapes
from riskmodel.serving.api import Refused, note, query, who_asks
from riskmodel.serving.bodies import check_body_headers
from riskmodel.serving.jobs import HOUSEHOLDS_AT_MOST, UNFINISHED, Job, Jobs, Order, OtherBody, TooManyJobs
from riskmodel.serving.scorer import Scorer, refuse_other_day
from riskmodel.serving.scores import carried_by, refuse_foreign
from riskmodel.serving.state import ServiceState

JSON_LINES: Final = "text/jsonl"
# One body of a job is read at a time: a large one takes seconds and several times its size in memory.
READER: Final = ThreadPoolExecutor(1, thread_name_prefix="jobs-bodies")
READ_AT_ONCE: Final = asyncio.Semaphore(1)


async def send(state: ServiceState, request: Request) -> Response:
    """Read and check the body of a job whole, then take the job."""
    who = who_asks(request)
    query(request, shapes.NoQuery)
    unread = check_body_headers(dict(request.scope["headers"]))
    if unread is not None:
        raise Refused(415, "the body is sent in a form that is not read here", [unread])
    if READ_AT_ONCE.locked():
        raise Refused(503, "another job is being read", headers={"retry-after": "3"})
    async with READ_AT_ONCE:
        body = await request.body()
        order = await asyncio.get_running_loop().run_in_executor(READER, _ordered, state, who, body)
        del body
    try:
        job = await to_thread.run_sync(state.jobs.accept, who, order)
    except TooManyJobs as many:
        raise Refused(429 if many.of_key else 503, str(many), headers={"retry-after": "30"}) from None
    except OtherBody:
        fault = Fault(
            "idempotency_key",
            "used before with another body",
            "a key of its own for every request",
            "Make a new key.",
        )
        raise Refused(409, "this idempotency key was used for another job", [fault]) from None
    details: dict[str, Any] = {
        "households": job.households,
        "as_of": job.as_of,
        "horizon_months": job.horizon_months,
        "household_ids": [household.household_id for household in order.rows.households],
    }
    if job.idempotency_key:
        details["idempotency_key"] = job.idempotency_key
    note(request, subject=f"job {job.job_id}", model_version=job.model_version, details=details)
    return _shown(job, 202)


async def state_of(state: ServiceState, request: Request) -> Response:
    """How far a job of the key is."""
    query(request, shapes.NoQuery)
    return _shown(await _job(state.jobs, request), 200)


async def result(state: ServiceState, request: Request) -> Response:
    """The result of a job of the key, sent in parts."""
    asked = query(request, shapes.JobResultQuery)
    job = await _job(state.jobs, request)
    if job.state != "done":
        wait = {"retry-after": "5"} if job.state in UNFINISHED else {}
        raise Refused(409, f"this job is {job.state}", headers=wait, code="job-not-done")
    if not await to_thread.run_sync(state.jobs.has_result, job):
        raise _not_there()
    details = {"households": max(0, job.households - asked.after)} | (
        {"after": asked.after} if asked.after else {}
    )
    note(request, subject=f"job {job.job_id}", model_version=job.model_version, details=details)
    return StreamingResponse(state.jobs.lines(job, asked.after), media_type=JSON_LINES)


async def delete(state: ServiceState, request: Request) -> Response:
    """Remove a job of the key with its result."""
    query(request, shapes.NoQuery)
    job = await _job(state.jobs, request)
    await to_thread.run_sync(state.jobs.delete, job)
    note(request, subject=f"job {job.job_id}", model_version=job.model_version, details={"state": job.state})
    return Response(status_code=204)


async def _job(jobs: Jobs, request: Request) -> Job:
    job = await to_thread.run_sync(jobs.of, who_asks(request), request.path_params["job_id"])
    if job is None:
        raise _not_there()
    return job


def _not_there() -> Refused:
    return Refused(404, "this key has no such job: it never had, removed it, or it has expired")


def _shown(job: Job, status: int) -> Response:
    content = shapes.JobAnswer.model_validate(job.shown()).model_dump_json()
    return Response(content, status, media_type="application/json")


def _ordered(state: ServiceState, who: Who, body: bytes) -> Order:
    """The order for a job, in the thread that calls. Raises Refused with all that is wrong before scoring."""
    scorer: Scorer = state.required_scorer
    release = scorer.release
    try:
        asked = reading.read(body, HOUSEHOLDS_AT_MOST)
        if asked.rows is None:
            remedy = "Stored scores are answered at once: ask POST /v1/scores, 1,000 ids at a time."
            raise Refused(
                400, "1 fault in the request", [Fault("household_ids", "ids", "`tables`: rows", remedy)]
            )
        refuse_foreign(who, asked.rows)
        refuse_other_day(release, asked.as_of)
    except reading.BodyRefused as refusal:
        raise Refused(refusal.status, refusal.detail, list(refusal.faults)) from None
    except UserError as error:
        raise Refused(422, "1 fault in what was sent", list(error.faults)) from None
    carried = carried_by(release) | {
        "valid_until": state.valid_until(release.as_of),
        "horizon_months": asked.horizon,
    }
    return Order(
        asked=asked,
        release=release,
        carried=carried,
        body_hash=hashlib.sha256(body).hexdigest(),
        tally=scorer.tally,
    )
