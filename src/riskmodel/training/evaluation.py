"""How good an order of households is, and how sure we are: pure functions on frames of predictions.

A frame of predictions holds one row a household and as-of date, for the **whole cohort** of each date:

=================  =========  =====================================================================================
household_id       text       the household
village_code       text       12 digits; the cluster of the bootstrap
as_of              date       the day of the list; every as-of date is one list
margin             number     the order of the list, riskiest highest; never missing
probability        number     calibrated; missing for the whole frame when a model has none
label              1, 0, –    confirmed within the horizon, verified without risk, or unlabelled (missing)
=================  =========  =====================================================================================

**Unlabelled households** (nobody looked, or not decisively) stay on the list: ranks and cuts are those of the whole cohort, because the
visitor goes to them too. They are never counted as 0. Precision is the share of confirmed among the *labelled* households on the list;
recall is the share of all *known* confirmed that stand on it; both say nothing about households that nobody verified. How far that could
move them is given beside: every unlabelled household confirmed, or none.

**Equal margins.** A cut through a group of equal margins takes its share of the group (the expectation over a random order); the worst and the
best order are given beside.

**Several dates.** AUC, average precision, precision and recall are worked out for each date and averaged over dates, each date counting the same
(dates on which one is undefined, e.g. recall without a confirmation, are left out); lift is the ratio of the averages of precision
and base rate, visits per confirmed household one over the average precision. Brier, log loss, observed over expected and ECE pool all
labelled rows.

**Intervals** are 95 % intervals of a bootstrap that draws whole villages (`resampling.interval`); differences between models use the same
draws and are percentile intervals.
`docs/evaluation.md` says what each number means and when it is wrong.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.training import resampling
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
# Both depend on how much data there is: drawing rows twice pushes average precision up (a copy stands beside its original) and ECE too
# (noise never cancels). Their draws are centred on the figure itself, which stands for a county of this size.
SIZE_BOUND: Final = ("average_precision", "ece")


@dataclass(frozen=True)
class Metric:
    """How a number is called, written and read. better: +1 higher is better, -1 lower, 0 nearest to 1. most: it cannot be larger."""

    zh: str
    en: str
    better: int
    form: str = "{:.3f}"
    percent: bool = False
    most: float = np.inf

    def write(self, value: float) -> str:
        if not np.isfinite(value):
            return "∞" if value == np.inf else "–"
        return self.form.format(100 * value if self.percent else value)


METRICS: Final[dict[str, Metric]] = {
    "auc": Metric("AUC", "AUC", 1, most=1),
    "average_precision": Metric("平均精度", "average precision", 1, most=1),
    "precision": Metric("前k户命中率", "precision", 1, "{:.1f}", percent=True, most=1),
    "recall": Metric("前k户覆盖率", "recall", 1, "{:.1f}", percent=True, most=1),
    "lift": Metric("提升倍数", "lift", 1, "{:.1f}"),
    "visits_per_confirmed": Metric("每确认一户走访数", "visits per confirmed", -1, "{:.1f}"),
    "observed_expected": Metric("实际/预期", "observed / expected", 0, "{:.2f}"),
    "brier": Metric("Brier分", "Brier", -1, "{:.4f}", most=1),
    "log_loss": Metric("对数损失", "log loss", -1, "{:.4f}"),
    "ece": Metric("校准误差(ECE)", "ECE", -1, "{:.4f}"),
    "base_rate": Metric("基础发生率", "base rate", 0, "{:.2f}", percent=True, most=1),
}


def capacity_name(capacity: float) -> str:
    """`600` for a number of visits a list, `1%` for a share of the cohort. Raises DataError for anything else."""
    whole = isinstance(capacity, (int, np.integer)) and not isinstance(capacity, (bool, np.bool_))
    if whole and capacity >= 1:
        return str(int(capacity))
    if isinstance(capacity, (float, np.floating)) and 0 < capacity <= 1:
        return f"{100 * capacity:.4g}%"
    raise DataError(
        Fault(
            "capacities",
            repr(capacity),
            "a whole number of visits a list, or a share above 0 and up to 1.0",
            "Write 600 for 600 visits, 0.01 for one household in a hundred.",
        )
    )


@dataclass(frozen=True)
class Prepared:
    """Predictions as sorted arrays: by date, then best margin first, then household_id.

    label is 1, 0 or -1 (unlabelled); probability is NaN throughout when the model has none.
    """

    frame: pl.DataFrame
    as_of: tuple[dt.date, ...]
    starts: npt.NDArray[np.int64]
    villages: tuple[str, ...]
    village: npt.NDArray[np.int32]
    label: npt.NDArray[np.int8]
    probability: Floats
    ends_tie: npt.NDArray[np.bool_]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Households of each date."""
        return np.diff(self.starts)


