"""Build the API's typed answers (`shapes`) from what the casebook holds: no look-up, no arithmetic beyond
counting and dates."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from riskmodel.casebook.lookups import STATUSES, ListHead, Page, StoredHousehold
from riskmodel.casebook.not_listed import Absence
from riskmodel.casebook.roles import Who
from riskmodel.casebook.stored import parts_of
from riskmodel.errors import Fault
from riskmodel.screening import wording
from riskmodel.screening.changes import HouseholdScoring, moved_between
from riskmodel.screening.reasons import NOTHING, Reason
from riskmodel.screening.wording import LANGUAGES, Language, ReasonText
from riskmodel.serving import shapes
from riskmodel.serving.facts import ReleaseFacts
from riskmodel.serving.state import ServiceState
from riskmodel.visits.forms import OUTCOMES
from riskmodel.visits.row_parts import grade_lines
from riskmodel.vocabulary import GRADES, RISK_KINDS, SIGNAL_EN, SIGNAL_ZH, TOWNSHIP_DIGITS

HIDDEN_BELOW: Final = 5


def amount(faults: Sequence[Fault]) -> str:
    """One sentence about faults."""
    return f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in the request"


def session(state: ServiceState, who: Who) -> shapes.Session:
    """The answer about a session: role, areas, purpose, CSRF token, end, and the county's time zone."""
    return shapes.Session(
        timezone=state.settings.screening.timezone,
        role=_code(who.role),
        areas=list(who.areas),
        purpose=who.purpose,
        name=who.name,
        csrf=who.csrf,
        expires_at=who.expires_at,
    )


def coded(words: Mapping[str, tuple[str, str]]) -> list[shapes.Coded]:
    """Codes with their words as a list. words: code -> (zh, en)."""
    return [shapes.Coded(code=code, zh=zh, en=en) for code, (zh, en) in words.items()]


class FormCodes(TypedDict):
    """The choices of a visit form."""

    outcomes: list[shapes.Coded]
    risk_kind_codes: list[shapes.Coded]
    disagreements: list[shapes.Coded]


def form_codes(state: ServiceState) -> FormCodes:
    """What a visit form offers."""
    labels = state.settings.screening.disagreements
    return {
        "outcomes": coded(OUTCOMES),
        "risk_kind_codes": coded(RISK_KINDS),
        "disagreements": coded({code: (label.zh, label.en) for code, label in labels.items()}),
    }


def list_summary(state: ServiceState, head: ListHead) -> shapes.ListSummary:
    """Figures of one list: cycle, county, capacity, and how many are listed, visited, open."""
    everything = head.listed + head.standby
    return shapes.ListSummary(
        **state.carried(head.model_version, head.as_of, head.data_dates),
        cycle=head.cycle,
        county_code=head.county_code,
        issued_at=head.issued_at,
        capacity=head.capacity,
        listed=head.listed,
        standby=head.standby,
        visited=head.visited,
        contradictory=head.contradictory,
        open=everything - head.visited - head.unreachable,
        closed=head.closed,
    )


def list_page(
    state: ServiceState,
    head: ListHead,
    page: Page,
    counts: Mapping[str, Mapping[str, int]],
    *,
    everybody: bool,
) -> shapes.ListPage:
    """One page of a list, or of everybody scored: its summary, rows, counts beside the filters, and the
    cursor of the next page."""
    filters = shapes.ListFilters(
        townships=_area_counts(counts["township"]),
        villages=_area_counts(counts["village"]),
        grades=_counted(GRADES, counts["grade"]),
        risk_kinds=_counted(RISK_KINDS, counts["risk_kind"]),
        statuses=_counted(STATUSES, counts["status"]),
    )
    return shapes.ListPage(
        **state.carried(head.model_version, head.as_of, head.data_dates),
        **form_codes(state),
        cycle=head.cycle,
        county_code=head.county_code,
        closed=head.closed,
        total=page.total,
        next_cursor=None if page.last is None else str(page.last),
        filters=filters,
        notes=[shapes.Bilingual(zh=zh, en=en) for zh, en in head.notes],
        rows=[list_row(row, everybody=everybody) for row in page.rows],
    )


