"""The command line: names and arguments are fixed, errors are one line, help is quick."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RISKMODEL = Path(sys.executable).with_name("riskmodel")
FIXED = {
    "synthesise": ["DIR", "--households", "--years", "--end", "--seed"],
    "check": ["DIR", "--format"],
    "features": ["DIR", "--as-of", "--output"],
    "train": ["plan", "--tables", "--until"],
    "compare": ["RUN"],
    "promote": ["run", "--by", "--because", "--waive"],
    "score": ["--tables", "--as-of", "--output", "--model", "--horizon"],
    "list": ["--tables", "--as-of", "--capacity", "--output", "--by-township", "--county"],
    "explain": ["household", "--tables", "--as-of", "--plot"],
    "record": ["file", "--by"],
    "cycles": ["--closed"],
    "close": ["cycle", "--by", "--county", "--waive"],
    "withdraw": ["household", "--cycle", "--by", "--because", "--team", "--county"],
    "recall": ["--county", "--since"],
    "disagreements": [],
    "exits": ["--tables", "--as-of", "--output", "--model"],
    "backup": ["FILE.db"],
    "serve": ["--host", "--port"],
    "init": ["DIR"],
}


def riskmodel(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        [RISKMODEL, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )


@pytest.mark.parametrize("command", FIXED)
def test_each_command_keeps_its_name_and_arguments(command):
    help_text = riskmodel(command, "--help").stdout
    assert [
        argument for argument in [*FIXED[command], "--project"] if argument.lower() not in help_text.lower()
    ] == []


def test_help_loads_nothing_that_calculates():
    heavy = (
        "{'lightgbm', 'pandas', 'polars', 'numpy', 'numba', 'mlflow', 'shap', 'sklearn', 'bentoml', "
        "'pyarrow', 'matplotlib'}"
    )
    code = f"import sys, riskmodel, riskmodel.cli; print(sorted({heavy} & set(sys.modules)))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_a_fault_of_the_user_is_plain_words_and_exit_code_1(tmp_path):
    done = riskmodel(
        "score",
        "--tables",
        tmp_path / "nowhere",
        "--as-of",
        "2025-12-31",
        "--output",
        tmp_path / "s.parquet",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_a_command_written_wrongly_is_exit_code_2():
    assert riskmodel("score").returncode == 2
    assert riskmodel("promote", "r", "--by", "a", "--because", "b", "--waive", "auc").returncode == 2
    given = ("list", "--tables", "t", "--as-of", "2025-12-31")
    assert "written as .xlsx, .csv, .html, .pdf" in riskmodel(*given, "--output", "list.docx").stderr
    refused = riskmodel(*given, "--capacity", "0", "--output", "list.xlsx").stderr
    assert "x>=1" in refused or "greater than or equal to 1" in refused  # as the version of typer has it
    assert "--by-township DIR" in riskmodel(*given).stderr
    assert {riskmodel(*given).returncode, riskmodel(*given, "--output", "list.docx").returncode} == {2}


def test_a_date_in_another_form_is_refused_with_the_form_expected(tmp_path, project):
    done = riskmodel("synthesise", tmp_path / "c", "--end", "31.12.2025", "--project", project.root)
    assert done.returncode == 1
    assert "YYYY-MM-DD" in done.stderr


def test_every_public_name_has_a_home_and_a_docstring():
    import riskmodel

    for name in riskmodel.__all__:
        assert getattr(riskmodel, name).__doc__, name
