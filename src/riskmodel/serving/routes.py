"""Every route of the service as one table: who may use it, what answers, which shapes, how large a body, what
the audit gets.

A request that is not in the table is not answered. The caller gate, the application, the OpenAPI description
and the tests read it. A new route: its shapes in `shapes.py`, an example in `examples.py`, its handler, and
its line here.
"""

from __future__ import annotations

from typing import Any, Final

from riskmodel.serving import api, job_handlers, shapes
from riskmodel.serving.messages import JobRequest, ScoresRequest
from riskmodel.serving.metrics import Metrics
from riskmodel.serving.route import EVERYBODY, OPEN, Route
from riskmodel.serving.scores import ScoresAnswer, ScoresEndpoint
from riskmodel.serving.structure import BodyBounds

JSON: Final = "application/json"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TEXT: Final = {"text/plain": {"schema": {"type": "string"}}}
FILE: Final = {"type": "string", "format": "binary"}
PAGE_KINDS: Final = (
    "text/html",
    "text/css",
    "text/javascript",
    "image/svg+xml",
    "image/png",
    "image/x-icon",
    "font/woff2",
    JSON,
    "application/manifest+json",
)
READERS: Final = ("screener", "case_system")
SCORERS: Final = ("case_system", "analyst")


def _to(operation: str, parameters: dict[str, str], body: dict[str, str] | None = None) -> dict[str, Any]:
    """An OpenAPI link to another operation, with what it takes from this answer."""
    link: dict[str, Any] = {"operationId": operation}
    return link | ({"parameters": parameters} if parameters else {}) | ({"requestBody": body} if body else {})


