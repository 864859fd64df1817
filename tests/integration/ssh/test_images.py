"""Images sent from one server's engine to another's, past this machine, over their SSH connections."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.image_distribution import DistributionActivities
from activities.messages import DistributeImage, PlannedServer, StepOutcome, StepReference
from activities.servers import Servers
from adapters.docker import DockerEngine
from adapters.docker.image_transfer import Transfer, send_image
from adapters.host_commands import Completed
from adapters.ssh.connection import SshConnection
from adapters.ssh.forwarding import DockerSocketForward
from domain.deployments import StepName
from domain.errors import DeploymentError, DiskFull, EngineUnavailable, ImageNotFound, TransientError
from store.store import Store
from tests.harness.ssh_servers import TINY, SshServer, SshServers
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import QUICK, way_to

BIG_BYTES = 20_000_000
LIMIT_SECONDS = 60.0


@asynccontextmanager
async def engine_of(server: SshServer) -> AsyncIterator[DockerEngine]:
    connection = SshConnection(way_to(server), QUICK)
    async with DockerSocketForward(connection) as forward:
        engine = DockerEngine(forward.socket_path)
        yield engine
        await engine.close()
    await connection.close()


@pytest.fixture(scope="module")
def second(servers: SshServers) -> SshServer:
    """Has Docker and no image."""
    return servers.add()


@pytest.fixture(scope="module")
async def source(server: SshServer) -> AsyncIterator[DockerEngine]:
    async with engine_of(server) as engine:
        yield engine


@pytest.fixture(scope="module")
async def target(second: SshServer) -> AsyncIterator[DockerEngine]:
    async with engine_of(second) as engine:
        yield engine


@pytest.fixture
async def image(server: SshServer, second: SshServer) -> AsyncIterator[str]:
    """On the first server: a small layer on a big one on the tiny image."""
    name = f"seaway-test/sent:{uuid.uuid4().hex[:8]}"
    await asyncio.to_thread(build, server, name, "one")
    yield name
    for one in (server, second):
        await asyncio.to_thread(one.run, "docker", "image", "rm", "-f", name)


def build(server: SshServer, name: str, content: str) -> None:
    """Only the small layer depends on the content."""
    folder = f"/tmp/{name.rpartition(':')[2]}"
    script = f"""
        mkdir -p {folder} && cd {folder}
        [ -e big ] || head -c {BIG_BYTES} /dev/urandom > big
        echo {content} > small
        printf 'FROM {TINY}\\nCOPY big /\\nCOPY small /\\nENV LAYERS=3\\n' > Dockerfile
        docker build -q -t {name} .
    """
    code, output = server.run("sh", "-ec", script)
    assert code == 0, output


class HaltingEngine(DockerEngine):
    """Sends the first megabyte of an image, and the rest once it is told to."""

    def __init__(self, socket: str) -> None:
        super().__init__(socket)
        self.halted = asyncio.Event()
        self.goes_on = asyncio.Event()

    @asynccontextmanager
    async def saved(self, reference: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async with super().saved(reference) as stream:
            yield self._halting(stream)

    async def _halting(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        passed = 0
        async for chunk in stream:
            passed += len(chunk)
            yield chunk
            if passed > 1_000_000 and not self.halted.is_set():
                self.halted.set()
                await self.goes_on.wait()


@pytest.fixture
async def halting(source: DockerEngine) -> AsyncIterator[HaltingEngine]:
    engine = HaltingEngine(source.socket)
    yield engine
    await engine.close()


async def send(source: DockerEngine, target: DockerEngine, image: str) -> Transfer:
    async with asyncio.timeout(LIMIT_SECONDS):
        return await send_image(source, target, image, print)


async def test_an_image_arrives_and_after_a_change_only_the_layer_that_changed(
    source: DockerEngine,
    target: DockerEngine,
    image: str,
    server: SshServer,
    second: SshServer,
    record_property,
):
    whole = await send(source, target, image)
    assert whole.shared_layers == 0
    assert whole.sent_bytes == whole.archive_bytes > BIG_BYTES
    assert await target.image_id(image) == await source.image_id(image)
    assert second.run("docker", "run", "--rm", image, "cat", "/small") == (0, "one\n")

    await asyncio.to_thread(build, server, image, "two")
    changed = await send(source, target, image)
    assert changed.shared_layers == 2
    assert changed.sent_bytes < 100_000
    assert changed.archive_bytes > BIG_BYTES
    assert await target.image_id(image) == await source.image_id(image)
    assert second.run("docker", "run", "--rm", image, "sh", "-c", "cat small; wc -c < big") == (
        0,
        f"two\n{BIG_BYTES}\n",
    )
    record_property("whole", f"{whole.sent_bytes} bytes in {whole.seconds:.2f} s")
    record_property("changed", f"{changed.sent_bytes} bytes in {changed.seconds:.2f} s")


async def test_a_link_that_is_cut_in_the_middle_is_told_and_a_second_try_works(
    source: DockerEngine,
    target: DockerEngine,
    halting: HaltingEngine,
    image: str,
    server: SshServer,
    second: SshServer,
):
    sending = asyncio.create_task(send(halting, target, image))
    await halting.halted.wait()
    await asyncio.to_thread(second.cut)
    try:
        halting.goes_on.set()
        with pytest.raises(TransientError, match="server that receives the image broke after"):
            await sending
    finally:
        await asyncio.to_thread(second.heal)
    await eventually(lambda: unfinished(server) == "", LIMIT_SECONDS)
    assert await eventually(lambda: gone(target, image), ignored=(EngineUnavailable,))
    await send(source, target, image)
    assert await target.image_id(image) == await source.image_id(image)


async def gone(engine: DockerEngine, image: str) -> bool:
    return await engine.image_id(image) is None


async def test_cancelling_ends_both_streams(
    target: DockerEngine, halting: HaltingEngine, image: str, server: SshServer, second: SshServer
):
    sending = asyncio.create_task(send(halting, target, image))
    await halting.halted.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await gone(target, image)
    # Engines keep what they are sent, and what they send, in a folder until its end.
    await eventually(lambda: unfinished(server) == unfinished(second) == "", LIMIT_SECONDS)


def unfinished(server: SshServer) -> str:
    return server.run("ls", "/var/lib/docker/tmp")[1]


async def test_layers_that_vanish_meanwhile_are_sent_after_all(
    source: DockerEngine, target: DockerEngine, image: str, monkeypatch: pytest.MonkeyPatch
):
    local = await source.inspect_image(image)
    assert local is not None

    async def stacks() -> list[tuple[str, ...]]:
        return [local.layers[:2]]

    monkeypatch.setattr(target, "layer_stacks", stacks)
    transfer = await send(source, target, image)
    assert transfer.shared_layers == 0
    assert await target.image_id(image) == local.id


async def test_an_image_that_is_gone_is_told(source: DockerEngine, target: DockerEngine):
    with pytest.raises(ImageNotFound, match="Deploy again"):
        await send(source, target, "seaway-test/absent:1")


class TakenOver(DockerEngine):
    """An engine whose server is in other hands: its archives hold other images too, or instead."""

    def __init__(self, socket: str, *names: str) -> None:
        super().__init__(socket)
        self._names = names

    @asynccontextmanager
    async def saved(self, reference: str) -> AsyncIterator[AsyncIterator[bytes]]:
        query = "&".join(f"names={name}" for name in self._names)
        async with self._exchange("GET", f"/images/get?{query}") as answer:
            yield answer.aiter_raw()


async def test_a_sender_that_is_taken_over_changes_no_other_image(
    source: DockerEngine, target: DockerEngine, image: str, server: SshServer
):
    """The victim has this name on the receiving server; the sender has something else under it."""
    victim = f"seaway-test/victim:{uuid.uuid4().hex[:8]}"
    await send(source, target, image)
    mine = await target.image_id(image)
    assert mine is not None
    await target.tag(mine, victim)
    await asyncio.to_thread(build, server, victim, "evil")
    evil = await source.image_id(victim)
    wanted = f"{image}-wanted"
    await source.tag(image, wanted)
    for names in ((wanted, victim), (victim,), (victim, wanted)):
        sender = TakenOver(source.socket, *names)
        with pytest.raises(DeploymentError, match=f"Nothing was loaded|name an image {victim}"):
            await send(cast(DockerEngine, sender), target, wanted)
        await sender.close()
        assert await target.image_id(victim) == mine != evil
        assert await gone(target, wanted)
    for name in (victim, wanted):
        await source.remove_image(name)
        await target.remove_image(name)


async def test_an_image_that_is_not_the_one_that_was_told_of_is_discarded(
    source: DockerEngine, target: DockerEngine, image: str, server: SshServer, monkeypatch: pytest.MonkeyPatch
):
    await send(source, target, image)
    before = await target.image_id(image)
    told = await source.inspect_image(image)
    await asyncio.to_thread(build, server, image, "other")

    async def lie(_: str) -> object:
        return told

    monkeypatch.setattr(source, "inspect_image", lie)
    with pytest.raises(DeploymentError, match="sent another one than it told of"):
        await send(source, target, image)
    assert await target.image_id(image) == before
    assert await target.inspect_image(str(await source.image_id(image))) is None


async def test_an_image_that_the_receiver_has_no_room_for_is_not_sent(
    source: DockerEngine, target: DockerEngine, image: str, monkeypatch: pytest.MonkeyPatch
):
    whole = await source.inspect_image(image)
    assert whole is not None

    async def no_layers() -> list[tuple[str, ...]]:
        return []

    def unasked(_: str) -> object:
        raise AssertionError("nothing is read from the sender")

    with monkeypatch.context() as patched:
        patched.setattr(target, "layer_stacks", no_layers)
        patched.setattr(source, "saved", unasked)
        with pytest.raises(DiskFull, match=r"room for 1\.0 MB, and the image has 2\d\.\d MB or more"):
            await send_image(source, target, image, lambda _: None, room_bytes=1_000_000)
        with pytest.raises(DiskFull, match="room for 0 kB"):
            await send_image(source, target, image, lambda _: None, room_bytes=-5)
    assert await gone(target, image)

    # An image may turn out to be larger than its server told.
    async def lie(_: str) -> object:
        return replace(whole, size_bytes=1000)

    monkeypatch.setattr(source, "inspect_image", lie)
    with pytest.raises(DiskFull, match=r"the image has \d\.\d MB or more"):
        await send_image(source, target, image, lambda _: None, room_bytes=5_000_000)
    assert await gone(target, image)
    await send_image(source, target, image, lambda _: None, room_bytes=500_000_000)
    assert await target.image_id(image) == whole.id


class Pair:
    """Two servers by id, and what is written about a deployment."""

    def __init__(self, engines: dict[str, DockerEngine]) -> None:
        self._engines = engines
        self.logs = self.deployments = self
        self.image_id = ""
        self.disk = "/dev/sda1 90000000 0 90000000 0%"
        self.lines: list[str] = []

    async def parts(self, server_id: str) -> SimpleNamespace:
        return SimpleNamespace(engine=self._engines[server_id], swarm=None, commands=self)

    async def run(self, arguments: list[str], **_: object) -> Completed:
        return Completed(0, f"Filesystem 1024-blocks Used Available Capacity Mounted\n{self.disk} /\n", "")

    async def update(self, _deployment_id: str, *, image_id: str) -> None:
        self.image_id = image_id

    async def pushed_image(self, _deployment_id: str) -> str:
        return ""

    async def open(self, *_: object) -> None:
        self.lines.clear()

    async def append(self, *arguments: object) -> None:
        self.lines += [text for _, text in cast(list[tuple[object, str]], arguments[-1])]


async def test_the_step_tells_what_was_sent_and_sends_nothing_twice(
    source: DockerEngine, target: DockerEngine, image: str
):
    pair = Pair({"first": source, "second": target})
    distribute = DistributionActivities(cast(Store, pair), cast(Servers, pair)).distribute

    async def outcome(name: str, server: str = "second") -> StepOutcome:
        step = StepReference(deployment_id="deployment", name=StepName.DISTRIBUTE, server=server)
        sender = PlannedServer(id="first", name="first")
        message = DistributeImage(
            step=step, application_id="application", server_id=server, source=sender, image=name
        )
        return await ActivityEnvironment().run(distribute, message)

    first = await outcome(image)
    assert not first.skipped
    assert re.fullmatch(r"sent 2\d\.\d MB of 22\.\d MB in \d+\.\d s", first.message)
    assert pair.lines == ["The image comes from first.", *pair.lines[1:-1], first.message]
    assert (await outcome(image)).skipped
    assert (await outcome(image, "first")).skipped
    assert pair.image_id == await source.image_id(image)

    again = f"{image}-again"
    await source.tag(image, again)
    assert (await outcome(again)).skipped
    assert await target.image_id(again) == await source.image_id(image)
    await source.remove_image(again)
    await target.remove_image(again)
    with pytest.raises(ImageNotFound):
        await outcome(again)

    await target.remove_image(image)
    pair.disk = "/dev/sda1 90000000 89990000 10000 99%"
    with pytest.raises(DiskFull, match=r"room for 10\.2 MB, .* Free space there, and deploy again"):
        await outcome(image)
