"""The whole of one Docker Engine, 20.10 or newer."""

from __future__ import annotations

from adapters.docker.containers import Containers
from adapters.docker.executions import Executions
from adapters.docker.image_pushes import ImagePushes
from adapters.docker.logs import Logs
from adapters.docker.registry_checks import RegistryChecks
from adapters.docker.remains import Remains
from adapters.docker.services import Services
from adapters.docker.states import EngineFacts, engine_facts
from adapters.docker.swarm_files import SwarmFiles
from adapters.docker.swarm_forming import SwarmForming
from adapters.docker.terminals import Terminals
from adapters.docker.watching import Watching


class DockerEngine(
    ImagePushes,
    Containers,
    Logs,
    Executions,
    Watching,
    Terminals,
    Remains,
    RegistryChecks,
    Services,
    SwarmFiles,
    SwarmForming,
):
    """An engine behind the unix socket path that it is made with. `close()` it when done.

    Every method may be repeated, from any process, with the same end. Every one raises EngineUnavailable
    when the engine does not answer.
    """

    async def ping(self) -> EngineFacts:
        """What the engine is; the quickest way to learn that it answers."""
        return await self.call(
            lambda client: engine_facts(client.version(), client.info()), changes_nothing=True
        )
