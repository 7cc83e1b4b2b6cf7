"""The visit list: who comes on it, in which order, and what is said about those who do not."""

from __future__ import annotations

import datetime as dt
import random

import pandas as pd
import polars as pl
import pytest

from riskmodel.errors import ProjectError, UserError
from riskmodel.project import fit, read_document
from riskmodel.settings import (
    CarryOver,
    Quotas,
    RandomChecks,
    ScreeningSettings,
    load_settings,
)
from riskmodel.visits.listing import screening_list
from riskmodel.visits.quotas import largest_remainders
from riskmodel.visits.visit_list import cycle_of

AS_OF = dt.date(2025, 12, 31)
NEXT = dt.date(2026, 1, 31)
PLAIN = ScreeningSettings(random_checks=RandomChecks(share=0))


def visit(household, day, outcome="no_risk", origin="screening", **more):
    return {"household_id": household, "occurred_on": day, "origin": origin, "outcome": outcome, **more}


def lead(household, day="2025-12-05", channel="self_declared"):
    return {"household_id": household, "occurred_on": day, "channel": channel}


def on(visits, listed_as=None):
    rows = visits.rows if listed_as is None else visits.rows.filter(visits.rows["listed_as"] == listed_as)
    return rows["household_id"].to_list()


def test_a_self_declared_household_with_the_lowest_score_is_listed_first(small_county, falling):
    visits = screening_list(
        falling(40), small_county(40, leads=[lead("h039")]), AS_OF, capacity=5, settings=PLAIN
    )
    assert on(visits) == ["h039", "h000", "h001", "h002", "h003"]


def test_a_household_without_a_score_is_listed_by_its_lead(small_county, falling):
    visits = screening_list(
        falling(10), small_county(12, leads=[lead("h011")]), AS_OF, capacity=3, settings=PLAIN
    )
    assert on(visits, "lead") == ["h011"] and visits.rows["probability"][0] is None


def test_leads_beyond_the_capacity_are_all_listed_and_it_is_said(small_county, falling):
    tables = small_county(40, leads=[lead(f"h{n:03d}") for n in range(10, 18)])
    visits = screening_list(falling(40), tables, AS_OF, capacity=5, settings=ScreeningSettings())
    assert visits.counts["lead"] == 8 and visits.counts["model"] == 0 and visits.counts["random_check"] == 0
    assert any("every lead is listed" in en for _, en in visits.notes)


def test_dead_and_moved_households_are_dropped_and_named(small_county, falling):
    gone = [{"household_id": "h000", "left_on": dt.date(2025, 6, 1)}]
    visits = screening_list(falling(40), small_county(40, members=gone), AS_OF, capacity=3, settings=PLAIN)
    assert on(visits) == ["h001", "h002", "h003"]
    assert visits.left_out.filter(visits.left_out["household_id"] == "h000")["en"][0].startswith("died")


def test_monitored_households_with_leads_are_kept_apart(small_county, falling):
    tables = small_county(
        40, leads=[lead("h005")], verifications=[visit("h005", "2025-03-01", "risk_confirmed")]
    )
    visits = screening_list(falling(40), tables, AS_OF, capacity=3, settings=PLAIN)
    assert "h005" not in on(visits) and visits.monitored["household_id"].to_list() == ["h005"]


def test_a_household_visited_a_short_time_ago_is_left_in_peace(small_county, falling):
    tables = small_county(40, verifications=[visit("h000", "2025-11-15")])
    assert on(screening_list(falling(40), tables, AS_OF, capacity=2, settings=PLAIN)) == ["h001", "h002"]


def test_unless_something_new_is_known(small_county, falling):
    tables = small_county(
        40, verifications=[visit("h000", "2025-11-15")], leads=[lead("h000", "2025-12-20", "cadre")]
    )
    assert on(screening_list(falling(40), tables, AS_OF, capacity=2, settings=PLAIN)) == ["h000", "h001"]


def test_a_visit_that_met_nobody_leaves_no_peace(small_county, falling):
    tables = small_county(40, verifications=[visit("h000", "2025-11-15", "unreachable")])
    assert on(screening_list(falling(40), tables, AS_OF, capacity=2, settings=PLAIN)) == ["h000", "h001"]


