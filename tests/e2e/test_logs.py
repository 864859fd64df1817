"""What the replicas of an application write, followed live."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from tests.e2e.applications import Application

BEGUN = "sample application: version {} listens on 0.0.0.0:3000"
LIMIT_SECONDS = 30.0


async def followed(application: Application, last_id: str = "") -> AsyncGenerator[tuple[str, str], None]:
    """The id and text of each line."""
    path, headers = f"/applications/{application.uuid}/logs/stream", {"Last-Event-ID": last_id}
    async with application.installation.api.stream("GET", path, headers=headers) as answer:
        event_id = ""
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "id":
                event_id = value
            if field == "data":
                yield event_id, json.loads(value)["text"]


async def until(lines: AsyncIterator[tuple[str, str]], *awaited: str) -> tuple[str, Counter[str]]:
    """Reads until all of these came; the last id, and how often each line came."""
    seen, last_id = Counter[str](), ""
    async with asyncio.timeout(LIMIT_SECONDS):
        while Counter(awaited) - seen:
            last_id, text = await anext(lines)
            seen[text] += 1
    return last_id, seen


async def test_the_log_of_all_replicas_is_followed_over_a_release_and_goes_on_where_it_was_left(
    new_application, git_repository
):
    application = await new_application(replicas=2)
    await application.deploy()
    first, second, third = (BEGUN.format(version) for version in ("v1", "v2", "v3"))
    stopped = "sample application: stopped"
    lines = followed(application)
    async with aclosing(lines):
        await until(lines, first, first)
        git_repository.release("v2")
        release = asyncio.create_task(application.deploy())
        last_id, seen = await until(lines, second, second, stopped, stopped)
        assert seen[first] == 0, "no line comes twice"
        await release
    git_repository.release("v3")
    await application.deploy()
    # Those that wrote the last lines of v2 are gone, with what they wrote.
    again = followed(application, last_id)
    async with aclosing(again):
        _, seen = await until(again, third, third)
        assert not seen.keys() & {first, second}
