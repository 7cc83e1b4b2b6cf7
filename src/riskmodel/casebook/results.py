"""Results of visits: recorded, corrected, withdrawn. `in_force` is the one query that decides which of them
count; every reader takes it.

A result belongs to a chain: county, cycle, household and team. The newest row of a chain is in force unless
it was withdrawn. All rows stay.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, Row, Select, and_, literal, or_, select

from riskmodel.casebook import audit, seals
from riskmodel.casebook.areas import within
from riskmodel.casebook.schema import list_rows, lists, visits, withdrawals
from riskmodel.errors import Fault, UserError
from riskmodel.settings import ScreeningSettings
from riskmodel.tables.identity import telling_text
from riskmodel.visits.forms import OUTCOMES, team_key
from riskmodel.visits.returns import Result
from riskmodel.visits.visit_list import cycle_length
from riskmodel.vocabulary import RISK_KINDS

# Why a household was on the list -> origin of the verification (codes of the data contract).
ORIGINS: Final = {
    "lead": "lead",
    "standby": "lead",
    "carried": "screening",
    "model": "screening",
    "random_check": "random_check",
}
REASON_LENGTH: Final = 500


@dataclass(frozen=True)
class Conflict:
    """A household whose teams found different things in one cycle. visits: each result in force, in Chinese
    and in English.
    """

    household_id: str
    visits: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.household_id}: " + " / ".join(en for _, en in self.visits)


@dataclass(frozen=True)
class Superseded:
    """A result that was handed in again after it had been corrected or withdrawn; it was not taken. line: its
    row in the file.
    """

    line: int
    household_id: str
    since: dt.date
    withdrawn: bool

    @property
    def reasons(self) -> tuple[str, str]:
        """Why it was not taken and what to do if it is right after all, in Chinese and in English."""
        zh, en = ("撤回", "withdrawn") if self.withdrawn else ("更正", "corrected")
        return (
            f"该结果已于{self.since}被{zh}，未再录入；如确属实，请在备注中说明后重新提交",
            (
                f"this result was {en} on {self.since} and was not taken again; if it is right after all, "
                "explain it in the note"
            ),
        )


@dataclass(frozen=True)
class Intake:
    """What became of checked results: counts of new ones, of corrections among them and of known ones; what
    was not taken; contradictions.
    """

    accepted: int
    corrected: int
    unchanged: int
    superseded: tuple[Superseded, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


def chain_of(county: str, cycle: str, household_id: str, team: str) -> str:
    """The name of the chain of results of a household, cycle and team. Results without a team are one
    chain.
    """
    parts = "\x1f".join((county, cycle, household_id, team_key(team)))
    return f"visit-{hashlib.sha256(parts.encode()).hexdigest()[:40]}"


def in_force(areas: Sequence[str] | None = None) -> Select[Any]:
    """The results in force: of each chain the newest row, unless it was withdrawn.

    areas: only visits that happened within these area codes; None: of the whole casebook. Columns: those of
    `visits`, and county_code and cycle of the list, village_code and listed_as of the household on that list.
    """
    later = visits.alias("later")
    newer = select(literal(1)).where(later.c.chain == visits.c.chain, later.c.number > visits.c.number)
    taken_back = select(literal(1)).where(withdrawals.c.visit_number == visits.c.number)
    on_list = and_(
        list_rows.c.list_hash == visits.c.list_hash, list_rows.c.household_id == visits.c.household_id
    )
    wanted = (
        select(visits, lists.c.county_code, lists.c.cycle, list_rows.c.village_code, list_rows.c.listed_as)
        .join(lists, lists.c.list_hash == visits.c.list_hash)
        .join(list_rows, on_list)
        .where(~newer.exists(), ~taken_back.exists())
    )
    return wanted if areas is None else wanted.where(within(list_rows.c.village_code, areas))


@dataclass(frozen=True)
class Window:
    """Which results count on a list: those of its cycle, and those of any other cycle that the list could not
    know.

    A result of another cycle counts when the visit was made within the quiet period before the list's day or
    during its cycle, and became known after the list's day. begins: first day of such a visit; ends: the
    last.
    """

    county_code: str
    cycle: str
    as_of: dt.date
    begins: dt.date
    ends: dt.date

    @classmethod
    def of(cls, county_code: str, cycle: str, as_of: dt.date, settings: ScreeningSettings) -> Window:
        """The window of a list, by the settings with which it was made."""
        return cls(
            county_code=county_code,
            cycle=cycle,
            as_of=as_of,
            begins=as_of - dt.timedelta(days=max(0, settings.recent_visits.days - 1)),
            ends=as_of + cycle_length(settings.cycle),
        )

    def results(self, areas: Sequence[str] | None = None) -> Select[Any]:
        """`in_force`, narrowed to the results that count on the list."""
        elsewhere = and_(
            visits.c.visited_on >= self.begins,
            visits.c.visited_on <= self.ends,
            visits.c.known_on > self.as_of,
        )
        return in_force(areas).where(
            lists.c.county_code == self.county_code, or_(lists.c.cycle == self.cycle, elsewhere)
        )


def take(
    connection: Connection,
    results: Sequence[Result],
    *,
    known_on: dt.date,
    by: str,
    role: str = "",
    purpose: str = "verification",
    source: str = "",
) -> Intake:
    """Keep checked results inside a writing transaction: they are on disk when that ends.

    Content that a chain held before and that was corrected or withdrawn since is not taken again: an older
    file changes nothing.
    """
    accepted = corrected = unchanged = 0
    superseded: list[Superseded] = []
    touched: set[tuple[str, str, str]] = set()
    about = {row.list_hash: row for row in connection.execute(select(lists))}
    for result in results:
        at = about[result.list_hash]
        chain = chain_of(at.county_code, at.cycle, result.household_id, result.visitor)
        history = connection.execute(
            select(visits, withdrawals.c.withdrawn_on)
            .outerjoin(withdrawals, withdrawals.c.visit_number == visits.c.number)
            .where(visits.c.chain == chain)
            .order_by(visits.c.number)
        ).all()
        newest = history[-1] if history else None
        if newest is not None and newest.withdrawn_on is None and _findings(newest) == _findings(result):
            unchanged += 1
            continue
        before = [row for row in history if _findings(row) == _findings(result)]
        if newest is not None and before:
            taken_back = before[-1].withdrawn_on
            since = taken_back or newest.withdrawn_on or newest.known_on
            superseded.append(Superseded(result.line, result.household_id, since, taken_back is not None))
            continue
        number, row = _insert(connection, result, chain, history, known_on=known_on, by=by)
        audit.append(
            connection,
            actor=by,
            role=role,
            purpose=purpose,
            action="result corrected" if newest is not None else "result recorded",
            subject=result.household_id,
            model_version=at.model_version,
            details={
                "event_id": history[0].event_id if history else chain,
                "cycle": at.cycle,
                "content": result.content,
                "source": source,
                "number": number,
                "row": row,
            },
        )
        accepted += 1
        corrected += newest is not None
        touched.add((at.county_code, at.cycle, result.household_id))
    contradicting = conflicts(connection, touched)
    return Intake(
        accepted=accepted,
        corrected=corrected,
        unchanged=unchanged,
        superseded=tuple(superseded),
        conflicts=contradicting,
    )


def _insert(
    connection: Connection,
    result: Result,
    chain: str,
    history: Sequence[Row[Any]],
    *,
    known_on: dt.date,
    by: str,
) -> tuple[int, str]:
    """Keep one result. Returns its number and the hash of its row."""
    listed_as = connection.execute(
        select(list_rows.c.listed_as).where(
            list_rows.c.list_hash == result.list_hash, list_rows.c.household_id == result.household_id
        )
    ).scalar_one()
    event = history[0].event_id if history else chain
    version = max((row.version for row in history if row.event_id == event), default=0) + 1
    done = connection.execute(
        visits.insert().values(
            event_id=event,
            version=version,
            chain=chain,
            content_hash=result.content,
            list_hash=result.list_hash,
            household_id=result.household_id,
            visited_on=result.visited_on,
            known_on=known_on,
            recorded_at=audit.now(),
            recorded_by=by,
            origin=ORIGINS[listed_as],
            outcome=result.outcome,
            risk_kinds=result.risk_kinds,
            disagreement=result.disagreement,
            visitor=result.visitor,
            note=result.note,
        )
    )
    assert done.inserted_primary_key is not None
    number = int(done.inserted_primary_key[0])
    kept = connection.execute(select(visits).where(visits.c.number == number)).mappings().one()
    return number, seals.row_hash("visits", kept)


def _findings(row: Any) -> tuple[Any, ...]:
    """What a result states, apart from household and team, of a row of `visits` or a Result."""
    return (row.visited_on, row.outcome, row.risk_kinds, row.disagreement, row.note)


def withdraw(
    connection: Connection,
    found: Select[Any],
    *,
    where: str,
    reason: str,
    by: str,
    on: dt.date,
    role: str = "",
    purpose: str = "verification",
) -> Row[Any]:
    """Take back the one result in force that `found` (a narrowed `in_force`) selects, inside a writing
    transaction. Returns its row.

    where: how the caller names it in a fault. The cycle may be closed: closing ends corrections, but no visit
    stays recorded on a household that was never visited. Raises UserError where there is none, where there
    are several, and for a reason that is missing or identifies a person.
    """
    faults = []
    if not reason.strip() or len(reason) > REASON_LENGTH:
        faults.append(
            Fault(
                "reason",
                f"{len(reason.strip())} characters",
                f"1 to {REASON_LENGTH}",
                "Give the reason in a sentence.",
            )
        )
    elif telling_text(reason):
        faults.append(
            Fault(
                "reason", f"it holds {telling_text(reason)}", "no name and no number", "Leave the person out."
            )
        )
    rows = connection.execute(found).all()
    if len(rows) != 1:
        known = "no result in force" if not rows else f"results of {len(rows)} teams"
        remedy = (
            "See the household's page, or `riskmodel cycles`."
            if not rows
            else "Name the team: " + ", ".join(sorted(row.visitor or "(none)" for row in rows)) + "."
        )
        faults.append(Fault(where, known, "one result in force", remedy))
    if faults:
        raise UserError(faults)
    row = rows[0]
    connection.execute(
        withdrawals.insert().values(
            visit_number=row.number,
            withdrawn_on=on,
            withdrawn_at=audit.now(),
            withdrawn_by=by,
            reason=reason.strip(),
        )
    )
    kept = connection.execute(select(withdrawals).where(withdrawals.c.visit_number == row.number))
    audit.append(
        connection,
        actor=by,
        role=role,
        purpose=purpose,
        action="result withdrawn",
        subject=row.household_id,
        details={
            "event_id": row.event_id,
            "version": row.version,
            "cycle": row.cycle,
            "content": row.content_hash,
            "number": row.number,
            "row": seals.row_hash("withdrawals", kept.mappings().one()),
        },
    )
    return row


def visit_in_words(visited_on: dt.date, team: str, outcome: str) -> tuple[str, str]:
    """One visit in Chinese and in English, the same everywhere: 12月30日已走访（8组）：未发现风险."""
    zh, en = OUTCOMES[outcome]
    team = team.strip()
    group = f"（{team if team.endswith('组') else f'{team}组'}）" if team else ""
    by = f" (team {team})" if team else ""
    done_zh, done_en = ("已上门", "called on") if outcome == "unreachable" else ("已走访", "visited on")
    return (
        f"{visited_on.month}月{visited_on.day}日{done_zh}{group}：{zh}",
        f"{done_en} {visited_on.isoformat()}{by}: {en}",
    )


def contradict(rows: Iterable[Any]) -> bool:
    """Whether results in force of one household and cycle contradict each other: those that met somebody
    differ in outcome or risk kinds.
    """
    return len({(row.outcome, row.risk_kinds) for row in rows if row.outcome != "unreachable"}) > 1


def conflict_of(household_id: str, rows: Iterable[Any]) -> Conflict:
    """The results of a household in words, earliest visit first."""
    visits_in_words = []
    for row in sorted(rows, key=lambda row: (row.visited_on, row.number)):
        if row.outcome == "unreachable":
            continue
        zh, en = visit_in_words(row.visited_on, row.visitor or "?", row.outcome)
        kinds = [RISK_KINDS[kind] for kind in row.risk_kinds.split(";") if kind]
        if kinds:
            zh = f"{zh}（{'、'.join(kind[0] for kind in kinds)}）"
            en = f"{en} ({', '.join(kind[1] for kind in kinds)})"
        visits_in_words.append((zh, en))
    return Conflict(household_id, tuple(visits_in_words))


def conflicts(connection: Connection, touched: Iterable[tuple[str, str, str]]) -> tuple[Conflict, ...]:
    """Those of the named households (county, cycle, household_id) whose results in force in the cycle
    contradict each other.
    """
    found = []
    for county, cycle, household in sorted(touched):
        rows = connection.execute(
            in_force().where(
                lists.c.county_code == county, lists.c.cycle == cycle, visits.c.household_id == household
            )
        ).all()
        if contradict(rows):
            found.append(conflict_of(household, rows))
    return tuple(found)


def conflicts_of_cycle(
    connection: Connection, county: str, cycle: str, areas: Sequence[str] | None = None
) -> tuple[Conflict, ...]:
    """All contradictions of a cycle, by household; areas: only of visits that happened within."""
    wanted = in_force(areas).where(lists.c.county_code == county, lists.c.cycle == cycle)
    rows = connection.execute(wanted.order_by(visits.c.household_id, visits.c.number)).all()
    return tuple(
        conflict_of(household, group)
        for household, some in groupby(rows, key=lambda row: str(row.household_id))
        if contradict(group := list(some))
    )


def recorded_in(connection: Connection, county: str, cycle: str) -> frozenset[str]:
    """Contents (`Result.content`) of a cycle's results in force."""
    wanted = in_force().where(lists.c.county_code == county, lists.c.cycle == cycle).subquery()
    return frozenset(connection.execute(select(wanted.c.content_hash)).scalars())


