"""Reasons: from contributions to what a visitor reads. Small tables, and the sentence worked out."""

from __future__ import annotations

import datetime as dt
import json
import re

import numpy as np
import pytest

from riskmodel.errors import DataError, ModelError, ProjectError
from riskmodel.features.catalogue import Catalogue
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.project import Project
from riskmodel.screening.reasons import MOST_RAISING, Reason, give_reasons
from riskmodel.screening.reference import Reference
from riskmodel.screening.wordbook import Wordbook
from riskmodel.vocabulary import RISK_KINDS

DAY = dt.date(2025, 12, 31)
NAMES = ("self_paid", "self_paid_share", "stays", "income", "pupils", "months_worked", "dropout", "age")


MANNERS = dict.fromkeys(("yuan", "yuan_per_person", "share", "ratio", "flag"), "amount") | {"km": "distance"}


def feature(zh, en, **rest):
    words = {
        "label": {"zh": zh, "en": en},
        "family": "illness",
        "sources": ["medical"],
        "window": "12m",
        "missing": {"zh": "无", "en": "none"},
        "riskier_when": "higher",
        "risk_kind": "illness",
        "status": "active",
        "manner": MANNERS.get(rest["unit"], "count") if rest.get("family") != "area" else "uncompared",
    }
    said = rest.pop("said", (f"{zh}{{value}}", f"{en} {{value}}"))
    zero, after = rest.pop("zero", (None, None)), rest.pop("after", (None, None))
    words["sentence"] = {
        language: {"value": said[place], "zero": zero[place], "after": after[place]}
        for place, language in enumerate(("zh", "en"))
    }
    return words | rest


@pytest.fixture
def declared(project) -> Project:
    return project


@pytest.fixture
def book(declared) -> Wordbook:
    catalogue = Catalogue.model_validate(
        {
            "self_paid": feature("自付医疗费", "self-paid medical cost", topic="medical cost", unit="yuan"),
            "self_paid_share": feature(
                "自付医疗费占收入",
                "self-paid cost of income",
                topic="medical cost",
                unit="share",
                amount="self_paid",
                said=("自付医疗费相当于收入的{value}", "self-paid cost comes to {value} of income"),
                after=("相当于收入的{value}", "{value} of income"),
            ),
            "stays": feature("住院", "hospital stays", topic="stays", unit="times"),
            "income": feature(
                "人均收入",
                "income",
                topic="income",
                unit="yuan",
                riskier_when="lower",
                sources=["income"],
                risk_kind="other",
            ),
            "pupils": feature(
                "在读", "in school", topic="school", unit="people", sources=["members"], risk_kind="education"
            ),
            "months_worked": feature(
                "务工",
                "worked",
                topic="work",
                unit="months",
                riskier_when="lower",
                sources=["employment"],
                risk_kind="employment",
            ),
            "dropout": feature(
                "疑似辍学",
                "a possible dropout",
                topic="dropout",
                unit="flag",
                said=("疑似辍学", "a possible dropout"),
                zero=("无人辍学", "nobody left school"),
                sources=["members"],
                risk_kind="education",
            ),
            "age": feature(
                "档案时间",
                "age of the register",
                topic="age",
                unit="days",
                family="freshness",
                riskier_when="unclear",
            ),
        }
    )
    return Wordbook.load(declared, catalogue)


def county(n=600, township=100, seed=1):
    """n households in townships of `township`; each value spread over its column."""
    draw = np.random.default_rng(seed)
    values = np.column_stack(
        [
            draw.permutation(n) * 100.0,
            draw.permutation(n) / n,
            draw.poisson(1.0, n),
            draw.permutation(n) * 50.0,
            draw.integers(0, 4, n),
            draw.integers(0, 13, n),
            (np.arange(n) % 25 == 0),
            draw.integers(0, 300, n),
        ]
    ).astype(float)
    village = np.array([f"522301{place // township:03d}{place % 7:03d}" for place in range(n)], dtype=object)
    ids = np.array([f"h{place:05d}" for place in range(n)], dtype=object)
    return FeatureMatrix(DAY, ids, village, NAMES, values)


