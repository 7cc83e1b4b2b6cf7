"""Lists out, visits in. What was given out, who was met, and what it says about the model."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, Engine, func, select

from riskmodel.casebook import audit
from riskmodel.casebook.schema import assignments, cycles, drawn_from, list_rows, lists, rules_met, visits
from riskmodel.casebook.schema import scores as scores_table
from riskmodel.casebook.scorings import keep_scoring
from riskmodel.casebook.store import address, connect, reading, writing
from riskmodel.casebook.stored import rows_again, said_of
from riskmodel.casebook.sweeps import count_sweeps
from riskmodel.errors import Fault, UserError
from riskmodel.features import build, load_catalogue
from riskmodel.files import write_bytes
from riskmodel.policy import Policy
from riskmodel.project import Project
from riskmodel.settings import load_settings
from riskmodel.tables import Tables, from_frames
from riskmodel.training.random_checks import CheckedRecall, recall_from_checks
from riskmodel.visits.draws import strata_of
from riskmodel.visits.filled import read_filled
from riskmodel.visits.listing import screening_list
from riskmodel.visits.returns import Judged, OpenList, Refusal, Result, judge, returned_bytes
from riskmodel.visits.visit_list import VisitList, cycle_length

# Why a household was on the list -> origin of the verification (codes of the data contract).
ORIGINS: Final = {
    "lead": "lead",
    "standby": "lead",
    "carried": "screening",
    "model": "screening",
    "random_check": "random_check",
}


@dataclass(frozen=True)
class Conflict:
    """Two results of one household in one cycle that do not say the same."""

    household_id: str
    visits: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.household_id}: " + " / ".join(self.visits)


@dataclass(frozen=True)
class Recorded:
    """What became of a filled file. accepted: new results; corrected: of them, corrections of the same team; unchanged: known already;
    open: rows without a result; refused: with reasons; conflicts: households whose visitors disagree; returned: the file of refused rows.
    """

    file: Path
    accepted: int
    corrected: int
    unchanged: int
    open: int
    refused: tuple[Refusal, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    returned: Path | None = None

    def text(self) -> str:
        """In words, for the person who handed the file in."""
        lines = [
            f"{self.file.name}: {self.accepted} results recorded ({self.corrected} of them corrections), "
            f"{self.unchanged} known already, {len(self.refused)} refused, {self.open} rows without a result yet."
        ]
        for refusal in self.refused[:10]:
            why = "; ".join(en for _, en in refusal.reasons)
            lines.append(f"  row {refusal.row.place}, {refusal.row.cells.get('household_id', '')}: {why}")
        if len(self.refused) > 10:
            lines.append(f"  … and {len(self.refused) - 10} more.")
        if self.returned:
            lines.append(
                f"Refused rows with every reason: {self.returned} (correct them there and record that file)."
            )
        if self.conflicts:
            lines.append("Results that contradict each other; both are kept, please clear them up:")
            lines += [f"  {conflict}" for conflict in self.conflicts]
        return "\n".join(lines)


@dataclass(frozen=True)
class Casebook:
    """Lists, visits and the audit of a project. Make it with `Casebook.of(project)`."""

    engine: Engine = field(repr=False)

    @classmethod
    def of(cls, project: Project) -> Casebook:
        """The casebook of a project: SQLite in its folder, or the database that RISKMODEL_DATABASE_URL names."""
        return cls(connect(address(project)))

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def issue(self, visit_list: VisitList, *, by: str = "command line", purpose: str = "visit list") -> bool:
        """Keep a list that is given out. False: the same list is there already. Raises UserError for a closed cycle."""
        name = visit_list.hash
        with writing(self.engine) as connection:
            if connection.execute(select(lists.c.list_hash).where(lists.c.list_hash == name)).first():
                return False
            self._open_cycle(connection, visit_list)
            number = (connection.execute(select(func.max(lists.c.issued_number))).scalar() or 0) + 1
            connection.execute(
                lists.insert().values(
                    list_hash=name,
                    county_code=visit_list.county_code,
                    cycle=visit_list.cycle,
                    as_of=visit_list.as_of,
                    capacity=visit_list.capacity,
                    model_version=visit_list.model_version,
                    settings=visit_list.settings.model_dump_json(),
                    notes=json.dumps(visit_list.notes, ensure_ascii=False),
                    issued_at=audit.now(),
                    issued_number=number,
                    guide=json.dumps(visit_list.guide, ensure_ascii=False),
                    data_dates=json.dumps(visit_list.data_dates, default=str),
                )
            )
            _insert(connection, list_rows, _rows_of(visit_list))
            teams = [
                row
                for row in visit_list.rows.select("household_id", "team").iter_rows(named=True)
                if row["team"]
            ]
            _insert(
                connection,
                assignments,
                [{"list_hash": name, "assigned_at": audit.now(), **row} for row in teams],
            )
            _insert(
                connection,
                drawn_from,
                [{"list_hash": name, **row} for row in visit_list.drawn_from.iter_rows(named=True)],
            )
            _insert(
                connection,
                rules_met,
                [{"list_hash": name, **row} for row in visit_list.rules.iter_rows(named=True)],
            )
            audit.append(
                connection,
                actor=by,
                purpose=purpose,
                action="list issued",
                subject=f"{visit_list.county_code} {visit_list.cycle}",
                model_version=visit_list.model_version,
                details={
                    "list_hash": name,
                    "households": len(visit_list),
                    "as_of": visit_list.as_of.isoformat(),
                },
            )
        return True

    def keep_scores(self, scores: Any, *, by: str = "command line") -> int:
        """Keep scores (a Scores, or a frame with its columns) for a household's history. Scores that are there already stay as they are.

        Returns how many are new.
        """
        with writing(self.engine) as connection:
            return keep_scoring(connection, scores, by=by)

    def history(self, household_id: str) -> pl.DataFrame:
        """The kept scores of a household, oldest first: as_of, horizon_months, model_version, probability, low, high, rank."""
        names = ("as_of", "horizon_months", "model_version", "probability", "low", "high", "rank")
        with reading(self.engine) as connection:
            wanted = select(*(scores_table.c[name] for name in names)).where(
                scores_table.c.household_id == household_id
            )
            rows = connection.execute(
                wanted.order_by(scores_table.c.as_of, scores_table.c.horizon_months)
            ).all()
        kinds = (pl.Date, pl.Int64, pl.String, pl.Float64, pl.Float64, pl.Float64, pl.Int64)
        return pl.DataFrame(
            [tuple(row) for row in rows], schema=dict(zip(names, kinds, strict=True)), orient="row"
        )

    def _open_cycle(self, connection: Connection, visit_list: VisitList) -> None:
        key = (cycles.c.county_code == visit_list.county_code) & (cycles.c.cycle == visit_list.cycle)
        row = connection.execute(select(cycles).where(key)).first()
        if row is None:
            values = {
                "county_code": visit_list.county_code,
                "cycle": visit_list.cycle,
                "opened_at": audit.now(),
            }
            connection.execute(cycles.insert().values(values))
        elif row.closed_at:
            fault = Fault(
                f"cycle {visit_list.cycle}",
                f"closed on {row.closed_at[:10]}",
                "an open cycle",
                "Make the list of a later day.",
            )
            raise UserError(fault)

    def county(self, cycle: str) -> str:
        """The county of a cycle that is given out in one county only. Raises UserError where several have it, or there is none."""
        with reading(self.engine) as connection:
            found = sorted(
                connection.execute(select(cycles.c.county_code).where(cycles.c.cycle == cycle)).scalars()
            )
            known = found or sorted(set(connection.execute(select(cycles.c.county_code)).scalars()))
        if len(known) > 1:
            raise UserError(
                Fault(
                    f"cycle {cycle}",
                    f"counties {', '.join(known)}",
                    "one county",
                    "Name the county, by its code.",
                )
            )
        if not known:
            fault = Fault(
                f"cycle {cycle}",
                "no list has been given out yet",
                "an open cycle",
                "Give out a list: riskmodel list",
            )
            raise UserError(fault)
        return str(known[0])

    def close_cycle(self, county_code: str, cycle: str, *, by: str) -> None:
        """Close a cycle: its results are refused from now on. Raises UserError for one that is not there or closed already."""
        key = (cycles.c.county_code == county_code) & (cycles.c.cycle == cycle)
        with writing(self.engine) as connection:
            row = connection.execute(select(cycles).where(key)).first()
            if row is None or row.closed_at:
                known = connection.execute(
                    select(cycles.c.cycle).where(
                        cycles.c.county_code == county_code, cycles.c.closed_at.is_(None)
                    )
                )
                names = ", ".join(sorted(known.scalars())) or "none"
                found = "no such cycle" if row is None else f"closed already, on {row.closed_at[:10]}"
                raise UserError(
                    Fault(
                        f"cycle {cycle} of {county_code}",
                        found,
                        f"an open cycle ({names})",
                        "Name one of these.",
                    )
                )
            connection.execute(cycles.update().where(key).values(closed_at=audit.now()))
            audit.append(connection, actor=by, action="cycle closed", subject=f"{county_code} {cycle}")

    def open_lists(self, named: Iterable[str] | None = None) -> dict[str, OpenList]:
        """Every list that was given out, by hash. `named`: only these come with their households, which saves reading years of them."""
        wanted = None if named is None else sorted(set(named))
        pairs = select(list_rows.c.list_hash, list_rows.c.household_id)
        if wanted is not None:
            pairs = pairs.where(list_rows.c.list_hash.in_(wanted))
        with reading(self.engine) as connection:
            members: dict[str, set[str]] = {}
            for name, household in connection.execute(pairs):
                members.setdefault(name, set()).add(household)
            return self._open_lists(connection, members)

    @staticmethod
    def _open_lists(connection: Connection, named: Mapping[str, set[str]]) -> dict[str, OpenList]:
        joined = lists.join(
            cycles, (cycles.c.county_code == lists.c.county_code) & (cycles.c.cycle == lists.c.cycle)
        )
        wanted = select(
            lists.c.list_hash, lists.c.county_code, lists.c.cycle, lists.c.as_of, cycles.c.closed_at
        ).select_from(joined)
        found = {}
        for row in connection.execute(wanted).all():
            known = frozenset[str]()
            if row.closed_at and row.list_hash in named:
                known = recorded_in(connection, row.county_code, row.cycle)
            households = frozenset(named.get(row.list_hash, ()))
            found[row.list_hash] = OpenList(
                row.list_hash, row.cycle, row.as_of, bool(row.closed_at), households, known
            )
        return found

    def take_in(
        self,
        results: Sequence[Result],
        *,
        known_on: dt.date,
        by: str,
        role: str = "",
        purpose: str = "verification",
        source: str = "",
    ) -> tuple[int, int, int, tuple[Conflict, ...]]:
        """Keep checked results, all or none. Returns new (with corrections), corrections among them, known already, conflicts.

        When this returns, the results are on disk.
        """
        with writing(self.engine) as connection:
            return self.take(
                connection, results, known_on=known_on, by=by, role=role, purpose=purpose, source=source
            )

    def take(
        self,
        connection: Connection,
        results: Sequence[Result],
        *,
        known_on: dt.date,
        by: str,
        role: str,
        purpose: str,
        source: str,
    ) -> tuple[int, int, int, tuple[Conflict, ...]]:
        """The same inside a writing transaction: they are on disk when that ends."""
        new = corrected = unchanged = 0
        touched: set[tuple[str, str, str]] = set()
        about = {row.list_hash: row for row in connection.execute(select(lists))}
        for result in results:
            at = about[result.list_hash]
            event = _event_id(at.county_code, at.cycle, result)
            newest = connection.execute(
                select(visits.c.version, visits.c.content_hash)
                .where(visits.c.event_id == event)
                .order_by(visits.c.version.desc())
            ).first()
            if newest is not None and newest.content_hash == result.content:
                unchanged += 1
                continue
            origin = connection.execute(
                select(list_rows.c.listed_as).where(
                    list_rows.c.list_hash == result.list_hash, list_rows.c.household_id == result.household_id
                )
            ).scalar_one()
            connection.execute(
                visits.insert().values(
                    event_id=event,
                    version=1 if newest is None else newest.version + 1,
                    content_hash=result.content,
                    list_hash=result.list_hash,
                    household_id=result.household_id,
                    visited_on=result.visited_on,
                    known_on=known_on,
                    recorded_at=audit.now(),
                    recorded_by=by,
                    origin=ORIGINS[origin],
                    outcome=result.outcome,
                    risk_kinds=result.risk_kinds,
                    disagreement=result.disagreement,
                    visitor=result.visitor,
                    note=result.note,
                )
            )
            audit.append(
                connection,
                actor=by,
                role=role,
                purpose=purpose,
                action="result corrected" if newest else "result recorded",
                subject=result.household_id,
                model_version=at.model_version,
                details={"event_id": event, "cycle": at.cycle, "content": result.content, "source": source},
            )
            new += 1
            corrected += newest is not None
            touched.add((at.county_code, at.cycle, result.household_id))
        conflicts = self.conflicts(connection, touched)
        return new, corrected, unchanged, conflicts

    @staticmethod
    def conflicts(connection: Connection, touched: Iterable[tuple[str, str, str]]) -> tuple[Conflict, ...]:
        """Those of the named households (county, cycle, household_id) whose visitors in the cycle contradict each other."""
        found = []
        for county, cycle, household in sorted(touched):
            said = connection.execute(
                select(visits)
                .join(lists, lists.c.list_hash == visits.c.list_hash)
                .where(
                    lists.c.county_code == county, lists.c.cycle == cycle, visits.c.household_id == household
                )
                .order_by(visits.c.number)
            )
            newest = {row.event_id: row for row in said}
            met = [row for row in newest.values() if row.outcome != "unreachable"]
            if len({(row.outcome, row.risk_kinds) for row in met}) > 1:
                words = (
                    f"{row.outcome} {row.risk_kinds} on {row.visited_on} by team {row.visitor or '?'}"
                    for row in met
                )
                found.append(Conflict(household, tuple(" ".join(text.split()) for text in words)))
        return tuple(found)

    def verifications(self) -> pl.DataFrame:
        """All results as rows of the contract's `verifications` table; a correction on a later day is a later version of its event."""
        with reading(self.engine) as connection:
            rows = (
                connection.execute(select(visits).order_by(visits.c.event_id, visits.c.version))
                .mappings()
                .all()
            )
        newest = {(row["event_id"], row["known_on"]): row for row in rows}
        names = ("event_id", "household_id", "occurred_on", "known_on", "origin", "outcome", "risk_kinds")
        values = [
            (
                row["event_id"],
                row["household_id"],
                row["visited_on"],
                row["known_on"],
                row["origin"],
                row["outcome"],
                row["risk_kinds"] or None,
            )
            for row in newest.values()
        ]
        kinds = {name: pl.Date if name.endswith("_on") else pl.String for name in names}
        return pl.DataFrame(values, schema=kinds, orient="row")

    def with_results(self, tables: Tables) -> Tables:
        """The tables with this casebook's results among their verifications; rows that the county brought back itself win."""
        ours = self.verifications()
        theirs = tables.get("verifications")
        ours = ours.join(theirs.select("event_id").unique(), on="event_id", how="anti")
        ours = ours.join(
            tables.get("households").select("household_id").unique(), on="household_id", how="semi"
        )
        if not ours.height:
            return tables
        plain = theirs.drop("replaced_on").with_columns(
            pl.col("origin", "outcome", "object_class").cast(pl.String)
        )
        together = pl.concat(
            [plain, ours.with_columns(object_class=pl.lit(None, pl.String)).select(plain.columns)]
        )
        fresh = from_frames({"verifications": together})
        return Tables({**tables.frames, "verifications": fresh["verifications"]}, tables.hashes)

    def last_list(self, county_code: str, *, before: dt.date) -> VisitList | None:
        """The list in force before a day, as far as the next one needs it: rows and rules met. None: there was none."""
        with reading(self.engine) as connection:
            head = connection.execute(
                select(lists)
                .where(lists.c.county_code == county_code, lists.c.as_of < before)
                .order_by(lists.c.as_of.desc(), lists.c.issued_number.desc())
                .limit(1)
            ).first()
            if head is None:
                return None
            key = head.list_hash
            contents = connection.execute(
                select(list_rows.c.content).where(list_rows.c.list_hash == key).order_by(list_rows.c.place)
            )
            frame = rows_again(list(contents.scalars()))
            hits = connection.execute(
                select(rules_met.c.household_id, rules_met.c.rule, rules_met.c.since).where(
                    rules_met.c.list_hash == key
                )
            ).all()
            population = _population(connection, key)
        rule_schema = {"household_id": pl.String, "rule": pl.String, "since": pl.Date}
        return VisitList(
            **said_of(head),
            rows=frame,
            monitored=pl.DataFrame(),
            left_out=pl.DataFrame(),
            strata=strata_of(population),
            drawn_from=population,
            rules=pl.DataFrame([tuple(row) for row in hits], schema=rule_schema, orient="row"),
        )

    def checks(
        self, list_hash: str | None = None, *, county_code: str | None = None, since: dt.date | None = None
    ) -> pl.DataFrame:
        """What was found on lists and in their random checks, for `recall_from_checks`: one list, or the one in force of every cycle.

        county_code, since: only lists of this county, and as of this day or later.

        Columns: cycle, as_of, household_id, route (`listed`, `random_check`, `none`), inclusion_probability, label (1 confirmed, 0 no risk, missing:
        not visited or not reached), probability, stratum. The population is everybody who was listed or could be drawn; households left
        in peace after a recent visit, and checks carried over (they belong to the list that drew them), are not in it.
        """
        with reading(self.engine) as connection:
            heads = connection.execute(select(lists).order_by(lists.c.issued_number)).all()
            # Of several lists of a cycle the newest is the one in force.
            in_force = {(head.county_code, head.cycle): head for head in heads}.values()
            wanted = [
                head
                for head in (heads if list_hash else in_force)
                if list_hash in (None, head.list_hash)
                and county_code in (None, head.county_code)
                and (since is None or head.as_of >= since)
            ]
            found = connection.execute(select(visits).order_by(visits.c.visited_on, visits.c.number)).all()
            parts = [self._checks(connection, head, found) for head in wanted]
        kinds = {
            "cycle": pl.String,
            "as_of": pl.Date,
            "household_id": pl.String,
            "route": pl.String,
            "inclusion_probability": pl.Float64,
        }
        kinds |= {"label": pl.Int64, "probability": pl.Float64, "stratum": pl.String}
        return pl.DataFrame([row for part in parts for row in part], schema=kinds, orient="row")

    @staticmethod
    def _checks(connection: Connection, head: Any, found: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows = connection.execute(
            select(list_rows.c.household_id, list_rows.c.listed_as, list_rows.c.content).where(
                list_rows.c.list_hash == head.list_hash
            )
        )
        listed = {
            row.household_id: json.loads(row.content)["probability"]
            for row in rows
            if row.listed_as != "random_check"
        }
        # The first decisive result after the list counts: a drawn household may be met one cycle later.
        said: dict[str, int] = {}
        for visit in found:
            if visit.visited_on >= head.as_of and visit.outcome in ("risk_confirmed", "no_risk"):
                said.setdefault(visit.household_id, int(visit.outcome == "risk_confirmed"))
        table: list[tuple[Any, ...]] = [
            (head.cycle, head.as_of, name, "listed", 1.0, said.get(name), probability, "listed")
            for name, probability in sorted(listed.items())
        ]
        for name, probability, stratum, chance, drawn in _population(connection, head.list_hash).iter_rows():
            route = "random_check" if drawn else "none"
            table.append(
                (
                    head.cycle,
                    head.as_of,
                    name,
                    route,
                    chance,
                    said.get(name) if drawn else None,
                    probability,
                    stratum,
                )
            )
        return table

    def recall(
        self,
        list_hash: str | None = None,
        *,
        county_code: str | None = None,
        since: dt.date | None = None,
        sweeps: Tables | None = None,
        length: dt.timedelta | None = None,
    ) -> CheckedRecall:
        """Recall, miss rate and calibration of the lists together, from random checks with their chances; `not_estimable` without them.

        list_hash, county_code, since: which lists, as in `checks`; all cycles by default, because checks of many cycles add up. sweeps: the
        county's tables; villages that its sweep saw whole within `length` (a month by default) after a list are counted
        instead of estimated.
        """
        checks = self.checks(list_hash, county_code=county_code, since=since)
        if sweeps is not None:
            checks = count_sweeps(checks, sweeps, length or cycle_length("month"))
        return recall_from_checks(checks, layers=("cycle", "stratum"))

    def disagreements(self) -> dict[str, int]:
        """How often visitors disagreed, by kind of reason; newest versions only. By no place and no person: it is the feature backlog."""
        with reading(self.engine) as connection:
            said = connection.execute(
                select(visits.c.event_id, visits.c.disagreement).order_by(visits.c.number)
            )
            newest = {row.event_id: row.disagreement for row in said}
        counts: dict[str, int] = {}
        for kind in newest.values():
            if kind:
                counts[kind] = counts.get(kind, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def audit_head(self) -> audit.Head:
        """The newest entry of the audit, to be exported daily."""
        with reading(self.engine) as connection:
            return audit.head(connection)

    def audit_faults(self, exported: audit.Head | None = None) -> list[str]:
        """What is wrong with the audit; empty if the chain holds."""
        with reading(self.engine) as connection:
            return audit.verify(connection, exported)

    def audit_findings(self, exported: audit.Head | None = None) -> audit.AuditFindings:
        """The head, and what is wrong with the chain; `exported`: a head that was written down before."""
        with reading(self.engine) as connection:
            return audit.AuditFindings(audit.head(connection), tuple(audit.verify(connection, exported)))

    def audit_page(
        self, *, since: int = 0, limit: int = 100, actor: str | None = None, action: str | None = None
    ) -> dict[str, Any]:
        """Entries from a number on (of one actor or action), the number where the next page begins, and the head of the whole chain."""
        with reading(self.engine) as connection:
            some = list(islice(audit.entries(connection, since=since, actor=actor, action=action), limit + 1))
            newest = audit.head(connection)
        more = some[limit]["number"] if len(some) > limit else None
        return {
            "entries": some[:limit],
            "next_since": more,
            "head": {"number": newest.number, "hash": newest.hash},
        }

    def note(self, **entry: Any) -> audit.Head:
        """Add one entry to the audit; keys as in `audit.append`."""
        with writing(self.engine) as connection:
            return audit.append(connection, **entry)


def issue(project: Project, visit_list: VisitList, *, by: str = "command line") -> bool:
    """Keep a list in the casebook of the project, so that its results can be taken in. False: it is there already."""
    book = Casebook.of(project)
    try:
        return book.issue(visit_list, by=by)
    finally:
        book.close()


def next_list(
    project: Project,
    scores: Any,
    tables: Tables,
    as_of: dt.date,
    *,
    capacity: int | None = None,
    issue: bool = False,
    by: str = "command line",
) -> VisitList:
    """The list of a day, with what the casebook knows: results recorded so far, and what is left of the last list.

    capacity: visits that can be given; by default that of the settings. `issue`: keep it as given out, so that its results can be taken in.
    """
    settings = load_settings(project)
    capacity = settings.capacity if capacity is None else capacity
    book = Casebook.of(project)
    try:
        known = book.with_results(tables)
        counties = tables.get("households")["county_code"].unique().to_list()
        previous = book.last_list(counties[0], before=as_of) if len(counties) == 1 else None
        # On the first list nothing says which rules are newly met: they are worked out for the day a cycle ago.
        ruled = any(name.startswith("rule_") for name in getattr(scores, "frame", scores).columns)
        first = previous is None and ruled
        before = rules_on(project, known, as_of - cycle_length(settings.cycle)) if first else None
        visit_list = screening_list(
            scores, known, as_of, capacity=capacity, settings=settings, previous=previous, rules_before=before
        )
        if issue:
            book.issue(visit_list, by=by)
            if "horizon_months" in getattr(scores, "frame", scores).columns:
                book.keep_scores(scores, by=by)
        return visit_list
    finally:
        book.close()


def rules_on(project: Project, tables: Tables, day: dt.date) -> pl.DataFrame | None:
    """Department rules of everybody in force on a day (household_id and `rule_…` columns); None where the county is not known so early."""
    if day < tables.get("households")["known_on"].min():  # type: ignore[operator]
        return None
    matrix = build(tables, day, catalogue=load_catalogue(project), policy=Policy.load(project, tables))
    rules = {name: matrix.column(name) for name in matrix.names if name.startswith("rule_")}
    return pl.DataFrame({"household_id": pl.Series(matrix.household_id.tolist(), dtype=pl.String), **rules})


def record(
    project: Project, file: str | Path, *, by: str = "command line", today: dt.date | None = None
) -> Recorded:
    """Take the results of a filled list (workbook or CSV) into the casebook.

    Every row is accepted, or refused with its reason; refused rows come back in `<file>-returned.xlsx` beside the file. The same file
    twice changes nothing. Raises UserError if the whole file cannot be taken: not readable, not one of this project's lists.
    """
    path = Path(file)
    filled = read_filled(path)
    settings = load_settings(project)
    book = Casebook.of(project)
    try:
        known_lists = book.open_lists(row.list_hash for row in filled.rows)
        judged: Judged = judge(filled, known_lists, settings, today or dt.date.today())
        source = f"{path.name} {filled.hash[:16]}"
        known_on = today or dt.date.today()
        new, corrected, unchanged, conflicts = book.take_in(
            judged.accepted, known_on=known_on, by=by, source=source
        )
    finally:
        book.close()
    returned = path.with_name(f"{path.stem}-returned.xlsx") if judged.refused else None
    if returned is not None:
        write_bytes(returned, returned_bytes(judged.refused, settings))
    return Recorded(path, new, corrected, unchanged, judged.empty, judged.refused, conflicts, returned)


def _population(connection: Connection, list_hash: str) -> pl.DataFrame:
    columns = (drawn_from.c.household_id, drawn_from.c.probability, drawn_from.c.stratum)
    chance = (drawn_from.c.inclusion_probability, drawn_from.c.drawn)
    rows = connection.execute(
        select(*columns, *chance)
        .where(drawn_from.c.list_hash == list_hash)
        .order_by(drawn_from.c.household_id)
    ).all()
    kinds = (pl.String, pl.Float64, pl.String, pl.Float64, pl.Boolean)
    names = ("household_id", "probability", "stratum", "inclusion_probability", "drawn")
    return pl.DataFrame(
        [tuple(row) for row in rows], schema=dict(zip(names, kinds, strict=True)), orient="row"
    )


def _rows_of(visit_list: VisitList) -> list[dict[str, Any]]:
    name = visit_list.hash
    rows: list[dict[str, Any]] = []
    for place, row in enumerate(visit_list.rows.iter_rows(named=True)):
        content = {
            name: value.isoformat() if isinstance(value, dt.date) else value for name, value in row.items()
        }
        kept = (
            "household_id",
            "number",
            "township_code",
            "village_code",
            "grade",
            "listed_as",
            "stratum",
            "inclusion_probability",
        )
        rows.append(
            {"list_hash": name, "place": place}
            | {name: row[name] for name in kept}
            | {
                "risk_kinds": row["risk_kinds"],
                "content": json.dumps(content, ensure_ascii=False, sort_keys=True),
            }
        )
    return rows


def _insert(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def recorded_in(connection: Connection, county: str, cycle: str) -> frozenset[str]:
    """Contents (`Result.content`) of a cycle's results as they stand: of each event the newest version alone."""
    wanted = (
        select(visits.c.event_id, visits.c.content_hash)
        .join(lists, lists.c.list_hash == visits.c.list_hash)
        .where(lists.c.county_code == county, lists.c.cycle == cycle)
        .order_by(visits.c.version)
    )
    return frozenset({row.event_id: row.content_hash for row in connection.execute(wanted)}.values())


def _event_id(county: str, cycle: str, result: Result) -> str:
    """One event for each household, cycle and team. Without a team, each different result is an event of its own, and both are shown."""
    who = result.visitor or result.content
    return (
        "visit-"
        + hashlib.sha256("\x1f".join((county, cycle, result.household_id, who)).encode()).hexdigest()[:40]
    )
