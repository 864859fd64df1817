"""The cache of builds, on an engine of its own: pruning it here would take the cache of every other test."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from adapters.buildkit import BuildKit, BuildRequest
from adapters.docker import DockerEngine
from adapters.ssh.connection import SshConnection
from adapters.ssh.forwarding import DockerSocketForward
from tests.harness.ssh_servers import TINY, SshServers
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import way_to

LIMIT = timedelta(seconds=60)
TAG = "seaway-test-cache:1"


async def test_what_has_gathered_is_measured_and_goes_when_it_is_too_much(
    servers: SshServers, tmp_path: Path
):
    server = await asyncio.to_thread(servers.add)
    await asyncio.to_thread(server.load, TINY)
    (tmp_path / "Dockerfile").write_text(f"FROM {TINY}\nRUN head -c 3000000 /dev/zero >/tmp/large\n")
    request = BuildRequest(
        context=tmp_path,
        dockerfile=tmp_path / "Dockerfile",
        tag=TAG,
        target="",
        arguments={},
        secrets={},
        labels={},
        use_cache=True,
        pull=False,
    )
    connection = SshConnection(way_to(server))
    async with DockerSocketForward(connection) as forward:
        engine = DockerEngine(forward.socket_path)
        await BuildKit().build(
            request, engine_socket=forward.socket_path, on_line=lambda _: None, timeout=LIMIT
        )
        await engine.remove_image(TAG)
        gathered = await engine.build_cache_bytes()
        assert gathered >= 3_000_000
        no_time = timedelta(0)
        assert await engine.prune_build_cache(keep_bytes=2 * gathered, unused_for=no_time) == 0
        assert await engine.prune_build_cache(keep_bytes=0, unused_for=timedelta(days=1)) == 0
        # Engines count in whole seconds since the last use.
        freed = await eventually(lambda: engine.prune_build_cache(keep_bytes=0, unused_for=no_time))
        assert freed >= 3_000_000
        assert await engine.build_cache_bytes() < 3_000_000
        await engine.close()
    await connection.close()
