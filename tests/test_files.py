"""Files: whole or not at all, private unless meant for others, links followed, devices and folders refused,
full disks in one line.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import polars as pl
import pytest

from riskmodel.errors import DataError, Fault, UserError
from riskmodel.files import in_plain_words, making_folder, replacing, write_bytes, write_text


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_readable_by_its_owner_only_unless_it_is_meant_for_others(tmp_path):
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "list.csv", "a")
        write_text(tmp_path / "public.yaml", "a", shared=True)
        os.umask(0o077)
        write_text(tmp_path / "strict.yaml", "a", shared=True)
    finally:
        os.umask(before)
    modes = [mode(tmp_path / name) for name in ("list.csv", "public.yaml", "strict.yaml")]
    assert modes == [0o600, 0o644, 0o600]


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    real = tmp_path / "elsewhere" / "real.csv"
    real.parent.mkdir()
    real.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new"
    dangling = tmp_path / "to-be.csv"
    dangling.symlink_to(tmp_path / "elsewhere" / "new.csv")
    write_text(dangling, "new")
    assert (tmp_path / "elsewhere" / "new.csv").read_text() == "new" and dangling.is_symlink()


def test_a_folder_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=rf"{tmp_path}: a folder; expected a file"):
        write_text(tmp_path, "x")


@pytest.mark.parametrize("kind", ["device", "pipe", "link to a device"])
def test_a_device_or_a_pipe_is_never_replaced(kind, tmp_path):
    target = tmp_path / "target.csv"
    if kind == "pipe":
        os.mkfifo(target)
    else:
        target = Path("/dev/full") if kind == "device" else target
    if kind == "link to a device":
        target.symlink_to("/dev/full")
    before = os.stat(target).st_mode
    with pytest.raises(UserError, match="a device or a pipe; expected a regular file"):
        write_text(target, "x")
    assert os.stat(target).st_mode == before


def test_a_path_below_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"file is a file; expected a folder"):
        write_text(tmp_path / "file" / "list.csv", "x")


def test_a_full_disk_at_any_step_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    target = tmp_path / "list.csv"
    write_text(target, "old")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, full)
            with pytest.raises(
                UserError, match=rf"{target}: the disk is full; expected room to write\. What was"
            ):
                write_text(target, "new")
        assert target.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["list.csv"]


def test_a_fault_of_a_function_that_writes_into_the_draft_names_the_persons_file(tmp_path):
    def write():
        with replacing(tmp_path / "list.csv") as draft:
            raise UserError(Fault(str(draft), "too wide", "narrower", "Cut it."))

    with pytest.raises(UserError, match=rf"^{tmp_path / 'list.csv'}: too wide"):
        write()


def test_the_same_cause_is_found_in_the_words_of_every_library(tmp_path):
    import sqlite3

    full = [
        OSError(errno.EDQUOT, "quota"),
        pl.exceptions.ComputeError("No space left on device (os error 28)"),
        shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]),
        sqlite3.OperationalError("database or disk is full"),
    ]
    assert all("the disk is full" in str(in_plain_words(error, "x")) for error in full)
    assert "read-only" in str(
        in_plain_words(sqlite3.OperationalError("attempt to write a readonly database"))
    )
    assert (
        in_plain_words(ValueError("No space left on device")) is None
    )  # a bug that repeats the words keeps its traceback
    assert in_plain_words(KeyError("x")) is None


def test_a_folder_is_made_whole_or_not_at_all(tmp_path):
    def make_half():
        with making_folder(tmp_path / "made") as draft:
            (draft / "half").write_text("x")
            raise shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")])

    with pytest.raises(UserError, match="the disk is full"):
        make_half()
    assert list(tmp_path.iterdir()) == []
    with making_folder(tmp_path / "made") as draft:
        (draft / "whole").write_text("x")
    assert (tmp_path / "made" / "whole").read_text() == "x"
    with pytest.raises(UserError, match="not empty"), making_folder(tmp_path / "made"):
        raise AssertionError("the block must not begin")
    with (
        pytest.raises(UserError, match="a file; expected a folder"),
        making_folder(tmp_path / "made" / "whole"),
    ):
        raise AssertionError("the block must not begin")


def frame(*margins: float) -> pl.DataFrame:
    """Scores of made-up households, in the columns of a score file."""
    import datetime as dt

    n = len(margins)
    return pl.DataFrame(
        {
            "household_id": [f"-h{place}" for place in range(n)],  # begins like a formula
            "as_of": [dt.date(2025, 12, 31)] * n,
            "horizon_months": pl.Series([12] * n, dtype=pl.Int32),
            "probability": [0.1 + 0.2] * n,  # 0.30000000000000004: 17 digits
            "margin": list(margins),
            "rank": list(range(1, n + 1)),
            "reasons_zh": ["第一行\n第二行，“引号”"] * n,
            "notes_zh": [""] * n,
            "rule_income": pl.Series([1.0, None, *[0.0] * n][:n]),
        }
    )


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".xlsx"])
def test_a_score_file_reads_back_bit_for_bit_in_every_form(ending, tmp_path):
    from riskmodel.screening.score_files import read_scores, write_scores

    scores = frame(-1.2345678901234567, 1e-300, 0.1 + 0.7)
    back = read_scores(write_scores(scores, tmp_path / f"scores{ending}"))
    assert back.schema == scores.schema
    assert back.rows() == scores.rows()


def test_a_spreadsheet_finds_no_formula_in_a_score_file(tmp_path):
    import openpyxl

    from riskmodel.screening.score_files import write_scores

    write_scores(frame(0.5), tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text("utf-8-sig").splitlines()[1].startswith("'-h0,")
    write_scores(frame(0.5), tmp_path / "s.xlsx")
    book = openpyxl.load_workbook(tmp_path / "s.xlsx")
    assert book["scores"]["A2"].value == "'-h0" and book["exact"].sheet_state == "hidden"


def test_an_unknown_ending_of_a_score_file_is_refused(tmp_path):
    from riskmodel.screening.score_files import read_scores, write_scores

    for name, found in (("s.xls", r"the ending '\.xls'"), ("s", "no ending")):
        with pytest.raises(DataError, match=rf"{found}; expected one of \.parquet, \.csv, \.xlsx"):
            write_scores(frame(0.5), tmp_path / name)
    (tmp_path / "s.csv").write_bytes(write_bytes(tmp_path / "s.xlsx", b"PK\x03\x04 cut").read_bytes())
    for name in ("s.csv", "s.xlsx"):
        with pytest.raises(DataError, match="expected a file written by `riskmodel score`"):
            read_scores(tmp_path / name)
