"""The checks: what is refused. Each works on whole columns and names every row at fault."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from riskmodel.tables import identity
from riskmodel.tables.county import dtype_of, repeated_rows, rows_of_repeated_keys, version_key
from riskmodel.tables.findings import SHOWN_ROWS, Finding
from riskmodel.tables.mapping import MAPPING_FILE, TableMapping
from riskmodel.tables.schema import TABLES, Column, Table
from riskmodel.tables.sources import Source, Trouble
from riskmodel.tables.values import Complaint, clean_text, convert, joined_codes, mask_identity

_NOBODY = pl.Series([], dtype=pl.UInt32)


@dataclass
class Sheet:
    """One table while it is read: as in its files, in the contract's types, and the findings so far.

    `frame` has all columns of the contract, in file order; refused values are null. `refused`: rows
    (positions) with an error.
    """

    table: Table
    source: Source
    mapping: TableMapping
    frame: pl.DataFrame
    findings: list[Finding] = field(default_factory=list)
    refused: list[tuple[str, pl.Series]] = field(default_factory=list)
    letters: dict[str, str] = field(default_factory=dict)  # column -> its letters in a workbook
    absent: set[str] = field(default_factory=set)
    unused: list[str] = field(default_factory=list)
    repeated: pl.Series = field(default_factory=lambda: _NOBODY)
    versions: pl.Series = field(
        default_factory=lambda: _NOBODY
    )  # rows (positions) whose key occurs more than once
    whole_table_refused: bool = False
    keys_once: bool = False  # every key occurs once: there are neither versions nor duplicates

    def add(self, level: str, column: str, complaint: Complaint) -> None:
        """Keep a complaint as findings, one a file, and remember which rows it refuses."""
        if not complaint.rows.len():
            file = (
                ", ".join(dict.fromkeys(self.source.files))
                if len(self.source.files) < 3
                else self.source.files[0] + ", …"
            )
            self.findings.append(self._finding(level, column, file, (), 0, complaint))
            self.whole_table_refused = self.whole_table_refused or level == "error"
            return
        positions = complaint.rows.cast(pl.UInt32)
        if level == "error":
            self.refused.append((complaint.check, positions))
        for part in self.source.parts:
            here = positions
            if len(self.source.parts) > 1:
                here = positions.filter((positions >= part.start) & (positions < part.start + part.height))
            if here.len():
                shown = tuple(part.row(int(position)) for position in here.head(SHOWN_ROWS))
                if letters := self.letters.get(column):
                    cells = ", ".join(f"{letters}{row}" for row in shown) + (
                        ", …" if here.len() > len(shown) else ""
                    )
                    complaint = replace(complaint, found=f"{complaint.found}, in {cells}")
                self.findings.append(self._finding(level, column, part.file, shown, here.len(), complaint))

    def _finding(
        self, level: str, column: str, file: str, rows: tuple[int, ...], count: int, complaint: Complaint
    ) -> Finding:
        severity = "error" if level == "error" else "warning"
        return Finding(
            level=severity,  # type: ignore[arg-type]
            check=complaint.check,
            table=self.table.name,
            file=file,
            column=column,
            rows=rows,
            count=count,
            found=complaint.found,
            expected=complaint.expected,
            remedy=complaint.remedy,
            zh=complaint.zh,
        )

    def refused_rows(self) -> pl.Series:
        """Positions with at least one error, ascending, each once."""
        if not self.refused:
            return _NOBODY
        return pl.concat([rows for _, rows in self.refused]).unique().sort()


def whole(check: str, found: str, expected: str, remedy: str, zh: str = "") -> Complaint:
    """A complaint about a whole column or table: it names no rows. Arguments as the fields of `Complaint`."""
    return Complaint(check=check, rows=_NOBODY, found=found, expected=expected, remedy=remedy, zh=zh)


def of_trouble(table: str, trouble: Trouble) -> Finding:
    """What a reader of files found, as a finding about the table."""
    level = "error" if trouble.level == "error" else "warning"
    return Finding(
        level=level,  # type: ignore[arg-type]
        check=trouble.check,
        table=table,
        file=trouble.file,
        column="",
        rows=trouble.rows,
        count=trouble.count,
        found=trouble.found,
        expected=trouble.expected,
        remedy=trouble.remedy,
    )


def typed_sheet(source: Source, mapping: TableMapping) -> Sheet:
    """Columns found by their names, values in the contract's types. `source.frame` must be there."""
    assert source.frame is not None
    table = TABLES[source.table]
    sheet = Sheet(table, source, mapping, pl.DataFrame())
    for trouble in source.troubles:
        sheet.findings.append(of_trouble(table.name, trouble))
        sheet.whole_table_refused = sheet.whole_table_refused or trouble.level == "error"
    # Columns under `ignore` are not read at all: they are neither used nor kept in quarantine.
    raw = source.frame.drop(mapping.ignore, strict=False)
    theirs_of = _columns(sheet, raw)
    sheet.letters = {
        ours: source.letters[theirs[0]] for ours, theirs in theirs_of.items() if theirs[0] in source.letters
    }
    height = raw.height
    columns = []
    for column in table.columns:
        theirs = theirs_of.get(column.name)
        if theirs is None:
            columns.append(pl.Series(column.name, [None], dtype=dtype_of(column)).new_from_index(0, height))
            sheet.absent.add(column.name)
            if not column.optional:
                sheet.add("error", column.name, _missing_column(column, sheet.unused, source.header))
            continue
        manner = mapping.manner(column.name)
        several = column.kind == "codes" and (
            len(theirs) > 1 or mapping.columns.get(theirs[0]) == column.name
        )
        series = joined_codes([raw[name] for name in theirs], column, manner) if several else raw[theirs[0]]
        converted = convert(series, column, manner)
        for complaint in converted.complaints:
            sheet.add("error", column.name, complaint)
        numbers = converted.note == "numbers" or theirs[0] in source.numbers_as_ids
        if column.kind == "id" and numbers:
            found = "ids kept as numbers; leading zeros, if there were any, are lost"
            sheet.add(
                "warning",
                column.name,
                whole("id_as_number", found, "ids as text", "Export the column as text at its source."),
            )
        if not column.optional:
            gone = converted.values.is_null()
            for complaint in converted.complaints:
                if complaint.rows.len():
                    gone = gone.scatter(complaint.rows, False)
            # A column that was refused as a whole has been complained about already.
            refused_whole = any(not complaint.rows.len() for complaint in converted.complaints)
            if gone.any() and not refused_whole:
                remedy = "Fill it in at its source, or leave the row out."
                sheet.add(
                    "error",
                    column.name,
                    Complaint(
                        check="missing_value",
                        rows=gone.arg_true(),
                        found="an empty cell",
                        expected="a value",
                        remedy=remedy,
                    ),
                )
        columns.append(converted.values.rename(column.name))
    sheet.frame = pl.DataFrame(columns)
    if not height:
        _no_rows(sheet)
    _identities(sheet, raw, theirs_of)
    return sheet


