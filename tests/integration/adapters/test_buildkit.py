"""Real builds on a real engine: what they leave behind, how they fail and how they end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import docker
import pytest
from pydantic import SecretStr

from adapters.buildkit import BuildKit, BuildRequest, find_build_command
from domain.errors import (
    BuildFailed,
    DeadlineExceeded,
    EngineUnavailable,
    InvalidInput,
    RegistryUnavailable,
    StartUpError,
)
from tests.harness.engine import ensure_engine
from tests.harness.images import BaseImages
from tests.harness.processes import REPOSITORY_ROOT
from tests.harness.waiting import eventually

pytestmark = pytest.mark.integration

LIMIT = timedelta(seconds=90)


def processes_with(text: str) -> list[str]:
    """Command lines on this machine, containers included, that hold the text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if text in line:
                found.append(line)
    return found


class Workbench:
    """Makes build requests from Dockerfiles, and builds them."""

    def __init__(self, folder: Path, base: str, engine: docker.DockerClient) -> None:
        self.folder = folder
        self.base = base
        self.engine = engine
        self.socket = ensure_engine()
        self.buildkit = BuildKit()
        self.lines: list[str] = []
        self.tags: list[str] = []

    def request(self, dockerfile: str, **files: str) -> BuildRequest:
        """A request for this Dockerfile, with `BASE` for the base image."""
        context = self.folder / uuid.uuid4().hex
        context.mkdir()
        for name, content in {"Dockerfile": dockerfile.replace("BASE", self.base), **files}.items():
            (context / name).write_text(content)
        tag = f"seaway-test/build:{uuid.uuid4().hex}"
        self.tags.append(tag)
        return BuildRequest(context, context / "Dockerfile", tag, "", {}, {}, {}, use_cache=True, pull=False)

    async def build(self, request: BuildRequest, timeout: timedelta = LIMIT) -> str:  # noqa: ASYNC109
        return await self.buildkit.build(
            request, engine_socket=self.socket, on_line=self.lines.append, timeout=timeout
        )

    @property
    def log(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def bench(tmp_path: Path, base_images: BaseImages, engine: docker.DockerClient) -> Iterator[Workbench]:
    made = Workbench(tmp_path, base_images.debian, engine)
    yield made
    for tag in made.tags:
        with contextlib.suppress(docker.errors.ImageNotFound):
            engine.images.remove(tag, force=True)


class Registry(BaseHTTPRequestHandler):
    """A registry that has nothing and says so with the given status."""

    def __init__(self, status: int, *arguments: object) -> None:
        self.status = status
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        body = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
        self.send_response(200 if self.path == "/v2/" else self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def registry() -> Iterator[Callable[[int], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(status: int) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Registry, status))
        servers.append(server)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestResult:
    """What a build makes."""

    async def test_the_image_has_tag_labels_and_the_id_that_is_returned(self, bench: Workbench) -> None:
        request = replace(
            bench.request("FROM BASE AS one\nFROM one AS two\nCOPY hello /hello\n", hello="hi"),
            labels={"seaway.test": "a b"},
        )
        image_id = await bench.build(request)
        image = bench.engine.images.get(request.tag)
        assert image.id == image_id
        assert image.labels["seaway.test"] == "a b"
        assert any("COPY hello" in line for line in bench.lines)

    async def test_a_target_stage_stops_the_build_there(self, bench: Workbench) -> None:
        request = bench.request("FROM BASE AS one\nLABEL stage=one\nFROM one AS two\nRUN false\n")
        await bench.build(replace(request, target="one"))
        assert bench.engine.images.get(request.tag).labels["stage"] == "one"

    async def test_build_arguments_arrive_even_under_names_that_the_client_reads_itself(
        self, bench: Workbench
    ) -> None:
        values = {
            "PLAIN": 'a "b" $c\nd',
            "EMPTY": "",
            "DOCKER_HOST": "tcp://192.0.2.1:2375",
            "DOCKER_CONFIG": "/nowhere",
            "DOCKER_BUILDKIT": "0",
            "BUILDX_BUILDER": "nothing",
            "HOME": "/their/home",
            "GODEBUG": "x",
            "HTTP_PROXY": "http://192.0.2.1:3128",
            "HTTPS_PROXY": "http://192.0.2.1:3128",
        }
        declared = "".join(f"ARG {name}\n" for name in values)
        request = bench.request(
            f"FROM BASE\n{declared}RUN env -0 | base64 --wrap=0 > /values; echo >> /values\n"
        )
        await bench.build(replace(request, arguments=values))
        content = bench.engine.containers.run(request.tag, ["cat", "/values"], remove=True).decode()
        lines = base64.b64decode(content).decode().split("\0")
        seen = dict(line.split("=", 1) for line in lines if line)
        assert values.items() <= seen.items()

    async def test_without_the_cache_every_step_runs_again(self, bench: Workbench) -> None:
        request = bench.request("FROM BASE\nRUN cat /proc/sys/kernel/random/uuid > /run-id\n")
        first = await bench.build(request)
        assert await bench.build(request) == first
        assert await bench.build(replace(request, use_cache=False)) != first


class TestSecrets:
    """Build secrets leave no trace."""

    async def test_a_build_secret_is_used_and_then_nowhere(self, bench: Workbench, tmp_path: Path) -> None:
        secret, proof = f"s3cret-{uuid.uuid4().hex}", f"proof-{uuid.uuid4().hex}"
        request = replace(
            bench.request(
                "FROM BASE\n"
                "RUN --mount=type=secret,id=TOKEN"
                # The name of the proof is new, because a new secret alone does not make a step run again.
                f" sha256sum /run/secrets/TOKEN | cut -c-64 > /{proof} && sleep 1\n"
            ),
            secrets={"TOKEN": SecretStr(secret)},
            arguments={"OTHER": "not-for-argv"},
        )
        told: list[str] = []
        building = asyncio.create_task(bench.build(request))
        await eventually(
            lambda: processes_with(request.tag), interval_seconds=0.01, describe="the build's process"
        )
        while not building.done():
            told += processes_with(secret) + processes_with("not-for-argv")
            await asyncio.sleep(0.05)
        await building
        assert told == []
        assert secret not in bench.log
        command = ["docker", "history", "--no-trunc", request.tag]
        history = (await asyncio.to_thread(subprocess.check_output, command)).decode()
        assert "/run/secrets/TOKEN" in history
        assert secret not in history
        archive = tmp_path / "image.tar"
        with archive.open("wb") as file:
            for chunk in bench.engine.images.get(request.tag).save():
                file.write(chunk)
        assert secret.encode() not in archive.read_bytes()
        proven = bench.engine.containers.run(request.tag, ["cat", f"/{proof}"], remove=True).decode()
        assert proven.strip() == hashlib.sha256(secret.encode()).hexdigest()

    async def test_a_secret_too_large_for_a_process_is_refused(self, bench: Workbench) -> None:
        request = bench.request("FROM BASE\n")
        with pytest.raises(InvalidInput, match="at most 128 KiB"):
            await bench.build(replace(request, secrets={"TOKEN": SecretStr("x" * 200_000)}))


class TestFailure:
    """How builds fail, and who has to mend it."""

    async def test_a_failing_command_is_named_with_what_it_said(self, bench: Workbench) -> None:
        request = bench.request("FROM BASE\nRUN echo the reason >&2; exit 3\n")
        with pytest.raises(BuildFailed, match="exit code 3") as caught:
            await bench.build(request)
        assert "the reason" in caught.value.detail

    async def test_a_syntax_error_is_named_with_its_line(self, bench: Workbench) -> None:
        with pytest.raises(BuildFailed, match=r"line 2.*RUNN"):
            await bench.build(bench.request("FROM BASE\nRUNN x\n"))

    async def test_an_unknown_stage_is_named(self, bench: Workbench) -> None:
        with pytest.raises(BuildFailed, match="no stage named nothing"):
            await bench.build(replace(bench.request("FROM BASE\n"), target="nothing"))

    async def test_a_secret_that_a_failing_build_printed_is_not_in_the_error(self, bench: Workbench) -> None:
        request = bench.request(
            "FROM BASE\nRUN --mount=type=secret,id=TOKEN cat /run/secrets/TOKEN; exit 1\n"
        )
        with pytest.raises(BuildFailed) as caught:
            await bench.build(replace(request, secrets={"TOKEN": SecretStr("s3cret-value")}))
        assert "s3cret-value" not in caught.value.message + caught.value.detail

    async def test_an_image_that_does_not_exist_is_for_the_owner_to_mend(
        self, bench: Workbench, registry: Callable[[int], str]
    ) -> None:
        with pytest.raises(BuildFailed, match="team/nothing:1 does not exist"):
            await bench.build(bench.request(f"FROM {registry(404)}/team/nothing:1\n"))

    async def test_a_registry_that_cannot_be_reached_may_be_asked_again(
        self, bench: Workbench, registry: Callable[[int], str]
    ) -> None:
        for host in ["127.0.0.1:1", registry(503), registry(429), "no-such-host.invalid"]:
            with pytest.raises(RegistryUnavailable) as caught:
                await bench.build(bench.request(f"FROM {host}/team/nothing:1\n"))
            assert f"{host}/team/nothing:1" in caught.value.detail

    async def test_an_engine_that_is_not_there_may_be_asked_again(
        self, bench: Workbench, tmp_path: Path
    ) -> None:
        bench.socket = str(tmp_path / "nothing.sock")
        with pytest.raises(EngineUnavailable):
            await bench.build(bench.request("FROM BASE\n"))

    async def test_a_connection_that_breaks_off_may_be_made_again(
        self, bench: Workbench, tmp_path: Path
    ) -> None:
        mark = f"sleep 3{uuid.uuid4().int % 10**9}"
        engine_socket = bench.socket.removeprefix("unix://")
        connections: list[asyncio.StreamWriter] = []

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_unix_connection(engine_socket)
            connections.extend((writer, inner_writer))

            async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                with contextlib.suppress(OSError):
                    while data := await source.read(65536):
                        sink.write(data)
                        await sink.drain()
                    if sink.can_write_eof():
                        sink.write_eof()

            await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

        async with await asyncio.start_unix_server(forward, tmp_path / "link.sock"):
            request = bench.request(f"FROM BASE\nRUN {mark}\n")
            bench.socket = str(tmp_path / "link.sock")
            building = asyncio.create_task(bench.build(request))
            await eventually(lambda: [line for line in processes_with(mark) if line.startswith("sleep")], 30)
            for connection in connections:
                connection.transport.abort()
            with pytest.raises(EngineUnavailable):
                await building
        await eventually(lambda: not processes_with(mark), 15)


class TestEnd:
    """A build ends when it should, on the engine too."""

    async def test_cancelling_ends_the_client_and_the_step_on_the_engine(self, bench: Workbench) -> None:
        mark = f"sleep 3{uuid.uuid4().int % 10**9}"
        request = bench.request(f"FROM BASE\nRUN {mark}\n")
        building = asyncio.create_task(bench.build(request))
        await eventually(lambda: [line for line in processes_with(mark) if line.startswith("sleep")], 30)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        assert not processes_with(request.tag)
        await eventually(lambda: not processes_with(mark), 10)

    async def test_a_build_that_takes_too_long_is_stopped(self, bench: Workbench) -> None:
        mark = f"sleep 3{uuid.uuid4().int % 10**9}"
        request = bench.request(f"FROM BASE\nRUN echo begun; {mark}\n")
        with pytest.raises(DeadlineExceeded, match="longer than 4 s") as caught:
            await bench.build(request, timeout=timedelta(seconds=4))
        assert "begun" in caught.value.detail
        await eventually(lambda: not processes_with(mark), 10)

    async def test_a_killed_worker_takes_its_build_with_it_and_leaves_no_folder(
        self, bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mark = f"sleep 3{uuid.uuid4().int % 10**9}"
        request = bench.request(f"FROM BASE\nRUN {mark}\n")
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        program = (
            "import asyncio, sys\n"
            "from datetime import timedelta\n"
            "from pathlib import Path\n"
            "from adapters.buildkit import BuildKit, BuildRequest\n"
            "context, tag, socket = sys.argv[1:]\n"
            "file = Path(context, 'Dockerfile')\n"
            "request = BuildRequest(Path(context), file, tag, '', {}, {}, {}, True, False)\n"
            "asyncio.run(BuildKit().build(request, engine_socket=socket, on_line=lambda line: None,"
            " timeout=timedelta(seconds=60)))\n"
        )
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(request.context), request.tag, bench.socket,
            cwd=REPOSITORY_ROOT, env={**os.environ, "TMPDIR": str(temporary)},
        )  # fmt: skip
        await eventually(lambda: [line for line in processes_with(mark) if line.startswith("sleep")], 30)
        assert any("--progress=plain" in line for line in processes_with(request.tag))
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        await eventually(lambda: not processes_with(request.tag), 5)
        await eventually(lambda: not processes_with(mark), 10)
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        assert list(temporary.iterdir())
        await bench.build(bench.request("FROM BASE\n"))
        assert list(temporary.iterdir()) == []


class TestClient:
    """Which program builds."""

    @staticmethod
    def program(folder: Path, name: str, script: str) -> str:
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    NEW = 'case "$1" in --version) echo "Docker version 28.2.2, build e6534b4";; *) exit 1;; esac'
    OLD = 'case "$1" in --version) echo "Docker version 20.10.24+dfsg1, build 297e128";; *) exit 1;; esac'
    PLUGGED = 'case "$1 $2" in "buildx version") echo buildx;; *) exit 1;; esac'

    async def test_a_docker_that_cannot_build_is_passed_over_for_one_that_can(self, tmp_path: Path) -> None:
        self.program(tmp_path / "new", "docker", self.NEW)
        old = self.program(tmp_path / "old", "docker", self.OLD)
        plugged = self.program(tmp_path / "plugged", "docker", self.PLUGGED)
        path = f"{tmp_path / 'new'}:{tmp_path / 'old'}"
        found = await find_build_command(path, [], [])
        assert (found.arguments, dict(found.environment)) == ((old, "build"), {"DOCKER_BUILDKIT": "1"})
        found = await find_build_command(path, [], [str(tmp_path / "plugged")])
        assert (found.arguments, dict(found.environment)) == ((plugged, "buildx", "build", "--load"), {})

    async def test_buildx_itself_comes_first_and_a_broken_one_is_passed_over(self, tmp_path: Path) -> None:
        self.program(tmp_path / "old", "docker", self.OLD)
        self.program(tmp_path / "broken", "docker-buildx", "exit 1")
        whole = self.program(tmp_path / "whole", "docker-buildx", "echo 0.13")
        folders = [str(tmp_path / "broken"), str(tmp_path / "whole")]
        found = await find_build_command(str(tmp_path / "old"), folders, [])
        assert found.arguments == (whole, "build", "--load")

    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            ("github.com/docker/buildx v0.31.1 1a2b3c", True),
            ("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3", True),
            ("github.com/docker/buildx v0.8.0 1a2b3c", True),
            ("github.com/docker/buildx v0.11.0 1a2b3c", False),
            ("github.com/docker/buildx v0.7.1 1a2b3c", False),
            ("an unknown one", False),
        ],
    )
    async def test_a_client_that_tells_engines_the_group_of_a_build_is_known(
        self, version: str, expected: bool, tmp_path: Path
    ) -> None:
        self.program(tmp_path, "docker-buildx", f"echo {version}")
        assert (await find_build_command(str(tmp_path), [], [])).names_group is expected

    async def test_without_any_client_it_says_what_to_install(self, tmp_path: Path) -> None:
        self.program(tmp_path / "new", "docker", self.NEW)
        with pytest.raises(StartUpError, match="apt-get install docker-buildx"):
            await find_build_command(str(tmp_path / "new"), [], [])
