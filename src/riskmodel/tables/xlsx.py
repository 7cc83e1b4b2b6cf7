"""The cells of an .xlsx workbook, read within bounds: nothing is opened that is larger than it may be, and no
cell is lost in silence.

A workbook is a zip archive of XML. Half a megabyte of it can unpack to a gigabyte, and one stray cell in the
last row and column makes readers that allocate the whole rectangle ask for hundreds of gigabytes. Here the
archive is checked before it is opened, parts are unpacked in pieces under a limit, and only cells that hold
something are kept, by their row and column.

A cell that holds no plain value (an error such as #N/A, a formula that was saved without its result) is a
`CellFault`, never empty.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import dirname, join, normpath
from typing import Any, Final
from xml.parsers import expat

from riskmodel.errors import DataError, Fault

LAST_ROW: Final = 1_048_576
LAST_COLUMN: Final = 16_384
LONGEST_TEXT: Final = 32_767  # characters of one cell, the limit of spreadsheets
_MEGABYTE: Final = 1 << 20
_CHUNK: Final = 1 << 16
_SAVE_AGAIN: Final = "Open it in the spreadsheet and save it again as .xlsx, without a password."


@dataclass(frozen=True)
class WorkbookBounds:
    """What a workbook may hold at most.

    file_bytes: size of the file. unpacked_bytes: all parts that are read, unpacked. members: parts of the
    archive. ratio: unpacked over packed size of a part of more than 8 MB. cells: cells that hold something,
    of all sheets that are read.
    """

    file_bytes: int = 256 * _MEGABYTE
    unpacked_bytes: int = 2048 * _MEGABYTE
    members: int = 2_000
    ratio: int = 100
    cells: int = 50_000_000


# A filled visit list of 20,000 households has about 400,000 cells.
LIST_BOUNDS: Final = WorkbookBounds(
    file_bytes=32 * _MEGABYTE, unpacked_bytes=128 * _MEGABYTE, members=500, cells=1_000_000
)


@dataclass(frozen=True)
class CellFault:
    """A cell without a plain value. text: the error as the spreadsheet shows it (`#N/A`); empty: a formula
    saved without its result."""

    text: str = ""

    def __str__(self) -> str:
        return self.text or "a formula without a stored result"


Value = str | float | bool | dt.datetime | CellFault


@dataclass(frozen=True)
class Area:
    """A rectangle of merged cells; rows and columns from 1, both ends included."""

    top: int
    left: int
    bottom: int
    right: int

    def __str__(self) -> str:
        return f"{address(self.top, self.left)}:{address(self.bottom, self.right)}"


@dataclass(frozen=True)
class WorkbookSheet:
    """rows: row from 1 -> column from 1 -> value, of the cells that hold something, rows in ascending order.
    merged: merged areas."""

    name: str
    rows: Mapping[int, Mapping[int, Value]] = field(repr=False)
    merged: tuple[Area, ...] = ()


def address(row: int, column: int) -> str:
    """Address of a cell as the spreadsheet writes it: (7, 28) is AB7."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row}"


def open_archive(where: str, content: bytes, bounds: WorkbookBounds) -> zipfile.ZipFile:
    """The zip archive of a workbook, checked before any part of it is unpacked. Raises DataError.

    where: name of the file, for the message. content: its bytes.
    """
    if len(content) > bounds.file_bytes:
        raise _too_large(where, f"{len(content):,} bytes", f"at most {bounds.file_bytes:,} bytes")
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise _damaged(where, "an old .xls workbook, or one with a password")
    # Each entry of the archive's directory begins with this mark: so many are read at most when it is opened.
    if content.count(b"PK\x01\x02") > bounds.members:
        raise _too_large(where, "an archive of too many parts", f"at most {bounds.members:,}")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise _damaged(where, f"not a workbook, or a damaged one ({type(error).__name__})") from None
    for part in archive.infolist():
        if part.flag_bits & 1 or part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _damaged(where, "an encrypted or unusual archive")
        if part.file_size > 8 * _MEGABYTE and part.file_size > bounds.ratio * max(part.compress_size, 1):
            found = (
                f"a part that unpacks to {part.file_size / max(part.compress_size, 1):,.0f} times its size"
            )
            raise _too_large(where, found, f"at most {bounds.ratio} times")
    if sum(part.file_size for part in archive.infolist()) > bounds.unpacked_bytes:
        raise _too_large(where, "parts that unpack to more", f"at most {bounds.unpacked_bytes:,} bytes")
    return archive


def read_workbook(
    where: str, content: bytes, bounds: WorkbookBounds = LIST_BOUNDS
) -> dict[str, WorkbookSheet]:
    """All sheets of a workbook by name, in their order. Raises DataError for a file that is none, is damaged
    or larger than the bounds."""
    return dict(iter_sheets(where, content, bounds))


def iter_sheets(
    where: str, content: bytes, bounds: WorkbookBounds = LIST_BOUNDS
) -> Iterator[tuple[str, WorkbookSheet]]:
    """The same, one sheet after another."""
    book = Book(where, open_archive(where, content, bounds), bounds)
    try:
        for name, part in book.sheets().items():
            yield name, book.sheet(name, part)
    except (expat.ExpatError, zipfile.BadZipFile, KeyError, EOFError, OSError, ValueError) as error:
        raise _damaged(where, f"a damaged workbook ({type(error).__name__})") from None


