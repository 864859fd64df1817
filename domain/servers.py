"""The words for a server: how it stands, and the steps that make it usable."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import IPv6Address

from domain.errors import InvalidInput

MINIMUM_ENGINE = (20, 10)
LONGEST_HOST = 253
MOST_JUMPS = 3
"""So many servers may lie on the way to another."""
JUMP_HOST = "It is the jump host on the way to"
"""Stands in what every failure of a jump host says at a server behind it."""
NO_ENGINE = "No Docker Engine runs beside Seaway's workers, so nothing can run here. Add servers over SSH."
"""Why the server that Seaway itself runs on is not usable."""
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")


class ServerStatus(StrEnum):
    """How a server stands, as far as is known."""

    NEW = "new"
    PROVISIONING = "provisioning"
    USABLE = "usable"
    NOT_USABLE = "not_usable"
    UNREACHABLE = "unreachable"
    HOST_KEY_CHANGED = "host_key_changed"
    REMOVING = "removing"


class ServerStepName(StrEnum):
    """The steps that make a server usable, in the order in which they run."""

    REACH = "reach"
    SYSTEM = "system"
    PREREQUISITES = "prerequisites"
    ENGINE = "engine"
    ENGINE_VERSION = "engine_version"
    FOLDERS = "folders"
    PROXY = "proxy"


SERVER_STEP_TITLES: dict[ServerStepName, str] = {
    ServerStepName.REACH: "Reach it over SSH",
    ServerStepName.SYSTEM: "Look at the system",
    ServerStepName.PREREQUISITES: "Prerequisites",
    ServerStepName.ENGINE: "Docker Engine",
    ServerStepName.ENGINE_VERSION: "Version of the engine",
    ServerStepName.FOLDERS: "Data folder and network",
    ServerStepName.PROXY: "Proxy",
}


def can_be_cleaned(status: str, is_reachable: bool) -> bool:
    """Whether its engine may be asked to: also where it is not usable, maybe for a full disk."""
    return status == ServerStatus.USABLE or (status == ServerStatus.NOT_USABLE and is_reachable)


def is_of_jump_host(message: str) -> bool:
    """Whether what a server says of its state is about another one, before it on the way."""
    return JUMP_HOST in message


def engine_version(text: str) -> tuple[int, int]:
    """Major and minor number of an engine's version ("20.10.24+dfsg1"). Raises InvalidInput."""
    found = re.match(r"v?(\d{1,9})\.(\d{1,9})", text[:100].strip())
    if found is None:
        raise InvalidInput(f"'{text[:40]}' is no version of a Docker Engine.")
    return int(found[1]), int(found[2])


def is_supported_engine(text: str) -> bool:
    """Whether Seaway works with an engine of this version."""
    return engine_version(text) >= MINIMUM_ENGINE


def checked_host(text: str) -> str:
    """A host name or address as SSH takes it, IPv6 without brackets. Raises InvalidInput for `ip`."""
    host = text.strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host:
        raise InvalidInput("Give the server's address: a name, an IPv4 or an IPv6 address.", field="ip")
    if len(host) > LONGEST_HOST or not (_is_ipv6(host) if ":" in host else _NAME.fullmatch(host)):
        raise InvalidInput(
            f"'{host[:80]}' is no address: give a name, an IPv4 or an IPv6 address, no port, no user.",
            field="ip",
        )
    return host


def _is_ipv6(host: str) -> bool:
    try:
        zone = IPv6Address(host).scope_id
    except ValueError:
        return False
    # Any text would pass for one; it is the name of an interface (RFC 4007, section 11).
    return zone is None or _ZONE.fullmatch(zone) is not None


def checked_user(text: str) -> str:
    """The name of a user on a server. Raises InvalidInput for `user`."""
    if not re.fullmatch(r"[a-z_][a-z0-9_.-]{0,31}", text):
        raise InvalidInput(
            f"'{text[:40]}' is no user name: lower-case letters, digits, '_', '-' and '.'.", field="user"
        )
    return text


def checked_port(port: int) -> int:
    """A TCP port. Raises InvalidInput for `port`."""
    if not 1 <= port <= 65535:
        raise InvalidInput(f"{port} is no port: 1 to 65535.", field="port")
    return port