def test_a_sweep_leaves_less_peace_than_a_visit(small_county, falling):
    tables = small_county(
        40,
        verifications=[
            visit("h000", "2025-11-15", origin="sweep"),
            visit("h001", "2025-12-15", origin="sweep"),
        ],
    )
    assert on(screening_list(falling(40), tables, AS_OF, capacity=2, settings=PLAIN)) == ["h000", "h002"]


def test_rows_known_after_the_day_change_nothing(small_county, falling):
    before = screening_list(falling(40), small_county(40), AS_OF, capacity=8)
    later = small_county(
        40,
        leads=[
            {
                "household_id": "h039",
                "occurred_on": "2025-12-30",
                "known_on": "2026-01-01",
                "channel": "cadre",
            }
        ],
        verifications=[visit("h000", "2025-12-30", known_on="2026-01-04")],
        guarantees=[
            {"household_id": "h030", "known_on": "2026-01-01"}
            | dict.fromkeys(
                ["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"], False
            )
        ],
    )
    assert screening_list(falling(40), later, AS_OF, capacity=8).hash == before.hash


def test_permuted_rows_give_the_same_list(small_county, falling):
    scores = falling(40)
    scores.loc[5:20, "margin"] = scores.loc[5, "margin"]  # many equal scores
    tables = small_county(40, leads=[lead("h039"), lead("h030", channel="cadre")])
    first = screening_list(scores, tables, AS_OF, capacity=12)
    for seed in range(5):
        order = list(range(40))
        random.Random(seed).shuffle(order)
        again = screening_list(scores.iloc[order].reset_index(drop=True), tables, AS_OF, capacity=12)
        assert again.hash == first.hash and again.rows.equals(first.rows)


def test_a_cut_through_equal_scores_is_said_and_goes_by_the_keyed_hash(small_county, scores_of):
    scores = scores_of({f"h{n:03d}": 1.0 for n in range(40)})
    visits = screening_list(scores, small_county(40), AS_OF, capacity=10, settings=PLAIN)
    assert any("40 households with the same score: 10 are listed" in en for _, en in visits.notes)
    other = screening_list(
        scores, small_county(40), AS_OF, capacity=10, settings=PLAIN.model_copy(update={"key": "another"})
    )
    assert on(visits) != on(other) and on(visits) != [f"h{n:03d}" for n in range(10)]


def test_a_cut_between_different_scores_is_not_called_a_tie(small_county, falling):
    visits = screening_list(falling(40), small_county(40), AS_OF, capacity=10, settings=PLAIN)
    assert not any("same score" in en for _, en in visits.notes)


def everybody_meets(households):
    return {"rule_transfer_share": {f"h{n:03d}": 1.0 for n in range(households)}}


def test_households_that_only_a_rule_points_to_get_their_share_and_all_others_stand_by(small_county, falling):
    """All 40 meet a rule: 8 of 20 visits are the rules' share and the rest of 20 the model's; everybody else
    stands by, nobody is dropped.
    """
    visits = screening_list(
        falling(40, **everybody_meets(40)), small_county(40), AS_OF, capacity=20, settings=PLAIN
    )
    assert on(visits, "lead") == [f"h{n:03d}" for n in range(20)] and len(visits) == 20
    assert set(on(visits, "standby")) == {f"h{n:03d}" for n in range(20, 40)}
    assert visits.route.height == 20 and visits.standby["number"].to_list() == list(range(21, 41))
    assert any("20 more households are on standby" in en for _, en in visits.notes)


def test_rules_cannot_crowd_out_households_with_higher_scores(small_county, falling):
    rules = {"rule_dropout": {f"h{n:03d}": float(n >= 20) for n in range(40)}}
    visits = screening_list(falling(40, **rules), small_county(40), AS_OF, capacity=8, settings=PLAIN)
    assert on(visits, "lead") == ["h020", "h021"] and on(visits, "model") == [f"h{n:03d}" for n in range(6)]
    assert len(on(visits, "standby")) == 18


def test_a_household_on_standby_can_be_drawn_by_chance(small_county, falling):
    settings = ScreeningSettings(random_checks=RandomChecks(share=0.2))
    visits = screening_list(
        falling(40, **everybody_meets(40)), small_county(40), AS_OF, capacity=20, settings=settings
    )
    assert len(on(visits, "random_check")) == 4 and len(on(visits, "standby")) == 20
    assert visits.drawn_from.height == 24 and visits.drawn_from["inclusion_probability"].min() > 0


