"""How good an order of households is, and how sure we are: the figures of one model, from a frame of
predictions (see `predictions`).

**Equal margins.** A cut through a group of equal margins takes its share of the group (the expectation over a
random order); the worst and the best order are given beside.

**Several dates.** AUC, average precision, precision and recall are worked out for each date and averaged over
dates, each date counting the same (dates on which one is undefined, e.g. recall without a confirmation, are
left out); lift is the ratio of the averages of precision and base rate, visits per confirmed household one
over the average precision. Brier, log loss, observed over expected and ECE pool all labelled rows.

**Intervals** are 95 % intervals of a bootstrap that draws whole villages (`resampling.interval`).
`docs/evaluation.md` explains each number and when it is wrong.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.training import resampling
from riskmodel.training.predictions import PreparedPredictions, capacity_name, prepare_predictions, visits_of
from riskmodel.training.resampling import Floats, interval, ranked_sums, ratio, village_weights

if TYPE_CHECKING:
    import pandas as pd

    Frame = pl.DataFrame | pd.DataFrame

Key = tuple[str, str]  # metric, capacity ("" for a metric of the whole order)

DRAWS: Final = 400
CALIBRATION_BINS: Final = 15
RELIABILITY_BINS: Final = 10
CURVE_SHARES: Final = np.concatenate(
    [np.linspace(0.0025, 0.05, 20), np.linspace(0.06, 0.3, 25), np.linspace(0.35, 1, 14)]
)
TINY: Final = 1e-15
# Both depend on the sample size: resampling rows with replacement raises average precision (a copy ranks
# beside its original) and the expected calibration error (noise never cancels). Their draws are centred on
# the observed figure, which is that of a county of this size.
SIZE_BOUND: Final = ("average_precision", "ece")


@dataclass(frozen=True)
class MetricForm:
    """How a number is called, written and read. better: +1 higher is better, -1 lower, 0 nearest to 1. most:
    it cannot be larger.
    """

    zh: str
    en: str
    better: int
    form: str = "{:.3f}"
    percent: bool = False
    most: float = np.inf

    def write(self, value: float) -> str:
        """A value as text, in percent where the metric is a share; `–` for NaN, `∞` for infinity."""
        if not np.isfinite(value):
            return "∞" if value == np.inf else "–"
        return self.form.format(100 * value if self.percent else value)


METRICS: Final[dict[str, MetricForm]] = {
    "auc": MetricForm("AUC", "AUC", 1, most=1),
    "average_precision": MetricForm("平均精度", "average precision", 1, most=1),
    "precision": MetricForm("前k户命中率", "precision", 1, "{:.1f}", percent=True, most=1),
    "recall": MetricForm("前k户覆盖率", "recall", 1, "{:.1f}", percent=True, most=1),
    "lift": MetricForm("提升倍数", "lift", 1, "{:.1f}"),
    "visits_per_confirmed": MetricForm("每确认一户走访数", "visits per confirmed", -1, "{:.1f}"),
    "observed_expected": MetricForm("实际/预期", "observed / expected", 0, "{:.2f}"),
    "brier": MetricForm("Brier分", "Brier", -1, "{:.4f}", most=1),
    "log_loss": MetricForm("对数损失", "log loss", -1, "{:.4f}"),
    "ece": MetricForm("校准误差(ECE)", "ECE", -1, "{:.4f}"),
    "base_rate": MetricForm("基础发生率", "base rate", 0, "{:.2f}", percent=True, most=1),
}


@dataclass(frozen=True)
class Evaluation:
    """Every number of one model on one set of lists. Make it with `evaluate`.

    values and draws are keyed by (metric, capacity name or ""): the figure of the county as it is, and one
    figure a bootstrap draw, shape (draws,). by_date holds the same for each as-of date, shapes (dates,) and
    (draws, dates).
    """

    name: str
    as_of: tuple[dt.date, ...]
    capacities: tuple[str, ...]
    counts: Mapping[str, int]
    seed: int
    values: Mapping[Key, float] = field(repr=False)
    draws: Mapping[Key, Floats] = field(repr=False)
    date_values: Mapping[Key, Floats] = field(repr=False)
    date_draws: Mapping[Key, Floats] = field(repr=False)
    bounds: Mapping[Key, Mapping[str, float]] = field(repr=False)
    trials: Mapping[Key, float] = field(repr=False)
    curve_draws: Mapping[str, Floats] = field(repr=False)
    households_a_date: float
    reliability: pl.DataFrame = field(repr=False)

    def value(self, metric: str, capacity: float | str = "") -> float:
        """One figure, e.g. `value("recall", 0.01)` or `value("auc")`. NaN when it is undefined. Raises
        KeyError for an unknown one.
        """
        return self.values[metric, capacity if isinstance(capacity, str) else capacity_name(capacity)]

    def interval(self, metric: str, capacity: float | str = "") -> tuple[float, float]:
        """Its 95 % interval; NaN when there are too few villages or draws to give one. Visits per confirmed
        may reach infinity.
        """
        name = capacity if isinstance(capacity, str) else capacity_name(capacity)
        if metric == "visits_per_confirmed":
            return _turned(self.interval("precision", name))
        return self._interval(metric, name, self.draws[metric, name], self.values[metric, name])

    def date_interval(self, metric: str, capacity: str, place: int) -> tuple[float, float]:
        """The same for the as-of date `as_of[place]` alone."""
        if metric == "visits_per_confirmed":
            return _turned(self.date_interval("precision", capacity, place))
        draws, value = (
            self.date_draws[metric, capacity][:, place],
            float(self.date_values[metric, capacity][place]),
        )
        return self._interval(metric, capacity, draws, value, len(self.as_of))

    def _interval(
        self, metric: str, capacity: str, draws: Floats, value: float, parts: int = 1
    ) -> tuple[float, float]:
        trials = self.trials.get((metric, capacity), 0) / parts
        return interval(
            draws, villages=self.counts["villages"], value=value, most=METRICS[metric].most, trials=trials
        )

    @cached_property
    def curve(self) -> pl.DataFrame:
        """Recall and precision against visits: share, visits (mean of the dates), recall, recall_low,
        recall_high, precision, …
        """
        rows = []
        for place, share in enumerate(CURVE_SHARES):
            row = {"share": float(share), "visits": float(share * self.households_a_date)}
            for metric, figures in self.curve_draws.items():
                value = float(figures[0, place])
                low, high = interval(
                    figures[1:, place], villages=self.counts["villages"], value=value, most=1
                )
                row |= {metric: value, f"{metric}_low": low, f"{metric}_high": high}
            rows.append(row)
        return pl.DataFrame(rows)

    def numbers(self, *, by_date: bool = False) -> pd.DataFrame:
        """Raw figures, a row each: model, metric, capacity, as_of (missing: all dates), value, low, high; for
        figures at a capacity also worst_ties and best_ties, and if_none_confirmed and if_all_confirmed (the
        unlabelled on the list).
        """
        rows = []
        for (metric, capacity), value in self.values.items():
            low, high = self.interval(metric, capacity)
            row: dict[str, Any] = {"model": self.name, "metric": metric, "capacity": capacity, "as_of": None}
            rows.append(
                row
                | {"value": value, "low": low, "high": high}
                | dict(self.bounds.get((metric, capacity), {}))
            )
        if by_date:
            for (metric, capacity), values in self.date_values.items():
                for place, day in enumerate(self.as_of):
                    low, high = self.date_interval(metric, capacity, place)
                    row = {"model": self.name, "metric": metric, "capacity": capacity, "as_of": day}
                    rows.append(row | {"value": float(values[place]), "low": low, "high": high})
        schema = {"model": pl.String, "metric": pl.String, "capacity": pl.String, "as_of": pl.Date}
        numbers = ("value", "low", "high", "worst_ties", "best_ties", "if_none_confirmed", "if_all_confirmed")
        return pl.DataFrame(rows, schema=schema | dict.fromkeys(numbers, pl.Float64)).to_pandas()

    def cell(self, metric: str, capacity: str = "") -> str:
        """`value [low, high]` of a metric at a capacity, formatted for a table."""
        return written(metric, self.value(metric, capacity), self.interval(metric, capacity))

    def table(self) -> pd.DataFrame:
        """One column, `value [low, high]`, a row a figure."""
        import pandas as pd

        cells = {heading(metric, capacity): self.cell(metric, capacity) for metric, capacity in self.values}
        return pd.DataFrame({self.name: pd.Series(cells)})


def _turned(limits: tuple[float, float]) -> tuple[float, float]:
    """Limits of one over a figure that is not negative."""
    low, high = limits
    return 1 / high if high > 0 else float("nan"), 1 / low if low > 0 else (
        float("inf") if low == 0 else float("nan")
    )


def heading(metric: str, capacity: str = "") -> str:
    """What a figure is called in a table."""
    return METRICS[metric].en + (f" at {capacity}" if capacity else "")


def written(metric: str, value: float, limits: tuple[float, float]) -> str:
    """`value [low, high]`; per cent are written as such."""
    form = METRICS[metric]
    inside = f" [{form.write(limits[0])}, {form.write(limits[1])}]" if np.isfinite(limits[0]) else ""
    return form.write(value) + ("%" if form.percent and np.isfinite(value) else "") + inside


def evaluate(
    predictions: Frame,
    *,
    capacities: Sequence[float],
    draws: int = DRAWS,
    seed: int = 0,
    name: str = "model",
) -> Evaluation:
    """Judge one order of households at every as-of date of the frame (see the module).

    capacities: whole numbers are visits a list (one list an as-of date), floats up to 1.0 shares of the
    cohort. A number above the cohort visits everybody. draws=0 gives no intervals. Raises DataError with
    every fault of the frame.
    """
    return evaluate_prepared(prepare_predictions(predictions, name=name), capacities, draws, seed, name)


def evaluate_prepared(
    prepared: PreparedPredictions, capacities: Sequence[float], draws: int, seed: int, name: str
) -> Evaluation:
    """As `evaluate`, for a frame that `prepare_predictions` has checked and sorted. name: of the model,
    for tables."""
    names = tuple(capacity_name(capacity) for capacity in capacities)
    if not names or len(set(names)) < len(names):
        raise DataError(
            Fault(
                "capacities",
                f"{list(capacities)}",
                "at least one, each once",
                "Name the visits that can be given.",
            )
        )
    weights = village_weights(
        len(prepared.villages), draws if len(prepared.villages) >= resampling.MIN_VILLAGES else 0, seed
    )
    sizes = prepared.sizes[:, None]
    visits = visits_of(capacities, prepared.sizes)
    shares = np.hstack([visits / sizes, np.broadcast_to(CURVE_SHARES, (len(sizes), len(CURVE_SHARES)))])
    order = np.argsort(shares, axis=1, kind="stable").astype(np.int64)
    sums = ranked_sums(
        prepared.starts,
        prepared.village,
        prepared.label,
        prepared.probability,
        prepared.ends_tie,
        weights,
        shares,
        order,
    )
    pooled, dated = _along_the_list(sums, names)
    pooled_calibration, dated_calibration, reliability = _calibration(prepared, weights)
    pooled |= pooled_calibration
    for metric in SIZE_BOUND:
        pooled[metric, ""] = _centred(pooled[metric, ""])
    dated |= dated_calibration
    ordered = sorted(
        pooled, key=lambda key: (list(METRICS).index(key[0]), names.index(key[1]) if key[1] else -1)
    )
    label = prepared.label
    counts = {
        "rows": len(label),
        "households": prepared.frame["household_id"].n_unique(),
        "villages": len(prepared.villages),
        "dates": len(prepared.as_of),
        "labelled": int((label >= 0).sum()),
        "unlabelled": int((label < 0).sum()),
        "confirmed": int((label == 1).sum()),
        "draws": len(weights) - 1,
    }
    return Evaluation(
        name=name,
        as_of=prepared.as_of,
        capacities=names,
        counts=counts,
        seed=seed,
        values={key: float(pooled[key][0]) for key in ordered},
        draws={key: pooled[key][1:] for key in ordered},
        date_values={key: dated[key][0] for key in ordered if key in dated},
        date_draws={key: dated[key][1:] for key in ordered if key in dated},
        bounds=_bounds(sums[0], names),
        trials=_trials(sums[0], names),
        curve_draws=_curve_draws(sums, len(names)),
        households_a_date=float(prepared.sizes.mean()),
        reliability=reliability,
    )


def _centred(figures: Floats) -> Floats:
    """Shift the draws so that their mean is the figure of the county as it is (place 0), not below 0."""
    if len(figures) > 1 and np.isfinite(figures).any():
        figures[1:] = np.maximum(0.0, figures[1:] - np.nanmean(figures[1:]) + figures[0])
    return figures


def mean_of_dates(values: Floats) -> Floats:
    """Mean over the last axis of what is defined; NaN when nothing is."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))