def prepare_predictions(predictions: Frame, *, name: str = "predictions") -> Prepared:
    """Check and sort a frame of predictions (see the module). Raises DataError with every fault at once."""
    frame = pl.from_pandas(predictions) if not isinstance(predictions, pl.DataFrame) else predictions
    missing = [
        column
        for column in ("household_id", "village_code", "as_of", "margin", "label")
        if column not in frame.columns
    ]
    if missing:
        raise DataError(
            Fault(
                name,
                f"no column {', '.join(missing)}",
                "the columns of a frame of predictions",
                "Add it; see docs/evaluation.md.",
            )
        )
    if "probability" not in frame.columns:
        frame = frame.with_columns(probability=pl.lit(None, pl.Float64))
    frame = _typed(frame, name)
    _refuse(_faults(frame, name))
    frame = frame.sort(["as_of", "margin", "household_id"], descending=[False, True, False])
    new_date = frame["as_of"].ne_missing(frame["as_of"].shift(1)).to_numpy()
    starts = np.append(np.flatnonzero(new_date), frame.height).astype(np.int64)
    margin = frame["margin"].to_numpy()
    ends_tie = np.ones(frame.height, dtype=np.bool_)
    ends_tie[:-1] = (margin[1:] != margin[:-1]) | new_date[1:]
    villages = tuple(sorted(frame["village_code"].unique()))
    return Prepared(
        frame=frame,
        as_of=tuple(frame["as_of"].to_numpy()[starts[:-1]].astype("datetime64[D]").tolist()),
        starts=starts,
        villages=villages,
        village=np.searchsorted(np.array(villages), frame["village_code"].to_numpy().astype(str)).astype(
            np.int32
        ),
        label=frame["label"].fill_null(-1).cast(pl.Int8).to_numpy(),
        probability=frame["probability"].fill_null(float("nan")).to_numpy(),
        ends_tie=ends_tie,
    )


