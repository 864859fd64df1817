"""Where the sockets of servers are on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncssh
import pytest

from adapters.host_commands import Completed
from adapters.ssh import connection as ssh_connection
from adapters.ssh.connection import ServerAddress, SshConnection
from adapters.ssh.forwarding import FOLDER_PREFIX, SOCKET_NAME, DockerSocketForward


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A path of a unix socket has at most 107 bytes, and pytest's own folders may have longer names."""
    with tempfile.TemporaryDirectory(prefix="seaway-test-") as folder:
        yield Path(folder)


async def test_the_folder_of_a_killed_process_is_removed_and_none_that_is_in_use(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_path))
    abandoned = short_path / f"{FOLDER_PREFIX}1a"
    abandoned.mkdir(mode=0o700)
    (abandoned / SOCKET_NAME).touch()
    connection: Any = None  # is asked for nothing before somebody connects
    async with DockerSocketForward(connection) as forward:
        in_use = Path(forward.socket_path).parent
        DockerSocketForward.remove_abandoned()
        assert os.listdir(short_path) == [in_use.name]  # noqa: PTH208
    assert os.listdir(short_path) == []  # noqa: PTH208


async def test_it_leaves_room_for_a_long_folder_of_temporary_files(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 107 - len("/seaway-s-0123456789abcdef/sock")
    folder = short_path / ("x" * (longest - len(str(short_path)) - 1))
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    connection: Any = None
    async with DockerSocketForward(connection) as forward:
        assert len(forward.socket_path) == 107
        assert os.listdir(Path(forward.socket_path).parent) == [SOCKET_NAME]  # noqa: PTH208


class Worker:
    """Stands for a connection whose link was logged in before the user joined the group 999."""

    def __init__(self, groups: str = "1000 999", code: int = asyncssh.OPEN_CONNECT_FAILED) -> None:
        self.target = SimpleNamespace(address=ServerAddress("192.0.2.1", 22, "deployer"))
        self.groups = groups
        self.code = code
        self.of_link = "1000"
        self.commands = self.log_ins = 0
        self.may_log_in = True

    async def open_channel(self, _opener: Any) -> tuple[str, str]:
        if "999" not in self.of_link:
            raise asyncssh.ChannelOpenError(self.code, "Connection refused")
        return "a channel", "its session"

    async def run(self, arguments: list[str], **_: Any) -> Completed:
        self.commands += 1
        return Completed(0, f"999\n{self.of_link}\n{self.groups}\n", "")

    async def log_in_anew(self) -> bool:
        if self.may_log_in:
            self.log_ins += 1
            self.of_link = self.groups
        return self.may_log_in


async def open_at(worker: Any) -> object:
    return await DockerSocketForward(worker)._open()


async def test_a_link_of_before_the_user_joined_the_group_is_given_up_once() -> None:
    worker = Worker()
    assert await open_at(worker) == "its session"
    assert worker.log_ins == 1
    assert await open_at(worker) == "its session"
    assert (worker.log_ins, worker.commands) == (1, 1)


@pytest.mark.parametrize(
    "worker",
    [Worker(groups="1000"), Worker(code=asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED)],
    ids=["not in the group", "forbidden"],
)
async def test_a_link_is_kept_where_a_new_one_would_be_refused_too(worker: Any) -> None:
    with pytest.raises(asyncssh.ChannelOpenError):
        await open_at(worker)
    assert worker.log_ins == 0


@pytest.mark.parametrize("said", [" \n1\n1\n", "\n\n\n", "999\n\n\n", "1 2\n1\n1 2\n"])
async def test_an_answer_about_groups_that_is_none_leaves_the_refusal_as_it_is(said: str) -> None:
    worker: Any = Worker()

    async def run(*_: object, **__: object) -> Completed:
        return Completed(0, said, "")

    worker.run = run
    with pytest.raises(asyncssh.ChannelOpenError):
        await open_at(worker)
    assert worker.log_ins == 0


async def test_groups_are_looked_at_only_now_and_then() -> None:
    worker: Any = Worker(groups="1000")
    forward = DockerSocketForward(worker)
    for _ in range(5):
        with pytest.raises(asyncssh.ChannelOpenError):
            await forward._open()
    assert worker.commands == 1


class Link:
    """Stands for a link, and counts its ends."""

    def __init__(self) -> None:
        self.ended = 0

    async def disconnect(self) -> None:
        self.ended += 1


async def test_a_link_is_not_ended_under_a_command_nor_again_within_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link: Any = Link()
    target: Any = None
    connection = SshConnection(target, link=link)
    async with connection._used(connection._sessions):
        assert not await connection.log_in_anew()
    async with connection.forwarded():
        assert await connection.log_in_anew()
    assert not await connection.log_in_anew()
    assert link.ended == 1
    monkeypatch.setattr(ssh_connection, "ANEW_PAUSE_SECONDS", 0.0)
    assert await connection.log_in_anew()
