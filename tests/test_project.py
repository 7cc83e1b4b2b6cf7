"""The project folder: found once, read with file:line, hashed; files written whole or not at all."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
from collections import defaultdict
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from riskmodel.errors import ProjectError, UserError
from riskmodel.files import replacing, write_text
from riskmodel.project import Project, fit, read_document, start_project


class Plan(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    seeds: list[int]


def test_a_project_is_found_from_a_folder_inside_it(project, monkeypatch):
    monkeypatch.delenv("RISKMODEL_PROJECT", raising=False)
    monkeypatch.chdir(project.root / "training")
    assert Project.find().root == project.root


def test_no_project_is_said_with_where_was_looked_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("RISKMODEL_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ProjectError, match=r"neither this folder nor one above it is a project.*riskmodel init DIR"
    ):
        Project.find()
    with pytest.raises(ProjectError, match=r"no project; expected a folder with .*catalogue\.yaml"):
        Project.find(tmp_path)


def test_all_faults_of_a_yaml_file_are_named_at_once_with_their_lines(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("name: [1]\nseeds:\n  - 1\n  - two\nsedes: 3\n", encoding="utf-8")
    with pytest.raises(ProjectError) as caught:
        fit(read_document(file), Plan)
    said = [fault.where for fault in caught.value.faults]
    assert said == [f"{file}:1 (name)", f"{file}:4 (seeds.1)", f"{file}:5 (sedes)"]
    assert "unknown key `sedes`; expected one of name, seeds" in str(caught.value)


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("name: a\nname: b\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"plan\.yaml:2: `name` is there twice"):
        read_document(file)


def test_broken_yaml_is_said_with_its_line(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("name: a\nseeds: [1\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"plan\.yaml:\d+: .*expected valid YAML"):
        read_document(file)


def test_the_hash_of_files_depends_on_names_and_bytes_only(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder / "f").mkdir(parents=True)
        (tmp_path / folder / "f" / "a.yaml").write_text("x: 1\n")
    os.utime(tmp_path / "two" / "f" / "a.yaml", (1, 1))
    one, two = Project(tmp_path / "one"), Project(tmp_path / "two")
    assert one.hash("f") == two.hash("f")
    (tmp_path / "two" / "f" / "a.yaml").write_text("x: 2\n")
    assert one.hash("f") != two.hash("f")


def test_a_new_project_holds_the_declarations_and_can_be_opened(project, tmp_path):
    made = start_project(tmp_path / "new", project.root)
    assert Project.find(made).hash("features", "training") == project.hash("features", "training")
    with pytest.raises(ProjectError, match="not empty"):
        start_project(made, project.root)


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path):
    target = tmp_path / "list.csv"
    write_text(target, "old")

    def write_half():
        with replacing(target) as draft:
            draft.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_said_before_anything_is_worked_out(tmp_path):
    with (
        pytest.raises(UserError, match=r"the folder does not exist.*mkdir -p"),
        replacing(tmp_path / "no" / "list.csv"),
    ):
        raise AssertionError("the block must not begin")


def test_no_file_of_the_package_is_looked_for_beside_the_package(project):
    sources = [
        path
        for path in (project.root / "src").rglob("*.py")
        if "__file__" in path.read_text(encoding="utf-8")
    ]
    assert sources == [], "declarations are found through the project folder, never through __file__"


def test_nothing_of_this_machine_stands_in_the_project_files(project):
    here = str(Path.home())
    for name in (
        "pyproject.toml",
        "Makefile",
        ".ci/run",
        *(f"requirements/{file}" for file in ("serve.txt", "train.txt", "dev.txt")),
    ):
        text = (project.root / name).read_text(encoding="utf-8")
        assert (
            "http://" not in text.replace("http://www.apache.org", "").replace("http://127.0.0.1", "")
            and "https://" not in text
        ), name
        assert here not in text, name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nday: 0000-00-00\n", [r"plan.yaml:2", "`0000-00-00`", '"0000-00-00"']),
        ("day: 2025-02-30\n", [r"plan.yaml:1", "`2025-02-30`", "in quotes"]),
        ("- !!python/name:os.system x\n", [r"plan.yaml:1", "cannot read"]),
        ("a: &all [1, *all]\n", [r"plan.yaml:1", "contain themselves"]),
        ("a: b\x07c\n", ["plan.yaml", "valid YAML"]),
    ],
)
def test_what_yaml_cannot_make_a_value_of_is_a_fault_with_its_line(tmp_path, text, words):
    file = tmp_path / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError) as refused:
        read_document(file)
    for word in words:
        assert word in str(refused.value)


def test_a_document_as_it_is_written_keeps_the_text_of_keys_and_values(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("01: No\nYes: [0000-00-00, NULL, '', 1.0]\nempty:\n", encoding="utf-8")
    assert read_document(file, as_written=True).data == {
        "01": "No",
        "Yes": ["0000-00-00", "NULL", "", "1.0"],
        "empty": None,
    }


# Customary short names, and nothing else, stand for another name in an import.
SHORT = {
    "numpy": "np",
    "numpy.typing": "npt",
    "polars": "pl",
    "pandas": "pd",
    "pyarrow": "pa",
    "pyarrow.csv": "arrow_csv",
    "sqlalchemy": "sa",
    "datetime": "dt",
    "riskmodel": "rm",
    "lightgbm": "lgb",
    "pyplot": "plt",
}


def test_a_function_is_called_by_its_own_name(project):
    """No import renames what it imports: a reader who searches for a name finds every call. (`X as X` hands a
    name on.)
    """
    renamed = {}
    for path in (project.root / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
                if alias.asname not in (None, alias.name, SHORT.get(alias.name)):
                    renamed[f"{path.name}:{node.lineno}"] = f"{alias.name} as {alias.asname}"
    assert renamed == {}


def test_a_constructor_takes_at_most_four_values_by_position(project):
    """`Finding("error", "bad_id", "income", "", "x", …)`: no type checker tells eleven strings side by side
    apart.
    """
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8")) for path in (project.root / "src").rglob("*.py")
    }
    classes = {
        node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    }
    crowded = [
        f"{path.name}:{call.lineno}: {ast.unparse(call.func)} takes {len(call.args)} values by position"
        for path, tree in trees.items()
        for call in constructions(tree, classes)
        if len(call.args) > 4
    ]
    assert crowded == []


def test_the_search_for_constructors_finds_each_way_to_call_one():
    """By name, by module, as `cls`, in a compiled function; not a class of another library with the same
    name.
    """
    source = """