def test_a_rule_that_was_met_a_cycle_ago_is_nothing_new_after_the_yearly_sweep(small_county, falling):
    seen = [visit(f"h{n:03d}", "2025-08-15", origin="sweep") for n in range(40)]
    rules = {"rule_transfer_share": {f"h{n:03d}": 1.0 for n in range(36, 40)}}
    before = pl.DataFrame(
        {"household_id": [f"h{n:03d}" for n in range(40)], "rule_transfer_share": [0.0] * 38 + [1.0] * 2}
    )
    tables = small_county(40, verifications=seen)
    visits = screening_list(
        falling(40, **rules), tables, AS_OF, capacity=8, settings=PLAIN, rules_before=before
    )
    assert on(visits, "lead") == ["h036", "h037"]


# Quotas: townships 1 to 4 have 10 households each; h000, h004, h008 … are of the first.


def by_township(visits):
    return visits.rows.group_by("township_code").len().sort("township_code")["len"].to_list()


def with_quotas(**quotas):
    return PLAIN.model_copy(update={"quotas": Quotas(**quotas)})


def first_township_first(scores_of):
    """All of the first township score higher than anybody else."""
    return scores_of({f"h{n:03d}": (5.0 if n % 4 == 0 else 0.0) - 0.01 * n for n in range(40)})


def test_without_quotas_the_county_is_one_order(small_county, scores_of):
    visits = screening_list(
        first_township_first(scores_of), small_county(40), AS_OF, capacity=8, settings=PLAIN
    )
    assert by_township(visits) == [8]


def test_proportional_quotas_follow_the_number_of_households(small_county, scores_of):
    settings = with_quotas(rule="proportional")
    visits = screening_list(
        first_township_first(scores_of), small_county(40), AS_OF, capacity=8, settings=settings
    )
    assert by_township(visits) == [2, 2, 2, 2]


def test_a_floor_gives_each_township_its_least_and_the_rest_to_the_order(small_county, scores_of):
    settings = with_quotas(rule="floor", floor=1)
    visits = screening_list(
        first_township_first(scores_of), small_county(40), AS_OF, capacity=8, settings=settings
    )
    assert by_township(visits) == [5, 1, 1, 1]


def test_fixed_quotas_are_kept_even_if_visits_are_left(small_county, scores_of):
    settings = with_quotas(rule="fixed", fixed={"522301101": 3, "522301102": 1})
    visits = screening_list(
        first_township_first(scores_of), small_county(40), AS_OF, capacity=8, settings=settings
    )
    assert by_township(visits) == [3, 1]


def test_quotas_go_by_team_where_teams_are_named(small_county, scores_of):
    teams = {"522301101": "A", "522301102": "A", "522301103": "B", "522301104": "B"}
    settings = with_quotas(by="team", rule="proportional", teams=teams)
    visits = screening_list(
        first_township_first(scores_of), small_county(40), AS_OF, capacity=8, settings=settings
    )
    assert visits.rows.group_by("team").len().sort("team")["len"].to_list() == [4, 4]


def test_leads_count_against_the_quota_of_their_township(small_county, scores_of):
    settings = with_quotas(rule="proportional")
    tables = small_county(40, leads=[lead("h001"), lead("h005")])
    visits = screening_list(first_township_first(scores_of), tables, AS_OF, capacity=8, settings=settings)
    assert by_township(visits) == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        ({"rule": "floor", "floor": 3}, "3 visits for each of 4 areas are 12"),
        ({"rule": "fixed", "fixed": {"522301101": 9}}, "quotas of 9 visits together"),
        ({"rule": "fixed", "fixed": {"522301999": 1}}, "522301999 has no household"),
        (
            {"rule": "proportional", "by": "team", "teams": {"522301101": "A"}},
            "no team for 522301102, 522301103, 522301104",
        ),
    ],
)
def test_quotas_that_cannot_be_are_refused_with_their_figures(small_county, falling, quotas, message):
    with pytest.raises(UserError, match=message):
        screening_list(falling(40), small_county(40), AS_OF, capacity=8, settings=with_quotas(**quotas))


def test_remainders_go_to_the_largest():
    assert largest_remainders({"a": 5, "b": 3, "c": 2}, 7) == {"a": 4, "b": 2, "c": 1}  # 3.5, 2.1, 1.4
    assert sum(largest_remainders({"a": 1, "b": 1, "c": 1}, 100).values()) == 100


