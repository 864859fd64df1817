"""What workflows and activities say to each other: ids and facts, never secrets.

These are wire formats that histories keep: they grow by fields with defaults, and nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from domain.deployments import DeploymentStatus, OperationKind, Step, StepName, StepStatus
from domain.servers import ServerStatus, ServerStepName


class Message(BaseModel):
    """An immutable message."""

    model_config = ConfigDict(frozen=True)


class Command(Message):
    """One wish for an application; it becomes the deployment with this id.

    `without_server_id` is a server that is gone for good, of which nothing is asked any more.
    """

    deployment_id: str
    application_id: str
    kind: OperationKind
    team_id: str = ""
    project_id: str = ""
    branch: str = ""
    commit: str = ""
    force: bool = False
    target_deployment_id: str | None = None
    replicas: int | None = None
    delete_volumes: bool = False
    without_server_id: str = ""
    requested_by: str = ""
    trigger: str = "api"
    requested_at: datetime | None = None


class CommandReceipt(Message):
    """What became of a command: where it stands in the queue and which commands it replaced."""

    deployment_id: str
    position: int
    running_deployment_id: str | None = None
    after_deployment_id: str | None = None
    superseded: tuple[str, ...] = ()
    repeated: bool = False


class CancelRequest(Message):
    """The wish to end one deployment."""

    deployment_id: str
    requested_by: str = ""


class CancelReceipt(Message):
    """Whether the deployment was there to be cancelled."""

    deployment_id: str
    was_queued: bool = False
    was_running: bool = False


class StepReference(Message):
    """The line of the progress that an activity works for; with `undo`, that it takes back."""

    deployment_id: str
    name: StepName
    server: str
    undo: bool = False
    is_lost: bool = False
    """The server was out of reach before anything was changed there, so an undo does not wait for it."""


class StepInput(Message):
    """What every activity of a step needs. Activities load the rest from the store by these ids."""

    step: StepReference
    application_id: str
    server_id: str = ""


class StepOutcome(Message):
    """What every activity of a step answers."""

    message: str = ""
    skipped: bool = False
    waits: bool = False
    """Nothing is done yet: the step runs again when what it waits for is there."""


class PlannedServer(Message):
    """A server that the release runs on."""

    id: str
    name: str


class Served(Message):
    """Replicas 1 to `replicas` of a release, routed as the configuration of a deployment says.

    `servers` are the ids of those that have them; empty means all that the operation is about.
    """

    configuration_of: str
    release_id: str
    replicas: int
    servers: tuple[str, ...] = ()
    elsewhere: tuple[Served, ...] = ()
    """What servers have instead that this release went on without."""

    def is_on(self, server_id: str) -> bool:
        """Whether this server has them."""
        return not self.servers or server_id in self.servers

    def on(self, server_id: str) -> Served | None:
        """What this server has: these replicas, those that it has instead, or nothing."""
        if self.is_on(server_id):
            return self
        return next((one for one in self.elsewhere if one.is_on(server_id)), None)

    def only_on(self, servers: tuple[str, ...], left_out: str, before: Served | None) -> Served:
        """The same on these servers, and on one that is left out what that had before."""
        had = before.on(left_out) if before is not None else None
        kept = (had.model_copy(update={"servers": (left_out,), "elsewhere": ()}),) if had is not None else ()
        return self.model_copy(update={"servers": servers, "elsewhere": (*self.elsewhere, *kept)})


class ReleasePlan(Message):
    """The facts that steer a deployment, read once at its beginning.

    `start_from` to `serve.replicas` are the replicas to start (none when it is past the end). `serve`
    is what shall run afterwards and `served` what ran before; None means nothing.
    """

    servers: tuple[PlannedServer, ...]
    steps: tuple[Step, ...] = ()
    served: Served | None = None
    serve: Served | None = None
    start_from: int = 1
    stop_first: bool = False
    drain: timedelta = timedelta(seconds=30)
    stop_grace: timedelta = timedelta(seconds=30)
    health_limit: timedelta = timedelta(minutes=10)
    command_limit: timedelta = timedelta(minutes=10)
    build_limit: timedelta = timedelta(hours=1)
    build_on: PlannedServer | None = None
    """Builds for all servers, which get the image from there; without one, each builds for itself."""
    builders: tuple[PlannedServer, ...] = ()
    """Build servers, of which one builds in place of `build_on`; it runs nothing of the application."""
    needs_build_slot: bool = False
    """Whether a build waits until the server that builds has room for it."""
    drain_undone: bool = True
    """Whether a release that is undone after its switch is drained before it is removed."""
    left: tuple[PlannedServer, ...] = ()
    """Servers that served the version from before and shall not have the application any more."""
    edge: PlannedServer | None = None
    """Spreads the visitors over all servers; without one, visitors choose a server by its address."""
    left_edge: PlannedServer | None = None
    """Was the edge of the version from before and shall not be it any more."""
    required: int = 0
    """So many servers have to prove the release; 0 stands for all of them."""

    def without(self, server: PlannedServer, steps: tuple[Step, ...]) -> ReleasePlan:
        """The same, going on without one of its servers, by these steps."""
        remaining = tuple(one for one in self.servers if one.id != server.id)
        serve = self.serve
        if serve is not None:
            serve = serve.only_on(tuple(one.id for one in remaining), server.id, self.served)
        return self.model_copy(update={"servers": remaining, "steps": steps, "serve": serve})

    def on(self, name: StepName) -> tuple[PlannedServer, ...]:
        """The servers on which this step is planned."""
        wanted = {step.server for step in self.steps if step.name is name}
        return tuple(server for server in self.servers if server.name in wanted)

    @property
    def lets_edge_in(self) -> bool:
        """Whether the servers have to take what an edge sends; one that is left does until it knows."""
        return self.edge is not None or self.left_edge is not None

    def has(self, step: StepName) -> bool:
        """Whether the step is part of this deployment."""
        return any(planned.name is step for planned in self.steps)


class ResolveSource(StepInput):
    """Find the commit (or image) that the command asks for."""

    command: Command
    limit: timedelta = timedelta(minutes=5)
    look_on: tuple[str, ...] = ()
    """The ids of the servers that may have the image; without any, only the step's own server is asked."""
    passes_over: bool = False
    """Whether a server that stays out of reach is told of, in place of failing the step."""


