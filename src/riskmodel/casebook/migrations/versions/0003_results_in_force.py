"""One chain of results for each household, cycle and team; withdrawals; rows that REPLACE INTO cannot
overwrite; hashes of what is kept.
"""

import hashlib
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "withdrawals",
        sa.Column("visit_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("withdrawn_on", sa.Date(), nullable=False),
        sa.Column("withdrawn_at", sa.String(length=32), nullable=False),
        sa.Column("withdrawn_by", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["visit_number"], ["visits.number"]),
        sa.PrimaryKeyConstraint("visit_number"),
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("visits", sa.Column("chain", sa.String(length=64), nullable=False, server_default=""))
    if sqlite:
        op.execute("DROP TRIGGER visits_no_update")
    else:
        op.execute("ALTER TABLE visits DISABLE TRIGGER visits_append_only")
    _name_chains()
    if sqlite:
        _refuse_on_sqlite("visits", "UPDATE")
    else:
        op.execute("ALTER TABLE visits ENABLE TRIGGER visits_append_only")
    op.create_index("visits_by_chain", "visits", ["chain", "number"], unique=False)
    op.create_index("visits_by_household", "visits", ["household_id"], unique=False)
    _append_only("withdrawals")
    if (
        sqlite
    ):  # REPLACE deletes without asking the triggers of DELETE: a row that is there cannot be inserted again
        _refuse_again("audit", "number = NEW.number OR hash = NEW.hash")
        _refuse_again("visits", "number = NEW.number OR (event_id = NEW.event_id AND version = NEW.version)")
        _refuse_again("withdrawals", "visit_number = NEW.visit_number")


def _name_chains() -> None:
    """The same name as `riskmodel.casebook.results.chain_of` gives to a new result; written out here, because
    it must never change.
    """
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT visits.number, county_code, cycle, household_id, visitor FROM visits "
            "JOIN lists ON lists.list_hash = visits.list_hash"
        )
    ).all()
    for number, county, cycle, household, visitor in rows:
        team = "".join(unicodedata.normalize("NFKC", visitor).casefold().split())
        digest = hashlib.sha256("\x1f".join((county, cycle, household, team)).encode()).hexdigest()
        connection.execute(
            sa.text("UPDATE visits SET chain = :chain WHERE number = :number"),
            {"chain": f"visit-{digest[:40]}", "number": number},
        )


def _refuse_again(table: str, same: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} "
        f"WHERE {same}) BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


def _refuse_on_sqlite(table: str, action: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            _refuse_on_sqlite(table, action)
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
