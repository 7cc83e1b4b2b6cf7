"""One way to compile a function: numba, kept on disk, so that only the first start on a machine waits for a
compiler."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache, update_wrapper
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
            self.dispatcher = njit(nogil=True, error_model="numpy")(function)
            with suppress(RuntimeError):  # no folder can be written: compile at each start
                kept(self.dispatcher)
        return self.dispatcher

    @property
    def compilations(self) -> int:
        """How often this process had to compile because the disk held nothing that fits."""
        return 0 if self.dispatcher is None else sum(self.dispatcher.stats.cache_misses.values())


def compiled(function: Callable[..., Any]) -> Compiled:
    """Decorator: compile on the first call, keep the machine code on disk."""
    return Compiled(function)


def kept(dispatcher: Any) -> Any:
    """Keep the machine code of numba's function on disk. Raises RuntimeError where neither the package's
    folder nor the user's can be written.

    An index on disk names the classes of the records that a function was compiled for. When such a class has
    been renamed or moved since, numba cannot read the index and fails (`njit(cache=True)`); here the index is
    emptied and the function compiled anew. Under NUMBA_DISABLE_JIT functions stay plain: nothing is kept.
    """
    if isinstance(dispatcher, FunctionType):
        return dispatcher
    dispatcher._cache = _disk()(dispatcher.py_func)
    return dispatcher


@cache
def _disk() -> type[Any]:
    """The class of numba's cache on disk, with indexes that cannot be read treated as empty."""
    from numba.core.caching import FunctionCache

    class Disk(FunctionCache):  # type: ignore[misc, unused-ignore]
        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                return super().load_overload(sig, target_context)
            except (AttributeError, ImportError):
                self.flush()
                return None

    return Disk
