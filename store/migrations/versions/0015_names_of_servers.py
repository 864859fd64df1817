"""A team's servers have different names, because steps are told apart by them; equal ones get numbers."""

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LONGEST_NAME = 255


def upgrade() -> None:
    """Goes forward."""
    server = sa.table("server", *(sa.column(name) for name in ("id", "team_id", "name", "created_at")))
    connection = op.get_bind()
    rows = connection.execute(sa.select(server).order_by(server.c.created_at, server.c.id)).all()
    taken = Counter((row.team_id, row.name) for row in rows)
    seen = set[tuple[str, str]]()
    for row in rows:
        name, number = row.name, 1
        while (row.team_id, name) in seen or (name != row.name and taken[row.team_id, name]):
            number += 1
            ending = f" ({number})"
            name = row.name[: LONGEST_NAME - len(ending)] + ending
        seen.add((row.team_id, name))
        if name != row.name:
            connection.execute(server.update().where(server.c.id == row.id).values(name=name))
    with op.batch_alter_table("server") as table:
        table.create_unique_constraint("uq_server_team_name", ["team_id", "name"])


def downgrade() -> None:
    """Goes back. Names stay as they are."""
    with op.batch_alter_table("server") as table:
        table.drop_constraint("uq_server_team_name", type_="unique")
