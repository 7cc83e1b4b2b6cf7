"""What pages and answers read: lists, their rows, households, areas. Each look-up takes the areas of whoever asks and sees nothing outside."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal,
    select,
)

from riskmodel.casebook import sayings
from riskmodel.casebook.areas import touches, within
from riskmodel.casebook.schema import assignments, cycles, list_rows, lists, said, scorings, visits
from riskmodel.casebook.schema import scores as scores_table
from riskmodel.casebook.store import reading
from riskmodel.vocabulary import COUNTY_DIGITS, TOWNSHIP_DIGITS

STATUSES: Final[Mapping[str, tuple[str, str]]] = {
    "open": ("待走访", "to be visited"),
    "visited": ("已走访", "visited"),
    "unreachable": ("未能见到", "nobody met"),
}


@dataclass(frozen=True)
class ListHead:
    """The list in force of a cycle of a county, with counts of what the asker sees of it."""

    list_hash: str
    county_code: str
    cycle: str
    as_of: dt.date
    capacity: int
    model_version: str
    issued_at: str
    closed: bool
    notes: tuple[tuple[str, str], ...]
    data_dates: Mapping[str, str]
    listed: int = 0
    standby: int = 0
    visited: int = 0
    unreachable: int = 0


@dataclass(frozen=True)
class Filters:
    """What a page is narrowed to; empty: not by this."""

    township: str = ""
    village: str = ""
    grade: str = ""
    risk_kind: str = ""
    status: str = ""
    listed_as: str = ""
    household_id: str = ""


@dataclass(frozen=True)
class Page:
    """One page of rows, and how many there are in all under the filters. last: where the next page goes on; None: there is none."""

    rows: list[dict[str, Any]]
    total: int
    last: int | None


def list_heads(engine: Engine, areas: Sequence[str], *, cycle: str = "", county: str = "") -> list[ListHead]:
    """The list in force of every cycle that the asker sees something of, newest first."""
    with reading(engine) as connection:
        joined = lists.join(
            cycles, and_(cycles.c.county_code == lists.c.county_code, cycles.c.cycle == lists.c.cycle)
        )
        wanted = (
            select(lists, cycles.c.closed_at).select_from(joined).where(touches(lists.c.county_code, areas))
        )
        if cycle:
            wanted = wanted.where(lists.c.cycle == cycle)
        if county:
            wanted = wanted.where(lists.c.county_code == county)
        rows = connection.execute(wanted.order_by(lists.c.issued_number)).all()
        in_force = {(row.county_code, row.cycle): row for row in rows}.values()
        heads = [_head(connection, row, areas) for row in in_force]
    return sorted(heads, key=lambda head: (head.as_of, head.issued_at), reverse=True)


def _head(connection: Connection, row: Row[Any], areas: Sequence[str]) -> ListHead:
    # The dates stand with the scores where they are kept; a list whose scores are not kept has its own.
    dates = connection.execute(
        select(scorings.c.data_dates).where(
            scorings.c.as_of == row.as_of, scorings.c.model_version == row.model_version
        )
    ).scalar()
    met = _met(row.county_code, row.cycle)
    standby = list_rows.c.listed_as == "standby"
    counts = connection.execute(
        select(
            func.coalesce(func.sum(case((standby, 0), else_=1)), 0).label("listed"),
            func.coalesce(func.sum(case((standby, 1), else_=0)), 0).label("standby"),
            func.coalesce(func.sum(case((met.c.met == 1, 1), else_=0)), 0).label("visited"),
            func.coalesce(func.sum(case((met.c.met == 0, 1), else_=0)), 0).label("unreachable"),
        )
        .select_from(list_rows.outerjoin(met, met.c.household_id == list_rows.c.household_id))
        .where(list_rows.c.list_hash == row.list_hash, within(list_rows.c.village_code, areas))
    ).one()
    return ListHead(
        row.list_hash, row.county_code, row.cycle, row.as_of, row.capacity, row.model_version, row.issued_at, bool(row.closed_at),
        tuple((zh, en) for zh, en in json.loads(row.notes)), json.loads(dates or row.data_dates or "{}"),
        int(counts.listed), int(counts.standby), int(counts.visited), int(counts.unreachable),
    )  # fmt: skip


def _newest_results() -> Select[Any]:
    """Visits in their newest version, with county and cycle."""
    later = visits.alias("later")
    newer = (
        select(literal(1))
        .where(later.c.event_id == visits.c.event_id, later.c.version > visits.c.version)
        .exists()
    )
    return (
        select(visits, lists.c.county_code, lists.c.cycle)
        .join(lists, lists.c.list_hash == visits.c.list_hash)
        .where(~newer)
    )


def _met(county: str, cycle: str) -> Subquery:
    """household_id -> met: 1 somebody was met in the cycle, 0 it was only tried."""
    found = _newest_results().where(lists.c.county_code == county, lists.c.cycle == cycle).subquery()
    met = func.max(case((found.c.outcome == "unreachable", 0), else_=1)).label("met")
    return select(found.c.household_id, met).group_by(found.c.household_id).subquery("met")


_STATUS_OF: Final = {1: "visited", 0: "unreachable", None: "open"}


def list_page(
    engine: Engine, areas: Sequence[str], head: ListHead, filters: Filters, *, after: int, limit: int
) -> Page:
    """Rows of a list in route order (standby last), as they stand in the files for visitors."""
    met = _met(head.county_code, head.cycle)
    base = list_rows.outerjoin(met, met.c.household_id == list_rows.c.household_id)
    where = [list_rows.c.list_hash == head.list_hash, within(list_rows.c.village_code, areas)]
    where += _narrowed(list_rows, filters)
    if filters.status:
        where.append(
            {"open": met.c.met.is_(None), "visited": met.c.met == 1, "unreachable": met.c.met == 0}[
                filters.status
            ]
        )
    if filters.listed_as:
        where.append(_listed_as(filters.listed_as))
    with reading(engine) as connection:
        total = connection.execute(select(func.count()).select_from(base).where(*where)).scalar_one()
        columns = (
            list_rows.c.content,
            list_rows.c.number,
            list_rows.c.listed_as,
            list_rows.c.grade,
            met.c.met,
        )
        chosen = connection.execute(
            select(*columns)
            .select_from(base)
            .where(*where, list_rows.c.number > after)
            .order_by(list_rows.c.number)
            .limit(limit + 1)
        ).all()
        rows = [json.loads(row.content) for row in chosen[:limit]]
        told = _told(connection, [row["household_id"] for row in rows], head.as_of, areas)
        teams = _teams(connection, head.list_hash, [row["household_id"] for row in rows])
    for row, found in zip(rows, chosen, strict=False):
        row |= {
            "status": _STATUS_OF[found.met],
            "list_hash": head.list_hash,
            "team": teams.get(row["household_id"]),
        }
        row["said"] = told.get(row["household_id"])
    last = int(rows[-1]["number"]) if len(chosen) > limit else None
    return Page(rows, int(total), last)


def scored_page(
    engine: Engine, areas: Sequence[str], head: ListHead, filters: Filters, *, after: int, limit: int
) -> Page:
    """Everybody who was scored on the list's day, by rank; who is on the list carries its number and hash. Empty where no scores are kept."""
    with reading(engine) as connection:
        found = _scoring_of(connection, head)
        if found is None:
            return Page([], 0, None)
        scoring = found[0]
        where = [scores_table.c.scoring == scoring, within(scores_table.c.village_code, areas)]
        where += _narrowed(scores_table, filters)
        if filters.status:
            met = _met(head.county_code, head.cycle)
            which = select(met.c.household_id)
            if filters.status != "open":
                which = which.where(met.c.met == (1 if filters.status == "visited" else 0))
            inside = scores_table.c.household_id.in_(which)
            where.append(~inside if filters.status == "open" else inside)
        if filters.listed_as:
            on_it = select(list_rows.c.household_id).where(list_rows.c.list_hash == head.list_hash)
            on_it = on_it.where(_listed_as(filters.listed_as))
            where.append(scores_table.c.household_id.in_(on_it))
        total = connection.execute(select(func.count()).select_from(scores_table).where(*where)).scalar_one()
        chosen = connection.execute(
            select(scores_table)
            .where(*where, scores_table.c.rank > after)
            .order_by(scores_table.c.rank)
            .limit(limit + 1)
        ).all()
        names = [row.household_id for row in chosen[:limit]]
        told = _said_of(connection, scoring, names)
        listed = _listed(connection, head.list_hash, names)
        teams = _teams(connection, head.list_hash, names)
        met_by = _met_by(connection, head, names)
    rows = []
    for row in chosen[:limit]:
        content = listed.get(row.household_id, {})
        plain = {
            "number": None,
            "listed_as": None,
            "grade_reasons_zh": "",
            "grade_reasons_en": "",
            "last_visit": None,
        }
        own = {
            "household_id": row.household_id, "village_code": row.village_code, "grade": row.grade or "none",
            "township_code": (row.village_code or "")[:TOWNSHIP_DIGITS] or None, "probability": row.probability, "low": row.low,
            "high": row.high, "risk_kinds": row.risk_kinds, "rank": row.rank,
        }  # fmt: skip
        rows.append(
            plain | content | own
            | {"list_hash": head.list_hash if content else None, "status": _STATUS_OF[met_by.get(row.household_id)],
               "team": teams.get(row.household_id), "said": told.get(row.household_id)}
        )  # fmt: skip
    return Page(rows, int(total), int(chosen[limit - 1].rank) if len(chosen) > limit else None)


