"""A learner is one entry: what the package needs to know of it stands in its file, and no other file compares
names of learners.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import riskmodel
from riskmodel.training.learners import LEARNERS
from riskmodel.training.plan import Plan

HOME = Path(riskmodel.__file__).parent


def plan(name, **changes):
    return Plan.model_validate(
        {"title": {"zh": "试", "en": "t"}, "learner": {name: parameters(name)}, **changes}
    )


def parameters(name):
    return {"predictions": "x.parquet"} if name == "external" else {}


@pytest.mark.parametrize("name", list(LEARNERS))
def test_a_plan_names_a_learner_and_gets_its_description_and_parameters(name):
    chosen = plan(name).learner
    assert chosen.name == name and chosen.spec is LEARNERS[name]
    assert isinstance(chosen.parameters, LEARNERS[name].parameters)
    assert chosen.model_dump(exclude_none=True) == {name: chosen.parameters.model_dump(exclude_none=True)}


def test_no_other_file_compares_the_names_of_learners():
    found = []
    for path in sorted(HOME.rglob("*.py")):
        if "learners" in path.parts or path.name in ("examples.py", "demo.py"):  # texts that show a plan
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                texts = {
                    part.value
                    for part in ast.walk(node)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
                if texts & set(LEARNERS):
                    found.append(f"{path.relative_to(HOME)}:{node.lineno}")
    assert not found


def test_rules_are_baselines_and_what_learns_can_be_tuned():
    assert {name for name, spec in LEARNERS.items() if spec.baseline} == {"income_rule", "department_rules"}
    assert (
        {name for name, spec in LEARNERS.items() if spec.learns}
        == {name for name, spec in LEARNERS.items() if spec.trials}
        == {
            "logistic",
            "lightgbm",
            "boosting",
            "hazard",
        }
    )
    assert [name for name, spec in LEARNERS.items() if spec.for_tables] == [
        "income_rule",
        "logistic",
        "lightgbm",
        "boosting",
    ]
    assert [name for name, spec in LEARNERS.items() if not spec.explained] == ["boosting"]


@pytest.mark.parametrize("name", list(LEARNERS))
def test_two_members_are_asked_of_what_learns_and_of_nothing_else(name):
    if LEARNERS[name].learns:
        with pytest.raises(ValueError, match="at least 2"):
            plan(name, members=1)
    else:
        assert plan(name, members=1)
