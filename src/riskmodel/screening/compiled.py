"""One way to compile a function: numba, kept on disk, so that only the first start on a machine waits for a compiler."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any


class Compiled:
    """A function that numba compiles at its first call (numba itself is imported then, not before)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.dispatcher: Any = None
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        if self.dispatcher is None:
            self.dispatcher = self._compile()
        return self.dispatcher(*arguments)

    def _compile(self) -> Any:
        from numba import njit

        try:
            return njit(cache=True, nogil=True, error_model="numpy")(self.function)
        except RuntimeError:  # neither the package's folder nor the user's can be written: compile at each start
            return njit(nogil=True, error_model="numpy")(self.function)

    @property
    def compilations(self) -> int:
        """How often this process had to compile because the disk held nothing that fits."""
        return 0 if self.dispatcher is None else sum(self.dispatcher.stats.cache_misses.values())


def compiled(function: Callable[..., Any]) -> Compiled:
    """Decorator: compile on the first call, keep the machine code on disk."""
    return Compiled(function)