def _typed(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Every column in its type; NaN is missing. Raises DataError with one fault a column that cannot be read."""
    types: dict[str, type[pl.DataType]] = {
        "household_id": pl.String,
        "village_code": pl.String,
        "as_of": pl.Date,
        "margin": pl.Float64,
        "probability": pl.Float64,
        "label": pl.Float64,
    }
    read, faults = {}, []
    for column, dtype in types.items():
        try:
            read[column] = frame[column].cast(dtype)
        except pl.exceptions.PolarsError:
            faults.append(
                Fault(f"{name}.{column}", f"type {frame[column].dtype}", str(dtype()), "Convert the column.")
            )
    _refuse(faults)
    numbers = [read[column].fill_nan(None) for column in ("probability", "label")]
    return frame.with_columns(*read.values()).with_columns(*numbers)


def _faults(frame: pl.DataFrame, name: str) -> list[Fault]:
    if not frame.height:
        return [
            Fault(
                name,
                "no rows",
                "one row a household and as-of date",
                "Give the predictions of the whole cohort.",
            )
        ]
    faults: list[Fault] = []

    def count(condition: pl.Expr) -> int:
        return int(frame.select(condition.fill_null(value=False).sum()).item())

    for column in ("household_id", "village_code", "as_of"):
        empty = frame[column].null_count()
        faults += (
            [Fault(f"{name}.{column}", f"{empty} rows without a value", "a value in every row", "Fill it.")]
            if empty
            else []
        )
    if wrong := frame["margin"].null_count() + count(~pl.col("margin").is_finite()):
        faults.append(
            Fault(
                f"{name}.margin",
                f"{wrong} values are missing or infinite",
                "a number",
                "Give every household a margin.",
            )
        )
    bare = frame["probability"].null_count()
    if 0 < bare < frame.height:
        faults.append(
            Fault(
                f"{name}.probability",
                f"{bare} of {frame.height} are missing",
                "all or none",
                "Calibrate every margin, or leave the column out.",
            )
        )
    if wrong := count(~pl.col("probability").is_between(0, 1)):
        faults.append(
            Fault(
                f"{name}.probability",
                f"{wrong} values outside 0 to 1",
                "probabilities",
                "Calibrate the margin.",
            )
        )
    if wrong := count(~pl.col("label").is_in([0.0, 1.0])):
        faults.append(
            Fault(
                f"{name}.label",
                f"{wrong} values other than 1, 0 or missing",
                "1, 0 or missing",
                "Mend the labels.",
            )
        )
    if twice := frame.height - frame.select("as_of", "household_id").unique().height:
        faults.append(
            Fault(
                name,
                f"{twice} rows repeat a household and as-of date",
                "one row a household and date",
                "Keep one row of each.",
            )
        )
    return faults


def _refuse(faults: Iterable[Fault]) -> None:
    faults = list(faults)
    if faults:
        raise DataError(faults)


def visits_of(capacities: Sequence[float], sizes: npt.NDArray[np.int64]) -> Floats:
    """Visits of each list, shape (dates, capacities): the number, at most everybody, or the share of the date's households, at least one."""
    wanted = np.array(capacities, dtype=np.float64)[None, :]
    whole = np.array([isinstance(capacity, (int, np.integer)) for capacity in capacities])[None, :]
    households = sizes[:, None].astype(np.float64)
    return np.where(whole, np.minimum(wanted, households), np.maximum(1.0, np.round(wanted * households)))


def on_the_list(prepared: Prepared, capacity: float) -> Floats:
    """Chance of each row to stand among the first of its date, shape (rows,): 1, 0, or the share of a group of equal margins that is cut."""
    capacity_name(capacity)
    visits = np.repeat(visits_of([capacity], prepared.sizes)[:, 0], prepared.sizes)
    place = np.arange(len(prepared.label)) - np.repeat(prepared.starts[:-1], prepared.sizes)
    tie = np.concatenate([[0], np.cumsum(prepared.ends_tie)[:-1]])
    size = np.bincount(tie)[tie]
    before = np.minimum.reduceat(place, np.flatnonzero(np.concatenate([[True], prepared.ends_tie[:-1]])))[tie]
    chance: Floats = np.clip((visits - before) / size, 0.0, 1.0)
    return chance


@dataclass(frozen=True)
class Evaluation:
    """Every number of one model on one set of lists. Make it with `evaluate`.

    values and draws are keyed by (metric, capacity name or ""): the figure of the county as it is, and one figure a bootstrap draw, shape
    (draws,). by_date holds the same for each as-of date, shapes (dates,) and (draws, dates).
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
        """One figure, e.g. `value("recall", 0.01)` or `value("auc")`. NaN when it is undefined. Raises KeyError for an unknown one."""
        return self.values[metric, capacity if isinstance(capacity, str) else capacity_name(capacity)]

    def interval(self, metric: str, capacity: float | str = "") -> tuple[float, float]:
        """Its 95 % interval; NaN when there are too few villages or draws to give one. Visits per confirmed may reach infinity."""
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
        """Recall and precision against visits: share, visits (mean of the dates), recall, recall_low, recall_high, precision, …"""
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
        """Raw figures, a row each: model, metric, capacity, as_of (missing: all dates), value, low, high; for figures at a capacity also
        worst_ties and best_ties, and if_none_confirmed and if_all_confirmed (the unlabelled on the list)."""
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
        """`value [low, high]`, as it stands in a table."""
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

    capacities: whole numbers are visits a list (one list an as-of date), floats up to 1.0 shares of the cohort. A number above the
    cohort visits everybody. draws=0 gives no intervals. Raises DataError with every fault of the frame.
    """
    return _evaluate(prepare_predictions(predictions, name=name), capacities, draws, seed, name)


def _evaluate(
    prepared: Prepared, capacities: Sequence[float], draws: int, seed: int, name: str
) -> Evaluation:
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


def _mean_of_dates(values: Floats) -> Floats:
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
    pooled = {key: _mean_of_dates(values) for key, values in dated.items()}
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
        pooled["precision", name], pooled["recall", name] = _mean_of_dates(precision), _mean_of_dates(recall)
        pooled["lift", name] = ratio(pooled["precision", name], pooled["base_rate", ""])
        pooled["visits_per_confirmed", name] = ratio(np.ones(len(sums)), pooled["precision", name])
        pooled["observed_expected", name] = ratio(hits.sum(axis=1), expected.sum(axis=1))
    return pooled, dated


def _bounds(sums: Floats, names: tuple[str, ...]) -> dict[Key, dict[str, float]]:
    """What equal margins and unlabelled households could make of precision and recall. sums: (dates, …) of the county as it is."""
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
            bounds[metric, name] = {key: float(_mean_of_dates(values)) for key, values in figures.items()}
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
    return {metric: _mean_of_dates(np.moveaxis(values, 1, -1)) for metric, values in figures.items()}


def _bins_of_equal_mass(probability: Floats, mass: Floats, bins: int) -> npt.NDArray[np.int64]:
    """Bin of each value, so that every bin holds about the same mass and equal values share one. Bins ascend with the value."""
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
    prepared: Prepared, weights: Floats
) -> tuple[dict[Key, Floats], dict[Key, Floats], pl.DataFrame]:
    """Figures that hang on the probability, all of them sums over villages: pooled, by date, and the reliability table."""
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


