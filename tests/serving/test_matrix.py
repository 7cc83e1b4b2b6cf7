"""Every route × role × own or foreign area, made from the OpenAPI description: a route that is not in the
matrix fails.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import time

import pytest

from riskmodel.casebook import Casebook
from riskmodel.casebook.roles import ROLES
from riskmodel.serving.app import description
from riskmodel.serving.requests import scores_request
from riskmodel.visits.returns import Result
from tests.serving.conftest import AS_OF, CYCLE, Service

# Who gets what. Written by hand, beside the table of rights, so that a right cannot be widened without this
# file saying so too. `own`: the county of the households; `foreign`: a key of another county. 200 there
# means: an answer in which nothing of the county stands.
NOBODY = dict.fromkeys(ROLES, 403)
EVERYBODY = dict.fromkeys(ROLES, 200)
OWN = {
    "GET /": EVERYBODY,
    "GET /web/{path}": EVERYBODY,
    "GET /problems/{code}": EVERYBODY,
    "GET /livez": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "POST /v1/session": EVERYBODY,
    "GET /v1/session/sso": dict.fromkeys(ROLES, 404),  # off as delivered
    "GET /v1/session/sso/callback": dict.fromkeys(ROLES, 404),
    "GET /v1/session": EVERYBODY,
    "DELETE /v1/session": dict.fromkeys(ROLES, 204),
    "POST /v1/scores": NOBODY | {"case_system": 200, "analyst": 200},
    "POST /v1/jobs": NOBODY | {"case_system": 202, "analyst": 202},
    "GET /v1/jobs/{job_id}": NOBODY | {"case_system": 200, "analyst": 200},
    "GET /v1/jobs/{job_id}/result": NOBODY | {"case_system": 200, "analyst": 200},
    "DELETE /v1/jobs/{job_id}": NOBODY | {"case_system": 204, "analyst": 204},
    "GET /v1/lists": NOBODY | {"screener": 200, "case_system": 200},
    "GET /v1/lists/{cycle}": NOBODY | {"screener": 200, "case_system": 200},
    "GET /v1/lists/{cycle}/download": NOBODY | {"screener": 200},
    "GET /v1/households/{household_id}": NOBODY | {"screener": 200, "case_system": 200},
    "POST /v1/verifications": NOBODY | {"screener": 200},
    "POST /v1/withdrawals": NOBODY | {"screener": 200},
    "GET /v1/areas/{cycle}": NOBODY | {"screener": 200},
    "GET /v1/model": EVERYBODY,
    "GET /v1/audit": NOBODY | {"auditor": 200},
    "GET /metrics": NOBODY | {"operator": 200},
    "GET /openapi.json": EVERYBODY,
}
OF_AN_AREA = {
    "POST /v1/scores",
    "POST /v1/jobs",
    "GET /v1/jobs/{job_id}",
    "GET /v1/jobs/{job_id}/result",
    "DELETE /v1/jobs/{job_id}",
    "GET /v1/lists/{cycle}",
    "GET /v1/lists/{cycle}/download",
    "GET /v1/households/{household_id}",
    "POST /v1/verifications",
    "POST /v1/withdrawals",
    "GET /v1/areas/{cycle}",
}
FOREIGN = {
    route: {role: 404 if route in OF_AN_AREA and status < 300 else status for role, status in roles.items()}
    for route, roles in OWN.items()
}
OPEN = {
    "GET /v1/session/sso",
    "GET /v1/session/sso/callback",
    "GET /problems/{code}",
    "GET /",
    "GET /web/{path}",
    "GET /livez",
    "GET /readyz",
    "POST /v1/session",
}
PROBES = {"GET /livez", "GET /readyz"}  # answered by the framework: tried against the running service


def routes() -> list[str]:
    paths = description()["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


def ask(client, route, county, key):
    """The route with a request that is right in itself; a job that it needs is one of the county's key of the
    same role.
    """
    if "/v1/jobs" in route:
        return ask_about_job(client, route, county, key)
    method, path = route.split(" ")
    path = path.format(cycle=CYCLE, household_id=county.household(), path="app.js", code="too-large")
    if path.endswith("/download"):
        path += "?format=csv"
    if path.endswith("/callback"):
        path += "?state=x&code=y"
    body = None
    if route == "POST /v1/session":
        body = {"key": key}
    elif route == "POST /v1/scores":
        body = {"as_of": AS_OF, "household_ids": [county.household()]}
    elif route == "POST /v1/verifications":
        result = {
            "household_id": county.household(),
            "visited_on": "2026-01-05",
            "outcome": "unreachable",
            "visitor": "matrix",
        }
        body = {"list_hash": county.visit_list.hash, "results": [result], "idempotency_key": "matrix-0001"}
    elif route == "POST /v1/withdrawals":
        record_for_withdrawal(county)
        body = {
            "list_hash": county.visit_list.hash,
            "household_id": county.household(),
            "visitor": "to-withdraw",
            "reason": "recorded on the wrong household",
        }
    headers = {"content-type": "application/json"} if body is not None else {}
    return client.request(method, path, content=None if body is None else json.dumps(body), headers=headers)


def ask_about_job(client, route, county, key):
    """A route of jobs. Whatever job is made is removed again."""
    role = next(
        (role for role in ("case_system", "analyst") if key in (county.own[role], county.foreign[role])),
        "case_system",
    )
    owner = {"authorization": f"Bearer {county.own[role]}"}
    scored = county.scores.frame["household_id"][0]
    body = scores_request(county.tables, [scored], dt.date.fromisoformat(AS_OF))
    method, path = route.split(" ")
    sends = path == "/v1/jobs"
    answer = client.post("/v1/jobs", json=body, headers={} if sends else owner)
    name = answer.json().get("job_id")
    if not sends:
        assert answer.status_code == 202, answer.text
        deadline = time.monotonic() + 60
        while client.get(f"/v1/jobs/{name}", headers=owner).json()["state"] != "done":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        answer = client.request(method, path.format(job_id=name))
    if name is not None:
        client.delete(f"/v1/jobs/{name}", headers=owner)
    return answer


def record_for_withdrawal(county):
    """A result that may be withdrawn, each time another one: what was withdrawn is not taken again."""
    book = Casebook.of(county.project)
    try:
        result = Result(
            line=0,
            list_hash=county.visit_list.hash,
            household_id=county.household(),
            visited_on=dt.date(2026, 1, 5),
            outcome="unreachable",
            risk_kinds="",
            disagreement="",
            visitor="to-withdraw",
            note=f"try {next(TRIES)}",
        )
        book.take_in([result], known_on=dt.date(2026, 1, 5), by="tests")
    finally:
        book.close()


TRIES = itertools.count()


def test_the_matrix_has_exactly_the_routes_of_the_description():
    assert sorted(OWN) == sorted(routes()), "a new route needs its line here, with who may use it"


def test_every_route_of_the_application_is_in_the_description(service):
    served = set()
    for route in service.inner.routes:
        served |= {
            f"{method} {route.path.replace(':path', '')}" for method in (route.methods or {"POST"}) - {"HEAD"}
        }
    assert served - set(routes()) == set()
    assert set(routes()) - served == PROBES


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", sorted(set(OWN) - PROBES))
def test_a_role_gets_in_its_own_area_what_the_matrix_says(service, route, role):
    key = service.county.own[role]
    assert ask(service.client(key), route, service.county, key).status_code == OWN[route][role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", sorted(set(OWN) - PROBES))
def test_a_role_of_another_county_gets_nothing_of_this_one(service, route, role):
    county, key = service.county, service.county.foreign[role]
    answer = ask(service.client(key), route, county, key)
    assert answer.status_code == FOREIGN[route][role]
    if answer.status_code == 200 and route not in ("GET /openapi.json", "GET /v1/audit", "GET /metrics"):
        assert county.code not in answer.text and county.household() not in answer.text


@pytest.mark.parametrize("route", sorted(set(OWN) - PROBES))
def test_without_a_key_only_what_is_open_answers(service, route):
    answer = ask(service.client(), route, service.county, "rm_000000000000_" + "0" * 64)
    if route == "POST /v1/session":
        assert answer.status_code == 401
    elif route in OPEN:
        assert answer.status_code == OWN[route]["operator"]
    else:
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_the_table_does_not_name_is_not_there_whatever_the_framework_offers(live):
    strange = [
        "/healthz",
        "/schema.json",
        "/docs.json",
        "/docs",
        "/static_content/x.js",
        "/score",
        "/v1/score",
        "/v2",
        "/v1/lists/",
    ]
    nobody, operator = live.client(), live.client(live.county.own["operator"])
    assert {nobody.get(path).status_code for path in strange} == {401}
    assert {operator.get(path).status_code for path in strange} == {404}
    assert (
        operator.post("/v1/lists").status_code == 405
        and operator.post("/v1/lists").headers["allow"] == "GET, HEAD"
    )


def test_the_running_service_agrees_with_the_matrix(live):
    for role in ROLES:
        for route in sorted(OWN):
            key = live.county.own[role]
            assert ask(live.client(key), route, live.county, key).status_code == OWN[route][role], (
                route,
                role,
            )
    assert all(live.client().get(path).status_code == 200 for path in ("/livez", "/readyz"))


def test_a_key_of_one_township_sees_that_township_only(service):
    county, client = service.county, service.client(service.county.local["screener"])
    page = client.get(f"/v1/lists/{CYCLE}?limit=200").json()
    rows = county.visit_list.rows
    assert page["total"] == rows.filter(rows["township_code"] == county.township).height > 0
    assert {row["township_code"] for row in page["rows"]} == {county.township}
    assert {entry["code"] for entry in page["filters"]["townships"]} == {county.township}
    assert all(entry["code"].startswith(county.township) for entry in page["filters"]["villages"])
    everybody = client.get(f"/v1/lists/{CYCLE}?everybody=true&limit=200").json()
    assert {row["township_code"] for row in everybody["rows"]} == {county.township}
    assert client.get(f"/v1/households/{county.household()}").status_code == 200
    assert client.get(f"/v1/households/{county.elsewhere}").status_code == 404
    other = next(code for code in rows["township_code"].unique() if code != county.township)
    assert client.get(f"/v1/lists/{CYCLE}?township={other}").json()["total"] == 0
    assert client.get(f"/v1/lists/{CYCLE}/download?format=csv&township={other}").status_code == 404
    downloaded = client.get(f"/v1/lists/{CYCLE}/download?format=csv").text
    assert county.household() in downloaded and county.elsewhere not in downloaded
    assert [area["code"] for area in client.get(f"/v1/areas/{CYCLE}").json()["townships"]] == [
        county.township
    ]
    stored = {"as_of": AS_OF, "household_ids": [county.household(), county.elsewhere]}
    scored = service.client(county.local["case_system"]).post("/v1/scores", json=stored)
    assert scored.status_code == 404 and county.elsewhere not in scored.text
    result = {"household_id": county.elsewhere, "visited_on": "2026-01-05", "outcome": "no_risk"}
    taken = client.post(
        "/v1/verifications",
        json={"list_hash": county.visit_list.hash, "results": [result], "idempotency_key": "township-1"},
    ).json()
    assert taken["accepted"] == 0 and taken["refused"][0]["household_id"] is None


def test_a_key_without_areas_sees_nobody(service):
    from riskmodel.casebook import lookups

    assert lookups.list_heads(service.state.book.engine, ()) == []
    assert lookups.household(service.state.book.engine, (), service.county.household()) is None


@pytest.fixture
def moved_service(own_project):
    """A service in front of two counties whose households moved, split and merged; a function: areas ->
    client of a screener.
    """
    from riskmodel.casebook.credentials import add_key
    from riskmodel.serving.app import make_app
    from riskmodel.serving.gate import CallerGate
    from riskmodel.serving.state import ServiceState
    from tests.casebook.test_moved_households import fill_book

    book = Casebook.of(own_project)
    fill_book(book)
    state = ServiceState()
    state.open(own_project)
    app = make_app(state)
    service = Service(CallerGate(app, state=state), state, None, app)

    def client(*areas):
        key = add_key(book.engine, name="desk", role="screener", areas=areas, purpose="tests")
        return service.client(key.secret)

    yield client
    state.close()
    book.close()


MOVED_A, MOVED_B, TOWN_1, TOWN_2 = "522301", "520402", "522301101", "522301102"


@pytest.mark.parametrize(
    ("areas", "nothing_of"),
    [
        ((MOVED_A,), MOVED_B),
        ((MOVED_B,), MOVED_A),
        ((TOWN_1,), TOWN_2),
        ((TOWN_2,), TOWN_1),
    ],
)
def test_of_households_that_moved_split_or_merged_a_key_reads_nothing_of_the_other_area(
    moved_service, areas, nothing_of
):
    """Every reading route of every household, day and list: no village, team, note or reason of the other
    area is in any answer.
    """
    client = moved_service(*areas)
    lists = client.get("/v1/lists").json()["lists"]
    assert lists
    paths = ["/v1/lists"]
    for one in lists:
        there = f"/v1/lists/{one['cycle']}"
        paths += [f"{there}?limit=200", f"{there}?everybody=true", f"{there}/download?format=csv"]
        paths += [f"/v1/areas/{one['cycle']}"]
    for name in ("mover", "towner", "whole", "split", "merged", "stays"):
        paths += [f"/v1/households/{name}"]
        paths += [f"/v1/households/{name}?as_of={day}" for day in ("2025-10-31", "2025-11-30", "2025-12-31")]
    answered = 0
    for path in paths:
        answer = client.get(path)
        assert answer.status_code in (200, 404), path
        answered += answer.status_code == 200
        assert nothing_of not in answer.text, path
        if len(areas[0]) == 9 and path.startswith("/v1/lists/") and "download" not in path:
            assert answer.json()["notes"] == []
    assert answered > len(lists) * 4


def test_a_day_asked_for_shows_no_later_visit_score_or_list(moved_service):
    client = moved_service(MOVED_A)
    told = client.get("/v1/households/whole?as_of=2025-11-30").json()
    assert [visit["visited_on"] for visit in told["visits"]] == ["2025-12-05", "2025-11-05"]
    assert {row["as_of"] for row in told["history"]} == {"2025-10-31", "2025-11-30"}
    assert told["on_list"]["cycle"] == "2025-12"
    newest = client.get("/v1/households/whole").json()["visits"][0]
    assert newest["visited_on"] == "2026-01-05"


def test_a_result_is_withdrawn_by_a_key_of_its_area_alone(moved_service):
    mine, foreign = moved_service(MOVED_A), moved_service(MOVED_B)
    visit = mine.get("/v1/households/whole").json()["visits"][0]
    assert (visit["team"], visit["note"]) == ("team-522301", "note of 522301101201")
    body = {
        "list_hash": visit["list_hash"],
        "household_id": "whole",
        "visitor": visit["team"],
        "reason": "登记错户",
    }
    assert foreign.post("/v1/withdrawals", json=body).status_code == 404
    named = mine.post("/v1/withdrawals", json=body | {"reason": "电话13812345678"})
    assert named.status_code == 409 and "13812345678" not in named.text
    assert mine.post("/v1/withdrawals", json=body).json() == {"household_id": "whole", "conflicts": []}
    assert mine.post("/v1/withdrawals", json=body).status_code == 409
    left = mine.get("/v1/households/whole").json()
    assert [one["visited_on"] for one in left["visits"]] == ["2025-12-05", "2025-11-05"]
    assert left["on_list"]["status"] == "open"  # the list knew of the visit of December when it was made
