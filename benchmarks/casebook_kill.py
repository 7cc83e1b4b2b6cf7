"""Kill -9 under two writers: nothing acknowledged may be lost, nothing torn, and the audit chain must hold.

    python benchmarks/casebook_kill.py --rounds 50 # SQLite in a temporary folder python
    benchmarks/casebook_kill.py --rounds 50 --url postgresql://user@host/db # an empty PostgreSQL database

In each round two processes record results one by one and say so after each; at a random moment both are
killed. Then every result that was said to be recorded must be there, each with its audit entry, and the chain
must verify. Prints one line of JSON; exit 1 if not.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import func, text
from sqlalchemy import select as selected
from sqlalchemy.engine import make_url

from riskmodel.casebook import Casebook, audit
from riskmodel.casebook.schema import audit as audit_table
from riskmodel.casebook.schema import cycles, list_rows, lists, visits
from riskmodel.casebook.store import connect, reading, writing
from riskmodel.visits.returns import Result

HOUSEHOLDS = 2000
LIST = "0" * 64


def give_out(book: Casebook) -> None:
    """A list with enough households for all rounds."""
    with writing(book.engine) as connection:
        connection.execute(
            cycles.insert().values(county_code="522301", cycle="2026-01", opened_at=audit.now())
        )
        head = {
            "list_hash": LIST,
            "county_code": "522301",
            "cycle": "2026-01",
            "as_of": dt.date(2025, 12, 31),
            "capacity": HOUSEHOLDS,
        }
        head |= {
            "model_version": "m",
            "settings": "{}",
            "notes": "[]",
            "issued_at": audit.now(),
            "issued_number": 1,
        }
        connection.execute(lists.insert().values(head))
        row = {
            "list_hash": LIST,
            "grade": "none",
            "listed_as": "model",
            "inclusion_probability": 1.0,
            "content": "{}",
        }
        rows = [row | {"household_id": f"h{n}", "number": n, "place": n} for n in range(HOUSEHOLDS)]
        connection.execute(list_rows.insert(), rows)


def write(url: str, writer: int, turn: int, pipe: int) -> None:
    """Record one result after the other until killed; say each after it is on disk."""
    book = Casebook(connect(make_url(url)))
    number = 0
    while True:
        household = f"h{number % HOUSEHOLDS}"
        name = f"w{writer}t{turn}n{number}"
        result = Result(1, LIST, household, dt.date(2026, 1, 5), "no_risk", "", "", name, "")
        book.take_in([result], known_on=dt.date(2026, 1, 6), by="writer")
        os.write(pipe, f"{name}\n".encode())
        number += 1


def one_round(url: str, turn: int, chance: random.Random) -> set[str]:
    """Start two writers, kill both at a random moment, return what they said was recorded."""
    pids, ends = [], []
    for writer in range(2):
        end, pipe = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(end)
            try:
                write(url, writer, turn, pipe)
            finally:
                os._exit(3)
        os.close(pipe)
        pids.append(pid)
        ends.append(end)
    # Some are killed while they start, most while they write: on a busy machine starting alone can take
    # longer than the whole round.
    if chance.random() < 0.8:
        select.select(ends, [], [], 60)
    time.sleep(chance.uniform(0.0, 0.4))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    codes = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(not os.WIFSIGNALED(code) for code in codes):
        raise SystemExit("a writer ended by itself")
    said = set()
    for end in ends:
        with os.fdopen(end, "rb") as file:
            # A name that was cut by the kill was not said.
            said |= {line.decode() for line in file.read().split(b"\n")[:-1]}
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--url", default="")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{Path(folder) / 'casebook.db'}"
        url = url.replace("postgresql://", "postgresql+psycopg://")
        book = Casebook(connect(make_url(url)))
        give_out(book)
        book.close()
        said: set[str] = set()
        faults: list[str] = []
        for turn in range(given.rounds):
            said |= one_round(url, turn, chance)
            book = Casebook(connect(make_url(url)))
            with reading(book.engine) as connection:
                there = set(connection.execute(selected(visits.c.visitor)).scalars())
                entries = connection.execute(selected(func.count()).select_from(audit_table)).scalar_one()
                if (
                    url.startswith("sqlite")
                    and connection.execute(text("PRAGMA integrity_check")).scalar() != "ok"
                ):
                    faults.append(f"round {turn}: the file is damaged")
            if said - there:
                faults.append(f"round {turn}: {len(said - there)} acknowledged results lost")
            if entries != len(there):
                faults.append(f"round {turn}: {len(there)} results, {entries} audit entries")
            faults += [f"round {turn}: {fault}" for fault in book.audit_faults()]
            # The list was put in by hand, without its entry: only the results are compared with theirs.
            faults += [f"round {turn}: {fault}" for fault in book.content_faults() if "result" in fault]
            book.close()
        kind = "postgresql" if url.startswith("postgresql") else "sqlite"
        print(
            json.dumps(
                {
                    "database": kind,
                    "kills": given.rounds,
                    "acknowledged": len(said),
                    "kept": len(there),
                    "faults": faults,
                }
            )
        )
    return 1 if faults or not said else 0


if __name__ == "__main__":
    sys.exit(main())
