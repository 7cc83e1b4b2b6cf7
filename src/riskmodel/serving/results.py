"""Results of visits that come by the API: judged by the same rules as a filled file, kept in one transaction
with their audit and their answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from riskmodel.casebook.areas import within
from riskmodel.casebook.credentials import keep_answer, kept_answer
from riskmodel.casebook.results import (
    Conflict,
    Superseded,
    conflicts,
    in_force,
    recorded_in,
    take,
    withdraw,
)
from riskmodel.casebook.roles import Who
from riskmodel.casebook.schema import cycles, list_rows, lists, visits
from riskmodel.casebook.store import writing
from riskmodel.errors import UserError
from riskmodel.serving import shapes
from riskmodel.serving.state import ServiceState
from riskmodel.settings import today
from riskmodel.visits.filled import FilledFile, FilledRow
from riskmodel.visits.forms import RISK_COLUMNS, team_key
from riskmodel.visits.returns import Judged, OpenList, judge

ROUTE: Final = "POST /v1/verifications"
NOT_LISTED: Final = (
    "该户不在本清单（或不在本密钥的范围）",
    "no such household is on this list, within the areas of this key",
)


class NotWithdrawn(UserError):
    """A result that cannot be withdrawn: there is none in force, or the reason is missing or identifies a
    person.
    """


class OtherRequest:
    """The idempotency key was used for another request."""


def take_in(state: ServiceState, who: Who, asked: shapes.Verifications) -> bytes | OtherRequest | None:
    """Keep what is accepted, and answer row by row. The same request again gets the same answer; None: no
    such list for this key.

    When this returns, results, audit entries and the answer are on disk, or none of them.
    """
    request_hash = hashlib.sha256(asked.model_dump_json().encode()).hexdigest()
    settings = state.settings.screening
    day = today(settings)
    with writing(state.book.engine) as connection:
        before = kept_answer(connection, who.key_id, ROUTE, asked.idempotency_key)
        if before is not None:
            return before[1] if before[0] == request_hash else OtherRequest()
        open_list = _open_list(connection, who, asked)
        if open_list is None:
            return None
        judged = judge(_as_filled(asked), {open_list.list_hash: open_list}, settings, day)
        intake = take(
            connection,
            judged.accepted,
            known_on=day,
            by=who.key_id,
            role=who.role,
            purpose=who.purpose,
            source="api",
        )
        refused = _refused(judged, open_list.households) + _not_again(intake.superseded)
        answer = shapes.Taken(
            accepted=intake.accepted,
            corrected=intake.corrected,
            unchanged=intake.unchanged,
            refused=sorted(refused, key=lambda one: one.row),
            conflicts=conflicting(intake.conflicts),
        )
        content = answer.model_dump_json().encode()
        keep_answer(connection, who.key_id, ROUTE, asked.idempotency_key, request_hash, content)
    return content


def take_back(state: ServiceState, who: Who, asked: shapes.Withdrawal) -> shapes.Withdrawn | None:
    """Withdraw a result of a team on a list, with the reason; None: no such list or household within the
    areas of this key.

    Raises NotWithdrawn for a reason that is missing or identifies a person, and where there is no result in
    force.
    """
    day = today(state.settings.screening)
    with writing(state.book.engine) as connection:
        row = connection.execute(
            select(lists.c.county_code, lists.c.cycle)
            .join(list_rows, list_rows.c.list_hash == lists.c.list_hash)
            .where(
                lists.c.list_hash == asked.list_hash,
                list_rows.c.household_id == asked.household_id,
                within(list_rows.c.village_code, who.areas),
            )
        ).first()
        if row is None:
            return None
        mine = in_force(who.areas).where(
            lists.c.county_code == row.county_code,
            lists.c.cycle == row.cycle,
            visits.c.household_id == asked.household_id,
        )
        numbers = [
            one.number for one in connection.execute(mine) if team_key(one.visitor) == team_key(asked.visitor)
        ]
        try:
            withdraw(
                connection,
                mine.where(visits.c.number.in_(numbers)),
                where="result",
                reason=asked.reason,
                by=who.key_id,
                on=day,
                role=who.role,
                purpose=who.purpose,
            )
        except UserError as error:
            raise NotWithdrawn(error.faults) from None
        left = conflicts(connection, [(row.county_code, row.cycle, asked.household_id)])
    return shapes.Withdrawn(household_id=asked.household_id, conflicts=conflicting(left))


def conflicting(some: Sequence[Conflict]) -> list[shapes.ConflictingResults]:
    """Contradictions as the API shows them."""
    return [
        shapes.ConflictingResults(
            household_id=one.household_id, visits=[shapes.Bilingual(zh=zh, en=en) for zh, en in one.visits]
        )
        for one in some
    ]


def _not_again(superseded: Sequence[Superseded]) -> list[shapes.RefusedResult]:
    """Results that were corrected or withdrawn since."""
    return [
        shapes.RefusedResult(
            row=one.line,
            household_id=one.household_id,
            reasons=[shapes.Bilingual(zh=one.reasons[0], en=one.reasons[1])],
        )
        for one in superseded
    ]


def _open_list(connection: Connection, who: Who, asked: shapes.Verifications) -> OpenList | None:
    """The list with the households that this key may see; None: it sees none of them."""
    row = connection.execute(
        select(lists.c.county_code, lists.c.cycle, lists.c.as_of, cycles.c.closed_at)
        .join(cycles, (cycles.c.county_code == lists.c.county_code) & (cycles.c.cycle == lists.c.cycle))
        .where(lists.c.list_hash == asked.list_hash)
    ).first()
    if row is None or (asked.cycle is not None and asked.cycle != row.cycle):
        return None
    mine = connection.execute(
        select(list_rows.c.household_id).where(
            list_rows.c.list_hash == asked.list_hash, within(list_rows.c.village_code, who.areas)
        )
    ).scalars()
    households = frozenset(mine)
    if not households:
        return None
    known = recorded_in(connection, row.county_code, row.cycle) if row.closed_at else frozenset[str]()
    return OpenList(
        list_hash=asked.list_hash,
        cycle=row.cycle,
        as_of=row.as_of,
        closed=bool(row.closed_at),
        households=households,
        recorded=known,
    )


def _as_filled(asked: shapes.Verifications) -> FilledFile:
    """The results as rows of the form: `line` is the place in `results`, from 0."""
    rows = []
    for place, result in enumerate(asked.results):
        risks = dict(zip(RISK_COLUMNS, result.risk_kinds, strict=False))
        cells = {
            "household_id": result.household_id,
            "visited_on": result.visited_on.isoformat(),
            "outcome": result.outcome,
            "disagreement": result.disagreement or "",
            "visitor": result.visitor.strip(),
            "note": result.note.strip(),
            **risks,
        }
        rows.append(FilledRow(place, asked.list_hash, cells))
    return FilledFile(Path("results"), tuple(rows), {}, "")


def _refused(judged: Judged, ours: frozenset[str]) -> list[shapes.RefusedResult]:
    """Refused rows as the API returns them. A household that is not on the list is not repeated: the cell may
    hold anything.
    """
    refused = []
    for refusal in judged.refused:
        name = refusal.row.cells["household_id"]
        reasons = [(zh, en) for zh, en in refusal.reasons if name in ours or name not in zh]
        if name not in ours:
            reasons.insert(0, NOT_LISTED)
        refused.append(
            shapes.RefusedResult(
                row=refusal.row.line,
                household_id=name if name in ours else None,
                reasons=[shapes.Bilingual(zh=zh, en=en) for zh, en in reasons],
            )
        )
    return refused
