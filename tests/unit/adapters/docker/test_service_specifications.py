"""The request for a service, and what counts as a change of it."""

from __future__ import annotations

import dataclasses

import pytest
from pydantic import SecretStr

from adapters.docker.service_specifications import (
    FileSpecification,
    HealthCommand,
    ServiceSpecification,
    service_request,
)
from adapters.docker.specifications import SPECIFICATION_LABEL, MountSpecification
from domain.configuration import ResourceLimits, VolumeKind

FULL = ServiceSpecification(
    name="shop-r1",
    image="sha256:abc",
    replicas=3,
    network="seaway-swarm",
    command=("serve", "--fast"),
    entrypoint=("/entry",),
    environment={"TOKEN": SecretStr("s3cret"), "PORT": SecretStr("3000")},
    labels={"seaway.role": "service"},
    container_labels={"seaway.role": "task"},
    aliases=("shop",),
    mounts=(MountSpecification(VolumeKind.NAMED, "data", "/data"),),
    volume_labels={"seaway.application": "shop"},
    files=(FileSpecification("shop-1f2e", "s3cr3tid", "/etc/shop.toml"),),
    limits=ResourceLimits(memory_bytes=64, memory_reservation_bytes=32, nano_cpus=500),
    restart_policy="on-failure",
    stop_grace_seconds=20,
    constraints=("node.role==worker",),
    health=HealthCommand("check me", 1.5, 2, 3, 4),
)


def test_every_part_of_a_service_is_in_the_create_request() -> None:
    assert service_request(FULL) == {
        "Name": "shop-r1",
        "Labels": {"seaway.role": "service", SPECIFICATION_LABEL: FULL.hash},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "sha256:abc",
                "Command": ["/entry"],
                "Args": ["serve", "--fast"],
                "Env": ["PORT=3000", "TOKEN=s3cret"],
                "Labels": {"seaway.role": "task"},
                "Init": True,
                "StopGracePeriod": 20_000_000_000,
                "Mounts": [
                    {
                        "Type": "volume",
                        "Source": "data",
                        "Target": "/data",
                        "ReadOnly": False,
                        "VolumeOptions": {"Labels": {"seaway.application": "shop"}},
                    }
                ],
                "Secrets": [
                    {
                        "File": {"Name": "/etc/shop.toml", "UID": "0", "GID": "0", "Mode": 0o444},
                        "SecretID": "s3cr3tid",
                        "SecretName": "shop-1f2e",
                    }
                ],
                "Healthcheck": {
                    "Test": ["CMD", "/bin/sh", "-c", "check me"],
                    "Interval": 1_500_000_000,
                    "Timeout": 2_000_000_000,
                    "Retries": 3,
                    "StartPeriod": 4_000_000_000,
                },
            },
            "Resources": {
                "Limits": {"NanoCPUs": 500, "MemoryBytes": 64},
                "Reservations": {"MemoryBytes": 32},
            },
            "RestartPolicy": {"Condition": "on-failure", "Delay": 1_000_000_000},
            "Placement": {"Constraints": ["node.role==worker"]},
            "Networks": [{"Target": "seaway-swarm", "Aliases": ["shop"]}],
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}},
        },
        "Mode": {"Replicated": {"Replicas": 3}},
        "UpdateConfig": {"Parallelism": 1, "Order": "start-first", "FailureAction": "rollback"},
        "RollbackConfig": {"Parallelism": 1, "Order": "start-first"},
        "EndpointSpec": {"Mode": "dnsrr"},
    }


@pytest.mark.parametrize(
    ("policy", "condition"),
    [("no", "none"), ("always", "any"), ("unless-stopped", "any"), ("on-failure", "on-failure")],
)
def test_restart_policies_have_the_swarms_names(policy: str, condition: str) -> None:
    request = service_request(dataclasses.replace(FULL, restart_policy=policy))
    assert request["TaskTemplate"]["RestartPolicy"]["Condition"] == condition


def test_the_number_of_replicas_makes_no_other_service() -> None:
    assert dataclasses.replace(FULL, replicas=5).hash == FULL.hash


@pytest.mark.parametrize(
    "change",
    [
        {"image": "sha256:other"},
        {"environment": {}},
        {"constraints": ()},
        {"health": None},
        {"limits": ResourceLimits()},
        {"command": ()},
        {"files": ()},
    ],
)
def test_any_other_change_makes_another_service(change: dict[str, object]) -> None:
    assert dataclasses.replace(FULL, **change).hash != FULL.hash  # type: ignore[arg-type]
