"""Text of `GET /readyz` beside "ready": another release serves in place of the one in `release/current`, or
its scores are past their last valid day.

The status is still 200: answers are right, and name their release. Open without a key, so the text has no
name and no fault.
"""

from __future__ import annotations

import datetime as dt

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from riskmodel.serving.scorer import Scorer
from riskmodel.serving.state import ServiceState
from riskmodel.settings import today


class Ready:
    """Innermost ASGI layer: answers `/readyz` where there is such a text, and passes everything else on."""

    def __init__(self, app: ASGIApp, state: ServiceState) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scorer = self.state.scorer if scope["type"] == "http" and scope["path"] == "/readyz" else None
        notes = remarks(scorer, today(self.state.settings.screening)) if scorer is not None else []
        answer = PlainTextResponse("\n".join(["ready", *notes, ""])) if notes else self.app
        await answer(scope, receive, send)


def remarks(scorer: Scorer, day: dt.date) -> list[str]:
    """What an operator should look into although the service answers, a line each."""
    lines = []
    if scorer.not_taken is not None:
        lines.append("not the release that release/current names: it did not pass, see the log and /v1/model")
    if scorer.release.valid_until < day:
        lines.append(
            f"its scores were valid until {scorer.release.valid_until.isoformat()}: make a new release"
        )
    return lines
