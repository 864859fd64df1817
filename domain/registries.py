"""Image registries that ask for a login: their names, and which login is for which image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from domain.errors import InvalidInput
from domain.image_references import parse_image_reference

DOCKER_HUB = "docker.io"
DOCKER_HUB_NAMES = frozenset(
    ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"]
)
MAXIMUM_USERNAME_LENGTH = 255
# Tokens of cloud registries are keys in JSON, of about two and a half thousand characters.
MAXIMUM_PASSWORD_LENGTH = 16_384


class RegistryState(StrEnum):
    """What a try to log in to a registry showed."""

    FINE = "fine"
    WRONG_CREDENTIALS = "wrong_credentials"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class RegistryLogin:
    """What opens one registry; `host` is as `checked_registry_host` gives it."""

    host: str
    username: str
    password: SecretStr


@dataclass(frozen=True)
class RegistryCheck:
    """How a try to log in went; `message` says so to a person, `detail` is the engine's own text."""

    state: RegistryState
    message: str
    detail: str = ""


def checked_registry_host(text: str) -> str:
    """`host` or `host:port` in lower case; every name of Docker Hub becomes `docker.io`.

    A scheme, `/v2/` and a final slash are passed over, because people paste addresses. Raises InvalidInput
    (field `host`).
    """
    host = text.strip().lower()
    for scheme in ("https://", "http://"):
        host = host.removeprefix(scheme)
    for ending in ("/v2", "/v1"):
        host = host.rstrip("/").removesuffix(ending)
    if host in DOCKER_HUB_NAMES:
        return DOCKER_HUB
    try:
        named = registry_of(f"{host}/image") == host
    except InvalidInput:
        named = False
    if not named:
        raise InvalidInput(
            "This is not the address of a registry: give its host and, if need be, its port, for example "
            "registry.example.com:5000, without a path.",
            field="host",
        )
    return host


def checked_username(text: str) -> str:
    """The user name, trimmed. A colon would end it within the header (RFC 7617). Raises InvalidInput."""
    username = text.strip()
    if not 1 <= len(username) <= MAXIMUM_USERNAME_LENGTH or ":" in username or not username.isprintable():
        raise InvalidInput(
            f"A user name has 1 to {MAXIMUM_USERNAME_LENGTH} characters, none of them a colon.",
            field="username",
        )
    return username


def checked_password(password: SecretStr) -> SecretStr:
    """The password without the line break at its end that files have. Raises InvalidInput."""
    text = password.get_secret_value().rstrip("\r\n")
    if not 1 <= len(text) <= MAXIMUM_PASSWORD_LENGTH or "\0" in text:
        raise InvalidInput(
            f"A password or token has 1 to {MAXIMUM_PASSWORD_LENGTH} characters, none of them null.",
            field="password",
        )
    return SecretStr(text)


def registry_of(reference: str) -> str:
    """The registry that an image is pulled from. Raises InvalidInput (field `image`) for no reference."""
    first, slash, _ = parse_image_reference(reference).name.partition("/")
    if not slash or not (any(character in first for character in ".:[") or first.lower() == "localhost"):
        return DOCKER_HUB
    return DOCKER_HUB if first.lower() in DOCKER_HUB_NAMES else first.lower()


def login_for(reference: str, logins: Iterable[RegistryLogin]) -> RegistryLogin | None:
    """The first of the logins that is for the image's registry. Raises InvalidInput as `registry_of`."""
    host = registry_of(reference)
    return next((login for login in logins if login.host == host), None)


def pushed_reference(name: str, image: str) -> str:
    """What an image of Seaway's (`seaway/APPLICATION:KEY`) is called in a registry: `name:KEY`.

    The key tells commit and configuration, so an image is never replaced by one that is made otherwise.
    """
    return f"{name}:{parse_image_reference(image).tag}"
