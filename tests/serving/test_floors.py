"""No version that may serve is below its floor: locked, declared, installed; and what the interpreter's
faults need is not used.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from riskmodel.serving.floors import INTERPRETERS, PACKAGES, below, parts

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def locked(name):
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return {
        found[0].lower().replace("_", "-"): found[1]
        for found in re.findall(r"^([A-Za-z0-9_.-]+)==([\w.]+)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("name", ["serve.txt", "train.txt", "dev.txt"])
def test_every_locked_version_is_at_or_above_its_floor(name):
    versions = locked(name)
    wrong = {
        one: versions[one]
        for one, floor in PACKAGES.items()
        if one in versions and parts(versions[one]) < parts(floor.least)
    }
    assert wrong == {}


def test_a_floor_is_of_a_package_that_serves():
    assert set(PACKAGES) <= set(locked("serve.txt"))


def test_what_is_installed_here_is_at_or_above_its_floor():
    assert [fault for fault in below() if fault.where != "Python"] == []


def test_an_interpreter_and_a_package_below_their_floors_are_named_with_both_versions():
    old = below((3, 11, 7), lambda name: "3.9.14" if name == "orjson" else "99.0")
    assert [(fault.where, fault.found, fault.expected) for fault in old] == [
        ("Python", "3.11.7", "at least 3.11.10"),
        ("orjson", "3.9.14", "at least 3.9.15"),
    ]
    assert below((3, 12, 6), lambda _: "99.0") == below((3, 13, 0), lambda _: "99.0") == []


def test_every_interpreter_that_may_serve_has_a_floor():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    assert declared == ">=3.11,<3.14" and set(INTERPRETERS) == {(3, 11), (3, 12), (3, 13)}


def test_versions_are_compared_as_numbers():
    assert parts("3.11.10") > parts("3.11.9") > parts("3.11") and parts("1.4.39") > parts("1.4.9")
    assert parts("2.0rc1") == (2, 0) and parts("46.0.0.dev1") == (46, 0, 0)


def test_the_package_does_not_use_what_is_faulty_in_an_interpreter_that_may_serve():
    """CVE-2024-7592: `http.cookies` takes time with the square of a header before 3.11.10 and 3.12.6."""
    using = []
    for path in (ROOT / "src" / "riskmodel").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            using += [f"{path.name}: {name}" for name in names if name.startswith("http.cookies")]
    assert using == []


def test_the_page_for_operators_has_every_floor():
    for name, floor in PACKAGES.items():
        assert f"| `{name}` | {floor.least} |" in PAGE, name
    for (major, minor), floor in INTERPRETERS.items():
        assert f"| Python {major}.{minor} | {floor.least} |" in PAGE
