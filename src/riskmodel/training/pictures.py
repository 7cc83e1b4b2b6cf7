"""Which plots a run and a comparison log. The plots themselves are drawn in `plots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from riskmodel.training.evaluation import Evaluation


def run_pictures(evaluation: Evaluation) -> dict[str, Figure]:
    """Plots of one run by name."""
    return {}
