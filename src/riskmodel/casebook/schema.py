"""The casebook's tables: lists, scores, assignments, visits, audit. Changed only together with a
migration.
"""

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
    LargeBinary,
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

# A list as it was given out. A cycle may have several; all of them can be answered, the newest is the one in
# force.
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
    Column("guide", Text),
    Column("data_dates", Text),
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
    Column("risk_kinds", String(200)),
)
Index("list_rows_by_household", list_rows.c.household_id)
# Pages go by number; the further columns let counts and filters be answered from the index alone, without the
# texts.
Index(
    "list_rows_in_order",
    list_rows.c.list_hash,
    list_rows.c.number,
    list_rows.c.village_code,
    list_rows.c.grade,
    list_rows.c.listed_as,
    list_rows.c.risk_kinds,
    list_rows.c.household_id,
)

# Everybody who could be drawn for a random check, and with which chance: the population of every estimate of
# misses.
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

# Everybody else of the county on the day of a list, and why they are not on it (`visits.not_listed`).
not_listed = Table(
    "not_listed",
    metadata,
    Column("list_hash", String(64), ForeignKey("lists.list_hash"), primary_key=True),
    Column("household_id", String(200), primary_key=True),
    Column("village_code", String(12)),
    Column("reason", String(16), nullable=False),
    Column("since", Date),
    Column("until", Date),
    Column("last_visit", Date),
    Column("last_outcome", String(32)),
)
Index("not_listed_by_household", not_listed.c.household_id)

# A cohort scored at once: what its scores have in common. `dictionary` compresses the texts of each.
scorings = Table(
    "scorings",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("as_of", Date, nullable=False),
    Column("horizon_months", Integer, nullable=False),
    Column("model_version", String(200), nullable=False),
    Column("households", Integer, nullable=False),
    Column("data_dates", Text, nullable=False),
    Column("sources", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("dictionary", LargeBinary, nullable=False),
    Column("kept_at", String(32), nullable=False),
    UniqueConstraint("as_of", "horizon_months", "model_version", name="scorings_once"),
)

# The texts of each score: reasons, notes, checks, rules met, ages of the data. JSON, compressed with the
# dictionary of its scoring.
stored_texts = Table(
    "said",
    metadata,
    Column("scoring", Integer, ForeignKey("scorings.number"), primary_key=True),
    Column("household_id", String(200), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
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
    Column("scoring", Integer, ForeignKey("scorings.number")),
    Column("grade", String(8)),
    Column("risk_kinds", String(200)),
)
# Pages go by rank; the further columns let a filter be answered from the index alone.
Index(
    "scores_in_order",
    scores.c.scoring,
    scores.c.rank,
    scores.c.village_code,
    scores.c.grade,
    scores.c.risk_kinds,
    scores.c.household_id,
)

assignments = Table(
    "assignments",
    metadata,
    Column("list_hash", String(64), ForeignKey("lists.list_hash"), primary_key=True),
    Column("household_id", String(200), primary_key=True),
    Column("team", String(64), nullable=False),
    Column("assigned_at", String(32), nullable=False),
)

# Visits and what they found. Never changed: a correction is a new row with the same event_id and a higher
# version. chain: one for each county, cycle, household and team (`results.team_key`); its newest row is the
# result in force, unless it is withdrawn.
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
    Column("chain", String(64), nullable=False),
    UniqueConstraint("event_id", "version", name="visits_one_row_a_version"),
    CheckConstraint(
        "outcome IN ('risk_confirmed','no_risk','risk_eliminated','unreachable')", name="visits_outcome"
    ),
)
Index("visits_by_list", visits.c.list_hash, visits.c.household_id)
Index("visits_by_chain", visits.c.chain, visits.c.number)
Index("visits_by_household", visits.c.household_id)

# Results that were taken back, with the reason: a visit recorded on the wrong household. Append-only; the
# result itself stays in `visits`.
withdrawals = Table(
    "withdrawals",
    metadata,
    Column("visit_number", Integer, ForeignKey("visits.number"), primary_key=True, autoincrement=False),
    Column("withdrawn_on", Date, nullable=False),
    Column("withdrawn_at", String(32), nullable=False),
    Column("withdrawn_by", String(100), nullable=False),
    Column("reason", String(500), nullable=False),
)

# Keys to the service. The secret itself is nowhere: only its SHA-256 is stored. Areas: code prefixes joined
# by `;`.
keys = Table(
    "keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("secret_hash", String(64), nullable=False),
    Column("name", String(100), nullable=False),
    Column("role", String(32), nullable=False),
    Column("areas", String(2000), nullable=False),
    Column("purpose", String(200), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Column("revoked_at", String(32)),
    Column("revoked_by", String(100)),
)

# Sign-ins of the page. Only the hash of the cookie is stored; a session ends with its key.
sessions = Table(
    "sessions",
    metadata,
    Column("session_hash", String(64), primary_key=True),
    Column("key_id", String(16), ForeignKey("keys.key_id"), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("seen_at", String(32), nullable=False),
    Column("ended_at", String(32)),
)

# Answers that were given under an idempotency key, so that the same request again gets the same answer.
idempotency = Table(
    "idempotency",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("route", String(64), primary_key=True),
    Column("idempotency_key", String(64), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("answered_at", String(32), nullable=False),
)

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