def _area_counts(counts: Mapping[str, int]) -> list[shapes.AreaCount]:
    return [shapes.AreaCount(code=code, count=count) for code, count in sorted(counts.items())]


def _counted(words: Mapping[str, tuple[str, str]], counts: Mapping[str, int]) -> list[shapes.CodedCount]:
    return [
        shapes.CodedCount(code=code, zh=zh, en=en, count=max(0, counts.get(code, 0)))
        for code, (zh, en) in words.items()
    ]


def list_row(row: Mapping[str, Any], *, everybody: bool) -> shapes.ListRow:
    """One row of a list page. A random check looks like any other row: `listed_as` is `lead` where it has
    leads, else `screening`. everybody: the page is of everybody scored, and shows ranks."""
    grade = row["grade"]
    first_zh, first_en = _first_reason(row)
    listed_as = row["listed_as"] and ("lead" if row.get("lead_kinds") else "screening")
    return shapes.ListRow(
        number=row["number"],
        household_id=row["household_id"],
        list_hash=row["list_hash"],
        on_list=row["number"] is not None,
        township_code=row["township_code"],
        village_code=row["village_code"],
        grade=grade,
        grade_zh=GRADES[grade][0],
        grade_en=GRADES[grade][1],
        why_zh=row["grade_reasons_zh"],
        why_en=row["grade_reasons_en"],
        probability=row["probability"],
        low=row["low"],
        high=row["high"],
        rank=row["rank"] if everybody else None,
        first_reason_zh=first_zh,
        first_reason_en=first_en,
        risk_kinds=_kinds(row["risk_kinds"]),
        listed_as=_code(listed_as),
        last_visit=_day(row["last_visit"]),
        team=row["team"],
        visit_zh=row["visit_zh"],
        visit_en=row["visit_en"],
        contradicted=row["contradicted"],
        status=row["status"],
        standby=row["listed_as"] == "standby",
    )


def _first_reason(row: Mapping[str, Any]) -> tuple[str, str]:
    """The first raising reason of a row, in zh and en, without the date of its data.

    From the texts that are stored with its score, else from the row of the list; that nothing raises it,
    where they have reasons and none raises. Where neither has reasons in parts, the whole text of the row.
    """
    reasons = (row.get("texts") or {}).get("reasons") or []
    if reasons and reasons[0]["raises"]:
        parts = [reasons[0].get(f"{language}_parts") or [reasons[0][language]] for language in LANGUAGES]
        zh, en = (
            ReasonText(*part).undated(language) for part, language in zip(parts, LANGUAGES, strict=True)
        )
        return zh, en
    listed_parts = parts_of(row)
    listed = None if listed_parts is None else listed_parts.reasons
    if listed and listed[0].raises:
        return listed[0].zh.undated("zh"), listed[0].en.undated("en")
    whole = row.get("reasons_zh") or "", row.get("reasons_en") or ""
    if any(whole) and (row.get("texts") is not None or listed is not None):
        return NOTHING["zh"], NOTHING["en"][:1].upper() + NOTHING["en"][1:]
    return whole


def _kinds(text: str | None) -> list[shapes.RiskKind]:
    return [_code(kind) for kind in (text or "").split(";") if kind]


def _code(code: str | None) -> Any:
    """A code as it is stored. The shape that takes it checks that it is one of its codes."""
    return code


def _day(value: Any) -> dt.date | None:
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


