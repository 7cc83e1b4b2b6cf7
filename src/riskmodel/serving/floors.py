"""The least versions that may serve, with why: faults that were published and are mended from that version
on.

`pip-audit` finds none of them in a locked environment, and none in an environment that somebody put together
by hand: the service looks at its own packages and its interpreter when it starts, and logs what is below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from riskmodel.errors import Fault


@dataclass(frozen=True)
class Floor:
    """Least version, and what is wrong below it."""

    least: str
    why: str


PACKAGES: Final[Mapping[str, Floor]] = {
    "aiohttp": Floor("3.12.14", "CVE-2025-53643: requests smuggled in trailers of a chunked body"),
    "authlib": Floor(
        "1.6.5", "CVE-2025-59420, CVE-2025-61920: tokens with unknown `crit` accepted, oversized tokens"
    ),
    "bentoml": Floor(
        "1.4.19", "CVE-2025-27520, CVE-2025-54381: code by pickled input, requests to inner addresses"
    ),
    "cryptography": Floor(
        "44.0.1", "CVE-2024-12797: OpenSSL, servers not authenticated with raw public keys"
    ),
    "h11": Floor("0.16.0", "CVE-2025-43859: malformed chunked bodies accepted, requests smuggled"),
    "jinja2": Floor("3.1.6", "CVE-2025-27516: a way out of the sandbox"),
    "orjson": Floor("3.9.15", "CVE-2024-27454: no limit of nesting when reading"),
    "pyarrow": Floor("14.0.1", "CVE-2023-47248: code by a file that is read"),
    "python-multipart": Floor("0.0.18", "CVE-2024-53981: the process busy with a malformed form"),
    "pyyaml": Floor("5.4", "CVE-2020-14343: code by a document that is read"),
    "starlette": Floor("0.49.1", "CVE-2025-62727: time with the square of a Range header"),
}
# minor version -> the first release without these faults.
INTERPRETERS: Final[Mapping[tuple[int, int], Floor]] = {
    (3, 11): Floor(
        "3.11.10",
        "CVE-2024-7592 (http.cookies, which the service does not use), CVE-2024-4032, CVE-2024-0450",
    ),
    (3, 12): Floor("3.12.6", "CVE-2024-7592 (http.cookies, which the service does not use)"),
    (3, 13): Floor("3.13.0", "the first one"),
}


def below(
    interpreter: tuple[int, int, int] = sys.version_info[:3], installed: Callable[[str], str] = version
) -> list[Fault]:
    """What of this environment is below its floor. A package that is not installed is none."""
    faults = []
    floor = INTERPRETERS.get(interpreter[:2])
    if floor is not None and interpreter < parts(floor.least):
        found = ".".join(map(str, interpreter))
        faults.append(_fault("Python", found, floor, "Update the interpreter and make .venv again."))
    for name, least in PACKAGES.items():
        try:
            found = installed(name)
        except PackageNotFoundError:
            continue
        if parts(found) < parts(least.least):
            faults.append(_fault(name, found, least, "Install the locked versions: `make service`."))
    return faults


def parts(text: str) -> tuple[int, ...]:
    """A version as numbers: 3.11.10 is later than 3.11.9. What follows the numbers (rc1) is left out."""
    numbers = []
    for part in text.split("."):
        digits = "".join(character for character in part if character.isdigit())
        if not digits or not part[0].isdigit():
            break
        numbers.append(
            int(digits) if part.isdigit() else int(part[: len(part) - len(part.lstrip("0123456789"))])
        )
    return tuple(numbers)


def _fault(name: str, found: str, floor: Floor, remedy: str) -> Fault:
    return Fault(name, found, f"at least {floor.least}", f"{floor.why}. {remedy}")
