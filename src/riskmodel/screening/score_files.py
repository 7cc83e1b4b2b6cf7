"""Score files: what `riskmodel score` writes as Parquet, CSV or Excel, and what `riskmodel replay` reads.

All three hold the same columns and the same values, bit for bit. A workbook keeps 16 digits of a number,
which is one too few for some: a second sheet holds the numbers as text.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.files import as_written, harmless, write_bytes

EXACT: Final = "exact"
SHEET: Final = "scores"
MOST_ROWS: Final = 1_048_575  # rows of a sheet below its heading
# The type of each column that is no text; rule columns are floats.
_TYPES: Final[Mapping[str, pl.DataType]] = {
    "as_of": pl.Date(),
    "horizon_months": pl.Int32(),
    "probability": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "margin": pl.Float64(),
    "rank": pl.Int64(),
}


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """Scores as Parquet."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def csv_bytes(frame: pl.DataFrame) -> bytes:
    """Scores as CSV: UTF-8 with the mark that spreadsheets need, numbers with all their digits."""
    safe = frame.with_columns(_each_text(frame, harmless))
    return safe.write_csv(include_bom=True).encode()


def excel_bytes(frame: pl.DataFrame) -> bytes:
    """Scores as a workbook: one sheet to read, one hidden sheet with the numbers as text. Raises DataError
    beyond the rows of a sheet."""
    import xlsxwriter

    if frame.height > MOST_ROWS:
        fault = Fault(
            "--output",
            f"{frame.height:,} households",
            f"at most {MOST_ROWS:,} in a workbook",
            "Write .parquet or .csv.",
        )
        raise DataError(fault)
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer, {"in_memory": True, "default_date_format": "yyyy-mm-dd", "nan_inf_to_errors": False}
    )
    book.set_properties({"created": dt.datetime(2020, 1, 1)})  # the same scores make the same bytes
    sheet, exact = book.add_worksheet(SHEET), book.add_worksheet(EXACT)
    exact.hide()
    sheet.freeze_panes(1, 1)
    numbers = [name for name, kind in frame.schema.items() if kind == pl.Float64()]
    for place, name in enumerate(frame.columns):
        sheet.write_string(0, place, name)
        for line, value in enumerate(frame[name], start=1):
            if value is None:
                continue
            if isinstance(value, dt.date):
                sheet.write_datetime(line, place, dt.datetime.combine(value, dt.time()))
            elif isinstance(value, str):
                sheet.write_string(line, place, harmless(value))
            else:
                sheet.write_number(line, place, value)
    for place, name in enumerate(numbers):
        exact.write_string(0, place, name)
        for line, value in enumerate(frame[name], start=1):
            if value is not None:
                exact.write_string(line, place, repr(value))
    book.close()
    return buffer.getvalue()


FORMS: Final[Mapping[str, Callable[[pl.DataFrame], bytes]]] = {
    ".parquet": parquet_bytes,
    ".csv": csv_bytes,
    ".xlsx": excel_bytes,
}


def write_scores(frame: pl.DataFrame, path: Path) -> Path:
    """Write the frame of `Scores` in the form that the ending names. Returns the path. Raises DataError for
    an unknown ending."""
    return write_bytes(path, FORMS[known_form(path)](frame))


def known_form(path: Path) -> str:
    """The ending of a score file in lower case. Raises DataError when it is none of FORMS."""
    ending = path.suffix.lower()
    if ending not in FORMS:
        found = f"the ending {path.suffix!r}" if path.suffix else "no ending"
        raise DataError(
            Fault(str(path), found, f"one of {', '.join(FORMS)}", "Name the file with one of these.")
        )
    return ending


def read_scores(path: Path) -> pl.DataFrame:
    """The frame of a score file, with the types that `Scores.frame` has. Raises DataError for anything
    else."""
    ending = known_form(path)
    try:
        if ending == ".parquet":
            return _typed(pl.read_parquet(path))
        read = pl.read_csv(path, infer_schema=False) if ending == ".csv" else _sheets(path)
        return _without_guards(_typed(read))
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(Fault(str(path), found, "a file written by `riskmodel score`", "Name one.")) from None


def _sheets(path: Path) -> pl.DataFrame:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(path))
        seen = {
            name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in (SHEET, EXACT)
        }
    except CalamineError as error:
        raise ValueError(str(error)) from None
    columns: dict[str, list[Any]] = {}
    for rows in (seen[SHEET], seen[EXACT]):  # the exact numbers replace those of the sheet to read
        for place, name in enumerate(rows[0]):
            columns[str(name)] = [None if row[place] == "" else row[place] for row in rows[1:]]
    return pl.DataFrame(
        {name: pl.Series(values, strict=False, dtype=_cell_type(values)) for name, values in columns.items()}
    )


def _cell_type(values: list[Any]) -> pl.DataType:
    first = next((value for value in values if value is not None), "")
    if isinstance(first, dt.date):
        return pl.Date()
    return pl.Float64() if isinstance(first, (int, float)) else pl.String()


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """The types of `Scores.frame`. Raises ValueError for a table without households."""
    if "household_id" not in frame.columns:
        raise ValueError("no column household_id")
    kinds = {
        name: _TYPES.get(name, pl.Float64() if name.startswith("rule_") else pl.String())
        for name in frame.columns
    }
    return frame.with_columns(
        pl.col(name).str.to_date()
        if kind == pl.Date() and frame.schema[name] == pl.String()
        else pl.col(name).cast(kind)
        for name, kind in kinds.items()
    )


def _without_guards(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts as they were before `harmless`; an empty cell is an empty text."""
    filled = frame.with_columns(pl.col(pl.String).fill_null(""))
    return filled.with_columns(_each_text(filled, as_written))


def _each_text(frame: pl.DataFrame, change: Callable[[str], str]) -> list[pl.Series]:
    """Every text column whose texts `change` alters. Ids and hashes repeat little, reasons much: each text is
    looked at once."""
    changed = []
    for name, kind in frame.schema.items():
        if kind != pl.String():
            continue
        each = frame[name].drop_nulls().unique()
        other = {text: new for text in each if (new := change(text)) != text}
        if other:
            changed.append(frame[name].replace(list(other), list(other.values())).alias(name))
    return changed
