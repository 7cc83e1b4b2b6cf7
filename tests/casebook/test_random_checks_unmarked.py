"""Who was drawn for a random check stands in no field, code, order, count or filter that the score does not
explain.
"""

from __future__ import annotations

import json

import polars as pl
import pytest

from tests.serving.conftest import CYCLE
from tests.serving.test_api import whole


@pytest.fixture
def screener(service):
    return service.client(service.county.own["screener"])


@pytest.mark.parametrize("everybody", [False, True])
def test_a_row_reads_as_a_lead_exactly_where_it_has_one_whatever_put_it_there(screener, service, everybody):
    rows = service.county.visit_list.rows
    led = dict(rows.select("household_id", pl.col("lead_kinds").is_not_null()).iter_rows())
    found, _ = whole(screener, f"/v1/lists/{CYCLE}?everybody={'true' if everybody else 'false'}", limit=200)
    told = {row["household_id"]: row["listed_as"] for row in found if row["on_list"]}
    assert told == {name: "lead" if led[name] else "screening" for name in told}
    for listed_as in ("lead", "screening"):
        path = f"/v1/lists/{CYCLE}?listed_as={listed_as}&everybody={'true' if everybody else 'false'}"
        filtered, _ = whole(screener, path)
        assert {row["household_id"] for row in filtered} == {
            row["household_id"]
            for row in found
            if row["on_list"] and row["listed_as"] == listed_as and not row["standby"]
        }


def test_a_random_check_with_a_lead_reads_like_a_lead_before_and_after_its_visit(service, screener):
    """A department rule may be met by somebody who was drawn. `screening` beside the lead would tell that
    chance put him there.
    """
    from sqlalchemy import update

    from riskmodel.casebook.schema import list_rows
    from riskmodel.casebook.store import writing

    rows = service.county.visit_list.rows
    drawn = rows.filter(pl.col("listed_as") == "random_check")["household_id"][-1]
    engine = service.state.book.engine
    with writing(engine) as connection:
        where = (list_rows.c.list_hash == service.county.visit_list.hash, list_rows.c.household_id == drawn)
        before = connection.execute(list_rows.select().where(*where)).one().content
        led = json.loads(before) | {
            "lead_kinds": "rule",
            "leads_en": "department rule",
            "leads_zh": "部门规则",
        }
        connection.execute(
            update(list_rows)
            .where(*where)
            .values(content=json.dumps(led, ensure_ascii=False, sort_keys=True))
        )
    try:
        row = screener.get(f"/v1/lists/{CYCLE}?q={drawn}&listed_as=lead").json()["rows"][0]
        assert row["listed_as"] == "lead" and not row["standby"]
        body = {
            "list_hash": service.county.visit_list.hash,
            "idempotency_key": "unmarked-0001",
            "results": [
                {
                    "household_id": drawn,
                    "visited_on": "2026-01-08",
                    "outcome": "unreachable",
                    "visitor": "unmarked",
                }
            ],
        }
        assert screener.post("/v1/verifications", json=body).json()["accepted"] == 1
        household = screener.get(f"/v1/households/{drawn}").json()
        assert [visit["origin"] for visit in household["visits"]] == ["lead"]
    finally:
        with writing(engine) as connection:
            connection.execute(update(list_rows).where(*where).values(content=before))


def test_answers_about_drawn_and_ordered_households_have_the_same_fields_and_words(service, screener):
    rows = service.county.visit_list.rows.filter(pl.col("lead_kinds").is_null())
    tail = rows.filter(pl.col("grade") == "none")
    words: dict[str, set[str]] = {}
    for kind in ("random_check", "model"):
        for name in tail.filter(pl.col("listed_as") == kind)["household_id"].to_list():
            told = screener.get(f"/v1/households/{name}").json()
            assert "random" not in json.dumps(told)
            on_list = told["on_list"]
            words.setdefault(kind, set()).add(
                json.dumps(
                    [
                        sorted(told),
                        sorted(on_list),
                        on_list["why_zh"],
                        on_list["why_en"],
                        on_list["standby"],
                        told["grade"],
                    ]
                )
            )
    assert words["random_check"] == {next(iter(words["random_check"]))}
    assert words.get("model", words["random_check"]) == words["random_check"]
