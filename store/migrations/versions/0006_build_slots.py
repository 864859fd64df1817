"""Deployments build on one of several servers, in turns."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "0006"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Goes forward."""
    text = sqlmodel.sql.sqltypes.AutoString()
    with op.batch_alter_table("deployment") as batch:
        batch.add_column(sa.Column("build_server_id", text, nullable=True))
        batch.add_column(sa.Column("build_state", text, nullable=False, server_default=""))
        batch.add_column(sa.Column("repository_key", text, nullable=False, server_default=""))
        batch.create_index("ix_deployment_build_server_id", ["build_server_id"])
        batch.create_index("ix_deployment_repository_key", ["repository_key"])


def downgrade() -> None:
    """Goes back."""
    with op.batch_alter_table("deployment") as batch:
        batch.drop_index("ix_deployment_repository_key")
        batch.drop_index("ix_deployment_build_server_id")
        batch.drop_column("repository_key")
        batch.drop_column("build_state")
        batch.drop_column("build_server_id")
