"""What builds may use, where they are held to it, and how one that was killed is known."""

from __future__ import annotations

import pytest

from domain.build_limits import (
    BuildGroup,
    BuildLimits,
    BuildShares,
    group_for,
    limits_of,
    too_much_memory,
    was_killed,
)
from domain.errors import NotPossibleNow

GIBIBYTE = 1024**3


@pytest.mark.parametrize(
    ("processors", "memory", "shares", "expected"),
    [
        (1, GIBIBYTE, BuildShares(90, 75), BuildLimits(0.9, GIBIBYTE * 3 // 4)),
        (2, 4 * GIBIBYTE, BuildShares(90, 75), BuildLimits(1.8, 3 * GIBIBYTE)),
        (8, GIBIBYTE, BuildShares(90, 0), BuildLimits(7.2, 0)),
        (8, GIBIBYTE, BuildShares(0, 50), BuildLimits(0, GIBIBYTE // 2)),
        (0, 0, BuildShares(90, 75), BuildLimits()),
        (8, GIBIBYTE, BuildShares(), BuildLimits()),
    ],
)
def test_limits_are_shares_of_the_server(processors, memory, shares, expected):
    assert limits_of(processors, memory, shares) == expected


def test_what_a_server_says_itself_goes_before_the_settings():
    usual = BuildShares(90, 75)
    assert usual.unless(None, None) == usual
    assert usual.unless(50, None) == BuildShares(50, 75)
    assert usual.unless(None, 0) == BuildShares(90, 0)


OWN = BuildGroup("harbour-builds")
ENGINES = BuildGroup("docker/buildkit", is_engines=True)


@pytest.mark.parametrize(
    ("version", "driver", "names_group", "expected"),
    [
        ("26.1.5+dfsg1", "cgroupfs", True, OWN),
        ("28.2.2", "systemd", True, OWN),
        ("23.0.0", "systemd", True, OWN),
        ("26.1.5+dfsg1", "cgroupfs", False, ENGINES),
        ("20.10.24+dfsg1", "cgroupfs", True, ENGINES),
        ("20.10.24+dfsg1", "cgroupfs", False, ENGINES),
    ],
)
def test_builds_have_a_group_of_their_own_where_engine_and_client_can(version, driver, names_group, expected):
    found = group_for(
        "harbour", version=version, driver=driver, is_rootless=False, client_names_group=names_group
    )
    assert found == expected


@pytest.mark.parametrize(
    ("version", "driver", "is_rootless", "names_group", "reason"),
    [
        ("28.2.2", "systemd", True, True, "the engine is rootless"),
        ("28.2.2", "none", True, False, "the engine is rootless"),
        ("20.10.24", "systemd", False, True, "Docker 20.10.24 cannot, version 23 and later can"),
        ("28.2.2", "systemd", False, False, "buildx 0.8 and later can"),
    ],
)
def test_who_cannot_limit_builds_says_why(version, driver, is_rootless, names_group, reason):
    with pytest.raises(NotPossibleNow, match=reason):
        group_for(
            "harbour", version=version, driver=driver, is_rootless=is_rootless, client_names_group=names_group
        )


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ('process "/bin/sh -c make" did not complete successfully: exit code: 137', True),
        ("c++: fatal error: Killed signal terminated program cc1plus", True),
        ("npm error signal SIGKILL", True),
        ("runtime: out of memory", True),
        ("exit code: 1", False),
        ("step 1370 of 2000: skilled work", False),
    ],
)
def test_a_killed_process_is_known_by_what_the_log_says(log, expected):
    assert was_killed(log) is expected


def test_who_used_too_much_memory_learns_the_limit_and_where_it_is_set():
    assert too_much_memory(BuildLimits(2, 3 * 10**9), "anvil") == (
        "The build used more than 3.0 GB of memory, the limit of builds on the server anvil. Let it use "
        "less, let fewer builds run at once there, or raise its build_memory_percent."
    )
