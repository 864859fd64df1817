"""A bench for each test: one worker, one task queue, stand-in activities, and no complaint of the SDK."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from temporalio.client import Client

from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from tests.workflow.bench import Bench, running_worker
from tests.workflow.fake_activities import FakeActivities
from tests.workflow.yard import Yard

WATCHED_LOGGERS = ("temporalio.worker._workflow", "temporalio.worker._workflow_instance", "asyncio")


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@pytest.fixture
def no_complaints() -> Iterator[None]:
    """Fails a test in which a workflow task failed, an eviction went wrong or an exception was lost."""
    complaints = _Complaints()
    loggers = [logging.getLogger(name) for name in WATCHED_LOGGERS]
    for logger in loggers:
        logger.addHandler(complaints)
    yield
    for logger in loggers:
        logger.removeHandler(complaints)
    assert complaints.texts == []


@pytest.fixture
async def bench(temporal_client: Client, no_complaints: None) -> AsyncIterator[Bench]:
    """A bench whose worker runs."""
    bench = Bench(temporal_client, FakeActivities())
    async with running_worker(bench):
        yield bench


@pytest.fixture
async def forgetful_bench(
    request: pytest.FixtureRequest, temporal_client: Client, no_complaints: None
) -> AsyncIterator[Bench]:
    """A bench whose worker evicts workflows all the time, and so rebuilds them from their histories.

    It keeps none, or as many as the test's indirect parameter says.
    """
    bench = Bench(temporal_client, FakeActivities())
    async with running_worker(bench, cached_workflows=getattr(request, "param", 0)):
        yield bench


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty database of the test's own."""
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    yield Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    await database.close()


@pytest.fixture
def yard(bench: Bench, store: Store) -> Yard:
    """No servers yet; add them to it."""
    return Yard(bench, store)
