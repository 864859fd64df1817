"""Where the link to a server is cut during a release, and what that release does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from activities import signatures as s
from domain.configuration import HealthCheck, Hooks, PortMapping, RuntimeOptions
from domain.deployments import DeploymentStatus
from tests.faults.kill_cases import DATA, DEAF, HEALTHY, HOOKS, LONG_RELEASE_COMMAND, RUNTIME
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


class Setting(StrEnum):
    """What the release has to do with besides the servers of its application."""

    PLAIN = ""
    REGISTRY = "with a registry"
    EDGE = "on the edge that it moves to"
    HOST_PORTS = "with a port of the host"
    BUILD_SERVER = "on a build server"
    OLD_EDGE = "on the edge that it moves from"
    LEFT = "on the server that it leaves"
    SENDER = "on the server that sends"


@dataclass(frozen=True, eq=False)
class LinkCase:
    """A release of version v2 over v1 by one server, or by two of which the second one is cut off.

    On the edge that it moves from and on the server that sends, it is the first one.
    """

    cut: Cut
    fault: Fault
    servers: int = 1
    ends: DeploymentStatus = DeploymentStatus.FINISHED
    error_code: str = ""
    hooks: Hooks = HOOKS
    health: HealthCheck = HEALTHY
    runtime: RuntimeOptions = RUNTIME
    variables: Mapping[str, str] = field(default_factory=dict)
    setting: Setting = Setting.PLAIN
    ballast_megabytes: int = 0
    """In a layer of v2, so that pushing it takes a while."""

    def __str__(self) -> str:
        """For the names of tests and the table."""
        where = "" if self.servers == 1 else " on the second of two"
        where = f" {self.setting}" if self.setting else where
        return f"{self.cut}, {self.fault.label}{where}"

    @property
    def moves_edge(self) -> bool:
        """Whether the release moves from the first server as its edge to the second."""
        return self.setting in (Setting.EDGE, Setting.OLD_EDGE)

    @property
    def victim(self) -> int:
        """The number of the server whose link is cut."""
        return 0 if self.setting in (Setting.OLD_EDGE, Setting.SENDER) else -1

    @property
    def place(self) -> int:
        """The number of the server in whose step that happens; an image is sent in the receiver's."""
        return -1 if self.setting is Setting.SENDER else self.victim

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
LEAVING = (s.APPLY_ROUTES, s.DRAIN_REPLICAS, s.RETIRE_REPLICAS)
BACKWARD = (s.APPLY_ROUTES, s.DRAIN_REPLICAS, s.RETIRE_REPLICAS, s.REMOVE_RELEASE_COMMAND, s.DISCARD_IMAGE)
# Every server has its ports to itself, and a lane of the tests does one case after the other.
HOST_PORT = RuntimeOptions(volumes=(DATA,), port_mappings=(PortMapping(host_port=8300, container_port=3000),))
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


def _on_several_servers(cut: Cut) -> list[LinkCase]:
    once = Cut.RESET if cut is Cut.RESETS else cut
    sending = _middle(s.DISTRIBUTE_IMAGE.name, seconds=0.3)
    undone = LinkCase(
        cut,
        _held(s.APPLY_EDGE.name, undo=True),
        setting=Setting.EDGE,
        servers=2,
        ends=DeploymentStatus.FAILED,
        error_code="command_failed",
        hooks=FAILING,
    )
    return [
        undone,
        LinkCase(cut, _held(s.APPLY_EDGE.name), setting=Setting.OLD_EDGE, servers=2),
        *(LinkCase(cut, _held(one.name), setting=Setting.LEFT, servers=2) for one in LEAVING),
        LinkCase(once, sending, servers=2, ballast_megabytes=120),
        LinkCase(once, sending, setting=Setting.SENDER, servers=2, ballast_megabytes=120),
    ]


def _in_other_settings(cut: Cut) -> list[LinkCase]:
    once = Cut.RESET if cut is Cut.RESETS else cut
    pushing = _middle(s.PUSH_IMAGE.name, seconds=0.3)
    return [
        LinkCase(cut, _held(s.PUSH_IMAGE.name), setting=Setting.REGISTRY),
        LinkCase(once, pushing, setting=Setting.REGISTRY, ballast_megabytes=60),
        LinkCase(cut, _held(s.PUBLISH_IMAGE.name), setting=Setting.REGISTRY),
        LinkCase(cut, _held(s.APPLY_EDGE.name), setting=Setting.EDGE, servers=2),
        LinkCase(cut, _held(s.PAUSE_REPLICAS.name), setting=Setting.HOST_PORTS, runtime=HOST_PORT),
        LinkCase(
            cut,
            _held(s.RESUME_REPLICAS.name, undo=True),
            setting=Setting.HOST_PORTS,
            runtime=HOST_PORT,
            ends=DeploymentStatus.FAILED,
            error_code="command_failed",
            hooks=FAILING,
        ),
        LinkCase(once, _middle(s.BUILD_IMAGE.name, text="line 20 of v2"), setting=Setting.BUILD_SERVER),
    ]


CASES = tuple(
    case
    for cut in (Cut.RESETS, Cut.SILENCE)
    for case in [
        *(LinkCase(cut, _held(signature.name)) for signature in STEPS),
        *(LinkCase(cut, _held(signature.name), servers=2) for signature in ON_THE_SECOND),
        *_middles(Cut.RESET if cut is Cut.RESETS else cut),
        *_undone(cut),
        *_on_several_servers(cut),
        *_in_other_settings(cut),
    ]
)
