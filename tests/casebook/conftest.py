"""A casebook on SQLite and on PostgreSQL with one list; and, for look-ups and the page's answers, the small
county that the service tests use.
"""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy.engine import make_url

from riskmodel.casebook import Casebook, audit
from riskmodel.casebook.schema import cycles, list_rows, lists
from riskmodel.casebook.store import connect, writing
from tests.serving.conftest import screened_county, service  # noqa: F401  (fixtures)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'casebook.db'}"
    return request.getfixturevalue("postgres_database")()


@pytest.fixture
def book(url):
    made = Casebook(connect(make_url(url)))
    with writing(made.engine) as connection:
        connection.execute(
            cycles.insert().values(county_code="522301", cycle="2026-01", opened_at=audit.now())
        )
        head = {
            "list_hash": "0" * 64,
            "county_code": "522301",
            "cycle": "2026-01",
            "as_of": dt.date(2025, 12, 31),
            "capacity": 9,
        }
        head |= {
            "model_version": "m",
            "settings": "{}",
            "notes": "[]",
            "issued_at": audit.now(),
            "issued_number": 1,
        }
        connection.execute(lists.insert().values(head))
        row = {
            "list_hash": "0" * 64,
            "grade": "none",
            "listed_as": "model",
            "inclusion_probability": 1.0,
            "content": "{}",
        }
        connection.execute(
            list_rows.insert(), [row | {"household_id": f"h{n}", "number": n, "place": n} for n in range(99)]
        )
    yield made
    made.close()