def _along_the_list(sums: Floats, names: tuple[str, ...]) -> tuple[dict[Key, Floats], dict[Key, Floats]]:
    """Figures that hang on the order: pooled (draws,) and by date (draws, dates)."""
    positives, negatives = sums[..., resampling.POSITIVES], sums[..., resampling.NEGATIVES]
    both = (positives > 0) & (negatives > 0)
    dated: dict[Key, Floats] = {
        ("auc", ""): np.where(both, ratio(sums[..., resampling.PAIRS], positives * negatives), np.nan),
        ("average_precision", ""): np.where(
            both, ratio(sums[..., resampling.AVERAGE_PRECISION], positives), np.nan
        ),
        ("base_rate", ""): ratio(positives, positives + negatives),
    }
    pooled = {key: mean_of_dates(values) for key, values in dated.items()}
    for place, name in enumerate(names):
        part = sums[..., resampling.HEAD + resampling.PER_CAPACITY * place :]
        hits, labelled, expected = (
            part[..., resampling.HITS],
            part[..., resampling.LABELLED],
            part[..., resampling.EXPECTED],
        )
        precision, recall = ratio(hits, labelled), ratio(hits, positives)
        dated["precision", name], dated["recall", name] = precision, recall
        dated["lift", name] = ratio(precision, dated["base_rate", ""])
        dated["visits_per_confirmed", name] = ratio(np.ones_like(precision), precision)
        dated["observed_expected", name] = ratio(hits, expected)
        pooled["precision", name], pooled["recall", name] = mean_of_dates(precision), mean_of_dates(recall)
        pooled["lift", name] = ratio(pooled["precision", name], pooled["base_rate", ""])
        pooled["visits_per_confirmed", name] = ratio(np.ones(len(sums)), pooled["precision", name])
        pooled["observed_expected", name] = ratio(hits.sum(axis=1), expected.sum(axis=1))
    return pooled, dated


