"""Leads: hints from people and from rules, that are seen by a person whatever the score. And where each household stands today.

Three sources: the `leads` table (self-declared, cadre, department, media, petition), failed guarantees, and department rules (the
`rule_…` columns of the scores). A lead is open until a visit after it; a visit that met nobody does not count.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import polars as pl

from riskmodel.tables import Tables

if TYPE_CHECKING:
    from riskmodel.settings import Leads

# Kinds of leads, most urgent first: code -> (zh, en).
LEAD_KINDS: Final[dict[str, tuple[str, str]]] = {
    "guarantee": ("保障未达标", "failed guarantee"),
    "self_declared": ("农户自主申报", "self-declared"),
    "petition": ("信访", "petition"),
    "cadre": ("干部排查", "cadre's round"),
    "department": ("部门预警", "department's warning"),
    "media": ("媒体", "media"),
    "rule": ("部门规则", "department rule"),
}

GUARANTEES: Final[dict[str, tuple[str, str]]] = {
    "food_clothing_ok": ("吃穿", "food and clothing"),
    "schooling_ok": ("义务教育", "compulsory schooling"),
    "insured_ok": ("基本医疗", "medical cover"),
    "housing_ok": ("住房安全", "safe housing"),
    "water_ok": ("饮水安全", "safe drinking water"),
}

# Department rules in words, and the tables whose new rows can make them true. Tables that bring a row every month
# (employment, income) say nothing about what is new, and are not named.
RULES: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "rule_medical_self_paid": (
        "年度自付医疗费超过规定比例",
        "yearly self-paid medical cost over the rule",
        ("medical",),
    ),
    "rule_medical_burden": (
        "综合保障后医疗负担过重",
        "medical burden after insurance over the rule",
        ("medical",),
    ),
    "rule_inpatient_self_paid": ("住院自付费用较高", "inpatient self-paid cost over the rule", ("medical",)),
    "rule_chronic_monthly": (
        "门诊或慢特病月自付较高",
        "monthly outpatient or chronic cost over the rule",
        ("medical",),
    ),
    "rule_new_serious_illness": ("新患大病", "a new serious illness", ("members", "medical")),
    "rule_dropout": ("疑似失学辍学", "a possible dropout from school", ("members",)),
    "rule_tuition": ("学年教育支出较高", "school cost over the rule", ("expenditure",)),
    "rule_new_disability": ("新办残疾证", "a new disability certificate", ("disability",)),
    "rule_no_job_3m": ("劳动力连续3个月未就业", "no job for three months", ()),
    "rule_wage_falling": ("工资收入连续下降", "wages falling in two periods running", ()),
    "rule_transfer_share": ("转移性收入占比过高", "transfers a large share of income", ()),
    "rule_guarantee_failed": (
        "“三保障”及饮水安全存在问题",
        "a guarantee or safe water has failed",
        ("guarantees",),
    ),
    "rule_event": ("发生灾害或意外事件", "a disaster, accident or failed project", ("shocks",)),
}
_NEVER: Final = dt.date(1900, 1, 1)

LEAD_SCHEMA: Final = {
    "household_id": pl.String,
    "kind": pl.String,
    "since": pl.Date,
    "zh": pl.String,
    "en": pl.String,
}


def standing(tables: Tables, as_of: dt.date) -> pl.DataFrame:
    """Where each household stands on the day, one row a household known by then, sorted by household_id.

    Columns: household_id, township_code, village_code, people (members in force; 0: dead or moved), monitored, monitored_since (first
    confirmation of the present spell, null if not monitored), last_visit, last_outcome and last_origin (newest visit that met somebody, null: none known).
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

    `scored` has household_id and `rule_…` columns (1 met, 0 not, missing unknown). `since`: from `previous` (this function's answer for the
    last list) where the rule was met then too; null where it was met a cycle ago by `before` (columns as in `scored`): nothing new;
    else the day on which the newest row of the rule's tables became known; else today. Without `previous` and `before` the last two are
    all there is, and null means: met, but it cannot be said since when.
    """
    rules = [name for name in scored.columns if name.startswith("rule_")]
    if not rules:
        return pl.DataFrame(schema={"household_id": pl.String, "rule": pl.String, "since": pl.Date})
    hits = _met(scored)
    newest = _newest_rows(tables, as_of, hits["household_id"].unique())
    sources = pl.DataFrame(
        [(rule, table) for rule, (_, _, names) in RULES.items() for table in names],
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
        hits = hits.join(_met(before).with_columns(was=pl.lit(True)), on=["household_id", "rule"], how="left")
        hits = hits.with_columns(since=pl.when(pl.col("was").is_null()).then(today))
    else:
        hits = hits.with_columns(since="fresh")
    return hits.select("household_id", "rule", "since").sort("household_id", "rule")


def _met(flags: pl.DataFrame) -> pl.DataFrame:
    """Rules met, one row a household and rule."""
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
    for name in sorted({table for _, _, names in RULES.values() for table in names}):
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


def open_leads(
    tables: Tables, as_of: dt.date, settings: Leads, *, now: pl.DataFrame, hits: pl.DataFrame
) -> tuple[pl.DataFrame, int]:
    """All leads that wait for a visit on the day, and the number of leads too old to be open.

    `now` is `standing(tables, as_of)`, `hits` is `rule_hits(…)`. Columns out: household_id, kind (a key of LEAD_KINDS), since (day known;
    null for a rule met since an unknown day), zh, en (in words); sorted by household, urgency, day. Several a household are possible.
    """
    known = tables.known_by(as_of)
    visited = now.select("household_id", "last_visit")
    unanswered = pl.col("last_visit").is_null() | (pl.col("last_visit") < pl.col("since"))

    told = (
        known.get("leads")
        .with_columns(kind=pl.col("channel").cast(pl.String), since=pl.col("known_on"))
        .filter(pl.col("kind").is_in(settings.channels))
        .join(visited, on="household_id", how="left")
        .filter(unanswered)
    )
    fresh = pl.col("since") > as_of - dt.timedelta(days=settings.look_back_days)
    too_old = told.filter(~fresh).height
    told = told.filter(fresh).select("household_id", "kind", "since", "topic")
    words = [
        _lead(row["household_id"], row["kind"], row["since"], row["topic"] or "", row["topic"] or "")
        for row in told.iter_rows(named=True)
    ]

    # A failed guarantee stays a lead until it is mended; a visit only gives it some quiet.
    failed: dict[str, dt.date] = {}
    if settings.guarantees and "guarantees" in known:
        quiet = as_of - dt.timedelta(days=settings.guarantee_quiet_days)
        broken = known["guarantees"].filter(pl.any_horizontal(~pl.col(name) for name in GUARANTEES))
        broken = broken.join(visited, on="household_id", how="left").with_columns(since=pl.col("known_on"))
        for row in broken.filter(unanswered | (pl.col("last_visit") < quiet)).iter_rows(named=True):
            names = [pair for name, pair in GUARANTEES.items() if row[name] is False]
            failed[row["household_id"]] = row["since"]
            zh, en = "、".join(pair[0] for pair in names), ", ".join(pair[1] for pair in names)
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
                zh, en, _ = RULES[row["rule"]]
                words.append(_lead(row["household_id"], "guarantee", row["since"], zh, en))
            continue
        zh, en, _ = RULES.get(row["rule"], (row["rule"], row["rule"], ()))
        words.append(_lead(row["household_id"], "rule", row["since"], zh, en))

    order = {kind: place for place, kind in enumerate(LEAD_KINDS)}
    frame = pl.DataFrame(words, schema=LEAD_SCHEMA, orient="row").unique()
    frame = frame.sort(
        "household_id",
        pl.col("kind").replace_strict(order, return_dtype=pl.Int32),
        "since",
        "zh",
        nulls_last=True,
    )
    return frame, too_old


def _lead(
    household: str, kind: str, since: dt.date | None, zh: str, en: str
) -> tuple[str, str, dt.date | None, str, str]:
    name_zh, name_en = LEAD_KINDS[kind]
    day_zh = f"（{since.isoformat()}）" if since else ""
    day_en = f" ({since.isoformat()})" if since else ""
    return (
        household,
        kind,
        since,
        f"{name_zh}：{zh}{day_zh}" if zh else f"{name_zh}{day_zh}",
        f"{name_en}: {en}{day_en}" if en else f"{name_en}{day_en}",
    )