@dataclass(frozen=True)
class Comparison:
    """Several models on identical households and dates. Make it with `compare_predictions`.

    The first model is the baseline of `differences()` unless another is named. `left_out` counts rows (as_of, household) that not every
    model had, and that therefore count for none.
    """

    evaluations: Mapping[str, Evaluation]
    baseline: str
    left_out: Mapping[str, int]

    def __getitem__(self, name: str) -> Evaluation:
        return self.evaluations[name]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.evaluations)

    def table(self) -> pd.DataFrame:
        """A row a model, a column a figure: `value [low, high]`, 95 % village-cluster bootstrap."""
        import pandas as pd

        columns = [evaluation.table() for evaluation in self.evaluations.values()]
        return pd.concat(columns, axis=1).T.rename_axis("model")

    def numbers(self, *, by_date: bool = False) -> pd.DataFrame:
        """The raw figures of every model, as in `Evaluation.numbers`."""
        import pandas as pd

        return pd.concat(
            [evaluation.numbers(by_date=by_date) for evaluation in self.evaluations.values()],
            ignore_index=True,
        )

    def differences(self, baseline: str | None = None) -> pd.DataFrame:
        """Paired differences, model minus baseline, on the same draws: model, baseline, metric, capacity, value, low, high, verdict.

        verdict: `better` or `worse` when the 95 % interval leaves 0 out, else `not certain`. For observed/expected the distance
        from 1 on the log scale is compared, and lower is better; base_rate is left out, being the same for all.
        """
        import pandas as pd

        base = self.evaluations[baseline or self.baseline]
        rows = []
        for name, evaluation in self.evaluations.items():
            if name == base.name:
                continue
            for metric, capacity in evaluation.values:
                if metric == "base_rate":
                    continue
                value, spread = _difference(evaluation, base, (metric, capacity))
                low, high = interval(spread, villages=evaluation.counts["villages"])
                row = {"model": name, "baseline": base.name, "metric": metric, "capacity": capacity}
                rows.append(
                    row | {"value": value, "low": low, "high": high, "verdict": _verdict(metric, low, high)}
                )
        columns = ["model", "baseline", "metric", "capacity", "value", "low", "high", "verdict"]
        return pd.DataFrame(rows, columns=columns)

    def difference(
        self, model: str, metric: str, capacity: float | str = "", *, baseline: str | None = None
    ) -> tuple[float, float, float]:
        """One paired difference, model minus baseline: value, low, high."""
        key = (metric, capacity if isinstance(capacity, str) else capacity_name(capacity))
        value, spread = _difference(self.evaluations[model], self.evaluations[baseline or self.baseline], key)
        return (value, *interval(spread, villages=self.evaluations[model].counts["villages"]))

    def ratios(self, reference: str) -> pd.DataFrame:
        """Each model's figures as a share of the reference's, on the same draws: model, reference, metric, capacity, value, low, high.

        With the true hazard of a synthetic county as one of the models this is the share of what can be reached. Only figures of which more
        is better; NaN where the reference has 0.
        """
        import pandas as pd

        best = self.evaluations[reference]
        rows = []
        for name, evaluation in self.evaluations.items():
            for (metric, capacity), value in evaluation.values.items():
                if name == reference or METRICS[metric].better != 1:
                    continue
                share = ratio(np.array([value]), np.array([best.values[metric, capacity]]))
                spread = ratio(evaluation.draws[metric, capacity], best.draws[metric, capacity])
                low, high = interval(spread, villages=evaluation.counts["villages"])
                row = {"model": name, "reference": reference, "metric": metric, "capacity": capacity}
                rows.append(row | {"value": float(share[0]), "low": low, "high": high})
        return pd.DataFrame(
            rows, columns=["model", "reference", "metric", "capacity", "value", "low", "high"]
        )

    def regret(self, metric: str = "recall", capacity: float | str = "") -> pd.DataFrame:
        """How much each model lost against the best model of each as-of date, so that one lucky date does not choose it.

        A row a model: dates (on which every model has the figure), mean (regret, mean of the dates) with low and high from the paired draws,
        worst (largest regret), worst_as_of, best_on (dates on which it was the best, ties shared). Always at least 0: the best of several noisy
        figures is too good, so that even equal models show some regret; compare models, not a model with 0.
        """
        import pandas as pd

        name = capacity if isinstance(capacity, str) else capacity_name(capacity)
        better = METRICS[metric].better
        models = list(self.evaluations.values())
        figures = np.stack([model.date_values[metric, name] for model in models])
        drawn = np.stack([model.date_draws[metric, name] for model in models])
        if better == 0:
            figures, drawn = -_distance(figures), -_distance(drawn)
        elif better < 0:
            figures, drawn = -figures, -drawn
        lost, lost_drawn = figures.max(axis=0) - figures, drawn.max(axis=0) - drawn
        usable = np.isfinite(lost).all(axis=0)
        rows = []
        for place, model in enumerate(models):
            regrets = np.where(usable, lost[place], np.nan)
            low, high = interval(_mean_of_dates(lost_drawn[place]), villages=model.counts["villages"])
            row: dict[str, Any] = {
                "model": model.name,
                "dates": int(usable.sum()),
                "mean": float(_mean_of_dates(regrets)),
                "low": low,
                "high": high,
            }
            worst = int(np.nanargmax(regrets)) if usable.any() else None
            row |= {
                "worst": float("nan") if worst is None else float(regrets[worst]),
                "worst_as_of": None if worst is None else model.as_of[worst],
            }
            rows.append(row | {"best_on": int((regrets == 0).sum())})
        return pd.DataFrame(rows)

    def text(self, *, width: int = 120) -> str:
        """The comparison for a terminal of `width` columns, without colour."""
        return _rendered(self, width)


