"""The body of `POST /v1/scores`, from bytes to rows for the features: one way for every body.

Decode with the types of the contract, take the columns out of the rows, check them as arrays, write them into
records. Where a rule is not certainly kept (an id that may be somebody's number, a row twice, an owner that
is not there) the full checks of the tables decide, and report all faults.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import orjson
from msgspec import UNSET, Struct

from riskmodel.errors import Fault, UserError
from riskmodel.features.prepared import Prepared
from riskmodel.serving.bodies import repeated_keys
from riskmodel.serving.layout import Household, InDoubt, LaidOut, lay_out
from riskmodel.serving.request_faults import FAULTS_AT_MOST, faults_of_body
from riskmodel.serving.row_types import (
    DECODER,
    HOUSEHOLDS_AT_MOST,
    READ,
    ROWS_A_HOUSEHOLD,
    ROWS_AT_MOST,
    RequestBody,
    rows_at_most,
)
from riskmodel.tables import tables_of
from riskmodel.tables.schema import ID_RULE, TABLES, is_id

HORIZON_MONTHS: Final = 12


@dataclass(frozen=True)
class ReadRows:
    """Rows ready for the features, their households (in the order of `prepared.household_id`), and the number
    of rows received."""

    prepared: Prepared
    households: tuple[Household, ...]
    rows: int


@dataclass(frozen=True)
class Asked:
    """A request that was read: rows, or ids of stored households."""

    as_of: dt.date
    horizon: int
    key: str | None
    rows: ReadRows | None
    ids: Sequence[str] = ()


class BodyRefused(Exception):
    """The request is refused: status, one sentence, the first faults."""

    def __init__(self, status: int, detail: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults = status, detail, tuple(faults)


def refused(status: int, where: str, faults: Sequence[Fault], count: int | None = None) -> BodyRefused:
    """A refusal with the first faults and their number. where: such as "in the request"; count: how many
    there are, if not all are given."""
    number = len(faults) if count is None else count
    sentence = f"{number:,} fault{'s' if number != 1 else ''} {where}"
    if number > FAULTS_AT_MOST:
        sentence += f"; the first {FAULTS_AT_MOST} are listed"
    return BodyRefused(status, sentence, faults[:FAULTS_AT_MOST])


def read_plain(body: bytes) -> Asked | None:
    """Fast path: a request that is certainly valid; None otherwise: `read` then accepts it or reports its
    faults."""
    try:
        request = DECODER.decode(body)
        _check_size(request)
        return _asked(request, body, _laid_out(request))
    except (msgspec.DecodeError, RecursionError, InDoubt, BodyRefused):
        return None


def read(body: bytes, households: int = HOUSEHOLDS_AT_MOST) -> Asked:
    """Any request. households: the most that it may be of. Raises Refused with the first faults: 400 for
    its shape, 413 for its size, 422 for rows that break the data contract."""
    try:
        request = DECODER.decode(body)
    except msgspec.DecodeError as error:
        faults = faults_of_body(body, error)
        if not isinstance(error, msgspec.ValidationError):
            raise BodyRefused(400, "the body is not JSON", faults.first) from None
        raise refused(400, "in the request", faults.first, faults.count) from None
    except RecursionError:
        raise BodyRefused(400, "the body is nested too deeply") from None
    _check_size(request, households)
    try:
        return _asked(request, body, _laid_out(request))
    except InDoubt:
        pass
    repeated = repeated_keys(body)
    if repeated:
        raise refused(400, "in the request", repeated)
    if not _tables(request):  # a colon written as an escape, or the like: no key came twice
        return _asked(request, b"", None)
    given = {name: rows for name, rows in orjson.loads(body)["tables"].items() if rows is not None}
    try:
        tables_of(without_stays_elsewhere(given))
        laid_out = lay_out(_tables(request), checked=True)
    except UserError as error:
        raise refused(422, "in the rows", error.faults) from None
    except InDoubt:
        raise refused(422, "in the rows", _strange_ids(given)) from None
    return _asked(request, b"", laid_out)


def _tables(request: RequestBody) -> dict[str, list[Struct]]:
    """The tables of a request that are there; none where ids were sent."""
    tables = request.tables
    return (
        {}
        if tables is UNSET or tables is None
        else {n: rows for n in READ if isinstance(rows := getattr(tables, n), list)}
    )


def _check_size(request: RequestBody, most: int = HOUSEHOLDS_AT_MOST) -> None:
    """Refuse what is neither rows nor ids, or too much of them. most: households of a request."""
    tables, ids = _tables(request), request.household_ids
    if bool(tables) == isinstance(ids, list):
        found = "both" if tables else "neither"
        fault = Fault(
            "body",
            found,
            "either `tables` or `household_ids`",
            "Send rows, or ids of households that were scored in a batch run.",
        )
        raise refused(400, "in the request", [fault])
    if isinstance(ids, list):
        if len(ids) > most:
            raise too_many(0, len(ids), most)
        strange = [place for place, name in enumerate(ids) if not is_id(name)]
        if strange:
            faults = [
                Fault(f"household_ids.{place}", "a text that is no id", f"an id of {ID_RULE}", "Send the id.")
                for place in strange
            ]
            raise refused(400, "in the request", faults)
        return
    rows = sum(map(len, tables.values()))
    if len(tables["households"]) > most or rows > ROWS_AT_MOST:
        homes = len({row.household_id for row in tables["households"]})  # type: ignore[attr-defined]
        if homes > most or rows > rows_at_most(homes):
            raise too_many(rows, homes, most)


def _laid_out(request: RequestBody) -> LaidOut | None:
    tables = _tables(request)
    return lay_out(tables) if tables else None


def _asked(request: RequestBody, body: bytes, laid_out: LaidOut | None) -> Asked:
    """The request, read. body: empty where its keys were compared already. Raises InDoubt where a key may
    have come twice.

    msgspec takes the last of two equal keys. One colon follows each key, so colons in the body that are
    not inside a text are its keys.
    """
    ids = request.household_ids if isinstance(request.household_ids, list) else []
    if body:
        head = (request.horizon_months, request.idempotency_key, request.tables, request.household_ids)
        keys = 1 + sum(value is not UNSET for value in head)
        colons = sum(name.count(":") for name in ids)
        if laid_out is not None:
            keys += sum(getattr(request.tables, name) is not UNSET for name in READ) + laid_out.keys
            colons += laid_out.colons
        if _count(body, b":") != keys + colons or (b"\\" in body and b"\\u003" in body):
            raise InDoubt
    key = request.idempotency_key
    return Asked(
        as_of=request.as_of,
        horizon=HORIZON_MONTHS if request.horizon_months is UNSET else request.horizon_months,
        key=key if isinstance(key, str) else None,
        rows=None if laid_out is None else ReadRows(laid_out.prepared, laid_out.households, laid_out.rows),
        ids=ids,
    )


def _count(body: bytes, sign: bytes) -> int:
    """How often one byte occurs; as an array, because `bytes.count` stops at each of a hundred thousand."""
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord(sign)))


def without_stays_elsewhere(given: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Without the time that people spent in households which are not asked about: their rows there are
    needed, those households' are not."""
    asked = {row["household_id"] for row in given["households"]}
    ours = {row["member_id"] for row in given["members"] if row["household_id"] in asked}
    keep = [row for row in given["members"] if row["household_id"] in asked or row["member_id"] not in ours]
    return {**given, "members": keep}


