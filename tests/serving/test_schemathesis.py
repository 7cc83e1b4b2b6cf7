"""schemathesis against the running service: whatever is sent, no 5xx, and no answer that the description does not have."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from riskmodel.serving.openapi import description


@pytest.fixture(scope="module")
def schema(live):
    loaded = schemathesis.openapi.from_url(
        f"{live.address}/openapi.json", headers={"authorization": f"Bearer {live.county.own['operator']}"}
    )
    return loaded


schema_of_the_service = schemathesis.pytest.from_fixture("schema")


@schema_of_the_service.parametrize()
@settings(
    max_examples=12, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_no_request_gets_an_answer_that_is_not_described(case, live):
    told = description()["paths"][case.path][case.method.lower()]
    key = live.county.own[told["x-roles"][0]]
    answer = case.call(base_url=live.address, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code < 500, answer.text[:500]
    case.validate_response(answer)
