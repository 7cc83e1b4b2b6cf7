"""Twenty identities that nobody has go into everything that takes something; they come out nowhere: no
answer, log, error, metric, store or file.

An answer to a request may not repeat what was sent either: it could stand in somebody's log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from riskmodel.tables.identity import telling_text
from tests.serving.conftest import AS_OF, CYCLE

WEIGHTS, CHECK = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), "10X98765432"


def identity_number(first_17: str) -> str:
    return (
        first_17
        + CHECK[sum(int(digit) * weight for digit, weight in zip(first_17, WEIGHTS, strict=True)) % 11]
    )


NUMBERS = [
    identity_number(f"52230119{year}0{month}1{year % 10}00{month}")
    for year, month in zip(range(51, 59), range(1, 9), strict=True)
]
PHONES = ["13987650001", "15987650002", "18687650003", "17787650004", "19987650005", "13387650006"]
NAMES = ["欧阳谷雨", "司徒惊蛰", "皇甫白露", "诸葛霜降", "上官立夏", "慕容小满"]
CANARIES = [*NUMBERS, *PHONES, *NAMES]
# The ways in which people write numbers.
DISGUISES = [
    lambda text: text,
    lambda text: " ".join(text[place : place + 4] for place in range(0, len(text), 4)),
    lambda text: text[:6] + "-" + text[6:],
    lambda text: "".join(chr(ord(sign) + 0xFEE0) if sign.isdigit() else sign for sign in text),
]


def told(text: str, where: str) -> None:
    found = [canary for canary in CANARIES if canary in text]
    assert found == [], f"{where} gives an identity away"


def test_there_are_twenty_and_a_note_that_holds_a_number_is_recognised_however_it_is_written():
    assert len(set(CANARIES)) == 20
    for canary in NUMBERS + PHONES:
        for disguise in DISGUISES:
            assert telling_text(f"户主电话或证件 {disguise(canary)}，已核对") is not None, disguise(canary)
    for name in NAMES:
        for lead_in in ("户主姓名：", "联系人", "户主是", "本人叫", "姓名 "):
            assert telling_text(f"{lead_in}{name}，在家") == "a name", lead_in
    for harmless in (
        "2026-01-05 上午走访",
        "自付18400元，2025年12月至2026年1月",
        "户主在外务工",
        "联系人不在家",
        "h000042",
        "",
        "522301001003",
    ):
        assert telling_text(harmless) is None, harmless


def bodies(county):
    """Requests that hold canaries where a careless system would put them."""
    good = {"household_id": county.household(), "visited_on": "2026-01-05", "outcome": "no_risk"}
    for number, canary in enumerate(CANARIES):
        base = {"list_hash": county.visit_list.hash, "idempotency_key": f"canary-{number:04d}"}
        yield (
            "screener",
            "POST",
            "/v1/verifications",
            base | {"results": [good | {"note": f"户主姓名：{canary}，电话见档案"}]},
        )
        yield (
            "screener",
            "POST",
            "/v1/verifications",
            base | {"results": [good | {"visitor": canary}], "idempotency_key": f"canary-v{number:03d}"},
        )
        yield (
            "screener",
            "POST",
            "/v1/verifications",
            base | {"results": [good | {"household_id": canary}], "idempotency_key": f"canary-h{number:03d}"},
        )
        yield "screener", "POST", "/v1/verifications", base | {"results": [good | {canary: "x"}]}
        yield (
            "screener",
            "POST",
            "/v1/verifications",
            base | {"results": [good | {"disagreement": canary}], "idempotency_key": f"canary-d{number:03d}"},
        )
        yield (
            "screener",
            "POST",
            "/v1/verifications",
            base | {"results": [], canary: 1, "idempotency_key": canary},
        )
        yield "case_system", "POST", "/v1/scores", {"as_of": AS_OF, "household_ids": [canary]}
        yield (
            "case_system",
            "POST",
            "/v1/scores",
            {"as_of": canary, "household_ids": [county.household()], canary: canary},
        )
        yield (
            "case_system",
            "POST",
            "/v1/scores",
            {"as_of": AS_OF, "idempotency_key": canary, "tables": {canary: []}},
        )
        for place in ("household_id", "member_id", "name"):
            for path in ("/v1/scores", "/v1/jobs"):
                yield "case_system", "POST", path, with_rows(county, place, canary)
        yield "case_system", "POST", "/v1/jobs", {"as_of": canary, "tables": {canary: []}, canary: canary}
        for method, path in (("GET", ""), ("GET", "/result"), ("DELETE", "")):
            yield "case_system", method, f"/v1/jobs/{canary}{path}", None
        withdrawal = {"list_hash": base["list_hash"], "household_id": county.household(), "visitor": "甲队"}
        for wrong in (
            {"reason": f"户主姓名：{canary}，电话见档案"},
            {"household_id": canary},
            {canary: canary},
        ):
            yield "screener", "POST", "/v1/withdrawals", withdrawal | {"reason": "登记错户"} | wrong
        yield "screener", "POST", "/v1/session", {"key": canary}
        yield "screener", "POST", "/v1/session", {"key": "rm_0123456789ab_x", canary: canary}
        yield "screener", "GET", f"/v1/households/{canary}", None
        yield "screener", "GET", f"/v1/households/{county.household()}?as_of={canary}", None
        yield "screener", "GET", f"/v1/lists/{CYCLE}?q={canary}", None
        yield "screener", "GET", f"/v1/lists/{CYCLE}?{canary}={canary}&{canary}=1", None
        yield "screener", "GET", f"/v1/lists/{canary}", None
        yield "screener", "GET", f"/v1/areas/{CYCLE}?county={canary}", None
        yield "screener", "GET", f"/v1/lists/{CYCLE}/download?format=csv&township={canary}", None
        yield "auditor", "GET", f"/v1/audit?actor={canary}&action={canary}", None
        yield "operator", "GET", f"/web/{canary}.js", None
        yield "operator", "GET", f"/{canary}", None


def with_rows(county, place, canary):
    """A household's rows with the canary as an id, or in a column of its own."""
    from riskmodel.serving.requests import scores_request

    body = scores_request(
        county.tables, [county.household()], __import__("datetime").date.fromisoformat(AS_OF), 12
    )
    text = json.dumps(body)
    if place == "household_id":
        return json.loads(text.replace(json.dumps(county.household()), json.dumps(canary)))
    if place == "member_id":
        return json.loads(
            text.replace(json.dumps(body["tables"]["members"][0]["member_id"]), json.dumps(canary))
        )
    body["tables"]["members"][0][canary] = canary
    return body


