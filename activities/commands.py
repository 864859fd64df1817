"""The owner's own commands around a release."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.application_secrets import redactor_for
from activities.environments import replica_environment
from activities.replica_specifications import prepare_mounts, release_command_specification
from activities.servers import ServerParts, Servers, Surroundings
from activities.step_log import Write, step_log
from activities.task_containers import task_container
from domain.configuration import ApplicationConfiguration
from domain.errors import CommandFailed, DeadlineExceeded
from domain.replicas import MANAGED, release_command_name, replica_name
from domain.services import service_name
from store.store import Store

SHOWN_LINES = 40
LOG_TAIL = 100_000


class CommandActivities:
    """Runs pre-deploy, release and post-deploy commands and shows their output in the log."""

    def __init__(self, store: Store, servers: Servers, surroundings: Surroundings) -> None:
        self._store = store
        self._servers = servers
        self._surroundings = surroundings

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.pre_deploy, self.post_deploy, self.release_command, self.remove_release_command]

    @activity.defn(name=s.RUN_PRE_DEPLOY.name)
    async def pre_deploy(self, run: m.RunCommand) -> m.StepOutcome:
        """In the first replica of the old version; after a worker's death it runs again."""
        configuration = await self._store.deployments.snapshot(run.step.deployment_id)
        return await self._execute(run, configuration, configuration.hooks.pre_deploy, "pre-deploy")

    @activity.defn(name=s.RUN_POST_DEPLOY.name)
    async def post_deploy(self, run: m.RunCommand) -> m.StepOutcome:
        """In the first replica of the new version; after a worker's death it runs again."""
        configuration = await self._store.deployments.snapshot(run.step.deployment_id)
        return await self._execute(run, configuration, configuration.hooks.post_deploy, "post-deploy")

    async def _execute(
        self, run: m.RunCommand, configuration: ApplicationConfiguration, command: str, kind: str
    ) -> m.StepOutcome:
        served = run.served.on(run.server_id) if run.served is not None else None
        if served is None:
            return m.StepOutcome(skipped=True, message="Nothing runs yet that could run it.")
        parts = await self._servers.parts(run.server_id)
        name = replica_name(run.application_id, served.release_id, 1)
        if parts.swarm is not None:
            service = service_name(run.application_id, served.release_id)
            parts, name = await task_container(self._store, self._servers, run.server_id, parts, service)
        tail: deque[str] = deque(maxlen=SHOWN_LINES)
        redact = redactor_for(configuration)
        async with step_log(self._store.logs, run.step, redact) as write:
            code = await parts.engine.execute(
                name, ["/bin/sh", "-c", command], _both(write, tail), run.limit.total_seconds()
            )
        return _judge(kind, code, [redact(line) for line in tail])

    @activity.defn(name=s.RUN_RELEASE_COMMAND.name)
    async def release_command(self, run: m.RunCommand) -> m.StepOutcome:
        """Once, in a container of the new image. A repeat attaches to it and never starts a second one."""
        deployment = await self._store.deployments.get(run.step.deployment_id)
        configuration = await self._store.deployments.snapshot(deployment.id)
        parts = await self._servers.parts(run.server_id)
        await parts.engine.ensure_network(parts.network, MANAGED)
        name = release_command_name(run.application_id, deployment.id)
        state = await parts.engine.inspect(name)
        if state is None or state.started_at is None:
            specification = release_command_specification(
                configuration,
                deployment_id=deployment.id,
                image=deployment.image,
                network=parts.network,
                mounts=await prepare_mounts(parts, configuration),
                environment=await replica_environment(
                    self._store, configuration, self._surroundings, deployment, name
                ),
            )
            await parts.engine.ensure_container(specification)
            await parts.engine.start(name)
        redact = redactor_for(configuration)
        tail: deque[str] = deque(maxlen=SHOWN_LINES)
        async with step_log(self._store.logs, run.step, redact) as write:
            code = await _attend(parts, name, _both(write, tail), run.limit.total_seconds())
        return _judge("release", code, [redact(line) for line in tail])

    @activity.defn(name=s.REMOVE_RELEASE_COMMAND.name)
    async def remove_release_command(self, run: m.RunCommand) -> m.StepOutcome:
        """Ends the release command, if it still runs, and removes its container."""
        parts = await self._servers.parts(run.server_id)
        name = release_command_name(run.application_id, run.step.deployment_id)
        await parts.engine.stop(name, 10)
        await parts.engine.remove(name)
        return m.StepOutcome()


async def _attend(parts: ServerParts, name: str, write: Write, limit_seconds: float) -> int:
    """Follows the container's output from its first line to its end."""

    async def follow() -> None:
        async for entry in parts.engine.follow_logs(name, LOG_TAIL):
            write(entry.text)

    following = asyncio.create_task(follow())
    try:
        code = await parts.engine.wait(name, limit_seconds)
        await asyncio.wait([following], timeout=10)
        if following.done() and (broken := following.exception()):
            raise broken  # Lines are missing; the next try reads them all.
        return code
    except DeadlineExceeded as error:
        raise DeadlineExceeded(
            f"The release command still ran after {limit_seconds:g} seconds. "
            "Make it faster, or raise the limit of commands in the application's settings."
        ) from error
    finally:
        following.cancel()
        await asyncio.wait([following])


def _both(write: Write, tail: deque[str]) -> Write:
    def hear(line: str) -> None:
        write(line)
        tail.append(line)

    return hear


def _judge(kind: str, code: int, tail: list[str]) -> m.StepOutcome:
    if code != 0:
        raise CommandFailed(
            f"The {kind} command ended with exit code {code}.",
            detail="\n".join(tail),
        )
    return m.StepOutcome(message="exit code 0")
