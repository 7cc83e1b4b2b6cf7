"""Exit review: monitored households whose risk may have gone (风险消除 candidates), with what speaks for it
and what against it.

It proposes that people look again. It closes nothing, and a household without labour is never proposed: it is
listed apart, to be kept in view. Source of the conditions: 中农组发〔2021〕7号 (income lastingly stable,
guarantees solid; without labour keep tracking); at least six months since identification and a measure
delivered: local rule of Zongyang, Anhui.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from riskmodel.calendar import months_before
from riskmodel.errors import Fault, UserError
from riskmodel.screening import wording
from riskmodel.settings import Exits
from riskmodel.tables import Tables
from riskmodel.visits.leads import GUARANTEES, household_states

if TYPE_CHECKING:
    import pandas as pd

    from riskmodel.screening.scoring import ScreeningModel

PROPOSALS: Final[dict[str, tuple[str, str]]] = {
    "review": ("建议复核是否消除风险", "proposed for a review by people"),
    "keep_tracking": ("无劳动力，持续跟踪", "no labour in the household: keep tracking"),
    "not_yet": ("条件尚未具备", "conditions not met yet"),
}
WORKING_AGE: Final = 16
_ABLE: Final = ("skilled", "ordinary")  # weak labour alone counts as none, as in the features
_RECENT: Final = 12  # months in which a shock or a new disability speaks against an exit

COLUMNS: Final[dict[str, Any]] = {
    "household_id": pl.String,
    "township_code": pl.String,
    "village_code": pl.String,
    "monitored_since": pl.Date,
    "proposal": pl.String,
    "probability": pl.Float64,
    "for_zh": pl.String,
    "for_en": pl.String,
    "against_zh": pl.String,
    "against_en": pl.String,
}


@dataclass(frozen=True)
class Look:
    """One scoring of the monitored households. frame: household_id, probability (0 to 1), income_gap_pp (yuan
    a person and year over the monitoring line after compliant out-of-pocket cost; null: not known).
    """

    as_of: dt.date
    frame: pl.DataFrame


class Points(NamedTuple):
    """What speaks for an exit and what against it: each point in zh and en."""

    in_favour: tuple[tuple[str, str], ...]
    against: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ExitReview:
    """Every monitored household of a day, with a proposal (a key of PROPOSALS) and its points.

    rows: COLUMNS, in which the points of a side are one text. points: household_id -> its points.
    """

    as_of: dt.date
    rows: pl.DataFrame
    points: Mapping[str, Points]

    @property
    def frame(self) -> pd.DataFrame:
        """COLUMNS as pandas; proposals for review first."""
        return self.rows.to_pandas()

    def of(self, proposal: str) -> pl.DataFrame:
        """The households of one proposal."""
        return self.rows.filter(pl.col("proposal") == proposal)

    def summary(self) -> str:
        """One sentence in English: the number of households of each proposal."""
        parts = "; ".join(f"{en}: {self.of(code).height}" for code, (_, en) in PROPOSALS.items())
        return (
            f"Exit review as of {self.as_of.isoformat()}: {self.rows.height} monitored households; {parts}. "
            "People decide."
        )


def looks_back(
    model: ScreeningModel, tables: Tables, as_of: dt.date, settings: Exits, horizon: int = 12
) -> list[Look]:
    """Score the households that are monitored on `as_of`, as of several earlier dates and `as_of` itself.

    The dates are `as_of` less 0 to `low_scorings` - 1 months, and less `months_above_line` months: the same
    day of the month, or the last day of a shorter month. Each date uses what was known then; households
    without members in force then are left out of it, and a date without any household is skipped. horizon:
    months of the predicted probability. Returns one `Look` a date, oldest first.
    """
    from riskmodel.features import build
    from riskmodel.policy import Policy

    monitored = household_states(tables, as_of).filter("monitored")["household_id"].to_list()
    policy = Policy.load(model.project, tables)
    back = sorted({*range(settings.low_scorings), settings.months_above_line}, reverse=True)
    looks = []
    for months in back:
        day = months_before(as_of, months)
        there = (
            household_states(tables, day)
            .filter(pl.col("household_id").is_in(monitored) & (pl.col("people") > 0))["household_id"]
            .to_list()
        )
        if not there:
            continue
        matrix = build(tables, day, catalogue=model.catalogue, policy=policy, households=there)
        scores = model.score_matrix(matrix, horizon)
        gap = pl.DataFrame(
            {"household_id": matrix.household_id.tolist(), "income_gap_pp": matrix.column("income_gap_pp")}
        )
        frame = (
            scores.frame.select("household_id", "probability")
            .join(gap, on="household_id")
            .with_columns(pl.col("income_gap_pp").fill_nan(None))
        )
        looks.append(Look(day, frame))
    return looks


def exit_review(
    tables: Tables, as_of: dt.date, looks: Sequence[Look], settings: Exits | None = None
) -> ExitReview:
    """Which monitored households people might look at again. `looks`: their scorings, the newest as of
    `as_of`.

    Only what was known by `as_of` is read. Unknown income, guarantees or scores speak against an exit. Raises
    UserError if no look is as of the day.
    """
    rules = settings or Exits()
    ordered = sorted(looks, key=lambda look: look.as_of)
    if not ordered or ordered[-1].as_of != as_of:
        found = "no scoring" if not ordered else f"the newest scoring is as of {ordered[-1].as_of}"
        raise UserError(
            Fault(
                "exit review",
                found,
                f"a scoring as of {as_of}",
                "Score the monitored households of that day first.",
            )
        )
    facts = _facts(tables, as_of)
    newest = ordered[-rules.low_scorings :]
    probability = {
        look.as_of: dict(look.frame.select("household_id", "probability").iter_rows()) for look in ordered
    }
    gap = {
        look.as_of: dict(look.frame.select("household_id", "income_gap_pp").iter_rows()) for look in ordered
    }
    rows, points = [], {}
    for fact in facts.iter_rows(named=True):
        name = fact["household_id"]
        conditions = [
            _low(name, newest, probability, rules),
            _income(name, ordered, gap, as_of, rules),
            _guarantees(fact),
            _measure(fact),
            _time(fact, as_of, rules),
        ]
        good = [(zh, en) for met, zh, en in conditions if met]
        bad = [(zh, en) for met, zh, en in conditions if not met]
        against = [*bad, *_doubts(fact)]
        proposal = "not_yet" if bad else "review"
        if not fact["labour"]:
            proposal = "keep_tracking"
            against = [
                (
                    "家中无劳动力：不作风险消除，持续跟踪",
                    "no labour in the household: never marked as gone, keep tracking",
                ),
                *against,
            ]
        points[name] = Points(tuple(good), tuple(against))
        rows.append(
            {
                "household_id": name,
                "township_code": fact["township_code"],
                "village_code": fact["village_code"],
                "monitored_since": fact["monitored_since"],
                "proposal": proposal,
                "probability": probability[as_of].get(name),
                "for_zh": wording.join([zh for zh, _ in good], "zh"),
                "for_en": wording.join([en for _, en in good], "en"),
                "against_zh": wording.join([zh for zh, _ in against], "zh"),
                "against_en": wording.join([en for _, en in against], "en"),
            }
        )
    order = {code: place for place, code in enumerate(PROPOSALS)}
    frame = pl.DataFrame(rows, schema=COLUMNS)
    turn = pl.col("proposal").replace_strict(order, return_dtype=pl.Int32)
    return ExitReview(as_of, frame.sort(turn, "township_code", "village_code", "household_id"), points)


Condition = tuple[bool, str, str]


def _low(
    name: str, newest: Sequence[Look], probability: dict[dt.date, dict[str, float]], rules: Exits
) -> Condition:
    values = [probability[look.as_of].get(name) for look in newest]
    limit = f"{rules.probability:.0%}"
    if len(newest) < rules.low_scorings or any(value is None for value in values):
        return False, f"评分不足{rules.low_scorings}次", f"scored fewer than {rules.low_scorings} times"
    if all(value is not None and value < rules.probability for value in values):
        return (
            True,
            f"最近{rules.low_scorings}次评分概率均低于{limit}",
            f"the last {rules.low_scorings} scorings lie below {limit}",
        )
    highest = max(value for value in values if value is not None)
    return (
        False,
        f"最近评分中最高概率{highest:.1%}，不低于{limit}",
        f"the highest of the last scorings is {highest:.1%}, not below {limit}",
    )


def _income(
    name: str,
    looks: Sequence[Look],
    gap: dict[dt.date, dict[str, float | None]],
    as_of: dt.date,
    rules: Exits,
) -> Condition:
    """Condition: income above the line at every date of the period, the first of which is at its
    beginning."""
    begin = months_before(as_of, rules.months_above_line)
    inside = [look for look in looks if look.as_of >= begin]
    months = rules.months_above_line
    if not inside or inside[0].as_of > begin + dt.timedelta(days=31):
        return False, f"收入情况不足{months}个月", f"income is known for less than {months} months"
    values = [gap[look.as_of].get(name) for look in inside]
    if any(value is None for value in values):
        return False, "部分时点收入未知", "income is not known at every look"
    lowest = min(value for value in values if value is not None)
    if lowest > 0:
        return (
            True,
            f"{months}个月内扣除合规自付后收入均高于监测线，最低高出{lowest:,.0f}元",
            f"income after compliant cost above the line for {months} months, by {lowest:,.0f} yuan at least",
        )
    return (
        False,
        f"{months}个月内收入曾低于监测线{-lowest:,.0f}元",
        f"income was below the line by {-lowest:,.0f} yuan within {months} months",
    )


def _guarantees(fact: dict[str, Any]) -> Condition:
    failed = [pair for name, pair in GUARANTEES.items() if fact[name] is False]
    unknown = [pair for name, pair in GUARANTEES.items() if fact[name] is None]
    if failed:
        return (
            False,
            "保障未达标：" + "、".join(zh for zh, _ in failed),
            "failed: " + ", ".join(en for _, en in failed),
        )
    if unknown:
        return (
            False,
            "保障状况未知：" + "、".join(zh for zh, _ in unknown),
            "not known: " + ", ".join(en for _, en in unknown),
        )
    return True, "“三保障”和饮水安全均达标", "all guarantees and safe water in place"


def _measure(fact: dict[str, Any]) -> Condition:
    if fact["measures"]:
        return (
            True,
            f"纳入监测后已落实帮扶措施{fact['measures']}项",
            f"measures delivered since identification: {fact['measures']}",
        )
    return False, "纳入监测后尚无帮扶措施记录", "no measure on record since identification"


def _time(fact: dict[str, Any], as_of: dt.date, rules: Exits) -> Condition:
    since = fact["monitored_since"]
    if since <= months_before(as_of, rules.months_since_identified):
        return (
            True,
            f"纳入监测已满{rules.months_since_identified}个月（{since}起）",
            f"monitored for {rules.months_since_identified} months or more (since {since})",
        )
    return (
        False,
        f"纳入监测未满{rules.months_since_identified}个月（{since}起）",
        f"monitored for less than {rules.months_since_identified} months (since {since})",
    )


def _doubts(fact: dict[str, Any]) -> list[tuple[str, str]]:
    """What people should know before they agree, though no condition rests on it."""
    doubts = []
    if fact["shocks"]:
        doubts.append(
            (
                f"近{_RECENT}个月有灾害或意外事件{fact['shocks']}次",
                f"shocks in the last {_RECENT} months: {fact['shocks']}",
            )
        )
    if fact["open_leads"]:
        doubts.append(
            (f"有未核实线索{fact['open_leads']}条", f"leads not answered by a visit: {fact['open_leads']}")
        )
    if fact["running"]:
        doubts.append(
            (
                f"仍在享受帮扶措施{fact['running']}项，停止后风险可能回升",
                f"measures still running: {fact['running']} (the risk may rise when they end)",
            )
        )
    return doubts


def _facts(tables: Tables, as_of: dt.date) -> pl.DataFrame:
    """One row a monitored household with somebody in force: what the conditions and doubts rest on, known by
    the day."""
    known = tables.known_by(as_of)
    now = household_states(tables, as_of).filter(pl.col("monitored") & (pl.col("people") > 0))
    year_ago = months_before(as_of, _RECENT)
    grown = (pl.lit(as_of) - pl.col("birth_date")).dt.total_days() >= WORKING_AGE * 365.25
    able = grown & (pl.col("schooling") == "none") & pl.col("labour").cast(pl.String).is_in(_ABLE)
    labour = known.get("members").group_by("household_id").agg(labour=able.any())
    guarantees = known.get("guarantees").select("household_id", *GUARANTEES)
    since = now.select("household_id", "monitored_since")
    given = known.get("assistance").join(since, on="household_id").filter(pl.col("occurred_on") <= as_of)
    measures = given.group_by("household_id").agg(
        measures=(pl.col("occurred_on") >= pl.col("monitored_since")).sum(),
        running=(pl.col("ended_on").is_null() | (pl.col("ended_on") > as_of)).sum(),
    )
    shocks = (
        known.get("shocks")
        .filter(
            pl.col("household_id").is_not_null()
            & (pl.col("occurred_on") > year_ago)
            & (pl.col("occurred_on") <= as_of)
        )
        .group_by("household_id")
        .agg(shocks=pl.len())
    )
    unanswered = pl.col("last_visit").is_null() | (pl.col("last_visit") < pl.col("known_on"))
    leads = (
        known.get("leads")
        .join(now.select("household_id", "last_visit"), on="household_id")
        .filter(unanswered)
        .group_by("household_id")
        .agg(open_leads=pl.len())
    )
    for frame in (labour, guarantees, measures, shocks, leads):
        now = now.join(frame, on="household_id", how="left")
    return now.with_columns(
        pl.col("measures", "running", "shocks", "open_leads").fill_null(0), pl.col("labour").fill_null(False)
    ).sort("household_id")
