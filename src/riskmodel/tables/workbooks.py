"""Excel: the cells of a sheet as text; and what a cell is that holds no plain value.

calamine reads the values. It gives an empty cell for a formula error, for a formula without a stored value and for all but the first of
merged cells, and it makes room for the whole rectangle from A1 to the last cell, however far that is. So the XML of the sheet is
looked through first: where its filled cells are, which of them hold no plain value, what is merged, and how many rows are filled.
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import join, normpath
from typing import Any, Final
from xml.etree import ElementTree
from xml.parsers import expat

import polars as pl

from riskmodel.tables.extracts import (
    TITLE_ROWS,
    Part,
    Source,
    column_names,
    find_header,
    known_headings,
    lost_rows,
    named_twice,
    refused,
    without_blank_rows,
)
from riskmodel.tables.mapping import HEADER_AT_MOST, MAPPING_FILE, TableMapping
from riskmodel.tables.schema import TABLES
from riskmodel.tables.values import INVISIBLE, MERGED, NO_VALUE, plain

# A filled cell behind so many empty rows or columns is no part of the table.
FAR_ROWS: Final = 10_000
FAR_COLUMNS: Final = 200
CELLS_AT_MOST: Final = 200_000_000
_SAVE_AGAIN: Final = "Open it in the spreadsheet and save it again as .xlsx, without a password."


@dataclass(frozen=True)
class Area:
    """A rectangle of cells; rows and columns are counted from 1, both ends included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def address(self) -> str:
        return f"{letters_of(self.left)}{self.top}:{letters_of(self.right)}{self.bottom}"


@dataclass
class Marks:
    """What the XML of a sheet shows. Rows and columns are counted from 1; a cell is (row, column).

    filled: row -> columns of its first and last filled cell. columns: all columns with a filled cell. cells: how many are filled.
    errors: cell -> the error in it. no_value: cells with a formula and no stored result. merged: merged areas.
    """

    filled: dict[int, tuple[int, int]] = field(default_factory=dict)
    columns: set[int] = field(default_factory=set)
    cells: int = 0
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    no_value: list[tuple[int, int]] = field(default_factory=list)
    merged: list[Area] = field(default_factory=list)

    def far(self) -> str:
        """Address of a filled cell far from the others; empty if there is none."""
        rows, columns = sorted(self.filled), sorted(self.columns)
        row = next((later for row, later in zip([0, *rows], rows, strict=False) if later - row > FAR_ROWS), 0)
        column = next((later for one, later in zip([0, *columns], columns, strict=False) if later - one > FAR_COLUMNS), 0)
        if row:
            return f"{letters_of(self.filled[row][1])}{row}"
        if column:
            row = next(row for row, (_, last) in self.filled.items() if last >= column)
            return f"{letters_of(self.filled[row][1])}{row}"
        return ""