# Every row with a lead reads as one, also where it was drawn for a random check: what drew it must not be told by what it lacks. The sign is that of
# the key in the row's JSON, which no text inside it can imitate: its quotes would be escaped.
_HAS_A_LEAD: Final = list_rows.c.content.contains('"lead_kinds": "', autoescape=True)


def _listed_as(told: str) -> ColumnElement[bool]:
    """Rows that are on the list as it is told: `lead`, `screening`, `standby`."""
    standby = list_rows.c.listed_as == "standby"
    return {"lead": _HAS_A_LEAD & ~standby, "standby": standby, "screening": ~_HAS_A_LEAD & ~standby}[told]


def _narrowed(table: Any, filters: Filters) -> list[Any]:
    where = []
    if filters.village or filters.township:
        where.append(within(table.c.village_code, [filters.village or filters.township]))
    if filters.village and filters.township:
        where.append(within(table.c.village_code, [filters.township]))
    if filters.grade:
        where.append(table.c.grade == filters.grade)
    if filters.risk_kind:
        # Codes are letters only, so that one never stands inside another's place between the semicolons.
        where.append(
            (literal(";") + table.c.risk_kinds + literal(";")).contains(
                f";{filters.risk_kind};", autoescape=True
            )
        )
    if filters.household_id:
        where.append(table.c.household_id.startswith(filters.household_id, autoescape=True))
    return where


