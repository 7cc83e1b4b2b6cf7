"""Which file holds which table, and its rows as they stand there: Parquet, CSV in two encodings, compressed CSV, Excel.

Nothing is interpreted here. CSV and Excel come as text; Parquet keeps its types.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import io
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from riskmodel.tables.findings import SHOWN_ROWS
from riskmodel.tables.mapping import MAPPING_FILE, TableMapping, plain
from riskmodel.tables.schema import TABLES

ENDINGS = (".parquet", ".csv", ".csv.gz", ".xlsx")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM = b"\xef\xbb\xbf"
TITLE_LINES = 5


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
        place = position - self.start
        return int(self.rows[place]) if self.rows is not None else self.first + place


@dataclass
class Source:
    """A table as it stands in its files. `frame` is None where nothing could be read."""

    table: str
    frame: pl.DataFrame | None
    parts: list[Part]
    read_as: str
    troubles: list[Trouble] = field(default_factory=list)
    hash: str = ""
    numbers_as_ids: tuple[str, ...] = ()
    typed: bool = False

    @property
    def files(self) -> list[str]:
        return [part.file for part in self.parts]

    def place(self, position: int) -> tuple[str, int]:
        """File and row number of a position in the frame."""
        part = self.parts[bisect_right([part.start for part in self.parts], position) - 1]
        return part.file, part.row(position)


def find_sources(folder: Path, mappings: dict[str, TableMapping]) -> tuple[dict[str, list[Path]], list[Trouble]]:
    """The files of each table that is there, and troubles: two entries for one table, an entry that no table is called."""
    troubles = []
    found: dict[str, list[Path]] = {}
    if not folder.is_dir():
        remedy = "Name the folder that holds households.parquet (or .csv, .xlsx) and the other tables."
        return {}, [Trouble("no_folder", str(folder), (), 0, "no such folder", "a folder with the tables", remedy)]
    named = {mapping.file: name for name, mapping in mappings.items() if mapping.file}
    for name, mapping in mappings.items():
        if mapping.file:
            path = folder / mapping.file
            if path.exists():
                found[name] = _files(path)
            else:
                remedy = f"Put it there, or correct `file` of {name} in {MAPPING_FILE}."
                troubles.append(
                    Trouble("no_file", mapping.file, (), 0, "no such file", f"the file that {MAPPING_FILE} names", remedy)
                )
    by_zh = {table.zh: table.name for table in TABLES.values()}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_", "~$")) or path.name == MAPPING_FILE or path.name in named:
            continue
        stem = path.name if path.is_dir() else _stem(path.name)
        if stem is None:
            if path.suffix.lower() in (".xls", ".et", ".txt", ".tsv", ".zip", ".rar") and _plain_stem(path.name) in (
                *TABLES,
                *by_zh,
            ):
                remedy = "Save it as .xlsx, .csv or .parquet."
                troubles.append(
                    Trouble("unknown_form", path.name, (), 0, f"a {path.suffix} file", "one of " + ", ".join(ENDINGS), remedy)
                )
            continue
        name = stem if stem in TABLES else by_zh.get(stem, "")
        if not name:
            if not path.is_dir():
                remedy = f"Rename it, or name it under `file` in {MAPPING_FILE}; it is not read."
                expected = "a file named after a table: " + ", ".join(TABLES)
                troubles.append(Trouble("unknown_file", path.name, (), 0, "a file of no table", expected, remedy, "warning"))
            continue
        if path.is_dir() and not _files(path):
            remedy = "Put the table's Parquet files there, or give one file for the table."
            troubles.append(Trouble("unknown_form", path.name, (), 0, "a folder without Parquet files", "Parquet files", remedy))
            continue
        if name in found:
            other = found[name][0]
            both = f"both {other.relative_to(folder)} and {path.name}"
            troubles.append(Trouble("two_files", path.name, (), 0, both, f"one entry for {name}", "Move one of the two away."))
            continue
        found[name] = _files(path)
    return found, troubles


def table_of_name(path: Path) -> str | None:
    """The table that a file is named after, in English or Chinese; None if after none."""
    stem = _stem(path.name)
    by_zh = {table.zh: table.name for table in TABLES.values()}
    return stem if stem in TABLES else by_zh.get(stem or "")


def _stem(name: str) -> str | None:
    lower = name.lower()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if lower.endswith(ending):
            return name[: -len(ending)]
    return None


def _plain_stem(name: str) -> str:
    return name.split(".", 1)[0]


def _files(path: Path) -> list[Path]:
    return sorted(item for item in path.rglob("*.parquet") if not item.name.startswith((".", "_"))) if path.is_dir() else [path]


def read_source(folder: Path, table: str, files: list[Path], mapping: TableMapping) -> Source:
    """Read one table's files. Never raises for what stands in a file: troubles are returned with the source."""
    form = _form(files[0])
    if form == "parquet":
        source = _read_parquet(folder, table, files)
    elif form == "xlsx":
        source = _read_excel(folder, table, files[0], mapping)
    else:
        source = _read_csv(folder, table, files[0], mapping)
    source.hash = hash_of(folder, files)
    return source