def told(book, matrix, contributions, **more):
    reference = more.pop("reference", None) or Reference.of(matrix, more.pop("dates", {}))
    return give_reasons(
        book, NAMES, matrix.values, contributions, matrix.village_code, reference, as_of=DAY, **more
    )


def pushed(matrix, **by):
    """Contributions of zero but for the named features."""
    given = np.zeros(matrix.values.shape)
    for name, amount in by.items():
        given[:, NAMES.index(name)] = amount
    return given


def test_a_reason_carries_value_comparison_and_date_of_the_data(book):
    matrix = county()
    row = int(np.argsort(matrix.values[:100, 0])[-3])  # 97 of 100 in the township paid less
    table = told(book, matrix, pushed(matrix, self_paid=1.0), dates={"medical": dt.date(2025, 11, 20)})
    money = f"{matrix.values[row, 0]:,.0f}"
    assert (
        table.texts("zh")[row] == f"自付医疗费{money}元，高于本乡镇95%的农户（医保数据截至2025年11月20日）。"
    )
    assert table.texts("en")[row] == (
        f"Self-paid medical cost {money} yuan, higher than for 95% of households in the township "
        "(medical insurance data to 20 November 2025)."
    )


def test_features_that_speak_of_the_same_thing_give_one_reason_told_by_the_heaviest(book):
    matrix = county()
    table = told(book, matrix, pushed(matrix, self_paid=0.4, self_paid_share=0.6))
    row = int(np.argmax(np.minimum(matrix.values[:, 0] / 60_000, matrix.values[:, 1])))
    reasons = table.of(row)
    assert [reason.topic for reason in reasons] == ["medical cost"]
    assert reasons[0].feature == "self_paid_share" and "，相当于收入的" in reasons[0].zh
    assert reasons[0].strength == pytest.approx(1.0)


def test_an_amount_is_told_with_its_share_of_income_where_they_agree(book):
    matrix = county(township=600)
    values = matrix.values.copy()
    values[0, :2], values[1, :2] = (59_900.0, 0.61), (59_950.0, 0.02)
    both = FeatureMatrix(DAY, matrix.household_id, matrix.village_code, NAMES, values)
    table = told(book, both, pushed(matrix, self_paid=0.9, self_paid_share=0.3))
    assert table.of(0)[0].zh == "自付医疗费59,900元，高于本乡镇99%的农户，相当于收入的61%"
    assert table.of(0)[0].en == (
        "self-paid medical cost 59,900 yuan, higher than for 99% of households in the township, 61% of income"
    )
    assert table.of(1)[0].zh == "自付医疗费60,000元，高于本乡镇99%的农户", (
        "a low share does not speak for a high cost"
    )
    assert table.sentences("zh")[:2, 0].tolist() == [table.of(0)[0].zh, table.of(1)[0].zh], (
        "one by one and in the batch"
    )
    share = told(book, both, pushed(matrix, self_paid=0.3, self_paid_share=0.9))
    assert share.of(0)[0].zh.startswith("自付医疗费59,900元，相当于收入的61%，高于本乡镇"), (
        "what is compared stands before the comparison"
    )


def test_a_reason_never_contradicts_the_declared_direction(book):
    matrix = county()
    draw = np.random.default_rng(0)
    given = draw.normal(size=matrix.values.shape)
    table = told(book, matrix, given)
    reference = Reference.of(matrix)
    medians = {}
    for name in NAMES:
        for township in np.unique(matrix.village_code.astype(str)):
            inside = np.array([code[:9] == township[:9] for code in matrix.village_code])
            medians[name, township[:9]] = np.median(matrix.column(name)[inside])
    assert reference.areas
    seen = 0
    for row in range(len(matrix)):
        for reason in table.of(row):
            name = next(
                name
                for name in NAMES
                if book.catalogue[name].topic == reason.topic and reason.unit == book.catalogue[name].unit
            )
            riskier = book.catalogue[name].riskier_when
            if riskier == "unclear":
                continue
            median = medians[name, matrix.village_code[row][:9]]
            high_expected = (riskier == "higher") == reason.raises
            seen += 1
            assert reason.value >= median if high_expected else reason.value <= median, reason
            assert ("低于" not in reason.zh) if high_expected else ("高于" not in reason.zh), reason.zh
    assert seen > 500


