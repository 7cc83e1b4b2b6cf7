"""A project's own feature functions: one function and one entry in the project's folder, and they are
features like all others.
"""

from __future__ import annotations

import datetime as dt
import re

import pytest

from riskmodel.errors import ProjectError
from riskmodel.features import build, build_dates, count_context, load_catalogue, prepare
from riskmodel.features.catalogue import catalogue_files
from riskmodel.features.definitions import definitions
from riskmodel.features.own import own_modules
from riskmodel.features.tracing import explain_value, python_values
from riskmodel.policy import Policy

FUNCTION = '''"""What our county looks at beside the package's features."""

from riskmodel.features.common import Rows, When


def self_paid_bills_6m(medical: Rows, when: When) -> float:
    """Number of bills of the last 6 months that left something to pay."""
    count = 0
    for bill in medical:
        if bill.occurred_on > when.back[6] and bill.occurred_on <= when.as_of and bill.self_paid > 0.0:
            count += 1
    return float(count)
'''
ENTRY = """
self_paid_bills_6m:
  label: {zh: "近6个月有自付的账单数", en: "Bills with something to pay"}
  family: illness
  topic: bills
  unit: times
  manner: count
  sources: [medical]
  window: "last 6 months"
  missing: {zh: "没有医保数据时未知；有数据而无账单为0", en: "Unknown without the table; 0 without a bill"}
  riskier_when: higher
  risk_kind: illness
  sentence:
    zh: {value: "近6个月有{value}自付医疗费"}
    en: {value: "Bills that left something to pay in the last 6 months: {value}"}
  status: active
"""
BILLS = """
    medical
    occurred_on  known_on    self_paid
    2024-12-20   2025-01-05  8000
    2024-11-01   2024-12-01  0
    2024-08-01   2024-09-01  600
    2024-01-14   2024-02-01  3000
"""
DAY = dt.date(2025, 1, 14)


@pytest.fixture
def county_project(own_project):
    """A project with one function of its own, as the page shows it."""
    write(own_project, FUNCTION, ENTRY)
    return own_project


def write(project, function=None, entry=None, family="illness"):
    folder = project.root / "features" / "own"
    folder.mkdir(exist_ok=True)
    if function is not None:
        (folder / f"{family}.py").write_text(function, encoding="utf-8")
    if entry is not None:
        path = project.root / "features" / "catalogue.yaml"
        path.write_text(path.read_text(encoding="utf-8") + entry, encoding="utf-8")


def test_an_own_function_is_a_feature_like_all_others(county_project, written):
    catalogue, policy = load_catalogue(county_project), Policy.load(county_project)
    small = catalogue.only(["self_paid_12m", "self_paid_bills_6m"])
    tables = written(BILLS)
    matrix = build(tables, DAY, catalogue=small, policy=policy, trim=True)
    assert matrix.values.tolist() == [[8600.0, 2.0]]
    assert (
        build(tables, dt.date(2025, 1, 4), catalogue=small, policy=policy, trim=True).column(
            "self_paid_bills_6m"
        )
        == 1
    )
    trace = explain_value(tables, "H1", "self_paid_bills_6m", DAY, catalogue=catalogue, policy=policy)
    assert trace.value == 2
    looked_at = (
        trace.rows["medical"].filter("counts")["occurred_on"].to_list()
    )  # the bill of 0 yuan too: a larger one would count
    assert looked_at == [dt.date(2024, 8, 1), dt.date(2024, 11, 1), dt.date(2024, 12, 20)]
    assert "Number of bills" in trace.text()


def test_beside_an_own_function_the_others_keep_their_bits_and_plain_python_agrees(
    county_project, catalogue, county
):
    ids = county["households"]["household_id"].unique().sort()[:80].to_list()
    prepared, days = prepare(county.of_households(ids)), [dt.date(2024, 3, 10), dt.date(2025, 1, 31)]
    own, policy = load_catalogue(county_project), Policy.load(county_project)
    first = {
        one.family: name for name, one in own.root.items()
    }  # the last of each family: the own one of its family
    assert "self_paid_bills_6m" in first.values()
    mine = build_dates(prepared, days, catalogue=own.only(first.values()), policy=policy, trim=True)
    plain = build_dates(prepared, days, catalogue=catalogue, policy=policy)
    shared = [name for name in first.values() if name in catalogue]
    assert len(shared) == len(first) - 1
    for one, other in zip(mine, plain, strict=True):
        assert one.select(shared).values.tobytes() == other.select(shared).values.tobytes()
        python = python_values(
            prepared.tables,
            one.household_id[3],
            one.as_of,
            policy=policy,
            context=count_context(prepared, one.as_of),
            own=own.own,
        )
        assert python["self_paid_bills_6m"] == one.column("self_paid_bills_6m")[3]
        assert one.column("self_paid_bills_6m").sum() > 0


