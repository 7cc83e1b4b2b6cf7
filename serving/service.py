"""The BentoML service: it says what runs, with which bounds, and hands over. No arithmetic here; see src/riskmodel/serving/.

Start it with `riskmodel serve`. It listens on loopback; in production a reverse proxy stands in front (serving/deploy/).
"""

from __future__ import annotations

import bentoml

from riskmodel.serving.api import make_app
from riskmodel.serving.limits import BodyLimit, Bounded
from riskmodel.serving.middleware import Guard
from riskmodel.serving.room import Room

room = Room()


@bentoml.service(
    name="riskmodel",
    workers=1,
    http={"host": "127.0.0.1"},
    # Our own /metrics, logs and bounds stand inside, behind the keys; BentoML's would cost three times the scoring.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
    traffic={"timeout": 60},
)
@bentoml.asgi_app(make_app(room), path="/")
class ScreeningService:
    """A priority signal ahead of human verification. 核实优先级信号，非认定结论"""

    def __init__(self) -> None:
        room.open()

    @bentoml.on_shutdown
    def close(self) -> None:
        room.close()


# The last one added is the outermost: the number of requests is bounded first, then bodies, then who it is.
ScreeningService.add_asgi_middleware(Guard, room=room)
ScreeningService.add_asgi_middleware(BodyLimit)
ScreeningService.add_asgi_middleware(Bounded)
