"""What a case system may send wrongly without noticing: repeated keys, another character set, a compressed
body, digits of other scripts.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from riskmodel.serving.bodies import repeated_keys
from riskmodel.serving.reading import read_plain
from riskmodel.serving.requests import scores_request
from tests.serving.conftest import AS_OF, CYCLE

JSON = {"content-type": "application/json"}


@pytest.fixture
def screener(service):
    return service.client(service.county.own["screener"])


@pytest.fixture
def case_system(service):
    return service.client(service.county.own["case_system"])


@pytest.fixture
def rows_of_one(service):
    """A scoring request of a listed household, as text."""
    county = service.county
    scored = county.scores.frame["household_id"][0]
    return json.dumps(scores_request(county.tables, [scored], dt.date.fromisoformat(AS_OF)))


@pytest.mark.parametrize(
    ("key", "twice"),
    [
        ("sex", ('"sex": "', '"sex": "male", "sex": "')),
        ("as_of", ('"as_of": ', '"as_of": "2024-12-31", "as_of": ')),
        ("horizon_months", ('"horizon_months": ', '"horizon_months": 3, "horizon_months": ')),
        ("members", ('"members": ', '"members": [], "members": ')),
        ("tables", ('"tables": ', '"tables": {}, "tables": ')),
        ("sex", ('"sex": "', '"s\\u0065x": "male", "sex": "')),
    ],
)
def test_a_key_that_stands_twice_is_refused_and_never_scored_by_one_of_the_two(
    case_system, rows_of_one, key, twice
):
    assert case_system.post("/v1/scores", content=rows_of_one, headers=JSON).status_code == 200
    body = rows_of_one.replace(*twice, 1)
    assert read_plain(body.encode()) is None
    refused = case_system.post("/v1/scores", content=body, headers=JSON)
    assert refused.status_code == 400 and [fault["where"] for fault in refused.json()["faults"]] == [key]


def test_a_result_with_a_key_that_stands_twice_is_refused(screener, service):
    body = json.dumps(
        {
            "list_hash": service.county.visit_list.hash,
            "idempotency_key": "bodies-0001",
            "results": [
                {"household_id": service.county.household(), "visited_on": "2026-01-09", "outcome": "no_risk"}
            ],
        }
    )
    twice = body.replace('"outcome": ', '"outcome": "unreachable", "outcome": ')
    assert screener.post("/v1/verifications", content=twice, headers=JSON).status_code == 400


def test_the_number_of_a_person_as_a_repeated_key_is_not_said_again():
    number = "110101199003074477"
    assert [
        fault.where
        for fault in repeated_keys(json.dumps({number: 1})[:-1].encode() + f', "{number}": 2}}'.encode())
    ] == ["…"]


@pytest.mark.parametrize(
    ("headers", "where"),
    [
        ({"content-type": "application/json; charset=gbk"}, "content-type"),
        ({"content-type": "application/json; charset=latin-1"}, "content-type"),
        ({"content-type": "text/json"}, "content-type"),
        ({}, "content-type"),
        (JSON | {"content-encoding": "gzip"}, "content-encoding"),
        (JSON | {"content-encoding": "br"}, "content-encoding"),
    ],
)
@pytest.mark.parametrize(
    ("path", "role"),
    [("/v1/scores", "case_system"), ("/v1/verifications", "screener"), ("/v1/session", "screener")],
)
def test_a_body_in_another_form_is_refused_for_its_form(service, path, role, headers, where):
    content = gzip.compress(b"{}") if headers.get("content-encoding") == "gzip" else b"{}"
    answer = service.client(service.county.own[role]).post(path, content=content, headers=headers)
    assert answer.status_code == 415 and [fault["where"] for fault in answer.json()["faults"]] == [where]


@pytest.mark.parametrize(
    "kind", ['application/json; charset="UTF-8"', "application/JSON", "application/json;charset=utf-8"]
)
def test_a_body_that_says_it_is_utf_8_is_read(case_system, service, kind):
    body = json.dumps({"as_of": AS_OF, "household_ids": [service.county.household()]})
    answer = case_system.post(
        "/v1/scores", content=body, headers={"content-type": kind, "content-encoding": "identity"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("query", ["cursor=٣", "limit=٣", "township=５２２３０１００１", "county=٥٢٢٣٠١"])
def test_digits_of_another_script_are_no_numbers_here(screener, query):
    assert screener.get(f"/v1/lists/{CYCLE}?{query}").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v1/households/%00",
        "/v1/households/H%00",
        "/v1/lists/%00",
        "/v1/areas/2026-0%00",
        "/v1/lists/٢٠٢٦-01",
    ],
)
def test_an_address_that_no_database_could_hold_answers_404(service, path):
    answer = service.client(service.county.own["screener"]).get(path)
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("field", ["note", "visitor"])
def test_a_text_that_no_database_could_hold_is_refused_before_it_gets_there(screener, service, field):
    result = {
        "household_id": service.county.household(),
        "visited_on": "2026-01-09",
        "outcome": "no_risk",
        field: "a\0b",
    }
    body = {
        "list_hash": service.county.visit_list.hash,
        "idempotency_key": "bodies-0002",
        "results": [result],
    }
    answer = screener.post("/v1/verifications", json=body)
    assert answer.status_code == 400 and [fault["where"] for fault in answer.json()["faults"]] == [
        f"results.0.{field}"
    ]


def test_an_id_with_a_null_character_is_refused_before_it_gets_to_a_database(case_system):
    assert case_system.post("/v1/scores", json={"as_of": AS_OF, "household_ids": ["H\0"]}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("POST", "/v1/scores", "case_system"),
        ("POST", "/v1/verifications", "screener"),
        ("POST", "/v1/session", "screener"),
        ("GET", "/v1/session", "screener"),
        ("DELETE", "/v1/session", "screener"),
        ("GET", "/v1/lists", "screener"),
        ("GET", "/v1/model", "screener"),
        ("GET", "/openapi.json", "screener"),
    ],
)
def test_a_query_that_a_route_does_not_take_is_refused(service, method, path, role):
    answer = service.client(service.county.own[role]).request(
        method, f"{path}?surprise=1", content=b"{}", headers=JSON
    )
    assert answer.status_code == 400


def test_the_same_request_sixteen_times_at_once_is_one_result_and_another_body_is_refused(live):
    county = live.county
    result = {
        "household_id": county.elsewhere,
        "visited_on": "2026-01-08",
        "outcome": "no_risk",
        "visitor": "at-once",
    }
    body = {"list_hash": county.visit_list.hash, "idempotency_key": "at-once-0001"}

    def send(place: int) -> tuple[bool, int, bytes]:
        other = place % 4 == 3
        outcome = {"outcome": "unreachable"} if other else {}
        with live.client(county.own["screener"]) as client:
            answer = client.post("/v1/verifications", json=body | {"results": [result | outcome]})
        return other, answer.status_code, answer.content

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16)))
    kept = {content for _, status, content in answers if status == 200}
    assert len(kept) == 1 and json.loads(kept.pop())["accepted"] == 1
    # Whichever body came first holds the key; every request with the other one is refused.
    assert {(other, status) for other, status, _ in answers} in (
        {(False, 200), (True, 409)},
        {(False, 409), (True, 200)},
    )
    with live.client(county.own["screener"]) as client:
        visits = client.get(f"/v1/households/{county.elsewhere}").json()["visits"]
    assert len(visits) == 1
