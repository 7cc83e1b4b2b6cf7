"""One shape for every refusal: RFC 9457 problem details with a stable code, sent without raising.

Middlewares must not raise: an exception that escapes before the answer starts would hold the caller until the
time-out. A refusal is bounded: the first 50 faults and their count, each text cut, less than 64 kB in all.
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
    "invalid-request": ProblemKind(
        400,
        title="The request cannot be used",
        title_zh="请求无法使用",
        remedy="Correct what `faults` names.",
        remedy_zh="按 faults 所列逐项更正。",
    ),
    "not-signed-in": ProblemKind(
        401,
        title="Nobody is signed in",
        title_zh="尚未登录",
        remedy="Sign in, or send a key in force.",
        remedy_zh="请登录，或提供有效密钥。",
    ),
    "no-right": ProblemKind(
        403,
        title="This key may not do that",
        title_zh="此密钥无权进行该操作",
        remedy="Use a key whose role has the right.",
        remedy_zh="请使用有相应权限的密钥。",
    ),
    "csrf-token": ProblemKind(
        403,
        title="The session's token is missing",
        title_zh="缺少会话令牌",
        remedy="Send the session's `csrf` as X-CSRF-Token.",
        remedy_zh="请在 X-CSRF-Token 中附上会话的 csrf。",
    ),
    "not-found": ProblemKind(
        404,
        title="There is no such thing here",
        title_zh="此处没有该内容",
        remedy="Check the id and the areas of the key.",
        remedy_zh="请核对编号和密钥的区域范围。",
    ),
    "wrong-day": ProblemKind(
        404,
        title="There is no score of that day",
        title_zh="该日期没有评分",
        remedy="Ask for a day that `faults` names.",
        remedy_zh="请改用 faults 所列的日期。",
    ),
    "method-not-offered": ProblemKind(
        405,
        title="The method is not offered here",
        title_zh="此地址不支持该方法",
        remedy="Use a method that `Allow` names.",
        remedy_zh="请使用 Allow 所列的方法。",
    ),
    "slow-body": ProblemKind(
        408,
        title="The request came too slowly",
        title_zh="请求传输过慢",
        remedy="Send the body in one go.",
        remedy_zh="请一次性发送内容。",
    ),
    "key-used-before": ProblemKind(
        409,
        title="That contradicts what is there",
        title_zh="与已有内容矛盾",
        remedy="Make a new idempotency key for a new request.",
        remedy_zh="新的请求请使用新的幂等键。",
    ),
    "job-not-done": ProblemKind(
        409,
        title="The job has no result",
        title_zh="任务没有结果",
        remedy="Ask for its state; send a job that failed or was interrupted again.",
        remedy_zh="请查询任务状态；失败或中断的任务请重新提交。",
    ),
    "too-large": ProblemKind(
        413,
        title="The request is too large",
        title_zh="请求过大",
        remedy="Send it in several requests.",
        remedy_zh="请分多次发送。",
    ),
    "content-type": ProblemKind(
        415,
        title="The body is sent in a form that is not read here",
        title_zh="内容格式不受支持",
        remedy="Send plain UTF-8 JSON as application/json.",
        remedy_zh="请以 application/json 发送 UTF-8 JSON。",
    ),
    "faulty-rows": ProblemKind(
        422,
        title="The rows hold faults",
        title_zh="数据行有误",
        remedy="Correct the rows at their source.",
        remedy_zh="请在数据来源处更正。",
    ),
    "wrong-keys": ProblemKind(
        429,
        title="Too many wrong keys",
        title_zh="错误密钥过多",
        remedy="Wait `Retry-After` seconds; right keys always pass.",
        remedy_zh="请等待 Retry-After 秒；有效密钥不受影响。",
    ),
    "too-many-requests": ProblemKind(
        429,
        title="Too many requests at once",
        title_zh="请求过多",
        remedy="Wait `Retry-After` seconds, then send the same again.",
        remedy_zh="请等待 Retry-After 秒后重发。",
    ),
    "large-headers": ProblemKind(
        431,
        title="The headers are too large",
        title_zh="请求头过大",
        remedy="Send fewer or shorter headers, or a shorter query.",
        remedy_zh="请减少请求头或查询参数。",
    ),
    "fault-of-service": ProblemKind(
        500,
        title="A fault of the service",
        title_zh="服务内部故障",
        remedy="Tell the operator the request id.",
        remedy_zh="请将 request_id 告知运维人员。",
    ),
    "busy": ProblemKind(
        503,
        title="The service is not ready",
        title_zh="服务暂不可用",
        remedy="Wait `Retry-After` seconds, then send the same again.",
        remedy_zh="请等待 Retry-After 秒后重发。",
    ),
    "too-long": ProblemKind(
        504,
        title="It took too long",
        title_zh="处理超时",
        remedy="Ask again after `Retry-After` seconds, with fewer households.",
        remedy_zh="请等待 Retry-After 秒后减少户数再试。",
    ),
}
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
    code: one of PROBLEMS; the usual one of the status without it. in_all: how many faults there are, where
    `faults` is a part.
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
    """Send a refusal as the whole answer. headers: further ones, such as `retry-after`; code: see
    `problem`.
    """
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
