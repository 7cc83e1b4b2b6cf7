"""How one county differs from another: what drives risks, how they are found, how well the departments write.

`Dynamics()` is the county of docs/synthetic-county.md. Every other one is a place where the same machinery
runs with other weights, so that a plan which was chosen on one kind of county can be judged on others
(`benchmarks/counties.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.synthetic import seeds

# Tables that a county cannot be without: nobody could be scored, and nothing learned.
NEEDED = ("households", "members", "verifications")
# Where amounts are written down, and which columns of a row are misread together.
AMOUNTS: Mapping[str, tuple[str, ...]] = {
    "income": ("amount",),
    "expenditure": ("amount",),
    "medical": ("total_cost", "reimbursed", "self_paid", "compliant_self_paid"),
    "employment": ("monthly_wage",),
}
# Tables whose rows can be late or lost. Visits are neither: they are the outcomes.
RECORDS = ("income", "expenditure", "medical", "disability", "employment", "shocks", "assistance", "leads")


@dataclass(frozen=True)
class Dynamics:
    """Factors on the usual county; 1 changes nothing.

    What drives risks: `lack` (income near or below the line), `sudden` (stress after a blow, all kinds),
    within it `illness`, `accident`, `disaster`, `work`, `industry`, `education`; `gaps` (guarantees that
    fail), `rest` (causes without a record), `luck` (exponent: weight of transient chance and of lasting
    frailty that no record shows). How often: `floods`, `job_loss`, `illnesses`. How found: `found` (readiness
    to see a risk outside the sweeps), `swept` (share of the villages that are swept each year, 0 to 1).

    How it is written down: `absent` tables; `later_days` added to the day a record was known; `lost` share of
    the records; `misread`: standard deviation of the logarithm of a factor on each amount.
    """

    lack: float = 1.0
    sudden: float = 1.0
    illness: float = 1.0
    accident: float = 1.0
    disaster: float = 1.0
    work: float = 1.0
    industry: float = 1.0
    education: float = 1.0
    gaps: float = 1.0
    rest: float = 1.0
    luck: float = 1.0
    floods: float = 1.0
    job_loss: float = 1.0
    illnesses: float = 1.0
    found: float = 1.0
    swept: float = 1.0
    absent: tuple[str, ...] = ()
    later_days: int = 0
    lost: float = 0.0
    misread: float = 0.0

    def __post_init__(self) -> None:
        faults = [
            Fault(
                f"dynamics: {field.name}", f"{getattr(self, field.name)}", "0 or more", "Give another number."
            )
            for field in fields(self)
            if field.name != "absent" and not getattr(self, field.name) >= 0
        ]
        faults += [
            Fault(f"dynamics: {name}", f"{getattr(self, name)}", "at most 1", "Give a share.")
            for name in ("swept", "lost")
            if getattr(self, name) > 1
        ]
        if needed := [name for name in self.absent if name in NEEDED]:
            faults.append(
                Fault("dynamics: absent", ", ".join(needed), f"not {', '.join(NEEDED)}", "Leave it in.")
            )
        if faults:
            raise DataError(faults)

    @property
    def stress_weights(self) -> tuple[float, ...]:
        """Weights of the six kinds of stress, in the order in which a household's state holds them."""
        return (self.illness, self.accident, self.disaster, self.work, self.industry, self.education)


def write_down(
    frames: Mapping[str, pl.DataFrame], dynamics: Dynamics, end: dt.date, seed: int
) -> dict[str, pl.DataFrame]:
    """The tables as such a county's departments would have delivered them: some absent, rows lost, late or
    misread. Later than `end`: not there yet.

    A correction (same event_id) is lost, late and misread together with what it corrects.
    """
    kept = {name: frame for name, frame in frames.items() if name not in dynamics.absent}
    for name in RECORDS:
        if name not in kept:
            continue
        frame = kept[name]
        chance = seeds.stream(seed, seeds.DELIVERY, seeds.DELIVERIES[name])
        ids = frame["event_id"].unique(maintain_order=True)
        draws = pl.DataFrame(
            {
                "event_id": ids,
                "_lost": chance.random(len(ids)),
                "_factor": np.exp(dynamics.misread * chance.standard_normal(len(ids))),
            }
        )
        if dynamics.lost or dynamics.misread:
            frame = frame.join(draws, on="event_id", how="left", maintain_order="left").filter(
                pl.col("_lost") >= dynamics.lost
            )
            if dynamics.misread:
                amounts = [column for column in AMOUNTS.get(name, ()) if column in frame.columns]
                frame = frame.with_columns(
                    (pl.col(column) * pl.col("_factor")).round(2).cast(frame.schema[column])
                    for column in amounts
                )
            frame = frame.drop("_lost", "_factor")
        if dynamics.later_days:
            late = pl.col("known_on") + pl.duration(days=dynamics.later_days)
            frame = frame.with_columns(known_on=late).filter(pl.col("known_on") <= end)
        kept[name] = frame
    return kept