def test_where_the_heaviest_feature_contradicts_the_next_of_its_topic_speaks_or_nobody(book):
    matrix = county()
    row = int(np.argmin(matrix.values[:, 0]))  # paid least of all: high cost cannot be its reason
    values = matrix.values.copy()
    values[row, 1] = 0.999
    changed = FeatureMatrix(DAY, matrix.household_id, matrix.village_code, NAMES, values)
    assert (
        told(book, changed, pushed(matrix, self_paid=1.0, self_paid_share=0.5))
        .of(row)[0]
        .zh.startswith("自付医疗费相当于收入的")
    )
    alone = told(book, changed, pushed(matrix, self_paid=1.0))
    assert alone.of(row) == []
    assert alone.texts("zh")[row] == "记录中没有哪一方面明显抬高风险。"
    assert alone.risk_kinds[row] == ""


def test_three_to_five_reasons_raise_and_at_most_two_lower(book):
    matrix = county()
    draw = np.random.default_rng(4)
    table = told(book, matrix, draw.normal(size=matrix.values.shape) * 3)
    raising = (table.feature[:, :MOST_RAISING] >= 0).sum(axis=1)
    lowering = (table.feature[:, MOST_RAISING:] >= 0).sum(axis=1)
    assert raising.max() <= 5 and lowering.max() <= 2 and lowering.max() > 0
    for row in range(50):
        sums = [reason.strength for reason in table.of(row) if reason.raises]
        assert sums == sorted(sums, reverse=True), "heaviest first"


def test_how_old_the_data_are_is_no_reason_of_the_household(book):
    matrix = county()
    table = told(book, matrix, pushed(matrix, age=5.0))
    assert all(not table.of(row) for row in range(20))


def test_a_stale_source_is_said_with_the_reason_and_for_the_household(book):
    matrix = county()
    fresh_but = {"medical": DAY, "income": DAY}
    low = pushed(matrix, months_worked=1.0)
    row = int(np.argmin(matrix.values[:, NAMES.index("months_worked")]))
    stale = told(book, matrix, low, dates=fresh_but | {"employment": dt.date(2025, 9, 30)})
    assert stale.of(row)[0].zh.endswith("（务工数据已3个月未更新）")
    assert stale.of(row)[0].en.endswith("(employment data not renewed for 3 months)")
    assert stale.notes("zh")[row] == "务工数据已3个月未更新"
    fresh = told(book, matrix, low, dates=fresh_but | {"employment": dt.date(2025, 12, 20)})
    assert fresh.notes("zh") == [""] * len(matrix)
    own = np.full(len(matrix), 10.0)
    own[row] = 200.0
    one = told(
        book, matrix, low, dates=fresh_but | {"employment": dt.date(2025, 12, 20)}, ages={"employment": own}
    )
    assert one.notes("zh")[row] == "务工数据已6个月未更新"
    assert sum(bool(note) for note in one.notes("zh")) == 1


def test_a_source_that_delivered_nothing_is_said(book):
    matrix = county(60)
    notes = told(
        book, matrix, pushed(matrix, self_paid=1.0), dates={"medical": DAY, "income": DAY, "members": DAY}
    )
    assert set(notes.notes("zh")) == {"没有务工数据"} and set(notes.notes("en")) == {"no employment data"}
    assert set(told(book, matrix, pushed(matrix, self_paid=1.0)).notes("zh")) == {""}, (
        "without any date nothing is known about it"
    )