from sqlalchemy import Table
from riskmodel.tables.findings import Finding
from riskmodel.tables import findings
class Own:
    @classmethod
    def of(cls): return cls(1, 2, 3, 4, 5)
@njit
def kernel(): return Own(1, *rest)
both = Finding(1), findings.Finding(1, 2), Table(1, 2, 3), findings.checked(1)
"""
    found = constructions(ast.parse(source), {"Own", "Finding", "Table"})
    assert sorted(ast.unparse(call) for call in found) == [
        "Finding(1)",
        "Own(1, *rest)",
        "cls(1, 2, 3, 4, 5)",
        "findings.Finding(1, 2)",
    ]


def constructions(tree: ast.Module, classes: set[str]) -> list[ast.Call]:
    """The calls of a module that make an object of one of the package's `classes`."""
    ours = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)} | {"cls"}
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("riskmodel"):
            ours |= {alias.name for alias in node.names} & classes
            modules |= {alias.asname or alias.name for alias in node.names}
    found = []
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        match call.func:
            case ast.Name(id=name) if name in ours:
                found.append(call)
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in modules and name in classes:
                found.append(call)
    return found


def test_a_layout_by_hand_is_kept_for_tables_of_numbers_only(project):
    """`fmt: skip` keeps columns of numbers under each other; everything else is the formatter's."""
    kept = []
    for folder in ("src", "features", "training", "serving", "benchmarks", "docs", "requirements", "tests"):
        for path in (project.root / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            marks = [
                token.start[0]
                for token in tokenize.generate_tokens(io.StringIO(text).readline)
                if token.type == tokenize.COMMENT and token.string.startswith(("# fmt: skip", "# fmt: off"))
            ]
            statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt) and marks]
            for line in marks:
                around = [node for node in statements if node.lineno <= line <= (node.end_lineno or 0)]
                values = (
                    [node.value for node in ast.walk(around[-1]) if isinstance(node, ast.Constant)]
                    if around
                    else []
                )
                numbers = [value for value in values if isinstance(value, int | float)]
                if 2 * len(numbers) <= len(values):
                    kept.append(f"{path.name}:{line}")
    assert kept == []


def test_a_class_name_means_one_thing(project):
    """No two classes of the package have the same name: a reader who searches for one finds the other
    nowhere.
    """
    places = defaultdict(list)
    for path in sorted((project.root / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(project.root)}:{node.lineno}")
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


# What takes a text apart or asks what it begins with, in Python. Names are compared; sentences are not.
TAKES_APART = {
    "split",
    "rsplit",
    "partition",
    "rpartition",
    "startswith",
    "endswith",
    "removeprefix",
    "removesuffix",
    "compile",
    "findall",
    "fullmatch",
    "match",
    "search",
    "sub",
}
BETWEEN_SENTENCES = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]|[;:.] ")
# Read are texts that people and departments write (a team is called 8组 whether they wrote 组 or not), the
# messages of the library that decodes JSON, and the casebook's file of notes.
READERS = (
    "tables/",
    "visits/filled.py",
    "visits/returns.py",
    "casebook/results.py",
    "casebook/beside.py",
    "serving/request_faults.py",
)


def sentences_taken_apart(tree: ast.Module) -> list[int]:
    """Lines of calls that take a text apart by a Chinese word or by what stands between sentences."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in TAKES_APART
        and any(
            isinstance(part, ast.Constant)
            and isinstance(part.value, str)
            and BETWEEN_SENTENCES.search(part.value)
            for argument in node.args
            for part in ast.walk(argument)
        )
    ]


def test_no_finished_sentence_is_taken_apart_again(project):
    """Reasons, grades, points and changes keep their parts; files, pages and answers join them."""
    package = project.root / "src" / "riskmodel"
    found = {
        str(path.relative_to(package)): lines
        for path in sorted(package.rglob("*.py"))
        if (lines := sentences_taken_apart(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert {name for name in found if not name.startswith(READERS)} == set(), found
    for path in (project.root / "serving" / "web").glob("*.js"):
        if path.name != "telling.js":  # it looks for identities in what people write
            taken = re.findall(r"(?:\.split|\.exec|\.test)\([^)]*", path.read_text(encoding="utf-8"))
            assert not [text for text in taken if re.search(r"[；：。，]|; |: |\. ", text)], path.name


def test_the_search_for_sentences_finds_each_way_to_take_one_apart():
    tree = ast.parse(
        'a.split("；")\nb.startswith("线索：")\nre.compile("(.*数据截至)")\nc.split("; ")\nd.split(";")'
    )
    assert sentences_taken_apart(tree) == [1, 2, 3, 4]