def letters_of(column: int) -> str:
    """Letters of a column counted from 1: A, B … Z, AA."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


_ADDRESS = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})\Z")


def _cell_of(address: str) -> tuple[int, int] | None:
    """(row, column) of an address such as B7."""
    match = _ADDRESS.match(address)
    if match is None:
        return None
    column = 0
    for letter in match.group(1):
        column = 26 * column + ord(letter) - 64
    return int(match.group(2)), column


class _Enough(Exception):
    """A filled cell was found, and no more is asked."""


class _Walk:
    """The walk over one sheet's XML. Namespaces and their prefixes are left out: only local names count."""

    def __init__(self, blank_texts: frozenset[str], *, only_whether_filled: bool) -> None:
        self.marks = Marks()
        self.blank_texts = blank_texts  # numbers of shared texts that hold nothing
        self.only_whether_filled = only_whether_filled
        self.row = self.column = 0
        self.kind = ""
        self.formula = self.within = False
        self.text: list[str] = []
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self.begin
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        self.parser = parser

    def begin(self, name: str, given: dict[str, str]) -> None:
        name = name.rpartition(" ")[2]
        if name == "c":
            cell = _cell_of(given.get("r", ""))
            if cell is None:
                self.column += 1
            else:
                self.row, self.column = cell
            self.kind, self.formula = given.get("t", ""), False
            self.text = []
        elif name in ("v", "t"):
            self.within = True
        elif name == "f":
            self.formula = True
        elif name == "row":
            self.row = int(given["r"]) if given.get("r", "").isdigit() else self.row + 1
            self.column = 0
        elif name == "mergeCell":
            ends = [_cell_of(end) for end in given.get("ref", "").split(":")]
            if len(ends) == 2 and ends[0] and ends[1]:
                self.marks.merged.append(Area(*ends[0], *ends[1]))

    def characters(self, text: str) -> None:
        if self.within:
            self.text.append(text)

    def end(self, name: str) -> None:
        name = name.rpartition(" ")[2]
        if name in ("v", "t"):
            self.within = False
        elif name == "c":
            self._cell("".join(self.text))

    def _cell(self, text: str) -> None:
        if not text and self.formula and self.kind != "str":
            self.marks.no_value.append((self.row, self.column))
        elif self.kind == "e" and text:
            self.marks.errors[self.row, self.column] = text
        elif not text.strip(INVISIBLE) or (self.kind == "s" and text in self.blank_texts):
            return
        if self.only_whether_filled:
            raise _Enough
        marks = self.marks
        first, last = marks.filled.get(self.row, (self.column, self.column))
        marks.filled[self.row] = (min(first, self.column), max(last, self.column))
        marks.columns.add(self.column)
        marks.cells += 1


class Workbook:
    """The parts of an .xlsx file that the reader needs. Raises ValueError with the reason for a file that is none."""

    def __init__(self, path: Path) -> None:
        try:
            self.archive = zipfile.ZipFile(path)
            self.sheets = self._sheets()
            self.blank_texts = self._blank_texts()
        except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, expat.ExpatError, OSError, EOFError) as error:
            raise ValueError(f"a damaged or truncated workbook, or one of another form ({type(error).__name__})") from None

    def _sheets(self) -> dict[str, str]:
        """Sheets in their order -> the part with their XML."""
        book = next(name for name in ("xl/workbook.xml", *self.archive.namelist()) if name.endswith("workbook.xml"))
        folder, _, file = book.rpartition("/")
        related = ElementTree.fromstring(self.archive.read(f"{folder}/_rels/{file}.rels"))
        targets = {
            one.get("Id"): (one.get("Target") or "").lstrip("/")
            if (one.get("Target") or "").startswith("/")
            else join(folder, one.get("Target") or "")
            for one in related
            if (one.get("Type") or "").endswith("/worksheet")
        }
        sheets = {}
        for one in ElementTree.fromstring(self.archive.read(book)).iter():
            if one.tag.rpartition("}")[2] == "sheet":
                key = next((value for name, value in one.attrib.items() if name.rpartition("}")[2] == "id"), "")
                if key in targets:
                    sheets[one.get("name") or ""] = normpath(targets[key])
        return sheets

    def _blank_texts(self) -> frozenset[str]:
        """Numbers of the shared texts that hold nothing but blanks."""
        name = next((name for name in self.archive.namelist() if name.endswith("sharedStrings.xml")), None)
        if name is None:
            return frozenset()
        blank, place = set(), 0
        with self.archive.open(name) as part:
            for _, one in ElementTree.iterparse(part):
                if one.tag.rpartition("}")[2] == "si":
                    if not "".join(one.itertext()).strip(INVISIBLE):
                        blank.add(str(place))
                    place += 1
                    one.clear()
        return frozenset(blank)

    def filled(self, sheet: str) -> bool:
        """Whether any cell of the sheet holds something."""
        try:
            return bool(self._walk(sheet, only_whether_filled=True).cells)
        except _Enough:
            return True

    def marks(self, sheet: str) -> Marks:
        """What the XML of the sheet shows. Raises ValueError for a damaged one."""
        return self._walk(sheet, only_whether_filled=False)

    def _walk(self, sheet: str, *, only_whether_filled: bool) -> Marks:
        walk = _Walk(self.blank_texts, only_whether_filled=only_whether_filled)
        try:
            with self.archive.open(self.sheets[sheet]) as part:
                walk.parser.ParseFile(part)
        except (zipfile.BadZipFile, KeyError, expat.ExpatError, OSError, EOFError) as error:
            raise ValueError(f"a damaged sheet `{sheet}` ({type(error).__name__})") from None
        return walk.marks


