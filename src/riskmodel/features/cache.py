"""Where generated modules and their compiled code are kept: RISKMODEL_CACHE, else `~/.cache/riskmodel`, else
a temporary folder.

What is there is executed. The folder is therefore the user's own (or root's), nobody else may write to it,
and a generated module is compared
with the text that it is to hold before it runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import shutil
import stat
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np

log = logging.getLogger("riskmodel.features")
KINDS: Final = ("kernel", "trimmed", "counting")


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """The folder of generated modules and their compiled code; a private temporary one where the usual
    one cannot be used or trusted."""
    named = os.environ.get("RISKMODEL_CACHE")
    folder = Path(named) if named else Path.home() / ".cache" / "riskmodel"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_private(folder):
            _make_private(folder)
        if is_private(folder) and os.access(folder, os.W_OK):
            return folder
        if not is_private(folder):
            log.warning("the cache folder %s belongs to another user: not used", folder)
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="riskmodel-"))


def is_private(path: Path) -> bool:
    """Whether a file or folder belongs to this user or to root, and nobody else may write to it. Always
    true where there are no owners."""
    if os.name != "posix":
        return True
    for status in (path.lstat(), path.stat()):
        writable = status.st_mode & 0o022 and not stat.S_ISLNK(status.st_mode)
        if status.st_uid not in (os.geteuid(), 0) or writable:
            return False
    return True


def _make_private(folder: Path) -> None:
    """Close a folder of this user to others, and remove what they may have put there."""
    if folder.stat().st_uid != os.geteuid():
        return
    folder.chmod(0o700)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    for kind in KINDS:
        for path in folder.glob(f"{kind}_*"):
            path.unlink(missing_ok=True)


def loaded(kind: str, text: str) -> ModuleType:
    """Import generated source text as a module, through a file in the cache folder.

    The file is named by a hash of everything that the compiled code depends on, so a changed function is
    always recompiled (numba does not notice a changed callee). kind: prefix of the file's name, such as
    `kernel`. A file whose content differs from `text` is rewritten, and its compiled code removed.
    """
    import numba

    digest = hashlib.sha256(
        f"{numba.__version__} {np.__version__} {sys.version}\n{text}".encode()
    ).hexdigest()[:16]
    path = cache_folder() / f"{kind}_{digest}.py"
    compiled = path.parent / "__pycache__"
    if _holds(path, text) and (not compiled.exists() or is_private(compiled)):
        _note_use(path)
    else:
        for old in compiled.glob(f"{path.stem}.*"):
            old.unlink(missing_ok=True)
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
        clean_cache(path)
    for old in compiled.glob(f"{path.stem}.*"):
        if not is_private(old):
            old.unlink(missing_ok=True)
    name = f"riskmodel_{kind}_{digest}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    # The text itself is executed, not what the file (or bytecode beside it) holds by now; numba looks
    # for the file by its name.
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


def _holds(path: Path, text: str) -> bool:
    """Whether a file is this user's alone and holds exactly this text."""
    try:
        return is_private(path) and path.read_bytes() == text.encode()
    except OSError:
        return False


def _note_use(path: Path) -> None:
    """Set the file's access time to now: when a kernel was last used. The modification time is kept, since
    numba's cache index depends on it."""
    with contextlib.suppress(OSError):  # somebody else's cache, or one that may only be read
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def clean_cache(newest: Path, *, keep: int = 2, spared: float = 600.0) -> None:
    """Remove compiled kernels of earlier feature functions: all but the `keep` last used of the kind of
    `newest` (whole or trimmed).

    One that was used within `spared` seconds stays, because another process may be about to read it.
    """
    kind = newest.stem.partition("_")[0]

    def used(path: Path) -> float:
        with contextlib.suppress(OSError):
            return path.stat().st_atime
        return 0.0

    others = sorted(
        (path for path in newest.parent.glob(f"{kind}_*.py") if path != newest), key=used, reverse=True
    )
    for path in others[keep - 1 :]:
        if used(path) < time.time() - spared:
            for old in (path, *(newest.parent / "__pycache__").glob(f"{path.stem}.*")):
                with contextlib.suppress(OSError):
                    old.unlink()
