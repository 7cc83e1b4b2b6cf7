# ruff: noqa: SIM102
# mypy: disable-error-code="no-any-return"
"""Employment: the monthly labour record, the earliest sign. Reports arrive late, so "now" is each member's
newest report known at T.

A month of a member is worked when its report is `employed`. Members without a report count as not known to
work: 0 months.
"""

from riskmodel.features.common import NAN, Row, Rows, When, able, months_ago, newest_day, share
from riskmodel.features.rows import NEVER, OUTSIDE, PUBLIC_POST, WORKSHOP


def _newest(employment: Rows, member: Row) -> int:
    """Day of the member's newest report; -NEVER without one."""
    if member.employment_end == member.employment_start:
        return -NEVER
    return employment[member.employment_end - 1].occurred_on


def _worked(employment: Rows, member: Row, start: int, end: int) -> int:
    """Number of the member's `employed` reports, after day `start` up to day `end`."""
    months = 0
    for place in range(member.employment_end - 1, member.employment_start - 1, -1):
        report = employment[place]
        if report.occurred_on <= start:
            break
        if report.employed == 1 and report.occurred_on <= end:
            months += 1
    return months


def _reports(employment: Rows, member: Row, start: int, end: int) -> int:
    """Reports of the member after day `start` up to day `end`."""
    months = 0
    for place in range(member.employment_end - 1, member.employment_start - 1, -1):
        report = employment[place]
        if report.occurred_on <= start:
            break
        if report.occurred_on <= end:
            months += 1
    return months


def _paid(employment: Rows, start: int, end: int) -> float:
    """Monthly wages of `employed` reports, from day `start` up to the day before `end`."""
    total = 0.0
    for report in employment:
        if (
            report.employed == 1
            and report.monthly_wage > 0.0
            and report.occurred_on >= start
            and report.occurred_on < end
        ):
            total += report.monthly_wage
    return total


def _last_worked(employment: Rows, member: Row, when: When) -> int:
    """Day of the member's newest `employed` report; the day 12 months back when there is none since."""
    for place in range(member.employment_end - 1, member.employment_start - 1, -1):
        report = employment[place]
        if report.occurred_on <= when.back[12]:
            break
        if report.employed == 1:
            return report.occurred_on
    return when.back[12]


def months_worked_12m(employment_12m: Rows) -> float:
    """Months reported as worked, summed over members, in the last 12 months."""
    months = 0
    for report in employment_12m:
        if report.employed == 1:
            months += 1
    return float(months)


def months_worked_change_6m(employment_12m: Rows, when: When) -> float:
    """Share of reported months worked, last 6 months - the same share of the 6 months before; unknown unless
    both have reports."""
    now = 0
    now_worked = 0
    before = 0
    before_worked = 0
    for report in employment_12m:
        if report.occurred_on > when.back[6]:
            now += 1
            if report.employed == 1:
                now_worked += 1
        else:
            before += 1
            if report.employed == 1:
                before_worked += 1
    if now == 0 or before == 0:
        return NAN
    return now_worked / now - before_worked / before


def worked_share_12m(employment_12m: Rows) -> float:
    """Months reported as worked / months reported, last 12 months, over all members; unknown without a
    report."""
    months = 0
    worked = 0
    for report in employment_12m:
        months += 1
        if report.employed == 1:
            worked += 1
    return share(float(worked), float(months))


def workers_now(employment: Rows, members: Rows, when: When) -> float:
    """Members whose newest report, of the last 6 months, is `employed`."""
    count = 0
    for member in members:
        newest = _newest(employment, member)
        if newest > when.back[6] and _worked(employment, member, newest - 1, newest) > 0:
            count += 1
    return float(count)


def able_without_work(employment: Rows, members: Rows, when: When) -> float:
    """Able members whose newest report, of the last 6 months, is not `employed`. Members without a report do
    not count."""
    count = 0
    for member in members:
        newest = _newest(employment, member)
        if (
            able(member, when)
            and newest > when.back[6]
            and _worked(employment, member, newest - 1, newest) == 0
        ):
            count += 1
    return float(count)


