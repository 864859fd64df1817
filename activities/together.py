"""Work side by side that is over when all of it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def all_or_none(works: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All results; when one fails, the others are cancelled and awaited before it is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
