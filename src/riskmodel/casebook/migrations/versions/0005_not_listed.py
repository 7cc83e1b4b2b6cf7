"""Why each household of the county is not on a list."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "not_listed",
        sa.Column("list_hash", sa.String(length=64), nullable=False),
        sa.Column("household_id", sa.String(length=200), nullable=False),
        sa.Column("village_code", sa.String(length=12), nullable=True),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("last_visit", sa.Date(), nullable=True),
        sa.Column("last_outcome", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["list_hash"], ["lists.list_hash"]),
        sa.PrimaryKeyConstraint("list_hash", "household_id"),
    )
    op.create_index("not_listed_by_household", "not_listed", ["household_id"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("The casebook goes forward only: restore a backup instead.")
