"""Every block of Python and shell in the READMEs and in docs/ is run as written; one that cannot be is marked
in the text, and listed here.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])
AT_MOST = "700"  # households of the counties that the documents synthesise, here
# Blocks marked `<!-- not run: why -->`, by page: how many.
NOT_RUN = {"docs/installation.md": 1, "docs/operations.md": 3, "docs/real-data.md": 3, "docs/training.md": 2}
# Blocks that another test runs: it reads them out of the page itself.
RUN_BY = {"docs/api.md": "tests/serving/test_documents.py"}
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, its line, its language, the mark above it and what it holds."""

    page: str
    line: int
    kind: str
    mark: str
    text: str

    @property
    def is_code(self) -> bool:
        return self.kind in ("python", "sh", "bash", "py", "shell") or (
            not self.kind and re.match(r"(riskmodel|python|make|pip|git) ", self.text) is not None
        )

    @property
    def runs_here(self) -> bool:
        return self.is_code and not self.mark and self.page not in RUN_BY


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(ROOT).as_posix()
    return [
        Block(
            page, text[: found.start("text")].count("\n"), found["kind"], found["mark"] or "", found["text"]
        )
        for found in BLOCK.finditer(text)
    ]


BLOCKS = [block for path in PAGES for block in blocks_of(path)]
HERE = sorted({block.page for block in BLOCKS if block.runs_here})


@pytest.fixture
def workplace(trained, county_folder, tmp_path, monkeypatch):
    """A copy of a project with a champion and a release; beside it what the documents name: the tables in
    out/county, an extract, folders.
    """
    folder = tmp_path / "project"
    shutil.copytree(
        trained[0].root, folder, ignore=shutil.ignore_patterns("casebook", "release", "keys", "out")
    )
    (folder / "serving" / "trusted_keys.yaml").unlink()
    for name in ("out", "elsewhere"):
        (folder / name).mkdir()
    shutil.copytree(county_folder, folder / "out" / "county")
    import polars as pl

    pl.read_parquet(county_folder / "income.parquet").write_csv(folder / "extract.csv")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RISKMODEL_HOUSEHOLDS_AT_MOST", AT_MOST)
    return folder


def run_python(block: Block, names: dict[str, object]) -> None:
    code = "\n" * block.line + block.text  # lines of a traceback are those of the page
    exec(compile(code, block.page, "exec"), names)


def run_shell(block: Block, command) -> None:
    """Each command of riskmodel in this process, as `main` runs it; nothing else may be in a block that runs
    here.
    """
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[0] in ("riskmodel", ".venv/bin/riskmodel"), f"{block.page}:{block.line}: {line}"
        done = command(*words[1:])
        assert done.returncode == 0, f"{block.page}:{block.line}: {line}\n{done.stdout}{done.stderr}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in HERE if not page.startswith("README")])
def test_the_code_of_a_page_runs_as_written(page, workplace, command):
    names: dict[str, object] = {}
    for block in BLOCKS:
        if block.page == page and block.runs_here:
            if block.kind in ("python", "py"):
                run_python(block, names)
            else:
                run_shell(block, command)


@pytest.mark.timeout(900)
def test_the_python_of_the_readmes_runs_as_written_in_a_new_project(own_project, monkeypatch, capsys):
    """Both hold the same program, but for texts; it is run once."""
    programs = [block for block in BLOCKS if block.page.startswith("README") and block.kind == "python"]
    english, chinese = programs
    plain = [re.sub(r'#.*|because="[^"]*"', "", block.text) for block in programs]
    assert [line.rstrip() for line in plain[0].splitlines()] == [
        line.rstrip() for line in plain[1].splitlines()
    ]
    compile(chinese.text, chinese.page, "exec")
    monkeypatch.chdir(own_project.root)
    monkeypatch.setenv("RISKMODEL_HOUSEHOLDS_AT_MOST", AT_MOST)
    names: dict[str, object] = {}
    run_python(english, names)
    printed = capsys.readouterr().out
    assert "lightgbm_12m" in printed and "核实优先级信号" in printed
    assert len(names["visits"]) > 0


def test_blocks_that_are_not_run_are_marked_with_a_reason_and_listed():
    marked: dict[str, int] = {}
    for block in BLOCKS:
        if block.is_code and block.mark.startswith("not run: "):
            assert len(block.mark) > len("not run: ") + 10, f"{block.page}:{block.line}: say why"
            marked[block.page] = marked.get(block.page, 0) + 1
        assert block.mark in ("", "run by .ci/run") or block.mark.startswith("not run: "), (
            f"{block.page}:{block.line}"
        )
    assert marked == NOT_RUN


def test_blocks_that_something_else_runs_are_run_there():
    for page, test in RUN_BY.items():
        assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for block in BLOCKS:
        if block.mark == "run by .ci/run":
            for line in block.text.splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    shown = words[:3] if words[0].endswith("riskmodel") and words[1] == "keys" else words[:2]
                    assert " ".join(shown) in script, f"{block.page}:{block.line}: {line}"


def test_a_county_of_the_documents_is_bounded_by_the_environment(tmp_path, monkeypatch):
    import polars as pl

    import riskmodel as rm

    monkeypatch.setenv("RISKMODEL_HOUSEHOLDS_AT_MOST", "150")
    folder = rm.synthesise(tmp_path / "c", households=3000, years=1, end="2025-12-31", seed=1)
    assert pl.read_parquet(folder / "households.parquet")["household_id"].n_unique() < 250
    monkeypatch.setenv("RISKMODEL_HOUSEHOLDS_AT_MOST", "few")
    with pytest.raises(
        rm.UserError, match="RISKMODEL_HOUSEHOLDS_AT_MOST: 'few'; expected a number, 100 or more"
    ):
        rm.synthesise(tmp_path / "d", households=3000, years=1, end="2025-12-31", seed=1)


def test_every_public_function_takes_days_as_text_as_date_and_as_time(county):
    import datetime as dt
    import inspect

    import riskmodel as rm
    from riskmodel.calendar import day
    from riskmodel.screening.scoring import ScreeningModel
    from riskmodel.tables import Tables

    for name in rm.__all__:
        thing = getattr(rm, name)
        for parameter in inspect.signature(thing).parameters.values() if inspect.isfunction(thing) else ():
            if parameter.name in ("as_of", "since", "until", "end") and parameter.annotation != "int":
                assert "str" in str(parameter.annotation), f"{name}({parameter.name})"
    for method in (ScreeningModel.score, Tables.known_by):
        assert "str" in str(inspect.signature(method).parameters["as_of"].annotation)
    written = [day("2025-12-31"), day(dt.date(2025, 12, 31)), day(dt.datetime(2025, 12, 31, 23, 59))]
    assert set(written) == {dt.date(2025, 12, 31)} and type(written[2]) is dt.date
    assert (
        county.known_by("2025-06-30")
        .get("income")
        .equals(county.known_by(written[0].replace(month=6, day=30)).get("income"))
    )
    for wrong in ("31.12.2025", "2025-13-01", 20251231):
        with pytest.raises(rm.UserError, match=r"expected a date such as 2025-12-31"):
            day(wrong)