CYCLE_OF_LISTS: Final = {"path.cycle": "$response.body#/lists/0/cycle"}
CYCLE_OF_REQUEST: Final = {"path.cycle": "$request.path.cycle"}
ONE_JOB: Final = {"path.job_id": "$response.body#/job_id"}
HOUSEHOLD_OF_ROW: Final = {"path.household_id": "$response.body#/rows/0/household_id"}

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        method="GET",
        path="/",
        roles=OPEN,
        handler=api.page_file,
        tag="page",
        summary="The screening page",
        answer={"text/html": {"schema": {"type": "string"}}},
        refusals=(404,),
    ),
    Route(
        method="GET",
        path="/web/{path}",
        roles=OPEN,
        handler=api.page_file,
        tag="page",
        summary="A file of the screening page",
        description=(
            "Its etag can be sent back as If-None-Match; `worker.js` keeps the page's files on a device."
        ),
        answer={kind: {"schema": FILE} for kind in PAGE_KINDS},
        refusals=(404,),
    ),
    Route(
        method="GET",
        path="/problems/{code}",
        roles=OPEN,
        handler=api.problem_kind,
        tag="operation",
        summary="What a code of a refusal means",
        query=shapes.NoQuery,
        answer=shapes.ProblemCard,
        refusals=(400, 404),
    ),
    Route(
        method="GET",
        path="/livez",
        roles=OPEN,
        tag="operation",
        summary="Whether the process lives",
        answer=TEXT,
    ),
    Route(
        method="GET",
        path="/readyz",
        roles=OPEN,
        tag="operation",
        summary="Whether it can answer",
        answer=TEXT,
    ),
    Route(
        method="POST",
        path="/v1/session",
        roles=OPEN,
        handler=api.sign_in,
        tag="sign-in",
        summary="Sign in with a key",
        description=(
            "Answers with a cookie (HttpOnly, SameSite=Strict) and the CSRF token that goes with every POST "
            "and DELETE."
        ),
        body=shapes.SignIn,
        bounds=BodyBounds(size=2048, depth=2, keys=8, values=8),
        answer=shapes.Session,
        refusals=(400, 401, 413, 415),
    ),
    Route(
        method="GET",
        path="/v1/session/sso",
        roles=OPEN,
        handler=api.begin_sign_on,
        tag="sign-in",
        summary="Begin single sign-on",
        description=(
            "Sends the browser to the provider that serving/single_sign_on.yaml names; 404 where it is off."
        ),
        query=shapes.NoQuery,
        status=302,
        refusals=(400, 404),
    ),
    Route(
        method="GET",
        path="/v1/session/sso/callback",
        roles=OPEN,
        handler=api.finish_sign_on,
        tag="sign-in",
        summary="End single sign-on",
        description="The provider sends the browser here; the answer is the session's cookie and the page.",
        query=shapes.SignOnQuery,
        status=303,
        refusals=(400, 403, 404),
    ),
    Route(
        method="GET",
        path="/v1/session",
        roles=EVERYBODY,
        handler=api.signed_in,
        tag="sign-in",
        summary="Who is signed in",
        query=shapes.NoQuery,
        answer=shapes.Session,
        refusals=(400,),
    ),
    Route(
        method="DELETE",
        path="/v1/session",
        roles=EVERYBODY,
        handler=api.sign_out,
        tag="sign-in",
        summary="Sign out",
        query=shapes.NoQuery,
        status=204,
        refusals=(400,),
        audit="signed out",
    ),
    Route(
        method="POST",
        path="/v1/scores",
        roles=SCORERS,
        application=ScoresEndpoint,
        tag="scores",
        summary="Score households, with reasons",
        description="From their own rows, or by the ids of stored households. Nothing is kept.",
        body=ScoresRequest,
        answer=ScoresAnswer,
        refusals=(400, 404, 413, 415, 422),
        audit="scored",
        by_area=True,
    ),
    Route(
        method="POST",
        path="/v1/jobs",
        roles=SCORERS,
        handler=job_handlers.send,
        tag="scores",
        summary="Score many households in the background",
        description=(
            "Up to 20,000, from their own rows. The body is checked whole before this answers; the job "
            "belongs to the key and is removed with its result after 24 hours."
        ),
        body=JobRequest,
        answer=shapes.JobAnswer,
        status=202,
        refusals=(400, 404, 409, 413, 415, 422),
        audit="job sent",
        by_area=True,
        links={
            "state": _to("get_v1_jobs_job_id", ONE_JOB),
            "result": _to("get_v1_jobs_job_id_result", ONE_JOB),
        },
    ),
    Route(
        method="GET",
        path="/v1/jobs/{job_id}",
        roles=SCORERS,
        handler=job_handlers.state_of,
        tag="scores",
        summary="How far a scoring job is",
        query=shapes.NoQuery,
        answer=shapes.JobAnswer,
        refusals=(400, 404),
        by_area=True,
    ),
    Route(
        method="GET",
        path="/v1/jobs/{job_id}/result",
        roles=SCORERS,
        handler=job_handlers.result,
        tag="scores",
        summary="The result of a scoring job that is done",
        description=(
            "JSON lines, one household a line, ascending by id; each line carries what every answer with a "
            "score does."
        ),
        query=shapes.JobResultQuery,
        answer={job_handlers.JSON_LINES: {"schema": {"type": "string"}}},
        refusals=(400, 404, 409),
        audit="job's result seen",
        by_area=True,
    ),
    Route(
        method="DELETE",
        path="/v1/jobs/{job_id}",
        roles=SCORERS,
        handler=job_handlers.delete,
        tag="scores",
        summary="Remove a scoring job with its result",
        query=shapes.NoQuery,
        status=204,
        refusals=(400, 404),
        audit="job removed",
        by_area=True,
    ),
    Route(
        method="GET",
        path="/v1/lists",
        roles=READERS,
        handler=api.all_lists,
        tag="lists",
        summary="Every cycle's list in force, newest first",
        query=shapes.NoQuery,
        answer=shapes.Lists,
        refusals=(400,),
        audit="lists seen",
        by_area=True,
        etag=True,
        links={
            "list": _to("get_v1_lists_cycle", CYCLE_OF_LISTS),
            "areas": _to("get_v1_areas_cycle", CYCLE_OF_LISTS),
        },
    ),
    Route(
        method="GET",
        path="/v1/lists/{cycle}",
        roles=READERS,
        handler=api.one_list,
        tag="lists",
        summary="A list, paged and filtered",
        description=(
            "Rows in the order of the route, standby last; with everybody=true everybody who was "
            "scored, by rank."
        ),
        query=shapes.ListQuery,
        answer=shapes.ListPage,
        refusals=(400, 404),
        audit="list seen",
        by_area=True,
        etag=True,
        links={
            "household": _to("get_v1_households_household_id", HOUSEHOLD_OF_ROW),
            "next page": _to(
                "get_v1_lists_cycle", CYCLE_OF_REQUEST | {"query.cursor": "$response.body#/next_cursor"}
            ),
            "download": _to("get_v1_lists_cycle_download", CYCLE_OF_REQUEST),
        },
    ),
    Route(
        method="GET",
        path="/v1/lists/{cycle}/download",
        roles=("screener",),
        handler=api.download,
        tag="lists",
        summary="A list as a file to fill in",
        description="Only rows of the key's areas; `riskmodel record` takes the filled file.",
        query=shapes.DownloadQuery,
        answer={XLSX: {"schema": FILE}, "text/csv": {"schema": {"type": "string"}}},
        refusals=(400, 404),
        audit="list downloaded",
        by_area=True,
    ),
    Route(
        method="GET",
        path="/v1/households/{household_id}",
        roles=READERS,
        handler=api.one_household,
        tag="households",
        summary="A stored household",
        description=(
            "Score, band, reasons, what changed, how fresh the data are, history, visits, place on the list."
        ),
        query=shapes.HouseholdQuery,
        answer=shapes.HouseholdAnswer,
        refusals=(400, 404),
        audit="household seen",
        by_area=True,
        etag=True,
        links={
            "an earlier day": _to(
                "get_v1_households_household_id",
                {
                    "path.household_id": "$request.path.household_id",
                    "query.as_of": "$response.body#/history/0/as_of",
                },
            )
        },
    ),
    Route(
        method="POST",
        path="/v1/verifications",
        roles=("screener",),
        handler=api.verifications,
        tag="verifications",
        summary="Record what visits found",
        description=(
            "Each result is accepted, or refused with its reasons. When this answers 200, what is accepted "
            "is on disk. The same request again gets the same answer."
        ),
        body=shapes.Verifications,
        bounds=BodyBounds(size=2 * 1024 * 1024, depth=5, keys=4_000, values=8_000),
        answer=shapes.Taken,
        refusals=(400, 404, 409, 413, 415),
        by_area=True,
    ),
    Route(
        method="POST",
        path="/v1/withdrawals",
        roles=("screener",),
        handler=api.withdrawals,
        tag="verifications",
        summary="Take back the result of a visit",
        description=(
            "It was recorded on the wrong household. The row is kept with the reason, and no reader counts "
            "it any more."
        ),
        body=shapes.Withdrawal,
        bounds=BodyBounds(size=8 * 1024, depth=2, keys=16, values=16),
        answer=shapes.Withdrawn,
        refusals=(400, 404, 409, 413, 415),
        by_area=True,
    ),
    Route(
        method="GET",
        path="/v1/areas/{cycle}",
        roles=("screener",),
        handler=api.areas,
        tag="areas",
        summary="Counts by township and village",
        description="Numbers from 1 to 4 of households and confirmed risks are not shown.",
        query=shapes.CountyQuery,
        answer=shapes.Areas,
        refusals=(400, 404),
        audit="areas seen",
        by_area=True,
    ),
    Route(
        method="GET",
        path="/v1/model",
        roles=EVERYBODY,
        handler=api.model,
        tag="model",
        summary="What the model is, how good, for whom it is worse",
        query=shapes.NoQuery,
        answer=shapes.ModelCard,
        refusals=(400, 404),
    ),
    Route(
        method="GET",
        path="/v1/audit",
        roles=("auditor",),
        handler=api.audit_entries,
        tag="audit",
        summary="Entries of the audit, and the head of its chain",
        query=shapes.AuditQuery,
        answer=shapes.AuditPage,
        refusals=(400,),
        audit="audit seen",
        links={"next page": _to("get_v1_audit", {"query.since": "$response.body#/next_since"})},
    ),
    Route(
        method="GET",
        path="/metrics",
        roles=("operator",),
        application=Metrics,
        tag="operation",
        summary="Figures of the running service, for Prometheus",
        answer=TEXT,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        roles=EVERYBODY,
        handler=api.openapi,
        tag="operation",
        summary="This description",
        query=shapes.NoQuery,
        answer={JSON: {"schema": {"type": "object"}}},
        refusals=(400,),
    ),
)


def route_of(method: str, path: str) -> Route | None:
    """The route of a request; None: there is none. HEAD counts as GET."""
    method = "GET" if method == "HEAD" else method
    return next((route for route in ROUTES if route.method == method and route.pattern.fullmatch(path)), None)


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that an address offers; empty: there is no such address."""
    found = tuple(route.method for route in ROUTES if route.pattern.fullmatch(path))
    return (*found, "HEAD") if "GET" in found else found
