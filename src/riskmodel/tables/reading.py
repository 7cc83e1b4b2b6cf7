"""Entry point of the room: read and check a folder of extracts. The result is `Tables`, or a DataError with
every fault at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from riskmodel.errors import DataError, Fault
from riskmodel.tables.county import Tables
from riskmodel.tables.delivery import Delivery, checked_records, receive
from riskmodel.tables.findings import CheckReport
from riskmodel.tables.quarantine import quarantine
from riskmodel.tables.records import plain_tables
from riskmodel.tables.schema import TABLES
from riskmodel.tables.store import (
    Stored,
    is_store,
    kept_as_is,
    read_store,
    sources_hash,
    up_to_date,
    write_store,
)


def read_tables(folder: str | Path, *, aside: Path | None = None) -> Tables:
    """The tables of a folder that keeps `docs/data-contract.md`, checked, in canonical types and order.

    aside: a folder for refused rows; the rest goes on. Without it one refused row refuses the folder.
    Raises DataError with every fault at once: where, what was found, what was expected, what to do.
    """
    folder = Path(folder)
    if aside is not None:
        return quarantine(folder, aside).tables
    if is_store(folder):
        return read_store(folder)
    return _checked(folder).tables()


def store_tables(folder: str | Path, store: str | Path) -> Stored:
    """Check a folder and keep its tables in the store; at once done if the store holds them already.

    Only partitions (table and county) whose content changed are written. Raises DataError with every fault;
    the store is then as before.
    """
    folder, store = Path(folder), Path(store)
    if up_to_date(folder, store):
        return kept_as_is(store)
    sources = sources_hash(folder)
    return write_store(_checked(folder).frames(), sources, store)


def _checked(folder: Path) -> Delivery:
    delivery = receive(folder)
    report = delivery.report()
    if not report.ok:
        raise DataError(report.faults())
    return delivery


def check_tables(folder: str | Path, *, today: dt.date | None = None) -> CheckReport:
    """Everything wrong (errors) or strange (warnings) in a folder of tables, at once. Raises DataError for a
    broken tables.yaml.

    today: the county's day, after which nothing can be known; by default that of China.
    """
    return receive(Path(folder), warn=True, today=today).report()


def checked_tables(folder: str | Path, *, today: dt.date | None = None) -> tuple[CheckReport, Tables]:
    """The report and the tables in one pass, for whoever needs both. today: see `check_tables`.

    Raises DataError with every fault.
    """
    delivery = receive(Path(folder), warn=True, today=today)
    report = delivery.report()
    if not report.ok:
        raise DataError(report.faults())
    return report, delivery.tables()


def tables_of(records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Tables:
    """Checked tables from records in memory: `{"households": [{"household_id": "H1", …}], …}`.

    Dates as ISO text or dates, money and counts as numbers, flags as booleans, codes as text; None or an
    absent key is unknown. Raises DataError with every fault; rows are counted from 1.
    """
    unknown = [name for name in records if name not in TABLES]
    if unknown:
        raise DataError(
            [
                Fault(name, "no table of the contract", "one of " + ", ".join(TABLES), "Correct the name.")
                for name in unknown
            ]
        )
    plain = plain_tables(records)
    if plain is not None:
        return plain
    return checked_records(records).tables()
