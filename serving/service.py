"""The BentoML service: it says what runs, in which order, and hands over. No arithmetic here; see
src/riskmodel/serving/.

Start it with `riskmodel serve`. It listens on loopback; in production a reverse proxy stands in front
(serving/deploy/).
"""

from __future__ import annotations

import bentoml
from starlette.types import ASGIApp

from riskmodel.errors import UserError
from riskmodel.project import Project
from riskmodel.serving.app import make_app
from riskmodel.serving.forwarded import Forwarded
from riskmodel.serving.gate import CallerGate
from riskmodel.serving.limits import BodyLimit, Bounded
from riskmodel.serving.observe import Observed, log_as_lines, log_no_start, warn_of_versions
from riskmodel.serving.probes import Ready
from riskmodel.serving.scorer import Scorer
from riskmodel.serving.state import ServiceState
from riskmodel.serving.swap import Watch
from riskmodel.serving.tally import Tally

state, tally = ServiceState(), Tally()


def open_state() -> None:
    """Open the release and the casebook. Raises UserError, whose faults the log then has."""
    log_as_lines()
    warn_of_versions()
    try:
        project = Project.find()
        scorer = Scorer.open(project, tally)
        state.open(project, scorer)
    except UserError as refusal:
        log_no_start(refusal)
        raise


@bentoml.service(
    name="riskmodel",
    workers=1,
    http={"host": "127.0.0.1"},
    # Our own bounds, logs and metrics stand inside, behind the keys; BentoML's would cost more than the
    # scoring.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
    traffic={"timeout": 600},
)
@bentoml.asgi_app(make_app(state), path="/")
class ScreeningService:
    """A priority signal ahead of human verification. 核实优先级信号，非认定结论"""

    def __init__(self) -> None:
        if not state.is_open:
            open_state()
        self.watch = Watch(state.required_scorer, state.project, state.take_settings)
        self.watch.start()

    @bentoml.on_shutdown
    def close(self) -> None:
        self.watch.stop()
        state.close()


# The first one is the outermost: a request id, the caller's address, bounds, who it is, and only then a body
# is read.
ScreeningService.add_asgi_middleware(Observed, tally=tally)
ScreeningService.add_asgi_middleware(Forwarded, bounds=state.bounds)
ScreeningService.add_asgi_middleware(Bounded, bounds=state.bounds)
ScreeningService.add_asgi_middleware(CallerGate, state=state)
ScreeningService.add_asgi_middleware(BodyLimit, bounds=state.bounds)
ScreeningService.add_asgi_middleware(Ready, state=state)


def application() -> ASGIApp:
    """The whole service for an ASGI server (`riskmodel serve`); `bentoml serve` makes the same one."""
    try:
        open_state()
    except UserError:
        raise SystemExit(1) from None  # told already, as a person can use it: no traceback after it
    app: ASGIApp = ScreeningService.to_asgi(is_main=False)
    return app