def late_results(connection: Connection, window: Window) -> int:
    """How many households have a result that a list could not know: visited up to its day, recorded after
    it.
    """
    wanted = window.results().where(
        visits.c.visited_on <= window.as_of, visits.c.outcome != "unreachable", lists.c.cycle != window.cycle
    )
    found = wanted.subquery()
    return len(set(connection.execute(select(found.c.household_id)).scalars()))


_NAMES: Final = ("event_id", "household_id", "occurred_on", "known_on", "origin", "outcome", "risk_kinds")


def verifications(connection: Connection) -> pl.DataFrame:
    """All results as rows of the contract's `verifications` table, with `county_code`; a change on a later
    day is a later version of its event.

    What was known on a day stays readable as of that day. From the day of its withdrawal a result reads
    `unreachable`: nobody was met there. So do results whose teams contradict each other, until that is
    cleared up: they make nobody monitored, answer no lead and are no label.
    """
    rows = connection.execute(
        select(visits, lists.c.county_code, lists.c.cycle, withdrawals.c.withdrawn_on)
        .join(lists, lists.c.list_hash == visits.c.list_hash)
        .outerjoin(withdrawals, withdrawals.c.visit_number == visits.c.number)
        .order_by(lists.c.county_code, lists.c.cycle, visits.c.household_id, visits.c.number)
    ).all()
    table: list[tuple[Any, ...]] = []
    for (county, _, household), some in groupby(rows, key=_household_and_cycle):
        table += [(*row, county) for row in _versions(household, list(some))]
    kinds: dict[str, Any] = {name: pl.Date if name.endswith("_on") else pl.String for name in _NAMES}
    return pl.DataFrame(table, schema=kinds | {"county_code": pl.String}, orient="row")


