"""What an engine says that containers use, and what happens to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.docker.watching import _listed, container_event, container_reading
from domain.server_events import ContainerAction

STATS: dict[str, Any] = {
    "read": "2026-03-01T12:00:00.123456789Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 5_000_000_000}},
    "memory_stats": {"usage": 5000, "limit": 10_000, "stats": {"inactive_file": 1000}},
    "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 1}, "eth1": {"rx_bytes": 20, "tx_bytes": 2}},
}
MESSAGE: dict[str, Any] = {
    "Type": "container",
    "Action": "die",
    "Actor": {"ID": "1f", "Attributes": {"name": "shop-1", "exitCode": "137", "seaway.role": "replica"}},
    "timeNano": 1_772_366_400_500_000_000,
}


def test_counters_of_all_networks_are_summed_and_cache_is_no_memory():
    reading = container_reading(STATS, "shop-1", "shop")
    assert reading is not None
    assert reading.at == datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert (reading.received_bytes, reading.sent_bytes) == (30, 3)
    assert (reading.memory_bytes, reading.memory_limit_bytes) == (4000, 10_000)
    assert reading.cpu_nanoseconds == 5_000_000_000


def test_the_first_version_of_control_groups_has_another_name_for_the_cache():
    memory = {"usage": 5000, "limit": 1, "stats": {"total_inactive_file": 2000, "inactive_file": 7}}
    reading = container_reading({**STATS, "memory_stats": memory}, "shop-1", "shop")
    assert reading is not None
    assert reading.memory_bytes == 3000


@pytest.mark.parametrize(
    "answer", [{}, {"read": "0001-01-01T00:00:00Z"}, {**STATS, "memory_stats": {}}], ids=str
)
def test_a_container_that_has_ended_uses_nothing(answer: dict[str, Any]):
    assert container_reading(answer, "shop-1", "shop") is None


def test_without_a_network_there_is_no_traffic():
    reading = container_reading({**STATS, "networks": None}, "shop-1", "shop")
    assert reading is not None
    assert (reading.received_bytes, reading.sent_bytes) == (0, 0)


def test_a_death_tells_who_and_how():
    event = container_event(MESSAGE)
    assert event is not None
    assert (event.action, event.name, event.exit_code) == (ContainerAction.DIE, "shop-1", 137)
    assert event.labels["seaway.role"] == "replica"
    assert event.at.timestamp() == pytest.approx(1_772_366_400.5)


@pytest.mark.parametrize(
    ("action", "known"),
    [("health_status: unhealthy", ContainerAction.HEALTH), ("exec_create: sh", None), ("", None)],
)
def test_of_other_messages_only_those_that_matter_are_taken(action: str, known: ContainerAction | None):
    event = container_event({**MESSAGE, "Action": action})
    assert (event.action if event else None) == known


@pytest.mark.parametrize(
    ("words", "is_unhealthy"),
    [
        ("Up 5 minutes (unhealthy)", True),
        ("Up 5 minutes (healthy)", False),
        ("Up 5 minutes", False),
        (None, False),
    ],
)
def test_a_list_tells_which_containers_fail_their_own_check(words: str | None, is_unhealthy: bool) -> None:
    answer = {"Id": "abc", "Names": ["/shop-1"], "State": "running", "Status": words}
    assert _listed(answer).is_unhealthy is is_unhealthy