def files_of(folder: Path):
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


@pytest.mark.timeout(300)
def test_nothing_that_was_sent_comes_out_again(live):
    county = live.county
    clients = {role: live.client(key) for role, key in county.own.items()}
    statuses: dict[int, int] = {}
    for role, method, path, body in bodies(county):
        answer = clients[role].request(method, path, json=body)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        told(answer.text, f"the answer to {method} {path.split('?')[0][:14]} ({answer.status_code})")
        told(str(answer.headers), "a header")
    # Names in ordinary words are no number: such a note is a row like another, so everything else was
    # refused.
    assert set(statuses) <= {200, 400, 401, 404, 405, 409, 422, 429}, statuses
    for canary in CANARIES:
        number = {
            "authorization": f"Bearer {canary}".encode(),
            "cookie": f"riskmodel_session={canary}".encode(),
            "user-agent": canary.encode(),
        }
        told(live.client().get("/v1/lists", headers=number).text, "the refusal of a key")
    told(clients["operator"].get("/metrics").text, "the metrics")
    told(clients["auditor"].get("/v1/audit?limit=1000").text, "the audit")
    told(clients["screener"].get(f"/v1/lists/{CYCLE}?limit=200").text, "the list")
    told(clients["screener"].get(f"/v1/households/{county.household()}").text, "the household")
    told(clients["screener"].get(f"/v1/lists/{CYCLE}/download?format=csv").text, "the download")
    told(live.log.read_text(errors="replace"), "the log")
    for path, content in files_of(county.project.root):
        for canary in CANARIES:
            assert canary.encode() not in content, f"{path} holds an identity"


@pytest.mark.parametrize("canary", [NUMBERS[0], PHONES[0]])
def test_tables_with_identities_are_refused_without_repeating_them(tmp_path, own_project, canary):
    folder = tmp_path / "tables"
    folder.mkdir()
    head = "household_id,county_code,township_code,village_code,category,known_on"
    rows = [
        f"{number},522301,522301100,522301100200,general,2025-01-05"
        for number in (NUMBERS if canary in NUMBERS else PHONES)
    ]
    (folder / "households.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    names = "\n".join(
        f"m{number},h1,female,1970-01-01,head,2025-01-05,{name}" for number, name in enumerate(NAMES)
    )
    (folder / "members.csv").write_text(
        f"member_id,household_id,sex,birth_date,relation,known_on,姓名\n{names}\n", encoding="utf-8"
    )
    for arguments in (
        ["check", folder],
        ["check", folder, "--format", "json"],
        ["check", folder, "--report", tmp_path / "report.html"],
    ):
        command = [Path(sys.executable).with_name("riskmodel"), *arguments, "--project", own_project.root]
        done = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "300"},
        )
        assert done.returncode == 1
        told(done.stdout + done.stderr, "what `riskmodel check` says")
    told((tmp_path / "report.html").read_text(encoding="utf-8"), "the quality report")
