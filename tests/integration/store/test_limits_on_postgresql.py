"""Nobody waits without end for PostgreSQL."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import OperationalError

from store import database as database_module
from store.database import Database
from store.store import Store


@pytest.fixture
async def hurried(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """The same database, with less patience."""
    monkeypatch.setattr(database_module, "STATEMENT_TIMEOUT_MILLISECONDS", 200)
    database = Database(store.database.url)
    yield database
    await database.close()


async def limit(database: Database) -> object:
    async with database.engine.connect() as connection:
        return (await connection.exec_driver_sql("SHOW statement_timeout")).scalar_one()


async def test_a_statement_ends_after_a_minute_at_most(store: Store) -> None:
    # What a transaction undoes is not the limit of its connection.
    assert [await limit(store.database) for _ in range(2)] == ["1min", "1min"]


async def test_a_statement_that_takes_too_long_fails_and_the_next_one_does_not(hurried: Database) -> None:
    async with asyncio.timeout(10), hurried.engine.connect() as connection:
        with pytest.raises(OperationalError, match="statement timeout"):
            await connection.exec_driver_sql("SELECT pg_sleep(60)")
    assert await limit(hurried) == "200ms"


async def test_a_database_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "CONNECT_TIMEOUT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        database = Database(f"postgresql://seaway@127.0.0.1:{mute.getsockname()[1]}/seaway")
        with pytest.raises(OperationalError, match="timeout"):
            async with asyncio.timeout(10):
                await limit(database)
        await database.close()


def test_what_the_address_says_of_waiting_comes_first() -> None:
    own = Database("postgresql://seaway@localhost/seaway?connect_timeout=3")
    _, arguments = own.engine.dialect.create_connect_args(own.engine.url)
    assert arguments["connect_timeout"] == "3"
    assert "connect_timeout" not in database_module._limits_of_postgresql(own.url)
