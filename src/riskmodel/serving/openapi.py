"""The OpenAPI description: one document for every route of the service, the framework's own included.

Routes and roles come from `access.RIGHTS`, shapes from the models that check requests and answers, examples from `examples`. A route in the table of rights
without an entry here is a fault that the tests find, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from riskmodel.casebook.roles import ROLES
from riskmodel.serving import examples, shapes
from riskmodel.serving.access import OPEN, RIGHTS, Right
from riskmodel.serving.messages import ScoresRequest
from riskmodel.serving.problems import TITLES
from riskmodel.serving.scores import ScoresAnswer
from riskmodel.serving.shapes import Problem
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True)
class Told:
    """What is said of a route. answer: a model, or content type -> schema. refusals: further statuses than those which every route has."""

    summary: str
    description: str = ""
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | Mapping[str, Any] | None = None
    status: int = 200
    refusals: tuple[int, ...] = ()
    tag: str = ""


TEXT: Final = {"text/plain": {"schema": {"type": "string"}}}
FILE: Final = {"type": "string", "format": "binary"}
PATHS: Final[Mapping[str, Any]] = {
    "cycle": {
        "schema": {"type": "string", "pattern": r"^\d{4}-(W\d{2}|\d{2}|Q[1-4])$"},
        "example": "2026-01",
    },
    "household_id": {"schema": {"type": "string", "pattern": shapes.ID}, "example": "h000042"},
    "path": {"schema": {"type": "string"}, "example": "app.js"},
}
TOLD: Final[Mapping[tuple[str, str], Told]] = {
    ("GET", "/"): Told("The screening page", answer={"text/html": {"schema": {"type": "string"}}}, refusals=(404,), tag="page"),
    ("GET", "/web/{path}"): Told("A file of the screening page", "One that comes with an etag can be asked for again with If-None-Match; `worker.js` keeps the page's files on a device.", answer={kind: {"schema": FILE} for kind in (
        "text/html", "text/css", "text/javascript", "image/svg+xml", "image/png", "image/x-icon", "font/woff2", JSON, "application/manifest+json",
    )}, refusals=(404,), tag="page"),
    ("GET", "/livez"): Told("Whether the process lives", answer=TEXT, tag="operation"),
    ("GET", "/readyz"): Told("Whether it can answer", answer=TEXT, tag="operation"),
    ("POST", "/v1/session"): Told(
        "Sign in with a key", "Answers with a cookie (HttpOnly, SameSite=Strict) and the CSRF token that goes with every POST and DELETE.",
        shapes.SignIn, answer=shapes.Session, refusals=(400, 401, 413, 415, 429), tag="sign-in",
    ),
    ("GET", "/v1/session"): Told("Who is signed in", query=shapes.NoQuery, answer=shapes.Session, refusals=(400,), tag="sign-in"),
    ("DELETE", "/v1/session"): Told("Sign out", query=shapes.NoQuery, status=204, refusals=(400,), tag="sign-in"),
    ("POST", "/v1/scores"): Told(
        "Score households, with reasons", "From their own rows, or by the ids of stored households. Nothing is kept.",
        ScoresRequest, answer=ScoresAnswer, refusals=(400, 404, 413, 415, 422), tag="scores",
    ),
    ("GET", "/v1/lists"): Told("Every cycle's list in force, newest first", query=shapes.NoQuery, answer=shapes.Lists, refusals=(400,), tag="lists"),
    ("GET", "/v1/lists/{cycle}"): Told(
        "A list, paged and filtered", "Rows in the order of the route, standby last; with everybody=true everybody who was scored, by rank.",
        query=shapes.ListQuery, answer=shapes.ListPage, refusals=(400, 404), tag="lists",
    ),
    ("GET", "/v1/lists/{cycle}/download"): Told(
        "A list as a file to fill in", "Only rows of the key's areas; `riskmodel record` takes the filled file.",
        query=shapes.DownloadQuery, answer={XLSX: {"schema": FILE}, "text/csv": {"schema": {"type": "string"}}}, refusals=(400, 404), tag="lists",
    ),
    ("GET", "/v1/households/{household_id}"): Told(
        "A stored household", "Score, band, reasons, what changed, how fresh the data are, history, visits, place on the list.",
        query=shapes.HouseholdQuery, answer=shapes.HouseholdAnswer, refusals=(400, 404), tag="households",
    ),
    ("POST", "/v1/verifications"): Told(
        "Record what visits found", "Each result is accepted, or refused with its reasons. When this answers 200, what is accepted is on disk. The same "
        "request again gets the same answer.",
        shapes.Verifications, answer=shapes.Taken, refusals=(400, 404, 409, 413, 415), tag="verifications",
    ),
    ("POST", "/v1/withdrawals"): Told(
        "Take back the result of a visit", "It was recorded on the wrong household. The row is kept with the reason, and no reader counts it any more.",
        shapes.Withdrawal, answer=shapes.Withdrawn, refusals=(400, 404, 409, 413, 415), tag="verifications",
    ),
    ("GET", "/v1/areas/{cycle}"): Told(
        "Counts by township and village", "Numbers from 1 to 4 of households and confirmed risks are not shown.",
        query=shapes.CountyQuery, answer=shapes.Areas, refusals=(400, 404), tag="areas",
    ),
    ("GET", "/v1/model"): Told("What the model is, how good, for whom it is worse", query=shapes.NoQuery, answer=shapes.ModelCard, refusals=(400, 404), tag="model"),
    ("GET", "/v1/audit"): Told("Entries of the audit, and the head of its chain", query=shapes.AuditQuery, answer=shapes.AuditPage, refusals=(400,), tag="audit"),
    ("GET", "/metrics"): Told("Figures of the running service, for Prometheus", answer=TEXT, tag="operation"),
    ("GET", "/openapi.json"): Told("This description", query=shapes.NoQuery, answer={JSON: {"schema": {"type": "object"}}}, refusals=(400,), tag="operation"),
}  # fmt: skip


ASK_AGAIN: Final = (429, 503, 504)
RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "seconds to wait before the same is sent again",
        "schema": {"type": "integer", "minimum": 1},
    }
}


@cache
def description() -> dict[str, Any]:
    """The whole document, OpenAPI 3.1, made once."""
    models: set[type[BaseModel]] = {
        model
        for told in TOLD.values()
        for model in (told.body, told.query, told.answer)
        if isinstance(model, type)
    }
    models.add(Problem)
    named = [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)]
    _, definitions = models_json_schema(named, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas = definitions["$defs"]
    paths: dict[str, Any] = {}
    for right in RIGHTS:
        told = TOLD[right.method, right.path]
        paths.setdefault(right.path, {})[right.method.lower()] = _operation(right, told)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "riskmodel",
            "version": version("relapse-riskmodel"),
            "description": f"{SIGNAL_ZH}. {SIGNAL_EN}. How to use it stands in docs/api.md; who may do what, in docs/access.md.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "rm_<key id>_<secret>, from `riskmodel keys add`",
                },
                "session": {"type": "apiKey", "in": "cookie", "name": "riskmodel_session"},
            },
        },
        "tags": [{"name": name} for name in dict.fromkeys(told.tag for told in TOLD.values())],
    }


def _operation(right: Right, told: Told) -> dict[str, Any]:
    open_to_all = right.roles == OPEN
    roles = "" if open_to_all else "Roles: " + ", ".join(right.roles) + "."
    named = [part[1:-1] for part in right.path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, **PATHS[name]} for name in named]
    if told.query is not None:
        parameters += _query(told.query)
    words = (
        right.path.replace("{", "").replace("}", "").strip("/").replace("/", "_").replace(".", "_") or "page"
    )
    operation: dict[str, Any] = {
        "operationId": f"{right.method.lower()}_{words}",
        "summary": told.summary,
        "description": " ".join(text for text in (told.description, roles) if text),
        "tags": [told.tag],
        "security": [] if open_to_all else [{"key": []}, {"session": []}],
        "x-roles": list(ROLES) if open_to_all else list(right.roles),
        "x-open": open_to_all,
        "x-by-area": right.by_area,
        "responses": _responses(right, told),
    }
    if parameters:
        operation["parameters"] = parameters
    if right.method == "DELETE":
        operation["description"] += " Needs X-CSRF-Token where a session asks."
    if told.body is not None:
        content = {
            "schema": {"$ref": f"#/components/schemas/{told.body.__name__}"},
            "example": examples.REQUESTS[told.body.__name__],
        }
        operation["requestBody"] = {"required": True, "content": {JSON: content}}
    return operation


def _responses(right: Right, told: Told) -> dict[str, Any]:
    good: dict[str, Any] = {"description": told.summary}
    if isinstance(told.answer, type):
        name = told.answer.__name__
        good["content"] = {
            JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": examples.ANSWERS[name]}
        }
    elif told.answer is not None:
        good["content"] = {kind: dict(content) for kind, content in told.answer.items()}
    refusals = {*told.refusals, 503, 504} | ({408} if told.body else set())
    if right.roles != OPEN:
        refusals |= {401, 403, 429}
    problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers: dict[str, Any] = {str(told.status): good}
    for status in sorted(refusals):
        example = examples.problem(status, TITLES[status])
        answers[str(status)] = {
            "description": TITLES[status],
            "content": {PROBLEM: problem[PROBLEM] | {"example": example}},
        }
        if status in ASK_AGAIN:
            answers[str(status)]["headers"] = RETRY_AFTER
    return answers


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    properties = model.model_json_schema()["properties"] if model.model_fields else {}
    told = []
    for name, schema in properties.items():
        # A query holds one value or is not there: null cannot be written.
        kinds = [kind for kind in schema.pop("anyOf", []) if kind.get("type") != "null"]
        plain = {
            key: value
            for key, value in schema.items()
            if key not in ("title", "default") or (key == "default" and value is not None)
        }
        required = model.model_fields[name].is_required()
        one: dict[str, Any] = {
            "name": name,
            "in": "query",
            "required": required,
            "schema": plain | (kinds[0] if kinds else {}),
        }
        if "description" in one["schema"]:
            one["description"] = one["schema"].pop("description")
        told.append(one)
    return told
