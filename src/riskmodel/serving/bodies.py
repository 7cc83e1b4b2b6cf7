"""What is asked of every JSON body before its shape is looked at: how it says it was sent, and that no key of it stands twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from riskmodel.errors import Fault
from riskmodel.tables.identity import telling_text

UTF_8: Final = ("", "utf-8", "utf8")
PLAIN: Final = ("", "identity")


def said_wrongly(headers: Mapping[bytes, bytes]) -> Fault | None:
    """What the headers say that a body here is not: another type, another character set, compressed. None: it may be read.

    A body that is said to be GBK and read as UTF-8 might be read as something else; one that is said to be compressed is not unpacked, so
    that a small body stays small.
    """
    kind, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    if kind.strip().lower() != "application/json":
        return Fault(
            "content-type",
            kind.strip()[:100] or "none",
            "application/json",
            "Send the body as JSON and say so.",
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
    """Keys that stand twice in one object of a body, which readers take differently: by the first, by the last. Empty: none, or not JSON."""
    found: dict[str, None] = {}

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                found["…" if telling_text(name) or len(name) > 64 else name] = None
            seen.add(name)

    try:
        json.loads(content, object_pairs_hook=look)
    except (ValueError, RecursionError):  # said in better words by whoever reads it
        return []
    return [
        Fault(name, "given more than once in one object", "each key once", "Say it once.") for name in found
    ]
