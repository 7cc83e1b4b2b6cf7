"""Scorings: a cohort scored at once, its numbers and their texts. Stored once, never changed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
import polars as pl
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from riskmodel.casebook import audit, schema, score_texts
from riskmodel.casebook.schema import scorings, stored_texts
from riskmodel.casebook.seals import seal_of_scoring
from riskmodel.screening.scored import Scored, frame_of
from riskmodel.screening.scoring import Scores

AT_ONCE: Final = 5_000  # rows of one insert


def keep_scoring(connection: Connection, scores: Scored, *, by: str) -> int:
    """Keep scores (a Scores, or a frame with its columns) and their texts. Scores that are stored already
    stay as they are. Returns the number of new ones."""
    frame = frame_of(scores)
    if not frame.height:
        return 0
    # Nothing is kept about the model's order but these columns; `scoring` is given here.
    names = [column.name for column in schema.scores.columns if column.name != "scoring"]
    numbers = frame.with_columns(
        pl.lit(None).alias(name) for name in names if name not in frame.columns
    ).select(names)
    numbers = numbers.with_columns(pl.col("as_of").cast(pl.Date))
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    before = _amount(connection)
    touched = []
    for (as_of, horizon, version), part in numbers.group_by(
        "as_of", "horizon_months", "model_version", maintain_order=True
    ):
        mine = frame.filter(pl.col("household_id").is_in(part["household_id"].implode()))
        number = _scoring(connection, scores, mine, (as_of, horizon, str(version)))
        touched.append(number)
        rows = part.with_columns(scoring=pl.lit(number))
        for some in rows.iter_slices(AT_ONCE):
            connection.execute(insert(schema.scores).on_conflict_do_nothing(), some.to_dicts())
        dictionary = _dictionary(connection, number)
        for batch in _batches(_texts(scores, mine)):
            packed = [
                {"scoring": number, "household_id": name, "content": score_texts.pack(text, dictionary)}
                for name, text in batch
            ]
            connection.execute(insert(stored_texts).on_conflict_do_nothing(), packed)
        connection.execute(
            scorings.update()
            .where(scorings.c.number == number)
            .values(
                households=select(func.count()).where(schema.scores.c.scoring == number).scalar_subquery()
            )
        )
    new = _amount(connection) - before
    if new:
        first = numbers.row(0, named=True)
        details = {
            "households": new,
            "as_of": first["as_of"].isoformat(),
            "seals": {str(number): seal_of_scoring(connection, number) for number in touched},
        }
        audit.append(
            connection,
            actor=by,
            action="scores kept",
            subject=first["as_of"].isoformat(),
            model_version=str(first["model_version"]),
            details=details,
        )
    return new


def _amount(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(schema.scores)).scalar_one())


def _scoring(connection: Connection, scores: Scored, frame: pl.DataFrame, key: tuple[Any, Any, str]) -> int:
    """The number of a scoring; it is opened where it is new."""
    as_of, horizon, version = key
    found = connection.execute(
        select(scorings.c.number).where(
            scorings.c.as_of == as_of,
            scorings.c.horizon_months == horizon,
            scorings.c.model_version == version,
        )
    ).scalar()
    if found is not None:
        return int(found)
    number = int(connection.execute(select(func.max(scorings.c.number))).scalar() or 0) + 1
    whole = scores if isinstance(scores, Scores) else None
    dates: Mapping[str, dt.date] = {} if whole is None else whole.reference.data_dates
    spread = np.unique(np.linspace(0, frame.height - 1, score_texts.SAMPLE).astype(np.intp))
    some = (
        score_texts.score_texts(whole, spread)
        if whole is not None
        else score_texts.plain_score_texts(frame[spread].to_dicts())
    )
    connection.execute(
        scorings.insert().values(
            number=number,
            as_of=as_of,
            horizon_months=horizon,
            model_version=version,
            households=0,
            data_dates=json.dumps(dates, default=str),
            sources=json.dumps(
                score_texts.sources_of(whole) if whole is not None else {}, ensure_ascii=False
            ),
            rules=json.dumps(score_texts.rules_of(whole) if whole is not None else {}, ensure_ascii=False),
            dictionary=score_texts.dictionary_of([text for _, text in some]),
            kept_at=audit.now(),
        )
    )
    return number


def _texts(scores: Scored, frame: pl.DataFrame) -> Iterator[tuple[str, bytes]]:
    return (
        score_texts.score_texts(scores)
        if isinstance(scores, Scores)
        else score_texts.plain_score_texts(frame.to_dicts())
    )


def _dictionary(connection: Connection, number: int) -> bytes:
    return bytes(
        connection.execute(select(scorings.c.dictionary).where(scorings.c.number == number)).scalar_one()
    )


def _batches(items: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    waiting = iter(items)
    while batch := list(islice(waiting, AT_ONCE)):
        yield batch