def _household_and_cycle(row: Any) -> tuple[str, str, str]:
    return row.county_code, row.cycle, row.household_id


def _versions(household: str, rows: Sequence[Row[Any]]) -> list[tuple[Any, ...]]:
    """The versions of one household's events in a cycle, day by day as they became known. rows: in the order
    in which they were recorded.
    """
    event: dict[str, str] = {}
    for row in rows:
        event.setdefault(row.chain, row.event_id)
    days = sorted({row.known_on for row in rows} | {row.withdrawn_on for row in rows if row.withdrawn_on})
    last: dict[str, tuple[Any, ...]] = {}
    table = []
    for day in days:
        newest: dict[str, Row[Any]] = {row.chain: row for row in rows if row.known_on <= day}
        counting = [row for row in newest.values() if row.withdrawn_on is None or row.withdrawn_on > day]
        met = {row.outcome for row in counting if row.outcome != "unreachable"}
        undecided = len(met) > 1
        for chain, row in newest.items():
            mute = row not in counting or (undecided and row.outcome != "unreachable")
            if row not in counting and chain not in last:
                continue  # recorded and withdrawn on one day: it was never known
            state = (
                row.visited_on,
                row.origin,
                "unreachable" if mute else row.outcome,
                None if mute else row.risk_kinds or None,
            )
            if last.get(chain) != state:
                last[chain] = state
                visited_on, origin, outcome, kinds = state
                table.append((event[chain], household, visited_on, day, origin, outcome, kinds))
    return table


