"""The status of a resource: the worst that is true of its containers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.resource_status import aggregate_status


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "exited"),
        (["exited"], "exited"),
        (["exited", "exited:unhealthy"], "exited"),
        (["running:healthy"], "running:healthy"),
        (["running:unhealthy"], "running:unhealthy"),
        (["running"], "running:unknown"),
        (["running:unknown"], "running:unknown"),
        (["running:healthy", "running"], "running:unknown"),
        (["running:healthy", "running:unhealthy", "running:healthy"], "running:unhealthy"),
        (["restarting"], "degraded:unhealthy"),
        (["dead"], "degraded:unhealthy"),
        (["removing"], "degraded:unhealthy"),
        (["starting"], "starting:unknown"),
        (["created"], "starting:unknown"),
        (["paused"], "paused:unknown"),
        (["degraded:unhealthy", "running:healthy", "starting", "paused"], "degraded:unhealthy"),
        (["created", "running:healthy"], "starting:unknown"),
        (["restarting", "running:healthy", "paused", "starting"], "degraded:unhealthy"),
        (["dead", "paused", "starting"], "degraded:unhealthy"),
        (["starting", "exited"], "starting:unknown"),
        (["running:healthy", "exited"], "degraded:unhealthy"),
        (["running:healthy", "dead"], "degraded:unhealthy"),
        (["running:healthy", "paused"], "degraded:unhealthy"),
        (["running:healthy", "removing"], "running:healthy"),
        (["unknown", "running:healthy"], "unknown:unknown"),
        (["unknown", "exited"], "unknown:unknown"),
        (["running:unhealthy:excluded", "running:healthy"], "running:healthy"),
        (["running:unhealthy:excluded"], "running:unhealthy:excluded"),
        (["exited:excluded"], "exited:excluded"),
    ],
)
def test_containers_have_one_status_together(statuses: list[str], expected: str) -> None:
    assert aggregate_status(statuses) == expected


def test_a_container_that_exited_after_restarts_crashes_again_and_again() -> None:
    assert aggregate_status(["exited"], max_restart_count=5) == "degraded:unhealthy"
    assert aggregate_status(["running:healthy"], max_restart_count=5) == "running:healthy"


STATES = ["running:healthy", "running", "exited", "paused", "starting", "restarting", "removing", "unknown"]


@given(st.lists(st.sampled_from(STATES)))
def test_the_order_of_containers_does_not_matter_and_unreachable_is_never_exited(
    statuses: list[str],
) -> None:
    expected = aggregate_status(statuses)
    assert aggregate_status(sorted(statuses)) == aggregate_status(statuses[::-1]) == expected
    if "unknown" in statuses:
        assert expected in ("unknown:unknown", "degraded:unhealthy")
