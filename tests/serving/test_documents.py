"""docs/api.md and docs/access.md are so: every command of the one is run, every role and route of both is the
one in the table of rights.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import riskmodel as rm
from riskmodel.casebook.roles import ROLES
from riskmodel.serving import examples
from riskmodel.serving.app import description
from riskmodel.serving.routes import ROUTES
from tests.serving.conftest import AS_OF, CYCLE

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_command_of_the_api_page_works_against_the_running_service(live, tmp_path, needs):
    needs(shutil.which("curl"), "curl")
    script = "set -eu\n" + "\n".join(
        re.findall(r"```sh\n(.*?)```", (DOCS / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    )
    keys = {
        name.upper(): live.county.own[name] for name in ("case_system", "screener", "auditor", "operator")
    }
    environment = {**os.environ, **keys, "BASE": live.address, "CYCLE": CYCLE}
    done = subprocess.run(
        ["bash", "-x", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-1500:]
    assert "['grade', 'limit']" in done.stdout
    assert (tmp_path / "list.xlsx").read_bytes().startswith(b"PK")


def test_the_python_client_of_the_api_page_works_against_the_running_service(live, tmp_path):
    county = live.county
    some = county.scores.frame["household_id"][:100].to_list()
    rm.export_households(some, county.tables, AS_OF, tmp_path / "hundred.json")
    program = "\n".join(
        re.findall(r"```python\n(.*?)```", (DOCS / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    )
    keys = {name.upper(): county.own[name] for name in ("case_system", "screener")}
    environment = {**os.environ, **keys, "BASE": live.address, "CYCLE": CYCLE}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-1500:]
    assert len(done.stdout.splitlines()) == 6
    assert done.stdout.splitlines()[-1] == "409 idempotency_key"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_in_the_documents(route):
    text = "".join(
        (DOCS / name).read_text(encoding="utf-8") for name in ("api.md", "access.md", "service.md")
    )
    fixed = route.path.split("{")[0].rstrip("/") or "the page's own files"
    assert fixed in text or fixed == "/web"


def test_every_role_stands_in_the_table_of_the_access_page():
    text = (DOCS / "access.md").read_text(encoding="utf-8")
    assert [role for role in ROLES if f"| `{role}` |" not in text] == []


def test_every_shape_of_a_route_has_its_true_example():
    for route in ROUTES:
        if isinstance(route.answer, type):
            example = examples.ANSWERS[route.answer.__name__]
            route.answer.model_validate_json(json.dumps(example, ensure_ascii=False))
        if route.body is not None:
            for example in examples.requests(route.body.__name__).values():
                route.body.model_validate_json(json.dumps(example, ensure_ascii=False))


def test_the_refusals_of_the_description_are_those_of_the_api_page_and_say_how_long_to_wait():
    told = (DOCS / "api.md").read_text(encoding="utf-8")
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            refused = {
                int(status): answer for status, answer in operation["responses"].items() if int(status) >= 400
            }
            assert {status for status in refused if f"| {status} |" not in told} == set(), (method, path)
            for status in (429, 503, 504):
                assert status not in refused or "Retry-After" in refused[status]["headers"], (
                    method,
                    path,
                    status,
                )
            assert (408 in refused) == ("requestBody" in operation), (method, path)


def test_no_shape_of_the_api_has_a_field_that_decides():
    forbidden = re.compile(
        r"eligib|entitle|approv|reject|verdict|decision|decide|qualif|award|grant|poor|determination",
        re.IGNORECASE,
    )
    schemas = description()["components"]["schemas"]
    names = {name for schema in schemas.values() for name in schema.get("properties", {})} | set(schemas)
    named = {name for name in names if forbidden.search(name)} - {"signal_not_determination", "verdict"}
    assert named == set()
    verdicts = [name for name, schema in schemas.items() if "verdict" in schema.get("properties", {})]
    assert verdicts == ["GroupFinding"], (
        "a verdict is said of how well the model finds a group, never of a household"
    )


def test_every_answer_with_a_score_or_a_list_carries_the_sentence():
    schemas = description()["components"]["schemas"]
    for name in ("ScoresAnswer", "ListSummary", "ListPage", "HouseholdAnswer", "Areas", "ModelCard"):
        needed = set(schemas[name]["required"])
        assert {
            "model_version",
            "as_of",
            "data_dates",
            "valid_until",
            "signal_not_determination",
        } <= needed, name
        assert schemas[name]["properties"]["signal_not_determination"]["const"] is True
