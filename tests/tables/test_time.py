"""What was known on a day is cut at one door, and nothing known later changes it."""

from __future__ import annotations

import datetime as dt
import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodel.tables import Tables, from_frames, tables_of
from riskmodel.tables.county import dtype_of
from riskmodel.tables.schema import EVENT_TABLES, STATE_TABLES, TABLES

DAY = dt.date(2023, 7, 1)
HOME = {
    "household_id": "H1",
    "known_on": "2023-01-01",
    "county_code": "522301",
    "township_code": "522301001",
    "village_code": "522301001201",
    "category": "lifted",
    "relocated": False,
}
PERSON = {
    "member_id": "M1",
    "household_id": "H1",
    "known_on": "2023-01-01",
    "birth_date": "1980-01-01",
    "sex": "male",
    "relation": "head",
    "education": "junior",
    "schooling": "none",
    "chronic_ill": False,
    "seriously_ill": False,
    "labour": "ordinary",
    "medical_insured": True,
    "pension_insured": True,
    "dibao": False,
    "tekun": False,
}


def county(**tables) -> Tables:
    return tables_of({"households": [HOME], "members": [PERSON]} | tables)


def event(number, occurred, known, **values):
    return {
        "event_id": f"E{number}",
        "household_id": "H1",
        "occurred_on": occurred,
        "known_on": known,
    } | values


def wage(number, occurred, known, amount):
    return event(number, occurred, known, source="wage", amount=amount)


def test_a_row_is_known_from_its_own_day_on():
    tables = county(income=[wage(1, "2023-02-01", "2023-03-01", 100)])
    assert tables.known_by(dt.date(2023, 2, 28))["income"].height == 0
    assert tables.known_by(dt.date(2023, 3, 1))["income"].height == 1


def test_a_correction_replaces_from_its_own_day_on():
    tables = county(
        income=[wage(1, "2023-02-01", "2023-03-01", 100), wage(1, "2023-02-01", "2023-05-01", 150)]
    )
    assert tables.known_by(dt.date(2023, 4, 30))["income"]["amount"].to_list() == [100]
    assert tables.known_by(dt.date(2023, 5, 1))["income"]["amount"].to_list() == [150]


def test_the_newest_state_is_in_force():
    tables = county(households=[HOME, HOME | {"known_on": "2023-06-01", "category": "general"}])
    assert tables.known_by(dt.date(2023, 5, 31))["households"]["category"].to_list() == ["lifted"]
    assert tables.known_by(dt.date(2023, 6, 1))["households"]["category"].to_list() == ["general"]


def test_a_member_who_moves_is_in_one_household_at_a_time():
    homes = [HOME, HOME | {"household_id": "H2"}]
    moved = PERSON | {"known_on": "2023-06-01", "household_id": "H2"}
    tables = county(households=homes, members=[PERSON, moved])
    assert tables.known_by(dt.date(2023, 5, 31))["members"]["household_id"].to_list() == ["H1"]
    assert tables.known_by(dt.date(2023, 6, 1))["members"]["household_id"].to_list() == ["H2"]


def test_a_member_who_left_is_gone_from_the_day_it_is_known():
    gone = PERSON | {"known_on": "2023-06-01", "left_on": "2023-05-01"}
    tables = county(members=[PERSON, gone])
    assert tables.known_by(dt.date(2023, 5, 31))["members"].height == 1  # left, but nobody could know
    assert tables.known_by(dt.date(2023, 6, 1))["members"].height == 0


def test_an_announced_departure_counts_from_its_day():
    tables = county(members=[PERSON | {"left_on": "2023-09-01"}])
    assert tables.known_by(dt.date(2023, 8, 31))["members"].height == 1
    assert tables.known_by(dt.date(2023, 9, 1))["members"].height == 0


ASSET = event(9, "2023-02-01", "2023-02-10", kind="vehicle", value=1.0)


