"""Scoring jobs: more households than one answer holds, scored in a thread beside the event loop, in turn.

A job belongs to the key that sent it. Its rows are in memory only. On disk, in `casebook/jobs/` and readable
by the service's user alone, are its state and its result, until they expire. The state on disk is the truth,
so that several processes may serve one project: who works on a job holds a lock in its folder, and an
unfinished job that nobody holds was interrupted.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import itertools
import json
import logging
import os
import queue
import re
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from riskmodel.casebook.roles import Who
from riskmodel.errors import Fault, RiskmodelError, UserError
from riskmodel.files import write_text
from riskmodel.serving.reading import Asked, ReadRows
from riskmodel.serving.releases.release import Release
from riskmodel.serving.scorer import score_rows
from riskmodel.serving.tally import Tally

HOUSEHOLDS_AT_MOST: Final = 20_000
UNFINISHED_AT_MOST: Final = 4  # of all keys: their rows are in memory
UNFINISHED_OF_A_KEY: Final = 2
KEPT_OF_A_KEY: Final = 20  # the newest ones
EXPIRES: Final = dt.timedelta(hours=24)
SCORED_AT_ONCE: Final = 200  # households between two looks at whether to go on
FAULTS_AT_MOST: Final = 50
LINES_AT_ONCE: Final = 500
SWEEP_SECONDS: Final = 600.0
STATE, RESULT, LOCK = "state.json", "scores.jsonl", "lock"
UNFINISHED: Final = ("waiting", "running")
JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
log = logging.getLogger("riskmodel.jobs")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job, as it is on disk.

    key_id, areas: of the key that sent it. state: waiting, running, done, failed or interrupted. scored,
    households: how many of how many. expires_at: when it is removed with its result. faults: the first ones
    of a failed job, of `faults_in_all`. idempotency_key, body_hash: a request sent again gets the same job.
    """

    job_id: str
    key_id: str
    areas: tuple[str, ...]
    state: str
    scored: int
    households: int
    as_of: str
    horizon_months: int
    model_version: str
    created_at: str
    expires_at: str
    idempotency_key: str | None = None
    body_hash: str = ""
    faults: tuple[dict[str, str], ...] = field(default=())
    faults_in_all: int = 0

    def shown(self) -> dict[str, Any]:
        """What its owner sees."""
        hidden = ("key_id", "areas", "body_hash")
        return {name: value for name, value in asdict(self).items() if name not in hidden} | {
            "faults": list(self.faults)
        }


class TooManyJobs(RiskmodelError):
    """No further job is taken now. of_key: this key has too many; otherwise all keys together."""

    def __init__(self, detail: str, *, of_key: bool) -> None:
        super().__init__(detail)
        self.of_key = of_key


class OtherBody(RiskmodelError):
    """The idempotency key came before, with another body."""


@dataclass(frozen=True)
class Order:
    """What a job is made from: rows that were read and checked, the release that scores them, what every line
    of the result carries, the hash of the body, and where scored households are counted."""

    asked: Asked
    release: Release
    carried: Mapping[str, Any]
    body_hash: str
    tally: Tally

    @property
    def rows(self) -> ReadRows:
        """The rows: a job has always some."""
        assert self.asked.rows is not None
        return self.asked.rows


