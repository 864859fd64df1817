"""Which servers may still have something of an application that was deleted."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

from store.columns import UtcDateTime

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Goes forward."""
    text = sqlmodel.sql.sqltypes.AutoString()
    op.create_table(
        "deleted_application",
        sa.Column("server_id", text, nullable=False),
        sa.Column("application_id", text, nullable=False),
        sa.Column("delete_volumes", sa.Boolean(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "application_id"),
    )


def downgrade() -> None:
    """Goes back."""
    op.drop_table("deleted_application")
