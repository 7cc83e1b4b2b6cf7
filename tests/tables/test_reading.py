"""Extracts in every form come in as the same tables."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.tables import Tables, check_tables, read_tables, tables_of


def same(left: Tables, right: Tables) -> bool:
    assert set(left.frames) == set(right.frames)
    return all(
        left[name].equals(right[name]) and left[name].schema == right[name].schema for name in left.frames
    )


def test_a_right_folder_has_neither_errors_nor_warnings(clean_folder):
    report = check_tables(clean_folder)
    assert report.ok, report.text()
    assert not report.warnings, report.text()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_of_each_encoding_gives_the_tables_of_parquet(tmp_path, records, clean_folder, as_csv, encoding):
    folder = as_csv(tmp_path / "csv", records, encoding)
    assert same(read_tables(folder), read_tables(clean_folder))


def test_compressed_csv_is_read(tmp_path, records, clean_folder, as_csv):
    folder = as_csv(tmp_path / "csv", records)
    for path in folder.glob("*.csv"):
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert same(read_tables(folder), read_tables(clean_folder))


def test_records_in_memory_give_the_tables_of_the_files(records, clean_folder):
    assert same(tables_of(records), read_tables(clean_folder))


def test_parquet_partitioned_by_county_is_read_and_the_folder_gives_the_county_code(
    tmp_path, records, clean_folder, as_parquet
):
    folder = as_parquet(tmp_path / "partitioned", records)
    households = pl.read_parquet(folder / "households.parquet")
    (folder / "households.parquet").unlink()
    for place, half in enumerate((households.head(10), households.tail(-10))):
        path = folder / "households" / "county_code=522301" / f"{place}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        half.drop("county_code").write_parquet(path)
    assert same(read_tables(folder), read_tables(clean_folder))


def test_all_faults_come_with_one_error(tmp_path, records, as_csv):
    records["income"][4]["amount"] = -1.0
    del records["members"]
    with pytest.raises(DataError) as refused:
        read_tables(as_csv(tmp_path / "bad", records))
    text = str(refused.value)
    assert "negative" in text and "members" in text


def test_parquet_written_by_pandas_or_from_a_database_is_read(clean_folder):
    """Categories, decimals, midnight timestamps, dates as numbers, flags as 0 and 1, empty columns."""
    expected = read_tables(clean_folder)
    path = clean_folder / "income.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(
        pl.col("source").cast(pl.String).cast(pl.Categorical),
        pl.col("amount").cast(pl.Decimal(12, 2)),
        pl.col("occurred_on").cast(pl.Datetime("ns")),
        pl.col("known_on").dt.strftime("%Y%m%d").cast(pl.Int64),
    ).write_parquet(path)
    members = pl.read_parquet(clean_folder / "members.parquet")
    members.with_columns(pl.col("dibao").cast(pl.Int8), pl.col("tekun").cast(pl.Float64)).write_parquet(
        clean_folder / "members.parquet"
    )
    households = pl.read_parquet(clean_folder / "households.parquet")
    households.with_columns(safe_water=pl.lit(None)).write_parquet(clean_folder / "households.parquet")
    read = read_tables(clean_folder)
    assert read["income"].equals(expected["income"])
    assert read["members"].equals(expected["members"])
    assert read["households"]["safe_water"].null_count() == read["households"].height


def test_a_timestamp_with_a_time_of_day_is_no_date(clean_folder):
    path = clean_folder / "income.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(pl.col("occurred_on").cast(pl.Datetime) + pl.duration(hours=9)).write_parquet(path)
    assert "unknown_date" in {finding.check for finding in check_tables(clean_folder).errors}


def test_nan_in_an_optional_number_is_missing_and_in_a_required_one_refused(clean_folder):
    path = clean_folder / "medical.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(compliant_self_paid=pl.lit(float("nan"))).write_parquet(path)
    assert read_tables(clean_folder)["medical"]["compliant_self_paid"].null_count() == frame.height
    frame.with_columns(self_paid=pl.lit(float("nan"))).write_parquet(path)
    assert {finding.check for finding in check_tables(clean_folder).errors} == {"missing_value"}


def test_tables_without_rows_have_no_newest_day():
    with pytest.raises(DataError, match="no rows"):
        _ = Tables({}).newest_known_on
