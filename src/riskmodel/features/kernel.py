"""The kernel: all feature functions, compiled into one function over households.

Feature functions are plain Python (`income.py`, `illness.py`, …): each names the rows it wants as arguments and returns one number. Here their
source is put into one generated module, with a driver that cuts each household's rows at T once and calls them all; numba compiles it. A sum
that several features ask for in the same words (`gross_income(income, when.first[12], when.first[0])`) is made once a household. The
generated file is named by the hash of everything in it, so that a changed function is always compiled anew (numba itself does
not notice a changed callee), and the compiled code is kept beside it; the two kernels last used stay, older ones are removed.

Where: RISKMODEL_CACHE, else `~/.cache/riskmodel`, else a temporary folder. No fastmath: sums keep their order, and the same rows give
the same bits on any machine.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import hashlib
import importlib.util
import inspect
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from riskmodel.features import (
    area,
    assets,
    assistance,
    common,
    disability,
    employment,
    expenditure,
    freshness,
    guarantees,
    history,
    household,
    illness,
    income,
    neighbours,
    rows,
    rules,
    shocks,
)
from riskmodel.features.rows import ALL_VERSIONS, LAST_12_MONTHS, OF_HOUSEHOLD, OF_PERSON, TABLE_NAMES
from riskmodel.policy import DAYS, NUMBERS

FAMILIES: Final[Mapping[str, ModuleType]] = {
    "income": income,
    "expenditure": expenditure,
    "illness": illness,
    "disability": disability,
    "household": household,
    "guarantees": guarantees,
    "shocks": shocks,
    "employment": employment,
    "assistance": assistance,
    "history": history,
    "area": area,
    "freshness": freshness,
    "assets": assets,
    "rules": rules,
}
# What a feature function may name as an argument, beside the tables.
GIVEN: Final = ("household", "village", "township", "county", "policy", "when")
POLICY_SHAPE: Final = np.dtype([(name, "f8") for name in NUMBERS] + [(name, "i4") for name in DAYS], align=True)


@dataclass(frozen=True)
class Definition:
    """One feature (or count of neighbours): the function that makes it and the tables it reads."""

    name: str
    family: str
    function: Callable[..., float]
    takes: tuple[str, ...]

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables whose absence makes the value unknown, in the contract's names."""
        named = dict.fromkeys((LAST_12_MONTHS | ALL_VERSIONS).get(name, name) for name in self.takes)
        return tuple(name for name in named if name in TABLE_NAMES)

    @property
    def reads(self) -> set[str]:
        """What has to be cut for it: tables, their rows of the last 12 months, all versions of the members."""
        return set(self.tables) | (set(self.takes) & set(LAST_12_MONTHS | ALL_VERSIONS))

    @property
    def formula(self) -> str:
        return inspect.getdoc(self.function) or ""


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Functions that a module defines itself, in the order of its lines."""
    own = {
        name: value for name, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == module.__name__
    }
    return dict(sorted(own.items(), key=lambda item: item[1].__code__.co_firstlineno))


@lru_cache(maxsize=1)
def definitions() -> dict[str, Definition]:
    """All features by name: the public functions of the family modules."""
    found: dict[str, Definition] = {}
    for family, module in FAMILIES.items():
        for name, function in _functions(module).items():
            if not name.startswith("_"):
                assert name not in found, f"two features are called {name}"
                found[name] = Definition(name, family, function, tuple(inspect.signature(function).parameters))
    return found


@lru_cache(maxsize=64)
def of_area(names: tuple[str, ...]) -> bool:
    """Whether one of these features asks for the counts of neighbours."""
    return any({"village", "township", "county"} & set(definitions()[name].takes) for name in names)


@lru_cache(maxsize=1)
def counts() -> dict[str, Definition]:
    """What is counted about the households of an area: the public functions of `neighbours.py`."""
    return {
        name: Definition(name, "neighbours", function, tuple(inspect.signature(function).parameters))
        for name, function in _functions(neighbours).items()
        if not name.startswith("_")
    }


# ------------------------------------------------------------------------------------------------------------------------------


# Rows are read and never kept: nothing is allocated inside, so the compiler need not count references to the arrays.
_NJIT: Final = "@njit(error_model='numpy', no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)"


def _parsed(function: Callable[..., Any]) -> ast.FunctionDef:
    """One function without annotations and docstring."""
    definition = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.returns = None
    for argument in definition.args.args:
        argument.annotation = None
    if ast.get_docstring(definition) is not None:
        definition.body = definition.body[1:]
    return definition


def _compiled(definition: ast.FunctionDef) -> str:
    """Its source, marked for the compiler."""
    return f"{_NJIT}\n{ast.unparse(definition)}\n"


class _Unfold(ast.NodeTransformer):
    """Puts the formula of a helper that is a single expression in place of the call: what is shared inside comes to light."""

    def __init__(self, helpers: Mapping[str, ast.FunctionDef]) -> None:
        self._helpers = helpers

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        helper = self._helpers.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if helper is None or len(helper.body) > 1 or not isinstance(helper.body[0], ast.Return):
            return node
        formula = copy.deepcopy(helper.body[0].value)
        assert formula is not None
        given = {argument.arg: value for argument, value in zip(helper.args.args, node.args, strict=True)}
        unfolded: ast.expr = self.visit(_Put(given).visit(formula))
        return unfolded


class _Put(ast.NodeTransformer):
    """Puts expressions in place of names."""

    def __init__(self, given: Mapping[str, ast.expr]) -> None:
        self._given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self._given[node.id]) if node.id in self._given else node


class _Share(ast.NodeTransformer):
    """Puts names in place of calls of helpers that say the same for the whole household; without `names`, counts them."""

    def __init__(self, helpers: Mapping[str, ast.FunctionDef], names: Mapping[str, str] | None = None) -> None:
        self._helpers, self._names, self.found = helpers, names, Counter[str]()
        self.used: list[str] = []
        self._fixed: set[str] = set()

    def of(self, definition: ast.FunctionDef) -> ast.FunctionDef:
        written = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        self._fixed = {argument.arg for argument in definition.args.args} - written
        self.used = []
        changed: ast.FunctionDef = self.visit(definition)
        read = {node.id for node in ast.walk(changed) if isinstance(node, ast.Name)}
        changed.args.args = [argument for argument in changed.args.args if argument.arg in read]
        changed.args.args += [ast.arg(name) for name in self.used]
        return changed

    def visit_Call(self, node: ast.Call) -> ast.expr:
        text = ast.unparse(node)
        if isinstance(node.func, ast.Name) and node.func.id in self._helpers and all(map(self._is_fixed, node.args)):
            self.found[text] += 1
            if self._names is not None and text in self._names:
                if self._names[text] not in self.used:
                    self.used.append(self._names[text])
                return ast.Name(self._names[text], ast.Load())
        self.generic_visit(node)
        return node

    def _is_fixed(self, value: ast.expr) -> bool:
        """The same wherever it stands in this household: made of what the kernel gives, codes and numbers."""
        names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
        return all(name in self._fixed or name.isupper() or name in self._helpers for name in names)


def _sharing(features: Mapping[str, Definition], helpers: Mapping[str, ast.FunctionDef]) -> tuple[dict[str, str], dict[str, Any]]:
    """What is made once a household, by its text, and each feature's function rewritten to be given it, with its arguments."""
    unfolded = {name: _Unfold(helpers).visit(_parsed(one.function)) for name, one in features.items()}
    count = _Share(helpers)
    for definition in unfolded.values():
        count.of(copy.deepcopy(definition))
    names = {text: f"shared_{place}" for place, text in enumerate(text for text, times in count.found.items() if times > 1)}
    share = _Share(helpers, names)
    return names, {name: share.of(definition) for name, definition in unfolded.items()}


