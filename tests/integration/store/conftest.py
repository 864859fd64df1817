"""A store on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from domain.servers import ServerStatus
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Server, Team
from tests.harness.postgresql import serve_postgresql


@pytest.fixture(scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    """With a team and twenty usable servers of it."""
    async with serve_postgresql(tmp_path_factory.mktemp("postgresql")) as address:
        database = Database(address)
        await database.migrate()
        async with database.writing() as session:
            session.add(Team(id="team", name="Harbour"))
            await session.flush()
            for number in range(20):
                name = f"server-{number}"
                server = Server(id=name, team_id="team", name=name, data_folder="/data")
                server.status = ServerStatus.USABLE
                session.add(server)
        yield Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
        await database.close()
