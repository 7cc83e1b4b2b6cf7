"""CSV: the cells of a file as text, in two encodings, compressed or not; and the proof that no row of it is
lost.

A quote mark that is not part of a well-formed CSV makes every reader join rows until the next quote mark:
rows vanish without a word. So the quote marks are checked first (each opens a cell, closes one, or is doubled
inside one), rows are counted from the line ends outside of quotes, and this count is compared with what the
parser returns.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.tables.extracts import (
    TITLE_ROWS,
    Part,
    Source,
    Trouble,
    column_names,
    find_header,
    known_headings,
    lost_rows,
    named_twice,
    refused,
    without_blank_rows,
)
from riskmodel.tables.mapping import TableMapping
from riskmodel.tables.values import INVISIBLE, plain

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM = b"\xef\xbb\xbf"
_QUOTE, _COMMA, _LINE, _RETURN = b'",\n\r'
_SEPARATORS = (("\t", "tabs"), (";", "semicolons"), ("|", "bars"), ("，", "full-width commas"))
_HEAD_BYTES = 1 << 18
_QUOTE_REMEDY = (
    "Export it again as CSV with quote marks doubled inside text (a spreadsheet does so), or as .xlsx; or "
    "delete the quote mark there."
)

# Check -> what was found.
_QUOTE_FAULTS = {
    "truncated_file": "a quote mark that is never closed",
    "stray_quote": "a quote mark at the beginning of a cell that goes on behind the next one",
}


@dataclass(frozen=True)
class Shape:
    """What a file's bytes show before they are parsed.

    rows: records, counted from the line ends outside of quotes (the header and titles included).
    fault: (line, check: a key of _QUOTE_FAULTS) of a quote mark that no well-formed CSV has, or None.
    cells: (first byte, byte behind) of each quoted cell that contains a line end.
    """

    rows: int
    fault: tuple[int, str] | None
    cells: tuple[tuple[int, int], ...] = ()


def read_csv(folder: Path, table: str, path: Path, mapping: TableMapping) -> Source:
    """One table from a CSV. Never raises for what the file holds: troubles are returned with the source."""
    file = path.relative_to(folder).as_posix()
    packed = path.name.lower().endswith(".gz")
    kind = "compressed CSV" if packed else "CSV"
    try:
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        found = "a truncated or damaged compressed file"
        return refused(
            table, file, kind, "truncated_file", found, "a complete file", "Copy it again; compare the sizes."
        )
    if not data.strip():
        remedy = "Ask for the extract again; leave the file out if the table was not delivered."
        return refused(table, file, kind, "empty_file", "an empty file", "a header and rows", remedy)
    encoding, trouble = find_encoding(data, mapping.encoding)
    if trouble:
        return refused(table, file, kind, "wrong_encoding", *trouble, read=_lines_below_header(data))
    if encoding == "gb18030":
        data = data.decode("gb18030").encode("utf-8")
    data = data.removeprefix(_UTF8_BOM)
    name = {"utf-8": "UTF-8", "gb18030": "GB18030"}[encoding] + (", compressed" if packed else "")
    return _from_bytes(data, table, file, f"CSV, {name}", mapping)


def _from_bytes(data: bytes, table: str, file: str, read_as: str, mapping: TableMapping) -> Source:
    shape = shape_of(data)
    if shape.fault:
        line, check = shape.fault
        found = _QUOTE_FAULTS[check]
        where = f"{found}, in line {line:,} ({file}:{line})"
        return refused(
            table,
            file,
            read_as,
            check,
            where,
            "quote marks around whole cells",
            _QUOTE_REMEDY,
            read=_lines_below_header(data),
        )
    head = _first_records(data)
    texts = [[plain(cell) for cell in cells] for cells, _ in head]
    if all(len([cell for cell in cells if cell]) < 2 for cells in texts):
        for sign, word in _SEPARATORS:
            if any(sign in cell for cells, _ in head for cell in cells):
                found = f"columns separated by {word}"
                remedy = "Export it as CSV with commas."
                return refused(
                    table, file, read_as, "wrong_separator", found, "commas", remedy, read=shape.rows - 1
                )
    if mapping.header is not None:
        place = min(mapping.header, len(texts)) - 1
        headings = texts[place]
    else:
        place, headings = find_header(texts, known_headings(table, mapping))
    rows = shape.rows - place - 1
    if place:
        read_as += f", header in row {place + 1}"
    if found := named_twice(headings):
        remedy = "Rename or remove one of them."
        return refused(table, file, read_as, "column_twice", found, "each column once", remedy, read=rows)
    if found := _joined_rows(data, shape, len(headings)):
        return refused(
            table,
            file,
            read_as,
            "stray_quote",
            found,
            "quote marks around whole cells",
            _JOINED_REMEDY,
            read=rows,
        )
    offset = head[place][1]
    source = _parsed(data, offset, headings, (table, file, read_as, place + 1))
    source.header = place + 1
    if source.frame is None:
        source.read = source.unreadable = max(rows, source.read)
        return source
    source.read = rows
    if source.height + source.empty + source.unreadable != rows:
        source.troubles.append(lost_rows(file, rows, source.height + source.empty + source.unreadable))
    return source


_JOINED_REMEDY = (
    "If the line is a row of its own, delete the quote mark at the beginning of the cell above it, or "
    "double the quote marks inside text; if one cell really holds these lines, save the file as .xlsx."
)


def _parsed(data: bytes, offset: int, headings: Sequence[str], named: tuple[str, str, str, int]) -> Source:
    """The rows below the header as a frame of text. `named`: table, file, how it is read, number of the
    header's row.
    """
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    table, file, read_as, header = named
    names = column_names(headings)
    blank: list[int] = []
    ragged: list[tuple[int, int]] = []
    joined: list[int] = []

    def skip(row: Any) -> str:
        if row.text.strip(INVISIBLE + ',"'):
            ragged.append((row.number, row.actual_columns))
            joined.extend([row.number] if "\n" in row.text or "\r" in row.text else ())
        else:
            blank.append(row.number)
        return "skip"

    if offset >= len(data):
        return Source(
            table,
            pl.DataFrame(schema=dict.fromkeys(names, pl.String)),
            [Part(file, 0, 0, header + 1)],
            read_as,
        )
    columns = dict.fromkeys(names, pa.large_string())
    try:
        read = arrow_csv.read_csv(
            pa.BufferReader(memoryview(data)[offset:]),
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=1 << 24),
            parse_options=arrow_csv.ParseOptions(
                invalid_row_handler=skip, newlines_in_values=True, ignore_empty_lines=False
            ),
            convert_options=arrow_csv.ConvertOptions(column_types=columns, strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        found = f"a file that is no CSV ({str(error).splitlines()[0][:80]})"
        remedy = "Look for a quote mark that is never closed, or a cell of many megabytes; export it again."
        return refused(table, file, read_as, "truncated_file", found, "a complete CSV file", remedy)
    if joined:  # a row of too many or too few cells that runs over several lines is made of several rows
        found = (
            f"a quote mark in row {joined[0] + header:,} that joins it with the line below: the cells do "
            "not fit the header"
        )
        expected = "quote marks around whole cells"
        return refused(
            table,
            file,
            read_as,
            "stray_quote",
            found,
            expected,
            _JOINED_REMEDY,
            read=_lines_below_header(data),
        )
    frame = pl.DataFrame(pl.from_arrow(read))
    total = frame.height + len(ragged) + len(blank)
    numbers = pl.int_range(header + 1, header + total + 1, dtype=pl.UInt32, eager=True)
    troubles: list[Trouble] = []
    if ragged or blank:
        left_out = pl.Series(
            [number + header for number, _ in ragged] + [number + header for number in blank], dtype=pl.UInt32
        )
        numbers = numbers.filter(~numbers.is_in(left_out.implode()))
    if ragged:
        troubles.append(
            _ragged(file, [(number + header, width) for number, width in ragged], len(names), header + total)
        )
    elif not data.endswith((b"\n", b"\r")) and frame.height:
        remedy = "Compare the number of rows with the department's; the file may have been cut."
        found = "no line break after the last row"
        troubles.append(
            Trouble(
                check="no_last_line_break",
                file=file,
                rows=(),
                count=0,
                found=found,
                expected="a line break",
                remedy=remedy,
                level="warning",
            )
        )
    frame, kept, gone = without_blank_rows(frame, numbers)
    source = Source(
        table=table,
        frame=frame,
        parts=[Part(file=file, start=0, height=frame.height, first=2, rows=kept)],
        read_as=read_as,
        troubles=troubles,
    )
    source.empty, source.unreadable = gone + len(blank), len(ragged)
    return source


def _ragged(file: str, ragged: Sequence[tuple[int, int]], width: int, last: int) -> Trouble:
    """Rows with more or fewer cells than the header: a cut file, where it is only the last one and short."""
    rows = tuple(row for row, _ in ragged)
    widths = sorted({cells for _, cells in ragged})
    found = f"{' or '.join(str(cells) for cells in widths)} cells"
    if rows == (last,) and widths[0] < width:
        remedy = (
            "The file was cut: export or copy it again. If it is a note below the table, delete the note."
        )
        return Trouble(
            check="truncated_file",
            file=file,
            rows=rows,
            count=1,
            found=f"a last row that breaks off after {found}",
            expected=f"{width} cells",
            remedy=remedy,
        )
    remedy = "Look for commas or quote marks inside values; export with quotes around text."
    return Trouble(
        check="ragged_row",
        file=file,
        rows=rows[:10],
        count=len(rows),
        found=found,
        expected=f"{width} cells, as in the header",
        remedy=remedy,
    )


def _first_records(data: bytes) -> list[tuple[list[str], int]]:
    """The first rows as cells, each with the byte at which the next row begins. Cells may contain line ends,
    as headings of a sheet do.
    """
    head = data[:_HEAD_BYTES]
    text = head.decode("utf-8", "ignore")
    # Line ends as bytes: records are cut where Python's csv parser ends them.
    ends = [match.end() for match in re.finditer(rb"\r\n|\n|\r", head)] + [len(data)]
    reader = csv.reader(io.StringIO(text, newline=""))
    records = []
    try:
        for cells in reader:
            records.append((cells, ends[min(reader.line_num, len(ends)) - 1]))
            if len(records) > 2 * TITLE_ROWS + 10:
                break
    except csv.Error:
        pass
    return records or [([""], len(data))]


def shape_of(data: bytes) -> Shape:
    """Count the rows of a CSV by its line ends, and check its quote marks, without parsing it."""
    signs = np.frombuffer(data, np.uint8)
    if b'"' not in data:
        return Shape(_count_ends(data), None)
    quotes = np.flatnonzero(signs == _QUOTE)
    if _well_formed(signs, quotes):
        ends = _line_ends(signs)
        before = np.searchsorted(quotes, ends)
        inside = before % 2 == 1
        outside = ends[~inside]
        rows = len(outside) + (not len(outside) or int(outside[-1]) + 1 < len(data))
        opened = np.unique(before[inside])
        return Shape(int(rows), None, tuple((int(quotes[place - 1]), int(quotes[place])) for place in opened))
    return _shape_by_reading(data)


def _count_ends(data: bytes) -> int:
    returns = data.count(b"\r")
    ends = data.count(b"\n") + (returns - data.count(b"\r\n") if returns else 0)
    return ends + (not data.endswith((b"\n", b"\r")))


def _line_ends(signs: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Bytes at which a line ends: a line feed, or a carriage return that none follows."""
    lines = signs == _LINE
    returns = signs == _RETURN
    if returns.any():
        returns[:-1] &= ~lines[1:]
        lines |= returns
    return np.flatnonzero(lines)


