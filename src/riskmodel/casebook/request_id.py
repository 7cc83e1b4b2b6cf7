"""The id of the request that is being answered: one name in the answer, the log and the audit entry."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")


def with_request_id(details: Mapping[str, Any] | None) -> dict[str, Any]:
    """Details of an audit entry with the id of the request that caused it; unchanged outside a request."""
    name = REQUEST_ID.get()
    return {**(details or {}), "request_id": name} if name else dict(details or {})
