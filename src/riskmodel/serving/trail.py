"""The audit of the running service: an answer leaves only when its entry is on disk, and many entries share one commit.

One thread writes. While it waits for the disk, entries of other requests gather; the next commit takes them all. So under load the disk is asked
once for many answers, and alone an answer waits for one commit.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine

from riskmodel.serving.casebook import audit
from riskmodel.serving.casebook.store import writing

MOST_AT_ONCE: Final = 500

_Waiting = None | tuple[Mapping[str, Any], asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Trail:
    """Writes audit entries of one process. Ends with the process: an entry that was not acknowledged belongs to an answer that never left."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self._thread.start()

    async def write(self, **entry: Any) -> None:
        """Keep one entry, keys as in `audit.append`; returns when it is on disk. Raises what kept it from there."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.put((entry | {"at": audit.now()}, loop, done))
        await done

    def close(self) -> None:
        """Write what is waiting and stop."""
        self._waiting.put(None)
        self._thread.join(30)

    def _write(self) -> None:
        last = False
        while not last:
            got = [self._waiting.get()]
            while len(got) < MOST_AT_ONCE and not self._waiting.empty():
                got.append(self._waiting.get())
            batch = [item for item in got if item is not None]
            last = len(batch) < len(got)
            failed: Exception | None = None
            try:
                with writing(self._engine) as connection:
                    audit.append_all(connection, [entry for entry, _, _ in batch])
            except Exception as error:  # whatever it is: the callers must not wait for ever, and refuse
                failed = error
            for _, loop, done in batch:
                loop.call_soon_threadsafe(_settle, done, failed)


def _settle(done: asyncio.Future[None], failed: Exception | None) -> None:
    if done.cancelled():
        return
    if failed is None:
        done.set_result(None)
    else:
        done.set_exception(failed)
