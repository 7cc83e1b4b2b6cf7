"""Lists, scores, assignments, visits, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "cycles",
        sa.Column("county_code", sa.String(length=6), nullable=False),
        sa.Column("cycle", sa.String(length=16), nullable=False),
        sa.Column("opened_at", sa.String(length=32), nullable=False),
        sa.Column("closed_at", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("county_code", "cycle"),
    )
    op.create_table(
        "lists",
        sa.Column("list_hash", sa.String(length=64), nullable=False),
        sa.Column("county_code", sa.String(length=6), nullable=False),
        sa.Column("cycle", sa.String(length=16), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.String(length=32), nullable=False),
        sa.Column("issued_number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("list_hash"),
        sa.UniqueConstraint("issued_number"),
    )
    op.create_table(
        "scores",
        sa.Column("household_id", sa.String(length=200), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("horizon_months", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=False),
        sa.Column("village_code", sa.String(length=12), nullable=True),
        sa.Column("margin", sa.Float(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.Column("feature_hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("household_id", "as_of", "horizon_months", "model_version"),
    )
    op.create_table(
        "assignments",
        sa.Column("list_hash", sa.String(length=64), nullable=False),
        sa.Column("household_id", sa.String(length=200), nullable=False),
        sa.Column("team", sa.String(length=64), nullable=False),
        sa.Column("assigned_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_hash"],
            ["lists.list_hash"],
        ),
        sa.PrimaryKeyConstraint("list_hash", "household_id"),
    )
    op.create_table(
        "drawn_from",
        sa.Column("list_hash", sa.String(length=64), nullable=False),
        sa.Column("household_id", sa.String(length=200), nullable=False),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("stratum", sa.String(length=64), nullable=False),
        sa.Column("inclusion_probability", sa.Float(), nullable=False),
        sa.Column("drawn", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_hash"],
            ["lists.list_hash"],
        ),
        sa.PrimaryKeyConstraint("list_hash", "household_id"),
    )
    op.create_table(
        "list_rows",
        sa.Column("list_hash", sa.String(length=64), nullable=False),
        sa.Column("household_id", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("township_code", sa.String(length=9), nullable=True),
        sa.Column("village_code", sa.String(length=12), nullable=True),
        sa.Column("grade", sa.String(length=8), nullable=False),
        sa.Column("listed_as", sa.String(length=16), nullable=False),
        sa.Column("stratum", sa.String(length=64), nullable=True),
        sa.Column("inclusion_probability", sa.Float(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_hash"],
            ["lists.list_hash"],
        ),
        sa.PrimaryKeyConstraint("list_hash", "household_id"),
    )
    op.create_index("list_rows_by_household", "list_rows", ["household_id"], unique=False)
    op.create_table(
        "rules_met",
        sa.Column("list_hash", sa.String(length=64), nullable=False),
        sa.Column("household_id", sa.String(length=200), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("since", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["list_hash"],
            ["lists.list_hash"],
        ),
        sa.PrimaryKeyConstraint("list_hash", "household_id", "rule"),
    )
    op.create_table(
        "visits",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("list_hash", sa.String(length=64), nullable=False),
        sa.Column("household_id", sa.String(length=200), nullable=False),
        sa.Column("visited_on", sa.Date(), nullable=False),
        sa.Column("known_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", sa.String(length=32), nullable=False),
        sa.Column("recorded_by", sa.String(length=100), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("risk_kinds", sa.String(length=200), nullable=False),
        sa.Column("disagreement", sa.String(length=64), nullable=False),
        sa.Column("visitor", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('risk_confirmed','no_risk','risk_eliminated','unreachable')", name="visits_outcome"
        ),
        sa.ForeignKeyConstraint(
            ["list_hash"],
            ["lists.list_hash"],
        ),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("event_id", "version", name="visits_one_row_a_version"),
    )
    op.create_index("visits_by_list", "visits", ["list_hash", "household_id"], unique=False)
    _append_only("audit")
    _append_only("visits")


def _append_only(table: str) -> None:
    """The database itself refuses to change or delete a row."""
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
    )


def downgrade() -> None:
    raise NotImplementedError("The casebook goes forward only: restore a backup instead.")