def household(state: ServiceState, found: StoredHousehold, *, notes: bool) -> shapes.HouseholdAnswer:
    """A stored household. notes: with what the visitors noted, for who may read it."""
    newest, texts = found.scores[0], found.texts
    as_of: dt.date = newest["as_of"]
    dates = json.loads(found.scoring["data_dates"])
    rules = json.loads(found.scoring["rules"])
    grade = newest["grade"] or "none"
    if found.on_list is not None and found.on_list["as_of"] == as_of:
        grade = found.on_list["grade"]
    return shapes.HouseholdAnswer(
        **state.carried(newest["model_version"], as_of, dates),
        household_id=newest["household_id"],
        county_code=found.county_code,
        township_code=found.village_code[:TOWNSHIP_DIGITS],
        village_code=found.village_code,
        horizon_months=newest["horizon_months"],
        probability=newest["probability"],
        low=newest["low"],
        high=newest["high"],
        rank=newest["rank"],
        of=found.scoring["households"],
        grade=shapes.Coded(code=grade, zh=GRADES[grade][0], en=GRADES[grade][1]),
        risk_kinds=_kinds(newest["risk_kinds"]),
        reasons=[_reason(reason) for reason in texts.get("reasons", [])],
        notes_zh=texts.get("notes_zh", ""),
        notes_en=texts.get("notes_en", ""),
        checks_zh=texts.get("checks_zh", ""),
        checks_en=texts.get("checks_en", ""),
        rules=[
            shapes.MetRule(name=name, **rules.get(name, {"zh": name, "en": name}))
            for name in texts.get("rules", [])
        ],
        changes=changes(found),
        freshness=freshness(as_of, dates, json.loads(found.scoring["sources"]), texts.get("ages", {})),
        history=[_past_score(row) for row in found.scores],
        visits=[_visit(row, notes=notes) for row in found.visits],
        last_visit=_last_visit(found),
        on_list=None if found.on_list is None else _on_list(state, found.on_list),
        not_listed=not_listed(
            found.absence,
            newest["rank"] if found.absence is not None and found.absence.as_of == as_of else None,
        ),
    )


def _past_score(row: Mapping[str, Any]) -> shapes.PastScore:
    return shapes.PastScore(
        as_of=row["as_of"],
        probability=row["probability"],
        low=row["low"],
        high=row["high"],
        rank=row["rank"],
        model_version=row["model_version"],
    )


def not_listed(absence: Absence | None, rank: int | None) -> shapes.WhyNotListed | None:
    """Why a household is not on the newest list of its county. rank: its place in the model's order, None
    if not scored."""
    if absence is None:
        return None
    zh, en = absence.why.words(rank=rank, capacity=absence.capacity)
    return shapes.WhyNotListed(
        cycle=absence.cycle,
        as_of=absence.as_of,
        code=_code(absence.why.code),
        since=absence.why.since,
        until=absence.why.until,
        zh=zh,
        en=en,
    )


def unscored(
    state: ServiceState,
    household_id: str,
    absence: Absence,
    visits: Sequence[Mapping[str, Any]],
    *,
    notes: bool,
) -> shapes.HouseholdAnswer:
    """A household without a score: why it is not on the list, and its visits. notes: with what the visitors
    noted, for who may read it."""
    days = [row["visited_on"] for row in visits if row["outcome"] != "unreachable"]
    days += [absence.last_visit] if absence.last_visit else []
    return shapes.HouseholdAnswer(
        **state.carried(absence.model_version, absence.as_of, absence.data_dates),
        household_id=household_id,
        county_code=absence.county_code,
        township_code=absence.village_code[:TOWNSHIP_DIGITS],
        village_code=absence.village_code,
        horizon_months=None,
        probability=None,
        low=None,
        high=None,
        rank=None,
        of=None,
        grade=None,
        risk_kinds=[],
        reasons=[],
        notes_zh="",
        notes_en="",
        checks_zh="",
        checks_en="",
        rules=[],
        changes=None,
        freshness=[],
        history=[],
        visits=[_visit(row, notes=notes) for row in visits],
        last_visit=max(days, default=None),
        on_list=None,
        not_listed=not_listed(absence, None),
    )


def _last_visit(found: StoredHousehold) -> dt.date | None:
    """The newest visit known: recorded here, or brought along by the list from the county's own records."""
    days = [row["visited_on"] for row in found.visits if row["outcome"] != "unreachable"]
    if (
        found.on_list is not None
        and (brought := _day(found.on_list["content"].get("last_visit"))) is not None
    ):
        days.append(brought)
    if found.absence is not None and found.absence.last_visit is not None:
        days.append(found.absence.last_visit)
    return max(days, default=None)