def _well_formed(signs: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64]) -> bool:
    """Whether every quote mark opens a cell, closes one or is doubled inside one: then odd counts of them are
    the inside of cells.
    """
    if len(quotes) % 2:
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.where(opening > 0, signs[np.maximum(opening - 1, 0)], _LINE)
    behind = np.where(closing + 1 < len(signs), signs[np.minimum(closing + 1, len(signs) - 1)], _LINE)
    opens = (before == _COMMA) | (before == _LINE) | (before == _RETURN) | (before == _QUOTE)
    closes = (behind == _COMMA) | (behind == _LINE) | (behind == _RETURN) | (behind == _QUOTE)
    return bool(opens.all() and closes.all())


def _shape_by_reading(data: bytes) -> Shape:
    """The same by Python's strict CSV parser, which also takes quote marks in the middle of a cell that does
    not begin with one.
    """
    reader = csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline=""), strict=True)
    rows, begun = 0, 0
    try:
        for _ in reader:
            rows, begun = rows + 1, reader.line_num
    except csv.Error as error:
        # A row that runs over several lines begins behind the last complete one: there the quote mark was
        # opened.
        never_closed = "end of data" in str(error) or "limit" in str(error)
        return Shape(rows, (begun + 1, "truncated_file" if never_closed else "stray_quote"))
    quoted = re.finditer(rb'(?:(?<=[,\r\n])|^)"(?:[^"]|"")*"(?=[,\r\n]|\Z)', data)
    several = [match.span() for match in quoted if b"\n" in match.group() or b"\r" in match.group()]
    return Shape(rows, None, tuple((first, behind - 1) for first, behind in several))


