"""What the list misses, estimated from households that were visited by chance: recall, false omission rate
and observed/expected ratio, or `not_estimable`.

Visits to listed households carry no information about those not listed. Only two kinds of visit do: a sweep
of every household, and random checks with a known inclusion probability. Each confirmed household that was
drawn with probability c gets weight 1 / c (Horvitz and Thompson, "A generalization of sampling without
replacement", J. Am. Stat. Assoc. 47 (1952)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.training.resampling import LEVEL

if TYPE_CHECKING:
    import pandas as pd

NOT_ESTIMABLE: Final = "not_estimable"
# Confirmed checks that a single figure of recall needs; checks of unequal weight count by Kish's effective
# number. Looking on until so many are found, over as many cycles as that takes, is inverse sampling (Haldane,
# Biometrika 33 (1945)): what is missed is then known to a relative standard error of about a third, whatever
# its size. Ratios of fewer are badly off: `benchmarks/random_checks.py` shows how far.
ENOUGH_CONFIRMED: Final = 10
ROUTES: Final = ("listed", "random_check", "sweep", "none")


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, or `not_estimable` with the reason; then there may still be an
    interval.

    value: missing where no single figure can be given. low, high: missing where no interval can be given
    either. why: the reason why value is missing.
    """

    value: float | None
    low: float | None
    high: float | None
    why: str = ""

    @property
    def estimable(self) -> bool:
        """Whether there is a single figure."""
        return self.value is not None

    def text(self, form: str = "{:.1%}") -> str:
        """`18.2% [12.0%, 27.1%]`; without a single figure `not_estimable`, with `, between 3.0% and 96.1%`
        where there is an interval.
        """
        if self.low is None or self.high is None:
            return NOT_ESTIMABLE
        low, high = form.format(self.low), form.format(self.high)
        if self.value is None:
            return (
                f"{NOT_ESTIMABLE}, at least {low}"
                if self.high >= 1
                else f"{NOT_ESTIMABLE}, between {low} and {high}"
            )
        return f"{form.format(self.value)} [{low}, {high}]"

    def as_dict(self) -> dict[str, float | str | None]:
        """For JSON: value, low, high (null where not estimable), and `status`."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "status": "estimated" if self.estimable else NOT_ESTIMABLE,
            "why": self.why,
        }


TOO_FEW: Final = "too few checks"
# As coarse as the counts below: from two answers (of a county, since a day) no single household can be worked
# out.
_FIGURES: Final = {
    "recall": ("share of all risks that were on the lists", "{:.0%}"),
    "miss_rate": ("risks among the households not listed", "{:.1%}"),
    "observed_expected": ("risks found or estimated, over those expected", "{:.1f}"),
    "missed": ("risks missed, a household and cycle", "{:.0f}"),
}
ROUNDED_TO: Final = 5


def rounded(count: float) -> int:
    """A count to the nearest five, so that the difference of two counts is no small count."""
    return int(ROUNDED_TO * np.floor(count / ROUNDED_TO + 0.5))


@dataclass(frozen=True)
class CheckedRecall:
    """Estimates from random checks and sweeps for one list, or for many lists together. Make it with
    `recall_from_checks`.

    recall: share of all confirmed-or-would-be-confirmed that were on the list. miss_rate: share of the
    households not listed that would be confirmed (false omission rate). observed_expected: estimated
    confirmations in the whole cohort over the sum of the probabilities. confirmed_listed: confirmations on
    the list, unvisited ones made up for; missed: estimated confirmations outside it. too_few: the checks
    carry no single figure of recall; then `text` and `table` show none, since from two answers small counts
    could be worked out.
    """

    recall: Estimate
    miss_rate: Estimate
    observed_expected: Estimate
    confirmed_listed: float
    missed: Estimate
    checks: int
    checks_confirmed: int
    too_few: bool = False

    def table(self) -> pd.DataFrame:
        """A row a figure: value, low, high, status, why. From too few checks only the status."""
        import pandas as pd

        if self.too_few:
            empty: dict[str, str | None] = {
                "figure": None,
                "value": None,
                "low": None,
                "high": None,
                "status": TOO_FEW,
                "why": "",
            }
            return pd.DataFrame([empty | {"figure": name} for name in _FIGURES])
        return pd.DataFrame([{"figure": name} | getattr(self, name).as_dict() for name in _FIGURES])

    def text(self) -> str:
        """In words, for people: every figure with its interval, and what it rests on; from too few checks
        that, and nothing else.

        Counts of households are rounded to the nearest five.
        """
        if self.too_few:
            return f"{TOO_FEW[0].upper()}{TOO_FEW[1:]}."
        if not self.missed.estimable:
            return f"{NOT_ESTIMABLE}: {self.missed.why}"
        lines = [
            f"About {rounded(self.checks)} households outside the lists were looked at by chance, "
            f"about {rounded(self.checks_confirmed)} of them confirmed."
        ]
        for name, (words, form) in _FIGURES.items():
            figure: Estimate = getattr(self, name)
            if name == "missed":
                value, low, high = (
                    None if one is None else float(rounded(one))
                    for one in (figure.value, figure.low, figure.high)
                )
                figure = Estimate(value, low, high, figure.why)
            lines.append(f"  {words}: {figure.text(form)}" + (f"  ({figure.why})" if figure.why else ""))
        return "\n".join(lines)


def recall_from_checks(
    checks: pl.DataFrame | pd.DataFrame, *, layers: Sequence[str] = (), level: float = LEVEL
) -> CheckedRecall:
    """Recall, miss rate and calibration of one or several lists, from households looked at by chance.

    checks: one row a household and list, the **whole cohort** of each list:

    =======================
    =================================================================================================== route
    `listed` (on the list), `random_check` (drawn), `sweep` (visited because everybody of its layer was),
                             `none` (not visited, or visited for another reason: a lead is no random look)
    inclusion_probability    chance of being drawn that the design gave the household, for every household
    that is not listed;
                             1 for swept ones; 0 or missing: could not be drawn
    label                    1, 0 or missing (not visited, not reached, or the outcome is not known yet)
    probability              optional: calibrated probability; missing throughout: no observed / expected
    =======================
    ===================================================================================================

    layers: columns within which chances were set, such as cycle, township and score layer. A drawn household
    that nobody reached counts as missing at random within its layer: those reached are weighted up for it (a
    layer in which nobody was reached is distributed over the others). The same holds for listed households
    that were not reached.

    The interval of the missed confirmations is the gamma interval for a weighted sum of rare counts (Fay and
    Feuer, Stat. Med. 16 (1997)), design-based; it errs on the wide side and has an upper end when no check
    confirmed anything. The listed count is taken as known.

    Lists of many cycles are pooled by passing all of them at once. Recall is given as a single figure only
    from ENOUGH_CONFIRMED confirmed checks on (the missed are in the denominator: from few of them recall is
    biased far upwards); before, only its interval is given. An estimate made on a fixed day, instead of when
    there are enough, is more often available where chance found many: it is then biased downwards.

    `not_estimable` altogether: no household outside the list was looked at by chance, or some could not have
    been drawn. Raises DataError for faults of the frame.
    """
    frame = pl.from_pandas(checks) if not isinstance(checks, pl.DataFrame) else checks
    frame = _checked(frame, layers)
    keys = list(layers) or ["_all"]
    frame = frame.with_columns(_all=pl.lit(0))
    listed, outside = frame.filter(pl.col("route") == "listed"), frame.filter(pl.col("route") != "listed")
    confirmed_listed = _listed_confirmations(listed, keys)
    looked = outside.filter(pl.col("route").is_in(["random_check", "sweep"]))
    count, confirmed = looked["label"].count(), int(looked["label"].sum() or 0)

    def none(why: str) -> CheckedRecall:
        empty = Estimate(None, None, None, why)
        return CheckedRecall(
            recall=empty,
            miss_rate=empty,
            observed_expected=empty,
            confirmed_listed=confirmed_listed,
            missed=empty,
            checks=count,
            checks_confirmed=confirmed,
        )

    if not frame.height:
        return none("There is no list yet.")
    if not outside.height:
        return none("Every household of the cohort was listed: there is nothing to miss.")
    if not count:
        return none(
            "No household outside the list was looked at by chance: visits to the list give no information "
            "about the others."
        )
    closed = outside.filter(pl.col("inclusion_probability").fill_null(0.0) <= 0).height
    if closed:
        return none(
            f"{closed} households outside the list could not be drawn (inclusion probability missing or 0)."
        )
    if listed.height and not listed["label"].count():
        return none("Nobody on the list was reached.")
    known = looked.drop_nulls("label").join(_response(looked, keys), on=keys, how="left")
    known = known.with_columns(chance=pl.col("inclusion_probability") / pl.col("represents"))
    weight = 1 / known["chance"].to_numpy()
    label = known["label"].to_numpy()
    # Layers where everybody was looked at are a count, not a sample.
    counted = float((label * (weight == 1)).sum())
    sampled = weight[(label == 1) & (weight > 1)]
    heaviest = float(weight[weight > 1].max()) if (weight > 1).any() else 0.0
    total = counted + float(sampled.sum())
    low, high = gamma_interval(sampled, heaviest, level)
    missed = Estimate(total, counted + low, min(float(outside.height), counted + high))
    assert missed.low is not None and missed.high is not None
    why_not = _too_few(total, sampled, heaviest, count, confirmed)
    return CheckedRecall(
        recall=_recall(confirmed_listed, missed, why_not),
        miss_rate=Estimate(total / outside.height, missed.low / outside.height, missed.high / outside.height),
        observed_expected=_calibration(frame, confirmed_listed, missed),
        confirmed_listed=confirmed_listed,
        missed=missed,
        checks=count,
        checks_confirmed=confirmed,
        too_few=bool(why_not),
    )


def gamma_interval(
    weights: np.ndarray[tuple[int], np.dtype[np.float64]], heaviest: float, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of a weighted sum of rare independent counts, given the weight of each event that was seen.

    heaviest: the largest weight that an event could have had; it moves the upper end. Covers at least `level`
    in all but contrived cases.
    """
    from scipy.special import gammaincinv

    tail = (1 - level) / 2
    total, variance = float(weights.sum()), float((weights**2).sum())
    low = float(variance / total * gammaincinv(total**2 / variance, tail)) if total else 0.0
    if not heaviest:
        return low, total
    over, spread = total + heaviest, variance + heaviest**2
    return low, float(spread / over * gammaincinv(over**2 / spread, 1 - tail))


