"""Writing files so that nobody ever meets half of one: a temporary file beside the target, fsync, then one rename."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from riskmodel.errors import Fault, UserError


@contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends well; otherwise the old file stays as it was.

    Raises UserError if the folder is missing or cannot be written to, before the block begins, and for a disk that is full.
    """
    path = Path(target)
    if not path.parent.is_dir():
        raise UserError(
            Fault(
                str(path),
                "the folder does not exist",
                "a folder that exists",
                f"Make it: mkdir -p {path.parent}",
            )
        )
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except PermissionError:
        raise UserError(
            Fault(str(path), "the folder may not be written to", "a writable folder", "Name another.")
        ) from None
    except OSError as error:
        raise _in_plain_words(path, error) from None
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.chmod(0o644)
        os.replace(draft, path)
    except OSError as error:
        raise _in_plain_words(path, error) from error
    finally:
        draft.unlink(missing_ok=True)


def _in_plain_words(path: Path, error: OSError) -> Exception:
    """A full disk as a UserError; every other error as it is."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    remedy = "What was there before is untouched. Make room and try again."
    return UserError(Fault(str(path), "the disk is full", "room to write", remedy))


def write_bytes(target: str | os.PathLike[str], content: bytes) -> Path:
    """Write bytes in one piece. Returns the path."""
    with replacing(target) as draft:
        draft.write_bytes(content)
    return Path(target)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text in one piece."""
    with replacing(target) as draft:
        draft.write_text(text, encoding="utf-8")
