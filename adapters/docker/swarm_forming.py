"""An engine becomes the first manager of a Swarm, or joins one (Engine API, `/swarm`)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pydantic import SecretStr

from adapters.docker.connection import EngineRefusal
from adapters.docker.swarm_requests import SwarmRequests
from domain.errors import NotPossibleNow

SWARM_PORT = 2377
# Docker's words for a node that is in no Swarm, and for one that is on its way into one.
FREE = "inactive"
TRYING = "pending"
JOIN_SECONDS = 30.0
"""The engine itself gives up after 20, and then goes on in the background."""


@dataclass(frozen=True)
class WayIntoSwarm:
    """What a new worker needs: where managers are, and the token that lets it in. `swarm_id` is which."""

    swarm_id: str
    managers: tuple[str, ...]
    token: SecretStr


class SwarmForming(SwarmRequests):
    """Forms Swarms."""

    async def is_free_of_swarms(self) -> bool:
        """Whether it may begin or join one: not where it is in one that it cannot take part in now."""
        return await self._swarm_state() == FREE

    async def _swarm_state(self) -> str:
        info = await self.call(lambda client: client.info())
        return str((info.get("Swarm") or {}).get("LocalNodeState", ""))

    async def form_swarm(self, address: str) -> None:
        """It manages a new Swarm. With no `address` the engine chooses one of its own.

        Raises NotPossibleNow with the engine's reason, also where it is in a Swarm already.
        """
        body = {"ListenAddr": _listening(address), "AdvertiseAddr": address}
        try:
            await self._asked("POST", "/swarm/init", body=body)
        except EngineRefusal as refusal:
            raise NotPossibleNow(
                "Its engine cannot begin a Docker Swarm. Run `docker swarm init --advertise-addr ADDRESS` on "
                "the server, with the address that the other nodes reach it by; then validate it again.",
                detail=refusal.reason,
            ) from refusal

    async def way_into_swarm(self) -> WayIntoSwarm:
        """How a worker joins the Swarm that this engine manages. Raises NotPossibleNow where it does not."""
        info = await self.call(lambda client: client.info())
        managers = (info.get("Swarm") or {}).get("RemoteManagers") or ()
        swarm = await self._asked("GET", "/swarm")
        return WayIntoSwarm(
            swarm_id=str(swarm["ID"]),
            managers=tuple(str(one["Addr"]) for one in managers),
            token=SecretStr(str(swarm["JoinTokens"]["Worker"])),
        )

    async def join_swarm(self, way: WayIntoSwarm, address: str) -> None:
        """It is a node of the Swarm. With no `address` the engine chooses one of its own.

        Ask only an engine that `is_free_of_swarms`. Raises NotPossibleNow with the engine's reason; it has
        given up joining then.
        """
        body = {
            "ListenAddr": _listening(address),
            "AdvertiseAddr": address,
            "RemoteAddrs": list(way.managers),
            "JoinToken": way.token.get_secret_value(),
        }
        try:
            await self._asked("POST", "/swarm/join", body=body, extra_seconds=JOIN_SECONDS)
        except EngineRefusal as refusal:
            await self._give_up_joining()
            raise NotPossibleNow(_cannot_join(way.managers), detail=refusal.reason) from refusal

    async def _give_up_joining(self) -> None:
        """It would go on trying for ever, and could join no other Swarm meanwhile."""
        if await self._swarm_state() != TRYING:
            return
        with suppress(EngineRefusal, NotPossibleNow):  # it is in none
            await self._asked("POST", "/swarm/leave", query={"force": 1}, extra_seconds=JOIN_SECONDS)


def _listening(address: str) -> str:
    return f"[::]:{SWARM_PORT}" if ":" in address else f"0.0.0.0:{SWARM_PORT}"


def _cannot_join(managers: Sequence[str]) -> str:
    return (
        f"Its engine cannot join the Docker Swarm at {', '.join(managers)}. The nodes need TCP 2377 and "
        "7946, UDP 7946 and 4789 between each other. Open these, or join by hand with the command that "
        "`docker swarm join-token worker` prints on the manager; then validate the server again."
    )
