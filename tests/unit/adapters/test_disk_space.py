"""What `df` says."""

from __future__ import annotations

import pytest

from adapters.disk_space import available_bytes

HEAD = "Filesystem     1024-blocks      Used Available Capacity Mounted on\n"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (HEAD + "/dev/sda1         41152736  21152736  18000000      54% /\n", 18_000_000 * 1024),
        (HEAD + "//host/my share   41152736  21152736         7      54% /mnt/with space\n", 7 * 1024),
        (HEAD + "overlay             100       100         0     100% /\n", 0),
        (HEAD, None),
        ("", None),
        ("df: /absent: No such file or directory\n", None),
        (HEAD + "proc 0 0 0 - /proc\n", None),
        (HEAD + "full 100 105 -5 100% /\n", None),
    ],
)
def test_the_room_that_is_left_is_read_or_not_known(output, expected):
    assert available_bytes(output) == expected
