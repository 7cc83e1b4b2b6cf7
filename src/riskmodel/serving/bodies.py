"""What every JSON body has to be before its shape is looked at: plain UTF-8 JSON by its headers, and no key
twice in one object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from riskmodel.errors import Fault
from riskmodel.tables.identity import telling_text

UTF_8: Final = ("", "utf-8", "utf8")
PLAIN: Final = ("", "identity")
REPEATED_AT_MOST: Final = 50


def check_body_headers(headers: Mapping[bytes, bytes]) -> Fault | None:
    """The fault of a body that is not plain UTF-8 JSON by its headers: another type, another character
    set, compressed. None: it may be read.

    A body in GBK might be read as something else, and a compressed one is not unpacked, so that a small
    body stays small.
    """
    kind, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    if kind.strip().lower() != "application/json":
        return Fault(
            "content-type",
            kind.strip()[:100] or "none",
            "application/json",
            "Send the body as JSON, with this content type.",
        )
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in UTF_8:
            return Fault(
                "content-type",
                "another character set than UTF-8",
                "UTF-8",
                "Send UTF-8; leave `charset` out.",
            )
    if headers.get(b"content-encoding", b"").decode("latin-1").strip().lower() not in PLAIN:
        return Fault("content-encoding", "a compressed body", "the body as it is", "Send it uncompressed.")
    return None


def repeated_keys(content: bytes) -> list[Fault]:
    """Keys that come twice in one object of a body, which readers take differently: by the first, by the
    last. At most 50 different ones.

    Empty: none, or not JSON, which whoever reads it names better.
    """
    found: dict[str, None] = {}

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen and len(found) < REPEATED_AT_MOST:
                found["…" if telling_text(name) or len(name) > 64 else name] = None
            seen.add(name)

    try:
        json.loads(content, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return []
    return [
        Fault(name, "given more than once in one object", "each key once", "Give it once.") for name in found
    ]
