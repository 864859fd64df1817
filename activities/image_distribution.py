"""An image that one server of an application has, sent to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.disk_guard import room_for_image
from activities.pushed_images import pull_pushed
from activities.servers import Servers
from activities.step_log import step_log
from activities.swarm_nodes import NodeImages
from adapters.docker.engine import DockerEngine
from adapters.docker.image_transfer import send_image
from adapters.docker.images import LocalImage
from domain.errors import DeadlineExceeded, DeploymentError, ImageNotFound, SeawayError
from domain.image_distribution import transferred
from domain.redaction import Redactor
from domain.registries import RegistryLogin
from domain.release_policies import AWAY
from store.store import Store


class DistributionActivities:
    """Makes sure that a server has the image that another one has."""

    def __init__(self, store: Store, servers: Servers, *, minimum_free_disk_bytes: int = 0) -> None:
        """`minimum_free_disk_bytes` is what stays free on a server that is sent an image."""
        self._store = store
        self._servers = servers
        self._nodes = NodeImages(store, servers, minimum_free_disk_bytes=minimum_free_disk_bytes)
        self._minimum_free_disk_bytes = minimum_free_disk_bytes

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.distribute]

    @activity.defn(name=s.DISTRIBUTE_IMAGE.name)
    async def distribute(self, distribute: m.DistributeImage) -> m.StepOutcome:
        """The server has the very image that the sending one has, by name; so have the nodes of its Swarm."""
        outcome = await self._distribute(distribute)
        if (await self._servers.parts(distribute.server_id)).swarm is None:
            return outcome
        configuration = await self._store.deployments.snapshot(distribute.step.deployment_id)
        limit = distribute.limit.total_seconds()
        # Nothing here comes out of the application.
        async with step_log(self._store.logs, distribute.step, Redactor(())) as write:
            try:
                async with asyncio.timeout(limit):
                    message = await self._nodes.spread(
                        distribute.server_id, configuration, distribute.image, write
                    )
            except TimeoutError as error:
                raise DeadlineExceeded(f"Sending it to the nodes took longer than {limit:g} s.") from error
        return m.StepOutcome(message=message)

    async def _distribute(self, distribute: m.DistributeImage) -> m.StepOutcome:
        try:
            return await self._from_source(distribute)
        except SeawayError as error:
            # Who built may be lost since; what was pushed is there without it.
            pushed = await self._store.deployments.pushed_image(distribute.step.deployment_id)
            if error.code not in AWAY or not pushed or distribute.server_id == distribute.source.id:
                raise
            pulled = await self._pulled(distribute, pushed)
            if pulled is None:
                raise
            return pulled

    async def _pulled(self, distribute: m.DistributeImage, pushed: str) -> m.StepOutcome | None:
        """From the registry; None where that does not have it at the moment."""
        target = (await self._servers.parts(distribute.server_id)).engine
        logins = await self._logins(distribute)
        passwords = [login.password.get_secret_value() for login in logins]
        limit = distribute.limit.total_seconds()
        async with step_log(self._store.logs, distribute.step, Redactor(passwords)) as write:
            try:
                async with asyncio.timeout(limit):
                    found = await pull_pushed(target, pushed, distribute.image, write, logins)
            except TimeoutError as error:
                raise DeadlineExceeded(f"Pulling the image took longer than {limit:g} s.") from error
        return m.StepOutcome(message=f"from {pushed.partition('@')[0]}") if found else None

    async def _from_source(self, distribute: m.DistributeImage) -> m.StepOutcome:
        source = (await self._servers.parts(distribute.source.id)).engine
        image = await source.inspect_image(distribute.image)
        if image is None:
            raise ImageNotFound(
                f"{distribute.source.name} has no image {distribute.image} to send. Deploy again."
            )
        if distribute.server_id == distribute.source.id:
            # Where nobody built, nobody has written it down yet.
            await self._store.deployments.update(distribute.step.deployment_id, image_id=image.id)
            return m.StepOutcome(skipped=True, message="This server has the image.")
        receiver = await self._servers.parts(distribute.server_id)
        target = receiver.engine
        if await _has(target, distribute.image, image):
            return m.StepOutcome(skipped=True, message="The image is here already.")
        there = (await target.ping()).architecture
        if there != image.architecture:
            raise DeploymentError(
                f"The image is for {image.architecture}, and this server is {there}. "
                "Put servers of one architecture into an application."
            )
        limit = distribute.limit.total_seconds()
        pushed = await self._store.deployments.pushed_image(distribute.step.deployment_id)
        logins = await self._logins(distribute) if pushed else ()
        passwords = [login.password.get_secret_value() for login in logins]
        # Nothing else here comes out of the application.
        async with step_log(self._store.logs, distribute.step, Redactor(passwords)) as write:
            try:
                async with asyncio.timeout(limit):
                    if pushed and await pull_pushed(target, pushed, distribute.image, write, logins):
                        return m.StepOutcome(message=f"from {pushed.partition('@')[0]}")
                    write(f"The image comes from {distribute.source.name}.")
                    room = await room_for_image(
                        receiver, self._minimum_free_disk_bytes, distribute.step.server
                    )
                    transfer = await send_image(source, target, distribute.image, write, room_bytes=room)
            except TimeoutError as error:
                raise DeadlineExceeded(f"Sending the image took longer than {limit:g} s.") from error
            message = transferred(transfer.sent_bytes, transfer.archive_bytes, transfer.seconds)
            write(message)
        return m.StepOutcome(message=message)

    async def _logins(self, distribute: m.DistributeImage) -> Sequence[RegistryLogin]:
        configuration = await self._store.deployments.snapshot(distribute.step.deployment_id)
        return await self._store.registries.logins(
            team_id=configuration.team_id, project_id=configuration.project_id
        )


async def _has(target: DockerEngine, name: str, image: LocalImage) -> bool:
    """Whether the target has the image, which then has this name too."""
    there = await target.inspect_image(name)
    if there is not None and there.is_copy_of(image):
        return True
    if await target.inspect_image(image.id) is None:
        return False
    # Another release has the same content.
    await target.tag(image.id, name)
    return True
