"""The BentoML service: it parses, hands over, and answers. No arithmetic here; see src/riskmodel/serving/.

Start it with `riskmodel serve`. It listens on loopback; in production a reverse proxy stands in front.
"""

from __future__ import annotations

import bentoml
from bentoml.exceptions import InvalidArgument

from riskmodel.errors import UserError
from riskmodel.serving.desk import Desk
from riskmodel.serving.messages import ScoreAnswer, ScoreRequest
from riskmodel.serving.middleware import BodyLimit, OneShapeOfErrors, as_problem


@bentoml.service(name="riskmodel", workers=1, traffic={"timeout": 30, "max_concurrency": 32}, http={"host": "127.0.0.1"})
class ScreeningService:
    """A priority signal ahead of human verification. 核实优先级信号，非认定结论"""

    def __init__(self) -> None:
        self.desk = Desk.open()

    @bentoml.api(route="/v1/score", name="score")
    def score(self, request: ScoreRequest, /) -> ScoreAnswer:
        """Score and explain one household from its own rows."""
        try:
            return self.desk.score(request)
        except UserError as error:
            raise InvalidArgument(as_problem(error)) from None


# The last one added is the outermost: the body is limited before anything reads it.
ScreeningService.add_asgi_middleware(OneShapeOfErrors)
ScreeningService.add_asgi_middleware(BodyLimit)
