"""Scores through the service are what a batch run says, bit for bit, and everything that cannot be used is
refused quickly in one shape.
"""

from __future__ import annotations

import copy
import datetime as dt
import json

import numpy as np
import orjson
import polars as pl
import pytest

from riskmodel.casebook.roles import Who
from riskmodel.errors import ModelError
from riskmodel.serving.reading import read
from riskmodel.serving.releases.release import newest_release
from riskmodel.serving.requests import scores_request
from riskmodel.serving.scorer import Scorer, score_rows
from riskmodel.serving.scores import ScoresAnswer

AS_OF = dt.date(2025, 12, 31)
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def scorer(trained):
    return Scorer.open(trained[0])


def agrees(told, scores):
    """Whether what was answered about one household is what the batch run says."""
    household = told["household_id"]
    row, reasons = scores.row(household), scores.reasons(household)
    for name in ("feature_hash", "probability", "low", "high", "margin", "notes_zh", "notes_en"):
        assert told[name] == row[name], (household, name)
    assert [(one["zh"], one["en"], one["risk_kind"], one["raises"]) for one in told["reasons"]] == [
        (one.zh, one.en, one.risk_kind, one.raises) for one in reasons
    ]
    assert told["risk_kinds"] == list(reasons.risk_kinds)


def test_one_household_by_the_api_is_the_batch_score_bit_for_bit(trained, scorer):
    _, tables, scores, _ = trained
    for household in np.random.default_rng(5).choice(
        scores.frame["household_id"].to_numpy(), 40, replace=False
    ):
        asked = read(orjson.dumps(scores_request(tables, [household], AS_OF)))
        (told,) = score_rows(scorer.release, asked.rows, AS_OF, 12)
        agrees(told, scores)


def test_many_households_at_once_are_the_same_bits_as_each_alone(trained, scorer):
    _, tables, scores, _ = trained
    some = sorted(
        np.random.default_rng(6).choice(scores.frame["household_id"].to_numpy(), 120, replace=False).tolist()
    )
    told = score_rows(scorer.release, read(orjson.dumps(scores_request(tables, some, AS_OF))).rows, AS_OF, 12)
    assert [one["household_id"] for one in told] == some
    for one in told:
        agrees(one, scores)


def test_a_household_whose_members_came_from_elsewhere_is_scored_the_same(trained, scorer):
    _, tables, scores, _ = trained
    homes = tables["members"].group_by("member_id").agg(pl.col("household_id").unique().alias("homes"))
    moved = homes.filter(pl.col("homes").list.len() > 1)["homes"].explode().unique()
    wanted = sorted(set(moved) & set(scores.frame["household_id"]))[:20]
    assert wanted, "the synthetic county has people who change household"
    for household in wanted:
        asked = read(orjson.dumps(scores_request(tables, [household], AS_OF)))
        agrees(score_rows(scorer.release, asked.rows, AS_OF, 12)[0], scores)


def test_the_service_scores_without_lightgbm_to_the_bits_of_lightgbm(trained, scorer):
    scores = trained[2]
    values = scores.values
    assert np.array_equal(scorer.release.margins(values), scorer.release.model.model.margins(values))
    draw = np.random.default_rng(7)
    strange = values[draw.integers(0, len(values), 4000)]
    strange = np.where(
        draw.random(strange.shape) < 0.2, np.nan, strange * draw.choice([0, 1e-40, -1, 1, 1e9], strange.shape)
    )
    assert np.array_equal(scorer.release.margins(strange), scorer.release.model.model.margins(strange))


def test_without_a_release_the_refusal_says_how_to_make_one(own_project):
    with pytest.raises(ModelError, match=r"no release to serve.*riskmodel release"):
        newest_release(own_project)


def test_the_running_service_answers_with_the_offline_score_and_what_it_carries(live):
    county = live.county
    household = county.household()
    body = scores_request(county.tables, [household], AS_OF) | {"idempotency_key": "case-4711-a"}
    with live.client(county.own["case_system"]) as client:
        answer = client.post("/v1/scores", content=orjson.dumps(body), headers=JSON)
        again = client.post("/v1/scores", content=orjson.dumps(body), headers=JSON)
    assert answer.status_code == 200, answer.text
    said = ScoresAnswer.model_validate_json(answer.content)
    assert again.content == answer.content
    assert said.signal_not_determination is True and said.signal_zh == "核实优先级信号，非认定结论"
    assert (
        said.as_of == AS_OF
        and said.valid_until == dt.date(2026, 4, 2)
        and said.idempotency_key == "case-4711-a"
    )
    assert said.model_version == county.scores.model_version
    assert said.data_dates["medical"] <= AS_OF
    assert answer.json()["scores"][0]["reasons"]
    agrees(answer.json()["scores"][0], county.scores)


