"""What the gate costs a request: sign-in by key, rights, headers, and an audit entry that is on disk before
the answer leaves.

    python benchmarks/gate.py

Around an application that does nothing, on SQLite in a temporary folder. Prints one line of JSON:
microseconds of CPU a request, alone and with 64 at once.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

import riskmodel as rm
from riskmodel.casebook.credentials import add_key
from riskmodel.serving.gate import CallerGate
from riskmodel.serving.state import ServiceState

ALONE, AT_ONCE, ROUNDS = 400, 64, 20


async def nothing(scope, receive, send) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": b"{}"})


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_message) -> None:
    pass


async def measure(gate: CallerGate, key: str) -> dict[str, float]:
    def asked():
        headers = [
            (b"host", b"x"),
            (b"authorization", f"Bearer {key}".encode()),
            (b"content-type", b"application/json"),
        ]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/scores",
            "headers": headers,
            "client": ("127.0.0.1", 1),
        }
        return gate(scope, receive, send)

    for _ in range(20):
        await asked()
    start = time.process_time()
    for _ in range(ALONE):
        await asked()
    alone = (time.process_time() - start) / ALONE
    start = time.process_time()
    for _ in range(ROUNDS):
        await asyncio.gather(*(asked() for _ in range(AT_ONCE)))
    together = (time.process_time() - start) / (ROUNDS * AT_ONCE)
    return {"alone_cpu_us": round(alone * 1e6), f"{AT_ONCE}_at_once_cpu_us": round(together * 1e6)}


def main() -> None:
    state = ServiceState()
    state.open(rm.open_project(rm.init_project(Path(tempfile.mkdtemp()) / "project")))
    key = add_key(
        state.book.engine, name="benchmark", role="case_system", areas=["522301"], purpose="benchmark"
    ).secret
    print(json.dumps(asyncio.run(measure(CallerGate(nothing, state=state), key))))
    assert state.book.audit_faults() == []
    state.close()


if __name__ == "__main__":
    main()
