"""A file keeps its time with its content, and what was written down may get lost at any moment."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.file_times import FileTime, FileTimes, remove_unused, time_of
from adapters.git_trees import settle

COMMITTED_AT = 1_700_000_000
FIRST = time_of("1" * 40, COMMITTED_AT)
SECOND = time_of("2" * 40, COMMITTED_AT)


def time_ns(path: Path) -> int:
    return path.lstat().st_mtime_ns


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    (made / "folder").mkdir(parents=True)
    (made / "same").write_text("same")
    (made / "folder" / "changed").write_text("one")
    (made / "link").symlink_to("same")
    return made


def test_what_stays_keeps_its_time_and_what_changes_gets_the_time_of_its_commit(tree: Path) -> None:
    first = settle(tree, FIRST, {})
    assert {time_ns(path) for path in tree.rglob("*")} == {FIRST}
    (tree / "folder" / "changed").write_text("two")
    (tree / "link").unlink()
    (tree / "link").symlink_to("else")
    second = settle(tree, SECOND, first)
    assert time_ns(tree / "same") == FIRST
    assert time_ns(tree / "folder" / "changed") == time_ns(tree / "link") == SECOND
    assert {path: known.time_ns for path, known in second.items()} == {
        "same": FIRST,
        "folder/changed": SECOND,
        "link": SECOND,
    }


def test_a_file_that_comes_back_has_a_time_of_its_own(tree: Path) -> None:
    first = settle(tree, FIRST, {})
    (tree / "same").rename(tree / "away")
    second = settle(tree, SECOND, first)
    assert time_ns(tree / "away") == SECOND
    (tree / "away").rename(tree / "same")
    settle(tree, time_of("3" * 40, COMMITTED_AT), second)
    assert time_ns(tree / "same") not in (FIRST, SECOND)


def test_modes_do_not_follow_the_umask(tree: Path) -> None:
    (tree / "same").chmod(0o600)
    (tree / "folder" / "changed").chmod(0o700)
    (tree / "folder").chmod(0o700)
    settle(tree, FIRST, {})
    modes = [
        path.stat().st_mode & 0o777 for path in (tree / "same", tree / "folder" / "changed", tree / "folder")
    ]
    assert modes == [0o644, 0o755, 0o755]


def test_commits_of_one_second_and_other_choices_have_other_times() -> None:
    times = {
        FIRST,
        SECOND,
        time_of("1" * 40, COMMITTED_AT, True, False),
        time_of("1" * 40, COMMITTED_AT, False),
    }
    assert len(times) == 4
    assert {one // 10**9 for one in times} == {COMMITTED_AT}


def test_times_are_read_as_they_were_written_and_by_nobody_else(tmp_path: Path) -> None:
    times = FileTimes.of(tmp_path / "times", "shop")
    assert times.read() == {}
    strange = os.fsdecode(b"not \xff text\n")
    known = {"a/b": FileTime("0" * 64, FIRST), strange: FileTime("1" * 64, -5)}
    times.write(known)
    assert times.read() == known
    [written] = (tmp_path / "times").iterdir()
    assert written.stat().st_mode & 0o777 == 0o600
    times.remove()
    times.remove()
    assert times.read() == {}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": ["x"]}', b'{"a": ["x", "y"]}', b"\xff", b"[" * 100_000]
)
def test_what_cannot_be_read_is_as_good_as_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "shop.times").write_bytes(content)
    times = FileTimes.of(tmp_path, "shop")
    assert times.read() == {}
    times.write({})
    assert (tmp_path / "shop.times").read_bytes() == b"{}"


def test_times_that_cannot_be_written_keep_no_build_from_running(tmp_path: Path) -> None:
    (tmp_path / "shop.times").mkdir()
    FileTimes.of(tmp_path, "shop").write({"a": FileTime("0", 1)})
    (tmp_path / "file").touch()
    FileTimes.of(tmp_path / "file", "shop").write({"a": FileTime("0", 1)})
    assert {path.name for path in tmp_path.iterdir()} == {"shop.times", "file"}


def test_what_no_build_has_used_for_long_goes(tmp_path: Path) -> None:
    for name in ("old.times", "new.times", "old.times.1234"):
        (tmp_path / name).touch()
    for name in ("old.times", "old.times.1234"):
        os.utime(tmp_path / name, (1, 1))
    remove_unused(tmp_path, timedelta(days=30))
    remove_unused(tmp_path / "absent")
    assert [path.name for path in tmp_path.iterdir()] == ["new.times"]
