"""A full disk or a place that cannot be written to: one line, and what was there before is as it was."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from riskmodel.errors import UserError
from riskmodel.tables import quarantine, read_tables, store_tables
from riskmodel.tables.staging import staging


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
    }


# No file may grow beyond so many bytes: what the system answers is what it answers on a full disk or over a
# quota.
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from pathlib import Path
from riskmodel.errors import UserError
from riskmodel.tables import quarantine, store_tables
what, folder, target, limit = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    (store_tables if what == "store" else quarantine)(Path(folder), Path(target))
except UserError as error:
    print(error)
    sys.exit(1)
"""


def limited(what, folder, target, limit):
    """One line that says so, exit code 1."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, what, folder, target, str(limit)], capture_output=True, text=True
    )
    assert done.returncode == 1 and "the disk is full" in done.stdout, done.stdout + done.stderr[-800:]
    assert done.stdout.count("\n") == 1 and str(target) in done.stdout


def test_a_full_disk_while_storing_leaves_nothing_of_a_new_store(clean_folder, tmp_path):
    limited("store", clean_folder, tmp_path / "stores" / "first", 4000)
    assert not (tmp_path / "stores").exists()


def test_a_full_disk_while_storing_leaves_an_old_store_as_it_was(clean_folder, tmp_path):
    store = tmp_path / "store"
    store_tables(clean_folder, store)
    before = snapshot(store)
    for name in (
        "leads",
        "income",
    ):  # the partition of leads fits, that of income does not: neither is touched
        path = clean_folder / f"{name}.parquet"
        changed = pl.read_parquet(path).filter(pl.col("household_id") != "000006")
        changed.write_parquet(path)
    limited("store", clean_folder, store, 4000)
    assert snapshot(store) == before
    store_tables(clean_folder, store)
    assert read_tables(store)["income"].height == changed.height


def test_a_full_disk_while_setting_rows_aside_leaves_the_folder_as_it_was(clean_folder, tmp_path):
    aside = tmp_path / "aside"
    quarantine(clean_folder, aside)
    before = snapshot(aside)
    path = clean_folder / "income.parquet"
    pl.read_parquet(path).with_columns(amount=pl.lit(-1.0)).write_parquet(path)
    limited("quarantine", clean_folder, aside, 2000)
    assert snapshot(aside) == before
    limited("quarantine", clean_folder, tmp_path / "new" / "aside", 2000)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("write", [store_tables, quarantine])
def test_a_folder_that_cannot_be_made_is_one_line(clean_folder, tmp_path, monkeypatch, number, write):
    def refuse(path, *args, **named):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError) as refused:
        write(clean_folder, tmp_path / "no" / "where")
    assert len(refused.value.faults) == 1 and str(tmp_path / "no" / "where") in str(refused.value)


@pytest.mark.parametrize("write", [store_tables, quarantine])
def test_a_path_below_a_file_is_one_line(clean_folder, tmp_path, write):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError) as refused:
        write(clean_folder, tmp_path / "file" / "below")
    assert "\n" not in str(refused.value)


def test_files_of_a_stage_appear_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("old")

    def broken():
        with staging(tmp_path) as stage:
            stage.draft(tmp_path / "a").write_text("new")
            stage.draft(tmp_path / "deep" / "er" / "b").write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert snapshot(tmp_path) == {"a": b"old"}
    with staging(tmp_path) as stage:
        stage.draft(tmp_path / "a").write_text("new")
        assert (tmp_path / "a").read_text() == "old"
        stage.draft(tmp_path / "deep" / "b").write_text("new")
    assert snapshot(tmp_path) == {"a": b"new", "deep": False, "deep/b": b"new"}


def test_what_is_set_aside_is_readable_by_its_owner_only(clean_folder, tmp_path):
    quarantine(clean_folder, tmp_path / "aside")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "aside").iterdir()} == {0o600}
