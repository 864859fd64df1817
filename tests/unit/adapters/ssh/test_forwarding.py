"""Where the sockets of servers are on this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from adapters.ssh.forwarding import FOLDER_PREFIX, DockerSocketForward


async def test_the_folder_of_a_killed_process_is_removed_and_none_that_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    abandoned = tmp_path / f"{FOLDER_PREFIX}1a"
    abandoned.mkdir(mode=0o700)
    (abandoned / "docker.sock").touch()
    connection: Any = None  # is asked for nothing before somebody connects
    async with DockerSocketForward(connection) as forward:
        in_use = Path(forward.socket_path).parent
        DockerSocketForward.remove_abandoned()
        assert os.listdir(tmp_path) == [in_use.name]  # noqa: PTH208
    assert os.listdir(tmp_path) == []  # noqa: PTH208
