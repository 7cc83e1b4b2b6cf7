# mypy: disable-error-code="no-any-return"
"""Expenditure: necessary spending against income. Yuan, over twelve whole months unless noted; no row in a
present table is 0."""

from riskmodel.features.common import (
    NAN,
    Row,
    Rows,
    When,
    compliant_between,
    flag,
    gross_income,
    income_between,
    money_between,
    net_income,
    share,
    since,
    spent_between,
)
from riskmodel.features.rows import (
    BUSINESS,
    CARE,
    DEBT,
    DISASTER,
    EDUCATION,
    HOUSING,
    PRODUCTION,
)


def _rigid(expenditure: Rows, medical_cost: float, start: int, end: int) -> float:
    """Medical cost, and education, care, disaster and housing cost from day `start` up to the day before
    `end`: what nobody can choose."""
    total = medical_cost
    for place in range(since(expenditure, start), since(expenditure, end)):
        flow = expenditure[place]
        amount = flow.amount
        if (
            flow.purpose == EDUCATION
            or flow.purpose == CARE
            or flow.purpose == DISASTER
            or flow.purpose == HOUSING
        ):
            total += amount
    return total


def rigid_spending_pp_12m(expenditure: Rows, medical: Rows, members: Rows, policy: Row) -> float:
    """(education + care + disaster + housing + compliant self-paid medical cost) / members, over the
    accounting window."""
    paid = compliant_between(medical, policy.accounting_start, policy.accounting_end)
    return _rigid(expenditure, paid, policy.accounting_start, policy.accounting_end) / len(members)


def rigid_share_12m(expenditure: Rows, medical: Rows, income: Rows, policy: Row) -> float:
    """Rigid spending / net income, over the accounting window; unknown unless net income is above 0."""
    paid = compliant_between(medical, policy.accounting_start, policy.accounting_end)
    rigid = _rigid(expenditure, paid, policy.accounting_start, policy.accounting_end)
    return share(rigid, net_income(income, expenditure, policy.accounting_start, policy.accounting_end))


def education_spending_12m(expenditure: Rows, when: When) -> float:
    """Sum of education spending of the last 12 whole months."""
    return spent_between(expenditure, EDUCATION, when.first[12], when.first[0])


def education_share_12m(expenditure: Rows, income: Rows, when: When) -> float:
    """Education spending / all income, last 12 whole months."""
    return share(
        spent_between(expenditure, EDUCATION, when.first[12], when.first[0]),
        gross_income(income, when.first[12], when.first[0]),
    )


def debt_share_12m(expenditure: Rows, income: Rows, when: When) -> float:
    """Debt payments / all income, last 12 whole months."""
    return share(
        spent_between(expenditure, DEBT, when.first[12], when.first[0]),
        gross_income(income, when.first[12], when.first[0]),
    )


def care_spending_12m(expenditure: Rows, when: When) -> float:
    """Sum of care spending of the last 12 whole months."""
    return spent_between(expenditure, CARE, when.first[12], when.first[0])


def production_cost_ratio_12m(expenditure: Rows, income: Rows, when: When) -> float:
    """Production expenditure / business income, last 12 whole months; above 1: producing at a loss."""
    return share(
        spent_between(expenditure, PRODUCTION, when.first[12], when.first[0]),
        income_between(income, BUSINESS, when.first[12], when.first[0]),
    )


def spending_income_ratio_12m(expenditure: Rows, income: Rows, when: When) -> float:
    """All expenditure recorded / all income, last 12 whole months."""
    return share(
        money_between(expenditure, when.first[12], when.first[0]),
        gross_income(income, when.first[12], when.first[0]),
    )


def rigid_above_cutoff_12m(expenditure: Rows, medical: Rows, income: Rows, policy: Row) -> float:
    """Rigid spending > `rigid_share_cutoff` * net income, over the accounting window; any rigid spending
    where net income is not above 0."""
    net = net_income(income, expenditure, policy.accounting_start, policy.accounting_end)
    if not (net <= 0.0 or net > 0.0):
        return NAN
    paid = compliant_between(medical, policy.accounting_start, policy.accounting_end)
    rigid = _rigid(expenditure, paid, policy.accounting_start, policy.accounting_end)
    return flag(rigid > policy.rigid_share_cutoff * max(net, 0.0))
