"""The routes beside scoring: what a list, a household, an area and a result say, on a small county in this
process.
"""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

from riskmodel.screening.changes import HouseholdScoring, moved_between
from riskmodel.serving import answers
from riskmodel.visits.filled import read_filled
from tests.serving.conftest import AS_OF, CYCLE, EARLIER


@pytest.fixture
def screener(service):
    return service.client(service.county.own["screener"])


@pytest.fixture
def rows(service):
    return service.county.visit_list.rows


def whole(client, path, limit=17):
    """All rows of a list, page after page."""
    found, cursor = [], None
    while True:
        page = client.get(
            f"{path}{'&' if '?' in path else '?'}limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        ).json()
        found += page["rows"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found, page


def test_pages_put_together_are_the_list_once_each_in_route_order_with_standby_last(screener, rows):
    found, page = whole(screener, f"/v1/lists/{CYCLE}")
    expected = rows.sort("number")
    assert [row["household_id"] for row in found] == expected["household_id"].to_list()
    assert [row["probability"] for row in found] == expected["probability"].to_list()
    assert page["total"] == len(found) == rows.height
    assert [row["standby"] for row in found] == sorted(row["standby"] for row in found)


def test_nothing_in_a_row_tells_who_was_drawn_for_a_random_check(screener, rows):
    drawn = set(rows.filter(pl.col("listed_as") == "random_check")["household_id"])
    modelled = set(rows.filter(pl.col("listed_as") == "model")["household_id"])
    found, _ = whole(screener, f"/v1/lists/{CYCLE}")
    assert drawn and "random" not in json.dumps(found)
    said = {
        name: {
            (row["listed_as"], row["standby"], row["rank"]) for row in found if row["household_id"] in group
        }
        for name, group in (("drawn", drawn), ("modelled", modelled))
    }
    assert said["drawn"] == said["modelled"] == {("screening", False, None)}
    household = screener.get(f"/v1/households/{sorted(drawn)[0]}").json()
    assert "random" not in json.dumps(household)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("grade=orange", lambda row: row["grade"] == "orange"),
        ("listed_as=lead", lambda row: row["lead_kinds"] and row["listed_as"] != "standby"),
        ("listed_as=standby", lambda row: row["listed_as"] == "standby"),
        ("listed_as=screening", lambda row: not row["lead_kinds"]),
        ("risk_kind=illness", lambda row: "illness" in (row["risk_kinds"] or "").split(";")),
        ("q=H00001", lambda row: row["household_id"].startswith("H00001")),
    ],
)
def test_a_filter_keeps_the_rows_that_it_says(screener, rows, query, kept):
    found, page = whole(screener, f"/v1/lists/{CYCLE}?{query}")
    assert {row["household_id"] for row in found} == {
        row["household_id"] for row in rows.iter_rows(named=True) if kept(row)
    }
    assert page["total"] == len(found)


def test_the_counts_beside_the_filters_are_those_of_the_rows(screener, rows):
    filters = screener.get(f"/v1/lists/{CYCLE}").json()["filters"]
    assert {entry["code"]: entry["count"] for entry in filters["townships"]} == dict(
        rows.group_by("township_code").len().iter_rows()
    )
    assert {entry["code"]: entry["count"] for entry in filters["villages"]} == dict(
        rows.group_by("village_code").len().iter_rows()
    )
    grades = dict(rows.group_by("grade").len().iter_rows())
    assert {entry["code"]: entry["count"] for entry in filters["grades"] if entry["count"]} == grades


def test_everybody_who_was_scored_is_paged_by_rank_with_the_place_on_the_list(screener, service, rows):
    found, page = whole(screener, f"/v1/lists/{CYCLE}?everybody=true", limit=200)
    frame = service.county.scores.frame
    assert page["total"] == frame.height and [row["rank"] for row in found] == list(
        range(1, frame.height + 1)
    )
    assert [row["household_id"] for row in found] == frame["household_id"].to_list()
    numbers = dict(rows.select("household_id", "number").iter_rows())
    assert {row["household_id"]: row["number"] for row in found if row["on_list"]} == {
        name: number for name, number in numbers.items() if name in set(frame["household_id"])
    }