class Unreached(Message):
    """A server that could not be asked, and why."""

    server_id: str
    code: str
    message: str


class ResolvedSource(StepOutcome):
    """The commit and the name of its image; `image_present` tells that it needs no build."""

    commit: str = ""
    reference: str = ""
    image: str = ""
    image_present: bool = False
    """On every server that was asked."""
    present_on: tuple[str, ...] = ()
    """The ids of those that have it."""
    unreached: tuple[Unreached, ...] = ()


class LeaseBuildSlot(Message):
    """Have one of these servers build, or wait for it; `shown_on` is the server that the step names now."""

    deployment_id: str
    application_id: str
    project_id: str = ""
    servers: tuple[PlannedServer, ...]
    shown_on: str = ""
    waits_on: str = ""
    """The id of the server in whose queue the deployment stands already."""


class BuildSlotLease(Message):
    """Which server builds or, without a slot, is waited for; None where none can be used now."""

    server: PlannedServer | None = None
    is_granted: bool = False
    message: str = ""


class BuildImage(StepInput):
    """Build this commit under this name, or pull a prebuilt image and give it this name."""

    commit: str
    image: str
    force: bool = False
    limit: timedelta = timedelta(hours=1)
    sent_by: str = ""
    """The name of another server that has the image, which is sent from there instead of being built."""
    lease: LeaseBuildSlot | None = None
    """The slot to ask for while the build is prepared; without one, the deployment has it or needs none."""


class PushImage(StepInput):
    """Push the image from the server `source` to the registry that the application names."""

    source: PlannedServer
    image: str
    limit: timedelta = timedelta(hours=1)


class BuildOutcome(StepOutcome):
    """The image is there, or its build waits for a slot, in the queue that `lease` tells of."""

    lease: BuildSlotLease | None = None


class DistributeImage(StepInput):
    """Send the image, from `source` or from where it was pushed, to this server unless it is there."""

    source: PlannedServer
    image: str
    limit: timedelta = timedelta(hours=1)


class PublishImage(StepInput):
    """Move the application's own tag in the registry to the image that serves now."""

    limit: timedelta = timedelta(minutes=10)


class DiscardImage(StepInput):
    """Remove the image of a failed deployment, unless another deployment has it too."""

    image: str


class RunCommand(StepInput):
    """Run one of the configured commands of this deployment, in a replica of `served` if given."""

    served: Served | None = None
    limit: timedelta = timedelta(minutes=10)


class StartReplicas(StepInput):
    """Replicas `first` to `serve.replicas` of a release."""

    serve: Served
    first: int = 1
    limit: timedelta = timedelta(minutes=10)


class ApplyRoutes(StepInput):
    """Send the application's traffic there; with None it has no route any more.

    With `lets_edge_in`, traffic that its edge sends to this server is taken as well.
    """

    serve: Served | None = None
    lets_edge_in: bool = False


class ApplyEdge(StepInput):
    """Have this server spread the traffic over the servers of `serve`, if it is their edge, else not."""

    serve: Served | None = None


class DrainReplicas(StepInput):
    """Wait until nobody is connected to any replica but those of `keep`, at most until the deadline."""

    keep: Served | None = None
    deadline: datetime