def test_what_is_counted_about_neighbours_is_told_coarsely_and_not_in_small_villages(declared):
    neighbours = feature(
        "本村有{value}的其他农户正在监测",
        "monitored neighbours",
        topic="village",
        unit="share",
        family="area",
        said=("本村有{value}的其他农户正在监测", "{value} of the other households are monitored"),
    )
    book = Wordbook.load(declared, Catalogue.model_validate({"village_monitored_share": neighbours}))
    n = 90
    village = np.array(
        [f"522301001{0 if place < 60 else 1 + place % 3:03d}" for place in range(n)], dtype=object
    )  # 60, and three of 10
    values = np.linspace(0.013, 0.2, n)[:, None]
    ids = np.array([f"h{place:02d}" for place in range(n)], dtype=object)
    matrix = FeatureMatrix(DAY, ids, village, ("village_monitored_share",), values)
    table = give_reasons(
        book, matrix.names, values, np.ones((n, 1)), village, Reference.of(matrix), as_of=DAY
    )
    texts = table.sentences("zh")[:, 0]
    assert (texts[60:] == "").all(), "ten households are too few"
    assert set(texts[:60]) - {""} <= {
        "本村有不到5%的其他农户正在监测",
        "本村有约5%的其他农户正在监测",
        "本村有约10%的其他农户正在监测",
        "本村有约15%的其他农户正在监测",
    }
    assert (texts[:60] != "").any()


def test_an_unknown_value_is_never_a_reason(book):
    matrix = county()
    values = matrix.values.copy()
    values[:50, 0] = np.nan
    values[:50, 1] = np.r_[np.full(25, np.nan), np.full(25, 0.99)]
    gaps = FeatureMatrix(DAY, matrix.household_id, matrix.village_code, NAMES, values)
    for sign in (1.0, -1.0):
        table = told(book, gaps, pushed(matrix, self_paid=sign, self_paid_share=0.1 * sign))
        assert all(table.of(row) == [] for row in range(25)), (
            "that nothing is known stands in the notes on the data"
        )
    table = told(book, gaps, pushed(matrix, self_paid=1.0, self_paid_share=0.1))
    assert table.of(30)[0].zh.startswith("自付医疗费相当于收入的99%"), "the next of its topic speaks"


def test_a_rare_flag_is_compared_by_how_many_share_it(book):
    matrix = county(township=600)
    table = told(book, matrix, pushed(matrix, dropout=1.0))
    assert table.of(0)[0].zh == "疑似辍学，本乡镇约4%的农户有此情况"
    assert table.of(1) == [], "nobody left school does not raise the risk"
    lowered = told(book, matrix, pushed(matrix, dropout=-1.0))
    assert lowered.of(1) == [], "what 96 % of the neighbours share is no comfort"
    assert lowered.of(0) == []
    half = matrix.values.copy()
    half[::2, NAMES.index("dropout")] = 1.0
    often = FeatureMatrix(DAY, matrix.household_id, matrix.village_code, NAMES, half)
    assert [reason.zh for reason in told(book, often, pushed(matrix, dropout=-1.0)).of(1)] == ["无人辍学"]


def test_a_small_township_gives_way_to_the_county_and_a_small_county_to_silence(book):
    small = county(n=290, township=29)
    row = int(np.argmax(small.values[:, 0]))
    assert "本县" in told(book, small, pushed(small, self_paid=1.0)).of(row)[0].zh
    tiny = county(n=29, township=29)
    reason = told(book, tiny, pushed(tiny, self_paid=1.0)).of(int(np.argmax(tiny.values[:, 0])))[0]
    assert "%" not in reason.zh and reason.level == ""


