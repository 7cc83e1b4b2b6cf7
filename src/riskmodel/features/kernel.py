"""The kernel: all feature functions, compiled into one function over households.

Feature functions are plain Python (`income.py`, `illness.py`, …): each names the rows it wants as arguments
and returns one number. Here their source is put into one generated module, with a driver that cuts each
household's rows at T once and calls them all; numba compiles it. A sum that several features ask for in the
same words (`gross_income(income, when.first[12], when.first[0])`) is made once a household. The generated
file and what was compiled of it are kept (`cache.py`).

No fastmath: sums keep their order, and the same rows give the same bits on any machine.
"""

from __future__ import annotations

import ast
import copy
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

import numpy as np

from riskmodel.features import common, neighbours, rows
from riskmodel.features.cache import loaded
from riskmodel.features.definitions import Definition, counts, definitions
from riskmodel.features.families import FAMILIES, functions_of
from riskmodel.features.own import NOTHING_OWN, OwnFunctions, own_modules
from riskmodel.features.rows import ALL_VERSIONS, LAST_12_MONTHS, OF_HOUSEHOLD, OF_PERSON, TABLE_NAMES
from riskmodel.policy import DAYS, NUMBERS

POLICY_SHAPE: Final = np.dtype(
    [(name, "f8") for name in NUMBERS] + [(name, "i4") for name in DAYS], align=True
)


# ------------------------------------------------------------------------------------------------------------


# Rows are read and never kept: nothing is allocated inside, so the compiler need not count references to the
# arrays. A call hands over seven words for each array, which costs more than most sums: a trimmed kernel puts
# everything in place of its call. For all features that would double the time of compiling and bring little.
_INSIDE: Final = (
    "inside = njit(error_model='numpy', no_cpython_wrapper=True, no_cfunc_wrapper=True, "
    "forceinline={inline}, _nrt=False)"
)


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
    return f"@inside\n{ast.unparse(definition)}\n"


class _Unfold(ast.NodeTransformer):
    """Puts the formula of a helper that is a single expression in place of the call: what is shared inside
    comes to light."""

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
    """Replaces helper calls whose value is constant within a household by names; without `names`, counts
    them."""

    def __init__(
        self, helpers: Mapping[str, ast.FunctionDef], names: Mapping[str, str] | None = None
    ) -> None:
        self._helpers, self._names, self.found = helpers, names, Counter[str]()
        self.used: list[str] = []
        self.fixed: set[str] = set()

    def of(self, definition: ast.FunctionDef) -> ast.FunctionDef:
        written = {
            node.id
            for node in ast.walk(definition)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        self.fixed = {argument.arg for argument in definition.args.args} - written
        self.used = []
        changed: ast.FunctionDef = self.visit(definition)
        read = {node.id for node in ast.walk(changed) if isinstance(node, ast.Name)}
        changed.args.args = [argument for argument in changed.args.args if argument.arg in read]
        changed.args.args += [ast.arg(name) for name in self.used]
        return changed

    def visit_Call(self, node: ast.Call) -> ast.expr:
        text = ast.unparse(node)
        if (
            isinstance(node.func, ast.Name)
            and node.func.id in self._helpers
            and all(map(self._is_fixed, node.args))
        ):
            self.found[text] += 1
            if self._names is not None and text in self._names:
                if self._names[text] not in self.used:
                    self.used.append(self._names[text])
                return ast.Name(self._names[text], ast.Load())
        self.generic_visit(node)
        return node

    def _is_fixed(self, value: ast.expr) -> bool:
        """Whether the expression is constant within a household: built only of kernel inputs, codes and
        numbers."""
        names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
        return all(name in self.fixed or name.isupper() or name in self._helpers for name in names)


def _sharing(
    features: Mapping[str, Definition], helpers: Mapping[str, ast.FunctionDef]
) -> tuple[dict[str, str], dict[str, Any]]:
    """What is made once a household, by its text, and each feature's function rewritten to be given it, with
    its arguments."""
    unfolded = {name: _Unfold(helpers).visit(_parsed(one.function)) for name, one in features.items()}
    count = _Share(helpers)
    for definition in unfolded.values():
        count.of(copy.deepcopy(definition))
    names = {
        text: f"shared_{place}"
        for place, text in enumerate(text for text, times in count.found.items() if times > 1)
    }
    share = _Share(helpers, names)
    written = {name: share.of(definition) for name, definition in unfolded.items()}
    # What is shared may hold what is shared: the shorter text is made first.
    return {text: names[text] for text in sorted(names, key=len)}, written


def _of_others(text: str, helpers: Mapping[str, ast.FunctionDef], names: Mapping[str, str]) -> str:
    """A shared sum written with the others that are in it."""
    call = ast.parse(text, mode="eval").body
    others = {other: name for other, name in names.items() if other != text}
    share = _Share(helpers, others)
    share.fixed = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
    return ast.unparse(share.visit(call))


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
            (
                "found = cut_versions(members_rows, members_starts[h], members_starts[h + 1], as_of, "
                "member_versions_scratch)"
            ),
            "member_versions = member_versions_scratch[:found]",
        ]
    for table in OF_HOUSEHOLD:
        if table not in wanted:
            continue
        cut = f"cut({table}_rows, {table}_starts[h], {table}_starts[h + 1], as_of, {table}_scratch, 0)"
        if table == "shocks":
            lines.append(f"found = {cut}")
            lines += [
                (
                    f"found = cut_area(area_shocks_rows, area_shocks_starts, household.{scope}_events, "
                    "as_of, shocks_scratch, found)"
                )
                for scope in ("village", "township", "county")
            ]
            lines.append("shocks = shocks_scratch[:found]")
        elif table == "assets":
            lines.append(
                "authorised = is_authorised(authorisations_rows, authorisations_starts[h], "
                "authorisations_starts[h + 1], as_of)"
            )
            lines.append(f"found = {cut}")
            lines.append("assets = assets_scratch[:found]")
        else:
            lines.append(f"{table} = {table}_scratch[:{cut}]")
    lines += [
        (
            f"{table} = {table}_scratch[:cut_{table}({table}_rows, {table}_starts, members, as_of, "
            f"{table}_scratch)]"
        )
        for table in OF_PERSON
        if table in wanted
    ]
    lines += [
        f"{name} = {name}_scratch[:window_{table}({table}, members, back[12], as_of, {name}_scratch)]"
        for name, table in LAST_12_MONTHS.items()
        if name in wanted
    ]
    return lines


