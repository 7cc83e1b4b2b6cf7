"""Scoring jobs: the same scores as directly, progress, whose a job is, how many there may be, how long they
stay, what a stop leaves.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import threading
import time

import pytest

from riskmodel.casebook.credentials import add_key
from riskmodel.serving import job_handlers, jobs
from riskmodel.serving.jobs import Jobs
from riskmodel.serving.requests import scores_request
from tests.serving.conftest import AS_OF

MANY = 1_100


@pytest.fixture(scope="module")
def bodies(service):
    """Scoring requests by number of households."""
    county = service.county
    ids = sorted(county.scores.frame["household_id"].to_list())
    day = dt.date.fromisoformat(AS_OF)
    made = {number: scores_request(county.tables, ids[:number], day) for number in (1, 5, MANY)}
    return made | {
        "first": scores_request(county.tables, ids[:550], day),
        "rest": scores_request(county.tables, ids[550:MANY], day),
    }


@pytest.fixture
def folder(service, tmp_path, monkeypatch):
    """The folder of the jobs of a project that has none yet."""
    monkeypatch.setattr(service.state, "jobs", Jobs(tmp_path))
    yield tmp_path / "casebook" / "jobs"
    service.state.jobs.close()


@pytest.fixture
def case_system(service, folder):
    return service.client(service.county.own["case_system"])


@pytest.fixture
def held(monkeypatch):
    """Scoring that waits before its second part until `go` is set. Two households are a part."""
    go, parts, real = threading.Event(), [], jobs.score_rows

    def waiting(*given, **named):
        parts.append(named["first"])
        if len(parts) == 2:
            assert go.wait(60)
        return real(*given, **named)

    monkeypatch.setattr(jobs, "SCORED_AT_ONCE", 2)
    monkeypatch.setattr(jobs, "score_rows", waiting)
    yield go
    go.set()


def until(client, job_id, *states, scored=0):
    deadline = time.monotonic() + 60
    while True:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["state"] in states and job["scored"] >= scored:
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.01)


def sent(client, body, **more):
    answer = client.post("/v1/jobs", json=body | more)
    assert answer.status_code == 202, answer.text
    return answer.json()


def change_on_disk(folder, job_id, **values):
    path = folder / job_id / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_job_of_more_households_than_one_answer_holds_gives_the_scores_of_direct_requests(
    case_system, bodies, folder
):
    assert case_system.post("/v1/scores", json=bodies[MANY]).status_code == 413
    job = sent(case_system, bodies[MANY])
    done = until(case_system, job["job_id"], "done", "failed")
    assert (done["state"], done["scored"], done["households"], done["faults"]) == ("done", MANY, MANY, [])
    answer = case_system.get(f"/v1/jobs/{job['job_id']}/result")
    assert answer.headers["content-type"] == "text/jsonl; charset=utf-8"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    expected = []
    for part in ("first", "rest"):
        direct = case_system.post("/v1/scores", json=bodies[part]).json()
        carried = {name: value for name, value in direct.items() if name not in ("scores", "idempotency_key")}
        expected += [carried | score for score in direct["scores"]]
    assert lines == expected and lines[0]["signal_not_determination"] is True
    rest = case_system.get(f"/v1/jobs/{job['job_id']}/result?after={MANY - 3}").text
    assert rest.splitlines() == answer.text.splitlines()[-3:]
    assert {path.stat().st_mode & 0o777 for path in (folder / job["job_id"]).iterdir()} == {0o600}


def test_a_job_says_how_far_it_is_and_has_no_result_before_it_is_done(case_system, bodies, held):
    job = sent(case_system, bodies[5])
    assert (job["state"], job["scored"], job["households"]) == ("waiting", 0, 5)
    assert until(case_system, job["job_id"], "running", scored=2)["scored"] == 2
    refused = case_system.get(f"/v1/jobs/{job['job_id']}/result")
    assert (refused.status_code, refused.json()["code"]) == (409, "job-not-done") and refused.headers[
        "retry-after"
    ]
    held.set()
    assert until(case_system, job["job_id"], "done")["scored"] == 5


def test_a_job_is_there_for_its_key_alone_and_only_while_the_areas_of_the_key_are_the_same(
    service, case_system, bodies, folder
):
    name = sent(case_system, bodies[1])["job_id"]
    until(case_system, name, "done")
    county = service.county
    another = add_key(
        service.state.book.engine, name="another", role="case_system", areas=[county.code], purpose="tests"
    ).secret
    for key in (another, county.own["analyst"], county.foreign["case_system"]):
        client = service.client(key)
        answers = [
            client.get(f"/v1/jobs/{name}"),
            client.get(f"/v1/jobs/{name}/result"),
            client.delete(f"/v1/jobs/{name}"),
        ]
        assert [answer.status_code for answer in answers] == [404, 404, 404]
        never = client.get(f"/v1/jobs/{'0' * 32}").json()
        assert answers[0].json()["detail"] == never["detail"]
    assert case_system.get(f"/v1/jobs/{name}").status_code == 200
    change_on_disk(folder, name, areas=[county.township])
    assert case_system.get(f"/v1/jobs/{name}").status_code == 404


def test_too_many_jobs_are_refused_of_a_key_and_of_all_keys(service, case_system, bodies, held, monkeypatch):
    analyst = service.client(service.county.own["analyst"])
    first, second = sent(case_system, bodies[5]), sent(case_system, bodies[5])
    of_key = case_system.post("/v1/jobs", json=bodies[5])
    assert (
        of_key.status_code == 429
        and of_key.headers["retry-after"]
        and "2 unfinished" in of_key.json()["detail"]
    )
    monkeypatch.setattr(jobs, "UNFINISHED_AT_MOST", 3)
    third = sent(analyst, bodies[1])
    assert analyst.post("/v1/jobs", json=bodies[1]).status_code == 503
    assert case_system.delete(f"/v1/jobs/{second['job_id']}").status_code == 204
    assert case_system.get(f"/v1/jobs/{second['job_id']}").status_code == 404
    held.set()
    assert until(case_system, first["job_id"], "done") and until(analyst, third["job_id"], "done")


def test_the_newest_jobs_of_a_key_are_kept(case_system, bodies, folder, monkeypatch):
    monkeypatch.setattr(jobs, "KEPT_OF_A_KEY", 2)
    names = []
    for _ in range(3):
        names.append(sent(case_system, bodies[1])["job_id"])
        until(case_system, names[-1], "done")
    assert sorted(path.name for path in folder.iterdir()) == sorted(names[1:])
    assert case_system.get(f"/v1/jobs/{names[0]}").status_code == 404


def test_a_job_is_removed_with_its_result_after_24_hours(service, case_system, bodies, folder):
    job = sent(case_system, bodies[1])
    until(case_system, job["job_id"], "done")
    created, expires = (dt.datetime.fromisoformat(job[name]) for name in ("created_at", "expires_at"))
    assert expires - created == dt.timedelta(hours=24)
    service.state.jobs.remove_expired(expires - dt.timedelta(seconds=1))
    assert case_system.get(f"/v1/jobs/{job['job_id']}").status_code == 200
    other = sent(case_system, bodies[1])["job_id"]
    until(case_system, other, "done")
    change_on_disk(folder, other, expires_at=created.isoformat())
    assert case_system.get(f"/v1/jobs/{other}").status_code == 404 and not (folder / other).exists()
    service.state.jobs.remove_expired(expires)
    assert list(folder.iterdir()) == []
    assert case_system.get(f"/v1/jobs/{job['job_id']}/result").status_code == 404


def test_after_a_restart_a_finished_job_is_there_and_an_unfinished_one_says_interrupted(
    service, case_system, bodies, folder, held, monkeypatch
):
    done = sent(case_system, bodies[1])["job_id"]
    until(case_system, done, "done")
    running, waiting = sent(case_system, bodies[5])["job_id"], sent(case_system, bodies[5])["job_id"]
    until(case_system, running, "running")
    before, after = service.state.jobs, Jobs(folder.parents[1])
    monkeypatch.setattr(service.state, "jobs", after)
    assert case_system.get(f"/v1/jobs/{running}").json()["state"] == "running", "another process works on it"
    threading.Timer(0.05, held.set).start()
    before.close()
    states = {name: case_system.get(f"/v1/jobs/{name}").json()["state"] for name in (done, running, waiting)}
    assert states == {done: "done", running: "interrupted", waiting: "interrupted"}
    assert len(case_system.get(f"/v1/jobs/{done}/result").text.splitlines()) == 1
    refused = case_system.get(f"/v1/jobs/{running}/result")
    assert (refused.status_code, refused.json()["detail"]) == (409, "this job is interrupted")


def test_a_job_whose_process_was_killed_says_interrupted(case_system, bodies, folder):
    name = sent(case_system, bodies[1])["job_id"]
    until(case_system, name, "done")
    change_on_disk(
        folder, name, state="running"
    )  # as it is left on disk; the system gives up the lock of a killed process
    assert case_system.get(f"/v1/jobs/{name}").json()["state"] == "interrupted"
    assert sorted(path.name for path in (folder / name).iterdir()) == ["lock", "state.json"]


def test_the_same_request_again_gets_the_same_job_and_another_body_under_its_key_is_refused(
    case_system, bodies
):
    first = sent(case_system, bodies[1], idempotency_key="night-run-1")
    again = sent(case_system, bodies[1], idempotency_key="night-run-1")
    assert again["job_id"] == first["job_id"] and first["idempotency_key"] == "night-run-1"
    other = case_system.post("/v1/jobs", json=bodies[5] | {"idempotency_key": "night-run-1"})
    assert other.status_code == 409 and other.json()["faults"][0]["where"] == "idempotency_key"
    assert sent(case_system, bodies[1])["job_id"] != first["job_id"]


def _faulty(body, change):
    body = copy.deepcopy(body)
    change(body)
    return body


def _row_of_nobody(body):
    row = {"event_id": "M-x", "household_id": "nobody", "known_on": "2025-07-10", "occurred_on": "2025-06-30"}
    body["tables"]["income"] = [row | {"source": "wage", "amount": 5200.0}]


def _other_county(body):
    body["tables"]["households"][0]["village_code"] = "110101001001"
    body["tables"]["households"][0]["township_code"] = "110101001"
    body["tables"]["households"][0]["county_code"] = "110101"


@pytest.mark.parametrize(
    ("change", "status", "where"),
    [
        (lambda body: body["tables"]["members"][0].pop("sex"), 400, "tables.members.0.sex"),
        (lambda body: body.update(as_of="2025-11-30"), 422, "as_of"),
        (_row_of_nobody, 422, ""),
        (_other_county, 404, ""),
        (lambda body: (body.pop("tables"), body.update(household_ids=["h1"])), 400, "household_ids"),
    ],
)
def test_a_body_with_faults_is_refused_before_there_is_a_job(
    case_system, bodies, folder, change, status, where
):
    refused = case_system.post("/v1/jobs", json=_faulty(bodies[1], change))
    assert refused.status_code == status, refused.text
    faults = refused.json()["faults"]
    assert faults and (not where or [fault["where"] for fault in faults] == [where])
    assert not folder.exists()


def test_more_households_than_a_job_holds_are_refused(case_system, bodies, folder, monkeypatch):
    monkeypatch.setattr(job_handlers, "HOUSEHOLDS_AT_MOST", 4)
    monkeypatch.setattr("riskmodel.serving.reading.ROWS_AT_MOST", 10)
    refused = case_system.post("/v1/jobs", json=bodies[5])
    assert refused.status_code == 413 and "at most 4 households" in refused.json()["faults"][0]["expected"]
    assert not folder.exists()


def test_a_job_that_cannot_be_scored_names_the_households_of_all_parts_by_their_place(
    case_system, bodies, monkeypatch
):
    monkeypatch.setattr(jobs, "SCORED_AT_ONCE", 2)
    ids = sorted({row["household_id"] for row in bodies[5]["tables"]["households"]})

    def moved_away(body):
        members = {row["member_id"]: row for row in body["tables"]["members"]}
        for row in members.values():
            if row["household_id"] in (ids[1], ids[3]):
                row |= {"known_on": "2025-02-01", "left_on": "2025-01-01"}
        body["tables"]["members"] = list(members.values())

    body = _faulty(bodies[5], moved_away)
    name = sent(case_system, body)["job_id"]
    job = until(case_system, name, "failed", "done")
    assert (job["state"], job["scored"], job["faults_in_all"]) == ("failed", 0, 2)
    places = " ".join(fault["where"] for fault in job["faults"])
    assert "number 2" in places and "number 4" in places and ids[1] not in places
    assert case_system.get(f"/v1/jobs/{name}/result").status_code == 409