@pytest.mark.parametrize("size", [30, 60, 120, 400, 1000])
def test_no_comparison_leaves_fewer_than_five_households_beyond_it(book, size):
    matrix = county(n=size, township=size)
    for name, sign in (("self_paid", 1), ("income", 1), ("self_paid", -1)):
        table = told(book, matrix, pushed(matrix, **{name: float(sign)}))
        for row in range(size):
            for reason in table.of(row):
                found = re.search(r"(\d+)%的农户", reason.zh)
                if found:
                    percent = int(found[1])
                    assert percent <= 100 * (1 - 5 / size) + 1e-9
                    assert percent % (1 if size >= 500 else 5 if size >= 100 else 10) == 0
                    below = (
                        (matrix.column(name) < reason.value).mean()
                        if "高于" in reason.zh
                        else (matrix.column(name) > reason.value).mean()
                    )
                    assert percent <= 100 * below + 1e-9, "never more than is true"


def test_comparisons_come_back_from_a_folder_and_single_households_read_as_in_the_batch(book, tmp_path):
    matrix = county(n=3000, township=500)
    reference = Reference.of(matrix, {"medical": DAY})
    reference.save(tmp_path)
    again = Reference.load(tmp_path)
    draw = np.random.default_rng(2)
    given = draw.normal(size=matrix.values.shape)
    batch = told(book, matrix, given, reference=reference)
    for row in (0, 77, 1999):
        one = matrix.rows(np.array([row]))
        alone = told(book, one, given[[row]], reference=again)
        assert alone.texts("zh")[0] == batch.texts("zh")[row]
        assert alone.texts("en")[0] == batch.texts("en")[row]
    (tmp_path / "reference.npz").write_bytes(b"damaged")
    with pytest.raises(ModelError):
        Reference.load(tmp_path)


def test_the_order_of_households_changes_no_word(book):
    matrix = county()
    draw = np.random.default_rng(3)
    given = draw.normal(size=matrix.values.shape)
    turn = draw.permutation(len(matrix))
    first = told(book, matrix, given).texts("zh")
    second = told(book, matrix.rows(turn), given[turn]).texts("zh")
    assert [first[place] for place in turn] == second


def test_no_text_shows_a_feature_name_or_a_contribution(book):
    matrix = county()
    table = told(book, matrix, np.random.default_rng(5).normal(size=matrix.values.shape))
    for text in table.texts("en") + table.texts("zh"):
        assert not any(name in text for name in ("self_paid_share", "months_worked", "self_paid "))
        assert not re.search(r"log-odds|SHAP|margin|approve|reject|eligible|determination", text)


def test_risk_kinds_are_those_of_the_told_reasons_heaviest_first(book):
    matrix = county()
    rows = np.flatnonzero(
        (matrix.values[:, 0] > 50_000)
        & (matrix.column("months_worked") <= 3)
        & (matrix.column("pupils") == 3)
    )
    table = told(book, matrix, pushed(matrix, self_paid=0.5, months_worked=0.9, pupils=0.2))
    assert len(rows)
    for row in rows:
        assert table.risk_kinds[row] == "employment;illness;education"


def test_what_to_check_names_each_kind_and_measures_with_and_without_labour(book):
    assert set(book.checks) == set(RISK_KINDS)
    both = book.to_check(["illness", "labour"], None, "zh")
    assert both.startswith("因病：") and "\n缺劳动力：" in both and "无劳动力：" in both
    assert "综合保障" in book.to_check(["labour"], False, "zh")
    assert "公益岗位" in book.to_check(["labour"], True, "zh")
    assert book.to_check(["illness"], False, "en").startswith("Illness: who is ill")
    assert book.to_check([], True, "en") == ""
    for check in book.checks.values():
        for words in (check.verify, check.with_labour, check.without_labour):
            assert not re.search(
                r"应给予|应纳入|发放|停发|approve|reject|eligible|grant the", words.zh + words.en
            )


