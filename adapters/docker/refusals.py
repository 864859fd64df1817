"""What an engine refuses, in words that say what to do.

The engine gives reasons only as text, so this is the one place that reads its sentences.
"""

from __future__ import annotations

import re

from domain.errors import (
    DiskFull,
    ImageNotFound,
    RegistryRefused,
    RegistryUnavailable,
    ReplicaRefused,
    SeawayError,
)
from domain.registries import RegistryLogin, registry_of

# Looked for before anything else. Control groups say it too, when there are too many of them.
DISK_FULL = re.compile(r"\A(?!.*cgroup).*no space left on device", re.IGNORECASE | re.DOTALL)

# Pattern in the engine's text (20.10 to 28) and what it means. No part of one is without end, as the text may
# be by an engine in other hands: the time that they take does not grow with the square of its length.
REASONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"Bind for (?P<port>\S{1,300}) failed: port is already allocated"),
        "The port {port} is already used by another container of this server. Choose another host port.",
    ),
    (
        re.compile(r"listen (?:tcp|udp)\d? (?P<port>\S{1,300}?): bind: address already in use"),
        "The port {port} is already in use on this server. Free it or choose another host port.",
    ),
    (
        re.compile(r"bind source path does not exist: (?P<path>.{1,1000})"),
        "The folder {path} does not exist on this server. Create it or correct the volume's source.",
    ),
    (
        re.compile(r"invalid mount config[^:]{0,300}: (?P<reason>.{1,1000})"),
        "A volume is not valid: {reason}.",
    ),
    (
        re.compile(
            r'exec: \\?"(?P<command>[^"\n]{1,300}?)\\?": '
            r"(?:executable file not found|stat .{0,300}no such file)"
        ),
        "The command {command!r} does not exist in the image. Correct the start command or the image.",
    ),
    (
        re.compile(r'exec: \\?"(?P<command>[^"\n]{1,300}?)\\?": permission denied'),
        "The command {command!r} in the image is not executable.",
    ),
    (
        re.compile(r"exec format error"),
        "The image is built for another processor architecture than that of this server.",
    ),
    (
        re.compile(r"No command specified", re.IGNORECASE),
        "The image has no command to start. Set a start command.",
    ),
    (
        re.compile(r"Minimum memory limit allowed is (?P<limit>\S{1,300})", re.IGNORECASE),
        "The memory limit is too small: this server's engine asks for at least {limit}.",
    ),
    (
        re.compile(r"Range of CPUs is from (?P<limit>.{1,300})", re.IGNORECASE),
        "The CPU limit is out of range: this server allows {limit}",
    ),
    (
        re.compile(r"Requested CPUs are not available"),
        "The CPU set names processors that this server does not have.",
    ),
    (
        re.compile(r"network (?P<network>\S{1,300}) not found"),
        "The network {network} does not exist on this server.",
    ),
)

# What a registry answers for an image that is not there, or not for us, when the engine's status is 500.
ABSENT = re.compile(
    r"manifest unknown|not found|no such image|pull access denied|denied:|unauthorized"
    r"|authentication required"
    r"|no matching manifest|repository name not known|invalid reference format|no basic auth credentials",
    re.IGNORECASE,
)
# These look like absence, but are the way there: "lookup registry.example: no such host", HTTP 5xx, limits.
UNREACHABLE = re.compile(
    r"no such host|timeout|connection refused|server misbehaving|i/o|EOF|TLS handshake|toomanyrequests"
    r"|50[0234] |unexpected http code|network is unreachable|no route to host|temporary failure",
    re.IGNORECASE,
)

# What a registry answers, by way of engine or builder, when the login is the matter.
UNAUTHORIZED = re.compile(
    r"unauthorized|authentication required|no basic auth credentials|denied|incorrect username|forbidden"
    r"|authorization failed",
    re.IGNORECASE,
)


def replica_refusal(name: str, reason: str) -> SeawayError:
    """Why a container cannot be created or started; the engine's own text goes into `detail`."""
    if DISK_FULL.search(reason):
        return disk_full(f"the container {name}", reason)
    for pattern, meaning in REASONS:
        if found := pattern.search(reason):
            return ReplicaRefused(meaning.format(**found.groupdict()), detail=reason)
    return ReplicaRefused(f"The engine refuses the container {name}: {reason.strip()}", detail=reason)


def disk_full(what: str, reason: str) -> DiskFull:
    """That a server has no room for `what`."""
    return DiskFull(
        f"The server's disk is full: it has no room for {what}. Free space there, then deploy again.",
        detail=reason,
    )


def login_refusal(what: str, login: RegistryLogin, reason: str) -> RegistryRefused:
    """That a registry refuses `what` to a login."""
    return _refused(f"refuses {what} to the user '{login.username}'", "read", login, reason)


def _refused(what: str, right: str, login: RegistryLogin, reason: str) -> RegistryRefused:
    return RegistryRefused(
        f"The registry {login.host} {what}: its password is wrong, or it has no right to {right} this. "
        "Correct the registry's login in Seaway, then deploy again.",
        detail=reason,
    )


def pull_refusal(reference: str, status: int, reason: str, login: RegistryLogin | None = None) -> SeawayError:
    """Whether an image that could not be pulled is absent for good, or its registry out of reach for now.

    `login` is what the registry was shown; where it is what was refused, the error says so.
    """
    if DISK_FULL.search(reason):
        return disk_full(f"the image {reference}", reason)
    if not UNREACHABLE.search(reason) and (status in (400, 401, 403, 404) or ABSENT.search(reason)):
        if login is not None and (status in (401, 403) or UNAUTHORIZED.search(reason)):
            return login_refusal(f"the image {reference}", login, reason)
        return ImageNotFound(
            f"The image {reference} cannot be pulled: it does not exist, or its registry asks for "
            "credentials. Check the name and the tag, or add the registry's login.",
            detail=reason,
        )
    return RegistryUnavailable(
        f"The registry of {reference} cannot be reached from the server at the moment.", detail=reason
    )


def push_refusal(reference: str, status: int, reason: str, login: RegistryLogin | None) -> SeawayError:
    """Whether a registry does not want an image from us, or is only out of reach or failing for now.

    A full disk is the registry's here, so it passes without anything to mend on the server.
    """
    if status == 404:
        return ImageNotFound(f"The server has no image any more to push as {reference}.", detail=reason)
    if UNREACHABLE.search(reason) or not (status in (401, 403) or UNAUTHORIZED.search(reason)):
        return RegistryUnavailable(
            f"The registry of {reference} does not take the image at the moment.", detail=reason
        )
    if login is not None:
        what = f"does not take the image {reference} from the user '{login.username}'"
        return _refused(what, "write", login, reason)
    host = registry_of(reference)
    return RegistryRefused(
        f"The registry {host} does not take the image {reference} without a login, and Seaway keeps none for "
        f"it. Add one (`seaway registry add {host}`), then deploy again.",
        detail=reason,
    )