def _joined_rows(data: bytes, shape: Shape, width: int) -> str:
    """What was found where a quoted cell seems to hold a whole row: a line in it that has as many cells as
    the header by itself.
    """
    enough = max(width - 1, 2)
    for first, last in shape.cells:
        cell = data[first + 1 : last]
        lines = re.split(rb"\r\n|\n|\r", cell)
        whole = [place for place, line in enumerate(lines[1:-1], 1) if line.count(b",") >= enough]
        begins_row = not first or data[first - 1] in (_LINE, _RETURN)
        if begins_row and lines[0].count(b",") >= enough:
            whole = [1]
        inside = lines[-1].count(b",")
        if not whole and inside:
            rest = re.split(rb"[\r\n]", data[last + 1 : last + 1 + (1 << 16)], maxsplit=1)[0]
            if inside + _commas_outside(rest) >= enough:
                whole = [len(lines) - 1]
        if whole:
            line = len(re.findall(rb"\r\n|\n|\r", data[:first])) + 1
            return (
                f"a quote mark in line {line:,} that joins this row with line {line + whole[0]:,}, which is "
                "a row of its own"
            )
    return ""


def _commas_outside(line: bytes) -> int:
    """Commas of the rest of a line that are not inside a quoted cell."""
    return re.sub(rb'"(?:[^"]|"")*"', b"", line).count(b",")