def test_a_household_says_what_the_batch_run_said(screener, service):
    scores = service.county.scores
    for household in np.random.default_rng(3).choice(
        scores.frame["household_id"].to_numpy(), 25, replace=False
    ):
        said, row, told = (
            screener.get(f"/v1/households/{household}").json(),
            scores.row(household),
            scores.reasons(household),
        )
        assert [said[name] for name in ("probability", "low", "high", "rank")] == [
            row[name] for name in ("probability", "low", "high", "rank")
        ]
        assert [(reason["zh"], reason["en"], reason["risk_kind"]) for reason in said["reasons"]] == [
            (reason.zh, reason.en, reason.risk_kind) for reason in told
        ]
        assert (said["checks_zh"], said["notes_en"]) == (told.checks_zh, told.notes_en)
        assert {rule["name"] for rule in said["rules"]} == {
            name for name, value in row.items() if name.startswith("rule_") and value == 1
        }
        effects = [reason["effect"] for reason in said["reasons"]]
        assert not effects or max(map(abs, effects)) == 1.0
        assert all(
            (reason["effect"] > 0) == reason["raises"] for reason in said["reasons"] if reason["effect"]
        )


def test_a_household_has_its_history_what_moved_it_and_how_fresh_the_data_are(screener, service):
    moved = set()
    before = set(service.county.earlier.frame["household_id"])
    for household in service.county.scores.frame["household_id"][:60]:
        said = screener.get(f"/v1/households/{household}").json()
        assert said["history"][0]["as_of"] == AS_OF
        assert (len(said["history"]) == 2) == (household in before)
        if household in before:
            assert said["changes"]["since"] == EARLIER == said["history"][1]["as_of"]
            moved.add(said["changes"]["moved"])
            # What was kept of both scorings says the same as the scorings themselves.
            move = moved_between(
                HouseholdScoring.of(service.county.earlier, household),
                HouseholdScoring.of(service.county.scores, household),
            )
            assert [said["changes"][name] for name in ("moved", "zh", "en")] == [
                move.moved,
                move.text("zh"),
                move.text("en"),
            ]
            # The sentence is its parts, joined; the page shows the parts.
            changes = said["changes"]
            for language, between, colon in (("zh", "；", "："), ("en", "; ", ": ")):
                joined = between.join(part[language] for part in changes["parts"])
                whole = changes[f"way_{language}"] + (colon + joined if joined else "")
                assert changes[language] == whole
        medical = next(entry for entry in said["freshness"] if entry["table"] == "medical")
        assert medical["newest"] == said["data_dates"]["medical"]
        assert (
            medical["age_days"]
            == (dt.date.fromisoformat(AS_OF) - dt.date.fromisoformat(medical["newest"])).days
        )
    assert {"up", "down"} & moved, "a month moves somebody"
    earlier = screener.get(f"/v1/households/{household}?as_of={EARLIER}")
    assert earlier.status_code == 404 or earlier.json()["as_of"] == EARLIER


def post(client, county, results, key, **more):
    body = {"list_hash": county.visit_list.hash, "results": results, "idempotency_key": key} | more
    return client.post("/v1/verifications", json=body)


def test_a_result_is_kept_once_corrected_by_its_team_and_contradicted_by_another(screener, service, rows):
    county, household = service.county, rows["household_id"][5]
    result = {"household_id": household, "visited_on": "2026-01-08", "outcome": "no_risk", "visitor": "t1"}
    first = post(screener, county, [result], "api-result-1")
    assert first.json() == {"accepted": 1, "corrected": 0, "unchanged": 0, "refused": [], "conflicts": []}
    again = post(screener, county, [result], "api-result-1")
    assert again.content == first.content and again.status_code == 200
    assert post(screener, county, [result], "api-result-2").json()["unchanged"] == 1
    assert post(screener, county, [result | {"outcome": "unreachable"}], "api-result-1").status_code == 409
    confirmed = result | {"outcome": "risk_confirmed", "risk_kinds": ["illness"]}
    assert post(screener, county, [confirmed], "api-result-3").json()["corrected"] == 1
    conflict = post(screener, county, [result | {"visitor": "t2"}], "api-result-4").json()["conflicts"]
    assert [entry["household_id"] for entry in conflict] == [household] and len(conflict[0]["visits"]) == 2
    assert screener.get(f"/v1/lists/{CYCLE}?q={household}").json()["rows"][0]["status"] == "visited"
    assert screener.get(f"/v1/households/{household}").json()["on_list"]["status"] == "visited"
    assert service.state.book.audit_faults() == []


