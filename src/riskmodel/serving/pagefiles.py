"""The screening page's own files, and which of them a browser keeps so that the page opens without a
connection.

No answer about a household is among them: the worker that keeps the files (serving/web/worker.js) leaves
every other request alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WORKER: Final = "worker.js"
FIRST: Final = "index.html"
KINDS: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}
ZIPPED: Final = ("text/", "image/svg")


@dataclass(frozen=True)
class PageFile:
    """A file as it is sent. `headers`: its ETag (a browser that has it need not fetch it again), and for the
    service worker its scope.
    """

    content: bytes
    media_type: str
    headers: dict[str, str]


def page_file(home: Path, name: str, *, zipped: bool = False) -> PageFile | None:
    """A file of the page's folder by its name there; None: it is not there, is outside, or is not of a kind
    that pages use.

    zipped: the browser takes gzip, which makes a third of it for a phone in a village. The files hold no
    secret that sizes could give away.
    """
    home = home.resolve()
    try:
        path = (home / name).resolve()
        there = path.is_relative_to(home) and path.is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte
        return None
    kind = KINDS.get(path.suffix)
    if kind is None or not there:
        return None
    content = path.read_bytes()
    headers = {"cache-control": "no-cache"}
    if path == home / WORKER:
        content = kept_by_the_worker(home) + content
        headers["service-worker-allowed"] = "../"  # it is in web/, the page one folder up
    mark = hashlib.sha256(content).hexdigest()[:32]
    if kind.startswith(ZIPPED):
        headers["vary"] = "accept-encoding"
        if zipped:
            content, mark = gzip.compress(content, 6, mtime=0), f"{mark}-gzip"
            headers["content-encoding"] = "gzip"
    return PageFile(content, kind, headers | {"etag": f'"{mark}"'})


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header names gzip and does not rule it out."""
    parts = [part.replace(" ", "").lower().partition(";") for part in accepted.split(",")]
    return any(
        name == "gzip" and weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000") for name, _, weight in parts
    )


def kept_by_the_worker(home: Path) -> bytes:
    """The worker's first lines: every file of the page, address -> SHA-256, and one version made of them all.

    A change of any file changes these lines, so browsers see another worker and take its files together.
    """
    files = {
        "" if path.name == FIRST else f"web/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.iterdir())
        if path.suffix in KINDS and path.name != WORKER
    }
    listed = json.dumps(files, sort_keys=True)
    version = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return f'const VERSION = "{version}";\nconst FILES = {listed};\n'.encode()
