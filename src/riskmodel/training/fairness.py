"""Are some households missed more than others? Recall and false omission by group, on the lists as they were
drawn.

A group is flagged when its recall (share of its confirmed households that were on the list) is lower than
that of all others by more than chance explains. Of a yes/no group only the named side is flagged: lower
recall of households *without* a disability is reported (`others missed more`) and not flagged, since any
model of risk has it. A group with fewer than 30 confirmed households is `insufficient`, never `pass`; for a
group without a flag the audit states the smallest gap that it would have found with 90 % power. Groups serve
the audit only: ethnicity and religion are never predictors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.training.evaluation import DRAWS
from riskmodel.training.predictions import (
    PreparedPredictions,
    capacity_name,
    on_the_list,
    prepare_predictions,
)
from riskmodel.training.resampling import MIN_VILLAGES, Floats, interval, ratio, village_weights, wilson

if TYPE_CHECKING:
    import pandas as pd

    from riskmodel.training.predictions import Frame

FEWEST_CONFIRMED: Final = 30
# Chance of any false flag in the whole audit, not in each group. Tested at 5 %, audits without a gap were
# flagged 5.5 to 5.8 % of the time (few villages, few confirmed); at this level the promised 5 % hold.
FALSE_ALARMS: Final = 0.04
FLAGGED, OTHERS_MISSED, NO_GAP, INSUFFICIENT, UNKNOWN = (
    "flagged",
    "others missed more",
    "no gap found",
    "insufficient",
    "unknown",
)
MISSING, YES, NO = "missing", "true", "false"

# column -> (zh, en); for yes/no columns that is what `true` means.
GROUP_NAMES: Final[dict[str, tuple[str, str]]] = {
    "ethnic_minority": ("少数民族", "ethnic minority"),
    "female_head": ("女性户主", "female head"),
    "elderly_only": ("全为老年人", "elderly only"),
    "disability": ("有残疾人", "disability"),
    "remote": ("偏远", "remote"),
    "relocated": ("易地搬迁", "relocated"),
    "category": ("户类型", "category"),
}
VALUE_NAMES: Final[dict[str, tuple[str, str]]] = {
    "lifted": ("脱贫户", "lifted"),
    "general": ("一般农户", "general"),
    "true": ("是", "yes"),
    "false": ("否", "no"),
    MISSING: ("未知", "unknown"),
}


def group_label(group: str, value: str, language: str = "en") -> str:
    """How reports name one group of the fairness audit.

    group: the column; value: its value. `true` gives the column's name alone (`female head`); others the name
    and the value (`female head: no`, in zh `户类型：脱贫户`). A column or value without a name here is
    shown as it is. language: `zh`; anything else gives English.
    """
    place = 0 if language == "zh" else 1
    name = GROUP_NAMES.get(group, (group, group))[place]
    if value == YES:
        return name
    return f"{name}{'：' if language == 'zh' else ': '}{VALUE_NAMES.get(value, (value, value))[place]}"


@dataclass(frozen=True)
class GroupAudit:
    """The audit of one model's lists. Make it with `audit_groups`.

    rows: a row a group and value (of a yes/no group only the named side, `true`), with group, value,
    households (distinct), confirmed (distinct households), recall, recall_low, recall_high, recall_others,
    gap (recall minus that of the others), gap_low, gap_high, p (adjusted for the number of comparisons),
    false_omission, false_omission_low, false_omission_high, false_omission_others, detectable (the gap found
    nine times in ten), verdict.
    """

    name: str
    capacity: str
    draws: int
    rows: pl.DataFrame = field(repr=False)

    @property
    def flagged(self) -> list[str]:
        """Groups that are missed more than the others, as `column=value`."""
        return self._with(FLAGGED)

    @property
    def flagged_at_lower_risk(self) -> list[str]:
        """Flagged groups whose false omission rate is also lower than that of the others, as `column=value`.

        Outside the list they are at less risk, not at more. Such a gap may come from the distribution of risk
        and not from the model; a person has to judge it.
        """
        chosen = self.rows.filter(
            (pl.col("verdict") == FLAGGED) & (pl.col("false_omission") < pl.col("false_omission_others"))
        )
        return [f"{group}={value}" for group, value in chosen.select("group", "value").iter_rows()]

    @property
    def insufficient(self) -> list[str]:
        """Groups with too few confirmed households for a finding, as `column=value`."""
        return self._with(INSUFFICIENT)

    def _with(self, verdict: str) -> list[str]:
        chosen = self.rows.filter(pl.col("verdict") == verdict)
        return [f"{group}={value}" for group, value in chosen.select("group", "value").iter_rows()]

    def numbers(self) -> pd.DataFrame:
        """The raw figures."""
        return self.rows.to_pandas()

    def findings(self) -> list[dict[str, Any]]:
        """For the model record, as JSON: a row a group with group (`column=value`), zh, en, confirmed,
        recall, low, high (missing where there is no figure) and verdict.
        """

        def known(value: float | None) -> float | None:
            return float(value) if value is not None and np.isfinite(value) else None

        return [
            {
                "group": f"{row['group']}={row['value']}",
                "zh": group_label(row["group"], row["value"], "zh"),
                "en": group_label(row["group"], row["value"]),
                "confirmed": int(row["confirmed"]),
                "recall": known(row["recall"]),
                "low": known(row["recall_low"]),
                "high": known(row["recall_high"]),
                "verdict": row["verdict"],
            }
            for row in self.rows.iter_rows(named=True)
        ]

    def table(self, language: str = "en") -> pd.DataFrame:
        """A row a group, `value [low, high]` in per cent."""
        import pandas as pd

        def span(row: dict[str, Any], value: str, low: str, high: str, unit: str = "%") -> str:
            if row[value] is None or not np.isfinite(row[value]):
                return "–"
            inside = f" [{100 * row[low]:.1f}, {100 * row[high]:.1f}]" if np.isfinite(row[low]) else ""
            return f"{100 * row[value]:.1f}{unit}{inside}"

        table = [
            {
                "group": group_label(row["group"], row["value"], language),
                "confirmed": row["confirmed"],
                "recall": span(row, "recall", "recall_low", "recall_high"),
                "others": f"{100 * row['recall_others']:.1f}%" if np.isfinite(row["recall_others"]) else "–",
                "gap (points)": span(row, "gap", "gap_low", "gap_high", ""),
                "false omission": span(row, "false_omission", "false_omission_low", "false_omission_high"),
                "would find": f"{100 * row['detectable']:.0f} points"
                if np.isfinite(row["detectable"])
                else "–",
                "verdict": row["verdict"],
            }
            for row in self.rows.iter_rows(named=True)
        ]
        return pd.DataFrame(table).set_index("group")

    def text(self, *, width: int = 120) -> str:
        """The audit for a terminal, without colour."""
        import io

        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table

        out = io.StringIO()
        table = Table(
            title=f"{self.name}: who is missed, at a capacity of {self.capacity}",
            title_justify="left",
            title_style="",
            box=SIMPLE_HEAD,
        )
        frame = self.table().reset_index().drop(columns="others")
        frame["false omission"] = [cell.partition(" ")[0] for cell in frame["false omission"]]
        for column in frame.columns:
            words = column in ("group", "verdict")
            least = min(22, frame["group"].str.len().max()) if column == "group" else None
            figures = column in ("recall", "gap (points)")
            heading = column if words or figures else str(column).replace(" ", "\n")
            table.add_column(heading, justify="left" if words else "right", no_wrap=figures, min_width=least)
        for row in frame.itertuples(index=False):
            table.add_row(*(str(cell).replace(" points", "").replace("[", r"\[") for cell in row))
        console = Console(width=width, no_color=True, highlight=False, force_jupyter=False, file=out)
        console.print(table)
        console.print(
            (
                "[low, high]: 95 % interval, whole villages drawn again. would find: the gap in points that "
                "this audit finds nine times in ten."
            ),
            markup=False,
        )
        return out.getvalue()


def audit_groups(
    predictions: Frame,
    *,
    groups: Sequence[str],
    capacity: float,
    draws: int = DRAWS,
    seed: int = 0,
    name: str = "model",
) -> GroupAudit:
    """Audit the first `capacity` households of every as-of date by group.

    predictions: as for `evaluation.evaluate`, with one more column a group: yes/no, or codes; missing means
    unknown, is shown, and is compared with nothing. Confirmed and listed households of all dates are added
    up. A yes/no group (also 1 and 0) is compared with all who are not in it, each code with all others; where
    its recall is lower by more than chance, it is flagged.

    The test is a one-sided score test of recall clustered by village, and Holm's correction holds the chance
    of any false flag in the whole audit to 5 % (Holm, Scand. J. Stat. 6 (1979)). Intervals: village-cluster
    bootstrap, given the lists. Flags rest on recall alone: false omission differs by itself where the risk of
    groups differs. Raises DataError.
    """
    prepared = prepare_predictions(predictions, name=name)
    if absent := [column for column in groups if column not in prepared.frame.columns]:
        raise DataError(
            Fault(
                name,
                f"no column {', '.join(absent)}",
                "a column for every group",
                "Add it, or leave the group out of the plan.",
            )
        )
    listed = on_the_list(prepared, capacity)
    villages = len(prepared.villages)
    weights = village_weights(villages, draws if villages >= MIN_VILLAGES else 0, seed)
    rows: list[dict[str, Any]] = []
    for group in groups:
        column = _values(prepared.frame[group])
        known = (column != MISSING).to_numpy()
        compared = sorted(set(column.unique()) - {MISSING})
        yes_no = set(compared) <= {YES, NO}
        shown = [YES] if yes_no else compared
        for value in [*shown, *([MISSING] if not known.all() else [])]:
            member = (column == value).to_numpy()
            rest = known & ~member if value != MISSING else np.zeros_like(member)
            rows.append(
                {"group": group, "value": value} | _audit_one(prepared, listed, member, rest, weights)
            )
    _judge(rows)
    frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row") if rows else pl.DataFrame(schema=_SCHEMA)
    return GroupAudit(name, capacity_name(capacity), len(weights) - 1, frame)


def _values(column: pl.Series) -> pl.Series:
    """The values as text: `true` and `false` for yes/no (also 1 and 0), `missing` for unknown."""
    if column.dtype.is_numeric() and set(column.drop_nulls().unique()) <= {0, 1}:
        column = column.cast(pl.Boolean)
    return column.cast(pl.String).str.to_lowercase().fill_null(MISSING)


_NUMBERS = [
    "recall",
    "recall_low",
    "recall_high",
    "recall_others",
    "gap",
    "gap_low",
    "gap_high",
    "p",
    "false_omission",
    "false_omission_low",
    "false_omission_high",
    "false_omission_others",
    "detectable",
]
_SCHEMA: Final = (
    {"group": pl.String, "value": pl.String, "households": pl.Int64, "confirmed": pl.Int64}
    | dict.fromkeys(_NUMBERS, pl.Float64)
    | {"verdict": pl.String}
)


def _audit_one(
    prepared: PreparedPredictions,
    listed: Floats,
    member: npt.NDArray[np.bool_],
    rest: npt.NDArray[np.bool_],
    weights: Floats,
) -> dict[str, Any]:
    """The figures of one group, before the verdict. `_confirmed_rest` is a note for `_judge`."""
    villages = len(prepared.villages)
    positive, labelled = prepared.label == 1, prepared.label >= 0
    household = prepared.frame["household_id"]

    def by_village(value: Floats, where: npt.NDArray[np.bool_]) -> Floats:
        return np.bincount(prepared.village[where], weights=value[where], minlength=villages).astype(
            np.float64
        )

    def distinct(where: npt.NDArray[np.bool_]) -> int:
        return int(household.filter(pl.Series(where)).n_unique())

    def shares(where: npt.NDArray[np.bool_]) -> tuple[Floats, Floats, Floats, Floats]:
        """Hits and confirmed a village; and recall and false omission a draw."""
        hits, confirmed = (
            by_village(listed, where & positive),
            by_village(np.ones_like(listed), where & positive),
        )
        missed, outside = by_village(1 - listed, where & positive), by_village(1 - listed, where & labelled)
        return (
            hits,
            confirmed,
            ratio(weights @ hits, weights @ confirmed),
            ratio(weights @ missed, weights @ outside),
        )

    hits, confirmed, recall, omission = shares(member)
    hits_rest, confirmed_rest, recall_rest, omission_rest = shares(rest)
    found, found_rest = distinct(member & positive), distinct(rest & positive)
    recall_low, recall_high = _span(recall, villages, found)
    outside = member & labelled & (listed < 1)
    omission_low, omission_high = _span(omission, villages, distinct(outside))
    gap = recall - recall_rest
    gap_low, gap_high = interval(gap[1:], villages=villages)
    p, error = _score_test(hits, confirmed, hits_rest, confirmed_rest)
    return {
        "households": distinct(member),
        "confirmed": found,
        "recall": float(recall[0]),
        "recall_low": recall_low,
        "recall_high": recall_high,
        "recall_others": float(recall_rest[0]),
        "gap": float(gap[0]),
        "gap_low": gap_low,
        "gap_high": gap_high,
        "p": p,
        "false_omission": float(omission[0]),
        "false_omission_low": omission_low,
        "false_omission_high": omission_high,
        "false_omission_others": float(omission_rest[0]),
        "detectable": error,
        "_confirmed_rest": found_rest,
    }


def _span(figures: Floats, villages: int, trials: int) -> tuple[float, float]:
    """Interval of a share: the farther ends of the bootstrap and of Wilson over distinct households, which
    holds when few are there.
    """
    value = float(figures[0])
    low, high = interval(figures[1:], villages=villages)
    plain_low, plain_high = wilson(value, trials)
    if not np.isfinite(low):
        return plain_low, plain_high
    return min(low, plain_low), max(high, plain_high)


def _score_test(
    hits: Floats, confirmed: Floats, hits_rest: Floats, confirmed_rest: Floats
) -> tuple[float, float]:
    """One-sided p that recall is not lower, and the standard error of the gap, clustered by village. All
    arguments: sums, shape (villages,).

    Residuals are taken from the common recall, as in a score test: with few confirmed households that keeps
    its level where a test from each side's own recall flags too often.
    """
    from scipy.special import stdtr

    total, total_rest = confirmed.sum(), confirmed_rest.sum()
    active = int(((confirmed + confirmed_rest) > 0).sum())
    if total <= 0 or total_rest <= 0 or active < MIN_VILLAGES:
        return float("nan"), float("nan")
    common = (hits.sum() + hits_rest.sum()) / (total + total_rest)
    residual = (hits - common * confirmed) / total - (hits_rest - common * confirmed_rest) / total_rest
    error = float(np.sqrt((residual**2).sum() * active / (active - 1)))
    if error == 0:
        return 0.5, 0.0
    gap = hits.sum() / total - hits_rest.sum() / total_rest
    return float(stdtr(active - 1, gap / error)), error


def _judge(rows: list[dict[str, Any]]) -> None:
    """Give each row its verdict and its p adjusted by Holm, in place. Every row that can be judged is one
    one-sided test.
    """
    from scipy.special import ndtri

    tests = []
    for row in rows:
        enough = min(row["confirmed"], row.pop("_confirmed_rest")) >= FEWEST_CONFIRMED
        row["verdict"] = NO_GAP
        if row["value"] == MISSING:
            row |= {"verdict": UNKNOWN, "p": float("nan"), "detectable": float("nan")}
        elif not enough or not np.isfinite(row["p"]):
            row |= {"verdict": INSUFFICIENT, "p": float("nan")}
        else:
            tests.append(row)
    reached = 0.0
    for place, row in enumerate(sorted(tests, key=lambda row: row["p"])):
        if row["value"] == YES and 1 - row["p"] <= FALSE_ALARMS / len(tests):
            row["verdict"] = OTHERS_MISSED
        reached = max(reached, min(1.0, (len(tests) - place) * row["p"]))
        row["p"] = reached
        if reached <= FALSE_ALARMS:
            row["verdict"] = FLAGGED
    needed = float(ndtri(1 - FALSE_ALARMS / max(1, len(tests))) + ndtri(0.9))
    for row in rows:
        row["detectable"] *= needed