def _response(visited: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Non-response weight of each layer in which somebody was reached: drawn households for each reached one
    (`represents`, at least 1).

    Layers in which nobody was reached are distributed over all others. Inclusion probabilities differ within
    a layer, so households count with the inverse of theirs.
    """
    by_layer = visited.with_columns(mass=1 / pl.col("inclusion_probability"))
    by_layer = by_layer.group_by(keys).agg(
        drawn=pl.col("mass").sum(), reached=pl.col("mass").filter(pl.col("label").is_not_null()).sum()
    )
    spread = float(
        by_layer["drawn"].to_numpy().sum() / by_layer.filter(pl.col("reached") > 0)["drawn"].to_numpy().sum()
    )
    return by_layer.filter(pl.col("reached") > 0).select(
        *keys, represents=pl.col("drawn") / pl.col("reached") * spread
    )


def _listed_confirmations(listed: pl.DataFrame, keys: list[str]) -> float:
    """Confirmations on the list, in each layer weighted up for households not reached; 0 when nobody was
    reached.
    """
    if not listed["label"].count():
        return 0.0
    everybody = listed.with_columns(inclusion_probability=pl.lit(1.0))
    represents = listed.drop_nulls("label").join(_response(everybody, keys), on=keys, how="left")
    return float((represents["label"] * represents["represents"]).sum())


def _too_few(
    total: float,
    sampled: np.ndarray[tuple[int], np.dtype[np.float64]],
    heaviest: float,
    count: int,
    confirmed: int,
) -> str:
    """Why no single figure of recall can be given; empty if it can."""
    if not heaviest:
        return ""  # everybody was looked at
    effective = total**2 / max(float((sampled**2).sum()), heaviest**2)
    if effective >= ENOUGH_CONFIRMED - 1e-9:
        return ""
    return (
        f"{confirmed} confirmed among {count} checks are too few for a single figure; about "
        f"{ENOUGH_CONFIRMED} are needed"
    )


def _recall(confirmed_listed: float, missed: Estimate, why: str) -> Estimate:
    """Recall, its interval from that of the missed (ends swapped). why: why it has no single figure."""
    assert missed.value is not None and missed.low is not None and missed.high is not None
    if confirmed_listed + missed.value <= 0:
        return Estimate(None, None, None, "Nobody was confirmed, on the list or outside it.")

    def share(lost: float) -> float:
        return confirmed_listed / (confirmed_listed + lost) if confirmed_listed + lost > 0 else 1.0

    return Estimate(None if why else share(missed.value), share(missed.high), share(missed.low), why)


def _calibration(frame: pl.DataFrame, confirmed_listed: float, missed: Estimate) -> Estimate:
    assert missed.value is not None and missed.low is not None and missed.high is not None
    if "probability" not in frame.columns or frame["probability"].null_count():
        return Estimate(None, None, None, "No calibrated probability for every household.")
    expected = float(frame["probability"].sum())
    if not expected > 0:
        return Estimate(None, None, None, "The probabilities sum to 0.")
    value, low, high = (
        (confirmed_listed + lost) / expected for lost in (missed.value, missed.low, missed.high)
    )
    return Estimate(value, low, high)


def _checked(frame: pl.DataFrame, layers: Sequence[str]) -> pl.DataFrame:
    wanted = ("route", "inclusion_probability", "label", *layers)
    if absent := [name for name in wanted if name not in frame.columns]:
        raise DataError(
            Fault(
                "checks", f"no column {', '.join(absent)}", "the columns of `recall_from_checks`", "Add it."
            )
        )
    numbers = [name for name in ("inclusion_probability", "label", "probability") if name in frame.columns]
    frame = frame.with_columns(
        pl.col("route").cast(pl.String), *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in numbers)
    )
    faults = []
    if wrong := frame.filter(~pl.col("route").is_in(list(ROUTES)).fill_null(value=False)).height:
        faults.append(
            Fault(
                "checks.route",
                f"{wrong} unknown values",
                ", ".join(ROUTES),
                "Record how each household came to be visited.",
            )
        )
    if wrong := frame.filter(~pl.col("label").is_in([0.0, 1.0])).height:
        faults.append(
            Fault(
                "checks.label",
                f"{wrong} values other than 1, 0 or missing",
                "1, 0 or missing",
                "Mend the outcomes.",
            )
        )
    if wrong := frame.filter(~pl.col("inclusion_probability").is_between(0, 1)).height:
        faults.append(
            Fault(
                "checks.inclusion_probability",
                f"{wrong} values outside 0 to 1",
                "chances",
                "Store the chance of the draw.",
            )
        )
    drawn = pl.col("route").is_in(["random_check", "sweep"]) & (
        pl.col("inclusion_probability").fill_null(0.0) <= 0
    )
    if wrong := frame.filter(drawn).height:
        remedy = "Store the chance with the draw; it cannot be found out later."
        faults.append(
            Fault(
                "checks.inclusion_probability",
                f"{wrong} drawn households without their chance",
                "the chance",
                remedy,
            )
        )
    if faults:
        raise DataError(faults)
    return frame
