"""A table as its files hold it, before anything is interpreted: cells, where each row is in the file, how
many rows the file has.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from riskmodel.tables.mapping import TableMapping
from riskmodel.tables.schema import TABLES
from riskmodel.tables.values import INVISIBLE

TITLE_ROWS = 20  # rows among which the header is looked for


@dataclass(frozen=True)
class Trouble:
    """Why a file could not be read, or a row of it."""

    check: str
    file: str
    rows: tuple[int, ...]
    count: int
    found: str
    expected: str
    remedy: str
    level: str = "error"


@dataclass
class Part:
    """One file of a table: where its rows start in the frame, and the row number in the file of each.

    `rows` is None where the numbers run on without gaps from `first`.
    """

    file: str
    start: int
    height: int
    first: int
    rows: pl.Series | None = None

    def row(self, position: int) -> int:
        """Row number in the file of a position in the frame."""
        place = position - self.start
        return int(self.rows[place]) if self.rows is not None else self.first + place


@dataclass
class Source:
    """A table as its files hold it.

    frame: the rows that can be used, as text (Parquet: typed); None where nothing could be read.
    read: rows in the files, counted apart from the frame (below the header; blank rows included).
    empty: rows without any value, which are not in the frame.
    unreadable: rows that could not be brought into the frame, because they have too many or too few cells.
    header: number of the row from which the headings were taken; 0 where the form has none.
    numbers_as_ids: columns of a workbook with cells that are numbers there.
    letters: column of a workbook -> its letters, for the address of a cell.
    """

    table: str
    frame: pl.DataFrame | None
    parts: list[Part]
    read_as: str
    troubles: list[Trouble] = field(default_factory=list)
    hash: str = ""
    numbers_as_ids: tuple[str, ...] = ()
    typed: bool = False
    read: int = 0
    empty: int = 0
    unreadable: int = 0
    header: int = 0
    letters: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """The table's files, relative to the folder."""
        return [part.file for part in self.parts]

    @property
    def height(self) -> int:
        """Number of rows that were brought into the frame, also after `frame` was released."""
        return sum(part.height for part in self.parts)

    def place(self, position: int) -> tuple[str, int]:
        """File and row number of a position in the frame."""
        part = self.parts[bisect_right([part.start for part in self.parts], position) - 1]
        return part.file, part.row(position)


def refused(
    table: str, file: str, read_as: str, check: str, found: str, expected: str, remedy: str, *, read: int = 0
) -> Source:
    """A file of which nothing can be used. read: its rows, where they can be counted."""
    trouble = Trouble(check=check, file=file, rows=(), count=0, found=found, expected=expected, remedy=remedy)
    return Source(
        table=table,
        frame=None,
        parts=[Part(file, 0, 0, 1)],
        read_as=read_as,
        troubles=[trouble],
        read=read,
        unreadable=read,
    )


def lost_rows(file: str, counted: int, got: int) -> Trouble:
    """The error for a file of which a reader returned fewer (or more) rows than the file has.

    counted: rows of the file, counted apart from reading it; got: rows that the reader returned.
    """
    found = f"{counted:,} rows in the file, of which {got:,} could be read"
    remedy = "Save the file as .xlsx or CSV again in the spreadsheet; look for quote marks inside cells."
    return Trouble(
        check="rows_lost",
        file=file,
        rows=(),
        count=0,
        found=found,
        expected="as many rows as the file has",
        remedy=remedy,
    )


def blank_rows(frame: pl.DataFrame) -> pl.Series:
    """Positions of the rows in which no cell holds anything, ascending. Column by column: the first that is
    full ends the search.
    """
    if any(column.dtype != pl.String and not column.null_count() for column in frame):
        return pl.Series([], dtype=pl.UInt32)
    left = pl.int_range(0, frame.height, dtype=pl.UInt32, eager=True)
    for place, column in enumerate(frame):
        if place:
            column = column.gather(left)
        if column.dtype == pl.String:
            unseen = ~column.str.contains("[!-~]").fill_null(False)  # most cells have a plain letter or digit
            left, column = left.filter(unseen), column.filter(unseen)
            left = left.filter(column.str.strip_chars(INVISIBLE).fill_null("") == "")
        else:
            left = left.filter(column.is_null())
        if not left.len():
            break
    return left


def without_blank_rows(
    frame: pl.DataFrame, numbers: pl.Series, first: int = 2
) -> tuple[pl.DataFrame, pl.Series | None, int]:
    """The frame without blank rows, the row numbers of the others (None: they run on from `first`), and how
    many went.
    """
    blank = blank_rows(frame)
    if blank.len():
        place = pl.int_range(0, frame.height, dtype=pl.UInt32, eager=True)
        kept = ~place.is_in(blank.implode())
        frame, numbers = frame.filter(kept), numbers.filter(kept)
    gaps = bool(numbers.len()) and (
        int(numbers[-1]) - int(numbers[0]) + 1 != numbers.len() or int(numbers[0]) != first
    )
    return frame, numbers if gaps else None, blank.len()


def known_headings(table: str, mapping: TableMapping) -> set[str]:
    """Everything that may be a heading of this table: the contract's names, English and Chinese, and those
    that the mapping names.
    """
    columns = TABLES[table].columns
    named = {*mapping.columns, *mapping.ignore, *mapping.other_headings}
    return {name for column in columns for name in (column.name, column.zh)} | named


_IN_BRACKETS = re.compile(r"[(\[].*?[)\]]")


def _is_heading(cell: str, known: Collection[str]) -> bool:
    """Whether a cell is a known heading, perhaps with blanks or with a unit in brackets."""
    return (
        cell in known
        or cell.replace(" ", "") in known
        or _IN_BRACKETS.sub("", cell).replace(" ", "") in known
    )


def find_header(rows: Sequence[Sequence[str]], known: Collection[str]) -> tuple[int, list[str]]:
    """The place of the header among the first rows of a file, and its headings.

    It is the row with the most known headings, at least two; a cell that is empty there takes the heading
    above it (headings in two rows). Without such a row it is the first with two filled cells. `rows` hold
    cleaned text.
    """
    best, score, headings = 0, 1, list(rows[0]) if rows else []
    above: list[str] = []
    for place, row in enumerate(rows[:TITLE_ROWS]):
        titles = [cell if _is_heading(cell, known) else "" for cell in above] + [""] * (len(row) - len(above))
        filled = [cell or title for cell, title in zip(row, titles, strict=False)]
        count = sum(_is_heading(cell, known) for cell in filled)
        if count > score:
            best, score, headings = place, count, filled
        if any(row):
            above = list(row)
    if score == 1:
        best = next((place for place, row in enumerate(rows) if sum(map(bool, row)) > 1), 0)
        headings = list(rows[best]) if rows else []
    return best, headings


def column_names(headings: Sequence[str]) -> list[str]:
    """Names for the columns of a frame: the headings; a column without one is called by its number."""
    return [cell or f"(column {place + 1})" for place, cell in enumerate(headings)]


def named_twice(headings: Sequence[str]) -> str:
    """What was found where headings occur twice; empty otherwise."""
    twice = sorted({cell for cell in headings if cell and headings.count(cell) > 1})
    return "column names that occur twice: " + ", ".join(f"`{cell}`" for cell in twice) if twice else ""
