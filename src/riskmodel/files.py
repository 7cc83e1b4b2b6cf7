"""Writing files so that nobody ever meets half of one: a temporary file beside the target, fsync, then one rename."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from riskmodel.errors import Fault, UserError


@contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends well; otherwise the old file stays as it was.

    Raises UserError if the folder is missing or cannot be written to, before the block begins.
    """
    path = Path(target)
    if not path.parent.is_dir():
        raise UserError(Fault(str(path), "the folder does not exist", "a folder that exists", f"Make it: mkdir -p {path.parent}"))
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except PermissionError:
        raise UserError(Fault(str(path), "the folder may not be written to", "a writable folder", "Name another.")) from None
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.chmod(0o644)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text in one piece."""
    with replacing(target) as draft:
        draft.write_text(text, encoding="utf-8")
