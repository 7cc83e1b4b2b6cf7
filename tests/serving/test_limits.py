"""Work for a request is bounded before anything is done for it: headers, cookies, bodies, places, faults,
wrong keys, requests of a key.
"""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc

import pytest

from riskmodel.errors import Fault
from riskmodel.serving import api, shapes
from riskmodel.serving.authentication import (
    COOKIE,
    COOKIE_BYTES,
    TRIES,
    TRIES_IN_ALL,
    TooManyTries,
    TriesLimit,
    session_cookie,
)
from riskmodel.serving.forwarded import Forwarded, caller, networks
from riskmodel.serving.limits import BodyLimit, Bounded, Bounds, client_of
from riskmodel.serving.observe import Observed, request_id
from riskmodel.serving.problems import FAULTS_AT_MOST, problem
from riskmodel.serving.quota import Quota
from riskmodel.serving.routes import ROUTES, route_of
from riskmodel.serving.structure import BodyBounds, faults_of_structure
from riskmodel.serving.tally import Tally
from riskmodel.settings import Service

SESSION = route_of("POST", "/v1/session").bounds
VERIFICATIONS = route_of("POST", "/v1/verifications").bounds
KB = 1024


def bounds(**settings):
    made = Bounds()
    made.settings = Service(**settings)
    return made


def asked(
    app,
    *,
    method="POST",
    path="/v1/session",
    messages=(),
    headers=(),
    client="10.0.0.1",
    state=None,
    query=b"",
):
    """(call, what was sent) of one request whose body comes as these messages; after the last one nothing
    comes.
    """
    sent, waiting = [], iter(messages)

    async def receive():
        message = next(waiting, None)
        if message is None:
            await asyncio.sleep(3600)
        return message

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": list(headers),
        "client": (client, 1),
        "query_string": query,
        "state": state if state is not None else {},
    }
    return app(scope, receive, send), sent


def part(size, more=False):
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


async def echo(scope, receive, send):
    body = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body.get("body", b""))).encode()})


# ---- bodies


def test_every_route_that_takes_a_body_bounds_it_by_what_it_takes():
    with_body = {route.name: route.bounds for route in ROUTES if route.body is not None}
    assert with_body.keys() == {
        "POST /v1/session",
        "POST /v1/verifications",
        "POST /v1/withdrawals",
        "POST /v1/scores",
        "POST /v1/jobs",
    }
    assert SESSION.size == 2 * KB and VERIFICATIONS.size == 2 * KB * KB
    for name in ("POST /v1/scores", "POST /v1/jobs"):
        assert with_body[name] is None, "service.body_megabytes of the settings"


def test_the_limit_of_the_route_is_looked_at_before_the_body_and_while_it_comes():
    async def run():
        limit = BodyLimit(echo, bounds())
        state = {"body_limit": 2 * KB}
        call, sent = asked(limit, headers=[(b"content-length", b"2049")], state=dict(state))
        await asyncio.wait_for(call, 1)
        assert sent[0]["status"] == 413, "announced: nothing of it is read"
        call, sent = asked(limit, messages=[part(2000, True), part(49, True)], state=dict(state))
        await asyncio.wait_for(call, 1)
        assert sent[0]["status"] == 413 and limit.held == 0, "not announced: read no further"
        call, sent = asked(limit, messages=[part(2048)], state=dict(state))
        await call
        assert sent[0]["status"] == 200
        call, sent = asked(limit, headers=[(b"content-length", b"9" * 5000)], state=dict(state))
        await asyncio.wait_for(call, 1)
        assert sent[0]["status"] == 413, "a number of five thousand digits is not turned into one"

    asyncio.run(run())


def test_64_slow_bodies_of_one_client_leave_the_places_to_others():
    async def run():
        made = bounds(at_once=64, client_at_once=1000, client_bodies=16)
        app = Bounded(BodyLimit(echo, made), made)
        slow = [asked(app, messages=[part(1, True)], state={}) for _ in range(64)]
        running = [asyncio.create_task(call) for call, _ in slow]
        await asyncio.sleep(0.05)
        assert app.inside == 0, "a body on its way holds no place"
        refused = [sent[0]["status"] for _, sent in slow if sent]
        assert refused == [429] * 48, "16 bodies of one client wait, the others are refused at once"
        for client in ("10.0.0.1", "10.0.0.2"):
            call, sent = asked(app, method="GET", path="/v1/lists", messages=[part(0)], client=client)
            await asyncio.wait_for(call, 1)
            assert sent[0]["status"] == 200
        call, sent = asked(app, messages=[part(3)], client="10.0.0.2")
        await asyncio.wait_for(call, 1)
        assert sent[0]["status"] == 200, "another client's bodies are read"
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(run())


