"""Parquet: one file a table, or partitions by county; typed columns are kept as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from riskmodel.tables.extracts import Part, Source, Trouble, lost_rows
from riskmodel.tables.findings import SHOWN_ROWS
from riskmodel.tables.schema import TABLES
from riskmodel.tables.values import INVISIBLE


def read_parquet(folder: Path, table: str, files: list[Path]) -> Source:
    """One table from its Parquet files. Never raises for what they hold: troubles are returned with the source."""
    frames, parts, troubles = [], [], []
    start = counted = empty = 0
    for path in files:
        file = path.relative_to(folder).as_posix()
        try:
            frame = pl.read_parquet(path, hive_partitioning=False, glob=False)
            rows = _rows_in(path)
        except Exception as error:  # neither library has a common error for damaged files
            first = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
            found = "an empty file" if path.stat().st_size == 0 else f"a damaged or truncated Parquet file ({first})"
            check = "empty_file" if path.stat().st_size == 0 else "truncated_file"
            troubles.append(
                Trouble(check, file, (), 0, found, "a complete Parquet file", "Export or copy it again; compare the sizes.")
            )
            continue
        counted += rows
        if frame.height != rows:
            troubles.append(lost_rows(file, rows, frame.height))
        frame, numbers = _without_empty_rows(frame)
        empty += rows - frame.height
        for key, value in _partition(path, folder):
            if key not in TABLES[table].names:
                continue
            if key not in frame.columns:
                frame = frame.with_columns(pl.lit(value).alias(key))
                continue
            other = (frame[key].cast(pl.String) != value).fill_null(False)
            if other.any():
                places = other.arg_true().head(SHOWN_ROWS)
                shown = tuple(int(numbers[place]) if numbers is not None else int(place) + 1 for place in places)
                found = f"rows of another {key} than the folder's name says"
                remedy = "Move the rows into their own folder, or correct the code."
                troubles.append(Trouble("wrong_partition", file, shown, int(other.sum()), found, f"{key} {value}", remedy))
        frames.append(frame)
        parts.append(Part(file, start, frame.height, 1, numbers))
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
    return Source(table, whole, parts, read_as, troubles, typed=True, read=counted, empty=empty)


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


def _rows_in(path: Path) -> int:
    """Rows of a Parquet file by its footer, read by another library than the rows."""
    import pyarrow.parquet

    return int(pyarrow.parquet.read_metadata(path).num_rows)


def _without_empty_rows(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series | None]:
    """The frame without rows in which no column has a value, and the row numbers of the others (None: all)."""

    def nothing(name: str) -> pl.Expr:
        cell = pl.col(name)
        return (cell.str.strip_chars(INVISIBLE).fill_null("") == "") if frame.schema[name] == pl.String else cell.is_null()

    # A column of any other type without a gap shows at once that no row is empty.
    gaps = all(frame.schema[name] == pl.String or frame[name].null_count() for name in frame.columns)
    if not frame.height or not gaps:
        return frame, None
    left = pl.int_range(0, frame.height, dtype=pl.UInt32, eager=True)
    for name in frame.columns:  # column by column: the first one that is full ends the search
        blank = frame[left].select(nothing(name)).to_series()
        left = left.filter(blank)
        if not left.len():
            return frame, None
    place = pl.int_range(0, frame.height, dtype=pl.UInt32, eager=True)
    kept = place.filter(~place.is_in(left.implode()))
    return frame[kept], kept + 1
