"""The last output of a command that nobody takes, on a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import pytest

from adapters.docker import DockerEngine, terminal_sessions
from domain.terminals import OutputStream
from tests.harness.waiting import eventually

KIBIBYTE = 1024
# What engine, sockets and kernel hold together differs a little; the last piece of one of these waits there.
SIZES = [size * KIBIBYTE for size in range(1300, 2100, 50)]


async def test_a_command_that_ended_before_its_output_was_taken_keeps_nobody_from_its_container(
    docker_engine: DockerEngine, container, monkeypatch: pytest.MonkeyPatch
):
    """An engine of version 20.10 answered nothing about such a container until somebody read on."""
    monkeypatch.setattr(terminal_sessions, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(terminal_sessions, "QUESTION_SECONDS", 1.0)
    async with AsyncExitStack() as stack:
        outputs = []
        for size in SIZES:
            made = await container("sh", "-c", f"head -c {size} /dev/zero", start=False)
            attached = docker_engine.attach(made.name, has_input=False, has_terminal=False)
            session = await stack.enter_async_context(attached)
            output = await stack.enter_async_context(aclosing(session.output()))
            await docker_engine.start(made.name)
            outputs.append((made.name, output, await anext(output)))

        async def has_answer(name: str) -> bool:
            async with asyncio.timeout(20):
                return await docker_engine.inspect(name) is not None

        async def ended() -> int:
            states = [await docker_engine.inspect(name) for name, _, _ in outputs]
            return sum(state is not None and not state.running for state in states)

        # Those that fit have ended; the others wait for somebody to read.
        assert await eventually(ended, 30)
        assert all(await asyncio.gather(*[has_answer(name) for name, _, _ in outputs]))
        lengths = [len(first) + await rest_of(output) for _, output, (_, first) in outputs]
    assert lengths == SIZES


async def rest_of(output: AsyncIterator[tuple[OutputStream, bytes]]) -> int:
    """How many bytes are still to come."""
    return sum([len(data) async for _, data in output])
