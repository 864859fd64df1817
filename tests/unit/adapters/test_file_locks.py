"""Locks and folders that die with their owner."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from adapters import file_locks
from adapters.file_locks import exclusive, owned_folder, owned_place, remove_abandoned


async def test_only_one_at_a_time_holds_a_lock_and_the_next_gets_it_afterwards(tmp_path: Path) -> None:
    inside = 0
    most = 0

    async def work() -> None:
        nonlocal inside, most
        async with exclusive(tmp_path / "lock"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.wait_for(asyncio.gather(*(work() for _ in range(5))), 10)
    assert most == 1


async def test_waiting_for_a_lock_can_be_cancelled_and_leaves_it_free(tmp_path: Path) -> None:
    async with exclusive(tmp_path / "lock"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), exclusive(tmp_path / "lock"):
                raise AssertionError("the lock was held twice")
    async with asyncio.timeout(1), exclusive(tmp_path / "lock"):
        pass


def test_a_folder_in_use_is_not_abandoned_and_goes_at_the_end(tmp_path: Path) -> None:
    with owned_folder(tmp_path, "work-") as folder:
        (folder / "deep").mkdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert remove_abandoned(tmp_path, "work-") == []
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def hold(parent: Path) -> None:
    with owned_folder(parent, "work-") as folder:
        (folder / "half").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_folder_of_a_killed_owner_is_removed_and_nothing_else(tmp_path: Path) -> None:
    owner = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path,))
    owner.start()
    owner.join(20)
    assert owner.exitcode == -signal.SIGKILL
    [abandoned] = tmp_path.iterdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "work-file").touch()
    assert remove_abandoned(tmp_path, "work-") == [abandoned]
    assert {path.name for path in tmp_path.iterdir()} == {"other", "elsewhere", "work-link", "work-file"}


def test_a_prefix_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "a1").mkdir()
    (tmp_path / "[a]*1").mkdir()
    assert remove_abandoned(tmp_path, "[a]*") == [tmp_path / "[a]*1"]


def test_a_place_has_the_name_of_last_time_and_is_empty(tmp_path: Path) -> None:
    (tmp_path / "work-0" / "left" / "behind").mkdir(parents=True)
    (tmp_path / "work-0" / "file").touch()
    for _ in range(2):
        with owned_place(tmp_path, "work-") as place:
            assert place == tmp_path / "work-0"
            assert list(place.iterdir()) == []
            (place / "deep").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_who_comes_while_a_place_is_held_gets_another(tmp_path: Path) -> None:
    with owned_place(tmp_path, "work-") as first, owned_place(tmp_path, "work-") as second:
        assert (first.name, second.name) == ("work-0", "work-1")
        (first / "file").touch()
        assert remove_abandoned(tmp_path, "") == []
    with owned_place(tmp_path, "work-") as third:
        assert third.name == "work-0"


def test_a_folder_that_was_made_after_the_one_that_was_locked_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work-0").mkdir()
    lock = file_locks._try_lock

    def replaced(descriptor: int) -> bool:
        # Its owner ends, and another begins, between the opening and the locking.
        (tmp_path / "work-0").rmdir()
        (tmp_path / "other").mkdir()
        (tmp_path / "other").rename(tmp_path / "work-0")
        return lock(descriptor)

    monkeypatch.setattr(file_locks, "_try_lock", replaced)
    assert remove_abandoned(tmp_path, "work-") == []
    assert (tmp_path / "work-0").is_dir()
