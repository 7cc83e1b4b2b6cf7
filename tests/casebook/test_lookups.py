"""Look-ups on SQLite and on PostgreSQL: the same list and scores give the same pages, counts and households,
narrowed to the areas of whoever asks.
"""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from sqlalchemy.engine import make_url

from riskmodel.casebook import Casebook, lookups
from riskmodel.casebook.lookups import Filters
from riskmodel.casebook.store import connect
from riskmodel.casebook.stored import stored_list
from riskmodel.visits.returns import Result

AS_OF = dt.date(2025, 12, 31)


@pytest.fixture
def kept(url, screened_county):
    """A casebook of each kind with the scores and the list of the small county, and one visit."""
    book = Casebook(connect(make_url(url)))
    county = screened_county
    assert book.keep_scores(county.scores) == len(county.scores) and book.keep_scores(county.scores) == 0
    book.issue(county.visit_list)
    household = county.visit_list.rows["household_id"][3]
    result = Result(
        0, county.visit_list.hash, household, dt.date(2026, 1, 6), "risk_confirmed", "illness", "", "t", ""
    )
    book.take_in([result], known_on=dt.date(2026, 1, 7), by="tester")
    yield book, county, household
    book.close()


def test_pages_counts_and_households_are_those_of_the_list_and_the_scores(kept):
    book, county, visited = kept
    engine, areas, rows, frame = book.engine, (county.code,), county.visit_list.rows, county.scores.frame
    (head,) = lookups.list_heads(engine, areas)
    assert (head.listed + head.standby, head.visited, head.unreachable) == (rows.height, 1, 0)
    assert dict(head.data_dates) == {
        name: day.isoformat() for name, day in county.scores.reference.data_dates.items()
    }
    page = lookups.list_page(engine, areas, head, Filters(), after=0, limit=20)
    expected = rows.sort("number")["household_id"]
    assert [row["household_id"] for row in page.rows] == expected[:20].to_list() and page.total == rows.height
    rest = lookups.list_page(engine, areas, head, Filters(), after=page.last, limit=500)
    assert [row["household_id"] for row in rest.rows] == expected[20:].to_list() and rest.last is None
    everybody = lookups.scored_page(engine, areas, head, Filters(), after=0, limit=50)
    assert [row["household_id"] for row in everybody.rows] == frame["household_id"][:50].to_list()
    assert everybody.total == frame.height and everybody.last == 50
    for filters, wanted in (
        (Filters(grade="orange"), frame.filter(pl.col("grade") == "orange")),
        (
            Filters(risk_kind="illness"),
            frame.filter(pl.col("risk_kinds").str.split(";").list.contains("illness")),
        ),
        (Filters(township=county.township), frame.filter(pl.col("township_code") == county.township)),
        (Filters(household_id="H0000_"), frame.filter(pl.col("household_id") == "nobody")),
        (Filters(household_id="H00001"), frame.filter(pl.col("household_id").str.starts_with("H00001"))),
    ):
        assert lookups.scored_page(engine, areas, head, filters, after=0, limit=5).total == wanted.height, (
            filters
        )
    for status, amount in (("visited", 1), ("unreachable", 0), ("open", rows.height - 1)):
        assert (
            lookups.list_page(engine, areas, head, Filters(status=status), after=0, limit=5).total == amount
        )
    counts = lookups.facets(engine, areas, head, everybody=True)
    assert counts["village"] == dict(frame.group_by("village_code").len().iter_rows())
    assert counts["grade"] == dict(frame.group_by("grade").len().iter_rows())
    villages = lookups.area_counts(engine, areas, head)
    assert (
        sum(village["confirmed"] for village in villages.values())
        == sum(village["visited"] for village in villages.values())
        == 1
    )
    assert sum(village["listed"] + village["standby"] for village in villages.values()) == rows.height
    found = lookups.household(engine, areas, frame["household_id"][0])
    assert [reason["zh"] for reason in found.texts["reasons"]] == [
        reason.zh for reason in county.scores.reasons(frame["household_id"][0])
    ]
    assert lookups.household(engine, areas, visited).visits[0]["outcome"] == "risk_confirmed"
    stored = stored_list(engine, head.list_hash, areas)
    others = pl.col("household_id") != visited
    assert stored.rows.filter(others).equals(rows.filter(others)) and stored.hash == county.visit_list.hash
    marked = stored.rows.row(by_predicate=~others, named=True)
    assert marked["notes_zh"].split("\n")[0] == "1月6日已走访（t组）：存在风险，建议纳入监测程序"
    assert (marked["last_visit"], marked["last_outcome"]) == (dt.date(2026, 1, 6), "risk_confirmed")


def test_stored_scores_are_those_of_the_batch_run(kept):
    book, county, _ = kept
    names = county.scores.frame["household_id"][:40].to_list()
    found = lookups.stored_scores(
        book.engine, [*names, "nobody"], as_of=AS_OF, horizon_months=12, areas=(county.code,)
    )
    assert set(found.scores) == set(names) and found.model_version == county.scores.model_version
    for name in names:
        row, told = county.scores.row(name), county.scores.reasons(name)
        for column in ("probability", "low", "high", "margin", "feature_hash"):
            assert found.scores[name][column] == row[column]
        assert [reason["en"] for reason in found.scores[name]["reasons"]] == [reason.en for reason in told]
    for other in (
        {"as_of": dt.date(2025, 11, 30)},
        {"horizon_months": 3},
        {"areas": ("110101",)},
        {"areas": ()},
    ):
        asked = {"as_of": AS_OF, "horizon_months": 12, "areas": (county.code,)} | other
        assert lookups.stored_scores(book.engine, names, **asked).scores == {}


def test_what_lies_outside_the_areas_is_in_no_look_up(kept):
    book, county, _ = kept
    engine, inside = book.engine, (county.township,)
    rows = county.visit_list.rows
    outside = next(
        name
        for name, town in rows.select("household_id", "township_code").iter_rows()
        if town != county.township
    )
    (head,) = lookups.list_heads(engine, inside)
    assert head.listed + head.standby == rows.filter(pl.col("township_code") == county.township).height
    for read in (lookups.list_page, lookups.scored_page):
        page = read(engine, inside, head, Filters(), after=0, limit=5000)
        assert page.rows and {row["township_code"] for row in page.rows} == {county.township}
    for everybody in (True, False):
        assert set(lookups.facets(engine, inside, head, everybody=everybody)["township"]) == {county.township}
    assert {village[:9] for village in lookups.area_counts(engine, inside, head)} == {county.township}
    assert lookups.household(engine, inside, outside) is None
    assert set(stored_list(engine, head.list_hash, inside).rows["township_code"]) == {county.township}
    assert lookups.list_heads(engine, ("110101",)) == [] == lookups.list_heads(engine, ())


def test_scores_without_their_reasons_table_are_kept_with_their_texts(url, screened_county):
    book = Casebook(connect(make_url(url)))
    assert book.keep_scores(screened_county.scores.frame.head(30).to_pandas()) == 30
    name = screened_county.scores.frame["household_id"][0]
    found = lookups.household(book.engine, (screened_county.code,), name)
    assert found.texts["reasons"][0]["zh"] == screened_county.scores.frame["reasons_zh"][0]
    assert found.scoring["households"] == 30
    book.close()