def _form(path: Path) -> str:
    lower = path.name.lower()
    return "parquet" if lower.endswith(".parquet") else "xlsx" if lower.endswith(".xlsx") else "csv"


def hash_of(folder: Path, files: list[Path]) -> str:
    """SHA-256 over the names (within the folder) and bytes of a table's files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _refused(table: str, file: str, read_as: str, check: str, found: str, expected: str, remedy: str) -> Source:
    return Source(table, None, [Part(file, 0, 0, 1)], read_as, [Trouble(check, file, (), 0, found, expected, remedy)])


# Parquet


def _read_parquet(folder: Path, table: str, files: list[Path]) -> Source:
    frames, parts, troubles = [], [], []
    start = 0
    for path in files:
        file = path.relative_to(folder).as_posix()
        try:
            frame = pl.read_parquet(path, hive_partitioning=False, glob=False)
        except Exception as error:  # polars has no common error for damaged files
            first = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
            found = "an empty file" if path.stat().st_size == 0 else f"a damaged or truncated Parquet file ({first})"
            check = "empty_file" if path.stat().st_size == 0 else "truncated_file"
            troubles.append(
                Trouble(check, file, (), 0, found, "a complete Parquet file", "Export or copy it again; compare the sizes.")
            )
            continue
        for key, value in _partition(path, folder):
            if key not in TABLES[table].names:
                continue
            if key not in frame.columns:
                frame = frame.with_columns(pl.lit(value).alias(key))
                continue
            other = (frame[key].cast(pl.String) != value).fill_null(False)
            if other.any():
                rows = tuple(int(row) + 1 for row in other.arg_true().head(SHOWN_ROWS))
                found = f"rows of another {key} than the folder's name says"
                remedy = "Move the rows into their own folder, or correct the code."
                troubles.append(Trouble("wrong_partition", file, rows, int(other.sum()), found, f"{key} {value}", remedy))
        frames.append(frame)
        parts.append(Part(file, start, frame.height, 1))
        start += frame.height
    if not frames:
        return Source(
            table, None, parts or [Part(files[0].relative_to(folder).as_posix(), 0, 0, 1)], "Parquet", troubles, typed=True
        )
    if len(frames) == 1:
        whole = frames[0]
    else:
        whole, trouble = _one_frame(frames, parts)
        if trouble:
            troubles.append(trouble)
    read_as = "Parquet" if len(files) == 1 else f"Parquet, {len(files)} files"
    return Source(table, whole, parts, read_as, troubles, typed=True)


def _one_frame(frames: list[pl.DataFrame], parts: list[Part]) -> tuple[pl.DataFrame, Trouble | None]:
    """Partitions under each other. Types that differ are read as text, so that none of them is guessed."""
    columns = list(dict.fromkeys(name for frame in frames for name in frame.columns))
    trouble = None
    for part, frame in zip(parts, frames, strict=True):
        gone = [name for name in columns if name not in frame.columns]
        if gone and trouble is None:
            remedy = "Export the partitions from one source, with the same columns."
            found = "without the columns " + ", ".join(gone)
            trouble = Trouble("partitions_differ", part.file, (), 0, found, "the columns of the other files", remedy)
    aligned = []
    for name in columns:
        types = {frame.schema[name] for frame in frames if name in frame.columns}
        if len(types) > 1:
            frames = [frame.with_columns(pl.col(name).cast(pl.String)) if name in frame.columns else frame for frame in frames]
    aligned = frames
    return pl.concat(aligned, how="diagonal", rechunk=False), trouble


def _partition(path: Path, folder: Path) -> Iterator[tuple[str, str]]:
    for step in path.relative_to(folder).parts[:-1]:
        key, sign, value = step.partition("=")
        if sign:
            yield key, value


# CSV


def _read_csv(folder: Path, table: str, path: Path, mapping: TableMapping) -> Source:
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    file = path.relative_to(folder).as_posix()
    packed = path.name.lower().endswith(".gz")
    kind = "compressed CSV" if packed else "CSV"
    try:
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        found = "a truncated or damaged compressed file"
        return _refused(table, file, kind, "truncated_file", found, "a complete file", "Copy it again; compare the sizes.")
    if not data.strip():
        remedy = "Ask for the extract again; leave the file out if the table was not delivered."
        return _refused(table, file, kind, "empty_file", "an empty file", "a header and rows", remedy)
    encoding, trouble = find_encoding(data, mapping.encoding)
    if trouble:
        return _refused(table, file, kind, "wrong_encoding", *trouble)
    if encoding == "gb18030":
        data = data.decode("gb18030").encode("utf-8")
    data = data.removeprefix(_UTF8_BOM)
    name = {"utf-8": "UTF-8", "gb18030": "GB18030"}[encoding] + (", compressed" if packed else "")
    read_as = f"CSV, {name}"

    first_line, title_lines = _header_line(data)
    if "," not in first_line:
        for sign, word in (("\t", "tabs"), (";", "semicolons"), ("|", "bars"), ("，", "full-width commas")):
            if sign in first_line:
                found = f"columns separated by {word}"
                return _refused(table, file, read_as, "wrong_separator", found, "commas", "Export it as CSV with commas.")
    header = [plain(cell) for cell in next(_csv_rows(first_line), [])]
    troubles: list[Trouble] = []
    twice = sorted({cell for cell in header if cell and header.count(cell) > 1})
    if twice:
        found = "column names that stand twice: " + ", ".join(f"`{cell}`" for cell in twice)
        return _refused(table, file, read_as, "column_twice", found, "each column once", "Rename or remove one of them.")
    names = [cell or f"(column {place + 1})" for place, cell in enumerate(header)]

    ragged: list[tuple[int, int]] = []

    def skip(row: Any) -> str:
        ragged.append((row.number, row.actual_columns))
        return "skip"

    try:
        read = arrow_csv.read_csv(
            io.BytesIO(data),
            read_options=arrow_csv.ReadOptions(
                use_threads=False, column_names=names, skip_rows=title_lines + 1, block_size=1 << 24
            ),
            parse_options=arrow_csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True, ignore_empty_lines=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error) or "Could not skip" in str(error):
            frame = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
            return Source(table, frame, [Part(file, 0, 0, title_lines + 2)], read_as, troubles)
        found = f"a file that is no CSV ({str(error).splitlines()[0][:80]})"
        return _refused(
            table,
            file,
            read_as,
            "truncated_file",
            found,
            "a complete CSV file",
            "Look for a quote mark that is never closed; export it again.",
        )
    frame = pl.DataFrame(pl.from_arrow(read))
    skipped = {number for number, _ in ragged}
    total = frame.height + len(skipped)
    numbers = pl.int_range(title_lines + 2, title_lines + total + 2, dtype=pl.UInt32, eager=True)
    if skipped:
        numbers = numbers.filter(~numbers.is_in(pl.Series(sorted(skipped), dtype=pl.UInt32).implode()))
        rows = tuple(sorted(skipped))
        widths = sorted({width for _, width in ragged})
        found = f"{' or '.join(str(width) for width in widths)} cells"
        last = rows[-1] == title_lines + total + 1 and len(rows) == 1
        if last:
            troubles.append(
                Trouble(
                    "truncated_file",
                    file,
                    rows,
                    1,
                    f"a last row that breaks off after {found}",
                    f"{len(names)} cells",
                    "The file was cut, or a quote mark is never closed: export or copy it again.",
                )
            )
        else:
            remedy = "Look for commas or quote marks inside values; export with quotes around text."
            troubles.append(
                Trouble("ragged_row", file, rows[:10], len(rows), found, f"{len(names)} cells, as in the header", remedy)
            )
    elif not data.endswith((b"\n", b"\r")) and frame.height:
        remedy = "Compare the number of rows with the department's; the file may have been cut."
        troubles.append(
            Trouble("no_last_line_break", file, (), 0, "no line break after the last row", "a line break", remedy, "warning")
        )
    frame, kept = _without_blank_rows(frame, numbers)
    return Source(table, frame, [Part(file, 0, frame.height, 2, kept)], read_as, troubles)


def _header_line(data: bytes) -> tuple[str, int]:
    """The first line with two or more filled cells, and the number of lines above it: titles that an export puts there."""
    lines = [
        line.decode("utf-8", "replace").strip("\r") for line in data[: 1 << 16].split(b"\n", TITLE_LINES + 1)[: TITLE_LINES + 1]
    ]
    for place, line in enumerate(lines):
        if sum(bool(cell.strip()) for cell in next(_csv_rows(line), [])) > 1:
            return line, place
    return lines[0], 0


def _csv_rows(text: str) -> Iterator[list[str]]:
    import csv

    yield from csv.reader([text])


def _without_blank_rows(frame: pl.DataFrame, numbers: pl.Series) -> tuple[pl.DataFrame, pl.Series | None]:
    blank = frame.select(pl.all_horizontal(pl.all().str.strip_chars() == "")).to_series() if frame.width else None
    if blank is not None and blank.any():
        frame, numbers = frame.filter(~blank), numbers.filter(~blank)
    gaps = bool(numbers.len()) and (int(numbers[-1]) - int(numbers[0]) + 1 != numbers.len() or int(numbers[0]) != 2)
    return frame, numbers if gaps else None


def find_encoding(data: bytes, named: str | None = None) -> tuple[str, tuple[str, str, str] | None]:
    """UTF-8 or GB18030, or (found, expected, remedy) where neither is certain.

    UTF-8 is strict, so text that decodes is UTF-8, unless all it gives are signs that no Chinese table has while GB18030 gives
    common characters (a file whose only Chinese is 模战 is an example). GB18030 decodes almost anything; it is taken
    only if nearly all of its characters are the common ones of GB 2312.
    """
    expected = "UTF-8 or GB18030"
    if data.startswith(_UTF16) or b"\x00" in data[:4096]:
        return "", ("UTF-16 or binary data", expected, "Save the file as CSV UTF-8 (逗号分隔) and check again.")
    if data.isascii():
        return "utf-8", None
    utf8_error = None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        text, utf8_error = "", error
    if named == "utf-8" and utf8_error:
        found = f"byte {utf8_error.start:,} is not UTF-8, as tables.yaml says"
        return "", (found, "UTF-8", "Correct `encoding` in tables.yaml, or export again.")
    if utf8_error is None and named != "gb18030":
        if data.startswith(_UTF8_BOM) or _commonly_chinese(text):
            return "utf-8", None
        as_gb = _decode(data)
        if as_gb is None or not _commonly_chinese(as_gb) or named == "utf-8":
            return "utf-8", None
        found = "bytes that read as UTF-8 and as GB18030, with different meaning"
        return "", (found, "one of the two", "Say which in tables.yaml: `encoding: gb18030` or `encoding: utf-8`.")
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
    line = data[: utf8_error.start].count(b"\n") + 1 if utf8_error else 1
    found = f"{where} (row {line:,}) is neither UTF-8 nor common GB18030"
    return "", (found, expected, "Export the file again as UTF-8; do not paste files of two encodings together.")


def _decode(data: bytes) -> str | None:
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError:
        return None


def _commonly_chinese(text: str) -> bool:
    """Whether nearly all characters beyond ASCII are of GB 2312, and most of them everyday Han or full-width signs."""
    beyond = [sign for sign in dict.fromkeys(text[: 1 << 22]) if ord(sign) > 127 and sign not in "\ufeff\u3000"]
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


# Excel


def _read_excel(folder: Path, table: str, path: Path, mapping: TableMapping) -> Source:
    import python_calamine

    file = path.relative_to(folder).as_posix()
    if path.stat().st_size == 0:
        return _refused(table, file, "Excel", "empty_file", "an empty file", "a workbook", "Ask for the extract again.")
    try:
        workbook = python_calamine.load_workbook(str(path))
    except Exception as error:  # calamine has several errors for damaged files
        found = f"a damaged or truncated workbook ({type(error).__name__})"
        return _refused(
            table, file, "Excel", "truncated_file", found, "an .xlsx workbook", "Open it in the spreadsheet and save it again."
        )
    sheets = {name: workbook.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in workbook.sheet_names}
    filled = {name: rows for name, rows in sheets.items() if any(cell not in ("", None) for row in rows for cell in row)}
    wanted = mapping.sheet
    names = [wanted] if wanted else [name for name in filled if name in (table, TABLES[table].zh)] or list(filled)
    if wanted and wanted not in filled:
        found = f"no filled sheet `{wanted}`"
        return _refused(table, file, "Excel", "no_sheet", found, "one of " + ", ".join(filled), "Correct `sheet` in tables.yaml.")
    if len(names) > 1:
        found = "several filled sheets: " + ", ".join(names)
        remedy = f"Name it under `sheet` in {MAPPING_FILE}, or name the sheet `{table}`."
        return _refused(table, file, "Excel", "several_sheets", found, "one filled sheet", remedy)
    if not names:
        return _refused(
            table, file, "Excel", "empty_file", "a workbook without rows", "a header and rows", "Ask for the extract again."
        )
    rows = filled[names[0]]
    filled_cells = [sum(cell not in ("", None) for cell in row) for row in rows]
    # A title above the header fills one cell only.
    start = next((place for place, count in enumerate(filled_cells) if count > 1), filled_cells.index(max(filled_cells)))
    header = [plain(_cell(cell)[0]) for cell in rows[start]]
    while header and not header[-1]:
        header.pop()
    read_as = f"Excel, sheet {names[0]}"
    twice = sorted({cell for cell in header if cell and header.count(cell) > 1})
    if twice:
        found = "column names that stand twice: " + ", ".join(f"`{cell}`" for cell in twice)
        return _refused(table, file, read_as, "column_twice", found, "each column once", "Rename or remove one of them.")
    names_of = [cell or f"(column {place + 1})" for place, cell in enumerate(header)]
    cells: list[list[str]] = [[] for _ in names_of]
    numeric: set[str] = set()
    for row in rows[start + 1 :]:
        for place, name in enumerate(names_of):
            text, number = _cell(row[place] if place < len(row) else "")
            cells[place].append(text)
            if number:
                numeric.add(name)
    frame = pl.DataFrame([pl.Series(name, column, dtype=pl.String) for name, column in zip(names_of, cells, strict=True)])
    numbers = pl.int_range(start + 2, start + 2 + frame.height, dtype=pl.UInt32, eager=True)
    frame, kept = _without_blank_rows(frame, numbers)
    if kept is None and start:
        kept = numbers
    source = Source(table, frame, [Part(file, 0, frame.height, 2, kept)], read_as)
    source.numbers_as_ids = tuple(sorted(numeric))
    return source


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
        case dt.time() | dt.timedelta():
            return str(value), False
        case _:
            return str(value), False
