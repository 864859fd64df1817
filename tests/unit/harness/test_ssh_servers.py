"""What a test server leaves in the machine's hierarchies of control groups is found."""

from __future__ import annotations

from pathlib import Path

from tests.harness.ssh_servers import _cgroups_of


def test_the_groups_of_a_server_are_found_in_every_hierarchy_and_those_of_others_are_not(
    tmp_path: Path,
) -> None:
    for folder in ("memory/seaway-test/server-1", "unified/docker/seaway-test/server-1/a", "cpu/server-1"):
        (tmp_path / folder).mkdir(parents=True)

    found = _cgroups_of("server-1", tmp_path)

    assert sorted(found) == [
        tmp_path / "memory/seaway-test/server-1",
        tmp_path / "unified/docker/seaway-test/server-1",
    ]
    assert _cgroups_of("server-2", tmp_path) == []
    assert _cgroups_of("server-1", tmp_path / "that is gone") == []
