"""Feature functions of a project's own: `features/own/<family>.py`, compiled by the same kernel, in force as
if they were the package's.

A file there holds imports of listed names from `riskmodel.features` and functions of loops, `if` and
arithmetic, and nothing else: what is not on
a list here is refused, so that reading a file runs nothing and a function reaches rows only. It is found
through the project, belongs to the
catalogue that the project loads, and goes into its hash and into every release.

The lists keep mistakes out, and make tampering visible. They are no wall around strangers' code: whoever can
write into a project folder can
change what the service computes, and is trusted like whoever installs the package.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import linecache
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Final

from riskmodel.errors import Fault, ProjectError
from riskmodel.features import common, neighbours, rows
from riskmodel.features.families import ARGUMENTS, FAMILIES, functions_of
from riskmodel.features.rows import SHAPES
from riskmodel.policy import DAYS, NUMBERS
from riskmodel.project import Project

OWN_FOLDER: Final = "features/own"
# What a function may call beside helpers: no text, no files, nothing that rounds otherwise on another
# machine.
_ARITHMETIC: Final = frozenset({"abs", "float", "int", "len", "max", "min", "range"})
# Permitted attribute names: columns, policy values, the clock, counts of neighbours.
_AFTER_A_DOT: Final = frozenset(
    [
        *(field for shape in SHAPES.values() for field in shape.names or ()),
        *NUMBERS,
        *DAYS,
        *common.When._fields,
        *functions_of(neighbours),
    ]
)
# Names that annotations may use beside what is imported, and the parts of which a function is made.
_TYPES: Final = frozenset({"bool", "float", "int"})
_PARTS: Final = (
    ast.arguments,
    ast.arg,
    ast.Return,
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.For,
    ast.While,
    ast.If,
    ast.Break,
    ast.Continue,
    ast.Pass,
    ast.Expr,
    ast.BoolOp,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.IfExp,
    ast.Call,
    ast.keyword,
    ast.Name,
    ast.Constant,
    ast.Attribute,
    ast.Subscript,
    ast.Slice,
    ast.Tuple,
    ast.expr_context,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
)
_MODULES: Final[Mapping[str, ModuleType]] = {"common": common, "rows": rows, **FAMILIES}


def importable(module: ModuleType) -> frozenset[str]:
    """Names that an own file may import from a module of the package: its functions, the kinds of rows,
    numbers in capitals."""
    found = set(functions_of(module))
    for name, value in vars(module).items():
        if name in ("Row", "Rows", "When") or (name.isupper() and type(value) in (int, float)):
            found.add(name)
    return frozenset(name for name in found if not _dunder(name))


def _dunder(name: str) -> bool:
    return name.startswith("__") or name.endswith("__")


@dataclass(frozen=True)
class OwnFunctions:
    """The text of each file by its family, sorted. Make it with `load_own`."""

    files: tuple[tuple[str, str], ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of the files' contents; empty without files."""
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
        module.__dict__["__builtins__"] = _BUILTINS
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


def _import(name: str, *_: object) -> ModuleType:
    """What `import` does in an own file: modules of the package's features, and no others. Raises
    ImportError."""
    if name != "__future__" and name.removeprefix("riskmodel.features.") not in _MODULES:
        raise ImportError(f"{name} is not imported here")
    return importlib.import_module(name)


_BUILTINS: Final = {name: getattr(builtins, name) for name in _ARITHMETIC | _TYPES} | {"__import__": _import}


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
            yield from _faults_of_import(statement, at)
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
    inside = {argument.arg for argument in ast.walk(arguments) if isinstance(argument, ast.arg)}
    inside |= {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    words = {id(node.value) for node in function.body[:1] if isinstance(node, ast.Expr)}  # the docstring
    annotations = {id(node) for node in _annotations(function)}
    for node in ast.walk(function):
        if node is not function:
            line = f"{where}:{getattr(node, 'lineno', function.lineno)} ({function.name})"
            fault = _fault_of_part(node, known, inside, words | annotations)
            if fault is not None:
                yield Fault(line, *fault)


def _faults_of_import(statement: ast.ImportFrom, at: str) -> Iterator[Fault]:
    """What is wrong with an import: another module, a name that is not listed, a renaming."""
    module = statement.module or ""
    source = module.removeprefix("riskmodel.features.")
    if module != "__future__" and (statement.level or source == module or source not in _MODULES):
        remedy = "Write what the function needs into this file."
        yield Fault(at, f"imports from {module}", "imports from riskmodel.features only", remedy)
        allowed = None
    else:
        allowed = frozenset({"annotations"}) if module == "__future__" else importable(_MODULES[source])
    for alias in statement.names:
        if alias.asname or alias.name == "*":
            yield Fault(
                at, f"`{ast.unparse(alias)}`", "names as they are", "Import each name as it is called."
            )
        elif allowed is not None and alias.name not in allowed:
            yield Fault(
                at,
                f"imports {alias.name} from {module}",
                "a function, a constant or a kind of rows",
                "Correct the import.",
            )


def _annotations(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """The annotations of arguments, of the result and of variables."""
    for node in ast.walk(function):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if part is not None:
                yield part


def _fault_of_part(
    node: ast.AST, known: frozenset[str], inside: set[str], passed: set[int]
) -> tuple[str, str, str] | None:
    """(found, expected, remedy) of one part of a function that is on no list; None: it may be there.

    known: names that may be called. inside: arguments and variables. passed: docstring and annotations,
    by identity.
    """
    shown = ast.unparse(node)[:60] if isinstance(node, (ast.expr, ast.stmt)) else type(node).__name__
    if isinstance(node, ast.FunctionDef):
        return f"`{node.name}` inside a function", "functions side by side", "Move it out."
    if not isinstance(node, _PARTS):
        return f"`{shown}`", "loops, `if` and arithmetic", "It is compiled: keep it plain."
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in known):
        expected = f"{', '.join(sorted(_ARITHMETIC))}, an imported helper or a function of this file"
        return f"calls `{ast.unparse(node.func)}`", expected, "Write it with loops, `if` and arithmetic."
    if isinstance(node, (ast.Name, ast.arg, ast.keyword)):
        name = node.id if isinstance(node, ast.Name) else node.arg
        if (
            name is None
            or _dunder(name)
            or (isinstance(node, ast.Name) and name not in known | inside | _TYPES)
        ):
            return (
                f"the name `{name}`",
                "an argument, a variable, or what is imported or defined in this file",
                "Correct the name.",
            )
    if isinstance(node, ast.Attribute):
        base = node.value
        while isinstance(base, (ast.Subscript, ast.Attribute)):
            base = base.value
        if node.attr not in _AFTER_A_DOT or not (isinstance(base, ast.Name) and base.id in inside):
            expected = (
                "a column of docs/data-contract.md that a feature may read, a policy value or a "
                "part of `when`"
            )
            return f"`{shown}`", expected, "Correct the name."
    if (
        isinstance(node, ast.Constant)
        and id(node) not in passed
        and type(node.value) not in (bool, float, int)
    ):
        return f"`{shown}`", "numbers, True and False", "Take it away: a function holds no text."
    return None
