"""Which steps an operation has."""

from __future__ import annotations

from collections.abc import Sequence

from domain.configuration import ApplicationConfiguration, GitSource
from domain.deployments import OperationKind, Step, StepName, StepStatus

BRINGS_UP = frozenset(
    {
        OperationKind.DEPLOY,
        OperationKind.ROLLBACK,
        OperationKind.RESTART,
        OperationKind.START,
        OperationKind.SCALE,
    }
)
RUNS_COMMANDS = frozenset({OperationKind.DEPLOY, OperationKind.ROLLBACK})


def stops_first(configuration: ApplicationConfiguration, kind: OperationKind) -> bool:
    """Two replicas cannot share a port of the host, so the old ones have to go first."""
    return bool(configuration.runtime.port_mappings) and kind is not OperationKind.SCALE


BUILDS = (StepName.RESOLVE_SOURCE, StepName.BUILD)
ONCE = (StepName.PRE_DEPLOY, StepName.RELEASE_COMMAND, StepName.POST_DEPLOY)
"""Commands of a release: a migration must not run once for each server."""
BY_WHO_BUILDS = (StepName.PUSH, StepName.PUBLISH)


def pushes(configuration: ApplicationConfiguration) -> bool:
    """Whether images of this application, which then are its own, go to a registry."""
    return bool(configuration.push.name) and isinstance(configuration.source, GitSource)


def planned_steps(
    kind: OperationKind,
    configuration: ApplicationConfiguration,
    servers: Sequence[str],
    *,
    replaces: bool,
    replaces_on_first: bool = True,
    build_on: str | None = None,
    left: Sequence[str] = (),
    edges: Sequence[str] = (),
) -> tuple[Step, ...]:
    """The steps in order, on every server but for the commands, which run on the first.

    `replaces` tells whether something runs already, `replaces_on_first` whether it does on the first server,
    too. `build_on` is the server that builds for all of them; without one, each builds for itself. On the
    servers that are `left` the version from before is only taken away. `edges` are the server that spreads
    visitors over all others, and the one that did so before.
    """
    switch = [StepName.SWITCH, StepName.EDGE] if edges else [StepName.SWITCH]
    names = [*switch]
    stop_first = kind in BRINGS_UP and stops_first(configuration, kind)
    if kind in BRINGS_UP:
        names = [*BUILDS]
        if kind is OperationKind.DEPLOY and pushes(configuration):
            names.append(StepName.PUSH)
        if build_on:
            names.append(StepName.DISTRIBUTE)
        if kind in RUNS_COMMANDS and configuration.hooks.pre_deploy and replaces and replaces_on_first:
            names.append(StepName.PRE_DEPLOY)
        if kind in RUNS_COMMANDS and configuration.hooks.release:
            names.append(StepName.RELEASE_COMMAND)
        if stop_first and replaces:
            names.append(StepName.STOP_OLD)
        names += [StepName.START, StepName.HEALTH, *switch]
        if kind in RUNS_COMMANDS and configuration.hooks.post_deploy:
            names.append(StepName.POST_DEPLOY)
    if not stop_first:
        names += [StepName.DRAIN, StepName.STOP_OLD] if replaces else [StepName.STOP_OLD]
    if kind in RUNS_COMMANDS and pushes(configuration) and configuration.push.tag:
        names.append(StepName.PUBLISH)
    names.append(StepName.CLEAN_UP)
    retiring = StepName.CLEAN_UP if stop_first else StepName.STOP_OLD
    return tuple(
        Step(name=name, server=server)
        for name in names
        for server in (
            edges
            if name is StepName.EDGE
            else [*_servers_of(name, servers, build_on), *(left if name is retiring else ())]
        )
    )


def _servers_of(name: StepName, servers: Sequence[str], build_on: str | None) -> Sequence[str]:
    if build_on and name in BUILDS:
        # A build server has nothing to do with the source before it builds.
        return [build_on] if name is StepName.BUILD or build_on in servers else servers[:1]
    if name in BY_WHO_BUILDS:
        return [build_on] if build_on and build_on in servers else servers[:1]
    return servers[:1] if name in ONCE else servers


def is_past_return(steps: Sequence[Step]) -> bool:
    """Whether the version from before is being removed, so that these steps cannot be undone any more.

    One that had to stop before the new one could start is only paused until the switch.
    """
    switched = max((index for index, step in enumerate(steps) if step.name is StepName.SWITCH), default=0)
    final = (StepName.STOP_OLD, StepName.PUBLISH, StepName.CLEAN_UP)
    return any(step.name in final and step.status is not StepStatus.PENDING for step in steps[switched:])
