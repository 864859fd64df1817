"""How the replicas on each server stand."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

from store.columns import UtcDateTime

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Goes forward."""
    text = sqlmodel.sql.sqltypes.AutoString()
    op.create_table(
        "replica_standing",
        sa.Column("server_id", text, nullable=False),
        sa.Column("replica", text, nullable=False),
        sa.Column("application_id", text, nullable=False),
        sa.Column("state", text, nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "replica"),
    )
    op.create_index("ix_replica_standing_application_id", "replica_standing", ["application_id"])


def downgrade() -> None:
    """Goes back."""
    op.drop_table("replica_standing")
