"""Refused rows are written to files, with the reason beside each, and the rest goes on. Nothing is dropped
without a trace.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from riskmodel.errors import DataError
from riskmodel.tables.checks import Sheet, owner_columns
from riskmodel.tables.county import Tables
from riskmodel.tables.delivery import Delivery, receive
from riskmodel.tables.findings import CheckReport
from riskmodel.tables.sources import read_source
from riskmodel.tables.staging import staging
from riskmodel.tables.values import Complaint

_IDENTITY = r"\b\d{17}[0-9Xx]\b|1[3-9]\d{9}"
_FORMULA = r"^([=+\-@＝＋－＠\t\r])"
_NUMBER = r"^[+-]?[\d.,]+$"
WITHHELD = "(withheld)"
IDENTITY_CHECKS = ("identity_number", "phone_number", "person_names")


@dataclass(frozen=True)
class Quarantined:
    """Result of `quarantine`. tables: the rows that are used. refused: number of rows set aside, by table;
    files: the files with them. report: every finding.
    """

    tables: Tables
    report: CheckReport
    refused: dict[str, int]
    files: list[Path]

    def text(self) -> str:
        """What was set aside, by table, and in which files it is."""
        rows = ", ".join(f"{name} {count:,}" for name, count in self.refused.items() if count)
        files = "".join(f"\n  {file}" for file in self.files)
        return f"Set aside: {rows or 'nothing'}{files}"


def quarantine(folder: str | Path, into: str | Path, *, today: dt.date | None = None) -> Quarantined:
    """Read a folder, write its refused rows to `into/<table>.csv` (UTF-8), and return the others as Tables.

    Each refused row has the cells of the file, the file, the row number and the checks it failed. Rows whose
    household or member was refused are refused too. Cells that hold an identity are withheld.
    Raises DataError where a whole table is at fault: a missing column, a cut file, an identity column; such a
    table has to be mended or left out. today: see `check_tables`.
    """
    folder, into = Path(folder), Path(into)
    delivery = receive(folder, warn=True, today=today)
    report = delivery.report()
    hopeless = [
        finding
        for finding in report.errors
        if not finding.rows or finding.check in ("truncated_file", "ragged_row")
    ]
    if hopeless:
        raise DataError([finding.fault() for finding in hopeless])
    refuse_dependants(delivery.sheets)
    contents: dict[Path, bytes] = {}
    refused = {}
    for name, sheet in delivery.sheets.items():
        rows = sheet.refused_rows()
        if rows.len():
            refused[name] = rows.len()
            contents[into / f"{name}.csv"] = _refused_cells(folder, sheet, rows)
    report = delivery.report()
    contents |= {into / "report.txt": report.text().encode(), into / "report.json": report.json().encode()}
    files = list(contents)
    with staging(into) as stage:
        for path, content in contents.items():
            draft = stage.draft(path)
            draft.touch(mode=0o600)  # rows of households: for the person who set them aside only
            draft.write_bytes(content)
    for name in delivery.sheets:
        if name not in refused:
            (into / f"{name}.csv").unlink(missing_ok=True)  # of an earlier delivery
    return Quarantined(_kept(delivery, refused), report, refused, files)


def refuse_dependants(sheets: dict[str, Sheet]) -> None:
    """Rows of households and members of which nothing is left are refused with them."""
    for home, key in (("households", "household_id"), ("members", "member_id")):
        if home not in sheets or not sheets[home].refused_rows().len():
            continue
        owner = sheets[home]
        bad = owner.refused_rows()
        place = pl.int_range(0, owner.frame.height, dtype=pl.UInt32, eager=True)
        left = owner.frame.filter(~place.is_in(bad.implode()))[key].drop_nulls().unique()
        for sheet in sheets.values():
            if key not in owner_columns(sheet.table):
                continue
            ids = sheet.frame[key]
            alone = ~ids.is_in(left.implode()).fill_null(True)
            already = sheet.refused_rows()
            if already.len():
                alone = alone.scatter(already, False)
            if alone.any():
                found = f"rows of a {key.removesuffix('_id')} that was refused"
                remedy = f"Mend the row of {home}; these come back with it."
                sheet.add(
                    "error",
                    key,
                    Complaint(
                        check="owner_refused",
                        rows=alone.arg_true(),
                        found=found,
                        expected=f"a {key} of {home}",
                        remedy=remedy,
                    ),
                )


def _refused_cells(folder: Path, sheet: Sheet, rows: pl.Series) -> bytes:
    """The refused rows as CSV: the cells of the file, with file, row number and reasons."""
    paths = [folder / file for file in sheet.source.files]
    again = read_source(folder, sheet.table.name, paths, sheet.mapping)
    assert again.frame is not None
    cells = again.frame.drop(sheet.mapping.ignore, strict=False)[rows].select(
        pl.all().cast(pl.String, strict=False)
    )
    telling = {finding.column for finding in sheet.findings if finding.check in IDENTITY_CHECKS}
    theirs = {ours: theirs for theirs, ours in sheet.mapping.columns.items()}
    by_name = {column.name: column.zh for column in sheet.table.columns}
    areas = {column.name for column in sheet.table.columns if column.kind == "area"}
    hidden = {
        name for column in telling for name in (column, theirs.get(column), by_name.get(column)) if name
    }
    plain = [
        pl.when(pl.lit(name in hidden))
        .then(pl.lit(WITHHELD))
        .otherwise(pl.col(name).str.replace_all(_IDENTITY, WITHHELD))
        .alias(name)
        for name in cells.columns
        if name not in areas
    ]
    cells = cells.with_columns(plain)
    cells = cells.with_columns(_harmless(name) for name in cells.columns)
    reasons: dict[int, list[str]] = {int(row): [] for row in rows}
    for check, refused in sheet.refused:
        for row in refused.to_list():
            if check not in reasons[row]:
                reasons[row].append(check)
    places = [sheet.source.place(int(row)) for row in rows]
    left = pl.DataFrame(
        {
            "(file)": [file for file, _ in places],
            "(row)": [row for _, row in places],
            "(refused because)": ["; ".join(reasons[int(row)]) for row in rows],
        }
    )
    return pl.concat([left, cells], how="horizontal").write_csv().encode("utf-8")


def _harmless(name: str) -> pl.Expr:
    """A cell that a spreadsheet would run as a formula gets a mark in front; plain numbers stay."""
    cell = pl.col(name)
    formula = cell.str.contains(_FORMULA) & ~cell.str.contains(_NUMBER)
    return pl.when(formula).then(pl.concat_str(pl.lit("'"), cell)).otherwise(cell).alias(name)


def _kept(delivery: Delivery, refused: dict[str, int]) -> Tables:
    for sheet in delivery.sheets.values():
        bad = pl.concat([sheet.refused_rows(), sheet.repeated]).unique().sort()
        sheet.repeated = bad
    tables = delivery.tables()
    return Tables(tables.frames, tables.hashes, refused)
