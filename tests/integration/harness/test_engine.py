"""The harness finds a running Docker Engine, and starts one where none runs."""

from __future__ import annotations

import os
import signal
import socket
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
    # Apart from the engine that may run already: own data, and a network namespace of its own, because
    # without one this engine would delete the other one's bridge.
    bridge = default_bridge()
    own_network = ["unshare", "--net", "--"]
    apart = [
        f"--data-root={own_folder}/data",
        f"--exec-root={own_folder}/exec",
        f"--pidfile={own_folder}/engine.pid",
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
    ]
    assert not answers(f"unix://{listens}")

    address = ensure_engine(listens, apart, own_network)
    pid = int((own_folder / "dockerd.pid").read_text())
    try:
        client = connect(address)
        assert client.containers.list() == []
        client.close()
        assert ensure_engine(listens, ["--no-such-option"]) == address
        assert os.getsid(pid) == pid, "it does not end with the terminal of the tests"
        assert network_namespace(pid) != network_namespace(os.getpid())
        assert default_bridge() == bridge
    finally:
        os.kill(pid, signal.SIGTERM)
        await eventually(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, 30)


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
