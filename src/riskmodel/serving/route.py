"""One route of the service: everything that is known of it in one record. The table of them is
`routes.ROUTES`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from riskmodel.casebook.roles import ROLES
from riskmodel.serving.state import ServiceState
from riskmodel.serving.structure import BodyBounds

EVERYBODY: Final = tuple(ROLES)
OPEN: Final = ("open",)  # no key needed: nothing of any household is there

Handler = Callable[[ServiceState, Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one address.

    path: with {parts} as in OpenAPI. roles: OPEN, or who may use it. handler: answers a request; application:
    the same as a plain ASGI application; neither: the framework answers (probes). summary, description, tag,
    links: for OpenAPI. query, body, answer: shapes (answer: a model, or content type -> schema). status: of a
    good answer; refusals: statuses beside those that every route has. bounds: of the body; None with a body:
    the settings bound it. audit: action of the entry of a good answer; empty: no entry, or the handler writes
    its own in the transaction that keeps what was done. by_area: rows outside the areas of the key are not
    there (404, or left out). etag: answers carry one.
    """

    method: str
    path: str
    roles: tuple[str, ...]
    summary: str
    tag: str
    handler: Handler | None = None
    application: Callable[[ServiceState], ASGIApp] | None = None
    description: str = ""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    bounds: BodyBounds | None = None
    answer: type[BaseModel] | Mapping[str, Any] | None = None
    status: int = 200
    refusals: tuple[int, ...] = ()
    audit: str = ""
    by_area: bool = False
    etag: bool = False
    links: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Method and address, as logs and metrics have it."""
        return f"{self.method} {self.path}"

    @property
    def is_open(self) -> bool:
        """Whether no key is needed."""
        return self.roles == OPEN

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the addresses of this route, whole."""
        parts = [
            "(?:.+)" if part == "{path}" else "[^/]+" if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{\w+\})", self.path)
            if part
        ]
        return re.compile("".join(parts))
