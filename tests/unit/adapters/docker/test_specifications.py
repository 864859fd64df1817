"""The create request, and what counts as a change of a container."""

from __future__ import annotations

import dataclasses

from pydantic import SecretStr

from adapters.docker.specifications import (
    SPECIFICATION_LABEL,
    ContainerSpecification,
    MountSpecification,
    container_request,
)
from domain.configuration import PortMapping, ResourceLimits, VolumeKind

FULL = ContainerSpecification(
    name="shop-d1-0",
    image="shop:abc",
    command=("serve", "--fast"),
    entrypoint=("/entry",),
    environment={"TOKEN": SecretStr("s3cret"), "PORT": SecretStr("3000")},
    labels={"seaway.managed": "true"},
    network="seaway",
    aliases=("shop",),
    mounts=(
        MountSpecification(VolumeKind.NAMED, "data", "/data"),
        MountSpecification(VolumeKind.BIND, "/srv/files", "/files", read_only=True),
        MountSpecification(VolumeKind.FILE, "/srv/app.ini", "/etc/app.ini"),
    ),
    limits=ResourceLimits(memory_bytes=67108864, nano_cpus=500_000_000, cpu_set="0", cpu_shares=512),
    restart_policy="unless-stopped",
    stop_grace_seconds=20,
    port_mappings=(
        PortMapping(host_port=8080, container_port=80),
        PortMapping(host_ip="127.0.0.1", host_port=5353, container_port=53, protocol="udp"),
    ),
    exposed_ports=(3000,),
)


def test_every_part_of_a_specification_is_in_the_create_request():
    assert container_request(FULL) == {
        "Image": "shop:abc",
        "Cmd": ["serve", "--fast"],
        "Entrypoint": ["/entry"],
        "Env": ["PORT=3000", "TOKEN=s3cret"],
        "Labels": {"seaway.managed": "true", SPECIFICATION_LABEL: FULL.hash},
        "StopTimeout": 20,
        "ExposedPorts": {"3000/tcp": {}, "80/tcp": {}, "53/udp": {}},
        "NetworkingConfig": {"EndpointsConfig": {"seaway": {"Aliases": ["shop"]}}},
        "HostConfig": {
            "NetworkMode": "seaway",
            "Init": True,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "PortBindings": {
                "80/tcp": [{"HostIp": "", "HostPort": "8080"}],
                "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "5353"}],
            },
            "Mounts": [
                {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": False},
                {"Type": "bind", "Source": "/srv/files", "Target": "/files", "ReadOnly": True},
                {"Type": "bind", "Source": "/srv/app.ini", "Target": "/etc/app.ini", "ReadOnly": False},
            ],
            "Memory": 67108864,
            "MemoryReservation": 0,
            "MemorySwap": 0,
            "NanoCpus": 500_000_000,
            "CpusetCpus": "0",
            "CpuShares": 512,
        },
    }


def test_command_and_entrypoint_of_the_image_are_left_alone_when_none_is_given():
    request = container_request(ContainerSpecification(name="a", image="b"))
    assert "Cmd" not in request
    assert "Entrypoint" not in request


def test_the_hash_ignores_the_name_and_sees_a_changed_secret():
    changed = dataclasses.replace(FULL, environment={**FULL.environment, "TOKEN": SecretStr("other")})
    assert dataclasses.replace(FULL, name="shop-d1-1").hash == FULL.hash
    assert changed.hash != FULL.hash


def test_neither_the_specification_nor_its_hash_shows_a_secret():
    assert "s3cret" not in repr(FULL)
    assert "s3cret" not in FULL.hash
