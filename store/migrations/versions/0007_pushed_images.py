"""Deployments know where their image is in a registry."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Goes forward."""
    text = sqlmodel.sql.sqltypes.AutoString()
    with op.batch_alter_table("deployment") as batch:
        batch.add_column(sa.Column("pushed_image", text, nullable=False, server_default=""))


def downgrade() -> None:
    """Goes back."""
    with op.batch_alter_table("deployment") as batch:
        batch.drop_column("pushed_image")
