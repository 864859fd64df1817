"""Containers of one engine, by deterministic name: the same call has the same end, whatever was before."""

from __future__ import annotations

import asyncio
import io
import tarfile
import time
from collections.abc import Mapping
from pathlib import PurePosixPath

from adapters.docker.connection import EngineConnection, EngineRefusal
from adapters.docker.refusals import replica_refusal
from adapters.docker.specifications import SPECIFICATION_LABEL, ContainerSpecification, container_request
from adapters.docker.states import ContainerState, Kept, container_state, listed
from adapters.docker.waiting import Waiting
from domain.errors import EngineUnavailable, ImageNotFound, ReplicaRefused, SeawayError

# How long a name may stay reserved for a container that cannot be inspected yet.
NAME_LIMIT_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 0.02
INSPECTED_AT_ONCE = 4
"""So that many containers behind a slow link are listed in time, and threads are left for other calls."""


class Containers(Waiting, EngineConnection):
    """What an engine does with containers and their networks and volumes."""

    async def ensure_network(self, name: str, labels: Mapping[str, str]) -> None:
        """A user-defined bridge network of that name exists afterwards."""
        if await self.call(lambda client: client.networks(names=[f"^{name}$"])):
            return
        try:
            await self.call(
                lambda client: client.create_network(
                    name, driver="bridge", labels=dict(labels), check_duplicate=True
                )
            )
        except EngineRefusal as refusal:
            if refusal.status != 409:
                raise

    async def remove_network(self, name: str) -> None:
        """Remove a network; absent is fine. Raises EngineUnavailable while containers are attached."""
        await self._absent_is_fine(lambda client: client.remove_network(name))

    async def ensure_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """A local volume of that name exists afterwards; one that exists keeps its content and labels."""
        if await self._exists(lambda client: client.inspect_volume(name)):
            return
        try:
            await self.call(lambda client: client.create_volume(name, labels=dict(labels)))
        except EngineRefusal as refusal:
            raise ReplicaRefused(f"The volume {name} cannot be created: {refusal.reason}") from refusal

    async def volumes(self, labels: Mapping[str, str]) -> list[str]:
        """The names of the volumes that have all these labels."""
        filters = {"label": [f"{key}={value}" for key, value in labels.items()]}
        found = await self.call(lambda client: client.volumes(filters=filters))
        return sorted(str(volume["Name"]) for volume in found.get("Volumes") or ())

    async def remove_volume(self, name: str) -> bool:
        """Remove a volume and its content. False when a container uses it; absent is fine."""
        try:
            await self._absent_is_fine(lambda client: client.remove_volume(name))
        except EngineRefusal as refusal:
            if refusal.status == 409:
                return False
            raise
        return True

    async def users_of_volume(self, name: str) -> list[str]:
        """The names of the containers, running or not, that mount a volume, sorted."""
        found = listed(await self.call(lambda client: client.containers(all=True, filters={"volume": name})))
        return sorted(str(next(iter(one.get("Names") or ()), one["Id"])).removeprefix("/") for one in found)

    async def ensure_container(self, specification: ContainerSpecification) -> ContainerState:
        """The container exists afterwards as specified, started or not.

        One made from the same specification is reused as it stands. One made from another is replaced, by
        force. Raises ReplicaRefused when the engine does not accept the specification, or when the name
        belongs to a container that Seaway did not make; ImageNotFound when the image is not there.
        """
        name = specification.name
        pause = FIRST_PAUSE_SECONDS
        try:
            async with asyncio.timeout(NAME_LIMIT_SECONDS):
                while not (state := await self._ensure_once(specification)):
                    await asyncio.sleep(pause)
                    pause *= 2
        except TimeoutError as error:
            raise EngineUnavailable(
                f"The name {name} is taken by a container that is not there yet."
            ) from error
        return state

    async def _ensure_once(self, specification: ContainerSpecification) -> ContainerState | None:
        """One try; None while somebody else is just making a container of that name."""
        name = specification.name
        if state := await self.inspect(name):
            made_from = state.labels.get(SPECIFICATION_LABEL)
            if made_from == specification.hash:
                return state
            if made_from is None:
                raise ReplicaRefused(
                    f"The name {name} belongs to a container that Seaway did not make. Remove it."
                )
            await self.remove(name)
        request = container_request(specification)
        try:
            await self.call(lambda client: client.create_container_from_config(request, name))
        except EngineRefusal as refusal:
            # The engine reserves a name a while before its container can be inspected.
            if refusal.status == 409:
                return None
            raise _create_refusal(specification, refusal) from refusal
        return await self.inspect(name)

    async def start(self, name: str) -> None:
        """The container has been started; one that runs is left alone.

        Raises ReplicaRefused with the reason when the engine cannot start it. With an init process, a command
        that is missing in the image shows later, as exit code 127.
        """
        try:
            await self.call(lambda client: client.start(name))
        except EngineRefusal as refusal:
            raise replica_refusal(name, refusal.reason) from refusal

    async def inspect(self, name: str) -> ContainerState | None:
        """How the container stands; None when there is none."""
        try:
            return container_state(await self.call(lambda client: client.inspect_container(name)))
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return None
            raise

    async def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """Every container, running or not, that has all these labels (an empty value: any value), by name."""
        filters = {"label": [f"{key}={value}" if value else key for key, value in labels.items()]}
        found = listed(await self.call(lambda client: client.containers(all=True, filters=filters)))
        states, kept = [], Kept()
        for first in range(0, len(found), INSPECTED_AT_ONCE):
            some = found[first : first + INSPECTED_AT_ONCE]
            for state in await asyncio.gather(*(self.inspect(container["Id"]) for container in some)):
                if state is not None:
                    kept.add(state)
                    states.append(state)
        return sorted(states, key=lambda state: state.name)

    async def stop(self, name: str, grace_seconds: int) -> None:
        """Ask it to end, and kill it after the grace. Stopped or absent is fine."""
        await self._absent_is_fine(
            lambda client: client.stop(name, timeout=grace_seconds),
            extra_seconds=grace_seconds,
        )

    async def remove(self, name: str) -> None:
        """Remove it with its anonymous volumes, running or not; absent is fine."""
        await self._absent_is_fine(lambda client: client.remove_container(name, v=True, force=True))

    async def write_file(self, name: str, path: PurePosixPath, content: bytes, mode: int = 0o644) -> None:
        """Write a file into a container, started or not; into a volume, where one is mounted there.

        The folder must exist. Raises ReplicaRefused.
        """
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode, entry.mtime = len(content), mode, int(time.time())
            tar.addfile(entry, io.BytesIO(content))
        try:
            await self.call(lambda client: client.put_archive(name, str(path.parent), archive.getvalue()))
        except EngineRefusal as refusal:
            raise ReplicaRefused(f"The file {path} cannot be written: {refusal.reason}") from refusal


def _create_refusal(specification: ContainerSpecification, refusal: EngineRefusal) -> SeawayError:
    if refusal.status == 404 and "image" in refusal.reason.lower():
        return ImageNotFound(f"The image {specification.image} is not on the server.", detail=refusal.reason)
    return replica_refusal(specification.name, refusal.reason)
