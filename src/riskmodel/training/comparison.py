"""Several models on the same households and dates: paired differences, shares of a reference, regret, and a
text for the terminal.

The models are evaluated on identical rows with the same bootstrap draws of whole villages; differences are
percentile intervals of those draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.training.evaluation import (
    DRAWS,
    METRICS,
    Evaluation,
    Key,
    evaluate_prepared,
    heading,
    mean_of_dates,
)
from riskmodel.training.predictions import capacity_name, prepare_predictions, refuse
from riskmodel.training.resampling import Floats, interval, ratio

if TYPE_CHECKING:
    import pandas as pd

    from riskmodel.training.predictions import Frame


@dataclass(frozen=True)
class ModelComparison:
    """Several models on identical households and dates. Make it with `compare_predictions`.

    The first model is the baseline of `differences()` unless another is named. `left_out` counts rows (as_of,
    household) that not every model had, and that therefore count for none.
    """

    evaluations: Mapping[str, Evaluation]
    baseline: str
    left_out: Mapping[str, int]

    def __getitem__(self, name: str) -> Evaluation:
        return self.evaluations[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the compared runs; the first is the baseline."""
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
        """Paired differences, model minus baseline, on the same draws: model, baseline, metric, capacity,
        value, low, high, verdict.

        verdict: `better` or `worse` when the 95 % interval leaves 0 out, else `not certain`. For
        observed/expected the distance from 1 on the log scale is compared, and lower is better; base_rate is
        left out, being the same for all.
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
        """Each model's figures as a share of the reference's, on the same draws: model, reference, metric,
        capacity, value, low, high.

        With the true hazard of a synthetic county as one of the models this is the share of what can be
        reached. Only figures of which more is better; NaN where the reference has 0.
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
        """How much each model lost against the best model of each as-of date, so that one lucky date does not
        choose it.

        A row a model: dates (on which every model has the figure), mean (regret, mean of the dates) with low
        and high from the paired draws, worst (largest regret), worst_as_of, best_on (dates on which it was
        the best, ties shared). Always at least 0: the best of several noisy figures is too good, so that even
        equal models show some regret; compare models, not a model with 0.
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
            low, high = interval(mean_of_dates(lost_drawn[place]), villages=model.counts["villages"])
            row: dict[str, Any] = {
                "model": model.name,
                "dates": int(usable.sum()),
                "mean": float(mean_of_dates(regrets)),
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
) -> ModelComparison:
    """Judge several models on identical rows with the same bootstrap draws.

    Only rows (as_of, household) that every model has are used; `ModelComparison.left_out` counts the others.
    baseline: the model that `differences()` subtracts, by default the first. Raises DataError with every
    fault: of a frame, no rows in common, or models that disagree about the label or village of a household.
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
    refuse(faults)
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
    refuse(faults)
    evaluations = {}
    for name, frame in frames.items():
        same = frame.join(common.select(row), on=row, how="semi")
        evaluations[name] = evaluate_prepared(
            prepare_predictions(same, name=name), capacities, draws, seed, name
        )
    left_out = {name: frame.height - common.height for name, frame in frames.items()}
    return ModelComparison(evaluations, baseline or first, left_out)


def _rendered(comparison: ModelComparison, width: int) -> str:
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
        (
            f"{counts['households']:,} households in {counts['villages']:,} villages, {counts['dates']} "
            f"as-of dates ({first.as_of[0]} to {first.as_of[-1]}): {counts['rows']:,} rows, "
            f"{counts['confirmed']:,} confirmed, {counts['unlabelled']:,} unlabelled. [low, high]: 95 % "
            f"interval, {counts['draws']} draws of whole villages."
        ),
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
                    f"{_signed(key[0], value, low, high)}\n"
                    f"{_verdict(key[0], low, high) if np.isfinite(low) else ''}"
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
