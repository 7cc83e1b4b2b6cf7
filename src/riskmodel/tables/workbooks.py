"""Excel: the cells of a sheet as text; and what a cell is that holds no plain value.

calamine reads the values. It gives an empty cell for a formula error, for a formula without a stored value
and for all but the first of merged cells, and it makes room for the whole rectangle from A1 to the last cell,
however far that is. So the XML of the sheet is looked through first: where its filled cells are, which of
them hold no plain value, what is merged, and how many rows are filled.
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

import polars as pl

from riskmodel.errors import DataError, Fault
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
from riskmodel.tables.xlsx import Area, Book, WorkbookBounds, address, open_archive, place_of

# A filled cell behind so many empty rows or columns is no part of the table.
FAR_ROWS: Final = 10_000
FAR_COLUMNS: Final = 200
CELLS_AT_MOST: Final = 200_000_000
BOUNDS: Final = WorkbookBounds(cells=CELLS_AT_MOST)
_SAVE_AGAIN: Final = "Open it in the spreadsheet and save it again as .xlsx, without a password."


@dataclass
class Marks:
    """What the XML of a sheet shows. Rows and columns are counted from 1; a cell is (row, column).

    filled: row -> columns of its first and last filled cell. columns: all columns with a filled cell. cells:
    how many are filled. errors: cell -> the error in it. no_value: cells with a formula and no stored result.
    merged: merged areas.
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
        column = next(
            (later for one, later in zip([0, *columns], columns, strict=False) if later - one > FAR_COLUMNS),
            0,
        )
        if row:
            return f"{letters_of(self.filled[row][1])}{row}"
        if column:
            row = next(row for row, (_, last) in self.filled.items() if last >= column)
            return f"{letters_of(self.filled[row][1])}{row}"
        return ""


def letters_of(column: int) -> str:
    """Letters of a column counted from 1: A, B … Z, AA."""
    return address(1, column)[:-1]


class _Enough(Exception):
    """A filled cell was found, and no more is asked."""


class _Walk:
    """The walk over one sheet's XML: it keeps where cells are, not what they hold, so that a sheet of
    millions of cells takes little room.
    """

    def __init__(self, texts: Sequence[str], *, only_whether_filled: bool) -> None:
        self.marks = Marks()
        self.texts = texts
        self.only_whether_filled = only_whether_filled
        self.row = self.column = 0
        self.kind = ""
        self.formula = self.within = False
        self.parts: list[str] = []

    def begin(self, name: str, given: dict[str, str]) -> None:
        if name == "c":
            self.row, self.column = place_of(given.get("r", "")) or (self.row, self.column + 1)
            self.kind, self.formula = given.get("t", ""), False
            self.parts = []
        elif name in ("v", "t"):
            self.within = True
        elif name == "f":
            self.formula = True
        elif name == "row":
            self.row = int(given["r"]) if given.get("r", "").isdigit() else self.row + 1
            self.column = 0
        elif name == "mergeCell":
            ends = [place_of(end) for end in given.get("ref", "").split(":")]
            if len(ends) == 2 and ends[0] and ends[1]:
                self.marks.merged.append(Area(*ends[0], *ends[1]))

    def text(self, some: str) -> None:
        if self.within:
            self.parts.append(some)

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self.within = False
        elif name == "c":
            self._cell("".join(self.parts))

    def _cell(self, text: str) -> None:
        if not text and self.formula and self.kind != "str":
            self.marks.no_value.append((self.row, self.column))
        elif self.kind == "e" and text:
            self.marks.errors[self.row, self.column] = text
        elif not (self.texts[int(text)] if self.kind == "s" and text else text).strip(INVISIBLE):
            return
        if self.only_whether_filled:
            raise _Enough
        marks = self.marks
        first, last = marks.filled.get(self.row, (self.column, self.column))
        marks.filled[self.row] = (min(first, self.column), max(last, self.column))
        marks.columns.add(self.column)
        marks.cells += 1


# What a cell may be besides a number or a shared text, and other ways to write the same: then each cell is
# looked at.
_UNUSUAL: Final = (b't="e"', b"<f", b't="str"', b"<v/>", b"<v />", b"<v></v>", b"<v ", b"='", b"<!", b"<?")
_ROW: Final = re.compile(rb'<row\s(?:[^>]*\s)?r="(\d+)"')
_CELL: Final = re.compile(rb'<c\s(?:[^>]*\s)?r="([A-Z]{1,3})(\d+)"')
_FILLED: Final = re.compile(rb'<c\s(?:[^>]*\s)?r="([A-Z]{1,3}\d+)"[^>]*><(?:v|is)>')
_INLINE: Final = re.compile(rb"<t(?:\s[^>]*)?>([^<]*)</t>|<t(?:\s[^>]*)?/>|<is\s*/>")
_MERGED: Final = re.compile(rb'<mergeCell\s[^>]*?ref="([A-Z]+\d+):([A-Z]+\d+)"')


