"""What pages and answers read: lists, their rows, households, areas. Each look-up takes the areas of whoever
asks and sees nothing outside.
"""

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
    Subquery,
    and_,
    case,
    func,
    literal,
    select,
)

from riskmodel.casebook import schema, score_texts
from riskmodel.casebook.areas import holds, touches, within
from riskmodel.casebook.newest import newest_row
from riskmodel.casebook.not_listed import Absence, absence_of
from riskmodel.casebook.results import Window, conflicts_of_cycle, contradict, in_force, visit_in_words
from riskmodel.casebook.schema import assignments, cycles, list_rows, lists, scorings, stored_texts, visits
from riskmodel.casebook.store import reading
from riskmodel.settings import ScreeningSettings
from riskmodel.vocabulary import COUNTY_DIGITS, TOWNSHIP_DIGITS

STATUSES: Final[Mapping[str, tuple[str, str]]] = {
    "open": ("待走访", "to be visited"),
    "visited": ("已走访", "visited"),
    "unreachable": ("未能见到", "nobody met"),
}


@dataclass(frozen=True)
class ListHead:
    """The list in force of a cycle of a county, with counts of what the asker sees of it.

    notes: only for who sees the whole county: they count its households. window: which results count on the
    list. contradictory: households whose teams found different things.
    """

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
    window: Window
    listed: int = 0
    standby: int = 0
    visited: int = 0
    unreachable: int = 0
    contradictory: int = 0


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
    """One page of rows, and how many there are in all under the filters. last: where the next page goes on;
    None: there is none.
    """

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
    # The dates are stored with the scores; a list whose scores are not kept has its own.
    dates = connection.execute(
        select(scorings.c.data_dates).where(
            scorings.c.as_of == row.as_of, scorings.c.model_version == row.model_version
        )
    ).scalar()
    settings = ScreeningSettings.model_validate_json(row.settings)
    window = Window.of(row.county_code, row.cycle, row.as_of, settings)
    met = _met(window, areas)
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
    notes = json.loads(row.notes) if holds(areas, row.county_code) else []
    return ListHead(
        list_hash=row.list_hash,
        county_code=row.county_code,
        cycle=row.cycle,
        as_of=row.as_of,
        capacity=row.capacity,
        model_version=row.model_version,
        issued_at=row.issued_at,
        closed=bool(row.closed_at),
        notes=tuple((zh, en) for zh, en in notes),
        data_dates=json.loads(dates or row.data_dates or "{}"),
        window=window,
        listed=int(counts.listed),
        standby=int(counts.standby),
        visited=int(counts.visited),
        unreachable=int(counts.unreachable),
        contradictory=len(conflicts_of_cycle(connection, row.county_code, row.cycle, areas)),
    )


def _met(window: Window, areas: Sequence[str]) -> Subquery:
    """household_id -> met: 1 somebody was met by a visit that counts on the list, 0 it was only tried."""
    found = window.results(areas).subquery()
    met = func.max(case((found.c.outcome == "unreachable", 0), else_=1)).label("met")
    return select(found.c.household_id, met).group_by(found.c.household_id).subquery("met")


@dataclass(frozen=True)
class VisitsFound:
    """The visits to a household that count on a list: the newest that met somebody (or else the newest), and
    whether teams contradict each other.
    """

    visited_on: dt.date
    words: tuple[str, str]
    met: bool
    outcome: str
    contradicted: bool


