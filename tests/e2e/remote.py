"""Servers over SSH as a user of Seaway adds them, and applications on them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.e2e.installation import Installation
from tests.harness.ssh_servers import SshServer
from tests.harness.waiting import eventually

USABLE_LIMIT_SECONDS = 90.0


async def add_key(seaway: Installation, private_key: str) -> str:
    """A private key that Seaway may log in with; its id."""
    body = {"name": "servers", "private_key": private_key}
    return str((await seaway.ask("POST", "/security/keys", json=body))["uuid"])


async def add_server(
    seaway: Installation, machine: SshServer, key: str, *, user: str = "root", **fields: Any
) -> str:
    """A server that is provisioned and usable; its id."""
    body = {
        "name": machine.name,
        "ip": machine.host,
        "port": machine.port,
        "user": user,
        "private_key_uuid": key,
        "instant_validate": True,
        **fields,
    }
    uuid = str((await seaway.ask("POST", "/servers", json=body))["uuid"])
    await until_usable(seaway, uuid)
    return uuid


async def until_usable(seaway: Installation, uuid: str, limit_seconds: float = USABLE_LIMIT_SECONDS) -> None:
    """Returns when the server can be deployed to."""
    last: dict[str, Any] = {}

    async def look() -> bool:
        nonlocal last
        last = await seaway.ask("GET", f"/servers/{uuid}")
        return bool(last["is_usable"])

    await eventually(look, limit_seconds, 0.2, lambda: f"a usable server, not {last}")


async def version_at(machine: SshServer, host: str) -> str:
    """What visitors of the server's own proxy get."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.get(f"http://{machine.host}/", headers={"Host": host})
    return answer.text.strip() if answer.status_code == 200 else f"status {answer.status_code}"


async def load_images(machines: list[SshServer], *images: str) -> None:
    """Every server's engine has these images, because none can be pulled here."""
    for image in images:
        await asyncio.gather(*[asyncio.to_thread(one.load, image) for one in machines])