class RetireReplicas(StepInput):
    """Stop and remove every container of the application but those of `keep`."""

    keep: Served | None = None


class PauseReplicas(StepInput):
    """Stop these replicas without removing them, or (to undo that) start them again."""

    served: Served


class CleanUp(StepInput):
    """Remove images that are not kept; with `everything` all that the application has on the server."""

    keep: Served | None = None
    everything: bool = False
    delete_volumes: bool = False


class BeginDeployment(Message):
    """Record the start of a command."""

    command: Command


class LeaveOutServer(Message):
    """Record that a release goes on without this server, which failed in a step; both by their names.

    What only that server was to do, `instead` does.
    """

    deployment_id: str
    server: str
    instead: str
    failed: StepName
    message: str


class RecordRelease(Message):
    """This is what serves now; None means nothing does, because the application was stopped."""

    command: Command
    serve: Served | None


class FinishDeployment(Message):
    """Record the one final state."""

    command: Command
    status: DeploymentStatus
    steps: tuple[Step, ...] = ()
    error_code: str = ""
    error_message: str = ""
    error_detail: str = ""
    superseded_by: str | None = None
    note: str = ""
    """What there is to know about one that has finished: which servers it left out."""


class ForgetApplication(Message):
    """Remove every row of a deleted application."""

    application_id: str


class Nothing(Message):
    """An answer without content."""


class DeploymentResult(Message):
    """How a deployment ended."""

    deployment_id: str
    status: DeploymentStatus


class Progress(Message):
    """Where a deployment stands: the answer of the query `progress`."""

    deployment_id: str
    status: DeploymentStatus
    steps: tuple[Step, ...] = ()
    cancellable: bool = True


class ServerRequest(Message):
    """The wish to make a server usable, or to let go of it; the same `request_id` twice is one wish.

    With `forget` nothing is asked of the server that goes.
    """

    server_id: str
    request_id: str
    requested_by: str = ""
    with_resources: bool = False
    forget: bool = False


class ServerReceipt(Message):
    """What became of a wish for a server."""

    server_id: str
    repeated: bool = False
    waits: bool = False


class ServerTask(Message):
    """Work on one server, of which activities load the rest from the store."""

    server_id: str


class ServersToClean(Message):
    """The servers that can be reached and that may have something to remove."""

    server_ids: tuple[str, ...]


class FinishProvisioning(Message):
    """Record how a try to make a server usable ended; without `code` it is usable."""

    server_id: str
    code: str = ""
    message: str = ""


class ServerCondition(Message):
    """How a server stands, and when to look again. `is_gone`: the store knows it no more."""

    status: ServerStatus
    message: str = ""
    again_after: timedelta = timedelta(minutes=1)
    is_gone: bool = False


class RemoveServer(Message):
    """Let go of a server. With `resources_leave` its applications are being deleted at this moment.

    With `forget` it is gone for good, and nothing is asked of it.
    """

    server_id: str
    resources_leave: bool = False
    forget: bool = False


class ServerRemoval(Message):
    """What keeps a server (names of applications and servers); nothing does once it is gone.

    `is_given_up`: nothing of that is being deleted any more, so waiting is of no use.
    """

    kept_by: tuple[str, ...] = ()
    is_given_up: bool = False
    message: str = ""


class BuildSlotRequest(Message):
    """To a server's workflow: a deployment wants to build there, and stays in the queue if it `waits`.

    `group` takes turns with others; `limit` is how many builds may run at once.
    """

    deployment_id: str
    group: str = ""
    limit: int = 2
    waits: bool = True


class BuildSlotAnswer(Message):
    """Whether the deployment may build now, else its place among those that wait, and who builds."""

    is_granted: bool
    position: int = 0
    waiting: int = 0
    running: tuple[str, ...] = ()


class BuildSlotGrant(Message):
    """To a deployment that waits: it may build on this server now."""

    server_id: str


class BuildSlotRelease(Message):
    """To a server's workflow: this deployment builds and waits there no more."""

    deployment_id: str


class BuildHolders(Message):
    """The deployments that build on a server or wait to."""

    server_id: str
    deployment_ids: tuple[str, ...]


class ClosedHolders(Message):
    """Those of them whose workflow has ended without saying so."""

    deployment_ids: tuple[str, ...] = ()


class ServerStepState(Message):
    """One step of making a server usable."""

    name: ServerStepName
    status: StepStatus = StepStatus.PENDING
    message: str = ""


class ServerProgress(Message):
    """Where a server's workflow stands: the answer of its query `progress`."""

    server_id: str
    status: ServerStatus
    message: str = ""
    steps: tuple[ServerStepState, ...] = ()
    provisioning_waits: bool = False
    building: tuple[str, ...] = ()
    """The deployments that build there."""
    waiting_to_build: tuple[str, ...] = ()
    """Those that wait to, in the order in which they will."""
