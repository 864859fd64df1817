"""Servers over SSH: how they are reached, what they are, and the steps that made them usable."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

import store.columns

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TEXTS = (
    "status_message",
    "host_key",
    "shown_host_key",
    "system",
    "architecture",
    "engine_version",
    "data_folder",
)


def upgrade() -> None:
    """Goes forward."""
    text = sqlmodel.sql.sqltypes.AutoString()
    with op.batch_alter_table("server") as batch:
        batch.add_column(sa.Column("status", text, nullable=False, server_default="new"))
        for name in TEXTS:
            batch.add_column(sa.Column(name, text, nullable=False, server_default=""))
        batch.add_column(sa.Column("jump_server_id", text, nullable=True))
        batch.add_column(
            sa.Column("is_build_server", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch.add_column(sa.Column("concurrent_builds", sa.Integer(), nullable=False, server_default="2"))
        batch.add_column(sa.Column("processors", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("memory_bytes", sa.BigInteger(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("checked_at", store.columns.UtcDateTime(timezone=True), nullable=True))
    op.execute("UPDATE server SET status = 'usable' WHERE is_local")
    op.create_table(
        "server_step",
        sa.Column("id", text, nullable=False),
        sa.Column("server_id", text, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("status", text, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", store.columns.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", store.columns.UtcDateTime(timezone=True), nullable=True),
        sa.Column("message", text, nullable=False),
        sa.Column("detail", text, nullable=False),
        sa.ForeignKeyConstraint(["server_id"], ["server.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("server_id", "name"),
    )
    with op.batch_alter_table("server_step") as batch:
        batch.create_index(batch.f("ix_server_step_server_id"), ["server_id"], unique=False)


def downgrade() -> None:
    """Goes back."""
    op.drop_table("server_step")
    with op.batch_alter_table("server") as batch:
        for name in (
            "status",
            *TEXTS,
            "jump_server_id",
            "is_build_server",
            "concurrent_builds",
            "processors",
            "memory_bytes",
            "checked_at",
        ):
            batch.drop_column(name)