def test_stored_households_are_answered_with_what_was_said_of_them(live):
    county = live.county
    some = sorted(county.scores.frame["household_id"][:5].to_list())
    body = {"as_of": "2025-12-31", "household_ids": some}
    with live.client(county.own["case_system"]) as client:
        answer = client.post("/v1/scores", json=body)
        assert answer.status_code == 200, answer.text
        ScoresAnswer.model_validate_json(answer.content)
        for one, household in zip(answer.json()["scores"], some, strict=True):
            assert one["household_id"] == household
            row = county.scores.row(household)
            assert (one["probability"], one["feature_hash"]) == (row["probability"], row["feature_hash"])
            assert [reason["zh"] for reason in one["reasons"]] == [
                reason.zh for reason in county.scores.reasons(household)
            ]
        unknown = client.post("/v1/scores", json=body | {"household_ids": [*some, "nobody-here"]})
    assert unknown.status_code == 404
    assert [fault["where"] for fault in unknown.json()["faults"]] == ["household_ids.5"]
    assert "nobody-here" not in unknown.text


def test_stored_scores_of_another_day_are_refused_with_the_days_that_there_are(live):
    county = live.county
    with live.client(county.own["case_system"]) as client:
        other = client.post("/v1/scores", json={"as_of": "2025-06-30", "household_ids": [county.household()]})
    assert other.status_code == 404
    [fault] = other.json()["faults"]
    assert (fault["where"], fault["found"]) == ("as_of", "no score of 2025-06-30"), fault
    assert "2025-12-31" in fault["expected"]


def test_a_household_outside_the_areas_of_the_key_is_not_there(live):
    county = live.county
    theirs, ours = county.elsewhere, county.household()
    with live.client(county.local["case_system"]) as client:
        for names in ([theirs], sorted([theirs, ours])):
            body = scores_request(county.tables, names, AS_OF)
            answer = client.post("/v1/scores", content=orjson.dumps(body), headers=JSON)
            assert answer.status_code == 404, answer.text
            assert theirs not in answer.text
        assert (
            client.post("/v1/scores", json={"as_of": "2025-12-31", "household_ids": [theirs]}).status_code
            == 404
        )
        answer = client.post(
            "/v1/scores", content=orjson.dumps(scores_request(county.tables, [ours], AS_OF)), headers=JSON
        )
        assert answer.status_code == 200
    with live.client(county.foreign["case_system"]) as client:
        answer = client.post(
            "/v1/scores", content=orjson.dumps(scores_request(county.tables, [ours], AS_OF)), headers=JSON
        )
        assert answer.status_code == 404


def test_all_faults_of_a_request_are_told_at_once_with_the_path_of_each(live):
    county = live.county
    bad = scores_request(county.tables, [county.household()], AS_OF)
    bad["tables"]["members"][0]["sex"] = "other"
    bad["tables"]["households"][0]["surprise"] = 1
    bad["horizon_months"] = "12"
    with live.client(county.own["case_system"]) as client:
        answer = client.post("/v1/scores", json=bad)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert {fault["where"] for fault in answer.json()["faults"]} == {
        "horizon_months",
        "tables.households.0.surprise",
        "tables.members.0.sex",
    }


def test_what_the_contract_says_about_rows_is_refused_without_repeating_an_id(live):
    county = live.county
    orphan = scores_request(county.tables, [county.household()], AS_OF)
    orphan["tables"].setdefault("medical", []).append(
        {
            "event_id": "x1",
            "member_id": "nobody77",
            "occurred_on": "2025-01-01",
            "known_on": "2025-01-02",
            "kind": "inpatient",
            "total_cost": 1.0,
            "reimbursed": 0.0,
            "self_paid": 1.0,
        }
    )
    with live.client(county.own["case_system"]) as client:
        answer = client.post("/v1/scores", json=orphan)
        assert answer.status_code == 422 and answer.json()["faults"]
        assert "nobody77" not in answer.text, "an answer never repeats ids that it was sent"
        other_day = scores_request(county.tables, [county.household()], AS_OF) | {"as_of": "2026-01-15"}
        answer = client.post("/v1/scores", json=other_day)
        assert answer.status_code == 422 and [fault["where"] for fault in answer.json()["faults"]] == [
            "as_of"
        ]
        gone = scores_request(county.tables, [county.household()], AS_OF)
        for member in gone["tables"]["members"]:
            member["left_on"] = "2025-01-01"
            member["known_on"] = "2025-02-01"
        gone["tables"]["members"] = list(
            {member["member_id"]: member for member in gone["tables"]["members"]}.values()
        )
        answer = client.post("/v1/scores", json=gone)
        assert answer.status_code == 422
        assert county.household() not in answer.text


@pytest.fixture(scope="module")
def good(live):
    return scores_request(live.county.tables, [live.county.household()], AS_OF)


def _rows(good, number):
    body = copy.deepcopy(good)
    row = {
        "household_id": body["tables"]["households"][0]["household_id"],
        "source": "wage",
        "occurred_on": "2025-03-01",
        "known_on": "2025-03-05",
        "amount": 1.0,
    }
    have = sum(len(rows) for rows in body["tables"].values()) - len(body["tables"]["income"])
    body["tables"]["income"] = [row | {"event_id": f"i{place}"} for place in range(number - have)]
    return orjson.dumps(body)