def quick_marks(xml: bytes) -> Marks | None:
    """The marks of a sheet that is written as most programs do it, row by row instead of cell by cell; None:
    it is written otherwise.

    All cells are numbers and texts, with their addresses, and none of the texts is blank. Of each row only
    the last filled cell is looked at, and all of the first rows, so `columns` may lack some between.
    """
    start, stop = xml.find(b"<sheetData>"), xml.find(b"</sheetData>")
    if start < 0 or stop < 0:
        return None
    data = xml[start + len(b"<sheetData>") : stop]
    if any(sign in data for sign in _UNUSUAL):
        return None
    if b"<is" in data and any(
        not text.decode("utf-8", "replace").strip(INVISIBLE) for text in _INLINE.findall(data)
    ):
        return None
    marks = Marks(cells=data.count(b"<v>") + data.count(b"<is>"))
    for chunk in data.split(b"</row>"):
        value = max(chunk.rfind(b"<v>"), chunk.rfind(b"<is>"))
        if value < 0:
            continue
        begin = chunk.rfind(b"<row")  # before it there may be rows without cells
        row = _ROW.match(chunk, begin) if begin >= 0 else None
        cell = _CELL.match(chunk, chunk.rfind(b"<c ", 0, value))
        if row is None or cell is None or row.group(1) != cell.group(2) or 0 <= chunk.find(b"<c ") < begin:
            return None
        place = place_of((cell.group(1) + cell.group(2)).decode())
        assert place is not None
        if place[0] in marks.filled:
            return None
        marks.filled[place[0]] = (1, place[1])
        if len(marks.filled) <= TITLE_ROWS:
            places = [place_of(found.decode()) for found in _FILLED.findall(chunk, begin)]
            marks.columns.update(place[1] for place in places if place)
        marks.columns.add(place[1])
    for first, last in _MERGED.findall(xml, stop):
        top_left, bottom_right = place_of(first.decode()), place_of(last.decode())
        if top_left and bottom_right:
            marks.merged.append(Area(*top_left, *bottom_right))
    if xml.count(b"<mergeCell ", stop) != len(marks.merged):
        return None
    return marks


class Workbook:
    """The sheets of an .xlsx file, as far as the reader of tables needs them. Raises DataError for a file
    that is none, or is too large.
    """

    def __init__(self, file: str, content: bytes) -> None:
        self.file = file
        self.book = Book(file, open_archive(file, content, BOUNDS), BOUNDS)
        with self._plainly():
            self.sheets = self.book.sheets()

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except (
            expat.ExpatError,
            zipfile.BadZipFile,
            zlib.error,
            LookupError,
            EOFError,
            OSError,
            ValueError,
        ) as error:
            found = f"a damaged workbook ({type(error).__name__})"
            raise DataError(Fault(self.file, found, "an .xlsx workbook", _SAVE_AGAIN)) from None

    def filled(self, sheet: str) -> bool:
        """Whether any cell of the sheet holds something."""
        try:
            return bool(self._walk(sheet, only_whether_filled=True).cells)
        except _Enough:
            return True

    def marks(self, sheet: str) -> Marks:
        """What the XML of the sheet shows."""
        with self._plainly():
            xml = self.book.archive.read(self.sheets[sheet])
        quick = None if any(not text.strip(INVISIBLE) for text in self.book.texts) else quick_marks(xml)
        return quick or self._walk(sheet, only_whether_filled=False)

    def _walk(self, sheet: str, *, only_whether_filled: bool) -> Marks:
        walk = _Walk(self.book.texts, only_whether_filled=only_whether_filled)
        with self._plainly():
            self.book.parse(self.sheets[sheet], walk.begin, end=walk.end, text=walk.text)
        return walk.marks


def read_excel(folder: Path, table: str, path: Path, mapping: TableMapping) -> Source:
    """One table from a workbook. Never raises for what the file holds: troubles are returned with the
    source.
    """
    file = path.relative_to(folder).as_posix()
    if path.stat().st_size == 0:
        return refused(
            table, file, "Excel", "empty_file", "an empty file", "a workbook", "Ask for the extract again."
        )
    try:
        workbook = Workbook(file, path.read_bytes())
        sheet, trouble = _chosen_sheet(workbook, table, mapping)
        if trouble:
            return refused(table, file, "Excel", *trouble)
        marks = workbook.marks(sheet)
    except DataError as error:
        fault = error.faults[0]
        return refused(table, file, "Excel", "truncated_file", fault.found, fault.expected, fault.remedy)
    read_as = f"Excel, sheet {sheet}"
    if not marks.filled:
        return refused(
            table, file, read_as, "empty_file", "a sheet without rows", "a header and rows", _SAVE_AGAIN
        )
    width, height = max(marks.columns), max(marks.filled)
    if (far := marks.far()) or width * height > CELLS_AT_MOST:
        found = f"a filled cell far from the table, {sheet}!{far or letters_of(width) + str(height)}"
        remedy = (
            "Go there (名称框 or Ctrl+G), delete the rows and columns beyond the table, and "
            "save the workbook."
        )
        return refused(
            table,
            file,
            read_as,
            "far_cell",
            found,
            "filled cells beside each other",
            remedy,
            read=len(marks.filled) - 1,
        )
    try:
        import python_calamine

        cells = (
            python_calamine.load_workbook(str(path)).get_sheet_by_name(sheet).to_python(skip_empty_area=False)
        )
    except Exception as error:  # calamine has several errors for damaged files
        found = f"a damaged or truncated workbook ({type(error).__name__})"
        return refused(table, file, read_as, "truncated_file", found, "an .xlsx workbook", _SAVE_AGAIN)
    return _source_of(cells, marks, (table, file, read_as), mapping)


