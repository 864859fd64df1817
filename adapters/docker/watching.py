"""What an engine tells of its containers while they run: which there are, what they use, what happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapters.docker.connection import EngineConnection, EngineRefusal
from adapters.docker.states import engine_time, listed, own_labels
from adapters.docker.streams import JsonReader
from domain.metrics import ContainerReading
from domain.replicas import APPLICATION_LABEL
from domain.server_events import ContainerAction, ContainerEvent

NANOSECONDS: Final = 10**9


@dataclass(frozen=True)
class ListedContainer:
    """A container as the engine's list has it."""

    name: str
    state: str
    labels: Mapping[str, str]
    is_unhealthy: bool = False


class Watching(EngineConnection):
    """Looks at many containers with few calls."""

    async def listed(self, labels: Mapping[str, str]) -> list[ListedContainer]:
        """The containers that have all these labels, in one call."""
        filters = {"label": [f"{key}={value}" for key, value in labels.items()]}
        found = await self.call(lambda client: client.containers(all=True, filters=filters))
        return [_listed(one) for one in listed(found)]

    async def usage(self, container: ListedContainer) -> ContainerReading | None:
        """The container's counters now; None when it does not run any more."""
        name = container.name
        try:
            answer = await self.call(lambda client: client.stats(name, stream=False, one_shot=True))
        except EngineRefusal as refusal:
            if refusal.status in (404, 409):
                return None
            raise
        return container_reading(answer, name, container.labels.get(APPLICATION_LABEL, ""))

    async def data_root(self) -> str:
        """The folder on the server where the engine keeps images and volumes."""
        return str(await self.call(lambda client: client.info().get("DockerRootDir", "")))

    async def happenings(
        self, labels: Mapping[str, str], since: datetime | None = None
    ) -> AsyncIterator[ContainerEvent]:
        """What happens to containers with these labels, live, after what happened from `since` on.

        Close the iterator (`aclosing`) to stop listening.
        """
        filters = {
            "type": ["container"],
            "event": [action.value for action in ContainerAction],
            "label": [f"{key}={value}" for key, value in labels.items()],
        }
        query: dict[str, str | int] = {"filters": json.dumps(filters)}
        if since is not None:
            query["since"] = f"{since.timestamp():.6f}"
        reader = JsonReader()
        async with self.stream("GET", "/events", query=query) as stream:
            async for chunk in stream:
                for message in reader.feed(chunk):
                    if (event := container_event(message)) is not None:
                        yield event


def _listed(answer: Mapping[str, Any]) -> ListedContainer:
    names = answer.get("Names") or [answer["Id"]]
    return ListedContainer(
        name=names[0].removeprefix("/"),
        state=str(answer.get("State", "")),
        labels=own_labels(answer.get("Labels")),
        # The list says it in its words for people alone, as `docker ps` shows it.
        is_unhealthy="(unhealthy)" in str(answer.get("Status", "")),
    )


def container_reading(answer: Mapping[str, Any], name: str, application_id: str) -> ContainerReading | None:
    """From the answer of `/containers/{name}/stats`; None when the container does not run.

    Memory is without the page cache that the kernel gives back when asked, as `docker stats` reckons it.
    """
    at = engine_time(str(answer.get("read", "")))
    memory = answer.get("memory_stats") or {}
    if at is None or "usage" not in memory:
        return None
    detail = memory.get("stats") or {}
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    networks = (answer.get("networks") or {}).values()
    return ContainerReading(
        at=at,
        name=name,
        application_id=application_id,
        cpu_nanoseconds=int(answer["cpu_stats"]["cpu_usage"]["total_usage"]),
        memory_bytes=max(int(memory["usage"]) - int(cache), 0),
        memory_limit_bytes=int(memory.get("limit", 0)),
        received_bytes=sum(int(network["rx_bytes"]) for network in networks),
        sent_bytes=sum(int(network["tx_bytes"]) for network in networks),
    )


def container_event(message: Mapping[str, Any]) -> ContainerEvent | None:
    """From one message of `/events`; None for what does not matter here."""
    word = str(message.get("Action", "")).partition(":")[0]
    if word not in set(ContainerAction):
        return None
    attributes = (message.get("Actor") or {}).get("Attributes") or {}
    return ContainerEvent(
        at=datetime.fromtimestamp(int(message.get("timeNano", 0)) / NANOSECONDS, UTC),
        action=ContainerAction(word),
        name=str(attributes.get("name", "")),
        labels=attributes,
        signal=_number(attributes.get("signal")),
        exit_code=_number(attributes.get("exitCode")),
    )


def _number(text: object) -> int:
    return int(str(text)) if str(text).isdigit() else 0