def _reason(reason: Mapping[str, Any]) -> shapes.HouseholdReason:
    zh, en = RISK_KINDS[reason["risk_kind"]]
    return shapes.HouseholdReason(
        zh=reason["zh"],
        en=reason["en"],
        risk_kind=reason["risk_kind"],
        risk_kind_zh=zh,
        risk_kind_en=en,
        raises=reason["raises"],
        effect=reason["effect"],
    )


def _visit(row: Mapping[str, Any], *, notes: bool) -> shapes.PastVisit:
    outcome_zh, outcome_en = OUTCOMES[row["outcome"]]
    zh, en = row["words"]
    return shapes.PastVisit(
        visited_on=row["visited_on"],
        origin="lead" if row["led"] else "screening",
        outcome=row["outcome"],
        outcome_zh=outcome_zh,
        outcome_en=outcome_en,
        risk_kinds=_kinds(row["risk_kinds"]),
        cycle=row["cycle"],
        list_hash=row["list_hash"],
        team=row["visitor"],
        recorded_on=row["known_on"],
        zh=zh,
        en=en,
        contradicted=row["contradicted"],
        disagreement=row["disagreement"] or None,
        note=row["note"] if notes else None,
    )


def _on_list(state: ServiceState, row: Mapping[str, Any]) -> shapes.OnList:
    content = row["content"]
    return shapes.OnList(
        **form_codes(state),
        cycle=row["cycle"],
        county_code=row["county_code"],
        list_hash=row["list_hash"],
        number=row["number"],
        as_of=row["as_of"],
        status=row["status"],
        standby=row["standby"],
        closed=row["closed"],
        visit_zh=row["visit_zh"],
        visit_en=row["visit_en"],
        contradicted=row["contradicted"],
        why_zh=_why(content, "zh"),
        why_en=_why(content, "en"),
    )


def _why(content: Mapping[str, Any], language: Language) -> str:
    """Why it has its grade: leads in full, then the reasons of the grade that are not leads."""
    leads, whole = content.get(f"leads_{language}"), content.get(f"grade_reasons_{language}")
    return wording.join(grade_lines(leads, parts_of(content), whole, language), language)


def freshness(
    as_of: dt.date,
    dates: Mapping[str, str],
    sources: Mapping[str, Mapping[str, Any]],
    ages: Mapping[str, int],
) -> list[shapes.Freshness]:
    """How new each department's data are: about the household where that is known, else of the county.
    newest null: nothing came."""
    rows = []
    for table, source in sources.items():
        if table not in dates and not source.get("say_absent"):
            continue
        county = dt.date.fromisoformat(dates[table]) if table in dates else None
        own = table in ages and source.get("each_household", False)
        newest = as_of - dt.timedelta(days=ages[table]) if own else county
        age = None if newest is None else max(0, (as_of - newest).days)
        stale = age is None or age > source["stale_after_days"]
        rows.append(
            shapes.Freshness(
                table=table,
                zh=source["zh"],
                en=source["en"],
                newest=newest,
                age_days=age,
                stale=stale,
            )
        )
    return rows


def changes(found: StoredHousehold) -> shapes.Changes | None:
    """What moved it since the scoring before, from what was stored of both. None: there was no scoring
    before, or one of the two has no reasons in parts."""
    if len(found.scores) < 2 or found.texts_before is None:
        return None
    now, before = found.scores[0], found.scores[1]
    if (now["model_version"], now["horizon_months"]) != (before["model_version"], before["horizon_months"]):
        return shapes.Changes(
            since=before["as_of"],
            moved="unknown",
            zh="两次评分的模型或预测期不同，不可直接比较",
            en="scored by another model or horizon before: the two cannot be compared",
            way_zh="",
            way_en="",
            parts=[],
        )
    scorings = [_scoring(row, texts) for row, texts in ((before, found.texts_before), (now, found.texts))]
    if None in scorings:
        return None
    move = moved_between(*scorings)
    way_zh, way_en = move.way
    return shapes.Changes(
        since=before["as_of"],
        moved=_code(move.moved),
        zh=move.text("zh"),
        en=move.text("en"),
        way_zh=way_zh,
        way_en=way_en,
        parts=[shapes.Bilingual(zh=zh, en=en) for zh, en in move.parts],
    )


