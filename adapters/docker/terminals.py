"""Commands that somebody talks to: attached containers, and commands in running containers.

The Engine API turns these connections into plain two-way streams ("hijacking"), which the SDK cannot read and
write at the same time; so they are opened here. The end of input is a half-closed connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from adapters.cancellation import uninterrupted
from adapters.docker.connection import EngineConnection, EngineRefusal
from adapters.docker.terminal_sessions import ContainerTerminal, ExecutionTerminal, Streams
from adapters.docker.waiting import Waiting
from domain.errors import CommandFailed, EngineUnavailable
from domain.terminals import Terminal

OPEN_LIMIT_SECONDS: Final = 30.0
LONGEST_HEADER_BYTES: Final = 64 * 1024

# The Engine API cannot signal an exec'd process, and tells its id only as the host sees it. So the shell says
# its own id before it becomes the command; it leads a session, so its id is also that of its process group.
ANNOUNCED: Final = 'echo "$$"; exec "$@"'


class Terminals(Waiting, EngineConnection):
    """Opens two-way connections to commands. Leaving the block closes the connection."""

    @asynccontextmanager
    async def attach(
        self, name: str, *, has_input: bool, has_terminal: bool
    ) -> AsyncIterator[ContainerTerminal]:
        """The command of a container that is not started yet; start it within the block.

        Leaving does not end the command.
        """
        query = f"stream=1&stdout=1&stderr=1&stdin={int(has_input)}"
        async with self._hijacked(f"/containers/{name}/attach?{query}", {}) as streams:
            yield ContainerTerminal(self, name, streams, has_terminal=has_terminal)

    @asynccontextmanager
    async def execute_attached(
        self, name: str, argv: Sequence[str], *, has_input: bool, terminal: Terminal | None
    ) -> AsyncIterator[ExecutionTerminal]:
        """A command in a running container, whose image needs `/bin/sh`. Leaving ends the command.

        Raises CommandFailed when the container does not run.
        """
        command = ["/bin/sh", "-c", ANNOUNCED, "seaway", *argv]
        environment = [f"TERM={terminal.type}"] if terminal else []
        tty = terminal is not None
        try:
            answer = await self.call(
                lambda client: client.exec_create(
                    name, command, stdin=has_input, tty=tty, environment=environment
                )
            )
        except EngineRefusal as refusal:
            if refusal.status in (404, 409):
                raise CommandFailed(
                    f"The command cannot run: the container {name} does not run.", detail=refusal.reason
                ) from refusal
            raise
        execution = str(answer["Id"])
        async with self._hijacked(f"/exec/{execution}/start", {"Detach": False, "Tty": tty}) as streams:
            session = ExecutionTerminal(self, name, execution, streams, has_terminal=tty)
            try:
                if terminal is not None:
                    await session.resize(terminal.columns, terminal.rows)
                yield session
            finally:
                await uninterrupted(session.end())

    @asynccontextmanager
    async def _hijacked(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Streams]:
        version = await self.call(lambda client: str(client.api_version))
        try:
            async with asyncio.timeout(OPEN_LIMIT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self.socket, limit=LONGEST_HEADER_BYTES)
        except (OSError, TimeoutError) as error:
            raise self._unavailable() from error
        try:
            try:
                async with asyncio.timeout(OPEN_LIMIT_SECONDS):
                    await _upgrade(reader, writer, f"/v{version}{path}", body)
            except TimeoutError as error:
                raise self._unavailable() from error
            yield reader, writer
        finally:
            # Not an orderly end: it would wait until what was written has been read.
            writer.transport.abort()


async def _upgrade(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: Mapping[str, Any]
) -> None:
    content = json.dumps(body).encode()
    writer.write(
        (
            f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode()
        + content
    )
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split(" ", 2)[1])
        if status >= 400:
            raise EngineRefusal(status, await _reason(reader, head))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError) as error:
        raise EngineUnavailable("The Docker Engine ended the connection.") from error


async def _reason(reader: asyncio.StreamReader, head: str) -> str:
    found = re.search(r"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
    answer = await reader.readexactly(min(int(found[1]), LONGEST_HEADER_BYTES)) if found else b""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(answer)["message"])
    return head.splitlines()[0]
