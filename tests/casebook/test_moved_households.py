"""Households that move, split and merge: each key sees what happened in its own areas, up to the day asked
for; counts follow the filters.
"""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest
from sqlalchemy.engine import make_url

from riskmodel.casebook import Casebook, audit, lookups
from riskmodel.casebook.lookups import Filters
from riskmodel.casebook.schema import cycles, list_rows, lists
from riskmodel.casebook.store import connect, writing
from riskmodel.casebook.stored import stored_list
from riskmodel.tables import from_frames
from riskmodel.visits.returns import Result
from riskmodel.visits.visit_list import COLUMNS
from tests.casebook.test_record import county as county_tables

A, B = "522301", "520402"  # two counties
A1, A2, B1 = "522301101201", "522301102201", "520402101201"  # villages: two townships of A, one of B
NOVEMBER, DECEMBER, JANUARY = dt.date(2025, 10, 31), dt.date(2025, 11, 30), dt.date(2025, 12, 31)
# Where each household lived at each scoring. mover: from A to B; towner: from one township of A to the other;
# split: a part of `whole` that was set up as a household of its own in B; merged: went into another household
# after December.
HOMES = {
    NOVEMBER: {"mover": A1, "towner": A1, "whole": A1, "merged": A2, "stays": A2},
    DECEMBER: {"mover": A1, "towner": A1, "whole": A1, "merged": A2, "stays": A2},
    JANUARY: {"mover": B1, "towner": A2, "whole": A1, "split": B1, "stays": A2},
}


def give_out(connection, as_of, county, number):
    """A list of a county with everybody who lived there on the day."""
    cycle = f"{(as_of + dt.timedelta(days=1)):%Y-%m}"
    name = f"{number}".rjust(64, "0")
    connection.execute(cycles.insert().values(county_code=county, cycle=cycle, opened_at=audit.now()))
    head = {
        "list_hash": name,
        "county_code": county,
        "cycle": cycle,
        "as_of": as_of,
        "capacity": 9,
        "model_version": "m",
    }
    notes = [["全县4户因部门规则列入候补", "4 households of the county are on standby"]]
    head |= {"settings": "{}", "notes": json.dumps(notes), "issued_at": audit.now(), "issued_number": number}
    connection.execute(lists.insert().values(head))
    here = {household: village for household, village in HOMES[as_of].items() if village.startswith(county)}
    rows = []
    for place, (household, village) in enumerate(sorted(here.items())):
        content = dict.fromkeys(COLUMNS) | {
            "cycle": cycle,
            "as_of": as_of.isoformat(),
            "number": place,
            "household_id": household,
            "township_code": village[:9],
            "village_code": village,
            "grade": "none",
            "probability": 0.1,
            "risk_kinds": "illness",
            "listed_as": "model",
            "times_carried": 0,
            "inclusion_probability": 1.0,
            "grade_reasons_zh": "",
            "grade_reasons_en": "",
        }
        rows.append(
            {
                "list_hash": name,
                "household_id": household,
                "number": place,
                "place": place,
                "township_code": village[:9],
                "village_code": village,
                "grade": "none",
                "listed_as": "model",
                "inclusion_probability": 1.0,
                "risk_kinds": "illness",
                "content": json.dumps(content),
            }
        )
    connection.execute(list_rows.insert(), rows)
    return name


