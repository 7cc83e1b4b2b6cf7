"""Write files whole or not at all, readable by their owner only, and name what keeps a file from being
written.

A file is written beside its target under a temporary name, flushed to the disk, and renamed. A link is
followed; a folder, a device or a pipe is refused. What holds households or secrets (lists, scores, exports,
backups) is readable by its owner only; files for other users of the machine (a release, the public keys) are
written with `shared=True`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from riskmodel.errors import Fault, UserError

PRIVATE = 0o600
_UNTOUCHED = "What was there before is untouched."
_FULL = (
    "the disk is full",
    "room to write",
    f"{_UNTOUCHED} Make room and try again.",
)
_READ_ONLY = (
    "it cannot be written to (read-only)",
    "a writable place",
    f"{_UNTOUCHED} Name another place, or change its permissions.",
)
_BY_NUMBER = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: (
        "permission denied",
        "a place that this user may read and write",
        "Name another place, or change its permissions.",
    ),
    errno.EPERM: (
        "permission denied",
        "a place that this user may read and write",
        "Name another place, or change its permissions.",
    ),
    errno.EISDIR: ("it is a folder", "a file", "Name a file."),
    errno.ENOTDIR: ("a part of the path is a file", "a folder", "Name a path below a folder."),
    errno.ENOENT: (
        "it does not exist",
        "a path that exists",
        "Correct the path, or make the folder: mkdir -p.",
    ),
    errno.EEXIST: ("it exists already, as something else", "a free name", "Name another."),
    errno.ENAMETOOLONG: ("the name is too long", "a shorter name", "Name another."),
    errno.EIO: ("the disk reports an error", "a disk that works", f"{_UNTOUCHED} Look at the system's log."),
}
# Libraries that write on their own (Polars, SQLite, MLflow) report the same causes as text only.
_BY_TEXT = (
    (
        re.compile(
            (
                r"no space left on device|database or disk is full|disk quota exceeded|file too large|not "
                r"enough space"
            ),
            re.I,
        ),
        _FULL,
    ),
    (re.compile(r"read-only file system|readonly database|os error 30\b", re.I), _READ_ONLY),
    (re.compile(r"permission denied|unable to open database file", re.I), _BY_NUMBER[errno.EACCES]),
    (re.compile(r"disk i/o error|input/output error", re.I), _BY_NUMBER[errno.EIO]),
)
_WRAPPED = ("polars.", "sqlalchemy.", "mlflow.", "sqlite3", "shutil", "pyarrow.", "xlsxwriter.", "alembic.")


@contextmanager
def replacing(target: str | os.PathLike[str], *, shared: bool = False) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends without an error; otherwise the old file
    stays as it was.

    A link is followed: the file that it points to is replaced. shared: readable by others, as the umask
    allows; otherwise by the owner only. Raises UserError before the block begins for a missing or read-only
    folder and for a target that is a folder, a device or a pipe; after it for a disk that is full.
    """
    named = Path(target)
    path = _regular(named)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:60]}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise in_plain_words(error, named) or error from None
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.chmod(0o666 & ~_umask() if shared else PRIVATE)
        os.replace(draft, path)
    except UserError as error:
        # A function that writes in one piece itself was given the draft: a person knows the file by its own
        # name.
        faults = [
            replace(fault, where=str(named)) if fault.where == str(draft) else fault for fault in error.faults
        ]
        if list(error.faults) == faults:
            raise
        raise type(error)(faults) from error
    except Exception as error:
        plain = in_plain_words(error, named)
        if plain is None:
            raise
        raise plain from error
    finally:
        draft.unlink(missing_ok=True)


