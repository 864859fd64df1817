"""Where the sockets of servers are on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
