"""What is installed: the base package imports nothing that it does not depend on, and a missing extra is
named in one line.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Where no extra is installed, these modules are not there for the interpreter that runs the code.
WITHOUT_EXTRAS = """
import importlib.abc, sys
absent = set({absent!r})

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in absent:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Absent())
"""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: list[str]) -> set[str]:
    """Distributions that these requirements bring, their own requirements included (here, on this
    interpreter).
    """
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = [(Requirement(text), frozenset()) for text in requirements]
    while waiting:
        requirement, extras = waiting.pop()
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            continue
        name = plain(requirement.name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        if name in found and not requirement.extras:
            continue
        found.add(name)
        waiting += [(Requirement(text), frozenset(requirement.extras | {""})) for text in needs]
    return found


@pytest.fixture(scope="module")
def absent() -> list[str]:
    """Top-level modules of this environment that a base installation would not have."""
    base = closure(PROJECT["dependencies"]) | {"relapse-riskmodel", "pip", "setuptools"}
    return sorted(
        module
        for module, owners in metadata.packages_distributions().items()
        if not {plain(name) for name in owners} & base
    )


def without_extras(absent: list[str], code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    program = WITHOUT_EXTRAS.format(absent=absent) + code
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_extras_are_what_a_base_installation_lacks(absent):
    assert {"mlflow", "shap", "sklearn", "optuna", "matplotlib", "weasyprint", "pytest"} <= set(absent)
    assert not {"anyio", "jinja2", "scipy", "uvicorn", "numpy"} & set(absent)


def test_every_module_of_the_package_can_be_imported_without_extras(absent):
    code = """
import pkgutil, importlib, riskmodel
for module in pkgutil.walk_packages(riskmodel.__path__, 'riskmodel.'):
    if '.migrations.' not in module.name:  # Alembic runs those
        importlib.import_module(module.name)
import riskmodel.workflow as w
print('all')
"""
    done = without_extras(absent, code)
    assert done.stdout == "all\n", done.stderr[-2000:]


def test_every_import_of_the_package_is_a_dependency_or_in_an_extra_that_the_command_line_names():
    from riskmodel.cli import EXTRAS

    owners = metadata.packages_distributions()
    declared = {plain(re.split(r"[\[<>=!~ ;]", text)[0]) for text in PROJECT["dependencies"]}
    for extra in PROJECT["optional-dependencies"].values():
        declared |= {plain(re.split(r"[\[<>=!~ ;]", text)[0]) for text in extra}
    undeclared = {}
    for path in (ROOT / "src" / "riskmodel").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in (
                {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"riskmodel"}
            ):
                if not {plain(owner) for owner in owners.get(name, [])} & declared:
                    undeclared.setdefault(name, path.relative_to(ROOT).as_posix())
    assert undeclared == {}
    extra_of = {module: extra for extra, modules in EXTRAS.items() for module in modules}
    for extra, requirements in PROJECT["optional-dependencies"].items():
        for text in requirements:
            distribution = plain(re.split(r"[\[<>=!~ ;]", text)[0])
            modules = [name for name, names in owners.items() if distribution in map(plain, names)]
            assert any(extra_of.get(name) == extra for name in modules), (
                f"{distribution}: EXTRAS of the command line lacks it"
            )


COMMAND = "sys.argv[0] = 'riskmodel'\nfrom riskmodel.cli import main\nmain()\n"


def test_a_command_whose_extra_is_missing_says_in_one_line_which_one_to_install(
    absent, county_folder, checkout, tmp_path
):
    for command in (
        ("train", "income_rule", "--tables", county_folder, "--project", checkout),
        ("check", county_folder, "--report", tmp_path / "r.html"),
    ):
        done = without_extras(absent, COMMAND, *command)
        assert done.returncode == 1, done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("riskmodel: ") and last.endswith(
            "Install it: pip install 'relapse-riskmodel[train]'."
        )
        assert "Traceback" not in done.stderr


def test_the_base_installation_checks_tables_and_makes_keys(absent, county_folder, checkout, tmp_path):
    import riskmodel as rm

    project = rm.init_project(tmp_path / "project", project=checkout)
    for command in (
        ("check", county_folder),
        ("keys", "list", "--project", project),
        ("recall", "--project", project),
    ):
        done = without_extras(absent, COMMAND, *command)
        assert done.returncode == 0, done.stderr[-1500:]


def test_the_last_words_of_the_demo_fit_how_it_was_started(checkout, tmp_path, monkeypatch):
    import riskmodel as rm
    from riskmodel.demo import next_steps
    from riskmodel.project import Project

    project = Project.find(checkout)
    monkeypatch.setenv("MAKELEVEL", "1")
    by_make = next_steps(project, "522301")
    assert (
        "make serve" in by_make
        and ".venv/bin/riskmodel keys add" in by_make
        and "make demo TABLES=folder" in by_make
    )

    own = Project.find(rm.init_project(tmp_path / "my project", project=project))
    program = tmp_path / "bin" / "riskmodel"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.chdir(tmp_path)
    elsewhere = next_steps(own, "522301")
    assert f"riskmodel serve --project '{own.root}'" in elsewhere and "make" not in elsewhere.replace(
        "make a key", ""
    )
    monkeypatch.chdir(own.root)
    assert next_steps(own, "522301").splitlines()[-1] == "  riskmodel serve"
    monkeypatch.setenv("PATH", "/nowhere")
    assert next_steps(own, "522301").splitlines()[-1] == f"  {program} serve"
