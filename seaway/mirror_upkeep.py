"""The mirrors of repositories are looked after, so that they do not fill the worker's disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from adapters.git import GitMirrors

logger = logging.getLogger("seaway")

UNUSED_FOR: Final = timedelta(days=30)
# The first minutes belong to those who waited for this process.
FIRST_PAUSE_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 86_400.0


@contextlib.asynccontextmanager
async def mirrors_kept(mirrors: GitMirrors) -> AsyncIterator[None]:
    """Meanwhile mirrors are packed once a day, and those that nobody uses removed."""
    keeping = asyncio.create_task(_keep(mirrors))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


async def _keep(mirrors: GitMirrors) -> None:
    await asyncio.sleep(FIRST_PAUSE_SECONDS)
    while True:
        try:
            removed = await mirrors.collect_garbage(unused_for=UNUSED_FOR)
        except Exception:
            # What fails today may work tomorrow, and nothing else depends on it.
            logger.exception("the mirrors of repositories could not be looked after")
        else:
            if removed:
                logger.info("%d mirrors that nobody used any more are removed", len(removed))
        await asyncio.sleep(PAUSE_SECONDS)
