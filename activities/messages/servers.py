"""Servers: made usable, looked at, let go of."""

from __future__ import annotations

from datetime import timedelta

from activities.messages.message import Message
from domain.deployments import StepStatus
from domain.servers import ServerStatus, ServerStepName


class ServerRequest(Message):
    """The wish to make a server usable, or to let go of it; the same `request_id` twice is one wish.

    With `forget` the server goes also when not everything can be taken away there.
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


class CleanUpReport(Message):
    """How the clean-up of a server ended: with an `error`, or with what was removed, if anything was.

    `event_id` is of the event that tells of it. Of one that the clock began, a failure that was told of
    already is no news.
    """

    server_id: str
    event_id: str
    message: str = ""
    error: str = ""
    was_asked_for: bool = True


class FinishProvisioning(Message):
    """Record how a try to make a server usable ended; without `code` it is usable."""

    server_id: str
    code: str = ""
    message: str = ""


class ServerCondition(Message):
    """How a server stands, and when to look again. `is_gone`: the store knows it no more.

    `has_remains`: it may have something of applications that are deleted, or of what was given up there.
    """

    status: ServerStatus
    message: str = ""
    again_after: timedelta = timedelta(minutes=1)
    is_gone: bool = False
    has_remains: bool = False


class RemoveServer(Message):
    """Let go of a server. With `resources_leave` its applications are being deleted at this moment.

    With `forget` it is gone for good: what cannot be taken away there stays, and nothing is asked of one that
    does not answer.
    """

    server_id: str
    resources_leave: bool = False
    forget: bool = False


class ServerRemoval(Message):
    """What keeps a server (names of applications and servers); nothing does once it is gone.

    `is_given_up`: nothing of that is being deleted any more, so waiting is of no use. `is_kept`: nobody needs
    it, and what is Seaway's there could not be taken away.
    """

    kept_by: tuple[str, ...] = ()
    is_given_up: bool = False
    message: str = ""
    is_kept: bool = False


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
    removal_waits: bool = False
    building: tuple[str, ...] = ()
    """The deployments that build there."""
    waiting_to_build: tuple[str, ...] = ()
    """Those that wait to, in the order in which they will."""

    @property
    def has_more_to_do(self) -> bool:
        """Whether it was asked for something that it has not ended."""
        return self.provisioning_waits or self.removal_waits
