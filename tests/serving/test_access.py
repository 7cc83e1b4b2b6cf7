"""Keys, sessions and the audit of the running service: who comes in, for how long, what is written down."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select, text

from riskmodel.casebook import audit, credentials
from riskmodel.casebook.roles import ROLES, ROLES_OF_AREAS, Who
from riskmodel.casebook.schema import audit as audit_table
from riskmodel.casebook.schema import keys, sessions
from riskmodel.casebook.store import reading, writing
from riskmodel.errors import UserError
from riskmodel.serving.authentication import COOKIE, TRIES
from riskmodel.serving.route import OPEN
from riskmodel.serving.routes import ROUTES, methods_of, route_of
from riskmodel.serving.trail import Trail
from tests.casebook.conftest import book, url  # noqa: F401  (fixtures: an empty casebook on SQLite and PostgreSQL)
from tests.serving.conftest import CYCLE


def add(casebook, role="screener", areas=("522301",), **more):
    return credentials.add_key(casebook.engine, name="desk", role=role, areas=areas, purpose="visits", **more)


# ---- the table of rights


def test_every_role_is_named_in_the_table_and_every_right_names_known_roles():
    named = {role for right in ROUTES for role in right.roles}
    assert named - {*ROLES, *OPEN} == set() and set(ROLES) <= named


def test_the_scoring_role_cannot_write_outcomes_and_who_writes_outcomes_cannot_score():
    scoring = set(route_of("POST", "/v1/scores").roles)
    assert scoring == {"case_system", "analyst"} and scoring.isdisjoint(
        route_of("POST", "/v1/verifications").roles
    )


@pytest.mark.parametrize(
    "path",
    [
        "/v1/listsx",
        "/v1/lists/a/b",
        "/v1",
        "//",
        "/metrics/",
        "/v1/households/",
        "/web/",
        "/WEB/x",
        "/v1/lists/2026-01/",
    ],
)
def test_a_path_that_only_resembles_a_route_has_no_right(path):
    assert route_of("GET", path) is None and methods_of(path) == ()


def test_an_area_is_a_prefix_and_an_unknown_area_is_nobodys():
    who = Who("k", "", "screener", ("5223", "110101001"), "", "")
    assert who.sees("522301001003") and who.sees("110101001200") and not who.sees("110101002200")
    assert not who.sees("52") and not who.sees("") and not who.sees(None)
    assert not Who("k", "", "screener", (), "", "").sees("522301001003")


# ---- keys


def test_a_key_has_256_bits_and_nothing_of_its_secret_is_kept(book):  # noqa: F811
    made = add(book)
    secret = made.secret.split("_")[2]
    assert len(bytes.fromhex(secret)) == 32
    with reading(book.engine) as connection:
        rows = [
            *connection.execute(select(keys)).mappings(),
            *connection.execute(select(audit_table)).mappings(),
        ]
    assert secret not in str(rows) and len({add(book).secret for _ in range(20)}) == 20
    assert secret not in made.key.text() and secret in made.text()


def test_whose_key_it_is_and_why_another_is_not_let_in(book):  # noqa: F811
    made = add(book)
    who = credentials.authenticate_key(book.engine, made.secret)
    assert (who.role, who.areas, who.purpose) == ("screener", ("522301",), "visits")
    wrong = made.secret[:-1] + ("0" if made.secret[-1] != "0" else "1")
    assert credentials.authenticate_key(book.engine, wrong) == credentials.NotAuthenticated(
        "wrong secret", made.key.key_id
    )
    for nonsense in (
        "",
        "rm",
        "rm__",
        f"rm_{made.key.key_id}_",
        "rm_000000000000_" + "0" * 64,
        made.secret * 10,
        "x" * 100_000,
        "rm_é_ü",
    ):
        assert credentials.authenticate_key(book.engine, nonsense).why in ("no such key", "wrong secret")
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=366)
    assert credentials.authenticate_key(book.engine, made.secret, later).why == "expired"
    credentials.revoke_key(book.engine, made.key.key_id)
    assert credentials.authenticate_key(book.engine, made.secret).why == "revoked"
    with pytest.raises(UserError, match="revoked already"):
        credentials.revoke_key(book.engine, made.key.key_id)


def test_what_a_key_should_not_carry_is_refused_all_at_once(book):  # noqa: F811
    with pytest.raises(UserError) as caught:
        credentials.add_key(
            book.engine, name="13912345678", role="boss", areas=["52230", "x"], purpose=" ", days=9999
        )
    assert sorted(fault.where for fault in caught.value.faults) == [
        "areas",
        "areas",
        "days",
        "name",
        "purpose",
        "role",
    ]
    assert "13912345678" not in str(caught.value)
    with pytest.raises(UserError, match="areas: none"):
        add(book, areas=())
    with pytest.raises(UserError, match="none for the role auditor"):
        add(book, role="auditor")
    assert credentials.list_keys(book.engine) == []


# ---- sessions


def test_a_session_ends_when_idle_when_old_when_ended_and_with_its_key(book):  # noqa: F811
    made = add(book)
    who = credentials.authenticate_key(book.engine, made.secret)
    secret, sitting = credentials.open_session(book.engine, who)
    assert sitting.csrf and credentials.authenticate_session(book.engine, secret).csrf == sitting.csrf
    now = dt.datetime.now(dt.UTC)
    assert (
        credentials.authenticate_session(
            book.engine, secret, now + credentials.IDLE + dt.timedelta(seconds=1)
        ).why
        == "no session"
    )
    # Somebody who works on keeps it, but not beyond its absolute end.
    moment = now
    while moment < now + credentials.ABSOLUTE - dt.timedelta(minutes=20):
        moment += dt.timedelta(minutes=20)
        assert isinstance(credentials.authenticate_session(book.engine, secret, moment), Who)
    assert (
        credentials.authenticate_session(
            book.engine, secret, now + credentials.ABSOLUTE + dt.timedelta(seconds=1)
        ).why
        == "no session"
    )
    other, _ = credentials.open_session(book.engine, who)
    credentials.end_session(book.engine, other)
    assert credentials.authenticate_session(book.engine, other).why == "no session"
    third, _ = credentials.open_session(book.engine, who)
    with reading(book.engine) as connection:
        assert third not in str(connection.execute(select(sessions)).mappings().all())
    credentials.revoke_key(book.engine, made.key.key_id)
    assert credentials.authenticate_session(book.engine, third).why == "no session"
    assert credentials.authenticate_session(book.engine, "0" * 64).why == "no session"


def test_the_page_signs_in_and_changes_need_the_token_of_its_session(service):
    client = service.client()
    opened = client.post("/v1/session", json={"key": service.county.own["screener"]})
    cookie = opened.headers["set-cookie"].lower()
    assert (
        "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie and "secure" not in cookie
    )
    assert client.get("/v1/session").json() == opened.json() | {"csrf": opened.json()["csrf"]}
    assert client.get(f"/v1/lists/{CYCLE}").status_code == 200
    body = {"list_hash": service.county.visit_list.hash, "results": [], "idempotency_key": "csrf-test-1"}
    assert client.post("/v1/verifications", json=body).status_code == 403
    assert client.post("/v1/verifications", json=body, headers={"x-csrf-token": "0" * 64}).status_code == 403
    right = {"x-csrf-token": opened.json()["csrf"]}
    assert (
        client.post("/v1/verifications", json=body, headers=right).status_code == 400
    )  # no results: it was read
    assert client.delete("/v1/session").status_code == 403
    assert client.delete("/v1/session", headers=right).status_code == 204
    client.cookies.set(COOKIE, opened.headers["set-cookie"].split("=")[1].split(";")[0])
    assert client.get("/v1/session").status_code == 401, "the cookie of an ended session opens nothing"


def test_a_cookie_is_secure_wherever_it_would_leave_the_machine(service):
    client = service.client()
    opened = client.post("http://screening.example/v1/session", json={"key": service.county.own["screener"]})
    assert "secure" in opened.headers["set-cookie"].lower()


def test_wrong_keys_are_slowed_written_down_and_never_keep_the_right_one_out(service):
    client, trail = service.client(), "rm_000000000000_" + "0" * 64
    before = service.state.book.audit_head().number
    answers = [client.post("/v1/session", json={"key": trail}) for _ in range(TRIES + 5)]
    assert [answer.status_code for answer in answers] == [401] * (TRIES + 1) + [429] * 4 or {
        answer.status_code for answer in answers
    } == {401, 429}
    limited = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(limited.headers["retry-after"]) <= 61
    assert client.post("/v1/session", json={"key": service.county.own["auditor"]}).status_code == 200
    entries = service.state.book.audit_page(since=before + 1, limit=1000)["entries"]
    refused = [entry for entry in entries if entry["action"] in ("sign-in refused", "sign-ins limited")]
    assert 1 <= len(refused) <= TRIES + 1 and trail not in str(entries), (
        "a flood of wrong keys does not fill the audit"
    )
    service.state.authenticator.wrong.clear()


# ---- answers under idempotency keys


def test_an_answer_under_an_idempotency_key_expires_after_90_days(book):  # noqa: F811
    key_id = add(book).key.key_id
    now = dt.datetime.now(dt.UTC)
    with writing(book.engine) as connection:
        credentials.keep_answer(connection, key_id, "POST /x", "key-00001", "hash", b"{}")
        assert credentials.kept_answer(connection, key_id, "POST /x", "key-00001") == ("hash", b"{}")
        just, later = now + dt.timedelta(days=89), now + dt.timedelta(days=91)
        assert credentials.kept_answer(connection, key_id, "POST /x", "key-00001", just) is not None
        assert credentials.kept_answer(connection, key_id, "POST /x", "key-00001", later) is None
        connection.execute(text("UPDATE idempotency SET answered_at = '2020-01-01T00:00:00.000000+00:00'"))
        credentials.keep_answer(connection, key_id, "POST /x", "key-00001", "other", b"[]")
        assert connection.execute(text("SELECT request_hash FROM idempotency")).scalars().all() == ["other"]


# ---- what every answer wears


def test_every_answer_wears_the_headers_that_keep_a_browser_safe(service):
    for path, key in (
        ("/", None),
        ("/v1/lists", None),
        ("/v1/lists", service.county.own["screener"]),
        ("/nowhere", None),
    ):
        headers = service.client(key).get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] in ("no-store", "no-cache")


@pytest.mark.parametrize(
    "path",
    [
        "/web/../screening.yaml",
        "/web/..%2f..%2fpyproject.toml",
        "/web/%2e%2e/screening.yaml",
        "/web/none.js",
        "/web//etc/passwd",
    ],
)
def test_nothing_outside_the_page_is_handed_out(service, path):
    assert service.client().get(path).status_code in (401, 404)


# ---- the audit


def entries_of(service, work):
    before = service.state.book.audit_head().number
    work()
    return service.state.book.audit_page(since=before + 1, limit=100)["entries"]


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("/v1/lists", "lists seen"),
        (f"/v1/lists/{CYCLE}", "list seen"),
        (f"/v1/lists/{CYCLE}/download?format=xlsx", "list downloaded"),
        ("/v1/households/{household}", "household seen"),
        (f"/v1/areas/{CYCLE}", "areas seen"),
    ],
)
def test_each_look_has_its_entry_with_who_role_purpose_model_and_when(service, path, action):
    county = service.county
    key = county.own["screener"]
    (entry,) = entries_of(service, lambda: service.client(key).get(path.format(household=county.household())))
    assert entry["action"] == action and entry["actor"] == key.split("_")[1]
    assert (entry["role"], entry["purpose"]) == ("screener", "tests")
    assert entry["model_version"] == ("" if action == "lists seen" else county.scores.model_version)
    assert abs(dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(entry["at"])) < dt.timedelta(minutes=1)
    if action == "household seen":
        assert entry["subject"] == county.household()
    if action == "list downloaded":
        assert len(json.loads(entry["details"])["sha256"]) == 64


def test_scores_refusals_and_foreign_looks_have_their_entries_too(service):
    county = service.county
    body = {"as_of": "2025-12-31", "household_ids": [county.household()]}
    (scored,) = entries_of(
        service, lambda: service.client(county.own["case_system"]).post("/v1/scores", json=body)
    )
    assert scored["action"] == "scored" and scored["model_version"] == county.scores.model_version
    assert json.loads(scored["details"])["household_id"] == county.household()
    two = sorted(county.scores.frame["household_id"][:2].to_list())
    both = {"as_of": "2025-12-31", "household_ids": two}
    (several,) = entries_of(
        service, lambda: service.client(county.own["case_system"]).post("/v1/scores", json=both)
    )
    assert json.loads(several["details"])["household_ids"] == two, (
        "whose score was asked for is known of each household"
    )
    (wrong_role,) = entries_of(service, lambda: service.client(county.own["auditor"]).get("/v1/lists"))
    assert wrong_role["action"] == "refused" and json.loads(wrong_role["details"])["status"] == 403
    (foreign,) = entries_of(
        service,
        lambda: service.client(county.foreign["screener"]).get(f"/v1/households/{county.household()}"),
    )
    assert foreign["action"] == "refused" and county.household() not in str(foreign)


def test_a_refusal_that_cannot_be_written_down_says_when_to_ask_again(service, monkeypatch):
    def full(self, some):
        raise OSError("no space left")

    monkeypatch.setattr(Trail, "_keep", full)
    answer = service.client(service.county.own["auditor"]).get("/v1/lists")
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0


def test_without_its_entry_no_answer_leaves(service, monkeypatch):
    def full(self, some):
        raise OSError("no space left")

    monkeypatch.setattr(Trail, "_keep", full)
    answer = service.client(service.county.own["screener"]).get(
        f"/v1/households/{service.county.household()}"
    )
    assert answer.status_code == 503 and service.county.household() not in answer.text
    assert answer.headers["retry-after"] and answer.headers["content-type"] == "application/problem+json"


def test_entries_of_many_requests_at_once_stand_in_one_chain(book):  # noqa: F811
    trail = Trail(book.engine)

    async def many():
        await asyncio.gather(
            *(trail.write(actor=f"k{number}", action="tried", subject="x") for number in range(200))
        )

    asyncio.run(many())
    trail.close()
    assert book.audit_head().number == 200 and book.audit_faults() == []
    assert {entry["actor"] for entry in book.audit_page(limit=1000)["entries"]} == {
        f"k{number}" for number in range(200)
    }


def test_the_trail_and_commands_write_to_one_chain_at_the_same_time(book):  # noqa: F811
    trail = Trail(book.engine)

    async def both():
        loop = asyncio.get_running_loop()
        notes = [
            loop.run_in_executor(None, lambda: book.note(actor="command", action="tried", subject="y"))
            for _ in range(20)
        ]
        await asyncio.gather(
            *notes, *(trail.write(actor="k", action="tried", subject="x") for _ in range(60))
        )

    asyncio.run(both())
    trail.close()
    assert book.audit_head().number == 80 and book.audit_faults() == []


def riskmodel(project, *arguments):
    command = [Path(sys.executable).with_name("riskmodel"), *map(str, arguments), "--project", project.root]
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_keys_are_made_shown_and_revoked_by_command(own_project):
    wrong = riskmodel(own_project, "keys", "add", "desk", "--role", "boss", "--purpose", "p")
    assert wrong.returncode == 1 and "analyst, screener" in wrong.stderr and "Traceback" not in wrong.stderr
    made = riskmodel(
        own_project,
        "keys",
        "add",
        "town desk",
        "--role",
        "screener",
        "--area",
        "522301001",
        "--purpose",
        "visits",
    )
    key = next(line for line in made.stdout.splitlines() if line.startswith("rm_"))
    listed = riskmodel(own_project, "keys", "list").stdout
    assert key.split("_")[1] in listed and key.split("_")[2] not in listed and "in force" in listed
    assert riskmodel(own_project, "keys", "revoke", key.split("_")[1]).returncode == 0
    assert "revoked" in riskmodel(own_project, "keys", "list").stdout
    assert riskmodel(own_project, "keys", "revoke", "nobody").returncode == 1


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 3", "entry 3 was changed"),
        ("DELETE FROM audit WHERE number = 3", "entries 3 to 3 are missing"),
        ("DELETE FROM audit WHERE number >= 5", "the tail was cut"),
    ],
)
def test_the_command_finds_an_edit_a_gap_and_a_cut_tail(own_project, statement, found):
    from riskmodel.casebook import Casebook

    casebook = Casebook.of(own_project)
    for number in range(6):
        casebook.note(actor="k", action="household seen", subject=f"h{number}")
    exported = own_project.root / "audit.jsonl"
    written = riskmodel(own_project, "audit", "export", exported)
    assert written.returncode == 0 and "The chain holds: 6 entries" in written.stdout
    lines = [json.loads(line) for line in exported.read_text(encoding="utf-8").splitlines()]
    assert lines[0]["head"] == {"number": 6, "hash": lines[-1]["hash"]} and len(lines) == 7
    assert riskmodel(own_project, "audit", "verify", "--head", exported).returncode == 0
    with writing(casebook.engine) as connection:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("DROP TRIGGER audit_no_delete"))
        connection.execute(text(statement))
    casebook.close()
    checked = riskmodel(own_project, "audit", "verify", "--head", exported)
    assert checked.returncode == 1 and found in checked.stdout
    nonsense = riskmodel(own_project, "audit", "verify", "--head", own_project.root / "pyproject.toml")
    assert nonsense.returncode == 1 and "riskmodel audit export" in nonsense.stderr


def test_the_hash_of_an_entry_covers_each_of_its_fields(book):  # noqa: F811
    book.note(actor="k", action="a", subject="s", role="r", purpose="p", model_version="m", details={"x": 1})
    (entry,) = book.audit_page()["entries"]
    for name in entry:
        if name != "hash":
            assert audit._hash(entry | {name: "another"}) != entry["hash"], name


def test_the_roles_whose_keys_need_areas_are_those_that_a_route_by_area_admits():
    by_area = {role for right in ROUTES if right.by_area for role in right.roles}
    assert set(ROLES_OF_AREAS) == by_area
