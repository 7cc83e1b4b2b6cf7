"""The service answers what a batch run says, bit for bit, and refuses everything else in one shape."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from riskmodel.errors import DataError, ModelError
from riskmodel.serving.desk import Desk
from riskmodel.serving.messages import ScoreRequest
from riskmodel.serving.release import newest_release, open_release
from riskmodel.serving.requests import household_request

AS_OF = "2025-12-31"


@pytest.fixture(scope="module")
def desk(trained):
    return Desk.open(trained[0])


def request_for(tables, household_id):
    import datetime as dt

    return household_request(tables, household_id, dt.date.fromisoformat(AS_OF))


def test_one_household_by_the_api_is_the_batch_score_bit_for_bit(trained, desk):
    _, tables, scores, _ = trained
    chosen = np.random.default_rng(5).choice(scores.frame["household_id"].to_numpy(), 60, replace=False)
    for household in chosen:
        answer = desk.score(ScoreRequest.model_validate_json(json.dumps(request_for(tables, household))))
        row = scores.row(household)
        assert answer.feature_hash == row["feature_hash"], household
        assert (answer.probability, answer.low, answer.high, answer.margin) == (
            row["probability"], row["low"], row["high"], row["margin"],
        )  # fmt: skip
        told = scores.reasons(household)
        assert [(reason.zh, reason.en) for reason in answer.reasons] == [(reason.zh, reason.en) for reason in told]


def test_a_household_whose_members_came_from_elsewhere_is_scored_the_same(trained, desk):
    import polars as pl

    _, tables, scores, _ = trained
    homes = tables["members"].group_by("member_id").agg(pl.col("household_id").unique().alias("homes"))
    moved = homes.filter(pl.col("homes").list.len() > 1)["homes"].explode().unique()
    wanted = sorted(set(moved) & set(scores.frame["household_id"]))[:20]
    assert wanted, "the synthetic county has people who change household"
    for household in wanted:
        answer = desk.score(ScoreRequest.model_validate_json(json.dumps(request_for(tables, household))))
        assert answer.feature_hash == scores.row(household)["feature_hash"], household


def test_another_day_or_two_households_are_refused_together(trained, desk):
    _, tables, scores, _ = trained
    first, second = scores.frame["household_id"][:2]
    body = request_for(tables, first)
    body["tables"]["households"] += request_for(tables, second)["tables"]["households"]
    body["as_of"] = "2026-01-15"
    with pytest.raises(DataError) as caught:
        desk.score(ScoreRequest.model_validate_json(json.dumps(body)))
    assert [fault.where for fault in caught.value.faults] == ["tables.households", "as_of"]


def test_every_changed_missing_or_foreign_file_of_a_release_is_named_and_nothing_is_loaded(trained, tmp_path):
    release = shutil.copytree(trained[3], tmp_path / "release")
    (release / "extra.txt").write_text("x")
    (release / "policy.json").unlink()
    model = next((release / "model").glob("*.txt"))
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        open_release(release)
    assert sorted((Path(fault.where).name, fault.found) for fault in caught.value.faults) == sorted(
        [("extra.txt", "foreign"), ("policy.json", "missing"), (model.name, "changed")]
    )


def test_without_a_release_the_refusal_says_how_to_make_one(own_project):
    with pytest.raises(ModelError, match=r"no release to serve.*riskmodel release"):
        newest_release(own_project)


@pytest.fixture(scope="module")
def address(trained):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The service folder is found by BentoML in the project; the project of the tests has its own copy of it.
    server = subprocess.Popen(
        [Path(sys.executable).with_name("riskmodel"), "serve", "--port", str(port), "--project", str(trained[0].root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": ""},
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(f"the service ended: {server.stdout.read().decode()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    else:
        pytest.fail("the service was not ready within 120 s")
    yield url
    os.killpg(server.pid, signal.SIGTERM)
    server.wait(30)


def call(url, body, content_type="application/json"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v1/score", data, {"content-type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        problem = json.load(error) if error.headers["content-type"] == "application/problem+json" else None
        return error.code, problem


def test_the_running_service_answers_with_the_offline_score_and_the_sentence(trained, address):
    _, tables, scores, _ = trained
    row = scores.frame.row(0, named=True)
    status, answer = call(address, request_for(tables, row["household_id"]))
    assert status == 200
    assert (answer["probability"], answer["margin"]) == (row["probability"], row["margin"])
    assert answer["signal_not_determination"] is True
    assert answer["signal_zh"] == "核实优先级信号，非认定结论"
    assert answer["reasons"]
    assert answer["model_version"] == row["model_version"]


def test_what_cannot_be_used_is_refused_in_one_shape_with_all_faults(trained, address):
    _, tables, scores, _ = trained
    good = request_for(tables, scores.frame["household_id"][0])
    assert call(address, b"{not json")[0] == 400
    bad = json.loads(json.dumps(good))
    bad["tables"]["members"][0]["sex"] = "other"
    bad["tables"]["households"][0]["surprise"] = 1
    bad["horizon_months"] = "12"
    status, problem = call(address, bad)
    assert status == 400
    assert {fault["where"] for fault in problem["faults"]} == {
        "horizon_months", "tables.households.0.surprise", "tables.members.0.sex",
    }  # fmt: skip
    nan = json.dumps(good).replace('"as_of"', '"extra": NaN, "as_of"', 1).encode()
    assert call(address, nan)[0] == 400
    assert call(address, b" " * (3 * 1024 * 1024))[0] == 413
    orphan = json.loads(json.dumps(good))
    orphan["tables"].setdefault("medical", []).append(
        {
            "event_id": "x1", "member_id": "nobody", "occurred_on": "2025-01-01", "known_on": "2025-01-02", "kind": "inpatient",
            "total_cost": 1.0, "reimbursed": 0.0, "self_paid": 1.0,
        }
    )  # fmt: skip
    status, problem = call(address, orphan)
    assert status == 422
    assert problem["faults"]
    assert "nobody" not in json.dumps(problem), "an answer never repeats ids that it was sent"