def asked(occurred, known, **values):
    return event(1, occurred, known, scope="assets", revoked_on=None) | values


@pytest.mark.parametrize(
    ("authorisations", "seen"),
    [
        ([], 0),
        ([asked("2023-01-01", "2023-01-05")], 1),
        ([asked("2023-01-01", "2023-01-05", scope="finance")], 0),
        ([asked("2023-06-01", "2023-08-01")], 0),  # given, but not yet known
        ([asked("2023-01-01", "2023-01-05"), asked("2023-01-01", "2023-06-20", revoked_on="2023-06-15")], 0),
        (
            [asked("2023-01-01", "2023-01-05"), asked("2023-01-01", "2023-07-20", revoked_on="2023-06-15")],
            1,
        ),  # known later
        ([asked("2023-01-01", "2023-01-05", revoked_on="2023-12-31")], 1),  # ends later
        ([asked("2023-01-01", "2023-01-05", household_id="H2")], 0),
    ],
)
def test_assets_are_readable_only_under_an_authorisation_in_force(authorisations, seen):
    tables = county(
        households=[HOME, HOME | {"household_id": "H2"}], assets=[ASSET], authorisations=authorisations
    )
    assert tables.known_by(DAY)["assets"].height == seen


def test_without_the_table_of_authorisations_no_asset_is_readable():
    assert county(assets=[ASSET]).known_by(DAY)["assets"].height == 0


def test_what_was_known_carries_no_trace_of_later_versions(records):
    for frame in tables_of(records).known_by(DAY).frames.values():
        if "replaced_on" in frame.columns:
            assert frame["replaced_on"].null_count() == frame.height


def test_an_absent_table_stays_unknown_and_is_not_empty():
    cut = county().known_by(DAY)
    assert "income" not in cut
    assert cut.get("income").height == 0
    with pytest.raises(KeyError):
        cut["income"]


def raw(records) -> dict[str, pl.DataFrame]:
    return {
        name: pl.DataFrame(rows, schema={column.name: dtype_of(column) for column in TABLES[name].columns})
        for name, rows in records.items()
    }


def future_rows(frame: pl.DataFrame, table: str, rng: random.Random) -> pl.DataFrame:
    """Corrections and new rows that become known only after DAY."""
    count = rng.randrange(0, min(12, frame.height) + 1)
    rows = frame.sample(count, with_replacement=False, seed=rng.randrange(1 << 30), shuffle=True)
    later = pl.Series(
        "known_on", [DAY + dt.timedelta(days=rng.randrange(1, 400)) for _ in range(count)], dtype=pl.Date
    )
    rows = rows.with_columns(later)
    for column in TABLES[table].columns:
        # Everything that a later row says may be different.
        if column.name not in (TABLES[table].key, "known_on") and rng.random() < 0.5:
            rows = rows.with_columns(rows[column.name].shuffle(seed=rng.randrange(1 << 30)))
    if rng.random() < 0.5:
        key = TABLES[table].key
        rows = rows.with_columns(
            pl.when(pl.int_range(pl.len()) % 2 == 0)
            .then(pl.col(key) + "-new")
            .otherwise(pl.col(key))
            .alias(key)
        )
    return rows.unique(subset=[TABLES[table].key, "known_on"])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_adding_removing_or_altering_rows_known_later_never_changes_what_was_known(small_raw, seed):
    rng = random.Random(seed)
    frames = dict(small_raw)
    expected = from_frames(frames).known_by(DAY)
    for table in (*STATE_TABLES, *EVENT_TABLES):
        known, later = (
            frames[table].filter(pl.col("known_on") <= DAY),
            frames[table].filter(pl.col("known_on") > DAY),
        )
        later = (
            later.sample(rng.randrange(0, later.height + 1), seed=rng.randrange(1 << 30))
            if later.height
            else later
        )
        changed = pl.concat([later, future_rows(frames[table], table, rng)])
        changed = changed.unique(subset=[TABLES[table].key, "known_on"])
        # The order of a file says nothing either.
        frames[table] = pl.concat([known, changed]).sample(
            fraction=1, shuffle=True, seed=rng.randrange(1 << 30)
        )
    found = from_frames(frames).known_by(DAY)
    for name in expected.frames:
        assert found[name].equals(expected[name]), name