def _bounds(sums: Floats, names: tuple[str, ...]) -> dict[Key, dict[str, float]]:
    """What equal margins and unlabelled households could make of precision and recall. sums: (dates, …) of
    the county as it is.
    """
    bounds: dict[Key, dict[str, float]] = {}
    positives = sums[:, resampling.POSITIVES]
    unlabelled = sums[:, resampling.TOTAL] - positives - sums[:, resampling.NEGATIVES]
    for place, name in enumerate(names):
        part = sums[:, resampling.HEAD + resampling.PER_CAPACITY * place :]
        listed, hits, labelled = (
            part[:, resampling.LISTED],
            part[:, resampling.HITS],
            part[:, resampling.LABELLED],
        )
        best, worst = part[:, resampling.HITS_BEST], part[:, resampling.HITS_WORST]
        open_on_list = np.maximum(0.0, listed - labelled)
        pairs = {
            "precision": {
                "worst_ties": ratio(worst, part[:, resampling.LABELLED_WORST]),
                "best_ties": ratio(best, part[:, resampling.LABELLED_BEST]),
                "if_none_confirmed": ratio(hits, listed),
                "if_all_confirmed": ratio(hits + open_on_list, listed),
            },
            "recall": {
                "worst_ties": ratio(worst, positives),
                "best_ties": ratio(best, positives),
                "if_none_confirmed": ratio(hits, positives + unlabelled - open_on_list),
                "if_all_confirmed": ratio(hits + open_on_list, positives + open_on_list),
            },
        }
        for metric, figures in pairs.items():
            bounds[metric, name] = {key: float(mean_of_dates(values)) for key, values in figures.items()}
    return bounds