class Jobs:
    """The jobs of one project, and the thread that works on those of this process. root: the project's
    folder."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "casebook" / "jobs"
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._queue: queue.SimpleQueue[tuple[Job, Order, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the households at hand. Jobs that are not finished are interrupted."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join(30)

    def accept(self, who: Who, order: Order) -> Job:
        """Take a job, or find the one that the same request made before.

        Raises TooManyJobs, OtherBody, and UserError where the disk takes nothing.
        """
        now = dt.datetime.now(dt.UTC)
        with self._lock:
            self.remove_expired(now)
            jobs = self._all()
            ours = [job for job in jobs if job.key_id == who.key_id and job.areas == tuple(who.areas)]
            for job in ours:
                if order.asked.key is not None and job.idempotency_key == order.asked.key:
                    if job.body_hash != order.body_hash:
                        raise OtherBody(job.job_id)
                    return job
            unfinished = [job for job in jobs if job.state in UNFINISHED]
            if sum(job.key_id == who.key_id for job in unfinished) >= UNFINISHED_OF_A_KEY:
                detail = f"this key has {UNFINISHED_OF_A_KEY} unfinished jobs: wait for one, or delete one"
                raise TooManyJobs(detail, of_key=True)
            if len(unfinished) >= UNFINISHED_AT_MOST:
                raise TooManyJobs("jobs of other keys are being worked on", of_key=False)
            self._make_room(who, jobs)
            job = Job(
                job_id=uuid.uuid4().hex,
                key_id=who.key_id,
                areas=tuple(who.areas),
                state="waiting",
                scored=0,
                households=len(order.rows.households),
                as_of=order.asked.as_of.isoformat(),
                horizon_months=order.asked.horizon,
                model_version=order.release.version,
                created_at=now.isoformat(timespec="microseconds"),
                expires_at=(now + EXPIRES).isoformat(timespec="microseconds"),
                idempotency_key=order.asked.key,
                body_hash=order.body_hash,
            )
            held = self._put_on_disk(job)
            self._queue.put((job, order, held))
        return job

    def of(self, who: Who, job_id: str) -> Job | None:
        """A job of this key. None: there is none, it is another key's, it has expired, or the key's areas
        have changed."""
        if not JOB_ID.fullmatch(job_id):
            return None
        with self._lock:
            job = self._read(job_id)
            if job is not None and dt.datetime.fromisoformat(job.expires_at) <= dt.datetime.now(dt.UTC):
                self.delete(job)
                job = None
        ours = job is not None and job.key_id == who.key_id and job.areas == tuple(who.areas)
        return job if ours else None

    def delete(self, job: Job) -> None:
        """Remove a job with its result. One that is being worked on ends after the households at hand."""
        with self._lock:
            shutil.rmtree(self.folder / job.job_id, ignore_errors=True)

    def has_result(self, job: Job) -> bool:
        """Whether the result of a job is there."""
        return (self.folder / job.job_id / RESULT).is_file()

    def lines(self, job: Job, after: int) -> Iterator[bytes]:
        """The result in parts of whole lines, one household a line. after: so many lines are left out."""
        with (self.folder / job.job_id / RESULT).open("rb") as result:
            rest = itertools.islice(result, after, None)
            while some := b"".join(itertools.islice(rest, LINES_AT_ONCE)):
                yield some

    def remove_expired(self, now: dt.datetime) -> None:
        """Remove jobs whose time has come, and folders that hold no state that can be read."""
        with self._lock:
            for path in self._folders():
                self._remove_if_expired(path, now)

    def _remove_if_expired(self, path: Path, now: dt.datetime) -> None:
        job = _stored(path)
        # A folder without a state may be one that another process is making at this moment.
        gone = _age(path) > 60 if job is None else dt.datetime.fromisoformat(job.expires_at) <= now
        if gone:
            shutil.rmtree(path, ignore_errors=True)

    def _folders(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if JOB_ID.fullmatch(path.name))
        except OSError:  # no job was sent yet, or the folder cannot be read: then sending one fails
            return []

    def _all(self) -> list[Job]:
        return [job for path in self._folders() if (job := self._read(path.name)) is not None]

    def _read(self, job_id: str) -> Job | None:
        """A job as it is; one that is not finished and that no process works on is marked as interrupted."""
        path = self.folder / job_id
        job = _stored(path)
        if job is None or job.state not in UNFINISHED or _is_held(path / LOCK):
            return job
        job = _stored(path)  # it may have been finished between the two looks
        if job is None or job.state not in UNFINISHED:
            return job
        return self._change(job, state="interrupted")

    def _make_room(self, who: Who, jobs: list[Job]) -> None:
        """Remove the oldest finished jobs of a key that has as many as are kept."""
        ours = sorted((job for job in jobs if job.key_id == who.key_id), key=lambda job: job.created_at)
        finished = [job for job in ours if job.state not in UNFINISHED]
        for job in finished[: max(0, len(ours) - KEPT_OF_A_KEY + 1)]:
            self.delete(job)

    def _put_on_disk(self, job: Job) -> int:
        """Make the folder of a job, lock it, write its state. Returns the descriptor that holds the lock."""
        path = self.folder / job.job_id
        try:
            path.mkdir(parents=True, mode=0o700)
            self.folder.chmod(0o700)
            held = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            fault = Fault(
                "casebook/jobs",
                error.strerror or "an error",
                "a folder that can be written",
                "Tell the operator.",
            )
            raise UserError(fault) from None
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            _write(path, job)
        except BaseException:
            os.close(held)
            shutil.rmtree(path, ignore_errors=True)
            raise
        return held

    def _run(self) -> None:
        """Work on jobs as they come; remove what has expired when there is nothing to do."""
        self.remove_expired(dt.datetime.now(dt.UTC))
        while True:
            try:
                work = self._queue.get(timeout=SWEEP_SECONDS)
            except queue.Empty:
                self.remove_expired(dt.datetime.now(dt.UTC))
                continue
            if work is None:
                return
            job, order, held = work
            del work
            try:
                self._score(job, order)
            except Exception as error:  # its text may repeat what was sent: only its kind is logged
                log.error("a job ended with %s", type(error).__name__)
                self._end(job, state="failed")
            finally:
                os.close(held)
                del job, order  # the rows do not stay in memory until the next job comes

    def _score(self, job: Job, order: Order) -> None:
        """Score the households of a job, some at a time, in ascending order of their ids.

        Once some of them have faults the rest is only looked at, so that a failed job names all that is
        wrong.
        """
        households, path = order.rows.households, self.folder / job.job_id / RESULT
        faults: list[Fault] = []
        if self._stopping.is_set():
            self._end(job, state="interrupted")
            return
        job = self._change(job, state="running")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            for start in range(0, len(households), SCORED_AT_ONCE):
                if self._stopping.is_set():
                    self._end(job, state="interrupted")
                    return
                if not path.exists():  # deleted
                    return
                some = households[start : start + SCORED_AT_ONCE]
                part = ReadRows(order.rows.prepared, some, order.rows.rows)
                try:
                    scores = score_rows(
                        order.release, part, order.asked.as_of, order.asked.horizon, first=start + 1
                    )
                except UserError as error:
                    faults.extend(error.faults)
                    continue
                if not faults:
                    out.writelines(orjson.dumps({**order.carried, **score}) + b"\n" for score in scores)
                    order.tally.scored(len(scores))
                    job = self._change(job, scored=start + len(some))
            out.flush()
            os.fsync(out.fileno())
        if faults:
            first = tuple(fault.as_dict() for fault in faults[:FAULTS_AT_MOST])
            self._end(job, state="failed", scored=0, faults=first, faults_in_all=len(faults))
        else:
            self._change(job, state="done")

    def _end(self, job: Job, **changes: Any) -> None:
        """Keep how a job without a result ended."""
        (self.folder / job.job_id / RESULT).unlink(missing_ok=True)
        try:
            self._change(job, **changes)
        except (
            UserError
        ) as error:  # a full disk: whoever asks finds it interrupted, since its lock is given up
            log.error("the state of a job cannot be written: %s", error.faults[0].found)

    def _change(self, job: Job, **changes: Any) -> Job:
        """The job with these values, kept on disk unless it was deleted meanwhile."""
        changed = replace(job, **changes)
        path = self.folder / job.job_id
        with self._lock:
            if (path / STATE).exists():
                _write(path, changed)
                if changed.state == "interrupted":
                    (path / RESULT).unlink(missing_ok=True)
        return changed


def _write(path: Path, job: Job) -> None:
    write_text(path / STATE, json.dumps(asdict(job)))


def _stored(path: Path) -> Job | None:
    """The job of a folder, from its state file; None where it cannot be read."""
    try:
        stored = json.loads((path / STATE).read_text(encoding="utf-8"))
        lists = {"areas": tuple(stored["areas"]), "faults": tuple(stored["faults"])}
        job = Job(**{**stored, **lists})
        dt.datetime.fromisoformat(job.expires_at)
        return job
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _age(path: Path) -> float:
    """Seconds since a folder was changed; 0 where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _is_held(lock: Path) -> bool:
    """Whether a process works on the job of this lock."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
