from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import StartUpError
from seaway.demo.background import BackgroundSeaway, command
from seaway.demo.ports import Ports


@pytest.fixture
def seaway(tmp_path: Path) -> Iterator[BackgroundSeaway]:
    found = BackgroundSeaway(tmp_path)
    yield found
    found.stop()


def program(source: str) -> list[str]:
    return [sys.executable, "-S", "-c", source]


STAYS = program("import signal; print('Ready at last', flush=True); signal.pause()")


def test_the_command_names_folder_and_ports(tmp_path: Path) -> None:
    assert command(tmp_path, Ports(8001, 8080, 8443)) == [
        str(Path(sys.executable).parent / "seaway"),
        "up",
        f"--data-dir={tmp_path}",
        "--port=8001",
        "--http-port=8080",
        "--https-port=8443",
    ]


def test_it_is_ready_when_it_says_so_and_is_found_again_by_its_pid_file(seaway: BackgroundSeaway) -> None:
    seaway.start(STAYS)
    seaway.wait_until_ready()

    assert seaway.pid() is not None
    assert BackgroundSeaway(seaway.folder).pid() == seaway.pid()


def test_stopping_ends_it_and_a_second_time_is_harmless(seaway: BackgroundSeaway) -> None:
    seaway.start(STAYS)
    seaway.wait_until_ready()

    assert seaway.stop()
    assert seaway.pid() is None
    assert not seaway.stop()


def test_a_start_that_fails_shows_why(seaway: BackgroundSeaway) -> None:
    seaway.start(program("raise SystemExit('Port 80 is in use.')"))

    with pytest.raises(StartUpError, match=r"(?s)did not start.*Port 80 is in use\."):
        seaway.wait_until_ready()
    assert seaway.pid() is None


def test_a_process_that_only_has_the_same_pid_is_not_taken_for_it(seaway: BackgroundSeaway) -> None:
    (seaway.folder / "seaway.pid").write_text("1 1\n")

    assert seaway.pid() is None
    assert not seaway.stop()
