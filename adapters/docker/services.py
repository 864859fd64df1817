"""Services of a Swarm, asked of one of its managers: the same call has the same end, whatever was before."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any

from adapters.docker.connection import EngineRefusal
from adapters.docker.refusals import replica_refusal
from adapters.docker.service_specifications import ServiceSpecification, service_request
from adapters.docker.specifications import SPECIFICATION_LABEL
from adapters.docker.states import LogEntry, listed
from adapters.docker.streams import LogReader, last_entries
from adapters.docker.swarm_requests import SwarmRequests, filtered
from adapters.docker.swarm_states import (
    ServiceState,
    TaskState,
    membership,
    node_state,
    service_state,
    task_state,
)
from domain.errors import EngineUnavailable, NotFound, ReplicaRefused
from domain.swarm import SwarmMembership, SwarmNode

STOP_MARGIN_SECONDS = 15.0
"""What a node may need beyond the grace until its manager knows that a task has ended."""

POLL_SECONDS = 0.2
# The engine's words for a container that is in the network already, running or not (20.10 to 28).
JOINED = re.compile(r"already (?:exists in|attached to) network")
UPDATE_TRIES = 5


class Services(SwarmRequests):
    """What an engine does with a Swarm. All but `swarm` want a manager, and say so where it is none."""

    async def swarm(self) -> SwarmMembership:
        """What this engine is in a Swarm."""
        return membership(await self.call(lambda client: client.info()))

    async def swarm_nodes(self) -> list[SwarmNode]:
        """Every node, by its name."""
        nodes = [node_state(one) for one in listed(await self._asked("GET", "/nodes"))]
        return sorted(nodes, key=lambda node: node.hostname)

    async def ensure_overlay(self, name: str, labels: Mapping[str, str]) -> None:
        """A network over all nodes of that name exists afterwards, which containers may join too.

        Raises ReplicaRefused where the name is that of a network on this machine only.
        """
        for network in await self.call(lambda client: client.networks(names=[f"^{name}$"])):
            if network.get("Driver") == "overlay":
                return
            raise ReplicaRefused(f"The network {name} exists and is not one of a Swarm. Remove it.")
        body = {"Name": name, "Driver": "overlay", "Attachable": True, "Labels": dict(labels)}
        try:
            await self._asked("POST", "/networks/create", body={**body, "CheckDuplicate": True})
        except EngineRefusal as refusal:
            if refusal.status != 409:
                raise

    async def join_network(self, network: str, container: str) -> None:
        """The container is in the network too; one that is already is left alone."""
        path = f"/networks/{network}/connect"
        try:
            await self._asked("POST", path, body={"Container": container})
        except EngineRefusal as refusal:
            if not JOINED.search(refusal.reason):
                raise

    async def ensure_service(self, specification: ServiceSpecification) -> ServiceState:
        """The service exists afterwards as specified, with at least so many replicas.

        One that is specified otherwise is replaced. Raises ReplicaRefused when the Swarm does not accept it,
        or when the name belongs to a service that Seaway did not make.
        """
        name = specification.name
        present = await self.service(name)
        if present is not None:
            made_from = present.labels.get(SPECIFICATION_LABEL)
            if made_from is None:
                raise ReplicaRefused(
                    f"The name {name} belongs to a service that Seaway did not make. Remove it."
                )
            if made_from == specification.hash:
                if present.replicas < specification.replicas:
                    await self.scale_service(name, specification.replicas)
                return await self._require(name)
            await self.remove_service(name, specification.stop_grace_seconds)
        try:
            await self._asked("POST", "/services/create", body=service_request(specification))
        except EngineRefusal as refusal:
            if refusal.status != 409:
                raise replica_refusal(name, refusal.reason) from refusal
        return await self._require(name)

    async def scale_service(self, name: str, replicas: int) -> None:
        """So many replicas are wanted afterwards; absent is fine."""
        for _ in range(UPDATE_TRIES):
            answer = await self._service(name)
            if answer is None or service_state(answer).replicas == replicas:
                return
            spec = {**answer["Spec"], "Mode": {"Replicated": {"Replicas": replicas}}}
            query = {"version": int(answer["Version"]["Index"])}
            try:
                await self._asked("POST", f"/services/{answer['ID']}/update", query=query, body=spec)
            except EngineRefusal as refusal:
                # The Swarm itself wrote in between; what it wants is the number that we read anew.
                if "out of sequence" not in refusal.reason:
                    raise
        raise EngineUnavailable(f"The service {name} could not be scaled: it changes all the time.")

    async def remove_service(self, name: str, grace_seconds: int) -> None:
        """Its tasks have ended, as far as their nodes answer, and it is gone; absent is fine."""
        service = await self.service(name)
        if service is None:
            return
        await self.scale_service(name, 0)
        deadline = time.monotonic() + grace_seconds + STOP_MARGIN_SECONDS
        while time.monotonic() < deadline:
            lost = {node.id for node in await self.swarm_nodes() if not node.is_up}
            tasks = await self.tasks(service.id)
            if all(task.has_ended or not task.node_id or task.node_id in lost for task in tasks):
                break
            await asyncio.sleep(POLL_SECONDS)
        try:
            await self._asked("DELETE", f"/services/{service.id}")
        except EngineRefusal as refusal:
            if refusal.status != 404:
                raise

    async def service(self, name: str) -> ServiceState | None:
        """How the service of that name is meant to be; None when there is none."""
        answer = await self._service(name)
        return None if answer is None else service_state(answer)

    async def services(self, labels: Mapping[str, str]) -> list[ServiceState]:
        """Every service that has all these labels (an empty value: any value), by name."""
        wanted = [f"{key}={value}" if value else key for key, value in labels.items()]
        answer = await self._asked("GET", "/services", query=filtered(label=wanted))
        return sorted((service_state(one) for one in listed(answer)), key=lambda state: state.name)

    async def tasks(self, service_id: str = "") -> list[TaskState]:
        """The tasks of a service, or of all, oldest first; a few of each slot that have ended too."""
        query = filtered(service=[service_id]) if service_id else {}
        states = [task_state(one) for one in listed(await self._asked("GET", "/tasks", query=query))]
        return sorted(states, key=lambda state: (str(state.created_at), state.id))

    async def task_logs(self, task_id: str, tail: int) -> list[str]:
        """The last `tail` lines of a task in order of time, from whichever node; none without such a task."""
        return [entry.text for entry in await self.task_log_entries(task_id, tail)]

    async def task_log_entries(self, task_id: str, tail: int) -> list[LogEntry]:
        """The same with their times."""
        try:
            async with aclosing(self._swarm_log(f"/tasks/{task_id}/logs", tail, follow=False)) as entries:
                return await last_entries(entries, tail)
        except NotFound:
            return []

    def follow_service_logs(
        self, service: str, tail: int, since: datetime | None = None
    ) -> AsyncIterator[LogEntry]:
        """The last `tail` lines of each task (only those since then), then every new one of all.

        Also of tasks that come later, and of ended ones; each line names its task.

        Close the iterator (`aclosing`) to stop listening. Raises NotFound when there is no such service.
        """
        return self._swarm_log(f"/services/{service}/logs", tail, follow=True, since=since, names_tasks=True)

    async def _swarm_log(
        self,
        path: str,
        tail: int,
        *,
        follow: bool,
        since: datetime | None = None,
        names_tasks: bool = False,
    ) -> AsyncGenerator[LogEntry, None]:
        query: dict[str, str | int] = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": tail}
        query["details"] = int(names_tasks)
        if since is not None:
            query["since"] = f"{since.timestamp():.6f}"
        reader = LogReader(names_tasks=names_tasks)
        try:
            async with self.stream("GET", path, query={**query, "follow": int(follow)}) as stream:
                async for chunk in stream:
                    for entry in reader.feed(chunk):
                        yield entry
            for entry in reader.rest():
                yield entry
        except EngineRefusal as refusal:
            if refusal.status == 404:
                raise NotFound("There is no such service.") from refusal
            raise

    async def _service(self, name: str) -> Mapping[str, Any] | None:
        try:
            answer: Mapping[str, Any] = await self._asked("GET", f"/services/{name}")
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return None
            raise
        return answer

    async def _require(self, name: str) -> ServiceState:
        state = await self.service(name)
        if state is None:
            raise EngineUnavailable(f"The service {name} was removed just now.")
        return state