def _chosen_sheet(
    workbook: Workbook, table: str, mapping: TableMapping
) -> tuple[str, tuple[str, str, str, str] | None]:
    """The sheet named in the mapping, called like the table, or the only filled one; else (check, found,
    expected, remedy).
    """
    called = [
        name
        for name in workbook.sheets
        if name in ((mapping.sheet,) if mapping.sheet else (table, TABLES[table].zh))
    ]
    filled = [name for name in called if workbook.filled(name)]
    if mapping.sheet and not filled:
        others = [name for name in workbook.sheets if workbook.filled(name)]
        found = f"no filled sheet `{mapping.sheet}`"
        return "", ("no_sheet", found, "one of " + ", ".join(others), f"Correct `sheet` in {MAPPING_FILE}.")
    filled = filled or [name for name in workbook.sheets if workbook.filled(name)]
    if not filled:
        return "", (
            "empty_file",
            "a workbook without rows",
            "a header and rows",
            "Ask for the extract again.",
        )
    if len(filled) > 1:
        found = "several filled sheets: " + ", ".join(filled)
        remedy = f"Name it under `sheet` in {MAPPING_FILE}, or name the sheet `{table}`."
        return "", ("several_sheets", found, "one filled sheet", remedy)
    return filled[0], None


def _source_of(
    cells: list[list[Any]], marks: Marks, named: tuple[str, str, str], mapping: TableMapping
) -> Source:
    """The frame of text below the header. `named`: table, file, how it is read."""
    table, file, read_as = named
    width = max(marks.columns)
    first = max(TITLE_ROWS, HEADER_AT_MOST)
    merged_over = _merged_headings(cells, marks, first)
    titles = [
        [plain(_cell(row[place])[0]) if place < len(row) else "" for place in range(width)]
        for row in cells[:first]
    ]
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
    below = {row for row in marks.filled if row > start + 1} | {
        row for row, _, _ in marked if row > start + 1
    }
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
    frame = pl.DataFrame(
        [pl.Series(name, column, dtype=pl.String) for name, column in zip(names, columns, strict=True)]
    )
    numbers = pl.int_range(start + 2, start + 2 + frame.height, dtype=pl.UInt32, eager=True)
    frame, kept, empty = without_blank_rows(frame, numbers)
    source = Source(
        table, frame, [Part(file=file, start=0, height=frame.height, first=2, rows=kept)], read_as
    )
    source.read, source.empty, source.header = read, empty, start + 1
    source.numbers_as_ids = tuple(sorted(numeric))
    source.letters = {name: letters_of(place + 1) for place, name in enumerate(names)}
    if frame.height != len(below) or frame.height + empty != read:
        source.troubles.append(lost_rows(file, len(below), frame.height))
    return source


def _merged_headings(
    cells: Sequence[Sequence[Any]], marks: Marks, first: int
) -> Mapping[tuple[int, int], str]:
    """Cells of the first rows that are merged upwards with a heading -> that heading."""
    over: dict[tuple[int, int], str] = {}
    for area in marks.merged:
        if (
            area.bottom > area.top
            and area.bottom <= first
            and area.top <= len(cells)
            and area.left <= len(cells[area.top - 1])
        ):
            text = plain(_cell(cells[area.top - 1][area.left - 1])[0])
            over |= {(row, area.left): text for row in range(area.top + 1, area.bottom + 1)}
    return over


def _marked(cells: Sequence[Sequence[Any]], marks: Marks, header: int) -> list[tuple[int, int, str]]:
    """(row, column, text) of the cells below the header that hold no plain value: errors, formulas without
    value, merged cells.
    """
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
        words = MERGED.format(area)
        marked += [
            (row, column, words)
            for row in range(max(area.top, header + 1), min(area.bottom, last_row) + 1)
            for column in range(area.left, min(area.right, last_column) + 1)
        ]
    return marked


def _cell(value: Any) -> tuple[str, bool]:
    """Text of an Excel cell, and whether it is a number there. Numbers too long to be exact keep their
    exponent, to be refused.
    """
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
