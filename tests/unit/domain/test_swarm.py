"""Placement on a Docker Swarm: which nodes may run what, and what no service can have."""

from __future__ import annotations

import base64

import pytest
from pydantic import SecretStr

from domain.configuration import (
    ApplicationConfiguration,
    ImageSource,
    PortMapping,
    ResourceLimits,
    RuntimeOptions,
    Volume,
    VolumeKind,
)
from domain.errors import InvalidInput, NotPossibleNow
from domain.replicas import one_off_command_labels, replica_labels
from domain.services import application_of, file_name, service_labels, service_name, task_labels
from domain.swarm import (
    LARGEST_FILE_BYTES,
    SwarmNode,
    SwarmRole,
    admitted,
    check_fits,
    is_pinned,
    parse_constraints,
    require_role,
    without,
)

MANAGER = SwarmNode("m1", "boss", SwarmRole.MANAGER, "ready", "active", "10.0.0.1", is_leader=True)
WORKER = SwarmNode("w1", "hand", SwarmRole.WORKER, "ready", "active", "10.0.0.2", labels={"disk": "ssd"})
DRAINED = SwarmNode("w2", "rest", SwarmRole.WORKER, "ready", "drain", "10.0.0.3")
LOST = SwarmNode("w3", "gone", SwarmRole.WORKER, "down", "active", "10.0.0.4")
NODES = (MANAGER, WORKER, DRAINED, LOST)


def configured(**runtime: object) -> ApplicationConfiguration:
    return ApplicationConfiguration(
        application_id="a" * 24,
        name="shop",
        team_id="t",
        project_id="p",
        server_ids=("s1",),
        source=ImageSource(reference="shop:1"),
        runtime=RuntimeOptions.model_validate(runtime),
    )


def file_of(size: int) -> Volume:
    return Volume(kind=VolumeKind.FILE, source="a", target="/etc/a", content=SecretStr("x" * size))


@pytest.mark.parametrize(
    ("text", "constraints"),
    [
        ("", ()),
        ("node.role==worker", ("node.role==worker",)),
        (" node.role == worker \n\nnode.labels.disk != ssd", ("node.role==worker", "node.labels.disk!=ssd")),
        ("node.role==worker,node.role==worker", ("node.role==worker",)),
        ("- 'node.hostname==db-1.example'", ("node.hostname==db-1.example",)),
        (
            base64.b64encode(b"placement:\n  constraints:\n    - 'node.role == worker'\n").decode(),
            ("node.role==worker",),
        ),
    ],
)
def test_constraints_are_read_from_lines_commas_and_coolifys_form(
    text: str, constraints: tuple[str, ...]
) -> None:
    assert parse_constraints(text) == constraints


@pytest.mark.parametrize(
    "text", ["worker", "node.role=worker", "node.role==", "host==a", "node.id==a;b", "a" * 5000]
)
def test_what_is_no_constraint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_constraints(text)
    assert refused.value.field == "swarm_placement_constraints"


@pytest.mark.parametrize(
    ("constraints", "nodes"),
    [
        ((), (MANAGER, WORKER)),
        (("node.role==worker",), (WORKER,)),
        (("node.role!=worker",), (MANAGER,)),
        (("node.labels.disk==ssd",), (WORKER,)),
        (("node.labels.disk!=ssd",), (MANAGER,)),
        (("node.hostname==boss", "node.role==worker"), ()),
        (("node.ip==10.0.0.2",), (WORKER,)),
        # What Docker alone knows decides nothing here.
        (("node.platform.os==linux",), (MANAGER, WORKER)),
    ],
)
def test_nodes_that_take_tasks_and_satisfy_all_constraints_are_admitted(
    constraints: tuple[str, ...], nodes: tuple[SwarmNode, ...]
) -> None:
    assert admitted(NODES, constraints) == nodes


def test_nodes_without_the_image_are_kept_free_of_replicas() -> None:
    assert without(NODES, {"m1", "w2"}) == ("node.id!=w1", "node.id!=w3")


@pytest.mark.parametrize(
    ("constraints", "pinned"),
    [((), False), (("node.role==worker",), False), (("node.hostname!=a",), False), (("node.id==a",), True)],
)
def test_an_application_is_pinned_by_a_constraint_that_names_one_node(
    constraints: tuple[str, ...], pinned: bool
) -> None:
    assert is_pinned(constraints) is pinned


