"""What a plan may learn from: tables with outcomes, and with no more rows set aside than the plan allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from riskmodel.errors import PlanError
from riskmodel.tables import Tables
from riskmodel.training import load_plan
from riskmodel.training.fold_rows import _refuse_unfit_tables


def test_a_plan_without_outcomes_is_refused_and_says_what_to_deliver(project, county):
    tables = Tables({name: frame for name, frame in county.frames.items() if name != "verifications"})
    with pytest.raises(PlanError, match=r"verifications: no such table.*Deliver the table"):
        _refuse_unfit_tables("income_rule", load_plan(project, "income_rule"), tables)


def test_rows_that_were_set_aside_stop_a_plan_that_does_not_allow_them(project, county):
    tables = replace(county, refused={"medical": 3, "income": 0})
    plan = load_plan(project, "income_rule")
    with pytest.raises(PlanError, match=r"medical: 3 of [\d,]+ rows were set aside.*at most 0\.0%"):
        _refuse_unfit_tables("income_rule", plan, tables)
    _refuse_unfit_tables("income_rule", plan.model_copy(update={"refused_rows_at_most": 0.01}), tables)