def test_one_client_cannot_take_every_place():
    async def run():
        free = asyncio.Event()

        async def held(scope, receive, send):
            await free.wait()
            await echo(scope, receive, send)

        app = Bounded(held, bounds(at_once=8, client_at_once=6))
        calls = [asked(app, method="GET", messages=[part(0)]) for _ in range(8)]
        tasks = [asyncio.create_task(call) for call, _ in calls]
        await asyncio.sleep(0.01)
        starts = [sent[0] for _, sent in calls if sent]
        assert [start["status"] for start in starts] == [429, 429]
        assert dict(starts[0]["headers"])[b"retry-after"] == b"1"
        other, sent = asked(app, method="GET", messages=[part(0)], client="10.0.0.2")
        task = asyncio.create_task(other)
        await asyncio.sleep(0.01)
        assert not sent, "another client has a place, and waits for its answer"
        free.set()
        await asyncio.gather(*tasks, task)
        assert app.inside == 0 and not app.clients

    asyncio.run(run())


def test_a_small_body_has_five_seconds_and_not_the_time_of_a_large_one(monkeypatch):
    monkeypatch.setattr("riskmodel.serving.limits.SMALL_BODY_SECONDS", 0.05)

    async def run():
        call, sent = asked(
            BodyLimit(echo, bounds(body_seconds=60)), messages=[part(1, True)], state={"body_limit": 2048}
        )
        await asyncio.wait_for(call, 2)
        assert sent[0]["status"] == 408

    asyncio.run(run())


