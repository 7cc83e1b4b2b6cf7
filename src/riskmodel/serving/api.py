"""Handlers beside scoring: sign-in, lists, households, areas, results of visits, the model, the audit, and
the page's own files.

Each is a few lines: it reads the request strictly, looks up through `riskmodel.casebook` with the areas of
whoever asks, and answers. Who may use which, and how large a body may be, is in the table of routes
(`routes.ROUTES`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import re
import urllib.parse
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final, TypeVar

import orjson
from anyio import to_thread
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from riskmodel.casebook import lookups
from riskmodel.casebook.lookups import Filters, ListHead
from riskmodel.casebook.roles import Who
from riskmodel.errors import Fault, UserError
from riskmodel.serving import answers, downloads, pagefiles, results, shapes, single_sign_on
from riskmodel.serving.authentication import COOKIE, TooManyTries, session_cookie
from riskmodel.serving.bodies import check_body_headers, repeated_keys
from riskmodel.serving.limits import client_of
from riskmodel.serving.problems import PROBLEMS, TITLES, problem
from riskmodel.serving.state import ServiceState
from riskmodel.serving.structure import BodyBounds, faults_of_structure
from riskmodel.tables.identity import telling_text

Shape = TypeVar("Shape", bound=BaseModel)
ON_THE_LOOP: Final = 4 * 1024  # bytes of a body that is parsed on the event loop; larger ones in a thread
PARSERS: Final = ThreadPoolExecutor(2, thread_name_prefix="bodies")


class Refused(Exception):
    """A refusal with its status, a sentence, and every fault."""

    def __init__(
        self,
        status: int,
        detail: str,
        faults: list[Fault] | None = None,
        headers: dict[str, str] | None = None,
        *,
        code: str = "",
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults, self.headers = status, detail, faults or [], headers or {}
        self.code = code


async def sign_in(state: ServiceState, request: Request) -> Response:
    """`POST /v1/session`: open a session with a key; the answer sets the cookie."""
    asked = await body(request, shapes.SignIn)
    try:
        opened = await state.authenticator.sign_in(asked.key, client_of(request.scope))
    except TooManyTries as many:
        wait = {"retry-after": str(many.wait)}
        raise Refused(429, str(many), headers=wait, code="wrong-keys") from None
    if opened is None:
        raise Refused(401, "this key is not in force", headers={"www-authenticate": "Bearer"})
    secret, who = opened
    answer = _json(answers.session(state, who))
    answer.set_cookie(COOKIE, secret, path="/", httponly=True, samesite="strict", secure=_secure(request))
    return answer


async def begin_sign_on(state: ServiceState, request: Request) -> Response:
    """Send the browser to the provider of single sign-on."""
    query(request, shapes.NoQuery)
    provider = _provider(state)
    address, name = await to_thread.run_sync(provider.begin)
    answer = Response(status_code=302, headers={"location": address})
    # Lax: the provider's answer comes from another site, and must find the state that this browser began
    # with.
    answer.set_cookie(
        single_sign_on.COOKIE,
        name,
        max_age=single_sign_on.BEGUN_SECONDS,
        path=single_sign_on.PATH,
        httponly=True,
        samesite="lax",
        secure=_secure(request),
    )
    return answer


async def finish_sign_on(state: ServiceState, request: Request) -> Response:
    """Open a session for the person with whom the provider sends the browser back."""
    asked, provider = query(request, shapes.SignOnQuery), _provider(state)
    cookie = session_cookie(dict(request.scope["headers"]), single_sign_on.COOKIE)
    try:
        if asked.code is None:
            raise single_sign_on.NotAdmitted("the provider did not sign you in")
        name, rights = await to_thread.run_sync(provider.finish, asked.state, asked.code, cookie)
        purpose = provider.settings.purpose
        secret, _ = await to_thread.run_sync(single_sign_on.admit, state.book.engine, name, rights, purpose)
    except single_sign_on.NotAdmitted as refusal:
        await _count_wrong(state, request, "single sign-on")
        raise Refused(403, str(refusal)) from None
    answer = Response(status_code=303, headers={"location": "/"})
    answer.set_cookie(COOKIE, secret, path="/", httponly=True, samesite="strict", secure=_secure(request))
    answer.delete_cookie(single_sign_on.COOKIE, path=single_sign_on.PATH)
    return answer


def _provider(state: ServiceState) -> single_sign_on.Provider:
    if state.single_sign_on is None:
        raise Refused(404, "single sign-on is off here: sign in with a key")
    return state.single_sign_on


async def _count_wrong(state: ServiceState, request: Request, why: str) -> None:
    try:
        await state.authenticator.refused(client_of(request.scope), why)
    except TooManyTries as many:
        wait = {"retry-after": str(many.wait)}
        raise Refused(429, str(many), headers=wait, code="wrong-keys") from None


def _secure(request: Request) -> bool:
    """Whether a cookie is Secure: wherever a browser would send it over a network. On loopback there is no
    TLS to wait for.
    """
    return (request.url.hostname or "") not in ("127.0.0.1", "localhost", "::1")


async def signed_in(state: ServiceState, request: Request) -> Response:
    """`GET /v1/session`: who is signed in."""
    query(request, shapes.NoQuery)
    return _json(answers.session(state, who_asks(request)))


async def sign_out(state: ServiceState, request: Request) -> Response:
    """`DELETE /v1/session`: end the session."""
    query(request, shapes.NoQuery)
    await state.authenticator.sign_out(who_asks(request))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


async def all_lists(state: ServiceState, request: Request) -> Response:
    """`GET /v1/lists`: the list in force of every cycle within the areas of the key."""
    who = who_asks(request)
    query(request, shapes.NoQuery)
    heads = await to_thread.run_sync(lookups.list_heads, state.book.engine, who.areas)
    note(request, subject="lists", details={"lists": len(heads)})
    return _marked(request, shapes.Lists(lists=[answers.list_summary(state, head) for head in heads]))


async def one_list(state: ServiceState, request: Request) -> Response:
    """`GET /v1/lists/{cycle}`: a page of a list, filtered."""
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
    note(
        request, subject=f"{head.county_code} {head.cycle}", model_version=head.model_version, details=details
    )
    return _marked(request, answers.list_page(state, head, page, counts, everybody=asked.everybody))


async def download(state: ServiceState, request: Request) -> Response:
    """`GET /v1/lists/{cycle}/download`: a list as a file to fill in."""
    who, asked = who_asks(request), query(request, shapes.DownloadQuery)
    head = await to_thread.run_sync(list_in_force, state, who, request.path_params["cycle"], asked.county)
    made = await to_thread.run_sync(downloads.file_of, state, who, head, asked.format, asked.township)
    if made is None:
        raise Refused(404, "no row of this list is in that township and in the areas of this key")
    details = {
        "rows": made.rows,
        "format": asked.format,
        "township": asked.township or "",
        "sha256": made.sha256,
    }
    note(
        request, subject=f"{head.county_code} {head.cycle}", model_version=head.model_version, details=details
    )
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{urllib.parse.quote(made.name)}"}
    return Response(made.content, media_type=made.media_type, headers=headers)


async def one_household(state: ServiceState, request: Request) -> Response:
    """`GET /v1/households/{household_id}`: everything known of a household within the areas of the key."""
    who, asked = who_asks(request), query(request, shapes.HouseholdQuery)
    name = request.path_params["household_id"]
    if not re.fullmatch(shapes.ID, name):  # a null character would be an error of PostgreSQL, not an answer
        raise Refused(404, "no such household has a score here")
    found = await to_thread.run_sync(lookups.household, state.book.engine, who.areas, name, asked.as_of)
    if found is None:
        return await _unscored_household(state, request, name, asked.as_of)
    newest = found.scores[0]
    note(
        request,
        subject=name,
        model_version=newest["model_version"],
        details={"as_of": newest["as_of"].isoformat()},
    )
    return _marked(request, answers.household(state, found, notes=who.role == "screener"))


async def _unscored_household(
    state: ServiceState, request: Request, name: str, as_of: dt.date | None
) -> Response:
    """A household that was not scored, because it is monitored or has moved: why it is not on the list, and
    its visits.
    """
    who = who_asks(request)
    found = await to_thread.run_sync(lookups.unscored, state.book.engine, who.areas, name, as_of)
    if found is None:
        known = await to_thread.run_sync(lookups.household, state.book.engine, who.areas, name, None)
        if known is not None and as_of is not None:
            raise _wrong_day(as_of, [row["as_of"] for row in known.scores])
        raise Refused(404, "no such household has a score here")
    absence, seen = found
    details = {"as_of": absence.as_of.isoformat()}
    note(request, subject=name, model_version=absence.model_version, details=details)
    answer = answers.unscored(state, name, absence, seen, notes=who.role == "screener")
    return _marked(request, answer)


async def verifications(state: ServiceState, request: Request) -> Response:
    """`POST /v1/verifications`: record what visits found."""
    who = who_asks(request)
    asked = await body(request, shapes.Verifications)
    taken = await to_thread.run_sync(results.take_in, state, who, asked)
    if taken is None:
        raise Refused(404, "no such list in the areas of this key")
    if isinstance(taken, results.OtherRequest):
        raise Refused(
            409,
            "this idempotency key was used for another request",
            [
                Fault(
                    "idempotency_key",
                    "used before with another body",
                    "a key of its own for every request",
                    "Make a new key for new results.",
                )
            ],
        )
    return Response(taken, media_type="application/json")


async def withdrawals(state: ServiceState, request: Request) -> Response:
    """`POST /v1/withdrawals`: withdraw the result of a visit."""
    who = who_asks(request)
    asked = await body(request, shapes.Withdrawal)
    try:
        done = await to_thread.run_sync(results.take_back, state, who, asked)
    except results.NotWithdrawn as refusal:
        raise Refused(409, "this result cannot be withdrawn", list(refusal.faults)) from None
    if done is None:
        raise Refused(404, "no such list or household in the areas of this key")
    return Response(done.model_dump_json(), media_type="application/json")


async def areas(state: ServiceState, request: Request) -> Response:
    """`GET /v1/areas/{cycle}`: counts by township and village."""
    who, asked = who_asks(request), query(request, shapes.CountyQuery)
    head = await to_thread.run_sync(list_in_force, state, who, request.path_params["cycle"], asked.county)
    counts = await to_thread.run_sync(lookups.area_counts, state.book.engine, who.areas, head)
    note(
        request,
        subject=f"{head.county_code} {head.cycle}",
        model_version=head.model_version,
        details={"villages": len(counts)},
    )
    return _json(answers.areas(state, head, counts))


async def model(state: ServiceState, request: Request) -> Response:
    """`GET /v1/model`: the model record of the release in force."""
    query(request, shapes.NoQuery)
    facts = state.facts()
    if facts is None:
        raise Refused(404, "no release is served here")
    return _json(answers.model(facts, state.settings.hash))


async def audit_entries(state: ServiceState, request: Request) -> Response:
    """`GET /v1/audit`: entries of the audit and the head of its chain."""
    asked = query(request, shapes.AuditQuery)
    page = await to_thread.run_sync(
        lambda: state.book.audit_page(
            since=asked.since, limit=asked.limit, actor=asked.actor, action=asked.action
        )
    )
    note(request, subject="audit", details={"entries": len(page["entries"])})
    return _json(shapes.AuditPage.model_validate(page))


async def openapi(state: ServiceState, request: Request) -> Response:
    """`GET /openapi.json`: the description of the API."""
    query(request, shapes.NoQuery)
    return Response(orjson.dumps(request.app.state.description()), media_type="application/json")


async def problem_kind(state: ServiceState, request: Request) -> Response:
    """`GET /problems/{code}`: what a code of a refusal means."""
    query(request, shapes.NoQuery)
    code = request.path_params["code"]
    if code not in PROBLEMS:
        raise Refused(404, "there is no such code")
    return _json(shapes.ProblemCard(code=code, **asdict(PROBLEMS[code])))


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


def note(request: Request, **entry: Any) -> None:
    """Set subject, model and details of this answer's audit entry; the gate writes it before the answer
    leaves.
    """
    request.scope["state"]["audit"] = entry


async def body(request: Request, shape: type[Shape]) -> Shape:
    """The body as a model, parsed in a thread where it is larger than a few kB.

    Raises Refused: 415 where it is sent in another form; 400 with its faults, of the query too: there is
    none.
    """
    query(request, shapes.NoQuery)
    unread = check_body_headers(dict(request.scope["headers"]))
    if unread is not None:
        raise Refused(415, "the body is sent in a form that is not read here", [unread])
    bounds = request.scope["state"]["route"].bounds
    content = await request.body()
    if len(content) <= ON_THE_LOOP:
        return parsed(content, shape, bounds)
    return await asyncio.get_running_loop().run_in_executor(PARSERS, parsed, content, shape, bounds)


def parsed(content: bytes, shape: type[Shape], bounds: BodyBounds) -> Shape:
    """A body as a model. Work and faults grow with the bounds of the route, not with the body. Raises Refused
    (400, 413).
    """
    if len(content) > bounds.size:
        raise Refused(413, f"the body is larger than {bounds.size:,} bytes, the most that this address takes")
    faults = faults_of_structure(content, bounds) or repeated_keys(content)
    if not faults:
        try:
            return shape.model_validate_json(content)
        except ValidationError as error:
            faults = shapes.faults_of(error)
    raise Refused(400, answers.amount(faults), faults)


def query(request: Request, shape: type[Shape]) -> Shape:
    """The query as a model; what is given twice or unknown is a fault. Raises Refused with its faults."""
    pairs = request.query_params.multi_items()
    faults = [
        Fault(name if not telling_text(name) else "…", "given more than once", "one value", "Give it once.")
        for name, times in sorted(Counter(name for name, _ in pairs).items())
        if times > 1
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
        remedy = "Search by household id only."
        faults.append(Fault("q", "a number of a person", "the beginning of a household id", remedy))
    if faults:
        raise Refused(400, answers.amount(faults), faults)
    return asked


def _plain(text: str, kind: Any) -> Any:
    """Text of a query as the number or truth value that its field takes; anything else stays as it is, and is
    refused by the model.
    """
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind is int or "int" in str(kind):
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    return text


def list_in_force(state: ServiceState, who: Who, cycle: str, county: str | None) -> ListHead:
    """The newest list of a cycle that the asker sees. Raises Refused: 404, or 400 where two counties have the
    cycle and none is named.
    """
    heads = []
    if re.fullmatch(shapes.CYCLE, cycle):
        heads = lookups.list_heads(state.book.engine, who.areas, cycle=cycle, county=county or "")
    if not heads:
        raise Refused(404, "no list of that cycle in the areas of this key")
    if len(heads) > 1:
        known = ", ".join(sorted(head.county_code for head in heads))
        fault = Fault("county", "not given", f"one of {known}", "Several counties have this cycle: name one.")
        raise Refused(400, "1 fault in the request", [fault])
    return heads[0]


def _wrong_day(asked: dt.date, scored: list[dt.date]) -> Refused:
    """The refusal for a household that has scores, but none of the day that was asked for."""
    days = ", ".join(day.isoformat() for day in scored[:12])
    fault = Fault("as_of", f"no score of {asked.isoformat()}", f"one of {days}", "Ask for one of these days.")
    return Refused(404, "this household has no score of that day", [fault], code="wrong-day")


def _json(answer: BaseModel) -> Response:
    """An answer, which was checked against its documented shape when it was made."""
    return Response(answer.model_dump_json(), media_type="application/json")


def _marked(request: Request, content: BaseModel) -> Response:
    """An answer with an ETag: 304 without a body where the caller has the same one. The audit has its entry
    in both cases."""
    answer = _json(content)
    mark = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
    if mark in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers={"etag": mark})
    answer.headers["etag"] = mark
    return answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _problem(error.status, error.detail, error.faults, error.headers, error.code)


async def _not_possible(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    return _problem(503, "it cannot be done at the moment", list(error.faults), {"retry-after": "5"})


async def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = TITLES.get(error.status_code, "Refused")
    return _problem(error.status_code, detail, [], dict(error.headers or {}))


def _problem(
    status: int, detail: str, faults: list[Fault], headers: Mapping[str, str], code: str = ""
) -> Response:
    content = problem(status, detail, faults, code)
    return Response(content, status, headers=headers, media_type="application/problem+json")


EXCEPTION_HANDLERS: Final = {Refused: _refused, UserError: _not_possible, HTTPException: _not_here}
