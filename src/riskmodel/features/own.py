"""Feature functions of a project's own: `features/own/<family>.py`, compiled by the same kernel, in force as if they were the package's.

A file there holds imports from `riskmodel.features` and functions, and nothing else: reading it runs nothing. It is found through the project,
belongs to the catalogue that the project loads, and goes into its hash and into every release.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Final

from riskmodel.errors import Fault, ProjectError
from riskmodel.features import common, neighbours
from riskmodel.features.families import ARGUMENTS, FAMILIES, functions_of
from riskmodel.features.rows import SHAPES
from riskmodel.policy import DAYS, NUMBERS
from riskmodel.project import Project

OWN_FOLDER: Final = "features/own"
# What a function may call beside helpers: no text, no files, nothing that rounds otherwise on another machine.
_ARITHMETIC: Final = frozenset({"abs", "float", "int", "len", "max", "min", "range"})
# What may stand after a dot: columns, policy values, the clock, counts of neighbours.
_AFTER_A_DOT: Final = frozenset(
    [
        *(field for shape in SHAPES.values() for field in shape.names or ()),
        *NUMBERS,
        *DAYS,
        *common.When._fields,
        *functions_of(neighbours),
    ]
)


@dataclass(frozen=True)
class OwnFunctions:
    """The text of each file by its family, sorted. Make it with `load_own`."""

    files: tuple[tuple[str, str], ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of what the files say; empty without files."""
        return hashlib.sha256(repr(self.files).encode()).hexdigest() if self.files else ""


NOTHING_OWN: Final = OwnFunctions()


def load_own(project: Project) -> OwnFunctions:
    """The project's own feature functions. Raises ProjectError with file:line: all faults at once."""
    paths = sorted((project.root / OWN_FOLDER).glob("*.py"))
    files, faults = [], []
    taken = _package_names()
    for path in paths:
        where = path.relative_to(project.root).as_posix()
        text = path.read_text(encoding="utf-8", errors="replace")
        found = list(_faults_of(path.stem, text, where, taken))
        faults += found
        files.append((path.stem, text))
    if faults:
        raise ProjectError(faults)
    own = OwnFunctions(tuple(files))
    own_modules(own)
    return own


@lru_cache(maxsize=8)
def own_modules(own: OwnFunctions) -> Mapping[str, ModuleType]:
    """The functions as modules, by family. Raises ProjectError for an import that is not there."""
    modules = {}
    for family, text in own.files:
        name = f"riskmodel_own_{family}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        shown = f"<{OWN_FOLDER}/{family}.py as {name}>"
        module = ModuleType(name)
        linecache.cache[shown] = (
            len(text),
            None,
            text.splitlines(keepends=True),
            shown,
        )  # where `inspect` finds the source
        try:
            exec(compile(text, shown, "exec"), module.__dict__)
        except ImportError as error:
            expected = "a name of riskmodel.features.common, .rows or a family's module"
            raise ProjectError(
                Fault(f"{OWN_FOLDER}/{family}.py", str(error), expected, "Correct the import.")
            ) from None
        modules[family] = module
    return modules


def _package_names() -> dict[str, str]:
    """Names of features and helpers that the package has already, each with the module that holds it."""
    modules = (common, *FAMILIES.values())
    return {name: module.__name__ for module in modules for name in functions_of(module)}


def _faults_of(family: str, text: str, where: str, taken: dict[str, str]) -> Iterator[Fault]:
    """What is wrong with one file. Names that it defines are added to `taken`."""
    if family not in FAMILIES:
        yield Fault(
            where,
            f"no family `{family}`",
            f"a file named after one of {', '.join(FAMILIES)}",
            "Rename the file.",
        )
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield Fault(f"{where}:{error.lineno}", str(error.msg), "Python", "Mend the line.")
        return
    functions = [statement for statement in tree.body if isinstance(statement, ast.FunctionDef)]
    imported = {alias.name for item in tree.body if isinstance(item, ast.ImportFrom) for alias in item.names}
    known = _ARITHMETIC | imported | {function.name for function in functions}
    for place, statement in enumerate(tree.body):
        at = f"{where}:{statement.lineno}"
        if isinstance(statement, ast.FunctionDef):
            yield from _faults_of_function(statement, where, known)
            if statement.name in taken:
                yield Fault(
                    at,
                    f"`{statement.name}` is a name of {taken[statement.name]}",
                    "a new name",
                    "Rename the function.",
                )
            taken[statement.name] = where
        elif isinstance(statement, ast.ImportFrom):
            source = (statement.module or "").removeprefix("riskmodel.features.")
            if statement.module != "__future__" and (
                statement.level or source not in ("common", "rows", *FAMILIES)
            ):
                remedy = "Write what the function needs into this file."
                yield Fault(
                    at, f"imports from {statement.module}", "imports from riskmodel.features only", remedy
                )
            for alias in statement.names:
                if alias.asname or alias.name == "*":
                    yield Fault(
                        at,
                        f"`{ast.unparse(alias)}`",
                        "names as they are",
                        "Import each name as it is called.",
                    )
        elif not (
            place == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        ):
            remedy = "Put it into a function; a figure with legal meaning belongs into features/policy/."
            yield Fault(at, f"`{ast.unparse(statement)[:60]}`", "imports and functions, nothing else", remedy)


def _faults_of_function(function: ast.FunctionDef, where: str, known: frozenset[str]) -> Iterator[Fault]:
    at = f"{where}:{function.lineno} ({function.name})"
    arguments = function.args
    if (
        function.decorator_list
        or arguments.defaults
        or arguments.vararg
        or arguments.kwarg
        or arguments.kwonlyargs
    ):
        remedy = "Take away decorators, defaults and stars."
        yield Fault(at, "more than arguments and a body", "a plain function", remedy)
    if ast.get_docstring(function) is None:
        yield Fault(
            at,
            "no docstring",
            "its formula in words, which people are shown",
            "Write it below the first line.",
        )
    if not function.name.startswith("_"):
        for argument in arguments.args:
            if argument.arg not in ARGUMENTS:
                remedy = "Name what it reads."
                yield Fault(at, f"argument `{argument.arg}`", f"one of {', '.join(ARGUMENTS)}", remedy)
    for node in ast.walk(function):
        line = f"{where}:{getattr(node, 'lineno', function.lineno)} ({function.name})"
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in known:
                expected = f"{', '.join(sorted(_ARITHMETIC))}, an imported helper or a function of this file"
                yield Fault(
                    line,
                    f"calls `{ast.unparse(node.func)}`",
                    expected,
                    "Write it with loops, `if` and arithmetic.",
                )
        elif isinstance(
            node,
            (
                ast.Import,
                ast.ImportFrom,
                ast.Global,
                ast.Lambda,
                ast.ListComp,
                ast.Try,
                ast.With,
                ast.ClassDef,
            ),
        ):
            yield Fault(
                line,
                f"`{ast.unparse(node)[:60]}`",
                "loops, `if` and arithmetic",
                "It is compiled: keep it plain.",
            )
        elif isinstance(node, ast.Attribute) and node.attr not in _AFTER_A_DOT:
            expected = "a column of docs/data-contract.md that a feature may read, a policy value or a part of `when`"
            yield Fault(line, f"`{ast.unparse(node)[:60]}`", expected, "Correct the name.")
        elif isinstance(node, ast.FunctionDef) and node is not function:
            yield Fault(line, f"`{node.name}` inside a function", "functions side by side", "Move it out.")