HOSTILE = {
    "empty lists": lambda size: b"[" + b"[]," * (size // 3) + b"[]]",
    "empty objects": lambda size: b"[" + b"{}," * (size // 3) + b"{}]",
    "many keys": lambda size: b"{" + b",".join(b'"k%d":1' % n for n in range(size // 10)) + b"}",
    "many faulty results": lambda size: b'{"results":[' + b"{}," * (size // 3) + b"{}]}",
    "deep lists": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "deep objects": lambda size: b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6),
    "an open string": lambda size: b'{"key":"' + b"x" * size,
    "escaped quotes without an end": lambda size: b'"' + b'\\"' * (size // 2) + b"\\",
    "quotes": lambda size: b'"' * size,
    "numbers": lambda size: b"[" + b"1," * (size // 2) + b"1]",
    "a long number": lambda size: b'{"key":' + b"9" * size + b"}",
    "a key twice": lambda size: b"{" + b'"k":1,' * (size // 6) + b'"k":1}',
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_the_work_for_a_refused_body_is_bounded_by_its_route(kind):
    """Memory and time of a refusal: of the largest body that the route takes, whatever is in it."""
    for shape, limit in ((shapes.SignIn, SESSION), (shapes.Verifications, VERIFICATIONS)):
        content = HOSTILE[kind](limit.size)[: limit.size]
        tracemalloc.start()
        begun = time.process_time()
        with pytest.raises(api.Refused) as refused:
            api.parsed(content, shape, limit)
        seconds, memory = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert refused.value.status in (400, 413)
        # tracemalloc slows Python code down; what matters is that nothing grows faster than the body.
        assert seconds < 1.5 and memory < 24 * limit.size + KB * KB, (kind, seconds, memory)
        told = problem(400, refused.value.detail, refused.value.faults)
        assert len(told) < 64 * KB and json.loads(told)["faults_in_all"] >= 1


def test_the_first_50_faults_are_written_with_the_count_of_all():
    faults = [Fault(f"results.{n}.note" * 40, "x" * 5000, "村" * 5000, "remedy") for n in range(12_345)]
    told = json.loads(problem(400, "many", faults))
    assert told["faults_in_all"] == 12_345 and 10 <= len(told["faults"]) <= FAULTS_AT_MOST
    assert len(problem(400, "many", faults)) < 64 * KB
    short = json.loads(problem(400, "many", [Fault(str(n), "a", "b", "c") for n in range(60)]))
    assert [fault["where"] for fault in short["faults"]] == [str(n) for n in range(50)]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"a":1}', None),
        (b'{"a":"x:y,z[{","b":[1,2]}', None),
        (b'{"a":"\\"","b":1}', None),
        (b'{"a":1,"b":2,"c":3,"d":4}', "more than 3 keys"),
        (b"[1,2,3,4,5,6]", "more than 5 values"),
        (b"[[[[1]]]]", "objects and lists nested too deeply"),
        (b'{"a":{"b":"[[[["}}', None),
    ],
)
def test_structure_is_counted_outside_strings(content, found):
    faults = faults_of_structure(content, BodyBounds(size=100, depth=3, keys=3, values=5))
    assert [fault.found for fault in faults] == ([found] if found else [])


def test_a_large_body_is_parsed_beside_the_event_loop(service):
    """While 2 MB are parsed, the loop turns: what takes a turn of its own is not kept waiting."""
    threads = set()

    class Seen(shapes.Verifications):
        @classmethod
        def model_validate_json(cls, *_args, **_more):
            import threading

            threads.add(threading.current_thread().name)
            return shapes.Verifications.model_validate_json(*_args, **_more)

    class Asked:
        def __init__(self, content):
            self.content = content
            self.scope = {
                "headers": [(b"content-type", b"application/json")],
                "state": {"route": route_of("POST", "/v1/verifications")},
            }

        class query_params:
            @staticmethod
            def multi_items():
                return []

        async def body(self):
            return self.content

    body = {
        "list_hash": "0" * 64,
        "idempotency_key": "k" * 8,
        "results": [
            {"household_id": f"h{n}", "visited_on": "2026-01-05", "outcome": "no_risk", "note": "x" * 400}
            for n in range(20)
        ],
    }
    asyncio.run(api.body(Asked(json.dumps(body).encode()), Seen))
    assert all(name.startswith("bodies") for name in threads) and threads


# ---- headers, cookies, queries


def test_headers_and_queries_are_bounded_by_the_service_itself(service):
    client = service.client(service.county.own["screener"])
    app = Bounded(service.app, bounds())
    for headers, query in (
        ([(b"x-much", b"x" * 17_000)], b""),
        ([(b"x-%d" % n, b"1") for n in range(101)], b""),
        ([], b"q=" + b"x" * 4096),
    ):
        call, sent = asked(app, method="GET", path="/v1/lists", headers=headers, query=query)
        asyncio.run(call)
        assert sent[0]["status"] == 431
    assert client.get("/v1/lists").status_code == 200


def test_a_query_of_a_thousand_names_is_refused_in_linear_time(service):
    client = service.client(service.county.own["screener"])
    begun = time.process_time()
    answer = client.get("/v1/lists?" + "&".join(f"k{n}" + "=1" for n in range(6_000)))
    assert answer.status_code == 400 and len(answer.content) < 64 * KB
    assert answer.json()["faults_in_all"] == 6_000
    assert time.process_time() - begun < 3


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (f"{COOKIE}=abc", "abc"),
        (f"a=1; {COOKIE}=abc; b=2", "abc"),
        (f' {COOKIE}="abc"', "abc"),
        (f"x{COOKIE}=abc", ""),
        ("", ""),
        ("=;;==", ""),
        (f"{COOKIE}=abc; pad={'x' * COOKIE_BYTES}", ""),
    ],
)
def test_the_one_cookie_is_read_and_no_other(header, value):
    assert session_cookie({b"cookie": header.encode()}) == value


def test_a_hostile_cookie_takes_no_time():
    """SimpleCookie took 14 s for 120 kB of this on Python 3.11.7 (CVE-2024-7592)."""
    begun = time.process_time()
    for _ in range(100):
        assert session_cookie({b"cookie": f'{COOKIE}="'.encode() + b"\\" * 120_000}) == ""
        assert session_cookie({b"cookie": b'a="' + b"\\" * (COOKIE_BYTES - 10)}) == ""
    assert time.process_time() - begun < 0.5


# ---- who it is for whom requests are counted


def test_x_forwarded_for_is_believed_from_named_proxies_only():
    inside = networks(("10.0.0.0/8", "127.0.0.1/32"))
    assert caller("203.0.113.9", "1.2.3.4", inside) == "203.0.113.9", "no proxy of ours"
    assert caller("127.0.0.1", "1.2.3.4", ()) == "127.0.0.1", "none is named: not even loopback"
    assert caller("127.0.0.1", "1.2.3.4", inside) == "1.2.3.4"
    assert caller("127.0.0.1", "6.6.6.6, 1.2.3.4, 10.1.1.1", inside) == "1.2.3.4", (
        "what comes before it may be made up"
    )
    assert caller("127.0.0.1", "1.2.3.4, 110101199001011234", inside) == "127.0.0.1", (
        "no address: not believed"
    )
    assert caller("127.0.0.1", "", inside) == "127.0.0.1"
    assert caller("127.0.0.1", "::ffff:1.2.3.4", inside) == "1.2.3.4"


def test_an_identity_number_in_x_forwarded_for_reaches_neither_log_nor_audit():
    seen = []

    async def noted(scope, receive, send):
        seen.append(scope["client"][0])

    made = bounds(proxies=["127.0.0.1"])
    for value in (b"110101199001011234", b"1.2.3.4 110101199001011234", b"5.6.7.8"):
        call, _ = asked(Forwarded(noted, made), headers=[(b"x-forwarded-for", value)], client="127.0.0.1")
        asyncio.run(call)
    assert seen == ["127.0.0.1", "127.0.0.1", "5.6.7.8"]


def test_an_ipv6_line_counts_as_one_client():
    def name(host):
        return client_of({"client": (host, 1)})

    assert name("2001:db8:1:2:3::4") == name("2001:db8:1:2:ffff::1") != name("2001:db8:1:3::1")
    assert name("192.0.2.1") == "192.0.2.1" and client_of({}) == ""


def test_the_limit_of_wrong_keys_is_not_lifted_by_other_addresses():
    limit = TriesLimit()
    for _ in range(TRIES + 1):
        limit.count("10.0.0.1", 0.0)
    with pytest.raises(TooManyTries):
        limit.count("10.0.0.1", 1.0)
    for number in range(TRIES_IN_ALL - TRIES):
        limit.count(f"10.{number >> 8}.{number & 255}.7", 2.0)
    with pytest.raises(TooManyTries):
        limit.count("192.0.2.200", 3.0)
    limit.count("10.0.0.1", 61.5)


def test_a_key_has_a_quota_that_refills_evenly():
    clock = [0.0]
    quota = Quota(lambda: clock[0])
    assert [quota.wait("a", 60) for _ in range(61)] == [0] * 60 + [1]
    assert quota.wait("b", 60) == 0, "each key has its own"
    clock[0] = 2.5
    assert [quota.wait("a", 60) for _ in range(3)] == [0, 0, 1]


def test_a_key_beyond_its_quota_gets_429_with_the_time_to_wait(service):
    from dataclasses import replace

    state = service.state
    before = state.settings
    few = before.screening.service.model_copy(update={"key_requests_a_minute": 1})
    state.settings = replace(before, screening=before.screening.model_copy(update={"service": few}))
    try:
        client = service.client(service.county.local["auditor"])
        answers = [client.get("/v1/model") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 429, 429]
        assert answers[1].json()["code"] == "too-many-requests"
        assert 30 <= int(answers[1].headers["retry-after"]) <= 60
    finally:
        state.settings = before


# ---- request ids


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (b"case-4711.night_run", True),
        (b"9b2c7d4e0f1a2b3c", True),
        (b"short", False),
        (b"x" * 65, False),
        (b"with space here", False),
        (b'"><script>alert', False),
        (b"110101199003072316", False),  # an identity number
        (b"13912345678", False),  # a phone number
    ],
)
def test_a_request_id_is_taken_from_the_caller_where_it_is_one(given, taken):
    found = request_id({"headers": [(b"x-request-id", given)]})
    assert (found == given.decode()) is taken and 8 <= len(found) <= 64


def test_whatever_escapes_the_application_is_answered_with_500_and_the_id():
    async def broken(scope, receive, send):
        raise ValueError("secret")

    call, sent = asked(Observed(broken, Tally()), method="GET", headers=[(b"x-request-id", b"abcd-1234")])
    asyncio.run(call)
    assert sent[0]["status"] == 500 and dict(sent[0]["headers"])[b"x-request-id"] == b"abcd-1234"
    assert json.loads(sent[1]["body"])["request_id"] == "abcd-1234" and b"secret" not in sent[1]["body"]
