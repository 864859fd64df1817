"""Alembic's entry: runs the migrations on the database that `store.database` names."""

from alembic import context
from sqlalchemy import create_engine, text
from sqlmodel import SQLModel

import store.tables  # noqa: F401

MIGRATION_LOCK = 0x5EA3A7


def run() -> None:
    """Applies every missing revision in one transaction, one process at a time."""
    engine = create_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()
        else:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.commit()
        context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
    engine.dispose()


run()
