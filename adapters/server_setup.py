"""What makes a bare machine a server for Seaway, as commands on it. Every one may be repeated.

Scripts are for a POSIX `sh`; what a user has chosen reaches them as arguments only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Final

from adapters.host_commands import Completed, HostCommands
from adapters.processes import OnLine
from adapters.ssh.forwarding import DOCKER_SOCKET
from domain.errors import NotPossibleNow, SeawayError, TransientError
from domain.server_systems import DOCKER_GROUP, ServerSystem, system_of

LOOK_LIMIT: Final = timedelta(seconds=30)
START_LIMIT: Final = timedelta(seconds=60)
PACKAGES_LIMIT: Final = timedelta(minutes=15)
SEPARATOR: Final = "---"

LOOK: Final = f"""
echo "user=$(id -un)"
echo "uid=$(id -u)"
echo "groups=$(id -Gn)"
echo "home=$HOME"
echo "architecture=$(uname -m)"
echo "processors=$(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc 2>/dev/null)"
echo "memory_kib=$(sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo)"
if sudo -n true >/dev/null 2>&1; then echo sudo=yes; fi
echo "{SEPARATOR}"
cat /etc/os-release /usr/lib/os-release 2>/dev/null | head -n 100
"""

# df wants a folder that exists.
FREE: Final = """
folder=$1
while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
df -Pk "$folder" | tail -n 1
"""

MAKE_FOLDER: Final = """
set -e
umask 077
mkdir -p "$1"
chmod 0700 "$1"
: > "$1/.seaway-write-test"
rm "$1/.seaway-write-test"
"""

# One empty file for each server that this machine is to a Seaway, named after its id.
SIGN_IN: Final = """
set -e
umask 077
mkdir -p "$1"
: > "$1/$2"
"""
SIGNED_IN: Final = """
ls -1 "$1" 2>/dev/null | head -n 1000
"""
SIGNED_IN_FOLDER: Final = "servers"

MAY_USE: Final = """
[ ! -S "$1" ] || [ -w "$1" ]
"""

IS_INSTALLED: Final = """
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin
command -v dockerd >/dev/null
"""

# The last way is for machines without an init system; the session of its own outlives this one.
START: Final = """
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin
if [ -d /run/systemd/system ]; then
  systemctl enable docker || true
  systemctl start docker
elif command -v rc-service >/dev/null; then
  rc-service docker start
elif command -v service >/dev/null && [ -x /etc/init.d/docker ]; then
  service docker start
else
  false
fi && exit 0
[ -d /run/systemd/system ] && exit 1
echo "No init system starts Docker: dockerd runs by itself, and not after the next boot."
setsid dockerd </dev/null >>/var/log/dockerd.log 2>&1 &
"""

APT: Final = ("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-q", "-y")
# A new machine often installs its own updates just then. This is for dpkg's lock only.
LOCK: Final = ("-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")
# For the other locks, and for what an installation that was cut off has left (apt 1.8 to 3.0).
BUSY: Final = ("Could not get lock", "is another process using it", "dpkg was interrupted")
BUSY_SECONDS: Final = 120.0
BUSY_POLL_SECONDS: Final = 3.0
ENGINE_PACKAGES: Final = ("docker.io", "ca-certificates")
# Where they are packages of their own, the engine wants the first and people the second.
OPTIONAL_PACKAGES: Final = ("apparmor", "docker-cli")


async def look_at_system(commands: HostCommands) -> ServerSystem:
    """What the machine is, and what its user may do."""
    looked = await _script(commands, LOOK)
    if looked.exit_code != 0 or SEPARATOR not in looked.stdout:
        raise NotPossibleNow(
            "The server does not run a simple shell script. Seaway needs a Linux with a POSIX shell.",
            detail=looked.stdout + looked.stderr,
        )
    facts, _, os_release = looked.stdout.partition(f"{SEPARATOR}\n")
    return system_of(facts, os_release)


async def free_bytes(commands: HostCommands, folder: PurePosixPath) -> int:
    """What is free on the disk of a folder, or of the one that it would be in."""
    looked = await _script(commands, FREE, str(folder))
    fields = looked.stdout.split()
    # POSIX `df -P`: file system, blocks, used, available, capacity, mounted on.
    if looked.exit_code != 0 or len(fields) < 5 or not fields[3].isdecimal():
        raise TransientError(f"The free space of {folder} cannot be read.", detail=looked.stderr)
    return int(fields[3]) * 1024


async def make_data_folder(commands: HostCommands, folder: PurePosixPath) -> None:
    """The folder exists, for its owner only, and can be written. Raises NotPossibleNow, and says why not."""
    made = await _script(commands, MAKE_FOLDER, str(folder))
    if made.exit_code != 0:
        raise _folder_failure(folder, made.stderr.strip())


async def sign_in(commands: HostCommands, folder: PurePosixPath, server_id: str) -> None:
    """The data folder says from now on that this server lives there too. Raises NotPossibleNow."""
    signed = await _script(commands, SIGN_IN, str(folder / SIGNED_IN_FOLDER), server_id)
    if signed.exit_code != 0:
        raise _folder_failure(folder, signed.stderr.strip())


async def signed_in(commands: HostCommands, folder: PurePosixPath) -> frozenset[str]:
    """The ids of servers that live in this data folder, as far as the machine tells the truth."""
    listed = await _script(commands, SIGNED_IN, str(folder / SIGNED_IN_FOLDER))
    return frozenset(listed.stdout.split())


def _folder_failure(folder: PurePosixPath, reason: str) -> SeawayError:
    lowered = reason.lower()
    if "read-only" in lowered:
        message = f"The folder {folder} cannot be written: its file system is read-only. Mount it writable."
    elif "no space" in lowered:
        message = f"The folder {folder} cannot be written: the disk is full. Free some space there."
    elif "permission denied" in lowered:
        message = f"The user may not write the folder {folder}. Give it to the user that Seaway logs in as."
    else:
        message = f"The folder {folder} cannot be made: {reason or 'the server says nothing more'}."
    return NotPossibleNow(message, detail=reason)


async def may_use_socket(commands: HostCommands) -> bool:
    """Whether the user may write to the engine's socket; also when there is none."""
    return (await _script(commands, MAY_USE, DOCKER_SOCKET)).exit_code == 0