def read_excel(folder: Path, table: str, path: Path, mapping: TableMapping) -> Source:
    """One table from a workbook. Never raises for what the file holds: troubles are returned with the source."""
    file = path.relative_to(folder).as_posix()
    if path.stat().st_size == 0:
        return refused(table, file, "Excel", "empty_file", "an empty file", "a workbook", "Ask for the extract again.")
    try:
        workbook = Workbook(path)
        sheet, trouble = _chosen_sheet(workbook, table, mapping)
        if trouble:
            return refused(table, file, "Excel", *trouble)
        marks = workbook.marks(sheet)
    except ValueError as error:
        return refused(table, file, "Excel", "truncated_file", str(error), "an .xlsx workbook", _SAVE_AGAIN)
    read_as = f"Excel, sheet {sheet}"
    width, height = max(marks.columns), max(marks.filled)
    if (far := marks.far()) or width * height > CELLS_AT_MOST:
        found = f"a filled cell far from the table, {sheet}!{far or letters_of(width) + str(height)}"
        remedy = "Go there (名称框 or Ctrl+G), delete the rows and columns beyond the table, and save the workbook."
        return refused(
            table, file, read_as, "far_cell", found, "filled cells beside each other", remedy, read=len(marks.filled) - 1
        )
    try:
        import python_calamine

        cells = python_calamine.load_workbook(str(path)).get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except Exception as error:  # calamine has several errors for damaged files
        found = f"a damaged or truncated workbook ({type(error).__name__})"
        return refused(table, file, read_as, "truncated_file", found, "an .xlsx workbook", _SAVE_AGAIN)
    return _source_of(cells, marks, (table, file, read_as), mapping)


def _chosen_sheet(workbook: Workbook, table: str, mapping: TableMapping) -> tuple[str, tuple[str, str, str, str] | None]:
    """The sheet named in the mapping, called like the table, or the only filled one; else (check, found, expected, remedy)."""
    called = [name for name in workbook.sheets if name in ((mapping.sheet,) if mapping.sheet else (table, TABLES[table].zh))]
    filled = [name for name in called if workbook.filled(name)]
    if mapping.sheet and not filled:
        others = [name for name in workbook.sheets if workbook.filled(name)]
        found = f"no filled sheet `{mapping.sheet}`"
        return "", ("no_sheet", found, "one of " + ", ".join(others), f"Correct `sheet` in {MAPPING_FILE}.")
    filled = filled or [name for name in workbook.sheets if workbook.filled(name)]
    if not filled:
        return "", ("empty_file", "a workbook without rows", "a header and rows", "Ask for the extract again.")
    if len(filled) > 1:
        found = "several filled sheets: " + ", ".join(filled)
        remedy = f"Name it under `sheet` in {MAPPING_FILE}, or name the sheet `{table}`."
        return "", ("several_sheets", found, "one filled sheet", remedy)
    return filled[0], None


