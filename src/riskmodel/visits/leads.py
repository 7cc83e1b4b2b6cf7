"""Leads: hints from people and from rules, which are visited whatever the score. And the state of each
household on a day.

Three sources: the `leads` table (self-declared, cadre, department, media, petition), failed guarantees, and
department rules (the `rule_…` columns of the scores). A lead is open until a visit after it; a visit that met
nobody does not count.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from riskmodel.tables import Tables
from riskmodel.vocabulary import LEAD_KINDS

if TYPE_CHECKING:
    from riskmodel.settings import Leads

GUARANTEES: Final[dict[str, tuple[str, str]]] = {
    "food_clothing_ok": ("吃穿", "food and clothing"),
    "schooling_ok": ("义务教育", "compulsory schooling"),
    "insured_ok": ("基本医疗", "medical cover"),
    "housing_ok": ("住房安全", "safe housing"),
    "water_ok": ("饮水安全", "safe drinking water"),
}

# Department rules and the tables whose new rows can make them true. Tables that bring a row every month
# (employment, income) do not show what is new, and are not named. What a rule is called is in the
# catalogue, and nowhere else.
RULE_TABLES: Final[dict[str, tuple[str, ...]]] = {
    "rule_medical_self_paid": ("medical",),
    "rule_medical_burden": ("medical",),
    "rule_inpatient_self_paid": ("medical",),
    "rule_chronic_monthly": ("medical",),
    "rule_new_serious_illness": ("members", "medical"),
    "rule_dropout": ("members",),
    "rule_tuition": ("expenditure",),
    "rule_new_disability": ("disability",),
    "rule_no_job_3m": (),
    "rule_wage_falling": (),
    "rule_transfer_share": (),
    "rule_guarantee_failed": ("guarantees",),
    "rule_event": ("shocks",),
}
HITS_SCHEMA: Final = {"household_id": pl.String, "rule": pl.String, "since": pl.Date}
_NEVER: Final = dt.date(1900, 1, 1)

LEAD_SCHEMA: Final = {
    "household_id": pl.String,
    "kind": pl.String,
    "since": pl.Date,
    "zh": pl.String,
    "en": pl.String,
}


def household_states(tables: Tables, as_of: dt.date) -> pl.DataFrame:
    """State of each household on the day, one row a household known by then, sorted by household_id.

    Columns: household_id, township_code, village_code, people (members in force; 0: dead or moved),
    monitored, monitored_since (first confirmation of the present spell, null if not monitored), last_visit,
    last_outcome and last_origin (newest visit that met somebody, null: none known).
    """
    known = tables.known_by(as_of)
    people = known.get("members").group_by("household_id").agg(people=pl.len())
    visits = known.get("verifications").with_columns(pl.col("outcome").cast(pl.String))
    # The newest decisive verification decides; on a tie of dates a confirmation wins, so it sorts last.
    decisive = (
        visits.filter(pl.col("outcome").is_in(["risk_confirmed", "risk_eliminated"]))
        .with_columns(confirmed=pl.col("outcome") == "risk_confirmed")
        .sort("household_id", "occurred_on", "known_on", "confirmed")
    )
    ended = (
        decisive.filter(~pl.col("confirmed")).group_by("household_id").agg(ended=pl.col("occurred_on").max())
    )
    newest = decisive.group_by("household_id", maintain_order=True).agg(monitored=pl.col("confirmed").last())
    spell = (
        decisive.filter(pl.col("confirmed"))
        .join(ended, on="household_id", how="left")
        .filter(pl.col("ended").is_null() | (pl.col("occurred_on") >= pl.col("ended")))
        .group_by("household_id")
        .agg(monitored_since=pl.col("occurred_on").min())
    )
    last = (
        visits.filter(pl.col("outcome") != "unreachable")
        .sort("household_id", "occurred_on", "known_on", "event_id")
        .group_by("household_id", maintain_order=True)
        .agg(
            last_visit=pl.col("occurred_on").last(),
            last_outcome=pl.col("outcome").last(),
            last_origin=pl.col("origin").last().cast(pl.String),
        )
    )
    return (
        known.get("households")
        .select("household_id", "township_code", "village_code")
        .join(people, on="household_id", how="left")
        .join(newest, on="household_id", how="left")
        .join(spell, on="household_id", how="left")
        .join(last, on="household_id", how="left")
        .with_columns(pl.col("people").fill_null(0), pl.col("monitored").fill_null(False))
        .with_columns(monitored_since=pl.when("monitored").then("monitored_since"))
        .sort("household_id")
    )


def rule_hits(
    scored: pl.DataFrame,
    tables: Tables,
    as_of: dt.date,
    previous: pl.DataFrame | None = None,
    before: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Department rules that households meet today, and since when: household_id, rule, since.

    `scored` has household_id and `rule_…` columns (1 met, 0 not, missing unknown). `since`: from `previous`
    (this function's answer for the last list) where the rule was met then too; null where it was met a cycle
    ago by `before` (columns as in `scored`): nothing new; else the day on which the newest row of the rule's
    tables became known; else today. Without `previous` and `before` the last two are all there is, and null
    means: met, since an unknown day.
    """
    rules = [name for name in scored.columns if name.startswith("rule_")]
    if not rules:
        return pl.DataFrame(schema=HITS_SCHEMA)
    hits = rules_met(scored)
    newest = _newest_rows(tables, as_of, hits["household_id"].unique())
    sources = pl.DataFrame(
        [(rule, table) for rule, names in RULE_TABLES.items() for table in names],
        schema={"rule": pl.String, "table": pl.String},
        orient="row",
    )
    fresh = (
        hits.join(sources, on="rule")
        .join(newest, on=["household_id", "table"])
        .group_by("household_id", "rule")
        .agg(fresh=pl.col("newest").max())
    )
    hits = hits.join(fresh, on=["household_id", "rule"], how="left")
    today = pl.coalesce("fresh", pl.lit(as_of))
    if previous is not None:
        known = previous.select("household_id", "rule", then=pl.col("since"), was=pl.lit(True))
        hits = hits.join(known, on=["household_id", "rule"], how="left")
        hits = hits.with_columns(since=pl.when("was").then("then").otherwise(today))
    elif before is not None:
        hits = hits.join(
            rules_met(before).with_columns(was=pl.lit(True)), on=["household_id", "rule"], how="left"
        )
        hits = hits.with_columns(since=pl.when(pl.col("was").is_null()).then(today))
    else:
        hits = hits.with_columns(since="fresh")
    return hits.select("household_id", "rule", "since").sort("household_id", "rule")


