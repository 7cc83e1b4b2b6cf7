"""What a list says about itself: its figures, its notes in both languages, its hash, and what it takes from
the scores.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import polars as pl
import pytest

from riskmodel.errors import UserError
from riskmodel.screening.grades import GUARANTEE_RULE, Grading
from riskmodel.settings import Grades, Layer, Leads, Quotas, RandomChecks, RecentVisits, ScreeningSettings
from riskmodel.visits.draws import draw_checks
from riskmodel.visits.grades import grades_of, on_record, with_grades
from riskmodel.visits.listing import county_of, screening_list
from riskmodel.visits.not_listed import NotListed
from riskmodel.visits.quotas import fill_visits
from riskmodel.visits.visit_list import COLUMNS

AS_OF = dt.date(2025, 12, 31)
PLAIN = ScreeningSettings(random_checks=RandomChecks(share=0))


def lead(household, day="2025-12-05", channel="self_declared"):
    return {"household_id": household, "occurred_on": day, "channel": channel}


def visit(household, day, outcome="no_risk", origin="screening"):
    return {"household_id": household, "occurred_on": day, "origin": origin, "outcome": outcome}


def listed(scores, tables, capacity, settings=PLAIN, **more):
    return screening_list(
        scores, tables, more.pop("as_of", AS_OF), capacity=capacity, settings=settings, **more
    )


# The figures.


@pytest.fixture
def mixed(small_county, falling):
    """Ten visits among 40 households of equal probability: h039 by a lead, h038 (beyond the rules' share) on
    standby, one random check, eight by their score; h000 was visited, h001 is monitored, h002 has nobody
    left.
    """
    scores = falling(40, rule_dropout={"h038": 1.0})
    scores["probability"] = 0.05
    tables = small_county(
        40,
        leads=[lead("h039", channel="media")],
        members=[{"household_id": "h002", "left_on": dt.date(2025, 6, 1)}],
        verifications=[visit("h000", "2025-12-01"), visit("h001", "2025-03-01", "risk_confirmed")],
    )
    settings = ScreeningSettings(random_checks=RandomChecks(share=0.1), leads=Leads(rule_share=0.0))
    return listed(scores, tables, 10, settings)


def test_the_counts_of_a_list_are_those_of_its_rows(mixed):
    drawn = mixed.rows.filter(pl.col("listed_as") == "random_check")["grade"].to_list()
    assert drawn == ["none"]
    # Places 1 and 2 of the order give orange, 3 to 6 yellow; h000 to h002 hold the first three and get no
    # visit.
    assert dict(mixed.counts) == {
        "lead": 1,
        "carried": 0,
        "model": 8,
        "random_check": 1,
        "standby": 1,
        "grade_red": 0,
        "grade_orange": 0,
        "grade_yellow": 4,
        "grade_none": 6,
        "gone": 1,
        "monitored": 1,
        "recent": 1,
    }
    assert len(mixed) == 10 == mixed.route.height and mixed.rows.height == 11


def test_the_summary_says_what_is_on_the_list_and_every_note(mixed):
    assert mixed.summary().split("\n") == [
        "Visit list 2026-01 of county 522301, as of 2025-12-31: 10 households, capacity 10",
        "  leads that must be seen 1, carried over 0, model's order 8, random checks 1; on standby 1",
        "  grades: red 0, orange 0, yellow 4, none 6",
        *(f"  {en}" for _, en in mixed.notes),
    ]
    assert len(mixed.notes) == 2


def test_notes_say_the_same_in_both_languages(mixed, small_county, scores_of, falling):
    assert mixed.notes == (
        (
            "另有1户仅因部门规则列入候补：不占本期名额，顺路或下期核实。",
            (
                "1 more households are on standby by department rules alone: listed beyond the capacity, to "
                "be seen on the way or next."
            ),
        ),
        (
            "1户近期已走访（90天内，集中排查后30天内）且无新情况，本期不再上门。",
            (
                "1 households were visited a short time ago (90 days, 30 after a sweep) and nothing new is "
                "known: not visited again."
            ),
        ),
    )
    scores = scores_of({f"h{n:03d}": 1.0 if n < 2 else 0.5 for n in range(10)})
    tables = small_county(10, leads=[lead("h000", "2024-06-01"), lead("x999")])
    zh = [text for text, _ in listed(scores, tables, 6).notes]
    assert zh == [
        "另有1条线索超过365天无核实记录，未列入；请补录核实结果。",
        "1户线索的农户不在农户表中，无法列入。",
        "评分不含部门规则，本清单没有规则线索。",
        "截断处有8户原始分相同，其中4户入列，由密钥散列决定先后。",
        "本期没有随机抽查：漏报率和覆盖率无法估计（not_estimable）。",
    ]


def test_households_that_come_on_the_list_by_a_lead_are_no_part_of_the_tie(small_county, scores_of):
    # Of ten equal scores one has a lead: the cut of the model's order goes through the other nine.
    scores = scores_of({f"h{n:03d}": 1.0 for n in range(10)})
    [text] = [en for _, en in listed(scores, small_county(10, leads=[lead("h004")]), 4).notes if "cut" in en]
    assert text.startswith("The cut goes through 9 households with the same score: 3 are listed")


def test_leads_beyond_the_capacity_are_said_with_all_three_figures(small_county, falling):
    settings = ScreeningSettings(random_checks=RandomChecks(share=0.2))
    tables = small_county(40, leads=[lead(f"h{n:03d}") for n in range(9)])
    [(zh, en)] = [pair for pair in listed(falling(40), tables, 10, settings).notes if "exceed" in pair[1]]
    assert zh == "必须核实的线索9户、随机抽查2户，合计超过走访能力10户：线索全部列入，本期没有模型排序名额。"
    assert en.startswith("9 households with leads and 2 random checks exceed the capacity of 10: every lead")


def test_who_was_left_out_is_named_with_place_last_visit_and_reason(mixed):
    assert mixed.left_out.rows(named=True) == [
        {
            "household_id": "h002",
            "township_code": "522301103",
            "village_code": "522301103201",
            "last_visit": None,
            "probability": 0.05,
            "zh": "去世、迁出或无在册成员",
            "en": "died, moved away, or no member in force",
        },
        {
            "household_id": "h000",
            "township_code": "522301101",
            "village_code": "522301101201",
            "last_visit": dt.date(2025, 12, 1),
            "probability": 0.05,
            "zh": "近期已走访且无新情况",
            "en": "visited a short time ago and nothing new",
        },
    ]


def test_households_that_are_named_as_visited_lately_are_those_highest_in_the_order(small_county, falling):
    scores = falling(6)
    scores["margin"] = scores["margin"].to_numpy()[::-1].copy()  # h005 first
    tables = small_county(6, verifications=[visit(f"h{n:03d}", "2025-12-01") for n in range(6)])
    assert listed(scores, tables, 2).left_out["household_id"].to_list() == ["h005", "h004"]


def test_until_when_each_table_is_known_is_its_newest_row_by_the_day(small_county, falling):
    tables = small_county(4, leads=[lead("h000", "2025-12-05"), lead("h001", "2026-01-05")])
    dates = listed(falling(4), tables, 2).data_dates
    assert dates == {
        "households": dt.date(2022, 1, 1),
        "members": dt.date(2022, 1, 1),
        "leads": dt.date(2025, 12, 5),
    }


# What is taken from the scores.


def test_scores_without_reasons_rules_or_model_make_a_list_with_gaps(small_county):
    scores = pl.DataFrame({"household_id": ["h000", "h001"], "margin": [1.0, 2.0], "probability": [0.1, 0.2]})
    visits = listed(scores, small_county(2), 1)
    row = visits.rows.row(0, named=True)
    assert list(row) == list(COLUMNS) and row["household_id"] == "h001" and row["rank"] == 1
    given = {name for name, value in row.items() if value is not None}
    assert given == {
        "cycle",
        "as_of",
        "number",
        "household_id",
        "township_code",
        "village_code",
        "grade",
        "grade_reasons_zh",
        "grade_reasons_en",
        "probability",
        "margin",
        "rank",
        "listed_as",
        "times_carried",
        "inclusion_probability",
    }
    assert visits.model_version == "" and visits.guide == ()


def test_a_horizon_and_every_model_version_of_the_scores_come_with_the_list(small_county, falling):
    scores = falling(4)
    scores["model_version"] = ["b2", None, "a1", "b2"]
    scores["horizon_months"] = 24
    visits = listed(scores, small_county(4), 4)
    assert visits.model_version == "a1, b2" and set(visits.rows["horizon_months"].to_list()) == {24}


@pytest.mark.parametrize("form", ["pandas", "polars"])
def test_reasons_may_come_as_texts_or_as_lists_and_may_be_missing(small_county, falling, form):
    scores = falling(4)
    scores["reasons_zh"] = [["一", "二"], "三", None, float("nan")]
    scores["risk_kinds"] = [["illness", "labour"], "housing", None, float("nan")]
    scores["check_en"] = ["a", "b", None, None]
    scores["rank"] = [1, 2, 3, 4]
    if form == "polars":
        scores = pl.DataFrame(
            scores.drop(columns=["reasons_zh", "risk_kinds", "check_en"]).to_dict("list")
        ).with_columns(
            reasons_zh=pl.Series(["一\n二", "三", None, None]),
            risk_kinds=pl.Series(["illness;labour", "housing", None, None]),
            check_en=pl.Series(["a", "b", None, None]),
        )
    rows = listed(scores, small_county(4), 4).rows.sort("household_id")
    assert rows["reasons_zh"].to_list() == ["一\n二", "三", None, None]
    assert rows["risk_kinds"].to_list() == ["illness;labour", "housing", None, None]
    assert rows["check_en"].to_list() == ["a", "b", None, None]
    assert rows["check_zh"].to_list()[:2] == ["核实是否存在：因病、缺劳动力", "核实是否存在：因安全住房"]


@pytest.mark.parametrize("name", ["risk_kinds", "reasons_zh", "check_en", "low"])
def test_a_column_of_the_scores_may_be_empty_for_everybody(small_county, falling, name):
    rows = listed(falling(4).assign(**{name: None}), small_county(4), 4).rows
    assert rows.height == 4 and (name == "check_en" or rows[name].null_count() == 4)


def test_equal_scores_go_by_the_rank_that_comes_with_them_and_without_one_by_the_keyed_hash(
    small_county, scores_of
):
    margins = {f"h{n:03d}": 1.0 for n in range(8)}
    backwards = {name: 8 - place for place, name in enumerate(margins)}
    ranked = listed(scores_of(margins, rank=backwards), small_county(8), 8)
    assert ranked.rows["household_id"].to_list() == list(margins)[::-1]
    hashed = listed(scores_of(margins), small_county(8), 8).rows["household_id"].to_list()
    assert hashed not in (list(margins), list(margins)[::-1])


def test_households_without_a_score_come_after_those_with_the_lowest(small_county, falling):
    tables = small_county(6, leads=[lead("h005"), lead("h003")])
    visits = listed(falling(4), tables, 6)
    assert visits.rows["household_id"].to_list()[:2] == ["h003", "h005"]
    assert visits.rows["margin"].to_list()[1] is None


# Scores that are wrong.


@pytest.mark.parametrize(("count", "named"), [(20, 20), (21, 20)])
def test_twenty_households_a_fault_are_named_and_the_list_of_faults_stays_short(
    small_county, falling, count, named
):
    twice = pd.concat([falling(30), falling(count)])
    with pytest.raises(UserError) as caught:
        listed(twice, small_county(30), 2)
    assert len([fault for fault in caught.value.faults if fault.found == "scored twice"]) == named
    wrong = falling(30)
    wrong.loc[: count - 1, "margin"] = np.inf
    with pytest.raises(UserError) as caught:
        listed(wrong, small_county(30), 2)
    assert len(caught.value.faults) == named


@pytest.mark.parametrize(
    ("column", "value", "fine"),
    [
        ("margin", np.inf, False),
        ("margin", None, False),
        ("margin", -1e9, True),
        ("probability", None, False),
        ("probability", 0.0, True),
        ("probability", 1.0, True),
    ],
)
def test_a_score_is_a_finite_margin_and_a_probability(small_county, falling, column, value, fine):
    scores = pl.from_pandas(falling(4)).with_columns(
        pl.when(pl.col("household_id") == "h001")
        .then(pl.lit(value, pl.Float64))
        .otherwise(column)
        .alias(column)
    )
    if fine:
        assert len(listed(scores, small_county(4), 4)) == 4
        return
    with pytest.raises(UserError) as caught:
        listed(scores, small_county(4), 4)
    assert [fault.where for fault in caught.value.faults] == ["scores, household h001"]


def test_whole_and_broken_numbers_may_stand_in_one_column_of_the_scores(small_county, falling):
    scores = falling(4)
    scores["margin"] = pd.Series([3, 2.5, 2, 1.5], dtype=object)
    scores["low"] = pd.Series([0, 0.25, None, float("nan")], dtype=object)
    rows = listed(scores, small_county(4), 4).rows
    assert rows["margin"].to_list() == [3.0, 2.5, 2.0, 1.5] and rows["low"].to_list() == [
        0.0,
        0.25,
        None,
        None,
    ]


@pytest.mark.parametrize("resolution", ["s", "ms", "us", "ns"])
def test_the_day_of_the_scores_may_come_as_a_time_of_any_resolution(small_county, falling, resolution):
    scores = falling(4)
    scores["as_of"] = pd.Series([pd.Timestamp(AS_OF)] * 4).astype(f"datetime64[{resolution}]")
    assert len(listed(scores, small_county(4), 4)) == 4


@pytest.mark.parametrize("absent", ["household_id", "margin", "probability"])
def test_a_column_that_is_missing_is_named(small_county, falling, absent):
    with pytest.raises(UserError, match=f"no column {absent}"):
        listed(falling(4).drop(columns=absent), small_county(4), 4)


def test_scores_of_another_day_are_refused_with_both_days(small_county, falling):
    with pytest.raises(UserError, match=r"scored as of 2025-11-30.*scores as of 2025-12-31"):
        listed(
            falling(4, as_of=dict.fromkeys(["h000"])).assign(as_of=dt.date(2025, 11, 30)), small_county(4), 4
        )
    assert len(listed(falling(4).drop(columns="as_of"), small_county(4), 4)) == 4


def test_a_whole_number_of_visits_may_come_from_numpy(small_county, falling):
    assert len(listed(falling(4), small_county(4), np.int64(1))) == 1


# Counties.


def test_the_county_of_scores_is_the_one_in_which_all_of_them_lie(small_county, falling):
    tables = small_county(4)
    scores = pl.from_pandas(falling(4))
    assert county_of(scores, tables, AS_OF) == "522301"
    elsewhere = pl.when(pl.col("household_id") == "h003").then(pl.lit("522399101201"))
    households = tables["households"].with_columns(village_code=elsewhere.otherwise("village_code"))
    two = type(tables)({**tables.frames, "households": households}, tables.hashes)
    assert county_of(scores, two, AS_OF) is None
    assert (
        county_of(scores.head(3), two, AS_OF) == "522301"
        and county_of(scores.tail(1), two, AS_OF) == "522399"
    )
    assert county_of(scores, tables, dt.date(2021, 12, 31)) is None  # nobody is known yet


def test_a_list_of_leads_alone_is_of_the_county_of_its_register(small_county, falling):
    visits = listed(falling(0), small_county(4, leads=[lead("h002")]), 2)
    assert visits.county_code == "522301" and visits.rows["household_id"].to_list() == ["h002"]
    assert listed(falling(0), small_county(1), 2).county_code == "522301"
    nobody = listed(falling(0), small_county(4), 2, as_of=dt.date(2021, 12, 31))
    assert nobody.county_code == "" and len(nobody) == 0


def test_a_list_of_leads_alone_in_several_counties_is_refused_until_one_is_named(small_county, falling):
    tables = small_county(4, leads=[lead("h002"), lead("h003")])
    elsewhere = pl.when(pl.col("household_id") == "h003").then(pl.lit("522399101201"))
    households = tables["households"].with_columns(village_code=elsewhere.otherwise("village_code"))
    two = type(tables)({**tables.frames, "households": households}, tables.hashes)
    with pytest.raises(UserError, match=r"522301 \(3 households\), 522399 \(1 households\)"):
        listed(falling(0), two, 2)
    assert listed(falling(0), two, 2, county="522399").rows["household_id"].to_list() == ["h003"]
    assert listed(falling(0), two, 2, county="522301").rows["household_id"].to_list() == ["h002"]
    # One scored household decides: the register is asked only where nobody was scored.
    assert listed(falling(1), two, 2).county_code == "522301"


# Why somebody is not on it.


@pytest.mark.parametrize(
    ("code", "rank", "zh", "en"),
    [
        (
            "monitored",
            7,
            "2025-12-01起为监测对象，由监测程序跟踪，不在筛查范围",
            "monitored since 2025-12-01: followed by the procedure, not in the cohort",
        ),
        (
            "recent",
            7,
            "2025-12-01已走访（未发现风险），2026-03-01前无新情况不再上门",
            (
                "visited on 2025-12-01 (no risk found); left in peace until 2026-03-01 unless something "
                "new is known"
            ),
        ),
        (
            "fallen",
            7,
            "评分排名第7，结转到期或排位已下降",
            "rank 7; carried over long enough, or its score has fallen",
        ),
        ("fallen", None, "结转到期或排位已下降", "carried over long enough, or its score has fallen"),
        (
            "waiting",
            1,
            "评分排名第1，超出本期走访能力（600户）；有线索时随时列入",
            "rank 1; beyond the capacity of 600 visits; a lead lists it at any time",
        ),
        (
            "waiting",
            None,
            "超出本期走访能力（600户）；有线索时随时列入",
            "beyond the capacity of 600 visits; a lead lists it at any time",
        ),
    ],
)
def test_an_answer_names_days_outcome_place_and_capacity(code, rank, zh, en):
    why = NotListed(code, dt.date(2025, 12, 1), dt.date(2026, 3, 1), "no_risk")
    assert why.words(rank=rank, capacity=600) == (zh, en)


def test_an_answer_without_an_outcome_leaves_it_out():
    zh, en = NotListed("recent", dt.date(2025, 12, 1), dt.date(2026, 3, 1)).words(rank=None, capacity=1)
    assert "已走访（），" in zh and "visited on 2025-12-01 ();" in en


# What is on record, and grades for scores.


def test_a_guarantee_and_a_rule_are_on_record_each_for_itself(small_county):
    ok = dict.fromkeys(["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok", "water_ok"], True)
    tables = small_county(
        4,
        guarantees=[
            {"household_id": "h000", "known_on": "2025-12-01", **ok, "water_ok": False},
            {"household_id": "h001", "known_on": "2025-12-01", **ok},
        ],
    )
    hits = pl.DataFrame(
        {
            "household_id": ["h001", "h002", "h000"],
            "rule": ["rule_dropout", GUARANTEE_RULE, "rule_transfer_share"],
        }
    )
    every = on_record(tables, AS_OF, hits, Leads()).sort("household_id")
    assert every.rows() == [("h000", True, True), ("h001", False, True), ("h002", True, False)]
    one = on_record(tables, AS_OF, hits, Leads(rules=("rule_dropout",))).sort("household_id")
    assert one.rows() == [("h000", True, False), ("h001", False, True), ("h002", True, False)]
    none = on_record(small_county(4), AS_OF, hits.clear(), Leads())
    assert none.columns == ["household_id", "guarantee", "rule"] and none.height == 0


def test_a_rule_on_record_gives_the_grade_that_the_settings_say():
    settings = PLAIN.model_copy(update={"grades": Grades(leads=Grades().leads | {"rule": "yellow"})})
    everybody = pl.DataFrame(
        {
            "household_id": ["a", "b", "c"],
            "lead_kinds": [None, "media;petition", None],
            "rank": [3, 2, None],
            "probability": [0.0, 0.0, None],
        },
        schema_overrides={"lead_kinds": pl.String},
    )
    recorded = pl.DataFrame({"household_id": ["a"], "guarantee": [False], "rule": [True]})
    graded = grades_of(everybody, recorded, 10, settings)
    assert graded.columns == ["household_id", "grade", "grade_reasons_zh", "grade_reasons_en"]
    assert graded.rows() == [
        ("a", "yellow", "符合部门规则", "meets a department rule"),
        ("b", "orange", "线索：信访", "lead: petition"),
        ("c", "none", "本期核实安排", "part of this cycle's plan of visits"),
    ]


@pytest.mark.parametrize("form", ["pandas", "polars"])
def test_scores_take_the_grades_of_the_list_and_keep_their_own_where_it_has_none(form):
    scores = pd.DataFrame({"household_id": ["a", "b"], "grade": ["none", "yellow"]})
    grades = pl.DataFrame({"household_id": ["a", "x"], "grade": ["red", "red"]})
    new = with_grades(pl.from_pandas(scores) if form == "polars" else scores, grades)
    assert list(new["grade"]) == ["red", "yellow"] and type(new).__module__.startswith(form)
    bare = scores.drop(columns="grade")
    assert with_grades(bare, grades) is bare


def test_several_leads_of_a_household_are_in_one_row_each_once_and_in_order(small_county, falling):
    kinds = ["media", "cadre", "self_declared", "petition", "self_declared", "cadre"]
    tables = small_county(4, leads=[lead("h002", f"2025-12-0{n}", kind) for n, kind in enumerate(kinds, 1)])
    row = listed(falling(4), tables, 3).rows.row(0, named=True)
    assert row["lead_kinds"] == "self_declared;petition;cadre;media"
    assert row["leads_zh"].split("\n") == [
        "农户自主申报（2025-12-03）",
        "农户自主申报（2025-12-05）",
        "信访（2025-12-04）",
        "干部排查（2025-12-02）",
        "干部排查（2025-12-06）",
        "媒体（2025-12-01）",
    ]
    assert row["leads_en"].split("\n") == [
        "self-declared (2025-12-03)",
        "self-declared (2025-12-05)",
        "petition (2025-12-04)",
        "cadre's round (2025-12-02)",
        "cadre's round (2025-12-06)",
        "media (2025-12-01)",
    ]


# Rows, hash and settings.


def test_the_hash_names_every_value_of_the_list_and_nothing_else(small_county, falling):
    def named(settings=PLAIN, capacity=4, **changed):
        return listed(falling(8).assign(**changed), small_county(8), capacity, settings).hash

    first = named()
    assert named() == first == named(settings=PLAIN.model_copy(update={"timezone": "Asia/Urumqi"}))
    others = [
        named(capacity=5),
        named(settings=PLAIN.model_copy(update={"key": "another"})),
        named(model_version="x"),
        named(reasons_zh="x"),
        named(probability=0.25),
        named(settings=PLAIN.model_copy(update={"recent_visits": RecentVisits(days=1)})),
    ]
    assert len({first, *others}) == 7 and len(first) == 64


def test_a_list_is_not_changed_after_it_was_made(mixed):
    draw = draw_checks(["a"], ["t"], np.arange(1), 1, (Layer(share=1.0, weight=1.0),), seed=1, cycle="c")
    for item in (mixed, NotListed("waiting"), draw, Grading(Grades(), capacity=1, scored=2)):
        with pytest.raises(FrozenInstanceError):
            item.capacity = 3


def test_on_the_list_priority_goes_by_kind_then_for_leads_by_grade_then_by_place(small_county, falling):
    # h030 is red by its guarantee, h010 orange by a petition, h005 yellow by the media; the others go by
    # their score.
    broken = {"household_id": "h030", "known_on": "2025-12-01"}
    broken |= dict.fromkeys(["food_clothing_ok", "schooling_ok", "insured_ok", "housing_ok"], True)
    tables = small_county(
        40,
        guarantees=[broken | {"water_ok": False}],
        leads=[
            lead("h005", channel="media"),
            lead("h010", channel="petition"),
            lead("h020", channel="petition"),
        ],
    )
    scores = falling(40)
    scores["probability"] = 0.01
    visits = listed(scores, tables, 7)
    assert visits.rows["household_id"].to_list() == ["h030", "h010", "h020", "h005", "h000", "h001", "h002"]


def test_villages_off_the_way_come_after_those_on_it(small_county, falling):
    settings = PLAIN.model_copy(update={"route": {"522301101": ("522301101203",)}})
    route = listed(falling(12), small_county(12), 12, settings).route
    first = route.filter(pl.col("township_code") == "522301101")["village_code"].to_list()
    assert first == ["522301101203", "522301101201", "522301101202"]


def test_monitored_households_stand_apart_with_what_a_visitor_needs(small_county, falling):
    tables = small_county(
        8,
        verifications=[visit(name, "2025-03-01", "risk_confirmed") for name in ("h005", "h004", "h006")],
        leads=[lead("h005"), lead("h004", channel="cadre")],
    )
    apart = listed(falling(8), tables, 3).monitored
    assert apart.columns == [
        "household_id",
        "township_code",
        "village_code",
        "monitored_since",
        "last_visit",
        "lead_kinds",
        "leads_zh",
        "leads_en",
    ]
    assert apart.select("household_id", "monitored_since", "lead_kinds").rows() == [
        ("h004", dt.date(2025, 3, 1), "cadre"),
        ("h005", dt.date(2025, 3, 1), "self_declared"),
    ]


# Quotas.


def fill(room, quotas, *, rule="proportional", first=(), leads=(), ahead=(), rest=()):
    """Households as (name, area), in the model's order; who of them gets a visit."""
    place = {name: number for number, (name, _) in enumerate([*ahead, *rest])}

    def frame(pairs):
        rows = [(name, area, place.get(name)) for name, area in pairs]
        return (
            pl.DataFrame(rows, schema=["household_id", "area", "place"], orient="row")
            if rows
            else pl.DataFrame(schema={"household_id": pl.String, "area": pl.String, "place": pl.Int64})
        )

    extra = {"fixed": {"a": 1}} if rule == "fixed" else {}
    settings = PLAIN.model_copy(update={"quotas": Quotas(rule=rule, **extra)})
    return fill_visits(
        frame(ahead),
        frame(rest),
        frame([(f"lead{n}", area) for n, area in enumerate(leads)]),
        list(first),
        room,
        quotas,
        settings,
    )


FIVE = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a"), ("b2", "b")]


def test_visits_go_down_the_order_until_an_area_has_its_quota():
    assert fill(3, {"a": 2, "b": 1}, rest=FIVE) == ["a1", "a2", "b1"]
    assert fill(3, {"a": 1, "b": 2}, rest=FIVE) == ["a1", "b1", "b2"]
    assert fill(2, {"a": 1, "b": 2}, rest=FIVE) == ["a1", "b1"]
    assert fill(0, {"a": 1, "b": 2}, rest=FIVE) == []


def test_what_an_area_cannot_use_goes_to_the_order_unless_the_quota_is_fixed():
    assert fill(4, {"a": 1, "b": 9}, rest=FIVE) == ["a1", "b1", "b2", "a2"]
    assert fill(4, {"a": 1, "b": 9}, rule="fixed", rest=FIVE) == ["a1", "b1", "b2"]


def test_a_lead_uses_a_visit_of_its_area_and_of_no_other():
    assert fill(2, {"a": 2, "b": 1}, leads=["a"], rest=FIVE) == ["a1", "b1"]
    assert fill(2, {"a": 2, "b": 1}, leads=["a", "a"], rest=FIVE) == ["b1", "a1"]
    assert fill(2, {"a": 2, "b": 1}, leads=["c"], rest=FIVE) == ["a1", "a2"]  # an area without a quota
    assert fill(2, {"a": 2}, rule="fixed", rest=[("c1", "c"), *FIVE]) == ["a1", "a2"]


def test_households_carried_over_are_first_in_line_and_the_others_keep_their_place():
    ahead, rest = [("a3", "a"), ("b2", "b")], [("a1", "a"), ("b1", "b")]
    assert fill(3, {}, first=["b2"], ahead=ahead, rest=rest) == ["b2", "a3", "a1"]
    assert fill(9, {}, first=[], ahead=ahead, rest=rest) == ["a3", "b2", "a1", "b1"]
    assert fill(2, {"a": 1, "b": 1}, first=["b2"], ahead=ahead, rest=rest) == ["b2", "a3"]