def test_a_missing_risk_kind_in_the_codelist_is_said_with_file_and_line(declared, tmp_path):
    folder = tmp_path / "features" / "codelists"
    folder.mkdir(parents=True)
    for name in ("checks.yaml", "sources.yaml"):
        text = (declared.root / "features" / "codelists" / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("\nwater:\n", "\nwatr:\n"), encoding="utf-8")
    with pytest.raises(ProjectError, match="no entry `water`") as caught:
        Wordbook.load(Project(tmp_path), Catalogue.model_validate({}))
    assert any("checks.yaml:" in fault.where and "watr" in fault.found for fault in caught.value.faults)


def one_feature(declared, values, *, contribution=1.0, **changes):
    """The first reasons of a township in which one feature, pushed up or down, is all there is. Shape (n,):
    texts in Chinese, empty where silent.
    """
    sentence = {"value": "数值{value}", "zero": "没有"} | changes.pop("zh", {})
    english = {key: "value {value}" if "{value}" in text else "none" for key, text in sentence.items()}
    entry = feature(changes.pop("label", "数值"), "value", topic="one", **changes)
    entry["sentence"] = {"zh": sentence, "en": english}
    book = Wordbook.load(declared, Catalogue.model_validate({"one": entry}))
    column = np.asarray(values, dtype=float)[:, None]
    n = len(column)
    villages = np.full(n, "522301001001", dtype=object)
    matrix = FeatureMatrix(
        DAY, np.array([f"h{place:05d}" for place in range(n)], dtype=object), villages, ("one",), column
    )
    given = np.full((n, 1), contribution)
    table = give_reasons(book, ("one",), column, given, villages, Reference.of(matrix), as_of=DAY)
    return np.array(
        [(row[:MOST_RAISING] if contribution > 0 else row[MOST_RAISING:])[0] for row in table.sentences("zh")]
    )


EVEN = np.arange(1.0, 201.0)


def test_a_feature_whose_direction_is_unclear_is_silent_unless_the_catalogue_says_when_it_is_told(declared):
    for contribution in (1.0, -1.0):
        silent = one_feature(declared, EVEN, contribution=contribution, unit="yuan", riskier_when="unclear")
        assert set(silent) == {""}
    high = one_feature(declared, EVEN, unit="yuan", riskier_when="unclear", tell=["high_raises"])
    assert high[-1].startswith("数值200元，高于本乡镇") and set(high[:160]) == {""}, (
        "and then only where it stands out"
    )
    assert set(
        one_feature(
            declared, EVEN, contribution=-1.0, unit="yuan", riskier_when="unclear", tell=["high_raises"]
        )
    ) == {""}


def test_a_declared_direction_can_be_narrowed_but_not_turned_round(declared):
    assert set(one_feature(declared, EVEN, contribution=-1.0, unit="km", tell=["high_raises"])) == {""}
    assert one_feature(declared, EVEN, unit="km", tell=["high_raises"])[-1].startswith(
        "数值200公里，比本乡镇"
    )
    with pytest.raises(ValueError, match="may only narrow riskier_when"):
        one_feature(declared, EVEN, unit="km", tell=["high_lowers"])


def test_an_ordinary_amount_is_no_reason(declared):
    for sign in (1.0, -1.0):
        said = one_feature(declared, EVEN, contribution=sign, unit="yuan")
        told_of = np.flatnonzero(said != "")
        assert ((told_of >= 119) if sign > 0 else (told_of <= 80)).all() and len(told_of) > 60
        assert all("%的农户" in text for text in said[told_of])


def test_a_fall_is_no_comfort_because_others_fell_deeper_and_a_loss_none_because_others_lost_more(declared):
    falls = np.linspace(-0.9, 0.1, 200)  # nearly everybody earns less than before
    words = {
        "zh": {"negative": "减少{value}", "value": "增加{value}"},
        "label": "工资变化",
        "manner": "change",
        "unit": "share",
        "riskier_when": "lower",
    }
    assert set(one_feature(declared, falls, contribution=-1.0, **dict(words))[falls < 0]) == {""}
    assert set(one_feature(declared, falls + 0.8, contribution=1.0, **dict(words))[falls + 0.8 > 0]) == {
        ""
    }, "a rise does not raise the risk"
    losses = np.linspace(-20_000.0, 1_000.0, 200)
    words = {"zh": {"negative": "亏{value}", "value": "收入{value}"}, "unit": "yuan", "riskier_when": "lower"}
    comforted = one_feature(declared, losses, contribution=-1.0, **dict(words))
    assert set(comforted[losses < 0]) == {""} and comforted[-1].startswith("收入1,000元")


