"""Which server has which release of an application, and what a finished deployment has to say."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

from store.columns import UtcDateTime

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Goes forward."""
    text = sqlmodel.sql.sqltypes.AutoString()
    op.create_table(
        "server_release",
        sa.Column("application_id", text, nullable=False),
        sa.Column("server_id", text, nullable=False),
        sa.Column("deployment_id", text, nullable=False),
        sa.Column("release_id", text, nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"]),
        sa.PrimaryKeyConstraint("application_id", "server_id"),
    )
    with op.batch_alter_table("deployment") as batch:
        batch.add_column(sa.Column("note", text, nullable=False, server_default=""))


def downgrade() -> None:
    """Goes back."""
    with op.batch_alter_table("deployment") as batch:
        batch.drop_column("note")
    op.drop_table("server_release")