def _condition(definition: Definition) -> str:
    places = [
        f"present[{TABLE_NAMES.index(table)}]"
        for table in definition.tables
        if table not in ("households", "members")
    ]
    if "assets" in definition.takes:
        places.append("authorised")
    return " and ".join(places) or "True"


def _helpers(own: OwnFunctions) -> dict[str, ast.FunctionDef]:
    """Everything that a feature function may call, by name."""
    helpers = {name: _parsed(function) for name, function in functions_of(common).items()}
    for module in (*FAMILIES.values(), neighbours, *own_modules(own).values()):
        helpers |= {
            name: _parsed(function) for name, function in functions_of(module).items() if name.startswith("_")
        }
    return helpers


def _driver(name: str, given: str, tables: set[str], body: list[str]) -> list[str]:
    """Two functions: one makes the scratch space for the cut rows, the other walks the households without
    allocating anything."""
    names = {table: table for table in TABLE_NAMES[1:]} | LAST_12_MONTHS | ALL_VERSIONS
    space = {name: table for name, table in names.items() if name in tables | {"members"}}
    scratch = [f"{name}_scratch" for name in space]
    given = f"targets, places, days, ymds, backs, firsts, present, {given}{', '.join(_arguments())}, out"
    return [
        "@inside",
        f"def {name}_of_households({', '.join(scratch)}, {given}):",
        "    for k in range(len(targets)):",
        "        h = targets[k]",
        "        for d in range(len(days)):",  # all days of a household while its rows are at hand
        "            place = places[k, d]",
        "            if place < 0:",
        "                continue",
        "            as_of, back = days[d], backs[d]",
        "            when = When(as_of, ymds[d], back, firsts[d])",
        *[f"            {line}" for line in (*_cuts(tables), *body)],
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


def _module(helpers: Iterable[ast.FunctionDef], lines: list[str], *, inline: bool = False) -> str:
    """A generated module, as text. It includes the record types of the rows, so that its hash changes with
    them."""
    constants = [
        f"{name} = {value!r}"
        for name, value in vars(rows).items()
        if name.isupper() and isinstance(value, int)
    ]
    shapes = [f"# {name}: {shape}" for name, shape in (*rows.SHAPES.items(), ("policy", POLICY_SHAPE))]
    return "\n".join(
        [
            '"""Generated from the feature functions; do not edit."""',
            *shapes,
            "from collections import namedtuple",
            "import numpy as np",
            "from numba import njit",
            "from riskmodel.features.rows import SHAPES",
            _INSIDE.format(inline=inline),
            *constants,
            "NAN = np.nan",
            "When = namedtuple('When', ['as_of', 'ymd', 'back', 'first'])",
            f"Counts = namedtuple('Counts', {list(counts())!r})",
            *[f"{name}_shape = SHAPES[{name!r}]" for name in TABLE_NAMES],
            _CUTTING,
            *[_CUT_PERSONS.format(table=table) for table in OF_PERSON],
            *map(_compiled, helpers),
            *lines,
            "",
        ]
    )


def counting_source() -> str:
    """The generated module that finds the households in force and counts what `neighbours.py` counts."""
    own_counts = counts()
    helpers = {name: _parsed(function) for name, function in functions_of(common).items()}
    helpers |= {name: _parsed(definition.function) for name, definition in own_counts.items()}
    body = [
        f"out[place, {place}] = {one.name}({', '.join(one.takes)}) if {_condition(one)} else 0"
        for place, one in enumerate(own_counts.values())
    ]
    lines = _driver(
        "count_neighbours", "", {table for one in own_counts.values() for table in one.reads}, body
    )
    return _module(
        helpers.values(), [*lines, "@njit(cache=True, nogil=True, error_model='numpy')", _IN_FORCE]
    )


def source(only: tuple[str, ...] = (), own: OwnFunctions = NOTHING_OWN) -> str:
    """The generated module of the features, as text; with `only`, of these and no others."""
    features = definitions(own)
    if only:
        features = {name: features[name] for name in only}
    helpers = _helpers(own)
    shared, written = _sharing(features, helpers)
    body = ["policy = policies[policy_of[d, household.village]]"]
    for scope in ("village", "township", "county"):
        values = ", ".join(
            f"max({scope}_counts[d, household.{scope}, {place}] - own_counts[place, {place}], 0)"
            for place in range(len(counts()))
        )
        body.append(f"{scope} = Counts({values})")
    body += [f"{name} = {_of_others(text, helpers, shared)}" for text, name in shared.items()]
    for place, (name, one) in enumerate(features.items()):
        given = ", ".join(argument.arg for argument in written[name].args.args)
        body.append(f"out[place, {place}] = {name}({given}) if {_condition(one)} else NAN")
    given = "policies, policy_of, village_counts, township_counts, county_counts, own_counts, "
    lines = _driver(
        "build_features", given, {table for one in features.values() for table in one.reads}, body
    )
    return _module((*helpers.values(), *written.values()), lines, inline=bool(only))


_CUTTING: Final = """
@inside
def one_in_force(rows, start, stop, as_of):
    for i in range(start, stop):
        if rows[i].known_on <= as_of and as_of < rows[i].replaced_on:
            return rows[i]
    return rows[start]

@inside
def cut(rows, start, stop, as_of, scratch, n):
    for i in range(start, stop):
        # Whether it counts or not: the next one goes over it, and the processor need not guess.
        scratch[n] = rows[i]
        n += (rows[i].known_on <= as_of) & (as_of < rows[i].replaced_on)
    return n

@inside
def cut_members(rows, start, stop, as_of, scratch):
    n = 0
    for i in range(start, stop):
        if rows[i].known_on <= as_of and as_of < rows[i].replaced_on and rows[i].left_on > as_of:
            scratch[n] = rows[i]
            n += 1
    return n

@inside
def cut_versions(rows, start, stop, as_of, scratch):
    n = 0
    for i in range(start, stop):
        if rows[i].known_on <= as_of:
            scratch[n] = rows[i]
            if scratch[n].replaced_on > as_of:
                scratch[n].replaced_on = NEVER
            n += 1
    return n

@inside
def cut_area(rows, starts, place, as_of, scratch, n):
    if place >= 0:
        n = cut(rows, starts[place], starts[place + 1], as_of, scratch, n)
    return n

@inside
def is_authorised(rows, start, stop, as_of):
    for i in range(start, stop):
        row = rows[i]
        if row.known_on <= as_of and as_of < row.replaced_on and row.scope == SCOPE_ASSETS:
            if row.occurred_on <= as_of and row.revoked_on > as_of:
                return True
    return False
"""

_CUT_PERSONS: Final = """
@inside
def cut_{table}(rows, starts, members, as_of, scratch):
    n = 0
    for k in range(len(members)):
        members[k].{table}_start = n
        n = cut(rows, starts[members[k].person], starts[members[k].person + 1], as_of, scratch, n)
        members[k].{table}_end = n
    return n

@inside
def window_{table}(rows, members, start, as_of, scratch):
    n = 0
    for k in range(len(members)):
        first = members[k].{table}_end
        while first > members[k].{table}_start and rows[first - 1].occurred_on > start:
            first -= 1
        for i in range(first, members[k].{table}_end):
            if rows[i].occurred_on <= as_of:
                scratch[n] = rows[i]
                n += 1
    return n
"""

_IN_FORCE: Final = """def find_versions(
    targets, as_of, households_rows, households_starts, members_rows, members_starts, out
):
    for k in range(len(targets)):
        h = targets[k]
        out[k] = -1
        somebody = False
        for i in range(members_starts[h], members_starts[h + 1]):
            row = members_rows[i]
            if row.known_on <= as_of and as_of < row.replaced_on and row.left_on > as_of:
                somebody = True
        if somebody:
            for i in range(households_starts[h], households_starts[h + 1]):
                if households_rows[i].known_on <= as_of and as_of < households_rows[i].replaced_on:
                    out[k] = i
"""


_LOCK: Final = threading.Lock()
_LOADED: Final[dict[tuple[tuple[str, ...], OwnFunctions], ModuleType]] = {}


def kernel(only: tuple[str, ...] = (), own: OwnFunctions = NOTHING_OWN) -> ModuleType:
    """The compiled kernel of the feature functions as they are now; with `only`, of these features and no
    others.

    The first call after a change compiles, which takes about a minute for all features.
    """
    with _LOCK:
        if (only, own) not in _LOADED:
            _LOADED[only, own] = loaded("trimmed" if only else "kernel", source(only, own))
        return _LOADED[only, own]


@lru_cache(maxsize=1)
def counting() -> ModuleType:
    """The compiled module that counts neighbours (`neighbours.py`) by area; it is the same for every
    project."""
    return loaded("counting", counting_source())
