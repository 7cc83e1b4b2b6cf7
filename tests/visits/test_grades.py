"""One grade for a household, wherever it is shown; and one answer for everybody who is not on the list."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from riskmodel.errors import UserError
from riskmodel.screening.grades import Grading
from riskmodel.settings import CarryOver, Grades, Leads, RandomChecks, ScreeningSettings
from riskmodel.visits.grades import with_grades
from riskmodel.visits.listing import screening_list
from riskmodel.visits.not_listed import CODES, NotListed

AS_OF = dt.date(2025, 12, 31)
OK = dict.fromkeys(["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"], True)
PLAIN = ScreeningSettings(random_checks=RandomChecks(share=0))
GRADING = Grading(Grades(), capacity=100, scored=1000)


def visit(household, day, outcome="no_risk", origin="screening"):
    return {"household_id": household, "occurred_on": day, "origin": origin, "outcome": outcome}


@pytest.mark.parametrize(
    ("leads", "on_record", "rank", "probability", "grade"),
    [
        ((), (), 20, 0.01, "orange"),  # the first fifth of 100 visits: up to rank 20
        ((), (), 21, 0.01, "yellow"),
        ((), (), 60, 0.01, "yellow"),
        ((), (), 61, 0.01, "none"),
        ((), (), 900, 0.20, "orange"),  # a probability from 20 %
        ((), (), 900, 0.1999, "yellow"),
        ((), (), 900, 0.10, "yellow"),
        ((), (), 900, 0.0999, "none"),
        ((), (), None, None, "none"),
        (("media",), (), 900, 0.0, "yellow"),
        (("media", "petition"), (), 900, 0.0, "orange"),
        (("rule",), ("rule",), 900, 0.0, "none"),
        (
            (),
            ("guarantee",),
            1,
            0.9,
            "red",
        ),  # on record as failing, though a visit a short time ago made it no lead
        (("guarantee",), ("guarantee",), None, None, "red"),
    ],
)
def test_the_grade_is_the_most_urgent_of_leads_record_rank_and_probability(
    leads, on_record, rank, probability, grade
):
    assert GRADING.grade(leads, on_record, rank, probability) == grade
    assert GRADING.explain(leads, on_record, rank, probability)[0] == grade


def test_places_in_the_order_give_no_grade_where_everybody_can_be_visited():
    assert Grading(Grades(), capacity=100, scored=100).grade((), (), 1, 0.0) == "none"
    assert Grading(Grades(), capacity=100, scored=101).grade((), (), 1, 0.0) == "orange"


def test_a_reason_says_what_the_grade_rests_on_and_nothing_of_lower_grades():
    assert GRADING.explain(("media",), (), 1, 0.3) == ("orange", "评分位列前20户", "score among the first 20")
    assert GRADING.explain((), ("guarantee",), 1, 0.3)[1] == "保障登记为未达标"
    assert GRADING.explain(("guarantee",), ("guarantee",), 1, 0.3)[1] == "线索：保障未达标"


def test_a_failing_guarantee_is_red_on_the_list_also_after_a_sweep(small_county, falling):
    """Swept 45 days ago: the guarantee is no lead for 90 days, but the household is listed by its score, and
    the legend says red.
    """
    broken = {"household_id": "h000", "known_on": "2025-06-01", **OK, "water_ok": False}
    tables = small_county(
        40, guarantees=[broken], verifications=[visit("h000", "2025-11-16", origin="sweep")]
    )
    visits = screening_list(falling(40), tables, AS_OF, capacity=5, settings=PLAIN)
    row = visits.rows.row(0, named=True)
    assert (row["household_id"], row["lead_kinds"], row["grade"]) == ("h000", None, "red")
    assert row["grade_reasons_zh"] == "保障登记为未达标"


def test_scores_carry_the_grades_of_the_list(small_county, falling):
    tables = small_county(
        40, leads=[{"household_id": "h039", "occurred_on": "2025-12-05", "channel": "cadre"}]
    )
    scores = pl.from_pandas(falling(40)).with_columns(grade=pl.lit("none"))
    visits = screening_list(scores, tables, AS_OF, capacity=5, settings=PLAIN)
    graded = dict(with_grades(scores, visits.grades).select("household_id", "grade").iter_rows())
    assert all(graded[row["household_id"]] == row["grade"] for row in visits.rows.iter_rows(named=True))
    assert graded["h039"] == "orange" and len(graded) == 40 == visits.grades.height


# Who is not on the list, and why


@pytest.fixture
def answers(small_county, falling):
    """h000 was met on 1 December, h001 is monitored, h002 has nobody left, h005 was swept; h039 waits; one
    person of h041 was not scored.
    """
    tables = small_county(
        42,
        members=[{"household_id": "h002", "left_on": dt.date(2025, 6, 1)}],
        verifications=[
            visit("h000", "2025-12-01"),
            visit("h001", "2025-03-01", "risk_confirmed"),
            visit("h005", "2025-12-11", origin="sweep"),
            visit("h039", "2025-02-01"),
        ],
    )
    visits = screening_list(falling(40), tables, AS_OF, capacity=5, settings=PLAIN)
    return visits, {row["household_id"]: row for row in visits.not_listed.iter_rows(named=True)}


def test_everybody_of_the_register_is_on_the_list_or_has_an_answer(answers):
    visits, rows = answers
    listed = set(visits.rows["household_id"])
    assert listed.isdisjoint(rows) and len(listed) + len(rows) == 42
    assert {row["reason"] for row in rows.values()} <= set(CODES)


@pytest.mark.parametrize(
    ("household", "reason", "since", "until"),
    [
        ("h000", "recent", "2025-12-01", "2026-03-01"),  # 90 days after the visit
        ("h005", "recent", "2025-12-11", "2026-01-10"),  # 30 days after the sweep
        ("h001", "monitored", "2025-03-01", None),
        ("h002", "gone", None, None),
        ("h039", "waiting", None, None),
        ("h041", "not_scored", None, None),
    ],
)
def test_the_answer_names_its_days(answers, household, reason, since, until):
    row = answers[1][household]
    found = tuple(None if day is None else day.isoformat() for day in (row["since"], row["until"]))
    assert (row["reason"], *found) == (reason, since, until)


def test_the_last_visit_that_the_tables_hold_is_in_the_answer(answers):
    assert answers[1]["h039"]["last_visit"] == dt.date(2025, 2, 1)
    assert answers[1]["h039"]["last_outcome"] == "no_risk"


@pytest.mark.parametrize(("days", "listed"), [(89, False), (90, True)])
def test_until_is_the_first_day_on_which_it_can_be_listed_again(small_county, falling, days, listed):
    day = AS_OF - dt.timedelta(days=days)
    tables = small_county(40, verifications=[visit("h000", day.isoformat())])
    visits = screening_list(falling(40), tables, AS_OF, capacity=5, settings=PLAIN)
    assert ("h000" in visits.rows["household_id"].to_list()) is listed
    if not listed:
        until = visits.not_listed.filter(pl.col("household_id") == "h000")["until"][0]
        assert until == AS_OF + dt.timedelta(days=1)


def test_who_was_carried_over_long_enough_is_told(small_county, falling):
    settings = ScreeningSettings(random_checks=RandomChecks(share=0), carry_over=CarryOver(cycles=0))
    before = falling(40)
    before["as_of"] = dt.date(2025, 11, 30)
    earlier = screening_list(before, small_county(40), dt.date(2025, 11, 30), capacity=5, settings=settings)
    names = [f"h{number:03d}" for number in range(40)]
    now = falling(40)
    now["margin"] = [now["margin"].to_list()[::-1][names.index(name)] for name in now["household_id"]]
    visits = screening_list(now, small_county(40), AS_OF, capacity=5, settings=settings, previous=earlier)
    reasons = dict(visits.not_listed.select("household_id", "reason").iter_rows())
    assert reasons["h000"] == "fallen" and reasons["h010"] == "waiting"


@pytest.mark.parametrize("code", CODES)
def test_every_answer_has_words_in_both_languages(code):
    zh, en = NotListed(code, dt.date(2025, 12, 1), dt.date(2026, 3, 1), "no_risk").words(rank=7, capacity=600)
    assert zh and en and not zh.isascii() and en.isascii() and "None" not in zh + en


# Counties stay apart


def moved(tables, household, code="522399"):
    households = tables["households"].with_columns(
        pl.when(pl.col("household_id") == household)
        .then(pl.lit(code + "101201"))
        .otherwise("village_code")
        .alias("village_code"),
        pl.when(pl.col("household_id") == household)
        .then(pl.lit(code + "101"))
        .otherwise("township_code")
        .alias("township_code"),
    )
    return type(tables)({**tables.frames, "households": households}, tables.hashes)


def test_scores_of_several_counties_are_refused_with_how_to_choose(small_county, falling):
    """One household with the code of another county: once the whole list was called after it, and its own
    county saw nothing.
    """
    tables = moved(small_county(40), "h000")
    with pytest.raises(UserError, match=r"522301 \(39 households\), 522399 \(1 households\).*--county"):
        screening_list(falling(40), tables, AS_OF, capacity=5, settings=PLAIN)
    with pytest.raises(UserError, match="one of 522301, 522399"):
        screening_list(falling(40), tables, AS_OF, capacity=5, settings=PLAIN, county="110101")


def test_a_list_of_one_county_holds_nobody_of_the_other(small_county, falling):
    leads = [{"household_id": "h000", "occurred_on": "2025-12-05", "channel": "cadre"}]
    tables = moved(small_county(40, leads=leads), "h000")
    ours = screening_list(falling(40), tables, AS_OF, capacity=5, settings=PLAIN, county="522301")
    theirs = screening_list(falling(40), tables, AS_OF, capacity=5, settings=PLAIN, county="522399")
    assert ours.county_code == "522301" and theirs.county_code == "522399"
    assert (
        theirs.rows["household_id"].to_list() == ["h000"]
        and "h000" not in ours.rows["household_id"].to_list()
    )
    assert "h000" not in ours.not_listed["household_id"].to_list() and ours.not_listed.height == 34
    assert not any("not in the households table" in en for _, en in ours.notes)


def test_channels_that_the_settings_leave_out_are_counted_in_the_notes(small_county, falling):
    settings = ScreeningSettings(random_checks=RandomChecks(share=0), leads=Leads(channels=("cadre",)))
    tables = small_county(
        40, leads=[{"household_id": "h030", "occurred_on": "2025-12-05", "channel": "media"}]
    )
    visits = screening_list(falling(40), tables, AS_OF, capacity=5, settings=settings)
    assert any("1 leads come from channels that the settings leave out" in en for _, en in visits.notes)