def _source_of(cells: list[list[Any]], marks: Marks, named: tuple[str, str, str], mapping: TableMapping) -> Source:
    """The frame of text below the header. `named`: table, file, how it is read."""
    table, file, read_as = named
    width = max(marks.columns)
    first = max(TITLE_ROWS, HEADER_AT_MOST)
    merged_over = _merged_headings(cells, marks, first)
    titles = [[plain(_cell(row[place])[0]) if place < len(row) else "" for place in range(width)] for row in cells[:first]]
    for (row, column), text in merged_over.items():
        if row <= len(titles) and column <= width:
            titles[row - 1][column - 1] = titles[row - 1][column - 1] or text
    if mapping.header is not None:
        start = min(mapping.header, len(titles)) - 1
        headings = titles[start]
    else:
        start, headings = find_header(titles, known_headings(table, mapping))
    if start:
        read_as += f", header in row {start + 1}"
    marked = _marked(cells, marks, start + 1)
    below = {row for row in marks.filled if row > start + 1} | {row for row, _, _ in marked if row > start + 1}
    read = max(below) - start - 1 if below else 0
    if found := named_twice(headings):
        remedy = "Rename or remove one of them."
        return refused(table, file, read_as, "column_twice", found, "each column once", remedy, read=read)
    used = max(
        [
            0,
            *(place + 1 for place, cell in enumerate(headings) if cell),
            *(last for row, (_, last) in marks.filled.items() if row in below),
        ]
    )
    names = column_names([*headings, *[""] * used][:used])
    columns: list[list[str]] = [[] for _ in names]
    numeric: set[str] = set()
    for given in [*cells[start + 1 : start + 1 + read], *[[]] * (start + 1 + read - len(cells))]:
        for place, name in enumerate(names):
            text, number = _cell(given[place] if place < len(given) else "")
            columns[place].append(text)
            if number:
                numeric.add(name)
    for row, column, text in marked:
        if row > start + 1 and column <= used:
            columns[column - 1][row - start - 2] = text
    frame = pl.DataFrame([pl.Series(name, column, dtype=pl.String) for name, column in zip(names, columns, strict=True)])
    numbers = pl.int_range(start + 2, start + 2 + frame.height, dtype=pl.UInt32, eager=True)
    frame, kept, empty = without_blank_rows(frame, numbers)
    source = Source(table, frame, [Part(file, 0, frame.height, 2, kept)], read_as)
    source.read, source.empty, source.header = read, empty, start + 1
    source.numbers_as_ids = tuple(sorted(numeric))
    source.letters = {name: letters_of(place + 1) for place, name in enumerate(names)}
    if frame.height != len(below) or frame.height + empty != read:
        source.troubles.append(lost_rows(file, len(below), frame.height))
    return source


def _merged_headings(cells: Sequence[Sequence[Any]], marks: Marks, first: int) -> Mapping[tuple[int, int], str]:
    """Cells of the first rows that are merged upwards with a heading -> that heading."""
    over: dict[tuple[int, int], str] = {}
    for area in marks.merged:
        if area.bottom > area.top and area.bottom <= first and area.top <= len(cells) and area.left <= len(cells[area.top - 1]):
            text = plain(_cell(cells[area.top - 1][area.left - 1])[0])
            over |= {(row, area.left): text for row in range(area.top + 1, area.bottom + 1)}
    return over


def _marked(cells: Sequence[Sequence[Any]], marks: Marks, header: int) -> list[tuple[int, int, str]]:
    """(row, column, text) of the cells below the header that hold no plain value: errors, formulas without value, merged cells."""
    last_row, last_column = max(marks.filled), max(marks.columns)
    marked = [(row, column, text) for (row, column), text in marks.errors.items()]
    marked += [(row, column, NO_VALUE) for row, column in marks.no_value]
    special = {(row, column) for row, column, _ in marked}
    for area in marks.merged:
        anchor = cells[area.top - 1] if area.top <= len(cells) else []
        value = anchor[area.left - 1] if area.left <= len(anchor) else ""
        holds = bool(_cell(value)[0].strip(INVISIBLE)) or (area.top, area.left) in special
        if area.bottom <= header or not holds:
            continue
        words = MERGED.format(area.address)
        marked += [
            (row, column, words)
            for row in range(max(area.top, header + 1), min(area.bottom, last_row) + 1)
            for column in range(area.left, min(area.right, last_column) + 1)
        ]
    return marked


def _cell(value: Any) -> tuple[str, bool]:
    """Text of an Excel cell, and whether it is a number there. Numbers too long to be exact keep their exponent, to be refused."""
    match value:
        case None | "":
            return "", False
        case bool():
            return ("true" if value else "false"), False
        case int() | float():
            number = float(value)
            if number.is_integer():
                return (str(int(number)) if abs(number) < 1e15 else f"{number:.5E}"), True
            return repr(number) if "e" not in repr(number) else f"{number:.15f}".rstrip("0"), True
        case dt.datetime():
            return value.isoformat(sep=" "), False
        case dt.date():
            return value.isoformat(), False
        case _:
            return str(value), False
