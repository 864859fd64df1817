"""Commands on a server, the same way wherever it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from adapters import processes
from adapters.processes import OnLine


@dataclass(frozen=True)
class Completed:
    """How a command ended, with the last part of each stream. Ended by a signal: 128 and its number."""

    exit_code: int
    stdout: str
    stderr: str


class HostCommands(Protocol):
    """Runs commands on one server. Arguments are a list; no shell reads them."""

    async def run(
        self,
        arguments: Sequence[str],
        *,
        timeout: timedelta,  # noqa: ASYNC109 - it must also end the command, which a caller's timeout cannot
        input: bytes = b"",
        on_line: OnLine | None = None,
        sudo: bool = False,
    ) -> Completed:
        """Runs a command to its end; with `sudo` as root. Raises DeadlineExceeded after `timeout`, and
        ServerUnreachable when the server is gone. Whatever is raised, the command has ended before.
        """
        ...


class LocalHostCommands:
    """The server is this machine. Both streams come merged, as `stdout`."""

    async def run(
        self,
        arguments: Sequence[str],
        *,
        timeout: timedelta,  # noqa: ASYNC109 - see `HostCommands`
        input: bytes = b"",
        on_line: OnLine | None = None,
        sudo: bool = False,
    ) -> Completed:
        """See `HostCommands`; `sudo` is for those who need it, as the user that Seaway runs as."""
        before = ["sudo", "-n", "--"] if sudo and not _is_root() else []
        done = await processes.run([*before, *arguments], timeout=timeout, input=input, on_line=on_line)
        return Completed(done.exit_code, done.output, "")


def _is_root() -> bool:
    return os.geteuid() == 0