def _columns(sheet: Sheet, raw: pl.DataFrame) -> dict[str, list[str]]:
    """The contract's column -> the extract's (several only for codes). Complains about columns that are there
    twice, or mapped but absent.
    """
    table, mapping = sheet.table, sheet.mapping
    by_zh = {column.zh: column.name for column in table.columns}
    theirs_of: dict[str, list[str]] = {}
    for theirs in raw.columns:
        # A heading that is broken into lines is the same heading without the break.
        ours = mapping.columns.get(theirs) or (
            theirs if theirs in table.names else by_zh.get(theirs.replace(" ", ""))
        )
        if ours is None:
            # The store keeps `replaced_on` beside the contract's columns; it is worked out again from the
            # rows.
            sheet.unused += [theirs] if theirs != "replaced_on" else []
        elif ours in theirs_of:
            first, second = theirs_of[ours][0], theirs
            mapped = set(mapping.columns)
            if (first in mapped) != (second in mapped):
                theirs_of[ours] = [first if first in mapped else second]
                sheet.unused.append(second if first in mapped else first)
                continue
            if first in mapped and table.column(ours).kind == "codes":
                theirs_of[ours].append(second)
                continue
            found = f"two columns for it: `{first}` and `{second}`"
            remedy = f"Put one of the two under `ignore` in {MAPPING_FILE}."
            sheet.add("error", ours, whole("column_twice", found, "one column", remedy))
        else:
            theirs_of[ours] = [theirs]
    for theirs, ours in mapping.columns.items():
        if theirs not in raw.columns:
            near = difflib.get_close_matches(theirs, raw.columns, n=1)
            hint = (
                f"Did you mean `{near[0]}`?"
                if near
                else f"The file has: {', '.join(map(mask_identity, raw.columns[:20]))}."
            )
            found = f"no column `{theirs}`, which {MAPPING_FILE} names"
            sheet.add("error", ours, whole("mapped_column_missing", found, "the mapped column", hint))
    return theirs_of


