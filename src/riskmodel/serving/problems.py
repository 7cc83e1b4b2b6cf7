"""One shape for every refusal: RFC 9457 problem details with a stable code, sent without raising.

Middlewares must not raise: an exception that escapes before the answer starts would hold the caller until the time-out.
A refusal is bounded: the first 50 faults and their count, each text cut, less than 64 kB in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.types import Send

from riskmodel.casebook.request_id import REQUEST_ID
from riskmodel.errors import Fault


@dataclass(frozen=True)
class ProblemKind:
    """One kind of refusal. remedy: what a caller does about it, in zh and en."""

    status: int
    title: str
    title_zh: str
    remedy: str
    remedy_zh: str


# code -> what it is. Codes are stable: a program may branch on them. `type` of a refusal is /problems/<code>.
PROBLEMS: Final[dict[str, ProblemKind]] = {
    "invalid-request": ProblemKind(400, "The request cannot be used", "请求无法使用", "Correct what `faults` names.", "按 faults 所列逐项更正。"),
    "not-signed-in": ProblemKind(401, "Nobody is signed in", "尚未登录", "Sign in, or send a key in force.", "请登录，或提供有效密钥。"),
    "no-right": ProblemKind(403, "This key may not do that", "此密钥无权进行该操作", "Use a key whose role has the right.", "请使用有相应权限的密钥。"),
    "csrf-token": ProblemKind(403, "The session's token is missing", "缺少会话令牌", "Send the session's `csrf` as X-CSRF-Token.", "请在 X-CSRF-Token 中附上会话的 csrf。"),
    "not-found": ProblemKind(404, "There is no such thing here", "此处没有该内容", "Check the id and the areas of the key.", "请核对编号和密钥的区域范围。"),
    "wrong-day": ProblemKind(404, "There is no score of that day", "该日期没有评分", "Ask for a day that `faults` names.", "请改用 faults 所列的日期。"),
    "method-not-offered": ProblemKind(405, "The method is not offered here", "此地址不支持该方法", "Use a method that `Allow` names.", "请使用 Allow 所列的方法。"),
    "slow-body": ProblemKind(408, "The request came too slowly", "请求传输过慢", "Send the body in one go.", "请一次性发送内容。"),
    "key-used-before": ProblemKind(409, "That contradicts what is there", "与已有内容矛盾", "Make a new idempotency key for a new request.", "新的请求请使用新的幂等键。"),
    "job-not-done": ProblemKind(409, "The job has no result", "任务没有结果", "Ask for its state; send a job that failed or was interrupted again.", "请查询任务状态；失败或中断的任务请重新提交。"),
    "too-large": ProblemKind(413, "The request is too large", "请求过大", "Send it in several requests.", "请分多次发送。"),
    "content-type": ProblemKind(415, "The body is sent in a form that is not read here", "内容格式不受支持", "Send plain UTF-8 JSON as application/json.", "请以 application/json 发送 UTF-8 JSON。"),
    "faulty-rows": ProblemKind(422, "The rows hold faults", "数据行有误", "Correct the rows at their source.", "请在数据来源处更正。"),
    "wrong-keys": ProblemKind(429, "Too many wrong keys", "错误密钥过多", "Wait `Retry-After` seconds; right keys always pass.", "请等待 Retry-After 秒；有效密钥不受影响。"),
    "too-many-requests": ProblemKind(429, "Too many requests at once", "请求过多", "Wait `Retry-After` seconds, then send the same again.", "请等待 Retry-After 秒后重发。"),
    "large-headers": ProblemKind(431, "The headers are too large", "请求头过大", "Send fewer or shorter headers, or a shorter query.", "请减少请求头或查询参数。"),
    "fault-of-service": ProblemKind(500, "A fault of the service", "服务内部故障", "Tell the operator the request id.", "请将 request_id 告知运维人员。"),
    "busy": ProblemKind(503, "The service is not ready", "服务暂不可用", "Wait `Retry-After` seconds, then send the same again.", "请等待 Retry-After 秒后重发。"),
    "too-long": ProblemKind(504, "It took too long", "处理超时", "Ask again after `Retry-After` seconds, with fewer households.", "请等待 Retry-After 秒后减少户数再试。"),
}  # fmt: skip
# The code of a refusal that names none, by its status.
CODES: Final = {problem.status: code for code, problem in reversed(PROBLEMS.items())} | {
    429: "too-many-requests"
}
TITLES: Final = {status: PROBLEMS[code].title for status, code in CODES.items()}
PROBLEM_JSON: Final = (b"content-type", b"application/problem+json")
FAULTS_AT_MOST: Final = 50
TEXT_AT_MOST: Final = 300  # characters of one text of a fault
BYTES_AT_MOST: Final = 48 * 1024  # of all faults together


def problem(
    status: int, detail: str, faults: Sequence[Fault] = (), code: str = "", in_all: int | None = None
) -> bytes:
    """The body of a refusal.

    detail: one sentence. faults: each with where, found, expected and remedy; the first 50 are written.
    code: one of PROBLEMS; the usual one of the status without it. in_all: how many faults there are, where `faults` is a part.
    """
    code = code or CODES.get(status, "invalid-request")
    content: dict[str, Any] = {
        "type": f"/problems/{code}",
        "code": code,
        "title": PROBLEMS[code].title,
        "status": status,
        "detail": detail[:TEXT_AT_MOST],
        "request_id": REQUEST_ID.get(),
        "faults": _first(faults),
        "faults_in_all": len(faults) if in_all is None else in_all,
    }
    return orjson.dumps(content)


def _first(faults: Sequence[Fault]) -> list[dict[str, str]]:
    """The first faults, so many as fit."""
    some: list[dict[str, str]] = []
    left = BYTES_AT_MOST
    for fault in faults[:FAULTS_AT_MOST]:
        entry = {name: _cut(text) for name, text in fault.as_dict().items()}
        left -= sum(len(text.encode()) for text in entry.values())
        if left < 0:
            break
        some.append(entry)
    return some


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_AT_MOST else text[: TEXT_AT_MOST - 1] + "…"


async def refuse(
    send: Send,
    status: int,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    code: str = "",
) -> None:
    """Send a refusal as the whole answer. headers: further ones, such as `retry-after`; code: see `problem`."""
    body = problem(status, detail, faults, code)
    head = [
        PROBLEM_JSON,
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def kind_of(error: Exception) -> str:
    """The class of an exception for a log, with the database's own code (SQLITE_FULL, 57P01).

    Never its text, which may repeat what was sent.
    """
    origin = getattr(error, "orig", None) or error
    code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None)
    return f"{type(error).__name__} ({code})" if code else type(error).__name__