def _trials(sums: Floats, names: tuple[str, ...]) -> dict[Key, float]:
    """How many labelled households each share at a capacity rests on, all dates together."""
    trials: dict[Key, float] = {}
    for place, name in enumerate(names):
        at = resampling.HEAD + resampling.PER_CAPACITY * place
        trials["precision", name] = float(sums[:, at + resampling.LABELLED].sum())
        trials["recall", name] = float(sums[:, resampling.POSITIVES].sum())
    return trials


def _curve_draws(sums: Floats, named: int) -> dict[str, Floats]:
    """Recall and precision at every share of the curve, each (draws, shares)."""
    behind = sums[..., resampling.HEAD + resampling.PER_CAPACITY * named :]
    part = behind.reshape(*behind.shape[:2], len(CURVE_SHARES), resampling.PER_CAPACITY)
    hits = part[..., resampling.HITS]
    figures = {
        "recall": ratio(hits, sums[..., resampling.POSITIVES, None]),
        "precision": ratio(hits, part[..., resampling.LABELLED]),
    }
    return {metric: mean_of_dates(np.moveaxis(values, 1, -1)) for metric, values in figures.items()}


def _bins_of_equal_mass(probability: Floats, mass: Floats, bins: int) -> npt.NDArray[np.int64]:
    """Bin of each value, so that every bin holds about the same mass and equal values share one. Bins ascend
    with the value.
    """
    order = np.argsort(probability, kind="stable")
    cumulated = np.cumsum(mass[order])
    before = np.concatenate([[0.0], cumulated[:-1]])
    _, first, inverse = np.unique(probability[order], return_index=True, return_inverse=True)
    last = np.append(first[1:], len(order)) - 1
    middle = (before[first] + cumulated[last]) / 2
    place = np.empty(len(order), dtype=np.int64)
    total = cumulated[-1] if cumulated[-1] > 0 else 1.0
    place[order] = np.minimum(bins - 1, (bins * middle / total).astype(np.int64))[inverse]
    return place