def _missing_column(column: Column, unused: list[str], header: int) -> Complaint:
    near = difflib.get_close_matches(column.name, unused, n=1) or difflib.get_close_matches(
        column.zh, unused, n=1
    )
    hint = (
        f"Is it `{near[0]}`? Then write"
        if near
        else "Ask the department for it; if it has another name, write"
    )
    theirs = near[0] if near else "their name"
    remedy = f"{hint} `{theirs}: {column.name}` under `columns` in {MAPPING_FILE}."
    if header:
        remedy += (
            f" The headings were taken from row {header}; if they are in another, write `header: …` with "
            "its number."
        )
    return whole("missing_column", "no such column", f"the column `{column.name}` ({column.zh})", remedy)


def _no_rows(sheet: Sheet) -> None:
    table = sheet.table
    if sheet.mapping.may_be_empty or sheet.source.unreadable:
        return
    level = "error" if table.required else "warning"
    remedy = "Ask for the extract again; leave the file out if the table was not delivered"
    remedy += (
        "." if table.required else f", or write `may_be_empty: true` in {MAPPING_FILE} if nothing happened."
    )
    sheet.add(level, "", whole("empty_file", "a header without rows", "rows", remedy))


def _identities(sheet: Sheet, raw: pl.DataFrame, theirs_of: Mapping[str, list[str]]) -> None:
    """Columns that would carry a person's identity are refused, those included that are not used."""
    allowed = set(sheet.mapping.not_identity)
    ours_of = {name: ours for ours, theirs in theirs_of.items() for name in theirs}
    for theirs in raw.columns:
        ours = ours_of.get(theirs)
        if theirs in allowed or ours in allowed:
            continue
        if ours is None and (word := identity.telling_name(theirs)):
            found = f"a column that is called like {word}"
            complaint = whole(
                "identity_column", found, "no identities: pseudonymous ids only", identity.REMEDY_COLUMN
            )
            sheet.add("error", mask_identity(theirs), complaint)
            continue
        kind = sheet.table.column(ours).kind if ours else None
        if kind not in (None, "id", "text"):
            continue
        text = raw[theirs].alias(ours or theirs)
        if text.dtype.is_float():  # a column of numbers with gaps, as pandas keeps it
            text = text.cast(pl.Int64, strict=False)
        if text.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Int64, pl.UInt64, pl.Int128):
            continue
        text = clean_text(text.cast(pl.String)) if kind is None or text.dtype != pl.String else text
        for check, rows, found in identity.identities(text, free_text=kind != "id"):
            complaint = Complaint(
                check=check,
                rows=rows,
                found=found,
                expected="pseudonymous ids and texts without identities",
                remedy=identity.REMEDY_VALUES,
            )
            sheet.add("error", mask_identity(theirs), complaint)


def check_rows(sheet: Sheet) -> None:
    """What one row, or two rows of one table, can contradict."""
    frame, table = sheet.frame, sheet.table
    if ("occurred_on", "known_on") in table.in_order:
        early = (frame["known_on"] < frame["occurred_on"]).fill_null(False)
        if early.any():
            found = "known before it occurred"
            remedy = (
                "`known_on` is the day the county's data could first show the row: correct the date "
                "that is wrong."
            )
            sheet.add(
                "error",
                "known_on",
                Complaint(
                    check="known_before_occurred",
                    rows=early.arg_true(),
                    found=found,
                    expected="known_on on or after occurred_on",
                    remedy=remedy,
                ),
            )
    if ("birth_date", "known_on") in table.in_order:
        unborn = (frame["birth_date"] > frame["known_on"]).fill_null(False)
        if unborn.any():
            complaint = Complaint(
                check="birth_in_future",
                rows=unborn.arg_true(),
                found="a birth after the day it was known",
                expected="a birth on or before known_on",
                remedy="Correct birth_date.",
            )
            sheet.add("error", "birth_date", complaint)
    for outer, inner in table.nested:
        loose = frame.select((~pl.col(inner).str.starts_with(pl.col(outer))).fill_null(False)).to_series()
        if loose.any():
            found = f"an area that is not in its {outer.removesuffix('_code')}"
            remedy = (
                "Correct the code that is wrong; after a change of boundaries give all codes of one year."
            )
            complaint = Complaint(
                check="areas_not_nested",
                rows=loose.arg_true(),
                found=found,
                expected=f"a code that begins with {outer}",
                remedy=remedy,
            )
            sheet.add("error", inner, complaint)
    if table.one_of:
        nowhere = frame.select(pl.all_horizontal(pl.col(list(table.one_of)).is_null())).to_series()
        refused = sheet.refused_rows()
        if refused.len():
            nowhere = nowhere.scatter(refused, False)
        if nowhere.any():
            found = "neither a household nor an area"
            complaint = Complaint(
                check="missing_value",
                rows=nowhere.arg_true(),
                found=found,
                expected="household_id or area_code",
                remedy="Give the household or area of the event.",
            )
            sheet.add("error", "household_id", complaint)
    _check_versions(sheet)


