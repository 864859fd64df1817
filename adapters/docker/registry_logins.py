"""Logins for registries as Docker takes them. Nothing here is sent or written.

Forms: https://docs.docker.com/reference/api/engine/#section/Authentication and the `auths` of config.json.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

from domain.registries import DOCKER_HUB, RegistryLogin

HEADER = "X-Registry-Auth"
NO_LOGIN = base64.urlsafe_b64encode(b"{}").decode("ascii")
"""A push needs the header in any case."""
DOCKER_HUB_ADDRESS = "https://index.docker.io/v1/"
"""Docker's own name for its registry, in logins only."""


def server_address(host: str) -> str:
    """What a login calls the registry."""
    return DOCKER_HUB_ADDRESS if host == DOCKER_HUB else host


def login_document(login: RegistryLogin) -> dict[str, str]:
    """The login as the engine reads it."""
    return {
        "username": login.username,
        "password": login.password.get_secret_value(),
        "serveraddress": server_address(login.host),
    }


def login_header(login: RegistryLogin) -> dict[str, str]:
    """The header of a request to the engine that pulls."""
    document = json.dumps(login_document(login)).encode()
    return {HEADER: base64.urlsafe_b64encode(document).decode("ascii")}


def client_configuration(logins: Iterable[RegistryLogin]) -> str:
    """The `config.json` of a client; of several logins for a registry the first counts."""
    entries: dict[str, dict[str, str]] = {}
    for login in logins:
        pair = f"{login.username}:{login.password.get_secret_value()}".encode()
        entries.setdefault(server_address(login.host), {"auth": base64.b64encode(pair).decode("ascii")})
    return json.dumps({"auths": entries})