def test_another_key_may_use_the_same_idempotency_key(service, rows):
    county, household = (
        service.county,
        rows.filter(pl.col("township_code") == service.county.township)["household_id"][6],
    )
    result = {"household_id": household, "visited_on": "2026-01-08", "outcome": "no_risk", "visitor": "t5"}
    one, other = (service.client(keys["screener"]) for keys in (county.own, county.local))
    assert post(one, county, [result], "shared-key-1").json()["accepted"] == 1
    assert post(other, county, [result], "shared-key-1").json()["unchanged"] == 1


def test_each_faulty_result_comes_back_with_every_reason_and_the_others_are_kept(screener, service, rows):
    county, (first, second, third) = service.county, rows["household_id"][7:10]
    results = [
        {"household_id": first, "visited_on": "2026-01-08", "outcome": "no_risk", "visitor": "t9"},
        {
            "household_id": second,
            "visited_on": "2020-01-08",
            "outcome": "risk_confirmed",
            "visitor": "t9",
            "note": "电话 138 1234 5678",
        },
        {
            "household_id": third,
            "visited_on": "2999-01-01",
            "outcome": "no_risk",
            "risk_kinds": ["illness"],
            "visitor": "t9",
        },
        {"household_id": "nobody", "visited_on": "2026-01-08", "outcome": "no_risk", "visitor": "t9"},
    ]
    taken = post(screener, county, results, "api-mixed-1").json()
    assert taken["accepted"] == 1 and [entry["row"] for entry in taken["refused"]] == [1, 2, 3]
    assert [len(entry["reasons"]) for entry in taken["refused"]] == [3, 2, 1]
    assert taken["refused"][2]["household_id"] is None and "nobody" not in json.dumps(taken)


def test_the_shape_of_a_request_is_refused_with_every_fault_at_once(screener, service):
    body = {
        "list_hash": "x",
        "results": [{"household_id": "h", "visited_on": "soon", "outcome": "maybe", "extra": 1}],
        "surprise": True,
    }
    answer = screener.post("/v1/verifications", json=body)
    assert answer.status_code == 400 and answer.headers["content-type"] == "application/problem+json"
    assert {fault["where"] for fault in answer.json()["faults"]} == {
        "list_hash",
        "results.0.visited_on",
        "results.0.outcome",
        "results.0.extra",
        "surprise",
        "idempotency_key",
    }
    assert "maybe" not in answer.text and "soon" not in answer.text
    for content, kind, status in [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"NaN", "application/json", 400),
    ]:
        assert (
            screener.post("/v1/verifications", content=content, headers={"content-type": kind}).status_code
            == status
        )
    query = screener.get(f"/v1/lists/{CYCLE}?limit=0&grade=blue&limit=5&colour=red")
    assert query.status_code == 400 and {fault["where"] for fault in query.json()["faults"]} >= {
        "limit",
        "grade",
        "colour",
    }


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_a_downloaded_list_is_the_form_that_record_takes_back(screener, service, rows, tmp_path, kind):
    answer = screener.get(f"/v1/lists/{CYCLE}/download?format={kind}")
    assert f"2026-01.{kind}" in answer.headers["content-disposition"]
    path = tmp_path / f"list.{kind}"
    path.write_bytes(answer.content)
    filled = read_filled(path)
    assert {row.list_hash for row in filled.rows} == {service.county.visit_list.hash}
    assert {row.cells["household_id"] for row in filled.rows} == set(rows["household_id"])


