"""What migrations do with what is there already."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from store.database import MIGRATIONS, Database


def prepare(path: Path, revision: str) -> None:
    """A database as it was at this revision."""
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    configuration.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(configuration, revision)


async def test_servers_of_one_name_get_numbers_and_no_two_are_called_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "seaway.db"
    prepare(path, "0014")
    long = "x" * 255
    servers = [
        ("1", "mine", "web"),
        ("2", "mine", "web"),
        ("3", "mine", "web (2)"),
        ("4", "mine", "web"),
        ("5", "theirs", "web"),
        ("6", "mine", long),
        ("7", "mine", long),
    ]
    with sqlite3.connect(path) as connection:
        for team in ("mine", "theirs"):
            connection.execute(
                "INSERT INTO team (id, name, description, created_at) VALUES (?, ?, '', 0)", [team, team]
            )
        columns = {row[1]: row for row in connection.execute("PRAGMA table_info(server)")}
        needed = [name for name, row in columns.items() if row[3] and name not in ("id", "team_id", "name")]
        names = ", ".join(["id", "team_id", "name", *needed])
        values = ", ".join(
            ["?"] * 3 + ["'2026-01-01 00:00:00.000000'" if "_at" in name else "0" for name in needed]
        )
        for server in servers:
            connection.execute(f"INSERT INTO server ({names}) VALUES ({values})", server)
    connection.close()
    database = Database(f"sqlite:///{path}")
    await database.migrate()
    await database.close()
    with sqlite3.connect(path) as connection:
        found = [row[0] for row in connection.execute("SELECT name FROM server ORDER BY id")]
        assert found == ["web", "web (3)", "web (2)", "web (4)", "web", long, "x" * 251 + " (2)"]
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE server SET name = 'web' WHERE id = '3'")
    connection.close()
