"""The proxy of Seaway's own server dies, or loses its port: told, and mended without anybody."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from tests.e2e.installation import Installation, installed
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]
MENDED_SECONDS = 60.0


async def test_a_dead_proxy_is_told_and_started_again_once_its_port_is_free(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    async with installed(tmp_path / "seaway", engine, SEAWAY_SERVER_CHECK_SECONDS="1") as seaway:
        await seaway.start()
        [local] = await seaway.ask("GET", "/servers")
        path = f"/servers/{local['uuid']}"
        proxy = await asyncio.to_thread(engine.containers.get, f"{seaway.instance}-proxy")

        async def told() -> list[str]:
            events = await seaway.ask("GET", f"{path}/events")
            return [event["kind"] for event in reversed(events)]

        async def answers() -> bool:
            return (await seaway.proxy.get("/")).status_code == 404

        async def shown() -> dict[str, Any]:
            server: dict[str, Any] = await seaway.ask("GET", path)
            return server

        await eventually(answers, MENDED_SECONDS, describe="a proxy")
        await asyncio.to_thread(proxy.kill)
        await eventually(lambda: has(told, "proxy_down", "proxy_up"), MENDED_SECONDS, describe="both events")
        assert await answers()

        with await held(seaway, proxy):

            async def is_unusable() -> bool:
                return (await shown())["status"] == "not_usable"

            await eventually(is_unusable, MENDED_SECONDS, describe="a server that is not usable")
            server = await shown()
            assert str(seaway.ports.http) in server["status_message"]
            assert "in use" in server["status_message"]

        async def is_usable() -> bool:
            server = await shown()
            return server["status"] == "usable" and not server["status_message"]

        await eventually(is_usable, MENDED_SECONDS, describe="a usable server")
        assert await answers()


async def has(told: Any, *kinds: str) -> bool:
    return set(kinds) <= set(await told())


async def held(seaway: Installation, proxy: Any) -> socket.socket:
    """The proxy's port, which is taken before Seaway has started the proxy again."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    async def is_taken() -> bool:
        with contextlib.suppress(docker.errors.APIError):  # it does not run
            await asyncio.to_thread(proxy.kill)
        holder.bind(("0.0.0.0", seaway.ports.http))
        return True

    await eventually(is_taken, MENDED_SECONDS, describe="a free port")
    holder.listen()
    return holder
