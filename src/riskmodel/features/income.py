# mypy: disable-error-code="no-any-return"
"""Income: amount, steadiness, sources, and distance to the monitoring line.

Money in yuan; "a person" divides by the members in force at T. Net income = wage + business + property +
transfer - production expenditure, over the accounting window (`features/policy/accounting.yaml`; twelve whole
months up to the end of the month before, by default). A household without a single row of income in the
window is unknown, not at zero.
"""

from riskmodel.features.common import (
    NAN,
    Row,
    Rows,
    When,
    compliant_between,
    end_of_month,
    flag,
    gross_income,
    income_between,
    money_between,
    months_ago,
    net_income,
    newest_day,
    share,
    since,
    spent_between,
)
from riskmodel.features.rows import BUSINESS, PRODUCTION, PROPERTY, TRANSFER, WAGE


def net_income_pp_12m(income: Rows, expenditure: Rows, members: Rows, policy: Row) -> float:
    """(wage + business + property + transfer - production expenditure) / members, over the accounting
    window."""
    return net_income(income, expenditure, policy.accounting_start, policy.accounting_end) / len(members)


def income_gap_pp(income: Rows, expenditure: Rows, medical: Rows, members: Rows, policy: Row) -> float:
    """(net income - compliant self-paid medical cost) / members - monitoring line, over the accounting
    window. Negative: below."""
    net = net_income(income, expenditure, policy.accounting_start, policy.accounting_end)
    paid = compliant_between(medical, policy.accounting_start, policy.accounting_end)
    return (net - paid) / len(members) - policy.monitoring_line


def net_income_pp_before_12m(income: Rows, expenditure: Rows, members: Rows, when: When) -> float:
    """Net income of the twelve whole months before the last twelve / members at T."""
    return net_income(income, expenditure, when.first[24], when.first[12]) / len(members)


def income_change_share_12m(income: Rows, expenditure: Rows, when: When) -> float:
    """(net income of the last 12 whole months - that of the 12 before) / that of the 12 before; unknown
    unless that is above 0."""
    before = net_income(income, expenditure, when.first[24], when.first[12])
    return share(net_income(income, expenditure, when.first[12], when.first[0]) - before, before)


def recent_income_gap_pp(income: Rows, expenditure: Rows, members: Rows, policy: Row, when: When) -> float:
    """2 * net income of the last 6 whole months / members - monitoring line: where the year is heading."""
    return (
        2.0 * net_income(income, expenditure, when.first[6], when.first[0]) / len(members)
        - policy.monitoring_line
    )


def wage_income_pp_12m(income: Rows, members: Rows, when: When) -> float:
    """Wages of the last 12 whole months / members."""
    return income_between(income, WAGE, when.first[12], when.first[0]) / len(members)


def net_business_income_pp_12m(income: Rows, expenditure: Rows, members: Rows, when: When) -> float:
    """(business income - production expenditure) of the last 12 whole months / members; may be negative."""
    sales = income_between(income, BUSINESS, when.first[12], when.first[0])
    return (sales - spent_between(expenditure, PRODUCTION, when.first[12], when.first[0])) / len(members)


def property_income_pp_12m(income: Rows, members: Rows, when: When) -> float:
    """Property income of the last 12 whole months / members."""
    return income_between(income, PROPERTY, when.first[12], when.first[0]) / len(members)


def transfer_income_pp_12m(income: Rows, members: Rows, when: When) -> float:
    """Transfers of the last 12 whole months / members."""
    return income_between(income, TRANSFER, when.first[12], when.first[0]) / len(members)


def wage_share_12m(income: Rows, when: When) -> float:
    """Wages / all income of the last 12 whole months."""
    return share(
        income_between(income, WAGE, when.first[12], when.first[0]),
        gross_income(income, when.first[12], when.first[0]),
    )


def business_share_12m(income: Rows, when: When) -> float:
    """Business income / all income of the last 12 whole months, before production cost."""
    return share(
        income_between(income, BUSINESS, when.first[12], when.first[0]),
        gross_income(income, when.first[12], when.first[0]),
    )


