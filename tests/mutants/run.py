"""Mutation testing of the rooms that decide: small faults are put into the code one at a time, and the
nearest tests must notice each.

`make mutants` runs all rooms (`make mutants ROOM=folds` one); `--sample N --seed S` tries N mutants of every
room. The mutants are made by cosmic-ray's operators. Its own worker starts an interpreter for every mutant,
which takes longer than the tests; here the libraries are loaded once and every mutant is put into the modules
of a fork; no file is changed. mutmut is not used: it puts a switch into every function, while
`features.kernel` puts the text of the feature functions together into one compiled kernel; and it forks after
polars has started its threads, which then hang.

Compiled functions run as plain Python (NUMBA_DISABLE_JIT). A mutant that no test can notice is argued in
`equivalent.yaml`, one by one.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "src/riskmodel"
# Room -> files that are mutated, tests that must notice.
ROOMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "features": (
        ("features/common.py", "calendar.py"),
        ("tests/features/test_common.py", "tests/test_calendar.py"),
    ),
    "labels": (("training/labels.py",), ("tests/training/test_labels.py",)),
    "cohorts": (("training/cohorts.py",), ("tests/training/test_labels.py",)),
    "folds": (("training/folds.py",), ("tests/training/test_folds.py",)),
    "leads": (("visits/leads.py",), ("tests/visits/test_lead_edges.py", "tests/visits/test_leads.py")),
    "list": (
        (
            "visits/listing.py",
            "visits/quotas.py",
            "screening/grades.py",
            "visits/grades.py",
            "visits/draws.py",
            "visits/visit_list.py",
            "visits/not_listed.py",
        ),
        (
            "tests/visits/test_list_figures.py",
            "tests/visits/test_list_edges.py",
            "tests/visits/test_grades.py",
            "tests/visits/test_list.py",
            "tests/visits/test_list_random_checks.py",
        ),
    ),
    "exits": (("visits/exits.py",), ("tests/visits/test_exit_edges.py", "tests/visits/test_exits.py")),
    "gate": (("screening/gate.py",), ("tests/screening/test_gate_edges.py", "tests/screening/test_gate.py")),
    "returns": (("visits/returns.py",), ("tests/visits/test_returns.py",)),
}
# One or two replacements of each operator: every boundary from both sides, without eleven variants of every
# sum.
BINARY = {
    "Add": ["Sub"],
    "Sub": ["Add"],
    "Mul": ["Div"],
    "Div": ["Mul"],
    "FloorDiv": ["Mul"],
    "Mod": ["Add"],
    "BitAnd": ["BitOr"],
    "BitOr": ["BitAnd"],
    "Pow": ["Mul"],
    "LShift": ["RShift"],
    "RShift": ["LShift"],
}
COMPARISON = {
    "Lt": ["LtE", "GtE"],
    "LtE": ["Lt", "Gt"],
    "Gt": ["GtE", "LtE"],
    "GtE": ["Gt", "Lt"],
    "Eq": ["NotEq"],
    "NotEq": ["Eq"],
    "Is": ["IsNot"],
    "IsNot": ["Is"],
}
OPERATORS = (
    *(f"core/ReplaceBinaryOperator_{old}_{new}" for old, others in BINARY.items() for new in others),
    *(f"core/ReplaceComparisonOperator_{old}_{new}" for old, others in COMPARISON.items() for new in others),
    "core/AddNot",
    "core/NumberReplacer",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceUnaryOperator_Delete_Not",
    "core/ReplaceUnaryOperator_Delete_Invert",
    "core/ReplaceUnaryOperator_Delete_USub",
    "core/ReplaceBreakWithContinue",
    "core/ReplaceContinueWithBreak",
    "core/ZeroIterationForLoop",
)
LOADED = (
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "pyarrow.parquet",
    "pydantic",
    "yaml",
    "numba",
    "pytest",
    "hypothesis",
    "rich",
    "typer",
    "openpyxl",
    "xlsxwriter",
    "python_calamine",
)
# Parts of the package that are loaded before the forks.
PRELOADED = ("tables", "features", "explaining", "training", "screening", "visits")


@dataclass(frozen=True)
class Mutant:
    """One small fault. was, becomes: the first line that differs, without its indent."""

    room: str
    file: str
    operator: str
    occurrence: int
    line: int
    was: str = ""
    becomes: str = ""

    def text(self) -> str:
        return f"{self.file}:{self.line}: {self.was}\n    -> {self.becomes}"


def unseen_lines(source: str) -> set[tuple[int, int]]:
    """Positions (line, column) of annotations, and of what only a type checker reads: mutating them changes
    nothing.
    """
    positions: set[tuple[int, int]] = set()

    def add(node: ast.AST | None) -> None:
        if node is not None:
            for part in ast.walk(node):
                if hasattr(part, "lineno"):
                    positions.update(
                        (line, column)
                        for line in range(part.lineno, part.end_lineno + 1)
                        for column in (
                            range(part.col_offset, part.end_col_offset)
                            if part.lineno == part.end_lineno
                            else range(200)
                        )
                    )

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            add(node.returns)
        if isinstance(node, ast.arg):
            add(node.annotation)
        if isinstance(node, ast.AnnAssign):
            add(node.annotation)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            add(node)
    return positions


def mutants_of(room: str) -> Iterator[Mutant]:
    """Every mutant of a room's files, in the order of operators and places."""
    from cosmic_ray.ast import Visitor, get_ast
    from cosmic_ray.plugins import get_operator

    for file in ROOMS[room][0]:
        source = (ROOT / SOURCE / file).read_text(encoding="utf-8")
        hidden, lines = unseen_lines(source), source.splitlines()
        tree = get_ast(source)
        for name in OPERATORS:
            places: list[tuple[int, int]] = []
            operator = get_operator(name)()

            class Places(Visitor):
                def visit(self, node, operator=operator, places=places):
                    places.extend(start for start, _ in operator.mutation_positions(node))
                    return node

            Places().walk(tree)
            for occurrence, (line, column) in enumerate(places):
                # A star that unpacks or that ends the positional arguments is no multiplication.
                before = lines[line - 1][:column].rstrip()[-1:]
                starred = lines[line - 1][column : column + 1] == "*" and before in ("(", ",", "[", "{", "")
                if (line, column) not in hidden and not starred:
                    yield Mutant(room, file, name, occurrence, line, lines[line - 1].strip())