def _lines_below_header(data: bytes) -> int:
    """Lines that hold anything, but for the first: how many rows a file has that cannot be read."""
    return max(sum(1 for line in _lines(data) if line.strip()) - 1, 0)


def _lines(data: bytes) -> Iterator[bytes]:
    yield from re.split(rb"\r\n|\n|\r", data)


def find_encoding(data: bytes, named: str | None = None) -> tuple[str, tuple[str, str, str] | None]:
    """UTF-8 or GB18030, or (found, expected, remedy) where neither is certain.

    UTF-8 is strict, so text that decodes is UTF-8, unless all it gives are signs that no Chinese table has
    while GB18030 gives common characters (a file whose only Chinese is 模战 is an example). GB18030 decodes
    almost anything; it is taken only if nearly all of its characters are the common ones of GB 2312.
    """
    expected = "UTF-8 or GB18030"
    if data.startswith(_UTF16) or b"\x00" in data[:4096]:
        return "", (
            "UTF-16 or binary data",
            expected,
            "Save the file as CSV UTF-8 (逗号分隔) and check again.",
        )
    if data.isascii():
        return "utf-8", None
    utf8_error = None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        text, utf8_error = "", error
    if named == "utf-8" and utf8_error:
        found = f"byte {utf8_error.start:,} is not UTF-8, which tables.yaml declares"
        return "", (found, "UTF-8", "Correct `encoding` in tables.yaml, or export again.")
    if utf8_error is None and named != "gb18030":
        if data.startswith(_UTF8_BOM) or _commonly_chinese(text):
            return "utf-8", None
        as_gb = _decode(data)
        if as_gb is None or not _commonly_chinese(as_gb) or named == "utf-8":
            return "utf-8", None
        found = "bytes that read as UTF-8 and as GB18030, with different meaning"
        return "", (
            found,
            "one of the two",
            "Declare which in tables.yaml: `encoding: gb18030` or `encoding: utf-8`.",
        )
    if (
        utf8_error is not None
        and utf8_error.start >= len(data) - 3
        and _commonly_chinese(data[: utf8_error.start].decode("utf-8"))
    ):
        return "", (
            "UTF-8 text that breaks off within a character",
            "a complete file",
            "The file was cut, or a quote mark is never closed: export or copy it again.",
        )
    as_gb = _decode(data)
    if as_gb is not None and (named == "gb18030" or _commonly_chinese(as_gb)):
        return "gb18030", None
    where = f"byte {utf8_error.start:,}" if utf8_error else "the file"
    line = len(re.findall(rb"\r\n|\n|\r", data[: utf8_error.start])) + 1 if utf8_error else 1
    if as_gb is None and named != "gb18030":
        found = f"{where} (row {line:,}) is neither UTF-8 nor GB18030"
        return "", (
            found,
            expected,
            "Export the file again as UTF-8; do not paste files of two encodings together.",
        )
    found = f"{where} (row {line:,}) is neither UTF-8 nor common GB18030"
    remedy = (
        "If the file comes from a Chinese system and only some of its characters are rare, write `encoding: "
        "gb18030` for the table in tables.yaml; otherwise export it again as UTF-8, and do not paste files "
        "of two encodings together."
    )
    return "", (found, expected, remedy)


def _decode(data: bytes) -> str | None:
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError:
        return None


def _commonly_chinese(text: str) -> bool:
    """Whether nearly all characters beyond ASCII are of GB 2312, and most of them everyday Han or full-width
    signs.
    """
    beyond = [
        sign for sign in dict.fromkeys(text[: 1 << 22]) if ord(sign) > 127 and sign not in "\ufeff\u3000"
    ]
    if not beyond:
        return False
    counted = common = everyday = 0
    for sign in beyond:
        counted += 1
        try:
            code = sign.encode("gb2312")
        except UnicodeEncodeError:
            continue
        common += 1
        everyday += 0xB0 <= code[0] <= 0xD7 or 0xA1 <= code[0] <= 0xA3
    return common >= 0.95 * counted and everyday >= 0.8 * counted
