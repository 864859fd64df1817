"""What a server says about itself, and what follows from that. No input or output here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from domain.errors import AuthenticationRefused, HostKeyChanged, NotPossibleNow, ServerUnreachable
from domain.servers import ServerStatus

MINIMUM_FREE_BYTES = 2 * 1024**3
LONGEST_NAME = 200
"""Characters; names are stored, and shown on every page of the server."""

LONGEST_RELEASE = 16 * 1024
"""Characters of `/etc/os-release` that are read; systems write less than one in twenty of them."""

DOCKER_GROUP = "docker"
APT_FAMILIES = frozenset({"debian", "ubuntu"})
INSTALL_BY_HAND = "https://docs.docker.com/engine/install/"


class Rights(StrEnum):
    """How a user becomes root, or gets along without."""

    ROOT = "root"
    SUDO = "sudo"
    DOCKER_GROUP = "docker_group"
    NONE = "none"


@dataclass(frozen=True)
class ServerSystem:
    """One machine as its user sees it."""

    name: str
    families: frozenset[str]
    architecture: str
    processors: int
    memory_bytes: int
    user: str
    home: str
    rights: Rights

    @property
    def has_root(self) -> bool:
        """Whether commands can run as root."""
        return self.rights in (Rights.ROOT, Rights.SUDO)

    @property
    def description(self) -> str:
        """For people: `Debian GNU/Linux 13 (trixie), x86_64, 2 processors, 3.8 GiB, as root`."""
        way = {
            Rights.ROOT: "as root",
            Rights.SUDO: f"as {self.user} with sudo",
            Rights.DOCKER_GROUP: f"as {self.user} in the group docker",
            Rights.NONE: f"as {self.user}",
        }[self.rights]
        memory = f"{self.memory_bytes / 1024**3:.1f} GiB"
        return f"{self.name}, {self.architecture}, {self.processors} processors, {memory}, {way}"


def system_of(facts: str, os_release: str) -> ServerSystem:
    """Reads lines of `name=value` and the text of `/etc/os-release` (os-release(5)).

    What is missing is "unknown", or 0; nothing that a strange system prints raises an error.
    """
    found = dict(line.split("=", 1) for line in facts.splitlines() if "=" in line)
    release = _assignments(os_release)
    families = {release.get("ID", ""), *release.get("ID_LIKE", "").split()} - {""}
    groups = found.get("groups", "").split()
    return ServerSystem(
        name=(release.get("PRETTY_NAME") or release.get("NAME") or "an unknown system")[:LONGEST_NAME],
        families=frozenset(families),
        architecture=(found.get("architecture") or "unknown")[:LONGEST_NAME],
        processors=_number(found.get("processors", "")),
        memory_bytes=_number(found.get("memory_kib", "")) * 1024,
        user=found.get("user", "")[:LONGEST_NAME],
        home=found.get("home", ""),
        rights=_rights(found.get("uid", ""), found.get("sudo", ""), groups),
    )


def data_folder_of(system: ServerSystem, instance: str) -> PurePosixPath:
    """Seaway's folder on the server; only root may write below /var/lib.

    Raises NotPossibleNow for a user without a home.
    """
    if system.rights is Rights.ROOT:
        return PurePosixPath("/var/lib/seaway") / instance
    home = PurePosixPath(system.home or ".")
    if not home.is_absolute() or home == PurePosixPath("/"):
        raise NotPossibleNow(
            f"The user '{system.user}' has no home folder to keep Seaway's files in. Give it one, or choose "
            "another user."
        )
    return home / ".local" / "share" / "seaway" / instance


def is_data_folder(path: str, instance: str) -> bool:
    """Whether a folder is one that `data_folder_of` gave out, and so may be removed as a whole."""
    folder = PurePosixPath(path)
    return folder.is_absolute() and ".." not in folder.parts and folder.parts[-2:] == ("seaway", instance)


def require_rights(system: ServerSystem) -> None:
    """Raises NotPossibleNow for a user who may neither become root nor use Docker."""
    if system.rights is Rights.NONE:
        raise NotPossibleNow(
            f"The user '{system.user}' is not root, may not use sudo without a password, and is not in the "
            f"group docker. Run there as root: usermod -aG docker {system.user} (if Docker is installed) or "
            f"echo '{system.user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/seaway"
        )


def lacking_space(free_bytes: Mapping[str, int]) -> str:
    """Where less than 2 GiB are free, by folder: that, and what to do; else empty."""
    where = min(free_bytes, key=lambda folder: free_bytes[folder])
    if free_bytes[where] >= MINIMUM_FREE_BYTES:
        return ""
    return (
        f"Only {free_bytes[where] / 1024**3:.1f} GiB are free in {where}; Docker's images and Seaway need "
        "2 GiB or more. Free some space there."
    )


def require_space(free_bytes: Mapping[str, int]) -> None:
    """Raises NotPossibleNow where less than 2 GiB are free in one of the folders."""
    if shortage := lacking_space(free_bytes):
        raise NotPossibleNow(shortage)


def require_root(system: ServerSystem, problem: str) -> None:
    """Raises NotPossibleNow for a user who cannot become root and so cannot mend this problem."""
    if not system.has_root:
        raise NotPossibleNow(
            f"{problem} The user '{system.user}' cannot mend that, because it may not use sudo without a "
            "password: do it there by hand, or choose a user who may."
        )


def require_installable(system: ServerSystem) -> None:
    """Raises NotPossibleNow where Seaway does not know how to install an engine, and says what to do."""
    if not system.families & APT_FAMILIES:
        raise NotPossibleNow(
            f"Docker is not installed. Seaway installs it on Debian and Ubuntu, but this is {system.name}. "
            f"Install it as {INSTALL_BY_HAND} says, start it, and try again."
        )


def status_after(failure_code: str) -> ServerStatus:
    """How a server stands that failed with this code (`SeawayError.code`)."""
    if failure_code == HostKeyChanged.code:
        return ServerStatus.HOST_KEY_CHANGED
    return ServerStatus.UNREACHABLE if failure_code == ServerUnreachable.code else ServerStatus.NOT_USABLE


def lets_us_in(failure_code: str) -> bool:
    """Whether the failure is one that happened after the log-in."""
    return failure_code not in (HostKeyChanged.code, ServerUnreachable.code, AuthenticationRefused.code)


def _rights(uid: str, sudo: str, groups: list[str]) -> Rights:
    if uid == "0":
        return Rights.ROOT
    if sudo == "yes":
        return Rights.SUDO
    return Rights.DOCKER_GROUP if DOCKER_GROUP in groups else Rights.NONE


def _assignments(text: str) -> dict[str, str]:
    found = {}
    # Taking quotes apart takes time in the square of what is quoted.
    for line in text[:LONGEST_RELEASE].splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith("#"):
            continue
        try:
            found[key] = " ".join(shlex.split(value))
        except ValueError:  # a quote that is not closed
            found[key] = value
    return found


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 20 else 0
