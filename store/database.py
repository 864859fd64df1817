"""The connection to SQLite or PostgreSQL, and the migrations that run at start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.errors import StartUpError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MILLISECONDS = 15_000
CONNECT_TIMEOUT_SECONDS = 10
STATEMENT_TIMEOUT_MILLISECONDS = 60_000
"""Far more than any statement of ours takes. Migrations have connections of their own, without this limit."""


def asynchronous_url(url: str) -> str:
    """The URL with the driver that Seaway uses for it. Raises StartUpError for other databases."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
    if backend not in drivers:
        raise StartUpError(f"SEAWAY_DATABASE_URL names '{backend}'; Seaway stores in sqlite or postgresql.")
    return parsed.set(drivername=drivers[backend]).render_as_string(hide_password=False)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transaction control would start write transactions late and then fail with
    # "database is locked" at once; we begin them ourselves, IMMEDIATE, below.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MILLISECONDS}")
    cursor.close()


def _limits_of_postgresql(url: str) -> dict[str, Any]:
    """Nobody waits without end for a database that is gone, or behind a link that is cut.

    What the URL says itself comes first.
    """
    limits = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        # Milliseconds in which what was sent has to be received; the others are for when we only wait.
        "tcp_user_timeout": STATEMENT_TIMEOUT_MILLISECONDS,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    return {name: value for name, value in limits.items() if name not in make_url(url).query}


def _prepare_postgresql(connection: Any, _record: object) -> None:
    # As a statement and not with the start of the connection, which poolers such as PgBouncer refuse.
    cursor = connection.cursor()
    cursor.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MILLISECONDS}")
    cursor.close()
    connection.commit()


def _begin(connection: Any) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


class Database:
    """Sessions on one engine. `reading()` never blocks a writer; `writing()` commits at its end."""

    def __init__(self, url: str) -> None:
        """`url` as SQLAlchemy writes them; the driver is chosen here."""
        self.url = asynchronous_url(url)
        self._is_sqlite = self.url.startswith("sqlite")
        # Values of a statement that fails must not reach the log: they may be private.
        options: dict[str, Any] = {"hide_parameters": True}
        if not self._is_sqlite:
            limits = _limits_of_postgresql(self.url)
            options |= {"pool_size": 10, "pool_pre_ping": True, "connect_args": limits}
        self.engine: AsyncEngine = create_async_engine(self.url, **options)
        self._writing_engine = self.engine.execution_options(writes=True)
        if self._is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin)
        else:
            event.listen(self.engine.sync_engine, "connect", _prepare_postgresql)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session to read with; nothing is committed."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction, committed when the block ends and undone when it raises."""
        async with AsyncSession(self._writing_engine, expire_on_commit=False) as session, session.begin():
            yield session

    async def migrate(self) -> None:
        """Brings the schema to the newest version; a second process waits or finds it done."""
        await asyncio.to_thread(self._migrate)

    def _migrate(self) -> None:
        configuration = Config()
        configuration.set_main_option("script_location", str(MIGRATIONS))
        configuration.attributes["url"] = self.url.replace("+aiosqlite", "")
        command.upgrade(configuration, "head")

    async def close(self) -> None:
        """Gives every connection back."""
        await self.engine.dispose()