def rules_met(flags: pl.DataFrame) -> pl.DataFrame:
    """Department rules met, one row a household and rule: household_id, rule. flags: household_id and
    `rule_…` columns, 1 where met."""
    rules = [name for name in flags.columns if name.startswith("rule_")]
    return (
        flags.select(
            "household_id", *(pl.col(name).cast(pl.Float64).fill_nan(None).alias(name) for name in rules)
        )
        .unpivot(index="household_id", variable_name="rule")
        .filter(pl.col("value") > 0)
        .select("household_id", "rule")
    )


def _newest_rows(tables: Tables, as_of: dt.date, households: pl.Series) -> pl.DataFrame:
    """Day on which the newest row of a table became known: household_id, table, newest."""
    known = tables.known_by(as_of)
    wanted = pl.DataFrame({"household_id": households}, schema={"household_id": pl.String})
    home = (
        known.get("members").select("member_id", "household_id").join(wanted, on="household_id", how="semi")
    )
    parts = []
    for name in sorted({table for names in RULE_TABLES.values() for table in names}):
        if name not in known:
            continue
        frame = known[name]
        if name == "shocks":
            areas = known.get("households").select("household_id", "township_code", "village_code")
            areas = areas.join(wanted, on="household_id", how="semi").with_columns(
                county=pl.col("village_code").str.head(6)
            )
            by_area = [
                frame.filter(pl.col("area_code").is_not_null())
                .select("area_code", "known_on")
                .join(areas.select("household_id", area_code=pl.col(level)), on="area_code")
                .select("household_id", "known_on")
                for level in ("county", "township_code", "village_code")
            ]
            frame = pl.concat(
                [
                    frame.filter(pl.col("household_id").is_not_null()).select("household_id", "known_on"),
                    *by_area,
                ]
            )
        elif "household_id" not in frame.columns:
            frame = frame.join(home, on="member_id")
        frame = frame.join(wanted, on="household_id", how="semi")
        parts.append(
            frame.group_by("household_id")
            .agg(newest=pl.col("known_on").max())
            .with_columns(table=pl.lit(name))
        )
    schema = {"household_id": pl.String, "newest": pl.Date, "table": pl.String}
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


@dataclass(frozen=True)
class LeadCounts:
    """What became of the rows of the `leads` table known on a day: read = open + answered + too_old +
    not_asked + unknown.

    answered: a visit came after it. too_old: older than the look-back, without a visit. not_asked: of a
    channel that the settings leave out. unknown: of a household that the tables do not hold (its leads are
    among those that are returned, so that they can be named).
    """

    read: int
    open: int
    answered: int
    too_old: int
    not_asked: int
    unknown: int