def _difference(model: Evaluation, base: Evaluation, key: Key) -> tuple[float, Floats]:
    value, base_value = np.array([model.values[key]]), np.array([base.values[key]])
    spread, base_spread = model.draws[key], base.draws[key]
    if METRICS[key[0]].better == 0:
        value, base_value, spread, base_spread = (
            _distance(item) for item in (value, base_value, spread, base_spread)
        )
    return float((value - base_value)[0]), spread - base_spread


def _distance(figures: Floats) -> Floats:
    """How far a ratio is from 1: 1.25 and 0.8 are equally far. NaN for 0."""
    return np.abs(np.log(figures, out=np.full(figures.shape, np.nan), where=figures > 0))


def _verdict(metric: str, low: float, high: float) -> str:
    if not np.isfinite(low) or low <= 0 <= high:
        return "not certain"
    higher = METRICS[metric].better == 1
    return "better" if (low > 0) == higher else "worse"


def compare_predictions(
    predictions: Mapping[str, Frame],
    *,
    capacities: Sequence[float],
    draws: int = DRAWS,
    seed: int = 0,
    baseline: str | None = None,
) -> Comparison:
    """Judge several models on identical rows with the same bootstrap draws.

    Only rows (as_of, household) that every model has are used; `Comparison.left_out` counts the others. baseline: the model that
    `differences()` subtracts, by default the first. Raises DataError with every fault: of a frame, no rows in common, or models that
    disagree about the label or village of a household.
    """
    if not predictions or (baseline is not None and baseline not in predictions):
        raise DataError(
            Fault(
                "baseline",
                repr(baseline),
                f"one of {', '.join(predictions) or 'at least one model'}",
                "Name a model that is compared.",
            )
        )
    frames: dict[str, pl.DataFrame] = {}
    faults: list[Fault] = []
    for name, frame in predictions.items():
        try:
            frames[name] = prepare_predictions(frame, name=name).frame
        except DataError as error:
            faults.extend(error.faults)
    _refuse(faults)
    row = ["as_of", "household_id"]
    first, *others = frames
    common = frames[first].select(*row, "village_code", "label")
    for name in others:
        other = frames[name].select(*row, village_there="village_code", label_there="label")
        common = common.join(other, on=row, how="inner")
        village = common.filter(pl.col("village_code") != pl.col("village_there")).height
        label = common.filter(pl.col("label").ne_missing(pl.col("label_there"))).height
        for what, count in (("village", village), ("label", label)):
            if count:
                found = f"{count} households have another {what} than in `{first}`"
                faults.append(
                    Fault(
                        name,
                        found,
                        f"the same {what} in every model",
                        "Train and score them on the same tables.",
                    )
                )
        common = common.drop("village_there", "label_there")
    if not common.height:
        faults.append(
            Fault(
                ", ".join(frames),
                "no household and as-of date in common",
                "the same lists",
                "Score the models on the same as-of dates.",
            )
        )
    _refuse(faults)
    evaluations = {}
    for name, frame in frames.items():
        same = frame.join(common.select(row), on=row, how="semi")
        evaluations[name] = _evaluate(prepare_predictions(same, name=name), capacities, draws, seed, name)
    left_out = {name: frame.height - common.height for name, frame in frames.items()}
    return Comparison(evaluations, baseline or first, left_out)