def visits_found(
    connection: Connection, window: Window, areas: Sequence[str], names: Sequence[str] | None = None
) -> dict[str, VisitsFound]:
    """household_id -> what its visits found, of the named households or of all."""
    wanted = window.results(areas)
    if names is not None:
        wanted = wanted.where(visits.c.household_id.in_(names))
    by_household: dict[str, list[Any]] = {}
    for row in connection.execute(wanted.order_by(visits.c.visited_on, visits.c.number)):
        by_household.setdefault(row.household_id, []).append(row)
    found = {}
    for name, rows in by_household.items():
        newest = next((row for row in reversed(rows) if row.outcome != "unreachable"), rows[-1])
        cycles_ = {row.cycle for row in rows}
        found[name] = VisitsFound(
            visited_on=newest.visited_on,
            words=visit_in_words(newest.visited_on, newest.visitor, newest.outcome),
            met=newest.outcome != "unreachable",
            outcome=newest.outcome,
            contradicted=any(contradict(row for row in rows if row.cycle == cycle) for cycle in cycles_),
        )
    return found


_STATUS_OF: Final = {1: "visited", 0: "unreachable", None: "open"}


def list_page(
    engine: Engine, areas: Sequence[str], head: ListHead, filters: Filters, *, after: int, limit: int
) -> Page:
    """Rows of a list in route order (standby last), as in the files for visitors."""
    met = _met(head.window, areas)
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
        texts = _texts_of_day(connection, [row["household_id"] for row in rows], head.as_of, areas)
        teams = _teams(connection, head.list_hash, [row["household_id"] for row in rows])
        visited = visits_found(connection, head.window, areas, [row["household_id"] for row in rows])
    for row, found in zip(rows, chosen, strict=False):
        row |= _visited(visited.get(row["household_id"]), row) | {
            "status": _STATUS_OF[found.met],
            "list_hash": head.list_hash,
            "team": teams.get(row["household_id"]),
        }
        row["texts"] = texts.get(row["household_id"])
    last = int(rows[-1]["number"]) if len(chosen) > limit else None
    return Page(rows, int(total), last)


def scored_page(
    engine: Engine, areas: Sequence[str], head: ListHead, filters: Filters, *, after: int, limit: int
) -> Page:
    """Everybody who was scored on the list's day, by rank; who is on the list carries its number and hash.
    Empty where no scores are kept.
    """
    with reading(engine) as connection:
        found = _scoring_of(connection, head)
        if found is None:
            return Page([], 0, None)
        scoring = found[0]
        where = [schema.scores.c.scoring == scoring, within(schema.scores.c.village_code, areas)]
        where += _narrowed(schema.scores, filters)
        if filters.status:
            met = _met(head.window, areas)
            which = select(met.c.household_id)
            if filters.status != "open":
                which = which.where(met.c.met == (1 if filters.status == "visited" else 0))
            inside = schema.scores.c.household_id.in_(which)
            where.append(~inside if filters.status == "open" else inside)
        if filters.listed_as:
            on_it = select(list_rows.c.household_id).where(list_rows.c.list_hash == head.list_hash)
            on_it = on_it.where(_listed_as(filters.listed_as))
            where.append(schema.scores.c.household_id.in_(on_it))
        total = connection.execute(select(func.count()).select_from(schema.scores).where(*where)).scalar_one()
        chosen = connection.execute(
            select(schema.scores)
            .where(*where, schema.scores.c.rank > after)
            .order_by(schema.scores.c.rank)
            .limit(limit + 1)
        ).all()
        names = [row.household_id for row in chosen[:limit]]
        texts = _texts_of_scoring(connection, scoring, names)
        listed = _listed(connection, head.list_hash, names, areas)
        teams = _teams(connection, head.list_hash, list(listed))
        visited = visits_found(connection, head.window, areas, names)
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
            "household_id": row.household_id,
            "village_code": row.village_code,
            "grade": content.get("grade") or row.grade or "none",
            "township_code": (row.village_code or "")[:TOWNSHIP_DIGITS] or None,
            "probability": row.probability,
            "low": row.low,
            "high": row.high,
            "risk_kinds": row.risk_kinds,
            "rank": row.rank,
        }
        mine = visited.get(row.household_id)
        shown = plain | content | own
        rows.append(
            shown
            | _visited(mine, shown)
            | {
                "list_hash": head.list_hash if content else None,
                "status": _STATUS_OF[None if mine is None else int(mine.met)],
                "team": teams.get(row.household_id),
                "texts": texts.get(row.household_id),
            }
        )
    return Page(rows, int(total), int(chosen[limit - 1].rank) if len(chosen) > limit else None)