def _calibration(
    prepared: PreparedPredictions, weights: Floats
) -> tuple[dict[Key, Floats], dict[Key, Floats], pl.DataFrame]:
    """Figures that hang on the probability, all of them sums over villages: pooled, by date, and the
    reliability table.
    """
    villages, dates = len(prepared.villages), len(prepared.as_of)
    labelled = prepared.label >= 0
    village, probability = prepared.village[labelled].astype(np.int64), prepared.probability[labelled]
    outcome = (prepared.label[labelled] == 1).astype(np.float64)
    date = np.repeat(np.arange(dates), prepared.sizes)[labelled]
    has_probability = bool(len(probability)) and bool(np.isfinite(probability).all())

    def summed(value: Floats, group: npt.NDArray[np.int64], groups: int) -> Floats:
        """Weighted sums by group, shape (draws, groups)."""
        by_village = np.bincount(village * groups + group, weights=value, minlength=villages * groups)
        return weights @ by_village.reshape(villages, groups)

    inside = np.clip(probability, TINY, 1 - TINY)
    rows = summed(np.ones(len(outcome)), date, dates)
    observed, expected = summed(outcome, date, dates), summed(probability, date, dates)
    square = summed((probability - outcome) ** 2, date, dates)
    surprise = summed(-np.where(outcome == 1, np.log(inside), np.log1p(-inside)), date, dates)
    parts = {
        ("brier", ""): (square, rows),
        ("log_loss", ""): (surprise, rows),
        ("observed_expected", ""): (observed, expected),
    }
    dated = {key: ratio(over, under) for key, (over, under) in parts.items()}
    pooled = {key: ratio(over.sum(axis=1), under.sum(axis=1)) for key, (over, under) in parts.items()}
    if not has_probability:
        pooled["ece", ""] = np.full(len(weights), np.nan)
        return pooled, dated, pl.DataFrame(schema=dict.fromkeys(RELIABILITY_COLUMNS, pl.Float64))
    group = _bins_of_equal_mass(probability, np.ones(len(probability)), CALIBRATION_BINS)
    gap = np.abs(summed(outcome - probability, group, CALIBRATION_BINS))
    pooled["ece", ""] = ratio(gap.sum(axis=1), rows.sum(axis=1))
    # Bins of equal expected confirmations: each point of the picture rests on as much, also in the rare top.
    group = _bins_of_equal_mass(probability, probability, RELIABILITY_BINS)
    size = summed(np.ones(len(outcome)), group, RELIABILITY_BINS)
    share, mean = (
        ratio(summed(outcome, group, RELIABILITY_BINS), size),
        ratio(summed(probability, group, RELIABILITY_BINS), size),
    )
    table = []
    for place in np.flatnonzero(size[0] > 0):
        low, high = interval(
            share[1:, place],
            villages=villages,
            value=float(share[0, place]),
            most=1,
            trials=float(size[0, place]),
        )
        confirmed = float(share[0, place] * size[0, place])
        table.append(
            [float(mean[0, place]), float(share[0, place]), low, high, float(size[0, place]), confirmed]
        )
    return (
        pooled,
        dated,
        pl.DataFrame(table, schema=dict.fromkeys(RELIABILITY_COLUMNS, pl.Float64), orient="row"),
    )


RELIABILITY_COLUMNS: Final = ("expected", "observed", "low", "high", "households", "confirmed")
