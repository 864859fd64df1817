"""Where the link to a server is cut during a release, and what that release does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from activities import signatures as s
from domain.configuration import HealthCheck, Hooks, RuntimeOptions
from domain.deployments import DeploymentStatus
from tests.faults.kill_cases import DEAF, HEALTHY, HOOKS, LONG_RELEASE_COMMAND, RUNTIME
from tests.harness.planned_faults import Action, Fault, Moment

SILENT_SECONDS = 60


class Cut(StrEnum):
    """What happens to the link."""

    RESET = "one reset"
    """The server's side of each connection is killed, once."""

    RESETS = "resets"
    """The same, again and again for some seconds, so that one of them hits whatever is under way."""

    SILENCE = "a minute without packets"
    """Every packet of SSH is lost, without an answer to anyone."""


@dataclass(frozen=True, eq=False)
class LinkCase:
    """A release of version v2 over v1 by one server, or by two of which the second one is cut off."""

    cut: Cut
    fault: Fault
    servers: int = 1
    ends: DeploymentStatus = DeploymentStatus.FINISHED
    error_code: str = ""
    hooks: Hooks = HOOKS
    health: HealthCheck = HEALTHY
    runtime: RuntimeOptions = RUNTIME
    variables: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """For the names of tests and the table."""
        where = "" if self.servers == 1 else " on the second of two"
        return f"{self.cut}, {self.fault.label}{where}"

    @property
    def breaks_build(self) -> bool:
        """Whether a second try of the build may have to be made."""
        return self.fault.activity == s.BUILD_IMAGE.name


STEPS = (
    s.RESOLVE_SOURCE,
    s.BUILD_IMAGE,
    s.RUN_PRE_DEPLOY,
    s.RUN_RELEASE_COMMAND,
    s.START_REPLICAS,
    s.CHECK_HEALTH,
    s.APPLY_ROUTES,
    s.RUN_POST_DEPLOY,
    s.DRAIN_REPLICAS,
    s.RETIRE_REPLICAS,
    s.CLEAN_UP,
)
ON_THE_SECOND = (s.DISTRIBUTE_IMAGE, s.START_REPLICAS, s.CHECK_HEALTH, s.APPLY_ROUTES, s.RETIRE_REPLICAS)
BACKWARD = (s.APPLY_ROUTES, s.RETIRE_REPLICAS, s.REMOVE_RELEASE_COMMAND, s.DISCARD_IMAGE)
FAILING = HOOKS.model_copy(update={"post_deploy": "echo this fails; exit 7"})


def _held(name: str, *, undo: bool = False) -> Fault:
    return Fault(name, Moment.BEGUN, Action.HOLD, undo=undo)


def _middle(name: str, *, text: str = "", seconds: float = 0.0) -> Fault:
    return Fault(name, Moment.MIDDLE, Action.HOLD, text=text, seconds=seconds)


def _middles(cut: Cut) -> list[LinkCase]:
    slow_start = {"START_DELAY_SECONDS": "3"}
    return [
        LinkCase(cut, _middle(s.BUILD_IMAGE.name, text="line 20 of v2")),
        LinkCase(
            cut,
            _middle(s.RUN_RELEASE_COMMAND.name, text="release begins"),
            hooks=HOOKS.model_copy(update={"release": LONG_RELEASE_COMMAND}),
        ),
        LinkCase(cut, _middle(s.CHECK_HEALTH.name, seconds=1.5), variables=slow_start),
        LinkCase(cut, _middle(s.DRAIN_REPLICAS.name, seconds=0.5)),
        LinkCase(cut, _middle(s.RETIRE_REPLICAS.name, seconds=1.5), runtime=DEAF),
    ]


def _undone(cut: Cut) -> list[LinkCase]:
    return [
        LinkCase(
            cut,
            _held(signature.name, undo=True),
            ends=DeploymentStatus.FAILED,
            error_code="command_failed",
            hooks=FAILING,
        )
        for signature in BACKWARD
    ]


CASES = tuple(
    case
    for cut in (Cut.RESETS, Cut.SILENCE)
    for case in [
        *(LinkCase(cut, _held(signature.name)) for signature in STEPS),
        *(LinkCase(cut, _held(signature.name), servers=2) for signature in ON_THE_SECOND),
        *_middles(Cut.RESET if cut is Cut.RESETS else cut),
        *_undone(cut),
    ]
)
