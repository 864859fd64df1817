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
from domain.servers import NO_ENGINE
from seaway.data_folder import in_turn
from seaway.local_proxy import has_engine
from seaway.settings import Settings
from store.store import Store

FIRST_PROJECT = "default"


async def prepare(store: Store, settings: Settings) -> None:
    """Makes the first account with a token for the `seaway` command, a project, and the local server.

    The log-in is in its file before there is an account, and the token comes last, so a start that was
    interrupted is known by its file and finished by the next one. API and workers that start together on an
    empty database take turns: the first one makes all of it.
    """
    async with in_turn(settings.data_dir):
        await _prepare(store, settings)


async def _prepare(store: Store, settings: Settings) -> None:
    known = _known(settings.credentials_path)
    if await store.access.has_users():
        if "password" not in known or "token" in known:
            update_addresses(settings)
            return
    else:
        known = {"email": settings.admin_email.strip().lower(), "password": _first_password(settings, known)}
        write_credentials(settings.credentials_path, addresses(settings) | known)
        await store.access.create_user(
            email=str(known["email"]), password=SecretStr(str(known["password"])), team_name="My team"
        )
    token = await _finish(store, settings, str(known["email"]), SecretStr(str(known["password"])))
    if token is not None:
        whole = {"token": token.get_secret_value(), "email": known["email"], "password": known["password"]}
        write_credentials(settings.credentials_path, addresses(settings) | whole)


async def _finish(store: Store, settings: Settings, email: str, password: SecretStr) -> SecretStr | None:
    """Makes what the first account still lacks; None where the file's log-in is not valid any more."""
    principal = await store.access.check_password(email, password)
    if principal is None:
        return None
    team_id = principal.team_id
    if not await store.projects.list(team_id=team_id):
        await store.projects.create(team_id=team_id, name=FIRST_PROJECT)
    # Until a worker says so, whoever starts first does.
    await store.servers.ensure_local(
        team_id=team_id,
        wildcard_domain=settings.wildcard_domain or sslip_wildcard(own_address()),
        trouble="" if await has_engine(settings) else NO_ENGINE,
    )
    return await store.access.create_token(
        team_id=team_id, user_id=principal.user_id, name="seaway command", abilities=["root"]
    )


def _first_password(settings: Settings, known: Mapping[str, str | int]) -> str:
    """The one of the settings, that of an interrupted start, or a new one."""
    chosen = settings.admin_password.get_secret_value()
    if not chosen and "token" not in known:
        chosen = str(known.get("password", ""))
    return chosen or secrets.token_urlsafe(15)


def _known(path: Path) -> dict[str, str | int]:
    """What the file says; nothing where there is none."""
    with contextlib.suppress(FileNotFoundError):
        known: dict[str, str | int] = json.loads(path.read_text())
        return known
    return {}


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
    known = _known(settings.credentials_path)
    if known and known | addresses(settings) != known:
        write_credentials(settings.credentials_path, known | addresses(settings))


def write_credentials(path: Path, credentials: Mapping[str, str | int]) -> None:
    """Writes the log-in where only this user can read it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(credentials, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def own_address() -> str:
    """The address of this machine that others most likely reach; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address: str = probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
    return address