def _strange_ids(given: Mapping[str, list[dict[str, Any]]]) -> list[Fault]:
    """Ids that break the id rule as they were sent, though they keep it once blanks and full-width
    characters are cleaned away."""
    remedy = "Send the id exactly as in the other tables: half-width, without blanks."
    faults = [
        Fault(
            f"tables.{name}.{place}.{column.name}",
            "an id with other characters",
            f"an id of {ID_RULE}",
            remedy,
        )
        for name, rows in given.items()
        for column in TABLES[name].columns
        if column.kind == "id"
        for place, row in enumerate(rows)
        if row.get(column.name) is not None and not is_id(row[column.name])
    ]
    return faults or [
        Fault(
            "tables",
            "rows whose owners are not the same as they are written",
            "ids as in the other tables",
            remedy,
        )
    ]


def too_many(rows: int, households: int, most: int) -> BodyRefused:
    """The refusal of a request that is too large: rows, or ids of households where there are no rows.
    most: households of a request."""
    fault = Fault(
        "tables" if rows else "household_ids",
        f"{households:,} households, {rows:,} rows" if rows else f"{households:,} households",
        (
            f"at most {most:,} households and {ROWS_AT_MOST:,} rows ({ROWS_A_HOUSEHOLD} a household where "
            "that is more)"
        ),
        "Send them in several requests.",
    )
    return BodyRefused(413, "too much at once", [fault])


def warm_up() -> None:
    """Compile the kernel, or load it from the cache, by reading an invented household."""
    found = read_plain(
        b'{"as_of":"2025-01-01","tables":{"households":[{"household_id":"h1","known_on":"2025-01-01","county_code":"100000",'
        b'"township_code":"100000001","village_code":"100000001001","category":"lifted","relocated":false}],"members":[{"member_id":"m1",'
        b'"known_on":"2025-01-01","household_id":"h1","birth_date":"1980-01-01","sex":"male","relation":"head","education":"primary",'
        b'"schooling":"none","chronic_ill":false,"seriously_ill":false,"labour":"ordinary","medical_insured":true,"pension_insured":true,'
        b'"dibao":false,"tekun":false}]}}'
    )
    assert found is not None
