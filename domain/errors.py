"""One tree of errors. Each class has a stable `code`, an HTTP status and whether a retry may help.

The tree is mapped once to Temporal (`activities.errors`) and once to HTTP (`api.errors`).
Messages are for people: what happened, where, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


class SeawayError(Exception):
    """Base of every error that Seaway raises on purpose."""

    code: ClassVar[str] = "seaway_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, detail: str = "") -> None:
        """`message` is one or two sentences for a person; `detail` is evidence (a log tail, an answer)."""
        super().__init__(message)
        self.message = message
        self.detail = detail


class InvalidInput(SeawayError):
    """What was asked for can never work as written; `field` names the part to change."""

    code = "invalid_input"
    http_status = 422

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        fields: Mapping[str, Sequence[str]] | None = None,
        detail: str = "",
    ) -> None:
        """`fields` is for several wrong parts at once: what to say about each."""
        super().__init__(message, detail=detail)
        self.field = field
        self.fields = fields or ({field: [message]} if field else {})


class NotFound(SeawayError):
    """There is no such thing, or it belongs to somebody else."""

    code = "not_found"
    http_status = 404


class Conflict(SeawayError):
    """It would clash with something that exists (a name or a domain that is taken)."""

    code = "conflict"
    http_status = 409


@dataclass(frozen=True)
class TakenDomain:
    """An address that is taken. Its owner is named only to those who may see the owner."""

    address: str
    application_id: str | None = None
    application_name: str | None = None


class DomainTaken(Conflict):
    """A domain belongs to another application already."""

    code = "domain_taken"

    def __init__(self, taken: Sequence[TakenDomain]) -> None:
        addresses = ", ".join(one.address for one in taken)
        super().__init__(
            f"Already in use by another application: {addresses}. Remove it there first, or choose another."
        )
        self.taken = tuple(taken)


class NotPossibleNow(SeawayError):
    """The thing exists, but its present state does not allow this."""

    code = "not_possible_now"
    http_status = 400


class Unauthenticated(SeawayError):
    """Nobody is logged in, or the token is unknown or expired."""

    code = "unauthenticated"
    http_status = 401


class Forbidden(SeawayError):
    """Logged in, but without the right to do this."""

    code = "forbidden"
    http_status = 403


class TooManyRequests(SeawayError):
    """Asked too often; try again later."""

    code = "too_many_requests"
    http_status = 429
    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: int = 60, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.retry_after_seconds = retry_after_seconds


class DeploymentError(SeawayError):
    """A release failed for a reason that its owner must mend; the old version keeps serving."""

    code = "deployment_failed"
    http_status = 422


class RepositoryRefused(DeploymentError):
    """The Git server refused: no such repository, or no right to read it."""

    code = "repository_refused"


class UnknownRevision(DeploymentError):
    """The repository has no such branch, tag or commit."""

    code = "unknown_revision"


class SourceIncomplete(DeploymentError):
    """The checkout lacks something that the build needs (Dockerfile, folder, submodule, LFS object)."""

    code = "source_incomplete"


class BuildFailed(DeploymentError):
    """The build ran and failed; `detail` holds the failing line and what surrounds it."""

    code = "build_failed"


class ImageNotFound(DeploymentError):
    """The image reference cannot be pulled: it does not exist, or needs credentials."""

    code = "image_not_found"


class RegistryRefused(DeploymentError):
    """A registry does not let in the user name and password that Seaway keeps for it."""

    code = "registry_refused"


class ReplicaRefused(DeploymentError):
    """The engine refuses to create or start the container as configured (mount, port, command, limit)."""

    code = "replica_refused"


class DiskFull(DeploymentError):
    """The disk of a server has too little room for a build, an image or a replica."""

    code = "disk_full"


class ReleaseUnhealthy(DeploymentError):
    """New replicas did not become healthy; `detail` holds probes and the last log lines."""

    code = "release_unhealthy"


class CommandFailed(DeploymentError):
    """A pre-deploy, release or post-deploy command ended with another exit code than 0."""

    code = "command_failed"


class RouteRefused(DeploymentError):
    """The proxy does not accept the routes of this release."""

    code = "route_refused"


class DeadlineExceeded(DeploymentError):
    """A step took longer than its limit."""

    code = "deadline_exceeded"


class TransientError(SeawayError):
    """Something outside hiccuped; the same call may work in a moment."""

    code = "transient"
    http_status = 503
    retryable = True


class EngineUnavailable(TransientError):
    """The Docker Engine of a server does not answer."""

    code = "engine_unavailable"


class EngineSilent(EngineUnavailable):
    """It accepts connections and says nothing, so there is nothing to install or to start."""


class SourceUnavailable(TransientError):
    """The Git server cannot be reached at the moment."""

    code = "source_unavailable"


class RegistryUnavailable(TransientError):
    """The image registry cannot be reached at the moment."""

    code = "registry_unavailable"


class ProxyUnavailable(TransientError):
    """The proxy does not answer, or has not applied the routes yet."""

    code = "proxy_unavailable"


class ServerUnreachable(TransientError):
    """A server does not answer over SSH: refused, no such name, no answer in time, link lost."""

    code = "server_unreachable"


class AuthenticationRefused(SeawayError):
    """A server answers, but does not let this user in with this key."""

    code = "authentication_refused"
    http_status = 422


class HostKeyChanged(SeawayError):
    """A server shows another host key than the pinned one; nothing goes there until a person accepts it."""

    code = "host_key_changed"
    http_status = 409

    def __init__(self, message: str, *, pinned: str, shown: str, detail: str = "") -> None:
        """`pinned` and `shown` are fingerprints as `ssh-keygen -l` writes them."""
        super().__init__(message, detail=detail)
        self.pinned = pinned
        self.shown = shown


class StartUpError(SeawayError):
    """Seaway itself cannot start: a port or folder in use, no Docker. The message names the way out."""

    code = "cannot_start"