def _scoring(row: Mapping[str, Any], texts: Mapping[str, Any]) -> HouseholdScoring | None:
    """What was kept of one scoring, as `screening.changes` compares it; None where the score came without
    its reasons table."""
    reasons = [
        {name: value for name, value in reason.items() if name != "effect"}
        for reason in texts.get("reasons", [])
    ]
    if any("weight" not in reason for reason in reasons):
        return None
    return HouseholdScoring(
        household_id=row["household_id"],
        as_of=row["as_of"],
        horizon_months=row["horizon_months"],
        model_version=row["model_version"],
        margin=row["margin"],
        probability=row["probability"],
        rank=row["rank"],
        reasons=tuple(Reason.from_dict(reason) for reason in reasons),
    )


def areas(state: ServiceState, head: ListHead, counts: Mapping[str, Mapping[str, int]]) -> shapes.Areas:
    """Townships with their villages; numbers from 1 to 4 of households and of confirmed risks are not
    shown, nor what would give them away."""
    townships: dict[str, dict[str, Mapping[str, int]]] = {}
    for village, numbers in sorted(counts.items()):
        townships.setdefault(village[:TOWNSHIP_DIGITS], {})[village] = numbers
    shown = []
    for township, villages in townships.items():
        cells = [_cell(village, numbers) for village, numbers in villages.items()]
        whole = _cell(
            township,
            {
                name: sum(numbers[name] for numbers in villages.values())
                for name in next(iter(villages.values()))
            },
        )
        for name in ("households", "confirmed"):
            _hide(cells, whole, name)
        shown.append(
            shapes.TownshipCounts(**whole, villages=[shapes.VillageCounts(**cell) for cell in cells])
        )
    return shapes.Areas(
        **state.carried(head.model_version, head.as_of, head.data_dates),
        cycle=head.cycle,
        county_code=head.county_code,
        hidden_below=HIDDEN_BELOW,
        townships=shown,
    )


def _cell(code: str, numbers: Mapping[str, int]) -> dict[str, Any]:
    shown = ("households", "listed", "visited", "confirmed", "red", "orange", "yellow")
    return {"code": code, "hidden": False} | {name: numbers[name] for name in shown}


def _hide(cells: list[dict[str, Any]], whole: dict[str, Any], name: str) -> None:
    """Take small numbers out. Where one village alone would be hidden, its township's sum would give it away:
    then another goes with it.
    """
    small = [cell for cell in cells if 0 < cell[name] < HIDDEN_BELOW]
    # At least two cells are hidden that together are no small number: the township's sum less what is shown
    # would give that away.
    others = sorted(
        (cell for cell in cells if cell[name] >= HIDDEN_BELOW),
        key=lambda cell: (cell[name], cell["code"]),
    )
    while small and (len(small) == 1 or sum(cell[name] for cell in small) < HIDDEN_BELOW):
        if not others:
            small.append(whole)
            break
        small.append(others.pop(0))
    if 0 < whole[name] < HIDDEN_BELOW and whole not in small:
        small.append(whole)
    for cell in small:
        cell[name], cell["hidden"] = None, True


