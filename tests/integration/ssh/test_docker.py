"""A server's Docker Engine over SSH, by the very code that runs on the local one."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.buildkit import BuildKit, BuildRequest
from adapters.docker import ContainerSpecification, DockerEngine
from adapters.ssh import forwarding
from adapters.ssh.connection import SshConnection, SshSettings
from adapters.ssh.forwarding import DockerSocketForward
from domain.errors import BuildFailed, EngineSilent, EngineUnavailable, NotPossibleNow
from tests.harness.ssh_daemon import SshDaemon
from tests.harness.ssh_servers import TINY, SshServer, SshServers
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import QUICK, Connect, way_to

LIMIT = timedelta(seconds=60)


@pytest.fixture(scope="module")
async def forward(server: SshServer) -> AsyncIterator[DockerSocketForward]:
    connection = SshConnection(way_to(server))
    async with DockerSocketForward(connection) as made:
        yield made
    await connection.close()


@pytest.fixture(scope="module")
async def remote(forward: DockerSocketForward) -> AsyncIterator[DockerEngine]:
    made = DockerEngine(forward.socket_path)
    yield made
    await made.close()


@pytest.fixture
async def container(remote: DockerEngine) -> AsyncIterator[str]:
    """Runs, writes a line when it starts, and ends when it is asked to."""
    name = f"seaway-test-{uuid.uuid4().hex[:8]}"
    script = "echo hello; trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done"
    await remote.ensure_container(ContainerSpecification(name=name, image=TINY, command=("sh", "-c", script)))
    await remote.start(name)
    yield name
    await remote.remove(name)


class TestEngine:
    async def test_the_engine_is_the_servers(self, remote: DockerEngine, server: SshServer):
        facts = await remote.ping()
        _, version = server.run("docker", "version", "-f", "{{.Server.Version}}")
        assert facts.version == version.strip()

    async def test_the_socket_is_for_this_user_alone(self, forward: DockerSocketForward):
        folder = Path(forward.socket_path).parent
        assert folder.stat().st_mode & 0o777 == 0o700

    async def test_a_container_lives_from_start_to_stop(self, remote: DockerEngine, container: str):
        assert await eventually(lambda: remote.logs(container, 10)) == ["hello"]
        lines: list[str] = []
        assert await remote.execute(container, ["sh", "-c", "echo $0 inside; exit 4"], lines.append, 20) == 4
        assert lines == ["sh inside"]
        await remote.stop(container, 5)
        assert await remote.wait(container, 5) == 3
        assert await remote.logs(container, 10) == ["hello", "bye"]

    async def test_a_command_whose_link_breaks_has_no_exit_code_and_ends(
        self, remote: DockerEngine, container: str, server: SshServer
    ):
        heard: list[str] = []
        script = "printf half; echo begun >&2; sleep 7654; echo never"
        running = asyncio.create_task(remote.execute(container, ["sh", "-c", script], heard.append, 60))
        await eventually(lambda: "begun" in heard, 20)
        await asyncio.to_thread(server.run, "pkill", "-KILL", "-x", "sshd-session")
        with pytest.raises(EngineUnavailable, match="broke off before its end"):
            await running
        assert "never" not in heard

        async def has_ended() -> bool:
            _, output = await asyncio.to_thread(server.run, "pgrep", "-f", "sleep 7654")
            return not output.strip()

        await eventually(has_ended, 20)
        code = await remote.execute(container, ["sh", "-c", "printf half >&2; exit 6"], heard.append, 20)
        assert (code, heard[-1]) == (6, "half")

    async def test_logs_are_followed_line_by_line_to_the_end(self, remote: DockerEngine, container: str):
        heard: list[str] = []
        async for entry in remote.follow_logs(container, 10):
            heard.append(entry.text)
            if entry.text == "hello":
                await remote.stop(container, 5)
        assert heard == ["hello", "bye"]

    async def test_many_streams_and_calls_at_once(self, remote: DockerEngine, container: str):
        streams = [remote.follow_logs(container, 1) for _ in range(20)]
        firsts = await asyncio.gather(*(anext(stream) for stream in streams))
        assert {first.text for first in firsts} == {"hello"}
        states = await asyncio.gather(*(remote.inspect(container) for _ in range(40)))
        assert all(state is not None and state.running for state in states)
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]

    async def test_a_call_costs_a_few_milliseconds(
        self, remote: DockerEngine, container: str, record_property
    ):
        took = []
        for _ in range(50):
            begun = time.monotonic()
            await remote.inspect(container)
            took.append((time.monotonic() - begun) * 1000)
        median = statistics.median(took)
        record_property("docker_call_ms", round(median, 1))
        assert median < 200


class TestBuilds:
    @pytest.fixture
    def request_of(self, tmp_path: Path) -> Callable[..., BuildRequest]:
        tag = f"seaway-test/built:{uuid.uuid4().hex[:8]}"

        def make(dockerfile: str, **fields: object) -> BuildRequest:
            (tmp_path / "Dockerfile").write_text(dockerfile)
            defaults: dict[str, object] = {
                "target": "",
                "arguments": {},
                "secrets": {},
                "labels": {},
                "use_cache": True,
                "pull": False,
            }
            return BuildRequest(
                context=tmp_path,
                dockerfile=tmp_path / "Dockerfile",
                tag=tag,
                **{**defaults, **fields},  # type: ignore[arg-type]
            )

        return make

    async def build(self, request: BuildRequest, forward: DockerSocketForward) -> tuple[str, list[str]]:
        lines: list[str] = []
        image = await BuildKit().build(
            request, engine_socket=forward.socket_path, on_line=lines.append, timeout=LIMIT
        )
        return image, lines

    async def test_a_changed_file_is_built_on_the_server_with_the_rest_from_its_cache(
        self, request_of, forward, remote: DockerEngine, tmp_path: Path, record_property
    ):
        (tmp_path / "file").write_text("one")
        (tmp_path / "big").write_bytes(b"0" * 20_000_000)
        request = request_of(f"FROM {TINY}\nCOPY big /\nCOPY file /\n")
        first, _ = await self.build(request, forward)
        (tmp_path / "file").write_text("two")
        begun = time.monotonic()
        second, lines = await self.build(request, forward)
        record_property("rebuild_ms", round((time.monotonic() - begun) * 1000))
        assert first != second
        assert any("CACHED" in line for line in lines)
        assert await remote.image_id(request.tag) == second

    async def test_secrets_go_by_the_session(self, request_of, forward):
        secret = f"s3cret-{uuid.uuid4().hex}"
        request = request_of(
            f"FROM {TINY}\nRUN --mount=type=secret,id=TOKEN sh -c 'wc -c < /run/secrets/TOKEN'\n",
            secrets={"TOKEN": SecretStr(secret)},
        )
        _, lines = await self.build(request, forward)
        assert any(line.endswith(str(len(secret))) for line in lines)
        assert secret not in "\n".join(lines)

    async def test_a_failing_build_says_why(self, request_of, forward):
        with pytest.raises(BuildFailed, match="exit code 1"):
            await self.build(request_of(f"FROM {TINY}\nRUN echo broken; false\n"), forward)


class TestRights:
    async def test_a_member_of_the_group_docker_needs_no_root(self, server: SshServer):
        connection = SshConnection(way_to(server, "deployer"))
        async with DockerSocketForward(connection) as forward:
            await forward.check()
            engine = DockerEngine(forward.socket_path)
            assert (await engine.ping()).version
            await engine.close()
        await connection.close()

    async def test_who_becomes_a_member_later_is_let_in_over_the_connection_that_is_there(
        self, server: SshServer
    ):
        connection = SshConnection(way_to(server, "maintainer"))
        async with DockerSocketForward(connection) as forward:
            engine = DockerEngine(forward.socket_path)
            await connection.run(["true"], timeout=LIMIT)
            await asyncio.to_thread(server.run, "usermod", "-aG", "docker", "maintainer")
            try:
                assert (await engine.ping()).version
                await forward.check()
            finally:
                await asyncio.to_thread(server.run, "gpasswd", "-d", "maintainer", "docker")
            await engine.close()
        await connection.close()

    async def test_who_is_no_member_is_told_how_to_become_one(self, server: SshServer):
        connection = SshConnection(way_to(server, "maintainer"))
        async with DockerSocketForward(connection) as forward:
            with pytest.raises(NotPossibleNow, match="usermod -aG docker maintainer"):
                await forward.check()
        # Becoming one takes sudo, which this user has.
        whoami = await connection.run(["id", "-un"], timeout=LIMIT, sudo=True)
        assert whoami.stdout == "root\n"
        await connection.close()

    async def test_a_user_without_sudo_is_not_asked_for_a_password(self, server: SshServer):
        connection = SshConnection(way_to(server, "deployer"))
        refused = await connection.run(["id"], timeout=LIMIT, sudo=True)
        assert refused.exit_code == 1
        assert "password" in refused.stderr
        await connection.close()

    async def test_a_cancelled_sudo_command_is_ended(self, server: SshServer):
        connection = SshConnection(way_to(server, "maintainer"))
        started = asyncio.Event()
        running = asyncio.create_task(
            connection.run(
                ["sh", "-c", "echo on; sleep 4321"],
                timeout=LIMIT,
                sudo=True,
                on_line=lambda _line: started.set(),
            )
        )
        await started.wait()
        running.cancel()
        await asyncio.wait([running])
        code, _ = await asyncio.to_thread(server.run, "pgrep", "-f", "sleep 4321")
        assert code == 1
        await connection.close()

    async def test_a_server_without_docker_says_so(self, shared_daemon: SshDaemon, connect: Connect):
        forward = DockerSocketForward(connect(shared_daemon), "/var/run/no-docker.sock")
        with pytest.raises(EngineUnavailable, match="not installed"):
            await forward.check()

    async def test_an_engine_that_accepts_and_says_nothing_is_told_from_one_that_is_stopped(
        self, shared_daemon: SshDaemon, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(forwarding, "ANSWER_SECONDS", 0.2)
        socket = str(tmp_path / "docker.sock")
        forward = DockerSocketForward(connect(shared_daemon), socket)
        async with await asyncio.start_unix_server(lambda _reader, _writer: None, socket):
            with pytest.raises(
                EngineSilent, match=r"does not answer within 0\.2 s.* systemctl restart docker"
            ):
                await forward.check()


class TestBrokenLinks:
    @pytest.fixture
    async def own(self, servers: SshServers) -> AsyncIterator[SshServer]:
        server = await asyncio.to_thread(servers.add)
        await asyncio.to_thread(server.load, TINY)
        yield server
        await asyncio.to_thread(server.remove)

    async def test_dropped_packets_end_streams_and_calls_go_on_when_the_link_is_back(self, own: SshServer):
        settings = SshSettings(
            login_seconds=2, keepalive_seconds=0.5, first_pause_seconds=0.1, longest_pause_seconds=0.3
        )
        assert await self.cut_and_heal(own, settings) < 6

    @pytest.mark.drill
    async def test_a_half_open_link_is_noticed_within_15_seconds(self, own: SshServer, record_property):
        noticed = await self.cut_and_heal(own, SshSettings())
        record_property("half_open_noticed_s", round(noticed, 1))
        assert noticed < 15

    async def cut_and_heal(self, server: SshServer, settings: SshSettings) -> float:
        """After how many seconds a stream over a link that is cut ends; healed, calls work again."""
        connection = SshConnection(way_to(server), settings)
        async with DockerSocketForward(connection) as forward:
            engine = DockerEngine(forward.socket_path)
            name = "seaway-test-long"
            await engine.ensure_container(
                ContainerSpecification(name=name, image=TINY, command=("sh", "-c", "echo on; sleep 600"))
            )
            await engine.start(name)
            following = engine.follow_logs(name, 1)
            assert (await anext(following)).text == "on"
            await asyncio.to_thread(server.cut)
            begun = time.monotonic()
            with contextlib.suppress(EngineUnavailable, StopAsyncIteration):
                await anext(following)
                raise AssertionError("the stream went on over a link that is cut")
            noticed = time.monotonic() - begun
            with pytest.raises(EngineUnavailable):
                await engine.inspect(name)
            await asyncio.to_thread(server.heal)
            state = await eventually(
                lambda: engine.inspect(name), timeout_seconds=20, ignored=(EngineUnavailable,)
            )
            assert state.running
            await engine.close()
        await connection.close()
        return noticed

    @pytest.mark.drill
    async def test_a_server_that_lost_its_power_is_used_again_when_it_is_back(self, own: SshServer):
        connection = SshConnection(way_to(own), QUICK)
        async with DockerSocketForward(connection) as forward:
            engine = DockerEngine(forward.socket_path)
            await engine.ping()
            await asyncio.to_thread(own.kill)
            with pytest.raises(EngineUnavailable):
                await engine.ping()
            await asyncio.to_thread(own.start)
            assert (await eventually(engine.ping, ignored=(EngineUnavailable,))).version
            await engine.close()
        await connection.close()
