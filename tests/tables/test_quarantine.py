"""Refused rows go to files with their reasons; the rest goes on; nothing is dropped without a trace."""

from __future__ import annotations

import csv

import polars as pl
import pytest

from riskmodel.errors import DataError
from riskmodel.tables import check_tables, quarantine, read_tables

PHONE = "13800138000"


@pytest.fixture
def folder(tmp_path, records, as_csv):
    folder = as_csv(tmp_path / "csv", records)
    path = folder / "income.csv"
    frame = pl.read_csv(path, infer_schema=False)
    amounts = frame["amount"].to_list()
    amounts[4], amounts[7] = "-5", "=1+1"
    topics = pl.read_csv(folder / "leads.csv", infer_schema=False)
    topics.with_columns(topic=pl.Series([f"打{PHONE}", "a", "b", "c"])).write_csv(folder / "leads.csv")
    frame.with_columns(amount=pl.Series(amounts)).write_csv(path)
    return folder


def lines(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_without_quarantine_one_refused_row_refuses_the_folder(folder):
    with pytest.raises(DataError):
        read_tables(folder)


def test_refused_rows_are_written_with_file_row_and_reason(folder, tmp_path):
    result = quarantine(folder, tmp_path / "set_aside")
    rows = lines(tmp_path / "set_aside" / "income.csv")
    assert [(row["(file)"], row["(row)"], row["(refused because)"], row["amount"]) for row in rows] == [
        ("income.csv", "6", "negative", "-5"),
        ("income.csv", "9", "not_a_number", "'=1+1"),  # a formula would run when the file is opened
    ]
    assert result.refused == {"income": 2, "leads": 1}
    assert "income 2, leads 1" in result.text()
    assert "negative" in (tmp_path / "set_aside" / "report.txt").read_text()
    assert {path.name for path in result.files} == {"income.csv", "leads.csv", "report.txt", "report.json"}


def test_the_other_rows_go_on_and_the_tables_know_how_many_were_set_aside(folder, tmp_path):
    tables = read_tables(folder, aside=tmp_path / "set_aside")
    assert tables["income"].height == 318 - 2
    assert tables.refused == {"income": 2, "leads": 1}
    assert tables.known_by(tables.newest_known_on).refused == tables.refused


def test_kept_and_refused_rows_together_are_the_file(folder, tmp_path):
    result = quarantine(folder, tmp_path / "set_aside")
    for name, frame in result.tables.frames.items():
        total = pl.read_csv(folder / f"{name}.csv", infer_schema=False).height
        assert frame.height + result.refused.get(name, 0) == total


def test_an_identity_is_withheld_in_quarantine_too(folder, tmp_path):
    quarantine(folder, tmp_path / "set_aside")
    for path in (tmp_path / "set_aside").iterdir():
        assert PHONE not in path.read_text()
    assert lines(tmp_path / "set_aside" / "leads.csv")[0]["topic"] == "(withheld)"


def test_rows_of_a_refused_household_go_with_it(folder, tmp_path):
    path = folder / "households.csv"
    frame = pl.read_csv(path, infer_schema=False)
    frame.with_columns(
        category=pl.when(pl.col("household_id") == "000003").then(pl.lit("?")).otherwise(pl.col("category"))
    ).write_csv(path)
    result = quarantine(folder, tmp_path / "set_aside")
    for name, frame in result.tables.frames.items():
        if "household_id" in frame.columns:
            assert "000003" not in frame["household_id"].to_list(), name
        elif "member_id" in frame.columns:
            assert not frame["member_id"].str.starts_with("000003").any(), name
    reasons = {row["(refused because)"] for row in lines(tmp_path / "set_aside" / "members.csv")}
    assert reasons == {"owner_refused"}


def test_a_household_with_one_right_version_keeps_its_rows(folder, tmp_path):
    path = folder / "households.csv"
    frame = pl.read_csv(path, infer_schema=False)
    wrong = (pl.col("household_id") == "000007") & (pl.col("known_on") == "2024-03-01")
    frame.with_columns(category=pl.when(wrong).then(pl.lit("?")).otherwise(pl.col("category"))).write_csv(
        path
    )
    result = quarantine(folder, tmp_path / "set_aside")
    assert result.refused["households"] == 1 and "members" not in result.refused


def test_a_table_at_fault_as_a_whole_cannot_be_set_aside_row_by_row(folder, tmp_path):
    path = folder / "medical.csv"
    pl.read_csv(path, infer_schema=False).drop("self_paid").write_csv(path)
    with pytest.raises(DataError, match="self_paid"):
        quarantine(folder, tmp_path / "set_aside")


def test_a_clean_folder_leaves_only_the_report(clean_folder, tmp_path):
    result = quarantine(clean_folder, tmp_path / "set_aside")
    assert not result.refused and {path.name for path in result.files} == {"report.txt", "report.json"}
    assert result.tables["income"].equals(read_tables(clean_folder)["income"])


def test_the_set_aside_rows_are_refused_again_only_for_what_was_wrong(folder, tmp_path):
    """What is kept is a right folder: read again, it has no faults."""
    kept = quarantine(folder, tmp_path / "set_aside").tables
    again = tmp_path / "kept"
    again.mkdir()
    for name, frame in kept.frames.items():
        frame.drop("replaced_on", strict=False).write_parquet(again / f"{name}.parquet")
    assert check_tables(again).ok
