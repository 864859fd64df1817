"""What containers use, by the kernel's own account: for engines that cannot tell, as rootless ones often."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from adapters.host_commands import HostCommands
from domain.metrics import ContainerReading

LOOK_LIMIT: Final = timedelta(seconds=20)
LOOPBACK: Final = "lo:"
# Where a process counts is in /proc/PID/cgroup, as `number:controllers:path` (cgroups(7)); the second version
# of control groups has no controllers there. What does not exist is left out. Traffic is that of its network.
SCRIPT: Final = """
exec 2>/dev/null
first() { read -r value <"$2" && echo "$1 $value"; }
for pid in "$@"; do
  echo "pid $pid"
  while IFS=: read -r number names path; do
    folder="/sys/fs/cgroup/$names$path"
    case ",$names," in
      ,,)
        grep '^usage_usec ' "$folder/cpu.stat"
        first memory "$folder/memory.current"
        first limit "$folder/memory.max"
        grep '^inactive_file ' "$folder/memory.stat" ;;
      *,cpuacct,*)
        first nanoseconds "$folder/cpuacct.usage" ;;
      *,memory,*)
        first memory "$folder/memory.usage_in_bytes"
        first limit "$folder/memory.limit_in_bytes"
        grep '^total_inactive_file ' "$folder/memory.stat" ;;
    esac
  done <"/proc/$pid/cgroup"
  grep : "/proc/$pid/net/dev"
done
exit 0
"""


async def read_groups(
    commands: HostCommands, processes: Mapping[int, tuple[str, str]]
) -> list[ContainerReading]:
    """The counters of the containers with these processes (their names and applications), in one command.

    Those that have ended are left out. Raises ServerUnreachable and DeadlineExceeded.
    """
    arguments = ["sh", "-c", SCRIPT, "seaway", *map(str, processes)]
    looked = await commands.run(arguments, timeout=LOOK_LIMIT)
    return group_readings(looked.stdout, processes, datetime.now(UTC))


def group_readings(
    output: str, processes: Mapping[int, tuple[str, str]], at: datetime
) -> list[ContainerReading]:
    """What the command printed."""
    counters: dict[int, dict[str, int]] = {}
    present: dict[str, int] = {}
    for line in output.splitlines():
        name, *fields = line.split() or [""]
        if name == "pid":
            present = counters.setdefault(int(fields[0]), {})
        elif name.endswith(":") and len(fields) >= 9 and name != LOOPBACK:
            # proc(5): bytes received come first, bytes sent ninth.
            present["received"] = present.get("received", 0) + int(fields[0])
            present["sent"] = present.get("sent", 0) + int(fields[8])
        elif len(fields) == 1 and fields[0].isdigit():
            present[name] = int(fields[0])
    return [
        _reading(*processes[pid], found, at)
        for pid, found in counters.items()
        if pid in processes and "memory" in found
    ]


def _reading(name: str, application_id: str, found: Mapping[str, int], at: datetime) -> ContainerReading:
    cache = found.get("total_inactive_file", found.get("inactive_file", 0))
    return ContainerReading(
        at=at,
        name=name,
        application_id=application_id,
        cpu_nanoseconds=found.get("nanoseconds", found.get("usage_usec", 0) * 1000),
        memory_bytes=max(found["memory"] - cache, 0),
        memory_limit_bytes=_limit(found.get("limit", 0)),
        received_bytes=found.get("received", 0),
        sent_bytes=found.get("sent", 0),
    )


def _limit(limit: int) -> int:
    # The first version of control groups says "none" with a number near 2^63.
    return limit if limit < 2**60 else 0
