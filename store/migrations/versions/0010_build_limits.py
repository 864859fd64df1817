"""What builds may use of a server, where it is not what the settings say."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS = ("build_cpu_percent", "build_memory_percent")


def upgrade() -> None:
    """Goes forward."""
    with op.batch_alter_table("server") as batch:
        for name in COLUMNS:
            batch.add_column(sa.Column(name, sa.Integer(), nullable=True))


def downgrade() -> None:
    """Goes back."""
    with op.batch_alter_table("server") as batch:
        for name in COLUMNS:
            batch.drop_column(name)