def _arguments() -> list[str]:
    names = []
    for table in ("households", "members", *OF_HOUSEHOLD, *OF_PERSON, "area_shocks"):
        names += [f"{table}_rows", f"{table}_starts"]
    return names


def _cuts(wanted: set[str]) -> list[str]:
    """Lines that cut one household's rows at T into scratch space."""
    lines = [
        "household = one_in_force(households_rows, households_starts[h], households_starts[h + 1], as_of)",
        "found = cut_members(members_rows, members_starts[h], members_starts[h + 1], as_of, members_scratch)",
        "members = members_scratch[:found]",
    ]
    if "member_versions" in wanted:
        lines += [
            "found = cut_versions(members_rows, members_starts[h], members_starts[h + 1], as_of, member_versions_scratch)",
            "member_versions = member_versions_scratch[:found]",
        ]
    for table in OF_HOUSEHOLD:
        if table not in wanted:
            continue
        cut = f"cut({table}_rows, {table}_starts[h], {table}_starts[h + 1], as_of, {table}_scratch, 0)"
        if table == "shocks":
            lines.append(f"found = {cut}")
            lines += [
                f"found = cut_area(area_shocks_rows, area_shocks_starts, household.{scope}_events, as_of, shocks_scratch, found)"
                for scope in ("village", "township", "county")
            ]
            lines.append("shocks = shocks_scratch[:found]")
        elif table == "assets":
            lines.append(
                "authorised = is_authorised(authorisations_rows, authorisations_starts[h], authorisations_starts[h + 1], as_of)"
            )
            lines.append(f"found = {cut}")
            lines.append("assets = assets_scratch[:found]")
        else:
            lines.append(f"{table} = {table}_scratch[:{cut}]")
    lines += [
        f"{table} = {table}_scratch[:cut_{table}({table}_rows, {table}_starts, members, as_of, {table}_scratch)]"
        for table in OF_PERSON
        if table in wanted
    ]
    lines += [
        f"{name} = {name}_scratch[:cut_window({table}, back[12], as_of, {name}_scratch)]"
        for name, table in LAST_12_MONTHS.items()
        if name in wanted
    ]
    return lines


