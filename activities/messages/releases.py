"""Commands, replicas and routes of a release."""

from __future__ import annotations

from datetime import datetime, timedelta

from activities.messages.plans import Served
from activities.messages.steps import StepInput


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