# name of a figure -> its label and its sentence in zh and en; {value}, {low}, {high} as written by `_figure`.
FIGURES: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "recall_at_3%": (
        "前3%覆盖率",
        "recall at 3 %",
        "走访排在前3%的农户，大约能找到全部后来确认风险农户的{value}（95%区间{low}至{high}）",
        (
            "visiting the first 3 % of households would have found about {value} of all that were confirmed "
            "later (95 % interval {low} to {high})"
        ),
    ),
    "precision_at_3%": (
        "前3%命中率",
        "precision at 3 %",
        "排在前3%的农户中，约{value}后来确认有风险（95%区间{low}至{high}）；其余的走访没有发现风险",
        (
            "of the first 3 % about {value} were confirmed later (95 % interval {low} to {high}); the other "
            "visits found no risk"
        ),
    ),
    "observed_expected": (
        "实际与预期之比",
        "observed over expected",
        "实际确认数是模型预期的{value}倍（95%区间{low}至{high}）；1表示概率如实",
        (
            "{value} times as many were confirmed as the model expected (95 % interval {low} to {high}); 1 "
            "means honest probabilities"
        ),
    ),
    "auc": (
        "排序能力（AUC）",
        "order (AUC)",
        (
            "任取一户后来确认风险的和一户没有的，前者排得更靠前的可能是{value}（95%区间{low}至{high}）；"
            "0.5等于抛硬币"
        ),
        (
            "of one household confirmed later and one that was not, the first stands ahead in {value} of "
            "pairs (95 % interval {low} to {high}); 0.5 is tossing a coin"
        ),
    ),
}
LIMITS: Final = (
    (
        "只安排核实的先后，不认定任何人；最终以入户核实为准。",
        "It puts visits in order and says nothing about what anybody is: only a person's visit does.",
    ),
    (
        "分数低不代表没有风险：申报、干部上报、保障缺失和部门规则的线索一律在清单上。",
        (
            "A low score closes nothing: declared, reported, guarantee and rule leads are on the list "
            "whatever the score."
        ),
    ),
    (
        "只用于训练时的县和口径；政策、数据来源变化后应重新评估。",
        (
            "It is made for the county and the records it learned from; it must be looked at again when "
            "policy or sources change."
        ),
    ),
    (
        "数据里没有的情况（亲属汇款、未登记的债务、家庭财产），模型看不到。",
        "It cannot see what no record holds: gifts from relatives, unrecorded debt, household assets.",
    ),
)


def model(facts: ReleaseFacts, settings_hash: str) -> shapes.ModelCard:
    """The model record in plain words: what it is, how good, for whom it is worse, what it is not."""
    record = facts.record
    measured = record.get("metrics", {})
    metrics = []
    for name, (zh, en, text_zh, text_en) in FIGURES.items():
        if name not in measured:
            continue
        value, low, high = measured[name], measured.get(f"{name}_low"), measured.get(f"{name}_high")
        words = {
            key: _figure(name, number) for key, number in (("value", value), ("low", low), ("high", high))
        }
        metrics.append(
            shapes.Metric(
                name=name,
                zh=zh,
                en=en,
                value=value,
                low=low,
                high=high,
                text_zh=text_zh.format(**words),
                text_en=text_en.format(**words),
            )
        )
    title = record.get("title", {})
    return shapes.ModelCard(
        model_version=facts.model_version,
        as_of=facts.as_of,
        data_dates=dict(facts.data_dates),
        valid_until=facts.valid_until,
        signal_not_determination=True,
        signal_zh=SIGNAL_ZH,
        signal_en=SIGNAL_EN,
        learner=record.get("learner", ""),
        title=shapes.Bilingual(zh=title.get("zh", ""), en=title.get("en", "")),
        trained_until=str(record.get("facts", {}).get("until", "")),
        horizon_months=_horizons(record),
        metrics=metrics,
        groups=[_group(row) for row in record.get("groups", [])],
        waivers=[_waiver(row) for row in record.get("waivers", [])],
        limits_zh=[zh for zh, _ in LIMITS],
        limits_en=[en for _, en in LIMITS],
        statement=record.get("statement", ""),
        settings_hash=settings_hash,
        not_taken=None if facts.not_taken is None else shapes.NotTaken(**facts.not_taken),
    )


def _figure(name: str, number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:.2f}" if name in ("auc", "observed_expected") else f"{number:.1%}"


def _horizons(record: Mapping[str, Any]) -> list[int]:
    given = record.get("horizon_months", [])
    return [int(given)] if isinstance(given, int) else [int(months) for months in given]


def _group(row: Mapping[str, Any]) -> shapes.GroupFinding:
    name = str(row.get("group", ""))
    return shapes.GroupFinding(
        group=name,
        zh=str(row.get("zh") or name),
        en=str(row.get("en") or name),
        recall=row.get("recall"),
        low=row.get("low"),
        high=row.get("high"),
        verdict=str(row.get("verdict", "")),
    )


def _waiver(row: Mapping[str, Any]) -> shapes.Waiver:
    return shapes.Waiver(
        check=str(row.get("check", "")), by=str(row.get("by", "")), reason=str(row.get("reason", ""))
    )
