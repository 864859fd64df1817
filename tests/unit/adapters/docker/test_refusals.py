"""What engines say, word for word, and what people read instead."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from adapters.docker.refusals import pull_refusal, push_refusal, replica_refusal
from domain.errors import DiskFull, ImageNotFound, RegistryRefused, RegistryUnavailable, ReplicaRefused
from domain.registries import RegistryLogin

NO_HOST = 'Get "https://registry.example/v2/": dial tcp: lookup registry.example on 10.0.0.1:53: no such host'


@pytest.mark.parametrize(
    ("reason", "part"),
    [
        (
            (
                "driver failed programming external connectivity on endpoint x (1a): "
                "Bind for 0.0.0.0:8080 failed: port is already allocated"
            ),
            "port 0.0.0.0:8080 is already used by another container",
        ),
        (
            (
                "driver failed programming external connectivity on endpoint x (1a): "
                "Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use"
            ),
            "port 0.0.0.0:80 is already in use",
        ),
        (
            'invalid mount config for type "bind": bind source path does not exist: /srv/x',
            "folder /srv/x does not exist",
        ),
        (
            (
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start "
                'container process: exec: "serve": executable file not found in $PATH: unknown'
            ),
            "command 'serve' does not exist in the image",
        ),
        (
            'unable to start container process: exec: "/x.sh": permission denied: unknown',
            "command '/x.sh' in the image is not executable",
        ),
        ("exec /bin/app: exec format error", "another processor architecture"),
        ("Minimum memory limit allowed is 6MB", "at least 6MB"),
        ("something new", "refuses the container shop-1: something new"),
    ],
)
def test_a_refusal_says_what_to_do_and_keeps_the_engines_words(reason: str, part: str):
    refusal = replica_refusal("shop-1", reason)
    assert part in refusal.message
    assert refusal.detail == reason


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (
            404,
            "pull access denied for nope, repository does not exist or may require 'docker login'",
            ImageNotFound,
        ),
        (404, "manifest for redis:nope not found: manifest unknown: manifest unknown", ImageNotFound),
        (500, "unauthorized: authentication required", ImageNotFound),
        (400, "invalid reference format: repository name must be lowercase", ImageNotFound),
        (500, "no matching manifest for linux/arm64/v8 in the manifest list entries", ImageNotFound),
        (500, NO_HOST, RegistryUnavailable),
        (404, NO_HOST, RegistryUnavailable),
        (500, "toomanyrequests: You have reached your pull rate limit.", RegistryUnavailable),
        (500, "received unexpected HTTP status: 503 Service Unavailable", RegistryUnavailable),
        (500, 'Get "https://r.example/v2/": net/http: TLS handshake timeout', RegistryUnavailable),
        (
            500,
            "Get https://r.example/v2/: context deadline exceeded (Client.Timeout exceeded)",
            RegistryUnavailable,
        ),
        (500, "a reason nobody has heard of", RegistryUnavailable),
        (500, "write /var/lib/docker/tmp/GetImageBlob1: no space left on device", DiskFull),
        (
            404,
            "failed to register layer: write /usr/unauthorized: no space left on device: unexpected EOF",
            DiskFull,
        ),
    ],
)
def test_an_absent_image_is_told_from_a_registry_out_of_reach(
    status: int, reason: str, kind: type[Exception]
):
    assert type(pull_refusal("x", status, reason)) is kind


LOGIN = RegistryLogin("r.example", "robot", SecretStr("password"))


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (500, "unauthorized: authentication required", RegistryRefused),
        (500, "no basic auth credentials", RegistryRefused),
        (500, "denied: requested access to the resource is denied", RegistryRefused),
        (404, "An image does not exist locally with the tag: r.example/shop", ImageNotFound),
        (500, NO_HOST, RegistryUnavailable),
        (500, "received unexpected HTTP status: 503 Service Unavailable", RegistryUnavailable),
        (500, "read tcp 10.0.0.1:4->10.0.0.2:5: read: connection reset by peer", RegistryUnavailable),
        (500, "blob upload unknown to registry", RegistryUnavailable),
        (500, "EOF", RegistryUnavailable),
    ],
)
def test_a_registry_that_refuses_an_image_is_told_from_one_that_fails(
    status: int, reason: str, kind: type[Exception]
):
    for login in (LOGIN, None):
        refusal = push_refusal("r.example/shop:1", status, reason, login)
        assert type(refusal) is kind
        assert refusal.retryable is (kind is RegistryUnavailable)
        assert "r.example" in refusal.message


def test_a_refused_push_says_whose_login_is_wrong_or_that_there_is_none():
    refused = push_refusal("r.example/shop:1", 500, "unauthorized: authentication required", LOGIN)
    assert "the user 'robot'" in refused.message
    without = push_refusal("r.example/shop:1", 500, "no basic auth credentials", None)
    assert "seaway registry add r.example" in without.message


def test_a_disk_without_room_for_a_container_is_the_servers_matter():
    refusal = replica_refusal("shop-1", "mkdir /var/lib/docker/overlay2/1a: no space left on device")
    assert type(refusal) is DiskFull
    assert "The server's disk is full: it has no room for the container shop-1" in refusal.message
    groups = "runc create failed: mkdir /sys/fs/cgroup/system.slice/docker-1a: no space left on device"
    assert type(replica_refusal("shop-1", groups)) is ReplicaRefused
