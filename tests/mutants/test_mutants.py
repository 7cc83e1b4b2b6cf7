"""A sample of small faults in the rooms that decide, drawn by a fixed seed: the nearest tests notice nine of ten (`make mutants` tries all)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.timeout(900)
def test_nine_of_ten_small_faults_are_noticed():
    # The rooms whose tests were measured to notice nine of ten. Not there yet: list, returns, gate, exits (`make mutants ROOM=…`).
    rooms = ["features", "labels", "cohorts", "folds", "leads"]
    command = [sys.executable, str(HERE / "run.py"), *rooms, "--sample", "16", "--seed", "20261130"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=880, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of 16" in done.stdout


def test_every_argued_mutant_names_a_line_that_is_still_there():
    sys.path.insert(0, str(HERE))
    try:
        import run
    finally:
        sys.path.remove(str(HERE))
    argued = run.equivalents()
    gone = [
        f"{file}: {was}"
        for file, was, _ in argued
        if was
        not in {
            line.strip() for line in (run.ROOT / run.SOURCE / file).read_text(encoding="utf-8").splitlines()
        }
    ]
    assert not gone, "take these out of equivalent.yaml, or write them anew"
    assert all(len(why) > 20 for why in argued.values())
