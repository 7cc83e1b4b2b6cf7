"""The OpenAPI description: one document for every route of the service, the framework's own included.

Roles, shapes, summaries and links come from the table of routes, examples from `examples`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from riskmodel.casebook.roles import ROLES
from riskmodel.serving import examples, shapes
from riskmodel.serving.authentication import COOKIE
from riskmodel.serving.problems import CODES, PROBLEMS, TITLES
from riskmodel.serving.route import Route
from riskmodel.serving.shapes import Problem
from riskmodel.vocabulary import SIGNAL_EN, SIGNAL_ZH

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
PATHS: Final[dict[str, Any]] = {
    "cycle": {"schema": {"type": "string", "pattern": shapes.CYCLE}, "example": "2026-01"},
    "household_id": {"schema": {"type": "string", "pattern": shapes.ID}, "example": "h000042"},
    "path": {"schema": {"type": "string"}, "example": "app.js"},
    "job_id": {"schema": {"type": "string", "pattern": shapes.JOB_ID}, "example": examples.JOB},
    "code": {"schema": {"type": "string", "enum": list(PROBLEMS)}, "example": "too-large"},
}
CSRF: Final = {
    "name": "X-CSRF-Token",
    "in": "header",
    "required": False,
    "description": "`csrf` of the session; needed where a session sends the request, not where a key does",
    "schema": {"type": "string"},
}
IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "the ETag of an answer that the caller has; the same one is answered with 304",
    "schema": {"type": "string"},
}
ETAG: Final = {"ETag": {"description": "changes with the answer", "schema": {"type": "string"}}}
REQUEST_ID: Final = {
    "X-Request-Id": {
        "description": (
            "the caller's own, where it is 8 to 64 of A-Za-z0-9._-, or a new one; also in log and audit"
        ),
        "schema": {"type": "string"},
    }
}
ASK_AGAIN: Final = (429, 503, 504)
RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "seconds to wait before the same is sent again",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document, OpenAPI 3.1."""
    models: set[type[BaseModel]] = {
        model
        for route in routes
        for model in (route.body, route.query, route.answer)
        if isinstance(model, type)
    }
    models.add(Problem)
    named = [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)]
    _, definitions = models_json_schema(named, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas = definitions["$defs"]
    for name, names in EITHER_OR.items():
        schemas[name]["oneOf"] = [
            {"required": [one], "properties": {one: {"not": {"type": "null"}}}} for one in names
        ]
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "riskmodel",
            "version": version("relapse-riskmodel"),
            "description": (
                f"{SIGNAL_ZH}. {SIGNAL_EN}. docs/api.md has how to use it, docs/access.md who may do what."
            ),
        },
        "servers": [
            {"url": "/", "description": "where this document comes from"},
            {
                "url": "http://127.0.0.1:3000",
                "description": "the service on its own machine, before the proxy",
            },
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "rm_<key id>_<secret>, from `riskmodel keys add`",
                },
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
        "tags": [{"name": name} for name in dict.fromkeys(route.tag for route in routes)],
    }


# Shapes of which exactly one of these is given. Their validators hold it; a schema made from a model does not
# have it.
EITHER_OR: Final = {"ScoresRequest": ("tables", "household_ids")}


def _operation(route: Route) -> dict[str, Any]:
    roles = "" if route.is_open else "Roles: " + ", ".join(route.roles) + "."
    parts = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, **PATHS[name]} for name in parts]
    if route.query is not None:
        parameters += _query(route.query)
    if route.method != "GET" and not route.is_open:
        parameters.append(CSRF)
    if route.etag:
        parameters.append(IF_NONE_MATCH)
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": " ".join(text for text in (route.description, roles) if text),
        "tags": [route.tag],
        "security": [] if route.is_open else [{"key": []}, {"session": []}],
        "x-roles": list(ROLES) if route.is_open else list(route.roles),
        "x-open": route.is_open,
        "x-by-area": route.by_area,
        "responses": _responses(route),
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {
            "schema": {"$ref": f"#/components/schemas/{route.body.__name__}"},
            "examples": {
                name: {"value": value} for name, value in examples.requests(route.body.__name__).items()
            },
        }
        operation["requestBody"] = {"required": True, "content": {JSON: content}}
    return operation


def operation_id(route: Route) -> str:
    """The name of an operation, from its method and address: `get_v1_lists_cycle`."""
    path = route.path.replace("{", "").replace("}", "").strip("/").replace("/", "_").replace(".", "_")
    return f"{route.method.lower()}_{path or 'page'}"


def _responses(route: Route) -> dict[str, Any]:
    good: dict[str, Any] = {
        "description": route.summary,
        "headers": REQUEST_ID | (ETAG if route.etag else {}),
    }
    if isinstance(route.answer, type):
        name = route.answer.__name__
        schema = {"$ref": f"#/components/schemas/{name}"}
        good["content"] = {JSON: {"schema": schema, "example": examples.ANSWERS[name]}}
    elif route.answer is not None:
        good["content"] = {kind: dict(content) for kind, content in route.answer.items()}
    if route.links:
        good["links"] = dict(route.links)
    answers: dict[str, Any] = {str(route.status): good}
    if route.etag:
        answers["304"] = {"description": "The caller has this answer", "headers": REQUEST_ID | ETAG}
    for status in sorted(_refusals(route)):
        code = CODES[status]
        example = examples.problem(status, code, PROBLEMS[code].title)
        schema = {"$ref": "#/components/schemas/Problem"}
        answers[str(status)] = {
            "description": TITLES[status],
            "headers": REQUEST_ID | (RETRY_AFTER if status in ASK_AGAIN else {}),
            "content": {PROBLEM: {"schema": schema, "example": example}},
        }
    return answers


def _refusals(route: Route) -> set[int]:
    """Statuses of the refusals that a route may give: its own, and those that every route has."""
    refusals = {*route.refusals, 429, 431, 500, 503, 504} | ({408} if route.body else set())
    return refusals if route.is_open else refusals | {401, 403, 405}


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    properties = model.model_json_schema()["properties"] if model.model_fields else {}
    parameters = []
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
        parameters.append(one)
    return parameters
