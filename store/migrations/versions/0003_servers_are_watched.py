"""Servers are watched: what they use, who watches them, and what happened to them."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

import store.columns

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MEASURES = (
    "cpu_percent",
    "memory_bytes",
    "disk_bytes",
    "load",
    "received_bytes_per_second",
    "sent_bytes_per_second",
)


def upgrade() -> None:
    """Goes forward."""
    text = sqlmodel.sql.sqltypes.AutoString()
    moment = store.columns.UtcDateTime(timezone=True)
    op.create_table(
        "metric_point",
        sa.Column("server_id", text, nullable=False),
        sa.Column("application_id", text, nullable=False),
        sa.Column("replica", text, nullable=False),
        sa.Column("step_seconds", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("memory_total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("disk_total_bytes", sa.BigInteger(), nullable=False),
        *[
            sa.Column(name, sa.Float(), nullable=False)
            for measure in MEASURES
            for name in (measure, f"{measure}_maximum")
        ],
        sa.PrimaryKeyConstraint("server_id", "application_id", "replica", "step_seconds", "at"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_metric_point_step_seconds", "metric_point", ["step_seconds", "at"])
    op.create_index(
        "ix_metric_point_application_id", "metric_point", ["application_id", "step_seconds", "at"]
    )
    op.create_table(
        "server_watch",
        sa.Column("server_id", text, nullable=False),
        sa.Column("owner", text, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("is_reachable", sa.Boolean(), nullable=False),
        sa.Column("is_disk_above", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("server_id"),
    )
    op.create_table(
        "server_event",
        sa.Column("id", text, nullable=False),
        sa.Column("server_id", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("message", text, nullable=False),
        sa.Column("application_id", text, nullable=False),
        sa.Column("subject", text, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_server_event_server_id", "server_event", ["server_id", "at"])


def downgrade() -> None:
    """Goes back."""
    for table in ("server_event", "server_watch", "metric_point"):
        op.drop_table(table)