@pytest.fixture(scope="module")
def small_raw(request):
    from importlib import util
    from pathlib import Path

    spec = util.spec_from_file_location("small_county_of_tables", Path(__file__).with_name("conftest.py"))
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return raw(module.small_county(households=14))


@settings(max_examples=25, deadline=None)
@given(day=st.dates(dt.date(2022, 12, 1), dt.date(2025, 3, 1)), seed=st.integers(0, 1000))
def test_cutting_by_intervals_is_cutting_and_then_taking_the_newest(small_raw, day, seed):
    """The interval of each row against the definition, worked out slowly: of the rows known by the day, the
    newest of each key.
    """
    tables = from_frames(
        {name: frame.sample(fraction=1, shuffle=True, seed=seed) for name, frame in small_raw.items()}
    )
    cut = tables.known_by(day)
    for table in (*STATE_TABLES, *EVENT_TABLES):
        key = TABLES[table].key
        slow = {}
        for row in sorted(small_raw[table].iter_rows(named=True), key=lambda row: row["known_on"]):
            if row["known_on"] <= day:
                slow[row[key]] = row
        rows = [
            row
            for row in slow.values()
            if not (table == "members" and row["left_on"] and row["left_on"] <= day)
        ]
        if table == "assets":
            continue
        assert sorted(cut[table].drop("replaced_on").rows(), key=repr) == sorted(
            (tuple(row.values()) for row in rows), key=repr
        ), table


@settings(max_examples=15, deadline=None)
@given(day=st.dates(dt.date(2023, 1, 1), dt.date(2025, 1, 1)))
def test_cutting_twice_is_cutting_once(small_raw, day):
    tables = from_frames(small_raw)
    once = tables.known_by(day)
    again = once.known_by(day)
    for name in once.frames:
        assert again[name].equals(once[name])


def test_a_part_of_the_households_has_their_rows_and_no_others(records):
    tables = tables_of(records)
    part = tables.of_households(["000003", "000004"])
    assert set(part["income"]["household_id"]) == {"000003", "000004"}
    assert all(member[:6] in ("000003", "000004") for member in part["medical"]["member_id"])
    assert part["shocks"].filter(pl.col("household_id").is_null()).height == 1  # the area's
    assert part["policy"].equals(tables["policy"])


def test_row_order_in_the_files_never_shows(records):
    tables = tables_of(records)
    mixed = tables_of({name: random.Random(3).sample(rows, len(rows)) for name, rows in records.items()})
    for name in tables.frames:
        assert mixed[name].equals(tables[name])


def test_the_quick_sort_of_large_tables_is_the_plain_sort(monkeypatch, records):
    """Owners without rank (null), equal days and shuffled rows included."""
    from riskmodel.tables import county as module

    for name in EVENT_TABLES:
        table = TABLES[name]
        frame = raw(records)[name].with_columns(replaced_on=pl.lit(None, pl.Date))
        frame = pl.concat([frame.with_columns(pl.col("event_id") + suffix) for suffix in ("", "b", "a")])
        for seed in range(3):
            mixed = frame.sample(fraction=1, shuffle=True, seed=seed)
            monkeypatch.setattr(module, "MANY_ROWS", 0)
            quick = module.in_canonical_order(mixed, table)
            monkeypatch.setattr(module, "MANY_ROWS", 1 << 40)
            assert quick.equals(module.in_canonical_order(mixed, table)), name
            monkeypatch.setattr(module, "MANY_ROWS", 0)
            assert module.in_canonical_order(quick, table).equals(quick)
