"""Where a replica of an application runs, looked for on one of its servers after the other."""

from __future__ import annotations

from collections.abc import Sequence

from activities.servers import ServerParts, Servers
from adapters.docker.engine import DockerEngine
from adapters.docker.states import ContainerState
from domain.configuration import ApplicationConfiguration
from domain.errors import (
    AuthenticationRefused,
    EngineUnavailable,
    HostKeyChanged,
    NotFound,
    NotPossibleNow,
    SeawayError,
    ServerUnreachable,
)
from domain.replicas import APPLICATION_LABEL, REPLICA_LABEL, REPLICA_ROLE, ROLE_LABEL

NOBODY_GETS_IN = (ServerUnreachable, EngineUnavailable, AuthenticationRefused, HostKeyChanged, NotFound)
"""NotFound: the server has been removed meanwhile."""


async def running_replica(
    servers: Servers,
    configuration: ApplicationConfiguration,
    places: Sequence[str],
    name: str,
    *,
    number: int | None,
    server: str,
) -> tuple[ServerParts, str]:
    """The first running replica, or that of the number: its server among `places`, and the container's name.

    Servers that do not answer, let nobody in or are gone are passed over. Raises NotPossibleNow where no
    replica runs, NotFound where none has the number, and ServerUnreachable or EngineUnavailable where all
    were passed over; of a single server its own error. `name` and `server`, if the user named one, are for
    the messages.
    """
    running: list[int] = []
    silent: list[SeawayError] = []
    for server_id in places:
        try:
            parts = await servers.parts(server_id)
            states = await _running(parts.engine, configuration)
        except NOBODY_GETS_IN as error:
            if len(places) == 1:
                raise
            silent.append(error)
            continue
        for state in states:
            running.append(_number_of(state))
            if number is None or running[-1] == number:
                return parts, state.name
    if len(silent) == len(places):
        raise _nobody_answers(name, silent[-1])
    # Of servers that are silent nobody knows what runs there.
    unknown = f" Not all of its servers answer: {silent[-1].message}" if silent else ""
    if not running:
        where = f" on the server '{server}'" if server else ""
        raise NotPossibleNow(f"No replica of '{name}' runs{where} at this moment.{unknown}")
    numbers = ", ".join(str(one) for one in sorted(set(running)))
    raise NotFound(f"'{name}' has no running replica {number}; there are {numbers}.{unknown}")


def _nobody_answers(name: str, last: SeawayError) -> SeawayError:
    # Subclasses are made from other things than a message.
    kind = EngineUnavailable if isinstance(last, EngineUnavailable) else ServerUnreachable
    return kind(
        f"No server of '{name}' answers; `--server` asks only the one that it names. Of the last one: "
        f"{last.message}",
        detail=last.detail,
    )


async def _running(engine: DockerEngine, configuration: ApplicationConfiguration) -> list[ContainerState]:
    labels = {APPLICATION_LABEL: configuration.application_id, ROLE_LABEL: REPLICA_ROLE}
    states = [state for state in await engine.list_containers(labels) if state.running]
    return sorted(states, key=_number_of)


def _number_of(state: ContainerState) -> int:
    text = state.labels.get(REPLICA_LABEL, "")
    return int(text) if text.isdigit() else 0
