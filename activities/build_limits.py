"""Holds a build to what builds may use on its server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from activities.servers import ServerParts
from activities.step_log import Write
from adapters import build_limits
from domain.build_limits import (
    BuildGroup,
    BuildLimits,
    BuildShares,
    group_for,
    limits_of,
    too_much_memory,
    was_killed,
)
from domain.errors import BuildFailed, SeawayError


@contextlib.asynccontextmanager
async def limited(
    parts: ServerParts,
    server: str,
    shares: BuildShares | None,
    write: Write,
    *,
    instance: str,
    names_group: Callable[[], Awaitable[bool]],
) -> AsyncIterator[str]:
    """For as long as a build lasts; gives the name of the group that the build has to be put into, or none.

    A server that cannot hold builds builds without limits, and the log says so. A build that fails because
    it was killed by its limit says that. `server` is for people, `names_group` tells whether the client
    tells the engine of a group. Raises ServerUnreachable, EngineUnavailable.
    """
    if shares is None:
        yield ""
        return
    limits, group, before = BuildLimits(), None, 0
    try:
        facts = await parts.engine.ping()
        limits = limits_of(facts.processors, facts.memory_bytes, shares)
        group = group_for(
            instance,
            version=facts.version,
            driver=facts.cgroup_driver,
            is_rootless=facts.is_rootless,
            client_names_group=await names_group(),
        )
        before = await build_limits.hold(parts.commands, group, limits, is_local=parts.is_local)
    except SeawayError as error:
        if error.retryable:
            raise
        if shares != BuildShares():
            write(f"Builds cannot be limited on {server}: {error.message}")
        group = None
    try:
        yield "" if group is None or group.is_engines else group.path
    except BuildFailed as error:
        may_be_limit = group is not None and limits.memory_bytes and was_killed(error.detail)
        if group is None or not may_be_limit or await _lack_of_memory(parts, group) <= before:
            raise
        raise BuildFailed(too_much_memory(limits, server), detail=error.detail) from error


async def _lack_of_memory(parts: ServerParts, group: BuildGroup) -> int:
    # Why the build failed is known anyhow; only the better reason is lost with the server.
    with contextlib.suppress(SeawayError):
        return await build_limits.lack_of_memory(parts.commands, group)
    return 0
