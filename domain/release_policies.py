"""Which servers a release may go on without, where its application asks for that (`min_available`).

Without it a release is all or nothing: what fails on one server is undone on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.deployments import Step, StepName, StepStatus
from domain.errors import (
    AuthenticationRefused,
    DiskFull,
    EngineUnavailable,
    HostKeyChanged,
    InvalidInput,
    NotPossibleNow,
    ProxyUnavailable,
    RegistryRefused,
    ServerUnreachable,
)

FIELD = "min_available"
MAY_BE_LEFT_OUT = frozenset(
    {
        StepName.RESOLVE_SOURCE,
        StepName.BUILD,
        StepName.DISTRIBUTE,
        StepName.STOP_OLD,
        StepName.START,
        StepName.HEALTH,
        StepName.SWITCH,
    }
)
"""Steps in which a server can fail by itself. Commands, pushes and the edge concern the whole release."""

BEFORE_REPLICAS = frozenset({StepName.RESOLVE_SOURCE, StepName.BUILD, StepName.DISTRIBUTE})
"""Until these are over, a release has changed no container of a server."""

OUT_OF_REACH = frozenset({ServerUnreachable.code, AuthenticationRefused.code, HostKeyChanged.code})
AWAY = OUT_OF_REACH | {EngineUnavailable.code}
OF_THE_MACHINE = AWAY | {DiskFull.code}
CANNOT_WRITE = frozenset({DiskFull.code, NotPossibleNow.code})
"""A disk that is full or read-only, or a folder that the user may not write."""

STAYS_SO = CANNOT_WRITE | {ProxyUnavailable.code}
"""What nobody may ever mend, although the server lets us in and its engine answers."""

OF_ALL = frozenset({"internal", RegistryRefused.code})
"""A fault of Seaway, and a refused login: these are to be mended, not to be done without."""

LONGEST_NOTE = 2000
"""Characters; a message may hold what a server said."""

NOT_TRIED = "Left out of this release."


@dataclass(frozen=True)
class LeftOut:
    """A server that a release goes on without, and why."""

    server: str
    message: str


def check_min_available(min_available: int | None, servers: int, *, on_swarm: bool = False) -> None:
    """Raises InvalidInput where so many servers cannot be asked for."""
    if min_available is None:
        return
    if on_swarm:
        raise InvalidInput(
            "A Swarm is one place for a release, so there is nothing to go on without. Remove min_available.",
            field=FIELD,
        )
    if min_available > servers:
        has = "1 server" if servers == 1 else f"{servers} servers"
        raise InvalidInput(
            f"The application has {has}, so {min_available} of them cannot prove a release. Choose at most "
            f"{servers}, or nothing for all or nothing.",
            field=FIELD,
        )


def required_servers(min_available: int | None, servers: int) -> int:
    """How many of so many servers have to prove a release healthy: all, unless fewer are asked for."""
    return servers if min_available is None else max(1, min(min_available, servers))


def concerns_one_server(step: StepName, code: str) -> bool:
    """Whether other servers may do better than the one on which the step failed with this code.

    A Dockerfile or a branch that is wrong is so everywhere. Once a server has switched, nothing but its
    being out of reach is accepted.
    """
    if step in (StepName.RESOLVE_SOURCE, StepName.BUILD):
        return code in OF_THE_MACHINE
    if step is StepName.DRAIN:
        return code in OUT_OF_REACH
    return step in MAY_BE_LEFT_OUT and code not in OF_ALL


def goes_on(step: StepName, codes: Sequence[str], servers: int, required: int) -> bool:
    """Whether a release on so many servers goes on after failures with these codes, one for each server."""
    return servers - len(codes) >= required and all(concerns_one_server(step, code) for code in codes)


def steps_without(
    steps: Sequence[Step], server: str, instead: str, failed: StepName, message: str
) -> tuple[Step, ...]:
    """The steps once a server is left out that failed in this step.

    What only this server was to do and has not done, another one does `instead`; what each server does
    for itself is skipped there. The edge is no part of it: its proxy spreads also where no replica is.
    """
    return tuple(
        step
        if step.server != server or step.name is StepName.EDGE
        else _without(step, steps, instead, failed, message)
        for step in steps
    )


def _without(step: Step, steps: Sequence[Step], instead: str, failed: StepName, message: str) -> Step:
    is_alone = not any(one.name is step.name and one.server != step.server for one in steps)
    is_open = step.status in (StepStatus.PENDING, StepStatus.RUNNING, StepStatus.FAILED)
    if step.name is failed:
        return step.model_copy(update={"status": StepStatus.FAILED, "message": message})
    if is_alone and is_open and step.name is not StepName.RESOLVE_SOURCE:
        return Step(name=step.name, server=instead)
    if step.status is StepStatus.PENDING:
        return step.model_copy(update={"status": StepStatus.SKIPPED, "message": NOT_TRIED})
    return step


def is_behind(has: str | None, current: str | None, *, runs: bool) -> bool:
    """Whether a server lacks what serves of an application; `has` and `current` are deployments' ids."""
    return runs and current is not None and has != current


def note_of(left_out: Sequence[LeftOut]) -> str:
    """What a release that has finished without some servers says; empty where it left none out."""
    if not left_out:
        return ""
    names = ", ".join(f"{one.server} ({one.message.rstrip('.')})" for one in left_out)
    keep = "It keeps what it had" if len(left_out) == 1 else "They keep what they had"
    return f"Released without {names}. {keep} until a later release gets there."[:LONGEST_NOTE]
