"""The steps that make a server usable: each may be repeated, and does only what is still missing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.server_checks import ask_engine, raise_alarm
from activities.server_step_recording import ServerSteps, StepOutput
from activities.servers import Servers
from activities.swarm_forming import take_part
from adapters import server_setup
from adapters.ssh.connection import SshConnection
from adapters.ssh.forwarding import DockerSocketForward
from domain.errors import EngineSilent, EngineUnavailable, NotFound, NotPossibleNow, SeawayError
from domain.replicas import MANAGED
from domain.server_systems import (
    Rights,
    data_folder_of,
    lacking_space,
    lets_us_in,
    require_installable,
    require_rights,
    require_root,
    require_space,
    status_after,
)
from domain.servers import MINIMUM_ENGINE, ServerStatus, ServerStepName, is_supported_engine
from store.columns import now
from store.store import Store

ENGINE_FOLDER = PurePosixPath("/var/lib/docker")
ENGINE_START_SECONDS = 60.0
ENGINE_POLL_SECONDS = 0.2
ANSWER_LIMIT = timedelta(seconds=30)


class ProvisioningActivities:
    """One activity for each step, and one each for the beginning and the end."""

    def __init__(
        self,
        store: Store,
        servers: Servers,
        *,
        instance: str = "seaway",
        again_after: timedelta = timedelta(minutes=1),
    ) -> None:
        """`instance` names the data folder; `again_after` is when a usable server is looked at next."""
        self._store = store
        self._servers = servers
        self._steps = ServerSteps(store, servers)
        self._instance = instance
        self._again_after = again_after

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [
            self.begin,
            self.reach,
            self.look_at_system,
            self.check_prerequisites,
            self.ensure_engine,
            self.check_engine_version,
            self.ensure_folders,
            self.ensure_proxy,
            self.finish,
        ]

    @activity.defn(name=s.BEGIN_PROVISIONING.name)
    async def begin(self, task: m.ServerTask) -> m.ServerCondition:
        """Every step is pending. Whether the server may be used stays as it was until the end."""
        try:
            await self._store.servers.set(task.server_id, status=ServerStatus.PROVISIONING, status_message="")
        except NotFound:
            return m.ServerCondition(status=ServerStatus.REMOVING, is_gone=True)
        await self._store.servers.begin_steps(task.server_id)
        return m.ServerCondition(status=ServerStatus.PROVISIONING)

    @activity.defn(name=s.REACH_SERVER.name)
    async def reach(self, task: m.ServerTask) -> m.StepOutcome:
        """Logs in. Raises ServerUnreachable, AuthenticationRefused, HostKeyChanged."""

        async def work(output: StepOutput) -> m.StepOutcome:
            link = await self._servers.link(task.server_id)
            answer = await link.run(["echo", "seaway"], timeout=ANSWER_LIMIT)
            if answer.stdout.strip() != "seaway":
                raise NotPossibleNow(
                    f"{link.target.address} lets us in and does not run commands. Check the user's shell, "
                    "and that nothing is printed at its log-in.",
                    detail=answer.stdout + answer.stderr,
                )
            await self._store.servers.set(
                task.server_id, is_reachable=True, shown_host_key="", checked_at=now()
            )
            return m.StepOutcome(message=f"Logged in as {link.target.address}.")

        return await self._steps.run(task.server_id, ServerStepName.REACH, work)

    @activity.defn(name=s.LOOK_AT_SYSTEM.name)
    async def look_at_system(self, task: m.ServerTask) -> m.StepOutcome:
        """Writes down what the machine is."""

        async def work(output: StepOutput) -> m.StepOutcome:
            system = await server_setup.look_at_system(await self._servers.link(task.server_id))
            await self._store.servers.set(
                task.server_id,
                system=system.name,
                architecture=system.architecture,
                processors=system.processors,
                memory_bytes=system.memory_bytes,
            )
            return m.StepOutcome(message=system.description)

        return await self._steps.run(task.server_id, ServerStepName.SYSTEM, work)

    @activity.defn(name=s.CHECK_PREREQUISITES.name)
    async def check_prerequisites(self, task: m.ServerTask) -> m.StepOutcome:
        """Raises NotPossibleNow where the user's rights, the disk or the data folder do not do."""

        async def work(output: StepOutput) -> m.StepOutcome:
            link = await self._servers.link(task.server_id)
            system = await server_setup.look_at_system(link)
            require_rights(system)
            folder = await self._data_folder(task.server_id, link)
            places = (await self._engine_folder(task.server_id, link), folder)
            free = {str(place): await server_setup.free_bytes(link, place) for place in places}
            # One that serves already has to be looked at and cleaned, however full it is.
            if not (await self._store.servers.get(task.server_id)).data_folder:
                require_space(free)
            await server_setup.make_data_folder(link, folder)
            shortage = lacking_space(free)
            room = shortage or f"{min(free.values()) / 1024**3:.1f} GiB are free."
            return m.StepOutcome(message=f"{room} {folder} can be written.")

        return await self._steps.run(task.server_id, ServerStepName.PREREQUISITES, work)

    @activity.defn(name=s.ENSURE_ENGINE.name)
    async def ensure_engine(self, task: m.ServerTask) -> m.StepOutcome:
        """A Docker Engine answers the user afterwards: installed, started, permitted, as far as needed."""

        async def work(output: StepOutput) -> m.StepOutcome:
            link = await self._servers.link(task.server_id)
            problem = await _engine_problem(link)
            if problem is None:
                return m.StepOutcome(message="It runs already.", skipped=True)
            return await self._mend_engine(task.server_id, link, problem, output)

        return await self._steps.run(task.server_id, ServerStepName.ENGINE, work)

    async def _mend_engine(
        self, server_id: str, link: SshConnection, problem: SeawayError, output: StepOutput
    ) -> m.StepOutcome:
        system = await server_setup.look_at_system(link)
        may_use = await server_setup.may_use_socket(link)
        if isinstance(problem, EngineSilent):
            raise problem  # It may only be starting, so this is tried again.
        if isinstance(problem, NotPossibleNow) and may_use:
            raise problem  # It is the SSH server that forbids it.
        installed = await server_setup.is_engine_installed(link)
        require_root(system, problem.message)
        done = []
        if not installed:
            require_installable(system)
            await server_setup.install_engine(link, output.line)
            done.append("Installed.")
        if system.rights is not Rights.ROOT:
            await server_setup.join_docker_group(link, system.user)
            # Groups are given at log-in.
            await self._servers.forget(server_id)
            link = await self._servers.link(server_id)
            done.append(f"'{system.user}' is in the group docker.")
        if await _engine_problem(link) is not None:
            await server_setup.start_engine(link, output.line)
            await _until_engine_answers(link)
            done.append("Started.")
        return m.StepOutcome(message=" ".join(done))

    @activity.defn(name=s.CHECK_ENGINE_VERSION.name)
    async def check_engine_version(self, task: m.ServerTask) -> m.StepOutcome:
        """Raises NotPossibleNow for an engine that is too old, or not in the Swarm that it should be in."""

        async def work(output: StepOutput) -> m.StepOutcome:
            server = await self._store.servers.get(task.server_id)
            facts = await ask_engine(await self._servers.parts(server.id), server.name)
            await self._store.servers.set(task.server_id, engine_version=facts.version)
            if not is_supported_engine(facts.version):
                wanted = ".".join(f"{number:02}" for number in MINIMUM_ENGINE)
                raise NotPossibleNow(
                    f"The server has Docker {facts.version}; Seaway needs {wanted} or newer. Upgrade it."
                )
            part = await take_part(self._store, self._servers, server)
            return m.StepOutcome(message=f"Docker {facts.version}{part}")

        return await self._steps.run(task.server_id, ServerStepName.ENGINE_VERSION, work)

    @activity.defn(name=s.ENSURE_FOLDERS.name)
    async def ensure_folders(self, task: m.ServerTask) -> m.StepOutcome:
        """The data folder and the network of applications exist."""

        async def work(output: StepOutput) -> m.StepOutcome:
            link = await self._servers.link(task.server_id)
            folder = await self._data_folder(task.server_id, link)
            await server_setup.make_data_folder(link, folder)
            await server_setup.sign_in(link, folder, task.server_id)
            await self._store.servers.set(task.server_id, data_folder=str(folder))
            parts = await self._servers.parts(task.server_id)
            if parts.swarm is None:
                await parts.engine.ensure_network(parts.network, MANAGED)
            else:
                await parts.engine.ensure_overlay(parts.network, MANAGED)
            return m.StepOutcome(message=f"{folder}, network {parts.network}")

        return await self._steps.run(task.server_id, ServerStepName.FOLDERS, work)

    @activity.defn(name=s.ENSURE_PROXY.name)
    async def ensure_proxy(self, task: m.ServerTask) -> m.StepOutcome:
        """The proxy serves, but for servers that only build. Raises ReplicaRefused where a port is in use."""

        async def work(output: StepOutput) -> m.StepOutcome:
            if (await self._store.servers.get(task.server_id)).is_build_server:
                return m.StepOutcome(message="It only builds, and needs none.", skipped=True)
            parts = await self._servers.parts(task.server_id)
            await parts.proxy.ensure_running()
            return m.StepOutcome(message="It answers.")

        return await self._steps.run(task.server_id, ServerStepName.PROXY, work)

    @activity.defn(name=s.FINISH_PROVISIONING.name)
    async def finish(self, ended: m.FinishProvisioning) -> m.ServerCondition:
        """Writes down how the server stands now."""
        status = status_after(ended.code) if ended.code else ServerStatus.USABLE
        usable = status is ServerStatus.USABLE
        values = {"status": status, "status_message": ended.message, "is_usable": usable, "checked_at": now()}
        if usable or not lets_us_in(ended.code):
            values["is_reachable"] = usable
        try:
            before = await self._store.servers.get(ended.server_id)
            await self._store.servers.set(ended.server_id, **values)
        except NotFound:
            return m.ServerCondition(status=ServerStatus.REMOVING, is_gone=True)
        if status is ServerStatus.HOST_KEY_CHANGED and before.status != status:
            await raise_alarm(self._store, ended.server_id, ended.message)
        return m.ServerCondition(status=status, message=ended.message, again_after=self._again_after)

    async def _engine_folder(self, server_id: str, link: SshConnection) -> PurePosixPath:
        """Where the engine keeps what it has, or will once it is installed."""
        root = ""
        with contextlib.suppress(EngineUnavailable):
            if await _engine_problem(link) is None:
                root = await (await self._servers.parts(server_id)).engine.data_root()
        return PurePosixPath(root) if root.startswith("/") else ENGINE_FOLDER

    async def _data_folder(self, server_id: str, link: SshConnection) -> PurePosixPath:
        server = await self._store.servers.get(server_id)
        if server.data_folder:  # Another one would leave files and routes behind.
            return PurePosixPath(server.data_folder)
        return data_folder_of(await server_setup.look_at_system(link), self._instance)


async def _engine_problem(link: SshConnection) -> SeawayError | None:
    """Why the user cannot use an engine there; None when it can. Raises ServerUnreachable."""
    try:
        await DockerSocketForward(link).check()
    except (EngineUnavailable, NotPossibleNow) as error:
        return error
    return None


async def _until_engine_answers(link: SshConnection) -> None:
    problem: SeawayError | None = None
    try:
        async with asyncio.timeout(ENGINE_START_SECONDS):
            # Nothing tells us: asking is the only way to learn it.
            while (problem := await _engine_problem(link)) is not None:  # noqa: ASYNC110
                await asyncio.sleep(ENGINE_POLL_SECONDS)
    except TimeoutError as error:
        raise NotPossibleNow(
            f"Docker was started and does not answer within {ENGINE_START_SECONDS:g} s. Look at its log: "
            "journalctl -u docker, or /var/log/dockerd.log",
            detail=problem.message if problem else "",
        ) from error