def test_the_hash_of_the_catalogue_covers_what_the_own_functions_say(county_project):
    before = county_project.hash(*catalogue_files(county_project))
    write(county_project, FUNCTION.replace("back[6]", "back[7]"))
    assert county_project.hash(*catalogue_files(county_project)) != before
    assert load_catalogue(county_project).own != load_catalogue_of(county_project, FUNCTION).own


def load_catalogue_of(project, function):
    write(project, function)
    return load_catalogue(project)


def test_reading_a_project_runs_nothing_of_its_files(county_project, tmp_path):
    mark = tmp_path / "ran"
    write(county_project, FUNCTION + f"\n\nopen({str(mark)!r}, 'w')\n")
    with pytest.raises(ProjectError, match=r"features/own/illness\.py:\d+"):
        load_catalogue(county_project)
    assert not mark.exists()


def test_every_fault_of_the_own_files_comes_at_once_with_its_line(own_project):
    write(
        own_project,
        """import os
from riskmodel.features.common import share as divide
from pandas import DataFrame

LIMIT = 3


def Bills(medicine, when=None):
    print(medicine)
    return open("x").read()


def self_paid_12m(medical):
    \"\"\"Ours.\"\"\"
    return sum([bill.self_paid for bill in medical]) + medical[0].diagnosis
""",
    )
    write(own_project, "def wealth(:\n", family="assets")
    write(own_project, "", family="luck")
    with pytest.raises(ProjectError) as error:
        load_catalogue(own_project)
    text = str(error.value)
    for said in (
        "features/own/illness.py:1: `import os`",
        "`share as divide`",
        "imports from pandas",
        "`LIMIT = 3`",
        "no docstring",
        "argument `medicine`",
        "calls `print`",
        "calls `open`",
        "more than arguments and a body",
        "`self_paid_12m` is a name of riskmodel.features.illness",
        "calls `sum`",
        "`medical[0].diagnosis`",
        "features/own/assets.py:1",
        "no family `luck`",
    ):
        assert said in text, said


BODY = """from riskmodel.features.common import Rows, When{names}


def odd(medical: Rows, when: When) -> float:
    \"\"\"Something.\"\"\"
    {line}
    return 0.0
"""


@pytest.mark.parametrize(
    ("names", "line", "said"),
    [
        (", __builtins__", "count = 0", "imports __builtins__"),
        (", np", "count = 0", "imports np"),
        (", Sequence", "count = 0", "imports Sequence"),
        ("", "__import__('os').system('true')", "calls `__import__('os').system`"),
        ("", "count = __builtins__", "the name `__builtins__`"),
        ("", "count = medical.__class__", "`medical.__class__`"),
        ("", "count = Rows.amount", "`Rows.amount`"),
        ("", "count = abs.amount", "`abs.amount`"),
        ("", "count = 'text'", "`'text'`"),
        ("", "count = b'bytes'", "`b'bytes'`"),
        ("", "count = [bill.amount for bill in medical]", "`[bill.amount for bill in medical]`"),
        ("", "count = {1: 2}", "`{1: 2}`"),
        ("", "count = f'{when}'", "`f'{when}'`"),
        ("", "count = max(*medical)", "`*medical`"),
        ("", "count = (yield)", "`(yield)`"),
        ("", "assert medical", "`assert medical`"),
        ("", "del medical", "`del medical`"),
        ("", "raise medical", "`raise medical`"),
        ("", "count = elsewhere", "the name `elsewhere`"),
        ("", "nonlocal count", "`nonlocal count`"),
    ],
)
def test_whatever_is_on_no_list_is_refused_and_nothing_runs(own_project, names, line, said):
    write(own_project, BODY.format(names=names, line=line))
    with pytest.raises(ProjectError) as error:
        load_catalogue(own_project)
    assert said in str(error.value)