def fill_book(book):
    """Two counties, three scorings, a list of each county a month, and a visit of every household a month."""
    number = 0
    for as_of, homes in HOMES.items():
        frame = pl.DataFrame(
            {
                "household_id": list(homes),
                "as_of": [as_of] * len(homes),
                "horizon_months": [12] * len(homes),
                "model_version": ["m"] * len(homes),
                "margin": [1.0] * len(homes),
                "probability": [0.1] * len(homes),
                "rank": list(range(1, len(homes) + 1)),
                "village_code": list(homes.values()),
                "grade": ["none"] * len(homes),
                "risk_kinds": ["illness"] * len(homes),
                "reasons_zh": [f"{village}的理由" for village in homes.values()],
            }
        )
        book.keep_scores(frame)
        with writing(book.engine) as connection:
            names = {}
            for county in sorted({village[:6] for village in homes.values()}):
                number += 1
                names[county] = give_out(connection, as_of, county, number)
        day = as_of + dt.timedelta(days=5)
        some = [
            Result(
                line=4,
                list_hash=names[village[:6]],
                household_id=household,
                visited_on=day,
                outcome="risk_confirmed",
                risk_kinds="illness",
                disagreement="",
                visitor=f"team-{village[:6]}",
                note=f"note of {village}",
            )
            for household, village in homes.items()
        ]
        book.take_in(some, known_on=day, by="tests")


@pytest.fixture
def moved(url):
    """A casebook of each kind, filled."""
    book = Casebook(connect(make_url(url)))
    fill_book(book)
    yield book
    book.close()


def told(book, areas, name, as_of=None):
    """The villages that an answer about a household tells anything of, and the days of its visits; None:
    there is no answer.
    """
    found = lookups.household(book.engine, areas, name, as_of)
    if found is None:
        return None
    villages = {row["village_code"] for row in (*found.scores, *found.visits)}
    villages |= {row["note"].removeprefix("note of ") for row in found.visits}
    told_of = [found.texts, found.texts_before or {}]
    villages |= {
        reason["zh"].removesuffix("的理由") for said in told_of for reason in said.get("reasons", [])
    }
    if found.on_list is not None:
        villages.add(found.on_list["content"]["village_code"])
    return villages, sorted(row["visited_on"].isoformat() for row in found.visits)


@pytest.mark.parametrize(
    ("areas", "name", "as_of", "expected"),
    [
        # who moved to another county: the new county knows it from there on, the old one up to then, on
        # demand
        ((A,), "mover", None, None),
        ((A,), "mover", DECEMBER, ({A1}, ["2025-11-05", "2025-12-05"])),
        ((A,), "mover", NOVEMBER, ({A1}, ["2025-11-05"])),
        ((A,), "mover", JANUARY, None),
        ((B,), "mover", None, ({B1}, ["2026-01-05"])),
        ((B,), "mover", DECEMBER, None),
        ((A, B), "mover", None, ({A1, B1}, ["2025-11-05", "2025-12-05", "2026-01-05"])),
        # who moved to another township of the county
        ((A1[:9],), "towner", None, None),
        ((A1[:9],), "towner", DECEMBER, ({A1}, ["2025-11-05", "2025-12-05"])),
        ((A2[:9],), "towner", None, ({A2}, ["2026-01-05"])),
        ((A,), "towner", None, ({A1, A2}, ["2025-11-05", "2025-12-05", "2026-01-05"])),
        # who was split off, and who was merged into another household
        ((A,), "split", None, None),
        ((B,), "split", None, ({B1}, ["2026-01-05"])),
        ((B,), "whole", None, None),
        ((A,), "merged", None, ({A2}, ["2025-11-05", "2025-12-05"])),
        ((B,), "merged", None, None),
        ((), "stays", None, None),
    ],
)
def test_a_key_is_told_what_happened_in_its_areas_up_to_the_day(moved, areas, name, as_of, expected):
    assert told(moved, areas, name, as_of) == expected


def test_lists_pages_files_and_counts_hold_no_visit_of_another_area(moved):
    engine = moved.engine
    for areas in ((A,), (B,), (A1[:9],), (A2[:9],)):
        for head in lookups.list_heads(engine, areas):
            page = lookups.list_page(engine, areas, head, Filters(), after=-1, limit=50)
            assert all(row["village_code"].startswith(areas) for row in page.rows)
            assert all(row["visit_zh"] and head.county_code in row["visit_en"] for row in page.rows)
            rows = stored_list(engine, head.list_hash, areas).rows
            assert all(f"team-{head.county_code}" in note for note in rows["notes_en"])
            counts = lookups.area_counts(engine, areas, head)
            assert all(village.startswith(areas) for village in counts)
            assert head.visited == sum(village["visited"] for village in counts.values()) == head.listed
            everybody = lookups.scored_page(engine, areas, head, Filters(), after=0, limit=50)
            assert all(row["village_code"].startswith(areas) for row in everybody.rows)


