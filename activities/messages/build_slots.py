"""Slots: asked for by deployments, kept by the workflows of servers."""

from __future__ import annotations

from activities.messages.message import Message
from activities.messages.plans import PlannedServer


class LeaseBuildSlot(Message):
    """Have one of these servers build, or wait for it; `shown_on` is the server that the step names now."""

    deployment_id: str
    application_id: str
    project_id: str = ""
    servers: tuple[PlannedServer, ...]
    shown_on: str = ""
    waits_on: str = ""
    """The id of the server in whose queue the deployment stands already."""
    lost: tuple[str, ...] = ()
    """The ids of those that began to build and were lost: they are asked last."""


class BuildSlotLease(Message):
    """Which server builds or, without a slot, is waited for; None where none can be used now."""

    server: PlannedServer | None = None
    is_granted: bool = False
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
