"""Learners: each fits an ensemble of members on a training sample, stops and chooses on a later slice, and stores without pickle.

Every member is trained on all villages but its own part (see `samples.part_of`), each household weighted by an exponential draw (the
Bayesian form of the household-clustered bootstrap: Rubin, 1981). The part a member never saw is where it is stopped and calibrated.
"""

from __future__ import annotations

from riskmodel.training.learners.base import Ensemble, Member, Task
from riskmodel.training.learners.fitting import fit_ensemble

__all__ = ["Ensemble", "Member", "Task", "fit_ensemble"]