def _rendered(comparison: Comparison, width: int) -> str:
    import io

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    out = io.StringIO()
    console = Console(
        width=width,
        no_color=True,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=False,
        force_jupyter=False,
        file=out,
    )

    def show(title: str, headings: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> None:
        table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, leading=1)
        table.add_column("model", overflow="fold", min_width=min(26, max(map(len, comparison.names))))
        for text in headings:
            table.add_column(text, justify="right", overflow="fold")
        for name, cells in rows:
            table.add_row(name, *cells)
        console.print(table)

    first = next(iter(comparison.evaluations.values()))
    main, counts = first.capacities[0], first.counts
    console.print(
        f"{counts['households']:,} households in {counts['villages']:,} villages, {counts['dates']} as-of dates "
        f"({first.as_of[0]} to {first.as_of[-1]}): {counts['rows']:,} rows, {counts['confirmed']:,} confirmed, "
        f"{counts['unlabelled']:,} unlabelled. [low, high]: 95 % interval, {counts['draws']} draws of whole villages.",
        markup=False,
    )
    if any(comparison.left_out.values()):
        listed = ", ".join(f"{name} {count:,}" for name, count in comparison.left_out.items() if count)
        console.print(f"Rows left out, because not every model has them: {listed}.")
    console.print()

    def figures(keys: Sequence[Key]) -> Iterable[tuple[str, Sequence[str]]]:
        for name, evaluation in comparison.evaluations.items():
            yield name, [evaluation.cell(*key).replace(" [", "\n[", 1) for key in keys]

    shown: list[Key] = [
        ("precision", main),
        ("recall", main),
        ("auc", ""),
        ("average_precision", ""),
        ("brier", ""),
    ]
    all_of_them: list[Key] = [*shown, ("observed_expected", "")]
    show("Comparison", [heading(*key) for key in all_of_them], figures(all_of_them))
    if len(first.capacities) > 1:
        for metric in ("recall", "precision"):
            keys = [(metric, name) for name in first.capacities]
            show(
                f"{METRICS[metric].en.capitalize()} by capacity",
                [f"at {name}" for name in first.capacities],
                figures(keys),
            )
    base = comparison.baseline

    def differences() -> Iterable[tuple[str, Sequence[str]]]:
        for name in comparison.evaluations:
            if name == base:
                continue
            cells = []
            for key in shown:
                value, low, high = comparison.difference(name, *key)
                cells.append(
                    f"{_signed(key[0], value, low, high)}\n{_verdict(key[0], low, high) if np.isfinite(low) else ''}"
                )
            yield name, cells

    if len(comparison.evaluations) > 1:
        headings = [heading(*key) + (", points" if METRICS[key[0]].percent else "") for key in shown]
        show(f"Difference from {base}, paired on the same draws", headings, differences())
    return out.getvalue()


def _signed(metric: str, value: float, low: float, high: float) -> str:
    """`+1.2` over `[+0.4, +2.0]`; differences of shares in percentage points."""
    form = METRICS[metric]
    figures = [
        form.write(end) if not np.isfinite(end) or end < 0 else f"+{form.write(end)}"
        for end in (value, low, high)
    ]
    return figures[0] + (f"\n[{figures[1]}, {figures[2]}]" if np.isfinite(low) else "")
