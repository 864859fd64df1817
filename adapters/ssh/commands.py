"""Commands on servers: the one line that a server's login shell gets, and what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import shlex
from collections.abc import Sequence
from typing import Final

import asyncssh

from adapters.host_commands import Completed
from adapters.processes import LineSplitter, OnLine
from domain.errors import NotPossibleNow

# How long a command that was told to end may take before it is killed, and how long we look for that.
END_GRACE_SECONDS: Final = 5
END_LIMIT_SECONDS: Final = END_GRACE_SECONDS + 3.0
CHUNK_BYTES: Final = 64 * 1024
KEPT_BYTES: Final = 4 * 1024 * 1024
MOST_BYTES: Final = 256 * 1024 * 1024
"""No command of ours writes as much; a server that is in other hands could go on until the time limit."""

# SSH can only ask a server to signal a process, and OpenSSH does so neither for root nor through sudo. So the
# command runs beside a watcher that holds our channel: it hands over as many bytes of input as there are, and
# when the channel ends (we cancel, die or lose the link) it ends the process group. (sshd makes every session
# the leader of a group, so group 0 is the command and what it started, and nothing else.) The watcher's own
# id comes first through the pipe, for the command's side to end it; by PIPE, because shells print a line
# about children that other signals end. (They print it for the ended command, too, where nobody reads any
# more; that must not end the shell.)
WATCHED: Final = f"""
exec 3<&0
size=$1
shift
trap : TERM PIPE
{{
  sh -c 'echo "$PPID"'
  head -c "$size" <&3
  exec >/dev/null 2>&1
  trap "" TERM
  while read -r _ <&3; do :; done
  kill -TERM 0
  sleep {END_GRACE_SECONDS}
  kill -KILL 0
}} | {{
  trap : TERM PIPE
  read -r watcher
  "$@" 3<&-
  code=$?
  kill -PIPE "$watcher" 2>/dev/null
  exit "$code"
}}
"""


def command_line(arguments: Sequence[str], *, input_bytes: int = 0, sudo: bool = False) -> str:
    """What the login shell is given. `sudo` must ask for no password, or it fails at once."""
    before = ["sudo", "-n", "--"] if sudo else []
    return shlex.join([*before, "sh", "-c", WATCHED, "seaway", str(input_bytes), *arguments])


async def attend(
    process: asyncssh.SSHClientProcess[bytes], input: bytes, on_line: OnLine | None
) -> Completed | None:
    """Gives the command its input and reads both its streams to the end; None when the link broke off.

    `on_line` hears every line of both; a slow one slows the command down instead of filling memory. Raises
    NotPossibleNow for output that does not come to an end.
    """
    kept = (bytearray(), bytearray())
    # Not EOF after it: that is how the watcher learns that nobody waits any more. A quick command has ended
    # before it could be given anything.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(input)
    try:
        async with asyncio.TaskGroup() as readers:
            for reader, content in zip((process.stdout, process.stderr), kept, strict=True):
                readers.create_task(_read(reader, content, on_line))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    await process.wait_closed()
    if process.returncode is None:
        return None
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    stdout, stderr = (bytes(content[-KEPT_BYTES:]).decode("utf-8", "replace") for content in kept)
    return Completed(code, stdout, stderr)


async def _read(reader: asyncssh.SSHReader[bytes], kept: bytearray, on_line: OnLine | None) -> None:
    lines = LineSplitter()
    total = 0
    while chunk := await reader.read(CHUNK_BYTES):
        total += len(chunk)
        if total > MOST_BYTES:
            raise NotPossibleNow(
                f"A command on the server wrote more than {MOST_BYTES // 2**20} MiB and was ended. Look what "
                "is wrong with the server."
            )
        kept += chunk
        if len(kept) > 2 * KEPT_BYTES:
            del kept[:-KEPT_BYTES]
        if on_line is not None:
            for line in lines.feed(chunk):
                await _tell(on_line, line)
    if on_line is not None:
        for line in lines.finish():
            await _tell(on_line, line)


async def _tell(on_line: OnLine, line: str) -> None:
    answer = on_line(line)
    if inspect.isawaitable(answer):
        await answer


async def end(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """The command has ended afterwards, unless the link is gone; takes no longer than 8 s."""
    with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
        async with asyncio.timeout(END_LIMIT_SECONDS):
            if not process.stdin.is_closing():
                process.stdin.write_eof()
            # What it still writes has to go somewhere, or it never comes to its end.
            while await process.stdout.read(CHUNK_BYTES) or await process.stderr.read(CHUNK_BYTES):
                pass
            await process.wait_closed()
    process.close()