def _condition(definition: Definition) -> str:
    places = [f"present[{TABLE_NAMES.index(table)}]" for table in definition.tables if table not in ("households", "members")]
    if "assets" in definition.takes:
        places.append("authorised")
    return " and ".join(places) or "True"


def source(only: tuple[str, ...] = ()) -> str:
    """The generated module, as text; with `only`, for these features and no others."""
    features, own_counts = definitions(), counts()
    if only:
        features = {name: features[name] for name in only}
    helpers = {name: _parsed(function) for name, function in _functions(common).items()}
    for module in (*FAMILIES.values(), neighbours):
        helpers |= {name: _parsed(function) for name, function in _functions(module).items() if name.startswith("_")}
    shared, written = _sharing(features, helpers)
    counting = [_parsed(definition.function) for definition in own_counts.values()]
    wanted = {table for definition in features.values() for table in definition.reads}
    counted = {table for definition in own_counts.values() for table in definition.reads}
    arguments = ", ".join(_arguments())
    constants = "\n".join(
        f"{name} = {value!r}" for name, value in vars(rows).items() if name.isupper() and isinstance(value, int)
    )
    fields = ", ".join(own_counts)

    def driver(name: str, given: str, tables: set[str], body: list[str]) -> list[str]:
        """Two functions: one makes the scratch space for the cut rows, the other walks the households without allocating anything."""
        names = {table: table for table in TABLE_NAMES[1:]} | LAST_12_MONTHS | ALL_VERSIONS
        space = {name: table for name, table in names.items() if name in tables | {"members"}}
        scratch = [f"{name}_scratch" for name in space]
        given = f"targets, as_of, ymd, back, first, present, {given}{arguments}, out"
        return [
            _NJIT,
            f"def {name}_of_households({', '.join(scratch)}, {given}):",
            "    when = When(as_of, ymd, back, first)",
            "    for k in range(len(targets)):",
            "        h = targets[k]",
            *[f"        {line}" for line in (*_cuts(tables), *body)],
            "",
            "@njit(cache=True, nogil=True, error_model='numpy')",
            f"def {name}({given.replace('present, ', 'present, limits, ', 1)}):",
            *[
                f"    {name}_scratch = np.empty(limits[{TABLE_NAMES.index(table)}], {table}_shape)"
                for name, table in space.items()
            ],
            f"    {name}_of_households({', '.join(scratch)}, {given})",
            "",
        ]

    lines = [
        '"""Generated from the feature functions; do not edit."""',
        "from collections import namedtuple",
        "import numpy as np",
        "from numba import njit",
        "from riskmodel.features.rows import SHAPES",
        constants,
        "NAN = np.nan",
        "When = namedtuple('When', ['as_of', 'ymd', 'back', 'first'])",
        f"Counts = namedtuple('Counts', {list(own_counts)!r})",
        *[f"{name}_shape = SHAPES[{name!r}]" for name in TABLE_NAMES],
        _CUTTING.replace("NJIT", _NJIT),
        *[_CUT_PERSONS.format(table=table).replace("NJIT", _NJIT) for table in OF_PERSON],
        *map(_compiled, (*helpers.values(), *counting, *written.values())),
    ]
    lines += driver(
        "count_neighbours",
        "",
        counted,
        [
            f"out[k, {place}] = {one.name}({', '.join(one.takes)}) if {_condition(one)} else 0"
            for place, one in enumerate(own_counts.values())
        ],
    )
    body = ["policy = policies[policy_of[household.village]]"]
    for scope in ("village", "township", "county"):
        values = ", ".join(
            f"max({scope}_counts[household.{scope}, {place}] - own_counts[k, {place}], 0)" for place in range(len(own_counts))
        )
        body.append(f"{scope} = Counts({values})")
    body += [f"{name} = {text}" for text, name in shared.items()]
    for place, (name, one) in enumerate(features.items()):
        given = ", ".join(argument.arg for argument in written[name].args.args)
        body.append(f"out[k, {place}] = {name}({given}) if {_condition(one)} else NAN")
    given = "policies, policy_of, village_counts, township_counts, county_counts, own_counts, "
    lines += driver("build_features", given, wanted, body)
    lines += ["@njit(cache=True, nogil=True, error_model='numpy')", _IN_FORCE, f"# counts: {fields}", ""]
    return "\n".join(lines)


