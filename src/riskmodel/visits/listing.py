"""The visit list of a cycle: leads that must be seen, what was left over, the model's order, random checks;
then put in route order.

The list proposes an order of visits. It closes nothing: whoever is not on it can come on it by a lead on any
day.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodel.errors import Fault, UserError
from riskmodel.screening.grades import GRADE_ORDER
from riskmodel.screening.scored import ExplainedScores, Scored, ScoredFrame
from riskmodel.settings import ScreeningSettings
from riskmodel.tables import Tables
from riskmodel.tables.staleness import stale_note
from riskmodel.visits.draws import draw_checks, strata_of, tie_order
from riskmodel.visits.grades import GRADE_COLUMNS, grade_columns, grade_reasons_of, on_record
from riskmodel.visits.leads import household_states, open_leads, rule_hits
from riskmodel.visits.not_listed import not_listed, quiet_days
from riskmodel.visits.quotas import fill_visits, quotas_of
from riskmodel.visits.row_parts import ListedReason, RowParts, listed_reasons, reason_lines
from riskmodel.visits.visit_list import COLUMNS, LISTED_AS, VisitList, cycle_length, cycle_of
from riskmodel.vocabulary import COUNTY_DIGITS, GRADES, RISK_KINDS

if TYPE_CHECKING:
    import pandas as pd


def screening_list(
    scores: Scored,
    tables: Tables,
    as_of: dt.date,
    *,
    capacity: int,
    settings: ScreeningSettings | None = None,
    previous: VisitList | None = None,
    rules_before: pl.DataFrame | None = None,
    county: str | None = None,
) -> VisitList:
    """The visit list of the cycle whose visits begin the day after `as_of`.

    scores: Scores, or a frame (pandas or polars) with household_id, margin, probability; further columns of
    COLUMNS, `rule_…` columns are used where they are there. tables: what is known of the county; only rows
    known by `as_of` are read. capacity: visits the county can give in the cycle. previous: the last list, for
    carry-over and for what is new. rules_before: `rule_…` columns a household a cycle ago, where there is no
    last list to show what is new. county: code (6 digits) of the county whose list it is; needed where the
    scores and leads are of several.

    Leads are all on the list. Those by people and failed guarantees get a visit even beyond the capacity;
    those by department rules alone get one up to their share, or by their score, and are on standby
    otherwise. Random checks are always kept. The notes list what applied. Raises UserError with every fault
    of the scores, the capacity and the quotas.
    """
    settings = settings or ScreeningSettings()
    scored = _scored(scores, as_of, capacity)
    cycle = cycle_of(as_of, settings.cycle)
    now = household_states(tables, as_of)
    county, scored, elsewhere = _of_one_county(scored, now, county)
    dates = _data_dates(tables, as_of)
    stale = stale_note(dates, as_of)
    notes: list[tuple[str, str]] = [] if stale is None else [stale]

    hits = rule_hits(scored, tables, as_of, None if previous is None else previous.rules, rules_before)
    leads, rows_of_leads = open_leads(
        tables, as_of, settings.leads, now=now, hits=hits, names=names_of_rules(scores)
    )
    if rows_of_leads.too_old:
        days = settings.leads.look_back_days
        notes.append(
            (
                f"另有{rows_of_leads.too_old}条线索超过{days}天无核实记录，未列入；请补录核实结果。",
                (
                    f"{rows_of_leads.too_old} leads without a visit are older than {days} days and not "
                    "listed; enter their visits."
                ),
            )
        )
    if rows_of_leads.not_asked:
        notes.append(
            (
                f"另有{rows_of_leads.not_asked}条线索的来源未启用（leads.channels），未列入。",
                (
                    f"{rows_of_leads.not_asked} leads come from channels that the settings leave out "
                    "(leads.channels) and are not listed."
                ),
            )
        )
    leads = leads.join(elsewhere, on="household_id", how="anti", maintain_order="left")
    unknown = leads.join(now, on="household_id", how="anti")["household_id"].n_unique()
    if unknown:
        notes.append(
            (
                f"{unknown}户线索的农户不在农户表中，无法列入。",
                f"{unknown} households with leads are not in the households table.",
            )
        )
    if not any(name.startswith("rule_") for name in scored.columns):
        notes.append(
            (
                "评分不含部门规则，本清单没有规则线索。",
                "The scores carry no department rules: no rule leads on this list.",
            )
        )

    everybody = _everybody(scored, now, leads, settings, cycle)
    peace = settings.recent_visits
    quiet = (pl.lit(as_of) - pl.col("last_visit")).dt.total_days() < quiet_days(peace)
    everybody = everybody.with_columns(
        fate=pl.when(pl.col("people").fill_null(0) == 0)
        .then(pl.lit("gone"))
        .when("monitored")
        .then(pl.lit("monitored"))
        .when(pl.col("lead_kinds").is_not_null())
        .then(pl.lit("lead"))
        .when(quiet)
        .then(pl.lit("recent"))
        .otherwise(pl.lit("open"))
    )
    carried, withdrawn = _carried(everybody, previous, as_of, capacity, settings, now)
    listed, waiting, drawn_from = _choose(everybody, carried, cycle, capacity, settings, notes)

    recorded = on_record(tables, as_of, hits, settings.leads)
    graded = grade_reasons_of(everybody, recorded, capacity, settings)
    grades = grade_columns(everybody["household_id"], graded)
    listed, reasons = _with_reasons(listed, scores)
    names = set(listed["household_id"].to_list())
    parts = {
        name: RowParts(of_grade, reasons.get(name))
        for name, (_, of_grade) in zip(everybody["household_id"].to_list(), graded, strict=True)
        if name in names
    }
    rows = listed.drop(GRADE_COLUMNS)
    rows = rows.join(grades, on="household_id", how="left", maintain_order="left")
    rows = _number(rows, settings)
    rows = rows.with_columns(
        cycle=pl.lit(cycle),
        as_of=pl.lit(as_of),
        horizon_months=pl.col("horizon_months")
        if "horizon_months" in rows.columns
        else pl.lit(None, pl.Int64),
    )
    rows = rows.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())

    left_out = pl.concat(
        [
            _why(
                everybody.filter(pl.col("fate") == "gone"),
                "去世、迁出或无在册成员",
                "died, moved away, or no member in force",
            ),
            _why(
                everybody.filter(pl.col("fate") == "recent").sort("place").head(capacity),
                "近期已走访且无新情况",
                "visited a short time ago and nothing new",
            ),
            _why(withdrawn, "结转到期或排位已下降", "carried over long enough, or its score has fallen"),
            _why(waiting, "超出走访能力或名额", "beyond the capacity or the quota"),
        ]
    )
    versions = (
        sorted(set(scored["model_version"].drop_nulls().to_list()))
        if "model_version" in scored.columns
        else []
    )
    counts = {kind: int((rows["listed_as"] == kind).sum()) for kind in LISTED_AS}
    visits = rows.filter(pl.col("listed_as") != "standby")
    counts |= {f"grade_{grade}": int((visits["grade"] == grade).sum()) for grade in GRADES}
    counts |= {fate: int((everybody["fate"] == fate).sum()) for fate in ("gone", "monitored", "recent")}
    if counts["recent"]:
        notes.append(
            (
                (
                    f"{counts['recent']}户近期已走访（{peace.days}天内，"
                    f"集中排查后{peace.sweep_days}天内）且无新情况，本期不再上门。"
                ),
                (
                    f"{counts['recent']} households were visited a short time ago ({peace.days} days, "
                    f"{peace.sweep_days} after a sweep) and nothing new is known: not visited again."
                ),
            )
        )
    return VisitList(
        cycle=cycle,
        as_of=as_of,
        county_code=county,
        capacity=capacity,
        settings=settings,
        rows=rows,
        monitored=_monitored(everybody),
        left_out=left_out,
        strata=strata_of(drawn_from),
        drawn_from=drawn_from,
        rules=hits,
        grades=grades,
        not_listed=not_listed(
            now.join(elsewhere, on="household_id", how="anti"), everybody, rows, withdrawn, peace
        ),
        notes=tuple(notes),
        model_version=", ".join(versions),
        guide=_guide(scores),
        data_dates=dates,
        counts=counts,
        parts=parts,
    )


def _scored(scores: Scored, as_of: dt.date, capacity: int) -> pl.DataFrame:
    """The scores as a checked polars frame. Raises UserError with every fault."""
    frame = scores.frame if isinstance(scores, ScoredFrame) else scores
    faults = []
    if isinstance(capacity, bool) or not isinstance(capacity, (int, np.integer)) or capacity < 1:
        faults.append(
            Fault(
                "capacity",
                repr(capacity),
                "a whole number of visits, 1 or more",
                "Say how many visits the county can give.",
            )
        )
    if not isinstance(frame, pl.DataFrame):
        frame = _from_pandas(frame)
    absent = [name for name in ("household_id", "margin", "probability") if name not in frame.columns]
    if absent:
        faults.append(
            Fault(
                "scores",
                f"no column {', '.join(absent)}",
                "household_id, margin, probability",
                "Score the cohort first.",
            )
        )
        raise UserError(faults)
    frame = frame.with_columns(
        pl.col("household_id").cast(pl.String), pl.col("margin", "probability").cast(pl.Float64)
    )
    twice = frame.filter(pl.col("household_id").is_duplicated())["household_id"].unique().sort().to_list()
    faults += [
        Fault(f"scores, household {name}", "scored twice", "one score a household", "Keep one.")
        for name in twice[:20]
    ]
    without = frame.filter(
        ~pl.col("margin").is_finite().fill_null(False)
        | ~pl.col("probability").is_between(0, 1).fill_null(False)
    )
    faults += [
        Fault(
            f"scores, household {row['household_id']}",
            f"margin {row['margin']}, probability {row['probability']}",
            "a finite margin and a probability from 0 to 1",
            "Score the household again.",
        )
        for row in without.head(20).iter_rows(named=True)
    ]
    if "as_of" in frame.columns:
        others = {str(day)[:10] for day in frame["as_of"].unique().to_list()} - {as_of.isoformat()}
        if others:
            found = f"scored as of {', '.join(sorted(others))}"
            faults.append(
                Fault(
                    "scores",
                    found,
                    f"scores as of {as_of.isoformat()}",
                    "Score again, or name that as-of date.",
                )
            )
    if faults:
        raise UserError(faults)
    return frame


def county_of(scores: pl.DataFrame, tables: Tables, as_of: dt.date) -> str | None:
    """The county of all scored households on the day; None: there are several, or none is known."""
    names = pl.DataFrame({"household_id": scores["household_id"].cast(pl.String)})
    homes = tables.known_by(as_of).get("households").join(names, on="household_id", how="semi")
    codes = homes["village_code"].str.head(COUNTY_DIGITS).unique().to_list()
    return codes[0] if len(codes) == 1 else None


def _of_one_county(
    scored: pl.DataFrame, now: pl.DataFrame, county: str | None
) -> tuple[str, pl.DataFrame, pl.DataFrame]:
    """The county of the list, the scores of its households (and of those that the tables do not hold), and
    the households of other counties.

    Where nobody was scored, the counties are those of the register. Raises UserError where there are several
    and none is named, or the named one has no household.
    """
    codes = now.select("household_id", county=pl.col("village_code").str.head(COUNTY_DIGITS))
    here = scored.select("household_id").join(codes, on="household_id")
    if here.is_empty():  # a list of leads alone
        here = codes
    sizes = dict(here.group_by("county").len().sort("county").iter_rows())
    if county is None and len(sizes) > 1:
        found = ", ".join(f"{code} ({size} households)" for code, size in sizes.items())
        remedy = (
            "Name one: --county CODE, or county= in Python; make a list for each. A mistyped code is to be "
            "mended in the tables."
        )
        raise UserError(
            Fault("scores", f"households of several counties: {found}", "one county a list", remedy)
        )
    if county is not None and county not in sizes:
        raise UserError(
            Fault("county", county, f"one of {', '.join(sizes)}", "Name a county that was scored.")
        )
    chosen = county or next(iter(sizes), "")
    elsewhere = codes.filter(pl.col("county") != chosen).select("household_id")
    return chosen, scored.join(elsewhere, on="household_id", how="anti", maintain_order="left"), elsewhere


def _from_pandas(frame: pd.DataFrame) -> pl.DataFrame:
    columns: dict[str, Any] = {}
    for name in frame.columns:
        values = frame[name].tolist()
        if str(name).endswith(("_zh", "_en")) or name == "risk_kinds":
            separator = ";" if name == "risk_kinds" else "\n"
            columns[name] = [_text(value, separator) for value in values]
        else:
            columns[name] = frame[name].to_numpy()
            if columns[name].dtype.kind == "M":  # days may come as whole seconds, which polars does not take
                columns[name] = columns[name].astype("datetime64[us]")
            if frame[name].dtype.kind not in "biufM":
                columns[name] = [None if value is None or value != value else value for value in values]
    return pl.DataFrame(columns, strict=False)


def _text(value: Any, separator: str) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    return value if isinstance(value, str) else separator.join(str(item) for item in value)


def _data_dates(tables: Tables, as_of: dt.date) -> dict[str, dt.date]:
    """Until when each table is known on the day."""
    known = tables.known_by(as_of)
    newest = {
        name: frame["known_on"].max() for name, frame in known.frames.items() if "known_on" in frame.columns
    }
    return {name: day for name, day in newest.items() if isinstance(day, dt.date)}


def _everybody(
    scored: pl.DataFrame, now: pl.DataFrame, leads: pl.DataFrame, settings: ScreeningSettings, cycle: str
) -> pl.DataFrame:
    """Everybody who is scored or has a lead, in the model's order (`place`; households without a score last),
    with leads in words."""
    lead_texts = leads.group_by("household_id", maintain_order=True).agg(
        lead_kinds=pl.col("kind").unique(maintain_order=True).str.join(";"),
        leads_zh=pl.col("zh").unique(maintain_order=True).str.join("\n"),
        leads_en=pl.col("en").unique(maintain_order=True).str.join("\n"),
    )
    keep = [name for name in scored.columns if name in COLUMNS]
    drop = {"township_code", "village_code", "as_of", "grade", "cycle"}
    own = scored.select(pl.col(name).cast(COLUMNS[name]) for name in keep if name not in drop)
    frame = own.join(lead_texts, on="household_id", how="full", coalesce=True).join(
        now, on="household_id", how="left"
    )
    # A scored household that the tables do not hold on this day has no village: it is gone, and falls out
    # below.
    frame = frame.with_columns(
        tie=pl.Series(tie_order(settings.key, cycle, frame["household_id"].to_list()), dtype=pl.String)
    )
    # Scores put equal margins in order by their own keyed hash already; here only what comes without a rank
    # needs one.
    keys = ["margin", "rank", "tie"] if "rank" in frame.columns else ["margin", "tie"]
    frame = frame.sort(keys, descending=[True, *([False] * (len(keys) - 1))], nulls_last=True).with_row_index(
        "place"
    )
    by_team = settings.quotas.by == "team"
    teams = settings.quotas.teams
    texts = {
        name: pl.lit(None, pl.String)
        for name, kind in COLUMNS.items()
        if kind == pl.String and name not in frame.columns
    }
    numbers = {name: pl.lit(None, pl.Float64) for name in ("low", "high") if name not in frame.columns}
    return frame.with_columns(**texts, **numbers).with_columns(
        rank=pl.when(pl.col("margin").is_not_null()).then(pl.col("place").cast(pl.Int64) + 1),
        team=pl.col("township_code").replace_strict(teams, default=None, return_dtype=pl.String)
        if teams
        else pl.lit(None, pl.String),
        area=(
            pl.col("township_code").replace_strict(teams, default="", return_dtype=pl.String)
            if by_team
            else pl.col("township_code")
        ),
        check_zh=pl.coalesce("check_zh", _checks("zh")),
        check_en=pl.coalesce("check_en", _checks("en")),
    )


def _checks(language: str) -> pl.Expr:
    """What to check, from the risk kinds alone, where the scores bring no text of their own."""
    place = 0 if language == "zh" else 1
    words = {code: pair[place] for code, pair in RISK_KINDS.items()}
    joined = (
        pl.col("risk_kinds")
        .str.split(";")
        .list.eval(pl.element().replace_strict(words, default=None, return_dtype=pl.String))
        .list
    )
    text = joined.join("、" if language == "zh" else ", ")
    lead = pl.lit("核实是否存在：" if language == "zh" else "See whether there is: ")
    return pl.when(text != "").then(lead + text)


def _with_reasons(
    listed: pl.DataFrame, scores: Scored
) -> tuple[pl.DataFrame, dict[str, tuple[ListedReason, ...]]]:
    """The listed households with their reasons (a line each) and the reviewed texts of what to check, and
    household_id -> the reasons in parts; both only from scores that can explain themselves."""
    if not isinstance(scores, ExplainedScores):
        return listed, {}
    checks = scores.table.wordbook.checks
    texts, parts = [], {}
    for name in listed.filter(pl.col("margin").is_not_null())["household_id"].to_list():
        explained = scores.reasons(name)
        reasons = listed_reasons(explained)
        kinds = explained.risk_kinds
        if reasons:
            parts[name] = reasons
        texts.append(
            (
                name,
                reason_lines(reasons, "zh") or None,
                reason_lines(reasons, "en") or None,
                "\n".join(f"{RISK_KINDS[kind][0]}：{checks[kind].verify.zh}" for kind in kinds) or None,
                "\n".join(f"{RISK_KINDS[kind][1]}: {checks[kind].verify.en}" for kind in kinds) or None,
            )
        )
    names = ("reasons_zh", "reasons_en", "check_zh", "check_en")
    schema = {"household_id": pl.String} | {f"explained_{name}": pl.String for name in names}
    listed = listed.join(
        pl.DataFrame(texts, schema=schema, orient="row"), on="household_id", how="left", maintain_order="left"
    )
    listed = listed.with_columns(pl.coalesce(f"explained_{name}", name).alias(name) for name in names)
    return listed.drop(f"explained_{name}" for name in names), parts


def names_of_rules(scores: Scored) -> dict[str, tuple[str, str]]:
    """What the catalogue of the scores calls the department rules; empty where the scores come without
    one."""
    if not isinstance(scores, ExplainedScores):
        return {}
    catalogue = scores.table.wordbook.catalogue
    rules = [name for name in scores.matrix.names if name.startswith("rule_")]
    return {name: (catalogue[name].label.zh, catalogue[name].label.en) for name in rules}


def _guide(scores: Scored) -> tuple[tuple[str, ...], ...]:
    """What belongs to each risk kind: code, what to verify, measures with and without labour; each zh, en.
    Empty without reviewed texts."""
    if not isinstance(scores, ExplainedScores):
        return ()
    return tuple(
        (
            kind,
            *(
                text
                for words in (check.verify, check.with_labour, check.without_labour)
                for text in (words.zh, words.en)
            ),
        )
        for kind, check in scores.table.wordbook.checks.items()
    )


def _carried(
    everybody: pl.DataFrame,
    previous: VisitList | None,
    as_of: dt.date,
    capacity: int,
    settings: ScreeningSettings,
    now: pl.DataFrame,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Households of the last list that nobody has met since: those carried over, and those no longer.

    A last list that is older than all the cycles of carry-over together carries nothing.
    """
    schema = {
        "household_id": pl.String,
        "times_carried": pl.Int64,
        "was": pl.String,
        "stratum": pl.String,
        "inclusion_probability": pl.Float64,
    }
    longest = cycle_length(settings.cycle) * (settings.carry_over.cycles + 1)
    if previous is None or as_of - previous.as_of > longest:
        return pl.DataFrame(schema=schema), everybody.clear()
    undone = (
        previous.rows.join(now.select("household_id", seen="last_visit"), on="household_id", how="left")
        .filter(pl.col("seen").is_null() | (pl.col("seen") < previous.as_of))
        .filter(~pl.col("listed_as").is_in(["lead", "standby"]))
        .select(
            "household_id",
            times_carried=pl.col("times_carried") + 1,
            # Carried random checks keep the chance with which they were drawn, or the estimate of misses
            # would lean to who is easy to meet.
            was=pl.when(pl.col("stratum").is_not_null())
            .then(pl.lit("random_check"))
            .otherwise(pl.lit("carried")),
            stratum="stratum",
            inclusion_probability="inclusion_probability",
        )
    )
    still = everybody.filter(pl.col("fate") == "open").join(
        undone.select("household_id", "times_carried", "was"), on="household_id"
    )
    over = (pl.col("times_carried") > settings.carry_over.cycles) | (
        (pl.col("was") == "carried") & (pl.col("place") >= capacity * settings.carry_over.within)
    )
    kept = still.filter(~over).select("household_id")
    return undone.join(kept, on="household_id", how="semi"), still.filter(over)


