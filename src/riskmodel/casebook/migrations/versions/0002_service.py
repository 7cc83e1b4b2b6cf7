"""Keys, sessions, answers under idempotency keys; scorings and what each score says; what pages filter by."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scorings",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("horizon_months", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=False),
        sa.Column("households", sa.Integer(), nullable=False),
        sa.Column("data_dates", sa.Text(), nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("dictionary", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("as_of", "horizon_months", "model_version", name="scorings_once"),
    )
    op.create_table(
        "said",
        sa.Column("scoring", sa.Integer(), nullable=False),
        sa.Column("household_id", sa.String(length=200), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["scoring"], ["scorings.number"]),
        sa.PrimaryKeyConstraint("scoring", "household_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "keys",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("areas", sa.String(length=2000), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("expires_at", sa.String(length=32), nullable=False),
        sa.Column("revoked_at", sa.String(length=32), nullable=True),
        sa.Column("revoked_by", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_table(
        "sessions",
        sa.Column("session_hash", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("seen_at", sa.String(length=32), nullable=False),
        sa.Column("ended_at", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["keys.key_id"]),
        sa.PrimaryKeyConstraint("session_hash"),
    )
    op.create_table(
        "idempotency",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("idempotency_key", sa.String(length=64), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("answered_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "route", "idempotency_key"),
    )
    op.add_column("lists", sa.Column("guide", sa.Text(), nullable=True))
    op.add_column("lists", sa.Column("data_dates", sa.Text(), nullable=True))
    op.add_column("list_rows", sa.Column("risk_kinds", sa.String(length=200), nullable=True))
    taken_out = "json_extract(content, '$.risk_kinds')"
    if op.get_bind().dialect.name == "postgresql":
        taken_out = "content::json->>'risk_kinds'"
    op.execute(f"UPDATE list_rows SET risk_kinds = {taken_out}")
    order = ["list_hash", "number", "village_code", "grade", "listed_as", "risk_kinds", "household_id"]
    op.create_index("list_rows_in_order", "list_rows", order, unique=False)
    scoring = sa.Column("scoring", sa.Integer(), nullable=True)
    if op.get_bind().dialect.name == "sqlite":  # SQLite adds a foreign key only together with its column
        op.execute("ALTER TABLE scores ADD COLUMN scoring INTEGER REFERENCES scorings (number)")
    else:
        op.add_column("scores", scoring)
        op.create_foreign_key(None, "scores", "scorings", ["scoring"], ["number"])
    op.add_column("scores", sa.Column("grade", sa.String(length=8), nullable=True))
    op.add_column("scores", sa.Column("risk_kinds", sa.String(length=200), nullable=True))
    order = ["scoring", "rank", "village_code", "grade", "risk_kinds", "household_id"]
    op.create_index("scores_in_order", "scores", order, unique=False)


def downgrade() -> None:
    raise NotImplementedError("The casebook goes forward only: restore a backup instead.")
