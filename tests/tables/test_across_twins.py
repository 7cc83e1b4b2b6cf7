"""The quick roads of records and of requests never pass what the checks across tables refuse: random lives,
of which many are impossible.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from typing import Any

import pytest

from riskmodel.errors import DataError
from riskmodel.features import lives, prepare_records
from riskmodel.tables.across import RULES, may_contradict
from riskmodel.tables.delivery import checked_records

Records = dict[str, list[dict[str, Any]]]
START = dt.date(2023, 1, 1)
REFUSING = {rule.found for rule in RULES.values() if rule.level == "error"}
HOME = {
    "known_on": START,
    "county_code": "522301",
    "township_code": "522301001",
    "village_code": "522301001201",
    "category": "lifted",
    "relocated": False,
}
PERSON = {
    "relation": "head",
    "education": "junior",
    "schooling": "none",
    "chronic_ill": False,
    "seriously_ill": False,
    "labour": "ordinary",
    "medical_insured": True,
    "pension_insured": True,
    "dibao": False,
    "tekun": False,
}


def random_lives(rng: random.Random) -> Records:
    """Two households and three persons with up to three versions each, who move, leave, return or turn out to
    be others; and their bills.
    """

    def day(first: int, last: int) -> dt.date:
        return START + dt.timedelta(days=rng.randrange(first, last))

    records: Records = {
        "households": [HOME | {"household_id": home} for home in ("H1", "H2")],
        "members": [],
        "medical": [],
        "income": [],
    }
    for number in range(3):
        name = f"M{number}"
        born = day(0, 300) if rng.random() < 0.2 else dt.date(rng.randrange(1950, 2010), 5, 1)
        version = PERSON | {
            "member_id": name,
            "household_id": rng.choice(["H1", "H1", "H2"]),
            "birth_date": born,
            "sex": "male",
        }
        known = max(START, born) if rng.random() < 0.5 else max(born, day(0, 500))
        for _ in range(rng.randrange(1, 4)):
            records["members"].append(version | {"known_on": known, "left_on": version.get("left_on")})
            known += dt.timedelta(days=rng.randrange(1, 200))
            version = dict(version)
            change = rng.random()
            if change < 0.25:
                version["household_id"] = rng.choice(["H1", "H2"])
            elif change < 0.55:
                version["left_on"] = (
                    known - dt.timedelta(days=rng.randrange(0, 90)) if rng.random() < 0.7 else None
                )
            elif change < 0.62:
                version |= {
                    "birth_date": dt.date(rng.randrange(1950, 2010), 5, 1),
                    "sex": rng.choice(["male", "female"]),
                }
    people = sorted({row["member_id"] for row in records["members"]})
    for number in range(rng.randrange(0, 4)):
        occurred = day(-200, 700)
        known = occurred + dt.timedelta(days=rng.randrange(0, 60))
        total = rng.choice([100.0, 100.0, 100.0, 30.0])
        name = f"E{rng.randrange(4) if rng.random() < 0.2 else 10 + number}"
        event = {
            "event_id": name,
            "member_id": rng.choice(people),
            "occurred_on": occurred,
            "known_on": known,
        }
        records["medical"].append(
            event
            | {
                "kind": "outpatient",
                "total_cost": total,
                "reimbursed": 60.0 if total > 50 else 31.5,
                "self_paid": 0.0,
            }
        )
        pay = event | {"household_id": rng.choice(["H1", "H2"]), "source": "wage", "amount": 5.0}
        records["income"].append(pay | {"member_id": rng.choice([None, *people])})
    return records


def judged(records: Records) -> str:
    """`right`, `refused` by a rule across tables, or `other` for another fault."""
    try:
        checked_records(records)
    except DataError as error:
        found = [fault.found for fault in error.faults]
        return "refused" if any(text.startswith(tuple(REFUSING)) for text in found) else "other"
    return "right"


def changes_owner(records: Records) -> bool:
    owners: dict[tuple[str, str], set[tuple[Any, Any]]] = {}
    for table in ("medical", "income"):
        for row in records[table]:
            owners.setdefault((table, row["event_id"]), set()).add(
                (row.get("household_id"), row["member_id"])
            )
    return any(len(several) > 1 for several in owners.values())


@pytest.mark.parametrize("part", range(2))
def test_the_quick_roads_leave_whatever_is_refused_to_the_checks(part):
    seen: Counter[tuple[str, bool]] = Counter()
    for number in range(60):
        records = random_lives(random.Random(1000 * part + number))
        verdict, doubt = judged(records), may_contradict(records)
        seen[verdict, doubt] += 1
        if verdict != "refused":
            continue
        assert doubt, records
        same_day = [(row["member_id"], row["known_on"]) for row in records["members"]]
        if not changes_owner(records) and len(set(same_day)) == len(
            same_day
        ):  # these are looked for where ids are read
            assert lives.may_contradict(prepare_records(records)), records
    assert seen["refused", True] > 5 and seen["right", False] > 5, seen
