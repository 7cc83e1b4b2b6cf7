"""One delivery of tables: a folder, or records in memory, read and checked with everything that was found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from riskmodel import calendar
from riskmodel.errors import DataError
from riskmodel.tables.across import refuse_across
from riskmodel.tables.checks import Sheet, absent_tables, check_owners, check_rows, of_trouble, typed_sheet
from riskmodel.tables.county import Tables, in_force_intervals, without_rows
from riskmodel.tables.findings import CheckReport, Finding, TableSummary
from riskmodel.tables.mapping import MAPPING_FILE, TableMapping, read_mapping
from riskmodel.tables.schema import TABLES
from riskmodel.tables.sources import Part, Source, Trouble, find_sources, hash_of, read_source
from riskmodel.tables.suspicions import look_for_suspicions


@dataclass
class Delivery:
    """A folder as read and checked: the sheets, and everything found. The inside of `read_tables` and
    `check_tables`.

    order: the tables in the order of reading. unreadable: tables of which nothing could be read.
    """

    folder: str
    sheets: dict[str, Sheet]
    findings: list[Finding]
    order: list[str]
    unreadable: dict[str, Source] = field(default_factory=dict)
    mapping_hash: dict[str, str] = field(default_factory=dict)

    @property
    def summaries(self) -> list[TableSummary]:
        """One summary a table: how its files were read, and what became of its rows."""
        return [
            _summary(self.sheets[name])
            if name in self.sheets
            else _summary_of_nothing(name, self.unreadable[name])
            for name in self.order
        ]

    def report(self) -> CheckReport:
        """All findings, in the order of the contract's tables, and the summaries."""
        order = {name: place for place, name in enumerate(TABLES)}
        findings = sorted(self.findings, key=lambda finding: order.get(finding.table, -1))
        return CheckReport(self.folder, findings, self.summaries)

    def frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Each table of a delivery without errors, in canonical order; its sheet is emptied, so that memory
        holds one copy.
        """
        for name, sheet in self.sheets.items():
            frame = in_force_intervals(
                without_rows(sheet.frame, sheet.repeated), sheet.table, keys_once=sheet.keys_once
            )
            sheet.frame = sheet.frame.clear()
            yield name, frame

    def tables(self) -> Tables:
        """The tables of a delivery without errors."""
        hashes = {name: sheet.source.hash for name, sheet in self.sheets.items()}
        return Tables(dict(self.frames()), hashes | self.mapping_hash)


def checked_records(records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Delivery:
    """Records through the full checks. Raises DataError with every fault."""
    sources = {}
    for name, rows in records.items():
        columns = dict.fromkeys(key for row in rows for key in row)
        frame = pl.DataFrame(
            [_series(key, [row.get(key) for row in rows]) for key in columns or TABLES[name].names]
        )
        sources[name] = Source(
            name, frame, [Part("", 0, frame.height, 1)], "records", typed=True, read=frame.height
        )
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
    texts = [
        None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for value in values
    ]
    return pl.Series(name, texts, dtype=pl.String)


def receive(folder: Path, *, warn: bool = False, today: dt.date | None = None) -> Delivery:
    """Read and check a folder; `warn` also looks for suspicions. Raises DataError only for a `tables.yaml`
    that cannot be used.

    today: the county's day, after which nothing can be known; by default that of China.
    """
    mappings = read_mapping(folder)
    found, troubles = find_sources(folder, mappings)
    sources = {
        name: read_source(folder, name, found[name], mappings.get(name, TableMapping()))
        for name in TABLES
        if name in found
    }
    for name in mappings:
        if name not in found and not mappings[name].file:
            remedy = "Put the table there, or delete its entry."
            troubles.append(
                Trouble(
                    check="no_file",
                    file=MAPPING_FILE,
                    rows=(),
                    count=0,
                    found=f"an entry for {name}, which is not there",
                    expected="tables that are there",
                    remedy=remedy,
                    level="warning",
                )
            )
    delivery = check_sources(str(folder), sources, mappings, troubles, warn=warn, today=today)
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
    today: dt.date | None = None,
) -> Delivery:
    """All checks over all tables that were found. warn, today: see `receive`."""
    findings = [of_trouble("", trouble) for trouble in troubles]
    # A folder that is not there has no tables missing.
    if not any(trouble.check == "no_folder" for trouble in troubles):
        findings += absent_tables(sources)
    sheets: dict[str, Sheet] = {}
    unreadable: dict[str, Source] = {}
    for name, source in sources.items():
        if source.frame is None:
            findings += [of_trouble(name, trouble) for trouble in source.troubles]
            unreadable[name] = source
            continue
        sheet = typed_sheet(source, mappings.get(name, TableMapping()))
        source.frame = source.frame if source.troubles or sheet.refused else None
        check_rows(sheet)
        sheets[name] = sheet
    check_owners(sheets)
    register = refuse_across(sheets)
    if warn:
        look_for_suspicions(sheets, register, today=today or calendar.today())
    for sheet in sheets.values():
        findings += sheet.findings
    return Delivery(
        folder=folder, sheets=sheets, findings=findings, order=list(sources), unreadable=unreadable
    )


def _summary(sheet: Sheet) -> TableSummary:
    """Rows read = used + refused + duplicates + empty. A table that is refused as a whole has no row that is
    used.
    """
    source = sheet.source
    bad = sheet.refused_rows()
    repeated = (
        sheet.repeated.filter(~sheet.repeated.is_in(bad.implode())).len()
        if bad.len()
        else sheet.repeated.len()
    )
    duplicates = 0 if sheet.whole_table_refused else repeated
    refused = source.read - source.empty if sheet.whole_table_refused else bad.len() + source.unreadable
    counts = {"columns not used": len(sheet.unused)} if sheet.unused else {}
    return TableSummary(
        table=sheet.table.name,
        files=source.files,
        read_as=source.read_as,
        rows=source.height,
        counts=counts,
        read=source.read,
        used=source.read - source.empty - refused - duplicates,
        refused=refused,
        duplicates=duplicates,
        empty=source.empty,
    )


def _summary_of_nothing(name: str, source: Source) -> TableSummary:
    return TableSummary(name, source.files, source.read_as, 0, read=source.read, refused=source.read)
