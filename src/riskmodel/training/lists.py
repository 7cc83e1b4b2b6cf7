"""Stability of lists between two models, and lead time: how many months earlier than today's process a
series of lists would have reached the households confirmed later.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.training.evaluation import DRAWS
from riskmodel.training.keyed import in_list_order
from riskmodel.training.predictions import capacity_name, prepare_predictions
from riskmodel.training.resampling import MIN_VILLAGES, Floats, interval, ratio, village_weights, wilson

if TYPE_CHECKING:
    from riskmodel.training.predictions import Frame

DAYS_A_MONTH: Final = 365.25 / 12


@dataclass(frozen=True)
class Stability:
    """What two models' lists share at one capacity, on the households that both scored. Make it with
    `stability`.

    overlap, jaccard, rank_correlation: means over the as-of dates, 0 to 1 (the correlation -1 to 1): shared /
    visits, shared / on either list, and Spearman's of the margins of all households that both scored.

    by_date: as_of, visits, shared (households on both), overlap (shared / visits), jaccard (shared / on
    either). changes: households that enter or leave: as_of, household_id, village_code, change (`enters` ·
    `leaves`), rank_before, rank_after, margin_before, margin_after; most moved first within a date.
    """

    capacity: str
    overlap: float
    jaccard: float
    rank_correlation: float
    by_date: pl.DataFrame = field(repr=False)
    changes: pl.DataFrame = field(repr=False)

    def text(self) -> str:
        """One sentence."""
        entering = self.changes.filter(pl.col("change") == "enters").height
        return (
            f"At a capacity of {self.capacity} the lists share {self.overlap:.0%} (Jaccard "
            f"{self.jaccard:.2f}); over {self.by_date.height} as-of dates {entering} households enter and "
            "as many leave."
        )


def stability(before: Frame, after: Frame, *, capacity: float) -> Stability:
    """Compare the lists of two models (champion and challenger, or two trainings) as of the same dates.

    Only rows (as_of, household) of both count. Equal margins at the cut are ordered by the same keyed hash in
    both, because a household either is on a list or is not; `evaluate` gives the bounds.
    rank_correlation: Spearman's, mean over dates. Raises DataError when the two share no row.
    """
    first, second = (
        prepare_predictions(frame, name=name).frame for frame, name in ((before, "before"), (after, "after"))
    )
    row = ["as_of", "household_id"]
    both = first.select(*row, "village_code", margin_before="margin").join(
        second.select(*row, margin_after="margin"), on=row, how="inner"
    )
    if not both.height:
        raise DataError(
            Fault(
                "before, after",
                "no household and as-of date in common",
                "the same lists",
                "Score the same as-of dates.",
            )
        )
    both = in_list_order(both, "margin_before").rename({"rank": "rank_before"})
    both = in_list_order(both, "margin_after").rename({"rank": "rank_after"})
    both = both.sort("as_of", "household_id").with_columns(visits=_visits(capacity))
    both = both.with_columns(
        on_before=pl.col("rank_before") <= pl.col("visits"), on_after=pl.col("rank_after") <= pl.col("visits")
    )
    by_date = both.group_by("as_of", maintain_order=True).agg(
        visits=pl.col("visits").first(),
        shared=(pl.col("on_before") & pl.col("on_after")).sum().cast(pl.Int64),
        either=(pl.col("on_before") | pl.col("on_after")).sum().cast(pl.Int64),
        correlation=pl.corr("margin_before", "margin_after", method="spearman"),
    )
    by_date = by_date.with_columns(
        overlap=pl.col("shared") / pl.col("visits"), jaccard=pl.col("shared") / pl.col("either")
    )
    changes = (
        both.filter(pl.col("on_before") != pl.col("on_after"))
        .with_columns(
            change=pl.when("on_after").then(pl.lit("enters")).otherwise(pl.lit("leaves")),
            moved=(pl.col("rank_after").cast(pl.Int64) - pl.col("rank_before").cast(pl.Int64)).abs(),
        )
        .sort(["as_of", "moved", "household_id"], descending=[False, True, False])
        .select(*row, "village_code", "change", "rank_before", "rank_after", "margin_before", "margin_after")
    )
    overlap, jaccard, correlation = (
        float(np.nanmean(by_date[name].to_numpy())) for name in ("overlap", "jaccard", "correlation")
    )
    by_date = by_date.select("as_of", "visits", "shared", "overlap", "jaccard")
    return Stability(
        capacity=capacity_name(capacity),
        overlap=overlap,
        jaccard=jaccard,
        rank_correlation=correlation,
        by_date=by_date,
        changes=changes,
    )


@dataclass(frozen=True)
class MonthsEarlier:
    """How much earlier than today's process the lists would have reached the confirmed households. Make it
    with `months_earlier`.

    figures: value and 95 % interval of confirmed_reached: share of the confirmations that were on an earlier
    list within the look-back; months: mean months from the first list with the household to the confirmation,
    over all confirmations, those not reached counting 0; months_when_reached: the same over those reached;
    and,
    where rules were given, rules_reached, rules_months and months_before_rules (months minus rules_months,
    paired).

    cases: a row a confirmation: household_id, confirmed_on, first_listed, months, first_rule, rule_months.
    """

    capacity: str
    lookback_months: float
    confirmations: int
    figures: pl.DataFrame = field(repr=False)
    cases: pl.DataFrame = field(repr=False)

    def value(self, name: str) -> tuple[float, float, float]:
        """A figure: value, low, high. Raises KeyError."""
        found = self.figures.filter(pl.col("figure") == name)
        if not found.height:
            raise KeyError(name)
        value, low, high = found.select("value", "low", "high").row(0)
        return float(value), float(low), float(high)

    def text(self) -> str:
        """Two or three sentences: share reached, months earlier, gain over the department rules."""
        reached, low, high = self.value("confirmed_reached")
        months, months_low, months_high = self.value("months")
        sentences = (
            f"Of {self.confirmations} confirmations {reached:.0%} [{low:.0%}, {high:.0%}] were on a list of "
            f"{self.capacity} before they were confirmed by current practice; over all of them that is "
            f"{months:.1f} [{months_low:.1f}, {months_high:.1f}] months earlier."
        )
        if "rules_months" in self.figures["figure"].to_list():
            gain, gain_low, gain_high = self.value("months_before_rules")
            sentences += (
                f" Against the department rules the gain is {gain:.1f} "
                f"[{gain_low:.1f}, {gain_high:.1f}] months."
            )
        return sentences


def months_earlier(
    predictions: Frame,
    confirmations: Frame,
    *,
    capacity: float,
    rules: Frame | None = None,
    lookback_months: float = 12,
    draws: int = DRAWS,
    seed: int = 0,
) -> MonthsEarlier:
    """Lead time: months from the first list that contains a household to its confirmation.

    predictions: as for `evaluate`; every as-of date is a list. confirmations: household_id and confirmed_on
    (the visit's occurred_on), each confirmation of a household that was not monitored. rules: household_id
    and as_of of every household on which a department rule had struck at that date, without any limit of
    visits.

    For a confirmation on day C the lists with C − lookback ≤ as_of < C count, and the first of them that
    contains the household. A confirmation without any list in that time, or of a household that none of them
    scored, is left out. At a cut through equal margins a household counts as listed if its chance is at least
    one half.

    When it is wrong: it counts days on a list, not what a visit on that day would have found; a visit long
    before the fall may find no risk yet. And confirmations come from today's process: households that nobody
    ever found are not among them. Raises DataError.
    """
    prepared = prepare_predictions(predictions)
    found = _frame(confirmations, "confirmations", ("household_id", "confirmed_on")).unique()
    found = found.with_columns(pl.col("household_id").cast(pl.String), pl.col("confirmed_on").cast(pl.Date))
    listed = (
        in_list_order(prepared.frame)
        .with_columns(visits=_visits(capacity))
        .select("household_id", "village_code", "as_of", on_list=pl.col("rank") <= pl.col("visits"))
    )
    window = pl.duration(days=round(lookback_months * DAYS_A_MONTH))
    seen = found.join(listed, on="household_id", how="inner").filter(
        (pl.col("as_of") < pl.col("confirmed_on")) & (pl.col("as_of") >= pl.col("confirmed_on") - window)
    )
    if rules is not None:
        struck = _frame(rules, "rules", ("household_id", "as_of")).select(
            pl.col("household_id").cast(pl.String), pl.col("as_of").cast(pl.Date), by_rule=pl.lit(value=True)
        )
        seen = seen.join(struck.unique(), on=["household_id", "as_of"], how="left")
    else:
        seen = seen.with_columns(by_rule=pl.lit(None, pl.Boolean))
    cases = (
        seen.group_by("household_id", "confirmed_on")
        .agg(
            village_code=pl.col("village_code").sort_by("as_of").last(),
            first_listed=pl.col("as_of").filter(pl.col("on_list")).min(),
            first_rule=pl.col("as_of").filter(pl.col("by_rule").fill_null(value=False)).min(),
        )
        .sort("confirmed_on", "household_id")
        .with_columns(months=_months("first_listed"), rule_months=_months("first_rule"))
    )
    if not cases.height:
        raise DataError(
            Fault(
                "confirmations",
                "none falls after an as-of date on which its household was scored",
                "confirmations after the lists",
                "Give lists and confirmations of the same county and years.",
            )
        )
    figures = _advance(cases, rules is not None, draws, seed)
    columns = [
        "household_id",
        "confirmed_on",
        "first_listed",
        "months",
        *(["first_rule", "rule_months"] if rules is not None else []),
    ]
    return MonthsEarlier(
        capacity=capacity_name(capacity),
        lookback_months=lookback_months,
        confirmations=cases.height,
        figures=figures,
        cases=cases.select(columns),
    )


def _visits(capacity: float) -> pl.Expr:
    """Households on each date's list. Raises DataError for a capacity that is none."""
    capacity_name(capacity)
    households = pl.len().over("as_of")
    whole = isinstance(capacity, (int, np.integer))
    visits = (
        pl.min_horizontal(pl.lit(capacity), households) if whole else (households * capacity).round().clip(1)
    )
    return visits.cast(pl.Int64)


def _months(column: str) -> pl.Expr:
    """Months from the date to the confirmation; 0 where there is none."""
    return ((pl.col("confirmed_on") - pl.col(column)).dt.total_days() / DAYS_A_MONTH).fill_null(0.0)


def _frame(frame: Any, name: str, columns: Iterable[str]) -> pl.DataFrame:
    table = frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame)
    if absent := [column for column in columns if column not in table.columns]:
        raise DataError(Fault(name, f"no column {', '.join(absent)}", ", ".join(columns), "Add it."))
    return table.select(list(columns))


