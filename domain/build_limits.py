"""How much of a server its builds may use, and the control group that holds them to it.

A limit is for all builds of a server together: two that run at once share it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from domain.errors import NotPossibleNow
from domain.servers import engine_version
from domain.sizes import in_words

FIRST_ENGINE_TOLD: Final = (23, 0)
"""BuildKit 0.10, and Docker 23 with it, is the first to run steps in a group that the client names."""

ENGINES_GROUP: Final = "docker/buildkit"
"""Where older engines with the driver `cgroupfs` run the steps of every build (measured with 20.10)."""

# What shells, compilers and package managers print when a process of theirs was killed by SIGKILL (9, or
# 128 + 9 as an exit code).
_KILLED = re.compile(r"\bkilled\b|\bSIGKILL\b|\b137\b|out of memory|cannot allocate memory", re.IGNORECASE)


@dataclass(frozen=True)
class BuildShares:
    """Percent of a server's processors and memory for builds where the server says nothing; 0 is no limit."""

    processors_percent: int = 0
    memory_percent: int = 0

    def unless(self, processors_percent: int | None, memory_percent: int | None) -> BuildShares:
        """These, but for what a server says itself."""
        return BuildShares(
            self.processors_percent if processors_percent is None else processors_percent,
            self.memory_percent if memory_percent is None else memory_percent,
        )


@dataclass(frozen=True)
class BuildLimits:
    """What the builds of one server may use together; 0 is no limit."""

    processors: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True)
class BuildGroup:
    """A control group, as a path below the root of the hierarchy.

    `is_engines`: it is the engine's own for builds, whosever they are, and nobody has to name it.
    """

    path: str
    is_engines: bool = False


def limits_of(processors: int, memory_bytes: int, shares: BuildShares) -> BuildLimits:
    """The limits of builds on a server with as many processors and as much memory."""
    return BuildLimits(
        processors=round(processors * shares.processors_percent / 100, 2),
        memory_bytes=memory_bytes * shares.memory_percent // 100,
    )


def own_group(instance: str) -> BuildGroup:
    """The group for the builds of a Seaway of this name."""
    return BuildGroup(f"{instance}-builds")


def group_for(
    instance: str, *, version: str, driver: str, is_rootless: bool, client_names_group: bool
) -> BuildGroup:
    """The group in which builds are held. Raises NotPossibleNow, and says why, where there is none."""
    if is_rootless:
        raise NotPossibleNow("the engine is rootless, and may not make control groups.")
    if client_names_group and engine_version(version) >= FIRST_ENGINE_TOLD:
        return own_group(instance)
    if driver == "cgroupfs":
        return BuildGroup(ENGINES_GROUP, is_engines=True)
    if engine_version(version) < FIRST_ENGINE_TOLD:
        raise NotPossibleNow(f"Docker {version} cannot, version {FIRST_ENGINE_TOLD[0]} and later can.")
    raise NotPossibleNow("the client of the machine that Seaway runs on cannot, buildx 0.8 and later can.")


def was_killed(log: str) -> bool:
    """Whether the end of a build's log tells of a process that was killed."""
    return _KILLED.search(log) is not None


def too_much_memory(limits: BuildLimits, server: str) -> str:
    """For the person whose build was killed by the limit."""
    limit = in_words(limits.memory_bytes)
    return (
        f"The build used more than {limit} of memory, the limit of builds on the server {server}. Let it use "
        "less, let fewer builds run at once there, or raise its build_memory_percent."
    )
