"""One way to compile a function: numba, kept on disk, so that only the first start on a machine waits for a
compiler."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from types import FunctionType
from typing import Any


class Compiled:
    """A function that numba compiles at its first call (numba itself is imported then, not before)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.dispatcher: Any = None
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self.ready()(*arguments)

    def ready(self) -> Any:
        """numba's own function, made on first use, with the compiled functions that it calls."""
        if self.dispatcher is None:
            from numba import njit

            called = {
                name: part.ready()
                for name in self.function.__code__.co_names
                if isinstance(part := self.function.__globals__.get(name), Compiled)
            }
            function = FunctionType(
                self.function.__code__, {**self.function.__globals__, **called}, self.function.__name__
            )
            function.__qualname__, function.__module__ = self.function.__qualname__, self.function.__module__
            try:
                self.dispatcher = njit(cache=True, nogil=True, error_model="numpy")(function)
            except (
                RuntimeError
            ):  # neither the package's folder nor the user's can be written: compile at each start
                self.dispatcher = njit(nogil=True, error_model="numpy")(function)
        return self.dispatcher

    @property
    def compilations(self) -> int:
        """How often this process had to compile because the disk held nothing that fits."""
        return 0 if self.dispatcher is None else sum(self.dispatcher.stats.cache_misses.values())


def compiled(function: Callable[..., Any]) -> Compiled:
    """Decorator: compile on the first call, keep the machine code on disk."""
    return Compiled(function)
