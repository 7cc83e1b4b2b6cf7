"""The casebook: lists that were issued, results of visits, and recall computed from both."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, func, select

from riskmodel import settings
from riskmodel.casebook import audit, checks, results, schema, seals
from riskmodel.casebook.beside import open_casebook
from riskmodel.casebook.lookups import visits_found
from riskmodel.casebook.not_listed import keep_not_listed
from riskmodel.casebook.results import Conflict, Intake, Superseded
from riskmodel.casebook.schema import assignments, cycles, drawn_from, list_rows, lists, rules_met, visits
from riskmodel.casebook.scorings import keep_scoring
from riskmodel.casebook.store import address, reading, writing
from riskmodel.casebook.stored import PARTS, list_fields, marked_list, rows_from_json
from riskmodel.casebook.sweeps import count_sweeps
from riskmodel.errors import Fault, UserError
from riskmodel.features import build, load_catalogue
from riskmodel.files import replacing, write_bytes
from riskmodel.policy import Policy
from riskmodel.project import Project
from riskmodel.screening.scored import Scored, frame_of
from riskmodel.tables import Tables, from_frames
from riskmodel.training.random_checks import CheckedRecall, recall_from_checks
from riskmodel.visits.draws import strata_of
from riskmodel.visits.filled import read_filled
from riskmodel.visits.forms import team_key
from riskmodel.visits.grades import with_grades
from riskmodel.visits.listing import county_of, screening_list
from riskmodel.visits.returns import Judged, OpenList, Refusal, Result, judge, returned_bytes
from riskmodel.visits.visit_list import VisitList, cycle_length


@dataclass(frozen=True)
class Recorded:
    """What became of a filled file. accepted: new results; corrected: of them, corrections of the same team;
    unchanged: known already; open: rows without a result; refused: with reasons; conflicts: households whose
    teams contradict each other; returned: the file of refused rows; superseded: results that were corrected
    or withdrawn since, and were not taken again; notes: what of the file was not read.
    """

    file: Path
    accepted: int
    corrected: int
    unchanged: int
    open: int
    refused: tuple[Refusal, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    returned: Path | None = None
    superseded: tuple[Superseded, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()

    def text(self) -> str:
        """In words, for the person who handed the file in."""
        lines = [
            f"{self.file.name}: {self.accepted} results recorded ({self.corrected} of them corrections), "
            f"{self.unchanged} known already, {len(self.superseded)} corrected or withdrawn since, "
            f"{len(self.refused)} refused, {self.open} rows without a result yet."
        ]
        shown = [
            f"  row {refusal.row.place}, {refusal.row.cells.get('household_id', '')}: "
            + "; ".join(en for _, en in refusal.reasons)
            for refusal in self.refused
        ]
        shown += [f"  row {one.line}, {one.household_id}: {one.reasons[1]}" for one in self.superseded]
        lines += shown[:10]
        if len(shown) > 10:
            lines.append(f"  … and {len(shown) - 10} more.")
        lines += [f"  {en}" for _, en in self.notes]
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
        """The casebook of a project: SQLite in its folder, or the database that RISKMODEL_DATABASE_URL names.

        Raises UserError where the project had one and it is missing or empty: no new one takes its place
        unseen.
        """
        return cls(open_casebook(project, address(project)))

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def issue(
        self,
        visit_list: VisitList,
        *,
        scores: Scored | None = None,
        by: str = "command line",
        purpose: str = "visit list",
    ) -> bool:
        """Keep a list that is given out, and its scores, in one transaction. False: the same list is there
        already.

        scores: of the list's day, with the list's grades; those that are there already stay as they are.
        Raises UserError for a closed cycle.
        """
        with writing(self.engine) as connection:
            new = self._keep_list(connection, visit_list, by=by, purpose=purpose)
            if scores is not None:
                keep_scoring(connection, scores, by=by)
        return new

    def _keep_list(self, connection: Connection, visit_list: VisitList, *, by: str, purpose: str) -> bool:
        """Insert a list with its rows, teams, draw, rules, absences and audit entry. False: it is there
        already.
        """
        name = visit_list.hash
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
            row for row in visit_list.rows.select("household_id", "team").iter_rows(named=True) if row["team"]
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
        keep_not_listed(connection, visit_list)
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
                "seal": seals.seal_of_list(connection, name),
            },
        )
        return True

    def keep_scores(self, scores: Scored, *, by: str = "command line") -> int:
        """Keep scores (a Scores, or a frame with its columns) for a household's history. Scores that are
        there already stay as they are.

        Returns how many are new.
        """
        with writing(self.engine) as connection:
            return keep_scoring(connection, scores, by=by)

    def history(self, household_id: str) -> pl.DataFrame:
        """The kept scores of a household, oldest first: as_of, horizon_months, model_version, probability,
        low, high, rank.
        """
        names = ("as_of", "horizon_months", "model_version", "probability", "low", "high", "rank")
        with reading(self.engine) as connection:
            wanted = select(*(schema.scores.c[name] for name in names)).where(
                schema.scores.c.household_id == household_id
            )
            rows = connection.execute(
                wanted.order_by(schema.scores.c.as_of, schema.scores.c.horizon_months)
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
        """The county of a cycle that is given out in one county only. Raises UserError where several have it,
        or there is none.
        """
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

    def close_cycle(
        self, county_code: str, cycle: str, *, by: str, waive: Mapping[str, str] | None = None
    ) -> None:
        """Close a cycle: its results are refused from now on.

        waive: household -> reason, for each household whose results contradict each other. Raises UserError
        for a cycle that is not there or is closed already, and for a contradiction that is neither cleared up
        nor waived.
        """
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
            results.waived(results.conflicts_of_cycle(connection, county_code, cycle), waive or {}, cycle)
            connection.execute(cycles.update().where(key).values(closed_at=audit.now()))
            audit.append(
                connection,
                actor=by,
                action="cycle closed",
                subject=f"{county_code} {cycle}",
                details={"waived": dict(waive)} if waive else None,
            )

    def open_lists(self, named: Iterable[str] | None = None) -> dict[str, OpenList]:
        """Every list that was given out, by hash. `named`: only these come with their households, which saves
        reading years of them.
        """
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
                known = results.recorded_in(connection, row.county_code, row.cycle)
            households = frozenset(named.get(row.list_hash, ()))
            found[row.list_hash] = OpenList(
                list_hash=row.list_hash,
                cycle=row.cycle,
                as_of=row.as_of,
                closed=bool(row.closed_at),
                households=households,
                recorded=known,
            )
        return found

    def take_in(
        self,
        some: Sequence[Result],
        *,
        known_on: dt.date,
        by: str,
        role: str = "",
        purpose: str = "verification",
        source: str = "",
    ) -> Intake:
        """Keep checked results, all or none. When this returns, they are on disk."""
        with writing(self.engine) as connection:
            return results.take(
                connection, some, known_on=known_on, by=by, role=role, purpose=purpose, source=source
            )

    def withdraw(
        self,
        household_id: str,
        cycle: str,
        *,
        reason: str,
        by: str,
        on: dt.date,
        team: str | None = None,
        county_code: str | None = None,
    ) -> Conflict:
        """Take back a result of a household in a cycle, with the reason; the row stays, and no reader counts
        it. Returns it in words.

        team, county_code: needed where several teams have a result, or several counties the household. Raises
        UserError as `results.withdraw`.
        """
        wanted = results.in_force().where(lists.c.cycle == cycle, visits.c.household_id == household_id)
        if county_code is not None:
            wanted = wanted.where(lists.c.county_code == county_code)
        with writing(self.engine) as connection:
            if team is not None:
                mine = connection.execute(wanted).all()
                numbers = [row.number for row in mine if team_key(row.visitor) == team_key(team)]
                wanted = wanted.where(visits.c.number.in_(numbers))
            where = f"{household_id} in cycle {cycle}" + (f", team {team}" if team is not None else "")
            row = results.withdraw(connection, wanted, where=where, reason=reason, by=by, on=on)
        return Conflict(household_id, (results.visit_in_words(row.visited_on, row.visitor, row.outcome),))

    def verifications(self) -> pl.DataFrame:
        """All results as rows of the contract's `verifications` table, see `results.verifications`."""
        with reading(self.engine) as connection:
            return results.verifications(connection).drop("county_code")

    def with_results(self, tables: Tables) -> Tables:
        """The tables with this casebook's results among their verifications; rows that the county brought
        back itself win.

        Only results of counties in which the tables know the household: a visit in another county stays
        there.
        """
        with reading(self.engine) as connection:
            ours = results.verifications(connection)
        theirs = tables.get("verifications")
        ours = ours.join(theirs.select("event_id").unique(), on="event_id", how="anti")
        homes = (
            tables.get("households").select("household_id", pl.col("county_code").cast(pl.String)).unique()
        )
        ours = ours.join(homes, on=["household_id", "county_code"], how="semi")
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
        """The list in force before a day, as far as the next one needs it: rows and rules met. None: there
        was none.
        """
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
            frame = rows_from_json(list(contents.scalars()))
            hits = connection.execute(
                select(rules_met.c.household_id, rules_met.c.rule, rules_met.c.since).where(
                    rules_met.c.list_hash == key
                )
            ).all()
            population = checks.population(connection, key)
        rule_schema = {"household_id": pl.String, "rule": pl.String, "since": pl.Date}
        return VisitList(
            **list_fields(head),
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
        """What was found on lists and in their random checks, see `checks.checks`."""
        with reading(self.engine) as connection:
            return checks.checks(connection, list_hash, county_code=county_code, since=since)

    def recall(
        self,
        list_hash: str | None = None,
        *,
        county_code: str | None = None,
        since: dt.date | None = None,
        sweeps: Tables | None = None,
        length: dt.timedelta | None = None,
    ) -> CheckedRecall:
        """Recall, miss rate and calibration of the lists together, from random checks with their chances;
        `not_estimable` without them.

        list_hash, county_code, since: which lists, as in `checks`; all cycles by default, because checks of
        many cycles add up. sweeps: the county's tables; villages that its sweep saw whole within `length` (a
        month by default) after a list are counted instead of estimated.
        """
        table = self.checks(list_hash, county_code=county_code, since=since)
        if sweeps is not None:
            table = count_sweeps(table, sweeps, length or cycle_length("month"))
        return recall_from_checks(table, layers=("cycle", "stratum"))

    def disagreements(self) -> dict[str, int]:
        """How often visitors disagreed with the reasons, see `results.disagreements`: it is the feature
        backlog.
        """
        with reading(self.engine) as connection:
            return results.disagreements(connection)

    def audit_head(self) -> audit.Head:
        """The newest entry of the audit, to be exported daily."""
        with reading(self.engine) as connection:
            return audit.head(connection)

    def audit_faults(self, exported: audit.Head | None = None) -> list[str]:
        """What is wrong with the audit; empty if the chain holds."""
        with reading(self.engine) as connection:
            return audit.verify(connection, exported)

    def content_faults(self) -> list[str]:
        """Which rows of lists, draws, scores, keys and results do not fit the hashes in the audit; empty if
        all do.
        """
        with reading(self.engine) as connection:
            return seals.content_faults(connection)

    def audit_findings(self, exported: audit.Head | None = None) -> audit.AuditFindings:
        """The head, and what is wrong with the chain or does not fit it; `exported`: a head that was written
        down before.
        """
        with reading(self.engine) as connection:
            faults = (*audit.verify(connection, exported), *seals.content_faults(connection))
            return audit.AuditFindings(audit.head(connection), faults)

    def audit_page(
        self, *, since: int = 0, limit: int = 100, actor: str | None = None, action: str | None = None
    ) -> dict[str, Any]:
        """Entries from a number on (of one actor or action), the number where the next page begins, and the
        head of the whole chain.
        """
        with reading(self.engine) as connection:
            wanted = audit.entries(connection, since=since, actor=actor, action=action, limit=limit + 1)
            some = list(wanted)
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


def next_list(
    project: Project,
    scores: Scored,
    tables: Tables,
    as_of: dt.date,
    *,
    capacity: int | None = None,
    county: str | None = None,
    issue: bool = False,
    write: Callable[[VisitList], object] | None = None,
) -> VisitList:
    """The list of a day, with what the casebook knows: results recorded so far, and what is left of the last
    list.

    capacity: visits that can be given; by default that of the settings. county: code of the county, where the
    tables hold several. `issue`: keep it as given out, so that its results can be taken in; the scores are
    kept with the grades of the list. write: called with the list before the casebook keeps it, to write its
    files; where it raises, nothing is kept.
    """
    screening = settings.load_settings(project)
    capacity = screening.capacity if capacity is None else capacity
    book = Casebook.of(project)
    try:
        known = book.with_results(tables)
        code = county or county_of(frame_of(scores), known, as_of)
        previous = None if code is None else book.last_list(code, before=as_of)
        # The first list has no list before it to compare with: the rules are computed for the day a cycle
        # ago.
        ruled = any(name.startswith("rule_") for name in frame_of(scores).columns)
        first = previous is None and ruled
        before = rules_on(project, known, as_of - cycle_length(screening.cycle)) if first else None
        visit_list = screening_list(
            scores,
            known,
            as_of,
            capacity=capacity,
            settings=screening,
            previous=previous,
            rules_before=before,
            county=county,
        )
        visit_list = _with_late_results(book, visit_list)
        if not issue:
            return visit_list
        with reading(book.engine) as connection:
            visited = visits_found(connection, _window(visit_list), [visit_list.county_code])
        given_out = marked_list(visit_list, visited)
        if write is not None:
            write(given_out)
        scored = "horizon_months" in frame_of(scores).columns
        book.issue(visit_list, scores=with_grades(scores, visit_list.grades) if scored else None)
        return given_out
    finally:
        book.close()


def _window(visit_list: VisitList) -> results.Window:
    return results.Window.of(visit_list.county_code, visit_list.cycle, visit_list.as_of, visit_list.settings)


def _with_late_results(book: Casebook, visit_list: VisitList) -> VisitList:
    """The list with a note on the results that came too late for it, where there are any."""
    with reading(book.engine) as connection:
        late = results.late_results(connection, _window(visit_list))
    if not late:
        return visit_list
    note = (
        (
            f"另有{late}户在{visit_list.as_of}（含）前已走访，结果在此之后才录入，生成清单时不计；"
            "页面和下载的清单会标明。"
        ),
        f"{late} households were visited up to {visit_list.as_of}, but their results came in later: "
        "the list was made without them; the page and downloaded lists show them.",
    )
    return replace(visit_list, notes=(*visit_list.notes, note))


def rules_on(project: Project, tables: Tables, day: dt.date) -> pl.DataFrame | None:
    """Department rules of everybody in force on a day (household_id and `rule_…` columns); None where the
    county is not known so early.
    """
    if day < tables.get("households")["known_on"].min():  # type: ignore[operator]
        return None
    matrix = build(tables, day, catalogue=load_catalogue(project), policy=Policy.load(project, tables))
    rules = {name: matrix.column(name) for name in matrix.names if name.startswith("rule_")}
    return pl.DataFrame({"household_id": pl.Series(matrix.household_id.tolist(), dtype=pl.String), **rules})


def record(
    project: Project, file: str | Path, *, by: str = "command line", today: dt.date | None = None
) -> Recorded:
    """Take the results of a filled list (workbook or CSV) into the casebook.

    Every row is accepted, or refused with its reason; refused rows come back in `<file>-returned.xlsx` beside
    the file. The same file twice changes nothing, nor does an older file whose results were corrected since.
    Raises UserError if the whole file cannot be taken: not readable, not one of this project's lists, or the
    refused rows cannot be written; nothing is recorded then.
    """
    path = Path(file)
    filled = read_filled(path)
    screening = settings.load_settings(project)
    book = Casebook.of(project)
    try:
        known_lists = book.open_lists(row.list_hash for row in filled.rows)
        known_on = today or settings.today(screening)
        judged: Judged = judge(filled, known_lists, screening, known_on)
        source = f"{path.name} {filled.hash[:16]}"
        returned = path.with_name(f"{path.stem}-returned.xlsx") if judged.refused else None
        with replacing(returned) if returned is not None else nullcontext() as draft:
            if draft is not None:  # on disk before anything is recorded, under its name afterwards
                write_bytes(draft, returned_bytes(judged.refused, screening))
            intake = book.take_in(judged.accepted, known_on=known_on, by=by, source=source)
    finally:
        book.close()
    return Recorded(
        file=path,
        accepted=intake.accepted,
        corrected=intake.corrected,
        unchanged=intake.unchanged,
        open=judged.empty,
        refused=judged.refused,
        conflicts=intake.conflicts,
        returned=returned,
        superseded=intake.superseded,
        notes=filled.notes,
    )


def _rows_of(visit_list: VisitList) -> list[dict[str, Any]]:
    name = visit_list.hash
    rows: list[dict[str, Any]] = []
    for place, row in enumerate(visit_list.rows.iter_rows(named=True)):
        content = {
            name: value.isoformat() if isinstance(value, dt.date) else value for name, value in row.items()
        }
        known = visit_list.parts.get(row["household_id"])
        parts = {} if known is None else {PARTS: known.stored()}
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
                "content": json.dumps(content | parts, ensure_ascii=False, sort_keys=True),
            }
        )
    return rows


def _insert(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)
