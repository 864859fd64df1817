"""The steps that make servers usable, look at them and remove them, without workflows."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities.provisioning import ProvisioningActivities
from activities.server_checks import ServerCheckActivities
from activities.server_removal import ServerRemovalActivities
from domain.deployments import StepStatus
from domain.servers import ServerStepName
from seaway.servers import SeawayServers
from store.store import Store
from store.tables import PrivateKey, Server, ServerStep
from tests.harness.ssh_servers import SshServer

INSTANCE = "harbour"


@dataclass
class Provisioner:
    """Runs the steps as a server's workflow does, in this process."""

    store: Store
    servers: SeawayServers
    team_id: str

    def __post_init__(self) -> None:
        self._steps = ProvisioningActivities(self.store, self.servers, instance=INSTANCE)
        self._checks = ServerCheckActivities(self.store, self.servers)
        self._removal = ServerRemovalActivities(self.store, self.servers, instance=INSTANCE)

    async def add(self, machine: SshServer, user: str = "root", **fields: Any) -> str:
        """The machine as a server of the store, with its host key pinned."""
        key = PrivateKey(team_id=self.team_id, name="key", private_key_sealed="")
        await self.store.servers.add_key(key, SecretStr(fields.pop("private_key", machine.private_key)))
        known = {"address": machine.host, "user": user, "host_key": machine.host_key}
        # The same machine may be added by several ways.
        name = f"{machine.name}, {key.id}" if fields else machine.name
        server = Server(team_id=self.team_id, name=name, private_key_id=key.id, **{**known, **fields})
        return (await self.store.servers.create(server)).id

    async def provision(self, server_id: str) -> Server:
        """The server after all steps, or those up to the one that failed."""
        task = m.ServerTask(server_id=server_id)
        begin, *steps, finish = self._steps.all()
        await run(begin, task)
        failure: ApplicationError | None = None
        for step in steps:
            try:
                await run(step, task)
            except ApplicationError as error:
                failure = error
                break
        ended = m.FinishProvisioning(
            server_id=server_id,
            code=(failure.type or "") if failure else "",
            message=failure.message if failure else "",
        )
        await run(finish, ended)
        return await self.store.servers.get(server_id)

    async def make_folders(self, server_id: str) -> None:
        await run(self._steps.begin, m.ServerTask(server_id=server_id))
        await run(self._steps.ensure_folders, m.ServerTask(server_id=server_id))

    async def check(self, server_id: str) -> m.ServerCondition:
        return await run(self._checks.check, m.ServerTask(server_id=server_id))

    async def remove(self, server_id: str, *, forget: bool = False) -> m.ServerRemoval:
        return await run(self._removal.remove, m.RemoveServer(server_id=server_id, forget=forget))

    async def steps(self, server_id: str) -> dict[ServerStepName, ServerStep]:
        return {ServerStepName(step.name): step for step in await self.store.servers.steps(server_id)}

    async def statuses(self, server_id: str) -> list[str]:
        return [step.status for step in (await self.steps(server_id)).values()]

    async def failed(self, server_id: str) -> ServerStep:
        (failed,) = [
            step
            for step in (await self.steps(server_id)).values()
            if step.status not in (StepStatus.PENDING, StepStatus.SUCCEEDED, StepStatus.SKIPPED)
        ]
        return failed


async def run(activity: Callable[..., Awaitable[Any]], argument: m.Message) -> Any:
    return await ActivityEnvironment().run(activity, argument)


def stop_engine(machine: SshServer) -> None:
    # What starts again must not put its containers among those of the outer engine.
    configuration = json.dumps({"cgroup-parent": f"/seaway-test/{machine.name}"})
    machine.run("sh", "-c", f"mkdir -p /etc/docker && echo '{configuration}' > /etc/docker/daemon.json")
    machine.run("sh", "-c", "pkill -TERM -x dockerd; while pgrep -x dockerd >/dev/null; do sleep 0.1; done")
    machine.run("rm", "-f", "/var/run/docker.sock")