def disagreements(connection: Connection) -> dict[str, int]:
    """How often visitors disagreed with the reasons, by kind, most frequent first; results in force only, by
    no place and no person.
    """
    found = in_force().where(visits.c.disagreement != "").subquery()
    counts: dict[str, int] = {}
    for kind in connection.execute(select(found.c.disagreement)).scalars():
        counts[kind] = counts.get(kind, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def waived(conflicting: Sequence[Conflict], waive: Mapping[str, str], cycle: str) -> None:
    """Check that every contradiction of a cycle is waived by name, with a reason. Raises UserError with every
    fault.
    """
    names = {conflict.household_id for conflict in conflicting}
    faults = [
        Fault(
            f"cycle {cycle}",
            f"results that contradict each other ({conflict})",
            "one finding for each household",
            f"Correct or withdraw a result, or waive it by name: --waive {conflict.household_id}=REASON",
        )
        for conflict in conflicting
        if conflict.household_id not in waive
    ]
    for household, reason in waive.items():
        if household not in names:
            faults.append(
                Fault(
                    f"waive {household}",
                    "no contradiction of this household",
                    ", ".join(sorted(names)) or "none to waive",
                    "See `riskmodel cycles`.",
                )
            )
        elif not reason.strip() or telling_text(reason):
            faults.append(
                Fault(
                    f"waive {household}",
                    "no reason" if not reason.strip() else f"a reason that holds {telling_text(reason)}",
                    "why the cycle may be closed with it, without a name or number",
                    "Write --waive HOUSEHOLD=REASON.",
                )
            )
    if faults:
        raise UserError(faults)
