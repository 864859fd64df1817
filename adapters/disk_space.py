"""How much room a server's disk has."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from adapters.host_commands import HostCommands

LOOK_LIMIT: Final = timedelta(seconds=20)
KIBIBYTE: Final = 1024


async def free_bytes(commands: HostCommands, folder: str) -> int | None:
    """What ordinary users may still write where the folder is; None where that cannot be told.

    Raises ServerUnreachable and DeadlineExceeded.
    """
    looked = await commands.run(["df", "-P", "-k", folder], timeout=LOOK_LIMIT)
    return available_bytes(looked.stdout) if looked.exit_code == 0 else None


def available_bytes(output: str) -> int | None:
    """What `df -P -k` (POSIX) says about its one file system; None for anything else."""
    lines = output.splitlines()
    # Counted from the end of the numbers, because a device may have spaces in its name.
    fields = lines[-1].split() if len(lines) >= 2 else []
    percent = next((i for i, field in enumerate(fields) if field.endswith("%") and i >= 2), None)
    if percent is None or not fields[percent - 1].isdigit():
        return None
    return int(fields[percent - 1]) * KIBIBYTE
