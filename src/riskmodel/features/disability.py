# mypy: disable-error-code="no-any-return"
"""Disability: certificates in force at T. Level 1 is the gravest of 4; severe is up to the policy's level
(2). No certificate counts 0."""

from riskmodel.features.common import NAN, Row, Rows, When, able, age, of_working_age, valid
from riskmodel.features.rows import INTELLECTUAL, MENTAL


def _gravest(disability: Rows, member: Row, when: When) -> int:
    """Gravest level among a member's certificates in force at T; 9 without one."""
    gravest = 9
    for certificate in disability:
        if certificate.person == member.person and valid(certificate, when.as_of):
            gravest = min(gravest, certificate.level)
    return gravest


def disabled_members(disability: Rows, members: Rows, when: When) -> float:
    """Members with a certificate in force at T."""
    count = 0
    for member in members:
        if _gravest(disability, member, when) < 9:
            count += 1
    return float(count)


def severely_disabled_members(disability: Rows, members: Rows, policy: Row, when: When) -> float:
    """Members with a certificate in force of level 1 or 2 (`severe_disability_level`)."""
    count = 0
    for member in members:
        if _gravest(disability, member, when) <= policy.severe_disability_level:
            count += 1
    return float(count)


def gravest_disability(disability: Rows, members: Rows, when: When) -> float:
    """Gravest level (1 to 4) of any certificate in force; unknown without one."""
    gravest = 9
    for member in members:
        gravest = min(gravest, _gravest(disability, member, when))
    if gravest == 9:
        return NAN
    return float(gravest)


def mentally_disabled_members(disability: Rows, members: Rows, when: When) -> float:
    """Members with a certificate in force of kind mental or intellectual."""
    count = 0
    for member in members:
        for certificate in disability:
            if (
                certificate.person == member.person
                and (certificate.kind == MENTAL or certificate.kind == INTELLECTUAL)
                and valid(certificate, when.as_of)
            ):
                count += 1
                break
    return float(count)


def newly_certified_12m(disability: Rows, members: Rows, when: When) -> float:
    """Members whose first certificate is of the last 12 months."""
    count = 0
    for member in members:
        first = when.as_of + 1
        for certificate in disability:
            if certificate.person == member.person:
                first = min(first, certificate.occurred_on)
        if first > when.back[12] and first <= when.as_of:
            count += 1
    return float(count)


def newly_severe_12m(disability: Rows, members: Rows, policy: Row, when: When) -> float:
    """Members whose first certificate of level 1 or 2 is of the last 12 months."""
    count = 0
    for member in members:
        first = when.as_of + 1
        for certificate in disability:
            if certificate.person == member.person and certificate.level <= policy.severe_disability_level:
                first = min(first, certificate.occurred_on)
        if first > when.back[12] and first <= when.as_of:
            count += 1
    return float(count)


def severely_disabled_workers(disability: Rows, members: Rows, policy: Row, when: When) -> float:
    """Members of 16 to 59 years with a certificate in force of level 1 or 2."""
    count = 0
    for member in members:
        if (
            of_working_age(member, when)
            and _gravest(disability, member, when) <= policy.severe_disability_level
        ):
            count += 1
    return float(count)


def disabled_elderly(disability: Rows, members: Rows, when: When) -> float:
    """Members of 60 years or more with a certificate in force."""
    count = 0
    for member in members:
        if age(member, when) >= 60 and _gravest(disability, member, when) < 9:
            count += 1
    return float(count)


def carers_per_dependant(disability: Rows, members: Rows, policy: Row, when: When) -> float:
    """Able workers / members who need care (severely disabled, or 80 years or more); unknown when nobody
    needs care."""
    carers = 0
    needing = 0
    for member in members:
        severe = _gravest(disability, member, when) <= policy.severe_disability_level
        if severe or age(member, when) >= 80:
            needing += 1
        elif able(member, when):
            carers += 1
    if needing == 0:
        return NAN
    return carers / needing
