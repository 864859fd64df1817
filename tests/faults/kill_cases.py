"""Where a worker is killed during a release, and what that release does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from activities import signatures as s
from domain.configuration import HealthCheck, Hooks, RuntimeOptions, Volume, VolumeKind
from domain.deployments import DeploymentStatus
from tests.harness.planned_faults import Fault, Moment

DATA = Volume(kind=VolumeKind.NAMED, source="data", target="/data")
RUNTIME = RuntimeOptions(volumes=(DATA,))
HOOKS = Hooks(
    pre_deploy="echo before the release",
    release="echo release begins; cat VERSION >> /data/released",
    post_deploy="echo after the switch",
)
LONG_RELEASE_COMMAND = "echo release begins; sleep 4; cat VERSION >> /data/released; echo release ends"
# The shell ignores TERM and is all that the engine's init tells, so a stop takes the whole grace.
DEAF = RuntimeOptions(
    volumes=(DATA,),
    command=("sh", "-c", "trap '' TERM; python3 app.py; true"),
    stop_grace_seconds=4,
)
HEALTHY = HealthCheck(path="/health")
UNHEALTHY = HealthCheck(path="/health", retries=3, interval_seconds=0.2)


@dataclass(frozen=True, eq=False)
class KillCase:
    """A release of version v2 over v1, killed once. The worker's death must not change how it ends."""

    fault: Fault
    ends: DeploymentStatus = DeploymentStatus.FINISHED
    error_code: str = ""
    hooks: Hooks = HOOKS
    health: HealthCheck = HEALTHY
    before: RuntimeOptions = RUNTIME
    after: RuntimeOptions = RUNTIME
    variables: Mapping[str, str] = field(default_factory=dict)
    pushes: bool = False
    ballast_megabytes: int = 0
    """In a layer of v2, so that pushing it takes a while."""

    def __str__(self) -> str:
        """For the names of tests and the table."""
        reason = f" ({self.error_code})" if self.error_code else ""
        return f"{self.fault.label}{reason}"

    @property
    def kills_build(self) -> bool:
        """Whether a second try of the build has to be made."""
        return self.fault.activity == s.BUILD_IMAGE.name and self.fault.moment is Moment.MIDDLE


FORWARD = (
    s.BEGIN_DEPLOYMENT,
    s.RESOLVE_SOURCE,
    s.BUILD_IMAGE,
    s.RUN_PRE_DEPLOY,
    s.RUN_RELEASE_COMMAND,
    s.START_REPLICAS,
    s.CHECK_HEALTH,
    s.APPLY_ROUTES,
    s.RUN_POST_DEPLOY,
    s.DRAIN_REPLICAS,
    s.RECORD_RELEASE,
    s.RETIRE_REPLICAS,
    s.CLEAN_UP,
    s.FINISH_DEPLOYMENT,
)
MOMENTS = (Moment.BEFORE, Moment.DONE, Moment.AFTER)
BACKWARD = (s.APPLY_ROUTES, s.DRAIN_REPLICAS, s.RETIRE_REPLICAS, s.REMOVE_RELEASE_COMMAND, s.DISCARD_IMAGE)
TWO_REPLICAS = RuntimeOptions(volumes=(DATA,), replicas=2)


def _forward() -> list[KillCase]:
    cases = []
    for signature in FORWARD:
        twice = signature in (s.START_REPLICAS, s.RETIRE_REPLICAS)
        runtime = TWO_REPLICAS if twice else RUNTIME
        faults = [Fault(signature.name, moment) for moment in MOMENTS]
        cases += [KillCase(fault, before=runtime, after=runtime) for fault in faults]
    return cases


def _middles() -> list[KillCase]:
    return [
        KillCase(Fault(s.BUILD_IMAGE.name, Moment.MIDDLE, text="line 20 of v2")),
        KillCase(
            Fault(s.RUN_RELEASE_COMMAND.name, Moment.MIDDLE, text="release begins"),
            hooks=HOOKS.model_copy(update={"release": LONG_RELEASE_COMMAND}),
        ),
        KillCase(
            Fault(s.CHECK_HEALTH.name, Moment.MIDDLE, seconds=1.5), variables={"START_DELAY_SECONDS": "3"}
        ),
        KillCase(Fault(s.DRAIN_REPLICAS.name, Moment.MIDDLE, seconds=0.5)),
        KillCase(Fault(s.RETIRE_REPLICAS.name, Moment.MIDDLE, seconds=1.5), before=DEAF),
    ]


def _backward() -> list[KillCase]:
    """After a switch that has to be taken back, and after a release that never became healthy."""
    failing = HOOKS.model_copy(update={"post_deploy": "echo this fails; exit 7"})
    cases = [
        KillCase(
            Fault(signature.name, moment, undo=True),
            ends=DeploymentStatus.FAILED,
            error_code="command_failed",
            hooks=failing,
        )
        for signature in BACKWARD
        for moment in MOMENTS
    ]
    unhealthy = [
        Fault(s.CHECK_HEALTH.name, Moment.AFTER),
        Fault(s.RETIRE_REPLICAS.name, Moment.BEFORE, undo=True),
        Fault(s.DISCARD_IMAGE.name, Moment.DONE, undo=True),
        Fault(s.FINISH_DEPLOYMENT.name, Moment.BEFORE),
        Fault(s.FINISH_DEPLOYMENT.name, Moment.DONE),
    ]
    return cases + [
        KillCase(
            fault,
            ends=DeploymentStatus.FAILED,
            error_code="release_unhealthy",
            health=UNHEALTHY,
            variables={"HEALTH_STATUS": "500"},
        )
        for fault in unhealthy
    ]


def _with_registry() -> list[KillCase]:
    failing = HOOKS.model_copy(update={"post_deploy": "echo this fails; exit 7"})
    forward = [Fault(one.name, moment) for one in (s.PUSH_IMAGE, s.PUBLISH_IMAGE) for moment in MOMENTS]
    backward = [Fault(s.WITHDRAW_IMAGE.name, moment, undo=True) for moment in MOMENTS]
    return [
        *(KillCase(fault, pushes=True) for fault in forward),
        KillCase(Fault(s.PUSH_IMAGE.name, Moment.MIDDLE, seconds=0.3), pushes=True, ballast_megabytes=60),
        *(
            KillCase(
                fault,
                pushes=True,
                ends=DeploymentStatus.FAILED,
                error_code="command_failed",
                hooks=failing,
            )
            for fault in backward
        ),
    ]


CASES = tuple(_forward() + _middles() + _backward() + _with_registry())