def test_the_list_maker_of_a_county_does_not_see_visits_of_another(moved):
    frames = county_tables(1).frames
    base = {name: frame.drop("replaced_on", strict=False) for name, frame in frames.items()}
    for county, months in ((A, 2), (B, 1)):
        home = {"household_id": pl.lit("mover"), "county_code": pl.lit(county)}
        tables = from_frames(
            {
                "households": base["households"].with_columns(**home),
                "members": base["members"].with_columns(household_id=pl.lit("mover")),
            }
        )
        assert moved.with_results(tables).get("verifications").height == months


def test_a_township_key_is_not_told_the_countys_totals(moved):
    """Neither in the notes of a page, nor in those of a file, nor as the number of households that a rank is
    out of in another county.
    """
    for areas, notes in (((A,), 1), ((A[:2],), 1), ((A1[:9],), 0)):
        head = next(head for head in lookups.list_heads(moved.engine, areas, county=A))
        assert (
            len(head.notes) == notes and len(stored_list(moved.engine, head.list_hash, areas).notes) == notes
        )
    assert lookups.household(moved.engine, (A,), "stays").scoring["households"] == 3
    assert lookups.household(moved.engine, (B,), "mover").scoring["households"] == 2


def test_stored_scores_of_one_county_are_not_hidden_by_a_later_scoring_of_another(moved):
    frame = pl.DataFrame(
        {
            "household_id": ["other"],
            "as_of": [JANUARY],
            "horizon_months": [12],
            "model_version": ["n"],
            "margin": [1.0],
            "probability": [0.2],
            "rank": [1],
            "village_code": [B1],
            "grade": ["none"],
            "risk_kinds": [""],
        }
    )
    moved.keep_scores(frame)
    asked = {"as_of": JANUARY, "horizon_months": 12, "areas": (A,)}
    assert list(lookups.stored_scores(moved.engine, ["whole"], **asked).scores) == ["whole"]


@pytest.mark.parametrize("everybody", [False, True])
def test_each_count_beside_a_filter_is_what_choosing_it_would_give(moved, everybody):
    head = next(head for head in lookups.list_heads(moved.engine, (A,), county=A))
    other = Result(4, head.list_hash, "stays", JANUARY, "unreachable", "", "", "late", "")
    moved.withdraw("stays", head.cycle, reason="wrong", by="t", on=dt.date(2026, 1, 9), county_code=A)
    moved.take_in([other], known_on=dt.date(2026, 1, 9), by="tests")
    read = lookups.scored_page if everybody else lookups.list_page
    for chosen in (
        {},
        {"township": A2[:9]},
        {"township": A2[:9], "village": A2},
        {"grade": "none", "risk_kind": "illness"},
        {"status": "unreachable"},
        {"status": "visited", "township": A2[:9]},
        {"household_id": "s"},
        {"listed_as": "screening", "grade": "red"},
    ):
        head = next(head for head in lookups.list_heads(moved.engine, (A,), county=A))
        counts = lookups.facets(moved.engine, (A,), head, Filters(**chosen), everybody=everybody)
        for name, values in counts.items():
            beside = {key: value for key, value in chosen.items() if key != name}
            if name == "township":
                beside.pop("village", None)
            for value in {*values, A1 if name == "village" else A1[:9] if name == "township" else "none"}:
                if (name == "status" and value == "none") or (name == "risk_kind" and value == "none"):
                    continue
                filters = Filters(**beside | {name: value})
                page = read(moved.engine, (A,), head, filters, after=-1, limit=5)
                assert page.total == values.get(value, 0), (chosen, name, value)