def _check_versions(sheet: Sheet) -> None:
    table = sheet.table
    # Rows whose key or date is refused cannot be compared.
    key = version_key(table)
    usable = sheet.frame.select(pl.all_horizontal(pl.col(key).is_not_null())).to_series()
    places = None if usable.all() else usable.arg_true()
    frame = sheet.frame if places is None else sheet.frame.filter(usable)
    suspects = rows_of_repeated_keys(frame, table)
    sheet.keys_once = not suspects.len()
    if sheet.keys_once:
        return
    repeated, conflicting = repeated_rows(frame, table, suspects)
    sheet.versions = suspects
    if places is not None:
        repeated, conflicting, sheet.versions = (
            places.gather(rows) for rows in (repeated, conflicting, suspects)
        )
    if repeated.len():
        found = "rows that occur twice, equal in every column"
        complaint = Complaint(
            check="exact_duplicate",
            rows=repeated,
            found=found,
            expected="each row once",
            remedy="Nothing: each counts once. Tell the department.",
        )
        sheet.add("warning", "", complaint)
        sheet.repeated = repeated.cast(pl.UInt32)
    if conflicting.len() and table.name == "members":
        conflicting = conflicting.filter(
            ~in_two_households(sheet.frame[conflicting])
        )  # `riskmodel.tables.across` refuses these
    if conflicting.len():
        words = " and ".join(key)
        found = f"different rows with the same {words}"
        remedy = "Keep the right one; a correction is a new row with a later known_on."
        if table.form == "values":
            remedy = "Keep the right one."
        complaint = Complaint(
            check="two_versions",
            rows=conflicting,
            found=found,
            expected=f"one row for each {words}",
            remedy=remedy,
        )
        sheet.add("error", table.key, complaint)


def in_two_households(members: pl.DataFrame) -> pl.Series:
    """Which of these rows of `members` share their member and day with a row of another household."""
    several = pl.col("household_id").drop_nulls().n_unique().over("member_id", "known_on") > 1
    return members.select(several).to_series()


def check_owners(sheets: Mapping[str, Sheet]) -> None:
    """Add findings for members whose household is not in the files, and for events whose household or member
    is not."""
    known = {
        name: sheets[table].frame[name].drop_nulls().unique()
        for name, table in (("household_id", "households"), ("member_id", "members"))
        if table in sheets and name not in sheets[table].absent
    }
    for sheet in sheets.values():
        for name in owner_columns(sheet.table):
            if name in sheet.absent or name not in known:
                continue
            ids = sheet.frame[name]
            orphan = ~ids.is_in(known[name].implode()).fill_null(True)
            if orphan.any():
                home = "households" if name == "household_id" else "members"
                found = f"ids that {home} does not have"
                remedy = f"Deliver the row of {home}, or correct the id (a lost leading zero?)."
                sheet.add(
                    "error",
                    name,
                    Complaint(
                        check="orphan",
                        rows=orphan.arg_true(),
                        found=found,
                        expected=f"a {name} of {home}",
                        remedy=remedy,
                    ),
                )


def owner_columns(table: Table) -> Iterator[str]:
    """Columns of a table that point at a household or member of another table."""
    if "household_id" in table.names and table.name != "households":
        yield "household_id"
    if "member_id" in table.names and table.name != "members":
        yield "member_id"


def absent_tables(present: Mapping[str, object]) -> list[Finding]:
    """Tables that scoring (error) or training (warning) cannot do without."""
    findings = []
    for table in TABLES.values():
        if table.name in present or not (table.required or table.for_training):
            continue
        expected = f"{table.name}.parquet, .csv or .xlsx ({table.zh})"
        if table.required:
            remedy = "Put it into the folder; nothing can be scored without it."
        else:
            remedy = "Scoring goes on without it; put it there before training."
        findings.append(
            Finding(
                level="error" if table.required else "warning",
                check="missing_table",
                table=table.name,
                file="",
                column="",
                rows=(),
                count=0,
                found="no such table",
                expected=expected,
                remedy=remedy,
            )
        )
    return findings
