"""The routes beside scoring: sign-in, lists, households, areas, results of visits, the model, the audit, and the page's own files.

Each is a few lines: it reads the request strictly, looks up through `riskmodel.casebook` with the areas of whoever asks, and answers.
Who may use which stands in `riskmodel.serving.access`, not here.
"""

from __future__ import annotations

import datetime as dt
import re
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

import orjson
from anyio import to_thread
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from riskmodel.casebook import lookups
from riskmodel.casebook.lookups import Filters, ListHead
from riskmodel.casebook.roles import Who
from riskmodel.errors import Fault, UserError
from riskmodel.serving import answers, downloads, pagefiles, results, shapes
from riskmodel.serving.authentication import COOKIE, TooManyTries
from riskmodel.serving.bodies import check_body_headers, repeated_keys
from riskmodel.serving.observe import Metrics
from riskmodel.serving.openapi import description
from riskmodel.serving.problems import TITLES, problem
from riskmodel.serving.scores import Scores
from riskmodel.serving.state import ServiceState
from riskmodel.tables.identity import telling_text

Shape = TypeVar("Shape", bound=BaseModel)


class Refused(Exception):
    """A refusal with its status, a sentence, and every fault."""

    def __init__(
        self,
        status: int,
        detail: str,
        faults: list[Fault] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults, self.headers = status, detail, faults or [], headers or {}


def make_app(state: ServiceState) -> Starlette:
    """The application around the service state, which may still be empty: it is read when a request comes."""

    def at(
        path: str, work: Callable[[ServiceState, Request], Awaitable[Response]], method: str = "GET"
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            return await work(state, request)

        return Route(path, endpoint, methods=[method])

    return Starlette(
        routes=[
            Route("/v1/scores", Scores(state), methods=["POST"]),
            Route("/metrics", Metrics(state), methods=["GET"]),
            at("/v1/session", sign_in, "POST"),
            at("/v1/session", signed_in),
            at("/v1/session", sign_out, "DELETE"),
            at("/v1/lists", all_lists),
            at("/v1/lists/{cycle}", one_list),
            at("/v1/lists/{cycle}/download", download),
            at("/v1/households/{household_id}", one_household),
            at("/v1/verifications", verifications, "POST"),
            at("/v1/withdrawals", withdrawals, "POST"),
            at("/v1/areas/{cycle}", areas),
            at("/v1/model", model),
            at("/v1/audit", audit_entries),
            at("/openapi.json", openapi),
            at("/", page_file),
            at("/web/{path:path}", page_file),
        ],
        exception_handlers={Refused: _refused, UserError: _not_possible, HTTPException: _not_here},
    )


async def sign_in(state: ServiceState, request: Request) -> Response:
    asked = await body(request, shapes.SignIn)
    client = request.client.host if request.client else ""
    try:
        opened = await state.authenticator.sign_in(asked.key, client)
    except TooManyTries as many:
        raise Refused(429, str(many), headers={"retry-after": str(many.wait)}) from None
    if opened is None:
        raise Refused(401, "this key is not in force", headers={"www-authenticate": "Bearer"})
    secret, who = opened
    answer = _json(shapes.Session, answers.session(state, who))
    # Secure wherever a browser would send it over a network: on loopback there is no TLS to wait for.
    secure = (request.url.hostname or "") not in ("127.0.0.1", "localhost", "::1")
    answer.set_cookie(COOKIE, secret, path="/", httponly=True, samesite="strict", secure=secure)
    return answer


async def signed_in(state: ServiceState, request: Request) -> Response:
    query(request, shapes.NoQuery)
    return _json(shapes.Session, answers.session(state, who_asks(request)))


async def sign_out(state: ServiceState, request: Request) -> Response:
    query(request, shapes.NoQuery)
    await state.authenticator.sign_out(who_asks(request))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


async def all_lists(state: ServiceState, request: Request) -> Response:
    who = who_asks(request)
    query(request, shapes.NoQuery)
    heads = await to_thread.run_sync(lookups.list_heads, state.book.engine, who.areas)
    say(request, subject="lists", details={"lists": len(heads)})
    return _json(shapes.Lists, {"lists": [answers.list_summary(state, head) for head in heads]})


async def one_list(state: ServiceState, request: Request) -> Response:
    who, asked = who_asks(request), query(request, shapes.ListQuery)
    head = await to_thread.run_sync(list_in_force, state, who, request.path_params["cycle"], asked.county)
    filters = Filters(
        township=asked.township or "",
        village=asked.village or "",
        grade=asked.grade or "",
        risk_kind=asked.risk_kind or "",
        status=asked.status or "",
        listed_as=asked.listed_as or "",
        household_id=asked.q or "",
    )
    read = lookups.scored_page if asked.everybody else lookups.list_page

    def work() -> tuple[lookups.Page, lookups.Counts]:
        page = read(
            state.book.engine, who.areas, head, filters, after=int(asked.cursor or 0), limit=asked.limit
        )
        return page, lookups.facets(state.book.engine, who.areas, head, filters, everybody=asked.everybody)

    page, counts = await to_thread.run_sync(work)
    narrowed = {name: value for name, value in asdict(filters).items() if value and name != "household_id"}
    details = {
        "rows": len(page.rows),
        "everybody": asked.everybody,
        "by_id": bool(asked.q),
        "list": head.list_hash[:12],
    } | narrowed
    details |= {"after": int(asked.cursor)} if asked.cursor else {}
    say(
        request, subject=f"{head.county_code} {head.cycle}", model_version=head.model_version, details=details
    )
    return _json(shapes.ListPage, answers.list_page(state, head, page, counts, everybody=asked.everybody))


async def download(state: ServiceState, request: Request) -> Response:
    who, asked = who_asks(request), query(request, shapes.DownloadQuery)
    head = await to_thread.run_sync(list_in_force, state, who, request.path_params["cycle"], asked.county)
    made = await to_thread.run_sync(downloads.file_of, state, who, head, asked.format, asked.township)
    if made is None:
        raise Refused(404, "no row of this list lies in that township and in the areas of this key")
    details = {
        "rows": made.rows,
        "format": asked.format,
        "township": asked.township or "",
        "sha256": made.sha256,
    }
    say(
        request, subject=f"{head.county_code} {head.cycle}", model_version=head.model_version, details=details
    )
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{urllib.parse.quote(made.name)}"}
    return Response(made.content, media_type=made.media_type, headers=headers)


async def one_household(state: ServiceState, request: Request) -> Response:
    who, asked = who_asks(request), query(request, shapes.HouseholdQuery)
    name = request.path_params["household_id"]
    if not re.fullmatch(shapes.ID, name):  # a null character would be an error of PostgreSQL, not an answer
        raise Refused(404, "no such household has a score here")
    found = await to_thread.run_sync(lookups.household, state.book.engine, who.areas, name, asked.as_of)
    if found is None:
        return await _unscored_household(state, request, name, asked.as_of)
    newest = found.scores[0]
    say(
        request,
        subject=name,
        model_version=newest["model_version"],
        details={"as_of": newest["as_of"].isoformat()},
    )
    return _json(shapes.HouseholdAnswer, answers.household(state, found, notes=who.role == "screener"))


async def _unscored_household(
    state: ServiceState, request: Request, name: str, as_of: dt.date | None
) -> Response:
    """A household that was not scored, because it is monitored or has moved: why it is not on the list, and its visits."""
    who = who_asks(request)
    found = await to_thread.run_sync(lookups.unscored, state.book.engine, who.areas, name, as_of)
    if found is None:
        raise Refused(404, "no such household has a score here")
    absence, seen = found
    details = {"as_of": absence.as_of.isoformat()}
    say(request, subject=name, model_version=absence.model_version, details=details)
    answer = answers.unscored(state, name, absence, seen, notes=who.role == "screener")
    return _json(shapes.HouseholdAnswer, answer)


async def verifications(state: ServiceState, request: Request) -> Response:
    who = who_asks(request)
    asked = await body(request, shapes.Verifications)
    taken = await to_thread.run_sync(results.take_in, state, who, asked)
    if taken is None:
        raise Refused(404, "no such list lies in the areas of this key")
    if isinstance(taken, results.OtherRequest):
        raise Refused(409, "this idempotency key was used for another request", [
            Fault("idempotency_key", "used before with another body", "a key of its own for every request", "Make a new key for new results.")
        ])  # fmt: skip
    return Response(taken, media_type="application/json")


async def withdrawals(state: ServiceState, request: Request) -> Response:
    who = who_asks(request)
    asked = await body(request, shapes.Withdrawal)
    try:
        done = await to_thread.run_sync(results.take_back, state, who, asked)
    except results.NotWithdrawn as refusal:
        raise Refused(409, "this result cannot be withdrawn", list(refusal.faults)) from None
    if done is None:
        raise Refused(404, "no such list or household lies in the areas of this key")
    return Response(done.model_dump_json(), media_type="application/json")


async def areas(state: ServiceState, request: Request) -> Response:
    who, asked = who_asks(request), query(request, shapes.CountyQuery)
    head = await to_thread.run_sync(list_in_force, state, who, request.path_params["cycle"], asked.county)
    counts = await to_thread.run_sync(lookups.area_counts, state.book.engine, who.areas, head)
    say(
        request,
        subject=f"{head.county_code} {head.cycle}",
        model_version=head.model_version,
        details={"villages": len(counts)},
    )
    return _json(shapes.Areas, answers.areas(state, head, counts))


async def model(state: ServiceState, request: Request) -> Response:
    query(request, shapes.NoQuery)
    facts = state.facts()
    if facts is None:
        raise Refused(404, "no release is served here")
    return _json(shapes.ModelCard, answers.model(facts))


async def audit_entries(state: ServiceState, request: Request) -> Response:
    asked = query(request, shapes.AuditQuery)
    page = await to_thread.run_sync(
        lambda: state.book.audit_page(
            since=asked.since, limit=asked.limit, actor=asked.actor, action=asked.action
        )
    )
    say(request, subject="audit", details={"entries": len(page["entries"])})
    return _json(shapes.AuditPage, page)


async def openapi(state: ServiceState, request: Request) -> Response:
    query(request, shapes.NoQuery)
    return Response(orjson.dumps(description()), media_type="application/json")


async def page_file(state: ServiceState, request: Request) -> Response:
    """A file of the screening page; one that the browser has already is not sent again."""
    zipped = pagefiles.takes_gzip(request.headers.get("accept-encoding", ""))
    name = request.path_params.get("path", pagefiles.FIRST)
    found = await to_thread.run_sync(lambda: pagefiles.page_file(state.web, name, zipped=zipped))
    if found is None:
        raise Refused(404, "there is no such file")
    if request.headers.get("if-none-match") == found.headers["etag"]:
        return Response(status_code=304, headers=found.headers)
    return Response(found.content, media_type=found.media_type, headers=found.headers)


def who_asks(request: Request) -> Who:
    """Who the gate let in."""
    who: Who = request.scope["state"]["who"]
    return who


def say(request: Request, **entry: Any) -> None:
    """What the audit entry of this answer says; the gate writes it before the answer leaves."""
    request.scope["state"]["audit"] = entry


async def body(request: Request, shape: type[Shape]) -> Shape:
    """The body as a model. Raises Refused: 415 where it is sent in another form, 400 with every fault, of the query too: there is none."""
    query(request, shapes.NoQuery)
    unread = check_body_headers(dict(request.scope["headers"]))
    if unread is not None:
        raise Refused(415, "the body is sent in a form that is not read here", [unread])
    content = await request.body()
    repeated = repeated_keys(content)
    if repeated:
        raise Refused(400, answers.amount(repeated), repeated)
    try:
        return shape.model_validate_json(content)
    except ValidationError as error:
        faults = shapes.faults_of(error)
        raise Refused(400, answers.amount(faults), faults) from None


def query(request: Request, shape: type[Shape]) -> Shape:
    """The query as a model; what is given twice or unknown is a fault. Raises Refused with every fault."""
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    faults = [
        Fault(name if not telling_text(name) else "…", "given more than once", "one value", "Give it once.")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    given: dict[str, Any] = dict(pairs)
    for name, field in shape.model_fields.items():
        if name in given:
            given[name] = _plain(given[name], field.annotation)
    try:
        asked = shape.model_validate(given)
    except ValidationError as error:
        faults += shapes.faults_of(error)
    if not faults and telling_text(given.get("q", "")):
        faults.append(
            Fault(
                "q", "a number of a person", "the beginning of a household id", "Search by household id only."
            )
        )
    if faults:
        raise Refused(400, answers.amount(faults), faults)
    return asked


def _plain(text: str, kind: Any) -> Any:
    """Text of a query as the number or truth value that its field takes; anything else stays as it is, and is refused by the model."""
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind is int or "int" in str(kind):
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    return text


def list_in_force(state: ServiceState, who: Who, cycle: str, county: str | None) -> ListHead:
    """The newest list of a cycle that the asker sees. Raises Refused: 404, or 400 where two counties have the cycle and none is named."""
    heads = []
    if re.fullmatch(shapes.CYCLE, cycle):
        heads = lookups.list_heads(state.book.engine, who.areas, cycle=cycle, county=county or "")
    if not heads:
        raise Refused(404, "no list of that cycle lies in the areas of this key")
    if len(heads) > 1:
        known = ", ".join(sorted(head.county_code for head in heads))
        fault = Fault("county", "not given", f"one of {known}", "Several counties have this cycle: name one.")
        raise Refused(400, "1 fault in the request", [fault])
    return heads[0]


def _json(shape: type[BaseModel], content: dict[str, Any]) -> Response:
    """An answer, checked against its documented shape on the way out."""
    return Response(shape.model_validate(content).model_dump_json(), media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _problem(error.status, error.detail, error.faults, error.headers)


async def _not_possible(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    return _problem(503, "it cannot be done at the moment", list(error.faults), {"retry-after": "5"})


async def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(
        error.status_code, TITLES.get(error.status_code, "Refused"), [], dict(error.headers or {})
    )


def _problem(status: int, detail: str, faults: list[Fault], headers: dict[str, str]) -> Response:
    return Response(
        problem(status, detail, faults), status, headers=headers, media_type="application/problem+json"
    )
