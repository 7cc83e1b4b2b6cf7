"""Who may do what: roles, and the rights of each on every route, as one table. What is not in it is refused.

A key carries a role, areas and a purpose. The role opens routes (here), the areas say whose rows are seen (`riskmodel.casebook.areas`, the
one place through which every look-up goes), the purpose stands in the audit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from riskmodel.casebook.roles import ROLES

EVERYBODY: Final = tuple(ROLES)
OPEN: Final = ("open",)  # no sign-in needed: nothing of any household stands there


@dataclass(frozen=True)
class Right:
    """One route and who may use it.

    path: with {parts} as in the OpenAPI description. roles: OPEN, or roles. audit: what the entry of a good answer is called; empty: no entry (or
    the handler writes its own, in the transaction that keeps what was done). by_area: rows outside the key's areas are not there (404, or left out).
    """

    method: str
    path: str
    roles: tuple[str, ...]
    audit: str = ""
    by_area: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        parts = [
            "(?:.+)" if part == "{path}" else "[^/]+" if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{\w+\})", self.path)
            if part
        ]
        return re.compile("".join(parts))


RIGHTS: Final = (
    Right("GET", "/", OPEN),
    Right("GET", "/web/{path}", OPEN),
    Right("GET", "/livez", OPEN),
    Right("GET", "/readyz", OPEN),
    Right("POST", "/v1/session", OPEN),
    Right("GET", "/v1/session", EVERYBODY),
    Right("DELETE", "/v1/session", EVERYBODY, audit="signed out"),
    Right("POST", "/v1/scores", ("case_system", "analyst"), audit="scored", by_area=True),
    Right("GET", "/v1/lists", ("screener", "case_system"), audit="lists seen", by_area=True),
    Right("GET", "/v1/lists/{cycle}", ("screener", "case_system"), audit="list seen", by_area=True),
    Right("GET", "/v1/lists/{cycle}/download", ("screener",), audit="list downloaded", by_area=True),
    Right(
        "GET",
        "/v1/households/{household_id}",
        ("screener", "case_system"),
        audit="household seen",
        by_area=True,
    ),
    Right("POST", "/v1/verifications", ("screener",), by_area=True),
    Right("POST", "/v1/withdrawals", ("screener",), by_area=True),
    Right("GET", "/v1/areas/{cycle}", ("screener",), audit="areas seen", by_area=True),
    Right("GET", "/v1/model", EVERYBODY),
    Right("GET", "/v1/audit", ("auditor",), audit="audit seen"),
    Right("GET", "/metrics", ("operator",)),
    Right("GET", "/openapi.json", EVERYBODY),
)


def right_of(method: str, path: str) -> Right | None:
    """The right that covers a request; None: there is no such route. HEAD counts as GET."""
    method = "GET" if method == "HEAD" else method
    return next((right for right in RIGHTS if right.method == method and right.pattern.fullmatch(path)), None)


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that a path offers; empty: there is no such path."""
    found = tuple(right.method for right in RIGHTS if right.pattern.fullmatch(path))
    return (*found, "HEAD") if "GET" in found else found
