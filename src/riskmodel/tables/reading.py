"""The door: a folder of extracts comes in, is checked, and goes on as `Tables`, or is refused with every fault at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.tables.checks import Sheet, absent_tables, check_owners, check_rows, typed_sheet
from riskmodel.tables.county import Tables, in_force_intervals, without_rows
from riskmodel.tables.findings import CheckReport, Finding, TableSummary
from riskmodel.tables.mapping import MAPPING_FILE, TableMapping, read_mapping
from riskmodel.tables.records import plain_tables
from riskmodel.tables.schema import TABLES
from riskmodel.tables.sources import Part, Source, Trouble, find_sources, hash_of, read_source
from riskmodel.tables.store import Stored, is_store, kept_as_is, read_store, sources_hash, up_to_date, write_store
from riskmodel.tables.suspicions import look_for_suspicions


@dataclass
class Delivery:
    """A folder as read and checked: the sheets, and everything found. The inside of `read_tables` and `check_tables`."""

    folder: str
    sheets: dict[str, Sheet]
    findings: list[Finding]
    summaries: list[TableSummary]
    mapping_hash: dict[str, str] = field(default_factory=dict)

    def report(self) -> CheckReport:
        order = {name: place for place, name in enumerate(TABLES)}
        findings = sorted(self.findings, key=lambda finding: order.get(finding.table, -1))
        return CheckReport(self.folder, findings, self.summaries)

    def frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Each table of a delivery without errors, in canonical order; its sheet is emptied, so that memory holds one copy."""
        for name, sheet in self.sheets.items():
            frame = in_force_intervals(without_rows(sheet.frame, sheet.repeated), sheet.table, keys_once=sheet.keys_once)
            sheet.frame = sheet.frame.clear()
            yield name, frame

    def tables(self) -> Tables:
        """The tables of a delivery without errors."""
        hashes = {name: sheet.source.hash for name, sheet in self.sheets.items()}
        return Tables(dict(self.frames()), hashes | self.mapping_hash)


def read_tables(folder: str | Path, *, quarantine: Path | None = None) -> Tables:
    """The tables of a folder that keeps `docs/data-contract.md`, checked, in canonical types and order.

    `quarantine`: a folder for refused rows; the rest goes on. Without it one refused row refuses the folder.
    Raises DataError with every fault at once: where, what was found, what was expected, what to do.
    """
    folder = Path(folder)
    if quarantine is not None:
        from riskmodel.tables.quarantine import quarantine as set_aside

        return set_aside(folder, quarantine).tables
    if is_store(folder):
        return read_store(folder)
    return _checked(folder).tables()


