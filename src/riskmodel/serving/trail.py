"""The audit of the running service: an answer leaves only when its entry is on disk, and many entries share
one commit.

One thread writes. While it waits for the disk, entries of other requests gather; the next commit takes them
all. So under load the disk is asked once for many answers, and alone an answer waits for one commit.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine

from riskmodel.casebook import audit, schema
from riskmodel.casebook.request_id import with_request_id
from riskmodel.casebook.store import WRITERS

MOST_AT_ONCE: Final = 500

_Waiting = None | tuple[Mapping[str, Any], asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Trail:
    """Writes audit entries of one process. Ends with the process: an entry that was not acknowledged belongs
    to an answer that never left.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self._thread.start()

    async def write(self, **entry: Any) -> None:
        """Keep one entry, keys as in `audit.append`; returns when it is on disk. Raises what kept it from
        there.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        details = with_request_id(entry.get("details"))  # here: the writing thread serves many requests
        self._waiting.put((entry | {"at": audit.now(), "details": details}, loop, done))
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
                self._keep([entry for entry, _, _ in batch])
            except Exception as error:  # whatever it is: the callers must not wait for ever, and refuse
                failed = error
            for _, loop, done in batch:
                loop.call_soon_threadsafe(_settle, done, failed)

    def _keep(self, some: list[Mapping[str, Any]]) -> None:
        """Append entries in one transaction, straight on the driver: through SQLAlchemy an entry would cost
        as much as a score.

        The head is read under the writers' lock, since commands and other processes write to the same chain.
        """
        if not some:
            return
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            if self._engine.dialect.name == "sqlite":
                mark = "?"
                cursor.execute("BEGIN IMMEDIATE")
            else:
                mark = "%s"
                cursor.execute(f"SELECT pg_advisory_xact_lock({WRITERS})")
            cursor.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
            newest = cursor.fetchone()
            rows = audit.chained(audit.Head(*newest) if newest else audit.Head(0, audit.BEGINNING), some)
            statement = (
                f"INSERT INTO audit ({', '.join(_COLUMNS)}) VALUES ({', '.join([mark] * len(_COLUMNS))})"
            )
            cursor.executemany(statement, [tuple(row[name] for name in _COLUMNS) for row in rows])
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        finally:
            connection.close()


_COLUMNS: Final = tuple(column.name for column in schema.audit.columns)


def _settle(done: asyncio.Future[None], failed: Exception | None) -> None:
    if done.cancelled():
        return
    if failed is None:
        done.set_result(None)
    else:
        done.set_exception(failed)
