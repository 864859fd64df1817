"""What managers of a Swarm say, as values."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.docker.swarm_states import MOST_REPLICAS, membership, node_state, service_state, task_state
from domain.errors import EngineUnavailable
from domain.swarm import SwarmRole


@pytest.mark.parametrize(
    ("swarm", "role"),
    [
        (None, SwarmRole.NONE),
        ({"LocalNodeState": "inactive", "NodeID": ""}, SwarmRole.NONE),
        ({"LocalNodeState": "pending", "NodeID": "n"}, SwarmRole.NONE),
        ({"LocalNodeState": "active", "NodeID": "n", "ControlAvailable": False}, SwarmRole.WORKER),
        ({"LocalNodeState": "active", "NodeID": "n", "ControlAvailable": True}, SwarmRole.MANAGER),
    ],
)
def test_an_engine_says_what_it_is_in_a_swarm(swarm: dict[str, Any] | None, role: SwarmRole) -> None:
    assert membership({"Swarm": swarm}).role is role


def test_a_node_is_read_with_its_labels() -> None:
    node = node_state(
        {
            "ID": "n1",
            "Spec": {"Role": "manager", "Availability": "drain", "Labels": {"disk": "ssd"}},
            "Description": {"Hostname": "boss", "Engine": {"Labels": {"zone": "a"}}},
            "Status": {"State": "ready", "Addr": "10.0.0.1"},
            "ManagerStatus": {"Leader": True},
        }
    )
    assert (node.hostname, node.role, node.address, node.is_leader) == (
        "boss",
        SwarmRole.MANAGER,
        "10.0.0.1",
        True,
    )
    assert (node.labels, node.engine_labels) == ({"disk": "ssd"}, {"zone": "a"})
    assert node.is_up
    assert not node.takes_tasks


def test_a_task_is_read_with_its_address_and_its_end() -> None:
    task = task_state(
        {
            "ID": "t1",
            "ServiceID": "s1",
            "Slot": 2,
            "NodeID": "n1",
            "CreatedAt": "2026-01-02T03:04:05.123456789Z",
            "DesiredState": "shutdown",
            "Status": {
                "State": "failed",
                "Err": "task: non-zero exit (127)",
                "ContainerStatus": {"ContainerID": "c1", "ExitCode": 127},
            },
            "NetworksAttachments": [
                {"Network": {"Spec": {"Name": "seaway-swarm"}}, "Addresses": ["10.0.1.7/24"]}
            ],
        }
    )
    assert task.addresses == {"seaway-swarm": "10.0.1.7"}
    assert task.has_ended
    assert not task.is_wanted
    assert task.end_reason == "ended with exit code 127: its command was not found in the image"
    assert task.created_at is not None
    assert task.created_at.microsecond == 123456


def test_a_task_that_nobody_has_placed_yet_is_read_too() -> None:
    task = task_state({"ID": "t1", "DesiredState": "running", "Status": {"State": "pending"}})
    assert (task.node_id, task.slot, task.addresses, task.is_wanted) == ("", 0, {}, True)


def test_a_service_is_read_with_its_replicas() -> None:
    answer = {
        "ID": "s1",
        "Spec": {"Name": "shop", "Mode": {"Replicated": {"Replicas": 3}}, "Labels": {"seaway.a": "b"}},
    }
    state = service_state(answer)
    assert (state.id, state.name, state.replicas, state.labels) == ("s1", "shop", 3, {"seaway.a": "b"})


@pytest.mark.parametrize("replicas", [-1, MOST_REPLICAS + 1, 2_000_000_000, "3", None, 1e300])
def test_a_service_with_replicas_that_none_has_is_refused(replicas: object) -> None:
    answer = {"ID": "s1", "Spec": {"Name": "shop", "Mode": {"Replicated": {"Replicas": replicas}}}}
    with pytest.raises(EngineUnavailable, match="replicas up to 1000"):
        service_state(answer)


def test_of_a_task_and_a_service_little_is_kept() -> None:
    long = "x" * 10_000
    network = {"Network": {"Spec": {"Name": long}}, "Addresses": [long]}
    task = {
        **dict.fromkeys(("ID", "ServiceID", "NodeID", "DesiredState"), long),
        "Status": {"State": long, "Err": long, "ContainerStatus": {"ContainerID": long}},
        "NetworksAttachments": [network] * 1000,
    }
    assert len(repr(task_state(task))) < 5000
    service = {"ID": long, "Spec": {"Name": long, "Labels": {"a": long, "seaway.a": long}}}
    assert len(repr(service_state(service))) < 5000