def _visited(mine: VisitsFound | None, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row shows of its visits: the newest in words, the day of the last one that met somebody, and
    whether teams contradict each other.
    """
    last = row["last_visit"]
    if isinstance(last, str):
        last = dt.date.fromisoformat(last)
    if mine is None:
        return {"visit_zh": "", "visit_en": "", "contradicted": False, "last_visit": last}
    if mine.met and (last is None or mine.visited_on > last):
        last = mine.visited_on
    zh, en = mine.words
    return {"visit_zh": zh, "visit_en": en, "contradicted": mine.contradicted, "last_visit": last}


# Every row with a lead is shown as one, also where it was drawn for a random check: a missing lead must not
# reveal the draw. The test is for the key in the row's JSON, which no text inside it can imitate: its quotes
# would be escaped.
_HAS_A_LEAD: Final = list_rows.c.content.contains('"lead_kinds": "', autoescape=True)


def _listed_as(shown_as: str) -> ColumnElement[bool]:
    """Rows that are shown as `lead`, `screening` or `standby`."""
    standby = list_rows.c.listed_as == "standby"
    return {"lead": _HAS_A_LEAD & ~standby, "standby": standby, "screening": ~_HAS_A_LEAD & ~standby}[
        shown_as
    ]


def _narrowed(table: Any, filters: Filters) -> list[Any]:
    where = []
    if filters.village or filters.township:
        where.append(within(table.c.village_code, [filters.village or filters.township]))
    if filters.village and filters.township:
        where.append(within(table.c.village_code, [filters.township]))
    if filters.grade:
        where.append(table.c.grade == filters.grade)
    if filters.risk_kind:
        # Codes are letters only, so that none is part of another between the semicolons.
        where.append(
            (literal(";") + table.c.risk_kinds + literal(";")).contains(
                f";{filters.risk_kind};", autoescape=True
            )
        )
    if filters.household_id:
        where.append(table.c.household_id.startswith(filters.household_id, autoescape=True))
    return where


Counts = Mapping[str, Mapping[str, int]]


def facets(
    engine: Engine, areas: Sequence[str], head: ListHead, filters: Filters | None = None, *, everybody: bool
) -> Counts:
    """How many rows each filter value would give beside the other filters in force: township, village, grade,
    risk_kind, status.
    """
    filters = filters or Filters()
    with reading(engine) as connection:
        if everybody:
            scoring = _scoring_of(connection, head)
            if scoring is None:
                return _counted((), filters)
            groups = _groups_of_everybody(connection, areas, head, filters, scoring)
        else:
            met = _met(head.window, areas)
            columns = (list_rows.c.village_code, list_rows.c.grade, list_rows.c.risk_kinds, met.c.met)
            where = [list_rows.c.list_hash == head.list_hash, within(list_rows.c.village_code, areas)]
            where += _narrowed(list_rows, Filters(household_id=filters.household_id))
            if filters.listed_as:
                where.append(_listed_as(filters.listed_as))
            base = list_rows.outerjoin(met, met.c.household_id == list_rows.c.household_id)
            wanted = select(*columns, func.count()).select_from(base).where(*where).group_by(*columns)
            groups = list(connection.execute(wanted))
    return _counted(groups, filters)


def _groups_of_everybody(
    connection: Connection, areas: Sequence[str], head: ListHead, filters: Filters, scoring: tuple[int, int]
) -> list[Any]:
    """(village, grade, risk kinds, met, amount) of everybody scored, narrowed by kind of listing and id."""
    met = _met(head.window, areas)
    columns = (schema.scores.c.village_code, schema.scores.c.grade, schema.scores.c.risk_kinds)
    where = [schema.scores.c.scoring == scoring[0], within(schema.scores.c.village_code, areas)]
    where += _narrowed(schema.scores, Filters(household_id=filters.household_id))
    if filters.listed_as:
        on_it = select(list_rows.c.household_id).where(list_rows.c.list_hash == head.list_hash)
        where.append(schema.scores.c.household_id.in_(on_it.where(_listed_as(filters.listed_as))))
    if filters.listed_as or filters.household_id:
        plain = select(*columns, func.count()).where(*where).group_by(*columns)
        everybody = [(*row[:3], None, row[3]) for row in connection.execute(plain)]
    else:
        everybody = list(_scored_groups(connection.engine, *scoring, tuple(areas)))
    # The few who were visited are taken out of the others: joining them to everybody would cost as much as
    # all the rest.
    base = schema.scores.join(met, met.c.household_id == schema.scores.c.household_id)
    visited = select(*columns, met.c.met, func.count()).select_from(base).where(*where)
    for village, grade, kinds, seen_, amount in connection.execute(visited.group_by(*columns, met.c.met)):
        everybody += [(village, grade, kinds, seen_, amount), (village, grade, kinds, None, -amount)]
    return everybody


@lru_cache(maxsize=256)
def _scored_groups(
    engine: Engine, scoring: int, size: int, areas: tuple[str, ...]
) -> tuple[tuple[str, str | None, str | None, None, int], ...]:
    """(village, grade, risk kinds, None, amount) of a scoring of a size. What is kept never changes, so it is
    read once a size.
    """
    columns = (schema.scores.c.village_code, schema.scores.c.grade, schema.scores.c.risk_kinds)
    wanted = select(*columns, func.count()).where(
        schema.scores.c.scoring == scoring, within(schema.scores.c.village_code, areas)
    )
    with reading(engine) as connection:
        found = connection.execute(wanted.group_by(*columns)).all()
    return tuple((village, grade, kinds, None, int(amount)) for village, grade, kinds, amount in found)


def _counted(groups: Iterable[Any], filters: Filters) -> Counts:
    """Sums of (village, grade, risk kinds, met, amount) by each filter, under all the other filters."""
    counts: dict[str, dict[str, int]] = {
        name: {} for name in ("township", "village", "grade", "risk_kind", "status")
    }
    for village, grade, kinds, met, amount in groups:
        grade, status = grade or "none", _STATUS_OF[met]
        topics = [kind for kind in (kinds or "").split(";") if kind]
        fails = set()
        if filters.township and not village.startswith(filters.township):
            fails.add("township")
        if filters.village and village != filters.village:
            fails.add("village")
        if filters.grade and grade != filters.grade:
            fails.add("grade")
        if filters.risk_kind and filters.risk_kind not in topics:
            fails.add("risk_kind")
        if filters.status and status != filters.status:
            fails.add("status")
        values = {"township": village[:TOWNSHIP_DIGITS], "village": village, "grade": grade, "status": status}
        for name, value in values.items():
            # Another township is chosen without the village of the one before.
            if fails <= ({"township", "village"} if name == "township" else {name}):
                _add(counts[name], value, amount)
        if fails <= {"risk_kind"}:
            for kind in topics:
                _add(counts["risk_kind"], kind, amount)
    return {
        name: {value: amount for value, amount in some.items() if amount > 0} for name, some in counts.items()
    }


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


def _texts_of_scoring(
    connection: Connection, scoring: int, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """household_id -> the texts stored with its score of one scoring."""
    dictionary = connection.execute(
        select(scorings.c.dictionary).where(scorings.c.number == scoring)
    ).scalar_one()
    wanted = select(stored_texts.c.household_id, stored_texts.c.content).where(
        stored_texts.c.scoring == scoring, stored_texts.c.household_id.in_(names)
    )
    return {
        row.household_id: score_texts.unpack(row.content, bytes(dictionary))
        for row in connection.execute(wanted)
    }


def _texts_of_day(
    connection: Connection, names: Sequence[str], as_of: dt.date, areas: Sequence[str]
) -> dict[str, dict[str, Any]]:
    found = connection.execute(
        select(schema.scores.c.scoring)
        .where(
            schema.scores.c.household_id.in_(names),
            schema.scores.c.as_of == as_of,
            schema.scores.c.scoring.is_not(None),
        )
        .where(within(schema.scores.c.village_code, areas))
        .order_by(schema.scores.c.horizon_months.desc())
        .limit(1)
    ).scalar()
    return {} if found is None else _texts_of_scoring(connection, found, names)


def _teams(connection: Connection, list_hash: str, names: Sequence[str]) -> dict[str, str]:
    wanted = select(assignments.c.household_id, assignments.c.team).where(
        assignments.c.list_hash == list_hash, assignments.c.household_id.in_(names)
    )
    return {row.household_id: row.team for row in connection.execute(wanted)}


def _listed(
    connection: Connection, list_hash: str, names: Sequence[str], areas: Sequence[str]
) -> dict[str, dict[str, Any]]:
    wanted = select(list_rows.c.household_id, list_rows.c.content).where(
        list_rows.c.list_hash == list_hash,
        list_rows.c.household_id.in_(names),
        within(list_rows.c.village_code, areas),
    )
    return {row.household_id: json.loads(row.content) for row in connection.execute(wanted)}


@dataclass(frozen=True)
class StoredHousehold:
    """What is stored of a household: its scores (newest first), the texts of the newest and of the one
    before, its visits and its place on a list.

    visits: results in force, newest first, each with `led` (whether it was listed by a lead) and
    `contradicted`. absence: why it is not on the newest list; None: it is on it, or the list knows nothing of
    it.
    """

    scores: list[dict[str, Any]]
    texts: dict[str, Any]
    texts_before: dict[str, Any] | None
    scoring: dict[str, Any]
    visits: list[dict[str, Any]]
    on_list: dict[str, Any] | None
    county_code: str
    village_code: str
    absence: Absence | None = None


def household(
    engine: Engine, areas: Sequence[str], household_id: str, as_of: dt.date | None = None
) -> StoredHousehold | None:
    """What the asker may see of one household, as of a day or the newest; None: nothing.

    The village of the newest score (of that day) decides who may see it. Scores, their texts, visits and
    lists of villages outside the areas are not in it: a household that moved brings nothing along. A day
    asked for ends where the next scoring begins: later scores, visits and lists are not in it either.
    """
    with reading(engine) as connection:
        mine = select(schema.scores).where(
            schema.scores.c.household_id == household_id, schema.scores.c.scoring.is_not(None)
        )
        # The longest horizon represents a day: the others are the same order, a part of the time.
        order = (
            schema.scores.c.as_of.desc(),
            schema.scores.c.horizon_months.desc(),
            schema.scores.c.scoring.desc(),
        )
        everything = [dict(row) for row in connection.execute(mine.order_by(*order)).mappings()]
        kept = [row for row in everything if as_of is None or row["as_of"] <= as_of]
        if not kept or (as_of is not None and kept[0]["as_of"] != as_of):
            return None
        if not _inside(kept[0]["village_code"], areas):
            return None
        days: dict[dt.date, dict[str, Any]] = {}
        for row in kept:
            if _inside(row["village_code"], areas):
                days.setdefault(row["as_of"], row)
        history = list(days.values())
        newest = kept[0]["scoring"]
        village = str(kept[0]["village_code"])
        county = village[:COUNTY_DIGITS]
        scoring = dict(
            connection.execute(select(scorings).where(scorings.c.number == newest)).mappings().one()
        )
        of_county = select(func.count()).where(
            schema.scores.c.scoring == newest, within(schema.scores.c.village_code, [county])
        )
        scoring["households"] = int(connection.execute(of_county).scalar_one())
        texts = _texts_of_scoring(connection, newest, [household_id]).get(household_id, {})
        before = None
        if len(history) > 1:
            before = _texts_of_scoring(connection, history[1]["scoring"], [household_id]).get(household_id)
        later = [row["as_of"] for row in everything if row["as_of"] > kept[0]["as_of"]]
        ends = min(later, default=None)
        found = _visits_of(connection, household_id, areas, ends)
        on_list = _on_list(connection, household_id, areas, ends)
        absence = absence_of(connection, areas, household_id, ends)
    return StoredHousehold(
        scores=history,
        texts=texts,
        texts_before=before,
        scoring=scoring,
        visits=found,
        on_list=on_list,
        county_code=county,
        village_code=village,
        absence=absence,
    )


def unscored(
    engine: Engine, areas: Sequence[str], household_id: str, as_of: dt.date | None = None
) -> tuple[Absence, list[dict[str, Any]]] | None:
    """Of a household without any score: why it is not on the newest list (or on that of a day), and its
    visits; None: nothing to be seen.

    A household that was ever scored is answered by `household`, or not at all: where it moved, nothing of it
    stays behind.
    """
    ends = None if as_of is None else as_of + dt.timedelta(days=1)
    with reading(engine) as connection:
        scored = select(literal(1)).where(schema.scores.c.household_id == household_id).limit(1)
        if connection.execute(scored).first() is not None:
            return None
        absence = absence_of(connection, areas, household_id, ends)
        if absence is None or (as_of is not None and absence.as_of != as_of):
            return None
        return absence, _visits_of(connection, household_id, areas, ends)


def _inside(village: str | None, areas: Sequence[str]) -> bool:
    return bool(village) and str(village).startswith(tuple(areas))


def _visits_of(
    connection: Connection, household_id: str, areas: Sequence[str], ends: dt.date | None
) -> list[dict[str, Any]]:
    """Results in force of a household, newest first: made within the areas and before the day `ends`."""
    wanted = in_force(areas).where(visits.c.household_id == household_id)
    if ends is not None:
        wanted = wanted.where(visits.c.visited_on < ends)
    rows = connection.execute(wanted.order_by(visits.c.visited_on.desc(), visits.c.number.desc())).all()
    led = set(
        connection.execute(
            select(list_rows.c.list_hash).where(list_rows.c.household_id == household_id, _HAS_A_LEAD)
        ).scalars()
    )
    by_cycle: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        by_cycle.setdefault((row.county_code, row.cycle), []).append(row)
    disputed = {key for key, some in by_cycle.items() if contradict(some)}
    return [
        dict(row._mapping)
        | {
            "led": row.list_hash in led,
            "contradicted": row.outcome != "unreachable" and (row.county_code, row.cycle) in disputed,
            "words": visit_in_words(row.visited_on, row.visitor, row.outcome),
        }
        for row in rows
    ]


@dataclass(frozen=True)
class StoredScores:
    """Scores of one scoring that were kept, by household id, in the shape of an answer; and what they have in
    common.
    """

    model_version: str
    data_dates: Mapping[str, str]
    scores: dict[str, dict[str, Any]]


def stored_scores(
    engine: Engine, ids: Sequence[str], *, as_of: dt.date, horizon_months: int, areas: Sequence[str]
) -> StoredScores:
    """Scores and texts of these households from the newest scoring of a day and horizon. Households outside
    the areas, or not scored then, are not in it.
    """
    with reading(engine) as connection:
        of_areas = select(literal(1)).where(
            schema.scores.c.scoring == scorings.c.number, within(schema.scores.c.village_code, areas)
        )
        scoring = connection.execute(
            select(scorings)
            .where(scorings.c.as_of == as_of, scorings.c.horizon_months == horizon_months, of_areas.exists())
            .order_by(scorings.c.number.desc())
            .limit(1)
        ).first()
        if scoring is None:
            return StoredScores("", {}, {})
        wanted = select(schema.scores).where(
            schema.scores.c.household_id.in_(sorted(set(ids))),
            schema.scores.c.scoring == scoring.number,
            within(schema.scores.c.village_code, areas),
        )
        rows = connection.execute(wanted).all()
        texts = _texts_of_scoring(connection, scoring.number, [row.household_id for row in rows])
    found = {}
    for row in rows:
        texts_then = texts.get(row.household_id, {})
        reasons = [
            {name: reason[name] for name in ("zh", "en", "risk_kind", "raises")}
            for reason in texts_then.get("reasons", [])
        ]
        numbers = {
            name: getattr(row, name)
            for name in ("household_id", "probability", "low", "high", "margin", "feature_hash")
        }
        found[row.household_id] = numbers | {
            "risk_kinds": [kind for kind in (row.risk_kinds or "").split(";") if kind],
            "reasons": reasons,
            "notes_zh": texts_then.get("notes_zh", ""),
            "notes_en": texts_then.get("notes_en", ""),
        }
    return StoredScores(scoring.model_version, json.loads(scoring.data_dates), found)


def _on_list(
    connection: Connection, household_id: str, areas: Sequence[str], ends: dt.date | None
) -> dict[str, Any] | None:
    """The newest list in force with the household, as of a day before `ends`; None: on none."""
    columns = (list_rows.c.number, list_rows.c.listed_as, list_rows.c.grade, list_rows.c.content)
    row = newest_row(connection, list_rows, columns, household_id, areas, ends)
    if row is None:
        return None
    settings = ScreeningSettings.model_validate_json(row.settings)
    window = Window.of(row.county_code, row.cycle, row.as_of, settings)
    mine = visits_found(connection, window, areas, [household_id]).get(household_id)
    state = None if mine is None else int(mine.met)
    shown = _visited(mine, {"last_visit": None})
    return {
        "cycle": row.cycle,
        "county_code": row.county_code,
        "list_hash": row.list_hash,
        "number": row.number,
        "as_of": row.as_of,
        "status": _STATUS_OF[state],
        "standby": row.listed_as == "standby",
        "closed": bool(row.closed_at),
        "grade": row.grade,
        "content": json.loads(row.content),
        **{name: shown[name] for name in ("visit_zh", "visit_en", "contradicted")},
    }


def area_counts(engine: Engine, areas: Sequence[str], head: ListHead) -> dict[str, dict[str, int]]:
    """For each village that the asker sees: households scored, listed, visited, confirmed in the cycle, and
    listed by grade.
    """
    counts: dict[str, dict[str, int]] = {}

    def of(village: str) -> dict[str, int]:
        names = ("households", "listed", "standby", "visited", "confirmed", "red", "orange", "yellow", "none")
        return counts.setdefault(village, dict.fromkeys(names, 0))

    with reading(engine) as connection:
        scoring = _scoring_of(connection, head)
        for village, _, _, _, amount in (
            () if scoring is None else _scored_groups(engine, *scoring, tuple(areas))
        ):
            of(village)["households"] += amount
        found = head.window.results(areas).subquery()
        met = case((found.c.outcome == "unreachable", 0), else_=1)
        # Results of one cycle that contradict each other confirm nothing.
        agreed = case((found.c.outcome.in_(("unreachable", "risk_confirmed")), 1), else_=0)
        confirmed = case((found.c.outcome == "risk_confirmed", 1), else_=0)
        by_cycle = (
            select(
                found.c.household_id,
                func.max(met).label("met"),
                (func.max(confirmed) * func.min(agreed)).label("confirmed"),
            )
            .group_by(found.c.household_id, found.c.cycle)
            .subquery()
        )
        result = (
            select(
                by_cycle.c.household_id,
                func.max(by_cycle.c.met).label("met"),
                func.max(by_cycle.c.confirmed).label("confirmed"),
            )
            .group_by(by_cycle.c.household_id)
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
