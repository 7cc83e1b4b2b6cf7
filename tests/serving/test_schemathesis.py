"""schemathesis against the running service: whatever is sent, no 5xx, and no answer that the description does
not have.
"""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from riskmodel.serving.app import description

# A value beyond its longest length makes a long address: that is refused before it is read (431), which
# counts as a refusal too.
REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "431", "5xx"]
schema = schemathesis.openapi.from_dict(
    description(),
    config=SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "generation": {"deterministic": True},
            "checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}},
        }
    ),
)

# It sends a key of ours beside a cookie that it made up, and takes the answer for a lack of care: what is
# open to whom is the matrix's business.
NOT_FOR_US = [ignored_auth]
# The rows of tables follow the data contract, which says more than a schema can.
RULES_OF_ROWS = [positive_data_acceptance]


def test_the_running_service_hands_out_the_description_that_is_tried_here(live):
    assert live.client(live.county.own["operator"]).get("/openapi.json").json() == description()


@schema.parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_gets_an_answer_that_is_not_described(case, live):
    operation = description()["paths"][case.operation.path].get(
        case.method.lower(), {"x-roles": ["operator"]}
    )
    key = live.county.own[operation["x-roles"][0]]
    answer = case.call(base_url=live.address, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code < 500, answer.text[:500]
    case.validate_response(
        answer,
        excluded_checks=NOT_FOR_US
        + (RULES_OF_ROWS if case.operation.path in ("/v1/scores", "/v1/jobs") else []),
    )
