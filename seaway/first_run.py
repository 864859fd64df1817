"""The first account and the local server, made at the first start."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from domain.domains import sslip_wildcard
from seaway.settings import Settings
from store.store import Store

FIRST_PROJECT = "default"


async def prepare(store: Store, settings: Settings) -> None:
    """Makes the first account with a token for the `seaway` command, a project, and the local server."""
    if await store.access.has_users():
        update_addresses(settings)
        return
    password = settings.admin_password
    if not password.get_secret_value():
        password = SecretStr(secrets.token_urlsafe(15))
    user, team = await store.access.create_user(
        email=settings.admin_email, password=password, team_name="My team"
    )
    await store.projects.create(team_id=team.id, name=FIRST_PROJECT)
    await store.servers.ensure_local(
        team_id=team.id, wildcard_domain=settings.wildcard_domain or sslip_wildcard(own_address())
    )
    token = await store.access.create_token(
        team_id=team.id, user_id=user.id, name="seaway command", abilities=["root"]
    )
    write_credentials(
        settings.credentials_path,
        addresses(settings)
        | {
            "token": token.get_secret_value(),
            "email": user.email,
            "password": password.get_secret_value(),
        },
    )


def addresses(settings: Settings) -> dict[str, str | int]:
    """Where things are, for the `seaway` command and whoever reads the file."""
    return {
        "url": settings.effective_public_url,
        "temporal_url": settings.effective_temporal_ui_url,
        "http_port": settings.http_port,
        "https_port": settings.https_port,
    }


def update_addresses(settings: Settings) -> None:
    """Ports may differ from one start to the next; the log-in stays as it is."""
    with contextlib.suppress(FileNotFoundError):
        known = json.loads(settings.credentials_path.read_text())
        if known | addresses(settings) != known:
            write_credentials(settings.credentials_path, known | addresses(settings))


def write_credentials(path: Path, credentials: Mapping[str, str | int]) -> None:
    """Writes the log-in where only this user can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(credentials, file, indent=2)


def own_address() -> str:
    """The address of this machine that others most likely reach; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address: str = probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
    return address