def _choose(
    everybody: pl.DataFrame,
    carried: pl.DataFrame,
    cycle: str,
    capacity: int,
    settings: ScreeningSettings,
    notes: list[tuple[str, str]],
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Who is on the list (with listed_as, times_carried, stratum, inclusion_probability), who waits, and from
    whom was drawn."""
    checks = round(settings.random_checks.share * capacity)
    leads = everybody.filter(pl.col("fate") == "lead")
    by_rule = leads.filter(pl.col("lead_kinds") == "rule")
    people = leads.filter(pl.col("lead_kinds") != "rule")
    open_ = everybody.filter(pl.col("fate") == "open").join(carried, on="household_id", how="left")
    old_checks = open_.filter(pl.col("was") == "random_check").head(checks)
    room = max(0, capacity - checks - people.height)
    if people.height + checks > capacity:
        notes.append(
            (
                (
                    f"必须核实的线索{people.height}户、随机抽查{checks}户，合计超过走访能力{capacity}户："
                    "线索全部列入，本期没有模型排序名额。"
                ),
                (
                    f"{people.height} households with leads and {checks} random checks exceed the capacity "
                    f"of {capacity}: every lead is listed, and no visit is left for the model's order."
                ),
            )
        )
    ruled = by_rule.head(min(room, int(settings.leads.rule_share * capacity)))
    room -= ruled.height
    leads = pl.concat([people, ruled])
    rule_rest = by_rule.join(ruled, on="household_id", how="anti", maintain_order="left")
    quotas = quotas_of(everybody, capacity, settings)
    ahead = open_.filter(pl.col("was") == "carried")
    rest = pl.concat([open_.filter(pl.col("was").is_null()), rule_rest], how="diagonal").sort("place")
    first = ahead.sort("place").head(int(settings.carry_over.share * room))["household_id"].to_list()
    chosen = fill_visits(ahead, rest, leads, first, room, quotas, settings)
    picks = pl.concat([ahead, rest]).filter(pl.col("household_id").is_in(chosen))
    _note_tie(rest, set(chosen), notes)

    # Everybody who gets no visit in this cycle can be drawn, also who waits by a rule: else misses among them
    # would stay unseen.
    drawable = (
        pl.concat([ahead, rest])
        .filter(~pl.col("household_id").is_in(chosen))
        .filter(pl.col("margin").is_not_null())
    )
    drawable = drawable.sort("household_id")
    new_checks = checks - old_checks.height
    order = np.argsort(np.argsort(drawable["place"].to_numpy(), kind="stable"), kind="stable")
    draw = draw_checks(
        drawable["household_id"].to_list(),
        drawable["township_code"].to_list(),
        order,
        new_checks,
        settings.random_checks.layers,
        seed=settings.random_checks.seed,
        cycle=cycle,
    )
    drawable = drawable.with_columns(
        stratum=pl.Series(draw.stratum, dtype=pl.String),
        inclusion_probability=pl.Series(draw.probability, dtype=pl.Float64),
        drawn=pl.Series(draw.drawn, dtype=pl.Boolean),
    )
    if checks == 0:
        notes.append(
            (
                "本期没有随机抽查：漏报率和覆盖率无法估计（not_estimable）。",
                "No random checks in this cycle: misses and recall are not_estimable.",
            )
        )
    drawn = drawable.filter("drawn").drop("drawn")
    standby = drawable.filter(~pl.col("drawn") & (pl.col("fate") == "lead")).drop("drawn")
    if standby.height:
        notes.append(
            (
                f"另有{standby.height}户仅因部门规则列入候补：不占本期名额，顺路或下期核实。",
                (
                    f"{standby.height} more households are on standby by department rules alone: listed "
                    "beyond the capacity, to be seen on the way or next."
                ),
            )
        )
    sure = {"stratum": pl.lit(None, pl.String), "inclusion_probability": pl.lit(1.0)}
    listed = pl.concat(
        [
            leads.with_columns(
                listed_as=pl.lit("lead"),
                times_carried=pl.lit(0, pl.Int64),
                was=pl.lit(None, pl.String),
                **sure,
            ),
            picks.filter(pl.col("was") == "carried").with_columns(listed_as=pl.lit("carried"), **sure),
            picks.filter(pl.col("was").is_null() & (pl.col("fate") == "open")).with_columns(
                listed_as=pl.lit("model"), **sure
            ),
            picks.filter(pl.col("fate") == "lead").with_columns(listed_as=pl.lit("lead"), **sure),
            old_checks.with_columns(listed_as=pl.lit("random_check")),
            drawn.with_columns(listed_as=pl.lit("random_check")),
            standby.with_columns(listed_as=pl.lit("standby")),
        ],
        how="diagonal",
    ).with_columns(pl.col("times_carried").fill_null(0))
    waiting = ahead.join(listed, on="household_id", how="anti").drop("was", "times_carried")
    population = drawable.select("household_id", "probability", "stratum", "inclusion_probability", "drawn")
    return listed, waiting, population


def _note_tie(rest: pl.DataFrame, chosen: set[str], notes: list[tuple[str, str]]) -> None:
    """Add a note when the cut divides households with the same score."""
    inside = rest.filter(pl.col("household_id").is_in(chosen))
    if not inside.height:
        return
    last = inside["margin"].min()
    same = rest.filter(pl.col("margin") == last)
    outside = same.filter(~pl.col("household_id").is_in(chosen)).height
    if outside:
        notes.append(
            (
                f"截断处有{same.height}户原始分相同，其中{same.height - outside}户入列，由密钥散列决定先后。",
                (
                    f"The cut goes through {same.height} households with the same score: "
                    f"{same.height - outside} are listed, chosen by the keyed hash."
                ),
            )
        )


def _number(rows: pl.DataFrame, settings: ScreeningSettings) -> pl.DataFrame:
    """Put rows in order of priority and add `number`, the place in the route: township, village on the way,
    grade, hash.

    Within a village and grade the route goes by the keyed hash, not by score: the order gives nothing away
    about who was drawn.
    """
    on_the_way = {
        village: place for villages in settings.route.values() for place, village in enumerate(villages)
    }
    last = len(on_the_way)
    rows = rows.with_columns(
        urgency=pl.col("grade").replace_strict(GRADE_ORDER, return_dtype=pl.Int32),
        stop=pl.col("village_code").replace_strict(on_the_way, default=last, return_dtype=pl.Int32)
        if on_the_way
        else pl.lit(0),
        turn=pl.col("listed_as").replace_strict(
            {name: place for place, name in enumerate(LISTED_AS)}, return_dtype=pl.Int32
        ),
    )
    rows = rows.sort(
        pl.col("listed_as") == "standby", "township_code", "stop", "village_code", "urgency", "tie"
    ).with_row_index("number", offset=1)
    lead_first = pl.when(pl.col("listed_as") == "lead").then("urgency").otherwise(0)
    return rows.sort("turn", lead_first, "place")


def _monitored(everybody: pl.DataFrame) -> pl.DataFrame:
    names = [
        "household_id",
        "township_code",
        "village_code",
        "monitored_since",
        "last_visit",
        "lead_kinds",
        "leads_zh",
        "leads_en",
    ]
    apart = everybody.filter((pl.col("fate") == "monitored") & pl.col("lead_kinds").is_not_null())
    return apart.select(names).sort("township_code", "village_code", "household_id")


def _why(frame: pl.DataFrame, zh: str, en: str) -> pl.DataFrame:
    return frame.select(
        "household_id",
        "township_code",
        "village_code",
        "last_visit",
        "probability",
        zh=pl.lit(zh),
        en=pl.lit(en),
    )