def lost_work_3m(employment: Rows, members: Rows, when: When) -> float:
    """Members who worked in one of the three months before their newest report (of the last 6 months), which
    is not `employed`."""
    count = 0
    for member in members:
        newest = _newest(employment, member)
        if newest > when.back[6] and _worked(employment, member, newest - 1, newest) == 0:
            last = months_ago(newest, when)
            if _worked(employment, member, when.first[last + 3] - 1, newest - 1) > 0:
                count += 1
    return float(count)


def longest_without_work(employment: Rows, members: Rows, when: When) -> float:
    """Months since an able member last worked, for the member for whom it is longest, up to 12; unknown
    without reports of able members."""
    longest = NAN
    for member in members:
        if not able(member, when) or _reports(employment, member, when.back[12], when.as_of) == 0:
            continue
        without = float(_reports(employment, member, _last_worked(employment, member, when), when.as_of))
        if not longest >= without:
            longest = without
    return longest


def returned_from_outside_6m(employment: Rows, members: Rows, when: When) -> float:
    """Members who worked outside the province in the last 12 months and whose newest report, of the last 6
    months, is no longer so."""
    count = 0
    for member in members:
        newest = _newest(employment, member)
        outside_before = False
        outside_now = False
        for place in range(member.employment_start, member.employment_end):
            report = employment[place]
            if report.employed == 1 and report.place == OUTSIDE:
                if report.occurred_on == newest:
                    outside_now = True
                elif report.occurred_on > when.back[12]:
                    outside_before = True
        if newest > when.back[6] and outside_before and not outside_now:
            count += 1
    return float(count)


def outside_workers_now(employment: Rows, members: Rows, when: When) -> float:
    """Members whose newest report, of the last 6 months, is `employed` outside the province."""
    count = 0
    for member in members:
        newest = _newest(employment, member)
        if newest > when.back[6]:
            for place in range(member.employment_start, member.employment_end):
                report = employment[place]
                if report.occurred_on == newest:
                    if report.employed == 1 and report.place == OUTSIDE:
                        count += 1
                        break
    return float(count)


def public_post_months_12m(employment_12m: Rows) -> float:
    """Months worked on a public post or in a workshop for those in need, summed over members, last 12
    months."""
    months = 0
    for report in employment_12m:
        if report.employed == 1 and (report.channel == PUBLIC_POST or report.channel == WORKSHOP):
            months += 1
    return float(months)


def spells_without_work_12m(employment: Rows, members: Rows, when: When) -> float:
    """Times that a month without work followed a month of work, summed over members, last 12 months."""
    spells = 0
    for member in members:
        before = -1
        for place in range(member.employment_start, member.employment_end):
            report = employment[place]
            if report.occurred_on > when.back[12] and report.occurred_on <= when.as_of:
                if before == 1 and report.employed == 0:
                    spells += 1
                before = report.employed
    return float(spells)


def reported_wage_3m(employment: Rows, when: When) -> float:
    """Wages in the labour record in the three months up to the newest report / 3: what the household's
    workers earn a month."""
    newest = newest_day(employment)
    if newest <= when.back[6]:
        return NAN
    last = months_ago(newest, when)
    return _paid(employment, when.first[last + 2], newest + 1) / 3.0


def reported_wage_change_3m(employment: Rows, when: When) -> float:
    """(wages in the labour record, 3 months up to the newest report - the 3 before) / the latter; unknown
    unless that is above 0."""
    newest = newest_day(employment)
    if newest <= when.back[6]:
        return NAN
    last = months_ago(newest, when)
    before = _paid(employment, when.first[last + 5], when.first[last + 2])
    return share(_paid(employment, when.first[last + 2], newest + 1) - before, before)
