"""The application made of the table of routes, and its description."""

from __future__ import annotations

from functools import cache
from typing import Any

from starlette import routing
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from riskmodel.serving import api
from riskmodel.serving.openapi import describe
from riskmodel.serving.route import Handler
from riskmodel.serving.routes import ROUTES
from riskmodel.serving.state import ServiceState


def make_app(state: ServiceState) -> Starlette:
    """The application around the service state, which may still be empty: it is read when a request comes."""

    def answered_by(handler: Handler) -> Any:
        async def endpoint(request: Request) -> Response:
            return await handler(state, request)

        return endpoint

    mounted = []
    for route in ROUTES:
        path = route.path.replace("{path}", "{path:path}")
        if route.application is not None:
            mounted.append(routing.Route(path, route.application(state), methods=[route.method]))
        elif route.handler is not None:
            mounted.append(routing.Route(path, answered_by(route.handler), methods=[route.method]))
    app = Starlette(routes=mounted, exception_handlers=api.EXCEPTION_HANDLERS)
    app.state.description = description
    return app


@cache
def description() -> dict[str, Any]:
    """The OpenAPI document of every route, made once."""
    return describe(ROUTES)