def store_tables(folder: str | Path, store: str | Path) -> Stored:
    """Check a folder and keep its tables in the store; at once done if the store holds them already.

    Only partitions (table and county) whose content changed are written. Raises DataError with every fault; the store is then as before.
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


def check_tables(folder: str | Path) -> CheckReport:
    """Everything wrong (errors) or strange (warnings) in a folder of tables, at once. Raises DataError for a broken tables.yaml."""
    return receive(Path(folder), warn=True).report()


def checked_tables(folder: str | Path) -> tuple[CheckReport, Tables]:
    """The report and the tables in one pass, for whoever needs both. Raises DataError with every fault."""
    delivery = receive(Path(folder), warn=True)
    report = delivery.report()
    if not report.ok:
        raise DataError(report.faults())
    return report, delivery.tables()


def tables_of(records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Tables:
    """Checked tables from records in memory: `{"households": [{"household_id": "H1", …}], …}`.

    Dates as ISO text or dates, money and counts as numbers, flags as booleans, codes as text; None or an absent key is unknown.
    Raises DataError with every fault; rows are counted from 1.
    """
    unknown = [name for name in records if name not in TABLES]
    if unknown:
        raise DataError(
            [Fault(name, "no table of the contract", "one of " + ", ".join(TABLES), "Correct the name.") for name in unknown]
        )
    plain = plain_tables(records)
    if plain is not None:
        return plain
    return checked_records(records).tables()


def checked_records(records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Delivery:
    """Records through the full checks. Raises DataError with every fault."""
    sources = {}
    for name, rows in records.items():
        columns = dict.fromkeys(key for row in rows for key in row)
        frame = pl.DataFrame([_series(key, [row.get(key) for row in rows]) for key in columns or TABLES[name].names])
        sources[name] = Source(name, frame, [Part("", 0, frame.height, 1)], "records", typed=True)
    delivery = check_sources("the records", sources, {}, [])
    report = delivery.report()
    if not report.ok:
        raise DataError(report.faults())
    return delivery


def _series(name: str, values: list[Any]) -> pl.Series:
    """A column of records; values of different types become text, to be parsed like a file's."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    if len(kinds) <= 1:
        kind = next(iter(kinds), None)
        if kind is None:
            return pl.Series(name, values, dtype=pl.Null)
        if kind in (str, bool, int, float, dt.date, dt.datetime):
            return pl.Series(name, values)
    texts = [None if value is None else str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    return pl.Series(name, texts, dtype=pl.String)


def receive(folder: Path, *, warn: bool = False) -> Delivery:
    """Read and check a folder; `warn` also looks for suspicions. Raises DataError only for a `tables.yaml` that cannot be used."""
    mappings = read_mapping(folder)
    found, troubles = find_sources(folder, mappings)
    sources = {
        name: read_source(folder, name, found[name], mappings.get(name, TableMapping())) for name in TABLES if name in found
    }
    for name in mappings:
        if name not in found and not mappings[name].file:
            remedy = "Put the table there, or delete its entry."
            troubles.append(
                Trouble(
                    "no_file",
                    MAPPING_FILE,
                    (),
                    0,
                    f"an entry for {name}, which is not there",
                    "tables that are there",
                    remedy,
                    "warning",
                )
            )
    delivery = check_sources(str(folder), sources, mappings, troubles, warn=warn)
    if mappings:
        delivery.mapping_hash = {MAPPING_FILE: hash_of(folder, [folder / MAPPING_FILE])}
    return delivery


def check_sources(
    folder: str,
    sources: Mapping[str, Source],
    mappings: Mapping[str, TableMapping],
    troubles: list[Trouble],
    *,
    warn: bool = False,
) -> Delivery:
    """All checks over all tables that were found."""
    findings = [_of_trouble("", trouble) for trouble in troubles]
    # A folder that is not there has no tables missing.
    if not any(trouble.check == "no_folder" for trouble in troubles):
        findings += absent_tables(sources)
    sheets: dict[str, Sheet] = {}
    summaries = []
    for name, source in sources.items():
        if source.frame is None:
            findings += [_of_trouble(name, trouble) for trouble in source.troubles]
            summaries.append(TableSummary(name, source.files, source.read_as, 0))
            continue
        sheet = typed_sheet(source, mappings.get(name, TableMapping()))
        source.frame = source.frame if source.troubles or sheet.refused else None
        check_rows(sheet)
        sheets[name] = sheet
    check_owners(sheets)
    if warn:
        look_for_suspicions(sheets)
    for name, sheet in sheets.items():
        findings += sheet.findings
        counts = {"exact duplicates removed": sheet.repeated.len(), "rows refused": sheet.refused_rows().len()}
        if sheet.unused:
            counts["columns not used"] = len(sheet.unused)
        summaries.append(TableSummary(name, sheet.source.files, sheet.source.read_as, sheet.frame.height, counts))
    return Delivery(folder, sheets, findings, summaries)


def _of_trouble(table: str, trouble: Trouble) -> Finding:
    level = "error" if trouble.level == "error" else "warning"
    return Finding(
        level,  # type: ignore[arg-type]
        trouble.check,
        table,
        trouble.file,
        "",
        trouble.rows,
        trouble.count,
        trouble.found,
        trouble.expected,
        trouble.remedy,
    )
