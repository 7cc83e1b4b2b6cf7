"""What the checks found: one finding a kind of fault, table, file and column, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from riskmodel.errors import Fault

SHOWN_ROWS = 10


@dataclass(frozen=True)
class Finding:
    """One fault or suspicion, with every row that has it.

    `rows` are the first ten row numbers as a person sees them in the file (CSV and Excel: the header is row 1; Parquet: the first
    record is row 1), `count` is the number of all such rows, 0 where the fault is not of single rows.
    """

    level: Literal["error", "warning"]
    check: str
    table: str
    file: str
    column: str
    rows: tuple[int, ...]
    count: int
    found: str
    expected: str
    remedy: str

    @property
    def where(self) -> str:
        """File or table, column and rows, in words."""
        place = self.file or self.table
        if self.file and self.table and not self.file.startswith(self.table):
            place = f"{self.file} ({self.table})"
        if self.column:
            place += f", column `{self.column}`"
        if self.rows:
            rows = ", ".join(str(row) for row in self.rows)
            more = f" and {self.count - len(self.rows):,} more" if self.count > len(self.rows) else ""
            place += f", row{'s' if self.count > 1 else ''} {rows}{more}"
        return place

    def fault(self) -> Fault:
        return Fault(self.where, self.found, self.expected, self.remedy)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"rows": list(self.rows)}


@dataclass
class TableSummary:
    """How one table came in: its files, how they were read, and how many rows it has."""

    table: str
    files: list[str]
    read_as: str
    rows: int
    counts: dict[str, int] = field(default_factory=dict)  # duplicates removed, rows refused, columns not used


@dataclass
class CheckReport:
    """Everything that the checks found in a folder, at once. `ok`: no errors; warnings do not stop anything."""

    folder: str
    findings: list[Finding]
    tables: list[TableSummary]

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "error"]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "warning"]

    @property
    def ok(self) -> bool:
        return not self.errors

    def faults(self) -> list[Fault]:
        """The errors as the faults of a DataError."""
        return [finding.fault() for finding in self.errors]

    def text(self) -> str:
        """The report for people: the tables read, then errors and warnings, grouped by table."""
        lines = [f"Checked {self.folder}", ""]
        for summary in self.tables:
            extra = "".join(f", {count:,} {what}" for what, count in summary.counts.items() if count)
            lines.append(f"  {summary.table:<15}{summary.rows:>12,} rows  {summary.read_as}{extra}")
        for title, findings in (("ERRORS: these rows are refused", self.errors), ("WARNINGS: kept and used", self.warnings)):
            if not findings:
                continue
            lines += ["", f"{title} ({len(findings)})"]
            for table, group in _grouped(findings):
                lines += ["", f"  {table}"]
                for finding in group:
                    lines.append(f"    {finding.where}  [{finding.check}]")
                    lines.append(f"      found:    {finding.found}")
                    lines.append(f"      expected: {finding.expected}")
                    lines.append(f"      do:       {finding.remedy}")
        lines.append("")
        if self.ok:
            count = len(self.warnings)
            lines.append(f"No errors, {count} warning{'' if count == 1 else 's'}: the tables can be used.")
        else:
            lines.append(f"{len(self.errors)} errors, {len(self.warnings)} warnings: mend the errors and check again.")
        return "\n".join(lines)

    def json(self) -> str:
        """The same for programs: `{"folder", "ok", "tables": […], "errors": […], "warnings": […]}`."""
        document = {
            "folder": self.folder,
            "ok": self.ok,
            "tables": [asdict(summary) for summary in self.tables],
            "errors": [finding.as_dict() for finding in self.errors],
            "warnings": [finding.as_dict() for finding in self.warnings],
        }
        return json.dumps(document, ensure_ascii=False, indent=2)


def _grouped(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.table or "the folder", []).append(finding)
    return list(groups.items())
