"""Tests see what git tracks, whatever was run in the folder before: `make demo` and `make serve`, then `make
test`, in one clone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_BEHIND = {
    "serving/trusted_keys.yaml": 'k0123456789abcdef: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="\n',
    "keys/release.pem": "-----BEGIN PRIVATE KEY-----\n",
    "release/current": "lightgbm-2025-12-31",
    "casebook/casebook.db": "",
    "out/list.csv": "household_id\n",
    "mlruns/mlflow.db": "",
    "features/own/mine.py": "def mine(household, when):\n  return undefined_name\n",
    "training/plans/mine.yaml": "learner: nonsense\n",
}


@pytest.fixture(scope="module")
def used_clone(checkout, tmp_path_factory):
    """A clone in which the demo was run, and an own feature and an own plan were begun."""
    clone = tmp_path_factory.mktemp("used") / "riskmodel"
    shutil.copytree(checkout, clone)
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"],
    ):
        subprocess.run(["git", "-C", clone, *command], check=True)
    for name, text in LEFT_BEHIND.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text)
    return clone


def test_the_tests_of_a_used_clone_see_nothing_of_what_was_left_in_it(used_clone, tmp_path):
    """A test of its own, run there by pytest: the project of the tests holds no file that git does not
    track.
    """
    (used_clone / "tests" / "test_probe.py").write_text(
        "def test_probe(project, own_project):\n"
        f"    left = {sorted(LEFT_BEHIND)!r}\n"
        "    assert [name for name in left if (project.root / name).exists()] == []\n"
        "    assert [name for name in left if (own_project.root / name).exists()] == []\n"
        "    assert (project.root / 'features' / 'catalogue.yaml').is_file()\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/test_probe.py",
            f"--basetemp={tmp_path / 't'}",
        ],
        cwd=used_clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_lint_looks_at_tracked_files_only(used_clone):
    """An own feature that is half written is its author's business."""
    shown = subprocess.run(
        ["make", "-n", "lint"], cwd=used_clone, capture_output=True, text=True, check=True
    ).stdout
    line = next(line for line in shown.splitlines() if "ruff check" in line)
    files = subprocess.run(
        ["bash", "-c", f"echo {line}"], cwd=used_clone, capture_output=True, text=True, check=True
    ).stdout
    assert "src/riskmodel/cli.py" in files and "features/own/mine.py" not in files


def test_ci_runs_the_commands_of_the_readme_in_its_order_in_one_clone():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    places = [script.index(part) for part in ("make demo", "make test", "make serve", "/readyz")]
    assert places == sorted(places)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.index("make demo") < readme.index("make test") < readme.index("make serve")
