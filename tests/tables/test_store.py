"""Checked tables are kept, and a second run starts from there."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.tables import check_tables, read_tables, store_tables


@pytest.fixture
def two_counties(records):
    """The small county, and its second township as a county of its own."""
    for home in records["households"]:
        if home["township_code"].endswith("002"):
            home["county_code"] = "522302"
            for code in ("township_code", "village_code"):
                home[code] = "522302" + home[code][6:]
    return records


@pytest.fixture
def folder(tmp_path, two_counties, as_parquet):
    return as_parquet(tmp_path / "tables", two_counties)


def snapshot(store):
    return {
        path.relative_to(store).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in store.rglob("*")
        if path.is_file()
    }


def test_a_store_gives_the_tables_of_the_folder_byte_for_byte(folder, tmp_path):
    store_tables(folder, tmp_path / "store")
    stored, read = read_tables(tmp_path / "store"), read_tables(folder)
    assert set(stored.frames) == set(read.frames)
    for name in read.frames:
        assert stored[name].equals(read[name]) and stored[name].schema == read[name].schema, name


def test_a_store_is_partitioned_by_county_sorted_and_keeps_the_contract(folder, tmp_path):
    store_tables(folder, tmp_path / "store")
    parts = sorted(path.parent.name for path in (tmp_path / "store" / "income").rglob("*.parquet"))
    assert parts == ["county_code=522301", "county_code=522302"]
    frame = pl.read_parquet(
        tmp_path / "store" / "income" / "county_code=522301" / "part.parquet", hive_partitioning=False
    )
    assert frame["household_id"].is_sorted()
    assert check_tables(tmp_path / "store").ok


def test_a_second_run_writes_nothing(folder, tmp_path):
    store_tables(folder, tmp_path / "store")
    before = snapshot(tmp_path / "store")
    again = store_tables(folder, tmp_path / "store")
    assert snapshot(tmp_path / "store") == before
    assert not again.written and "up to date" in again.text()


def test_a_changed_extract_changes_only_its_partition(folder, tmp_path, two_counties, as_parquet):
    store_tables(folder, tmp_path / "store")
    before = snapshot(tmp_path / "store")
    first = next(row for row in two_counties["income"] if row["household_id"] == "000000")
    as_parquet(folder, {"income": [*two_counties["income"], first | {"event_id": "NEW", "amount": 1.0}]})
    stored = store_tables(folder, tmp_path / "store")
    assert stored.written == ("income/county_code=522301/part.parquet",)
    after = snapshot(tmp_path / "store")
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {"income/county_code=522301/part.parquet", "store.json"}


def test_the_same_rows_in_another_order_or_form_change_no_partition(
    folder, tmp_path, two_counties, as_parquet, as_csv
):
    store_tables(folder, tmp_path / "store")
    for name in ("income", "medical"):
        (folder / f"{name}.parquet").unlink()
    as_csv(folder, {"income": two_counties["income"][::-1], "medical": two_counties["medical"]}, "gb18030")
    assert not store_tables(folder, tmp_path / "store").written


def test_a_table_that_is_gone_leaves_the_store(folder, tmp_path):
    store_tables(folder, tmp_path / "store")
    (folder / "leads.parquet").unlink()
    stored = store_tables(folder, tmp_path / "store")
    assert {part.split("/")[0] for part in stored.removed} == {"leads"}
    assert "leads" not in read_tables(tmp_path / "store")


def test_hashes_name_the_content_and_travel_with_the_tables(folder, tmp_path):
    store_tables(folder, tmp_path / "store")
    tables = read_tables(tmp_path / "store")
    manifest = json.loads((tmp_path / "store" / "store.json").read_text())
    assert tables.hashes == {name: table["hash"] for name, table in manifest["tables"].items()}
    assert tables.known_by(dt.date(2024, 1, 1)).hashes == tables.hashes
    assert set(read_tables(folder).hashes) == set(tables.hashes)


def test_an_altered_partition_is_refused(folder, tmp_path):
    store_tables(folder, tmp_path / "store")
    path = tmp_path / "store" / "income" / "county_code=522301" / "part.parquet"
    pl.read_parquet(path, hive_partitioning=False).with_columns(amount=pl.lit(1.0)).write_parquet(path)
    with pytest.raises(DataError, match="altered since it was checked"):
        read_tables(tmp_path / "store")
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        read_tables(tmp_path / "store")


@pytest.mark.parametrize("damage", ["altered", "removed"])
def test_checking_again_mends_a_damaged_store(folder, tmp_path, damage):
    store_tables(folder, tmp_path / "store")
    before = {path: data for path, (_, data) in snapshot(tmp_path / "store").items()}
    path = tmp_path / "store" / "income" / "county_code=522301" / "part.parquet"
    if damage == "altered":
        path.write_bytes(b"x")
    else:
        path.unlink()
    stored = store_tables(folder, tmp_path / "store")
    assert stored.written == ("income/county_code=522301/part.parquet",)
    assert {path: data for path, (_, data) in snapshot(tmp_path / "store").items()} == before


def test_a_damaged_store_list_is_refused(folder, tmp_path):
    store_tables(folder, tmp_path / "store")
    (tmp_path / "store" / "store.json").write_text("{")
    with pytest.raises(DataError, match="Delete the store"):
        read_tables(tmp_path / "store")


def test_a_faulty_extract_leaves_the_store_as_it_was(folder, tmp_path):
    store_tables(folder, tmp_path / "store")
    before = snapshot(tmp_path / "store")
    path = folder / "income.parquet"
    pl.read_parquet(path).with_columns(amount=pl.lit(-1.0)).write_parquet(path)
    with pytest.raises(DataError):
        store_tables(folder, tmp_path / "store")
    assert snapshot(tmp_path / "store") == before


def test_corrections_keep_their_days_in_the_store(folder, tmp_path):
    store_tables(folder, tmp_path / "store")
    day = dt.date(2023, 8, 15)
    stored, read = read_tables(tmp_path / "store").known_by(day), read_tables(folder).known_by(day)
    for name in read.frames:
        assert stored[name].equals(read[name])
