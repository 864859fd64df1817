"""Logins for image registries, of a team or of a project."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

import store.columns

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OF_THE_TEAM = sa.text("project_id IS NULL")


def upgrade() -> None:
    """Goes forward."""
    text = sqlmodel.sql.sqltypes.AutoString()
    moment = store.columns.UtcDateTime(timezone=True)
    op.create_table(
        "registry",
        sa.Column("id", text, nullable=False),
        sa.Column("team_id", text, nullable=False),
        sa.Column("project_id", text, nullable=True),
        sa.Column("name", text, nullable=False),
        sa.Column("host", text, nullable=False),
        sa.Column("username", text, nullable=False),
        sa.Column("password_sealed", text, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"]),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_registry_team_id", "registry", ["team_id"])
    op.create_index(
        "ix_registry_of_team",
        "registry",
        ["team_id", "host"],
        unique=True,
        sqlite_where=OF_THE_TEAM,
        postgresql_where=OF_THE_TEAM,
    )
    op.create_index("ix_registry_of_project", "registry", ["project_id", "host"], unique=True)


def downgrade() -> None:
    """Goes back."""
    op.drop_table("registry")
