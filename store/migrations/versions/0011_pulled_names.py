"""Which names of images Seaway has pulled, and takes off again."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

from store.columns import UtcDateTime

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Goes forward."""
    text = sqlmodel.sql.sqltypes.AutoString()
    op.create_table(
        "pulled_name",
        sa.Column("server_id", text, nullable=False),
        sa.Column("reference", text, nullable=False),
        sa.Column("application_id", text, nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "reference", "application_id"),
    )


def downgrade() -> None:
    """Goes back."""
    op.drop_table("pulled_name")
