"""A county of 150,000 households in the casebook: what keeping its scores costs, and how long a page, a
filter, a search and a household take.

    python benchmarks/casebook_pages.py # SQLite in a temporary folder python benchmarks/casebook_pages.py
    --url postgresql://user@host/db # an empty PostgreSQL database python benchmarks/casebook_pages.py
    --project DIR --tables DIR --as-of DATE # a project with a champion, instead of training one

The scores of a small synthetic county stand for the large one, under new ids, villages and ranks: what each
says is real text. The list has 4,500 visits and 30,000 households on standby. Prints one line of JSON: CPU
seconds and megabytes of keeping, milliseconds of every look-up.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from sqlalchemy.engine import make_url

import riskmodel as rm
from riskmodel.casebook import Casebook, audit, lookups
from riskmodel.casebook.lookups import Filters
from riskmodel.casebook.schema import cycles, list_rows, lists
from riskmodel.casebook.store import connect, writing
from riskmodel.screening.scoring import Scores
from riskmodel.visits.visit_list import COLUMNS

VISITS, STANDBY = 4_500, 30_000


def enlarged(scores: Scores, households: int) -> Scores:
    """So many households with the contents of these, under ids of their own in 300 villages."""
    rng = np.random.default_rng(1)
    pick = rng.integers(0, len(scores), households)
    ids = np.array(sorted(f"{number:016x}" for number in rng.integers(0, 2**63, households)), object)
    villages = np.array(
        [f"522301{town:03d}{village:03d}" for town in range(100, 125) for village in range(200, 212)], object
    )
    matrix = dataclasses.replace(
        scores.matrix,
        household_id=ids,
        village_code=villages[rng.integers(0, len(villages), households)],
        values=scores.matrix.values[pick],
    )
    margin = scores.margin[pick] + rng.normal(0, 1e-3, households)
    order = np.argsort(-margin, kind="stable")
    rank = np.empty(households, np.int64)
    rank[order] = np.arange(1, households + 1)
    return dataclasses.replace(
        scores,
        matrix=matrix,
        values=scores.values[pick],
        table=scores.table.only(pick),
        order=order,
        margin=margin,
        rank=rank,
        probability=scores.probability[pick],
        low=scores.low[pick],
        high=scores.high[pick],
        grade=scores.grade[pick],
    )


def give_out(book: Casebook, scores: Scores) -> None:
    """A list of the first households, as `Casebook.issue` keeps it."""
    head = {
        "list_hash": "a" * 64,
        "county_code": "522301",
        "cycle": "2026-01",
        "as_of": scores.as_of,
        "capacity": VISITS,
        "model_version": scores.model_version,
        "settings": "{}",
        "notes": "[]",
        "issued_at": audit.now(),
        "issued_number": 1,
    }
    rows = []
    frame = scores.frame.head(VISITS + STANDBY)
    for place, row in enumerate(frame.iter_rows(named=True)):
        content = {name: row.get(name) for name in COLUMNS} | {
            "cycle": "2026-01",
            "as_of": scores.as_of.isoformat(),
            "number": place + 1,
            "grade_reasons_zh": "",
            "grade_reasons_en": "",
            "listed_as": "model" if place < VISITS else "standby",
        }
        kept = ("household_id", "number", "township_code", "village_code", "grade", "listed_as", "risk_kinds")
        rows.append(
            {name: content[name] for name in kept}
            | {
                "list_hash": "a" * 64,
                "place": place,
                "inclusion_probability": 1.0,
                "content": json.dumps(content, ensure_ascii=False),
            }
        )
    with writing(book.engine) as connection:
        connection.execute(
            cycles.insert().values(county_code="522301", cycle="2026-01", opened_at=audit.now())
        )
        connection.execute(lists.insert().values(head))
        connection.execute(list_rows.insert(), rows)


def milliseconds(work) -> dict[str, float]:
    """Median of 15 calls, after one that is not counted: CPU of this process (SQLite's work is in it,
    PostgreSQL's is not), and on the clock.
    """
    work()
    cpu, wall = [], []
    for _ in range(15):
        start = time.process_time(), time.perf_counter()
        work()
        cpu.append((time.process_time() - start[0]) * 1000)
        wall.append((time.perf_counter() - start[1]) * 1000)
    return {"cpu": round(statistics.median(cpu), 1), "wall": round(statistics.median(wall), 1)}


def scored_county(arguments) -> Scores:
    if arguments.project:
        return rm.score(arguments.tables, arguments.as_of, project=arguments.project)
    folder = Path(tempfile.mkdtemp())
    project = rm.init_project(folder / "project")
    tables = rm.read_tables(
        rm.synthesise(folder / "tables", households=2000, years=4, end="2025-12-31", seed=1)
    )
    run = rm.train("lightgbm_12m", tables, project=project)
    return rm.score(tables, "2025-12-31", model=run.id, project=project)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--households", type=int, default=150_000)
    parser.add_argument("--url")
    parser.add_argument("--project")
    parser.add_argument("--tables")
    parser.add_argument("--as-of", default="2025-12-31")
    arguments = parser.parse_args()
    scores = enlarged(scored_county(arguments), arguments.households)
    path = Path(tempfile.mkdtemp()) / "casebook.db"
    book = Casebook(connect(make_url(arguments.url or f"sqlite:///{path}")))
    _ = scores.frame
    cpu, wall = time.process_time(), time.perf_counter()
    book.keep_scores(scores)
    said: dict[str, object] = {"households": arguments.households, "date": dt.date.today().isoformat()}
    said["keep_cpu_seconds"] = round(time.process_time() - cpu, 1)
    said["keep_wall_seconds"] = round(time.perf_counter() - wall, 1)
    if not arguments.url:
        said["megabytes"] = round(os.path.getsize(path) / 1e6, 1)
    give_out(book, scores)

    engine = book.engine
    county, town = ("522301",), ("522301107",)
    head = lookups.list_heads(engine, county)[0]
    deep = arguments.households - 100
    some = scores.frame["household_id"][arguments.households // 2]

    def everybody(after: int = 0, areas: tuple[str, ...] = county, **filters: str):
        return lambda: lookups.scored_page(engine, areas, head, Filters(**filters), after=after, limit=50)

    def listed(after: int = 0, areas: tuple[str, ...] = county, **filters: str):
        return lambda: lookups.list_page(engine, areas, head, Filters(**filters), after=after, limit=50)

    lookups._scored_counts.cache_clear()
    start = time.process_time()
    lookups.facets(engine, county, head, everybody=True)
    said["counts_of_filters_first_time_cpu_ms"] = round((time.process_time() - start) * 1000, 1)
    said["milliseconds"] = {
        "lists": milliseconds(lambda: lookups.list_heads(engine, county)),
        "list, first page": milliseconds(listed()),
        "list, last page": milliseconds(listed(after=VISITS + STANDBY - 60)),
        "list, one village": milliseconds(listed(village="522301107203")),
        "everybody, first page": milliseconds(everybody()),
        "everybody, last page": milliseconds(everybody(after=deep)),
        "everybody, one township": milliseconds(everybody(township="522301107")),
        "everybody, key of one township": milliseconds(everybody(areas=town)),
        "everybody, grade and risk kind": milliseconds(everybody(grade="yellow", risk_kind="education")),
        "everybody, still open": milliseconds(everybody(status="open")),
        "search by id": milliseconds(everybody(household_id=some[:5])),
        "household": milliseconds(lambda: lookups.household(engine, county, some)),
        "counts by village": milliseconds(lambda: lookups.area_counts(engine, county, head)),
        "counts of filters, again": milliseconds(
            lambda: lookups.facets(engine, county, head, everybody=True)
        ),
    }
    book.close()
    print(json.dumps(said, ensure_ascii=False))


if __name__ == "__main__":
    main()