def test_the_history_of_a_list_and_its_counts_follow_the_visits(service, rows):
    client = service.client(service.county.own["screener"])
    (before,) = client.get("/v1/lists").json()["lists"]
    household = rows["household_id"][11]
    post(
        client,
        service.county,
        [{"household_id": household, "visited_on": "2026-01-08", "outcome": "no_risk", "visitor": "c1"}],
        "counts-1",
    )
    (after,) = client.get("/v1/lists").json()["lists"]
    assert (after["visited"], after["open"]) == (before["visited"] + 1, before["open"] - 1)
    statuses = {
        entry["code"]: entry["count"]
        for entry in client.get(f"/v1/lists/{CYCLE}").json()["filters"]["statuses"]
    }
    assert statuses["visited"] == after["visited"] and sum(statuses.values()) == rows.height


class Head:
    county_code, cycle, model_version, as_of, data_dates = "522301", CYCLE, "m", dt.date(2025, 12, 31), {}


class StateOfNothing:
    def carried(self, version, as_of, dates):
        last = as_of + dt.timedelta(days=30)
        return {
            "model_version": version,
            "as_of": as_of,
            "data_dates": dates,
            "valid_until": last,
            "signal_not_determination": True,
        }


def told_areas(counts):
    names = ("households", "listed", "visited", "confirmed", "red", "orange", "yellow")
    given = {
        f"5223011002{place:02d}": dict.fromkeys(names, 0) | {"households": 50, "confirmed": number}
        for place, number in enumerate(counts)
    }
    (township,) = answers.areas(StateOfNothing(), Head, given).townships
    return township.confirmed, [village.confirmed for village in township.villages]


@pytest.mark.parametrize(
    ("counts", "whole_of_it", "shown"),
    [
        ([0, 9, 7], 16, [0, 9, 7]),
        ([3, 2, 9], 14, [None, None, 9]),
        ([3, 9, 7], 19, [None, 9, None]),  # 19 - 9 - 7 would give the 3 away: the smallest other goes with it
        ([3, 0, 0], None, [None, 0, 0]),  # nothing else can go: the sum goes
        ([1, 1, 0], None, [None, None, 0]),
        ([0, 0, 0], 0, [0, 0, 0]),
    ],
)
def test_small_numbers_are_hidden_and_cannot_be_had_by_subtraction(counts, whole_of_it, shown):
    assert told_areas(counts) == (whole_of_it, shown)


def test_the_model_is_told_in_plain_words_with_its_figures(screener, service):
    card = screener.get("/v1/model").json()
    record = service.state.facts().record
    recall = next(entry for entry in card["metrics"] if entry["name"] == "recall_at_3%")
    assert (
        recall["value"] == record["metrics"]["recall_at_3%"]
        and f"{recall['value']:.1%}" in recall["text_en"]
        and recall["text_zh"]
    )
    assert len(card["limits_zh"]) == len(card["limits_en"]) >= 3 and card["signal_not_determination"] is True


def test_a_casebook_of_the_form_before_is_brought_up_with_its_lists(tmp_path):
    """A list that was given out before this form gets the risk kinds that its pages are filtered by, from its
    own rows.
    """
    from sqlalchemy import create_engine, text

    from riskmodel.casebook.store import connect

    url = f"sqlite:///{tmp_path / 'casebook.db'}"
    engine = create_engine(url)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "riskmodel.casebook:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO lists VALUES ('h', '522301', '2026-01', '2025-12-31', 1, 'm', '{}', '[]', "
                "'now', 1)"
            )
        )
        row = (
            "INSERT INTO list_rows VALUES ('h', 'h1', 1, 0, '522301100', '522301100200', 'none', 'model', "
            'NULL, 1.0, \'{"risk_kinds": "illness;other"}\')'
        )
        connection.exec_driver_sql(row)
    engine.dispose()
    from sqlalchemy.engine import make_url

    renewed = connect(make_url(url))
    with renewed.connect() as connection:
        assert connection.execute(text("SELECT risk_kinds FROM list_rows")).scalar_one() == "illness;other"
    renewed.dispose()
