"""The nginx configuration that is delivered, run for real in front of the real service: it closes what is
half open and lets everything else through.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import httpx
import orjson
import pytest
import yaml

from riskmodel.serving.requests import scores_request


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def proxy(project, live, tmp_path_factory):
    """(port, certificate) of nginx with the delivered file; only addresses, paths and the wait for headers
    are changed.
    """
    nginx, openssl = shutil.which("nginx") or shutil.which("/usr/sbin/nginx"), shutil.which("openssl")
    if not (nginx and openssl):
        if os.environ.get("CI"):
            pytest.fail("nginx and openssl are missing, and CI must have them")
        pytest.skip("nginx or openssl is not on this machine")
    folder = tmp_path_factory.mktemp("proxy")
    subprocess.run(
        [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            folder / "server.key",
            "-out",
            folder / "server.pem",
        ],
        check=True,
        capture_output=True,
    )
    port = free_port()
    text = (project.root / "serving" / "deploy" / "nginx.conf").read_text()
    for old, new in {
        "pid /run/nginx.pid;": f"pid {folder}/pid; daemon off; master_process off;",
        "error_log stderr warn;": f"error_log {folder}/error.log warn;",
        "access_log /dev/stdout lines;": (
            f"access_log {folder}/access.log lines; client_body_temp_path {folder}/body; proxy_temp_path "
            f"{folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path "
            f"{folder}/s;"
        ),
        "server 127.0.0.1:3000;": f"server {live.address.removeprefix('http://')};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/riskmodel/tls": str(folder),
        "client_header_timeout 10s;": "client_header_timeout 2s;",
        "client_body_timeout 10s;": "client_body_timeout 2s;",
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen([nginx, "-c", folder / "nginx.conf", "-p", folder], stderr=subprocess.PIPE)
    for _ in range(100):
        if process.poll() is not None:
            pytest.fail(process.stderr.read().decode())
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield port, folder
    process.send_signal(signal.SIGQUIT)
    process.wait(20)


def client(proxy, key):
    port, folder = proxy
    trust = ssl.create_default_context(cafile=folder / "server.pem")
    return httpx.Client(
        base_url=f"https://localhost:{port}",
        verify=trust,
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    )


def test_a_score_through_the_proxy_is_the_same_answer(proxy, live):
    county = live.county
    body = orjson.dumps(scores_request(county.tables, [county.household()], dt.date(2025, 12, 31)))
    headers = {"content-type": "application/json"}
    with (
        client(proxy, county.own["case_system"]) as outside,
        live.client(county.own["case_system"]) as inside,
    ):
        through = outside.post("/v1/scores", content=body, headers=headers)
        assert through.status_code == 200
        assert through.content == inside.post("/v1/scores", content=body, headers=headers).content
        assert "strict-transport-security" in through.headers and "nginx/" not in through.headers.get(
            "server", ""
        )
        assert outside.post("/v1/scores", content=b" " * 50_000_000, headers=headers).status_code == 413


def test_300_half_open_connections_are_closed_and_others_are_served_meanwhile(proxy, live):
    port, folder = proxy
    context = ssl.create_default_context(cafile=folder / "server.pem")
    held = []
    for number in range(300):
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        if number % 3 == 0:
            held.append(plain)  # not even a handshake
            continue
        try:
            wrapped = context.wrap_socket(plain, server_hostname="localhost")
        except (ssl.SSLError, OSError):
            continue
        # half of a header, or a header and a body that does not come
        wrapped.sendall(
            b"POST /v1/scores HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
            if number % 3 == 1
            else b"POST /v1/scores HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        held.append(wrapped)
    assert len(held) > 200
    county = live.county
    body = orjson.dumps(scores_request(county.tables, [county.household()], dt.date(2025, 12, 31)))
    with live.client(county.own["case_system"]) as inside:
        begun = time.monotonic()
        assert (
            inside.post("/v1/scores", content=body, headers={"content-type": "application/json"}).status_code
            == 200
        )
        assert time.monotonic() - begun < 10
    deadline = time.monotonic() + 40
    still = set(held)
    while still and time.monotonic() < deadline:
        for connection in list(still):
            connection.settimeout(0.05)
            try:
                if not connection.recv(4096):
                    still.discard(connection)
            except TimeoutError:
                continue
            except OSError:
                still.discard(connection)
    assert not still, f"{len(still)} connections are still open"
    for connection in held:
        connection.close()
    with client(proxy, county.own["case_system"]) as outside:
        assert (
            outside.post("/v1/scores", content=body, headers={"content-type": "application/json"}).status_code
            == 200
        )


def test_the_proxy_s_log_holds_routes_and_no_household(proxy, live):
    county = live.county
    with client(proxy, county.own["screener"]) as outside:
        assert outside.get(f"/v1/households/{county.household()}").status_code == 200
    log = ""
    for _ in range(50):  # it is written when the connection is done with
        log = (proxy[1] / "access.log").read_text()
        if '"route":"/v1/households"' in log:
            break
        time.sleep(0.1)
    assert '"route":"/v1/households"' in log and county.household() not in log


def test_the_delivered_unit_and_compose_file_start_what_the_command_line_starts(project):
    from riskmodel.serving.server import STOP_SECONDS

    compose = yaml.safe_load((project.root / "serving" / "deploy" / "compose.yaml").read_text())
    service = compose["services"]["riskmodel"]
    assert (
        service["command"][:2] == ["riskmodel", "serve"]
        and "ports" not in service
        and service["networks"] == ["inside"]
    )
    assert compose["networks"]["inside"]["internal"] is True
    assert int(service["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
    unit = (project.root / "serving" / "deploy" / "riskmodel.service").read_text()
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > STOP_SECONDS
    assert "riskmodel serve --host 127.0.0.1" in unit
    analyse = shutil.which("systemd-analyze")
    if analyse:
        said = subprocess.run(
            [analyse, "verify", project.root / "serving/deploy/riskmodel.service"],
            capture_output=True,
            text=True,
        )
        faults = [
            line
            for line in said.stderr.splitlines()
            if "riskmodel.service" in line and "is not executable" not in line and "User" not in line
        ]
        assert not faults, faults
