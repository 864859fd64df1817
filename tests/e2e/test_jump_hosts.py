"""A server that is reached through another one only: made usable, released to, and its gate in trouble."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from domain.host_keys import fingerprint_of
from tests.e2e.applications import Application, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, until_usable, version_at
from tests.harness.images import PYTHON, BaseImages
from tests.harness.load import LoadGenerator
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
SETTINGS = {"SEAWAY_SERVER_CHECK_SECONDS": "2", "SEAWAY_WATCH_SECONDS": "2"}
NOTICED_SECONDS = 60.0
# Longer than it takes to notice that nothing comes any more.
SILENT_SECONDS = 20.0
RELEASE_LIMIT_SECONDS = 180.0
# With a name, because a build from the cache takes no time.
SLOW_BUILD = f"""\
FROM {PYTHON}
WORKDIR /app
CMD ["python3", "app.py"]
EXPOSE 3000
COPY app.py VERSION ./
RUN echo NAME && sleep 10
"""


@dataclass
class Harbour:
    """A Seaway, a gate, and a server behind it that takes SSH from the gate alone."""

    seaway: Installation
    gate: SshServer
    inner: SshServer
    gate_id: str
    inner_id: str

    async def log_ins(self) -> int:
        """How many the gate has accepted."""
        return len(re.findall("Accepted publickey", await asyncio.to_thread(self.gate.log)))

    async def until(self, server: str, status: str) -> dict[str, Any]:
        """The server, once it stands so."""

        async def look() -> dict[str, Any] | None:
            shown: dict[str, Any] = await self.seaway.ask("GET", f"/servers/{server}")
            return shown if shown["status"] == status else None

        return await eventually(look, NOTICED_SECONDS, 0.2, f"a server that is {status}")


@pytest.fixture(scope="module")
async def harbour(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Harbour]:
    """Both are usable; the inner one was made so through the gate."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine, **SETTINGS) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("harbour")) as servers:
            await seaway.start()
            gate = await asyncio.to_thread(servers.add, "gate")
            inner = await asyncio.to_thread(servers.add, "inner")
            await load_images([inner], base_images.python)
            key = await add_key(seaway, servers.private_key)
            gate_id = await add_server(seaway, gate, key, name="gate")
            with inner.dropping("INPUT", "-p", "tcp", "--dport", "22", "!", "-s", gate.host):
                inner_id = await add_server(seaway, inner, key, name="inner", jump_server_uuid=gate_id)
                yield Harbour(seaway, gate, inner, gate_id, inner_id)


@pytest.fixture
async def deployed(harbour: Harbour, git_repository: GitRepository) -> Application:
    """An application that serves behind the gate."""
    application = await create(
        harbour.seaway,
        git_repository=git_repository.url,
        git_branch="main",
        server_uuid=harbour.inner_id,
        health_check_interval=1,
    )
    await application.deploy()
    assert await version_at(harbour.inner, application.host) == "v1"
    return application


async def test_a_release_goes_through_the_jump_host_by_the_link_that_is_there(
    harbour: Harbour, deployed: Application, git_repository: GitRepository
) -> None:
    log_ins = await harbour.log_ins()
    git_repository.release("v2")
    await deployed.deploy()
    assert await version_at(harbour.inner, deployed.host) == "v2"
    assert await harbour.log_ins() == log_ins


@pytest.mark.parametrize("silent_seconds", [0, SILENT_SECONDS])
async def test_the_link_to_the_jump_host_is_cut_in_the_midst_of_a_release(
    harbour: Harbour, deployed: Application, git_repository: GitRepository, silent_seconds: float
) -> None:
    load = LoadGenerator(
        f"http://{deployed.host}",
        address=(harbour.inner.host, 80),
        rate_per_second=10,
        slow_every_seconds=0,
        websockets=0,
    )
    git_repository.release("v2", {"Dockerfile": SLOW_BUILD.replace("NAME", deployed.uuid)})
    async with load:
        deployment = await deployed.start_deploy()

        async def builds() -> bool:
            code, _ = await asyncio.to_thread(harbour.inner.run, "pgrep", "-x", "-f", "sleep 10")
            return code == 0

        await eventually(builds, NOTICED_SECONDS, 0.1, "a build")
        if silent_seconds:
            await asyncio.to_thread(harbour.gate.cut)
            await asyncio.sleep(silent_seconds)
            await asyncio.to_thread(harbour.gate.heal)
        else:
            await asyncio.to_thread(harbour.gate.reset_links)
        shown = await deployed.ended(deployment, RELEASE_LIMIT_SECONDS)
        assert shown["outcome"] == "finished", shown
    load.report().assert_no_failures(20)
    assert await version_at(harbour.inner, deployed.host) == "v2"
    _, running = await asyncio.to_thread(
        harbour.inner.run, "docker", "ps", "-aq", "--filter", f"label=seaway.application={deployed.uuid}"
    )
    assert len(running.split()) == 1


async def test_another_host_key_of_the_jump_host_stops_all_work_behind_it(
    harbour: Harbour, deployed: Application, git_repository: GitRepository
) -> None:
    log_ins = await harbour.log_ins()
    shown_key = fingerprint_of(await asyncio.to_thread(harbour.gate.change_host_key))
    alarmed = await harbour.until(harbour.inner_id, "host_key_changed")
    assert alarmed["status_message"].startswith(
        f"The server {harbour.gate.host}:22 shows another host key than before: {shown_key} instead of "
    )
    assert (
        f"It is the jump host on the way to {harbour.inner.host}:22: accept the key at the jump host, then "
        f"validate {harbour.inner.host}:22 again."
    ) in alarmed["status_message"]
    await harbour.until(harbour.gate_id, "host_key_changed")

    git_repository.release("v2")
    failed = await deployed.fail(120)
    assert failed["error"]["code"] == "host_key_changed"
    assert f"{harbour.gate.host}:22" in failed["error"]["message"]
    assert await version_at(harbour.inner, deployed.host) == "v1"
    assert await harbour.log_ins() == log_ins

    body = {"fingerprint": shown_key}
    await harbour.seaway.ask("POST", f"/servers/{harbour.gate_id}/host-key/accept", json=body)
    await until_usable(harbour.seaway, harbour.gate_id)
    await harbour.seaway.ask("POST", f"/servers/{harbour.inner_id}/validate")
    await until_usable(harbour.seaway, harbour.inner_id)
    await deployed.deploy()
    assert await version_at(harbour.inner, deployed.host) == "v2"
