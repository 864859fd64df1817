"""What a deployment is made of: a commit of a repository, or a prebuilt image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import SecretStr
from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.environments import build_environment
from activities.errors import TRANSIENT_ATTEMPTS
from activities.servers import Servers, Surroundings
from adapters.git import GitCredential, GitMirrors
from domain.builds import build_inputs, build_key
from domain.configuration import ApplicationConfiguration, GitSource
from domain.deployments import OperationKind
from domain.errors import SeawayError
from domain.git_references import parse_repository
from domain.image_references import image_tag_for
from domain.release_policies import OF_THE_MACHINE
from store.store import Store
from store.tables import Deployment


class SourceActivities:
    """Finds the exact source of a release and the name of its image."""

    def __init__(
        self, store: Store, servers: Servers, mirrors: GitMirrors, surroundings: Surroundings
    ) -> None:
        self._store = store
        self._servers = servers
        self._mirrors = mirrors
        self._surroundings = surroundings

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.resolve]

    @activity.defn(name=s.RESOLVE_SOURCE.name)
    async def resolve(self, resolve: m.ResolveSource) -> m.ResolvedSource:
        """The commit and image of this release. Asks the Git server only for a deploy."""
        configuration = await self._store.deployments.snapshot(resolve.step.deployment_id)
        if resolve.command.kind is not OperationKind.DEPLOY:
            return await self._of_earlier_release(resolve)
        if isinstance(configuration.source, GitSource):
            return await self._of_repository(resolve, configuration, configuration.source)
        reference = configuration.source.reference
        image = image_tag_for(configuration.application_id, resolve.step.deployment_id)
        await self._store.deployments.update(resolve.step.deployment_id, image=image)
        return m.ResolvedSource(reference=reference, image=image, message=reference)

    async def _of_repository(
        self, resolve: m.ResolveSource, configuration: ApplicationConfiguration, source: GitSource
    ) -> m.ResolvedSource:
        revision = await self._mirrors.resolve(
            parse_repository(source.repository),
            branch=source.branch,
            commit=source.commit,
            credential=await credential_for(self._store, source),
        )
        arguments = await build_environment(
            self._store, configuration, self._surroundings, commit=revision.commit
        )
        fingerprint = self._store.encryption.fingerprint(build_inputs(configuration, arguments))
        key = build_key(revision.commit, fingerprint)
        if resolve.command.force:
            # A forced build must not replace the image that an earlier deployment may roll back to.
            key = f"{key}-{resolve.step.deployment_id}"
        image = image_tag_for(configuration.application_id, key)
        await self._store.deployments.update(
            resolve.step.deployment_id,
            commit=revision.commit,
            commit_message=revision.message[:2000],
            branch=source.branch,
            image=image,
        )
        present, unreached = await self._present_on(resolve, image)
        return m.ResolvedSource(
            commit=revision.commit,
            reference=revision.ref,
            image=image,
            image_present=len(present) == len(_asked(resolve)),
            present_on=present,
            unreached=unreached,
            message=f"{revision.ref.removeprefix('refs/heads/')} is at {revision.commit[:12]}",
        )

    async def _of_earlier_release(self, resolve: m.ResolveSource) -> m.ResolvedSource:
        earlier = await self._earlier_release(resolve.command)
        await self._store.deployments.update(
            resolve.step.deployment_id,
            commit=earlier.commit,
            commit_message=earlier.commit_message,
            branch=earlier.branch,
            image=earlier.image,
            image_id=earlier.image_id,
        )
        present, unreached = await self._present_on(resolve, earlier.image)
        return m.ResolvedSource(
            commit=earlier.commit,
            reference=earlier.branch,
            image=earlier.image,
            image_present=len(present) == len(_asked(resolve)),
            present_on=present,
            unreached=unreached,
            message=f"the image of {earlier.commit[:12] or earlier.image}",
        )

    async def _earlier_release(self, command: m.Command) -> Deployment:
        if command.target_deployment_id:
            return await self._store.deployments.get(command.target_deployment_id)
        application = await self._store.applications.get(command.application_id)
        return await self._store.deployments.get(application.current_deployment_id or "")

    async def _present_on(
        self, resolve: m.ResolveSource, image: str
    ) -> tuple[tuple[str, ...], tuple[m.Unreached, ...]]:
        """The servers that have the image, and those that cannot be asked and may be done without."""
        having, unreached = [], []
        for server_id in _asked(resolve):
            try:
                parts = await self._servers.parts(server_id)
                if await parts.engine.image_id(image) is not None:
                    having.append(server_id)
            except SeawayError as error:
                may_pass = error.retryable and activity.info().attempt < TRANSIENT_ATTEMPTS
                if may_pass or not resolve.passes_over or error.code not in OF_THE_MACHINE:
                    raise
                unreached.append(m.Unreached(server_id=server_id, code=error.code, message=error.message))
        return tuple(having), tuple(unreached)


def _asked(resolve: m.ResolveSource) -> tuple[str, ...]:
    return resolve.look_on or (resolve.server_id,)


async def credential_for(store: Store, source: GitSource) -> GitCredential | None:
    """The deploy key of a repository, or None for a public one (or one whose URL holds a password)."""
    if source.private_key_id is None:
        return None
    key = await store.servers.key(source.private_key_id)
    revealed: SecretStr = store.servers.reveal(key)
    return GitCredential(private_key=revealed, id=key.id)
