"""The list at its limits: a day, a place or a household on each side of every rule; hand-made, each sum
worked out.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from riskmodel.errors import UserError
from riskmodel.screening.grades import Grading
from riskmodel.screening.wording import ReasonText
from riskmodel.settings import (
    CarryOver,
    Cut,
    Grades,
    Layer,
    Leads,
    Quotas,
    RandomChecks,
    RecentVisits,
    ScreeningSettings,
)
from riskmodel.visits.draws import chance_of, chances, draw_checks
from riskmodel.visits.listing import screening_list
from riskmodel.visits.quotas import largest_remainders, quotas_of
from riskmodel.visits.visit_list import cycle_length, cycle_of

AS_OF = dt.date(2025, 12, 31)
NEXT = dt.date(2026, 1, 31)
PLAIN = ScreeningSettings(random_checks=RandomChecks(share=0))


def visit(household, day, outcome="no_risk", origin="screening", **more):
    return {"household_id": household, "occurred_on": day, "origin": origin, "outcome": outcome, **more}


def lead(household, day="2025-12-05", channel="self_declared"):
    return {"household_id": household, "occurred_on": day, "channel": channel}


def ago(days):
    return (AS_OF - dt.timedelta(days=days)).isoformat()


def on(visits, listed_as=None):
    rows = visits.rows if listed_as is None else visits.rows.filter(visits.rows["listed_as"] == listed_as)
    return rows["household_id"].to_list()


def notes(visits):
    return " ".join(en for _, en in visits.notes)


# Peace after a visit.


@pytest.mark.parametrize(
    ("origin", "days", "quiet"),
    [
        ("screening", 89, True),
        ("screening", 90, False),
        ("lead", 89, True),
        ("sweep", 29, True),
        ("sweep", 30, False),
        ("screening", 0, True),
    ],
)
def test_a_household_is_left_in_peace_for_90_days_after_a_visit_and_30_after_a_sweep(
    small_county, falling, origin, days, quiet
):
    tables = small_county(4, verifications=[visit("h000", ago(days), origin=origin)])
    visits = screening_list(falling(4), tables, AS_OF, capacity=2, settings=PLAIN)
    assert ("h000" not in on(visits)) is quiet
    assert (
        "1 households were visited a short time ago (90 days, 30 after a sweep)" in notes(visits)
    ) is quiet
    assert (visits.left_out["household_id"].to_list() == ["h000"]) is quiet


def test_a_lead_ends_the_peace_and_a_visit_that_met_nobody_gives_none(small_county, falling):
    tables = small_county(
        4,
        verifications=[visit("h000", "2025-12-01"), visit("h001", "2025-12-01", "unreachable")],
        leads=[lead("h000")],
    )
    visits = screening_list(falling(4), tables, AS_OF, capacity=2, settings=PLAIN)
    assert on(visits, "lead") == ["h000"] and on(visits, "model") == ["h001"]


def test_settings_move_the_peace(small_county, falling):
    settings = PLAIN.model_copy(update={"recent_visits": RecentVisits(days=10, sweep_days=0)})
    tables = small_county(
        4,
        verifications=[visit("h000", ago(10)), visit("h001", ago(9)), visit("h002", ago(0), origin="sweep")],
    )
    assert on(screening_list(falling(4), tables, AS_OF, capacity=3, settings=settings)) == [
        "h000",
        "h002",
        "h003",
    ]


def test_the_dead_and_the_monitored_get_no_visit_and_the_monitored_with_a_lead_stand_apart(
    small_county, falling
):
    tables = small_county(
        4,
        members=[{"household_id": "h000", "left_on": dt.date(2025, 12, 31)}],
        verifications=[
            visit("h001", "2025-01-05", "risk_confirmed"),
            visit("h002", "2025-01-05", "risk_confirmed"),
        ],
        leads=[lead("h000"), lead("h001")],
    )
    visits = screening_list(falling(4), tables, AS_OF, capacity=4, settings=PLAIN)
    assert on(visits) == ["h003"] and visits.counts["gone"] == 1 and visits.counts["monitored"] == 2
    assert visits.monitored["household_id"].to_list() == ["h001"]
    assert visits.left_out.select("household_id", "en").rows() == [
        ("h000", "died, moved away, or no member in force")
    ]


def test_only_as_many_of_those_visited_lately_are_named_as_there_are_visits(small_county, falling):
    tables = small_county(4, verifications=[visit(f"h00{n}", "2025-12-01") for n in range(3)])
    visits = screening_list(falling(4), tables, AS_OF, capacity=2, settings=PLAIN)
    assert visits.left_out["household_id"].to_list() == ["h000", "h001"] and visits.counts["recent"] == 3


# Leads.


def test_old_leads_and_leads_of_unknown_households_are_counted_in_the_notes(small_county, falling):
    tables = small_county(4, leads=[lead("h000", "2024-06-01"), lead("x999")])
    said = notes(screening_list(falling(4), tables, AS_OF, capacity=2, settings=PLAIN))
    assert (
        "1 leads without a visit are older than 365 days" in said
        and "1 households with leads are not in the households table" in said
    )
    assert "no rule leads on this list" in said


@pytest.mark.parametrize(("leads", "said"), [(8, False), (9, True)])
def test_leads_and_random_checks_may_fill_the_capacity_but_not_exceed_it_in_silence(
    small_county, falling, leads, said
):
    settings = ScreeningSettings(random_checks=RandomChecks(share=0.2))  # two of ten visits
    tables = small_county(40, leads=[lead(f"h0{n}") for n in range(10, 10 + leads)])
    visits = screening_list(falling(40), tables, AS_OF, capacity=10, settings=settings)
    assert visits.counts["lead"] == leads and visits.counts["random_check"] == 2
    assert visits.counts["model"] == 0 and ("exceed the capacity of 10" in notes(visits)) is said


@pytest.mark.parametrize(("share", "ruled"), [(0.25, 2), (0.3, 3), (0.0, 0), (1.0, 10)])
def test_leads_by_rules_alone_take_their_share_of_the_capacity_and_the_others_stand_by(
    small_county, falling, share, ruled
):
    settings = PLAIN.model_copy(update={"leads": Leads(rule_share=share)})
    low = {f"h0{n}": 1.0 for n in range(20, 40)}
    visits = screening_list(
        falling(40, rule_dropout=low), small_county(40), AS_OF, capacity=10, settings=settings
    )
    assert (
        visits.counts["lead"] == ruled
        and visits.counts["model"] == 10 - ruled
        and visits.counts["standby"] == 20 - ruled
    )
    assert len(visits) == 10 and visits.standby.height == 20 - ruled
    assert (f"{20 - ruled} more households are on standby" in notes(visits)) is (ruled < 20)


def test_a_household_of_a_rule_that_scores_high_gets_its_visit_by_its_score(small_county, falling):
    settings = PLAIN.model_copy(update={"leads": Leads(rule_share=0.0)})
    visits = screening_list(
        falling(40, rule_dropout={"h001": 1.0}), small_county(40), AS_OF, capacity=3, settings=settings
    )
    assert (
        on(visits, "lead") == ["h001"]
        and on(visits, "model") == ["h000", "h002"]
        and visits.counts["standby"] == 0
    )


# Carry-over.


def second_list(
    small_county,
    falling,
    settings=PLAIN,
    *,
    as_of=NEXT,
    reverse=False,
    capacity=10,
    verifications=(),
    previous=None,
):
    first = previous or screening_list(
        falling(40), small_county(40), AS_OF, capacity=capacity, settings=settings
    )
    scores = falling(40).assign(as_of=as_of)
    if reverse:
        scores["margin"] = scores["margin"].to_numpy()[::-1].copy()
    tables = small_county(40, verifications=list(verifications))
    return screening_list(scores, tables, as_of, capacity=capacity, settings=settings, previous=first)


@pytest.mark.parametrize(("days", "carried"), [(93, True), (94, False)])
def test_a_list_carries_for_its_own_and_two_further_months_of_31_days(small_county, falling, days, carried):
    visits = second_list(small_county, falling, as_of=AS_OF + dt.timedelta(days=days))
    assert bool(on(visits, "carried")) is carried


@pytest.mark.parametrize(
    ("day", "carried"), [("2025-12-30", True), ("2025-12-31", False), ("2026-01-10", False)]
)
def test_a_visit_from_the_as_of_date_of_the_last_list_on_is_done(small_county, falling, day, carried):
    settings = PLAIN.model_copy(update={"recent_visits": RecentVisits(days=0, sweep_days=0)})
    visits = second_list(small_county, falling, settings, verifications=[visit("h000", day)])
    assert ("h000" in on(visits, "carried")) is carried


@pytest.mark.parametrize(("cycles", "carried"), [(2, 10), (1, 0)])
def test_what_was_carried_once_is_carried_again_while_the_cycles_last(small_county, falling, cycles, carried):
    settings = PLAIN.model_copy(update={"carry_over": CarryOver(cycles=cycles, share=1.0)})
    second = second_list(small_county, falling, settings)
    assert set(second.rows["times_carried"].to_list()) == {1}
    third = second_list(small_county, falling, settings, as_of=dt.date(2026, 2, 28), previous=second)
    assert len(on(third, "carried")) == carried
    if carried:
        assert set(third.rows["times_carried"].to_list()) == {2}


@pytest.mark.parametrize(("within", "carried"), [(3.9, 9), (3.8, 8), (3.0, 0), (4.0, 10)])
def test_carried_households_lie_within_so_many_capacities_of_the_order(
    small_county, falling, within, carried
):
    # The order is turned round: h000 to h009 are now at the places 39 to 30 (counted from 0); within 3.9 × 10
    # are the places below 39.
    settings = PLAIN.model_copy(update={"carry_over": CarryOver(within=within, share=1.0)})
    visits = second_list(small_county, falling, settings, reverse=True)
    assert len(on(visits, "carried")) == carried
    gone = visits.left_out.filter(pl.col("en") == "carried over long enough, or its score has fallen")
    assert gone.height == 10 - carried


@pytest.mark.parametrize(("share", "carried"), [(0.5, 5), (0.59, 5), (0.6, 6), (0.0, 0)])
def test_carried_households_come_first_up_to_their_share_of_the_room(small_county, falling, share, carried):
    settings = PLAIN.model_copy(update={"carry_over": CarryOver(within=4.0, share=share)})
    visits = second_list(small_county, falling, settings, reverse=True)
    assert len(on(visits, "carried")) == carried and len(visits) == 10
    waits = visits.left_out.filter(pl.col("en") == "beyond the capacity or the quota")
    assert waits.height == 10 - carried


def test_leads_and_standby_of_the_last_list_are_not_carried(small_county, falling):
    first = screening_list(
        falling(40, rule_dropout={"h039": 1.0, "h038": 1.0, "h037": 1.0, "h036": 1.0}),
        small_county(40, leads=[lead("h030")]),
        AS_OF,
        capacity=10,
        settings=PLAIN,
    )
    assert first.counts["lead"] == 3 and first.counts["standby"] == 2
    assert not set(on(second_list(small_county, falling, previous=first), "carried")) & {
        "h030",
        "h036",
        "h037",
        "h038",
        "h039",
    }


# Random checks.

LAYERS = (Layer(share=0.1, weight=3), Layer(share=0.3, weight=2), Layer(share=0.6, weight=1))


@pytest.mark.parametrize(("share", "drawn"), [(0.1, 1), (0.15, 2), (0.2, 2)])
def test_the_number_of_random_checks_is_the_share_of_the_capacity_rounded(
    small_county, falling, share, drawn
):
    visits = screening_list(
        falling(40),
        small_county(40),
        AS_OF,
        capacity=10,
        settings=ScreeningSettings(random_checks=RandomChecks(share=share)),
    )
    assert visits.counts["random_check"] == drawn and visits.counts["model"] == 10 - drawn
    assert (
        visits.drawn_from.height == 30 + drawn
        and abs(visits.drawn_from["inclusion_probability"].sum() - drawn) < 1e-9
    )
    assert not (set(on(visits, "model")) & set(visits.drawn_from["household_id"]))
    assert "not_estimable" not in notes(visits)


def test_without_random_checks_it_is_said_that_misses_cannot_be_estimated(small_county, falling):
    assert "not_estimable" in notes(
        screening_list(falling(4), small_county(4), AS_OF, capacity=2, settings=PLAIN)
    )


def test_chances_are_in_proportion_to_the_weights_and_never_above_one():
    assert chances(np.array([1.0, 1.0, 2.0]), 2).tolist() == [0.5, 0.5, 1.0]
    assert chances(np.array([1.0, 1.0, 6.0]), 2).tolist() == [
        0.5,
        0.5,
        1.0,
    ]  # 6 would be 1.5: certain, and the other visit is shared
    assert chances(np.array([1.0, 3.0]), 1).tolist() == [0.25, 0.75]
    assert chances(np.ones(3), 0).tolist() == [0.0] * 3
    assert chances(np.ones(3), 3).tolist() == [1.0] * 3 and chances(np.ones(3), 4).tolist() == [1.0] * 3


def test_a_household_belongs_to_the_layer_of_its_place_in_the_order():
    names = [f"h{n}" for n in range(10)]
    draw = draw_checks(names, ["T"] * 10, np.arange(10), 2, LAYERS, seed=1, cycle="2026-01")
    assert draw.stratum == ["T/1"] + ["T/2"] * 3 + ["T/3"] * 6
    # weights 3, 2 × 3, 1 × 6 add up to 15; two visits
    assert (
        np.allclose(draw.probability, [2 * 3 / 15] + [2 * 2 / 15] * 3 + [2 / 15] * 6)
        and draw.drawn.sum() == 2
    )
    # A rounding error in the shares leaves nobody without a layer: place 9 lies at 0.95.
    short = (Layer(share=0.5, weight=1), Layer(share=0.4, weight=1))
    draw = draw_checks(names, ["T"] * 10, np.arange(10), 2, short, seed=1, cycle="2026-01")
    assert draw.stratum == ["T/1"] * 5 + ["T/2"] * 5
    nobody = draw_checks([], [], np.arange(0), 2, LAYERS, seed=1, cycle="c")
    assert nobody.stratum == [] and len(nobody.probability) == len(nobody.drawn) == 0
    none = draw_checks(names, ["T"] * 10, np.arange(10), 0, LAYERS, seed=1, cycle="c")
    assert none.drawn.sum() == 0 and none.probability.sum() == 0


def test_a_chance_is_the_first_48_bits_of_a_hash_and_lies_inside_zero_and_one():
    # SHA-256 of "1\\0c\\0h": worked out once by hand, so that draws can be repeated by other programs
    import hashlib

    bits = int(hashlib.sha256(b"1\0c\0h").hexdigest()[:12], 16)
    assert chance_of(1, "c", "h") == (bits + 0.5) / 2**48


# Quotas.


def test_visits_are_shared_out_whole_and_the_largest_remainders_get_one_more():
    assert largest_remainders({"a": 1, "b": 1, "c": 1}, 10) == {"a": 4, "b": 3, "c": 3}  # a tie goes by name
    assert largest_remainders({"a": 10, "b": 25, "c": 65}, 10) == {
        "a": 1,
        "b": 3,
        "c": 6,
    }  # remainders 0, .5, .5: b before c
    assert largest_remainders({"a": 0, "b": 0}, 5) == {"a": 0, "b": 0}
    assert largest_remainders({"a": 3}, 0) == {"a": 0}


def crowd(**areas):
    """Households by area, one of them gone."""
    rows = [(f"{area}{n}", area, "open") for area, count in areas.items() for n in range(count)]
    return pl.DataFrame(rows, schema=["household_id", "area", "fate"], orient="row").with_columns(
        township_code=pl.col("area")
    )


def wanted(**quotas):
    return PLAIN.model_copy(update={"quotas": Quotas(**quotas)})


@pytest.mark.parametrize(
    ("capacity", "quotas", "words"),
    [
        (6, {"rule": "floor", "floor": 3}, None),
        (5, {"rule": "floor", "floor": 3}, "3 visits for each of 2 areas are 6"),
        (5, {"rule": "fixed", "fixed": {"a": 3, "b": 2}}, None),
        (4, {"rule": "fixed", "fixed": {"a": 3, "b": 2}}, "quotas of 5 visits together"),
        (9, {"rule": "fixed", "fixed": {"x": 1}}, "x has no household"),
        (9, {"rule": "proportional", "by": "team", "teams": {"a": "A"}}, "no team for b"),
        (9, {"rule": "proportional", "by": "team", "teams": {"a": "A", "b": "B"}}, None),
    ],
)
def test_quotas_that_cannot_be_are_refused_and_those_on_the_limit_are_not(capacity, quotas, words):
    everybody = crowd(a=2, b=1)
    if words is None:
        assert quotas_of(everybody, capacity, wanted(**quotas))
    else:
        with pytest.raises(UserError, match=words):
            quotas_of(everybody, capacity, wanted(**quotas))


def test_what_each_rule_gives_an_area():
    everybody = pl.concat([crowd(a=2, b=1), crowd(c=1).with_columns(fate=pl.lit("gone"))])
    assert quotas_of(everybody, 9, wanted(rule="county")) == {}
    assert quotas_of(everybody, 9, wanted(rule="proportional")) == {"a": 6, "b": 3}  # nobody is left in c
    assert quotas_of(everybody, 9, wanted(rule="floor", floor=2)) == {"a": 2, "b": 2}
    assert quotas_of(everybody, 9, wanted(rule="fixed", fixed={"a": 4})) == {"a": 4, "b": 0}


# Grades.

CUTS = ScreeningSettings(
    grades=Grades(
        orange=Cut(capacity_share=0.2, probability=0.2), yellow=Cut(capacity_share=0.6, probability=0.1)
    )
)


@pytest.mark.parametrize(
    ("rank", "probability", "grade", "why"),
    [
        (2, 0.0, "orange", "score among the first 2"),
        (3, 0.0, "yellow", "score among the first 6"),
        (6, 0.0, "yellow", "score among the first 6"),
        (7, 0.0, "none", "part of this cycle's plan of visits"),
        (99, 0.2, "orange", "probability of 20% or more"),
        (99, 0.1999, "yellow", "probability of 10% or more"),
        (99, 0.1, "yellow", "probability of 10% or more"),
        (99, 0.0999, "none", "part of this cycle's plan of visits"),
        (None, None, "none", "part of this cycle's plan of visits"),
        (None, 0.2, "orange", "probability of 20% or more"),
        (1, None, "orange", "score among the first 2"),
    ],
)
def test_a_grade_begins_with_a_place_or_a_probability(rank, probability, grade, why):
    grading = Grading(CUTS.grades, 10, 11)
    assert grading.explain([], [], rank, probability)[::2] == (grade, why)
    assert grading.grade([], [], rank, probability) == grade


@pytest.mark.parametrize(("scored", "grade"), [(11, "orange"), (10, "none"), (9, "none")])
def test_a_place_gives_a_grade_only_among_more_households_than_can_be_visited(scored, grade):
    assert Grading(CUTS.grades, 10, scored).grade([], [], 1, 0.0) == grade


@pytest.mark.parametrize(
    ("leads", "on_record", "rank", "grade", "why"),
    [
        (["media", "self_declared"], [], 1, "orange", "lead: self-declared; score among the first 2"),
        (["guarantee"], [], 1, "red", "lead: failed guarantee"),
        (["guarantee"], ["guarantee"], 99, "red", "lead: failed guarantee"),
        ([], ["guarantee"], 99, "red", "a guarantee is on record as failing"),
        (["rule"], [], 99, "none", "part of this cycle's plan of visits"),
        (["unheard"], ["rule"], 99, "none", "part of this cycle's plan of visits"),
    ],
)
def test_the_gravest_of_leads_record_and_score_decides_and_all_that_give_it_are_named(
    leads, on_record, rank, grade, why
):
    grading = Grading(CUTS.grades, 10, 11)
    assert grading.explain(leads, on_record, rank, 0.0)[::2] == (grade, why)
    assert grading.grade(leads, on_record, rank, 0.0) == grade


# Ties, order and words.


def test_a_cut_through_equal_scores_is_said_with_both_numbers(small_county, scores_of):
    scores = scores_of({f"h{n:03d}": 1.0 if n < 2 else 0.5 for n in range(10)})
    visits = screening_list(scores, small_county(10), AS_OF, capacity=5, settings=PLAIN)
    assert "The cut goes through 8 households with the same score: 3 are listed" in notes(visits)
    whole = screening_list(scores, small_county(10), AS_OF, capacity=2, settings=PLAIN)
    assert "The cut goes" not in notes(whole)


def test_places_are_counted_from_one_and_households_without_a_score_have_none(small_county, falling):
    visits = screening_list(
        falling(3), small_county(4, leads=[lead("h003"), lead("h001")]), AS_OF, capacity=4, settings=PLAIN
    )
    assert dict(visits.rows.select("household_id", "rank").iter_rows()) == {
        "h000": 1,
        "h001": 2,
        "h002": 3,
        "h003": None,
    }
    assert sorted(visits.rows["number"].to_list()) == [1, 2, 3, 4]
    assert set(visits.rows["inclusion_probability"].to_list()) == {1.0} and set(
        visits.rows["times_carried"].to_list()
    ) == {0}


def test_the_route_goes_by_township_village_and_grade_with_standby_after_everybody(small_county, falling):
    settings = PLAIN.model_copy(update={"leads": Leads(rule_share=0.0)})
    visits = screening_list(
        falling(40, rule_dropout={"h036": 1.0}), small_county(40), AS_OF, capacity=12, settings=settings
    )
    route = visits.rows.sort("number")
    assert route["household_id"].to_list()[-1] == "h036" and route["listed_as"].to_list()[-1] == "standby"
    order = visits.route.select("township_code", "village_code").rows()
    assert order == sorted(order)
    grades = {"red": 0, "orange": 1, "yellow": 2, "none": 3}
    for _, part in visits.route.group_by("village_code", maintain_order=True):
        assert [grades[grade] for grade in part["grade"]] == sorted(grades[grade] for grade in part["grade"])


def test_what_to_check_is_written_from_the_risk_kinds_alone(small_county, falling):
    scores = falling(3)
    scores["risk_kinds"] = ["illness;labour", "", None]
    rows = screening_list(scores, small_county(3), AS_OF, capacity=3, settings=PLAIN).rows.sort(
        "household_id"
    )
    assert rows["check_zh"].to_list() == ["核实是否存在：因病、缺劳动力", None, None]
    assert rows["check_en"].to_list() == ["See whether there is: illness, lack of labour", None, None]


def test_scores_that_are_wrong_are_all_named_at_once(small_county, falling):
    scores = falling(6)
    scores.loc[0, "margin"], scores.loc[1, "probability"], scores.loc[2, "probability"] = (
        float("nan"),
        1.01,
        -0.01,
    )
    scores.loc[4, "household_id"] = scores.loc[5, "household_id"]
    with pytest.raises(UserError) as caught:
        screening_list(scores, small_county(6), AS_OF, capacity=0, settings=PLAIN)
    assert len(caught.value.faults) == 1 + 1 + 3
    for value in (0.0, 1.0):
        fine = falling(6)
        fine["probability"] = value
        assert len(screening_list(fine, small_county(6), AS_OF, capacity=1, settings=PLAIN)) == 1
    for wrong in (True, 1.5, "3"):
        with pytest.raises(UserError, match="a whole number of visits, 1 or more"):
            screening_list(falling(6), small_county(6), AS_OF, capacity=wrong, settings=PLAIN)


@pytest.mark.parametrize(
    ("day", "length", "name"),
    [
        ("2025-12-31", "month", "2026-01"),
        ("2026-01-30", "month", "2026-01"),
        ("2026-01-31", "month", "2026-02"),
        ("2025-12-31", "quarter", "2026-Q1"),
        ("2026-03-30", "quarter", "2026-Q1"),
        ("2026-03-31", "quarter", "2026-Q2"),
        ("2025-12-30", "quarter", "2025-Q4"),
        ("2025-12-28", "week", "2026-W01"),
        ("2025-12-27", "week", "2025-W52"),
    ],
)
def test_the_cycle_is_that_of_the_day_after(day, length, name):
    assert cycle_of(dt.date.fromisoformat(day), length) == name


@pytest.mark.parametrize(("length", "days"), [("week", 7), ("month", 31), ("quarter", 92)])
def test_how_long_a_cycle_lasts_at_most(length, days):
    assert cycle_length(length).days == days


class Explaining:
    """Scores that give reasons of their own, as the package's do: one that raises the risk and one that
    lowers it.
    """

    def __init__(self, frame):
        from types import SimpleNamespace as Row

        words = {
            kind: Row(
                **dict.fromkeys(
                    ("verify", "with_labour", "without_labour"), Row(zh=f"{kind}怎样", en=f"how {kind} is")
                )
            )
            for kind in ("illness", "labour")
        }
        self.frame, self.table = (
            frame,
            Row(wordbook=Row(checks=words, catalogue={})),
        )
        self.matrix, self.asked = Row(names=[]), []

    def reasons(self, household):
        from types import SimpleNamespace as Row

        self.asked.append(household)

        class Reasons(list):
            risk_kinds = ("illness",)

        if household == "h001":
            return Reasons()
        return Reasons(
            [
                Row(raises=True, zh_parts=ReasonText("升"), en_parts=ReasonText("up")),
                Row(raises=False, zh_parts=ReasonText("降"), en_parts=ReasonText("down")),
            ]
        )


def test_reasons_and_what_to_check_are_those_of_the_scores_where_they_have_some(small_county, falling):
    scores = Explaining(falling(3))
    visits = screening_list(scores, small_county(4, leads=[lead("h003")]), AS_OF, capacity=3, settings=PLAIN)
    rows = {row["household_id"]: row for row in visits.rows.iter_rows(named=True)}
    assert sorted(scores.asked) == ["h000", "h001"]  # who is listed with a score, and nobody else
    assert (
        rows["h000"]["reasons_zh"] == "升\n另一方面：降"
        and rows["h000"]["reasons_en"] == "up\nOn the other hand: down"
    )
    assert rows["h000"]["check_zh"] == "因病：illness怎样"
    assert rows["h000"]["check_en"] == "illness: how illness is"
    assert rows["h001"]["reasons_en"].startswith(
        "Self-paid medical cost"
    )  # none of its own: those of the frame stay
    assert rows["h003"]["reasons_zh"] is None
    assert visits.guide[0][:3] == ("illness", "illness怎样", "how illness is") and len(visits.guide) == 2