# Bad input


@pytest.mark.parametrize("capacity", [0, -1, 2.5, True])
def test_a_capacity_that_is_no_number_of_visits_is_refused(small_county, falling, capacity):
    with pytest.raises(UserError, match="a whole number of visits, 1 or more"):
        screening_list(falling(4), small_county(4), AS_OF, capacity=capacity)


def test_all_faults_of_the_scores_are_said_at_once(small_county, falling):
    scores = falling(6)
    scores.loc[0, "margin"] = float("nan")
    scores = pd.concat([scores, scores.iloc[[3]]])
    with pytest.raises(UserError) as caught:
        screening_list(scores, small_county(6), dt.date(2025, 11, 30), capacity=2)
    assert len(caught.value.faults) == 3


# Carry-over


def two_months(small_county, falling, settings, done=(), shift=0, **later):
    first = screening_list(falling(40), small_county(40), AS_OF, capacity=10, settings=settings)
    seen = [visit(name, "2026-01-10") for name in done]
    scores = falling(40).assign(as_of=NEXT)
    if shift:
        scores["margin"] = scores["margin"].to_numpy()[::-1].copy()
    return first, screening_list(
        scores,
        small_county(40, verifications=seen, **later),
        NEXT,
        capacity=10,
        settings=settings,
        previous=first,
    )


def test_what_was_done_makes_room_and_what_was_not_is_carried_over(small_county, falling):
    _, second = two_months(small_county, falling, PLAIN, done=[f"h{n:03d}" for n in range(6)])
    assert on(second, "carried") == ["h006", "h007", "h008", "h009"]
    assert on(second, "model") == [f"h{n:03d}" for n in range(10, 16)]
    assert set(second.rows["times_carried"].to_list()) == {0, 1}


def test_carried_households_take_at_most_their_share_from_higher_scores(small_county, falling):
    settings = PLAIN.model_copy(update={"carry_over": CarryOver(within=4.0, share=0.5)})
    _, second = two_months(small_county, falling, settings, shift=1)
    assert len(on(second, "carried")) == 5 and on(second, "model") == [f"h{n:03d}" for n in range(39, 34, -1)]


def test_a_household_is_carried_over_only_so_often(small_county, falling):
    settings = PLAIN.model_copy(update={"carry_over": CarryOver(cycles=0)})
    _, second = two_months(small_county, falling, settings)
    assert on(second, "carried") == []
    assert second.left_out["en"].str.contains("carried over long enough").any()


def test_a_carried_random_check_keeps_the_chance_with_which_it_was_drawn(small_county, falling):
    settings = ScreeningSettings(random_checks=RandomChecks(share=0.2))
    first, second = two_months(small_county, falling, settings)
    drawn = first.rows.filter(first.rows["listed_as"] == "random_check").select(
        "household_id", "inclusion_probability"
    )
    again = second.rows.filter(second.rows["listed_as"] == "random_check").select(
        "household_id", "inclusion_probability"
    )
    assert drawn.sort("household_id").equals(again.sort("household_id"))
    assert second.drawn_from["drawn"].sum() == 0


def test_a_much_older_list_carries_nothing(small_county, falling):
    first = screening_list(falling(40), small_county(40), AS_OF, capacity=10, settings=PLAIN)
    late = dt.date(2026, 8, 31)
    second = screening_list(
        falling(40).assign(as_of=late), small_county(40), late, capacity=10, settings=PLAIN, previous=first
    )
    assert on(second, "carried") == []


# Grades, route, words


def test_grades_come_from_leads_capacity_and_probability_with_the_reason_in_words(small_county, falling):
    broken = {"household_id": "h039", "known_on": "2025-12-01"}
    broken |= dict.fromkeys(
        ["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"], True
    ) | {"water_ok": False}
    scores = falling(40)
    scores["probability"] = 0.05
    tables = small_county(40, guarantees=[broken], leads=[lead("h038", channel="media")])
    visits = screening_list(scores, tables, AS_OF, capacity=10, settings=PLAIN)
    grades = dict(visits.rows.select("household_id", "grade").iter_rows())
    assert grades == {
        "h039": "red",
        "h038": "yellow",
        "h000": "orange",
        "h001": "orange",  # the first fifth of ten visits
        "h002": "yellow",
        "h003": "yellow",
        "h004": "yellow",
        "h005": "yellow",  # up to six tenths
        "h006": "none",
        "h007": "none",
    }
    words = dict(visits.rows.select("household_id", "grade_reasons_zh").iter_rows())
    assert words["h039"] == "线索：保障未达标" and words["h000"] == "评分位列前2户"