@pytest.mark.parametrize(
    ("runtime", "field"),
    [
        ({"port_mappings": (PortMapping(host_port=80, container_port=80),)}, "ports_mappings"),
        ({"limits": ResourceLimits(cpu_set="0")}, "limits_cpuset"),
        ({"limits": ResourceLimits(cpu_shares=2)}, "limits_cpu_shares"),
        ({"volumes": (Volume(kind=VolumeKind.FILE, source="a", target="/a"),)}, "volumes"),
        ({"volumes": (file_of(LARGEST_FILE_BYTES + 1),)}, "volumes"),
        ({"volumes": (Volume(kind=VolumeKind.BIND, source="./a", target="/a"),)}, "volumes"),
        (
            {"volumes": (Volume(kind=VolumeKind.NAMED, source="a", target="/a"),)},
            "swarm_placement_constraints",
        ),
    ],
)
def test_what_a_service_cannot_have_is_refused_by_its_field(runtime: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_fits(configured(**runtime))
    assert refused.value.field == field


def test_a_volume_fits_where_the_application_is_pinned_to_one_node() -> None:
    volume = Volume(kind=VolumeKind.NAMED, source="data", target="/data")
    check_fits(configured(volumes=(volume,), placement_constraints=("node.hostname==hand",)))


@pytest.mark.parametrize("size", [1, LARGEST_FILE_BYTES])
def test_a_file_with_content_fits_because_the_swarm_sends_it_to_every_node(size: int) -> None:
    check_fits(configured(volumes=(file_of(size),)))


def test_another_content_is_another_file_and_its_name_tells_neither() -> None:
    names = [file_name("a" * 24, SecretStr(content)) for content in ("green", "blue", "green")]
    assert names[0] == names[2] != names[1]
    assert all(len(name) <= 64 and name.startswith("a" * 24) for name in names)
    assert not any("green" in name or "blue" in name for name in names)


def test_a_swarm_is_one_server() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_fits(configured().model_copy(update={"server_ids": ("s1", "s2")}))
    assert refused.value.field == "server_uuids"


@pytest.mark.parametrize(
    ("role", "manager", "worker", "fits"),
    [
        (SwarmRole.MANAGER, True, False, True),
        (SwarmRole.WORKER, True, False, False),
        (SwarmRole.NONE, True, False, False),
        (SwarmRole.WORKER, False, True, True),
        (SwarmRole.MANAGER, False, True, True),
        (SwarmRole.NONE, False, True, False),
        (SwarmRole.NONE, False, False, True),
        (SwarmRole.MANAGER, False, False, True),
    ],
)
def test_a_server_is_in_a_swarm_what_it_is_said_to_be(
    role: SwarmRole, manager: bool, worker: bool, fits: bool
) -> None:
    if fits:
        require_role(role, is_manager=manager, is_worker=worker)
        return
    with pytest.raises(NotPossibleNow, match=r"; then validate it again\.$"):
        require_role(role, is_manager=manager, is_worker=worker)
    with pytest.raises(NotPossibleNow, match=r"; then set this again\.$"):
        require_role(role, is_manager=manager, is_worker=worker, again="set this again")


def test_a_task_is_no_container_of_the_application_whatever_its_image_says() -> None:
    configuration = configured(labels=(("seaway.application", "other"), ("team", "sales")))
    labels = task_labels(configuration)
    assert labels["seaway.application"] == ""
    assert labels["seaway.role"] == "task"
    assert labels["team"] == "sales"
    assert service_labels(configuration, "r1")["seaway.application"] == "a" * 24


def test_replicas_are_told_by_their_labels_whether_they_are_containers_or_tasks() -> None:
    configuration = configured(labels=(("seaway.task-of", "other"),))
    assert application_of(task_labels(configuration)) == "a" * 24
    assert application_of(replica_labels(configuration, "r1", 1) | {"seaway.task-of": "other"}) == "a" * 24
    assert application_of(one_off_command_labels("a" * 24, "run-1")) == ""
    assert application_of(service_labels(configuration, "r1")) == ""
    assert application_of({}) == ""


def test_the_name_of_a_service_fits_into_a_dns_label() -> None:
    assert len(service_name("a" * 24, "b" * 24)) <= 63
