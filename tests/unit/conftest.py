"""A database with servers, made once and copied for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from domain.servers import ServerStatus
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Server, Team
from tests.harness.refilled_database import RefilledDatabase

SERVERS = (
    {"id": "local", "is_local": True, "status": ServerStatus.USABLE},
    {"id": "far", "status": ServerStatus.USABLE, "data_folder": "/data"},
    {"id": "new"},
)


@pytest.fixture(scope="session")
async def refilled_servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RefilledDatabase]:
    path: Path = tmp_path_factory.mktemp("servers") / "seaway.db"
    database = Database(f"sqlite:///{path}")
    await database.migrate()
    async with database.writing() as session:
        session.add(Team(id="team", name="Harbour"))
        await session.flush()
        session.add_all([Server(team_id="team", name=str(values["id"]), **values) for values in SERVERS])
    async with database.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    await database.close()
    refilled = RefilledDatabase(path, tmp_path_factory.mktemp("refilled"))
    yield refilled
    await refilled.database.close()


@pytest.fixture
async def servers_store(refilled_servers: RefilledDatabase) -> Store:
    """The local server, one that is far away and usable, and one that is new."""
    key = SecretStr(Fernet.generate_key().decode())
    return Store(await refilled_servers.refill(), KeyRing([key]))
