"""`POST /v1/scores`: the route as a plain ASGI application, so that nothing stands between the body and the kernel."""

from __future__ import annotations

import orjson
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from riskmodel.errors import Fault, UserError
from riskmodel.serving.messages import ScoreRequest
from riskmodel.serving.problems import refuse
from riskmodel.serving.room import Room


class Scores:
    """Scores and explains households. The caller is `scope["state"]["who"]`."""

    def __init__(self, room: Room) -> None:
        self.room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        try:
            answer = self.room.desk.score(ScoreRequest.model_validate_json(body))
        except ValidationError as error:
            faults = [Fault(".".join(map(str, item["loc"])), item["type"], item["msg"], "See /docs.") for item in error.errors()]
            await refuse(send, 400, "the request holds faults", faults)
            return
        except UserError as error:
            await refuse(send, 422, "the rows hold faults", error.faults)
            return
        content = orjson.dumps({"scores": [answer.model_dump()]})
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": content})
