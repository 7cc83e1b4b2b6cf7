"""The casebook's tables: lists, scores, assignments, visits, audit. Changed only together with a migration."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# A cycle of a county: open until somebody closes it; results of a closed cycle are refused.
cycles = Table(
    "cycles",
    metadata,
    Column("county_code", String(6), primary_key=True),
    Column("cycle", String(16), primary_key=True),
    Column("opened_at", String(32), nullable=False),
    Column("closed_at", String(32)),
)

# A list as it was given out. A cycle may have several; all of them can be answered, the newest is the one in force.
lists = Table(
    "lists",
    metadata,
    Column("list_hash", String(64), primary_key=True),
    Column("county_code", String(6), nullable=False),
    Column("cycle", String(16), nullable=False),
    Column("as_of", Date, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("model_version", String(200), nullable=False),
    Column("settings", Text, nullable=False),
    Column("notes", Text, nullable=False),
    Column("issued_at", String(32), nullable=False),
    Column("issued_number", Integer, nullable=False, unique=True),
)

list_rows = Table(
    "list_rows",
    metadata,
    Column("list_hash", String(64), ForeignKey("lists.list_hash"), primary_key=True),
    Column("household_id", String(200), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("place", Integer, nullable=False),
    Column("township_code", String(9)),
    Column("village_code", String(12)),
    Column("grade", String(8), nullable=False),
    Column("listed_as", String(16), nullable=False),
    Column("stratum", String(64)),
    Column("inclusion_probability", Float, nullable=False),
    Column("content", Text, nullable=False),
)
Index("list_rows_by_household", list_rows.c.household_id)

# Everybody who could be drawn for a random check, and with which chance: the population of every estimate of misses.
drawn_from = Table(
    "drawn_from",
    metadata,
    Column("list_hash", String(64), ForeignKey("lists.list_hash"), primary_key=True),
    Column("household_id", String(200), primary_key=True),
    Column("probability", Float),
    Column("stratum", String(64), nullable=False),
    Column("inclusion_probability", Float, nullable=False),
    Column("drawn", Boolean, nullable=False),
)

# Department rules met on the day of a list, and since when: the next list needs them to know what is new.
rules_met = Table(
    "rules_met",
    metadata,
    Column("list_hash", String(64), ForeignKey("lists.list_hash"), primary_key=True),
    Column("household_id", String(200), primary_key=True),
    Column("rule", String(64), primary_key=True),
    Column("since", Date),
)

scores = Table(
    "scores",
    metadata,
    Column("household_id", String(200), primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("horizon_months", Integer, primary_key=True),
    Column("model_version", String(200), primary_key=True),
    Column("village_code", String(12)),
    Column("margin", Float, nullable=False),
    Column("probability", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Column("rank", Integer),
    Column("feature_hash", String(64)),
)

assignments = Table(
    "assignments",
    metadata,
    Column("list_hash", String(64), ForeignKey("lists.list_hash"), primary_key=True),
    Column("household_id", String(200), primary_key=True),
    Column("team", String(64), nullable=False),
    Column("assigned_at", String(32), nullable=False),
)

# Visits and what they found. Never changed: a correction is a new row with the same event_id and a higher version.
visits = Table(
    "visits",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("event_id", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("list_hash", String(64), ForeignKey("lists.list_hash"), nullable=False),
    Column("household_id", String(200), nullable=False),
    Column("visited_on", Date, nullable=False),
    Column("known_on", Date, nullable=False),
    Column("recorded_at", String(32), nullable=False),
    Column("recorded_by", String(100), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("risk_kinds", String(200), nullable=False),
    Column("disagreement", String(64), nullable=False),
    Column("visitor", String(64), nullable=False),
    Column("note", Text, nullable=False),
    UniqueConstraint("event_id", "version", name="visits_one_row_a_version"),
    CheckConstraint("outcome IN ('risk_confirmed','no_risk','risk_eliminated','unreachable')", name="visits_outcome"),
)
Index("visits_by_list", visits.c.list_hash, visits.c.household_id)

# Append-only: each entry carries the hash of the one before it.
audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("role", String(32), nullable=False),
    Column("purpose", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("model_version", String(200), nullable=False),
    Column("details", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)
