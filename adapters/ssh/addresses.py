"""A host with several addresses is reached by the first one that accepts (RFC 8305, "Happy Eyeballs")."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Final

from adapters.ssh.look_ups import LookUps

LOOK_UPS: Final = LookUps()
HEAD_START_SECONDS: Final = 0.25
"""What an address has before the next one is tried as well (RFC 8305, section 8)."""


@dataclass(frozen=True)
class Endpoint:
    """One address of a host, as sockets want it."""

    family: int
    address: tuple[Any, ...]


def in_turns(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """The two families take turns, and each keeps its order: the first is the one that the system prefers.

    So a host whose IPv6 leads nowhere costs one head start, however many such addresses it has.
    """
    first = endpoints[0].family if endpoints else 0
    preferred = [one for one in endpoints if one.family == first]
    others = [one for one in endpoints if one.family != first]
    return [one for one in chain(*zip_longest(preferred, others)) if one is not None]


async def open_socket(host: str, port: int) -> socket.socket:
    """A TCP connection to the host, by a name or an address; it is the caller's to close.

    Waits for as long as any address may still answer: set a limit. Raises the OSError of the first address
    that failed when none accepts.
    """
    found = await LOOK_UPS.of(host, port)
    waiting = in_turns([Endpoint(family, address) for family, _, _, _, address in found])
    trying: set[asyncio.Task[socket.socket]] = set()
    failures: list[OSError] = []
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.create_task(_connected(waiting.pop(0))))
            done, _ = await asyncio.wait(
                trying,
                timeout=HEAD_START_SECONDS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                try:
                    connected = task.result()
                except OSError as error:
                    failures.append(error)
                    trying.remove(task)
                else:
                    trying.remove(task)
                    return connected
    finally:
        await _end(trying)
    raise failures[0] if failures else OSError(f"{host} has no address")


async def _connected(endpoint: Endpoint) -> socket.socket:
    made = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, endpoint.address)
    except BaseException:
        made.close()
        raise
    return made


async def _end(trying: set[asyncio.Task[socket.socket]]) -> None:
    for task in trying:
        task.cancel()
    for ended in await asyncio.gather(*trying, return_exceptions=True):
        if isinstance(ended, socket.socket):
            ended.close()
