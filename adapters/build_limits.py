"""Control groups for builds, as commands on a server. Every one may be repeated.

Both versions of control groups are known: with one hierarchy for each controller (the kernel's
admin-guide/cgroup-v1), and with one for all (admin-guide/cgroup-v2).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from adapters.host_commands import Completed, HostCommands
from domain.build_limits import BuildGroup, BuildLimits
from domain.errors import NotPossibleNow

LIMIT: Final = timedelta(seconds=20)
ROOT: Final = "/sys/fs/cgroup"
PERIOD_MICROSECONDS: Final = 100_000
LEAST_QUOTA_MICROSECONDS: Final = 1_000
NONE: Final = -1
# A quarter of what another group has while both want a processor; what nobody else wants is theirs.
SHARES_OF_BUILDS, SHARES_OF_OTHERS = 256, 1024
SEPARATOR: Final = "count="

# How often the group came to the end of its memory. The first version counts, for a group and those in it,
# only how often something had to be given back, which need not have been a process.
COUNT: Final = f"""
if [ -e "$root/cgroup.controllers" ]; then
  count=$(sed -n 's/^oom_kill //p' "$root/$group/memory.events" 2>/dev/null)
else
  read -r count <"$root/memory/$group/memory.failcnt"
fi 2>/dev/null
echo "{SEPARATOR}${{count:-0}}"
"""
BEGIN: Final = """
root=$1 group=$2
shift 2
"""
# A container sees groups of its own, in which nothing runs that the engine outside starts.
LOOK_AROUND: Final = """
if ! grep -qsx dockerd /proc/[0-9]*/comm; then
  echo 'the engine does not run where Seaway does, which may be in a container'
  exit 3
fi
"""
# Where an engine was told of another parent, its builds are not where we look.
LOOK_AT_ENGINE: Final = """
{ read -r pid </var/run/docker.pid; } 2>/dev/null
told=$({ [ -n "$pid" ] && tr '\\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null)
if [ -z "$told" ]; then
  echo 'how the engine was started cannot be seen'
  exit 3
fi
if echo "$told" | grep -q -e cgroup-parent -e config-file ||
  grep -qs cgroup-parent /etc/docker/daemon.json; then
  echo 'the engine was told to keep its groups elsewhere'
  exit 3
fi
"""
HOLD: Final = """
quota=$1 period=$2 memory=$3 shares=$4
set_to() {
  { echo "$2" >"$1"; } 2>/dev/null && return
  echo "$1 cannot be set to $2"
  exit 3
}
may_set() { { echo "$2" >"$1"; } 2>/dev/null || true; }
make() {
  mkdir -p "$1" 2>/dev/null && return
  echo "$1 cannot be made"
  exit 3
}
if [ -e "$root/cgroup.controllers" ]; then
  make "$root/$group"
  parent=$root rest=$group
  while :; do
    may_set "$parent/cgroup.subtree_control" +cpu
    may_set "$parent/cgroup.subtree_control" +memory
    case "$rest" in
      */*) parent=$parent/${rest%%/*} rest=${rest#*/} ;;
      *) break ;;
    esac
  done
  [ "$quota" != -1 ] || quota=max
  [ "$memory" != -1 ] || memory=max
  set_to "$root/$group/memory.max" "$memory"
  set_to "$root/$group/cpu.max" "$quota $period"
  may_set "$root/$group/cpu.weight" $((shares * 100 / 1024))
else
  make "$root/memory/$group"
  make "$root/cpu/$group"
  set_to "$root/memory/$group/memory.limit_in_bytes" "$memory"
  set_to "$root/cpu/$group/cpu.cfs_period_us" "$period"
  set_to "$root/cpu/$group/cpu.cfs_quota_us" "$quota"
  may_set "$root/cpu/$group/cpu.shares" "$shares"
fi
"""
# Only folders that are empty go: a group in use stays, and so does everything that is not a group.
REMOVE: Final = """
for folder in "$root/$group" "$root"/*/"$group"; do
  [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} \\; 2>/dev/null
done
exit 0
"""


async def hold(
    commands: HostCommands,
    group: BuildGroup,
    limits: BuildLimits,
    *,
    is_local: bool = False,
    root: str = ROOT,
) -> int:
    """The group exists and has these limits; a number that grows when it lacks memory later on.

    `is_local`: the commands run where Seaway does, which need not be where the engine does. Raises
    NotPossibleNow where that cannot be, ServerUnreachable and DeadlineExceeded.
    """
    looks = (LOOK_AROUND if is_local else "") + (LOOK_AT_ENGINE if group.is_engines else "")
    script = BEGIN + looks + HOLD + COUNT
    is_limited = limits != BuildLimits()
    done = await _run(
        commands,
        script,
        root,
        group.path,
        str(quota_of(limits.processors)),
        str(PERIOD_MICROSECONDS),
        str(limits.memory_bytes or NONE),
        str(SHARES_OF_BUILDS if is_limited else SHARES_OF_OTHERS),
    )
    if done.exit_code != 0:
        words = (done.stdout + done.stderr).strip().splitlines()
        reason = words[-1][:300].rstrip(".") if words else "the server says nothing more"
        raise NotPossibleNow(f"{'that takes root: ' if reason.startswith('sudo:') else ''}{reason}.")
    return _count(done)


async def lack_of_memory(commands: HostCommands, group: BuildGroup, *, root: str = ROOT) -> int:
    """The number that grows each time the group lacks memory. Raises as `hold` does."""
    return _count(await _run(commands, BEGIN + COUNT, root, group.path))


async def remove(commands: HostCommands, group: BuildGroup, *, root: str = ROOT) -> None:
    """The group is gone, unless a build runs in it; one that the engine made is not ours to remove."""
    if not group.is_engines:
        await _run(commands, BEGIN + REMOVE, root, group.path)


def quota_of(processors: float) -> int:
    """Microseconds of processor time in each period; -1 for no limit. The kernel takes none below 1 ms."""
    if not processors:
        return NONE
    return max(int(processors * PERIOD_MICROSECONDS), LEAST_QUOTA_MICROSECONDS)


async def _run(commands: HostCommands, script: str, *arguments: str) -> Completed:
    try:
        return await commands.run(["sh", "-c", script, "seaway", *arguments], timeout=LIMIT, sudo=True)
    except FileNotFoundError as error:
        raise NotPossibleNow("that takes root, and there is no sudo.") from error


def _count(done: Completed) -> int:
    text = done.stdout.rpartition(SEPARATOR)[2].strip()
    return int(text) if text.isdecimal() and len(text) < 20 else 0
