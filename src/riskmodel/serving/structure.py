"""Bound the structure of a JSON body before anything is built from it: nesting, keys, values.

A parser that builds objects from 2 MB of `{"a":1,"b":1,…}` needs a hundred times that in memory, and a
validator that lists every unknown key needs seconds. Both are bounded by counting punctuation outside strings
first: one pass, linear in the size, that ends where the bound is exceeded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from riskmodel.errors import Fault

# A string, or the rest of the body where its end is missing: so the pass stays linear.
_STRING: Final = re.compile(rb'"(?:[^"\\]+|\\.?)*+(?:"|\Z)', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")


@dataclass(frozen=True)
class BodyBounds:
    """The most that a body of a route may hold. size: bytes; depth: objects and lists within each other;
    keys, values: in all.
    """

    size: int
    depth: int
    keys: int
    values: int


def faults_of_structure(content: bytes, bounds: BodyBounds) -> list[Fault]:
    """The first bound that a body exceeds, as a list of one fault; empty: it may be parsed. Text that is no
    JSON may pass.
    """
    keys = values = depth = deepest = start = 0
    strings = 0
    while start < len(content):
        found = _STRING.search(content, start)
        stop, following = (found.start(), found.end()) if found else (len(content), len(content))
        strings += found is not None
        keys += content.count(b":", start, stop)
        containers = content.count(b"{", start, stop) + content.count(b"[", start, stop)
        values += content.count(b",", start, stop) + containers
        for number, most, what in (
            (keys, bounds.keys, "keys"),
            (values, bounds.values, "values"),
            (strings, bounds.keys + bounds.values + 1, "texts"),
        ):
            if number > most:
                return [
                    Fault("body", f"more than {most:,} {what}", f"at most {most:,}", "Send several requests.")
                ]
        if containers or depth:
            for bracket in _BRACKET.findall(content, start, stop):
                depth += 1 if bracket in b"[{" else -1
                deepest = max(deepest, depth)
                if deepest > bounds.depth:
                    remedy = "The shape is in /openapi.json."
                    expected = f"at most {bounds.depth} within each other"
                    return [Fault("body", "objects and lists nested too deeply", expected, remedy)]
        start = following
    return []
