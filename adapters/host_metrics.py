"""What a server's processors, memory, load and disks say: one command, and what its output means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from adapters.host_commands import HostCommands
from domain.metrics import HostReading

LOOK_LIMIT: Final = timedelta(seconds=20)
KIBIBYTE: Final = 1024
# What a server says goes into messages and the database, and it may say anything.
LONGEST_MOUNT: Final = 200
LARGEST_NUMBER: Final = 2**53
# `df` fails for a folder that is absent and still prints the others; `/` is always there.
SCRIPT: Final = """
grep '^cpu' /proc/stat
grep '^Mem' /proc/meminfo
read -r load rest </proc/loadavg
echo "load $load"
df -P -k / "$@" 2>/dev/null
exit 0
"""


def look_arguments(folders: Sequence[str]) -> list[str]:
    """The command. `folders` are those whose disks matter besides `/`."""
    return ["sh", "-c", SCRIPT, "seaway", *folders]


async def read_host(commands: HostCommands, folders: Sequence[str]) -> HostReading | None:
    """The server's counters now; None where it does not tell. Raises ServerUnreachable, DeadlineExceeded."""
    looked = await commands.run(look_arguments(folders), timeout=LOOK_LIMIT)
    return host_reading(looked.stdout, datetime.now(UTC))


def host_reading(output: str, at: datetime) -> HostReading | None:
    """What the command printed (proc(5); POSIX `df -P`); None where parts are missing.

    Guest time is part of user time already. Available memory is as the kernel reckons it (`MemAvailable`).
    """
    jiffies: list[int] = []
    memory: dict[str, int] = {}
    processors, load = 0, 0.0
    disks: list[tuple[int, int, str]] = []
    try:
        for line in output.splitlines():
            name, *fields = line.split() or [""]
            if name == "cpu":
                jiffies = [int(field) for field in fields[:8]]
            elif name.startswith("cpu"):
                processors += 1
            elif name.endswith(":"):
                memory[name] = int(fields[0]) * KIBIBYTE
            elif name == "load":
                load = float(fields[0])
            elif len(fields) >= 5 and fields[3].endswith("%"):
                disks.append((int(fields[1]), int(fields[2]), " ".join(fields[4:])))
        total, available = memory["MemTotal:"], memory["MemAvailable:"]
        used, free, mount = max(disks, key=_fullness)
        idle = jiffies[3] + jiffies[4]
    except (ValueError, IndexError, KeyError, OverflowError):
        return None
    if not all(0 <= number <= LARGEST_NUMBER for number in (*jiffies, total, available, used, free)):
        return None
    return HostReading(
        at=at,
        busy_jiffies=sum(jiffies) - idle,
        total_jiffies=sum(jiffies),
        processors=processors,
        memory_bytes=total - available,
        memory_total_bytes=total,
        load=load,
        disk_bytes=used * KIBIBYTE,
        disk_total_bytes=(used + free) * KIBIBYTE,
        disk_mount="".join(sign if sign.isprintable() else "?" for sign in mount[:LONGEST_MOUNT]),
    )


def _fullness(disk: tuple[int, int, str]) -> float:
    used, free, _ = disk
    return used / (used + free) if used + free else 0.0