def test_a_high_probability_is_orange_wherever_it_stands(small_county, falling):
    scores = falling(40)
    scores["probability"] = 0.25
    visits = screening_list(scores, small_county(40), AS_OF, capacity=10, settings=PLAIN)
    assert set(visits.rows["grade"].to_list()) == {"orange"}


def test_the_route_keeps_villages_together_in_the_order_of_the_way(small_county, falling):
    way = {"522301101": ("522301101203", "522301101201", "522301101202")}
    visits = screening_list(
        falling(40), small_county(40), AS_OF, capacity=20, settings=PLAIN.model_copy(update={"route": way})
    )
    stops = visits.route["village_code"].to_list()
    seen = list(dict.fromkeys(stops))
    assert stops == sorted(stops, key=seen.index)
    assert seen[:3] == list(way["522301101"]) and visits.route["number"].to_list() == list(range(1, 21))


def test_every_row_carries_its_reasons_model_and_day(small_county, falling):
    visits = screening_list(falling(40), small_county(40), AS_OF, capacity=5)
    frame = visits.frame
    assert (frame["model_version"] == "ab12cd34").all() and frame["reasons_zh"].str.len().min() > 0
    assert (pd.to_datetime(frame["as_of"]) == pd.Timestamp(AS_OF)).all()


@pytest.mark.parametrize(
    ("day", "length", "name"),
    [
        ("2025-12-31", "month", "2026-01"),
        ("2026-01-01", "month", "2026-01"),
        ("2026-01-31", "month", "2026-02"),
        ("2025-12-31", "quarter", "2026-Q1"),
        ("2026-01-31", "week", "2026-W05"),
    ],
)
def test_a_cycle_is_named_after_the_visits_that_follow_the_day(day, length, name):
    assert cycle_of(dt.date.fromisoformat(day), length) == name


# Settings


def test_the_settings_file_of_the_project_is_read_whole(project):
    settings = load_settings(project)
    assert settings.random_checks.share == 0.10 and settings.grades.leads["guarantee"] == "red"


def test_the_settings_file_documents_every_setting(project):
    def keys(model, path=()):
        for name, info in model.model_fields.items():
            yield (*path, name)
            inner = info.annotation
            if isinstance(inner, type) and hasattr(inner, "model_fields"):
                yield from keys(inner, (*path, name))

    document = read_document(project.root / "serving" / "screening.yaml")
    missing = [".".join(path) for path in keys(ScreeningSettings) if path not in document.lines]
    assert not missing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("random_checks: {share: 0.5}", "share is 0, or 0.10 to 0.20"),
        ("capacity: 0", "greater than or equal to 1"),
        ("quotas: {rule: fixed}", "needs `fixed`"),
        ("grades: {orange: {capacity_share: 0.9, probability: 0.1}}", "orange is rarer than yellow"),
        ("capactiy: 3", "unknown key `capactiy`"),
    ],
)
def test_a_wrong_setting_is_refused_with_file_and_line(tmp_path, text, message):
    path = tmp_path / "screening.yaml"
    path.write_text(f"cycle: month\n{text}\n")
    with pytest.raises(ProjectError, match=message) as caught:
        fit(read_document(path), ScreeningSettings)
    assert f"{path}:2" in str(caught.value)


@pytest.mark.parametrize(("known_on", "said"), [("2025-11-16", False), ("2025-11-15", True)])
def test_a_list_of_a_day_long_after_the_newest_data_says_so_first(small_county, falling, known_on, said):
    # 2025-12-31 is 45 days after 16 November and 46 after 15 November.
    bill = {
        "member_id": "m000",
        "occurred_on": known_on,
        "kind": "outpatient",
        "total_cost": 1.0,
        "reimbursed": 0.0,
        "self_paid": 1.0,
    }
    visits = screening_list(falling(10), small_county(10, medical=[bill]), AS_OF, capacity=3, settings=PLAIN)
    assert ("数据过旧" in visits.notes[0][0]) == said
    assert ("Stale data" in visits.summary()) == said
