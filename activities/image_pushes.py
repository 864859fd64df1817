"""Images that an application's owner wants in a registry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.application_secrets import redactor_for
from activities.errors import TRANSIENT_ATTEMPTS
from activities.servers import Servers
from activities.step_log import step_log
from domain.configuration import ApplicationConfiguration
from domain.deployments import StepStatus
from domain.errors import DeadlineExceeded, ImageNotFound, RegistryRefused, RegistryUnavailable
from domain.image_references import combine_image_reference
from domain.registries import RegistryLogin, login_for, pushed_reference
from store.store import Store


class PushActivities:
    """Puts the image of a release into the registry that its application names."""

    def __init__(self, store: Store, servers: Servers) -> None:
        self._store = store
        self._servers = servers

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.push, self.withdraw, self.publish]

    @activity.defn(name=s.PUSH_IMAGE.name)
    async def push(self, push: m.PushImage) -> m.StepOutcome:
        """The registry has the image under a name that tells commit and configuration."""
        configuration, logins = await self._known(push)
        reference = pushed_reference(configuration.push.name, push.image)
        pinned = await self._push(push, push.source.id, push.image, reference, configuration, logins)
        await self._store.deployments.update(push.step.deployment_id, pushed_image=pinned)
        return m.StepOutcome(message=reference)

    @activity.defn(name=s.WITHDRAW_IMAGE.name)
    async def withdraw(self, withdraw: m.PushImage) -> m.StepOutcome:
        """No later deployment takes the image of this one, which failed, from the registry.

        There it stays, and the step says so: under this name nobody takes it for what serves, and few
        registries let images go.
        """
        deployments, step = self._store.deployments, withdraw.step
        row = await deployments.get(step.deployment_id)
        await deployments.update(row.id, pushed_image="")
        if row.pushed_image and not await deployments.pushed_image(row.id):
            note = f"{row.pushed_image.partition('@')[0]} keeps this image, which no deployment uses."
            await deployments.set_step(row.id, step.name, step.server, StepStatus.COMPENSATED, message=note)
        return m.StepOutcome()

    @activity.defn(name=s.PUBLISH_IMAGE.name)
    async def publish(self, publish: m.PublishImage) -> m.StepOutcome:
        """The application's own tag means what serves now; where it cannot, what serves does so all the same.

        Nothing but the tag is sent, because the registry has the image.
        """
        configuration, logins = await self._known(publish)
        reference = combine_image_reference(configuration.push.name, configuration.push.tag).canonical
        row = await self._store.deployments.get(publish.step.deployment_id)
        try:
            await self._push(publish, publish.server_id, row.image, reference, configuration, logins)
        except (ImageNotFound, RegistryRefused, RegistryUnavailable, DeadlineExceeded) as error:
            if error.retryable and activity.info().attempt < TRANSIENT_ATTEMPTS:
                raise
            return m.StepOutcome(skipped=True, message=f"{reference} was left as it is: {error.message}")
        return m.StepOutcome(message=reference)

    async def _known(self, task: m.StepInput) -> tuple[ApplicationConfiguration, Sequence[RegistryLogin]]:
        configuration = await self._store.deployments.snapshot(task.step.deployment_id)
        logins = await self._store.registries.logins(
            team_id=configuration.team_id, project_id=configuration.project_id
        )
        return configuration, logins

    async def _push(
        self,
        task: m.PushImage | m.PublishImage,
        server_id: str,
        image: str,
        reference: str,
        configuration: ApplicationConfiguration,
        logins: Sequence[RegistryLogin],
    ) -> str:
        limit = task.limit.total_seconds()
        engine = (await self._servers.parts(server_id)).engine
        async with step_log(self._store.logs, task.step, redactor_for(configuration, logins)) as write:
            try:
                async with asyncio.timeout(limit):
                    return await engine.push(image, reference, write, login_for(reference, logins))
            except TimeoutError as error:
                raise DeadlineExceeded(f"Pushing the image took longer than {limit:g} s.") from error