def _advance(cases: pl.DataFrame, with_rules: bool, draws: int, seed: int) -> pl.DataFrame:
    """The figures of MonthsEarlier from one row a confirmation, with village-cluster intervals."""
    villages, village = np.unique(cases["village_code"].to_numpy().astype(str), return_inverse=True)
    weights = village_weights(len(villages), draws if len(villages) >= MIN_VILLAGES else 0, seed)

    def summed(value: Floats) -> Floats:
        return weights @ np.bincount(village, weights=value, minlength=len(villages))

    count = summed(np.ones(cases.height))
    months, rule_months = cases["months"].to_numpy(), cases["rule_months"].to_numpy()
    reached = cases["first_listed"].is_not_null().to_numpy().astype(np.float64)
    figures = {
        "confirmed_reached": ratio(summed(reached), count),
        "months": ratio(summed(months), count),
        "months_when_reached": ratio(summed(months), summed(reached)),
    }
    if with_rules:
        by_rule = cases["first_rule"].is_not_null().to_numpy().astype(np.float64)
        figures["rules_reached"] = ratio(summed(by_rule), count)
        figures["rules_months"] = ratio(summed(rule_months), count)
        figures["months_before_rules"] = figures["months"] - figures["rules_months"]
    rows = []
    for name, drawn in figures.items():
        low, high = interval(drawn[1:], villages=len(villages))
        if name.endswith("reached") and name != "months_when_reached" and low == high:
            low, high = wilson(float(drawn[0]), cases.height)
        rows.append({"figure": name, "value": float(drawn[0]), "low": low, "high": high})
    return pl.DataFrame(rows)


def rule_hits(frame: Frame, flags: Iterable[str], *, as_of: dt.date | None = None) -> pl.DataFrame:
    """The `rules` of `months_earlier` from rule flags: households and dates on which at least one flag is 1
    (missing is no hit).

    frame: household_id, as_of (unless given) and the flags, 1, 0 or missing.
    """
    flags = list(flags)
    table = frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame)
    if as_of is not None:
        table = table.with_columns(as_of=pl.lit(as_of))
    table = _frame(table, "rules", ("household_id", "as_of", *flags))
    hit = pl.any_horizontal(pl.col(flag).cast(pl.Float64).fill_nan(None).fill_null(0.0) > 0 for flag in flags)
    return table.filter(hit).select("household_id", "as_of")
