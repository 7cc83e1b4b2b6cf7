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


def test_only_the_two_rules_are_baselines():
    assert {name for name, spec in LEARNERS.items() if spec.baseline} == {"income_rule", "department_rules"}


@pytest.mark.parametrize("name", list(LEARNERS))
def test_what_learns_can_be_tuned_and_nothing_else(name):
    spec = LEARNERS[name]
    assert spec.learns == (spec.trials is not None), (
        f"{name}: `trials` belongs to `learns=True`; `trials=lambda: SeparateTrials(fit)` fits anew each time"
    )


def test_of_these_learners_only_boosting_is_not_explained():
    explained = {name for name, spec in LEARNERS.items() if spec.explained}
    assert {"income_rule", "department_rules", "logistic", "lightgbm", "hazard", "external"} <= explained
    assert "boosting" not in explained  # no contributions are computed for its arrays


def test_ready_made_tables_can_be_fitted_by_these_learners():
    assert {"income_rule", "logistic", "lightgbm", "boosting"} <= {
        name for name, spec in LEARNERS.items() if spec.for_tables
    }
    assert not any(LEARNERS[name].for_tables for name in ("department_rules", "hazard", "external"))


@pytest.mark.parametrize("name", list(LEARNERS))
def test_every_learner_has_a_row_in_the_table_of_the_training_page(project, name):
    page = (project.root / "docs" / "training.md").read_text(encoding="utf-8")
    assert f"\n| `{name}` | " in page, f"add a row for `{name}` to the table of learners in docs/training.md"


@pytest.mark.parametrize("name", list(LEARNERS))
def test_two_members_are_asked_of_what_learns_and_of_nothing_else(name):
    if LEARNERS[name].learns:
        with pytest.raises(ValueError, match="at least 2"):
            plan(name, members=1)
    else:
        assert plan(name, members=1)
