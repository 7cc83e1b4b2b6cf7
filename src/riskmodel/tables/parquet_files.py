"""Parquet: one file a table, or partitions by county; typed columns are kept as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from riskmodel.tables.extracts import Part, Source, Trouble, lost_rows, without_blank_rows
from riskmodel.tables.findings import SHOWN_ROWS
from riskmodel.tables.schema import TABLES


def read_parquet(folder: Path, table: str, files: list[Path]) -> Source:
    """One table from its Parquet files. Never raises for what they hold: troubles are returned with the
    source.
    """
    frames, parts, troubles = [], [], []
    start = counted = empty = 0
    for path in files:
        file = path.relative_to(folder).as_posix()
        try:
            frame = pl.read_parquet(path, hive_partitioning=False, glob=False)
            rows = rows_in(path)
        except Exception as error:  # neither library has a common error for damaged files
            first = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
            found = (
                "an empty file"
                if path.stat().st_size == 0
                else f"a damaged or truncated Parquet file ({first})"
            )
            check = "empty_file" if path.stat().st_size == 0 else "truncated_file"
            troubles.append(
                Trouble(
                    check=check,
                    file=file,
                    rows=(),
                    count=0,
                    found=found,
                    expected="a complete Parquet file",
                    remedy="Export or copy it again; compare the sizes.",
                )
            )
            continue
        counted += rows
        if frame.height != rows:
            troubles.append(lost_rows(file, rows, frame.height))
        place = pl.int_range(1, frame.height + 1, dtype=pl.UInt32, eager=True)
        frame, numbers, gone = without_blank_rows(frame, place, first=1)
        empty += gone
        for key, value in _partition(path, folder):
            if key not in TABLES[table].names:
                continue
            if key not in frame.columns:
                frame = frame.with_columns(pl.lit(value).alias(key))
                continue
            other = (frame[key].cast(pl.String) != value).fill_null(False)
            if other.any():
                places = other.arg_true().head(SHOWN_ROWS)
                shown = tuple(
                    int(numbers[place]) if numbers is not None else int(place) + 1 for place in places
                )
                found = f"rows of another {key} than that of the folder's name"
                remedy = "Move the rows into their own folder, or correct the code."
                troubles.append(
                    Trouble(
                        check="wrong_partition",
                        file=file,
                        rows=shown,
                        count=int(other.sum()),
                        found=found,
                        expected=f"{key} {value}",
                        remedy=remedy,
                    )
                )
        frames.append(frame)
        parts.append(Part(file=file, start=start, height=frame.height, first=1, rows=numbers))
        start += frame.height
    if not frames:
        return Source(
            table=table,
            frame=None,
            parts=parts or [Part(files[0].relative_to(folder).as_posix(), 0, 0, 1)],
            read_as="Parquet",
            troubles=troubles,
            typed=True,
        )
    if len(frames) == 1:
        whole = frames[0]
    else:
        whole, trouble = _one_frame(frames, parts)
        if trouble:
            troubles.append(trouble)
    read_as = "Parquet" if len(files) == 1 else f"Parquet, {len(files)} files"
    return Source(
        table=table,
        frame=whole,
        parts=parts,
        read_as=read_as,
        troubles=troubles,
        typed=True,
        read=counted,
        empty=empty,
    )


def _one_frame(frames: list[pl.DataFrame], parts: list[Part]) -> tuple[pl.DataFrame, Trouble | None]:
    """Partitions under each other. Types that differ are read as text, so that none of them is guessed."""
    columns = list(dict.fromkeys(name for frame in frames for name in frame.columns))
    trouble = None
    for part, frame in zip(parts, frames, strict=True):
        gone = [name for name in columns if name not in frame.columns]
        if gone and trouble is None:
            remedy = "Export the partitions from one source, with the same columns."
            found = "without the columns " + ", ".join(gone)
            trouble = Trouble(
                check="partitions_differ",
                file=part.file,
                rows=(),
                count=0,
                found=found,
                expected="the columns of the other files",
                remedy=remedy,
            )
    aligned = []
    for name in columns:
        types = {frame.schema[name] for frame in frames if name in frame.columns}
        if len(types) > 1:
            frames = [
                frame.with_columns(pl.col(name).cast(pl.String)) if name in frame.columns else frame
                for frame in frames
            ]
    aligned = frames
    return pl.concat(aligned, how="diagonal", rechunk=False), trouble


def _partition(path: Path, folder: Path) -> Iterator[tuple[str, str]]:
    for step in path.relative_to(folder).parts[:-1]:
        key, sign, value = step.partition("=")
        if sign:
            yield key, value


def rows_in(path: Path) -> int:
    """Rows of a Parquet file by its footer, which is read here without the library that reads the rows.

    The footer is a record in Thrift's compact form; its third field is the number of rows. Raises ValueError
    for another kind of file.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(size - 8, 0))
        end = stream.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != b"PAR1" or length + 12 > size:
            raise ValueError("no footer of a Parquet file")
        stream.seek(size - 8 - length)
        footer = _Compact(stream.read(length))
    try:
        return footer.number_of_field(3)
    except IndexError:
        raise ValueError("a damaged footer of a Parquet file") from None


class _Compact:
    """Just enough of Thrift's compact protocol to find one whole number among the fields of a record."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number_of_field(self, wanted: int) -> int:
        field = 0
        while kind := self._byte():
            field = field + (kind >> 4) if kind >> 4 else self._zigzag()
            if field == wanted and kind & 15 in (4, 5, 6):  # whole numbers of 16, 32 and 64 bits
                return self._zigzag()
            self._skip(kind & 15)
        raise ValueError("a footer of a Parquet file without a number of rows")

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def _zigzag(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _skip(self, kind: int) -> None:
        if kind in (3, 7):  # one byte; a double
            self.at += 1 if kind == 3 else 8
        elif kind in (4, 5, 6):
            self._varint()
        elif kind == 8:  # bytes or text
            length = self._varint()
            self.at += length
        elif kind in (9, 10):  # a list or a set: size and kind of its items
            head = self._byte()
            for _ in range(self._varint() if head >> 4 == 15 else head >> 4):
                self._skip_item(head & 15)
        elif kind == 11:  # a map
            if size := self._varint():
                kinds = self._byte()
                for _ in range(size):
                    self._skip_item(kinds >> 4)
                    self._skip_item(kinds & 15)
        elif kind == 12:  # a record
            while inner := self._byte():
                if not inner >> 4:
                    self._zigzag()
                self._skip(inner & 15)

    def _skip_item(self, kind: int) -> None:
        """An item of a list: there a flag takes a byte, which as a field is within its kind."""
        if kind in (1, 2):
            self.at += 1
        else:
            self._skip(kind)
