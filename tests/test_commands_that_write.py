"""Commands that write: the ending decides the form, what was written can be read again, and only regular
files are replaced.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

RISKMODEL = Path(sys.executable).with_name("riskmodel")
AS_OF = "2025-12-31"


@pytest.fixture
def scored(ruled, tmp_path, command):
    """`scored(name)`: the file of scores that `riskmodel score` wrote under that name."""
    project, tables, run = ruled

    def write(name: str) -> Path:
        given = ("--tables", tables, "--as-of", AS_OF, "--model", run, "--project", project.root)
        done = command("score", *given, "--output", tmp_path / name)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv", "SCORES.XLSX"])
def test_replay_computes_every_file_again_that_score_wrote(name, scored, ruled, command):
    project, tables, _ = ruled
    done = command("replay", scored(name), "--tables", tables, "--project", project.root, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["ok"] and found["different"] == [] and found["gone"] == []
    assert found["checked"] == found["same"] == 1000


def test_replay_says_which_score_was_altered_in_the_file(scored, ruled, command):
    from riskmodel.screening.score_files import read_scores, write_scores

    project, tables, _ = ruled
    file = scored("altered.csv")
    frame = read_scores(file)
    ranks = frame["rank"].to_list()
    write_scores(frame.with_columns(pl.Series("rank", [7, *ranks[1:]])), file)
    done = command("replay", file, "--tables", tables, "--project", project.root)
    assert done.returncode == 1 and "rank was 7, is 1" in done.stdout


def test_an_unknown_ending_is_refused_before_anything_is_computed(tmp_path, command):
    given = ("--tables", "nowhere", "--as-of", AS_OF)
    for written, output in (
        (("score", *given), "s.txt"),
        (("features", "nowhere", "--as-of", AS_OF), "f.xlsx"),
        (("export", "h1", *given), "body.txt"),
        (("exits", *given), "e.pdf"),
        (("list", *given), "l.docx"),
    ):
        assert "written as ." in command(*written, "--output", tmp_path / output).refused(2)
    assert "written as ." in command("explain", "h1", *given, "--plot", "p.xyz").refused(2)
    assert "written as ." in command("check", "nowhere", "--report", "r.pdf").refused(2)


def test_a_folder_or_a_device_as_output_is_refused_in_one_line(ruled, tmp_path, command):
    project, tables, run = ruled
    for ending in (".parquet", ".csv"):
        (tmp_path / f"folder{ending}").mkdir()
    (tmp_path / "device.parquet").symlink_to("/dev/full")
    (tmp_path / "file").write_text("x")
    here = ("--project", project.root)
    given = ("--tables", tables, "--as-of", AS_OF, *here)
    score = ("score", *given, "--model", run, "--output")
    assert "a folder; expected a file" in command(*score, tmp_path / "folder.parquet").refused()
    assert "a device or a pipe" in command(*score, tmp_path / "device.parquet").refused()
    assert not os.path.isfile("/dev/full")
    assert "a folder; expected" in command("exits", *given, "--output", tmp_path / "folder.csv").refused()
    assert "a folder; expected" in command("backup", tmp_path, *here).refused()
    assert "a folder; expected" in command("audit", "export", tmp_path, *here).refused()
    for written in (
        ("check", tables, "--store", tmp_path / "file"),
        ("synthesise", tmp_path / "file", "--households", "100", "--years", "1"),
        ("list", *given, "--model", run, "--by-township", tmp_path / "file"),
    ):
        assert str(tmp_path / "file") in command(*written).refused()
    assert (tmp_path / "file").read_text() == "x"


def test_the_target_of_a_link_is_written(scored, tmp_path):
    real = tmp_path / "real.parquet"
    real.write_text("old")
    (tmp_path / "link.parquet").symlink_to(real)
    link = scored("link.parquet")
    assert link.is_symlink() and real.read_bytes() == scored("scores.parquet").read_bytes()


def test_a_full_closed_or_broken_standard_output_makes_no_traceback():
    """`--help` prints more than a buffer holds and computes nothing."""
    for where, code, line in (
        ("> /dev/full", 1, "standard output: the disk is full"),
        (">&-", 0, ""),
        ("> /dev/full 2>&1", 1, ""),
        ("2>&-", 0, ""),
        ("| true", 0, ""),
    ):
        done = subprocess.run(
            ["sh", "-c", f"{RISKMODEL} keys add --help {where}"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr, line in done.stderr) == (code, False, True), (
            where
        )


def test_a_file_that_is_opened_while_standard_output_is_closed_is_not_printed_into(tmp_path):
    code = (
        f"from riskmodel import cli; cli._standard_streams(); f = open({str(tmp_path / 'f')!r}, 'w'); "
        "print('printed'); f.close()"
    )
    subprocess.run(["sh", "-c", f'{sys.executable} -c "{code}" >&-'], check=True)
    assert (tmp_path / "f").read_text() == ""


def test_an_encoding_without_chinese_gets_escapes_instead_of_an_error():
    code = "from riskmodel import cli; cli._standard_streams(); print('核实')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, r"\u6838\u5b9e" + "\n")


def test_what_commands_print_as_a_table_they_print_as_json_too(ruled, command):
    project, tables, run = ruled

    def answer(*written):
        return json.loads(command(*written, "--json").stdout)

    here = ("--project", project.root)
    figures = answer("compare", *here)
    assert figures["runs"] == {"income_rule": run}
    assert {"model", "metric", "capacity", "value", "low", "high"} <= set(figures["figures"][0])
    assert answer("cycles", *here) == answer("disagreements", *here) == answer("keys", "list", *here) == []
    assert answer("recall", *here)["checks"] == 0
    assert answer("audit", "verify", *here)["ok"] is True
    assert answer("check", tables)["ok"] is True


def test_json_is_offered_by_every_command_that_prints_what_it_found():
    import typer

    from riskmodel.cli import app

    known = [
        "check",
        "compare",
        "cycles",
        "disagreements",
        "explain",
        "features",
        "leaks",
        "recall",
        "replay",
    ]
    offered = set()
    for name, command in typer.main.get_command(app).commands.items():
        for sub, inner in getattr(command, "commands", {"": command}).items():
            if any("--json" in param.opts for param in inner.params):
                offered.add(f"{name} {sub}".strip())
    assert offered == {*known, "keys list", "audit verify"}


def test_a_project_that_is_named_must_be_one_even_where_none_is_needed(tmp_path, county_folder, command):
    nowhere = ("--project", tmp_path / "nowhere")
    for written in (
        ("check", county_folder),
        ("map", county_folder / "income.parquet"),
        ("synthesise", tmp_path / "c", "--households", "100", "--years", "1"),
        ("export", "h1", "--tables", county_folder, "--as-of", AS_OF, "--output", tmp_path / "b.json"),
    ):
        assert "no project; expected a folder with" in command(*written, *nowhere).refused()
    assert not (tmp_path / "c").exists()


def test_version_short_help_and_completion_are_there(command):
    import riskmodel as rm

    assert command("--version").stdout == f"riskmodel {rm.__version__}\n"
    assert command("score", "-h").stdout == command("score", "--help").stdout
    completion = subprocess.run(
        [RISKMODEL, "--show-completion", "bash"], capture_output=True, text=True, check=True
    )
    assert "_RISKMODEL_COMPLETE" in completion.stdout
