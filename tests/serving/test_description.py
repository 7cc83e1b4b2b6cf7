"""What a developer has from the description: headers, both ways to ask, links, a client made from it; and
ids, marks, days in answers.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from riskmodel.serving import examples
from riskmodel.serving.app import description
from riskmodel.serving.problems import CODES, PROBLEMS
from tests.serving.conftest import AS_OF, CYCLE
from tests.serving.test_access import entries_of


def operations():
    return {
        operation["operationId"]: (method, path, operation)
        for path, methods in description()["paths"].items()
        for method, operation in methods.items()
    }


def test_every_change_has_the_csrf_header_and_every_operation_its_refusals():
    for name, (method, _, operation) in operations().items():
        headers = {
            parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "header"
        }
        assert ("X-CSRF-Token" in headers) == (method != "get" and not operation["x-open"]), name
        assert {"429", "431", "500", "503", "504"} <= set(operation["responses"]), name
        assert operation["x-open"] or {"401", "403", "405"} <= set(operation["responses"]), name
        for response in operation["responses"].values():
            assert "X-Request-Id" in response["headers"], name
    assert description()["servers"][0]["url"] == "/"


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"household_ids": ["h1"]}, True),
        ({"tables": examples.ROWS_REQUEST["tables"]}, True),
        ({}, False),
        ({"household_ids": ["h1"], "tables": examples.ROWS_REQUEST["tables"]}, False),
        ({"household_ids": None}, False),
    ],
)
def test_the_schema_itself_says_either_rows_or_ids(given, fits):
    document = description()
    schema = {"$ref": "#/components/schemas/ScoresRequest", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"as_of": AS_OF, **given}) is fits


def test_the_examples_of_a_scoring_request_are_rows_and_stored_households():
    content = operations()["post_v1_scores"][2]["requestBody"]["content"]["application/json"]
    assert set(content["examples"]) == {"rows", "stored households"}


def test_the_example_of_rows_is_scored_by_the_service_but_for_its_day(service):
    client = service.client(service.county.own["case_system"])
    answer = client.post("/v1/scores", json=examples.ROWS_REQUEST | {"as_of": AS_OF})
    assert answer.status_code in (200, 404), answer.text
    answer = service.client(service.county.foreign["case_system"]).post(
        "/v1/scores", json=examples.ROWS_REQUEST
    )
    assert answer.status_code == 404


def test_links_lead_to_operations_and_parameters_that_are_there():
    known, links = operations(), 0
    for _, _, operation in known.values():
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                links += 1
                _, _, target = known[link["operationId"]]
                names = {
                    f"{parameter['in']}.{parameter['name']}" for parameter in target.get("parameters", ())
                }
                assert set(link.get("parameters", ())) <= names
    assert links >= 6


def test_every_code_of_a_refusal_is_explained_by_the_address_in_its_type(service):
    client = service.client()
    for code, kind in PROBLEMS.items():
        card = client.get(f"/problems/{code}").json()
        assert card["status"] == kind.status and card["title_zh"] and card["remedy_zh"]
    refusal = client.get("/v1/lists").json()
    assert refusal["type"] == "/problems/not-signed-in" and refusal["code"] == "not-signed-in"
    assert client.get(refusal["type"]).json()["status"] == 401
    assert client.get("/problems/nothing").status_code == 404
    assert set(CODES) == {kind.status for kind in PROBLEMS.values()}


# ---- request ids, marks, days


def test_one_request_id_is_in_the_answer_the_refusal_the_audit_and_the_result_of_a_visit(service, caplog):
    county = service.county
    client = service.client(county.own["screener"])
    name = {"x-request-id": "case-4711.look-1"}
    with caplog.at_level("INFO", logger="riskmodel.requests"):
        (entry,) = entries_of(service, lambda: client.get(f"/v1/lists/{CYCLE}", headers=name))
    assert json.loads(entry["details"])["request_id"] == "case-4711.look-1"
    refused = client.get("/v1/audit", headers=name)
    assert refused.headers["x-request-id"] == refused.json()["request_id"] == "case-4711.look-1"
    result = {
        "household_id": county.household(),
        "visited_on": "2026-01-06",
        "outcome": "unreachable",
        "visitor": "ids",
    }
    body = {"list_hash": county.visit_list.hash, "results": [result], "idempotency_key": "request-ids-1"}
    entries = entries_of(
        service, lambda: client.post("/v1/verifications", json=body, headers={"x-request-id": "visit-0001"})
    )
    assert entries and {json.loads(entry["details"])["request_id"] for entry in entries} == {"visit-0001"}
    own = client.get("/v1/model").headers["x-request-id"]
    assert len(own) == 24 and own != client.get("/v1/model").headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1/lists", f"/v1/lists/{CYCLE}?limit=5", "/v1/households/{household}"])
def test_the_same_answer_again_is_304_and_has_its_entry_in_the_audit(service, path):
    client = service.client(service.county.own["screener"])
    path = path.format(household=service.county.household())
    first = client.get(path)
    mark = first.headers["etag"]
    seen = []
    entries = entries_of(
        service, lambda: seen.append(client.get(path, headers={"if-none-match": f'"other", {mark}'}))
    )
    assert seen[0].status_code == 304 and seen[0].content == b"" and seen[0].headers["etag"] == mark
    assert len(entries) == 1 and entries[0]["action"].endswith("seen")
    assert client.get(path, headers={"if-none-match": '"other"'}).content == first.content


def test_a_wrong_day_is_said_to_be_the_day(service):
    client = service.client(service.county.own["screener"])
    household = service.county.household()
    answer = client.get(f"/v1/households/{household}?as_of=2001-01-01")
    (fault,) = answer.json()["faults"]
    assert answer.status_code == 404 and answer.json()["code"] == "wrong-day"
    assert fault["where"] == "as_of" and AS_OF in fault["expected"] and "id" not in fault["remedy"].split()
    for path, key in ((f"/v1/households/{household}", "foreign"), ("/v1/households/nobody", "own")):
        other = service.client(getattr(service.county, key)["screener"]).get(f"{path}?as_of=2001-01-01")
        assert other.json()["code"] == "not-found" and other.json()["faults"] == []


# ---- what is made from the description


def test_a_generated_client_asks_for_a_list_and_a_household(live, tmp_path):
    """openapi-python-client, with the document that the running service hands out."""
    document = live.client(live.county.own["operator"]).get("/openapi.json").json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "config.yml").write_text(
        "post_hooks: []\nproject_name_override: county\npackage_name_override: county_client\n"
    )
    program = Path(sys.executable).with_name("openapi-python-client")
    done = subprocess.run(
        [
            program,
            "generate",
            "--path",
            "openapi.json",
            "--config",
            "config.yml",
            "--output-path",
            "client",
            "--fail-on-warning",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    sys.path.insert(0, str(tmp_path / "client"))
    try:
        made = importlib.import_module("county_client")
        lists = importlib.import_module("county_client.api.lists.get_v1_lists_cycle")
        households = importlib.import_module("county_client.api.households.get_v1_households_household_id")
        client = made.AuthenticatedClient(base_url=live.address, token=live.county.own["screener"])
        page = lists.sync(CYCLE, client=client, limit=3)
        assert len(page.rows) == 3 and page.signal_not_determination is True
        household = households.sync(page.rows[0].household_id, client=client)
        assert household.household_id == page.rows[0].household_id and household.reasons[0].zh
        refused = households.sync("nobody", client=client)
        assert refused.code == "not-found"
    finally:
        sys.path.remove(str(tmp_path / "client"))


def test_a_walk_along_the_links_meets_no_answer_that_is_not_described(live):
    schema = schemathesis.openapi.from_dict(
        description(), config=SchemathesisConfig.from_dict({"seed": 1, "generation": {"deterministic": True}})
    )
    reading = schema.include(
        operation_id=[
            "get_v1_lists",
            "get_v1_lists_cycle",
            "get_v1_households_household_id",
            "get_v1_areas_cycle",
            "get_v1_lists_cycle_download",
        ]
    )
    followed = []
    key = live.county.own["screener"]

    class Walk(reading.as_state_machine()):
        def get_call_kwargs(self, case):
            return {"base_url": live.address, "headers": {"authorization": f"Bearer {key}"}}

        def validate_response(self, response, case, **more):
            assert response.status_code < 500, response.text
            followed.append(
                (
                    case.operation.definition.raw["operationId"],
                    (case.path_parameters or {}).get("cycle"),
                    response.status_code,
                )
            )

    Walk.run(
        settings=settings(
            max_examples=12,
            stateful_step_count=4,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
    )
    reached = {name for name, cycle, status in followed if cycle == CYCLE and status in (200, 404)}
    assert reached & {"get_v1_lists_cycle", "get_v1_areas_cycle"}, "the cycle came from the answer before"
