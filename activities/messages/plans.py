"""What a deployment is going to do, decided once at its beginning."""

from __future__ import annotations

from datetime import timedelta

from activities.messages.message import Message
from domain.deployments import Step, StepName


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
    had_edge: bool = True
    """Whether the version from before had an edge, where this one has or leaves one."""
    required: int = 0
    """So many servers have to prove the release; 0 stands for all of them."""
    away: tuple[str, ...] = ()
    """The ids of those to be left that were out of reach when the release began."""

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

    @property
    def let_edge_in_before(self) -> bool:
        """The same of the version from before, to which an undo goes back."""
        return self.lets_edge_in and self.had_edge

    def has(self, step: StepName) -> bool:
        """Whether the step is part of this deployment."""
        return any(planned.name is step for planned in self.steps)
