"""Looks for secrets in clear in everything that a Seaway keeps, and for stack traces in its log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from temporalio.client import Client

from tests.e2e.installation import TRACEBACK, Installation

KEPT = ("seaway.db*", "temporal.db*", "*.log", "mirrors/**/*", "proxy/**/*", "credentials.json")
READERS = 4


async def assert_nothing_leaked(installation: Installation, secrets: Sequence[str]) -> int:
    """Fails with the place of the first leak; the number of histories that were read."""
    token = installation.credentials["token"]
    needles = [secret.encode() for secret in [*secrets, token]]
    histories = await _read_histories(await installation.temporal(), needles)
    files = [path for pattern in KEPT for path in installation.data.glob(pattern) if path.is_file()]
    files.append(installation.log)
    assert {"seaway.db", "temporal.db", "seaway.log"} <= {path.name for path in files}
    for path in files:
        # Whose the token is may read it there.
        allowed = {token.encode()} if path.name == "credentials.json" else set()
        found = await asyncio.to_thread(_found_in, path, needles) - allowed
        assert not found, f"{path} holds {len(found)} secrets"
    log = installation.log.read_text()
    assert not TRACEBACK.search(log), f"{installation.log} has a stack trace:\n{_around_trace(log)}"
    return histories


async def _read_histories(client: Client, needles: Sequence[bytes]) -> int:
    slots = asyncio.Semaphore(READERS)

    async def read(workflow_id: str, run_id: str | None) -> None:
        async with slots:
            handle = client.get_workflow_handle(workflow_id, run_id=run_id)
            history = b"".join([event.SerializeToString() async for event in handle.fetch_history_events()])
        assert not any(needle in history for needle in needles), f"the history of {workflow_id} has a secret"

    workflows = [(one.id, one.run_id) async for one in client.list_workflows()]
    await asyncio.gather(*[read(*workflow) for workflow in workflows])
    return len(workflows)


def _found_in(path: Path, needles: Sequence[bytes]) -> set[bytes]:
    content = path.read_bytes()
    return {needle for needle in needles if needle in content}


def _around_trace(log: str) -> str:
    found = TRACEBACK.search(log)
    start = found.start() if found else 0
    return log[max(start - 500, 0) : start + 3000]