Counts = Mapping[str, Mapping[str, int]]


def facets(engine: Engine, areas: Sequence[str], head: ListHead, *, everybody: bool) -> Counts:
    """How many rows each filter value has, over all that the asker sees: township, village, grade, risk_kind, status."""
    with reading(engine) as connection:
        if everybody:
            scoring = _scoring_of(connection, head)
            counts: Counts = (
                _counted(()) if scoring is None else _scored_counts(engine, *scoring, tuple(areas))
            )
        else:
            columns = (list_rows.c.village_code, list_rows.c.grade, list_rows.c.risk_kinds)
            wanted = select(*columns, func.count()).where(
                list_rows.c.list_hash == head.list_hash, within(list_rows.c.village_code, areas)
            )
            counts = _counted(connection.execute(wanted.group_by(*columns)))
    everything = sum(counts["village"].values())
    done = {"visited": head.visited, "unreachable": head.unreachable}
    return {**counts, "status": {"open": everything - sum(done.values())} | done}


@lru_cache(maxsize=256)
def _scored_counts(engine: Engine, scoring: int, size: int, areas: tuple[str, ...]) -> Counts:
    """Counts of a scoring of a size. What is kept never changes, so they are counted once a size."""
    columns = (scores_table.c.village_code, scores_table.c.grade, scores_table.c.risk_kinds)
    wanted = select(*columns, func.count()).where(
        scores_table.c.scoring == scoring, within(scores_table.c.village_code, areas)
    )
    with reading(engine) as connection:
        return _counted(connection.execute(wanted.group_by(*columns)))


