"""Several files of one folder, written all or none: each beside its target first, then all of them
renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from riskmodel.errors import UserError
from riskmodel.files import in_plain_words


class Staging:
    """Drafts of files in a folder. Make it with `staging`; nothing of it is seen under its own name before
    the block ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._drafts: dict[Path, Path] = {}
        self._made: list[Path] = []

    def draft(self, target: Path) -> Path:
        """A path to write the content of `target` to. Makes the folders above it."""
        missing = [parent for parent in target.parents if not parent.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        self._made += missing
        self._drafts[target] = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        return self._drafts[target]

    def drop(self, target: Path) -> None:
        """Give a draft up: its target stays as it is."""
        self._drafts.pop(target).unlink(missing_ok=True)

    def commit(self) -> None:
        """Bring every draft to the disk, then rename them in the order in which they were begun."""
        for draft in self._drafts.values():
            with draft.open("rb+") as stream:
                os.fsync(stream.fileno())
        while self._drafts:
            target = next(iter(self._drafts))
            self._drafts[target].replace(target)
            del self._drafts[target]

    def undo(self) -> None:
        """Remove all drafts, and the folders that were made for them."""
        for draft in self._drafts.values():
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        for folder in sorted(self._made, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def staging(folder: Path) -> Iterator[Staging]:
    """Files of a folder that are there together when the block ends well, or not at all.

    Raises UserError in one line for a full disk or a folder that cannot be written to; what was there before
    is untouched.
    """
    stage = Staging(folder)
    try:
        yield stage
        stage.commit()
    except UserError:
        stage.undo()
        raise
    except BaseException as error:
        stage.undo()
        plain = in_plain_words(error, folder)
        if plain is None:
            raise
        raise plain from error