def _households(good, number):
    body = copy.deepcopy(good)
    body["tables"]["households"] = [
        body["tables"]["households"][0] | {"household_id": f"h{place}"} for place in range(number)
    ]
    return orjson.dumps(body)


REFUSED = {
    "no JSON": (400, lambda good: b"{not json"),
    "nothing": (400, lambda good: b""),
    "a list": (400, lambda good: b"[]"),
    "NaN": (400, lambda good: json.dumps(good).replace('"as_of"', '"extra": NaN, "as_of"', 1).encode()),
    "an infinite number": (
        400,
        lambda good: orjson.dumps(good).replace(b'"as_of"', b'"extra":1e999,"as_of"', 1),
    ),
    "an infinite amount": (
        400,
        lambda good: orjson.dumps(good).replace(b'"amount":', b'"amount":1e999,"x":', 1),
    ),
    "deep nesting": (400, lambda good: b'{"as_of":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "deep nesting below the parser's own limit": (
        400,
        lambda good: b'{"as_of":' + b"[" * 900 + b"]" * 900 + b"}",
    ),
    "not UTF-8": (400, lambda good: b'{"as_of":"\xff\xfe"}'),
    "both kinds of households": (400, lambda good: orjson.dumps(good | {"household_ids": ["h1"]})),
    "neither": (400, lambda good: b'{"as_of":"2025-12-31"}'),
    "another horizon": (400, lambda good: orjson.dumps(good | {"horizon_months": 7})),
    "a day that is none": (400, lambda good: orjson.dumps(good | {"as_of": "2025-02-30"})),
    "10,001 rows": (413, lambda good: _rows(good, 10_001)),
    "1,001 households": (413, lambda good: _households(good, 1_001)),
    "1,001 ids": (
        413,
        lambda good: orjson.dumps({"as_of": "2025-12-31", "household_ids": [f"h{n}" for n in range(1001)]}),
    ),
    "50 MB": (413, lambda good: b" " * 50_000_000),
    "33 MB of rows": (413, lambda good: orjson.dumps(good)[:-1] + b" " * 34_000_000 + b"}"),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_what_cannot_be_used_is_refused_quickly_with_its_own_code(live, good, what):
    status, make = REFUSED[what]
    body = make(good)
    with live.client(live.county.own["case_system"]) as client:
        answer = client.post("/v1/scores", content=body, headers=JSON)
        assert answer.status_code == status, (answer.status_code, answer.text[:500])
        problem = answer.json()
        assert problem["status"] == status and problem["title"] and problem["detail"]
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.elapsed.total_seconds() < 5
        assert client.post("/v1/scores", content=orjson.dumps(good), headers=JSON).status_code == 200


def test_10_000_rows_are_still_scored(live, good):
    with live.client(live.county.own["case_system"]) as client:
        assert client.post("/v1/scores", content=_rows(good, 10_000), headers=JSON).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/jsonp",
    ],
)
def test_another_content_type_is_refused(live, good, kind):
    with live.client(live.county.own["case_system"]) as client:
        answer = client.post("/v1/scores", content=orjson.dumps(good), headers={"content-type": kind})
    assert answer.status_code == 415


def test_nobody_s_body_is_read_and_every_refusal_is_counted(live):
    with live.client() as client:
        answer = client.post("/v1/scores", content=b" " * 34_000_000, headers=JSON)
    assert answer.status_code == 401, "who it is comes before how large it is"
    with live.client(live.county.own["operator"]) as client:
        assert 'riskmodel_answers_total{route="POST /v1/scores",status="401"}' in client.get("/metrics").text


def test_the_old_address_is_gone(live, good):
    with live.client(live.county.own["case_system"]) as client:
        assert client.post("/v1/score", content=orjson.dumps(good), headers=JSON).status_code == 404


def test_metrics_and_logs_count_without_naming_anybody(live, good):
    household = live.county.household()
    with live.client(live.county.own["case_system"]) as client:
        assert client.post("/v1/scores", content=orjson.dumps(good), headers=JSON).status_code == 200
        assert client.get("/metrics").status_code == 403
    with live.client(live.county.own["operator"]) as client:
        said = client.get("/metrics").text
    for name in (
        "riskmodel_households_scored_total",
        'riskmodel_answers_total{route="POST /v1/scores",status="200"}',
        "riskmodel_model_age_days",
        'riskmodel_data_age_days{table="medical"}',
        'riskmodel_refusals_total{status="403"}',
        "riskmodel_answer_seconds_bucket",
    ):
        assert name in said, name
    log = live.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any(line.get("route") == "POST /v1/scores" and line.get("status") == 200 for line in lines)
    assert household not in said
    assert household not in log, [line for line in log.splitlines() if household in line][:3]


def test_a_key_sees_what_its_areas_begin_with():
    assert Who("1", "n", "case_system", ("522301",), "p", "").sees("522301001001")
    assert not Who("1", "n", "case_system", ("522301002",), "p", "").sees("522301001001")
