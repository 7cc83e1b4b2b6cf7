"""What changed: two scorings of a small township, worked out by hand, from tables and from what was kept of
them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.features.catalogue import load_catalogue
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.screening.changes import MOVED, HouseholdScoring, move_text, moved_between, what_changed
from riskmodel.screening.reasons import give_reasons
from riskmodel.screening.reference import Reference
from riskmodel.screening.scoring import Scores
from riskmodel.screening.wordbook import Wordbook

THEN, NOW = dt.date(2025, 6, 30), dt.date(2025, 12, 31)
NAMES = (
    "self_paid_12m",
    "self_paid_income_share_12m",
    "rigid_share_12m",
    "income_gap_pp",
    "no_labour",
    "head_age",
    "days_since_inpatient",
    "business_share_12m",
    "village_shock_share_12m",
    "income_change_share_12m",
)
N = 60


@pytest.fixture(scope="module")
def book(project) -> Wordbook:
    return Wordbook.load(project, load_catalogue(project))


def scored(
    book, day, *, ids=None, villages="522301001001", values=None, given=None, version="v1", horizon=12
) -> Scores:
    """A scoring in which each household's features are spread evenly; `values` and `given` (contributions) of
    h000 are set by name.
    """
    ids = ids or [f"h{place:03d}" for place in range(N)]
    n = len(ids)
    even = np.linspace(0.0, 1.0, n)
    table = {
        "self_paid_12m": even * 20_000,
        "self_paid_income_share_12m": even,
        "rigid_share_12m": even,
        "income_gap_pp": even * 10_000 - 3_000,
        "no_labour": (even > 0.8).astype(float),
        "head_age": 40 + 40 * even,
        "days_since_inpatient": 700 * even,
        "business_share_12m": even,
        "village_shock_share_12m": even * 0.3,
        "income_change_share_12m": even - 0.5,
    }
    matrix_values = np.column_stack([table[name] for name in NAMES])
    contributions = np.zeros((n, len(NAMES)))
    for name, value in (values or {}).items():
        matrix_values[0, NAMES.index(name)] = value
    for name, amount in (given or {}).items():
        contributions[0, NAMES.index(name)] = amount
    codes = np.array([villages] * n, dtype=object)
    matrix = FeatureMatrix(day, np.array(ids, dtype=object), codes, NAMES, matrix_values)
    reference = Reference.of(matrix)
    reasons = give_reasons(book, NAMES, matrix_values, contributions, codes, reference, as_of=day)
    margin = contributions.sum(axis=1)
    order = np.argsort(-margin, kind="stable")
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(1, n + 1)
    probability = 1 / (1 + np.exp(3 - margin))
    return Scores(
        day,
        horizon,
        version,
        "c",
        "p",
        matrix,
        matrix_values,
        reasons,
        0.0,
        reference,
        order,
        margin,
        probability,
        probability,
        probability,
        rank,
        np.array(["none"] * n, dtype=object),
    )


def both_ways(before, now, name="h000"):
    """(from the two scorings, from what was kept of them as JSON): moved, zh, en each."""
    row = what_changed(before, now).filter(pl.col("household_id") == name).row(0, named=True)
    kept = [
        HouseholdScoring.from_dict(
            json.loads(json.dumps(HouseholdScoring.of(scores, name).as_dict(), allow_nan=False))
        )
        for scores in (before, now)
    ]
    move = moved_between(*kept)
    return (row["moved"], row["changes_zh"], row["changes_en"]), (
        move.moved,
        "；".join(move.changes_zh),
        "; ".join(move.changes_en),
    )


def test_a_household_that_moved_up_is_told_the_new_value_and_the_one_before(book):
    before = scored(book, THEN, values={"self_paid_12m": 605.0, "self_paid_income_share_12m": 0.02})
    now = scored(
        book,
        NOW,
        values={"self_paid_12m": 17_234.0, "self_paid_income_share_12m": 1.7},
        given={"self_paid_12m": 0.8},
    )
    table, kept = both_ways(before, now)
    assert table == (
        "up",
        "近12个月自付医疗费17,200元（上次605元）",
        "self-paid medical cost over the last 12 months was 17,200 yuan (605 yuan last time)",
    )
    assert (
        kept[0] == "up"
        and kept[1].startswith("新出现：近12个月自付医疗费17,200元")
        and kept[2].startswith("new: Self-paid medical cost")
    )


def test_a_reason_told_both_times_is_told_with_the_value_of_last_time(book):
    before = scored(book, THEN, values={"self_paid_12m": 14_000.0}, given={"self_paid_12m": 0.3})
    now = scored(book, NOW, values={"self_paid_12m": 18_000.0}, given={"self_paid_12m": 0.9})
    (_, zh, _), (moved, kept_zh, kept_en) = both_ways(before, now)
    assert zh == "近12个月自付医疗费18,000元（上次14,000元）"
    assert (
        moved == "up" and kept_zh.endswith("（上次14,000元）") and kept_en.endswith("(14,000 yuan last time)")
    )
    down, kept = both_ways(
        now, scored(book, NOW, values={"self_paid_12m": 14_000.0}, given={"self_paid_12m": 0.3})
    )
    assert down[:2] == ("down", "近12个月自付医疗费14,000元（上次18,000元）") and kept[1].endswith(
        "（上次18,000元）"
    )


def test_a_reason_that_went_is_told_as_no_longer_standing_out(book):
    before = scored(book, THEN, values={"self_paid_12m": 18_000.0}, given={"self_paid_12m": 0.9})
    now = scored(book, NOW, values={"self_paid_12m": 0.0})
    table, kept = both_ways(before, now)
    assert table[:2] == ("down", "近12个月没有自付医疗费（上次18,000元）")
    assert kept[1].startswith("不再突出：近12个月自付医疗费18,000元") and kept[2].startswith(
        "no longer stands out: Self-paid"
    )


def test_a_change_that_crosses_the_line_is_told_in_both_sentences(book):
    before = scored(book, THEN, values={"income_gap_pp": 3_550.0})
    now = scored(book, NOW, values={"income_gap_pp": -2_392.0}, given={"income_gap_pp": 0.7})
    table, _ = both_ways(before, now)
    assert table[1] == (
        "扣除合规自付医疗费后，人均收入比监测线低2,390元（上次：扣除合规自付医疗费后，"
        "人均收入比监测线高3,550元）"
    )


def test_a_yes_or_no_is_told_as_it_is_now(book):
    before = scored(book, THEN, values={"no_labour": 0.0})
    now = scored(book, NOW, values={"no_labour": 1.0}, given={"no_labour": 0.5})
    assert both_ways(before, now)[0][1:] == (
        "现在：家中没有劳动力",
        "now: nobody in the household is able to work",
    )


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("self_paid_12m", 9_000.0, 8_000.0),  # less medical cost does not raise the risk
        ("self_paid_12m", np.nan, 8_000.0),  # that a value is known now is no change of the household
        ("self_paid_12m", 8_000.0, np.nan),
        ("self_paid_12m", 8_001.0, 8_004.0),  # both are said as 8,000
        ("head_age", 61.0, 62.0),  # everybody grows older
        ("days_since_inpatient", 200.0, 384.0),  # time passes
        ("business_share_12m", 0.3, 0.6),  # its direction is unclear
        ("income_change_share_12m", 0.2, -0.2),  # a change of a change
    ],
)
def test_what_does_not_speak_for_the_move_is_not_told(book, name, old, new):
    before = scored(book, THEN, values={name: old})
    now = scored(book, NOW, values={name: new}, given={name: 0.8})
    moved, zh, en = both_ways(before, now)[0]
    assert (moved, zh, en) == ("up", "", "")
    assert move_text(moved, zh, "zh") == "上升：记录中没有可说明的变化"


def test_of_a_whole_and_its_part_one_is_told_and_of_one_topic_one(book):
    before = scored(
        book,
        THEN,
        values={"self_paid_12m": 100.0, "self_paid_income_share_12m": 0.01, "rigid_share_12m": 0.01},
    )
    now = scored(
        book,
        NOW,
        values={"self_paid_12m": 15_000.0, "self_paid_income_share_12m": 0.9, "rigid_share_12m": 0.95},
        given={"self_paid_12m": 0.4, "self_paid_income_share_12m": 0.5, "rigid_share_12m": 0.3},
    )
    assert both_ways(before, now)[0][1] == "近12个月自付医疗费相当于纯收入的90%（上次1%）"


def test_neighbours_are_told_in_steps_and_not_at_all_in_a_small_village(book):
    before = scored(book, THEN, values={"village_shock_share_12m": 0.02})
    now = scored(book, NOW, values={"village_shock_share_12m": 0.28}, given={"village_shock_share_12m": 0.4})
    assert both_ways(before, now)[0][1] == "近12个月本村有约30%的其他农户遭遇灾害或突发事件（上次不到5%）"
    nearly = scored(
        book, NOW, values={"village_shock_share_12m": 0.021}, given={"village_shock_share_12m": 0.4}
    )
    assert both_ways(before, nearly)[0][1] == "", "one more household in fifty is not to be read"
    few = [f"h{place:03d}" for place in range(20)]
    small = [
        scored(
            book,
            day,
            ids=few,
            values={"village_shock_share_12m": share},
            given={"village_shock_share_12m": weight},
        )
        for day, share, weight in ((THEN, 0.02, 0.0), (NOW, 0.28, 0.4))
    ]
    for _, zh, _ in both_ways(*small):
        assert zh == ""


def test_same_new_and_left_are_said_plainly(book):
    before = scored(book, THEN, ids=[f"h{place:03d}" for place in range(N)])
    now = scored(book, NOW, ids=[f"h{place:03d}" for place in range(1, N + 1)])
    frame = what_changed(before, now)
    moved = dict(frame.select("household_id", "moved").iter_rows())
    assert moved["h000"] == "left" and moved["h060"] == "new" and moved["h001"] == "same"
    assert moved_between(None, HouseholdScoring.of(now, "h060")).text("zh") == "本次新列入评分"
    assert moved_between(HouseholdScoring.of(before, "h000"), None).text("en") == "not scored this time"
    same = moved_between(HouseholdScoring.of(before, "h001"), HouseholdScoring.of(now, "h001"))
    assert (same.text("zh"), same.text("en")) == ("基本不变", "hardly moved")
    assert set(frame["moved"]) <= set(MOVED)


def test_a_tenth_of_the_odds_is_no_move(book):
    before = scored(book, THEN, values={"self_paid_12m": 9_000.0})
    now = scored(book, NOW, values={"self_paid_12m": 12_000.0}, given={"self_paid_12m": 0.09})
    assert [way[0] for way in both_ways(before, now)] == ["same", "same"]


def test_scorings_that_cannot_be_compared_are_refused(book):
    before, now = scored(book, THEN), scored(book, NOW)
    a, b = HouseholdScoring.of(before, "h001"), HouseholdScoring.of(now, "h001")
    for other, found in (
        (dataclasses.replace(b, model_version="v2"), "one model"),
        (dataclasses.replace(b, horizon_months=6), "one horizon"),
        (dataclasses.replace(b, household_id="h002"), "one household"),
    ):
        with pytest.raises(DataError, match=found):
            moved_between(a, other)
    with pytest.raises(DataError, match="at least one scoring"):
        moved_between(None, None)
    with pytest.raises(DataError, match="one model"):
        what_changed(before, dataclasses.replace(now, model_version="v2"))