async def is_engine_installed(commands: HostCommands) -> bool:
    """Whether there is a Docker Engine on the machine, running or not."""
    return (await _script(commands, IS_INSTALLED)).exit_code == 0


async def install_engine(commands: HostCommands, on_line: OnLine) -> None:
    """Installs the Docker Engine of a Debian or Ubuntu.

    Raises NotPossibleNow when apt fails, TransientError while another program is at the packages.
    """
    await _apt(commands, ["update"], on_line)
    packages = [*ENGINE_PACKAGES]
    for package in OPTIONAL_PACKAGES:
        known = await commands.run(["apt-cache", "show", package], timeout=LOOK_LIMIT)
        packages += [package] if known.exit_code == 0 else []
    await _apt(commands, ["install", "--no-install-recommends", *packages], on_line)


async def start_engine(commands: HostCommands, on_line: OnLine) -> None:
    """Asks the init system to start the engine. Raises NotPossibleNow when it does not."""
    started = await commands.run(
        ["sh", "-c", START, "seaway"], timeout=START_LIMIT, on_line=on_line, sudo=True
    )
    if started.exit_code != 0:
        raise NotPossibleNow(
            "Docker is installed and does not start. Look at its log there: journalctl -u docker",
            detail=(started.stdout + started.stderr)[-4000:],
        )


async def join_docker_group(commands: HostCommands, user: str) -> None:
    """The user may use Docker from its next log-in on. Raises NotPossibleNow."""
    await _root(commands, ["groupadd", "--force", "--system", DOCKER_GROUP])
    joined = await _root(commands, ["usermod", "-aG", DOCKER_GROUP, user])
    if joined.exit_code != 0:
        raise NotPossibleNow(
            f"The user '{user}' cannot be added to the group docker: {joined.stderr.strip()}. Run there as "
            f"root: usermod -aG docker {user}"
        )


async def remove_data_folder(commands: HostCommands, folder: PurePosixPath) -> None:
    """The folder is gone; containers may have written there as other users. Raises NotPossibleNow."""
    removal = ["rm", "-rf", "--", str(folder)]
    if (await commands.run(removal, timeout=LOOK_LIMIT)).exit_code == 0:
        return
    removed = await _root(commands, removal)
    if removed.exit_code != 0:
        reason = removed.stderr.strip()
        raise NotPossibleNow(f"The folder {folder} cannot be removed: {reason[:500]}.", detail=reason)


async def _script(commands: HostCommands, script: str, *arguments: str) -> Completed:
    return await commands.run(["sh", "-c", script, "seaway", *arguments], timeout=LOOK_LIMIT)


async def _root(commands: HostCommands, arguments: Sequence[str], on_line: OnLine | None = None) -> Completed:
    limit = PACKAGES_LIMIT if on_line else LOOK_LIMIT
    return await commands.run(arguments, timeout=limit, on_line=on_line, sudo=True)


async def _apt(commands: HostCommands, arguments: Sequence[str], on_line: OnLine) -> None:
    until = time.monotonic() + BUSY_SECONDS
    while True:
        # Whoever was ended in the middle of an installation, also a try of ours, left it for this.
        await _root(commands, ["dpkg", "--configure", "-a"], on_line)
        done = await _root(commands, [*APT, *LOCK, *arguments], on_line)
        if done.exit_code == 0:
            return
        said = done.stdout + done.stderr
        problems = [line.removeprefix("E: ") for line in said.splitlines() if line.startswith("E: ")]
        busy = next((one for one in problems if any(word in one for word in BUSY)), None)
        if busy is None:
            reason = problems[-1] if problems else "its output says more"
            raise NotPossibleNow(f"apt-get {arguments[0]} failed: {reason}", detail=said[-4000:])
        if time.monotonic() > until:
            raise TransientError(
                f"Another program uses the packages of the server, so apt-get {arguments[0]} cannot: {busy} "
                "Let it end, as a new server's first update does by itself, and check the server again.",
                detail=said[-4000:],
            )
        await asyncio.sleep(BUSY_POLL_SECONDS)
