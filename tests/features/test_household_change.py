"""Who came and who went: a state table with versions, read as it was known on the day."""

from __future__ import annotations

import math

FAMILY = """
    households
    household_id
    H1
    H2

    members
    member_id  household_id  known_on    relation  birth_date  labour    left_on
    M1         H1            2020-01-01  head      1970-05-01  ordinary  .
    M2         H1            2020-01-01  spouse    1972-05-01  weak      .
    M2         H1            2024-08-10  spouse    1972-05-01  weak      2024-07-20
    M3         H1            2020-01-01  child     2000-05-01  skilled   .
    M3         H2            2024-09-15  spouse    2000-05-01  skilled   .
    M4         H1            2024-10-05  grandchild  2024-09-28  none    .
    M5         H1            2024-11-02  other     1990-01-01  ordinary  .
    M6         H2            2020-01-01  head      1999-01-01  ordinary  .
"""


def test_a_leaving_counts_from_the_day_it_is_known_and_for_a_year_from_the_day_it_happened(value):
    assert value("members_left_12m", "2024-08-09", FAMILY) == 0  # she left on 20 July; nobody knew
    assert value("members_left_12m", "2024-08-10", FAMILY) == 1
    assert value("members_left_12m", "2025-07-19", FAMILY) == 2
    assert value("members_left_12m", "2025-07-20", FAMILY) == 1  # only M3, who moved on 15 September


def test_moving_to_another_household_is_leaving_this_one(value):
    assert value("workers_left_12m", "2024-09-14", FAMILY) == 0
    assert value("workers_left_12m", "2024-09-15", FAMILY) == 1  # the spouse was no worker
    assert value("workers_left_12m", "2025-09-15", FAMILY) == 0


def test_the_loss_of_the_spouse_is_told(value):
    assert value("head_or_spouse_left_12m", "2024-08-09", FAMILY) == 0
    assert value("head_or_spouse_left_12m", "2024-08-10", FAMILY) == 1
    assert value("head_or_spouse_left_12m", "2025-08-10", FAMILY) == 0


def test_the_newborn_and_the_newcomer_are_told_apart(value):
    assert value("newborns_12m", "2024-10-04", FAMILY) == 0
    assert value("newborns_12m", "2024-10-05", FAMILY) == 1
    assert value("newborns_12m", "2025-09-28", FAMILY) == 0  # one year old
    assert value("members_joined_12m", "2024-11-01", FAMILY) == 0
    assert value("members_joined_12m", "2024-11-02", FAMILY) == 1


def test_the_change_of_size_is_members_now_less_members_then(value):
    assert value("household_size_change_12m", "2024-08-01", FAMILY) == 3 - 3
    assert value("household_size_change_12m", "2024-09-15", FAMILY) == 1 - 3
    assert value("household_size_change_12m", "2024-12-01", FAMILY) == 3 - 3  # two left, two came
    assert (
        value("household_size_change_12m", "2025-09-14", FAMILY) == 3 - 2
    )  # a year before, the spouse was gone already


def test_a_household_known_for_less_than_a_year_says_nothing_about_the_year(value):
    text = """
        members
        member_id  known_on    relation  left_on
        M1         2024-03-01  head      .
        M2         2024-03-01  spouse    .
        M2         2024-06-01  spouse    2024-05-20
    """
    names = (
        "members_left_12m",
        "workers_left_12m",
        "head_or_spouse_left_12m",
        "members_joined_12m",
        "household_size_change_12m",
    )
    for name in names:
        assert math.isnan(value(name, "2025-02-28", text)), name
        assert not math.isnan(value(name, "2025-03-01", text)), name
    assert value("newborns_12m", "2024-06-01", text) == 0


def test_a_leaving_that_was_withdrawn_never_happened(value):
    text = """
        members
        member_id  known_on    left_on
        M1         2020-01-01  .
        M2         2020-01-01  .
        M2         2024-02-01  2024-01-20
        M2         2024-04-01  .
    """
    assert value("members_left_12m", "2024-03-31", text) == 1
    assert value("members_left_12m", "2024-04-01", text) == 0
    assert value("household_size_change_12m", "2025-03-01", text) == 0
    assert value("members_joined_12m", "2025-03-01", text) == 0


def test_a_corrected_day_of_leaving_counts_as_corrected(value):
    text = """
        members
        member_id  known_on    left_on
        M1         2020-01-01  .
        M2         2020-01-01  .
        M2         2024-02-01  2024-01-20
        M2         2024-06-01  2023-03-20
    """
    assert value("members_left_12m", "2024-05-31", text) == 1
    assert value("members_left_12m", "2024-06-01", text) == 0  # it was more than a year ago
    assert value("household_size_change_12m", "2024-05-31", text) == -1
    assert value("household_size_change_12m", "2024-06-01", text) == 0


def test_a_leaving_announced_for_later_has_not_happened(value):
    text = """
        members
        member_id  known_on    left_on
        M1         2020-01-01  .
        M2         2020-01-01  .
        M2         2024-02-01  2024-03-15
    """
    assert value("household_size", "2024-03-14", text) == 2
    assert value("members_left_12m", "2024-03-14", text) == 0
    assert value("members_left_12m", "2024-03-15", text) == 1


def test_a_leaving_known_later_changes_nothing_on_an_earlier_day(value):
    before = FAMILY.replace(
        "    M2         H1            2024-08-10  spouse    1972-05-01  weak      2024-07-20\n", ""
    )
    assert before != FAMILY
    for name in (
        "members_left_12m",
        "head_or_spouse_left_12m",
        "household_size_change_12m",
        "household_size",
    ):
        assert value(name, "2024-08-09", FAMILY) == value(name, "2024-08-09", before), name