def test_functions_see_no_builtins_but_arithmetic(county_project):
    (module,) = own_modules(load_catalogue(county_project).own).values()
    assert set(module.__dict__["__builtins__"]) == {
        "abs",
        "bool",
        "float",
        "int",
        "len",
        "max",
        "min",
        "range",
        "__import__",
    }
    with pytest.raises(ImportError):
        module.__dict__["__builtins__"]["__import__"]("os")


def test_function_and_entry_must_both_be_there(own_project):
    write(own_project, FUNCTION)
    with pytest.raises(ProjectError, match=r"own/illness\.py \(self_paid_bills_6m\).*no entry"):
        load_catalogue(own_project)
    (own_project.root / "features" / "own" / "illness.py").unlink()
    write(own_project, entry=ENTRY)
    with pytest.raises(ProjectError, match=r"catalogue\.yaml:\d+.*no function of this name"):
        load_catalogue(own_project)


def test_an_entry_of_another_family_than_its_file_is_refused(county_project):
    path = county_project.root / "features" / "catalogue.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("  family: illness\n  topic: bills", "  family: income\n  topic: bills"),
        encoding="utf-8",
    )
    with pytest.raises(ProjectError, match="illness, whose file holds the function"):
        load_catalogue(county_project)


def test_a_function_that_does_not_compile_is_named(county_project, written):
    write(county_project, FUNCTION.replace("bill.self_paid > 0.0", "bill.amount > 0.0"))
    catalogue, policy = load_catalogue(county_project), Policy.load(county_project)
    with pytest.raises(ProjectError) as error:
        build(written(BILLS), DAY, catalogue=catalogue.only(["self_paid_bills_6m"]), policy=policy, trim=True)
    assert re.search(r"features/own/illness\.py \(self_paid_bills_6m\)", str(error.value))
    assert "amount" in str(error.value)


def test_two_projects_do_not_mix(county_project, catalogue):
    own = load_catalogue(county_project).own
    assert "self_paid_bills_6m" in definitions(own)
    assert "self_paid_bills_6m" not in definitions(catalogue.own)
    assert list(definitions()) == catalogue.names


def test_from_init_to_a_trained_model_that_uses_the_own_feature(
    project, county_folder, tmp_path, monkeypatch, capsys
):
    """What docs/add-a-feature.md says, done: a new project, one function, one entry, features, a model, and
    the rows behind a value.
    """
    import json

    import polars as pl

    from riskmodel.cli import main
    from riskmodel.project import Project

    def run(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["riskmodel", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert end.value.code in (0, None), said.out + said.err
        return said.out

    monkeypatch.chdir(project.root)
    run("init", str(tmp_path / "ours"))
    ours = Project.find(tmp_path / "ours")
    monkeypatch.chdir(ours.root)
    write(ours, FUNCTION, ENTRY)
    (ours.root / "training" / "plans" / "tiny.yaml").write_text(
        (
            "title: {zh: 试, en: tiny}\n"
            "features: {groups: [illness]}\n"
            "members: 2\n"
            "learner:\n"
            "  lightgbm: {rounds_at_most: 10, patience: 5, learning_rate: 0.1, rows_in_leaf_at_least: 30, "
            "bins: 15}\n"
        ),
        encoding="utf-8",
    )
    run("features", str(county_folder), "--as-of", "2025-06-30", "--output", "features.parquet")
    frame = pl.read_parquet("features.parquet")
    assert frame["self_paid_bills_6m"].sum() > 0
    household = frame.filter(pl.col("self_paid_bills_6m") >= 2)["household_id"][0]
    number = run("train", "tiny", "--tables", str(county_folder)).split()[-1]
    [model] = ours.mlruns.rglob("model.json")
    kept = json.loads(model.read_text(encoding="utf-8"))
    assert "self_paid_bills_6m" in kept["feature_names"] and number
    assert kept["record"]["catalogue_hash"] == ours.hash(*catalogue_files(ours))
    said = run(
        "features",
        str(county_folder),
        "--as-of",
        "2025-06-30",
        "--explain",
        household,
        "--feature",
        "self_paid_bills_6m",
    )
    assert "Number of bills of the last 6 months" in said and "self_paid_bills_6m" in said
