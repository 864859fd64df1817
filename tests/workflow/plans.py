"""Release plans as the activity `begin-deployment` makes them from an application's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from activities.messages import Command, PlannedServer, ReleasePlan, Served
from domain.configuration import (
    ApplicationConfiguration,
    GitSource,
    Hooks,
    PortMapping,
    PushOptions,
    RuntimeOptions,
)
from domain.deployments import OperationKind
from domain.release_planning import BRINGS_UP, planned_steps, stops_first

OLD = "old-deployment"
NO_HOOKS = Hooks()
NOT_PUSHED = PushOptions()
PUSHED = PushOptions(name="registry.example.com/shop", tag="latest")
ALL_HOOKS = Hooks(pre_deploy="./before", release="./migrate", post_deploy="./after")


def plan_of(
    kind: OperationKind,
    deployment_id: str,
    *,
    hooks: Hooks = NO_HOOKS,
    host_ports: bool = False,
    replaces: bool = True,
    replicas_before: int = 1,
    replicas: int = 1,
    servers: Sequence[str] = ("local",),
    build_once: bool = True,
    builders: Sequence[str] = (),
    needs_build_slot: bool = False,
    push: PushOptions = NOT_PUSHED,
    edges: Sequence[str] = (),
    required: int = 0,
) -> ReleasePlan:
    """The plan of an operation on an application that runs already, unless it `replaces` nothing.

    Without `build_once` each server builds for itself, as all did before images were sent.
    """
    configuration = ApplicationConfiguration(
        application_id="application",
        name="shop",
        team_id="team",
        project_id="project",
        server_ids=tuple(servers),
        source=GitSource(repository="file:///shop.git"),
        hooks=hooks,
        push=push,
        runtime=RuntimeOptions(
            replicas=replicas,
            port_mappings=(PortMapping(host_port=80, container_port=80),) if host_ports else (),
        ),
    )
    scales = kind is OperationKind.SCALE
    served = Served(configuration_of=OLD, release_id=OLD, replicas=replicas_before) if replaces else None
    serve = Served(
        configuration_of=deployment_id, release_id=OLD if scales else deployment_id, replicas=replicas
    )
    planned = tuple(PlannedServer(id=f"id-of-{name}", name=name) for name in servers)
    build_on = planned[0] if build_once and len(planned) > 1 and kind in BRINGS_UP else None
    building = tuple(PlannedServer(id=f"id-of-{name}", name=name) for name in builders)
    build_on = building[0] if building else build_on
    stop_first = kind in BRINGS_UP and stops_first(configuration, kind)
    return ReleasePlan(
        servers=planned,
        steps=planned_steps(
            kind,
            configuration,
            servers,
            replaces=replaces,
            build_on=build_on.name if build_on else None,
            edges=edges,
        ),
        served=served,
        serve=serve if kind in BRINGS_UP else None,
        start_from=replicas_before + 1 if scales else 1,
        stop_first=stop_first,
        drain=timedelta(seconds=30),
        build_on=build_on,
        builders=building,
        needs_build_slot=needs_build_slot,
        drain_undone=not stop_first,
        required=required,
    )


def short_plan(command: Command) -> ReleasePlan:
    """A plan with the fewest steps, for tests in which only the order of deployments matters."""
    return plan_of(OperationKind.STOP, command.deployment_id, replaces=False)