_CUTTING: Final = """
NJIT
def one_in_force(rows, start, stop, as_of):
    for i in range(start, stop):
        if rows[i].known_on <= as_of and as_of < rows[i].replaced_on:
            return rows[i]
    return rows[start]

NJIT
def cut(rows, start, stop, as_of, scratch, n):
    for i in range(start, stop):
        if rows[i].known_on <= as_of and as_of < rows[i].replaced_on:
            scratch[n] = rows[i]
            n += 1
    return n

NJIT
def cut_window(rows, start, as_of, scratch):
    n = 0
    for i in range(len(rows)):
        if rows[i].occurred_on > start and rows[i].occurred_on <= as_of:
            scratch[n] = rows[i]
            n += 1
    return n

NJIT
def cut_members(rows, start, stop, as_of, scratch):
    n = 0
    for i in range(start, stop):
        if rows[i].known_on <= as_of and as_of < rows[i].replaced_on and rows[i].left_on > as_of:
            scratch[n] = rows[i]
            n += 1
    return n

NJIT
def cut_versions(rows, start, stop, as_of, scratch):
    n = 0
    for i in range(start, stop):
        if rows[i].known_on <= as_of:
            scratch[n] = rows[i]
            if scratch[n].replaced_on > as_of:
                scratch[n].replaced_on = NEVER
            n += 1
    return n

NJIT
def cut_area(rows, starts, place, as_of, scratch, n):
    if place >= 0:
        n = cut(rows, starts[place], starts[place + 1], as_of, scratch, n)
    return n

NJIT
def is_authorised(rows, start, stop, as_of):
    for i in range(start, stop):
        row = rows[i]
        if row.known_on <= as_of and as_of < row.replaced_on and row.scope == SCOPE_ASSETS:
            if row.occurred_on <= as_of and row.revoked_on > as_of:
                return True
    return False
"""

