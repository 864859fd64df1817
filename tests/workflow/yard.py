"""Servers whose builds take turns, for tests of that."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr
from temporalio.client import WorkflowHandle

from activities import messages as m
from activities import signatures as s
from activities.build_slots import BuildSlotActivities
from api.server_operations import ServerOperations
from domain.deployments import OperationKind, Step, StepName
from domain.errors import TransientError
from domain.servers import ServerStatus
from seaway.build_slots import WorkflowSlotKeepers
from store.store import Store
from store.tables import Server
from tests.harness.waiting import eventually
from tests.workflow.bench import CALL_LIMIT, Bench
from tests.workflow.fake_activities import LIMIT_SECONDS, Held
from tests.workflow.plans import plan_of
from workflows import names


class Yard:
    """Servers of one bench with deployments that hold still while they build."""

    def __init__(self, bench: Bench, store: Store) -> None:
        self.bench = bench
        self.store = store
        self.keepers = WorkflowSlotKeepers(bench.client, store, bench.task_queue)
        self.operations = ServerOperations(bench.client, store, bench.task_queue)
        slots = BuildSlotActivities(store, self.keepers)
        bench.fakes.real = {
            s.LEASE_BUILD_SLOT.name: slots.lease,
            s.FIND_CLOSED_HOLDERS.name: slots.find_closed,
        }

    def id_of(self, server: str) -> str:
        return f"id-of-{self.bench.id_of(server)}"

    async def server(self, name: str, slots: int, **fields: Any) -> Server:
        _, team = await self.store.access.create_user(
            email=f"{name}@example.test", password=SecretStr("a long enough password"), team_name="Team"
        )
        known = {"status": ServerStatus.USABLE, "is_usable": True, "address": f"{name}.example.test"}
        row = Server(
            id=self.id_of(name),
            team_id=team.id,
            name=self.bench.id_of(name),
            concurrent_builds=slots,
            **{**known, **fields},
        )
        return await self.store.servers.create(row)

    def plan(self, *servers: str, **options: Any) -> None:
        """Deployments from here on are on these servers."""
        named = [self.bench.id_of(name) for name in servers]
        self.bench.fakes.plan = lambda command: plan_of(
            command.kind, command.deployment_id, servers=named, needs_build_slot=True, **options
        )

    def hold(self, *deployments: str) -> list[Held]:
        """Their builds hang until they are released."""
        return [
            self.bench.fakes.hold("build-image", deployment_id=self.bench.id_of(name)) for name in deployments
        ]

    async def deploy(self, name: str, project: str = "project") -> WorkflowHandle[Any, m.DeploymentResult]:
        command = self.bench.command(OperationKind.DEPLOY, name).model_copy(update={"project_id": project})
        return await self.bench.client.start_workflow(
            names.DEPLOYMENT_WORKFLOW,
            command,
            id=names.deployment_workflow_id(command.deployment_id),
            task_queue=self.bench.task_queue,
            result_type=m.DeploymentResult,
            rpc_timeout=CALL_LIMIT,
        )

    async def builds(self, server: str = "anvil") -> tuple[list[str], list[str]]:
        """The short names of those that build there, and of those that wait to."""
        found = await self.operations.progress(self.id_of(server))
        suffix = f"-{self.bench.unique}"
        building, waiting = found.building, found.waiting_to_build
        return [one.removesuffix(suffix) for one in building], [one.removesuffix(suffix) for one in waiting]

    async def until(self, building: list[str], waiting: list[str], server: str = "anvil") -> None:
        wanted = (building, waiting)
        found: list[object] = []

        async def is_reached() -> bool:
            found[:] = [await self.builds(server)]
            return found == [wanted]

        await eventually(
            is_reached,
            LIMIT_SECONDS,
            interval_seconds=0.02,
            describe=lambda: f"{wanted}, not {found}",
            ignored=(TransientError,),  # nobody has asked for a slot yet, so there is no workflow
        )

    async def build_step(self, name: str) -> Step:
        progress = await self.bench.progress(name)
        [step] = [one for one in progress.steps if one.name is StepName.BUILD]
        return step