def transfer_share_12m(income: Rows, when: When) -> float:
    """Transfers / all income of the last 12 whole months."""
    return share(
        income_between(income, TRANSFER, when.first[12], when.first[0]),
        gross_income(income, when.first[12], when.first[0]),
    )


def _wages(income: Rows, start: int, end: int) -> float:
    """Wages from day `start` up to the day before `end`; 0 without a row."""
    total = 0.0
    for place in range(since(income, start), since(income, end)):
        amount = income[place].amount
        if income[place].source == WAGE:
            total += amount
    return total


def wage_change_share_3m(income: Rows, when: When) -> float:
    """(wages of the 3 months up to the newest income record - wages of the 3 before) / the latter; unknown
    unless they are above 0."""
    newest = newest_day(income)
    if newest < when.first[9]:
        return NAN
    last = months_ago(newest, when)
    before = _wages(income, when.first[last + 5], when.first[last + 2])
    return share(_wages(income, when.first[last + 2], end_of_month(last, when)) - before, before)


def wage_change_year_share_3m(income: Rows, when: When) -> float:
    """(wages of the 3 months up to the newest income record - wages of the same months a year before) / the
    latter: season apart."""
    newest = newest_day(income)
    if newest < when.first[9]:
        return NAN
    last = months_ago(newest, when)
    before = _wages(income, when.first[last + 14], when.first[last + 11])
    return share(_wages(income, when.first[last + 2], end_of_month(last, when)) - before, before)


def quarters_without_wage_12m(income: Rows, when: When) -> float:
    """Quarters without any wage among the four up to the newest income record; unknown without a record of
    the last 9 months."""
    newest = newest_day(income)
    if newest < when.first[9]:
        return NAN
    last = months_ago(newest, when)
    quarters = 0
    for quarter in range(4):
        end = end_of_month(last + 3 * quarter, when)
        if _wages(income, when.first[last + 3 * quarter + 2], end) <= 0.0:
            quarters += 1
    return float(quarters)


def income_swing_12m(income: Rows, when: When) -> float:
    """Mean distance of a quarter's income from the quarterly mean / that mean, four quarters up to the newest
    record. 0: always the same."""
    newest = newest_day(income)
    if newest < when.first[9]:
        return NAN
    last = months_ago(newest, when)
    mean = money_between(income, when.first[last + 11], end_of_month(last, when)) / 4.0
    distance = 0.0
    for quarter in range(4):
        end = end_of_month(last + 3 * quarter, when)
        distance += abs(money_between(income, when.first[last + 3 * quarter + 2], end) - mean)
    return share(distance / 4.0, mean)


def best_quarter_share_12m(income: Rows, when: When) -> float:
    """Income of the best three months in a row / income of the last 12 whole months. 0.25: the same all
    year."""
    best = 0.0
    for month in range(10):
        best = max(best, money_between(income, when.first[month + 3], when.first[month]))
    return share(best, gross_income(income, when.first[12], when.first[0]))


def top_earner_share_12m(income: Rows, members: Rows, when: When) -> float:
    """Largest income recorded for one member / income recorded for any member, over the last 12 whole
    months."""
    top = 0.0
    total = 0.0
    start = since(income, when.first[12])
    for member in members:
        own = 0.0
        for place in range(start, len(income)):
            flow = income[place]
            if flow.person == member.person and flow.occurred_on < when.first[0]:
                own += flow.amount
        total += own
        top = max(top, own)
    return share(top, total)


def below_dibao_without_dibao(income: Rows, expenditure: Rows, members: Rows, policy: Row) -> float:
    """Net income a person over the accounting window is below the dibao standard, and no member receives
    dibao or tekun."""
    net = net_income(income, expenditure, policy.accounting_start, policy.accounting_end)
    if not (net <= 0.0 or net > 0.0):
        return NAN
    covered = False
    for member in members:
        covered = covered or member.dibao == 1 or member.tekun == 1
    return flag(not covered and net / len(members) < policy.dibao_standard)