_CUT_PERSONS: Final = """
NJIT
def cut_{table}(rows, starts, members, as_of, scratch):
    n = 0
    for k in range(len(members)):
        members[k].{table}_start = n
        n = cut(rows, starts[members[k].person], starts[members[k].person + 1], as_of, scratch, n)
        members[k].{table}_end = n
    return n
"""

_IN_FORCE: Final = """def find_versions(targets, as_of, households_rows, households_starts, members_rows, members_starts, out):
    for k in range(len(targets)):
        h = targets[k]
        out[k] = -1
        somebody = False
        for i in range(members_starts[h], members_starts[h + 1]):
            if members_rows[i].known_on <= as_of and as_of < members_rows[i].replaced_on and members_rows[i].left_on > as_of:
                somebody = True
        if somebody:
            for i in range(households_starts[h], households_starts[h + 1]):
                if households_rows[i].known_on <= as_of and as_of < households_rows[i].replaced_on:
                    out[k] = i
"""


# ------------------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """Where the generated module and its compiled code are kept."""
    named = os.environ.get("RISKMODEL_CACHE")
    candidates = [Path(named)] if named else [Path.home() / ".cache" / "riskmodel"]
    for folder in candidates:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="riskmodel-"))


_LOCK: Final = threading.Lock()
_LOADED: Final[dict[tuple[str, ...], ModuleType]] = {}


def kernel(only: tuple[str, ...] = ()) -> ModuleType:
    """The compiled kernel of the feature functions as they are now; with `only`, of these features and no others.

    The first call after a change compiles, which takes about a minute for all features.
    """
    with _LOCK:
        if only not in _LOADED:
            _LOADED[only] = _load(only)
        return _LOADED[only]


def _load(only: tuple[str, ...]) -> ModuleType:
    import numba

    text = source(only)
    shapes = repr(rows.SHAPES) + repr(POLICY_SHAPE)
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {sys.version} {shapes}\n{text}".encode()).hexdigest()[:16]
    path = cache_folder() / f"{'trimmed' if only else 'kernel'}_{digest}.py"
    if path.is_file():
        _note_use(path)
    else:
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
        clean_cache(path)
    name = f"riskmodel_kernel_{digest}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def _note_use(path: Path) -> None:
    """Say when a kernel was last used in the file's access time; its other time is part of what numba goes by and stays."""
    with contextlib.suppress(OSError):  # somebody else's cache, or one that may only be read
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def clean_cache(newest: Path, *, keep: int = 2, spared: float = 600.0) -> None:
    """Remove compiled kernels of earlier feature functions: all but the `keep` last used of the kind of `newest` (whole or trimmed).

    One that was used within `spared` seconds stays, because another process may be about to read it.
    """
    kind = newest.stem.partition("_")[0]

    def used(path: Path) -> float:
        with contextlib.suppress(OSError):
            return path.stat().st_atime
        return 0.0

    others = sorted((path for path in newest.parent.glob(f"{kind}_*.py") if path != newest), key=used, reverse=True)
    for path in others[keep - 1 :]:
        if used(path) < time.time() - spared:
            for old in (path, *(newest.parent / "__pycache__").glob(f"{path.stem}.*")):
                with contextlib.suppress(OSError):
                    old.unlink()