def test_one_ill_member_is_not_few_because_others_have_more(declared):
    ill = np.repeat([0.0, 1.0, 2.0, 3.0], 50)
    lowered = one_feature(declared, ill, contribution=-1.0, unit="people")
    assert set(lowered[ill > 0]) == {""} and set(lowered[ill == 0]) == {"没有"}


def test_of_a_whole_and_its_part_only_the_part_is_told_whichever_is_heavier(declared):
    entries = {
        "medical": feature("医疗费", "medical cost", topic="medical", unit="yuan"),
        "rigid": feature("刚性支出", "rigid spending", topic="rigid", unit="yuan", covers=["medical"]),
        "work": feature("未务工", "without work", topic="work", unit="people"),
    }
    book = Wordbook.load(declared, Catalogue.model_validate(entries))
    n = 200
    values = np.column_stack([np.arange(n) * 100.0, np.arange(n) * 110.0, np.arange(n) % 4]).astype(float)
    villages = np.full(n, "522301001001", dtype=object)
    matrix = FeatureMatrix(
        DAY, np.array([f"h{place:05d}" for place in range(n)], dtype=object), villages, tuple(entries), values
    )
    for weights, order in (
        ((0.5, 0.9, 0.3), ["medical", "work"]),
        ((0.9, 0.5, 0.6), ["medical", "work"]),
        ((0.2, 0.9, 0.6), ["medical", "work"]),
    ):
        table = give_reasons(
            book, tuple(entries), values, np.tile(weights, (n, 1)), villages, Reference.of(matrix), as_of=DAY
        )
        assert [reason.topic for reason in table.of(n - 1)] == order
    alone = give_reasons(
        book,
        tuple(entries),
        values,
        np.tile([0.0, 0.9, 0.0], (n, 1)),
        villages,
        Reference.of(matrix),
        as_of=DAY,
    )
    assert [reason.topic for reason in alone.of(n - 1)] == ["rigid"], (
        "where the part is silent the whole speaks"
    )
    with pytest.raises(ValueError, match="covers names `nowhere`"):
        Catalogue.model_validate({"rigid": entries["rigid"] | {"covers": ["nowhere"]}})


def test_the_date_of_a_source_is_said_once_a_household(book):
    matrix = county()
    dates = {
        "medical": dt.date(2025, 11, 20),
        "employment": dt.date(2025, 12, 1),
        "income": DAY,
        "members": DAY,
    }
    given = pushed(matrix, self_paid=1.0, stays=0.9, months_worked=0.8, income=0.7)
    table = told(book, matrix, given, dates=dates)
    both = 0
    for text, reasons in zip(table.texts("zh"), (table.of(row) for row in range(len(matrix))), strict=True):
        assert text.count("2025年11月20日") <= 1
        both += sum("medical" in reason.sources for reason in reasons) == 2
        assert ("2025年11月20日" in text) == any("medical" in reason.sources for reason in reasons)
    assert both > 20, "two reasons rest on one source often enough for this to mean something"


def test_a_reason_can_be_kept_as_json_and_read_again(book):
    matrix = county()
    table = told(book, matrix, np.random.default_rng(6).normal(size=matrix.values.shape))
    for row in range(40):
        for reason in table.of(row):
            assert Reason.from_dict(json.loads(json.dumps(reason.as_dict(), allow_nan=False))) == reason
    with pytest.raises(DataError, match="missing or foreign: weight"):
        Reason.from_dict({key: value for key, value in table.of(0)[0].as_dict().items() if key != "weight"})
