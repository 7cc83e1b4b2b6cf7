"""Numbers from a keyed hash: chance that is the same on every machine and in every order of the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import polars as pl


def keyed_numbers(names: Iterable[object], key: str) -> dict[str, int]:
    """A number from 0 to 2⁶⁴ − 1 for each distinct name, evenly spread. Another key, other numbers."""
    secret = key.encode()
    return {
        name: int.from_bytes(hashlib.blake2b(name.encode(), key=secret, digest_size=8).digest(), "big")
        for name in {str(name) for name in names}
    }


def in_list_order(frame: pl.DataFrame, margin: str = "margin") -> pl.DataFrame:
    """The rows of each as-of date from the riskiest on, with `rank` from 1. frame: as_of, household_id and
    the margin.

    Equal margins are ordered by a keyed hash of date and household, not by id: ids are often assigned
    village by village, and a rule that ties thousands would otherwise always prefer the same villages.
    """
    numbers = keyed_numbers(frame["household_id"].to_list(), "equal margins")
    of_date = {day: keyed_numbers([day], "as-of date")[str(day)] for day in frame["as_of"].unique()}
    tie = [
        numbers[str(name)] ^ of_date[day]
        for name, day in zip(frame["household_id"].to_list(), frame["as_of"], strict=True)
    ]
    return (
        frame.with_columns(_tie=pl.Series(tie, dtype=pl.UInt64))
        .sort(["as_of", margin, "_tie"], descending=[False, True, False])
        .drop("_tie")
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over("as_of"))
    )
