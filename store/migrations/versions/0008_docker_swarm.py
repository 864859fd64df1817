"""Servers that are managers and workers of a Docker Swarm."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Goes forward."""
    with op.batch_alter_table("server") as batch:
        for name in ("is_swarm_manager", "is_swarm_worker"):
            batch.add_column(sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Goes back."""
    with op.batch_alter_table("server") as batch:
        for name in ("is_swarm_manager", "is_swarm_worker"):
            batch.drop_column(name)
