"""What holds for the reasons of any model: random models of the real catalogue, on random households, looked
at from outside.
"""

from __future__ import annotations

import datetime as dt
import re

import lightgbm as lgb
import numpy as np
import pytest

from riskmodel.explaining.contributions import Explainer
from riskmodel.features.catalogue import load_catalogue
from riskmodel.features.matrix import FeatureMatrix
from riskmodel.screening.reasons import COMMON, MOST_RAISING, give_reasons
from riskmodel.screening.reference import Reference
from riskmodel.screening.wordbook import COUNTS, NEVER_A_REASON, Wordbook

DAY = dt.date(2025, 12, 31)
N = 900
TOWNSHIPS = 3
SAME = (
    "self_paid_3m",
    "self_paid_6m",
    "self_paid_12m",
    "self_paid_24m",
    "self_paid_income_share_12m",
    "largest_bill_12m",
)


def random_county(catalogue, seed):
    """Values that fit each unit; the medical features nearly the same, as in life; a tenth unknown, a fifth
    of all amounts nothing.
    """
    draw = np.random.default_rng(seed)
    names = tuple(catalogue.with_status("active"))
    columns = []
    for name in names:
        entry = catalogue[name]
        if entry.unit == "flag":
            column = (draw.random(N) < draw.uniform(0.02, 0.9)).astype(float)
        elif entry.unit in COUNTS or entry.unit == "level":
            column = draw.poisson(draw.uniform(0.2, 3), N).astype(float)
        else:
            scale = {"yuan": 3000.0, "yuan_per_person": 5000.0, "days": 100.0, "years": 20.0}.get(
                entry.unit, 0.5
            )
            column = draw.gamma(1.0, scale, N)
            if entry.sentence.zh.negative is not None:
                column -= scale
            column[draw.random(N) < 0.2] = 0.0
        column[draw.random(N) < 0.1] = np.nan
        columns.append(column)
    values = np.column_stack(columns)
    cost = draw.gamma(0.7, 4000.0, N)
    for name in SAME:
        values[:, names.index(name)] = cost * draw.uniform(0.9, 1.1, N) * (1e-4 if "share" in name else 1.0)
    villages = np.array([f"52230110{place % TOWNSHIPS}{place % 2:03d}" for place in range(N)], dtype=object)
    ids = np.array([f"h{place:05d}" for place in range(N)], dtype=object)
    return FeatureMatrix(DAY, ids, villages, names, np.ascontiguousarray(values)), cost


@pytest.fixture(params=[0, 1, 2], scope="module")
def explained(request, project):
    """(catalogue, county, its reasons by a model that was trained on a random outcome)."""
    catalogue = load_catalogue(project)
    matrix, cost = random_county(catalogue, request.param)
    draw = np.random.default_rng(request.param + 100)
    filled = np.nan_to_num(matrix.values / np.nanstd(matrix.values, axis=0))
    outcome = filled @ draw.normal(size=filled.shape[1]) * 0.3 + cost / 4000 + draw.normal(size=N) > 1.0
    booster = lgb.train(
        {
            "objective": "binary",
            "verbose": -1,
            "num_threads": 1,
            "num_leaves": 15,
            "seed": 1,
            "feature_fraction": 0.5,
        },
        lgb.Dataset(matrix.values, outcome.astype(float)),
        60,
    )
    contributions, _ = Explainer.from_booster_texts([booster.model_to_string()]).contributions(matrix.values)
    book = Wordbook.load(project, catalogue)
    table = give_reasons(
        book,
        matrix.names,
        matrix.values,
        contributions,
        matrix.village_code,
        Reference.of(matrix),
        as_of=DAY,
    )
    return catalogue, matrix, table


def reason_when(matrix, table):
    """(row, raises, place of the feature) of every reason."""
    for row, slot in np.argwhere(table.feature >= 0):
        yield int(row), bool(slot < MOST_RAISING), int(table.feature[row, slot])


def test_no_told_reason_contradicts_the_direction_that_the_catalogue_declares(explained):
    catalogue, matrix, table = explained
    townships = matrix.village_code.astype("U9")
    columns = {code: matrix.values[townships == code] for code in np.unique(townships)}
    sentences, seen = table.sentences("zh"), 0
    for row, raises, place in reason_when(matrix, table):
        entry, value = catalogue[matrix.names[place]], matrix.values[row, place]
        where = f"{matrix.names[place]} = {value}, raises {raises}: {sentences[row]}"
        assert not np.isnan(value), where
        assert entry.family not in NEVER_A_REASON and entry.reason_when, where
        around = columns[townships[row]][:, place]
        around = around[~np.isnan(around)]
        high = (around < value).mean() > (around > value).mean()
        way = "raises" if raises else "lowers"
        assert f"{'high' if high else 'low'}_{way}" in entry.reason_when, where
        if entry.riskier_when != "unclear":
            assert high == ((entry.riskier_when == "higher") == raises), where
        assert (around == value).mean() < COMMON, where
        if entry.unit == "flag":
            assert (value != 0) == high, where
        if "变化" in entry.label.zh:
            assert (value > 0) == high and value != 0, where
        seen += 1
    assert seen > 1000


def test_what_speaks_of_the_same_thing_gives_one_reason(explained):
    catalogue, matrix, table = explained
    for row in range(N):
        for part in (table.feature[row, :MOST_RAISING], table.feature[row, MOST_RAISING:]):
            entries = [catalogue[matrix.names[place]] for place in part if place >= 0]
            topics = [entry.topic for entry in entries]
            assert len(set(topics)) == len(topics)
            assert not any(topic in entry.covers for entry in entries for topic in topics), topics
        assert sum(matrix.names[place] in SAME for place in table.feature[row] if place >= 0) <= 1


def test_every_text_ends_once_and_says_nothing_twice(explained):
    _, _, table = explained
    for language, unknown in (("zh", "暂无"), ("en", "There is no record for")):
        for text in table.texts(language):
            assert unknown not in text and not re.search(r"\bnan\b|\bNone\b(?! of)", text)
            assert text.endswith("。" if language == "zh" else ".") and not text.endswith(("。。", ".."))
            assert "  " not in text and "，，" not in text


def test_one_by_one_reads_as_in_the_batch(explained):
    _, _, table = explained
    zh, en = table.sentences("zh"), table.sentences("en")
    for row in range(0, N, 50):
        alone = table.only(np.array([row]))
        assert alone.sentences("zh")[0].tolist() == zh[row].tolist()
        assert alone.sentences("en")[0].tolist() == en[row].tolist()
