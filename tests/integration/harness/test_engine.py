"""The harness finds a running Docker Engine, and starts one where none runs."""

from __future__ import annotations

import io
import os
import signal
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.harness import engine as engine_module
from tests.harness import locks
from tests.harness.engine import EngineMissing, answers, connect, daemon_path, ensure_engine
from tests.harness.waiting import eventually


@pytest.fixture
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder of this test instead of the shared one: the path of a socket may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="seaway-engine-", ignore_cleanup_errors=True) as name:
        monkeypatch.setattr(locks, "shared_folder", lambda: Path(name))
        monkeypatch.setattr(engine_module, "shared_folder", lambda: Path(name))
        yield Path(name)


def test_the_running_engine_is_found_and_not_started_again(
    engine: docker.DockerClient, own_folder: Path
) -> None:
    address = ensure_engine()

    assert answers(address)
    assert not (own_folder / "dockerd.pid").exists()


async def test_an_engine_is_started_where_none_runs_and_found_by_the_next_call(own_folder: Path) -> None:
    listens = own_folder / "docker.sock"
    bridge = default_bridge()
    assert not answers(f"unix://{listens}")

    address = ensure_engine(listens, apart_in(own_folder), OWN_NETWORK)
    pid = daemon_of(own_folder)
    try:
        client = connect(address)
        assert client.containers.list() == []
        client.close()
        assert ensure_engine(listens, ["--no-such-option"]) == address
        assert os.getsid(pid) == pid, "it does not end with the terminal of the tests"
        assert network_namespace(pid) != network_namespace(os.getpid())
        assert default_bridge() == bridge
    finally:
        await end(pid)


async def test_what_killed_runs_left_is_gone_when_the_engine_is_started_again(own_folder: Path) -> None:
    """A run that was killed left 150 containers once, and the next could not wait for the engine's start."""
    listens = own_folder / "docker.sock"
    client = connect(ensure_engine(listens, apart_in(own_folder), OWN_NETWORK))
    try:
        tests, foreign = "seaway-test-0a1b2c3d", "shop-seaway-test-"
        image = make_image(client, "seaway/a1:r1")
        client.images.get(image).tag("shared", "1")
        for network in (tests, foreign):
            client.networks.create(network)
        make_container(client, "replica", image, tests, volume="a1-data")
        make_container(client, "between", "shared:1", tests)
        client.networks.get(foreign).connect("between")
        make_container(client, "shop", "shared:1", foreign, volume="shop-data")
        client.close()
    finally:
        await end(daemon_of(own_folder))

    client = connect(ensure_engine(listens, apart_in(own_folder), OWN_NETWORK))
    try:
        left = client.containers.list(all=True)
        assert {container.name for container in left} == {"between", "shop"}
        assert {tag for each in client.images.list() for tag in each.tags} == {"shared:1"}
        assert [volume.name for volume in client.volumes.list()] == ["shop-data"]
        networks = {network.name for network in client.networks.list()}
        assert foreign in networks
        client.close()
    finally:
        await end(daemon_of(own_folder))


OWN_NETWORK = ("unshare", "--net", "--")


def apart_in(folder: Path) -> list[str]:
    """Arguments of an engine apart from the one that may run already.

    It has own data, and a network namespace of its own (OWN_NETWORK), because without one this engine would
    delete the other one's bridge.
    """
    return [
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/engine.pid",
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
    ]


def daemon_of(folder: Path) -> int:
    """The process of the engine that was started with this shared folder."""
    return int((folder / "dockerd.pid").read_text())


async def end(pid: int) -> None:
    """Returns when this engine, a child of ours, has ended."""
    os.kill(pid, signal.SIGTERM)
    await eventually(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, 30)


def make_image(client: docker.DockerClient, tag: str) -> str:
    """The tag of an image with nothing in it, for containers that are never started."""
    archive = io.BytesIO()
    tarfile.open(fileobj=archive, mode="w").close()
    repository, _, name = tag.partition(":")
    client.api.import_image_from_data(archive.getvalue(), repository=repository, tag=name)
    return tag


def make_container(
    client: docker.DockerClient, name: str, image: str, network: str, volume: str | None = None
) -> None:
    """A container of the application `a1`, never started."""
    client.containers.create(
        image,
        ["/none"],
        name=name,
        network=network,
        labels={"seaway.application": "a1"},
        volumes={volume: {"bind": "/data", "mode": "rw"}} if volume else {},
    )


def network_namespace(pid: int) -> str:
    """The name of the namespace that a process is in."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def default_bridge() -> list[str]:
    """Name and index of Docker's default bridge on this machine; empty when there is none."""
    return [f"{name} {index}" for index, name in socket.if_nameindex() if name == "docker0"]


def test_a_daemon_that_fails_to_start_is_reported_with_its_log(own_folder: Path) -> None:
    with pytest.raises(EngineMissing, match=r"(?s)dockerd ended with .*no-such-option"):
        ensure_engine(own_folder / "docker.sock", ["--no-such-option"])


def test_a_missing_daemon_is_reported_with_the_package_to_install(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match=r"apt-get install -y docker\.io"):
        daemon_path(search_path=str(tmp_path))


def test_an_engine_that_the_environment_names_is_never_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    with pytest.raises(EngineMissing, match="DOCKER_HOST names"):
        ensure_engine()