def _counted(groups: Iterable[Any]) -> Counts:
    """Sums by township, village, grade and risk kind of (village, grade, risk kinds, amount)."""
    counts: dict[str, dict[str, int]] = {name: {} for name in ("township", "village", "grade", "risk_kind")}
    for village, grade, kinds, amount in groups:
        _add(counts["village"], village, amount)
        _add(counts["township"], village[:TOWNSHIP_DIGITS], amount)
        _add(counts["grade"], grade or "none", amount)
        for kind in (kinds or "").split(";"):
            if kind:
                _add(counts["risk_kind"], kind, amount)
    return counts


def _add(counts: dict[str, int], name: str, amount: int) -> None:
    counts[name] = counts.get(name, 0) + int(amount)


def _scoring_of(connection: Connection, head: ListHead) -> tuple[int, int] | None:
    """Number and size of the scoring that a list was made from; of several horizons the longest."""
    found = connection.execute(
        select(scorings.c.number, scorings.c.households)
        .where(scorings.c.as_of == head.as_of, scorings.c.model_version == head.model_version)
        .order_by(scorings.c.horizon_months.desc())
    ).first()
    return None if found is None else (int(found.number), int(found.households))


def _said_of(connection: Connection, scoring: int, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the scores of one scoring say about these households."""
    dictionary = connection.execute(
        select(scorings.c.dictionary).where(scorings.c.number == scoring)
    ).scalar_one()
    wanted = select(said.c.household_id, said.c.content).where(
        said.c.scoring == scoring, said.c.household_id.in_(names)
    )
    return {
        row.household_id: sayings.unpack(row.content, bytes(dictionary)) for row in connection.execute(wanted)
    }


def _told(
    connection: Connection, names: Sequence[str], as_of: dt.date, areas: Sequence[str]
) -> dict[str, dict[str, Any]]:
    found = connection.execute(
        select(scores_table.c.scoring)
        .where(
            scores_table.c.household_id.in_(names),
            scores_table.c.as_of == as_of,
            scores_table.c.scoring.is_not(None),
        )
        .where(within(scores_table.c.village_code, areas))
        .order_by(scores_table.c.horizon_months.desc())
        .limit(1)
    ).scalar()
    return {} if found is None else _said_of(connection, found, names)


def _teams(connection: Connection, list_hash: str, names: Sequence[str]) -> dict[str, str]:
    wanted = select(assignments.c.household_id, assignments.c.team).where(
        assignments.c.list_hash == list_hash, assignments.c.household_id.in_(names)
    )
    return {row.household_id: row.team for row in connection.execute(wanted)}


def _listed(connection: Connection, list_hash: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    wanted = select(list_rows.c.household_id, list_rows.c.content).where(
        list_rows.c.list_hash == list_hash, list_rows.c.household_id.in_(names)
    )
    return {row.household_id: json.loads(row.content) for row in connection.execute(wanted)}


def _met_by(connection: Connection, head: ListHead, names: Sequence[str]) -> dict[str, int]:
    met = _met(head.county_code, head.cycle)
    wanted = select(met.c.household_id, met.c.met).where(met.c.household_id.in_(names))
    return {row.household_id: int(row.met) for row in connection.execute(wanted)}


@dataclass(frozen=True)
class Household:
    """What is kept of a household: its scores (newest first), what the newest and the one before say, its visits, its place on a list."""

    scores: list[dict[str, Any]]
    said: dict[str, Any]
    said_before: dict[str, Any] | None
    scoring: dict[str, Any]
    visits: list[dict[str, Any]]
    on_list: dict[str, Any] | None
    county_code: str
    village_code: str


def household(
    engine: Engine, areas: Sequence[str], household_id: str, as_of: dt.date | None = None
) -> Household | None:
    """Everything that is kept of one household, as of a day or the newest; None: nothing that the asker may see.

    Where it was scored in other villages before, the village of the newest score (of that day) says who may see it.
    """
    with reading(engine) as connection:
        mine = select(scores_table).where(
            scores_table.c.household_id == household_id, scores_table.c.scoring.is_not(None)
        )
        if as_of is not None:
            mine = mine.where(scores_table.c.as_of <= as_of)
        # The longest horizon stands for a day: the others are the same order, a part of the time.
        order = (
            scores_table.c.as_of.desc(),
            scores_table.c.horizon_months.desc(),
            scores_table.c.scoring.desc(),
        )
        kept = [dict(row) for row in connection.execute(mine.order_by(*order)).mappings()]
        newest = connection.execute(
            mine.with_only_columns(scores_table.c.scoring)
            .where(within(scores_table.c.village_code, areas))
            .order_by(*order)
            .limit(1)
        ).scalar()
        if not kept or newest != kept[0]["scoring"] or (as_of is not None and kept[0]["as_of"] != as_of):
            return None
        days: dict[dt.date, dict[str, Any]] = {}
        for row in kept:
            days.setdefault(row["as_of"], row)
        history = list(days.values())
        scoring = dict(
            connection.execute(select(scorings).where(scorings.c.number == newest)).mappings().one()
        )
        told = _said_of(connection, newest, [household_id]).get(household_id, {})
        before = None
        if len(history) > 1:
            before = _said_of(connection, history[1]["scoring"], [household_id]).get(household_id)
        village = str(kept[0]["village_code"])
        results = connection.execute(
            _newest_results()
            .where(visits.c.household_id == household_id)
            .order_by(visits.c.visited_on.desc())
        ).mappings()
        led = set(
            connection.execute(
                select(list_rows.c.list_hash).where(list_rows.c.household_id == household_id, _HAS_A_LEAD)
            ).scalars()
        )
        found = [dict(row) | {"led": row["list_hash"] in led} for row in results]
        on_list = _on_list(connection, household_id, areas)
    return Household(history, told, before, scoring, found, on_list, village[:COUNTY_DIGITS], village)


@dataclass(frozen=True)
class StoredScores:
    """Scores of one scoring that were kept, by household id, in the shape of an answer; and what they have in common."""

    model_version: str
    data_dates: Mapping[str, str]
    scores: dict[str, dict[str, Any]]


def stored_scores(
    engine: Engine, ids: Sequence[str], *, as_of: dt.date, horizon_months: int, areas: Sequence[str]
) -> StoredScores:
    """What the newest scoring of a day and horizon says of these households; those outside the areas, or not scored then, are not in it."""
    with reading(engine) as connection:
        scoring = connection.execute(
            select(scorings)
            .where(scorings.c.as_of == as_of, scorings.c.horizon_months == horizon_months)
            .order_by(scorings.c.number.desc())
            .limit(1)
        ).first()
        if scoring is None:
            return StoredScores("", {}, {})
        wanted = select(scores_table).where(
            scores_table.c.household_id.in_(sorted(set(ids))),
            scores_table.c.scoring == scoring.number,
            within(scores_table.c.village_code, areas),
        )
        rows = connection.execute(wanted).all()
        told = _said_of(connection, scoring.number, [row.household_id for row in rows])
    found = {}
    for row in rows:
        said_then = told.get(row.household_id, {})
        reasons = [
            {name: reason[name] for name in ("zh", "en", "risk_kind", "raises")}
            for reason in said_then.get("reasons", [])
        ]
        numbers = {
            name: getattr(row, name)
            for name in ("household_id", "probability", "low", "high", "margin", "feature_hash")
        }
        found[row.household_id] = numbers | {
            "risk_kinds": [kind for kind in (row.risk_kinds or "").split(";") if kind],
            "reasons": reasons,
            "notes_zh": said_then.get("notes_zh", ""),
            "notes_en": said_then.get("notes_en", ""),
        }
    return StoredScores(scoring.model_version, json.loads(scoring.data_dates), found)


def _on_list(connection: Connection, household_id: str, areas: Sequence[str]) -> dict[str, Any] | None:
    """The newest list in force of an open cycle that the household stands on."""
    newest = lists.alias("newest")
    newer = (
        select(literal(1))
        .where(
            newest.c.county_code == lists.c.county_code, newest.c.cycle == lists.c.cycle,
            newest.c.issued_number > lists.c.issued_number,
        )
        .exists()
    )  # fmt: skip
    row = connection.execute(
        select(
            list_rows.c.number,
            list_rows.c.listed_as,
            list_rows.c.grade,
            list_rows.c.content,
            lists,
            cycles.c.closed_at,
        )
        .join(lists, lists.c.list_hash == list_rows.c.list_hash)
        .join(cycles, and_(cycles.c.county_code == lists.c.county_code, cycles.c.cycle == lists.c.cycle))
        .where(list_rows.c.household_id == household_id, within(list_rows.c.village_code, areas), ~newer)
        .order_by(lists.c.as_of.desc(), lists.c.issued_number.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    met = _met(row.county_code, row.cycle)
    state = connection.execute(select(met.c.met).where(met.c.household_id == household_id)).scalar()
    return {
        "cycle": row.cycle, "county_code": row.county_code, "list_hash": row.list_hash, "number": row.number, "as_of": row.as_of,
        "status": _STATUS_OF[state], "standby": row.listed_as == "standby", "closed": bool(row.closed_at), "grade": row.grade,
        "content": json.loads(row.content),
    }  # fmt: skip


def area_counts(engine: Engine, areas: Sequence[str], head: ListHead) -> dict[str, dict[str, int]]:
    """For each village that the asker sees: households scored, listed, visited, confirmed in the cycle, and listed by grade."""
    counts: dict[str, dict[str, int]] = {}

    def of(village: str) -> dict[str, int]:
        names = ("households", "listed", "standby", "visited", "confirmed", "red", "orange", "yellow", "none")
        return counts.setdefault(village, dict.fromkeys(names, 0))

    with reading(engine) as connection:
        scoring = _scoring_of(connection, head)
        for village, amount in (
            {} if scoring is None else _scored_counts(engine, *scoring, tuple(areas))["village"]
        ).items():
            of(village)["households"] += amount
        found = (
            _newest_results()
            .where(lists.c.county_code == head.county_code, lists.c.cycle == head.cycle)
            .subquery()
        )
        result = (
            select(
                found.c.household_id,
                func.max(case((found.c.outcome == "unreachable", 0), else_=1)).label("met"),
                func.max(case((found.c.outcome == "risk_confirmed", 1), else_=0)).label("confirmed"),
            )
            .group_by(found.c.household_id)
            .subquery()
        )
        standby = list_rows.c.listed_as == "standby"
        columns = (list_rows.c.village_code, list_rows.c.grade, standby.label("standby"))
        wanted = (
            select(
                *columns,
                func.count(),
                func.coalesce(func.sum(result.c.met), 0),
                func.coalesce(func.sum(result.c.confirmed), 0),
            )
            .select_from(list_rows.outerjoin(result, result.c.household_id == list_rows.c.household_id))
            .where(list_rows.c.list_hash == head.list_hash, within(list_rows.c.village_code, areas))
            .group_by(*columns)
        )
        for village, grade, on_standby, amount, met, confirmed in connection.execute(wanted):
            one = of(village)
            one["standby" if on_standby else "listed"] += int(amount)
            one["visited"] += int(met)
            one["confirmed"] += int(confirmed)
            if not on_standby:
                one[grade] += int(amount)
    return counts