def _regular(named: Path) -> Path:
    """The file behind a path, links followed. Raises UserError unless it is a regular file or can become
    one."""
    try:
        path = Path(os.path.realpath(named))
        if path.is_dir():
            raise UserError(Fault(str(named), "a folder", "a file", "Name a file in it."))
        if path.exists() and not path.is_file():
            raise UserError(
                Fault(
                    str(named),
                    "a device or a pipe",
                    "a regular file",
                    "Name a file; only files are replaced.",
                )
            )
        if path.parent.exists() and not path.parent.is_dir():
            raise UserError(
                Fault(str(named), f"{path.parent} is a file", "a folder", "Name a path below a folder.")
            )
        if not path.parent.is_dir():
            remedy = f"Make it: mkdir -p {path.parent}"
            raise UserError(Fault(str(named), "the folder does not exist", "a folder that exists", remedy))
    except OSError as error:
        raise in_plain_words(error, named) or error from None
    return path


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current


@contextmanager
def making_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A new folder to fill, which becomes `target` when the block ends without an error; otherwise nothing is
    left of it.

    An empty folder of that name is replaced. Raises UserError where `target` is a file or holds something,
    and for a disk that is full.
    """
    path = Path(os.path.realpath(target))
    if path.exists() and not path.is_dir():
        raise UserError(Fault(str(target), "a file", "a folder", "Name a new or empty folder."))
    try:
        if path.is_dir() and any(path.iterdir()):
            raise UserError(
                Fault(str(target), "the folder is not empty", "a new or empty folder", "Name another folder.")
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name[:60]}-", dir=path.parent))
    except OSError as error:
        raise in_plain_words(error, target) or error from None
    try:
        with naming(target):
            yield draft
            draft.chmod(0o777 & ~_umask())
            os.replace(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def in_plain_words(error: BaseException, where: str | os.PathLike[str] | None = None) -> UserError | None:
    """A full disk, a read-only place, a missing permission as a UserError, from an error of the system or of
    a library that wrote. None: another cause.

    where: the file that a person named; without it the one that the error names.
    """
    for place, cause in enumerate(_causes(error)):
        answer = None
        if isinstance(cause, OSError) and cause.errno is not None:
            answer = _BY_NUMBER.get(cause.errno)
        if answer is None and (isinstance(cause, OSError) or type(cause).__module__.startswith(_WRAPPED)):
            answer = next((answer for pattern, answer in _BY_TEXT if pattern.search(str(cause))), None)
        if answer is not None and (place == 0 or answer in (_FULL, _READ_ONLY)):
            # Of a copy, the second name is the one that is written.
            named = where or getattr(cause, "filename2", None) or getattr(cause, "filename", None)
            shown = os.fsdecode(named) if isinstance(named, (str, bytes, os.PathLike)) else "writing"
            return UserError(Fault(shown, *answer))
    return None


@contextmanager
def naming(target: str | os.PathLike[str]) -> Iterator[None]:
    """Raise a full disk, a read-only place, a missing permission as a UserError that names `target`, what a
    person asked to write."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        plain = in_plain_words(error, target)
        if plain is None:
            raise
        raise plain from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or now.__context__


def write_bytes(target: str | os.PathLike[str], content: bytes, *, shared: bool = False) -> Path:
    """Write bytes in one piece. shared: see `replacing`. Returns the path."""
    with replacing(target, shared=shared) as draft:
        draft.write_bytes(content)
    return Path(target)


def write_text(target: str | os.PathLike[str], text: str, *, shared: bool = False) -> None:
    """Write UTF-8 text in one piece. shared: see `replacing`."""
    with replacing(target, shared=shared) as draft:
        draft.write_text(text, encoding="utf-8")


_FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def harmless(text: str) -> str:
    """The text, so that no spreadsheet takes it for a formula: an apostrophe before = + - @ and their
    full-width forms."""
    dangerous = text.lstrip(" \u3000\n").startswith(_FORMULA_MARKS) or text.startswith(_FORMULA_MARKS)
    return "'" + text if dangerous else text


def as_written(text: str) -> str:
    """The text before `harmless`."""
    return text[1:] if text.startswith("'") and harmless(text[1:]) == text else text
