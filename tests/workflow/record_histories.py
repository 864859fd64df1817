"""Records the sample histories that must replay for ever: `python -m tests.workflow.record_histories NAME`.

Run it only to add a scenario, by its name, or without a name, when histories of the old code are no longer
in use anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.messages import PlannedServer
from domain.deployments import OperationKind
from tests.harness.temporal import TemporalServer
from tests.workflow.bench import Bench, ending, running_worker
from tests.workflow.fake_activities import FakeActivities
from tests.workflow.plans import ALL_HOOKS, plan_of, short_plan
from tests.workflow.server_bench import Server, until_called

HISTORIES = Path(__file__).parent / "histories"
IDENTITY = "recorder"
# They name files of the machine that recorded, and replaying does not look at them.
UNWANTED = frozenset({"stackTrace"})

Scenario = Callable[[Bench], Awaitable[WorkflowHandle[Any, Any]]]


async def deployment_finished(bench: Bench) -> WorkflowHandle[Any, Any]:
    """All hooks on two servers, each of which builds for itself."""
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, hooks=ALL_HOOKS, servers=("east", "west"), build_once=False
    )
    return await bench.deploy()


async def deployment_distributed(bench: Bench) -> WorkflowHandle[Any, Any]:
    """Built on one of two servers for both; the switch fails on the other."""
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, servers=("east", "west"))
    bench.fakes.fail("apply-routes", "route_refused", server="west")
    return await bench.deploy()


async def deployment_behind_an_edge(bench: Bench) -> WorkflowHandle[Any, Any]:
    """The visitors of two servers come to another edge from now on."""
    edge, left = PlannedServer(id="id-of-front", name="front"), PlannedServer(id="id-of-gate", name="gate")
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, servers=("east", "west"), edges=("front", "gate")
    ).model_copy(update={"edge": edge, "left_edge": left})
    return await bench.deploy()


async def deployment_without_a_server(bench: Bench) -> WorkflowHandle[Any, Any]:
    """Two of three servers suffice; the first one is full, so another one builds."""
    bench.fakes.plan = lambda command: plan_of(
        command.kind,
        command.deployment_id,
        hooks=ALL_HOOKS,
        servers=("east", "west", "north"),
        required=2,
    )
    bench.fakes.fail("build-image", "disk_full", "No room.", server="east")
    return await bench.deploy()


async def deployment_undone_by_server(bench: Bench) -> WorkflowHandle[Any, Any]:
    """Behind an edge; one of three servers is left out, another one lost while the others go back."""
    edge = PlannedServer(id="id-of-front", name="front")
    bench.fakes.plan = lambda command: plan_of(
        command.kind,
        command.deployment_id,
        hooks=ALL_HOOKS,
        servers=("east", "west", "north"),
        edges=("front",),
        required=2,
    ).model_copy(update={"edge": edge})
    bench.fakes.fail("check-health", "release_unhealthy", server="north")
    bench.fakes.fail("run-post-deploy-command", "command_failed")
    bench.fakes.fail("undo apply-routes", "server_unreachable", server="west")
    return await bench.deploy()


async def deployment_build_server_lost(bench: Bench) -> WorkflowHandle[Any, Any]:
    """The first build server is lost in the midst of the build, and the deployment fails later on."""
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, builders=("anvil", "bench"), needs_build_slot=True
    )
    bench.fakes.fail("build-image", "server_unreachable", times=1)
    bench.fakes.fail("check-health", "release_unhealthy")
    return await bench.deploy()


async def deployment_failed(bench: Bench) -> WorkflowHandle[Any, Any]:
    """The last step before the point of no return fails."""
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, hooks=ALL_HOOKS)
    bench.fakes.fail("drain-replicas", "engine_unavailable", "The engine does not answer.")
    return await bench.deploy()


async def deployment_cancelled(bench: Bench) -> WorkflowHandle[Any, Any]:
    """Cancelled while it waits for health, with host ports."""
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, host_ports=True)
    held = bench.fakes.hold("check-health")
    handle = await bench.deploy()
    await held.has_begun()
    await handle.cancel()
    return handle


async def application_queue(bench: Bench) -> WorkflowHandle[Any, Any]:
    """One superseded, one withdrawn, one cancelled while it runs, and a delete."""
    bench.fakes.plan = short_plan
    held = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("running"))
    await bench.submit(bench.command(OperationKind.DEPLOY, "running"))
    await held.has_begun()
    for kind, name in [
        (OperationKind.DEPLOY, "older"),
        (OperationKind.STOP, "withdrawn"),
        (OperationKind.RESTART, "restart"),
        (OperationKind.DEPLOY, "newer"),
    ]:
        await bench.submit(bench.command(kind, name))
    await bench.cancel("withdrawn")
    await bench.cancel("running")
    await bench.until_recorded("running", "older", "withdrawn", "restart", "newer")
    await bench.submit(bench.command(OperationKind.DELETE, "delete"))
    return bench.queue


async def server_life(bench: Bench) -> WorkflowHandle[Any, Any]:
    """Provisioned after a failure, looked at, and removed while it is provisioned once more."""
    bench.fakes.look_again_after = timedelta(milliseconds=10)
    bench.fakes.fail("check-prerequisites", "not_possible_now", "The disk is full.", times=1)
    server = Server(bench)
    await server.provision()
    await until_called(bench, "finish-provisioning")
    await server.provision("second")
    await until_called(bench, "check-server", 2)
    held = bench.fakes.hold("ensure-engine")
    await server.provision("third")
    await held.has_begun()
    await server.remove()
    return server.handle


async def clean_up(bench: Bench) -> WorkflowHandle[Any, Any]:
    """Two servers, one of which is not cleaned."""
    bench.fakes.fail("clean-up-server", "engine_unavailable", "The engine does not answer.", times=1)
    return await bench.clean("east", "west")


SCENARIOS: dict[str, Scenario] = {
    "deployment-finished": deployment_finished,
    "deployment-distributed": deployment_distributed,
    "deployment-behind-an-edge": deployment_behind_an_edge,
    "deployment-without-a-server": deployment_without_a_server,
    "deployment-undone-by-server": deployment_undone_by_server,
    "deployment-build-server-lost": deployment_build_server_lost,
    "deployment-failed": deployment_failed,
    "deployment-cancelled": deployment_cancelled,
    "application-queue": application_queue,
    "server-life": server_life,
    "clean-up": clean_up,
}
KEPT = ("deployment-build-server-lost-before", "clean-up-untold")
"""Of code from before a `workflow.patched`, so nobody can record them again."""


async def recorded(client: Client, scenario: Scenario) -> str:
    """The history of a scenario's workflow as JSON."""
    bench = Bench(client, FakeActivities())
    async with running_worker(bench):
        handle = await scenario(bench)
        with contextlib.suppress(WorkflowFailureError):  # that is how some are meant to end
            await ending(handle)
        history = json.loads((await handle.fetch_history()).to_json())
    return json.dumps(_wanted(history), indent=1, sort_keys=True) + "\n"


def _wanted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _wanted(item) for key, item in value.items() if key not in UNWANTED}
    return [_wanted(item) for item in value] if isinstance(value, list) else value


async def main(names: Sequence[str]) -> None:
    """Writes the histories of these scenarios."""
    with tempfile.TemporaryDirectory() as folder:
        server = TemporalServer(Path(folder))
        try:
            await server.start()
            client = await Client.connect(
                server.address, data_converter=pydantic_data_converter, identity=IDENTITY
            )
            HISTORIES.mkdir(exist_ok=True)
            for name in names:
                (HISTORIES / f"{name}.json").write_text(await recorded(client, SCENARIOS[name]))
        finally:
            await server.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or list(SCENARIOS)))