def open_leads(
    tables: Tables,
    as_of: dt.date,
    settings: Leads,
    *,
    now: pl.DataFrame,
    hits: pl.DataFrame,
    names: Mapping[str, tuple[str, str]],
) -> tuple[pl.DataFrame, LeadCounts]:
    """All leads that wait for a visit on the day, and what became of the rows of the `leads` table.

    `now` is `household_states(tables, as_of)`, `hits` is `rule_hits(…)`. names: department rule -> what it is
    called, in zh and en; a rule that is not in it is shown by its code. Columns out: household_id, kind (a
    key of LEAD_KINDS), since (day known; null for a rule met since an unknown day), zh, en (in words); sorted
    by household, urgency, day. Several a household are possible.
    """
    known = tables.known_by(as_of)
    visited = now.select("household_id", "last_visit")
    unanswered = pl.col("last_visit").is_null() | (pl.col("last_visit") < pl.col("since"))

    fresh = pl.col("since") > as_of - dt.timedelta(days=settings.look_back_days)
    every = (
        known.get("leads")
        .with_columns(kind=pl.col("channel").cast(pl.String), since=pl.col("known_on"))
        .join(visited.with_columns(here=pl.lit(True)), on="household_id", how="left")
        .with_columns(
            fate=pl.when(~pl.col("kind").is_in(settings.channels))
            .then(pl.lit("not_asked"))
            .when(~unanswered)
            .then(pl.lit("answered"))
            .when(~fresh)
            .then(pl.lit("too_old"))
            .when(pl.col("here").is_null())
            .then(pl.lit("unknown"))
            .otherwise(pl.lit("open"))
        )
    )
    fates = dict(every.group_by("fate").agg(rows=pl.len()).iter_rows())
    counts = LeadCounts(
        read=every.height,
        **{name: fates.get(name, 0) for name in ("open", "answered", "too_old", "not_asked", "unknown")},
    )
    shown = every.filter(pl.col("fate").is_in(["open", "unknown"])).select(
        "household_id", "kind", "since", "topic"
    )
    words = [
        _lead(row["household_id"], row["kind"], row["since"], row["topic"] or "", row["topic"] or "")
        for row in shown.iter_rows(named=True)
    ]

    # A failed guarantee stays a lead until it is mended; a visit only gives it some quiet.
    failed: dict[str, dt.date] = {}
    if settings.guarantees and "guarantees" in known:
        quiet = as_of - dt.timedelta(days=settings.guarantee_quiet_days)
        broken = known["guarantees"].filter(pl.any_horizontal(~pl.col(name) for name in GUARANTEES))
        broken = broken.join(visited, on="household_id", how="left").with_columns(since=pl.col("known_on"))
        for row in broken.filter(unanswered | (pl.col("last_visit") < quiet)).iter_rows(named=True):
            which = [pair for name, pair in GUARANTEES.items() if row[name] is False]
            failed[row["household_id"]] = row["since"]
            zh, en = "、".join(pair[0] for pair in which), ", ".join(pair[1] for pair in which)
            words.append(_lead(row["household_id"], "guarantee", row["since"], zh, en))

    wanted = hits if settings.rules == "all" else hits.filter(pl.col("rule").is_in(list(settings.rules)))
    quiet = as_of - dt.timedelta(days=settings.rule_quiet_days)
    met = wanted.join(visited, on="household_id", how="left").filter(
        pl.col("last_visit").is_null()
        | (pl.col("last_visit") < pl.col("since").fill_null(_NEVER))
        | (pl.col("last_visit") < quiet)
    )
    for row in met.iter_rows(named=True):
        if row["rule"] == "rule_guarantee_failed":
            if row["household_id"] not in failed:
                zh, en = names.get(row["rule"], ("", ""))
                words.append(_lead(row["household_id"], "guarantee", row["since"], zh, en))
            continue
        zh, en = names.get(row["rule"], (row["rule"], row["rule"]))
        words.append(_dated(row["household_id"], "rule", row["since"], zh, en))

    order = {kind: place for place, kind in enumerate(LEAD_KINDS)}
    frame = pl.DataFrame(words, schema=LEAD_SCHEMA, orient="row").unique()
    frame = frame.sort(
        "household_id",
        pl.col("kind").replace_strict(order, return_dtype=pl.Int32),
        "since",
        "zh",
        nulls_last=True,
    )
    return frame, counts


def _lead(
    household: str, kind: str, since: dt.date | None, zh: str, en: str
) -> tuple[str, str, dt.date | None, str, str]:
    name_zh, name_en = LEAD_KINDS[kind]
    return _dated(
        household, kind, since, f"{name_zh}：{zh}" if zh else name_zh, f"{name_en}: {en}" if en else name_en
    )


def _dated(
    household: str, kind: str, since: dt.date | None, zh: str, en: str
) -> tuple[str, str, dt.date | None, str, str]:
    """A row of the leads: its words, with the day on which it became known."""
    day_zh = f"（{since.isoformat()}）" if since else ""
    day_en = f" ({since.isoformat()})" if since else ""
    return household, kind, since, f"{zh}{day_zh}", f"{en}{day_en}"
