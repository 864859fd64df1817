"""Where a deployment gave something up, so that it is settled once the server is usable."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from store.columns import UtcDateTime

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Goes forward."""
    with op.batch_alter_table("server") as table:
        table.add_column(sa.Column("unsettled_since", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Goes back."""
    with op.batch_alter_table("server") as table:
        table.drop_column("unsettled_since")
