"""Where generated modules and their compiled code are kept: RISKMODEL_CACHE, else `~/.cache/riskmodel`, else a temporary folder."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """Where the generated module and its compiled code are kept."""
    named = os.environ.get("RISKMODEL_CACHE")
    candidates = [Path(named)] if named else [Path.home() / ".cache" / "riskmodel"]
    for folder in candidates:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="riskmodel-"))


def loaded(kind: str, text: str) -> ModuleType:
    """The generated module of this text. Its file is named by the hash of everything that the compiled code depends on: a changed function is
    always compiled anew (numba itself does not notice a changed callee). kind: what the file's name begins with, such as `kernel`."""
    import numba

    digest = hashlib.sha256(
        f"{numba.__version__} {np.__version__} {sys.version}\n{text}".encode()
    ).hexdigest()[:16]
    path = cache_folder() / f"{kind}_{digest}.py"
    if path.is_file():
        _note_use(path)
    else:
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
        clean_cache(path)
    name = f"riskmodel_{kind}_{digest}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def _note_use(path: Path) -> None:
    """Say when a kernel was last used in the file's access time; its other time is part of what numba goes by and stays."""
    with contextlib.suppress(OSError):  # somebody else's cache, or one that may only be read
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def clean_cache(newest: Path, *, keep: int = 2, spared: float = 600.0) -> None:
    """Remove compiled kernels of earlier feature functions: all but the `keep` last used of the kind of `newest` (whole or trimmed).

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
