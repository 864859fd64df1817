"""The commands that hold builds, on folders that look like both versions of the kernel's control groups."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.build_limits import hold, lack_of_memory, quota_of, remove
from adapters.host_commands import Completed, LocalHostCommands
from adapters.processes import OnLine
from domain.build_limits import BuildGroup, BuildLimits
from domain.errors import NotPossibleNow

GROUP = BuildGroup("harbour-builds")
DEEP = BuildGroup("docker/buildkit")
LIMITS = BuildLimits(1.8, 3_000_000_000)


class Unprivileged(LocalHostCommands):
    """Folders of a test need no root."""

    async def run(
        self,
        arguments: Sequence[str],
        *,
        timeout: timedelta,  # noqa: ASYNC109 - as in what it stands for
        input: bytes = b"",
        on_line: OnLine | None = None,
        sudo: bool = False,
    ) -> Completed:
        assert sudo
        return await super().run(arguments, timeout=timeout, input=input, on_line=on_line)


COMMANDS = Unprivileged()


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A hierarchy for each controller."""
    for name in ("cpu", "memory", "pids"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """One for all."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text().strip() for path in folder.iterdir() if path.is_file()}


def folders(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir())


async def test_the_first_version_has_a_folder_in_each_hierarchy(first: Path):
    await hold(COMMANDS, GROUP, LIMITS, root=str(first))
    assert contents(first / "memory" / "harbour-builds") == {"memory.limit_in_bytes": "3000000000"}
    assert contents(first / "cpu" / "harbour-builds") == {
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "180000",
        "cpu.shares": "256",
    }


async def test_the_second_version_has_one_and_hands_the_controllers_down(second: Path):
    await hold(COMMANDS, DEEP, LIMITS, root=str(second))
    assert contents(second / "docker" / "buildkit") == {
        "memory.max": "3000000000",
        "cpu.max": "180000 100000",
        "cpu.weight": "25",
    }
    handed_down = [second / "cgroup.subtree_control", second / "docker" / "cgroup.subtree_control"]
    assert [path.read_text().strip() for path in handed_down] == ["+memory", "+memory"]


async def test_limits_may_change_and_go(first: Path, second: Path):
    group = second / "harbour-builds"
    await hold(COMMANDS, GROUP, LIMITS, root=str(second))
    await hold(COMMANDS, GROUP, BuildLimits(0, 10**9), root=str(second))
    assert contents(group) == {"memory.max": "1000000000", "cpu.max": "max 100000", "cpu.weight": "25"}
    await hold(COMMANDS, GROUP, BuildLimits(), root=str(second))
    assert contents(group) == {"memory.max": "max", "cpu.max": "max 100000", "cpu.weight": "100"}
    (second / "cgroup.controllers").unlink()
    await hold(COMMANDS, GROUP, BuildLimits(), root=str(first))
    assert contents(first / "memory" / "harbour-builds") == {"memory.limit_in_bytes": "-1"}
    assert contents(first / "cpu" / "harbour-builds")["cpu.cfs_quota_us"] == "-1"


async def test_a_server_that_cannot_says_what_it_cannot(first: Path):
    (first / "memory" / "harbour-builds" / "memory.limit_in_bytes").mkdir(parents=True)
    with pytest.raises(NotPossibleNow, match=r"memory.limit_in_bytes cannot be set to 3000000000\.$"):
        await hold(COMMANDS, GROUP, LIMITS, root=str(first))
    with pytest.raises(NotPossibleNow, match=r"/proc/nothing/memory/harbour-builds cannot be made\.$"):
        await hold(COMMANDS, GROUP, LIMITS, root="/proc/nothing")


async def test_how_often_memory_was_lacking_is_counted_in_both_versions(first: Path):
    assert await hold(COMMANDS, GROUP, LIMITS, root=str(first)) == 0
    (first / "memory" / "harbour-builds" / "memory.failcnt").write_text("12\n")
    assert await lack_of_memory(COMMANDS, GROUP, root=str(first)) == 12
    assert await hold(COMMANDS, GROUP, LIMITS, root=str(first)) == 12
    (first / "cgroup.controllers").write_text("memory\n")
    assert await lack_of_memory(COMMANDS, GROUP, root=str(first)) == 0
    (first / "harbour-builds").mkdir()
    (first / "harbour-builds" / "memory.events").write_text("max 9\noom 4\noom_kill 3\noom_group_kill 0\n")
    assert await lack_of_memory(COMMANDS, GROUP, root=str(first)) == 3


async def test_removing_takes_empty_groups_and_nothing_else(first: Path):
    for hierarchy in ("cpu", "memory", "pids"):
        (first / hierarchy / "harbour-builds" / "buildkit").mkdir(parents=True)
    # What the kernel shows in a group does not keep it from being removed; a group inside does.
    (first / "pids" / "harbour-builds" / "buildkit" / "in-use").write_text("")
    (first / "cpu" / "docker" / "buildkit").mkdir(parents=True)
    await remove(COMMANDS, GROUP, root=str(first))
    await remove(COMMANDS, BuildGroup("docker/buildkit", is_engines=True), root=str(first))
    assert folders(first) == [
        "cpu", "cpu/docker", "cpu/docker/buildkit", "memory", "pids", "pids/harbour-builds",
        "pids/harbour-builds/buildkit",
    ]  # fmt: skip


@pytest.mark.parametrize(("processors", "expected"), [(0, -1), (0.001, 1000), (0.9, 90_000), (7.2, 720_000)])
def test_the_quota_is_what_the_kernel_takes(processors, expected):
    assert quota_of(processors) == expected


async def test_groups_can_be_made_at_the_same_time(second: Path):
    await asyncio.gather(*[hold(COMMANDS, GROUP, LIMITS, root=str(second)) for _ in range(5)])
    assert contents(second / "harbour-builds")["memory.max"] == "3000000000"
