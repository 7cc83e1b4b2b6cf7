"""Compiled functions on disk: the next start loads them, and what no longer fits is compiled anew."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from riskmodel import compiled

KERNEL = """
from typing import NamedTuple
import numba
from riskmodel.compiled import kept

class Amounts(NamedTuple):
    first: float
    second: float

@kept
@numba.njit
def total(amounts):
    return amounts.first + amounts.second

print(total(Amounts(1.5, 2.0)), sum(total.stats.cache_hits.values()))
"""


def printed(folder):
    """What the module prints: the sum of two amounts, and how many compiled functions came from the disk."""
    command = [sys.executable, "-c", "import kernel"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "kept")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_record_that_was_renamed_since_is_compiled_anew_and_kept(tmp_path):
    """numba's own cache fails on it: its index names a class that is no longer there."""
    (tmp_path / "kernel.py").write_text(KERNEL, encoding="utf-8")
    assert printed(tmp_path) == ["3.5", "0"]
    assert printed(tmp_path) == ["3.5", "1"]
    (tmp_path / "kernel.py").write_text(KERNEL.replace("Amounts", "Sums"), encoding="utf-8")
    assert printed(tmp_path) == ["3.5", "0"]
    assert printed(tmp_path) == ["3.5", "1"]


def test_a_function_that_can_be_kept_nowhere_is_an_error_that_names_the_function(monkeypatch):
    """The command line turns it into a line that names NUMBA_CACHE_DIR."""

    def nowhere(function):
        raise RuntimeError(f"cannot cache function {function.__name__!r}: no locator available")

    monkeypatch.setattr(compiled, "_disk", lambda: nowhere)
    with pytest.raises(RuntimeError, match="'total'"):
        compiled.kept(SimpleNamespace(py_func=total))
    assert compiled.compiled(total)(1.5, 2.0) == 3.5  # what scores a household works all the same


def total(first, second):
    return first + second
