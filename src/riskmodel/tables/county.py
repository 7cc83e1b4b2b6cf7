"""Tables: everything that is known about a county, and the one function that selects by time.

Each state or event row is in force on the days D with `known_on <= D < replaced_on`. `replaced_on` is worked
out once, when the tables come in: the `known_on` of the next version of a state row, or of the next
correction of an event. A row known after D therefore changes nothing about the rows in force on D; that is
what "no look into the future" rests on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

import polars as pl

from riskmodel.calendar import day
from riskmodel.errors import DataError
from riskmodel.tables.schema import TABLES, Column, Table

if TYPE_CHECKING:
    import pandas as pd

# A column for positions in a frame; `place` and others are columns of the contract.
ROW = "(row)"


def dtype_of(column: Column) -> pl.DataType:
    """The polars type in which a column is kept. `codes` (several risk kinds) stay one text joined by `;`."""
    match column.kind:
        case "id" | "area" | "text" | "codes":
            return pl.String()
        case "date":
            return pl.Date()
        case "money" | "number":
            return pl.Float64()
        case "integer":
            return pl.Int32()
        case "boolean":
            return pl.Boolean()
        case "code":
            assert column.codes is not None
            return pl.Enum(list(column.codes))


def empty(table: Table) -> pl.DataFrame:
    """No rows, all columns of the contract, in their types."""
    return pl.DataFrame(schema={column.name: dtype_of(column) for column in table.columns})


@dataclass(frozen=True)
class Tables:
    """The contract's tables in their canonical types, in memory. Make them with `read_tables` or
    `from_frames`.

    `frames` holds only tables that are there: an absent table is unknown, not empty. Every state and event
    frame has one more column, `replaced_on` (null: still in force). Rows are sorted by owner (household or
    member), occurred_on, known_on and key. `hashes` are the content hashes of what was read, for the record
    of a run; `refused` counts the rows of each table that were set aside in quarantine (none otherwise), so
    that a plan can decide whether it goes on without them.
    """

    frames: Mapping[str, pl.DataFrame]
    hashes: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.frames

    def __getitem__(self, name: str) -> pl.DataFrame:
        """A table that is there. Raises KeyError for one that is absent; see `get`."""
        return self.frames[name]

    def get(self, name: str) -> pl.DataFrame:
        """A table, or one without rows if it is absent."""
        if name in self.frames:
            return self.frames[name]
        frame = empty(TABLES[name])
        return (
            frame if TABLES[name].form == "values" else frame.with_columns(replaced_on=pl.lit(None, pl.Date))
        )

    def pandas(self, name: str) -> pd.DataFrame:
        """A table for an analyst, as pandas."""
        return self.get(name).to_pandas()

    def known_by(self, as_of: dt.date | str) -> Tables:
        """What was known on the day: rows in force, members that had not left, assets under an authorisation
        in force.

        The result is cut: `replaced_on` is null in every row, so that nothing later can be read from it.
        """
        as_of = day(as_of)
        cut = {}
        for name, frame in self.frames.items():
            if TABLES[name].form == "values":
                cut[name] = frame
                continue
            in_force = (pl.col("known_on") <= as_of) & (
                pl.col("replaced_on").is_null() | (pl.col("replaced_on") > as_of)
            )
            cut[name] = frame.filter(in_force).with_columns(replaced_on=pl.lit(None, pl.Date))
        if "members" in cut:
            left = pl.col("left_on").is_not_null() & (pl.col("left_on") <= as_of)
            cut["members"] = cut["members"].filter(~left)
        if "assets" in cut:
            cut["assets"] = cut["assets"].join(
                authorised(self, as_of), on="household_id", how="semi", maintain_order="left"
            )
        return Tables(cut, self.hashes, self.refused)

    def of_households(self, household_ids: Iterable[str]) -> Tables:
        """Only the rows of these households, of everybody who was ever a member of one, and of the areas
        (shocks, policy).
        """
        wanted = pl.DataFrame(
            {"household_id": sorted(set(household_ids))}, schema={"household_id": pl.String}
        )
        people = self.get("members").join(wanted, on="household_id", how="semi").select("member_id").unique()
        part = {}
        for name, frame in self.frames.items():
            if name == "shocks":
                ours = frame.join(wanted, on="household_id", how="semi", maintain_order="left")
                part[name] = pl.concat([ours, frame.filter(pl.col("household_id").is_null())])
            elif "household_id" in frame.columns and name != "members":
                part[name] = frame.join(wanted, on="household_id", how="semi", maintain_order="left")
            elif "member_id" in frame.columns:
                part[name] = frame.join(people, on="member_id", how="semi", maintain_order="left")
            else:
                part[name] = frame
        return Tables(part, self.hashes, self.refused)

    @property
    def newest_known_on(self) -> dt.date:
        """The newest `known_on` of any row: the day up to which this county is known. Raises DataError
        without rows.
        """
        days = [
            frame["known_on"].max()
            for frame in self.frames.values()
            if "known_on" in frame.columns and frame.height
        ]
        if not days:
            raise DataError("The tables have no rows: nothing is known on any day.")
        return reduce(max, days)  # type: ignore[arg-type, return-value]


def authorised(tables: Tables, as_of: dt.date) -> pl.DataFrame:
    """Households (one column, household_id) with an authorisation to read assets in force on the day."""
    if "authorisations" not in tables:
        return pl.DataFrame(schema={"household_id": pl.String})
    return (
        tables["authorisations"]
        .filter(
            (pl.col("known_on") <= as_of)
            & (pl.col("replaced_on").is_null() | (pl.col("replaced_on") > as_of))
            & (pl.col("scope") == "assets")
            & (pl.col("occurred_on") <= as_of)
            & (pl.col("revoked_on").is_null() | (pl.col("revoked_on") > as_of))
        )
        .select("household_id")
        .unique()
    )


def from_frames(frames: Mapping[str, pl.DataFrame], hashes: Mapping[str, str] | None = None) -> Tables:
    """Tables from frames that already keep the contract: adds `replaced_on`, drops exact duplicates, puts
    rows in canonical order.

    Does not check; `check_tables` and `read_tables` do. Optional columns that are absent are added as
    missing.
    """
    ready = {}
    for name, frame in frames.items():
        table = TABLES[name]
        absent = [
            pl.lit(None, dtype_of(column)).alias(column.name)
            for column in table.columns
            if column.name not in frame.columns
        ]
        frame = frame.with_columns(absent).select(
            pl.col(column.name).cast(dtype_of(column)) for column in table.columns
        )
        repeated, _ = repeated_rows(frame, table)
        ready[name] = in_force_intervals(without_rows(frame, repeated), table)
    return Tables(ready, hashes or {})


def rows_of_repeated_keys(frame: pl.DataFrame, table: Table) -> pl.Series:
    """Positions of all rows whose key occurs more than once: versions, corrections and duplicates; no
    positions where every key is unique.
    """
    key = frame[version_key(table)[0]]
    if key.n_unique() == frame.height:
        return pl.Series([], dtype=pl.UInt32)
    return key.is_duplicated().arg_true()


def repeated_rows(
    frame: pl.DataFrame, table: Table, suspects: pl.Series | None = None
) -> tuple[pl.Series, pl.Series]:
    """Positions of exact duplicates (all but the first of each), and of different rows with the same key and
    known_on.

    suspects: `rows_of_repeated_keys`, where they are known already; only they are compared.
    """
    version = version_key(table)
    among = rows_of_repeated_keys(frame, table) if suspects is None else suspects
    if not among.len():
        return among.clear(), among.clear()
    rows = frame[among].with_columns(among.alias(ROW))
    rows = rows.filter(pl.struct(version).is_duplicated())
    first = rows.unique(subset=list(table.names), keep="first", maintain_order=True)
    repeated = rows.join(first.select(ROW), on=ROW, how="anti")[ROW].sort()
    conflicting = first.filter(pl.struct(version).is_duplicated())[ROW].sort()
    return repeated, conflicting


def version_key(table: Table) -> list[str]:
    """Columns that name one version of a row: no two different rows may share them."""
    return ["area_code", "name", "valid_from"] if table.form == "values" else [table.key, "known_on"]


def without_rows(frame: pl.DataFrame, positions: pl.Series) -> pl.DataFrame:
    """The frame without the rows at these positions."""
    if not positions.len():
        return frame
    place = pl.int_range(0, frame.height, dtype=pl.UInt32, eager=True)
    return frame.filter(~place.is_in(positions.cast(pl.UInt32).implode()))


def in_force_intervals(frame: pl.DataFrame, table: Table, *, keys_once: bool = False) -> pl.DataFrame:
    """Add `replaced_on` (not to dated values) and sort canonically. `frame` holds one row a (key, known_on).

    keys_once: the caller knows that every key occurs once, so that no row is ever replaced.
    """
    if table.form == "values":
        return frame.sort(version_key(table))
    if not keys_once and frame[table.key].n_unique() < frame.height:
        several = frame[table.key].is_duplicated()
        place = pl.int_range(0, pl.len(), dtype=pl.UInt32).alias(ROW)
        versions = frame.select(place, table.key, "known_on").filter(several).sort(table.key, "known_on")
        next_known = pl.when(pl.col(table.key).shift(-1) == pl.col(table.key)).then(
            pl.col("known_on").shift(-1)
        )
        versions = versions.select(ROW, replaced_on=next_known).sort(ROW)
        replaced = pl.repeat(None, frame.height, dtype=pl.Date, eager=True).scatter(
            versions[ROW], versions["replaced_on"]
        )
        frame = frame.with_columns(replaced.alias("replaced_on"))
    else:
        frame = frame.with_columns(pl.lit(None, pl.Date).alias("replaced_on"))
    return in_canonical_order(frame, table)


MANY_ROWS = 20_000
_DAY_BITS = 17  # days since 1970 as a positive number: years 1791 to 2148
_DAY_ZERO = 1 << 16


def in_canonical_order(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Rows sorted by `canonical_order`, nulls last.

    Large event tables are sorted by one whole number, made of the owner's rank and the two dates; only rows
    that are equal in it are compared by their ids. The order is the same as of a plain sort, at a fraction of
    its time and memory.
    """
    order = canonical_order(table)
    if table.form != "event" or frame.height < MANY_ROWS:
        return frame.sort(order, nulls_last=True)
    owner = frame[order[0]]
    ranked = owner.drop_nulls().unique().sort()
    ranks = pl.DataFrame({"owner": ranked, "rank": pl.int_range(0, len(ranked), dtype=pl.Int64, eager=True)})
    rank = owner.replace_strict(ranks["owner"], ranks["rank"], default=len(ranked), return_dtype=pl.Int64)
    packed = rank * (1 << 2 * _DAY_BITS)
    for date, bits in ((frame["occurred_on"], _DAY_BITS), (frame["known_on"], 0)):
        packed = packed + (date.cast(pl.Int32).cast(pl.Int64) + _DAY_ZERO) * (1 << bits)
    places = (
        packed.arg_sort()
        if not packed.is_sorted()
        else pl.int_range(0, frame.height, dtype=pl.UInt32, eager=True)
    )
    packed = packed.gather(places)
    tied = ((packed == packed.shift(1)) | (packed == packed.shift(-1))).fill_null(False)
    if tied.any():
        spots = tied.arg_true()
        equal = pl.DataFrame({"packed": packed.gather(spots), "place": places.gather(spots)})
        equal = equal.with_columns(frame[table.key].gather(equal["place"]).alias("key"))
        places = places.scatter(spots, equal.sort("packed", "key")["place"])
    if places.is_sorted():
        return frame
    return frame[places]


def canonical_order(table: Table) -> list[str]:
    """Columns by which the rows of a table are sorted, so that sums never depend on the order of a file."""
    owner = "household_id" if "household_id" in table.names else "member_id"
    order = (
        [owner, "occurred_on", "known_on", table.key]
        if table.form == "event"
        else [owner, table.key, "known_on"]
    )
    return list(dict.fromkeys(name for name in order if name in table.names))
