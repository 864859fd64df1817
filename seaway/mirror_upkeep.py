"""The mirrors of repositories are looked after, so that they do not fill the worker's disk."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final

from adapters.git import GitMirrors

logger = logging.getLogger("seaway")

UNUSED_FOR: Final = timedelta(days=30)
# The first minutes belong to those who waited for this process.
FIRST_PAUSE_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 86_400.0


class MirrorUpkeep:
    """Packs the mirrors that are used and removes the others, soon after the start and then once a day."""

    def __init__(self, mirrors: GitMirrors) -> None:
        self._mirrors = mirrors
        self._pause_seconds = FIRST_PAUSE_SECONDS

    async def look_after(self) -> None:
        """Once, when it is due. What goes wrong with a mirror is logged, and tried again the next day."""
        await asyncio.sleep(self._pause_seconds)
        self._pause_seconds = PAUSE_SECONDS
        removed = await self._mirrors.collect_garbage(unused_for=UNUSED_FOR)
        if removed:
            logger.info("%d mirrors of repositories that nobody used any more are removed", len(removed))