def mutated(mutant: Mutant, source: str) -> tuple[str, Mutant]:
    """The source with the fault, and the mutant with the line that differs."""
    from dataclasses import replace

    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    code = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    for number, (was, becomes) in enumerate(zip(source.splitlines(), code.splitlines(), strict=False), 1):
        if was != becomes:
            return code, replace(mutant, line=number, was=was.strip(), becomes=becomes.strip())
    return code, mutant


def drawn(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """`count` mutants of every room (all, if there are fewer), by a hash of the line: a change elsewhere in
    the file draws no others.
    """
    rooms: dict[str, list[tuple[str, int, Mutant]]] = {}
    seen: Counter[tuple[str, str, str]] = Counter()
    for place, mutant in enumerate(mutants):
        key = (mutant.file, mutant.operator, mutant.was)
        seen[key] += 1
        turn = hashlib.sha256("\0".join((str(seed), *key, str(seen[key]))).encode()).hexdigest()
        rooms.setdefault(mutant.room, []).append((turn, place, mutant))
    return [mutant for room in rooms.values() for _, _, mutant in sorted(room)[:count]]


def equivalents() -> dict[tuple[str, str, str], str]:
    """(file, line, mutated line) -> why no test can notice it."""
    import yaml

    path = Path(__file__).with_name("equivalent.yaml")
    entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    return {(item["file"], item["was"], item["becomes"]): item["why"] for item in entries}


def prepare() -> None:
    """Load the libraries and the package once. Nothing here may start threads of polars: they do not live on
    in a fork.
    """
    os.environ |= {
        "NUMBA_DISABLE_JIT": "1",
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    for name in LOADED:
        importlib.import_module(name)
    for room in PRELOADED:
        for path in sorted((ROOT / SOURCE / room).glob("*.py")):
            importlib.import_module(f"riskmodel.{room}.{path.stem}".removesuffix(".__init__"))


def put_in(file: str, code: str) -> None:
    """Execute the mutated source as the module, and give the new functions, classes and constants to every
    module that had the old ones.
    """
    name = "riskmodel." + file.removesuffix(".py").replace("/", ".")
    module = importlib.import_module(name)
    before = dict(vars(module))
    exec(compile(code, module.__file__, "exec"), vars(module))
    for other in [
        item
        for key, item in sys.modules.items()
        if key.startswith(("riskmodel", "tests", "test_")) and item is not module
    ]:
        for key, value in list(getattr(other, "__dict__", {}).items()):
            if key in before and value is before[key] and vars(module)[key] is not value:
                setattr(other, key, vars(module)[key])


def run_items(
    items: list, session, seconds: float, mutation: tuple[str, str] | None = None
) -> tuple[int, int]:
    """Run the collected tests in a fork up to the first that fails, with a mutated file (name, source) if one
    is given; the process id, and the end of a pipe from which the name of the test that failed can be read.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        signal.alarm(int(seconds))
        quiet = os.open(os.environ.get("MUTANTS_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(quiet, stream)
        if mutation is not None:
            put_in(*mutation)
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if session.testsfailed:
                os.write(writing, item.nodeid.encode())
                os._exit(1)
        os._exit(0)
    except BaseException:
        os._exit(99)


def nearest_first(items: list, mutant: Mutant, noticed: Mapping[str, list[Mutant]]) -> list:
    """The tests in the order in which they will probably notice a mutant: first those that noticed one of the
    same file, by the lines between. noticed: name of a test -> mutants that it noticed.
    """

    def lines_between(item) -> int:
        return min(
            (
                abs(other.line - mutant.line)
                for other in noticed.get(item.nodeid, ())
                if other.file == mutant.file
            ),
            default=1_000_000,
        )

    return sorted(items, key=lines_between)


class Mutating:
    """In place of pytest's own loop: the tests of a room are collected once, and run in a fork for every
    mutant.
    """

    def __init__(self, mutants: list[Mutant], processes: int) -> None:
        self.queue, self.processes = mutants, processes
        self.outcome: dict[Mutant, str] = {}
        self.failed = False

    def pytest_runtestloop(self, session) -> bool:
        started = time.perf_counter()
        child, reading = run_items(session.items, session, 900)
        _, status = os.waitpid(child, 0)
        os.close(reading)
        if status:
            self.failed = True
            return True
        limit = 20 + 6 * (time.perf_counter() - started)
        argued, queue, running = equivalents(), list(self.queue), {}
        noticed: dict[str, list[Mutant]] = {}
        while queue or running:
            while queue and len(running) < self.processes:
                mutant = queue.pop(0)
                source = (ROOT / SOURCE / mutant.file).read_text(encoding="utf-8")
                code, mutant = mutated(mutant, source)
                if (mutant.file, mutant.was, mutant.becomes) in argued:
                    self.outcome[mutant] = "equivalent"
                else:
                    order = nearest_first(session.items, mutant, noticed)
                    child, reading = run_items(order, session, limit, (mutant.file, code))
                    running[child] = mutant, reading
            if running:
                child, status = os.waitpid(-1, 0)
                mutant, reading = running.pop(child)
                with open(reading, "rb") as pipe:
                    if name := pipe.read().decode():
                        noticed.setdefault(name, []).append(mutant)
                self.outcome[mutant] = "killed" if status else "survived"
                if not status:  # shown at once: a room takes minutes
                    print(f"survived ({len(self.outcome)} of {len(self.queue)}): {mutant.text()}", flush=True)
        return True


def run(mutants: list[Mutant], processes: int) -> dict[Mutant, str]:
    """killed, survived or equivalent, of each mutant."""
    import pytest

    outcome: dict[Mutant, str] = {}
    for room in dict.fromkeys(mutant.room for mutant in mutants):
        loop = Mutating([mutant for mutant in mutants if mutant.room == room], processes)
        quiet = [
            "-p",
            "no:cacheprovider",
            "-p",
            "no:terminal",
            "-s",
            "-o",
            "timeout=0",
            "-o",
            "addopts=--import-mode=importlib",
            *ROOMS[room][1],
        ]
        pytest.main(quiet, plugins=[loop])
        if loop.failed or not loop.outcome:
            raise SystemExit(
                f"the tests of {room} fail without any mutant (MUTANTS_LOG=FILE keeps what they print)"
            )
        outcome |= loop.outcome
    return outcome


def summary(outcome: dict[Mutant, str]) -> tuple[str, float]:
    """A line a room, and the share that was killed or argued, over all."""
    lines = []
    for room in ROOMS:
        counts = Counter(state for mutant, state in outcome.items() if mutant.room == room)
        if whole := sum(counts.values()):
            share = 1 - counts["survived"] / whole
            lines.append(
                f"{room:10} {whole:5} mutants: {counts['killed']} killed, {counts['equivalent']} argued "
                f"equivalent, {counts['survived']} survived ({share:.1%})"
            )
    share = 1 - sum(state == "survived" for state in outcome.values()) / max(1, len(outcome))
    return "\n".join([*lines, f"together {share:.1%} of {len(outcome)}"]), share


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", help=f"of {', '.join(ROOMS)}; all by default")
    parser.add_argument("--sample", type=int, help="try so many mutants of every room")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--at-least",
        type=float,
        default=0.9,
        help="share killed or argued, of every room (of all in a sample)",
    )
    options = parser.parse_args()
    if unknown := set(options.rooms) - set(ROOMS):
        parser.error(f"no room {', '.join(sorted(unknown))}; there are {', '.join(ROOMS)}")
    mutants = [mutant for room in options.rooms or ROOMS for mutant in mutants_of(room)]
    if options.sample is not None:
        mutants = drawn(mutants, options.sample, options.seed)
    prepare()
    outcome = run(mutants, options.processes)
    text, share = summary(outcome)
    print(text)
    if options.sample is not None:
        return 0 if share >= options.at_least else 1
    rooms = {mutant.room for mutant in outcome}
    low = [
        room
        for room in rooms
        if sum(state == "survived" for mutant, state in outcome.items() if mutant.room == room)
        > (1 - options.at_least) * sum(mutant.room == room for mutant in outcome)
    ]
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