def _damaged(where: str, found: str) -> DataError:
    return DataError(Fault(where, found, "an .xlsx workbook", _SAVE_AGAIN))


def _too_large(where: str, found: str, expected: str) -> DataError:
    remedy = (
        "Hand in the list alone: delete other sheets, and empty rows and columns far beyond the table, and "
        "save it again."
    )
    return DataError(Fault(where, found, expected, remedy))


class Book:
    """The parts of one archive, unpacked in pieces under one limit."""

    def __init__(self, where: str, archive: zipfile.ZipFile, bounds: WorkbookBounds) -> None:
        self.where, self.archive, self.bounds = where, archive, bounds
        self.unpacked = self.cells = 0
        self.texts: list[str] = []
        self.dates: list[bool] = []
        self.epoch = dt.datetime(1899, 12, 30)

    def parse(self, part: str, begin: Callable[[str, dict[str, str]], None], **handlers: Any) -> None:
        """Feed a part to an XML parser. begin: called with the local name and the attributes of each
        element."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, given: begin(name.rpartition(" ")[2], given)
        if "end" in handlers:
            parser.EndElementHandler = lambda name: handlers["end"](name.rpartition(" ")[2])
        if "text" in handlers:
            parser.CharacterDataHandler = handlers["text"]
        parser.StartDoctypeDeclHandler = self._no_doctype
        with self.archive.open(part) as stream:
            while chunk := stream.read(_CHUNK):
                self.unpacked += len(chunk)
                if self.unpacked > self.bounds.unpacked_bytes:
                    raise _too_large(
                        self.where,
                        "parts that unpack to more",
                        f"at most {self.bounds.unpacked_bytes:,} bytes",
                    )
                parser.Parse(chunk, False)
        parser.Parse(b"", True)

    def _no_doctype(self, *_: Any) -> None:
        raise _damaged(self.where, "a document type declaration, which no spreadsheet writes")

    def sheets(self) -> dict[str, str]:
        """Names of the worksheets, in their order -> their parts. Shared texts and date formats are read on
        the way."""
        root = self._related("_rels/.rels", "")
        book = next((part for kind, part in root.values() if kind == "officeDocument"), "xl/workbook.xml")
        related = self._related(f"{dirname(book)}/_rels/{book.rpartition('/')[2]}.rels", dirname(book))
        listed: list[tuple[str, str]] = []

        def begin(name: str, given: dict[str, str]) -> None:
            if name == "sheet":
                key = next((value for at, value in given.items() if at.rpartition(" ")[2] == "id"), "")
                listed.append((given.get("name", ""), key))
            elif name == "workbookPr" and given.get("date1904") in ("1", "true"):
                self.epoch = dt.datetime(1904, 1, 1)

        self.parse(book, begin)
        parts = {kind: part for kind, part in related.values() if kind in ("sharedStrings", "styles")}
        if "sharedStrings" in parts:
            self.texts = self._shared_texts(parts["sharedStrings"])
        if "styles" in parts:
            self.dates = self._date_styles(parts["styles"])
        return {
            name: related[key][1] for name, key in listed if key in related and related[key][0] == "worksheet"
        }

    def _related(self, part: str, folder: str) -> dict[str, tuple[str, str]]:
        """Relations of a part: id -> (last word of the type, name of the part in the archive)."""
        found: dict[str, tuple[str, str]] = {}

        def begin(name: str, given: dict[str, str]) -> None:
            if name == "Relationship" and given.get("TargetMode") != "External":
                target = given.get("Target", "")
                place = target.lstrip("/") if target.startswith("/") else normpath(join(folder, target))
                found[given.get("Id", "")] = (given.get("Type", "").rpartition("/")[2], place)

        if part in self.archive.namelist():
            self.parse(part, begin)
        return found

    def _shared_texts(self, part: str) -> list[str]:
        texts: list[str] = []
        state = {"text": False, "phonetic": 0}
        parts: list[str] = []

        def begin(name: str, _: dict[str, str]) -> None:
            if name == "si":
                parts.clear()
            elif name == "rPh":
                state["phonetic"] += 1
            elif name == "t":
                state["text"] = not state["phonetic"]

        def end(name: str) -> None:
            if name == "si":
                texts.append(self._text("".join(parts)))
            elif name == "rPh":
                state["phonetic"] -= 1
            elif name == "t":
                state["text"] = False

        def text(some: str) -> None:
            if state["text"]:
                parts.append(some)

        self.parse(part, begin, end=end, text=text)
        return texts

    def _text(self, text: str) -> str:
        if len(text) > LONGEST_TEXT:
            raise _too_large(self.where, f"a cell of {len(text):,} characters", f"at most {LONGEST_TEXT:,}")
        if "_x" in text:
            text = re.sub(r"_x([0-9A-Fa-f]{4})_", lambda code: chr(int(code.group(1), 16)), text)
        return text

    def _date_styles(self, part: str) -> list[bool]:
        """For each cell format, whether it shows a number as a date."""
        codes: dict[int, str] = {}
        formats: list[int] = []
        state = {"cells": False}

        def begin(name: str, given: dict[str, str]) -> None:
            if name == "numFmt":
                codes[int(given.get("numFmtId", "0"))] = given.get("formatCode", "")
            elif name == "cellXfs":
                state["cells"] = True
            elif name == "xf" and state["cells"]:
                formats.append(int(given.get("numFmtId", "0")))

        def end(name: str) -> None:
            if name == "cellXfs":
                state["cells"] = False

        self.parse(part, begin, end=end)
        return [is_date_format(number, codes.get(number)) for number in formats]

    def sheet(self, name: str, part: str) -> WorkbookSheet:
        """Read the cells of one sheet. part: its path in the archive. Raises an error beyond the bounds."""
        reader = _SheetReader(self)
        self.parse(part, reader.begin, end=reader.end, text=reader.text)
        return WorkbookSheet(name, dict(sorted(reader.rows.items())), tuple(reader.merged))

    def count_cell(self) -> None:
        """Count one more filled cell of the workbook; raise an error beyond the bound."""
        self.cells += 1
        if self.cells > self.bounds.cells:
            raise _too_large(self.where, "more filled cells", f"at most {self.bounds.cells:,}")

    def value(self, kind: str, style: int, formula: bool, text: str) -> Value | None:
        """What a cell holds; None: nothing. kind: its type (`s` shared text, `str`, `inlineStr`, `b`, `e`,
        `d`, or a number)."""
        if kind == "e":
            return CellFault(text or "#VALUE!")
        if formula and not text and kind != "str":
            return CellFault()
        if kind == "s":
            return self.texts[int(text)] or None if text else None
        if kind in ("str", "inlineStr"):
            return self._text(text) or None
        if not text.strip():
            return None
        if kind == "b":
            return text.strip() in ("1", "true")
        if kind == "d":
            day = dt.datetime.fromisoformat(text.strip().removesuffix("Z"))
            return day.replace(tzinfo=None)
        number = float(text)
        if style < len(self.dates) and self.dates[style] and 1 <= number < 2_958_466:
            early = number < 61 and self.epoch.year == 1899  # the 29 February 1900 that never was
            moment = self.epoch + dt.timedelta(days=number + early)
            return (moment + dt.timedelta(microseconds=500_000)).replace(microsecond=0)
        return number


class _SheetReader:
    """The walk over one sheet's XML."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.rows: dict[int, dict[int, Value]] = {}
        self.merged: list[Area] = []
        self.row = self.column = self.style = 0
        self.kind = ""
        self.formula = self.within = self.phonetic = False
        self.parts: list[str] = []

    def begin(self, name: str, given: dict[str, str]) -> None:
        if name == "c":
            place = place_of(given.get("r", ""))
            self.row, self.column = place or (self.row, self.column + 1)
            self.kind, self.style = given.get("t", ""), int(given.get("s", "0"))
            self.formula = False
            self.parts = []
        elif name in ("v", "t"):
            self.within = not self.phonetic
        elif name == "f":
            self.formula = True
        elif name == "rPh":
            self.phonetic = True
        elif name == "row":
            self.row = int(given["r"]) if given.get("r", "").isdigit() else self.row + 1
            self.column = 0
        elif name == "mergeCell":
            ends = [place_of(end) for end in given.get("ref", "").split(":")]
            if len(ends) == 2 and ends[0] and ends[1]:
                self.merged.append(Area(*ends[0], *ends[1]))

    def text(self, some: str) -> None:
        if self.within:
            self.parts.append(some)

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self.within = False
        elif name == "rPh":
            self.phonetic = False
        elif name == "c":
            value = self.book.value(self.kind, self.style, self.formula, "".join(self.parts))
            if value is not None and not (isinstance(value, str) and not value.strip()):
                self._keep(value)

    def _keep(self, value: Value) -> None:
        if not (1 <= self.row <= LAST_ROW and 1 <= self.column <= LAST_COLUMN):
            raise ValueError("a cell outside the sheet")
        cells = self.rows.setdefault(self.row, {})
        if self.column in cells:
            raise ValueError("a cell that occurs twice")
        self.book.count_cell()
        cells[self.column] = value


_ADDRESS: Final = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})\Z")


def place_of(text: str) -> tuple[int, int] | None:
    """(row, column) of an address such as B7, from 1; None: it is none."""
    match = _ADDRESS.match(text)
    if match is None:
        return None
    column = 0
    for letter in match.group(1):
        column = 26 * column + ord(letter) - 64
    return int(match.group(2)), column


_BUILT_IN_DATES: Final = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_NO_FORMAT_SIGNS: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', re.IGNORECASE)


def is_date_format(number: int, code: str | None) -> bool:
    """Whether a number format shows dates or times. number: its id; code: its text, where the workbook
    defines it."""
    if code is None:
        return number in _BUILT_IN_DATES
    plain = _NO_FORMAT_SIGNS.sub("", code).lower()
    return plain != "general" and any(sign in plain for sign in "ydhsm")
